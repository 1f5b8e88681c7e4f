//! Sleeping and waking, as the sleeping locks ask for it; a platform supplies it.

use core::sync::atomic::AtomicU32 as NativeU32;

/// Sleeping on a word, as a futex does.
///
/// Protocol: who sleeps makes itself known and then looks at the word; who wakes has changed the
/// word and then looks for sleepers. With a full barrier between the two steps of each, one sees
/// the other. The lock that calls brings the waker's; `park` brings the sleeper's. A waking orders
/// nothing else: the lock looks at its word again.
pub trait Park {
    /// Sleeps until [`Park::unpark`] on the same word; returns at once when the word no longer
    /// holds `seen`, and may return early. Called without spin locks and outside walk sections; the
    /// caller may hold sleeping locks.
    ///
    /// Between making the caller known as a sleeper and looking at the word stands a full barrier
    /// ([`core::sync::atomic::fence`] with `SeqCst`, or a lock around the look, if `unpark` always
    /// takes the same lock).
    fn park(&self, word: &NativeU32, seen: u32);

    /// Wakes everyone who sleeps on `word`. The caller has changed the word, and a full barrier
    /// stands between that and the call: a look for sleepers that needs no lock may be a relaxed
    /// load.
    ///
    /// Called under any locks of the manager, those of page tables included, so it must not sleep
    /// and must not call the manager. `word` is an address to compare: by now its value may be that
    /// of another use.
    fn unpark(&self, word: &NativeU32);
}
