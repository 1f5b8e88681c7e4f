//! How executions end, as far as a scenario says anything about it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::report::Finding;

/// The label of an execution in which a step did not do what it should.
pub const FAILED: &str = "failed";

/// How an execution ended, as far as the scenario says anything about it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Ended {
    /// The outcome's label; [`FAILED`] if a step failed.
    pub outcome: String,
    /// The lines of `always` that it breaks, counted from 0 in the order of the text.
    pub broken: Vec<usize>,
    /// The steps that did not do what they should, as they are written, in alphabetical order.
    pub failed: Vec<String>,
}

/// How often an end was met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Met {
    /// Executions that ended so.
    pub executions: u64,
    /// Those among them in which an oracle found something: a claim, or one of the machine's own.
    pub found: u64,
}

/// Every end that the search met.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ends {
    /// Each end, and how often it was met.
    pub met: BTreeMap<Ended, Met>,
    /// What the oracles found in the executions, claims and failing steps aside. An execution goes
    /// on after such a finding as a kernel does after a warning, so that later ones are met as
    /// well.
    pub findings: BTreeSet<Finding>,
    /// The executions that were made.
    pub executions: u64,
    /// Why there may be more ends, if the search did not try everything.
    pub incomplete: Option<String>,
}

impl Ends {
    /// How often each outcome was met, whatever else was broken, in alphabetical order.
    pub fn outcomes(&self) -> BTreeMap<&str, Met> {
        let mut outcomes: BTreeMap<&str, Met> = BTreeMap::new();
        for (ended, met) in &self.met {
            let sum = outcomes.entry(&ended.outcome).or_default();
            sum.executions = sum.executions.saturating_add(met.executions);
            sum.found = sum.found.saturating_add(met.found);
        }
        outcomes
    }
}
