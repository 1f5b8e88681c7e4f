//! What random programs are like.

/// What programs are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aim {
    /// To be carried out elsewhere and compared: every word and every identity that can be looked
    /// at is a line of `always`, most of which are not true, and steps are such as a system call
    /// carries out.
    Compare,
    /// To be held against the machine's own oracles, with every kind of pin.
    Oracles,
}

/// What programs are like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// What they are for.
    pub aim: Aim,
    /// Lanes that run at the same time; 0 for a program of one step after another.
    pub lanes: usize,
    /// The most steps of a lane, or of a program without lanes.
    pub steps: usize,
    /// Memory nodes: with two, pages are moved.
    pub nodes: u32,
    /// Whether processes are scanned as NUMA balancing does.
    pub scans: Scans,
    /// How much memory the steps are about.
    pub extent: Extent,
    /// Frames on each node; none for as many as are needed.
    pub frames: Option<u32>,
}

/// How much memory the steps of a program are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// One or two areas of one or two pages, and every kind of step.
    Areas,
    /// One private page and the steps that decide who keeps it: stores, references, forks, and
    /// changes of its rights. What releases do differently shows there sooner.
    Page,
}

/// Whether there are scans of NUMA balancing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scans {
    /// There are.
    Made,
    /// There are none.
    Left,
}
