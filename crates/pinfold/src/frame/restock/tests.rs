use super::*;
use crate::error::OutOfFrames;
use crate::frame::{Flags, FrameSetup, NewFrame, NodeSpan, Placement, Start};
use std::collections::BTreeSet;
use std::thread;
use std::vec::Vec;

const HERE: NodeId = NodeId(0);
const THERE: NodeId = NodeId(1);
const BATCH: u32 = 4;
/// What two CPUs' stocks hold at most.
const PLENTY: u64 = 4 * BATCH as u64;

const fn span(node: NodeId, first: u64, frames: u64) -> NodeSpan {
    NodeSpan { node, first: Pfn(first), frames }
}

/// Two nodes, each with this many frames, and two CPUs with stocks.
fn two_nodes(frames: u64) -> Frames {
    let spans = [span(HERE, 0, frames), span(THERE, 1000, frames)];
    stocked(FrameSetup::new(&spans))
}

fn stocked(setup: FrameSetup<'_>) -> Frames {
    let mut frames = setup.build().expect("the heap has room");
    frames.stock_up(2, BATCH).expect("the heap has room");
    frames
}

/// A frame for an anonymous page, by a CPU of a node.
fn near(frames: &Frames, cpu: usize, node: NodeId) -> Result<Pfn, OutOfFrames> {
    frames.alloc_near((cpu, node), Flags::ANON, Start::Held).map(NewFrame::keep)
}

/// A frame that must not move, by a CPU of node 0.
fn unmovable(frames: &Frames, cpu: usize) -> Result<Pfn, OutOfFrames> {
    frames.alloc_near((cpu, HERE), Flags::TABLE, Start::Held).map(NewFrame::keep)
}

fn free(frames: &Frames, cpu: usize, pfn: Pfn) {
    frames.frame(pfn).counts.init(0);
    frames.release_at(cpu, pfn);
}

/// How many frames are in the stock of a CPU.
fn in_stock(frames: &Frames, cpu: usize) -> u64 {
    let stocks = frames.stocks.as_ref().expect("there are stocks");
    let stock = stocks.of.of(cpu).lock();
    assert!(stock.home != NOWHERE || stock.len() == 0, "INV-STOCK-3");
    stock.len()
}

/// INV-STOCK-3, of each node: the stocks that are attached to it are counted.
fn check_attached(frames: &Frames) {
    let stocks = frames.stocks.as_ref().expect("there are stocks");
    for (id, node) in (0..).map(NodeId).zip(frames.store.nodes()) {
        let node = node.lock();
        let attached = stocks.of.iter().filter(|stock| stock.lock().is_at(id)).count();
        assert_eq!(node.attached as usize, attached, "{id:?}");
    }
}

#[test]
fn a_cpu_takes_and_frees_in_batches_and_the_sum_stays_exact() {
    let frames = two_nodes(100);
    let first = near(&frames, 0, HERE).unwrap();
    assert_eq!((in_stock(&frames, 0), in_stock(&frames, 1)), (3, 0));
    assert_eq!((frames.free_frames(HERE), frames.total_free()), (99, 199));
    let more: Vec<_> = (0..9).map(|_| near(&frames, 0, HERE).unwrap()).collect();
    assert_eq!((in_stock(&frames, 0), frames.free_frames(HERE)), (2, 90));
    let all: BTreeSet<_> = more.iter().copied().chain([first]).collect();
    assert_eq!(all.len(), 10, "no frame twice");
    for pfn in all {
        free(&frames, 0, pfn);
        assert!(in_stock(&frames, 0) <= 2 * u64::from(BATCH));
    }
    assert_eq!((frames.free_frames(HERE), frames.total_free()), (100, 200));
    check_attached(&frames);
}

#[test]
fn exhaustion_finds_the_frames_of_every_stock() {
    let frames = two_nodes(40);
    let kept = near(&frames, 1, HERE).unwrap();
    assert!(in_stock(&frames, 1) > 0);
    let only = || frames.take(Placement::Only(HERE)).map(NewFrame::keep);
    let taken: BTreeSet<_> = (0..39).map(|_| only().unwrap()).collect();
    assert!(taken.len() == 39 && !taken.contains(&kept));
    assert!(only().is_err());
    assert_eq!((in_stock(&frames, 1), frames.free_frames(HERE)), (0, 0));
    // What is freed now goes to the node: the stock is not attached any more.
    free(&frames, 1, kept);
    assert_eq!((in_stock(&frames, 1), only()), (0, Ok(kept)));
    check_attached(&frames);
}

#[test]
fn a_node_without_plenty_hands_out_single_frames() {
    let frames = two_nodes(PLENTY + u64::from(BATCH) - 1);
    let taken = near(&frames, 0, HERE).unwrap();
    free(&frames, 0, taken);
    assert_eq!(in_stock(&frames, 0), 0);
    let all: BTreeSet<_> = (0..2 * frames.free_frames(HERE))
        .map(|_| near(&frames, 0, HERE))
        .map(Result::unwrap)
        .collect();
    assert_eq!((all.len() as u64, frames.total_free()), (2 * (PLENTY + 3), 0));
    assert!(near(&frames, 0, HERE).is_err());
}

#[test]
fn a_stock_is_of_one_node_and_follows_its_cpu() {
    let frames = two_nodes(100);
    let there = near(&frames, 1, THERE).unwrap();
    let here = near(&frames, 0, HERE).unwrap();
    free(&frames, 0, there);
    assert_eq!((in_stock(&frames, 0), frames.free_frames(THERE)), (3, 100));
    free(&frames, 0, here);
    assert_eq!(in_stock(&frames, 0), 4);
    // The CPU has moved.
    assert_eq!(near(&frames, 0, THERE).map(|pfn| frames.node(pfn)), Ok(THERE));
    let node = frames.store.nodes()[0].lock();
    assert_eq!((node.free(), node.attached), (100, 0));
    drop(node);
    check_attached(&frames);
}

#[test]
fn pages_come_from_movable_memory_first_and_nothing_else_does() {
    let (spans, movable) = ([span(HERE, 0, 60)], [span(HERE, 100, 30)]);
    let frames = stocked(FrameSetup::new(&spans).movable(&movable));
    let is_movable = |pfn: Pfn| pfn.0 >= 100;
    assert!(!is_movable(unmovable(&frames, 0).unwrap()));
    assert!(is_movable(near(&frames, 0, HERE).unwrap()), "the stock was of the other zone");
    assert!(!is_movable(unmovable(&frames, 0).unwrap()));
    assert!((1..30).all(|_| is_movable(near(&frames, 0, HERE).unwrap())));
    assert!(!is_movable(near(&frames, 0, HERE).unwrap()), "there is no other any more");
    assert!((3..60).all(|_| !is_movable(unmovable(&frames, 0).unwrap())));
    assert_eq!((unmovable(&frames, 0), frames.total_free()), (Err(OutOfFrames), 0));
    free(&frames, 0, Pfn(100));
    assert_eq!(unmovable(&frames, 0), Err(OutOfFrames), "a movable frame is free");
    check_attached(&frames);
}

#[test]
fn runs_and_reservations_are_made_of_stocked_frames_too() {
    let frames = two_nodes(64);
    let taken = near(&frames, 0, HERE).unwrap();
    assert!(frames.take_run(6, Placement::Only(HERE), Zone::Any).is_err());
    let other = near(&frames, 0, HERE).unwrap();
    free(&frames, 0, other);
    free(&frames, 0, taken);
    assert!(in_stock(&frames, 0) > 0);
    drop(frames.take_run(6, Placement::Only(HERE), Zone::Any).expect("all are free"));
    let taken = near(&frames, 0, HERE).unwrap();
    free(&frames, 0, taken);
    assert!(in_stock(&frames, 0) > 0);
    assert_eq!(frames.reserve(Pfn(0), 64), Ok(()));
    assert_eq!((frames.free_frames(HERE), in_stock(&frames, 0)), (0, 0));
}

#[test]
fn threads_take_every_frame_once_and_lose_none() {
    let frames = two_nodes(60);
    for _ in 0..20 {
        let take_all = |cpu: usize| {
            let mut mine = Vec::new();
            for round in 1.. {
                let Ok(pfn) = near(&frames, cpu, NodeId(cpu as u8)) else { break };
                mine.push(pfn);
                if round % 3 == 0 {
                    free(&frames, cpu, mine.swap_remove(0));
                }
            }
            mine
        };
        let taken: Vec<Vec<Pfn>> = thread::scope(|scope| {
            let threads: Vec<_> = [0, 1].map(|cpu| scope.spawn(move || take_all(cpu))).into();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let all: BTreeSet<Pfn> = taken.iter().flatten().copied().collect();
        assert_eq!(all.len(), taken.iter().map(Vec::len).sum(), "no frame twice");
        assert_eq!(frames.total_free() + all.len() as u64, 120);
        for (cpu, mine) in taken.into_iter().enumerate() {
            mine.into_iter().for_each(|pfn| free(&frames, 1 - cpu, pfn));
        }
        assert_eq!(frames.total_free(), 120);
        check_attached(&frames);
    }
}
