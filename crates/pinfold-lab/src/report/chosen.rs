//! How executions were chosen, in the words that reports use for it.

use std::fmt;
use std::str::FromStr;

use pinfold_explore::Search as Strategy;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A way to go through the executions of a search. It does not include how many there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// All of them: `exhaustive`.
    Exhaustive,
    /// All with at most this many preemptions: `preemptions <= 2`.
    Preemptions(u32),
    /// Random ones: `random seed 7`.
    Random {
        /// The seed of the random numbers.
        seed: u64,
    },
    /// Random ones with few changes of priority: `pct d=3 seed 7`.
    Pct {
        /// How many ordering constraints the bugs that it searches for have.
        depth: u32,
        /// The seed of the random numbers.
        seed: u64,
    },
}

/// How the executions of a report were chosen. Written and read as text, also in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chosen {
    /// One execution, in the order in which the scenario is written: `order as written`.
    AsWritten,
    /// A search.
    Search(Way),
    /// A search with a second one beside it, started when the first grew long, which found the
    /// failure or was done first: `exhaustive, then random seed 0`.
    Then(Way, Way),
    /// A repeated execution: `replay`; with the number of events that matched the recording, once
    /// all of them are known to match: `replay, 12 events as recorded`.
    Replay(Option<usize>),
}

impl From<Strategy> for Way {
    fn from(strategy: Strategy) -> Self {
        match strategy {
            Strategy::Exhaustive { preemptions: None } => Self::Exhaustive,
            Strategy::Exhaustive { preemptions: Some(most) } => Self::Preemptions(most),
            Strategy::Random { seed, .. } => Self::Random { seed },
            Strategy::Pct { depth, seed, .. } => Self::Pct { depth, seed },
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exhaustive => f.write_str("exhaustive"),
            Self::Preemptions(most) => write!(f, "preemptions <= {most}"),
            Self::Random { seed } => write!(f, "random seed {seed}"),
            Self::Pct { depth, seed } => write!(f, "pct d={depth} seed {seed}"),
        }
    }
}

impl fmt::Display for Chosen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AsWritten => f.write_str("order as written"),
            Self::Search(way) => way.fmt(f),
            Self::Then(way, then) => write!(f, "{way}, then {then}"),
            Self::Replay(None) => f.write_str("replay"),
            Self::Replay(Some(1)) => f.write_str("replay, 1 event as recorded"),
            Self::Replay(Some(events)) => write!(f, "replay, {events} events as recorded"),
        }
    }
}

/// Text that names no way to choose executions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseChosenError(
    /// The text as it was found.
    pub String,
);

impl fmt::Display for ParseChosenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no search goes by `{}`", self.0.escape_debug())
    }
}

impl std::error::Error for ParseChosenError {}

impl FromStr for Way {
    type Err = ParseChosenError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = || {
            if text == "exhaustive" {
                return Some(Self::Exhaustive);
            }
            if let Some(most) = text.strip_prefix("preemptions <= ") {
                return Some(Self::Preemptions(most.parse().ok()?));
            }
            if let Some(seed) = text.strip_prefix("random seed ") {
                return Some(Self::Random { seed: seed.parse().ok()? });
            }
            let (depth, seed) = text.strip_prefix("pct d=")?.split_once(" seed ")?;
            Some(Self::Pct { depth: depth.parse().ok()?, seed: seed.parse().ok()? })
        };
        read().ok_or_else(|| ParseChosenError(text.to_owned()))
    }
}

impl FromStr for Chosen {
    type Err = ParseChosenError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unknown = || ParseChosenError(text.to_owned());
        match text {
            "order as written" => return Ok(Self::AsWritten),
            "replay" => return Ok(Self::Replay(None)),
            _ => {}
        }
        if let Some(rest) = text.strip_prefix("replay, ") {
            let events = rest.split(' ').next().and_then(|number| number.parse().ok());
            let replay = Self::Replay(Some(events.ok_or_else(unknown)?));
            return if replay.to_string() == text { Ok(replay) } else { Err(unknown()) };
        }
        match text.split_once(", then ") {
            Some((way, then)) => Ok(Self::Then(way.parse()?, then.parse()?)),
            None => text.parse().map(Self::Search),
        }
    }
}

impl Serialize for Chosen {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        by_name::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for Chosen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        by_name::deserialize(deserializer)
    }
}

/// Serde support for values of other crates, in the form of the text that they print.
pub(crate) mod by_name {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer>(
        value: &impl Display,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>, T: FromStr<Err: Display>>(
        deserializer: D,
    ) -> Result<T, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::{Chosen, Way};

    #[test]
    fn what_is_written_is_read_back() {
        let random = Way::Random { seed: 7 };
        for chosen in [
            Chosen::AsWritten,
            Chosen::Search(Way::Exhaustive),
            Chosen::Search(Way::Preemptions(2)),
            Chosen::Search(random),
            Chosen::Search(Way::Pct { depth: 3, seed: u64::MAX }),
            Chosen::Then(Way::Exhaustive, random),
            Chosen::Replay(None),
            Chosen::Replay(Some(1)),
            Chosen::Replay(Some(12)),
        ] {
            assert_eq!(chosen.to_string().parse(), Ok(chosen));
            let json = serde_json::to_string(&chosen).expect("text");
            assert_eq!(serde_json::from_str::<Chosen>(&json).expect("the same text"), chosen);
        }
    }

    #[test]
    fn other_text_is_refused() {
        for text in ["", "exhaustively", "random seed x", "replay, 2 event as recorded", "pct d=1"]
        {
            assert!(text.parse::<Chosen>().is_err(), "{text}");
        }
    }
}
