//! How to search, and when to stop: what every command that searches takes.

use super::common::seconds;
use super::model::ModelArg;
use crate::failure::Failure;
use clap::{Args, ValueEnum};
use pinfold_lab::{CheckOptions, Config, LockForm, Strategy};
use std::time::Duration;

/// What the locks of the memory manager are while the search runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum LocksArg {
    /// Objects of the explorer, in which nobody spins
    #[default]
    Object,
    /// Their own code, word for word; takes far more executions
    Code,
}

impl LocksArg {
    /// The form with this name.
    pub(crate) fn form(self) -> LockForm {
        match self {
            Self::Object => LockForm::Object,
            Self::Code => LockForm::Code,
        }
    }
}

/// How to search, and when to stop.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("seeded").multiple(true))]
pub(crate) struct SearchArgs {
    /// The memory model [default: weak; for `matrix`, `when`, `cure` and `import` tso, or that of
    /// the table given to --expect]
    #[arg(long, value_enum, value_name = "MODEL")]
    pub(crate) model: Option<ModelArg>,
    /// What the manager's own locks are [default: object]
    #[arg(long, value_enum, value_name = "FORM")]
    pub(crate) locks: Option<LocksArg>,
    /// Search exhaustively among executions with at most this many preemptions, and count what is
    /// left out; `check` by itself searches without a bound in turns with it, and ends with the
    /// first of the two that is done
    #[arg(long, value_name = "N", groups = ["strategy", "seeded"])]
    pub(crate) preemptions: Option<u32>,
    /// Search this many executions at random
    #[arg(long, value_name = "RUNS", groups = ["strategy", "seeded"],
          value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) random: Option<u64>,
    /// Search at random for bugs of this depth (probabilistic concurrency testing)
    #[arg(long, value_name = "DEPTH", groups = ["strategy", "seeded"],
          value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) pct: Option<u32>,
    /// How many executions --pct tries
    #[arg(long, value_name = "N", requires = "pct", default_value_t = PCT_RUNS)]
    pub(crate) runs: u64,
    /// The seed of --random and --pct, and of the delays and samples of --on
    #[arg(long, value_name = "N", requires = "seeded", default_value_t = 0)]
    pub(crate) seed: u64,
    /// Stop after this many executions; with --resume after as many more [default: no bound; for
    /// each cell of `matrix` 100000, and as many with --on, unless --time or another way to search
    /// is given]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) max_executions: Option<u64>,
    /// Cut an execution off after this many steps
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_steps: Option<u32>,
    /// MiB in which an exhaustive search remembers the states that it has explored, so as not to
    /// explore them again; 0 remembers none [default: 512 under sc; under tso and weak 0, and 512
    /// in a search that is begun anew as it is not done after 20,000 executions]
    #[arg(long, value_name = "MIB")]
    pub(crate) remember: Option<usize>,
    /// Stop after this time, for each scenario and rule set; with --resume after as much more
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) time: Option<Duration>,
}

/// The executions that an exhaustive cell of `matrix` may take unless other bounds are requested: a
/// table is an overview. Not a time, since that would make verdicts depend on the load of the
/// machine.
pub(crate) const CELL_EXECUTIONS: u64 = 100_000;

/// The number of executions of a `--pct` search that gives no number.
const PCT_RUNS: u64 = 100_000;

impl SearchArgs {
    /// The options of a check under `model`; the caller adds its stop flag.
    ///
    /// # Errors
    /// When they contradict each other.
    pub(crate) fn options(&self, model: ModelArg) -> Result<CheckOptions, Failure> {
        let mut options = CheckOptions::of(Config { model: model.model(), ..Config::default() });
        let seed = self.seed;
        if let Some(runs) = self.random {
            options.config.search = Strategy::Random { seed, runs };
        } else if let Some(depth) = self.pct {
            options.config.search = Strategy::Pct { depth, seed, runs: self.runs };
        } else if self.preemptions.is_some() {
            options.config.search = Strategy::Exhaustive { preemptions: self.preemptions };
        }
        if let Some(steps) = self.max_steps {
            options.config.max_steps = steps;
        }
        options.config.locks = self.locks.unwrap_or_default().form();
        options.config.max_executions = self.max_executions;
        options.config.deadline = self.time;
        if let Some(mebibytes) = self.remember {
            options = options.remembering(mebibytes.saturating_mul(1 << 20));
        }
        let steps = options.config.max_steps;
        match self.pct {
            // One change of priority fewer than the depth.
            Some(depth) if depth - 1 > steps => Err(Failure::Depth { depth, steps }),
            _ => Ok(options),
        }
    }
}
