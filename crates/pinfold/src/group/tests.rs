//! Who is charged for which page, until when, and what happens at the limit.

use std::string::ToString;
use std::vec::Vec;

use crate::frame::{Flags, Start};
use crate::testing::{
    Audit, Disk, Mem, Rig, Space, load, machine, map, map_file, map_shared, pages, space, store,
};
use crate::{
    Access, AddressSpace, Advice, FaultError, File, FileError, FileSharing, Group, GroupStats,
    Limits, LockError, NodeId, PinError, Prot, Rules, Small, SpaceError, Term, Tuning, VirtAddr,
};

const RW: Prot = Prot::READ_WRITE;

type G = Group<Rig<Small>>;

/// A machine, a group of so many pages, and an address space that belongs to it.
fn world(limit: u64) -> (Mem<Small>, G, Space<Small>) {
    let mem = machine::<Small>(Rules::default(), &[64, 48], Tuning::default());
    let group = Group::new(&mem, limit).unwrap();
    let space = space(&mem);
    space.join(&group);
    (mem, group, space)
}

/// What a group counts that is not zero.
fn counts(group: &G) -> Vec<(&'static str, i64)> {
    group.stats().iter().filter(|(_, count)| *count != 0).collect()
}

#[test]
fn private_pages_are_charged_when_they_are_made_and_until_they_are_freed() {
    let (mem, group, space) = world(10);
    map(&space, 1, 4, RW);
    load(&space, 1).unwrap();
    assert_eq!(group.charged(), 0, "the zero page is nobody's");
    for page in 1..4 {
        store(&space, page, page).unwrap();
    }
    assert_eq!((group.charged(), counts(&group)), (3, [("nr_anon_pages", 3)].into()));
    let pins = space.pin(pages(1, 1), Access::Write, Term::Short).unwrap();
    space.unmap(pages(1, 2)).unwrap();
    assert_eq!(
        (group.charged(), counts(&group)),
        (2, [("nr_anon_pages", 1)].into()),
        "a pinned page stays charged, and no entry maps it"
    );
    Audit::of(&mem).space(&space).pins(pins.pages()).group(&group).check();
    drop(pins);
    assert_eq!(group.charged(), 1);
    drop(space);
    assert_eq!((group.charged(), group.stats()), (0, GroupStats::default()));
    Audit::of(&mem).group(&group).check();
}

#[test]
fn copies_are_charged_to_who_makes_them_and_a_child_is_of_its_parents_group() {
    let (mem, group, parent) = world(10);
    let other = Group::new(&mem, 10).unwrap();
    map(&parent, 1, 2, RW);
    store(&parent, 1, 1).unwrap();
    let pins = parent.pin(pages(1, 1), Access::Write, Term::Long).unwrap();
    let child = parent.fork().unwrap();
    assert_eq!(group.charged(), 2, "fork has copied the pinned page");
    drop(pins);
    child.join(&other);
    let late = parent.fork().unwrap();
    assert_eq!((group.charged(), counts(&group)), (2, [("nr_anon_pages", 2)].into()));
    late.join(&other);
    store(&late, 1, 2).unwrap();
    assert_eq!((group.charged(), other.charged()), (2, 1), "a copy is made by its writer");
    drop(parent);
    assert_eq!((group.charged(), other.charged()), (1, 1), "the child's stays where it was");
    Audit::of(&mem).space(&child).space(&late).group(&group).group(&other).check();
}

#[test]
fn a_program_that_is_executed_stays_in_the_group_of_its_process() {
    let (mem, group, old) = world(10);
    let new = crate::testing::space(&mem);
    new.join_as(&old);
    drop(old);
    map(&new, 1, 1, RW);
    store(&new, 1, 1).unwrap();
    assert_eq!(group.charged(), 1);
    let none = crate::testing::space(&mem);
    new.join_as(&none);
    drop(group);
    let other = Group::new(&mem, 1).unwrap();
    assert_eq!(other.charged(), 0, "the page keeps the first group, which has no user");
    Audit::of(&mem).space(&new).space(&none).group(&other).check();
}

#[test]
fn pages_of_files_and_shared_memory_are_charged_to_who_has_them_brought_in() {
    let (mem, group, space) = world(10);
    let (disk, other) = (Disk::default(), Group::new(&mem, 10).unwrap());
    let second = crate::testing::space(&mem);
    second.join(&other);
    let file = disk.file(&mem, 4);
    map_file(&space, 1, file.run(0..4), FileSharing::Shared);
    map_file(&second, 1, file.run(0..4), FileSharing::Shared);
    store(&space, 1, 7).unwrap();
    store(&second, 1, 8).unwrap();
    load(&second, 2).unwrap();
    file.write(2, |_| ()).unwrap();
    file.paid_by(&group).read(3, |_| ()).unwrap();
    let expected = [("nr_file_pages", 2), ("nr_mapped", 1), ("nr_dirty", 1)];
    assert_eq!((group.charged(), counts(&group)), (2, expected.into()));
    assert_eq!(counts(&other), [("nr_file_pages", 1), ("nr_mapped", 1)]);
    file.sync().unwrap();
    assert_eq!(counts(&group), [("nr_file_pages", 2), ("nr_mapped", 1)]);
    store(&second, 1, 9).unwrap();
    assert_eq!(group.stats().nr_dirty, 1, "whoever writes, the page is the group's");
    map_shared(&space, 8, 2);
    store(&space, 8, 1).unwrap();
    assert_eq!((group.stats().nr_shmem, group.stats().nr_file_pages), (1, 3));
    Audit::of(&mem).space(&space).space(&second).file(&file).group(&group).group(&other).check();
    let pins = second.pin(pages(1, 1), Access::Read, Term::Short).unwrap();
    file.truncate(0).unwrap();
    assert_eq!((group.charged(), other.charged()), (2, 0), "the orphan and the shared page");
    assert_eq!(counts(&group), [("nr_file_pages", 1), ("nr_shmem", 1), ("nr_mapped", 1)]);
    pins.unpin_dirty();
    assert_eq!((group.charged(), group.stats().nr_dirty), (1, 0), "an orphan is not dirty");
    Audit::of(&mem).space(&space).space(&second).file(&file).group(&group).group(&other).check();
}

#[test]
fn at_the_limit_everything_that_makes_a_page_says_so_and_changes_nothing() {
    let (mem, group, space) = world(3);
    let over = FaultError::OverLimit { limit: 3 };
    map(&space, 1, 6, RW);
    let short = space.populate(pages(1, 6), Access::Write).unwrap_err();
    assert_eq!((short.at, short.error), (VirtAddr::of_page(4), over));
    assert_eq!(short.error.to_string().matches("3 pages").count(), 1, "{}", short.error);
    assert_eq!(store(&space, 4, 1), Err(over));
    assert_eq!(load(&space, 4), Ok(0), "the zero page costs nothing");
    assert_eq!(store(&space, 4, 1), Err(over), "a copy of it does");
    let pin = space.pin(pages(5, 1), Access::Write, Term::Long).unwrap_err();
    assert_eq!(pin, PinError::Fault(over));
    let some = space.pin(pages(3, 2), Access::Write, Term::Long).unwrap();
    assert_eq!((some.pages().len(), some.shortfall()), (1, Some(PinError::Fault(over))));
    assert!(matches!(space.fork().err(), Some(SpaceError::OverLimit { limit: 3 })));
    assert_eq!(store(&space, 3, 9).unwrap(), some.pages()[0], "the parent still has its page");
    drop(some);
    assert!(
        matches!(space.mlock(pages(1, 6)), Err(LockError::Unpopulated(short)) if short.error == over)
    );
    map_shared(&space, 8, 1);
    assert_eq!(store(&space, 8, 1), Err(over));
    let file = File::in_memory(&mem, 1).unwrap().paid_by(&group);
    assert_eq!(file.read(0, |_| ()), Err(FileError::OverLimit { limit: 3 }));
    assert_eq!((group.charged(), group.stats().nr_anon_pages), (3, 3));
    Audit::of(&mem).space(&space).file(&file).group(&group).check();
    // Room again.
    space.munlock(pages(1, 6)).unwrap();
    space.advise(pages(1, 1), Advice::DontNeed).unwrap();
    store(&space, 8, 1).unwrap();
    assert_eq!(group.charged(), 3);
}

#[test]
fn the_limit_of_a_group_and_the_limits_of_locked_memory_are_three() {
    let mem = machine::<Small>(Rules::default(), &[64], Tuning::default());
    let group = Group::new(&mem, 4).unwrap();
    let limits = Limits { locked: 2, ..Limits::of_format::<Small>() };
    let space = AddressSpace::new(&mem, limits).unwrap();
    space.join(&group);
    map(&space, 1, 8, RW);
    // Two pages of pins and two locked ones, each at its own limit, and neither at the group's.
    let pins = space.pin(pages(1, 2), Access::Write, Term::Long).unwrap();
    let refused = space.pin(pages(3, 1), Access::Write, Term::Long).unwrap_err();
    assert_eq!(refused, PinError::TooManyLocked { limit: 2 });
    space.mlock(pages(3, 2)).unwrap();
    let refused = space.mlock(pages(5, 1)).unwrap_err();
    assert_eq!(refused, LockError::Refused(SpaceError::TooManyLocked { limit: 2 }));
    assert_eq!((group.charged(), group.stats().nr_mlock), (4, 2), "a refusal charges nobody");
    // The group is full now, whatever is locked.
    assert_eq!(store(&space, 5, 1), Err(FaultError::OverLimit { limit: 4 }));
    // A pinned page that is charged to nobody counts against the pins' limit all the same.
    drop(pins);
    space.leave_group();
    let pins = space.pin(pages(5, 2), Access::Write, Term::Long).unwrap();
    assert_eq!((pins.pages().len(), group.charged()), (2, 4));
    let refused = space.pin(pages(7, 1), Access::Write, Term::Long).unwrap_err();
    assert_eq!(refused, PinError::TooManyLocked { limit: 2 });
    Audit::of(&mem).space(&space).pins(pins.pages()).group(&group).check();
}

#[test]
fn locked_pages_are_counted_once_however_many_entries_lock_them() {
    let (mem, group, space) = world(10);
    let second = crate::testing::space(&mem);
    let file = File::in_memory(&mem, 2).unwrap();
    map_file(&space, 1, file.run(0..2), FileSharing::Shared);
    map_file(&second, 1, file.run(0..2), FileSharing::Shared);
    space.mlock(pages(1, 2)).unwrap();
    second.mlock(pages(1, 2)).unwrap();
    assert_eq!((group.charged(), group.stats().nr_mlock), (2, 2));
    space.munlock(pages(1, 1)).unwrap();
    assert_eq!(group.stats().nr_mlock, 2);
    second.unmap(pages(1, 1)).unwrap();
    assert_eq!(group.stats().nr_mlock, 1);
    Audit::of(&mem).space(&space).space(&second).file(&file).group(&group).check();
}

#[test]
fn a_page_that_migrates_stays_charged_also_at_the_limit() {
    let (mem, group, space) = world(2);
    map(&space, 1, 2, RW);
    store(&space, 1, 1).unwrap();
    store(&space, 2, 2).unwrap();
    space.mlock(pages(1, 1)).unwrap();
    let child = space.fork().unwrap();
    assert_eq!(space.migrate(pages(1, 2), NodeId(1)).moved, 2);
    let expected = [("nr_anon_pages", 2), ("nr_mlock", 1)];
    assert_eq!((group.charged(), counts(&group)), (2, expected.into()));
    Audit::of(&mem).space(&space).space(&child).group(&group).check();
    // One that cannot move: its charge does not, either.
    let hold = space.get(pages(1, 1), Access::Read).unwrap();
    assert_eq!(space.migrate(pages(1, 1), NodeId(0)).moved, 0);
    assert_eq!((group.charged(), counts(&group)), (2, expected.into()));
    Audit::of(&mem).space(&space).space(&child).gets(hold.pages()).group(&group).check();
}

#[test]
fn a_page_that_was_charged_and_not_used_is_given_back() {
    let (mem, group, space) = world(4);
    let other = crate::testing::space(&mem);
    other.join(&group);
    // Another thread puts a page in just before this one does: its own is of no use.
    let object = File::in_memory(&mem, 1).unwrap();
    map_file(&space, 1, object.run(0..1), FileSharing::Shared);
    let racer = object.clone();
    let payer = group.clone();
    mem.platform().before_alloc(move || racer.paid_by(&payer).read(0, |_| ()).unwrap());
    store(&space, 1, 1).unwrap();
    assert_eq!((group.charged(), group.stats().nr_file_pages), (1, 1));
    map(&space, 8, 1, RW);
    let frames: Vec<_> =
        core::iter::from_fn(|| mem.alloc_local(Flags::empty(), Start::Held).ok()).collect();
    assert_eq!(store(&space, 8, 1), Err(FaultError::OutOfFrames));
    assert_eq!(group.charged(), 1, "no frame, no charge");
    drop(frames);
    Audit::of(&mem).space(&space).file(&object).group(&group).space(&other).check();
}

#[test]
fn a_group_lives_as_long_as_anything_names_it_and_its_place_is_used_again() {
    let (mem, group, space) = world(5);
    map(&space, 1, 1, RW);
    store(&space, 1, 1).unwrap();
    let hold = space.get(pages(1, 1), Access::Read).unwrap();
    let (first, clone) = (group.id(), group.clone());
    assert!(clone.same(&group));
    drop((group, clone));
    let second = Group::new(&mem, 7).unwrap();
    assert_ne!(second.id(), first, "an address space belongs to it");
    drop(space);
    let third = Group::new(&mem, 8).unwrap();
    assert_ne!(third.id(), first, "a page is charged to it");
    drop(hold);
    let fourth = Group::new(&mem, 9).unwrap();
    assert_eq!(fourth.id(), first);
    assert_eq!((fourth.limit(), fourth.charged(), fourth.stats()), (9, 0, GroupStats::default()));
    assert!(!fourth.same(&third) && second.limit() == 7);
    Audit::of(&mem).group(&second).group(&third).group(&fourth).check();
}

#[test]
#[should_panic(expected = "another machine's")]
fn a_group_of_another_machine_is_refused() {
    let (mem, ..) = world(5);
    let (_, group, _) = world(5);
    space(&mem).join(&group);
}
