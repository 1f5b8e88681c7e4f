//! Random search, and probabilistic concurrency testing (PCT, Burckhardt et al. 2010).
//!
//! Run `i` of seed `s` makes the same choices as run 0 of seed `s + i`, so that ranges of seeds can
//! be shared out. (For PCT this holds once the length of executions is known, which earlier runs of
//! the same search tell.)

use super::{Advance, LaneSet, Moment, Pick, Strategy};
use crate::rng::Rng;

/// The runs of a random search.
struct Runs {
    seed: u64,
    run: u64,
    runs: u64,
    rng: Rng,
}

impl Runs {
    fn new(seed: u64, runs: u64) -> Self {
        Self { seed, run: 0, runs, rng: Rng::new(seed) }
    }

    fn begin(&mut self) {
        self.rng = Rng::new(self.seed.wrapping_add(self.run));
    }

    fn advance(&mut self) -> Advance {
        self.run += 1;
        if self.run < self.runs {
            Advance::Next
        } else {
            Advance::Bounded(format!("{} random executions", self.runs.max(1)))
        }
    }

    /// Half of the time the ordinary option, otherwise any.
    fn option(&mut self, options: &[u32]) -> u32 {
        if self.rng.below(2) == 0 { options[0] } else { options[self.rng.below(options.len())] }
    }
}

/// Every choice is made at random.
pub(crate) struct Random(Runs);

impl Random {
    pub(crate) fn new(seed: u64, runs: u64) -> Self {
        Self(Runs::new(seed, runs))
    }
}

impl Strategy for Random {
    fn begin(&mut self, _lanes: usize) {
        self.0.begin();
    }

    fn pick(&mut self, moment: &Moment<'_>) -> Pick {
        if moment.enabled.is_empty() {
            return Pick::Redundant;
        }
        let index = self.0.rng.below(moment.enabled.len());
        moment.enabled.iter().nth(index).map_or(Pick::Redundant, Pick::Lane)
    }

    fn option(&mut self, options: &[u32]) -> u32 {
        self.0.option(options)
    }

    fn advance(&mut self) -> Advance {
        self.0.advance()
    }
}

/// Lanes have random priorities and the highest that can go on does; at `depth - 1` random steps
/// the running lane drops to the bottom.
pub(crate) struct Pct {
    runs: Runs,
    depth: u32,
    /// The most steps that an execution took so far: where to spread the changes.
    longest: usize,
    step: usize,
    /// The lanes by priority, the highest first.
    order: Vec<usize>,
    changes: Vec<usize>,
}

impl Pct {
    pub(crate) fn new(depth: u32, seed: u64, runs: u64) -> Self {
        let runs = Runs::new(seed, runs);
        Self { runs, depth, longest: 1, step: 0, order: Vec::new(), changes: Vec::new() }
    }

    fn best(&self, enabled: LaneSet) -> Option<usize> {
        self.order.iter().copied().find(|&lane| enabled.contains(lane))
    }
}

impl Strategy for Pct {
    fn begin(&mut self, lanes: usize) {
        self.runs.begin();
        self.step = 0;
        self.order.clear();
        self.order.extend(0..lanes);
        for index in (1..lanes).rev() {
            self.order.swap(index, self.runs.rng.below(index + 1));
        }
        self.changes.clear();
        for _ in 1..self.depth {
            self.changes.push(1 + self.runs.rng.below(self.longest));
        }
    }

    fn spawned(&mut self, lane: usize) {
        let at = self.runs.rng.below(self.order.len() + 1);
        self.order.insert(at, lane);
    }

    fn pick(&mut self, moment: &Moment<'_>) -> Pick {
        self.step += 1;
        self.longest = self.longest.max(self.step);
        if self.changes.contains(&self.step)
            && let Some(lane) = self.best(moment.enabled)
        {
            self.order.retain(|&other| other != lane);
            self.order.push(lane);
        }
        self.best(moment.enabled).map_or(Pick::Redundant, Pick::Lane)
    }

    fn option(&mut self, options: &[u32]) -> u32 {
        self.runs.option(options)
    }

    fn advance(&mut self) -> Advance {
        self.runs.advance()
    }
}
