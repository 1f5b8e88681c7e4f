//! Shared ownership whose allocation can fail, which `alloc::sync::Arc` does not offer.
//!
//! An exploration does not interleave on the number of owners: it only goes up and down, and the
//! last owner finds what the others left, whichever owner is last. It is still told that the last
//! one comes after the others.

use alloc::boxed::Box;
use core::alloc::Layout;
use core::ops::Deref;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicUsize, Ordering, fence};

use super::class::saw;
use crate::error::NoMemory;
#[cfg(feature = "explore")]
use pinfold_explore::hook;

/// Far more than the owners that can exist, and far below where the count would wrap.
const MOST_OWNERS: usize = usize::MAX / 2;

struct Inner<T> {
    owners: AtomicUsize,
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
        let layout = Layout::new::<Inner<T>>();
        // SAFETY: the layout is that of `Inner`, which holds at least a word and so is not empty.
        let raw = unsafe { alloc::alloc::alloc(layout) }.cast::<Inner<T>>();
        let inner = NonNull::new(raw).ok_or(NoMemory)?;
        // SAFETY: fresh, aligned and large enough for an `Inner`.
        unsafe { inner.write(Inner { owners: AtomicUsize::new(1), value }) };
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
        let last = self.inner().owners.fetch_sub(1, Ordering::Release) == 1;
        saw(u64::from(last));
        if !last {
            return;
        }
        fence(Ordering::Acquire);
        #[cfg(feature = "explore")]
        hook::take_over(self.inner.as_ptr() as usize);
        // SAFETY: that was the last owner; the allocation came from the global allocator with this
        // layout.
        drop(unsafe { Box::from_raw(self.inner.as_ptr()) });
    }
}

impl<T: core::fmt::Debug> core::fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        T::fmt(self, f)
    }
}
