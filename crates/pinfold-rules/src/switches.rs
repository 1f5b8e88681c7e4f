//! The switches: each thing that Linux has done in more than one way, and the ways it was done.
//!
//! They are independent because in history they were: each moved at its own date, and stable
//! kernels mix them. A variant's text gives the commit, the rule in a sentence and the hazard;
//! `facts n.m` names the section of the fact sheet with the full steps. Dates that the fact sheet
//! has from memory only are marked M there (facts 12).
//!
//! Not a switch, because no release does otherwise: any protection scan downgrades a writable
//! migration entry (facts 4.2). What it is downgraded to follows from `migration_kind`.

use core::fmt;

use super::define::{Entry, era, since, start, starts, status, switches, variant_at};
use super::{Base, Release, SwitchInfo, VariantInfo};

/// A variant of a switch, as a type that says which switch it is: for code that has a rule set and
/// asks for the rule of one type.
///
/// ```
/// use pinfold_rules::{PteCow, Ruled, Rules, Switch};
/// let rules = Rules::parse("5.9").unwrap();
/// assert_eq!(PteCow::of(&rules).name(), "ref-count");
/// assert_eq!(PteCow::SWITCH, Switch::PteCow);
/// ```
pub trait Ruled: Copy {
    /// The switch.
    const SWITCH: Switch;

    /// The variant in force.
    fn of(rules: &Rules) -> Self;
}

switches! {
    /// When a write fault on a private page may keep the page instead of copying it (facts 1).
    pte_cow: PteCow = "pte-cow" {
        /// As map-count, but a merged page is always copied, for its last user too. facts 1.1
        MapCountUnmerged = "map-count-unmerged" [always],
        /// Nobody else maps the page: mapcount plus swap count is 1; sleeps for the page lock.
        /// References do not count, but for a merged page, which its last user keeps. Hazard: a
        /// child that still reads the page through a reference sees the parent's next writes
        /// (CVE-2020-29374). facts 1.1
        MapCount = "map-count" ["5.1"],
        /// The refcount is 1, commit 09854ba94c6a; a contended page lock means copy. Hazard: the
        /// owner's own pin makes the owner copy, and from then on the device and the owner use
        /// different pages. facts 1.3
        RefCount = "ref-count" ["5.9"],
        /// The refcount is 1 after draining this CPU's LRU batch and freeing the swap cache, for
        /// which it must be 3 at most (the entry, a batch, the swap cache), commits 53a05ad9f21d
        /// and d4c470970d45. Fewer useless copies; the hazard of a pinned owner that copies
        /// remains. facts 1.4
        RefCountPrecise = "ref-count-precise" ["5.18"],
        /// The page carries the exclusive mark, commit 6c287605fd56, whatever its counts; without
        /// the mark as ref-count-precise, and success sets it. A pinned page stays with its owner
        /// as long as it keeps the mark: a migration entry must remember it (migration-kind), and
        /// where it was lost the references decide again. facts 1.5
        Exclusive = "exclusive" ["5.19"],
        /// As exclusive, but the early test grants one reference for an LRU batch or for the swap
        /// cache only where the page is in one, instead of up to three references in any case.
        /// facts 1.6
        ExclusiveTight = "exclusive-tight" ["7.3"],
    }

    /// When a write fault on an entry that maps as many pages as a table does (a PMD) may keep the
    /// folio, instead of splitting the entry for `pte-cow` to decide about the page (facts 1.1,
    /// 1.4, 1.6).
    pmd_cow: PmdCow = "pmd-cow" {
        /// Nobody else maps the folio. References do not count: the hazard of map-count of pte-cow
        /// outlives it here, for nine releases. facts 1.3
        MapCount = "map-count" [always],
        /// The refcount is 1, commit 3bff7e3f1f16. facts 1.4
        RefCount = "ref-count" ["5.18"],
        /// The folio carries the exclusive mark, whatever its counts; without it as ref-count, and
        /// success sets it. facts 1.6
        Exclusive = "exclusive" ["5.19"],
    }

    /// What takes the place of the huge zero page where a process writes to it (facts 1.6).
    huge_zero_write: HugeZeroWrite = "huge-zero-write" {
        /// A table of entries of the zero page, of which the write then replaces one. facts 1.6
        Split = "split" [always],
        /// A folio, if there is one to be had, that one entry maps as before (release: M; seen in
        /// 6.18). facts 1.6
        Folio = "folio" ["6.13"],
    }

    /// When a write fault on a huge page of the pool (hugetlb) may keep the page instead of copying
    /// it to another one of the pool (facts 1.3, 1.5). References never count: the hazard of
    /// map-count of pte-cow is there to this day, on purpose (facts 9.24).
    hugetlb_cow: HugetlbCow = "hugetlb-cow" {
        /// Nobody else maps the page. facts 1.3
        MapCount = "map-count" [always],
        /// The page carries the exclusive mark, or nobody else maps it, and success sets the mark,
        /// commit 6c287605fd56. facts 1.5
        Exclusive = "exclusive" ["5.19"],
    }

    /// When a write fault on a page of a large folio without the exclusive mark, of which entries
    /// map single pages, may keep the page (facts 1.6). Asked where `pte-cow` knows the mark.
    large_cow: LargeCow = "large-cow" {
        /// When nothing but this one mapping refers to the whole folio. facts 1.6
        AsSmall = "as-small" [always],
        /// Never, so that the large folio is given back sooner (release: M). Hazard: none; memory
        /// is copied that was the owner's alone. facts 1.6
        Never = "never" ["6.8"],
        /// When one address space has all of the folio's mappings, more than one, and nothing else
        /// refers to it, commit 1da190f4d0a6. Needs a rule of large-maps that counts the owners.
        /// facts 1.6
        ByOwner = "by-owner" ["6.15"],
    }

    /// What a large folio counts of the entries that map its pages (facts 5.5).
    large_maps: LargeMaps = "large-maps" {
        /// The mappings of each page, and of all together. facts 5.5
        EachPage = "each-page" [always],
        /// Those, and how many are of each of two address spaces, commit 6af8cb80d3a9. facts 5.5
        EachPageAndOwner = "each-page-and-owner" ["6.15"],
        /// As each-page, but an unmap counts only the page's mapping off and forgets the folio's:
        /// the first series' slim removal. Hazard: the folio is freed while it counts as mapped.
        /// facts 5.5, 6.3
        Forgotten = "forgotten" [never],
        /// Those of all together, and of each of two address spaces: one update for a batch of
        /// entries, as commit e63ee43e3eda allows (release: M). The default. facts 5.5
        Owner = "owner" [never],
    }

    /// Whether who takes a reference without a lock looks again at which folio the page is part of
    /// (facts 3.3).
    head_recheck: HeadRecheck = "head-recheck" {
        /// He does not. Hazard: the folio is split, or freed and used again, between his look and
        /// his increment, and the reference is on a folio that the page is not part of. facts 3.3
        Trusted = "trusted" [always],
        /// He does, and gives the reference back if it is another, commit c24d37322548. facts 3.3
        Again = "again" ["5.14"],
    }

    /// Where a reference on a tail of a large folio is counted, and what a split does about
    /// references: up to 4.4 it always succeeds, and each reference goes on with its page (facts
    /// 5.1 to 5.3).
    tail_refs: TailRefs = "tail-refs" {
        /// On the tail and on the head, by two additions of which each is atomic alone. Hazards:
        /// who takes a reference by a frame's number raises only the tail's own count, if that is
        /// not zero, and the split takes too many from the head; and where one more is taken
        /// through a reference that is held, a split may come between the two additions. facts 5.1
        TailAndHead = "tail-and-head" [always],
        /// As tail-mapcount, but who takes one more through a reference that is held takes the lock
        /// without a look whether the head lives: the first posting. Hazard: that is the lock of a
        /// frame that was split off and freed. facts 5.2
        TailMapcountFirst = "tail-mapcount-first" [never],
        /// On the head, and on the tail where a small page counts its mappings: the tail's own
        /// count is zero, so that nobody finds it by number. One more through a reference that is
        /// held makes both additions under a lock in the head, which a split takes, too: that keeps
        /// it from coming between. First it takes a reference on the head, unless that has none, so
        /// that the lock is not that of a frame that was freed. If the page is no tail any more
        /// once it has the lock, it gives that one back and takes one on the page. Commit
        /// 70b50f94f164. facts 5.2
        TailMapcount = "tail-mapcount" ["3.2"],
        /// On the head alone, by one addition, commit ddc58f27f9ee; a split fails if references are
        /// left beside the mappings, by plain reads, commit e9b61f19858a. Hazard: a reference that
        /// is taken after the comparison stays on the head when its page is another. facts 5.3
        HeadCompared = "head-compared" ["4.5"],
        /// On the head alone, which the split takes for itself by compare-and-swap, commit
        /// baa355fd3314: a reference makes it fail, or finds no folio. facts 5.3
        HeadFrozen = "head-frozen" ["4.8"],
    }

    /// What a read-only get or pin does about a page that a later write fault might copy
    /// (facts 1.2, 3.6).
    read_gup: ReadGup = "read-gup" {
        /// It takes the page that is mapped; commit a308c71bf1e6 went back to this. Hazard: the
        /// owner's next write copies, and the device keeps the old page. facts 1.2
        AsIs = "as-is" [always, "5.9"],
        /// Reads of private mappings count as writes and break copy-on-write first, commit
        /// 17839856fd58. Hazard: writes on behalf of reads, which upsets userfaultfd and read-only
        /// huge pages. facts 1.2
        ForceWrite = "force-write" ["5.8"],
        /// A read-only pin of an anonymous page without the exclusive mark replaces it by an
        /// exclusive copy first, commit a7f226604170. Hazard: pins of page-cache and zero pages
        /// still come apart at the next write. facts 3.6
        UnshareAnon = "unshare-anon" ["5.19"],
        /// Long-term read-only pins unshare page-cache and zero pages of private mappings too,
        /// commits 8d6a0ac09a16 and 84209e87c696. Costs memory where only zero pages were mapped.
        /// facts 3.6, 3.7
        UnshareAll = "unshare-all" ["6.2"],
    }

    /// What fork does with a page that may be pinned (facts 2).
    fork_pin: ForkPin = "fork-pin" {
        /// It shares it like any other. Hazard: the parent's next write copies and leaves the
        /// pinned page behind; only MADV_DONTFORK helps. facts 2.2
        Share = "share" [always],
        /// The child gets a copy, commit 70e806e4e645. Hazard: 1024 ordinary references look like a
        /// pin, and page-cache pages of private file mappings are copied too. facts 2.3, 2.5
        Copy = "copy" ["5.9"],
        /// The child gets a copy if the page also carries the exclusive mark; otherwise nothing can
        /// be pinned through this address space, and it is shared. Commit fb3d824d1a46. facts 2.6
        CopyIfExclusive = "copy-if-exclusive" ["5.19"],
    }

    /// What fork does with a huge page of the pool that may be pinned (facts 2.5, 2.6). A copy
    /// needs another page of the pool, and fork fails where there is none.
    hugetlb_fork: HugetlbFork = "hugetlb-fork" {
        /// It shares it like any other. Hazard: the parent's next write copies and leaves the
        /// pinned page behind. facts 2.5
        Share = "share" [always],
        /// As fork-pin does with other pages, commit 4eae4efa2c29. Hazard: a lock-free pin that
        /// lands between the check and the write-protection is shared. facts 2.5
        Copy = "copy" ["5.12"],
        /// The same, and fork-race's sequence count covers these areas, too, commit 623a1ddfeb23.
        /// facts 2.5, 2.6
        CopyGuarded = "copy-guarded" ["5.19"],
    }

    /// How fork keeps a lock-free pin from landing between its pin check and its write-protection
    /// (facts 2.3 to 2.5).
    fork_race: ForkRace = "fork-race" {
        /// Not at all; commit f3c64eda3e50 went back to this. Hazard: a pin in the gap is shared
        /// read-only, and the owner's next write leaves it behind. facts 2.4
        Open = "open" [always, "5.10"],
        /// It write-protects the entry before it checks, and restores it for a pinned page, commit
        /// 70e806e4e645. Hazard: no full barrier on either side, so a weakly ordered machine may
        /// read a stale count; the restore may lose a dirty bit. facts 2.3
        WriteProtectFirst = "write-protect-first" ["5.9"],
        /// A sequence count is odd during the copy; pins that see it odd or changed go the slow
        /// way, commit 57efa1fe5957. Fork orders the increment with a write barrier. Hazard: in a
        /// reduced model, on a weakly ordered machine, that barrier does not keep fork's later read
        /// of the refcount behind the increment. facts 2.5
        SeqCount = "seq-count" ["5.11"],
        /// As seq-count, with a full barrier after the increment, which closes the gap in that
        /// model too. The default. facts 2.5
        SeqCountFull = "seq-count-full" [never],
    }

    /// Whether a page that fork copies for the child can change meanwhile (facts 2.7).
    fork_snapshot: ForkSnapshot = "fork-snapshot" {
        /// It can: the parent's entry stays writable. Hazard: what the parent's other threads write
        /// during the copy makes the child's page torn. Other pages of the child may have what was
        /// written after this one was copied, so pages do not fit together either. Before 5.9 fork
        /// copied no page, and none could be torn; since then it copies those that look pinned
        /// (fork-pin=copy, and since 5.19 copy-if-exclusive). facts 2.7
        Torn = "torn" [always],
        /// It cannot, by the parent's threads: the entry loses write permission, and is flushed,
        /// before the copy, as a posting of June 2025 proposed. Who writes waits for the fork, and
        /// faults. Since 5.19 the fault finds the exclusive mark, keeps the page and gives the
        /// permission back; before, it counts references (pte-cow) and copies, and the device is
        /// left with the old page. facts 2.7
        Protected = "protected" [never],
    }

    /// Which pages the NUMA scanner leaves accessible because they are shared or pinned
    /// (facts 4.2).
    numa_skip: NumaSkip = "numa-skip" {
        /// None but merged and zero pages; 3.13 went back to this, commit 1bc115d87dff (release and
        /// id: M). facts 4.2
        Never = "never" [always, "3.13"],
        /// Pages whose mapcount is not 1, in any mapping: what the first releases with NUMA
        /// balancing did. The hinting fault asks once more, and leaves what is shared by then where
        /// it is. facts 4.2, 4.4
        MapCountAnywhere = "map-count-anywhere" ["3.8"],
        /// Those of private mappings whose mapcount is not 1, commit 859d4adc3415: an optimisation.
        /// A pin is no mapping. Hazard: pinned pages take hinting faults, whose migration must
        /// fail. facts 4.2, 4.6
        MapCount = "map-count" ["4.16"],
        /// Those of private mappings whose refcount is not 1, commit 80d47f5de5e3, the cure of bug
        /// 215616: a pin counts 1024 references, so a pinned page is left alone. Hazard: a pin that
        /// is taken without locks may land after the look, until the entry is flushed; and any
        /// extra reference stops balancing. facts 4.2
        RefCount = "ref-count" ["5.17"],
        /// Pages of private mappings that may be pinned or are likely mapped more than once, commit
        /// d2136d749d76. Likely and maybe differ for large folios only. facts 4.2
        PinnedOrLikelyShared = "pinned-or-likely-shared" ["6.10"],
        /// Pages of private mappings that may be pinned or may be mapped by several address spaces,
        /// commit 003fde4492c8. facts 4.2
        PinnedOrMaybeShared = "pinned-or-maybe-shared" ["6.15"],
        /// Pages that may be pinned, in any mapping, and pages of private mappings that may be
        /// mapped by several address spaces, commit f18d964cd6a0. facts 4.2
        PinnedAnywhere = "pinned-anywhere" ["6.19"],
    }

    /// What makes a NUMA scan leave an entry that maps as many pages as a table does (a PMD) as it
    /// is (facts 4.2).
    numa_skip_pmd: NumaSkipPmd = "numa-skip-pmd" {
        /// That it maps the zero page. Hazard: a pinned folio is made inaccessible, and a hinting
        /// fault tries to move it. facts 4.2
        ZeroPage = "zero-page" [always],
        /// What makes it leave a page's, commit f18d964cd6a0 (release: M). facts 4.2
        AsPage = "as-page" ["6.19"],
    }

    /// Which areas the scanner of NUMA balancing, where it chooses by itself, passes over (facts
    /// 4.7).
    numa_areas: NumaAreas = "numa-areas" {
        /// Those smaller than what an entry above the last level maps (releases: M). facts 4.7
        Large = "large" [always],
        /// Mappings of files that can be read and not written: libraries, which all nodes share.
        /// Small areas are scanned (commit 9f40604cdafe, release and id: M). facts 4.7
        Writable = "writable" ["3.13"],
        /// Those, and areas that are new, or that the task which scans has not used lately, once
        /// the process was scanned twice (commits ef6a22b70f6d and fc137c0ddab2, release and ids:
        /// M). Hazard: what no task that scans uses is never scanned. facts 4.7
        Accessed = "accessed" ["6.4"],
        /// The same, counted from the area's own first scan; one that was begun is finished, none
        /// is scanned twice in a sequence, and a scan that comes to the end takes one all the
        /// same (commits b7a5b537c55c and f169c62ff7cd, release and ids: M). facts 4.7
        AccessedInTurn = "accessed-in-turn" ["6.7"],
    }

    /// Which pages a NUMA hinting fault on another node may move there, by what is known of the
    /// fault before (facts 4.8).
    numa_filter: NumaFilter = "numa-filter" {
        /// Those whose last fault was on the node of this one: never at the first (releases: M).
        /// facts 4.8
        SameNode = "same-node" [always],
        /// Those, and at the first fault on a page, too (release: M). facts 4.8
        FirstOrSameNode = "first-or-same-node" ["3.13"],
        /// Those, and, while the process was scanned four times at most, those whose last fault was
        /// this task's, on whatever node (commit 37355bdc5a12, release and id: M). facts 4.8
        Early = "early" ["4.20"],
    }

    /// Where the write permission is while an entry waits for its NUMA hinting fault (facts 4.3).
    numa_write: NumaWrite = "numa-write" {
        /// In the entry itself: up to 3.19 beside a bit of its own for the hinting fault, since 4.0
        /// in a protnone entry, commit b191f9b106ea. facts 4.3
        Kept = "kept" [always],
        /// Nowhere, and the fault does not grant it again: candidates of 4.0 after commit
        /// 4d9424669946. Hazard: every page that was hinted at takes a write fault, and that may
        /// copy. facts 4.3
        Lost = "lost" [never],
        /// In the entry itself, saved there by the scanner, commit 288bc54949fc; but for ppc64 the
        /// same as kept. Hazard: a restore from an old snapshot writes the old permission back.
        /// facts 4.3
        Saved = "saved" ["4.11"],
        /// Nowhere: the fault works it out as mprotect does, commit 6a56ccbcf6c6. See
        /// write-upgrade. facts 4.3
        Recomputed = "recomputed" ["6.2"],
    }

    /// In which order a NUMA hinting fault restores the entry and moves the page (facts 4.4).
    numa_fault: NumaFault = "numa-fault" {
        /// The entry first, under the table lock, then the move: the page is in use while it moves.
        /// facts 4.4
        RestoreFirst = "restore-first" [always],
        /// The move first; only if it fails is the entry restored, after a recheck, commit
        /// b99a342d4f11. Hazard: the fault holds a reference on the page while no lock is held.
        /// facts 4.4
        MigrateFirst = "migrate-first" ["5.13"],
        /// As migrate-first, with the page isolated under the table lock, commit ee86814b0562: no
        /// extra reference. facts 4.4
        IsolateUnderLock = "isolate-under-lock" ["6.11"],
    }

    /// What a hinting fault does with a large folio (facts 4.4).
    thp_numa: ThpNuma = "thp-numa" {
        /// It moves only where one entry maps all of it, nothing else refers to it, and without
        /// migration entries: a pinned or shared one never. Where entries map its pages it stays.
        /// facts 4.4
        Alone = "alone" [always],
        /// Where one entry maps all of it, it moves as every page does, through migration entries,
        /// commit c5b5a3dd2c1f. Hazard: the migration entry of a pinned one can be downgraded, as
        /// that of a page. facts 4.4, 4.6
        Huge = "huge" ["5.14"],
        /// Where entries map its pages, too, commits 6b0ed7b3c775 and d2136d749d76; all of its
        /// hinting entries in the table and the area become accessible at once. facts 4.4
        Folio = "folio" ["6.10"],
    }

    /// What a migration entry remembers of the entry that it replaced (facts 4.5).
    migration_kind: MigrationKind = "migration-kind" {
        /// Readable or writable, but not the exclusive mark, which a page loses by a move, one
        /// that fails, too. Hazard: a scan makes a writable one readable, a failed migration
        /// restores it so, and the next write faults on an entry without write permission: that
        /// fault may copy a page that is pinned. facts 4.2, 4.6
        ReadWrite = "read-write" [always],
        /// Readable, readable and exclusive, or writable, commit 6c287605fd56. It came with the
        /// exclusive mark of pages. Before a page moves its mark is cleared, and where the page may
        /// be pinned the move gives up at that: its entry is put back as it was, writable, and no
        /// migration entry stands there for a scan to change. One that a scan does change says
        /// readable and exclusive, so the mark comes back with the page: where pte-cow asks for it,
        /// the next write keeps the page. facts 4.5
        Exclusive = "exclusive" ["5.19"],
    }

    /// What becomes of the accessed and dirty bits under a migration entry (facts 4.5).
    migration_ad: MigrationAd = "migration-ad" {
        /// They go: dirty moves to the page, accessed is lost. facts 4.5
        Dropped = "dropped" [always],
        /// The migration entry carries them. facts 4.5
        Carried = "carried" ["6.1"],
    }

    /// How the exclusive mark is cleared under a lock-free pinner's eyes, before merging, swap-out
    /// or migration (facts 3.5).
    share_order: ShareOrder = "share-order" {
        /// Clear the entry, flush, check for pins, clear the mark; before there was a mark, nothing
        /// of this. Hazard: a flush orders nothing
        /// for a walker that does not wait for it; the pin may go unseen on a weakly ordered
        /// machine. facts 3.5
        Flush = "flush" ["5.19"],
        /// Clear the entry, full barrier, check for pins, clear the mark, full barrier, commit
        /// 088b8aa537c2. facts 3.5
        Barriers = "barriers" ["6.1"],
    }

    /// Whether pins of the zero page are counted (facts 3.3).
    zero_pin: ZeroPin = "zero-pin" {
        /// Yes, as soon as there are pins (see interfaces). Hazard: about two million pins exhaust
        /// its refcount, and pinning fails. facts 3.3
        Counted = "counted" ["5.7"],
        /// No: pin and unpin leave it alone, commit c8070b787519. An ordinary get still counts.
        /// facts 3.3
        Free = "free" ["6.5"],
    }

    /// When a forced write may use an entry without write permission (facts 3.4).
    force_write: ForceWrite = "force-write" {
        /// After one write fault it asks for read access only. Hazard: MADV_DONTNEED in between,
        /// and the page-cache page is written (Dirty COW). facts 3.4
        DropWrite = "drop-write" [always],
        /// After a copying fault, if the entry is dirty, commit 19be0eaffa3a. Hazard: dirty does
        /// not prove that it is the copy; read-only shared memory may be written. facts 3.4
        DirtyCow = "dirty-cow" ["4.9"],
        /// If the page is anonymous and exclusive in a private mapping without write permission,
        /// commit 5535be309971. facts 3.4
        Exclusive = "exclusive" ["6.0"],
    }

    /// Whether get and pin respect an entry that waits for a NUMA hinting fault (facts 3.8).
    gup_numa: GupNuma = "gup-numa" {
        /// Yes: they take the fault first, unless forced. facts 3.8
        Honor = "honor" [always],
        /// No: the slow path follows such an entry unless the caller asks otherwise, commit
        /// d74943a2f3cd; the lock-free path always stops at it. facts 3.8
        Follow = "follow" ["6.5"],
    }

    /// Whether get and pin make a stack grow when they meet what lies below it, as an access of the
    /// process does (facts 3.13).
    gup_stack: GupStack = "gup-stack" {
        /// Yes. facts 3.13
        Grow = "grow" [always],
        /// No: nothing is mapped there, whatever lies above, commit 8d7071af8907. facts 3.13
        Refuse = "refuse" ["6.5"],
    }

    /// Whether a long-term pin may be taken for writing through a shared mapping of a file whose
    /// writes are tracked: writeback cleans the page, and the device writes on (facts 3.11).
    file_pin: FilePin = "file-pin" {
        /// Yes. Hazard: what the device writes after a writeback may never reach the file. facts
        /// 3.11
        Allowed = "allowed" [always],
        /// No, commits 8ac268436e6d and a6e79df92e4a. facts 3.11
        Refused = "refused" ["6.5"],
    }

    /// What a long-term pin does about a page in memory that is set apart for what can move
    /// (ZONE_MOVABLE, CMA): a page that is pinned for long does not move (facts 3.10).
    longterm_zone: LongtermZone = "longterm-zone" {
        /// It takes the page where it lies. Hazard: that memory cannot be taken out as long as the
        /// pin lives. facts 3.10
        Stays = "stays" [always],
        /// It is moved out of memory that contiguous requests take back (CMA), and pinned where it
        /// lies if it does not move; elsewhere it stays. Hazard: as stays, also where a page is
        /// busy for a moment. facts 3.10
        Cma = "cma" ["5.1"],
        /// The page is pinned, seen to lie there, unpinned and moved out, and pinned again, commit
        /// d1e153fea2a8; one that somebody else isolates is waited for. If it does not move the
        /// request fails, commit f68749ec342b. Hazard: another request that has it pinned for a
        /// moment, for the same look, makes it fail. facts 3.10
        Moves = "moves" ["5.13", "6.16"],
        /// The same, but if none of the pages that lie there can be isolated they stay pinned
        /// there, commit 1aaf8c122918, which was reverted. Hazard: as stays, while another
        /// moves the page. facts 3.10
        MovesIsolated = "moves-isolated" ["6.14"],
    }

    /// What direct I/O (O_DIRECT) takes on the pages that a device reads or writes meanwhile (facts
    /// 12.9).
    direct_io: DirectIo = "direct-io" {
        /// An ordinary reference. Hazard: after a fork the page may stay with the child while the
        /// device fills it, and the parent never sees the data. facts 12.9
        Get = "get" [always],
        /// A short pin, commit 1ccf164ec866 and its series. facts 12.9
        Pin = "pin" ["6.5"],
    }

    /// What process_vm_readv(2) and process_vm_writev(2) take on a page of the other process while
    /// they copy (facts 3.14).
    process_vm: ProcessVm = "process-vm" {
        /// An ordinary reference. Hazard: after a fork the page may stay with the child, where the
        /// data arrives that was meant for the parent. facts 3.14
        Get = "get" [always],
        /// A short pin, commit 803e4572d7c5. A fork meanwhile leaves the page with the parent as
        /// soon as forks look for pins (5.9). facts 3.14
        Pin = "pin" ["5.6"],
    }

    /// When a change of protection grants write permission at once instead of waiting for a write
    /// fault (facts 7.5).
    write_upgrade: WriteUpgrade = "write-upgrade" {
        /// Never for private memory. facts 7.5
        Never = "never" [always],
        /// If the page is anonymous, exclusive and dirty, commit 64fe24a3e05e. facts 7.5
        ExclusiveDirty = "exclusive-dirty" ["6.0"],
        /// If the page is anonymous and exclusive; a clean one need not wait for its first write.
        /// facts 7.5
        Exclusive = "exclusive" ["6.2"],
    }

    /// What the lock-free walker reads again after it has taken its reference (facts 3.5).
    fast_recheck: FastRecheck = "fast-recheck" {
        /// The entry, and gives the reference back if that has changed. Hazard: the table that it
        /// lies in may have gone, with its entries as they were, for a collapse that copies the
        /// pages. The walkers that architectures had of their own before they took up the general
        /// one (3.18, x86 later: M) may have relied on the flush's interrupts instead; the fact
        /// sheet is silent. facts 3.5, 7.4, 12.12
        Entry = "entry" [always],
        /// That, and the entry above, by which it has found the table, commit 70cbc3cc78a9, in
        /// the last week of 6.0. facts 3.5
        On = "on" ["6.0"],
        /// It does not. Hazard: the page may have been freed and reused in between, and the pin
        /// holds a stranger's page. facts 9
        Off = "off" [never],
    }

    /// Whether a copy is installed before or after every CPU has forgotten the old page
    /// (facts 1.7).
    cow_publish: CowPublish = "cow-publish" {
        /// After the flush. facts 1.7
        AfterFlush = "after-flush" [always],
        /// Before it. Hazard: one CPU writes the copy while another still reads the old page
        /// through its TLB. facts 1.7
        BeforeFlush = "before-flush" [never],
    }

    /// Whether a page table that was unlinked is freed before or after the lock-free walkers have
    /// left it (facts 3.5, 7.9).
    table_free: TableFree = "table-free" {
        /// After them: walkers keep interrupts off, and the table waits for an interrupt on every
        /// CPU or for a grace period. facts 3.5, 7.9
        AfterWalkers = "after-walkers" [always],
        /// At once. Hazard: a walker reads a frame that is free, or somebody else's table. facts
        /// 3.5
        AtOnce = "at-once" [never],
    }

    /// How a collapse keeps lock-free walkers out of the table that it takes out, whose pages it
    /// copies (facts 7.4).
    collapse_sync: CollapseSync = "collapse-sync" {
        /// By the flush alone, which does not wait for them where tables are freed by RCU. Hazard:
        /// a walker that has found the table takes a reference on a page after the collapse has
        /// counted those, and the page is not its owner's any more. facts 7.4
        Flush = "flush" [always],
        /// By an interrupt on every CPU, tlb_remove_table_sync_one, commit 2ba99c5e0812: whoever
        /// found the table has left it before the references are counted. facts 7.4
        Interrupt = "interrupt" ["6.1"],
    }

    /// What a collapse does about pages of its span that are on a swap device (facts 7.4).
    collapse_swapped: CollapseSwapped = "collapse-swapped" {
        /// One of them, and it is not tried. facts 7.4
        Refused = "refused" [always],
        /// They are brought back first, as many as a limit allows, commit 8a966ed746d6 (release:
        /// M). facts 7.4
        BroughtBack = "brought-back" ["4.8"],
    }

    /// What a page fault holds while it is resolved, and so for whom it waits (facts 7.11).
    fault_lock: FaultLock = "fault-lock" {
        /// The address space's lock for reading: it waits for every change of the address space.
        /// facts 7.11
        Space = "space" [always],
        /// Its area, commit 5e31275cc997: it waits for changes of that area only. What it does not
        /// find so, and the first anonymous page of an area, takes the address space's lock. facts
        /// 7.11
        Area = "area" ["6.4"],
    }

    /// When a page table without entries is freed while something may still be mapped in its span
    /// (facts 7.9).
    table_reclaim: TableReclaim = "table-reclaim" {
        /// Never: a table goes when nothing is mapped in its span any more. facts 7.9
        Unmap = "unmap" [always],
        /// When MADV_DONTNEED has emptied the whole span of a last-level table, commit
        /// 6375e95f381e. facts 7.9
        DontNeed = "dont-need" ["6.14"],
    }

    /// When a walk over all that map a page asks whether the page is mapped, which is its proof
    /// that the anon_vma that the page names is still the page's (facts 6.5).
    rmap_check: RmapCheck = "rmap-check" {
        /// Each time after it has taken the anon_vma's lock or a reference on it. facts 6.5
        AfterLock = "after-lock" [always],
        /// Before it looks the anon_vma up, and not again. Hazard: the page may be unmapped in
        /// between, the anon_vma freed, and its memory reused for another: the walk visits
        /// strangers. facts 6.3, 6.5
        BeforeLock = "before-lock" [never],
    }

    /// When an unmap takes the mapping off a page, and with it the page out of the reverse map
    /// (facts 6.2 to 6.4).
    zap_rmap: ZapRmap = "zap-rmap" {
        /// With the entry, before the flush. Hazard: writeback cleans a page whose last mapping it
        /// no longer finds, while a CPU still writes through a stale translation; the write is
        /// lost. Up to 3.14 the flush came after the table's lock even for dirty pages of files,
        /// which is left out here: writeback does not find the mapping either way. facts 6.2
        WithEntry = "with-entry" [always],
        /// When the page is freed, for every page: the first series. Hazard: an anonymous page says
        /// that it is mapped after its anon_vma was freed, and a walk of the reverse map uses that
        /// memory. facts 6.3
        WhenFreed = "when-freed" [never],
        /// After a flush under the table's lock for file pages whose entry was dirty, with the
        /// entry for all others, commit 5df397dec7c4. facts 6.4
        DirtyAfterFlush = "dirty-after-flush" ["6.2"],
    }

    /// When an unmap takes the lock of a locked area off a page (facts 6.3, 6.6).
    zap_munlock: ZapMunlock = "zap-munlock" {
        /// By a walk of its own over the pages that are mapped, before the first entry goes. facts
        /// 6.6
        ByWalk = "by-walk" [always],
        /// With the page's mapping, whenever that is taken off: together, so that no remover of
        /// mappings forgets it. facts 6.6
        WithMapping = "with-mapping" ["5.18"],
        /// With the entry, however late the mapping goes: the first series, which split the two.
        /// facts 6.3
        WithEntry = "with-entry" [never],
        /// Not at all: what splitting the two invites. Hazard: the page is freed while it counts as
        /// locked. facts 6.3, 6.6
        Forgotten = "forgotten" [never],
    }

    /// What keeps a page's group in place while its counts there change, as its mappings do
    /// (facts 6.6).
    memcg_lock: MemcgLock = "memcg-lock" {
        /// A lock of the page's charge, lock_page_memcg: held by who adds or removes a mapping,
        /// from before the page's map count changes until the group has counted it, and by who
        /// moves the charge. Any page may be moved. facts 6.6
        InRmap = "in-rmap" [always],
        /// The mover: it holds the page's lock, and the lock of a table that maps the page. A page
        /// that is mapped only elsewhere stays in its group. Commits c7c3dec1c9db, 4e0cf05f6059
        /// (release: M). Hazard: a page in memory that nothing maps any more moves before its last
        /// mapping is counted off. facts 6.6
        Mover = "mover" ["6.2"],
        /// As mover, and before it moves a page that nothing maps, it takes the lock of each table
        /// that could have mapped it: who took the last mapping off has counted it by then. The
        /// default. facts 6.6
        MoverWaits = "mover-waits" [never],
        /// As in-rmap, but the lock is taken only around the group's counts, after the map count
        /// has changed. Hazard: who moves a page that is mapped elsewhere finds it unmapped in
        /// between, and the group that it moves to loses a mapping that it never had. facts 6.6
        AroundCounts = "around-counts" [never],
        /// Nothing. Hazard: a page whose last mapping goes while it moves is counted off the wrong
        /// group. facts 6.6
        None = "none" [never],
    }

    /// What userfaultfd can watch, beside accesses to pages that are missing (facts 7.14).
    uffd: Uffd = "uffd" {
        /// Writes to private memory, where a page is mapped. Hazard: a page that nobody has touched
        /// yet is passed over, and the first write to it is not told. facts 7.14
        WpAnon = "wp-anon" [always],
        /// Accesses to pages of memory files that are there but not mapped, too: minor faults,
        /// commit c949b097ef2e (release: M). facts 7.14
        Minor = "minor" ["5.14"],
        /// Writes to shared memory, too, mapped or not: markers in place of entries, commit
        /// b1f9e876862d (release: M). facts 7.14
        WpShared = "wp-shared" ["5.19"],
        /// Writes to private memory that nobody has touched, too, where that is asked for:
        /// UFFD_FEATURE_WP_UNPOPULATED, commit 2bad466cc9d9 (release: M). facts 7.14
        WpUnpopulated = "wp-unpopulated" ["6.4"],
    }

    /// How a write fault meets write protection by userfaultfd that was not flushed yet, as the
    /// entries change under the lock for reading (facts 7.14).
    uffd_wp_flush: UffdWpFlush = "uffd-wp-flush" {
        /// It does not look. Hazard: the protection is taken back, a write copies the page, and
        /// what another CPU stores meanwhile by the translation that it still has is lost. facts
        /// 7.14
        Late = "late" [always],
        /// It flushes the page before it copies it, commit 6ce64428d620 (release: M). facts 7.14
        BeforeCopy = "before-copy" ["5.12"],
    }

    /// Whether the entry is dirty by which UFFDIO_CONTINUE shows a page of shared memory in a
    /// private mapping (facts 3.4, 7.14).
    uffd_continue: UffdContinue = "uffd-continue" {
        /// No, as it is not writable. facts 7.14
        Clean = "clean" [always],
        /// Yes, as in shared mappings, commit 9ae0f87d009c. Hazard: with dirty-cow of force-write a
        /// debugger takes it for the copy that its write fault made, and writes to the file
        /// (CVE-2022-2590). facts 3.4
        Dirty = "dirty" ["5.16"],
    }

    /// When migration flushes the entries that it has replaced (facts 6.7).
    migrate_flush: MigrateFlush = "migrate-flush" {
        /// Each at once, under its table's lock. facts 6.7
        Each = "each" [always],
        /// Those of a batch of pages together, before the first of them is copied; until then an
        /// address space with such an entry is marked, and who changes its entries flushes first.
        /// facts 6.7
        Batched = "batched" ["6.3"],
    }

    /// When reclaim flushes the entries that it has replaced by swap entries (facts 6.7).
    swap_flush: SwapFlush = "swap-flush" {
        /// Each at once, under its table's lock. facts 6.7
        Each = "each" [always],
        /// Those of a batch of pages together, before the first of them is written; until then an
        /// address space with such an entry is marked, and who changes its entries flushes first.
        /// Commits 72b252aed506 and d950c9477d51 (release: M). facts 6.7
        Batched = "batched" ["4.3"],
    }

    /// Whether reclaim takes a page that a device may have pinned (facts 7.2).
    swap_pinned: SwapPinned = "swap-pinned" {
        /// It does: the page goes to the swap cache, its entries become swap entries, and the pin
        /// alone keeps it in memory. Hazard: where references decide about reuse, the owner that
        /// comes back and writes copies the page, and the device is left with the old one. facts
        /// 7.2
        Taken = "taken" [always],
        /// It does not put such a page into the swap cache, commit feb889fb40fa. Hazard: the pin
        /// may land after that look, and before the entries are taken out. facts 7.2
        Kept = "kept" ["5.11"],
        /// That, and it looks again once nothing maps the page: one that is pinned then stays in
        /// memory, and is not written, commit d824ec2a1546 (release: M). facts 7.2
        KeptUnmapped = "kept-unmapped" ["6.4"],
    }

    /// Whether a fault that needs a page from a swap device which answers at once (Linux:
    /// `SWP_SYNCHRONOUS_IO`, zram for instance) reads it by way of the swap cache (facts 7.2).
    swap_in_cache: SwapInCache = "swap-in-cache" {
        /// It does, as from any device. facts 7.2
        Through = "through" [always, "7.3"],
        /// Not if one swap entry is all that names the slot: it reads into a page of its own,
        /// commit 0bcac06f27d7. Hazard: two threads that fault read the slot twice; the page of
        /// one is written, goes out again, and gets the same slot, so that the other finds its
        /// entry unchanged and maps what was there before. facts 7.2
        Skipped = "skipped" ["4.15"],
        /// The same, but the fault takes the slot for that time: others wait, and no page gets the
        /// slot, commit 13ddaf26be32 (CVE-2024-26759). facts 7.2
        SkippedAlone = "skipped-alone" ["6.8"],
    }

    /// Whose a page is that a fault brings back in place of a swap entry (facts 1.8).
    swap_in_reuse: SwapInReuse = "swap-in-reuse" {
        /// That of a write fault, if mapcount plus swap count is 1. References do not count: the
        /// hazard of map-count of pte-cow outlives it here. facts 1.8
        MapCount = "map-count" [always],
        /// That of a write fault, if the refcount is 1 once the entry has given up its share of the
        /// slot and the page, for that, the swap cache, commit c145e0b47c77. Hazard: the owner's
        /// own reference makes the owner's write copy. facts 1.8
        RefCount = "ref-count" ["5.18"],
        /// That of any fault whose swap entry remembers the exclusive mark, or as ref-count, commit
        /// 1493a1913e34. A page that may be pinned keeps its entry. facts 1.8
        ExclusiveOrRefCount = "exclusive-or-ref-count" ["5.19"],
        /// That of any fault whose swap entry remembers the mark; the swap cache is freed after the
        /// page was mapped. facts 1.8
        Exclusive = "exclusive" ["7.3"],
    }

    /// Whether a page that a read brings back from swap, and that is its owner's, may be written to
    /// without another fault (facts 1.8).
    swap_in_write: SwapInWrite = "swap-in-write" {
        /// It may not: only a write fault gives the write bit. facts 1.8
        WriteFault = "write-fault" [always],
        /// It may, where the area allows writing and no monitor waits for the fault (seen in 6.12,
        /// and not in 6.1: release M). facts 1.8
        IfAllowed = "if-allowed" ["6.12"],
    }

    /// Whether a page that a swap device is writing, which needs it unchanged until that is done
    /// (Linux: `SWP_STABLE_WRITES`, zram for instance), may be written to again (facts 1.8).
    swap_stable: SwapStable = "swap-stable" {
        /// It may. Hazard: what the device computes of the page, a checksum or the length that it
        /// takes compressed, is not that of what it stores. facts 1.8
        Ignored = "ignored" [always],
        /// It is nobody's to write: a write fault copies it, commit f05714293a59. facts 1.8
        Heeded = "heeded" ["4.10"],
    }

    /// What becomes of a page that is all zeros on its way to a swap device (facts 7.2).
    swap_zero: SwapZero = "swap-zero" {
        /// It is written as any other. facts 7.2
        Written = "written" [always],
        /// Its slot is marked, and the page neither written nor read when it comes back, commit
        /// 0ca0c24e3211 (release: M). facts 7.2
        Marked = "marked" ["6.12"],
    }

    /// What reclaim asks of a page whose contents its owner does not need (MADV_FREE), once an
    /// entry is out, before it drops them (facts 7.2).
    lazy_free: LazyFree = "lazy-free" {
        /// Whether it is dirty. Hazard: direct I/O that is under way has a reference and marks the
        /// page only later; the owner loses the page, and finds zeros in place of what was read.
        /// facts 7.2
        Dirty = "dirty" [always],
        /// Whether anybody but the entries and reclaim refers to it, and then whether it is dirty:
        /// it keeps the entry then, commit 6c8e2a256915 (release: M). facts 7.2
        References = "references" ["5.18"],
    }

    /// What becomes of a pinned page when a program has its soft-dirty marks cleared, and how
    /// (facts 7.6).
    clear_refs_pinned: ClearRefsPinned = "clear-refs-pinned" {
        /// It loses write permission as all pages do, under the address space's lock for reading.
        /// Hazard: where references decide about reuse, the owner's next write copies the page, and
        /// the device is left with the old one; and a page that is copied before the one flush at
        /// the end loses what another CPU stores by the translation that it still has. facts 7.6
        Protected = "protected" [always],
        /// Its entry, if writable, stays as it is, and the page soft-dirty for ever, commit
        /// 9348b73c2e1b; the lock is held for writing, commit 29a951dfb3c3. Hazard: a lock-free pin
        /// may land between that look and the loss of write permission. facts 7.6
        Spared = "spared" ["5.11"],
    }

    /// Which CPUs a flush reaches (facts 1.7, 6.1).
    flush_reach: FlushReach = "flush-reach" {
        /// All that may have cached a translation of the address space. facts 6.1
        EveryCpu = "every-cpu" [always],
        /// The one that changes the entry, as kernels do that came from one CPU. Hazard: the others
        /// go on with the old translation after a copy, a protection or an unmap. facts 1.7
        ThisCpu = "this-cpu" [never],
    }

    /// When a remap flushes the addresses that its entries have left (facts 7.12).
    remap_flush: RemapFlush = "remap-flush" {
        /// When all entries have moved and nothing is locked but the address space. Hazard: the
        /// page is moved or freed from its new address while a CPU still writes through the old
        /// one. facts 7.12
        AfterLocks = "after-locks" [always],
        /// Before it releases the tables' locks, commit eb66ae030829. facts 7.12
        UnderLock = "under-lock" ["4.19"],
    }

    /// Whether those who follow an address space with tables of their own hear of a change before
    /// or after the entries change (facts 7.10).
    notify: Notify = "notify" {
        /// Before the first entry changes, and again when the last one has: what they set up in
        /// between does not count. facts 7.10
        Around = "around" [always],
        /// Only when it is over. Hazard: a device uses a page through its own table after the page
        /// was freed, moved or copied. facts 7.10
        Afterwards = "afterwards" [never],
    }

    /// Whether the program break moves down to where nothing is mapped between its old place and
    /// its new one (facts 7.13).
    break_hole: BreakHole = "break-hole" {
        /// It does. facts 7.13
        Pass = "pass" [always],
        /// It stays, and the call fails: it looks for the mapping that is to become shorter. facts
        /// 7.13
        Refuse = "refuse" ["6.1"],
    }

    /// Which interfaces there are for what programs and drivers do: each variant has its own and
    /// those of all before it. A step of a scenario that needs another is refused (facts 7.15).
    interfaces: Interfaces = "interfaces" {
        /// What 3.1 had: mmap, mprotect, madvise, mremap, mlock, fork, move_pages, O_DIRECT, groups
        /// of memory, notifiers for devices, ptrace, and get_user_pages. facts 7.15
        Basic = "basic" [always],
        /// process_vm_readv and process_vm_writev, too. facts 3.14, 7.15
        ProcessVm = "process-vm" ["3.2"],
        /// NUMA balancing, too. facts 7.15
        NumaBalancing = "numa-balancing" ["3.8"],
        /// Soft-dirty marks, which clear_refs clears, too. facts 7.6, 7.15
        SoftDirty = "soft-dirty" ["3.11"],
        /// userfaultfd, too, for private memory. facts 7.14, 7.15
        Userfaultfd = "userfaultfd" ["4.3"],
        /// MADV_FREE, too. facts 7.2, 7.15
        MadvFree = "madv-free" ["4.5"],
        /// The events of userfaultfd, and it for shared memory, too. facts 7.14, 7.15
        UserfaultfdEvents = "userfaultfd-events" ["4.11"],
        /// MADV_WIPEONFORK, too, commit d2cd9ede6e19. facts 2.1, 7.15
        WipeOnFork = "wipe-on-fork" ["4.14"],
        /// The refusal of a reference that a counter cannot hold, too, commit 8fde12ca79af. Before,
        /// the counter wraps: CVE-2019-11487. facts 3.3, 7.15
        OverflowRefused = "overflow-refused" ["5.1"],
        /// pin_user_pages, too, commit eddb1c228f79. In 5.6 itself a pin counted as one reference,
        /// which is left out here: no rule of that release asks for pins. facts 3.3, 7.15
        PinUserPages = "pin-user-pages" ["5.6"],
        /// Write protection by userfaultfd, too, commit 63b2d4174c4a. facts 7.14, 7.15
        UserfaultfdWp = "userfaultfd-wp" ["5.7"],
        /// MADV_POPULATE_READ and MADV_POPULATE_WRITE, too. facts 3.13, 7.15
        Populate = "populate" ["5.14"],
    }
}
