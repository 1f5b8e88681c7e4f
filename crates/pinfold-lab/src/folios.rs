//! What a frame counts, by itself or as part of a large folio.
//!
//! The folio counts references and mappings of all its pages together; each page keeps its own
//! mark. The counts are looked at from outside, which is no step of an exploration.

use std::fmt;

use pinfold::{Flags, Frames, Pfn, lab};

/// The counts that stand for a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counted {
    /// References; of a large folio, those on all of its pages.
    pub(crate) refs: u32,
    /// Entries that map it, or any page of its large folio.
    pub(crate) maps: u32,
    /// Whether the page itself is marked as one process's own.
    pub(crate) exclusive: bool,
    /// The large folio that it is part of.
    pub(crate) folio: Option<Run>,
}

/// The frames of a large folio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) head: Pfn,
    pub(crate) pages: u64,
}

impl Run {
    /// A frame by itself.
    pub(crate) fn alone(frame: Pfn) -> Self {
        Self { head: frame, pages: 1 }
    }

    pub(crate) fn contains(self, frame: Pfn) -> bool {
        (self.head.0..self.head.0 + self.pages).contains(&frame.0)
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{}", self.head, self.pages)
    }
}

/// What stands for a frame.
pub(crate) fn counted(frames: &Frames, pfn: Pfn) -> Counted {
    let own = lab::counts(frames, pfn);
    let folio = large(frames, pfn);
    let counts = folio.map_or(own, |run| lab::counts(frames, run.head));
    Counted { refs: counts.refs(), maps: counts.maps(), exclusive: own.is_exclusive(), folio }
}

/// The large folio of private memory that a frame is part of, if it is part of one.
pub(crate) fn large(frames: &Frames, pfn: Pfn) -> Option<Run> {
    if !lab::flags(frames, pfn).intersects(Flags::HEAD | Flags::TAIL) {
        return None;
    }
    lab::large_folio(frames, pfn).map(|folio| Run { head: folio.head, pages: folio.pages })
}
