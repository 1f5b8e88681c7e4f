//! Unmapping: what goes, what pins keep, when it is flushed, and which tables stay.

use crate::lab::{self, Holder};
use crate::testing::{
    Audit, Disk, Mem, Space, device_read, load, machine, map, map_file, map_shared, pages, rules,
    space, store,
};
use crate::{
    Access, Advice, Bug, Fault, FileSharing, Format, Limits, NodeId, Pfn, Placement, Prot, Pte,
    Rules, Small, SpaceError, Term, Tuning, VirtAddr, Vpn, X86_64,
};
use std::sync::Arc;
use std::sync::atomic::Ordering;

const RW: Prot = Prot::READ_WRITE;

fn world() -> (Mem<X86_64>, Space<X86_64>) {
    let mem = machine(Rules::default(), &[64], Tuning::default());
    let space = space(&mem);
    (mem, space)
}

fn tables<F: Format>(space: &Space<F>) -> usize {
    let mut tables = 0;
    lab::account(space, |_, holder| tables += usize::from(holder == Holder::Table));
    tables
}

#[test]
fn unmapping_frees_pages_and_the_next_use_is_refused() {
    let (mem, space) = world();
    map(&space, 16, 4, RW);
    let free = mem.frames().total_free();
    for page in 16..20 {
        store(&space, page, 1).unwrap();
    }
    space.unmap(pages(17, 2)).unwrap();
    assert!(store(&space, 17, 1).is_err());
    assert_eq!(load(&space, 16), Ok(1));
    space.unmap(pages(10, 100)).unwrap();
    assert_eq!((space.areas(), mem.frames().total_free()), (0, free));
    assert_eq!(space.unmap(pages(16, 1)), Ok(()), "nothing there is no error");
    let outside = pages(X86_64::PAGES, 1);
    assert_eq!(space.unmap(outside), Err(SpaceError::OutsideLimits(outside)));
    assert_eq!(mem.stats().pgfree, 4 + 3);
    Audit::of(&mem).space(&space).check();
}

#[test]
fn an_area_loses_either_end_with_its_pages_tables_and_copies_and_nothing_else() {
    let (mem, space) = world();
    map(&space, 500, 40, RW);
    for page in [500, 505, 511, 512, 539] {
        store(&space, page, page).unwrap();
    }
    assert_eq!((tables(&space), space.space().delegated(Vpn(539)).is_some()), (5, true));
    space.unmap(pages(512, 28)).unwrap();
    assert_eq!((space.areas(), tables(&space)), (1, 4), "nothing is left of the second table");
    // A copy that was not recalled would let these in.
    assert!(store(&space, 512, 1).is_err() && store(&space, 539, 1).is_err());
    space.unmap(pages(500, 5)).unwrap();
    assert_eq!((space.areas(), tables(&space)), (1, 4));
    assert!(store(&space, 500, 1).is_err() && store(&space, 504, 1).is_err());
    assert_eq!([505, 511].map(|page| load(&space, page)), [Ok(505), Ok(511)]);
    Audit::of(&mem).space(&space).check();
    space.unmap(pages(505, 7)).unwrap();
    assert_eq!((space.areas(), tables(&space)), (0, 1));
    Audit::of(&mem).space(&space).check();
}

#[test]
fn tables_go_with_the_last_area_over_their_span() {
    let (mem, space) = world();
    assert_eq!(tables(&space), 1);
    map(&space, 500, 24, RW);
    store(&space, 500, 1).unwrap();
    assert_eq!(tables(&space), 4);
    store(&space, 512, 1).unwrap();
    assert_eq!(tables(&space), 5);
    map(&space, 600, 1, Prot::READ);
    space.unmap(pages(512, 12)).unwrap();
    assert_eq!(tables(&space), 5, "page 600 may still need the table of 512");
    space.unmap(pages(600, 1)).unwrap();
    assert_eq!(tables(&space), 4);
    space.unmap(pages(500, 1)).unwrap();
    assert_eq!(tables(&space), 4, "501 to 511 are mapped");
    space.unmap(pages(501, 11)).unwrap();
    assert_eq!(tables(&space), 1);
    Audit::of(&mem).space(&space).check();
}

#[test]
fn tables_of_a_far_neighbour_stay() {
    let (mem, space) = world();
    for page in [1 << 9, 1 << 18, 1 << 27, (1 << 27) + (1 << 18)] {
        map(&space, page, 1, RW);
        store(&space, page, page).unwrap();
    }
    assert_eq!(tables(&space), 1 + 3 + 2 + 3 + 2);
    space.unmap(pages(1 << 18, 1)).unwrap();
    assert_eq!(tables(&space), 1 + 3 + 3 + 2);
    space.unmap(pages(1 << 27, 1)).unwrap();
    assert_eq!(load(&space, (1 << 27) + (1 << 18)), Ok((1 << 27) + (1 << 18)));
    assert_eq!(load(&space, 1 << 9), Ok(1 << 9));
    Audit::of(&mem).space(&space).check();
}

#[test]
fn an_unmap_looks_at_what_its_range_touches_and_at_nothing_else() {
    let (mem, space) = world();
    map(&space, 1 << 9, 1, RW);
    map(&space, 1 << 34, 1, RW);
    store(&space, 1 << 9, 1).unwrap();
    let rig = mem.platform();
    map(&space, 1 << 20, 1 << 15, RW);
    let untouched = rig.looks(|| space.unmap(pages(1 << 20, 1 << 15)).unwrap());
    assert!(untouched <= 2 * 3, "{untouched} looks for no table at all");
    map(&space, 1 << 20, 1 << 15, RW);
    store(&space, 1 << 20, 1).unwrap();
    // Twice 64 entries that name tables of pages, what leads there, and the one table itself.
    let touched = rig.looks(|| space.unmap(pages(1 << 20, 1 << 15)).unwrap());
    assert!(touched <= 2 * (64 + 3) + 2, "{touched} looks for 64 tables at most");
    let left = rig.looks(|| drop(space));
    assert!(left <= 2 * (2 * 4 + 4), "{left} looks for two areas of one page");
    Audit::of(&mem).check();
}

#[test]
fn dontneed_drops_the_contents_and_keeps_area_and_tables() {
    let (mem, space) = world();
    map(&space, 16, 4, RW);
    store(&space, 16, 1).unwrap();
    store(&space, 17, 2).unwrap();
    let before = tables(&space);
    space.advise(pages(16, 1), Advice::DontNeed).unwrap();
    assert_eq!((load(&space, 16), load(&space, 17)), (Ok(0), Ok(2)));
    assert_eq!((tables(&space), space.areas()), (before, 1));
    let hole = space.advise(pages(18, 4), Advice::DontNeed);
    assert_eq!(hole, Err(SpaceError::NotMapped(VirtAddr::of_page(20))));
    Audit::of(&mem).space(&space).check();
}

#[test]
fn a_pinned_frame_outlives_dontneed_munmap_and_exit() {
    let (mem, space) = world();
    map(&space, 16, 3, RW);
    for page in 16..19 {
        store(&space, page, page).unwrap();
    }
    let pins = space.pin(pages(16, 3), Access::Write, Term::Long).unwrap();
    space.advise(pages(16, 1), Advice::DontNeed).unwrap();
    space.unmap(pages(17, 1)).unwrap();
    assert_eq!(load(&space, 16), Ok(0), "the address names another page now");
    Audit::of(&mem).space(&space).pins(pins.pages()).check();
    assert_eq!(space.locked_pages(), 3);
    drop(space);
    let left: std::vec::Vec<_> = pins.pages().iter().map(|pfn| device_read(&mem, *pfn)).collect();
    assert_eq!(left, [16, 17, 18]);
    Audit::of(&mem).pins(pins.pages()).check();
    drop(pins);
    Audit::of(&mem).check();
}

#[test]
fn an_unmap_of_the_parent_leaves_the_childs_page() {
    for text in crate::rules::PRESETS {
        let mem = machine::<Small>(rules(text), &[32], Tuning::default());
        let parent = space(&mem);
        map(&parent, 1, 15, RW);
        for page in 1..16 {
            store(&parent, page, page).unwrap();
        }
        let child = parent.fork().unwrap();
        parent.unmap(pages(4, 6)).unwrap();
        child.advise(pages(1, 3), Advice::DontNeed).unwrap();
        assert!((4..16).all(|page| load(&child, page) == Ok(page)));
        assert!((1..4).all(|page| load(&parent, page) == Ok(page) && load(&child, page) == Ok(0)));
        Audit::of(&mem).space(&parent).space(&child).check();
    }
}

#[test]
fn inv_tlb_3_a_gather_flushes_whenever_its_room_is_used_up() {
    for (gather_pages, flushes) in [(0, 20), (1, 20), (8, 3), (12, 2), (20, 1), (512, 1)] {
        let tuning = Tuning { gather_pages, ..Tuning::default() };
        let mem = machine::<X86_64>(Rules::default(), &[64], tuning);
        let space = space(&mem);
        map(&space, 16, 20, RW);
        for page in 16..36 {
            store(&space, page, 1).unwrap();
        }
        let before = mem.stats().nr_tlb_remote_flush;
        space.advise(pages(16, 20), Advice::DontNeed).unwrap();
        let count = mem.stats().nr_tlb_remote_flush - before;
        assert_eq!(count, flushes, "room for {gather_pages}");
        assert_eq!(mem.platform().host.flushes(), mem.stats().nr_tlb_remote_flush);
        Audit::of(&mem).space(&space).check();
    }
}

/// Pages of which every second one is a file's: all are dirty.
fn half_files(rules: Rules, tuning: Tuning, count: u64) -> (Mem<X86_64>, Space<X86_64>) {
    let mem = machine::<X86_64>(rules, &[2 * count + 64], tuning);
    let space = space(&mem);
    for page in 16..16 + count {
        if page % 2 == 0 {
            let file = Disk::default().file(&mem, 1);
            map_file(&space, page, file.run(0..1), FileSharing::Shared);
        } else {
            map(&space, page, 1, RW);
        }
        store(&space, page, page).unwrap();
    }
    (mem, space)
}

fn unmap_flushes(mem: &Mem<X86_64>, space: &Space<X86_64>, count: u64) -> u64 {
    let before = mem.stats().nr_tlb_remote_flush;
    space.advise(pages(16, count), Advice::DontNeed).unwrap();
    Audit::of(mem).space(space).check();
    mem.stats().nr_tlb_remote_flush - before
}

#[test]
fn a_gather_grows_by_pages_of_pointers_up_to_some_ten_thousand() {
    for (count, flushes) in [(8 + 510 + 1, 1), (10_000, 1), (10_001, 2), (20_001, 3)] {
        // The gather of the pages alone: the tables have a flush of their own.
        let set = rules("latest,table-reclaim=unmap");
        let mem = machine::<X86_64>(set, &[count + 128], Tuning::default());
        let space = space(&mem);
        map(&space, 16, count, RW);
        for page in 16..16 + count {
            store(&space, page, 1).unwrap();
        }
        assert_eq!(unmap_flushes(&mem, &space, count), flushes, "{count} pages");
    }
}

#[test]
fn a_delayed_removal_is_done_before_the_table_is_unlocked() {
    for (gather_pages, count, flushes) in [(1, 6, 6), (10_000, 6, 1), (10_000, 600, 2)] {
        let tuning = Tuning { gather_pages, ..Tuning::default() };
        let (mem, space) = half_files(rules("6.2"), tuning, count);
        assert_eq!(unmap_flushes(&mem, &space, count), flushes, "{count} pages");
        let (mem, space) = half_files(rules("6.1"), tuning, count);
        let flushes = if gather_pages == 1 { count } else { 1 };
        assert_eq!(unmap_flushes(&mem, &space, count), flushes, "no delay, {count} pages");
    }
}

#[test]
fn with_a_delay_the_gather_grows_by_one_batch_at_most() {
    // 16 to 511 lie in the first table; from there on a table has 512 pages.
    let (mem, space) = half_files(rules("6.2"), Tuning::default(), 496 + 1024);
    assert_eq!(unmap_flushes(&mem, &space, 496 + 1024), 3, "a table fits in the two batches");
    let tuning = Tuning { gather_pages: 100, ..Tuning::default() };
    let (mem, space) = half_files(rules("6.2"), tuning, 496);
    assert_eq!(unmap_flushes(&mem, &space, 496), 5);
}

/// What migration of a page reports that an unmap has taken out and not freed yet; another space
/// maps memory first if `reuse` says so.
fn walk_after_unmap(text: &str, reuse: Reuse) -> std::vec::Vec<Bug> {
    let mem = machine::<X86_64>(rules(text), &[64, 64], Tuning::default());
    let (owner, stranger) = (space(&mem), Arc::new(space(&mem)));
    map(&owner, 16, 2, RW);
    let first = store(&owner, 16, 1).unwrap();
    let second = store(&owner, 17, 2).unwrap();
    let held = mem.isolate(second, crate::frame::Sizes::Small).unwrap();
    let (walker, other) = (mem.clone(), stranger.clone());
    let hook = move |event| {
        if event != (crate::EventKind::Freed(first)) {
            return;
        }
        if reuse == Reuse::Yes {
            map(&other, 16, 1, RW);
        }
        let walk: Result<(), ()> =
            walker.walk_folio((second, 1), |_, _, _| panic!("nobody maps the page"));
        assert_eq!(walk, Ok(()));
    };
    mem.platform().interrupt(hook, || owner.unmap(pages(16, 2)).unwrap());
    drop(held);
    let told = mem.platform().bugs();
    assert!(told.iter().all(|bug| *bug == told[0]), "{told:?}");
    told.first().copied().into_iter().collect()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Reuse {
    Yes,
    No,
}

#[test]
fn a_mapping_that_outlives_its_family_leads_into_freed_memory_or_another_family() {
    for text in crate::rules::PRESETS {
        for reuse in [Reuse::Yes, Reuse::No] {
            assert_eq!(walk_after_unmap(text, reuse), [], "{text}");
        }
        let delayed = std::format!("{text},zap-rmap=when-freed");
        let freed = walk_after_unmap(&delayed, Reuse::No);
        assert!(matches!(freed[..], [Bug::FamilyFreed(_)]), "{freed:?}");
        let reused = walk_after_unmap(&delayed, Reuse::Yes);
        assert!(matches!(reused[..], [Bug::FamilyReused(_)]), "{reused:?}");
    }
}

#[test]
fn a_space_that_dies_is_flushed_once() {
    for gather_pages in [1, 12, 10_000] {
        let tuning = Tuning { gather_pages, ..Tuning::default() };
        let (mem, space) = half_files(Rules::default(), tuning, 64);
        let before = mem.stats().nr_tlb_remote_flush;
        drop(space);
        assert_eq!(mem.stats().nr_tlb_remote_flush - before, 1, "room for {gather_pages}");
        Audit::of(&mem).check();
    }
}

#[test]
fn unmapping_what_was_never_touched_flushes_nothing() {
    let (mem, space) = world();
    map(&space, 16, 20, RW);
    space.unmap(pages(16, 20)).unwrap();
    assert_eq!(mem.stats().nr_tlb_remote_flush, 0);
}

#[test]
fn the_zero_page_is_unmapped_without_a_count() {
    let (mem, space) = world();
    map(&space, 16, 2, RW);
    assert_eq!(space.fault(VirtAddr::of_page(16), crate::Cause::Load), Ok(Fault::ZeroPage));
    load(&space, 17).unwrap();
    space.unmap(pages(16, 2)).unwrap();
    assert_eq!(mem.frames().counts(mem.zero_page()).refs(), 1);
    Audit::of(&mem).space(&space).check();
}

#[test]
fn shared_memory_goes_with_its_last_mapping() {
    let (mem, parent) = world();
    let free = mem.frames().total_free();
    map_shared(&parent, 16, 4);
    store(&parent, 16, 1).unwrap();
    store(&parent, 18, 2).unwrap();
    let child = parent.fork().unwrap();
    parent.unmap(pages(16, 1)).unwrap();
    parent.unmap(pages(18, 2)).unwrap();
    assert_eq!((load(&child, 16), load(&child, 18)), (Ok(1), Ok(2)));
    Audit::of(&mem).space(&parent).space(&child).check();
    drop(child);
    parent.unmap(pages(17, 1)).unwrap();
    assert_eq!(mem.frames().total_free(), free);
    Audit::of(&mem).space(&parent).check();
}

/// An address space below page `end`, in whose root a kernel has linked a table of its own for the
/// last slot.
fn below_a_kernel(mem: &Mem<X86_64>, end: u64) -> (Space<X86_64>, Pfn) {
    let limits = Limits { end_page: crate::Vpn(end), ..Limits::of_format::<X86_64>() };
    let space = Space::new(mem, limits).unwrap();
    let place = Placement::Prefer(NodeId(0));
    let kernel = mem.frames().take(place).unwrap().keep();
    let entry = Pte::<X86_64>::table(kernel).bits();
    mem.platform().host.word(space.root(), 511).store(entry, Ordering::Relaxed);
    (space, kernel)
}

#[test]
fn what_lies_past_the_limit_is_not_touched() {
    // On a boundary of the root's entries, inside a table of the second level, and inside one of
    // the last.
    for end in [1 << 35, (1 << 27) + (1 << 18), (1 << 27) + 100] {
        let mem = machine(Rules::default(), &[64], Tuning::default());
        let free = mem.frames().total_free();
        let (space, kernel) = below_a_kernel(&mem, end);
        let linked = || mem.platform().host.word(space.root(), 511).load(Ordering::Relaxed);
        let before = linked();
        map(&space, end - 2, 2, RW);
        store(&space, end - 1, 1).unwrap();
        assert_eq!(space.entry(VirtAddr::of_page(511 << 27)), Pte::NONE);
        assert_eq!(tables(&space), 4, "the kernel's is not among them");
        assert_eq!(space.migrate(pages(end - 1, 1 << 35), NodeId(0)).failed, 0);
        let child = space.fork().unwrap();
        assert_eq!(tables(&child), 4);
        drop(child);
        space.unmap(pages(end - 2, 2)).unwrap();
        assert_eq!(linked(), before, "limit {end:#x}");
        assert_eq!(tables(&space), 1, "all that was the address space's is gone, limit {end:#x}");
        map(&space, end - 1, 1, RW);
        store(&space, end - 1, 1).unwrap();
        drop(space);
        assert_eq!(mem.frames().counts(kernel).refs(), 1);
        assert_eq!(mem.frames().total_free(), free - 1, "limit {end:#x}");
    }
}

#[test]
fn tables_that_the_platform_takes_are_freed_when_it_gives_them_back() {
    let (mem, space) = world();
    let free = mem.frames().total_free() + 1;
    mem.platform().take_tables();
    map(&space, 500, 24, RW);
    store(&space, 500, 1).unwrap();
    store(&space, 512, 1).unwrap();
    space.unmap(pages(500, 24)).unwrap();
    assert_eq!(tables(&space), 1, "unlinked at once");
    assert_eq!(
        mem.frames().total_free(),
        free - 5,
        "the root, and four that a walk may still read"
    );
    mem.platform().taken_tables().into_iter().for_each(|tables| mem.free_tables(tables));
    assert_eq!(mem.frames().total_free(), free - 1);
    drop(space);
    assert_eq!(mem.frames().total_free(), free - 1, "the root waits, too");
    mem.platform().taken_tables().into_iter().for_each(|tables| mem.free_tables(tables));
    assert_eq!(mem.frames().total_free(), free);
    Audit::of(&mem).check();
}

/// Since 6.14 DONTNEED frees the tables that it has emptied, but for those that reach out of its
/// range, also where nothing is mapped beside it.
#[test]
fn dontneed_frees_whole_tables_since_6_14() {
    for (rule, left) in [("7.3", 4), ("6.12", 5), ("6.12,table-reclaim=dont-need", 4)] {
        let mem = machine::<Small>(rules(rule), &[32], Tuning::default());
        let space = space(&mem);
        map(&space, 1, 12, RW);
        let fill = || {
            for page in 1..13 {
                store(&space, page, page).unwrap();
            }
        };
        fill();
        assert_eq!(tables(&space), 5, "four tables and the root");
        space.advise(pages(4, 1), Advice::DontNeed).unwrap();
        assert_eq!(tables(&space), 5, "a part of a table");
        space.advise(pages(2, 9), Advice::DontNeed).unwrap();
        assert_eq!(tables(&space), left, "{rule}: that of pages 4 to 7 goes");
        let pins = space.pin(pages(8, 1), Access::Write, Term::Long).unwrap();
        space.advise(pages(1, 12), Advice::DontNeed).unwrap();
        assert_eq!(tables(&space), if left == 4 { 3 } else { 5 }, "{rule}: those of 4 to 11");
        let found: std::vec::Vec<_> = (1..13).map(|page| load(&space, page).unwrap()).collect();
        assert_eq!(found, [0; 12]);
        fill();
        Audit::of(&mem).space(&space).pins(pins.pages()).check();
        drop((pins, space));
        Audit::of(&mem).check();
    }
}
