//! What can follow a state, as far as another past of the same state must know it.
//!
//! A *future* is the set of all that was done after a state, in all executions that were explored
//! from there: the steps, and what lanes touched between them. For each it says what it always
//! comes after, so that what cannot be a race from there is not taken for one, and what it may come
//! after, so that a reversal knows what may have to come first.
//!
//! What comes after a step that closes its object (INV-DEP-1) races with nothing before that step,
//! and so is left out of the futures of earlier states. The same is true of what comes after a
//! lane had a place to itself, for data races: it is ordered after that, or the search has ended.
//!
//! INV-FUTURE-1: what a future says of an event holds for every occurrence of it after the state.
//! So joining two futures keeps the lesser of two lower bounds, and the greater of two upper ones.

mod sets;
mod withheld;

use super::touch::{CellTouch, LockTouch, Touch};
use crate::{
    lane::LaneSet,
    ledger::{Ledger, Name},
    memory::{Reach, Source},
    object::Object,
};
pub(super) use sets::{Bound, LANES, Marks, Members, below, past, raise};
use withheld::Looks;
pub(super) use withheld::Withheld;

/// What a lane does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Deed {
    Cell(CellTouch),
    Lock(LockTouch),
    Reach(Reach),
}

impl Deed {
    /// The step, as far as a future tells steps apart.
    pub(super) fn of(touch: Touch) -> Option<Self> {
        match touch {
            Touch::Cell(_, touch) => Some(Self::Cell(touch)),
            Touch::Lock(_, touch) => Some(Self::Lock(touch)),
            Touch::Local | Touch::Join(_) => None,
        }
    }

    /// What the step touches if this is its object; none for what is no step.
    pub(super) fn touch(self, object: Object) -> Option<Touch> {
        match self {
            Self::Cell(touch) => Some(Touch::Cell(object, touch)),
            Self::Lock(touch) => Some(Touch::Lock(object, touch)),
            Self::Reach(_) => None,
        }
    }
}

/// Something that a lane does to something with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Event {
    pub(super) lane: usize,
    pub(super) name: Name,
    pub(super) deed: Deed,
}

impl Event {
    /// What it touches; steps apart from what is none.
    pub(super) fn place(self) -> (Name, bool) {
        (self.name, matches!(self.deed, Deed::Reach(_)))
    }

    /// Whether nothing before it is of concern to what touches the same place later.
    pub(super) fn closes(self) -> bool {
        match self.deed {
            Deed::Reach(reach) => self.name != Ledger::UNMET && reach.excludes(),
            Deed::Cell(_) | Deed::Lock(_) => self.deed.touch(0).is_some_and(Touch::closes),
        }
    }
}

/// An event of a future, with what each occurrence comes after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// The number of the event.
    pub(super) event: u32,
    /// Its lane.
    pub(super) lane: usize,
    /// The number of what it touches, and whether nothing before it is of concern to what touches
    /// that later.
    pub(super) place: u32,
    pub(super) closes: bool,
    /// At least how many steps of each lane it comes after.
    pub(super) steps: Bound,
    /// At most how many: the lanes beyond a state have steps that may have to come first.
    pub(super) most: Bound,
    /// Up to what time of each lane its lane knows what happened.
    pub(super) known: Bound,
    /// What its lane has learnt since the state.
    pub(super) learnt: Members,
    /// What was done somewhere, by whatever lane, that each occurrence comes after.
    pub(super) follows: Members,
}

/// Something about a step that is entered into the futures of the states before it.
#[derive(Clone, Debug)]
pub(super) enum Entry {
    /// What was done without a step.
    Seen(Seen),
    /// A step, which has this number among the steps of its lane, and what it did somewhere.
    Step(Seen, u16, usize),
    /// A lane learns what this source hands on.
    Learns(usize, usize),
    /// This source hands on nothing from before.
    Resets(usize),
    /// What has this number is touched.
    Touches(usize),
    /// It was not offered to see an older store.
    Withheld(Withheld),
    /// The lane has been after all stores to a cell, and so can see none that was before: marks
    /// with these numbers are about those.
    SeesLast([usize; 2]),
    /// A lane sees another end, in a step with this number among its own.
    Joins(usize, u16),
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Future {
    /// By number of the event.
    events: Vec<Seen>,
    touches: Marks,
    withheld: Looks,
}

impl Future {
    pub(super) fn iter(&self) -> impl Iterator<Item = &Seen> {
        self.events.iter()
    }

    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    pub(super) fn clear(&mut self) {
        self.events.clear();
        self.touches.clear();
        self.withheld.clear();
    }

    /// Everything that is touched by steps, unlike the events.
    pub(super) fn touches(&self) -> &Marks {
        &self.touches
    }

    /// A step touches what has this number.
    pub(super) fn touch(&mut self, number: usize) {
        self.touches.insert(number);
    }

    /// Steps touch all of this.
    pub(super) fn touch_all(&mut self, touches: &Marks) {
        self.touches.join(touches);
    }

    /// The looks to which no older store was offered.
    pub(super) fn withheld(&self) -> impl Iterator<Item = &Withheld> {
        self.withheld.iter()
    }

    /// Adds such a look.
    pub(super) fn withhold(&mut self, look: Withheld) {
        self.withheld.add(look);
    }

    /// Adds an event.
    pub(super) fn add(&mut self, new: Seen) {
        match self.events.binary_search_by_key(&new.event, |seen| seen.event) {
            Ok(at) => self.events[at].meet(new),
            Err(at) => self.events.insert(at, new),
        }
    }

    /// Joins another future of the same state.
    pub(super) fn join(&mut self, other: Self) {
        self.touches.join(&other.touches);
        self.withheld.join(other.withheld);
        if self.events.is_empty() {
            self.events = other.events;
            return;
        }
        let mut both = Vec::with_capacity(self.events.len() + other.events.len());
        let mut mine = std::mem::take(&mut self.events).into_iter().peekable();
        for new in other.events {
            while let Some(seen) = mine.next_if(|seen| seen.event < new.event) {
                both.push(seen);
            }
            match mine.next_if(|seen| seen.event == new.event) {
                Some(mut seen) => {
                    seen.meet(new);
                    both.push(seen);
                }
                None => both.push(new),
            }
        }
        both.extend(mine);
        self.events = both;
    }

    /// Limits what steps may come after: those of the lanes that `may` says, and what the steps of
    /// these lanes come after here.
    pub(super) fn limit(&mut self, reach: &[Bound; LANES], may: impl Fn(u32) -> Option<LaneSet>) {
        for seen in &mut self.events {
            let Some(others) = may(seen.event) else { continue };
            seen.most = reach[seen.lane];
            for other in others.iter() {
                raise(&mut seen.most, &reach[other]);
                seen.most[other] = u16::MAX;
            }
        }
    }

    /// An event comes first.
    fn begin_with(&mut self, seen: Seen) {
        if seen.closes {
            self.events.retain(|later| later.place != seen.place);
            self.withheld.begin_with_change(seen.place);
        }
        self.add(seen);
    }

    /// Makes a future of the state after a step one of the state before it.
    pub(super) fn precede(&mut self, step: &[Entry]) {
        for entry in step.iter().rev() {
            match *entry {
                Entry::Seen(seen) => self.begin_with(seen),
                Entry::Step(seen, place, deed) => {
                    // A number that does not fit says nothing.
                    let after =
                        |later: &&mut Seen| place < u16::MAX && later.steps[seen.lane] >= place;
                    let later = self.events.iter_mut().filter(after);
                    later.for_each(|later| later.follows.insert(deed));
                    self.withheld.begin_with(seen.lane, place, deed);
                    self.begin_with(seen);
                }
                Entry::Learns(lane, source) => {
                    let own = self.events.iter_mut().filter(|seen| seen.lane == lane);
                    own.for_each(|seen| seen.learnt.insert(source));
                }
                Entry::Touches(number) => self.touches.insert(number),
                Entry::Withheld(ref look) => self.withheld.add(look.clone()),
                Entry::SeesLast(marks) => {
                    marks.into_iter().for_each(|mark| self.touches.remove(mark))
                }
                Entry::Joins(lane, step) => {
                    self.withheld.begin_with_join(lane, step, &mut self.touches);
                }
                Entry::Resets(source) => {
                    self.events.iter_mut().for_each(|seen| seen.learnt.remove(source));
                }
            }
        }
    }
}

impl Seen {
    /// INV-FUTURE-1.
    fn meet(&mut self, other: Self) {
        let least = |mine: &mut Bound, theirs: Bound| {
            mine.iter_mut().zip(theirs).for_each(|(mine, theirs)| *mine = (*mine).min(theirs));
        };
        raise(&mut self.most, &other.most);
        least(&mut self.steps, other.steps);
        least(&mut self.known, other.known);
        self.learnt.keep(other.learnt);
        self.follows.keep(other.follows);
    }
}

/// What a source is numbered by.
pub(super) type Origin = Source<Name>;
