//! What can be wrong with a scenario, in its text (PF01xx), in an execution (PF02xx) or as an
//! experiment (PF03xx). Every error has a code, a place and, where one is known, a
//! remedy; `docs/scenario-language.md` explains the codes.

use super::span::Span;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Defines the codes once: variant, number, and the line that the manual prints for it.
macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $variant:ident = $text:literal,)+) => {
        /// The kind of a [`ScenarioError`]; stable across releases.
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
        )]
        pub enum Code {
            $($(#[doc = $doc])+ #[serde(rename = $text)] $variant,)+
        }

        impl Code {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The code as printed.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }
    };
}

codes! {
    /// A character that the language does not use.
    StrayCharacter = "PF0101",
    /// A quoted text that does not end, or an escape other than `\"` and `\\`.
    BadText = "PF0102",
    /// A value without quotes.
    UnquotedValue = "PF0103",
    /// A number that is malformed or out of its bounds.
    BadNumber = "PF0104",
    /// A word that starts no statement of its section.
    UnknownStatement = "PF0105",
    /// A word that is no step.
    UnknownStep = "PF0106",
    /// One word stands where another was expected.
    Unexpected = "PF0107",
    /// The line ends too early.
    Incomplete = "PF0108",
    /// The line goes on after its end.
    Trailing = "PF0109",
    /// A section or statement is absent that every scenario needs, or that another needs.
    Missing = "PF0110",
    /// A section or statement stands twice.
    Repeated = "PF0111",
    /// A step in a place where it cannot run.
    Misplaced = "PF0112",
    /// A word of the language as a name.
    ReservedName = "PF0113",
    /// No area of this name in this process.
    UnknownArea = "PF0120",
    /// No process of this name.
    UnknownProcess = "PF0121",
    /// No handle of this name.
    UnknownHandle = "PF0122",
    /// No CPU of this name.
    UnknownCpu = "PF0123",
    /// No register of this name.
    UnknownRegister = "PF0124",
    /// No node of this number.
    UnknownNode = "PF0125",
    /// No event of this name.
    UnknownEvent = "PF0126",
    /// A name that is taken.
    DuplicateName = "PF0127",
    /// No signal of this name.
    UnknownSignal = "PF0128",
    /// No lane of this name.
    UnknownLane = "PF0129",
    /// An area or range of no pages.
    EmptyRange = "PF0130",
    /// A page beyond the end of the area or handle.
    OutsideArea = "PF0131",
    /// A word beyond the end of the page.
    OutsidePage = "PF0132",
    /// One page is needed and several are meant.
    AmbiguousPage = "PF0133",
    /// An address inside a page.
    Unaligned = "PF0134",
    /// No file of this name.
    UnknownFile = "PF0135",
    /// A file has nothing behind it that could store anything.
    NothingBehind = "PF0136",
    /// No group of this name.
    UnknownGroup = "PF0137",
    /// As much of a file is needed as of memory, and another size is meant.
    UnequalParts = "PF0138",
    /// A handle is released a second time.
    ReleasedTwice = "PF0140",
    /// `put` of a pin or `unpin` of a get.
    WrongRelease = "PF0141",
    /// A handle is used after its release.
    UsedAfterRelease = "PF0142",
    /// An outcome that can never be chosen, since one before it always is.
    DeadOutcome = "PF0143",
    /// A wait that nothing ends.
    EndlessWait = "PF0144",
    /// JSON that is no scenario of this version.
    BadJson = "PF0150",
    /// A JSON scenario that the text form cannot say.
    Inexpressible = "PF0151",
    /// In an execution: a step failed that was to succeed.
    StepFailed = "PF0201",
    /// In an execution: a step did not fail as it was to.
    FailureMissed = "PF0202",
    /// In an execution: a read found another word than it expects.
    WrongWord = "PF0203",
    /// No execution contained an event that `reach` names, so the search proves nothing.
    Vacuous = "PF0301",
    /// A step needs what the rules' release does not have, so the question cannot be asked there.
    Absent = "PF0302",
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One error in a scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScenarioError {
    /// Its kind.
    pub code: Code,
    /// What is wrong, in one line.
    pub message: String,
    /// The word that is wrong.
    pub span: Span,
    /// What to say at the word.
    pub label: String,
    /// Another place that is related to the error, and what to say there.
    pub related: Option<(Span, String)>,
    /// What to do.
    pub help: Option<String>,
}

impl ScenarioError {
    /// An error without a related place or help.
    pub fn new(
        code: Code,
        span: Span,
        message: impl Into<String>,
        label: impl Into<String>,
    ) -> Self {
        Self { code, message: message.into(), span, label: label.into(), related: None, help: None }
    }

    /// The line and the column of its place in the text that was parsed, in characters, counted
    /// from 1.
    pub fn place(&self, source: &str) -> (usize, usize) {
        let before = &source[..source.floor_char_boundary(self.span.start)];
        let line = before.bytes().filter(|&byte| byte == b'\n').count() + 1;
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        (line, before[start..].chars().count() + 1)
    }

    /// Adds what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds what to do, if that is known.
    #[must_use]
    pub fn maybe_help(mut self, help: Option<String>) -> Self {
        self.help = help;
        self
    }

    /// Adds another place.
    #[must_use]
    pub fn related(mut self, span: Span, label: impl Into<String>) -> Self {
        self.related = Some((span, label.into()));
        self
    }
}

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)?;
        match &self.help {
            Some(help) => write!(f, " ({help})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ScenarioError {}

/// The result of parsing one line; the error is boxed, since errors are large and rare.
pub(super) type Parsed<T> = Result<T, Box<ScenarioError>>;
