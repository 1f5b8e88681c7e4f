//! The memory model, as it is written on the command line.

use clap::ValueEnum;
use pinfold_lab::{CheckOptions, Model};

/// The memory model under which accesses of different lanes meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ModelArg {
    /// Every access takes effect at once, for everybody
    Sc,
    /// Stores wait in buffers, as on x86
    Tso,
    /// Loads and stores pass each other unless a barrier forbids it
    Weak,
}

impl Default for ModelArg {
    /// The model of a search that does not name one.
    fn default() -> Self {
        match CheckOptions::default().config.model {
            Model::Sc => Self::Sc,
            Model::Tso => Self::Tso,
            Model::Weak => Self::Weak,
        }
    }
}

impl ModelArg {
    /// The name, as written on the command line and in reports.
    pub(crate) fn name(self) -> &'static str {
        self.model().name()
    }

    /// The model with this name.
    pub(crate) fn model(self) -> Model {
        match self {
            Self::Sc => Model::Sc,
            Self::Tso => Model::Tso,
            Self::Weak => Model::Weak,
        }
    }
}
