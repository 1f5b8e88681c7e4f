//! What may be asked of a search or a run.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use pinfold_explore::{Ahead, Config, LockForm, Model, Search as Strategy};

/// How much to find out about a failure.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Detail {
    /// That there is one.
    Verdict,
    /// The fewest switches that lead there, and what happens on the way.
    Story,
}

/// What to search, and for how long.
#[derive(Clone, Debug)]
pub struct CheckOptions {
    /// The memory model.
    pub model: Model,
    /// What the manager's locks are.
    pub locks: LockForm,
    /// The order of the search.
    pub strategy: Strategy,
    /// Stop after so many executions.
    pub max_executions: Option<u64>,
    /// Leave an execution after so many steps.
    pub max_steps: u32,
    /// Stop after so much time.
    pub deadline: Option<Duration>,
    /// Stop when this becomes true.
    pub stop: Option<Arc<AtomicBool>>,
    /// What is wanted of a failure.
    pub detail: Detail,
}

impl Default for CheckOptions {
    fn default() -> Self {
        Self {
            model: Model::Weak,
            locks: LockForm::Object,
            strategy: Strategy::Exhaustive { preemptions: None },
            max_executions: None,
            max_steps: 10_000,
            deadline: None,
            stop: None,
            detail: Detail::Story,
        }
    }
}

/// How many executions may be spent on making a failure short.
const SHRINK_RUNS: u32 = 4_000;

impl CheckOptions {
    /// The same for the explorer.
    pub(crate) fn config(&self) -> Config {
        Config {
            model: self.model,
            locks: self.locks,
            search: self.strategy,
            job: None,
            resume: None,
            max_executions: self.max_executions,
            budget: None,
            max_steps: self.max_steps,
            deadline: self.deadline,
            stop: self.stop.clone(),
            pause: None,
            shrink_runs: match self.detail {
                Detail::Verdict => 0,
                Detail::Story => SHRINK_RUNS,
            },
        }
    }
}

/// Where a search stands.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Executions that ran to their end so far, those before an interruption included.
    pub executions: u64,
    /// Of the executions begun, those left because others cover them.
    pub blocked: u64,
    /// The preemption bound being searched, if there is one. Every smaller one is done.
    pub bound: Option<u32>,
    /// What the search has before it, if it is known: of a divided search all that its threads have
    /// before them in the jobs at hand, counted from the earliest step.
    pub ahead: Option<Ahead>,
    /// How many jobs are done, if the search is divided into jobs.
    pub jobs: Option<JobProgress>,
    /// Time since the start, or since going on.
    pub elapsed: Duration,
}

/// Where a divided search stands.
#[derive(Clone, Copy, Debug)]
pub struct JobProgress {
    /// Jobs done.
    pub done: usize,
    /// Jobs to be done.
    pub of: usize,
}

/// The order of a single run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Each lane to its end, in the order in which they are written.
    AsWritten,
    /// At random.
    Seed(u64),
}
