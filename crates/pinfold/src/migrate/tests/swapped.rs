//! Pages in the swap cache, which move in their slots.

use std::boxed::Box;

use super::{RW, THERE, node};
use crate::testing::{Audit, Disk, Mem, Space, load, machine, map, pages, rules, space, store};
use crate::{
    Access, Advice, Entry, EventKind, MoveScope, Moved, Pfn, Reclaimed, Reclaimer, Strict, SwapId,
    SwapWrites, Tuning, VirtAddr, X86_64, lab,
};

const MOVED: Moved = Moved { moved: 1, failed: 0 };
const STAYED: Moved = Moved { moved: 0, failed: 1 };
const GONE: Reclaimed = Reclaimed { freed: 1, kept: 0 };
const KEPT: Reclaimed = Reclaimed { freed: 0, kept: 1 };

struct World {
    mem: Mem<X86_64>,
    space: Space<X86_64>,
    disk: Disk,
    id: SwapId,
}

/// A machine of two nodes with a swap device, and a space whose page 16 has 5.
fn world(text: &str) -> World {
    let mem = machine(rules(text), &[48, 8], Tuning::default());
    let disk = Disk::default();
    let id = mem.swap_on(Box::new(disk.clone()), 16, SwapWrites::Any).unwrap();
    let space = space(&mem);
    map(&space, 16, 8, RW);
    store(&space, 16, 5).unwrap();
    World { mem, space, disk, id }
}

fn out(space: &Space<X86_64>) -> Reclaimed {
    space.page_out(pages(16, 1), Reclaimer::Pressure)
}

/// The page that is in memory for the swap entry of page 16.
fn cached(space: &Space<X86_64>) -> Option<Pfn> {
    match space.entry(VirtAddr::of_page(16)).decode() {
        Entry::Swap(entry) => lab::swap_cached(space.memory(), entry),
        _ => None,
    }
}

/// Takes page 16 out of the page tables, so that it is in the swap cache alone.
fn unmap_only(space: &Space<X86_64>) -> Pfn {
    let held = space.get(pages(16, 1), Access::Read).unwrap();
    assert_eq!(out(space), KEPT);
    drop(held);
    cached(space).unwrap()
}

#[test]
fn what_only_a_swap_entry_names_moves_and_comes_back_as_its_owners() {
    for text in crate::rules::PRESETS {
        let World { mem, space, id, .. } = world(text);
        let old = unmap_only(&space);
        let before = space.entry(VirtAddr::of_page(16));
        assert_eq!(space.migrate(pages(16, 1), THERE), MOVED, "{text}");
        let new = cached(&space).unwrap();
        assert_eq!((mem.frames().node(new), space.entry(VirtAddr::of_page(16))), (THERE, before));
        assert_eq!(mem.frames().counts(old).refs(), 0, "{text}");
        assert_eq!(mem.swap_usage(id).map(|usage| usage.cached), Some(1), "{text}");
        Audit::of(&mem).space(&space).check();
        assert_eq!((load(&space, 16), node(&space, 16)), (Ok(5), THERE), "{text}");
        assert_eq!(store(&space, 16, 6).map(|_| load(&space, 16)), Ok(Ok(6)), "{text}");
        Audit::of(&mem).space(&space).check();
        assert_eq!((out(&space), load(&space, 16)), (GONE, Ok(6)), "{text}");
        drop(space);
        assert_eq!(mem.swap_off(id), Ok(()), "{text}");
        Audit::of(&mem).check();
    }
}

#[test]
fn one_that_a_child_maps_and_the_parent_has_an_entry_for_moves_for_both() {
    for text in crate::rules::PRESETS {
        let World { mem, space: parent, .. } = world(text);
        assert_eq!(out(&parent), GONE, "{text}");
        let child = parent.fork().unwrap();
        assert_eq!(load(&child, 16), Ok(5), "{text}");
        let old = child.entry(VirtAddr::of_page(16)).pfn();
        assert_eq!(child.migrate(pages(16, 1), THERE), MOVED, "{text}");
        let new = child.entry(VirtAddr::of_page(16)).pfn();
        assert!(new != old && cached(&parent) == Some(new), "{text}");
        Audit::of(&mem).space(&parent).space(&child).check();
        // By the other one, to where it was.
        assert_eq!(parent.migrate(pages(16, 1), mem.frames().node(old)), MOVED, "{text}");
        Audit::of(&mem).space(&parent).space(&child).check();
        assert_eq!(store(&child, 16, 6).map(|_| load(&parent, 16)), Ok(Ok(5)), "{text}");
        assert_eq!(load(&child, 16), Ok(6), "{text}");
        Audit::of(&mem).space(&parent).space(&child).check();
    }
}

/// What the device has and what the page has are the same before and afterwards, or neither.
#[test]
fn a_clean_page_keeps_its_slot_and_a_newer_one_is_written_again() {
    for text in ["6.0", "6.1", "pinfold"] {
        let World { mem, space, disk, id } = world(text);
        assert_eq!((out(&space), load(&space, 16)), (GONE, Ok(5)), "{text}");
        assert_eq!(disk.written().len(), 1, "{text}");
        assert_eq!(space.migrate(pages(16, 1), THERE), MOVED, "{text}");
        assert_eq!(mem.swap_usage(id).map(|usage| usage.cached), Some(1), "{text}");
        Audit::of(&mem).space(&space).check();
        assert_eq!((out(&space), load(&space, 16)), (GONE, Ok(5)), "{text}");
        assert_eq!(disk.written().len(), 0, "{text}: it is as the slot has it");
        store(&space, 16, 6).unwrap();
        assert_eq!(space.migrate(pages(16, 1), THERE), MOVED, "{text}");
        assert_eq!((out(&space), load(&space, 16)), (GONE, Ok(6)), "{text}");
        assert_eq!(disk.written().len(), 1, "{text}");
        Audit::of(&mem).space(&space).check();
    }
}

#[test]
fn who_refers_to_it_keeps_it_where_it_is() {
    for text in crate::rules::PRESETS {
        let World { mem, space, .. } = world(text);
        let held = space.get(pages(16, 1), Access::Read).unwrap();
        assert_eq!(out(&space), KEPT, "{text}");
        let old = cached(&space);
        let (moved, events) = mem.platform().record(|| space.migrate(pages(16, 1), THERE));
        assert_eq!((moved, cached(&space)), (STAYED, old), "{text}");
        let busy = EventKind::MigrationBusy { pfn: old.unwrap(), refs: 3, expected: 2 };
        assert!(events.contains(&busy), "{text}: {events:?}");
        Audit::of(&mem).space(&space).gets(held.pages()).check();
        assert_eq!(load(&space, 16), Ok(5), "{text}");
        assert_eq!(space.migrate(pages(16, 1), THERE), STAYED, "{text}: mapped, and in its slot");
        Audit::of(&mem).space(&space).gets(held.pages()).check();
    }
}

#[test]
fn compaction_moves_it_too_though_it_has_more_references_than_mappings() {
    let World { mem, space, .. } = world("pinfold");
    unmap_only(&space);
    assert_eq!(space.compact(pages(16, 1), THERE), MOVED);
    assert_eq!(load(&space, 16), Ok(5));
    Audit::of(&mem).space(&space).check();
    // Nothing is there for one that is on the device alone.
    assert_eq!(out(&space), GONE);
    assert_eq!(space.compact(pages(16, 1), crate::NodeId(0)), Moved::default());
    Audit::of(&mem).space(&space).check();
}

#[test]
fn one_that_a_device_reads_stays_and_one_that_nobody_wants_meanwhile_is_freed() {
    let World { mem, space, disk, .. } = world("pinfold");
    let space = std::sync::Arc::new(space);
    let other = space.clone();
    disk.while_writing(move || {
        assert_eq!(other.migrate(pages(16, 1), THERE), STAYED, "reclaim has it");
        assert_eq!(load(&other, 16), Ok(5));
        assert_eq!(other.migrate(pages(16, 1), THERE), STAYED);
    });
    assert_eq!(out(&space), KEPT);
    Audit::of(&mem).space(&space).check();
    // Between its entries' end and its arrival.
    let other = space.clone();
    mem.platform().before_flush(move || {
        other.advise(pages(16, 1), Advice::DontNeed).unwrap();
    });
    assert_eq!(space.migrate(pages(16, 1), THERE), MOVED);
    assert_eq!(load(&space, 16), Ok(0));
    Audit::of(&mem).space(&space).check();
}

#[test]
fn a_policy_goes_by_entries_and_passes_over_it() {
    for scope in [MoveScope::Own, MoveScope::All] {
        let World { mem, space, .. } = world("pinfold");
        let old = unmap_only(&space);
        let bound = space.move_range(pages(16, 1), THERE, scope, Strict::Strict);
        assert_eq!((bound, cached(&space)), (Ok(Moved::default()), Some(old)));
        assert_eq!(load(&space, 16), Ok(5));
        // Mapped, and in its slot all the same.
        let bound = space.move_range(pages(16, 1), THERE, scope, Strict::Strict);
        assert_eq!((bound, load(&space, 16)), (Ok(MOVED), Ok(5)));
        Audit::of(&mem).space(&space).check();
    }
}
