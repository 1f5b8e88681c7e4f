//! What the simulated machine is made of, as values.

use std::fmt;

use pinfold::{NodeId, Pfn, Pte, Small};

/// The page-table format of the simulated machine.
pub(crate) type Tables = Small;

/// Which entry maps a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Level {
    /// One of a last-level table, of its own.
    Last,
    /// A huge one above, in place of such a table, with all pages that this would map.
    Above,
}

impl Level {
    /// The entry with these bits, of the first page that it maps; none if it names a table.
    pub(crate) fn read(self, bits: u64) -> Option<Pte<Tables>> {
        let pte = Pte::from_bits(bits);
        match self {
            Self::Last => Some(pte),
            Self::Above => (!pte.is_table()).then(|| Pte::from_huge(bits)),
        }
    }

    /// The bits of what [`Level::read`] gives.
    pub(crate) fn bits(self, pte: Pte<Tables>) -> u64 {
        match self {
            Self::Last => pte.bits(),
            Self::Above => pte.to_huge(),
        }
    }
}

/// The name in a trace of the read with which a step begins.
pub(crate) const STEP_STARTS: &str = "a step begins";

/// How a machine is built.
#[derive(Clone, Debug)]
pub(crate) struct Hardware {
    /// The node of each CPU.
    pub(crate) cpus: Vec<NodeId>,
    /// The number of frames of all nodes together.
    pub(crate) frames: usize,
    /// Words of data in a page.
    pub(crate) words: usize,
    /// Whether devices follow address spaces.
    pub(crate) followers: bool,
}

/// A word of data, as a trace names it: `f5 word 0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DataWord {
    pub(crate) frame: Pfn,
    pub(crate) word: usize,
}

impl DataWord {
    /// Reads what `Display` writes.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let (frame, word) = name.strip_prefix('f')?.split_once(" word ")?;
        Some(Self { frame: Pfn(frame.parse().ok()?), word: word.parse().ok()? })
    }
}

impl fmt::Display for DataWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} word {}", self.frame, self.word)
    }
}

#[cfg(test)]
mod tests {
    use super::DataWord;
    use pinfold::Pfn;

    #[test]
    fn a_data_word_is_read_back_from_its_name() {
        let word = DataWord { frame: Pfn(5), word: 1 };
        assert_eq!(word.to_string(), "f5 word 1");
        assert_eq!(DataWord::parse("f5 word 1"), Some(word));
        assert_eq!(DataWord::parse("frame 5 counts"), None);
    }
}
