//! Swap: whether reclaim takes a page that may be pinned, what the swap entry that replaces a
//! mapping remembers, and whose the page is when a fault brings it back (facts 1.8, 7.2).
//!
//! Protocol of a swap-out, under the page lock: [`keeps_pinned`] before the page gets a slot. Then
//! each entry is taken out under its table's lock; where [`remembers_mark`] says so, a page that is
//! marked and may be pinned keeps its entry, and the swap entry of one that is not remembers the
//! mark. The flush follows at once, or, where [`batches_flushes`], once before the first page is
//! written. Then [`keeps_pinned_unmapped`].
//!
//! Protocol of a swap-in: where [`drains_lru`] says so, the CPU's batch is drained before the page
//! is locked. Under the page lock and the table's lock, the entry found to be the one that faulted:
//! [`frees_cache`] says when the entry gives up its share of the slot, and whether the page leaves
//! the swap cache before the question; then [`swap_in`]. [`grants_write`] says if the new entry of
//! a page that is its owner's may be written through.

use super::{Answer, Counter, Exclusive, PageKind, PageState, Relation, SwapCache, Why, Writeback};
use super::{
    LazyFree, SwapFlush, SwapInCache, SwapInReuse, SwapInWrite, SwapPinned, SwapStable, SwapZero,
};

/// Whether reclaim leaves a page that may be pinned, and is not in the swap cache yet, as it is.
#[inline]
pub const fn keeps_pinned(rule: SwapPinned) -> bool {
    match rule {
        SwapPinned::Taken => false,
        SwapPinned::Kept | SwapPinned::KeptUnmapped => true,
    }
}

/// Whether reclaim does not write a page that may be pinned once nothing maps it any more.
#[inline]
pub const fn keeps_pinned_unmapped(rule: SwapPinned) -> bool {
    match rule {
        SwapPinned::Taken | SwapPinned::Kept => false,
        SwapPinned::KeptUnmapped => true,
    }
}

/// Whether a swap entry remembers that its page was exclusive. If so, the entry of a page that may
/// be pinned is not replaced at all.
#[inline]
pub const fn remembers_mark(rule: SwapInReuse) -> bool {
    match rule {
        SwapInReuse::MapCount | SwapInReuse::RefCount => false,
        SwapInReuse::ExclusiveOrRefCount | SwapInReuse::Exclusive => true,
    }
}

/// Whether the entries of a batch of pages are flushed together, before the first is written.
#[inline]
pub const fn batches_flushes(rule: SwapFlush) -> bool {
    match rule {
        SwapFlush::Each => false,
        SwapFlush::Batched => true,
    }
}

/// Whether the contents of a page that its owner does not need stay as long as anybody but its
/// entries and reclaim refers to it. Those of a dirty one stay in any case.
#[inline]
pub const fn counts_references(rule: LazyFree) -> bool {
    match rule {
        LazyFree::Dirty => false,
        LazyFree::References => true,
    }
}

/// When a swap-in frees the swap cache, if the entry's share of the slot was the last one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum FreesCache {
    /// When the page was found to be its owner's, by counts that the entry is still part of.
    OnReuse,
    /// Before the question, for a write, or if swap is short: the page is then asked about without
    /// the entry's share.
    BeforeAsking,
    /// After the page was mapped.
    AfterMapping,
}

/// Whether a page that is all zeros is not written, and its slot marked in place of that.
#[inline]
pub const fn marks_zeros(rule: SwapZero) -> bool {
    match rule {
        SwapZero::Written => false,
        SwapZero::Marked => true,
    }
}

/// Whether a page that a device is writing, which needs it unchanged, is nobody's to write.
#[inline]
pub const fn heeds_stable(rule: SwapStable) -> bool {
    match rule {
        SwapStable::Ignored => false,
        SwapStable::Heeded => true,
    }
}

/// When a swap-in frees the swap cache.
#[inline]
pub const fn frees_cache(rule: SwapInReuse) -> FreesCache {
    match rule {
        SwapInReuse::MapCount => FreesCache::OnReuse,
        SwapInReuse::RefCount | SwapInReuse::ExclusiveOrRefCount => FreesCache::BeforeAsking,
        SwapInReuse::Exclusive => FreesCache::AfterMapping,
    }
}

/// Whether a page that is not on an LRU list has the CPU's batch drained before the question, if it
/// is to be written: its references decide.
#[inline]
pub const fn drains_lru(rule: SwapInReuse) -> bool {
    match rule {
        SwapInReuse::MapCount | SwapInReuse::Exclusive => false,
        SwapInReuse::RefCount | SwapInReuse::ExclusiveOrRefCount => true,
    }
}

/// What a swap device is like.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum SwapDevice {
    /// Its pages come through a queue, as from flash memory. One that turns is treated likewise:
    /// what is read ahead goes by entries, whatever the device is (facts 7.2).
    #[default]
    Solid,
    /// It has read a page when the call returns, without a queue: compressed memory (Linux:
    /// `SWP_SYNCHRONOUS_IO`).
    Synchronous,
}

impl SwapDevice {
    /// Whether a page is there when the call that reads it returns.
    #[inline]
    pub const fn answers_at_once(self) -> bool {
        match self {
            Self::Solid => false,
            Self::Synchronous => true,
        }
    }
}

/// What a fault reads a page into that is on a device alone.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ReadsInto {
    /// A page in the swap cache, where others find it.
    Cache,
    /// A page that nobody else knows, while others may read the slot, too.
    OwnPage,
    /// The same, and the slot is taken for the time.
    OwnPageAlone,
}

/// What a fault reads a page into that is on a device which [answers at
/// once](SwapDevice::answers_at_once), and whose slot `users` swap entries name.
#[inline]
pub const fn reads_into(rule: SwapInCache, users: u64) -> ReadsInto {
    match rule {
        SwapInCache::Skipped if users == 1 => ReadsInto::OwnPage,
        SwapInCache::SkippedAlone if users == 1 => ReadsInto::OwnPageAlone,
        SwapInCache::Through | SwapInCache::Skipped | SwapInCache::SkippedAlone => ReadsInto::Cache,
    }
}

/// Whether a fault may read a page past the swap cache.
#[inline]
pub const fn skips_cache(rule: SwapInCache) -> bool {
    match rule {
        SwapInCache::Through => false,
        SwapInCache::Skipped | SwapInCache::SkippedAlone => true,
    }
}

/// Whether who reads a page past the swap cache has others wait.
#[inline]
pub const fn takes_slot(rule: SwapInCache) -> bool {
    match rule {
        SwapInCache::Through | SwapInCache::Skipped => false,
        SwapInCache::SkippedAlone => true,
    }
}

/// What brings a page back.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SwapInFor {
    /// A read.
    Read,
    /// A write.
    Write,
}

/// Whose a page is that comes back.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[must_use]
pub enum SwapInVerdict {
    /// The owner's of this entry: it gets the mark.
    Own(Why),
    /// It may be somebody else's, too: the entry is without write permission, the page without the
    /// mark.
    Shared(Why),
}

/// Whose a page is that a fault is about to map in place of a swap entry, which remembers
/// `remembered`. Nothing maps it for this entry yet: the caller has a reference.
pub fn swap_in(
    rule: SwapInReuse,
    wanted: SwapInFor,
    remembered: Exclusive,
    page: &PageState,
) -> SwapInVerdict {
    match page.kind {
        PageKind::Ksm => return SwapInVerdict::Shared(Why::Page(page.kind)),
        PageKind::Anon(_) | PageKind::File | PageKind::Zero => {}
    }
    let if_written = |verdict: SwapInVerdict| match wanted {
        SwapInFor::Read => SwapInVerdict::Shared(Why::NotWritten),
        SwapInFor::Write => verdict,
    };
    match rule {
        SwapInReuse::MapCount => if_written(by_maps_and_swaps(page)),
        SwapInReuse::RefCount => if_written(by_refs(page)),
        SwapInReuse::ExclusiveOrRefCount => match by_mark(remembered, page) {
            SwapInVerdict::Own(why) => SwapInVerdict::Own(why),
            SwapInVerdict::Shared(Why::EntryShared) => match by_refs(page) {
                SwapInVerdict::Own(why) => SwapInVerdict::Own(why.without_mark()),
                SwapInVerdict::Shared(why) => SwapInVerdict::Shared(why.without_mark()),
            },
            SwapInVerdict::Shared(_) => by_refs(page),
        },
        SwapInReuse::Exclusive => by_mark(remembered, page),
    }
}

/// Whose a page is that a fault has read past the swap cache ([`reads_into`]): no other entry can
/// name it.
pub const fn swap_in_fresh(rule: SwapInReuse, wanted: SwapInFor) -> SwapInVerdict {
    match (rule, wanted) {
        (SwapInReuse::MapCount | SwapInReuse::RefCount, SwapInFor::Read) => {
            SwapInVerdict::Shared(Why::NotWritten)
        }
        (SwapInReuse::MapCount | SwapInReuse::RefCount, SwapInFor::Write)
        | (SwapInReuse::ExclusiveOrRefCount | SwapInReuse::Exclusive, _) => {
            SwapInVerdict::Own(Why::NeverCached)
        }
    }
}

/// A page that is being written to a device which needs it unchanged is nobody's to write.
fn by_mark(remembered: Exclusive, page: &PageState) -> SwapInVerdict {
    match (remembered, page.swap) {
        (Exclusive::Unmarked, _) => SwapInVerdict::Shared(Why::EntryShared),
        (Exclusive::Marked, SwapCache::Present { writeback: Writeback::RunningStable, .. }) => {
            SwapInVerdict::Shared(Why::StableWriteback)
        }
        (
            Exclusive::Marked,
            SwapCache::Absent
            | SwapCache::Present { writeback: Writeback::Idle | Writeback::Running, .. },
        ) => SwapInVerdict::Own(Why::EntryExclusive),
    }
}

fn by_refs(page: &PageState) -> SwapInVerdict {
    match Answer::compare(Counter::Refs, page.refs, Relation::NotEqual, 1) {
        Answer::Yes(why) => SwapInVerdict::Shared(why),
        Answer::No(why) => SwapInVerdict::Own(why),
    }
}

fn by_maps_and_swaps(page: &PageState) -> SwapInVerdict {
    let users = page.maps.saturating_add(page.swap.swap_count());
    match Answer::compare(Counter::MapsAndSwaps, users, Relation::Above, 1) {
        Answer::Yes(why) => SwapInVerdict::Shared(why),
        Answer::No(why) => match page.swap {
            SwapCache::Present { writeback: Writeback::RunningStable, .. } => {
                SwapInVerdict::Shared(Why::StableWriteback)
            }
            SwapCache::Absent
            | SwapCache::Present { writeback: Writeback::Idle | Writeback::Running, .. } => {
                SwapInVerdict::Own(why)
            }
        },
    }
}

/// Whether the entry of a page that is its owner's gets the write bit at once: for a write, or
/// wherever the area allows writing and nobody waits for the write fault.
#[inline]
pub const fn grants_write(rule: SwapInWrite, wanted: SwapInFor) -> bool {
    let read = match rule {
        SwapInWrite::WriteFault => false,
        SwapInWrite::IfAllowed => true,
    };
    match wanted {
        SwapInFor::Read => read,
        SwapInFor::Write => true,
    }
}
