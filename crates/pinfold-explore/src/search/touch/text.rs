//! Touches as text, for jobs and positions: a letter for what is done, the number of the object, and for
//! locks a letter for the mode.

use super::Touch;
use crate::{object::Object, order::Mode};
use std::{fmt, str::FromStr};

impl fmt::Display for Touch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mode = |mode| if mode == Mode::Exclusive { "x" } else { "s" };
        match *self {
            Self::Local => f.write_str("l"),
            Self::Read(cell) => write!(f, "r{cell}"),
            Self::Write(cell) => write!(f, "w{cell}"),
            Self::Wait(cell) => write!(f, "a{cell}"),
            Self::Lock(lock, how) => write!(f, "k{lock}{}", mode(how)),
            Self::Try(lock, how) => write!(f, "t{lock}{}", mode(how)),
            Self::Took(lock, how) => write!(f, "g{lock}{}", mode(how)),
            Self::Failed(lock, how) => write!(f, "f{lock}{}", mode(how)),
            Self::Unlock(lock, how) => write!(f, "u{lock}{}", mode(how)),
            Self::SeeUnlocked(lock) => write!(f, "s{lock}"),
            Self::Join(number) => write!(f, "j{number}"),
        }
    }
}

/// Text that is no touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoTouch;

impl FromStr for Touch {
    type Err = NoTouch;

    fn from_str(text: &str) -> Result<Self, NoTouch> {
        let (what, rest) = text.split_at_checked(1).ok_or(NoTouch)?;
        let number = |text: &str| text.parse().map_err(|_| NoTouch);
        let locked = |touch: fn(Object, Mode) -> Self| {
            let (lock, mode) = rest.split_at_checked(rest.len().wrapping_sub(1)).ok_or(NoTouch)?;
            let mode = match mode {
                "x" => Mode::Exclusive,
                "s" => Mode::Shared,
                _ => return Err(NoTouch),
            };
            Ok(touch(number(lock)?, mode))
        };
        match what {
            "l" if rest.is_empty() => Ok(Self::Local),
            "r" => number(rest).map(Self::Read),
            "w" => number(rest).map(Self::Write),
            "a" => number(rest).map(Self::Wait),
            "k" => locked(Self::Lock),
            "t" => locked(Self::Try),
            "g" => locked(Self::Took),
            "f" => locked(Self::Failed),
            "u" => locked(Self::Unlock),
            "s" => number(rest).map(Self::SeeUnlocked),
            "j" => rest.parse().map(Self::Join).map_err(|_| NoTouch),
            _ => Err(NoTouch),
        }
    }
}
