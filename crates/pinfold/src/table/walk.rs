//! The walk to a last-level table, or to a huge entry in its place, with and without making tables
//! on the way.

use core::ops::Range;

use super::huge::Huge;
use super::leaf::Leaf;
use super::level::{index, is_table, last_level, shift, slot_end, slot_pages, table_of};
use crate::addr::{Mm, Pfn, Vpn};
use crate::error::OutOfFrames;
use crate::memory::Memory;
use crate::platform::Platform;
use crate::pte::{Format, Pte};
use crate::sync::AtomicU64;

/// The page tables of one address space.
pub(crate) struct Tables<'m, P: Platform> {
    mem: &'m Memory<P>,
    mm: Mm,
}

/// What lies where a walk looked for a last-level table.
pub(crate) enum Missing<'m, P: Platform> {
    /// Nothing.
    Nothing,
    /// An entry that maps the pages of the table at once.
    Huge(Huge<'m, P>),
}

impl<P: Platform> Missing<'_, P> {
    /// The part of a huge entry that maps `page`, as an entry of its own.
    pub(crate) fn entry_of(&self, page: Vpn) -> Pte<P::Format> {
        match self {
            Self::Nothing => Pte::NONE,
            Self::Huge(huge) => huge.part(page),
        }
    }
}

/// What maps a run of pages.
pub(crate) enum Part<'m, P: Platform> {
    /// A last-level table.
    Table(Leaf<'m, P>),
    /// One entry above, as far as the run reaches.
    Huge(Huge<'m, P>),
}

impl<P: Platform> Part<'_, P> {
    /// The table that it is, or that holds the huge entry.
    pub(crate) fn table(&self) -> Pfn {
        match self {
            Self::Table(leaf) => leaf.table,
            Self::Huge(huge) => huge.upper,
        }
    }

    /// The entry of `page`, read without a lock; of a huge one as it was found, the part that maps
    /// the page.
    pub(crate) fn read(&self, page: Vpn) -> Pte<P::Format> {
        match self {
            Self::Table(leaf) => leaf.read(page),
            Self::Huge(huge) => huge.part(page),
        }
    }
}

/// How a walk goes on after a part.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Next {
    /// With what follows.
    On,
    /// With the same place, where there is a table instead of a huge entry now, or nothing.
    Again,
}

/// Where a walk over a run of pages is: at the entry of a page in a table on a level.
struct At {
    page: Vpn,
    table: Pfn,
    level: u32,
}

impl<'m, P: Platform> Tables<'m, P> {
    pub(crate) fn new(mem: &'m Memory<P>, mm: Mm) -> Self {
        Self { mem, mm }
    }

    /// The last-level table that maps `page`.
    ///
    /// # Errors
    /// When there is none: what is there.
    #[inline]
    pub(crate) fn leaf(&self, page: Vpn) -> Result<Leaf<'m, P>, Missing<'m, P>> {
        self.leaf_or(page, |at| Err(self.missing(at, page)))
    }

    /// The entry of `page`, read under its table's lock, so that one that is withdrawn for a while
    /// is not taken for none; the part of a huge one, which is never out, without. The caller holds
    /// the address space's lock.
    pub(crate) fn read_settled(&self, page: Vpn) -> Pte<P::Format> {
        match self.leaf(page) {
            Ok(leaf) => leaf.lock().get(page),
            Err(missing) => missing.entry_of(page),
        }
    }

    /// As [`Tables::leaf`], for those who look again, or to whom a huge entry is as good as
    /// nothing.
    #[inline]
    pub(crate) fn leaf_now(&self, page: Vpn) -> Option<Leaf<'m, P>> {
        self.leaf_or(page, Err).ok()
    }

    /// As [`Tables::leaf`]; `missing` learns of an upper entry that names no table, in which table
    /// it is and what it is.
    #[inline(always)]
    fn leaf_or<E>(
        &self,
        page: Vpn,
        missing: impl FnOnce((Pfn, &'m AtomicU64, u64)) -> Result<Leaf<'m, P>, E>,
    ) -> Result<Leaf<'m, P>, E> {
        let mut table = self.mm.root;
        let mut level = 0;
        loop {
            let slot = self.mem.entry(table, index::<P::Format>(page, level));
            let bits = slot.load_acquire();
            if !is_table::<P::Format>(bits, level) {
                return missing((table, slot, bits));
            }
            level += 1;
            if level == last_level::<P::Format>() {
                return Ok(self.found(slot, bits));
            }
            table = table_of::<P::Format>(bits);
        }
    }

    /// The entry of `page`, or the part of a huge one that maps it; none where there is neither.
    #[inline]
    pub(crate) fn read(&self, page: Vpn) -> Pte<P::Format> {
        match self.leaf(page) {
            Ok(leaf) => leaf.read(page),
            Err(missing) => missing.entry_of(page),
        }
    }

    /// What lies in an upper entry that names no table: a huge one only on the level above the
    /// last.
    #[cold]
    #[inline(never)]
    fn missing(&self, at: (Pfn, &'m AtomicU64, u64), page: Vpn) -> Missing<'m, P> {
        if at.2 == 0 { Missing::Nothing } else { Missing::Huge(Huge::found(self.mem, at, page)) }
    }

    /// As [`Tables::leaf`], allocating missing tables, and splitting a huge entry. The caller holds
    /// the address space's lock, or the page's area.
    ///
    /// # Errors
    /// When no frame is left for a table.
    #[inline]
    pub(crate) fn leaf_or_make(&self, page: Vpn) -> Result<Leaf<'m, P>, OutOfFrames> {
        let mut table = self.mm.root;
        let mut level = 0;
        loop {
            let slot = self.mem.entry(table, index::<P::Format>(page, level));
            let mut bits = slot.load_acquire();
            if !is_table::<P::Format>(bits, level) {
                bits = self.make_or_split((table, slot, bits), page)?;
            }
            level += 1;
            if level == last_level::<P::Format>() {
                return Ok(self.found(slot, bits));
            }
            table = table_of::<P::Format>(bits);
        }
    }

    /// The last-level table that maps `page`, if there is one; a huge entry is split first, but one
    /// for a page of the pool is as none.
    pub(crate) fn leaf_if_any(&self, page: Vpn) -> Option<Leaf<'m, P>> {
        loop {
            match self.leaf(page) {
                Ok(leaf) => return Some(leaf),
                Err(Missing::Nothing) => return None,
                Err(Missing::Huge(huge)) => match self.mem.split_or_pass(self.mm, &huge) {
                    Next::On => return None,
                    Next::Again => {}
                },
            }
        }
    }

    /// The place above the last level for the table of `page`, with what is there, allocating
    /// missing tables above it.
    ///
    /// # Errors
    /// When no frame is left for one.
    pub(crate) fn above_or_make(&self, page: Vpn) -> Result<Huge<'m, P>, OutOfFrames> {
        let mut table = self.mm.root;
        for level in 0..last_level::<P::Format>() - 1 {
            let slot = self.mem.entry(table, index::<P::Format>(page, level));
            let mut bits = slot.load_acquire();
            if bits == 0 {
                bits = self.make(table, slot)?;
            }
            table = table_of::<P::Format>(bits);
        }
        let slot = self.mem.entry(table, index::<P::Format>(page, last_level::<P::Format>() - 1));
        Ok(Huge::found(self.mem, (table, slot, slot.load_acquire()), page))
    }

    /// The same, if the tables above it are there.
    pub(crate) fn above(&self, page: Vpn) -> Option<Huge<'m, P>> {
        let (mut table, last) = (self.mm.root, last_level::<P::Format>() - 1);
        for level in 0..last {
            let bits = self.mem.entry(table, index::<P::Format>(page, level)).load_acquire();
            table = (bits != 0).then(|| table_of::<P::Format>(bits))?;
        }
        let slot = self.mem.entry(table, index::<P::Format>(page, last));
        Some(Huge::found(self.mem, (table, slot, slot.load_acquire()), page))
    }

    /// Makes the table of an entry that names none, or splits it if it is huge, until it names one:
    /// its bits then.
    #[cold]
    #[inline(never)]
    fn make_or_split(
        &self,
        (upper, slot, mut bits): (Pfn, &'m AtomicU64, u64),
        page: Vpn,
    ) -> Result<u64, OutOfFrames> {
        while !Pte::<P::Format>::from_bits(bits).is_table() {
            if bits == 0 {
                bits = self.make(upper, slot)?;
                continue;
            }
            let huge = Huge::found(self.mem, (upper, slot, bits), page);
            // Nobody wants a table where only pages of the pool are mapped (INV-HUGE-5).
            if self.mem.split_or_pass(self.mm, &huge) == Next::On {
                return Err(OutOfFrames);
            }
            bits = slot.load_acquire();
        }
        Ok(bits)
    }

    fn make(&self, upper: Pfn, slot: &AtomicU64) -> Result<u64, OutOfFrames> {
        let fresh = self.mem.new_table()?;
        let entry = Pte::<P::Format>::table(fresh.pfn()).bits();
        let _lock = self.mem.table_lock(upper);
        let seen = slot.read_once();
        if seen != 0 {
            return Ok(seen);
        }
        slot.store_release(entry);
        fresh.keep();
        Ok(entry)
    }

    /// Calls `visit` for each last-level table that exists for `pages`, with the part of the run
    /// that it maps. Huge entries are split, those for pages of the pool passed over. Absent tables
    /// cost one look at the level where they are missing. The first error ends the walk.
    pub(crate) fn for_each_leaf<E>(
        &self,
        pages: Range<Vpn>,
        mut visit: impl FnMut(Leaf<'m, P>, Range<Vpn>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.for_each_part(pages, |part, run| match part {
            Part::Table(leaf) => visit(leaf, run).map(|()| Next::On),
            Part::Huge(huge) => Ok(self.mem.split_or_pass(self.mm, &huge)),
        })
    }

    /// As [`Tables::for_each_leaf`], for huge entries, too.
    pub(crate) fn for_each_part<E>(
        &self,
        pages: Range<Vpn>,
        mut visit: impl FnMut(Part<'m, P>, Range<Vpn>) -> Result<Next, E>,
    ) -> Result<(), E> {
        let mut at = At { page: pages.start, table: self.mm.root, level: 0 };
        while let Some((part, run)) = self.next_part(&mut at, pages.end) {
            let end = run.end;
            if visit(part, run)? == Next::On {
                self.step(&mut at, end);
            }
        }
        Ok(())
    }

    /// What maps the first page before `end` that anything maps, and which it does; the walk stays
    /// there. Apart from the visit, which is different for each caller.
    fn next_part(&self, at: &mut At, end: Vpn) -> Option<(Part<'m, P>, Range<Vpn>)> {
        while at.page < end {
            let At { page, table, level } = *at;
            let stop = slot_end::<P::Format>(page, level).min(end);
            let slot = self.mem.entry(table, index::<P::Format>(page, level));
            let bits = slot.load_acquire();
            if bits == 0 {
                self.step(at, stop);
            } else if !is_table::<P::Format>(bits, level) {
                let huge = Huge::found(self.mem, (table, slot, bits), page);
                return Some((Part::Huge(huge), page..stop));
            } else if level + 1 == last_level::<P::Format>() {
                return Some((Part::Table(self.found(slot, bits)), page..stop));
            } else {
                *at = At { page, table: table_of::<P::Format>(bits), level: level + 1 };
            }
        }
        None
    }

    /// Goes on in the table where the walk is, or, behind its last entry, from the root.
    #[inline]
    fn step(&self, at: &mut At, to: Vpn) {
        at.page = to;
        if index::<P::Format>(to, at.level) == 0 {
            (at.table, at.level) = (self.mm.root, 0);
        }
    }

    #[inline]
    fn found(&self, slot: &'m AtomicU64, bits: u64) -> Leaf<'m, P> {
        let table = table_of::<P::Format>(bits);
        Leaf::found(self.mem, table, (slot, bits))
    }

    /// Calls `visit` for every table, except the root, of pages before `limit`, and for those that
    /// are deposited. For oracles.
    pub(crate) fn each_table(&self, limit: Vpn, visit: &mut impl FnMut(Pfn)) {
        self.each_below(self.mm.root, 0, Vpn(0), limit, visit);
    }

    fn each_below(
        &self,
        table: Pfn,
        level: u32,
        base: Vpn,
        limit: Vpn,
        visit: &mut impl FnMut(Pfn),
    ) {
        if level == last_level::<P::Format>() {
            return;
        }
        self.mem.frames().each_deposited(table, visit);
        let span = 1 << shift::<P::Format>(level);
        let firsts = (0..P::Format::ENTRIES as u64).map(|index| base + index * span);
        for first in firsts.take_while(|first| *first < limit) {
            let bits = self.mem.entry(table, index::<P::Format>(first, level)).read_once();
            if is_table::<P::Format>(bits, level) {
                let lower = table_of::<P::Format>(bits);
                visit(lower);
                self.each_below(lower, level + 1, first, limit, visit);
            }
        }
    }

    /// Unlinks every table that covers a page of `gone` and whose pages all lie in `hole`, and
    /// gives each to `dead`, a table before the one it was linked from. The caller holds the
    /// address space's lock for writing, and nothing is mapped in `hole`, which may reach past
    /// `limit`: an entry whose first page lies there does not belong to the address space
    /// (INV-TABLE-3).
    pub(crate) fn unlink(
        &self,
        gone: Range<Vpn>,
        hole: &Range<Vpn>,
        limit: Vpn,
        dead: &mut impl FnMut(Pfn),
    ) {
        let gone = gone.start..gone.end.min(limit);
        self.unlink_below(self.mm.root, 0, gone, hole, dead);
    }

    /// As [`Tables::unlink`], for the pages of `gone` that `table`, on `level`, covers.
    fn unlink_below(
        &self,
        table: Pfn,
        level: u32,
        gone: Range<Vpn>,
        hole: &Range<Vpn>,
        dead: &mut impl FnMut(Pfn),
    ) {
        let mut page = gone.start;
        while page < gone.end {
            let end = slot_end::<P::Format>(page, level);
            let stop = end.min(gone.end);
            let slot = self.mem.entry(table, index::<P::Format>(page, level));
            // A fault in another area may just have made the table.
            let bits = slot.load_acquire();
            if is_table::<P::Format>(bits, level) {
                let lower = table_of::<P::Format>(bits);
                if level + 1 < last_level::<P::Format>() {
                    self.unlink_below(lower, level + 1, page..stop, hole, dead);
                }
                let first = Vpn(end.0 - slot_pages::<P::Format>(level));
                if hole.start <= first && end <= hole.end {
                    slot.write_once(0);
                    dead(lower);
                }
            }
            page = stop;
        }
    }
}
