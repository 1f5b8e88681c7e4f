//! The execution so far as a graph of events, for the weaker models: data that decides nothing
//! about what is allowed. [`super::axiomatic`] extends it, and `tso` and `weak` check it.
//!
//! * Each location has its stores in modification order; a load may read any of them, and a store
//!   may be placed anywhere, as far as the axioms allow. A location is one lifetime of a cell, or a
//!   word of a lock.
//! * Happens-before is kept as vector clocks that count the events of each lane. An acquiring read,
//!   or an acquire fence after a read, joins the clock of the store that was read;
//!   read-modify-writes pass on the clock of the store they read, and so continue its release
//!   sequence (as in C++20, plain stores of the same lane do not).
//! * Each event of a lane has a time of its own (INV-KNOWN-1).
//!
//! INV-GRAPH-1 (coherence): in modification order, an access is at or after every access to the
//! location that happens before it.
//! INV-GRAPH-2 (atomicity): a read-modify-write is placed right after the store that it read.
//! INV-GRAPH-3: an event's key orders it within its location: `key(a) < key(b)` if and only if a
//! precedes b by modification order, reads-from and from-read.

use super::known::Known;
use crate::{
    clock::{Clocks, join},
    object::Object,
};

/// The events of an execution from which on one check takes long enough to be interrupted.
pub(super) const LONG: usize = 512;

/// An index into the events.
pub(super) type EventId = usize;
/// An index into the stores.
pub(super) type StoreId = usize;
/// An index into the locations.
pub(super) type Location = usize;

/// What an event does.
///
/// An access is one event, and may bring fences and points with it; an act is therefore not a kind
/// of access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    Read,
    Write,
    /// Reads and writes at once.
    Update,
    /// Sequentially consistent under the weak model; under TSO also what makes a lane wait until
    /// its store buffer is empty.
    Fence,
    /// Any other fence under the weak model, or a start or an end of a lane: it orders through the
    /// clock that it has.
    Point,
}

/// One event.
#[derive(Clone, Copy, Debug)]
pub(super) struct Event {
    pub(super) lane: usize,
    /// Its place among the events of the lane, from 0.
    pub(super) place: usize,
    /// When the lane did it, on the lane's own clock.
    pub(super) time: u32,
    pub(super) act: Act,
    /// Whether it is a sequentially consistent access.
    pub(super) sc: bool,
    /// `None` for fences and points.
    pub(super) location: Option<Location>,
    at: At,
}

/// Where an event is in its location.
#[derive(Clone, Copy, Debug)]
enum At {
    Nowhere,
    /// At the store that it read or made.
    Store(StoreId),
    /// A candidate, with its key.
    Key(u32),
}

struct Store {
    value: u64,
    /// Its index in modification order.
    position: usize,
    act: Act,
}

#[derive(Default)]
struct Stores {
    /// Modification order; the first is the initial value.
    order: Vec<StoreId>,
    /// The store that was executed last.
    newest: StoreId,
    accesses: Vec<EventId>,
    /// For each lane, when it accessed the location and at which store, in order.
    by_lane: Vec<Vec<(u32, StoreId)>>,
}

/// See the module.
#[derive(Default)]
pub(super) struct Graph {
    pub(super) events: Vec<Event>,
    /// For each event, its clock.
    clocks: Clocks,
    /// The events of each lane in order.
    pub(super) by_lane: Vec<Vec<EventId>>,
    /// The sequentially consistent fences and accesses.
    pub(super) sc_events: Vec<EventId>,
    stores: Vec<Store>,
    /// For each store, the clock that an acquiring reader joins.
    handed_on: Clocks,
    pub(super) locations: usize,
    by_location: Vec<Stores>,
    /// What happens before the next event of each lane.
    pub(super) known: Known,
    /// For each lane, what an acquire fence would join.
    acquirable: Clocks,
    /// For each lane, its clock at its last release fence.
    released: Clocks,
    /// What is restored after the check of a candidate: the clocks of its lane.
    saved: Clocks,
}

/// The extent of the graph before a candidate.
pub(super) struct Mark {
    lane: usize,
    events: usize,
    sc_events: usize,
    own: usize,
}

/// Which clock of its lane a store hands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Handed {
    /// That of the store itself, a releasing one.
    Present,
    /// That of the last release fence.
    Fence,
}

impl Graph {
    /// Begins an execution with this many lanes.
    pub(super) fn begin(&mut self, lanes: usize) {
        self.widen(lanes);
        self.events.clear();
        self.by_lane.iter_mut().for_each(Vec::clear);
        self.sc_events.clear();
        self.stores.clear();
        self.clocks.reset(0);
        self.handed_on.reset(0);
        self.locations = 0;
        self.known.begin(lanes);
        for clocks in [&mut self.acquirable, &mut self.released] {
            clocks.reset(clocks.width());
        }
    }

    /// Makes room for this many lanes.
    pub(super) fn widen(&mut self, lanes: usize) {
        self.known.widen(lanes);
        let Self { clocks, handed_on, saved, acquirable, released, .. } = self;
        for clocks in [clocks, handed_on, saved, &mut *acquirable, &mut *released] {
            clocks.widen(lanes);
        }
        for clocks in [acquirable, released] {
            clocks.grow(lanes);
        }
        if self.by_lane.len() < lanes {
            self.by_lane.resize_with(lanes, Vec::new);
        }
    }

    /// Adds a location with its initial value.
    pub(super) fn add_location(&mut self, now: u64) -> Location {
        let location = self.locations;
        self.locations += 1;
        if self.by_location.len() <= location {
            self.by_location.push(Stores::default());
        }
        let store = self.stores.len();
        self.stores.push(Store { value: now, position: 0, act: Act::Write });
        self.handed_on.grow(store + 1);
        let stores = &mut self.by_location[location];
        stores.order.clear();
        stores.order.push(store);
        stores.newest = store;
        stores.accesses.clear();
        stores.by_lane.iter_mut().for_each(Vec::clear);
        location
    }

    /// What happens before an event, itself included.
    pub(super) fn clock(&self, event: EventId) -> &[u32] {
        self.clocks.row(event)
    }

    /// Whether one event happens before another.
    #[inline]
    pub(super) fn happens_before(&self, a: EventId, b: EventId) -> bool {
        a != b && self.clock(b)[self.events[a].lane] >= self.events[a].time
    }

    /// INV-GRAPH-3. A store's key is a multiple of four and its readers' keys are one more, so that
    /// a candidate store, with two more, fits before the next store.
    pub(super) fn key(&self, event: EventId) -> u32 {
        let event = &self.events[event];
        let reads = u32::from(event.act == Act::Read);
        match event.at {
            At::Nowhere => 0,
            At::Store(store) => 4 * self.stores[store].position as u32 + reads,
            At::Key(key) => key,
        }
    }

    /// The events on a location.
    pub(super) fn accesses(&self, location: Location) -> &[EventId] {
        &self.by_location[location].accesses
    }

    /// The value of the store at a position in modification order.
    pub(super) fn value(&self, location: Location, position: usize) -> u64 {
        self.stores[self.store(location, position)].value
    }

    /// The store at a position in modification order.
    pub(super) fn store(&self, location: Location, position: usize) -> StoreId {
        self.by_location[location].order[position]
    }

    /// The number of the next store.
    pub(super) fn next_store(&self) -> StoreId {
        self.stores.len()
    }

    /// The event that made the store at a position.
    pub(super) fn made_by(&self, location: Location, position: usize) -> Act {
        self.stores[self.store(location, position)].act
    }

    /// The last position in modification order.
    pub(super) fn last(&self, location: Location) -> usize {
        self.by_location[location].order.len() - 1
    }

    /// The position of the store that was executed last.
    pub(super) fn newest(&self, location: Location) -> usize {
        self.stores[self.by_location[location].newest].position
    }

    /// INV-GRAPH-1: the lowest position in modification order that the lane may read or follow.
    /// What a lane did later is no lower, so it suffices to look at the last access of each lane
    /// that this lane knows of.
    pub(super) fn floor(&self, lane: usize, location: Location) -> usize {
        let now = self.known.to(lane);
        let by_lane = self.by_location[location].by_lane.iter().zip(now);
        let last = by_lane.filter_map(|(accesses, &known)| {
            let count = accesses.partition_point(|&(time, _)| time <= known);
            Some(self.stores[accesses[count.checked_sub(1)?].1].position)
        });
        last.max().unwrap_or(0)
    }

    /// Appends an event of the lane, with its clock.
    fn push(
        &mut self,
        lane: usize,
        act: Act,
        sc: bool,
        location: Option<Location>,
        at: At,
    ) -> EventId {
        let id = self.events.len();
        let time = self.known.pass_time(lane);
        self.clocks.push(self.known.to(lane));
        let place = self.by_lane[lane].len();
        self.events.push(Event { lane, place, time, act, sc, location, at });
        self.by_lane[lane].push(id);
        if sc {
            self.sc_events.push(id);
        }
        id
    }

    /// Appends a fence or a point of the lane.
    pub(super) fn order(&mut self, lane: usize, act: Act, sc: bool) {
        self.push(lane, act, sc, None, At::Nowhere);
    }

    /// Notes the extent of the graph before a candidate of the lane.
    pub(super) fn mark(&mut self, lane: usize) -> Mark {
        self.saved.reset(0);
        self.saved.push(self.known.to(lane));
        self.saved.push(self.released.row(lane));
        let (events, sc_events) = (self.events.len(), self.sc_events.len());
        Mark { lane, events, sc_events, own: self.by_lane[lane].len() }
    }

    /// Appends an access of the lane that reads the store at a position, or would follow it.
    pub(super) fn candidate(
        &mut self,
        lane: usize,
        act: Act,
        sc: bool,
        location: Location,
        position: usize,
    ) -> EventId {
        let key = 4 * position as u32 + if act == Act::Read { 1 } else { 2 };
        self.push(lane, act, sc, Some(location), At::Key(key))
    }

    /// Undoes everything appended since the mark, which must be the latest one.
    pub(super) fn take_back(&mut self, Mark { lane, events, sc_events, own }: Mark) {
        self.events.truncate(events);
        self.clocks.truncate(events);
        self.sc_events.truncate(sc_events);
        self.by_lane[lane].truncate(own);
        self.known.to_mut(lane).copy_from_slice(self.saved.row(0));
        self.released.row_mut(lane).copy_from_slice(self.saved.row(1));
    }

    /// An acquire fence of the lane: what it read from hands on to everything that follows.
    pub(super) fn acquire(&mut self, lane: usize) {
        join(self.known.to_mut(lane), self.acquirable.row(lane));
    }

    /// A release fence of the lane: stores that follow hand on everything up to now.
    pub(super) fn release(&mut self, lane: usize) {
        self.known.pass_time(lane);
        self.released.row_mut(lane).copy_from_slice(self.known.to(lane));
    }

    /// `parent` starts a lane, at a new place or at that of a lane that has ended.
    pub(super) fn spawn(&mut self, parent: usize, lane: usize) {
        self.known.spawn(parent, lane);
        for clocks in [&mut self.acquirable, &mut self.released] {
            clocks.row_mut(lane).fill(0);
        }
    }

    /// The lane reads a store without acquiring: an acquire fence may follow.
    pub(super) fn may_acquire(&mut self, lane: usize, store: StoreId) {
        join(self.acquirable.row_mut(lane), self.handed_on.row(store));
    }

    /// A store hands on what another store does, whose release sequence it continues.
    pub(super) fn continue_release(&mut self, store: StoreId, from: StoreId) {
        self.handed_on.join_within(store, from);
    }

    /// The latest store hands on what former exclusive holders of a lock knew when they released
    /// it.
    pub(super) fn hand_on_exclusive(&mut self, lock: Object) {
        if let Some(clock) = self.known.exclusive(lock) {
            let store = self.handed_on.rows() - 1;
            join(self.handed_on.row_mut(store), clock);
        }
    }

    /// What a store hands on.
    pub(super) fn handed_on(&self, store: StoreId) -> &[u32] {
        self.handed_on.row(store)
    }

    /// The lane acquires what was handed on with a store.
    pub(super) fn join_handed_on(&mut self, lane: usize, store: StoreId) {
        join(self.known.to_mut(lane), self.handed_on.row(store));
    }

    /// Appends an event of the lane at a store.
    pub(super) fn access(
        &mut self,
        lane: usize,
        act: Act,
        sc: bool,
        location: Location,
        store: StoreId,
    ) {
        let event = self.push(lane, act, sc, Some(location), At::Store(store));
        let time = self.events[event].time;
        let stores = &mut self.by_location[location];
        stores.accesses.push(event);
        if stores.by_lane.len() <= lane {
            stores.by_lane.resize_with(lane + 1, Vec::new);
        }
        stores.by_lane[lane].push((time, store));
    }

    /// Puts a store of the lane into modification order; it gets the next number.
    pub(super) fn insert(
        &mut self,
        lane: usize,
        location: Location,
        position: usize,
        (act, value): (Act, u64),
        handed: Handed,
    ) {
        let id = self.stores.len();
        self.stores.push(Store { value, position: 0, act });
        self.handed_on.push(match handed {
            Handed::Present => self.known.to(lane),
            Handed::Fence => self.released.row(lane),
        });
        let stores = &mut self.by_location[location];
        stores.order.insert(position, id);
        stores.newest = id;
        for (position, &store) in stores.order.iter().enumerate().skip(position) {
            self.stores[store].position = position;
        }
    }
}
