//! `pinfold replay`: repeats an execution, from its file or from a schedule.

use super::Answer;
use super::run::{put_trace, show};
use crate::args::ReplayArgs;
use crate::console::Console;
use crate::failure::Failure;
use crate::files::{self, MOST_SAVED, Output};
use crate::find::Source;
use crate::{find, rulesets, saved, show};
use pinfold_lab::replay_schedule;
use pinfold_lab::report::Report;
use pinfold_lab::saved::{ENGINE, Engines, ReplayFile};
use std::path::Path;

/// Repeats an execution.
///
/// # Errors
/// When the execution, its scenario or its rules cannot be found or read, the schedule is not
/// valid, or the result cannot be written.
pub(crate) fn replay(args: &ReplayArgs, console: &mut Console) -> Answer {
    let perfetto = args.perfetto.as_deref().map(Output::open).transpose()?;
    let mut found = match (&args.what, &args.schedule) {
        (Some(scenario), Some(schedule)) => scheduled(scenario, schedule, args, console)?,
        (what, _) => {
            let saved = Saved { directory: &args.saved, any_version: args.any_version };
            from_file(what.as_deref(), saved, console)?.1
        }
    };
    put_trace(perfetto, &found, console)?;
    if !args.accesses {
        found.accesses.clear();
    }
    show(found, None, args.format.into(), console)
}

/// Runs a scenario according to `schedule`.
fn scheduled(
    scenario: &Path,
    schedule: &str,
    args: &ReplayArgs,
    console: &Console,
) -> Result<Report, Failure> {
    let rules = rulesets::one(args.rules.as_deref().unwrap_or("pinfold"))?.rules;
    let loaded = find::load(scenario, console.error_style())?;
    let model = args.model.unwrap_or_default().model();
    let locks = args.locks.unwrap_or_default().form();
    replay_schedule(&loaded.scenario, &loaded.path, &rules, (model, locks), schedule)
        .map_err(Failure::Schedule)
}

/// Where executions are saved, and which of them may be run.
pub(super) struct Saved<'a> {
    pub(super) directory: &'a Path,
    /// Also those that another version of the engine found.
    pub(super) any_version: bool,
}

/// Runs the execution that a file holds; the file, and what came of it.
///
/// # Errors
/// When it cannot be found, read or run.
pub(super) fn from_file(
    what: Option<&Path>,
    saved: Saved<'_>,
    console: &Console,
) -> Result<(ReplayFile, Report), Failure> {
    let path = saved::find(what, saved.directory)?;
    let source = Source { text: files::read(&path, MOST_SAVED)?, path: show::path(&path) };
    let engines = if saved.any_version { Engines::Any } else { Engines::Same };
    let wrong = |why| Failure::Replay { path: source.path.clone(), why };
    let file = ReplayFile::parse(&source.text, engines).map_err(wrong)?;
    if file.engine != ENGINE {
        let path = &source.path;
        console.warn(&format!(
            "engine {} made {path}, and this is engine {ENGINE}: the schedule may mean another \
             execution here",
            file.engine.escape_debug()
        ));
    }
    let report = file.replay().map_err(wrong)?;
    Ok((file, report))
}
