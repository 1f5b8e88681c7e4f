//! Huge entries: what makes them, what keeps them whole, and what splits them.

use std::sync::Arc;
use std::vec::Vec;

use crate::pin::{Ask, Path};
use crate::rules::pmd::writes_whole_zero;
use crate::testing::{
    Audit, Hardware, Mem, Space, device_read, device_write, entry_at_flush, load, machine, map,
    pages, rules, space, store,
};
use crate::{
    Access, Advice, Cause, Fault, Format, HugeZero, Pfn, PmdMapping, Prot, Remap, Small,
    SmallAarch64, SmallRiscv64, SplitError, Term, Tuning, VirtAddr, X86_64, lab,
};

const RW: Prot = Prot::READ_WRITE;
const ALL: [&str; 9] = ["3.1", "4.4", "4.5", "5.8", "5.9", "5.18", "5.19", "latest", "pinfold"];

fn tuning<F: Format>() -> Tuning {
    Tuning { folios_advised: 1 << F::INDEX_BITS, ..Tuning::default() }
}

/// A machine, and a space in which pages 4 to 7 are one folio of four pages, each with its number,
/// by one entry; and pages 8 to 11 are untouched, and may become the same.
fn world<F: Hardware>(text: &str) -> (Mem<F>, Space<F>) {
    let mem = machine(rules(text), &[60, 20], tuning::<F>());
    let space = space(&mem);
    space.advise(map(&space, 4, 8, RW), Advice::HugePage).unwrap();
    for page in 4..8 {
        store(&space, page, page).unwrap();
    }
    assert_eq!(mem.stats().thp_fault_alloc, 1, "{text}");
    (mem, space)
}

fn at(page: u64) -> VirtAddr {
    VirtAddr::of_page(page)
}

fn frame<F: Format>(space: &Space<F>, page: u64) -> Pfn {
    space.entry(at(page)).pfn()
}

fn splits<F: Format>(mem: &Mem<F>) -> u64 {
    mem.stats().thp_split_pmd
}

fn one_entry_maps_all<F: Hardware>() {
    let (mem, space) = world::<F>("pinfold");
    let head = frame(&space, 4);
    assert!((4..8).all(|page| frame(&space, page) == Pfn(head.0 + page - 4)));
    assert!((4..8).all(|page| load(&space, page) == Ok(page)));
    let view = lab::large_folio(mem.frames(), head).unwrap();
    assert_eq!((view.pages, view.queued, splits(&mem)), (4, false, 0));
    assert_eq!(mem.frames().counts(head).maps(), 4);
    // Two tables: the root, and the one that waits for a split.
    let before = mem.frames().total_free();
    Audit::of(&mem).space(&space).check();
    space.unmap(pages(4, 8)).unwrap();
    assert_eq!(mem.frames().total_free() - before, 5, "four pages and a table");
    Audit::of(&mem).space(&space).check();
}

#[test]
fn a_first_touch_is_mapped_by_one_entry_in_every_format() {
    one_entry_maps_all::<Small>();
    one_entry_maps_all::<SmallAarch64>();
    one_entry_maps_all::<SmallRiscv64>();
}

#[test]
fn a_folio_of_two_megabytes_is_mapped_by_one_entry() {
    let mem = machine::<X86_64>(rules("pinfold"), &[2048], tuning::<X86_64>());
    let space = space(&mem);
    space.advise(map(&space, 1024, 512, RW), Advice::HugePage).unwrap();
    let head = frame_of_touch(&space, 1300);
    assert_eq!((frame(&space, 1024), head.0 % 512), (head, 0));
    let pins = space.pin(pages(1024, 512), Access::Write, Term::Long).unwrap();
    assert!(pins.pages().iter().zip(head.0..).all(|(pfn, number)| pfn.0 == number));
    assert_eq!(mem.frames().counts(head).refs(), 1024);
    Audit::of(&mem).space(&space).pins(pins.pages()).check();
    drop(pins);
    space.unmap(pages(1100, 1)).unwrap();
    assert_eq!((splits(&mem), load(&space, 1300)), (1, Ok(7)));
    Audit::of(&mem).space(&space).check();
}

fn frame_of_touch(space: &Space<X86_64>, page: u64) -> Pfn {
    Pfn(store(space, page, 7).unwrap().0 & !511)
}

#[test]
fn without_room_advice_frames_or_wish_small_pages_are_mapped() {
    let (mem, space) = world::<Small>("pinfold");
    // A touched neighbour has made a table already.
    space.advise(pages(8, 4), Advice::NoHugePage).unwrap();
    store(&space, 8, 1).unwrap();
    space.advise(pages(8, 4), Advice::HugePage).unwrap();
    store(&space, 9, 1).unwrap();
    assert!(lab::large_folio(mem.frames(), frame(&space, 9)).is_none());
    // Half of what an entry would map belongs to nobody.
    space.advise(map(&space, 12, 3, RW), Advice::HugePage).unwrap();
    store(&space, 12, 1).unwrap();
    assert!(lab::large_folio(mem.frames(), frame(&space, 12)).is_none());
    assert_eq!(mem.stats().thp_fault_alloc, 1);
    Audit::of(&mem).space(&space).check();
    let few = machine::<Small>(rules("pinfold"), &[5], tuning::<Small>());
    let space = crate::testing::space(&few);
    space.advise(map(&space, 4, 4, RW), Advice::HugePage).unwrap();
    store(&space, 5, 1).unwrap();
    assert_eq!(few.stats().thp_fault_fallback, 1);
    Audit::of(&few).space(&space).check();
    let off = Tuning { pmd_mapping: PmdMapping::Off, ..tuning::<Small>() };
    let off = machine::<Small>(rules("pinfold"), &[30], off);
    let space = crate::testing::space(&off);
    space.advise(map(&space, 4, 4, RW), Advice::HugePage).unwrap();
    store(&space, 5, 1).unwrap();
    space.unmap(pages(4, 1)).unwrap();
    assert_eq!((off.stats().thp_fault_alloc, splits(&off)), (1, 0));
    Audit::of(&off).space(&space).check();
}

/// Whether the mark decides, or the mappings of the page.
fn marks(text: &str) -> bool {
    crate::rules::cow::sets_exclusive(rules(text).pte_cow)
}

#[test]
fn what_covers_the_entry_keeps_it_and_what_covers_a_part_splits_it() {
    type Change = fn(&Space<Small>, first: u64, pages: u64);
    let changes: [(&str, Change); 4] = [
        ("protect", |space, first, count| {
            space.protect(pages(first, count), Prot::READ).unwrap();
            space.protect(pages(first, count), Prot::empty()).unwrap();
            space.protect(pages(first, count), RW).unwrap();
        }),
        ("scan", |space, first, count| {
            space.numa_scan(pages(first, count));
        }),
        ("dontneed", |space, first, count| {
            space.advise(pages(first, count), Advice::DontNeed).unwrap();
        }),
        ("unmap", |space, first, count| space.unmap(pages(first, count)).unwrap()),
    ];
    for text in ALL {
        for (name, change) in changes {
            for (first, count, split) in [(4, 4, 0), (4, 2, 1), (5, 1, 1), (7, 1, 1)] {
                let (mem, space) = world::<Small>(text);
                let head = frame(&space, 4);
                change(&space, first, count);
                assert_eq!(splits(&mem), split, "{text} {name} {first} {count}");
                Audit::of(&mem).space(&space).check();
                for page in (4..8).filter(|page| !(first..first + count).contains(page)) {
                    assert_eq!(load(&space, page), Ok(page), "{text} {name}");
                    assert_eq!(frame(&space, page), Pfn(head.0 + page - 4), "{text} {name}");
                }
                if matches!(name, "protect" | "scan") {
                    for page in first..first + count {
                        assert_eq!(load(&space, page), Ok(page), "{text} {name}");
                        let same = store(&space, page, page).unwrap() == Pfn(head.0 + page - 4);
                        // Entries of single pages are asked about the references of all.
                        assert!(same || split == 1 && !marks(text), "{text} {name}");
                    }
                    assert_eq!(splits(&mem), split, "{text} {name} {first} {count}");
                }
                Audit::of(&mem).space(&space).check();
            }
        }
    }
}

#[test]
fn fork_shares_the_entry_and_the_first_write_splits_that_of_its_writer() {
    for text in ALL {
        let (mem, parent) = world::<Small>(text);
        let head = frame(&parent, 4);
        let child = parent.fork().unwrap();
        assert_eq!((splits(&mem), frame(&child, 6)), (0, Pfn(head.0 + 2)), "{text}");
        assert!(!mem.frames().counts(head).is_exclusive(), "{text}");
        Audit::of(&mem).space(&parent).space(&child).check();
        store(&parent, 5, 50).unwrap();
        assert_eq!(splits(&mem), 1, "{text}");
        assert_ne!(frame(&parent, 5), frame(&child, 5), "{text}");
        assert_eq!((frame(&parent, 6), load(&child, 5)), (frame(&child, 6), Ok(5)), "{text}");
        Audit::of(&mem).space(&parent).space(&child).check();
        drop(parent);
        // The child has all of it now, by one entry.
        assert_eq!(store(&child, 6, 60).unwrap(), Pfn(head.0 + 2), "{text}");
        assert_eq!(splits(&mem), 1, "{text}");
        Audit::of(&mem).space(&child).check();
    }
}

#[test]
fn fork_of_a_pinned_folio_splits_the_entry_since_5_9_and_copies_its_pages() {
    for (text, copies) in [("5.8", 0), ("5.9", 4), ("5.18", 4), ("5.19", 4), ("pinfold", 4)] {
        let (mem, parent) = world::<Small>(text);
        let pins = parent.pin(pages(5, 1), Access::Write, Term::Long).unwrap();
        let child = parent.fork().unwrap();
        assert_eq!((mem.stats().fork_copy, splits(&mem)), (copies, copies / 4), "{text}");
        Audit::of(&mem).space(&parent).space(&child).pins(pins.pages()).check();
        let owner = store(&parent, 5, 50).unwrap();
        assert_eq!(owner == pins.pages()[0], copies > 0, "{text}");
        assert_eq!(load(&child, 5), Ok(5), "{text}");
        device_write(&mem, pins.pages()[0], 51);
        assert_eq!(load(&child, 5) == Ok(5), copies > 0, "{text}");
        Audit::of(&mem).space(&parent).space(&child).pins(pins.pages()).check();
    }
}

#[test]
fn a_reference_of_a_child_that_has_left_decides_since_5_18() {
    for (text, leaks) in
        [("5.7", true), ("5.8", false), ("5.17", true), ("5.18", false), ("pinfold", false)]
    {
        let (mem, parent) = world::<Small>(text);
        let child = parent.fork().unwrap();
        let seen = child.get(pages(5, 1), Access::Read).unwrap();
        child.unmap(pages(4, 4)).unwrap();
        store(&parent, 5, 50).unwrap();
        let expected = if leaks { 50 } else { 5 };
        assert_eq!(device_read(&mem, seen.pages()[0]), expected, "{text}");
        Audit::of(&mem).space(&parent).space(&child).gets(seen.pages()).check();
    }
}

#[test]
fn pins_take_the_pages_of_an_entry_without_splitting_it() {
    for text in ALL {
        let (mem, space) = world::<Small>(text);
        let head = frame(&space, 4);
        for (first, count) in [(4, 4), (5, 2), (7, 1)] {
            let expected: Vec<_> =
                (first..first + count).map(|page| Pfn(head.0 + page - 4)).collect();
            let held = space.pin(pages(first, count), Access::Write, Term::Long).unwrap();
            assert_eq!(held.pages(), expected, "{text}");
            Audit::of(&mem).space(&space).pins(held.pages()).check();
        }
        assert_eq!(splits(&mem), 0, "{text}");
    }
}

#[test]
fn a_read_pin_of_a_shared_entry_unshares_its_page_since_5_19() {
    for text in ["5.18", "5.19", "latest", "pinfold"] {
        let (mem, parent) = world::<Small>(text);
        let child = parent.fork().unwrap();
        let pins = parent.pin(pages(5, 1), Access::Read, Term::Long).unwrap();
        store(&parent, 5, 50).unwrap();
        assert_eq!(device_read(&mem, pins.pages()[0]) == 50, text != "5.18", "{text}");
        assert_eq!(load(&child, 5), Ok(5), "{text}");
        Audit::of(&mem).space(&parent).space(&child).pins(pins.pages()).check();
    }
}

#[test]
fn splitting_the_folio_splits_the_entries_of_all_who_map_it() {
    for text in ALL {
        let (mem, parent) = world::<Small>(text);
        let child = parent.fork().unwrap();
        parent.split_folio(at(6)).unwrap();
        assert_eq!((splits(&mem), mem.stats().thp_split_page), (2, 1), "{text}");
        for space in [&parent, &child] {
            assert!((4..8).all(|page| load(space, page) == Ok(page)), "{text}");
            assert!(lab::large_folio(mem.frames(), frame(space, 5)).is_none(), "{text}");
        }
        Audit::of(&mem).space(&parent).space(&child).check();
        assert_eq!(parent.split_folio(at(6)), Err(SplitError::NotLarge), "{text}");
    }
}

#[test]
fn a_remap_moves_the_pages_of_an_entry() {
    let (mem, space) = world::<Small>("pinfold");
    let head = frame(&space, 4);
    space.remap(pages(4, 4), 4, Remap::To(at(12))).unwrap();
    assert!((12..16).all(|page| frame(&space, page) == Pfn(head.0 + page - 12)));
    assert!((12..16).all(|page| load(&space, page) == Ok(page - 8)));
    Audit::of(&mem).space(&space).check();
}

#[test]
fn an_area_that_is_cut_or_locked_has_no_entry_across() {
    let (mem, space) = world::<Small>("pinfold");
    space.advise(pages(6, 2), Advice::DontFork).unwrap();
    let child = space.fork().unwrap();
    assert_eq!(splits(&mem), 1);
    assert_eq!((load(&child, 4), load(&child, 6).is_err()), (Ok(4), true));
    Audit::of(&mem).space(&space).space(&child).check();
    let (mem, space) = world::<Small>("pinfold");
    space.mlock(pages(4, 4)).unwrap();
    assert_eq!(splits(&mem), 1);
    Audit::of(&mem).space(&space).check();
    space.munlock(pages(4, 4)).unwrap();
    Audit::of(&mem).space(&space).check();
}

#[test]
fn populating_makes_huge_entries_and_leaves_what_is_there() {
    let (mem, space) = world::<Small>("pinfold");
    let child = space.fork().unwrap();
    space.populate(pages(4, 8), Access::Write).unwrap();
    assert_eq!((mem.stats().thp_fault_alloc, splits(&mem)), (2, 1), "page 4 to 7 were shared");
    assert!((4..12).all(|page| space.walk(at(page)).is_writable()));
    child.populate(pages(4, 8), Access::Read).unwrap();
    assert_eq!((mem.stats().thp_fault_alloc, splits(&mem)), (2, 1));
    Audit::of(&mem).space(&space).space(&child).check();
}

#[test]
fn a_walk_over_those_who_may_map_a_folio_leaves_the_entries_of_others() {
    let (mem, parent) = world::<Small>("pinfold");
    let child = parent.fork().unwrap();
    // The child drops the folio and has another of its own in its place.
    child.advise(pages(4, 4), Advice::DontNeed).unwrap();
    store(&child, 5, 55).unwrap();
    parent.split_folio(at(5)).unwrap();
    assert_eq!((mem.stats().thp_fault_alloc, splits(&mem)), (2, 1));
    assert_eq!((load(&child, 5), load(&parent, 5)), (Ok(55), Ok(5)));
    Audit::of(&mem).space(&parent).space(&child).check();
}

/// A machine with a huge zero page, and an untouched area of two spans.
fn with_zeros(text: &str, frames: u64) -> (Mem<Small>, Space<Small>) {
    let tuning = Tuning { huge_zero: HugeZero::On, ..tuning::<Small>() };
    let mem = machine::<Small>(rules(text), &[frames], tuning);
    let space = space(&mem);
    space.advise(map(&space, 4, 8, RW), Advice::HugePage).unwrap();
    (mem, space)
}

#[test]
fn a_read_maps_the_huge_zero_page_and_a_write_a_folio_in_its_place_since_6_13() {
    for text in ALL {
        let (mem, space) = with_zeros(text, 60);
        let whole = writes_whole_zero(mem.rule());
        assert_eq!(load(&space, 5), Ok(0), "{text}");
        let zero = mem.huge_zero_page().unwrap();
        assert_eq!((frame(&space, 6), space.walk(at(6)).is_special()), (Pfn(zero.0 + 2), true));
        assert_eq!(mem.stats().thp_zero_page_alloc, 1, "{text}");
        let child = space.fork().unwrap();
        assert_eq!(child.walk(at(6)), space.walk(at(6)), "{text}");
        // What is advised later does not matter.
        space.advise(pages(4, 8), Advice::NoHugePage).unwrap();
        store(&space, 5, 50).unwrap();
        let split = u64::from(!whole);
        assert_eq!((splits(&mem), mem.stats().thp_fault_alloc), (split, 1 - split), "{text}");
        assert_eq!((load(&space, 4), load(&space, 5), load(&child, 5)), (Ok(0), Ok(50), Ok(0)));
        child.unmap(pages(6, 1)).unwrap();
        assert_eq!((splits(&mem), load(&child, 7)), (split + 1, Ok(0)), "{text}");
        assert_eq!(frame(&child, 7), mem.zero_page(), "{text}");
        child.advise(pages(4, 2), Advice::DontNeed).unwrap();
        Audit::of(&mem).space(&space).space(&child).check();
    }
}

/// INV-HUGE-4, and no CPU uses the entry of the folio beside those of its pages.
#[test]
fn a_split_flushes_an_entry_that_is_neither_usable_nor_none() {
    let (mem, space) = world::<Small>("pinfold");
    let space = Arc::new(space);
    let entry = entry_at_flush(&space, 6, || space.mlock(pages(5, 1)).unwrap());
    assert!(!entry.is_none() && !Cause::Load.is_allowed_by(entry), "{entry:?}");
    assert_eq!((splits(&mem), load(&space, 6)), (1, Ok(6)));
    Audit::of(&mem).space(&space).check();
}

#[test]
fn a_pin_for_writing_of_the_huge_zero_page_takes_a_folio() {
    let (mem, space) = with_zeros("pinfold", 60);
    assert_eq!(load(&space, 5), Ok(0));
    let pins = space.pin(pages(5, 1), Access::Write, Term::Long).unwrap();
    assert_eq!((splits(&mem), mem.stats().thp_fault_alloc), (0, 1));
    store(&space, 5, 50).unwrap();
    assert_eq!((device_read(&mem, pins.pages()[0]), load(&space, 6)), (50, Ok(0)));
    Audit::of(&mem).space(&space).pins(pins.pages()).check();
}

#[test]
fn a_folio_takes_the_place_of_zeros_after_the_flush_or_before_it() {
    for (text, early) in [("pinfold", false), ("pinfold,cow-publish=before-flush", true)] {
        let (mem, space) = with_zeros(text, 60);
        let space = Arc::new(space);
        assert_eq!(load(&space, 6), Ok(0), "{text}");
        let write = || _ = store(&space, 5, 50).unwrap();
        assert_eq!(entry_at_flush(&space, 6, write).is_writable(), early, "{text}");
        assert_eq!((load(&space, 5), load(&space, 6)), (Ok(50), Ok(0)), "{text}");
        Audit::of(&mem).space(&space).check();
    }
}

#[test]
fn what_another_has_put_in_a_huge_place_meanwhile_stays() {
    let (mem, space) = with_zeros("pinfold", 60);
    let space = Arc::new(space);
    let other = space.clone();
    mem.platform().before_alloc(move || _ = load(&other, 6).unwrap());
    assert_eq!(space.fault(at(5), Cause::Load), Ok(Fault::Spurious));
    assert_eq!(mem.stats().thp_zero_page_alloc, 1);
    let other = space.clone();
    mem.platform().before_alloc(move || _ = store(&other, 6, 60).unwrap());
    store(&space, 5, 50).unwrap();
    assert_eq!((load(&space, 5), load(&space, 6)), (Ok(50), Ok(60)));
    assert_eq!((mem.stats().thp_fault_alloc, splits(&mem)), (1, 0));
    Audit::of(&mem).space(&space).check();
}

/// INV-HUGE-3: the mark is the first page's, whichever page is pinned.
#[test]
fn a_lock_free_pin_for_reading_finds_the_mark_of_the_whole() {
    let (mem, space) = world::<Small>("pinfold");
    space.protect(pages(4, 8), Prot::READ).unwrap();
    let ask = Ask::new(Access::Read, Term::Long).path(Path::FastOnly);
    let pins = space.pin_with(pages(5, 2), ask).unwrap();
    assert_eq!((pins.pages(), splits(&mem)), (&[frame(&space, 5), frame(&space, 6)][..], 0));
    Audit::of(&mem).space(&space).pins(pins.pages()).check();
}

#[test]
fn without_a_folio_a_write_to_the_huge_zero_page_splits_its_entry() {
    // The zero pages, a root, a table that is deposited, and a page: no run of four is left.
    let (mem, space) = with_zeros("pinfold", 8);
    assert_eq!(load(&space, 5), Ok(0));
    store(&space, 5, 50).unwrap();
    assert_eq!((splits(&mem), mem.stats().thp_fault_alloc), (1, 0));
    assert_eq!((load(&space, 4), load(&space, 5)), (Ok(0), Ok(50)));
    Audit::of(&mem).space(&space).check();
}

#[test]
fn a_long_pin_of_the_huge_zero_page_is_of_it_or_of_a_page_of_its_own() {
    for (text, unshared) in [("5.19", false), ("6.2", true), ("pinfold", true)] {
        let (mem, space) = with_zeros(text, 60);
        assert_eq!(load(&space, 5), Ok(0));
        let pins = space.pin(pages(5, 1), Access::Read, Term::Long).unwrap();
        let pinned = pins.pages()[0];
        assert_eq!(mem.is_huge_zero(pinned), !unshared, "{text}");
        Audit::of(&mem).space(&space).pins(pins.pages()).check();
        store(&space, 5, 50).unwrap();
        assert_eq!(device_read(&mem, pinned) == 50, unshared, "{text}");
        let none = space.protect(pages(4, 8), Prot::empty());
        none.and_then(|()| space.protect(pages(4, 8), RW)).unwrap();
        assert_eq!(space.numa_scan(pages(8, 4)), 0, "{text}");
        Audit::of(&mem).space(&space).pins(pins.pages()).check();
    }
}

#[test]
fn the_huge_zero_page_counts_who_refers_to_it_and_stays_whole() {
    for text in ALL {
        let (mem, space) = with_zeros(text, 60);
        let zero = mem.huge_zero_page().unwrap();
        let refs = || lab::counts(mem.frames(), zero).refs();
        assert_eq!((load(&space, 5), refs()), (Ok(0), 1), "{text}");
        let got = space.get(pages(5, 2), Access::Read).unwrap();
        let raised = !mem.is_huge_zero(got.pages()[0]);
        assert_eq!(raised, text == "5.8", "a read that 5.8 raised to a write: {text}");
        assert_eq!(refs(), if raised { 1 } else { 3 }, "{text}");
        assert_eq!(splits(&mem), u64::from(raised), "{text}");
        store(&space, 6, 60).unwrap();
        assert_eq!(raised, device_read(&mem, got.pages()[1]) == 60, "{text}");
        drop(got);
        assert_eq!(refs(), 1, "{text}");
        if let Ok(pins) = space.pin(pages(9, 1), Access::Read, Term::Short) {
            Audit::of(&mem).space(&space).pins(pins.pages()).check();
        }
        assert_eq!(refs(), 1, "{text}");
        Audit::of(&mem).space(&space).check();
    }
}
