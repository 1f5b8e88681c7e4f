//! Whether pages were used: what the hardware has noted in their entries since it was asked last,
//! and what that means for a page of the list of those not in use ([`super`]).
//!
//! Protocol: the entries are found by the reverse map and made old, each under its table's lock;
//! a page of an object needs its own lock for that, which is tried, as whoever asks holds others.

use crate::addr::{Pfn, each_page};
use crate::frame::List;
use crate::memory::Memory;
use crate::migrate::Isolated;
use crate::platform::Platform;
use crate::pte::{Format, Pte};
use crate::rmap::Walk;
use crate::rmap_walk::OfObject;
use crate::table::{Next, Part};

/// Which entries have been used that map a page.
#[derive(Clone, Copy, Default)]
pub(super) struct Use {
    entries: u64,
    /// Whether one of them may execute it.
    pub(super) executes: bool,
}

impl Use {
    fn note(&mut self, executes: bool) {
        self.entries += 1;
        self.executes |= executes;
    }
}

/// What is to become of a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    /// It is to leave memory.
    Leaves,
    /// It was used, once: it goes through the list once more.
    Stays,
    /// It is in use.
    InUse,
}

impl<P: Platform> Memory<P> {
    /// What is to become of a page of the list of those not in use.
    pub(super) fn fate(&self, page: &Isolated<'_, P>) -> Fate {
        let used = self.take_use(page);
        if used.entries == 0 {
            self.frames().clear_referenced(page.head());
            return Fate::Leaves;
        }
        let again = self.frames().mark_referenced(page.head()) || used.entries > 1;
        match again || used.executes && page.is_of_file() {
            true => Fate::InUse,
            false => Fate::Stays,
        }
    }

    /// Has a page leave before others: one in use comes to the list of the others, one that is
    /// there already leaves next.
    pub(crate) fn cool(&self, page: Isolated<'_, P>) {
        self.take_use(&page);
        self.frames().clear_referenced(page.head());
        match self.frames().list_of(page.head()) {
            List::Active => {
                self.counters().pgdeactivate.add(page.pages());
                page.put_back_to(List::Inactive);
            }
            List::Inactive => page.put_back_last(List::Inactive),
        }
    }

    /// Which entries have been used that map a page, or a part of it, since this was asked last.
    /// What CPUs have cached is not flushed: they go on for a while without the hardware's noting
    /// it, as in Linux.
    pub(super) fn take_use(&self, page: &Isolated<'_, P>) -> Use {
        match page.is_of_object() {
            true => self.take_use_of_listed(page.head()),
            false => self.take_use_of_private((page.head(), page.pages())),
        }
    }

    /// The same of a page of an object. Where its lock is held it counts as used, as in Linux.
    fn take_use_of_listed(&self, pfn: Pfn) -> Use {
        let mut used = Use::default();
        let Some(_locked) = self.try_lock_page(pfn) else {
            used.note(false);
            return used;
        };
        let Some(at) = self.listed_at(pfn) else { return used };
        if !self.frames().folio(pfn).is_mapped() {
            return used;
        }
        let who = OfObject { mappers: &at.cache.mappers, index: at.index };
        self.visit_entries(&who, |_, page, leaf| {
            let cursor = leaf.lock();
            let pte = cursor.get(page);
            if is_used(pte, pfn) {
                cursor.grant(page, pte, pte.old());
                used.note(pte.is_exec());
            }
            Walk::On
        });
        used
    }

    fn take_use_of_private(&self, (head, pages): (Pfn, u64)) -> Use {
        let mut used = Use::default();
        let walked: Result<(), core::convert::Infallible> =
            self.walk_folio((head, pages), |_, run, part| {
                match part {
                    Part::Table(leaf) => {
                        let cursor = leaf.lock();
                        let pfns = (head.0 + run.skipped..).map(Pfn);
                        for (page, pfn) in each_page(run.pages).zip(pfns) {
                            let pte = cursor.get(page);
                            if is_used(pte, pfn) {
                                cursor.grant(page, pte, pte.old());
                                used.note(pte.is_exec());
                            }
                        }
                    }
                    Part::Huge(huge) => {
                        let cursor = huge.lock();
                        let Some(pte) = cursor.get() else { return Ok(Next::Again) };
                        if is_used(pte, head) {
                            cursor.grant(pte, pte.old());
                            used.note(pte.is_exec());
                        }
                    }
                }
                Ok(Next::On)
            });
        let Ok(()) = walked;
        used
    }
}

fn is_used<F: Format>(pte: Pte<F>, pfn: Pfn) -> bool {
    pte.maps_counted(pfn) && pte.is_accessed()
}
