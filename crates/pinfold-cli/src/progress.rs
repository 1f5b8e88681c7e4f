//! Progress, on standard error, once a search takes long enough to be wondered about.
//!
//! On a terminal it is one line that goes away at the end. Elsewhere it is a plain line from time
//! to time, so that a log shows life without filling up.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use pinfold_lab::Progress;
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::failure::Failure;
use crate::render::text::{seconds, thousands};

/// Nothing is shown before this.
const QUIET: Duration = Duration::from_millis(500);
/// The time between two plain lines.
const PLAIN_EVERY: Duration = Duration::from_secs(10);
/// The exit status of a second interrupt, as shells give it.
const INTERRUPTED: i32 = 130;

/// Shows how far something has come.
#[derive(Debug)]
pub(crate) struct Meter {
    started: Instant,
    shown: Shown,
}

#[derive(Debug)]
enum Shown {
    /// The line of a terminal, not drawn before the quiet time is over.
    Line(ProgressBar),
    /// Plain lines; when the next is due.
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
                // Nobody reads standard error any more: the result matters all the same.
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

/// How far a search has come, in a line.
pub(crate) fn searched(name: &str, rules: &str, progress: &Progress) -> String {
    let done = thousands(progress.executions);
    let time = seconds(progress.elapsed.as_secs_f64());
    let mut line = format!("{name} under {rules}: {done} executions");
    if progress.blocked > 0 {
        line += &format!(", {} blocked", thousands(progress.blocked));
    }
    if let Some(bound) = progress.bound {
        line += &format!(", preemptions <= {bound}");
    }
    if let Some(jobs) = progress.jobs {
        line += &format!(", {} of {} jobs", jobs.done, jobs.of);
    }
    format!("{line}, {time}")
}

/// A flag that the first interrupt, or request to terminate, raises; the second one ends the program.
///
/// # Errors
/// When the system does not let interrupts be caught.
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
