//! What a search or a run can be asked for.

use pinfold_explore::{Config, Model, Progress as At, States};

/// How much to find out about a failure.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Detail {
    /// Only that there is one.
    Verdict,
    /// The fewest switches that lead to it, and what happens on the way.
    Story,
}

/// What to search, and for how long.
#[derive(Clone, Debug)]
pub struct CheckOptions {
    /// What the explorer is asked: the model, the form of locks, the way to search, and the bounds.
    ///
    /// The laboratory itself divides and resumes searches and cuts failures, so it sets `job`,
    /// `resume`, `states`, `budget`, `pause` and `shrink_runs` as it needs them; what is given
    /// there is not used.
    pub config: Config,
    /// What is wanted of a failure.
    pub detail: Detail,
    /// The bytes in which explored states may be remembered; with zero none is
    /// ([`pinfold_explore::States`]). [`CheckOptions::of`] gives 512 MiB to a search under sc, and
    /// none under tso and weak: there it pays only where three lanes or more do much the same.
    pub remember: usize,
    /// The bytes of a search that is begun without memory and turns out long: after
    /// [`CheckOptions::LONG`] executions it is begun anew with so much, unless this is zero.
    /// [`CheckOptions::of`] gives 512 MiB under tso and weak. A search that is divided, at random
    /// or within a bound of preemptions is not begun anew.
    pub remember_long: usize,
}

impl Default for CheckOptions {
    fn default() -> Self {
        Self::of(Config::default())
    }
}

/// The most executions to spend on making a failure short.
const SHRINK_RUNS: u32 = 4_000;

/// The bytes in which a search remembers states unless another number is given.
const MEMORY: usize = 512 << 20;

impl CheckOptions {
    /// Executions of a search without memory before it counts as one that needs memory.
    pub const LONG: u64 = 20_000;

    /// A search as `config` says, with the story of a failure.
    pub fn of(config: Config) -> Self {
        let (remember, remember_long) = match config.model {
            Model::Sc => (MEMORY, 0),
            Model::Tso | Model::Weak => (0, MEMORY),
        };
        Self { config, detail: Detail::Story, remember, remember_long }
    }

    /// The same, with so many bytes of memory from the first execution on; with zero without any.
    #[must_use]
    pub fn remembering(self, bytes: usize) -> Self {
        Self { remember: bytes, remember_long: 0, ..self }
    }

    /// The search as one whole, for the explorer, with a memory of its own.
    pub(crate) fn explored(&self) -> Config {
        Config {
            job: None,
            resume: None,
            states: (self.remember > 0).then(|| States::new(self.remember)),
            budget: None,
            pause: None,
            shrink_runs: match self.detail {
                Detail::Verdict => 0,
                Detail::Story => SHRINK_RUNS,
            },
            ..self.config.clone()
        }
    }
}

/// How far a search is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// What the explorer says of it: of a divided search the threads together, what was counted
    /// before an interruption included.
    pub search: At,
    /// How many jobs are done, if the search is divided into jobs.
    pub jobs: Option<JobProgress>,
}

/// How far a divided search has come.
#[derive(Clone, Copy, Debug)]
pub struct JobProgress {
    /// Jobs done.
    pub done: usize,
    /// Jobs to be done.
    pub of: usize,
    /// The threads that work on them, when the system did not allow as many as were wanted, and how
    /// many were wanted.
    pub fewer: Option<(usize, usize)>,
}

/// The order of a single run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Runs each lane to its end, in the order in which the lanes are written.
    AsWritten,
    /// At random.
    Seed(u64),
}
