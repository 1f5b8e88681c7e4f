//! What the arguments of several commands are made of.

use clap::ValueEnum;
use std::time::Duration;

/// For whom a result is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Text for people
    #[default]
    Human,
    /// One JSON document
    Json,
}

/// For whom the result of something that can pass or fail is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum TestFormat {
    /// Text for people
    #[default]
    Human,
    /// One JSON document
    Json,
    /// KTAP, for runners of the kernel's tests; the exit status is kselftest's: 0 if all pass or
    /// are skipped, 1 if not, 4 if all are skipped
    Ktap,
}

impl From<Format> for TestFormat {
    fn from(format: Format) -> Self {
        match format {
            Format::Human => Self::Human,
            Format::Json => Self::Json,
        }
    }
}

/// Reads a positive number of seconds.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let wrong = || "a positive number of seconds is needed, such as 0.5 or 60".to_owned();
    let seconds: f64 = text.parse().map_err(|_| wrong())?;
    match Duration::try_from_secs_f64(seconds) {
        Ok(time) if !time.is_zero() => Ok(time),
        _ => Err(wrong()),
    }
}
