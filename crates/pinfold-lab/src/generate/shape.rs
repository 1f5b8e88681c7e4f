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
    /// Whether it is memory of files, too, and of groups of memory.
    pub files: Files,
    /// Whether pages go to a swap device.
    pub swaps: Swaps,
    /// Frames on each node; none for as many as are needed.
    pub frames: Option<u32>,
}

impl Shape {
    /// Whether pages are collapsed in the program of a seed: in one of three about a folio.
    pub(super) fn collapses(&self, seed: u64) -> bool {
        let folio = matches!((self.files, self.extent), (Files::Left, Extent::Folio));
        folio && (seed / 6).is_multiple_of(3)
    }
}

/// How much memory the steps of a program are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// One or two areas of one or two pages, and every kind of step.
    Areas,
    /// One private page and the steps that decide who keeps it: stores, references, forks, and
    /// changes of its rights. What releases do differently shows there sooner.
    Page,
    /// One large folio and the steps that decide who keeps its pages and whether it stays one:
    /// splits and references by number beside those of a page, and pages given up; in one of three
    /// small pages, too, and collapses, moves and scans.
    Folio,
    /// One huge page of the pool, and the steps that decide who keeps it, or whether there is one
    /// for who wants it. [`Shape::frames`] says whether the pool is short.
    Pool,
}

impl Extent {
    /// That of the program with this seed, where all kinds are wanted: one in six has a folio, one
    /// in twelve a huge page of the pool.
    pub const fn of(seed: u64) -> Self {
        match seed % 12 {
            1 | 7 => Self::Folio,
            5 => Self::Pool,
            _ => Self::Areas,
        }
    }
}

/// Whether there are scans of NUMA balancing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scans {
    /// There are.
    Made,
    /// There are none.
    Left,
}

/// Whether pages go to a swap device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Swaps {
    /// They do in one program of four, of those that have no files, no large folio, and as many
    /// frames as are needed.
    Made,
    /// They stay.
    Left,
}

/// Whether programs have files and groups of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Files {
    /// They have: an area or two of a file's pages, beside or in place of others; steps on files by
    /// name; and groups, where those are not to be compared with a kernel's. [`Shape::extent`] says
    /// nothing then.
    Made,
    /// They have none.
    Left,
}

impl Files {
    /// Those of the program with this seed, where both kinds are wanted: one in three has files.
    pub const fn of(seed: u64) -> Self {
        if seed.is_multiple_of(3) { Self::Made } else { Self::Left }
    }
}
