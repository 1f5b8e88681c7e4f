//! What lanes, stores and locks have seen of each location, as positions in modification order.
//!
//! What the axioms forbid in the future of an execution follows from this alone. Kept for a search
//! that remembers states; the axioms decide.
//!
//! - INV-VIEWS-1: where no access is sequentially consistent by itself (fences may be), a candidate
//!   is consistent with the axioms if and only if its position is not below [`Views::bound`]. Each
//!   candidate is compared in debug builds.
//! - INV-VIEWS-2: a store that is put between others renumbers all positions behind it, so that a
//!   row is always about the modification order of now.

use super::graph::{Act, Location, StoreId};
use crate::{
    clock::{Clocks, join},
    object::Object,
    order::Mode,
};

/// A row of each table of tokens.
pub(super) type Token = usize;

/// The model whose views these are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rules {
    Tso,
    Weak,
}

/// What a lane has.
#[derive(Clone, Copy)]
pub(super) struct Own {
    pub(super) known: Token,
    pub(super) acquirable: Token,
    pub(super) released: Token,
}

/// See the module.
pub(super) struct Views {
    pub(super) rules: Rules,
    /// By token. Weak: the lowest position that may be accessed. Tso: the last own access.
    pub(super) floors: Clocks,
    /// By token. Weak: what the fences that are known exclude. Tso: what precedes a read.
    pub(super) now: Clocks,
    /// By token. Weak: what a fence would exclude. Tso: what precedes a write.
    pub(super) then: Clocks,
    /// By store: what it adds to `then` of whoever meets it.
    pub(super) order: Clocks,
    /// By store: what its readers add to the next store.
    pub(super) readers: Clocks,
    pub(super) lanes: Vec<Own>,
    /// By store.
    pub(super) handed: Vec<Token>,
    pub(super) writers: Vec<usize>,
    exclusive: Vec<Option<Token>>,
    shared: Vec<Option<Token>>,
    pub(super) ended: Vec<Option<Token>>,
    /// By location: the lanes that accessed it.
    pub(super) touched: Vec<u32>,
    tokens: usize,
    buffer: Vec<u32>,
}

const NOBODY: usize = usize::MAX;

impl Views {
    pub(super) fn new(rules: Rules) -> Self {
        let table = Clocks::default;
        Self {
            rules,
            floors: table(),
            now: table(),
            then: table(),
            order: table(),
            readers: table(),
            lanes: Vec::new(),
            handed: Vec::new(),
            writers: Vec::new(),
            exclusive: Vec::new(),
            shared: Vec::new(),
            ended: Vec::new(),
            touched: Vec::new(),
            tokens: 0,
            buffer: Vec::new(),
        }
    }

    fn tables(&mut self) -> [&mut Clocks; 5] {
        let Self { floors, now, then, order, readers, .. } = self;
        [floors, now, then, order, readers]
    }

    pub(super) fn begin(&mut self, lanes: usize) {
        for table in self.tables() {
            table.widen(8);
            table.reset(0);
        }
        self.lanes.clear();
        self.handed.clear();
        self.writers.clear();
        self.exclusive.clear();
        self.shared.clear();
        self.ended.clear();
        self.tokens = 0;
        self.touched.clear();
        for _ in 0..lanes {
            self.add_lane();
        }
    }

    fn add_lane(&mut self) {
        let own = Own { known: self.token(), acquirable: self.token(), released: self.token() };
        self.lanes.push(own);
    }

    fn token(&mut self) -> Token {
        let token = self.tokens;
        self.tokens += 1;
        for table in [&mut self.floors, &mut self.now, &mut self.then] {
            table.grow(token + 1);
        }
        token
    }

    fn store(&mut self, writer: usize) -> StoreId {
        let token = self.token();
        let store = self.handed.len();
        self.handed.push(token);
        self.writers.push(writer);
        self.order.grow(store + 1);
        self.readers.grow(store + 1);
        store
    }

    pub(super) fn add_location(&mut self, location: Location) {
        for table in self.tables() {
            if table.width() <= location {
                table.widen(2 * location + 2);
            }
        }
        self.touched.push(0);
        self.store(NOBODY);
    }

    fn join(&mut self, into: Token, from: Token) {
        if self.rules == Rules::Weak {
            self.floors.join_within(into, from);
        }
        self.now.join_within(into, from);
        self.then.join_within(into, from);
    }

    /// Everything that comes after a store beyond the position comes after this, too.
    fn raise(&mut self, location: Location, position: usize) {
        let Self { now, then, order, readers, buffer, .. } = self;
        for table in [now, then, order, readers] {
            for row in 0..table.rows() {
                let row = table.row_mut(row);
                if row[location] as usize > position {
                    join(row, buffer);
                }
            }
        }
    }

    fn renumber(&mut self, location: Location, position: usize) {
        for table in self.tables() {
            for row in 0..table.rows() {
                let at = &mut table.row_mut(row)[location];
                if *at as usize >= position {
                    *at += 1;
                }
            }
        }
    }

    /// The lane reads a store.
    pub(super) fn read(
        &mut self,
        lane: usize,
        location: Location,
        (position, last): (usize, usize),
        store: StoreId,
    ) {
        let known = self.lanes[lane].known;
        if self.rules == Rules::Tso && self.writers[store] != lane {
            join(self.now.row_mut(known), self.order.row(store));
        }
        if position < last {
            let Self { now, buffer, .. } = self;
            buffer.clear();
            buffer.extend_from_slice(now.row(known));
            self.raise(location, position);
        }
        join(self.readers.row_mut(store), self.now.row(known));
        match self.rules {
            Rules::Tso => join(self.then.row_mut(known), self.now.row(known)),
            Rules::Weak => join(self.then.row_mut(known), self.order.row(store)),
        }
        self.floor(known, location, position);
        self.touched[location] |= 1 << lane;
    }

    fn floor(&mut self, known: Token, location: Location, position: usize) {
        let floor = &mut self.floors.row_mut(known)[location];
        *floor = (*floor).max(position as u32);
    }

    /// The lane writes right after a store, at a position.
    pub(super) fn write(
        &mut self,
        lane: usize,
        act: Act,
        location: Location,
        (position, last): (usize, usize),
        base: StoreId,
    ) {
        let known = self.lanes[lane].known;
        if position <= last {
            let Self { now, then, buffer, rules, .. } = self;
            buffer.clear();
            buffer.extend_from_slice(match rules {
                Rules::Tso => then.row(known),
                Rules::Weak => now.row(known),
            });
            self.raise(location, position - 1);
            self.renumber(location, position);
        }
        let store = self.store(lane);
        let Self { now, then, order, readers, buffer, .. } = self;
        buffer.clear();
        buffer.extend_from_slice(order.row(base));
        join(buffer, readers.row(base));
        join(
            buffer,
            match self.rules {
                Rules::Tso => then.row(known),
                Rules::Weak => now.row(known),
            },
        );
        buffer[location] = position as u32;
        order.row_mut(store).copy_from_slice(buffer);
        join(then.row_mut(known), buffer);
        if self.rules == Rules::Tso && act == Act::Update {
            now.row_mut(known).copy_from_slice(then.row(known));
        }
        self.floor(known, location, position);
        self.touched[location] |= 1 << lane;
    }

    /// The last store hands on what the lane knows, or knew at its last release fence.
    pub(super) fn hand_on(&mut self, lane: usize, present: bool) {
        let Own { known, released, .. } = self.lanes[lane];
        let store = self.handed.len() - 1;
        self.join(self.handed[store], if present { known } else { released });
    }

    pub(super) fn continue_release(&mut self, store: StoreId, base: StoreId) {
        self.join(self.handed[store], self.handed[base]);
    }

    pub(super) fn acquire_store(&mut self, lane: usize, store: StoreId) {
        if self.rules == Rules::Weak {
            self.join(self.lanes[lane].known, self.handed[store]);
        }
    }

    pub(super) fn may_acquire(&mut self, lane: usize, store: StoreId) {
        if self.rules == Rules::Weak {
            self.join(self.lanes[lane].acquirable, self.handed[store]);
        }
    }

    pub(super) fn acquire(&mut self, lane: usize) {
        self.join(self.lanes[lane].known, self.lanes[lane].acquirable);
    }

    pub(super) fn release(&mut self, lane: usize) {
        self.join(self.lanes[lane].released, self.lanes[lane].known);
    }

    /// A sequentially consistent fence; under tso one that waits for the store buffer.
    pub(super) fn fence(&mut self, lane: usize) {
        let known = self.lanes[lane].known;
        let Self { floors, now, then, rules, .. } = self;
        if *rules == Rules::Weak {
            join(then.row_mut(known), now.row(known));
            join(then.row_mut(known), floors.row(known));
        }
        join(now.row_mut(known), then.row(known));
    }

    fn slot(&mut self, lock: Object, mode: Mode) -> Token {
        let index = lock as usize;
        let by_lock = |views: &mut Self| match mode {
            Mode::Exclusive => std::mem::take(&mut views.exclusive),
            Mode::Shared => std::mem::take(&mut views.shared),
        };
        let mut slots = by_lock(self);
        if slots.len() <= index {
            slots.resize(index + 1, None);
        }
        let token = *slots[index].get_or_insert_with(|| self.token());
        match mode {
            Mode::Exclusive => self.exclusive = slots,
            Mode::Shared => self.shared = slots,
        }
        token
    }

    pub(super) fn acquire_lock(&mut self, lane: usize, lock: Object, mode: Mode) {
        for held in [Mode::Exclusive, Mode::Shared] {
            if held.excludes(mode) {
                let token = self.slot(lock, held);
                self.join(self.lanes[lane].known, token);
            }
        }
    }

    pub(super) fn release_lock(&mut self, lane: usize, lock: Object, mode: Mode) {
        let token = self.slot(lock, mode);
        self.join(token, self.lanes[lane].known);
    }

    pub(super) fn hand_on_exclusive(&mut self, lock: Object) {
        let token = self.slot(lock, Mode::Exclusive);
        if self.rules == Rules::Weak
            && let Some(&handed) = self.handed.last()
        {
            self.join(handed, token);
        }
    }

    pub(super) fn forget(&mut self, lock: Object) {
        for mode in [Mode::Exclusive, Mode::Shared] {
            let token = self.slot(lock, mode);
            for table in [&mut self.floors, &mut self.now, &mut self.then] {
                table.row_mut(token).fill(0);
            }
        }
    }

    /// What a lock hands on, by exclusive holders and by those that shared it.
    pub(super) fn lock_tokens(&self, lock: Object) -> impl Iterator<Item = (u64, Token)> + '_ {
        let slots = [(0, &self.exclusive), (1, &self.shared)].into_iter();
        slots.filter_map(move |(kind, slots)| Some((kind, (*slots.get(lock as usize)?)?)))
    }

    /// The lowest position at which the lane may access the location.
    pub(super) fn least(&self, lane: usize, location: Location) -> u32 {
        let known = self.lanes[lane].known;
        self.floors.row(known)[location].max(self.now.row(known)[location])
    }

    pub(super) fn spawn(&mut self, parent: usize, lane: usize) {
        if lane == self.lanes.len() {
            self.add_lane();
        } else {
            let own = self.lanes[lane];
            for token in [own.acquirable, own.released] {
                for table in [&mut self.floors, &mut self.now, &mut self.then] {
                    table.row_mut(token).fill(0);
                }
            }
        }
        self.join(self.lanes[lane].known, self.lanes[parent].known);
    }

    pub(super) fn end(&mut self, lane: usize, number: usize) {
        if self.ended.len() <= number {
            self.ended.resize(number + 1, None);
        }
        let token = self.token();
        self.ended[number] = Some(token);
        self.join(token, self.lanes[lane].known);
    }

    pub(super) fn join_lane(&mut self, lane: usize, number: usize) {
        if let Some(&Some(token)) = self.ended.get(number) {
            self.join(self.lanes[lane].known, token);
        }
    }

    /// The lowest position at which the lane may make an access.
    pub(super) fn bound(
        &self,
        lane: usize,
        act: Act,
        location: Location,
        acquired: Option<StoreId>,
        fenced: bool,
    ) -> usize {
        let Own { known, acquirable, .. } = self.lanes[lane];
        let mut bound = self.floors.row(known)[location];
        let tables = [&self.floors, &self.now, &self.then];
        match self.rules {
            Rules::Tso => {
                let writes = fenced || act != Act::Read;
                let table = if writes { &self.then } else { &self.now };
                bound = bound.max(table.row(known)[location]);
            }
            Rules::Weak => {
                bound = bound.max(self.now.row(known)[location]);
                if fenced {
                    for table in tables {
                        bound = bound.max(table.row(known)[location]);
                        bound = bound.max(table.row(acquirable)[location]);
                    }
                }
                if let Some(store) = acquired.filter(|_| act != Act::Write) {
                    bound = bound.max(self.now.row(self.handed[store])[location]);
                }
            }
        }
        bound as usize
    }
}
