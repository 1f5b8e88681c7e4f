//! Collapse of pages that are on a swap device, or in the swap cache.

use std::boxed::Box;
use std::format;
use std::sync::Arc;
use std::vec::Vec;

use super::{ALL, RW, at, frame, is_huge};
use crate::testing::{Audit, Disk, Mem, Space, load, machine, map, pages, rules, space, store};
use crate::{
    Access, CollapseError, EventKind, FaultError, NodeId, Placement, Reclaimed, Reclaimer, Small,
    StoreError, SwapId, SwapUsage, SwapWrites, Tuning, Zone,
};

/// A machine with a swap device, and a space in which pages 4 to 7 have their numbers. A collapse
/// brings pages back, as otherwise only since 4.8.
fn world(text: &str) -> (Mem<Small>, Space<Small>, Disk, SwapId) {
    world_of(&format!("{text},collapse-swapped=brought-back"), Tuning::default())
}

fn world_of(text: &str, tuning: Tuning) -> (Mem<Small>, Space<Small>, Disk, SwapId) {
    let mem = machine(rules(text), &[60, 20], tuning);
    let disk = Disk::default();
    let id = mem.swap_on(Box::new(disk.clone()), 16, SwapWrites::Any).unwrap();
    let space = space(&mem);
    map(&space, 4, 4, RW);
    for page in 4..8 {
        store(&space, page, page).unwrap();
    }
    (mem, space, disk, id)
}

fn out(space: &Space<Small>, page: u64) -> Reclaimed {
    space.page_out(pages(page, 1), Reclaimer::Pressure)
}

#[test]
fn what_is_on_the_device_or_in_the_cache_comes_back_and_gives_its_slot_up() {
    for text in ALL {
        let (mem, space, _, id) = world(text);
        for page in [4, 5, 6] {
            assert_eq!(out(&space, page), Reclaimed { freed: 1, kept: 0 }, "{text}");
        }
        // One is mapped and has its slot; one is in the cache alone.
        assert_eq!(load(&space, 5), Ok(5), "{text}");
        let held = space.get(pages(6, 1), Access::Read).unwrap();
        assert_eq!(out(&space, 6), Reclaimed { freed: 0, kept: 1 }, "{text}");
        drop(held);
        assert_eq!(space.collapse(pages(4, 4)), Ok(1), "{text}");
        assert!(is_huge(&mem, &space, 4), "{text}");
        assert!((4..8).all(|page| load(&space, page) == Ok(page)), "{text}");
        let usage = SwapUsage { slots: 16, free: 16, cached: 0 };
        assert_eq!(mem.swap_usage(id), Some(usage), "{text}");
        Audit::of(&mem).space(&space).check();
    }
}

#[test]
fn every_page_of_a_folio_that_one_entry_maps_leaves_memory() {
    for text in ALL {
        for who in [Reclaimer::Pressure, Reclaimer::Advice] {
            let (mem, space, _, id) = world(text);
            space.collapse(pages(4, 4)).unwrap();
            assert!(is_huge(&mem, &space, 4), "{text}");
            let done = space.page_out(pages(4, 4), who);
            assert_eq!(done, Reclaimed { freed: 4, kept: 0 }, "{text}");
            let usage = SwapUsage { slots: 16, free: 12, cached: 0 };
            assert_eq!(mem.swap_usage(id), Some(usage), "{text}");
            assert!((4..8).all(|page| load(&space, page) == Ok(page)), "{text}");
            Audit::of(&mem).space(&space).check();
        }
    }
}

/// Facts 7.4.
#[test]
fn releases_up_to_4_7_bring_nothing_back_and_later_ones_as_many_as_the_limit_says() {
    for (text, limit, most) in
        [("3.1", u64::MAX, 0), ("4.7", 8, 0), ("4.8", 0, 0), ("4.8", 1, 1), ("pinfold", 1, 1)]
    {
        let tuning = Tuning { max_ptes_swap: limit, ..Tuning::default() };
        let (mem, space, _, id) = world_of(text, tuning);
        for page in (4..8).take(most as usize + 1) {
            out(&space, page);
        }
        let refused = CollapseError::Swapped { at: at(4), swapped: most + 1, most };
        assert_eq!(space.collapse(pages(4, 4)), Err(refused), "{text}");
        let free = mem.swap_usage(id).map(|usage| usage.free);
        assert_eq!(free, Some(16 - most - 1), "{text}: none is back");
        load(&space, 4).unwrap();
        assert_eq!(space.collapse(pages(4, 4)), Ok(1), "{text}");
        Audit::of(&mem).space(&space).check();
    }
}

/// Facts 7.4: of those that nobody uses, as many leave as are needed, once.
#[test]
fn for_want_of_frames_others_leave() {
    let tuning = Tuning { lru_batch: 1, stock_batch: 0, reclaim_batch: 8, ..Tuning::default() };
    let mem = machine::<Small>(rules("pinfold"), &[28], tuning);
    let space = space(&mem);
    map(&space, 4, 4, RW);
    (4..8).for_each(|page| _ = store(&space, page, page).unwrap());
    map(&space, 8, 8, RW);
    (8..16).for_each(|page| _ = store(&space, page, page).unwrap());
    // A run for the folio is left, and nothing for the table that goes with it.
    let run = mem.frames().take_run(2, Placement::Prefer(NodeId(0)), Zone::Any).unwrap();
    while let Ok(frame) = mem.frames().take(Placement::Prefer(NodeId(0))) {
        frame.keep();
    }
    drop(run);
    space.advise(pages(8, 8), crate::Advice::Cold).unwrap();
    assert_eq!(space.collapse(pages(4, 4)), Err(CollapseError::OutOfFrames), "nowhere to go");
    mem.swap_on(Box::new(Disk::default()), 60, SwapWrites::Any).unwrap();
    let stalls = mem.stats().allocstall;
    assert_eq!(space.collapse(pages(4, 4)), Ok(1));
    assert_eq!(mem.stats().allocstall, stalls + 1);
    assert!((4..8).all(|page| load(&space, page) == Ok(page)));
}

/// Facts 7.4: a batch has a reference of each page that has come back.
#[test]
fn pages_that_come_back_wait_in_no_batch() {
    let (mem, space, _, _) = world_of("pinfold", Tuning { lru_batch: 8, ..Tuning::default() });
    mem.lru_add_drain_all();
    (4..7).for_each(|page| assert_eq!(out(&space, page).freed, 1));
    assert_eq!(space.collapse(pages(4, 4)), Ok(1));
    assert!(is_huge(&mem, &space, 4));
    assert!((4..8).all(|page| load(&space, page) == Ok(page)));
    Audit::of(&mem).space(&space).check();
}

#[test]
fn a_child_keeps_the_page_and_its_slot() {
    for text in ALL {
        let (mem, parent, _, id) = world(text);
        out(&parent, 5);
        let child = parent.fork().unwrap();
        assert_eq!(parent.collapse(pages(4, 4)), Ok(1), "{text}");
        assert_eq!(mem.swap_usage(id).map(|usage| usage.cached), Some(1), "{text}");
        Audit::of(&mem).space(&parent).space(&child).check();
        assert_eq!(store(&parent, 5, 50).map(|_| load(&child, 5)), Ok(Ok(5)), "{text}");
        assert_eq!(load(&parent, 5), Ok(50), "{text}");
        Audit::of(&mem).space(&parent).space(&child).check();
    }
}

#[test]
fn a_reference_beside_the_caches_refuses_it() {
    for text in ALL {
        let (mem, space, ..) = world(text);
        out(&space, 5);
        let held = space.get(pages(5, 1), Access::Read).unwrap();
        let pfn = frame(&space, 5);
        let cached = u32::from(mem.is_swap_cached(pfn));
        let busy = CollapseError::Busy { at: at(5), pfn, refs: 2 + cached, expected: 1 + cached };
        assert_eq!(space.collapse(pages(4, 4)), Err(busy), "{text}");
        Audit::of(&mem).space(&space).gets(held.pages()).check();
        drop(held);
        assert_eq!(space.collapse(pages(4, 4)), Ok(1), "{text}");
        Audit::of(&mem).space(&space).check();
    }
}

#[test]
fn a_device_that_fails_or_takes_a_page_again_refuses_it() {
    let (mem, space, disk, _) = world("pinfold");
    out(&space, 5);
    disk.fail(Some(StoreError::Io));
    let failed = CollapseError::NotRead(FaultError::Store(at(5), StoreError::Io));
    assert_eq!(space.collapse(pages(4, 4)), Err(failed));
    disk.fail(None);
    Audit::of(&mem).space(&space).check();
    // While a later one comes back.
    out(&space, 7);
    let space = Arc::new(space);
    let other = space.clone();
    let hook = move |event| {
        if matches!(event, EventKind::SwapOwned { .. }) && other.entry(at(5)).is_present() {
            out(&other, 5);
        }
    };
    let done = mem.platform().interrupt(hook, || space.collapse(pages(4, 4)));
    assert_eq!(done, Err(CollapseError::SwappedOut(at(5))));
    assert!((4..8).all(|page| load(&space, page) == Ok(page)));
    Audit::of(&mem).space(&space).check();
    assert_eq!(space.collapse(pages(4, 4)), Ok(1));
}

#[test]
fn without_a_frame_to_come_back_to_nothing_happens() {
    let (mem, space, ..) = world("pinfold");
    out(&space, 5);
    let mut taken = Vec::new();
    while let Ok(frame) = mem.frames().take(Placement::Prefer(NodeId(0))) {
        taken.push(frame.keep());
    }
    assert_eq!(space.collapse(pages(4, 4)), Err(CollapseError::OutOfFrames));
    Audit::of(&mem).space(&space).gets(&taken).check();
    taken.into_iter().for_each(|pfn| mem.put(pfn, 1));
    assert!((4..8).all(|page| load(&space, page) == Ok(page)));
}
