//! What keeps the command from answering. Each failure says where it occurred and suggests a
//! remedy.

use crate::calls::Call;
use crate::show;
use pinfold::rules::{Named, RuleError};
use pinfold_lab::campaign::CampaignError;
use pinfold_lab::import::ImportError;
use pinfold_lab::pressure::PressureError;
use pinfold_lab::saved::ReplayFileError;
use pinfold_lab::soak::SoakError;
use serde::Serialize;
use std::fmt;
use std::io;

/// The exit status of every failure.
pub(crate) const EXIT: u8 = 2;

/// An error in a scenario, at its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct ToldError {
    /// Its code, such as `PF0106`.
    pub(crate) code: &'static str,
    /// What is wrong.
    pub(crate) message: String,
    /// The file, as shown to people.
    pub(crate) file: String,
    /// The line, counted from 1.
    pub(crate) line: usize,
    /// The column, counted from 1, in characters.
    pub(crate) column: usize,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) help: Option<String>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// There is no file and no known scenario of that name.
    NoScenario {
        /// The name as given.
        asked: String,
        /// The most similar known name.
        nearest: Option<String>,
    },
    /// Only files can be rewritten, and this scenario is part of the program.
    BuiltIn(String),
    /// A file that cannot be read.
    Unreadable {
        /// The file.
        path: String,
        /// What the system reports.
        why: io::Error,
    },
    /// A file that cannot be written.
    Unwritable {
        /// The file.
        path: String,
        /// What the system reports.
        why: io::Error,
    },
    /// A file that is larger than any of its kind.
    TooLarge {
        /// The file.
        path: String,
        /// The most bytes that such a file may have.
        most: u64,
    },
    /// A swap file that cannot be made.
    SwapFile {
        /// The file.
        path: String,
        /// What the system reports.
        why: io::Error,
    },
    /// A machine that cannot be put under pressure as asked for.
    Pressure(PressureError),
    /// A soak that cannot be had as asked for.
    Soak(SoakError),
    /// A recording of a kernel that no rules are of.
    Unmodelled {
        /// The kernel's name.
        kernel: String,
        /// Why there are none.
        why: Box<Failure>,
    },
    /// A scenario with errors.
    Scenario {
        /// The errors as people read them.
        drawn: String,
        /// The same errors one by one.
        told: Vec<ToldError>,
        /// How many there are beyond these.
        more: usize,
    },
    /// A command line that cannot be read; what the parser of the command line says.
    Usage(String),
    /// A depth for which an execution has too few steps.
    Depth {
        /// The depth.
        depth: u32,
        /// The most steps of an execution.
        steps: u32,
    },
    /// A rule set that is not understood.
    Rules {
        /// The rule set as given.
        text: String,
        /// What is wrong with it.
        why: RuleError,
    },
    /// There is no saved execution of that name.
    NoReplay {
        /// The name as given; without one, the latest is meant.
        asked: Option<String>,
        /// The directory that was searched.
        directory: String,
    },
    /// A saved execution that cannot be run here.
    Replay {
        /// The file.
        path: String,
        /// What is wrong with it.
        why: ReplayFileError,
    },
    /// A failing execution that could not be saved.
    Unsaved {
        /// The directory.
        path: String,
        /// What the system reports.
        why: io::Error,
    },
    /// A text that is not a schedule; what the explorer says about it.
    Schedule(String),
    /// `pinfold calls` with a name that is not in the table.
    NoCall(String),
    /// A recording of which no scenario can be made.
    Import(ImportError),
    /// `pinfold rules` with a switch where a rule set is needed.
    SwitchForSet(String),
    /// A table of expected cells that is not understood.
    Expectation {
        /// The file.
        path: String,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong there, and what to write instead.
        why: String,
    },
    /// A table of expected cells that says nothing about what was asked.
    NothingExpected(String),
    /// A file for the state of one search, where several searches are requested.
    OneSearch(String),
    /// A divided search that cannot be done, resumed, or joined; perhaps because of a file.
    Campaign {
        /// The file.
        path: Option<String>,
        /// What is wrong.
        why: CampaignError,
    },
    /// Interrupts cannot be caught.
    Signal(ctrlc::Error),
    /// A result that cannot be turned into JSON.
    Json(serde_json::Error),
    /// Standard output cannot be written.
    Output(io::Error),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoScenario { asked, nearest } => {
                write!(
                    f,
                    "no scenario `{}`: there is no such file, nor a scenario of that name",
                    show::word(asked)
                )?;
                match nearest {
                    Some(name) => write!(f, "\nhelp: did you mean `{name}`?"),
                    None => write!(f, "\nhelp: `pinfold matrix --help` says where names come from"),
                }
            }
            Self::BuiltIn(name) => {
                write!(f, "the scenario `{name}` is built in and has no file here: name a file")
            }
            Self::Unreadable { path, why } => {
                write!(f, "cannot read {path}: {why}\nhelp: name a readable text file")
            }
            Self::Unwritable { path, why } => {
                write!(f, "cannot write {path}: {why}\nhelp: name a writable file")
            }
            Self::TooLarge { path, most } => write!(
                f,
                "{path} is larger than {most} bytes, the most that is read of such a file\n\
                 help: name the right file"
            ),
            Self::SwapFile { path, why } => write!(
                f,
                "cannot make the swap file {path}: {why}\n\
                 help: --swap-file names a file that there is not yet, in a directory that can be \
                 written"
            ),
            Self::Pressure(why) => write!(f, "{why}"),
            Self::Soak(why) => write!(f, "{why}"),
            Self::Scenario { drawn, .. } => f.write_str(drawn),
            Self::Usage(said) => f.write_str(said.trim_start_matches("error: ").trim_end()),
            Self::Depth { depth, steps } => write!(
                f,
                "--pct {depth} asks for more changes of priority than the {steps} steps that an \
                 execution may have\nhelp: --pct 3 finds most bugs; --max-steps allows more steps"
            ),
            Self::Rules { text, why } => {
                let why = why.suggesting(meant(why));
                let text = show::word(text);
                write!(f, "in rules `{text}`: {why}\nhelp: `pinfold rules` lists them all")
            }
            Self::NoReplay { asked: Some(asked), directory } => write!(
                f,
                "no saved execution `{}`: there is no such file, nor that id in {directory}\n\
                 help: `pinfold check FILE` saves what fails; for a scenario give --schedule, or to \
                 `explain` --rules, too",
                show::word(asked)
            ),
            Self::NoReplay { asked: None, directory } => write!(
                f,
                "no execution is saved in {directory}\n\
                 help: `pinfold check FILE` saves what fails; --saved DIR looks elsewhere"
            ),
            Self::Replay { path, why } => {
                let remedy = match why {
                    ReplayFileError::Engine(_) => "--any-version runs it all the same",
                    _ => "`pinfold check FILE` saves it again",
                };
                write!(f, "cannot replay {path}: {why}\nhelp: {remedy}")
            }
            Self::Unsaved { path, why } => write!(
                f,
                "the failing execution is not saved in {path}: {why}\n\
                 help: --save DIR saves it elsewhere, --no-save not at all"
            ),
            Self::Schedule(why) => write!(
                f,
                "in --schedule: {why}\nhelp: `pinfold check FILE --rules SET --no-save -v` prints them"
            ),
            Self::SwitchForSet(name) => write!(
                f,
                "`{name}` is a switch, and two rule sets are compared\n\
                 help: `pinfold rules {name}` shows its variants"
            ),
            Self::NoCall(name) => {
                write!(f, "no system call `{}` is in the table", show::word(name))?;
                if let Some(meant) = Call::meant(name) {
                    write!(f, " (did you mean `{meant}`?)")?;
                }
                f.write_str("\nhelp: `pinfold calls` lists them")
            }
            Self::Import(why) => write!(f, "{why}"),
            Self::Unmodelled { kernel, why } => {
                let why = why.to_string();
                let why = why.lines().next().unwrap_or_default().trim_start_matches("in rules ");
                write!(
                    f,
                    "the recording says {kernel}, which is not modelled: {why}\n\
                     help: name the rules to ask under by --rules; `pinfold rules` lists them"
                )
            }
            Self::Expectation { path, line, why } => write!(f, "{path}:{line}: {why}"),
            Self::NothingExpected(path) => write!(
                f,
                "{path} expects nothing of these scenarios under these rules\n\
                 help: name rule sets as its first line does"
            ),
            Self::OneSearch(path) => write!(
                f,
                "{path} holds one search, and several are asked for\n\
                 help: name one scenario and one rule set"
            ),
            Self::Campaign { path: Some(path), why } => write!(f, "{path}: {why}"),
            Self::Campaign { path: None, why } => why.fmt(f),
            Self::Signal(why) => write!(
                f,
                "cannot catch interrupts: {why}\nhelp: raise the limit on processes, or end others"
            ),
            Self::Json(why) => write!(f, "the result does not fit into JSON: {why}"),
            Self::Output(why) => {
                write!(f, "cannot write the result to standard output: {why}")
            }
        }
    }
}

impl std::error::Error for Failure {}

/// The name of a rule that is most like the unknown one, if one is close enough to be what was
/// meant.
fn meant(why: &RuleError) -> Option<&'static str> {
    let RuleError::Unknown { what, name } = why else { return None };
    // No typing error turns a known name into one that had to be cut.
    let given = Some(name.as_str()).filter(|_| !name.is_cut())?;
    let given = match what {
        // In whatever way the word Linux was prefixed.
        Named::Base => given.trim_start_matches("linux").trim_start_matches('-'),
        Named::Switch | Named::Variant(_) => given,
    };
    let limit = 1 + given.len() / 4;
    why.candidates()
        .map(|name| (strsim::levenshtein(given, name), name))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::meant;
    use pinfold::Rules;

    #[test]
    fn suggestions_are_only_made_for_near_names() {
        let meant = |text: &str| meant(&Rules::parse(text).expect_err("no rule set"));
        assert_eq!(meant("lates"), Some("latest"));
        assert_eq!(meant("linux5.9"), Some("5.9"));
        assert_eq!(meant("w5.19"), Some("5.19"));
        assert_eq!(meant("numa-skp=never"), Some("numa-skip"));
        assert_eq!(meant("swap-in-resue=x"), Some("swap-in-reuse"));
        assert_eq!(meant("pte-cow=refcount"), Some("ref-count"));
        assert_eq!(meant("pte-cow=rev-count"), Some("ref-count"));
        assert_eq!(meant("pte-cow=réf-count"), Some("ref-count"));
        assert_eq!(meant("read-gup=exclusive"), None);
        assert_eq!(meant(&format!("pte-cow={}", "r".repeat(100_000))), None);
        assert_eq!(meant("pte-cow="), None);
        assert_eq!(meant("5.9,5.9"), None);
    }
}
