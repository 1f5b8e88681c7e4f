//! What a slot remembers, for how long, and which list a page comes back to.

use crate::frame::{List, Sizes, Used};
use crate::swap::Shadow;
use crate::testing::{Audit, Disk, Mem, Space, load, machine, map, pages, rules, space, store};
use crate::workingset::COST_OF_IO;
use crate::{
    Access, Advice, Entry, FaultError, ListSizes, NodeId, Pfn, Prot, Reclaimer, Stats, StoreError,
    SwapError, SwapId, SwapWrites, Tuning, VirtAddr, X86_64, lab,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};
use std::boxed::Box;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::vec::Vec;

const NODE: NodeId = NodeId(0);
const FIRST: u64 = 16;

/// A machine with batches of so many and a device with so many slots, and an address space with
/// pages from [`FIRST`] on.
fn world(batch: u32, slots: u64) -> (Mem<X86_64>, Space<X86_64>, Disk, SwapId) {
    let mem = machine(rules("pinfold"), &[96], Tuning { lru_batch: batch, ..Tuning::default() });
    let disk = Disk::default();
    let id = mem.swap_on(Box::new(disk.clone()), slots, SwapWrites::Any).unwrap();
    let space = space(&mem);
    map(&space, FIRST, 40, Prot::READ_WRITE);
    (mem, space, disk, id)
}

fn frame(space: &Space<X86_64>, page: u64) -> Option<Pfn> {
    space.entry(VirtAddr::of_page(page)).counted()
}

/// Puts a page on the list of those in use, as reclaim does.
fn keep_in_use(mem: &Mem<X86_64>, space: &Space<X86_64>, page: u64) {
    let chosen = mem.isolate(frame(space, page).unwrap(), Sizes::Small).unwrap();
    chosen.put_back_to(List::Active);
}

/// Has a page leave.
fn out(space: &Space<X86_64>, page: u64) {
    assert_eq!(space.page_out(pages(page, 1), Reclaimer::Pressure).freed, 1);
}

/// How many refaults there were, and how many of them came back as in use, as before.
fn refaults(mem: &Mem<X86_64>) -> (u64, u64, u64) {
    let Stats {
        workingset_refault_anon, workingset_activate_anon, workingset_restore_anon, ..
    } = mem.stats();
    (workingset_refault_anon, workingset_activate_anon, workingset_restore_anon)
}

fn sizes(active: u64, inactive: u64) -> ListSizes {
    ListSizes { active, inactive, ..ListSizes::default() }
}

#[test]
fn a_shadow_is_what_it_was_made_of_and_measures_across_a_wrap() {
    let most = u64::MAX >> 9;
    for age in [0, 1, 700, most - 1, most, most + 1, u64::MAX - 1, u64::MAX] {
        for (node, used) in [(0, Used::Never), (1, Used::Before), (255, Used::Never)] {
            let shadow = Shadow::new(NodeId(node), age, used);
            assert_eq!((shadow.node(), shadow.used()), (NodeId(node), used));
            for later in [0, 1, 2, 4_000_000_000, most] {
                assert_eq!(shadow.distance(age.wrapping_add(later)), later, "{age} {later}");
            }
        }
    }
}

#[test]
fn who_is_soon_back_comes_to_those_in_use_by_way_of_a_batch() {
    let (mem, space, _, _) = world(3, 16);
    for page in FIRST..FIRST + 3 {
        store(&space, page, page).unwrap();
    }
    keep_in_use(&mem, &space, FIRST + 2);
    out(&space, FIRST);
    assert_eq!(load(&space, FIRST), Ok(FIRST));
    assert_eq!(refaults(&mem), (1, 1, 0), "one page left, itself, and one is in use");
    let refs = mem.frames().counts(frame(&space, FIRST).unwrap()).refs();
    // The entry's, the swap cache's where its slot is kept, the batch's.
    assert!(refs >= 2 && mem.list_sizes(NODE) == sizes(1, 1), "it waits in a batch: {refs}");
    mem.lru_add_drain();
    assert_eq!(mem.list_sizes(NODE), sizes(2, 1));
    Audit::of(&mem).space(&space).check();
}

#[test]
fn who_was_away_for_longer_than_those_in_use_are_many_comes_to_the_others() {
    let (mem, space, _, _) = world(1, 16);
    for page in FIRST..FIRST + 4 {
        store(&space, page, page).unwrap();
    }
    keep_in_use(&mem, &space, FIRST + 3);
    out(&space, FIRST);
    out(&space, FIRST + 1);
    assert_eq!(load(&space, FIRST), Ok(FIRST), "two have left, and one is in use");
    assert_eq!((refaults(&mem), mem.list_sizes(NODE)), ((1, 0, 0), sizes(1, 2)));
    // What comes to be in use makes the others older, too.
    out(&space, FIRST + 2);
    mem.age_by_use(frame(&space, FIRST).unwrap());
    load(&space, FIRST + 2).unwrap();
    assert_eq!(refaults(&mem), (2, 0, 0));
    Audit::of(&mem).space(&space).check();
}

#[test]
fn what_was_in_use_before_is_remembered() {
    let (mem, space, _, _) = world(1, 64);
    for page in FIRST..FIRST + 4 {
        store(&space, page, page).unwrap();
        keep_in_use(&mem, &space, page);
    }
    // All of them were used; one half goes to those that are not.
    assert_eq!(mem.reclaim(NODE, 1).freed, 1);
    let gone = (FIRST..FIRST + 4).find(|page| frame(&space, *page).is_none()).unwrap();
    for page in (FIRST..FIRST + 4).filter(|page| *page != gone) {
        keep_in_use(&mem, &space, page);
    }
    let anon = || mem.frames().costs(NODE, u64::MAX)[0];
    let before = anon();
    load(&space, gone).unwrap();
    assert_eq!(refaults(&mem), (1, 1, 1));
    assert_eq!(anon(), before + COST_OF_IO, "it was taken from those in use");
    // It still is when the page leaves from the list of those in use, in its next life.
    out(&space, gone);
    load(&space, gone).unwrap();
    assert_eq!(refaults(&mem), (2, 2, 2));
    Audit::of(&mem).space(&space).check();
}

/// Facts 7.2: those in use may be the wrong ones.
#[test]
fn one_that_came_back_as_in_use_has_others_lose_that_once() {
    let (mem, space, _, _) = world(1, 64);
    for page in FIRST..FIRST + 12 {
        store(&space, page, page).unwrap();
    }
    keep_in_use(&mem, &space, FIRST + 10);
    keep_in_use(&mem, &space, FIRST + 11);
    let deactivated = || {
        // Nothing has used those that leave next.
        space.advise(pages(FIRST, 10), Advice::Cold).unwrap();
        let before = mem.stats().pgdeactivate;
        assert_eq!(mem.reclaim(NODE, 1).freed, 1);
        mem.stats().pgdeactivate - before
    };
    assert_eq!(deactivated(), 0, "the list of the others is the longer one");
    let gone = (FIRST..FIRST + 10).find(|page| frame(&space, *page).is_none()).unwrap();
    load(&space, gone).unwrap();
    assert_eq!(refaults(&mem), (1, 1, 0));
    keep_in_use(&mem, &space, gone);
    // The advice has the one that came back go, too: two are left in use.
    assert_eq!(deactivated(), 2);
    keep_in_use(&mem, &space, FIRST + 11);
    assert_eq!((deactivated(), mem.list_sizes(NODE).active), (0, 1));
    Audit::of(&mem).space(&space).check();
}

/// INV-SWAP-7.
#[test]
fn a_slot_that_was_freed_or_taken_anew_remembers_nothing() {
    let (mem, space, disk, id) = world(1, 1);
    let shadow = || {
        let table = mem.swaps().table().unwrap();
        table.slots(id).shadow(0)
    };
    store(&space, FIRST, 1).unwrap();
    store(&space, FIRST + 1, 2).unwrap();
    out(&space, FIRST);
    assert!(shadow().is_some());
    space.advise(pages(FIRST, 1), Advice::DontNeed).unwrap();
    assert_eq!(shadow(), None, "freed");
    // The next page stays in the swap cache, as somebody refers to it.
    let held = space.get(pages(FIRST + 1, 1), Access::Read).unwrap();
    assert_eq!(space.page_out(pages(FIRST + 1, 1), Reclaimer::Pressure).freed, 0);
    assert_eq!((shadow(), mem.swap_usage(id).unwrap().cached), (None, 1));
    assert_eq!(load(&space, FIRST + 1), Ok(2));
    drop(held);
    assert_eq!((disk.written().len(), refaults(&mem)), (1, (0, 0, 0)), "it was in memory");
    // It leaves, and is there again.
    out(&space, FIRST + 1);
    assert!(shadow().is_some());
    load(&space, FIRST + 1).unwrap();
    assert_eq!((shadow(), refaults(&mem).0), (None, 1));
    Audit::of(&mem).space(&space).check();
}

#[test]
fn a_slot_that_several_entries_name_is_measured_once() {
    let (mem, space, _, _) = world(1, 8);
    store(&space, FIRST, 1).unwrap();
    let child = space.fork().unwrap();
    out(&space, FIRST);
    assert_eq!((load(&space, FIRST), load(&child, FIRST)), (Ok(1), Ok(1)));
    assert_eq!(refaults(&mem).0, 1, "the other found it in memory");
    Audit::of(&mem).space(&space).space(&child).check();
}

/// INV-REFAULT-2.
#[test]
fn a_read_that_fails_measures_nothing_and_forgets_nothing() {
    let (mem, space, disk, _) = world(1, 8);
    store(&space, FIRST, 1).unwrap();
    store(&space, FIRST + 1, 2).unwrap();
    keep_in_use(&mem, &space, FIRST + 1);
    out(&space, FIRST);
    disk.fail(Some(StoreError::Io));
    for _ in 0..3 {
        let at = VirtAddr::of_page(FIRST);
        assert_eq!(load(&space, FIRST), Err(FaultError::Store(at, StoreError::Io)));
        assert_eq!(refaults(&mem), (0, 0, 0));
    }
    disk.fail(None);
    assert_eq!((load(&space, FIRST), refaults(&mem)), (Ok(1), (1, 1, 0)));
    Audit::of(&mem).space(&space).check();
}

#[test]
fn a_device_that_is_taken_away_takes_its_shadows_along() {
    let (mem, space, disk, id) = world(1, 8);
    store(&space, FIRST, 1).unwrap();
    store(&space, FIRST + 1, 2).unwrap();
    keep_in_use(&mem, &space, FIRST + 1);
    out(&space, FIRST);
    assert_eq!(mem.swap_off(id), Err(SwapError::InUse { slots: 1 }));
    assert_eq!(space.swap_in(id), Ok(1));
    assert_eq!(refaults(&mem), (1, 0, 0), "nothing in use can leave any more");
    assert_eq!(mem.swap_off(id), Ok(()));
    let id = mem.swap_on(Box::new(disk.clone()), 8, SwapWrites::Any).unwrap();
    let table = mem.swaps().table().unwrap();
    assert!((0..8).all(|slot| table.slots(id).shadow(slot).is_none()));
    Audit::of(&mem).space(&space).check();
}

#[test]
fn where_swap_is_full_those_in_use_are_no_rivals() {
    for (slots, activated) in [(2, 1), (1, 0)] {
        let (mem, space, _, _) = world(1, slots);
        store(&space, FIRST, 1).unwrap();
        store(&space, FIRST + 1, 2).unwrap();
        keep_in_use(&mem, &space, FIRST + 1);
        out(&space, FIRST);
        load(&space, FIRST).unwrap();
        assert_eq!(refaults(&mem), (1, activated, 0), "{slots} slots");
        Audit::of(&mem).space(&space).check();
    }
}

#[test]
fn without_lists_there_are_no_shadows() {
    let (mem, space, _, id) = world(0, 8);
    store(&space, FIRST, 1).unwrap();
    out(&space, FIRST);
    assert_eq!(mem.swaps().table().unwrap().slots(id).shadow(0), None);
    assert_eq!((load(&space, FIRST), refaults(&mem)), (Ok(1), (0, 0, 0)));
}

#[test]
fn a_page_that_moves_or_is_put_back_keeps_its_list() {
    let tuning = Tuning { lru_batch: 1, ..Tuning::default() };
    let mem: Mem<X86_64> = machine(rules("pinfold"), &[48, 48], tuning);
    let space = space(&mem);
    map(&space, FIRST, 2, Prot::READ_WRITE);
    for page in FIRST..FIRST + 2 {
        store(&space, page, page).unwrap();
    }
    keep_in_use(&mem, &space, FIRST);
    drop(mem.isolate(frame(&space, FIRST).unwrap(), Sizes::Small).unwrap());
    assert_eq!(mem.list_sizes(NODE), sizes(1, 1));
    assert_eq!(space.migrate(pages(FIRST, 2), NodeId(1)).moved, 2);
    assert_eq!((mem.list_sizes(NODE), mem.list_sizes(NodeId(1))), (sizes(0, 0), sizes(1, 1)));
    Audit::of(&mem).space(&space).check();
}

/// A step of the property.
#[derive(Clone, Copy, Debug)]
enum Step {
    Store(u64),
    Load(u64),
    Cool(u64),
    Use(u64),
    Drop(u64),
    Lock(u64),
    Unlock(u64),
    Reclaim,
    PageOut(u64),
    Fork,
    Exit,
    Fails(Device),
}

const PAGES: u64 = 8;

fn step() -> impl Strategy<Value = Step> {
    let page = || FIRST..FIRST + PAGES;
    let seldom: Vec<fn(u64) -> Step> =
        [Step::Drop, Step::Lock, Step::Unlock, Step::Unlock].to_vec();
    prop_oneof![
        6 => page().prop_map(Step::Store),
        8 => page().prop_map(Step::Load),
        1 => page().prop_map(Step::Cool),
        8 => page().prop_map(Step::Use),
        4 => (page(), select(seldom)).prop_map(|(page, step)| step(page)),
        4 => Just(Step::Reclaim),
        8 => page().prop_map(Step::PageOut),
        1 => Just(Step::Fork),
        1 => Just(Step::Exit),
        1 => select(std::vec![Device::Works, Device::Works, Device::Fails]).prop_map(Step::Fails),
    ]
}

/// The oracle: it knows of ages only what was counted, and which slots' pages left memory when.
struct Oracle<'a> {
    mem: &'a Mem<X86_64>,
    /// The node's age when the page left, of each slot that has none in memory.
    left: BTreeMap<u64, u64>,
}

impl Oracle<'_> {
    fn age(&self) -> u64 {
        let stats = self.mem.stats();
        stats.pgsteal_anon + stats.pgactivate + stats.workingset_activate_anon
    }

    /// Looks which pages are on the device alone now, of which one more may have left memory, as
    /// the last thing that was done.
    fn look(&mut self) {
        let mut away = Vec::new();
        lab::swap_slots(self.mem, |slot| {
            if slot.page.is_none() {
                away.push(slot.slot);
            }
        });
        self.left.retain(|slot, _| away.contains(slot));
        let age = self.age();
        let new: Vec<_> = away.iter().filter(|slot| !self.left.contains_key(slot)).collect();
        assert!(new.len() <= 1);
        self.left.extend(new.into_iter().map(|slot| (*slot, age - 1)));
    }

    /// Has a fault happen, which fails only if the device does, and never for a page of zeros,
    /// which is not read; how many refaults were foretold, and how many of them as in use.
    fn fault(&self, slot: Option<u64>, device: Device, fault: impl FnOnce() -> bool) -> (u64, u64) {
        let (old, active) = (refaults(self.mem), self.mem.list_sizes(NODE).active);
        let left = slot.and_then(|slot| self.left.get(&slot));
        let away = left.map(|left| self.age() - left);
        let zeros = self.mem.stats().swpin_zero;
        let done = fault();
        let new = refaults(self.mem);
        let unread = away.is_none() || self.mem.stats().swpin_zero > zeros;
        assert_eq!(done, unread || device == Device::Works);
        let foretold = match away {
            Some(away) if done => (1, u64::from(away <= active)),
            _ => (0, 0),
        };
        assert_eq!((new.0 - old.0, new.1 - old.1), foretold);
        foretold
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Device {
    Works,
    Fails,
}

fn slot(space: &Space<X86_64>, page: u64) -> Option<u64> {
    match space.entry(VirtAddr::of_page(page)).decode() {
        Entry::Swap(entry) => Some(entry.slot),
        _ => None,
    }
}

/// A page that comes back is counted, and comes to those in use, if and only if it left memory, and
/// that no longer ago than those in use are many; whatever else happened to it and its slot.
#[test]
fn random_lives_are_measured_as_they_were() {
    let (measured, activated) = (Cell::new(0), Cell::new(0));
    let config = Config { cases: 300, failure_persistence: None, ..Config::default() };
    let run = TestRunner::new(config).run(&vec(step(), 1..120), |steps| {
        let (refaults, active) = life(&steps);
        measured.set(measured.get() + refaults);
        activated.set(activated.get() + active);
        Ok(())
    });
    if let Err(failure) = run {
        panic!("{failure}");
    }
    let (measured, activated) = (measured.get(), activated.get());
    std::println!("{measured} refaults were foretold, {activated} of them to those in use");
    assert!(activated > 100 && measured > activated + 100, "{measured} {activated}");
}

/// Lives one life; how many refaults were foretold, and how many of them as in use.
fn life(steps: &[Step]) -> (u64, u64) {
    let (mem, space, disk, _) = world(1, 64);
    let mut oracle = Oracle { mem: &mem, left: BTreeMap::new() };
    for page in FIRST..FIRST + PAGES {
        store(&space, page, page).unwrap();
    }
    let (mut children, mut foretold, mut device) = (Vec::new(), (0, 0), Device::Works);
    for step in steps {
        match *step {
            Step::Store(page) | Step::Load(page) => {
                let (measured, activated) =
                    oracle.fault(slot(&space, page), device, || match *step {
                        Step::Store(_) => store(&space, page, page).is_ok(),
                        _ => load(&space, page).is_ok(),
                    });
                foretold = (foretold.0 + measured, foretold.1 + activated);
            }
            // What is locked may refuse advice.
            Step::Cool(page) => drop(space.advise(pages(page, 1), Advice::Cold)),
            Step::Use(page) => {
                let chosen = frame(&space, page).and_then(|pfn| mem.isolate(pfn, Sizes::Small));
                chosen.into_iter().for_each(|page| page.put_back_to(List::Active));
            }
            Step::Lock(page) => {
                let locks = || space.mlock(pages(page, 1)).is_ok();
                let (measured, activated) = oracle.fault(slot(&space, page), device, locks);
                foretold = (foretold.0 + measured, foretold.1 + activated);
            }
            Step::Unlock(page) => space.munlock(pages(page, 1)).unwrap(),
            Step::Drop(page) => drop(space.advise(pages(page, 1), Advice::DontNeed)),
            Step::Reclaim => drop(mem.reclaim(NODE, 1)),
            Step::PageOut(page) => drop(space.page_out(pages(page, 1), Reclaimer::Pressure)),
            Step::Fork => children.extend(space.fork()),
            Step::Exit => drop(children.pop()),
            Step::Fails(now) => {
                device = now;
                disk.fail((now == Device::Fails).then_some(StoreError::Io));
            }
        }
        oracle.look();
    }
    let audit = Audit::of(&mem).space(&space);
    children.iter().fold(audit, |audit, child| audit.space(child)).check();
    foretold
}

/// Facts 7.2: what is written costs its kind, and what comes back only if it was in use.
#[test]
fn what_is_written_costs_and_what_was_used_but_once_comes_back_for_nothing() {
    let (mem, space, _, _) = world(1, 64);
    let anon = || mem.frames().costs(NODE, u64::MAX)[0];
    store(&space, FIRST, 1).unwrap();
    out(&space, FIRST);
    assert_eq!(anon(), COST_OF_IO);
    load(&space, FIRST).unwrap();
    assert_eq!((refaults(&mem).0, anon()), (1, COST_OF_IO));
    out(&space, FIRST);
    assert_eq!(anon(), COST_OF_IO, "it was clean");
    Audit::of(&mem).space(&space).check();
}
