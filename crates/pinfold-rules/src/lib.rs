//! What Linux has decided about private pages, release by release: pure decisions for kernels that
//! own their page tables.
//!
//! [`Rules`] holds one documented variant for each thing that Linux has done in more than one way.
//! [`Rules::linux`] gives the rules of a release, [`Rules::default`] those that an embedder should
//! use, and [`Rules::parse`] reads either with overrides. The decisions are pure functions over a
//! snapshot ([`PageState`], [`EntryState`], [`AreaState`]), one module for each subject; every
//! answer carries a [`Why`] that prints the test that decided with its numbers. They take no lock,
//! order nothing and need no heap: the caller holds the locks that the subject's protocol asks for,
//! and takes the snapshot under them. The crate `pinfold` is a memory manager built on them.
//!
//! # What to ask when
//!
//! *Table lock* is the lock of the page table that holds the entry, *space lock* that of the
//! address space, *mark* the exclusive mark ([`Exclusive`], in Linux PageAnonExclusive). In
//! addition to what the table says, a question about a page takes its [`PageState`]. The rule is
//! the field of [`Rules`] of that type.
//!
//! | moment | ask | with | under | what the answer obliges to |
//! | --- | --- | --- | --- | --- |
//! | a new private page is mapped | nothing | | table lock | Mark it, whatever the rules. |
//! | a write fault on a read-only entry of a private mapping | [`pte_cow_precheck`](cow::pte_cow_precheck), and, as it answers, [`pte_cow_drained`](cow::pte_cow_drained), [`pte_cow_locked`](cow::pte_cow_locked) | [`PteCow`]; a fresh look at the page for each | table lock, the entry found to be the one that faulted; the page lock as [`How`](cow::How) says | *Reuse*: mark the page, make the entry dirty, and writable if the area is; other CPUs need no flush. *Copy*: hold the page by a reference, unlock, copy, lock, compare the entry again; clear it, flush all CPUs, install the copy ([`CowPublish`]), and only then drop the old page's mapping. |
//! | an unshare request, from a pin | the same | the same | the same | The same, but the entry stays read-only, and so does the entry of a copy. [`unshares`](pin::unshares) says which pages are asked about. |
//! | fork, for each present entry of a private mapping | [`fork_page`](fork::fork_page) | [`ForkPin`], [`ForkSnapshot`], [`PinHistory`](fork::PinHistory) of the parent | both space locks for writing, both table locks; against lock-free pins what [`race_guard`](fork::race_guard) says | *Share*: one more reference and mapping, the mark cleared, neither entry writable, the parent flushed before its space lock is released. *Copy for the child*: the parent keeps its entry, mark and write permission, but with [`protects_snapshot`](fork::protects_snapshot) loses the permission and is flushed before the copy; the child gets a marked copy. |
//! | fork, for a migration entry of a private mapping | nothing | | the same | It becomes `Read` on both sides. |
//! | a lock-free get or pin (fast GUP) | [`entry_access`](pin::entry_access) before the walk; for an entry that is read-only [`must_unshare`](pin::must_unshare) | [`ReadGup`], [`Request`](pin::Request), [`Walk::Fast`](pin::Walk::Fast) | no lock; tables kept from being freed ([`TableFree`]), for a pin fork's sequence count read before and compared after if [`race_guard`](fork::race_guard) uses it | Before the first pin set [`PinHistory::Pinned`](fork::PinHistory::Pinned). Take the reference, full barrier, read the entry again if [`rechecks_entry`](pin::rechecks_entry), read barrier, ask. *Yes*, or a changed entry: drop the reference and take the slow path. |
//! | a get or pin under locks (slow GUP) | [`entry_access`](pin::entry_access); for a read-only entry [`can_follow_write`](pin::can_follow_write) if it must allow writing, and [`must_unshare`](pin::must_unshare) | [`ReadGup`], [`ForceWrite`], [`Walk::Slow`](pin::Walk::Slow), [`EntryState`], [`AreaState`] | space lock for reading, table lock | *No* to a write: take a write fault and look again. *Yes* to unsharing: take an unshare fault and look again. Otherwise take the page before the table lock is released; [`counts_zero_page`](pin::counts_zero_page) says whether a pin of the zero page counts. A read that [`ReadGup::ForceWrite`] raised to a write may have the copy that its fault made, writable area or not. A hinting entry is faulted first if [`takes_hinting_fault`](pin::takes_hinting_fault). |
//! | mprotect removes write permission | nothing | | space lock for writing, table lock | Clear the write bit, keep the mark; one flush at the end. A writable migration entry becomes `ReadExclusive` or `Read`, as [`MigrationKind`] says; a scan downgrades it too. |
//! | mprotect grants write permission, or leaves it | [`wants_upgrade`](protect::wants_upgrade) for the area, [`can_change_writable`](protect::can_change_writable) for each entry | [`WriteUpgrade`], [`AreaState`] and [`EntryState`] as they will be | the same; the entry taken out, so that no bit set by the hardware is lost | The entry loses the write bit, even if it had it. *Yes*: it gets it back at once. *No*: it stays read-only until a write fault. The mark stays; one flush at the end. |
//! | a write to the huge zero page | [`writes_whole_zero`](pmd::writes_whole_zero) | [`HugeZeroWrite`] | space lock for reading | *Yes*: a folio takes its place if there is one, flushed before anybody can see the first store. Otherwise split the entry into entries of the zero page, and let the write fault again. |
//! | the NUMA scan | [`numa_skip`](numa::numa_skip), then [`is_settled`](numa::is_settled) | [`NumaSkip`], [`Mapping`], [`Users`], [`Locality`] | table lock | *Some* or *true*: leave the entry. Otherwise take it out and make it inaccessible, with one flush at the end; the write bit stays in it or goes as [`hinted_write`](numa::hinted_write) says. No correctness rests on the answer: a pin may land right after it. |
//! | the NUMA scanner comes to an area, where it chooses by itself | [`numa_area`](numa::numa_area) | [`NumaAreas`], [`ScanArea`](numa::ScanArea) | space lock for reading | *Some*: pass it over. Placement alone rests on the answer. |
//! | the hinting fault, where pages remember the last one | first [`may_follow`](numa::may_follow), and [`is_private`](numa::is_private) for the statistics | [`NumaFilter`], [`LastFault`](numa::LastFault) | the same as below | *False*: only make the entry accessible. |
//! | the hinting fault on a page of a large folio | first [`hinted_huge`](numa::hinted_huge) or [`hinted_page`](numa::hinted_page) | [`ThpNuma`] | the same | Move the folio as it says, or only make the entry accessible: with it, where it says *common* of a page, the folio's other hinting entries in the table and the area. |
//! | the hinting fault | [`hinted_write`](numa::hinted_write), and where that says *recomputed* the two questions of mprotect | the entry as it will be | table lock, the entry found to be the one that faulted | Make it accessible, writable on *yes*. [`NumaFault`] says whether before or after the move; if the table lock was dropped in between, compare again, and under [`NumaFault::IsolateUnderLock`] restore without write permission. |
//! | migration takes an entry out, and so do swap-out and merging | [`maybe_dma_pinned`](pin::maybe_dma_pinned) if the page is marked and [`remembers_mark`](migrate::remembers_mark) | the page after the entry was cleared and flushed | page lock, table lock, flushed unless [`batches_flushes`](migrate::batches_flushes); between clearing and asking, and after clearing the mark, full barriers if [`brings_barriers`](migrate::brings_barriers) | *Yes*: put the entry back and stop. *No*, or not asked: clear the mark. What replaces the entry remembers `Write`, `ReadExclusive` (it was marked) or `Read`, and the accessed and dirty bits if [`carries_accessed_dirty`](migrate::carries_accessed_dirty). The page moves only if no reference is left but the mover's. |
//! | migration restores an entry | nothing | | page locks of the old and the new page until all entries are back, table lock | `Write` gives the write bit; `Write` and `ReadExclusive` give the mark. |
//! | a walk over all that map a page, without a lock that keeps its anon_vma | [`asks_again`](rmap::asks_again) | [`RmapCheck`] | a reference on the page; the anon_vma's memory type-stable | *Yes*: after the anon_vma's lock, or a reference on it, is taken, look again if the page is mapped; if not, give back what was taken and visit nobody. |
//! | reclaim is going to give a page a slot of the swap | [`keeps_pinned`](swap::keeps_pinned), [`maybe_dma_pinned`](pin::maybe_dma_pinned) | [`SwapPinned`] | page lock | Both *true*: leave the page. Otherwise put it into the swap cache. No correctness rests on the answer alone: a pin may land right after it. |
//! | swap-out takes an entry out | [`maybe_dma_pinned`](pin::maybe_dma_pinned) if the page is marked and [`remembers_mark`](swap::remembers_mark) | [`SwapInReuse`], [`SwapFlush`], and as migration [`ShareOrder`] | as migration | *Yes*: put the entry back, and keep the page. *No*, or not asked: clear the mark; the swap entry is one share more of the slot, and remembers the mark if it was asked about. Nothing is written or freed before the flush; with [`keeps_pinned_unmapped`](swap::keeps_pinned_unmapped) neither is what may be pinned then. The page is freed only if no reference is left but the swap cache's and reclaim's own, taken away in one step, and it is clean after that. |
//! | swap-out is about to write a page | [`marks_zeros`](swap::marks_zeros) | [`SwapZero`] | page lock, the entries out and flushed | *Yes*, and the page is all zeros: mark the slot, do not write it, and fill the page with zeros when it comes back. Otherwise write it, and take the slot's mark off. |
//! | reclaim has taken out an entry of a page that its owner does not need | [`counts_references`](swap::counts_references) | [`LazyFree`] | page lock, table lock, the entry flushed; a full barrier, then the counts, a read barrier, then whether the page is dirty | Put the entry back if the page is dirty, or, on *true*, if there is a reference beside those of reclaim and of the entries. Otherwise drop it. |
//! | soft-dirty marks are cleared | [`clears_under`](protect::clears_under), then for each entry [`spares_pinned`](protect::spares_pinned) and [`maybe_dma_pinned`](pin::maybe_dma_pinned) | [`ClearRefsPinned`] | space lock as the answer says, table lock | Both *true*, for a writable entry of a private area of a space that has pinned: leave it. Otherwise clear the mark and the write bit; one flush at the end. |
//! | fork, for a swap entry | nothing | | both table locks | One share more of the slot; neither side remembers the mark. |
//! | swap-in of a page that is on a device alone, if that answers at once | [`reads_into`](swap::reads_into) | [`SwapInCache`], [`SwapDevice`](swap::SwapDevice), the slot's swap count | the slot's lock | *Cache*: put a locked page into the swap cache, unless one is there, and read into that. *OwnPage*: read into a page that nobody knows, and ask [`swap_in_fresh`](swap::swap_in_fresh) in the next row. *OwnPageAlone*: the same, but take the slot for the time: others wait, and it is not free before the page is mapped. |
//! | what a page in the swap cache is, for the rows of write faults and the next | [`heeds_stable`](swap::heeds_stable) | [`SwapStable`] | page lock; under writeback to a device that needs it unchanged | *Yes*: the snapshot says [`RunningStable`](Writeback::RunningStable). *No*: it says [`Running`](Writeback::Running). |
//! | swap-in | [`swap_in`](swap::swap_in), and [`grants_write`](swap::grants_write) if the area allows writing | [`SwapInReuse`], [`SwapInWrite`], [`SwapInFor`](swap::SwapInFor) | page lock, table lock, the entry found to be the one that faulted; [`frees_cache`](swap::frees_cache) says what happened to the slot before | *Own*: mark the page, and make the entry writable if it may be. *Shared*: read-only and unmarked; a write then takes the second row. A device that held an ordinary reference may be left with the old page. |
//! | a collapse comes to a span with swap entries | [`brings_back`](collapse::brings_back) | [`CollapseSwapped`] | space lock for reading, before it is taken for writing | *True*: bring their pages back first, as faults do, if they are no more than a limit; a swap entry that is there again later ends the attempt. *False*: leave the span as it is. |
//! | a page fault finds its area | nothing | [`FaultLock`] | the answer is the lock | [`FaultLock::Space`]: hold the space lock for reading until the fault is resolved; it is meant by "space lock for reading" in the rows of faults. [`FaultLock::Area`]: hold the area instead; whoever changes the area, its entries or its tables, fork included, holds the space lock for writing and waits for such faults first. |
//! | unmap | [`removal`](zap::removal) | whether the page is a file's and the entry was dirty | space lock, table lock | Take the mapping off when the answer says: with the entry, or after a flush under the same table lock. Take the lock of a locked area off the page as [`munlock`](zap::munlock) says. Clear the entry, flush, then drop the page's reference; pins keep the page. The mark goes when the page is freed, not with the entry. A table is freed as [`TableFree`] says; since 6.14 MADV_DONTNEED frees one that it has emptied, too ([`TableReclaim`]). |
//! | any change that takes rights, a frame or presence from an entry | nothing | | before the table lock is taken, and after it was released | Tell those who follow with tables of their own, as [`Notify`] says. |
//!
//! A release that lacks an interface has no rule for what goes through it: [`Interface::exists`]
//! says what there is under a rule set. The questions above are answered all the same.
//!
//! A kernel without swap says [`SwapCache::Absent`], one without LRU batches [`Lru::On`]. A pin of
//! a small page adds [`PIN_BIAS`](pin::PIN_BIAS) to its refcount, and its pin count is `None`. For
//! an entry of a shared mapping only the rows that do not say private apply.
//!
//! # What must stay true of the mark
//!
//! Under the rules of 5.19 and later, including the default, every row above preserves the
//! following and may rely on it (facts 1.5).
//!
//! - I1: an anonymous page that a writable entry maps is marked. A marked page need not be
//!   writable.
//! - I2: an anonymous page is pinned only while it is marked, and the mark of a pinned page stays
//!   until it is unpinned or freed.
//! - I3: a marked page is mapped exactly once; a merged page is never marked.
//! - I4: no swap entry names a page in the swap cache that is marked.
//! - I5: once the mark is cleared, no entry of the page is writable.
//!
//! # A tiny kernel that asks
//!
//! ```
//! use pinfold_rules::cow::{CowStep, CowVerdict};
//! use pinfold_rules::cow::{pte_cow_drained, pte_cow_locked, pte_cow_precheck};
//! use pinfold_rules::fork::{ForkVerdict, PinHistory, fork_page};
//! use pinfold_rules::pin::PIN_BIAS;
//! use pinfold_rules::{Exclusive, Lru, PageKind, PageState, Rules, SwapCache};
//!
//! /// The kernel's own page-table entry.
//! #[derive(Clone, Copy)]
//! struct Pte {
//!     frame: usize,
//!     writable: bool,
//! }
//!
//! /// What it keeps of a frame.
//! struct Frame {
//!     refs: u32,
//!     maps: u32,
//!     marked: bool,
//! }
//!
//! struct Kernel {
//!     rules: Rules,
//!     frames: Vec<Frame>,
//! }
//!
//! impl Kernel {
//!     /// Maps a new page, which is nobody else's.
//!     fn fresh(&mut self) -> Pte {
//!         self.frames.push(Frame { refs: 1, maps: 1, marked: true });
//!         Pte { frame: self.frames.len() - 1, writable: true }
//!     }
//!
//!     /// Looks at a page. There is no swap here, and there are no LRU batches.
//!     fn look(&self, pte: Pte) -> PageState {
//!         let frame = &self.frames[pte.frame];
//!         let mark = if frame.marked { Exclusive::Marked } else { Exclusive::Unmarked };
//!         PageState {
//!             kind: PageKind::Anon(mark),
//!             refs: frame.refs,
//!             maps: frame.maps,
//!             large: None,
//!             swap: SwapCache::Absent,
//!             lru: Lru::On,
//!         }
//!     }
//!
//!     /// A write hit a read-only entry. The table is locked; on one CPU the page lock is free.
//!     fn write_fault(&mut self, pte: &mut Pte) -> String {
//!         let rule = self.rules.pte_cow;
//!         let mut step = pte_cow_precheck(rule, &self.look(*pte));
//!         if step == CowStep::DrainLru {
//!             step = pte_cow_drained(rule, &self.look(*pte));
//!         }
//!         let verdict = match step {
//!             CowStep::Reuse(why) => CowVerdict::Reuse(why),
//!             CowStep::Copy(why) => CowVerdict::Copy(why),
//!             CowStep::NeedPageLock(_) | CowStep::DrainLru => {
//!                 pte_cow_locked(rule, &self.look(*pte))
//!             }
//!         };
//!         match verdict {
//!             CowVerdict::Reuse(why) => {
//!                 self.frames[pte.frame].marked = true;
//!                 pte.writable = true;
//!                 format!("keep, {why}")
//!             }
//!             CowVerdict::Copy(why) => {
//!                 let old = std::mem::replace(pte, self.fresh());
//!                 self.frames[old.frame].refs -= 1;
//!                 self.frames[old.frame].maps -= 1;
//!                 format!("copy, {why}")
//!             }
//!         }
//!     }
//!
//!     /// Fork, for one entry of a parent that has pinned before. Both tables are locked.
//!     fn fork(&mut self, parent: &mut Pte) -> (Pte, String) {
//!         match fork_page(self.rules.fork_pin, PinHistory::Pinned, &self.look(*parent)) {
//!             ForkVerdict::Share(why) => {
//!                 let frame = &mut self.frames[parent.frame];
//!                 frame.refs += 1;
//!                 frame.maps += 1;
//!                 frame.marked = false;
//!                 parent.writable = false;
//!                 (*parent, format!("share, {why}"))
//!             }
//!             ForkVerdict::CopyForChild(why) => (self.fresh(), format!("copy, {why}")),
//!         }
//!     }
//! }
//!
//! for (release, pinned_write, pinned_fork, busy_fork) in [
//!     (
//!         "linux-5.8",
//!         "keep, mapcount + swap count 1 <= 1",
//!         "share, the rule is the same for every page",
//!         "share, the rule is the same for every page",
//!     ),
//!     (
//!         "linux-5.9",
//!         "copy, refcount 1025 != 1",
//!         "copy, refcount 1025 >= 1024",
//!         "copy, refcount 1026 >= 1024",
//!     ),
//!     (
//!         "pinfold",
//!         "keep, anonymous and exclusive",
//!         "copy, refcount 1025 >= 1024",
//!         "share, anonymous, not exclusive",
//!     ),
//! ] {
//!     let mut kernel = Kernel { rules: Rules::linux(release)?, frames: Vec::new() };
//!
//!     // A device pins a page, mprotect takes the right to write and grants it again, and the
//!     // owner writes.
//!     let mut page = kernel.fresh();
//!     let device = page.frame;
//!     kernel.frames[device].refs += PIN_BIAS;
//!     page.writable = false;
//!     assert_eq!(kernel.write_fault(&mut page), pinned_write);
//!     assert_eq!(page.frame == device, release != "linux-5.9", "the device sees the write");
//!
//!     // A device pins a page, and the owner forks.
//!     let mut page = kernel.fresh();
//!     kernel.frames[page.frame].refs += PIN_BIAS;
//!     assert_eq!(kernel.fork(&mut page).1, pinned_fork);
//!
//!     // A page that is shared with one child has many references and no pin when the owner forks
//!     // again.
//!     let mut page = kernel.fresh();
//!     kernel.fork(&mut page);
//!     kernel.frames[page.frame].refs += 1024;
//!     assert_eq!(kernel.fork(&mut page).1, busy_fork);
//! }
//! # Ok::<(), pinfold_rules::RuleError>(())
//! ```
//!
//! # Invariants of the crate
//!
//! - INV-RULES-1: what [`Rules`] displays, [`Rules::parse`] reads back as the same value.
//! - INV-RULES-2: each switch changes at its own date; a preset is derived from those dates, never
//!   from a separate list.
//! - INV-RULES-3: a rule from before the exclusive mark answers the same with and without it.
//!
//! # The floors
//!
//! A module imports only from its own floor and those below, and no file imports itself through
//! others; `tests/floors.rs` checks the imports against this table.
//!
//! | floor | rooms | what lives there |
//! | --- | --- | --- |
//! | 0 | `snapshot`, `given`, `release`, `info` | what is asked about, and what is said of a switch |
//! | 1 | `why`, `define` | reasons; how the table of switches becomes code |
//! | 2 | `switches` | the table |
//! | 3 | `charge`, `collapse`, `cow`, `fork`, `hugetlb`, `interface`, `large`, `migrate`, `numa`, `pin`, `pmd`, `protect`, `rmap`, `swap`, `uffd`, `zap` | the decisions |
//! | 3 | `series` | what kernels with backports are known to have |
//! | 4 | `error` | why text is refused |
//! | 5 | `kernel` | kernels by name |
//! | 6 | `text` | rule sets as text |
//!
//! `facts n.m` in comments names a section of `docs/facts-linux.md`, Linux's rules by release.
#![no_std]
#![warn(missing_debug_implementations)]

#[cfg(test)]
extern crate alloc;

pub mod charge;
pub mod collapse;
pub mod cow;
mod define;
mod error;
pub mod fork;
mod given;
pub mod hugetlb;
mod info;
mod interface;
mod kernel;
pub mod large;
pub mod migrate;
pub mod numa;
pub mod pin;
pub mod pmd;
pub mod protect;
mod release;
pub mod rmap;
mod series;
mod snapshot;
pub mod swap;
mod switches;
#[cfg(test)]
mod tests;
mod text;
pub mod uffd;
mod why;
pub mod zap;

pub use error::{Named, RuleError};
pub use given::Given;
pub use info::{Difference, PRESETS, Status, SwitchInfo, VariantInfo};
pub use interface::Interface;
pub use kernel::{Doubt, Kernel, Point, Standing, Unknown};
pub use release::{Base, Release};
pub use series::{Distribution, Evidence, Finding, Series};
pub use snapshot::{
    AreaState, Dirty, EntryState, Exclusive, LargeState, Locality, Lru, Mapping, Owners, PageKind,
    PageState, Permission, Protnone, SwapCache, Tracking, Users, Writeback,
};
pub use switches::{
    BreakHole, ClearRefsPinned, CollapseSwapped, CollapseSync, CowPublish, DirectIo, FastRecheck,
    FaultLock, FilePin, FlushReach, ForceWrite, ForkPin, ForkRace, ForkSnapshot, GupNuma, GupStack,
    HeadRecheck, HugeZeroWrite, HugetlbCow, HugetlbFork, Interfaces, LargeCow, LargeMaps, LazyFree,
    LongtermZone, MemcgLock, MigrateFlush, MigrationAd, MigrationKind, Notify, NumaAreas,
    NumaFault, NumaFilter, NumaSkip, NumaSkipPmd, NumaWrite, PmdCow, ProcessVm, PteCow, ReadGup,
    RemapFlush, RmapCheck, Ruled, Rules, ShareOrder, SwapFlush, SwapInCache, SwapInReuse,
    SwapInWrite, SwapPinned, SwapStable, SwapZero, Switch, TableFree, TableReclaim, TailRefs,
    ThpNuma, Uffd, UffdContinue, UffdWpFlush, WriteUpgrade, ZapMunlock, ZapRmap, ZeroPin,
};
pub use why::{Answer, Counter, Relation, Why};

use switches::TABLE;

impl Rules {
    /// Whether any rule in force asks for the exclusive mark of a page (PageAnonExclusive, Linux
    /// 5.19; facts 1.5). Where none does, the mark decides nothing.
    pub const fn knows_exclusive_mark(&self) -> bool {
        let reuses = match self.pte_cow {
            PteCow::MapCountUnmerged
            | PteCow::MapCount
            | PteCow::RefCount
            | PteCow::RefCountPrecise => false,
            PteCow::Exclusive | PteCow::ExclusiveTight => true,
        };
        let reuses_huge = match self.pmd_cow {
            PmdCow::MapCount | PmdCow::RefCount => false,
            PmdCow::Exclusive => true,
        };
        let reuses_pool = match self.hugetlb_cow {
            HugetlbCow::MapCount => false,
            HugetlbCow::Exclusive => true,
        };
        let unshares = match self.read_gup {
            ReadGup::AsIs | ReadGup::ForceWrite => false,
            ReadGup::UnshareAnon | ReadGup::UnshareAll => true,
        };
        let copies = match self.fork_pin {
            ForkPin::Share | ForkPin::Copy => false,
            ForkPin::CopyIfExclusive => true,
        };
        let remembers = match self.migration_kind {
            MigrationKind::ReadWrite => false,
            MigrationKind::Exclusive => true,
        };
        let forces = match self.force_write {
            ForceWrite::DropWrite | ForceWrite::DirtyCow => false,
            ForceWrite::Exclusive => true,
        };
        let upgrades = match self.write_upgrade {
            WriteUpgrade::Never => false,
            WriteUpgrade::ExclusiveDirty | WriteUpgrade::Exclusive => true,
        };
        reuses
            || reuses_huge
            || reuses_pool
            || unshares
            || copies
            || remembers
            || forces
            || upgrades
            || swap::remembers_mark(self.swap_in_reuse)
    }

    /// The rules of a mainline release, such as `5.9` or `linux-5.9`, or of a kernel that started
    /// from one, by any name that [`Kernel::parse`] reads. `latest` is the newest mainline release;
    /// `pinfold` and `default` are [`Rules::default`].
    ///
    /// Every release from [`Release::OLDEST`] to [`Release::NEWEST`] has its preset. What is only
    /// guessed of a kernel with backports, [`Kernel::standings`] tells.
    ///
    /// # Errors
    /// When there is no such release or kernel, or its rules are not modelled.
    pub fn linux(release: &str) -> Result<Self, RuleError> {
        text::named(release)
    }

    /// Reads a base and overrides, separated by commas: `linux-5.9,numa-skip=ref-count`. Without a
    /// base it starts from [`Rules::default`].
    ///
    /// # Errors
    /// At the first item that cannot be read, with what to write instead.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        text::parse(text)
    }

    /// Puts a variant of a switch in force, both named as in a rule set.
    ///
    /// # Errors
    /// When there is no such switch or variant; the rules are unchanged.
    pub fn set(&mut self, switch: &str, variant: &str) -> Result<(), RuleError> {
        text::set(self, text::find(switch)?, variant)
    }

    /// The name of the variant in force.
    ///
    /// # Errors
    /// When there is no such switch.
    pub fn get(&self, switch: &str) -> Result<&'static str, RuleError> {
        let entry = text::find(switch)?;
        Ok(entry.info.variants[(entry.get)(self)].name)
    }

    /// Every switch, in historic order.
    pub fn switches() -> impl ExactSizeIterator<Item = &'static SwitchInfo> {
        TABLE.iter().map(|entry| &entry.info)
    }

    /// The switches on which `self` and `other` differ. The base does not count.
    pub fn diff(&self, other: &Self) -> impl Iterator<Item = Difference> {
        TABLE.iter().filter_map(move |entry| {
            let (left, right) = ((entry.get)(self), (entry.get)(other));
            let variants = entry.info.variants;
            (left != right).then(|| Difference {
                switch: &entry.info,
                left: &variants[left],
                right: &variants[right],
            })
        })
    }
}

impl Default for Rules {
    /// The newest release, with a full barrier in fork's sequence count
    /// ([`ForkRace::SeqCountFull`]).
    fn default() -> Self {
        Self {
            base: Base::Pinfold,
            fork_race: ForkRace::SeqCountFull,
            large_maps: LargeMaps::Owner,
            memcg_lock: MemcgLock::MoverWaits,
            ..Self::at(Release::NEWEST)
        }
    }
}

// Compiles and runs the README's example along with the documentation's.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
