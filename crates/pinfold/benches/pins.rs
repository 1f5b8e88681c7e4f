//! P1: the lock-free pin and the unpin, over the bare loops.

use pinfold::{Cause, Counts, Fault, PIN_BIAS, VirtRange};

use crate::bare::Bare;
use crate::ops;
use crate::pairs::{Goal, Pairs, median, timed};
use crate::world::{Contents, Order, World};

const PAGES: u64 = 4096;
/// The mapping is larger than the pinned part, so that scattered frames lie far apart.
const MAPPED: u64 = 4 * PAGES;
const ROUNDS: usize = 201;

const PIN: Goal = Goal { must: 1.6, stretch: 1.25 };
const UNPIN: Goal = Goal { must: 1.5, stretch: 1.2 };
const UNTOUCHED: Goal = Goal { must: 1.13, stretch: 1.05 };

fn pinned(counts: Counts) -> bool {
    counts.refs() == PIN_BIAS + 1 && counts.maps() == 1 && counts.is_exclusive()
}

fn unpinned(counts: Counts) -> bool {
    counts.refs() == 1 && counts.maps() == 1 && counts.is_exclusive()
}

pub(crate) fn run() {
    let ascending = ("P1 pin, frames in order", "P1 unpin, frames in order");
    compare(ascending, Order::Ascending);
    let scattered = ("P1 pin, frames scattered", "P1 unpin, frames scattered");
    compare(scattered, Order::Scattered);
    one_by_one();
    untouched();
}

/// Pins of one page each, as O_DIRECT and verbs pin, and what one of them takes.
fn one_by_one() {
    let (world, range) = build(Order::Ascending);
    let all = || {
        for page in range.iter() {
            let one = VirtRange::new(page.start(), 1).expect("a part of a good range");
            ops::unpin(ops::pin(&world.space, one));
        }
    };
    let nanos = (0..ROUNDS).map(|_| timed(all).1.as_secs_f64() * 1e9 / PAGES as f64);
    println!("pin and unpin of one page {:>24.1} ns", median(nanos));
}

/// A pin of pages that nobody has touched, over the faults alone.
fn untouched() {
    let world = World::new(PAGES, MAPPED, Contents::Skipped);
    let mut pin = Pairs::new("pin of untouched pages over their faults", PAGES, UNTOUCHED);
    for _ in 0..ROUNDS {
        let (pins, pin_time) = timed(|| ops::pin(&world.space, world.range));
        assert_eq!(pins.pages().len() as u64, PAGES);
        drop(pins);
        ops::zap(&world.space, world.range);
        let touch = || ops::fault_all(&world.space, world.range, Cause::Store, Fault::FirstTouch);
        let (touched, fault_time) = timed(touch);
        assert_eq!(touched, PAGES);
        ops::zap(&world.space, world.range);
        pin.add(pin_time, fault_time);
    }
    pin.report();
}

fn compare((pin_name, unpin_name): (&'static str, &'static str), order: Order) {
    let (world, range) = build(order);
    let frames = &world.frames()[..PAGES as usize];
    let mut bare = Bare::mirror(frames);
    let mut pin = Pairs::new(pin_name, PAGES, PIN);
    let mut unpin = Pairs::new(unpin_name, PAGES, UNPIN);
    for _ in 0..ROUNDS {
        let (pins, pin_time) = timed(|| ops::pin(&world.space, range));
        assert_eq!(pins.pages(), frames);
        world.check_counts(frames, pinned);
        let ((), bare_pin_time) = timed(|| bare.pin());
        assert!(bare.has(u64::from(PIN_BIAS) + 1, 1));
        let ((), unpin_time) = timed(|| ops::unpin(pins));
        world.check_counts(frames, unpinned);
        let ((), bare_unpin_time) = timed(|| bare.unpin());
        assert!(bare.has(1, 1));
        pin.add(pin_time, bare_pin_time);
        unpin.add(unpin_time, bare_unpin_time);
    }
    pin.report();
    unpin.report();
}

fn build(order: Order) -> (World, VirtRange) {
    let world = World::touched(MAPPED, MAPPED, Contents::Skipped, order);
    let range = VirtRange::new(world.range.start(), PAGES).expect("a part of a good range");
    (world, range)
}

/// One round for an instruction counter; the pages it handles.
pub(crate) fn once() -> u64 {
    let (world, range) = build(Order::Ascending);
    ops::unpin(ops::pin(&world.space, range));
    PAGES
}

/// The same of the pages one by one, as O_DIRECT and verbs pin.
pub(crate) fn once_each() -> u64 {
    let (world, range) = build(Order::Ascending);
    for page in range.iter() {
        let one = VirtRange::new(page.start(), 1).expect("a part of a good range");
        ops::unpin(ops::pin(&world.space, one));
    }
    PAGES
}
