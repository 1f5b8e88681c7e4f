//! The frame table: what every physical page is, who refers to it, who maps it.
//!
//! Protocol: all of a [`Frame`] is atomic. The counts change by read-modify-writes of anyone who may: a mapping's holder under the
//! page-table lock, a lock-free walker by [`Frames::try_grab`] only. A free frame has no references, so `try_grab` fails on it; whoever
//! brings the references to zero frees the frame, alone. A large folio is freed whole, by its head.
//!
//! Free frames are kept by the table itself (`buddy`), or by an outside owner ([`FrameSource`]). The lists are a part of the table and no
//! [`FrameSource`] of their own: their links lie in the free frames' metadata, which an outside owner never sees, and the calls of the hot
//! path are direct.
//!
//! Invariants:
//! - INV-FRAME-1: references >= mappings, at every moment (facts 9.9).
//! - INV-FRAME-2: a free frame has all counts zero and no flags but its home, node and zone, which never change.
//! - INV-FRAME-3: the exclusive mark changes under the lock of the page table that maps the frame, or while nobody maps it.
//! - INV-FRAME-4: references and pins of a large folio are counted on its head; a tail's own references are zero (facts 5.3). The
//!   tail's flag is set after its head's number, so who sees the flag finds a head, or what a later life wrote there (`pin`).
//! - INV-FRAME-5: the mark is looked up on the frame that an entry maps, not on the head (facts 9.6).

mod alloc;
mod buddy;
mod counts;
mod flags;
mod pin;
mod setup;
mod source;
mod store;

use crate::addr::{NodeId, Pfn};
use crate::sync::{AtomicU32, AtomicU64};

pub(crate) use alloc::Put;
pub(crate) use alloc::Start;
pub use alloc::{NewFrame, NewFrames};
pub use buddy::MAX_ORDER;
pub use counts::Counts;
pub(crate) use counts::{EXCLUSIVE, MAP, REF};
pub use flags::Flags;
use flags::{node_of, order_of};
pub(crate) use pin::Grab;
pub use pin::PIN_BIAS;
pub use setup::{FrameSetup, MemoryMapError, NodeSpan, SpanError};
pub use source::{FrameSource, Placement, Request, Zone};
pub use store::FrameMeta;
use store::Store;

/// The metadata of one frame: 32 bytes (Linux: 64).
///
/// Who protects what: `counts` and `flags` are atomic; `spare` is the page-table lock of a table or the exact pin count of a large
/// folio's head; `mapping` and `index` are set before a page is first mapped and constant until it is free, then the node's lock protects them.
#[repr(C, align(32))]
pub(crate) struct Frame {
    pub(crate) counts: AtomicU64,
    pub(crate) flags: AtomicU32,
    pub(crate) spare: AtomicU32,
    /// The reverse map of an anonymous page: an `AnonId`, or zero. First frame of a free block: its mark (`buddy`).
    pub(crate) mapping: AtomicU64,
    /// Mapped page: its virtual page number. Tail: its head. Free frame: the next free one or block.
    pub(crate) index: AtomicU64,
}

const _: () = assert!(size_of::<Frame>() == 32);

impl Frame {
    /// Whether the frame is part of a large folio. It can change while nobody holds a reference.
    #[inline]
    pub(crate) fn is_large(&self) -> bool {
        self.flags.read_once() & Flags::LARGE.bits() != 0
    }
}

/// All frames of a machine.
pub struct Frames {
    base: u64,
    store: Store,
    first_node: NodeId,
    /// Who owns the free frames, if not the lists in `store`.
    outside: Option<&'static dyn FrameSource>,
}

impl Frames {
    /// Whether the table has such a frame.
    #[inline]
    pub fn contains(&self, pfn: Pfn) -> bool {
        pfn.0.wrapping_sub(self.base) < self.store.frames().len() as u64
    }

    /// All frame numbers of the table, holes included.
    pub fn all(&self) -> impl Iterator<Item = Pfn> {
        (self.base..self.base + self.store.frames().len() as u64).map(Pfn)
    }

    /// The metadata of `pfn`.
    ///
    /// # Panics
    /// When the machine has no such frame: only entries that this crate wrote are looked up, so that is a broken table.
    #[inline]
    pub(crate) fn frame(&self, pfn: Pfn) -> &Frame {
        &self.store.frames()[(pfn.0 - self.base) as usize]
    }

    /// The counts of a frame, now. Of a tail: its own, which hold nothing but the exclusive mark.
    #[inline]
    pub fn counts(&self, pfn: Pfn) -> Counts {
        Counts(self.frame(pfn).counts.read_once())
    }

    /// As [`Frames::counts`], while nothing else runs: not a step of an exploration.
    pub(crate) fn peek_counts(&self, pfn: Pfn) -> Counts {
        Counts(self.frame(pfn).counts.peek())
    }

    /// The flags of a frame, now.
    #[inline]
    pub fn flags(&self, pfn: Pfn) -> Flags {
        Flags::from_bits_truncate(self.frame(pfn).flags.read_once())
    }

    /// As [`Frames::flags`], while nothing else runs: not a step of an exploration.
    pub(crate) fn peek_flags(&self, pfn: Pfn) -> Flags {
        Flags::from_bits_truncate(self.frame(pfn).flags.peek())
    }

    /// The node on which a frame lies.
    #[inline]
    pub fn node(&self, pfn: Pfn) -> NodeId {
        node_of(self.frame(pfn).flags.peek())
    }

    /// From the first frame of the table to the last, holes included, as if all were of the first span's node.
    pub(crate) fn extent(&self) -> NodeSpan {
        let frames = self.store.frames().len() as u64;
        NodeSpan { node: self.first_node, first: Pfn(self.base), frames }
    }

    /// The node of the first span.
    pub(crate) fn first_node(&self) -> NodeId {
        self.first_node
    }

    /// Whether the free frames belong to an outside owner.
    pub(crate) fn has_outside_owner(&self) -> bool {
        self.outside.is_some()
    }

    /// The head of the folio that `pfn` belongs to: itself for a small one.
    #[inline]
    pub fn head_of(&self, pfn: Pfn) -> Pfn {
        self.folio(pfn).0
    }

    /// As [`Frames::head_of`], with the head's metadata.
    #[inline]
    pub(crate) fn folio(&self, pfn: Pfn) -> (Pfn, &Frame) {
        let frame = self.frame(pfn);
        if frame.flags.read_once() & Flags::TAIL.bits() == 0 {
            (pfn, frame)
        } else {
            let head = Pfn(frame.index.read_once());
            (head, self.frame(head))
        }
    }

    /// log2 of the number of frames in the folio whose head is `head`.
    pub fn order(&self, head: Pfn) -> u32 {
        order_of(self.frame(head).flags.read_once())
    }

    /// Adds `refs` references to a frame that is alive for certain.
    #[inline]
    pub(crate) fn get(&self, pfn: Pfn, refs: u32) {
        self.folio(pfn).1.counts.fetch_add(u64::from(refs) * REF);
    }

    /// Marks flags.
    #[inline]
    pub(crate) fn set_flags(&self, pfn: Pfn, flags: Flags) {
        self.frame(pfn).flags.fetch_or_relaxed(flags.bits());
    }

    /// Sets the exclusive mark; see INV-FRAME-3.
    #[inline]
    pub(crate) fn set_exclusive(&self, pfn: Pfn) {
        self.frame(pfn).counts.fetch_or(EXCLUSIVE);
    }

    /// Clears the exclusive mark; see INV-FRAME-3.
    #[inline]
    pub(crate) fn clear_exclusive(&self, pfn: Pfn) {
        self.frame(pfn).counts.fetch_and(!EXCLUSIVE);
    }
}

#[cfg(test)]
mod tests;
