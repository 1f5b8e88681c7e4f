//! The swap device of a scenario: a disk, and what the scenario says of it.
//!
//! Protocol: the memory manager calls it without a lock that spins, one call for a slot at a time
//! ([`pinfold::Store`]). One that needs pages unchanged reads a page twice, as one does that
//! computes a checksum, or the length that the page takes compressed, and then stores the page. An
//! execution in which the two differ is bad: of what would come back nobody knows.
//!
//! Invariants:
//! - INV-DRIVE-1: a call that fails has changed neither the disk nor the frame.
//! - INV-DRIVE-2: which call fails is counted in a word that an exploration sees: where one may
//!   fail, lanes that write, or that read, depend on each other, and nowhere else.

use std::ops::Range;

use pinfold::rules::swap::SwapDevice;
use pinfold::sync::AtomicU64;
use pinfold::{Pfn, Store, StoreError, SwapWrites};
use pinfold_explore::hook;

use crate::about::About;
use crate::files::{self, Disk};
use crate::machine::Machine;
use crate::report::Oracle;
use crate::scenario::{self, SwapChanges, SwapKind};

/// The device as the memory manager knows it.
struct Drive {
    disk: Box<dyn Store<Machine>>,
    device: SwapDevice,
    writes: SwapWrites,
    failing_write: Failing,
    failing_read: Failing,
}

/// Which of the calls of one kind fails.
struct Failing {
    /// Counted from 1, if one does.
    nth: Option<u32>,
    /// How many there were.
    calls: AtomicU64,
}

impl Failing {
    const fn new(nth: Option<u32>) -> Self {
        Self { nth, calls: AtomicU64::new(0) }
    }

    /// Names the word in a trace.
    fn label(&self, calls: &'static str) {
        let at = &raw const self.calls as usize;
        hook::label(at, size_of_val(&self.calls), move |_| format!("{calls} of the swap device"));
    }

    /// One more call: INV-DRIVE-2.
    ///
    /// # Errors
    /// Those of the call that fails.
    fn call(&self) -> Result<(), StoreError> {
        let Some(nth) = self.nth else { return Ok(()) };
        match self.calls.fetch_add(1) + 1 == u64::from(nth) {
            true => Err(StoreError::Io),
            false => Ok(()),
        }
    }
}

impl Drive {
    fn words(machine: &Machine, frame: Pfn) -> Vec<u64> {
        (0..machine.words()).map(|word| machine.word(frame, word).read_once()).collect()
    }

    /// Stores a page of which something was computed before.
    fn write_unchanged(&self, machine: &Machine, index: u64, frame: Pfn) -> Result<(), StoreError> {
        let computed_of = Self::words(machine, frame);
        self.disk.write(machine, index, frame)?;
        let stored = Self::words(machine, frame);
        if stored != computed_of {
            machine.record().about.get_or_insert(About::Unstable(frame));
            let what = format!("{frame} was stored to while the swap device wrote it");
            machine.broken(Oracle::StableWrites, what);
        }
        Ok(())
    }
}

impl Store<Machine> for Drive {
    fn read(&self, machine: &Machine, index: u64, frame: Pfn) -> Result<(), StoreError> {
        self.failing_read.call()?;
        self.disk.read(machine, index, frame)
    }

    fn write(&self, machine: &Machine, index: u64, frame: Pfn) -> Result<(), StoreError> {
        self.failing_write.call()?;
        match self.writes {
            SwapWrites::Any => self.disk.write(machine, index, frame),
            SwapWrites::Stable => self.write_unchanged(machine, index, frame),
        }
    }

    fn device(&self) -> SwapDevice {
        self.device
    }

    fn discard(&self, machine: &Machine, pages: Range<u64>) {
        self.disk.discard(machine, pages);
    }
}

/// The device of a machine whose pages have so many words, and what it bears of a page while it
/// writes it.
pub(crate) fn new(
    machine: &scenario::Machine,
    words: usize,
) -> (Box<dyn Store<Machine>>, SwapWrites) {
    let device = match machine.swap_device() {
        SwapKind::Solid => SwapDevice::Solid,
        SwapKind::Synchronous => SwapDevice::Synchronous,
    };
    let writes = match machine.swap_writes() {
        SwapChanges::Any => SwapWrites::Any,
        SwapChanges::Stable => SwapWrites::Stable,
    };
    let drive = Box::new(Drive {
        disk: files::store(&Disk::new("swap", words)),
        device,
        writes,
        failing_write: Failing::new(machine.swap_write_fails()),
        failing_read: Failing::new(machine.swap_read_fails()),
    });
    drive.failing_write.label("writes");
    drive.failing_read.label("reads");
    (drive, writes)
}
