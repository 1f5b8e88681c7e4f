//! A number of executions that several explorations may make together.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// A number of executions; clones draw on the same number, also from other threads.
#[derive(Clone, Debug)]
pub struct Budget {
    of: u64,
    left: Arc<AtomicU64>,
}

/// A budget is spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spent {
    /// How many executions there were at the start.
    pub(crate) of: u64,
}

impl Budget {
    /// A budget of this many executions.
    pub fn new(executions: u64) -> Self {
        Self { of: executions, left: Arc::new(AtomicU64::new(executions)) }
    }

    /// Whether no execution is left.
    pub fn is_spent(&self) -> bool {
        self.left.load(Ordering::Relaxed) == 0
    }

    /// Takes one execution.
    pub(crate) fn take(&self) -> Result<(), Spent> {
        let less = |left: u64| left.checked_sub(1);
        let taken = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        taken.map(drop).map_err(|_| Spent { of: self.of })
    }

    /// Returns one execution that was taken and not made.
    pub(crate) fn give_back(&self) {
        self.left.fetch_add(1, Ordering::Relaxed);
    }
}
