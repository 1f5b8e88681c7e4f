//! What is locked, what counts it, and when that ends.

mod lists;

use crate::event::Bug;
use crate::testing::{
    Audit, Disk, Mem, Space, load, machine, map, map_file, map_shared, pages, rules, space, store,
};
use crate::{
    Access, Advice, FaultError, FileSharing, Limits, LockError, NodeId, Place, Prot, Remap, Rules,
    Sharing, Small, SpaceError, Term, Tuning, VirtAddr, X86_64, lab,
};

const RW: Prot = Prot::READ_WRITE;

fn world() -> (Mem<Small>, Space<Small>) {
    let mem = machine::<Small>(Rules::default(), &[48, 48], Tuning::default());
    let space = space(&mem);
    (mem, space)
}

/// How many locked entries the page at `page` counts.
fn locks(space: &Space<Small>, page: u64) -> u32 {
    let pfn = space.walk(VirtAddr::of_page(page)).pfn();
    lab::locked_mappings(space.memory().frames(), pfn)
}

#[test]
fn locked_pages_are_there_at_once_and_counted_until_they_are_unlocked() {
    let (mem, space) = world();
    map(&space, 1, 4, RW);
    store(&space, 2, 7).unwrap();
    space.mlock(pages(1, 3)).unwrap();
    for page in 1..4 {
        assert!(space.walk(VirtAddr::of_page(page)).is_writable(), "page {page} is populated");
        assert_eq!(locks(&space, page), 1);
    }
    assert!(space.walk(VirtAddr::of_page(4)).is_none());
    assert_eq!((space.areas(), space.mlocked_pages()), (2, 3));
    // A second lock is the same lock.
    space.mlock(pages(2, 3)).unwrap();
    assert_eq!((space.areas(), space.mlocked_pages(), locks(&space, 2)), (1, 4, 1));
    space.munlock(pages(2, 1)).unwrap();
    assert_eq!((space.areas(), space.mlocked_pages(), locks(&space, 2)), (3, 3, 0));
    Audit::of(&mem).space(&space).check();
    space.munlock(pages(1, 4)).unwrap();
    assert_eq!((space.areas(), space.mlocked_pages(), load(&space, 2)), (1, 0, Ok(7)));
    Audit::of(&mem).space(&space).check();
}

#[test]
fn memory_that_may_only_be_read_is_populated_for_reading_and_the_zero_page_counts_nothing() {
    let (mem, space) = world();
    map(&space, 1, 2, Prot::READ);
    space.mlock(pages(1, 2)).unwrap();
    let entry = space.walk(VirtAddr::of_page(1));
    assert!(entry.is_special() && !entry.is_locked());
    // A page that comes later is counted.
    space.protect(pages(1, 2), RW).unwrap();
    store(&space, 1, 5).unwrap();
    assert_eq!(locks(&space, 1), 1);
    map_shared(&space, 8, 1);
    space.mlock(pages(8, 1)).unwrap();
    assert_eq!(locks(&space, 8), 1);
    Audit::of(&mem).space(&space).check();
}

#[test]
fn what_cannot_be_accessed_is_locked_and_not_populated() {
    let (_mem, space) = world();
    map(&space, 1, 1, Prot::empty());
    let error = space.mlock(pages(1, 1)).unwrap_err();
    let LockError::Unpopulated(stopped) = error else { panic!("{error}") };
    assert_eq!(stopped.error, FaultError::Denied(VirtAddr::of_page(1)));
    assert_eq!(space.mlocked_pages(), 1);
    let hole = space.mlock(pages(1, 2)).unwrap_err();
    assert_eq!(hole, LockError::Refused(SpaceError::NotMapped(VirtAddr::of_page(2))));
    assert_eq!(space.munlock(pages(1, 2)), Err(SpaceError::NotMapped(VirtAddr::of_page(2))));
    assert_eq!(space.mlocked_pages(), 0, "what lies before the hole is unlocked");
    assert_eq!(space.munlock(pages(2, 1)), Err(SpaceError::NotMapped(VirtAddr::of_page(2))));
}

#[test]
fn the_limit_counts_pages_that_are_not_locked_yet() {
    let mem = machine::<Small>(Rules::default(), &[48], Tuning::default());
    let limits = Limits { locked: 3, ..Limits::of_format::<Small>() };
    let space = crate::AddressSpace::new(&mem, limits).unwrap();
    map(&space, 1, 6, RW);
    space.mlock(pages(1, 2)).unwrap();
    let refused = LockError::Refused(SpaceError::TooManyLocked { limit: 3 });
    assert_eq!(space.mlock(pages(2, 3)), Err(refused));
    assert_eq!((space.mlocked_pages(), space.areas()), (2, 2), "nothing has changed");
    space.mlock(pages(1, 3)).unwrap();
    // Growing a locked mapping locks more.
    let grown = space.remap(pages(1, 3), 4, Remap::MayMove);
    assert_eq!(grown, Err(SpaceError::TooManyLocked { limit: 3 }));
    space.unmap(pages(1, 1)).unwrap();
    assert_eq!(space.mlocked_pages(), 2);
    space.mlock(pages(6, 1)).unwrap();
    Audit::of(&mem).space(&space).check();
}

#[test]
fn locked_pages_are_not_dropped_by_advice() {
    let (_mem, space) = world();
    map(&space, 1, 3, RW);
    store(&space, 1, 1).unwrap();
    space.mlock(pages(2, 1)).unwrap();
    let locked = SpaceError::Locked(VirtAddr::of_page(2));
    assert_eq!(space.advise(pages(1, 3), Advice::DontNeed), Err(locked));
    assert_eq!(load(&space, 1), Ok(0), "what lies before is gone");
    assert_eq!(space.advise(pages(2, 2), Advice::DontNeed), Err(locked));
    space.munlock(pages(2, 1)).unwrap();
    space.advise(pages(1, 3), Advice::DontNeed).unwrap();
}

#[test]
fn a_child_has_nothing_locked_and_copies_are_counted_where_they_are() {
    for rule in ["5.8", "5.17", "latest"] {
        let mem = machine::<Small>(rules(rule), &[64], Tuning::default());
        let parent = space(&mem);
        map(&parent, 1, 2, RW);
        store(&parent, 1, 1).unwrap();
        store(&parent, 2, 2).unwrap();
        parent.mlock(pages(1, 2)).unwrap();
        let pins = parent.pin(pages(2, 1), Access::Write, Term::Long).unwrap();
        let child = parent.fork().unwrap();
        assert_eq!((child.mlocked_pages(), locks(&parent, 1)), (0, 1));
        Audit::of(&mem).space(&parent).space(&child).pins(pins.pages()).check();
        // The parent gets a copy, and its count with it.
        store(&parent, 1, 3).unwrap();
        store(&child, 1, 4).unwrap();
        assert_eq!((locks(&parent, 1), locks(&child, 1)), (1, 0));
        child.mlock(pages(1, 1)).unwrap();
        Audit::of(&mem).space(&parent).space(&child).pins(pins.pages()).check();
        drop(parent);
        Audit::of(&mem).space(&child).pins(pins.pages()).check();
    }
}

#[test]
fn a_page_that_moves_takes_its_count_along() {
    let (mem, space) = world();
    map(&space, 1, 2, RW);
    space.mlock(pages(1, 2)).unwrap();
    assert_eq!(space.migrate(pages(1, 2), NodeId(1)).moved, 2);
    assert_eq!((locks(&space, 1), locks(&space, 2)), (1, 1));
    assert_eq!(space.numa_scan(pages(1, 2)), 2);
    load(&space, 1).unwrap();
    space.protect(pages(1, 2), Prot::READ).unwrap();
    Audit::of(&mem).space(&space).check();
    let to = space.remap(pages(1, 2), 2, Remap::To(VirtAddr::of_page(9))).unwrap();
    assert_eq!((space.mlocked_pages(), locks(&space, 9)), (2, 1));
    // What stays behind is not locked any more.
    let kept = space.remap(to, 2, Remap::Keep).unwrap();
    assert_eq!(space.mlocked_pages(), 2);
    space.advise(to, Advice::DontNeed).unwrap();
    assert_eq!(locks(&space, kept.first_page().0), 1);
    Audit::of(&mem).space(&space).check();
}

#[test]
fn a_locked_mapping_that_grows_is_populated_and_a_neighbour_does_not_join_it() {
    let (mem, space) = world();
    map(&space, 1, 2, RW);
    space.mlock(pages(1, 2)).unwrap();
    space.remap(pages(1, 2), 4, Remap::InPlace).unwrap();
    assert_eq!((space.mlocked_pages(), locks(&space, 4)), (4, 1));
    map(&space, 5, 1, RW);
    assert_eq!((space.areas(), space.mlocked_pages()), (2, 4));
    Audit::of(&mem).space(&space).check();
}

#[test]
fn a_locked_stack_grows_within_the_limit() {
    let mem = machine::<X86_64>(Rules::default(), &[64], Tuning::default());
    let limits = Limits { locked: 2, stack_gap: 0, ..Limits::of_format::<X86_64>() };
    let space = crate::AddressSpace::new(&mem, limits).unwrap();
    space.map(Place::At(VirtAddr::of_page(32)), 1, RW, Sharing::Stack).unwrap();
    space.mlock(pages(32, 1)).unwrap();
    store(&space, 31, 1).unwrap();
    assert_eq!(space.mlocked_pages(), 2);
    assert!(store(&space, 30, 1).is_err());
    Audit::of(&mem).space(&space).check();
}

/// INV-MLOCK-2, with the mapping taken off at once and late, under each rule.
#[test]
fn unmapping_takes_the_count_off_when_the_rule_says() {
    for zap in ["with-entry", "dirty-after-flush", "when-freed"] {
        for munlock in ["by-walk", "with-mapping", "with-entry", "forgotten"] {
            let set = rules(&std::format!("zap-rmap={zap},zap-munlock={munlock}"));
            let mem = machine::<Small>(set, &[48], Tuning::default());
            let space = space(&mem);
            map(&space, 1, 2, RW);
            let file = Disk::default().file(&mem, 2);
            map_file(&space, 3, file.run(0..2), FileSharing::Shared);
            drop(file);
            space.mlock(pages(1, 4)).unwrap();
            store(&space, 3, 1).unwrap();
            let frames = [1, 3].map(|page| space.walk(VirtAddr::of_page(page)).pfn());
            space.unmap(pages(1, 1)).unwrap();
            space.unmap(pages(3, 1)).unwrap();
            let bugs = mem.platform().bugs();
            if munlock == "forgotten" {
                assert_eq!(bugs, [Bug::FreedWhileLocked(frames[0])], "{zap}");
                continue;
            }
            assert_eq!(bugs, [], "{zap} {munlock}");
            Audit::of(&mem).space(&space).check();
            drop(space);
            Audit::of(&mem).check();
        }
    }
}
