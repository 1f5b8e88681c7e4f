//! Locks in a bit of a word that holds other flags: the lock of a page, which sleeps, and that of a
//! large folio's tails, which spins.
//!
//! The first sleeps through the platform ([`Park`]); another bit says that there are sleepers. The
//! update that releases the lock is the full barrier that [`Park::unpark`] is promised. Takers only
//! try, or wait until it is free and then try again.

#[cfg(feature = "explore")]
use pinfold_explore::hook;

use super::atomic::AtomicU32;
use super::grant::{self, Taken};
use super::park::Park;
use core::sync::atomic::Ordering;

/// The lock in the bits `locked` and `waiters` of a word.
#[derive(Clone, Copy, Debug)]
pub struct BitLock<'w> {
    word: &'w AtomicU32,
    locked: u32,
    waiters: u32,
}

impl<'w> BitLock<'w> {
    /// The lock for which `locked` says whether it is held, and `waiters` whether there are
    /// sleepers. One bit each.
    pub const fn new(word: &'w AtomicU32, locked: u32, waiters: u32) -> Self {
        Self { word, locked, waiters }
    }

    /// Takes the lock if it is free. Full ordering, whether it succeeds or not.
    #[inline]
    pub fn try_lock<W: Park>(self, sleep: &'w W) -> Option<BitGuard<'w, W>> {
        #[cfg(feature = "explore")]
        if grant::by_explorer() {
            return hook::try_lock(self.id(), hook::Mode::Exclusive).then(|| BitGuard {
                lock: self,
                sleep,
                by: Taken::Explorer,
            });
        }
        let old = self.word.fetch_or(self.locked);
        // Made only on success: dropping a guard releases the lock, no matter who took it.
        (old & self.locked == 0).then(|| BitGuard { lock: self, sleep, by: Taken::Native })
    }

    /// What a word is set up with whose lock, the bit `locked`, is held from the first moment on
    /// ([`BitLock::held_from_first`]). An exploration's own locks are not in words.
    #[inline]
    pub fn first_held(locked: u32) -> u32 {
        #[cfg(feature = "explore")]
        if grant::by_explorer() {
            return 0;
        }
        locked
    }

    /// The guard of the lock of a word that was set up with [`BitLock::first_held`] just now, and
    /// that nobody else has locked: once.
    #[inline]
    pub fn held_from_first<W: Park>(self, sleep: &'w W) -> BitGuard<'w, W> {
        #[cfg(feature = "explore")]
        if grant::by_explorer() {
            let taken = hook::try_lock(self.id(), hook::Mode::Exclusive);
            debug_assert!(taken, "the lock of a new word is held");
        }
        self.adopt(sleep)
    }

    /// The guard of a lock that the caller took and whose guard he has forgotten.
    pub fn adopt<W: Park>(self, sleep: &'w W) -> BitGuard<'w, W> {
        #[cfg(feature = "explore")]
        if grant::by_explorer() {
            return BitGuard { lock: self, sleep, by: Taken::Explorer };
        }
        BitGuard { lock: self, sleep, by: Taken::Native }
    }

    /// Waits until the lock is free, and leaves it free. What its holder did is visible afterwards.
    pub fn wait<W: Park>(self, sleep: &W) {
        self.wait_or(sleep, 0);
    }

    /// As [`BitLock::wait`], but no longer than until one of the bits `end` of the word is set by
    /// who calls [`BitLock::wake`] then. For the locks of an exploration, which are not in words,
    /// until the lock is free.
    pub fn wait_or<W: Park>(self, sleep: &W, end: u32) {
        #[cfg(feature = "explore")]
        if grant::by_explorer() {
            return hook::wait_unlocked(self.id());
        }
        loop {
            let seen = self.word.load_acquire();
            if seen & self.locked == 0 || seen & end != 0 {
                return;
            }
            let marked = seen | self.waiters;
            if seen == marked || self.word.cmpxchg(seen, marked).is_ok() {
                sleep.park(self.word.native(), marked);
            }
        }
    }

    /// Has those who sleep for the lock look at the word again: after a full update of it by the
    /// holder, who found `seen` there.
    pub fn wake<W: Park>(self, sleep: &W, seen: u32) {
        if seen & self.waiters != 0 {
            sleep.unpark(self.word.native());
        }
    }

    #[cfg(feature = "explore")]
    fn id(self) -> usize {
        core::ptr::from_ref(self.word) as usize
    }

    fn open<W: Park>(self, sleep: &W) {
        let kept = !(self.locked | self.waiters);
        let old = grant::giving_back(
            || self.word.fetch_and(kept),
            || {
                self.word.native().fetch_and(kept, Ordering::Relaxed);
            },
        );
        if old & self.waiters != 0 {
            sleep.unpark(self.word.native());
        }
    }
}

/// Holds a [`BitLock`]; opened on drop.
#[must_use]
#[derive(Debug)]
pub struct BitGuard<'w, W: Park> {
    lock: BitLock<'w>,
    sleep: &'w W,
    by: Taken,
}

impl<W: Park> Drop for BitGuard<'_, W> {
    #[inline]
    fn drop(&mut self) {
        match self.by {
            Taken::Native => self.lock.open(self.sleep),
            #[cfg(feature = "explore")]
            Taken::Explorer => hook::unlock(self.lock.id(), hook::Mode::Exclusive),
            #[cfg(feature = "explore")]
            Taken::Nobody => {}
        }
    }
}

/// A lock in a bit of a word whose taker spins: the kernel's `bit_spin_lock`. Its word may be that
/// of another lock, too.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SpinBit<'w> {
    word: &'w AtomicU32,
    bit: u32,
}

/// Holds a [`SpinBit`]; opened on drop.
#[must_use]
#[derive(Debug)]
pub(crate) struct SpinBitGuard<'w> {
    lock: SpinBit<'w>,
    by: Taken,
}

impl<'w> SpinBit<'w> {
    /// The lock that `bit`, and no other, says is held.
    pub(crate) const fn new(word: &'w AtomicU32, bit: u32) -> Self {
        Self { word, bit }
    }

    /// Waits for the lock. Full ordering.
    pub(crate) fn lock(self) -> SpinBitGuard<'w> {
        #[cfg(feature = "explore")]
        if grant::by_explorer() {
            hook::lock(self.id(), hook::Mode::Exclusive);
            return SpinBitGuard { lock: self, by: Taken::Explorer };
        }
        while self.word.fetch_or(self.bit) & self.bit != 0 {
            #[cfg(feature = "explore")]
            if grant::enters_anyway() {
                return SpinBitGuard { lock: self, by: Taken::Nobody };
            }
            self.word.spin_while(self.bit);
        }
        SpinBitGuard { lock: self, by: Taken::Native }
    }

    /// The address of the byte that the bit is in: that of the word is another lock's.
    #[cfg(feature = "explore")]
    fn id(self) -> usize {
        core::ptr::from_ref(self.word) as usize + (self.bit.trailing_zeros() / 8) as usize
    }
}

impl Drop for SpinBitGuard<'_> {
    fn drop(&mut self) {
        match self.by {
            Taken::Native => {
                let SpinBit { word, bit } = self.lock;
                grant::giving_back(
                    || {
                        word.fetch_and(!bit);
                    },
                    || {
                        word.native().fetch_and(!bit, Ordering::Relaxed);
                    },
                );
            }
            #[cfg(feature = "explore")]
            Taken::Explorer => hook::unlock(self.lock.id(), hook::Mode::Exclusive),
            #[cfg(feature = "explore")]
            Taken::Nobody => {}
        }
    }
}
