//! What is left out of a recording, how often, and what that means for an answer.
//!
//! INV-GAP-1: at most [`MOST_REASONS`] reasons are told apart; the rest is one more.
//! INV-GAP-2: what one reason means only grows: of two meanings the worse one stays.

use std::collections::BTreeMap;

/// The most reasons that are told apart.
const MOST_REASONS: usize = 200;

/// What it means for an answer that something was left out. This alone decides whether a search
/// that found nothing may be called safe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Gap {
    /// Nothing: what is left out could not have changed it.
    #[default]
    None,
    /// strace does not tell it, or it is not understood: safe as far as the recording shows.
    Untold,
    /// A call that takes, moves or forks memory was dropped: the answer is about a part.
    Dropped,
}

/// What is left out.
#[derive(Clone, Debug, Default)]
pub(super) struct Left {
    reasons: BTreeMap<String, (u64, Gap)>,
}

impl Left {
    /// Counts what is left out.
    pub(super) fn add(&mut self, why: &str, times: u64, gap: Gap) {
        if times == 0 {
            return;
        }
        let known = self.reasons.len() < MOST_REASONS || self.reasons.contains_key(why);
        let why = if known { why } else { "other calls" };
        let (counted, worst) = self.reasons.entry(why.to_owned()).or_default();
        *counted = counted.saturating_add(times);
        *worst = gap.max(*worst);
    }

    /// The reason that starts like this, if there is one.
    pub(super) fn starting(&self, with: &str) -> Option<&str> {
        self.reasons.keys().find(|why| why.starts_with(with)).map(String::as_str)
    }

    /// What it means, all in all.
    pub(super) fn gap(&self) -> Gap {
        self.reasons.values().map(|(_, gap)| *gap).max().unwrap_or_default()
    }

    /// Each reason with how often.
    pub(super) fn told(&self) -> Vec<String> {
        let counted = |(why, (times, _)): (&String, &(u64, Gap))| match times {
            1 => why.clone(),
            many => format!("{why} ({many} times)"),
        };
        self.reasons.iter().map(counted).collect()
    }
}
