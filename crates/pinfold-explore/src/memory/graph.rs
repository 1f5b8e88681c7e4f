//! The execution so far as a graph of events, for the weaker models.
//!
//! * Per location the stores stand in modification order; a load may read any of them, and a store
//!   may be put anywhere, as far as the axioms allow. A location is one life of a cell.
//! * Happens-before is kept as vector clocks that count the events of each lane. An acquiring read,
//!   or an acquire fence after a read, joins the clock of the store that was read;
//!   read-modify-writes pass on the clock of the store they read, so that they continue its release
//!   sequence (as in C++20: plain stores of the same lane do not).
//! * Under TSO there is no such synchronisation; the clocks then hold program order and locks only.
//! * `Full` is a sequentially consistent fence, the relaxed access, and another such fence.
//!
//! INV-GRAPH-1 (coherence): an access stands, in modification order, at or after every access to
//! the location that happens before it.
//! INV-GRAPH-2 (atomicity): a read-modify-write stands right after the store that it read.
//! INV-GRAPH-3: an event's key orders it within its location: `key(a) < key(b)` if and only if a
//! precedes b by modification order, reads-from and from-read.

use super::{Behind, tso, weak};
use crate::{
    engine::{Done, Op},
    hook::{Mode, Order},
    lock::excludes,
    object::Object,
};

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
    /// Sequentially consistent under the weak model; also the taking of a lock under TSO.
    Fence,
}

/// One event.
#[derive(Clone, Copy, Debug)]
pub(super) struct Event {
    pub(super) lane: usize,
    /// Its place among the events of the lane, from 1.
    pub(super) place: u32,
    pub(super) act: Act,
    /// Whether it is a sequentially consistent access.
    pub(super) sc: bool,
    /// `None` for fences.
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
}

/// The clocks that a lock hands over.
#[derive(Clone, Default)]
struct Handover {
    exclusive: Vec<u32>,
    shared: Vec<u32>,
}

impl Handover {
    fn clear(&mut self) {
        self.exclusive.clear();
        self.shared.clear();
    }
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
            acquires: weak && matches!(order, Order::Acquire | Order::AcqRel | Order::SeqCst),
            releases: weak && matches!(order, Order::Release | Order::AcqRel | Order::SeqCst),
            sc: weak && sc,
            // x86 compiles a sequentially consistent store to an exchange.
            fenced_after: full || (!weak && sc && act == Act::Write),
        }
    }
}

/// See the module.
pub(super) struct Graph {
    pub(super) axioms: Axioms,
    pub(super) lanes: usize,
    pub(super) events: Vec<Event>,
    /// For each event its clock.
    clocks: Vec<u32>,
    /// The events of each lane in order.
    pub(super) by_lane: Vec<Vec<EventId>>,
    /// The sequentially consistent fences and accesses.
    pub(super) sc_events: Vec<EventId>,
    stores: Vec<Store>,
    /// For each store the clock that an acquiring reader joins.
    handed_on: Vec<u32>,
    pub(super) locations: usize,
    by_location: Vec<Stores>,
    /// The present life of each cell.
    current: Vec<Location>,
    /// For each lane what happens before its next event.
    now: Vec<u32>,
    /// For each lane what an acquire fence would join.
    acquirable: Vec<u32>,
    /// For each lane its clock at its last release fence.
    released: Vec<u32>,
    locks: Vec<Handover>,
    /// What a check of a candidate puts back: the clocks of its lane.
    saved: Vec<u32>,
    pub(super) search: weak::Buffers,
    pub(super) visited: Vec<bool>,
}

impl Graph {
    pub(super) fn new(axioms: Axioms) -> Self {
        Self {
            axioms,
            lanes: 0,
            events: Vec::new(),
            clocks: Vec::new(),
            by_lane: Vec::new(),
            sc_events: Vec::new(),
            stores: Vec::new(),
            handed_on: Vec::new(),
            locations: 0,
            by_location: Vec::new(),
            current: Vec::new(),
            now: Vec::new(),
            acquirable: Vec::new(),
            released: Vec::new(),
            locks: Vec::new(),
            saved: Vec::new(),
            search: weak::Buffers::default(),
            visited: Vec::new(),
        }
    }

    pub(super) fn begin(&mut self, lanes: usize) {
        self.lanes = lanes;
        self.events.clear();
        self.clocks.clear();
        self.by_lane.iter_mut().for_each(Vec::clear);
        self.by_lane.resize_with(lanes, Vec::new);
        self.sc_events.clear();
        self.stores.clear();
        self.handed_on.clear();
        self.locations = 0;
        self.current.clear();
        for clocks in [&mut self.now, &mut self.acquirable, &mut self.released] {
            clocks.clear();
            clocks.resize(lanes * lanes, 0);
        }
        self.locks.iter_mut().for_each(Handover::clear);
    }

    /// A new life of the cell begins with the value `now`.
    pub(super) fn meet(&mut self, cell: Object, now: u64) {
        let location = self.locations;
        self.locations += 1;
        if self.by_location.len() <= location {
            self.by_location.push(Stores::default());
        }
        let cell = cell as usize;
        if self.current.len() <= cell {
            self.current.resize(cell + 1, usize::MAX);
        }
        self.current[cell] = location;
        let store = self.stores.len();
        self.stores.push(Store { value: now, position: 0, act: Act::Write });
        self.handed_on.resize(self.handed_on.len() + self.lanes, 0);
        let stores = &mut self.by_location[location];
        stores.order.clear();
        stores.order.push(store);
        stores.newest = store;
        stores.accesses.clear();
    }

    /// What happens before an event, itself included.
    pub(super) fn clock(&self, event: EventId) -> &[u32] {
        &self.clocks[event * self.lanes..][..self.lanes]
    }

    /// Whether one event happens before another.
    #[inline]
    pub(super) fn happens_before(&self, a: EventId, b: EventId) -> bool {
        let Event { lane, place, .. } = self.events[a];
        a != b && self.clocks[b * self.lanes + lane] >= place
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
            Op::Rmw { success, failure, update, .. } => {
                match update.call(self.value(location, position)) {
                    Some(_) => (Act::Update, *success),
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

    /// INV-GRAPH-1: the lowest position in modification order that the lane may read or follow.
    fn floor(&self, lane: usize, location: Location) -> usize {
        let now = &self.now[lane * self.lanes..][..self.lanes];
        let stores = &self.by_location[location];
        let happened = stores.accesses.iter().map(|&id| &self.events[id]);
        let positions = happened.filter_map(|event| match event.at {
            At::Store(store) if event.place <= now[event.lane] => Some(self.stores[store].position),
            _ => None,
        });
        positions.max().unwrap_or(0)
    }

    /// Whether the axioms allow the access at a position that is not the last.
    fn is_consistent(&mut self, lane: usize, op: &Op, location: Location, position: usize) -> bool {
        let (act, order) = self.outcome(op, location, position);
        let shape = Shape::new(self.axioms, act, order);
        let ordered = !self.sc_events.is_empty() || shape.fenced_before || shape.sc;
        if self.axioms == Axioms::Weak && !ordered {
            return true;
        }
        let events = self.events.len();
        let sc_events = self.sc_events.len();
        let own = self.by_lane[lane].len();
        let clocks = lane * self.lanes..(lane + 1) * self.lanes;
        self.saved.clear();
        self.saved.extend_from_slice(&self.now[clocks.clone()]);
        self.saved.extend_from_slice(&self.released[clocks.clone()]);
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
        self.clocks.truncate(events * self.lanes);
        self.sc_events.truncate(sc_events);
        self.by_lane[lane].truncate(own);
        let (now, released) = self.saved.split_at(self.lanes);
        self.now[clocks.clone()].copy_from_slice(now);
        self.released[clocks].copy_from_slice(released);
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
        let now = &mut self.now[lane * self.lanes..][..self.lanes];
        now[lane] += 1;
        self.clocks.extend_from_slice(now);
        self.events.push(Event { lane, place: now[lane], act, sc, location, at });
        self.by_lane[lane].push(id);
        if sc {
            self.sc_events.push(id);
        }
        id
    }

    /// The lane acquires what was handed on with a store.
    fn join_handed_on(&mut self, lane: usize, store: StoreId) {
        let handed_on = &self.handed_on[store * self.lanes..][..self.lanes];
        join(&mut self.now[lane * self.lanes..][..self.lanes], handed_on);
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
            } else if self.axioms == Axioms::Weak {
                let handed_on = &self.handed_on[base * self.lanes..][..self.lanes];
                join(&mut self.acquirable[lane * self.lanes..][..self.lanes], handed_on);
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
        let event = self.push(lane, act, shape.sc, Some(location), At::Store(store));
        if act != Act::Read {
            self.insert(
                lane,
                location,
                position + 1,
                Store { value: new, position: 0, act },
                shape,
            );
            if act == Act::Update {
                let (before, own) = self.handed_on.split_at_mut(store * self.lanes);
                join(own, &before[base * self.lanes..][..self.lanes]);
            }
        }
        self.by_location[location].accesses.push(event);
        if shape.fenced_after {
            self.fence(lane, Order::SeqCst);
        }
        let latest = self.value(location, self.by_location[location].order.len() - 1);
        Done { old, new, done: act != Act::Read, latest }
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
        let clocks = if shape.releases { &self.now } else { &self.released };
        self.handed_on.extend_from_slice(&clocks[lane * self.lanes..][..self.lanes]);
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
        let range = lane * self.lanes..(lane + 1) * self.lanes;
        if sc || matches!(order, Order::Acquire | Order::AcqRel) {
            join(&mut self.now[range.clone()], &self.acquirable[range.clone()]);
        }
        if sc {
            self.push(lane, Act::Fence, true, None, At::Nowhere);
        }
        if sc || matches!(order, Order::Release | Order::AcqRel) {
            self.released[range.clone()].copy_from_slice(&self.now[range]);
        }
    }

    /// The lane has taken a lock: what its former holders did happens before.
    pub(super) fn acquire(&mut self, lane: usize, lock: Object, mode: Mode) {
        if let Some(handover) = self.locks.get(lock as usize) {
            let now = &mut self.now[lane * self.lanes..][..self.lanes];
            for (held, clock) in
                [(Mode::Exclusive, &handover.exclusive), (Mode::Shared, &handover.shared)]
            {
                if excludes(held, mode) && !clock.is_empty() {
                    join(now, clock);
                }
            }
        }
        if self.axioms == Axioms::Tso {
            self.push(lane, Act::Fence, false, None, At::Nowhere);
        }
    }

    /// The lane gives a lock back.
    pub(super) fn release(&mut self, lane: usize, lock: Object, mode: Mode) {
        let index = lock as usize;
        if self.locks.len() <= index {
            self.locks.resize_with(index + 1, Handover::default);
        }
        let clock = match mode {
            Mode::Exclusive => &mut self.locks[index].exclusive,
            Mode::Shared => &mut self.locks[index].shared,
        };
        clock.resize(self.lanes, 0);
        join(clock, &self.now[lane * self.lanes..][..self.lanes]);
    }
}

/// The least clock above both.
fn join(clock: &mut [u32], other: &[u32]) {
    for (mine, theirs) in clock.iter_mut().zip(other) {
        *mine = (*mine).max(*theirs);
    }
}
