//! Nothing here takes memory from the heap: no decision, no reason in words, no rule set as text,
//! no error.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fmt::{self, Write};
use std::hint::black_box;

use pinfold_rules::cow::{
    CowStep, CowVerdict, frees_swap_cache, large_cow, pte_cow_drained, pte_cow_locked,
    pte_cow_precheck, sets_exclusive,
};
use pinfold_rules::fork::{ForkVerdict, PinHistory, fork_page};
use pinfold_rules::numa::{
    ScanAge, ScanArea, ScanContents, ScanSize, ScanTurn, ScanUser, comes_again, is_private,
    may_follow, numa_area, numa_skip,
};
use pinfold_rules::pin::{
    Access, Force, Hold, PIN_BIAS, Request, Term, Walk, WriteFault, can_follow_write, entry_access,
    maybe_dma_pinned, must_unshare,
};
use pinfold_rules::pmd::{
    HugeState, PmdStep, PmdVerdict, pmd_cow, pmd_cow_locked, scans_as_page, writes_whole_zero,
};
use pinfold_rules::protect::{
    WriteNotify, can_change_writable, clears_under, spares_pinned, wants_upgrade,
};
use pinfold_rules::swap::{
    SwapInFor, SwapInVerdict, counts_references, frees_cache, grants_write, keeps_pinned,
    keeps_pinned_unmapped, swap_in,
};
use pinfold_rules::{
    Answer, AreaState, ClearRefsPinned, Dirty, EntryState, Exclusive, ForceWrite, ForkPin,
    HugeZeroWrite, Kernel, LargeCow, LargeState, LazyFree, Lru, Mapping, NumaAreas, NumaFilter,
    NumaSkip, NumaSkipPmd, Owners, PRESETS, PageKind, PageState, Permission, PmdCow, Protnone,
    PteCow, ReadGup, Rules, SwapCache, SwapInReuse, SwapInWrite, SwapPinned, SwapStable, SwapZero,
    Tracking, WriteUpgrade, Writeback,
};

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

/// The system's heap, which counts for each thread how often it is asked.
struct Counting;

fn count() {
    ALLOCATIONS.set(ALLOCATIONS.get() + 1);
}

// SAFETY: all is left to the system's heap.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as the caller promised.
        unsafe { System.realloc(at, layout, size) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static HEAP: Counting = Counting;

/// How often `what` asks the heap.
fn allocations(what: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.get();
    what();
    ALLOCATIONS.get() - before
}

/// Takes text and keeps none of it.
struct Sink(usize);

impl Write for Sink {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 += text.len();
        Ok(())
    }
}

/// Prints; how many bytes that took.
fn print(what: impl fmt::Display) -> usize {
    let mut sink = Sink(0);
    write!(sink, "{what}").expect("a sink takes everything");
    sink.0
}

const KINDS: [PageKind; 5] = [
    PageKind::Anon(Exclusive::Marked),
    PageKind::Anon(Exclusive::Unmarked),
    PageKind::Ksm,
    PageKind::File,
    PageKind::Zero,
];
const SWAPS: [SwapCache; 3] = [
    SwapCache::Absent,
    SwapCache::Present { swap_count: 0, writeback: Writeback::Idle },
    SwapCache::Present { swap_count: 2, writeback: Writeback::RunningStable },
];
const SOLE: LargeState =
    LargeState { pages: 4, pins: 0, maps: 4, most: 1, first: 1, owners: Owners::One };
const SHARED: LargeState = LargeState { maps: 8, most: 2, owners: Owners::Several, ..SOLE };
const MAPPINGS: [Mapping; 2] = [Mapping::Cow, Mapping::Shared];
const PERMISSIONS: [Permission; 2] = [Permission::Write, Permission::ReadOnly];

fn each_page(mut visit: impl FnMut(&PageState)) {
    for kind in KINDS {
        for refs in [0, 1, 2, 4, PIN_BIAS, PIN_BIAS + 1, u32::MAX] {
            for maps in [0, 1, 2] {
                for large in [None, Some(SOLE), Some(LargeState { pins: 1, ..SOLE }), Some(SHARED)]
                {
                    for swap in SWAPS {
                        for lru in [Lru::On, Lru::Off] {
                            visit(&PageState { kind, refs, maps, large, swap, lru });
                        }
                    }
                }
            }
        }
    }
}

fn each_area(mut visit: impl FnMut(AreaState)) {
    for mapping in MAPPINGS {
        for permission in PERMISSIONS {
            visit(AreaState { mapping, permission });
        }
    }
}

fn each_entry(mut visit: impl FnMut(EntryState)) {
    for dirty in [Dirty::Dirty, Dirty::Clean] {
        for protnone in [Protnone::Yes, Protnone::No] {
            for tracking in [Tracking::Off, Tracking::WantsFault] {
                visit(EntryState { dirty, protnone, tracking });
            }
        }
    }
}

fn each_request(mut visit: impl FnMut(Request, Walk)) {
    let walks = [Walk::Slow(Mapping::Cow), Walk::Slow(Mapping::Shared), Walk::Fast, Walk::FastOnly];
    for hold in [Hold::Get, Hold::Pin] {
        for access in [Access::Read, Access::Write] {
            for term in [Term::Short, Term::Long] {
                for walk in walks {
                    visit(Request { hold, access, term }, walk);
                }
            }
        }
    }
}

fn explain(answer: Answer) {
    black_box((answer.is_yes(), print(answer.why())));
}

fn decide_writes(page: &PageState) {
    for &rule in PteCow::ALL {
        black_box((sets_exclusive(rule), frees_swap_cache(rule)));
        for &large in LargeCow::ALL {
            if let Some(CowVerdict::Reuse(why) | CowVerdict::Copy(why)) =
                large_cow(rule, large, page)
            {
                black_box(print(why));
            }
        }
        for step in [pte_cow_precheck(rule, page), pte_cow_drained(rule, page)] {
            if let CowStep::Reuse(why) | CowStep::Copy(why) = step {
                black_box(print(why));
            }
        }
        let (CowVerdict::Reuse(why) | CowVerdict::Copy(why)) = pte_cow_locked(rule, page);
        black_box(print(why));
    }
}

fn decide_swap_ins(page: &PageState) {
    for &rule in SwapInReuse::ALL {
        black_box((frees_cache(rule), pinfold_rules::swap::remembers_mark(rule)));
        for wanted in [SwapInFor::Read, SwapInFor::Write] {
            for remembered in [Exclusive::Marked, Exclusive::Unmarked] {
                let verdict = swap_in(rule, wanted, remembered, page);
                let (SwapInVerdict::Own(why) | SwapInVerdict::Shared(why)) = verdict;
                black_box(print(why));
            }
            for &rule in SwapStable::ALL {
                black_box(pinfold_rules::swap::heeds_stable(rule));
            }
            for &rule in SwapZero::ALL {
                black_box(pinfold_rules::swap::marks_zeros(rule));
            }
            for &rule in SwapInWrite::ALL {
                black_box(grants_write(rule, wanted));
            }
        }
    }
    for &rule in SwapPinned::ALL {
        black_box((keeps_pinned(rule), keeps_pinned_unmapped(rule)));
    }
    for &rule in LazyFree::ALL {
        black_box(counts_references(rule));
    }
    for &rule in ClearRefsPinned::ALL {
        black_box((spares_pinned(rule), clears_under(rule)));
    }
}

fn decide_forks(page: &PageState) {
    for &rule in ForkPin::ALL {
        for history in [PinHistory::Never, PinHistory::Pinned] {
            match fork_page(rule, history, page) {
                ForkVerdict::Share(why) | ForkVerdict::CopyForChild(why) => {
                    black_box(print(why));
                }
            }
        }
    }
}

fn decide_pins(page: &PageState) {
    explain(maybe_dma_pinned(page));
    each_request(|request, walk| {
        for &rule in ReadGup::ALL {
            black_box(entry_access(rule, request.access, walk));
            explain(must_unshare(rule, request, walk, page));
        }
    });
}

fn decide_rights(page: &PageState) {
    each_area(|area| {
        for notify in [WriteNotify::Needed, WriteNotify::Unneeded] {
            explain(wants_upgrade(area, notify));
        }
        each_entry(|entry| {
            for &rule in WriteUpgrade::ALL {
                explain(can_change_writable(rule, area, entry, page));
            }
            for &rule in ForceWrite::ALL {
                for force in [Force::Forced, Force::Ordinary] {
                    for fault in [WriteFault::Taken, WriteFault::NotTaken] {
                        explain(can_follow_write(rule, force, fault, area, entry, page));
                    }
                }
            }
        });
    });
}

fn decide_huge(page: &PageState) {
    let folio = HugeState { kind: page.kind, refs: page.refs, maps: page.maps };
    for &rule in PmdCow::ALL {
        if let PmdStep::Reuse(why) = pmd_cow(rule, &folio) {
            black_box(print(why));
        }
        let (PmdVerdict::Reuse(why) | PmdVerdict::Split(why)) = pmd_cow_locked(rule, &folio);
        black_box(print(why));
    }
    for &rule in NumaSkipPmd::ALL {
        black_box(scans_as_page(rule));
    }
    for &rule in HugeZeroWrite::ALL {
        black_box(writes_whole_zero(rule));
    }
}

fn decide_scans(page: &PageState) {
    for &rule in NumaSkip::ALL {
        for mapping in MAPPINGS {
            black_box(numa_skip(rule, mapping, page).map(print));
        }
    }
    let area = ScanArea {
        size: ScanSize::Large,
        contents: ScanContents::Data,
        age: ScanAge::Old,
        user: ScanUser::Unseen,
        scans: 9,
        since: 5,
        turn: ScanTurn::Due,
    };
    for &rule in NumaAreas::ALL {
        black_box((numa_area(rule, &area), comes_again(rule)));
    }
    for &rule in NumaFilter::ALL {
        black_box((may_follow(rule, None, 0), is_private(None)));
    }
}

#[test]
fn the_count_notices_an_allocation() {
    assert_eq!(allocations(|| drop(black_box(Box::new(1)))), 1);
    assert_ne!(allocations(|| drop(black_box(PRESETS.join(",")))), 0);
}

#[test]
fn no_decision_allocates() {
    let mut pages = 0;
    let allocated = allocations(|| {
        each_page(|page| {
            pages += 1;
            decide_writes(page);
            decide_huge(page);
            decide_forks(page);
            decide_swap_ins(page);
            decide_pins(page);
            decide_rights(page);
            decide_scans(page);
        });
    });
    assert_eq!((allocated, pages), (0, 2520));
}

#[test]
fn rule_sets_are_read_changed_compared_and_printed_without_allocation() {
    let latest = Rules::default();
    let allocated = allocations(|| {
        for preset in PRESETS {
            let mut rules = Rules::linux(preset).expect("it is one of the presets");
            for switch in Rules::switches() {
                for variant in switch.variants {
                    rules.set(switch.name, variant.name).expect("both are known");
                    black_box(rules.get(switch.name).is_ok());
                }
            }
            black_box((print(rules), rules.diff(&latest).count()));
        }
        black_box(Rules::parse(" linux-5.9 , numa-skip = ref-count ,zero-pin=free").is_ok());
    });
    assert_eq!(allocated, 0);
}

#[test]
fn kernels_are_read_and_known_without_allocation() {
    let allocated = allocations(|| {
        for name in ["5.15.133", "bookworm", "el9", "5.10.0-28-amd64", "4.18.0-553.el8_10.x86_64"] {
            let kernel = black_box(Kernel::parse(name)).expect("a kernel");
            black_box((kernel.rules(), kernel.standings().count(), kernel.newer_than()));
        }
    });
    assert_eq!(allocated, 0);
}

#[test]
fn what_is_refused_is_told_without_allocation() {
    let long = "a name that goes on and on ".repeat(1000);
    let texts = [
        "3.0",
        "7.4",
        "5.20",
        "6.12.9999",
        "6.18.0-rc3",
        "lates",
        "5.9,numa-skp=x",
        "pte-cow=refcount",
        "zero-pin",
        "zero-pin=free,zero-pin=free",
        "zero-pin=free,5.9",
        "",
        &long,
    ];
    for text in texts {
        let allocated = allocations(|| {
            let refused = Rules::parse(text).expect_err("it is no rule set");
            assert_ne!(print(refused), 0);
        });
        assert_eq!(allocated, 0, "{text:.20}");
    }
}
