//! What an area allows, and how that is written: `rw-`.

use core::fmt::{self, Write};
use core::str::FromStr;

use crate::pte::Reach;

bitflags::bitflags! {
    /// What an area allows.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct Prot: u8 {
        /// Loads.
        const READ = 1;
        /// Stores.
        const WRITE = 2;
        /// Instruction fetches.
        const EXEC = 4;
    }
}

impl Prot {
    /// Loads and stores.
    pub const READ_WRITE: Self = Self::READ.union(Self::WRITE);

    const LETTERS: [(Self, char); 3] = [(Self::READ, 'r'), (Self::WRITE, 'w'), (Self::EXEC, 'x')];

    /// Whether the area can be reached at all.
    pub(crate) fn reach(self) -> Reach {
        if self.is_empty() { Reach::None } else { Reach::Data { exec: self.contains(Self::EXEC) } }
    }
}

/// As in /proc/PID/maps: `rw-`, `r-x`, `---`.
impl fmt::Display for Prot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (flag, letter) in Self::LETTERS {
            f.write_char(if self.contains(flag) { letter } else { '-' })?;
        }
        Ok(())
    }
}

/// Why a text is not a [`Prot`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ParseProtError;

impl fmt::Display for ParseProtError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a protection: write r, w and x in this order, each or a dash: rw-")
    }
}

impl core::error::Error for ParseProtError {}

impl FromStr for Prot {
    type Err = ParseProtError;

    /// Reads what is displayed.
    fn from_str(text: &str) -> Result<Self, ParseProtError> {
        let (mut prot, mut given) = (Self::empty(), text.chars());
        for (flag, letter) in Self::LETTERS {
            match given.next() {
                Some(is) if is == letter => prot |= flag,
                Some('-') => {}
                _ => return Err(ParseProtError),
            }
        }
        if given.next().is_some() { Err(ParseProtError) } else { Ok(prot) }
    }
}
