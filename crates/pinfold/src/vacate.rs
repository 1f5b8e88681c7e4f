//! Taking all entries of a folio out for a while, and putting them back, for it or for the one that
//! it has become: what a migration and a split have in common (facts 4.5, 5.3).
//!
//! Protocol: the caller has the folio's lock and a reference, and holds its family. The first walk
//! replaces each entry by a migration entry under the lock of its table, and stops at a page that
//! may be pinned and keeps its mark (rule `migration-kind`): with the entry out, the mark, the
//! mapping and the reference of the entry go in one step, where nothing else counts them. A fault
//! that meets such an entry waits for the folio's lock. The second walk puts back what the first
//! has replaced and nobody has unmapped since, so that none is left.
//!
//! A huge entry becomes one migration entry if the caller wants to keep it so, and is flushed at
//! once whatever the rule `migrate-flush` says. Whoever needs a part of it splits it, as any other.
//! It comes back as one entry with the mark on the first page (INV-HUGE-3), or, if it was split
//! meanwhile, as those of its pages.

use core::convert::Infallible;
use core::ops::Range;

use crate::addr::{Mm, Pfn, SpaceId, VirtRange, Vpn, each_page};
use crate::event::EventKind;
use crate::frame::Large;
use crate::memory::Memory;
use crate::platform::{FlushScope, Invalidate, Platform};
use crate::pte::{Entry, Format, Migration, MigrationKind, Pte};
use crate::rmap::Hold;
use crate::rules::Exclusive;
use crate::rules::migrate::{batches_flushes, carries_accessed_dirty, remembers_mark};
use crate::sync::smp_mb;
use crate::table::{Cursor, Huge, Leaf, Next, Part};
use crate::taken::{Flush, Mark, Remembers};
use crate::tlb::DeferredFlush;

/// What becomes of a huge entry that maps the folio.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum HugeEntries {
    /// It is split first.
    Split,
    /// It is replaced as one.
    Kept,
}

/// What kind of page an entry maps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Contents {
    /// Anonymous memory, whose owner may have it to himself.
    Private,
    /// A page in the list of an object.
    Listed,
}

/// A page may be pinned, so that its entry is unchanged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Pinned(pub(crate) Pfn);

impl<P: Platform> Memory<P> {
    /// Replaces every entry of the pages of a folio of this family, which has so many, by a
    /// migration entry.
    ///
    /// # Errors
    /// When a page may be pinned and keeps its mark: some entries may be replaced.
    pub(crate) fn vacate(
        &self,
        family: Option<&Hold<'_>>,
        (head, pages): (Pfn, u64),
        huge_entries: HugeEntries,
        deferred: &mut DeferredFlush,
    ) -> Result<(), Pinned> {
        self.walk_held(family, (head, pages), |mm, run, part| match part {
            Part::Table(leaf) => {
                let first = Pfn(head.0 + run.skipped);
                self.vacate_run(mm, (run.pages, first), leaf, deferred)?;
                Ok(Next::On)
            }
            Part::Huge(huge) if !is_of(&huge, head) => Ok(Next::On),
            Part::Huge(huge) => match huge_entries {
                HugeEntries::Split => Ok(self.split_part(mm, &huge)),
                HugeEntries::Kept => self.vacate_huge(mm, &huge, head),
            },
        })
    }

    fn split_part(&self, mm: Mm, huge: &Huge<'_, P>) -> Next {
        self.split_huge(mm, huge);
        Next::Again
    }

    /// The same for the entries of one table, the first of which may map `first`.
    pub(crate) fn vacate_run(
        &self,
        mm: Mm,
        (run, first): (Range<Vpn>, Pfn),
        leaf: Leaf<'_, P>,
        deferred: &mut DeferredFlush,
    ) -> Result<(), Pinned> {
        let range = VirtRange::of_pages(run.start, run.end);
        let _changing = self.changing(mm.id, range, Invalidate::Clear);
        let cursor = leaf.lock();
        for (page, pfn) in each_page(run).zip((first.0..).map(Pfn)) {
            let pte = cursor.get(page);
            if pte.maps_counted(pfn) {
                self.vacate_entry(mm, page, &cursor, deferred)?;
            }
        }
        Ok(())
    }

    /// Replaces one entry by a migration entry.
    fn vacate_entry(
        &self,
        mm: Mm,
        page: Vpn,
        cursor: &Cursor<'_, P>,
        deferred: &mut DeferredFlush,
    ) -> Result<(), Pinned> {
        let flush = if batches_flushes(self.rule()) { Flush::Deferred } else { Flush::Now };
        let gone = self.take_entry((mm, page), cursor, flush);
        let old = gone.pte();
        let mark = self.count_off(old.pfn(), mm.id);
        if mark == Mark::Kept {
            gone.put_back(cursor);
            return Err(self.kept(mm, page, old.pfn()));
        }
        let entry = self.placeholder(old, mark);
        if old.is_dirty() && !entry.dirty {
            // Where the entry forgets it: a page that may be dropped clean was stored to, even if
            // this one comes back to it.
            self.frames().mark_dirty(entry.pfn);
        }
        self.replace_gone(gone, (mm, page), cursor, Pte::migration(entry), deferred);
        if old.is_locked() {
            self.munlock(entry.pfn);
        }
        self.tell(mm.id, page, EventKind::MigrationEntry { pfn: entry.pfn, kind: entry.kind });
        Ok(())
    }

    /// Takes the mark of a page whose entry is out, and unless the page keeps it, counts the
    /// mapping off with its reference: in one step, where nothing else counts it.
    fn count_off(&self, pfn: Pfn, space: SpaceId) -> Mark {
        let remembers = Remembers::by(remembers_mark(self.rule()));
        if let Some(page) = self.frames().plain_folio(pfn) {
            return self.take_mark_by(pfn, remembers, |mark| self.drop_plain_entry(page, mark));
        }
        let mark = self.take_mark(pfn, remembers);
        if mark != Mark::Kept {
            let counted = self.drop_map_alone(pfn, space);
            self.put_own(counted, 1);
        }
        mark
    }

    /// Replaces a huge entry, if it still maps the folio.
    fn vacate_huge(&self, mm: Mm, huge: &Huge<'_, P>, head: Pfn) -> Result<Next, Pinned> {
        let _changing = self.changing(mm.id, huge.range(), Invalidate::Clear);
        let (cursor, first) = (huge.lock(), huge.pages().start);
        let Some(now) = cursor.get() else { return Ok(Next::Again) };
        let Some(folio) = self.mapped_by_huge(now, head) else { return Ok(Next::On) };
        let old = cursor.invalidate(now).pte();
        if old.is_present() {
            self.flush(mm.id, FlushScope::Range(huge.range()));
        }
        let mark = self.take_mark(head, Remembers::by(remembers_mark(self.rule())));
        if mark == Mark::Kept {
            cursor.set(old);
            return Err(self.kept(mm, first, head));
        }
        let entry = self.placeholder(old, mark);
        cursor.set(Pte::migration(entry));
        let pages = folio.pages() as u32;
        self.drop_maps_alone(folio, (head, pages), mm.id);
        let told = |pfn| EventKind::MigrationEntry { pfn, kind: entry.kind };
        self.tell_each(mm.id, (first, head), told);
        self.put_own(head, pages);
        Ok(Next::On)
    }

    /// The folio with this head, if the huge entry maps it.
    fn mapped_by_huge(&self, pte: Pte<P::Format>, head: Pfn) -> Option<Large<'_>> {
        self.frames().large(head).filter(|_| pte.maps_counted(head))
    }

    fn kept(&self, mm: Mm, page: Vpn, pfn: Pfn) -> Pinned {
        self.tell(mm.id, page, EventKind::MigrationPinned(pfn));
        Pinned(pfn)
    }

    /// What takes the place of an entry.
    fn placeholder(&self, old: Pte<P::Format>, mark: Mark) -> Migration {
        let kind = match (old.is_writable(), mark) {
            (true, _) => MigrationKind::Write,
            (false, Mark::Remembered) => MigrationKind::ReadExclusive,
            (false, Mark::None | Mark::Kept) => MigrationKind::Read,
        };
        let carried = carries_accessed_dirty(self.rule());
        Migration {
            pfn: old.pfn(),
            kind,
            young: carried && old.is_accessed(),
            dirty: carried && old.is_dirty(),
            reach: old.reach(),
            locked: old.is_locked(),
            uffd_wp: old.is_uffd_wp(),
            soft_dirty: old.is_soft_dirty(),
        }
    }

    /// Turns the migration entries of so many pages from `from` on into entries of those from `to`
    /// on. They may be other frames or the same ones, and, unless huge entries were split, are a
    /// folio.
    pub(crate) fn reoccupy(
        &self,
        family: Option<&Hold<'_>>,
        (from, pages): (Pfn, u64),
        to: Pfn,
        huge_entries: HugeEntries,
    ) {
        let done: Result<(), Infallible> =
            self.walk_held(family, (from, pages), |mm, run, part| match part {
                Part::Table(leaf) => {
                    let (from, to) = (Pfn(from.0 + run.skipped), Pfn(to.0 + run.skipped));
                    self.restore_run(mm, (run.pages, from), leaf, (to, Contents::Private));
                    Ok(Next::On)
                }
                Part::Huge(huge) if !is_of(&huge, from) => Ok(Next::On),
                Part::Huge(huge) => Ok(match huge_entries {
                    HugeEntries::Split => self.split_part(mm, &huge),
                    HugeEntries::Kept => self.restore_huge(mm, &huge, (from, to)),
                }),
            });
        let Ok(()) = done;
    }

    /// The same for the entries of one table, the first of which may be one for `from`.
    pub(crate) fn restore_run(
        &self,
        mm: Mm,
        (run, from): (Range<Vpn>, Pfn),
        leaf: Leaf<'_, P>,
        (to, contents): (Pfn, Contents),
    ) {
        let cursor = leaf.lock();
        for (page, at) in each_page(run).zip(0..) {
            if let Entry::Migration(entry) = cursor.get(page).decode()
                && entry.pfn.0 == from.0 + at
            {
                let now = (Pfn(to.0 + at), contents);
                self.restore_entry(mm.id, page, &cursor, entry, now);
            }
        }
    }

    #[inline]
    fn restore_entry(
        &self,
        space: SpaceId,
        page: Vpn,
        cursor: &Cursor<'_, P>,
        entry: Migration,
        (pfn, contents): (Pfn, Contents),
    ) {
        if entry.kind != MigrationKind::Read && contents == Contents::Private {
            self.get_map_marked(pfn, space);
        } else {
            // A mark, if there is one, stays.
            self.get_map(pfn, space);
        }
        let mut pte = restored(entry, pfn);
        if entry.locked {
            self.mlock(pfn);
            pte = pte.locked();
        }
        cursor.set(page, pte);
        let writable = entry.kind == MigrationKind::Write;
        self.tell(space, page, EventKind::MigrationRestored { pfn, writable });
    }

    fn restore_huge(&self, mm: Mm, huge: &Huge<'_, P>, (from, to): (Pfn, Pfn)) -> Next {
        let cursor = huge.lock();
        let Some(pte) = cursor.get() else { return Next::Again };
        let Entry::Migration(entry) = pte.decode() else { return Next::On };
        let Some(folio) = self.frames().large(to).filter(|_| entry.pfn == from) else {
            return Next::On;
        };
        self.get_maps(folio, (to, folio.pages() as u32), Exclusive::Unmarked, mm.id);
        if entry.kind != MigrationKind::Read {
            self.frames().page(to).mark_exclusive();
        }
        let pte = restored(entry, to);
        cursor.set(pte);
        let told = |pfn| EventKind::MigrationRestored { pfn, writable: pte.is_writable() };
        self.tell_each(mm.id, (huge.pages().start, to), told);
        Next::On
    }

    /// Has a folio whose entries are back wait to be split if it is mapped in part; otherwise takes
    /// it out of the queue, into which it came as the entries were taken out.
    pub(crate) fn requeue(&self, folio: Large<'_>) {
        if folio.is_partly_mapped(self.large_maps()) {
            return self.frames().queue(folio);
        }
        self.frames().unqueue(folio);
        // Who unmaps a part counts it off and then finds the folio in the queue, or not; here it is
        // the other way round, and one of the two sees the other.
        smp_mb();
        if folio.is_partly_mapped(self.large_maps()) {
            self.frames().queue(folio);
        }
    }
}

/// Whether a huge entry, as it was found, is one of the folio with this head.
fn is_of<P: Platform>(huge: &Huge<'_, P>, head: Pfn) -> bool {
    huge.pte().is_some_and(|pte| pte.pfn() == head)
}

/// The entry that a migration entry becomes, but for being locked.
fn restored<F: Format>(entry: Migration, pfn: Pfn) -> Pte<F> {
    let mut pte = Pte::mapping(pfn, entry.reach).old();
    if entry.kind == MigrationKind::Write {
        pte = pte.writable();
    }
    if entry.young {
        pte = pte.young();
    }
    if entry.dirty {
        pte = pte.dirty();
    }
    if entry.uffd_wp {
        pte = pte.uffd_wp();
    }
    pte.with_soft_dirty(entry.soft_dirty)
}
