//! What can be written behind `pinfold pressure`.

use super::common::{Format, seconds};
use clap::Args;
use std::path::PathBuf;
use std::time::Duration;

/// `pinfold pressure`
#[derive(Debug, Args)]
pub(crate) struct PressureArgs {
    /// How long the threads work, in minutes [default: 10 seconds]
    #[arg(long, value_name = "N", conflicts_with = "seconds",
          value_parser = clap::value_parser!(u64).range(1..=10_080))]
    minutes: Option<u64>,
    /// The same in seconds
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    seconds: Option<Duration>,
    /// Processes, which have three times the machine's memory together
    #[arg(long, value_name = "N", default_value_t = 4,
          value_parser = clap::value_parser!(u32).range(1..=256))]
    pub(crate) processes: u32,
    /// Frames of the machine, of 4 KiB, on two nodes
    #[arg(long, value_name = "N", default_value_t = 4096,
          value_parser = clap::value_parser!(u64).range(256..=1 << 20))]
    pub(crate) frames: u64,
    /// Of these, so many lie below 4 GiB, apart, and threads take runs there and give them back
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub(crate) low: u64,
    /// Threads that work, beside one that reclaims [default: one for each available core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=32))]
    pub(crate) threads: Option<u32>,
    /// The rules in force: a release, `latest`, or `pinfold` (its own), and overrides
    #[arg(long, value_name = "RULES", default_value = "pinfold")]
    pub(crate) rules: String,
    /// What the threads do follows from it, but for how they are scheduled
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,
    /// Each Nth transfer of the swap device fails
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(2..))]
    pub(crate) fail_every: Option<u64>,
    /// Swap to this file, which is made anew and taken away again, instead of to memory
    #[arg(long, value_name = "FILE")]
    pub(crate) swap_file: Option<PathBuf>,
    /// An operation that takes longer than so many seconds hangs
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "60")]
    pub(crate) patience: Duration,
    /// The form of the result
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
}

impl PressureArgs {
    /// How long the threads are to work.
    pub(crate) fn time(&self) -> Duration {
        const SECONDS: u64 = 10;
        let minutes = self.minutes.map(|minutes| Duration::from_secs(60 * minutes));
        minutes.or(self.seconds).unwrap_or(Duration::from_secs(SECONDS))
    }
}
