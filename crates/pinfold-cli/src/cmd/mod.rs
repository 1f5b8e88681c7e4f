//! The commands, one file for each, and what they share.

pub(crate) mod calls;
pub(crate) mod campaign;
pub(crate) mod check;
mod doubts;
mod expect;
pub(crate) mod explain;
pub(crate) mod fmt;
pub(crate) mod fuzz;
pub(crate) mod history;
pub(crate) mod identify;
pub(crate) mod import;
pub(crate) mod kernel;
pub(crate) mod matrix;
mod mends;
pub(crate) mod pressure;
pub(crate) mod replay;
pub(crate) mod rules;
pub(crate) mod run;
pub(crate) mod setup;
pub(crate) mod soak;
mod stage;

use crate::console::Console;
use crate::failure::Failure;
use crate::find::{self, Loaded};
use pinfold_lab::report::Verdict;
use std::path::PathBuf;

/// The exit status, or why there is none.
pub(crate) type Answer = Result<u8, Failure>;

/// Reads all scenarios before anything runs, so that a mistake in the last one is reported at once.
fn load(files: &[PathBuf], console: &Console) -> Result<Vec<Loaded>, Failure> {
    files.iter().map(|file| find::load(file, console.error_style())).collect()
}

/// The verdict to report for several: the one that most needs attention.
fn worst(verdicts: impl Iterator<Item = Verdict>) -> Verdict {
    let weight = |verdict: &Verdict| match verdict {
        Verdict::Pass => 0,
        Verdict::Skip => 1,
        Verdict::Partial => 2,
        Verdict::Fail => 3,
        Verdict::Error => 4,
    };
    verdicts.max_by_key(weight).unwrap_or(Verdict::Pass)
}

/// Warns that there are fewer threads than were wanted.
fn warn_of_fewer(console: &Console, started: usize, wanted: usize) {
    console.warn(&format!(
        "the system allows only {started} of {wanted} threads; the work goes on with these"
    ));
}
