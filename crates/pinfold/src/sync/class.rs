//! What a caller looks at of a shared word.
//!
//! An operation whose name ends in `_as` gives its caller no more than a class of the value that it
//! found: "was it the last", "one, or more". The value itself cannot get past it. Natively that is
//! the plain operation followed by a comparison. An exploration that remembers states may take two
//! states for the same in which callers saw different values of one class; so a class must say all
//! that the caller's further steps depend on, under the rules in force.
//!
//! What a class carries besides its number (a reason with figures, for a trace) must have no
//! influence on any step.

use crate::rules::Exclusive;
use crate::rules::cow::{CowStep, CowVerdict, How};
use crate::rules::fork::ForkVerdict;

/// What a caller looks at.
pub(crate) trait Class {
    /// Two values of one class have the same number, those of different classes have not.
    fn number(&self) -> u64;
}

impl Class for bool {
    fn number(&self) -> u64 {
        u64::from(*self)
    }
}

/// Whether there is something; what it is does not matter.
impl<T> Class for Option<T> {
    fn number(&self) -> u64 {
        u64::from(self.is_some())
    }
}

impl<A: Class, B: Class> Class for (A, B) {
    fn number(&self) -> u64 {
        (self.0.number() << 8) | self.1.number()
    }
}

impl Class for Exclusive {
    fn number(&self) -> u64 {
        match self {
            Self::Unmarked => 0,
            Self::Marked => 1,
        }
    }
}

impl Class for CowStep {
    fn number(&self) -> u64 {
        match self {
            Self::Reuse(_) => 0,
            Self::Copy(_) => 1,
            Self::NeedPageLock(How::Sleep) => 2,
            Self::NeedPageLock(How::TryLock) => 3,
            Self::DrainLru => 4,
        }
    }
}

impl Class for CowVerdict {
    fn number(&self) -> u64 {
        match self {
            Self::Reuse(_) => 0,
            Self::Copy(_) => 1,
        }
    }
}

impl Class for ForkVerdict {
    fn number(&self) -> u64 {
        match self {
            Self::Share(_) => 0,
            Self::CopyForChild(_) => 1,
        }
    }
}

/// Makes an access of which the caller learns no more than a class. `look` must depend on nothing
/// but the value and what the caller already knows.
#[inline(always)]
pub(super) fn seen_as<T: Copy, C: Class>(access: impl FnOnce() -> T, look: impl Fn(T) -> C) -> C {
    let look = |value: T| {
        let class = look(value);
        debug_assert_eq!(
            class.number(),
            look(value).number(),
            "a class depends on the value alone"
        );
        class
    };
    #[cfg(feature = "explore")]
    return pinfold_explore::hook::observed(access, look, Class::number);
    #[cfg(not(feature = "explore"))]
    look(access())
}

/// Makes an access of which the caller learns nothing.
#[inline(always)]
pub(super) fn unseen<T>(access: impl FnOnce() -> T) {
    #[cfg(feature = "explore")]
    pinfold_explore::hook::observed(access, |_| (), |()| 0);
    #[cfg(not(feature = "explore"))]
    let _ = access();
}

/// Says that the caller saw `value` in state that an exploration does not see.
#[inline(always)]
pub(crate) fn saw(value: u64) {
    #[cfg(feature = "explore")]
    pinfold_explore::hook::saw(value);
    #[cfg(not(feature = "explore"))]
    let _ = value;
}
