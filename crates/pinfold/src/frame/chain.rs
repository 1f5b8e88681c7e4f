//! Single free frames on their way between a node's lists and a CPU's stock.

use super::meta::{Frame, Metadata};
use super::source::Zone;
use crate::addr::Pfn;

/// Free frames, linked through their index words.
#[derive(Clone, Copy, Hash, Debug, Default)]
pub(super) struct Chain {
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) len: u64,
}

impl Chain {
    #[inline]
    pub(super) fn push(&mut self, frame: &Frame, pfn: Pfn) {
        frame.index.write_once(self.first);
        if self.len == 0 {
            self.last = pfn.0;
        }
        self.first = pfn.0;
        self.len += 1;
    }

    #[inline]
    pub(super) fn pop(&mut self, frames: &Metadata) -> Pfn {
        let pfn = Pfn(self.first);
        self.first = frames.frame(pfn).index.peek();
        self.len -= 1;
        pfn
    }
}

/// The bit of a kind of request that stocks serve; none for those that they never do.
#[inline]
pub(super) const fn kind(zone: Zone) -> u32 {
    match zone {
        Zone::Any => 1,
        Zone::Movable => 2,
        Zone::Low32 => 0,
    }
}

/// A batch for a stock.
pub(super) struct Batch {
    pub(super) chain: Chain,
    /// The requests that may have frames of their zone now: bits of [`kind`].
    pub(super) serves: u32,
}
