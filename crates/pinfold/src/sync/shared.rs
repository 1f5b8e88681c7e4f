//! Shared ownership whose allocation can fail, which `alloc::sync::Arc` does not offer, and which
//! CPUs can lease without meeting.
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
//!
//! An exploration does not interleave on the number of owners: it only goes up and down, and the
//! last owner finds what the others left, whichever owner is last. It is still told that the last
//! one comes after the others. So it is with leases.

use alloc::boxed::Box;
use core::alloc::Layout;
use core::ops::Deref;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicUsize, Ordering, fence};

use super::class::saw;
use super::percpu::PerCpu;
use crate::error::NoMemory;
#[cfg(feature = "explore")]
use pinfold_explore::hook;

/// Far more than the owners that can exist, and far below where the count would wrap.
const MOST_OWNERS: usize = usize::MAX / 2;

/// In a place: it is closed. Leases that were given back later leave the upper bit as it is.
const CLOSED: usize = 0b11 << (usize::BITS - 2);
/// What the common word has while places are being closed.
const BIAS: usize = 1 << (usize::BITS - 2);

struct Inner<T> {
    owners: AtomicUsize,
    /// Where leases are counted, by CPU.
    places: Option<PerCpu<AtomicUsize>>,
    value: T,
}

/// A value with several owners; dropped with the last of them.
pub struct Shared<T> {
    inner: NonNull<Inner<T>>,
}

// SAFETY: as for `Arc`: owners on several threads share `&T`, and the last of them drops `T`.
unsafe impl<T: Send + Sync> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for Shared<T> {}

impl<T> Shared<T> {
    /// The first owner of `value`.
    ///
    /// # Errors
    /// When the heap is exhausted; `value` is dropped then.
    pub(crate) fn try_new(value: T) -> Result<Self, NoMemory> {
        Self::with_places(value, None)
    }

    /// As [`Shared::try_new`], and each of `cpus` CPUs may take leases.
    ///
    /// # Errors
    /// As [`Shared::try_new`].
    pub(crate) fn try_leasable(value: T, cpus: usize) -> Result<Self, NoMemory> {
        let places = PerCpu::new(cpus)?;
        Self::with_places(value, Some(places))
    }

    fn with_places(value: T, places: Option<PerCpu<AtomicUsize>>) -> Result<Self, NoMemory> {
        let layout = Layout::new::<Inner<T>>();
        // SAFETY: the layout is that of `Inner`, which holds at least a word and so is not empty.
        let raw = unsafe { alloc::alloc::alloc(layout) }.cast::<Inner<T>>();
        let inner = NonNull::new(raw).ok_or(NoMemory)?;
        // SAFETY: fresh, aligned and large enough for an `Inner`.
        unsafe { inner.write(Inner { owners: AtomicUsize::new(1), places, value }) };
        Ok(Self { inner })
    }

    /// Whether both own the same value.
    #[inline]
    pub fn same(&self, other: &Self) -> bool {
        self.inner == other.inner
    }

    #[inline]
    fn inner(&self) -> &Inner<T> {
        // SAFETY: an owner exists, so the allocation lives.
        unsafe { self.inner.as_ref() }
    }

    /// A lease for the CPU with number `cpu`.
    ///
    /// # Panics
    /// When the value has no places for leases.
    #[inline]
    pub(crate) fn lease(&self, cpu: usize) -> Lease<T> {
        self.inner().places().of(cpu).fetch_add(1, Ordering::Relaxed);
        Lease { inner: self.inner, cpu }
    }
}

impl<T> Inner<T> {
    #[inline]
    fn places(&self) -> &PerCpu<AtomicUsize> {
        self.places.as_ref().expect("the value was made for leases")
    }

    /// Closes the places of a value without owners; whether no lease is left.
    #[cold]
    fn close(&self, places: &PerCpu<AtomicUsize>) -> bool {
        self.owners.store(BIAS, Ordering::Relaxed);
        let close = |place: &AtomicUsize| place.swap(CLOSED, Ordering::AcqRel);
        let leases: usize = places.iter().map(close).sum();
        self.owners.fetch_sub(BIAS - leases, Ordering::Release) == BIAS - leases
    }

    /// One lease more is counted in the common word, whoever found its place closed.
    #[cold]
    fn add_one(&self) {
        // The bias was there before the place was closed.
        fence(Ordering::Acquire);
        self.owners.fetch_add(1, Ordering::Relaxed);
    }

    /// One lease less is counted there, whose holder found its place closed; whether it was the
    /// last.
    #[cold]
    fn took_last(&self) -> bool {
        fence(Ordering::Acquire);
        self.drop_one()
    }

    /// One owner or lease of the common word is gone; whether it was the last.
    fn drop_one(&self) -> bool {
        self.owners.fetch_sub(1, Ordering::Release) == 1
    }
}

/// Ends the value that nobody owns any more.
///
/// # Safety
/// The caller was the last one who had an owner's or a lease's right to it.
#[cold]
unsafe fn end<T>(inner: NonNull<Inner<T>>) {
    fence(Ordering::Acquire);
    #[cfg(feature = "explore")]
    hook::take_over(inner.as_ptr() as usize);
    // SAFETY: the allocation came from the global allocator with this layout, and nobody else
    // reaches it.
    drop(unsafe { Box::from_raw(inner.as_ptr()) });
}

impl<T> Clone for Shared<T> {
    #[inline]
    fn clone(&self) -> Self {
        let before = self.inner().owners.fetch_add(1, Ordering::Relaxed);
        if before > MOST_OWNERS {
            // Only forgotten clones can add up to this many. Counting further would free the value
            // while it is in use.
            self.inner().owners.fetch_sub(1, Ordering::Relaxed);
            panic!("a shared value has too many owners: do not forget clones");
        }
        Self { inner: self.inner }
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        &self.inner().value
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        #[cfg(feature = "explore")]
        hook::hand_over(self.inner.as_ptr() as usize);
        let inner = self.inner();
        let mut last = inner.drop_one();
        if last && let Some(places) = &inner.places {
            // What the other owners did happens before: they cannot lease any more.
            fence(Ordering::Acquire);
            last = inner.close(places);
        }
        saw(u64::from(last));
        if last {
            // SAFETY: nobody else has an owner, and no lease is left.
            unsafe { end(self.inner) };
        }
    }
}

impl<T: core::fmt::Debug> core::fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        T::fmt(self, f)
    }
}

/// Keeps a [`Shared`] value alive beyond its owners; counted by CPU.
#[must_use]
pub(crate) struct Lease<T> {
    inner: NonNull<Inner<T>>,
    /// The CPU in whose place it is counted.
    cpu: usize,
}

// SAFETY: as for `Shared`.
unsafe impl<T: Send + Sync> Send for Lease<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for Lease<T> {}

impl<T> Lease<T> {
    #[inline]
    fn inner(&self) -> &Inner<T> {
        // SAFETY: the lease is counted, so the allocation lives.
        unsafe { self.inner.as_ref() }
    }

    /// The number of the CPU that took it.
    #[inline]
    pub(crate) fn cpu(&self) -> usize {
        self.cpu
    }
}

impl<T> Clone for Lease<T> {
    fn clone(&self) -> Self {
        let before = self.inner().places().of(self.cpu).fetch_add(1, Ordering::Relaxed);
        if is_closed(before) {
            self.inner().add_one();
        }
        Self { inner: self.inner, cpu: self.cpu }
    }
}

impl<T> Deref for Lease<T> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        &self.inner().value
    }
}

impl<T> Drop for Lease<T> {
    #[inline]
    fn drop(&mut self) {
        #[cfg(feature = "explore")]
        hook::hand_over(self.inner.as_ptr() as usize);
        let before = self.inner().places().of(self.cpu).fetch_sub(1, Ordering::Release);
        let last = is_closed(before) && self.inner().took_last();
        saw(u64::from(last));
        if last {
            // SAFETY: no owner is left, and this was the last lease.
            unsafe { end(self.inner) };
        }
    }
}

/// Whether a place with this word is closed: then its leases are counted in the common word.
#[inline]
const fn is_closed(place: usize) -> bool {
    place >> (usize::BITS - 1) != 0
}

#[cfg(test)]
mod tests;
