//! What a decision looks at: a page, an entry, an area, each as the caller found it.
//!
//! The caller must make sure that the values still hold: the entry and the exclusive mark do under
//! the page-table lock; counts may change at any time, unless the decision's protocol says what
//! stops them.

use core::fmt;

/// The exclusive mark of an anonymous page: with it, the page belongs to the one entry that maps it
/// (facts 1.5).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Exclusive {
    /// Set: a write needs no copy, and pins may be taken.
    Marked,
    /// Clear: the page may be shared.
    Unmarked,
}

/// What kind of page an entry maps.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum PageKind {
    /// Anonymous memory; only this kind can carry the exclusive mark.
    Anon(Exclusive),
    /// Anonymous memory that was merged with equal pages; never exclusive.
    Ksm,
    /// A page-cache page.
    File,
    /// The shared page of zeros, which has no map count.
    Zero,
}

impl PageKind {
    /// Whether the page has the exclusive mark: only anonymous ones can.
    #[inline]
    pub const fn mark(self) -> Exclusive {
        match self {
            Self::Anon(mark) => mark,
            Self::Ksm | Self::File | Self::Zero => Exclusive::Unmarked,
        }
    }
}

impl fmt::Display for PageKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Anon(Exclusive::Marked) => "anonymous and exclusive",
            Self::Anon(Exclusive::Unmarked) => "anonymous, not exclusive",
            Self::Ksm => "a merged page",
            Self::File => "a page-cache page",
            Self::Zero => "the zero page",
        })
    }
}

/// Whether the page is on an LRU list.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Lru {
    /// It is.
    On,
    /// It is not: most likely it is in a CPU's batch, which then holds a reference.
    Off,
}

/// Whether a page in the swap cache is being written to the swap device.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Writeback {
    /// It is not.
    Idle,
    /// It is, to a device that does not mind if the page changes during the write.
    Running,
    /// It is, to a device that needs the page unchanged until the write is done.
    RunningStable,
}

/// Whether the page is in the swap cache, which then holds a reference.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SwapCache {
    /// It is not.
    Absent,
    /// It is.
    Present {
        /// How many swap entries in page tables name its slot.
        swap_count: u32,
        /// Whether it is being written out.
        writeback: Writeback,
    },
}

impl SwapCache {
    /// The references that the swap cache holds on the page.
    pub(super) const fn refs(self) -> u32 {
        match self {
            Self::Absent => 0,
            Self::Present { .. } => 1,
        }
    }

    /// The swap entries that name the page.
    pub(super) const fn swap_count(self) -> u32 {
        match self {
            Self::Absent => 0,
            Self::Present { swap_count, .. } => swap_count,
        }
    }
}

/// Which address spaces map pages of a large folio, as far as it keeps count of them (facts 5.5).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Owners {
    /// One at most.
    One,
    /// Possibly several: several do, or more than two did at once before.
    Several,
    /// The rule in force keeps no count of them.
    Uncounted,
}

/// The folio of a page that is part of a large one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct LargeState {
    /// Its pages.
    pub pages: u32,
    /// The exact number of pins of any of them.
    pub pins: u32,
    /// How many entries map any of them.
    pub maps: u32,
    /// How many entries map that page of them which has the most.
    pub most: u32,
    /// How many entries map the first of them.
    pub first: u32,
    /// Which address spaces those entries are of.
    pub owners: Owners,
}

/// A page as a decision sees it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct PageState {
    /// What it is.
    pub kind: PageKind,
    /// The refcount of its folio. Includes the pins of a small page, at
    /// [`PIN_BIAS`](super::pin::PIN_BIAS) each.
    pub refs: u32,
    /// How many entries map it. For a page of a large folio whose pages are not counted by
    /// themselves: one if a single address space maps the folio, or else as many as map any of
    /// its pages.
    pub maps: u32,
    /// The folio, if it is large.
    pub large: Option<LargeState>,
    /// Whether it is in the swap cache.
    pub swap: SwapCache,
    /// Whether it is on an LRU list.
    pub lru: Lru,
}

/// Whether writes to a mapping are private.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Mapping {
    /// Private, and it may become writable if it is not yet: a copy-on-write mapping, even while
    /// read-only (facts 1.2).
    Cow,
    /// Anything else: writes reach the file or the other processes.
    Shared,
}

/// How many threads use an address space (mm_users).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Users {
    /// The one that asks.
    One,
    /// Others, too.
    Several,
}

/// Where a page lies, seen from the CPU that asks.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Locality {
    /// On the node of that CPU.
    Local,
    /// On another node.
    Remote,
}

/// Whether the area allows writing now (VM_WRITE).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Permission {
    /// It does.
    Write,
    /// It does not.
    ReadOnly,
}

/// What a decision needs to know of an area.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct AreaState {
    /// Whether its writes are private.
    pub mapping: Mapping,
    /// Whether it allows writing.
    pub permission: Permission,
}

/// The dirty bit of an entry.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Dirty {
    /// Set: the page was written through this entry.
    Dirty,
    /// Clear.
    Clean,
}

/// Whether an entry maps a page but allows no access.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Protnone {
    /// It allows none: it is set up for a NUMA hinting fault, or the area is inaccessible.
    Yes,
    /// It allows at least reading.
    No,
}

/// Whether the next write fault at an entry must be seen by a tracker.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Tracking {
    /// No tracker is active.
    Off,
    /// Soft-dirty tracking or userfaultfd write-protection wants it.
    WantsFault,
}

/// What a decision needs to know of a present entry without write permission.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct EntryState {
    /// The dirty bit.
    pub dirty: Dirty,
    /// Whether it allows any access.
    pub protnone: Protnone,
    /// Whether a write fault must still happen there.
    pub tracking: Tracking,
}
