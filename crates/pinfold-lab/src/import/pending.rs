//! What lasts from call to call beside descriptors and mappings: requests under way, and segments
//! of shared memory.

/// Requests of a context of io_submit that are under way.
#[derive(Clone, Debug)]
pub(super) struct Requests {
    /// How many; those that move no memory count, too.
    pub(super) under_way: u64,
    /// What stands for them, one for those between which nothing else was kept.
    pub(super) stands: Vec<Stand>,
}

/// A thread that stands for requests.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stand {
    pub(super) thread: usize,
    /// Who submitted the first, in which line, and the place of what made the thread.
    pub(super) by: usize,
    pub(super) line: u64,
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
