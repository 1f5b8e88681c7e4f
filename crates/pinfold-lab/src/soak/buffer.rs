//! Command buffers: what a process writes into them, and what its device must read.
//!
//! Protocol: a buffer has a lock, which a thread of its process holds from its first access until
//! it hands the buffer to the device; from then on the buffer is *busy*, and nobody of the process
//! touches it, until the device has read it. Forks, moves, pageout, merging and scans come at any
//! time. Where one of them is a known harm of its own in the moment in which a buffer is being
//! pinned ([`super::harm`]), it holds the process's *gate* for reading, and a pin for writing.
//!
//! Some of a process's buffers are private memory, the others shared with its children.
//!
//! Invariants:
//! - INV-BUFFER-1: every word of a buffer says whose it is, where it belongs, and how often the
//!   buffer was written before; no two writes of a process leave the same words. Some writes leave
//!   a buffer *idle*, with a command that all have alike, so that its pages can be merged.

use super::plan::{BUFFER_PAGES, BUFFERS, DATA_PAGES, PRIVATE_BUFFERS};
use crate::pressure::board::{Board, Space};
use pinfold::{Balancer, Pfn, Pins, VirtAddr, VirtRange};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Words of a page that hold commands, and how far they lie apart.
const COMMANDS: usize = 16;
const APART: usize = 512 / COMMANDS;

/// Of so many writes of a buffer the last one leaves it idle.
const IDLE_EVERY: u32 = 16;

/// The command of an idle buffer, and what a child writes: no process has so many, nor a child.
const IDLE: u64 = 0xfe << 56;
const CHILD: u64 = 0xff << 56;

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
    /// Before the first write it is zero.
    fn command(self, word: usize, number: u32) -> u64 {
        match number {
            0 => 0,
            number if number.is_multiple_of(IDLE_EVERY) => IDLE,
            number => self.tag(word) << 32 | u64::from(number),
        }
    }

    /// Where a word belongs.
    fn tag(self, word: usize) -> u64 {
        (self.process as u64) << 24 | self.buffer << 16 | self.page << 8 | word as u64
    }

    /// Writes a page of commands.
    pub(super) fn write(self, board: &Board, frame: Pfn, number: u32) {
        for word in 0..COMMANDS {
            let place = board.word(frame, word * APART);
            place.store(self.command(word, number), Ordering::Relaxed);
        }
    }

    /// Writes what no process writes, as a child may to its own copy.
    pub(super) fn scribble(self, board: &Board, frame: Pfn) {
        for word in 0..COMMANDS {
            board.store_word(frame, word * APART, CHILD | self.tag(word));
        }
    }

    /// Holds the page against what a child wrote.
    pub(super) fn check_scribbled(self, board: &Board, frame: Pfn) -> Result<(), Wrong> {
        (0..COMMANDS).try_for_each(|word| {
            let (found, wanted) = (board.load_word(frame, word * APART), CHILD | self.tag(word));
            if found == wanted { Ok(()) } else { Err(Wrong { found, wanted }) }
        })
    }

    /// Whether the page holds words that the process has written there at some time, whenever.
    pub(super) fn check_place(self, board: &Board, frame: Pfn) -> Result<(), Wrong> {
        (0..COMMANDS).try_for_each(|word| {
            let (found, wanted) = (board.load_word(frame, word * APART), self.tag(word) << 32);
            let fits = matches!(found, 0 | IDLE) || found >> 32 == self.tag(word);
            if fits { Ok(()) } else { Err(Wrong { found, wanted }) }
        })
    }

    /// Holds the page against what was written.
    pub(super) fn check(self, board: &Board, frame: Pfn, number: u32) -> Result<(), Wrong> {
        for word in 0..COMMANDS {
            let wanted = self.command(word, number);
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
    let place = |tag: u64| {
        let [process, buffer, page, at] = [24, 16, 8, 0].map(|shift| tag >> shift & 0xff);
        format!("process {process}, buffer {buffer}, page {page}, word {at}")
    };
    match word {
        0 => "nothing".to_owned(),
        IDLE => "the command of an idle buffer".to_owned(),
        word if word >= CHILD => format!("what a child wrote for {}", place(word)),
        word => format!("write {} of {}", word as u32, place(word >> 32)),
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

impl Buffer {
    /// Whether it was left idle.
    pub(super) fn is_idle(&self) -> bool {
        self.numbers.iter().all(|number| *number > 0 && number.is_multiple_of(IDLE_EVERY))
    }
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
    /// When its threads scan it, if they do.
    pub(super) balancer: Option<Balancer<Board>>,
    /// The private ones, and behind them the shared ones.
    pub(super) buffers: VirtRange,
    pub(super) data: VirtRange,
    pub(super) slots: Box<[Slot]>,
    gate: RwLock<()>,
}

impl Process {
    pub(super) fn new(
        (space, balancer): (Space, Option<Balancer<Board>>),
        buffers: VirtRange,
        data: VirtRange,
    ) -> Self {
        let slots = (0..BUFFERS).map(|_| Slot::default()).collect();
        Self { space, balancer, buffers, data, slots, gate: RwLock::default() }
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

    /// Held by who must not do what he does while a buffer is being pinned.
    pub(super) fn keep_open(&self) -> RwLockReadGuard<'_, ()> {
        self.gate.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Held by who pins one, where there is somebody who must not.
    pub(super) fn close(&self) -> RwLockWriteGuard<'_, ()> {
        self.gate.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a buffer is private memory.
pub(super) fn is_private(buffer: u64) -> bool {
    buffer < PRIVATE_BUFFERS
}

fn part(area: VirtRange, first: u64, count: u64) -> VirtRange {
    VirtRange::new((area.first_page() + first).start(), count)
        .expect("the pages are those of an area")
}
