//! What to explore, and for how long.

use crate::{
    budget::{Budget, Spent},
    job::{Job, Range},
    model::Model,
    position::{Position, Stand},
    search::States,
    time::TimeSource,
    watch::Watch,
};
use std::{
    fmt,
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// What instrumented locks are in an exploration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum LockForm {
    /// Objects of the explorer: taking one is one step, releasing it another, and no lane spins.
    #[default]
    Object,
    /// Their own code, on cells. Far more executions.
    Code,
}

impl LockForm {
    /// Both forms.
    pub const ALL: [Self; 2] = [Self::Object, Self::Code];

    /// The name that [`FromStr`] reads.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Object => "object",
            Self::Code => "code",
        }
    }
}

impl fmt::Display for LockForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Text that names no form of locks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseLockFormError(
    /// The text as it was found.
    pub String,
);

impl fmt::Display for ParseLockFormError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "locks are never `{}`: they are object or code", self.0.escape_debug())
    }
}

impl std::error::Error for ParseLockFormError {}

impl FromStr for LockForm {
    type Err = ParseLockFormError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let named = |form: &Self| form.name() == text;
        Self::ALL.into_iter().find(named).ok_or_else(|| ParseLockFormError(text.to_owned()))
    }
}

/// How to go through the executions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Search {
    /// All of them.
    Exhaustive {
        /// With a bound: all executions that switch at most this many times away from a lane that
        /// could continue, fewest first. Without: all executions, reduced as far as possible to one
        /// of each set of equivalent ones. A failure found this way is then cut down to few
        /// switches.
        preemptions: Option<u32>,
    },
    /// A number of random ones. Run `i` of seed `s` is run 0 of seed `s + i`.
    Random {
        /// The seed of the random numbers.
        seed: u64,
        /// How many executions.
        runs: u64,
    },
    /// A number of random ones that find each bug of small depth with a known probability (PCT).
    ///
    /// With `n` lanes and `k` steps, a run finds a bug of depth `d` with probability at least
    /// `1 / (n * k^(d - 1))`. Here `k` is the length of the first run, which has no change of
    /// priority and so finds bugs of depth 1 only. It is the same for all runs, wherever they are
    /// made; changes of priority at later steps than that are never made, so the bound does not
    /// hold for bugs that need one.
    Pct {
        /// How many ordering constraints the bugs to be found have, at least 1. Beyond `k + 1` it
        /// changes nothing: a run changes priorities once a step at most.
        depth: u32,
        /// The seed of the random numbers.
        seed: u64,
        /// How many executions.
        runs: u64,
    },
}

/// What to explore, and for how long.
#[derive(Clone, Debug)]
pub struct Config {
    /// The memory model.
    pub model: Model,
    /// What locks are, for subjects whose locks ask [`crate::hook::locks_are_code`].
    pub locks: LockForm,
    /// How to go through the executions.
    pub search: Search,
    /// Explore only this part of the search. A search with a bound on preemptions cannot be
    /// divided.
    pub job: Option<Job>,
    /// Resume from here instead of starting from the beginning: [`crate::Report::position`] of the
    /// same search and job.
    pub resume: Option<Position>,
    /// Remember the states that were explored, here, so that none is explored twice. Only an
    /// exhaustive search without a bound under [`Model::Sc`] does so; others take no notice.
    pub states: Option<States>,
    /// The most executions to make.
    pub max_executions: Option<u64>,
    /// Stop when this budget is spent; other explorations may draw on it, too.
    pub budget: Option<Budget>,
    /// The most steps to make in an execution before it is abandoned.
    pub max_steps: u32,
    /// Stop after this much time, within an execution if necessary; a failure is then cut no
    /// further.
    pub deadline: Option<Duration>,
    /// What the time is.
    pub time: TimeSource,
    /// Stop when this becomes true, within an execution if necessary; a failure is then cut no
    /// further.
    pub stop: Option<Arc<AtomicBool>>,
    /// Stop before the next execution when this becomes true; a failure is still cut down.
    pub pause: Option<Arc<AtomicBool>>,
    /// The most executions to spend on cutting a failure down to few switches; zero leaves it as it
    /// was found. They are not counted in the report.
    pub shrink_runs: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            model: Model::default(),
            locks: LockForm::default(),
            search: Search::Exhaustive { preemptions: None },
            job: None,
            resume: None,
            states: None,
            max_executions: None,
            budget: None,
            max_steps: 10_000,
            deadline: None,
            time: TimeSource::default(),
            stop: None,
            pause: None,
            shrink_runs: 2_000,
        }
    }
}

impl Config {
    /// The runs to make: those of the configured job, or all of a random search.
    pub(crate) fn runs(&self, all: u64) -> Range {
        let whole = Range { first: 0, count: all.max(1), length: None };
        self.job.as_ref().and_then(Job::runs).unwrap_or(whole)
    }

    /// Why its parts do not fit together, if they do not.
    pub(crate) fn misfit(&self) -> Option<&'static str> {
        let job = self.job.as_ref().filter(|job| !job.is_whole());
        let fits = |job: &Job| match self.search {
            Search::Exhaustive { preemptions: None } => job.runs().is_none(),
            Search::Exhaustive { preemptions: Some(_) } => false,
            Search::Random { runs, .. } => job.runs().is_some_and(|range| range.is_within(runs)),
            Search::Pct { runs, .. } => job.runs().is_some_and(|range| {
                range.is_within(runs) && range.length.is_some_and(|length| self.can_take(length))
            }),
        };
        if job.is_some_and(|job| !fits(job)) {
            return Some("the job belongs to another search; leave it out, or divide this search");
        }
        let stand = self.resume.as_ref().map(|position| &position.0);
        stand
            .is_some_and(|stand| !self.resumes_from(stand))
            .then_some("the position belongs to another search; start the search over")
    }

    /// Whether an execution can have so many steps.
    fn can_take(&self, steps: usize) -> bool {
        steps <= self.max_steps as usize
    }

    /// Whether a search at this position may be this one.
    fn resumes_from(&self, stand: &Stand) -> bool {
        match (self.search, stand) {
            (Search::Exhaustive { preemptions: None }, Stand::Reduced { .. }) => true,
            (Search::Exhaustive { preemptions: Some(last) }, Stand::Bounded(stand)) => {
                stand.bound <= last
            }
            (Search::Random { seed, runs }, Stand::Random { seed: known, run }) => {
                seed == *known && self.runs(runs).contains(*run)
            }
            (
                Search::Pct { depth, seed, runs },
                Stand::Pct { depth: deep, seed: known, run, length },
            ) => {
                let range = self.runs(runs);
                let told = length.map_or(*run == 0, |length| self.can_take(length));
                (depth, seed) == (*deep, *known) && range.contains(*run) && told
            }
            _ => false,
        }
    }

    /// What interrupts a running execution, with the deadline counted from `start`.
    pub(crate) fn watch(&self, start: Duration) -> Watch {
        let until = self.deadline.map(|deadline| start.saturating_add(deadline));
        Watch::new(until, self.time.clone(), self.stop.clone())
    }

    /// Why the search must stop before the next execution, if it must. If it need not, the
    /// execution is charged to the budget.
    pub(crate) fn stop_reason(&self, tried: u64, elapsed: Duration) -> Option<String> {
        if self.max_executions.is_some_and(|most| tried >= most) {
            return Some(format!("stopped after {}", executions(tried)));
        }
        let interruption = self.interruption(elapsed);
        if interruption.is_some() {
            return interruption;
        }
        if self.pause.as_ref().is_some_and(|pause| pause.load(Ordering::Relaxed)) {
            return Some("stopped on request".to_owned());
        }
        let Err(Spent { of }) = self.budget.as_ref().map_or(Ok(()), Budget::take) else {
            return None;
        };
        Some(format!("stopped after {}", executions(of)))
    }

    /// Why the search must stop now, if it must.
    pub(crate) fn interruption(&self, elapsed: Duration) -> Option<String> {
        if self.deadline.is_some_and(|deadline| elapsed >= deadline) {
            return Some(format!("stopped after {:.1} s", elapsed.as_secs_f64()));
        }
        let asked = self.stop.as_ref().is_some_and(|stop| stop.load(Ordering::Relaxed));
        asked.then(|| "stopped on request".to_owned())
    }
}
/// A number of executions in words.
fn executions(number: u64) -> String {
    if number == 1 { "1 execution".to_owned() } else { format!("{number} executions") }
}
