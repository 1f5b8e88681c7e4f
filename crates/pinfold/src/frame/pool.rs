//! The pool of huge pages: what it is made of. How it is used, `pooled` says.

use crate::sync::{self, CellName, Inside, Masks, SpinLock, SpinLocked};

/// What a pool of huge pages has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct HugePages {
    /// Pages that belong to it, free or in use (Linux: HugePages_Total).
    pub total: u64,
    /// Free ones (HugePages_Free).
    pub free: u64,
    /// Free ones that are promised to mappings which have not touched them yet (HugePages_Rsvd).
    pub reserved: u64,
}

impl HugePages {
    /// Free ones that are promised to nobody.
    pub(super) const fn spare(self) -> u64 {
        self.free - self.reserved
    }
}

/// What the lock protects.
#[derive(Hash)]
pub(super) struct List {
    /// The number of the first free one, counted from the frame table's first frame, from one on;
    /// zero: there is none.
    pub(super) first: u64,
    pub(super) total: u64,
    pub(super) free: u64,
    pub(super) reserved: u64,
}

impl List {
    pub(super) const fn counts(&self) -> HugePages {
        HugePages { total: self.total, free: self.free, reserved: self.reserved }
    }
}

/// The pool.
pub(super) struct Pool(SpinLock<List>);

impl Pool {
    /// Nothing belongs to it.
    pub(super) const fn new() -> Self {
        Self(SpinLock::hashed(List { first: 0, total: 0, free: 0, reserved: 0 }))
    }

    /// Names the words for a trace.
    pub(super) fn label(&self) {
        sync::label(self, size_of_val(self), |_| CellName::Object {
            object: "huge pages",
            index: 0,
            cell: "pool",
        });
    }

    /// Taken with interrupts off if the kernel wants that: INV-MASK-3.
    pub(super) fn lock(&self) -> Inside<SpinLocked<'_, List>> {
        Inside::lock(Masks::Interrupts, || self.0.lock())
    }
}
