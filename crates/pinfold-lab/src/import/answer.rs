//! What a recording is answered with, and what is asked back.

use super::gap::Gap;
use super::log::Taker;
use std::fmt;
use std::io;

/// Why there is no scenario.
#[derive(Debug)]
pub enum ImportError {
    /// A file cannot be read.
    Unreadable {
        /// The file.
        name: String,
        /// What the system reports.
        why: io::Error,
    },
    /// A call that matters is not written as strace writes it.
    Line {
        /// The file.
        name: String,
        /// The line, counted from 1.
        line: u64,
        /// The call.
        call: String,
        /// What is wrong.
        why: String,
    },
    /// One of several files has no times, so that their order is not known.
    Untimed {
        /// The file.
        name: String,
        /// The line, counted from 1.
        line: u64,
    },
    /// No line is one of strace.
    NoRecording {
        /// The file.
        name: String,
    },
    /// The recording has nothing to ask about.
    Nothing {
        /// What was seen and left out.
        left: Vec<String>,
    },
    /// What was made is no scenario; a mistake of the importer.
    Unwritable {
        /// What the language says.
        why: String,
    },
}

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { name, why } => {
                write!(f, "cannot read {name}: {why}\nhelp: name a file that strace wrote")
            }
            Self::Line { name, line, call, why } => write!(
                f,
                "{name}:{line}: `{call}` is not written as strace writes it: {why}\n\
                 help: record with -o FILE, so that the program's output does not come between, or \
                 remove the line"
            ),
            Self::Untimed { name, line } => write!(
                f,
                "{name}:{line}: several files, and this line has no time to order them by\n\
                 help: record with -ttt, or with -f and without -ff"
            ),
            Self::NoRecording { name } => write!(
                f,
                "{name} has no line of strace\n\
                 help: record with `strace -f -ttt -o FILE PROGRAM`"
            ),
            Self::Nothing { left } => {
                write!(
                    f,
                    "nothing in the recording takes pages of the program: no registered buffer, no \
                     direct I/O, no vmsplice, no MSG_ZEROCOPY, nobody else's access"
                )?;
                for line in left {
                    write!(f, "\nleft out: {line}")?;
                }
                write!(f, "\nhelp: record with -f, from the start of the program")
            }
            Self::Unwritable { why } => {
                write!(f, "the scenario that was made is none: {why}\nhelp: please report this")
            }
        }
    }
}

impl std::error::Error for ImportError {}

/// How a call finds the pages that it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Without a lock first, and with the address space's for what that does not take.
    FastFirst,
    /// With the address space's lock alone: no fork comes between.
    Slow,
}

/// What a call takes on the pages of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// An ordinary reference.
    Get(Way),
    /// A pin.
    Pin(Way),
    /// Nothing: it follows the address space.
    Follow,
    /// The release has no such call.
    Absent,
}

/// A scenario made of a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// Its canonical text.
    pub text: String,
    /// What was left out of it, with the reasons.
    pub left: Vec<String>,
    /// What that means for an answer.
    pub gap: Gap,
    /// The calls that the release does not have.
    pub absent: Vec<Taker>,
    /// Advice that the scenario has and that not every release has: MADV_PAGEOUT, MADV_COLD.
    pub advice: Vec<&'static str>,
    /// What takes pages in it.
    pub takers: Vec<Taker>,
    /// A device may write to private pages after the call that gave them to it, so that all that
    /// the kernel does to memory by itself can meet that.
    pub holds: bool,
}
