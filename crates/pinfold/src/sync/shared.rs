//! Shared ownership whose allocation can fail, which `alloc::sync::Arc` does not offer, and which
//! CPUs can lease without meeting: [`super::lease`] says how.
//!
//! An exploration does not interleave on the number of owners: it only goes up and down, and the
//! last owner finds what the others left, whichever owner is last. It is still told that the last
//! one comes after the others. So it is with leases, whose protocol is explored by itself.

use alloc::boxed::Box;
use core::alloc::Layout;
use core::mem::ManuallyDrop;
use core::ops::Deref;
use core::ptr::NonNull;
use core::sync::atomic::AtomicUsize;

use super::class::saw;
use super::lease::Counts;
use crate::error::NoMemory;
#[cfg(feature = "explore")]
use pinfold_explore::hook;

/// Far more than the owners that can exist, and far below where the count would wrap.
const MOST_OWNERS: usize = usize::MAX / 2;

struct Inner<T> {
    counts: Counts<AtomicUsize>,
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
        Self::counted(value, Counts::owned())
    }

    /// As [`Shared::try_new`], and each of `cpus` CPUs may take leases.
    ///
    /// # Errors
    /// As [`Shared::try_new`].
    pub(crate) fn try_leasable(value: T, cpus: usize) -> Result<Self, NoMemory> {
        Self::counted(value, Counts::leasable(cpus)?)
    }

    fn counted(value: T, counts: Counts<AtomicUsize>) -> Result<Self, NoMemory> {
        let layout = Layout::new::<Inner<T>>();
        // SAFETY: the layout is that of `Inner`, which holds at least a word and so is not empty.
        let raw = unsafe { alloc::alloc::alloc(layout) }.cast::<Inner<T>>();
        let inner = NonNull::new(raw).ok_or(NoMemory)?;
        // SAFETY: fresh, aligned and large enough for an `Inner`.
        unsafe { inner.write(Inner { counts, value }) };
        Ok(Self { inner })
    }

    /// Whether both own the same value.
    #[inline]
    pub fn same(&self, other: &Self) -> bool {
        self.inner == other.inner
    }

    /// A word that names the value as long as somebody owns it; never zero.
    pub(crate) fn word(&self) -> u64 {
        self.inner.as_ptr().expose_provenance() as u64
    }

    /// One more owner of the value that a word names.
    ///
    /// # Safety
    /// The word is of a [`Shared::word`] of the same type, and its value has an owner until this
    /// returns.
    pub(crate) unsafe fn of_word(word: u64) -> Self {
        let raw = core::ptr::with_exposed_provenance_mut::<Inner<T>>(word as usize);
        // SAFETY: the caller's promise: the word came from such a pointer, and an owner exists.
        let owner = ManuallyDrop::new(Self { inner: unsafe { NonNull::new_unchecked(raw) } });
        Self::clone(&owner)
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
        self.inner().counts.lease(cpu);
        Lease { inner: self.inner, cpu }
    }
}

/// Ends the value that nobody owns any more.
///
/// # Safety
/// The caller was the last one who had an owner's or a lease's right to it.
#[cold]
unsafe fn end<T>(inner: NonNull<Inner<T>>) {
    #[cfg(feature = "explore")]
    {
        let id = inner.as_ptr() as usize;
        hook::take_over(id);
        // What lies there later hands over nothing from before.
        hook::forget(id, 1);
    }
    // SAFETY: the allocation came from the global allocator with this layout, and nobody else
    // reaches it.
    drop(unsafe { Box::from_raw(inner.as_ptr()) });
}

impl<T> Clone for Shared<T> {
    #[inline]
    fn clone(&self) -> Self {
        let before = self.inner().counts.own();
        if before > MOST_OWNERS {
            // Only forgotten clones can add up to this many. Counting further would free the value
            // while it is in use.
            self.inner().counts.renounce();
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
        let last = self.inner().counts.disown();
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
        self.inner().counts.lease(self.cpu);
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
        let last = self.inner().counts.give_back(self.cpu);
        saw(u64::from(last));
        if last {
            // SAFETY: no owner is left, and this was the last lease.
            unsafe { end(self.inner) };
        }
    }
}

#[cfg(test)]
mod tests;
