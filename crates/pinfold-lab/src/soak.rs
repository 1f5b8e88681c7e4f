//! The demo of bug 215616 on real threads: processes whose threads roam over the nodes have command
//! buffers pinned, and write into them again and again, while devices read them through their pins,
//! and NUMA balancing, swap, same-page merging, compaction and forks work on the same memory. What
//! the rules in force make another harm than that bug is kept from the buffers (`harm`).
//!
//! Nothing is explored: the threads are the system's, and what they do follows from a seed but for
//! how they are scheduled. A corruption is a command that a device finds in its frame and that is
//! not the one its process wrote last; the first one ends the run, and is explained from the events
//! of its page. [`run`] has the threads work, watches them, and reports.
//!
//! Protocol: each thread is a CPU of the machine at a time (`pressure/board.rs`), with a cache of
//! translations; those of processes change the CPU (`cpus`), the others have one of their own.
//! The calling thread only watches. A thread that hangs is left behind, since nothing can end it,
//! and with it the machine. Otherwise one more thread looks at all buffers once more when the
//! others have ended, has all processes exit, and counts.
//!
//! Invariants:
//! - INV-SOAK-1: a word of a buffer is wrong only if the manager, or the rules, have lost it: a
//!   buffer is written by its process alone, and not while a device reads it.

mod buffer;
mod cpus;
mod device;
mod harm;
mod lane;
mod log;
mod plan;
mod report;
mod story;
mod tasks;
#[cfg(test)]
mod tests;
mod world;

use crate::pressure::FrameRow;
use crate::pressure::board::sit_at;
use crate::pressure::crew::{Crew, Watched};
use crate::pressure::desk::{Desk, Kind, Tally, Trouble};
use crate::pressure::ended::{Ended, Left, judged};
use crate::pressure::report::{each_second, rows};
use buffer::Process;
use lane::{Lane, Shared, look_at_all};
use log::Logs;
use plan::THREADS;
use report::is_bound;
use std::ops::ControlFlow;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};
use world::World;

pub use harm::Apart;
pub use plan::{Activity, Affinity, OtherHarms, SoakError, SoakPlan};
pub use report::{Corruption, Mapped, Moves, SoakReport};
pub use story::{Held, Told};

/// How far it has come.
#[derive(Clone, Copy, Debug)]
pub struct SoakBeat {
    /// Since the threads began.
    pub elapsed: Duration,
    /// Buffers that devices have read.
    pub buffers: u64,
    /// Pages that were moved.
    pub migrations: u64,
    /// Hinting faults.
    pub hint_faults: u64,
}

/// The machine, and what stands on it.
struct Stage {
    world: Arc<World>,
    processes: Arc<[Process]>,
    logs: Arc<Logs>,
    clock: Instant,
}

impl Stage {
    fn shared(&self, name: String) -> Shared {
        Shared {
            world: self.world.clone(),
            processes: self.processes.clone(),
            logs: self.logs.clone(),
            desk: Arc::new(Desk::new(name, self.clock)),
        }
    }

    /// The same, with the stage's own share of the processes.
    fn last(self, name: String) -> Shared {
        let Self { world, processes, logs, clock } = self;
        Shared { world, processes, logs, desk: Arc::new(Desk::new(name, clock)) }
    }
}

/// One more thread.
///
/// # Errors
/// When the system allows none.
fn enter(
    crew: &mut Crew,
    shared: Shared,
    run: impl FnOnce(Shared) + Send + 'static,
) -> Result<(), SoakError> {
    let desk = shared.desk.clone();
    let work = move || {
        let world = shared.world.clone();
        let _stops = world.stop.stops_all();
        run(shared);
    };
    crew.start(desk, work).map_err(SoakError::System)
}

/// Has processes and devices work, as planned, and reports. `observe` is called from time to time,
/// and may end it early.
///
/// After a hang the threads, and what they hold, are left as they are: the caller tells of it, and
/// ends the process.
///
/// # Errors
/// When the plan cannot be carried out.
pub fn run(
    plan: &SoakPlan,
    mut observe: impl FnMut(&SoakBeat) -> ControlFlow<()>,
) -> Result<SoakReport, SoakError> {
    plan.check()?;
    harm::has_room(plan)?;
    let world = Arc::new(World::new(plan)?);
    let (processes, logs) = world.settle()?;
    let stage = Stage { world, processes, logs, clock: Instant::now() };
    let mut crew = Crew::default();
    if let Err(why) = start(&stage, &mut crew) {
        stage.world.stop.halt();
        return Err(why);
    }
    let world = stage.world.clone();
    let (began, mut worked, mut early) = (Instant::now(), None, false);
    let work = |crew: &Crew, elapsed: Duration| Work {
        seconds: elapsed.as_secs_f64(),
        tally: crew.tally(),
        moves: world.moves(),
    };
    let watched = crew.watch(plan.patience, || {
        let elapsed = began.elapsed();
        let moves = world.moves();
        let asked = observe(&SoakBeat {
            elapsed,
            buffers: crew.tally().row(Kind::DeviceRead).done,
            migrations: moves.pgmigrate_success,
            hint_faults: moves.numa_hint_faults,
        });
        if worked.is_none() && (asked.is_break() || world.stop.is_over() || elapsed >= plan.time) {
            early = asked.is_break() && elapsed < plan.time && !world.stop.is_over();
            worked = Some(work(&crew, elapsed));
            world.stop.halt();
        }
    });
    let worked = worked.unwrap_or_else(|| work(&crew, began.elapsed()));
    let (tally, panics) = (crew.tally(), crew.join());
    let mut ended = Ended { early, worked, tally, panics, ..Ended::default() };
    match watched {
        Watched::Hung(hung) => {
            // The others end by themselves.
            world.stop.halt();
            ended.hung = hung;
        }
        Watched::Ended => ended.look_back(plan, stage)?,
    }
    Ok(ended.report(plan, &world))
}

/// Starts all threads.
fn start(stage: &Stage, crew: &mut Crew) -> Result<(), SoakError> {
    let plan = &stage.world.plan;
    for process in 0..plan.processes as usize {
        for thread in 0..THREADS {
            let name = format!("process {process}, thread {thread}");
            let run = move |shared| Lane::new(shared, (process, thread)).work();
            enter(crew, stage.shared(name), run)?;
        }
    }
    let mut cpu = stage.world.cpus.count();
    for device in 0..plan.devices as usize {
        let run = move |shared: Shared| device::serve(&shared, (device, cpu));
        enter(crew, stage.shared(format!("device {device}")), run)?;
        cpu += 1;
    }
    for activity in Activity::ALL.into_iter().filter(|each| plan.goes_on(*each)) {
        if matches!(activity, Activity::Balancing | Activity::Forks) {
            // The processes' own threads do these.
            continue;
        }
        let run = move |shared: Shared| tasks::go_on(&shared, activity, cpu);
        enter(crew, stage.shared(activity.name().to_owned()), run)?;
        cpu += 1;
    }
    Ok(())
}

/// What had been done when the threads were to stop.
#[derive(Default)]
struct Work {
    seconds: f64,
    tally: Tally,
    moves: Moves,
}

impl Ended<Work> {
    /// Has a thread look at all buffers once more, let all processes exit, and count what is left.
    ///
    /// # Errors
    /// When there can be no such thread.
    fn look_back(&mut self, plan: &SoakPlan, stage: Stage) -> Result<(), SoakError> {
        let (tell, told) = mpsc::channel();
        let mut crew = Crew::default();
        let last = stage.world.last_cpu();
        let run = move |shared: Shared| {
            sit_at(last);
            look_at_all(&shared);
            let Shared { world, processes, desk, .. } = shared;
            let exit = || {
                drop(processes);
                Ok::<_, Trouble>(Left::of(&world.memory, world.swap))
            };
            if let Ok(left) = desk.carry_out(Kind::Exit, exit) {
                // Nobody listens after a hang.
                drop(tell.send(left));
            }
        };
        enter(&mut crew, stage.last("the last look".to_owned()), run)?;
        self.close(crew, plan.patience, &told);
        Ok(())
    }

    /// Why it shows less than it should.
    fn doubts_of(&self, plan: &SoakPlan) -> Vec<String> {
        let Work { tally, moves, .. } = &self.worked;
        let mut doubts = self.doubts();
        if tally.row(Kind::DeviceRead).done == 0 {
            doubts.push("no device has read a buffer: give it more time, or frames".to_owned());
        }
        if plan.goes_on(Activity::Balancing) && moves.numa_hint_faults == 0 {
            doubts.push("NUMA balancing caused no fault: give it more time".to_owned());
        }
        doubts
    }

    fn report(self, plan: &SoakPlan, world: &World) -> SoakReport {
        let (corruptions, first, unexpected) = world.findings();
        let pages = if corruptions == 1 { "page is" } else { "pages are" };
        let wrong = || format!("{corruptions} {pages} not what the process wrote");
        let machine = (&*world.board().bugs(), world.free_at_start);
        let failures = self.failures((corruptions > 0).then(wrong), unexpected, machine);
        let (verdict, reasons) = judged(failures, || self.doubts_of(plan));
        let Work { seconds, tally: worked, moves } = self.worked;
        SoakReport {
            verdict,
            reasons,
            rules: plan.rules.to_string(),
            seed: plan.seed,
            processes: plan.processes,
            threads: THREADS,
            devices: plan.devices,
            nodes: plan.nodes,
            affinity: is_bound(plan.affinity),
            without: plan.left_out(),
            apart: match plan.others {
                OtherHarms::KeptApart => world.harms.iter().map(|h| h.told(&plan.rules)).collect(),
                OtherHarms::Strike => Vec::new(),
            },
            seconds,
            buffers_checked: self.tally.row(Kind::DeviceRead).done,
            pages_checked: self.tally.checked,
            migrations_each_second: each_second(moves.pgmigrate_success, seconds),
            hint_faults_each_second: each_second(moves.numa_hint_faults, seconds),
            corruptions,
            first,
            counted: world.moves(),
            frames: FrameRow {
                all: plan.frames,
                free_at_start: world.free_at_start,
                free_at_end: self.left.as_ref().map(|left| left.free),
            },
            slots_at_end: self.left.as_ref().map(|left| left.slots),
            operations: rows(&self.tally, (&worked, seconds)),
            hung: self.hung,
        }
    }
}
