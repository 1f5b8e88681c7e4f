//! What can be written behind `pinfold soak`.

use super::common::{Format, seconds};
use clap::{Args, ValueEnum};
use pinfold_lab::soak::Activity;
use std::time::Duration;

/// What can be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum WithoutArg {
    /// Scans of NUMA balancing
    Balancing,
    /// Pageout to a swap device
    Swap,
    /// Same-page merging
    Merging,
    /// Compaction
    Compaction,
    /// Forks, whose children soon exit
    Forks,
}

impl WithoutArg {
    /// The activity of this name.
    fn activity(self) -> Activity {
        match self {
            Self::Balancing => Activity::Balancing,
            Self::Swap => Activity::Swap,
            Self::Merging => Activity::Merging,
            Self::Compaction => Activity::Compaction,
            Self::Forks => Activity::Forks,
        }
    }
}

/// `pinfold soak`
#[derive(Debug, Args)]
pub(crate) struct SoakArgs {
    /// How long it goes on, in minutes, unless a corruption ends it [default: 10 seconds]
    #[arg(long, value_name = "N", conflicts_with = "seconds",
          value_parser = clap::value_parser!(u64).range(1..=10_080))]
    minutes: Option<u64>,
    /// The same in seconds
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    seconds: Option<Duration>,
    /// Processes, of two threads and eight command buffers each
    #[arg(long, value_name = "N", default_value_t = 8,
          value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) processes: u32,
    /// Devices [default: one for each process]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) devices: Option<u32>,
    /// Nodes of the machine, each with memory and CPUs
    #[arg(long, value_name = "N", default_value_t = 2,
          value_parser = clap::value_parser!(u8).range(1..=8))]
    pub(crate) nodes: u8,
    /// Frames of the machine, of 4 KiB [default: as many as are needed, on each node]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1 << 20))]
    pub(crate) frames: Option<u64>,
    /// The rules in force: a release, `latest`, or `pinfold` (its own), and overrides
    #[arg(long, value_name = "RULES", default_value = "pinfold")]
    pub(crate) rules: String,
    /// What the threads do follows from it, but for how they are scheduled
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,
    /// What does not go on meanwhile, separated by commas
    #[arg(long, value_enum, value_name = "WHAT", value_delimiter = ',')]
    without: Vec<WithoutArg>,
    /// Loads that would lose a buffer without NUMA balancing, too, are not kept from buffers
    #[arg(long)]
    pub(crate) other_harms: bool,
    /// Threads stay on the CPUs of the node that has their process's memory
    #[arg(long)]
    pub(crate) affinity: bool,
    /// An operation that takes longer than so many seconds hangs
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "60")]
    pub(crate) patience: Duration,
    /// The form of the result
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
}

impl SoakArgs {
    /// How long it is to go on.
    pub(crate) fn time(&self) -> Duration {
        const SECONDS: u64 = 10;
        let minutes = self.minutes.map(|minutes| Duration::from_secs(60 * minutes));
        minutes.or(self.seconds).unwrap_or(Duration::from_secs(SECONDS))
    }

    /// What is left out.
    pub(crate) fn without(&self) -> Vec<Activity> {
        self.without.iter().map(|each| each.activity()).collect()
    }
}
