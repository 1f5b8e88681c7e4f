//! The queue of large folios that are mapped in part: they wait to be split when memory is short
//! (facts 5.6, the kernel's deferred split).
//!
//! Protocol: a circular list, through a word that each folio's third tail lends, of frame numbers
//! counted from the table's first frame. The list's lock protects all of it; whether a folio is in
//! it can be read without. A folio is taken out before its last reference is gone for good: who
//! frees it does so, and who splits it.
//!
//! INV-PARTIAL-1: what is in the queue is the head of a large folio whose life has not ended.

use super::frames::Frames;
use super::large::Large;
use super::queue::{Links, List};
use crate::addr::Pfn;
use crate::sync::{AtomicU64, Inside, Masks, SpinLocked};

/// The word of a folio that holds its neighbours: zero where it is in no queue.
fn word<'a>(folio: Large<'a>) -> &'a AtomicU64 {
    &folio.frame(3).mapping
}

impl Frames {
    fn partial(&self) -> Inside<SpinLocked<'_, List>> {
        Inside::lock(Masks::Preemption, || self.queue.list.lock())
    }

    /// The number of a folio in the queue; none if it is too large for a link, as for a machine of
    /// more than 2^32 frames: such a folio is not queued.
    fn number(&self, head: Pfn) -> Option<u32> {
        u32::try_from(self.metadata().link(head)).ok()
    }

    fn queued(&self, number: u32) -> Large<'_> {
        self.large_of(Pfn(self.metadata().base() + u64::from(number) - 1))
    }

    fn links(&self, number: u32) -> Links {
        Links::of_bits(word(self.queued(number)).read_once())
    }

    fn set_links(&self, number: u32, links: Links) {
        word(self.queued(number)).write_once(links.bits());
    }

    /// Puts a folio that is mapped in part at the end of the queue, if it is not in it.
    #[cold]
    pub(crate) fn queue(&self, folio: Large<'_>) {
        let Some(number) = self.number(folio.head()) else { return };
        if self.is_queued(folio) {
            return;
        }
        let mut list = self.partial();
        if self.is_queued(folio) {
            return;
        }
        list.len += 1;
        if list.first == 0 {
            list.first = number;
            return self.set_links(number, Links { before: number, after: number });
        }
        let (first, last) = (list.first, self.links(list.first).before);
        self.set_links(number, Links { before: last, after: first });
        let of_last = self.links(last);
        self.set_links(last, Links { after: number, ..of_last });
        let of_first = self.links(first);
        self.set_links(first, Links { before: number, ..of_first });
    }

    /// Takes a folio out of the queue, if it is in it.
    pub(crate) fn unqueue(&self, folio: Large<'_>) {
        if !self.is_queued(folio) {
            return;
        }
        let mut list = self.partial();
        let Links { before, after } = Links::of_bits(word(folio).read_once());
        if after == 0 {
            return;
        }
        let Some(number) = self.number(folio.head()) else { return };
        word(folio).write_once(0);
        list.len -= 1;
        if after == number {
            list.first = 0;
            return;
        }
        if list.first == number {
            list.first = after;
        }
        let of_before = self.links(before);
        self.set_links(before, Links { after, ..of_before });
        let of_after = self.links(after);
        self.set_links(after, Links { before, ..of_after });
    }

    /// Whether a folio waits in the queue.
    pub(crate) fn is_queued(&self, folio: Large<'_>) -> bool {
        word(folio).read_once() != 0
    }

    /// How many folios wait in the queue.
    pub(crate) fn queue_len(&self) -> u64 {
        self.partial().len
    }

    /// The folio that waits longest, with a reference for the caller; it is the last one from now
    /// on. One whose last reference is just being dropped is passed over.
    pub(crate) fn next_queued(&self) -> Option<Pfn> {
        let mut list = self.partial();
        for _ in 0..list.len {
            let head = self.queued(list.first).head();
            list.first = self.links(list.first).after;
            if self.frame(head).try_gain(1, i32::MAX as u32).is_ok() {
                return Some(head);
            }
        }
        None
    }
}
