//! Waits: signals and lanes that exist, and an end to each wait.
//!
//! What ends a wait stays so: a signal is never taken back, a lane that has ended has ended, a
//! handle that was made has been made, and one that was not made will not be. So the order of the
//! lanes does not matter, and letting each lane go on as far as it can shows whether one of them is
//! stuck in every execution.

use super::super::ast::{Action, Lane, Made, Name, Scenario, Step};
use super::super::error::{Code, ScenarioError};
use super::super::suggest::did_you_mean;
use super::names::Names;
use std::collections::{BTreeSet, HashMap, HashSet};

/// Reports what is awaited and does not exist, and, if all of that exists, waits without an end.
pub(super) fn check(scenario: &Scenario, names: &Names<'_>, errors: &mut Vec<ScenarioError>) {
    let before = errors.len();
    unknown_signals(scenario, errors);
    unknown_lanes(scenario, errors);
    // After another error, a lane may only seem to be stuck.
    if before == 0 && errors.is_empty() {
        endless(scenario, names, errors);
    }
}

fn steps(scenario: &Scenario) -> impl Iterator<Item = &Step> {
    scenario.lanes.iter().flat_map(|lane| &lane.steps)
}

fn unknown_signals(scenario: &Scenario, errors: &mut Vec<ScenarioError>) {
    let given = |step: &Step| match &step.action {
        Action::Signal { signal } => Some(signal.value.clone()),
        _ => None,
    };
    let known: BTreeSet<String> = steps(scenario).filter_map(given).collect();
    for step in steps(scenario) {
        let Action::Await { signal } = &step.action else { continue };
        if !known.contains(&signal.value) {
            let help = did_you_mean(signal, "signals", known.iter().map(String::as_str));
            errors.push(
                ScenarioError::new(
                    Code::UnknownSignal,
                    signal.span,
                    format!("no lane gives the signal `{signal}`"),
                    "would wait for ever",
                )
                .maybe_help(help.or_else(|| Some(format!("write `signal {signal}` in a lane")))),
            );
        }
    }
}

fn unknown_lanes(scenario: &Scenario, errors: &mut Vec<ScenarioError>) {
    let known: BTreeSet<&str> = scenario.lanes.iter().map(|lane| lane.name.as_str()).collect();
    for after in scenario.lanes.iter().filter_map(|lane| lane.after.as_ref()) {
        if !known.contains(after.as_str()) {
            errors.push(
                ScenarioError::new(
                    Code::UnknownLane,
                    after.span,
                    format!("there is no lane `{after}`"),
                    "unknown lane",
                )
                .maybe_help(did_you_mean(after, "lanes", known.iter().copied())),
            );
        }
    }
}

/// What a lane waits for, by its name.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Wait<'a> {
    /// The fork of the lane's own process.
    Fork(&'a str),
    /// The end of another lane.
    End(&'a str),
    Signal(&'a str),
    /// A handle that a lane makes, or has failed to make.
    Handle(&'a str),
    /// The end or the exec of a process that was made by vfork.
    Left(&'a str),
}

/// How far the lanes come, each as far as it can.
struct Progress<'a> {
    scenario: &'a Scenario,
    /// Whether every step that may fail does.
    fails: bool,
    /// What lanes make: a wait for anything else is none.
    made_by_lanes: HashSet<Wait<'a>>,
    happened: HashSet<Wait<'a>>,
    /// Each lane's next step.
    next: Vec<usize>,
    /// The lanes that wait, by what they wait for.
    waiting: HashMap<Wait<'a>, Vec<usize>>,
}

/// What a step makes that a lane can wait for.
fn makes(step: &Step) -> Option<Wait<'_>> {
    if step.fails.is_some() {
        return None;
    }
    if let Action::Signal { signal } = &step.action {
        return Some(Wait::Signal(signal));
    }
    match step.action.makes()? {
        Made::Process(name) => Some(Wait::Fork(name)),
        Made::Handle(name) => Some(Wait::Handle(name)),
        Made::Area(_) | Made::Register(_) => None,
    }
}

/// What a step waits for before it does anything.
fn awaits(step: &Step) -> Option<Wait<'_>> {
    if let Action::Await { signal } = &step.action {
        return Some(Wait::Signal(signal));
    }
    step.action.uses_handle().map(|handle| Wait::Handle(handle))
}

impl<'a> Progress<'a> {
    fn of(scenario: &'a Scenario, fails: bool, runs: impl Fn(&Lane) -> bool) -> Self {
        let lanes = &scenario.lanes;
        let made = lanes.iter().flat_map(|lane| &lane.steps).filter_map(makes);
        let ends = lanes.iter().map(|lane| Wait::End(&lane.name));
        let mut progress = Self {
            scenario,
            fails,
            made_by_lanes: made.chain(ends).collect(),
            happened: HashSet::new(),
            next: vec![0; lanes.len()],
            waiting: HashMap::new(),
        };
        let mut ready: Vec<usize> = (0..lanes.len()).filter(|lane| runs(&lanes[*lane])).collect();
        while let Some(lane) = ready.pop() {
            progress.go(lane, &mut ready);
        }
        progress
    }

    /// Lets a lane go on; those that waited for what it makes become ready.
    fn go(&mut self, lane: usize, ready: &mut Vec<usize>) {
        let scenario = self.scenario;
        let this = &scenario.lanes[lane];
        let fork = this.process().map(Wait::Fork);
        let after = this.after.as_ref().map(|other| Wait::End(other));
        if let Some(wait) = fork.into_iter().chain(after).find(|wait| self.is_missing(wait)) {
            return self.waiting.entry(wait).or_default().push(lane);
        }
        while let Some(step) = this.steps.get(self.next[lane]) {
            if let Some(wait) = awaits(step).filter(|wait| self.is_missing(wait)) {
                return self.waiting.entry(wait).or_default().push(lane);
            }
            let left = this.process().filter(|_| step.action.leaves_space()).map(Wait::Left);
            self.happens(makes(step), ready);
            self.happens(left, ready);
            if let Action::Vfork { child } = &step.action
                && step.fails.is_none()
                && !(self.fails && step.may_fail.is_some())
                && !self.happened.contains(&Wait::Left(child))
            {
                // The step comes again when the child has left, and then makes nothing new.
                return self.waiting.entry(Wait::Left(child)).or_default().push(lane);
            }
            self.next[lane] += 1;
        }
        self.happens(Some(Wait::End(&this.name)), ready);
    }

    fn is_missing(&self, wait: &Wait<'a>) -> bool {
        self.made_by_lanes.contains(wait) && !self.happened.contains(wait)
    }

    fn happens(&mut self, what: Option<Wait<'a>>, ready: &mut Vec<usize>) {
        let Some(what) = what else { return };
        self.happened.insert(what);
        ready.extend(self.waiting.remove(&what).unwrap_or_default());
    }

    /// What the lanes that came to no end wait for, where it is written.
    fn stuck(&self) -> impl Iterator<Item = (Wait<'a>, &'a Name)> {
        let lanes =
            self.waiting.iter().flat_map(|(wait, lanes)| lanes.iter().map(|at| (*wait, *at)));
        lanes.filter_map(|(wait, at)| {
            let lane = &self.scenario.lanes[at];
            let name = match wait {
                // `lanes` reports these.
                Wait::Fork(_) => None,
                Wait::End(_) => lane.after.as_ref(),
                Wait::Left(_) => lane.steps.get(self.next[at])?.action.shares_space_with(),
                Wait::Signal(_) => lane.steps.get(self.next[at])?.action.signal(),
                Wait::Handle(_) => lane.steps.get(self.next[at])?.action.uses_handle(),
            };
            name.map(|name| (wait, name))
        })
    }
}

/// Lanes that are stuck: first those that run for sure, without the others, then all.
fn endless(scenario: &Scenario, names: &Names<'_>, errors: &mut Vec<ScenarioError>) {
    let is_sure =
        |lane: &Lane| lane.process().is_none_or(|name| names.unsure_process(name).is_none());
    for all in [false, true] {
        let progress = Progress::of(scenario, !all, |lane| all || is_sure(lane));
        let before = errors.len();
        errors.extend(progress.stuck().map(|(wait, name)| endless_wait(wait, name)));
        if errors.len() > before {
            return;
        }
    }
}

fn endless_wait(wait: Wait<'_>, name: &Name) -> ScenarioError {
    let what = match wait {
        Wait::Fork(_) => "process",
        Wait::End(_) => "end of the lane",
        Wait::Signal(_) => "signal",
        Wait::Handle(_) => "handle",
        Wait::Left(_) => "end or exec of the process",
    };
    ScenarioError::new(
        Code::EndlessWait,
        name.span,
        format!("nothing is sure to end the wait for the {what} `{name}`"),
        "may wait for ever",
    )
    .help("what ends it stands behind this, or in a lane that waits itself or may not start")
}
