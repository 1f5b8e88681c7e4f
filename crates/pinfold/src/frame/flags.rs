//! What a frame is, apart from its counts.

use crate::addr::NodeId;

bitflags::bitflags! {
    /// A frame's flags. The node, the zone and a folio's order lie in the upper half of the same
    /// word.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct Flags: u32 {
        /// The page lock is held.
        const LOCKED = 1 << 0;
        /// There are sleepers on the page lock.
        const WAITERS = 1 << 1;
        /// The contents are newer than any backing store.
        const DIRTY = 1 << 2;
        /// A page in the swap cache: of anonymous memory, or one of shared memory that is being
        /// read. Set and cleared under the lock of its swap device.
        const SWAP_CACHE = 1 << 3;
        /// Anonymous memory.
        const ANON = 1 << 4;
        /// The zero page: mapped without counts.
        const ZERO = 1 << 5;
        /// A page table; the frame's spare word is its lock.
        const TABLE = 1 << 6;
        /// First frame of a large folio.
        const HEAD = 1 << 7;
        /// Another frame of a large folio; its index word names the head.
        const TAIL = 1 << 8;
        /// Not for the allocator: a hole, or memory that has another owner.
        const RESERVED = 1 << 9;
        /// Isolated for migration, by a holder of a reference taken for that.
        const ISOLATED = 1 << 10;
        /// A page of a file, which has a store that it can be written back to.
        const FILE = 1 << 11;
        /// The contents are there: of a file's page, that it was read; of one of shared memory,
        /// that it is not on its way to a swap device. Of anonymous memory [`Flags::LAZY_FREE`].
        const UPTODATE = 1 << 12;
        /// A page of an object, which has it in its list; cleared under the page's lock.
        const CACHED = 1 << 13;
        /// A group of memory is charged for it; set before the page is in use.
        const CHARGED = 1 << 14;
        /// A page that is being written to its store, one of an object under the page's lock; or
        /// one in the swap cache.
        const WRITEBACK = 1 << 15;
        /// Of the pool of huge pages: on a folio's head, or, of one that is free there, on all its
        /// frames. Above the order in the word.
        const HUGETLB = 1 << 20;
    }
}

impl Flags {
    /// Of anonymous memory: its owner does not need the contents, which may go unless he stores to
    /// the page again. Set and cleared under the page's lock. No bit is left, and this one says
    /// nothing else there.
    pub(crate) const LAZY_FREE: Self = Self::UPTODATE;
    /// Of anonymous memory: a merged page, which stands for all equal ones ([`crate::merge`]). Set
    /// and cleared under the page's lock. Anonymous memory has no list that a page could be in.
    pub(crate) const KSM: Self = Self::CACHED;
    /// Anonymous memory that is merged has both of these.
    pub(crate) const MERGED: Self = Self::ANON.union(Self::KSM);
    /// A frame with either of these is part of a large folio.
    pub(crate) const LARGE: Self = Self::HEAD.union(Self::TAIL);
    /// A frame without these is a small page, and not in the swap cache.
    pub(crate) const LARGE_OR_SWAPPED: Self = Self::LARGE.union(Self::SWAP_CACHE);

    /// What a frame is allocated with whose contents migration can move: of private memory, or of
    /// an object.
    pub(crate) const MOVES: Self = Self::ANON.union(Self::FILE).union(Self::UPTODATE);

    /// Whether it is a page in the list of an object.
    pub(crate) fn is_cached(self) -> bool {
        self & Self::MERGED == Self::CACHED
    }

    /// Whether what the frame holds stays where it is: all but pages of objects, also one that is
    /// being read from a swap device, and private memory that is neither merged (INV-MERGE-4) nor
    /// of the pool.
    pub(crate) fn is_fixed(self) -> bool {
        let private = self & Self::MERGED == Self::ANON;
        let coming = self & Self::ANON.union(Self::SWAP_CACHE) == Self::SWAP_CACHE;
        self.contains(Self::HUGETLB) || !(private || coming || self.is_cached())
    }
}

const ORDER_SHIFT: u32 = 16;
const ORDER_MASK: u32 = 0xf << ORDER_SHIFT;
const ZONE_SHIFT: u32 = 21;
const ZONE_MASK: u32 = 0x3 << ZONE_SHIFT;
/// The lock of a large folio's tails, on its head (`tails`): a bit between the zone and the node,
/// which nothing but the lock changes while the frame is alive.
pub(crate) const TAILS_LOCK: u32 = 1 << 23;
const NODE_SHIFT: u32 = 24;

/// Node and zone in a flag word: constant from the day the frame is added.
pub(crate) const HOME_MASK: u32 = 0xff << NODE_SHIFT | ZONE_MASK;

/// The place of the zone in the word of a frame that was never added to the table.
pub(crate) const NO_ZONE: u32 = ZONE_MASK >> ZONE_SHIFT;

/// The upper half of the word for a frame of `node` in the zone at place `zone`.
pub(crate) const fn home_bits(node: NodeId, zone: u32) -> u32 {
    (node.0 as u32) << NODE_SHIFT | zone << ZONE_SHIFT
}

/// The node in a flag word.
pub(crate) const fn node_of(word: u32) -> NodeId {
    NodeId((word >> NODE_SHIFT) as u8)
}

/// The place of the zone in a flag word.
pub(crate) const fn zone_of(word: u32) -> u32 {
    (word & ZONE_MASK) >> ZONE_SHIFT
}

/// The largest order that fits into a flag word.
pub(crate) const LAST_ORDER: u32 = ORDER_MASK >> ORDER_SHIFT;

/// The order in a head's flag word.
pub(crate) const fn order_of(word: u32) -> u32 {
    (word & ORDER_MASK) >> ORDER_SHIFT
}

/// The order in a head's flag word, to be set.
pub(crate) const fn order_bits(order: u32) -> u32 {
    order << ORDER_SHIFT
}
