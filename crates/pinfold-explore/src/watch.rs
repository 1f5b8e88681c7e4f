//! What may interrupt an execution half-way.
//!
//! The engine looks at its watch between steps. The memory models look at theirs, a clone, while
//! they check one access against a long execution: what they then leave undone does not matter,
//! because the engine ends the execution before it picks another step.

use std::{
    cell::Cell,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use crate::time::TimeSource;

/// See the module. The default never interrupts one. Clones end together.
#[derive(Clone, Default)]
pub(crate) struct Watch {
    /// The moment at which time is up.
    until: Option<Duration>,
    /// What the time is.
    time: TimeSource,
    /// Becomes true when somebody asks for the end.
    stop: Option<Arc<AtomicBool>>,
    /// How much longer an execution may take that is to be finished all the same.
    grace: Duration,
    state: Rc<State>,
}

#[derive(Default)]
struct State {
    /// When the end was first due.
    due: Cell<Option<Duration>>,
    /// Whether it was found to be over.
    over: Cell<bool>,
}

impl Watch {
    pub(crate) fn new(
        until: Option<Duration>,
        time: TimeSource,
        stop: Option<Arc<AtomicBool>>,
    ) -> Self {
        Self { until, time, stop, grace: Duration::ZERO, state: Rc::default() }
    }

    /// The same for an execution that may take this much longer.
    pub(crate) fn with_grace(&self, grace: Duration) -> Self {
        Self { grace, state: Rc::default(), ..self.clone() }
    }

    /// Whether the execution is to end now.
    pub(crate) fn is_over(&self) -> bool {
        if self.has_ended() {
            return true;
        }
        if !self.is_due() {
            return false;
        }
        let over = self.grace.is_zero() || {
            let now = self.time.now();
            let due = self.state.due.get().unwrap_or(now);
            self.state.due.set(Some(due));
            now.saturating_sub(due) >= self.grace
        };
        self.state.over.set(over);
        over
    }

    /// Whether somebody has found it to be over.
    pub(crate) fn has_ended(&self) -> bool {
        self.state.over.get()
    }

    /// Whether time is up, or somebody has asked for the end.
    fn is_due(&self) -> bool {
        self.until.is_some_and(|until| self.time.now() >= until)
            || self.stop.as_ref().is_some_and(|stop| stop.load(Ordering::Relaxed))
    }
}
