//! NUMA balancing: what a scan takes, and what a hinting fault gives back.

mod filter;
mod folios;

use std::vec::Vec;

use crate::rules::Users;
use crate::testing::{
    Audit, Disk, Mem, Space, load, machine, map, map_file, map_shared, pages, reach, rules, space,
    store,
};
use crate::{
    Access, Cause, EventKind, Fault, FileSharing, Hinted, NodeId, Placement, Prot, Rules, Term,
    Tuning, VirtAddr, X86_64,
};

const RW: Prot = Prot::READ_WRITE;
const AT: VirtAddr = VirtAddr::of_page(16);

fn world(text: &str) -> (Mem<X86_64>, Space<X86_64>) {
    let mem = machine(rules(text), &[48, 8], Tuning::default());
    let space = space(&mem);
    map(&space, 16, 8, RW);
    (mem, space)
}

#[test]
fn a_hinting_fault_on_the_right_node_restores_the_entry_as_it_was() {
    for text in crate::rules::PRESETS {
        let (mem, space) = world(text);
        store(&space, 16, 5).unwrap();
        let before = space.entry(AT);
        assert_eq!(space.numa_scan(pages(16, 8)), 1, "{text}");
        assert!(space.entry(AT).is_hint(), "{text}");
        assert_eq!(space.numa_scan(pages(16, 8)), 0, "{text}: once is enough");
        assert_eq!(space.fault(AT, Cause::Load), Ok(Fault::Hint(Hinted::Local)), "{text}");
        assert_eq!(space.entry(AT), before, "{text}: writable, by saving or by the mark");
        let stat = mem.stats();
        let counted = [stat.numa_pte_updates, stat.numa_hint_faults, stat.numa_hint_faults_local];
        assert_eq!(counted, [1, 1, 1], "{text}");
        Audit::of(&mem).space(&space).check();
    }
}

#[test]
fn a_hinting_fault_from_another_node_moves_the_page_there() {
    for text in crate::rules::PRESETS {
        let (mem, space) = world(text);
        store(&space, 16, 5).unwrap();
        space.numa_scan(pages(16, 1));
        mem.platform().host.run_on(NodeId(1));
        assert_eq!(space.fault(AT, Cause::Store), Ok(Fault::Hint(Hinted::Moved)), "{text}");
        assert_eq!(mem.frames().node(space.entry(AT).pfn()), NodeId(1), "{text}");
        assert_eq!(load(&space, 16), Ok(5), "{text}");
        store(&space, 16, 6).unwrap();
        let stat = mem.stats();
        let counted = [stat.numa_pages_migrated, stat.pgmigrate_success, stat.cow_copy];
        assert_eq!(counted, [1, 1, 0], "{text}");
        Audit::of(&mem).space(&space).check();
    }
}

#[test]
fn a_failing_move_leaves_the_page_accessible_by_each_rule() {
    for fault in ["restore-first", "migrate-first", "isolate-under-lock"] {
        for write in ["kept", "lost", "saved", "recomputed"] {
            for base in ["5.9", "pinfold"] {
                let text =
                    std::format!("{base},numa-fault={fault},numa-write={write},numa-skip=never");
                let (mem, space) = world(&text);
                let pfn = store(&space, 16, 5).unwrap();
                let pins = space.pin(pages(16, 1), Access::Write, Term::Long).unwrap();
                assert_eq!(space.numa_scan(pages(16, 1)), 1, "{text}");
                mem.platform().host.run_on(NodeId(1));
                let hinted = space.fault(AT, Cause::Load);
                assert_eq!(hinted, Ok(Fault::Hint(Hinted::MoveFailed)), "{text}");
                let entry = space.entry(AT);
                assert!(entry.is_present() && entry.pfn() == pfn, "{text}: {entry}");
                match write {
                    "kept" | "saved" => assert!(entry.is_writable(), "{text}: {entry}"),
                    "lost" => assert!(!entry.is_writable(), "{text}: {entry}"),
                    _ => {}
                }
                let copies = base == "5.9" && !entry.is_writable();
                assert_eq!(store(&space, 16, 6).unwrap() != pfn, copies, "{text}: {entry}");
                Audit::of(&mem).space(&space).pins(pins.pages()).check();
            }
        }
    }
}

#[test]
fn facts_9_12_since_6_11_a_failed_move_forgets_the_write_bit_and_the_mark_brings_it_back() {
    for (text, writable) in [("5.17", true), ("6.2", true), ("6.12", false), ("pinfold", false)] {
        let (mem, space) = world(text);
        let pfn = store(&space, 16, 5).unwrap();
        space.numa_scan(pages(16, 1));
        // The move fails before it touches the entry: its node is full.
        let there = Placement::Only(NodeId(1));
        let full: std::vec::Vec<_> = (0..8).map(|_| mem.frames().take(there).unwrap()).collect();
        mem.platform().host.run_on(NodeId(1));
        assert_eq!(space.fault(AT, Cause::Load), Ok(Fault::Hint(Hinted::MoveFailed)), "{text}");
        assert!(space.entry(AT).is_present(), "{text}");
        assert_eq!(space.entry(AT).is_writable(), writable, "{text}");
        drop(full);
        assert_eq!(store(&space, 16, 6), Ok(pfn), "{text}");
        Audit::of(&mem).space(&space).check();
    }
}

/// A hinting fault on the right node is enough to lose it, and the next write takes a fault.
#[test]
fn write_permission_that_the_scan_drops_for_good_costs_a_write_fault() {
    for (text, faults, copies) in [
        ("5.9", 0, 0),
        ("5.9,numa-write=lost", 1, 1),
        ("4.4", 0, 0),
        ("4.4,numa-write=lost", 1, 0),
        ("pinfold,numa-write=lost", 1, 0),
    ] {
        let (mem, space) = world(text);
        store(&space, 16, 5).unwrap();
        let gets = space.get(pages(16, 1), Access::Write).unwrap();
        assert_eq!(space.numa_scan(pages(16, 1)), 1, "{text}");
        assert_eq!(space.fault(AT, Cause::Load), Ok(Fault::Hint(Hinted::Local)), "{text}");
        let before = mem.stats();
        store(&space, 16, 6).unwrap();
        let after = mem.stats();
        assert_eq!(after.pgfault - before.pgfault, faults, "{text}");
        assert_eq!(after.cow_copy - before.cow_copy, copies, "{text}");
        Audit::of(&mem).space(&space).gets(gets.pages()).check();
    }
}

#[test]
fn a_scan_skips_by_rule() {
    for (text, shared, pinned, got) in [
        ("3.12", false, true, true),
        ("3.13", true, true, true),
        ("4.15", true, true, true),
        ("4.16", false, true, true),
        ("5.9", false, true, true),
        ("5.17", false, false, false),
        ("6.12", false, false, true),
        ("pinfold", false, false, true),
    ] {
        let (mem, parent) = world(text);
        let child = {
            store(&parent, 16, 1).unwrap();
            parent.fork().unwrap()
        };
        store(&parent, 17, 1).unwrap();
        store(&parent, 18, 1).unwrap();
        load(&parent, 19).unwrap();
        let pins = parent.pin(pages(17, 1), Access::Write, Term::Short).unwrap();
        let gets = parent.get(pages(18, 1), Access::Write).unwrap();
        let taken = [16, 17, 18, 19].map(|page| parent.numa_scan(pages(page, 1)) == 1);
        assert_eq!(taken, [shared, pinned, got, false], "{text}");
        Audit::of(&mem).space(&parent).space(&child).pins(pins.pages()).gets(gets.pages()).check();
    }
}

#[test]
fn the_only_thread_is_not_asked_where_its_local_pages_are_used() {
    for text in crate::rules::PRESETS {
        let (mem, space) = world(text);
        map_shared(&space, 40, 1);
        store(&space, 16, 1).unwrap();
        store(&space, 40, 1).unwrap();
        mem.platform().host.run_on(NodeId(1));
        store(&space, 17, 1).unwrap();
        mem.platform().host.run_on(NodeId(0));
        let changed = |page| space.numa_scan_of(pages(page, 1), Users::One);
        assert_eq!([16, 17, 40].map(changed), [0, 1, 1], "{text}: local, remote, shared memory");
        assert!(!space.entry(AT).is_hint(), "{text}");
        // The thread has moved: what was local is remote now.
        mem.platform().host.run_on(NodeId(1));
        assert_eq!(changed(16), 1, "{text}");
        Audit::of(&mem).space(&space).check();
    }
}

#[test]
fn shared_memory_is_scanned_and_follows_the_thread_that_touches_it() {
    for text in crate::rules::PRESETS {
        let (mem, space) = world(text);
        map_shared(&space, 40, 2);
        let pfn = store(&space, 40, 1).unwrap();
        load(&space, 41).unwrap();
        assert_eq!(space.numa_scan(pages(40, 2)), 2, "{text}");
        mem.platform().host.run_on(NodeId(1));
        assert_eq!(load(&space, 40), Ok(1), "{text}");
        let moved = store(&space, 40, 2).unwrap();
        assert_eq!((mem.frames().node(moved), moved == pfn), (NodeId(1), false), "{text}");
        assert!(store(&space, 41, 3).is_ok(), "{text}");
        assert_eq!(mem.frames().counts(pfn).refs(), 0, "{text}");
        Audit::of(&mem).space(&space).check();
    }
}

#[test]
fn a_page_of_a_file_follows_once_it_is_written_back() {
    for text in crate::rules::PRESETS {
        let (mem, space) = world(text);
        let file = Disk::default().file(&mem, 1);
        map_file(&space, 40, file.run(0..1), FileSharing::Shared);
        let pfn = store(&space, 40, 1).unwrap();
        for (there, stays) in [(1, true), (1, false)] {
            mem.platform().host.run_on(NodeId(0));
            assert_eq!(space.numa_scan(pages(40, 1)), 1, "{text}");
            mem.platform().host.run_on(NodeId(there));
            assert_eq!(load(&space, 40), Ok(1), "{text}");
            let entry = space.entry(VirtAddr::of_page(40));
            assert_eq!((entry.pfn() == pfn, entry.is_hint()), (stays, false), "{text}");
            file.sync().unwrap();
        }
        Audit::of(&mem).space(&space).file(&file).check();
    }
}

#[test]
fn facts_4_4_code_of_a_file_stays_where_several_execute_it() {
    let code = RW | Prot::EXEC;
    for text in crate::rules::PRESETS {
        for (prot, others, stays) in [(code, 1, true), (code, 0, false), (RW, 1, false)] {
            let (mem, space) = world(text);
            let file = Disk::default().file(&mem, 1);
            map_file(&space, 40, file.run(0..1), FileSharing::Shared);
            space.protect(pages(40, 1), prot).unwrap();
            load(&space, 40).unwrap();
            let children: Vec<_> = (0..others).map(|_| space.fork().unwrap()).collect();
            children.iter().for_each(|child| _ = load(child, 40).unwrap());
            let pfn = space.entry(VirtAddr::of_page(40)).pfn();
            let entry = |space: &Space<X86_64>| space.entry(VirtAddr::of_page(40));
            if space.numa_scan(pages(40, 1)) == 0 {
                // 3.8 to 3.12: the scanner passes over what several map, whatever that is.
                assert_eq!(others, 1, "{text}");
                continue;
            }
            mem.platform().host.run_on(NodeId(1));
            load(&space, 40).unwrap();
            assert_eq!((entry(&space).pfn() == pfn, entry(&space).is_hint()), (stays, false));
            assert_eq!(mem.stats().numa_pages_migrated, u64::from(!stays), "{text}: {prot:?}");
            children.iter().for_each(|child| assert_eq!(entry(child).pfn(), entry(&space).pfn()));
            let spaces = children.iter().fold(Audit::of(&mem).space(&space), Audit::space);
            spaces.file(&file).check();
        }
    }
}

#[test]
fn facts_4_4_what_a_fork_has_shared_since_the_scan_stays_up_to_3_12() {
    for (text, stays) in [("3.8", true), ("3.12", true), ("3.13", false), ("latest", false)] {
        let (mem, parent) = world(text);
        let pfn = store(&parent, 16, 1).unwrap();
        assert_eq!(parent.numa_scan(pages(16, 1)), 1, "{text}");
        let child = parent.fork().unwrap();
        mem.platform().host.run_on(NodeId(1));
        load(&parent, 16).unwrap();
        let entry = parent.entry(AT);
        assert_eq!((entry.pfn() == pfn, entry.is_hint()), (stays, false), "{text}");
        assert_eq!(mem.stats().numa_pages_migrated, u64::from(!stays), "{text}");
        Audit::of(&mem).space(&parent).space(&child).check();
        // Alone again it follows.
        drop(child);
        parent.numa_scan(pages(16, 1));
        load(&parent, 16).unwrap();
        assert_ne!(parent.entry(AT).pfn(), pfn, "{text}");
    }
}

#[test]
fn inaccessible_areas_and_the_zero_page_are_left_alone() {
    let (mem, space) = world("pinfold");
    load(&space, 17).unwrap();
    store(&space, 16, 1).unwrap();
    space.protect(pages(16, 1), Prot::empty()).unwrap();
    assert_eq!(space.numa_scan(pages(1, 1000)), 0);
    assert!(!space.entry(AT).is_hint());
    Audit::of(&mem).space(&space).check();
}

#[test]
fn mprotect_over_a_hint_ends_the_hint_and_its_rights_win() {
    for text in crate::rules::PRESETS {
        let (mem, space) = world(text);
        let pfn = store(&space, 16, 1).unwrap();
        space.numa_scan(pages(16, 1));
        space.protect(pages(16, 1), Prot::READ).unwrap();
        let entry = space.entry(AT);
        assert!(entry.is_present() && !entry.is_writable(), "{text}: {entry}");
        space.protect(pages(16, 1), RW).unwrap();
        space.numa_scan(pages(16, 1));
        space.protect(pages(16, 1), Prot::empty()).unwrap();
        assert!(space.entry(AT).is_protnone() && !space.entry(AT).is_hint(), "{text}");
        space.protect(pages(16, 1), RW).unwrap();
        assert_eq!((load(&space, 16), store(&space, 16, 2)), (Ok(1), Ok(pfn)), "{text}");
        Audit::of(&mem).space(&space).check();
    }
}

#[test]
fn a_hint_keeps_the_right_to_execute() {
    let mem = machine::<X86_64>(Rules::default(), &[48, 8], Tuning::default());
    let space = space(&mem);
    map(&space, 16, 1, RW | Prot::EXEC);
    store(&space, 16, 1).unwrap();
    for there in [NodeId(0), NodeId(1)] {
        space.numa_scan(pages(16, 1));
        mem.platform().host.run_on(there);
        reach(&space, 16, Cause::Fetch).unwrap();
        assert_eq!(space.fault(AT, Cause::Fetch), Ok(Fault::Spurious));
    }
    Audit::of(&mem).space(&space).check();
}

#[test]
fn a_shared_page_that_moves_on_a_hint_stays_copy_on_write() {
    let (mem, parent) = world("5.8,numa-skip=never");
    store(&parent, 16, 1).unwrap();
    let child = parent.fork().unwrap();
    child.numa_scan(pages(16, 1));
    let grandchild = child.fork().unwrap();
    assert!(grandchild.entry(AT).is_hint(), "hints are copied as they are");
    mem.platform().host.run_on(NodeId(1));
    let (_, events) = mem.platform().record(|| load(&child, 16));
    assert!(events.iter().any(|event| matches!(event, EventKind::Migrated { .. })));
    store(&child, 16, 2).unwrap();
    store(&grandchild, 16, 3).unwrap();
    let seen = [&parent, &child, &grandchild].map(|space| load(space, 16).unwrap());
    assert_eq!(seen, [1, 2, 3]);
    Audit::of(&mem).space(&parent).space(&child).space(&grandchild).check();
}

#[test]
fn a_restored_entry_of_a_page_without_the_mark_is_read_only() {
    let (mem, parent) = world("pinfold,numa-skip=never");
    store(&parent, 16, 1).unwrap();
    let child = parent.fork().unwrap();
    assert_eq!(parent.numa_scan(pages(16, 1)), 1);
    assert_eq!(parent.fault(AT, Cause::Store), Ok(Fault::Hint(Hinted::Local)));
    assert!(parent.entry(AT).is_present() && !parent.entry(AT).is_writable());
    store(&parent, 16, 2).unwrap();
    assert_eq!((load(&parent, 16), load(&child, 16)), (Ok(2), Ok(1)));
    Audit::of(&mem).space(&parent).space(&child).check();
}
