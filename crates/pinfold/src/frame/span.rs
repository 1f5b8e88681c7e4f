//! Which frames there are.

use core::fmt;

use crate::addr::{NodeId, Pfn};
use crate::error::NoMemory;

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

impl NodeSpan {
    pub(crate) const fn end(&self) -> u64 {
        self.first.0 + self.frames
    }
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
    /// The region for the metadata is too small; both in elements of [`crate::FrameMeta`].
    RegionTooSmall {
        /// What was given.
        given: usize,
        /// What the spans need.
        needed: usize,
    },
}

impl fmt::Display for NodeSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} frames from {} on {}", self.frames, self.first, self.node)
    }
}

impl fmt::Display for SpanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PastTheEnd(span) => write!(f, "{span} run past the last address: pass fewer"),
            Self::Overlap(a, b) => write!(f, "{a} and {b} overlap: list each frame only once"),
            Self::NoMemory => NoMemory.fmt(f),
            Self::RegionTooSmall { given, needed } => write!(
                f,
                "the metadata of these spans needs {needed} elements, not {given}: ask `metadata_len`"
            ),
        }
    }
}

impl core::error::Error for SpanError {}

impl From<NoMemory> for SpanError {
    fn from(NoMemory: NoMemory) -> Self {
        Self::NoMemory
    }
}
