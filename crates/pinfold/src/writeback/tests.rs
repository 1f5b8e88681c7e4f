//! What writeback finds, what it leaves behind, and who maps a file.

use std::vec::Vec;

use crate::testing::{
    Audit, Mem, Space, device_write, load, machine, map, pages, rules, space, store,
};
use crate::{
    Access, Advice, Cause, Fault, Place, Prot, Rules, Sharing, SpaceError, Term, Tuning, VirtAddr,
    X86_64,
};

const RW: Prot = Prot::READ_WRITE;

fn world() -> (Mem<X86_64>, Space<X86_64>) {
    let mem = machine(Rules::default(), &[64], Tuning::default());
    let space = space(&mem);
    (mem, space)
}

fn map_file(space: &Space<X86_64>, page: u64, count: u64) {
    let at = Place::At(VirtAddr::of_page(page));
    space.map(at, count, RW, Sharing::File).unwrap();
}

/// The pages of the range that writeback finds dirty.
fn written(space: &Space<X86_64>, page: u64, count: u64) -> Vec<u64> {
    let mut found = Vec::new();
    let number = space.write_back(pages(page, count), |at, pfn| {
        assert_eq!(space.walk(at).pfn(), pfn, "the frame that is mapped there");
        found.push(at.page().0);
    });
    assert_eq!(number, Ok(found.len() as u64));
    found
}

#[test]
fn only_written_pages_are_written_back_and_each_write_is_found_once() {
    let (mem, space) = world();
    map_file(&space, 16, 4);
    assert_eq!(written(&space, 16, 4), [0; 0]);
    assert_eq!(load(&space, 16), Ok(0));
    store(&space, 17, 1).unwrap();
    store(&space, 19, 1).unwrap();
    assert_eq!(written(&space, 16, 4), [17, 19]);
    assert_eq!(written(&space, 16, 4), [0; 0]);
    let entry = space.entry(VirtAddr::of_page(17));
    assert!(!entry.is_writable() && !entry.is_dirty(), "the next write is noticed");
    store(&space, 17, 2).unwrap();
    assert_eq!(written(&space, 16, 4), [17]);
    assert_eq!(load(&space, 17), Ok(2));
    Audit::of(&mem).space(&space).check();
}

#[test]
fn a_page_that_was_only_read_is_not_writable_until_it_is_written() {
    let (_mem, space) = world();
    map_file(&space, 16, 1);
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
    let (mem, parent) = world();
    map_file(&parent, 16, 4);
    let child = parent.fork().unwrap();
    // Splits and merges of the area change nothing about who maps the file.
    parent.protect(pages(17, 1), Prot::READ).unwrap();
    parent.protect(pages(17, 1), RW).unwrap();
    child.unmap(pages(16, 1)).unwrap();
    store(&parent, 17, 1).unwrap();
    store(&child, 17, 2).unwrap();
    assert_eq!(written(&parent, 16, 4), [17]);
    for space in [&parent, &child] {
        assert!(!space.entry(VirtAddr::of_page(17)).is_writable());
    }
    store(&child, 18, 3).unwrap();
    assert_eq!(load(&parent, 18), Ok(3));
    drop(child);
    assert_eq!(written(&parent, 16, 4), [18], "the mark has gone to the page");
    Audit::of(&mem).space(&parent).check();
}

#[test]
fn a_dirty_page_stays_dirty_when_it_is_unmapped_or_dropped() {
    for text in ["6.1", "6.2", "pinfold", "pinfold,zap-rmap=when-freed"] {
        let mem = machine::<X86_64>(rules(text), &[64], Tuning::default());
        let parent = space(&mem);
        map_file(&parent, 16, 12);
        let child = parent.fork().unwrap();
        for page in 16..28 {
            store(&parent, page, page).unwrap();
        }
        parent.advise(pages(16, 4), Advice::DontNeed).unwrap();
        parent.unmap(pages(20, 8)).unwrap();
        assert_eq!(load(&parent, 16), Ok(16), "the file has the page");
        let mut found = 0;
        child.write_back(pages(16, 12), |_, _| found += 1).unwrap();
        assert_eq!(found, 12, "{text}");
        Audit::of(&mem).space(&parent).space(&child).check();
        drop((parent, child));
        Audit::of(&mem).check();
    }
}

#[test]
fn a_device_that_says_it_wrote_is_believed() {
    let (mem, space) = world();
    map_file(&space, 16, 1);
    store(&space, 16, 1).unwrap();
    let pins = space.pin(pages(16, 1), Access::Write, Term::Short).unwrap();
    assert_eq!(written(&space, 16, 1), [16]);
    device_write(&mem, pins.pages()[0], 2);
    pins.unpin_dirty();
    assert_eq!(written(&space, 16, 1), [16]);
    assert_eq!(load(&space, 16), Ok(2));
}

#[test]
fn writeback_is_for_files() {
    let (_mem, space) = world();
    map(&space, 16, 1, RW);
    let private = space.write_back(pages(16, 1), |_, _| {});
    assert_eq!(private, Err(SpaceError::WrongKind(VirtAddr::of_page(16))));
    let hole = space.write_back(pages(17, 1), |_, _| {});
    assert_eq!(hole, Err(SpaceError::NotMapped(VirtAddr::of_page(17))));
}
