//! Private and shared mappings of files, their ends, holes, stores that fail, and who keeps a page.

use std::vec::Vec;

use crate::testing::{
    Audit, Disk, Mem, Rig, Space, device_read, device_write, load, machine, map_file, pages, rules,
    space, store,
};
use crate::{
    Access, Advice, Cause, Fault, FaultError, File, FileError, FileSharing, PinError, Place, Prot,
    Remap, Rules, SpaceError, StoreError, Term, Tuning, VirtAddr, X86_64, pin,
};

const RW: Prot = Prot::READ_WRITE;

fn world(text: &str) -> (Mem<X86_64>, Space<X86_64>) {
    let tuning = Tuning { fault_around: 1, ..Tuning::default() };
    let mem = machine(rules(text), &[128], tuning);
    let space = space(&mem);
    (mem, space)
}

fn at(page: u64) -> VirtAddr {
    VirtAddr::of_page(page)
}

/// The word of a page of a file, as read(2) finds it.
fn read(mem: &Mem<X86_64>, file: &File<Rig<X86_64>>, index: u64) -> Result<u64, FileError> {
    file.read(index, |pfn| device_read(mem, pfn))
}

fn write(mem: &Mem<X86_64>, file: &File<Rig<X86_64>>, index: u64, value: u64) {
    file.write(index, |pfn| device_write(mem, pfn, value)).unwrap();
}

#[test]
fn a_private_mapping_shows_the_file_until_it_is_written() {
    let (mem, space) = world("latest");
    let disk = Disk::default();
    let file = disk.file(&mem, 4);
    map_file(&space, 16, file.run(1..4), FileSharing::Private);
    write(&mem, &file, 1, 5);
    assert_eq!(space.fault(at(16), Cause::Load), Ok(Fault::SharedPage));
    assert!(!space.entry(at(16)).is_writable());
    assert_eq!(load(&space, 16), Ok(5));
    write(&mem, &file, 1, 6);
    assert_eq!(load(&space, 16), Ok(6), "it follows the file");
    store(&space, 16, 7).unwrap();
    assert_eq!(space.fault(at(17), Cause::Store), Ok(Fault::Copied), "never mapped before");
    write(&mem, &file, 1, 8);
    assert_eq!((load(&space, 16), read(&mem, &file, 1)), (Ok(7), Ok(8)));
    Audit::of(&mem).space(&space).file(&file).check();
    assert_eq!(file.sync(), Ok(1));
    assert_eq!((disk.page(1), disk.page(2)), (8, 0), "nothing private reaches the store");
    space.advise(pages(16, 1), Advice::DontNeed).unwrap();
    assert_eq!(load(&space, 16), Ok(8), "DONTNEED shows the file again");
    Audit::of(&mem).space(&space).file(&file).check();
    drop(space);
    Audit::of(&mem).file(&file).check();
    drop(file);
    Audit::of(&mem).check();
}

#[test]
fn private_copies_are_shared_by_fork_and_pages_of_the_file_are_not_copied_for_it() {
    let (mem, parent) = world("latest");
    let file = Disk::default().file(&mem, 2);
    map_file(&parent, 16, file.run(0..2), FileSharing::Private);
    store(&parent, 16, 1).unwrap();
    assert_eq!(load(&parent, 17), Ok(0));
    let child = parent.fork().unwrap();
    assert_eq!(child.entry(at(16)).pfn(), parent.entry(at(16)).pfn());
    store(&child, 16, 2).unwrap();
    store(&child, 17, 3).unwrap();
    assert_eq!((load(&parent, 16), load(&parent, 17)), (Ok(1), Ok(0)));
    assert_eq!((load(&child, 16), read(&mem, &file, 0)), (Ok(2), Ok(0)));
    Audit::of(&mem).space(&parent).space(&child).file(&file).check();
}

#[test]
fn accesses_past_the_end_fail_until_the_file_is_longer() {
    for sharing in [FileSharing::Private, FileSharing::Shared] {
        let (mem, space) = world("latest");
        let file = Disk::default().file(&mem, 1);
        map_file(&space, 16, file.run(0..3), sharing);
        store(&space, 16, 1).unwrap();
        assert_eq!(load(&space, 17), Err(FaultError::PastEnd(at(17))));
        assert_eq!(store(&space, 18, 1), Err(FaultError::PastEnd(at(18))));
        let pin = space.pin(pages(17, 1), Access::Write, Term::Short);
        assert!(matches!(pin, Err(PinError::Fault(FaultError::PastEnd(_)))), "{pin:?}");
        file.truncate(2).unwrap();
        store(&space, 17, 4).unwrap();
        assert_eq!(read(&mem, &file, 2), Err(FileError::PastEnd { page: 2 }));
        Audit::of(&mem).space(&space).file(&file).check();
    }
}

#[test]
fn a_truncation_takes_pages_and_copies_wherever_they_are_mapped() {
    let (mem, parent) = world("latest");
    let disk = Disk::default();
    let file = disk.file(&mem, 8);
    map_file(&parent, 16, file.run(0..8), FileSharing::Shared);
    map_file(&parent, 32, file.run(2..8), FileSharing::Private);
    let child = parent.fork().unwrap();
    for page in 16..24 {
        store(&parent, page, page).unwrap();
    }
    for page in 32..38 {
        store(&child, page, page).unwrap();
        load(&parent, page).unwrap();
    }
    assert_eq!(file.sync(), Ok(8));
    // Other memory, in the place of a part of the mapping, is nobody's concern.
    child.unmap(pages(36, 1)).unwrap();
    crate::testing::map(&child, 36, 1, RW);
    store(&child, 36, 77).unwrap();
    file.truncate(3).unwrap();
    for page in 19..24 {
        assert_eq!(load(&parent, page), Err(FaultError::PastEnd(at(page))));
    }
    assert_eq!((load(&parent, 18), load(&parent, 32)), (Ok(18), Ok(18)));
    assert_eq!((load(&child, 32), load(&child, 36)), (Ok(32), Ok(77)));
    for page in [33, 34, 35, 37] {
        assert!(load(&parent, page).is_err() && load(&child, page).is_err(), "{page}");
    }
    assert_eq!((disk.page(2), disk.page(3)), (18, 0), "the store let go of the rest");
    file.truncate(8).unwrap();
    assert_eq!((load(&parent, 20), load(&child, 34)), (Ok(0), Ok(0)), "zeros");
    Audit::of(&mem).space(&parent).space(&child).file(&file).check();
}

#[test]
fn a_hole_reads_as_zeros_and_leaves_private_copies() {
    for memory in [false, true] {
        let (mem, space) = world("latest");
        let disk = Disk::default();
        let file = if memory { File::in_memory(&mem, 4).unwrap() } else { disk.file(&mem, 4) };
        map_file(&space, 16, file.run(0..4), FileSharing::Shared);
        map_file(&space, 32, file.run(0..4), FileSharing::Private);
        (16..20).for_each(|page| _ = store(&space, page, page).unwrap());
        load(&space, 33).unwrap();
        store(&space, 34, 9).unwrap();
        file.sync().unwrap();
        file.punch(1..3);
        let seen: Vec<_> = (16..20).map(|page| load(&space, page).unwrap()).collect();
        assert_eq!(seen, [16, 0, 0, 19]);
        assert_eq!((load(&space, 33), load(&space, 34)), (Ok(0), Ok(9)));
        assert_eq!(disk.page(1), 0);
        Audit::of(&mem).space(&space).file(&file).check();
    }
}

#[test]
fn an_end_within_a_page_is_the_callers_to_clear() {
    let (mem, space) = world("latest");
    let file = Disk::default().file(&mem, 2);
    map_file(&space, 16, file.run(0..2), FileSharing::Shared);
    store(&space, 16, 1).unwrap();
    store(&space, 17, 2).unwrap();
    file.truncate_within(1, |pfn| device_write(&mem, pfn, 3)).unwrap();
    assert_eq!(load(&space, 16), Ok(3));
    let untouched = Disk::default().file(&mem, 2);
    untouched.truncate_within(1, |_| unreachable!("the page is not in memory")).unwrap();
    assert!(matches!(file.truncate(u64::MAX), Err(FileError::TooLong { .. })));
}

#[test]
fn a_pinned_page_that_is_truncated_is_an_orphan() {
    let (mem, space) = world("latest");
    let disk = Disk::default();
    let file = disk.file(&mem, 1);
    map_file(&space, 16, file.run(0..1), FileSharing::Shared);
    store(&space, 16, 1).unwrap();
    let pins = space.pin(pages(16, 1), Access::Write, Term::Short).unwrap();
    let pinned = pins.pages()[0];
    file.truncate(0).unwrap();
    file.truncate(1).unwrap();
    store(&space, 16, 2).unwrap();
    assert_ne!(space.entry(at(16)).pfn(), pinned);
    device_write(&mem, pinned, 9);
    Audit::of(&mem).space(&space).file(&file).pins(&[pinned]).check();
    pins.unpin_dirty();
    assert_eq!(file.sync(), Ok(1));
    assert_eq!((disk.page(0), load(&space, 16)), (2, Ok(2)), "the orphan went nowhere");
    Audit::of(&mem).space(&space).file(&file).check();
}

#[test]
fn who_owns_the_storage_waits_until_nobody_holds_a_page() {
    let (mem, space) = world("latest");
    let file = Disk::default().file(&mem, 4);
    map_file(&space, 16, file.run(0..4), FileSharing::Shared);
    (16..20).for_each(|page| _ = store(&space, page, page).unwrap());
    let pins = space.pin(pages(18, 1), Access::Read, Term::Short).unwrap();
    assert_eq!(file.layout().busy(0..4), Some(2));
    assert_eq!(file.layout().busy(0..2), None);
    assert!(space.walk(at(16)).is_none(), "the entries are gone");
    assert_eq!(load(&space, 16), Ok(16), "the pages are not");
    drop(pins);
    let layout = file.layout();
    assert_eq!(layout.busy(0..4), None);
    layout.truncate_within(0, |_| ()).unwrap();
    Audit::of(&mem).space(&space).file(&file).check();
}

#[test]
fn an_invalidation_leaves_what_is_dirty_or_held() {
    let (mem, space) = world("latest");
    let disk = Disk::default();
    let file = disk.file(&mem, 4);
    map_file(&space, 16, file.run(0..4), FileSharing::Shared);
    (16..20).for_each(|page| _ = store(&space, page, page).unwrap());
    file.sync_pages(0..3).unwrap();
    let held = space.get(pages(17, 1), Access::Read).unwrap();
    assert_eq!(file.invalidate(0..4), Err(FileError::Busy { page: 1 }));
    assert_eq!(crate::lab::file_page(&file, 0), None);
    assert!(crate::lab::file_page(&file, 1).is_some() && crate::lab::file_page(&file, 3).is_some());
    drop(held);
    file.sync().unwrap();
    assert_eq!(file.invalidate(0..4), Ok(()));
    let seen: Vec<_> = (16..20).map(|page| load(&space, page).unwrap()).collect();
    assert_eq!(seen, [16, 17, 18, 19], "read from the store again");
    Audit::of(&mem).space(&space).file(&file).check();
}

#[test]
fn a_failing_store_is_an_error_of_the_access_and_the_next_one_tries_again() {
    let (mem, space) = world("latest");
    let disk = Disk::default();
    let file = disk.file(&mem, 2);
    map_file(&space, 16, file.run(0..2), FileSharing::Shared);
    disk.fail(Some(StoreError::Io));
    assert_eq!(load(&space, 16), Err(FaultError::Store(at(16), StoreError::Io)));
    let failed = FileError::Store { page: 0, error: StoreError::Io };
    assert_eq!(read(&mem, &file, 0), Err(failed));
    disk.fail(None);
    assert_eq!(load(&space, 16), Ok(0));
    Audit::of(&mem).space(&space).file(&file).check();
}

#[test]
fn a_full_store_refuses_the_first_write_to_a_page() {
    let (mem, space) = world("latest");
    let disk = Disk::default();
    disk.limit(1);
    let file = disk.file(&mem, 3);
    map_file(&space, 16, file.run(0..3), FileSharing::Shared);
    store(&space, 16, 1).unwrap();
    assert_eq!(store(&space, 17, 1), Err(FaultError::Store(at(17), StoreError::NoSpace)));
    assert_eq!(load(&space, 18), Ok(0));
    assert_eq!(store(&space, 18, 1), Err(FaultError::Store(at(18), StoreError::NoSpace)));
    let full = FileError::Store { page: 1, error: StoreError::NoSpace };
    assert_eq!(file.write(1, |_| unreachable!("no room")), Err::<(), _>(full));
    store(&space, 16, 2).unwrap();
    assert_eq!((file.sync(), disk.page(0)), (Ok(1), 2));
    Audit::of(&mem).space(&space).file(&file).check();
}

#[test]
fn a_read_shows_what_is_there_around_it() {
    let mem = machine::<X86_64>(Rules::default(), &[64], Tuning::default());
    let space = space(&mem);
    let file = Disk::default().file(&mem, 40);
    for index in [14, 15, 17, 18, 31, 32] {
        write(&mem, &file, index, index);
    }
    for (first, sharing) in [(512, FileSharing::Shared), (1024, FileSharing::Private)] {
        map_file(&space, first + 15, file.run(15..40), sharing);
        assert_eq!(load(&space, first + 16), Ok(0));
        let shown = (first..first + 40).filter(|page| space.walk(at(*page)).is_mapped());
        let shown: Vec<_> = shown.map(|page| page - first).collect();
        assert_eq!(shown, [16, 17, 18, 31], "those of the run of 16, as far as they are there");
        assert!((first..first + 40).all(|page| !space.walk(at(page)).is_writable()));
        Audit::of(&mem).space(&space).file(&file).check();
    }
    file.sync().unwrap();
    store(&space, 512 + 17, 3).unwrap();
    assert_eq!((file.sync(), load(&space, 1024 + 17)), (Ok(1), Ok(3)));
}

#[test]
fn a_long_term_read_pin_of_a_private_mapping_by_release() {
    for (text, follows) in [("5.19", false), ("6.1", false), ("6.2", true), ("latest", true)] {
        let (mem, space) = world(text);
        let file = Disk::default().file(&mem, 1);
        map_file(&space, 16, file.run(0..1), FileSharing::Private);
        assert_eq!(load(&space, 16), Ok(0));
        let pins = space.pin(pages(16, 1), Access::Read, Term::Long).unwrap();
        store(&space, 16, 1).unwrap();
        let same = space.entry(at(16)).pfn() == pins.pages()[0];
        assert_eq!((same, device_read(&mem, pins.pages()[0]) == 1), (follows, follows), "{text}");
        assert_eq!(read(&mem, &file, 0), Ok(0), "the file is untouched");
        Audit::of(&mem).space(&space).file(&file).pins(pins.pages()).check();
    }
}

#[test]
fn a_forced_write_punches_through_a_private_mapping_and_not_a_shared_one() {
    for text in ["4.8", "5.8", "5.19", "latest"] {
        let Ok(set) = Rules::parse(text) else { continue };
        let mem = machine::<X86_64>(set, &[64], Tuning::default());
        let space = space(&mem);
        let file = Disk::default().file(&mem, 1);
        for (page, sharing) in [(16, FileSharing::Private), (32, FileSharing::Shared)] {
            let place = Place::At(at(page));
            space.map_file(place, Prot::READ, file.run(0..1), sharing).unwrap();
        }
        let force = |page| {
            let ask = pin::Ask::new(Access::Write, Term::Short).forced();
            space.get_with(pages(page, 1), ask)
        };
        let held = force(16).unwrap();
        device_write(&mem, held.pages()[0], 1);
        assert_eq!((load(&space, 16), read(&mem, &file, 0)), (Ok(1), Ok(0)), "{text}");
        assert!(matches!(force(32), Err(PinError::Fault(FaultError::Denied(_)))), "{text}");
        Audit::of(&mem).space(&space).file(&file).gets(held.pages()).check();
    }
}

#[test]
fn a_mapping_grows_past_the_end_and_moves_with_its_copies() {
    let (mem, space) = world("latest");
    let file = Disk::default().file(&mem, 3);
    let range = map_file(&space, 16, file.run(0..2), FileSharing::Private);
    store(&space, 17, 5).unwrap();
    write(&mem, &file, 2, 6);
    let longer = space.remap(range, 4, Remap::InPlace).unwrap();
    assert_eq!((load(&space, 18), load(&space, 19)), (Ok(6), Err(FaultError::PastEnd(at(19)))));
    space.remap(longer, 4, Remap::To(at(40))).unwrap();
    assert_eq!((load(&space, 41), load(&space, 42)), (Ok(5), Ok(6)));
    file.truncate(1).unwrap();
    assert_eq!(load(&space, 41), Err(FaultError::PastEnd(at(41))), "found in its new place");
    Audit::of(&mem).space(&space).file(&file).check();
}

#[test]
fn cut_and_merged_areas_are_known_to_the_file_as_one() {
    let (mem, space) = world("latest");
    let file = Disk::default().file(&mem, 8);
    map_file(&space, 16, file.run(0..8), FileSharing::Shared);
    (16..24).for_each(|page| _ = store(&space, page, page).unwrap());
    space.protect(pages(18, 2), Prot::READ).unwrap();
    assert_eq!(space.areas(), 3);
    space.protect(pages(18, 2), RW).unwrap();
    assert_eq!(space.areas(), 1);
    space.unmap(pages(20, 1)).unwrap();
    file.truncate(1).unwrap();
    assert!((17..24).all(|page| space.walk(at(page)).is_none()));
    assert_eq!(load(&space, 16), Ok(16));
    Audit::of(&mem).space(&space).file(&file).check();
}

#[test]
fn what_no_file_can_have_is_refused() {
    let (mem, space) = world("latest");
    let file = Disk::default().file(&mem, 1);
    let far = file.run((1 << 51)..(1 << 51) + 1);
    let refused = space.map_file(Place::Anywhere, RW, far, FileSharing::Shared);
    assert_eq!(refused, Err(SpaceError::PastFile { most: 1 << 51 }));
    let empty = space.map_file(Place::Anywhere, RW, file.run(1..1), FileSharing::Shared);
    assert!(matches!(empty, Err(SpaceError::Range(_))), "{empty:?}");
    map_file(&space, 16, file.run(0..1), FileSharing::Private);
    let wiped = space.advise(pages(16, 1), Advice::WipeOnFork);
    assert_eq!(wiped, Err(SpaceError::WrongKind(at(16))));
}

#[test]
fn a_long_term_write_pin_of_a_file_is_refused_since_6_5() {
    for (text, refused) in [("5.8", false), ("6.4", false), ("6.5", true), ("latest", true)] {
        let (mem, space) = world(text);
        let (disk, memory) = (Disk::default().file(&mem, 2), File::in_memory(&mem, 2).unwrap());
        map_file(&space, 16, disk.run(0..2), FileSharing::Shared);
        map_file(&space, 32, memory.run(0..2), FileSharing::Shared);
        map_file(&space, 48, disk.run(0..2), FileSharing::Private);
        for page in [16, 32, 48] {
            // The first page goes the lock-free way, the second one not.
            store(&space, page, 1).unwrap();
            let fast = pin::Ask::new(Access::Write, Term::Long).path(pin::Path::FastOnly);
            let denied = refused && page == 16;
            assert_eq!(space.pin_with(pages(page, 1), fast).is_err(), denied, "{text} {page}");
            let long = space.pin(pages(page, 2), Access::Write, Term::Long);
            match long {
                Ok(pins) => assert!(!denied && pins.pages().len() == 2, "{text} {page}"),
                Err(PinError::Fault(FaultError::Denied(_))) => assert!(denied, "{text} {page}"),
                Err(error) => panic!("{error}"),
            }
            drop(space.pin(pages(page, 2), Access::Read, Term::Long).unwrap());
            drop(space.pin(pages(page, 2), Access::Write, Term::Short).unwrap());
            drop(space.get(pages(page, 2), Access::Write).unwrap());
        }
    }
}

/// Hazard H-H of facts 3.11.
#[test]
fn what_a_device_writes_after_a_writeback_reaches_the_store_if_it_says_so() {
    let (mem, space) = world("6.4");
    let disk = Disk::default();
    let file = disk.file(&mem, 1);
    map_file(&space, 16, file.run(0..1), FileSharing::Shared);
    store(&space, 16, 1).unwrap();
    let pins = space.pin(pages(16, 1), Access::Write, Term::Long).unwrap();
    file.sync().unwrap();
    device_write(&mem, pins.pages()[0], 2);
    assert_eq!((file.sync(), disk.page(0)), (Ok(0), 1), "nobody knows");
    pins.unpin_dirty();
    assert_eq!((file.sync(), disk.page(0)), (Ok(1), 2));
}

#[test]
fn what_continues_a_shared_mapping_is_one_with_it() {
    let (mem, space) = world("latest");
    let file = Disk::default().file(&mem, 8);
    map_file(&space, 16, file.run(0..2), FileSharing::Shared);
    map_file(&space, 20, file.run(4..6), FileSharing::Shared);
    map_file(&space, 18, file.run(2..4), FileSharing::Shared);
    assert_eq!(space.areas(), 1, "a gap was filled");
    map_file(&space, 22, file.run(7..8), FileSharing::Shared);
    assert_eq!(space.areas(), 2, "not the page that follows");
    space.remap(pages(18, 1), 1, Remap::To(at(40))).unwrap();
    assert_eq!(space.areas(), 4);
    space.remap(pages(40, 1), 1, Remap::To(at(18))).unwrap();
    assert_eq!(space.areas(), 2, "back in its place");
    file.truncate(1).unwrap();
    assert_eq!((load(&space, 16), load(&space, 18).is_err()), (Ok(0), true));
    Audit::of(&mem).space(&space).file(&file).check();
}
