//! What can be written behind `pinfold explain`.

use super::common::Format;
use super::place::SAVED;
use clap::Args;
use std::path::PathBuf;

/// `pinfold explain`
#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// A saved execution: its file or its id [default: the latest]; with --rules, a scenario
    #[arg(value_name = "WHAT")]
    pub(crate) what: Option<PathBuf>,
    /// The directory in which `check` saved it
    #[arg(long, value_name = "DIR", default_value = SAVED)]
    pub(crate) saved: PathBuf,
    /// Explain a saved execution although another version of the engine found it
    #[arg(long, conflicts_with = "rules")]
    pub(crate) any_version: bool,
    /// Search the scenario under these rules first; where nothing breaks, the order as written is
    /// explained
    #[arg(long, value_name = "RULES", requires = "what")]
    pub(crate) rules: Option<String>,
    /// Write a page for a browser to this file, too: lanes, and a picture of frames, entries,
    /// translations and devices at each row
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Write a picture to this file, too, which needs neither a script nor another file: lanes over
    /// time, and the machine before they start and at their end
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,
    /// Write the execution as a trace for Perfetto to this file, too: lanes, handles, rules'
    /// decisions, and what frames count
    #[arg(long, value_name = "FILE")]
    pub(crate) perfetto: Option<PathBuf>,
    /// The form of the result
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
}
