//! A thread of a process: it roams over the CPUs, works on its data, and has command buffers pinned
//! that its device reads again and again, while it writes new commands into them. Now and then it
//! forks, and its child writes to all that it has for itself. In between it has the process scanned
//! for NUMA balancing when it is time, as the tick of the clock does in a kernel.
//!
//! A failing allocation may refuse any operation that needs a frame: then nothing was done, but for
//! the pages of a buffer that were written already, and the buffer is written again before a device
//! reads it.

use super::buffer::{Buffer, Place, Process, Slot, Wrong, is_private, shown};
use super::cpus::Seated;
use super::harm::Harm;
use super::log::Logs;
use super::plan::{Activity, BUFFER_PAGES, BUFFERS, DATA_PAGES, THREADS};
use super::world::{Job, World};
use crate::pressure::board::{Space, locked};
use crate::pressure::desk::{Desk, Kind, Trouble};
use crate::pressure::dice::Dice;
use pinfold::rules::Users;
use pinfold::{Access, Cause, Term};
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

/// Of so many looks at an idle buffer one writes new commands: long enough for it to be merged.
const REST: u64 = 48;

/// Pages of data, and buffers, that a child of a fork looks at.
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
            self.tick(&desk);
            self.step(&desk);
        }
    }

    /// Has the process scanned, if it is time.
    fn tick(&mut self, desk: &Desk) {
        let tick = |lane: &mut Self| {
            let (world, process) = (&lane.shared.world, lane.process());
            let balancer = process.balancer.as_ref().ok_or(Trouble::Nothing)?;
            let _open = world.keeps_apart(Harm::ScanBesidePin).then(|| process.keep_open());
            let scan = balancer.tick(world.now(), Users::Several).map_err(|_| Trouble::Frames)?;
            scan.map(|_| ()).ok_or(Trouble::Nothing)
        };
        self.carry_out(desk, Kind::ScanAll, tick);
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
        if held.is_idle() && self.dice.roll(REST) != 0 {
            drop(held);
            return self.carry_out(desk, Kind::Data, Self::use_data);
        }
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

    /// One step with a buffer that the device does not read now: it has read what was written. What
    /// was just pinned is read by the device as it is.
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
            let pin = |lane: &mut Self| {
                lane.pin(number, &mut buffer)?;
                lane.hand_over((number, slot), &buffer);
                Ok(())
            };
            return self.carry_out(desk, Kind::LongPin, pin);
        }
        let write = |lane: &mut Self| {
            lane.write(number, &mut buffer)?;
            lane.hand_over((number, slot), &buffer);
            Ok(())
        };
        self.carry_out(desk, Kind::Commands, write);
    }

    /// Has the device read a buffer that it has pinned.
    fn hand_over(&self, (number, slot): (u64, &Slot), buffer: &Buffer) {
        let Some((pins, _)) = &buffer.held else { return };
        let (frames, numbers) = (pins.pages().to_vec(), buffer.numbers);
        slot.busy.store(true, Ordering::Release);
        let world = &self.shared.world;
        let job = Job { process: self.process, buffer: number, frames, numbers };
        world.queues[world.device(self.process)].put(job);
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
        let closed = self.shared.world.pins_alone().then(|| process.close());
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

    /// Reads the buffer, which is pinned, and writes new commands.
    fn write(&mut self, number: u64, buffer: &mut Buffer) -> Result<(), Trouble> {
        self.look(number, buffer)?;
        let (world, process) = (&self.shared.world, self.process());
        for (place, written) in self.places(number).zip(&mut buffer.numbers) {
            let next = written.wrapping_add(1).max(1);
            let write = |frame| place.write(world.board(), frame, next);
            world.access(&process.space, (process.at(place), Cause::Store), write)?;
            *written = next;
        }
        if let Some((_, writes)) = &mut buffer.held {
            *writes -= 1;
        }
        Ok(())
    }

    /// Some page of the data that this thread works on.
    fn own_page(&mut self) -> u64 {
        let threads = u64::from(THREADS);
        self.dice.roll(DATA_PAGES / threads) * threads + u64::from(self.thread)
    }

    /// Reads a page of its data and compares, or writes it.
    fn use_data(&mut self) -> Result<(), Trouble> {
        let page = self.own_page();
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
            "page {page} of the data of process {process} holds {found:x?}, and {wanted:#x} was \
             written"
        )))
    }

    /// A child that looks at some data and buffers, writes to what it has for itself, looks at that
    /// again, and exits.
    fn fork(&mut self) -> Result<(), Trouble> {
        let (world, process) = (&self.shared.world, self.process());
        let open = world.keeps_apart(Harm::ForkBesidePin).then(|| process.keep_open());
        let child = process.space.fork()?;
        drop(open);
        let (page, buffer) = (self.own_page(), self.dice.roll(BUFFERS));
        for each in 0..LOOKS {
            self.use_inherited_data(&child, (page + each * u64::from(THREADS)) % DATA_PAGES)?;
            self.use_inherited(&child, (buffer + each) % BUFFERS)?;
        }
        Ok(())
    }

    /// A child looks at a page of data that it has from this thread, and writes to it.
    fn use_inherited_data(&self, child: &Space, page: u64) -> Result<(), Trouble> {
        self.look_at_data(child, page)?;
        let (world, at) = (&self.shared.world, self.process().data_at(page));
        let spoil = |frame| {
            for word in DATA_WORDS {
                world.board().store_word(frame, word, u64::MAX);
            }
        };
        world.access(child, (at, Cause::Store), spoil)
    }

    /// A child looks at a buffer that it has from the process, if it has, and writes to it unless
    /// the two share it.
    fn use_inherited(&self, child: &Space, buffer: u64) -> Result<(), Trouble> {
        let (world, process) = (&self.shared.world, self.process());
        if is_private(buffer) && !world.leaves_buffers() {
            return Ok(());
        }
        let board = world.board();
        for place in self.places(buffer) {
            let look = |frame| place.check_place(board, frame);
            inherited(place, world.access(child, (process.at(place), Cause::Load), look)?)?;
            if is_private(buffer) {
                let spoil = |frame| place.scribble(board, frame);
                world.access(child, (process.at(place), Cause::Store), spoil)?;
            }
        }
        if is_private(buffer) {
            for place in self.places(buffer) {
                let look = |frame| place.check_scribbled(board, frame);
                inherited(place, world.access(child, (process.at(place), Cause::Load), look)?)?;
            }
        }
        Ok(())
    }
}

/// What a child finds must be there.
fn inherited(place: Place, seen: Result<(), Wrong>) -> Result<(), Trouble> {
    seen.map_err(|Wrong { found, wanted }| {
        let Place { process, buffer, page } = place;
        let (found, wanted) = (shown(found), shown(wanted));
        Trouble::Other(format!(
            "page {page} of buffer {buffer} of a child of process {process} holds {found}, in \
             place of {wanted}"
        ))
    })
}

/// A buffer that nobody uses.
pub(super) fn free(slot: &Slot) -> Option<MutexGuard<'_, Buffer>> {
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
                let pins = held.held.as_ref().map(|(pins, _)| pins.pages());
                let device = pins.and_then(|pages| pages.get(page as usize)).copied();
                // What its device has not been told to read yet is to be there, too.
                let seen = device.map_or(Ok(()), |pfn| place.check(world.board(), pfn, written));
                if let Err(wrong) = seen {
                    let finding = ("the last look", place, written);
                    world.corrupted((process, logs), finding, device, wrong);
                }
                let check = |frame| place.check(world.board(), frame, written);
                let at = (process.at(place), Cause::Load);
                let look = || world.access(&process.space, at, check);
                match desk.carry_out(Kind::Verify, look) {
                    Ok(Ok(())) => desk.checked(1),
                    Ok(Err(wrong)) => {
                        let finding = ("the last look", place, written);
                        world.corrupted((process, logs), finding, device, wrong);
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
