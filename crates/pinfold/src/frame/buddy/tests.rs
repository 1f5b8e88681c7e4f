use std::collections::{BTreeMap, BTreeSet};
use std::vec::Vec;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::*;
use crate::MemoryMapError;
use crate::addr::NodeId;
use crate::frame::zones::{HIGH, LOW};
use crate::frame::{FrameSetup, Frames, NewFrames, NodeSpan, Placement};

/// The first frame that a device of 32 bits does not reach.
const BORDER: u64 = 1 << 20;
const NODES: [NodeId; 2] = [NodeId(0), NodeId(1)];

const fn span(node: u8, first: u64, frames: u64) -> NodeSpan {
    NodeSpan { node: NodeId(node), first: Pfn(first), frames }
}

/// Node 0 lies across the border, with a hole; each node has movable memory.
const SPANS: [NodeSpan; 3] =
    [span(0, BORDER - 75, 130), span(0, BORDER + 60, 9), span(1, BORDER + 100, 64)];
const MOVABLE: [NodeSpan; 2] = [span(1, BORDER + 164, 50), span(0, BORDER + 214, 33)];

fn frames() -> Frames {
    FrameSetup::new(&SPANS).movable(&MOVABLE).build().expect("heap")
}

/// The zone of a frame, from the spans alone.
fn zone(pfn: u64) -> u32 {
    match () {
        () if MOVABLE.iter().any(|span| (span.first.0..span.end()).contains(&pfn)) => {
            super::MOVABLE
        }
        () if pfn < BORDER => LOW,
        () => HIGH,
    }
}

fn node(pfn: u64) -> NodeId {
    let all = SPANS.iter().chain(&MOVABLE);
    all.clone().find(|span| (span.first.0..span.end()).contains(&pfn)).expect("no hole").node
}

/// Whether the batch that begins at a stacked frame with this mark ends where the mark says.
fn ends(frames: &Frames, first: u64, mark: u64) -> bool {
    let (last, len) = (mark & NONE, (mark & !BATCHED) >> LEN_SHIFT);
    let end = (1..len).fold(first, |pfn, _| frames.frame(Pfn(pfn)).index.peek());
    mark & BLOCK == 0 && mark & BATCHED != 0 && end == last
}

/// Checks INV-BUDDY-1 to 5 of all nodes; returns every block as its first frame and order, and what
/// is stacked.
fn examine(frames: &Frames) -> (BTreeMap<u64, u32>, BTreeSet<u64>) {
    let (mut blocks, mut stacked, mut all) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
    for (id, node) in (0..).zip(frames.store.nodes()) {
        let node = node.lock();
        let before = all.len();
        for (at, lists) in (0..).zip(&node.zones) {
            let home = |pfn: u64| {
                let flags = frames.frame(Pfn(pfn)).flags.peek();
                (frames.node(Pfn(pfn)), zone_of(flags))
            };
            let mut next = lists.top;
            while next != NONE {
                assert_eq!(home(next), (NodeId(id), at));
                let mark = frames.frame(Pfn(next)).mapping.peek();
                assert!(mark == 0 || ends(frames, next, mark), "INV-BUDDY-5");
                assert!(all.insert(next) && stacked.insert(next));
                next = frames.frame(Pfn(next)).index.peek();
            }
            for order in 0..=MAX_ORDER {
                let (mut before, mut next) = (NONE, lists.first[order as usize]);
                assert_eq!(lists.filled >> order & 1 == 1, next != NONE);
                while next != NONE {
                    let frame = frames.frame(Pfn(next));
                    assert_eq!(frame.mapping.peek(), mark(order, before), "INV-BUDDY-1");
                    assert_eq!(next % (1 << order), 0, "INV-BUDDY-2");
                    for pfn in next..next + (1 << order) {
                        assert_eq!(home(pfn), (NodeId(id), at), "INV-BUDDY-2");
                        assert!(all.insert(pfn), "INV-BUDDY-4");
                        let marked = frames.frame(Pfn(pfn)).mapping.peek() & BLOCK != 0;
                        assert_eq!(marked, pfn == next, "INV-BUDDY-1");
                    }
                    blocks.insert(next, order);
                    (before, next) = (next, frame.index.peek());
                }
            }
        }
        assert_eq!(node.free(), (all.len() - before) as u64, "INV-BUDDY-4");
    }
    for (first, order) in &blocks {
        let buddy = first ^ 1 << order;
        let home = |pfn: u64| frames.frame(Pfn(pfn)).flags.peek() & HOME_MASK;
        let apart =
            blocks.get(&buddy) != Some(order) || *order == MAX_ORDER || home(buddy) != home(*first);
        assert!(apart, "INV-BUDDY-3: {first} and {buddy} of order {order}");
    }
    (blocks, stacked)
}

/// Merges all that is stacked.
fn merge_all(frames: &Frames) {
    for node in frames.store.nodes() {
        while node.lock().merge(frames.metadata(), MAX_ORDER + 1, zones_for(Zone::Movable)) > 0 {}
    }
}

#[derive(Clone, Copy, Debug)]
enum Op {
    Take { order: u32, placement: Placement, zone: Zone },
    Free { which: prop::sample::Index },
}

fn op() -> impl Strategy<Value = Op> {
    let placement = (any::<bool>(), 0..2_u8).prop_map(|(only, node)| {
        if only { Placement::Only(NodeId(node)) } else { Placement::Prefer(NodeId(node)) }
    });
    let zone = prop::sample::select(&[Zone::Any, Zone::Low32, Zone::Movable][..]);
    let order = prop_oneof![4 => Just(0_u32), 4 => 0..7_u32, 1 => 0..=MAX_ORDER];
    prop_oneof![
        5 => (order, placement, zone)
            .prop_map(|(order, placement, zone)| Op::Take { order, placement, zone }),
        4 => any::<prop::sample::Index>().prop_map(|which| Op::Free { which }),
    ]
}

/// Whether some run of `order` is free in the zones and on the nodes that a request names.
fn exists(free: &BTreeSet<u64>, order: u32, placement: Placement, wanted: Zone) -> bool {
    let home = |pfn: u64| (node(pfn), zone(pfn));
    free.iter().filter(|first| first.is_multiple_of(1 << order)).any(|first| {
        let here = home(*first);
        let allowed = zones_for(wanted) >> here.1 & 1 != 0
            && (placement == Placement::Only(here.0) || matches!(placement, Placement::Prefer(_)));
        allowed
            && (*first..first + (1 << order)).all(|pfn| free.contains(&pfn) && home(pfn) == here)
    })
}

#[test]
fn any_sequence_of_runs_taken_and_freed_is_exact() {
    let config = Config { cases: 300, failure_persistence: None, ..Config::default() };
    let run = TestRunner::new(config).run(&prop::collection::vec(op(), 1..150), |ops| {
        let frames = frames();
        let (at_first, _) = examine(&frames);
        let mut free: BTreeSet<u64> =
            SPANS.iter().chain(&MOVABLE).flat_map(|span| span.first.0..span.end()).collect();
        let mut taken: Vec<NewFrames<'_>> = Vec::new();
        for (step, op) in (1..).zip(ops) {
            match op {
                Op::Take { order, placement, zone: wanted } => {
                    let got = frames.take_run(order, placement, wanted);
                    let there = exists(&free, order, placement, wanted);
                    prop_assert_eq!(got.is_ok(), there, "exactly when there is one: {:?}", op);
                    let Ok(got) = got else { continue };
                    prop_assert_eq!(got.first().0 % (1 << order), 0);
                    prop_assert_eq!(got.pfns().count(), 1 << order);
                    for pfn in got.pfns() {
                        prop_assert!(free.remove(&pfn.0), "{} was not free", pfn);
                        prop_assert!(zones_for(wanted) >> zone(pfn.0) & 1 != 0);
                        prop_assert!(wanted != Zone::Low32 || pfn.0 < BORDER);
                        if let Placement::Only(only) = placement {
                            prop_assert_eq!(node(pfn.0), only);
                        }
                        prop_assert_eq!(frames.head_of(pfn), got.first());
                        // What a reverse map and a page cache would leave there.
                        frames.frame(pfn).mapping.init(step);
                    }
                    prop_assert_eq!(frames.counts(got.first()).refs(), 1);
                    taken.push(got);
                }
                Op::Free { which } if !taken.is_empty() => {
                    let run = taken.swap_remove(which.index(taken.len()));
                    free.extend(run.pfns().map(|pfn| pfn.0));
                }
                Op::Free { .. } => {}
            }
            let (blocks, stacked) = examine(&frames);
            let in_blocks = blocks.iter().flat_map(|(first, order)| *first..first + (1 << order));
            prop_assert_eq!(&in_blocks.chain(stacked).collect::<BTreeSet<_>>(), &free);
            prop_assert_eq!(frames.total_free(), free.len() as u64);
            let sum: u64 = NODES.iter().map(|node| frames.free_frames(*node)).sum();
            prop_assert_eq!(sum, frames.total_free());
        }
        taken.clear();
        merge_all(&frames);
        let (at_last, stacked) = examine(&frames);
        prop_assert!(stacked.is_empty());
        prop_assert_eq!(at_last, at_first, "merged into the largest blocks again");
        Ok(())
    });
    run.unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn any_free_range_can_be_reserved_and_added_again_and_nothing_else() {
    let range = (0..130_u64, 0..140_u64, prop::collection::vec(0..130_usize, 0..4));
    let config = Config { cases: 300, failure_persistence: None, ..Config::default() };
    let run = TestRunner::new(config).run(&range, |(at, count, kept)| {
        let frames = Frames::new(&SPANS[..1]).expect("heap");
        let (at_first, _) = examine(&frames);
        let take = || frames.take(Placement::Only(NodeId(0))).ok();
        let mut taken: Vec<_> = core::iter::from_fn(take).collect();
        taken.sort_by_key(|frame| frame.pfn());
        let keep: BTreeSet<_> = kept.iter().map(|which| taken[*which].pfn()).collect();
        taken.retain(|frame| keep.contains(&frame.pfn()));
        let (first, end) = (BORDER - 75 + at, BORDER - 75 + at + count);
        let reserved = frames.reserve(Pfn(first), count);
        let (blocks, stacked) = examine(&frames);
        let all_free = (first..end).all(|pfn| !keep.contains(&Pfn(pfn)) && pfn < BORDER + 55);
        let one_zone = first >= BORDER || end <= BORDER;
        prop_assert_eq!(reserved.is_ok(), all_free && one_zone, "{:?}", reserved);
        let left = 130 - keep.len() as u64 - if reserved.is_ok() { count } else { 0 };
        prop_assert_eq!(frames.total_free(), left);
        let in_blocks = blocks.iter().flat_map(|(first, order)| *first..first + (1 << order));
        let out = |pfn| reserved.is_err() || !(first..end).contains(&pfn);
        prop_assert!(in_blocks.chain(stacked).all(out));
        if reserved.is_ok() && count > 0 {
            // SAFETY: no frame is ever touched here.
            prop_assert_eq!(unsafe { frames.add(&span(0, first, count)) }, Ok(()));
        }
        taken.clear();
        merge_all(&frames);
        prop_assert_eq!(examine(&frames).0, at_first);
        Ok(())
    });
    run.unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn no_frames_can_be_reserved_anywhere() {
    let frames = Frames::new(&[span(0, 3, 100)]).expect("heap");
    for first in [0, 3, 50, 102, 103, u64::MAX] {
        assert_eq!(frames.reserve(Pfn(first), 0), Ok(()), "at {first}");
    }
    assert_eq!(frames.total_free(), 100);
    assert_eq!(frames.reserve(Pfn(102), 2), Err(MemoryMapError::Outside(Pfn(103))));
    assert_eq!(frames.reserve(Pfn(2), 2), Err(MemoryMapError::Outside(Pfn(2))));
}

#[test]
fn at_first_the_blocks_are_as_large_as_can_be() {
    let frames = Frames::new(&[span(0, 3, 3 * 1024)]).expect("heap");
    let orders: Vec<_> = examine(&frames).0.into_iter().collect();
    assert_eq!(orders[..3], [(3, 0), (4, 2), (8, 3)]);
    assert_eq!(orders.iter().filter(|(_, order)| *order == MAX_ORDER).count(), 2);
    assert_eq!(orders[orders.len() - 2..], [(3072, 1), (3074, 0)]);
}

#[test]
fn unused_memory_is_handed_out_by_address_and_what_was_freed_last_comes_first() {
    let frames = Frames::new(&[span(0, 5, 2100), span(0, 3000, 7)]).expect("heap");
    let take = || frames.take(Placement::Only(NodeId(0))).ok();
    let mut taken: Vec<_> = core::iter::from_fn(take).collect();
    let pfns: Vec<_> = taken.iter().map(|frame| frame.pfn().0).collect();
    assert_eq!(pfns, (5..2105).chain(3000..3007).collect::<Vec<_>>());
    let (a, b) = (taken.swap_remove(1000), taken.swap_remove(17));
    let order = [b.pfn(), a.pfn()];
    drop(a);
    drop(b);
    assert_eq!([take(), take()].map(|frame| frame.map(|frame| frame.pfn())), order.map(Some));
}

#[test]
fn a_high_order_is_found_under_many_stacked_frames_and_merges_no_more_than_it_needs() {
    let frames = Frames::new(&[span(0, 0, 8192)]).expect("heap");
    let singles = (0..8192).map(|_| frames.take(Placement::Only(NodeId(0))).unwrap());
    let (even, odd): (Vec<_>, Vec<_>) = singles.partition(|frame| frame.pfn().0 % 2 == 0);
    let run = |order| frames.take_run(order, Placement::Only(NodeId(0)), Zone::Any);
    assert!(run(1).is_err());
    drop(even);
    assert!(run(1).is_err(), "no two of 4,096 free frames are neighbours");
    assert_eq!(examine(&frames).0.len(), 4096);
    drop(odd);
    drop(run(1).unwrap());
    assert_eq!(examine(&frames).1.len(), 4095, "one frame made a run of two");
    let all: Vec<_> = core::iter::from_fn(|| run(10).ok()).collect();
    assert_eq!((all.len(), frames.total_free()), (8, 0));
}

#[test]
fn a_run_below_four_gigabytes_is_refused_when_only_higher_ones_are_left() {
    let frames = frames();
    let low = |order| frames.take_run(order, Placement::Prefer(NodeId(1)), Zone::Low32);
    let all: Vec<_> = core::iter::from_fn(|| low(0).ok()).collect();
    assert_eq!(all.len(), 75);
    assert!(all.iter().all(|run| run.first().0 < BORDER));
    assert!(low(3).is_err() && frames.total_free() > 100);
}

#[test]
fn what_cannot_move_stays_out_of_movable_memory_and_what_can_goes_there_first() {
    let frames = frames();
    let here = Placement::Only(NodeId(1));
    let moving = frames.take_run(0, here, Zone::Movable).unwrap();
    assert_eq!(zone(moving.first().0), super::MOVABLE);
    let fixed: Vec<_> = core::iter::from_fn(|| frames.take(here).ok()).collect();
    assert_eq!(fixed.len(), 64);
    assert!(fixed.iter().all(|frame| zone(frame.pfn().0) != super::MOVABLE));
    assert_eq!(frames.free_frames(NodeId(1)), 49);
}

#[test]
fn an_order_above_the_highest_is_refused() {
    let frames = Frames::new(&[span(0, 0, 4096)]).expect("heap");
    for order in [MAX_ORDER + 1, 31, 64, u32::MAX] {
        assert!(frames.take_run(order, Placement::Prefer(NodeId(0)), Zone::Any).is_err());
    }
    assert!(frames.take_run(MAX_ORDER, Placement::Prefer(NodeId(0)), Zone::Any).is_ok());
}

#[test]
fn a_run_that_was_kept_is_given_back_whole() {
    let frames = Frames::new(&[span(0, 0, 64)]).expect("heap");
    let run = frames.take_run(5, Placement::Prefer(NodeId(0)), Zone::Any).unwrap();
    let first = run.keep();
    assert_eq!(frames.total_free(), 32);
    // SAFETY: that run.
    drop(unsafe { NewFrames::kept(&frames, first) });
    assert_eq!(examine(&frames).0, BTreeMap::from([(0, 6)]));
}

#[test]
fn threads_share_a_node_without_losing_a_frame() {
    let frames = Frames::new(&[span(0, 7, 3000), span(1, 3007, 500)]).expect("heap");
    std::thread::scope(|scope| {
        for thread in 0..4_u32 {
            let frames = &frames;
            scope.spawn(move || {
                let mut held = Vec::new();
                for step in 0..3000_u32 {
                    let order = (step * 7 + thread).trailing_zeros() % 7;
                    let place = Placement::Prefer(NodeId((step % 2) as u8));
                    held.extend(frames.take_run(order, place, Zone::Any).ok());
                    if held.len() > 40 {
                        held.drain(..20).for_each(drop);
                    }
                }
            });
        }
    });
    assert_eq!(frames.total_free(), 3500);
    merge_all(&frames);
    assert!(examine(&frames).1.is_empty());
}
