//! Plain memory that a lock protects.
//!
//! INV-PLAIN-1: of two accesses to a value, one of which writes, one happens before the other. The
//! lock around the value ensures that; an exploration checks it, and reports a data race if it does
//! not hold.

use core::cell::UnsafeCell;

#[cfg(feature = "explore")]
use pinfold_explore::hook;

/// A value that several threads may reach, one at a time or all of them reading.
#[repr(transparent)]
#[derive(Debug, Default)]
pub(super) struct Plain<T>(UnsafeCell<T>);

impl<T> Plain<T> {
    /// The value.
    pub(super) const fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    /// Reads the value.
    ///
    /// # Safety
    /// Nobody writes it while the reference lives.
    #[inline(always)]
    pub(super) unsafe fn read(&self) -> &T {
        #[cfg(feature = "explore")]
        hook::read_plain(self.0.get() as usize);
        // SAFETY: the caller's promise.
        unsafe { &*self.0.get() }
    }

    /// The value, for its description. Not an access that an exploration sees.
    ///
    /// # Safety
    /// Nobody writes it while the reference lives.
    #[cfg(feature = "explore")]
    pub(super) unsafe fn unannounced(&self) -> &T {
        // SAFETY: the caller's promise.
        unsafe { &*self.0.get() }
    }

    /// Writes the value.
    ///
    /// # Safety
    /// Nobody else reaches it while the reference lives.
    #[inline(always)]
    #[allow(clippy::mut_from_ref, reason = "as in an `UnsafeCell`, which this is")]
    pub(super) unsafe fn write(&self) -> &mut T {
        #[cfg(feature = "explore")]
        hook::write_plain(self.0.get() as usize);
        // SAFETY: the caller's promise.
        unsafe { &mut *self.0.get() }
    }

    /// The value, for its only owner.
    pub(super) fn get_mut(&mut self) -> &mut T {
        self.0.get_mut()
    }
}

#[cfg(feature = "explore")]
impl<T> Drop for Plain<T> {
    fn drop(&mut self) {
        hook::forget(self.0.get() as usize, 1);
    }
}
