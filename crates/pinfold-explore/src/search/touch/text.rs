//! Touches as text, for jobs and positions: a letter for what is done, the number of the object,
//! and for locks a letter for the mode.

use super::{CellTouch, LockTouch, Touch};
use crate::order::Mode;
use std::{fmt, str::FromStr};

impl fmt::Display for Touch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mode = |mode| if mode == Mode::Exclusive { "x" } else { "s" };
        match *self {
            Self::Local => f.write_str("l"),
            Self::Cell(cell, CellTouch::Read) => write!(f, "r{cell}"),
            Self::Cell(cell, CellTouch::Write) => write!(f, "w{cell}"),
            Self::Cell(cell, CellTouch::Update) => write!(f, "m{cell}"),
            Self::Cell(cell, CellTouch::Wait) => write!(f, "a{cell}"),
            Self::Lock(lock, LockTouch::Take(how)) => write!(f, "k{lock}{}", mode(how)),
            Self::Lock(lock, LockTouch::Try(how)) => write!(f, "t{lock}{}", mode(how)),
            Self::Lock(lock, LockTouch::Took(how)) => write!(f, "g{lock}{}", mode(how)),
            Self::Lock(lock, LockTouch::Failed(how)) => write!(f, "f{lock}{}", mode(how)),
            Self::Lock(lock, LockTouch::GiveBack(how)) => write!(f, "u{lock}{}", mode(how)),
            Self::Lock(lock, LockTouch::SeeUnlocked) => write!(f, "s{lock}"),
            Self::Join(number) => write!(f, "j{number}"),
        }
    }
}

/// The error for text that is not a touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoTouch;

impl FromStr for Touch {
    type Err = NoTouch;

    fn from_str(text: &str) -> Result<Self, NoTouch> {
        let (what, rest) = text.split_at_checked(1).ok_or(NoTouch)?;
        let number = |text: &str| text.parse().map_err(|_| NoTouch);
        let cell = |touch| number(rest).map(|cell| Self::Cell(cell, touch));
        let locked = |touch: fn(Mode) -> LockTouch| {
            let (lock, mode) = rest.split_at_checked(rest.len().wrapping_sub(1)).ok_or(NoTouch)?;
            let mode = match mode {
                "x" => Mode::Exclusive,
                "s" => Mode::Shared,
                _ => return Err(NoTouch),
            };
            Ok(Self::Lock(number(lock)?, touch(mode)))
        };
        match what {
            "l" if rest.is_empty() => Ok(Self::Local),
            "r" => cell(CellTouch::Read),
            "w" => cell(CellTouch::Write),
            "m" => cell(CellTouch::Update),
            "a" => cell(CellTouch::Wait),
            "k" => locked(LockTouch::Take),
            "t" => locked(LockTouch::Try),
            "g" => locked(LockTouch::Took),
            "f" => locked(LockTouch::Failed),
            "u" => locked(LockTouch::GiveBack),
            "s" => number(rest).map(|lock| Self::Lock(lock, LockTouch::SeeUnlocked)),
            "j" => rest.parse().map(Self::Join).map_err(|_| NoTouch),
            _ => Err(NoTouch),
        }
    }
}
