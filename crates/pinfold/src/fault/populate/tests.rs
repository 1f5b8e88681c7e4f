use crate::testing::{
    Audit, Disk, Mem, Space, load, machine, map, map_file, map_shared, pages, rules, space, store,
};
use crate::{
    Access, Advice, Cause, FaultError, FileSharing, NodeId, Placement, Prot, Rules, Small, Term,
    Tuning, Unpopulated, VirtAddr, X86_64,
};

const RW: Prot = Prot::READ_WRITE;

fn small(frames: u64) -> (Mem<Small>, Space<Small>) {
    let mem = machine::<Small>(Rules::default(), &[frames], Tuning::default());
    let space = space(&mem);
    (mem, space)
}

/// Whether the page can be accessed without a fault.
fn is_ready(space: &Space<Small>, page: u64, cause: Cause) -> bool {
    cause.is_allowed_by(space.entry(VirtAddr::of_page(page)))
}

#[test]
fn every_page_of_every_area_is_ready_afterwards() {
    for (access, cause) in [(Access::Read, Cause::Load), (Access::Write, Cause::Store)] {
        let (mem, space) = small(32);
        map(&space, 1, 5, RW);
        store(&space, 3, 7).unwrap();
        map_shared(&space, 6, 3);
        let file = Disk::default().file(&mem, 4);
        map_file(&space, 9, file.run(0..2), FileSharing::Shared);
        map_file(&space, 11, file.run(0..3), FileSharing::Private);
        drop(file);
        space.populate(pages(1, 13), access).unwrap();
        assert!((1..14).all(|page| is_ready(&space, page, cause)));
        assert_eq!((load(&space, 3), load(&space, 4), load(&space, 10)), (Ok(7), Ok(0), Ok(0)));
        Audit::of(&mem).space(&space).check();
        drop(space);
        Audit::of(&mem).check();
    }
}

#[test]
fn populating_to_read_takes_no_frame_and_to_write_breaks_copy_on_write() {
    let (mem, space) = small(32);
    map(&space, 1, 3, RW);
    let free = mem.frames().total_free();
    space.populate(pages(1, 3), Access::Read).unwrap();
    assert_eq!(mem.frames().total_free(), free - 1, "a table alone");
    store(&space, 1, 1).unwrap();
    let child = space.fork().unwrap();
    child.populate(pages(1, 3), Access::Write).unwrap();
    let place = |space: &Space<Small>| space.entry(VirtAddr::of_page(1)).pfn();
    assert_ne!(place(&space), place(&child));
    assert_eq!(load(&child, 1), Ok(1));
    Audit::of(&mem).space(&space).space(&child).check();
}

#[test]
fn inv_fault_6_it_ends_where_a_page_cannot_be_accessed() {
    let (mem, space) = small(32);
    map(&space, 1, 2, RW);
    map(&space, 3, 1, Prot::READ);
    map(&space, 4, 1, RW);
    map(&space, 6, 1, RW);
    let stop = |page: u64, error: fn(VirtAddr) -> FaultError| {
        let at = VirtAddr::of_page(page);
        Err(Unpopulated { at, error: error(at) })
    };
    assert_eq!(space.populate(pages(1, 4), Access::Write), stop(3, FaultError::Denied));
    assert!(is_ready(&space, 2, Cause::Store) && space.entry(VirtAddr::of_page(4)).is_none());
    assert_eq!(space.populate(pages(1, 6), Access::Read), stop(5, FaultError::NotMapped));
    assert!(is_ready(&space, 4, Cause::Load) && space.entry(VirtAddr::of_page(6)).is_none());
    Audit::of(&mem).space(&space).check();
}

#[test]
fn when_frames_run_out_what_is_populated_stays() {
    for left in 0..8 {
        let (mem, space) = small(32);
        map(&space, 1, 12, RW);
        let near = Placement::Only(NodeId(0));
        let taken: std::vec::Vec<_> = (0..mem.frames().total_free() - left)
            .map(|_| mem.frames().take(near).unwrap())
            .collect();
        let stopped = space.populate(pages(1, 12), Access::Write).unwrap_err();
        assert_eq!(stopped.error, FaultError::OutOfFrames);
        let end = stopped.at.page().0;
        assert!((1..end).all(|page| is_ready(&space, page, Cause::Store)));
        assert!((end..13).all(|page| space.entry(VirtAddr::of_page(page)).is_none()));
        drop(taken);
        space.populate(pages(1, 12), Access::Write).unwrap();
        Audit::of(&mem).space(&space).check();
    }
}

#[test]
fn pages_that_scans_and_pins_have_touched_are_populated_too() {
    let (mem, space) = small(32);
    map(&space, 1, 6, RW);
    for page in 1..7 {
        store(&space, page, page).unwrap();
    }
    let pins = space.pin(pages(1, 2), Access::Write, Term::Long).unwrap();
    space.numa_scan(pages(1, 6));
    space.populate(pages(1, 6), Access::Write).unwrap();
    assert!((1..7).all(|page| is_ready(&space, page, Cause::Store)));
    assert_eq!(space.entry(VirtAddr::of_page(1)).pfn(), pins.pages()[0]);
    Audit::of(&mem).space(&space).pins(pins.pages()).check();
}

/// One look for an area and one walk for a run: a table is asked for once in 512 pages, and each
/// page costs no upper level.
#[test]
fn a_run_is_one_walk() {
    let mem = machine::<X86_64>(rules("latest"), &[2048], Tuning::default());
    let space = space(&mem);
    let range = map(&space, 512, 512, RW);
    // Counted: every look at a table of the machine.
    let looks = mem.platform().looks(|| space.populate(range, Access::Write).unwrap());
    space.advise(range, Advice::DontNeed).unwrap();
    let by_faults = mem.platform().looks(|| {
        for page in range.iter() {
            let _ = space.fault(page.start(), Cause::Store).unwrap();
        }
    });
    assert!(looks * 20 < by_faults, "{looks} looks at tables, {by_faults} by faults");
    Audit::of(&mem).space(&space).check();
}

#[test]
fn two_threads_may_populate_one_range() {
    let (mem, space) = small(64);
    map(&space, 1, 12, RW);
    std::thread::scope(|threads| {
        for _ in 0..2 {
            threads.spawn(|| {
                for _ in 0..100 {
                    space.populate(pages(1, 12), Access::Write).unwrap();
                    space.advise(pages(3, 6), Advice::DontNeed).unwrap();
                }
            });
        }
    });
    Audit::of(&mem).space(&space).check();
}
