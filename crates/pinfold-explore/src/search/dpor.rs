//! Depth-first search with dynamic partial-order reduction: source sets and sleep sets (Abdulla et
//! al., "Source Sets", JACM 2017), extended by options, waiting and attached effects.
//!
//! * When two dependent steps of different lanes are found with nothing ordered between them, a
//!   lane that leads to the other order is added where the first of them was picked, unless one
//!   that does is there already.
//! * A lane whose step was tried everywhere it leads sleeps while independent steps follow; an
//!   execution where only sleeping lanes could go on is redundant.
//! * Options: every option of a step is tried. Under a weak memory model an option that goes behind
//!   the last change of a cell is offered only if that change is ordered before the lane
//!   (`behind`): otherwise the same behaviour appears in an execution where the lane went earlier.
//!   Moving such a step before the change strictly lowers the number of steps that go behind an
//!   executed change and keeps every other order, so every behaviour has an execution in which all
//!   options are offered.
//! * Waiting: a lane whose value is taken away by another's change never gets to make its step, so
//!   the race with the change is looked for when the lane blocks and again at each later change.
//! * What a step with a withheld option might have given back counts as given back with any of its
//!   options: an attempt at such a lock is what would settle the change, so it must be tried both
//!   ways round.
//! * Effects: what a lane does between two steps belongs to the earlier one, and so does what the
//!   lanes that it starts do before their first. What a sleeping lane's step gave back is remembered;
//!   a step that forgets cells does not sleep.
//! * Lanes that start lanes: numbers go by the order of starting, so a number means one lane within
//!   the executions that share a beginning. Nothing compares numbers otherwise: a set of lanes
//!   belongs to a node, and its lanes were there when the node was made.
//! * Jobs: the search may be confined to the executions that begin with the steps of a [`Job`], and
//!   a job may be divided into smaller ones. Within the steps of a job every lane that is awake was
//!   tried, by this job or by another, so races whose first step lies there ask for nothing.

mod saved;

use super::{
    Advance, Effect, Frontier, LaneSet, Moment, Pick, Strategy, Touch, ahead,
    dependence::{Dependence, Race, Watch},
};
use crate::{
    job::{Job, Sleeper},
    lane::MAX_LANES,
    memory::Behind,
    object::Object,
    position::Position,
    report::Ahead,
};
use std::cell::Cell;

/// One step of the execution at hand, with what was tried and is still to be tried in its place.
#[derive(Default)]
struct Node {
    lane: usize,
    touch: Option<Touch>,
    enabled: LaneSet,
    /// The enabled lanes that did not sleep when the search first came here.
    awake: LaneSet,
    /// The lanes to try here, including those tried.
    source: LaneSet,
    /// The lanes whose turn here is over.
    tried: LaneSet,
    /// The lanes that need not be tried here: from earlier nodes, or tried here with a step that
    /// may sleep.
    sleep: LaneSet,
    /// What the sleeping lanes' steps gave back.
    gave_back: Vec<(usize, Object)>,
    /// The options of the step, if there are several, and the one in force.
    options: Vec<u32>,
    option: usize,
    /// What this step did besides.
    effects: Vec<Effect>,
    /// The locks that the step of this lane gave back with any of its options.
    unlocked: Vec<Object>,
    forgets: bool,
}

/// See the module.
#[derive(Default)]
pub(crate) struct Dpor {
    stack: Vec<Node>,
    depth: usize,
    /// Steps before this one were made before, with the same races.
    fresh: usize,
    /// Whether the last step is still to be put into the order.
    unordered: bool,
    order: Dependence,
    /// How many steps at the beginning belong to the job, and stay as they are.
    root: usize,
    extent: Extent,
    frontier: Frontier,
    /// The last step that was asked for an option, counted from 1.
    asked: usize,
    /// Whether the execution makes other steps possible than those on the stack.
    astray: bool,
    /// What the steps before the last should touch, until that has been seen.
    expected: Option<u64>,
    /// Whether options of the step at hand were withheld.
    withheld: Cell<bool>,
}

/// How far the search goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Extent {
    /// To the end of each execution.
    #[default]
    Whole,
    /// Past the first step with an alternative: all its alternatives are tried.
    Split,
}

impl Dpor {
    /// The search among the executions of one job.
    pub(crate) fn within(job: &Job) -> Self {
        let mut stack: Vec<Node> = job
            .steps()
            .iter()
            .map(|step| Node { lane: step.lane, options: vec![step.choice], ..Node::default() })
            .collect();
        if let Some(last) = stack.last_mut() {
            for sleeper in job.sleepers() {
                last.sleep.insert(sleeper.lane);
                last.gave_back.extend(sleeper.gave_back.iter().map(|&lock| (sleeper.lane, lock)));
            }
        }
        Self { root: stack.len(), stack, ..Self::default() }
    }

    /// Divides a job: each execution ends behind the first step that has an alternative.
    pub(crate) fn split(job: &Job) -> Self {
        Self { extent: Extent::Split, ..Self::within(job) }
    }

    /// Whether a step after those of the job had an alternative.
    fn has_branched(&self) -> bool {
        self.stack[self.root..].iter().any(|node| node.awake.len() > 1 || node.options.len() > 1)
    }

    fn reverse_races(&mut self) {
        for Race { first, initials, lane } in self.order.races() {
            if first < self.root {
                continue;
            }
            let node = &mut self.stack[first];
            if !(initials & (node.source | node.sleep)).is_empty() {
                continue;
            }
            let possible = initials & node.enabled;
            if possible.contains(lane) {
                node.source.insert(lane);
            } else if let Some(first) = possible.first() {
                node.source.insert(first);
            } else {
                node.source = node.source | node.enabled;
            }
        }
    }

    /// Notes races of lanes that cannot make their step, or may lose the chance to.
    fn watch_waiting(&mut self, moment: &Moment<'_>) {
        for (lane, touch) in moment.pending.iter().enumerate() {
            let Some(Touch::Wait(cell)) = *touch else { continue };
            // It has announced what it waits for by its own last step, or when it was born in that of
            // another.
            let announced = moment.last == Some(lane)
                || self
                    .stack
                    .last()
                    .is_some_and(|node| node.effects.contains(&Effect::Spawn(lane)));
            let blocked_now = announced && !moment.enabled.contains(lane);
            if blocked_now || self.order.just_changed(cell) {
                self.order.wait(lane, cell);
            }
        }
        self.reverse_races_of_waiting();
    }

    /// Where the waiting lane could not have gone either, another change must come first: that is a
    /// race of its own.
    fn reverse_races_of_waiting(&mut self) {
        let stack = &self.stack;
        self.order.keep_races(|race| {
            let only_waiter = race.initials == LaneSet::one(race.lane);
            !only_waiter || stack[race.first].enabled.contains(race.lane)
        });
        self.reverse_races();
    }

    /// The lanes that still sleep after the last step, with what they gave back.
    fn sleepers(&self, moment: &Moment<'_>) -> (LaneSet, Vec<(usize, Object)>) {
        let Some(node) = self.stack.last() else { return Default::default() };
        let mut sleep = node.sleep;
        for lane in node.sleep.iter() {
            let wants = moment.pending.get(lane).copied().flatten();
            let woken = lane == node.lane
                || wants.is_none_or(|wants| node.disturbs(wants))
                || node.gave_back.iter().any(|&(other, lock)| {
                    other == lane
                        && matches!(node.touch, Some(Touch::TryLock(tried, _)) if tried == lock)
                });
            if woken {
                sleep.remove(lane);
            }
        }
        let gave_back =
            node.gave_back.iter().copied().filter(|&(lane, _)| sleep.contains(lane)).collect();
        (sleep, gave_back)
    }
}

impl Node {
    /// Whether this step and one that wants to touch `wants` are dependent.
    fn disturbs(&self, wants: Touch) -> bool {
        self.touch.is_some_and(|touch| touch.depends_on(wants))
            || self.effects.iter().any(|effect| match (*effect, wants) {
                (Effect::Unlock(lock, _) | Effect::MayUnlock(lock), Touch::TryLock(wanted, _)) => {
                    lock == wanted
                }
                (
                    Effect::Forget(cell),
                    Touch::Read(wanted) | Touch::Write(wanted) | Touch::Wait(wanted),
                ) => cell == wanted,
                _ => false,
            })
    }
}

impl Strategy for Dpor {
    fn begin(&mut self, lanes: usize) {
        self.depth = 0;
        self.fresh = self.stack.len().saturating_sub(1);
        self.unordered = false;
        (self.asked, self.astray) = (0, false);
        self.frontier = Frontier::Ended;
        self.order.begin(lanes);
    }

    fn spawned(&mut self, lane: usize) {
        self.order.spawned(lane);
        self.attached(Effect::Spawn(lane));
    }

    fn pick(&mut self, moment: &Moment<'_>) -> Pick {
        self.withheld.set(false);
        if let Some(node) = self.stack.get(self.depth) {
            let (lane, step) = (node.lane, self.depth);
            self.astray |= step >= self.root && node.enabled != moment.enabled;
            if step + 1 == self.stack.len()
                && let Some(expected) = self.expected.take()
            {
                self.astray |= self.trail(step) != expected;
            }
            self.depth += 1;
            // The engine finds this lane not enabled, and says so.
            return Pick::Lane(if self.astray { MAX_LANES } else { lane });
        }
        if self.astray {
            return Pick::Lane(MAX_LANES);
        }
        self.watch_waiting(moment);
        let (sleep, gave_back) = self.sleepers(moment);
        let awake = moment.enabled.without(sleep);
        let goes_on = moment.last.filter(|&lane| awake.contains(lane));
        let Some(lane) = goes_on.or(awake.first()) else {
            if !moment.enabled.is_empty() {
                self.frontier = Frontier::Asleep;
            }
            return Pick::Redundant;
        };
        let source = match self.extent {
            Extent::Split if self.has_branched() => {
                self.frontier = Frontier::Open;
                return Pick::Redundant;
            }
            Extent::Split => awake,
            Extent::Whole => LaneSet::one(lane),
        };
        self.stack.push(Node {
            lane,
            enabled: moment.enabled,
            awake,
            source,
            sleep,
            gave_back,
            ..Node::default()
        });
        self.depth += 1;
        Pick::Lane(lane)
    }

    fn behind(&self, lane: usize, cell: Object) -> Behind {
        let settled = self.order.is_settled(lane, cell);
        self.withheld.set(!settled);
        if settled { Behind::Offered } else { Behind::Withheld }
    }

    fn option(&mut self, options: &[u32]) -> u32 {
        let step = self.depth - 1;
        let node = &mut self.stack[step];
        self.asked = self.depth;
        if node.options.is_empty() && step >= self.fresh {
            node.options.extend_from_slice(options);
        }
        self.astray |= step >= self.root && node.options != options;
        // The steps of a job come from elsewhere; what they cannot have meant is not followed.
        let wanted = node.options.get(node.option).filter(|wanted| options.contains(wanted));
        wanted.copied().unwrap_or(options[0])
    }

    fn executed(&mut self, lane: usize, touch: Touch) {
        let node = &mut self.stack[self.depth - 1];
        self.astray |= node.options.len() > 1 && self.asked != self.depth;
        node.touch = Some(touch);
        node.effects.clear();
        if self.withheld.get() {
            for lock in self.order.held(lane) {
                node.effects.push(Effect::MayUnlock(lock));
                if !node.unlocked.contains(&lock) {
                    node.unlocked.push(lock);
                }
            }
        }
        self.unordered = true;
    }

    fn attached(&mut self, effect: Effect) {
        let Some(step) = self.depth.checked_sub(1) else { return };
        let node = &mut self.stack[step];
        node.effects.push(effect);
        match effect {
            Effect::Unlock(lock, _) if node.unlocked.contains(&lock) => {}
            Effect::Unlock(lock, _) => node.unlocked.push(lock),
            Effect::Forget(_) => node.forgets = true,
            Effect::Spawn(_) | Effect::MayUnlock(_) => {}
        }
    }

    fn stepped(&mut self) {
        if !std::mem::take(&mut self.unordered) {
            return;
        }
        let step = self.depth - 1;
        let watch = if step >= self.fresh { Watch::Races } else { Watch::Nothing };
        let node = &self.stack[step];
        let Some(touch) = node.touch else { return };
        self.order.push(node.lane, touch, &node.effects, watch);
        match touch {
            Touch::Wait(_) => self.reverse_races_of_waiting(),
            _ => self.reverse_races(),
        }
    }

    fn has_caught_up(&self) -> bool {
        self.depth == self.stack.len() && !self.astray
    }

    fn advance(&mut self) -> Advance {
        while self.stack.len() > self.root
            && let Some(node) = self.stack.last_mut()
        {
            if node.option + 1 < node.options.len() {
                node.option += 1;
                return Advance::Next;
            }
            let lane = node.lane;
            node.tried.insert(lane);
            if node.forgets {
                node.forgets = false;
            } else {
                node.sleep.insert(lane);
                node.gave_back.extend(node.unlocked.iter().map(|&lock| (lane, lock)));
            }
            if let Some(next) = node.source.without(node.tried | node.sleep).first() {
                node.lane = next;
                node.options.clear();
                node.option = 0;
                node.unlocked.clear();
                return Advance::Next;
            }
            self.stack.pop();
        }
        Advance::Exhausted
    }

    fn position(&self) -> Option<Position> {
        Some(self.saved())
    }

    fn ahead(&self) -> Option<Ahead> {
        Some(ahead::open(self.stack.iter().map(|node| {
            let lanes = node.source.without(node.tried | node.sleep | LaneSet::one(node.lane));
            lanes.len() + node.options.len().saturating_sub(node.option + 1)
        })))
    }

    fn frontier(&self) -> Frontier {
        self.frontier
    }

    fn sleepers(&self) -> Vec<Sleeper> {
        let Some(node) = self.stack.last() else { return Vec::new() };
        let gave_back = |lane| node.gave_back.iter().filter(move |gave| gave.0 == lane);
        let sleepers = node.sleep.iter().map(|lane| Sleeper {
            lane,
            gave_back: gave_back(lane).map(|&(_, lock)| lock).collect(),
        });
        sleepers.collect()
    }
}
