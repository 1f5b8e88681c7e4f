//! Shares of marks, reserves, and what requests leave.

use std::vec::Vec;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::*;
use crate::addr::Pfn;
use crate::frame::{Flags, FrameSetup, NewFrame, NewFrames, NodeSpan, Placement, Start};

/// The first frame above 4 GiB.
const BORDER: u64 = 1 << 20;
const HERE: NodeId = NodeId(0);
const THERE: NodeId = NodeId(1);

const fn span(node: NodeId, first: u64, frames: u64) -> NodeSpan {
    NodeSpan { node, first: Pfn(first), frames }
}

/// Node 0 has memory of all zones, node 1 none below 4 GiB.
const SPANS: [NodeSpan; 2] = [span(HERE, BORDER - 64, 64 + 128), span(THERE, BORDER + 128, 96)];
const MOVABLE: [NodeSpan; 2] = [span(HERE, BORDER + 224, 64), span(THERE, BORDER + 288, 32)];

/// Node 0: 64, 128 and 64 frames.
fn bounded(marks: Watermarks, reserve: LowmemReserve) -> Frames {
    let mut frames = FrameSetup::new(&SPANS).movable(&MOVABLE).build().expect("heap");
    frames.keep_free(marks, reserve);
    frames
}

fn marks(min: u64, low: u64, high: u64) -> Watermarks {
    Watermarks { min, low, high }
}

/// What every zone keeps: 64 frames above the low ones make 16.
const RESERVE: LowmemReserve = LowmemReserve { dma32: 8, normal: 4 };

fn info(frames: &Frames, zone: ZoneKind) -> ZoneInfo {
    frames.zone_info(HERE, zone).expect("node 0 has all zones")
}

#[test]
fn marks_are_shared_out_by_size_and_none_is_lost() {
    let frames = bounded(marks(32, 65, 127), RESERVE);
    let all: Vec<_> = frames.zones(HERE).collect();
    let names: Vec<_> = all.iter().map(|zone| (zone.zone.name(), zone.managed)).collect();
    assert_eq!(names, [("DMA32", 64), ("Normal", 128), ("Movable", 64)]);
    assert_eq!(all.iter().map(|zone| zone.min).collect::<Vec<_>>(), [8, 16, 8]);
    let sums = all.iter().fold((0, 0), |(low, high), zone| (low + zone.low, high + zone.high));
    assert_eq!(sums, (65, 127), "INV-ZONE-3");
    let reserves: Vec<_> = all.iter().map(|z| (z.reserve_any, z.reserve_movable)).collect();
    assert_eq!(reserves, [(128 / 8, 192 / 8), (0, 64 / 4), (0, 0)]);
    let there: Vec<_> = frames.zones(THERE).map(|zone| zone.zone).collect();
    assert_eq!(there, [ZoneKind::Normal, ZoneKind::Movable]);
    assert!(frames.zone_info(NodeId(7), ZoneKind::Normal).is_none());
}

#[test]
fn a_reserve_stays_for_those_who_have_no_other_zone() {
    let frames = bounded(Watermarks::default(), RESERVE);
    let take = |zone| frames.take_run(0, Placement::Only(HERE), zone).map(NewFrames::keep);
    let left = |zone| info(&frames, zone).free;
    while take(Zone::Movable).is_ok() {}
    let all = [ZoneKind::Dma32, ZoneKind::Normal, ZoneKind::Movable].map(left);
    assert_eq!(all, [24, 16, 0], "what is kept from pages that move");
    while take(Zone::Any).is_ok() {}
    assert_eq!([left(ZoneKind::Dma32), left(ZoneKind::Normal)], [16, 0]);
    assert!(frames.take_run(2, Placement::Only(HERE), Zone::Any).is_err(), "not by larger runs");
    let device = frames.take_run(2, Placement::Only(HERE), Zone::Low32).expect("it is kept");
    assert!(device.first().0 < BORDER);
    for _ in 0..12 {
        take(Zone::Low32).expect("all of it");
    }
    assert_eq!((left(ZoneKind::Dma32), take(Zone::Low32)), (0, Err(crate::OutOfFrames)));
}

#[test]
fn a_request_leaves_low_here_and_elsewhere_before_it_goes_down_to_min() {
    // Node 0: 8, 16, 8 and 16, 32, 16.
    let frames = bounded(marks(32, 64, 64), LowmemReserve::default());
    let take = |zone| frames.take_run(0, Placement::Prefer(HERE), zone).map(NewFrames::keep);
    let at = |zone| {
        let pfn = take(zone).expect("there is one");
        let movable = frames.is_movable(pfn);
        (
            frames.node(pfn),
            if movable {
                'm'
            } else if pfn.0 < BORDER {
                'l'
            } else {
                'n'
            },
        )
    };
    let mut met: Vec<((NodeId, char), u32)> = Vec::new();
    while frames.total_free() > 0 {
        let place = at(Zone::Movable);
        match met.last_mut() {
            Some((last, times)) if *last == place => *times += 1,
            _ => met.push((place, 1)),
        }
    }
    // Node 1 has 96 and 32 frames; its shares are 24, 8 of `min` and 48, 16 of `low`.
    let expected = [
        ((HERE, 'm'), 48),
        ((HERE, 'n'), 96),
        ((HERE, 'l'), 48),
        ((THERE, 'm'), 16),
        ((THERE, 'n'), 48),
        ((HERE, 'm'), 8),
        ((HERE, 'n'), 16),
        ((HERE, 'l'), 8),
        ((THERE, 'm'), 8),
        ((THERE, 'n'), 24),
        ((HERE, 'm'), 8),
        ((HERE, 'n'), 16),
        ((HERE, 'l'), 8),
        ((THERE, 'm'), 8),
        ((THERE, 'n'), 24),
    ];
    assert_eq!(met, expected);
    assert!(take(Zone::Movable).is_err());
}

#[test]
fn who_can_wait_leaves_min() {
    let frames = bounded(marks(32, 64, 64), LowmemReserve::default());
    let take = |order| frames.take_run_above_min(order, Placement::Only(HERE), Zone::Low32);
    let runs: Vec<_> = core::iter::from_fn(|| take(3).ok()).collect();
    assert_eq!((runs.len(), info(&frames, ZoneKind::Dma32).free), (7, 8));
    assert!(take(0).is_err());
    assert!(frames.take_run(3, Placement::Only(HERE), Zone::Low32).is_ok(), "who cannot wait");
}

#[test]
fn shares_follow_memory_that_comes_and_goes() {
    let frames = bounded(marks(64, 64, 64), RESERVE);
    let high = span(HERE, BORDER, 128);
    assert_eq!(info(&frames, ZoneKind::Dma32).min, 16);
    assert_eq!(frames.take_out_free(&high), 128);
    assert!(frames.zone_info(HERE, ZoneKind::Normal).is_none(), "nothing of it is left");
    let low = info(&frames, ZoneKind::Dma32);
    assert_eq!((low.min, low.reserve_any, low.reserve_movable), (32, 0, 8));
    assert_eq!(frames.bring_back(&high), 128);
    let low = info(&frames, ZoneKind::Dma32);
    assert_eq!((low.min, low.reserve_any, low.reserve_movable), (16, 16, 24));
    frames.reserve(Pfn(BORDER - 32), 32).expect("it is free");
    let low = info(&frames, ZoneKind::Dma32);
    assert_eq!((low.managed, low.free, low.min), (32, 32, 9));
    // SAFETY: nobody has them.
    unsafe { frames.add(&span(HERE, BORDER - 32, 32)) }.expect("it is reserved");
    assert_eq!(info(&frames, ZoneKind::Dma32).managed, 64);
}

#[test]
fn marks_that_no_memory_has_are_marks() {
    let mut frames = FrameSetup::new(&[span(HERE, BORDER, 64)]).build().expect("heap");
    frames.keep_free(marks(u64::MAX, u64::MAX, u64::MAX), RESERVE);
    frames.stock_up(2, 4).expect("heap");
    assert_eq!(info(&frames, ZoneKind::Normal).min, u64::MAX);
    assert!(frames.take_run_above_min(2, Placement::Only(HERE), Zone::Any).is_err());
    assert!(frames.take_run(2, Placement::Only(HERE), Zone::Any).is_ok(), "who cannot wait");
    assert!(frames.alloc_near((0, HERE), Flags::ANON, Start::Held).is_ok());
    assert!(!frames.has_min(HERE, Zone::Movable));
}

#[test]
fn a_zone_has_its_mark_if_one_more_frame_is_free() {
    let frames = bounded(marks(32, 32, 32), LowmemReserve::default());
    let take = || frames.take_run(0, Placement::Only(HERE), Zone::Movable).map(NewFrames::keep);
    while info(&frames, ZoneKind::Dma32).free > 9 {
        take().expect("one is free");
    }
    assert!(frames.has_min(HERE, Zone::Movable));
    take().expect("one is free");
    let all = ZoneKind::ALL.map(|zone| info(&frames, zone)).map(|zone| zone.free - zone.min);
    assert_eq!((all, frames.has_min(HERE, Zone::Movable)), ([0; 3], false));
}

/// INV-ZONE-1: what is kept from a request comes to it through no stock.
#[test]
fn stocks_serve_only_requests_from_which_nothing_is_kept() {
    let mut frames = bounded(Watermarks::default(), RESERVE);
    frames.stock_up(2, 4).expect("heap");
    let near =
        |cpu, flags| frames.alloc_near((cpu, HERE), flags, Start::Held).map(NewFrame::keep).ok();
    let mut taken = Vec::new();
    let left = |zone| info(&frames, zone).free;
    while let Some(pfn) = near(0, Flags::ANON) {
        taken.push(pfn);
        assert!(left(ZoneKind::Dma32) >= 24 && left(ZoneKind::Normal) >= 16);
    }
    taken.drain(..).for_each(|pfn| {
        frames.frame(pfn).counts.init(0);
        frames.release_at(1, pfn);
    });
    while near(1, Flags::TABLE).is_some() {
        assert!(left(ZoneKind::Dma32) >= 16);
    }
    assert_eq!(
        (left(ZoneKind::Dma32), left(ZoneKind::Normal)),
        (16, 0),
        "and nothing is left over"
    );
}

#[derive(Clone, Copy, Debug)]
enum Op {
    Take { order: u32, node: u8, only: bool, zone: Zone, least: Least },
    Near { cpu: usize, moves: bool },
    Free { which: prop::sample::Index, cpu: usize },
}

fn op() -> impl Strategy<Value = Op> {
    let zone = prop::sample::select(&[Zone::Any, Zone::Low32, Zone::Movable][..]);
    let order = prop_oneof![4 => Just(0_u32), 1 => 0..5_u32];
    let least = prop::sample::select(&[Least::Reserve, Least::Min][..]);
    prop_oneof![
        4 => (order, 0..2_u8, any::<bool>(), zone, least).prop_map(
            |(order, node, only, zone, least)| Op::Take { order, node, only, zone, least }
        ),
        4 => (0..2_usize, any::<bool>()).prop_map(|(cpu, moves)| Op::Near { cpu, moves }),
        3 => (any::<prop::sample::Index>(), 0..2_usize)
            .prop_map(|(which, cpu)| Op::Free { which, cpu }),
    ]
}

/// The zone of a frame, from the spans alone.
fn place(pfn: Pfn) -> (NodeId, ZoneKind) {
    let within = |span: &&NodeSpan| (span.first.0..span.end()).contains(&pfn.0);
    match MOVABLE.iter().find(within) {
        Some(span) => (span.node, ZoneKind::Movable),
        None => {
            let span = SPANS.iter().find(within).expect("no hole");
            (span.node, if pfn.0 < BORDER { ZoneKind::Dma32 } else { ZoneKind::Normal })
        }
    }
}

/// A zone of a node.
type At = (NodeId, ZoneKind);

/// Free frames by zone, added and taken off by what was seen of each frame.
struct Oracle<'f> {
    frames: &'f Frames,
    free: Vec<(At, u64)>,
}

impl<'f> Oracle<'f> {
    fn new(frames: &'f Frames) -> Self {
        let all = [HERE, THERE].into_iter().flat_map(|node| frames.zones(node));
        Self { frames, free: all.map(|info| ((info.node, info.zone), info.free)).collect() }
    }

    fn of(&mut self, at: At) -> &mut u64 {
        let found = self.free.iter_mut().find(|(zone, _)| *zone == at);
        found.map(|(_, free)| free).expect("the zone is there")
    }

    /// The free frames that a request must leave in a zone, by the definition of facts 7.17.
    fn kept(&self, (node, at): At, zone: Zone, least: Least) -> u64 {
        let size = |kind| self.frames.zone_info(node, kind).map_or(0, |info| info.managed);
        let (normal, movable) = (size(ZoneKind::Normal), size(ZoneKind::Movable));
        let reserve = match (at, zone) {
            (ZoneKind::Dma32, Zone::Any) => normal / 8,
            (ZoneKind::Dma32, Zone::Movable) => (normal + movable) / 8,
            (ZoneKind::Normal, Zone::Movable) => movable / 4,
            _ => 0,
        };
        match least {
            Least::Reserve => reserve,
            Least::Min => reserve + self.frames.zone_info(node, at).map_or(0, |info| info.min),
        }
    }

    /// Whether a frame could be taken that a request of one was refused.
    fn could_serve(&self, node: Option<NodeId>, zone: Zone, least: Least) -> bool {
        self.free.iter().any(|(at, free)| {
            let wanted = zones_for(zone) >> at.1.at() & 1 != 0;
            wanted && node.is_none_or(|node| node == at.0) && *free > self.kept(*at, zone, least)
        })
    }

    /// A run was taken for a request; whether that leaves what it must.
    fn take(&mut self, (pfn, order): (Pfn, u32), zone: Zone, least: Least) -> bool {
        let at = place(pfn);
        *self.of(at) -= 1 << order;
        let suits = zones_for(zone) >> at.1.at() & 1 != 0;
        suits && *self.of(at) >= self.kept(at, zone, least)
    }

    fn agrees(&mut self) -> bool {
        let all = [HERE, THERE].into_iter().flat_map(|node| self.frames.zones(node));
        let all: Vec<_> = all.map(|info| ((info.node, info.zone), info.free)).collect();
        all == self.free
    }
}

/// What a request leaves beside the reserve.
#[derive(Clone, Copy, Debug)]
enum Least {
    Reserve,
    Min,
}

/// Carries an operation out on the frames; what it took, for which zone, and what it leaves.
fn carry_out(
    frames: &Frames,
    oracle: &mut Oracle<'_>,
    taken: &mut Vec<(Pfn, u32)>,
    op: Op,
) -> Result<(), TestCaseError> {
    let (got, zone, least) = match op {
        Op::Take { order, node, only, zone, least } => {
            let node = NodeId(node);
            let placement = if only { Placement::Only(node) } else { Placement::Prefer(node) };
            let run = match least {
                Least::Min => frames.take_run_above_min(order, placement, zone),
                Least::Reserve => frames.take_run(order, placement, zone),
            };
            let only = only.then_some(node);
            let refused = run.is_err() && order == 0;
            prop_assert!(!refused || !oracle.could_serve(only, zone, least), "{:?}", op);
            (run.ok().map(|run| (run.keep(), order)), zone, least)
        }
        Op::Near { cpu, moves } => {
            let flags = if moves { Flags::ANON } else { Flags::TABLE };
            let zone = if moves { Zone::Movable } else { Zone::Any };
            let frame = frames.alloc_near((cpu, HERE), flags, Start::Held);
            let could = oracle.could_serve(None, zone, Least::Reserve);
            prop_assert_eq!(frame.is_ok(), could, "{:?}", op);
            (frame.ok().map(|frame| (frame.keep(), 0)), zone, Least::Reserve)
        }
        Op::Free { which, cpu } if !taken.is_empty() => {
            let (pfn, order) = taken.swap_remove(which.index(taken.len()));
            frames.frame(pfn).counts.init(0);
            frames.release_at(cpu, pfn);
            *oracle.of(place(pfn)) += 1 << order;
            return Ok(());
        }
        Op::Free { .. } => return Ok(()),
    };
    if let Some(run) = got {
        prop_assert!(oracle.take(run, zone, least), "INV-ZONE-1: {:?} got {:?}", op, run);
        taken.push(run);
    }
    Ok(())
}

#[test]
fn no_sequence_of_requests_takes_of_a_reserve() {
    let config = Config { cases: 200, failure_persistence: None, ..Config::default() };
    let run = TestRunner::new(config).run(&prop::collection::vec(op(), 1..600), |ops| {
        let mut frames = bounded(marks(24, 40, 56), RESERVE);
        frames.stock_up(2, 4).expect("heap");
        let (mut oracle, mut taken) = (Oracle::new(&frames), Vec::new());
        for op in ops {
            carry_out(&frames, &mut oracle, &mut taken, op)?;
            prop_assert!(oracle.agrees(), "after {:?}: {:?}", op, oracle.free);
        }
        Ok(())
    });
    run.unwrap_or_else(|failure| panic!("{failure}"));
}
