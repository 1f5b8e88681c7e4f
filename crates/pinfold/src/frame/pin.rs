//! Taking and dropping the references of get and pin (facts 3.3).
//!
//! A pin of a small folio is 1024 references in one step; of a large one, a reference and an exact
//! pin each. Several holds are taken in one step, too, and all or none: where the last of them
//! would be refused if they were taken one after another, all are. What they are on a page of a
//! large folio is said by `tails`.

use super::flags::{Flags, order_of};
use super::frames::Frames;
use super::meta::{Frame, Grab, Miss, Put};
use crate::addr::Pfn;
use crate::rules::large::rechecks_head;
use crate::rules::pin::Hold;
use crate::rules::{HeadRecheck, TailRefs};
use crate::sync::smp_mb_after_atomic;

/// References that stand for one pin of a small folio: GUP_PIN_COUNTING_BIAS.
pub const PIN_BIAS: u32 = crate::rules::pin::PIN_BIAS;

/// The holds that a request takes on each of its pages, in one step. Small enough for a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Holds {
    kind: Hold,
    times: u32,
}

/// Holds and what they come to on a small folio: computed once for all pages of a walk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grip {
    pub(crate) holds: Holds,
    /// References that stand for them.
    refs: u32,
    /// References that the folio may have before them.
    room: u32,
}

/// References that a folio may have when one is added: as a signed number they are not negative,
/// which is what Linux looks for (facts 3.3).
pub(super) const MOST: u32 = i32::MAX as u32;

impl Holds {
    /// `times` holds, at least one.
    #[inline]
    pub(crate) const fn of(kind: Hold, times: u32) -> Self {
        Self { kind, times }
    }

    /// References that stand for one of them on a small folio.
    #[inline]
    const fn each(self) -> u32 {
        match self.kind {
            Hold::Pin => PIN_BIAS,
            Hold::Get => 1,
        }
    }

    /// References that stand for all of them on a small folio. What is refused for want of room has
    /// no number that fits.
    #[inline]
    pub(super) const fn refs(self) -> u32 {
        self.times.saturating_mul(self.each())
    }

    /// References that a small folio may have before them.
    #[inline]
    pub(super) const fn room(self) -> u32 {
        MOST.saturating_sub(self.refs() - self.each())
    }

    /// For [`Frames::try_grab`].
    #[inline]
    pub(crate) const fn grip(self) -> Grip {
        Grip { holds: self, refs: self.refs(), room: self.room() }
    }

    /// Pins or references.
    #[inline]
    pub(crate) const fn kind(self) -> Hold {
        self.kind
    }

    /// How many.
    #[inline]
    pub(crate) const fn times(self) -> u32 {
        self.times
    }

    /// References that a large folio may have before them, which counts each as one.
    pub(super) const fn room_of_large(self) -> u32 {
        MOST.saturating_sub(self.times - 1)
    }
}

impl Frames {
    /// Takes holds of a small page without a lock: only if it is alive, and, by the `rule`, which
    /// is asked for only where it has become part of a large folio, if it is small afterwards. A
    /// full barrier follows, so that the caller's re-read of the entry comes later.
    ///
    /// # Errors
    /// Why there are none to be had.
    #[inline(always)]
    pub(crate) fn try_grab_small(
        &self,
        pfn: Pfn,
        grip: &Grip,
        rule: impl Fn() -> HeadRecheck,
    ) -> Result<(), Miss> {
        let frame = self.frame(pfn);
        if frame.is_large() {
            return Err(Miss::Large);
        }
        frame.try_gain(grip.refs, grip.room)?;
        if frame.is_large() && rechecks_head(rule()) {
            self.drop_unused(pfn, grip.refs);
            return Err(Miss::Gone);
        }
        smp_mb_after_atomic();
        Ok(())
    }

    /// The same of any page, by the rules that count on heads alone: of a large folio only if it is
    /// still the folio of `pfn` afterwards.
    pub(crate) fn try_grab(&self, pfn: Pfn, holds: Holds, rule: impl Fn() -> HeadRecheck) -> Grab {
        match self.try_grab_small(pfn, &holds.grip(), &rule) {
            Ok(()) => Grab::Taken(pfn),
            Err(Miss::Gone) => Grab::Gone,
            Err(Miss::Overflow) => Grab::Overflow,
            Err(Miss::Large) => match self.try_grab_head((pfn, 1), holds, rule()) {
                Ok(head) => Grab::Taken(head),
                Err(Miss::Overflow) => Grab::Overflow,
                Err(Miss::Gone | Miss::Large) => Grab::Gone,
            },
        }
    }

    /// How many pages the large folio of a frame that nothing keeps alive has from there on, as far
    /// as can be told; one if it is none.
    pub(crate) fn left_of_folio(&self, pfn: Pfn) -> u64 {
        let Some((head, frame)) = self.try_folio(pfn) else { return 1 };
        let end = head.0 + (1 << order_of(frame.flags.read_once()));
        end.saturating_sub(pfn.0).max(1)
    }

    /// The folio of a frame that nothing keeps alive. Of one that is being split it is the frame
    /// itself from the moment it is no tail any more: only then its index word changes. A later
    /// life of the frame may have replaced the head's number (INV-TAIL-5); it is checked again when
    /// the folio is held.
    pub(super) fn try_folio(&self, pfn: Pfn) -> Option<(Pfn, &Frame)> {
        let frame = self.frame(pfn);
        if frame.flags.load_acquire() & Flags::TAIL.bits() == 0 {
            return Some((pfn, frame));
        }
        let head = frame.head_number();
        if frame.flags.read_once() & Flags::TAIL.bits() == 0 {
            return Some((pfn, frame));
        }
        self.contains(head).then(|| (head, self.frame(head)))
    }

    /// Takes holds under the page-table lock, where an entry guarantees that the folio lives.
    #[inline]
    pub(crate) fn grab(&self, pfn: Pfn, holds: &Holds, rule: impl FnOnce() -> TailRefs) -> Grab {
        let folio = self.folio(pfn);
        if folio.is_large() {
            return self.grab_large(pfn, *holds, rule());
        }
        if !folio.counts_as(|counts| counts.may_gain(holds.room())) {
            return Grab::Overflow;
        }
        folio.get(holds.refs());
        Grab::Taken(pfn)
    }

    pub(super) fn drop_unused(&self, head: Pfn, refs: u32) {
        if self.frame(head).put(refs) == Put::Last {
            self.release(head);
        }
    }

    /// Drops holds of a page that is not part of a large folio; nothing if it is.
    #[inline]
    pub(crate) fn ungrab_small(&self, pfn: Pfn, grip: Grip) -> Option<Put> {
        let frame = self.frame(pfn);
        if frame.is_large() { None } else { Some(frame.put(grip.refs)) }
    }

    /// How many of the pages are of the large folio of the first, one after another; one if that is
    /// small. All are held.
    pub(crate) fn run_of_folio(&self, pages: &[Pfn]) -> usize {
        let Some(first) = pages.first() else { return 0 };
        let most = self.left_of_folio(*first) as usize;
        counting_up(&pages[..most.min(pages.len())])
    }

    /// Pins of the folio: exact for a large one, `None` for a small one.
    #[inline]
    pub(crate) fn pincount(&self, head: Pfn) -> Option<u32> {
        let frame = self.frame(head);
        (frame.flags.read_once() & Flags::HEAD.bits() != 0).then(|| frame.spare.read_once())
    }

    /// Whether a device may have pinned the folio. `false` is certain; `true` may be 1024 ordinary
    /// references of a small folio. A plain read: a caller that needs certainty brings the ordering
    /// (facts 3.3).
    #[inline]
    pub fn maybe_dma_pinned(&self, pfn: Pfn) -> bool {
        let head = self.head_of(pfn);
        match self.pincount(head) {
            Some(pins) => pins > 0,
            None => self.counts_as(head, |counts| counts.refs() >= PIN_BIAS),
        }
    }
}

/// How many of the numbers count up from the first: in blocks, which the compiler compares at once.
fn counting_up(pages: &[Pfn]) -> usize {
    const BLOCK: usize = 8;
    let Some(first) = pages.first() else { return 0 };
    let numbered = |at: usize| first.0 + at as u64..;
    let whole = |(at, block): &(usize, &[Pfn])| {
        block.iter().zip(numbered(at * BLOCK)).fold(true, |all, (pfn, next)| all & (pfn.0 == next))
    };
    let at = pages.chunks_exact(BLOCK).enumerate().take_while(whole).count() * BLOCK;
    at + pages[at..].iter().zip(numbered(at)).take_while(|(pfn, next)| pfn.0 == *next).count()
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    #[test]
    fn numbers_count_up_to_the_first_that_does_not() {
        assert_eq!(counting_up(&[]), 0);
        for odd in 1..40 {
            let mut pages: Vec<Pfn> = (100..140).map(Pfn).collect();
            assert_eq!(counting_up(&pages), 40);
            pages[odd] = Pfn(100);
            assert_eq!(counting_up(&pages), odd);
        }
    }
}
