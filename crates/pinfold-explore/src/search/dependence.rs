//! The dependence order of one execution, as vector clocks.
//!
//! Two steps are dependent if they belong to one lane, or touch one object and at least one of them
//! changes it; the order is the transitive closure in the order of execution. Swapping neighbours
//! that are independent gives an equivalent execution.
//!
//! INV-DEP-1: a change of an object is ordered after everything that touched the object before, so
//! whoever looks back from a later step may stop at the last change.
//! INV-DEP-2: giving a lock back is not a step. It belongs to the last step of its lane, is ordered
//! before a later taking of the lock without being a race with it, and is a race with an attempt
//! that does not wait.
//! INV-DEP-3: starting a lane is not a step. All steps of the lane are ordered after the step that it
//! belongs to. The step that sees a lane end is ordered after all steps of the lane; neither order
//! could be the other way round, so neither is a race.

use super::{Effect, LaneSet, Touch};
use crate::{
    clock::{Clocks, join},
    hook::Mode,
    lock::excludes,
    object::Object,
};

/// The number of a step within its execution.
pub(crate) type Step = usize;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    Read,
    Write,
    Lock(Mode),
    Try(Mode),
    Unlock(Mode),
    /// With an option that was withheld it would perhaps have given the lock back.
    MayUnlock,
}

impl Sort {
    /// Whether everything before it on the same object is ordered before it.
    fn closes(self) -> bool {
        matches!(self, Self::Write | Self::Lock(Mode::Exclusive) | Self::Try(Mode::Exclusive))
    }

    /// Whether the two, on one object, are dependent and could be tried the other way round.
    fn races(self, other: Self) -> bool {
        match (self, other) {
            (Self::Unlock(held), Self::Try(mode)) | (Self::Try(mode), Self::Unlock(held)) => {
                excludes(held, mode)
            }
            (Self::MayUnlock, Self::Try(_)) | (Self::Try(_), Self::MayUnlock) => true,
            (Self::Unlock(_) | Self::MayUnlock, _) | (_, Self::Unlock(_) | Self::MayUnlock) => {
                false
            }
            _ => self.closes() || other.closes(),
        }
    }
}

impl Touch {
    fn sorted(self) -> Option<(Object, Sort)> {
        match self {
            Self::Local | Self::Join(_) => None,
            Self::Read(cell) | Self::Wait(cell) => Some((cell, Sort::Read)),
            Self::Write(cell) => Some((cell, Sort::Write)),
            Self::Lock(lock, mode) => Some((lock, Sort::Lock(mode))),
            Self::TryLock(lock, mode) => Some((lock, Sort::Try(mode))),
        }
    }

    /// Whether the order of the two matters.
    pub(crate) fn depends_on(self, other: Self) -> bool {
        match (self.sorted(), other.sorted()) {
            (Some((mine, sort)), Some((theirs, other))) => mine == theirs && sort.races(other),
            _ => false,
        }
    }
}

/// Two dependent steps of different lanes with nothing ordered between them: the first could also
/// come after the second.
pub(crate) struct Race {
    /// The earlier step.
    pub(crate) first: Step,
    /// The lanes that could go in place of `first` to bring about the other order.
    pub(crate) initials: LaneSet,
    /// The lane of the later step.
    pub(crate) lane: usize,
}

/// See the module.
#[derive(Default)]
pub(crate) struct Dependence {
    lanes: usize,
    /// The lane of each step, and its place among the steps of the lane, from 1.
    steps: Vec<(usize, u32)>,
    /// For each step a clock: how many steps of each lane are ordered before it, itself included.
    clocks: Clocks,
    /// For each lane the clock of its last step; before its first, of the step that started it.
    lane_clocks: Clocks,
    /// For each object what touched it, in order.
    log: Vec<Vec<(Step, Sort)>>,
    /// The locks that each lane tried or took and has not given back: all that it can hold.
    held: Vec<(usize, Object)>,
    races: Vec<Race>,
    /// The clock at hand; the rest are buffers too.
    clock: Vec<u32>,
    touched: Vec<(Object, Sort)>,
    rivals: Vec<Step>,
}

impl Dependence {
    /// Begins an execution.
    pub(crate) fn begin(&mut self, lanes: usize) {
        self.lanes = 0;
        self.steps.clear();
        self.clocks.reset(0);
        self.lane_clocks.reset(0);
        (0..lanes).for_each(|lane| self.spawned(lane));
        self.log.iter_mut().for_each(Vec::clear);
        self.held.clear();
        self.races.clear();
    }

    /// There is one lane more.
    pub(crate) fn spawned(&mut self, lane: usize) {
        self.lanes = lane + 1;
        self.clocks.widen(self.lanes);
        self.lane_clocks.widen(self.lanes);
        self.lane_clocks.grow(self.lanes);
    }

    /// The races found since the last call.
    pub(crate) fn races(&mut self) -> std::vec::Drain<'_, Race> {
        self.races.drain(..)
    }

    /// Drops the races found for which `keep` does not hold.
    pub(crate) fn keep_races(&mut self, keep: impl FnMut(&Race) -> bool) {
        self.races.retain(keep);
    }

    fn covered(&self, clock: &[u32], step: Step) -> bool {
        let (lane, place) = self.steps[step];
        clock[lane] >= place
    }

    fn clock_of(&self, step: Step) -> &[u32] {
        self.clocks.row(step)
    }

    /// Whether the last change of the cell is ordered before the next step of the lane, or may be
    /// (or there was none).
    ///
    /// The step may give back locks, and is then ordered after the attempts at them that failed.
    pub(crate) fn is_settled(&self, lane: usize, cell: Object) -> bool {
        let log = self.log.get(cell as usize).map_or(&[][..], Vec::as_slice);
        let Some(&(change, _)) = log.iter().rev().find(|(_, sort)| sort.closes()) else {
            return true;
        };
        let clock = self.lane_clocks.row(lane);
        self.covered(clock, change)
            || self.held.iter().filter(|held| held.0 == lane).any(|&(_, lock)| {
                self.log[lock as usize].iter().any(|&(attempt, sort)| {
                    matches!(sort, Sort::Try(_)) && self.covered(self.clock_of(attempt), change)
                })
            })
    }

    /// The locks that the lane may hold.
    pub(crate) fn held(&self, lane: usize) -> impl Iterator<Item = Object> + '_ {
        self.held.iter().filter(move |held| held.0 == lane).map(|held| held.1)
    }

    /// Whether the last step changed the object.
    pub(crate) fn just_changed(&self, object: Object) -> bool {
        let log = self.log.get(object as usize).map_or(&[][..], Vec::as_slice);
        let last = log.iter().rev().take_while(|(step, _)| step + 1 == self.steps.len());
        last.into_iter().any(|(_, sort)| sort.closes())
    }

    /// `lane` has made a step: all that it touched is known, so that races see the whole of it.
    pub(crate) fn push(&mut self, lane: usize, touch: Touch, effects: &[Effect], watch: Watch) {
        let step = self.steps.len();
        let mut touched = std::mem::take(&mut self.touched);
        touched.clear();
        touched.extend(touch.sorted());
        touched.extend(effects.iter().filter_map(|&effect| match effect {
            Effect::Unlock(lock, mode) => Some((lock, Sort::Unlock(mode))),
            Effect::MayUnlock(lock) => Some((lock, Sort::MayUnlock)),
            Effect::Forget(cell) => Some((cell, Sort::Write)),
            Effect::Spawn(_) => None,
        }));
        self.look_back(lane, &touched, watch);
        if let Touch::Join(ended) = touch {
            join(&mut self.clock, self.lane_clocks.row(ended));
        }
        for &(object, sort) in &touched {
            self.log[object as usize].push((step, sort));
            match sort {
                Sort::Lock(_) | Sort::Try(_) => self.held.push((lane, object)),
                Sort::Unlock(_) => self.held.retain(|&held| held != (lane, object)),
                Sort::Read | Sort::Write | Sort::MayUnlock => {}
            }
        }
        self.touched = touched;
        self.clock[lane] += 1;
        self.steps.push((lane, self.clock[lane]));
        self.clocks.push(&self.clock);
        self.lane_clocks.row_mut(lane).copy_from_slice(&self.clock);
        for effect in effects {
            if let Effect::Spawn(started) = *effect {
                self.lane_clocks.row_mut(started).copy_from_slice(&self.clock);
            }
        }
    }

    /// `lane` waits for a value of `object`: finds the race with the change that it would have to
    /// precede.
    pub(crate) fn wait(&mut self, lane: usize, object: Object) {
        self.look_back(lane, &[(object, Sort::Read)], Watch::Races);
    }

    /// Sets the clock at hand to what the next step of `lane` depends on when it touches `touched`,
    /// and notes the races on the way, the latest first: an earlier step that is ordered before a
    /// later one is no race.
    ///
    /// A step that takes a lock is ordered after the one that gave it back, but that order is a
    /// consequence of who took the lock first. So the races for the lock come before it, and the
    /// races of the step's effects after it.
    fn look_back(&mut self, lane: usize, touched: &[(Object, Sort)], watch: Watch) {
        let mut clock = std::mem::take(&mut self.clock);
        let mut rivals = std::mem::take(&mut self.rivals);
        clock.clear();
        clock.extend_from_slice(self.lane_clocks.row(lane));
        for &(object, _) in touched {
            if self.log.len() <= object as usize {
                self.log.resize_with(object as usize + 1, Vec::new);
            }
        }
        match touched {
            [(lock, sort @ Sort::Lock(mode)), effects @ ..] => {
                self.find_rivals(&[(*lock, *sort)], &mut rivals);
                let for_lock = rivals.len();
                self.find_rivals(effects, &mut rivals);
                self.find_enabling(*lock, *mode, &mut rivals);
                let own = clock.clone();
                for &earlier in &rivals[..for_lock] {
                    if self.covered(&clock, earlier) {
                        continue;
                    }
                    if watch == Watch::Races {
                        let mut before = own.clone();
                        let apart = |&&other: &&Step| !self.covered(self.clock_of(other), earlier);
                        rivals
                            .iter()
                            .filter(apart)
                            .for_each(|&other| self.join(&mut before, other));
                        let initials = self.initials(earlier, lane, &before);
                        self.races.push(Race { first: earlier, initials, lane });
                    }
                    self.join(&mut clock, earlier);
                }
                rivals.clear();
                self.find_enabling(*lock, *mode, &mut rivals);
                rivals.iter().for_each(|&earlier| self.join(&mut clock, earlier));
                rivals.clear();
                self.find_rivals(effects, &mut rivals);
            }
            _ => self.find_rivals(touched, &mut rivals),
        }
        rivals.sort_unstable_by(|a, b| b.cmp(a));
        for &earlier in &rivals {
            if !self.covered(&clock, earlier) {
                if watch == Watch::Races {
                    let initials = self.initials(earlier, lane, &clock);
                    self.races.push(Race { first: earlier, initials, lane });
                }
                self.join(&mut clock, earlier);
            }
        }
        rivals.clear();
        self.clock = clock;
        self.rivals = rivals;
    }

    /// Adds the steps that one which touches `touched` races with, as far as INV-DEP-1 asks to
    /// look.
    fn find_rivals(&self, touched: &[(Object, Sort)], rivals: &mut Vec<Step>) {
        for &(object, sort) in touched {
            for &(earlier, other) in self.log[object as usize].iter().rev() {
                if sort.races(other) {
                    rivals.push(earlier);
                }
                if other.closes() {
                    break;
                }
            }
        }
    }

    /// Adds the steps that gave the lock back and had to, for it to be taken.
    fn find_enabling(&self, lock: Object, mode: Mode, enabling: &mut Vec<Step>) {
        for &(earlier, other) in self.log[lock as usize].iter().rev() {
            match other {
                Sort::Unlock(held) if excludes(held, mode) => enabling.push(earlier),
                other if other.closes() => break,
                _ => {}
            }
        }
    }

    fn join(&self, clock: &mut [u32], step: Step) {
        join(clock, self.clock_of(step));
    }

    /// The lanes that can come first when all that follows `first` and does not depend on it, and
    /// then the step of `lane` with `clock`, are executed in place of `first`.
    fn initials(&self, first: Step, lane: usize, clock: &[u32]) -> LaneSet {
        let (first_lane, first_place) = self.steps[first];
        let mut seen = LaneSet::one(first_lane);
        let mut heads: [(usize, Step, u32); crate::lane::MAX_LANES] =
            [(0, 0, 0); crate::lane::MAX_LANES];
        let mut count = 0;
        for step in first + 1..self.steps.len() {
            let (lane, place) = self.steps[step];
            if seen.contains(lane) {
                continue;
            }
            seen.insert(lane);
            if self.clock_of(step)[first_lane] < first_place {
                heads[count] = (lane, step, place);
                count += 1;
            }
            if seen.len() == self.lanes {
                break;
            }
        }
        let heads = &heads[..count];
        let comes_first = |own: usize, clock: &[u32]| {
            heads.iter().all(|&(lane, _, place)| lane == own || clock[lane] < place)
        };
        let mut initials = LaneSet::default();
        for &(lane, step, _) in heads {
            if comes_first(lane, self.clock_of(step)) {
                initials.insert(lane);
            }
        }
        if heads.iter().all(|&(other, ..)| other != lane) && comes_first(lane, clock) {
            initials.insert(lane);
        }
        initials
    }
}

/// Whether to note races.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Watch {
    Races,
    /// They were noted when the same steps were made before.
    Nothing,
}

#[cfg(test)]
mod tests;
