//! The frame table: what every physical page is, who refers to it, who maps it.
//!
//! Protocol: all of a [`Frame`] is atomic. The counts change by read-modify-writes of anyone who may: a mapping's holder under the
//! page-table lock, a lock-free walker by [`Frames::try_get`] only. A free frame has no references, so `try_get` fails on it; whoever
//! brings the references to zero frees the frame, alone.
//!
//! Invariants:
//! - INV-FRAME-1: references >= mappings, at every moment (facts 9.9).
//! - INV-FRAME-2: a free frame has all counts zero and the flags of its node only.
//! - INV-FRAME-3: the exclusive mark changes under the lock of the page table that maps the frame, or while nobody maps it.
//! - INV-FRAME-4: references and pins of a large folio are counted on its head; a tail's own references are zero (facts 5.3).
//! - INV-FRAME-5: the mark is looked up on the frame that an entry maps, not on the head (facts 9.6).

mod alloc;
mod counts;
mod flags;
mod pin;

use ::alloc::vec::Vec;
use core::fmt;

use crate::addr::{NodeId, PAGE_SHIFT, Pfn};
use crate::error::NoMemory;
use crate::sync::{self, AtomicU32, AtomicU64, Name, SpinLock};

pub(crate) use alloc::Put;
pub(crate) use alloc::Start;
pub use alloc::{NewFrame, Placement};
pub use counts::Counts;
pub(crate) use counts::{EXCLUSIVE, MAP, REF};
pub use flags::Flags;
use flags::{node_bits, node_of, order_of};

pub(crate) use pin::Grab;
pub use pin::PIN_BIAS;

use alloc::FreeList;

/// The metadata of one frame: 32 bytes (Linux: 64).
///
/// Who protects what: `counts` and `flags` are atomic; `spare` is the page-table lock of a table or the exact pin count of a large
/// folio's head; `mapping` and `index` are set before a page is first mapped and constant until it is free.
#[repr(C, align(32))]
pub(crate) struct Frame {
    pub(crate) counts: AtomicU64,
    pub(crate) flags: AtomicU32,
    pub(crate) spare: AtomicU32,
    /// The reverse map of an anonymous page: an `AnonId`, or zero.
    pub(crate) mapping: AtomicU64,
    /// Mapped page: its virtual page number. Tail: its head. Free frame: the next free one.
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

/// Memory of one node: `frames` frames from `first`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NodeSpan {
    /// The node.
    pub node: NodeId,
    /// The first frame.
    pub first: Pfn,
    /// How many.
    pub frames: u64,
}

/// Why spans do not make a frame table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SpanError {
    /// The span runs past the last address.
    PastTheEnd(NodeSpan),
    /// Two spans share frames.
    Overlap(NodeSpan, NodeSpan),
    /// The heap cannot hold the table.
    NoMemory,
}

impl fmt::Display for NodeSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} frames from {} on {}", self.frames, self.first, self.node)
    }
}

impl fmt::Display for SpanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PastTheEnd(span) => write!(f, "{span} run past the last address: give fewer"),
            Self::Overlap(a, b) => write!(f, "{a} and {b} overlap: give each frame to one node"),
            Self::NoMemory => NoMemory.fmt(f),
        }
    }
}

impl core::error::Error for SpanError {}

impl From<NoMemory> for SpanError {
    fn from(NoMemory: NoMemory) -> Self {
        Self::NoMemory
    }
}

/// All frames of a machine.
pub struct Frames {
    base: u64,
    frames: Vec<Frame>,
    nodes: Vec<SpinLock<FreeList>>,
}

impl Frames {
    /// A table over `spans`, everything free.
    ///
    /// # Errors
    /// When a span runs past the last address or overlaps another, or when the heap cannot hold the table: 32 bytes a frame, holes
    /// included.
    pub fn new(spans: &[NodeSpan]) -> Result<Self, SpanError> {
        check(spans)?;
        let base = spans.iter().map(|span| span.first.0).min().unwrap_or(0);
        let end = spans.iter().map(|span| span.first.0 + span.frames).max().unwrap_or(0);
        let mut frames = Vec::new();
        frames.try_reserve_exact((end - base) as usize).map_err(|_| NoMemory)?;
        frames.extend((base..end).map(|_| Frame {
            counts: AtomicU64::new(0),
            flags: AtomicU32::new(Flags::RESERVED.bits()),
            spare: AtomicU32::new(0),
            mapping: AtomicU64::new(0),
            index: AtomicU64::new(0),
        }));
        let node_count = spans.iter().map(|span| span.node.0 as usize + 1).max().unwrap_or(0);
        let mut nodes = Vec::new();
        nodes.try_reserve_exact(node_count).map_err(|_| NoMemory)?;
        nodes.extend((0..node_count).map(|_| SpinLock::new(FreeList::default())));
        let this = Self { base, frames, nodes };
        for (node, list) in this.nodes.iter().enumerate() {
            sync::label(list, size_of_val(list), move |_| Name {
                object: "node",
                index: node as u64,
                cell: "free list",
            });
        }
        for span in spans {
            for pfn in (span.first.0..span.first.0 + span.frames).rev().map(Pfn) {
                this.label(pfn);
                this.frame(pfn).flags.init(node_bits(span.node));
                this.release(pfn);
            }
        }
        Ok(this)
    }

    fn label(&self, pfn: Pfn) {
        let frame = self.frame(pfn);
        sync::label(frame, size_of::<Frame>(), move |offset| Name {
            object: "frame",
            index: pfn.0,
            cell: match offset {
                0..8 => "counts",
                8..12 => "flags",
                12..16 => "pins",
                16..24 => "mapping",
                _ => "index",
            },
        });
    }

    /// Whether the table has such a frame.
    #[inline]
    pub fn contains(&self, pfn: Pfn) -> bool {
        pfn.0.wrapping_sub(self.base) < self.frames.len() as u64
    }

    /// All frame numbers of the table, holes included.
    pub fn all(&self) -> impl Iterator<Item = Pfn> {
        (self.base..self.base + self.frames.len() as u64).map(Pfn)
    }

    /// The metadata of `pfn`.
    ///
    /// # Panics
    /// When the machine has no such frame: only entries that this crate wrote are looked up, so that is a broken table.
    #[inline]
    pub(crate) fn frame(&self, pfn: Pfn) -> &Frame {
        &self.frames[(pfn.0 - self.base) as usize]
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

/// Every span ends at an address, and no two share a frame.
fn check(spans: &[NodeSpan]) -> Result<(), SpanError> {
    const END: u64 = u64::MAX >> PAGE_SHIFT;
    for (index, span) in spans.iter().enumerate() {
        if span.first.0.checked_add(span.frames).is_none_or(|end| end > END) {
            return Err(SpanError::PastTheEnd(*span));
        }
        let before = &spans[..index];
        let overlaps = |other: &&NodeSpan| {
            other.first.0 < span.first.0 + span.frames
                && span.first.0 < other.first.0 + other.frames
        };
        if let Some(other) = before.iter().find(overlaps) {
            return Err(SpanError::Overlap(*other, *span));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
