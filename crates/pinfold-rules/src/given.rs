//! Text from the caller, kept without a heap.

use core::fmt;

/// The start of a text from the caller: as much of it as an error carries. Printed with an ellipsis
/// if the text was longer.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Given {
    bytes: [u8; Self::KEPT],
    length: u8,
    cut: bool,
}

impl Given {
    /// How many bytes of the text are kept: twice the longest name. Errors stay small.
    pub const KEPT: usize = 48;

    /// The part of the text that was kept.
    pub fn as_str(&self) -> &str {
        // Cut at a character boundary, so it is always valid UTF-8.
        core::str::from_utf8(&self.bytes[..usize::from(self.length)]).unwrap_or_default()
    }

    /// Whether the text was longer.
    pub const fn is_cut(&self) -> bool {
        self.cut
    }

    const fn ellipsis(&self) -> &'static str {
        if self.cut { "…" } else { "" }
    }
}

impl From<&str> for Given {
    fn from(text: &str) -> Self {
        // Ends at 0 at the latest, which is a boundary.
        let mut length = text.len().min(Self::KEPT);
        while !text.is_char_boundary(length) {
            length -= 1;
        }
        let mut bytes = [0; Self::KEPT];
        bytes[..length].copy_from_slice(&text.as_bytes()[..length]);
        Self { bytes, length: length as u8, cut: length < text.len() }
    }
}

impl fmt::Display for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())?;
        f.write_str(self.ellipsis())
    }
}

impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)?;
        f.write_str(self.ellipsis())
    }
}
