//! Which pages of files leave, what keeps them, and how they come back.

use crate::heap::{Deny, with_heap};
use crate::testing::{
    Audit, Disk, Mem, Rig, Space, device_read, device_write, load, machine, map, map_file, pages,
    rules, set_apart, space, store,
};
use crate::{
    Access, Advice, EventKind, FaultError, File, FileError, FileSharing, ListSizes, Moved, NodeId,
    Prot, Reclaimed, Reclaimer, Store, StoreError, SwapWrites, Term, Tuning, VirtAddr, Watermarks,
    X86_64, Zone,
};
use std::boxed::Box;
use std::vec::Vec;

const NODE: NodeId = NodeId(0);
const ONE: Reclaimed = Reclaimed { freed: 1, kept: 0 };
const KEPT: Reclaimed = Reclaimed { freed: 0, kept: 1 };

fn listing(batch: u32) -> Tuning {
    Tuning { lru_batch: batch, reclaim_batch: 4, fault_around: 1, ..Tuning::default() }
}

/// A machine with lists, without swap, and a file of so many pages that is mapped from 16 on.
fn world(
    text: &str,
    len: u64,
    sharing: FileSharing,
) -> (Mem<X86_64>, Space<X86_64>, Disk, File<Rig<X86_64>>) {
    let mem = machine(rules(text), &[48], listing(1));
    let (disk, space) = (Disk::default(), space(&mem));
    let file = disk.file(&mem, len);
    map_file(&space, 16, file.run(0..len), sharing);
    (mem, space, disk, file)
}

fn read(mem: &Mem<X86_64>, file: &File<Rig<X86_64>>, index: u64) -> Result<u64, FileError> {
    file.read(index, |pfn| device_read(mem, pfn))
}

fn touch(mem: &Mem<X86_64>, file: &File<Rig<X86_64>>, index: u64) {
    assert_eq!(read(mem, file, index), Ok(0));
}

fn write(mem: &Mem<X86_64>, file: &File<Rig<X86_64>>, index: u64, value: u64) {
    file.write(index, |pfn| device_write(mem, pfn, value)).unwrap();
}

/// How many pages of files are in use, and not.
fn files(mem: &Mem<X86_64>) -> (u64, u64) {
    let ListSizes { active_file, inactive_file, .. } = mem.list_sizes(NODE);
    (active_file, inactive_file)
}

fn out(space: &Space<X86_64>, page: u64) -> Reclaimed {
    space.page_out(pages(page, 1), Reclaimer::Pressure)
}

#[test]
fn a_clean_page_leaves_and_is_read_again_under_every_rule() {
    for text in crate::rules::PRESETS {
        for sharing in [FileSharing::Shared, FileSharing::Private] {
            let (mem, space, disk, file) = world(text, 2, sharing);
            write(&mem, &file, 0, 5);
            assert_eq!(file.sync(), Ok(1), "{text}");
            assert_eq!(load(&space, 16), Ok(5), "{text}");
            let free = mem.frames().total_free();
            let (done, events) = mem.platform().record(|| out(&space, 16));
            assert_eq!((done, mem.frames().total_free()), (ONE, free + 1), "{text}");
            assert!(events.iter().any(|event| matches!(event, EventKind::CacheReclaimed(_))));
            assert!(space.entry(VirtAddr::of_page(16)).is_none(), "{text}");
            assert_eq!(disk.written(), [0], "nothing is written on the way");
            Audit::of(&mem).space(&space).file(&file).check();
            assert_eq!(load(&space, 16), Ok(5), "{text}");
            let stats = mem.stats();
            assert_eq!((stats.pgscan_file, stats.pgsteal_file), (1, 1), "{text}");
            assert_eq!((stats.pgscan_anon, stats.pgsteal_anon), (0, 0), "{text}");
            Audit::of(&mem).space(&space).file(&file).check();
        }
    }
}

#[test]
fn a_dirty_page_loses_its_entries_and_stays_until_it_is_written_back() {
    let (mem, space, disk, file) = world("pinfold", 1, FileSharing::Shared);
    store(&space, 16, 7).unwrap();
    assert_eq!(out(&space, 16), KEPT);
    assert!(space.entry(VirtAddr::of_page(16)).is_none());
    assert_eq!((mem.stats().nr_vmscan_immediate_reclaim, files(&mem)), (1, (1, 0)));
    assert_eq!((disk.written(), load(&space, 16)), (Vec::new(), Ok(7)));
    assert_eq!(file.sync(), Ok(1));
    assert_eq!((out(&space, 16), disk.page(0)), (ONE, 7));
    assert_eq!(load(&space, 16), Ok(7));
    Audit::of(&mem).space(&space).file(&file).check();
}

#[test]
fn whoever_refers_to_a_page_keeps_it_and_what_he_stores() {
    for (text, term) in [("pinfold", Term::Short), ("5.8", Term::Short), ("6.1", Term::Long)] {
        let (mem, space, disk, file) = world(text, 1, FileSharing::Shared);
        let access = if term == Term::Long { Access::Read } else { Access::Write };
        let pins = space.pin(pages(16, 1), access, term).unwrap();
        let pinned = pins.pages()[0];
        file.sync().unwrap();
        assert_eq!(out(&space, 16), KEPT, "{text}");
        assert_eq!(mem.reclaim(NODE, 1).freed, 0, "{text}");
        device_write(&mem, pinned, 3);
        pins.unpin_dirty();
        assert_eq!(mem.reclaim(NODE, 1).freed, 0, "{text}: it is dirty");
        assert_eq!(read(&mem, &file, 0), Ok(3), "{text}");
        assert_eq!(file.sync(), Ok(1));
        assert_eq!((mem.reclaim(NODE, 1).freed, disk.page(0)), (1, 3), "{text}");
        Audit::of(&mem).space(&space).file(&file).check();
    }
}

#[test]
fn a_page_that_is_locked_in_memory_or_under_its_lock_stays() {
    let (mem, space, _, file) = world("pinfold", 2, FileSharing::Shared);
    space.mlock(pages(16, 1)).unwrap();
    assert_eq!((out(&space, 16), mem.list_sizes(NODE).unevictable), (KEPT, 1));
    assert_eq!(mem.reclaim(NODE, 4).freed, 0);
    space.munlock(pages(16, 1)).unwrap();
    let pfn = space.entry(VirtAddr::of_page(16)).counted().unwrap();
    file.sync().unwrap();
    let locked = mem.try_lock_page(pfn).unwrap();
    assert_eq!(out(&space, 16), KEPT);
    drop(locked);
    let closed = file.layout();
    assert_eq!(out(&space, 16), KEPT, "its file's list is closed");
    drop(closed);
    assert_eq!(mem.reclaim(NODE, 1).freed, 1);
    Audit::of(&mem).space(&space).file(&file).check();
}

#[test]
fn a_machine_full_of_clean_pages_serves_every_operation() {
    let (mem, space, _, file) = world("pinfold", 200, FileSharing::Shared);
    for index in 0..200 {
        write(&mem, &file, index, index);
        file.sync_pages(index..index + 1).unwrap();
    }
    map(&space, 512, 8, Prot::READ_WRITE);
    for page in 512..520 {
        store(&space, page, page).unwrap();
    }
    let child = space.fork().unwrap();
    store(&child, 512, 1).unwrap();
    for index in 0..200 {
        assert_eq!(load(&space, 16 + index), Ok(index));
        assert_eq!(read(&mem, &file, index), Ok(index));
    }
    for page in 513..520 {
        assert_eq!(load(&child, page), Ok(page));
    }
    assert!(mem.stats().pgsteal_file > 300 && mem.stats().pgscan_anon == 0, "{:?}", mem.stats());
    Audit::of(&mem).space(&space).space(&child).file(&file).check();
}

#[test]
fn a_machine_full_of_dirty_pages_says_so_and_serves_again_after_a_sync() {
    let (mem, space, disk, file) = world("pinfold", 200, FileSharing::Shared);
    let full =
        (0..200).find(|page| store(&space, 16 + page, *page) == Err(FaultError::OutOfFrames));
    let full = full.unwrap();
    assert!(mem.stats().nr_vmscan_immediate_reclaim > 0);
    assert_eq!(file.sync(), Ok(full));
    store(&space, 16 + full, full).unwrap();
    for page in 0..=full {
        assert_eq!(load(&space, 16 + page), Ok(page));
    }
    assert_eq!(disk.page(3), 3);
    Audit::of(&mem).space(&space).file(&file).check();
}

#[test]
fn what_is_used_goes_through_its_list_once_more_and_what_is_executed_is_in_use() {
    let (mem, space, _, file) = world("pinfold", 3, FileSharing::Private);
    load(&space, 16).unwrap();
    assert_eq!((mem.reclaim(NODE, 1).freed, files(&mem)), (1, (0, 0)), "it was used but once");
    assert_eq!(mem.stats().pgscan_direct, 2, "and stayed for one round");
    space.protect(pages(17, 1), Prot::READ | Prot::EXEC).unwrap();
    load(&space, 17).unwrap();
    // At once in use, and not for longer than it is used.
    assert_eq!((mem.stats().pgactivate, mem.reclaim(NODE, 1).freed), (0, 1));
    assert_eq!(mem.stats().pgactivate, 1);
    Audit::of(&mem).space(&space).file(&file).check();
}

#[test]
fn what_is_read_twice_is_in_use() {
    let (mem, space, _, file) = world("pinfold", 3, FileSharing::Shared);
    touch(&mem, &file, 0);
    assert_eq!((files(&mem), mem.stats().pgactivate), ((0, 1), 0));
    touch(&mem, &file, 0);
    assert_eq!((files(&mem), mem.stats().pgactivate), ((1, 0), 1));
    read(&mem, &file, 1).unwrap();
    assert_eq!((mem.reclaim(NODE, 1).freed, files(&mem)), (1, (1, 0)), "the other one leaves");
    assert!(file.invalidate(0..3).is_ok());
    Audit::of(&mem).space(&space).file(&file).check();
}

#[test]
fn a_page_that_comes_back_soon_is_in_use_and_one_that_is_gone_leaves_nothing() {
    let (mem, space, _, file) = world("pinfold", 8, FileSharing::Shared);
    let refaults = || {
        let stats = mem.stats();
        (stats.workingset_refault_file, stats.workingset_activate_file)
    };
    (0..2).for_each(|index| touch(&mem, &file, index));
    assert_eq!(mem.reclaim(NODE, 1).freed, 1);
    read(&mem, &file, 0).unwrap();
    assert_eq!((refaults(), files(&mem)), ((1, 0), (0, 2)), "nothing is in use");
    for _ in 0..3 {
        read(&mem, &file, 1).unwrap();
    }
    assert_eq!((mem.reclaim(NODE, 1).freed, files(&mem)), (1, (1, 0)));
    read(&mem, &file, 0).unwrap();
    assert_eq!((refaults(), files(&mem)), ((2, 1), (2, 0)), "it competes with one in use");
    assert_eq!(mem.stats().workingset_restore_file, 0);
    assert_eq!(mem.reclaim(NODE, 8).freed, 2);
    file.truncate(0).unwrap();
    file.truncate(8).unwrap();
    (0..2).for_each(|index| touch(&mem, &file, index));
    assert_eq!(refaults(), (2, 1), "their shadows went with the places");
    Audit::of(&mem).space(&space).file(&file).check();
}

/// A store that fails to read.
struct Broken;

impl Store<Rig<X86_64>> for Broken {
    fn read(&self, _: &Rig<X86_64>, _: u64, _: crate::Pfn) -> Result<(), StoreError> {
        Err(StoreError::Io)
    }

    fn write(&self, _: &Rig<X86_64>, _: u64, _: crate::Pfn) -> Result<(), StoreError> {
        Err(StoreError::Io)
    }

    fn discard(&self, _: &Rig<X86_64>, _: core::ops::Range<u64>) {}
}

#[test]
fn a_page_that_could_not_be_read_or_written_is_not_lost_in_between() {
    let mem = machine(rules("pinfold"), &[48], listing(1));
    let file = File::new(&mem, 2, Box::new(Broken)).unwrap();
    assert!(read(&mem, &file, 0).is_err());
    assert_eq!(mem.reclaim(NODE, 1).freed, 1, "it has nothing");
    assert!(read(&mem, &file, 0).is_err());
    Audit::of(&mem).file(&file).check();
    let (mem, space, disk, file) = world("pinfold", 1, FileSharing::Shared);
    store(&space, 16, 9).unwrap();
    disk.fail(Some(StoreError::NoSpace));
    assert!(file.sync().is_err());
    assert_eq!(mem.reclaim(NODE, 1).freed, 0, "it was not written");
    disk.fail(None);
    assert_eq!((load(&space, 16), file.sync()), (Ok(9), Ok(1)));
    Audit::of(&mem).space(&space).file(&file).check();
}

#[test]
fn without_swap_only_files_are_looked_at_and_with_it_both_give() {
    for (slots, swappiness) in [(0, 60), (64, 60), (64, 0), (64, 200)] {
        let tuning = Tuning { swappiness, ..listing(1) };
        let mem = machine(rules("pinfold"), &[160], tuning);
        if slots > 0 {
            mem.swap_on(Box::new(Disk::default()), slots, SwapWrites::Any).unwrap();
        }
        let (disk, space) = (Disk::default(), space(&mem));
        let file = disk.file(&mem, 40);
        (0..40).for_each(|index| touch(&mem, &file, index));
        map(&space, 16, 40, Prot::READ_WRITE);
        for page in 16..56 {
            store(&space, page, page).unwrap();
        }
        space.advise(pages(16, 40), Advice::Cold).unwrap();
        assert!(mem.reclaim(NODE, 20).freed >= 20);
        let stats = mem.stats();
        match (slots, swappiness) {
            (0, _) | (_, 0) => assert_eq!((stats.pgsteal_file, stats.pgscan_anon), (20, 0)),
            (_, 200) => assert!(stats.pgsteal_anon > stats.pgsteal_file, "{stats:?}"),
            _ => assert!(stats.pgsteal_file > stats.pgsteal_anon && stats.pgsteal_anon > 0),
        }
        Audit::of(&mem).space(&space).file(&file).check();
    }
}

#[test]
fn what_nobody_needs_leaves_without_swap() {
    let (mem, space, _, file) = world("pinfold", 1, FileSharing::Shared);
    map(&space, 512, 3, Prot::READ_WRITE);
    for page in 512..515 {
        store(&space, page, page).unwrap();
    }
    space.advise(pages(512, 2), Advice::Free).unwrap();
    assert_eq!(files(&mem), (0, 2));
    store(&space, 513, 1).unwrap();
    assert_eq!(mem.reclaim(NODE, 4).freed, 1);
    assert_eq!((load(&space, 512), load(&space, 513), load(&space, 514)), (Ok(0), Ok(1), Ok(514)));
    assert_eq!(files(&mem), (0, 0), "the one that was stored to is private again");
    Audit::of(&mem).space(&space).file(&file).check();
}

#[test]
fn a_page_that_moves_is_on_its_new_nodes_list() {
    let mem = machine(rules("pinfold"), &[48, 48], listing(1));
    let (disk, space) = (Disk::default(), space(&mem));
    let file = disk.file(&mem, 1);
    map_file(&space, 16, file.run(0..1), FileSharing::Shared);
    load(&space, 16).unwrap();
    space.migrate(pages(16, 1), NodeId(1));
    mem.lru_add_drain();
    assert_eq!((files(&mem), mem.list_sizes(NodeId(1)).inactive_file), ((0, 0), 1));
    assert_eq!(mem.reclaim(NodeId(1), 1).freed, 1);
    Audit::of(&mem).space(&space).file(&file).check();
}

#[test]
fn zones_and_marks_are_obeyed() {
    let marks = Watermarks { min: 4, low: 8, high: 12 };
    let mem = machine(rules("pinfold"), &[48], Tuning { watermarks: marks, ..listing(1) });
    let file = Disk::default().file(&mem, 100);
    (0..40).for_each(|index| touch(&mem, &file, index));
    assert!(mem.is_low(NODE));
    mem.balance(NODE);
    assert!(!mem.is_low(NODE) && mem.frames().total_free() >= 12);
    let stats = mem.stats();
    assert_eq!(stats.pgsteal_kswapd + stats.pgsteal_direct, stats.pgsteal_file);
    Audit::of(&mem).file(&file).check();
}

#[test]
fn what_stays_does_not_hide_what_could_leave() {
    let (mem, space, _, file) = world("pinfold", 2, FileSharing::Shared);
    (0..2).for_each(|_| touch(&mem, &file, 0));
    write(&mem, &file, 1, 5);
    assert_eq!(files(&mem), (1, 1));
    assert_eq!(mem.reclaim(NODE, 1).freed, 1, "of those in use, as the other one is dirty");
    assert_eq!(read(&mem, &file, 1), Ok(5));
    Audit::of(&mem).space(&space).file(&file).check();
}

#[test]
fn what_is_executed_stays_for_one_round() {
    let (mem, space, _, file) = world("pinfold", 3, FileSharing::Private);
    space.protect(pages(16, 2), Prot::READ | Prot::EXEC).unwrap();
    for index in 0..2 {
        (0..2).for_each(|_| touch(&mem, &file, index));
        load(&space, 16 + index).unwrap();
    }
    write(&mem, &file, 2, 5);
    assert_eq!(files(&mem), (2, 1));
    assert_eq!(mem.reclaim(NODE, 1).freed, 1);
    assert_eq!(read(&mem, &file, 2), Ok(5));
    Audit::of(&mem).space(&space).file(&file).check();
}

#[test]
fn files_leave_where_private_pages_are_to_but_cannot() {
    let tuning = Tuning { swappiness: 200, ..listing(1) };
    let mem = machine(rules("pinfold"), &[160], tuning);
    mem.swap_on(Box::new(Disk::default()), 1, SwapWrites::Any).unwrap();
    let space = space(&mem);
    let file = Disk::default().file(&mem, 20);
    map(&space, 16, 21, Prot::READ_WRITE);
    for page in 16..37 {
        store(&space, page, page).unwrap();
    }
    assert_eq!(out(&space, 36), ONE, "the device is full");
    space.advise(pages(16, 20), Advice::Cold).unwrap();
    (0..20).for_each(|index| touch(&mem, &file, index));
    assert_eq!(mem.reclaim(NODE, 4).freed, 4);
    Audit::of(&mem).space(&space).file(&file).check();
}

/// One that a batch has is not isolated, and is none that could not move.
#[test]
fn compaction_passes_over_what_waits_in_a_batch() {
    let mem: Mem<X86_64> = machine(rules("pinfold"), &[48, 48], listing(15));
    let (disk, space) = (Disk::default(), space(&mem));
    let file = disk.file(&mem, 1);
    map_file(&space, 16, file.run(0..1), FileSharing::Shared);
    load(&space, 16).unwrap();
    let moved = |moved, failed| Moved { moved, failed };
    assert_eq!(space.compact(pages(16, 1), NodeId(1)), moved(0, 0));
    mem.lru_add_drain();
    assert_eq!(space.compact(pages(16, 1), NodeId(1)), moved(1, 0));
    Audit::of(&mem).space(&space).file(&file).check();
}

/// What is left of pages that have gone takes heap, until there is none for a page.
#[test]
fn shadows_make_room_for_a_page_where_there_is_no_heap() {
    let (mem, space, _, file) = world("pinfold", 200, FileSharing::Shared);
    [0, 100].into_iter().for_each(|index| touch(&mem, &file, index));
    assert_eq!(mem.reclaim(NODE, 2).freed, 2);
    let (read, denied) = with_heap(Deny::After(0), || read(&mem, &file, 150));
    assert_eq!((read, denied), (Ok(0), 1));
    touch(&mem, &file, 0);
    assert_eq!(mem.stats().workingset_refault_file, 0, "its shadow has gone");
    Audit::of(&mem).space(&space).file(&file).check();
}

#[test]
fn what_is_executed_stays_among_those_in_use_and_others_come_from_there() {
    let (mem, space, _, file) = world("pinfold", 3, FileSharing::Private);
    space.protect(pages(17, 1), Prot::READ | Prot::EXEC).unwrap();
    for index in [1, 2, 1, 2, 0] {
        touch(&mem, &file, index);
    }
    load(&space, 17).unwrap();
    assert_eq!(files(&mem), (2, 1));
    assert_eq!((mem.reclaim(NODE, 1).freed, files(&mem)), (1, (1, 1)));
    assert_eq!((mem.reclaim(NODE, 1).freed, files(&mem)), (1, (1, 0)));
    assert!(space.entry(VirtAddr::of_page(17)).counted().is_some());
    assert_eq!(mem.stats().pgdeactivate, 1);
    Audit::of(&mem).space(&space).file(&file).check();
}

#[test]
fn pages_of_other_zones_are_passed_over_and_those_in_use_asked_instead() {
    let (mem, space) = set_apart::<X86_64>((64, 24), "pinfold", listing(1));
    let file = Disk::default().file(&mem, 40);
    let (mut below, mut above) = (0, 0);
    for index in 0..40 {
        match file.read(index, |pfn| pfn.0).unwrap() < 64 {
            true => {
                touch(&mem, &file, index);
                below += 1;
            }
            false => above += 1,
        }
    }
    assert_eq!(files(&mem), (below, above));
    assert!(above >= below && below > 4, "{below} and {above}");
    assert_eq!(mem.reclaim_zone(NODE, Zone::Any, 4).freed, 4);
    assert_eq!(files(&mem).0 + files(&mem).1, 36);
    let stats = mem.stats();
    assert!(stats.pgskip_movable >= above && stats.pgskip_normal == 0, "{stats:?}");
    Audit::of(&mem).space(&space).file(&file).check();
}
