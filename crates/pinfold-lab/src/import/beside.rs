//! Which threads may store in the middle of another one's call: a change of memory is no single
//! step, and a thread that is there meanwhile may store before it, in it or after it, whatever the
//! times of the recording say (INV-IMPORT-1).
//!
//! A thread that does nothing else here has a lane for it if there is room for one more; that lane
//! stands for all who may store in the middle of no other calls, and the rest is named as left out.
//! A thread that has a lane stores there, before its first call, or after the
//! one that made whoever changes the memory.

use super::log::{Log, Op, What, makes};
use std::collections::BTreeMap;

/// Who may store in the middle of which calls.
#[derive(Debug, Default)]
pub(super) struct Beside {
    /// Threads with lanes, each with the calls by their numbers.
    pub(super) lanes: BTreeMap<usize, Vec<usize>>,
    /// A thread that has none, and stands for those that may store in the middle of the same calls.
    pub(super) other: Option<(usize, Vec<usize>)>,
    /// Those for which it does not stand.
    pub(super) untold: Vec<usize>,
}

/// Finds them among the threads of the processes that have these lanes.
pub(super) fn beside(log: &Log, lanes: &BTreeMap<usize, Vec<usize>>) -> Beside {
    let mut found = Beside::default();
    let mut others: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (thread, steps) in lanes {
        let process = log.threads[*thread].process;
        for at in steps.iter().filter(|at| takes_time(&log.ops[**at])) {
            for (other, of) in log.threads.iter().enumerate() {
                if other == *thread || of.process != process || of.visits || !lives(log, other, *at)
                {
                    continue;
                }
                let calls = if lanes.contains_key(&other) { &mut found.lanes } else { &mut others };
                calls.entry(other).or_default().push(*at);
            }
        }
    }
    found.other = others.iter().max_by_key(|(_, calls)| calls.len()).map(|(thread, calls)| {
        let stood_for = |other: &&usize| others[*other].iter().all(|call| calls.contains(call));
        found.untold = others.keys().filter(|other| !stood_for(other)).copied().collect();
        (*thread, calls.clone())
    });
    found
}

/// Whether a call changes what a store does, step by step, and leaves the memory where it is: a
/// store to what goes away is the program's error.
fn takes_time(op: &Op) -> bool {
    match &op.what {
        What::Fork(_) | What::Protect(..) | What::Pageout(_) | What::ClearRefs => true,
        What::Advise(_, advice) => matches!(*advice, "dontneed" | "free" | "cold"),
        _ => false,
    }
}

/// Whether a thread was there at a call: made before, and not known to have ended.
fn lives(log: &Log, thread: usize, at: usize) -> bool {
    let made = log.ops.iter().position(|op| makes(op) == Some(thread));
    let ends = |op: &Op| match op.what {
        What::Wait(over) => over == thread,
        What::Exit => op.thread == thread,
        // It goes on in another program.
        What::Exec => op.thread == thread && op.root == log.ops[at].root,
        _ => false,
    };
    made.is_none_or(|made| made < at) && !log.ops[..at].iter().any(ends)
}
