//! P3 and P4: fork of writable pages and zap of shared ones, over the bare loops; flushes of a zap.

use pinfold::{Counts, Pfn};

use crate::bare::Bare;
use crate::ops;
use crate::pairs::{Goal, Pairs, timed};
use crate::world::{Contents, Order, World};

const PAGES: u64 = 16384;
const TABLE_PAGES: u64 = 512;
const ROUNDS: usize = 41;

const FORK: Goal = Goal { must: 2.2, stretch: 1.6 };
const ZAP: Goal = Goal { must: 1.6, stretch: 1.2 };

fn alone(counts: Counts) -> bool {
    counts.refs() == 1 && counts.maps() == 1
}

fn shared(counts: Counts) -> bool {
    counts.refs() == 2 && counts.maps() == 2 && !counts.is_exclusive()
}

pub(crate) fn run() {
    compare(["P3 fork, frames in order", "P4 zap, frames in order"], Order::Ascending);
    compare(["P3 fork, frames scattered", "P4 zap, frames scattered"], Order::Scattered);
}

fn compare([fork_name, zap_name]: [&'static str; 2], order: Order) {
    let (world, frames) = build(order);
    let mut bare = Bare::mirror(&frames);
    let mut fork = Pairs::new(fork_name, PAGES, FORK);
    let mut zap = Pairs::new(zap_name, PAGES, ZAP);
    let mut flushes = 0;
    for _ in 0..ROUNDS {
        let (child, fork_time) = timed(|| ops::fork(&world.space));
        world.check_counts(&frames, shared);
        for offset in world.offsets() {
            let (ours, theirs) =
                (world.space.entry(world.address(offset)), child.entry(world.address(offset)));
            assert!(ours.pfn() == theirs.pfn() && !ours.is_writable() && !theirs.is_writable());
        }
        let ((), bare_fork_time) = timed(|| bare.fork());
        assert!(bare.has(2, 2));
        let before = world.memory.platform().flushes();
        let ((), zap_time) = timed(|| ops::zap(&child, world.range));
        flushes = world.memory.platform().flushes() - before;
        world.check_counts(&frames, alone);
        let ((), bare_zap_time) = timed(|| bare.zap());
        assert!(bare.has(1, 1));
        drop(child);
        world.make_writable();
        bare.restore();
        fork.add(fork_time, bare_fork_time);
        zap.add(zap_time, bare_zap_time);
    }
    fork.report();
    zap.report();
    let allowed = PAGES / TABLE_PAGES + 1;
    let verdict = if flushes <= allowed { "met" } else { "MISSED" };
    println!("P4 flushes for {PAGES} pages: {flushes}; must {allowed} {verdict}");
}

fn build(order: Order) -> (World, Vec<Pfn>) {
    let world = World::touched(PAGES, PAGES, Contents::Skipped, order);
    let frames = world.frames();
    (world, frames)
}

/// One round for an instruction counter; the pages it handles.
pub(crate) fn once() -> u64 {
    let (world, _) = build(Order::Ascending);
    let child = ops::fork(&world.space);
    ops::zap(&child, world.range);
    PAGES
}
