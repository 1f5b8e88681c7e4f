//! Devices that follow address spaces in place of holding their pages (facts 7.10).
//!
//! The table of such a device is the library's [`Mirror`]; each address space has one, for all its
//! followed handles, and has it from birth, as the mirror demands. Machines on which no scenario
//! follows anything have none, and hear of no change.
//!
//! Protocol: an access of the device runs under the mirror's lock, as a CPU's runs under the lock
//! of its translations ([`crate::cpu`]). Its faults run without that lock.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use pinfold::platform::FlushScope;
use pinfold::{Invalidation, Mirror, NoMemory, Pfn, SecondStage, SpaceId, VirtRange, Vpn};

use crate::tlb::{Tlb, Translation};

impl SecondStage for Tlb {
    fn set(&mut self, page: Vpn, frame: Pfn, writable: bool) -> Result<(), NoMemory> {
        self.remember(Translation { page: page.0, frame, writable, dirty: writable });
        Ok(())
    }

    fn clear(&mut self, range: VirtRange) {
        self.flush(FlushScope::Range(range));
    }
}

/// The mirrors of a machine.
#[derive(Default)]
pub(crate) struct Followers {
    mirrors: Mutex<BTreeMap<u64, Arc<Mirror<Tlb>>>>,
}

impl Followers {
    /// Gives an address space a mirror: before anything is mapped there.
    pub(crate) fn attach(&self, space: SpaceId) {
        let mirror = Arc::new(Mirror::new(space, Tlb::default()));
        mirror.label();
        self.mirrors.lock().unwrap_or_else(PoisonError::into_inner).insert(space.0, mirror);
    }

    /// The mirror of an address space.
    pub(crate) fn of(&self, space: SpaceId) -> Option<Arc<Mirror<Tlb>>> {
        let mirrors = self.mirrors.lock().unwrap_or_else(PoisonError::into_inner);
        mirrors.get(&space.0).cloned()
    }

    pub(crate) fn invalidate_start(&self, what: Invalidation) {
        if let Some(mirror) = self.of(what.space) {
            mirror.invalidate_start(what);
        }
    }

    pub(crate) fn invalidate_end(&self, what: Invalidation) {
        if let Some(mirror) = self.of(what.space) {
            mirror.invalidate_end(what);
        }
    }

    /// The frame that the device has filed for a page. For oracles, when nothing else runs.
    pub(crate) fn filed(&self, space: SpaceId, page: u64) -> Option<Pfn> {
        let mirror = self.of(space)?;
        mirror.with(|table| table.find(page)).map(|entry| entry.frame)
    }
}
