//! What a slot remembers of the page that left memory for it. Protocol: [`crate::workingset`].

use crate::addr::NodeId;
use crate::frame::Used;

/// The lowest bits of an age that a shadow keeps.
const AGE_BITS: u32 = 55;
/// Where they begin: above the node's number and the bit of a page that has been in use.
const AGE_SHIFT: u32 = u64::BITS - AGE_BITS;
const NODE_SHIFT: u32 = 1;
const USED: u64 = 1;

/// When a page left memory, and from where, in a word.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Shadow(u64);

impl Shadow {
    /// Of a page that leaves `node`, whose age this is.
    pub(crate) const fn new(node: NodeId, age: u64, used: Used) -> Self {
        let used = match used {
            Used::Before => USED,
            Used::Never => 0,
        };
        Self(age << AGE_SHIFT | (node.0 as u64) << NODE_SHIFT | used)
    }

    /// The node.
    pub(crate) const fn node(self) -> NodeId {
        NodeId((self.0 >> NODE_SHIFT) as u8)
    }

    /// Whether the page had been in use.
    pub(crate) const fn used(self) -> Used {
        match self.0 & USED {
            0 => Used::Never,
            _ => Used::Before,
        }
    }

    /// How much older the node has become, whose age is `now`: right also where ages have wrapped
    /// meanwhile, if it is less than 2^55.
    pub(crate) const fn distance(self, now: u64) -> u64 {
        now.wrapping_sub(self.0 >> AGE_SHIFT) & (u64::MAX >> AGE_SHIFT)
    }

    /// The word.
    pub(super) const fn bits(self) -> u64 {
        self.0
    }

    /// What [`Shadow::bits`] gave.
    pub(super) const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }
}
