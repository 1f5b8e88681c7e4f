//! The orderings of accesses and the modes of locks.

use std::fmt;

/// The ordering of an access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Order {
    /// No ordering beyond coherence.
    Relaxed,
    /// What follows stays after this read.
    Acquire,
    /// What precedes stays before this write.
    Release,
    /// Both.
    AcqRel,
    /// A sequentially consistent access in the sense of C11.
    SeqCst,
    /// The kernel's "fully ordered": a sequentially consistent fence before and one after, as one
    /// step.
    Full,
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Relaxed => "relaxed",
            Self::Acquire => "acquire",
            Self::Release => "release",
            Self::AcqRel => "acquire-release",
            Self::SeqCst => "seq-cst",
            Self::Full => "full",
        })
    }
}

/// How a lock is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// No other lane holds it.
    Exclusive,
    /// Other lanes may also hold it shared.
    Shared,
}

impl Mode {
    /// Whether a holder in one mode excludes a lane that wants the lock in the other.
    pub(crate) fn excludes(self, wanted: Self) -> bool {
        self == Self::Exclusive || wanted == Self::Exclusive
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Exclusive => "exclusive",
            Self::Shared => "shared",
        })
    }
}
