//! Random search, and probabilistic concurrency testing (PCT, Burckhardt et al. 2010).
//!
//! INV-RANDOM-1: run `i` of a search with seed `s` depends on the subject and on `s + i`, and for
//! PCT on the length that changes are spread over; it depends on no other run. Ranges of runs can
//! thus be distributed, and together they are the undivided search.
//! INV-RANDOM-2: that length is the number of steps of run 0, which has no change of priority. A
//! search that does not make run 0 is given the length.

use super::{Advance, Ahead, Moment, Outlook, Pick, Resumable, Strategy};
use crate::{
    lane::LaneSet,
    position::{Position, Stand},
    rng::Rng,
};

/// Some of the runs of a random search.
struct Runs {
    seed: u64,
    first: u64,
    /// The current run, or the next.
    run: u64,
    /// How many there are.
    count: u64,
    rng: Rng,
}

impl Runs {
    fn new(seed: u64, first: u64, count: u64) -> Self {
        Self { seed, first, run: first, count: count.max(1), rng: Rng::new(seed) }
    }

    fn begin(&mut self) {
        self.rng = Rng::new(self.seed.wrapping_add(self.run));
    }

    fn done(&self) -> u64 {
        self.run - self.first
    }

    fn advance(&mut self) -> Advance {
        self.run += 1;
        if self.done() < self.count {
            Advance::Next
        } else {
            Advance::Bounded(format!("{} random executions", self.count))
        }
    }

    /// The ordinary option half of the time, otherwise any.
    fn option(&mut self, options: &[u32]) -> u32 {
        if self.rng.below(2) == 0 { options[0] } else { options[self.rng.below(options.len())] }
    }

    fn outlook(&self, spread: Option<usize>) -> Outlook {
        let ahead = Ahead::Runs { done: self.done(), of: self.count };
        let spread = spread.map(|steps| u32::try_from(steps).unwrap_or(u32::MAX));
        Outlook { ahead, bound: None, spread, states: 0 }
    }
}

/// Every choice is made at random.
pub(crate) struct Random(Runs);

impl Random {
    pub(crate) fn new(seed: u64, first: u64, count: u64) -> Self {
        Self(Runs::new(seed, first, count))
    }

    /// Resumes at a run.
    pub(crate) fn resume(&mut self, run: u64) {
        self.0.run = run;
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

    fn resumable(&mut self) -> Option<&mut dyn Resumable> {
        Some(self)
    }
}

impl Resumable for Random {
    fn position(&self) -> Position {
        let Runs { seed, run, .. } = self.0;
        Position(Stand::Random { seed, run })
    }

    /// A run begins from its seed, regardless of what an interrupted one did.
    fn rewind(&mut self) {}

    fn has_caught_up(&self) -> bool {
        true
    }

    fn repeats(&self) -> bool {
        false
    }

    fn outlook(&self) -> Outlook {
        self.0.outlook(None)
    }
}

/// Lanes have random priorities, and the highest lane that can run does; at `depth - 1` random
/// steps the running lane drops to the bottom. More changes than there are steps to spread them
/// over would change nothing more, and are not made.
pub(crate) struct Pct {
    runs: Runs,
    depth: u32,
    /// The steps over which to spread the changes: INV-RANDOM-2. Unknown until run 0 has been made.
    length: Option<usize>,
    step: usize,
    /// The lanes by priority, highest first.
    order: Vec<usize>,
    /// The steps at which priorities change, in ascending order.
    changes: Vec<usize>,
}

impl Pct {
    pub(crate) fn new(
        depth: u32,
        seed: u64,
        first: u64,
        count: u64,
        length: Option<usize>,
    ) -> Self {
        let runs = Runs::new(seed, first, count);
        Self { runs, depth, length, step: 0, order: Vec::new(), changes: Vec::new() }
    }

    /// Resumes at a run.
    pub(crate) fn resume(&mut self, run: u64, length: Option<usize>) {
        self.runs.run = run;
        self.length = length;
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
        if self.runs.run > 0
            && let Some(length) = self.length
        {
            let wanted = usize::try_from(self.depth.saturating_sub(1)).unwrap_or(usize::MAX);
            for _ in 0..wanted.min(length) {
                self.changes.push(1 + self.runs.rng.below(length));
            }
            self.changes.sort_unstable();
        }
    }

    fn spawned(&mut self, lane: usize, _number: usize) {
        self.order.retain(|&other| other != lane);
        let at = self.runs.rng.below(self.order.len() + 1);
        self.order.insert(at, lane);
    }

    fn pick(&mut self, moment: &Moment<'_>) -> Pick {
        self.step += 1;
        if self.changes.binary_search(&self.step).is_ok()
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
        if self.runs.run == 0 {
            self.length.get_or_insert(self.step.max(1));
        }
        self.runs.advance()
    }

    fn resumable(&mut self) -> Option<&mut dyn Resumable> {
        Some(self)
    }
}

impl Resumable for Pct {
    fn position(&self) -> Position {
        let Self { depth, length, runs: Runs { seed, run, .. }, .. } = *self;
        Position(Stand::Pct { depth, seed, run, length })
    }

    /// A run begins from its seed, regardless of what an interrupted one did.
    fn rewind(&mut self) {}

    fn has_caught_up(&self) -> bool {
        true
    }

    fn repeats(&self) -> bool {
        false
    }

    fn outlook(&self) -> Outlook {
        self.runs.outlook(self.length)
    }
}
