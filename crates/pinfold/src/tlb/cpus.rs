//! The CPUs that a flush has to reach, for platforms that do not interrupt all of them.
//!
//! Protocol, the kernel's for its `mm_cpumask`:
//!
//! - A CPU that switches to an address space *enters* before it loads the root; only then does it
//!   walk the tables.
//! - A flush looks at the set after the entries have changed, and makes each CPU in it forget.
//! - A CPU that has loaded another root and has dropped every translation of the address space
//!   *leaves*. One that is idle with the root still loaded may do so when a flush reaches it, as
//!   Linux's lazy CPUs do.
//! - Only the CPU itself enters and leaves, one change at a time.
//!
//! Invariants:
//! - INV-CPUSET-1: a CPU that a flush does not find in the set uses no translation that is older
//!   than the change before the flush. There is a full barrier between a CPU's entry and its walks,
//!   and one between the change and the look at the set: either the flush sees the CPU, or the
//!   CPU's walk sees the change.
//! - INV-CPUSET-2: what a CPU did through its translations happens before a flush that finds it
//!   gone: leaving is a release, the look an acquire.

use alloc::vec::Vec;

use crate::error::NoMemory;
use crate::sync::{AtomicU64, smp_mb};

/// The CPUs that may hold translations of one address space: Linux's `mm_cpumask`. A platform keeps
/// one for each address space, from [`crate::Platform::prepare_root`] to
/// [`crate::Platform::retire_root`], and interrupts only its members in
/// [`crate::Platform::flush`].
///
/// ```
/// # fn main() -> Result<(), pinfold::NoMemory> {
/// let set = pinfold::CpuSet::new(64)?;
/// set.enter(3); // before CPU 3 loads the root
/// assert_eq!(set.to_flush().collect::<Vec<_>>(), [3]);
/// set.leave(3); // it has loaded another one and dropped its translations
/// assert_eq!(set.to_flush().count(), 0);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct CpuSet {
    words: Vec<AtomicU64>,
    cpus: usize,
}

impl CpuSet {
    /// An empty set, for CPUs with numbers below `cpus`.
    ///
    /// # Errors
    /// When the heap is exhausted.
    pub fn new(cpus: usize) -> Result<Self, NoMemory> {
        let count = cpus.div_ceil(u64::BITS as usize);
        let mut words = Vec::new();
        words.try_reserve_exact(count).map_err(|_| NoMemory)?;
        words.resize_with(count, || AtomicU64::new(0));
        Ok(Self { words, cpus })
    }

    /// The CPU is about to load the root. A full barrier when it was not in the set.
    ///
    /// # Panics
    /// When there is no CPU with this number: a flush would miss it.
    #[inline]
    pub fn enter(&self, cpu: usize) {
        let (word, bit) = self.place(cpu);
        // Who is in already was there before any flush that could miss it.
        if word.read_once() & bit == 0 {
            word.fetch_or(bit);
        }
    }

    /// The CPU holds no translation of the address space any more, and sets up none until it enters
    /// again. A full barrier.
    ///
    /// # Panics
    /// When there is no CPU with this number.
    #[inline]
    pub fn leave(&self, cpu: usize) {
        let (word, bit) = self.place(cpu);
        word.fetch_and(!bit);
    }

    /// The CPUs that may hold a translation older than what the caller has changed before. A full
    /// barrier; CPUs that enter later see the change.
    #[inline]
    pub fn to_flush(&self) -> impl Iterator<Item = usize> + '_ {
        smp_mb();
        let words = self.words.iter().enumerate();
        words.flat_map(|(at, word)| {
            let word = word.load_acquire();
            let bits = (0..u64::BITS).filter(move |bit| word >> bit & 1 != 0);
            bits.map(move |bit| at * u64::BITS as usize + bit as usize)
        })
    }

    fn place(&self, cpu: usize) -> (&AtomicU64, u64) {
        assert!(cpu < self.cpus, "CPU {cpu} of {}", self.cpus);
        let bits = u64::BITS as usize;
        (&self.words[cpu / bits], 1 << (cpu % bits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_listed_in_order_wherever_their_bits_are() {
        let set = CpuSet::new(130).expect("the heap has room");
        let all = [0, 1, 63, 64, 127, 128, 129];
        all.iter().rev().for_each(|cpu| set.enter(*cpu));
        set.enter(64);
        assert!(set.to_flush().eq(all));
        [1, 64, 129].into_iter().for_each(|cpu| set.leave(cpu));
        set.leave(2);
        assert!(set.to_flush().eq([0, 63, 127, 128]));
    }

    #[test]
    fn no_cpu_is_in_a_set_for_none() {
        let set = CpuSet::new(0).expect("the heap has room");
        assert_eq!(set.to_flush().count(), 0);
    }

    #[test]
    #[should_panic(expected = "CPU 4 of 4")]
    fn a_cpu_that_does_not_exist_is_not_taken_for_another() {
        CpuSet::new(4).expect("the heap has room").enter(4);
    }
}
