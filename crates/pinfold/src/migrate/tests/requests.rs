//! What programs ask for: a status for each page, ranges, and who waits.

use super::{RW, THERE, node, world};
use crate::testing::{Audit, load, map, map_shared, pages, store};
use crate::{
    Access, Flags, MigrateMode, MoveScope, Moved, NodeId, NotMoved, PageStatus, Pfn, Prot, Strict,
    Term, VirtAddr,
};
use std::vec::Vec;

const HERE: NodeId = NodeId(0);

fn at(page: u64) -> VirtAddr {
    VirtAddr::of_page(page)
}

#[test]
fn every_page_has_its_status() {
    for text in crate::rules::PRESETS {
        let (mem, space) = world(text);
        map_shared(&space, 40, 1);
        (16..20).for_each(|page| _ = store(&space, page, page));
        store(&space, 40, 4).unwrap();
        load(&space, 21).unwrap();
        let child = space.fork().unwrap();
        (16..19).for_each(|page| _ = store(&space, page, page));
        let pins = space.pin(pages(17, 1), Access::Write, Term::Long).unwrap();
        let asked = [16, 17, 18, 19, 20, 21, 30, 40].map(|page| (at(page), THERE));
        let mut seen = Vec::new();
        space.move_pages(&asked, MoveScope::Own, |status| seen.push(status));
        let (there, absent) = (PageStatus::On(THERE), PageStatus::Absent);
        let expected = [
            there,
            PageStatus::Busy,
            there,
            PageStatus::Shared,
            absent,
            PageStatus::NotMapped,
            PageStatus::NotMapped,
            there,
        ];
        assert_eq!(seen, expected, "{text}");
        let looked = [16, 17, 19, 20, 21, 30, 40].map(|page| space.page_status(at(page)));
        let here = PageStatus::On(HERE);
        let not = PageStatus::NotMapped;
        assert_eq!(looked, [there, here, here, absent, not, not, there], "{text}");
        space.move_pages(&[(at(19), THERE)], MoveScope::All, |status| assert_eq!(status, there));
        assert_eq!((node(&space, 19), node(&child, 19)), (THERE, THERE), "{text}");
        space.move_pages(&[(at(16), NodeId(2)), (at(16), THERE)], MoveScope::All, |status| {
            assert!([PageStatus::NoNode, there].contains(&status), "{text}: {status}");
        });
        assert!((16..20).all(|page| load(&space, page) == Ok(page)), "{text}");
        Audit::of(&mem).space(&space).space(&child).pins(pins.pages()).check();
    }
}

#[test]
fn a_full_node_has_no_frame() {
    let (mem, space) = world("pinfold");
    map(&space, 24, 2, RW);
    let mut seen = Vec::new();
    let asked: Vec<_> = (16..26).map(|page| (at(page), THERE)).collect();
    asked.iter().for_each(|(at, _)| _ = store(&space, at.page().0, 1));
    space.move_pages(&asked, MoveScope::All, |status| seen.push(status));
    assert_eq!(seen[..8], [PageStatus::On(THERE); 8]);
    assert_eq!(seen[8..], [PageStatus::NoFrame; 2]);
    Audit::of(&mem).space(&space).check();
}

#[test]
fn linux_has_a_number_for_each() {
    let numbers = [
        (PageStatus::On(NodeId(3)), 3),
        (PageStatus::Absent, -2),
        (PageStatus::NoFrame, -12),
        (PageStatus::Shared, -13),
        (PageStatus::NotMapped, -14),
        (PageStatus::Busy, -16),
        (PageStatus::NoNode, -19),
        (PageStatus::Fixed, -22),
    ];
    assert!(numbers.iter().all(|(status, number)| status.number() == *number));
}

#[test]
fn a_strict_request_says_what_stays() {
    for text in crate::rules::PRESETS {
        let (mem, space) = world(text);
        (16..19).for_each(|page| _ = store(&space, page, page));
        let child = space.fork().unwrap();
        (16..18).for_each(|page| _ = store(&space, page, page));
        let all = pages(16, 8);
        let strict = |scope| space.move_range(all, THERE, scope, Strict::Strict);
        let held = space.get(pages(17, 1), Access::Write).unwrap();
        let stays = Moved { moved: 1, failed: 1 };
        assert_eq!(strict(MoveScope::Own), Err(NotMoved::Stays(stays)), "{text}");
        let own = space.move_range(all, THERE, MoveScope::Own, Strict::No);
        assert_eq!(own, Ok(Moved { moved: 0, failed: 1 }), "{text}");
        drop(held);
        // The one that the child maps, too, is left to both, which is no failure.
        assert_eq!(strict(MoveScope::Own), Ok(Moved { moved: 1, failed: 0 }), "{text}");
        assert_eq!(strict(MoveScope::All), Ok(Moved { moved: 1, failed: 0 }), "{text}");
        assert_eq!(strict(MoveScope::Own), Ok(Moved::default()), "{text}: all are there");
        let beyond = space.move_range(pages(20, 8), HERE, MoveScope::All, Strict::No);
        assert_eq!(beyond, Err(NotMoved::NotMapped(at(24))), "{text}");
        assert_eq!(node(&space, 16), THERE, "{text}: nothing has moved back");
        Audit::of(&mem).space(&space).space(&child).check();
    }
}

#[test]
fn who_can_wait_sleeps_for_a_page_lock_and_who_cannot_gives_up() {
    for text in crate::rules::PRESETS {
        let (mem, space) = world(text);
        let pfn = store(&space, 16, 5).unwrap();
        let locked = mem.lock_page(pfn);
        let stays = Moved { moved: 0, failed: 1 };
        assert_eq!(space.migrate_as(pages(16, 1), THERE, MigrateMode::Async), stays, "{text}");
        std::thread::scope(|scope| {
            let mover = scope.spawn(|| space.migrate(pages(16, 1), THERE));
            while !mem.frames().flags(pfn).contains(Flags::WAITERS) {
                std::thread::yield_now();
            }
            drop(locked);
            assert_eq!(mover.join().unwrap(), Moved { moved: 1, failed: 0 }, "{text}");
        });
        assert_eq!((node(&space, 16), load(&space, 16)), (THERE, Ok(5)), "{text}");
        Audit::of(&mem).space(&space).check();
    }
}

#[test]
fn of_a_batch_the_others_move_while_one_waits() {
    let (mem, space) = world("pinfold");
    let pfn = store(&space, 16, 5).unwrap();
    store(&space, 17, 6).unwrap();
    let locked = mem.lock_page(pfn);
    std::thread::scope(|scope| {
        let mover = scope.spawn(|| space.migrate(pages(16, 2), THERE));
        while !mem.frames().flags(pfn).contains(Flags::WAITERS) {
            std::thread::yield_now();
        }
        assert_eq!((node(&space, 17), node(&space, 16)), (THERE, HERE), "it holds nothing");
        assert_eq!((load(&space, 17), store(&space, 17, 7).is_ok()), (Ok(6), true));
        drop(locked);
        assert_eq!(mover.join().unwrap(), Moved { moved: 2, failed: 0 });
    });
    Audit::of(&mem).space(&space).check();
}

/// A fault that waits for the last life of a new frame waits for no sleeper.
#[test]
fn who_sleeps_for_one_page_of_a_batch_has_no_new_frame_locked() {
    let (mem, space) = world("pinfold");
    let [first, second] = [16, 17].map(|page| store(&space, page, page).unwrap());
    let locked = (mem.lock_page(first), mem.lock_page(second));
    std::thread::scope(|scope| {
        let mover = scope.spawn(|| space.migrate(pages(16, 2), THERE));
        while !mem.frames().flags(first).contains(Flags::WAITERS) {
            std::thread::yield_now();
        }
        let held = |pfn: &Pfn| mem.frames().flags(*pfn).contains(Flags::LOCKED);
        let all: Vec<Pfn> = mem.frames().all().filter(held).collect();
        drop(locked);
        assert_eq!(mover.join().unwrap(), Moved { moved: 2, failed: 0 });
        assert_eq!(all, [first, second]);
    });
    Audit::of(&mem).space(&space).check();
}

#[test]
fn what_is_protected_moves_and_stays_protected() {
    let (mem, space) = world("pinfold");
    store(&space, 16, 5).unwrap();
    space.protect(pages(16, 1), Prot::READ).unwrap();
    space.move_pages(&[(at(16), THERE)], MoveScope::Own, |status| {
        assert_eq!(status, PageStatus::On(THERE));
    });
    assert!(!space.entry(at(16)).is_writable());
    assert_eq!(load(&space, 16), Ok(5));
    Audit::of(&mem).space(&space).check();
}
