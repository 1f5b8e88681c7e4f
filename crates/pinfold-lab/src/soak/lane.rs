//! A thread of a process: it roams over the CPUs, works on its data, and has command buffers pinned
//! that its device reads again and again, while it writes new commands into them.
//!
//! A failing allocation may refuse any operation that needs a frame: then nothing was done, but for
//! the pages of a buffer that were written already, and the buffer is written again before a device
//! reads it.

use super::buffer::{Buffer, Place, Process, Slot};
use super::cpus::Seated;
use super::log::Logs;
use super::plan::{Activity, BUFFER_PAGES, BUFFERS, DATA_PAGES, THREADS};
use super::world::{Job, World};
use crate::pressure::board::{Space, locked};
use crate::pressure::desk::{Desk, Kind, Trouble};
use crate::pressure::dice::Dice;
use pinfold::{Access, Cause, Pfn, Term};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::{MutexGuard, TryLockError};
use std::thread;
use std::time::Duration;

/// How often a pinned buffer is written before it is unpinned: from one time on to so many more.
const WRITES: u64 = 64;

/// Of so many operations one is on data, and before one the thread goes to another CPU.
const DATA_EVERY: u64 = 3;
const ROAM_EVERY: u64 = 8;

/// Of so many operations one is a fork.
const FORK_EVERY: u64 = 2_000;

/// What a thread waits when its device has all its buffers.
const NAP: Duration = Duration::from_micros(100);

/// Pages of data that a child of a fork looks at.
const LOOKS: u64 = 4;

/// What data pages hold: one of so few patterns in the first half of them, which all processes
/// have, so that there are equal pages, and which change seldom, so that these are found.
const PATTERNS: u64 = 4;
const CHANGE_EVERY: u64 = 64;

/// The words of a page of data that hold its value.
const DATA_WORDS: [usize; 2] = [1, 510];

/// What all threads have at hand.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) world: Arc<World>,
    pub(super) processes: Arc<[Process]>,
    pub(super) logs: Arc<Logs>,
    pub(super) desk: Arc<Desk>,
}

/// The thread.
pub(super) struct Lane {
    shared: Shared,
    process: usize,
    thread: u32,
    dice: Dice,
    /// What its pages of data hold.
    data: Vec<u64>,
    /// How many values it has made.
    values: u64,
}

impl Lane {
    pub(super) fn new(shared: Shared, (process, thread): (usize, u32)) -> Self {
        let number = process as u64 * u64::from(THREADS) + u64::from(thread);
        let dice = Dice::new(shared.world.plan.seed ^ number << 32);
        let data = vec![0; DATA_PAGES as usize];
        Self { shared, process, thread, dice, data, values: 0 }
    }

    /// Works until all is over; then its buffers are looked at, and unpinned.
    pub(super) fn work(mut self) {
        let Shared { world, desk, .. } = self.shared.clone();
        let home = world.cpus.home(self.process);
        let mut seated = Seated::first(&world.cpus, world.plan.affinity, home, &mut self.dice);
        while !world.stop.is_over() {
            if self.dice.roll(ROAM_EVERY) == 0 {
                seated.roam(&mut self.dice);
            }
            self.step(&desk);
        }
    }

    fn step(&mut self, desk: &Desk) {
        if self.shared.world.plan.goes_on(Activity::Forks) && self.dice.roll(FORK_EVERY) == 0 {
            return self.carry_out(desk, Kind::Fork, Self::fork);
        }
        if self.dice.roll(DATA_EVERY) == 0 {
            return self.carry_out(desk, Kind::Data, Self::use_data);
        }
        let buffer = self.dice.roll(BUFFERS);
        let processes = self.shared.processes.clone();
        let slot = &processes[self.process].slots[buffer as usize];
        let Some(held) = free(slot) else {
            return thread::sleep(NAP);
        };
        self.use_buffer(desk, (buffer, slot), held);
    }

    fn carry_out(
        &mut self,
        desk: &Desk,
        kind: Kind,
        run: impl FnOnce(&mut Self) -> Result<(), Trouble>,
    ) {
        if let Err(Trouble::Other(why)) = desk.carry_out(kind, || run(self)) {
            self.shared.world.unexpected(format!("{}: {why}", kind.name()));
        }
    }

    /// One step with a buffer that the device does not read now: it has read what was written.
    fn use_buffer(
        &mut self,
        desk: &Desk,
        (number, slot): (u64, &Slot),
        mut buffer: MutexGuard<'_, Buffer>,
    ) {
        if matches!(buffer.held, Some((_, 0))) {
            return self.carry_out(desk, Kind::Unpin, |lane| lane.unpin(number, &mut buffer));
        }
        if buffer.held.is_none() {
            self.carry_out(desk, Kind::LongPin, |lane| lane.pin(number, &mut buffer));
        }
        let write = |lane: &mut Self| {
            let frames = lane.write(number, &mut buffer)?;
            slot.busy.store(true, Ordering::Release);
            let numbers = buffer.numbers;
            let job = Job { process: lane.process, buffer: number, frames, numbers };
            let world = &lane.shared.world;
            world.queues[world.device(lane.process)].put(job);
            Ok(())
        };
        self.carry_out(desk, Kind::Commands, write);
    }

    fn process(&self) -> &Process {
        &self.shared.processes[self.process]
    }

    fn places(&self, buffer: u64) -> impl Iterator<Item = Place> + use<> {
        let process = self.process;
        (0..BUFFER_PAGES).map(move |page| Place { process, buffer, page })
    }

    /// Has the driver pin a buffer for the device.
    fn pin(&mut self, number: u64, buffer: &mut Buffer) -> Result<(), Trouble> {
        let process = self.process();
        let closed = process.close();
        let pins = process.space.pin(process.buffer(number), Access::Write, Term::Long)?;
        drop(closed);
        if (pins.pages().len() as u64) < BUFFER_PAGES {
            return Err(pins.shortfall().map_or(Trouble::Frames, Trouble::from));
        }
        for (place, frame) in self.places(number).zip(pins.pages()) {
            self.shared.logs.pins((place.process, place.index()), *frame);
        }
        buffer.held = Some((pins, 1 + self.dice.roll(WRITES)));
        Ok(())
    }

    fn unpin(&mut self, number: u64, buffer: &mut Buffer) -> Result<(), Trouble> {
        self.look(number, buffer)?;
        if let Some((pins, _)) = buffer.held.take() {
            for (place, frame) in self.places(number).zip(pins.pages()) {
                self.shared.logs.unpins((place.process, place.index()), *frame);
            }
            // It has only read.
            drop(pins);
        }
        Ok(())
    }

    /// Reads a buffer, as who looks whether the device has answered, and compares.
    fn look(&self, number: u64, buffer: &Buffer) -> Result<(), Trouble> {
        let (world, process) = (&self.shared.world, self.process());
        for ((place, written), at) in self.places(number).zip(buffer.numbers).zip(0..) {
            let check = |frame| place.check(world.board(), frame, written);
            let seen = world.access(&process.space, (process.at(place), Cause::Load), check)?;
            self.shared.desk.checked(1);
            if let Err(wrong) = seen {
                let frame = buffer.held.as_ref().map(|(pins, _)| pins.pages()[at]);
                let by = format!("process {}", self.process);
                let finding = (by.as_str(), place, written);
                world.corrupted((process, &self.shared.logs), finding, frame, wrong);
                return Err(Trouble::Nothing);
            }
        }
        Ok(())
    }

    /// Reads the buffer and writes new commands; gives the frames that the device has.
    fn write(&mut self, number: u64, buffer: &mut Buffer) -> Result<Vec<Pfn>, Trouble> {
        let Some((pins, left)) = &buffer.held else { return Err(Trouble::Nothing) };
        let (frames, left) = (pins.pages().to_vec(), *left);
        self.look(number, buffer)?;
        let (world, process) = (&self.shared.world, self.process());
        for (place, written) in self.places(number).zip(&mut buffer.numbers) {
            let next = written.wrapping_add(1).max(1);
            let write = |frame| place.write(world.board(), frame, next);
            world.access(&process.space, (process.at(place), Cause::Store), write)?;
            *written = next;
        }
        if let Some((_, writes)) = &mut buffer.held {
            *writes = left - 1;
        }
        Ok(frames)
    }

    /// Reads a page of its data and compares, or writes it.
    fn use_data(&mut self) -> Result<(), Trouble> {
        let threads = u64::from(THREADS);
        let page = self.dice.roll(DATA_PAGES / threads) * threads + u64::from(self.thread);
        let common = page < DATA_PAGES / 2;
        let changes = self.dice.roll(if common { CHANGE_EVERY } else { 2 }) == 0;
        let untouched = self.data[page as usize] == 0;
        if changes || untouched {
            let value = if common { 1 + self.dice.roll(PATTERNS) } else { self.value() };
            self.store_data(page, value)
        } else {
            self.load_data(page)
        }
    }

    /// A value that no page holds.
    fn value(&mut self) -> u64 {
        self.values += 1;
        let owner = self.process as u64 * u64::from(THREADS) + u64::from(self.thread) + 1;
        owner << 40 | self.values
    }

    fn store_data(&mut self, page: u64, value: u64) -> Result<(), Trouble> {
        let (world, process) = (&self.shared.world, self.process());
        let store = |frame| {
            for word in DATA_WORDS {
                world.board().word(frame, word).store(value, Ordering::Relaxed);
            }
        };
        world.access(&process.space, (process.data_at(page), Cause::Store), store)?;
        self.data[page as usize] = value;
        Ok(())
    }

    fn load_data(&self, page: u64) -> Result<(), Trouble> {
        self.look_at_data(&self.process().space, page)
    }

    fn look_at_data(&self, space: &Space, page: u64) -> Result<(), Trouble> {
        let (world, process) = (&self.shared.world, self.process());
        let board = world.board();
        let load = |frame| DATA_WORDS.map(|word| board.word(frame, word).load(Ordering::Relaxed));
        let found = world.access(space, (process.data_at(page), Cause::Load), load)?;
        let wanted = self.data[page as usize];
        if found == [wanted; 2] {
            return Ok(());
        }
        let process = self.process;
        Err(Trouble::Other(format!(
            "page {page} of the data of process {process} holds {found:#x?}, and {wanted:#x} was \
             written"
        )))
    }

    /// A child that looks at some data, and exits.
    fn fork(&mut self) -> Result<(), Trouble> {
        let process = self.process();
        let closed = process.close();
        let child = process.space.fork()?;
        drop(closed);
        let threads = u64::from(THREADS);
        for _ in 0..LOOKS {
            let page = self.dice.roll(DATA_PAGES / threads) * threads + u64::from(self.thread);
            self.look_at_data(&child, page)?;
        }
        Ok(())
    }
}

/// A buffer that nobody uses.
fn free(slot: &Slot) -> Option<MutexGuard<'_, Buffer>> {
    if slot.busy.load(Ordering::Acquire) {
        return None;
    }
    let held = match slot.buffer.try_lock() {
        Ok(held) => held,
        Err(TryLockError::Poisoned(held)) => held.into_inner(),
        Err(TryLockError::WouldBlock) => return None,
    };
    // Whoever had it may have given it to the device meanwhile.
    (!slot.busy.load(Ordering::Acquire)).then_some(held)
}

/// The last look at a process's buffers, by whoever has a CPU: each holds what was written last.
/// Then they are unpinned.
pub(super) fn look_at_all(shared: &Shared) {
    let Shared { world, processes, logs, desk } = shared;
    for (number, process) in processes.iter().enumerate() {
        for (slot, buffer) in process.slots.iter().zip(0..) {
            let mut held = locked(&slot.buffer);
            for (page, written) in (0..).zip(held.numbers) {
                let place = Place { process: number, buffer, page };
                let check = |frame| place.check(world.board(), frame, written);
                let at = (process.at(place), Cause::Load);
                let look = || world.access(&process.space, at, check);
                match desk.carry_out(Kind::Verify, look) {
                    Ok(Ok(())) => desk.checked(1),
                    Ok(Err(wrong)) => {
                        let finding = ("the last look", place, written);
                        world.corrupted((process, logs), finding, None, wrong);
                    }
                    Err(why) => world.unexpected(format!(
                        "page {page} of buffer {buffer} of process {number} is lost: {why}"
                    )),
                }
            }
            drop(held.held.take());
        }
    }
}
