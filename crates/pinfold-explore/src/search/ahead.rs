//! What a search still has before it.

/// What a search has before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ahead {
    /// A depth-first search: alternatives seen on the way to the execution at hand and not yet
    /// taken. Behind each of them more may come up. The search ends once there are none, and it
    /// nears its end as the first of them moves to later steps.
    Alternatives {
        /// How many.
        open: u64,
        /// The step at which the first of them lies, counted from 1; the last step if there is
        /// none.
        from: u64,
        /// The steps of the way.
        depth: u64,
    },
    /// A random search.
    Runs {
        /// Executions made so far, those before an interruption included.
        done: u64,
        /// Executions to be made.
        of: u64,
    },
}

/// What a depth-first search has before it, from the open alternatives of each step of its way.
pub(super) fn open(steps: impl Iterator<Item = usize>) -> Ahead {
    let (mut alternatives, mut from, mut depth) = (0, None, 0);
    for (step, open) in steps.enumerate() {
        depth = step as u64 + 1;
        alternatives += open as u64;
        if open > 0 {
            from.get_or_insert(depth);
        }
    }
    Ahead::Alternatives { open: alternatives, from: from.unwrap_or(depth), depth }
}

#[cfg(test)]
mod tests;
