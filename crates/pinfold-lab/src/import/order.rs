//! What is certain of the order of calls, and so which of them race (INV-IMPORT-1).
//!
//! INV-ORDER-1: a call comes after another one only by what a thread did one after the other, by
//! the call that made a thread, and by a wait for its end. The times of the recording order nothing
//! else.

use super::log::{Log, Op, What, makes};
use std::collections::BTreeSet;

/// Which calls race with the one at this place: they come neither before it nor after it for sure.
pub(super) fn races(log: &Log, at: usize) -> Vec<bool> {
    races_of(log, at, &|_| true)
}

/// The same, by no other calls than those that are `known`.
fn races_of(log: &Log, at: usize, known: &dyn Fn(usize) -> bool) -> Vec<bool> {
    let mut free = vec![true; log.ops.len()];
    let Some(op) = log.ops.get(at) else { return free };
    free[at] = false;
    let mut after = BTreeSet::from([op.thread]);
    for (place, op) in log.ops.iter().enumerate().skip(at + 1).filter(|(place, _)| known(*place)) {
        if awaited(op).is_some_and(|ended| after.contains(&ended)) {
            after.insert(op.thread);
        }
        if after.contains(&op.thread) {
            after.extend(makes(op));
            free[place] = false;
        }
    }
    let mut before = BTreeSet::from([op.thread]);
    for (place, op) in log.ops.iter().enumerate().take(at).rev().filter(|(at, _)| known(*at)) {
        if makes(op).is_some_and(|made| before.contains(&made)) {
            before.insert(op.thread);
        }
        if before.contains(&op.thread) {
            before.extend(awaited(op));
            free[place] = false;
        }
    }
    free
}

/// Whether the call at `at` comes after the one at `first` for sure, or is that one, by no other
/// calls than those that are `known`.
pub(super) fn follows(log: &Log, first: usize, at: usize, known: &dyn Fn(usize) -> bool) -> bool {
    first == at || first < at && !races_of(log, first, known).get(at).copied().unwrap_or(true)
}

/// The thread whose end a call waited for.
fn awaited(op: &Op) -> Option<usize> {
    match op.what {
        What::Wait(thread) => Some(thread),
        _ => None,
    }
}
