//! What the simulated machine is made of, as values.

use pinfold::{NodeId, Small};

/// The page-table format of the simulated machine.
pub(crate) type Tables = Small;

/// What a trace calls the read with which a step begins.
pub(crate) const STEP_STARTS: &str = "a step begins";

/// How a machine is built.
#[derive(Clone, Debug)]
pub(crate) struct Hardware {
    /// The node of each CPU.
    pub(crate) cpus: Vec<NodeId>,
    /// Frames of all nodes together.
    pub(crate) frames: usize,
    /// Words of data in a page.
    pub(crate) words: usize,
}
