//! What steps are made of: pages and places, and how references are taken.

use super::super::span::{Name, Position, Spanned, Text};
use super::super::words::Access;
use serde::{Deserialize, Serialize};

/// What `pin` and `get` have in common.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grab {
    /// Which pages.
    pub pages: Pages,
    /// What their holder is going to do.
    pub access: Spanned<Access>,
    /// Whether missing rights of the process are overridden.
    #[serde(default)]
    pub force: Force,
    /// Which paths are tried.
    #[serde(default)]
    pub path: Path,
    /// The name of the result.
    #[serde(rename = "as")]
    pub handle: Name,
}

/// Whether a request overrides what the process itself may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Force {
    /// The rights of the process decide.
    #[default]
    Respect,
    /// `force`: as a debugger that sets a breakpoint does.
    Override,
}

/// What a `map` at an address does about pages that are mapped there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Occupied {
    /// It fails.
    #[default]
    Refuse,
    /// `replace`: they go, in the same step.
    Replace,
}

impl Occupied {
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// `file NAME N [memory]`: a file of the machine, which every process can map, read and write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Its name.
    pub name: Name,
    /// Its length in pages at first; all of them are full of zeros.
    pub pages: Spanned<u32>,
    /// What is behind its pages.
    #[serde(default)]
    pub behind: Behind,
}

/// `group NAME limit N`: a group of memory, which processes can join.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// Its name.
    pub name: Name,
    /// The most pages that may be charged to it.
    pub limit: Spanned<u32>,
}

/// What is behind the pages of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Behind {
    /// A store, to which dirty pages are written back.
    #[default]
    Store,
    /// `memory`: nothing, as for memfd and tmpfs.
    Memory,
}

/// Which pages of a file an area shows: `of FILE [from N]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shown {
    /// The file.
    pub file: Name,
    /// The page of the file that is page 0 of the area, as written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Spanned<u32>>,
}

impl Shown {
    /// The page of the file that is page 0 of the area; 0 unless written.
    pub fn from(&self) -> u32 {
        self.from.map_or(0, |page| page.value)
    }
}

/// `PROCESS:PAGE [expect "word"] [as REGISTER]`: a word of another process that is read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peek {
    /// Whose memory it is.
    pub process: Name,
    /// Where, in the address space of that process.
    pub from: Place,
    /// What must be found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<Text>,
    /// The register that keeps what was found.
    #[serde(default, rename = "as", skip_serializing_if = "Option::is_none")]
    pub register: Option<Name>,
}

/// `PROCESS:PART "word"`: words of another process that are written, one of each page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Poke {
    /// Whose memory it is.
    pub process: Name,
    /// Where, in the address space of that process: word 0 of each page, or this word.
    pub to: Part,
    /// What is stored.
    pub word: Text,
}

/// Which paths to a page a request tries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Path {
    /// The lock-free path, then the one that takes locks and faults pages in.
    #[default]
    FastThenSlow,
    /// `fast-only`: the lock-free path alone; the step fails if this cannot get the pages.
    FastOnly,
    /// `slow-only`: the path that takes locks alone, as `get_user_pages` without `_fast`.
    SlowOnly,
}

impl Path {
    /// The word as it is written in a scenario; none for what needs no word.
    pub const fn as_str(self) -> Option<&'static str> {
        match self {
            Self::FastThenSlow => None,
            Self::FastOnly => Some("fast-only"),
            Self::SlowOnly => Some("slow-only"),
        }
    }
}

/// How long a pin is meant to live.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Duration {
    /// One transfer.
    #[default]
    Short,
    /// `longterm`: until a user decides.
    LongTerm,
}

/// What the end of a pin says about the pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dirty {
    /// Nothing.
    #[default]
    Leave,
    /// `dirty`: they were written to.
    Mark,
}

/// Whose batches go to the LRU lists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Batches {
    /// That of the CPU on which the step runs.
    #[default]
    Here,
    /// `all`: those of all CPUs.
    All,
}

/// Whose pages a request moves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Whose {
    /// Those that no other process maps.
    #[default]
    Own,
    /// `all`: those that others map, too, for whom they move as well.
    All,
}

/// Which memory of a node is taken out, or brought back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Memory {
    /// All of it.
    #[default]
    All,
    /// `movable`: what is set apart for what can move.
    Movable,
    /// `cma`: what contiguous requests take back.
    Cma,
}

/// Whether a page that stays elsewhere is a failure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strictness {
    /// It is none.
    #[default]
    No,
    /// `strict`: it is one.
    Strict,
}

/// Whether a page that a monitor gives is protected from writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UffdWp {
    /// It is not.
    #[default]
    Off,
    /// `wp`: it is.
    On,
}

impl UffdWp {
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Pages of an area or of a file: `A`, `A[1]` or `A[0..2]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pages {
    /// The area or the file.
    pub area: Name,
    /// Which of its pages.
    #[serde(default, skip_serializing_if = "Extent::is_all")]
    pub extent: Extent,
    /// The whole reference.
    #[serde(skip)]
    pub span: Position,
}

/// Which pages of an area.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Extent {
    /// `A`
    #[default]
    All,
    /// `A[page]`
    One(Spanned<u32>),
    /// `A[start..end]`, without `end`
    Range {
        /// First page.
        start: Spanned<u32>,
        /// One past the last page.
        end: Spanned<u32>,
    },
}

impl Extent {
    pub(super) fn is_all(&self) -> bool {
        matches!(self, Self::All)
    }

    /// First page and number of pages, for an area of `length` pages.
    pub fn resolve(&self, length: u32) -> (u32, u32) {
        match self {
            Self::All => (0, length),
            Self::One(page) => (page.value, 1),
            Self::Range { start, end } => (start.value, end.value.saturating_sub(start.value)),
        }
    }
}

/// One word of one page of an area, a handle or a file: `A`, `A[1]`, `A.1`, `A[1].1`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// The area, the handle or the file.
    pub name: Name,
    /// The page as written; may be left out only where there is just one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<Spanned<u32>>,
    /// The word as written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub word: Option<Spanned<u32>>,
    /// The whole reference.
    #[serde(skip)]
    pub span: Position,
}

impl Place {
    /// Index of the page in the area or handle; 0 unless written.
    pub fn page(&self) -> u32 {
        self.page.map_or(0, |page| page.value)
    }

    /// Index of the word in the page; 0 unless written.
    pub fn word(&self) -> u32 {
        self.word.map_or(0, |word| word.value)
    }
}

/// What direct I/O moves at one of its ends: pages as they are written, or one word of a page. A
/// device moves sectors, and a word stands for one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// `A`, `A[1]` or `A[0..2]`
    Pages(Pages),
    /// `A.1` or `A[1].1`
    Word(Place),
}

impl Part {
    /// The area or the file.
    pub fn name(&self) -> &Name {
        match self {
            Self::Pages(pages) => &pages.area,
            Self::Word(place) => &place.name,
        }
    }

    /// The first page, and how many, of an area or a file of `length` pages.
    pub fn resolve(&self, length: u32) -> (u32, u32) {
        match self {
            Self::Pages(pages) => pages.extent.resolve(length),
            Self::Word(place) => (place.page(), 1),
        }
    }

    /// The word of its page, if it is one.
    pub fn word(&self) -> Option<u32> {
        match self {
            Self::Pages(_) => None,
            Self::Word(place) => Some(place.word()),
        }
    }

    /// The whole reference.
    pub fn span(&self) -> Position {
        match self {
            Self::Pages(pages) => pages.span,
            Self::Word(place) => place.span,
        }
    }
}
