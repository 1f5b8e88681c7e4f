//! From the machine's memory map to a frame table.

use alloc::vec::Vec;
use core::fmt;
use core::mem::MaybeUninit;

use super::flags::{Flags, HOME_MASK, home_bits, zone_of};
use super::frames::Frames;
use super::meta::Frame;
use super::pool::Pool;
use super::queue::Queue;
use super::source::FrameSource;
use super::span::{NodeSpan, SpanError};
use super::store::{self, FrameMeta, Store};
use super::zones::{HIGH, LOW, MOVABLE, Wanted};

use crate::addr::{NodeId, PAGE_SHIFT, Pfn};
use crate::charge::Charges;
use crate::sync::{self, CellName, SpinLock};

/// One past the last frame below 4 GiB.
const LOW_END: u64 = 1 << (32 - PAGE_SHIFT);

/// What a frame table is made of.
///
/// ```
/// use core::mem::MaybeUninit;
/// use pinfold::{FrameMeta, FrameSetup, NodeId, NodeSpan, Pfn, Placement, Zone};
///
/// let spans = [NodeSpan { node: NodeId(0), first: Pfn(0), frames: 64 }];
/// // Before there is a heap: a region of the boot image, or mapped memory outside the spans.
/// let setup = FrameSetup::new(&spans);
/// let region = Box::leak(Box::<[FrameMeta]>::new_uninit_slice(setup.metadata_len()?));
/// let frames = setup.metadata(region).build()?;
/// let heap = frames.take_run(4, Placement::Only(NodeId(0)), Zone::Any)?.keep();
/// assert!(heap.0.is_multiple_of(16) && frames.total_free() == 48);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub struct FrameSetup<'a> {
    spans: &'a [NodeSpan],
    movable: &'a [NodeSpan],
    cma: &'a [NodeSpan],
    region: Option<&'static mut [MaybeUninit<FrameMeta>]>,
    source: Option<&'static dyn FrameSource>,
}

impl fmt::Debug for FrameSetup<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut setup = f.debug_struct("FrameSetup");
        setup.field("spans", &self.spans).field("movable", &self.movable);
        setup.field("cma", &self.cma).finish_non_exhaustive()
    }
}

impl<'a> FrameSetup<'a> {
    /// A table over `spans`, all of it free, with its metadata on the heap.
    ///
    /// Frames between the spans need metadata as well and are reserved: memory with another owner,
    /// the kernel's image for instance, is left out of the spans and can be added later
    /// ([`Frames::add`]).
    pub const fn new(spans: &'a [NodeSpan]) -> Self {
        Self { spans, movable: &[], cma: &[], region: None, source: None }
    }

    /// More spans, of memory that is set apart for what migration can move
    /// ([`crate::Zone::Movable`]). Under the rules since 5.13 a long-term pin moves its page out of
    /// there first (rule `longterm-zone`, facts 3.10), but for huge pages of the pool and merged
    /// pages, which do not move.
    pub const fn movable(mut self, spans: &'a [NodeSpan]) -> Self {
        self.movable = spans;
        self
    }

    /// More spans, of memory that what can move has until somebody needs all of a span, or a part
    /// of it, in one piece ([`crate::Memory::take_contiguous`]; CMA). Each is a region of its own;
    /// the list of them is on the heap. Under the rules since 5.1 a long-term pin moves its page
    /// out of there (rule `longterm-zone`, facts 3.10). In [`Frames::zone_info`] it counts as
    /// [`crate::ZoneKind::Movable`], where Linux counts it with the zone around it.
    pub const fn cma(mut self, spans: &'a [NodeSpan]) -> Self {
        self.cma = spans;
        self
    }

    /// Puts the metadata into `region`, which has at least [`FrameSetup::metadata_len`] elements:
    /// nothing is allocated from the heap then, but for the list of the spans of
    /// [`FrameSetup::cma`].
    pub fn metadata(mut self, region: &'static mut [MaybeUninit<FrameMeta>]) -> Self {
        self.region = Some(region);
        self
    }

    /// Takes frames from `source` and gives them back to it. The spans say which frames that can
    /// be; they are the manager's only between [`FrameSource::alloc`] and [`FrameSource::free`].
    pub fn source(mut self, source: &'static dyn FrameSource) -> Self {
        self.source = Some(source);
        self
    }

    fn all(&self) -> impl Iterator<Item = &'a NodeSpan> + Clone {
        self.spans.iter().chain(self.movable).chain(self.cma)
    }

    fn bounds(&self) -> (u64, u64) {
        let base = self.all().map(|span| span.first.0).min().unwrap_or(0);
        (base, self.all().map(NodeSpan::end).max().unwrap_or(0))
    }

    fn node_count(&self) -> usize {
        self.all().map(|span| usize::from(span.node.0) + 1).max().unwrap_or(0)
    }

    /// The number of elements of the metadata: one for each frame from the first to the last, holes
    /// included, and some for each node up to the highest number.
    ///
    /// # Errors
    /// As [`FrameSetup::build`], for the spans.
    pub fn metadata_len(&self) -> Result<usize, SpanError> {
        self.check()?;
        let (base, end) = self.bounds();
        store::elements(self.node_count(), end - base).ok_or(SpanError::NoMemory)
    }

    /// Makes the table.
    ///
    /// # Errors
    /// When a span runs past the last address or overlaps another, when the heap cannot hold the
    /// metadata, or when the region for it is too small.
    pub fn build(self) -> Result<Frames, SpanError> {
        self.check()?;
        let (base, end) = self.bounds();
        let first_node = self.all().next().map_or(NodeId(0), |span| span.node);
        let (spans, movable) = (self.spans, self.movable);
        let mut cma = Vec::new();
        cma.try_reserve_exact(self.cma.len()).map_err(|_| SpanError::NoMemory)?;
        cma.extend_from_slice(self.cma);
        let store = Store::new(self.node_count(), (base, end), self.region)?;
        let frames = Frames {
            store,
            first_node,
            outside: self.source,
            stocks: None,
            charges: Charges::new(),
            queue: Queue::new(),
            pool: Pool::new(),
            lru: None,
            last_faults: None,
            forgets: false,
            movable: movable.iter().chain(&cma).any(|span| span.frames > 0),
            cma,
            wanted: Wanted::default(),
            is_bounded: false,
            leaving: SpinLock::new(false),
        };
        frames.queue.label();
        frames.pool.label();
        for (node, list) in frames.store.nodes().iter().enumerate() {
            sync::label(list, size_of_val(list), move |_| CellName::Object {
                object: "node",
                index: node as u64,
                cell: "free list",
            });
        }
        // The lowest ends up at the front of the lists.
        for span in spans.iter().rev() {
            frames.settle(span, false);
        }
        for span in movable.iter().chain(self.cma).rev() {
            frames.settle(span, true);
        }
        Ok(frames)
    }

    /// Every span ends at an address, and no two share a frame.
    fn check(&self) -> Result<(), SpanError> {
        const END: u64 = u64::MAX >> PAGE_SHIFT;
        for (index, span) in self.all().enumerate() {
            if span.first.0.checked_add(span.frames).is_none_or(|end| end > END) {
                return Err(SpanError::PastTheEnd(*span));
            }
            let overlaps =
                |other: &&NodeSpan| other.first.0 < span.end() && span.first.0 < other.end();
            if let Some(other) = self.all().take(index).find(overlaps) {
                return Err(SpanError::Overlap(*other, *span));
            }
        }
        Ok(())
    }
}

/// Why memory cannot be added to a table or taken out of it. Nothing has changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MemoryMapError {
    /// The frame is not between the first and the last frame of the table, or the node not below
    /// its highest: name them in the setup.
    Outside(Pfn),
    /// The frame is not reserved: it was added before.
    NotReserved(Pfn),
    /// The frame is not free.
    NotFree(Pfn),
    /// The frame is an outside owner's.
    OthersOwn(Pfn),
    /// The frame is out already.
    Out(Pfn),
    /// The frame was never added to the table: it lies between its spans.
    NeverAdded(Pfn),
    /// The frame lies on another node than the span says, or in another zone than its first.
    Elsewhere(Pfn),
    /// Another call is taking memory out, perhaps this frame.
    Leaving(Pfn),
    /// The frame is not of a region for contiguous requests, or of another one than the first.
    NotCma(Pfn),
}

impl fmt::Display for MemoryMapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Outside(pfn) => {
                write!(f, "{pfn} on that node lies outside the table: name both in the setup")
            }
            Self::NotReserved(pfn) => write!(f, "{pfn} is not reserved: it was added before"),
            Self::NotFree(pfn) => write!(f, "{pfn} is not free: take memory out before it is used"),
            Self::OthersOwn(pfn) => {
                write!(f, "{pfn} is an outside owner's: take memory out there, or bring it back")
            }
            Self::Out(pfn) => write!(f, "{pfn} is out already: name what is in use"),
            Self::NeverAdded(pfn) => write!(f, "{pfn} was never in use here: add it first"),
            Self::Elsewhere(pfn) => write!(
                f,
                "{pfn} lies on another node than named or in another zone than the first frame: \
                 name each part by itself"
            ),
            Self::NotCma(pfn) => write!(
                f,
                "{pfn} is of no region for contiguous requests, or of another than the first frame: \
                 name a part of one that the setup has"
            ),
            Self::Leaving(pfn) => {
                write!(f, "{pfn} stays: another call is taking memory out: try again after it")
            }
        }
    }
}

impl core::error::Error for MemoryMapError {}

impl Frames {
    /// A table over `spans`, everything free, with its metadata on the heap: [`FrameSetup`] with
    /// nothing else.
    ///
    /// # Errors
    /// When a span runs past the last address or overlaps another, or when the heap cannot hold the
    /// table: 32 bytes a frame, holes included.
    pub fn new(spans: &[NodeSpan]) -> Result<Self, SpanError> {
        FrameSetup::new(spans).build()
    }

    /// Adds memory later: frames that were reserved until now, for instance those of the boot
    /// loader or of code that has run. They serve all requests, those for unmovable memory
    /// included. With an outside owner they become frames that it may hand out.
    ///
    /// # Errors
    /// When the table has no place for the span, or when part of it is not reserved. Nothing has
    /// changed then.
    ///
    /// # Safety
    /// The frames are the caller's to give, as those of [`crate::Memory::new`] are, and nobody else
    /// adds them at the same time.
    pub unsafe fn add(&self, span: &NodeSpan) -> Result<(), MemoryMapError> {
        let end =
            span.first.0.checked_add(span.frames).ok_or(MemoryMapError::Outside(span.first))?;
        if usize::from(span.node.0) >= self.store.nodes().len() {
            return Err(MemoryMapError::Outside(span.first));
        }
        for pfn in (span.first.0..end).map(Pfn) {
            if !self.contains(pfn) {
                return Err(MemoryMapError::Outside(pfn));
            }
            if !self.peek_flags(pfn).contains(Flags::RESERVED) {
                return Err(MemoryMapError::NotReserved(pfn));
            }
        }
        self.settle(span, false);
        Ok(())
    }

    /// Takes out the `count` free frames from `first`: they are not handed out any more, unless
    /// they are added again. For what lies at a known place, for instance an image that the boot
    /// loader left in memory. Merges all single free frames of the node under one hold of its lock.
    /// No frames (`count` 0) can be taken out anywhere.
    ///
    /// # Errors
    /// When the frames are not of one node and one zone, when one of them is not free, when they
    /// are an outside owner's, or while another call takes memory out. Nothing has changed then.
    pub fn reserve(&self, first: Pfn, count: u64) -> Result<(), MemoryMapError> {
        if count == 0 {
            return Ok(());
        }
        let end = first.0.checked_add(count).ok_or(MemoryMapError::Outside(first))?;
        if let Some(pfn) = [first.0, end - 1].map(Pfn).iter().find(|pfn| !self.contains(**pfn)) {
            return Err(MemoryMapError::Outside(*pfn));
        }
        if self.has_outside_owner() {
            return Err(MemoryMapError::OthersOwn(first));
        }
        let _alone = self.begin_leaving(first)?;
        let id = self.node(first);
        let mut node = self.store.nodes()[usize::from(id.0)].lock();
        self.recall(&mut node, id);
        node.cut(self.metadata(), first.0, end).map_err(MemoryMapError::NotFree)?;
        (first.0..end).for_each(|pfn| self.set_aside(Pfn(pfn)));
        node.lose(zone_of(self.frame(first).flags.fixed(HOME_MASK)), count);
        drop(node);
        self.share_out(id);
        Ok(())
    }

    /// Gives the frames of a span their home and, without an outside owner, puts them into its
    /// lists.
    fn settle(&self, span: &NodeSpan, movable: bool) {
        let border = LOW_END.clamp(span.first.0, span.end());
        for (first, end, zone) in [(border, span.end(), HIGH), (span.first.0, border, LOW)] {
            let zone = if movable { MOVABLE } else { zone };
            for pfn in (first..end).map(Pfn) {
                self.label(pfn);
                self.frame(pfn).flags.init(home_bits(span.node, zone));
            }
            if self.outside.is_none() && first < end {
                let mut node = self.store.nodes()[usize::from(span.node.0)].lock();
                node.gain(zone, end - first);
                node.fill(self.metadata(), first, end);
            }
        }
        self.share_out(span.node);
    }

    fn label(&self, pfn: Pfn) {
        let frame = self.frame(pfn);
        sync::label(frame, size_of_val(frame), move |offset| CellName::Frame {
            frame: pfn,
            word: Frame::word_at(offset),
        });
    }
}
