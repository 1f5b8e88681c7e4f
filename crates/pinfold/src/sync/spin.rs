//! Spin locks: the page-table locks and the frame allocator's.
//!
//! A holder never sleeps. It may wait for a flush: a copy and a migration entry are installed only
//! after one (`fault`, `migrate`).

use core::fmt;
use core::hash::Hash;
use core::ops::{Deref, DerefMut};

#[cfg(feature = "explore")]
use pinfold_explore::hook;

use super::atomic::AtomicU32;
use super::grant::{self, Taken};
use super::plain::Plain;
use core::sync::atomic::Ordering;

/// A spin lock without data: the 32-bit word that lies in a table's frame metadata.
#[repr(transparent)]
#[derive(Debug)]
pub struct RawSpinLock(AtomicU32);

/// Holds a [`RawSpinLock`]; released on drop.
#[must_use]
#[derive(Debug)]
pub struct SpinGuard<'a> {
    lock: &'a RawSpinLock,
    by: Taken,
}

impl RawSpinLock {
    /// An unlocked lock.
    pub const fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    /// The lock that lives in `word`, whose other uses must be over: zero is unlocked.
    pub(crate) fn from_word(word: &AtomicU32) -> &Self {
        // SAFETY: a lock is a transparent wrapper of such a word.
        unsafe { &*core::ptr::from_ref(word).cast::<Self>() }
    }

    /// Waits for the lock.
    #[inline]
    pub fn lock(&self) -> SpinGuard<'_> {
        #[cfg(feature = "explore")]
        if grant::by_explorer() {
            hook::lock(core::ptr::from_ref(self) as usize, hook::Mode::Exclusive);
            return SpinGuard { lock: self, by: Taken::Explorer };
        }
        while self.0.cmpxchg_acquire_weak(0, 1).is_err() {
            #[cfg(feature = "explore")]
            if grant::enters_anyway() {
                return SpinGuard { lock: self, by: Taken::Nobody };
            }
            self.0.spin_until(0);
        }
        SpinGuard { lock: self, by: Taken::Native }
    }
}

impl Default for RawSpinLock {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for SpinGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        match self.by {
            Taken::Native => {
                let word = &self.lock.0;
                grant::giving_back(
                    || word.store_release(0),
                    || word.native().store(0, Ordering::Relaxed),
                );
            }
            #[cfg(feature = "explore")]
            Taken::Explorer => {
                hook::unlock(core::ptr::from_ref(self.lock) as usize, hook::Mode::Exclusive);
            }
            #[cfg(feature = "explore")]
            Taken::Nobody => {}
        }
    }
}

/// A value protected by a spin lock.
#[derive(Debug, Default)]
pub struct SpinLock<T> {
    lock: RawSpinLock,
    value: Plain<T>,
    /// A hash of all of the value that anything depends on, for an exploration.
    #[cfg(feature = "explore")]
    hash: Option<fn(&T) -> u64>,
}

// SAFETY: the lock lets one thread at a time reach the value.
unsafe impl<T: Send> Sync for SpinLock<T> {}

impl<T> SpinLock<T> {
    /// An open lock around `value`.
    pub const fn new(value: T) -> Self {
        Self {
            lock: RawSpinLock::new(),
            value: Plain::new(value),
            #[cfg(feature = "explore")]
            hash: None,
        }
    }

    /// The same around a value of which an exploration may take a hash: then it does not matter
    /// who wrote it.
    pub const fn hashed(value: T) -> Self
    where
        T: Hash,
    {
        Self {
            lock: RawSpinLock::new(),
            value: Plain::new(value),
            #[cfg(feature = "explore")]
            hash: Some(hash),
        }
    }

    /// Waits for the value.
    #[inline]
    pub fn lock(&self) -> SpinLocked<'_, T> {
        SpinLocked {
            _guard: self.lock.lock(),
            value: &self.value,
            #[cfg(feature = "explore")]
            hash: self.hash,
        }
    }
}

/// The value of a [`SpinLock`] while it is held.
#[must_use]
pub struct SpinLocked<'a, T> {
    _guard: SpinGuard<'a>,
    value: &'a Plain<T>,
    #[cfg(feature = "explore")]
    hash: Option<fn(&T) -> u64>,
}

#[cfg(feature = "explore")]
fn hash<T: Hash>(value: &T) -> u64 {
    let mut hasher = pinfold_explore::StableHasher::default();
    value.hash(&mut hasher);
    core::hash::Hasher::finish(&hasher)
}

#[cfg(feature = "explore")]
impl<T> Drop for SpinLocked<'_, T> {
    fn drop(&mut self) {
        if let Some(hash) = self.hash.filter(|_| hook::remembers()) {
            // SAFETY: the guard is held, so nobody else reaches the value.
            let value = hash(unsafe { self.value.unannounced() });
            hook::plain_holds(core::ptr::from_ref(self.value) as usize, value);
        }
    }
}

impl<T> Deref for SpinLocked<'_, T> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the guard is held, so nobody else reaches the value.
        unsafe { self.value.read() }
    }
}

impl<T: fmt::Debug> fmt::Debug for SpinLocked<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl<T> DerefMut for SpinLocked<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the guard is held, so nobody else reaches the value.
        unsafe { self.value.write() }
    }
}
