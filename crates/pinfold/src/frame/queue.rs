//! The list of large folios that are mapped in part, and a folio's place in it: what they are made
//! of. How they are used, `partial` says.

use crate::sync::{self, CellName, SpinLock};

/// The queue.
pub(super) struct Queue {
    pub(super) list: SpinLock<List>,
}

/// Zero: no folio.
#[derive(Hash)]
pub(super) struct List {
    pub(super) first: u32,
    pub(super) len: u64,
}

impl Queue {
    /// Nothing waits.
    pub(super) const fn new() -> Self {
        Self { list: SpinLock::hashed(List { first: 0, len: 0 }) }
    }

    /// Names the words for a trace.
    pub(super) fn label(&self) {
        sync::label(self, size_of_val(self), |_| CellName::Object {
            object: "partly mapped folios",
            index: 0,
            cell: "queue",
        });
    }
}

/// The neighbours of a folio in the queue.
#[derive(Clone, Copy)]
pub(super) struct Links {
    pub(super) before: u32,
    pub(super) after: u32,
}

impl Links {
    pub(super) const fn of_bits(bits: u64) -> Self {
        Self { before: bits as u32, after: (bits >> 32) as u32 }
    }

    pub(super) const fn bits(self) -> u64 {
        (self.after as u64) << 32 | self.before as u64
    }
}
