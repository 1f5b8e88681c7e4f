//! What can be written behind `pinfold import`.

use super::common::Format;
use super::place::SAVED;
use super::search::SearchArgs;
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// `pinfold import`
#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    #[command(subcommand)]
    pub(crate) recorder: Recorder,
}

impl ImportArgs {
    /// For whom its result is written.
    pub(crate) fn format(&self) -> Format {
        match &self.recorder {
            Recorder::Strace(args) => args.format,
        }
    }
}

/// What made the recording.
#[derive(Debug, Subcommand)]
pub(crate) enum Recorder {
    /// A recording of `strace -f`
    ///
    /// Best made with `strace -f -ttt -v -e raw=read,write,pread64,pwrite64,sendto,recvfrom
    /// -o FILE PROGRAM`: strace shows the contents of buffers in place of their addresses unless
    /// the calls are raw.
    Strace(StraceArgs),
}

/// `pinfold import strace`
#[derive(Debug, Args)]
pub(crate) struct StraceArgs {
    /// What strace wrote; several files are those of -ff, which need -tt or -ttt
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Where to write the scenario [default: standard output]
    #[arg(short, long = "out", value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Ask whether the program is safe, in place of printing the scenario
    #[arg(long)]
    pub(crate) check: bool,
    /// The rules of the kernel [default: of the recording if it says, else of the running kernel]
    #[arg(long, value_name = "RULES")]
    pub(crate) rules: Option<String>,
    /// Where --check saves a scenario that it found something about, and the failing execution
    #[arg(long, value_name = "DIR", default_value = SAVED)]
    pub(crate) save: PathBuf,
    /// Save nothing
    #[arg(long, conflicts_with = "save")]
    pub(crate) no_save: bool,
    #[command(flatten)]
    pub(crate) search: SearchArgs,
    /// The form of the result of --check
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
}
