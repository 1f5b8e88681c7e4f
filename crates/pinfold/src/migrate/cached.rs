//! What is different about a page of an object, a file or shared memory, that moves (facts 4.5):
//! its entries are found by those who map the object, and the object's list has to have the new
//! page from the moment on at which nobody refers to the old one.
//!
//! Protocol: that moment is under the list's lock for writing, with both pages' locks held: nobody
//! is between a look-up and an entry, and who has found the old page by the list has a reference,
//! which keeps it, or looks again. The list comes before the page's lock. So a pass that only tries
//! has the page's lock and *tries* the list, for the comparison alone; one that sleeps asks the
//! page where it is listed, once it has its lock, lets go of it, takes the list and then *tries*
//! the page, and holds both to the end: nobody sleeps for a page with the list. Migration entries
//! of a page that is being truncated go like any other entry of it.
//!
//! Pages of objects are small: no large folio is in a list.
//!
//! Invariants:
//! - INV-MIG-8: a page of an object moves only if the isolation and the list hold its only
//!   references, compared under the list's lock. The list has the old page until then and the new
//!   one from then on, with its marks: it is dirty, read, charged as the old one was.
//! - INV-MIG-9: who is writing a page to its store has the page's lock, and the page says so from
//!   the moment on at which it is clean (`WRITEBACK`). A mode that does not wait for that does not
//!   sleep for the lock of a page that says so ([`MigrateMode::SyncLight`]): that and the lock are
//!   one word, and who marks the page wakes those who sleep for it. (Linux's writer has let go of
//!   the lock by then.)

use super::{DeferredFlush, Fresh, Isolated, Locking, Pass};
use crate::addr::Pfn;
use crate::event::EventKind;
use crate::frame::Flags;
use crate::memory::Memory;
use crate::object::{List, Listed};
use crate::page::PageLock;
use crate::platform::Platform;
use crate::rmap::Walk;
use crate::rmap_walk::OfObject;
use crate::vacate::{Contents, Pinned};

impl<P: Platform> Memory<P> {
    /// A pass over a page of an object that sleeps for locks.
    pub(super) fn migrate_pass_closed<'m>(
        &'m self,
        page: &Isolated<'m, P>,
        to: &Fresh<'m, P>,
        locking: Locking,
    ) -> Pass {
        let listed = self.lock_as(page.head, locking).and_then(|_locked| self.listed_at(page.head));
        let Some(at) = listed else { return Pass::Again };
        let list = match locking {
            // Who has it may wait for a page that is being written.
            Locking::Try | Locking::SleepUnlessWritten => at.cache.list.try_write(self.platform()),
            Locking::Sleep => Some(at.cache.list.write(self.platform())),
        };
        let Some(mut list) = list else { return Pass::Again };
        let mut deferred = DeferredFlush::new();
        let taken = self.take_out((page, to), Locking::Try, &mut deferred, None);
        deferred.finish(self);
        taken.map_or(Pass::Again, |taken| self.bring_back(&taken, Some(&mut list)))
    }

    /// The lock of a page that is isolated, as a pass takes it.
    pub(super) fn lock_as(&self, pfn: Pfn, locking: Locking) -> Option<PageLock<'_, P>> {
        match locking {
            Locking::Try => self.try_lock_page(pfn),
            Locking::Sleep => Some(self.lock_page(pfn)),
            Locking::SleepUnlessWritten => loop {
                if let Some(locked) = self.try_lock_page(pfn) {
                    return Some(locked);
                }
                // INV-MIG-9.
                if self.frames().flags(pfn).contains(Flags::WRITEBACK) {
                    return None;
                }
                self.wait_page_unwritten(pfn);
            },
        }
    }

    /// Replaces every entry of a page of an object by a migration entry.
    ///
    /// # Errors
    /// When the page may be pinned and keeps a mark, which those pages do not have.
    pub(super) fn vacate_listed(
        &self,
        pfn: Pfn,
        at: &Listed,
        deferred: &mut DeferredFlush,
    ) -> Result<(), Pinned> {
        if !self.frames().counts_as(pfn, |counts| counts.maps() != 0) {
            // Who maps it from now on is found by the comparison.
            return Ok(());
        }
        let who = OfObject { mappers: &at.cache.mappers, index: at.index };
        let mut result = Ok(());
        self.visit_entries(&who, |mm, page, leaf| {
            result = self.vacate_run(mm, (page..page + 1, pfn), leaf, deferred);
            if result.is_ok() { Walk::On } else { Walk::Stop }
        });
        result
    }

    /// Turns the migration entries of a page of an object into entries of `to`, which is that page
    /// or the one that has replaced it.
    pub(super) fn reoccupy_listed(&self, at: &Listed, (from, to): (Pfn, Pfn)) {
        let who = OfObject { mappers: &at.cache.mappers, index: at.index };
        self.visit_entries(&who, |mm, page, leaf| {
            self.restore_run(mm, (page..page + 1, from), leaf, (to, Contents::Listed));
            Walk::On
        });
    }

    /// Copies a page of an object whose entries are out, and puts the new one into its place, if
    /// nobody else refers to it: INV-MIG-8. `held` is the object's list, if the caller has it.
    pub(super) fn replace_listed(
        &self,
        (from, to): (Pfn, Pfn),
        at: &Listed,
        held: Option<&mut List>,
    ) -> bool {
        let mut tried = None;
        let list = match held {
            Some(list) => list,
            None => {
                tried = at.cache.list.try_write(self.platform());
                match tried.as_mut() {
                    Some(list) => &mut **list,
                    None => return false,
                }
            }
        };
        // What those did who had a reference comes before the copy.
        let refs = self.frames().counts_acquire(from).refs();
        if refs != EXPECTED {
            self.tell_frame(EventKind::MigrationBusy { pfn: from, refs, expected: EXPECTED });
            return false;
        }
        self.copy_frames(from, to, 1);
        self.inherit_charges(from, to, 1);
        self.frames().replace_cached(from, to);
        self.get(to, 1);
        list.replace(at.index, to);
        drop(tried);
        self.put(from, 1);
        true
    }
}

/// The references of the isolation and of the list.
const EXPECTED: u32 = 2;
