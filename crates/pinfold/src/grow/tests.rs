use crate::testing::{Audit, Mem, Space, load, machine, map, pages, rules, store};
use crate::{
    Access, AddressSpace, FaultError, Limits, LockError, NodeId, PinError, Place, Prot, Rules,
    Sharing, Small, SpaceError, Term, Tuning, VirtAddr, VirtRange,
};

const RW: Prot = Prot::READ_WRITE;

fn of_limits(limits: Limits) -> (Mem<Small>, Space<Small>) {
    let mem = machine::<Small>(Rules::default(), &[32, 32], Tuning::default());
    let space = AddressSpace::new(&mem, limits).unwrap();
    (mem, space)
}

/// Stacks of at most 6 pages, with a gap of 2.
fn small() -> (Mem<Small>, Space<Small>) {
    of_limits(Limits { stack: 6, stack_gap: 2, ..Limits::of_format::<Small>() })
}

fn stack(space: &Space<Small>, first: u64, count: u64) -> VirtRange {
    let place = Place::At(VirtAddr::of_page(first));
    space.map(place, count, RW, Sharing::Stack).unwrap()
}

fn refused(page: u64) -> Result<(), FaultError> {
    Err(FaultError::NotMapped(VirtAddr::of_page(page)))
}

fn write(space: &Space<Small>, page: u64) -> Result<(), FaultError> {
    store(space, page, page).map(drop)
}

#[test]
fn inv_stack_1_a_stack_grows_up_to_its_limit() {
    let (mem, space) = small();
    stack(&space, 12, 2);
    write(&space, 13).unwrap();
    write(&space, 9).unwrap();
    assert_eq!((space.areas(), load(&space, 10), load(&space, 13)), (1, Ok(0), Ok(13)));
    assert_eq!(write(&space, 7), refused(7), "seven pages");
    write(&space, 8).unwrap();
    assert_eq!(write(&space, 14), refused(14), "it does not grow up");
    for page in [8, 9, 13] {
        assert_eq!(space.migrate(pages(page, 1), NodeId(1)).moved, 1, "the reverse map knows it");
        assert_eq!(load(&space, page), Ok(page));
    }
    Audit::of(&mem).space(&space).check();
    drop(space);
    Audit::of(&mem).check();
}

#[test]
fn inv_stack_1_the_gap_below_a_stack_stays_free() {
    for (prot, lowest) in [(RW, 11), (Prot::READ, 11), (Prot::empty(), 9)] {
        let (mem, space) = small();
        map(&space, 8, 1, prot);
        stack(&space, 12, 2);
        for page in (9..12).rev() {
            assert_eq!(write(&space, page).is_ok(), page >= lowest, "{prot} below, page {page}");
        }
        Audit::of(&mem).space(&space).check();
    }
}

#[test]
fn other_areas_do_not_grow_and_a_child_has_a_stack_of_its_own() {
    let (mem, space) = small();
    map(&space, 6, 1, RW);
    assert_eq!(write(&space, 5), refused(5));
    stack(&space, 12, 2);
    write(&space, 13).unwrap();
    let child = space.fork().unwrap();
    write(&child, 11).unwrap();
    assert!(!space.is_mapped(VirtAddr::of_page(11)));
    assert_eq!(load(&child, 13), Ok(13));
    Audit::of(&mem).space(&space).space(&child).check();
}

#[test]
fn inv_stack_2_the_system_keeps_its_distance_from_a_stack() {
    let (_, space) = small();
    stack(&space, 12, 2);
    let anywhere = |place, count| space.map(place, count, Prot::READ, Sharing::Shared);
    assert_eq!(anywhere(Place::Anywhere, 2), Ok(pages(14, 2)));
    assert_eq!(anywhere(Place::Anywhere, 2), Ok(pages(8, 2)));
    assert_eq!(anywhere(Place::Lowest, 7), Ok(pages(1, 7)));
    assert_eq!(anywhere(Place::Lowest, 1), Err(SpaceError::NoGap { pages: 1 }));
    assert!(space.map(Place::At(VirtAddr::of_page(11)), 1, RW, Sharing::Shared).is_ok());
}

#[test]
fn a_stack_that_may_not_have_more_pages_does_not_grow() {
    let limits = Limits { pages: 3, stack_gap: 1, ..Limits::of_format::<Small>() };
    let (mem, space) = of_limits(limits);
    stack(&space, 12, 2);
    write(&space, 11).unwrap();
    assert_eq!(write(&space, 10), refused(10));
    Audit::of(&mem).space(&space).check();
}

/// Facts 2.1: a stack that has grown is copied by fork, also if it never held a page of its own.
#[test]
fn fork_copies_the_entries_of_a_stack_that_has_grown() {
    let (mem, space) = small();
    stack(&space, 12, 2);
    load(&space, 13).unwrap();
    let before = space.fork().unwrap();
    load(&space, 11).unwrap();
    let after = space.fork().unwrap();
    let mapped = |space: &Space<Small>, page| space.walk(VirtAddr::of_page(page)).is_mapped();
    assert_eq!((mapped(&before, 13), mapped(&before, 11)), (false, false));
    assert_eq!((mapped(&after, 13), mapped(&after, 11), mapped(&after, 12)), (true, true, false));
    Audit::of(&mem).space(&space).space(&before).space(&after).check();
}

/// An area becomes longer by a mapping beside it, too, which prepares nothing.
#[test]
fn fork_copies_no_entries_of_an_area_that_a_mapping_has_made_longer() {
    let (mem, space) = small();
    map(&space, 12, 2, RW);
    map(&space, 11, 1, RW);
    map(&space, 14, 1, RW);
    for page in 11..15 {
        load(&space, page).unwrap();
    }
    let child = space.fork().unwrap();
    assert_eq!(space.areas(), 1);
    assert!((11..15).all(|page| !child.walk(VirtAddr::of_page(page)).is_mapped()));
    Audit::of(&mem).space(&space).space(&child).check();
}

/// Facts 3.13: a pin grows a stack as an access does up to 6.4, within the same limits.
#[test]
fn a_pin_below_a_stack_grows_it_where_the_rules_say() {
    for (set, grows) in [("5.8", true), ("6.4", true), ("6.5", false), ("pinfold", false)] {
        let mem = machine::<Small>(rules(set), &[32, 32], Tuning::default());
        let limits = Limits { stack: 6, stack_gap: 2, ..Limits::of_format::<Small>() };
        let space = AddressSpace::new(&mem, limits).unwrap();
        stack(&space, 12, 2);
        let below = |page| Err(PinError::Fault(FaultError::NotMapped(VirtAddr::of_page(page))));
        let pins = space.pin(pages(9, 5), Access::Write, Term::Long);
        if grows {
            let pins = pins.unwrap();
            assert_eq!((space.areas(), pins.pages().len()), (1, 5), "{set}");
            Audit::of(&mem).space(&space).pins(pins.pages()).check();
            write(&space, 8).unwrap();
        } else {
            assert_eq!(pins.map(drop), below(9), "{set}");
            write(&space, 8).unwrap();
        }
        let beyond = space.pin(pages(7, 1), Access::Read, Term::Short);
        assert_eq!(beyond.map(drop), below(7), "{set}: seven pages");
        let above = space.pin(pages(13, 2), Access::Read, Term::Short).unwrap();
        assert!(above.shortfall().is_some(), "{set}: it does not grow up");
        drop(above);
        Audit::of(&mem).space(&space).check();
    }
}

/// Facts 3.13: these look for what is mapped.
#[test]
fn populating_and_locking_grow_no_stack() {
    for set in ["5.8", "pinfold"] {
        let mem = machine::<Small>(rules(set), &[32, 32], Tuning::default());
        let limits = Limits { stack_gap: 2, ..Limits::of_format::<Small>() };
        let space = AddressSpace::new(&mem, limits).unwrap();
        stack(&space, 12, 2);
        let at = VirtAddr::of_page(11);
        let populated = space.populate(pages(11, 2), Access::Write);
        assert_eq!(populated.map_err(|short| short.error), Err(FaultError::NotMapped(at)));
        let hole = SpaceError::NotMapped(at);
        assert_eq!(space.mlock(pages(11, 2)), Err(LockError::Refused(hole)));
        assert!(!space.is_mapped(at));
        Audit::of(&mem).space(&space).check();
    }
}

#[test]
fn two_threads_may_grow_one_stack() {
    for _ in 0..20 {
        let (mem, space) = small();
        stack(&space, 13, 1);
        std::thread::scope(|threads| {
            for first in [0, 1] {
                let space = &space;
                threads.spawn(move || {
                    for page in (9..13).rev().filter(|page| page % 2 == first) {
                        write(space, page).unwrap();
                    }
                });
            }
        });
        assert!((9..13).all(|page| load(&space, page) == Ok(page)));
        Audit::of(&mem).space(&space).check();
    }
}

fn byte(page: u64, offset: u64) -> VirtAddr {
    VirtAddr(VirtAddr::of_page(page).0 + offset)
}

#[test]
fn the_break_grows_and_shrinks_by_bytes() {
    let (mem, space) = small();
    assert_eq!(space.program_break(), None);
    assert!(space.move_break(byte(4, 0)).is_err(), "not placed yet");
    space.place_break(byte(3, 100)).unwrap();
    assert_eq!((space.program_break(), space.areas()), (Some(byte(3, 100)), 0));
    space.move_break(byte(5, 1)).unwrap();
    assert_eq!((write(&space, 3), write(&space, 4)), (refused(3), Ok(())));
    write(&space, 5).unwrap();
    space.move_break(byte(6, 0)).unwrap();
    assert_eq!((write(&space, 6), space.areas()), (refused(6), 1));
    space.move_break(byte(8, 0)).unwrap();
    assert_eq!(space.areas(), 1, "one area");
    let child = space.fork().unwrap();
    space.move_break(byte(4, 7)).unwrap();
    assert_eq!((load(&space, 4), write(&space, 5)), (Ok(4), refused(5)));
    space.move_break(byte(6, 0)).unwrap();
    assert_eq!(load(&space, 5), Ok(0), "new memory");
    assert_eq!((child.program_break(), load(&child, 5)), (Some(byte(8, 0)), Ok(5)));
    space.move_break(byte(3, 100)).unwrap();
    assert_eq!(space.areas(), 0);
    Audit::of(&mem).space(&space).space(&child).check();
}

#[test]
fn inv_break_1_a_refused_break_stays_where_it_was() {
    let (mem, space) = of_limits(Limits { pages: 6, stack_gap: 2, ..Limits::of_format::<Small>() });
    space.place_break(byte(3, 0)).unwrap();
    space.move_break(byte(5, 0)).unwrap();
    map(&space, 8, 1, Prot::READ);
    assert!(matches!(space.move_break(byte(2, 0)), Err(SpaceError::OutsideLimits(_))));
    let occupied = Err(SpaceError::Occupied(pages(8, 1)));
    assert_eq!(space.move_break(byte(8, 0)), occupied, "a page stays free");
    assert_eq!(space.move_break(byte(12, 0)), occupied);
    assert!(space.move_break(VirtAddr(u64::MAX)).is_err());
    space.unmap(pages(8, 1)).unwrap();
    assert_eq!(space.move_break(byte(11, 0)), Err(SpaceError::TooManyPages { limit: 6 }));
    stack(&space, 9, 1);
    assert_eq!(space.move_break(byte(8, 0)), Err(SpaceError::Occupied(pages(9, 1))), "the gap");
    assert_eq!(space.program_break(), Some(byte(5, 0)));
    space.move_break(byte(7, 0)).unwrap();
    Audit::of(&mem).space(&space).check();
}

/// Facts 7.13: what is to go must be there since 6.1.
#[test]
fn the_break_moves_down_over_a_hole_where_the_rules_say() {
    for (set, moves) in [("5.10", true), ("6.0", true), ("6.1", false), ("pinfold", false)] {
        let mem = machine::<Small>(rules(set), &[32, 32], Tuning::default());
        let space = AddressSpace::new(&mem, Limits::of_format::<Small>()).unwrap();
        let at = VirtAddr::of_page;
        space.place_break(at(4)).unwrap();
        space.move_break(at(8)).unwrap();
        space.unmap(pages(6, 2)).unwrap();
        let refused = if moves { Ok(()) } else { Err(SpaceError::NotMapped(at(6))) };
        assert_eq!(space.move_break(at(6)), refused, "{set}");
        assert_eq!(space.program_break(), Some(at(if moves { 6 } else { 8 })), "{set}");
        space.move_break(at(5)).unwrap();
        assert!(space.is_mapped(at(4)) && !space.is_mapped(at(5)), "{set}: part of it is there");
        Audit::of(&mem).space(&space).check();
    }
}
