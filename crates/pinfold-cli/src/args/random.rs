//! What can be written behind `pinfold fuzz` and `pinfold identify`.

use super::model::ModelArg;
use super::place::{SAVED, Where};
use clap::Args;
use std::path::PathBuf;

/// `pinfold fuzz`
#[derive(Debug, Args)]
pub(crate) struct FuzzArgs {
    /// How many programs
    #[arg(long, value_name = "N", default_value_t = 100,
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) programs: u32,
    /// The seed of the first; each next one has the next seed
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,
    /// How many lanes they have, in turn; 0 is one step after another
    /// [default: 2,3,4; with --on 0,2]
    #[arg(long, value_name = "N", value_delimiter = ',',
          value_parser = clap::value_parser!(u8).range(0..=4))]
    pub(crate) lanes: Vec<u8>,
    /// The most steps of a lane, or of a program without lanes
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=20))]
    pub(crate) steps: Option<u8>,
    /// Rule sets separated by commas, or `all` presets
    /// [default: latest; with --on those of the kernel's release]
    #[arg(long, value_name = "RULES")]
    pub(crate) rules: Vec<String>,
    /// The memory model; under weak every release has the failure of docs/fork-races-fast-pin.md
    #[arg(long, value_enum, value_name = "MODEL", default_value = "tso", conflicts_with = "on")]
    pub(crate) model: ModelArg,
    /// The most executions of the model for each program
    #[arg(long, value_name = "N", default_value_t = 4000,
          value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) max_executions: u64,
    /// Carry the programs out on a kernel, as `pinfold check --on` does
    #[arg(long, value_name = "WHERE")]
    pub(crate) on: Option<Where>,
    /// With --on, how often lanes run at the same time
    #[arg(long, value_name = "N", requires = "on", default_value_t = 50,
          value_parser = clap::value_parser!(u32).range(..=100_000))]
    pub(crate) trials: u32,
    /// With --on linux, allow scans, folios and huge pages on this machine; see `pinfold check
    /// --help`
    #[arg(long, requires = "on")]
    pub(crate) i_own_this_machine: bool,
    /// Where what is found is saved, in a directory named by its id
    #[arg(long, value_name = "DIR", default_value = SAVED)]
    pub(crate) save: PathBuf,
    /// Save nothing
    #[arg(long, conflicts_with = "save")]
    pub(crate) no_save: bool,
    /// Exit with 0 when nothing was found although bounds ended searches
    #[arg(long, conflicts_with = "on")]
    pub(crate) allow_partial: bool,
}

/// `pinfold identify`
#[derive(Debug, Args)]
pub(crate) struct IdentifyArgs {
    /// Which kernel, as `pinfold check --on` names it
    #[arg(long, value_name = "WHERE")]
    pub(crate) on: Where,
    /// How many programs
    #[arg(long, value_name = "N", default_value_t = 200,
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) programs: u32,
    /// The seed of the first; each next one has the next seed
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,
    /// Rule sets separated by commas, or `all` presets
    #[arg(long, value_name = "RULES", default_value = "all")]
    pub(crate) rules: Vec<String>,
}
