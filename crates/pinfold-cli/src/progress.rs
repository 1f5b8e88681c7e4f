//! Progress on standard error, once a search takes long enough for the user to wonder.
//!
//! On a terminal it is one line that disappears at the end. Elsewhere it is a plain line from time
//! to time, so that a log shows life without filling up.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use pinfold_lab::{Ahead, Progress};
use std::collections::VecDeque;
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::failure::Failure;
use crate::render::text::{counted, cut, seconds, thousands, width};

/// Nothing is shown before this.
const QUIET: Duration = Duration::from_millis(500);
/// The time between two plain lines.
const PLAIN_EVERY: Duration = Duration::from_secs(10);
/// The maximum width of a line, in columns.
const WIDTH: usize = 100;
/// The columns that the name of what is searched needs to be recognisable.
const NAME: usize = 10;
/// The exit status after a second interrupt, following the convention of shells.
const INTERRUPTED: i32 = 130;

/// Shows how far something has come.
#[derive(Debug)]
pub(crate) struct Meter {
    started: Instant,
    shown: Shown,
}

#[derive(Debug)]
enum Shown {
    /// The line of a terminal, which is not drawn before the quiet time is over.
    Line(ProgressBar),
    /// Plain lines, with the time at which the next is due.
    Lines(Duration),
}

impl Meter {
    /// A meter that starts now.
    pub(crate) fn new() -> Self {
        let shown = if io::stderr().is_terminal() {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
            Shown::Line(
                bar.with_style(
                    ProgressStyle::with_template("{wide_msg}")
                        .unwrap_or_else(|_| ProgressStyle::default_spinner()),
                ),
            )
        } else {
            Shown::Lines(QUIET)
        };
        Self { started: Instant::now(), shown }
    }

    /// Shows a line if one is due.
    pub(crate) fn show(&mut self, line: impl FnOnce() -> String) {
        let elapsed = self.started.elapsed();
        if elapsed < QUIET {
            return;
        }
        match &mut self.shown {
            Shown::Line(bar) => {
                if bar.is_hidden() {
                    bar.set_draw_target(ProgressDrawTarget::stderr());
                }
                bar.set_message(line());
                bar.tick();
            }
            Shown::Lines(next) if elapsed >= *next => {
                *next = elapsed + PLAIN_EVERY;
                // Nobody reads standard error any more: the result still matters.
                let _ = writeln!(io::stderr(), "{}", line());
            }
            Shown::Lines(_) => {}
        }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        if let Shown::Line(bar) = &self.shown {
            bar.finish_and_clear();
        }
    }
}

/// Executions per second over the recent past. If executions grow longer, or the search was
/// resumed, the overall average says little about the current rate.
#[derive(Debug, Default)]
pub(crate) struct Rate {
    /// The counts of executions and their times, the latest last.
    seen: VecDeque<(Duration, u64)>,
}

impl Rate {
    /// How far the rate looks back.
    const PAST: Duration = Duration::from_secs(5);
    /// The time between two counts that are kept, and the shortest span that gives a rate.
    const APART: Duration = Duration::from_millis(250);

    /// The current rate, given a new count of executions; unknown at first.
    pub(crate) fn now(&mut self, elapsed: Duration, executions: u64) -> Option<f64> {
        let since = |(then, _): &(Duration, u64)| elapsed.saturating_sub(*then);
        while self.seen.len() > 1 && self.seen.front().is_some_and(|at| since(at) > Self::PAST) {
            self.seen.pop_front();
        }
        if self.seen.back().is_none_or(|at| since(at) >= Self::APART) {
            self.seen.push_back((elapsed, executions));
        }
        let first = self.seen.front().filter(|at| since(at) >= Self::APART)?;
        let more = executions.saturating_sub(first.1);
        Some(more as f64 / since(first).as_secs_f64())
    }
}

/// How far a search has come, in a line of at most [`WIDTH`] columns. The least informative parts
/// are dropped first, then the name.
pub(crate) fn searched(name: &str, rules: &str, progress: &Progress, rate: Option<f64>) -> String {
    let mut facts = vec![match progress.search.ahead {
        Some(Ahead::Runs { done, of }) => format!("{} of {} runs", thousands(done), thousands(of)),
        _ => counted(progress.search.executions, "execution", "executions"),
    }];
    facts.extend(rate.map(|rate| format!("{}/s", thousands(rate.round() as u64))));
    let blocked = format!("{} blocked", thousands(progress.search.blocked));
    if progress.search.blocked > 0 {
        facts.push(blocked.clone());
    }
    if let Some(Ahead::Alternatives { open, from, .. }) = progress.search.ahead {
        facts.push(format!("{} open from step {}", thousands(open), thousands(from)));
    }
    facts.extend(progress.search.bound.map(|bound| match bound.checked_sub(1) {
        Some(done) => format!("preemptions <= {done} done, at {bound}"),
        None => "preemptions: at 0".to_owned(),
    }));
    if let Some(jobs) = progress.jobs.filter(|jobs| jobs.of > 1) {
        facts.push(format!(
            "{} of {} jobs",
            thousands(jobs.done as u64),
            thousands(jobs.of as u64)
        ));
    }
    facts.push(seconds(progress.search.elapsed.as_secs_f64()));
    if width(&facts.join(", ")) + 2 + NAME > WIDTH {
        facts.retain(|fact| *fact != blocked);
    }
    let facts = facts.join(", ");
    let room = WIDTH.saturating_sub(width(&facts) + 2);
    if room < NAME {
        return cut(&facts, WIDTH);
    }
    format!("{}: {facts}", cut(&format!("{name} under {rules}"), room))
}

/// A flag that is raised by the first interrupt or request to terminate; the second one ends the
/// program.
///
/// # Errors
/// When the system does not allow interrupts to be caught.
pub(crate) fn stop_flag() -> Result<Arc<AtomicBool>, Failure> {
    let flag = Arc::new(AtomicBool::new(false));
    let raised = Arc::clone(&flag);
    ctrlc::set_handler(move || {
        if raised.swap(true, Ordering::Relaxed) {
            std::process::exit(INTERRUPTED);
        }
    })
    .map_err(Failure::Signal)?;
    Ok(flag)
}

#[cfg(test)]
mod tests;
