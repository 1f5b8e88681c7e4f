//! Copies of areas: what faults find in them, whom they wait for, and that whatever is done to a
//! space, each copy is like the map.

use std::sync::Arc;
use std::vec::Vec;

use crate::area::delegates::{NEAR, SLOTS};
use crate::space::Space as Inner;
use crate::testing::store;
use crate::testing::{Audit, Mem, Rig, Space, load, machine, map, map_shared, pages, rules, space};
use crate::{
    Advice, Cause, EventKind, Fault, FaultError, Place, Prot, Remap, Sharing, Tuning, VirtAddr,
    Vpn, X86_64,
};

const RW: Prot = Prot::READ_WRITE;

fn world(text: &str, frames: u64) -> (Mem<X86_64>, Arc<Space<X86_64>>) {
    let mem = machine(rules(text), &[frames], Tuning::default());
    let space = Arc::new(space(&mem));
    (mem, space)
}

/// Whether the calling CPU has a copy of the area with this page.
fn has(space: &Space<X86_64>, page: u64) -> bool {
    space.space().delegated(Vpn(page)).is_some()
}

impl Inner<Rig<X86_64>> {
    /// How many copies there are. Panics where one is not as INV-DELEG-1 says.
    fn audited(&self) -> usize {
        let map = self.read_map();
        let mut copies = 0;
        self.delegates.each(self.mem().platform(), |copy, mark| {
            copies += 1;
            map.all_mapped(copy.range).expect("a copy of what is not mapped");
            for area in map.overlapping(copy.range) {
                assert!(area.is_like(copy), "{} is not like its copy", area.range);
                assert!(area.delegates.get() & mark != 0, "{}", area.range);
            }
        });
        copies
    }
}

#[test]
fn an_area_is_delegated_once_it_has_held_an_anonymous_page() {
    let (mem, space) = world("pinfold", 16);
    map(&space, 16, 4, RW);
    load(&space, 16).unwrap();
    assert!(!has(&space, 16), "only the zero page is mapped there");
    store(&space, 16, 1).unwrap();
    assert!(has(&space, 19) && !has(&space, 20));
    map_shared(&space, 600, 1);
    load(&space, 600).unwrap();
    assert!(has(&space, 600), "shared memory has no anonymous pages");
    Audit::of(&mem).space(&space).check();
    for old in ["6.2", "pinfold,fault-lock=space"] {
        let (_mem, space) = world(old, 16);
        map(&space, 16, 4, RW);
        store(&space, 16, 1).unwrap();
        assert!(!has(&space, 16), "{old}");
    }
}

/// The slot has a copy, which is of another area.
#[test]
fn a_fault_finds_its_own_area_where_another_has_the_slot() {
    let (mem, space) = world("pinfold", 16);
    map(&space, 16, 1, RW);
    map(&space, 17, 1, Prot::READ);
    map(&space, 16 + NEAR * SLOTS as u64, 1, RW);
    store(&space, 16, 1).unwrap();
    let denied = space.fault(VirtAddr::of_page(17), Cause::Store);
    assert_eq!(denied, Err(FaultError::Denied(VirtAddr::of_page(17))));
    assert!(has(&space, 16));
    store(&space, 16 + NEAR * SLOTS as u64, 2).unwrap();
    assert!(!has(&space, 16), "the other one has taken the slot");
    assert_eq!(load(&space, 16), Ok(1));
    Audit::of(&mem).space(&space).check();
}

/// Each of these is in the middle of its change when the fault comes, with the lock held for
/// writing, where a fault that asked for it would wait for ever.
#[test]
fn a_fault_does_not_wait_for_the_change_of_another_area() {
    type Change = fn(&Space<X86_64>);
    let changes: [Change; 4] = [
        |space| space.unmap(pages(5000, 1)).unwrap(),
        |space| space.protect(pages(5000, 1), Prot::READ).unwrap(),
        |space| _ = space.remap(pages(5000, 1), 1, Remap::To(VirtAddr::of_page(9000))).unwrap(),
        |space| {
            _ = space.map(Place::Replace(VirtAddr::of_page(5000)), 1, RW, Sharing::Private).unwrap()
        },
    ];
    for change in changes {
        let (mem, space) = world("pinfold", 32);
        map(&space, 16, 2, RW);
        map(&space, 5000, 1, RW);
        store(&space, 16, 1).unwrap();
        store(&space, 5000, 1).unwrap();
        let other = space.clone();
        let mut faults = Vec::new();
        let (told, seen) = std::sync::mpsc::channel();
        let hook = move |event| {
            let within = matches!(
                event,
                EventKind::Zapped(_) | EventKind::Protected { .. } | EventKind::Remapped { .. }
            );
            if within {
                told.send(other.fault(VirtAddr::of_page(17), Cause::Store)).unwrap();
            }
        };
        mem.platform().interrupt(hook, || change(&space));
        faults.extend(seen);
        assert_eq!(faults.first(), Some(&Ok(Fault::FirstTouch)));
        assert_eq!((load(&space, 16), load(&space, 17)), (Ok(1), Ok(0)));
        Audit::of(&mem).space(&space).check();
    }
}

/// The other area is not recalled, and the one that is changed is.
#[test]
fn a_change_recalls_what_it_changes() {
    let (mem, space) = world("pinfold", 64);
    let far = 1 + NEAR;
    // Also where nothing is left to do for the fault.
    let both = |space: &Space<X86_64>| {
        for page in [16, far] {
            space.fault(VirtAddr::of_page(page), Cause::Store).unwrap();
        }
        assert!(has(space, 17) && has(space, far));
    };
    map(&space, 16, 4, RW);
    map(&space, far, 4, RW);
    let only_the_far_one = |space: &Space<X86_64>| {
        assert!(!has(space, 16) && !has(space, 17) && has(space, far));
        assert_eq!(space.space().audited(), 1);
    };
    both(&space);
    space.protect(pages(17, 1), Prot::READ).unwrap();
    only_the_far_one(&space);
    space.protect(pages(17, 1), RW).unwrap();
    both(&space);
    space.mlock(pages(18, 1)).unwrap();
    only_the_far_one(&space);
    space.munlock(pages(18, 1)).unwrap();
    both(&space);
    space.advise(pages(16, 1), Advice::DontFork).unwrap();
    only_the_far_one(&space);
    space.advise(pages(16, 1), Advice::DoFork).unwrap();
    both(&space);
    let child = space.fork().unwrap();
    assert!(!has(&space, 16) && !has(&space, far) && !has(&child, 16));
    both(&space);
    space.unmap(pages(19, 1)).unwrap();
    only_the_far_one(&space);
    both(&space);
    space.remap(pages(16, 3), 3, Remap::To(VirtAddr::of_page(3 * NEAR))).unwrap();
    only_the_far_one(&space);
    assert_eq!(load(&space, 3 * NEAR), Ok(0));
    Audit::of(&mem).space(&space).space(&child).check();
}

/// What grows or is merged stays delegated, as far as it was.
#[test]
fn an_area_that_grows_keeps_its_copies() {
    let (mem, space) = world("pinfold", 16);
    map(&space, 16, 1, RW);
    store(&space, 16, 1).unwrap();
    map(&space, 17, 1, RW);
    assert!(has(&space, 16) && !has(&space, 17));
    assert_eq!(space.space().audited(), 1);
    store(&space, 17, 2).unwrap();
    assert!(has(&space, 17));
    space.protect(pages(16, 1), Prot::READ).unwrap();
    assert!(!has(&space, 16) && !has(&space, 17), "the copy was of both");
    Audit::of(&mem).space(&space).check();
}

struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// One operation on pages of three tables, some of which fail.
fn act(space: &Space<X86_64>, random: &mut Random) {
    let page = 16 + random.below(12) + NEAR * random.below(3);
    let some = pages(page, 1 + random.below(4));
    let place = Place::At(some.start());
    let prot = [Prot::READ, RW][random.below(2) as usize];
    let advice = [Advice::DontNeed, Advice::DontFork, Advice::DoFork][random.below(3) as usize];
    match random.below(14) {
        0..4 => _ = store(space, page, 1),
        4 => _ = load(space, page),
        5 | 6 => _ = space.map(place, some.pages(), RW, Sharing::Private),
        7 => _ = space.map(Place::Replace(some.start()), some.pages(), prot, Sharing::Shared),
        8 => _ = space.unmap(some),
        9 => _ = space.protect(some, prot),
        10 => _ = space.advise(some, advice),
        11 if random.below(2) == 0 => _ = space.mlock(some),
        11 => _ = space.munlock(some),
        12 => {
            let to = VirtAddr::of_page(16 + random.below(12) + NEAR * random.below(3));
            _ = space.remap(some, 1 + random.below(4), Remap::To(to));
        }
        _ => drop(space.fork()),
    }
}

#[test]
fn inv_deleg_1_whatever_is_done_copies_are_like_the_map() {
    let mut copies = 0;
    for seed in 1..=8 {
        let mut random = Random(seed);
        let (mem, space) = world("pinfold", 256);
        for _ in 0..400 {
            act(&space, &mut random);
            copies += space.space().audited();
        }
        Audit::of(&mem).space(&space).check();
    }
    assert!(copies > 1000, "{copies}");
}
