//! What the threads do with the file and the shared memory that all processes have mapped.
//! Protocol: `files.rs`.

use super::board::locked;
use super::desk::{Desk, Kind, Trouble};
use super::files::{Filed, Which};
use super::stamp::{By, Lane};
use super::steps::insisting;
use super::worker::Worker;
use super::world::{World, at, part};
use pinfold::{Access, Term};
use std::sync::atomic::Ordering;

/// Pages that a thread writes back together.
const RUN: u64 = 64;

impl World {
    /// Writes all of the file back, if reclaim has met dirty pages since that was done last.
    pub(super) fn flush(&self, desk: &Desk) {
        let met = self.memory.stats().nr_vmscan_immediate_reclaim;
        if met == self.filed.met.swap(met, Ordering::Relaxed) {
            return;
        }
        let _ = desk.carry_out(Kind::Sync, || self.filed.sync(0..self.filed.pages));
    }

    /// The last look at all lanes of all pages of both.
    pub(super) fn look_at_files(&self, desk: &Desk) {
        for filed in Which::BOTH.map(|which| self.filed_as(which)) {
            for thread in 0..self.threads {
                for by in [By::Cpu, By::Device] {
                    self.look_at_lane(filed, Lane { thread, by }, desk);
                }
            }
        }
    }

    fn look_at_lane(&self, filed: &Filed, lane: Lane, desk: &Desk) {
        let known = locked(&filed.known[lane.thread]);
        for index in 0..filed.pages {
            let (read, wanted) =
                (|| filed.read(self.board(), lane, index), known.of(index, lane.by));
            match insisting(desk, read) {
                Ok(found) => {
                    let number = filed.first + index;
                    self.compare((desk, Kind::Verify), (lane, number), found, wanted);
                }
                Err(why) => {
                    self.unexpected(format!("page {index} of {} is lost: {why}", filed.name));
                }
            }
        }
    }
}

impl Worker {
    /// A page of either: most of the time one of the few that are used often.
    fn page_of_file(&mut self) -> u64 {
        let pages = self.world.filed.pages;
        let most = if self.dice.roll(4) == 0 { pages } else { pages.div_ceil(8) };
        self.dice.roll(most)
    }

    /// Looks at a page through a mapping, or by a read.
    pub(super) fn look_at(&mut self, which: Which, kind: Kind) -> Result<(), Trouble> {
        let by = match (which, self.dice.roll(4)) {
            (Which::Shared, 0) => By::Device,
            _ => By::Cpu,
        };
        let (seat, index, lane) = (self.seat(), self.page_of_file(), self.lane(by));
        let filed = self.world.filed_as(which);
        let process = self.seats[seat].read();
        let found = match kind {
            Kind::FileRead | Kind::SharedRead => filed.read(self.world.board(), lane, index)?,
            _ => self.world.load(&process.space, at(process.shows(which), index), lane)?,
        };
        drop(process);
        let wanted = locked(&filed.known[self.number]).of(index, by);
        self.compare((kind, filed.first + index), by, found, wanted);
        Ok(())
    }

    /// Stores to a page through a mapping, or by a write.
    pub(super) fn change(&mut self, which: Which, kind: Kind) -> Result<(), Trouble> {
        let (seat, index, lane) = (self.seat(), self.page_of_file(), self.lane(By::Cpu));
        let first = self.world.filed_as(which).first;
        let stamp = self.next_stamp(By::Cpu, first + index);
        let filed = self.world.filed_as(which);
        let process = self.seats[seat].read();
        match kind {
            Kind::FileWrite | Kind::SharedWrite => {
                let board = self.world.board();
                filed.file.write(index, |frame| lane.write(board, frame, stamp))?;
            }
            _ => self.world.store(&process.space, at(process.shows(which), index), lane, stamp)?,
        }
        drop(process);
        locked(&filed.known[self.number]).set(index, By::Cpu, stamp);
        Ok(())
    }

    /// A device writes a page of the shared memory, through a pin, and reads what the CPU wrote;
    /// reclaim may come at any time, also after the pin is gone.
    pub(super) fn transfer_shared(&mut self) -> Result<(), Trouble> {
        let (seat, index, kind) = (self.seat(), self.page_of_file(), Kind::SharedPin);
        let number = self.world.shared.first + index;
        let stamp = self.next_stamp(By::Device, number);
        let process = self.seats[seat].read();
        let range = part(process.shared, index, 1);
        let pins = process.space.pin(range, Access::Write, Term::Short)?;
        let frame = pins.pages()[0];
        self.lane(By::Device).write(self.world.board(), frame, stamp);
        let found = self.lane(By::Cpu).read(self.world.board(), frame);
        pins.unpin_dirty();
        drop(process);
        let mut known = locked(&self.world.shared.known[self.number]);
        known.set(index, By::Device, stamp);
        let wanted = known.of(index, By::Cpu);
        drop(known);
        self.compare((kind, number), By::Cpu, found, wanted);
        Ok(())
    }

    /// Writes some pages back.
    pub(super) fn sync(&mut self) -> Result<(), Trouble> {
        let first = self.page_of_file();
        self.world.filed.sync(first..first + RUN)
    }
}
