//! Atomic words with kernel-named operations. The table in the parent module says what each means.

use core::sync::atomic::{self as native, Ordering};

use super::class::{Class, saw, seen_as, unseen};
#[cfg(feature = "explore")]
use pinfold_explore::hook::{self, Order};

/// A full memory barrier.
#[inline]
pub fn smp_mb() {
    #[cfg(feature = "explore")]
    if hook::active() {
        return hook::fence(Order::SeqCst);
    }
    native::fence(Ordering::SeqCst);
}

/// Orders earlier reads before later reads and writes.
#[inline]
pub fn smp_rmb() {
    #[cfg(feature = "explore")]
    if hook::active() {
        return hook::fence(Order::Acquire);
    }
    native::fence(Ordering::Acquire);
}

/// Orders earlier reads and writes before later writes.
#[inline]
pub fn smp_wmb() {
    #[cfg(feature = "explore")]
    if hook::active() {
        return hook::fence(Order::Release);
    }
    native::fence(Ordering::Release);
}

/// A full memory barrier between a successful full read-modify-write and later accesses, for what
/// comes before that one.
///
/// On x86-64 the locked instruction was the barrier, so only the compiler is held back; elsewhere
/// this is [`smp_mb`].
#[inline]
pub fn smp_mb_after_atomic() {
    #[cfg(feature = "explore")]
    if hook::active() {
        return hook::fence(Order::SeqCst);
    }
    #[cfg(target_arch = "x86_64")]
    native::compiler_fence(Ordering::SeqCst);
    #[cfg(not(target_arch = "x86_64"))]
    native::fence(Ordering::SeqCst);
}

/// Runs a native read-modify-write with full ordering: on x86-64 a locked instruction has it
/// already.
#[inline(always)]
fn full<T>(operation: impl FnOnce(Ordering) -> T) -> T {
    #[cfg(target_arch = "x86_64")]
    return operation(Ordering::SeqCst);
    #[cfg(not(target_arch = "x86_64"))]
    {
        native::fence(Ordering::SeqCst);
        let result = operation(Ordering::Relaxed);
        native::fence(Ordering::SeqCst);
        result
    }
}

macro_rules! atomic {
    ($(#[$doc:meta])* $name:ident, $native:ident, $word:ty) => {
        $(#[$doc])*
        #[repr(transparent)]
        pub struct $name(native::$native);

        /// Zero.
        impl Default for $name {
            fn default() -> Self {
                Self::new(0)
            }
        }

        impl $name {
            /// A cell that holds `value`.
            pub const fn new(value: $word) -> Self {
                Self(native::$native::new(value))
            }

            /// Sets the cell while nobody else can reach it. Not a step of an exploration, which
            /// checks that nobody can: all other accesses happen before this one or after it.
            #[inline]
            pub fn init(&self, value: $word) {
                #[cfg(feature = "explore")]
                hook::init(self.at(), size_of::<$word>(), self.now() as u64, value as u64);
                self.0.store(value, Ordering::Relaxed);
            }

            /// Reads the newest value while nothing else runs. Not a step of an exploration.
            #[inline]
            pub fn peek(&self) -> $word {
                let value = self.now();
                saw(value as u64);
                value
            }

            #[inline]
            fn now(&self) -> $word {
                self.0.load(Ordering::Relaxed)
            }

            /// The native cell, for the platform to sleep on.
            #[inline]
            pub fn native(&self) -> &native::$native {
                &self.0
            }

            #[cfg(feature = "explore")]
            fn at(&self) -> usize {
                core::ptr::from_ref(self) as usize
            }

            #[cfg(feature = "explore")]
            fn explored_store(&self, value: $word, order: Order) {
                let newest = hook::store(self.at(), self.now() as u64, value as u64, order);
                self.0.store(newest as $word, Ordering::Relaxed);
            }

            #[cfg(feature = "explore")]
            fn explored_rmw(
                &self,
                success: Order,
                failure: Order,
                mut f: impl FnMut($word) -> Option<$word>,
            ) -> Result<$word, $word> {
                let done = hook::rmw(self.at(), self.now() as u64, success, failure, &mut |old| {
                    f(old as $word).map(|new| new as u64)
                });
                self.0.store(done.latest as $word, Ordering::Relaxed);
                if done.done { Ok(done.old as $word) } else { Err(done.old as $word) }
            }

            /// Relaxed load.
            #[inline]
            pub fn read_once(&self) -> $word {
                #[cfg(feature = "explore")]
                if hook::active() {
                    return hook::load(self.at(), self.now() as u64, Order::Relaxed) as $word;
                }
                self.0.load(Ordering::Relaxed)
            }

            /// Relaxed store.
            #[inline]
            pub fn write_once(&self, value: $word) {
                #[cfg(feature = "explore")]
                if hook::active() {
                    return self.explored_store(value, Order::Relaxed);
                }
                self.0.store(value, Ordering::Relaxed)
            }

            /// Acquire load.
            #[inline]
            pub fn load_acquire(&self) -> $word {
                #[cfg(feature = "explore")]
                if hook::active() {
                    return hook::load(self.at(), self.now() as u64, Order::Acquire) as $word;
                }
                self.0.load(Ordering::Acquire)
            }

            /// Release store.
            #[inline]
            pub fn store_release(&self, value: $word) {
                #[cfg(feature = "explore")]
                if hook::active() {
                    return self.explored_store(value, Order::Release);
                }
                self.0.store(value, Ordering::Release)
            }

            /// Stores `value`, full ordering; the old value.
            #[inline]
            pub fn xchg(&self, value: $word) -> $word {
                #[cfg(feature = "explore")]
                if hook::active() {
                    return self.explored_update(Order::Full, |_| value);
                }
                full(|order| self.0.swap(value, order))
            }

            /// Stores `new` if the cell holds `old`: full ordering on success, relaxed on failure.
            ///
            /// # Errors
            /// The value found, when it was another.
            #[inline]
            pub fn cmpxchg(&self, old: $word, new: $word) -> Result<$word, $word> {
                #[cfg(feature = "explore")]
                if hook::active() {
                    return self.explored_exchange(old, new, Order::Full);
                }
                full(|order| self.0.compare_exchange(old, new, order, Ordering::Relaxed))
            }

            /// Replaces the value by what `f` makes of it, in one step, or leaves it where `f` says
            /// `None`: full ordering on success, relaxed on failure. `f` may run more than once.
            ///
            /// # Errors
            /// The value that `f` refused.
            #[inline]
            pub fn try_update(
                &self,
                mut f: impl FnMut($word) -> Option<$word>,
            ) -> Result<$word, $word> {
                #[cfg(feature = "explore")]
                if hook::active() {
                    return self.explored_rmw(Order::Full, Order::Relaxed, f);
                }
                let mut seen = self.0.load(Ordering::Relaxed);
                loop {
                    let Some(new) = f(seen) else { return Err(seen) };
                    match full(|order| {
                        self.0.compare_exchange_weak(seen, new, order, Ordering::Relaxed)
                    }) {
                        Ok(old) => return Ok(old),
                        Err(now) => seen = now,
                    }
                }
            }

            /// Adds, full ordering; the old value.
            #[inline]
            pub fn fetch_add(&self, value: $word) -> $word {
                #[cfg(feature = "explore")]
                if hook::active() {
                    return self.explored_update(Order::Full, |old| old.wrapping_add(value));
                }
                full(|order| self.0.fetch_add(value, order))
            }

            /// Subtracts, full ordering; the old value.
            #[inline]
            pub fn fetch_sub(&self, value: $word) -> $word {
                #[cfg(feature = "explore")]
                if hook::active() {
                    return self.explored_update(Order::Full, |old| old.wrapping_sub(value));
                }
                full(|order| self.0.fetch_sub(value, order))
            }

            /// Sets bits, full ordering; the old value.
            #[inline]
            pub fn fetch_or(&self, bits: $word) -> $word {
                #[cfg(feature = "explore")]
                if hook::active() {
                    return self.explored_update(Order::Full, |old| old | bits);
                }
                full(|order| self.0.fetch_or(bits, order))
            }

            /// Keeps only the bits of `mask`, full ordering; the old value.
            #[inline]
            pub fn fetch_and(&self, mask: $word) -> $word {
                #[cfg(feature = "explore")]
                if hook::active() {
                    return self.explored_update(Order::Full, |old| old & mask);
                }
                full(|order| self.0.fetch_and(mask, order))
            }

            /// Adds, full ordering.
            #[inline]
            pub(crate) fn add(&self, value: $word) {
                unseen(|| self.fetch_add(value));
            }

            /// Sets bits in one step without ordering; the old value.
            #[inline]
            pub fn fetch_or_relaxed(&self, bits: $word) -> $word {
                #[cfg(feature = "explore")]
                if hook::active() {
                    return self.explored_update(Order::Relaxed, |old| old | bits);
                }
                self.0.fetch_or(bits, Ordering::Relaxed)
            }

            /// Keeps only the bits of `mask` in one step without ordering; the old value.
            #[inline]
            pub fn fetch_and_relaxed(&self, mask: $word) -> $word {
                #[cfg(feature = "explore")]
                if hook::active() {
                    return self.explored_update(Order::Relaxed, |old| old & mask);
                }
                self.0.fetch_and(mask, Ordering::Relaxed)
            }

            #[cfg(feature = "explore")]
            fn explored_exchange(
                &self,
                old: $word,
                new: $word,
                success: Order,
            ) -> Result<$word, $word> {
                let pair = (old as u64, new as u64);
                let now = self.now() as u64;
                let done = hook::compare_exchange(self.at(), now, pair, success, Order::Relaxed);
                self.0.store(done.latest as $word, Ordering::Relaxed);
                if done.done { Ok(done.old as $word) } else { Err(done.old as $word) }
            }

            #[cfg(feature = "explore")]
            fn explored_update(&self, order: Order, mut f: impl FnMut($word) -> $word) -> $word {
                let mut f = |old| f(old as $word) as u64;
                let done = hook::modify(self.at(), self.now() as u64, order, &mut f);
                self.0.store(done.latest as $word, Ordering::Relaxed);
                done.old as $word
            }
        }

        #[cfg(feature = "explore")]
        impl Drop for $name {
            fn drop(&mut self) {
                hook::forget(self.at(), size_of::<$word>());
            }
        }

        impl core::fmt::Debug for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                write!(f, "{:#x}", self.now())
            }
        }
    };
}

atomic!(
    /// A 32-bit shared word.
    AtomicU32, AtomicU32, u32
);
atomic!(
    /// A 64-bit shared word.
    AtomicU64, AtomicU64, u64
);

/// What the counts of frames and of leases are made of.
impl AtomicU64 {
    /// Adds without ordering; the old value.
    #[inline]
    pub(super) fn fetch_add_relaxed(&self, value: u64) -> u64 {
        #[cfg(feature = "explore")]
        if hook::active() {
            return self.explored_update(Order::Relaxed, |old| old.wrapping_add(value));
        }
        self.0.fetch_add(value, Ordering::Relaxed)
    }

    /// Subtracts, release ordering; the old value.
    pub(super) fn fetch_sub_release(&self, value: u64) -> u64 {
        #[cfg(feature = "explore")]
        if hook::active() {
            return self.explored_update(Order::Release, |old| old.wrapping_sub(value));
        }
        self.0.fetch_sub(value, Ordering::Release)
    }

    /// Stores `value`, acquire and release ordering; the old value.
    pub(super) fn xchg_acq_rel(&self, value: u64) -> u64 {
        #[cfg(feature = "explore")]
        if hook::active() {
            return self.explored_update(Order::AcqRel, |_| value);
        }
        self.0.swap(value, Ordering::AcqRel)
    }

    /// Reads without ordering; the caller learns what `look` makes of the value.
    #[inline]
    pub(crate) fn read_once_as<C: Class>(&self, look: impl Fn(u64) -> C) -> C {
        seen_as(|| self.read_once(), look)
    }

    /// Adds without ordering.
    #[inline]
    pub(crate) fn add_relaxed(&self, value: u64) {
        unseen(|| self.fetch_add_relaxed(value));
    }

    /// Subtracts, full ordering; the caller learns what `look` makes of the old value.
    #[inline]
    pub(crate) fn fetch_sub_as<C: Class>(&self, value: u64, look: impl Fn(u64) -> C) -> C {
        seen_as(|| self.fetch_sub(value), look)
    }

    /// Sets bits, full ordering.
    #[inline]
    pub(crate) fn or(&self, bits: u64) {
        unseen(|| self.fetch_or(bits));
    }

    /// Adds, and sets bits of the sum, in one step with full ordering.
    #[inline]
    pub(crate) fn add_and_set(&self, value: u64, bits: u64) {
        unseen(|| self.try_update(|old| Some(old.wrapping_add(value) | bits)));
    }

    /// Keeps only the bits of `mask`, full ordering.
    #[inline]
    pub(crate) fn and(&self, mask: u64) {
        unseen(|| self.fetch_and(mask));
    }

    /// As [`Self::try_update`]; the caller learns what `look` makes of what that returns.
    #[inline]
    pub(crate) fn try_update_as<C: Class>(
        &self,
        f: impl FnMut(u64) -> Option<u64>,
        look: impl Fn(Result<u64, u64>) -> C,
    ) -> C {
        seen_as(|| self.try_update(f), look)
    }
}

/// What flags are made of.
impl AtomicU32 {
    /// Reads those of these bits that never change. Not a step of an exploration.
    #[inline]
    pub(crate) fn fixed(&self, bits: u32) -> u32 {
        self.now() & bits
    }
}

/// What roots are made of.
impl AtomicU64 {
    /// Reads a word that nobody changes as long as somebody may read it. Not a step of an
    /// exploration.
    #[inline]
    pub(crate) fn fixed(&self) -> u64 {
        self.now()
    }
}

/// What locks are made of.
impl AtomicU32 {
    /// Stores `new` if the cell holds `old`: acquire on success, relaxed on failure. For locks, in
    /// a loop: it may fail for no reason.
    ///
    /// # Errors
    /// The value found.
    #[inline]
    pub(super) fn cmpxchg_acquire_weak(&self, old: u32, new: u32) -> Result<u32, u32> {
        #[cfg(feature = "explore")]
        if hook::active() {
            return self.explored_exchange(old, new, Order::Acquire);
        }
        self.0.compare_exchange_weak(old, new, Ordering::Acquire, Ordering::Relaxed)
    }

    /// Stores `new` if the cell holds `old`, without ordering.
    ///
    /// # Errors
    /// The value found, when it was another.
    #[inline]
    pub(super) fn cmpxchg_relaxed(&self, old: u32, new: u32) -> Result<u32, u32> {
        #[cfg(feature = "explore")]
        if hook::active() {
            return self.explored_exchange(old, new, Order::Relaxed);
        }
        self.0.compare_exchange(old, new, Ordering::Relaxed, Ordering::Relaxed)
    }

    /// Adds, acquire ordering; the old value.
    #[inline]
    pub(super) fn fetch_add_acquire(&self, value: u32) -> u32 {
        #[cfg(feature = "explore")]
        if hook::active() {
            return self.explored_update(Order::Acquire, |old| old.wrapping_add(value));
        }
        self.0.fetch_add(value, Ordering::Acquire)
    }

    /// Subtracts, release ordering; the old value.
    #[inline]
    pub(super) fn fetch_sub_release(&self, value: u32) -> u32 {
        #[cfg(feature = "explore")]
        if hook::active() {
            return self.explored_update(Order::Release, |old| old.wrapping_sub(value));
        }
        self.0.fetch_sub(value, Ordering::Release)
    }

    /// Spins until the cell is seen to hold `value`, without ordering.
    #[inline]
    pub(crate) fn spin_until(&self, value: u32) {
        #[cfg(feature = "explore")]
        if hook::active() {
            let mut ready = |seen| seen == value as u64;
            hook::wait_until(self.at(), self.now() as u64, Order::Relaxed, &mut ready);
            return;
        }
        while self.0.load(Ordering::Relaxed) != value {
            core::hint::spin_loop();
        }
    }

    /// Spins while any of `bits` is seen to be set, without ordering.
    pub(super) fn spin_while(&self, bits: u32) {
        #[cfg(feature = "explore")]
        if hook::active() {
            let mut ready = |seen| seen & u64::from(bits) == 0;
            hook::wait_until(self.at(), self.now() as u64, Order::Relaxed, &mut ready);
            return;
        }
        while self.0.load(Ordering::Relaxed) & bits != 0 {
            core::hint::spin_loop();
        }
    }
}

/// A mark that is set once and never cleared. It is set under a lock that is held at least for
/// reading, and looked at and copied under the same lock for writing, which orders the two: an
/// exploration need not interleave on it.
#[derive(Debug, Default)]
pub(crate) struct Latch(native::AtomicBool);

impl Latch {
    /// Sets it.
    #[inline]
    pub(crate) fn set(&self) {
        // A look first: most find it set, and no line of a cache changes hands.
        if !self.0.load(Ordering::Relaxed) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    /// Whether it was set.
    #[inline]
    pub(crate) fn is_set(&self) -> bool {
        let is = self.0.load(Ordering::Relaxed);
        saw(u64::from(is));
        is
    }
}

impl Clone for Latch {
    /// One of its own, which is set if this one is.
    #[inline]
    fn clone(&self) -> Self {
        Self(native::AtomicBool::new(self.is_set()))
    }
}

/// Marks that are set under a lock that is held at least for reading, and looked at, copied and
/// taken away under the same lock for writing, which orders the two, as for a [`Latch`].
#[derive(Debug, Default)]
pub(crate) struct Marks(native::AtomicU64);

impl Marks {
    /// Sets some.
    #[inline]
    pub(crate) fn set(&self, marks: u64) {
        if self.0.load(Ordering::Relaxed) & marks != marks {
            self.0.fetch_or(marks, Ordering::Relaxed);
        }
    }

    /// Those that were set.
    #[inline]
    pub(crate) fn get(&self) -> u64 {
        let marks = self.0.load(Ordering::Relaxed);
        saw(marks);
        marks
    }
}

impl Clone for Marks {
    /// A set of its own with the same marks.
    #[inline]
    fn clone(&self) -> Self {
        Self(native::AtomicU64::new(self.get()))
    }
}

/// A statistic: exact, but no protocol reads it, so an exploration does not interleave on it.
#[derive(Debug, Default)]
pub struct Counter(native::AtomicU64);

impl Counter {
    /// A counter at zero.
    pub const fn new() -> Self {
        Self(native::AtomicU64::new(0))
    }

    /// Adds `n`.
    #[inline]
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// Subtracts `n`.
    #[inline]
    pub(crate) fn sub(&self, n: u64) {
        self.0.fetch_sub(n, Ordering::Relaxed);
    }

    /// Adds `n` unless the sum would pass `limit`; whether it did.
    #[inline]
    #[must_use]
    pub(crate) fn add_within(&self, n: u64, limit: u64) -> bool {
        let added = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |now| {
                now.checked_add(n).filter(|sum| *sum <= limit)
            })
            .is_ok();
        saw(u64::from(added));
        added
    }

    /// The present value.
    #[inline]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
