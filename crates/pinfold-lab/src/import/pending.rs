//! What lasts from call to call beside descriptors and mappings: requests under way, and segments
//! of shared memory.

/// Requests of a context of io_submit that are under way.
#[derive(Clone, Debug)]
pub(super) struct Requests {
    /// How many; those that move no memory count, too.
    pub(super) under_way: u64,
    /// Those of direct I/O, and where what was kept since the first of them begins.
    pub(super) seeds: Vec<usize>,
    pub(super) begins: usize,
}

/// A segment of shared memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    pub(super) bytes: u64,
    pub(super) mapping: u32,
    /// The page at which it was attached first, if it was.
    pub(super) first: Option<u64>,
}
