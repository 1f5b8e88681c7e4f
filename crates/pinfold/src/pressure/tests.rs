//! Lists, batches, second chances, and what happens when frames are short.

use crate::frame::{Kind, List, Sizes};
use crate::testing::{
    Audit, Disk, Marks, Mem, Space, load, machine, machine_of, map, map_shared, pages, rules,
    space, store,
};
use crate::{
    Access, Advice, FaultError, FrameSetup, ListSizes, NodeId, NodeSpan, Pfn, PinError, Placement,
    Prot, Reclaimed, Reclaimer, Remap, SwapId, SwapWrites, Term, Tuning, UffdId, UffdMode,
    VirtAddr, Vpn, Watermarks, X86_64, Zone,
};
use std::boxed::Box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread::spawn;
use std::time::Duration;
use std::vec::Vec;

mod zones;

const RW: Prot = Prot::READ_WRITE;
const NODE: NodeId = NodeId(0);
/// A page that has no table in common with those that tests begin with.
const FAR: u64 = 3 << 18;

fn listing(batch: u32) -> Tuning {
    Tuning { lru_batch: batch, reclaim_batch: 4, ..Tuning::default() }
}

/// A machine with lists and so many frames and swap slots, and an address space with `len` pages
/// from 16 on.
fn world_of(
    text: &str,
    tuning: Tuning,
    (frames, slots, len): (u64, u64, u64),
) -> (Mem<X86_64>, Space<X86_64>, Disk, Option<SwapId>) {
    let mem = machine(rules(text), &[frames], tuning);
    let disk = Disk::default();
    let swap = match slots {
        0 => None,
        _ => Some(mem.swap_on(Box::new(disk.clone()), slots, SwapWrites::Any).unwrap()),
    };
    let space = space(&mem);
    map(&space, 16, len, RW);
    (mem, space, disk, swap)
}

fn refs(mem: &Mem<X86_64>, space: &Space<X86_64>, page: u64) -> u32 {
    let pfn = space.entry(VirtAddr::of_page(page)).counted().unwrap();
    mem.frames().counts(pfn).refs()
}

fn sizes(active: u64, inactive: u64) -> ListSizes {
    ListSizes { active, inactive, ..ListSizes::default() }
}

/// As if nobody had used the pages since reclaim looked at them.
fn forget_use(space: &Space<X86_64>, page: u64, count: u64) {
    space.advise(pages(page, count), Advice::Cold).unwrap();
}

#[test]
fn a_new_page_waits_in_a_batch_that_has_a_reference_until_it_is_full() {
    let (mem, space, _, _) = world_of("pinfold", listing(3), (64, 16, 8));
    for page in 16..18 {
        store(&space, page, 1).unwrap();
    }
    assert_eq!((refs(&mem, &space, 16), refs(&mem, &space, 17)), (2, 2));
    assert_eq!(mem.list_sizes(NODE), sizes(0, 0));
    Audit::of(&mem).space(&space).check();
    store(&space, 18, 1).unwrap();
    assert_eq!((refs(&mem, &space, 16), refs(&mem, &space, 18)), (1, 1));
    assert_eq!(mem.list_sizes(NODE), sizes(0, 3));
    store(&space, 19, 1).unwrap();
    mem.lru_add_drain();
    assert_eq!((refs(&mem, &space, 19), mem.list_sizes(NODE)), (1, sizes(0, 4)));
    Audit::of(&mem).space(&space).check();
}

#[test]
fn a_page_that_is_freed_leaves_its_list_or_its_batch() {
    let (mem, space, _, _) = world_of("pinfold", listing(2), (64, 16, 8));
    let free = mem.frames().total_free();
    for page in 16..19 {
        store(&space, page, 1).unwrap();
    }
    assert_eq!(mem.list_sizes(NODE), sizes(0, 2));
    space.unmap(pages(16, 8)).unwrap();
    assert_eq!(mem.list_sizes(NODE), sizes(0, 0));
    Audit::of(&mem).space(&space).check();
    assert_eq!(mem.frames().total_free(), free - 1, "one waits in the batch");
    mem.lru_add_drain_all();
    assert_eq!(mem.frames().total_free(), free);
    Audit::of(&mem).space(&space).check();
}

#[test]
fn a_page_in_a_batch_is_not_isolated_and_a_request_drains_first() {
    let mem: Mem<X86_64> = machine(rules("pinfold"), &[32, 32], listing(31));
    let space = space(&mem);
    map(&space, 16, 2, RW);
    store(&space, 16, 7).unwrap();
    assert_eq!(space.compact(pages(16, 1), NodeId(1)).moved, 0, "as the batch has it");
    assert_eq!(space.migrate(pages(16, 1), NodeId(1)).moved, 1);
    assert_eq!(load(&space, 16), Ok(7));
    Audit::of(&mem).space(&space).check();
    mem.lru_add_drain_all();
    assert_eq!((mem.list_sizes(NODE), mem.list_sizes(NodeId(1))), (sizes(0, 0), sizes(0, 1)));
}

#[test]
fn what_was_used_gets_a_second_chance_and_then_counts_as_in_use() {
    let (mem, space, _, _) = world_of("pinfold", listing(1), (64, 16, 8));
    for page in 16..20 {
        store(&space, page, page).unwrap();
    }
    forget_use(&space, 16, 4);
    load(&space, 19).unwrap();
    assert_eq!(mem.reclaim(NODE, 2), Reclaimed { freed: 2, kept: 0 });
    assert_eq!((refs(&mem, &space, 19), mem.list_sizes(NODE)), (1, sizes(0, 2)));
    // The one that was used stays, as it is used again and again.
    load(&space, 19).unwrap();
    assert_eq!(mem.reclaim(NODE, 1).freed, 1);
    assert!(space.entry(VirtAddr::of_page(19)).is_mapped());
    let stats = mem.stats();
    assert_eq!((stats.pgsteal_direct, stats.pswpout), (3, 3));
    assert!(stats.pgscan_direct >= 3, "{stats:?}");
    Audit::of(&mem).space(&space).check();
    for page in 16..20 {
        assert_eq!(load(&space, page), Ok(page));
    }
}

#[test]
fn pages_in_use_leave_when_there_are_no_others() {
    let (mem, space, _, _) = world_of("pinfold", listing(1), (64, 16, 8));
    for page in 16..20 {
        store(&space, page, page).unwrap();
        load(&space, page).unwrap();
    }
    assert_eq!(mem.reclaim(NODE, 4).freed, 4, "after their second chance");
    let stats = mem.stats();
    assert!(stats.pgscan_direct > 4, "{stats:?}");
    assert_eq!(mem.list_sizes(NODE), sizes(0, 0));
    Audit::of(&mem).space(&space).check();
}

#[test]
fn what_cannot_leave_ends_reclaim() {
    for text in crate::rules::PRESETS {
        let (mem, space, _, _) = world_of(text, listing(1), (64, 0, 8));
        for page in 16..20 {
            store(&space, page, page).unwrap();
        }
        assert_eq!(mem.reclaim(NODE, 4).freed, 0, "{text}: there is no device");
        assert_eq!(mem.balance(NODE), Reclaimed::default(), "{text}");
        Audit::of(&mem).space(&space).check();
    }
    let (mem, space, _, _) = world_of("pinfold", listing(1), (64, 16, 8));
    store(&space, 16, 5).unwrap();
    let pins = space.pin(pages(16, 1), Access::Write, Term::Long).unwrap();
    assert_eq!(mem.reclaim(NODE, 1).freed, 0);
    drop(pins);
    assert_eq!(mem.reclaim(NODE, 1).freed, 1);
    Audit::of(&mem).space(&space).check();
}

#[test]
fn only_pages_that_serve_the_zone_are_taken() {
    let spans = |first, frames| [NodeSpan { node: NODE, first: Pfn(first), frames }];
    let (plain, movable) = (spans(0, 32), spans(32, 16));
    let setup = FrameSetup::new(&plain).movable(&movable);
    let mem = machine_of::<X86_64>(Marks::Hardware, setup, rules("pinfold"), listing(1));
    mem.swap_on(Box::new(Disk::default()), 32, SwapWrites::Any).unwrap();
    let space = space(&mem);
    map(&space, 16, 20, RW);
    for page in 16..34 {
        store(&space, page, page).unwrap();
    }
    forget_use(&space, 16, 18);
    let frame = |page| space.entry(VirtAddr::of_page(page)).counted().map(|pfn| pfn.0);
    let low = (16..34).filter(|page| frame(*page).unwrap() < 32).count() as u64;
    assert!((1..18).contains(&low), "pages of both kinds of memory: {low}");
    assert_eq!(mem.reclaim_zone(NODE, Zone::Any, 18).freed, low);
    assert!((16..34).filter_map(frame).all(|pfn| pfn >= 32), "what is movable serves no table");
    assert_eq!(mem.reclaim(NODE, 18).freed, 18 - low);
    assert_eq!(mem.reclaim(NodeId(9), 1), Reclaimed::default(), "there is no such node");
    Audit::of(&mem).space(&space).check();
}

#[test]
fn who_reclaims_for_a_fault_a_fork_or_a_pin_holds_no_lock_of_a_space() {
    type Do = fn(&Space<X86_64>) -> bool;
    let operations: [Do; 11] = [
        |space| store(space, 60, 1).is_ok(),
        |space| space.fork().is_ok(),
        |space| space.pin(pages(60, 1), Access::Write, Term::Short).is_ok(),
        |space| space.populate(pages(60, 2), Access::Write).is_ok(),
        |space| {
            let (mut filled, at) = (0, VirtAddr::of_page(300));
            let copied = space.uffd_copy(at, false, |_| filled += 1).is_ok();
            copied && filled == 1 && space.entry(at).is_mapped()
        },
        |space| space.uffd_zero(VirtAddr::of_page(FAR)).is_ok(),
        |space| space.uffd_write_protect(pages(FAR, 1), true).is_ok(),
        |space| {
            space.remap(pages(16, 1), 1, Remap::To(VirtAddr::of_page(2 * FAR))).is_ok()
                && load(space, 2 * FAR) == Ok(1)
        },
        |space| Disk::default().file(space.memory(), 4).read(3, drop).is_ok(),
        |space| Disk::default().file(space.memory(), 4).write(3, drop).is_ok(),
        |space| {
            let mut seen = Vec::new();
            let done = space.access_remote(pages(59, 2), Access::Write, |page, _| seen.push(page));
            done.is_ok() && seen == [Vpn(59), Vpn(60)]
        },
    ];
    for (number, operation) in operations.into_iter().enumerate() {
        let (mem, space, disk, _) = world_of("pinfold", listing(1), (48, 64, 60));
        let all = UffdMode::MISSING | UffdMode::WP | UffdMode::WP_UNPOPULATED;
        for page in [300, FAR] {
            map(&space, page, 1, RW);
            space.uffd_register(pages(page, 1), UffdId(1), all).unwrap();
        }
        let space = Arc::new(space);
        for page in 16..60 {
            if mem.frames().total_free() == 0 {
                break;
            }
            store(&space, page, 1).unwrap();
        }
        let (other, met) = (space.clone(), Arc::new(AtomicBool::new(false)));
        let seen = met.clone();
        disk.while_writing(move || {
            // A change of areas needs the lock for itself.
            let (done, ended) = channel();
            let maps = spawn(move || {
                map(&other, 200, 1, RW);
                done.send(()).unwrap();
            });
            ended.recv_timeout(Duration::from_secs(20)).expect("somebody holds the space's lock");
            maps.join().unwrap();
            seen.store(true, Ordering::Relaxed);
        });
        assert!(operation(&space), "operation {number}");
        assert!(met.load(Ordering::Relaxed), "operation {number} had to reclaim");
        Audit::of(&mem).space(&space).check();
    }
}

#[test]
fn the_background_works_from_low_to_high() {
    let marks = Watermarks { min: 4, low: 20, high: 24 };
    let tuning = Tuning { watermarks: marks, ..listing(4) };
    let (mem, space, _, _) = world_of("pinfold", tuning, (64, 64, 64));
    let mut page = 16;
    while !mem.is_low(NODE) {
        store(&space, page, page).unwrap();
        page += 1;
    }
    let done = mem.balance(NODE);
    assert!(mem.frames().total_free() >= 24, "{done:?}");
    assert_eq!(mem.balance(NODE), Reclaimed::default(), "it is not low any more");
    let stats = mem.stats();
    assert_eq!((stats.pgsteal_kswapd, stats.pgsteal_direct), (done.freed, 0));
    Audit::of(&mem).space(&space).check();
}

#[test]
fn a_life_larger_than_the_machine_goes_on_while_there_is_swap() {
    for text in crate::rules::PRESETS {
        let (mem, space, _, _) = world_of(text, listing(4), (40, 256, 120));
        for page in 16..136 {
            store(&space, page, page).unwrap();
        }
        for page in (16..136).rev() {
            assert_eq!(load(&space, page), Ok(page), "{text}");
        }
        assert!(mem.stats().allocstall > 0, "{text}");
        Audit::of(&mem).space(&space).check();
        drop(space);
        mem.lru_add_drain_all();
        Audit::of(&mem).check();
    }
}

#[test]
fn without_room_on_swap_every_operation_says_that_there_are_no_frames() {
    for slots in [0, 8] {
        let (mem, space, _, _) = world_of("pinfold", listing(4), (40, slots, 120));
        let full = (16..136).find(|page| store(&space, *page, 1).is_err()).unwrap();
        assert_eq!(store(&space, full, 1), Err(FaultError::OutOfFrames));
        let pins = space.pin(pages(full, 1), Access::Write, Term::Short);
        assert_eq!(pins.unwrap_err(), PinError::Fault(FaultError::OutOfFrames));
        let error = space.populate(pages(16, 120), Access::Write).unwrap_err();
        assert_eq!(error.error, FaultError::OutOfFrames);
        assert_eq!(space.fork().unwrap_err(), crate::SpaceError::OutOfFrames);
        Audit::of(&mem).space(&space).check();
        space.unmap(pages(16, 120)).unwrap();
        store_one_elsewhere(&space);
        Audit::of(&mem).space(&space).check();
    }
}

#[test]
fn frames_that_only_a_batch_keeps_are_relief_without_a_device() {
    let (mem, space, _, _) = world_of("pinfold", listing(31), (32, 0, 120));
    let full = (16..).find(|page| {
        store(&space, *page, 1).unwrap();
        mem.frames().total_free() == 0
    });
    space.advise(pages(16, full.unwrap() - 15), Advice::DontNeed).unwrap();
    assert_eq!(mem.frames().total_free(), 0, "the batch refers to all of them");
    store(&space, 16, 2).unwrap();
    assert_eq!(mem.stats().allocstall, 1);
    Audit::of(&mem).space(&space).check();
}

#[test]
fn a_long_range_may_be_short_of_frames_as_often_as_it_comes_further() {
    let (mem, space, _, _) = world_of("pinfold", listing(4), (40, 1024, 900));
    space.populate(pages(16, 900), Access::Write).unwrap();
    assert!(mem.stats().allocstall > u64::from(super::RETRIES));
    Audit::of(&mem).space(&space).check();
    drop((space, mem));
    let tuning = Tuning { reclaim_batch: 1, ..listing(1) };
    let (mem, space, _, _) = world_of("pinfold", tuning, (1024, 1024, 900));
    space.populate(pages(16, 900), Access::Write).unwrap();
    map(&space, 1000, 850, RW);
    let pins = space.pin(pages(1000, 850), Access::Write, Term::Short).unwrap();
    assert_eq!(pins.pages().len(), 850);
    assert!(mem.stats().allocstall > u64::from(super::RETRIES));
    Audit::of(&mem).space(&space).pins(pins.pages()).check();
}

#[test]
fn below_min_only_the_near_node_gives_while_another_has_frames() {
    let marks = Watermarks { min: 8, low: 0, high: 0 };
    let tuning = Tuning { watermarks: marks, ..listing(1) };
    let mem: Mem<X86_64> = machine(rules("pinfold"), &[32, 64], tuning);
    mem.swap_on(Box::new(Disk::default()), 128, SwapWrites::Any).unwrap();
    let (space, run_on) = (space(&mem), |node| mem.platform().host.run_on(NodeId(node)));
    map(&space, 16, 100, RW);
    run_on(1);
    for page in 16..24 {
        store(&space, page, 1).unwrap();
    }
    // Nothing of the near node can leave.
    run_on(0);
    let near = mem.frames().free_frames(NODE) - 8;
    let pins = space.pin(pages(24, near), Access::Write, Term::Short).unwrap();
    let take = || mem.frames().take(Placement::Only(NODE)).unwrap();
    let held: Vec<_> = (0..4).map(|_| take()).collect();
    store(&space, 90, 1).unwrap();
    assert_eq!((mem.stats().allocstall, mem.stats().pswpout), (1, 0));
    // A node without memory has nothing to be kept.
    run_on(9);
    store(&space, 91, 1).unwrap();
    assert_eq!((mem.stats().allocstall, mem.stats().pswpout), (1, 0));
    run_on(1);
    map(&space, 200, 64, RW);
    for page in (200..264).take_while(|_| mem.frames().free_frames(NodeId(1)) >= 8) {
        store(&space, page, 1).unwrap();
    }
    run_on(0);
    store(&space, 92, 1).unwrap();
    assert!(mem.stats().pswpout > 0, "no node has so many");
    drop(held);
    Audit::of(&mem).space(&space).pins(pins.pages()).check();
}

#[test]
fn a_page_not_in_use_that_is_cooled_leaves_next() {
    let (mem, space, _, _) = world_of("pinfold", listing(1), (64, 16, 8));
    for page in 16..20 {
        store(&space, page, page).unwrap();
    }
    forget_use(&space, 16, 4);
    for page in [17, 16, 18] {
        forget_use(&space, page, 1);
        assert_eq!(mem.reclaim(NODE, 1).freed, 1);
        assert!(!space.entry(VirtAddr::of_page(page)).is_mapped(), "{page}");
    }
    assert_eq!((mem.stats().pgdeactivate, mem.list_sizes(NODE)), (0, sizes(0, 1)));
    Audit::of(&mem).space(&space).check();
}

/// A store to a page on swap that a child shares needs two frames: that of the page, and its copy.
/// Where there is one, reclaim must not take the page away for the copy, and so on for ever.
#[test]
fn a_store_that_needs_two_frames_where_there_is_one_ends() {
    for text in crate::rules::PRESETS {
        let (mem, space, _, _) = world_of(text, listing(1), (48, 64, 60));
        store(&space, 16, 7).unwrap();
        let child = space.fork().unwrap();
        assert_eq!(mem.reclaim(NODE, 1).freed, 1, "{text}");
        let frames = mem.frames();
        let mut held: Vec<_> = (0..frames.total_free() - 1)
            .map(|_| frames.take(Placement::Only(NODE)).unwrap())
            .collect();
        assert_eq!(store(&space, 16, 8), Err(FaultError::OutOfFrames), "{text}");
        held.pop();
        assert!(store(&space, 16, 8).is_ok(), "{text}");
        assert_eq!([load(&space, 16), load(&child, 16)], [Ok(8), Ok(7)], "{text}");
        drop(held);
        Audit::of(&mem).space(&space).space(&child).check();
    }
}

fn store_one_elsewhere(space: &Space<X86_64>) {
    map(space, 16, 1, RW);
    store(space, 16, 1).unwrap();
}

#[test]
fn forks_pins_and_populates_reclaim_too() {
    let (mem, space, _, _) = world_of("pinfold", listing(4), (64, 256, 120));
    space.populate(pages(16, 100), Access::Write).unwrap();
    let child = space.fork().unwrap();
    let pins = space.pin(pages(16, 20), Access::Write, Term::Long).unwrap();
    assert_eq!((pins.pages().len(), pins.shortfall()), (20, None));
    Audit::of(&mem).space(&space).space(&child).pins(pins.pages()).check();
    drop((child, pins));
    Audit::of(&mem).space(&space).check();
}

#[test]
fn shared_pages_and_large_folios_are_treated_as_what_they_are() {
    let tuning = Tuning { folios_always: 1 << 2, ..listing(2) };
    let (mem, space, _, _) = world_of("pinfold", tuning, (64, 64, 8));
    store(&space, 16, 5).unwrap();
    assert_eq!(mem.list_sizes(NODE), sizes(0, 1), "a large folio does not wait, and counts as one");
    map_shared(&space, 40, 1);
    store(&space, 40, 6).unwrap();
    forget_use(&space, 16, 4);
    let done = mem.reclaim(NODE, 1);
    assert!(done.freed >= 1, "{done:?}: it is split");
    assert!(space.entry(VirtAddr::of_page(40)).is_mapped(), "pages of objects are on no list");
    Audit::of(&mem).space(&space).check();
    assert_eq!(load(&space, 16), Ok(5));
    let out = space.page_out(pages(16, 4), Reclaimer::Pressure);
    assert!(out.freed >= 1, "{out:?}");
    Audit::of(&mem).space(&space).check();
}

/// Facts 6.6: pages that are locked in memory are unevictable, and may move.
#[test]
fn locked_pages_stay_when_memory_is_short_and_may_move() {
    let mem = machine::<X86_64>(rules("pinfold"), &[64, 64], listing(1));
    mem.swap_on(Box::new(Disk::default()), 16, SwapWrites::Any).unwrap();
    let space = space(&mem);
    map(&space, 16, 8, RW);
    (16..24).for_each(|page| _ = store(&space, page, page).unwrap());
    mem.lru_add_drain_all();
    forget_use(&space, 16, 8);
    space.mlock(pages(16, 4)).unwrap();
    let in_memory = |page| space.entry(VirtAddr::of_page(page)).counted().is_some();
    assert_eq!(mem.reclaim(NODE, 8).freed, 4);
    assert_eq!([16, 19, 20, 23].map(in_memory), [true, true, false, false]);
    for who in [Reclaimer::Advice, Reclaimer::Pressure] {
        assert_eq!(space.page_out(pages(16, 4), who), Reclaimed { freed: 0, kept: 4 });
    }
    Audit::of(&mem).space(&space).check();
    let moved = space.migrate(pages(16, 4), NodeId(1));
    assert_eq!((moved.moved, moved.failed), (4, 0));
    let locks = |page| {
        let pfn = space.entry(VirtAddr::of_page(page)).counted().unwrap();
        (mem.frames().node(pfn), crate::lab::locked_mappings(mem.frames(), pfn))
    };
    assert_eq!([16, 19].map(locks), [(NodeId(1), 1); 2]);
    mem.lru_add_drain_all();
    assert_eq!((mem.reclaim(NodeId(1), 4).freed, in_memory(16)), (0, true));
    space.munlock(pages(16, 4)).unwrap();
    // The entries were used when the pages were locked, or moved.
    (0..2).for_each(|_| _ = mem.reclaim(NodeId(1), 4));
    assert_eq!([16, 17, 18, 19].map(in_memory), [false; 4]);
    assert_eq!([16, 19].map(|page| load(&space, page)), [Ok(16), Ok(19)]);
    Audit::of(&mem).space(&space).check();
}

#[test]
fn a_pinned_page_does_not_hide_an_idle_one_among_those_in_use() {
    let (mem, space, _, _) = world_of("pinfold", listing(1), (64, 16, 2));
    for page in 16..18 {
        store(&space, page, page).unwrap();
    }
    let pins = space.pin(pages(16, 1), Access::Read, Term::Long).unwrap();
    forget_use(&space, 16, 2);
    let idle = space.entry(VirtAddr::of_page(17)).counted().unwrap();
    mem.isolate(idle, Sizes::Small).unwrap().put_back_to(List::Active);
    assert_eq!(mem.list_sizes(NODE), sizes(1, 1));
    assert_eq!(mem.reclaim(NODE, 1).freed, 1);
    assert_eq!(load(&space, 17), Ok(17));
    Audit::of(&mem).space(&space).pins(pins.pages()).check();
}

/// Facts 7.2: neither costs more than twice the other.
#[test]
fn the_dearer_kind_gives_at_least_half_of_what_the_other_does() {
    let tuning = Tuning { swappiness: 100, ..listing(1) };
    let (mem, space, _, _) = world_of("pinfold", tuning, (64, 16, 20));
    for page in 16..36 {
        store(&space, page, page).unwrap();
    }
    let file = Disk::default().file(&mem, 20);
    for index in 0..20 {
        file.read(index, |_| ()).unwrap();
    }
    mem.frames().add_cost(NODE, Kind::File, 1 << 10);
    let scans = mem.scans(NODE);
    let [anon, file_share] = mem.shares(NODE, &scans, (4, false)).map(|share| share.of(300));
    assert!(anon > file_share && 2 * file_share >= anon, "{anon} and {file_share}");
    Audit::of(&mem).space(&space).file(&file).check();
}
