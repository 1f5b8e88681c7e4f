//! Migration: what moves, what must not, and what a failed attempt leaves.

mod folios;
mod listed;
mod requests;
mod swapped;

use crate::testing::{
    Audit, Mem, Space, device_read, load, machine, map, pages, reach, rules, space, store,
};
use crate::{
    Access, Cause, EventKind, Fault, MigrateMode, Moved, NodeId, Placement, Prot, Pte, Rules,
    Small, Term, Tuning, VirtAddr, X86_64,
};
use std::sync::Arc;

const RW: Prot = Prot::READ_WRITE;
const THERE: NodeId = NodeId(1);

fn world(text: &str) -> (Mem<X86_64>, Space<X86_64>) {
    let mem = machine(rules(text), &[48, 8], Tuning::default());
    let space = space(&mem);
    map(&space, 16, 8, RW);
    (mem, space)
}

fn node(space: &Space<X86_64>, page: u64) -> NodeId {
    space.memory().frames().node(space.entry(VirtAddr::of_page(page)).pfn())
}

#[test]
fn a_page_moves_with_contents_rights_and_mark() {
    for text in crate::rules::PRESETS {
        let (mem, space) = world(text);
        let old = store(&space, 16, 5).unwrap();
        let before = space.entry(VirtAddr::of_page(16));
        assert_eq!(space.migrate(pages(16, 1), THERE), Moved { moved: 1, failed: 0 }, "{text}");
        let after = space.entry(VirtAddr::of_page(16));
        assert_eq!((node(&space, 16), load(&space, 16)), (THERE, Ok(5)), "{text}");
        assert!(after.is_writable() && before.is_writable(), "{text}");
        assert_eq!(mem.frames().counts(old).refs(), 0, "{text}");
        assert!(mem.frames().counts(after.pfn()).is_exclusive(), "{text}");
        assert_eq!(store(&space, 16, 6), Ok(after.pfn()), "{text}");
        assert_eq!(space.migrate(pages(16, 8), THERE), Moved::default(), "{text}: it is there");
        Audit::of(&mem).space(&space).check();
    }
}

#[test]
fn since_6_1_accessed_and_dirty_travel_along() {
    for (text, carried) in [("6.0", false), ("6.1", true), ("pinfold", true)] {
        let (_mem, space) = world(text);
        store(&space, 16, 5).unwrap();
        space.migrate(pages(16, 1), THERE);
        let entry = space.entry(VirtAddr::of_page(16));
        assert_eq!((entry.is_accessed(), entry.is_dirty()), (carried, carried), "{text}");
    }
}

#[test]
fn a_page_of_parent_and_child_moves_for_both_and_stays_shared() {
    for text in crate::rules::PRESETS {
        let (mem, parent) = world(text);
        store(&parent, 16, 5).unwrap();
        let child = parent.fork().unwrap();
        let grandchild = child.fork().unwrap();
        assert_eq!(child.migrate(pages(16, 1), THERE).moved, 1, "{text}");
        let at = VirtAddr::of_page(16);
        assert_eq!(parent.entry(at).pfn(), child.entry(at).pfn(), "{text}");
        assert_eq!(parent.entry(at).pfn(), grandchild.entry(at).pfn(), "{text}");
        assert!(!parent.entry(at).is_writable() && !child.entry(at).is_writable(), "{text}");
        assert!(!mem.frames().counts(child.entry(at).pfn()).is_exclusive(), "{text}");
        store(&child, 16, 6).unwrap();
        let seen = [&parent, &child, &grandchild].map(|space| load(space, 16).unwrap());
        assert_eq!(seen, [5, 6, 5], "{text}");
        Audit::of(&mem).space(&parent).space(&child).space(&grandchild).check();
    }
}

#[test]
fn a_pinned_or_referenced_page_does_not_move_and_the_owner_keeps_it_since_5_19() {
    for text in crate::rules::PRESETS {
        let (mem, space) = world(text);
        let pinned = store(&space, 16, 5).unwrap();
        let got = store(&space, 17, 6).unwrap();
        let pins = space.pin(pages(16, 1), Access::Write, Term::Long).unwrap();
        let gets = space.get(pages(17, 1), Access::Write).unwrap();
        let fails = mem.stats().pgmigrate_fail;
        let (moved, events) = mem.platform().record(|| space.migrate(pages(16, 2), THERE));
        assert_eq!(moved, Moved { moved: 0, failed: 2 }, "{text}");
        assert_eq!(mem.stats().pgmigrate_fail - fails, 2, "{text}");
        let refused = events.iter().any(|event| matches!(event, EventKind::MigrationPinned(_)));
        let marks = crate::rules::migrate::remembers_mark(rules(text).migration_kind);
        assert_eq!(refused, marks, "{text}: the pin is seen before the entry is gone for good");
        assert_eq!((store(&space, 16, 7), store(&space, 17, 8)), (Ok(pinned), Ok(got)), "{text}");
        Audit::of(&mem).space(&space).pins(pins.pages()).gets(gets.pages()).check();
    }
}

#[test]
fn a_failed_attempt_leaves_the_mark_of_a_read_only_page_since_5_19() {
    for (text, in_step) in
        [("5.8", true), ("5.9", false), ("5.18", false), ("5.19", true), ("pinfold", true)]
    {
        let (mem, space) = world(text);
        store(&space, 16, 5).unwrap();
        let gets = space.get(pages(16, 1), Access::Write).unwrap();
        space.protect(pages(16, 1), Prot::READ).unwrap();
        assert_eq!(space.migrate(pages(16, 1), THERE).failed, 1);
        space.protect(pages(16, 1), RW).unwrap();
        store(&space, 16, 6).unwrap();
        assert_eq!(device_read(&mem, gets.pages()[0]) == 6, in_step, "{text}");
        Audit::of(&mem).space(&space).gets(gets.pages()).check();
    }
}

#[test]
fn only_what_can_move_is_tried() {
    let (mem, space) = world("pinfold");
    load(&space, 16).unwrap();
    assert_eq!(space.migrate(pages(1, 100), THERE), Moved::default(), "the zero page stays");
    assert_eq!((mem.stats().pgmigrate_success, mem.stats().pgmigrate_fail), (0, 0));
    Audit::of(&mem).space(&space).check();
}

#[test]
fn a_full_or_missing_node_takes_nothing() {
    let (mem, space) = world("pinfold");
    for page in 16..24 {
        store(&space, page, page).unwrap();
    }
    map(&space, 24, 2, RW);
    store(&space, 24, 24).unwrap();
    assert_eq!(space.migrate(pages(16, 9), THERE), Moved { moved: 8, failed: 1 });
    assert_eq!(space.migrate(pages(16, 9), NodeId(2)), Moved { moved: 0, failed: 9 });
    assert_eq!(space.migrate(pages(16, 9), NodeId(200)), Moved { moved: 0, failed: 9 });
    assert!((16..25).all(|page| load(&space, page) == Ok(page)));
    Audit::of(&mem).space(&space).check();
}

#[test]
fn a_page_that_is_isolated_already_is_left_to_who_has_it() {
    let (mem, space) = world("pinfold");
    let pfn = store(&space, 16, 1).unwrap();
    let isolated = mem.isolate(pfn, crate::frame::Sizes::Any).unwrap();
    assert!(mem.isolate(pfn, crate::frame::Sizes::Any).is_none());
    assert_eq!(space.migrate(pages(16, 1), THERE), Moved { moved: 0, failed: 1 });
    drop(isolated);
    assert_eq!(space.migrate(pages(16, 1), THERE).moved, 1);
    Audit::of(&mem).space(&space).check();
}

#[test]
fn a_locked_page_is_given_up_by_who_cannot_wait_and_passes_are_those_of_the_tuning() {
    let (mem, space) = world("pinfold");
    let pfn = store(&space, 16, 1).unwrap();
    let lock = mem.try_lock_page(pfn).unwrap();
    assert_eq!(space.migrate_as(pages(16, 1), THERE, MigrateMode::Async).failed, 1);
    assert!(mem.try_lock_page(pfn).is_none(), "trying does not take the lock from its holder");
    drop(lock);
    let tuning = Tuning { migrate_passes: 3, hint_passes: 2, ..Tuning::default() };
    let mem = machine::<Small>(rules("5.9"), &[16, 4], tuning);
    let space = self::space(&mem);
    map(&space, 5, 1, RW);
    store(&space, 5, 1).unwrap();
    let gets = space.get(pages(5, 1), Access::Write).unwrap();
    let (_, events) = mem.platform().record(|| space.migrate(pages(5, 1), THERE));
    let passes = |events: &[EventKind]| {
        events.iter().filter(|event| matches!(event, EventKind::MigrationBusy { .. })).count()
    };
    assert_eq!(passes(&events), 3);
    // A fault makes fewer passes: its access waits.
    assert_eq!(space.numa_scan(pages(5, 1)), 1);
    mem.platform().host.run_on(THERE);
    let (_, events) = mem.platform().record(|| load(&space, 5).unwrap());
    assert_eq!(passes(&events), 2);
    Audit::of(&mem).space(&space).gets(gets.pages()).check();
}

/// Runs `meanwhile` while the page's entries are migration entries and its references have been
/// found too many.
fn amid_a_failing_attempt(
    text: &str,
    meanwhile: impl Fn(&Space<X86_64>) + Send + 'static,
) -> (Mem<X86_64>, Arc<Space<X86_64>>) {
    let (mem, space) = world(text);
    store(&space, 16, 5).unwrap();
    let space = Arc::new(space);
    let gets = space.get(pages(16, 1), Access::Write).unwrap();
    let other = space.clone();
    mem.platform().interrupt(
        move |event| {
            if matches!(event, EventKind::MigrationBusy { .. }) {
                meanwhile(&other);
            }
        },
        || space.migrate(pages(16, 1), THERE),
    );
    drop(gets);
    (mem, space)
}

#[test]
fn unmapping_and_dontneed_meet_a_page_on_the_move() {
    let (mem, space) = amid_a_failing_attempt("pinfold", |space| {
        space.unmap(pages(16, 1)).unwrap();
    });
    assert!(!space.is_mapped(VirtAddr::of_page(16)));
    Audit::of(&mem).space(&space).check();
    let (mem, space) = amid_a_failing_attempt("5.9", |space| {
        space.advise(pages(16, 1), crate::Advice::DontNeed).unwrap();
    });
    assert_eq!(load(&space, 16), Ok(0));
    Audit::of(&mem).space(&space).check();
}

#[test]
fn fork_meets_a_page_on_the_move_and_both_get_it_back_shared() {
    for text in ["5.9", "5.18", "5.19", "pinfold"] {
        let children = Arc::new(std::sync::Mutex::new(std::vec::Vec::new()));
        let born = children.clone();
        let (mem, parent) = amid_a_failing_attempt(text, move |space| {
            let mut born = born.lock().unwrap();
            if born.is_empty() {
                born.push(space.fork().unwrap());
            }
        });
        let child = children.lock().unwrap().pop().unwrap();
        let at = VirtAddr::of_page(16);
        assert_eq!(parent.entry(at).pfn(), child.entry(at).pfn(), "{text}");
        store(&parent, 16, 6).unwrap();
        assert_eq!((load(&parent, 16), load(&child, 16)), (Ok(6), Ok(5)), "{text}");
        Audit::of(&mem).space(&parent).space(&child).check();
    }
}

#[test]
fn mprotect_meets_a_page_on_the_move_and_its_rights_win() {
    let (mem, space) = amid_a_failing_attempt("pinfold", |space| {
        space.protect(pages(16, 1), Prot::empty()).unwrap()
    });
    assert!(load(&space, 16).is_err());
    assert!(space.entry(VirtAddr::of_page(16)).is_protnone());
    space.protect(pages(16, 1), RW).unwrap();
    assert_eq!(load(&space, 16), Ok(5));
    Audit::of(&mem).space(&space).check();
}

#[test]
fn a_fault_waits_for_the_page_on_the_move() {
    let waited = Arc::new(std::sync::Mutex::new(None));
    let (mem, space) = world("pinfold");
    store(&space, 16, 5).unwrap();
    let space = Arc::new(space);
    let (reader, result) = (space.clone(), waited.clone());
    let mut thread = None;
    let rig = mem.clone();
    mem.platform().interrupt(
        move |event| {
            if let EventKind::MigrationEntry { pfn, .. } = event
                && thread.is_none()
            {
                // The hook does not see the fault's own events while it handles this one, but does
                // get its result.
                let (reader, result, rig) = (reader.clone(), result.clone(), rig.clone());
                thread = Some(std::thread::spawn(move || {
                    let locked = || rig.frames().flags(pfn).contains(crate::Flags::LOCKED);
                    while locked() && reader.entry(VirtAddr::of_page(16)).is_mapped() {
                        std::thread::yield_now();
                    }
                    *result.lock().unwrap() =
                        Some(reader.fault(VirtAddr::of_page(16), Cause::Load));
                }));
            }
        },
        || assert_eq!(space.migrate(pages(16, 1), THERE).moved, 1),
    );
    while waited.lock().unwrap().is_none() {
        std::thread::yield_now();
    }
    // Late, it finds the page there already.
    let fault = waited.lock().unwrap().unwrap().unwrap();
    assert!(matches!(fault, Fault::Waited | Fault::Spurious), "{fault:?}");
    assert_eq!((reach(&space, 16, Cause::Load).is_ok(), load(&space, 16)), (true, Ok(5)));
    Audit::of(&mem).space(&space).check();
}

#[test]
fn a_table_that_a_walk_has_found_is_not_reused_before_the_walk_is_done_with_it() {
    // The parent stays in the family by pages 500 to 511. Its second table exists for page 600
    // only, which belongs to another family, so that unmapping it waits for no walk of this one.
    let mem = machine::<X86_64>(Rules::default(), &[64, 8], Tuning::default());
    let parent = Arc::new(space(&mem));
    map(&parent, 500, 14, RW);
    let pfn = store(&parent, 512, 5).unwrap();
    let child = parent.fork().unwrap();
    map(&parent, 600, 1, RW);
    store(&parent, 600, 1).unwrap();
    parent.unmap(pages(512, 2)).unwrap();
    let (other, rig) = (parent.clone(), mem.clone());
    let hoard = Arc::new(std::sync::Mutex::new(std::vec::Vec::new()));
    let hoarded = hoard.clone();
    mem.platform().after_walk(move || {
        other.unmap(pages(600, 1)).unwrap();
        // The next owner of the table's frame may write anything there, even what looks like an
        // entry for the page.
        let anywhere = Placement::Prefer(NodeId(0));
        let looks_mapped = Pte::<X86_64>::mapping(pfn, crate::Reach::Data { exec: false });
        while let Ok(frame) = rig.frames().take(anywhere) {
            let pfn = frame.keep();
            for word in 0..512 {
                let word = rig.platform().host.word(pfn, word);
                word.store(looks_mapped.bits(), std::sync::atomic::Ordering::Relaxed);
            }
            hoarded.lock().unwrap().push(pfn);
        }
    });
    assert_eq!(child.migrate(pages(512, 1), THERE).moved, 1);
    let hoard = core::mem::take(&mut *hoard.lock().unwrap());
    assert!(!hoard.is_empty(), "the walk was not interrupted");
    assert_eq!(load(&child, 512), Ok(5));
    Audit::of(&mem).space(&parent).space(&child).gets(&hoard).check();
    hoard.into_iter().for_each(|pfn| mem.put(pfn, 1));
    Audit::of(&mem).space(&parent).space(&child).check();
}

fn flushes(mem: &Mem<X86_64>) -> u64 {
    mem.stats().nr_tlb_remote_flush
}

#[test]
fn since_6_3_the_pages_of_a_batch_are_flushed_once() {
    for (text, expected) in [("6.2", 1300), ("6.3", 3), ("pinfold", 3)] {
        let mem = machine(rules(text), &[1400, 1400], Tuning::default());
        let space = space(&mem);
        map(&space, 16, 1300, RW);
        for page in 16..1316 {
            store(&space, page, page).unwrap();
        }
        let before = flushes(&mem);
        let moved = space.migrate(pages(16, 1300), THERE);
        assert_eq!(moved, Moved { moved: 1300, failed: 0 }, "{text}");
        assert_eq!(flushes(&mem) - before, expected, "{text}");
        assert!((16..1316).all(|page| load(&space, page) == Ok(page)), "{text}");
        assert!((16..1316).all(|page| node(&space, page) == THERE), "{text}");
        Audit::of(&mem).space(&space).check();
    }
}

#[test]
fn a_batch_flushes_each_address_space_once_and_moves_what_it_can() {
    let mem = machine::<X86_64>(rules("pinfold"), &[1000, 12], Tuning::default());
    let parent = space(&mem);
    map(&parent, 16, 12, RW);
    for page in 16..26 {
        store(&parent, page, page).unwrap();
    }
    let children: std::vec::Vec<_> = (0..7).map(|_| parent.fork().unwrap()).collect();
    store(&parent, 26, 26).unwrap();
    store(&parent, 27, 27).unwrap();
    let pins = parent.pin(pages(26, 1), Access::Write, Term::Long).unwrap();
    let before = flushes(&mem);
    let moved = parent.migrate(pages(16, 12), THERE);
    assert_eq!(moved, Moved { moved: 11, failed: 1 }, "one page is pinned");
    assert_eq!(flushes(&mem) - before, 8, "a pinned page's entry is put back unflushed");
    let mut audit = Audit::of(&mem).space(&parent).pins(pins.pages());
    for child in &children {
        assert!((16..26).all(|page| load(child, page) == Ok(page)));
        audit = audit.space(child);
    }
    audit.check();
}

#[test]
fn who_changes_entries_while_a_batch_is_under_way_flushes_first() {
    const FAR: u64 = 1 << 20;
    type Change = fn(&Space<X86_64>);
    let changes: [(&str, Change, u64); 5] = [
        ("unmap", |space| space.unmap(pages(FAR, 1)).unwrap(), 2),
        ("dontneed", |space| space.advise(pages(FAR, 1), crate::Advice::DontNeed).unwrap(), 2),
        ("protect", |space| space.protect(pages(FAR, 1), Prot::READ).unwrap(), 2),
        ("scan", |space| _ = space.numa_scan(pages(FAR, 1)), 2),
        ("fault", |space| _ = store(space, FAR + 1, 1), 0),
    ];
    for (name, change, expected) in changes {
        for (text, deferred) in [("6.2", 0), ("pinfold", 1)] {
            let mem = machine::<X86_64>(rules(text), &[64, 64], Tuning::default());
            let space = Arc::new(space(&mem));
            map(&space, 16, 4, RW);
            map(&space, FAR, 2, RW);
            store(&space, 16, 16).unwrap();
            store(&space, FAR, FAR).unwrap();
            let count = Arc::new(std::sync::Mutex::new(None));
            let (other, rig, seen) = (space.clone(), mem.clone(), count.clone());
            let hook = move |event| {
                if let EventKind::MigrationEntry { .. } = event {
                    let before = flushes(&rig);
                    change(&other);
                    *seen.lock().unwrap() = Some(flushes(&rig) - before);
                }
            };
            let moved = mem.platform().interrupt(hook, || space.migrate(pages(16, 1), THERE));
            assert_eq!(moved, Moved { moved: 1, failed: 0 }, "{name}");
            let expected = if expected == 0 { 0 } else { expected - 1 + deferred };
            assert_eq!(*count.lock().unwrap(), Some(expected), "{name} under {text}");
            assert_eq!(load(&space, 16), Ok(16));
            Audit::of(&mem).space(&space).check();
        }
    }
}

#[test]
fn compaction_passes_over_what_is_referenced_and_move_pages_does_not() {
    let mem = machine::<Small>(Rules::default(), &[16, 16], Tuning::default());
    let space = space(&mem);
    map(&space, 1, 3, RW);
    for page in 1..4 {
        store(&space, page, page).unwrap();
    }
    let pins = space.pin(pages(1, 1), Access::Read, Term::Long).unwrap();
    let refs = space.get(pages(2, 1), Access::Read).unwrap();
    let tried = |moved: Moved| (moved.moved, moved.failed);
    assert_eq!(tried(space.compact(pages(1, 3), NodeId(1))), (1, 0), "two are passed over");
    assert_eq!(tried(space.migrate(pages(1, 3), NodeId(1))), (0, 2), "two are tried in vain");
    drop((pins, refs));
    assert_eq!(tried(space.compact(pages(1, 3), NodeId(1))), (2, 0));
    assert!((1..4).all(|page| load(&space, page) == Ok(page)));
}
