//! Where an exploration takes the time from.

use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

/// A source of the time: what deadlines and reports of progress are counted by.
///
/// The default is the machine's monotonic clock. Another one makes what depends on the time
/// repeatable: under a clock that moves on by a fixed amount each time it is read, a search stops
/// at the same execution on every machine.
#[derive(Clone, Default)]
pub struct TimeSource(Option<Arc<dyn Fn() -> Duration + Send + Sync>>);

impl TimeSource {
    /// The time is what `now` returns: the time since any fixed moment, never less than before. It
    /// is called from every thread that explores.
    pub fn new(now: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(now)))
    }

    /// The time since a fixed moment.
    pub fn now(&self) -> Duration {
        static FIRST: OnceLock<Instant> = OnceLock::new();
        match &self.0 {
            Some(now) => now(),
            None => FIRST.get_or_init(Instant::now).elapsed(),
        }
    }

    /// The time since `then`, an earlier [`TimeSource::now`].
    pub fn since(&self, then: Duration) -> Duration {
        self.now().saturating_sub(then)
    }
}

impl fmt::Debug for TimeSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "TimeSource(given)" } else { "TimeSource(machine)" })
    }
}
