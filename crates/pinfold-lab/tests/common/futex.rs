//! Sleeping that is exactly as weak as `Park` allows: a futex that looks for sleepers without a
//! lock.
//!
//! Protocol: who goes to sleep counts itself, brings a full barrier, and looks at the word; who
//! wakes has changed the word and brought a full barrier, and looks at the count. Of the two one
//! sees the other. Nothing else here orders anything.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use pinfold_explore::hook::{self, Order};

/// A word that lanes share, without any ordering but what is asked for.
#[derive(Default)]
pub(crate) struct Word(AtomicU64);

impl Word {
    fn at(&self) -> (usize, u64) {
        (&raw const self.0 as usize, self.0.load(Ordering::Relaxed))
    }

    /// Replaces the value by what `f` makes of it, in one step; the old one.
    pub(crate) fn update(&self, order: Order, mut f: impl FnMut(u64) -> u64) -> u64 {
        let (at, now) = self.at();
        let done = hook::rmw(at, now, order, order, &mut |old| Some(f(old)));
        self.0.store(done.latest, Ordering::Relaxed);
        done.old
    }

    pub(crate) fn load(&self, order: Order) -> u64 {
        let (at, now) = self.at();
        hook::load(at, now, order)
    }

    /// Waits for a value that is `ready`.
    pub(crate) fn wait(&self, order: Order, mut ready: impl FnMut(u64) -> bool) {
        let (at, now) = self.at();
        hook::wait_until(at, now, order, &mut ready);
    }
}

/// One bucket of sleepers for all words: being woken for another's word is an early return.
pub(crate) struct Futex {
    /// How many have counted themselves since the last wake-up; above that, how many wake-ups there
    /// were.
    bucket: Word,
    barrier: bool,
}

const WAKE: u64 = 1 << 32;

impl Futex {
    /// Without the barrier in `park` it is weaker than the contract: a control.
    pub(crate) fn new(barrier: bool) -> Self {
        Self { bucket: Word::default(), barrier }
    }

    pub(crate) fn park(&self, word: &AtomicU32, seen: u32) {
        let wakes = self.bucket.update(Order::Relaxed, |bucket| bucket + 1) / WAKE;
        if self.barrier {
            hook::fence(Order::SeqCst);
        }
        let now = u64::from(word.load(Ordering::Relaxed));
        if hook::load(&raw const *word as usize, now, Order::Relaxed) == u64::from(seen) {
            self.bucket.wait(Order::Relaxed, |bucket| bucket / WAKE != wakes);
        }
    }

    pub(crate) fn unpark(&self) {
        if !self.bucket.load(Order::Relaxed).is_multiple_of(WAKE) {
            self.bucket.update(Order::Relaxed, |bucket| (bucket / WAKE + 1) * WAKE);
        }
    }
}
