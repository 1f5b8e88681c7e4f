//! Hinting faults of NUMA balancing: a page whose entry a scan made PROT_NONE is moved to the node
//! that touches it, or made accessible again (facts 4.3, 4.4).
//!
//! Protocol: the fault holds the area. The order of restoring and
//! migrating is the rule `numa-fault`.
//!
//! Invariants:
//! - INV-NUMA-1: after a hinting fault the entry is accessible, unless it changed in the meantime.
//! - INV-NUMA-2: the write bit comes back only by the rule `numa-write`: kept in the entry,
//!   recomputed from the mark under the table's lock, or not at all.

use super::request::{Fault, Hinted, Request};
use crate::event::EventKind;
use crate::migrate::{Isolated, Mode};
use crate::platform::Platform;
use crate::pte::Pte;
use crate::rules::NumaFault;
use crate::rules::numa::{HintedWrite, hinted_write};
use crate::space::Space;
use crate::table::{Cursor, Huge, Leaf};

/// What is known of the write bit when an entry is restored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum WriteBit {
    /// By the rule. What 6.2 to 6.10 restored when a migration had failed is unclear: facts 4.4
    /// says that the bit was recomputed, but not whether before or after the lock was dropped. It
    /// is modelled as recomputed; without the bit there is one more fault, which reuses the page.
    ByRule,
    /// The information was lost with the lock: without the bit (facts 9.12).
    Lost,
}

impl<P: Platform> Space<P> {
    pub(super) fn hint_fault(
        &self,
        request: &Request<'_, P>,
        leaf: Leaf<'_, P>,
        orig: Pte<P::Format>,
    ) -> Fault {
        let (mem, page, pfn) = (self.mem(), request.page, orig.pfn());
        let cursor = leaf.lock();
        if cursor.get(page) != orig {
            return Fault::Spurious;
        }
        mem.counters().numa_hint_faults.add(1);
        mem.tell(self.id(), page, EventKind::HintFault(pfn));
        let local = mem.frames().node(pfn) == mem.platform().node();
        if local {
            mem.counters().numa_hint_faults_local.add(1);
            self.restore(request, &cursor, orig, WriteBit::ByRule);
            return Fault::Hint(Hinted::Local);
        }
        match mem.rule() {
            NumaFault::RestoreFirst => {
                self.restore(request, &cursor, orig, WriteBit::ByRule);
                mem.get(pfn, 1);
                drop(cursor);
                let isolated = mem.isolate(pfn);
                mem.put(pfn, 1);
                Fault::Hint(self.move_here(isolated))
            }
            NumaFault::MigrateFirst => {
                mem.get(pfn, 1);
                drop(cursor);
                let isolated = mem.isolate(pfn);
                mem.put(pfn, 1);
                self.move_or_restore(request, leaf, orig, isolated, WriteBit::ByRule)
            }
            NumaFault::IsolateUnderLock => match mem.isolate(pfn) {
                Some(isolated) => {
                    drop(cursor);
                    self.move_or_restore(request, leaf, orig, Some(isolated), WriteBit::Lost)
                }
                None => {
                    self.restore(request, &cursor, orig, WriteBit::ByRule);
                    Fault::Hint(Hinted::MoveFailed)
                }
            },
        }
    }

    fn move_here(&self, isolated: Option<Isolated<'_, P>>) -> Hinted {
        let mem = self.mem();
        match isolated.and_then(|page| mem.migrate(page, mem.platform().node(), Mode::Async)) {
            Some(_) => {
                mem.counters().numa_pages_migrated.add(1);
                Hinted::Moved
            }
            None => Hinted::MoveFailed,
        }
    }

    /// Migrates while the entry is still PROT_NONE; a failure makes it accessible, if it has not
    /// changed.
    fn move_or_restore(
        &self,
        request: &Request<'_, P>,
        leaf: Leaf<'_, P>,
        orig: Pte<P::Format>,
        isolated: Option<Isolated<'_, P>>,
        write: WriteBit,
    ) -> Fault {
        let hinted = self.move_here(isolated);
        if hinted == Hinted::MoveFailed {
            let cursor = leaf.lock();
            if cursor.get(request.page) == orig {
                self.restore(request, &cursor, orig, write);
            }
        }
        Fault::Hint(hinted)
    }

    /// As [`Space::hint_fault`], where one entry maps as many pages as a table does.
    pub(super) fn hint_fault_huge(
        &self,
        request: &Request<'_, P>,
        huge: &Huge<'_, P>,
        orig: Pte<P::Format>,
    ) -> Option<Fault> {
        let (mem, head) = (self.mem(), orig.pfn());
        let cursor = huge.lock();
        if cursor.get() != Some(orig) {
            return None;
        }
        mem.counters().numa_hint_faults.add(1);
        mem.tell(self.id(), request.page, EventKind::HintFault(head));
        let local = mem.frames().node(head) == mem.platform().node();
        if local {
            mem.counters().numa_hint_faults_local.add(1);
        }
        // A large folio stays where it is.
        let pte = self.accessible(request, orig, WriteBit::ByRule);
        cursor.set(pte);
        let kind = |pfn| EventKind::HintRestored { pfn, writable: pte.is_writable() };
        mem.tell_each(self.id(), (huge.pages().start, head), kind);
        Some(Fault::Hint(if local { Hinted::Local } else { Hinted::MoveFailed }))
    }

    fn restore(
        &self,
        request: &Request<'_, P>,
        cursor: &Cursor<'_, P>,
        orig: Pte<P::Format>,
        write: WriteBit,
    ) {
        let pte = self.accessible(request, orig, write);
        cursor.set(request.page, pte);
        let kind = EventKind::HintRestored { pfn: orig.pfn(), writable: pte.is_writable() };
        self.mem().tell(self.id(), request.page, kind);
    }

    /// What a hinting entry becomes.
    fn accessible(
        &self,
        request: &Request<'_, P>,
        orig: Pte<P::Format>,
        write: WriteBit,
    ) -> Pte<P::Format> {
        let area = request.area;
        let mut pte = orig.with_reach(area.prot.reach()).young();
        match hinted_write(self.mem().rule()) {
            HintedWrite::InEntry => {}
            HintedWrite::Dropped => pte = pte.read_only(),
            HintedWrite::Recomputed => {
                pte = pte.read_only();
                if write == WriteBit::ByRule && self.may_become_writable(area, pte) {
                    pte = pte.writable();
                }
            }
        }
        pte
    }
}

#[cfg(test)]
mod tests;
