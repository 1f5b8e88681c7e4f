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

use super::{
    graph::{Location, StoreId},
    views::{Own, Rules, Token, Views},
};
use crate::{
    clock::Clocks,
    ledger::{Digest, Name},
    object::Object,
};
use std::cmp::Ordering;

/// A location of an object with a name.
pub(super) struct Located {
    pub(super) name: Name,
    /// Which of the words of a lock; zero for a cell.
    pub(super) tag: u64,
    pub(super) object: Object,
    pub(super) location: Location,
    pub(super) is_lock: bool,
    /// Value, whether it was an update, and number, in modification order.
    pub(super) stores: Vec<(u64, bool, StoreId)>,
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
    writer: usize,
    handed: Seen,
    order: usize,
    readers: usize,
}

/// A location that more than one lane touches.
struct Column {
    name: Name,
    tag: u64,
    is_lock: bool,
    last: u32,
    /// The position of the first of the stores that are kept.
    first: u32,
    stores: Vec<Store>,
    /// What a lock hands on.
    handed: Vec<(u64, Seen)>,
}

/// See the module.
pub(crate) struct Picture {
    rules: Rules,
    columns: Vec<Column>,
    /// What one lane alone had touched, and is left out.
    apart: Vec<Name>,
    cells: Vec<u32>,
    /// For each lane that has not ended, what it knows, may acquire and has released.
    lanes: Vec<(usize, [Seen; 3])>,
    /// What lanes that have ended hand on, by number.
    ended: Vec<(u64, Seen)>,
    living: u32,
    born: usize,
}

/// Takes rows of the tables of views, as far as the columns go.
struct Taker<'a> {
    locations: &'a [Location],
    cells: Vec<u32>,
}

impl Taker<'_> {
    fn row(&mut self, table: &Clocks, row: usize) -> usize {
        let start = self.cells.len();
        let row = table.row(row);
        self.cells.extend(self.locations.iter().map(|&at| row[at]));
        start
    }

    fn seen(&mut self, views: &Views, token: Token) -> Seen {
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
    /// Takes a picture of these places, by name. `living` are the lanes that have not ended.
    pub(super) fn take(
        views: &Views,
        places: &[Located],
        mut apart: Vec<Name>,
        living: u32,
    ) -> Self {
        apart.sort_unstable();
        let locations: Vec<Location> = places.iter().map(|place| place.location).collect();
        let mut taker = Taker { locations: &locations, cells: Vec::new() };
        let lanes: Vec<_> = bits(living)
            .map(|lane| {
                let Own { known, acquirable, released } = views.lanes[lane];
                (lane, [known, acquirable, released].map(|token| taker.seen(views, token)))
            })
            .collect();
        let ended = views
            .ended
            .iter()
            .enumerate()
            .filter_map(|(number, token)| Some((number as u64, taker.seen(views, (*token)?))));
        let ended = ended.collect();
        let mut columns = Vec::new();
        for place in places {
            let first = bits(living).map(|lane| views.least(lane, place.location)).min();
            let last = place.stores.len() as u32 - 1;
            let first = first.unwrap_or(last);
            let stores = place.stores[first as usize..].iter().map(|&(value, update, store)| {
                let handed = taker.seen(views, views.handed[store]);
                let order = taker.row(&views.order, store);
                let readers = taker.row(&views.readers, store);
                Store { value, update, writer: views.writers[store], handed, order, readers }
            });
            let stores = stores.collect();
            let handed = if place.is_lock && place.tag == 0 {
                let tokens = views.lock_tokens(place.object);
                tokens.map(|(kind, token)| (kind, taker.seen(views, token))).collect()
            } else {
                Vec::new()
            };
            let &Located { name, tag, is_lock, .. } = place;
            columns.push(Column { name, tag, is_lock, last, first, stores, handed });
        }
        let (cells, rules, born) = (taker.cells, views.rules, views.lanes.len());
        Self { rules, columns, apart, cells, lanes, ended, living, born }
    }

    /// Whether something of this name was left out.
    pub(crate) fn lacks(&self, name: Name) -> bool {
        self.apart.binary_search(&name).is_ok()
    }

    /// A hash of what decides what may follow, if this is touched, in ascending order of names;
    /// `joins` is whether ends of lanes are seen.
    pub(crate) fn digest(&self, touchers: &[Toucher], joins: bool) -> Digest {
        let mut reading = Reading { picture: self, live: Vec::new(), digest: Digest::default() };
        let mut rest = touchers.iter().peekable();
        for (at, column) in self.columns.iter().enumerate() {
            while rest.next_if(|toucher| toucher.name < column.name).is_some() {}
            if let Some(&&toucher) = rest.peek()
                && toucher.name.cmp(&column.name) == Ordering::Equal
            {
                let toucher = self.real(toucher);
                reading.live.push(Live { at, least: self.least(at, toucher), lanes: toucher.all });
            }
        }
        reading.lanes();
        reading.columns();
        if joins {
            reading.ended();
        }
        reading.digest
    }

    /// Lanes that have not started know what another knows.
    fn real(&self, toucher: Toucher) -> Toucher {
        let Toucher { name, all, free, back } = toucher;
        let real = |lanes: u32| {
            if lanes >> self.born != 0 { self.living } else { lanes & self.living }
        };
        Toucher { name, all: real(all), free: real(free), back: real(back) }
    }

    /// The lowest position at which any of the lanes may access the location.
    fn bound(&self, at: usize, lanes: u32) -> u32 {
        let mine = self.lanes.iter().filter(|&&(lane, _)| lanes & (1 << lane) != 0);
        let bound = |&(_, [known, ..]): &(usize, [Seen; 3])| {
            self.cells[known.floors + at].max(self.cells[known.now + at])
        };
        mine.map(bound).min().unwrap_or(self.columns[at].last)
    }

    /// The lowest position at which a location will be accessed. Where every later store is an
    /// update nothing can come between them, and an update that always writes is the last.
    fn least(&self, at: usize, toucher: Toucher) -> u32 {
        let column = &self.columns[at];
        let free = self.bound(at, toucher.free);
        let later = &column.stores[(free - column.first) as usize..][1..];
        let sealed = column.is_lock || later.iter().all(|store| store.update);
        if sealed { self.bound(at, toucher.back) } else { free }
    }
}

/// A column that will be touched.
struct Live {
    at: usize,
    least: u32,
    lanes: u32,
}

/// The making of a hash.
struct Reading<'a> {
    picture: &'a Picture,
    live: Vec<Live>,
    digest: Digest,
}

impl Reading<'_> {
    fn emit(&mut self, parts: &[u64]) {
        self.digest.toggle(Digest::of(parts));
    }

    fn cell(&self, row: usize, at: usize) -> u32 {
        self.picture.cells[row + at]
    }

    /// What of a row is above what can be accessed, and above `known`.
    fn row(&mut self, id: [u64; 3], row: usize, known: impl Fn(&Self, usize) -> u32) {
        for live in 0..self.live.len() {
            let Live { at, least, .. } = self.live[live];
            let seen = self.cell(row, at);
            if seen > least && seen > known(self, at) {
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
            self.row(id, row(&token), |reading, at| reading.least_of(lanes, row, at));
        }
    }

    /// The least that the lanes have of this in a column.
    fn least_of(&self, lanes: u32, row: impl Fn(&Seen) -> usize, at: usize) -> u32 {
        let mine = self.picture.lanes.iter().filter(|&&(lane, _)| lanes & (1 << lane) != 0);
        mine.map(|(_, [known, ..])| self.cell(row(known), at)).min().unwrap_or(u32::MAX)
    }

    fn lanes(&mut self) {
        let picture = self.picture;
        let weak = picture.rules == Rules::Weak;
        for &(lane, [known, acquirable, released]) in &picture.lanes {
            let lane = lane as u64;
            self.row([1 << 8, lane, 0], known.floors, |reading, at| {
                if weak { 0 } else { reading.cell(known.now, at) }
            });
            self.row([1 << 8 | 1, lane, 0], known.now, |_, _| 0);
            self.row([1 << 8 | 2, lane, 0], known.then, |reading, at| {
                let floor = if weak { reading.cell(known.floors, at) } else { 0 };
                floor.max(reading.cell(known.now, at))
            });
            if weak {
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
            for &(kind, token) in &column.handed {
                self.handed([4 + kind, column.name, 0], token, lanes);
            }
            let name = column.name ^ column.tag;
            for (store, position) in column.stores.iter().zip(column.first..) {
                let Some(rank) = position.checked_sub(least) else { continue };
                let rank = u64::from(rank);
                if column.last > least {
                    let sealed = u64::from(store.update && rank > 0);
                    self.emit(&[6, name, rank, store.value, sealed]);
                }
                let own = picture.lanes.iter().find(|(lane, _)| *lane == store.writer);
                if !weak
                    && let Some((lane, [known, ..])) = own
                    && self.cell(known.now, at) < position
                {
                    self.emit(&[7, name, rank, *lane as u64]);
                }
                if weak {
                    self.handed([8, name, rank], store.handed, lanes);
                }
                let row: fn(&Seen) -> usize = if weak { |s| s.then } else { |s| s.now };
                for (kind, of_store) in [(9, store.order), (10, store.readers)] {
                    self.row([kind, name, rank], of_store, |reading, other| {
                        // A store is at its own place.
                        let own = if other == at && kind == 9 { position } else { 0 };
                        own.max(reading.least_of(lanes, row, other))
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
