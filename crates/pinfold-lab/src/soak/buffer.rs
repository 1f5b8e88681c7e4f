//! Command buffers: what a process writes into them, and what its device must read.
//!
//! Protocol: a buffer has a lock, which a thread of its process holds from its first access until
//! it hands the buffer to the device; from then on the buffer is *busy*, and nobody of the process
//! touches it, until the device has read it. Who forks the process, or has a buffer pinned, holds
//! its *gate* for writing: what a pin does beside a fork or a mover is the question of other
//! scenarios (`fork-races-fast-pin`, `bug-215616-move-pages`). Those who move and take away the
//! pages of buffers hold it for reading.
//!
//! Invariants:
//! - INV-BUFFER-1: every word of a buffer says whose it is, where it belongs, and how often the
//!   buffer was written before; no two writes of a process leave the same words.

use super::plan::{BUFFER_PAGES, BUFFERS, DATA_PAGES};
use crate::pressure::board::{Board, Space};
use pinfold::{Pfn, Pins, VirtAddr, VirtRange};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Words of a page that hold commands, and how far they lie apart.
const COMMANDS: usize = 16;
const APART: usize = 512 / COMMANDS;

/// How often each page of a buffer was written.
pub(super) type Numbers = [u32; BUFFER_PAGES as usize];

/// Where a command lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place {
    pub(super) process: usize,
    pub(super) buffer: u64,
    /// Of the buffer.
    pub(super) page: u64,
}

/// A word that is not what it must be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Wrong {
    pub(super) found: u64,
    pub(super) wanted: u64,
}

impl Place {
    /// The page among those of all buffers of the process.
    pub(super) fn index(self) -> u64 {
        self.buffer * BUFFER_PAGES + self.page
    }

    /// The command that the process writes at this word in its `number`th write.
    fn command(self, word: usize, number: u32) -> u64 {
        let place = (self.process as u64) << 24 | self.buffer << 16 | self.page << 8 | word as u64;
        place << 32 | u64::from(number)
    }

    /// Writes a page of commands.
    pub(super) fn write(self, board: &Board, frame: Pfn, number: u32) {
        for word in 0..COMMANDS {
            let place = board.word(frame, word * APART);
            place.store(self.command(word, number), Ordering::Relaxed);
        }
    }

    /// Holds the page against what was written; before the first write it is zeros.
    pub(super) fn check(self, board: &Board, frame: Pfn, number: u32) -> Result<(), Wrong> {
        for word in 0..COMMANDS {
            let wanted = if number == 0 { 0 } else { self.command(word, number) };
            let found = board.word(frame, word * APART).load(Ordering::Relaxed);
            if found != wanted {
                return Err(Wrong { found, wanted });
            }
        }
        Ok(())
    }
}

/// A command in words.
pub(super) fn shown(word: u64) -> String {
    match word {
        0 => "nothing".to_owned(),
        word => {
            let [process, buffer, page, at] = [56, 48, 40, 32].map(|shift| word >> shift & 0xff);
            let write = word as u32;
            format!("write {write} of process {process}, buffer {buffer}, page {page}, word {at}")
        }
    }
}

/// What is known of a buffer.
#[derive(Default)]
pub(super) struct Buffer {
    /// How often each page was written: the same for all, unless a page could not be.
    pub(super) numbers: Numbers,
    /// What the device has, and for how many writes more.
    pub(super) held: Option<(Pins<Board>, u64)>,
}

/// A buffer's place in its process.
#[derive(Default)]
pub(super) struct Slot {
    pub(super) buffer: Mutex<Buffer>,
    /// The device reads it.
    pub(super) busy: AtomicBool,
}

/// A process.
pub(super) struct Process {
    pub(super) space: Space,
    pub(super) buffers: VirtRange,
    pub(super) data: VirtRange,
    pub(super) slots: Box<[Slot]>,
    gate: RwLock<()>,
}

impl Process {
    pub(super) fn new(space: Space, buffers: VirtRange, data: VirtRange) -> Self {
        let slots = (0..BUFFERS).map(|_| Slot::default()).collect();
        Self { space, buffers, data, slots, gate: RwLock::default() }
    }

    /// A page of a buffer.
    pub(super) fn at(&self, place: Place) -> VirtAddr {
        (self.buffers.first_page() + place.index()).start()
    }

    /// A page of its data.
    pub(super) fn data_at(&self, page: u64) -> VirtAddr {
        (self.data.first_page() + page).start()
    }

    /// The pages of a buffer.
    pub(super) fn buffer(&self, buffer: u64) -> VirtRange {
        part(self.buffers, buffer * BUFFER_PAGES, BUFFER_PAGES)
    }

    /// Pages of its data.
    pub(super) fn data_part(&self, first: u64, count: u64) -> VirtRange {
        part(self.data, first, count.min(DATA_PAGES - first))
    }

    /// Held by who moves or takes away pages of buffers.
    pub(super) fn keep_open(&self) -> RwLockReadGuard<'_, ()> {
        self.gate.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Held by who pins them, or forks.
    pub(super) fn close(&self) -> RwLockWriteGuard<'_, ()> {
        self.gate.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn part(area: VirtRange, first: u64, count: u64) -> VirtRange {
    VirtRange::new((area.first_page() + first).start(), count)
        .expect("the pages are those of an area")
}
