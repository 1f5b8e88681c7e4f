//! The sequence count between fork and the lock-free pin (facts 2.5).
//!
//! Writers are serialised: fork holds the address space's lock for writing. Readers never wait: an
//! odd or changed count sends them to the slow path.

use super::atomic::{AtomicU32, smp_mb, smp_rmb, smp_wmb};

/// Which barrier follows the writer's increment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Begin {
    /// A write barrier, as merged in 5.11 (57efa1fe5957).
    WriteBarrier,
    /// A full barrier: the increment is seen before the pin counts are read
    /// (`docs/fork-races-fast-pin.md`).
    FullBarrier,
}

/// A sequence count; odd while a writer is active.
#[derive(Debug)]
pub struct SeqCount(AtomicU32);

impl SeqCount {
    /// An even count.
    pub const fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    /// The count, if no writer is active.
    #[inline]
    pub fn read(&self) -> Option<u32> {
        let count = self.0.read_once();
        smp_rmb();
        (count.is_multiple_of(2)).then_some(count)
    }

    /// Whether a writer has come since [`SeqCount::read`] gave `count`.
    #[inline]
    pub fn changed_since(&self, count: u32) -> bool {
        smp_rmb();
        self.0.read_once() != count
    }

    /// Makes the count odd. The caller must be the only writer.
    #[inline]
    pub fn write_begin(&self, barrier: Begin) {
        self.0.write_once(self.0.peek().wrapping_add(1));
        match barrier {
            Begin::WriteBarrier => smp_wmb(),
            Begin::FullBarrier => smp_mb(),
        }
    }

    /// Makes the count even again.
    #[inline]
    pub fn write_end(&self) {
        smp_wmb();
        self.0.write_once(self.0.peek().wrapping_add(1));
    }
}

impl Default for SeqCount {
    fn default() -> Self {
        Self::new()
    }
}
