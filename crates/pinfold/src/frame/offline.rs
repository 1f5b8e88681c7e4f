//! Taking frames out and bringing them back while others are in use: memory hotplug's part of the
//! frame table.
//!
//! Protocol: under the lock of the node's lists, into which its stocks' frames come first, what is
//! free of a span leaves the lists and is reserved. It keeps its home, by which it goes back to
//! where it was; a frame that was never added has none. Frames in use are not touched. One takes
//! memory out at a time ([`Leaving`]): what is out of his span is his, and he may bring it back.

use super::flags::{Flags, HOME_MASK, NO_ZONE, node_of, zone_of};
use super::frames::Frames;
use super::setup::MemoryMapError;
use super::span::NodeSpan;
use crate::addr::Pfn;

/// What all frames of a span are to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Wanted {
    /// Free or in use.
    Present,
    /// Taken out or reserved, and so with a home to go back to.
    Out,
}

/// Holds the right to take memory out; given back on drop.
pub(crate) struct Leaving<'a>(&'a Frames);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        *self.0.leaving.lock() = false;
    }
}

impl Frames {
    /// Begins to take memory out, `first` as the first frame, unless somebody else does so.
    pub(crate) fn begin_leaving(&self, first: Pfn) -> Result<Leaving<'_>, MemoryMapError> {
        let mut leaving = self.leaving.lock();
        if *leaving {
            return Err(MemoryMapError::Leaving(first));
        }
        *leaving = true;
        Ok(Leaving(self))
    }

    /// Checks that the frames of a span are of its node and of one zone, and what is wanted.
    pub(crate) fn check_span(&self, span: &NodeSpan, wanted: Wanted) -> Result<(), MemoryMapError> {
        let outside = MemoryMapError::Outside(span.first);
        let end = span.first.0.checked_add(span.frames).ok_or(outside)?;
        if self.has_outside_owner() {
            return Err(MemoryMapError::OthersOwn(span.first));
        }
        for pfn in (span.first.0..end).map(Pfn) {
            if !self.contains(pfn) {
                return Err(MemoryMapError::Outside(pfn));
            }
            let (home, first) = (self.home(pfn), self.home(span.first));
            if zone_of(home) == NO_ZONE {
                return Err(MemoryMapError::NeverAdded(pfn));
            }
            let out = self.is_out(pfn);
            match wanted {
                Wanted::Present if out => return Err(MemoryMapError::Out(pfn)),
                Wanted::Out if !out => return Err(MemoryMapError::NotReserved(pfn)),
                Wanted::Present | Wanted::Out => {}
            }
            if node_of(home) != span.node || home != first {
                return Err(MemoryMapError::Elsewhere(pfn));
            }
        }
        Ok(())
    }

    /// Checks that a span lies in one region for contiguous requests.
    pub(crate) fn check_cma(&self, span: &NodeSpan) -> Result<(), MemoryMapError> {
        let last = span.first.0.checked_add(span.frames).and_then(|end| end.checked_sub(1));
        let last = last.ok_or(MemoryMapError::Outside(span.first))?;
        let holds = |region: &NodeSpan, pfn| (region.first.0..region.end()).contains(&pfn);
        let region = self.cma.iter().find(|region| holds(region, span.first.0));
        // What came back by `add` is ordinary memory.
        let region = region.filter(|_| self.is_movable(span.first));
        let region = region.ok_or(MemoryMapError::NotCma(span.first))?;
        if holds(region, last) { Ok(()) } else { Err(MemoryMapError::NotCma(Pfn(last))) }
    }

    fn home(&self, pfn: Pfn) -> u32 {
        self.frame(pfn).flags.fixed(HOME_MASK)
    }

    /// Whether a frame is reserved.
    pub(crate) fn is_out(&self, pfn: Pfn) -> bool {
        self.frame(pfn).flags.fixed(Flags::RESERVED.bits()) != 0
    }

    /// Takes out what is free of a span that was checked; how many frames that were.
    pub(crate) fn take_out_free(&self, span: &NodeSpan) -> u64 {
        let mut node = self.store.nodes()[usize::from(span.node.0)].lock();
        self.recall(&mut node, span.node);
        let range = (span.first.0, span.end());
        let out = node.cut_free(self.metadata(), range, |pfn| self.set_aside(pfn));
        node.lose(zone_of(self.home(span.first)), out);
        drop(node);
        self.share_out(span.node);
        out
    }

    /// A frame that has just left the lists is reserved, and keeps its home.
    pub(super) fn set_aside(&self, pfn: Pfn) {
        self.frame(pfn).flags.write_once(Flags::RESERVED.bits() | self.home(pfn));
    }

    /// Brings those frames of a span back that are out; how many that were.
    pub(crate) fn bring_back(&self, span: &NodeSpan) -> u64 {
        let mut node = self.store.nodes()[usize::from(span.node.0)].lock();
        let mut brought = 0;
        for pfn in (span.first.0..span.end()).map(Pfn).filter(|pfn| self.is_out(*pfn)) {
            let home = self.home(pfn);
            self.frame(pfn).flags.write_once(home);
            node.give(self.metadata(), pfn, 0, zone_of(home));
            node.gain(zone_of(home), 1);
            brought += 1;
        }
        drop(node);
        self.share_out(span.node);
        brought
    }
}
