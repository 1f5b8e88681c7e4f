//! Sleeping and waking as the sleeping locks need it, supplied by a platform.

use core::sync::atomic::AtomicU32 as NativeU32;

/// Sleeping on a word, as a futex does.
///
/// Protocol: a sleeper makes itself known and then looks at the word; a waker has changed the word
/// and then looks for sleepers. With a full barrier between the two steps of each, one sees the
/// other. The calling lock issues the waker's barrier; `park` issues the sleeper's. Waking orders
/// nothing else: the lock looks at its word again.
pub trait Park {
    /// Sleeps until [`Park::unpark`] on the same word; returns at once when the word no longer
    /// holds `seen`, and may return early. Called without spin locks and outside walk sections; the
    /// caller may hold sleeping locks.
    ///
    /// There is a full barrier between making the caller known as a sleeper and looking at the word
    /// ([`core::sync::atomic::fence`] with `SeqCst`, or a lock around the look, if `unpark` always
    /// takes the same lock).
    fn park(&self, word: &NativeU32, seen: u32);

    /// Wakes all sleepers on `word`. The caller has changed the word and issued a full barrier
    /// between that and the call: a look for sleepers that needs no lock may be a relaxed load.
    ///
    /// Called under any locks of the manager, those of page tables included, so it must not sleep
    /// and must not call the manager. `word` is an address to compare: its value may already be
    /// that of another use.
    fn unpark(&self, word: &NativeU32);
}

/// Panics instead of sleeping, so that a test sees who would wait.
#[cfg(test)]
pub(crate) struct Awake;

#[cfg(test)]
impl Park for Awake {
    fn park(&self, _: &NativeU32, _: u32) {
        panic!("sleeps");
    }

    fn unpark(&self, _: &NativeU32) {}
}
