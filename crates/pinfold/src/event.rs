//! What the memory manager tells its platform while it works: for traces, statistics of a laboratory, and explanations.
//!
//! Events are small `Copy` values; a platform that does not override [`crate::Platform::event`] pays nothing for them.

use core::fmt;

use crate::addr::SpaceId;
use crate::addr::{Pfn, VirtAddr};
use crate::rules::Why;
use crate::table::MigrationKind;

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
    /// Writing was wanted, and the entry does not allow it.
    ReadOnly,
    /// An entry for a page without counts: the zero page.
    Special,
    /// The frame was free or just changing when its reference was wanted.
    FrameGone,
    /// The entry or the table changed after the reference was taken: it was given back.
    EntryChanged,
    /// The page must be unshared first, which needs the slow path.
    MustUnshare,
    /// fork copied page tables meanwhile: everything was given back.
    ForkRan,
    /// Nothing of the walk may run: fork is copying page tables.
    ForkRunning,
    /// The frame's count could overflow.
    Overflow,
}

/// The kinds of events. Names in a scenario are [`EventKind::name`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum EventKind {
    /// A read fault mapped the zero page.
    ZeroMapped(Pfn),
    /// A first touch mapped a new page.
    FirstTouch(Pfn),
    /// A fault mapped a page of a shared object.
    SharedMapped(Pfn),
    /// A write fault on a read-only page goes on with the same page.
    CowReuse {
        /// The page.
        pfn: Pfn,
        /// The rule's reason.
        why: Why,
    },
    /// A write fault on a read-only page will copy it.
    CowCopy {
        /// The page.
        pfn: Pfn,
        /// The rule's reason.
        why: Why,
    },
    /// The copy is mapped in place of the old page.
    Copied {
        /// The old page.
        from: Pfn,
        /// The copy.
        to: Pfn,
    },
    /// A read pin found a page that may be shared and asks for a copy or the mark first.
    UnshareWanted(Pfn),
    /// Unsharing found the page to be the owner's alone.
    UnshareReuse(Pfn),
    /// The fault found nothing to do any more.
    Spurious,
    /// The fault waits for a page that is being migrated.
    WaitMigration(Pfn),
    /// A scan made the entry PROT_NONE.
    NumaProtected(Pfn),
    /// A scan left the entry alone.
    NumaSkipped {
        /// The page.
        pfn: Pfn,
        /// The rule's reason.
        why: Why,
    },
    /// A scan looked at a mapped entry.
    NumaLook(Pfn),
    /// A protection change or scan took the write right out of a migration entry.
    MigrationDowngraded {
        /// The page on the move.
        pfn: Pfn,
        /// What the entry remembers now.
        to: MigrationKind,
    },
    /// A hinting fault.
    HintFault(Pfn),
    /// A hinting fault made the entry present again.
    HintRestored {
        /// The page.
        pfn: Pfn,
        /// With the write bit.
        writable: bool,
    },
    /// Migration replaced the entry.
    MigrationEntry {
        /// The page on the move.
        pfn: Pfn,
        /// What the entry remembers.
        kind: MigrationKind,
    },
    /// Migration refused a page because it is pinned, before touching its entry for good.
    MigrationPinned(Pfn),
    /// The page has references that migration cannot account for.
    MigrationBusy {
        /// The page.
        pfn: Pfn,
        /// References found.
        refs: u32,
        /// References expected.
        expected: u32,
    },
    /// Migration put an entry back.
    MigrationRestored {
        /// The page that is mapped now.
        pfn: Pfn,
        /// With the write bit.
        writable: bool,
    },
    /// A page has moved.
    Migrated {
        /// From this frame.
        from: Pfn,
        /// To this one.
        to: Pfn,
    },
    /// fork asks whether the page must be copied for the child.
    ForkCheck(Pfn),
    /// fork shares the page.
    ForkShared {
        /// The page.
        pfn: Pfn,
        /// The rule's reason.
        why: Why,
    },
    /// fork copied a pinned page for the child.
    ForkCopied {
        /// The parent's page.
        from: Pfn,
        /// The child's.
        to: Pfn,
        /// The rule's reason.
        why: Why,
    },
    /// fork write-protected the parent's entry.
    ForkProtected(Pfn),
    /// A lock-free walk has read an entry that it will try to take.
    FastLook(Pfn),
    /// A lock-free walk stopped.
    FastStop(FastStop),
    /// A reference or pin was taken without locks.
    FastTaken(Pfn),
    /// A reference or pin was taken under the page-table lock.
    SlowTaken(Pfn),
    /// A pin was released.
    Unpinned(Pfn),
    /// An entry was zapped.
    Zapped(Pfn),
    /// A frame was freed.
    Freed(Pfn),
    /// mprotect changed a mapped entry.
    Protected {
        /// The page.
        pfn: Pfn,
        /// With the write bit.
        writable: bool,
    },
}

impl EventKind {
    /// The event's name in scenarios and traces.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::ZeroMapped(_) => "zero-mapped",
            Self::FirstTouch(_) => "first-touch",
            Self::SharedMapped(_) => "shared-mapped",
            Self::CowReuse { .. } => "cow-reuse",
            Self::CowCopy { .. } => "cow-copy",
            Self::Copied { .. } => "copied",
            Self::UnshareWanted(_) => "unshare-wanted",
            Self::UnshareReuse(_) => "unshare-reuse",
            Self::Spurious => "spurious",
            Self::WaitMigration(_) => "wait-migration",
            Self::NumaProtected(_) => "numa-protected",
            Self::NumaSkipped { .. } => "numa-skipped",
            Self::NumaLook(_) => "numa-look",
            Self::MigrationDowngraded { .. } => "migration-downgraded",
            Self::HintFault(_) => "hint-fault",
            Self::HintRestored { .. } => "hint-restored",
            Self::MigrationEntry { .. } => "migration-entry",
            Self::MigrationPinned(_) => "migration-pinned",
            Self::MigrationBusy { .. } => "migration-busy",
            Self::MigrationRestored { .. } => "migration-restored",
            Self::Migrated { .. } => "migrated",
            Self::ForkCheck(_) => "fork-check",
            Self::ForkShared { .. } => "fork-shared",
            Self::ForkCopied { .. } => "fork-copied",
            Self::ForkProtected(_) => "fork-protected",
            Self::FastLook(_) => "fast-look",
            Self::FastStop(_) => "fast-stop",
            Self::FastTaken(_) => "fast-taken",
            Self::SlowTaken(_) => "slow-taken",
            Self::Unpinned(_) => "unpinned",
            Self::Zapped(_) => "zapped",
            Self::Freed(_) => "freed",
            Self::Protected { .. } => "protected",
        }
    }

    /// Every name that [`EventKind::name`] gives.
    pub const NAMES: &'static [&'static str] = &[
        "zero-mapped",
        "first-touch",
        "shared-mapped",
        "cow-reuse",
        "cow-copy",
        "copied",
        "unshare-wanted",
        "unshare-reuse",
        "spurious",
        "wait-migration",
        "numa-protected",
        "numa-skipped",
        "numa-look",
        "migration-downgraded",
        "hint-fault",
        "hint-restored",
        "migration-entry",
        "migration-pinned",
        "migration-busy",
        "migration-restored",
        "migrated",
        "fork-check",
        "fork-shared",
        "fork-copied",
        "fork-protected",
        "fast-look",
        "fast-stop",
        "fast-taken",
        "slow-taken",
        "unpinned",
        "zapped",
        "freed",
        "protected",
    ];
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bit = |writable: &bool| if *writable { "rw" } else { "ro" };
        match self {
            Self::ZeroMapped(pfn) => write!(f, "fault: zero page {pfn} ro"),
            Self::FirstTouch(pfn) => write!(f, "fault: new page {pfn}"),
            Self::SharedMapped(pfn) => write!(f, "fault: shared page {pfn}"),
            Self::CowReuse { pfn, why } => write!(f, "wp fault: reuse {pfn} ({why})"),
            Self::CowCopy { pfn, why } => write!(f, "wp fault: copy {pfn} ({why})"),
            Self::Copied { from, to } => write!(f, "{to} replaces {from}"),
            Self::UnshareWanted(pfn) => write!(f, "{pfn} may be shared: unshare"),
            Self::UnshareReuse(pfn) => write!(f, "unshare: {pfn} is exclusive"),
            Self::Spurious => f.write_str("fault: nothing to do"),
            Self::WaitMigration(pfn) => write!(f, "fault: wait, {pfn} migrates"),
            Self::NumaProtected(pfn) => write!(f, "scan: {pfn} protnone"),
            Self::NumaSkipped { pfn, why } => write!(f, "scan: skip {pfn} ({why})"),
            Self::NumaLook(pfn) => write!(f, "scan: looks at {pfn}"),
            Self::MigrationDowngraded { pfn, to } => {
                write!(f, "migration entry of {pfn} now {to:?}: write bit lost")
            }
            Self::HintFault(pfn) => write!(f, "hint fault on {pfn}"),
            Self::HintRestored { pfn, writable } => {
                write!(f, "hint fault: {pfn} {}", bit(writable))
            }
            Self::MigrationEntry { pfn, kind } => write!(f, "migration entry for {pfn}: {kind:?}"),
            Self::MigrationPinned(pfn) => write!(f, "migration: {pfn} pinned, entry put back"),
            Self::MigrationBusy { pfn, refs, expected } => {
                write!(f, "migration of {pfn} fails: refs {refs}, expected {expected}")
            }
            Self::MigrationRestored { pfn, writable } => {
                write!(f, "entry restored: {pfn} {}", bit(writable))
            }
            Self::Migrated { from, to } => write!(f, "{from} moved to {to}"),
            Self::ForkCheck(pfn) => write!(f, "fork: is {pfn} pinned?"),
            Self::ForkShared { pfn, why } => write!(f, "fork: share {pfn} ({why})"),
            Self::ForkCopied { from, to, why } => {
                write!(f, "fork: copy {from} to {to} ({why})")
            }
            Self::ForkProtected(pfn) => write!(f, "fork: {pfn} ro in the parent"),
            Self::FastLook(pfn) => write!(f, "fast walk sees {pfn}"),
            Self::FastStop(why) => write!(f, "fast walk stops: {why:?}"),
            Self::FastTaken(pfn) => write!(f, "fast walk takes {pfn}"),
            Self::SlowTaken(pfn) => write!(f, "slow walk takes {pfn}"),
            Self::Unpinned(pfn) => write!(f, "unpin {pfn}"),
            Self::Zapped(pfn) => write!(f, "zap {pfn}"),
            Self::Freed(pfn) => write!(f, "free {pfn}"),
            Self::Protected { pfn, writable } => write!(f, "protect: {pfn} {}", bit(writable)),
        }
    }
}

/// A broken invariant, as far as the code itself notices.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Bug {
    /// More references were dropped than there were (INV-FRAME-1).
    RefUnderflow(Pfn),
    /// More mappings were dropped than there were.
    MapUnderflow(Pfn),
    /// A frame lost its last reference while entries still map it (INV-FRAME-1).
    FreedWhileMapped(Pfn),
    /// An anonymous page was pinned without being exclusive (INV-PIN-2).
    PinnedNotExclusive(Pfn),
    /// An anonymous page is mapped writable without being exclusive (facts 1.5 I1).
    WritableNotExclusive(Pfn),
}

impl fmt::Display for Bug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RefUnderflow(pfn) => write!(f, "{pfn} lost more references than it had"),
            Self::MapUnderflow(pfn) => write!(f, "{pfn} lost more mappings than it had"),
            Self::FreedWhileMapped(pfn) => write!(f, "{pfn} was freed while still mapped"),
            Self::PinnedNotExclusive(pfn) => write!(f, "{pfn} was pinned without being exclusive"),
            Self::WritableNotExclusive(pfn) => {
                write!(f, "{pfn} is mapped writable without being exclusive")
            }
        }
    }
}
