//! The write fault on a read-only page: reuse it or copy it (facts 1.1 to 1.7), and unsharing
//! (facts 3.9).
//!
//! The reuse decision belongs to the rule `pte-cow`; this module provides what each rule needs (the
//! page lock, slept for or tried) and carries out the verdict.

use super::request::{Fault, Request, Want};
use crate::addr::{Pfn, VirtRange, Vpn};
use crate::area::{Area, Prot};
use crate::error::FaultError;
use crate::event::EventKind;
use crate::frame::{Counts, Flags, Page};
use crate::memory::Memory;
use crate::platform::{FlushScope, Invalidate, Platform};
use crate::pte::Pte;
use crate::rules::cow::{
    CowStep, CowVerdict, How, frees_swap_cache, large_cow, pte_cow_drained, pte_cow_locked,
    pte_cow_precheck,
};
use crate::rules::pin::{Unshares, unshares};
use crate::rules::uffd::flushes_before_copy;
use crate::rules::{CowPublish, Lru, PageKind, PageState, Why};
use crate::space::Space;
use crate::sync::{BitLock, Class};
use crate::table::{Cursor, Flushed, Leaf};
use crate::uffd::UffdMode;

/// What the decision under the table's lock came to.
enum Decision {
    Reuse(Why),
    Copy(Why),
    /// The page lock is contended: sleep for it without the table's lock, then look again.
    SleepForPage,
}

/// Whose a page is that a private mapping shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Whose {
    /// Its owner's, or shared with his family.
    Own,
    /// A merged page.
    Merged,
    /// The zero page, or a page of the mapping's object.
    Others(PageKind),
}

impl<P: Platform> Space<P> {
    pub(super) fn write_protected(
        &self,
        request: &Request<'_, P>,
        leaf: Leaf<'_, P>,
        orig: Pte<P::Format>,
    ) -> Result<Fault, FaultError> {
        let pfn = orig.pfn();
        loop {
            let cursor = leaf.lock();
            if cursor.get(request.page) != orig {
                return Ok(Fault::Spurious);
            }
            if let Some(view) = request.area.backing.shares() {
                if view.object.is_tracked() && request.want == Want::Write {
                    return self.write_tracked(request, view, (leaf, cursor), (orig, pfn));
                }
                return Ok(self.write_shared(request, cursor, orig));
            }
            let whose = self.whose(orig);
            if let Whose::Others(kind) = whose {
                if !self.unshares_others(request) {
                    return Ok(Fault::Spurious);
                }
                return self.copy(request, leaf, cursor, (orig, pfn), Why::Page(kind));
            }
            let page = self.mem().frames().page(pfn);
            if page.is_large_or_swapped() {
                return self.write_other(request, leaf, cursor, (orig, pfn));
            }
            let (area, at) = (request.area, request.page);
            let small = SmallPage { mem: self.mem(), pfn, page, area, at };
            match self.decide(&small) {
                Decision::Reuse(why) => return Ok(self.reuse(request, cursor, (orig, pfn), why)),
                Decision::Copy(why) => {
                    let done = self.copy(request, leaf, cursor, (orig, pfn), why);
                    if whose == Whose::Merged && done == Ok(Fault::Copied) {
                        self.mem().counters().cow_ksm.add(1);
                    }
                    return done;
                }
                Decision::SleepForPage => self.mem().wait_page_without(pfn, cursor),
            }
        }
    }

    fn whose(&self, pte: Pte<P::Format>) -> Whose {
        if pte.is_special() {
            return Whose::Others(PageKind::Zero);
        }
        let flags = self.mem().frames().flags(pte.pfn());
        if !flags.contains(Flags::ANON) {
            return Whose::Others(PageKind::File);
        }
        if flags.contains(Flags::KSM) { Whose::Merged } else { Whose::Own }
    }

    /// Before 6.2 unsharing left everything that is not anonymous alone (facts 3.9).
    fn unshares_others(&self, request: &Request<'_, P>) -> bool {
        request.want == Want::Write || unshares(self.mem().rule()) == Unshares::AllPrivate
    }

    /// As [`Space::write_protected`], of a page of a large folio, or one in the swap cache, under
    /// the lock of its table.
    #[cold]
    #[inline(never)]
    fn write_other(
        &self,
        request: &Request<'_, P>,
        leaf: Leaf<'_, P>,
        cursor: Cursor<'_, P>,
        (orig, pfn): (Pte<P::Format>, Pfn),
    ) -> Result<Fault, FaultError> {
        let mem = self.mem();
        let decision = if mem.frames().is_large(pfn) {
            self.decide_large(pfn)
        } else {
            self.decide(&SwapPage { mem, pfn, area: request.area })
        };
        match decision {
            Decision::Reuse(why) => Ok(self.reuse(request, cursor, (orig, pfn), why)),
            Decision::Copy(why) => self.copy(request, leaf, cursor, (orig, pfn), why),
            Decision::SleepForPage => {
                mem.wait_folio_without(pfn, cursor);
                Ok(Fault::Waited)
            }
        }
    }

    fn decide_large(&self, pfn: Pfn) -> Decision {
        let mem = self.mem();
        match large_cow(mem.rule(), mem.rule(), &mem.page_state(pfn)) {
            Some(CowVerdict::Reuse(why)) => Decision::Reuse(why),
            Some(CowVerdict::Copy(why)) => Decision::Copy(why),
            None => self.decide(&LargePage { mem, pfn }),
        }
    }

    /// The steps of the rule `pte-cow`.
    #[inline]
    fn decide<'m>(&'m self, page: &impl Judged<'m>) -> Decision {
        let rule = self.mem().rule();
        let lru = page.lru();
        let mut step = page.judge(|state| pte_cow_precheck(rule, &PageState { lru, ..*state }));
        if step == CowStep::DrainLru {
            self.mem().lru_add_drain();
            step = page.judge(|state| pte_cow_drained(rule, state));
        }
        let how = match step {
            CowStep::Reuse(why) => return Decision::Reuse(why),
            CowStep::Copy(why) => return Decision::Copy(why),
            CowStep::NeedPageLock(how) => how,
            CowStep::DrainLru => How::TryLock,
        };
        let Some(_locked) = page.lock().try_lock(self.mem().platform()) else {
            return match how {
                How::Sleep => Decision::SleepForPage,
                How::TryLock => Decision::Copy(Why::Locked),
            };
        };
        if frees_swap_cache(rule) {
            page.leave_swap();
        }
        match page.judge(|state| pte_cow_locked(rule, state)) {
            CowVerdict::Reuse(why) => {
                page.leave_swap();
                page.settle();
                Decision::Reuse(why)
            }
            CowVerdict::Copy(why) => Decision::Copy(why),
        }
    }

    /// A write to a shared mapping needs no private page: the entry was merely without write
    /// permission.
    pub(super) fn write_shared(
        &self,
        request: &Request<'_, P>,
        cursor: Cursor<'_, P>,
        orig: Pte<P::Format>,
    ) -> Fault {
        if request.want == Want::Unshare {
            return Fault::Spurious;
        }
        cursor.grant(request.page, orig, orig.writable().stored().young());
        drop(cursor);
        self.flush_here(request.page.alone());
        self.mem().counters().pgreuse.add(1);
        Fault::Reused
    }

    /// Part of each of its two callers, as the more frequent one needs it there.
    #[inline(always)]
    fn reuse(
        &self,
        request: &Request<'_, P>,
        cursor: Cursor<'_, P>,
        (orig, pfn): (Pte<P::Format>, Pfn),
        why: Why,
    ) -> Fault {
        let (page, kept) = (request.page, EventKind::CowReuse { pfn, why });
        self.reuse_by(request, (orig, page.alone()), kept, move |used| {
            used.into_iter().for_each(|used| cursor.grant(page, orig, used));
        })
    }

    /// Keeps what `orig` maps in a range as the owner's own. Whoever has the lock of the entry's
    /// table, `grant`, adds to the entry what it is given, if that is anything, and lets go; then
    /// `kept` is told of a write.
    #[inline(always)]
    pub(super) fn reuse_by(
        &self,
        request: &Request<'_, P>,
        (orig, range): (Pte<P::Format>, VirtRange),
        kept: EventKind,
        grant: impl FnOnce(Option<Pte<P::Format>>),
    ) -> Fault {
        let (mem, pfn) = (self.mem(), orig.pfn());
        // Under every rule, even those that never look at the mark (INV-RULES-3): another switch
        // may need it, and for an unshare it is the whole point.
        let page = mem.frames().page(pfn);
        if !page.counts_as(Counts::is_exclusive) {
            page.mark_exclusive();
        }
        if request.want == Want::Unshare {
            grant(None);
            mem.tell(self.id(), request.page, EventKind::UnshareReuse(pfn));
            return Fault::Reused;
        }
        let mut used = orig.young().stored();
        if request.area.prot.contains(Prot::WRITE) {
            used = used.writable();
        }
        grant(Some(used));
        self.flush_here(range);
        mem.counters().pgreuse.add(1);
        mem.tell(self.id(), request.page, kept);
        Fault::Reused
    }

    /// Entries only gained permissions, so other CPUs' stale translations are harmless.
    pub(super) fn flush_here(&self, range: VirtRange) {
        self.mem().platform().flush_local(self.id(), range);
    }

    /// Maps a copy in place of the page (facts 1.7). The old page is held by a reference of our own
    /// while the table is unlocked.
    fn copy(
        &self,
        request: &Request<'_, P>,
        leaf: Leaf<'_, P>,
        cursor: Cursor<'_, P>,
        (orig, old): (Pte<P::Format>, Pfn),
        why: Why,
    ) -> Result<Fault, FaultError> {
        let (mem, page) = (self.mem(), request.page);
        let counted = !orig.is_special();
        if counted {
            mem.get(old, 1);
        }
        drop(cursor);
        mem.tell(self.id(), page, EventKind::CowCopy { pfn: old, why });
        if request.area.uffd.has(UffdMode::WP) {
            self.flush_late(page);
        }
        let result = self.copy_over(request, leaf, (orig, old));
        if counted {
            mem.put(old, 1);
        }
        result
    }

    /// Flushes the page if write permission was taken from entries for userfaultfd that some CPU
    /// may still use, before it is copied (rule `uffd-wp-flush`, INV-UFFD-3).
    #[cold]
    #[inline(never)]
    fn flush_late(&self, page: Vpn) {
        if flushes_before_copy(self.mem().rule()) && self.uffd_late.load_acquire() != 0 {
            self.mem().flush(self.id(), FlushScope::Range(page.alone()));
        }
    }

    fn copy_over(
        &self,
        request: &Request<'_, P>,
        leaf: Leaf<'_, P>,
        (orig, old): (Pte<P::Format>, Pfn),
    ) -> Result<Fault, FaultError> {
        let (mem, page) = (self.mem(), request.page);
        let fresh = self.new_private(request.area, page)?;
        let new = fresh.pfn();
        if orig.is_special() {
            mem.platform().zero_frame(new);
        } else {
            mem.platform().copy_frame(old, new);
        }
        let _changing = mem.changing(self.id(), page.alone(), Invalidate::Clear);
        let cursor = leaf.lock();
        if cursor.get(page) != orig {
            return Ok(Fault::Spurious);
        }
        let pte = match request.want {
            Want::Unshare => {
                let new = fresh.keep();
                mem.lru_add(new);
                let pte = Pte::mapping(new, request.area.prot.reach());
                let pte = pte.with_soft_dirty(orig.is_soft_dirty());
                let pte = if orig.is_uffd_wp() { pte.uffd_wp() } else { pte };
                self.in_area(request.area, pte)
            }
            _ => self.written(request.area, fresh),
        };
        let withdrawn = cursor.withdraw(page);
        match mem.rule() {
            CowPublish::AfterFlush => {
                let flushed = mem.flush_withdrawn(self.id(), withdrawn);
                cursor.publish(flushed, pte);
            }
            CowPublish::BeforeFlush => {
                cursor.publish(Flushed::published_early(&withdrawn), pte);
                let _ = mem.flush_withdrawn(self.id(), withdrawn);
            }
        }
        if !orig.is_special() {
            mem.drop_mapping(orig, self.id());
        }
        drop(cursor);
        mem.counters().cow_copy.add(1);
        mem.tell(self.id(), page, EventKind::Copied { from: old, to: new });
        if !orig.is_special() {
            mem.put(old, 1);
        }
        Ok(Fault::Copied)
    }
}

/// A page that is judged under the lock of the table that maps it.
trait Judged<'m> {
    /// What `look` makes of its state, in which it is on its list.
    fn judge<C: Class>(&self, look: impl Fn(&PageState) -> C) -> C;

    /// Whether its folio is on its list.
    fn lru(&self) -> Lru;

    /// The lock of its folio.
    fn lock(&self) -> BitLock<'m>;

    /// Takes it out of the swap cache, if it is there and nothing needs its slot. The page's lock
    /// is held.
    #[inline]
    fn leave_swap(&self) {}

    /// Makes the page, which nobody else maps, its owner's own for its reverse map, too: the
    /// kernel's `page_move_anon_rmap`. The page's lock is held.
    fn settle(&self);
}

struct SmallPage<'m, 'a, P: Platform> {
    mem: &'m Memory<P>,
    pfn: Pfn,
    page: Page<'m>,
    area: &'a Area<P>,
    at: Vpn,
}

impl<'m, P: Platform> Judged<'m> for SmallPage<'m, '_, P> {
    #[inline]
    fn judge<C: Class>(&self, look: impl Fn(&PageState) -> C) -> C {
        self.mem.judge_small(self.pfn, self.page, look)
    }

    #[inline]
    fn lru(&self) -> Lru {
        self.mem.lru_of(self.pfn)
    }

    #[inline]
    fn lock(&self) -> BitLock<'m> {
        self.page.lock()
    }

    #[inline]
    fn settle(&self) {
        if let Some(seat) = self.area.backing.seat() {
            if self.page.flags().contains(Flags::KSM) {
                return self.mem.end_merged(self.pfn, (seat.home, seat.index(self.at)));
            }
            self.page.set_home(seat.home);
        }
    }
}

/// A small page in the swap cache.
struct SwapPage<'m, 'a, P: Platform> {
    mem: &'m Memory<P>,
    pfn: Pfn,
    area: &'a Area<P>,
}

impl<'m, P: Platform> Judged<'m> for SwapPage<'m, '_, P> {
    fn judge<C: Class>(&self, look: impl Fn(&PageState) -> C) -> C {
        let swap = self.mem.swap_state(self.pfn);
        look(&PageState { swap, ..self.mem.page_state(self.pfn) })
    }

    fn lru(&self) -> Lru {
        self.mem.lru_of(self.pfn)
    }

    fn lock(&self) -> BitLock<'m> {
        self.mem.frames().page(self.pfn).lock()
    }

    fn leave_swap(&self) {
        self.mem.leave_swap(self.pfn);
    }

    fn settle(&self) {
        if let Some(seat) = self.area.backing.seat() {
            self.mem.frames().page(self.pfn).set_home(seat.home);
        }
    }
}

struct LargePage<'m, P: Platform> {
    mem: &'m Memory<P>,
    pfn: Pfn,
}

impl<'m, P: Platform> Judged<'m> for LargePage<'m, P> {
    fn judge<C: Class>(&self, look: impl Fn(&PageState) -> C) -> C {
        look(&self.mem.page_state(self.pfn))
    }

    fn lru(&self) -> Lru {
        self.mem.lru_of(self.mem.frames().head_of(self.pfn))
    }

    fn lock(&self) -> BitLock<'m> {
        let frames = self.mem.frames();
        frames.page(frames.head_of(self.pfn)).lock()
    }

    /// Its home is that of all pages of the folio, some of which may be mapped elsewhere.
    fn settle(&self) {}
}
