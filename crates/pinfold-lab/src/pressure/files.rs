//! The file that all processes have mapped, and the shared memory: with their pages memory is
//! filled, too, beside those of the processes.
//!
//! Protocol: either has half as many pages as a process. The file's store fails as often as the
//! swap device; what has no store goes to that. Each thread stores to lanes of its own in each
//! page, through the mapping of any process and by writing to the file, and looks at them by loads
//! and reads. The threads write some of it back now and then (`filing.rs`), and whoever reclaims in
//! the background all of it when reclaim has met pages that are dirty: it is the machine's flusher.
//! What a thread knows of the file outlives every process; under its lock come the manager's.

use super::board::{Board, Space};
use super::desk::Trouble;
use super::drive::{Drive, Gauge, Medium};
use super::plan::{Plan, PressureError};
use super::stamp::{Known, Lane};
use pinfold::stores::MemoryStore;
use pinfold::sync::Shared;
use pinfold::{
    File, FileError, FileSharing, Memory, Pfn, Place, Prot, Unwritten, VirtAddr, VirtRange,
};
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;

/// One of the two.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Which {
    /// The one with a store.
    File,
    /// The one without.
    Shared,
}

impl Which {
    pub(super) const BOTH: [Self; 2] = [Self::File, Self::Shared];
}

/// A file, and what the threads know of it.
pub(super) struct Filed {
    pub(super) file: File<Board>,
    /// As people read it.
    pub(super) name: &'static str,
    /// Its pages.
    pub(super) pages: u64,
    /// What its first page is called in stamps: no page of a process, or of the other one, is.
    pub(super) first: u64,
    /// By thread.
    pub(super) known: Box<[Mutex<Known>]>,
    /// How many dirty pages reclaim had met when all was written back last.
    pub(super) met: AtomicU64,
}

impl Filed {
    /// A file whose pages nobody has written.
    ///
    /// # Errors
    /// When the heap is exhausted.
    pub(super) fn new(
        which: Which,
        plan: &Plan,
        memory: &Shared<Memory<Board>>,
    ) -> Result<Self, PressureError> {
        let refused = |why: &dyn std::fmt::Display| PressureError::Machine(why.to_string());
        let pages = plan.file_pages();
        let (name, first, file) = match which {
            Which::File => {
                let store = MemoryStore::new(pages).map_err(|why| refused(&why))?;
                let drive = Drive::new(Medium::Memory(store), plan.fail_every, Gauge::default());
                ("the file", plan.pages(), File::new(memory, pages, Box::new(drive)))
            }
            Which::Shared => {
                ("the shared memory", plan.pages() + pages, File::in_memory(memory, pages))
            }
        };
        let file = file.map_err(|why| refused(&why))?;
        let nothing = |_| Mutex::new(Known::nothing(pages));
        let known = (0..plan.threads).map(nothing).collect();
        Ok(Self { file, name, pages, first, known, met: AtomicU64::new(0) })
    }

    /// Maps it at a place of a process.
    pub(super) fn map(&self, space: &Space, at: VirtAddr) -> Result<VirtRange, Trouble> {
        let run = self.file.run(0..self.pages);
        Ok(space.map_file(Place::At(at), Prot::READ_WRITE, run, FileSharing::Shared)?)
    }

    /// What is in a lane of a page, as read(2) finds it.
    pub(super) fn read(&self, board: &Board, lane: Lane, index: u64) -> Result<[u64; 2], Trouble> {
        Ok(self.file.read(index, |frame: Pfn| lane.read(board, frame))?)
    }

    /// Writes dirty pages back, if there are any.
    pub(super) fn sync(&self, pages: Range<u64>) -> Result<(), Trouble> {
        match self.file.sync_pages(pages)? {
            0 => Err(Trouble::Nothing),
            _ => Ok(()),
        }
    }

    /// Takes all pages out of memory, as nobody needs them any more.
    pub(super) fn end(&self) {
        // It cannot fail: that is no length that a file cannot have.
        let _ = self.file.truncate(0);
    }
}

impl From<FileError> for Trouble {
    fn from(error: FileError) -> Self {
        match error {
            FileError::OutOfFrames => Self::Frames,
            FileError::Store { .. } => Self::Device,
            other => Self::Other(format!("a file: {other}")),
        }
    }
}

impl From<Unwritten> for Trouble {
    fn from(_: Unwritten) -> Self {
        Self::Device
    }
}
