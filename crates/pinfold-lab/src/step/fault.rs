//! How a step failed, in the words of the language.

use pinfold::{
    CollapseError, FaultError, FileError, LockError, PinError, SpaceError, SplitError, StoreError,
    SyncError, UffdError, UffdReason, VirtAddr,
};

use crate::scenario::Failure;

/// How a step failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// In the words of the language, if it has one for this.
    pub(crate) failure: Option<Failure>,
    /// In full.
    pub(crate) message: String,
    /// The access for which a monitor is asked, and why.
    pub(super) told: Option<(VirtAddr, UffdReason)>,
}

impl Fault {
    pub(super) fn of(failure: Failure, error: impl ToString) -> Self {
        Self { failure: Some(failure), message: error.to_string(), told: None }
    }

    pub(super) fn other(message: impl Into<String>) -> Self {
        Self { failure: None, message: message.into(), told: None }
    }
}

impl From<SpaceError> for Fault {
    fn from(error: SpaceError) -> Self {
        let failure = match error {
            SpaceError::NotMapped(_) => Failure::NotMapped,
            SpaceError::Occupied(_) => Failure::Occupied,
            SpaceError::OutOfFrames => Failure::OutOfFrames,
            SpaceError::OverLimit { .. } => Failure::OverLimit,
            SpaceError::NoHugePage => Failure::NoHugePage,
            SpaceError::TooManyAreas { .. } => Failure::TooManyAreas,
            SpaceError::OtherUffd(_) => Failure::Busy,
            SpaceError::NoGap { .. } | SpaceError::NoMemory => {
                return Self::other(error.to_string());
            }
            _ => Failure::Invalid,
        };
        Self::of(failure, error)
    }
}

impl From<FaultError> for Fault {
    fn from(error: FaultError) -> Self {
        let failure = match error {
            FaultError::NotMapped(_) | FaultError::Denied(_) => Failure::NoAccess,
            FaultError::OutOfFrames => Failure::OutOfFrames,
            FaultError::OverLimit { .. } => Failure::OverLimit,
            FaultError::NoHugePage => Failure::NoHugePage,
            FaultError::PastEnd(_) => Failure::PastEnd,
            FaultError::Store(_, StoreError::Io) => Failure::IoError,
            FaultError::Userfault { at, reason, .. } => {
                return Self { told: Some((at, reason)), ..Self::other(error.to_string()) };
            }
            _ => return Self::other(error.to_string()),
        };
        Self::of(failure, error)
    }
}

impl From<UffdError> for Fault {
    fn from(error: UffdError) -> Self {
        let failure = match error {
            UffdError::NotRegistered(_) => Failure::Invalid,
            UffdError::Exists(_) => Failure::Occupied,
            UffdError::Absent(_) => Failure::NoAccess,
            UffdError::Fault(error) => return error.into(),
            _ => return Self::other(error.to_string()),
        };
        Self::of(failure, error)
    }
}

impl From<FileError> for Fault {
    fn from(error: FileError) -> Self {
        let failure = match error {
            FileError::PastEnd { .. } => Failure::PastEnd,
            FileError::OutOfFrames => Failure::OutOfFrames,
            _ => return Self::other(error.to_string()),
        };
        Self::of(failure, error)
    }
}

impl From<SplitError> for Fault {
    fn from(error: SplitError) -> Self {
        let failure = match error {
            SplitError::NotLarge => Failure::NoAccess,
            SplitError::Locked | SplitError::Pinned(_) | SplitError::Busy { .. } => Failure::Busy,
            _ => return Self::other(error.to_string()),
        };
        Self::of(failure, error)
    }
}

impl From<CollapseError> for Fault {
    fn from(error: CollapseError) -> Self {
        let failure = match error {
            CollapseError::NotMapped(_) => Failure::NoAccess,
            CollapseError::Unsuitable(_) => Failure::Invalid,
            CollapseError::Locked { .. }
            | CollapseError::Pinned { .. }
            | CollapseError::Busy { .. }
            | CollapseError::SwappedOut(_)
            | CollapseError::Swapped { .. } => Failure::Busy,
            CollapseError::NotRead(error) => return error.into(),
            CollapseError::OutOfFrames => Failure::OutOfFrames,
            CollapseError::OverLimit { .. } => Failure::OverLimit,
            _ => return Self::other(error.to_string()),
        };
        Self::of(failure, error)
    }
}

impl From<SyncError> for Fault {
    fn from(error: SyncError) -> Self {
        match error {
            SyncError::Space(error) => error.into(),
            _ => Self::other(error.to_string()),
        }
    }
}

impl From<LockError> for Fault {
    fn from(error: LockError) -> Self {
        match error {
            LockError::Refused(error) => error.into(),
            LockError::Unpopulated(stopped) => stopped.error.into(),
        }
    }
}

impl From<PinError> for Fault {
    fn from(error: PinError) -> Self {
        match error {
            PinError::Fault(error) => error.into(),
            PinError::Overflow(_) => Self::of(Failure::TooManyReferences, error),
            PinError::Unmoved(_) => Self::of(Failure::Busy, error),
            PinError::WouldBlock(_) => Self::of(Failure::Busy, error),
            PinError::Range(_) | PinError::TooManyLocked { .. } | PinError::TooFewSlots { .. } => {
                Self::of(Failure::Invalid, error)
            }
            _ => Self::other(error.to_string()),
        }
    }
}
