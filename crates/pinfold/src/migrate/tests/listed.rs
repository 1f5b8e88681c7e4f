//! Pages of files and of shared memory: who maps them, what keeps them, and what goes along.

use super::{RW, THERE, node, world};
use crate::testing::{
    Audit, Disk, Mem, Rig, Space, device_read, device_write, load, map_file, map_shared, pages,
    store,
};
use crate::{
    Access, EventKind, File, FileSharing, Flags, MigrateMode, MoveScope, Moved, PageStatus, Pfn,
    Prot, Term, VirtAddr, X86_64,
};
use std::vec::Vec;

const MOVED: Moved = Moved { moved: 1, failed: 0 };
const STAYS: Moved = Moved { moved: 0, failed: 1 };

fn at(page: u64) -> VirtAddr {
    VirtAddr::of_page(page)
}

fn frame(space: &Space<X86_64>, page: u64) -> Pfn {
    space.entry(at(page)).pfn()
}

fn read(mem: &Mem<X86_64>, file: &File<Rig<X86_64>>) -> u64 {
    file.read(0, |pfn| device_read(mem, pfn)).unwrap()
}

/// A file of two pages, shared at 40 and private at 50.
fn shown(text: &str) -> (Mem<X86_64>, Space<X86_64>, Disk, File<Rig<X86_64>>) {
    let (mem, space) = world(text);
    let disk = Disk::default();
    let file = disk.file(&mem, 2);
    map_file(&space, 40, file.run(0..2), FileSharing::Shared);
    map_file(&space, 50, file.run(0..2), FileSharing::Private);
    (mem, space, disk, file)
}

#[test]
fn it_moves_for_all_who_map_it_and_the_file_has_the_new_one() {
    for text in crate::rules::PRESETS {
        let (mem, space, disk, file) = shown(text);
        store(&space, 40, 5).unwrap();
        store(&space, 51, 9).unwrap();
        load(&space, 50).unwrap();
        let (old, copy) = (frame(&space, 40), frame(&space, 51));
        let other = space.fork().unwrap();
        load(&other, 40).unwrap();
        load(&other, 50).unwrap();
        load(&space, 41).unwrap();
        assert_eq!(space.migrate(pages(40, 1), THERE), MOVED, "{text}");
        let new = frame(&space, 40);
        assert_eq!((node(&space, 40), mem.frames().counts(old).refs()), (THERE, 0), "{text}");
        assert_eq!([frame(&space, 50), frame(&other, 40), frame(&other, 50)], [new; 3], "{text}");
        assert!(space.entry(at(40)).is_writable() && !space.entry(at(50)).is_writable(), "{text}");
        assert!(!mem.frames().counts(new).is_exclusive(), "{text}");
        assert_eq!((frame(&space, 51), load(&space, 51)), (copy, Ok(9)), "{text}: its copy stays");
        assert_eq!(read(&mem, &file), 5, "{text}");
        file.write(0, |pfn| device_write(&mem, pfn, 6)).unwrap();
        assert_eq!([&space, &other].map(|space| load(space, 50)), [Ok(6); 2], "{text}");
        assert_eq!((file.sync(), disk.page(0)), (Ok(1), 6), "{text}: the mark has moved, too");
        Audit::of(&mem).space(&space).space(&other).file(&file).check();
        drop((space, other, file));
        Audit::of(&mem).check();
    }
}

#[test]
fn a_clean_page_stays_clean_and_a_store_afterwards_is_noticed() {
    for text in crate::rules::PRESETS {
        let (mem, space, disk, file) = shown(text);
        store(&space, 40, 5).unwrap();
        file.sync().unwrap();
        assert_eq!(space.migrate(pages(40, 1), THERE), MOVED, "{text}");
        assert_eq!(file.sync(), Ok(0), "{text}");
        assert!(mem.frames().flags(frame(&space, 40)).contains(Flags::UPTODATE), "{text}");
        store(&space, 40, 7).unwrap();
        assert_eq!((file.sync(), disk.page(0)), (Ok(1), 7), "{text}");
        Audit::of(&mem).space(&space).file(&file).check();
    }
}

#[test]
fn memory_without_a_store_and_pages_that_nobody_maps_any_more_move() {
    for text in crate::rules::PRESETS {
        let (mem, space) = world(text);
        let file = File::in_memory(&mem, 1).unwrap();
        map_file(&space, 40, file.run(0..1), FileSharing::Shared);
        let old = store(&space, 40, 5).unwrap();
        space.unmap(pages(40, 1)).unwrap();
        let isolated = mem.isolate(old, crate::frame::Sizes::Any).unwrap();
        let target = crate::migrate::Target::node(THERE);
        assert_eq!(mem.migrate(isolated, target, MigrateMode::Async), MOVED, "{text}");
        assert_eq!((read(&mem, &file), mem.frames().counts(old).refs()), (5, 0), "{text}");
        map_shared(&space, 44, 1);
        store(&space, 44, 8).unwrap();
        assert_eq!(space.compact(pages(44, 1), THERE), MOVED, "{text}");
        assert_eq!((node(&space, 44), load(&space, 44)), (THERE, Ok(8)), "{text}");
        Audit::of(&mem).space(&space).file(&file).check();
    }
}

#[test]
fn who_refers_to_it_keeps_it_and_the_list_keeps_the_old_one() {
    for text in crate::rules::PRESETS {
        let (mem, space, _disk, file) = shown(text);
        let old = store(&space, 40, 5).unwrap();
        let pins = space.pin(pages(40, 1), Access::Write, Term::Short).unwrap();
        let (moved, events) = mem.platform().record(|| space.migrate(pages(40, 1), THERE));
        assert_eq!(moved, STAYS, "{text}");
        let busy = |event: &EventKind| matches!(event, EventKind::MigrationBusy { pfn, .. } if *pfn == old);
        assert!(events.iter().any(busy), "{text}");
        assert_eq!((store(&space, 40, 6), read(&mem, &file)), (Ok(old), 6), "{text}");
        Audit::of(&mem).space(&space).file(&file).pins(pins.pages()).check();
        drop(pins);
        let gets = space.get(pages(40, 1), Access::Write).unwrap();
        assert_eq!(space.migrate(pages(40, 1), THERE), STAYS, "{text}");
        Audit::of(&mem).space(&space).file(&file).gets(gets.pages()).check();
        drop(gets);
        assert_eq!(space.migrate(pages(40, 1), THERE), MOVED, "{text}");
    }
}

#[test]
fn the_scope_of_a_request_counts_its_mappings() {
    let (mem, space, _disk, file) = shown("pinfold");
    store(&space, 40, 5).unwrap();
    load(&space, 50).unwrap();
    let asked = [(at(40), THERE)];
    space.move_pages(&asked, MoveScope::Own, |status| assert_eq!(status, PageStatus::Shared));
    let own = space.move_range(pages(40, 1), THERE, MoveScope::Own, crate::Strict::No);
    assert_eq!(own, Ok(Moved::default()), "it is left to all, which is no failure");
    space.move_pages(&asked, MoveScope::All, |status| assert_eq!(status, PageStatus::On(THERE)));
    Audit::of(&mem).space(&space).file(&file).check();
}

#[test]
fn a_page_that_was_taken_out_stays_with_who_holds_it() {
    let (mem, space, _disk, file) = shown("pinfold");
    let old = store(&space, 40, 5).unwrap();
    let pins = space.pin(pages(40, 1), Access::Write, Term::Short).unwrap();
    let isolated = mem.isolate(old, crate::frame::Sizes::Any).unwrap();
    file.truncate(0).unwrap();
    let target = crate::migrate::Target::node(THERE);
    assert_eq!(mem.migrate(isolated, target, MigrateMode::Sync), STAYS);
    assert!(mem.isolate(old, crate::frame::Sizes::Any).is_none(), "it is nobody's");
    drop((pins, space, file));
    assert_eq!(mem.frames().counts(old).refs(), 0);
    Audit::of(&mem).check();
}

#[test]
fn a_page_that_is_written_back_is_waited_for_by_sync_alone() {
    let (mem, space, _disk, file) = shown("pinfold");
    let old = store(&space, 40, 5).unwrap();
    {
        let _locked = mem.lock_page(old);
        mem.begin_writeback(old);
        for mode in [MigrateMode::Async, MigrateMode::SyncLight] {
            assert_eq!(space.migrate_as(pages(40, 1), THERE, mode), STAYS, "{mode:?}");
        }
        assert_eq!(frame(&space, 40), old);
        mem.frames().end_writeback(old);
    }
    assert_eq!(space.migrate_as(pages(40, 1), THERE, MigrateMode::SyncLight), MOVED);
    Audit::of(&mem).space(&space).file(&file).check();
}

/// INV-MIG-9.
#[test]
fn a_light_move_that_sleeps_for_a_page_stops_when_that_is_written() {
    let (mem, space, _disk, file) = shown("pinfold");
    let old = store(&space, 40, 5).unwrap();
    let locked = mem.lock_page(old);
    let (moved, woken) = std::thread::scope(|scope| {
        let (space, light) = (&space, MigrateMode::SyncLight);
        let mover = scope.spawn(move || space.migrate_as(pages(40, 1), THERE, light));
        while !mem.frames().flags(old).contains(Flags::WAITERS) {
            std::thread::yield_now();
        }
        let woken = mem.platform().wakes(|| mem.begin_writeback(old));
        (mover.join().unwrap(), woken)
    });
    assert_eq!((moved, frame(&space, 40), woken), (STAYS, old, 1));
    mem.frames().end_writeback(old);
    drop(locked);
    assert_eq!(space.migrate_as(pages(40, 1), THERE, MigrateMode::SyncLight), MOVED);
    Audit::of(&mem).space(&space).file(&file).check();
}

#[test]
fn who_has_the_list_keeps_a_mode_that_does_not_wait_from_moving() {
    let (mem, space, _disk, file) = shown("pinfold");
    store(&space, 40, 5).unwrap();
    let layout = file.layout();
    assert_eq!(space.migrate_as(pages(40, 1), THERE, MigrateMode::Async), STAYS);
    assert!(space.entry(at(40)).is_writable(), "as it was");
    drop(layout);
    assert_eq!(space.migrate_as(pages(40, 1), THERE, MigrateMode::Async), MOVED);
    Audit::of(&mem).space(&space).file(&file).check();
}

#[test]
fn a_batch_moves_pages_of_one_file_among_others() {
    for text in crate::rules::PRESETS {
        let (mem, space, _disk, file) = shown(text);
        let all: Vec<u64> = (16..20).chain([40, 41, 51]).collect();
        all.iter().for_each(|page| _ = store(&space, *page, *page).unwrap());
        map_shared(&space, 44, 1);
        space.protect(pages(40, 1), Prot::READ).unwrap();
        assert_eq!(space.migrate(pages(1, 100), THERE), Moved { moved: 7, failed: 0 }, "{text}");
        assert!(all.iter().all(|page| load(&space, *page) == Ok(*page)), "{text}");
        assert!(!space.entry(at(40)).is_writable(), "{text}");
        space.protect(pages(40, 1), RW).unwrap();
        store(&space, 40, 1).unwrap();
        Audit::of(&mem).space(&space).file(&file).check();
    }
}

#[test]
fn a_full_node_is_an_ordinary_failure() {
    let (mem, space, _disk, file) = shown("pinfold");
    (16..24).for_each(|page| _ = store(&space, page, page).unwrap());
    store(&space, 40, 40).unwrap();
    space.migrate(pages(16, 8), THERE);
    assert_eq!(space.migrate(pages(40, 1), THERE), STAYS);
    let none = |status| assert_eq!(status, PageStatus::NoFrame);
    space.move_pages(&[(at(40), THERE)], MoveScope::All, none);
    assert_eq!(read(&mem, &file), 40);
    Audit::of(&mem).space(&space).file(&file).check();
}
