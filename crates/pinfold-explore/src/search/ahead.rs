//! What a depth-first search still has before it: alternatives on the way to the execution at hand.

use crate::report::Ahead;

/// Counts the alternatives of each step, from the first on.
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
