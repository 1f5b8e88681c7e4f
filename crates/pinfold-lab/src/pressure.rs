//! Memory pressure on real threads: processes that have three times the machine's memory, and a
//! file and shared memory that all have mapped, load, store, fork and exit, devices pin their
//! pages, and reclaim takes these away all the while, to a swap device that may fail now and then.
//!
//! Nothing is explored: the threads are the system's, and what they do follows from a seed but for
//! how they are scheduled. Each thread knows what it wrote, and looks at it again, until after the
//! last operation. [`run`] has the threads work, watches them, and reports.
//!
//! Protocol: each working thread is a CPU of the machine (`board`), and so is who reclaims in the
//! background. The calling thread only watches: what each does now (`desk`), and for how long. A
//! thread that hangs is left behind, since nothing can end it, and with it the machine. Otherwise
//! one more thread looks at every page of every process once more when the others have ended, has
//! all processes exit, and counts.
//!
//! Invariants:
//! - INV-SHORT-1: a word is wrong only if the manager, or the rules, have lost or mixed it: no
//!   two threads write a word (INV-STAMP-1), and whoever drops a page has all threads forget it.

pub(crate) mod board;
pub(crate) mod crew;
pub(crate) mod desk;
mod devices;
pub(crate) mod dice;
pub(crate) mod drive;
pub(crate) mod ended;
mod files;
mod filing;
mod low;
mod plan;
pub(crate) mod report;
mod stamp;
mod steps;
#[cfg(test)]
mod tests;
mod worker;
mod world;

use crate::counted::counted;
use board::{NODES, locked, sit_at};
use crew::{Crew, Watched};
use desk::{Desk, Kind, Tally, Trouble};
use drive::Gauge;
use ended::{Ended, Left, judged};
use pinfold::NodeId;
use report::{each_second, rows, zone_rows};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};
use steps::Looks;
use worker::Worker;
use world::{Seat, World};

pub use desk::Hung;
pub use drive::Transfers;
pub use plan::{Plan, PressureError, SwapMedium};
pub use report::{Counted, FrameRow, OperationRow, PressureReport, SwapRow, ZoneRow};
pub use world::Wrong;

/// What the background thread waits between two looks at the free frames.
const NAP: Duration = Duration::from_millis(1);

/// How far it has come.
#[derive(Clone, Copy, Debug)]
pub struct Beat {
    /// Since the threads began.
    pub elapsed: Duration,
    /// Operations that have ended.
    pub operations: u64,
    /// What the swap device has done.
    pub transfers: Transfers,
}

/// Puts a machine under pressure, as planned, and reports. `observe` is called from time to time,
/// and may end it early.
///
/// After a hang the threads, and what they hold, are left as they are: the caller tells of it, and
/// ends the process.
///
/// # Errors
/// When the plan cannot be carried out.
pub fn run(
    mut plan: Plan,
    mut observe: impl FnMut(&Beat) -> ControlFlow<()>,
) -> Result<PressureReport, PressureError> {
    plan.check()?;
    let medium = match &plan.medium {
        SwapMedium::Memory => "memory",
        SwapMedium::File(_) => "file",
    };
    let (gauge, clock) = (Gauge::default(), Instant::now());
    let store = World::medium(&mut plan)?;
    let world = Arc::new(World::new(&plan, store, gauge.clone())?);
    let seats = world.settle(plan.processes)?;
    let mut crew = Crew::default();
    if let Err(why) = start(&plan, (&world, &seats), &mut crew, clock) {
        world.stop.halt();
        return Err(why);
    }
    let (began, mut worked, mut early) = (Instant::now(), None, false);
    let work = |crew: &Crew, elapsed: Duration| Work {
        seconds: elapsed.as_secs_f64(),
        tally: crew.tally(),
        transfers: gauge.transfers(),
    };
    let watched = crew.watch(plan.patience, || {
        let elapsed = began.elapsed();
        let operations = crew.tally().ended();
        let asked = observe(&Beat { elapsed, operations, transfers: gauge.transfers() });
        if worked.is_none() && (asked.is_break() || world.stop.is_over() || elapsed >= plan.time) {
            early = asked.is_break() && elapsed < plan.time;
            worked = Some(work(&crew, elapsed));
            world.stop.halt();
        }
    });
    let worked = worked.unwrap_or_else(|| work(&crew, began.elapsed()));
    let (tally, panics) = (crew.tally(), crew.join());
    let mut ended = Ended { early, worked, tally, panics, ..Ended::default() };
    match watched {
        Watched::Hung(hung) => ended.hung = hung,
        Watched::Ended => ended.look_back(&plan, (&world, seats), clock)?,
    }
    Ok(ended.report(&plan, &world, (medium, gauge.transfers())))
}

/// Starts all threads.
fn start(
    plan: &Plan,
    (world, seats): (&Arc<World>, &Arc<[Seat]>),
    crew: &mut Crew,
    clock: Instant,
) -> Result<(), PressureError> {
    for number in 0..world.threads {
        let desk = Arc::new(Desk::new(format!("thread {number}"), clock));
        let worker = Worker::new((world.clone(), seats.clone()), desk.clone(), number, plan.seed);
        crew.start(desk, move || {
            sit_at(number);
            let world = worker.world.clone();
            let _stops = world.stop.stops_all();
            worker.work();
        })
        .map_err(PressureError::System)?;
    }
    let desk = Arc::new(Desk::new("the reclaimer".to_owned(), clock));
    let (world, own) = (world.clone(), desk.clone());
    crew.start(desk, move || {
        sit_at(world.threads);
        let _stops = world.stop.stops_all();
        reclaim(&world, &own);
    })
    .map_err(PressureError::System)
}

/// What the background thread does for each node (Linux: kswapd); it looks at the slots, too.
fn reclaim(world: &World, desk: &Desk) {
    while !world.stop.is_over() {
        world.flush(desk);
        for node in (0..NODES).map(NodeId) {
            let balance = || {
                world.note_slots();
                let low = world.memory.is_low(node);
                // One that frees nothing is as good as any: pages are pinned, or the device fails.
                low.then(|| world.memory.balance(node)).ok_or(Trouble::Nothing)
            };
            drop(desk.carry_out(Kind::Reclaim, balance));
        }
        thread::sleep(NAP);
    }
}

/// What had been done when the threads were to stop.
#[derive(Default)]
struct Work {
    seconds: f64,
    tally: Tally,
    transfers: Transfers,
}

impl Ended<Work> {
    /// Has a thread look at everything once more, let all processes exit, and count what is left.
    ///
    /// # Errors
    /// When there can be no such thread.
    fn look_back(
        &mut self,
        plan: &Plan,
        (world, seats): (&Arc<World>, Arc<[Seat]>),
        clock: Instant,
    ) -> Result<(), PressureError> {
        let (tell, told) = mpsc::channel();
        let desk = Arc::new(Desk::new("the last look".to_owned(), clock));
        let (world, own, mut crew) = (world.clone(), desk.clone(), Crew::default());
        crew.start(desk, move || {
            sit_at(world.threads);
            look_at_all(&world, &seats, &own);
            world.look_at_files(&own);
            let exit = || {
                drop(seats);
                world.filed.end();
                world.shared.end();
                Ok::<_, Trouble>(Left::of(&world.memory, Some(world.swap)))
            };
            if let Ok(left) = own.carry_out(Kind::Exit, exit) {
                // Nobody listens after a hang.
                drop(tell.send(left));
            }
        })
        .map_err(PressureError::System)?;
        self.close(crew, plan.patience, &told);
        Ok(())
    }

    /// Why it shows less than it should.
    fn doubts_of(&self, plan: &Plan, most: u64, transfers: &Transfers) -> Vec<String> {
        let mut doubts = self.doubts();
        if transfers.read == 0 {
            doubts.push("no page came back from swap: give it more time".to_owned());
        }
        if most < plan.frames {
            doubts.push(format!(
                "only {} on swap at a time, less than fit into memory: give it more time",
                counted(most, "page was", "pages were")
            ));
        }
        if plan.fail_every.is_some() && transfers.reads_failed + transfers.writes_failed == 0 {
            doubts.push("no transfer failed: let one of fewer fail".to_owned());
        }
        doubts
    }

    fn report(
        self,
        plan: &Plan,
        world: &World,
        (medium, transfers): (&'static str, Transfers),
    ) -> PressureReport {
        let (wrong, wrongs, mut unexpected) = world.findings();
        let zones =
            zone_rows(&world.zones_at_start, self.left.as_ref().map(|left| &left.zones[..]));
        unexpected.extend(zones.iter().filter_map(lost));
        let found = (wrongs > 0).then(|| {
            let wrongs = counted(wrongs, "word is", "words are");
            format!("{wrongs} not what their writer wrote")
        });
        let machine = (&*world.board().bugs(), world.free_at_start);
        let failures = self.failures(found, unexpected, machine);
        let counted = Counted::of(&world.memory.stats());
        let doubts = || {
            let mut doubts = self.doubts_of(plan, world.most_slots(), &transfers);
            if counted.pgsteal_file == 0 {
                doubts.push("no page of a file was reclaimed: give it more time".to_owned());
            }
            if plan.low > 0 && counted.allocstall_dma32 == 0 {
                doubts.push("nobody reclaimed below 4 GiB: give it more time".to_owned());
            }
            doubts
        };
        let (verdict, reasons) = judged(failures, doubts);
        PressureReport {
            verdict,
            reasons,
            rules: plan.rules.to_string(),
            seed: plan.seed,
            threads: plan.threads,
            processes: plan.processes,
            pages: plan.pages(),
            seconds: self.worked.seconds,
            frames: FrameRow {
                all: plan.frames,
                free_at_start: world.free_at_start,
                free_at_end: self.left.as_ref().map(|left| left.free),
            },
            zones,
            swap: SwapRow {
                medium,
                slots: plan.slots(),
                fail_every: plan.fail_every,
                transfers,
                written_each_second: each_second(
                    self.worked.transfers.written,
                    self.worked.seconds,
                ),
                read_each_second: each_second(self.worked.transfers.read, self.worked.seconds),
                most_in_use: world.most_slots(),
                in_use_at_end: self.left.as_ref().map(|left| left.slots),
            },
            operations: rows(&self.tally, (&self.worked.tally, self.worked.seconds)),
            counted,
            checked: self.tally.checked,
            wrongs,
            wrong,
            hung: self.hung,
        }
    }
}

/// What is wrong with the frames of a zone at the end, if anything is.
fn lost(zone: &ZoneRow) -> Option<String> {
    let ZoneRow { node, zone: name, free_at_start, .. } = zone;
    let free = zone.free_at_end.filter(|free| free != free_at_start)?;
    let free = counted(free, "frame is", "frames are");
    Some(format!("{free} free at the end in {name} of node {node}, of {free_at_start}"))
}

/// All lanes of all pages.
fn look_at_all(world: &World, seats: &[Seat], desk: &Desk) {
    let looks = Looks { world, desk };
    for seat in seats {
        let process = seat.read();
        for (thread, known) in process.known.iter().enumerate() {
            let known = locked(known);
            for page in 0..world.pages {
                looks.last(thread, (&process.space, process.area), &known, page);
            }
        }
    }
}
