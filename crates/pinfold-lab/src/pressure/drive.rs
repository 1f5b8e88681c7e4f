//! The swap device: a store that fails now and then, and counts.

use super::board::Board;
use pinfold::stores::MemoryStore;
use pinfold::{Pfn, Store, StoreError};
use serde::Serialize;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What the device has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Transfers {
    /// Pages read.
    pub read: u64,
    /// Pages written.
    pub written: u64,
    /// Reads that failed on purpose.
    pub reads_failed: u64,
    /// Writes that failed on purpose.
    pub writes_failed: u64,
    /// Reads and writes that failed by themselves: a full or broken medium below the swap file.
    pub broke: u64,
}

#[derive(Default)]
struct Counts {
    read: AtomicU64,
    written: AtomicU64,
    reads_failed: AtomicU64,
    writes_failed: AtomicU64,
    broke: AtomicU64,
}

/// Counts transfers, for who looks at the device from outside.
#[derive(Clone, Default)]
pub(crate) struct Gauge(Arc<Counts>);

impl Gauge {
    /// What was done until now.
    pub(crate) fn transfers(&self) -> Transfers {
        let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let Counts { read, written, reads_failed, writes_failed, broke } = &*self.0;
        Transfers {
            read: get(read),
            written: get(written),
            reads_failed: get(reads_failed),
            writes_failed: get(writes_failed),
            broke: get(broke),
        }
    }
}

/// What keeps the pages.
pub(crate) enum Medium {
    Memory(MemoryStore),
    #[cfg(unix)]
    File(pinfold::stores::FileStore),
}

impl Medium {
    fn store(&self) -> &dyn Store<Board> {
        match self {
            Self::Memory(store) => store,
            #[cfg(unix)]
            Self::File(store) => store,
        }
    }
}

/// The device.
pub(crate) struct Drive {
    medium: Medium,
    /// Of so many transfers the last one fails.
    fail_every: Option<u64>,
    begun: AtomicU64,
    gauge: Gauge,
}

impl Drive {
    pub(crate) fn new(medium: Medium, fail_every: Option<u64>, gauge: Gauge) -> Self {
        Self { medium, fail_every, begun: AtomicU64::new(0), gauge }
    }

    /// Whether the transfer that begins now is to fail.
    fn fails(&self) -> bool {
        let number = self.begun.fetch_add(1, Ordering::Relaxed) + 1;
        self.fail_every.is_some_and(|every| number.is_multiple_of(every))
    }

    /// A transfer, which is counted.
    fn transfer(
        &self,
        (done, failed): (&AtomicU64, &AtomicU64),
        run: impl FnOnce(&dyn Store<Board>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        if self.fails() {
            failed.fetch_add(1, Ordering::Relaxed);
            return Err(StoreError::Io);
        }
        let ended = run(self.medium.store());
        let count = if ended.is_ok() { done } else { &self.gauge.0.broke };
        count.fetch_add(1, Ordering::Relaxed);
        ended
    }
}

impl Store<Board> for Drive {
    fn read(&self, board: &Board, index: u64, frame: Pfn) -> Result<(), StoreError> {
        let counts = &self.gauge.0;
        let run = |store: &dyn Store<Board>| store.read(board, index, frame);
        self.transfer((&counts.read, &counts.reads_failed), run)
    }

    fn write(&self, board: &Board, index: u64, frame: Pfn) -> Result<(), StoreError> {
        let counts = &self.gauge.0;
        let run = |store: &dyn Store<Board>| store.write(board, index, frame);
        self.transfer((&counts.written, &counts.writes_failed), run)
    }

    fn reserve(&self, board: &Board, index: u64) -> Result<(), StoreError> {
        self.medium.store().reserve(board, index)
    }

    fn discard(&self, board: &Board, pages: Range<u64>) {
        self.medium.store().discard(board, pages);
    }
}
