//! A part of an exhaustive search, as text that another process can take up.
//!
//! A job stands for all executions that begin with its steps, apart from those that begin with what
//! a sleeping lane would do: other jobs have them. Its text is that of a [`Schedule`], followed by a
//! semicolon and the sleeping lanes, counted from 1, each with the numbers of the locks that its
//! step gives back: `1,1,2.1;1+4,3`. It means something only to the same version of the same
//! subject.

use crate::{
    lane::MAX_LANES,
    object::Object,
    schedule::{Choice, ParseScheduleError, Schedule},
};
use std::{fmt, str::FromStr};

/// A part of an exhaustive search; see [`crate::jobs`]. The default is the whole of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Job {
    prefix: Schedule,
    sleepers: Vec<Sleeper>,
}

/// A lane that sleeps when the last step of a job is made.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Sleeper {
    pub(crate) lane: usize,
    /// The locks that its step gives back.
    pub(crate) gave_back: Vec<Object>,
}

impl Job {
    pub(crate) fn new(prefix: Vec<Choice>, sleepers: Vec<Sleeper>) -> Self {
        Self { prefix: Schedule::from(prefix), sleepers }
    }

    /// The steps with which every execution of the job begins.
    pub(crate) fn steps(&self) -> &[Choice] {
        self.prefix.steps()
    }

    pub(crate) fn sleepers(&self) -> &[Sleeper] {
        &self.sleepers
    }
}

impl fmt::Display for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.prefix.fmt(f)?;
        for (index, sleeper) in self.sleepers.iter().enumerate() {
            write!(f, "{}{}", if index == 0 { ';' } else { ',' }, sleeper.lane + 1)?;
            sleeper.gave_back.iter().try_for_each(|lock| write!(f, "+{lock}"))?;
        }
        Ok(())
    }
}

/// Text that is not a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParseJobError {
    /// The part before the semicolon is no schedule.
    Prefix(ParseScheduleError),
    /// An entry after the semicolon is no sleeping lane.
    Sleeper(String),
}

impl fmt::Display for ParseJobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prefix(error) => error.fmt(f),
            Self::Sleeper(text) => write!(
                f,
                "a sleeping lane of the job is `{text}`: write a lane from 1 to {MAX_LANES}, with \
                 the locks that it gives back, as in `2` or `2+7`"
            ),
        }
    }
}

impl std::error::Error for ParseJobError {}

impl FromStr for Job {
    type Err = ParseJobError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (prefix, sleepers) = text.split_once(';').unwrap_or((text, ""));
        let prefix = prefix.parse().map_err(ParseJobError::Prefix)?;
        let sleepers = sleepers.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        let sleeper = |entry: &str| {
            let wrong = || ParseJobError::Sleeper(entry.to_owned());
            let mut numbers = entry.split('+');
            let lane: Option<usize> = numbers.next().and_then(|lane| lane.parse().ok());
            let lane = lane.and_then(|lane| lane.checked_sub(1)).filter(|&lane| lane < MAX_LANES);
            let gave_back = numbers.map(|lock| lock.parse().map_err(|_| wrong()));
            Ok(Sleeper {
                lane: lane.ok_or_else(wrong)?,
                gave_back: gave_back.collect::<Result<_, _>>()?,
            })
        };
        Ok(Self { prefix, sleepers: sleepers.map(sleeper).collect::<Result<_, _>>()? })
    }
}

#[cfg(test)]
mod tests;
