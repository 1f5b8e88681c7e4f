use crate::testing::{
    Audit, Disk, Mem, Space, device_write, load, machine, map, map_file, map_shared, pages, space,
    store,
};
use crate::{
    Access, EventKind, FileSharing, NodeId, Prot, Remap, Rules, Small, SpaceError, Term, Tuning,
    VirtAddr, VirtRange, X86_64,
};

const RW: Prot = Prot::READ_WRITE;

fn small() -> (Mem<Small>, Space<Small>) {
    let mem = machine::<Small>(Rules::default(), &[32, 32], Tuning::default());
    let space = space(&mem);
    (mem, space)
}

fn to(page: u64) -> Remap {
    Remap::To(VirtAddr::of_page(page))
}

/// Stores its own number in each page.
fn fill(space: &Space<Small>, range: VirtRange) {
    for page in range.iter() {
        store(space, page.0, page.0).unwrap();
    }
}

#[test]
fn pages_move_with_their_mapping() {
    let (mem, space) = small();
    fill(&space, map(&space, 1, 3, RW));
    assert_eq!(space.remap(pages(1, 3), 3, to(9)), Ok(pages(9, 3)));
    for page in 1..4 {
        assert!(load(&space, page).is_err(), "nothing is left at {page}");
        assert_eq!(load(&space, page + 8), Ok(page));
    }
    Audit::of(&mem).space(&space).check();
    drop(space);
    Audit::of(&mem).check();
}

#[test]
fn a_part_moves_out_of_the_middle() {
    let (mem, space) = small();
    fill(&space, map(&space, 1, 5, RW));
    assert_eq!(space.remap(pages(3, 1), 1, to(12)), Ok(pages(12, 1)));
    let found: std::vec::Vec<_> = [1, 2, 4, 5, 12].map(|page| load(&space, page)).into();
    assert_eq!(found, [Ok(1), Ok(2), Ok(4), Ok(5), Ok(3)]);
    assert!(!space.is_mapped(VirtAddr::of_page(3)));
    Audit::of(&mem).space(&space).check();
}

#[test]
fn a_mapping_grows_in_place_and_moves_where_it_cannot() {
    let (mem, space) = small();
    fill(&space, map(&space, 1, 2, RW));
    assert_eq!(space.remap(pages(1, 2), 4, Remap::InPlace), Ok(pages(1, 4)));
    assert_eq!((load(&space, 2), load(&space, 4)), (Ok(2), Ok(0)));
    map(&space, 5, 1, Prot::READ);
    let full = space.remap(pages(1, 4), 5, Remap::InPlace);
    assert_eq!(full, Err(SpaceError::NoGap { pages: 5 }));
    let moved = space.remap(pages(1, 4), 5, Remap::MayMove).unwrap();
    assert_eq!((moved.pages(), load(&space, moved.first_page().0 + 1)), (5, Ok(2)));
    assert!(!space.is_mapped(VirtAddr::of_page(1)));
    let end = moved.first_page() + 2;
    assert_eq!(
        space.remap(moved, 2, Remap::InPlace),
        Ok(VirtRange::of_pages(moved.first_page(), end))
    );
    assert!(!space.is_mapped(end.start()), "the tail is gone");
    Audit::of(&mem).space(&space).check();
}

#[test]
fn what_is_in_the_place_goes() {
    let (mem, space) = small();
    fill(&space, map(&space, 1, 2, RW));
    fill(&space, map(&space, 8, 4, Prot::READ_WRITE));
    assert_eq!(space.remap(pages(1, 2), 2, to(9)), Ok(pages(9, 2)));
    let found: std::vec::Vec<_> = [8, 9, 10, 11].map(|page| load(&space, page)).into();
    assert_eq!(found, [Ok(8), Ok(1), Ok(2), Ok(11)]);
    Audit::of(&mem).space(&space).check();
}

#[test]
fn a_mapping_that_is_kept_is_empty() {
    let (mem, space) = small();
    fill(&space, map(&space, 1, 2, RW));
    let moved = space.remap(pages(1, 2), 2, Remap::Keep).unwrap();
    assert_eq!(load(&space, moved.first_page().0), Ok(1));
    assert_eq!(load(&space, 1), Ok(0));
    store(&space, 1, 9).unwrap();
    assert_eq!(load(&space, moved.first_page().0), Ok(1), "two pages now");
    Audit::of(&mem).space(&space).check();
}

#[test]
fn a_refused_remap_says_why_and_changes_nothing() {
    let (mem, space) = small();
    fill(&space, map(&space, 1, 2, RW));
    map(&space, 3, 1, Prot::READ);
    map_shared(&space, 5, 2);
    let refused = [
        (space.remap(pages(1, 3), 3, to(9)), SpaceError::NotOneMapping(pages(1, 3))),
        (space.remap(pages(1, 2), 2, to(2)), SpaceError::Overlaps(pages(2, 2))),
        (space.remap(pages(1, 2), 3, Remap::Keep), SpaceError::SizeChanges { pages: 3 }),
        (space.remap(pages(8, 1), 1, to(9)), SpaceError::NotMapped(VirtAddr::of_page(8))),
        (space.remap(pages(1, 2), 2, to(15)), SpaceError::OutsideLimits(pages(15, 2))),
        (space.remap(pages(1, 2), 14, Remap::MayMove), SpaceError::NoGap { pages: 14 }),
    ];
    for (result, error) in refused {
        assert_eq!(result, Err(error));
    }
    assert!(space.remap(pages(1, 2), 0, Remap::MayMove).is_err());
    assert_eq!((load(&space, 1), load(&space, 2)), (Ok(1), Ok(2)));
    Audit::of(&mem).space(&space).check();
}

#[test]
fn a_pinned_page_moves_with_its_owner() {
    let (mem, space) = small();
    map(&space, 1, 1, RW);
    store(&space, 1, 1).unwrap();
    let pins = space.pin(pages(1, 1), Access::Write, Term::Long).unwrap();
    space.remap(pages(1, 1), 1, to(9)).unwrap();
    device_write(&mem, pins.pages()[0], 7);
    assert_eq!(load(&space, 9), Ok(7));
    store(&space, 9, 8).unwrap();
    assert_eq!(space.entry(VirtAddr::of_page(9)).pfn(), pins.pages()[0]);
    Audit::of(&mem).space(&space).pins(pins.pages()).check();
}

#[test]
fn inv_remap_1_pages_are_found_where_they_went() {
    let (mem, space) = small();
    fill(&space, map(&space, 1, 3, RW));
    space.remap(pages(2, 1), 1, to(9)).unwrap();
    let child = space.fork().unwrap();
    space.remap(pages(9, 1), 1, to(12)).unwrap();
    store(&child, 3, 33).unwrap();
    for (range, moved) in [(pages(12, 1), 1), (pages(1, 1), 1), (pages(3, 1), 1)] {
        assert_eq!(space.migrate(range, NodeId(1)).moved, moved, "{range}");
    }
    assert_eq!((load(&space, 12), load(&child, 9)), (Ok(2), Ok(2)));
    let place = |space: &Space<Small>, page| space.entry(VirtAddr::of_page(page)).pfn();
    assert_eq!(place(&space, 12), place(&child, 9), "both entries followed the page");
    Audit::of(&mem).space(&space).space(&child).check();
}

#[test]
fn a_file_is_found_where_it_went() {
    let (mem, space) = small();
    let disk = Disk::default();
    let file = disk.file(&mem, 2);
    let range = map_file(&space, 1, file.run(0..2), FileSharing::Shared);
    store(&space, 2, 5).unwrap();
    space.remap(range, 2, to(9)).unwrap();
    assert_eq!(space.sync(pages(9, 2)), Ok(1));
    assert_eq!((disk.written(), disk.page(1)), (std::vec![1], 5));
    assert!(!space.entry(VirtAddr::of_page(10)).is_dirty(), "the entry was cleaned");
    Audit::of(&mem).space(&space).check();
}

/// The old address is flushed under the tables' locks, or, as before 4.19, when all is over.
#[test]
fn inv_remap_2_the_old_address_is_flushed_in_time() {
    for (rule, before) in [("under-lock", true), ("after-locks", false)] {
        let set = crate::testing::rules(&std::format!("latest,remap-flush={rule}"));
        let mem = machine::<X86_64>(set, &[64], Tuning::default());
        let space = space(&mem);
        // Two runs: what lies in the first table of the target is flushed before the second.
        let range = map(&space, 510, 4, RW);
        for page in range.iter() {
            store(&space, page.0, 1).unwrap();
        }
        let flushes = || mem.platform().host.flushes();
        let at_start = flushes();
        let ((), events) = mem.platform().record(|| {
            space.remap(range, 4, Remap::To(VirtAddr::of_page(2046))).unwrap();
        });
        assert_eq!(events.iter().filter(|e| matches!(e, EventKind::Remapped { .. })).count(), 4);
        let count = flushes() - at_start;
        assert_eq!(count > 2, before, "{rule}: {count} flushes");
    }
}

/// Another part of the mapping was moved down: for its pages the walk comes to numbers before the
/// first page.
#[test]
fn a_page_moves_whose_place_in_an_area_moved_down_would_lie_before_the_first() {
    let (mem, space) = small();
    fill(&space, map(&space, 1, 13, RW));
    space.remap(pages(11, 1), 1, to(4)).unwrap();
    for page in [1, 3, 4, 6, 13] {
        let value = load(&space, page);
        assert_eq!(space.migrate(pages(page, 1), NodeId(1)).moved, 1, "page {page}");
        assert_eq!(load(&space, page), value);
    }
    Audit::of(&mem).space(&space).check();
}
