//! The memory models, by name.

use std::{fmt, str::FromStr};

/// What a load may return.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Model {
    /// The latest store in the order of steps.
    Sc,
    /// Total store order, as on x86: a store, and the release of a lock, may be delayed past later
    /// loads of its lane. A read-modify-write that writes, a compare-exchange and an attempt to
    /// take a lock (even if they fail), taking a lock, starting a lane and seeing its end are full
    /// fences; any other read-modify-write that does not write is a load.
    Tso,
    /// RC11 with the release sequences of C++20. A load may return an older store unless something
    /// forbids it. Loads are not delayed past later stores (no load buffering), and dependencies
    /// order nothing: where the kernel relies on an address dependency, an acquire is needed here.
    #[default]
    Weak,
}

impl Model {
    /// Every model, the strictest first.
    pub const ALL: [Self; 3] = [Self::Sc, Self::Tso, Self::Weak];

    /// The name that [`FromStr`] reads.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sc => "sc",
            Self::Tso => "tso",
            Self::Weak => "weak",
        }
    }
}

impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The error for text that names no model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseModelError(
    /// The text as given.
    pub String,
);

impl fmt::Display for ParseModelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no model is called `{}`: it is sc, tso or weak", self.0.escape_debug())
    }
}

impl std::error::Error for ParseModelError {}

impl FromStr for Model {
    type Err = ParseModelError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let named = |model: &Self| model.name() == text;
        Self::ALL.into_iter().find(named).ok_or_else(|| ParseModelError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::{Model, ParseModelError};

    #[test]
    fn every_model_is_read_back_from_its_name() {
        for model in Model::ALL {
            assert_eq!(model.to_string().parse(), Ok(model));
        }
        assert_eq!("SC".parse::<Model>(), Err(ParseModelError("SC".to_owned())));
    }
}
