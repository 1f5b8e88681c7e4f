//! A sleeping reader-writer lock: the address space's lock, and those of reverse maps and objects.
//!
//! Waiters sleep through the platform ([`Park`]). New readers wait behind a sleeping writer, so writers do not starve.

use core::ops::{Deref, DerefMut};

#[cfg(feature = "explore")]
use pinfold_explore::hook;

use super::Taken;
use super::plain::Plain;
use crate::platform::Park;
use core::sync::atomic::{AtomicU32, Ordering};

const WRITER: u32 = 1 << 31;
const WAITERS: u32 = 1 << 30;

/// A value behind a sleeping reader-writer lock.
#[derive(Debug)]
pub struct RwSem<T> {
    /// [`WRITER`], [`WAITERS`], or the number of readers.
    word: AtomicU32,
    value: Plain<T>,
}

// SAFETY: readers share the value, one writer has it alone.
unsafe impl<T: Send + Sync> Sync for RwSem<T> {}

impl<T> RwSem<T> {
    /// An open lock around `value`.
    pub const fn new(value: T) -> Self {
        Self { word: AtomicU32::new(0), value: Plain::new(value) }
    }

    /// Waits until no writer holds the value, then shares it.
    #[inline]
    pub fn read<'a, W: Park>(&'a self, sleep: &'a W) -> ReadGuard<'a, T, W> {
        #[cfg(feature = "explore")]
        if hook::active() {
            hook::lock(self.id(), hook::Mode::Shared);
            return ReadGuard { sem: self, sleep, by: Taken::Explorer };
        }
        self.acquire(sleep, |word| (word & (WRITER | WAITERS) == 0).then(|| word + 1));
        ReadGuard { sem: self, sleep, by: Taken::Native }
    }

    /// Waits until nobody holds the value, then takes it.
    #[inline]
    pub fn write<'a, W: Park>(&'a self, sleep: &'a W) -> WriteGuard<'a, T, W> {
        #[cfg(feature = "explore")]
        if hook::active() {
            hook::lock(self.id(), hook::Mode::Exclusive);
            return WriteGuard { sem: self, sleep, by: Taken::Explorer };
        }
        self.acquire(sleep, |word| (word & !WAITERS == 0).then_some(word | WRITER));
        WriteGuard { sem: self, sleep, by: Taken::Native }
    }

    /// The value, for its only owner.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }

    #[cfg(feature = "explore")]
    fn id(&self) -> usize {
        core::ptr::from_ref(&self.word) as usize
    }

    #[inline]
    fn acquire<W: Park>(&self, sleep: &W, take: impl Fn(u32) -> Option<u32>) {
        let mut seen = self.word.load(Ordering::Relaxed);
        loop {
            if let Some(new) = take(seen) {
                match self.word.compare_exchange_weak(
                    seen,
                    new,
                    Ordering::Acquire,
                    Ordering::Relaxed,
                ) {
                    Ok(_) => return,
                    Err(now) => seen = now,
                }
            } else {
                seen = self.sleep(sleep, seen);
            }
        }
    }

    #[cold]
    fn sleep<W: Park>(&self, sleep: &W, seen: u32) -> u32 {
        let marked = seen | WAITERS;
        if seen == marked
            || self
                .word
                .compare_exchange(seen, marked, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
        {
            sleep.park(&self.word, marked);
        }
        self.word.load(Ordering::Relaxed)
    }

    /// Takes `held` off the word; the last one out opens the lock for the sleepers and wakes them.
    #[inline]
    fn release<W: Park>(&self, sleep: &W, held: u32) {
        let left = self.word.fetch_sub(held, Ordering::Release) - held;
        if left == WAITERS {
            self.wake(sleep);
        }
    }

    #[cold]
    fn wake<W: Park>(&self, sleep: &W) {
        if self.word.compare_exchange(WAITERS, 0, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            sleep.unpark(&self.word);
        }
    }
}

/// Shares the value of a [`RwSem`].
#[must_use]
pub struct ReadGuard<'a, T, W: Park> {
    sem: &'a RwSem<T>,
    sleep: &'a W,
    by: Taken,
}

impl<T, W: Park> Deref for ReadGuard<'_, T, W> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: held for reading, so there is no writer.
        unsafe { self.sem.value.read() }
    }
}

impl<T, W: Park> Drop for ReadGuard<'_, T, W> {
    #[inline]
    fn drop(&mut self) {
        match self.by {
            Taken::Native => self.sem.release(self.sleep, 1),
            #[cfg(feature = "explore")]
            Taken::Explorer => hook::unlock(self.sem.id(), hook::Mode::Shared),
        }
    }
}

/// Has the value of a [`RwSem`] alone.
#[must_use]
pub struct WriteGuard<'a, T, W: Park> {
    sem: &'a RwSem<T>,
    sleep: &'a W,
    by: Taken,
}

impl<T, W: Park> Deref for WriteGuard<'_, T, W> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: held for writing, so nobody else reaches the value.
        unsafe { self.sem.value.read() }
    }
}

impl<T, W: Park> DerefMut for WriteGuard<'_, T, W> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: held for writing, so nobody else reaches the value.
        unsafe { self.sem.value.write() }
    }
}

impl<T, W: Park> Drop for WriteGuard<'_, T, W> {
    #[inline]
    fn drop(&mut self) {
        match self.by {
            Taken::Native => self.sem.release(self.sleep, WRITER),
            #[cfg(feature = "explore")]
            Taken::Explorer => hook::unlock(self.sem.id(), hook::Mode::Exclusive),
        }
    }
}
