//! Taking and dropping the references of get and pin (facts 3.3).
//!
//! A pin of a small folio is 1024 references in one step; of a large one, a reference and an exact
//! pin each.

use super::counts::Counts;
use super::flags::Flags;
use super::frames::Frames;
use super::meta::{Frame, Grab, Put};
use crate::addr::Pfn;
use crate::rules::pin::Hold;
use crate::sync::smp_mb_after_atomic;

/// References that stand for one pin of a small folio: GUP_PIN_COUNTING_BIAS.
pub const PIN_BIAS: u32 = crate::rules::pin::PIN_BIAS;

impl Frames {
    /// Takes `n` holds without a lock: only if the folio is alive, and if it is still the folio of
    /// `pfn` afterwards (since 5.14, c24d37322548). A full barrier follows, so that the caller's
    /// re-read of the entry comes later.
    #[inline]
    pub(crate) fn try_grab(&self, pfn: Pfn, kind: Hold, n: u32) -> Grab {
        let frame = self.frame(pfn);
        if frame.is_large() {
            return self.try_grab_large(pfn, kind, n);
        }
        let refs = refs_of_small(kind, n);
        if let Err(refused) = frame.try_gain(refs) {
            return refused;
        }
        if frame.is_large() {
            self.drop_unused(pfn, refs);
            return Grab::Gone;
        }
        smp_mb_after_atomic();
        Grab::Taken(pfn)
    }

    #[inline(never)]
    fn try_grab_large(&self, pfn: Pfn, kind: Hold, n: u32) -> Grab {
        let Some((head, frame)) = self.try_folio(pfn) else { return Grab::Gone };
        if let Err(refused) = frame.try_gain(n) {
            return refused;
        }
        if self.try_folio(pfn).is_none_or(|(now, _)| now != head) || !frame.is_large() {
            self.drop_unused(head, n);
            return Grab::Gone;
        }
        if kind == Hold::Pin {
            frame.spare.add(n);
        }
        smp_mb_after_atomic();
        Grab::Taken(head)
    }

    /// The folio of a frame that nothing keeps alive: a later life of the frame may have replaced
    /// the head's number. It is checked again when the folio is held.
    fn try_folio(&self, pfn: Pfn) -> Option<(Pfn, &Frame)> {
        let frame = self.frame(pfn);
        if frame.flags.load_acquire() & Flags::TAIL.bits() == 0 {
            return Some((pfn, frame));
        }
        let head = Pfn(frame.index.read_once());
        self.contains(head).then(|| (head, self.frame(head)))
    }

    /// Takes `n` holds under the page-table lock, where an entry guarantees that the folio lives.
    #[inline]
    pub(crate) fn grab(&self, pfn: Pfn, kind: Hold, n: u32) -> Grab {
        let folio = self.folio(pfn);
        if !folio.counts_as(Counts::may_gain) {
            return Grab::Overflow;
        }
        let large = folio.is_large();
        folio.get(if large { n } else { refs_of_small(kind, n) });
        if large && kind == Hold::Pin {
            folio.pin(n);
        }
        Grab::Taken(folio.head())
    }

    pub(super) fn drop_unused(&self, head: Pfn, refs: u32) {
        if self.frame(head).put(refs) == Put::Last {
            self.release(head);
        }
    }

    /// Drops `n` holds of the folio of `pfn`. Returns its head, and what is left.
    #[inline]
    pub(crate) fn ungrab(&self, pfn: Pfn, kind: Hold, n: u32) -> (Pfn, Put) {
        let frame = self.frame(pfn);
        if frame.is_large() {
            return self.ungrab_large(pfn, kind, n);
        }
        (pfn, frame.put(refs_of_small(kind, n)))
    }

    #[inline(never)]
    fn ungrab_large(&self, pfn: Pfn, kind: Hold, n: u32) -> (Pfn, Put) {
        let folio = self.folio(pfn);
        if kind == Hold::Pin {
            folio.unpin(n);
        }
        (folio.head(), folio.put(n))
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

/// References that stand for `n` holds of a small folio.
#[inline]
fn refs_of_small(kind: Hold, n: u32) -> u32 {
    match kind {
        Hold::Pin => n.saturating_mul(PIN_BIAS),
        Hold::Get => n,
    }
}
