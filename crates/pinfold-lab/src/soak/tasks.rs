//! What the system does to the processes' memory meanwhile, each by a thread of its own.
//!
//! The pages of buffers are moved, taken away and merged beside all that a process does with them,
//! pinned or not, but for what is a known harm of its own ([`super::harm`]).

use super::buffer::Slot;
use super::harm::Harm;
use super::lane::{Shared, free};
use super::plan::{Activity, Affinity, BUFFERS, DATA_PAGES};
use crate::pressure::board::{Board, sit_at};
use crate::pressure::desk::{Kind, Trouble};
use crate::pressure::dice::Dice;
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
            Activity::Swap => task.carry_out(Kind::PageOut, Task::page_out),
            Activity::Merging => task.carry_out(Kind::Merge, Task::merge),
            Activity::Compaction => {
                task.carry_out(Kind::Compact, Task::compact);
                task.carry_out(Kind::MoveBuffer, Task::move_buffer);
            }
            // The processes' own threads do these.
            Activity::Balancing | Activity::Forks => return,
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

    /// Some node where memory of the process may be.
    fn node_for(&mut self, process: usize) -> NodeId {
        let world = &self.shared.world;
        match world.plan.affinity {
            Affinity::Roams => NodeId(self.dice.roll(u64::from(world.plan.nodes)) as u8),
            Affinity::Bound => world.cpus.home(process),
        }
    }

    /// Moves some data to any node, and a buffer to where memory of the process may be.
    fn compact(&mut self) -> Result<(), Trouble> {
        let (number, world) = (self.process(), &self.shared.world);
        let process = &self.shared.processes[number];
        let any = NodeId(self.dice.roll(u64::from(world.plan.nodes)) as u8);
        let data = process.data_part(self.dice.roll(DATA_PAGES), RUN);
        let moved = process.space.compact(data, any).moved;
        let node = self.node_for(number);
        let buffer = process.buffer(self.dice.roll(BUFFERS));
        let _open = world.keeps_apart(Harm::Move).then(|| process.keep_open());
        something(moved + process.space.compact(buffer, node).moved)
    }

    /// Asks for a buffer to be on some node, as move_pages does.
    fn move_buffer(&mut self) -> Result<(), Trouble> {
        let (number, buffer) = (self.process(), self.dice.roll(BUFFERS));
        let node = self.node_for(number);
        let process = &self.shared.processes[number];
        let asked = || {
            let moved = process.space.migrate(process.buffer(buffer), node);
            moved.moved + moved.failed
        };
        let slot = &process.slots[buffer as usize];
        something(match self.shared.world.keeps_apart(Harm::Move) {
            true => unpinned(slot, asked),
            false => asked(),
        })
    }

    /// Takes some data away, and a buffer.
    fn page_out(&mut self) -> Result<(), Trouble> {
        let (process, world) = (self.process(), &self.shared.world);
        let process = &self.shared.processes[process];
        let data = process.data_part(self.dice.roll(DATA_PAGES), RUN);
        let freed = process.space.page_out(data, Reclaimer::Pressure).freed;
        let number = self.dice.roll(BUFFERS);
        let buffer = || process.space.page_out(process.buffer(number), Reclaimer::Pressure).freed;
        let more = match world.keeps_apart(Harm::PageOut) {
            true => unpinned(&process.slots[number as usize], buffer),
            false => {
                let _open = world.keeps_apart(Harm::PageOutBesidePin).then(|| process.keep_open());
                buffer()
            }
        };
        something(freed + more)
    }

    /// Merges equal pages, of all processes.
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

/// Does something to a buffer that is not pinned, and is not being pinned meanwhile.
fn unpinned(slot: &Slot, act: impl FnOnce() -> u64) -> u64 {
    let held = free(slot).filter(|buffer| buffer.held.is_none());
    held.map_or(0, |_held| act())
}

/// Whether something came of it.
fn something(count: u64) -> Result<(), Trouble> {
    (count > 0).then_some(()).ok_or(Trouble::Nothing)
}
