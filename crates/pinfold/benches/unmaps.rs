//! P6, P9 and what a process costs that ends: the pair of map and unmap beside the kernel's, and
//! the flushes and instructions of an exit and of a migration.

use pinfold::{NodeId, Place, Prot, Sharing, VirtAddr};

use crate::ops;
use crate::pairs::{Goal, Pairs, timed};
use crate::world::{Contents, Order, World};

/// Pages of a gibibyte.
pub(crate) const GIB: u64 = 1 << 18;
/// Pages of the 128 MiB that a pair maps.
const PAIR_PAGES: u64 = 1 << 15;
/// Other areas in the address space of a pair.
const AREAS: u64 = 1000;
/// Pages that are moved.
const MOVED_PAGES: u64 = 8192;
const PAIRS_A_ROUND: u64 = 64;
const ROUNDS: usize = 41;
const OVERHEAD: u64 = 512;

const PAIR: Goal = Goal { must: 0.5, stretch: 0.25 };

pub(crate) fn run() {
    #[cfg(unix)]
    pair();
    let pages = ends(GIB);
    println!("exit of a space with {GIB} pages: {} flushes, {:.1} ns a page", pages.0, pages.1);
    let one = ends(1);
    println!("exit of a space with one page: {} flushes, {:.0} ns", one.0, one.1);
    let (flushes, nanos) = moves();
    println!("P9 move of {MOVED_PAGES} pages: {flushes} flushes, {nanos:.1} ns a page");
}

/// A space with many small areas, each apart from the next.
fn crowded() -> World {
    let world = World::new(1, 1, Contents::Skipped);
    for area in 0..AREAS {
        let at = Place::At(VirtAddr((1 << 30) + area * 8192));
        world.space.map(at, 1, Prot::READ, Sharing::Private).expect("a free place");
    }
    world
}

/// Pairs of map and unmap, beside those of the running kernel in a process with as many areas. The
/// kernel's include the way into the kernel and back.
#[cfg(unix)]
fn pair() {
    let world = crowded();
    let neighbours: Vec<Real> = (0..AREAS).map(|_| Real::map(2)).collect();
    for neighbour in &neighbours {
        neighbour.split();
    }
    let mut pairs = Pairs::new("P6 map+unmap of 128M, kernel as limit", PAIRS_A_ROUND, PAIR);
    for _ in 0..ROUNDS {
        let ours = timed(|| (0..PAIRS_A_ROUND).for_each(|_| ops::pair(&world.space, PAIR_PAGES)));
        let kernels =
            timed(|| (0..PAIRS_A_ROUND).for_each(|_| drop(Real::map(PAIR_PAGES as usize))));
        pairs.add(ours.1, kernels.1);
    }
    assert_eq!(world.space.areas() as u64, AREAS + 1);
    pairs.report();
}

/// Memory of this process that is mapped without being touched.
#[cfg(unix)]
struct Real {
    at: *mut libc::c_void,
    bytes: usize,
}

#[cfg(unix)]
impl Real {
    fn map(pages: usize) -> Self {
        let bytes = pages * 4096;
        let (prot, flags) = (libc::PROT_READ, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a new mapping, away from all others.
        let at = unsafe { libc::mmap(std::ptr::null_mut(), bytes, prot, flags, -1, 0) };
        assert_ne!(at, libc::MAP_FAILED, "the kernel has no room");
        Self { at, bytes }
    }

    /// Lets the first page be an area of its own.
    fn split(&self) {
        // SAFETY: the pages are this value's, and nobody uses them.
        let failed = unsafe { libc::mprotect(self.at, 4096, libc::PROT_NONE) };
        assert_eq!(failed, 0, "the kernel refuses to split an area");
    }
}

#[cfg(unix)]
impl Drop for Real {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's, and nobody uses it.
        unsafe { libc::munmap(self.at, self.bytes) };
    }
}

/// Flushes of an exit of a space with so many touched pages, and its time a page.
fn ends(pages: u64) -> (u64, f64) {
    let World { memory, space, .. } = touched(pages);
    let before = memory.platform().flushes();
    let ((), time) = timed(|| ops::exit(space));
    let flushes = memory.platform().flushes() - before;
    (flushes, time.as_secs_f64() * 1e9 / pages as f64)
}

fn touched(pages: u64) -> World {
    World::touched(pages, pages + pages / 256, Contents::Skipped, Order::Ascending)
}

/// Pages on one node, and frames for them on the other.
fn movable() -> World {
    let nodes = [MOVED_PAGES + OVERHEAD, MOVED_PAGES + OVERHEAD];
    let world = World::on_nodes(MOVED_PAGES, &nodes, Contents::Skipped);
    world.touch(Order::Ascending);
    world
}

/// Flushes of a move of all pages to another node, and its time a page.
fn moves() -> (u64, f64) {
    let world = movable();
    let before = world.memory.platform().flushes();
    let (moved, time) = timed(|| ops::migrate(&world.space, world.range, NodeId(1)));
    assert_eq!((moved.moved, moved.failed), (MOVED_PAGES, 0));
    let flushes = world.memory.platform().flushes() - before;
    (flushes, time.as_secs_f64() * 1e9 / MOVED_PAGES as f64)
}

/// One round for an instruction counter; one operation, which is not divided by pages.
pub(crate) fn once_pair() -> u64 {
    ops::pair(&crowded().space, PAIR_PAGES);
    1
}

/// The same for an exit; the pages of the space.
pub(crate) fn once_exit(pages: u64) -> u64 {
    ops::exit(touched(pages).space);
    pages
}

/// The same for a move; the pages that moved.
pub(crate) fn once_migrate() -> u64 {
    let world = movable();
    ops::migrate(&world.space, world.range, NodeId(1)).moved
}
