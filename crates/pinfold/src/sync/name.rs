//! What a cell is, for an explorer's trace. The names of tables' entries and frames' words are read
//! back by a laboratory, so writing and reading stand together.
//!
//! - INV-NAME-1: [`CellName::parse`] reads what an entry or a frame's word displays.

use core::fmt;

use crate::addr::Pfn;

/// A word of a frame's metadata.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FrameWord {
    /// References, mappings and the exclusive mark; the page's lock is a bit of `flags`.
    Counts,
    /// Flags, with the page's lock.
    Flags,
    /// The pins of a large folio; the lock of a page table.
    Pins,
    /// What maps the page.
    Mapping,
    /// Its page number there.
    Index,
}

impl FrameWord {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Counts, Self::Flags, Self::Pins, Self::Mapping, Self::Index];

    /// As a trace calls it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counts => "counts",
            Self::Flags => "flags",
            Self::Pins => "pins",
            Self::Mapping => "mapping",
            Self::Index => "index",
        }
    }
}

/// What a cell is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CellName {
    /// An entry of a page table: `table 5 entry 1`.
    Entry {
        /// The table's frame.
        table: Pfn,
        /// Which entry.
        entry: usize,
    },
    /// A word of a frame's metadata: `frame 5 counts`.
    Frame {
        /// The frame.
        frame: Pfn,
        /// Which word.
        word: FrameWord,
    },
    /// A word of anything else: `space 1 lock`.
    Object {
        /// The kind of object.
        object: &'static str,
        /// Which one.
        index: u64,
        /// The cell in it; empty if it has only one.
        cell: &'static str,
    },
}

impl CellName {
    /// Reads the name of an entry or of a frame's word; nothing else is one.
    pub fn parse(name: &str) -> Option<Self> {
        let mut words = name.split(' ');
        let object = words.next()?;
        let frame = Pfn(words.next()?.parse().ok()?);
        let cell = words.next()?;
        let name = match object {
            "table" if cell == "entry" => {
                Self::Entry { table: frame, entry: words.next()?.parse().ok()? }
            }
            "frame" => {
                let word = FrameWord::ALL.into_iter().find(|word| word.as_str() == cell)?;
                Self::Frame { frame, word }
            }
            _ => return None,
        };
        words.next().is_none().then_some(name)
    }
}

impl fmt::Display for CellName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Entry { table, entry } => write!(f, "table {} entry {entry}", table.0),
            Self::Frame { frame, word } => write!(f, "frame {} {}", frame.0, word.as_str()),
            Self::Object { object, index, cell: "" } => write!(f, "{object} {index}"),
            Self::Object { object, index, cell } => write!(f, "{object} {index} {cell}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::{CellName, FrameWord};
    use crate::addr::Pfn;

    #[test]
    fn what_is_written_is_read_back() {
        let frame = Pfn(12);
        let entries = [0, 511].map(|entry| CellName::Entry { table: frame, entry });
        let words = FrameWord::ALL.map(|word| CellName::Frame { frame, word });
        for name in entries.into_iter().chain(words) {
            assert_eq!(CellName::parse(&name.to_string()), Some(name));
        }
    }

    #[test]
    fn other_names_are_not_taken_for_these() {
        let lock = CellName::Object { object: "space", index: 1, cell: "lock" };
        assert_eq!(lock.to_string(), "space 1 lock");
        for text in
            ["space 1 lock", "frame 1 colour", "table 1 entry", "frame 1 counts 2", "f5", ""]
        {
            assert_eq!(CellName::parse(text), None, "{text}");
        }
    }
}
