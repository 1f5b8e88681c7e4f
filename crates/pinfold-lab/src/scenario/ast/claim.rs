//! What is said about executions: claims, outcomes, events that must be reached.

use super::super::span::{Name, Position, Spanned, Text};
use super::super::words::{Activity, Spent};
use super::parts::Place;
use serde::{Deserialize, Serialize};

/// One line of `always`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// Whether the facts must hold or must not hold together.
    pub mode: ClaimMode,
    /// The facts, joined by `and`.
    pub facts: Vec<Fact>,
    /// The whole line.
    #[serde(skip)]
    pub span: Position,
}

/// How a claim uses its facts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClaimMode {
    /// All of them hold at the end of every execution.
    Holds,
    /// `never`: no execution ends with all of them holding.
    Never,
}

/// One statement on the end of an execution.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fact {
    /// What is stated.
    pub atom: Atom,
    /// Whether it is affirmed or denied.
    #[serde(default)]
    pub polarity: Polarity,
    /// The span of the whole fact.
    #[serde(skip)]
    pub span: Position,
}

/// Whether a fact affirms or denies its atom.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Polarity {
    /// `sees`, `stores`, `holds`, `is`
    #[default]
    Affirmed,
    /// `never sees`, `never stores`, `never holds`, `is not`
    Denied,
}

/// What a fact states.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Atom {
    /// `VIEW sees "word"`
    Sees {
        /// Who looks.
        view: View,
        /// What is there.
        word: Text,
    },
    /// `FILE stores "word"`: it is in what is behind the file.
    Stores {
        /// Where, in the file.
        place: Place,
        /// What is there.
        word: Text,
    },
    /// `VIEW is VIEW`: both lead to one frame.
    Is {
        /// One of them.
        left: View,
        /// The other.
        right: View,
    },
    /// `VIEW is dirty`: a write to the page is on record, in the entry that maps it or with the
    /// page itself.
    Dirty {
        /// The page.
        view: View,
    },
    /// `VIEW is large`: the page is part of a folio of several pages.
    Large {
        /// The page.
        view: View,
    },
    /// `VIEW is merged`: the page is one that same-page merging has made of several.
    Merged {
        /// The page.
        view: View,
    },
    /// `VIEW is on node N`: the frame that it leads to is of that node.
    OnNode {
        /// The page.
        view: View,
        /// The node.
        node: Spanned<u32>,
    },
    /// `PROCESS:PAGE is huge`: one entry maps it with all pages that a page table would.
    Huge {
        /// The process.
        process: Name,
        /// The page of one of its areas.
        place: Place,
    },
    /// `PROCESS:PAGE is soft-dirty`: it may have been stored to since the last `clear-refs`.
    SoftDirty {
        /// The process.
        process: Name,
        /// The page of one of its areas.
        place: Place,
    },
    /// `PROCESS:PAGE is resident`: an access by the process would find it in memory.
    Resident {
        /// The process.
        process: Name,
        /// The page of one of its areas.
        place: Place,
    },
    /// `GROUP holds N`: so many pages are charged to the group.
    Holds {
        /// The group.
        group: Name,
        /// How many.
        pages: Spanned<u32>,
    },
    /// `node N holds K`: so many frames of the node hold something other than page tables and the
    /// zero page.
    NodeHolds {
        /// The node.
        node: Spanned<u32>,
        /// How many.
        pages: Spanned<u32>,
    },
    /// `cost K copies`: what the lanes did came to that.
    Cost {
        /// Whether it is exactly that.
        #[serde(default, skip_serializing_if = "Bound::is_exact")]
        bound: Bound,
        /// How many.
        count: Spanned<u32>,
        /// Of what.
        of: Spanned<Spent>,
    },
    /// `REGISTER "word"`: the `read` that filled it found the word.
    Register {
        /// The register.
        register: Name,
        /// What it holds.
        word: Text,
    },
}

/// How a count is bounded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bound {
    /// It is the number.
    #[default]
    Exactly,
    /// `at most`
    AtMost,
    /// `at least`
    AtLeast,
}

impl Bound {
    /// Whether there is no room.
    pub fn is_exact(&self) -> bool {
        *self == Self::Exactly
    }

    /// What stands before the number.
    pub const fn before(self) -> &'static str {
        match self {
            Self::Exactly => "",
            Self::AtMost => "at most ",
            Self::AtLeast => "at least ",
        }
    }

    /// Whether a count is within the bound.
    pub fn admits(self, count: u64, bound: u32) -> bool {
        let bound = u64::from(bound);
        match self {
            Self::Exactly => count == bound,
            Self::AtMost => count <= bound,
            Self::AtLeast => count >= bound,
        }
    }
}

/// A way to look at a page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum View {
    /// Through a handle.
    Handle(Place),
    /// `PROCESS:PAGE`, as an access by the process.
    Process {
        /// The process.
        process: Name,
        /// The page of one of its areas.
        place: Place,
    },
    /// In a file, as read(2) finds it.
    File(Place),
}

/// `outcome NAME when FACT and FACT` or `outcome NAME otherwise`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// The label.
    pub name: Name,
    /// The facts that must all hold; none for `otherwise`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub when: Vec<Fact>,
}

/// `reach EVENT [during ACTIVITY]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reach {
    /// The kind of event.
    pub event: Name,
    /// What another lane must be in the middle of at that moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub during: Option<Spanned<Activity>>,
}
