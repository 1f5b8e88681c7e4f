//! The dependence order of one execution, as vector clocks.
//!
//! Two steps are dependent if they belong to one lane, or if [`Touch::before`] says so; the order
//! is the transitive closure in the order of execution. Swapping independent neighbours gives an
//! equivalent execution.
//!
//! INV-DEP-1: a step that [`Touch::closes`] an object is ordered after everything that touched the
//! object before, so a backward scan from a later step may stop there.
//! INV-DEP-2: a step that waits for a lock is ordered after the unlocks of that lock, which is not
//! a race: it could not have come before them. Its races are with the acquisitions. Which of them
//! it could have preceded depends on where the lock was free in between.
//! INV-DEP-3: starting a lane is not a step. All steps of the lane are ordered after the step that
//! it belongs to. The step that sees a lane end is ordered after all steps of the lane; neither
//! order could be reversed, so neither is a race.

use super::{
    rule::Rule,
    touch::{Relation, Touch},
};
use crate::{
    clock::{Clocks, join},
    lane::{LaneSet, MAX_LANES},
};

/// The number of a step within its execution.
pub(crate) type Step = usize;

/// Two dependent steps of different lanes with no step ordered between them: the first could also
/// come after the second.
pub(crate) struct Race {
    /// The earlier step.
    pub(crate) first: Step,
    /// The lanes that could run in place of `first` to bring about the other order.
    pub(crate) initials: LaneSet,
    /// The lane of the later step.
    pub(crate) lane: usize,
    pub(crate) later: Later,
}

/// Which step the later one of a race is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Later {
    /// One that was made, or that a lane waits to make.
    Here,
    /// One of a remembered future: steps of these lanes may have to come first. The initials are
    /// those of the steps made here.
    Remembered(LaneSet),
}

/// An earlier step on which the current step depends.
#[derive(Clone, Copy)]
struct Rival {
    step: Step,
    touch: Touch,
    relation: Relation,
}

/// See the module.
#[derive(Default)]
pub(crate) struct Dependence {
    lanes: usize,
    /// The number of the lane at each place.
    numbers: Vec<usize>,
    /// The last clocks of lanes whose place another lane has taken, by number.
    ended: Vec<(usize, Vec<u32>)>,
    /// How many steps this execution has made.
    made: usize,
    /// The lane of each step, and its place among the steps of the lane, from 1. Those beyond
    /// `made` are about to be repeated.
    steps: Vec<(usize, u32)>,
    /// For each step, a clock: how many steps of each lane are ordered before it, itself included.
    clocks: Clocks,
    /// For each lane, the clock of its last step; before its first, that of the step that started
    /// it.
    lane_clocks: Clocks,
    /// For each object, the steps that touched it, in order.
    log: Vec<Vec<(Step, Touch)>>,
    races: Vec<Race>,
    /// The clock of the current step; this and `rivals` are buffers.
    clock: Vec<u32>,
    rivals: Vec<Rival>,
    /// Two more, for clocks of takings.
    buffers: [Vec<u32>; 2],
}

impl Dependence {
    /// Begins an execution whose first `repeated` steps are those of the last one.
    pub(crate) fn begin(&mut self, lanes: usize, repeated: usize) {
        self.lanes = 0;
        self.made = 0;
        self.numbers.clear();
        self.ended.clear();
        self.steps.truncate(repeated);
        self.clocks.truncate(repeated);
        self.lane_clocks.reset(0);
        (0..lanes).for_each(|lane| self.spawned(lane, lane));
        for log in &mut self.log {
            let kept = log.partition_point(|&(step, _)| step < repeated);
            log.truncate(kept);
        }
        self.races.clear();
    }

    /// Adds a lane, at a new place or at that of a lane that has ended.
    pub(crate) fn spawned(&mut self, lane: usize, number: usize) {
        if let Some(known) = self.numbers.get_mut(lane) {
            let former = std::mem::replace(known, number);
            self.ended.push((former, self.lane_clocks.row(lane).to_vec()));
            return;
        }
        self.numbers.push(number);
        self.lanes = lane + 1;
        self.clocks.widen(self.lanes);
        self.lane_clocks.widen(self.lanes);
        self.lane_clocks.grow(self.lanes);
    }

    /// The current step comes after all steps of the lane with this number, which has ended.
    fn join_lane(&mut self, number: usize) {
        if let Some((_, clock)) = self.ended.iter().find(|(ended, _)| *ended == number) {
            join(&mut self.clock, clock);
        } else if let Some(lane) = self.numbers.iter().position(|&there| there == number) {
            join(&mut self.clock, self.lane_clocks.row(lane));
        }
    }

    /// Whether races were found since [`Self::races`] was called last.
    pub(crate) fn has_races(&self) -> bool {
        !self.races.is_empty()
    }

    /// The races found since the last call.
    pub(crate) fn races(&mut self) -> std::vec::Drain<'_, Race> {
        self.races.drain(..)
    }

    fn covered(&self, clock: &[u32], step: Step) -> bool {
        let (lane, place) = self.steps[step];
        clock[lane] >= place
    }

    fn clock_of(&self, step: Step) -> &[u32] {
        self.clocks.row(step)
    }

    /// Whether the last change that the step of the lane could notice is ordered before it (or
    /// there was none).
    pub(crate) fn is_settled(&self, lane: usize, touch: Touch) -> bool {
        let log = touch.object().and_then(|object| self.log.get(object as usize));
        let shows = |(step, earlier): &&(Step, Touch)| *step < self.made && earlier.shows(touch);
        let last = log.and_then(|log| log.iter().rev().find(shows));
        last.is_none_or(|&(change, _)| self.covered(self.lane_clocks.row(lane), change))
    }

    /// Whether the last change that a step of a lane with this touch could notice is known to a
    /// clock, unless the lane made it itself (or there was none).
    pub(crate) fn is_known(&self, touch: Touch, clock: &[u32]) -> bool {
        let log = touch.object().and_then(|object| self.log.get(object as usize));
        let last = log.and_then(|log| log.iter().rev().find(|(_, earlier)| earlier.shows(touch)));
        last.is_some_and(|&(change, _)| self.covered(clock, change))
    }

    /// Whether the last step changed what `touch` looks at.
    pub(crate) fn just_changed(&self, touch: Touch) -> bool {
        let log = touch.object().and_then(|object| self.log.get(object as usize));
        let mut last =
            log.into_iter().flatten().rev().take_while(|(step, _)| step + 1 == self.steps.len());
        last.any(|(_, earlier)| earlier.shows(touch))
    }

    /// `lane` has made a step, and started these lanes.
    pub(crate) fn push(&mut self, lane: usize, touch: Touch, started: &[usize], watch: Watch) {
        if self.made == self.steps.len() {
            self.append(lane, touch, started, watch);
        }
        debug_assert_eq!(self.steps[self.made].0, lane, "what is repeated is as it was");
        let clock = self.clocks.row(self.made);
        self.lane_clocks.row_mut(lane).copy_from_slice(clock);
        for &lane in started.iter().filter(|_| Rule::StartedAfter.holds()) {
            self.lane_clocks.row_mut(lane).copy_from_slice(clock);
        }
        self.made += 1;
    }

    /// Puts a step that is not repeated into the order.
    fn append(&mut self, lane: usize, touch: Touch, started: &[usize], watch: Watch) {
        let step = self.steps.len();
        self.look_back(lane, touch, watch);
        if let Touch::Join(number) = touch {
            self.join_lane(number);
        }
        // A lane that starts another at the place of a third knows that the third has ended.
        for &lane in started {
            join(&mut self.clock, self.lane_clocks.row(lane));
        }
        if let Some(object) = touch.object() {
            self.log[object as usize].push((step, touch));
        }
        self.clock[lane] += 1;
        self.steps.push((lane, self.clock[lane]));
        self.clocks.push(&self.clock);
    }

    /// How many steps of each lane come before the next step of the lane.
    pub(crate) fn lane_clock(&self, lane: usize) -> &[u32] {
        self.lane_clocks.row(lane)
    }

    /// The clock of the last step.
    pub(crate) fn last_clock(&self) -> &[u32] {
        self.clocks.row(self.steps.len() - 1)
    }

    /// Adds to a clock how many steps of each lane come at least before what `lane`, which may not
    /// have started yet, does in a remembered future, if that comes after a later step of each of
    /// the lanes `after`.
    pub(crate) fn bound(&self, lane: usize, after: LaneSet, clock: &mut [u32]) {
        for known in (0..self.lanes).filter(|&known| known == lane || after.contains(known)) {
            join(clock, self.lane_clocks.row(known));
        }
        for known in (0..self.lanes).filter(|&known| after.contains(known)) {
            clock[known] = clock[known].max(self.lane_clocks.row(known)[known] + 1);
        }
    }

    /// Adds to a clock what was made here and comes before a later step with this touch.
    pub(crate) fn join_rivals(&self, touch: Touch, clock: &mut [u32]) {
        let log = touch.object().and_then(|object| self.log.get(object as usize));
        for &(step, earlier) in log.into_iter().flatten().rev() {
            if earlier.before(touch) != Relation::Independent {
                self.join(clock, step);
            }
            if earlier.closes() {
                break;
            }
        }
    }

    /// `lane` will make this step in a remembered future, with at least what is in `clock` before
    /// it, and perhaps after later steps of `others`: finds the races with what was made here, and
    /// adds what was made here and comes before the step.
    pub(crate) fn foresee(
        &mut self,
        lane: usize,
        touch: Touch,
        clock: &mut [u32],
        others: LaneSet,
    ) {
        let watch = Watch::Future(others);
        let mut rivals = std::mem::take(&mut self.rivals);
        rivals.clear();
        self.find_rivals(touch, &mut rivals);
        if touch.is_locked_out_at_times() {
            self.precede_takings(lane, clock, &rivals, watch);
            let enabling = rivals.iter().filter(|rival| rival.relation == Relation::Enables);
            enabling.for_each(|rival| self.join(clock, rival.step));
        }
        self.precede(lane, clock, &rivals, watch);
        self.rivals = rivals;
    }

    /// `lane` cannot make its step: finds the races with what it would have to precede.
    pub(crate) fn blocked(&mut self, lane: usize, touch: Touch) {
        let (mut clock, rivals) = self.gather(lane, touch);
        if touch.is_locked_out_at_times() {
            self.precede_takings(lane, &mut clock, &rivals, Watch::Races);
        } else {
            self.precede(lane, &mut clock, &rivals, Watch::Races);
        }
        (self.clock, self.rivals) = (clock, rivals);
    }

    /// Sets the current clock to what the next step of `lane` depends on, and notes the races on
    /// the way.
    fn look_back(&mut self, lane: usize, touch: Touch, watch: Watch) {
        let (mut clock, rivals) = self.gather(lane, touch);
        if touch.is_locked_out_at_times() {
            self.precede_takings(lane, &mut clock, &rivals, watch);
            let enabling = rivals.iter().filter(|rival| rival.relation == Relation::Enables);
            enabling.for_each(|rival| self.join(&mut clock, rival.step));
        }
        self.precede(lane, &mut clock, &rivals, watch);
        (self.clock, self.rivals) = (clock, rivals);
    }

    /// Returns what the lane depends on before it makes its next step, and the other steps on which
    /// that step depends, latest first. They are in the buffers, which the caller must put back.
    fn gather(&mut self, lane: usize, touch: Touch) -> (Vec<u32>, Vec<Rival>) {
        let mut clock = std::mem::take(&mut self.clock);
        let mut rivals = std::mem::take(&mut self.rivals);
        clock.clear();
        clock.extend_from_slice(self.lane_clocks.row(lane));
        rivals.clear();
        self.find_rivals(touch, &mut rivals);
        (clock, rivals)
    }

    /// An earlier step that is already ordered before a later one is not a race.
    fn precede(&mut self, lane: usize, clock: &mut [u32], rivals: &[Rival], watch: Watch) {
        for &Rival { step, relation, .. } in rivals {
            if relation == Relation::Race && !self.covered(clock, step) {
                self.note(step, lane, clock, watch);
                self.join(clock, step);
            }
        }
    }

    /// A lock acquisition that waits: INV-DEP-2.
    ///
    /// It could have come before any acquisition that its lane does not know of, after those
    /// acquisitions and unlocks that do not depend on that one. Between two acquisitions that share
    /// the lock it may never have been free; so coming before the second does not also cover coming
    /// before the first, and both are considered.
    fn precede_takings(&mut self, lane: usize, clock: &mut [u32], rivals: &[Rival], watch: Watch) {
        let mut buffers = std::mem::take(&mut self.buffers);
        let [own, before] = &mut buffers;
        own.clear();
        own.extend_from_slice(clock);
        let takings = rivals.iter().filter(|rival| rival.touch.takes());
        for &Rival { step, touch, .. } in takings {
            let one_by_one = !touch.closes() && Rule::TakingsOneByOne.holds();
            let known = if one_by_one { &**own } else { &*clock };
            if self.covered(known, step) {
                continue;
            }
            if watch != Watch::Nothing {
                before.clone_from(own);
                let apart = |rival: &&Rival| {
                    !self.covered(self.clock_of(rival.step), step) && Rule::TakingsApart.holds()
                };
                rivals.iter().filter(apart).for_each(|rival| self.join(before, rival.step));
                self.note(step, lane, before, watch);
            }
            self.join(clock, step);
        }
        self.buffers = buffers;
    }

    fn note(&mut self, first: Step, lane: usize, clock: &[u32], watch: Watch) {
        let (initials, later) = match watch {
            Watch::Nothing => return,
            Watch::Races => (self.initials(first, Some((lane, clock))), Later::Here),
            Watch::Future(others) => (self.initials(first, None), Later::Remembered(others)),
        };
        self.races.push(Race { first, initials, lane, later });
    }

    /// Adds the steps on which a step with this touch depends, looking back as far as INV-DEP-1
    /// requires.
    fn find_rivals(&mut self, touch: Touch, rivals: &mut Vec<Rival>) {
        let Some(object) = touch.object().map(|object| object as usize) else { return };
        if self.log.len() <= object {
            self.log.resize_with(object + 1, Vec::new);
        }
        for &(step, earlier) in self.log[object].iter().rev() {
            let relation = earlier.before(touch);
            if relation != Relation::Independent {
                rivals.push(Rival { step, touch: earlier, relation });
            }
            if earlier.closes() {
                break;
            }
        }
    }

    fn join(&self, clock: &mut [u32], step: Step) {
        join(clock, self.clock_of(step));
    }

    /// The lanes that can come first when everything that follows `first` and does not depend on
    /// it, and then the `next` step of a lane with its clock, is executed in place of `first`.
    fn initials(&self, first: Step, next: Option<(usize, &[u32])>) -> LaneSet {
        let (first_lane, first_place) = self.steps[first];
        let mut seen = LaneSet::one(first_lane);
        let mut heads: [(usize, Step, u32); MAX_LANES] = [(0, 0, 0); MAX_LANES];
        let mut count = 0;
        for step in first + 1..self.steps.len() {
            let (lane, place) = self.steps[step];
            if seen.contains(lane) {
                continue;
            }
            seen.insert(lane);
            let depends = self.clock_of(step)[first_lane] >= first_place;
            if !depends || !Rule::InitialsIndependent.holds() {
                heads[count] = (lane, step, place);
                count += 1;
            }
            if seen.len() == self.lanes {
                break;
            }
        }
        let heads = &heads[..count];
        let comes_first = |own: usize, clock: &[u32]| {
            let first = |&(lane, _, place): &(usize, Step, u32)| {
                lane == own || clock[lane] < place || !Rule::InitialsFirst.holds()
            };
            heads.iter().all(first)
        };
        let mut initials = LaneSet::default();
        for &(lane, step, _) in heads {
            if comes_first(lane, self.clock_of(step)) {
                initials.insert(lane);
            }
        }
        if let Some((lane, clock)) = next
            && heads.iter().all(|&(other, ..)| other != lane)
            && comes_first(lane, clock)
        {
            initials.insert(lane);
        }
        initials
    }
}

/// Whether to note races.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Watch {
    Races,
    /// Those of a step that a remembered future has; steps of these lanes may have to come first.
    Future(LaneSet),
    /// They were noted when the same steps were made before.
    Nothing,
}

#[cfg(test)]
mod tests;
