//! What relatives cost: fork, exit and migration beside many children of one parent (a star), down
//! many generations (a chain), and beside children that have died (a zygote).
//!
//! The limit of a fork's joining is a lock taken and given back and a member linked into a list;
//! that of a walk is, for each member that maps the page, four loads to reach its entry, and the
//! table's lock, the exchange and the store of the entry, twice. Of the kernel growth is cited, as
//! 6.18 showed it on a machine with two CPUs: a fork took 31 to 55 us beside 10 as beside 5,000
//! siblings, and 77 us in the first and 1,269 us in the 200th generation of a chain.

use std::hint::black_box;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use pinfold::mock::Host;
use pinfold::sync::Shared;
use pinfold::{
    AddressSpace, Cause, Limits, Memory, Moved, NodeId, NodeSpan, Pfn, Place, Prot, Rules, Sharing,
    Tuning, VirtAddr, VirtRange, X86_64,
};

use crate::ops;
use crate::pairs::{median, timed};

type Space = AddressSpace<Host<X86_64>>;

/// Frames on the second node: for one page at a time, and some.
const AWAY: u64 = 8;
/// Frames of a space with one touched page: its tables and the page.
const EACH: u64 = 5;
const ROUNDS: usize = 101;
const RELATIVES: [usize; 4] = [10, 100, 1_000, 10_000];
const GENERATIONS: [usize; 4] = [1, 10, 200, 1_000];

/// How the relatives come about.
#[derive(Clone, Copy)]
enum Shape {
    /// One parent forks all of them.
    Star,
    /// Each is forked by the one before.
    Chain,
}

/// A parent of a few pages, on a machine for many children.
struct Relatives {
    memory: Shared<Memory<Host<X86_64>>>,
    parent: Space,
    /// The first page is the one that moves; the parent touches the second when it has forked.
    range: VirtRange,
    others: Vec<Space>,
}

impl Relatives {
    fn new(most: usize) -> Self {
        let frames = (most as u64 + 8) * EACH;
        let spans = [
            NodeSpan { node: NodeId(0), first: Pfn(0), frames },
            NodeSpan { node: NodeId(1), first: Pfn(frames), frames: AWAY },
        ];
        let host = Host::new((frames + AWAY) as usize);
        // SAFETY: the spans are the host's own frames, and it was made for this machine.
        let memory = unsafe { Memory::new(host, &spans, Rules::default(), Tuning::default()) }
            .expect("the heap holds the frame table");
        let parent = AddressSpace::new(&memory, Limits::of_format::<X86_64>())
            .expect("there is a frame for the root");
        let at = Place::At(VirtAddr(1 << 40));
        let range = parent.map(at, 4, Prot::READ_WRITE, Sharing::Private).expect("a free place");
        let this = Self { memory, parent, range, others: Vec::new() };
        this.touch(&this.parent, 0);
        this
    }

    fn touch(&self, space: &Space, page: u64) {
        let at = (self.range.first_page() + page).start();
        space.fault(at, Cause::Store).expect("there are frames");
    }

    /// Who forks next.
    fn next(&self, shape: Shape) -> &Space {
        match shape {
            Shape::Star => &self.parent,
            Shape::Chain => self.others.last().unwrap_or(&self.parent),
        }
    }

    /// Forks until there are so many.
    fn grow(&mut self, shape: Shape, others: usize) {
        while self.others.len() < others {
            let child = ops::fork_small(self.next(shape));
            self.others.push(child);
        }
    }

    fn fork_and_exit(&self, space: &Space) -> (f64, f64) {
        let (child, fork) = timed(|| ops::fork_small(space));
        let ((), exit) = timed(|| drop(child));
        (fork.as_secs_f64() * 1e9, exit.as_secs_f64() * 1e9)
    }

    /// Moves one page of `space` to the other node and back: how long one way takes.
    fn there_and_back(&self, space: &Space, page: u64) -> f64 {
        let first = self.range.first_page() + page;
        let range = VirtRange::new(first.start(), 1).expect("a page of the range");
        let one = Moved { moved: 1, failed: 0 };
        let (moved, time) = timed(|| {
            [ops::migrate(space, range, NodeId(1)), ops::migrate(space, range, NodeId(0))]
        });
        assert_eq!(moved, [one, one], "a benchmark that moves nothing is none");
        time.as_secs_f64() * 1e9 / 2.0
    }
}

/// A list of members under a lock, and their entries four loads away: nothing else.
struct BareFamily {
    lock: AtomicU32,
    members: Vec<(u64, usize)>,
    tables: Vec<[AtomicU64; 4]>,
}

impl BareFamily {
    fn of(members: usize) -> Self {
        Self {
            lock: AtomicU32::new(0),
            members: (0..members).map(|at| (at as u64, at)).collect(),
            tables: (0..members).map(|_| Default::default()).collect(),
        }
    }

    fn locked<T>(lock: &AtomicU32, work: impl FnOnce() -> T) -> T {
        while lock.compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed).is_err() {}
        let result = work();
        lock.store(0, Ordering::Release);
        result
    }

    #[inline(never)]
    fn join(&mut self) {
        let (lock, members) = (&self.lock, &mut self.members);
        Self::locked(lock, || members.push((black_box(1), 1)));
    }

    #[inline(never)]
    fn walk(&self) {
        for _ in 0..2 {
            for (_, table) in &self.members {
                let levels = &self.tables[*table];
                let below = levels[..3].iter().map(|level| level.load(Ordering::Acquire));
                let last = 3 + below.sum::<u64>() as usize;
                let table_lock = AtomicU32::new(0);
                Self::locked(black_box(&table_lock), || {
                    let entry = levels[last].swap(0, Ordering::SeqCst);
                    levels[last].store(entry, Ordering::Release);
                });
            }
        }
    }
}

pub(crate) fn run() {
    forks("star: fork beside its children", "exit of one of them", &RELATIVES, Shape::Star);
    forks("chain: fork in a generation", "exit of the last", &GENERATIONS, Shape::Chain);
    println!("  cited, Linux 6.18: star 31 to 55 us, flat; chain 77 us first, 1,269 us at 200");
    zygote();
    moves();
}

fn rounds(mut round: impl FnMut() -> f64) -> f64 {
    round();
    median((0..ROUNDS).map(|_| round()))
}

fn forks(name: &str, exit_name: &str, sizes: &[usize], shape: Shape) {
    let mut relatives = Relatives::new(*sizes.last().expect("some sizes"));
    let (mut fork_times, mut exit_times) = (Vec::new(), Vec::new());
    for size in sizes {
        relatives.grow(shape, *size);
        let of = relatives.next(shape);
        let pairs: Vec<_> = (0..ROUNDS).map(|_| relatives.fork_and_exit(of)).collect();
        fork_times.push(median(pairs.iter().map(|pair| pair.0)));
        exit_times.push(median(pairs.iter().map(|pair| pair.1)));
    }
    let mut bare = BareFamily::of(0);
    let joined = rounds(|| {
        let ((), time) = timed(|| (0..100).for_each(|_| bare.join()));
        time.as_secs_f64() * 1e7
    });
    growth(name, sizes, &fork_times);
    growth(exit_name, sizes, &exit_times);
    println!("  limit of the joining: {joined:.0} ns");
}

fn zygote() {
    let mut times = Vec::new();
    for size in RELATIVES {
        let mut relatives = Relatives::new(size);
        relatives.grow(Shape::Star, size);
        // The children are gone; their page stays with the parent, and has every right to be cheap.
        relatives.others.clear();
        times.push(rounds(|| relatives.there_and_back(&relatives.parent, 0)));
    }
    growth("zygote: move after its children have died", &RELATIVES, &times);
}

fn moves() {
    let (mut alone, mut new, mut shared, mut bare) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for size in RELATIVES {
        let mut relatives = Relatives::new(size + 2);
        relatives.grow(Shape::Star, size);
        relatives.touch(&relatives.parent, 1);
        let child = &relatives.others[size / 2];
        relatives.touch(child, 2);
        alone.push(rounds(|| relatives.there_and_back(child, 2)));
        new.push(rounds(|| relatives.there_and_back(&relatives.parent, 1)));
        let few = 1 + 1000 / size;
        let of_all = (0..few).map(|_| relatives.there_and_back(&relatives.parent, 0));
        shared.push(median(of_all) / (size + 1) as f64);
        let family = BareFamily::of(size + 1);
        let ((), walks) = timed(|| (0..few).for_each(|_| family.walk()));
        bare.push(walks.as_secs_f64() * 1e9 / (few * (size + 1)) as f64);
        assert!(relatives.memory.frames().total_free() >= AWAY, "all is back where it was");
    }
    growth("star: move of what one child has alone", &RELATIVES, &alone);
    growth("star: move of what the parent touched since", &RELATIVES, &new);
    growth("star: move of what all map, a member", &RELATIVES, &shared);
    growth("  limit: the walks, a member", &RELATIVES, &bare);
}

/// The times at each size, and how the last compares with the first.
fn growth(name: &str, sizes: &[usize], times: &[f64]) {
    let points: Vec<String> =
        sizes.iter().zip(times).map(|(size, time)| format!("{size}: {time:.0}")).collect();
    let grown = times[times.len() - 1] / times[0];
    println!("{name:<44} ns {}  growth {grown:.2}", points.join("  "));
}

/// One round for an instruction counter: a page that one of ten thousand children has alone moves,
/// or the parent forks beside them. The operations in it.
pub(crate) fn once(children: usize) -> u64 {
    let mut relatives = Relatives::new(children + 2);
    relatives.grow(Shape::Star, children);
    let child = &relatives.others[children / 2];
    relatives.touch(child, 2);
    let first = relatives.range.first_page() + 2;
    let range = VirtRange::new(first.start(), 1).expect("a page of the range");
    let moved = ops::migrate(child, range, NodeId(1));
    assert_eq!(moved, Moved { moved: 1, failed: 0 });
    1
}
