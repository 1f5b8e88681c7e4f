//! Recordings of programs that ran elsewhere, as scenarios.
//!
//! [`Recording::read`] reads what `strace -f` wrote: line by line, so that its length does
//! not matter. What it keeps are the calls that concern memory which something outside of the
//! page tables refers to: registered and pinned buffers, direct I/O, pipes, other processes.
//! [`Recording::scenario`] makes a scenario of it. What a call takes on pages depends on the release
//! and is asked of the caller, who has the table of system calls.
//!
//! - INV-IMPORT-1: nothing is certain but what the order of calls makes so: what a thread did one
//!   after the other, that a child comes after its fork, and what came after its end was waited
//!   for. All else races.
//! - INV-IMPORT-2: stores are not in a recording. Each that is put into a scenario is there under
//!   the word `assumed`.
//! - INV-IMPORT-3: pages that all calls treat alike are one page of the scenario.
//! - INV-IMPORT-4: what is left out is counted, with the reason.

mod files;
mod line;
mod log;
mod plan;
mod read;
mod space;
#[cfg(test)]
mod tests;
mod track;
mod value;
mod write;

pub use log::Taker;
pub use read::Source;

use log::Log;
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

/// What a call takes on the pages of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// An ordinary reference.
    Get,
    /// A pin.
    Pin,
    /// Nothing: it follows the address space.
    Follow,
    /// The release has no such call.
    Absent,
}

/// What is kept of a recording.
#[derive(Debug)]
pub struct Recording {
    log: Log,
}

/// A scenario made of a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// Its canonical text.
    pub text: String,
    /// What was left out of it, with the reasons.
    pub left: Vec<String>,
    /// The calls that the release does not have.
    pub absent: Vec<Taker>,
}

impl Recording {
    /// Reads a recording, or the several files that `-ff` made of one. Memory is bounded, whatever
    /// their length.
    ///
    /// # Errors
    /// When a file cannot be read, a call that matters is not written as strace writes it, several
    /// files have no times, or none has a line of strace.
    pub fn read(sources: Vec<Source<'_>>) -> Result<Self, ImportError> {
        read::read(sources).map(|log| Self { log })
    }

    /// The release of the kernel, where the recorded program asked for it (`uname`, in a recording
    /// with `-v`).
    pub fn kernel(&self) -> Option<&str> {
        self.log.kernel.as_deref()
    }

    /// How many lines were read.
    pub fn lines(&self) -> u64 {
        self.log.lines
    }

    /// The scenario of this name, with what `takes` says of each call.
    ///
    /// # Errors
    /// When nothing in the recording takes pages.
    pub fn scenario(
        &self,
        name: &str,
        takes: &dyn Fn(Taker) -> Takes,
    ) -> Result<Imported, ImportError> {
        let plan = plan::plan(&self.log)?;
        write::write(&self.log, &plan, name, takes)
    }
}
