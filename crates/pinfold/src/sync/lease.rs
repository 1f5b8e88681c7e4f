//! How many owners a value has, and how many leases by CPU.
//!
//! Protocol: owners are counted in one word. A value may also have a place for each CPU, in which
//! *leases* are counted: an owner's, taken and given back without writing a word that other CPUs
//! write. While there is an owner nobody asks how many leases there are. When the last owner has
//! gone, he closes each place, adds what was counted there to the common word, and from then on
//! leases are given back to that word. (Linux: percpu_ref.)
//!
//! Invariants:
//! - INV-LEASE-1: the first lease of several is taken through an owner, so it is counted before the
//!   places are closed; further ones are taken through a lease.
//! - INV-LEASE-2: a place is closed by an exchange. A lease that is given back is found either in
//!   what the exchange took out, or by its holder in the closed place, never in both: its holder
//!   takes it off the common word then. While places are being closed that word has a bias, so that
//!   nobody but the last one brings it to zero.
//! - INV-LEASE-3: who finds a place closed comes after the bias: an acquire fence pairs with the
//!   exchange. Otherwise the bias could overwrite what he did to the common word.
//!
//! Who is the last has all that the others did behind him: each gives up by a release, and the last
//! one makes an acquire fence.

use core::sync::atomic::{AtomicUsize, Ordering, fence};

use super::atomic::AtomicU64;
use super::percpu::PerCpu;
use super::smp_rmb;
use crate::error::NoMemory;

/// In a place: it is closed. Leases that were given back later leave the upper bit as it is.
const CLOSED: usize = 0b11 << (usize::BITS - 2);
/// What the common word has while places are being closed.
const BIAS: usize = 1 << (usize::BITS - 2);

/// A word in which owners or leases are counted. Natively it is one of the processor's; a test
/// explores the same code with words whose accesses are steps.
pub trait Count: Default {
    /// Adds without ordering; the old value.
    fn add(&self, more: usize) -> usize;
    /// Subtracts, release ordering; the old value.
    fn sub_release(&self, less: usize) -> usize;
    /// Stores without ordering.
    fn set(&self, value: usize);
    /// Stores, acquire and release ordering; the old value.
    fn exchange(&self, value: usize) -> usize;
    /// An acquire fence.
    fn acquire_fence();
}

impl Count for AtomicUsize {
    #[inline]
    fn add(&self, more: usize) -> usize {
        self.fetch_add(more, Ordering::Relaxed)
    }

    #[inline]
    fn sub_release(&self, less: usize) -> usize {
        self.fetch_sub(less, Ordering::Release)
    }

    #[inline]
    fn set(&self, value: usize) {
        self.store(value, Ordering::Relaxed);
    }

    #[inline]
    fn exchange(&self, value: usize) -> usize {
        self.swap(value, Ordering::AcqRel)
    }

    #[inline]
    fn acquire_fence() {
        fence(Ordering::Acquire);
    }
}

/// Its accesses are steps of an exploration.
impl Count for AtomicU64 {
    fn add(&self, more: usize) -> usize {
        self.fetch_add_relaxed(more as u64) as usize
    }

    fn sub_release(&self, less: usize) -> usize {
        self.fetch_sub_release(less as u64) as usize
    }

    fn set(&self, value: usize) {
        self.write_once(value as u64);
    }

    fn exchange(&self, value: usize) -> usize {
        self.xchg_acq_rel(value as u64) as usize
    }

    fn acquire_fence() {
        smp_rmb();
    }
}

/// The counts of one value. Who is told to be the last ends the value, and nobody uses these counts
/// afterwards.
#[derive(Debug)]
pub struct Counts<W> {
    owners: W,
    /// Where leases are counted, by CPU.
    places: Option<PerCpu<W>>,
}

impl<W: Count> Counts<W> {
    /// One owner; nobody takes leases.
    pub fn owned() -> Self {
        Self::with(None)
    }

    /// One owner; each of `cpus` CPUs may take leases.
    ///
    /// # Errors
    /// When the heap is exhausted.
    pub fn leasable(cpus: usize) -> Result<Self, NoMemory> {
        PerCpu::new(cpus).map(|places| Self::with(Some(places)))
    }

    fn with(places: Option<PerCpu<W>>) -> Self {
        let owners = W::default();
        owners.set(1);
        Self { owners, places }
    }

    /// One owner more, through another; how many there were.
    #[inline]
    pub fn own(&self) -> usize {
        self.owners.add(1)
    }

    /// One owner less, who was one too many.
    #[cold]
    pub fn renounce(&self) {
        self.owners.sub_release(1);
    }

    /// One owner is gone; whether he was the last who had a right to the value.
    #[inline]
    pub fn disown(&self) -> bool {
        if self.owners.sub_release(1) != 1 {
            return false;
        }
        W::acquire_fence();
        // The other owners have gone, and cannot lease any more.
        self.places.as_ref().is_none_or(|places| self.close(places))
    }

    /// A lease more, for the CPU with number `cpu`, through an owner or another lease of that CPU.
    ///
    /// # Panics
    /// When the value was not made for leases.
    #[inline]
    pub fn lease(&self, cpu: usize) {
        if is_closed(self.place(cpu).add(1)) {
            self.lease_late();
        }
    }

    /// A lease less; whether it was the last right to the value.
    #[inline]
    pub fn give_back(&self, cpu: usize) -> bool {
        is_closed(self.place(cpu).sub_release(1)) && self.give_back_late()
    }

    #[inline]
    fn place(&self, cpu: usize) -> &W {
        self.places.as_ref().expect("the value was made for leases").of(cpu)
    }

    /// Closes the places of a value without owners; whether no lease is left.
    #[cold]
    fn close(&self, places: &PerCpu<W>) -> bool {
        self.owners.set(BIAS);
        let leases: usize = places.iter().map(|place| place.exchange(CLOSED)).sum();
        self.last(BIAS - leases)
    }

    /// A lease that is taken through another, after the places were closed.
    #[cold]
    fn lease_late(&self) {
        W::acquire_fence();
        self.owners.add(1);
    }

    /// A lease that is given back after the places were closed; whether it was the last.
    #[cold]
    fn give_back_late(&self) -> bool {
        W::acquire_fence();
        self.last(1)
    }

    /// Takes so many off the common word; whether none is left.
    fn last(&self, off: usize) -> bool {
        let last = self.owners.sub_release(off) == off;
        if last {
            W::acquire_fence();
        }
        last
    }
}

/// Whether a place with this word is closed: then its leases are counted in the common word.
#[inline]
const fn is_closed(place: usize) -> bool {
    place >> (usize::BITS - 1) != 0
}
