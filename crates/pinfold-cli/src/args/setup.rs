//! What can be written behind the commands that help to begin.

use clap::Args;
use clap_complete::Shell;
use std::path::PathBuf;

/// `pinfold new`
#[derive(Debug, Args)]
pub(crate) struct NewArgs {
    /// Where to write it; its name without `.pf` becomes the scenario's. What is there already is
    /// left alone
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

/// `pinfold completions`
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// For which shell
    #[arg(value_enum)]
    pub(crate) shell: Shell,
}

/// `pinfold man`
#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// The directory for the pages `pinfold.1`, `pinfold-run.1` and so on; without one, the page
    /// of `pinfold` itself is printed
    #[arg(value_name = "DIR")]
    pub(crate) directory: Option<PathBuf>,
}
