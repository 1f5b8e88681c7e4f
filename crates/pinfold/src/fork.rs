//! fork: a child with the same areas, whose private pages are shared until either side writes,
//! except pinned ones.
//!
//! Protocol: the parent's lock is held for writing, and the child's too. For each private area the
//! sequence count is odd while the entries are copied (rule `fork-race`), so a lock-free pin either
//! precedes the copying, and is seen, or gives up. Per table: child's lock, then parent's. One
//! flush of the parent at the end; until then its other threads may write through stale
//! translations, which is allowed because the child cannot run yet (facts 2.1).
//!
//! Invariants:
//! - INV-FORK-1: a page that the rule finds pinned keeps its owner's entry, write permission and
//!   mark; the child gets a copy. By `fork-snapshot=protected` the entry loses write permission and
//!   is flushed first, so that none of the parent's threads changes what is copied.
//! - INV-FORK-2: a shared page is exclusive nowhere and writable nowhere.
//! - INV-FORK-3: what a failed fork has already shared stays mapped in the parent, which regains
//!   write permission by its next fault.
//! - INV-FORK-4: a page that is allocated ahead for a copy is used for that one address only (facts
//!   9.11).
//! - INV-FORK-5: an entry of the child is protected for a monitor only if its area is registered
//!   for that (facts 7.14).
//! - INV-FORK-6: no migration entry of an object's page is copied: who moves one visits those who
//!   map the object in no order that has a child after its parent.

mod huge;
mod large;
mod pooled;

use core::ops::Range;

use self::large::Sharing;
use crate::addr::{Pfn, Vpn, each_page};
use crate::area::{Advised, Area, AreaMap, Backing, Locked};
use crate::error::{NoPage, SpaceError};
use crate::event::EventKind;
use crate::frame::{Flags, NewFrame};
use crate::platform::{FlushScope, Invalidate, Platform};
use crate::pte::{Entry, Format, Migration, MigrationKind, Pte, Swap};
use crate::rmap::Reserve;
use crate::rules::Why;
use crate::rules::fork::{
    ForkVerdict, PinHistory, SeqCountUse, WriteProtect, fork_page, protects_snapshot, race_guard,
};
use crate::rules::hugetlb::guards_fork;
use crate::space::Space;
use crate::sync::{Begin, Latch, Marks, Shared};
use crate::table::{Cursor, Leaf, Next, Part, table_end, table_start};
use crate::uffd::{Registration, UffdMode};

/// How one entry ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum One {
    /// The child has it.
    Done,
    /// It maps a page of a large folio, of which nothing has been decided but what is known of the
    /// parent's pins.
    Large(PinHistory),
    /// The child needs a page for it, and none is ready.
    NeedFrame,
}

/// How a run of entries under one hold of the locks ended.
enum Copied {
    /// All are done.
    All,
    /// This page needs a page for the child: drop the locks, allocate, continue here.
    NeedFrame(Vpn),
}

/// How a run of entries that map small pages ended.
enum Stop<F: Format> {
    /// All are done.
    End,
    /// As [`Copied::NeedFrame`].
    NeedFrame(Vpn),
    /// As [`One::Large`], this entry.
    Large(Vpn, Pte<F>, PinHistory),
}

/// A page for the child's copy of one page, and of no other: INV-FORK-4.
struct Fresh<'m> {
    page: Vpn,
    frame: NewFrame<'m>,
}

/// One page's entries on both sides, both tables locked.
struct Entries<'c, 'm, P: Platform> {
    from: &'c Cursor<'m, P>,
    to: &'c Cursor<'m, P>,
    page: Vpn,
}

/// The tables of the same pages on both sides. They stay where they are while fork has both address
/// spaces' locks for writing, so that neighbouring areas need no walk of their own.
struct Pair<'m, P: Platform> {
    /// The first page that the tables map.
    first: Vpn,
    from: Leaf<'m, P>,
    to: Leaf<'m, P>,
}

impl<P: Platform> Pair<'_, P> {
    /// Whether they map all of these pages.
    fn maps(&self, pages: &Range<Vpn>) -> bool {
        self.first <= pages.start && pages.end <= table_end::<P::Format>(self.first)
    }
}

/// The state of a fork.
struct Copying<'s, P: Platform> {
    parent: &'s Space<P>,
    child: &'s Space<P>,
    /// Those that entries were copied in last.
    tables: Option<Pair<'s, P>>,
    /// Whether an entry of the parent lost write permission, or may not have been flushed when it
    /// was replaced, so that it must be flushed.
    protected: bool,
}

impl<P: Platform> Space<P> {
    pub(crate) fn fork(&self) -> Result<Shared<Self>, SpaceError> {
        let child = self.child()?;
        let mut copying = Copying { parent: self, child: &child, tables: None, protected: false };
        let mut parent_map = self.write_map();
        self.recall_all();
        child.join_group_of(self);
        let mut child_map = child.write_map();
        let copied = copying.copy_areas(&mut parent_map, &mut child_map);
        if copying.protected {
            self.mem().flush(self.id(), FlushScope::All);
        }
        drop(child_map);
        drop(parent_map);
        match copied {
            Ok(()) => Ok(child),
            Err(error) => {
                child.exit();
                Err(error)
            }
        }
    }
}

impl<'s, P: Platform> Copying<'s, P> {
    fn copy_areas(&mut self, from: &mut AreaMap<P>, to: &mut AreaMap<P>) -> Result<(), SpaceError> {
        to.heap = from.heap;
        let mut to = to.copy(from.len())?;
        let mut reserve = self.child.mem().anon().reserve(from.len());
        let mut path = from.start();
        while let Some(area) = from.next_mut(&mut path) {
            // All copies were recalled.
            area.delegates = Marks::default();
            if area.advised.contains(Advised::LEAVE) {
                continue;
            }
            let Some(copy) = to.push(self.copy_area(area, &mut reserve)?) else { break };
            // What maps only the zero page is left to the child's own faults: facts 2.1.
            if area.advised.contains(Advised::WIPE) {
                continue;
            }
            if !copy.uffd.is_none() {
                self.tell_monitor(copy);
            }
            if area.held_anon.is_set() || copy.uffd.has(UffdMode::WP) && area.is_cow() {
                self.copy_entries(area, copy)?;
                if area.uffd.has(UffdMode::WP) && !copy.uffd.has(UffdMode::WP) {
                    // INV-FORK-5: taken off afterwards, so that other areas pay nothing.
                    self.child.clear_protection(copy.range);
                }
            } else if copy.uffd.has(UffdMode::WP) {
                self.copy_marks(copy)?;
            }
        }
        Ok(())
    }

    /// The child's area, as a member of its family. What the parent touches in its own from now on
    /// is not the child's: that area gets a new home.
    fn copy_area(
        &self,
        area: &mut Area<P>,
        reserve: &mut Reserve<'_>,
    ) -> Result<Area<P>, SpaceError> {
        let (mem, mm) = (self.child.mem(), self.child.mm());
        // Locks in memory are not inherited.
        let uffd = area.uffd.after(UffdMode::EVENT_FORK);
        let mut copy = Area { locked: Locked::No, uffd, ..area.clone() };
        // Only private anonymous memory is wiped.
        if area.advised.contains(Advised::WIPE) {
            copy.backing =
                Backing::anon(mem.anon().found(mm, mem.platform(), mem.platform().cpu())?);
            (copy.held_anon, copy.uffd) = (Latch::default(), Registration::default());
            return Ok(copy);
        }
        if let Some(view) = area.backing.view() {
            self.child.join_view(view, area.range)?;
        }
        if let Some(seat) = area.backing.seat() {
            match mem.anon().join(seat, mm, mem.platform(), reserve) {
                Ok((child, parent)) => {
                    copy.backing.set_seat(child);
                    area.backing.set_seat(parent);
                }
                Err(error) => {
                    if let Some(view) = area.backing.view() {
                        self.child.leave_view(view, area.range);
                    }
                    return Err(error.into());
                }
            }
        }
        Ok(copy)
    }

    fn tell_monitor(&self, copy: &Area<P>) {
        let kind = EventKind::UffdForked { uffd: copy.uffd.id, child: self.child.id() };
        self.parent.mem().tell(self.parent.id(), copy.range.first_page(), kind);
    }

    /// Puts markers into the child's area, which shares memory with the parent's, where a monitor
    /// has pages protected: the entries themselves are left to the child's faults.
    fn copy_marks(&self, copy: &Area<P>) -> Result<(), SpaceError> {
        let (parent, child) = (self.parent, self.child);
        parent.tables().for_each_leaf(copy.range.numbers(), |from, pages| {
            let marked = |page: &Vpn| from.read(*page).is_uffd_wp();
            if !each_page(pages.clone()).any(|page| marked(&page)) {
                return Ok(());
            }
            let to = child.tables().leaf_or_make(pages.start)?;
            // The parent's lock is held for writing, so nobody protects pages now.
            let cursor = to.lock();
            each_page(pages).filter(marked).for_each(|page| cursor.set(page, Pte::marker()));
            Ok(())
        })
    }

    /// Copies the entries of a private area, inside the sequence count's odd section if the rule
    /// has one.
    fn copy_entries(&mut self, area: &Area<P>, copy: &Area<P>) -> Result<(), SpaceError> {
        let parent = self.parent;
        let _changing = parent.mem().changing(parent.id(), area.range, Invalidate::ProtectPage);
        let begin = match race_guard(self.parent.mem().rule()).seqcount {
            _ if area.is_pooled() && !guards_fork(self.parent.mem().rule()) => None,
            SeqCountUse::Unused => None,
            SeqCountUse::WriteBarrier => Some(Begin::WriteBarrier),
            SeqCountUse::FullBarrier => Some(Begin::FullBarrier),
        };
        let seq = &self.parent.protect_seq;
        if let Some(barrier) = begin {
            seq.write_begin(barrier);
        }
        let copied = self.copy_range(copy);
        if begin.is_some() {
            seq.write_end();
        }
        copied.map_err(SpaceError::from)
    }

    fn copy_range(&mut self, copy: &Area<P>) -> Result<(), NoPage> {
        let (parent, child, pages) = (self.parent, self.child, copy.range.numbers());
        if let Some(&Pair { from, to, .. }) = self.tables.as_ref().filter(|last| last.maps(&pages))
        {
            return self.copy_pages(copy, from, to, pages);
        }
        parent.tables().for_each_part(pages, |part, pages| {
            let from = match part {
                Part::Table(from) => from,
                Part::Huge(huge) if copy.is_pooled() => return self.copy_pooled(&huge, copy),
                Part::Huge(huge) => return self.copy_huge(&huge, &pages),
            };
            let to = child.tables().leaf_or_make(pages.start)?;
            self.tables = Some(Pair { first: table_start::<P::Format>(pages.start), from, to });
            self.copy_pages(copy, from, to, pages).map(|()| Next::On)
        })
    }

    /// Copies entries of one table, and the pages that the child needs copies of.
    fn copy_pages(
        &mut self,
        copy: &Area<P>,
        from: Leaf<'s, P>,
        to: Leaf<'s, P>,
        pages: Range<Vpn>,
    ) -> Result<(), NoPage> {
        let mut fresh = None;
        let mut page = pages.start;
        loop {
            match self.copy_leaf(copy, from, to, page..pages.end, &mut fresh) {
                Copied::All => return Ok(()),
                Copied::NeedFrame(at) => {
                    // One that was not needed goes back first.
                    drop(fresh.take());
                    fresh = Some(Fresh { page: at, frame: self.child.new_private(copy, at)? });
                    page = at;
                }
            }
        }
    }

    /// Copies entries under both tables' locks.
    fn copy_leaf(
        &mut self,
        copy: &Area<P>,
        from: Leaf<'s, P>,
        to: Leaf<'s, P>,
        mut pages: Range<Vpn>,
        fresh: &mut Option<Fresh<'_>>,
    ) -> Copied {
        let to = to.lock();
        let from = from.lock();
        loop {
            match self.copy_run(copy, (&from, &to), pages.clone(), fresh) {
                Stop::End => return Copied::All,
                Stop::NeedFrame(page) => return Copied::NeedFrame(page),
                Stop::Large(page, pte, history) => {
                    let at = Entries { from: &from, to: &to, page };
                    match self.copy_large(copy, &at, pages.end, (pte, history), fresh) {
                        Ok(done) => pages.start = page + done,
                        Err(page) => return Copied::NeedFrame(page),
                    }
                }
            }
        }
    }

    /// The same, up to an entry that maps a large folio.
    #[inline]
    fn copy_run(
        &mut self,
        copy: &Area<P>,
        (from, to): (&Cursor<'_, P>, &Cursor<'_, P>),
        pages: Range<Vpn>,
        fresh: &mut Option<Fresh<'_>>,
    ) -> Stop<P::Format> {
        for page in each_page(pages) {
            let at = Entries { from, to, page };
            let pte = from.get(page);
            match pte.decode() {
                Entry::None => {}
                Entry::Swap(entry) => self.share_swapped(&at, entry),
                Entry::Marker => to.set(page, pte),
                Entry::Migration(entry) => {
                    self.protected |= self.parent.has_deferred();
                    if self.is_listed(copy, entry.pfn) {
                        leave_to_faults(&at, entry);
                    } else {
                        copy_migration(&at, entry);
                    }
                }
                Entry::Mapped(_) if pte.is_special() => to.set(page, pte),
                Entry::Mapped(pfn) => match self.copy_mapped(copy, &at, (pte, pfn), fresh) {
                    One::Done => {}
                    One::NeedFrame => return Stop::NeedFrame(page),
                    One::Large(history) => return Stop::Large(page, pte, history),
                },
            }
        }
        Stop::End
    }

    /// Whether what moves is a page of the object that the area shows: INV-FORK-6.
    fn is_listed(&self, copy: &Area<P>, pfn: Pfn) -> bool {
        let frames = self.parent.mem().frames();
        copy.backing.view().is_some() && !frames.flags(pfn).contains(Flags::ANON)
    }

    /// A page that is swapped out is shared, and no longer known to be the parent's own
    /// (facts 2.1).
    #[cold]
    #[inline(never)]
    fn share_swapped(&mut self, at: &Entries<'_, '_, P>, entry: Swap) {
        let mem = self.parent.mem();
        self.protected |= self.parent.has_deferred();
        let shared = Swap { exclusive: false, ..entry };
        mem.share_slot(entry);
        if entry.exclusive {
            at.from.set(at.page, Pte::swap(shared));
        }
        at.to.set(at.page, Pte::swap(shared));
        mem.tell(self.parent.id(), at.page, EventKind::ForkSwapShared(shared));
    }

    /// Copies one mapped entry.
    #[inline]
    fn copy_mapped(
        &mut self,
        copy: &Area<P>,
        at: &Entries<'_, '_, P>,
        (pte, pfn): (Pte<P::Format>, Pfn),
        fresh: &mut Option<Fresh<'_>>,
    ) -> One {
        let guard = race_guard(self.parent.mem().rule());
        let early = guard.protect == WriteProtect::BeforeCheck;
        if early && pte.is_writable() {
            at.from.revoke_write(at.page);
        }
        let mem = self.parent.mem();
        let history = self.history();
        mem.tell(self.parent.id(), at.page, EventKind::ForkCheck(pfn));
        let page = mem.frames().page(pfn);
        let flags = page.flags();
        if flags.intersects(Flags::LARGE) {
            return One::Large(history);
        }
        let rule = mem.rule();
        let (verdict, mark) = mem.judge_own(pfn, (page, flags), |state| {
            (fork_page(rule, history, state), state.kind.mark())
        });
        match verdict {
            ForkVerdict::Share(why) => {
                page.get_map_small(mark);
                self.share(at, (pte, pfn), why);
                One::Done
            }
            ForkVerdict::CopyForChild(why) => {
                match self.copy_for_child(copy, at, (pte, pfn), fresh, why) {
                    Ok(()) => One::Done,
                    Err(_) => One::NeedFrame,
                }
            }
        }
    }

    #[inline]
    fn history(&self) -> PinHistory {
        match self.parent.has_pinned.read_once() {
            0 => PinHistory::Never,
            _ => PinHistory::Pinned,
        }
    }

    /// Gives the child a copy right away, if there is a page for it; otherwise it is this page that
    /// needs one.
    #[inline(never)]
    fn copy_for_child(
        &self,
        copy: &Area<P>,
        at: &Entries<'_, '_, P>,
        (pte, pfn): (Pte<P::Format>, Pfn),
        fresh: &mut Option<Fresh<'_>>,
        why: Why,
    ) -> Result<(), Vpn> {
        let mem = self.parent.mem();
        if race_guard(mem.rule()).protect == WriteProtect::BeforeCheck && pte.is_writable() {
            // As in 5.9: the old snapshot goes back, without the bits that the hardware has set
            // since (facts 2.3).
            at.from.overwrite_present(at.page, pte);
        }
        let Some(Fresh { frame, .. }) = fresh.take_if(|fresh| fresh.page == at.page) else {
            return Err(at.page);
        };
        if pte.is_writable() && protects_snapshot(mem.rule()) {
            self.protect_snapshot(at, pfn);
        }
        let to_pfn = frame.pfn();
        let copying = EventKind::ForkCopying { from: pfn, to: to_pfn };
        mem.tell(self.parent.id(), at.page, copying);
        mem.platform().copy_frame(pfn, to_pfn);
        mem.counters().fork_copy.add(1);
        let new = self.child.written(copy, frame);
        at.to.set(at.page, if pte.is_uffd_wp() { new.uffd_wp() } else { new });
        mem.tell(self.parent.id(), at.page, EventKind::ForkCopied { from: pfn, to: to_pfn, why });
        Ok(())
    }

    /// Has the parent's threads leave a page alone that is about to be copied: who writes to it
    /// waits for the fork, and gets write permission back by the mark.
    #[cold]
    fn protect_snapshot(&self, at: &Entries<'_, '_, P>, pfn: Pfn) {
        let (mem, id) = (self.parent.mem(), self.parent.id());
        at.from.revoke_write(at.page);
        mem.flush(id, FlushScope::Range(at.page.alone()));
        mem.tell(id, at.page, EventKind::ForkProtected(pfn));
    }

    /// Copies the entries before `end` of a run of the pages of a large folio, of which this is the
    /// first: how many they are, or the page that the child needs a page for.
    fn copy_large(
        &mut self,
        copy: &Area<P>,
        at: &Entries<'_, '_, P>,
        end: Vpn,
        (pte, history): (Pte<P::Format>, PinHistory),
        fresh: &mut Option<Fresh<'_>>,
    ) -> Result<u64, Vpn> {
        let sharing = Sharing {
            parent: self.parent,
            child: self.child.id(),
            from: at.from,
            to: at.to,
            history,
        };
        match sharing.run(at.page..end, pte) {
            Ok(shared) => {
                self.protected |= shared.protected;
                Ok(shared.pages)
            }
            Err(why) => {
                self.copy_for_child(copy, at, (pte, pte.pfn()), fresh, why)?;
                Ok(1)
            }
        }
    }

    /// Takes write permission from the parent's entry of a page that the child shares, which has a
    /// reference and a mapping for it and no mark any more, and gives the child one like it.
    #[inline]
    fn share(&mut self, at: &Entries<'_, '_, P>, (pte, pfn): (Pte<P::Format>, Pfn), why: Why) {
        let mem = self.parent.mem();
        mem.tell(self.parent.id(), at.page, EventKind::ForkShared { pfn, why });
        if pte.is_writable() {
            self.protected = true;
            at.from.revoke_write(at.page);
            mem.tell(self.parent.id(), at.page, EventKind::ForkProtected(pfn));
        }
        at.to.set(at.page, pte.read_only().old().unlocked());
    }
}

/// What a migration entry becomes for both.
fn shared_migration(entry: Migration) -> Migration {
    Migration { kind: MigrationKind::Read, ..entry }
}

/// The child finds the page in its object, as if it had never been mapped. A mark of a monitor
/// stays.
fn leave_to_faults<P: Platform>(at: &Entries<'_, '_, P>, entry: Migration) {
    if entry.uffd_wp {
        at.to.set(at.page, Pte::marker());
    }
}

/// A page on the move is readable for both afterwards (facts 2.1); it holds no reference.
fn copy_migration<P: Platform>(at: &Entries<'_, '_, P>, entry: Migration) {
    let shared = shared_migration(entry);
    at.from.set(at.page, Pte::migration(shared));
    at.to.set(at.page, Pte::migration(Migration { locked: false, ..shared }));
}

#[cfg(test)]
mod tests;
