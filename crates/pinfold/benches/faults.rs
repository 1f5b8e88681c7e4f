//! P5: the fault path without clear and copy, in time; and the copy fault over a cold copy of 4 KiB
//! that is fenced.
//!
//! The goal of the first is in instructions, which `instructions.sh` counts.

use pinfold::{AddressSpace, Cause, Fault};

use crate::cold::{COLD_PAGES, COLD_ROUNDS};
use crate::ops;
use crate::pairs::{Goal, Pairs, median, timed};
use crate::world::{Contents, Machine, Order, World};

const PAGES: u64 = 4096;
const ROUNDS: usize = 41;

const COLD: Goal = Goal { must: 1.3, stretch: 1.1 };

/// A way through the fault handler.
#[derive(Clone, Copy)]
pub(crate) enum Path {
    Zero,
    FirstTouch,
    Reuse,
    Copy,
}

impl Path {
    pub(crate) const ALL: [(&'static str, Self); 4] = [
        ("zero", Self::Zero),
        ("touch", Self::FirstTouch),
        ("reuse", Self::Reuse),
        ("copy", Self::Copy),
    ];

    /// A process of which every page is about to fault like that, and the child that keeps its
    /// pages shared.
    fn prepare(
        self,
        contents: Contents,
        pages: u64,
        frames: u64,
    ) -> (World, Option<AddressSpace<Machine>>) {
        let touched = || World::touched(pages, frames, contents, Order::Ascending);
        match self {
            Self::Zero | Self::FirstTouch => (World::new(pages, frames, contents), None),
            Self::Reuse => {
                let world = touched();
                drop(world.space.fork().expect("frames for tables"));
                (world, None)
            }
            Self::Copy => {
                let world = touched();
                let child = world.space.fork().expect("frames for tables");
                (world, Some(child))
            }
        }
    }

    fn expected(self) -> (Cause, Fault) {
        match self {
            Self::Zero => (Cause::Load, Fault::ZeroPage),
            Self::FirstTouch => (Cause::Store, Fault::FirstTouch),
            Self::Reuse => (Cause::Store, Fault::Reused),
            Self::Copy => (Cause::Store, Fault::Copied),
        }
    }

    /// Faults on every page; the time.
    fn fault(self, world: &World) -> std::time::Duration {
        let (cause, wanted) = self.expected();
        let (done, time) = timed(|| ops::fault_all(&world.space, world.range, cause, wanted));
        assert_eq!(done, world.range.pages());
        self.check(world);
        time
    }

    fn check(self, world: &World) {
        for offset in world.offsets() {
            let pte = world.space.entry(world.address(offset));
            match self {
                Self::Zero => assert!(pte.is_special() && !pte.is_writable()),
                _ => {
                    assert!(pte.is_writable() && pte.is_dirty());
                    let counts = world.memory.frames().counts(pte.pfn());
                    assert!(counts.is_exclusive() && counts.maps() == 1, "{counts}");
                }
            }
        }
    }
}

/// Populates untouched memory; how many pages.
pub(crate) fn once_populate() -> u64 {
    let world = World::new(PAGES, 2 * PAGES, Contents::Skipped);
    ops::populate(&world.space, world.range);
    Path::FirstTouch.check(&world);
    PAGES
}

pub(crate) fn run() {
    for (name, path) in Path::ALL {
        let times = (0..ROUNDS).map(|_| {
            let (world, _child) = path.prepare(Contents::Skipped, PAGES, 2 * PAGES);
            path.fault(&world).as_secs_f64() * 1e9 / PAGES as f64
        });
        let time = median(times);
        println!("P5 fault, {name}, bookkeeping only {time:9.1} ns");
    }
    cold_copy();
}

/// Both copy frames of one machine ([`Pairs::add_cold`]).
fn cold_copy() {
    let mut fault = Pairs::new("P5 copy fault over a fenced cold 4K copy", COLD_PAGES, COLD);
    for round in 0..COLD_ROUNDS {
        let (world, _child) = Path::Copy.prepare(Contents::Real, COLD_PAGES, 6 * COLD_PAGES);
        let ours = || (Path::Copy.fault(&world), world.frames());
        fault.add_cold(&world, round, ours);
    }
    fault.report();
}

/// One round for an instruction counter; the pages it handles.
pub(crate) fn once(path: Path) -> u64 {
    let (world, _child) = path.prepare(Contents::Skipped, PAGES, 2 * PAGES);
    path.fault(&world);
    PAGES
}
