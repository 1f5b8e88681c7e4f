//! What the memory manager reports to its platform while it works: for traces, a laboratory's
//! statistics, and explanations.
//!
//! Events are small `Copy` values; a platform that does not override [`crate::Platform::event`]
//! pays nothing for them.

mod bug;
mod define;
#[cfg(test)]
mod tests;

use core::fmt;

use crate::addr::{Pfn, SpaceId, VirtAddr};
use crate::pte::{MigrationKind, Swap};
use crate::rules::collapse::brings_back;
use crate::rules::large::{Parting, Tally, parting, tally};
use crate::rules::migrate::remembers_mark;
use crate::rules::pin::{Unshares, unshares};
use crate::rules::protect::spares_pinned;
use crate::rules::swap::{
    keeps_pinned, marks_zeros, remembers_mark as swap_remembers_mark, skips_cache, takes_slot,
};
use crate::rules::{ForkPin, Interface, NumaSkip, PteCow, Rules, Switch, Why};
use crate::uffd::{UffdId, UffdReason};

use define::{bound, events, rule, under};

pub use bug::Bug;

/// What happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Event {
    /// In which address space.
    pub space: SpaceId,
    /// At which address.
    pub at: VirtAddr,
    /// What.
    pub kind: EventKind,
}

/// Why a lock-free walk stopped before the end of its range.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FastStop {
    /// No entry, or not present.
    Absent,
    /// PROT_NONE, by the owner or by NUMA balancing.
    ProtNone,
    /// The request was for writing, and the entry does not allow it.
    ReadOnly,
    /// An entry for a page without counts: the zero page.
    Special,
    /// The frame was free or changing when its reference was to be taken.
    FrameGone,
    /// The entry or the table changed after the reference was taken: it was given back.
    EntryChanged,
    /// The page must be unshared first, which needs the slow path.
    MustUnshare,
    /// A page of a file whose writes are tracked must not be held for writing in the long term.
    Tracked,
    /// A page in memory that is set apart for what can move must not be held in the long term.
    Movable,
    /// fork copied page tables during the walk: everything was given back.
    ForkRan,
    /// The walk may not start: fork is copying page tables.
    ForkRunning,
    /// The frame's count could overflow.
    Overflow,
}

/// How much an event says on its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Weight {
    /// It deserves a line of a trace.
    Line,
    /// It is a step on the way to an event that has a line: a point that a scenario can wait for.
    Passing,
}

/// What there is to say of a kind of event.
#[derive(Clone, Copy, Debug)]
pub struct EventInfo {
    /// Its name in scenarios and traces.
    pub name: &'static str,
    /// What happens, in a sentence.
    pub doc: &'static str,
    /// Whether it deserves a line of a trace.
    pub weight: Weight,
    /// The switch that decides that it happens rather than something else, if one does.
    pub rule: Option<Switch>,
    occurs: fn(&Rules) -> bool,
}

impl EventInfo {
    /// Whether it can occur under these rules, if nothing is asked of them that goes through an
    /// interface that they lack ([`Interface`]). Where it can, it may still need a rare chance.
    pub fn occurs_under(&self, rules: &Rules) -> bool {
        (self.occurs)(rules)
    }
}

/// Whether the last who maps a merged page may keep it, where others would copy it.
const fn keeps_merged(rule: PteCow) -> bool {
    match rule {
        PteCow::MapCount => true,
        PteCow::MapCountUnmerged
        | PteCow::RefCount
        | PteCow::RefCountPrecise
        | PteCow::Exclusive
        | PteCow::ExclusiveTight => false,
    }
}

/// Whether fork gives a child a page of its own where the parent's may be pinned.
const fn copies_pinned(rule: ForkPin) -> bool {
    match rule {
        ForkPin::Share => false,
        ForkPin::Copy | ForkPin::CopyIfExclusive => true,
    }
}

/// Whether there is a scanner, and it leaves entries alone that it has looked at.
const fn scans_skip(rules: &Rules) -> bool {
    let skips = match rules.numa_skip {
        NumaSkip::Never => false,
        NumaSkip::MapCountAnywhere
        | NumaSkip::MapCount
        | NumaSkip::RefCount
        | NumaSkip::PinnedOrLikelyShared
        | NumaSkip::PinnedOrMaybeShared
        | NumaSkip::PinnedAnywhere => true,
    };
    skips && Interface::NumaBalancing.exists(rules)
}

/// What a rule decided when an event happened; shown as a sentence without its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Decision {
    /// The switch.
    pub rule: Switch,
    event: EventKind,
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.event.write_decision(f)
    }
}

impl EventKind {
    /// What a rule decided, if one did.
    pub fn decision(&self) -> Option<Decision> {
        Some(Decision { rule: self.rule()?, event: *self })
    }
}

/// How a trace shows the write bit.
fn remembered(kind: MigrationKind) -> &'static str {
    match kind {
        MigrationKind::Read => "readable",
        MigrationKind::ReadExclusive => "readable and exclusive",
        MigrationKind::Write => "writable",
    }
}

fn bit(writable: bool) -> &'static str {
    if writable { "rw" } else { "ro" }
}

events! {
    /// A read fault mapped the zero page.
    ZeroMapped(pfn: Pfn) = "zero-mapped": Line("fault: zero page {pfn} ro"), under(always);
    /// A first touch mapped a new page.
    FirstTouch(pfn: Pfn) = "first-touch": Line("fault: new page {pfn}"), under(always);
    /// A first touch mapped a new large folio, from here on.
    FolioMapped {
        /// Its first page.
        head: Pfn,
        /// How many it has.
        pages: u64,
    } = "folio-mapped": Line("fault: new folio of {pages} pages, {head} on"), under(always);
    /// A first touch mapped a new large folio by one entry, from here on.
    HugeMapped {
        /// Its first page.
        head: Pfn,
        /// How many it has.
        pages: u64,
    } = "huge-mapped": Line("fault: new folio of {pages} pages, {head} on, by one entry"), under(always);
    /// A huge entry became as many small ones.
    HugeSplit {
        /// The folio's first page.
        head: Pfn,
        /// How many it has.
        pages: u64,
    } = "huge-split": Line("huge entry of {head} split into {pages}"), under(always);
    /// A write fault kept the folio of a huge entry, which may be written through now.
    HugeKept {
        /// The folio's first page.
        head: Pfn,
        /// Why.
        why: Why,
    } = "huge-kept": Line("wp fault: reuse {head} and the rest of its huge entry ({why})"),
        under(always), decided by PmdCow("{head} and the rest of its huge entry were kept, as {why}");
    /// A write fault splits a huge entry, whose folio may be somebody else's, too.
    HugeShared {
        /// The folio's first page.
        head: Pfn,
        /// Why it may be.
        why: Why,
    } = "huge-shared": Line("wp fault: split the huge entry of {head} ({why})"), under(always),
        decided by PmdCow("the huge entry of {head} was split, as {why}");
    /// fork splits a huge entry, whose folio a device may have pinned.
    HugePinned {
        /// The folio's first page.
        head: Pfn,
        /// Why it may have.
        why: Why,
    } = "huge-pinned": Line("fork: split the huge entry of {head} ({why})"), under(|rules| copies_pinned(rules.fork_pin)),
        decided by ForkPin("the huge entry of {head} was split, as {why}");
    /// A collapse had pages of its span brought back from swap devices, before it begins.
    CollapseBroughtBack {
        /// How many.
        pages: u64,
    } = "collapse-brought-back": Line("collapse: {pages} of the pages are back from swap"),
        under(|rules| brings_back(rules.collapse_swapped)),
        decided by CollapseSwapped("{pages} of the pages were brought back from swap for a collapse");
    /// A collapse does not begin: more pages of its span are on swap devices than it brings back.
    CollapseLeft {
        /// How many are there.
        swapped: u64,
        /// How many it would bring back.
        most: u64,
    } = "collapse-left": Line("collapse fails: {swapped} of the pages are on swap, not {most}"),
        under(always),
        decided by CollapseSwapped(
            "the pages were left as they are, with {swapped} of them on swap where a collapse brings \
             back {most}"
        );
    /// A collapse begins: the table of the pages is out of its place.
    CollapseBegins(head: Pfn) = "collapse-begins": Line("collapse into the folio at {head} begins"), under(always);
    /// A collapse is going to count the references of the pages.
    CollapseCounts {
        /// The first page of the folio that they are to become.
        head: Pfn,
        /// Whether it has waited until nobody could be in the table any more.
        waited: bool,
    } = "collapse-counts": Line(
            "collapse into {head}: counts references, {}", if *waited { "walkers have left" } else { "without a wait for walkers" }
        ), under(always),
        decided by CollapseSync(
            "walkers were {}waited for before references were counted for {head}",
            if *waited { "" } else { "not " }
        );
    /// A collapse fails: somebody else refers to the page, or has its lock.
    CollapseBusy(pfn: Pfn) = "collapse-busy": Line("collapse fails: {pfn} is in use"), under(always);
    /// The pages from here on are those of a new folio, with their contents, by one entry.
    Collapsed {
        /// The folio's first page.
        head: Pfn,
        /// How many it has.
        pages: u64,
    } = "collapsed": Line("collapsed into the folio at {head}, of {pages} pages"), under(always);
    /// A write fault kept a huge page of the pool, which may be written through now.
    HugetlbKept {
        /// Its first page.
        head: Pfn,
        /// Why.
        why: Why,
    } = "hugetlb-kept": Line("wp fault: reuse the huge page {head} ({why})"), under(always),
        decided by HugetlbCow("the huge page {head} was kept, as {why}");
    /// A write fault copies a huge page of the pool, to another one.
    HugetlbCopy {
        /// Its first page.
        head: Pfn,
        /// Why.
        why: Why,
    } = "hugetlb-copy": Line("wp fault: copy the huge page {head} ({why})"), under(always),
        decided by HugetlbCow("the huge page {head} was copied, as {why}");
    /// The pool has no page for a copy, and the process that this one was promised to takes it from
    /// all others that map it.
    HugetlbTaken(head: Pfn) = "hugetlb-taken": Line("{head} goes back to its owner, as the pool has no page for a copy"), under(always);
    /// A split begins, whose caller has a reference on the page that it is about: the entries of
    /// the folio's pages are taken out.
    SplitBegins(head: Pfn) = "split-begins": Line("split of the folio at {head} begins"), under(always);
    /// A split fails: the folio has references that it cannot account for.
    SplitBusy {
        /// The folio's first page.
        head: Pfn,
        /// References found.
        refs: u32,
        /// References expected.
        expected: u32,
    } = "split-busy": Line("split of {head} fails: refs {refs}, expected {expected}"), under(|rules| parting(rules.tail_refs) != Parting::Shared);
    /// A reference was counted on a tail of a large folio, and not on its head.
    TailTaken(tail: Pfn) = "tail-taken": Line("{tail} counts it, and its head does not"), under(|rules| tally(rules.tail_refs) == Tally::HeadAndTail);
    /// A split makes a page of a tail, which keeps the references that it counts, and gets one more
    /// of the split itself.
    TailParted {
        /// The tail.
        tail: Pfn,
        /// The references, that of an entry included.
        refs: u32,
    } = "tail-parted": Line("split: {tail} leaves with refs {refs}"), under(|rules| tally(rules.tail_refs) != Tally::Head);
    /// A split takes the references off the head that its tails have counted. One must stay there,
    /// that of the split itself: where none would, it leaves the head what that had, and reports a
    /// broken invariant.
    HeadParted {
        /// The head.
        head: Pfn,
        /// The references.
        refs: u32,
        /// How many it had.
        had: u32,
    } = "head-parted": Line("split: refs {refs} go off {head}, which had {had} and must keep 1"), under(|rules| tally(rules.tail_refs) != Tally::Head);
    /// A folio was split: each of its pages is one of its own.
    Split(head: Pfn) = "split": Line("the folio at {head} is split"), under(always);
    /// A fault mapped a page of a shared object.
    SharedMapped(pfn: Pfn) = "shared-mapped": Line("fault: shared page {pfn}"), under(always);
    /// A write fault on a read-only page keeps the same page.
    CowReuse {
        /// The page.
        pfn: Pfn,
        /// The rule's reason.
        why: Why,
    } = "cow-reuse": Line("wp fault: reuse {pfn} ({why})"), under(always),
        decided by PteCow("{pfn} was reused, as {why}");
    /// A write fault on a read-only page will copy it.
    CowCopy {
        /// The page.
        pfn: Pfn,
        /// The rule's reason.
        why: Why,
    } = "cow-copy": Line("wp fault: copy {pfn} ({why})"), under(always),
        decided by PteCow("{pfn} was copied, as {why}");
    /// The copy is mapped in place of the old page.
    Copied {
        /// The old page.
        from: Pfn,
        /// The copy.
        to: Pfn,
    } = "copied": Line("{to} replaces {from}"), under(always);
    /// A read pin found a page that may be shared and asks for a copy or the mark first.
    UnshareWanted(pfn: Pfn) = "unshare-wanted": Line("{pfn} may be shared: unshare"), under(|rules| unshares(rules.read_gup) != Unshares::Nothing),
        decided by ReadGup("{pfn} may be shared, so it is unshared first");
    /// Unsharing, or undoing a merge, found that the page belongs to its owner alone.
    UnshareReuse(pfn: Pfn) = "unshare-reuse": Line("unshare: {pfn} is exclusive"),
        under(|rules| {
            unshares(rules.read_gup) != Unshares::Nothing || keeps_merged(rules.pte_cow)
        });
    /// The fault found nothing left to do.
    Spurious = "spurious": Passing("fault: nothing to do"), under(always);
    /// The fault waits for a page that is being migrated.
    WaitMigration(pfn: Pfn) = "wait-migration": Line("fault: wait, {pfn} migrates"), under(always);
    /// A scan made the entry PROT_NONE.
    NumaProtected(pfn: Pfn) = "numa-protected": Line("scan: {pfn} protnone"), under(|rules| Interface::NumaBalancing.exists(rules)),
        decided by NumaSkip("{pfn} was not skipped");
    /// A scan left the entry alone.
    NumaSkipped {
        /// The page.
        pfn: Pfn,
        /// The rule's reason.
        why: Why,
    } = "numa-skipped": Line("scan: skip {pfn} ({why})"), under(|rules| scans_skip(rules)),
        decided by NumaSkip("{pfn} was skipped, as {why}");
    /// A scan left the entry alone, as the process has one thread, which runs on the page's node.
    NumaLocal(pfn: Pfn) = "numa-local": Line("scan: skip {pfn} (on the only thread's node)"), under(|rules| Interface::NumaBalancing.exists(rules));
    /// A scan looked at a mapped entry.
    NumaLook(pfn: Pfn) = "numa-look": Passing("scan: looks at {pfn}"), under(|rules| Interface::NumaBalancing.exists(rules));
    /// A protection change or scan took write permission from a migration entry.
    MigrationDowngraded {
        /// The page on the move.
        pfn: Pfn,
        /// What the entry remembers now.
        to: MigrationKind,
    } = "migration-downgraded": Line("migration entry of {pfn} now {to:?}: write bit lost"), under(always),
        decided by MigrationKind(
            "the migration entry of {pfn} lost its write bit to a scan or protection change, and is {}", remembered(*to)
        );
    /// A hinting fault.
    HintFault(pfn: Pfn) = "hint-fault": Line("hint fault on {pfn}"), under(|rules| Interface::NumaBalancing.exists(rules));
    /// A hinting fault left a page on the other node, by what the fault before was.
    NumaFiltered(pfn: Pfn) = "numa-filtered": Line("hint fault: {pfn} may not follow yet"), under(|rules| Interface::NumaBalancing.exists(rules)),
        decided by NumaFilter("{pfn} may not follow yet, by what the hinting fault before was");
    /// A hinting fault made the entry present again.
    HintRestored {
        /// The page.
        pfn: Pfn,
        /// Whether it has the write bit.
        writable: bool,
    } = "hint-restored": Line("hint fault: {pfn} {}", bit(*writable)), under(|rules| Interface::NumaBalancing.exists(rules)),
        decided by NumaWrite(
            "{pfn} came back {} the write bit",
            if *writable { "with" } else { "without" }
        );
    /// Migration replaced the entry.
    MigrationEntry {
        /// The page on the move.
        pfn: Pfn,
        /// What the entry remembers.
        kind: MigrationKind,
    } = "migration-entry": Line("migration entry for {pfn}: {kind:?}"), under(always);
    /// Migration refused a page because it is pinned, before its entry was replaced.
    MigrationPinned(pfn: Pfn) = "migration-pinned": Line("migration: {pfn} pinned, entry put back"), under(|rules| remembers_mark(rules.migration_kind)),
        decided by MigrationKind("{pfn} is pinned, so its entry was put back");
    /// The page has references that migration cannot account for.
    MigrationBusy {
        /// The page.
        pfn: Pfn,
        /// References found.
        refs: u32,
        /// References expected.
        expected: u32,
    } = "migration-busy": Line("migration of {pfn} fails: refs {refs}, expected {expected}"), under(always);
    /// Migration put an entry back.
    MigrationRestored {
        /// The page that is mapped now.
        pfn: Pfn,
        /// Whether it has the write bit.
        writable: bool,
    } = "migration-restored": Line("entry restored: {pfn} {}", bit(*writable)), under(always);
    /// A page has moved.
    Migrated {
        /// From this frame.
        from: Pfn,
        /// To this one.
        to: Pfn,
    } = "migrated": Line("{from} moved to {to}"), under(always);
    /// fork asks whether the page must be copied for the child.
    ForkCheck(pfn: Pfn) = "fork-check": Passing("fork: is {pfn} pinned?"), under(always);
    /// fork shares the page.
    ForkShared {
        /// The page.
        pfn: Pfn,
        /// The rule's reason.
        why: Why,
    } = "fork-shared": Line("fork: share {pfn} ({why})"), under(always),
        decided by ForkPin("{pfn} was shared, as {why}");
    /// fork begins to copy a pinned page for the child; nobody sees the copy before it is whole.
    ForkCopying {
        /// The parent's page.
        from: Pfn,
        /// The child's.
        to: Pfn,
    } = "fork-copying": Line("fork: begins to copy {from} to {to}"), under(|rules| copies_pinned(rules.fork_pin));
    /// fork copied a pinned page for the child.
    ForkCopied {
        /// The parent's page.
        from: Pfn,
        /// The child's.
        to: Pfn,
        /// The rule's reason.
        why: Why,
    } = "fork-copied": Line("fork: copy {from} to {to} ({why})"), under(|rules| copies_pinned(rules.fork_pin)),
        decided by ForkPin("{from} was copied for the child, as {why}");
    /// fork write-protected the parent's entry.
    ForkProtected(pfn: Pfn) = "fork-protected": Line("fork: {pfn} ro in the parent"), under(always);
    /// A monitor is told of an access.
    UffdTold {
        /// Whose userfaultfd.
        uffd: UffdId,
        /// Why.
        reason: UffdReason,
    } = "uffd-told": Line("{uffd} is told: {reason}"), under(|rules| Interface::Userfaultfd.exists(rules));
    /// A monitor has resolved a fault here, or on the pages from here on.
    UffdResolved = "uffd-resolved": Line("userfaultfd: resolved"), under(|rules| Interface::Userfaultfd.exists(rules));
    /// Protection from writes was asked for where nothing is mapped, and passed over.
    UffdPassedOver = "uffd-passed-over": Line("userfaultfd: nothing here to protect"), under(|rules| Interface::UserfaultfdWp.exists(rules)),
        decided by Uffd("nothing was mapped, so there was nothing to protect");
    /// A monitor has an entry protected from writes, or a marker in its place.
    UffdProtected = "uffd-protected": Line("userfaultfd: protected from writes"), under(|rules| Interface::UserfaultfdWp.exists(rules));
    /// fork made a child whose area here is registered, too.
    UffdForked {
        /// Whose userfaultfd.
        uffd: UffdId,
        /// The child.
        child: SpaceId,
    } = "uffd-forked": Line("{uffd} is told: fork, space {}", child.0), under(|rules| Interface::UserfaultfdEvents.exists(rules));
    /// A registered area was moved here.
    UffdMoved {
        /// Whose userfaultfd.
        uffd: UffdId,
        /// Where it was.
        from: VirtAddr,
    } = "uffd-moved": Line("{uffd} is told: moved from {from}"), under(|rules| Interface::UserfaultfdEvents.exists(rules));
    /// A lock-free walk has read an entry that it will try to take.
    FastLook(pfn: Pfn) = "fast-look": Passing("fast walk sees {pfn}"), under(always);
    /// A lock-free walk stopped.
    FastStop(stop: FastStop) = "fast-stop": Line("fast walk stops: {stop:?}"), under(always),
        decided by FastRecheck("the lock-free walk stopped: {stop:?}");
    /// A reference was taken without locks.
    FastTaken(pfn: Pfn) = "fast-taken": Line("fast walk takes {pfn}"), under(always);
    /// A reference was taken under the page-table lock.
    SlowTaken(pfn: Pfn) = "slow-taken": Line("slow walk takes {pfn}"), under(always);
    /// A pin was released.
    Unpinned(pfn: Pfn) = "unpinned": Passing("unpin {pfn}"), under(always);
    /// A remap moved an entry here.
    Remapped {
        /// The page, or the one that a migration entry names.
        pfn: Pfn,
        /// Where the entry was.
        from: VirtAddr,
    } = "remapped": Line("remap: {pfn} from {from}"), under(always);
    /// An entry was zapped.
    Zapped(pfn: Pfn) = "zapped": Line("zap {pfn}"), under(always);
    /// Who forgot which pages were stored to took the mark, and write permission, from an entry.
    SoftDirtyCleared(pfn: Pfn) = "soft-dirty-cleared": Line("clear-refs: {pfn} is not soft-dirty"), under(|rules| Interface::SoftDirty.exists(rules)),
        decided by ClearRefsPinned("{pfn} lost write permission, so that the next store is seen");
    /// He left the mark, and write permission, as a device may have pinned the page.
    SoftDirtyKept(pfn: Pfn) = "soft-dirty-kept": Line("clear-refs: {pfn}, which may be pinned, stays writable"), under(|rules| spares_pinned(rules.clear_refs_pinned)),
        decided by ClearRefsPinned("{pfn} stayed writable, as it may be pinned");
    /// A page's contents are not needed any more, unless it is stored to again.
    LazyFreed(pfn: Pfn) = "lazy-freed": Line("free: the contents of {pfn} may go"), under(|rules| Interface::MadvFree.exists(rules));
    /// Reclaim put the entry of such a page back, as the page was stored to or is in use.
    LazyKept(pfn: Pfn) = "lazy-kept": Line("discard: keep {pfn}, which was stored to or is in use"), under(|rules| Interface::MadvFree.exists(rules)),
        decided by LazyFree("{pfn} was stored to or is in use, so its entry was put back");
    /// Reclaim took the entry of such a page out, without anything in its place.
    LazyDropped(pfn: Pfn) = "lazy-dropped": Line("discard: {pfn} is not mapped any more"), under(|rules| Interface::MadvFree.exists(rules)),
        decided by LazyFree("the entry of {pfn} went, with its contents");
    /// Such a page was freed with its contents.
    LazyGone(pfn: Pfn) = "lazy-gone": Line("discard: {pfn} is free"), under(|rules| Interface::MadvFree.exists(rules));
    /// A page became a merged one: it stands for all equal ones from now on.
    KsmStable(pfn: Pfn) = "ksm-stable": Line("ksm: {pfn} stands for equal pages"), under(always);
    /// An equal page took the place of one: a merged page, or the zero page.
    KsmMerged {
        /// The page that went.
        from: Pfn,
        /// The equal one.
        to: Pfn,
    } = "ksm-merged": Line("ksm: {from} is merged into {to}"), under(always);
    /// A page was not merged, as more refers to it than entries, or it may be pinned.
    KsmKept(pfn: Pfn) = "ksm-kept": Line("ksm: keep {pfn}, which somebody refers to"), under(always);
    /// Reclaim leaves a page where it is, as a device may have pinned it.
    SwapPinned(pfn: Pfn) = "swap-pinned": Line("swap-out: keep {pfn}, which may be pinned"), under(|rules| keeps_pinned(rules.swap_pinned)),
        decided by SwapPinned("{pfn} was kept, as it may be pinned");
    /// Reclaim put a page into the swap cache.
    SwapCacheEntered(pfn: Pfn) = "swap-cache-entered": Line("swap-out: {pfn} is in the swap cache"), under(always),
        decided by SwapPinned("{pfn} was put into the swap cache");
    /// A page that stays, or that nobody wants any more, gave its slot back.
    SwapCacheLeft(pfn: Pfn) = "swap-cache-left": Line("{pfn} leaves the swap cache"), under(always);
    /// Reclaim replaced an entry by a swap entry.
    SwapEntry {
        /// The page.
        pfn: Pfn,
        /// Whether the entry remembers that the page was exclusive.
        exclusive: bool,
    } = "swap-entry": Line(
            "swap entry for {pfn}{}", if *exclusive { ", exclusive" } else { "" }
        ), under(always),
        decided by SwapInReuse(
            "the swap entry of {pfn} {} that it was exclusive",
            if *exclusive { "remembers" } else { "does not remember" }
        );
    /// Reclaim put an entry back, as a device may have pinned its page.
    SwapRefused(pfn: Pfn) = "swap-refused": Line("swap-out: {pfn} pinned, entry put back"), under(|rules| swap_remembers_mark(rules.swap_in_reuse)),
        decided by SwapInReuse("{pfn} may be pinned, so its entry was put back");
    /// Reclaim keeps a page that nothing maps any more: others refer to it.
    SwapBusy {
        /// The page.
        pfn: Pfn,
        /// References found.
        refs: u32,
        /// References expected.
        expected: u32,
    } = "swap-busy": Line("swap-out: keep {pfn}, refs {refs}, expected {expected}"), under(always);
    /// A page was written to a swap device.
    SwappedOut(pfn: Pfn) = "swapped-out": Line("swap-out: {pfn} is written"), under(always);
    /// A page on its way to a swap device is all zeros.
    SwapZeros(pfn: Pfn) = "swap-zeros": Line("swap-out: {pfn} is all zeros, and not written"),
        under(|rules| marks_zeros(rules.swap_zero)),
        decided by SwapZero("{pfn} was not written, as it is all zeros");
    /// A page that was swapped out was freed.
    SwapFreed(pfn: Pfn) = "swap-freed": Line("swap-out: {pfn} goes"), under(always);
    /// A page was read from a swap device.
    SwappedIn(pfn: Pfn) = "swapped-in": Line("swap-in: {pfn} is read"), under(always);
    /// A page was read beside that of a fault.
    SwapReadAhead(pfn: Pfn) = "swap-read-ahead": Line("swap-in: {pfn} is read ahead"),
        under(always);
    /// A fault has read a page from a swap device that answers at once into one of its own, past
    /// the swap cache.
    SwapCacheSkipped(pfn: Pfn) = "swap-cache-skipped": Line("swap-in: {pfn} is not in the swap cache"),
        under(|rules| skips_cache(rules.swap_in_cache)),
        decided by SwapInCache("{pfn} was read past the swap cache");
    /// A fault waits for another that reads the page of a slot past the swap cache.
    WaitSwapClaim(entry: Swap) = "wait-swap-claim": Line("fault: wait, another reads {entry}"),
        under(|rules| takes_slot(rules.swap_in_cache)),
        decided by SwapInCache("the fault waited for the one that was reading {entry}");
    /// A page that was all zeros when it was swapped out is so again.
    SwapZeroFilled(pfn: Pfn) = "swap-zero-filled": Line("swap-in: {pfn} is filled with zeros"),
        under(|rules| marks_zeros(rules.swap_zero)),
        decided by SwapZero("{pfn} was not read, as it was all zeros");
    /// A fault waits for a page that is being read from a swap device, or on its way out.
    WaitSwap(pfn: Pfn) = "wait-swap": Line("fault: wait, {pfn} is on its way"), under(always);
    /// A fault mapped a page in place of a swap entry, as its owner's.
    SwapOwned {
        /// The page.
        pfn: Pfn,
        /// Why it is.
        why: Why,
    } = "swap-owned": Line("swap-in: {pfn} is its owner's ({why})"), under(always),
        decided by SwapInReuse("{pfn} came back as its owner's, as {why}");
    /// A fault mapped a page in place of a swap entry, which may be somebody else's, too.
    SwapShared {
        /// The page.
        pfn: Pfn,
        /// Why it may be.
        why: Why,
    } = "swap-shared": Line("swap-in: {pfn} ro ({why})"), under(always),
        decided by SwapInReuse("{pfn} came back read-only, as {why}");
    /// fork shared a page that is swapped out with the child.
    ForkSwapShared(entry: Swap) = "fork-swap-shared": Line("fork: share {entry}"), under(always);
    /// A swap entry was unmapped.
    SwapZapped(entry: Swap) = "swap-zapped": Line("zap {entry}"), under(always);
    /// A swap entry was moved to another address.
    SwapRemapped {
        /// The entry.
        entry: Swap,
        /// Where it was.
        from: VirtAddr,
    } = "swap-remapped": Line("{entry} moved here from {from}"), under(always);
    /// The charge of a page was moved to another group of memory.
    ChargeMoved(pfn: Pfn) = "charge-moved": Line("{pfn} is charged to the other group"), under(always);
    /// A page counts one more entry of a locked area.
    PageLocked(pfn: Pfn) = "page-locked": Passing("mlock {pfn}"), under(always);
    /// A page counts one entry of a locked area less.
    PageUnlocked(pfn: Pfn) = "page-unlocked": Passing("munlock {pfn}"), under(always);
    /// Writeback took write permission and the dirty mark from an entry of a file's page.
    EntryCleaned(pfn: Pfn) = "entry-cleaned": Line("writeback: {pfn} ro and clean here"), under(always);
    /// A page was taken out of its file, and stays with those who hold it.
    CacheRemoved(pfn: Pfn) = "cache-removed": Line("{pfn} leaves its file"), under(always);
    /// Reclaim took an entry of a file's page out.
    CacheUnmapped(pfn: Pfn) = "cache-unmapped": Line("reclaim: {pfn} is not mapped here any more"), under(always);
    /// A file's page stays, as somebody refers to it besides its file and reclaim.
    CacheBusy {
        /// The page.
        pfn: Pfn,
        /// References found.
        refs: u32,
        /// References expected.
        expected: u32,
    } = "cache-busy": Line("reclaim: keep {pfn}, refs {refs}, expected {expected}"), under(always);
    /// A file's page stays, as it is dirty: it is for who writes files back.
    CacheDirty(pfn: Pfn) = "cache-dirty": Line("reclaim: keep {pfn}, which is to be written back"), under(always);
    /// A file's page left memory, clean.
    CacheReclaimed(pfn: Pfn) = "cache-reclaimed": Line("reclaim: {pfn} is free, its file can be read again"), under(always);
    /// Writeback took the mark off a file's page, and has written it.
    WrittenBack(pfn: Pfn) = "written-back": Line("writeback: {pfn} is clean, and written"), under(always);
    /// A frame was freed.
    Freed(pfn: Pfn) = "freed": Passing("free {pfn}"), under(always);
    /// mprotect changed a mapped entry.
    Protected {
        /// The page.
        pfn: Pfn,
        /// Whether it has the write bit.
        writable: bool,
    } = "protected": Line("protect: {pfn} {}", bit(*writable)), under(always);
}
