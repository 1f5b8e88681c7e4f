//! The area tree from ten areas to a million, beside a `BTreeMap` that is written by hand for the
//! same work: no lock, no limits, no page tables, values as large as an area.
//!
//! A figure is the median of the rounds, with the tenth and the ninetieth of a hundred beside it.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Duration;

use pinfold::mock::Host;
use pinfold::sync::Shared;
use pinfold::{
    AddressSpace, Cause, Limits, Memory, NodeId, NodeSpan, Pfn, Place, Prot, Rules, Sharing,
    Tuning, VirtAddr, VirtRange, X86_64,
};

use crate::ops;
use crate::pairs::{Goal, timed};
use crate::world::Order;

type Space = AddressSpace<Host<X86_64>>;

const SIZES: [u64; 6] = [10, 100, 1_000, 10_000, 100_000, 1_000_000];
/// Above this many areas no page is touched: each needs a frame.
const TOUCHED: u64 = 100_000;
/// An area has three pages, and a free one follows.
const STEP: u64 = 4;
const PAGES: u64 = 3;
const FIRST: u64 = 1 << 20;
/// Operations of a round, each on an area that is drawn anew: who is asked for the same ones round
/// after round is helped by a processor that learns the way.
const DRAWN: usize = 1024;
const ROUNDS: usize = 61;
/// Areas that all rounds of forks have together, but five rounds there are.
const FORKED: u64 = 400_000;
/// Pages that a pair of map and unmap has: 128 MiB.
const PAIR_PAGES: u64 = 1 << 15;

const LOOKUP: Goal = Goal { must: 1.0, stretch: 0.8 };
/// P6.
const SPLIT: Goal = Goal { must: 1.5, stretch: 1.0 };
/// Nanoseconds a forked area.
const FORK: Goal = Goal { must: 90.0, stretch: 60.0 };

/// A process with so many areas, mapped in some order.
struct Crowd {
    memory: Shared<Memory<Host<X86_64>>>,
    space: Space,
    areas: u64,
    /// What each area takes of the heap.
    bytes: f64,
}

fn page(area: u64, page: u64) -> VirtAddr {
    VirtAddr::of_page(FIRST + area * STEP + page)
}

impl Crowd {
    fn new(areas: u64, order: Order) -> Self {
        let touched = if areas <= TOUCHED { areas } else { 0 };
        let frames = touched + 1024 + areas * STEP / 128;
        let span = NodeSpan { node: NodeId(0), first: Pfn(0), frames };
        let host = Host::new(frames as usize);
        // SAFETY: the span is the host's own frames, and it was made for this machine.
        let memory = unsafe { Memory::new(host, &[span], Rules::default(), Tuning::default()) }
            .expect("the heap holds the frame table");
        let limits = Limits { areas: usize::MAX, ..Limits::of_format::<X86_64>() };
        let space = AddressSpace::new(&memory, limits).expect("there is a frame for the root");
        let before = heap_in_use();
        let all = match order {
            Order::Ascending => (0..areas).collect(),
            Order::Scattered => shuffled(areas),
        };
        for area in all {
            let at = Place::At(page(area, 0));
            space.map(at, PAGES, Prot::READ_WRITE, Sharing::Private).expect("a free place");
        }
        let bytes = (heap_in_use() - before) / areas as f64;
        for area in 0..touched {
            space.fault(page(area, 0), Cause::Store).expect("there are frames");
        }
        Self { memory, space, areas, bytes }
    }

    /// A page inside of each of some areas that are drawn at random.
    fn drawn(&self, random: &mut Random) -> Vec<VirtAddr> {
        (0..DRAWN).map(|_| page(random.below(self.areas), 1)).collect()
    }
}

/// Numbers without a pattern, the same in every run (splitmix64).
#[derive(Default)]
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}

fn shuffled(count: u64) -> Vec<u64> {
    let (mut random, mut order): (_, Vec<u64>) = (Random::default(), (0..count).collect());
    for at in (1..order.len()).rev() {
        order.swap(at, random.below(at as u64 + 1) as usize);
    }
    order
}

/// Bytes that the process has asked of its heap and not given back, where that can be known.
fn heap_in_use() -> f64 {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // SAFETY: it only reads the counters of the allocator.
        let info = unsafe { libc::mallinfo2() };
        (info.uordblks + info.hblkhd) as f64
    }
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    f64::NAN
}

/// The same areas by hand.
struct ByHand(BTreeMap<u64, Bare>);

/// As large as an area.
#[derive(Clone, Copy, PartialEq)]
struct Bare {
    end: u64,
    prot: Prot,
    /// What else an area says, which decides whether two may merge.
    rest: [u64; 4],
}

impl ByHand {
    fn new(areas: u64) -> Self {
        let of = |area| {
            let first = FIRST + area * STEP;
            (first, Bare { end: first + PAGES, prot: Prot::READ_WRITE, rest: [area; 4] })
        };
        let mut map = BTreeMap::new();
        map.extend(shuffled(areas).into_iter().map(of));
        Self(map)
    }

    fn find(&self, page: u64) -> Option<(u64, Bare)> {
        let (first, area) = self.0.range(..=page).next_back()?;
        (page < area.end).then_some((*first, *area))
    }

    #[inline(never)]
    fn look_up(&self, at: &[VirtAddr]) -> u64 {
        at.iter().map(|at| u64::from(self.find(at.page().0).is_some())).sum()
    }

    fn cut(&mut self, page: u64) {
        if let Some((_, area)) = self.0.range_mut(..page).next_back()
            && page < area.end
        {
            let rest = *area;
            area.end = page;
            self.0.insert(page, rest);
        }
    }

    fn join(&mut self, page: u64) {
        let Some(next) = self.0.get(&page).copied() else { return };
        if let Some((_, before)) = self.0.range_mut(..page).next_back()
            && *before == (Bare { end: page, ..next })
        {
            before.end = next.end;
            self.0.remove(&page);
        }
    }

    fn protect(&mut self, first: u64, end: u64, prot: Prot) {
        self.cut(first);
        self.cut(end);
        self.0.range_mut(first..end).for_each(|(_, area)| area.prot = prot);
        self.join(first);
        self.join(end);
    }

    #[inline(never)]
    fn split(&mut self, page: u64) {
        for prot in [Prot::READ, Prot::READ_WRITE] {
            self.protect(page, page + 1, prot);
        }
    }
}

/// Some figures of the same thing.
struct Sample(Vec<f64>);

impl Sample {
    /// Of some times, of which the first one has warmed up, in nanoseconds an operation, of which
    /// each has so many.
    fn of(times: &[Duration], each: u64) -> Self {
        let each = |time: &Duration| time.as_secs_f64() * 1e9 / each as f64;
        let mut values: Vec<f64> = times[1..].iter().map(each).collect();
        values.sort_by(f64::total_cmp);
        Self(values)
    }

    fn at(&self, part: f64) -> f64 {
        self.0[((self.0.len() - 1) as f64 * part) as usize]
    }

    fn text(&self) -> String {
        format!("{:7.1} ns ({:.1} to {:.1})", self.at(0.5), self.at(0.1), self.at(0.9))
    }
}

fn against(name: &str, areas: u64, [ours, hand]: &[Sample; 2], goal: Option<Goal>) {
    let ratio = ours.at(0.5) / hand.at(0.5);
    let verdict = goal.map_or(String::new(), |goal| goal.verdict(ratio));
    let (ours, hand) = (ours.text(), hand.text());
    println!(
        "{name:<12} {areas:>8} areas {ours:<28} BTreeMap {hand:<28} ratio {ratio:5.2}  {verdict}"
    );
}

pub(crate) fn run() {
    for areas in SIZES {
        let crowd = Crowd::new(areas, Order::Scattered);
        let mut hand = ByHand::new(areas);
        look_ups(&crowd, &hand);
        splits(&crowd, &mut hand);
        drop(hand);
        pairs(&crowd);
        forks("scattered", &crowd, None);
        println!("heap         {areas:>8} areas {:7.1} bytes an area", crowd.bytes);
        drop(crowd);
        let goal = (areas == 10_000).then_some(FORK);
        forks("in order", &Crowd::new(areas, Order::Ascending), goal);
    }
}

/// Both in turns, each time with pages that were drawn anew.
fn in_turns(
    crowd: &Crowd,
    mut ours: impl FnMut(&[VirtAddr]),
    mut hand: impl FnMut(&[VirtAddr]),
) -> [Sample; 2] {
    let mut random = Random::default();
    let (mut one, mut other) = (Vec::new(), Vec::new());
    for _ in 0..=ROUNDS {
        let at = crowd.drawn(&mut random);
        one.push(timed(|| ours(black_box(&at))).1);
        other.push(timed(|| hand(black_box(&at))).1);
    }
    [one, other].map(|times| Sample::of(&times, DRAWN as u64))
}

fn look_ups(crowd: &Crowd, hand: &ByHand) {
    let samples = in_turns(
        crowd,
        |at| assert_eq!(ops::look_up(&crowd.space, at), DRAWN as u64),
        |at| assert_eq!(hand.look_up(at), DRAWN as u64),
    );
    let goal = [1_000, 100_000].contains(&crowd.areas).then_some(LOOKUP);
    against("lookup", crowd.areas, &samples, goal);
}

fn splits(crowd: &Crowd, hand: &mut ByHand) {
    let alone = |at: &VirtAddr| VirtRange::new(*at, 1).expect("a page of an area");
    let samples = in_turns(
        crowd,
        |at| at.iter().for_each(|at| ops::split(&crowd.space, alone(at))),
        |at| at.iter().for_each(|at| hand.split(at.page().0)),
    );
    assert_eq!((crowd.space.areas() as u64, hand.0.len() as u64), (crowd.areas, crowd.areas));
    against("split+merge", crowd.areas, &samples, (crowd.areas == 1_000).then_some(SPLIT));
}

fn pairs(crowd: &Crowd) {
    let round = || timed(|| (0..DRAWN).for_each(|_| ops::pair(&crowd.space, PAIR_PAGES))).1;
    let times: Vec<Duration> = (0..=ROUNDS).map(|_| round()).collect();
    let sample = Sample::of(&times, DRAWN as u64);
    println!("map+unmap    {:>8} areas {}", crowd.areas, sample.text());
}

/// Forks of areas that were mapped in the order that is named.
fn forks(name: &str, crowd: &Crowd, goal: Option<Goal>) {
    let few = 1 + 1_000 / crowd.areas;
    let rounds = (FORKED / crowd.areas).clamp(5, ROUNDS as u64);
    let (mut forks, mut exits) = (Vec::new(), Vec::new());
    let free = crowd.memory.frames().total_free();
    for _ in 0..=rounds {
        let (children, time) =
            timed(|| (0..few).map(|_| ops::fork_small(&crowd.space)).collect::<Vec<_>>());
        assert!(children.iter().all(|child| child.areas() as u64 == crowd.areas));
        forks.push(time);
        exits.push(timed(|| drop(children)).1);
    }
    assert_eq!(crowd.memory.frames().total_free(), free, "the children have gone");
    let [forks, exits] = [forks, exits].map(|times| Sample::of(&times, few * crowd.areas));
    let verdict = goal.map_or(String::new(), |goal| goal.verdict(forks.at(0.5)));
    let (areas, fork, exit) = (crowd.areas, forks.text(), exits.text());
    println!("fork {name:<9} {areas:>6} areas {fork:<28} an area, its exit {exit}  {verdict}");
}

/// One round for an instruction counter: a fork of ten thousand areas. How many there are.
pub(crate) fn once() -> u64 {
    let crowd = Crowd::new(10_000, Order::Ascending);
    drop(ops::fork_small(&crowd.space));
    crowd.areas
}

/// The same for the split and merge of one area of a thousand.
pub(crate) fn once_split() -> u64 {
    let crowd = Crowd::new(1_000, Order::Scattered);
    ops::split(&crowd.space, VirtRange::new(page(500, 1), 1).expect("a page of an area"));
    1
}
