//! Fork meets a present entry of a private mapping: share the page with the child, or copy it for
//! the child? (facts 2)
//!
//! Protocol: under both page-table locks. The answer is only as good as what keeps lock-free pins
//! away between it and the write-protection of the parent's entry; that is the business of
//! [`ForkRace`]. Shared mappings never ask: a page there may be pinned through
//! another address space. Sharing clears the exclusive mark; a copy leaves the parent's entry, mark
//! and write permission as they are.

use super::pin::maybe_dma_pinned;
use super::{Answer, Exclusive, ForkPin, ForkRace, PageKind, PageState, Why};

/// Whether the parent ever pinned a page: set before the first pin, kept for life, not inherited
/// (facts 2.3).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum PinHistory {
    /// Never: no page of it can be pinned through a private mapping.
    Never,
    /// At least once: a page may be.
    Pinned,
}

/// When fork takes the right to write off the parent's entry.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum WriteProtect {
    /// Once the page is found not to be pinned.
    AfterCheck,
    /// Before it looks for pins; a pinned page gets its entry back as it was read first.
    BeforeCheck,
}

/// How fork uses the address space's sequence count. Pins refuse or go the slow way when they see
/// it odd or changed, in every form but the first.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SeqCountUse {
    /// Not at all: neither fork nor pins look at it.
    Unused,
    /// A write barrier orders the increment before the copy.
    WriteBarrier,
    /// A full barrier does.
    FullBarrier,
}

/// What keeps a lock-free pin from landing between fork's look for pins and its write-protection.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct RaceGuard {
    /// When the parent's entry is write-protected.
    pub protect: WriteProtect,
    /// What the sequence count is for.
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
        // The zero page counts as no page at all here, so nothing is asked about it.
        (_, PageKind::Zero) => return ForkVerdict::Share(Why::Page(page.kind)),
        // 5.9 to 5.18 ask for page-cache and merged pages too.
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
