//! Executions that several explorations may make together.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// A number of executions; clones draw on the same number, on whatever threads they are.
#[derive(Clone, Debug)]
pub struct Budget {
    of: u64,
    left: Arc<AtomicU64>,
}

/// Nothing is left of a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spent {
    /// How much there was.
    pub(crate) of: u64,
}

impl Budget {
    /// A budget of so many executions.
    pub fn new(executions: u64) -> Self {
        Self { of: executions, left: Arc::new(AtomicU64::new(executions)) }
    }

    /// Takes one execution.
    pub(crate) fn take(&self) -> Result<(), Spent> {
        let less = |left: u64| left.checked_sub(1);
        let taken = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        taken.map(drop).map_err(|_| Spent { of: self.of })
    }

    /// Gives back one execution that was taken and not made.
    pub(crate) fn give_back(&self) {
        self.left.fetch_add(1, Ordering::Relaxed);
    }
}
