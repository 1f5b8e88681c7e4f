//! Moving a page: every entry that maps it becomes a migration entry, the page is copied if nobody
//! else refers to it, and the entries come back for the new frame, or for the old one (facts 4.5).
//!
//! Protocol, per pass: locks of both pages (tried, never slept for), walk of the family with each
//! table's lock in turn to take the entries out, flush (with each entry, or once: rule
//! `migrate-flush`), comparison of the references, copy, walk to
//! restore, unlock. A fault that meets a migration entry waits for the old page's lock. The caller
//! has isolated the page, which takes one reference.
//!
//! Invariants:
//! - INV-MIG-1: a page moves only if the isolation holds its only reference: no pin, no get, no
//!   mapping.
//! - INV-MIG-2: no migration entry for the page is left after an attempt.
//! - INV-MIG-3: since 5.19 a pinned exclusive page keeps its entry and its mark: the attempt ends
//!   when, with the entry out, the pin is seen.
//! - INV-MIG-4: the new page is locked from before its first entry until after its last: a fault
//!   that finds it mapped once, while other entries are still to be restored, does not take it for
//!   its own.

mod range;

use crate::addr::{Mm, NodeId, Pfn, SpaceId, Vpn};
use crate::event::EventKind;
use crate::frame::{Counts, Flags, Isolation, Placement, Start};
use crate::memory::Memory;
use crate::page::PageLock;
use crate::platform::{Invalidate, Platform};
use crate::pte::{Entry, Format, Migration, MigrationKind, Pte};
use crate::rmap::{Hold, Walk};
use crate::rules::migrate::{
    batches_flushes, brings_barriers, carries_accessed_dirty, remembers_mark,
};
use crate::sync::smp_mb;
use crate::table::{Cursor, Flushed, Withdrawn};
use crate::tlb::DeferredFlush;

/// What became of the pages of a range.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Moved {
    /// Pages that now lie on the wanted node and did not before.
    pub moved: u64,
    /// Pages that could not be moved: referenced, pinned, busy, or without a frame to move to.
    pub failed: u64,
}

/// A page isolated for migration: holds one reference, and nobody else isolates the page.
#[must_use]
pub(crate) struct Isolated<'m, P: Platform> {
    mem: &'m Memory<P>,
    pfn: Pfn,
}

impl<P: Platform> Drop for Isolated<'_, P> {
    fn drop(&mut self) {
        self.mem.frames().page(self.pfn).end_isolation();
        self.mem.put(self.pfn, 1);
    }
}

/// On whose behalf a page migrates, and so how often that is tried.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mode {
    /// For a caller that can wait: move_pages, mbind, memory hotplug.
    Sync,
    /// For a fault, whose access has to wait.
    Async,
}

/// On whose behalf the pages of a range move, and so which of them are passed over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mover {
    /// move_pages, mbind, hotplug, CMA: every page is tried.
    Request,
    /// Compaction, whose isolation passes over an anonymous page that has more references than
    /// mappings before it touches an entry (facts 12.7a).
    Compaction,
}

/// The outcome of a pass.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Pass {
    Moved,
    Again,
}

/// The outcome of taking the entries out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Unmapped {
    All,
    Some,
}

/// The outcome of taking one entry out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Taken {
    /// A migration entry has replaced it.
    Out,
    /// It is unchanged: the page may be pinned.
    Left,
}

/// An entry that was taken out.
enum Gone<F: Format> {
    /// Every CPU has forgotten it.
    Flushed(Flushed<F>),
    /// The flush comes later, for a batch.
    Cached(Withdrawn<F>),
}

impl<F: Format> Gone<F> {
    fn pte(&self) -> Pte<F> {
        match self {
            Self::Flushed(flushed) => flushed.pte(),
            Self::Cached(old) => old.pte(),
        }
    }

    fn put_back<P: Platform<Format = F>>(self, cursor: &Cursor<'_, P>) {
        match self {
            Self::Flushed(flushed) => cursor.put_back(flushed),
            Self::Cached(old) => cursor.reinstate(old),
        }
    }
}

/// A page on the move, locked, whose entries are out, and the page that it is to become.
#[must_use]
struct TakenOut<'m, P: Platform> {
    from: Pfn,
    to: Pfn,
    family: Option<Hold<'m>>,
    unmapped: Unmapped,
    _locks: (PageLock<'m, P>, PageLock<'m, P>),
}

/// Whether a page may be shared, or moved, from now on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Share {
    /// It no longer has the exclusive mark.
    Unmarked,
    /// It may be pinned, and keeps the mark.
    MaybePinned,
}

impl<P: Platform> Memory<P> {
    /// Isolates an anonymous page for migration. The caller holds something that keeps the page
    /// alive.
    pub(crate) fn isolate(&self, pfn: Pfn) -> Option<Isolated<'_, P>> {
        match self.frames().page(pfn).isolate() {
            Isolation::Refused => None,
            Isolation::Taken => {
                self.get(pfn, 1);
                Some(Isolated { mem: self, pfn })
            }
        }
    }

    /// Tries to move the page to `node`, in as many passes as the tuning says.
    pub(crate) fn migrate(&self, page: Isolated<'_, P>, node: NodeId, mode: Mode) -> Option<Pfn> {
        let passes = match mode {
            Mode::Sync => self.tuning().migrate_passes,
            Mode::Async => self.tuning().hint_passes,
        };
        let moved = self.migrate_to(&page, node, passes.max(1));
        let stat = if moved.is_some() {
            &self.counters().pgmigrate_success
        } else {
            &self.counters().pgmigrate_fail
        };
        stat.add(1);
        moved
    }

    fn migrate_to(&self, page: &Isolated<'_, P>, node: NodeId, passes: u32) -> Option<Pfn> {
        let fresh = self.frames().alloc(Placement::Only(node), Flags::ANON, Start::Held).ok()?;
        for _ in 0..passes {
            if self.migrate_pass(page.pfn, fresh.pfn()) == Pass::Moved {
                return Some(fresh.pfn());
            }
        }
        None
    }

    fn migrate_pass(&self, from: Pfn, to: Pfn) -> Pass {
        let mut deferred = DeferredFlush::new();
        let taken = self.take_out(from, to, &mut deferred);
        deferred.finish(self);
        taken.map_or(Pass::Again, |taken| self.bring_back(taken))
    }

    /// Locks both pages and takes the entries of the old one out; what `deferred` has recorded is
    /// to be flushed before [`Memory::bring_back`].
    fn take_out(
        &self,
        from: Pfn,
        to: Pfn,
        deferred: &mut DeferredFlush,
    ) -> Option<TakenOut<'_, P>> {
        let locked_from = self.try_lock_page(from)?;
        let locked_to = self.try_lock_page(to)?;
        // The page's lock keeps its home as it is.
        let (home, index) = self.frames().place(from);
        self.frames().page(to).set_rmap(home, index);
        let family = self.hold_family(from);
        let unmapped = self.unmap_for_migration(from, deferred);
        Some(TakenOut { from, to, family, unmapped, _locks: (locked_to, locked_from) })
    }

    /// Copies the page if nobody else refers to it, and puts the entries back for the one or the
    /// other.
    fn bring_back(&self, taken: TakenOut<'_, P>) -> Pass {
        let TakenOut { from, to, unmapped, .. } = taken;
        let refs = self.frames().counts(from).refs();
        // The isolation's reference.
        let expected = 1;
        let (page, result) = if unmapped == Unmapped::All && refs == expected {
            self.platform().copy_frame(from, to);
            self.inherit_charge(from, to);
            (to, Pass::Moved)
        } else {
            if unmapped == Unmapped::All {
                let busy = EventKind::MigrationBusy { pfn: from, refs, expected };
                self.tell_frame(busy);
            }
            (from, Pass::Again)
        };
        if let Some(family) = &taken.family {
            self.restore_entries(family, from, page);
        }
        if result == Pass::Moved {
            self.tell_frame(EventKind::Migrated { from, to });
        }
        result
    }

    /// Replaces every entry of the page by a migration entry.
    fn unmap_for_migration(&self, pfn: Pfn, deferred: &mut DeferredFlush) -> Unmapped {
        let mut result = Unmapped::All;
        self.walk_mapped(pfn, |mm, page, leaf| {
            let _changing = self.changing(mm.id, page.alone(), Invalidate::Clear);
            let cursor = leaf.lock();
            let pte = cursor.get(page);
            if !pte.is_mapped() || pte.is_special() || pte.pfn() != pfn {
                return Walk::On;
            }
            match self.unmap_entry(mm, page, &cursor, deferred) {
                Taken::Out => Walk::On,
                Taken::Left => {
                    result = Unmapped::Some;
                    Walk::Stop
                }
            }
        });
        result
    }

    /// Replaces one entry by a migration entry.
    pub(crate) fn unmap_entry(
        &self,
        mm: Mm,
        page: Vpn,
        cursor: &Cursor<'_, P>,
        deferred: &mut DeferredFlush,
    ) -> Taken {
        let gone = if batches_flushes(self.rule()) {
            Gone::Cached(cursor.withdraw(page))
        } else {
            Gone::Flushed(self.flush_withdrawn(mm.id, cursor.withdraw(page)))
        };
        let old = gone.pte();
        let pfn = old.pfn();
        let marked = self.frames().counts_as(pfn, Counts::is_exclusive);
        let remembers = remembers_mark(self.rule());
        if marked && remembers {
            if self.try_share(pfn) == Share::MaybePinned {
                gone.put_back(cursor);
                self.tell(mm.id, page, EventKind::MigrationPinned(pfn));
                return Taken::Left;
            }
        } else if marked {
            self.frames().page(pfn).clear_exclusive();
        }
        let kind = match (old.is_writable(), marked && remembers) {
            (true, _) => MigrationKind::Write,
            (false, true) => MigrationKind::ReadExclusive,
            (false, false) => MigrationKind::Read,
        };
        let carried = carries_accessed_dirty(self.rule());
        let entry = Migration {
            pfn,
            kind,
            young: carried && old.is_accessed(),
            dirty: carried && old.is_dirty(),
            reach: old.reach(),
            locked: old.is_locked(),
            uffd_wp: old.is_uffd_wp(),
        };
        match gone {
            Gone::Flushed(flushed) => cursor.publish(flushed, Pte::migration(entry)),
            Gone::Cached(old) => {
                deferred.note(self, mm, page);
                cursor.hold_place(old, Pte::migration(entry));
            }
        }
        let counted = self.drop_mapping_alone(old, mm.id);
        self.tell(mm.id, page, EventKind::MigrationEntry { pfn, kind });
        self.put_own(counted);
        Taken::Out
    }

    /// Clears the exclusive mark of a page whose entry is out, unless it may be pinned (facts 3.5,
    /// A1 to A3). The entry was taken out by a full exchange, and for
    /// [`ShareOrder::Flush`](crate::rules::ShareOrder::Flush) the flush that followed is the only
    /// other thing that orders.
    fn try_share(&self, pfn: Pfn) -> Share {
        let barriers = brings_barriers(self.rule());
        if barriers {
            smp_mb();
        }
        if self.maybe_pinned(pfn) {
            return Share::MaybePinned;
        }
        self.frames().page(pfn).clear_exclusive();
        if barriers {
            smp_mb();
        }
        Share::Unmarked
    }

    /// Turns the migration entries of `from` into entries of `page`, which is the new frame or the
    /// old one: INV-MIG-2.
    fn restore_entries(&self, family: &Hold<'_>, from: Pfn, page_frame: Pfn) {
        self.walk_held(family, from, |mm, page, leaf| {
            let cursor = leaf.lock();
            if let Entry::Migration(entry) = cursor.get(page).decode()
                && entry.pfn == from
            {
                self.restore_entry(mm.id, page, &cursor, entry, page_frame);
            }
            Walk::On
        });
    }

    pub(crate) fn restore_entry(
        &self,
        space: SpaceId,
        page: Vpn,
        cursor: &Cursor<'_, P>,
        entry: Migration,
        pfn: Pfn,
    ) {
        let new = self.frames().page(pfn);
        // A mark, if there is one, stays.
        self.get_map(pfn, space);
        if entry.kind != MigrationKind::Read {
            new.mark_exclusive();
        }
        let writable = entry.kind == MigrationKind::Write;
        let mut pte = Pte::mapping(pfn, entry.reach).old();
        if writable {
            pte = pte.writable();
        }
        if entry.young {
            pte = pte.young();
        }
        if entry.dirty {
            pte = pte.dirty();
        }
        if entry.locked {
            self.mlock(pfn);
            pte = pte.locked();
        }
        if entry.uffd_wp {
            pte = pte.uffd_wp();
        }
        cursor.set(page, pte);
        self.tell(space, page, EventKind::MigrationRestored { pfn, writable });
    }
}

#[cfg(test)]
mod tests;
