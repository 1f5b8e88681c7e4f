//! The report: everything one run or check has to say, as data.
//!
//! The laboratory fills a [`Report`]; every output format derives from it, so nothing that a reader
//! sees is decided twice. Invariants:
//!
//! 1. A report is self-contained: a renderer needs neither the scenario nor the machine.
//! 2. [`Row::lane`] indexes [`Trace::lanes`]; a renderer tolerates an index out of range.
//! 3. [`Report::id`] depends on content alone, so one failure has one id on every machine.
//!
//! The JSON form is versioned by its first key, `"pinfold": 3`; the meaning of a field may not
//! change without a new number there.

use pinfold_explore::{LockForm, Model};
use serde::{Deserialize, Serialize};

use crate::scenario::Code;

mod chosen;
mod deciding;
mod explained;
mod hash;
mod oracle;
#[cfg(test)]
mod tests;

pub(crate) use chosen::by_name;
pub use chosen::{Chosen, ParseChosenError, Way};
pub use explained::{
    Decision, Explained, FrameScene, HandleHead, HandleKind, HandleScene, PageScene, Scene,
    TranslationScene,
};
pub use hash::{content_hash, id};
pub use oracle::{Finding, Oracle, UnknownOracle};

/// The version of the JSON form, held in [`Report::pinfold`].
pub const FORMAT: u32 = 3;

/// The answer, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Everything within the stated bounds was explored and nothing broke.
    Pass,
    /// Nothing broke, but a bound or the clock ended the search first.
    Partial,
    /// A claim or an oracle broke.
    Fail,
    /// The question cannot be asked here.
    Skip,
    /// The tool or the scenario is at fault, so there is no answer.
    Error,
}

impl Verdict {
    /// The exit status by which a process reports this verdict.
    pub fn exit_code(self) -> u8 {
        match self {
            Verdict::Pass => 0,
            Verdict::Fail => 1,
            Verdict::Error => 2,
            Verdict::Partial => 3,
            Verdict::Skip => 4,
        }
    }
}

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// One execution in a given order.
    Run,
    /// A search through executions.
    Check,
}

/// The whole result of one run or check.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Report {
    /// The version of this form; see [`FORMAT`].
    pub pinfold: u32,
    /// A content hash; see [`id`].
    pub id: String,
    /// The answer.
    pub verdict: Verdict,
    /// What was asked for.
    pub mode: Mode,
    /// Which scenario.
    pub scenario: ScenarioHead,
    /// The rules it ran under, as the user wrote them.
    pub rules: String,
    /// How the answer was found, and how much work that took.
    pub search: Search,
    /// What broke, if anything did.
    pub broken: Option<Broken>,
    /// The execution worth showing: the single run, or the failing execution.
    pub trace: Option<Trace>,
    /// Its shared accesses, in order; only a replay lists them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accesses: Vec<AccessRow>,
    /// What the scenario says of itself; only a run and a replay repeat it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub about: Vec<String>,
    /// What there is to say of each row of the trace, in order; only a run and a replay say it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub explained: Vec<Explained>,
    /// The rule decisions that matter for [`Report::trace`].
    pub decisions: Vec<Decision>,
    /// How often each outcome was seen.
    pub outcomes: Vec<Outcome>,
    /// How often each interesting window was reached: evidence that a pass is not vacuous.
    pub reached: Vec<Reached>,
    /// The end state of a run, compared with what the scenario expects.
    pub ends: Vec<EndLine>,
    /// The bounds within which the answer holds.
    pub bounds: Vec<String>,
    /// What the search did not cover.
    pub not_covered: Vec<String>,
    /// What the execution cost.
    pub costs: Vec<Cost>,
}

impl Report {
    /// The exit status of a process that reports only this.
    pub fn exit_code(&self) -> u8 {
        self.verdict.exit_code()
    }

    /// Whether the question cannot be asked under these rules, as a step needs what their release
    /// does not have: nothing was run, and the verdict is [`Verdict::Skip`].
    pub fn is_absent(&self) -> bool {
        self.broken.as_ref().is_some_and(|broken| broken.code == Some(Code::Absent))
    }

    /// Adds the counts of another part of the same search.
    pub(crate) fn absorb(&mut self, other: &Report) {
        self.search.absorb(&other.search);
        for outcome in &other.outcomes {
            match self.outcomes.binary_search_by(|known| known.label.cmp(&outcome.label)) {
                Ok(at) => {
                    self.outcomes[at].count = self.outcomes[at].count.saturating_add(outcome.count)
                }
                Err(at) => self.outcomes.insert(at, outcome.clone()),
            }
        }
        for (known, goal) in self.reached.iter_mut().zip(&other.reached) {
            known.count = known.count.saturating_add(goal.count);
        }
    }

    /// A search by bounds runs some executions again, and they may reach a goal again; in the
    /// report of a whole search they count once.
    pub(crate) fn cap_reached(&mut self) {
        for goal in &mut self.reached {
            goal.count = goal.count.min(self.search.begun());
        }
    }

    /// Takes over what another part of the same search reports about a failure.
    pub(crate) fn adopt_failure(&mut self, other: &Report) {
        self.verdict = other.verdict;
        self.id.clone_from(&other.id);
        self.search.incomplete.clone_from(&other.search.incomplete);
        self.broken.clone_from(&other.broken);
        self.trace.clone_from(&other.trace);
        self.decisions.clone_from(&other.decisions);
        self.ends.clone_from(&other.ends);
        self.costs.clone_from(&other.costs);
    }
}

/// Which scenario a report is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ScenarioHead {
    /// Its short name.
    pub name: String,
    /// Its title, when it has one.
    pub title: Option<String>,
    /// Where it was read from.
    pub path: String,
}

/// How the answer was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Search {
    /// The memory model.
    #[serde(with = "chosen::by_name")]
    pub model: Model,
    /// What form the locks took.
    #[serde(with = "chosen::by_name")]
    pub locks: LockForm,
    /// How executions were chosen.
    pub strategy: Chosen,
    /// Executions completed.
    pub executions: u64,
    /// Executions abandoned as equivalent to others or unable to continue.
    pub blocked: u64,
    /// Executions abandoned at a state that had been explored.
    #[serde(default)]
    pub pruned: u64,
    /// Executions cut off by the step bound.
    pub truncated: u64,
    /// States that were remembered.
    #[serde(default)]
    pub states: u64,
    /// The longest execution, in steps.
    pub steps_max: u64,
    /// Wall-clock time.
    pub seconds: f64,
    /// What ended the search early, if it did not finish.
    pub incomplete: Option<String>,
    /// What a machine with a stronger model does, if the search found a failure and asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elsewhere: Option<Elsewhere>,
}

/// Whether a failure that was found under a weak model needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Elsewhere {
    /// No access of the execution was late, so sequential consistency has it, and every machine.
    Everywhere,
    /// Under tso, as on x86, a search found a failure, too, after so many executions.
    TsoToo {
        /// The executions that it took.
        executions: u64,
    },
    /// Under tso every execution was tried, and none fails.
    NotTso {
        /// How many there are.
        executions: u64,
    },
    /// Under tso nothing was found in so many executions, which are not all.
    NotFoundUnderTso {
        /// How many were tried.
        executions: u64,
    },
}

impl Search {
    /// The executions that were begun, whatever became of them.
    pub fn begun(&self) -> u64 {
        [self.blocked, self.pruned, self.truncated]
            .into_iter()
            .fold(self.executions, u64::saturating_add)
    }

    /// Adds the work of another part of the same search.
    pub(crate) fn absorb(&mut self, other: &Search) {
        self.executions = self.executions.saturating_add(other.executions);
        self.blocked = self.blocked.saturating_add(other.blocked);
        self.pruned = self.pruned.saturating_add(other.pruned);
        self.states = self.states.saturating_add(other.states);
        self.truncated = self.truncated.saturating_add(other.truncated);
        self.steps_max = self.steps_max.max(other.steps_max);
        self.seconds += other.seconds;
    }
}

/// What broke, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Broken {
    /// The oracle that noticed first.
    pub oracle: Oracle,
    /// What is wrong with the scenario, if the scenario is at fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
    /// What it noticed; the first line is the statement, the others are evidence.
    pub what: Vec<String>,
    /// What other oracles noticed in the same execution.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<Finding>,
    /// Why it happened, in sentences.
    pub why: Vec<String>,
    /// The schedule that leads there, in the form that a replay accepts.
    pub schedule: String,
    /// Length of that schedule in steps.
    pub steps: u64,
    /// Changes of lane along it.
    pub switches: u64,
    /// Its length before it was shortened, if it was.
    pub from_steps: Option<u64>,
    /// The changes of lane before it was shortened, if it was.
    #[serde(default)]
    pub from_switches: Option<u64>,
}

impl Broken {
    /// What `oracle` noticed, with no execution to show for it.
    pub(crate) fn without_execution(oracle: Oracle, what: Vec<String>, why: Vec<String>) -> Self {
        Self {
            oracle,
            code: None,
            what,
            also: Vec::new(),
            why,
            schedule: String::new(),
            steps: 0,
            switches: 0,
            from_steps: None,
            from_switches: None,
        }
    }

    /// What noticed the failure, in words: the oracle, after the code of the error if there is one.
    /// A scenario that cannot be executed is identified by its code alone.
    pub fn title(&self) -> String {
        match (self.code, self.oracle) {
            (Some(code), Oracle::Scenario) => code.to_string(),
            (Some(code), oracle) => format!("{code} {oracle}"),
            (None, oracle) => oracle.to_string(),
        }
    }
}

/// One execution in lanes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Trace {
    /// The lanes, from left to right.
    pub lanes: Vec<LaneHead>,
    /// What happened, in order.
    pub rows: Vec<Row>,
    /// Whether something ended the execution before its lanes had returned.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut_off: bool,
}

/// The head of a lane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LaneHead {
    /// The name of the task or device.
    pub name: String,
    /// Where it runs, such as `cpu0 node0`.
    pub place: String,
}

/// One line of a trace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Row {
    /// The step's number, for rows that are steps.
    pub step: Option<u32>,
    /// The lane it happens in; rows about the whole machine have none.
    pub lane: Option<usize>,
    /// What kind of row this is.
    pub kind: RowKind,
    /// What happens.
    pub text: String,
    /// What it changes, for the state column.
    pub state: Option<String>,
    /// Whether the explanation of a failure is about this row.
    pub cited: bool,
}

/// Kinds of trace rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RowKind {
    /// A step of the scenario.
    Step,
    /// Something that a step brought about.
    Note,
    /// Another lane continues.
    Switch,
    /// The execution is over: what follows are reads by the claims.
    Claims,
}

/// One access to what lanes share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct AccessRow {
    /// Its place in the schedule, from 1.
    pub step: u64,
    /// The name of the lane.
    pub lane: String,
    /// What it is and how it is ordered, such as `load acquire`.
    pub kind: String,
    /// What it accesses, such as `pte P:A`; empty for fences and choices.
    pub cell: String,
    /// The previous value, for cells.
    pub before: Option<String>,
    /// The new value, for writes.
    pub after: Option<String>,
    /// How many stores back from the latest it read or was placed.
    pub behind: u32,
}

/// How often an outcome was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Outcome {
    /// The outcome's label.
    pub label: String,
    /// Executions that ended in it.
    pub count: u64,
}

/// How often an interesting window was reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Reached {
    /// The window.
    pub what: String,
    /// Executions that reached it.
    pub count: u64,
}

/// One line of a run's end state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct EndLine {
    /// What is looked at.
    pub what: String,
    /// What it is.
    pub value: String,
    /// What the scenario expects there, if it says.
    pub expect: Option<String>,
    /// Whether the two agree; true when nothing is expected.
    pub ok: bool,
}

/// One counted cost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Cost {
    /// What is counted, in the plural.
    pub name: String,
    /// How many.
    pub value: u64,
}
