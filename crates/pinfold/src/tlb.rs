//! Flushing: at once, once for many changes ([`batch`]), for the gather of an unmap ([`gather`]),
//! once for a batch of pages on the move ([`deferred`]). Which CPUs a flush has to reach is the
//! platform's to know: [`cpus`] keeps it.
//!
//! Invariants:
//! - INV-TLB-1: a page that a gather took is freed only after a flush that began when its entry was
//!   already gone; that of a dying address space after one that began when no CPU had its root
//!   loaded any more.
//! - INV-TLB-2: a copy replaces a page only with the proof of a flush ([`crate::table::Flushed`]),
//!   except under the never-released switch.
//! - INV-TLB-3: a full gather is an ordinary event: flush, free, continue (facts 6.1). It needs no
//!   allocation to make progress.
//! - INV-TLB-4: there is a full barrier between the unlinking of a table and the wait for walkers,
//!   as there is one after the opening of a walk section: a walker that the wait misses finds the
//!   table gone.

mod batch;
mod cpus;
mod deferred;
mod gather;

pub(crate) use batch::FlushBatch;
pub use cpus::CpuSet;
pub(crate) use deferred::DeferredFlush;
pub(crate) use gather::{Gather, LockCount, Room};

use crate::addr::{SpaceId, VirtRange, Vpn};
use crate::memory::Memory;
use crate::platform::{FlushScope, Platform};
use crate::pte::Format;
use crate::rules::zap::reaches_every_cpu;
use crate::table::{Flushed, Withdrawn};

impl<P: Platform> Memory<P> {
    /// Makes all CPUs forget, and counts the flush; under the never-released switch only this one
    /// forgets.
    pub(crate) fn flush(&self, space: SpaceId, scope: FlushScope) {
        if !reaches_every_cpu(self.rule()) {
            return self.platform().flush_local(space, self.pages_of(scope));
        }
        self.counters().nr_tlb_remote_flush.add(1);
        self.platform().flush(space, scope);
    }

    fn pages_of(&self, scope: FlushScope) -> VirtRange {
        match scope {
            FlushScope::Range(range) => range,
            FlushScope::All => VirtRange::of_pages(Vpn(0), Vpn(P::Format::PAGES)),
        }
    }

    /// Makes all CPUs forget a withdrawn entry.
    pub(crate) fn flush_withdrawn<F: Format>(
        &self,
        space: SpaceId,
        old: Withdrawn<F>,
    ) -> Flushed<F> {
        old.flush_by(|page| self.flush(space, FlushScope::Range(page)))
    }
}
