//! How far a campaign has come while its threads are running.

use std::time::Duration;

use pinfold_explore::{Ahead, Job, Progress as At};

use super::partial::Partial;
use crate::check::{JobProgress, Progress};

/// Where each thread is, and how much there is to do altogether.
pub(super) struct Standing {
    /// What each thread last reported of its current job.
    running: Vec<Option<At>>,
    /// The number of executions in the jobs to be done, if it is known.
    runs: Option<u64>,
    /// See [`JobProgress::fewer`].
    fewer: Option<(usize, usize)>,
}

impl Standing {
    pub(super) fn new(jobs: &[Job], partial: &Partial) -> Self {
        let mine = jobs.iter().enumerate().filter(|(job, _)| partial.has(*job));
        Self { running: Vec::new(), runs: mine.map(|(_, job)| job.executions()).sum(), fewer: None }
    }

    /// There are fewer threads than were wanted.
    pub(super) fn is_short(&mut self, started: usize, wanted: usize) {
        self.fewer = Some((started, wanted));
    }

    /// A thread reports the position of its job.
    pub(super) fn is_at(&mut self, thread: usize, at: At) {
        *self.slot(thread) = Some(at);
    }

    /// A thread has no job left, or has not reported on it yet.
    pub(super) fn is_idle(&mut self, thread: usize) {
        *self.slot(thread) = None;
    }

    fn slot(&mut self, thread: usize) -> &mut Option<At> {
        if self.running.len() <= thread {
            self.running.resize(thread + 1, None);
        }
        &mut self.running[thread]
    }

    /// The progress of all threads together.
    pub(super) fn progress(&self, partial: &Partial, elapsed: Duration) -> Progress {
        let running = || self.running.iter().flatten();
        let done = partial.counted();
        let executions = done.executions + running().map(|at| at.executions).sum::<u64>();
        let blocked = done.blocked + running().map(|at| at.blocked).sum::<u64>();
        let pruned = done.pruned + running().map(|at| at.pruned).sum::<u64>();
        let truncated = done.truncated + running().map(|at| at.truncated).sum::<u64>();
        let ahead = match self.runs {
            Some(of) => Some(Ahead::Runs { done: executions + blocked + pruned + truncated, of }),
            None => running().filter_map(|at| at.ahead).reduce(together),
        };
        let bound = running().find_map(|at| at.bound);
        Progress {
            search: At { executions, blocked, pruned, truncated, bound, ahead, elapsed },
            jobs: Some(JobProgress {
                done: partial.done(),
                of: partial.share(),
                fewer: self.fewer,
            }),
        }
    }
}

/// What remains for two threads together.
fn together(one: Ahead, other: Ahead) -> Ahead {
    match (one, other) {
        (
            Ahead::Alternatives { open: a, from: b, depth: c },
            Ahead::Alternatives { open: x, from: y, depth: z },
        ) => Ahead::Alternatives { open: a + x, from: b.min(y), depth: c.max(z) },
        (one, _) => one,
    }
}
