//! What a frame counts, by itself or as part of a large folio.
//!
//! The folio counts references and mappings of all its pages together; each page keeps its own
//! mark. The counts are looked at from outside, which is no step of an exploration.

use std::fmt;

use pinfold::rules::TailRefs;
use pinfold::rules::large::{Tally, tally};
use pinfold::{Counts, Flags, Frames, Pfn, lab};

/// The counts that stand for a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counted {
    /// References; of a large folio, those on all of its pages.
    pub(crate) refs: u32,
    /// Entries that map it, or any page of its large folio.
    pub(crate) maps: u32,
    /// References that it counts by itself as a tail of a large folio, beside those of the folio.
    pub(crate) tail: u32,
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

/// The counts of a frame, or of the large folio that it is part of.
pub(crate) fn counts(frames: &Frames, pfn: Pfn) -> Counts {
    lab::counts(frames, large(frames, pfn).map_or(pfn, |run| run.head))
}

/// What stands for a frame, with what a tail counts by the rule `tail-refs`.
pub(crate) fn counted(frames: &Frames, pfn: Pfn, rule: TailRefs) -> Counted {
    let own = lab::counts(frames, pfn);
    let folio = large(frames, pfn);
    let counts = folio.map_or(own, |run| lab::counts(frames, run.head));
    let tail = match tally(rule) {
        _ if folio.is_none_or(|run| run.head == pfn) => 0,
        Tally::Head => 0,
        Tally::HeadAndTail => own.refs(),
        Tally::HeadAndMapcount => own.maps(),
    };
    let exclusive = own.is_exclusive();
    Counted { refs: counts.refs(), maps: counts.maps(), tail, exclusive, folio }
}

/// The large folio of private memory that a frame is part of, if it is part of one.
pub(crate) fn large(frames: &Frames, pfn: Pfn) -> Option<Run> {
    if !lab::flags(frames, pfn).intersects(Flags::HEAD | Flags::TAIL) {
        return None;
    }
    lab::large_folio(frames, pfn).map(|folio| Run { head: folio.head, pages: folio.pages })
}
