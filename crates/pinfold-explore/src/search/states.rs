//! The states that a search has explored.
//!
//! INV-STATES-1: an entry says that everything that can follow its state was explored, or is
//! explored by another part of the same search, except what begins with the step of a lane that
//! slept there; and its future has every event of that.
//! INV-STATES-2: forgetting an entry loses time only.

use super::{
    future::{Bound, Deed, Event, Future, LANES, Members, Origin, Seen, past},
    rule::Rule,
};
use crate::{
    lane::LaneSet,
    ledger::{Digest, Name},
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
    learnt: u32,
    /// The number of the set of what was done that it always comes after.
    pub(super) follows: u32,
    /// The lanes of which it always comes after a later step.
    pub(super) steps: u8,
    /// The lanes of which it may come after a later step.
    pub(super) most: u8,
    /// The lanes of which its lane knows a later time.
    pub(super) known: u8,
}

/// What was explored from a state.
struct Explored {
    /// The lanes that slept.
    asleep: LaneSet,
    future: Arc<[Packed]>,
}

type Keyed<T> = HashMap<Digest, T, BuildHasherDefault<KeyHasher>>;

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
    numbers: HashMap<Event, u32>,
    events: Vec<Event>,
    /// The numbers of what events touch.
    places: HashMap<(Name, bool), u32>,
    sources: HashMap<Origin, usize>,
    origins: Vec<Origin>,
    /// What is done somewhere, by whatever lane.
    deeds: HashMap<(Name, Deed), usize>,
    done: Vec<(Name, Deed)>,
    set_numbers: HashMap<Members, u32>,
    sets: Vec<Members>,
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
            numbers: HashMap::new(),
            events: Vec::new(),
            places: HashMap::new(),
            sources: HashMap::new(),
            origins: Vec::new(),
            deeds: HashMap::new(),
            done: Vec::new(),
            set_numbers: HashMap::new(),
            sets: Vec::new(),
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
    numbers: &mut HashMap<T, N>,
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
        Seen {
            event: number(&mut self.numbers, &mut self.events, event, |next| next as u32),
            lane: event.lane,
            place: self.place(event),
            closes: event.closes(),
            steps: ALL,
            most: ALL,
            known: ALL,
            learnt: Members::ALL,
            follows: Members::default(),
        }
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

    /// What an event's lane has learnt.
    pub(super) fn sources(&self, packed: Packed) -> Members {
        self.sets[packed.learnt as usize]
    }

    /// What was done that an event always comes after.
    pub(super) fn follows(&self, packed: Packed) -> Members {
        self.sets[packed.follows as usize]
    }

    /// The same in full.
    pub(super) fn learnt(&self, packed: Packed, origins: &mut Vec<Origin>) {
        let sources = self.sets[packed.learnt as usize];
        let known = self.origins.iter().enumerate().filter(|&(at, _)| sources.contains(at));
        origins.clear();
        origins.extend(known.map(|(_, &origin)| origin));
    }

    /// What was explored from the state when no other lanes slept than these.
    pub(super) fn find(&mut self, key: Digest, asleep: LaneSet) -> Option<Arc<[Packed]>> {
        let fits = |explored: &&Explored| {
            explored.asleep.without(asleep).is_empty() || !Rule::ExploredAwake.holds()
        };
        let found = |half: &Keyed<Vec<Explored>>| {
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
    pub(super) fn add(&mut self, key: Digest, asleep: LaneSet, future: &Future, at: [&Bound; 2]) {
        let [steps, time] = at;
        let packed = |seen: &Seen| {
            let mut set =
                |set| number(&mut self.set_numbers, &mut self.sets, set, |next| next as u32);
            let (learnt, follows) = (set(seen.learnt), set(seen.follows));
            let bits = |bound: &Bound, state: &Bound| past(bound, state).bits() as u8;
            Packed {
                event: seen.event,
                learnt,
                follows,
                steps: bits(&seen.steps, steps),
                most: bits(&seen.most, steps),
                known: bits(&seen.known, time),
            }
        };
        let explored = Explored { asleep, future: future.iter().map(packed).collect() };
        if self.bytes > self.most {
            self.forgotten += self.old.len() as u64;
            self.old = std::mem::take(&mut self.young);
            self.bytes = 0;
        }
        self.added += 1;
        self.bytes += explored.bytes();
        let known = self.young.entry(key).or_default();
        // What was explored with more lanes asleep is of no more use.
        let less = |known: &mut Explored| explored.asleep.without(known.asleep).is_empty();
        let replaced: usize = known.extract_if(.., less).map(|known| known.bytes()).sum();
        self.bytes -= replaced;
        known.push(explored);
    }
}

impl Explored {
    fn bytes(&self) -> usize {
        const AROUND: usize = 128;
        self.future.len() * size_of::<Packed>() + AROUND
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
