//! What can be written behind `pinfold when` and `pinfold cure`.

use super::common::Format;
use super::search::SearchArgs;
use clap::Args;
use std::path::PathBuf;

/// `pinfold when`
#[derive(Debug, Args)]
pub(crate) struct WhenArgs {
    /// A scenario: a file, or a name from ./scenarios or from those built in
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) search: SearchArgs,
    /// The form of the result
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
}

/// `pinfold cure`
#[derive(Debug, Args)]
pub(crate) struct CureArgs {
    /// A scenario: a file, or a name from ./scenarios or from those built in
    pub(crate) file: PathBuf,
    /// The rules under which it breaks: a release, `latest`, or `pinfold`, and overrides
    #[arg(long, value_name = "RULES", default_value = "pinfold")]
    pub(crate) rules: String,
    /// The most switches that are changed together
    #[arg(long, value_name = "N", default_value_t = 2,
          value_parser = clap::value_parser!(u8).range(1..=3))]
    pub(crate) switches: u8,
    #[command(flatten)]
    pub(crate) search: SearchArgs,
    /// The form of the result
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
}
