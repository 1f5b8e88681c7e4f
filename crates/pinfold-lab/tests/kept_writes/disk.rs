//! The store of the file: healthy, failing at times, or full.

use std::cell::Cell;
use std::ops::Range;
use std::sync::Arc;

use pinfold::sync::AtomicU64;
use pinfold::{Pfn, Platform, Store, StoreError};

use super::PAGES;
use super::platform::Bare;

const COUNT: usize = PAGES as usize;

/// What fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failing {
    Nothing,
    /// One request in so many: EIO.
    Device(u64),
    /// There is room for one page, which is found out before a page becomes dirty, or when it is
    /// written back.
    Full,
    FullLate,
}

/// The store of the file. Its words are reached under the page's lock, or with the list closed.
pub(crate) struct Disk {
    pages: [AtomicU64; COUNT],
    /// Whether there is room set apart for the page.
    room: [Cell<bool>; COUNT],
    pub(crate) failing: Cell<Failing>,
    asked: Cell<u64>,
}

// SAFETY: an exploration runs its lanes on one thread, one at a time.
unsafe impl Send for Disk {}
// SAFETY: as above.
unsafe impl Sync for Disk {}

impl Disk {
    pub(crate) fn new(failing: Failing) -> Arc<Self> {
        let (room, asked) = (Default::default(), Cell::new(0));
        Arc::new(Self { pages: Default::default(), room, failing: Cell::new(failing), asked })
    }

    pub(crate) fn has(&self, page: u64) -> u64 {
        self.pages[page as usize].peek()
    }

    fn answer(&self) -> Result<(), StoreError> {
        self.asked.set(self.asked.get() + 1);
        match self.failing.get() {
            Failing::Device(every) if self.asked.get().is_multiple_of(every) => Err(StoreError::Io),
            _ => Ok(()),
        }
    }

    fn make_room(&self, page: u64) -> Result<(), StoreError> {
        let full = matches!(self.failing.get(), Failing::Full | Failing::FullLate);
        let own = &self.room[page as usize];
        if full && !own.get() && self.room.iter().any(Cell::get) {
            return Err(StoreError::NoSpace);
        }
        own.set(true);
        Ok(())
    }
}

pub(crate) struct Face(pub(crate) Arc<Disk>);

impl Store<Bare> for Face {
    fn read(&self, machine: &Bare, index: u64, frame: Pfn) -> Result<(), StoreError> {
        self.0.answer()?;
        machine.zero_frame(frame);
        machine.data(frame).write_once(self.0.pages[index as usize].read_once());
        Ok(())
    }

    fn write(&self, machine: &Bare, index: u64, frame: Pfn) -> Result<(), StoreError> {
        self.0.answer()?;
        self.0.make_room(index)?;
        self.0.pages[index as usize].write_once(machine.data(frame).read_once());
        Ok(())
    }

    fn reserve(&self, _: &Bare, index: u64) -> Result<(), StoreError> {
        self.0.answer()?;
        match self.0.failing.get() {
            Failing::FullLate => Ok(()),
            Failing::Nothing | Failing::Device(_) | Failing::Full => self.0.make_room(index),
        }
    }

    fn discard(&self, _: &Bare, pages: Range<u64>) {
        for page in pages.start..pages.end.min(PAGES) {
            self.0.pages[page as usize].write_once(0);
            self.0.room[page as usize].set(false);
        }
    }
}
