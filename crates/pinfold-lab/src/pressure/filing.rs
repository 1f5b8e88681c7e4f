//! What the threads do with the file that all processes have mapped. Protocol: `files.rs`.

use super::board::locked;
use super::desk::{Desk, Kind, Trouble};
use super::stamp::{By, Lane};
use super::steps::insisting;
use super::worker::Worker;
use super::world::{World, at};
use std::sync::atomic::Ordering;

/// Pages that a thread writes back together.
const RUN: u64 = 64;

impl World {
    /// What a page of the file is called in stamps: none of a process is.
    fn number_of(&self, index: u64) -> u64 {
        self.pages + index
    }

    /// Writes all of the file back, if reclaim has met dirty pages since that was done last.
    pub(super) fn flush(&self, desk: &Desk) {
        let met = self.memory.stats().nr_vmscan_immediate_reclaim;
        if met == self.filed.met.swap(met, Ordering::Relaxed) {
            return;
        }
        let _ = desk.carry_out(Kind::Sync, || self.filed.sync(0..self.filed.pages));
    }

    /// The last look at all lanes of all pages of the file.
    pub(super) fn look_at_file(&self, desk: &Desk) {
        for (thread, known) in self.filed.known.iter().enumerate() {
            let (known, lane) = (locked(known), Lane { thread, by: By::Cpu });
            for index in 0..self.filed.pages {
                let read = || self.filed.read(self.board(), lane, index);
                let wanted = known.of(index, By::Cpu);
                match insisting(desk, read) {
                    Ok(found) => {
                        let number = self.number_of(index);
                        self.compare((desk, Kind::Verify), (lane, number), found, wanted);
                    }
                    Err(why) => self.unexpected(format!("page {index} of the file is lost: {why}")),
                }
            }
        }
    }
}

impl Worker {
    /// A page of the file: most of the time one of the few that are used often.
    fn page_of_file(&mut self) -> u64 {
        let pages = self.world.filed.pages;
        let most = if self.dice.roll(4) == 0 { pages } else { pages.div_ceil(8) };
        self.dice.roll(most)
    }

    /// Looks at a page through a mapping, or by a read.
    pub(super) fn look_at_file(&mut self, kind: Kind) -> Result<(), Trouble> {
        let (seat, index, lane) = (self.seat(), self.page_of_file(), self.lane(By::Cpu));
        let process = self.seats[seat].read();
        let found = match kind {
            Kind::FileRead => self.world.filed.read(self.world.board(), lane, index)?,
            _ => self.world.load(&process.space, at(process.filed, index), lane)?,
        };
        drop(process);
        let wanted = locked(&self.world.filed.known[self.number]).of(index, By::Cpu);
        self.compare((kind, self.world.number_of(index)), By::Cpu, found, wanted);
        Ok(())
    }

    /// Stores to a page through a mapping, or by a write.
    pub(super) fn change_file(&mut self, kind: Kind) -> Result<(), Trouble> {
        let (seat, index, lane) = (self.seat(), self.page_of_file(), self.lane(By::Cpu));
        let stamp = self.next_stamp(By::Cpu, self.world.number_of(index));
        let process = self.seats[seat].read();
        match kind {
            Kind::FileWrite => {
                let board = self.world.board();
                self.world.filed.file.write(index, |frame| lane.write(board, frame, stamp))?;
            }
            _ => self.world.store(&process.space, at(process.filed, index), lane, stamp)?,
        }
        drop(process);
        locked(&self.world.filed.known[self.number]).set(index, By::Cpu, stamp);
        Ok(())
    }

    /// Writes some pages back.
    pub(super) fn sync(&mut self) -> Result<(), Trouble> {
        let first = self.page_of_file();
        self.world.filed.sync(first..first + RUN)
    }
}
