//! What makes two states of executions the same, as hashes.
//!
//! Under sequential consistency the state of an execution is what its cells, locks and plain memory
//! hold and where its lanes are. A lane is a function of what it has observed, so the ledger keeps
//! for each lane a hash of that instead, its *history*:
//!
//! * each access that it announced, the kind and the name of its object, and that it made it;
//! * what it observed: the value of a load or an update, or, if the caller looks at a class of
//!   values only ([`crate::hook::observed`]), the class; whether an attempt succeeded; a choice;
//! * who wrote the plain memory that it reads last, and what that lane knew then;
//! * what it saw outside the announced accesses ([`crate::hook::saw`]);
//! * for a started lane, the history of the lane that started it.
//!
//! Locks need nothing: who holds one follows from the histories. Together with the contents of all
//! cells the histories make the *key* of the state.
//!
//! INV-LEDGER-1 (names): an object is named by the region in which it lies and its offset, or, if
//! no region was declared there, by the lane that met it first and how many that lane had met
//! before. Within an execution no two objects share a name. Histories contain names, so two
//! executions with equal histories have met the same objects under the same names; a name that
//! depends on the path makes equal states look different, and never the reverse.
//! INV-LEDGER-2 (contents): a cell contributes nothing while it holds what it held when it was met
//! first, and its name and value otherwise. So it does not matter who met it, nor whether anybody
//! did.
//! INV-LEDGER-3 (plain memory): what a lane puts into plain memory follows from its history up to
//! the release of the last lock that it held when it announced the write. Whoever reads it later
//! takes up the history as of that release; if the lane held no lock, its whole present history.
//! If the lane says what the memory holds ([`crate::hook::plain_holds`]), then that counts, whoever
//! wrote it.
//! INV-LEDGER-4: keys have 128 bits. Two different states of a search of a billion states share one
//! with a probability below 2^-68.

use crate::{
    memory::Plain,
    object::{AddressHasher, Kind, Object},
};
use std::{
    collections::{BTreeMap, HashMap},
    hash::BuildHasherDefault,
};

/// A hash of 128 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Digest(u64, u64);

/// The name of an object, the same in all executions that meet it in the same way.
pub(crate) type Name = u64;

/// A bijection that spreads every bit.
fn scramble(mut word: u64) -> u64 {
    word = (word ^ (word >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    word = (word ^ (word >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    word ^ (word >> 32)
}

impl Digest {
    fn with(self, value: u64) -> Self {
        Self(
            scramble(self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(value)),
            scramble(self.1.rotate_left(23).wrapping_mul(0xa076_1d64_78bd_642f) ^ value),
        )
    }

    pub(crate) fn of(parts: &[u64]) -> Self {
        parts.iter().fold(Self(0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7344), |digest, &part| {
            digest.with(part)
        })
    }

    fn and(self, other: Self) -> Self {
        self.with(other.0).with(other.1)
    }

    /// Adds something to a set, or takes it out again.
    pub(crate) fn toggle(&mut self, other: Self) {
        *self = Self(self.0 ^ other.0, self.1 ^ other.1);
    }
}

/// What distinguishes the parts of a hash.
#[derive(Clone, Copy)]
enum Part {
    Region,
    First,
    Value,
    Renewed,
    Plain,
    Settled,
    Writing,
    Birth,
    Announced,
    Made,
    Observed,
    Saw,
}

/// What the ledger knows of a lane.
struct Lane {
    history: Digest,
    /// How many objects it has met first, and how many regions it has declared.
    firsts: u64,
    regions: u64,
    /// How many locks it has taken.
    takings: u64,
    /// The locks that it holds, each with the number of its taking.
    held: Vec<(Object, u64)>,
    /// The plain memory that it may still be writing.
    writing: Vec<usize>,
}

impl Lane {
    fn born(history: Digest) -> Self {
        let (held, writing) = (Vec::new(), Vec::new());
        Self { history, firsts: 0, regions: 0, takings: 0, held, writing }
    }
}

/// What a cell holds, as far as the key is concerned.
#[derive(Clone, Copy)]
enum Holds {
    /// Nobody has met it.
    Unmet,
    /// What it held when it was met first.
    First(u64),
    /// Something else than at first, or nobody knows what was there at first.
    Value { first: Option<u64>, now: u64 },
    /// What a lane has put into it that had it to itself.
    Renewed { first: Option<u64>, by: Digest },
    /// It has ended.
    Ended,
}

impl Holds {
    fn first(self) -> Option<u64> {
        match self {
            Self::Unmet | Self::Ended => None,
            Self::First(first) => Some(first),
            Self::Value { first, .. } | Self::Renewed { first, .. } => first,
        }
    }

    /// It now holds this value.
    fn set(self, now: u64) -> Self {
        match self {
            Self::Unmet => Self::First(now),
            _ if self.first() == Some(now) => Self::First(now),
            _ => Self::Value { first: self.first(), now },
        }
    }
}

/// Plain memory that was written.
struct Written {
    name: Name,
    by: usize,
    /// What the writer knew at the last release of a lock that it held when it wrote.
    history: Digest,
    until: Until,
    /// What it contributes to the key.
    share: Digest,
}

/// Until when the writer may go on writing.
#[derive(Clone, PartialEq, Eq)]
enum Until {
    /// Until it has released the locks of these takings.
    Released(Vec<u64>),
    /// It held no lock: nobody can tell.
    Unknown,
    /// It has said what the memory holds, and writes no more.
    Settled,
}

type ByAddress<T> = HashMap<usize, T, BuildHasherDefault<AddressHasher>>;

/// See the module.
#[derive(Default)]
pub(crate) struct Ledger {
    /// By start: the length, and what the names of objects there begin with.
    regions: BTreeMap<usize, (usize, u64)>,
    /// The regions that were declared while the subject built.
    built: u64,
    lanes: Vec<Lane>,
    /// By object.
    objects: Vec<(Name, Holds)>,
    places: HashMap<Name, Place>,
    /// Where the regions of this execution begin, by what names begin with.
    starts: HashMap<u64, usize>,
    /// What the names of things in regions stand for, in all executions.
    spots: HashMap<Name, (u64, usize)>,
    plain: ByAddress<Written>,
    /// The names of plain memory that was touched.
    plain_names: ByAddress<Name>,
    contents: Digest,
    /// The ranges that lanes have reinitialised, in order.
    ranges: Digest,
    /// Whether a lane has taken the place of another, which keys do not describe.
    lost: bool,
}

/// Where something with a name is in this execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Object(Object),
    Plain(usize),
}

impl Ledger {
    /// The name of what nobody has met.
    pub(crate) const UNMET: Name = 0;

    /// Prepares for an execution, before the subject builds.
    pub(crate) fn begin(&mut self) {
        self.regions.clear();
        self.built = 0;
        self.lanes.clear();
        self.objects.clear();
        self.places.clear();
        self.starts.clear();
        self.plain.clear();
        self.plain_names.clear();
        self.contents = Digest::default();
        self.ranges = Digest::default();
        self.lost = false;
    }

    /// The subject has built; so many lanes begin.
    pub(crate) fn lanes(&mut self, lanes: usize) {
        let born = |lane| Lane::born(Digest::of(&[Part::Birth as u64, lane as u64]));
        self.lanes.extend((0..lanes).map(born));
    }

    /// `parent` starts the lane with this number, at this place.
    pub(crate) fn spawn(&mut self, parent: usize, place: usize, number: usize) {
        let history = self.lanes[parent].history.with(Part::Birth as u64).with(number as u64);
        self.lanes[parent].history = history;
        let born = Lane::born(history.with(Part::Birth as u64));
        match self.lanes.get_mut(place) {
            Some(lane) => {
                *lane = born;
                self.lost = true;
            }
            None => self.lanes.push(born),
        }
    }

    /// How many lanes have existed.
    pub(crate) fn lane_count(&self) -> usize {
        self.lanes.len()
    }

    /// The key of the present state. None if lanes have taken the places of others: sets of lanes
    /// would not mean the same in two executions.
    pub(crate) fn key(&self) -> Option<Digest> {
        if self.lost {
            return None;
        }
        let start = self.contents.and(self.ranges);
        Some(self.lanes.iter().fold(start, |key, lane| key.and(lane.history)))
    }

    /// Declares that the objects of `[addr, addr + len)` belong together; what is declared already
    /// stays as it is. `lane` is the lane that does so; none while the subject builds.
    pub(crate) fn declare(&mut self, lane: Option<usize>, addr: usize, len: usize) {
        if self.region(addr).is_some() {
            return;
        }
        let (by, count) = match lane {
            Some(lane) => (lane as u64 + 1, &mut self.lanes[lane].regions),
            None => (0, &mut self.built),
        };
        *count += 1;
        let Digest(id, _) = Digest::of(&[Part::Region as u64, by, *count]);
        self.regions.insert(addr, (len, id));
        self.starts.insert(id, addr);
    }

    /// Whether the address lies in a region that was declared.
    pub(crate) fn is_declared(&self, addr: usize) -> bool {
        self.region(addr).is_some()
    }

    /// The region of an address: its start, and what names begin with.
    fn region(&self, addr: usize) -> Option<(usize, u64)> {
        let (&start, &(len, id)) = self.regions.range(..=addr).next_back()?;
        (addr - start < len).then_some((start, id))
    }

    /// INV-LEDGER-1.
    fn name(&mut self, lane: usize, kind: u64, addr: usize) -> Name {
        let Digest(name, _) = match self.region(addr) {
            Some((start, id)) => {
                let name = Digest::of(&[id, kind, (addr - start) as u64]);
                self.spots.insert(name.0, (id, addr - start));
                name
            }
            None => {
                let firsts = &mut self.lanes[lane].firsts;
                *firsts += 1;
                Digest::of(&[Part::First as u64, kind, lane as u64, *firsts])
            }
        };
        name
    }

    /// `lane` is the first to meet the object.
    pub(crate) fn meets(&mut self, lane: usize, object: Object, kind: Kind, addr: usize) {
        let mut name = self.name(lane, kind as u64, addr);
        while self.places.contains_key(&name) {
            // Another object lay there before, and has ended.
            name = Digest::of(&[name]).0;
        }
        self.places.insert(name, Place::Object(object));
        debug_assert_eq!(object as usize, self.objects.len());
        self.objects.push((name, Holds::Unmet));
    }

    /// The objects that were met, by name.
    pub(crate) fn all_named(&self) -> impl Iterator<Item = (Name, Object)> + '_ {
        self.objects.iter().zip(0..).map(|(&(name, _), object)| (name, object))
    }

    /// The name of an object that was met.
    pub(crate) fn named(&self, object: Object) -> Name {
        self.objects[object as usize].0
    }

    /// Where the thing with a name is, if it was met.
    pub(crate) fn find(&self, name: Name) -> Option<Place> {
        self.places.get(&name).copied()
    }

    /// Where something that nobody has met in this execution will be, if that is known.
    pub(crate) fn address(&self, name: Name) -> Option<usize> {
        let (region, offset) = self.spots.get(&name)?;
        Some(self.starts.get(region)? + offset)
    }

    fn share(name: Name, holds: Holds) -> Digest {
        match holds {
            Holds::Unmet | Holds::First(_) | Holds::Ended => Digest::default(),
            Holds::Value { now, .. } => Digest::of(&[Part::Value as u64, name, now]),
            Holds::Renewed { by, .. } => Digest::of(&[Part::Renewed as u64, name]).and(by),
        }
    }

    fn hold(&mut self, object: Object, change: impl FnOnce(Holds) -> Holds) {
        let (name, holds) = &mut self.objects[object as usize];
        let before = Self::share(*name, *holds);
        *holds = change(*holds);
        let after = Self::share(*name, *holds);
        self.contents.toggle(before);
        self.contents.toggle(after);
    }

    /// The cell holds this value.
    pub(crate) fn holds(&mut self, cell: Object, value: u64) {
        self.hold(cell, |before| before.set(value));
    }

    /// The lane has the object to itself, and puts into it what follows from its history.
    pub(crate) fn renews(&mut self, lane: usize, object: Object) {
        let by = self.lanes[lane].history;
        self.hold(object, |before| Holds::Renewed { first: before.first(), by });
    }

    /// The lane has a range to itself, in which there may be cells that nobody has met.
    pub(crate) fn renews_range(&mut self, lane: usize, addr: usize, len: usize) {
        let region = self.region(addr).map_or(0, |(start, id)| id ^ (addr - start) as u64);
        let by = self.lanes[lane].history;
        self.ranges = self.ranges.and(Digest::of(&[region, len as u64]).and(by));
    }

    /// The object ends.
    pub(crate) fn ends(&mut self, object: Object) {
        self.hold(object, |_| Holds::Ended);
    }

    /// What lies in the range ends: what comes to lie there later is something else. Returns the
    /// names of the plain memory there.
    pub(crate) fn ends_range(&mut self, addr: usize, len: usize) -> Vec<Name> {
        if let Some((start, _)) = self.region(addr) {
            self.regions.remove(&start);
        }
        let inside = |at: &usize| at.wrapping_sub(addr) < len;
        let ended: Vec<usize> = self.plain_names.keys().copied().filter(inside).collect();
        let mut names = Vec::new();
        for at in ended {
            names.extend(self.plain_names.remove(&at));
            if let Some(written) = self.plain.remove(&at) {
                self.contents.toggle(written.share);
            }
        }
        names.sort_unstable();
        names
    }

    fn note(&mut self, lane: usize, part: Part, value: u64) {
        let history = &mut self.lanes[lane].history;
        *history = history.with(part as u64).with(value);
    }

    /// The lane announces an access of this kind to an object.
    pub(crate) fn announces(&mut self, lane: usize, kind: u64, object: Option<Object>) {
        let name = object.map_or(0, |object| self.named(object));
        self.note(lane, Part::Announced, kind);
        self.note(lane, Part::Announced, name);
    }

    /// The lane makes the access that it announced.
    pub(crate) fn makes(&mut self, lane: usize) {
        let history = &mut self.lanes[lane].history;
        *history = history.with(Part::Made as u64);
    }

    /// The lane observes a result of its access.
    pub(crate) fn observes(&mut self, lane: usize, value: u64) {
        self.note(lane, Part::Observed, value);
    }

    /// The lane saw something outside the announced accesses.
    pub(crate) fn saw(&mut self, lane: usize, value: u64) {
        self.note(lane, Part::Saw, value);
    }

    /// The lane has taken a lock.
    pub(crate) fn takes(&mut self, lane: usize, lock: Object) {
        let lane = &mut self.lanes[lane];
        lane.takings += 1;
        lane.held.push((lock, lane.takings));
    }

    /// The lane releases a lock.
    pub(crate) fn gives_back(&mut self, lane: usize, lock: Object) {
        let Lane { held, history, .. } = &mut self.lanes[lane];
        let history = *history;
        let Some(at) = held.iter().rposition(|&(object, _)| object == lock) else { return };
        let (_, taking) = held.remove(at);
        let mut writing = std::mem::take(&mut self.lanes[lane].writing);
        writing.retain(|&addr| {
            let Some(written) = self.plain.get_mut(&addr) else { return false };
            let Until::Released(takings) = &mut written.until else { return false };
            if written.by != lane {
                return false;
            }
            let Some(at) = takings.iter().position(|&known| known == taking) else { return true };
            takings.swap_remove(at);
            let goes_on = !takings.is_empty();
            written.history = history;
            let share = written.share_now();
            self.contents.toggle(std::mem::replace(&mut written.share, share));
            self.contents.toggle(share);
            goes_on
        });
        self.lanes[lane].writing = writing;
    }

    /// The lane reads or writes plain memory.
    pub(crate) fn touches_plain(&mut self, lane: usize, addr: usize, access: Plain) -> Name {
        let name = match self.plain_names.get(&addr) {
            Some(&name) => name,
            None => {
                let mut name = self.name(lane, Part::Plain as u64, addr);
                while self.places.contains_key(&name) {
                    name = Digest::of(&[name]).0;
                }
                self.places.insert(name, Place::Plain(addr));
                self.plain_names.insert(addr, name);
                name
            }
        };
        let written = self.plain.get(&addr);
        if written.is_none_or(|written| written.by != lane) {
            let found = written.map_or_else(Digest::default, |written| match written.until {
                Until::Released(_) | Until::Settled => written.history,
                Until::Unknown => self.lanes[written.by].history,
            });
            let history = &mut self.lanes[lane].history;
            *history = history.with(Part::Plain as u64).with(name).and(found);
        }
        if access == Plain::Write {
            self.writes_plain(lane, addr, name);
        }
        name
    }

    /// Plain memory that the lane may have written holds what `value` stands for, and the lane
    /// writes there no more before it has released a lock.
    pub(crate) fn settles(&mut self, lane: usize, addr: usize, value: u64) {
        let Some(written) = self.plain.get_mut(&addr).filter(|written| written.by == lane) else {
            return;
        };
        written.until = Until::Settled;
        written.history = Digest::of(&[Part::Settled as u64, value]);
        let share = written.share_now();
        self.contents.toggle(std::mem::replace(&mut written.share, share));
        self.contents.toggle(share);
        // What it holds is known to whoever asks, the lane included: it need not remember.
        let writing = &mut self.lanes[lane].writing;
        writing.retain(|&writes| writes != addr);
    }

    fn writes_plain(&mut self, lane: usize, addr: usize, name: Name) {
        // That it wrote here, and how often, is a part of what it did.
        self.note(lane, Part::Writing, name);
        let Lane { history, held, writing, .. } = &mut self.lanes[lane];
        let until = match held[..] {
            [] => Until::Unknown,
            ref held => Until::Released(held.iter().map(|&(_, taking)| taking).collect()),
        };
        if !writing.contains(&addr) {
            writing.push(addr);
        }
        let share = Digest::default();
        let mut written = Written { name, by: lane, history: *history, until, share };
        written.share = written.share_now();
        self.contents.toggle(written.share);
        if let Some(before) = self.plain.insert(addr, written) {
            self.contents.toggle(before.share);
        }
    }
}

impl Written {
    fn share_now(&self) -> Digest {
        let named = Digest::of(&[Part::Plain as u64, self.name]);
        match self.until {
            Until::Released(_) | Until::Settled => named.and(self.history),
            Until::Unknown => named.with(self.by as u64).and(self.history),
        }
    }
}

#[cfg(test)]
mod tests;
