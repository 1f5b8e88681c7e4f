//! What is in memory, and what is not.

use crate::testing::{
    Audit, Disk, Mem, Space, load, machine, map, map_file, map_shared, pages, rules, space, store,
};
use crate::{
    Access, Advice, File, FileSharing, Place, Prot, Reclaimer, Small, SpaceError, SwapWrites, Term,
    Tuning, VirtAddr,
};
use std::boxed::Box;
use std::vec::Vec;

const RW: Prot = Prot::READ_WRITE;

fn world() -> (Mem<Small>, Space<Small>) {
    let mem = machine(rules("pinfold"), &[48], Tuning::default());
    mem.swap_on(Box::new(Disk::default()), 8, SwapWrites::Any).unwrap();
    let space = space(&mem);
    (mem, space)
}

fn resident(space: &Space<Small>, first: u64, count: u64) -> (Vec<bool>, Result<(), SpaceError>) {
    let mut told = Vec::new();
    let done = space.resident(pages(first, count), |is| told.push(is));
    (told, done)
}

#[test]
fn pages_on_a_device_and_untouched_ones_are_not_in_memory() {
    let (mem, space) = world();
    map(&space, 4, 6, RW);
    store(&space, 4, 1).unwrap();
    load(&space, 5).unwrap();
    store(&space, 6, 1).unwrap();
    store(&space, 7, 1).unwrap();
    store(&space, 8, 1).unwrap();
    let out = |page| space.page_out(pages(page, 1), Reclaimer::Pressure);
    assert_eq!(out(6).freed, 1);
    let held = space.get(pages(7, 1), Access::Write).unwrap();
    assert_eq!((out(7).kept, space.entry(VirtAddr::of_page(7)).is_mapped()), (1, false));
    space.protect(pages(8, 1), Prot::empty()).unwrap();
    // The zero page counts, and so do what is in the swap cache and what may not be accessed.
    let told = [true, true, false, true, true, false];
    assert_eq!(resident(&space, 4, 6), (told.to_vec(), Ok(())));
    Audit::of(&mem).space(&space).gets(held.pages()).check();
    load(&space, 6).unwrap();
    assert_eq!(resident(&space, 6, 1), (Vec::from([true]), Ok(())));
    space.advise(pages(6, 1), Advice::DontNeed).unwrap();
    assert_eq!(resident(&space, 6, 1), (Vec::from([false]), Ok(())));
}

#[test]
fn a_hole_ends_what_is_told() {
    let (_mem, space) = world();
    map(&space, 4, 2, RW);
    map(&space, 7, 1, RW);
    store(&space, 5, 1).unwrap();
    store(&space, 7, 1).unwrap();
    let hole = |page| Err(SpaceError::NotMapped(VirtAddr::of_page(page)));
    assert_eq!(resident(&space, 4, 4), (Vec::from([false, true]), hole(6)));
    assert_eq!(resident(&space, 6, 2), (Vec::new(), hole(6)));
    let outside = space.resident(pages(0, 1), |_| ());
    assert_eq!(outside, Err(SpaceError::OutsideLimits(pages(0, 1))));
}

#[test]
fn pages_of_objects_are_in_memory_for_all_who_map_them() {
    let (mem, space) = world();
    map_shared(&space, 4, 2);
    store(&space, 4, 1).unwrap();
    let child = space.fork().unwrap();
    assert_eq!(resident(&child, 4, 2), (Vec::from([true, false]), Ok(())));
    let file = File::new(&mem, 2, Box::new(Disk::default())).unwrap();
    map_file(&space, 8, file.run(0..2), FileSharing::Private);
    assert_eq!(resident(&space, 8, 2), (Vec::from([false, false]), Ok(())));
    load(&space, 9).unwrap();
    assert_eq!(resident(&space, 8, 2), (Vec::from([false, true]), Ok(())));
}

#[test]
fn every_part_of_a_huge_page_is_in_memory_and_a_page_that_was_taken_is_not() {
    let (mem, space) = world();
    assert_eq!(mem.hugetlb_pool(1), 1);
    space.map_hugetlb(Place::At(VirtAddr::of_page(4)), 4, RW).unwrap();
    assert_eq!(resident(&space, 4, 4).0, [false; 4]);
    store(&space, 5, 1).unwrap();
    let pins = space.pin(pages(5, 1), Access::Read, Term::Long).unwrap();
    drop(pins);
    let child = space.fork().unwrap();
    assert_eq!(resident(&child, 4, 4).0, [true; 4]);
    // The only page there is: the owner's copy takes it from the child.
    let gone = store(&space, 4, 2);
    if gone.is_ok() && !child.entry(VirtAddr::of_page(4)).is_mapped() {
        assert_eq!(resident(&child, 4, 4).0, [false; 4]);
    }
    assert_eq!(resident(&space, 4, 4).0, [true; 4]);
}
