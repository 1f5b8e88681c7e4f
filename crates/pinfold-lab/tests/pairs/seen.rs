//! How an operation of a lane ended.

use pinfold::{Entry, FaultError, LockError, PinError, SpaceError, Unpopulated};

/// How an operation ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Seen {
    Done,
    Value(u64),
    Entry(Entry),
    NotMapped,
    Denied,
    WouldBlock,
    /// The page lies past the end of its file.
    PastEnd,
    /// The memory is locked, so that its pages are not dropped.
    Locked,
    Wrong(String),
}

impl From<Unpopulated> for Seen {
    fn from(stopped: Unpopulated) -> Self {
        stopped.error.into()
    }
}

impl From<LockError> for Seen {
    fn from(error: LockError) -> Self {
        match error {
            LockError::Refused(error) => error.into(),
            LockError::Unpopulated(stopped) => stopped.into(),
        }
    }
}

impl From<FaultError> for Seen {
    fn from(error: FaultError) -> Self {
        match error {
            FaultError::NotMapped(_) => Self::NotMapped,
            FaultError::Denied(_) => Self::Denied,
            FaultError::PastEnd(_) => Self::PastEnd,
            other => Self::Wrong(other.to_string()),
        }
    }
}

impl From<PinError> for Seen {
    fn from(error: PinError) -> Self {
        match error {
            PinError::Fault(error) => error.into(),
            PinError::WouldBlock(_) => Self::WouldBlock,
            other => Self::Wrong(other.to_string()),
        }
    }
}

impl From<SpaceError> for Seen {
    fn from(error: SpaceError) -> Self {
        match error {
            SpaceError::NotMapped(_) => Self::NotMapped,
            SpaceError::Locked(_) => Self::Locked,
            other => Self::Wrong(other.to_string()),
        }
    }
}

/// What a result is to the judge; `keep` looks after what was obtained.
pub(crate) fn seen<T, E: Into<Seen>>(result: Result<T, E>, keep: impl FnOnce(T) -> Seen) -> Seen {
    result.map_or_else(Into::into, keep)
}
