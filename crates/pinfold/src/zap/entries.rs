//! The withdrawal of entries, one table at a time: for an unmap, DONTNEED and exit, and for those
//! who take pages out of an object.
//!
//! Protocol: as [`crate::zap`] says. Who comes by the list of those who map an object holds no lock
//! of theirs, so he flushes each table under its lock: who finds an entry gone there may rely on
//! it.

use core::ops::Range;

use crate::addr::{Mm, Pfn, Vpn, each_page};
use crate::event::EventKind;
use crate::frame::{Flags, Large};
use crate::memory::Memory;
use crate::platform::Platform;
use crate::pte::{Entry, Pte};
use crate::rules::large::unmap_counts_folio;
use crate::rules::zap::{Munlock, Removal, Zapped, munlock};
use crate::swap::Slot;
use crate::table::{Cursor, Leaf, Withdrawn};
use crate::tlb::{Gather, LockCount, Room};

/// Which entries of a range are withdrawn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Which {
    /// All.
    All,
    /// All, but where a monitor has a page protected a marker stays (facts 7.14).
    Marked,
    /// Those that show pages of an object: private copies stay, and so do markers.
    Cached,
}

/// When a table's entries are flushed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Flushes {
    /// Under its lock if the rule `zap-rmap` asks for it there, or with the rest.
    AsRuled,
    /// Under its lock.
    UnderLock,
}

/// A withdrawal of entries in one address space.
pub(crate) struct Zap<'m, P: Platform> {
    pub(super) mem: &'m Memory<P>,
    pub(super) mm: Mm,
    pub(super) which: Which,
    flushes: Flushes,
}

impl<'m, P: Platform> Zap<'m, P> {
    pub(crate) fn new(mem: &'m Memory<P>, mm: Mm, which: Which, flushes: Flushes) -> Self {
        Self { mem, mm, which, flushes }
    }

    /// Withdraws the entries of a run in one table.
    pub(crate) fn table(
        &self,
        leaf: Leaf<'_, P>,
        mut pages: Range<Vpn>,
        gather: &mut Gather<'_, P>,
    ) {
        while pages.start < pages.end {
            let room;
            (pages.start, room) = self.hold(leaf, pages.clone(), gather);
            if room == Room::Full {
                gather.flush_and_free();
            }
        }
    }

    /// Withdraws entries under one hold of the table's lock, until the end or a full gather.
    /// Returns the first page that is left, and the room.
    fn hold(
        &self,
        leaf: Leaf<'_, P>,
        pages: Range<Vpn>,
        gather: &mut Gather<'_, P>,
    ) -> (Vpn, Room) {
        let cursor = leaf.lock();
        self.mem.flush_deferred(self.mm, &cursor);
        let end = pages.end;
        for page in each_page(pages) {
            if self.entry(&cursor, (page, end), gather) == Room::Full {
                self.flush(&cursor, gather);
                return (page + 1, Room::Full);
            }
        }
        (end, self.flush(&cursor, gather))
    }

    fn flush(&self, cursor: &Cursor<'_, P>, gather: &mut Gather<'_, P>) -> Room {
        match self.flushes {
            Flushes::AsRuled => gather.flush_under_lock(cursor),
            Flushes::UnderLock => gather.flush_all_under_lock(cursor),
        }
    }

    /// When the count of a locked entry goes, of a page that loses its mapping as `removal` says.
    #[inline]
    fn lock(&self, old: Pte<P::Format>, removal: Removal) -> LockCount {
        if old.is_locked() { self.locked(old, removal) } else { LockCount::Settled }
    }

    #[cold]
    fn locked(&self, old: Pte<P::Format>, removal: Removal) -> LockCount {
        match (munlock(self.mem.rule()), removal) {
            (Munlock::Forgotten, _) => LockCount::Settled,
            // The walk over the area has left no mark.
            (Munlock::BeforeEntries | Munlock::WithEntry, _)
            | (Munlock::WithMapping, Removal::WithEntry) => {
                self.mem.munlock(old.pfn());
                LockCount::Settled
            }
            (Munlock::WithMapping, Removal::UnderLock | Removal::WhenFreed) => {
                LockCount::WithMapping
            }
        }
    }

    /// Takes an entry out; a marker stays where it is to.
    #[inline]
    fn withdraw(
        &self,
        cursor: &Cursor<'_, P>,
        page: Vpn,
        pte: Pte<P::Format>,
    ) -> Withdrawn<P::Format> {
        let old = cursor.withdraw(page);
        if self.which != Which::All && pte.is_uffd_wp() {
            cursor.set(page, Pte::marker());
        }
        old
    }

    /// The same for an entry that was withdrawn and maps a page of a large folio, or one that a
    /// group is charged for.
    #[inline(never)]
    fn other(
        &self,
        cursor: &Cursor<'_, P>,
        end: Vpn,
        old: Withdrawn<P::Format>,
        gather: &mut Gather<'_, P>,
    ) -> Room {
        let (mem, pfn) = (self.mem, old.pte().pfn());
        if let Some(folio) = mem.frames().large(pfn) {
            return self.large(cursor, end, (old, folio), gather);
        }
        mem.drop_map(pfn, self.mm.id);
        let lock = self.lock(old.pte(), Removal::WithEntry);
        mem.tell(self.mm.id, old.page(), EventKind::Zapped(pfn));
        gather.add(old, pfn, Removal::WithEntry, lock)
    }

    /// The entries of a run that map pages of a large folio, one after another, of which the first
    /// was withdrawn: they are counted off in one step.
    fn large(
        &self,
        cursor: &Cursor<'_, P>,
        end: Vpn,
        (first, folio): (Withdrawn<P::Format>, Large<'_>),
        gather: &mut Gather<'_, P>,
    ) -> Room {
        let (mem, page, pfn) = (self.mem, first.page(), first.pte().pfn());
        let most = (end.0 - page.0).min(folio.head().0 + folio.pages() - pfn.0);
        let mut gone = |old: Withdrawn<P::Format>| {
            if old.pte().is_locked() {
                let _settled = self.locked(old.pte(), Removal::WithEntry);
            }
            mem.tell(self.mm.id, old.page(), EventKind::Zapped(old.pte().pfn()));
            gather.note(old);
        };
        gone(first);
        let mut run = 1;
        while run < most {
            let pte = cursor.get(page + run);
            if !pte.maps_counted(Pfn(pfn.0 + run)) || self.stays(pte) {
                break;
            }
            gone(self.withdraw(cursor, page + run, pte));
            run += 1;
        }
        self.count_off(folio, (pfn, run as u32));
        gather.add_run(page, (pfn, run as u32))
    }

    /// Entries that mapped a run of a large folio's pages are gone.
    pub(super) fn count_off(&self, folio: Large<'_>, run: (Pfn, u32)) {
        if unmap_counts_folio(self.mem.rule()) {
            self.mem.drop_maps(folio, run, self.mm.id);
        } else {
            self.mem.drop_page_maps(folio, run);
        }
    }

    /// Whether an entry that maps this page stays.
    fn stays(&self, pte: Pte<P::Format>) -> bool {
        match self.which {
            Which::All | Which::Marked => false,
            Which::Cached => pte.is_special() || self.spares(pte.pfn()),
        }
    }

    /// Whether private memory stays, and a page, which something keeps alive, is such.
    fn spares(&self, pfn: Pfn) -> bool {
        self.which == Which::Cached && self.mem.frames().flags(pfn).contains(Flags::ANON)
    }

    /// Takes an entry out that the hardware cannot use.
    fn vanish(&self, cursor: &Cursor<'_, P>, page: Vpn, pte: Pte<P::Format>) {
        let marked = self.which != Which::All && pte.is_uffd_wp();
        cursor.set(page, if marked { Pte::marker() } else { Pte::NONE });
    }

    /// Withdraws an entry, and with one that maps a large folio those after it, up to `end`, that
    /// map the folio, too.
    #[inline]
    fn entry(
        &self,
        cursor: &Cursor<'_, P>,
        (page, end): (Vpn, Vpn),
        gather: &mut Gather<'_, P>,
    ) -> Room {
        let pte = cursor.get(page);
        match pte.decode() {
            Entry::None => Room::Left,
            Entry::Marker => {
                if self.which == Which::All {
                    cursor.set(page, Pte::NONE);
                }
                Room::Left
            }
            Entry::Mapped(_) if self.stays(pte) => Room::Left,
            Entry::Mapped(pfn) => {
                let old = self.withdraw(cursor, page, pte);
                if pte.is_special() {
                    gather.note(old);
                    self.mem.tell(self.mm.id, page, EventKind::Zapped(pfn));
                    return Room::Left;
                }
                let mem = self.mem;
                let zapped =
                    if old.pte().is_dirty() { mem.carry_dirty(pfn) } else { Zapped::Other };
                let removal = gather.removal(zapped);
                if removal == Removal::WithEntry && !mem.drop_plain_map(pfn) {
                    return self.other(cursor, end, old, gather);
                }
                let lock = self.lock(old.pte(), removal);
                mem.tell(self.mm.id, page, EventKind::Zapped(pfn));
                gather.add(old, pfn, removal, lock)
            }
            // Only anonymous pages are swapped out.
            Entry::Swap(_) if self.which == Which::Cached => Room::Left,
            Entry::Migration(entry) if self.spares(entry.pfn) => Room::Left,
            // Neither holds a reference here, nor counts as locked: both were dropped when the
            // entry was made.
            Entry::Migration(entry) => {
                self.vanish(cursor, page, pte);
                self.mem.tell(self.mm.id, page, EventKind::Zapped(entry.pfn));
                Room::Left
            }
            Entry::Swap(entry) => {
                self.vanish(cursor, page, pte);
                self.mem.tell(self.mm.id, page, EventKind::SwapZapped(entry));
                self.mem.forget_slot(Slot::of(entry));
                Room::Left
            }
        }
    }
}
