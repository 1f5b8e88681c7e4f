//! How a folio and its mapping change their shape: collapse of small pages into one, split of an
//! entry that maps all pages of a folio into one for each, and split of a folio into small pages;
//! each over the bare loop.
//!
//! Of a collapse there are two rows: its bookkeeping, and all of it, with the copies of the pages
//! on both sides. The split of an entry is asked for by DONTNEED of one of its pages, which is
//! measured with it: nothing splits an entry for its own sake.

use std::sync::atomic::Ordering;

use pinfold::{Platform, PmdMapping, VirtRange};

use crate::bare::Bare;
use crate::ops;
use crate::pairs::{Pairs, timed};
use crate::world::{Contents, Order, World};

const PAGES: u64 = 4096;
/// Pages of one entry above the last level.
const HUGE: u64 = 512;
const ROUNDS: usize = 41;

pub(crate) fn run() {
    collapse("collapse into 2M folios, copies on both", Contents::Real);
    collapse("collapse into 2M folios, without copies", Contents::Skipped);
    split_entries();
    split_folios("split of 64K folios", (4, PmdMapping::Off));
    split_folios("split of 2M folios by entries", (9, PmdMapping::Off));
    split_folios("split of 2M folios", (9, PmdMapping::On));
}

/// Both copy frames of one machine, each from and to frames of its own, that nothing has touched
/// for a while; neither always comes first.
fn collapse(name: &'static str, contents: Contents) {
    let mut pairs = Pairs::without_goal(name, PAGES);
    for round in 0..ROUNDS {
        let world = small(contents);
        let (frames, machine) = (world.frames(), world.memory.platform());
        let bare = Bare::mirror(&frames);
        bare.fill(1);
        let [sources, targets] = [(); 2].map(|()| {
            let mut spare = world.spare(PAGES);
            // As the frames of a folio lie.
            spare.sort_unstable();
            spare
        });
        for (value, frame) in (1..).zip(&frames) {
            machine.word(*frame).store(value, Ordering::Relaxed);
        }
        machine.evict(&world.spare(2 * PAGES));
        let limit = || {
            let copy = |number: usize| machine.copy_frame(sources[number], targets[number]);
            let ((), time) = timed(|| bare.collapse(copy));
            assert!(bare.child_is(true));
            time
        };
        let ours = || {
            let (folios, time) = timed(|| ops::collapse(&world.space, world.range));
            assert_eq!(folios, PAGES / HUGE);
            time
        };
        if round.is_multiple_of(2) {
            let ours = ours();
            pairs.add(ours, limit());
        } else {
            let limit = limit();
            pairs.add(ours(), limit);
        }
        world.check_counts(&frames, |counts| counts.refs() == 0 && counts.maps() == 0);
        if contents == Contents::Real {
            for (value, offset) in (1..).zip(world.offsets()) {
                let copy = world.space.walk(world.address(offset)).pfn();
                assert_eq!(machine.word(copy).load(Ordering::Relaxed), value);
            }
        }
    }
    pairs.report();
}

/// Pages that are mapped one by one, and five times as many frames that are free.
fn small(contents: Contents) -> World {
    World::touched(PAGES, 6 * PAGES, contents, Order::Ascending)
}

fn split_entries() {
    let mut pairs = Pairs::without_goal("split of entries of 2M folios", PAGES);
    for _ in 0..ROUNDS {
        let world = World::of_folios(PAGES, 9, PmdMapping::On);
        let bare = Bare::mirror(&world.frames());
        let ((), limit) = timed(|| bare.split_entries());
        assert!(bare.child_is(false));
        let ((), ours) = timed(|| {
            for page in world.range.iter().step_by(HUGE as usize) {
                ops::zap(&world.space, VirtRange::new(page.start(), 1).expect("it is mapped"));
            }
        });
        assert_eq!(world.memory.stats().thp_split_pmd, PAGES / HUGE);
        pairs.add(ours, limit);
    }
    pairs.report();
}

fn split_folios(name: &'static str, (order, by): (u32, PmdMapping)) {
    let mut pairs = Pairs::without_goal(name, PAGES);
    for _ in 0..ROUNDS {
        let world = World::of_folios(PAGES, order, by);
        let frames = world.frames();
        let bare = Bare::mirror(&frames);
        bare.fill(1 << order);
        let ((), limit) = timed(|| bare.split_folios(1 << order));
        assert!(bare.has(1, 1));
        let ((), ours) = timed(|| ops::split_folios(&world.space, world.range, 1 << order));
        world.check_counts(&frames, |counts| counts.refs() == 1 && counts.maps() == 1);
        pairs.add(ours, limit);
    }
    pairs.report();
}

/// One round of collapse for an instruction counter; the folios that it makes.
pub(crate) fn once_collapse() -> u64 {
    let world = small(Contents::Skipped);
    ops::collapse(&world.space, world.range)
}

/// The same of split; the folios.
pub(crate) fn once_split() -> u64 {
    let world = World::of_folios(PAGES, 9, PmdMapping::On);
    ops::split_folios(&world.space, world.range, HUGE);
    PAGES / HUGE
}
