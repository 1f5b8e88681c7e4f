//! Huge pages of the pool: promises, faults, fork, and what becomes of whom when none is left. Four
//! small pages are a huge one, but in one test.

use std::boxed::Box;
use std::sync::Arc;
use std::vec::Vec;

use crate::pin::{Ask, Path};
use crate::rules::PRESETS;
use crate::rules::cow::sets_exclusive;
use crate::testing::{
    Audit, Disk, Hardware, Marks, Mem, Outside, Space, device_read, device_write, entry_at_flush,
    load, machine, machine_of, pages, rules, space, spans, store, translate,
};
use crate::{
    Access, Advice, Cause, Entry, EventKind, FaultError, Format, FrameSetup, HugePages, LockError,
    MoveScope, Moved, NodeId, PageStatus, Pfn, PinError, Place, Prot, Reclaimed, Reclaimer, Remap,
    Small, SmallAarch64, SmallRiscv64, SpaceError, SplitError, Strict, SwapWrites, Term, Tuning,
    UffdId, UffdMode, VirtAddr, VirtRange, X86_64,
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
fn a_child_is_promised_nothing() {
    for text in PRESETS {
        let (mem, parent) = world::<Small>(text, 3);
        let child = parent.fork().unwrap();
        assert_eq!(pool(&mem), (3, 3, 2), "{text}");
        store(&child, 4, 40).unwrap();
        assert_eq!(store(&child, 8, 80), Err(FaultError::NoHugePage), "{text}");
        assert_eq!(load(&child, 8), Err(FaultError::NoHugePage), "{text}");
        let held = child.get(pages(8, 1), Access::Read).map(drop);
        assert_eq!(held, Err(PinError::Fault(FaultError::NoHugePage)), "{text}");
        store(&parent, 4, 4).unwrap();
        store(&parent, 8, 8).unwrap();
        assert_eq!((load(&child, 4), load(&parent, 4), pool(&mem)), (Ok(40), Ok(4), (3, 0, 0)));
        Audit::of(&mem).space(&parent).space(&child).check();
        drop(parent);
        assert_eq!((load(&child, 8), pool(&mem)), (Ok(0), (3, 1, 0)), "{text}");
        Audit::of(&mem).space(&child).check();
    }
}

#[test]
fn who_writes_a_shared_page_gets_a_copy_and_the_last_one_keeps_it() {
    for text in PRESETS {
        let (mem, parent) = world::<Small>(text, 4);
        store(&parent, 5, 5).unwrap();
        let head = frame(&parent, 4);
        let child = parent.fork().unwrap();
        assert_eq!((frame(&child, 4), load(&child, 5)), (head, Ok(5)), "{text}");
        assert!(!parent.entry(at(5)).is_writable() && !child.entry(at(5)).is_writable());
        store(&parent, 6, 6).unwrap();
        assert_ne!(frame(&parent, 4), head, "{text}");
        assert_eq!((load(&parent, 5), load(&child, 5), load(&child, 6)), (Ok(5), Ok(5), Ok(0)));
        assert_eq!(pool(&mem), (4, 2, 1), "the copy is not of what was promised");
        store(&child, 6, 60).unwrap();
        assert_eq!((frame(&child, 4), mem.stats().cow_copy), (head, 1), "{text}");
        Audit::of(&mem).space(&parent).space(&child).check();
    }
}

#[test]
fn the_owner_takes_its_page_from_its_descendants_when_none_is_left() {
    for text in PRESETS {
        let (mem, parent) = world::<Small>(text, 2);
        for page in 4..12 {
            store(&parent, page, page).unwrap();
        }
        let head = frame(&parent, 4);
        let child = parent.fork().unwrap();
        let grandchild = child.fork().unwrap();
        // Not theirs: they cannot take it from anybody.
        assert_eq!(store(&child, 4, 40), Err(FaultError::NoHugePage), "{text}");
        assert_eq!(load(&child, 4), Ok(4), "{text}");
        Audit::of(&mem).space(&parent).space(&child).space(&grandchild).check();
        store(&parent, 4, 44).unwrap();
        assert_eq!((frame(&parent, 4), load(&parent, 5)), (head, Ok(5)), "{text}");
        let lost = Err(FaultError::NoHugePage);
        for poor in [&child, &grandchild] {
            assert_eq!((load(poor, 4), load(poor, 7)), (lost, lost), "{text}");
            assert!(matches!(poor.entry(at(6)).decode(), Entry::Swap(_)));
            assert_eq!(load(poor, 8), Ok(8), "only that page: {text}");
        }
        let fast = child.pin(pages(5, 1), Access::Read, Term::Short).map(drop);
        assert_eq!(fast, Err(PinError::Fault(FaultError::NoHugePage)), "{text}");
        // It stays lost, for who is born later, too, and whatever the pool has by then.
        mem.hugetlb_pool(4);
        let late = child.fork().unwrap();
        assert_eq!((load(&late, 4), load(&child, 4)), (lost, lost), "{text}");
        late.protect(pages(4, 4), Prot::READ).unwrap();
        late.protect(pages(4, 4), RW).unwrap();
        assert_eq!((load(&late, 4), late.numa_scan(pages(4, 4))), (lost, 0), "{text}");
        Audit::of(&mem).space(&parent).space(&child).space(&grandchild).space(&late).check();
        // Who has given it up finds another.
        late.advise(pages(4, 4), Advice::DontNeed).unwrap();
        assert_eq!((load(&late, 4), pool(&mem)), (Ok(0), (4, 1, 0)), "{text}");
        child.unmap(pages(4, 4)).unwrap();
        let all = Audit::of(&mem).space(&parent).space(&child).space(&grandchild).space(&late);
        all.check();
        drop((parent, child, grandchild, late));
        assert_eq!(pool(&mem), (4, 4, 0));
        Audit::of(&mem).check();
    }
}

/// Its entry is in the form of a swap entry, and names no device: with none, and beside one.
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
fn a_child_does_not_see_the_owners_write_through_an_old_translation() {
    let (mem, parent) = world::<Small>("latest", 2);
    store(&parent, 4, 4).unwrap();
    store(&parent, 8, 8).unwrap();
    let child = parent.fork().unwrap();
    assert_eq!(load(&child, 4), Ok(4), "cached");
    store(&parent, 4, 44).unwrap();
    assert_eq!(load(&child, 4), Err(FaultError::NoHugePage));
    Audit::of(&mem).space(&parent).space(&child).check();
}

#[test]
fn fork_of_a_pinned_page_needs_a_page_of_the_pool_since_5_12() {
    for text in PRESETS {
        let (mem, parent) = world::<Small>(text, 3);
        for page in 4..12 {
            store(&parent, page, page).unwrap();
        }
        let pins = parent.pin(pages(9, 2), Access::Write, Term::Long).unwrap();
        let copies = rules(text).hugetlb_fork.name() != "share";
        let (head, before) = (frame(&parent, 8), mem.frames().total_free());
        spare(&mem, 0);
        let failed = parent.fork().map(drop);
        assert_eq!(failed, if copies { Err(SpaceError::NoHugePage) } else { Ok(()) }, "{text}");
        Audit::of(&mem).space(&parent).pins(pins.pages()).check();
        mem.hugetlb_pool(3);
        assert_eq!(mem.frames().total_free(), before, "{text}: nothing has leaked");
        let child = parent.fork().unwrap();
        assert_eq!((frame(&child, 4), frame(&parent, 8)), (frame(&parent, 4), head), "{text}");
        assert_eq!(frame(&child, 8) == head, !copies, "{text}");
        assert_eq!(load(&child, 10), Ok(10), "{text}");
        // The device and its owner have the same page where fork copied.
        store(&parent, 9, 90).unwrap();
        assert_eq!(device_read(&mem, pins.pages()[0]) == 90, copies, "{text}");
        assert_eq!(load(&child, 9), Ok(9), "{text}");
        Audit::of(&mem).space(&parent).space(&child).pins(pins.pages()).check();
    }
}

/// As with other pages, by `fork-snapshot=protected`.
#[test]
fn the_copy_of_a_pinned_page_is_of_one_that_no_thread_writes() {
    for (text, strict) in [("latest", false), ("latest,fork-snapshot=protected", true)] {
        let (mem, parent) = world::<Small>(text, 3);
        let parent = std::sync::Arc::new(parent);
        let pfn = store(&parent, 5, 5).unwrap();
        let pins = parent.pin(pages(4, 4), Access::Write, Term::Long).unwrap();
        let thread = parent.clone();
        let (seen, told) = std::sync::mpsc::channel();
        let look = move |event| {
            if let EventKind::ForkCopied { from, .. } = event
                && from == pfn
            {
                let _ = seen.send(translate(&thread, 5, Cause::Store).is_some());
            }
        };
        let child = mem.platform().interrupt(look, || parent.fork().unwrap());
        assert_eq!(told.iter().collect::<Vec<_>>(), [!strict], "{text}");
        assert_eq!(store(&parent, 5, 55), Ok(pfn), "{text}: in step with the device");
        assert_eq!(load(&child, 5), Ok(5), "{text}");
        Audit::of(&mem).space(&parent).space(&child).pins(pins.pages()).check();
    }
}

/// A lock-free pin that arrives when fork has looked for pins, and not taken write permission yet:
/// the sequence count keeps it out (facts 2.5).
#[test]
fn fork_counts_these_areas_for_lock_free_pins_since_5_19() {
    for text in ["5.11", "5.12", "5.18", "5.19", "latest", "pinfold"] {
        let (mem, parent) = world::<Small>(text, 4);
        let parent = std::sync::Arc::new(parent);
        store(&parent, 4, 4).unwrap();
        // Fork knows that there may be pins.
        drop(parent.pin(pages(4, 1), Access::Write, Term::Short).unwrap());
        let (pinned, told) = std::sync::mpsc::channel();
        let mut pinner = Some(parent.clone());
        let hook = move |kind| {
            if let EventKind::ForkShared { .. } = kind
                && let Some(pinner) = pinner.take()
            {
                let ask = Ask::new(Access::Write, Term::Long).path(Path::FastOnly);
                let _ = pinned.send(pinner.pin_with(pages(4, 1), ask));
            }
        };
        let child = mem.platform().interrupt(hook, || parent.fork().unwrap());
        let pins: Vec<_> = told.iter().collect();
        let taken = pins.iter().filter(|pins| pins.is_ok()).count();
        let late = ["5.19", "latest", "pinfold"].contains(&text);
        assert_eq!((pins.len(), taken), (1, usize::from(!late)), "{text}");
        // Its page is shared, so the owner's write leaves it behind.
        store(&parent, 4, 44).unwrap();
        let left = pins.iter().flatten().filter(|pins| pins.pages()[0] != frame(&parent, 4));
        assert_eq!(left.count(), taken, "{text}");
        drop(child);
    }
}

#[test]
fn a_page_that_fork_took_for_a_copy_and_does_not_need_goes_back_to_the_pool() {
    let (mem, parent) = world::<Small>("latest", 3);
    store(&parent, 4, 4).unwrap();
    let mut pins = Some(parent.pin(pages(4, 1), Access::Write, Term::Short).unwrap());
    let mut checks = 0;
    let hook = move |kind| {
        if let EventKind::ForkCheck(_) = kind {
            checks += 1;
            if checks == 2 {
                pins.take();
            }
        }
    };
    let child = mem.platform().interrupt(hook, || parent.fork().unwrap());
    assert_eq!((mem.stats().fork_copy, pool(&mem)), (0, (3, 2, 1)));
    assert_eq!(frame(&parent, 4), frame(&child, 4));
    Audit::of(&mem).space(&parent).space(&child).check();
}

/// O3 to O6 of the operations that a kernel's own test of copy-on-write tries (facts 9.24, T3): the
/// rule does not look at references, so who holds one sees the next write of the last who maps the
/// page.
#[test]
fn a_reference_sees_what_the_last_owner_writes_under_every_rule() {
    for text in PRESETS {
        // O3 and O4: the child holds a reference and unmaps; the parent writes.
        for protects in [false, true] {
            let (mem, parent) = world::<Small>(text, 3);
            store(&parent, 4, 4).unwrap();
            let child = parent.fork().unwrap();
            let refs = child.get(pages(4, 1), Access::Read).unwrap();
            child.unmap(pages(4, 4)).unwrap();
            if protects {
                parent.protect(pages(4, 8), Prot::READ).unwrap();
                parent.protect(pages(4, 8), RW).unwrap();
            }
            store(&parent, 4, 44).unwrap();
            let forced = refs.pages()[0] != frame(&parent, 4);
            // 5.8 breaks the sharing for the reference: the one exception.
            assert_eq!(forced, rules(text).read_gup.name() == "force-write", "{text}");
            assert_eq!(device_read(&mem, refs.pages()[0]) == 44, !forced, "{text}");
            Audit::of(&mem).space(&parent).space(&child).gets(refs.pages()).check();
        }
        // O5 and O6: the parent holds one, before or after fork, and unmaps; the child writes.
        for early in [true, false] {
            let (mem, parent) = world::<Small>(text, 3);
            store(&parent, 4, 4).unwrap();
            let get = || parent.get(pages(4, 1), Access::Read).unwrap();
            let before = early.then(get);
            let child = parent.fork().unwrap();
            let refs = before.unwrap_or_else(get);
            parent.unmap(pages(4, 4)).unwrap();
            store(&child, 4, 44).unwrap();
            let forced = refs.pages()[0] != frame(&child, 4);
            let breaks = rules(text).read_gup.name() == "force-write" && !early;
            assert_eq!(forced, breaks, "{text}");
            assert_eq!(device_read(&mem, refs.pages()[0]) == 44, !forced, "{text}");
            Audit::of(&mem).space(&parent).space(&child).gets(refs.pages()).check();
        }
    }
}

#[test]
fn a_copy_is_published_after_the_flush_or_before_it() {
    for (text, early) in [("pinfold", false), ("pinfold,cow-publish=before-flush", true)] {
        let (mem, parent) = world::<Small>(text, 3);
        let parent = Arc::new(parent);
        store(&parent, 4, 4).unwrap();
        let child = parent.fork().unwrap();
        let write = || _ = store(&parent, 5, 50).unwrap();
        assert_eq!(entry_at_flush(&parent, 6, write).is_writable(), early, "{text}");
        assert_eq!((load(&child, 4), load(&parent, 5)), (Ok(4), Ok(50)), "{text}");
        Audit::of(&mem).space(&parent).space(&child).check();
    }
}

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
