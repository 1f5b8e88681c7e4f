//! The schedule of one execution, as text that another process can replay.
//!
//! One entry for each step, separated by commas: the place of the lane, counted from 1 (a lane that
//! starts later may take the place of one that has ended), and after a dot, when it is not zero,
//! the choice: for a load how many stores back from the latest it read, for a store how many stores
//! it was placed before, for data nondeterminism the value chosen. `1,1,2,2.1` lets lane 1 make two
//! steps, then lane 2 two, the second of which reads the store before the latest one.

use std::{fmt, str::FromStr};

/// One step of a [`Schedule`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Choice {
    /// The place of the lane that made the step, counted from 0.
    pub lane: usize,
    /// Which of the possible results the step had: see [`Schedule`]'s text form. Zero is the
    /// ordinary one.
    pub choice: u32,
}

/// The order in which the lanes of one execution made their steps, and what each step chose.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Schedule {
    steps: Vec<Choice>,
}

impl Schedule {
    /// The steps in order.
    pub fn steps(&self) -> &[Choice] {
        &self.steps
    }

    /// How often the execution switched from one lane to another.
    pub fn switches(&self) -> u32 {
        let switches = self.steps.windows(2).filter(|pair| pair[0].lane != pair[1].lane).count();
        u32::try_from(switches).unwrap_or(u32::MAX)
    }
}

impl From<Vec<Choice>> for Schedule {
    fn from(steps: Vec<Choice>) -> Self {
        Self { steps }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.steps.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            write!(f, "{}", step.lane + 1)?;
            if step.choice > 0 {
                write!(f, ".{}", step.choice)?;
            }
        }
        Ok(())
    }
}

/// The error for text that is not a schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseScheduleError {
    /// Which entry is wrong, counted from 1.
    pub entry: usize,
    /// The entry as given.
    pub text: String,
}

impl fmt::Display for ParseScheduleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "entry {} of the schedule is `{}`: write a lane from 1 on, with an optional \
             choice after a dot, as in `2` or `2.1`",
            self.entry, self.text
        )
    }
}

impl std::error::Error for ParseScheduleError {}

impl FromStr for Schedule {
    type Err = ParseScheduleError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let parse = |(index, entry): (usize, &str)| {
            let entry = entry.trim();
            let wrong = || ParseScheduleError { entry: index + 1, text: entry.to_owned() };
            let (lane, choice) = entry.split_once('.').unwrap_or((entry, "0"));
            let lane: usize = lane.parse().map_err(|_| wrong())?;
            let choice = choice.parse().map_err(|_| wrong())?;
            Ok(Choice { lane: lane.checked_sub(1).ok_or_else(wrong)?, choice })
        };
        let steps = text.split(',').enumerate().map(parse).collect::<Result<_, _>>()?;
        Ok(Self { steps })
    }
}

#[cfg(test)]
mod tests;
