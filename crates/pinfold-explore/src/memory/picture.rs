//! What decides what may follow a state under the weaker models, restricted to what will be
//! touched.
//!
//! A [`Picture`] is taken of a state before anything is known of what follows. Later, when it is
//! known which lanes will touch what, a hash is made of those of its parts that can still matter.
//!
//! - INV-PICTURE-1: in two states with one key of contents and histories, and one hash for a set of
//!   touches, the same candidates are allowed in all that follows and touches nothing else.
//! - INV-PICTURE-2: positions count from the lowest at which anybody may still access the location,
//!   and what every later reader knows already is left out: neither changes a candidate.
//! - INV-PICTURE-3: a place that one lane alone has touched is left out of a picture. Where another
//!   lane turns out to touch it, nothing is remembered of the state.
//! - INV-PICTURE-4: a location of which everybody can access the last store alone is *closed*: no
//!   position there can be above what can be accessed, so rows have open locations only.

use super::{
    graph::{Location, StoreId},
    views::{Own, Rules, Token, Views},
};
use crate::{
    clock::Clocks,
    ledger::{Digest, Name},
    object::Object,
    search::Rule,
};
use std::{cmp::Ordering, ops::Range};

/// A location of an object with a name.
pub(super) struct Located {
    pub(super) name: Name,
    /// Which of the words of a lock; zero for a cell.
    pub(super) tag: u64,
    pub(super) object: Object,
    pub(super) location: Location,
    pub(super) is_lock: bool,
    /// The position of the last store.
    pub(super) last: u32,
}

/// A store as it is in the graph.
pub(super) struct Made {
    pub(super) value: u64,
    pub(super) update: bool,
    pub(super) store: StoreId,
}

/// Who will touch something with a name, as sets of lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Toucher {
    pub(crate) name: Name,
    pub(crate) all: u32,
    /// Those of them for which what was made here decides where they can go.
    pub(crate) free: u32,
    /// Those of these that may see an older state.
    pub(crate) back: u32,
}

/// What is seen of each column. Rows are where they begin in the table of the picture.
#[derive(Clone, Copy)]
struct Seen {
    floors: usize,
    now: usize,
    then: usize,
}

struct Store {
    value: u64,
    update: bool,
    /// Under weak: what it hands on.
    handed: Option<Seen>,
    order: usize,
    readers: usize,
}

/// A location that more than one lane touches.
struct Column {
    name: Name,
    tag: u64,
    is_lock: bool,
    last: u32,
    /// The position of the first store that anybody may access.
    first: u32,
    /// Where it is in a row, if it is open.
    open: Option<usize>,
    /// Its stores from that one on, among all.
    stores: Range<usize>,
    /// What a lock hands on, among all of that.
    handed: Range<usize>,
}

/// A store that a lane has made and, under tso, still has in its buffer.
struct Buffered {
    column: usize,
    position: u32,
    lane: usize,
}

/// See the module.
pub(crate) struct Picture {
    rules: Rules,
    columns: Vec<Column>,
    stores: Vec<Store>,
    buffered: Vec<Buffered>,
    /// What locks hand on, by exclusive holders and by those that shared one.
    locks: Vec<(u64, Seen)>,
    /// What one lane alone had touched, and is left out.
    apart: Vec<Name>,
    cells: Vec<u32>,
    /// For each lane that has not ended, what it knows and, under weak, may acquire and has
    /// released.
    lanes: Vec<(usize, Seen, Option<[Seen; 2]>)>,
    /// What lanes that have ended hand on, by number.
    ended: Vec<(u64, Seen)>,
    living: u32,
    born: usize,
}

/// Takes rows of the tables of views, as far as the open columns go.
struct Taker<'a> {
    views: &'a Views,
    locations: Vec<Location>,
    cells: Vec<u32>,
}

impl Taker<'_> {
    fn row(&mut self, table: &Clocks, row: usize) -> usize {
        let start = self.cells.len();
        let row = table.row(row);
        self.cells.extend(self.locations.iter().map(|&at| row[at]));
        start
    }

    fn seen(&mut self, token: Token) -> Seen {
        let views = self.views;
        Seen {
            floors: self.row(&views.floors, token),
            now: self.row(&views.now, token),
            then: self.row(&views.then, token),
        }
    }
}

fn bits(mask: u32) -> impl Iterator<Item = usize> {
    (0..u32::BITS as usize).filter(move |lane| mask & (1 << lane) != 0)
}

impl Picture {
    /// Takes a picture of these places, by name. `living` are the lanes that have not ended; `made`
    /// is the store at a position of a location.
    pub(super) fn take(
        views: &Views,
        places: &[Located],
        mut apart: Vec<Name>,
        living: u32,
        made: impl Fn(Location, u32) -> Made,
    ) -> Self {
        apart.sort_unstable();
        let (mut locations, mut columns) = (Vec::new(), Vec::with_capacity(places.len()));
        for &Located { name, tag, location, is_lock, last, .. } in places {
            let least = || bits(living).map(|lane| views.least(lane, location));
            let first = least().min().unwrap_or(last);
            let limit = if Rule::ClosedToAll.holds() { Some(first) } else { least().max() };
            let open = limit.is_some_and(|limit| limit < last).then_some(locations.len());
            if open.is_some() {
                locations.push(location);
            }
            columns.push(Column {
                name,
                tag,
                is_lock,
                last,
                first,
                open,
                stores: 0..0,
                handed: 0..0,
            });
        }
        let is_open = !locations.is_empty();
        let taker = Taker { views, locations, cells: Vec::new() };
        let (rules, born) = (views.rules, views.lanes.len());
        let mut picture = Self {
            rules,
            columns,
            stores: Vec::new(),
            buffered: Vec::new(),
            locks: Vec::new(),
            apart,
            cells: Vec::new(),
            lanes: Vec::new(),
            ended: Vec::new(),
            living,
            born,
        };
        if rules == Rules::Tso {
            picture.take_buffers(views, places, &made);
        }
        if is_open {
            picture.take_open(taker, places, &made);
        }
        picture
    }

    /// Takes what lanes have in their store buffers.
    fn take_buffers(
        &mut self,
        views: &Views,
        places: &[Located],
        made: &impl Fn(Location, u32) -> Made,
    ) {
        for (index, (column, place)) in self.columns.iter().zip(places).enumerate() {
            for position in column.first..=column.last {
                let lane = views.writers[made(place.location, position).store];
                let is_living = lane < views.lanes.len() && self.living & (1 << lane) != 0;
                if is_living && views.now.row(views.lanes[lane].known)[place.location] < position {
                    self.buffered.push(Buffered { column: index, position, lane });
                }
            }
        }
    }

    /// Takes what has been seen of the open columns.
    fn take_open(
        &mut self,
        mut taker: Taker<'_>,
        places: &[Located],
        made: &impl Fn(Location, u32) -> Made,
    ) {
        let views = taker.views;
        let weak = self.rules == Rules::Weak;
        for lane in bits(self.living) {
            let Own { known, acquirable, released } = views.lanes[lane];
            let known = taker.seen(known);
            let others = weak.then(|| [acquirable, released].map(|token| taker.seen(token)));
            self.lanes.push((lane, known, others));
        }
        for (number, token) in views.ended.iter().enumerate() {
            if let &Some(token) = token {
                self.ended.push((number as u64, taker.seen(token)));
            }
        }
        for (column, place) in self.columns.iter_mut().zip(places) {
            let start = self.stores.len();
            for position in column.first..=column.last {
                let Made { value, update, store } = made(place.location, position);
                let handed = weak.then(|| taker.seen(views.handed[store]));
                let order = taker.row(&views.order, store);
                let readers = taker.row(&views.readers, store);
                self.stores.push(Store { value, update, handed, order, readers });
            }
            column.stores = start..self.stores.len();
            let start = self.locks.len();
            if place.is_lock && place.tag == 0 {
                let tokens = views.lock_tokens(place.object);
                self.locks.extend(tokens.map(|(kind, token)| (kind, taker.seen(token))));
            }
            column.handed = start..self.locks.len();
        }
        self.cells = taker.cells;
    }

    /// Whether something of this name was left out.
    pub(crate) fn lacks(&self, name: Name) -> bool {
        self.apart.binary_search(&name).is_ok()
    }

    /// A hash of what decides what may follow, if this is touched, in ascending order of names;
    /// `joins` is whether ends of lanes are seen.
    pub(crate) fn digest(&self, touchers: &[Toucher], joins: bool) -> Digest {
        let (live, open) = (Vec::new(), Vec::new());
        let mut reading = Reading { picture: self, live, open, digest: Digest::default() };
        if self.lanes.is_empty() && self.buffered.is_empty() {
            return reading.digest;
        }
        let mut rest = touchers.iter().peekable();
        for (at, column) in self.columns.iter().enumerate() {
            while rest.next_if(|toucher| toucher.name < column.name).is_some() {}
            if let Some(&&toucher) = rest.peek()
                && toucher.name.cmp(&column.name) == Ordering::Equal
            {
                let toucher = self.real(toucher);
                let least = self.least(column, toucher);
                if let Some(place) = column.open.filter(|_| least < column.last) {
                    reading.open.push(Open { at, place, least });
                }
                reading.live.push(Live { at, least, lanes: toucher.all });
            }
        }
        reading.buffers();
        if !reading.open.is_empty() {
            reading.lanes();
            reading.columns();
            if joins {
                reading.ended();
            }
        }
        reading.digest
    }

    /// Lanes that have not started know what another knows.
    fn real(&self, toucher: Toucher) -> Toucher {
        let Toucher { name, all, free, back } = toucher;
        let real = |lanes: u32| {
            let unborn = lanes >> self.born != 0 && Rule::UnbornKnowLittle.holds();
            if unborn { self.living } else { lanes & self.living }
        };
        Toucher { name, all: real(all), free: real(free), back: real(back) }
    }

    /// The lowest position at which any of the lanes may access the location.
    fn bound(&self, column: &Column, lanes: u32) -> u32 {
        let Some(place) = column.open else { return column.last };
        let mine = self.lanes.iter().filter(|&&(lane, ..)| lanes & (1 << lane) != 0);
        let bound = |&(_, known, _): &(usize, Seen, Option<[Seen; 2]>)| {
            self.cells[known.floors + place].max(self.cells[known.now + place])
        };
        mine.map(bound).min().unwrap_or(column.last)
    }

    /// The lowest position at which a location will be accessed. Where every later store is an
    /// update nothing can come between them, and an update that always writes is the last.
    fn least(&self, column: &Column, toucher: Toucher) -> u32 {
        let free = self.bound(column, toucher.free);
        if free == column.last {
            return free;
        }
        let later = &self.stores[column.stores.clone()][(free - column.first) as usize..][1..];
        let sealed = column.is_lock
            || later.iter().all(|store| store.update)
            || !Rule::UpdatesSealed.holds();
        if sealed { self.bound(column, toucher.back) } else { free }
    }
}

/// A column that will be touched.
struct Live {
    at: usize,
    least: u32,
    lanes: u32,
}

/// One that will be touched where it is not the last store that decides.
struct Open {
    at: usize,
    /// Where it is in a row.
    place: usize,
    least: u32,
}

/// The making of a hash.
struct Reading<'a> {
    picture: &'a Picture,
    live: Vec<Live>,
    open: Vec<Open>,
    digest: Digest,
}

impl Reading<'_> {
    fn emit(&mut self, parts: &[u64]) {
        self.digest.toggle(Digest::of(parts));
    }

    fn cell(&self, row: usize, place: usize) -> u32 {
        self.picture.cells[row + place]
    }

    /// What of a row is above what can be accessed, and above `known`.
    fn row(&mut self, id: [u64; 3], row: usize, known: impl Fn(&Self, usize) -> u32) {
        for open in 0..self.open.len() {
            let Open { at, place, least } = self.open[open];
            let seen = self.cell(row, place);
            if seen > least && seen > known(self, place) {
                let Column { name, tag, .. } = self.picture.columns[at];
                self.emit(&[id[0], id[1], id[2], name ^ tag, u64::from(seen - least)]);
            }
        }
    }

    /// What a token has that is not known to all of these lanes.
    fn handed(&mut self, [kind, name, rank]: [u64; 3], token: Seen, lanes: u32) {
        let rows: [fn(&Seen) -> usize; 3] = [|s| s.floors, |s| s.now, |s| s.then];
        let skip = usize::from(self.picture.rules == Rules::Tso);
        for (table, row) in rows.into_iter().enumerate().skip(skip) {
            let id = [kind << 8 | table as u64, name, rank];
            self.row(id, row(&token), |reading, place| reading.least_of(lanes, row, place));
        }
    }

    /// The least that the lanes have of this in an open column.
    fn least_of(&self, lanes: u32, row: impl Fn(&Seen) -> usize, place: usize) -> u32 {
        let mine = self.picture.lanes.iter().filter(|&&(lane, ..)| lanes & (1 << lane) != 0);
        mine.map(|(_, known, _)| self.cell(row(known), place)).min().unwrap_or(u32::MAX)
    }

    /// What a lane has stored, and nobody else can see.
    fn buffers(&mut self) {
        let picture = self.picture;
        for &Buffered { column, position, lane } in &picture.buffered {
            let Ok(live) = self.live.binary_search_by_key(&column, |live| live.at) else {
                continue;
            };
            if let Some(rank) = position.checked_sub(self.live[live].least) {
                let Column { name, tag, .. } = picture.columns[column];
                self.emit(&[7, name ^ tag, u64::from(rank), lane as u64]);
            }
        }
    }

    fn lanes(&mut self) {
        let picture = self.picture;
        let weak = picture.rules == Rules::Weak;
        for &(lane, known, others) in &picture.lanes {
            let lane = lane as u64;
            self.row([1 << 8, lane, 0], known.floors, |reading, place| {
                if weak { 0 } else { reading.cell(known.now, place) }
            });
            self.row([1 << 8 | 1, lane, 0], known.now, |_, _| 0);
            self.row([1 << 8 | 2, lane, 0], known.then, |reading, place| {
                let floor = if weak { reading.cell(known.floors, place) } else { 0 };
                floor.max(reading.cell(known.now, place))
            });
            if let Some([acquirable, released]) = others {
                self.handed([2, lane, 0], acquirable, 1 << lane);
                self.handed([3, lane, 0], released, picture.living);
            }
        }
    }

    fn columns(&mut self) {
        let picture = self.picture;
        let weak = picture.rules == Rules::Weak;
        for live in 0..self.live.len() {
            let Live { at, least, lanes } = self.live[live];
            let column = &picture.columns[at];
            for &(kind, token) in &picture.locks[column.handed.clone()] {
                self.handed([4 + kind, column.name, 0], token, lanes);
            }
            let name = column.name ^ column.tag;
            for (store, position) in
                picture.stores[column.stores.clone()].iter().zip(column.first..)
            {
                let Some(rank) = position.checked_sub(least) else { continue };
                let rank = u64::from(rank);
                if column.last > least {
                    let sealed = u64::from(store.update && rank > 0);
                    self.emit(&[6, name, rank, store.value, sealed]);
                }
                if let Some(handed) = store.handed {
                    self.handed([8, name, rank], handed, lanes);
                }
                let row: fn(&Seen) -> usize = if weak { |s| s.then } else { |s| s.now };
                for (kind, of_store) in [(9, store.order), (10, store.readers)] {
                    self.row([kind, name, rank], of_store, |reading, place| {
                        // A store is at its own place.
                        let own = kind == 9 && column.open == Some(place);
                        let own = if own { position } else { 0 };
                        own.max(reading.least_of(lanes, row, place))
                    });
                }
            }
        }
    }

    fn ended(&mut self) {
        let picture = self.picture;
        for &(number, token) in &picture.ended {
            self.handed([11, number, 0], token, picture.living);
        }
    }
}
