//! A text that was given, kept without a heap.

use core::fmt;

/// The start of a text that was given: as much of it as an error carries along. Printed with an
/// ellipsis where the text went on.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Given {
    bytes: [u8; Self::KEPT],
    length: u8,
    cut: bool,
}

impl Given {
    /// How many bytes of the text are kept: twice the longest name. Errors stay small.
    pub const KEPT: usize = 48;

    /// What was kept of the text.
    pub fn as_str(&self) -> &str {
        // Cut between letters, so it is always UTF-8.
        core::str::from_utf8(&self.bytes[..usize::from(self.length)]).unwrap_or_default()
    }

    /// Whether the text went on.
    pub const fn is_cut(&self) -> bool {
        self.cut
    }

    const fn ellipsis(&self) -> &'static str {
        if self.cut { "…" } else { "" }
    }
}

impl From<&str> for Given {
    fn from(text: &str) -> Self {
        // Found before it gets below 0, which is a boundary.
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
