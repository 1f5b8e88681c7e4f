//! A part of a search, as text that another process can work on.
//!
//! A job of an exhaustive search stands for all executions that begin with its steps, except those
//! that continue with what a sleeping lane would do: they belong to other jobs. Its text is that of
//! a [`Schedule`], followed by a semicolon and the sleeping lanes, counted from 1, each with what
//! its step touches: `1,1,2.1;1+w4,3+k2x`. It is meaningful only for the same version of the same
//! subject.
//!
//! A job of a random search stands for some of its runs: `runs 300+100` for a hundred from run 300
//! on; `runs 300+100/41` if it must record that changes of priority are spread over 41 steps.

use crate::{
    lane::MAX_LANES,
    schedule::{Choice, ParseScheduleError, Schedule},
    search::Touch,
};
use std::{fmt, str::FromStr};

/// A part of a search; see [`crate::jobs`]. The default is the whole search.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Job {
    prefix: Schedule,
    /// The lanes that sleep when the last step has been made, and what their steps touch.
    asleep: Vec<(usize, Touch)>,
    runs: Option<Range>,
}

/// Some runs of a random search.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Range {
    pub(crate) first: u64,
    pub(crate) count: u64,
    /// The steps that changes of priority are spread over, for a search that makes any.
    pub(crate) length: Option<usize>,
}

impl Job {
    pub(crate) fn new(prefix: Vec<Choice>, asleep: Vec<(usize, Touch)>) -> Self {
        Self { prefix: Schedule::from(prefix), asleep, runs: None }
    }

    /// Runs of a random search.
    pub(crate) fn random(runs: Range) -> Self {
        Self { runs: Some(runs), ..Self::default() }
    }

    /// How many executions it stands for, if known: the runs of a random search.
    pub fn executions(&self) -> Option<u64> {
        self.runs.map(|runs| runs.count)
    }

    /// Whether it is a whole search.
    pub(crate) fn is_whole(&self) -> bool {
        *self == Self::default()
    }

    /// The runs that it stands for, if it is a part of a random search.
    pub(crate) fn runs(&self) -> Option<Range> {
        self.runs
    }

    /// The steps with which every execution of the job begins.
    pub(crate) fn steps(&self) -> &[Choice] {
        self.prefix.steps()
    }

    pub(crate) fn asleep(&self) -> &[(usize, Touch)] {
        &self.asleep
    }
}

impl fmt::Display for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(Range { first, count, length }) = self.runs {
            write!(f, "runs {first}+{count}")?;
            return length.map_or(Ok(()), |length| write!(f, "/{length}"));
        }
        self.prefix.fmt(f)?;
        for (index, (lane, touch)) in self.asleep.iter().enumerate() {
            write!(f, "{}{}+{touch}", if index == 0 { ';' } else { ',' }, lane + 1)?;
        }
        Ok(())
    }
}

/// The error for text that is not a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParseJobError {
    /// The part before the semicolon is not a schedule.
    Prefix(ParseScheduleError),
    /// An entry after the semicolon is not a sleeping lane.
    Sleeper(String),
    /// What follows the word `runs` is not a range of runs.
    Runs(String),
}

impl fmt::Display for ParseJobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prefix(error) => error.fmt(f),
            Self::Sleeper(text) => write!(
                f,
                "a sleeping lane of the job is `{text}`: write a lane from 1 to {MAX_LANES} and what \
                 it touches, as in `2+w7`"
            ),
            Self::Runs(text) => write!(
                f,
                "the runs of the job are `{text}`: write the first and how many, and the steps that \
                 changes of priority are spread over if there are any, as in `300+100` or \
                 `300+100/41`"
            ),
        }
    }
}

impl std::error::Error for ParseJobError {}

impl FromStr for Job {
    type Err = ParseJobError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(runs) = text.trim().strip_prefix("runs") {
            let wrong = || ParseJobError::Runs(runs.trim().to_owned());
            return Range::parse(runs.trim()).map(Self::random).ok_or_else(wrong);
        }
        let (prefix, sleepers) = text.split_once(';').unwrap_or((text, ""));
        let prefix = prefix.parse().map_err(ParseJobError::Prefix)?;
        let sleepers = sleepers.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        let sleeper = |entry: &str| {
            let read = || {
                let (lane, touch) = entry.split_once('+')?;
                let lane = lane.parse::<usize>().ok()?.checked_sub(1)?;
                Some((lane, touch.parse().ok()?)).filter(|_| lane < MAX_LANES)
            };
            read().ok_or_else(|| ParseJobError::Sleeper(entry.to_owned()))
        };
        let asleep = sleepers.map(sleeper).collect::<Result<_, _>>()?;
        Ok(Self { prefix, asleep, runs: None })
    }
}

impl Range {
    /// Whether these are among that many runs.
    pub(crate) fn is_within(self, runs: u64) -> bool {
        self.first + self.count <= runs.max(1)
    }

    pub(crate) fn contains(self, run: u64) -> bool {
        (self.first..self.first + self.count).contains(&run)
    }

    fn parse(text: &str) -> Option<Self> {
        let (runs, length) = match text.split_once('/') {
            Some((runs, length)) => (runs, Some(length.parse().ok().filter(|&steps| steps > 0)?)),
            None => (text, None),
        };
        let (first, count) = runs.split_once('+')?;
        let (first, count): (u64, u64) = (first.parse().ok()?, count.parse().ok()?);
        first.checked_add(count).filter(|_| count > 0)?;
        Some(Self { first, count, length })
    }
}

#[cfg(test)]
mod tests;
