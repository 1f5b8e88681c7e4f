//! Failing executions on disk: what a replay file holds, and how it is run again.
//!
//! A file is self-contained: it carries the scenario's text and every rule, so neither an edited
//! scenario nor a preset whose meaning changes later affects what is run. It also carries what the
//! execution did, and a replay that does anything else is an error, not a different verdict.
//!
//! - INV-SAVED-1: what [`ReplayFile::record`] makes, [`ReplayFile::replay`] repeats without
//!   divergence.
//! - INV-SAVED-2: nothing in a file is trusted: any text gives a report or a [`ReplayFileError`].

use std::fmt;

use pinfold::Rules;
use pinfold::rules::RuleError;
use pinfold_explore::{ParseLockFormError, ParseModelError};
use serde::{Deserialize, Serialize};

use crate::check::replay_schedule;
use crate::report::{Broken, Chosen, FORMAT, Finding, Oracle, Report, RowKind, Trace, Verdict, id};
use crate::scenario::{self, Scenario};

#[cfg(test)]
mod tests;

/// The version of the code that executes scenarios: a schedule is valid only for the version that
/// found it.
pub const ENGINE: &str = env!("CARGO_PKG_VERSION");

/// Which engines a file may come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engines {
    /// Only this one.
    Same,
    /// Any: running it shows whether the execution is still the same.
    Any,
}

/// A failing execution.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ReplayFile {
    /// The version of this format, which is that of reports; see [`FORMAT`].
    pub pinfold: u32,
    /// The version of the engine that found the execution; see [`ENGINE`].
    pub engine: String,
    /// The id of the report that the execution comes from.
    pub id: String,
    /// What was executed.
    pub scenario: SavedScenario,
    /// The rules it ran under, with every switch named.
    pub rules: String,
    /// The memory model: `sc`, `tso` or `weak`.
    pub model: String,
    /// What form the locks took: `object` or `code`.
    pub locks: String,
    /// The order of all accesses, and all choices.
    pub schedule: String,
    /// What happened, in order.
    pub events: Vec<SavedEvent>,
    /// The answer.
    pub verdict: Verdict,
    /// The oracle that noticed first.
    pub oracle: Oracle,
    /// What it noticed.
    pub message: String,
    /// What other oracles noticed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<Finding>,
}

/// A scenario in full.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SavedScenario {
    /// Its short name.
    pub name: String,
    /// Where it was read from.
    pub path: String,
    /// Its canonical text.
    pub text: String,
    /// The hash of the text.
    pub hash: String,
}

/// One step of a scenario, or something that resulted from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SavedEvent {
    /// The name of the lane.
    pub lane: String,
    /// The step's text, or what happened.
    pub text: String,
    /// What it changed in the watched pages.
    pub state: Option<String>,
}

impl fmt::Display for SavedEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.lane, self.text)?;
        match &self.state {
            Some(state) => write!(f, " | {state}"),
            None => Ok(()),
        }
    }
}

/// Why a text is not a replay file that can be run here.
#[derive(Debug)]
pub enum ReplayFileError {
    /// It is not JSON, or a field is missing.
    Json(serde_json::Error),
    /// It is in another format.
    Format(u32),
    /// Another engine made it.
    Engine(String),
    /// The scenario's text is not the one that was saved.
    Changed,
    /// The scenario has errors; the first of them.
    Scenario(String),
    /// The rules are not understood.
    Rules(RuleError),
    /// There is no such memory model.
    Model(ParseModelError),
    /// There is no such form of locks.
    Locks(ParseLockFormError),
    /// The schedule is not valid.
    Schedule(String),
}

impl fmt::Display for ReplayFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(why) => write!(f, "it is no replay file: {why}"),
            Self::Format(found) => write!(f, "it has form {found}, and this is for form {FORMAT}"),
            Self::Engine(found) => write!(
                f,
                "engine {} made it, and this is engine {ENGINE}: the schedule may mean another \
                 execution here",
                found.escape_debug()
            ),
            Self::Changed => {
                write!(f, "scenario.text does not fit scenario.hash: the file was changed")
            }
            Self::Scenario(why) => write!(f, "in scenario.text: {why}"),
            Self::Rules(why) => write!(f, "in rules: {why}"),
            Self::Model(why) => why.fmt(f),
            Self::Locks(why) => why.fmt(f),
            Self::Schedule(why) => write!(f, "in schedule: {why}"),
        }
    }
}

impl std::error::Error for ReplayFileError {}

/// What must be understood of a file before the rest of it is examined.
#[derive(Deserialize)]
struct Head {
    pinfold: u32,
    engine: String,
}

impl ReplayFile {
    /// The file for the failing execution that `found` describes in full; none if it describes
    /// none, or has only the verdict.
    pub fn record(scenario: &Scenario, rules: &Rules, found: &Report) -> Option<Self> {
        let broken = found.broken.as_ref().filter(|_| found.verdict == Verdict::Fail)?;
        let trace = found.trace.as_ref().filter(|_| !broken.schedule.is_empty())?;
        let text = scenario::format(scenario);
        Some(Self {
            pinfold: FORMAT,
            engine: ENGINE.to_owned(),
            id: found.id.clone(),
            scenario: SavedScenario {
                name: found.scenario.name.clone(),
                path: found.scenario.path.clone(),
                hash: id(&[&text]),
                text,
            },
            rules: full_text(rules),
            model: found.search.model.to_string(),
            locks: found.search.locks.to_string(),
            schedule: broken.schedule.clone(),
            events: events(trace),
            verdict: found.verdict,
            oracle: broken.oracle,
            message: broken.what.join("\n"),
            also: broken.also.clone(),
        })
    }

    /// Reads a file.
    ///
    /// # Errors
    /// When it is not a replay file, is in another format, was made by an engine that `engines`
    /// excludes, or its scenario was changed.
    pub fn parse(text: &str, engines: Engines) -> Result<Self, ReplayFileError> {
        let head: Head = serde_json::from_str(text).map_err(ReplayFileError::Json)?;
        if head.pinfold != FORMAT {
            return Err(ReplayFileError::Format(head.pinfold));
        }
        if engines == Engines::Same && head.engine != ENGINE {
            return Err(ReplayFileError::Engine(head.engine));
        }
        let file: Self = serde_json::from_str(text).map_err(ReplayFileError::Json)?;
        if id(&[&file.scenario.text]) != file.scenario.hash {
            return Err(ReplayFileError::Changed);
        }
        Ok(file)
    }

    /// Runs the execution again and compares it with what the file says. If the execution diverges,
    /// the report is an error that shows both sides.
    ///
    /// # Errors
    /// When the scenario, the rules, the model or the schedule are not understood.
    pub fn replay(&self) -> Result<Report, ReplayFileError> {
        let (scenario, rules) = self.subject()?;
        let model = self.model.parse().map_err(ReplayFileError::Model)?;
        let locks = self.locks.parse().map_err(ReplayFileError::Locks)?;
        let path = &self.scenario.path;
        let mut report = replay_schedule(&scenario, path, &rules, (model, locks), &self.schedule)
            .map_err(ReplayFileError::Schedule)?;
        match self.divergence(&report) {
            Some(what) => diverged(&mut report, what, &self.schedule),
            None => {
                report.id.clone_from(&self.id);
                report.search.strategy = Chosen::Replay(Some(self.events.len()));
            }
        }
        Ok(report)
    }

    /// The scenario of the execution, and the rules that it was under.
    ///
    /// # Errors
    /// When one of them is not understood.
    pub fn subject(&self) -> Result<(Scenario, Rules), ReplayFileError> {
        let scenario = scenario::parse(&self.scenario.text).map_err(|errors| {
            let first = errors.first().map(|error| error.message.clone());
            ReplayFileError::Scenario(first.unwrap_or_default())
        })?;
        let rules = Rules::parse(&self.rules).map_err(ReplayFileError::Rules)?;
        Ok((scenario, rules))
    }

    /// The first difference from the recording: a statement, and both sides.
    fn divergence(&self, now: &Report) -> Option<Vec<String>> {
        let events = now.trace.as_ref().map(events).unwrap_or_default();
        let differs = |at: &usize| self.events.get(*at) != events.get(*at);
        let most = self.events.len().max(events.len());
        let left = now.search.incomplete.iter().map(|why| format!("in the schedule, {why}"));
        if let Some(at) = (0..most).find(differs) {
            let statement = format!(
                "event {} of {} is not the recorded one{}",
                at + 1,
                self.events.len(),
                steps_before(now, at)
            );
            let show = |event: Option<&SavedEvent>| {
                event.map_or_else(|| "nothing: it had ended".to_owned(), SavedEvent::to_string)
            };
            let sides = sides(&show(self.events.get(at)), &show(events.get(at)));
            return Some([statement].into_iter().chain(sides).chain(left).collect());
        }
        let ending = |oracle: Oracle, message: &str, also: &[Finding]| {
            let also = also.iter().map(|other| format!("; {}: {}", other.oracle, other.what));
            format!("{oracle}: {message}{}", also.collect::<String>())
        };
        let nothing = || "nothing broke".to_owned();
        let recorded = match self.verdict {
            Verdict::Pass => nothing(),
            _ => ending(self.oracle, &self.message, &self.also),
        };
        let found = now.broken.as_ref().map_or_else(nothing, |broken| {
            ending(broken.oracle, &broken.what.join("\n"), &broken.also)
        });
        if recorded != found {
            let statement = "every event is as recorded, but not what came of it".to_owned();
            return Some(
                [statement].into_iter().chain(sides(&recorded, &found)).chain(left).collect(),
            );
        }
        let left: Vec<String> = left.collect();
        (!left.is_empty()).then(|| {
            let statement =
                "every event is as recorded, but not the accesses between them".to_owned();
            [statement].into_iter().chain(left).collect()
        })
    }
}

/// The two sides of a difference.
fn sides(recorded: &str, now: &str) -> [String; 2] {
    [format!("recorded  {recorded}"), format!("now       {now}")]
}

/// The step of the scenario to which the event belongs.
fn steps_before(report: &Report, event: usize) -> String {
    let rows = report.trace.iter().flat_map(|trace| &trace.rows);
    let rows = rows.filter(|row| row.kind != RowKind::Switch);
    match rows.take(event + 1).filter_map(|row| row.step).last() {
        Some(step) => format!(", in step {step}"),
        None => String::new(),
    }
}

/// Makes the report of an execution that diverged from the recording.
fn diverged(report: &mut Report, what: Vec<String>, schedule: &str) {
    report.verdict = Verdict::Error;
    let why = vec!["The file was changed, or it comes from another engine.".to_owned()];
    let broken = Broken::without_execution(Oracle::Divergence, what, why);
    report.broken = Some(Broken { schedule: schedule.to_owned(), ..broken });
}

/// The events of a trace: its rows without the switches, which follow from the lanes.
fn events(trace: &Trace) -> Vec<SavedEvent> {
    let rows = trace.rows.iter().filter(|row| row.kind != RowKind::Switch);
    let lane = |lane: usize| trace.lanes.get(lane).map(|head| head.name.clone());
    rows.map(|row| SavedEvent {
        lane: row.lane.and_then(lane).unwrap_or_default(),
        text: row.text.clone(),
        state: row.state.clone(),
    })
    .collect()
}

/// The rules with every switch named, so that they do not depend on what their base will mean
/// later.
fn full_text(rules: &Rules) -> String {
    let shown = rules.to_string();
    let base = shown.split(',').next().unwrap_or_default().to_owned();
    let switches = Rules::switches().filter_map(|switch| {
        let variant = rules.get(switch.name).ok()?;
        Some(format!("{}={variant}", switch.name))
    });
    [base].into_iter().chain(switches).collect::<Vec<_>>().join(",")
}
