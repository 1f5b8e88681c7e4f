//! Hinting faults on large folios, by entries and by huge entries.

use std::vec::Vec;

use super::RW;
use crate::rules::numa::{HintedMove, hinted_huge, hinted_page};
use crate::testing::{Audit, Mem, Space, load, machine, map, pages, rules, space, store};
use crate::{
    Access, Advice, Cause, EventKind, Fault, Hinted, NodeId, Pfn, Placement, PmdMapping, Small,
    Tuning, VirtAddr, lab,
};

const BOTH: [PmdMapping; 2] = [PmdMapping::On, PmdMapping::Off];
const THERE: NodeId = NodeId(1);

/// A machine, and a space in which pages 4 to 7 are a folio, each with its number.
fn world(text: &str, by: PmdMapping) -> (Mem<Small>, Space<Small>) {
    let tuning = Tuning { folios_advised: 1 << 2, pmd_mapping: by, ..Tuning::default() };
    let mem = machine(rules(text), &[60, 20], tuning);
    let space = space(&mem);
    space.advise(map(&space, 4, 4, RW), Advice::HugePage).unwrap();
    for page in 4..8 {
        store(&space, page, page).unwrap();
    }
    assert_eq!(mem.stats().thp_fault_alloc, 1, "{text}");
    (mem, space)
}

fn at(page: u64) -> VirtAddr {
    VirtAddr::of_page(page)
}

fn frame(space: &Space<Small>, page: u64) -> Pfn {
    space.entry(at(page)).pfn()
}

fn hints(space: &Space<Small>) -> Vec<u64> {
    (4..8).filter(|page| space.entry(at(*page)).is_hint()).collect()
}

/// How a hinting fault moves the folio, by the rules.
fn how(text: &str, by: PmdMapping) -> HintedMove {
    match by {
        PmdMapping::On => hinted_huge(rules(text).thp_numa),
        PmdMapping::Off => hinted_page(rules(text).thp_numa),
    }
}

fn presets() -> impl Iterator<Item = (&'static str, PmdMapping)> {
    crate::rules::PRESETS.iter().flat_map(|text| BOTH.map(|by| (*text, by)))
}

#[test]
fn a_fault_from_another_node_moves_the_folio_or_restores_the_entry() {
    for (text, by) in presets() {
        let text = &std::format!("{text},numa-skip=never");
        let (mem, space) = world(text, by);
        let old = frame(&space, 4);
        assert_eq!(space.numa_scan(pages(4, 4)), 4, "{text}");
        let stat = mem.stats();
        let huge = u64::from(by == PmdMapping::On);
        assert_eq!((stat.numa_pte_updates, stat.numa_huge_pte_updates), (4, huge), "{text}");
        assert_eq!(hints(&space), [4, 5, 6, 7], "{text}");
        mem.platform().host.run_on(THERE);
        let (fault, events) = mem.platform().record(|| space.fault(at(5), Cause::Store).unwrap());
        let moves = how(text, by) != HintedMove::Stays;
        let expected = if moves { Hinted::Moved } else { Hinted::MoveFailed };
        assert_eq!(fault, Fault::Hint(expected), "{text} {by:?}");
        let through = events.iter().any(|event| matches!(event, EventKind::MigrationEntry { .. }));
        assert_eq!(through, how(text, by) == HintedMove::Common, "{text} {by:?}");
        let head = frame(&space, 4);
        assert_eq!(lab::large_folio(mem.frames(), head).unwrap().head, head, "{text}");
        assert_eq!(head == old, !moves, "{text}");
        let left: &[u64] = if moves || by == PmdMapping::On { &[] } else { &[4, 6, 7] };
        assert_eq!(hints(&space), left, "{text} {by:?}: others have faults of their own");
        let stat = mem.stats();
        let moved = if moves { 4 } else { 0 };
        assert_eq!((stat.numa_pages_migrated, stat.pgmigrate_success), (moved, moved), "{text}");
        assert_eq!((stat.numa_hint_faults, stat.thp_split_pmd), (1, 0), "{text}");
        Audit::of(&mem).space(&space).check();
        for page in 4..8 {
            assert_eq!(load(&space, page), Ok(page), "{text}");
            store(&space, page, page).unwrap();
            assert_eq!(frame(&space, page), Pfn(head.0 + page - 4), "{text}");
        }
        assert_eq!((mem.stats().cow_copy, hints(&space).len()), (0, 0), "{text}");
        Audit::of(&mem).space(&space).check();
    }
}

#[test]
fn a_folio_that_others_refer_to_stays_and_is_accessible() {
    for (text, by) in presets() {
        let text = &std::format!("{text},numa-skip=never");
        for shared in [true, false] {
            let (mem, space) = world(text, by);
            let (child, gets) = if shared {
                (Some(space.fork().unwrap()), None)
            } else {
                (None, Some(space.get(pages(5, 1), Access::Read).unwrap()))
            };
            let old = frame(&space, 4);
            assert_eq!(space.numa_scan(pages(4, 4)), 4, "{text}");
            mem.platform().host.run_on(THERE);
            let (fault, events) =
                mem.platform().record(|| space.fault(at(5), Cause::Load).unwrap());
            // A migration takes the entries of all who map the folio.
            let moves = shared && how(text, by) == HintedMove::Common;
            let expected = if moves { Hinted::Moved } else { Hinted::MoveFailed };
            assert_eq!(fault, Fault::Hint(expected), "{text} {by:?} {shared}");
            assert_eq!(frame(&space, 4) == old, !moves, "{text} {by:?}");
            let out = events.iter().any(|event| matches!(event, EventKind::MigrationEntry { .. }));
            assert_eq!(out, how(text, by) == HintedMove::Common, "{text} {by:?}: never out");
            assert!(space.entry(at(5)).is_present(), "{text}: INV-NUMA-1");
            assert!((4..8).all(|page| load(&space, page) == Ok(page)), "{text}");
            let audit = Audit::of(&mem).space(&space);
            let audit = child.iter().fold(audit, |audit, child| audit.space(child));
            gets.iter().fold(audit, |audit, gets| audit.gets(gets.pages())).check();
        }
    }
}

#[test]
fn a_fault_on_the_right_node_restores_the_folios_other_entries_since_6_10() {
    for (text, all) in
        [("5.9", false), ("6.9", false), ("6.10", true), ("6.11", true), ("pinfold", true)]
    {
        let text = &std::format!("{text},numa-skip=never");
        let (mem, space) = world(text, PmdMapping::Off);
        map(&space, 8, 1, RW);
        store(&space, 8, 8).unwrap();
        let before: Vec<_> = (4..8).map(|page| space.entry(at(page))).collect();
        // One page is another's by now.
        space.advise(pages(6, 1), Advice::DontNeed).unwrap();
        store(&space, 6, 60).unwrap();
        assert_eq!(space.numa_scan(pages(4, 5)), 5, "{text}");
        assert_eq!(space.fault(at(5), Cause::Load), Ok(Fault::Hint(Hinted::Local)), "{text}");
        let left: &[u64] = if all { &[6] } else { &[4, 6, 7] };
        assert_eq!(hints(&space), left, "{text}");
        assert!(space.entry(at(8)).is_hint(), "{text}");
        assert_eq!(mem.stats().numa_hint_faults, 1, "{text}");
        for page in (4..8).filter(|page| !space.entry(at(*page)).is_hint()) {
            let restored = space.entry(at(page));
            assert_eq!(restored.is_writable(), before[page as usize - 4].is_writable(), "{text}");
        }
        Audit::of(&mem).space(&space).check();
    }
}

#[test]
fn entries_of_the_folio_outside_the_area_go_on_waiting() {
    let (mem, space) = world("pinfold", PmdMapping::Off);
    // The area ends after page 5.
    space.advise(pages(6, 2), Advice::DontFork).unwrap();
    assert_eq!(space.numa_scan(pages(4, 4)), 4);
    assert_eq!(space.fault(at(4), Cause::Load), Ok(Fault::Hint(Hinted::Local)));
    assert_eq!(hints(&space), [6, 7]);
    assert_eq!(space.fault(at(7), Cause::Load), Ok(Fault::Hint(Hinted::Local)));
    assert_eq!(hints(&space), []);
    Audit::of(&mem).space(&space).check();
}

#[test]
fn a_node_without_a_run_of_frames_moves_nothing_for_a_fault() {
    for (text, by) in presets() {
        let text = &std::format!("{text},numa-skip=never");
        let (mem, space) = world(text, by);
        let there = Placement::Only(THERE);
        let full: Vec<_> = (0..17).map(|_| mem.frames().take(there).unwrap().keep()).collect();
        let old = frame(&space, 4);
        space.numa_scan(pages(4, 4));
        mem.platform().host.run_on(THERE);
        let fault = space.fault(at(4), Cause::Load);
        assert_eq!(fault, Ok(Fault::Hint(Hinted::MoveFailed)), "{text}");
        assert_eq!((frame(&space, 4), mem.stats().thp_split_page), (old, 0), "{text}");
        assert!(space.entry(at(4)).is_present(), "{text}");
        // What was lost with the lock comes back without a copy.
        assert_eq!(store(&space, 4, 40), Ok(old), "{text}");
        assert!((5..8).all(|page| load(&space, page) == Ok(page)), "{text}");
        Audit::of(&mem).space(&space).gets(&full).check();
        full.into_iter().for_each(|pfn| mem.put(pfn, 1));
    }
}

#[test]
fn a_scan_asks_of_a_page_of_a_folio_whether_it_is_pinned_and_of_a_huge_entry_since_6_19() {
    for (text, by, skipped) in [
        ("5.9", PmdMapping::On, false),
        ("5.17", PmdMapping::On, false),
        ("6.18", PmdMapping::On, false),
        ("6.19", PmdMapping::On, true),
        ("5.17", PmdMapping::Off, true),
        ("6.12", PmdMapping::Off, true),
        ("pinfold", PmdMapping::Off, true),
    ] {
        let (mem, space) = world(text, by);
        let pins = space.pin(pages(4, 1), Access::Write, crate::Term::Long).unwrap();
        assert_eq!(space.numa_scan(pages(4, 4)) == 0, skipped, "{text} {by:?}");
        mem.platform().host.run_on(THERE);
        let old = frame(&space, 4);
        for page in 4..8 {
            assert_eq!(store(&space, page, page), Ok(Pfn(old.0 + page - 4)), "{text} {by:?}");
        }
        Audit::of(&mem).space(&space).pins(pins.pages()).check();
    }
}

/// Of a folio that one process alone maps no page is of several, though its head counts an entry
/// for each of them.
#[test]
fn a_folio_that_one_process_maps_follows_up_to_3_12_too() {
    for text in ["3.8", "3.12"] {
        let (mem, space) = world(text, PmdMapping::On);
        let old = frame(&space, 4);
        assert_eq!(space.numa_scan(pages(4, 4)), 4, "{text}");
        mem.platform().host.run_on(THERE);
        load(&space, 5).unwrap();
        assert_ne!(frame(&space, 4), old, "{text}");
        Audit::of(&mem).space(&space).check();
    }
}
