//! What the system does to the processes' memory meanwhile, each by a thread of its own.
//!
//! The pages of buffers are moved and taken away beside all that a process does with them, but not
//! in the moment in which they are pinned ([`super::buffer`]). Up to 5.10 reclaim takes a page that
//! is pinned, too (rule `swap-pinned`), and a write parts it from its device with or without NUMA
//! balancing: under these rules pageout leaves buffers alone, so that what is found is bug 215616.

use super::buffer::Process;
use super::lane::Shared;
use super::plan::{Activity, Affinity, BUFFERS, DATA_PAGES};
use crate::pressure::board::{Board, sit_at};
use crate::pressure::desk::{Kind, Trouble};
use crate::pressure::dice::Dice;
use pinfold::rules::swap::keeps_pinned;
use pinfold::{Merger, NodeId, Reclaimer};
use std::thread;
use std::time::Duration;

/// What each waits between two of its steps.
const NAP: Duration = Duration::from_micros(200);

/// Pages of data that are moved or taken away together.
const RUN: u64 = 8;

/// Pages that same-page merging looks at in one step.
const MERGES: u64 = 64;

/// Does what the activity is, on this CPU, until all is over.
pub(super) fn go_on(shared: &Shared, activity: Activity, cpu: usize) {
    sit_at(cpu);
    let dice = Dice::new(shared.world.plan.seed ^ (cpu as u64) << 32);
    let mut task = Task { shared, dice, merger: None };
    while !shared.world.stop.is_over() {
        match activity {
            Activity::Balancing => task.carry_out(Kind::ScanAll, Task::scan),
            Activity::Swap => task.carry_out(Kind::PageOut, Task::page_out),
            Activity::Merging => task.carry_out(Kind::Merge, Task::merge),
            Activity::Compaction => task.carry_out(Kind::Compact, Task::compact),
            // The processes' own threads do that.
            Activity::Forks => return,
        }
        thread::sleep(NAP);
    }
}

struct Task<'s> {
    shared: &'s Shared,
    dice: Dice,
    merger: Option<Merger<Board>>,
}

impl Task<'_> {
    fn carry_out(&mut self, kind: Kind, run: impl FnOnce(&mut Self) -> Result<(), Trouble>) {
        let shared = self.shared;
        if let Err(Trouble::Other(why)) = shared.desk.carry_out(kind, || run(self)) {
            shared.world.unexpected(format!("{}: {why}", kind.name()));
        }
    }

    fn process(&mut self) -> usize {
        self.dice.roll(self.shared.processes.len() as u64) as usize
    }

    /// NUMA balancing's scan of a whole process.
    fn scan(&mut self) -> Result<(), Trouble> {
        let process = self.process();
        let Process { space, buffers, data, .. } = &self.shared.processes[process];
        something(space.numa_scan(*buffers) + space.numa_scan(*data))
    }

    /// Moves some data to any node, and a buffer to where memory of the process may be.
    fn compact(&mut self) -> Result<(), Trouble> {
        let (number, world) = (self.process(), &self.shared.world);
        let process = &self.shared.processes[number];
        let node = NodeId(self.dice.roll(u64::from(world.plan.nodes)) as u8);
        let data = process.data_part(self.dice.roll(DATA_PAGES), RUN);
        let moved = process.space.compact(data, node).moved;
        let node = match world.plan.affinity {
            Affinity::Roams => node,
            Affinity::Bound => world.cpus.home(number),
        };
        let _open = process.keep_open();
        let buffer = process.buffer(self.dice.roll(BUFFERS));
        something(moved + process.space.compact(buffer, node).moved)
    }

    /// Takes some data away, and a buffer.
    fn page_out(&mut self) -> Result<(), Trouble> {
        let process = self.process();
        let process = &self.shared.processes[process];
        let data = process.data_part(self.dice.roll(DATA_PAGES), RUN);
        let mut freed = process.space.page_out(data, Reclaimer::Pressure).freed;
        if keeps_pinned(self.shared.world.plan.rules.swap_pinned) {
            let _open = process.keep_open();
            let buffer = process.buffer(self.dice.roll(BUFFERS));
            freed += process.space.page_out(buffer, Reclaimer::Pressure).freed;
        }
        something(freed)
    }

    /// Merges equal pages of data, of all processes.
    fn merge(&mut self) -> Result<(), Trouble> {
        let merger = match &self.merger {
            Some(merger) => merger,
            None => {
                let merger = Merger::new(&self.shared.world.memory);
                for process in &*self.shared.processes {
                    merger.add(&process.space).map_err(|_| Trouble::Frames)?;
                }
                self.merger.insert(merger)
            }
        };
        let done = merger.scan(MERGES).map_err(|_| Trouble::Frames)?;
        self.shared.world.merged(done.merged);
        something(done.pages)
    }
}

/// Whether something came of it.
fn something(count: u64) -> Result<(), Trouble> {
    (count > 0).then_some(()).ok_or(Trouble::Nothing)
}
