//! A file of one page, its store, and what lanes do with it.
//!
//! What must hold beside what [`super::operations`] says: a page of the file that nothing marks
//! dirty holds what the store has, at the end of every execution; and a sync then brings the two
//! together.

use std::ops::Range;
use std::sync::Arc;

use pinfold::sync::{AtomicU64, Shared};
use pinfold::{File, FileError, Flags, Memory, Pfn, Platform, Store, StoreError, lab};

use super::platform::Bare;
use super::seen::Seen;

/// What the store has of the page. It is reached under the page's lock, or with the list of pages
/// closed, so no order of its own is needed.
#[derive(Default)]
struct Disk(AtomicU64);

impl Store<Bare> for Arc<Disk> {
    fn read(&self, machine: &Bare, _: u64, frame: Pfn) -> Result<(), StoreError> {
        machine.zero_frame(frame);
        machine.data(frame).write_once(self.0.read_once());
        Ok(())
    }

    fn write(&self, machine: &Bare, _: u64, frame: Pfn) -> Result<(), StoreError> {
        self.0.write_once(machine.data(frame).read_once());
        Ok(())
    }

    fn discard(&self, _: &Bare, _: Range<u64>) {
        self.0.write_once(0);
    }
}

/// The file, and its store.
pub(crate) struct OnDisk {
    pub(crate) file: File<Bare>,
    disk: Arc<Disk>,
}

impl OnDisk {
    pub(crate) fn new(memory: &Shared<Memory<Bare>>) -> Self {
        let disk = Arc::<Disk>::default();
        let file = File::new(memory, 1, Box::new(disk.clone())).expect("heap");
        Self { file, disk }
    }

    /// Writes by the file, not by a mapping.
    pub(crate) fn write(&self, machine: &Bare, value: u64) -> Seen {
        told(self.file.write(0, |pfn| machine.data(pfn).write_once(value)), |()| Seen::Done)
    }

    pub(crate) fn read(&self, machine: &Bare) -> Seen {
        told(self.file.read(0, |pfn| machine.data(pfn).read_once()), Seen::Value)
    }

    pub(crate) fn sync(&self) -> Seen {
        match self.file.sync() {
            Ok(_) => Seen::Done,
            Err(error) => Seen::Wrong(error.to_string()),
        }
    }

    /// Whether a write was lost, while nothing runs; or, if the page was taken away and nobody
    /// has written since, whether something is left.
    pub(crate) fn judge(&self, memory: &Memory<Bare>, emptied: bool) -> Result<(), String> {
        let page = || lab::file_page(&self.file, 0);
        let machine = memory.platform();
        if let Some(pfn) = page() {
            let dirty = lab::flags(memory.frames(), pfn).contains(Flags::DIRTY);
            self.same(machine.data(pfn).peek(), dirty)?;
        }
        self.file.sync().map_err(|error| error.to_string())?;
        page().map_or(Ok(()), |pfn| self.same(machine.data(pfn).peek(), false))?;
        match self.disk.0.peek() {
            left if emptied && left != 0 => Err(format!("the store still has {left}")),
            _ => Ok(()),
        }
    }

    fn same(&self, memory: u64, dirty: bool) -> Result<(), String> {
        let stored = self.disk.0.peek();
        if dirty || memory == stored {
            return Ok(());
        }
        Err(format!("the page is clean and holds {memory}, the store {stored}"))
    }
}

fn told<T>(result: Result<T, FileError>, keep: impl FnOnce(T) -> Seen) -> Seen {
    match result {
        Ok(value) => keep(value),
        Err(FileError::PastEnd { .. }) => Seen::PastEnd,
        Err(error) => Seen::Wrong(error.to_string()),
    }
}
