//! fork: a child with the same areas, whose private pages are shared until somebody writes, except pinned ones.
//!
//! Protocol: the parent's lock is held for writing, the child's too. For each private area the sequence count is odd while the entries are
//! copied (rule `fork-race`), so a lock-free pin is either older than the copying, and seen, or gives up. Per table: child's lock, then parent's.
//! One flush of the parent at the end; until then its other threads may write through stale translations, which is allowed because the child
//! cannot run yet (facts 2.1).
//!
//! Invariants:
//! - INV-FORK-1: a page that the rule finds pinned keeps its owner's entry, right to write and mark; the child gets a copy.
//! - INV-FORK-2: a shared page is exclusive nowhere and writable nowhere.
//! - INV-FORK-3: what a failed fork has already shared stays mapped in the parent, which gets its right to write back by its next fault.
//! - INV-FORK-4: a page that is allocated ahead for a copy is used for that one address only (facts 9.11).

use crate::addr::VirtRange;
use crate::area::{Area, AreaMap, Backing, OnFork};
use crate::error::{OutOfFrames, SpaceError};
use crate::event::EventKind;
use crate::frame::{EXCLUSIVE, MAP, NewFrame, REF};
use crate::platform::{FlushScope, Platform};
use crate::rules::fork::{ForkVerdict, PinHistory, fork_page};
use crate::rules::{ForkRace, Why};
use crate::space::Space;
use crate::sync::{Begin, Shared};
use crate::table::{Cursor, Entry, Format, Leaf, Migration, MigrationKind, Pte};

/// How a run of entries under one hold of the locks ended.
enum Copied {
    /// All are done.
    All,
    /// This page needs a page for the child: drop the locks, allocate, go on here.
    NeedFrame(u64),
}

/// What fork carries along.
struct Copying<'s, P: Platform> {
    parent: &'s Space<P>,
    child: &'s Space<P>,
    /// Whether an entry of the parent lost its right to write, so that it must be flushed.
    protected: bool,
}

impl<P: Platform> Space<P> {
    pub(crate) fn fork(&self, me: &Shared<Self>) -> Result<Shared<Self>, SpaceError> {
        debug_assert!(core::ptr::eq(self, &**me));
        let child = self.child()?;
        let mut copying = Copying { parent: self, child: &child, protected: false };
        let parent_map = self.write_map();
        let mut child_map = child.write_map();
        let copied = copying.copy_areas(&parent_map, &child, &mut child_map);
        if copying.protected {
            self.flush(FlushScope::All);
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

impl<P: Platform> Copying<'_, P> {
    fn copy_areas(
        &mut self,
        from: &AreaMap<P>,
        child: &Shared<Space<P>>,
        to: &mut AreaMap<P>,
    ) -> Result<(), SpaceError> {
        to.reserve(from.len())?;
        for area in from.iter().filter(|area| !area.on_fork.contains(OnFork::LEAVE)) {
            let mut copy = area.clone();
            if let Backing::Private(family) = &area.backing {
                if area.on_fork.contains(OnFork::WIPE) {
                    copy.backing = Backing::Private(self.child.mem().anon().found(child)?);
                } else {
                    family.join(child)?;
                }
            }
            to.insert(copy)?;
            if area.is_cow() && !area.on_fork.contains(OnFork::WIPE) {
                self.copy_entries(area)?;
            }
        }
        Ok(())
    }

    /// Copies the entries of a private area, inside the sequence count's odd section where the rule has one.
    fn copy_entries(&mut self, area: &Area<P>) -> Result<(), SpaceError> {
        let begin = match self.parent.mem().rules().fork_race {
            ForkRace::Open | ForkRace::WriteProtectFirst => None,
            ForkRace::SeqCount => Some(Begin::WriteBarrier),
            ForkRace::SeqCountFull => Some(Begin::FullBarrier),
        };
        let seq = &self.parent.protect_seq;
        if let Some(barrier) = begin {
            seq.write_begin(barrier);
        }
        let copied = self.copy_range(area, area.range);
        if begin.is_some() {
            seq.write_end();
        }
        copied.map_err(SpaceError::from)
    }

    fn copy_range(&mut self, area: &Area<P>, range: VirtRange) -> Result<(), OutOfFrames> {
        let (parent, child) = (self.parent, self.child);
        parent.tables().for_each_leaf(range.first_page(), range.end_page(), |from, first, end| {
            let to = child.tables().leaf_or_make(first)?;
            let mut fresh = None;
            let mut page = first;
            loop {
                match self.copy_leaf(area, from, to, page..end, fresh.take()) {
                    Copied::All => return Ok(()),
                    Copied::NeedFrame(at) => {
                        fresh = Some(parent.new_private(area, at)?);
                        page = at;
                    }
                }
            }
        })
    }

    /// Copies entries under both tables' locks. `fresh` serves the first page only: INV-FORK-4.
    fn copy_leaf<'m>(
        &mut self,
        area: &Area<P>,
        from: Leaf<'m, P>,
        to: Leaf<'m, P>,
        pages: core::ops::Range<u64>,
        mut fresh: Option<NewFrame<'_>>,
    ) -> Copied {
        let to = to.lock();
        let from = from.lock();
        for page in pages {
            let fresh = fresh.take();
            let pte = from.get(page);
            match pte.decode() {
                Entry::None | Entry::Swap(_) => {}
                Entry::Migration(entry) => copy_migration(&from, &to, page, entry),
                Entry::Mapped(_) if pte.is_special() => to.set(page, pte),
                Entry::Mapped(_) => {
                    if !self.copy_mapped(area, &from, &to, page, pte, fresh) {
                        return Copied::NeedFrame(page);
                    }
                }
            }
        }
        Copied::All
    }

    /// Copies one mapped entry; whether it could without a page for the child.
    #[inline]
    fn copy_mapped(
        &mut self,
        area: &Area<P>,
        from: &Cursor<'_, P>,
        to: &Cursor<'_, P>,
        page: u64,
        mut pte: Pte<P::Format>,
        fresh: Option<NewFrame<'_>>,
    ) -> bool {
        let pfn = pte.pfn();
        let early = self.parent.mem().rules().fork_race == ForkRace::WriteProtectFirst;
        if early && pte.is_writable() {
            pte = from.clear_bits(page, P::Format::WRITE);
        }
        match self.verdict(page, pte) {
            ForkVerdict::Share(why) => {
                self.share(from, to, page, pte, why);
                true
            }
            ForkVerdict::CopyForChild(why) => {
                if early && pte.is_writable() {
                    // As in 5.9: the old snapshot goes back, without what the hardware set meanwhile (facts 2.3).
                    from.set(page, pte);
                }
                let Some(fresh) = fresh else { return false };
                let mem = self.parent.mem();
                mem.platform().copy_frame(pfn, fresh.pfn());
                mem.stats().fork_copy.add(1);
                let to_pfn = fresh.pfn();
                to.set(page, self.child.written(area, fresh));
                mem.tell(
                    self.parent.id(),
                    page,
                    EventKind::ForkCopied { from: pfn, to: to_pfn, why },
                );
                true
            }
        }
    }

    fn verdict(&self, page: u64, pte: Pte<P::Format>) -> ForkVerdict {
        let mem = self.parent.mem();
        let history = match self.parent.has_pinned.read_once() {
            0 => PinHistory::Never,
            _ => PinHistory::Pinned,
        };
        mem.tell(self.parent.id(), page, EventKind::ForkCheck(pte.pfn()));
        fork_page(mem.rules().fork_pin, history, &mem.page_state(pte.pfn()))
    }

    /// One more reference and mapping, no mark any more, and neither side may write.
    #[inline]
    fn share(
        &mut self,
        from: &Cursor<'_, P>,
        to: &Cursor<'_, P>,
        page: u64,
        pte: Pte<P::Format>,
        why: Why,
    ) {
        let (mem, pfn) = (self.parent.mem(), pte.pfn());
        let frame = mem.frames().frame(pfn);
        // The mark is under this table's lock (INV-FRAME-3), so taking it off by subtraction is exact.
        let mark = frame.counts.read_once() & EXCLUSIVE;
        let head = mem.frames().head_of(pfn);
        if head == pfn {
            frame.counts.fetch_add((REF + MAP).wrapping_sub(mark));
        } else {
            mem.add_map(pfn);
            mem.frames().clear_exclusive(pfn);
        }
        mem.tell(self.parent.id(), page, EventKind::ForkShared { pfn, why });
        let mut child_pte = pte;
        if pte.is_writable() {
            self.protected = true;
            child_pte = from.clear_bits(page, P::Format::WRITE);
            mem.tell(self.parent.id(), page, EventKind::ForkProtected(pfn));
        }
        to.set(page, child_pte.without(P::Format::WRITE | P::Format::ACCESSED));
    }
}

/// A page on the move is readable for both afterwards (facts 2.1); it holds no reference.
fn copy_migration<P: Platform>(
    from: &Cursor<'_, P>,
    to: &Cursor<'_, P>,
    page: u64,
    entry: Migration,
) {
    let shared = Pte::migration(Migration { kind: MigrationKind::Read, ..entry });
    from.set(page, shared);
    to.set(page, shared);
}
