//! What is written into pages: stamps that say who wrote them where, and what a thread knows that
//! it wrote.
//!
//! Protocol: in each page each thread has a lane of its own for what its CPU stores, and one for
//! what its device writes: two words, far from each other, which always hold the same stamp, so
//! that a page that is half of one time and half of another is noticed.
//!
//! Invariants:
//! - INV-STAMP-1: a thread writes no stamp twice; a lane is written by its thread alone.

use super::board::Board;
use pinfold::Pfn;
use std::sync::atomic::Ordering;

/// The most threads: as many lanes lie apart in a page.
pub(super) const MOST_THREADS: usize = 32;

/// The most pages of a process that stamps can name.
pub(super) const MOST_PAGES: u64 = 1 << 24;

/// The last word of a page.
const LAST: usize = 511;

/// Who writes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum By {
    /// A CPU, through a translation.
    Cpu,
    /// A device, through a pin.
    Device,
}

/// Words of each page that are one writer's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Lane {
    pub(super) thread: usize,
    pub(super) by: By,
}

impl Lane {
    /// The two words.
    fn words(self) -> [usize; 2] {
        let first = match self.by {
            By::Cpu => self.thread,
            By::Device => MOST_THREADS + self.thread,
        };
        [first, LAST - first]
    }

    /// The part of a stamp that says whose it is and where it belongs.
    fn place(self, page: u64) -> u64 {
        let by = match self.by {
            By::Cpu => 1,
            By::Device => 2,
        };
        by << 30 | (self.thread as u64) << 24 | page
    }

    /// The stamp with a number, for a page of the process.
    pub(super) fn stamp(self, page: u64, number: u32) -> u64 {
        self.place(page) << 32 | u64::from(number)
    }

    /// Whether a stamp, or nothing, may stand in this lane of the page.
    pub(super) fn may_hold(self, page: u64, found: u64) -> bool {
        found == 0 || found >> 32 == self.place(page)
    }

    /// What a CPU or a device finds there.
    pub(super) fn read(self, board: &Board, frame: Pfn) -> [u64; 2] {
        self.words().map(|word| board.word(frame, word).load(Ordering::Relaxed))
    }

    pub(super) fn write(self, board: &Board, frame: Pfn, stamp: u64) {
        for word in self.words() {
            board.word(frame, word).store(stamp, Ordering::Relaxed);
        }
    }
}

/// What a thread knows of the pages of a process: the stamps that it wrote last.
#[derive(Clone)]
pub(super) struct Known(Vec<[u64; 2]>);

impl Known {
    /// Pages that nobody has written.
    pub(super) fn nothing(pages: u64) -> Self {
        Self(vec![[0; 2]; pages as usize])
    }

    pub(super) fn of(&self, page: u64, by: By) -> u64 {
        self.0[page as usize][by as usize]
    }

    pub(super) fn set(&mut self, page: u64, by: By, stamp: u64) {
        self.0[page as usize][by as usize] = stamp;
    }

    /// These pages were dropped.
    pub(super) fn forget(&mut self, pages: std::ops::Range<u64>) {
        self.0[pages.start as usize..pages.end as usize].fill([0; 2]);
    }
}
