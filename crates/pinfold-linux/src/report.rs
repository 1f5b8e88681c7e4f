//! The result of comparing a kernel with the model, as data.
//!
//! No result says that a kernel passes: it says what was seen in how many trials, and whether the
//! model allows it. The JSON form is versioned by its first key.

use std::collections::BTreeMap;
use std::fmt;

use pinfold_lab::resolved::Resolved;
use serde::{Deserialize, Serialize};

use crate::fit::Missing;
use crate::job::{Conduct, Features, Found};
use crate::judge::Outcome;
use crate::kernel::Kernel;

/// The version of the JSON form.
pub const FORMAT: u32 = 1;

/// The answer, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Every outcome seen is allowed, and every allowed one was seen.
    Agree,
    /// Every outcome seen is allowed; some allowed ones were not seen, or not all could be seen.
    Within,
    /// An outcome was seen that the model forbids.
    Beyond,
    /// The scenario cannot be carried out here, or nothing of it can be seen.
    Skip,
    /// There is no answer: the scenario, the agent or the model's search is at fault.
    Error,
}

impl Verdict {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Agree => "AGREE",
            Self::Within => "WITHIN",
            Self::Beyond => "BEYOND",
            Self::Skip => "SKIP",
            Self::Error => "ERROR",
        }
    }

    /// What it means.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Agree => "every outcome seen is allowed, and every allowed one was seen",
            Self::Within => "only allowed outcomes were seen, and not all of them",
            Self::Beyond => "an outcome was seen that the model forbids",
            Self::Skip => "not carried out here",
            Self::Error => "no answer",
        }
    }

    /// The exit status of a process that reports only this.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Agree | Self::Within => 0,
            Self::Beyond => 1,
            Self::Error => 2,
            Self::Skip => 4,
        }
    }

    /// The verdict to report for several: the one that most needs attention.
    pub fn worst(verdicts: impl Iterator<Item = Self>) -> Self {
        let weight = |verdict: &Self| match verdict {
            Self::Agree => 0,
            Self::Within => 1,
            Self::Skip => 2,
            Self::Error => 3,
            Self::Beyond => 4,
        };
        verdicts.max_by_key(weight).unwrap_or(Self::Skip)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How often the model has an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Allowed {
    /// In every execution.
    Always,
    /// In some.
    Sometimes,
    /// In none.
    Never,
}

impl Allowed {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Always => "always",
            Self::Sometimes => "sometimes",
            Self::Never => "never",
        }
    }
}

/// One outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Row {
    /// The outcome, with the claims that it breaks.
    pub outcome: String,
    /// What the model says of it; none where part of the outcome is unknown.
    pub model: Option<Allowed>,
    /// The trials in which it was seen, for each of [`KernelReport::layers`].
    pub seen: Vec<u64>,
}

/// A kind of trial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Layer {
    /// What it is called.
    pub name: String,
    /// The trials that were made.
    pub trials: u64,
}

/// The first trial that the model forbids, with all that is needed to make it again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Beyond {
    /// The version of the JSON form.
    pub pinfold: u32,
    /// The kernel.
    pub kernel: Kernel,
    /// What was carried out.
    pub plan: Resolved,
    /// In which order.
    pub conduct: Conduct,
    /// How it ended.
    pub outcome: Outcome,
    /// What was found for each fact of the plan.
    pub facts: Vec<Found>,
    /// What the failed steps did.
    pub failed: Vec<String>,
    /// What the model allows, in words.
    pub allowed: Vec<String>,
}

/// The result for one scenario.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct KernelReport {
    /// See [`FORMAT`].
    pub pinfold: u32,
    /// The answer.
    pub verdict: Verdict,
    /// The scenario's name.
    pub scenario: String,
    /// Where it was found.
    pub path: String,
    /// The kernel.
    pub kernel: Kernel,
    /// What the agent found on the machine.
    pub features: Features,
    /// Why there is no answer, or what keeps the scenario from being carried out.
    pub missing: Vec<Missing>,
    /// The kinds of trials.
    pub layers: Vec<Layer>,
    /// The outcomes, those of the model first.
    pub rows: Vec<Row>,
    /// What was not compared, and why.
    pub not_compared: Vec<String>,
    /// How much some counters of the whole system grew meanwhile.
    pub evidence: BTreeMap<String, u64>,
    /// The executions of the model.
    pub executions: u64,
    /// The first trial that the model forbids.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beyond: Option<Box<Beyond>>,
}

impl KernelReport {
    /// A report on a scenario that was not carried out, for this reason.
    pub fn refused(
        scenario: &str,
        path: &str,
        kernel: Kernel,
        verdict: Verdict,
        why: &str,
    ) -> Self {
        Self::empty(scenario, path, kernel, Features::default()).because(verdict, why)
    }

    /// A report that says nothing yet of what was found.
    pub(crate) fn empty(scenario: &str, path: &str, kernel: Kernel, features: Features) -> Self {
        Self {
            pinfold: FORMAT,
            verdict: Verdict::Error,
            scenario: scenario.to_owned(),
            path: path.to_owned(),
            kernel,
            features,
            missing: Vec::new(),
            layers: Vec::new(),
            rows: Vec::new(),
            not_compared: Vec::new(),
            evidence: BTreeMap::new(),
            executions: 0,
            beyond: None,
        }
    }

    /// There is no answer, for this reason.
    pub(crate) fn because(mut self, verdict: Verdict, why: impl ToString) -> Self {
        self.verdict = verdict;
        self.missing.push(Missing { step: String::new(), why: why.to_string() });
        self
    }

    /// The trials that were made.
    pub fn trials(&self) -> u64 {
        self.layers.iter().map(|layer| layer.trials).sum()
    }
}
