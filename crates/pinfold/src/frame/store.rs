//! The memory of the frame table: one region for the nodes' free lists and the metadata of all
//! frames, from the heap or from the embedder.
//!
//! INV-STORE-1: the lists and the metadata lie in the region, do not overlap, and are initialised.
//! They are never moved.

use ::alloc::vec::Vec;
use core::fmt;
use core::mem::{ManuallyDrop, MaybeUninit};
use core::ptr::NonNull;
use core::slice;

use super::buddy::NodeLock;
use super::flags::{Flags, NO_ZONE, home_bits};
use super::meta::{Frame, Metadata};
use super::span::SpanError;
use crate::addr::NodeId;
use crate::error::NoMemory;
use crate::sync::{AtomicU32, AtomicU64};

/// Room for the metadata of one frame, 32 bytes, in a region that the embedder gives.
#[repr(transparent)]
pub struct FrameMeta(#[allow(dead_code, reason = "only its size and alignment are used")] Frame);

impl fmt::Debug for FrameMeta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameMeta").finish_non_exhaustive()
    }
}

/// The frame table's memory.
pub(super) struct Store {
    nodes: NonNull<NodeLock>,
    node_count: usize,
    metadata: Metadata,
    /// The region's capacity as a `Vec`, when it came from the heap.
    heap: Option<usize>,
}

// SAFETY: a store is the only way to reach the contents of its region, which are Sync, and the
// region belongs to no thread.
unsafe impl Send for Store {}
// SAFETY: as above.
unsafe impl Sync for Store {}

const _: () = assert!(align_of::<NodeLock>() <= align_of::<FrameMeta>());

/// The number of elements that the lists of `nodes` nodes take in a region.
const fn list_elements(nodes: usize) -> usize {
    (nodes * size_of::<NodeLock>()).div_ceil(size_of::<FrameMeta>())
}

/// The number of elements in a region for this many nodes and frames.
pub(super) fn elements(nodes: usize, frames: u64) -> Option<usize> {
    usize::try_from(frames).ok()?.checked_add(list_elements(nodes))
}

impl Store {
    /// A table of reserved frames, from number `base` up to `end`, in `region`, or on the heap when
    /// there is none.
    ///
    /// # Errors
    /// When the heap is exhausted or the region too small.
    pub(super) fn new(
        nodes: usize,
        (base, end): (u64, u64),
        region: Option<&'static mut [MaybeUninit<FrameMeta>]>,
    ) -> Result<Self, SpanError> {
        let needed = elements(nodes, end - base).ok_or(NoMemory)?;
        match region {
            Some(region) if region.len() < needed => {
                Err(SpanError::RegionTooSmall { given: region.len(), needed })
            }
            // SAFETY: the region is the table's from now on, and large enough.
            Some(region) => Ok(unsafe { Self::over(region, nodes, (base, needed), None) }),
            None => {
                let mut heap = Vec::new();
                heap.try_reserve_exact(needed).map_err(|_| NoMemory)?;
                let mut heap = ManuallyDrop::new(heap);
                let capacity = heap.capacity();
                let region = heap.spare_capacity_mut();
                // SAFETY: the vector is never touched again except by `drop`, and is large enough.
                Ok(unsafe { Self::over(region, nodes, (base, needed), Some(capacity)) })
            }
        }
    }

    /// # Safety
    /// Nobody else uses `region` while the store lives; it has at least `needed` elements, which is
    /// what [`elements`] gives for `nodes`.
    unsafe fn over(
        region: &mut [MaybeUninit<FrameMeta>],
        nodes: usize,
        (base, needed): (u64, usize),
        heap: Option<usize>,
    ) -> Self {
        let first = NonNull::from(region).cast::<Frame>();
        let lists = list_elements(nodes);
        let (nodes_at, frame_count) = (first.cast::<NodeLock>(), needed - lists);
        // SAFETY: `lists` is at most `needed`, so this stays in the region.
        let frames = unsafe { first.add(lists) };
        for node in 0..nodes {
            // SAFETY: the lists' elements have room for all nodes' lists, suitably aligned.
            unsafe { nodes_at.add(node).write(NodeLock::new()) };
        }
        for frame in 0..frame_count {
            let reserved = Frame {
                counts: AtomicU64::new(0),
                flags: AtomicU32::new(Flags::RESERVED.bits() | home_bits(NodeId(0), NO_ZONE)),
                spare: AtomicU32::new(0),
                mapping: AtomicU64::new(0),
                index: AtomicU64::new(0),
            };
            // SAFETY: one of the elements after the lists.
            unsafe { frames.add(frame).write(reserved) };
        }
        // SAFETY: they were just written, and `drop` ends their life and that of this value.
        let metadata = unsafe { Metadata::new(base, frames, frame_count) };
        Self { nodes: nodes_at, node_count: nodes, metadata, heap }
    }

    /// The nodes' free lists.
    #[inline]
    pub(super) fn nodes(&self) -> &[NodeLock] {
        // SAFETY: INV-STORE-1.
        unsafe { slice::from_raw_parts(self.nodes.as_ptr(), self.node_count) }
    }

    /// The metadata of all frames.
    #[inline]
    pub(super) fn metadata(&self) -> &Metadata {
        &self.metadata
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let nodes = NonNull::slice_from_raw_parts(self.nodes, self.node_count);
        let frames = NonNull::from(self.metadata.all());
        // SAFETY: INV-STORE-1, and nobody looks at them again.
        unsafe {
            nodes.drop_in_place();
            frames.drop_in_place();
        }
        if let Some(capacity) = self.heap {
            let region = self.nodes.cast::<MaybeUninit<FrameMeta>>().as_ptr();
            // SAFETY: the region was the spare capacity of such a vector, which `new` released.
            drop(unsafe { Vec::from_raw_parts(region, 0, capacity) });
        }
    }
}
