//! Which pages of shared memory leave, what keeps them, and how they come back.

use crate::heap::{Deny, with_heap};
use crate::testing::{
    Audit, Disk, Mem, Rig, Space, device_read, device_write, load, machine, map, map_file,
    map_shared, pages, rules, space, store,
};
use crate::{
    Access, Advice, EventKind, FaultError, File, FileError, FileSharing, Group, NodeId, Prot,
    Reclaimed, Reclaimer, StoreError, SwapError, SwapId, SwapUsage, SwapWrites, Term, Tuning,
    UffdError, UffdId, UffdMode, VirtAddr, X86_64,
};
use std::boxed::Box;
use std::sync::Arc;
use std::vec::Vec;

const NODE: NodeId = NodeId(0);
const ONE: Reclaimed = Reclaimed { freed: 1, kept: 0 };
const KEPT: Reclaimed = Reclaimed { freed: 0, kept: 1 };

fn listing(batch: u32) -> Tuning {
    Tuning { lru_batch: batch, reclaim_batch: 4, fault_around: 1, ..Tuning::default() }
}

/// A machine with lists and a swap device, and memory with a name of so many pages that is mapped
/// from 16 on.
struct World {
    mem: Mem<X86_64>,
    space: Space<X86_64>,
    disk: Disk,
    id: SwapId,
    file: File<Rig<X86_64>>,
}

fn world(text: &str, len: u64) -> World {
    let mem = machine(rules(text), &[48], listing(1));
    let disk = Disk::default();
    let id = mem.swap_on(Box::new(disk.clone()), 64, SwapWrites::Any).unwrap();
    let space = space(&mem);
    let file = File::in_memory(&mem, len).unwrap();
    map_file(&space, 16, file.run(0..len), FileSharing::Shared);
    World { mem, space, disk, id, file }
}

impl World {
    fn check(&self) {
        Audit::of(&self.mem).space(&self.space).file(&self.file).check();
    }

    fn usage(&self) -> (u64, u64) {
        let SwapUsage { slots, free, cached } = self.mem.swap_usage(self.id).unwrap();
        (slots - free, cached)
    }

    fn read(&self, index: u64) -> Result<u64, FileError> {
        self.file.read(index, |pfn| device_read(&self.mem, pfn))
    }
}

fn out(space: &Space<X86_64>, page: u64) -> Reclaimed {
    space.page_out(pages(page, 1), Reclaimer::Pressure)
}

#[test]
fn a_page_goes_and_comes_back_for_all_who_map_it_under_every_rule() {
    for text in crate::rules::PRESETS {
        let world = world(text, 2);
        let (mem, space) = (&world.mem, &world.space);
        store(space, 16, 5).unwrap();
        let child = space.fork().unwrap();
        assert_eq!(load(&child, 16), Ok(5));
        let free = mem.frames().total_free();
        let (done, events) = mem.platform().record(|| out(space, 16));
        assert_eq!((done, mem.frames().total_free()), (ONE, free + 1), "{text}");
        assert!(events.iter().any(|event| matches!(event, EventKind::SwapFreed(_))), "{text}");
        for space in [space, &child] {
            assert!(space.entry(VirtAddr::of_page(16)).is_none(), "{text}");
        }
        assert_eq!((world.disk.page(0), world.usage()), (5, (1, 0)), "{text}");
        Audit::of(mem).space(space).space(&child).file(&world.file).check();
        store(&child, 16, 6).unwrap();
        assert_eq!((load(space, 16), world.usage()), (Ok(6), (0, 0)), "{text}");
        let stats = mem.stats();
        assert_eq!((stats.pswpin, stats.pswpout, stats.pgmajfault), (1, 1, 1), "{text}");
        assert_eq!((stats.pgscan_anon, stats.pgsteal_anon), (1, 1), "{text}");
        assert_eq!((stats.pgscan_file, stats.pgsteal_file), (0, 0), "{text}");
        Audit::of(mem).space(space).space(&child).file(&world.file).check();
    }
}

#[test]
fn advice_passes_over_what_two_map_and_pressure_does_not() {
    let world = world("pinfold", 1);
    store(&world.space, 16, 1).unwrap();
    let child = world.space.fork().unwrap();
    load(&child, 16).unwrap();
    let advised = |space: &Space<X86_64>| space.page_out(pages(16, 1), Reclaimer::Advice);
    assert_eq!(advised(&world.space), Reclaimed::default());
    drop(child);
    assert_eq!(advised(&world.space), ONE);
    assert_eq!(world.read(0), Ok(1), "by its file, too");
    world.check();
}

#[test]
fn a_machine_full_of_shared_memory_serves_every_operation() {
    let mem: Mem<X86_64> = machine(rules("pinfold"), &[48], listing(4));
    let disk = Disk::default();
    let id = mem.swap_on(Box::new(disk), 256, SwapWrites::Any).unwrap();
    let space = space(&mem);
    map_shared(&space, 16, 120);
    map(&space, 512, 8, Prot::READ_WRITE);
    for page in 16..136 {
        store(&space, page, page).unwrap();
    }
    for page in 512..520 {
        store(&space, page, page).unwrap();
    }
    let child = space.fork().unwrap();
    store(&child, 512, 1).unwrap();
    for page in (16..136).rev() {
        assert_eq!(load(&child, page), Ok(page));
        store(&child, page, page + 1).unwrap();
    }
    for page in (16..136).step_by(7) {
        assert_eq!(load(&space, page), Ok(page + 1));
    }
    for page in 513..520 {
        assert_eq!((load(&child, page), load(&space, page)), (Ok(page), Ok(page)));
    }
    let stats = mem.stats();
    assert!(stats.pswpout > 150 && stats.pswpin > 100, "{stats:?}");
    assert!(stats.workingset_refault_anon > 0, "{stats:?}");
    Audit::of(&mem).space(&space).space(&child).check();
    drop((space, child));
    assert_eq!(mem.swap_usage(id), Some(SwapUsage { slots: 256, free: 256, cached: 0 }));
    Audit::of(&mem).check();
}

#[test]
fn without_a_device_a_machine_full_of_it_says_so() {
    let mem: Mem<X86_64> = machine(rules("pinfold"), &[48], listing(1));
    let space = space(&mem);
    map_shared(&space, 16, 120);
    let full = (16..136).find(|page| store(&space, *page, 1) == Err(FaultError::OutOfFrames));
    assert!(full.is_some());
    Audit::of(&mem).space(&space).check();
}

#[test]
fn whoever_refers_to_a_page_keeps_it_and_what_he_stores() {
    for (text, term) in [("pinfold", Term::Short), ("5.8", Term::Short), ("6.1", Term::Long)] {
        let world = world(text, 1);
        let pins = world.space.pin(pages(16, 1), Access::Write, term).unwrap();
        let pinned = pins.pages()[0];
        assert_eq!(out(&world.space, 16), KEPT, "{text}");
        assert_eq!(world.mem.reclaim(NODE, 1).freed, 0, "{text}");
        device_write(&world.mem, pinned, 3);
        pins.unpin_dirty();
        assert_eq!((world.read(0), world.usage()), (Ok(3), (0, 0)), "{text}");
        assert_eq!((world.mem.reclaim(NODE, 1).freed, world.disk.page(0)), (1, 3), "{text}");
        assert_eq!(load(&world.space, 16), Ok(3), "{text}");
        world.check();
    }
}

/// What is stored by a reference that was there for a moment, and gone before the page leaves.
#[test]
fn a_store_while_it_is_written_is_not_lost() {
    let world = world("pinfold", 1);
    let pfn = store(&world.space, 16, 1).unwrap();
    let mem: &'static Mem<X86_64> = Box::leak(Box::new(world.mem.clone()));
    world.disk.while_writing(move || {
        mem.get(pfn, 1);
        device_write(mem, pfn, 2);
        mem.mark_dirty(pfn);
        mem.put(pfn, 1);
    });
    assert_eq!((out(&world.space, 16), world.usage()), (KEPT, (0, 0)));
    assert_eq!(load(&world.space, 16), Ok(2));
    assert_eq!((out(&world.space, 16), world.disk.page(0)), (ONE, 2));
    world.check();
}

/// Nobody maps a page while its device reads it, whatever the device wants.
#[test]
fn who_wants_a_page_while_it_is_written_waits() {
    let world = world("pinfold", 2);
    store(&world.space, 16, 1).unwrap();
    let child = Arc::new(world.space.fork().unwrap());
    let stored = std::thread::scope(|scope| {
        let (send, wait) = std::sync::mpsc::channel();
        let other = child.clone();
        let writer = scope.spawn(move || {
            wait.recv().unwrap();
            store(&other, 16, 2).unwrap();
        });
        let (seen, tell) = (child.clone(), std::sync::mpsc::channel());
        world.disk.while_writing(move || {
            send.send(()).unwrap();
            // Long enough for a store that does not wait.
            std::thread::sleep(std::time::Duration::from_millis(50));
            tell.0.send(seen.entry(VirtAddr::of_page(16)).is_none()).unwrap();
        });
        // It stays, as the other one has a reference, or has left before that came.
        let done = out(&world.space, 16);
        assert!(done == KEPT || done == ONE);
        writer.join().unwrap();
        tell.1.recv().unwrap()
    });
    assert!(stored, "nobody had it mapped");
    assert_eq!((load(&child, 16), load(&world.space, 16)), (Ok(2), Ok(2)));
    Audit::of(&world.mem).space(&world.space).space(&child).file(&world.file).check();
}

#[test]
fn what_is_on_a_device_is_not_invalidated_and_the_last_page_is_cut() {
    let world = world("pinfold", 2);
    let (space, file) = (&world.space, &world.file);
    store(space, 16, 5).unwrap();
    assert_eq!(out(space, 16), ONE);
    assert_eq!(file.invalidate(0..2), Err(FileError::Busy { page: 0 }));
    assert_eq!(world.read(0), Ok(5));
    assert_eq!(out(space, 16), Reclaimed::default(), "it is not mapped");
    load(space, 16).unwrap();
    assert_eq!(out(space, 16), ONE);
    world.disk.fail(Some(StoreError::Io));
    let cut = || file.truncate_within(1, |frame| device_write(&world.mem, frame, 0));
    assert_eq!(cut(), Err(FileError::Store { page: 0, error: StoreError::Io }));
    assert_eq!((file.pages(), world.usage()), (2, (1, 0)));
    world.disk.fail(None);
    assert_eq!((cut(), file.pages(), world.usage()), (Ok(()), 1, (0, 0)));
    assert_eq!(load(space, 16), Ok(0));
    world.check();
}

#[test]
fn a_page_that_is_locked_in_memory_or_under_its_lock_stays() {
    let world = world("pinfold", 2);
    let (mem, space) = (&world.mem, &world.space);
    let pfn = store(space, 16, 1).unwrap();
    store(space, 17, 2).unwrap();
    space.mlock(pages(16, 1)).unwrap();
    assert_eq!((out(space, 16), mem.list_sizes(NODE).unevictable), (KEPT, 1));
    space.munlock(pages(16, 1)).unwrap();
    let locked = mem.try_lock_page(pfn).unwrap();
    assert_eq!(out(space, 16), KEPT);
    drop(locked);
    let closed = world.file.layout();
    assert_eq!(out(space, 16), KEPT, "its list is closed");
    drop(closed);
    assert_eq!((mem.reclaim(NODE, 2).freed, world.usage()), (2, (2, 0)));
    world.check();
}

#[test]
fn a_full_or_failing_device_keeps_pages_and_contents() {
    let world = world("pinfold", 2);
    let (mem, space, disk) = (&world.mem, &world.space, &world.disk);
    store(space, 16, 1).unwrap();
    store(space, 17, 2).unwrap();
    disk.fail(Some(StoreError::Io));
    assert_eq!((out(space, 16), world.usage()), (KEPT, (0, 0)));
    assert_eq!(load(space, 16), Ok(1));
    disk.fail(None);
    assert_eq!(space.page_out(pages(16, 2), Reclaimer::Pressure).freed, 2);
    disk.fail(Some(StoreError::Io));
    let at = VirtAddr::of_page(16);
    assert_eq!(store(space, 16, 9), Err(FaultError::Store(at, StoreError::Io)));
    assert_eq!(world.read(1), Err(FileError::Store { page: 1, error: StoreError::Io }));
    assert_eq!(space.swap_in(world.id), Err(FaultError::Store(at, StoreError::Io)));
    assert_eq!(
        (world.usage(), mem.swap_off(world.id)),
        ((2, 0), Err(SwapError::InUse { slots: 2 }))
    );
    mem.swap_again(world.id);
    world.check();
    disk.fail(None);
    assert_eq!((load(space, 16), load(space, 17), world.usage()), (Ok(1), Ok(2), (0, 0)));
    mem.swap_off(world.id).unwrap();
    let small = Disk::default();
    let id = mem.swap_on(Box::new(small), 1, SwapWrites::Any).unwrap();
    let done = space.page_out(pages(16, 2), Reclaimer::Pressure);
    assert_eq!((done, space.swap_in(id)), (Reclaimed { freed: 1, kept: 1 }, Ok(1)));
    world.check();
}

#[test]
fn a_device_goes_once_every_page_is_back_mapped_or_not() {
    let world = world("pinfold", 4);
    let (mem, space) = (&world.mem, &world.space);
    for page in 16..20 {
        store(space, page, page).unwrap();
    }
    assert_eq!(space.page_out(pages(16, 4), Reclaimer::Pressure).freed, 4);
    space.unmap(pages(17, 3)).unwrap();
    assert_eq!(space.swap_in(world.id), Ok(4), "all of what it maps a part of");
    assert_eq!(mem.reclaim(NODE, 8).freed, 4);
    space.unmap(pages(16, 1)).unwrap();
    assert_eq!((space.swap_in(world.id), world.usage()), (Ok(0), (4, 0)));
    assert_eq!(mem.swap_off(world.id), Err(SwapError::InUse { slots: 4 }));
    assert_eq!((world.file.swap_in(world.id), mem.swap_off(world.id)), (Ok(4), Ok(())));
    for index in 0..4 {
        assert_eq!(world.read(index), Ok(16 + index));
    }
    world.check();
}

#[test]
fn what_is_cut_off_punched_or_dropped_gives_its_slot_back() {
    let world = world("pinfold", 4);
    let (space, file) = (&world.space, &world.file);
    let all_out = || {
        for page in 16..20 {
            let _past_the_end = store(space, page, page);
        }
        space.page_out(pages(16, 4), Reclaimer::Pressure).freed
    };
    assert_eq!(all_out(), 4);
    file.punch(1..2);
    assert_eq!((world.usage(), load(space, 17), load(space, 16)), ((3, 0), Ok(0), Ok(16)));
    assert_eq!(all_out(), 4);
    file.truncate(1).unwrap();
    assert_eq!(world.usage(), (1, 0));
    file.truncate(4).unwrap();
    assert_eq!((load(space, 18), load(space, 16)), (Ok(0), Ok(16)));
    world.check();
    assert_eq!(all_out(), 4);
    let World { mem, space, id, file, .. } = world;
    drop((space, file));
    assert_eq!(mem.swap_usage(id).unwrap().free, 64);
    Audit::of(&mem).check();
}

#[test]
fn zeros_are_not_written_where_the_rule_says_so() {
    for (text, written) in [("6.11", 1), ("pinfold", 0)] {
        let world = world(text, 1);
        store(&world.space, 16, 0).unwrap();
        assert_eq!(out(&world.space, 16), ONE);
        assert_eq!(world.disk.written().len(), written, "{text}");
        assert_eq!(load(&world.space, 16), Ok(0));
        let stats = world.mem.stats();
        assert_eq!(stats.swpout_zero + stats.swpin_zero, 2 * u64::from(written == 0), "{text}");
        world.check();
    }
}

#[test]
fn a_monitor_finds_what_is_on_a_device_there() {
    let world = world("pinfold", 2);
    store(&world.space, 16, 5).unwrap();
    assert_eq!(out(&world.space, 16), ONE);
    let mut resident = Vec::new();
    world.space.resident(pages(16, 2), |page| resident.push(page)).unwrap();
    assert_eq!(resident, [false, false]);
    world.space.uffd_register(pages(16, 2), UffdId(7), UffdMode::MINOR).unwrap();
    assert!(matches!(load(&world.space, 16), Err(FaultError::Userfault { .. })));
    let resolve = |page| world.space.uffd_continue(VirtAddr::of_page(page), false);
    assert_eq!(resolve(17), Err(UffdError::Absent(VirtAddr::of_page(17))));
    resolve(16).unwrap();
    assert_eq!(load(&world.space, 16), Ok(5));
    world.check();
}

#[test]
fn cold_pages_leave_first_and_a_refault_is_measured() {
    let world = world("pinfold", 3);
    let (mem, space) = (&world.mem, &world.space);
    for page in 16..19 {
        store(space, page, page).unwrap();
    }
    assert_eq!(mem.list_sizes(NODE).inactive, 3);
    space.advise(pages(17, 1), Advice::Cold).unwrap();
    assert_eq!((mem.reclaim(NODE, 1).freed, world.usage()), (1, (1, 0)));
    assert!(space.entry(VirtAddr::of_page(17)).is_none());
    assert_eq!((load(space, 17), mem.stats().workingset_refault_anon), (Ok(17), 1));
    world.check();
}

#[test]
fn who_brings_a_page_back_pays_for_it_or_it_stays_away() {
    let world = world("pinfold", 2);
    let (poor, mem) = (Group::new(&world.mem, 1).unwrap(), &world.mem);
    store(&world.space, 16, 4).unwrap();
    store(&world.space, 17, 5).unwrap();
    assert_eq!(world.space.page_out(pages(16, 2), Reclaimer::Pressure).freed, 2);
    let paid = world.file.paid_by(&poor);
    assert_eq!(paid.read(0, |pfn| device_read(mem, pfn)), Ok(4));
    assert_eq!((poor.charged(), poor.stats().nr_shmem), (1, 1));
    assert!(matches!(paid.read(1, |pfn| pfn), Err(FileError::OverLimit { .. })));
    assert_eq!((world.usage(), world.read(1)), ((1, 0), Ok(5)));
    assert_eq!(out(&world.space, 16), Reclaimed::default(), "it is not mapped");
    assert_eq!(mem.reclaim(NODE, 2).freed, 2);
    assert_eq!((poor.charged(), poor.stats().nr_shmem), (0, 0));
    world.check();
}

#[test]
fn without_heap_it_comes_back_all_the_same() {
    let world = world("pinfold", 1);
    store(&world.space, 16, 8).unwrap();
    assert_eq!(out(&world.space, 16), ONE);
    assert_eq!(with_heap(Deny::After(0), || load(&world.space, 16)), (Ok(8), 0));
    world.check();
}
