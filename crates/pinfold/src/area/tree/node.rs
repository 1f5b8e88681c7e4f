//! A node: up to [`FAN`] entries, in the order of their pages.
//!
//! An entry is an area, or a subtree, which looks like one from above: it has a first page, an end,
//! and a largest gap inside (an area has none). So there is one kind of node for all levels, and
//! each operation on entries is written once.
//!
//! What a search reads lies together: the links and the number of entries in one cache line, the
//! first pages in the next two. Ends and gaps, of which a search needs one end at most, follow.

use super::pool::{NONE, Pooled};

/// The most entries of a node.
pub(super) const FAN: usize = 15;
/// The fewest entries of a node that is not the root.
pub(super) const LEAST: usize = FAN / 2;

/// Where there is no entry: after every page at which one can start.
const BEYOND: u64 = u64::MAX;
/// The last page at which one can start.
pub(super) const LAST: u64 = BEYOND - 1;

/// One entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Entry {
    /// The lowest page.
    pub(super) first: u64,
    /// One past the highest page.
    pub(super) end: u64,
    /// The largest gap between two areas inside.
    pub(super) gap: u64,
    /// The number of the node, or of the value.
    pub(super) link: u32,
}

impl Entry {
    /// No entry, to fill an array with.
    pub(super) const NONE: Self = Self { first: BEYOND, end: BEYOND, gap: 0, link: NONE };

    /// An area.
    pub(super) const fn area(first: u64, end: u64, link: u32) -> Self {
        Self { first, end, gap: 0, link }
    }
}

/// The entries of a node. Those from `len` on start at [`BEYOND`], so that a search need not ask
/// how many there are.
#[derive(Debug)]
#[repr(C, align(64))]
pub(super) struct Node {
    link: [u32; FAN],
    len: u32,
    first: [u64; FAN],
    end: [u64; FAN],
    gap: [u64; FAN],
}

const _: () = assert!(size_of::<Node>() == 448);

/// A node that is not in use has no entries, and the next such in the place of its first link.
impl Pooled for Node {
    fn vacant(next: u32) -> Self {
        let mut node = Self::new();
        node.link[0] = next;
        node
    }

    fn next(&self) -> u32 {
        self.link[0]
    }
}

impl Node {
    /// A node without entries.
    pub(super) const fn new() -> Self {
        Self { link: [NONE; FAN], len: 0, first: [BEYOND; FAN], end: [BEYOND; FAN], gap: [0; FAN] }
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.len as usize
    }

    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.len() == FAN
    }

    #[inline]
    pub(super) fn first(&self, at: usize) -> u64 {
        self.first[at]
    }

    #[inline]
    pub(super) fn end(&self, at: usize) -> u64 {
        self.end[at]
    }

    #[inline]
    pub(super) fn gap(&self, at: usize) -> u64 {
        self.gap[at]
    }

    #[inline]
    pub(super) fn link(&self, at: usize) -> u32 {
        self.link[at]
    }

    pub(super) fn entry(&self, at: usize) -> Entry {
        Entry { first: self.first[at], end: self.end[at], gap: self.gap[at], link: self.link[at] }
    }

    /// How many entries start at `page`, which is not the last number, or before it.
    ///
    /// Without a branch that depends on the page: one in four is compared, then the three between
    /// two of these, or the first three if there are no more.
    #[inline(always)]
    pub(super) fn count(&self, page: u64) -> usize {
        let until = |at: usize| usize::from(self.first[at] <= page);
        let few = if self.len < 4 { 0 } else { 4 * (until(3) + until(7) + until(11)) };
        few + until(few) + until(few + 1) + until(few + 2)
    }

    /// Changes where an entry begins and ends, and its gap.
    pub(super) fn set(&mut self, at: usize, first: u64, end: u64, gap: u64) {
        (self.first[at], self.end[at], self.gap[at]) = (first, end, gap);
    }

    /// What the node looks like from above, under its own number.
    pub(super) fn summary(&self, own: u32) -> Entry {
        let len = self.len();
        let (first, end) = (&self.first[..len], &self.end[..len]);
        let between = first[1..].iter().zip(end).map(|(next, end)| next - end);
        let gap = self.gap[..len].iter().copied().chain(between).fold(0, u64::max);
        Entry { first: first[0], end: end[len - 1], gap, link: own }
    }

    /// Puts an entry before the one at `at`. The node is not full.
    pub(super) fn open(&mut self, at: usize, entry: Entry) {
        let len = self.len();
        self.first.copy_within(at..len, at + 1);
        self.end.copy_within(at..len, at + 1);
        self.gap.copy_within(at..len, at + 1);
        self.link.copy_within(at..len, at + 1);
        self.write(at, entry);
        self.len += 1;
    }

    /// Takes an entry out.
    pub(super) fn close(&mut self, at: usize) {
        let len = self.len();
        self.first.copy_within(at + 1..len, at);
        self.end.copy_within(at + 1..len, at);
        self.gap.copy_within(at + 1..len, at);
        self.link.copy_within(at + 1..len, at);
        self.write(len - 1, Entry::NONE);
        self.len -= 1;
    }

    fn write(&mut self, at: usize, entry: Entry) {
        let Entry { first, end, gap, link } = entry;
        (self.first[at], self.end[at], self.gap[at], self.link[at]) = (first, end, gap, link);
    }

    /// Puts an entry behind all others. The node is not full.
    pub(super) fn push(&mut self, entry: Entry) {
        self.write(self.len(), entry);
        self.len += 1;
    }

    /// Has no entries and is not in use; `next` is another such node.
    pub(super) fn vacate(&mut self, next: u32) {
        self.fill(&[]);
        self.link[0] = next;
    }

    /// Has these entries and no others.
    pub(super) fn fill(&mut self, entries: &[Entry]) {
        for at in 0..FAN {
            self.write(at, entries.get(at).copied().unwrap_or(Entry::NONE));
        }
        self.len = entries.len() as u32;
    }
}
