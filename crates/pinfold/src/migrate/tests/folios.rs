//! Large folios on the move, by entries and by huge entries.

use std::sync::{Arc, Mutex};
use std::vec::Vec;

use super::{RW, THERE};
use crate::rules::PRESETS;
use crate::rules::large::{Tally, tally};
use crate::rules::migrate::remembers_mark;
use crate::testing::{
    Audit, Mem, Space, device_read, load, machine, map, pages, rules, space, store,
};
use crate::{
    Access, Advice, EventKind, Group, MigrateMode, MoveScope, Moved, NodeId, NotMoved, Pfn,
    Placement, PmdMapping, Prot, Small, Strict, Term, Tuning, VirtAddr, lab,
};

const BOTH: [PmdMapping; 2] = [PmdMapping::On, PmdMapping::Off];

fn tuning(by: PmdMapping) -> Tuning {
    Tuning { folios_advised: 1 << 2, pmd_mapping: by, ..Tuning::default() }
}

/// A machine, and a space in which pages 4 to 7 are a folio, each with its number, by one huge
/// entry or by those of a table.
fn world_of(text: &str, nodes: &[u64], by: PmdMapping) -> (Mem<Small>, Space<Small>) {
    let mem = machine(rules(text), nodes, tuning(by));
    let space = space(&mem);
    fill(&space);
    (mem, space)
}

fn world(text: &str, by: PmdMapping) -> (Mem<Small>, Space<Small>) {
    world_of(text, &[60, 20], by)
}

fn fill(space: &Space<Small>) {
    space.advise(map(space, 4, 4, RW), Advice::HugePage).unwrap();
    for page in 4..8 {
        store(space, page, page).unwrap();
    }
    assert_eq!(space.memory().stats().thp_fault_alloc, 1);
}

fn at(page: u64) -> VirtAddr {
    VirtAddr::of_page(page)
}

fn frame(space: &Space<Small>, page: u64) -> Pfn {
    space.entry(at(page)).pfn()
}

fn node(space: &Space<Small>, page: u64) -> NodeId {
    space.memory().frames().node(frame(space, page))
}

/// Whether large folios move whole: where references keep them so.
fn whole(text: &str) -> bool {
    tally(rules(text).tail_refs) == Tally::Head
}

fn stats(mem: &Mem<Small>) -> [u64; 4] {
    let stat = mem.stats();
    [
        stat.thp_migration_success,
        stat.thp_migration_fail,
        stat.thp_migration_split,
        stat.thp_split_pmd,
    ]
}

#[test]
fn a_folio_moves_whole_or_split_as_the_release_did() {
    for (text, by) in crate::rules::PRESETS.iter().flat_map(|text| BOTH.map(|by| (*text, by))) {
        let (mem, space) = world(text, by);
        let before: Vec<_> = (4..8).map(|page| space.entry(at(page))).collect();
        assert_eq!(space.migrate(pages(4, 4), THERE), Moved { moved: 4, failed: 0 }, "{text}");
        assert!((4..8).all(|page| node(&space, page) == THERE), "{text}");
        let head = frame(&space, 4);
        let large = lab::large_folio(mem.frames(), head);
        assert_eq!(large.is_some(), whole(text), "{text}");
        assert!(large.is_none_or(|folio| folio.head == head && !folio.queued), "{text}");
        if whole(text) {
            assert_eq!(stats(&mem), [1, 0, 0, 0], "{text}: the entry comes back as it was");
        } else {
            assert_eq!(stats(&mem)[..3], [0, 0, 1], "{text}");
        }
        assert_eq!(mem.stats().pgmigrate_success, 4, "{text}");
        Audit::of(&mem).space(&space).check();
        for (page, before) in (4..8).zip(before) {
            let after = space.entry(at(page));
            assert!(before.is_writable() && after.is_writable(), "{text}");
            assert_eq!(mem.frames().counts(before.pfn()).refs(), 0, "{text}");
            assert_eq!(load(&space, page), Ok(page), "{text}");
            assert_eq!(store(&space, page, page + 10), Ok(after.pfn()), "{text}");
        }
        assert_eq!(space.migrate(pages(4, 4), THERE), Moved::default(), "{text}: it is there");
        assert_eq!(mem.stats().cow_copy, 0, "{text}");
        Audit::of(&mem).space(&space).check();
    }
}

#[test]
fn a_part_of_the_range_moves_all_of_the_folio_and_counts_it_once() {
    for by in BOTH {
        let (mem, space) = world("pinfold", by);
        map(&space, 8, 2, RW);
        store(&space, 8, 8).unwrap();
        assert_eq!(space.migrate(pages(6, 3), THERE), Moved { moved: 5, failed: 0 });
        assert!((4..9).all(|page| node(&space, page) == THERE && load(&space, page) == Ok(page)));
        Audit::of(&mem).space(&space).check();
        let gets = space.get(pages(5, 1), Access::Write).unwrap();
        assert_eq!(space.migrate(pages(4, 5), NodeId(0)), Moved { moved: 1, failed: 4 });
        assert_eq!(stats(&mem)[..2], [1, 1], "tried once, not for each page");
        Audit::of(&mem).space(&space).gets(gets.pages()).check();
    }
}

#[test]
fn a_pinned_or_referenced_folio_stays_and_its_owner_keeps_it_since_5_19() {
    for (text, by) in crate::rules::PRESETS.iter().flat_map(|text| BOTH.map(|by| (*text, by))) {
        for pinned in [true, false] {
            let (mem, space) = world(text, by);
            let old = frame(&space, 5);
            let (pins, gets) = if pinned {
                (Some(space.pin(pages(5, 1), Access::Write, Term::Long).unwrap()), None)
            } else {
                (None, Some(space.get(pages(5, 1), Access::Write).unwrap()))
            };
            let (moved, events) = mem.platform().record(|| space.migrate(pages(4, 4), THERE));
            let refused = events.iter().any(|event| matches!(event, EventKind::MigrationPinned(_)));
            assert_eq!(refused, pinned && remembers_mark(rules(text).migration_kind), "{text}");
            let expected = if whole(text) { (0, 4) } else { (3, 1) };
            assert_eq!((moved.moved, moved.failed), expected, "{text}: the others go, once split");
            let mut audit = Audit::of(&mem).space(&space);
            audit = pins.iter().fold(audit, |audit, pins| audit.pins(pins.pages()));
            gets.iter().fold(audit, |audit, gets| audit.gets(gets.pages())).check();
            assert_eq!((frame(&space, 5), device_read(&mem, old)), (old, 5), "{text}");
            assert_eq!(store(&space, 5, 50), Ok(old), "{text}: writable as before");
            drop((pins, gets));
            assert_eq!(space.migrate(pages(4, 4), THERE).failed, 0, "{text}");
            assert_eq!(load(&space, 5), Ok(50), "{text}");
            Audit::of(&mem).space(&space).check();
        }
    }
}

#[test]
fn a_folio_of_a_family_moves_for_all_and_stays_shared() {
    for (text, by) in crate::rules::PRESETS.iter().flat_map(|text| BOTH.map(|by| (*text, by))) {
        let (mem, parent) = world(text, by);
        let child = parent.fork().unwrap();
        let grandchild = child.fork().unwrap();
        child.protect(pages(6, 1), Prot::READ).unwrap();
        assert_eq!(child.migrate(pages(4, 4), THERE).moved, 4, "{text}");
        for page in 4..8 {
            let all = [&parent, &child, &grandchild].map(|space| space.entry(at(page)));
            assert!(all.iter().all(|entry| entry.pfn() == all[0].pfn()), "{text}");
            assert!(all.iter().all(|entry| !entry.is_writable()), "{text}");
            assert!(!mem.frames().counts(all[0].pfn()).is_exclusive(), "{text}");
        }
        Audit::of(&mem).space(&parent).space(&child).space(&grandchild).check();
        store(&child, 4, 40).unwrap();
        let seen = [&parent, &child, &grandchild].map(|space| load(space, 4).unwrap());
        assert_eq!(seen, [4, 40, 4], "{text}");
        drop(parent);
        Audit::of(&mem).space(&child).space(&grandchild).check();
        drop((child, grandchild));
        Audit::of(&mem).check();
    }
}

#[test]
fn a_folio_in_the_queue_is_in_it_where_it_has_moved_to() {
    for (text, by) in ["4.5", "5.9", "6.8", "latest", "pinfold"]
        .into_iter()
        .flat_map(|text| BOTH.map(|by| (text, by)))
    {
        let (mem, space) = world(text, by);
        space.advise(pages(5, 1), Advice::DontNeed).unwrap();
        assert!(lab::large_folio(mem.frames(), frame(&space, 4)).unwrap().queued, "{text}");
        let gets = space.get(pages(4, 1), Access::Read).unwrap();
        assert_eq!(space.migrate(pages(4, 4), THERE), Moved { moved: 0, failed: 4 }, "{text}");
        assert!(lab::large_folio(mem.frames(), frame(&space, 4)).unwrap().queued, "{text}");
        drop(gets);
        assert_eq!(space.migrate(pages(4, 4), THERE), Moved { moved: 4, failed: 0 }, "{text}");
        let folio = lab::large_folio(mem.frames(), frame(&space, 4)).unwrap();
        assert!(folio.queued && mem.frames().node(folio.head) == THERE, "{text}");
        Audit::of(&mem).space(&space).check();
        assert_eq!(mem.split_queued(9), crate::Splits { split: 1, failed: 0 }, "{text}");
        assert_eq!(load(&space, 6), Ok(6), "{text}");
        Audit::of(&mem).space(&space).check();
    }
}

#[test]
fn an_attempt_that_fails_leaves_a_whole_folio_out_of_the_queue() {
    for by in BOTH {
        let (mem, space) = world("pinfold", by);
        let gets = space.get(pages(4, 1), Access::Read).unwrap();
        assert_eq!(space.migrate(pages(4, 4), THERE).failed, 4);
        assert!(!lab::large_folio(mem.frames(), frame(&space, 4)).unwrap().queued);
        Audit::of(&mem).space(&space).gets(gets.pages()).check();
    }
}

#[test]
fn locked_pages_and_charges_go_along() {
    for text in ["5.8", "5.18", "6.2", "pinfold"] {
        for by in BOTH {
            let mem = machine::<Small>(rules(text), &[60, 20], tuning(by));
            let group = Group::new(&mem, 20).unwrap();
            let space = space(&mem);
            space.join(&group);
            fill(&space);
            let old = frame(&space, 4);
            for locked in [0, 2] {
                if locked > 0 {
                    space.mlock(pages(5, 2)).unwrap();
                }
                let to = NodeId(1 - mem.frames().node(frame(&space, 4)).0);
                assert_eq!(space.migrate(pages(4, 4), to).moved, 4, "{text}");
                let head = frame(&space, 4);
                assert_eq!(lab::locked_mappings(mem.frames(), head), locked, "{text}");
                assert_eq!((group.charged(), group.stats().nr_anon_pages), (4, 4), "{text}");
                Audit::of(&mem).space(&space).group(&group).check();
            }
            assert_eq!(mem.frames().counts(old).refs() > 0, frame(&space, 4) == old);
            drop(space);
            assert_eq!((group.charged(), group.stats().nr_anon_pages), (0, 0), "{text}");
            Audit::of(&mem).group(&group).check();
        }
    }
}

#[test]
fn a_node_without_a_run_of_frames_takes_the_pages_and_a_full_one_what_fits() {
    for text in ["5.9", "6.2", "pinfold"] {
        for by in BOTH {
            let (mem, space) = world_of(text, &[60, 8], by);
            let there = Placement::Only(THERE);
            let mut taken: Vec<_> = (0..8).map(|_| mem.frames().take(there).unwrap()).collect();
            assert_eq!(space.migrate(pages(4, 4), THERE), Moved { moved: 0, failed: 4 });
            assert_eq!(stats(&mem)[..3], [0, 0, 1], "{text}: split in vain, as Linux does");
            fill_again(&space);
            taken.sort_by_key(|frame| frame.pfn());
            // Every second frame is free: no run of four.
            let kept: Vec<_> = taken.into_iter().step_by(2).collect();
            assert_eq!(space.migrate(pages(4, 4), THERE), Moved { moved: 4, failed: 0 }, "{text}");
            assert_eq!(stats(&mem)[..3], [0, 0, 2], "{text}");
            assert!((4..8).all(|page| load(&space, page) == Ok(page)), "{text}");
            let frames: Vec<_> = kept.iter().map(|frame| frame.pfn()).collect();
            Audit::of(&mem).space(&space).gets(&frames).check();
            fill_again(&space);
            let more = mem.frames().take(there).unwrap();
            assert_eq!(space.migrate(pages(4, 4), THERE), Moved { moved: 3, failed: 1 }, "{text}");
            assert!((4..8).all(|page| load(&space, page) == Ok(page)), "{text}");
            drop((kept, more));
            Audit::of(&mem).space(&space).check();
        }
    }
}

/// Pages 4 to 7 are a folio again.
fn fill_again(space: &Space<Small>) {
    space.unmap(pages(4, 4)).unwrap();
    space.advise(map(space, 4, 4, RW), Advice::HugePage).unwrap();
    for page in 4..8 {
        store(space, page, page).unwrap();
    }
    assert!(lab::large_folio(space.memory().frames(), frame(space, 4)).is_some());
}

/// Runs `meanwhile` while the folio's entries are out, in an attempt that fails.
fn amid_a_failing_attempt(
    (text, by): (&str, PmdMapping),
    meanwhile: impl FnOnce(&Space<Small>) + Send + 'static,
) -> (Mem<Small>, Arc<Space<Small>>) {
    let tuning = Tuning { migrate_passes: 1, ..tuning(by) };
    let mem = machine(rules(text), &[60, 20], tuning);
    let space = Arc::new(space(&mem));
    fill(&space);
    let gets = space.get(pages(6, 1), Access::Write).unwrap();
    let (other, mut meanwhile) = (space.clone(), Some(meanwhile));
    let hook = move |event| {
        if matches!(event, EventKind::MigrationBusy { .. }) {
            meanwhile.take().expect("one pass")(&other);
        }
    };
    let moved = mem.platform().interrupt(hook, || space.migrate(pages(4, 4), THERE));
    assert_eq!((moved.moved, moved.failed), (0, 4));
    drop(gets);
    (mem, space)
}

/// How many huge entries were split: that of the migration included.
fn splits(mem: &Mem<Small>) -> u64 {
    mem.stats().thp_split_pmd
}

#[test]
fn who_needs_a_part_splits_the_migration_entry_and_gets_what_is_left() {
    for (text, by) in
        ["4.5", "5.9", "5.19", "pinfold"].into_iter().flat_map(|text| BOTH.map(|by| (text, by)))
    {
        let huge = u64::from(by == PmdMapping::On);
        let (mem, space) = amid_a_failing_attempt((text, by), |space| {
            space.unmap(pages(5, 1)).unwrap();
        });
        assert_eq!((splits(&mem), load(&space, 5).is_err()), (huge, true), "{text}");
        assert!([4, 6, 7].iter().all(|page| load(&space, *page) == Ok(*page)), "{text}");
        assert!(lab::large_folio(mem.frames(), frame(&space, 4)).unwrap().queued, "{text}");
        Audit::of(&mem).space(&space).check();
        let (mem, space) = amid_a_failing_attempt((text, by), |space| {
            space.protect(pages(5, 1), Prot::READ).unwrap();
        });
        assert_eq!(splits(&mem), huge, "{text}");
        assert!(!space.entry(at(5)).is_writable() && space.entry(at(6)).is_writable(), "{text}");
        assert!(store(&space, 5, 1).is_err(), "{text}");
        assert!((4..8).all(|page| load(&space, page) == Ok(page)), "{text}");
        Audit::of(&mem).space(&space).check();
    }
}

#[test]
fn who_takes_all_of_it_needs_no_split() {
    for (text, by) in
        ["4.5", "5.9", "5.19", "pinfold"].into_iter().flat_map(|text| BOTH.map(|by| (text, by)))
    {
        let (mem, space) = amid_a_failing_attempt((text, by), |space| {
            space.advise(pages(4, 4), Advice::DontNeed).unwrap();
        });
        assert_eq!((load(&space, 4), splits(&mem)), (Ok(0), 0), "{text}");
        Audit::of(&mem).space(&space).check();
        let (mem, space) = amid_a_failing_attempt((text, by), |space| {
            space.protect(pages(4, 4), Prot::READ).unwrap();
            assert_eq!(space.numa_scan(pages(4, 4)), 0, "nothing is accessible");
        });
        assert!((4..8).all(|page| !space.entry(at(page)).is_writable()), "{text}");
        assert!((4..8).all(|page| load(&space, page) == Ok(page)), "{text}");
        assert_eq!(splits(&mem), 0, "{text}");
        Audit::of(&mem).space(&space).check();
        let (mem, space) = amid_a_failing_attempt((text, by), |space| {
            let moved = space.remap(pages(4, 4), 4, crate::Remap::To(at(12))).unwrap();
            assert_eq!(moved.first_page().0, 12);
        });
        assert!((12..16).all(|page| load(&space, page) == Ok(page - 8)), "{text}");
        Audit::of(&mem).space(&space).check();
    }
}

#[test]
fn fork_copies_the_migration_entry_and_both_get_the_folio_back_shared() {
    for (text, by) in ["4.5", "5.9", "5.18", "5.19", "latest", "pinfold"]
        .into_iter()
        .flat_map(|text| BOTH.map(|by| (text, by)))
    {
        let born = Arc::new(Mutex::new(None));
        let child = born.clone();
        let (mem, parent) = amid_a_failing_attempt((text, by), move |space| {
            *child.lock().unwrap() = Some(space.fork().unwrap());
        });
        let child = born.lock().unwrap().take().unwrap();
        assert_eq!(splits(&mem), 0, "{text}");
        for page in 4..8 {
            let entries = [&*parent, &child].map(|space| space.entry(at(page)));
            assert_eq!(entries[0].pfn(), entries[1].pfn(), "{text}");
            assert!(entries.iter().all(|entry| !entry.is_writable()), "{text}");
        }
        store(&parent, 4, 40).unwrap();
        assert_eq!((load(&parent, 4), load(&child, 4)), (Ok(40), Ok(4)), "{text}");
        Audit::of(&mem).space(&parent).space(&child).check();
    }
}

#[test]
fn a_scan_downgrades_the_migration_entry_and_the_mark_outlives_it_since_5_19() {
    for (text, by, kept) in [
        // Up to 5.17 a write through a huge entry asks who else maps the folio (facts 1.4).
        ("5.9", PmdMapping::On, true),
        ("5.17", PmdMapping::On, true),
        ("5.18", PmdMapping::On, false),
        ("5.9", PmdMapping::Off, false),
        ("5.18", PmdMapping::Off, false),
        ("5.19", PmdMapping::On, true),
        ("5.19", PmdMapping::Off, true),
        ("pinfold", PmdMapping::On, true),
        ("pinfold", PmdMapping::Off, true),
    ] {
        let (mem, space) = world(text, by);
        let space = Arc::new(space);
        let gets = space.get(pages(6, 1), Access::Write).unwrap();
        let (other, old) = (space.clone(), frame(&space, 6));
        let hook = move |event| {
            if matches!(event, EventKind::MigrationBusy { .. }) {
                other.numa_scan(pages(4, 4));
            }
        };
        mem.platform().interrupt(hook, || space.migrate(pages(4, 4), THERE));
        assert!(!space.entry(at(6)).is_writable(), "{text}");
        // The order of bug 215616 on a folio: the device holds the old page.
        let now = store(&space, 6, 60).unwrap();
        assert_eq!(now == old, kept, "{text} {by:?}");
        assert_eq!(device_read(&mem, old) == 60, kept, "{text} {by:?}");
        Audit::of(&mem).space(&space).gets(gets.pages()).check();
    }
}

#[test]
fn a_child_that_drops_its_part_meanwhile_leaves_the_rest_to_the_new_folio() {
    for (text, by) in
        ["4.5", "5.9", "6.2", "pinfold"].into_iter().flat_map(|text| BOTH.map(|by| (text, by)))
    {
        let (mem, parent) = world(text, by);
        let child = Arc::new(parent.fork().unwrap());
        let (other, mut dropped) = (child.clone(), false);
        let hook = move |event| {
            // The parent's are restored first; the child's table is not locked meanwhile.
            if matches!(event, EventKind::MigrationRestored { .. }) && !dropped {
                dropped = true;
                other.advise(pages(5, 2), Advice::DontNeed).unwrap();
            }
        };
        let moved = mem.platform().interrupt(hook, || parent.migrate(pages(4, 4), THERE));
        assert_eq!(moved, Moved { moved: 4, failed: 0 }, "{text}");
        assert_eq!([4, 5, 6, 7].map(|page| load(&child, page).unwrap()), [4, 0, 0, 7], "{text}");
        assert!((4..8).all(|page| load(&parent, page) == Ok(page)), "{text}");
        Audit::of(&mem).space(&parent).space(&child).check();
    }
}

#[test]
fn a_batch_flushes_entries_once_and_each_huge_one() {
    for (text, by, expected) in [
        ("6.2", PmdMapping::Off, 8),
        ("6.2", PmdMapping::On, 2),
        ("6.3", PmdMapping::Off, 1),
        ("pinfold", PmdMapping::Off, 1),
        ("pinfold", PmdMapping::On, 2),
    ] {
        let (mem, space) = world(text, by);
        space.advise(map(&space, 8, 4, RW), Advice::HugePage).unwrap();
        (8..12).for_each(|page| _ = store(&space, page, page).unwrap());
        let before = mem.stats().nr_tlb_remote_flush;
        assert_eq!(space.migrate(pages(4, 8), THERE), Moved { moved: 8, failed: 0 }, "{text}");
        assert_eq!(mem.stats().nr_tlb_remote_flush - before, expected, "{text} {by:?}");
        assert!((4..12).all(|page| load(&space, page) == Ok(page)), "{text}");
        Audit::of(&mem).space(&space).check();
    }
}

#[test]
fn compaction_passes_over_a_referenced_folio_whatever_page_holds_it() {
    for by in BOTH {
        for held in 4..8 {
            let (mem, space) = world("pinfold", by);
            let gets = space.get(pages(held, 1), Access::Read).unwrap();
            assert_eq!(space.compact(pages(4, 4), THERE), Moved::default(), "{held}");
            assert_eq!(mem.stats().pgmigrate_fail, 0);
            Audit::of(&mem).space(&space).gets(gets.pages()).check();
            drop(gets);
            assert_eq!(space.compact(pages(held, 1), THERE), Moved { moved: 4, failed: 0 });
            Audit::of(&mem).space(&space).check();
        }
    }
}

#[test]
fn a_folio_that_is_isolated_or_locked_is_left_to_who_has_it() {
    for by in BOTH {
        let (mem, space) = world("pinfold", by);
        let isolated = mem.isolate(frame(&space, 6), crate::frame::Sizes::Any).unwrap();
        assert!(mem.isolate(frame(&space, 4), crate::frame::Sizes::Any).is_none());
        assert!(mem.isolate(frame(&space, 5), crate::frame::Sizes::Small).is_none());
        assert_eq!(space.migrate(pages(4, 4), THERE), Moved { moved: 0, failed: 4 });
        drop(isolated);
        let lock = mem.try_lock_folio(frame(&space, 7)).unwrap();
        let tried = space.migrate_as(pages(4, 4), THERE, MigrateMode::Async);
        assert_eq!(tried, Moved { moved: 0, failed: 4 });
        drop(lock);
        assert_eq!(space.migrate(pages(4, 4), THERE).moved, 4);
        Audit::of(&mem).space(&space).check();
    }
}

#[test]
fn a_node_that_there_is_not_takes_nothing_and_splits_nothing() {
    for (text, by) in PRESETS.iter().flat_map(|text| BOTH.map(|by| (*text, by))) {
        let (mem, space) = world(text, by);
        let (all, nowhere) = (pages(4, 4), NodeId(9));
        for strict in [Strict::No, Strict::Strict] {
            let bound = space.move_range(all, nowhere, MoveScope::All, strict);
            assert_eq!(bound, Err(NotMoved::NoNode(nowhere)), "{text}");
        }
        assert_eq!(mem.stats().pgmigrate_fail, 0, "{text}");
        assert_eq!(space.migrate(all, nowhere), Moved { moved: 0, failed: 4 }, "{text}");
        assert_eq!((mem.stats().thp_split_page, mem.stats().thp_migration_split), (0, 0), "{text}");
        assert!(lab::large_folio(mem.frames(), frame(&space, 5)).is_some(), "{text}");
        Audit::of(&mem).space(&space).check();
    }
}
