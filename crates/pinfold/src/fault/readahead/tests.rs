//! Which pages come with another, what asks for them, and what ends it.

use std::boxed::Box;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::testing::{
    Audit, Disk, Mem, Rig, Space, load, machine, map, pages, rules, space, store,
};
use crate::{
    Advice, Group, Pfn, Placement, Prot, Reclaimed, Reclaimer, Store, StoreError, SwapId,
    SwapWrites, Tuning, VirtAddr, X86_64,
};

const RW: Prot = Prot::READ_WRITE;

/// A disk that fails at one of its reads.
#[derive(Clone, Default)]
struct Failing {
    disk: Disk,
    reads: Arc<AtomicU64>,
    fails_at: u64,
}

impl Store<Rig<X86_64>> for Failing {
    fn read(&self, rig: &Rig<X86_64>, index: u64, frame: Pfn) -> Result<(), StoreError> {
        match self.reads.fetch_add(1, Ordering::Relaxed) + 1 == self.fails_at {
            true => Err(StoreError::Io),
            false => self.disk.read(rig, index, frame),
        }
    }

    fn write(&self, rig: &Rig<X86_64>, index: u64, frame: Pfn) -> Result<(), StoreError> {
        self.disk.write(rig, index, frame)
    }

    fn discard(&self, rig: &Rig<X86_64>, pages: Range<u64>) {
        self.disk.discard(rig, pages);
    }
}

/// A machine that reads 2^`order` pages, and an address space whose pages 16 to 23 are on its
/// device, each with its number.
fn world(text: &str, order: u32, fails_at: u64) -> (Mem<X86_64>, Space<X86_64>, Failing, SwapId) {
    let tuning = Tuning { swap_readahead: order, ..Tuning::default() };
    let mem = machine(rules(text), &[48], tuning);
    let disk = Failing { fails_at, ..Failing::default() };
    let id = mem.swap_on(Box::new(disk.clone()), 16, SwapWrites::Any).unwrap();
    let space = space(&mem);
    map(&space, 16, 8, RW);
    (16..24).for_each(|page| _ = store(&space, page, page).unwrap());
    let all = Reclaimed { freed: 8, kept: 0 };
    assert_eq!(space.page_out(pages(16, 8), Reclaimer::Pressure), all);
    (mem, space, disk, id)
}

/// Pages read for a fault, beside it, and asked for since.
fn read(mem: &Mem<X86_64>) -> (u64, u64, u64) {
    let stats = mem.stats();
    (stats.pgmajfault, stats.swap_ra, stats.swap_ra_hit)
}

#[test]
fn a_fault_reads_the_pages_of_its_window_and_later_faults_find_them() {
    for text in crate::rules::PRESETS {
        let (mem, space, disk, id) = world(text, 2, 0);
        assert_eq!(load(&space, 17), Ok(17), "{text}");
        assert_eq!((read(&mem), mem.stats().pswpin), ((1, 3, 0), 4), "{text}");
        let mapped = |page| space.entry(VirtAddr::of_page(page)).is_mapped();
        assert_eq!([16, 17, 18, 19].map(mapped), [false, true, false, false], "{text}");
        Audit::of(&mem).space(&space).check();
        for page in [16, 18, 19, 16] {
            assert_eq!(load(&space, page), Ok(page), "{text}");
        }
        assert_eq!((read(&mem), disk.reads.load(Ordering::Relaxed)), ((1, 3, 3), 4), "{text}");
        // Of the next window one is mapped by a store, and one is not needed any more.
        store(&space, 21, 5).unwrap();
        space.advise(pages(22, 1), Advice::DontNeed).unwrap();
        assert_eq!((load(&space, 22), load(&space, 21)), (Ok(0), Ok(5)), "{text}");
        assert_eq!(read(&mem), (2, 6, 3), "{text}");
        Audit::of(&mem).space(&space).check();
        // What nobody has asked for leaves with its owner, or with the device.
        assert_eq!((space.swap_in(id), mem.swap_off(id)), (Ok(2), Ok(())), "{text}");
        Audit::of(&mem).space(&space).check();
    }
}

#[test]
fn the_window_ends_with_the_area_and_with_the_table() {
    let (mem, space, _, _) = world("pinfold", 3, 0);
    // 20 to 27, of which the area has four; the first two are another's by now.
    space.protect(pages(16, 2), Prot::READ).unwrap();
    assert_eq!((load(&space, 23), read(&mem)), (Ok(23), (1, 3, 0)));
    assert_eq!((load(&space, 17), read(&mem)), (Ok(17), (2, 4, 0)));
    let (mem, space, _, _) = world("pinfold", 0, 0);
    assert_eq!((load(&space, 20), read(&mem)), (Ok(20), (1, 0, 0)));
}

/// What nobody asks for halves the window, and what is asked for opens it again (facts 7.2).
#[test]
fn the_window_follows_what_is_asked_for() {
    let (mem, space, _, _) = world("pinfold", 3, 0);
    let reads = |page| {
        let before = mem.stats().swap_ra;
        assert_eq!(load(&space, page), Ok(page));
        mem.stats().swap_ra - before
    };
    let again = || {
        assert_eq!(space.page_out(pages(16, 8), Reclaimer::Pressure).kept, 0);
    };
    // Up to 2^3 pages about the first fault's, then half of that for each in vain.
    assert_eq!(reads(19), 7);
    again();
    assert_eq!(reads(21), 3);
    again();
    assert_eq!(reads(18), 1);
    again();
    assert_eq!(reads(22), 0);
    // One that goes on from there reads the next, and has more read as that is asked for.
    again();
    assert_eq!(reads(21), 1);
    assert_eq!((reads(20), read(&mem).2), (0, 1));
    assert_eq!(reads(17), 3);
    Audit::of(&mem).space(&space).check();
    // The areas that one was cut into learn by themselves.
    again();
    space.protect(pages(20, 4), Prot::READ).unwrap();
    assert_eq!(reads(22), 3);
}

#[test]
fn what_fails_beside_a_fault_ends_readahead_and_nothing_else() {
    let (mem, space, disk, _) = world("pinfold", 3, 3);
    assert_eq!((load(&space, 16), read(&mem)), (Ok(16), (1, 1, 0)));
    assert_eq!(disk.reads.load(Ordering::Relaxed), 3);
    Audit::of(&mem).space(&space).check();
    // The page that could not be read is asked for, and with it come others.
    assert_eq!((load(&space, 18), read(&mem)), (Ok(18), (2, 3, 0)));
    Audit::of(&mem).space(&space).check();
    // Frames for the fault's page and two more.
    let (mem, space, _, _) = world("pinfold", 3, 0);
    let take = || mem.frames().take(Placement::Prefer(crate::NodeId(0))).unwrap();
    let taken: std::vec::Vec<_> = (3..mem.frames().total_free()).map(|_| take()).collect();
    assert_eq!((load(&space, 20), read(&mem)), (Ok(20), (1, 2, 0)));
    drop(taken);
    Audit::of(&mem).space(&space).check();
}

#[test]
fn pages_that_nobody_asks_for_leave_again_and_die_with_their_owner() {
    let (mem, space, disk, id) = world("pinfold", 3, 0);
    let free = mem.frames().total_free();
    load(&space, 19).unwrap();
    assert_eq!(mem.frames().total_free(), free - 8);
    disk.disk.written();
    let done = space.page_out(pages(16, 8), Reclaimer::Pressure);
    assert_eq!(done, Reclaimed { freed: 8, kept: 0 });
    assert_eq!((mem.frames().total_free(), disk.disk.written().len()), (free, 0), "all clean");
    load(&space, 20).unwrap();
    let child = space.fork().unwrap();
    drop(space);
    assert_eq!((load(&child, 21), read(&mem).2), (Ok(21), 1));
    Audit::of(&mem).space(&child).check();
    drop(child);
    assert_eq!(mem.swap_usage(id).map(|usage| (usage.free, usage.cached)), Some((16, 0)));
    Audit::of(&mem).check();
}

#[test]
fn a_group_near_its_limit_is_not_charged_for_what_nobody_asked_for() {
    for (limit, ahead) in [(10, 0), (16, 0), (17, 7)] {
        let (mem, space, _, _) = world("pinfold", 3, 0);
        let group = Group::new(&mem, limit).unwrap();
        space.join(&group);
        map(&space, 40, 8, RW);
        assert_eq!((load(&space, 19), read(&mem)), (Ok(19), (1, ahead, 0)), "{limit}");
        assert_eq!(group.charged(), 1 + ahead, "{limit}");
        assert!((40..48).all(|page| store(&space, page, 1).is_ok()), "{limit}");
        Audit::of(&mem).space(&space).group(&group).check();
    }
}
