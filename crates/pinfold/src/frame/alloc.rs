//! The per-node allocator of frames. It can run dry, and says so.
//!
//! Each node's free frames form a stack through their index words, under that node's lock. Free frames are handed out in reverse
//! order of their freeing: the warmest first.

use super::{EXCLUSIVE, Flags, Frame, Frames, MAP, REF, node_bits, node_of};
use crate::addr::{NodeId, Pfn};
use crate::error::OutOfFrames;

/// The free frames of a node; protected by the lock around it.
#[derive(Debug, Default)]
pub(super) struct FreeList {
    top: Option<Pfn>,
    free: u64,
}

/// Ends the chain through the index words.
const NONE: u64 = u64::MAX;

/// Where a new frame may lie.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Placement {
    /// There if possible, else on any other node.
    Prefer(NodeId),
    /// There or nowhere.
    Only(NodeId),
}

/// With which counts a new frame starts. They are set in one store: a lock-free walker with a stale entry may add to them from then on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Start {
    /// One reference.
    Held,
    /// One reference, one mapping, exclusive: a private page that an entry is going to map.
    Mapped,
}

impl Start {
    const fn counts(self) -> u64 {
        match self {
            Self::Held => REF,
            Self::Mapped => REF | MAP | EXCLUSIVE,
        }
    }
}

/// A frame with one reference that nobody else knows yet; goes back to its node on drop.
#[must_use]
pub struct NewFrame<'a> {
    frames: &'a Frames,
    pfn: Pfn,
    start: Start,
}

impl NewFrame<'_> {
    /// Its number.
    #[inline]
    pub fn pfn(&self) -> Pfn {
        self.pfn
    }

    /// Hands the one reference to the caller.
    #[inline]
    pub fn keep(self) -> Pfn {
        let pfn = self.pfn;
        core::mem::forget(self);
        pfn
    }
}

impl<'a> NewFrame<'a> {
    /// The frame that [`NewFrame::keep`] has handed out, to be given back.
    ///
    /// # Panics
    /// When `frames` has no such frame.
    ///
    /// # Safety
    /// The frame came from [`Frames::take`] of the same `frames`, was kept, and is given back once.
    pub unsafe fn kept(frames: &'a Frames, pfn: Pfn) -> Self {
        assert!(frames.contains(pfn), "{pfn} is none of these frames");
        Self { frames, pfn, start: Start::Held }
    }
}

impl Drop for NewFrame<'_> {
    fn drop(&mut self) {
        if self.start == Start::Mapped {
            self.frames.frame(self.pfn).counts.fetch_sub(MAP);
        }
        self.frames.drop_unused(self.pfn, 1);
    }
}

/// What dropping references left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Put {
    /// Others still hold the frame.
    Held,
    /// Nobody holds it any more: the caller has to release it.
    Last,
    /// There were fewer references than were dropped. Nothing changed.
    Underflow,
}

impl Frame {
    /// Drops `refs` references of a folio's head.
    #[inline]
    pub(crate) fn put(&self, refs: u32) -> Put {
        let old = self.counts.fetch_sub(u64::from(refs) * REF) as u32;
        if old > refs {
            return Put::Held;
        }
        if old == refs {
            return Put::Last;
        }
        self.counts.fetch_add(u64::from(refs) * REF);
        Put::Underflow
    }
}

impl Frames {
    /// Takes a free frame for the embedder's own use: a kernel's table, a buffer. Its contents are whatever they were.
    ///
    /// # Errors
    /// When the placement leaves no free frame.
    pub fn take(&self, placement: Placement) -> Result<NewFrame<'_>, OutOfFrames> {
        self.alloc(placement, Flags::empty(), Start::Held)
    }

    /// Takes a free frame, with `flags` set and the counts of `start`.
    ///
    /// # Errors
    /// When the placement leaves no free frame.
    pub(crate) fn alloc(
        &self,
        placement: Placement,
        flags: Flags,
        start: Start,
    ) -> Result<NewFrame<'_>, OutOfFrames> {
        let found = match placement {
            Placement::Only(node) => self.pop(node),
            Placement::Prefer(node) => {
                let nodes = self.nodes.len();
                (0..nodes)
                    .find_map(|step| self.pop(NodeId(((usize::from(node.0) + step) % nodes) as u8)))
            }
        };
        let pfn = found.ok_or(OutOfFrames)?;
        let frame = self.frame(pfn);
        frame.flags.write_once(flags.bits() | node_bits(node_of(frame.flags.peek())));
        frame.spare.init(0);
        frame.counts.write_once(start.counts());
        Ok(NewFrame { frames: self, pfn, start })
    }

    fn pop(&self, node: NodeId) -> Option<Pfn> {
        let mut list = self.nodes.get(usize::from(node.0))?.lock();
        let pfn = list.top?;
        let next = self.frame(pfn).index.peek();
        list.top = (next != NONE).then_some(Pfn(next));
        list.free -= 1;
        Some(pfn)
    }

    /// How many frames of `node` are free.
    pub fn free_frames(&self, node: NodeId) -> u64 {
        self.nodes.get(usize::from(node.0)).map_or(0, |list| list.lock().free)
    }

    /// How many frames are free on all nodes.
    pub fn total_free(&self) -> u64 {
        self.nodes.iter().map(|list| list.lock().free).sum()
    }

    /// Puts a frame without references, and all frames of its folio, back on its node's list.
    pub(crate) fn release(&self, head: Pfn) {
        let last = head.0 + (1 << self.order(head));
        for pfn in (head.0..last).rev().map(Pfn) {
            let frame = self.frame(pfn);
            let node = node_of(frame.flags.peek());
            frame.flags.write_once(node_bits(node));
            if frame.counts.peek() & EXCLUSIVE != 0 {
                frame.counts.write_once(0);
            }
            frame.mapping.init(0);
            let mut list = self.nodes[usize::from(node.0)].lock();
            frame.index.init(list.top.map_or(NONE, |top| top.0));
            list.top = Some(pfn);
            list.free += 1;
        }
    }
}
