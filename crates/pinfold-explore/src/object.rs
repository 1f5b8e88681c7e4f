//! Small numbers for the cells and locks of one execution.
//!
//! Addresses differ from execution to execution; the number of an object is the order in which it
//! was first announced, which is the same whenever the schedule is the same: an object that later
//! comes to lie where another ended does not reuse its number. Nothing iterates over the hash maps,
//! so their order does not matter.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};

/// Numbers cells and locks alike: a single number space, so that a search need not distinguish
/// them.
pub(crate) type Object = u32;

/// Multiplies by an odd constant: addresses are all that is ever hashed.
#[derive(Default)]
pub(crate) struct AddressHasher(u64);

impl Hasher for AddressHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_usize(usize::from(byte));
        }
    }

    fn write_usize(&mut self, value: usize) {
        let mixed = (self.0 ^ value as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 32);
    }
}

type AddressMap = HashMap<usize, Object, BuildHasherDefault<AddressHasher>>;

/// What an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Cell,
    Lock,
}

/// The objects met so far in one execution.
#[derive(Default)]
pub(crate) struct Objects {
    cells: AddressMap,
    locks: AddressMap,
    /// What each object is.
    kinds: Vec<Kind>,
    /// Where each object lies, or [`ENDED`]. Apart from the kinds, as each end and each renewal of
    /// memory goes through all of it.
    addrs: Vec<usize>,
}

/// Where an object lies that has ended: nothing lies at the last byte of the address space.
const ENDED: usize = usize::MAX;

impl Objects {
    /// Forgets everything, for the next execution.
    pub(crate) fn clear(&mut self) {
        self.cells.clear();
        self.locks.clear();
        self.kinds.clear();
        self.addrs.clear();
    }

    /// How many objects were met.
    pub(crate) fn count(&self) -> usize {
        self.kinds.len()
    }

    /// The number of the object at `addr`: the next free number if the object is met for the first
    /// time.
    pub(crate) fn number(&mut self, kind: Kind, addr: usize) -> Object {
        let map = match kind {
            Kind::Cell => &mut self.cells,
            Kind::Lock => &mut self.locks,
        };
        let next = self.kinds.len() as Object;
        let number = *map.entry(addr).or_insert(next);
        if number == next {
            self.kinds.push(kind);
            self.addrs.push(addr);
        }
        number
    }

    /// What the object is and where it lies, unless it has ended.
    pub(crate) fn place(&self, object: Object) -> (Kind, Option<usize>) {
        let addr = self.addrs[object as usize];
        (self.kinds[object as usize], (addr != ENDED).then_some(addr))
    }

    /// The object ends: what lies there later is a different object. Numbers thus do not depend on
    /// whether freed memory is handed out again.
    pub(crate) fn end(&mut self, object: Object) {
        let map = match self.kinds[object as usize] {
            Kind::Cell => &mut self.cells,
            Kind::Lock => &mut self.locks,
        };
        let addr = std::mem::replace(&mut self.addrs[object as usize], ENDED);
        if addr != ENDED {
            map.remove(&addr);
        }
    }

    /// The cells and locks that lie in `[addr, addr + len)`, in the order of their numbers.
    pub(crate) fn within(&self, addr: usize, len: usize) -> impl Iterator<Item = Object> + '_ {
        let all = self.addrs.iter().enumerate();
        let inside = all.filter(move |&(_, at)| at.wrapping_sub(addr) < len && *at != ENDED);
        inside.map(|(number, _)| number as Object)
    }
}

#[cfg(test)]
mod tests;
