//! What a thread's device does: it writes and reads frames that are pinned, for a moment or for
//! long, and knows nothing but them.

use super::board::{Board, locked};
use super::desk::{Kind, Trouble};
use super::stamp::By;
use super::worker::{Held, Worker};
use super::world::{Process, part};
use pinfold::{Access, Pins, Term};

/// The most pages that are pinned together.
const RUN: u64 = 8;

impl Held {
    fn pages(&self) -> u64 {
        self.written.len() as u64
    }

    fn has(&self, seat: usize, pages: &std::ops::Range<u64>) -> bool {
        self.seat == seat && self.first < pages.end && pages.start < self.first + self.pages()
    }
}

/// Transfers.
impl Worker {
    /// A process and a run of its pages, of which the thread has none pinned for long.
    fn target(&mut self) -> Option<(usize, std::ops::Range<u64>)> {
        let (seat, first) = (self.seat(), self.page());
        let count = (1 + self.dice.roll(RUN)).min(self.world.pages - first);
        let pages = first..first + count;
        (!self.held.iter().any(|held| held.has(seat, &pages))).then_some((seat, pages))
    }

    /// The device writes each page that is pinned, and reads what the CPU wrote; the CPU reads what
    /// the device wrote. Gives what was written.
    fn exchange(
        &mut self,
        kind: Kind,
        process: &Process,
        first: u64,
        pins: &Pins<Board>,
    ) -> Result<Vec<u64>, Trouble> {
        let mut written = Vec::with_capacity(pins.pages().len());
        for (page, frame) in (first..).zip(pins.pages()) {
            let stamp = self.next_stamp(By::Device, page);
            self.lane(By::Device).write(self.world.board(), *frame, stamp);
            let mut known = locked(&process.known[self.number]);
            known.set(page, By::Device, stamp);
            let wanted = known.of(page, By::Cpu);
            drop(known);
            let found = self.lane(By::Cpu).read(self.world.board(), *frame);
            self.compare((kind, page), By::Cpu, found, wanted);
            written.push(stamp);
        }
        for (page, stamp) in (first..).zip(&written) {
            let lane = self.lane(By::Device);
            let found = self.world.load(&process.space, process.at(page), lane)?;
            self.compare((kind, page), By::Device, found, *stamp);
        }
        Ok(written)
    }

    /// Begins a transfer.
    fn pin(
        &mut self,
        process: &Process,
        pages: &std::ops::Range<u64>,
        term: Term,
    ) -> Result<Pins<Board>, Trouble> {
        let range = part(process.area, pages.start, pages.end - pages.start);
        Ok(process.space.pin(range, Access::Write, term)?)
    }

    /// One transfer.
    pub(super) fn transfer(&mut self) -> Result<(), Trouble> {
        let (seat, pages) = self.target().ok_or(Trouble::Nothing)?;
        let seats = self.seats.clone();
        let process = seats[seat].read();
        let pins = self.pin(&process, &pages, Term::Short)?;
        let exchanged = self.exchange(Kind::ShortPin, &process, pages.start, &pins);
        pins.unpin_dirty();
        exchanged.map(drop)
    }

    /// Begins a long transfer, if the device has not as many pages as it may.
    pub(super) fn hold(&mut self) -> Result<(), Trouble> {
        let pinned: u64 = self.held.iter().map(Held::pages).sum();
        let (seat, pages) = self.target().ok_or(Trouble::Nothing)?;
        if pinned + RUN > self.world.most_pinned {
            return Err(Trouble::Nothing);
        }
        let seats = self.seats.clone();
        let process = seats[seat].read();
        let pins = self.pin(&process, &pages, Term::Long)?;
        match self.exchange(Kind::LongPin, &process, pages.start, &pins) {
            Ok(written) => {
                let (generation, first) = (process.generation, pages.start);
                self.held.push(Held { seat, generation, first, written, pins });
                Ok(())
            }
            Err(why) => {
                pins.unpin_dirty();
                Err(why)
            }
        }
    }

    /// Ends a long transfer: the frames have what the device wrote, whatever became of the process;
    /// if that is the same, it finds what the device writes now.
    pub(super) fn release(&mut self, held: Held) -> Result<(), Trouble> {
        let Held { seat, generation, first, written, pins } = held;
        for ((page, frame), stamp) in (first..).zip(pins.pages()).zip(written) {
            let found = self.lane(By::Device).read(self.world.board(), *frame);
            self.compare((Kind::Unpin, page), By::Device, found, stamp);
        }
        let seats = self.seats.clone();
        let process = seats[seat].read();
        let exchanged = match process.generation == generation {
            true => self.exchange(Kind::Unpin, &process, first, &pins).map(drop),
            false => Ok(()),
        };
        pins.unpin_dirty();
        exchanged
    }
}
