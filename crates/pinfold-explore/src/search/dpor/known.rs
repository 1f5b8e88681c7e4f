//! States that were explored before (stateful partial-order reduction: Yang, Chen, Gopalakrishnan
//! and Kirby, SPIN 2008).
//!
//! Before each new step the search asks whether it has explored the same state ([`Ledger`] says
//! what makes it the same), with no lane asleep that is awake now. If so nothing new can follow,
//! except that the past differs: the races of the remembered future with the steps made here are
//! looked for, and so are its data races with what was done here.
//!
//! * A step of a remembered future races with a step made here as if it had been made, but what
//!   comes before it in the future is not known. If steps were made here after the earlier step and
//!   independently of it, the first of them can begin the other order: a lane of one of these
//!   covers the race if it is tried or asleep. If there is none, what begins the other order is a
//!   step of the lane itself or of one after whose steps it may come (`Seen::most`), and all of
//!   these are tried. It is not enough that the lane of the later step is tried already: the races
//!   of its own step may be covered by an order in which a third lane comes first, whose races are
//!   covered by this one in turn (`tests/states.rs` has a program).
//! * What comes before a step in every execution of the future comes after all that was made here
//!   and that it depends on. So a step under a lock races with nothing that was made here before
//!   the release of that lock: only the takings race.
//! * A lane that waits in the future for a lock has no more before it than its own past: that it
//!   came after the release is a consequence of who took the lock first.
//! * The races of lanes that cannot make their step are part of the future, too.
//! * Options: a look that was offered no older store in the future, as the last change was not
//!   ordered before it, is the same here if that is so here, too, with all that may come before it;
//!   the race of the two is then looked for like any other. Otherwise its lane must know the last
//!   store here, or the state is explored (`future::withheld`). What lanes know of such a cell is
//!   no part of the state, and neither is what a lane knows of a cell of which it meets the last
//!   store first in all that follows.
//! * Data races: what lanes will touch must come after what others did here. It does if its lane
//!   has learnt of that before in every execution of the future, from a lane that does something
//!   first, or from what a lock or cell hands on. Where that cannot be told the state is explored.
//! * What does not end (the limit of steps, an interruption), what was in part explored elsewhere
//!   (the steps of a job, a position that was saved), and executions in which a lane takes the
//!   place of another are not remembered, and neither are the states before.
//!
//! [`Ledger`]: crate::ledger::Ledger

use super::{
    Dpor, Node,
    stage::{Stage, Whole},
};
use crate::{
    lane::LaneSet,
    ledger::Place,
    search::{
        Foreseen, Moment, Note, Past, Touch,
        future::{
            Bound, Deed, Entry, Event, Future, LANES, Marks, Members, Seen, Withheld, below, raise,
        },
        rule::Rule,
        states::{Kept, Look, Packed, Table, Way},
    },
};

/// A clock of as many lanes as states are remembered for.
type Clock = [u32; LANES];

/// What is known of a step before it is made.
#[derive(Clone, Copy)]
pub(super) struct Foreknown {
    /// What it depends on without itself.
    before: Bound,
    /// Whether the last change that it could notice is ordered before it.
    is_settled: bool,
}

/// What is known at a state about a look of a remembered future that was offered no older store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// It is offered none here, as the last change is not ordered before it: it comes after so many
    /// steps of each lane at most.
    Withheld(Bound),
    /// Its lane can see none.
    SeesLast,
    /// It may be offered one.
    Open,
}

impl Dpor {
    /// The state that was reached.
    pub(super) fn stage(&self, moment: &Moment<'_>, asleep: LaneSet) -> Stage {
        let lanes = moment.pending.len();
        let Some(past) = moment.past.filter(|_| lanes <= LANES && self.beyond_whole) else {
            return Stage::default();
        };
        let mut stage = Stage { key: past.ledger.key(), asleep, ..Stage::default() };
        for lane in 0..lanes {
            stage.steps[lane] = below(&self.order.lane_clock(lane)[lane..])[0];
            stage.time[lane] = below(&past.memory.known(lane)[lane..])[0];
        }
        if stage.key.is_some() {
            stage.whole = Whole::Yes;
            self.depict(moment, past, &mut stage);
        }
        stage
    }

    /// Takes a picture of the state, under the weaker models.
    fn depict(&self, moment: &Moment<'_>, past: Past<'_>, stage: &mut Stage) {
        let (Some(states), false) = (&self.states, past.memory.is_sequential()) else { return };
        let mut table = states.table();
        let mut living = 0;
        for (lane, touch) in moment.pending.iter().enumerate() {
            let Some(touch) = touch else { continue };
            living |= 1 << lane;
            if touch.awaits_value()
                && let Some(object) = touch.object()
            {
                stage.awaited.push(table.touch(past.ledger.named(object), lane, Way::Back));
            }
        }
        let touched = past.ledger.all_named().filter_map(|(name, object)| {
            let lanes = past.memory.touched(object);
            (lanes != 0).then(|| ((name, object), table.touchers(name, lanes).count_ones() > 1))
        });
        let (mut shared, mut apart) = (Vec::new(), Vec::new());
        for (object, is_shared) in touched {
            if is_shared { &mut shared } else { &mut apart }.push(object);
        }
        let apart = apart.into_iter().map(|(name, _)| name).collect();
        stage.picture = past.memory.picture(&shared, apart, living);
    }

    /// Whether everything that can follow the state was explored. Its races with what was done here
    /// are looked for then.
    pub(super) fn is_remembered(&mut self, moment: &Moment<'_>, stage: &Stage) -> bool {
        let (Some(states), Some(past), Some(key)) = (self.states.clone(), moment.past, stage.key)
        else {
            return false;
        };
        let mut table = states.table();
        let picture = stage.picture.as_ref();
        let agrees = |table: &Table, kept: &Kept| {
            let agrees = |&look: &Look| self.verdict(past, look, table) != Verdict::Open;
            kept.withheld.iter().all(agrees) || !Rule::WithheldAgain.holds()
        };
        let Some(future) = table.find(key, stage.asleep, picture, agrees) else { return false };
        let mut learnt = Vec::new();
        let ordered = future.events.iter().all(|&packed| match table.event(packed.event) {
            Event { deed: Deed::Cell(_) | Deed::Lock(_), .. } => true,
            event @ Event { deed: Deed::Reach(reach), .. } => {
                table.origins(table.learnt(&future, packed), &mut learnt);
                let mut after = Packed::lanes(packed.known);
                if event.lane < moment.pending.len() {
                    after.insert(event.lane);
                }
                let (lane, name) = (event.lane, event.name);
                past.is_ordered(&Foreseen { lane, name, reach, after, learnt: &learnt })
            }
        });
        if !ordered {
            return false;
        }
        let found = self.foresee(past, stage, &future, &table);
        drop(table);
        self.beyond.join(found);
        if Rule::RememberedRaces.holds() {
            self.reverse_races();
        }
        self.order.races();
        true
    }

    /// Looks for the races of a remembered future. Returns it as a future from here.
    fn foresee(&mut self, past: Past<'_>, stage: &Stage, kept: &Kept, table: &Table) -> Future {
        // What each lane's later steps come after here.
        let mut reach: [Bound; LANES] = [Bound::default(); LANES];
        for (lane, reach) in reach.iter_mut().enumerate().take(past.ledger.lane_count()) {
            *reach = below(self.order.lane_clock(lane));
        }
        let mut after: Vec<Option<Clock>> = vec![None; kept.sets()];
        let mut future = Future::default();
        future.touch_all(table.touches(kept));
        for &look in &kept.withheld {
            match self.verdict(past, look, table) {
                Verdict::Withheld(most) => {
                    let blank = table.blank(look.event);
                    let (event, place, mark) = (look.event, blank.place, look.mark());
                    let may = table.may(look).clone();
                    future.withhold(Withheld { event, place, mark, most, may });
                }
                Verdict::SeesLast | Verdict::Open if Rule::WithheldOrKnown.holds() => {
                    future.touch(look.mark());
                }
                Verdict::SeesLast | Verdict::Open => {}
            }
        }
        for &packed in &kept.events {
            let (learnt, follows) = (table.learnt(kept, packed), table.follows(kept, packed));
            let Event { lane, name, deed } = table.event(packed.event);
            let mut seen = Seen { learnt, follows, ..table.blank(packed.event) };
            if let Deed::Reach(_) = deed {
                seen.known = stage.known(past, lane, Packed::lanes(packed.known));
                future.add(seen);
                continue;
            }
            let all = || self.before_all(past, follows, table);
            let mut clock = *after[usize::from(packed.follows)].get_or_insert_with(all);
            self.order.bound(lane, Packed::lanes(packed.steps), &mut clock);
            seen.steps = below(&clock);
            raise(&mut reach[lane], &seen.steps);
            if let Some(Place::Object(object)) = past.ledger.find(name)
                && let Some(touch) = deed.touch(object)
            {
                self.order.foresee(lane, touch, &mut clock, Packed::lanes(packed.most));
                raise(&mut reach[lane], &below(&clock));
            }
            future.add(seen);
        }
        future.limit(&reach, |number| {
            let events = &kept.events;
            let at = events.binary_search_by_key(&number, |packed| packed.event).ok()?;
            let deed = table.event(number).deed;
            deed.touch(0).map(|_| Packed::lanes(events[at].most))
        });
        future
    }

    /// What was made here and comes before all of these deeds of a remembered future.
    fn before_all(&self, past: Past<'_>, deeds: Members, table: &Table) -> Clock {
        let mut clock = Clock::default();
        for (name, deed) in deeds.iter().map(|number| table.done(number)) {
            if let Some(Place::Object(object)) = past.ledger.find(name)
                && let Some(touch) = deed.touch(object)
            {
                self.order.join_rivals(touch, &mut clock);
            }
        }
        clock
    }

    /// What is known here about a look of a remembered future.
    fn verdict(&self, past: Past<'_>, look: Look, table: &Table) -> Verdict {
        let Event { lane, name, deed } = table.event(look.event);
        // What it may come after at most.
        let mut others = Packed::lanes(look.most);
        if !Rule::WithheldAfterLanes.holds() {
            others = LaneSet::default();
        }
        let mut clock = Clock::default();
        self.order.bound(lane, others, &mut clock);
        for (name, deed) in table.may(look).iter().map(|number| table.done(number)) {
            if let Some(Place::Object(object)) = past.ledger.find(name)
                && let Some(touch) = deed.touch(object)
                && Rule::WithheldAfterDeeds.holds()
            {
                self.order.join_rivals(touch, &mut clock);
            }
        }
        let withheld = || {
            let mut most = below(&clock);
            others.iter().for_each(|other| most[other] = u16::MAX);
            Verdict::Withheld(most)
        };
        let Some(Place::Object(cell)) = past.ledger.find(name) else { return withheld() };
        let known = deed.touch(cell).is_none_or(|touch| self.order.is_known(touch, &clock));
        let is_plain = past.memory.ends_with_newest(cell) || !Rule::WithheldAtPlainEnds.holds();
        if !known && is_plain {
            withheld()
        } else if past.memory.sees_last(lane, cell) {
            Verdict::SeesLast
        } else {
            Verdict::Open
        }
    }

    /// What is known of the next step of the lane before it is made.
    pub(super) fn foreknown(&self, lane: usize, touch: Touch) -> Option<Foreknown> {
        self.states.as_ref()?;
        let before = below(self.order.lane_clock(lane));
        Some(Foreknown { before, is_settled: self.order.is_settled(lane, touch) })
    }

    /// Enters a step that was made.
    pub(super) fn enter_step(&mut self, step: usize, touch: Touch, known: Option<Foreknown>) {
        let (Some(states), Some(Foreknown { before, is_settled })) = (&self.states, known) else {
            return;
        };
        let node = &mut self.stack[step];
        let (lane, Some(stage)) = (node.lane, &mut node.stage) else { return };
        let most = below(self.order.last_clock());
        if let Touch::Join(_) = touch {
            stage.entries.push(Entry::Joins(lane, most[lane]));
        }
        let (Some(name), Some(deed)) = (self.name, Deed::of(touch)) else { return };
        let own = touch.is_locked_out_at_times() && Rule::RememberedTakings.holds();
        let steps = if own { before } else { most };
        let mut table = states.table();
        let seen = Seen { steps, most, ..table.seen(Event { lane, name, deed }) };
        let mark = table.touch(name, lane, Way::of(touch));
        if touch.may_be_withheld() && !is_settled && self.seat.is_plain {
            let (event, place) = (seen.event, seen.place);
            let may = Marks::default();
            stage.entries.push(Entry::Withheld(Withheld { event, place, mark, most: before, may }));
            stage.entries.push(Entry::Touches(table.touch(name, lane, Way::Last)));
        } else {
            stage.entries.push(Entry::Touches(mark));
        }
        stage.entries.push(Entry::Step(seen, most[lane], table.deed(name, deed)));
        if self.seat.is_last || !Rule::MattersUntilLast.holds() {
            let marks = [Way::Free, Way::Back].map(|way| table.touch(name, lane, way));
            stage.entries.push(Entry::SeesLast(marks));
        }
    }

    /// Enters what a lane did in a step or after it.
    pub(super) fn enter_note(&mut self, step: usize, lane: usize, note: Note, known: &[u32]) {
        let Some(states) = &self.states else { return };
        let Some(stage) = &mut self.stack[step].stage else { return };
        let mut table = states.table();
        let entry = match note {
            Note::Reaches(name, reach) => {
                let seen = table.seen(Event { lane, name, deed: Deed::Reach(reach) });
                Entry::Seen(Seen { known: below(known), learnt: Members::default(), ..seen })
            }
            Note::Learns(source) => Entry::Learns(lane, table.source(source)),
            Note::Resets(source) => Entry::Resets(table.source(source)),
            Note::Meets(name) => Entry::Touches(table.touch(name, lane, Way::Back)),
        };
        stage.entries.push(entry);
    }

    /// A lane cannot make its step, and the races of that step are looked for.
    pub(super) fn foresee_blocked(&mut self, lane: usize, touch: Touch, moment: &Moment<'_>) {
        let (Some(states), Some(past)) = (&self.states, moment.past) else { return };
        let (Some(object), Some(deed)) = (touch.object(), Deed::of(touch)) else { return };
        let name = past.ledger.named(object);
        let mut table = states.table();
        let seen = table.seen(Event { lane, name, deed });
        self.beyond.touch(table.touch(name, lane, Way::of(touch)));
        drop(table);
        let steps = below(self.order.lane_clock(lane));
        // It is not made.
        self.beyond.add(Seen { steps, most: steps, closes: false, ..seen });
    }

    /// Enters what followed the last step of the stack into the future of the state before it.
    pub(super) fn enter_beyond(&mut self) {
        if self.states.is_none() {
            return;
        }
        let Some(stage) = self.stack.last_mut().and_then(|node| node.stage.as_mut()) else {
            self.beyond.clear();
            return;
        };
        let entries = std::mem::take(&mut stage.entries);
        if !self.beyond_whole || stage.whole == Whole::No {
            stage.whole = Whole::No;
            self.beyond.clear();
            return;
        }
        let mut future = std::mem::take(&mut self.beyond);
        future.precede(&entries);
        stage.future.join(future);
    }

    /// Everything that can follow the last state of the stack was explored.
    pub(super) fn leave_node(&mut self) {
        let Some(stage) = self.stack.pop().and_then(|node| node.stage) else {
            self.beyond_whole = false;
            return;
        };
        self.beyond_whole = stage.whole == Whole::Yes;
        let (Some(states), Some(key)) = (&self.states, stage.key) else { return };
        let future = stage.future;
        if self.beyond_whole {
            let at = [&stage.steps, &stage.time];
            let mut touches = future.touches().clone();
            stage.awaited.iter().for_each(|&number| touches.insert(number));
            let seen = (stage.picture.as_ref(), touches);
            self.added += states.table().add(key, stage.asleep, &future, at, seen);
            self.beyond = future;
        }
    }
}

impl Way {
    /// That of a step that is offered all there is.
    fn of(touch: Touch) -> Self {
        if touch.looks_back() { Self::Back } else { Self::Free }
    }
}

impl Node {
    /// A step of a remembered future by `lane` races with this one. `heads` can come first after it
    /// among the steps made here; if there are none, the first may be one of the lane or of
    /// `others`.
    pub(super) fn reverse_remembered(&mut self, heads: LaneSet, lane: usize, others: LaneSet) {
        if !(heads & (self.source | self.sleep)).is_empty() {
            return;
        }
        let possible = heads & self.enabled;
        if possible.contains(lane) {
            self.source.insert(lane);
        } else if let Some(first) = possible.first() {
            self.source.insert(first);
        } else {
            let mut first = LaneSet::one(lane);
            if Rule::RememberedOthers.holds() {
                first = first | others;
            }
            self.source = self.source | (first & self.enabled).without(self.sleep);
        }
    }
}
