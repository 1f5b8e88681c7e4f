//! What a monitor is told of, how it resolves that, and what keeps its marks.

use super::UffdError;
use crate::testing::{
    Audit, Disk, Mem, Space, load, machine, map, map_file, map_shared, pages, rules, space, store,
};
use crate::{
    Access, Advice, Cause, FaultError, File, FileSharing, Format, NodeId, PinError, Prot, Remap,
    Rules, Small, SmallRiscv64, SpaceError, Term, Tuning, UffdId, UffdMode, UffdReason, VirtAddr,
};

const RW: Prot = Prot::READ_WRITE;
const ID: UffdId = UffdId(7);

fn world_of(rules: Rules) -> (Mem<Small>, Space<Small>) {
    let mem = machine::<Small>(rules, &[32, 32], Tuning::default());
    let space = space(&mem);
    (mem, space)
}

fn world() -> (Mem<Small>, Space<Small>) {
    world_of(Rules::default())
}

/// The error of an access that a monitor is told of.
fn told<T>(page: u64, reason: UffdReason) -> Result<T, FaultError> {
    Err(FaultError::Userfault { at: VirtAddr::of_page(page), uffd: ID, reason })
}

fn marked(space: &Space<Small>, page: u64) -> bool {
    let pte = space.walk(VirtAddr::of_page(page));
    assert!(!pte.is_uffd_wp() || !pte.is_mapped() || !pte.is_writable(), "{pte}: INV-UFFD-1");
    pte.is_uffd_wp()
}

/// Fills a page of the machine with a value.
fn filled(mem: &Mem<Small>, value: u64) -> impl FnOnce(crate::Pfn) {
    let mem = mem.clone();
    move |pfn| crate::testing::device_write(&mem, pfn, value)
}

#[test]
fn a_missing_page_is_told_until_the_monitor_gives_one() {
    let (mem, space) = world();
    map(&space, 1, 3, RW);
    space.uffd_register(pages(1, 2), ID, UffdMode::MISSING).unwrap();
    assert_eq!(space.areas(), 2);
    assert_eq!(load(&space, 1), told(1, UffdReason::Missing));
    assert_eq!(store(&space, 1, 5), told(1, UffdReason::Missing));
    assert!(space.walk(VirtAddr::of_page(1)).is_none());
    let seen = space.uffd_resolved();
    space.uffd_copy(VirtAddr::of_page(1), false, filled(&mem, 9)).unwrap();
    assert_ne!(space.uffd_resolved(), seen);
    space.uffd_wait(seen);
    assert_eq!(load(&space, 1), Ok(9));
    assert!(space.walk(VirtAddr::of_page(1)).is_writable());
    let again = space.uffd_copy(VirtAddr::of_page(1), false, |_| ());
    assert_eq!(again, Err(UffdError::Exists(VirtAddr::of_page(1))));
    space.uffd_zero(VirtAddr::of_page(2)).unwrap();
    assert_eq!(load(&space, 2), Ok(0));
    store(&space, 2, 4).unwrap();
    assert_eq!(load(&space, 3), Ok(0), "the rest is not registered");
    let foreign = space.uffd_copy(VirtAddr::of_page(3), false, |_| ());
    assert_eq!(foreign, Err(UffdError::NotRegistered(VirtAddr::of_page(3))));
    // Nobody is told of what was dropped after the registration ends.
    space.advise(pages(1, 1), Advice::DontNeed).unwrap();
    assert_eq!(load(&space, 1), told(1, UffdReason::Missing));
    space.uffd_unregister(pages(1, 3)).unwrap();
    assert_eq!((space.areas(), load(&space, 1)), (1, Ok(0)));
    Audit::of(&mem).space(&space).check();
}

#[test]
fn a_protected_page_is_told_of_writes_and_of_nothing_else() {
    let (mem, space) = world();
    map(&space, 1, 2, RW);
    store(&space, 1, 3).unwrap();
    assert_eq!(load(&space, 2), Ok(0));
    space.uffd_register(pages(1, 2), ID, UffdMode::WP).unwrap();
    space.uffd_write_protect(pages(1, 2), true).unwrap();
    space.uffd_write_protect(pages(1, 2), true).unwrap();
    assert!(marked(&space, 1) && marked(&space, 2));
    assert_eq!((load(&space, 1), load(&space, 2)), (Ok(3), Ok(0)));
    assert_eq!(store(&space, 1, 4), told(1, UffdReason::Wp));
    assert_eq!(store(&space, 2, 4), told(2, UffdReason::Wp));
    // What would give write permission back does not.
    space.protect(pages(1, 2), Prot::READ).unwrap();
    space.protect(pages(1, 2), RW).unwrap();
    space.numa_scan(pages(1, 2));
    assert_eq!(load(&space, 1), Ok(3));
    assert_eq!(store(&space, 1, 4), told(1, UffdReason::Wp));
    space.migrate(pages(1, 2), NodeId(1));
    assert_eq!(mem.frames().node(space.walk(VirtAddr::of_page(1)).pfn()), NodeId(1));
    assert!(marked(&space, 1) && marked(&space, 2));
    space.uffd_write_protect(pages(1, 2), false).unwrap();
    assert!(space.walk(VirtAddr::of_page(1)).is_writable(), "its own: at once");
    store(&space, 1, 4).unwrap();
    store(&space, 2, 5).unwrap();
    assert_eq!((load(&space, 1), load(&space, 2)), (Ok(4), Ok(5)));
    Audit::of(&mem).space(&space).check();
}

#[test]
fn what_nobody_has_touched_is_passed_over_unless_the_monitor_asked() {
    let (mem, space) = world();
    map(&space, 1, 2, RW);
    let mode = |page: u64, mode| {
        space.uffd_register(pages(page, 1), ID, mode).unwrap();
        space.uffd_write_protect(pages(page, 1), true).unwrap();
    };
    mode(1, UffdMode::WP);
    assert!(space.walk(VirtAddr::of_page(1)).is_none());
    store(&space, 1, 4).unwrap();
    mode(2, UffdMode::WP | UffdMode::WP_UNPOPULATED);
    assert!(marked(&space, 2));
    assert_eq!(store(&space, 2, 4), told(2, UffdReason::Wp));
    assert_eq!(load(&space, 2), Ok(0), "the page is there, with the mark");
    assert!(marked(&space, 2));
    // Private memory loses its marker with the page.
    space.advise(pages(2, 1), Advice::DontNeed).unwrap();
    assert!(space.walk(VirtAddr::of_page(2)).is_none());
    mode(2, UffdMode::WP | UffdMode::WP_UNPOPULATED);
    space.uffd_write_protect(pages(2, 1), false).unwrap();
    assert!(space.walk(VirtAddr::of_page(2)).is_none());
    mode(2, UffdMode::WP | UffdMode::WP_UNPOPULATED);
    space.unmap(pages(1, 2)).unwrap();
    map(&space, 1, 2, RW);
    assert!(space.walk(VirtAddr::of_page(2)).is_none(), "no marker outlives the area");
    Audit::of(&mem).space(&space).check();
}

#[test]
fn shared_memory_tells_of_pages_that_are_there_and_keeps_its_markers() {
    let (mem, space) = world();
    let file = File::in_memory(&mem, 4).unwrap();
    map_file(&space, 1, file.run(0..4), FileSharing::Shared);
    let all = UffdMode::MISSING | UffdMode::MINOR | UffdMode::WP;
    space.uffd_register(pages(1, 4), ID, all).unwrap();
    assert_eq!(load(&space, 1), told(1, UffdReason::Missing));
    let absent = space.uffd_continue(VirtAddr::of_page(1), false);
    assert_eq!(absent, Err(UffdError::Absent(VirtAddr::of_page(1))));
    file.write(0, filled(&mem, 6)).unwrap();
    assert_eq!(store(&space, 1, 8), told(1, UffdReason::Minor));
    let there = space.uffd_copy(VirtAddr::of_page(1), false, |_| ());
    assert_eq!(there, Err(UffdError::Exists(VirtAddr::of_page(1))));
    space.uffd_continue(VirtAddr::of_page(1), true).unwrap();
    assert_eq!((load(&space, 1), store(&space, 1, 8)), (Ok(6), told(1, UffdReason::Wp)));
    space.uffd_copy(VirtAddr::of_page(2), false, filled(&mem, 7)).unwrap();
    store(&space, 2, 9).unwrap();
    assert_eq!(file.read(1, |pfn| crate::testing::device_read(&mem, pfn)), Ok(9));
    space.uffd_write_protect(pages(2, 3), true).unwrap();
    assert!((2..5).all(|page| marked(&space, page)), "mapped or not");
    space.advise(pages(1, 4), Advice::DontNeed).unwrap();
    assert!(
        (1..5)
            .all(|page| marked(&space, page) && !space.walk(VirtAddr::of_page(page)).is_present())
    );
    assert_eq!(load(&space, 2), told(2, UffdReason::Minor));
    space.uffd_register(pages(1, 4), ID, UffdMode::WP).unwrap();
    assert_eq!(load(&space, 2), Ok(9));
    assert_eq!(store(&space, 2, 1), told(2, UffdReason::Wp));
    file.punch(1..2);
    assert!(marked(&space, 2), "a hole leaves the marker");
    space.uffd_unregister(pages(1, 4)).unwrap();
    assert!((1..5).all(|page| !marked(&space, page)));
    store(&space, 2, 1).unwrap();
    Audit::of(&mem).space(&space).file(&file).check();
}

#[test]
fn a_private_mapping_of_memory_has_copies_from_its_monitor() {
    let (mem, space) = world();
    let file = File::in_memory(&mem, 2).unwrap();
    file.write(1, filled(&mem, 3)).unwrap();
    map_file(&space, 1, file.run(0..2), FileSharing::Private);
    space.uffd_register(pages(1, 2), ID, UffdMode::MISSING | UffdMode::MINOR).unwrap();
    assert_eq!(store(&space, 1, 5), told(1, UffdReason::Missing));
    space.uffd_copy(VirtAddr::of_page(1), false, filled(&mem, 6)).unwrap();
    store(&space, 1, 8).unwrap();
    assert_eq!(file.read(0, |pfn| crate::testing::device_read(&mem, pfn)), Ok(0));
    assert_eq!(store(&space, 2, 5), told(2, UffdReason::Minor));
    space.uffd_continue(VirtAddr::of_page(2), false).unwrap();
    assert!(!space.walk(VirtAddr::of_page(2)).is_writable(), "the page is the file's");
    store(&space, 2, 5).unwrap();
    assert_eq!(file.read(1, |pfn| crate::testing::device_read(&mem, pfn)), Ok(3));
    Audit::of(&mem).space(&space).file(&file).check();
}

#[test]
fn a_child_is_watched_only_where_its_monitor_hears_of_the_fork() {
    for event in [UffdMode::empty(), UffdMode::EVENT_FORK] {
        let (mem, space) = world();
        map(&space, 1, 3, RW);
        map_shared(&space, 8, 2);
        store(&space, 1, 3).unwrap();
        store(&space, 8, 4).unwrap();
        let mode = UffdMode::MISSING | UffdMode::WP | UffdMode::WP_UNPOPULATED | event;
        space.uffd_register(pages(1, 3), ID, mode).unwrap();
        space.uffd_register(pages(8, 2), ID, UffdMode::WP | event).unwrap();
        space.uffd_write_protect(pages(1, 2), true).unwrap();
        space.uffd_write_protect(pages(8, 2), true).unwrap();
        let pins = space.pin(pages(1, 1), Access::Read, Term::Long).unwrap();
        let (child, events) = mem.platform().record(|| space.fork().unwrap());
        assert!([1, 2, 8, 9].into_iter().all(|page| marked(&space, page)), "the parent's stay");
        let kept = event == UffdMode::EVENT_FORK;
        for page in [1, 2, 8, 9] {
            assert_eq!(marked(&child, page), kept, "page {page}");
        }
        let heard = |kind: &&crate::EventKind| matches!(kind, crate::EventKind::UffdForked { .. });
        assert_eq!(events.iter().filter(heard).count(), if kept { 2 } else { 0 });
        if kept {
            assert_eq!(store(&child, 1, 9), told(1, UffdReason::Wp));
            assert_eq!(load(&child, 3), told(3, UffdReason::Missing));
            assert_eq!(store(&child, 8, 9), told(8, UffdReason::Wp));
        } else {
            store(&child, 1, 9).unwrap();
            store(&child, 3, 9).unwrap();
            store(&child, 8, 9).unwrap();
        }
        let frames = pins.pages().to_vec();
        Audit::of(&mem).space(&space).space(&child).pins(&frames).check();
    }
}

#[test]
fn a_moved_area_is_watched_only_where_its_monitor_hears_of_the_move() {
    for event in [UffdMode::empty(), UffdMode::EVENT_REMAP] {
        let (mem, space) = world();
        map(&space, 1, 2, RW);
        store(&space, 1, 3).unwrap();
        let mode = UffdMode::WP | UffdMode::WP_UNPOPULATED | event;
        space.uffd_register(pages(1, 2), ID, mode).unwrap();
        space.uffd_write_protect(pages(1, 2), true).unwrap();
        let (moved, events) = mem
            .platform()
            .record(|| space.remap(pages(1, 2), 2, Remap::To(VirtAddr::of_page(8))).unwrap());
        assert_eq!(moved, pages(8, 2));
        let kept = event == UffdMode::EVENT_REMAP;
        assert_eq!((marked(&space, 8), marked(&space, 9)), (kept, kept));
        let heard = |kind: &&crate::EventKind| matches!(kind, crate::EventKind::UffdMoved { .. });
        assert_eq!(events.iter().filter(heard).count(), usize::from(kept));
        assert_eq!(load(&space, 8), Ok(3));
        let written = store(&space, 8, 4).map(|_| ());
        assert_eq!(written, if kept { told(8, UffdReason::Wp) } else { Ok(()) });
        Audit::of(&mem).space(&space).check();
    }
}

#[test]
fn pins_and_populating_meet_what_accesses_meet() {
    let (mem, space) = world();
    map(&space, 1, 3, RW);
    let mode = UffdMode::MISSING | UffdMode::WP;
    space.uffd_register(pages(1, 3), ID, mode).unwrap();
    let missing = PinError::Fault(told::<()>(1, UffdReason::Missing).unwrap_err());
    for access in [Access::Read, Access::Write] {
        assert_eq!(space.pin(pages(1, 1), access, Term::Long).unwrap_err(), missing);
        assert_eq!(space.get(pages(1, 1), access).unwrap_err(), missing);
        let stopped = space.populate(pages(1, 1), access).unwrap_err();
        assert_eq!(PinError::Fault(stopped.error), missing);
    }
    space.uffd_copy(VirtAddr::of_page(1), true, filled(&mem, 2)).unwrap();
    let wp = PinError::Fault(told::<()>(1, UffdReason::Wp).unwrap_err());
    assert_eq!(space.pin(pages(1, 1), Access::Write, Term::Long).unwrap_err(), wp);
    let forced = crate::pin::Ask::new(Access::Write, Term::Short).forced();
    assert_eq!(space.pin_with(pages(1, 1), forced).unwrap_err(), wp);
    let pins = space.pin(pages(1, 1), Access::Read, Term::Long).unwrap();
    assert!(marked(&space, 1));
    // Some pages are a success with a shortfall.
    let some = space.pin(pages(1, 2), Access::Read, Term::Long).unwrap();
    let next = PinError::Fault(told::<()>(2, UffdReason::Missing).unwrap_err());
    assert_eq!((some.pages().len(), some.shortfall()), (1, Some(next)));
    let frames = [pins.pages(), some.pages()].concat();
    Audit::of(&mem).space(&space).pins(&frames).check();
}

#[test]
fn unsharing_for_a_read_pin_keeps_the_mark() {
    let (mem, space) = world();
    map(&space, 1, 1, RW);
    store(&space, 1, 3).unwrap();
    space.uffd_register(pages(1, 1), ID, UffdMode::WP).unwrap();
    let child = space.fork().unwrap();
    space.uffd_write_protect(pages(1, 1), true).unwrap();
    let before = space.walk(VirtAddr::of_page(1)).pfn();
    let pins = space.pin(pages(1, 1), Access::Read, Term::Long).unwrap();
    assert_ne!(pins.pages()[0], before, "a copy");
    assert!(marked(&space, 1));
    assert_eq!(store(&space, 1, 4), told(1, UffdReason::Wp));
    let frames = pins.pages().to_vec();
    Audit::of(&mem).space(&space).space(&child).pins(&frames).check();
}

#[test]
fn what_cannot_be_watched_is_refused_and_nothing_has_changed() {
    let (mem, space) = world();
    map(&space, 1, 2, RW);
    let at = VirtAddr::of_page;
    let register = |range, id, mode| space.uffd_register(range, id, mode);
    assert_eq!(register(pages(1, 1), ID, UffdMode::empty()), Err(SpaceError::NoUffd(at(1))));
    assert_eq!(register(pages(1, 1), ID, UffdMode::EVENT_FORK), Err(SpaceError::NoUffd(at(1))));
    assert_eq!(register(pages(1, 1), ID, UffdMode::MINOR), Err(SpaceError::NoUffd(at(1))));
    assert_eq!(register(pages(3, 3), ID, UffdMode::WP), Err(SpaceError::NotMapped(at(3))));
    assert_eq!(space.uffd_unregister(pages(3, 3)), Err(SpaceError::NotMapped(at(3))));
    let protected = space.uffd_write_protect(pages(1, 1), true);
    assert_eq!(protected, Err(SpaceError::NotRegistered(at(1))));
    register(pages(2, 1), ID, UffdMode::MISSING).unwrap();
    assert_eq!(register(pages(1, 2), UffdId(8), UffdMode::WP), Err(SpaceError::OtherUffd(at(2))));
    assert_eq!(space.uffd_write_protect(pages(1, 2), true), Err(SpaceError::NotRegistered(at(1))));
    let protect = space.uffd_copy(at(2), true, |_| panic!("nothing to fill"));
    assert_eq!(protect, Err(UffdError::NotRegistered(at(2))));
    let file = Disk::default().file(&mem, 2);
    map_file(&space, 8, file.run(0..2), FileSharing::Shared);
    for mode in [UffdMode::MISSING, UffdMode::WP, UffdMode::MINOR] {
        assert_eq!(register(pages(8, 2), ID, mode), Err(SpaceError::NoUffd(at(8))));
    }
    assert_eq!(space.areas(), 3);
}

#[test]
fn holes_are_passed_over_and_what_is_alike_is_one_area_again() {
    let (mem, space) = world();
    map(&space, 1, 3, RW);
    map(&space, 6, 3, RW);
    let middle = pages(2, 6);
    space.uffd_register(middle, ID, UffdMode::MISSING).unwrap();
    assert_eq!(space.areas(), 4);
    assert_eq!(load(&space, 1), Ok(0));
    for page in [2, 3, 6, 7] {
        assert_eq!(load(&space, page), told(page, UffdReason::Missing));
    }
    assert_eq!(load(&space, 8), Ok(0));
    space.uffd_unregister(middle).unwrap();
    assert_eq!((space.areas(), load(&space, 7)), (2, Ok(0)));
    Audit::of(&mem).space(&space).check();
}

#[test]
fn each_release_watches_what_it_could() {
    let shared = |rule: &str, mode: UffdMode| {
        let (_mem, space) = world_of(rules(rule));
        map(&space, 1, 1, RW);
        map_shared(&space, 8, 1);
        let private = mode & !UffdMode::MINOR;
        let private = private.is_empty() || space.uffd_register(pages(1, 1), ID, private).is_ok();
        let shared = mode & !UffdMode::WP_UNPOPULATED;
        (private, space.uffd_register(pages(8, 1), ID, shared).is_ok())
    };
    let unpopulated = UffdMode::WP | UffdMode::WP_UNPOPULATED;
    for (release, wp, minor, absent) in [
        ("5.8", (true, false), (true, false), (false, false)),
        ("5.17", (true, false), (true, true), (false, false)),
        ("5.19", (true, true), (true, true), (false, true)),
        ("6.5", (true, true), (true, true), (true, true)),
    ] {
        assert_eq!(shared(release, UffdMode::WP), wp, "{release}");
        assert_eq!(shared(release, UffdMode::MINOR), minor, "{release}");
        assert_eq!(shared(release, unpopulated), absent, "{release}");
        assert_eq!(shared(release, UffdMode::MISSING), (true, true), "{release}");
    }
}

#[test]
fn a_format_without_a_bit_for_it_protects_nothing() {
    let mem = machine::<SmallRiscv64>(Rules::default(), &[32], Tuning::default());
    let space = space(&mem);
    map(&space, 1, 1, RW);
    assert_eq!(SmallRiscv64::UFFD_WP, 0);
    let refused = space.uffd_register(pages(1, 1), ID, UffdMode::WP);
    assert_eq!(refused, Err(SpaceError::NoUffd(VirtAddr::of_page(1))));
    space.uffd_register(pages(1, 1), ID, UffdMode::MISSING).unwrap();
    assert!(matches!(
        space.fault(VirtAddr::of_page(1), Cause::Load),
        Err(FaultError::Userfault { .. })
    ));
}

#[test]
fn without_frames_a_resolution_changes_nothing() {
    let (mem, space) = world();
    map(&space, 1, 1, RW);
    map(&space, 12, 1, RW);
    space.uffd_register(pages(1, 1), ID, UffdMode::MISSING).unwrap();
    let mode = UffdMode::WP | UffdMode::WP_UNPOPULATED;
    space.uffd_register(pages(12, 1), ID, mode).unwrap();
    let mut hoard = std::vec::Vec::new();
    while let Ok(frames) = mem.frames().take(crate::Placement::Prefer(NodeId(0))) {
        hoard.push(frames);
    }
    let at = VirtAddr::of_page(1);
    let failed = space.uffd_copy(at, false, |_| panic!("there is no frame"));
    assert_eq!(failed, Err(UffdError::Fault(FaultError::OutOfFrames)));
    assert_eq!(space.uffd_write_protect(pages(12, 1), true), Err(SpaceError::OutOfFrames));
    assert!(space.walk(at).is_none() && space.walk(VirtAddr::of_page(12)).is_none());
    drop(hoard);
    space.uffd_copy(at, false, |_| ()).unwrap();
    space.uffd_write_protect(pages(12, 1), true).unwrap();
    Audit::of(&mem).space(&space).check();
}

#[test]
fn a_thread_that_waits_goes_on_when_its_monitor_has_resolved() {
    let mem = crate::testing::machine::<crate::X86_64>(Rules::default(), &[64], Tuning::default());
    let space = crate::testing::space(&mem);
    let range = map(&space, 1, 16, RW);
    space.uffd_register(range, ID, UffdMode::MISSING).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for page in 1..17 {
                loop {
                    let seen = space.uffd_resolved();
                    match store(&space, page, page) {
                        Err(FaultError::Userfault { .. }) => space.uffd_wait(seen),
                        done => {
                            done.unwrap();
                            break;
                        }
                    }
                }
            }
        });
        for page in 1..17 {
            space.uffd_copy(VirtAddr::of_page(page), false, |_| ()).unwrap();
        }
    });
    assert!((1..17).all(|page| load(&space, page) == Ok(page)));
}
