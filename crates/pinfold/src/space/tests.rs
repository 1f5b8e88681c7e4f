//! The face: mapping and its errors, areas that split and merge, limits, and the end of an address
//! space.

use crate::event::EventKind;
use crate::lab::{self, Holder};
use crate::testing::{Audit, Space, load, machine, map, map_shared, pages, space, store};
use crate::{
    AddressSpace, Advice, Format, Limits, NodeId, Place, Prot, RangeError, Rules, Sharing, Small,
    SpaceError, Tuning, VirtAddr, Vpn, X86_64,
};
use std::sync::Arc;

const RW: Prot = Prot::READ_WRITE;

fn at(space: &Space<X86_64>, page: u64, count: u64) -> Result<crate::VirtRange, SpaceError> {
    space.map(Place::At(VirtAddr::of_page(page)), count, RW, Sharing::Private)
}

#[test]
fn a_refused_mapping_says_why_and_changes_nothing() {
    let mem = machine::<X86_64>(Rules::default(), &[16], Tuning::default());
    let limits = Limits {
        pages: 100,
        locked: 0,
        first_page: Vpn(16),
        end_page: Vpn(1000),
        ..Limits::of_format::<X86_64>()
    };
    let space = AddressSpace::new(&mem, limits).unwrap();
    let taken = at(&space, 20, 4).unwrap();
    let anywhere = |count| space.map(Place::Anywhere, count, RW, Sharing::Private);
    assert_eq!(at(&space, 30, 0), Err(SpaceError::Range(RangeError::Empty(VirtAddr::of_page(30)))));
    assert!(matches!(anywhere(0), Err(SpaceError::Range(RangeError::Empty(_)))));
    let odd = space.map(Place::At(VirtAddr(0x1_4001)), 1, RW, Sharing::Private);
    assert_eq!(odd, Err(SpaceError::Range(RangeError::Unaligned(VirtAddr(0x1_4001)))));
    assert_eq!(at(&space, 15, 2), Err(SpaceError::OutsideLimits(pages(15, 2))));
    assert_eq!(at(&space, 999, 2), Err(SpaceError::OutsideLimits(pages(999, 2))));
    assert_eq!(at(&space, 23, 4), Err(SpaceError::Occupied(taken)));
    assert_eq!(at(&space, 16, 50), Err(SpaceError::Occupied(taken)));
    assert_eq!(anywhere(97), Err(SpaceError::TooManyPages { limit: 100 }));
    assert!(anywhere(u64::MAX).is_err());
    for sharing in [Sharing::Private, Sharing::Shared] {
        let wraps = space.map(Place::At(VirtAddr::of_page(20)), 1 << 60, RW, sharing);
        assert!(wraps.is_err());
    }
    assert_eq!(space.areas(), 1);
    anywhere(96).unwrap();
    assert_eq!(anywhere(1), Err(SpaceError::TooManyPages { limit: 100 }));
    space.unmap(pages(20, 4)).unwrap();
    anywhere(4).unwrap();
    Audit::of(&mem).space(&space).check();
}

#[test]
fn a_full_space_has_no_gap() {
    let mem = machine::<Small>(Rules::default(), &[16], Tuning::default());
    let space = space(&mem);
    let map = |count| space.map(Place::Anywhere, count, RW, Sharing::Private);
    assert_eq!(map(16), Err(SpaceError::NoGap { pages: 16 }), "page 0 is out of bounds");
    assert_eq!(map(15), Ok(pages(1, 15)));
    assert_eq!(map(1), Err(SpaceError::NoGap { pages: 1 }));
    space.unmap(pages(3, 2)).unwrap();
    space.unmap(pages(8, 1)).unwrap();
    assert_eq!(map(3), Err(SpaceError::NoGap { pages: 3 }));
    assert_eq!(map(2), Ok(pages(3, 2)));
}

#[test]
fn neighbours_that_are_alike_become_one_area() {
    let mem = machine::<X86_64>(Rules::default(), &[32], Tuning::default());
    let space = space(&mem);
    map(&space, 20, 2, RW);
    map(&space, 24, 2, RW);
    assert_eq!(space.areas(), 2);
    map(&space, 22, 2, RW);
    assert!(space.areas() <= 2, "it grew over the gap");
    map(&space, 18, 2, RW);
    map(&space, 26, 2, RW);
    assert!(space.areas() <= 2);
    map(&space, 28, 2, Prot::READ);
    map_shared(&space, 30, 2);
    map_shared(&space, 32, 2);
    assert!(space.areas() >= 4, "other rights and other objects stay apart");
    for page in (18..28).chain(30..34) {
        store(&space, page, page).unwrap();
    }
    assert!((18..28).all(|page| load(&space, page) == Ok(page)));
    Audit::of(&mem).space(&space).check();
}

#[test]
fn a_hole_splits_an_area_and_filling_it_joins_the_family_again() {
    let mem = machine::<X86_64>(Rules::default(), &[32], Tuning::default());
    let space = space(&mem);
    map(&space, 16, 8, RW);
    for page in 16..24 {
        store(&space, page, page).unwrap();
    }
    space.unmap(pages(19, 2)).unwrap();
    assert_eq!(space.areas(), 2);
    map(&space, 19, 2, RW);
    assert_eq!(space.areas(), 1);
    let values: std::vec::Vec<_> = (16..24).map(|page| load(&space, page).unwrap()).collect();
    assert_eq!(values, [16, 17, 18, 0, 0, 21, 22, 23]);
    Audit::of(&mem).space(&space).check();
}

#[test]
fn rights_that_change_and_change_back_leave_one_area() {
    let mem = machine::<X86_64>(Rules::default(), &[32], Tuning::default());
    let space = space(&mem);
    map(&space, 16, 8, RW);
    space.protect(pages(18, 2), Prot::READ).unwrap();
    assert_eq!(space.areas(), 3);
    space.protect(pages(16, 3), Prot::READ).unwrap();
    assert_eq!(space.areas(), 2);
    space.protect(pages(16, 8), RW).unwrap();
    assert_eq!(space.areas(), 1);
    for advice in [Advice::DontFork, Advice::WipeOnFork] {
        space.advise(pages(20, 1), advice).unwrap();
    }
    assert_eq!(space.areas(), 3);
    for advice in [Advice::DoFork, Advice::KeepOnFork] {
        space.advise(pages(16, 8), advice).unwrap();
    }
    assert_eq!(space.areas(), 1);
    assert!(space.protect(pages(24, 2), Prot::READ).is_err());
    assert_eq!(space.areas(), 1, "a refused change splits nothing");
}

#[test]
fn an_area_that_ends_among_the_pages_of_a_huge_entry_splits_it() {
    let tuning = Tuning { folios_advised: 1 << 2, ..Tuning::default() };
    let mem = machine::<Small>(Rules::default(), &[40], tuning);
    let space = space(&mem);
    map(&space, 4, 8, RW);
    space.advise(pages(4, 8), Advice::HugePage).unwrap();
    for page in [4, 8] {
        store(&space, page, page).unwrap();
    }
    let splits = |first, count, advice| {
        let advised = || space.advise(pages(first, count), advice).unwrap();
        let ((), events) = mem.platform().record(advised);
        events.iter().filter(|kind| matches!(kind, EventKind::HugeSplit { .. })).count()
    };
    assert_eq!(splits(4, 4, Advice::DontFork), 0, "a table ends there as well");
    assert_eq!(splits(5, 2, Advice::DoFork), 1);
    assert_eq!(splits(6, 4, Advice::DontFork), 1, "the first one is split already");
    assert_eq!((load(&space, 4), load(&space, 8), load(&space, 9)), (Ok(4), Ok(8), Ok(0)));
    let head = lab::large_folio(mem.frames(), space.entry(VirtAddr::of_page(9)).pfn()).unwrap();
    assert_eq!(head.pages, 4, "the folio is whole");
    Audit::of(&mem).space(&space).check();
}

#[test]
fn an_address_past_the_format_is_not_a_lower_one_in_disguise() {
    let mem = machine::<Small>(Rules::default(), &[16, 16], Tuning::default());
    let space = space(&mem);
    map(&space, 5, 1, RW);
    store(&space, 5, 1).unwrap();
    let alias = VirtAddr::of_page(5 + Small::PAGES);
    assert!(space.entry(alias).is_none());
    assert!(!space.is_mapped(alias));
    let moved = space.migrate(pages(5 + Small::PAGES, 1), NodeId(1));
    assert_eq!((moved.moved, moved.failed), (0, 0));
    assert_eq!(space.numa_scan(pages(5 + Small::PAGES, 1)), 0);
}

#[test]
fn migrating_or_scanning_all_of_a_large_space_looks_at_what_is_there_only() {
    let mem = machine::<X86_64>(Rules::default(), &[16, 16], Tuning::default());
    let space = space(&mem);
    map(&space, 1 << 20, 1 << 34, RW);
    store(&space, 1 << 21, 1).unwrap();
    store(&space, 1 << 34, 1).unwrap();
    let all = pages(1, (1 << 51) - 1);
    assert_eq!(space.numa_scan(all), 2);
    assert_eq!(space.migrate(all, NodeId(1)).moved, 2);
    Audit::of(&mem).space(&space).check();
}

#[test]
fn a_page_of_shared_memory_is_found_where_no_entry_maps_it() {
    let mem = machine::<X86_64>(Rules::default(), &[32], Tuning::default());
    let space = space(&mem);
    map(&space, 16, 1, RW);
    map_shared(&space, 32, 2);
    store(&space, 16, 1).unwrap();
    let page = store(&space, 33, 1).unwrap();
    let child = space.fork().unwrap();
    let at = |page| lab::shared_page(&child, VirtAddr::of_page(page));
    assert!(child.entry(VirtAddr::of_page(33)).is_none(), "nobody has touched it here");
    assert_eq!((at(33), at(32), at(16), at(40)), (Some(page), None, None, None));
}

#[test]
fn account_reports_every_frame_once_for_each_reason() {
    let mem = machine::<X86_64>(Rules::default(), &[32], Tuning::default());
    let space = space(&mem);
    map(&space, 16, 2, RW);
    store(&space, 16, 1).unwrap();
    load(&space, 17).unwrap();
    map_shared(&space, 32, 2);
    store(&space, 32, 1).unwrap();
    let (mut tables, mut mappings, mut objects) = (0, 0, 0);
    lab::account(&space, |_, holder| match holder {
        Holder::Table => tables += 1,
        Holder::Mapping | Holder::LockedMapping => mappings += 1,
        Holder::Object(_) => objects += 1,
    });
    assert_eq!(
        (tables, mappings, objects),
        (4, 2, 1),
        "the root is a table too; the zero page is nobody's"
    );
}

#[test]
fn after_exit_the_machine_is_as_it_was_and_nothing_holds_it() {
    for text in crate::rules::PRESETS {
        let mem = machine::<X86_64>(crate::testing::rules(text), &[64], Tuning::default());
        let free = mem.frames().total_free();
        let parent = space(&mem);
        map(&parent, 16, 4, RW);
        map_shared(&parent, 600, 2);
        store(&parent, 16, 1).unwrap();
        store(&parent, 601, 1).unwrap();
        let child = parent.fork().unwrap();
        let grandchild = child.fork().unwrap();
        store(&child, 16, 2).unwrap();
        drop(parent);
        assert_eq!((load(&child, 16), load(&grandchild, 16)), (Ok(2), Ok(1)));
        drop((child, grandchild));
        assert_eq!(mem.frames().total_free(), free, "{text}");
        Audit::of(&mem).check();
        let life = Arc::downgrade(&mem.platform().life());
        drop(mem);
        assert!(life.upgrade().is_none(), "{text}");
    }
}

#[test]
fn an_abandoned_space_touches_no_frame_and_keeps_nothing_alive() {
    let mem = machine::<X86_64>(Rules::default(), &[64], Tuning::default());
    let parent = space(&mem);
    map(&parent, 16, 4, RW);
    map_shared(&parent, 32, 1);
    store(&parent, 16, 1).unwrap();
    store(&parent, 32, 1).unwrap();
    parent.unmap(pages(17, 1)).unwrap();
    let child = parent.fork().unwrap();
    let free = mem.frames().total_free();
    // SAFETY: the machine is thrown away with them.
    unsafe {
        lab::abandon(parent);
        lab::abandon(child);
    }
    assert_eq!(mem.frames().total_free(), free);
    let life = Arc::downgrade(&mem.platform().life());
    drop(mem);
    assert!(life.upgrade().is_none(), "a space that was thrown away still holds the machine");
}

#[test]
fn a_family_keeps_none_of_its_members_alive() {
    let mem = machine::<X86_64>(Rules::default(), &[32], Tuning::default());
    let parent = space(&mem);
    map(&parent, 16, 2, RW);
    store(&parent, 16, 1).unwrap();
    let life = Arc::downgrade(&mem.platform().life());
    let child = parent.fork().unwrap();
    // Without exit, as if the owners had been forgotten: both are still listed as members.
    drop((parent.into_inner(), child.into_inner(), mem));
    assert!(life.upgrade().is_none());
}
