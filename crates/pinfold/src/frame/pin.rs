//! Taking and dropping the references of get and pin (facts 3.3).
//!
//! A pin of a small folio is 1024 references in one step; of a large one, a reference and an exact
//! pin each. Several holds are taken in one step, too, and all or none: where the last of them
//! would be refused if they were taken one after another, all are.

use super::flags::Flags;
use super::frames::Frames;
use super::meta::{Frame, Grab, Put};
use crate::addr::Pfn;
use crate::rules::HeadRecheck;
use crate::rules::large::rechecks_head;
use crate::rules::pin::Hold;
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
    /// Whether the folio is looked at again when they are taken.
    rechecks: bool,
}

/// References that a folio may have when one is added: as a signed number they are not negative,
/// which is what Linux looks for (facts 3.3).
const MOST: u32 = i32::MAX as u32;

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
    const fn refs(self) -> u32 {
        self.times.saturating_mul(self.each())
    }

    /// References that a small folio may have before them.
    #[inline]
    const fn room(self) -> u32 {
        MOST.saturating_sub(self.refs() - self.each())
    }

    /// For [`Frames::try_grab`], by the rule `head-recheck`.
    #[inline]
    pub(crate) const fn grip(self, rule: HeadRecheck) -> Grip {
        let rechecks = rechecks_head(rule);
        Grip { holds: self, refs: self.refs(), room: self.room(), rechecks }
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
    const fn room_of_large(self) -> u32 {
        MOST.saturating_sub(self.times - 1)
    }
}

impl Frames {
    /// Takes holds without a lock: only if the folio is alive, and, by the rule `head-recheck`, if it
    /// is still the folio of `pfn` afterwards. A full barrier follows, so that the caller's
    /// re-read of the entry comes later.
    #[inline]
    pub(crate) fn try_grab(&self, pfn: Pfn, grip: &Grip) -> Grab {
        let frame = self.frame(pfn);
        if frame.is_large() {
            return self.try_grab_large(pfn, grip);
        }
        if let Err(refused) = frame.try_gain(grip.refs, grip.room) {
            return refused;
        }
        if grip.rechecks && frame.is_large() {
            self.drop_unused(pfn, grip.refs);
            return Grab::Gone;
        }
        smp_mb_after_atomic();
        Grab::Taken(pfn)
    }

    #[inline(never)]
    fn try_grab_large(&self, pfn: Pfn, grip: &Grip) -> Grab {
        let holds = grip.holds;
        let Some((head, frame)) = self.try_folio(pfn) else { return Grab::Gone };
        if let Err(refused) = frame.try_gain(holds.times, holds.room_of_large()) {
            return refused;
        }
        let again = || self.try_folio(pfn).is_some_and(|(now, _)| now == head) && frame.is_large();
        if grip.rechecks && !again() {
            self.drop_unused(head, holds.times);
            return Grab::Gone;
        }
        if holds.kind == Hold::Pin {
            frame.spare.add(holds.times);
        }
        smp_mb_after_atomic();
        Grab::Taken(head)
    }

    /// The folio of a frame that nothing keeps alive. Of one that is being split it is the frame
    /// itself from the moment it is no tail any more: only then its index word changes. A later
    /// life of the frame may have replaced the head's number; it is checked again when the folio is
    /// held.
    pub(super) fn try_folio(&self, pfn: Pfn) -> Option<(Pfn, &Frame)> {
        let frame = self.frame(pfn);
        if frame.flags.load_acquire() & Flags::TAIL.bits() == 0 {
            return Some((pfn, frame));
        }
        let head = Pfn(frame.index.load_acquire());
        if frame.flags.read_once() & Flags::TAIL.bits() == 0 {
            return Some((pfn, frame));
        }
        self.contains(head).then(|| (head, self.frame(head)))
    }

    /// Takes holds under the page-table lock, where an entry guarantees that the folio lives.
    #[inline]
    pub(crate) fn grab(&self, pfn: Pfn, holds: &Holds) -> Grab {
        let folio = self.folio(pfn);
        let large = folio.is_large();
        let room = if large { holds.room_of_large() } else { holds.room() };
        if !folio.counts_as(|counts| counts.may_gain(room)) {
            return Grab::Overflow;
        }
        folio.get(if large { holds.times } else { holds.refs() });
        if large && holds.kind == Hold::Pin {
            folio.pin(holds.times);
        }
        Grab::Taken(folio.head())
    }

    pub(super) fn drop_unused(&self, head: Pfn, refs: u32) {
        if self.frame(head).put(refs) == Put::Last {
            self.release(head);
        }
    }

    /// Drops holds of the folio of `pfn`. Returns its head, and what is left.
    #[inline]
    pub(crate) fn ungrab(&self, pfn: Pfn, holds: &Holds) -> (Pfn, Put) {
        let frame = self.frame(pfn);
        if frame.is_large() {
            return self.ungrab_large(pfn, *holds);
        }
        (pfn, frame.put(holds.refs()))
    }

    #[inline(never)]
    fn ungrab_large(&self, pfn: Pfn, holds: Holds) -> (Pfn, Put) {
        let folio = self.folio(pfn);
        if holds.kind == Hold::Pin {
            folio.unpin(holds.times);
        }
        (folio.head(), folio.put(holds.times))
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
