//! Collapse: what becomes one folio, what must not, and what a refusal leaves.

mod swapped;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::vec::Vec;

use crate::event::EventKind;
use crate::testing::{
    Audit, Hardware, Mem, Space, device_write, load, machine, map, map_shared, pages, rules, space,
    store,
};
use crate::{
    Aarch64, Access, Advice, CollapseError, FaultError, Format, Group, Limits, NodeId, Pfn,
    PmdMapping, Prot, Remap, Small, SmallAarch64, SmallRiscv64, StoreError, Term, Tuning, UffdId,
    UffdMode, VirtAddr, X86, lab,
};

const RW: Prot = Prot::READ_WRITE;
const ALL: [&str; 13] = [
    "3.1", "3.2", "4.4", "4.5", "5.8", "5.9", "5.18", "5.19", "6.0", "6.1", "6.15", "latest",
    "pinfold",
];

/// Tables of 16 entries, so that folios of four pages have room in one.
type Wide = X86<3, 4>;
/// Tables of four entries, and 64 pages.
type Deep = X86<3, 2>;

fn at(page: u64) -> VirtAddr {
    VirtAddr::of_page(page)
}

fn frame<F: Format>(space: &Space<F>, page: u64) -> Pfn {
    space.entry(at(page)).pfn()
}

fn is_huge<F: Format>(mem: &Mem<F>, space: &Space<F>, first: u64) -> bool {
    let head = frame(space, first);
    let whole = lab::large_folio(mem.frames(), head)
        .is_some_and(|folio| folio.head == head && folio.pages == F::ENTRIES as u64);
    whole && (0..F::ENTRIES as u64).all(|page| frame(space, first + page) == Pfn(head.0 + page))
}

/// A machine, and a space in which pages 4 to 7 are small ones, each with its number.
fn world<F: Hardware>(text: &str) -> (Mem<F>, Space<F>) {
    let mem = machine(rules(text), &[60, 20], Tuning::default());
    let space = space(&mem);
    map(&space, 4, 4, RW);
    for page in 4..8 {
        store(&space, page, page).unwrap();
    }
    (mem, space)
}

fn small_pages_become_a_folio<F: Hardware>() {
    for text in ALL {
        let (mem, space) = world::<F>(text);
        let (old, free) = (frame(&space, 4), mem.frames().total_free());
        let (done, events) = mem.platform().record(|| space.collapse(pages(0, 12)));
        // Nothing is mapped at 0 and 8.
        assert_eq!(done, Err(CollapseError::NotMapped(at(8))), "{text}");
        assert!(is_huge(&mem, &space, 4) && frame(&space, 4) != old, "{text}");
        assert!((4..8).all(|page| load(&space, page) == Ok(page)), "{text}");
        let head = frame(&space, 4);
        assert!(mem.frames().counts(head).is_exclusive(), "{text}");
        assert_eq!(mem.frames().total_free(), free, "{text}: a folio for pages, a table for one");
        let names: Vec<_> = events.iter().map(EventKind::name).collect();
        let told = ["collapse-begins", "collapse-counts", "freed", "collapsed"];
        assert!(told.iter().all(|name| names.contains(name)), "{text}: {names:?}");
        Audit::of(&mem).space(&space).check();
        assert_eq!(store(&space, 5, 50), Ok(Pfn(head.0 + 1)), "{text}: no fault copies it");
        assert_eq!(space.collapse(pages(4, 4)), Ok(0), "{text}: done already");
        let stats = mem.stats();
        assert_eq!((stats.thp_collapse_alloc, stats.thp_collapse_alloc_failed), (1, 0), "{text}");
        // The deposited table is there: a part can be unmapped.
        space.unmap(pages(4, 1)).unwrap();
        assert_eq!((load(&space, 5), mem.stats().thp_split_pmd), (Ok(50), 1), "{text}");
        Audit::of(&mem).space(&space).check();
    }
}

#[test]
fn small_pages_become_one_folio_with_their_contents_in_every_format() {
    small_pages_become_a_folio::<Small>();
    small_pages_become_a_folio::<SmallAarch64>();
    small_pages_become_a_folio::<SmallRiscv64>();
}

#[test]
fn five_hundred_and_twelve_pages_become_one_folio() {
    let mem = machine::<Aarch64>(rules("pinfold"), &[2048], Tuning::default());
    let space = space(&mem);
    map(&space, 1000, 600, RW);
    for page in 1000..1600 {
        store(&space, page, page).unwrap();
    }
    assert_eq!(space.collapse(pages(1000, 600)), Ok(1));
    assert!(is_huge(&mem, &space, 1024));
    assert!((1000..1600).all(|page| load(&space, page) == Ok(page)));
    Audit::of(&mem).space(&space).check();
}

#[test]
fn what_was_never_written_becomes_zeros() {
    for text in ALL {
        let (mem, space) = world::<Small>(text);
        space.advise(pages(4, 3), Advice::DontNeed).unwrap();
        assert_eq!(load(&space, 5), Ok(0), "{text}: the zero page");
        assert_eq!(space.collapse(pages(4, 4)), Ok(1), "{text}");
        let seen: Vec<_> = (4..8).map(|page| load(&space, page).unwrap()).collect();
        assert_eq!(seen, [0, 0, 0, 7], "{text}");
        assert!(is_huge(&mem, &space, 4), "{text}");
        Audit::of(&mem).space(&space).check();
    }
}

/// Pages 4 to 7 of a parent and of its child, who has as many of them as `shared` says; the parent
/// collapses and then writes everything: the child has what it had.
fn collapse_after_fork(text: &str, shared: core::ops::Range<u64>) {
    let (mem, parent) = world::<Small>(text);
    let alone: Vec<_> = (4..8).filter(|page| !shared.contains(page)).collect();
    for page in &alone {
        parent.advise(pages(*page, 1), Advice::DontFork).unwrap();
    }
    let child = parent.fork().unwrap();
    for page in &alone {
        parent.advise(pages(*page, 1), Advice::DoFork).unwrap();
    }
    let before: Vec<_> = shared.clone().map(|page| frame(&child, page)).collect();
    Audit::of(&mem).space(&parent).space(&child).check();
    assert_eq!(parent.collapse(pages(4, 4)), Ok(1), "{text} {shared:?}");
    assert!(is_huge(&mem, &parent, 4), "{text} {shared:?}");
    Audit::of(&mem).space(&parent).space(&child).check();
    for page in 4..8 {
        assert_eq!(load(&parent, page), Ok(page), "{text} {shared:?}");
        store(&parent, page, 100 + page).unwrap();
    }
    assert!(is_huge(&mem, &parent, 4), "{text} {shared:?}: its own, so no write splits it");
    for (page, old) in shared.clone().zip(before) {
        assert_eq!((load(&child, page), frame(&child, page)), (Ok(page), old), "{text} {shared:?}");
        store(&child, page, 200 + page).unwrap();
    }
    assert!((4..8).all(|page| load(&parent, page) == Ok(100 + page)), "{text} {shared:?}");
    Audit::of(&mem).space(&parent).space(&child).check();
    drop(parent);
    assert!(shared.clone().all(|page| load(&child, page) == Ok(200 + page)), "{text} {shared:?}");
    Audit::of(&mem).space(&child).check();
}

#[test]
fn a_child_keeps_what_it_shares_in_all_four_cases() {
    for text in ALL {
        for shared in [4..4, 4..8, 4..6, 6..8] {
            collapse_after_fork(text, shared);
        }
    }
}

/// A space of which pages 16 to 31, in one table, are four folios of four pages.
fn folios(text: &str) -> (Mem<Wide>, Space<Wide>) {
    let mem = machine(rules(text), &[120], Tuning { folios_advised: 1 << 2, ..Tuning::default() });
    let space = space(&mem);
    space.advise(map(&space, 16, 16, RW), Advice::HugePage).unwrap();
    for page in 16..32 {
        store(&space, page, page).unwrap();
    }
    assert_eq!(mem.stats().thp_fault_alloc, 4, "{text}");
    (mem, space)
}

#[test]
fn folios_that_entries_map_become_one_and_a_child_keeps_its_part_of_them() {
    for text in ALL {
        let (mem, parent) = folios(text);
        parent.advise(pages(22, 4), Advice::DontFork).unwrap();
        let child = parent.fork().unwrap();
        parent.advise(pages(22, 4), Advice::DoFork).unwrap();
        // Copies amid the pages of folios, a hole, and the zero page.
        for page in [17, 18, 27] {
            store(&parent, page, 100 + page).unwrap();
        }
        parent.advise(pages(29, 2), Advice::DontNeed).unwrap();
        assert_eq!(load(&parent, 30), Ok(0), "{text}");
        let expected: Vec<_> = (16..32).map(|page| load(&parent, page).unwrap()).collect();
        parent.advise(pages(29, 1), Advice::DontNeed).unwrap();
        Audit::of(&mem).space(&parent).space(&child).check();
        assert_eq!(parent.collapse(pages(16, 16)), Ok(1), "{text}");
        Audit::of(&mem).space(&parent).space(&child).check();
        assert!(is_huge(&mem, &parent, 16), "{text}");
        let now: Vec<_> = (16..32).map(|page| load(&parent, page).unwrap()).collect();
        assert_eq!(now, expected, "{text}");
        for page in (16..22).chain(26..32) {
            assert_eq!(load(&child, page), Ok(page), "{text}");
        }
        drop(child);
        Audit::of(&mem).space(&parent).check();
    }
}

/// What must be the same after a refusal: each entry, and the counts of what it maps.
fn picture<F: Format>(
    mem: &Mem<F>,
    space: &Space<F>,
    range: core::ops::Range<u64>,
) -> Vec<[u64; 4]> {
    let entry = |page| {
        let pte = space.entry(at(page));
        if !pte.is_mapped() {
            return [pte.bits(), 0, 0, 0];
        }
        let counts = mem.frames().counts(pte.pfn());
        let mark = u64::from(counts.is_exclusive());
        [pte.bits(), u64::from(counts.refs()), u64::from(counts.maps()), mark]
    };
    range.map(entry).collect()
}

#[test]
fn pins_and_references_refuse_it_and_everything_is_as_before() {
    for text in ALL {
        for page in 4..8 {
            let (mem, space) = world::<Small>(text);
            let before = (picture(&mem, &space, 4..8), mem.frames().total_free());
            let (at, pfn) = (at(page), frame(&space, page));
            let held = space.get(pages(page, 1), Access::Write).unwrap();
            let busy = CollapseError::Busy { at, pfn, refs: 2, expected: 1 };
            assert_eq!(space.collapse(pages(4, 4)), Err(busy), "{text}");
            Audit::of(&mem).space(&space).gets(held.pages()).check();
            drop(held);
            assert_eq!((picture(&mem, &space, 4..8), mem.frames().total_free()), before, "{text}");
            let pins = space.pin(pages(page, 1), Access::Write, Term::Long).unwrap();
            let (done, events) = mem.platform().record(|| space.collapse(pages(4, 4)));
            assert_eq!(done, Err(CollapseError::Pinned { at, pfn }), "{text}");
            assert!(events.contains(&EventKind::CollapseBusy(pfn)), "{text}: {events:?}");
            device_write(&mem, pfn, 77);
            assert_eq!(load(&space, page), Ok(77), "{text}: the device has the owner's page");
            Audit::of(&mem).space(&space).pins(pins.pages()).check();
            drop(pins);
            assert_eq!(space.collapse(pages(4, 4)), Ok(1), "{text}");
            assert_eq!((load(&space, page), is_huge(&mem, &space, 4)), (Ok(77), true), "{text}");
            Audit::of(&mem).space(&space).check();
        }
    }
}

#[test]
fn a_pin_of_another_who_maps_the_page_refuses_it_too() {
    for text in ALL {
        let (mem, parent) = folios(text);
        let child = parent.fork().unwrap();
        let held = child.get(pages(21, 1), Access::Read).unwrap();
        if frame(&parent, 21) != held.pages()[0] {
            // 5.8 has the child copy the page first.
            assert_eq!(parent.collapse(pages(16, 16)), Ok(1), "{text}");
            continue;
        }
        let before = picture(&mem, &parent, 16..32);
        let Err(CollapseError::Busy { at, refs, expected, .. }) = parent.collapse(pages(16, 16))
        else {
            panic!("{text}: it is referred to")
        };
        // The first entry of the folio is the one that is told of.
        assert_eq!((at, refs, expected), (self::at(20), 9, 8), "{text}");
        assert_eq!(picture(&mem, &parent, 16..32), before, "{text}");
        Audit::of(&mem).space(&parent).space(&child).gets(held.pages()).check();
        drop(held);
        assert_eq!(parent.collapse(pages(16, 16)), Ok(1), "{text}");
        Audit::of(&mem).space(&parent).space(&child).check();
    }
}

#[test]
fn a_page_on_the_move_refuses_it() {
    for text in ["5.8", "5.19", "6.3", "pinfold"] {
        let (mem, space) = world::<Small>(text);
        let held = space.get(pages(5, 1), Access::Read).unwrap();
        let (space, pfn) = (Arc::new(space), held.pages()[0]);
        let (mover, seen) = (space.clone(), Arc::new(AtomicU64::new(0)));
        let count = seen.clone();
        let hook = move |event| {
            // Its entry is out, and it is locked; it is going to come back.
            if matches!(event, EventKind::MigrationBusy { .. }) {
                let moving = CollapseError::Locked { at: at(5), pfn };
                assert_eq!(mover.collapse(pages(4, 4)), Err(moving));
                count.fetch_add(1, Ordering::Relaxed);
            }
        };
        let tuning = mem.tuning().migrate_passes;
        mem.platform().interrupt(hook, || {
            let moved = mem_migrate(&mem, pfn);
            assert_eq!(moved, 0, "{text}");
        });
        assert_eq!(seen.load(Ordering::Relaxed), u64::from(tuning), "{text}");
        assert!((4..8).all(|page| load(&space, page) == Ok(page)), "{text}");
        Audit::of(&mem).space(&space).gets(held.pages()).check();
    }
}

/// Tries to move a page without the lock of an address space, as a hinting fault's or hotplug's
/// mover may.
fn mem_migrate(mem: &Mem<Small>, pfn: Pfn) -> u64 {
    let isolated = mem.isolate(pfn, crate::frame::Sizes::Any).expect("nobody else has isolated it");
    let target = crate::migrate::Target::node(NodeId(1));
    mem.migrate(isolated, target, crate::MigrateMode::Sync).moved
}

#[test]
fn what_must_not_have_a_large_folio_is_refused_untouched() {
    type Change = fn(&Space<Small>);
    let changes: [(&str, Change); 6] = [
        ("advice", |space| space.advise(pages(4, 4), Advice::NoHugePage).unwrap()),
        ("mlock", |space| space.mlock(pages(4, 4)).unwrap()),
        ("cut", |space| space.protect(pages(6, 2), Prot::READ).unwrap()),
        ("short", |space| space.unmap(pages(7, 1)).unwrap()),
        ("monitor", |space| {
            space.uffd_register(pages(4, 4), UffdId(1), UffdMode::MISSING).unwrap();
        }),
        ("shared", |space| {
            space.unmap(pages(4, 4)).unwrap();
            map_shared(space, 4, 4);
            store(space, 5, 5).unwrap();
        }),
    ];
    for text in ["5.8", "6.1", "pinfold"] {
        for (name, change) in changes {
            let (mem, space) = world::<Small>(text);
            change(&space);
            let before = picture(&mem, &space, 4..7);
            let refused = Err(CollapseError::Unsuitable(at(4)));
            assert_eq!(space.collapse(pages(4, 4)), refused, "{text} {name}");
            assert_eq!(picture(&mem, &space, 4..7), before, "{text} {name}");
            assert_eq!(mem.stats().thp_collapse_alloc, 0, "{text} {name}");
            Audit::of(&mem).space(&space).check();
        }
    }
    let off = Tuning { pmd_mapping: PmdMapping::Off, ..Tuning::default() };
    let mem = machine::<Small>(rules("pinfold"), &[40], off);
    let space = space(&mem);
    map(&space, 4, 4, RW);
    store(&space, 4, 4).unwrap();
    assert_eq!(space.collapse(pages(4, 4)), Err(CollapseError::Unsuitable(at(4))));
}

#[test]
fn only_whole_spans_within_the_range_count_and_the_rest_goes_on_after_a_refusal() {
    let mem = machine::<Deep>(rules("pinfold"), &[80], Tuning::default());
    let space = space(&mem);
    map(&space, 4, 16, RW);
    for page in 4..20 {
        store(&space, page, page).unwrap();
    }
    assert_eq!(space.collapse(pages(5, 6)), Ok(0));
    let pins = space.pin(pages(13, 1), Access::Write, Term::Long).unwrap();
    let pinned = CollapseError::Pinned { at: at(13), pfn: pins.pages()[0] };
    assert_eq!(space.collapse(pages(5, 15)), Err(pinned));
    let huge: Vec<_> = [4, 8, 12, 16].map(|first| is_huge(&mem, &space, first)).to_vec();
    assert_eq!(huge, [false, true, false, true]);
    assert!((4..20).all(|page| load(&space, page) == Ok(page)));
    Audit::of(&mem).space(&space).pins(pins.pages()).check();
    drop(pins);
    assert_eq!(space.collapse(pages(4, 16)), Ok(2));
    Audit::of(&mem).space(&space).check();
    let end = Limits::of_format::<Deep>().end_page.0;
    assert_eq!(space.collapse(pages(end - 2, 2)), Ok(0));
    let past = space.collapse(pages(0, u64::MAX >> 12));
    // Of a hole the first span is told of, however large it is.
    assert_eq!(past, Err(CollapseError::NotMapped(at(20))));
    let large = machine::<Aarch64>(rules("pinfold"), &[80], Tuning::default());
    let space = crate::testing::space(&large);
    map(&space, 7, 1, RW);
    let everything = pages(0, u64::MAX >> 12);
    assert_eq!(space.collapse(everything), Err(CollapseError::NotMapped(at(0))));
}

#[test]
fn a_shortage_ends_it_before_anything_is_touched() {
    for text in ["5.8", "pinfold"] {
        let mem = machine::<Small>(rules(text), &[12], Tuning::default());
        let space = space(&mem);
        map(&space, 4, 8, RW);
        let mut page = 4;
        while mem.frames().total_free() > 3 {
            store(&space, page, page).unwrap();
            page += 1;
        }
        let before = picture(&mem, &space, 4..page);
        assert_eq!(space.collapse(pages(4, 8)), Err(CollapseError::OutOfFrames), "{text}");
        assert_eq!(picture(&mem, &space, 4..page), before, "{text}");
        assert_eq!(mem.stats().thp_collapse_alloc_failed, 1, "{text}");
        Audit::of(&mem).space(&space).check();
    }
    let (mem, space) = world::<Small>("pinfold");
    let group = Group::new(&mem, 7).unwrap();
    space.join(&group);
    space.advise(pages(4, 4), Advice::DontNeed).unwrap();
    for page in 4..8 {
        store(&space, page, page).unwrap();
    }
    assert_eq!(space.collapse(pages(4, 4)), Err(CollapseError::OverLimit { limit: 7 }));
    Audit::of(&mem).space(&space).group(&group).check();
    let group = Group::new(&mem, 8).unwrap();
    space.join(&group);
    assert_eq!(space.collapse(pages(4, 4)), Ok(1));
    assert_eq!(group.charged(), 4, "the folio is paid for by whose process it is now");
    Audit::of(&mem).space(&space).group(&group).check();
}

#[test]
fn without_permission_or_while_hinted_at_pages_are_collapsed() {
    for text in ALL {
        let (mem, space) = world::<Small>(text);
        space.numa_scan(pages(4, 2));
        assert_eq!(space.collapse(pages(4, 4)), Ok(1), "{text}");
        assert!((4..8).all(|page| load(&space, page) == Ok(page)), "{text}");
        Audit::of(&mem).space(&space).check();
        let (mem, space) = world::<Small>(text);
        space.protect(pages(4, 4), Prot::READ).unwrap();
        assert_eq!(space.collapse(pages(4, 4)), Ok(1), "{text}");
        assert!(!space.entry(at(5)).is_writable(), "{text}");
        assert_eq!((store(&space, 5, 1).is_err(), load(&space, 5)), (true, Ok(5)), "{text}");
        space.protect(pages(4, 4), RW).unwrap();
        store(&space, 5, 50).unwrap();
        Audit::of(&mem).space(&space).check();
        let (mem, space) = world::<Small>(text);
        space.protect(pages(4, 4), Prot::empty()).unwrap();
        assert_eq!(space.collapse(pages(4, 4)), Ok(1), "{text}");
        assert!(load(&space, 5).is_err() && is_huge(&mem, &space, 4), "{text}");
        space.protect(pages(4, 4), RW).unwrap();
        assert_eq!(load(&space, 5), Ok(5), "{text}");
        store(&space, 5, 50).unwrap();
        Audit::of(&mem).space(&space).check();
    }
}

#[test]
fn who_moved_and_who_forks_afterwards_finds_the_folio() {
    for text in ALL {
        let mem = machine::<Deep>(rules(text), &[80], Tuning::default());
        let space = space(&mem);
        map(&space, 4, 4, RW);
        for page in 4..8 {
            store(&space, page, page).unwrap();
        }
        space.remap(pages(4, 4), 4, Remap::To(at(16))).unwrap();
        assert_eq!(space.collapse(pages(16, 4)), Ok(1), "{text}");
        assert!((16..20).all(|page| load(&space, page) == Ok(page - 12)), "{text}");
        // The audit asks a walk of the reverse map for both.
        let child = space.fork().unwrap();
        Audit::of(&mem).space(&space).space(&child).check();
        assert_eq!(child.collapse(pages(16, 4)), Ok(0), "{text}");
        store(&child, 17, 1).unwrap();
        assert_eq!(child.collapse(pages(16, 4)), Ok(1), "{text}: split by the write");
        assert_eq!((load(&child, 17), load(&space, 17)), (Ok(1), Ok(5)), "{text}");
        Audit::of(&mem).space(&space).space(&child).check();
    }
}

#[test]
fn a_pin_that_comes_while_the_references_are_counted_finds_no_table() {
    for text in ALL {
        let (mem, space) = world::<Small>(text);
        let (space, seen) = (Arc::new(space), Arc::new(AtomicU64::new(0)));
        let (walker, count) = (space.clone(), seen.clone());
        let hook = move |event| {
            if matches!(event, EventKind::CollapseCounts { .. }) {
                let ask = crate::pin::Ask {
                    path: crate::pin::Path::FastOnly,
                    ..crate::pin::Ask::new(Access::Write, Term::Short)
                };
                assert!(walker.get_with(pages(5, 1), ask).is_err());
                assert!(walker.walk(at(5)).is_none());
                count.fetch_add(1, Ordering::Relaxed);
            }
        };
        let done = mem.platform().interrupt(hook, || space.collapse(pages(4, 4)));
        assert_eq!((done, seen.load(Ordering::Relaxed)), (Ok(1), 1), "{text}");
        Audit::of(&mem).space(&space).check();
    }
}

#[test]
fn the_table_waits_for_walkers_under_the_rule_that_does_not_and_only_there() {
    for (text, waits) in [("6.0", 1), ("6.1", 0), ("6.0,collapse-sync=interrupt", 0)] {
        let (mem, space) = world::<Small>(text);
        mem.platform().take_tables();
        assert_eq!(space.collapse(pages(4, 4)), Ok(1), "{text}");
        let taken = mem.platform().taken_tables();
        assert_eq!(taken.len(), waits, "{text}");
        taken.into_iter().for_each(|tables| mem.free_tables(tables));
        Audit::of(&mem).space(&space).check();
    }
}

#[test]
fn every_refusal_says_what_helps() {
    let (at, pfn) = (at(5), Pfn(9));
    let all = [
        (CollapseError::NotMapped(at), "touch a page"),
        (CollapseError::Unsuitable(at), "one area of private memory"),
        (CollapseError::Locked { at, pfn }, "try again"),
        (CollapseError::Pinned { at, pfn }, "unpin it"),
        (CollapseError::Busy { at, pfn, refs: 2, expected: 1 }, "2 references where 1"),
        (CollapseError::SwappedOut(at), "try again"),
        (CollapseError::Swapped { at, swapped: 2, most: 1 }, "touch them"),
        (CollapseError::NotRead(FaultError::Store(at, StoreError::Io)), "on a swap device"),
        (CollapseError::OutOfFrames, "unmap something"),
        (CollapseError::OverLimit { limit: 7 }, "7 pages: raise its limit"),
    ];
    for (error, help) in all {
        assert!(std::format!("{error}").contains(help), "{error}");
    }
}
