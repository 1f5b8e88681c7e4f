//! Who maps a file: the reverse map of its pages.
//!
//! Protocol: the list is under a sleeping lock, in the place of a family's member list in the order
//! of locks. A walk holds it for reading. A mapper is a value, not an owner: as in a family
//! (INV-RMAP-3), an address space is off all lists before its root is retired.
//!
//! Invariants:
//! - INV-MAPPERS-1: every area of a file is counted by the mapper with its address space and
//!   origin, from before its first page is mapped until after its last entry is withdrawn.

use alloc::vec::Vec;

use crate::addr::{Mm, Vpn};
use crate::error::NoMemory;
use crate::rmap::Walk;
use crate::sync::{Park, RwSem};

/// Areas that show a file in one address space with page 0 at one place.
struct Mapper {
    mm: Mm,
    /// Virtual page number of the file's page 0; wraps.
    origin: Vpn,
    /// How many areas these are. Never zero.
    areas: usize,
}

impl Mapper {
    fn is(&self, mm: Mm, origin: Vpn) -> bool {
        self.mm == mm && self.origin == origin
    }
}

/// All who map a file.
pub(crate) struct Mappers {
    list: RwSem<Vec<Mapper>>,
}

impl Mappers {
    /// Nobody yet.
    pub(crate) fn new() -> Self {
        Self { list: RwSem::new(Vec::new()) }
    }

    /// One more area of `mm` shows the file. Cannot fail beside one that does so in the same place.
    pub(crate) fn join(&self, mm: Mm, origin: Vpn, park: &impl Park) -> Result<(), NoMemory> {
        let mut list = self.list.write(park);
        if let Some(mapper) = list.iter_mut().find(|mapper| mapper.is(mm, origin)) {
            mapper.areas += 1;
            return Ok(());
        }
        list.try_reserve(1).map_err(|_| NoMemory)?;
        list.push(Mapper { mm, origin, areas: 1 });
        Ok(())
    }

    /// An area of `mm` is gone.
    pub(crate) fn leave(&self, mm: Mm, origin: Vpn, park: &impl Park) {
        let mut list = self.list.write(park);
        let Some(at) = list.iter().position(|mapper| mapper.is(mm, origin)) else { return };
        list[at].areas -= 1;
        if list[at].areas == 0 {
            list.swap_remove(at);
        }
    }

    /// Runs `change` while nobody walks the list.
    pub(crate) fn alone<R>(&self, park: &impl Park, change: impl FnOnce() -> R) -> R {
        let _list = self.list.write(park);
        change()
    }

    /// Calls `visit` with each address space and the place of the file's page 0 there, as long as
    /// `visit` says to continue.
    pub(crate) fn walk(&self, park: &impl Park, mut visit: impl FnMut(Mm, Vpn) -> Walk) {
        let list = self.list.read(park);
        let mut left = list.iter();
        while left.next().is_some_and(|mapper| visit(mapper.mm, mapper.origin) == Walk::On) {}
    }
}
