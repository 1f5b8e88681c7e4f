//! Swap without a device: pages that leave, come back, and leave once more as the device has them;
//! over the bare loops, and beside the running kernel where it has swap.
//!
//! The kernel's pages are full of zeros, which it neither writes nor reads since 6.12, but looks
//! through and clears. Its part has the exceptions and system calls. It does not tell what became
//! of a page on its way, so mincore is asked whether all have left, and without that there is no
//! row.

use pinfold::{Cause, Fault, Reclaimer, SwapWrites};

use crate::bare::{Bare, Swapped};
use crate::files::Sink;
use crate::ops;
use crate::pairs::{Pairs, timed};
use crate::world::{Contents, Order, World};

const PAGES: u64 = 4096;
const ROUNDS: usize = 41;

/// A process whose pages are dirty, on a machine with so much swap that it never is short.
fn dirty() -> World {
    let world = World::touched(PAGES, PAGES, Contents::Skipped, Order::Ascending);
    let swap = world.memory.swap_on(Box::new(Sink), 4 * PAGES, SwapWrites::Any);
    swap.expect("the heap holds its slots");
    world
}

/// Takes all pages out, of which so many have to be written.
fn leave(world: &World, writes: u64) {
    let before = world.memory.stats().pswpout;
    assert_eq!(ops::page_out(&world.space, world.range), PAGES);
    assert_eq!(world.memory.stats().pswpout - before, writes);
}

/// Has all pages read, so that they are in the swap cache, and clean.
fn come_back(world: &World) {
    assert_eq!(ops::fault_all(&world.space, world.range, Cause::Load, Fault::SwappedIn), PAGES);
}

/// What an instruction counter looks at.
pub(crate) const OPERATIONS: [&str; 3] = ["swap-out", "swap-in", "swap-clean"];

/// One round of an operation; its pages. What comes before it is another function, or nothing.
pub(crate) fn once(operation: &str) -> u64 {
    let world = dirty();
    match operation {
        "swap-out" => leave(&world, PAGES),
        "swap-in" => {
            leave(&world, PAGES);
            come_back(&world);
        }
        _ => {
            // Not by the function that is measured.
            let out = world.space.page_out(world.range, Reclaimer::Pressure);
            assert_eq!(out.freed, PAGES);
            come_back(&world);
            leave(&world, 0);
        }
    }
    PAGES
}

pub(crate) fn run() {
    let names =
        ["swap-out of dirty pages", "swap-in by loads", "reclaim of clean pages in the swap cache"];
    let [mut out, mut back, mut clean] = names.map(|name| Pairs::without_goal(name, PAGES));
    for _ in 0..ROUNDS {
        let world = dirty();
        let bare = Bare::mirror(&world.frames());
        let ((), taken) = timed(|| leave(&world, PAGES));
        let ((), limit) = timed(|| bare.swap_out(Swapped::Dirty));
        assert!(bare.has(0, 0));
        out.add(taken, limit);
        let ((), taken) = timed(|| come_back(&world));
        let ((), limit) = timed(|| bare.swap_in());
        assert!(bare.has(2, 1));
        back.add(taken, limit);
        let ((), taken) = timed(|| leave(&world, 0));
        let ((), limit) = timed(|| bare.swap_out(Swapped::Clean));
        assert!(bare.has(0, 0));
        clean.add(taken, limit);
    }
    [out, back, clean].iter().for_each(Pairs::report);
    #[cfg(target_os = "linux")]
    real::beside_the_kernel();
}

#[cfg(target_os = "linux")]
mod real {
    //! The running kernel's.

    use super::{PAGES, ROUNDS, come_back, dirty, leave};
    use crate::pairs::{Goal, Pairs, timed};

    /// There is none for swap.
    const GOAL: Goal = Goal { must: 1.0, stretch: 0.5 };

    const BYTES: usize = PAGES as usize * 4096;

    /// Private memory.
    struct Mapped(*mut u8);

    impl Mapped {
        /// All pages dirty, and full of zeros.
        fn dirty() -> Self {
            let (prot, flags) =
                (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
            // SAFETY: a new mapping, away from all others.
            let at = unsafe { libc::mmap(std::ptr::null_mut(), BYTES, prot, flags, -1, 0) };
            assert_ne!(at, libc::MAP_FAILED, "the kernel has no room");
            // SAFETY: it is a whole mapping. A kernel without huge pages refuses, and has none.
            unsafe { libc::madvise(at, BYTES, libc::MADV_NOHUGEPAGE) };
            let mapped = Self(at.cast());
            // SAFETY: the words are the mapping's, which nobody else uses.
            mapped.words(|word| unsafe { word.write_volatile(0) });
            mapped
        }

        fn words(&self, run: impl Fn(*mut u8)) {
            // SAFETY: within the mapping.
            (0..BYTES).step_by(4096).for_each(|offset| run(unsafe { self.0.add(offset) }));
        }

        fn leave(&self) {
            // SAFETY: the mapping is this value's.
            unsafe { libc::madvise(self.0.cast(), BYTES, libc::MADV_PAGEOUT) };
        }

        fn come_back(&self) {
            // SAFETY: the words are the mapping's, which nobody else uses.
            self.words(|word| _ = unsafe { word.read_volatile() });
        }

        /// How many pages are in memory.
        fn resident(&self) -> usize {
            let mut pages = vec![0_u8; PAGES as usize];
            // SAFETY: as many bytes as the mapping has pages.
            let failed = unsafe { libc::mincore(self.0.cast(), BYTES, pages.as_mut_ptr()) };
            assert_eq!(failed, 0, "the mapping is there");
            pages.iter().filter(|page| **page & 1 == 1).count()
        }
    }

    impl Drop for Mapped {
        fn drop(&mut self) {
            // SAFETY: the mapping is this value's, and nobody uses it.
            unsafe { libc::munmap(self.0.cast(), BYTES) };
        }
    }

    /// The same in turns. A kernel with a swap device whose reads return at once keeps no page in
    /// the swap cache: then its third row is another swap-out.
    pub(super) fn beside_the_kernel() {
        let names = [
            "swap-out of dirty pages, kernel as limit",
            "swap-in by loads, kernel as limit",
            "reclaim of clean pages, kernel as limit",
        ];
        let [mut out, mut back, mut clean] = names.map(|name| Pairs::new(name, PAGES, GOAL));
        for _ in 0..ROUNDS {
            let (world, real) = (dirty(), Mapped::dirty());
            let ((), taken) = timed(|| leave(&world, PAGES));
            let ((), limit) = timed(|| real.leave());
            if real.resident() > 0 {
                println!("(no swap on the running kernel, so that its pages stay: no rows)");
                return;
            }
            out.add(taken, limit);
            let ((), taken) = timed(|| come_back(&world));
            let ((), limit) = timed(|| real.come_back());
            assert_eq!(real.resident(), PAGES as usize);
            back.add(taken, limit);
            let ((), taken) = timed(|| leave(&world, 0));
            let ((), limit) = timed(|| real.leave());
            assert_eq!(real.resident(), 0, "they left once");
            clean.add(taken, limit);
        }
        [out, back, clean].iter().for_each(Pairs::report);
    }
}
