//! What may interrupt an execution half-way.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

/// See the module. The default never interrupts one.
#[derive(Clone, Default)]
pub(crate) struct Watch {
    pub(crate) until: Option<Instant>,
    pub(crate) stop: Option<Arc<AtomicBool>>,
}

impl Watch {
    pub(crate) fn is_over(&self) -> bool {
        self.until.is_some_and(|until| Instant::now() >= until)
            || self.stop.as_ref().is_some_and(|stop| stop.load(Ordering::Relaxed))
    }
}
