//! A sleeping reader-writer lock: the address space's lock, and those of reverse maps and objects.
//!
//! Waiters sleep through the platform ([`Park`]): the thread that opens the word for them issues
//! the full barrier that [`Park::unpark`] is promised. New readers wait for a sleeping writer, so
//! writers do not starve; a reader that takes the lock for reading again may therefore deadlock
//! with a writer that waits for it.
//!
//! In an exploration the lock is two objects: a writer takes a gate alone and a reader shares it,
//! and each holds the gate until it has the lock. So a waiting writer keeps new readers out there,
//! too.

use core::fmt;
use core::ops::{Deref, DerefMut};

#[cfg(feature = "explore")]
use pinfold_explore::hook;

use super::atomic::{AtomicU32, smp_mb};
use super::grant::{self, Taken};
use super::park::Park;
use super::plain::Plain;
use core::sync::atomic::Ordering;

const WRITER: u32 = 1 << 31;
const WAITERS: u32 = 1 << 30;
/// With this many readers, the next one waits, as for a writer: its count could be taken for
/// [`WAITERS`]. Only forgotten guards can add up to this many. A word with [`WRITER`] or
/// [`WAITERS`] is larger.
const MOST_READERS: u32 = WAITERS - 1;

/// The offset in the word that numbers the gate, so that the gate ends with the lock and has its
/// name.
const GATE: usize = 1;

/// A value protected by a sleeping reader-writer lock.
#[derive(Debug)]
pub struct RwSem<T> {
    /// [`WRITER`], [`WAITERS`], or the number of readers.
    word: AtomicU32,
    value: Plain<T>,
}

// SAFETY: readers share the value, a single writer has it alone.
unsafe impl<T: Send + Sync> Sync for RwSem<T> {}

impl<T> RwSem<T> {
    /// An open lock around `value`.
    pub const fn new(value: T) -> Self {
        Self { word: AtomicU32::new(0), value: Plain::new(value) }
    }

    /// Waits until no writer holds the value, and none sleeps for it, then shares it. Must not be
    /// called while the caller already shares it: a writer that came in between waits for the
    /// caller, and the caller for the writer.
    #[inline]
    pub fn read<'a, W: Park>(&'a self, sleep: &'a W) -> ReadGuard<'a, T, W> {
        #[cfg(feature = "explore")]
        if grant::by_explorer() {
            self.pass(hook::Mode::Shared);
            return ReadGuard { sem: self, sleep, by: Taken::Explorer };
        }
        let by = self.acquire(sleep, |word| (word < MOST_READERS).then(|| word + 1));
        ReadGuard { sem: self, sleep, by }
    }

    /// Shares the value if no writer holds it, and none sleeps for it. Acquire on success.
    #[inline]
    pub fn try_read<'a, W: Park>(&'a self, sleep: &'a W) -> Option<ReadGuard<'a, T, W>> {
        #[cfg(feature = "explore")]
        if grant::by_explorer() {
            return self.try_pass(hook::Mode::Shared).then(|| ReadGuard {
                sem: self,
                sleep,
                by: Taken::Explorer,
            });
        }
        let mut seen = self.word.read_once();
        while seen < MOST_READERS {
            match self.word.cmpxchg_acquire_weak(seen, seen + 1) {
                Ok(_) => return Some(ReadGuard { sem: self, sleep, by: Taken::Native }),
                Err(now) => seen = now,
            }
        }
        None
    }

    /// Waits until nobody holds the value, then takes it.
    #[inline]
    pub fn write<'a, W: Park>(&'a self, sleep: &'a W) -> WriteGuard<'a, T, W> {
        #[cfg(feature = "explore")]
        if grant::by_explorer() {
            self.pass(hook::Mode::Exclusive);
            return WriteGuard { sem: self, sleep, by: Taken::Explorer };
        }
        let by = self.acquire(sleep, |word| (word & !WAITERS == 0).then_some(word | WRITER));
        WriteGuard { sem: self, sleep, by }
    }

    /// Takes the value if nobody holds it, and none sleeps for it. Acquire on success.
    pub fn try_write<'a, W: Park>(&'a self, sleep: &'a W) -> Option<WriteGuard<'a, T, W>> {
        #[cfg(feature = "explore")]
        if grant::by_explorer() {
            let taken = self.try_pass(hook::Mode::Exclusive);
            return taken.then(|| WriteGuard { sem: self, sleep, by: Taken::Explorer });
        }
        loop {
            match self.word.cmpxchg_acquire_weak(0, WRITER) {
                Ok(_) => return Some(WriteGuard { sem: self, sleep, by: Taken::Native }),
                Err(0) => {}
                Err(_) => return None,
            }
        }
    }

    /// The value, for its only owner.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }

    /// Which of the two names belongs to the object at this offset of the lock: that of the lock,
    /// or that of its gate.
    pub(crate) fn name(offset: usize, lock: &'static str, gate: &'static str) -> &'static str {
        if offset == core::mem::offset_of!(Self, word) + GATE { gate } else { lock }
    }

    /// The value, for who keeps writers out by other means.
    ///
    /// # Safety
    /// Nobody has the value alone while the result is used.
    #[inline]
    pub(super) unsafe fn shared(&self) -> &T {
        // SAFETY: the caller's promise.
        unsafe { self.value.read() }
    }

    #[cfg(feature = "explore")]
    fn id(&self) -> usize {
        core::ptr::from_ref(&self.word) as usize
    }

    /// Passes the gate and takes the lock.
    #[cfg(feature = "explore")]
    fn pass(&self, mode: hook::Mode) {
        let gate = self.id() + GATE;
        hook::lock(gate, mode);
        hook::lock(self.id(), mode);
        hook::unlock(gate, mode);
    }

    /// Passes the gate and takes the lock, if nobody holds either in the way of that.
    #[cfg(feature = "explore")]
    fn try_pass(&self, mode: hook::Mode) -> bool {
        let gate = self.id() + GATE;
        if !hook::try_lock(gate, mode) {
            return false;
        }
        let taken = hook::try_lock(self.id(), mode);
        hook::unlock(gate, mode);
        taken
    }

    /// Puts what `take` makes of the word there, as soon as it makes something of it.
    #[inline]
    fn acquire<W: Park>(&self, sleep: &W, take: impl Fn(u32) -> Option<u32>) -> Taken {
        let seen = self.word.read_once();
        match take(seen).map(|new| self.word.cmpxchg_acquire_weak(seen, new)) {
            Some(Ok(_)) => Taken::Native,
            Some(Err(now)) => self.contend(sleep, now, take),
            None => self.contend(sleep, seen, take),
        }
    }

    /// As [`RwSem::acquire`], where that did not do; `seen` was found.
    #[cold]
    fn contend<W: Park>(
        &self,
        sleep: &W,
        mut seen: u32,
        take: impl Fn(u32) -> Option<u32>,
    ) -> Taken {
        let mut patience = Patience::new();
        loop {
            if let Some(new) = take(seen) {
                match self.word.cmpxchg_acquire_weak(seen, new) {
                    Ok(_) => return Taken::Native,
                    Err(now) => seen = now,
                }
                continue;
            }
            #[cfg(feature = "explore")]
            if grant::enters_anyway() {
                return Taken::Nobody;
            }
            seen = if patience.waits() { self.word.read_once() } else { self.sleep(sleep, seen) };
        }
    }

    fn sleep<W: Park>(&self, sleep: &W, seen: u32) -> u32 {
        let marked = seen | WAITERS;
        if seen == marked || self.word.cmpxchg_relaxed(seen, marked).is_ok() {
            sleep.park(self.word.native(), marked);
        }
        self.word.read_once()
    }

    /// Subtracts `held` from the word; the last one out opens the lock for the sleepers and wakes
    /// them.
    #[inline]
    fn release<W: Park>(&self, sleep: &W, held: u32) {
        let left = grant::giving_back(
            || self.word.fetch_sub_release(held) - held,
            || {
                self.word.native().fetch_sub(held, Ordering::Relaxed);
                self.clear_waiters();
            },
        );
        if left == WAITERS {
            grant::giving_back(|| self.wake(sleep), || self.clear_waiters());
        }
    }

    /// Opens the real word if nobody holds it, for waiters that have been left asleep.
    fn clear_waiters(&self) {
        let word = self.word.native();
        let _ = word.compare_exchange(WAITERS, 0, Ordering::Relaxed, Ordering::Relaxed);
    }

    #[cold]
    fn wake<W: Park>(&self, sleep: &W) {
        if self.word.cmpxchg_relaxed(WAITERS, 0).is_ok() {
            // Without it the look for sleepers may come before they can see the open word, and
            // their look at the word before that.
            smp_mb();
            sleep.unpark(self.word.native());
        }
    }
}

/// How long a waiter looks at the word before it sleeps. Each pause is twice as long as the one
/// before, and the first one lasts as long as a few short changes of an address space: a holder who
/// takes the lock again at once keeps the cache lines that it guards, and two writers get more done
/// by turns of several. All together last about as long as a sleeper takes to be woken.
struct Patience {
    pauses: u32,
}

impl Patience {
    const FIRST: u32 = 128;
    const LAST: u32 = 512;

    #[inline]
    fn new() -> Self {
        Self { pauses: Self::FIRST }
    }

    /// Waits a little, unless that was long enough. In an exploration nobody waits: it would see
    /// the same words at other times.
    #[inline]
    fn waits(&mut self) -> bool {
        #[cfg(feature = "explore")]
        if hook::active() {
            return false;
        }
        if self.pauses > Self::LAST {
            return false;
        }
        (0..self.pauses).for_each(|_| core::hint::spin_loop());
        self.pauses *= 2;
        true
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

impl<T: fmt::Debug, W: Park> fmt::Debug for ReadGuard<'_, T, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl<T, W: Park> Drop for ReadGuard<'_, T, W> {
    #[inline]
    fn drop(&mut self) {
        match self.by {
            Taken::Native => self.sem.release(self.sleep, 1),
            #[cfg(feature = "explore")]
            Taken::Explorer => hook::unlock(self.sem.id(), hook::Mode::Shared),
            #[cfg(feature = "explore")]
            Taken::Nobody => {}
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

impl<T: fmt::Debug, W: Park> fmt::Debug for WriteGuard<'_, T, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl<T, W: Park> Drop for WriteGuard<'_, T, W> {
    #[inline]
    fn drop(&mut self) {
        match self.by {
            Taken::Native => self.sem.release(self.sleep, WRITER),
            #[cfg(feature = "explore")]
            Taken::Explorer => hook::unlock(self.sem.id(), hook::Mode::Exclusive),
            #[cfg(feature = "explore")]
            Taken::Nobody => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::park::Awake;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    #[test]
    fn readers_that_were_forgotten_never_let_a_writer_in() {
        let sem = RwSem { word: AtomicU32::new(MOST_READERS - 1), value: Plain::new(()) };
        core::mem::forget(sem.read(&Awake));
        let waits = |act: &dyn Fn()| catch_unwind(AssertUnwindSafe(act)).is_err();
        assert!(waits(&|| drop(sem.read(&Awake))), "one more could be taken for a waiter");
        assert!(sem.try_read(&Awake).is_none());
        assert!(waits(&|| drop(sem.write(&Awake))));
    }

    #[test]
    fn a_reader_that_only_tries_gets_past_readers_and_past_no_writer() {
        let sem = RwSem::new(());
        let read = sem.read(&Awake);
        drop(sem.try_read(&Awake).expect("readers share"));
        drop(read);
        let write = sem.write(&Awake);
        assert!(sem.try_read(&Awake).is_none());
        drop(write);
        drop(sem.try_read(&Awake).expect("the writer has gone"));
        let waited_for = RwSem { word: AtomicU32::new(WAITERS | 1), value: Plain::new(()) };
        assert!(waited_for.try_read(&Awake).is_none(), "a writer sleeps for the reader that is in");
    }
}
