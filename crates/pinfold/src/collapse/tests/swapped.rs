//! Collapse of pages that are on a swap device, or in the swap cache.

use std::boxed::Box;
use std::sync::Arc;
use std::vec::Vec;

use super::{ALL, RW, at, frame, is_huge};
use crate::testing::{Audit, Disk, Mem, Space, load, machine, map, pages, rules, space, store};
use crate::{
    Access, CollapseError, EventKind, FaultError, NodeId, Placement, Reclaimed, Reclaimer, Small,
    StoreError, SwapId, SwapUsage, SwapWrites, Tuning,
};

/// A machine with a swap device, and a space in which pages 4 to 7 have their numbers.
fn world(text: &str) -> (Mem<Small>, Space<Small>, Disk, SwapId) {
    let mem = machine(rules(text), &[60, 20], Tuning::default());
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
