//! The execution so far as a graph of events, for the weaker models.
//!
//! * Per location the stores stand in modification order; a load may read any of them, and a store
//!   may be put anywhere, as far as the axioms allow. A location is one life of a cell.
//! * Happens-before is kept as vector clocks that count the events of each lane. An acquiring read,
//!   or an acquire fence after a read, joins the clock of the store that was read;
//!   read-modify-writes pass on the clock of the store they read, so that they continue its release
//!   sequence (as in C++20: plain stores of the same lane do not).
//! * Under TSO every store releases and every load acquires. That says nothing which the axioms of
//!   TSO do not say by themselves, and tells which plain accesses are ordered.
//! * Each event of a lane has a time of its own (INV-KNOWN-1).
//! * `Full` is a sequentially consistent fence, the relaxed access, and another such fence.
//! * Locks are words of their own ([`locks`]); starts and ends of lanes, and under the weak model all
//!   fences, are events too: what an access comes before may go through them.
//!
//! INV-GRAPH-1 (coherence): an access stands, in modification order, at or after every access to
//! the location that happens before it.
//! INV-GRAPH-2 (atomicity): a read-modify-write stands right after the store that it read.
//! INV-GRAPH-3: an event's key orders it within its location: `key(a) < key(b)` if and only if a
//! precedes b by modification order, reads-from and from-read.

mod locks;

use super::{Behind, known::Known, tso, weak};
use crate::{
    clock::{Clocks, join},
    hook::{Mode, Order},
    object::Object,
    op::{Done, Miss, Op},
};
use locks::Words;

/// Which consistency holds beyond coherence and atomicity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Axioms {
    Tso,
    Weak,
}

/// An index into the events.
pub(super) type EventId = usize;
type StoreId = usize;
type Location = usize;

/// What an event does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    Read,
    Write,
    /// Reads and writes in one.
    Update,
    /// Sequentially consistent under the weak model; under TSO also what makes a lane wait until its
    /// store buffer is empty.
    Fence,
    /// Another fence under the weak model, a start or an end of a lane: it orders by what is known
    /// there.
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

/// Where an event stands in its location.
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
    /// For each lane when it accessed the location, and at which store, in order.
    by_lane: Vec<Vec<(u32, StoreId)>>,
}

/// What an ordering means for an access.
#[derive(Clone, Copy)]
struct Shape {
    fenced_before: bool,
    acquires: bool,
    releases: bool,
    sc: bool,
    fenced_after: bool,
}

impl Shape {
    fn new(axioms: Axioms, act: Act, order: Order) -> Self {
        let weak = axioms == Axioms::Weak;
        let full = order == Order::Full;
        let sc = order == Order::SeqCst;
        Self {
            fenced_before: full,
            acquires: !weak || matches!(order, Order::Acquire | Order::AcqRel | Order::SeqCst),
            releases: !weak || matches!(order, Order::Release | Order::AcqRel | Order::SeqCst),
            sc: weak && sc,
            // x86 compiles a sequentially consistent store to an exchange.
            fenced_after: full || (!weak && sc && act == Act::Write),
        }
    }
}

/// See the module.
pub(super) struct Graph {
    pub(super) axioms: Axioms,
    pub(super) events: Vec<Event>,
    /// For each event its clock.
    clocks: Clocks,
    /// The events of each lane in order.
    pub(super) by_lane: Vec<Vec<EventId>>,
    /// The sequentially consistent fences and accesses.
    pub(super) sc_events: Vec<EventId>,
    stores: Vec<Store>,
    /// For each store the clock that an acquiring reader joins.
    handed_on: Clocks,
    pub(super) locations: usize,
    by_location: Vec<Stores>,
    /// The present life of each cell.
    current: Vec<Location>,
    /// By lock.
    locks: Vec<Words>,
    /// What happens before the next event of each lane.
    known: Known,
    /// For each lane what an acquire fence would join.
    acquirable: Clocks,
    /// For each lane its clock at its last release fence.
    released: Clocks,
    /// What a check of a candidate puts back: the clocks of its lane.
    saved: Clocks,
    pub(super) search: weak::Buffers,
    pub(super) visited: Vec<bool>,
}

impl Graph {
    pub(super) fn new(axioms: Axioms) -> Self {
        Self {
            axioms,
            events: Vec::new(),
            clocks: Clocks::default(),
            by_lane: Vec::new(),
            sc_events: Vec::new(),
            stores: Vec::new(),
            handed_on: Clocks::default(),
            locations: 0,
            by_location: Vec::new(),
            current: Vec::new(),
            locks: Vec::new(),
            known: Known::default(),
            acquirable: Clocks::default(),
            released: Clocks::default(),
            saved: Clocks::default(),
            search: weak::Buffers::default(),
            visited: Vec::new(),
        }
    }

    pub(super) fn begin(&mut self, lanes: usize) {
        self.widen(lanes);
        self.events.clear();
        self.by_lane.iter_mut().for_each(Vec::clear);
        self.sc_events.clear();
        self.stores.clear();
        self.clocks.reset(0);
        self.handed_on.reset(0);
        self.locations = 0;
        self.current.clear();
        self.locks.iter_mut().for_each(Words::clear);
        self.known.begin(lanes);
        for clocks in [&mut self.acquirable, &mut self.released] {
            clocks.reset(clocks.width());
        }
    }

    /// Makes room for so many lanes.
    fn widen(&mut self, lanes: usize) {
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

    /// A new life of the cell begins with the value `now`.
    pub(super) fn meet(&mut self, cell: Object, now: u64) {
        let location = self.add_location(now);
        let cell = cell as usize;
        if self.current.len() <= cell {
            self.current.resize(cell + 1, usize::MAX);
        }
        self.current[cell] = location;
    }

    /// A new location, with its initial value.
    fn add_location(&mut self, now: u64) -> Location {
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

    /// INV-GRAPH-3. A store has a multiple of four and its readers one more, so that a candidate
    /// store, with two more, fits in between.
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

    fn value(&self, location: Location, position: usize) -> u64 {
        self.stores[self.by_location[location].order[position]].value
    }

    /// Puts the options of an access into `options`, the ordinary one first.
    pub(super) fn options(
        &mut self,
        lane: usize,
        op: &Op,
        behind: impl FnOnce() -> Behind,
        options: &mut Vec<u32>,
    ) {
        let Some(cell) = op.cell() else { return };
        let location = self.current[cell as usize];
        let last = self.by_location[location].order.len() - 1;
        if self.is_acceptable(op, location, last) {
            options.push(0);
        }
        if last == 0 {
            return;
        }
        let mut lowest = self.floor(lane, location);
        if lowest < last && behind() == Behind::Withheld {
            lowest = lowest.max(self.stores[self.by_location[location].newest].position);
        }
        for position in (lowest..last).rev() {
            if self.is_acceptable(op, location, position)
                && self.is_atomic(op, location, position)
                && self.is_consistent(lane, op, location, position)
            {
                options.push((last - position) as u32);
            }
        }
    }

    /// Whether a waiting lane would go on with the store at `position`.
    fn is_acceptable(&self, op: &Op, location: Location, position: usize) -> bool {
        match op {
            Op::Wait { ready, .. } => ready.call(self.value(location, position)),
            _ => true,
        }
    }

    /// What the access does, and its ordering, if it reads the store at `position` or is placed
    /// right after it.
    fn outcome(&self, op: &Op, location: Location, position: usize) -> (Act, Order) {
        match op {
            Op::Store { order, .. } => (Act::Write, *order),
            Op::Rmw { success, failure, miss, update, .. } => {
                match update.call(self.value(location, position)) {
                    Some(_) => (Act::Update, *success),
                    // A locked instruction is a fence whether it writes or not.
                    None if (self.axioms, *miss) == (Axioms::Tso, Miss::Locked) => {
                        (Act::Read, Order::Full)
                    }
                    None => (Act::Read, *failure),
                }
            }
            Op::Load { order, .. } | Op::Wait { order, .. } => (Act::Read, *order),
            _ => (Act::Fence, Order::Relaxed),
        }
    }

    /// INV-GRAPH-2, for a place that is not the last.
    fn is_atomic(&self, op: &Op, location: Location, position: usize) -> bool {
        let next = self.by_location[location].order[position + 1];
        self.stores[next].act != Act::Update || self.outcome(op, location, position).0 == Act::Read
    }

    /// INV-GRAPH-1: the lowest position in modification order that the lane may read or follow. What a
    /// lane did later stands no lower, so the last of each lane that the lane knows of will do.
    fn floor(&self, lane: usize, location: Location) -> usize {
        let now = self.known.to(lane);
        let by_lane = self.by_location[location].by_lane.iter().zip(now);
        let last = by_lane.filter_map(|(accesses, &known)| {
            let count = accesses.partition_point(|&(time, _)| time <= known);
            Some(self.stores[accesses[count.checked_sub(1)?].1].position)
        });
        last.max().unwrap_or(0)
    }

    /// Whether the axioms allow the access at a position that is not the last.
    fn is_consistent(&mut self, lane: usize, op: &Op, location: Location, position: usize) -> bool {
        let (act, order) = self.outcome(op, location, position);
        self.admits(lane, act, Shape::new(self.axioms, act, order), location, position)
    }

    /// Whether the axioms allow an event of the lane at a position of its location.
    fn admits(
        &mut self,
        lane: usize,
        act: Act,
        shape: Shape,
        location: Location,
        position: usize,
    ) -> bool {
        let events = self.events.len();
        let sc_events = self.sc_events.len();
        let own = self.by_lane[lane].len();
        self.saved.reset(0);
        self.saved.push(self.known.to(lane));
        self.saved.push(self.released.row(lane));
        if shape.fenced_before {
            self.fence(lane, Order::SeqCst);
        }
        let coherent = position >= self.floor(lane, location);
        let key = 4 * position as u32 + if act == Act::Read { 1 } else { 2 };
        if act != Act::Write && shape.acquires {
            let store = self.by_location[location].order[position];
            self.join_handed_on(lane, store);
        }
        let candidate = self.push(lane, act, shape.sc, Some(location), At::Key(key));
        let consistent = coherent
            && match self.axioms {
                Axioms::Weak => weak::allows(self, candidate),
                Axioms::Tso => tso::allows(self, candidate),
            };
        self.events.truncate(events);
        self.clocks.truncate(events);
        self.sc_events.truncate(sc_events);
        self.by_lane[lane].truncate(own);
        self.known.to_mut(lane).copy_from_slice(self.saved.row(0));
        self.released.row_mut(lane).copy_from_slice(self.saved.row(1));
        consistent
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

    /// What happens before the next event of the lane.
    pub(super) fn known(&self, lane: usize) -> &[u32] {
        self.known.to(lane)
    }

    /// Whether all that was done at a place, by a lane that ended, happens before the next access of
    /// the lane.
    pub(super) fn knows_end(&self, lane: usize, place: usize) -> bool {
        self.known.knows_end(lane, place)
    }

    /// The lane acquires what was handed on with a store.
    fn join_handed_on(&mut self, lane: usize, store: StoreId) {
        join(self.known.to_mut(lane), self.handed_on.row(store));
    }

    /// Executes an access with one of its options.
    pub(super) fn execute(&mut self, lane: usize, op: &Op, option: u32) -> Done {
        let Some(cell) = op.cell() else { return Done::default() };
        let location = self.current[cell as usize];
        let last = self.by_location[location].order.len() - 1;
        let position = last.saturating_sub(option as usize);
        let (act, order) = self.outcome(op, location, position);
        let shape = Shape::new(self.axioms, act, order);
        if shape.fenced_before {
            self.fence(lane, Order::SeqCst);
        }
        let mut old = self.value(location, position);
        let mut new = old;
        let base = self.by_location[location].order[position];
        if act != Act::Write {
            if shape.acquires {
                self.join_handed_on(lane, base);
            } else {
                join(self.acquirable.row_mut(lane), self.handed_on.row(base));
            }
        }
        match op {
            Op::Store { value, .. } => {
                old = self.value(location, last);
                new = *value;
            }
            Op::Rmw { update, .. } => new = update.call(old).unwrap_or(old),
            _ => {}
        }
        let store = if act == Act::Read { base } else { self.stores.len() };
        self.access(lane, act, shape.sc, location, store);
        if act != Act::Read {
            self.insert(
                lane,
                location,
                position + 1,
                Store { value: new, position: 0, act },
                shape,
            );
            if act == Act::Update {
                self.handed_on.join_within(store, base);
            }
        }
        if shape.fenced_after {
            self.fence(lane, Order::SeqCst);
        }
        let latest = self.value(location, self.by_location[location].order.len() - 1);
        Done { old, new, done: act != Act::Read, latest }
    }

    /// Appends an event of the lane at a store.
    fn access(&mut self, lane: usize, act: Act, sc: bool, location: Location, store: StoreId) {
        let event = self.push(lane, act, sc, Some(location), At::Store(store));
        let time = self.events[event].time;
        let stores = &mut self.by_location[location];
        stores.accesses.push(event);
        if stores.by_lane.len() <= lane {
            stores.by_lane.resize_with(lane + 1, Vec::new);
        }
        stores.by_lane[lane].push((time, store));
    }

    /// Puts a store into modification order.
    fn insert(
        &mut self,
        lane: usize,
        location: Location,
        position: usize,
        store: Store,
        shape: Shape,
    ) {
        let id = self.stores.len();
        self.stores.push(store);
        let handed_on = if shape.releases { self.known.to(lane) } else { self.released.row(lane) };
        self.handed_on.push(handed_on);
        let stores = &mut self.by_location[location];
        stores.order.insert(position, id);
        stores.newest = id;
        for (position, &store) in stores.order.iter().enumerate().skip(position) {
            self.stores[store].position = position;
        }
    }

    /// A fence of the lane.
    pub(super) fn fence(&mut self, lane: usize, order: Order) {
        let sc = matches!(order, Order::SeqCst | Order::Full);
        if self.axioms == Axioms::Tso {
            if sc {
                self.push(lane, Act::Fence, false, None, At::Nowhere);
            }
            return;
        }
        if sc || matches!(order, Order::Acquire | Order::AcqRel) {
            join(self.known.to_mut(lane), self.acquirable.row(lane));
        }
        let act = if sc { Act::Fence } else { Act::Point };
        self.push(lane, act, sc, None, At::Nowhere);
        if sc || matches!(order, Order::Release | Order::AcqRel) {
            self.known.pass_time(lane);
            self.released.row_mut(lane).copy_from_slice(self.known.to(lane));
        }
    }

    /// The lane learns of what was handed over under the number of a lock.
    pub(super) fn take_over(&mut self, lane: usize, lock: Object) {
        self.known.acquire(lane, lock, Mode::Exclusive);
        self.meets_another(lane);
    }

    /// The lane hands over what it did under the number of a lock.
    pub(super) fn hand_over(&mut self, lane: usize, lock: Object) {
        self.point(lane);
        self.known.release(lane, lock, Mode::Exclusive);
    }

    /// `parent` starts a lane.
    pub(super) fn spawn(&mut self, parent: usize, lane: usize) {
        self.widen(lane + 1);
        self.point(parent);
        self.known.spawn(parent, lane);
        // The place may be that of a lane that ended.
        for clocks in [&mut self.acquirable, &mut self.released] {
            clocks.row_mut(lane).fill(0);
        }
        self.meets_another(lane);
    }

    /// The lane of this number, at this place, has ended.
    pub(super) fn end(&mut self, lane: usize, number: usize) {
        self.point(lane);
        self.known.end(lane, number);
    }

    /// The lane has seen that the one of this number ended.
    pub(super) fn join(&mut self, lane: usize, number: usize) {
        self.known.join(lane, number);
        self.meets_another(lane);
    }

    /// What the lane did until now may happen before what others do.
    fn point(&mut self, lane: usize) {
        if self.axioms == Axioms::Weak {
            self.push(lane, Act::Point, false, None, At::Nowhere);
        }
    }

    /// The lane has learnt of another in another way than by a store of it. Under TSO it waits until
    /// all stores that it learns of have left their buffers.
    fn meets_another(&mut self, lane: usize) {
        let act = match self.axioms {
            Axioms::Tso => Act::Fence,
            Axioms::Weak => Act::Point,
        };
        self.push(lane, act, false, None, At::Nowhere);
    }
}
