//! Fork meets a present entry of a private mapping: share the page with the child, or copy it for
//! the child? (facts 2)
//!
//! Protocol: under both page-table locks. The answer holds only if no lock-free pin can land
//! between it and the write-protection of the parent's entry; [`ForkRace`] is about that. Shared
//! mappings never ask: a page there may be pinned through another address space. Sharing clears the
//! exclusive mark; a copy leaves the parent's entry, mark and write permission as they are.

use super::pin::maybe_dma_pinned;
use super::{Answer, Exclusive, ForkPin, ForkRace, ForkSnapshot, PageKind, PageState, Why};

/// Whether the parent has ever pinned a page: set before the first pin, never cleared, not
/// inherited (facts 2.3).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum PinHistory {
    /// Never: none of its pages can be pinned through a private mapping.
    Never,
    /// At least once: a page may be pinned.
    Pinned,
}

/// When fork write-protects the parent's entry.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum WriteProtect {
    /// After the page is found not to be pinned.
    AfterCheck,
    /// Before it checks for pins; the entry of a pinned page is restored as it was first read.
    BeforeCheck,
}

/// How fork uses the address space's sequence count. Pins refuse or take the slow path when they
/// see it odd or changed, in every form but the first.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SeqCountUse {
    /// Not at all: neither fork nor pins look at it.
    Unused,
    /// A write barrier orders the increment before the copy.
    WriteBarrier,
    /// A full barrier orders it.
    FullBarrier,
}

/// What keeps a lock-free pin from landing between fork's pin check and its write-protection.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct RaceGuard {
    /// When the parent's entry is write-protected.
    pub protect: WriteProtect,
    /// How the sequence count is used.
    pub seqcount: SeqCountUse,
}

/// What the rule asks of fork and of lock-free pins (facts 2.3 to 2.5).
#[inline]
pub const fn race_guard(rule: ForkRace) -> RaceGuard {
    let (protect, seqcount) = match rule {
        ForkRace::Open => (WriteProtect::AfterCheck, SeqCountUse::Unused),
        ForkRace::WriteProtectFirst => (WriteProtect::BeforeCheck, SeqCountUse::Unused),
        ForkRace::SeqCount => (WriteProtect::AfterCheck, SeqCountUse::WriteBarrier),
        ForkRace::SeqCountFull => (WriteProtect::AfterCheck, SeqCountUse::FullBarrier),
    };
    RaceGuard { protect, seqcount }
}

/// What fork does with a page.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[must_use]
pub enum ForkVerdict {
    /// Parent and child share it, both without write permission.
    Share(Why),
    /// The parent keeps it; the child gets a copy.
    CopyForChild(Why),
}

/// Decides for one page.
#[inline]
pub fn fork_page(rule: ForkPin, has_pinned: PinHistory, page: &PageState) -> ForkVerdict {
    match (rule, page.kind) {
        (ForkPin::Share, _) => return ForkVerdict::Share(Why::Rule),
        // The zero page is treated as no page at all here: nothing is checked.
        (_, PageKind::Zero) => return ForkVerdict::Share(Why::Page(page.kind)),
        // 5.9 to 5.18 check page-cache and merged pages too.
        (ForkPin::Copy, _) | (ForkPin::CopyIfExclusive, PageKind::Anon(Exclusive::Marked)) => {}
        (ForkPin::CopyIfExclusive, _) => return ForkVerdict::Share(Why::Page(page.kind)),
    }
    if has_pinned == PinHistory::Never {
        return ForkVerdict::Share(Why::NeverPinned);
    }
    match maybe_dma_pinned(page) {
        Answer::Yes(why) => ForkVerdict::CopyForChild(why),
        Answer::No(why) => ForkVerdict::Share(why),
    }
}

/// Whether fork takes write permission from the parent's entry, and flushes it, before it copies
/// the page for the child (facts 2.7). Under both page-table locks.
#[inline]
pub const fn protects_snapshot(rule: ForkSnapshot) -> bool {
    match rule {
        ForkSnapshot::Torn => false,
        ForkSnapshot::Protected => true,
    }
}
