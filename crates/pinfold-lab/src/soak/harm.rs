//! Loads that part a buffer from its device by themselves, under rules that allow it, whether NUMA
//! balancing goes on or not: harms that were known beside bug 215616.
//!
//! Whether one strikes is asked of the decisions themselves, with a page that is pinned and mapped
//! once: no release is named here. What strikes is kept from buffers, so that what is found is bug
//! 215616, and the report says so; or it is let in, if the plan wants to see it.

use super::plan::{Activity, MOST_FRAMES, OtherHarms, SoakError, SoakPlan};
use crate::story::in_force;
use pinfold::rules::cow::{CowStep, CowVerdict, pte_cow_locked, pte_cow_precheck};
use pinfold::rules::fork::{
    ForkVerdict, PinHistory, SeqCountUse, WriteProtect, fork_page, race_guard,
};
use pinfold::rules::numa::numa_skip;
use pinfold::rules::pin::PIN_BIAS;
use pinfold::rules::swap::{SwapInFor, SwapInVerdict, keeps_pinned, remembers_mark, swap_in};
use pinfold::rules::{
    Exclusive, Lru, Mapping, PageKind, PageState, Rules, SwapCache, Switch, Writeback, migrate,
};
use serde::Serialize;

/// A harm to a buffer beside that of bug 215616.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Harm {
    /// A fork shares a page that is pinned.
    Fork,
    /// A fork looks whether a page is pinned just before it is.
    ForkBesidePin,
    /// A fork meets the migration entry of a page that is pinned.
    ForkMeetsMigration,
    /// A fork shares the swap entry of a page that is pinned.
    ForkMeetsSwap,
    /// Reclaim takes a page that is pinned.
    PageOut,
    /// Reclaim looks whether a page is pinned just before it is.
    PageOutBesidePin,
    /// Who moves a page that is pinned, or just about to be, leaves a migration entry for a moment.
    Move,
    /// A scan looks whether a page is pinned just before it is.
    ScanBesidePin,
    /// Merging takes a page that is pinned, whose entry has lost the write permission.
    Merge,
}

/// A load that was kept from buffers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Apart {
    /// Which, and how it was kept from them.
    pub load: &'static str,
    /// What it would do there.
    pub harm: &'static str,
    /// The rule that allows it, and its variant with the release that took it up.
    pub rule: String,
    /// The scenario that shows it, if one does.
    pub scenario: Option<&'static str>,
}

/// A page that one entry maps, and that a device has pinned.
const fn pinned(mark: Exclusive) -> PageState {
    PageState {
        kind: PageKind::Anon(mark),
        refs: 1 + PIN_BIAS,
        maps: 1,
        large: None,
        swap: SwapCache::Absent,
        lru: Lru::On,
    }
}

/// Whether a write to such a page copies it, where its entry has lost the write permission.
fn copies(rules: &Rules, mark: Exclusive) -> bool {
    let page = pinned(mark);
    match pte_cow_precheck(rules.pte_cow, &page) {
        CowStep::Reuse(_) => false,
        CowStep::Copy(_) => true,
        CowStep::DrainLru | CowStep::NeedPageLock(_) => {
            match pte_cow_locked(rules.pte_cow, &page) {
                CowVerdict::Reuse(_) => false,
                CowVerdict::Copy(_) => true,
            }
        }
    }
}

/// Whether such a page is lost when it goes to swap and comes back.
fn lost_by_swap(rules: &Rules) -> bool {
    if remembers_mark(rules.swap_in_reuse) {
        // Its entry is not replaced at all.
        return false;
    }
    let swap = SwapCache::Present { swap_count: 1, writeback: Writeback::Idle };
    let page = PageState { maps: 0, swap, ..pinned(Exclusive::Unmarked) };
    match swap_in(rules.swap_in_reuse, SwapInFor::Write, Exclusive::Unmarked, &page) {
        SwapInVerdict::Shared(_) => true,
        // What a read brings back has no write permission.
        SwapInVerdict::Own(_) => copies(rules, Exclusive::Unmarked),
    }
}

/// Whether such a page is lost when its migration entry becomes readable.
fn lost_by_migration(rules: &Rules) -> bool {
    !migrate::remembers_mark(rules.migration_kind) && copies(rules, Exclusive::Unmarked)
}

/// Whether scans of NUMA balancing leave such a page alone.
fn is_skipped(rules: &Rules) -> bool {
    numa_skip(rules.numa_skip, Mapping::Cow, &pinned(Exclusive::Marked)).is_some()
}

/// Whether a fork shares such a page.
fn is_shared(rules: &Rules) -> bool {
    match fork_page(rules.fork_pin, PinHistory::Pinned, &pinned(Exclusive::Marked)) {
        ForkVerdict::Share(_) => true,
        ForkVerdict::CopyForChild(_) => false,
    }
}

/// Whether nothing keeps a lock-free pin from landing behind a fork's look.
fn forks_race(rules: &Rules) -> bool {
    let guard = race_guard(rules.fork_race);
    (guard.protect, guard.seqcount) == (WriteProtect::AfterCheck, SeqCountUse::Unused)
}

/// Whether migration entries of such pages, which remember no mark, come to be where others meet
/// them: by hinting faults, or by who asks for a move and is not kept from it.
fn leaves_entries(plan: &SoakPlan) -> bool {
    let rules = &plan.rules;
    let hinted = plan.goes_on(Activity::Balancing) && !is_skipped(rules);
    let met = plan.goes_on(Activity::Balancing) || plan.goes_on(Activity::Forks);
    let moved = plan.goes_on(Activity::Compaction) && met && !lost_by_migration(rules);
    !migrate::remembers_mark(rules.migration_kind) && (hinted || moved)
}

/// Whether swap entries of such pages do, which a read brings back without write permission.
fn leaves_swapped(plan: &SoakPlan) -> bool {
    let rules = &plan.rules;
    plan.goes_on(Activity::Swap) && !remembers_mark(rules.swap_in_reuse) && !lost_by_swap(rules)
}

/// Whether the machine is short of no frame where pageout is kept from buffers: whoever finds none
/// takes pages out, too, and keeps away from nothing.
///
/// # Errors
/// The frames that it takes.
pub(super) fn has_room(plan: &SoakPlan) -> Result<(), SoakError> {
    let least = SoakPlan::enough(plan.processes, plan.nodes);
    let apart = |harm: Harm| plan.others == OtherHarms::KeptApart && harm.strikes(plan);
    match [Harm::PageOut, Harm::PageOutBesidePin].into_iter().any(apart) {
        true if plan.frames < least => Err(SoakError::Frames { least, most: MOST_FRAMES }),
        _ => Ok(()),
    }
}

impl Harm {
    pub(super) const ALL: [Self; 9] = [
        Self::Fork,
        Self::ForkBesidePin,
        Self::ForkMeetsMigration,
        Self::ForkMeetsSwap,
        Self::PageOut,
        Self::PageOutBesidePin,
        Self::Move,
        Self::ScanBesidePin,
        Self::Merge,
    ];

    /// Those that strike as planned.
    pub(super) fn all(plan: &SoakPlan) -> Vec<Self> {
        Self::ALL.into_iter().filter(|harm| harm.strikes(plan)).collect()
    }

    /// Whether it strikes only in the moment in which a buffer is pinned.
    pub(super) fn is_beside_pin(self) -> bool {
        match self {
            Self::ForkBesidePin | Self::PageOutBesidePin | Self::Move | Self::ScanBesidePin => true,
            Self::Fork
            | Self::ForkMeetsMigration
            | Self::ForkMeetsSwap
            | Self::PageOut
            | Self::Merge => false,
        }
    }

    /// Whether children of a fork get no buffers for it.
    pub(super) fn is_of_forks(self) -> bool {
        match self {
            Self::Fork | Self::ForkMeetsMigration | Self::ForkMeetsSwap => true,
            Self::ForkBesidePin
            | Self::PageOut
            | Self::PageOutBesidePin
            | Self::Move
            | Self::ScanBesidePin
            | Self::Merge => false,
        }
    }

    /// Whether the rules allow it, and what does it goes on.
    pub(super) fn strikes(self, plan: &SoakPlan) -> bool {
        let (rules, on) = (&plan.rules, |load| plan.goes_on(load));
        let copied = || on(Activity::Forks) && !is_shared(rules);
        let kept = keeps_pinned(rules.swap_pinned);
        match self {
            Self::Fork => on(Activity::Forks) && is_shared(rules),
            Self::ForkBesidePin => copied() && forks_race(rules),
            Self::ForkMeetsMigration => copied() && leaves_entries(plan),
            Self::ForkMeetsSwap => copied() && leaves_swapped(plan),
            Self::PageOut => on(Activity::Swap) && lost_by_swap(rules) && !kept,
            Self::PageOutBesidePin => on(Activity::Swap) && lost_by_swap(rules) && kept,
            // Who has its entry back as it was writes as before.
            Self::Move => {
                let met = on(Activity::Balancing) || on(Activity::Forks);
                on(Activity::Compaction) && met && lost_by_migration(rules)
            }
            Self::ScanBesidePin => {
                on(Activity::Balancing) && lost_by_migration(rules) && is_skipped(rules)
            }
            Self::Merge => {
                let read_only = leaves_entries(plan) || leaves_swapped(plan);
                on(Activity::Merging) && !rules.knows_exclusive_mark() && read_only
            }
        }
    }

    /// What is told of it.
    pub(super) fn told(self, rules: &Rules) -> Apart {
        let (load, harm) = match self {
            Self::Fork => (
                "children of a fork get no private buffers (DONTFORK)",
                "a page that is pinned would be shared, and the owner's next write leave it",
            ),
            Self::ForkBesidePin => (
                "nobody forks while a buffer is being pinned",
                "a pin that lands behind the fork's look would be shared",
            ),
            Self::ForkMeetsMigration => (
                "children of a fork get no private buffers (DONTFORK)",
                "a fork would take the write permission from the migration entry of a pinned page",
            ),
            Self::ForkMeetsSwap => (
                "children of a fork get no private buffers (DONTFORK)",
                "a fork would share the swap entry of a pinned page, and the owner copy the page",
            ),
            Self::PageOut => (
                "pageout leaves private buffers alone that are pinned",
                "it would take them, and the owner who comes back copy them",
            ),
            Self::PageOutBesidePin => (
                "pageout leaves private buffers alone while one is being pinned",
                "a pin that lands behind its look would be taken, and the owner copy the page",
            ),
            Self::Move => (
                "move_pages leaves pinned buffers alone, and compaction those that are being pinned",
                "a scan or fork would take the write permission from the migration entry",
            ),
            Self::ScanBesidePin => (
                "NUMA scans wait while a buffer is being pinned",
                "a pin that lands behind the scan's look would be moved, as in bug 215616",
            ),
            Self::Merge => (
                "private buffers are not merged",
                "a pinned page whose entry is read-only would be, and the owner copy the page",
            ),
        };
        Apart { load, harm, rule: in_force(rules, self.rule()), scenario: self.scenario() }
    }

    const fn rule(self) -> Switch {
        match self {
            Self::Fork => Switch::ForkPin,
            Self::ForkBesidePin => Switch::ForkRace,
            Self::ForkMeetsMigration | Self::Move | Self::ScanBesidePin => Switch::MigrationKind,
            Self::PageOut => Switch::SwapPinned,
            Self::PageOutBesidePin | Self::ForkMeetsSwap => Switch::SwapInReuse,
            Self::Merge => Switch::PteCow,
        }
    }

    /// Where it is explored.
    pub(super) const fn scenario(self) -> Option<&'static str> {
        Some(match self {
            Self::Fork => "rdma-fork",
            Self::ForkBesidePin => "fork-races-fast-pin",
            Self::ForkMeetsMigration => "fork-meets-migration",
            // That of merging, ksm-pin, pins for reading, which nobody does here.
            Self::ForkMeetsSwap | Self::Merge => return None,
            Self::PageOut | Self::PageOutBesidePin => "swap-out-races-pin",
            Self::Move => "bug-215616-move-pages",
            Self::ScanBesidePin => "numa-scan-races-pin",
        })
    }
}
