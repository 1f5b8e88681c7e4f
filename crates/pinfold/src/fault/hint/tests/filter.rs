//! Which pages follow their users, where pages remember who took the last hinting fault.

use super::RW;
use crate::frame::FaultedBy;
use crate::testing::{Audit, Mem, Space, load, machine, map, pages, reach, rules, space, store};
use crate::{
    Advice, Balancer, Cause, Fault, HintFilter, Hinted, NodeId, PmdMapping, Rules, ScanPace, Small,
    Tuning, VirtAddr,
};

const FILTERS: Tuning = tuning(HintFilter::On);

const fn tuning(hint_filter: HintFilter) -> Tuning {
    Tuning {
        migrate_passes: 10,
        hint_passes: 3,
        gather_pages: 100,
        stock_batch: 0,
        fault_around: 1,
        folios_always: 0,
        folios_advised: 0,
        pmd_mapping: PmdMapping::Off,
        huge_zero: crate::HugeZero::Off,
        lru_batch: 0,
        swap_readahead: 0,
        max_ptes_swap: u64::MAX,
        hint_filter,
        use_zero_pages: crate::ZeroPages::Off,
        watermarks: crate::Watermarks { min: 0, low: 0, high: 0 },
        lowmem_reserve: crate::LowmemReserve { dma32: 0, normal: 0 },
        reclaim_batch: 32,
        swappiness: 60,
    }
}

/// A machine of three nodes, and a space whose page 4 lies on node 0.
fn world(text: &str, tuning: Tuning) -> (Mem<Small>, Space<Small>) {
    let mem = machine(rules(text), &[40, 12, 12], tuning);
    let space = space(&mem);
    map(&space, 4, 4, RW);
    store(&space, 4, 5).unwrap();
    (mem, space)
}

fn run_as(mem: &Mem<Small>, node: u8, task: u32) {
    mem.platform().host.run_on(NodeId(node));
    mem.platform().host.run_for(task);
}

/// A scan, and a hinting fault by this task on this node.
fn hint(mem: &Mem<Small>, space: &Space<Small>, node: u8, task: u32) -> Hinted {
    space.numa_scan(pages(4, 4));
    run_as(mem, node, task);
    match space.fault(VirtAddr::of_page(4), Cause::Load).unwrap() {
        Fault::Hint(hinted) => hinted,
        fault => panic!("{fault:?} is no hinting fault"),
    }
}

/// Which faults in a row move the page there, by the rules.
fn rounds(text: &str, by: HintFilter, faults: [(u8, u32); 4]) -> [Hinted; 4] {
    let (mem, space) = world(text, tuning(by));
    let hinted = faults.map(|(node, task)| hint(&mem, &space, node, task));
    assert_eq!(load(&space, 4), Ok(5), "{text}");
    Audit::of(&mem).space(&space).check();
    hinted
}

#[test]
fn facts_4_8_a_page_that_two_nodes_use_in_turn_stays_where_it_is() {
    use Hinted::{Local, Moved, NotYet};
    let faults = [(1, 1), (0, 0), (1, 1), (0, 0)];
    for text in crate::rules::PRESETS {
        assert_eq!(rounds(text, HintFilter::Off, faults), [Moved; 4], "{text}");
        let first = match rules(text).numa_filter.name() {
            "same-node" => [NotYet, Local, NotYet, Local],
            _ => [Moved, NotYet, Local, NotYet],
        };
        assert_eq!(rounds(text, HintFilter::On, faults), first, "{text}");
    }
}

#[test]
fn facts_4_8_the_second_fault_in_a_row_moves_the_page_by_all_rules() {
    use Hinted::{Local, Moved, NotYet};
    for text in crate::rules::PRESETS {
        let follows = rounds(text, HintFilter::On, [(0, 0), (1, 1), (1, 2), (1, 1)]);
        assert_eq!(follows, [Local, NotYet, Moved, Local], "{text}");
    }
}

#[test]
fn facts_4_8_since_4_20_a_task_takes_its_pages_along_early_in_its_life() {
    use Hinted::{Local, Moved, NotYet};
    let faults = [(0, 7), (1, 7), (1, 7), (2, 7)];
    for (text, expected) in [
        ("3.12", [Local, NotYet, Moved, NotYet]),
        ("4.19", [Local, NotYet, Moved, NotYet]),
        ("4.20", [Local, Moved, Local, Moved]),
        ("7.3", [Local, Moved, Local, Moved]),
    ] {
        assert_eq!(rounds(text, HintFilter::On, faults), expected, "{text}");
    }
}

#[test]
fn facts_4_8_after_four_sequences_it_does_not() {
    let (mem, space) = world("7.3", FILTERS);
    let pace = ScanPace { delay: 1, period_min: 1, period_max: 1, size: 64 };
    let balancer = Balancer::new(&space, pace).unwrap();
    let (mut now, mut moves) = (0, std::vec::Vec::new());
    run_as(&mem, 0, 7);
    for round in 0..8 {
        while balancer.tick(now, crate::rules::Users::Several).unwrap().is_none() {
            now += 1;
        }
        now += 1;
        run_as(&mem, 1 + round % 2, 7);
        reach(&space, 4, Cause::Load).unwrap();
        let here = mem.frames().node(space.entry(VirtAddr::of_page(4)).pfn());
        moves.push(here == crate::Platform::node(&mem.platform().host));
    }
    assert_eq!(moves, [true, true, true, true, false, true, false, true], "from 2 to 1 no more");
    Audit::of(&mem).space(&space).check();
}

#[test]
fn a_new_page_knows_no_fault_and_one_that_moves_takes_its_own_along() {
    let (mem, space) = world("7.3", FILTERS);
    let entry = || space.entry(VirtAddr::of_page(4)).pfn();
    let last = |pfn| mem.frames().peek_last_fault(pfn);
    assert_eq!(last(entry()), None);
    hint(&mem, &space, 1, 300);
    let (there, by) = (entry(), FaultedBy { node: NodeId(1), task: 44 });
    assert_eq!(last(there), Some(by), "the lowest bits of the task's number");
    assert_eq!(space.migrate(pages(4, 1), NodeId(2)).moved, 1);
    assert_eq!((last(entry()), last(there)), (Some(by), None));
    let there = entry();
    space.advise(pages(4, 1), Advice::DontNeed).unwrap();
    assert_eq!(last(there), None);
    Audit::of(&mem).space(&space).check();
}

#[test]
fn parts_of_a_folio_that_is_split_know_the_folios_last_fault() {
    for by in [PmdMapping::On, PmdMapping::Off] {
        let (mem, space) = {
            let tuning = Tuning { folios_always: 1 << 2, pmd_mapping: by, ..FILTERS };
            world("7.3", tuning)
        };
        assert_eq!(mem.stats().thp_fault_alloc, 1);
        assert_eq!(hint(&mem, &space, 1, 3), Hinted::Moved, "{by:?}");
        let head = space.entry(VirtAddr::of_page(4)).pfn();
        let known = || (0..4).map(|at| mem.frames().peek_last_fault(crate::Pfn(head.0 + at)));
        assert_eq!(known().flatten().count(), 1, "{by:?}");
        space.split_folio(VirtAddr::of_page(4)).unwrap();
        assert_eq!(known().flatten().count(), 4, "{by:?}");
        Audit::of(&mem).space(&space).check();
        drop(space);
        assert_eq!(known().flatten().count(), 0, "{by:?}");
    }
}

#[test]
fn a_machine_without_the_memory_for_it_is_not_made() {
    let spans = crate::testing::spans(&[8]);
    let make = |deny| {
        let host = crate::mock::Host::<Small>::new(8);
        let make = || {
            // SAFETY: the host has these frames, and nobody else uses it.
            unsafe { crate::Memory::new(host, &spans, Rules::default(), FILTERS) }
        };
        crate::heap::with_heap(deny, make)
    };
    let mut refused = 0;
    for granted in 0.. {
        let (made, denied) = make(crate::heap::Deny::After(granted));
        refused += u32::from(made.is_err());
        if denied == 0 {
            break;
        }
    }
    assert!(refused > 1, "{refused}");
}
