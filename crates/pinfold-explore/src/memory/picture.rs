//! What decides what may follow a state, restricted to what will be touched.

use super::{
    graph::{Location, StoreId},
    views::{Own, Rules, Token, Views},
};
use crate::{
    ledger::{Digest, Name},
    object::Object,
    order::Mode,
};

/// A location of an object with a name.
pub(super) struct Located {
    pub(super) name: Name,
    pub(super) tag: u64,
    pub(super) object: Object,
    pub(super) location: Location,
    /// Value, whether it was an update, and number, in modification order.
    pub(super) stores: Vec<(u64, bool, StoreId)>,
}

/// See the module.
pub(crate) struct Picture {
    pub(super) views: Views,
    pub(super) places: Vec<Located>,
    /// The lanes that have not ended.
    pub(super) living: u32,
}

/// A location that will be touched, and the lowest position there that anybody may access.
struct Live<'a> {
    at: &'a Located,
    least: u32,
}

fn bits(mask: u32) -> impl Iterator<Item = usize> {
    (0..32).filter(move |lane| mask & (1 << lane) != 0)
}

pub(crate) static OFF: std::sync::OnceLock<String> = std::sync::OnceLock::new();
fn off(part: char) -> bool {
    OFF.get_or_init(|| std::env::var("PART_OFF").unwrap_or_default()).contains(part)
}

impl Picture {
    /// A hash of what decides what may follow, if these are touched by these lanes. The names
    /// ascend.
    pub(crate) fn digest(&self, scope: &[(Name, u32)]) -> Digest {
        let mut live = Vec::new();
        for &(name, lanes) in scope {
            let from = self.places.partition_point(|place| place.name < name);
            let here = self.places[from..].iter().take_while(|place| place.name == name);
            live.extend(here.map(|at| Live { at, least: self.least(at, lanes) }));
        }
        let mut digest = Digest::default();
        let mut emit = |parts: &[u64]| digest.toggle(Digest::of(parts));
        for lane in bits(self.living) {
            let Own { known, acquirable, released } = self.views.lanes[lane];
            let id = [1, lane as u64, 0];
            if !off('k') {
                self.token(id, known, None, &live, &mut emit);
            }
            if self.views.rules == Rules::Weak {
                if !off('a') {
                    self.token([2, lane as u64, 0], acquirable, Some(known), &live, &mut emit);
                }
                if !off('r') {
                    self.token([3, lane as u64, 0], released, None, &live, &mut emit);
                }
            }
        }
        for Live { at, least } in &live {
            for (mode, kind) in [(Mode::Exclusive, 4), (Mode::Shared, 5)] {
                if let Some(token) = self.views.lock_token(at.object, mode)
                    && !off('l')
                    && at.tag == 0
                {
                    self.token([kind, at.name, 0], token, None, &live, &mut emit);
                }
            }
            let last = at.stores.len() as u32 - 1;
            for position in *least..=last {
                let (value, update, store) = at.stores[position as usize];
                let rank = u64::from(position - least);
                let place = [at.name ^ at.tag, rank];
                if last > *least && !off('s') {
                    emit(&[6, place[0], rank, value, u64::from(update && rank > 0)]);
                }
                let writer = self.views.writers[store];
                if self.views.rules == Rules::Tso
                    && writer != usize::MAX
                    && self.living & (1 << writer) != 0
                    && self.views.now.row(self.views.lanes[writer].known)[at.location] < position
                    && !off('w')
                {
                    emit(&[7, place[0], rank, writer as u64]);
                }
                if self.views.rules == Rules::Weak && !off('h') {
                    self.token([8, place[0], rank], self.views.handed[store], None, &live, &mut emit);
                }
                if !off('o') {
                    let row = self.views.order.row(store);
                    Self::row([9, place[0], rank], |x| row[x], &live, Some((at.location, position)), &mut emit);
                }
                if !off('q') {
                    let row = self.views.readers.row(store);
                    Self::row([10, place[0], rank], |x| row[x], &live, None, &mut emit);
                }
            }
        }
        digest
    }

    fn least(&self, at: &Located, lanes: u32) -> u32 {
        let born = (1u32 << self.views.lanes.len()) - 1;
        let lanes = if lanes & !born != 0 { self.living } else { lanes & self.living };
        let bound = |lane: usize| {
            let known = self.views.lanes[lane].known;
            self.views.floors.row(known)[at.location].max(self.views.now.row(known)[at.location])
        };
        bits(lanes).map(bound).min().unwrap_or(at.stores.len() as u32 - 1)
    }

    fn row(
        id: [u64; 3],
        row: impl Fn(Location) -> u32,
        live: &[Live<'_>],
        except: Option<(Location, u32)>,
        emit: &mut impl FnMut(&[u64]),
    ) {
        for Live { at, least } in live {
            let seen = row(at.location);
            if seen > *least && Some((at.location, seen)) != except {
                emit(&[id[0], id[1], id[2], at.name ^ at.tag, u64::from(seen - least)]);
            }
        }
    }

    fn token(
        &self,
        [kind, name, rank]: [u64; 3],
        token: Token,
        beyond: Option<Token>,
        live: &[Live<'_>],
        emit: &mut impl FnMut(&[u64]),
    ) {
        let Views { floors, now, then, rules, .. } = &self.views;
        let more = |table: &crate::clock::Clocks, x: Location| {
            let seen = table.row(token)[x];
            if beyond.is_some_and(|beyond| table.row(beyond)[x] >= seen) { 0 } else { seen }
        };
        if *rules == Rules::Weak || kind == 1 {
            Self::row([kind << 8, name, rank], |x| {
                let floor = more(floors, x);
                // Under tso only what goes beyond the other matters.
                if *rules == Rules::Tso && now.row(token)[x] >= floor { 0 } else { floor }
            }, live, None, emit);
        }
        Self::row([kind << 8 | 1, name, rank], |x| more(now, x), live, None, emit);
        if !off('t') {
        Self::row([kind << 8 | 2, name, rank], |x| {
            let seen = more(then, x);
            let floor = if *rules == Rules::Weak { floors.row(token)[x] } else { 0 };
            if seen <= now.row(token)[x].max(floor) { 0 } else { seen }
        }, live, None, emit);
        }
    }
}
