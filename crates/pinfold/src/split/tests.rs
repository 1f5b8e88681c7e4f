//! Large folios mapped by entries: first touches, what fork, faults and unmapping do with them, and
//! splitting.

use std::vec::Vec;

use crate::frame::FaultedBy;
use crate::testing::{Audit, Mem, Space, load, machine, map, pages, rules, space, store};
use crate::{
    Access, Advice, EventKind, Group, HintFilter, Memory, NodeId, Pfn, Place, Prot, Remap,
    SplitError, Splits, Term, Tuning, VirtAddr, X86_64, lab,
};

const RW: Prot = Prot::READ_WRITE;
const ORDERS: u32 = 1 << 2 | 1 << 4;

fn tuning() -> Tuning {
    Tuning { folios_advised: ORDERS, ..Tuning::default() }
}

/// A machine, and a space in which pages 16 to 31 are one folio of 16 pages, each with its number.
fn world(text: &str) -> (Mem<X86_64>, Space<X86_64>) {
    let mem = machine(rules(text), &[200, 40], tuning());
    let space = space(&mem);
    let range = map(&space, 16, 16, RW);
    space.advise(range, Advice::HugePage).unwrap();
    for page in 16..32 {
        store(&space, page, page).unwrap();
    }
    assert_eq!(mem.stats().thp_fault_alloc, 1, "{text}");
    (mem, space)
}

fn at(page: u64) -> VirtAddr {
    VirtAddr::of_page(page)
}

fn frame(space: &Space<X86_64>, page: u64) -> Pfn {
    space.entry(at(page)).pfn()
}

fn folio(mem: &Mem<X86_64>, pfn: Pfn) -> lab::FolioView {
    lab::large_folio(mem.frames(), pfn).expect("a large folio")
}

const RULES: [&str; 8] = ["5.8", "5.9", "5.10", "5.18", "5.19", "6.8", "latest", "pinfold"];

#[test]
fn a_first_touch_takes_the_largest_folio_that_fits_and_is_untouched() {
    let (mem, space) = world("pinfold");
    let head = frame(&space, 16);
    assert!((16..32).all(|page| frame(&space, page) == Pfn(head.0 + page - 16)));
    let whole = folio(&mem, head);
    assert_eq!((whole.pages, whole.may_be_shared, whole.queued), (16, false, false));
    // Six pages: one aligned run of four, and two small ones; not where a page is touched already.
    let range = map(&space, 36, 6, RW);
    space.advise(range, Advice::HugePage).unwrap();
    store(&space, 40, 1).unwrap();
    assert!(lab::large_folio(mem.frames(), frame(&space, 40)).is_none());
    store(&space, 37, 1).unwrap();
    assert_eq!(folio(&mem, frame(&space, 36)).pages, 4);
    map(&space, 48, 16, RW);
    store(&space, 50, 1).unwrap();
    assert!(lab::large_folio(mem.frames(), frame(&space, 50)).is_none(), "not advised");
    space.advise(pages(48, 16), Advice::HugePage).unwrap();
    store(&space, 51, 1).unwrap();
    assert!(lab::large_folio(mem.frames(), frame(&space, 51)).is_none(), "50 is touched");
    store(&space, 60, 1).unwrap();
    assert_eq!(folio(&mem, frame(&space, 60)).pages, 4);
    space.advise(pages(48, 16), Advice::NoHugePage).unwrap();
    store(&space, 56, 1).unwrap();
    assert!(lab::large_folio(mem.frames(), frame(&space, 56)).is_none());
    Audit::of(&mem).space(&space).check();
}

#[test]
fn without_a_run_of_frames_a_first_touch_takes_a_smaller_folio_or_a_page() {
    let mem = machine::<X86_64>(rules("pinfold"), &[32], tuning());
    let space = space(&mem);
    space.advise(map(&space, 16, 64, RW), Advice::HugePage).unwrap();
    let sizes: Vec<_> =
        (16..43).map(|page| store(&space, page, page).map(|pfn| folio_pages(&mem, pfn))).collect();
    assert_eq!((sizes[0], sizes[16], sizes[26]), (Ok(16), Ok(4), Ok(1)), "{sizes:?}");
    Audit::of(&mem).space(&space).check();
}

fn folio_pages(mem: &Mem<X86_64>, pfn: Pfn) -> u64 {
    lab::large_folio(mem.frames(), pfn).map_or(1, |folio| folio.pages)
}

#[test]
fn fork_shares_a_folio_and_whoever_writes_copies_a_page() {
    for text in RULES {
        let (mem, parent) = world(text);
        let head = frame(&parent, 16);
        let child = parent.fork().unwrap();
        assert_eq!(lab::counts(mem.frames(), head).refs(), 32, "{text}");
        Audit::of(&mem).space(&parent).space(&child).check();
        assert_ne!(store(&child, 20, 1), Ok(Pfn(head.0 + 4)), "{text}");
        assert_eq!((load(&parent, 20), load(&child, 21)), (Ok(20), Ok(21)), "{text}");
        Audit::of(&mem).space(&parent).space(&child).check();
        drop(child);
        Audit::of(&mem).space(&parent).check();
        assert_eq!(load(&parent, 20), Ok(20));
    }
}

#[test]
fn after_the_child_has_left_the_rule_says_whether_a_page_is_reused() {
    for (text, reused) in [
        ("5.8", true),
        ("5.9", false),
        ("5.18", false),
        ("6.7", false),
        ("6.8", false),
        ("6.14", false),
        ("6.15", true),
        ("pinfold", true),
    ] {
        let (mem, parent) = world(text);
        let pfn = frame(&parent, 20);
        drop(parent.fork().unwrap());
        assert_eq!(store(&parent, 20, 1) == Ok(pfn), reused, "{text}");
        Audit::of(&mem).space(&parent).check();
    }
}

#[test]
fn a_reference_or_another_address_space_makes_the_owner_copy() {
    for text in ["6.15", "pinfold"] {
        let (mem, parent) = world(text);
        let pfn = frame(&parent, 20);
        drop(parent.fork().unwrap());
        let reference = Memory::try_reference(&mem, Pfn(pfn.0 + 1)).unwrap();
        assert_ne!(store(&parent, 20, 1), Ok(pfn), "{text}");
        drop(reference);
        let child = parent.fork().unwrap();
        assert_ne!(store(&parent, 21, 1), Ok(Pfn(pfn.0 + 1)), "{text}");
        child.unmap(pages(16, 15)).unwrap();
        assert_ne!(store(&parent, 22, 1), Ok(Pfn(pfn.0 + 2)), "{text}");
        child.unmap(pages(31, 1)).unwrap();
        assert_eq!(store(&parent, 23, 1), Ok(Pfn(pfn.0 + 3)), "{text}");
        Audit::of(&mem).space(&parent).space(&child).check();
    }
}

#[test]
fn a_pinned_folio_stays_with_its_owner() {
    for (text, copies) in [("5.8", 0), ("5.9", 16), ("5.19", 16), ("pinfold", 16)] {
        let (mem, parent) = world(text);
        let pfn = frame(&parent, 20);
        let pins = parent.pin(pages(20, 1), Access::Write, Term::Short).unwrap();
        assert_eq!(folio(&mem, pfn).pins, 1);
        let child = parent.fork().unwrap();
        // Pins are counted for the folio, so each of its pages may be the pinned one.
        assert_eq!(mem.stats().fork_copy, copies, "{text}");
        assert_eq!(store(&parent, 20, 99) == Ok(pfn), copies > 0, "{text}");
        assert_eq!(load(&child, 20), Ok(20), "{text}");
        Audit::of(&mem).space(&parent).space(&child).pins(pins.pages()).check();
    }
}

#[test]
fn a_folio_is_split_for_all_who_map_it() {
    for text in RULES {
        let (mem, parent) = world(text);
        let head = frame(&parent, 16);
        let child = parent.fork().unwrap();
        child.unmap(pages(20, 2)).unwrap();
        store(&child, 17, 99).unwrap();
        parent.split_folio(at(25)).unwrap();
        assert_eq!(lab::large_folio(mem.frames(), head), None, "{text}");
        Audit::of(&mem).space(&parent).space(&child).check();
        for page in 16..32 {
            assert_eq!(frame(&parent, page), Pfn(head.0 + page - 16), "{text}");
            assert_eq!(load(&parent, page), Ok(page), "{text}");
        }
        assert_eq!(load(&child, 17), Ok(99), "{text}");
        assert_eq!(parent.split_folio(at(25)), Err(SplitError::NotLarge));
        drop(parent);
        assert_eq!(store(&child, 30, 1), Ok(Pfn(head.0 + 14)), "{text}: now its own");
        Audit::of(&mem).space(&child).check();
    }
}

#[test]
fn what_nothing_maps_is_free_after_the_split() {
    for text in RULES {
        let (mem, space) = world(text);
        let before = mem.frames().total_free();
        space.advise(pages(18, 6), Advice::DontNeed).unwrap();
        assert_eq!((mem.frames().total_free(), mem.partly_mapped()), (before, 1), "{text}");
        Audit::of(&mem).space(&space).check();
        assert_eq!(mem.split_partly_mapped(9), Splits { split: 1, failed: 0 }, "{text}");
        assert_eq!((mem.frames().total_free(), mem.partly_mapped()), (before + 6, 0), "{text}");
        assert_eq!((load(&space, 17), load(&space, 18)), (Ok(17), Ok(0)));
        Audit::of(&mem).space(&space).check();
    }
}

#[test]
fn the_head_may_be_the_page_that_is_gone() {
    for text in RULES {
        let (mem, space) = world(text);
        space.unmap(pages(16, 8)).unwrap();
        space.split_folio(at(24)).unwrap();
        Audit::of(&mem).space(&space).check();
        assert_eq!(load(&space, 24), Ok(24));
    }
}

#[test]
fn a_folio_that_somebody_refers_to_is_not_split() {
    for text in RULES {
        let (mem, space) = world(text);
        let pfn = frame(&space, 20);
        let get = space.get(pages(20, 1), Access::Read).unwrap();
        let busy = SplitError::Busy { refs: 18, expected: 17 };
        assert_eq!(space.split_folio(at(16)), Err(busy), "{text}");
        Audit::of(&mem).space(&space).gets(get.pages()).check();
        drop(get);
        let pins = space.pin(pages(20, 2), Access::Write, Term::Short).unwrap();
        assert!(matches!(space.split_folio(at(16)), Err(SplitError::Busy { .. })), "{text}");
        Audit::of(&mem).space(&space).pins(pins.pages()).check();
        drop(pins);
        let reference = Memory::try_reference(&mem, pfn).unwrap();
        assert!(space.split_folio(at(16)).is_err(), "{text}");
        drop(reference);
        space.split_folio(at(16)).unwrap();
        Audit::of(&mem).space(&space).check();
        assert_eq!(mem.stats().thp_split_page_failed, 3);
    }
}

#[test]
fn one_that_waits_and_is_pinned_goes_on_waiting() {
    let (mem, space) = world("pinfold");
    space.unmap(pages(30, 2)).unwrap();
    let pins = space.pin(pages(20, 1), Access::Write, Term::Short).unwrap();
    assert_eq!(mem.split_partly_mapped(9), Splits { split: 0, failed: 1 });
    assert_eq!(mem.partly_mapped(), 1);
    drop(pins);
    assert_eq!(mem.split_partly_mapped(0), Splits::default());
    assert_eq!(mem.split_partly_mapped(9), Splits { split: 1, failed: 0 });
    Audit::of(&mem).space(&space).check();
}

#[test]
fn the_queue_forgets_what_is_freed() {
    let mem = machine::<X86_64>(rules("pinfold"), &[200], tuning());
    let space = space(&mem);
    space.advise(map(&space, 16, 64, RW), Advice::HugePage).unwrap();
    for page in 16..80 {
        store(&space, page, page).unwrap();
    }
    for first in [16, 32, 48, 64] {
        space.advise(pages(first, 1), Advice::DontNeed).unwrap();
    }
    assert_eq!(mem.partly_mapped(), 4);
    space.unmap(pages(32, 16)).unwrap();
    space.unmap(pages(64, 16)).unwrap();
    space.unmap(pages(16, 16)).unwrap();
    assert_eq!(mem.partly_mapped(), 1);
    Audit::of(&mem).space(&space).check();
    drop(space);
    assert_eq!(mem.partly_mapped(), 0);
    Audit::of(&mem).check();
}

#[test]
fn protection_and_a_move_inside_a_folio_leave_it_whole() {
    for text in RULES {
        let (mem, space) = world(text);
        let head = frame(&space, 16);
        space.protect(pages(20, 4), Prot::READ).unwrap();
        assert!(store(&space, 21, 1).is_err());
        space.protect(pages(20, 4), RW).unwrap();
        // Half of it moves; its pages are found there by the walk of a split.
        space.remap(pages(24, 8), 8, Remap::To(at(3))).unwrap();
        assert_eq!((load(&space, 3), load(&space, 10)), (Ok(24), Ok(31)), "{text}");
        assert_eq!(frame(&space, 3), Pfn(head.0 + 8), "{text}");
        let child = space.fork().unwrap();
        Audit::of(&mem).space(&space).space(&child).check();
        space.split_folio(at(5)).unwrap();
        Audit::of(&mem).space(&space).space(&child).check();
        for page in 3..11 {
            assert_eq!(load(&child, page), Ok(page + 21), "{text}");
        }
        assert_eq!(load(&child, 20), Ok(20));
    }
}

#[test]
fn a_folio_whose_first_page_would_lie_below_the_first_address_is_found() {
    let (mem, space) = world("pinfold");
    space.remap(pages(30, 2), 2, Remap::To(at(1))).unwrap();
    space.unmap(pages(16, 14)).unwrap();
    space.split_folio(at(1)).unwrap();
    assert_eq!((load(&space, 1), load(&space, 2)), (Ok(30), Ok(31)));
    Audit::of(&mem).space(&space).check();
}

/// New memory beside what was moved upwards is part of that family, where its first page has a
/// number below zero.
#[test]
fn a_folio_in_which_the_numbers_of_its_family_wrap_is_found_and_split() {
    let mem = machine::<X86_64>(rules("pinfold"), &[200], tuning());
    let space = space(&mem);
    map(&space, 1, 1, RW);
    space.remap(pages(1, 1), 1, Remap::To(at(20))).unwrap();
    space.advise(map(&space, 16, 4, RW), Advice::HugePage).unwrap();
    let head = store(&space, 17, 17).unwrap();
    assert_eq!(folio(&mem, head).pages, 4);
    let child = space.fork().unwrap();
    Audit::of(&mem).space(&space).space(&child).check();
    space.split_folio(at(19)).unwrap();
    assert_eq!((load(&space, 17), load(&child, 17)), (Ok(17), Ok(17)));
    Audit::of(&mem).space(&space).space(&child).check();
}

#[test]
fn locked_pages_of_a_folio_are_counted_and_go_on_being_locked_when_it_is_split() {
    let (mem, space) = world("pinfold");
    space.mlock(pages(18, 4)).unwrap();
    Audit::of(&mem).space(&space).check();
    assert_eq!(lab::locked_mappings(mem.frames(), frame(&space, 16)), 4);
    space.split_folio(at(16)).unwrap();
    Audit::of(&mem).space(&space).check();
    space.munlock(pages(16, 16)).unwrap();
    Audit::of(&mem).space(&space).check();
}

#[test]
fn a_group_is_charged_for_all_pages_of_a_folio_and_for_each_that_it_becomes() {
    for text in ["5.8", "6.2", "pinfold"] {
        let mem = machine::<X86_64>(rules(text), &[200], tuning());
        let group = Group::new(&mem, 20).unwrap();
        let space = space(&mem);
        space.join(&group);
        space.advise(map(&space, 16, 32, RW), Advice::HugePage).unwrap();
        store(&space, 16, 1).unwrap();
        assert_eq!((group.charged(), group.stats().nr_anon_pages), (16, 16), "{text}");
        // No room for sixteen more: four.
        store(&space, 40, 1).unwrap();
        assert_eq!(group.charged(), 20, "{text}");
        assert!(store(&space, 32, 1).is_err());
        Audit::of(&mem).space(&space).group(&group).check();
        space.advise(pages(20, 2), Advice::DontNeed).unwrap();
        space.split_folio(at(16)).unwrap();
        assert_eq!((group.charged(), group.stats().nr_anon_pages), (18, 18), "{text}");
        Audit::of(&mem).space(&space).group(&group).check();
        drop(space);
        assert_eq!((group.charged(), group.stats().nr_anon_pages), (0, 0), "{text}");
    }
}

#[test]
fn a_reference_by_number_takes_private_pages_alone() {
    let (mem, space) = world("pinfold");
    assert!(Memory::try_reference(&mem, mem.zero_page()).is_none());
    assert!(Memory::try_reference(&mem, space.root()).is_none());
    let pfn = frame(&space, 20);
    let reference = Memory::try_reference(&mem, pfn).unwrap();
    assert_eq!(reference.pfn(), pfn);
    drop(space);
    assert!(lab::large_folio(mem.frames(), pfn).is_some(), "the reference keeps it");
    drop(reference);
    assert!(Memory::try_reference(&mem, pfn).is_none());
    Audit::of(&mem).check();
}

#[test]
fn populating_and_slow_pins_take_folios_too() {
    let mem = machine::<X86_64>(rules("pinfold"), &[200], tuning());
    let space = space(&mem);
    space.advise(map(&space, 16, 32, RW), Advice::HugePage).unwrap();
    space.populate(pages(16, 16), Access::Write).unwrap();
    let pins = space.pin(pages(32, 16), Access::Write, Term::Short).unwrap();
    assert_eq!(mem.stats().thp_fault_alloc, 2);
    assert_eq!(folio(&mem, pins.pages()[3]).pins, 16);
    Audit::of(&mem).space(&space).pins(pins.pages()).check();
    let _ = space.map(Place::At(at(64)), 1, RW, crate::Sharing::Private).unwrap();
}

#[test]
fn pins_of_a_folio_are_taken_and_dropped_together_page_by_page_of_other_things() {
    let (mem, space) = world("pinfold");
    map(&space, 32, 4, RW);
    for page in 32..36 {
        store(&space, page, page).unwrap();
    }
    // Small pages, a folio in part read-only, and a hole in it.
    space.protect(pages(24, 2), Prot::READ).unwrap();
    let pins = space.pin(pages(18, 18), Access::Write, Term::Short).unwrap();
    assert_eq!(pins.pages().len(), 6, "up to what is read-only");
    assert_eq!(folio(&mem, pins.pages()[0]).pins, 6);
    drop(pins);
    let pins = space.pin(pages(18, 18), Access::Read, Term::Short).unwrap();
    assert_eq!(pins.pages().len(), 18);
    assert_eq!(folio(&mem, pins.pages()[0]).pins, 14);
    Audit::of(&mem).space(&space).pins(pins.pages()).check();
    let mut each = pins.into_pages();
    let kept: Vec<_> = each.by_ref().take(5).collect();
    drop(each);
    assert_eq!(folio(&mem, frame(&space, 18)).pins, 5);
    drop(kept);
    space.advise(pages(20, 1), Advice::DontNeed).unwrap();
    let refs = space.get(pages(18, 18), Access::Read).unwrap();
    assert_eq!(refs.pages().len(), 18);
    Audit::of(&mem).space(&space).gets(refs.pages()).check();
    drop(refs);
    Audit::of(&mem).space(&space).check();
}

#[test]
fn a_fault_that_finds_no_frame_splits_what_is_mapped_in_part() {
    let mem = machine::<X86_64>(rules("pinfold"), &[32], tuning());
    let space = space(&mem);
    space.advise(map(&space, 16, 16, RW), Advice::HugePage).unwrap();
    store(&space, 16, 16).unwrap();
    assert_eq!(folio(&mem, frame(&space, 16)).pages, 16);
    space.advise(pages(20, 4), Advice::DontNeed).unwrap();
    map(&space, 40, 24, RW);
    let filled = (40..64).take_while(|page| store(&space, *page, *page).is_ok()).count();
    assert_eq!((mem.stats().thp_split_page, mem.frames().total_free()), (1, 0));
    assert!(filled > 11, "{filled}: four more than were free");
    assert_eq!((load(&space, 16), load(&space, 40)), (Ok(16), Ok(40)));
    Audit::of(&mem).space(&space).check();
}

#[test]
fn one_that_is_pinned_does_not_help_a_fault_that_finds_no_frame() {
    let mem = machine::<X86_64>(rules("pinfold"), &[32], tuning());
    let space = space(&mem);
    space.advise(map(&space, 16, 16, RW), Advice::HugePage).unwrap();
    store(&space, 16, 16).unwrap();
    space.advise(pages(20, 4), Advice::DontNeed).unwrap();
    let pins = space.pin(pages(16, 1), Access::Write, Term::Short).unwrap();
    map(&space, 40, 24, RW);
    let filled = (40..64).take_while(|page| store(&space, *page, *page).is_ok()).count();
    assert!(filled < 12 && mem.partly_mapped() == 1);
    Audit::of(&mem).space(&space).pins(pins.pages()).check();
}

mod references;

/// From its first entry on, a part of a folio has hinting faults of its own.
#[test]
fn a_part_keeps_the_hinting_fault_that_it_has_while_others_come_back() {
    let tuning = Tuning { hint_filter: HintFilter::On, ..tuning() };
    let mem = machine::<X86_64>(rules("pinfold"), &[200, 40], tuning);
    let space = space(&mem);
    space.advise(map(&space, 16, 16, RW), Advice::HugePage).unwrap();
    let head = store(&space, 16, 5).unwrap();
    let by = |task| FaultedBy { node: NodeId(1), task };
    mem.frames().exchange_last_fault(head, by(1));
    let rig = mem.clone();
    let fault = move |event| {
        if event == (EventKind::MigrationRestored { pfn: Pfn(head.0 + 1), writable: true }) {
            assert_eq!(rig.frames().exchange_last_fault(Pfn(head.0 + 1), by(2)), Some(by(1)));
        }
    };
    mem.platform().interrupt(fault, || space.split_folio(at(16)).unwrap());
    let known = [0, 1, 2, 15].map(|page| mem.frames().peek_last_fault(Pfn(head.0 + page)));
    assert_eq!(known, [by(1), by(2), by(1), by(1)].map(Some));
    Audit::of(&mem).space(&space).check();
}
