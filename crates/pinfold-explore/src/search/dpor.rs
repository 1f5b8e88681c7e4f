//! Depth-first search with dynamic partial-order reduction: source sets and sleep sets (Abdulla et
//! al., "Source Sets", JACM 2017), extended by options, waiting and attached effects.
//!
//! * When two dependent steps of different lanes are found with nothing ordered between them, a
//!   lane that leads to the other order is added where the first of them was picked, unless such a
//!   lane is already there.
//! * A lane whose step has been explored with all that can follow it sleeps while independent steps
//!   follow; an execution in which only sleeping lanes could run is redundant.
//! * Options: every option of a step is tried. Under a weak memory model an option that goes back
//!   past the last change of a cell is offered only if that change is ordered before the lane
//!   (`behind`): otherwise the same behaviour appears in an execution where the lane ran earlier.
//!   Moving such a step before the change strictly lowers the number of steps that go back past an
//!   executed change and keeps every other order, so every behaviour has an execution in which all
//!   its options are offered. A search that remembers states does the same at cells, where the last
//!   store is the one that was executed last; to those that wait and at locks it offers them all.
//! * Waiting: a lane whose awaited value is overwritten by another lane never gets to make its
//!   step, so the race with the change is looked for when the lane blocks and again at each later
//!   change.
//! * Locks: a lane that is locked out when nothing new can follow never makes its step either, so
//!   its races with the acquisitions that exclude it are looked for then.
//! * Sleep: what a sleeping lane's step touched, with any of its options, is remembered, so that it
//!   is woken by a step that disturbs it and by nothing else. A lane woken needlessly would repeat
//!   what was done elsewhere, and races found on the way would seem to be covered by it.
//! * Between two steps: what a lane does there belongs to the earlier one, and so does what the
//!   lanes that it starts do before their first. Only starting a lane orders anything. A lane that
//!   ends or reinitialises a cell has it to itself, by an order that already exists; otherwise
//!   there is a data race, whichever access comes first.
//! * Lanes that start lanes: numbers follow the order in which lanes start, so a number means the
//!   same lane in all executions that share a prefix. Numbers are compared nowhere else: a set of
//!   lanes belongs to a node, and its lanes existed when the node was made.
//! * States: a search may remember what it explored ([`States`], `known`).
//! * Jobs: the search may be confined to the executions that begin with the steps of a [`Job`], and
//!   a job may be divided into smaller ones. Within the steps of a job every lane that is awake is
//!   tried, by this job or by another, so races whose first step lies there require nothing.

mod known;
mod saved;
mod stage;

use super::{
    Advance, Dividing, Frontier, Moment, Note, Pick, Resumable, Seat, Strategy, Touch,
    dependence::{Dependence, Later, Race, Watch},
    future::Future,
    rule::Rule,
    states::States,
    touch::CellTouch,
};
use crate::{job::Job, lane::LaneSet, ledger::Name, op::Behind};
use stage::Stage;

/// One step of the current execution, with what was tried and is still to be tried in its place.
#[derive(Default)]
struct Node {
    lane: usize,
    touch: Option<Touch>,
    enabled: LaneSet,
    /// The enabled lanes that were not asleep when the search first reached this node.
    awake: LaneSet,
    /// The lanes to try here, including those already tried.
    source: LaneSet,
    /// The lanes that are done here.
    tried: LaneSet,
    /// The lanes that need not be tried here: from earlier nodes, or tried here with a step that
    /// may sleep.
    sleep: LaneSet,
    /// What the steps of the sleeping lanes touched, with each of their options.
    asleep: Vec<(usize, Touch)>,
    /// The options of the step, if there are several, and the current one.
    options: Vec<u32>,
    option: usize,
    /// What the step of this lane touched with the options that were tried, if there are several.
    touches: Vec<Touch>,
    /// The lanes that this step started.
    started: Vec<usize>,
    /// The state before this step, if the search remembers states. It lies apart, so that nodes
    /// are small.
    stage: Option<Box<Stage>>,
}

/// See the module.
#[derive(Default)]
pub(crate) struct Dpor {
    stack: Vec<Node>,
    depth: usize,
    /// How many steps were on the stack when the current execution began.
    begun: usize,
    /// Steps before this one were made before, with the same races.
    fresh: usize,
    /// Whether the last step is still to be put into the order.
    unordered: bool,
    order: Dependence,
    /// How many steps at the beginning belong to the job, and remain fixed.
    root: usize,
    extent: Extent,
    frontier: Frontier,
    /// The last step that was asked for an option, counted from 1.
    asked: usize,
    /// Whether the execution offers steps other than those on the stack.
    astray: bool,
    /// The hash of what the steps before the last should touch, until it has been checked.
    expected: Option<u64>,
    /// The states that were explored, if the search remembers them.
    states: Option<States>,
    /// What follows the last step of the current execution, and whether that is all.
    beyond: Future,
    beyond_whole: bool,
    /// The name of what the last step touched, and where that was.
    name: Option<Name>,
    seat: Seat,
    /// How many states were remembered.
    added: u64,
}

/// How far the search goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Extent {
    /// To the end of each execution.
    #[default]
    Whole,
    /// Just past the first step with an alternative: all its alternatives are tried.
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
            last.asleep.extend_from_slice(job.asleep());
            job.asleep().iter().for_each(|&(lane, _)| last.sleep.insert(lane));
        }
        Self { root: stack.len(), stack, ..Self::default() }
    }

    /// Divides a job: each execution ends after the first step that has an alternative.
    pub(crate) fn split(job: &Job) -> Self {
        Self { extent: Extent::Split, ..Self::within(job) }
    }

    /// Remembers the states that it explores.
    pub(crate) fn remember(&mut self, states: &States) {
        self.states = Some(states.clone());
    }

    /// Whether a step after those of the job had an alternative.
    fn has_branched(&self) -> bool {
        self.stack[self.root..].iter().any(|node| node.awake.len() > 1 || node.options.len() > 1)
    }

    fn reverse_races(&mut self) {
        if !self.order.has_races() {
            return;
        }
        for Race { first, initials, lane, later } in self.order.races() {
            if first < self.root {
                continue;
            }
            let node = &mut self.stack[first];
            if let Later::Remembered(others) = later {
                node.reverse_remembered(initials, lane, others);
                continue;
            }
            if !(initials & (node.source | node.sleep)).is_empty() {
                continue;
            }
            // If the lane could not have run there either, another step must come first: that is a
            // race of its own.
            let possible = initials & node.enabled;
            if possible.contains(lane) {
                node.source.insert(lane);
            } else if let Some(first) = possible.first()
                && Rule::AnotherInitial.holds()
            {
                node.source.insert(first);
            }
        }
    }

    /// Notes races of lanes that cannot make their step, or may lose the chance to make it.
    fn watch_waiting(&mut self, moment: &Moment<'_>) {
        for (lane, touch) in moment.pending.iter().enumerate() {
            let Some(touch @ Touch::Cell(_, CellTouch::Wait)) = *touch else { continue };
            // The lane announced what it waits for after its own last step or, if it has made none,
            // in the step of another in which it was born.
            let announced = moment.last == Some(lane)
                || self.stack.last().is_some_and(|node| node.started.contains(&lane))
                    && Rule::BornWaiting.holds();
            let blocked_now =
                announced && !moment.fresh.contains(lane) && Rule::BlockedWaits.holds();
            let changed = self.order.just_changed(touch) && Rule::ChangedWaits.holds();
            if blocked_now || changed {
                self.foresee_blocked(lane, touch, moment);
                self.order.blocked(lane, touch);
            }
        }
        self.reverse_races();
    }

    /// Nothing new can follow: notes the races of lanes that are locked out.
    fn watch_locked_out(&mut self, moment: &Moment<'_>) {
        for (lane, touch) in moment.pending.iter().enumerate() {
            let locked_out = |touch: &Touch| {
                touch.is_locked_out_at_times()
                    && !moment.enabled.contains(lane)
                    && Rule::LockedOut.holds()
            };
            if let Some(touch) = touch.filter(locked_out) {
                self.foresee_blocked(lane, touch, moment);
                self.order.blocked(lane, touch);
            }
        }
        self.reverse_races();
    }

    /// The lanes that still sleep after the last step, and what their steps touched.
    fn sleepers(&self) -> (LaneSet, Vec<(usize, Touch)>) {
        let Some(node) = self.stack.last() else { return Default::default() };
        let mut sleep = node.sleep;
        for lane in node.sleep.iter() {
            if lane == node.lane || (node.wakes(lane) && Rule::Wake.holds()) {
                sleep.remove(lane);
            }
        }
        let asleep = node.asleep.iter().copied().filter(|&(lane, _)| sleep.contains(lane));
        (sleep, asleep.collect())
    }
}

impl Node {
    /// Whether this step disturbs that of a sleeping lane.
    fn wakes(&self, lane: usize) -> bool {
        let Some(made) = self.touch else { return false };
        let all = if Rule::WakeForAnyOption.holds() { usize::MAX } else { 1 };
        let touches = self.asleep.iter().filter(|(sleeper, _)| *sleeper == lane);
        touches.take(all).any(|&(_, touch)| made.disturbs(touch))
    }
}

impl Strategy for Dpor {
    fn begin(&mut self, lanes: usize) {
        self.depth = 0;
        self.begun = self.stack.len();
        self.fresh = self.begun.saturating_sub(1);
        self.unordered = false;
        (self.asked, self.astray) = (0, false);
        self.frontier = Frontier::Ended;
        self.order.begin(lanes, self.fresh);
        self.beyond.clear();
        self.beyond_whole = true;
    }

    fn spawned(&mut self, lane: usize, number: usize) {
        self.order.spawned(lane, number);
        self.beyond_whole &= lane == number;
        if let Some(step) = self.depth.checked_sub(1) {
            self.stack[step].started.push(lane);
        }
    }

    fn repeated(&mut self) -> Option<usize> {
        let node = self.stack.get(self.depth)?;
        if self.depth >= self.fresh || self.astray || node.touch.is_none() {
            return None;
        }
        self.depth += 1;
        self.asked = self.depth;
        Some(node.lane)
    }

    fn pick(&mut self, moment: &Moment<'_>) -> Pick {
        if let Some(node) = self.stack.get(self.depth) {
            let (lane, step) = (node.lane, self.depth);
            self.astray |= step >= self.root && node.enabled != moment.enabled;
            if step + 1 == self.stack.len()
                && let Some(expected) = self.expected.take()
            {
                self.astray |= self.trail(step) != expected;
            }
            self.depth += 1;
            return if self.astray { Pick::Astray } else { Pick::Lane(lane) };
        }
        if self.astray {
            return Pick::Astray;
        }
        self.watch_waiting(moment);
        let (sleep, asleep) = self.sleepers();
        let awake = moment.enabled.without(sleep);
        // Lanes that could only see a stale value run last: a hang is then met, if there is one.
        let fresh = awake & moment.fresh;
        let fresh = if Rule::StaleLast.holds() { fresh } else { awake };
        let goes_on = moment.last.filter(|&lane| fresh.contains(lane));
        let Some(lane) = goes_on.or(fresh.first()).or(awake.first()) else {
            if !moment.enabled.is_empty() {
                self.watch_locked_out(moment);
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
        let mut stage = self.states.is_some().then(|| Box::new(self.stage(moment, sleep)));
        if let Some(stage) = &mut stage {
            if self.is_remembered(moment, stage) {
                return Pick::Remembered;
            }
            stage.future = std::mem::take(&mut self.beyond);
        }
        self.stack.push(Node {
            stage,
            lane,
            enabled: moment.enabled,
            awake,
            source,
            sleep,
            asleep,
            ..Node::default()
        });
        self.depth += 1;
        Pick::Lane(lane)
    }

    fn behind(&self, lane: usize, touch: Touch) -> Behind {
        let always = self.states.is_some() && !touch.may_be_withheld();
        let offered = (always || self.order.is_settled(lane, touch)) && Rule::Behind.holds();
        if offered { Behind::Offered } else { Behind::Withheld }
    }

    fn option(&mut self, options: &[u32]) -> u32 {
        let step = self.depth - 1;
        let node = &mut self.stack[step];
        self.asked = self.depth;
        if node.options.is_empty() && step >= self.fresh {
            node.options.extend_from_slice(options);
        }
        self.astray |= step >= self.root && node.options != options;
        // The steps of a job come from outside; a choice that cannot have been meant is not
        // followed.
        let wanted = node.options.get(node.option).filter(|wanted| options.contains(wanted));
        wanted.copied().unwrap_or(options[0])
    }

    fn executed(&mut self, _lane: usize, touch: Touch, name: Option<Name>, seat: Seat) {
        (self.name, self.seat) = (name, seat);
        let node = &mut self.stack[self.depth - 1];
        self.astray |= node.options.len() > 1 && self.asked != self.depth;
        self.astray |= self.depth <= self.fresh && node.touch.is_some_and(|known| known != touch);
        node.touch = Some(touch);
        if node.options.len() > 1 && !node.touches.contains(&touch) {
            node.touches.push(touch);
        }
        node.started.clear();
        self.unordered = true;
    }

    fn stepped(&mut self) {
        if !std::mem::take(&mut self.unordered) {
            return;
        }
        let step = self.depth - 1;
        let watch = if step >= self.fresh { Watch::Races } else { Watch::Nothing };
        let node = &self.stack[step];
        let (lane, Some(touch)) = (node.lane, node.touch) else { return };
        let known = self.foreknown(lane, touch);
        self.order.push(lane, touch, &self.stack[step].started, watch);
        if watch == Watch::Races {
            self.enter_step(step, touch, known);
        }
        self.reverse_races();
    }

    fn remembers(&self) -> bool {
        self.states.is_some()
    }

    fn note(&mut self, lane: usize, note: Note, known: &[u32]) {
        if let Some(step) = self.depth.checked_sub(1)
            && step >= self.fresh
        {
            self.enter_note(step, lane, note, known);
        }
    }

    fn truncated(&mut self) {
        self.beyond_whole = false;
    }

    fn advance(&mut self) -> Advance {
        while self.stack.len() > self.root {
            self.enter_beyond();
            let Some(node) = self.stack.last_mut() else { break };
            if node.option + 1 < node.options.len() && Rule::Options.holds() {
                node.option += 1;
                return Advance::Next;
            }
            let lane = node.lane;
            node.tried.insert(lane);
            node.sleep.insert(lane);
            let Some(next) = node.source.without(node.tried | node.sleep).first() else {
                self.leave_node();
                continue;
            };
            let only = node.touch.filter(|_| node.touches.is_empty());
            node.asleep.extend(node.touches.drain(..).chain(only).map(|touch| (lane, touch)));
            node.lane = next;
            node.options.clear();
            node.option = 0;
            return Advance::Next;
        }
        Advance::Exhausted
    }

    fn resumable(&mut self) -> Option<&mut dyn Resumable> {
        Some(self)
    }

    fn dividing(&self) -> Option<&dyn Dividing> {
        Some(self)
    }
}

impl Dividing for Dpor {
    fn frontier(&self) -> Frontier {
        self.frontier
    }

    fn asleep(&self) -> Vec<(usize, Touch)> {
        self.stack.last().map_or_else(Vec::new, |node| node.asleep.clone())
    }
}
