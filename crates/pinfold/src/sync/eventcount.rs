//! A count of events that can be waited for: an event count.
//!
//! Protocol: who waits reads the count, then looks whether what he needs is there, and if not waits
//! for the count to change. Who makes it there does so first and then advances the count. The
//! advance is a full barrier and the look at the count an acquire: a waiter whose count is as new
//! as the advance finds what was made, and one whose count is older does not sleep.

#[cfg(feature = "explore")]
use pinfold_explore::hook;

use super::atomic::AtomicU32;
#[cfg(feature = "explore")]
use super::grant;
use super::park::Park;

/// See the module. Wraps.
#[derive(Debug)]
pub(crate) struct EventCount(AtomicU32);

/// How a wait has ended.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Waited {
    /// Something has happened.
    Ended,
    /// Who waited was told to stop.
    Stopped,
}

impl EventCount {
    /// Nothing has happened.
    pub(crate) fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    /// The word, to be named in a trace.
    pub(crate) fn word(&self) -> &AtomicU32 {
        &self.0
    }

    /// How often something has happened, as far as the caller can see.
    pub(crate) fn seen(&self) -> u32 {
        self.0.load_acquire()
    }

    /// Something has happened: all who wait look again.
    pub(crate) fn advance(&self, sleep: &impl Park) {
        self.0.fetch_add(1);
        sleep.unpark(self.0.native());
    }

    /// Waits until something has happened since the count was `seen`.
    pub(crate) fn wait(&self, seen: u32, sleep: &impl Park) {
        let _ = self.wait_unless(seen, sleep, || false);
    }

    /// The same, or until `stop` says so, which is asked before each sleep; how it ended.
    pub(crate) fn wait_unless(
        &self,
        seen: u32,
        sleep: &impl Park,
        mut stop: impl FnMut() -> bool,
    ) -> Waited {
        #[cfg(feature = "explore")]
        if grant::by_explorer() {
            let at = core::ptr::from_ref(&self.0) as usize;
            let (now, order) = (u64::from(self.0.peek()), hook::Order::Acquire);
            if stop() {
                return Waited::Stopped;
            }
            let _ = hook::wait_until(at, now, order, &mut |count| count != u64::from(seen));
            return Waited::Ended;
        }
        while self.0.load_acquire() == seen {
            if stop() {
                return Waited::Stopped;
            }
            sleep.park(self.0.native(), seen);
        }
        Waited::Ended
    }
}

#[cfg(test)]
mod tests {
    use super::super::park::Awake;
    use super::*;

    #[test]
    fn a_wait_for_what_has_happened_since_ends_at_once() {
        let count = EventCount::new();
        let seen = count.seen();
        count.advance(&Awake);
        count.wait(seen, &Awake);
        assert_ne!(count.seen(), seen);
    }

    #[test]
    fn who_is_to_stop_does_not_sleep() {
        let count = EventCount::new();
        assert_eq!(count.wait_unless(count.seen(), &Awake, || true), Waited::Stopped);
        let seen = count.seen();
        count.advance(&Awake);
        let ended = count.wait_unless(seen, &Awake, || unreachable!("there is no sleep"));
        assert_eq!(ended, Waited::Ended);
    }

    #[test]
    #[should_panic(expected = "sleeps")]
    fn without_an_event_the_caller_sleeps() {
        let count = EventCount::new();
        count.wait(count.seen(), &Awake);
    }
}
