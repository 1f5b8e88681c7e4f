//! A copy of what an outer lock protects, kept by one CPU so that its readers need not have that
//! lock: a delegation, as file systems call it, that can be recalled.
//!
//! Protocol: the copy and all that is known of it lie in one *slot*, whose word says whether the
//! copy may be used ([`OPEN`]), whether somebody has the slot alone ([`BUSY`]), and how many
//! readers are in. Who shares the outer lock *gives* a copy: he takes the slot alone, if nobody is
//! in it, puts the copy there and opens the slot. A reader *enters*: he counts himself, and if the
//! slot was open he uses the copy until he leaves. Who has the outer lock alone, and is about to
//! change what was copied, *recalls*: he closes the slot, waits until everybody has left it, and
//! takes the copy out. (Linux keeps the readers of an area in the area: facts 7.11. Here each CPU
//! has a word of its own, as in [`super::spread`].)
//!
//! Invariants:
//! - INV-COPY-1: whether the slot is open is part of what a reader's count gives back, in one step:
//!   a reader is counted before the slot is closed, or finds it closed. No barrier is needed
//!   between two words.
//! - INV-COPY-2: the copy changes only while the slot is taken alone, which nobody does who sees a
//!   reader. Leaving is a release and taking alone an acquire, so what readers did with the copy
//!   comes before; opening is a release and entering an acquire, so readers find the copy whole.
//! - INV-COPY-3: after a recall nobody uses the copy, and nobody will until one is given again; so
//!   who has the outer lock alone has the original alone, too.
//! - INV-COPY-4: a recall waits for readers that are in, and for none that comes: who finds the
//!   slot closed leaves it at once and waits at the outer lock. Who recalls does not starve.
//!
//! In an exploration whose locks are objects a slot is one of them, shared by readers, alone for
//! who gives or recalls. It promises no more (INV-SYNC-1): a reader may come in while a recall
//! waits.

use core::fmt;
use core::ops::Deref;
use core::sync::atomic::{AtomicU32 as NativeU32, Ordering};

use super::atomic::{AtomicU32, smp_mb};
use super::grant::{self, Taken};
use super::park::Park;
use super::plain::Plain;
#[cfg(feature = "explore")]
use pinfold_explore::hook;

/// The copy may be used.
const OPEN: u32 = 1 << 31;
/// Somebody has the slot alone.
const BUSY: u32 = 1 << 30;
/// Who recalls sleeps until the slot is empty. The rest is the number of readers.
const WAITED: u32 = 1 << 29;
const READERS: u32 = WAITED - 1;
/// With this many readers in a slot, the next one does not enter. Only forgotten guards can add up
/// to this many.
const MOST_READERS: u32 = READERS / 2;

/// The word of a slot. It is [`AtomicU32`]; a test explores the same code with words that leave out
/// what the invariants rest on.
pub trait Word: Default {
    /// One reader more, acquire ordering; the old value.
    fn enter(&self) -> u32;
    /// One reader less, release ordering; what is left.
    fn leave(&self) -> u32;
    /// The value, without ordering.
    fn seen(&self) -> u32;
    /// Takes bits away, without ordering.
    fn close(&self, bits: u32);
    /// Stores `new` if the value is `old`, acquire ordering on success. May fail for no reason.
    fn take(&self, old: u32, new: u32) -> bool;
    /// Adds, and wraps, release ordering.
    fn open(&self, more: u32);
    /// Stores `new` if the value is `old`, without ordering.
    fn mark(&self, old: u32, new: u32) -> bool;
    /// The native word, to sleep on.
    fn native(&self) -> &NativeU32;
}

impl Word for AtomicU32 {
    #[inline]
    fn enter(&self) -> u32 {
        self.fetch_add_acquire(1)
    }

    #[inline]
    fn leave(&self) -> u32 {
        self.fetch_sub_release(1) - 1
    }

    #[inline]
    fn seen(&self) -> u32 {
        self.read_once()
    }

    #[inline]
    fn close(&self, bits: u32) {
        self.fetch_and_relaxed(!bits);
    }

    #[inline]
    fn take(&self, old: u32, new: u32) -> bool {
        self.cmpxchg_acquire_weak(old, new).is_ok()
    }

    #[inline]
    fn open(&self, more: u32) {
        self.fetch_sub_release(more.wrapping_neg());
    }

    #[inline]
    fn mark(&self, old: u32, new: u32) -> bool {
        self.cmpxchg_relaxed(old, new).is_ok()
    }

    #[inline]
    fn native(&self) -> &NativeU32 {
        AtomicU32::native(self)
    }
}

/// A slot for a copy.
#[derive(Debug)]
pub struct Delegated<T, W = AtomicU32> {
    word: W,
    /// There is one while the slot is open.
    copy: Plain<Option<T>>,
}

// SAFETY: readers share the copy, and who changes it, or drops it on another thread than the one
// that gave it, has the slot alone (INV-COPY-2).
unsafe impl<T: Send + Sync, W: Sync> Sync for Delegated<T, W> {}

impl<T, W: Word> Default for Delegated<T, W> {
    /// A closed slot.
    fn default() -> Self {
        Self { word: W::default(), copy: Plain::new(None) }
    }
}

impl<T, W: Word> Delegated<T, W> {
    /// The copy, if the slot is open: nobody changes it before the guard is dropped. Never waits.
    #[inline]
    pub fn enter<'a, P: Park>(&'a self, sleep: &'a P) -> Option<DelegatedGuard<'a, T, P, W>> {
        #[cfg(feature = "explore")]
        if grant::by_explorer() {
            return self.enter_object(sleep);
        }
        // A look is cheaper than a count that is taken back.
        if self.word.seen() & OPEN == 0 {
            return None;
        }
        let old = self.word.enter();
        if old & OPEN != 0 && old & READERS < MOST_READERS {
            // SAFETY: counted while the slot was open: INV-COPY-2.
            if let Some(copy) = unsafe { self.copy.read() } {
                return Some(DelegatedGuard { slot: self, copy, sleep, by: Taken::Native });
            }
        }
        self.leave(sleep);
        None
    }

    /// Puts a copy into the slot, in place of another, if nobody is in it. The caller shares the
    /// lock that protects the original, and is in no slot.
    pub fn give(&self, copy: impl FnOnce() -> T) {
        #[cfg(feature = "explore")]
        if grant::by_explorer() {
            return self.give_object(copy);
        }
        let seen = self.word.seen();
        if seen & !OPEN == 0 && self.word.take(seen, BUSY) {
            // SAFETY: taken alone.
            unsafe { *self.copy.write() = Some(copy()) };
            self.word.open(OPEN - BUSY);
        }
    }

    /// Takes the copy out if `which` says so, when nobody uses it any more. The caller has the lock
    /// that protects the original alone, and is in no slot.
    pub fn recall<P: Park>(&self, which: impl FnOnce(&T) -> bool, sleep: &P) {
        #[cfg(feature = "explore")]
        if grant::by_explorer() {
            return self.recall_object(which, sleep);
        }
        let Some(copy) = self.enter(sleep) else { return };
        if !which(&copy) {
            return;
        }
        // Before the caller leaves: until then nobody else takes the slot alone.
        self.word.close(OPEN);
        drop(copy);
        if self.empty(sleep) {
            // SAFETY: taken alone.
            unsafe { *self.copy.write() = None };
            self.word.open(BUSY.wrapping_neg());
        }
    }

    /// Waits until nobody is in the closed slot, and takes it alone. Whether it did: somebody else
    /// has it only if the outer lock does not keep its promise, or in an abandoned execution.
    fn empty<P: Park>(&self, sleep: &P) -> bool {
        loop {
            let seen = self.word.seen();
            if seen & !WAITED == 0 {
                if self.word.take(seen, BUSY) {
                    return true;
                }
                continue;
            }
            if seen & READERS == 0 {
                return false;
            }
            #[cfg(feature = "explore")]
            if grant::enters_anyway() {
                return false;
            }
            let marked = seen | WAITED;
            if seen == marked || self.word.mark(seen, marked) {
                sleep.park(self.word.native(), marked);
            }
        }
    }

    /// A reader leaves; the last one wakes who sleeps for the empty slot.
    #[inline]
    fn leave<P: Park>(&self, sleep: &P) {
        let native = self.word.native();
        let left = grant::giving_back(
            || self.word.leave(),
            || {
                native.fetch_sub(1, Ordering::Relaxed);
                let _ = native.compare_exchange(WAITED, 0, Ordering::Relaxed, Ordering::Relaxed);
            },
        );
        if left == WAITED {
            grant::giving_back(|| self.wake(sleep), || native.store(0, Ordering::Relaxed));
        }
    }

    #[cold]
    fn wake<P: Park>(&self, sleep: &P) {
        if self.word.mark(WAITED, 0) {
            // What `Park::unpark` is promised: the open word before the look for sleepers.
            smp_mb();
            sleep.unpark(self.word.native());
        }
    }

    /// The address of the word, for its name.
    pub(crate) fn word(&self) -> &W {
        &self.word
    }
}

/// A slot as an object of the explorer.
#[cfg(feature = "explore")]
impl<T, W: Word> Delegated<T, W> {
    fn id(&self) -> usize {
        core::ptr::from_ref(&self.word) as usize
    }

    fn enter_object<'a, P: Park>(&'a self, sleep: &'a P) -> Option<DelegatedGuard<'a, T, P, W>> {
        if !hook::try_lock(self.id(), hook::Mode::Shared) {
            return None;
        }
        // SAFETY: the object is held for reading.
        let Some(copy) = (unsafe { self.copy.read() }) else {
            hook::unlock(self.id(), hook::Mode::Shared);
            return None;
        };
        Some(DelegatedGuard { slot: self, copy, sleep, by: Taken::Explorer })
    }

    fn give_object(&self, copy: impl FnOnce() -> T) {
        if hook::try_lock(self.id(), hook::Mode::Exclusive) {
            // SAFETY: held alone.
            unsafe { *self.copy.write() = Some(copy()) };
            hook::unlock(self.id(), hook::Mode::Exclusive);
        }
    }

    fn recall_object<P: Park>(&self, which: impl FnOnce(&T) -> bool, sleep: &P) {
        // SAFETY: the caller has the lock alone under which copies are given and recalled. That it
        // does is checked here: otherwise this is a data race.
        if unsafe { self.copy.read() }.is_none() {
            return;
        }
        if !self.enter(sleep).is_some_and(|copy| which(&copy)) {
            return;
        }
        hook::lock(self.id(), hook::Mode::Exclusive);
        if !grant::enters_anyway() {
            // SAFETY: held alone.
            unsafe { *self.copy.write() = None };
        }
        hook::unlock(self.id(), hook::Mode::Exclusive);
    }
}

/// Uses the copy of a [`Delegated`].
#[must_use]
pub struct DelegatedGuard<'a, T, P: Park, W: Word = AtomicU32> {
    slot: &'a Delegated<T, W>,
    copy: &'a T,
    sleep: &'a P,
    by: Taken,
}

impl<T, P: Park, W: Word> Deref for DelegatedGuard<'_, T, P, W> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        self.copy
    }
}

impl<T: fmt::Debug, P: Park, W: Word> fmt::Debug for DelegatedGuard<'_, T, P, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl<T, P: Park, W: Word> Drop for DelegatedGuard<'_, T, P, W> {
    #[inline]
    fn drop(&mut self) {
        match self.by {
            Taken::Native => self.slot.leave(self.sleep),
            #[cfg(feature = "explore")]
            Taken::Explorer => hook::unlock(self.slot.id(), hook::Mode::Shared),
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

    type Slot = Delegated<u64>;

    fn copy(slot: &Slot) -> Option<u64> {
        slot.enter(&Awake).map(|copy| *copy)
    }

    #[test]
    fn a_copy_is_used_until_it_is_recalled() {
        let slot = Slot::default();
        assert_eq!(copy(&slot), None);
        slot.give(|| 1);
        assert_eq!(copy(&slot), Some(1));
        slot.recall(|copy| *copy == 2, &Awake);
        assert_eq!(copy(&slot), Some(1), "another one was recalled");
        slot.give(|| 2);
        assert_eq!(copy(&slot), Some(2), "in place of the first");
        slot.recall(|copy| *copy == 2, &Awake);
        assert_eq!(copy(&slot), None);
        assert_eq!(slot.word.peek(), 0);
    }

    #[test]
    fn nobody_changes_a_copy_that_is_used() {
        let slot = Slot::default();
        slot.give(|| 1);
        let used = slot.enter(&Awake).expect("the slot is open");
        slot.give(|| 2);
        assert_eq!(copy(&slot), Some(1), "somebody was in");
        let recall = catch_unwind(AssertUnwindSafe(|| slot.recall(|_| true, &Awake)));
        assert!(recall.is_err(), "it waits");
        assert_eq!(copy(&slot), None, "who comes meanwhile finds the slot closed");
        assert_eq!(*used, 1);
        drop(used);
        assert_eq!(slot.word.peek(), 0, "who left opened the word for the sleeper");
    }

    #[test]
    fn readers_that_were_forgotten_never_let_a_recall_in() {
        let slot = Slot::default();
        slot.give(|| 1);
        slot.word.init(OPEN | (MOST_READERS - 1));
        core::mem::forget(slot.enter(&Awake));
        assert!(slot.enter(&Awake).is_none(), "one more could be taken for a sleeper");
        assert_eq!(slot.word.peek(), OPEN | MOST_READERS);
    }
}
