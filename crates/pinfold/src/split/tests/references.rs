//! References on pages of large folios by each rule of `tail-refs`, and what a split makes of them.

use std::vec::Vec;

use super::{at, folio, frame, world};
use crate::testing::{Audit, Mem, Rig, Space, load, pages, store};
use crate::{
    Access, Advice, Bug, Memory, Pfn, Pins, Reference, Refs, SplitError, Splits, Term, X86_64, lab,
};

/// Those that give each page its references.
const SHARED: [&str; 4] = [
    "5.8,read-gup=as-is,tail-refs=tail-and-head",
    "5.8,read-gup=as-is,tail-refs=tail-mapcount-first",
    "5.8,read-gup=as-is,tail-refs=tail-mapcount",
    "5.8,read-gup=as-is,tail-refs=tail-mapcount,large-maps=each-page-and-owner,large-cow=by-owner",
];

/// Those under which references make a split fail.
const ALONE: [&str; 3] = ["5.8,tail-refs=head-compared", "5.8", "pinfold"];

fn get(space: &Space<X86_64>, first: u64, count: u64) -> Refs<Rig<X86_64>> {
    space.get(pages(first, count), Access::Read).unwrap()
}

fn refs(mem: &Mem<X86_64>, pfn: Pfn) -> u32 {
    lab::counts(mem.frames(), pfn).refs()
}

/// References of the head, and what the word of each page in turn says of references.
fn counted(mem: &Mem<X86_64>, head: Pfn, offsets: &[u64]) -> (u32, Vec<(u32, u32)>) {
    let word = |offset: &u64| {
        let counts = lab::counts(mem.frames(), Pfn(head.0 + offset));
        (counts.refs(), counts.maps())
    };
    (refs(mem, head), offsets.iter().map(word).collect())
}

#[test]
fn a_reference_on_a_tail_is_counted_where_the_rule_says() {
    for (text, tails, maps) in [
        ("5.8,read-gup=as-is,tail-refs=tail-and-head", [(2, 1), (1, 1)], 1),
        ("5.8,read-gup=as-is,tail-refs=tail-mapcount-first", [(0, 2), (0, 1)], 0),
        ("5.8,read-gup=as-is,tail-refs=tail-mapcount", [(0, 2), (0, 1)], 0),
        ("5.8,tail-refs=head-compared", [(0, 1), (0, 1)], 1),
        ("5.8", [(0, 1), (0, 1)], 1),
        ("pinfold", [(0, 0), (0, 0)], 0),
    ] {
        let (mem, space) = world(text);
        let head = frame(&space, 16);
        let (first, more) = (get(&space, 16, 3), get(&space, 17, 1));
        assert_eq!(counted(&mem, head, &[1, 2]), (16 + 4, tails.to_vec()), "{text}");
        let again = Reference::through(&first, 2).unwrap();
        let last = again.again().unwrap();
        assert_eq!(refs(&mem, head), 16 + 6, "{text}");
        let got = [first.pages(), more.pages(), &[again.pfn(), last.pfn()]].concat();
        Audit::of(&mem).space(&space).gets(&got).check();
        drop((first, more, last));
        Audit::of(&mem).space(&space).gets(&[again.pfn()]).check();
        drop(again);
        assert_eq!(counted(&mem, head, &[2]), (16, [(0, maps)].to_vec()), "{text}");
        Audit::of(&mem).space(&space).check();
    }
}

#[test]
fn each_reference_goes_on_with_its_page() {
    for text in SHARED {
        let (mem, space) = world(text);
        let head = frame(&space, 16);
        let child = space.fork().unwrap();
        let gets = [get(&space, 16, 2), get(&space, 19, 1), get(&child, 19, 1)];
        let pins = child.pin(pages(18, 2), Access::Read, Term::Short).unwrap();
        let again = Reference::through(&gets[1], 0).unwrap();
        space.split_folio(at(25)).unwrap();
        assert_eq!(lab::large_folio(mem.frames(), head), None, "{text}");
        let counts = [2 + 1, 2 + 1, 2 + 1024, 2 + 1024 + 3, 2];
        for (page, expected) in (head.0..).map(Pfn).zip(counts) {
            assert_eq!(refs(&mem, page), expected, "{text}: {page}");
        }
        let got = || gets.iter().flat_map(|got| got.pages()).copied();
        let got: Vec<_> = got().chain([again.pfn()]).collect();
        Audit::of(&mem).space(&space).space(&child).gets(&got).pins(pins.pages()).check();
        drop((gets, pins));
        let last = again.again().unwrap();
        drop(again);
        Audit::of(&mem).space(&space).space(&child).gets(&[last.pfn()]).check();
        drop(last);
        Audit::of(&mem).space(&space).space(&child).check();
        assert_eq!(mem.stats().thp_split_page, 1);
    }
}

#[test]
fn what_only_a_reference_keeps_is_a_page_after_the_split() {
    for text in SHARED {
        let (mem, space) = world(text);
        let head = frame(&space, 16);
        let got = [get(&space, 20, 1), get(&space, 16, 1)];
        space.unmap(pages(16, 8)).unwrap();
        let pfns = || got.iter().flat_map(|got| got.pages()).copied().collect::<Vec<_>>();
        Audit::of(&mem).space(&space).gets(&pfns()).check();
        let free = mem.frames().total_free();
        assert_eq!(mem.split_partly_mapped(9), Splits { split: 1, failed: 0 }, "{text}");
        // Eight pages have lost their entries, and two of them are still referred to.
        assert_eq!(mem.frames().total_free(), free + 6, "{text}");
        assert_eq!((refs(&mem, head), refs(&mem, Pfn(head.0 + 4))), (1, 1), "{text}");
        Audit::of(&mem).space(&space).gets(&pfns()).check();
        drop(got);
        assert_eq!(mem.frames().total_free(), free + 8, "{text}");
        assert_eq!(load(&space, 30), Ok(30));
        Audit::of(&mem).space(&space).check();
    }
}

#[test]
fn a_folio_lives_as_long_as_a_reference_on_a_tail() {
    for text in SHARED.iter().chain(&ALONE) {
        let (mem, space) = world(text);
        let got = get(&space, 20, 2);
        let pins = space.pin(pages(21, 1), Access::Write, Term::Short).unwrap();
        drop(space);
        Audit::of(&mem).gets(got.pages()).pins(pins.pages()).check();
        assert_eq!(folio(&mem, got.pages()[0]).pages, 16, "{text}");
        drop(got);
        Audit::of(&mem).pins(pins.pages()).check();
        drop(pins);
        Audit::of(&mem).check();
    }
}

#[test]
fn references_make_a_split_fail_since_4_5() {
    for text in ALONE {
        let (mem, space) = world(text);
        let got = get(&space, 20, 1);
        let again = Reference::through(&got, 0).unwrap();
        let busy = SplitError::Busy { refs: 19, expected: 17 };
        assert_eq!(space.split_folio(at(16)), Err(busy), "{text}");
        drop(got);
        assert!(space.split_folio(at(16)).is_err(), "{text}");
        drop(again);
        space.split_folio(at(16)).unwrap();
        Audit::of(&mem).space(&space).check();
    }
}

#[test]
fn a_pinned_page_is_copied_for_a_child_and_kept_by_its_owner_by_the_rules_mixed_with_pins() {
    for tails in ["tail-and-head", "tail-mapcount"] {
        for (base, split) in [("5.9", true), ("5.19", false), ("pinfold", false)] {
            let text = &*std::format!("{base},tail-refs={tails}");
            let (mem, space) = world(text);
            let pfn = frame(&space, 20);
            let pins = space.pin(pages(20, 1), Access::Write, Term::Short).unwrap();
            let child = space.fork().unwrap();
            // As for exact pins: each page of the folio may be the one.
            assert_eq!(mem.stats().fork_copy, 16, "{text}");
            // A page that keeps its mark as it is pinned keeps its entry.
            let done = space.split_folio(at(16));
            assert_eq!(done, if split { Ok(()) } else { Err(SplitError::Pinned(Pfn(pfn.0 - 4))) });
            assert_eq!(store(&space, 20, 99), Ok(pfn), "{text}");
            Audit::of(&mem).space(&space).space(&child).pins(pins.pages()).check();
            drop(pins);
            assert_eq!(space.split_folio(at(16)).is_ok(), !split, "{text}");
            Audit::of(&mem).space(&space).space(&child).check();
        }
    }
}

/// Hazard H-I (facts 5.1), without a race.
#[test]
fn one_who_knows_the_number_alone_finds_a_tail_that_is_referred_to_up_to_3_1() {
    for text in SHARED.iter().chain(&ALONE) {
        let (mem, space) = world(text);
        let (head, pfn) = (frame(&space, 16), frame(&space, 20));
        drop(Memory::try_reference(&mem, head).unwrap());
        let shared = SHARED.contains(text);
        assert_eq!(Memory::try_reference(&mem, pfn).is_some(), !shared, "{text}");
        let got = get(&space, 20, 1);
        let found = Memory::try_reference(&mem, pfn);
        let finds = text.ends_with("tail-and-head") || !shared;
        assert_eq!(found.is_some(), finds, "{text}");
        if found.is_none() || !shared {
            continue;
        }
        assert_eq!(counted(&mem, head, &[4]), (17, [(2, 1)].to_vec()), "on the tail alone");
        space.split_folio(at(20)).unwrap();
        // The tail counts what was found, too, and the head does not.
        assert_eq!(
            mem.platform().take_bugs(),
            [Bug::SplitShort { head, refs: 3, had: 3 }],
            "{text}"
        );
        core::mem::forget((got, found));
    }
}

/// Without a split a walker's reference takes the head down when it goes.
#[test]
fn one_found_by_number_up_to_3_1_takes_a_reference_of_the_head_with_it() {
    let (mem, space) = world("5.8,read-gup=as-is,tail-refs=tail-and-head");
    let (head, pfn) = (frame(&space, 16), frame(&space, 20));
    let got = get(&space, 20, 1);
    drop(Memory::try_reference(&mem, pfn).unwrap());
    assert_eq!(counted(&mem, head, &[4]), (16, [(1, 1)].to_vec()));
    drop(got);
    assert_eq!(refs(&mem, head), 15, "as many as entries, less one");
    drop(space);
    assert!(!mem.platform().take_bugs().is_empty());
}

/// What a test holds, and its pages.
enum Held {
    Refs(Refs<Rig<X86_64>>),
    Pins(Pins<Rig<X86_64>>),
    One(Reference<Rig<X86_64>>),
}

/// Random steps, the counts audited after each.
#[test]
fn whatever_is_done_the_counts_add_up() {
    for text in SHARED.iter().chain(&ALONE) {
        for seed in 1..=if cfg!(miri) { 1 } else { 40 } {
            random(text, seed);
        }
    }
}

fn random(text: &str, seed: u64) {
    let (mem, space) = world(text);
    let mut spaces = std::vec![space];
    let mut held: Vec<Held> = Vec::new();
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut next = |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    for _ in 0..60 {
        let of = next(spaces.len() as u64) as usize;
        let (page, count) = (16 + next(16), 1 + next(3));
        let range = pages(page, count.min(32 - page));
        match next(12) {
            0..2 => held.extend(spaces[of].get(range, Access::Read).ok().map(Held::Refs)),
            2 => {
                held.extend(spaces[of].pin(range, Access::Write, Term::Short).ok().map(Held::Pins));
            }
            3 => {
                let more = held.iter().find_map(|of| match of {
                    Held::Refs(refs) => Reference::through(refs, 0),
                    Held::One(one) => one.again(),
                    Held::Pins(_) => None,
                });
                held.extend(more.map(Held::One));
            }
            4..7 if !held.is_empty() => drop(held.swap_remove(next(held.len() as u64) as usize)),
            7 => {
                let _ = spaces[of].split_folio(at(page));
            }
            8 => spaces[of].advise(range, Advice::DontNeed).unwrap(),
            9 => {
                let _ = store(&spaces[of], page, next(1000));
            }
            10 if spaces.len() < 3 => spaces.push(spaces[of].fork().unwrap()),
            11 if spaces.len() > 1 => drop(spaces.swap_remove(of)),
            _ => {
                let _ = mem.split_partly_mapped(1);
            }
        }
        let mut audit = Audit::of(&mem);
        for space in &spaces {
            audit = audit.space(space);
        }
        for held in &held {
            audit = match held {
                Held::Refs(refs) => audit.gets(refs.pages()),
                Held::Pins(pins) => audit.pins(pins.pages()),
                Held::One(one) => audit.gets(&[one.pfn()]),
            };
        }
        audit.check();
    }
    drop(spaces);
    drop(held);
    Audit::of(&mem).check();
}
