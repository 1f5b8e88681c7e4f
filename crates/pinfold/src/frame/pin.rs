//! Taking and dropping the references of get and pin (facts 3.3).
//!
//! A pin of a small folio is 1024 references in one step; of a large one, a reference and an exact pin each.

use super::alloc::Put;
use super::{Counts, Flags, Frames, REF};
use crate::addr::Pfn;
use crate::rules::pin::Hold;
use crate::sync::smp_mb_after_atomic;

/// References that stand for one pin of a small folio: GUP_PIN_COUNTING_BIAS.
pub const PIN_BIAS: u32 = crate::rules::pin::PIN_BIAS;

/// How an attempt to take a reference ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Grab {
    /// Taken, on the folio with this head.
    Taken(Pfn),
    /// The frame is free or is just changing folio: look again.
    Gone,
    /// One more could overflow the count.
    Overflow,
}

impl Frames {
    /// Takes `n` holds without a lock: only if the folio is alive, and if it is still the folio of `pfn` afterwards (since 5.14,
    /// c24d37322548). A full barrier follows, so that the caller's re-read of the entry comes later.
    #[inline]
    pub fn try_grab(&self, pfn: Pfn, kind: Hold, n: u32) -> Grab {
        let head = self.head_of(pfn);
        let frame = self.frame(head);
        let large = frame.flags.read_once() & Flags::HEAD.bits() != 0;
        let refs = refs_for(kind, large, n);
        let taken = frame.counts.try_update(|counts| {
            Counts(counts).may_gain().then(|| counts.wrapping_add(u64::from(refs) * REF))
        });
        if let Err(seen) = taken {
            return if Counts(seen).refs() == 0 { Grab::Gone } else { Grab::Overflow };
        }
        if self.head_of(pfn) != head {
            self.drop_unused(head, refs);
            return Grab::Gone;
        }
        if large && kind == Hold::Pin {
            frame.spare.fetch_add(n);
        }
        smp_mb_after_atomic();
        Grab::Taken(head)
    }

    /// Takes `n` holds under the page-table lock, where an entry guarantees that the folio lives.
    #[inline]
    pub fn grab(&self, pfn: Pfn, kind: Hold, n: u32) -> Grab {
        let head = self.head_of(pfn);
        let frame = self.frame(head);
        if !Counts(frame.counts.read_once()).may_gain() {
            return Grab::Overflow;
        }
        let large = frame.flags.read_once() & Flags::HEAD.bits() != 0;
        frame.counts.fetch_add(u64::from(refs_for(kind, large, n)) * REF);
        if large && kind == Hold::Pin {
            frame.spare.fetch_add(n);
        }
        Grab::Taken(head)
    }

    pub(super) fn drop_unused(&self, head: Pfn, refs: u32) {
        if self.put(head, refs) == Put::Last {
            self.release(head);
        }
    }

    /// How many references `n` holds of `pfn` amount to; for a pin of a large folio its pins are taken off too.
    #[inline]
    pub(crate) fn ungrab_refs(&self, head: Pfn, kind: Hold, n: u32) -> u32 {
        let frame = self.frame(head);
        let large = frame.flags.read_once() & Flags::HEAD.bits() != 0;
        if large && kind == Hold::Pin {
            frame.spare.fetch_sub(n);
        }
        refs_for(kind, large, n)
    }

    /// Pins of the folio: exact for a large one, `None` for a small one.
    #[inline]
    pub fn pincount(&self, head: Pfn) -> Option<u32> {
        let frame = self.frame(head);
        (frame.flags.read_once() & Flags::HEAD.bits() != 0).then(|| frame.spare.read_once())
    }

    /// Whether a device may have pinned the folio. `false` is certain; `true` may be 1024 ordinary references of a small folio. A plain
    /// read: who needs certainty brings the ordering (facts 3.3).
    #[inline]
    pub fn maybe_dma_pinned(&self, pfn: Pfn) -> bool {
        let head = self.head_of(pfn);
        match self.pincount(head) {
            Some(pins) => pins > 0,
            None => self.counts(head).refs() >= PIN_BIAS,
        }
    }
}

#[inline]
fn refs_for(kind: Hold, large: bool, n: u32) -> u32 {
    match kind {
        Hold::Pin if !large => n.saturating_mul(PIN_BIAS),
        _ => n,
    }
}
