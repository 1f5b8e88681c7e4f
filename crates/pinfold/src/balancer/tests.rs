//! When a balancer scans, what it passes over, and random lives of processes on several nodes.

use std::collections::BTreeMap;
use std::vec::Vec;

use super::*;
use crate::heap::{Deny, with_heap};
use crate::testing::{
    Audit, Disk, Hardware, Mem, Rig, Space, device_read, machine, map, pages, reach, rules, space,
    store,
};
use crate::{
    Access, Advice, Cause, FileSharing, HintFilter, NodeId, Pins, Place, Reclaimer, Small,
    SmallAarch64, SmallRiscv64, Term, Tuning, VirtAddr,
};

const RW: Prot = Prot::READ_WRITE;
const PACE: ScanPace = ScanPace { delay: 10, period_min: 5, period_max: 80, size: 64 };
const SEVERAL: Users = Users::Several;

fn world<F: Hardware>(text: &str) -> Mem<F> {
    let tuning = Tuning { hint_filter: HintFilter::On, ..Tuning::default() };
    machine(rules(text), &[40, 12], tuning)
}

/// A space with pages 4 to 11, which were stored to.
fn used(mem: &Mem<Small>) -> Space<Small> {
    let space = space(mem);
    map(&space, 4, 8, RW);
    (4..12).for_each(|page| _ = store(&space, page, page).unwrap());
    space
}

fn hints<F: Hardware>(space: &Space<F>) -> Vec<u64> {
    (1..15).filter(|page| space.entry(VirtAddr::of_page(*page)).is_hint()).collect()
}

/// The next scan, and when it is.
fn scan<F: Hardware>(balancer: &Balancer<Rig<F>>, now: &mut u64) -> HintScan {
    loop {
        *now += 1;
        if let Some(scan) = balancer.tick(*now, SEVERAL).unwrap() {
            return scan;
        }
    }
}

#[test]
fn a_new_process_is_left_alone_for_the_delay_and_then_scanned_once_a_period() {
    let mem = world("6.3");
    let space = used(&mem);
    let balancer = Balancer::new(&space, PACE).unwrap();
    let mut scans = Vec::new();
    for now in 100..150 {
        if balancer.tick(now, SEVERAL).unwrap().is_some() {
            scans.push(now);
        }
    }
    // Without faults the period doubles with each sequence, and the first scan ends one.
    assert_eq!(scans, [110, 115, 125, 145]);
    assert_eq!((balancer.stats().period, balancer.stats().scans), (40, 4));
    assert_eq!(mem.stats().numa_pte_updates, 8, "once is enough");
    Audit::of(&mem).space(&space).check();
}

#[test]
fn a_scan_goes_over_so_many_pages_and_over_more_where_nothing_is_to_change() {
    let mem = world("7.3");
    let space = used(&mem);
    let balancer = Balancer::new(&space, ScanPace { size: 3, ..PACE }).unwrap();
    let mut now = 0;
    let all = |pages, updated, sequences| HintScan { pages, updated, sequences };
    assert_eq!(scan(&balancer, &mut now), all(4, 4, 0), "to the end of a table");
    assert_eq!(hints(&space), [4, 5, 6, 7]);
    assert_eq!(scan(&balancer, &mut now), all(4, 4, 0));
    assert_eq!(scan(&balancer, &mut now), all(8, 0, 2), "from the beginning, and to the end");
    assert_eq!(mem.stats().numa_pte_updates, 8);
}

#[test]
fn of_tasks_that_tick_at_the_same_time_one_scans() {
    let mem = world("7.3");
    mem.platform().cache_nothing();
    let space = used(&mem);
    let balancer = Balancer::new(&space, PACE).unwrap();
    balancer.tick(0, SEVERAL).unwrap();
    for now in (1..20).map(|round| round * 100) {
        let scans: u32 = std::thread::scope(|scope| {
            let tick = || u32::from(balancer.tick(now, SEVERAL).unwrap().is_some());
            let threads: Vec<_> = (0..3).map(|_| scope.spawn(tick)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(scans, 1);
    }
}

#[test]
fn facts_4_7_the_period_follows_what_faults_tell() {
    let tally = |private, shared, local, remote, failed| HintTally {
        private,
        shared,
        local,
        remote,
        failed,
    };
    for (tally, expected) in [
        (tally(0, 0, 0, 0, 0), (200, true)),
        (tally(9, 0, 0, 9, 0), (130, false)),
        (tally(5, 0, 5, 0, 1), (200, true)),
        (tally(7, 3, 5, 5, 0), (110, false)),
        (tally(0, 10, 9, 1, 0), (120, false)),
        (tally(3, 7, 2, 8, 0), (60, false)),
        (tally(0, 10, 0, 10, 0), (30, false)),
    ] {
        // Without a local or shared fault there is nothing to compare.
        let silent = tally.local + tally.shared == 0;
        let expected = if silent { (200, true) } else { expected };
        assert_eq!(adapted(100, tally), expected, "{tally:?}");
    }
    assert_eq!(adapted(u64::MAX, HintTally::default()), (u64::MAX, true));
    assert_eq!(adapted(101, tally(0, 10, 0, 10, 0)).0, 101 - 7 * 11, "rounded up");
}

#[test]
fn the_period_stays_within_its_bounds() {
    let mem = world("7.3");
    let space = used(&mem);
    let balancer = Balancer::new(&space, PACE).unwrap();
    let mut now = 0;
    for _ in 0..8 {
        scan(&balancer, &mut now);
    }
    assert_eq!(balancer.stats().period, 80);
    for round in 0..12 {
        // Two tasks on two nodes use everything in turn: shared and remote.
        mem.platform().host.run_on(NodeId(round % 2));
        mem.platform().host.run_for(round.into());
        (4..12).for_each(|page| _ = reach(&space, page, Cause::Load).unwrap());
        scan(&balancer, &mut now);
    }
    assert!((5..80).contains(&balancer.stats().period), "{:?}", balancer.stats());
}

#[test]
fn facts_4_7_which_areas_are_passed_over() {
    for text in crate::rules::PRESETS {
        let mem = world::<Small>(text);
        let space = space(&mem);
        map(&space, 1, 2, RW);
        map(&space, 4, 4, RW);
        let file = Disk::default().file(&mem, 4);
        let (place, run) = (Place::At(VirtAddr::of_page(8)), file.run(0..4));
        space.map_file(place, Prot::READ, run, FileSharing::Private).unwrap();
        map(&space, 12, 1, Prot::empty());
        [1, 2, 4].into_iter().for_each(|page| _ = store(&space, page, 1).unwrap());
        [8, 9].into_iter().for_each(|page| _ = reach(&space, page, Cause::Load).unwrap());
        let balancer = Balancer::new(&space, PACE).unwrap();
        let mut now = 0;
        let scan = scan(&balancer, &mut now);
        let old = rules(text).numa_areas.name() == "large";
        assert_eq!(scan.pages, if old { 8 } else { 6 }, "{text}: {:?}", hints(&space));
        assert!(old || hints(&space) == [1, 2, 4], "{text}: {:?}", hints(&space));
        Audit::of(&mem).space(&space).check();
    }
}

/// Sequences in which a task that uses pages 4 to 7 alone scans those from 8 on, after two.
fn scans_of_unused(text: &str) -> Vec<bool> {
    let mem = world::<Small>(text);
    let space = space(&mem);
    map(&space, 4, 4, RW);
    map(&space, 9, 4, RW);
    mem.platform().host.run_for(1);
    let balancer = Balancer::new(&space, ScanPace { delay: 1, ..PACE }).unwrap();
    let (mut now, mut looked) = (0, Vec::new());
    for _ in 0..6 {
        // Pages that are touched first have no hinting faults.
        space.advise(pages(9, 4), Advice::DontNeed).unwrap();
        store(&space, 9, 1).unwrap();
        store(&space, 4, 1).unwrap();
        let before = balancer.stats().scans;
        let mut seen = false;
        while balancer.stats().scans == before {
            scan(&balancer, &mut now);
            seen |= hints(&space).contains(&9);
        }
        looked.push(seen);
    }
    looked
}

#[test]
fn facts_4_7_what_a_task_does_not_use_it_scans_no_more_and_since_6_7_all_the_same_in_turn() {
    assert_eq!(scans_of_unused("6.3"), [true; 6]);
    assert_eq!(scans_of_unused("6.4"), [true, true, false, false, false, false]);
    assert_eq!(scans_of_unused("6.7"), [true; 6], "by a scan of its own");
    assert_eq!(scans_of_unused("7.3"), [true; 6]);
}

#[test]
fn facts_4_7_a_new_area_waits_since_6_4() {
    for (text, waits) in [("6.3", false), ("6.4", true), ("7.3", true)] {
        let mem = world::<Small>(text);
        let space = space(&mem);
        map(&space, 4, 4, RW);
        store(&space, 4, 1).unwrap();
        let pace = ScanPace { delay: 30, period_max: 5, ..PACE };
        let balancer = Balancer::new(&space, pace).unwrap();
        let mut now = 0;
        scan(&balancer, &mut now);
        map(&space, 9, 4, RW);
        store(&space, 9, 1).unwrap();
        scan(&balancer, &mut now);
        assert_eq!(hints(&space).contains(&9), !waits, "{text}");
        if text == "6.4" {
            // Nobody has used it when it is old.
            continue;
        }
        let met = now;
        while !hints(&space).contains(&9) {
            scan(&balancer, &mut now);
        }
        assert!(!waits || (25..60).contains(&(now - met)), "{text}: {}", now - met);
    }
}

#[test]
fn what_is_unmapped_is_forgotten_and_what_ends_is_left_alone() {
    let mem = world("7.3");
    let space = used(&mem);
    let balancer = Balancer::new(&space, PACE).unwrap();
    let mut now = 0;
    for first in [4, 6, 8] {
        space.protect(pages(first, 1), Prot::READ).unwrap();
    }
    scan(&balancer, &mut now);
    let faults = space.shared();
    let areas = || faults.hint_faults.get().unwrap().areas();
    assert_eq!(areas(), 6);
    space.unmap(pages(4, 6)).unwrap();
    scan(&balancer, &mut now);
    scan(&balancer, &mut now);
    assert_eq!(areas(), 1);
    let scans = balancer.stats().scans;
    drop(space);
    assert_eq!(scan(&balancer, &mut now), HintScan { sequences: 1, ..HintScan::default() });
    assert_eq!((areas(), balancer.stats().scans), (0, scans + 1));
}

/// Each request for heap is denied.
#[test]
fn a_dry_heap_delays_and_loses_nothing() {
    let mut refused = 0;
    for granted in 0.. {
        let mem = world::<Small>("7.3");
        let space = space(&mem);
        for first in [1, 3, 5, 7, 9] {
            map(&space, first, 1, RW);
            store(&space, first, first).unwrap();
        }
        let (made, mut denied) =
            with_heap(Deny::After(granted), || Balancer::new(&space, PACE).ok());
        refused += u32::from(made.is_none());
        let balancer = made.unwrap_or_else(|| Balancer::new(&space, PACE).unwrap());
        assert_eq!(balancer.tick(0, SEVERAL), Ok(None));
        let left = granted.saturating_sub(1);
        let (first, now) = with_heap(Deny::After(left), || balancer.tick(10, SEVERAL));
        denied += now;
        if first.is_err() {
            refused += 1;
            Audit::of(&mem).space(&space).check();
            assert!(balancer.tick(10, SEVERAL).unwrap().is_some(), "it is due still");
        }
        assert_eq!(hints(&space), [1, 3, 5, 7, 9]);
        Audit::of(&mem).space(&space).check();
        if denied == 0 {
            break;
        }
    }
    assert!(refused > 2, "{refused}");
}

/// An address space, its balancer, and what its pages hold.
type Process<F> = (Space<F>, Balancer<Rig<F>>, BTreeMap<u64, u64>);

/// A random life of a process, its child and their tasks, which balancers watch: each page has a
/// node where it is used most.
struct Life<F: Hardware> {
    mem: Mem<F>,
    spaces: Vec<Process<F>>,
    pins: Vec<Pins<Rig<F>>>,
    nodes: u64,
    now: u64,
    seed: u64,
}

const FIRST: u64 = 4;
const PAGES: u64 = 8;

impl<F: Hardware> Life<F> {
    fn new(text: &str, nodes: u64, seed: u64) -> Self {
        let frames: Vec<u64> = (0..nodes).map(|node| if node == 0 { 60 } else { 20 }).collect();
        let tuning = Tuning { hint_filter: HintFilter::On, ..Tuning::default() };
        let mem = machine::<F>(rules(text), &frames, tuning);
        let first = space(&mem);
        map(&first, FIRST, PAGES, RW);
        let balancer = Balancer::new(&first, PACE).unwrap();
        let spaces = Vec::from([(first, balancer, BTreeMap::new())]);
        Self { mem, spaces, pins: Vec::new(), nodes, now: 0, seed }
    }

    fn next(&mut self, below: u64) -> u64 {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.seed >> 33) % below
    }

    /// The task runs on the node of its number.
    fn run_as(&self, task: u64) {
        self.mem.platform().host.run_on(NodeId((task % self.nodes) as u8));
        self.mem.platform().host.run_for(task as u32);
    }

    fn step(&mut self) {
        let who = self.next(self.spaces.len() as u64) as usize;
        let (page, value) = (FIRST + self.next(PAGES), self.next(90));
        let (what, task, crowded) = (self.next(16), self.next(6), self.spaces.len() == 3);
        self.now += 1 + self.next(4);
        self.run_as(task);
        let few = pages(page, 1);
        let (space, balancer, holds) = &mut self.spaces[who];
        match what {
            0..3 => {
                store(space, page, value).unwrap();
                holds.insert(page, value);
            }
            3..6 => _ = reach(space, page, Cause::Load).unwrap(),
            6..10 => _ = balancer.tick(self.now, SEVERAL).unwrap(),
            10 => {
                space.advise(few, Advice::DontNeed).unwrap();
                holds.remove(&page);
            }
            11 => _ = space.migrate(few, NodeId((value % self.nodes) as u8)),
            12 => _ = space.page_out(few, Reclaimer::Pressure),
            13 if self.pins.len() < 3 => {
                let access = if value < 45 { Access::Write } else { Access::Read };
                self.pins.push(space.pin(few, access, Term::Short).unwrap());
            }
            13 => self.pins.clear(),
            14 => {
                space.protect(few, Prot::READ).unwrap();
                space.protect(pages(FIRST, PAGES), RW).unwrap();
            }
            _ if !crowded => {
                let child = space.fork().unwrap();
                let balancer = Balancer::new(&child, PACE).unwrap();
                let holds = holds.clone();
                self.spaces.push((child, balancer, holds));
            }
            _ => drop(self.spaces.swap_remove(who)),
        }
    }

    fn check(&self) {
        let mut audit = Audit::of(&self.mem);
        for (space, _, holds) in &self.spaces {
            for page in FIRST..FIRST + PAGES {
                let held = holds.get(&page).copied().unwrap_or(0);
                let entry = space.entry(VirtAddr::of_page(page));
                if entry.is_mapped() {
                    assert_eq!(device_read(&self.mem, entry.pfn()), held, "page {page}");
                }
            }
            audit = audit.space(space);
        }
        for pins in &self.pins {
            audit = audit.pins(pins.pages());
        }
        audit.check();
    }

    /// One process is left, and of its pages each is used by one task: they come to its node.
    fn settle(&mut self) {
        self.pins.clear();
        self.spaces.truncate(1);
        let Some((space, balancer, _)) = self.spaces.first() else { return };
        for round in 0..60 {
            for page in FIRST..FIRST + PAGES {
                self.run_as(page);
                let cause = if round == 0 { Cause::Store } else { Cause::Load };
                reach(space, page, cause).unwrap();
                self.now += 40;
                balancer.tick(self.now, SEVERAL).unwrap();
            }
        }
        if self.mem.rules().numa_areas.name() == "accessed" {
            // What is not scanned has no hinting faults, and what has none is not scanned.
            return;
        }
        for page in FIRST..FIRST + PAGES {
            let pfn = space.entry(VirtAddr::of_page(page)).pfn();
            let node = self.mem.frames().node(pfn);
            assert_eq!(u64::from(node.0), page % self.nodes, "page {page}, {}", self.mem.rules());
        }
    }
}

fn random_lives<F: Hardware>() {
    let (mut moved, mut kept) = (0, 0);
    for text in crate::rules::PRESETS {
        for seed in 0..9 {
            let mut life = Life::<F>::new(text, 2 + seed % 3, seed);
            for _ in 0..150 {
                life.step();
                life.check();
                if life.spaces.is_empty() {
                    break;
                }
            }
            life.settle();
            life.check();
            let stats = life.mem.stats();
            moved += stats.numa_pages_migrated;
            kept += stats.numa_hint_faults - stats.numa_hint_faults_local;
            life.spaces.clear();
            life.check();
        }
    }
    assert!(moved > 50 && kept > moved, "{moved} moved of {kept}");
}

#[test]
fn random_lives_keep_their_contents_and_end_where_they_are_used_on_x86() {
    random_lives::<Small>();
}

#[test]
fn random_lives_keep_their_contents_and_end_where_they_are_used_on_riscv() {
    random_lives::<SmallRiscv64>();
}

#[test]
fn random_lives_keep_their_contents_and_end_where_they_are_used_on_aarch64() {
    random_lives::<SmallAarch64>();
}
