//! The memory of the frame table: one region for the nodes' free lists and the metadata of all frames, from the heap or from the embedder.
//!
//! INV-STORE-1: the lists and the metadata lie in the region, do not overlap, and are initialised. They are never moved.

use ::alloc::vec::Vec;
use core::mem::{ManuallyDrop, MaybeUninit};
use core::ptr::NonNull;
use core::slice;

use super::buddy::Node;
use super::flags::Flags;
use super::{Frame, SpanError};
use crate::error::NoMemory;
use crate::sync::{AtomicU32, AtomicU64, Inside, Masks, SpinLock, SpinLocked};

/// Room for the metadata of one frame, 32 bytes, in a region that the embedder gives.
#[repr(transparent)]
pub struct FrameMeta(#[allow(dead_code, reason = "only its size and alignment are used")] Frame);

/// The frame table's memory.
pub(super) struct Store {
    nodes: NonNull<NodeLock>,
    node_count: usize,
    frames: NonNull<Frame>,
    frame_count: usize,
    /// The region's capacity as a `Vec`, when it came from the heap.
    heap: Option<usize>,
}

// SAFETY: a store is the only way to what lies in its region, which is Sync, and the region belongs to no thread.
unsafe impl Send for Store {}
// SAFETY: as above.
unsafe impl Sync for Store {}

/// The lock around a node's free frames. Switches interrupts off where a kernel wants that, as a handler may release a hold: INV-MASK-3.
pub(super) struct NodeLock(SpinLock<Node>);

/// A node's free frames, locked.
pub(super) type LockedNode<'a> = Inside<SpinLocked<'a, Node>>;

impl NodeLock {
    #[inline]
    pub(super) fn lock(&self) -> LockedNode<'_> {
        Inside::lock(Masks::Interrupts, || self.0.lock())
    }
}

const _: () = assert!(align_of::<NodeLock>() <= align_of::<FrameMeta>());

/// How many elements of a region the lists of `nodes` nodes take.
const fn list_elements(nodes: usize) -> usize {
    (nodes * size_of::<NodeLock>()).div_ceil(size_of::<FrameMeta>())
}

/// How many elements a region for so many nodes and frames has.
pub(super) fn elements(nodes: usize, frames: u64) -> Option<usize> {
    usize::try_from(frames).ok()?.checked_add(list_elements(nodes))
}

impl Store {
    /// A table of reserved frames in `region`, or on the heap when there is none.
    ///
    /// # Errors
    /// When the heap is exhausted or the region too small.
    pub(super) fn new(
        nodes: usize,
        frames: u64,
        region: Option<&'static mut [MaybeUninit<FrameMeta>]>,
    ) -> Result<Self, SpanError> {
        let needed = elements(nodes, frames).ok_or(NoMemory)?;
        match region {
            Some(region) if region.len() < needed => {
                Err(SpanError::RegionTooSmall { given: region.len(), needed })
            }
            // SAFETY: the region is the table's from now on, and large enough.
            Some(region) => Ok(unsafe { Self::over(region, nodes, needed, None) }),
            None => {
                let mut heap = Vec::new();
                heap.try_reserve_exact(needed).map_err(|_| NoMemory)?;
                let mut heap = ManuallyDrop::new(heap);
                let capacity = heap.capacity();
                let region = heap.spare_capacity_mut();
                // SAFETY: the vector is never touched again but by `drop`, and large enough.
                Ok(unsafe { Self::over(region, nodes, needed, Some(capacity)) })
            }
        }
    }

    /// # Safety
    /// Nobody else uses `region` while the store lives; it has at least `needed` elements, which is what [`elements`] says for `nodes`.
    unsafe fn over(
        region: &mut [MaybeUninit<FrameMeta>],
        nodes: usize,
        needed: usize,
        heap: Option<usize>,
    ) -> Self {
        let first = NonNull::from(region).cast::<Frame>();
        let lists = list_elements(nodes);
        let this = Self {
            nodes: first.cast(),
            node_count: nodes,
            // SAFETY: `lists` is at most `needed`, so this stays in the region.
            frames: unsafe { first.add(lists) },
            frame_count: needed - lists,
            heap,
        };
        for node in 0..this.node_count {
            // SAFETY: the lists' elements have room for all nodes' lists, suitably aligned.
            unsafe { this.nodes.add(node).write(NodeLock(SpinLock::new(Node::new()))) };
        }
        for frame in 0..this.frame_count {
            let reserved = Frame {
                counts: AtomicU64::new(0),
                flags: AtomicU32::new(Flags::RESERVED.bits()),
                spare: AtomicU32::new(0),
                mapping: AtomicU64::new(0),
                index: AtomicU64::new(0),
            };
            // SAFETY: one of the elements behind the lists.
            unsafe { this.frames.add(frame).write(reserved) };
        }
        this
    }

    /// The nodes' free lists.
    #[inline]
    pub(super) fn nodes(&self) -> &[NodeLock] {
        // SAFETY: INV-STORE-1.
        unsafe { slice::from_raw_parts(self.nodes.as_ptr(), self.node_count) }
    }

    /// The metadata of all frames.
    #[inline]
    pub(super) fn frames(&self) -> &[Frame] {
        // SAFETY: INV-STORE-1.
        unsafe { slice::from_raw_parts(self.frames.as_ptr(), self.frame_count) }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let nodes = NonNull::slice_from_raw_parts(self.nodes, self.node_count);
        let frames = NonNull::slice_from_raw_parts(self.frames, self.frame_count);
        // SAFETY: INV-STORE-1, and nobody looks at them again.
        unsafe {
            nodes.drop_in_place();
            frames.drop_in_place();
        }
        if let Some(capacity) = self.heap {
            let region = self.nodes.cast::<MaybeUninit<FrameMeta>>().as_ptr();
            // SAFETY: the region was the spare capacity of such a vector, which `new` let go of.
            drop(unsafe { Vec::from_raw_parts(region, 0, capacity) });
        }
    }
}
