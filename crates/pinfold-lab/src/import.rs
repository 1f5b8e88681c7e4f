//! Recordings of programs that ran elsewhere, as scenarios.
//!
//! [`Recording::read`] reads what `strace -f` wrote: line by line, so that its length does
//! not matter. What it keeps are the calls that concern memory which something outside of the
//! page tables refers to: registered and pinned buffers, direct I/O, pipes, other processes.
//! [`Recording::scenario`] makes a scenario of it. What a call takes on pages depends on the
//! release and is asked of the caller, who has the table of system calls.
//!
//! - INV-IMPORT-1: nothing is certain but what the order of calls makes so: what a thread did one
//!   after the other, that a child comes after its fork, and what came after its end was waited
//!   for. All else races.
//! - INV-IMPORT-2: stores are not in a recording. Each that is put into a scenario is there under
//!   the word `assumed`.
//! - INV-IMPORT-3: pages that all calls treat alike are one page of the scenario.
//! - INV-IMPORT-4: what is left out is counted, with the reason and with what it means for an
//!   answer ([`Gap`]).

mod answer;
mod beside;
mod files;
mod gap;
mod line;
mod log;
mod order;
mod pending;
mod plan;
mod read;
mod space;
#[cfg(test)]
mod tests;
mod track;
mod value;
mod write;

pub use answer::{ImportError, Imported, Takes, Way};
pub use gap::Gap;
pub use log::Taker;
pub use read::Source;

use log::Log;

/// What is kept of a recording.
#[derive(Debug)]
pub struct Recording {
    log: Log,
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
