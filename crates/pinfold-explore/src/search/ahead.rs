//! What a search still has to do.

/// What a search still has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ahead {
    /// A depth-first search: alternatives seen on the way to the current execution and not yet
    /// taken. Taking one may reveal more. The search ends once there are none, and nears its end as
    /// the first of them moves to later steps.
    Alternatives {
        /// How many.
        open: u64,
        /// The step of the first of them, counted from 1; the last step if there is none.
        from: u64,
        /// The steps of the way.
        depth: u64,
    },
    /// A random search.
    Runs {
        /// Executions made so far, including those before an interruption.
        done: u64,
        /// Executions to make in all.
        of: u64,
    },
}

/// What a depth-first search still has to do, from the open alternatives of each step on its way.
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
