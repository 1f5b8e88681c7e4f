use crate::testing::{
    Audit, Mem, Space, device_write, load, machine, map, map_shared, pages, space, store,
};
use crate::{
    Access, AddressSpace, Advice, EventKind, Limits, Place, Prot, Remap, Rules, Sharing, Small,
    SpaceError, Term, Tuning, VirtAddr, VirtRange,
};

const RW: Prot = Prot::READ_WRITE;

fn small() -> (Mem<Small>, Space<Small>) {
    let mem = machine::<Small>(Rules::default(), &[32], Tuning::default());
    let space = space(&mem);
    (mem, space)
}

/// A space that may have `areas` areas, with its machine.
fn of_few(areas: usize) -> (Mem<Small>, Space<Small>) {
    let mem = machine::<Small>(Rules::default(), &[32], Tuning::default());
    let limits = Limits { areas, ..Limits::of_format::<Small>() };
    let space = AddressSpace::new(&mem, limits).unwrap();
    (mem, space)
}

fn replace(
    space: &Space<Small>,
    first: u64,
    count: u64,
    prot: Prot,
    sharing: Sharing,
) -> Result<VirtRange, SpaceError> {
    space.map(Place::Replace(VirtAddr::of_page(first)), count, prot, sharing)
}

fn fill(space: &Space<Small>, range: VirtRange) {
    for page in range.iter() {
        store(space, page.0, page.0).unwrap();
    }
}

fn found(space: &Space<Small>, pages: impl Iterator<Item = u64>) -> std::vec::Vec<u64> {
    pages.map(|page| load(space, page).unwrap()).collect()
}

#[test]
fn a_replacement_takes_the_place_of_what_is_there() {
    for sharing in [Sharing::Private, Sharing::Shared] {
        for prot in [RW, Prot::READ] {
            let (mem, space) = small();
            fill(&space, map(&space, 1, 6, RW));
            map_shared(&space, 8, 2);
            assert_eq!(replace(&space, 3, 6, prot, sharing), Ok(pages(3, 6)));
            assert_eq!(found(&space, 1..10), [1, 2, 0, 0, 0, 0, 0, 0, 0]);
            assert_eq!(store(&space, 4, 9).is_ok(), prot == RW, "the new protection counts");
            Audit::of(&mem).space(&space).check();
            drop(space);
            Audit::of(&mem).check();
        }
    }
}

#[test]
fn a_replacement_in_a_gap_is_an_ordinary_mapping() {
    let (mem, space) = small();
    assert_eq!(replace(&space, 3, 2, RW, Sharing::Private), Ok(pages(3, 2)));
    assert_eq!(replace(&space, 5, 2, RW, Sharing::Private), Ok(pages(5, 2)));
    assert_eq!(space.areas(), 1, "it grew over the gap");
    fill(&space, pages(3, 4));
    Audit::of(&mem).space(&space).check();
}

#[test]
fn a_replacement_of_the_same_kind_joins_its_neighbours_again() {
    let (mem, space) = small();
    fill(&space, map(&space, 1, 6, RW));
    replace(&space, 3, 2, RW, Sharing::Private).unwrap();
    assert_eq!(space.areas(), 1);
    assert_eq!(found(&space, 1..7), [1, 2, 0, 0, 5, 6]);
    replace(&space, 1, 6, RW, Sharing::Private).unwrap();
    assert_eq!((space.areas(), found(&space, 1..7)), (1, std::vec![0; 6]));
    Audit::of(&mem).space(&space).check();
}

/// Without replacement the place must be free, whatever is there.
#[test]
fn without_replacement_an_occupied_place_is_refused() {
    let (_, space) = small();
    fill(&space, map(&space, 4, 2, RW));
    let refused = space.map(Place::At(VirtAddr::of_page(3)), 2, RW, Sharing::Private);
    assert_eq!(refused, Err(SpaceError::Occupied(pages(4, 2))));
    assert_eq!(load(&space, 4), Ok(4));
}

#[test]
fn a_replaced_page_stays_with_the_device_that_has_it_pinned() {
    let (mem, space) = small();
    fill(&space, map(&space, 1, 2, RW));
    let pins = space.pin(pages(1, 2), Access::Write, Term::Long).unwrap();
    replace(&space, 1, 2, RW, Sharing::Private).unwrap();
    device_write(&mem, pins.pages()[0], 7);
    assert_eq!(load(&space, 1), Ok(0));
    store(&space, 1, 8).unwrap();
    assert_ne!(space.entry(VirtAddr::of_page(1)).pfn(), pins.pages()[0]);
    Audit::of(&mem).space(&space).pins(pins.pages()).check();
}

/// The old frames are free only after the flush, and both come before the call returns.
#[test]
fn inv_map_2_a_replacement_flushes_before_it_frees() {
    let (mem, space) = small();
    fill(&space, map(&space, 1, 2, RW));
    let before = mem.platform().host.flushes();
    let (done, events) = mem.platform().record(|| replace(&space, 1, 2, RW, Sharing::Shared));
    done.unwrap();
    assert!(mem.platform().host.flushes() > before);
    let place = |wanted: fn(&EventKind) -> bool| events.iter().position(wanted).unwrap();
    let zapped = place(|event| matches!(event, EventKind::Zapped(_)));
    assert!(zapped < place(|event| matches!(event, EventKind::Freed(_))));
    Audit::of(&mem).space(&space).check();
}

#[test]
fn inv_map_1_a_refused_replacement_leaves_what_was_there() {
    let mem = machine::<Small>(Rules::default(), &[32], Tuning::default());
    let limits = Limits { pages: 6, ..Limits::of_format::<Small>() };
    let space = AddressSpace::new(&mem, limits).unwrap();
    fill(&space, map(&space, 1, 6, RW));
    assert_eq!(replace(&space, 3, 4, RW, Sharing::Shared), Ok(pages(3, 4)), "no page more");
    fill(&space, pages(3, 4));
    let refused = [
        (replace(&space, 5, 3, RW, Sharing::Shared), SpaceError::TooManyPages { limit: 6 }),
        (replace(&space, 14, 2, RW, Sharing::Private), SpaceError::TooManyPages { limit: 6 }),
        (replace(&space, 0, 2, RW, Sharing::Private), SpaceError::OutsideLimits(pages(0, 2))),
    ];
    for (result, error) in refused {
        assert_eq!(result, Err(error));
    }
    assert!(replace(&space, 3, 0, RW, Sharing::Private).is_err());
    assert!(replace(&space, 3, u64::MAX, RW, Sharing::Private).is_err());
    assert_eq!(found(&space, 1..7), [1, 2, 3, 4, 5, 6]);
    Audit::of(&mem).space(&space).check();
}

/// Whoever holds the address space's lock finds the range mapped, before and after.
#[test]
fn no_thread_finds_the_range_free() {
    let (mem, space) = small();
    map(&space, 1, 2, RW);
    std::thread::scope(|threads| {
        threads.spawn(|| {
            for round in 0..200 {
                let sharing = if round % 2 == 0 { Sharing::Shared } else { Sharing::Private };
                replace(&space, 1, 2, RW, sharing).unwrap();
            }
        });
        threads.spawn(|| {
            for round in 1..200 {
                store(&space, 2, round).unwrap();
                load(&space, 1).unwrap();
            }
        });
    });
    Audit::of(&mem).space(&space).check();
}

#[test]
fn the_limit_on_areas_refuses_one_more_and_changes_nothing() {
    let (mem, space) = of_few(3);
    fill(&space, map(&space, 1, 5, RW));
    map(&space, 8, 2, Prot::READ);
    let full = Err(SpaceError::TooManyAreas { limit: 3 });
    assert_eq!(space.protect(pages(2, 2), Prot::READ), full, "two parts more");
    assert_eq!(space.advise(pages(2, 2), Advice::DontFork), full);
    assert_eq!(space.areas(), 2);
    space.unmap(pages(3, 1)).unwrap();
    assert_eq!(space.areas(), 3);
    let new = space.map(Place::Anywhere, 1, Prot::empty(), Sharing::Private);
    assert_eq!(new.map(drop), full);
    assert_eq!(space.map(Place::Lowest, 1, RW, Sharing::Shared).map(drop), full);
    assert_eq!(space.protect(pages(5, 1), Prot::READ), full);
    assert_eq!(space.advise(pages(5, 1), Advice::WipeOnFork), full);
    assert_eq!(replace(&space, 8, 1, RW, Sharing::Shared).map(drop), full);
    assert_eq!(space.remap(pages(5, 1), 1, Remap::MayMove), Ok(pages(5, 1)), "nothing to do");
    let away = Remap::To(VirtAddr::of_page(12));
    assert_eq!(space.remap(pages(5, 1), 1, away).map(drop), full);
    assert_eq!(space.areas(), 3);
    assert_eq!(found(&space, [1, 2, 4, 5].into_iter()), [1, 2, 4, 5]);
    Audit::of(&mem).space(&space).check();
}

#[test]
fn what_adds_no_area_works_at_the_limit() {
    let (mem, space) = of_few(2);
    fill(&space, map(&space, 1, 4, RW));
    map(&space, 8, 3, Prot::READ);
    map(&space, 5, 1, RW);
    assert_eq!(space.areas(), 2, "it grew");
    space.protect(pages(1, 5), Prot::READ).unwrap();
    space.protect(pages(1, 5), RW).unwrap();
    space.unmap(pages(4, 2)).unwrap();
    replace(&space, 8, 3, RW, Sharing::Shared).unwrap();
    assert_eq!(space.unmap(pages(9, 1)), Err(SpaceError::TooManyAreas { limit: 2 }), "a hole");
    space.unmap(pages(1, 8)).unwrap();
    assert_eq!((space.areas(), space.fork().unwrap().areas()), (1, 1));
    Audit::of(&mem).space(&space).check();
}

/// The sum over all ways to cut: the limit holds, and what it refuses is as it was.
#[test]
fn no_way_to_split_passes_the_limit() {
    for limit in 1..6 {
        let (mem, space) = of_few(limit);
        fill(&space, map(&space, 1, 12, RW));
        for page in 1..13 {
            let before = space.areas();
            let done = match page % 3 {
                0 => space.protect(pages(page, 1), Prot::READ),
                1 => space.advise(pages(page, 1), Advice::DontFork),
                _ => space.unmap(pages(page, 1)),
            };
            assert!(space.areas() <= limit);
            assert!(done.is_ok() || space.areas() == before);
        }
        Audit::of(&mem).space(&space).check();
    }
}
