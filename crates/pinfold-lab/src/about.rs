//! What a finding is about, as values: where an explanation of it starts.

use pinfold::{Pfn, SpaceId};
use pinfold_explore::FailureKind;

use crate::report::Finding;

/// A page of an address space.
pub(crate) type Page = (SpaceId, u64);

/// A place at which a word was looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Spot {
    /// A frame, through the handle with this name.
    Handle(String, Pfn),
    /// A page, and the frame that it mapped when the word was read.
    Page(Page, Option<Pfn>),
    /// A page of a file, in its cache.
    File(Pfn),
}

impl Spot {
    /// The frame that was read.
    pub(crate) fn frame(&self) -> Option<Pfn> {
        match self {
            Self::Handle(_, frame) | Self::File(frame) => Some(*frame),
            Self::Page(_, frame) => *frame,
        }
    }
}

/// What a finding is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum About {
    /// A handle leads to `frame` and the page to something else.
    Parted { handle: String, frame: Pfn, page: Page },
    /// Two pages lead to different frames, or to the same though they must not.
    Pages(Page, Page),
    /// A word that is not there, or is there though it must not be.
    Word { spot: Spot, word: usize, wanted: Option<u64>, found: Option<u64> },
    /// A register that holds the wrong word.
    Register { name: String, found: Option<u64> },
    /// A page without a write on record.
    Clean(Page),
    /// A frame.
    Frame(Pfn),
    /// A frame whose reverse map led a lane astray.
    Family { frame: Pfn, lane: Option<usize> },
    /// A frame that was stored to while a swap device wrote it that needs it unchanged.
    Unstable(Pfn),
    /// A frame that was freed while it counted as locked in memory.
    Locked(Pfn),
    /// A memory control group whose counts are not those of its pages.
    Group,
}

/// What ended an execution before its lanes had returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cause {
    /// What went wrong.
    pub(crate) kind: FailureKind,
    /// The lane of the scenario that it happened to.
    pub(crate) lane: usize,
}

/// A finding and what it is about, as far as that is known.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) finding: Finding,
    pub(crate) about: Vec<About>,
}

/// What an oracle says is wrong, before the oracle's name is on it.
pub(crate) struct Breach {
    pub(crate) what: String,
    pub(crate) about: Option<About>,
}

impl From<String> for Breach {
    fn from(what: String) -> Self {
        Self { what, about: None }
    }
}

impl From<&str> for Breach {
    fn from(what: &str) -> Self {
        what.to_owned().into()
    }
}
