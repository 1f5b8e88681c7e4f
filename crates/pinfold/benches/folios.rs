//! P2 and the rows of P3 and P4 for large folios, which an entry for each page maps, or one for
//! all: pins, fork and zap, over as many small pages, and over what no implementation can leave
//! out.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

use pinfold::{PmdMapping, VirtRange};

use crate::ops;
use crate::pairs::{Goal, Pairs, timed};
use crate::world::{Contents, Order, World};

const PAGES: u64 = 16384;
const ROUNDS: usize = 41;
/// log2 of the pages of 64 KiB and 2 MiB, and how they are mapped.
const ORDERS: [(u32, PmdMapping, [&str; 4]); 3] = [
    (
        4,
        PmdMapping::Off,
        [
            "P3 fork, 64K folios over small pages",
            "zap, 64K folios over small pages",
            "pin, 64K folios over small pages",
            "unpin, 64K folios over small pages",
        ],
    ),
    (
        9,
        PmdMapping::Off,
        [
            "fork, 2M folios by entries over small pages",
            "zap, 2M folios by entries over small pages",
            "pin, 2M folios by entries over small pages",
            "unpin, 2M folios by entries over small pages",
        ],
    ),
    (
        9,
        PmdMapping::On,
        [
            "fork, 2M folios over small pages",
            "zap, 2M folios over small pages",
            "pin, 2M folios over small pages",
            "unpin, 2M folios over small pages",
        ],
    ),
];

const SHARE: Goal = Goal { must: 0.6, stretch: 0.35 };
/// What large folios must never be dearer than, where no goal is set.
const SMALL: Goal = Goal { must: 1.0, stretch: 0.6 };
const PIN: Goal = Goal { must: 4.0, stretch: 2.0 };
/// No goal of the project: what a look at each entry comes to.
const PIN_BY_ENTRIES: Goal = Goal { must: 12.0, stretch: 6.0 };

pub(crate) fn run() {
    for (order, by, names) in ORDERS {
        compare((order, by), names);
    }
    pin_of_one("P2 pin of one 2M folio", PmdMapping::On, PIN);
    pin_of_one("pin of one 2M folio by entries", PmdMapping::Off, PIN_BY_ENTRIES);
}

fn compare((order, by): (u32, PmdMapping), [fork, zap, pin, unpin]: [&'static str; 4]) {
    let (large, small) = (World::of_folios(PAGES, order, by), small());
    let goal = if order == 4 { SHARE } else { SMALL };
    let mut fork = Pairs::new(fork, PAGES, goal);
    let [mut zap, mut pin, mut unpin] =
        [zap, pin, unpin].map(|name| Pairs::new(name, PAGES, SMALL));
    for _ in 0..ROUNDS {
        let [(ours, pin_time), (theirs, small_pin_time)] =
            [&large, &small].map(|world| timed(|| ops::pin(&world.space, world.range)));
        assert_eq!((ours.pages().len(), theirs.pages().len()), (PAGES as usize, PAGES as usize));
        let [((), unpin_time), ((), small_unpin_time)] =
            [ours, theirs].map(|pins| timed(|| ops::unpin(pins)));
        let [(ours, fork_time), (theirs, small_fork_time)] =
            [&large, &small].map(|world| timed(|| ops::fork(&world.space)));
        let head = large.space.entry(large.range.start()).pfn();
        let shared = large.memory.frames().counts(head);
        assert_eq!((shared.refs(), shared.maps()), (2 << order, 2 << order));
        let [((), zap_time), ((), small_zap_time)] = [(&ours, &large), (&theirs, &small)]
            .map(|(child, world)| timed(|| ops::zap(child, world.range)));
        drop((ours, theirs));
        large.make_writable();
        small.make_writable();
        fork.add(fork_time, small_fork_time);
        zap.add(zap_time, small_zap_time);
        pin.add(pin_time, small_pin_time);
        unpin.add(unpin_time, small_unpin_time);
    }
    for rows in [fork, zap, pin, unpin] {
        rows.report();
    }
}

fn small() -> World {
    World::touched(PAGES, PAGES, Contents::Skipped, Order::Ascending)
}

/// A pin of one folio of 2 MiB, over one locked addition and a store for each page: the numbers
/// that the caller gets.
fn pin_of_one(name: &'static str, by: PmdMapping, goal: Goal) {
    const CALLS: u64 = 64;
    let world = World::of_folios(512, 9, by);
    let first = world.space.entry(world.range.start()).pfn().0;
    let (count, mut numbers) = (AtomicU64::new(0), vec![0_u64; 512]);
    let mut pairs = Pairs::new(name, CALLS * 512, goal);
    for _ in 0..ROUNDS {
        let ours = timed(|| (0..CALLS).for_each(|_| drop(black_box(pin(&world, world.range)))));
        let limit = timed(|| {
            for _ in 0..CALLS {
                count.fetch_add(512, Ordering::SeqCst);
                for (place, number) in numbers.iter_mut().enumerate() {
                    *number = first + place as u64;
                }
                black_box(&mut numbers);
                count.fetch_sub(512, Ordering::SeqCst);
            }
        });
        pairs.add(ours.1, limit.1);
    }
    pairs.report();
}

fn pin(world: &World, range: VirtRange) -> impl Sized {
    ops::pin(&world.space, range)
}
