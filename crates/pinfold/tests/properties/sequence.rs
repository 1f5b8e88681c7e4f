//! One sequence of operations, from a new machine to an empty one.

use crate::model::{Checks, World};
use crate::ops::Op;
use crate::testing::{self, Hardware, Outside};
use pinfold::{Rules, Stats};

/// Makes the steps, and compares after each. `nodes` are the frames of each node, `base` the page
/// before the first one used. What the machine has counted.
pub(crate) fn sequence<F: Hardware>(
    ops: &[Op],
    rules: Rules,
    nodes: &[u64],
    base: u64,
    checks: Checks,
) -> Stats {
    // Every other case, by what it is, has its frames from an outside owner.
    let outside = ops.len().is_multiple_of(2).then(|| Outside::of(&testing::spans(nodes)));
    let mut world = World::<F>::new(rules, nodes, outside, base, checks);
    ops.iter().for_each(|op| world.step(op));
    let stats = world.finish();
    assert!(outside.is_none_or(Outside::has_all), "the zero page is back as well");
    stats
}
