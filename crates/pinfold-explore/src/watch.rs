//! What may interrupt an execution half-way.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use crate::time::TimeSource;

/// See the module. The default never interrupts one.
#[derive(Clone, Default)]
pub(crate) struct Watch {
    /// The moment at which time is up.
    pub(crate) until: Option<Duration>,
    /// What the time is.
    pub(crate) time: TimeSource,
    /// Becomes true when somebody asks for the end.
    pub(crate) stop: Option<Arc<AtomicBool>>,
    /// How much longer an execution may take that is to be finished all the same.
    grace: Duration,
    /// When the end was first due.
    due: Option<Duration>,
}

impl Watch {
    pub(crate) fn new(
        until: Option<Duration>,
        time: TimeSource,
        stop: Option<Arc<AtomicBool>>,
    ) -> Self {
        Self { until, time, stop, grace: Duration::ZERO, due: None }
    }

    /// The same for an execution that may take this much longer.
    pub(crate) fn with_grace(&self, grace: Duration) -> Self {
        Self { grace, due: None, ..self.clone() }
    }

    /// Whether the execution is to end now.
    pub(crate) fn is_over(&mut self) -> bool {
        if !self.is_due() {
            return false;
        }
        if self.grace.is_zero() {
            return true;
        }
        let now = self.time.now();
        let due = *self.due.get_or_insert(now);
        now.saturating_sub(due) >= self.grace
    }

    /// Whether time is up, or somebody has asked for the end.
    fn is_due(&self) -> bool {
        self.until.is_some_and(|until| self.time.now() >= until)
            || self.stop.as_ref().is_some_and(|stop| stop.load(Ordering::Relaxed))
    }
}
