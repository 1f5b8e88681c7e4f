//! Where frames come from and go back to: the manager's own free lists, or an outside owner.
//!
//! Protocol: the manager asks for a run of frames, keeps all that it knows of them in its own
//! metadata, and gives the run back once, whole, when nobody refers to it any more. The owner never
//! looks at the metadata, the manager never at the owner's books.
//!
//! Invariants:
//! - INV-SOURCE-1: a frame has one owner at a time. From the return of [`FrameSource::alloc`] to
//!   the call of [`FrameSource::free`] it is the manager's.
//! - INV-SOURCE-2: what is given back is what was taken: the same first frame, the same order.

use crate::addr::{NodeId, Pfn};
use crate::error::OutOfFrames;

/// Where a new frame may lie.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Placement {
    /// On this node if possible, else on any other.
    Prefer(NodeId),
    /// On this node or nowhere.
    Only(NodeId),
}

/// What frames are for, and so which part of memory they may come from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Zone {
    /// Anything that never moves: page tables, the zero page, shared pages, the embedder's own.
    /// From memory that is not set apart as movable, above 4 GiB first.
    Any,
    /// As [`Zone::Any`], but every byte has an address below 4 GiB: for a device that can reach no
    /// further.
    Low32,
    /// Contents that migration can take elsewhere, anonymous pages. From memory that is set apart
    /// as movable first, then as [`Zone::Any`].
    Movable,
}

/// A request for `1 << order` contiguous frames, the first one at a multiple of their number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Request {
    /// log2 of the number of frames, at most [`super::MAX_ORDER`].
    pub order: u32,
    /// On which node.
    pub placement: Placement,
    /// In which part of memory.
    pub zone: Zone,
}

/// An owner of free frames outside the manager: a kernel's own global allocator.
///
/// The context in which it is called:
/// - `alloc`: with sleeping locks of the manager held (an address space's, an object's page list),
///   and in fork inside the section in which lock-free pins are refused; with no page-table lock,
///   and not in a walk section. So it may take long, but everything that waits for those locks
///   waits with it.
/// - `free`: wherever a last reference is dropped: from a lock-free pin inside a walk section,
///   under the locks of reverse maps and address spaces, or from the drop of a guard or of retired
///   tables ([`crate::Platform::defer`]) in the embedder's own context. It must not sleep.
/// - Neither may call the manager: it would meet locks that its caller holds.
///
/// # Safety
/// The manager's soundness rests on the implementation:
/// - A run from `alloc` has the length and alignment of its order, lies in one span of the frame
///   table, and is not used by anyone else until it is given to `free`.
/// - For [`Placement::Only`] the run lies on that node; for [`Zone::Low32`] all of it below 4 GiB.
/// - Everything done to a frame before its `free` happens before the return of the `alloc` that
///   hands it out again, as with any lock.
pub unsafe trait FrameSource: Send + Sync {
    /// Takes a run of frames. Their contents are unspecified.
    ///
    /// # Errors
    /// When no free run fits the request. This is ordinary: the operation that needs it fails and
    /// changes nothing.
    fn alloc(&self, request: Request) -> Result<Pfn, OutOfFrames>;

    /// Takes back the run of `1 << order` frames from `first`: what [`FrameSource::alloc`] gave, or
    /// an aligned part of that, as a large folio that was split comes back by single frames.
    ///
    /// # Safety
    /// The frames came from `alloc`, with this order or in a larger run, nobody uses them any more,
    /// and each is given back once.
    unsafe fn free(&self, first: Pfn, order: u32);

    /// The number of free frames of `node`. A statistic: it may be stale when it is returned.
    fn free_frames(&self, node: NodeId) -> u64;

    /// The number of free frames of all nodes. A statistic as well.
    fn total_free(&self) -> u64;
}
