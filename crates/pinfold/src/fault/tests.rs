//! Faults: first touch, the reuse rules of facts 1, unsharing's neighbours, rights, and what a
//! failure leaves.

use super::{Cause, Fault};
use crate::pin::{Ask, Path};
use crate::rules::{Counter, Exclusive, PageKind, Relation, Why};
use crate::testing::{
    Audit, Hardware, Marks, Mem, Space, device_read, device_write, hardware_entry, load, machine,
    machine_of, map, map_shared, pages, reach, rules, space, spans, store,
};
use crate::{
    Aarch64, Access, EventKind, FaultError, Flags, Format, FrameSetup, NodeId, Place, Placement,
    Prot, Rules, Sharing, Small, Sv39, Term, Tuning, VirtAddr, X86_64,
};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::vec::Vec;

const RW: Prot = Prot::READ_WRITE;

fn world(text: &str) -> (Mem<X86_64>, Space<X86_64>) {
    let mem = machine(rules(text), &[64], Tuning::default());
    let space = space(&mem);
    map(&space, 16, 8, RW);
    (mem, space)
}

/// What the write fault at page 16 decided, and why.
fn verdict(mem: &Mem<X86_64>, space: &Space<X86_64>) -> (Fault, Why) {
    let at = VirtAddr::of_page(16);
    let (fault, events) = mem.platform().record(|| space.fault(at, Cause::Store).unwrap());
    let why = events.iter().find_map(|event| match event {
        EventKind::CowReuse { why, .. } | EventKind::CowCopy { why, .. } => Some(*why),
        _ => None,
    });
    (fault, why.expect("a write fault on a read-only page"))
}

fn refs(value: u32, relation: Relation, limit: u32) -> Why {
    Why::Count { counter: Counter::Refs, value, relation, limit }
}

/// The same of a rule that has looked for the exclusive mark before.
fn unmarked(value: u32, relation: Relation, limit: u32) -> Why {
    Why::Unmarked { counter: Counter::Refs, value, relation, limit }
}

#[test]
fn a_read_maps_the_zero_page_and_a_write_replaces_it() {
    let (mem, space) = world("pinfold");
    assert_eq!(space.fault(VirtAddr::of_page(16), Cause::Load), Ok(Fault::ZeroPage));
    assert_eq!(load(&space, 16), Ok(0));
    assert_eq!(space.entry(VirtAddr::of_page(16)).pfn(), mem.zero_page());
    assert_eq!(space.fault(VirtAddr::of_page(16), Cause::Store), Ok(Fault::Copied));
    store(&space, 16, 7).unwrap();
    assert_eq!(load(&space, 16), Ok(7));
    assert_eq!(device_read(&mem, mem.zero_page()), 0);
    Audit::of(&mem).space(&space).check();
}

#[test]
fn a_first_write_maps_a_cleared_exclusive_page() {
    let (mem, space) = world("pinfold");
    // A frame that was used before.
    let old = store(&space, 23, 99).unwrap();
    space.unmap(pages(23, 1)).unwrap();
    assert_eq!(space.fault(VirtAddr::of_page(16), Cause::Store), Ok(Fault::FirstTouch));
    let pfn = reach(&space, 16, Cause::Load).unwrap();
    assert_eq!((pfn, load(&space, 16)), (old, Ok(0)));
    let counts = mem.frames().counts(pfn);
    assert_eq!((counts.refs(), counts.maps(), counts.is_exclusive()), (1, 1, true));
    Audit::of(&mem).space(&space).check();
}

#[test]
fn rights_decide_before_anything_is_made() {
    let (mem, space) = world("pinfold");
    map(&space, 30, 1, Prot::READ);
    map(&space, 32, 1, Prot::empty());
    map(&space, 34, 1, Prot::READ | Prot::EXEC);
    let free = mem.frames().total_free();
    let at = VirtAddr::of_page;
    assert_eq!(space.fault(at(30), Cause::Store), Err(FaultError::Denied(at(30))));
    assert_eq!(space.fault(at(30), Cause::Fetch), Err(FaultError::Denied(at(30))));
    assert_eq!(space.fault(at(32), Cause::Load), Err(FaultError::Denied(at(32))));
    assert_eq!(space.fault(at(40), Cause::Load), Err(FaultError::NotMapped(at(40))));
    let beyond = VirtAddr(u64::MAX);
    assert_eq!(space.fault(beyond, Cause::Load), Err(FaultError::NotMapped(beyond)));
    assert_eq!(mem.frames().total_free(), free);
    assert!(reach(&space, 34, Cause::Fetch).is_ok());
    assert!(reach(&space, 34, Cause::Load).is_ok());
    Audit::of(&mem).space(&space).check();
}

#[test]
fn a_fault_without_a_frame_leaves_the_entry_as_it_was() {
    let mem = machine::<X86_64>(Rules::default(), &[16], Tuning::default());
    let (parent, at) = (space(&mem), VirtAddr::of_page(16));
    map(&parent, 16, 2, RW);
    store(&parent, 16, 5).unwrap();
    load(&parent, 17).unwrap();
    let child = parent.fork().unwrap();
    let mut hoard = Vec::new();
    while let Ok(frame) = mem.frames().take(Placement::Prefer(crate::NodeId(0))) {
        hoard.push(frame);
    }
    let before = [child.entry(at), child.entry(VirtAddr::of_page(17))];
    for page in [16, 17] {
        assert_eq!(store(&child, page, 6), Err(FaultError::OutOfFrames));
    }
    assert_eq!([child.entry(at), child.entry(VirtAddr::of_page(17))], before);
    let hoarded: Vec<_> = hoard.iter().map(|frame| frame.pfn()).collect();
    Audit::of(&mem).space(&parent).space(&child).gets(&hoarded).check();
    drop(hoard);
    store(&child, 16, 6).unwrap();
    assert_eq!((load(&parent, 16), load(&child, 16)), (Ok(5), Ok(6)));
}

#[test]
fn facts_1_5_a_marked_page_is_reused_whatever_its_references() {
    for text in
        ["5.19,write-upgrade=never", "6.2,write-upgrade=never", "pinfold,write-upgrade=never"]
    {
        let (mem, space) = world(text);
        let pfn = store(&space, 16, 1).unwrap();
        let pins = space.pin(pages(16, 1), Access::Write, Term::Long).unwrap();
        let gets = space.get(pages(16, 1), Access::Read).unwrap();
        assert_eq!(mem.frames().counts(pfn).refs(), 1 + 1024 + 1);
        space.protect(pages(16, 1), Prot::READ).unwrap();
        space.protect(pages(16, 1), RW).unwrap();
        let marked = Why::Page(PageKind::Anon(Exclusive::Marked));
        assert_eq!(verdict(&mem, &space), (Fault::Reused, marked), "{text}");
        assert_eq!(store(&space, 16, 2), Ok(pfn));
        Audit::of(&mem).space(&space).pins(pins.pages()).gets(gets.pages()).check();
    }
}

#[test]
fn facts_1_5_a_page_that_is_alone_again_is_reused_and_marked() {
    for text in ["5.19", "6.5", "pinfold"] {
        let (mem, space) = world(text);
        let pfn = store(&space, 16, 1).unwrap();
        drop(space.fork().unwrap());
        let counts = mem.frames().counts(pfn);
        assert_eq!((counts.refs(), counts.is_exclusive()), (1, false));
        assert_eq!(
            verdict(&mem, &space),
            (Fault::Reused, unmarked(1, Relation::Equal, 1)),
            "{text}"
        );
        assert!(mem.frames().counts(pfn).is_exclusive());
        assert_eq!(reach(&space, 16, Cause::Store), Ok(pfn));
        Audit::of(&mem).space(&space).check();
    }
}

#[test]
fn facts_1_5_a_foreign_reference_without_the_mark_forces_a_copy() {
    for text in ["5.19", "6.5", "pinfold"] {
        let (mem, space) = world(text);
        let pfn = store(&space, 16, 1).unwrap();
        let child = space.fork().unwrap();
        let gets = child.get(pages(16, 1), Access::Read).unwrap();
        drop(child);
        assert_eq!(
            verdict(&mem, &space),
            (Fault::Copied, unmarked(2, Relation::Above, 1)),
            "{text}"
        );
        store(&space, 16, 2).unwrap();
        assert_eq!((gets.pages(), device_read(&mem, pfn)), (&[pfn][..], 1));
        Audit::of(&mem).space(&space).gets(gets.pages()).check();
    }
}

#[test]
fn facts_1_1_before_5_9_references_never_force_a_copy() {
    let (mem, space) = world("5.8,read-gup=as-is");
    let pfn = store(&space, 16, 1).unwrap();
    let child = space.fork().unwrap();
    let gets = child.get(pages(16, 1), Access::Read).unwrap();
    drop(child);
    let alone = Why::Count {
        counter: Counter::MapsAndSwaps,
        value: 1,
        relation: Relation::AtMost,
        limit: 1,
    };
    assert_eq!(verdict(&mem, &space), (Fault::Reused, alone));
    store(&space, 16, 2).unwrap();
    assert_eq!(device_read(&mem, pfn), 2, "hazard H-A: the child reads what was written later");
    Audit::of(&mem).space(&space).gets(gets.pages()).check();
}

#[test]
fn facts_1_1_before_5_9_a_second_mapping_forces_a_copy() {
    let (mem, space) = world("5.8");
    store(&space, 16, 1).unwrap();
    let child = space.fork().unwrap();
    let shared = Why::Count {
        counter: Counter::MapsAndSwaps,
        value: 2,
        relation: Relation::Above,
        limit: 1,
    };
    assert_eq!(verdict(&mem, &space), (Fault::Copied, shared));
    Audit::of(&mem).space(&space).space(&child).check();
}

#[test]
fn facts_1_3_from_5_9_to_5_18_the_owners_own_pin_forces_a_copy() {
    for (text, why) in [
        ("5.9", refs(1025, Relation::NotEqual, 1)),
        ("5.17", refs(1025, Relation::NotEqual, 1)),
        ("5.18", refs(1025, Relation::Above, 3)),
    ] {
        let (mem, space) = world(text);
        let pfn = store(&space, 16, 1).unwrap();
        let pins = space.pin(pages(16, 1), Access::Write, Term::Long).unwrap();
        space.protect(pages(16, 1), Prot::READ).unwrap();
        space.protect(pages(16, 1), RW).unwrap();
        assert_eq!(verdict(&mem, &space), (Fault::Copied, why), "{text}");
        assert_ne!(reach(&space, 16, Cause::Store), Ok(pfn), "hazard H-C");
        Audit::of(&mem).space(&space).pins(pins.pages()).check();
    }
}

#[test]
fn facts_1_3_a_contended_page_lock_means_copy_since_5_9() {
    for text in ["5.9", "5.18", "pinfold"] {
        let (mem, space) = world(text);
        let pfn = store(&space, 16, 1).unwrap();
        drop(space.fork().unwrap());
        let lock = mem.try_lock_page(pfn).unwrap();
        assert!(mem.try_lock_page(pfn).is_none());
        assert!(mem.try_lock_page(pfn).is_none(), "a failed try unlocks nothing");
        assert_eq!(verdict(&mem, &space), (Fault::Copied, Why::Locked), "{text}");
        drop(lock);
        Audit::of(&mem).space(&space).check();
    }
}

#[test]
fn facts_1_1_a_contended_page_lock_is_slept_for_before_5_9() {
    let (mem, space) = world("5.8");
    let pfn = store(&space, 16, 1).unwrap();
    drop(space.fork().unwrap());
    let lock = mem.try_lock_page(pfn).unwrap();
    std::thread::scope(|threads| {
        let writer = threads.spawn(|| space.fault(VirtAddr::of_page(16), Cause::Store));
        while !mem.frames().flags(pfn).contains(Flags::WAITERS) {
            assert!(!writer.is_finished(), "nobody unlocked the page");
            std::thread::yield_now();
        }
        drop(lock);
        assert_eq!(writer.join().unwrap(), Ok(Fault::Reused));
    });
    Audit::of(&mem).space(&space).check();
}

#[test]
fn a_copy_takes_the_contents_along_and_leaves_the_other_process_alone() {
    for text in crate::rules::PRESETS {
        let mem = machine::<Small>(rules(text), &[32], Tuning::default());
        let parent = space(&mem);
        map(&parent, 5, 3, RW);
        for page in 5..8 {
            store(&parent, page, page * 10).unwrap();
        }
        let child = parent.fork().unwrap();
        store(&child, 6, 1).unwrap();
        store(&parent, 7, 2).unwrap();
        let read = |space| [5, 6, 7].map(|page| load(space, page).unwrap());
        assert_eq!((read(&parent), read(&child)), ([50, 60, 2], [50, 1, 70]), "{text}");
        Audit::of(&mem).space(&parent).space(&child).check();
    }
}

#[test]
fn shared_memory_is_the_same_for_parent_and_child_and_outlives_a_mapping() {
    let mem = machine::<X86_64>(Rules::default(), &[64], Tuning::default());
    let parent = space(&mem);
    map_shared(&parent, 16, 4);
    store(&parent, 16, 1).unwrap();
    let child = parent.fork().unwrap();
    store(&child, 17, 2).unwrap();
    store(&child, 16, 3).unwrap();
    assert_eq!((load(&parent, 16), load(&parent, 17)), (Ok(3), Ok(2)));
    assert_eq!(load(&parent, 18), Ok(0));
    parent.advise(pages(16, 4), crate::Advice::DontNeed).unwrap();
    assert_eq!(load(&parent, 16), Ok(3));
    Audit::of(&mem).space(&parent).space(&child).check();
    drop(parent);
    assert_eq!(load(&child, 17), Ok(2));
    Audit::of(&mem).space(&child).check();
}

#[test]
fn a_read_only_entry_of_shared_memory_gains_the_right_without_a_copy() {
    let mem = machine::<X86_64>(Rules::default(), &[64], Tuning::default());
    let space = space(&mem);
    map_shared(&space, 16, 1);
    let pfn = reach(&space, 16, Cause::Load).unwrap();
    // As memory with write notification leaves it.
    let slot = hardware_entry(&space, 16).unwrap();
    slot.fetch_and(!(1 << 1), Ordering::Relaxed);
    assert_eq!(space.fault(VirtAddr::of_page(16), Cause::Store), Ok(Fault::Reused));
    assert_eq!(reach(&space, 16, Cause::Store), Ok(pfn));
    Audit::of(&mem).space(&space).check();
}

#[test]
fn a_repeated_fault_on_a_fitting_entry_is_spurious() {
    let (mem, space) = world("pinfold");
    store(&space, 16, 1).unwrap();
    let free = mem.frames().total_free();
    for cause in [Cause::Load, Cause::Store] {
        assert_eq!(space.fault(VirtAddr::of_page(16), cause), Ok(Fault::Spurious));
    }
    assert_eq!(mem.frames().total_free(), free);
}

#[test]
fn the_counters_of_faults_and_reuse_add_up() {
    let (mem, space) = world("pinfold");
    let write_faults = || {
        let stat = mem.stats();
        (stat.pgfault, stat.pgreuse, stat.cow_copy)
    };
    store(&space, 16, 1).unwrap();
    load(&space, 17).unwrap();
    assert_eq!(write_faults(), (2, 0, 0));
    let child = space.fork().unwrap();
    store(&space, 16, 2).unwrap();
    assert_eq!(write_faults(), (3, 0, 1));
    store(&child, 16, 3).unwrap();
    assert_eq!(write_faults(), (4, 1, 1));
    assert!(space.fault(VirtAddr::of_page(99), Cause::Load).is_err());
    assert_eq!(mem.stats().pgfault, 4, "a failed fault was not resolved");
    assert_eq!(mem.stats().pgfree, 0);
    drop(child);
    assert!(mem.stats().iter().any(|(name, value)| name == "pgfree" && value > 0));
}

#[test]
fn a_device_that_writes_a_page_of_another_process_is_seen_by_its_owner_alone() {
    let (mem, parent) = world("pinfold");
    store(&parent, 16, 1).unwrap();
    let pins = parent.pin(pages(16, 1), Access::Write, Term::Long).unwrap();
    let child = parent.fork().unwrap();
    device_write(&mem, pins.pages()[0], 42);
    assert_eq!((load(&parent, 16), load(&child, 16)), (Ok(42), Ok(1)));
    Audit::of(&mem).space(&parent).space(&child).pins(pins.pages()).check();
}

#[test]
fn a_private_mapping_anywhere_takes_the_highest_gap() {
    let (_mem, space) = world("pinfold");
    let range = space.map(Place::Anywhere, 3, RW, Sharing::Private).unwrap();
    assert_eq!(range.end_page().0, <X86_64 as crate::Format>::USER_PAGES);
    store(&space, range.first_page().0, 1).unwrap();
    assert_eq!(load(&space, range.first_page().0), Ok(1));
}

#[test]
fn a_copy_for_an_entry_that_changed_meanwhile_is_thrown_away() {
    for text in crate::rules::PRESETS {
        for racer_writes in [true, false] {
            let (mem, parent) = world(text);
            store(&parent, 16, 1).unwrap();
            let child = parent.fork().unwrap();
            let parent = std::sync::Arc::new(parent);
            let racer = parent.clone();
            let fault = mem.platform().interrupt(
                // Reported after the decision, with no table lock held.
                move |event| {
                    if matches!(event, EventKind::CowCopy { .. }) {
                        if racer_writes {
                            store(&racer, 16, 2).unwrap();
                        } else {
                            racer.advise(pages(16, 1), crate::Advice::DontNeed).unwrap();
                        }
                    }
                },
                || parent.fault(VirtAddr::of_page(16), Cause::Store),
            );
            assert_eq!(fault, Ok(Fault::Spurious), "{text}");
            let left = if racer_writes { 2 } else { 0 };
            assert_eq!((load(&parent, 16), load(&child, 16)), (Ok(left), Ok(1)), "{text}");
            Audit::of(&mem).space(&parent).space(&child).check();
        }
    }
}

/// Lets a fault of `page` find no frame, because another resolved one with the last frame just
/// before. Returns the fault's outcome.
fn starved<F: Format>(
    mem: &Mem<F>,
    space: &Arc<Space<F>>,
    page: u64,
    racer: u64,
) -> Result<Fault, FaultError> {
    let left = mem.frames().total_free();
    let place = Placement::Prefer(NodeId(0));
    let taken: Vec<_> = (1..left).map(|_| mem.frames().take(place).unwrap()).collect();
    let other = space.clone();
    mem.platform().before_alloc(move || _ = store(&other, racer, 2).unwrap());
    let fault = space.fault(VirtAddr::of_page(page), Cause::Store);
    drop(taken);
    fault
}

#[test]
fn a_fault_that_another_resolved_with_the_last_frame_is_none() {
    let mem = machine::<Small>(Rules::default(), &[16], Tuning::default());
    let parent = Arc::new(space(&mem));
    map(&parent, 4, 4, Prot::READ_WRITE);
    store(&parent, 4, 1).unwrap();
    // A page that nobody has touched.
    assert_eq!(starved(&mem, &parent, 5, 5), Ok(Fault::Spurious));
    // One that is copied for this fault.
    let child = parent.fork().unwrap();
    assert_eq!(starved(&mem, &parent, 4, 4), Ok(Fault::Spurious));
    assert_eq!((load(&parent, 4), load(&child, 4)), (Ok(2), Ok(1)));
    // The last frame went to another page: the caller must be told.
    assert_eq!(starved(&mem, &parent, 6, 7), Err(FaultError::OutOfFrames));
    Audit::of(&mem).space(&parent).space(&child).check();
}

/// Loads an old page, then stores to one that is writable and clean.
fn uses_unmarked_pages<F: Hardware>(marks: Marks) {
    let mem =
        machine_of::<F>(marks, FrameSetup::new(&spans(&[64])), Rules::default(), Tuning::default());
    let parent = space(&mem);
    let (private, shared) = (map(&parent, 16, 1, RW), map_shared(&parent, 24, 1));
    store(&parent, 16, 1).unwrap();
    let child = parent.fork().unwrap();
    assert!(!child.entry(private.start()).is_accessed());
    assert_eq!(load(&child, 16), Ok(1));
    assert!(child.entry(private.start()).is_accessed());

    assert_eq!(load(&parent, 24), Ok(0));
    let clean = parent.entry(shared.start());
    assert!(clean.is_writable() && !clean.is_dirty());
    store(&parent, 24, 2).unwrap();
    let dirty = parent.entry(shared.start());
    assert!(dirty.is_writable() && dirty.is_dirty() && dirty.pfn() == clean.pfn());
    assert_eq!(load(&parent, 24), Ok(2));
    Audit::of(&mem).space(&parent).space(&child).check();
}

#[test]
fn a_fault_whose_table_another_made_with_the_last_frame_is_none() {
    let mem = machine::<Small>(Rules::default(), &[16], Tuning::default());
    let space = Arc::new(space(&mem));
    map(&space, 4, 4, Prot::READ_WRITE);
    let left = mem.frames().total_free();
    let place = Placement::Prefer(NodeId(0));
    let taken: Vec<_> = (1..left).map(|_| mem.frames().take(place).unwrap()).collect();
    let other = space.clone();
    // A load takes a frame for the table only.
    mem.platform().before_alloc(move || _ = load(&other, 5).unwrap());
    assert_eq!(space.fault(VirtAddr::of_page(4), Cause::Load), Ok(Fault::Spurious));
    assert_eq!(space.fault(VirtAddr::of_page(4), Cause::Load), Ok(Fault::ZeroPage));
    drop(taken);
    Audit::of(&mem).space(&space).check();
}

#[test]
fn a_fault_marks_the_page_as_used_where_the_hardware_leaves_that_to_the_manager() {
    for marks in [Marks::Hardware, Marks::Manager] {
        uses_unmarked_pages::<X86_64>(marks);
        uses_unmarked_pages::<Aarch64>(marks);
        uses_unmarked_pages::<Sv39>(marks);
    }
}

#[test]
fn memory_for_writing_or_executing_alone_can_be_read_and_not_be_pinned_for_reading() {
    let (mem, space) = world("pinfold");
    for (page, prot) in [(40, Prot::WRITE), (42, Prot::EXEC), (44, Prot::WRITE | Prot::EXEC)] {
        map(&space, page, 1, prot);
        assert_eq!(load(&space, page), Ok(0), "{prot:?}");
        assert_eq!(store(&space, page, 1).is_ok(), prot.contains(Prot::WRITE), "{prot:?}");
        let denied = FaultError::Denied(VirtAddr::of_page(page));
        // The lock-free walk sees entries, not areas, as on Linux.
        let slow = Ask::new(Access::Read, Term::Short).path(Path::SlowOnly);
        assert_eq!(space.pin_with(pages(page, 1), slow).err(), Some(denied.into()), "{prot:?}");
    }
    Audit::of(&mem).space(&space).check();
}
