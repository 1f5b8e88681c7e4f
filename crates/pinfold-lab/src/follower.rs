//! Devices that follow address spaces in place of holding their pages (facts 7.10).
//!
//! The table of such a device is the library's [`Mirror`]; each address space has one, for all its
//! followed handles, and has it from birth, as the mirror demands. Machines on which no scenario
//! follows anything have none, and hear of no change.
//!
//! Protocol: an access of the device runs under the mirror's lock, as a CPU's runs under the lock of
//! its translations. Its faults run without that lock.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use pinfold::platform::FlushScope;
use pinfold::{
    AddressSpace, Cause, FaultError, Invalidation, Mirror, NoMemory, Pfn, SecondStage, SpaceId,
    VirtAddr, VirtRange, Vpn,
};

use crate::cpu::{MOST_FAULTS, Operation, Target};
use crate::machine::Machine;
use crate::report::Oracle;
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

    fn of(&self, space: SpaceId) -> Option<Arc<Mirror<Tlb>>> {
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

impl Machine {
    /// An access of the device that follows `space`, with the faults that it takes. Returns the
    /// frame that it reached and the word that is there now.
    pub(crate) fn follow(
        &self,
        space: &AddressSpace<Self>,
        target: Target,
        operation: Operation,
    ) -> Result<(Pfn, u64), FaultError> {
        let at = VirtAddr::of_page(target.page);
        let cause = match operation {
            Operation::Load => Cause::Load,
            Operation::Store(_) => Cause::Store,
        };
        let Some(mirror) = self.followers().and_then(|followers| followers.of(space.id())) else {
            return Err(FaultError::NotMapped(at));
        };
        for _ in 0..MOST_FAULTS {
            let done = mirror.with(|table| {
                let entry = table.find(target.page);
                let entry = entry.filter(|entry| cause == Cause::Load || entry.writable)?;
                self.must_live(space.memory().frames(), entry.frame);
                let cell = self.word(entry.frame, target.word);
                let value = match operation {
                    Operation::Load => cell.load_acquire(),
                    Operation::Store(value) => {
                        cell.store_release(value);
                        value
                    }
                };
                Some((entry.frame, value))
            });
            if let Some(done) = done {
                return Ok(done);
            }
            mirror.establish(space, at, cause)?;
        }
        self.broken(Oracle::Progress, format!("a device faulted {MOST_FAULTS} times in a row"));
        Ok((Pfn(0), 0))
    }
}
