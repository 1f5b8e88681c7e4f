//! For whom results are written.

use clap::ValueEnum;

/// For whom a result is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Text for people
    #[default]
    Human,
    /// One JSON document
    Json,
}
