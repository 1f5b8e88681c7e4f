//! P8 and P9, whose copies are most of their time: the fork of pinned pages over a cold copy of 4
//! KiB that is fenced, and over the running kernel's; and the move of pages to another node over
//! such a copy. What a move takes without the copy is a count of instructions, over the lean
//! kernel's, where valgrind is present: it runs this program once more.
//!
//! The move has the wait of its flushes: one flush a page would be most of it.

use std::process::Command;
use std::sync::atomic::{Ordering, fence};
use std::time::Duration;

use pinfold::{NodeId, Pfn, Platform};

use crate::ops;
use crate::pairs::{Goal, Pairs, timed};
use crate::world::{Contents, Flush, Order, World, flushes_are};

#[cfg(target_os = "linux")]
mod kernel;

/// Sources and copies together are far larger than a last-level cache's share.
pub(crate) const COLD_PAGES: u64 = 8192;
pub(crate) const COLD_ROUNDS: usize = 9;

/// Frames for tables on a node of the machine whose pages move.
const OVERHEAD: u64 = 512;

const FORK: Goal = Goal { must: 1.6, stretch: 1.25 };
#[cfg(target_os = "linux")]
const FORK_KERNEL: Goal = Goal { must: 0.9, stretch: 0.7 };
const MOVE: Goal = Goal { must: 2.0, stretch: 1.5 };
const MOVE_LEAN: Goal = Goal { must: 0.6, stretch: 0.35 };

/// Instructions a page of the lean kernel's move, without the copy.
const LEAN: f64 = 4709.0;

pub(crate) fn run() {
    // Before there is a machine: the kernel's side forks again and again.
    #[cfg(target_os = "linux")]
    let kernel = kernel::Forker::start(COLD_PAGES as usize);
    fork();
    #[cfg(target_os = "linux")]
    match kernel {
        Ok(kernel) => fork_over(kernel),
        Err(why) => println!("P8 pinned fork over the running kernel's: no row, {why}"),
    }
    flushes_are(Flush::Interrupt);
    migrate();
    match counted() {
        Ok(count) => {
            let ratio = count / LEAN;
            let verdict = MOVE_LEAN.verdict(ratio);
            println!(
                "P9 move without the copy: {count:.0} instructions, ratio {ratio:.2}  {verdict}"
            );
        }
        Err(why) => println!("P9 move without the copy: no row, {why}"),
    }
}

/// Instructions a page of a move without the copy, which do not depend on the machine's load.
///
/// # Errors
/// When they cannot be counted: why.
fn counted() -> Result<f64, String> {
    let this = std::env::current_exe().map_err(|why| format!("this program is gone: {why}"))?;
    let ran = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--collect-atstart=no"])
        .arg("--toggle-collect=limits::ops::migrate*")
        .arg(this)
        .args(["--once", "migrate"])
        .output()
        .map_err(|why| format!("valgrind does not run: {why}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (pages, told) = (text(&ran.stdout), text(&ran.stderr));
    let count = told.split("Collected : ").nth(1).and_then(|rest| rest.split_whitespace().next());
    let number = |text: &str| text.trim().parse::<f64>().ok().filter(|number| *number > 0.0);
    match (count.and_then(number), number(&pages)) {
        (Some(count), Some(pages)) => Ok(count / pages),
        _ => Err("valgrind has counted nothing".to_owned()),
    }
}

/// A process whose pages were all written, on a machine with room for a copy of each, and frames
/// for [`Pairs::add_cold`].
fn pinnable() -> World {
    World::touched(COLD_PAGES, 6 * COLD_PAGES, Contents::Real, Order::Ascending)
}

/// A fork of pinned pages: its time, and where the copies are.
fn forked(world: &World) -> (Duration, Vec<Pfn>) {
    let (child, time) = timed(|| ops::fork(&world.space));
    let entry = |offset| child.entry(world.address(offset));
    (time, world.offsets().map(|offset| entry(offset).pfn()).collect())
}

fn fork() {
    let mut pairs = Pairs::new("P8 pinned fork over a fenced cold 4K copy", COLD_PAGES, FORK);
    for round in 0..COLD_ROUNDS {
        let world = pinnable();
        let _pins = ops::pin(&world.space, world.range);
        pairs.add_cold(&world, round, || forked(&world));
    }
    pairs.report();
}

/// The same beside the kernel's.
#[cfg(target_os = "linux")]
fn fork_over(mut kernel: kernel::Forker) {
    let mut pairs = Pairs::new("P8 pinned fork over the running kernel's", COLD_PAGES, FORK_KERNEL);
    for round in 0..COLD_ROUNDS {
        let world = pinnable();
        let _pins = ops::pin(&world.space, world.range);
        let ours = || {
            world.memory.platform().evict(&world.spare(2 * COLD_PAGES));
            let (time, copies) = forked(&world);
            assert!(world.frames().iter().zip(&copies).all(|(old, copy)| old != copy));
            time
        };
        let pair = match round.is_multiple_of(2) {
            true => (ours(), kernel.fork()),
            false => {
                let kernels = kernel.fork();
                (ours(), kernels)
            }
        };
        match pair {
            (ours, Ok(kernels)) => pairs.add(ours, kernels),
            (_, Err(why)) => {
                println!("P8 pinned fork over the running kernel's: no row, {why}");
                return;
            }
        }
    }
    pairs.report();
}

fn migrate() {
    let mut pairs = Pairs::new("P9 move over a fenced cold 4K copy", COLD_PAGES, MOVE);
    for round in 0..COLD_ROUNDS {
        let nodes = [6 * COLD_PAGES + OVERHEAD, COLD_PAGES + OVERHEAD];
        let world = World::on_nodes(COLD_PAGES, &nodes, Contents::Real);
        world.touch(Order::Ascending);
        let ours = || {
            let (moved, time) = timed(|| ops::migrate(&world.space, world.range, NodeId(1)));
            assert_eq!((moved.moved, moved.failed), (COLD_PAGES, 0));
            (time, world.frames())
        };
        pairs.add_cold(&world, round, ours);
    }
    pairs.report();
}

impl Pairs {
    /// Takes the pair of an operation that copies every page of the world, and of as many copies;
    /// neither always comes first. The operation gives its time and where the copies are. Both copy
    /// frames of one machine, each from and to frames of its own, that nothing has touched for
    /// several cache sizes.
    ///
    /// A bare loop of copies drains the stores of one page while it loads the next. No operation
    /// can: the entry that publishes the copy is ordered after it, and the locked operations of the
    /// next page wait for its stores. On one machine that overlap made the bare loop a quarter
    /// faster (647 against 853 ns), so the limit is a copy with a fence after it.
    pub(crate) fn add_cold(
        &mut self,
        world: &World,
        round: usize,
        mut ours: impl FnMut() -> (Duration, Vec<Pfn>),
    ) {
        let (sources, targets) = (world.spare(COLD_PAGES), world.spare(COLD_PAGES));
        let old = world.frames();
        let machine = world.memory.platform();
        for (value, frame) in (1..).zip(old.iter().chain(&sources)) {
            machine.word(*frame).store(value, Ordering::Relaxed);
        }
        machine.evict(&world.spare(2 * COLD_PAGES));
        let limit = || {
            let copy = |(from, to): (&Pfn, &Pfn)| {
                machine.copy_frame(*from, *to);
                fence(Ordering::SeqCst);
            };
            timed(|| sources.iter().zip(&targets).for_each(copy)).1
        };
        let ((time, copies), limit) = if round.is_multiple_of(2) {
            let ours = ours();
            (ours, limit())
        } else {
            let limit = limit();
            (ours(), limit)
        };
        self.add(time, limit);
        for (from, to) in old.iter().chain(&sources).zip(copies.into_iter().chain(targets)) {
            let read = |frame| machine.word(frame).load(Ordering::Relaxed);
            assert!(*from != to && read(*from) == read(to));
        }
    }
}
