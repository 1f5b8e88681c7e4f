//! What a merger finds, how it goes on, and random lives with an oracle. What is done to one page
//! is tested beside [`crate::merge`].

use std::collections::BTreeMap;
use std::vec::Vec;

use super::*;
use crate::heap::{Deny, with_heap};
use crate::testing::{
    Audit, Hardware, Mem, Rig, Space, load, machine, map, pages, rules, space, store,
};
use crate::{
    Access, Advice, Pins, Prot, Reclaimer, Rules, Small, SmallAarch64, SmallRiscv64, Term, Tuning,
    VirtAddr,
};

const RW: Prot = Prot::READ_WRITE;

fn merger<F: Hardware>(spaces: &[&Space<F>]) -> Merger<Rig<F>> {
    let merger = Merger::new(spaces[0].memory());
    spaces.iter().for_each(|space| merger.add(space).unwrap());
    merger
}

/// A whole pass; how many pages it merged.
fn pass<F: Hardware>(merger: &Merger<Rig<F>>) -> u64 {
    let scanned = merger.scan(1000).unwrap();
    assert_eq!(scanned.passes, 1);
    scanned.merged
}

/// An address space with pages of these values from page 4 on, which may be merged.
fn holding<F: Hardware>(mem: &Mem<F>, values: &[u64]) -> Space<F> {
    let space = space(mem);
    let range = map(&space, 4, values.len() as u64, RW);
    for (page, value) in (4..).zip(values) {
        store(&space, page, *value).unwrap();
    }
    space.advise(range, Advice::Merge).unwrap();
    space
}

fn world<F: Hardware>(text: &str) -> Mem<F> {
    machine(rules(text), &[40, 8], Tuning::default())
}

fn equal_pages_share_a_frame<F: Hardware>() {
    for text in crate::rules::PRESETS {
        let mem = world::<F>(text);
        let a = holding(&mem, &[7, 8, 7, 9]);
        let b = holding(&mem, &[9, 7]);
        let free = mem.frames().total_free();
        let merger = merger(&[&a, &b]);
        assert_eq!(pass(&merger), 0, "{text}: nothing is known yet");
        assert_eq!(merger.stats().pages_volatile, 6, "{text}");
        pass(&merger);
        let stats = merger.stats();
        let wanted = MergerStats {
            pages_shared: 2,
            pages_sharing: 3,
            pages_unshared: 1,
            pages_volatile: 0,
            full_scans: 2,
            ksm_zero_pages: 0,
        };
        assert_eq!(stats, wanted, "{text}");
        assert_eq!(mem.frames().total_free(), free + 3, "{text}");
        let read = |space: &Space<F>, count: u64| -> Vec<u64> {
            (4..4 + count).map(|page| load(space, page).unwrap()).collect()
        };
        assert_eq!((read(&a, 4), read(&b, 2)), ([7, 8, 7, 9].into(), [9, 7].into()), "{text}");
        Audit::of(&mem).space(&a).space(&b).check();
        // A new one joins at once: what it equals does not change.
        store(&a, 5, 9).unwrap();
        assert_eq!(pass(&merger), 1, "{text}");
        assert_eq!((merger.stats().pages_sharing, mem.stats().cow_ksm), (4, 0), "{text}");
        store(&b, 5, 1).unwrap();
        assert_eq!((load(&b, 5), load(&a, 4), load(&a, 6)), (Ok(1), Ok(7), Ok(7)), "{text}");
        assert_eq!((merger.stats().pages_sharing, mem.stats().cow_ksm), (3, 1), "{text}");
        Audit::of(&mem).space(&a).space(&b).check();
        drop((a, b));
        assert_eq!(merger.stats().pages_shared, 0, "{text}");
        pass(&merger);
        assert_eq!(pass(&merger), 0, "{text}: nobody is left");
        Audit::of(&mem).check();
    }
}

#[test]
fn equal_pages_share_a_frame_on_x86() {
    equal_pages_share_a_frame::<Small>();
}

#[test]
fn equal_pages_share_a_frame_on_aarch64() {
    equal_pages_share_a_frame::<SmallAarch64>();
}

#[test]
fn equal_pages_share_a_frame_on_riscv() {
    equal_pages_share_a_frame::<SmallRiscv64>();
}

#[test]
fn a_page_that_changes_is_left_alone() {
    let mem = world::<Small>("linux-7.3");
    let a = holding(&mem, &[1, 2]);
    let merger = merger(&[&a]);
    for value in 3..8 {
        pass(&merger);
        store(&a, 4, value).unwrap();
        store(&a, 5, value).unwrap();
    }
    assert_eq!((merger.stats().pages_volatile, merger.stats().pages_shared), (2, 0));
    pass(&merger);
    assert_eq!(pass(&merger), 1);
    Audit::of(&mem).space(&a).check();
}

#[test]
fn a_scan_goes_on_where_the_last_one_ended() {
    let mem = world::<Small>("linux-7.3");
    let a = holding(&mem, &[1, 2, 1]);
    let b = holding(&mem, &[2]);
    let merger = merger(&[&a, &b]);
    let mut ends = Vec::new();
    for _ in 0..6 {
        ends.push(merger.scan(2).unwrap().passes);
    }
    assert_eq!(ends, [0, 0, 1, 0, 0, 1]);
    assert_eq!(merger.scan(0).unwrap(), Scanned::default());
    assert_eq!((merger.stats().pages_shared, merger.stats().pages_sharing), (2, 2));
}

#[test]
fn only_what_is_advised_so_is_merged() {
    let mem = world::<Small>("linux-7.3");
    let a = holding(&mem, &[1, 1, 1]);
    a.advise(pages(5, 1), Advice::Unmerge).unwrap();
    let shared = crate::testing::map_shared(&a, 9, 2);
    for page in 9..11 {
        store(&a, page, 1).unwrap();
    }
    a.advise(shared, Advice::Merge).unwrap();
    let merger = merger(&[&a]);
    pass(&merger);
    assert_eq!((pass(&merger), merger.stats().pages_sharing), (1, 1));
    Audit::of(&mem).space(&a).check();
}

#[test]
fn zeros_become_the_zero_page_where_tuning_says_so() {
    for (use_zero_pages, zeros, shared) in [(ZeroPages::Off, 0, 1), (ZeroPages::On, 2, 0)] {
        let tuning = Tuning { use_zero_pages, ..Tuning::default() };
        let mem = machine::<Small>(Rules::default(), &[48], tuning);
        let a = holding(&mem, &[0, 0, 3]);
        let merger = merger(&[&a]);
        // The third pass has nothing to look at where the zero page is.
        for _ in 0..3 {
            pass(&merger);
        }
        let stats = merger.stats();
        assert_eq!((stats.ksm_zero_pages, stats.pages_shared), (zeros, shared));
        assert_eq!(a.entry(VirtAddr::of_page(4)).is_special(), zeros > 0);
        Audit::of(&mem).space(&a).check();
        store(&a, 4, 5).unwrap();
        assert_eq!((load(&a, 4), load(&a, 5)), (Ok(5), Ok(0)));
        assert_eq!(merger.stats().ksm_zero_pages, zeros.saturating_sub(1));
        Audit::of(&mem).space(&a).check();
    }
}

#[test]
fn all_is_undone_at_once_and_merged_again() {
    let mem = world::<Small>("linux-7.3");
    let (a, b) = (holding(&mem, &[1, 2]), holding(&mem, &[2, 1]));
    let merger = merger(&[&a, &b]);
    pass(&merger);
    pass(&merger);
    let free = mem.frames().total_free();
    merger.unmerge().unwrap();
    assert_eq!(mem.frames().total_free(), free - 2);
    assert_eq!(merger.stats(), MergerStats { full_scans: 2, ..MergerStats::default() });
    Audit::of(&mem).space(&a).space(&b).check();
    pass(&merger);
    pass(&merger);
    assert_eq!(merger.stats().pages_sharing, 2);
    // An exit leaves no table to look at.
    drop(b);
    merger.unmerge().unwrap();
    assert_eq!((merger.stats().pages_shared, merger.stats().ksm_zero_pages), (0, 0));
    Audit::of(&mem).space(&a).check();
}

#[test]
fn two_mergers_have_nothing_in_common() {
    let mem = world::<Small>("linux-7.3");
    let (a, b) = (holding(&mem, &[1, 1]), holding(&mem, &[1, 1]));
    let (of_a, of_b) = (merger(&[&a]), merger(&[&b]));
    for _ in 0..3 {
        pass(&of_a);
        pass(&of_b);
    }
    assert_eq!((of_a.stats().pages_sharing, of_b.stats().pages_sharing), (1, 1));
    assert_ne!(load(&a, 4).and(Ok(a.entry(VirtAddr::of_page(4)).pfn())), {
        Ok(b.entry(VirtAddr::of_page(4)).pfn())
    });
    Audit::of(&mem).space(&a).space(&b).check();
}

/// Each request for heap of two passes is denied.
#[test]
fn a_dry_heap_delays_and_loses_nothing() {
    let mut refused = 0;
    for granted in 0.. {
        let mem = world::<Small>("linux-7.3");
        let (a, b) = (holding(&mem, &[1, 2, 3]), holding(&mem, &[3, 2, 1]));
        let merger = merger(&[&a, &b]);
        let (mut passes, mut denied) = (0, 0);
        while passes < 2 {
            let (scanned, now) = with_heap(Deny::After(granted), || merger.scan(2));
            passes += scanned.map_or(0, |scanned| scanned.passes);
            refused += u64::from(scanned.is_err());
            denied += now;
            Audit::of(&mem).space(&a).space(&b).check();
            if scanned.is_err() {
                passes += merger.scan(2).unwrap().passes;
            }
        }
        assert_eq!(merger.stats().pages_sharing, 3);
        if denied == 0 {
            break;
        }
    }
    assert!(refused > 3, "{refused}");
}

#[test]
fn without_a_frame_undoing_fails_and_goes_on_later() {
    for text in crate::rules::PRESETS {
        let mem = world::<Small>(text);
        let a = holding(&mem, &[1, 1, 1]);
        let merger = merger(&[&a]);
        pass(&merger);
        pass(&merger);
        let near = crate::Placement::Prefer(crate::NodeId(0));
        let taken: Vec<_> = core::iter::from_fn(|| mem.frames().take(near).ok()).skip(1).collect();
        assert_eq!(merger.unmerge(), Err(SpaceError::OutOfFrames), "{text}");
        let undone = a.advise(pages(4, 3), Advice::Unmerge);
        assert_eq!(undone, Err(SpaceError::OutOfFrames), "{text}");
        assert_eq!((4..7).map(|page| load(&a, page)).collect::<Vec<_>>(), [Ok(1); 3], "{text}");
        drop(taken);
        a.advise(pages(4, 3), Advice::Unmerge).unwrap();
        assert_eq!(merger.stats().pages_shared, 0, "{text}");
        Audit::of(&mem).space(&a).check();
    }
}

/// A random life of up to three address spaces.
struct Life<F: Hardware> {
    mem: Mem<F>,
    spaces: Vec<(Space<F>, BTreeMap<u64, u64>)>,
    pins: Vec<Pins<Rig<F>>>,
    merger: Merger<Rig<F>>,
    seed: u64,
}

impl<F: Hardware> Life<F> {
    fn next(&mut self, below: u64) -> u64 {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.seed >> 33) % below
    }

    fn step(&mut self) {
        let who = self.next(self.spaces.len() as u64) as usize;
        let (page, value) = (4 + self.next(6), self.next(3));
        let few = pages(page, 1 + self.next(2));
        let (what, crowded) = (self.next(16), self.spaces.len() == 3);
        let (space, holds) = &mut self.spaces[who];
        match what {
            0..4 => {
                store(space, page, value).unwrap();
                holds.insert(page, value);
            }
            4..9 => _ = self.merger.scan(8).unwrap(),
            9 => {
                space.advise(few, Advice::DontNeed).unwrap();
                holds.retain(|page, _| !few.contains(VirtAddr::of_page(*page)));
            }
            10 => space.advise(few, Advice::Unmerge).unwrap(),
            11 => space.advise(pages(4, 7), Advice::Merge).unwrap(),
            12 => _ = space.migrate(few, crate::NodeId(1)),
            13 => _ = space.page_out(few, Reclaimer::Pressure),
            14 if self.pins.len() < 3 => {
                let access = if value == 0 { Access::Write } else { Access::Read };
                self.pins.push(space.pin(few, access, Term::Short).unwrap());
            }
            14 => self.pins.clear(),
            _ if !crowded => {
                // Pinned pages are copied for the child or not; what they hold is the same.
                let born = (space.fork().unwrap(), holds.clone());
                self.merger.add(&born.0).unwrap();
                self.spaces.push(born);
            }
            _ => drop(self.spaces.swap_remove(who)),
        }
    }

    fn check(&self) {
        let mut audit = Audit::of(&self.mem);
        for (space, holds) in &self.spaces {
            for page in 4..11 {
                let held = holds.get(&page).copied().unwrap_or(0);
                let entry = space.entry(VirtAddr::of_page(page));
                if entry.is_mapped() {
                    let seen = crate::testing::device_read(&self.mem, entry.pfn());
                    assert_eq!(seen, held, "page {page}");
                }
            }
            audit = audit.space(space);
        }
        for pins in &self.pins {
            audit = audit.pins(pins.pages());
        }
        audit.check();
    }
}

fn random_lives<F: Hardware>() {
    let (mut merged, mut copied) = (0, 0);
    for text in crate::rules::PRESETS {
        for seed in 0..12 {
            let mem = machine::<F>(rules(text), &[60, 40], Tuning::default());
            let first = space(&mem);
            let range = map(&first, 4, 7, RW);
            first.advise(range, Advice::Merge).unwrap();
            let merger = merger(&[&first]);
            let spaces = Vec::from([(first, BTreeMap::new())]);
            let mut life = Life { mem, spaces, pins: Vec::new(), merger, seed };
            for _ in 0..120 {
                life.step();
                life.check();
                if life.spaces.is_empty() {
                    break;
                }
            }
            merged += life.merger.stats().pages_sharing;
            copied += life.mem.stats().cow_ksm;
            life.spaces.clear();
            life.pins.clear();
            life.check();
        }
    }
    assert!(merged > 50 && copied > 50, "{merged} merged, {copied} copied");
}

#[test]
fn random_lives_keep_their_contents_on_x86() {
    random_lives::<Small>();
}

#[test]
fn random_lives_keep_their_contents_on_riscv() {
    random_lives::<SmallRiscv64>();
}
