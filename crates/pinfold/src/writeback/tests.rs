//! What writeback finds, what it leaves behind, and who maps a file.

use std::vec::Vec;

use crate::testing::{
    Audit, Disk, Mem, Space, device_write, load, machine, map, map_file, pages, rules, space, store,
};
use crate::{
    Access, Advice, Cause, Fault, FileSharing, Prot, Rules, SpaceError, StoreError, SyncError,
    Term, Tuning, Unwritten, VirtAddr, X86_64,
};

const RW: Prot = Prot::READ_WRITE;

/// A machine, an address space, and a disk with the file that it shows from page 16 on.
struct World {
    mem: Mem<X86_64>,
    space: Space<X86_64>,
    disk: Disk,
}

fn world(count: u64) -> World {
    of_rules(Rules::default(), count)
}

fn of_rules(rules: Rules, count: u64) -> World {
    let mem = machine(rules, &[64], Tuning::default());
    let (space, disk) = (space(&mem), Disk::default());
    map_file(&space, 16, disk.file(&mem, count).run(0..count), FileSharing::Shared);
    World { mem, space, disk }
}

impl World {
    /// The pages of the range that a sync through `space` finds dirty.
    fn written(&self, space: &Space<X86_64>, page: u64, count: u64) -> Vec<u64> {
        let number = space.sync(pages(page, count));
        let found: Vec<u64> = self.disk.written().into_iter().map(|index| index + 16).collect();
        assert_eq!(number, Ok(found.len() as u64));
        found
    }
}

#[test]
fn only_written_pages_are_written_back_and_each_write_is_found_once() {
    let world = world(4);
    let (mem, space) = (&world.mem, &world.space);
    assert_eq!(world.written(space, 16, 4), [0; 0]);
    assert_eq!(load(space, 16), Ok(0));
    store(space, 17, 1).unwrap();
    store(space, 19, 1).unwrap();
    assert_eq!(world.written(space, 16, 4), [17, 19]);
    assert_eq!(world.written(space, 16, 4), [0; 0]);
    let entry = space.entry(VirtAddr::of_page(17));
    assert!(!entry.is_writable() && !entry.is_dirty(), "the next write is noticed");
    store(space, 17, 2).unwrap();
    assert_eq!(world.written(space, 16, 4), [17]);
    assert_eq!((load(space, 17), world.disk.page(1)), (Ok(2), 2));
    Audit::of(mem).space(space).check();
}

#[test]
fn a_page_that_was_only_read_is_not_writable_until_it_is_written() {
    let World { space, .. } = &world(1);
    let at = VirtAddr::of_page(16);
    assert_eq!(space.fault(at, Cause::Load), Ok(Fault::SharedPage));
    assert!(!space.entry(at).is_writable());
    space.protect(pages(16, 1), Prot::READ).unwrap();
    space.protect(pages(16, 1), RW).unwrap();
    assert!(!space.entry(at).is_writable(), "a change of protection is no write");
    assert_eq!(space.fault(at, Cause::Store), Ok(Fault::Reused));
    space.protect(pages(16, 1), Prot::READ).unwrap();
    space.protect(pages(16, 1), RW).unwrap();
    assert!(space.entry(at).is_writable() && space.entry(at).is_dirty());
}

#[test]
fn every_mapping_is_cleaned_wherever_the_file_is_shown() {
    let world = world(4);
    let (mem, parent) = (&world.mem, &world.space);
    let child = parent.fork().unwrap();
    // Splits and merges of the area change nothing about who maps the file.
    parent.protect(pages(17, 1), Prot::READ).unwrap();
    parent.protect(pages(17, 1), RW).unwrap();
    child.unmap(pages(16, 1)).unwrap();
    store(parent, 17, 1).unwrap();
    store(&child, 17, 2).unwrap();
    assert_eq!(world.written(parent, 16, 4), [17]);
    for space in [parent, &child] {
        assert!(!space.entry(VirtAddr::of_page(17)).is_writable());
    }
    store(&child, 18, 3).unwrap();
    assert_eq!(load(parent, 18), Ok(3));
    drop(child);
    assert_eq!(world.written(parent, 16, 4), [18], "the mark has gone to the page");
    Audit::of(mem).space(parent).check();
}

#[test]
fn a_dirty_page_stays_dirty_when_it_is_unmapped_or_dropped() {
    for text in ["6.1", "6.2", "pinfold", "pinfold,zap-rmap=when-freed"] {
        let World { mem, space: parent, disk } = of_rules(rules(text), 12);
        let child = parent.fork().unwrap();
        for page in 16..28 {
            store(&parent, page, page).unwrap();
        }
        parent.advise(pages(16, 4), Advice::DontNeed).unwrap();
        parent.unmap(pages(20, 8)).unwrap();
        assert_eq!(load(&parent, 16), Ok(16), "the file has the page");
        assert_eq!(child.sync(pages(16, 12)), Ok(12), "{text}");
        assert!((0..12).all(|index| disk.page(index) == 16 + index), "{text}");
        Audit::of(&mem).space(&parent).space(&child).check();
        drop((parent, child));
        Audit::of(&mem).check();
    }
}

#[test]
fn a_device_that_says_it_wrote_is_believed() {
    let world = world(1);
    let (mem, space) = (&world.mem, &world.space);
    store(space, 16, 1).unwrap();
    let pins = space.pin(pages(16, 1), Access::Write, Term::Short).unwrap();
    assert_eq!(world.written(space, 16, 1), [16]);
    device_write(mem, pins.pages()[0], 2);
    pins.unpin_dirty();
    assert_eq!(world.written(space, 16, 1), [16]);
    assert_eq!((load(space, 16), world.disk.page(0)), (Ok(2), 2));
}

#[test]
fn what_needs_no_writing_is_passed_over_and_a_hole_is_an_error() {
    let world = world(1);
    let space = &world.space;
    map(space, 17, 1, RW);
    store(space, 16, 3).unwrap();
    store(space, 17, 3).unwrap();
    let hole = Err(SyncError::Space(SpaceError::NotMapped(VirtAddr::of_page(18))));
    assert_eq!(space.sync(pages(16, 3)), hole);
    assert_eq!(world.disk.written(), [0], "what comes before the hole is written");
    assert_eq!(space.sync(pages(16, 2)), Ok(0));
}

#[test]
fn a_failing_store_leaves_the_page_dirty_and_those_after_it() {
    for error in [StoreError::Io, StoreError::NoSpace] {
        let world = world(3);
        let (mem, space) = (&world.mem, &world.space);
        (16..19).for_each(|page| _ = store(space, page, page).unwrap());
        world.disk.fail(Some(error));
        let failed = Err(SyncError::Store(Unwritten { page: 0, error }));
        assert_eq!(space.sync(pages(16, 3)), failed);
        store(space, 16, 9).unwrap();
        world.disk.fail(None);
        assert_eq!(world.written(space, 16, 3), [16, 17, 18]);
        assert_eq!(world.disk.page(0), 9);
        Audit::of(mem).space(space).check();
    }
}
