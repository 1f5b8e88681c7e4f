//! Huge pages of the pool: promises, faults, fork, and what becomes of whom when none is left. Four
//! small pages are a huge one, but in one test.

mod fork;

use std::boxed::Box;

use crate::rules::PRESETS;
use crate::rules::cow::sets_exclusive;
use crate::testing::{
    Audit, Disk, Hardware, Marks, Mem, Outside, Space, device_read, device_write, load, machine,
    machine_of, pages, rules, space, spans, store,
};
use crate::{
    Access, Advice, FaultError, Format, FrameSetup, HugePages, LockError, MoveScope, Moved, NodeId,
    PageStatus, Pfn, Place, Prot, Reclaimed, Reclaimer, Remap, Small, SmallAarch64, SmallRiscv64,
    SpaceError, SplitError, Strict, SwapWrites, Term, Tuning, UffdId, UffdMode, VirtAddr,
    VirtRange, X86_64,
};

const RW: Prot = Prot::READ_WRITE;

/// A machine with a pool of so many pages, and a space in which pages 4 to 11 are two of them.
fn world<F: Hardware>(text: &str, pool: u64) -> (Mem<F>, Space<F>) {
    let mem = machine(rules(text), &[80, 20], Tuning::default());
    assert_eq!(mem.hugetlb_pool(pool), pool, "{text}");
    let space = space(&mem);
    map(&space, 4, 8).unwrap();
    (mem, space)
}

fn at(page: u64) -> VirtAddr {
    VirtAddr::of_page(page)
}

fn map<F: Format>(space: &Space<F>, first: u64, pages: u64) -> Result<VirtRange, SpaceError> {
    space.map_hugetlb(Place::At(at(first)), pages, RW)
}

fn frame<F: Format>(space: &Space<F>, page: u64) -> Pfn {
    space.entry(at(page)).pfn()
}

fn pool<F: Hardware>(mem: &Mem<F>) -> (u64, u64, u64) {
    let HugePages { total, free, reserved } = mem.hugetlb();
    (total, free, reserved)
}

/// Leaves the pool so many free pages.
fn spare<F: Hardware>(mem: &Mem<F>, pages: u64) {
    let HugePages { total, free, .. } = mem.hugetlb();
    assert_eq!(mem.hugetlb_pool(total - free + pages), total - free + pages);
}

fn marks(text: &str) -> bool {
    sets_exclusive(rules(text).pte_cow)
}

#[test]
fn the_pool_grows_and_shrinks_as_far_as_it_can() {
    let mem = machine::<Small>(rules("pinfold"), &[41], Tuning::default());
    let before = mem.frames().total_free();
    assert_eq!((mem.hugetlb_pool(5), mem.frames().total_free()), (5, before - 20));
    Audit::of(&mem).check();
    let most = mem.hugetlb_pool(1000);
    assert!((8..=10).contains(&most), "{most} of 40 frames");
    assert_eq!(pool(&mem), (most, most, 0));
    let user = space(&mem);
    assert_eq!(mem.hugetlb_pool(4), 4);
    map(&user, 4, 12).unwrap();
    store(&user, 4, 1).unwrap();
    assert_eq!((mem.hugetlb_pool(0), pool(&mem)), (3, (3, 2, 2)), "one in use, two promised");
    Audit::of(&mem).space(&user).check();
    drop(user);
    assert_eq!((pool(&mem), mem.hugetlb_pool(0)), ((3, 3, 0), 0));
    assert_eq!(mem.frames().total_free(), before);
    Audit::of(&mem).check();
}

#[test]
fn a_mapping_is_promised_its_pages_until_it_touches_or_unmaps_them() {
    for text in PRESETS {
        let (mem, space) = world::<Small>(text, 2);
        assert_eq!(pool(&mem), (2, 2, 2));
        assert_eq!(map(&space, 12, 4), Err(SpaceError::NoHugePage), "{text}");
        mem.hugetlb_pool(3);
        map(&space, 12, 4).unwrap();
        assert_eq!(pool(&mem), (3, 3, 3));
        store(&space, 5, 1).unwrap();
        assert_eq!(pool(&mem), (3, 2, 2));
        space.unmap(pages(8, 4)).unwrap();
        assert_eq!(pool(&mem), (3, 2, 1));
        space.unmap(pages(4, 4)).unwrap();
        assert_eq!(pool(&mem), (3, 3, 1));
        // In place of what is there, of which nothing is gone if that fails.
        let replace = || space.map_hugetlb(Place::Replace(at(4)), 12, RW);
        assert_eq!(replace(), Err(SpaceError::NoHugePage), "{text}");
        assert_eq!((pool(&mem), load(&space, 12)), ((3, 3, 1), Ok(0)), "{text}");
        mem.hugetlb_pool(4);
        assert_eq!((replace(), pool(&mem)), (Ok(pages(4, 12)), (4, 4, 3)), "{text}");
        Audit::of(&mem).space(&space).check();
        drop(space);
        assert_eq!(pool(&mem), (4, 4, 0));
        Audit::of(&mem).check();
    }
}

fn one_entry_maps_all<F: Hardware>() {
    let (mem, space) = world::<F>("pinfold", 2);
    // A read finds zeros, in a page of its own, which the first write keeps.
    assert_eq!((load(&space, 6), pool(&mem)), (Ok(0), (2, 1, 1)));
    let head = frame(&space, 4);
    assert!(!space.entry(at(4)).is_writable());
    assert!((4..8).all(|page| frame(&space, page) == Pfn(head.0 + page - 4)));
    for page in 4..12 {
        store(&space, page, page).unwrap();
    }
    assert_eq!(frame(&space, 4), head);
    assert!((4..12).all(|page| load(&space, page) == Ok(page)));
    assert_eq!((pool(&mem), mem.stats().cow_copy), ((2, 0, 0), 0));
    Audit::of(&mem).space(&space).check();
}

#[test]
fn one_entry_maps_a_huge_page_in_every_format() {
    one_entry_maps_all::<Small>();
    one_entry_maps_all::<SmallAarch64>();
    one_entry_maps_all::<SmallRiscv64>();
}

#[test]
fn a_huge_page_of_two_megabytes_is_copied_whole() {
    let mem = machine::<X86_64>(rules("latest"), &[2048], Tuning::default());
    assert_eq!(mem.hugetlb_pool(2), 2);
    let parent = space(&mem);
    let range = parent.map_hugetlb(Place::Anywhere, 512, RW).unwrap();
    let first = range.first_page().0;
    assert_eq!(first % 512, 0);
    store(&parent, first + 511, 7).unwrap();
    let child = parent.fork().unwrap();
    store(&parent, first + 511, 8).unwrap();
    assert_eq!((load(&child, first + 511), load(&parent, first + 511)), (Ok(7), Ok(8)));
    assert_eq!(mem.stats().cow_copy, 1);
    Audit::of(&mem).space(&parent).space(&child).check();
}

#[test]
fn a_place_is_chosen_where_huge_pages_begin() {
    let mem = machine::<X86_64>(rules("pinfold"), &[4 << 9], Tuning::default());
    assert_eq!(mem.hugetlb_pool(3), 3);
    let space = space(&mem);
    for place in [Place::Anywhere, Place::Lowest] {
        let range = space.map_hugetlb(place, 512, RW).unwrap();
        let first = range.first_page().0;
        assert_eq!((first % 512, range.pages()), (0, 512), "{place:?}");
        store(&space, first + 511, 1).unwrap();
    }
    let low = 512;
    assert_eq!(load(&space, low + 511), Ok(1), "the lowest place but page 0");
    let wrong = |place, count| space.map_hugetlb(place, count, RW).err();
    let part = |page| Some(SpaceError::PartOfHugePage(at(page)));
    assert_eq!(wrong(Place::At(at(1026)), 512), part(1026));
    assert_eq!(wrong(Place::Replace(at(513)), 512), part(513));
    assert_eq!(wrong(Place::Anywhere, 511), part(511));
    assert!(matches!(wrong(Place::Anywhere, 0), Some(SpaceError::Range(_))));
    assert!(matches!(wrong(Place::At(at(low)), 512), Some(SpaceError::Occupied(_))));
    assert!(matches!(wrong(Place::Lowest, 1 << 40), Some(SpaceError::NoGap { .. })));
    assert_eq!(wrong(Place::Lowest, 1024), Some(SpaceError::NoHugePage));
    Audit::of(&mem).space(&space).check();
}

#[test]
fn what_would_part_a_huge_page_is_refused_and_changes_nothing() {
    for text in PRESETS {
        let (mem, space) = world::<Small>(text, 3);
        for page in 4..12 {
            store(&space, page, page).unwrap();
        }
        let part = |page| Err(SpaceError::PartOfHugePage(at(page)));
        assert_eq!(space.unmap(pages(4, 1)), part(5), "{text}");
        assert_eq!(space.unmap(pages(6, 6)), part(6));
        assert_eq!(space.unmap(pages(2, 5)), part(7));
        assert_eq!(space.protect(pages(5, 3), Prot::READ), part(5));
        // It has the protection already: no page is parted.
        assert_eq!(space.protect(pages(5, 2), RW), Ok(()));
        assert_eq!(space.advise(pages(4, 2), Advice::DontNeed), part(6));
        assert_eq!(space.advise(pages(4, 2), Advice::DontFork), part(6));
        let over = space.map(Place::Replace(at(10)), 4, RW, crate::Sharing::Private);
        assert_eq!(over, part(10).map(|()| pages(10, 4)));
        let watched = space.uffd_register(pages(4, 8), UffdId(1), UffdMode::MISSING);
        assert_eq!(watched, Err(SpaceError::NoUffd(at(4))));
        let other = Err(SpaceError::HugePages(at(4)));
        for how in [Remap::InPlace, Remap::MayMove, Remap::To(at(32)), Remap::Keep] {
            assert_eq!(space.remap(pages(4, 8), 8, how), other, "{how:?}");
        }
        assert_eq!(
            space.advise(pages(4, 8), Advice::WipeOnFork),
            Err(SpaceError::WrongKind(at(4)))
        );
        assert_eq!(space.split_folio(at(5)), Err(SplitError::NotLarge));
        assert!((4..12).all(|page| load(&space, page) == Ok(page)), "{text}");
        assert_eq!(pool(&mem), (3, 1, 0));
        Audit::of(&mem).space(&space).check();
    }
}

#[test]
fn what_covers_a_huge_page_changes_all_of_it() {
    for text in PRESETS {
        let (mem, space) = world::<Small>(text, 3);
        for page in 4..12 {
            store(&space, page, page).unwrap();
        }
        let head = frame(&space, 4);
        space.protect(pages(4, 4), Prot::READ).unwrap();
        assert_eq!(store(&space, 5, 9), Err(FaultError::Denied(at(5))));
        space.protect(pages(4, 4), Prot::empty()).unwrap();
        assert_eq!(load(&space, 5), Err(FaultError::Denied(at(5))));
        space.protect(pages(4, 4), RW).unwrap();
        // Only a fault says that the page is its owner's.
        assert!(!space.entry(at(5)).is_writable(), "{text}");
        store(&space, 5, 50).unwrap();
        assert_eq!((frame(&space, 4), mem.stats().cow_copy), (head, 0), "{text}");
        // A lock in memory changes nothing, nor keeps DONTNEED off.
        space.mlock(pages(4, 3)).unwrap();
        assert_eq!(space.mlocked_pages(), 0);
        assert_eq!(space.numa_scan(pages(4, 8)), 0, "{text}");
        assert_eq!(space.migrate(pages(4, 8), NodeId(1)).moved, 0);
        Audit::of(&mem).space(&space).check();
        space.advise(pages(4, 4), Advice::DontNeed).unwrap();
        assert_eq!(pool(&mem), (3, 2, 0));
        // What was promised has been used: this is one that is promised to nobody.
        assert_eq!((load(&space, 5), load(&space, 9)), (Ok(0), Ok(9)));
        space.advise(pages(4, 4), Advice::DontNeed).unwrap();
        spare(&mem, 0);
        assert_eq!(load(&space, 5), Err(FaultError::NoHugePage), "{text}");
        Audit::of(&mem).space(&space).check();
    }
}

#[test]
fn populating_touches_each_huge_page_once() {
    let (mem, space) = world::<Small>("latest", 2);
    space.populate(pages(5, 5), Access::Read).unwrap();
    assert_eq!(pool(&mem), (2, 0, 0));
    space.populate(pages(4, 8), Access::Write).unwrap();
    assert!((4..12).all(|page| space.entry(at(page)).is_writable()));
    space.advise(pages(8, 4), Advice::DontNeed).unwrap();
    spare(&mem, 0);
    let short = space.populate(pages(4, 8), Access::Write).unwrap_err();
    assert_eq!((short.at, short.error), (at(8), FaultError::NoHugePage));
    let short = space.mlock(pages(4, 8)).unwrap_err();
    assert!(matches!(short, LockError::Unpopulated(short) if short.at == at(8)));
    Audit::of(&mem).space(&space).check();
}

#[test]
fn a_page_that_is_lost_is_nothing_to_be_moved_or_swapped() {
    for (text, swaps) in [("4.4", false), ("pinfold", false), ("pinfold", true)] {
        let mem = machine::<Small>(rules(text), &[80, 20], Tuning::default());
        assert_eq!(mem.hugetlb_pool(1), 1, "{text}");
        let parent = space(&mem);
        map(&parent, 4, 4).unwrap();
        store(&parent, 4, 4).unwrap();
        let child = parent.fork().unwrap();
        store(&parent, 4, 44).unwrap();
        if swaps {
            mem.swap_on(Box::new(Disk::default()), 16, SwapWrites::Any).unwrap();
        }
        let (all, there) = (pages(4, 4), NodeId(1));
        let nothing = Moved::default();
        assert_eq!((child.migrate(all, there), child.compact(all, there)), (nothing, nothing));
        let bound = child.move_range(all, there, MoveScope::All, Strict::Strict);
        assert_eq!((bound, child.page_status(at(5))), (Ok(nothing), PageStatus::Absent), "{text}");
        child.move_pages(&[(at(5), there)], MoveScope::All, |status| {
            assert_eq!(status, PageStatus::Absent, "{text}");
        });
        for who in [Reclaimer::Advice, Reclaimer::Pressure] {
            assert_eq!(child.page_out(all, who), Reclaimed::default(), "{text}");
        }
        for advice in [Advice::Cold, Advice::Free] {
            let _ = child.advise(all, advice);
        }
        child.resident(all, |there| assert!(!there, "{text}")).unwrap();
        assert_eq!(load(&child, 4), Err(FaultError::NoHugePage), "{text}: as before");
        Audit::of(&mem).space(&parent).space(&child).check();
    }
}

/// The entry is never unusable for good: a CPU that has the page cached in the child loses it with
/// the entry, before the owner can write.
#[test]
fn a_read_pin_of_a_shared_page_unshares_it_where_the_mark_counts() {
    for text in PRESETS {
        for free in [1, 0] {
            let (mem, parent) = world::<Small>(text, 3);
            for page in 4..12 {
                store(&parent, page, page).unwrap();
            }
            let head = frame(&parent, 4);
            let child = parent.fork().unwrap();
            spare(&mem, free);
            let pins = parent.pin(pages(5, 1), Access::Read, Term::Long).unwrap();
            store(&parent, 5, 55).unwrap();
            // Before, the write takes the page away from the device; without a page for the copy,
            // from the child.
            let follows = marks(text) || free == 0 || rules(text).read_gup.name() == "force-write";
            assert_eq!(device_read(&mem, pins.pages()[0]) == 55, follows, "{text} {free}");
            assert_eq!(frame(&parent, 4) == head, free == 0, "{text} {free}");
            let seen = if free == 0 { Err(FaultError::NoHugePage) } else { Ok(5) };
            assert_eq!(load(&child, 5), seen, "{text} {free}");
            Audit::of(&mem).space(&parent).space(&child).pins(pins.pages()).check();
        }
    }
}

#[test]
fn a_device_keeps_a_page_that_its_owner_unmaps() {
    for text in PRESETS {
        let (mem, space) = world::<Small>(text, 2);
        store(&space, 6, 6).unwrap();
        let pins = space.pin(pages(4, 4), Access::Write, Term::Long).unwrap();
        space.unmap(pages(4, 8)).unwrap();
        assert_eq!((pool(&mem), mem.hugetlb_pool(0)), ((2, 1, 0), 1), "{text}");
        device_write(&mem, pins.pages()[2], 7);
        Audit::of(&mem).space(&space).pins(pins.pages()).check();
        drop(pins);
        assert_eq!(pool(&mem), (1, 1, 0), "{text}");
        Audit::of(&mem).space(&space).check();
    }
}

#[test]
fn a_page_that_is_free_in_the_pool_cannot_be_referred_to() {
    for text in PRESETS {
        let (mem, space) = world::<Small>(text, 2);
        let head = store(&space, 4, 4).unwrap();
        space.unmap(pages(4, 8)).unwrap();
        for pfn in (head.0..head.0 + 4).map(Pfn) {
            assert!(crate::Memory::try_reference(&mem, pfn).is_none(), "{text}");
            assert!(mem.frames().flags(pfn).contains(crate::Flags::HUGETLB), "{text}");
        }
        Audit::of(&mem).space(&space).check();
    }
}

#[test]
fn an_owner_of_frames_outside_gets_the_pool_back() {
    let nodes = spans(&[60]);
    let outside = Outside::of(&nodes);
    let setup = FrameSetup::new(&nodes).source(outside);
    let mem = machine_of::<Small>(Marks::Hardware, setup, rules("pinfold"), Tuning::default());
    assert_eq!(mem.hugetlb_pool(3), 3);
    let space = space(&mem);
    map(&space, 4, 8).unwrap();
    store(&space, 4, 4).unwrap();
    Audit::of(&mem).space(&space).check();
    drop(space);
    assert_eq!(mem.hugetlb_pool(2), 2);
    assert!(!outside.has_all());
    drop(mem);
    assert!(outside.has_all());
}

/// Two threads want the last page: the one that comes second waits, and finds it there.
#[test]
fn no_thread_fails_for_a_page_that_another_one_brings() {
    for round in 0..200 {
        let (mem, parent) = world::<Small>("latest", 3);
        store(&parent, 4, 4).unwrap();
        store(&parent, 8, 8).unwrap();
        let child = parent.fork().unwrap();
        std::thread::scope(|threads| {
            for page in 4..6 {
                let child = &child;
                threads.spawn(move || {
                    let fault = child.fault(at(page), crate::Cause::Store);
                    assert!(fault.is_ok(), "{round}: {fault:?}");
                });
            }
        });
        assert_eq!(pool(&mem), (3, 0, 0));
        Audit::of(&mem).space(&parent).space(&child).check();
    }
}
