//! The states that a search has explored.
//!
//! INV-STATES-1: an entry says that everything that can follow its state was explored, or is
//! explored by another part of the same search, except what begins with the step of a lane that
//! slept there; and its future has every event of that.
//! INV-STATES-2: forgetting an entry loses time only.

use super::{
    future::{Bound, Deed, Event, Future, LANES, Marks, Members, Origin, Seen, Withheld, past},
    rule::Rule,
};
use crate::{
    lane::LaneSet,
    ledger::{Digest, Ledger, Name},
    memory::{Picture, Toucher},
};
use std::{
    collections::HashMap,
    fmt,
    hash::{BuildHasherDefault, Hash, Hasher},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The states that a search has explored, which [`crate::Config::states`] lets it remember. A state
/// that is met again is not explored again. Clones are the same memory: parts of one search, on
/// several threads or one after another, share what they explored. It must not be used for another
/// subject or model.
#[derive(Clone)]
pub struct States(Arc<Mutex<Table>>);

/// An event of a future, relative to the state.
#[derive(Clone, Copy)]
pub(super) struct Packed {
    pub(super) event: u32,
    /// Which of the state's sets says what its lane has learnt.
    learnt: u16,
    /// Which of them says what was done that it always comes after.
    pub(super) follows: u16,
    /// The lanes of which it always comes after a later step.
    pub(super) steps: u8,
    /// The lanes of which it may come after a later step.
    pub(super) most: u8,
    /// The lanes of which its lane knows a later time.
    pub(super) known: u8,
}

/// A look of a future to which no older store was offered, relative to the state.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Look {
    pub(super) event: u32,
    /// Which set says what may come before it.
    may: u32,
    mark: u32,
    /// The lanes of which it may come after a later step.
    pub(super) most: u8,
}

/// How a step may depend on what was done before, beyond what it touches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Way {
    /// It comes after all stores, in any case.
    Last,
    /// Where it comes may be decided there, but it sees no older state.
    Free,
    /// It may see an older state.
    Back,
}

/// The future of a state.
pub(super) struct Kept {
    /// By number of the event.
    pub(super) events: Box<[Packed]>,
    /// The numbers of the sets that its events have, each once.
    sets: Box<[u32]>,
    /// The number of the set of all that is touched.
    touches: u32,
    pub(super) withheld: Box<[Look]>,
}

/// What was explored from a state.
struct Explored {
    /// The lanes that slept.
    asleep: LaneSet,
    future: Arc<Kept>,
    /// What decides what may follow, under the weaker models.
    seen: Digest,
}

type Keyed<T> = HashMap<Digest, T, BuildHasherDefault<KeyHasher>>;

/// How many there are.
const WAYS: usize = 3;

/// No bound.
const ALL: Bound = [u16::MAX; LANES];

/// The keys are hashes already.
#[derive(Default)]
pub(super) struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.write_u64(u64::from(byte)));
    }

    fn write_u64(&mut self, word: u64) {
        self.0 ^= word;
    }
}

/// Multiplies each word by an odd constant: what is numbered is small, and nobody chooses it to do
/// harm.
#[derive(Default)]
pub(super) struct Mixer(u64);

impl Hasher for Mixer {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.chunks(size_of::<u64>()).for_each(|chunk| {
            let mut word = [0; size_of::<u64>()];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        });
    }

    fn write_u8(&mut self, value: u8) {
        self.write_u64(u64::from(value));
    }

    fn write_u32(&mut self, value: u32) {
        self.write_u64(u64::from(value));
    }

    fn write_u64(&mut self, word: u64) {
        let mixed = (self.0 ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 32);
    }

    fn write_usize(&mut self, value: usize) {
        self.write_u64(value as u64);
    }

    fn write_isize(&mut self, value: isize) {
        self.write_u64(value as u64);
    }
}

type Numbers<T, N> = HashMap<T, N, BuildHasherDefault<Mixer>>;

/// See [`States`].
pub(super) struct Table {
    /// States are forgotten by halves, the older first.
    young: Keyed<Vec<Explored>>,
    old: Keyed<Vec<Explored>>,
    /// The bytes of the younger half, and the most that it may have.
    bytes: usize,
    most: usize,
    /// How many states were added, and how many of them forgotten.
    added: u64,
    forgotten: u64,
    numbers: Numbers<Event, u32>,
    events: Vec<Event>,
    /// What is said of an event of which nothing is known, by number.
    blank: Vec<Seen>,
    /// The numbers of what events touch.
    places: Numbers<(Name, bool), u32>,
    sources: Numbers<Origin, usize>,
    origins: Vec<Origin>,
    /// What is done somewhere, by whatever lane.
    deeds: Numbers<(Name, Deed), usize>,
    done: Vec<(Name, Deed)>,
    set_numbers: Numbers<Members, u32>,
    sets: Vec<Members>,
    /// A buffer for the sets of a state.
    own: Numbers<Members, u16>,
    /// Who touches what: a name and a lane. Each has a number for each [`Way`].
    touch_numbers: Numbers<(Name, usize), usize>,
    touches: Vec<(Name, usize)>,
    /// The lanes that have touched what has a name, in any execution.
    touchers: Numbers<Name, u32>,
    /// Sets of what is touched, each with who touches what, and whether ends of lanes are seen.
    mark_numbers: Numbers<Marks, u32>,
    marks: Vec<Marks>,
    scopes: Vec<(Vec<Toucher>, bool)>,
    /// Sets of what may come before a look.
    past_numbers: Numbers<Marks, u32>,
    pasts: Vec<Marks>,
}

impl States {
    /// A memory of about this many bytes. When it is full the older half is forgotten, which costs
    /// time and nothing else.
    pub fn new(bytes: usize) -> Self {
        Self(Arc::new(Mutex::new(Table {
            young: Keyed::default(),
            old: Keyed::default(),
            bytes: 0,
            most: bytes / 2,
            added: 0,
            forgotten: 0,
            numbers: Numbers::default(),
            events: Vec::new(),
            blank: Vec::new(),
            places: Numbers::default(),
            sources: Numbers::default(),
            origins: Vec::new(),
            deeds: Numbers::default(),
            done: Vec::new(),
            set_numbers: Numbers::default(),
            sets: Vec::new(),
            own: Numbers::default(),
            touch_numbers: Numbers::default(),
            touches: Vec::new(),
            touchers: Numbers::default(),
            mark_numbers: Numbers::default(),
            marks: Vec::new(),
            scopes: Vec::new(),
            past_numbers: Numbers::default(),
            pasts: Vec::new(),
        })))
    }

    /// How many states it has been given.
    pub fn count(&self) -> u64 {
        self.table().added
    }

    /// How many of them it has forgotten.
    pub fn forgotten(&self) -> u64 {
        self.table().forgotten
    }

    pub(super) fn table(&self) -> MutexGuard<'_, Table> {
        // A table is whole between any two calls.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for States {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} states", self.count())
    }
}

/// The number of something, which may be new.
fn number<T: Clone + Eq + Hash, N: Copy>(
    numbers: &mut Numbers<T, N>,
    all: &mut Vec<T>,
    thing: T,
    numbered: impl FnOnce(usize) -> N,
) -> N {
    let next = all.len();
    *numbers.entry(thing.clone()).or_insert_with(|| {
        all.push(thing);
        numbered(next)
    })
}

impl Table {
    /// An event of which nothing else is said yet.
    pub(super) fn seen(&mut self, event: Event) -> Seen {
        let number = number(&mut self.numbers, &mut self.events, event, |next| next as u32);
        if self.blank.len() < self.events.len() {
            let blank = Seen {
                event: number,
                lane: event.lane,
                place: self.place(event),
                closes: event.closes(),
                steps: ALL,
                most: ALL,
                known: ALL,
                learnt: Members::ALL,
                follows: Members::default(),
            };
            self.blank.push(blank);
        }
        self.blank(number)
    }

    /// The same for the event with this number.
    pub(super) fn blank(&self, number: u32) -> Seen {
        self.blank[number as usize]
    }

    /// The number of what an event touches.
    fn place(&mut self, event: Event) -> u32 {
        let next = self.places.len() as u32;
        *self.places.entry(event.place()).or_insert(next)
    }

    pub(super) fn event(&self, number: u32) -> Event {
        self.events[number as usize]
    }

    pub(super) fn source(&mut self, origin: Origin) -> usize {
        number(&mut self.sources, &mut self.origins, origin, |next| next)
    }

    /// The number of what is done somewhere.
    pub(super) fn deed(&mut self, name: Name, deed: Deed) -> usize {
        number(&mut self.deeds, &mut self.done, (name, deed), |next| next)
    }

    /// What has this number.
    pub(super) fn done(&self, number: usize) -> (Name, Deed) {
        self.done[number]
    }

    /// What the lane of an event has learnt.
    pub(super) fn learnt(&self, kept: &Kept, packed: Packed) -> Members {
        self.sets[kept.sets[usize::from(packed.learnt)] as usize]
    }

    /// What was done that an event always comes after.
    pub(super) fn follows(&self, kept: &Kept, packed: Packed) -> Members {
        self.sets[kept.sets[usize::from(packed.follows)] as usize]
    }

    /// What has these numbers.
    pub(super) fn origins(&self, sources: Members, origins: &mut Vec<Origin>) {
        let known = self.origins.iter().enumerate().filter(|&(at, _)| sources.contains(at));
        origins.clear();
        origins.extend(known.map(|(_, &origin)| origin));
    }

    /// The number of what a step of a lane touches.
    pub(super) fn touch(&mut self, name: Name, lane: usize, way: Way) -> usize {
        let known = self.touches.len();
        let touch = (name, lane);
        let number = number(&mut self.touch_numbers, &mut self.touches, touch, |next| next);
        if self.touches.len() > known {
            self.touchers(name, 1 << lane);
        }
        WAYS * number + way as usize
    }

    /// What may come before a look of a future, after the state.
    pub(super) fn may(&self, look: Look) -> &Marks {
        &self.pasts[look.may as usize]
    }

    /// The lanes that have touched what has this name, these included.
    pub(super) fn touchers(&mut self, name: Name, lanes: u32) -> u32 {
        let known = self.touchers.entry(name).or_default();
        *known |= lanes;
        *known
    }

    /// All that is touched in a future.
    pub(super) fn touches(&self, kept: &Kept) -> &Marks {
        &self.marks[kept.touches as usize]
    }

    /// The number of a set of what is touched.
    fn scope(&mut self, marks: Marks) -> u32 {
        let next = |next| next as u32;
        let scope = number(&mut self.mark_numbers, &mut self.marks, marks, next);
        if self.scopes.len() < self.marks.len() {
            let touch = |number| (self.touches[number / WAYS], number % WAYS);
            let mut all: Vec<_> = self.marks[scope as usize].iter().map(touch).collect();
            all.sort_unstable();
            let joins = all.iter().any(|&((name, _), _)| name == Ledger::UNMET);
            let mut touchers: Vec<Toucher> = Vec::new();
            for ((name, lane), way) in all {
                if touchers.last().is_none_or(|last| last.name != name) {
                    touchers.push(Toucher { name, all: 0, free: 0, back: 0 });
                }
                let Some(last) = touchers.last_mut() else { continue };
                let lanes = |from: Way| if way >= from as usize { 1 << lane } else { 0 };
                last.all |= lanes(Way::Last);
                last.free |= lanes(Way::Free);
                last.back |= lanes(Way::Back);
            }
            self.scopes.push((touchers, joins));
        }
        scope
    }

    /// A look of a future, relative to the state.
    fn look(&mut self, look: &Withheld, steps: &Bound) -> Look {
        let next = |next| next as u32;
        let may = number(&mut self.past_numbers, &mut self.pasts, look.may.clone(), next);
        let (event, most) = (look.event, past(&look.most, steps).bits() as u8);
        Look { event, may, mark: look.mark as u32, most }
    }

    /// What was explored from the state when no other lanes slept than these; `agrees` says whether
    /// the looks of a future were rightly withheld here, too.
    pub(super) fn find(
        &mut self,
        key: Digest,
        asleep: LaneSet,
        picture: Option<&Picture>,
        agrees: impl Fn(&Self, &Kept) -> bool,
    ) -> Option<Arc<Kept>> {
        let scopes = &self.scopes;
        // What is seen, by what will be touched.
        let mut seen: Vec<(u32, Digest)> = Vec::new();
        let mut seen_by = |touches: u32| {
            let Some(picture) = picture else { return Digest::default() };
            if let Some(&(_, digest)) = seen.iter().find(|&&(scope, _)| scope == touches) {
                return digest;
            }
            let (touchers, joins) = &scopes[touches as usize];
            let digest = picture.digest(touchers, *joins);
            seen.push((touches, digest));
            digest
        };
        let mut found = |half: &Keyed<Vec<Explored>>| {
            let fits = |explored: &&Explored| {
                (explored.asleep.without(asleep).is_empty() || !Rule::ExploredAwake.holds())
                    && (seen_by(explored.future.touches) == explored.seen
                        || !Rule::Pictures.holds())
                    && agrees(self, &explored.future)
            };
            Some(Arc::clone(&half.get(&key)?.iter().find(fits)?.future))
        };
        if let Some(future) = found(&self.young) {
            return Some(future);
        }
        let future = found(&self.old)?;
        // What is of use is kept.
        if let Some(explored) = self.old.remove(&key) {
            self.bytes += explored.iter().map(Explored::bytes).sum::<usize>();
            self.young.entry(key).or_default().extend(explored);
        }
        Some(future)
    }

    /// Everything that can follow the state was explored, but for what begins with these lanes.
    /// Returns how many states that adds: none if the future is too large to be kept.
    pub(super) fn add(
        &mut self,
        key: Digest,
        asleep: LaneSet,
        future: &Future,
        [steps, time]: [&Bound; 2],
        (picture, touches): (Option<&Picture>, Marks),
    ) -> u64 {
        // Each event may have two sets of its own.
        if 2 * future.len() > usize::from(u16::MAX) {
            return 0;
        }
        let own = &mut self.own;
        own.clear();
        let mut set = |set: Members| {
            let next = own.len() as u16;
            *own.entry(set).or_insert(next)
        };
        let packed = |seen: &Seen| {
            let bits = |bound: &Bound, state: &Bound| past(bound, state).bits() as u8;
            Packed {
                event: seen.event,
                learnt: set(seen.learnt),
                follows: set(seen.follows),
                steps: bits(&seen.steps, steps),
                most: bits(&seen.most, steps),
                known: bits(&seen.known, time),
            }
        };
        let events: Box<[Packed]> = future.iter().map(packed).collect();
        let mut sets = vec![0; self.own.len()];
        for (&set, &at) in &self.own {
            let next = |next| next as u32;
            sets[usize::from(at)] = number(&mut self.set_numbers, &mut self.sets, set, next);
        }
        let withheld = future.withheld().map(|look| self.look(look, steps)).collect();
        let touches = self.scope(touches);
        let mut seen = Digest::default();
        if let Some(picture) = picture {
            let (touchers, joins) = &self.scopes[touches as usize];
            let shared = |toucher: &&Toucher| {
                self.touchers.get(&toucher.name).is_some_and(|lanes| lanes.count_ones() > 1)
            };
            let lacks = |toucher: &Toucher| picture.lacks(toucher.name);
            if touchers.iter().filter(shared).any(lacks) && Rule::LeftOutForGood.holds() {
                return 0;
            }
            seen = picture.digest(touchers, *joins);
        }
        let future = Arc::new(Kept { events, sets: sets.into_boxed_slice(), touches, withheld });
        let explored = Explored { asleep, future, seen };
        if self.bytes > self.most {
            self.forgotten += self.old.len() as u64;
            self.old = std::mem::take(&mut self.young);
            self.bytes = 0;
        }
        self.added += 1;
        self.bytes += explored.bytes();
        let known = self.young.entry(key).or_default();
        // What was explored with more lanes asleep is of no more use.
        let less = |known: &mut Explored| {
            known.future.touches == explored.future.touches
                && known.future.withheld == explored.future.withheld
                && known.seen == explored.seen
                && explored.asleep.without(known.asleep).is_empty()
        };
        let replaced: usize = known.extract_if(.., less).map(|known| known.bytes()).sum();
        self.bytes -= replaced;
        known.push(explored);
        1
    }
}

impl Explored {
    fn bytes(&self) -> usize {
        const AROUND: usize = 128;
        let Kept { events, sets, touches: _, withheld } = &*self.future;
        size_of_val(&**events) + size_of_val(&**sets) + size_of_val(&**withheld) + AROUND
    }
}

impl Kept {
    /// How many sets its events have.
    pub(super) fn sets(&self) -> usize {
        self.sets.len()
    }
}

impl Look {
    /// What it is marked with if what is known at the state decides about it after all.
    pub(super) fn mark(self) -> usize {
        self.mark as usize
    }
}

impl Packed {
    pub(super) fn lanes(bits: u8) -> LaneSet {
        LaneSet::from_bits(u32::from(bits))
    }
}

const _: () = assert!(LANES <= u8::BITS as usize);

#[cfg(test)]
mod tests;
