//! The slow path: under the address space's lock, faulting what is not there as wanted (facts 3.2).
//! It succeeds for a page only when the entry has been checked under its table's lock, so each
//! success is a snapshot of one moment.

use core::ops::Range;

use super::ask::Ask;
use super::guard::Held;
use crate::addr::{Pfn, VirtAddr, VirtRange, Vpn};
use crate::area::{Area, AreaMap, Prot};
use crate::error::{FaultError, PinError, Shortage};
use crate::event::{Bug, EventKind};
use crate::fault::{Fault, Rights, Want};
use crate::frame::{Grab, Holds};
use crate::platform::Platform;
use crate::pressure::Tries;
use crate::pte::Pte;
use crate::rules::cow::sets_exclusive;
use crate::rules::pin::{
    Access, Force, Hold, Request, Unshares, Walk, WriteFault, can_follow_write, counts_zero_page,
    drops_write, entry_access, grows_stack, must_unshare, refuses_tracked, takes_hinting_fault,
    unshares,
};
use crate::rules::{Exclusive, PageKind, PageState};
use crate::space::Space;
use crate::sync::Class;
use crate::table::{Huge, Missing};

/// The outcome of one look at a page.
enum Follow {
    Taken(Pfn),
    /// The page must be faulted first.
    Fault(Want),
    Overflow(Pfn),
}

/// One page on its way through the slow path.
struct Step<'a, P: Platform> {
    area: &'a Area<P>,
    page: Vpn,
    ask: Ask,
    holds: Holds,
    /// The access that the entry must allow, which 5.8 raises to writing.
    entry: Access,
    faulted: WriteFault,
}

/// What is asked for, as the rules see it.
fn request(ask: Ask, holds: Holds) -> Request {
    Request { hold: holds.kind(), access: ask.access, term: ask.term }
}

/// Whether a page may have several owners.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Sharing {
    /// Anonymous and not marked exclusive.
    Possible,
    /// Marked, or of a kind that has no mark.
    Settled,
}

/// Whether a page that an entry maps may be taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fit {
    NeedsWrite,
    NeedsUnshare,
    Page(Sharing),
}

impl Class for Fit {
    fn number(&self) -> u64 {
        match self {
            Self::NeedsWrite => 0,
            Self::NeedsUnshare => 1,
            Self::Page(Sharing::Possible) => 2,
            Self::Page(Sharing::Settled) => 3,
        }
    }
}

impl<P: Platform> Space<P> {
    /// Takes the pages that the lock-free walk left over.
    pub(super) fn hold_slow(
        &self,
        range: VirtRange,
        ask: Ask,
        held: &mut Held<P>,
    ) -> Result<(), PinError> {
        let mut map = self.read_map();
        let mut left = range.first_page()..range.end_page();
        let (mut short, mut tries) = (left.start, Tries::default());
        while left.start < left.end {
            let page = left.start;
            let Some(area) = map.find(page) else {
                // What was taken before is held already.
                map = self.grown(map, page, || grows_stack(self.mem().rule()))?;
                continue;
            };
            let taken = self.hold_page(&map, area, left.clone(), ask, held.holds());
            let pfn = match taken {
                Err(error) if error.is_of_frames() => {
                    drop(map);
                    if short < page {
                        (short, tries) = (page, Tries::default());
                    }
                    if !tries.relieve(self.mem()) {
                        return Err(error);
                    }
                    map = self.read_map();
                    continue;
                }
                taken => taken?,
            };
            held.push(pfn);
            self.mem().tell(self.id(), page, EventKind::SlowTaken(pfn));
            left.start = page + 1;
        }
        Ok(())
    }

    /// Takes the first of the pages that are left.
    pub(super) fn hold_page(
        &self,
        map: &AreaMap<P>,
        area: &Area<P>,
        left: Range<Vpn>,
        ask: Ask,
        holds: Holds,
    ) -> Result<Pfn, PinError> {
        let page = left.start;
        let at = page.start();
        self.check_rights(area, at, ask)?;
        if area.is_tracked() && refuses_tracked(self.mem().rule(), request(ask, holds)) {
            return Err(FaultError::Denied(at).into());
        }
        let rights = match ask.force {
            Force::Forced => Rights::Forced,
            Force::Ordinary => Rights::Area,
        };
        let walk = Walk::Slow(area.state().mapping);
        let mut step = Step {
            area,
            page,
            ask,
            holds,
            entry: entry_access(self.mem().rule(), ask.access, walk),
            faulted: WriteFault::NotTaken,
        };
        loop {
            match self.follow(&step) {
                Follow::Taken(pfn) => return Ok(pfn),
                Follow::Overflow(pfn) => return Err(PinError::Overflow(pfn)),
                Follow::Fault(want) if self.is_untouched(&step, want) => {
                    self.touch_run(area, page..left.end.min(area.range.end_page()))?;
                }
                Follow::Fault(want) => {
                    // A read pin of 5.8 breaks copy-on-write even if the area is not writable.
                    let raised = want == Want::Write && ask.access == Access::Read;
                    let rights = if raised { Rights::Forced } else { rights };
                    let fault = self.fault_at(map, page, want, rights)?;
                    // A fault that waited, or repaired an entry, does not say whose page is mapped.
                    let owns = matches!(fault, Fault::Reused | Fault::Copied | Fault::FirstTouch);
                    if want == Want::Write && owns {
                        step.faulted = WriteFault::Taken;
                    }
                }
            }
        }
    }

    /// Whether the fault is a first touch by an ordinary write. The pages after it are then likely
    /// to be untouched, too, and are touched with it.
    fn is_untouched(&self, step: &Step<'_, P>, want: Want) -> bool {
        let writes = want == Want::Write
            && step.ask.access == Access::Write
            && step.ask.force == Force::Ordinary;
        writes && self.touches_small(step.area) && self.tables().read(step.page).is_none()
    }

    /// Checks the area's permissions, in the order of facts 3.1.
    fn check_rights(&self, area: &Area<P>, at: VirtAddr, ask: Ask) -> Result<(), FaultError> {
        let needs = match ask.access {
            Access::Read => Prot::READ,
            Access::Write => Prot::WRITE,
        };
        let forced = ask.force == Force::Forced && (ask.access == Access::Read || area.is_cow());
        if area.prot.contains(needs) || forced { Ok(()) } else { Err(FaultError::Denied(at)) }
    }

    fn follow(&self, step: &Step<'_, P>) -> Follow {
        let plain = match step.entry {
            Access::Write if !self.drops_write(step) => Want::Write,
            _ => Want::Read,
        };
        loop {
            match self.tables().leaf(step.page) {
                Ok(leaf) => {
                    let cursor = leaf.lock();
                    let pte = cursor.get(step.page);
                    return self.follow_entry(step, plain, (pte, pte));
                }
                Err(Missing::Nothing) => return Follow::Fault(plain),
                Err(Missing::Huge(huge)) => {
                    if let Some(followed) = self.follow_huge(step, plain, &huge) {
                        return followed;
                    }
                }
            }
        }
    }

    /// Follows a huge entry; nothing if there is none any more.
    #[inline(never)]
    fn follow_huge(&self, step: &Step<'_, P>, plain: Want, huge: &Huge<'_, P>) -> Option<Follow> {
        let cursor = huge.lock();
        let whole = cursor.get()?;
        let own = whole.further(step.page - huge.pages().start);
        Some(self.follow_entry(step, plain, (whole, own)))
    }

    /// Follows an entry whose table is locked, and its part that maps the page: of a huge one,
    /// whose mark is on its first page (INV-HUGE-3), or the same.
    #[inline(always)]
    fn follow_entry(
        &self,
        step: &Step<'_, P>,
        plain: Want,
        (whole, own): (Pte<P::Format>, Pte<P::Format>),
    ) -> Follow {
        if !own.is_mapped() || self.wants_hint_fault(step, own) {
            return Follow::Fault(plain);
        }
        match self.mem().judge_page(whole.pfn(), |state| self.fits(step, own, state)) {
            Fit::NeedsWrite => Follow::Fault(Want::Write),
            Fit::NeedsUnshare => {
                self.mem().tell(self.id(), step.page, EventKind::UnshareWanted(own.pfn()));
                Follow::Fault(Want::Unshare)
            }
            Fit::Page(sharing) => self.take(step, own, sharing),
        }
    }

    /// Whether the page may be taken through an entry that maps it.
    #[inline]
    fn fits(&self, step: &Step<'_, P>, pte: Pte<P::Format>, state: &PageState) -> Fit {
        if !pte.is_writable() {
            if step.entry == Access::Write && !self.follows_write(step, pte, state) {
                return Fit::NeedsWrite;
            }
            let request = request(step.ask, step.holds);
            let walk = Walk::Slow(step.area.state().mapping);
            if must_unshare(self.mem().rule(), request, walk, state).is_yes() {
                return Fit::NeedsUnshare;
            }
        }
        Fit::Page(match state.kind {
            PageKind::Anon(Exclusive::Unmarked) => Sharing::Possible,
            _ => Sharing::Settled,
        })
    }

    /// Whether a hinting entry must be faulted first (facts 3.8).
    fn wants_hint_fault(&self, step: &Step<'_, P>, pte: Pte<P::Format>) -> bool {
        pte.is_hint() && takes_hinting_fault(self.mem().rule()) && step.ask.force == Force::Ordinary
    }

    /// Whether the request continues as one for reading.
    fn drops_write(&self, step: &Step<'_, P>) -> bool {
        let rule = self.mem().rule();
        drops_write(rule, step.ask.force, step.faulted, step.area.state().permission)
    }

    fn follows_write(&self, step: &Step<'_, P>, pte: Pte<P::Format>, state: &PageState) -> bool {
        let rule = self.mem().rule();
        // What 5.8 raised to a write is satisfied by the copy that its fault made, writable area or
        // not.
        if step.ask.access == Access::Read {
            return step.faulted == WriteFault::Taken && !step.area.prot.contains(Prot::WRITE);
        }
        let (area, entry) = (step.area.state(), step.area.entry_state(pte));
        can_follow_write(rule, step.ask.force, step.faulted, area, entry, state).is_yes()
    }

    #[inline(always)]
    fn take(&self, step: &Step<'_, P>, pte: Pte<P::Format>, sharing: Sharing) -> Follow {
        let (mem, pfn) = (self.mem(), pte.pfn());
        let marks = sets_exclusive(mem.rule()) && unshares(mem.rule()) != Unshares::Nothing;
        if step.holds.kind() == Hold::Pin && marks && sharing == Sharing::Possible {
            mem.platform().bug(Bug::PinnedNotExclusive(pfn));
        }
        let zero = pfn == mem.zero_page();
        if step.holds.kind() == Hold::Pin && zero && !counts_zero_page(mem.rule()) {
            return Follow::Taken(pfn);
        }
        match mem.frames().grab(pfn, &step.holds, || mem.rule()) {
            Grab::Taken(_) => Follow::Taken(pfn),
            Grab::Gone | Grab::Overflow => Follow::Overflow(pfn),
        }
    }
}
