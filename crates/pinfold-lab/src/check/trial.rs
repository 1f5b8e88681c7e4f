//! A plan as the explorer sees it: builds a world for each execution, runs its lanes, and judges
//! its end.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use pinfold_explore::{Ending, Failure, FailureKind, Judgement, Lanes, Subject, hook};

use super::ends::{Ended, FAILED, Met};
use crate::about::{About, Cause, Seen};
use crate::claim::Ends;
use crate::journal::{Journal, What};
use crate::record::{Findings, Record, Tally};
use crate::report::{Cost, EndLine, Finding, Oracle};
use crate::scenario::{Action, Code, Scenario, ScenarioError, Step};
use crate::waits::Awaited;
use crate::world::{Plan, World};

/// Whether all executions keep a journal, or only those that the explorer records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    Verdict,
    Everything,
}

/// What is kept of an execution for its report.
#[derive(Default)]
pub(crate) struct Kept {
    pub(crate) journal: Journal,
    /// What its findings are about, as far as that is known.
    pub(crate) about: Vec<About>,
    /// What ended it before its lanes had returned, if something did.
    pub(crate) cause: Option<Cause>,
    pub(crate) ends: Vec<EndLine>,
    pub(crate) costs: Vec<Cost>,
}

/// A failure, and what was kept of the execution in which the explorer confirmed it.
pub(crate) struct Found {
    pub(crate) failure: Failure,
    /// What that execution broke, in the order in which it broke.
    pub(crate) findings: Vec<Finding>,
    pub(crate) kept: Kept,
}

/// A plan as the explorer sees it.
pub(crate) struct Trial {
    plan: Arc<Plan>,
    keep: Keep,
    /// What is kept of the current execution.
    keeps: Keep,
    /// How many executions reached each goal.
    pub(crate) reached: Tally,
    /// What the current execution broke, in the order in which it broke.
    pub(crate) findings: Vec<Finding>,
    /// The same of the first execution that failed: the failure is reported as it was found when
    /// there was no time to confirm it.
    first: Option<Vec<Finding>>,
    /// What was kept of the last execution with a journal.
    pub(crate) kept: Kept,
    /// The claims that the current execution breaks.
    claims: Vec<usize>,
    /// What was met, if a failure does not end the search.
    going: Option<Going>,
}

/// What a trial meets that goes on after failures.
#[derive(Default)]
struct Going {
    ends: BTreeMap<Ended, Met>,
    /// What the oracles found, claims and failing steps aside: those are in the ends.
    findings: Findings,
}

impl Trial {
    pub(crate) fn new(plan: &Arc<Plan>, keep: Keep) -> Self {
        Self {
            plan: Arc::clone(plan),
            keep,
            keeps: keep,
            reached: Tally::new(plan.goals.len()),
            findings: Vec::new(),
            first: None,
            kept: Kept::default(),
            claims: Vec::new(),
            going: None,
        }
    }

    /// A trial that goes on after failures and notes every end: INV-ENDS-1.
    pub(crate) fn going_on(self) -> Self {
        Self { going: Some(Going::default()), ..self }
    }

    /// The ends that a trial met that goes on after failures, and what the oracles found.
    pub(crate) fn into_ends(self) -> (BTreeMap<Ended, Met>, BTreeSet<Finding>) {
        let Going { ends, findings } = self.going.unwrap_or_default();
        (ends, findings.all())
    }

    /// The failure in which the last exploration ended.
    pub(crate) fn found(self, failure: Failure) -> Found {
        let findings = match self.findings.is_empty() {
            true => self.first.unwrap_or_default(),
            false => self.findings,
        };
        Found { failure, findings, kept: self.kept }
    }

    fn world(&self) -> Result<World, String> {
        let goals = Arc::clone(&self.plan.goals);
        let record = Record::new(goals, self.plan.lane_cpus.len(), self.reached.clone())
            .going_on(self.going.as_ref().map(|going| going.findings.clone()));
        self.plan.world(match self.keeps {
            Keep::Verdict => record,
            Keep::Everything => record.journal(self.plan.rules.knows_exclusive_mark()),
        })
    }

    fn setup(&self, world: &World) -> Result<(), Box<ScenarioError>> {
        let scenario = Arc::clone(&self.plan.scenario);
        for step in &scenario.setup.steps {
            world.alone(step).map_err(|message| {
                let error = ScenarioError::new(Code::StepFailed, step.span.0, message, "this step");
                Box::new(error.help("the setup must work under every rule set"))
            })?;
        }
        world.meter.begin(&world.memory);
        Ok(())
    }

    /// A world with its setup done.
    ///
    /// # Errors
    /// When the setup fails, which is the scenario's fault.
    pub(crate) fn prepare(&self) -> Result<World, Box<ScenarioError>> {
        let world = self.world().map_err(|message| {
            let span = self.plan.scenario.setup.process.name.span;
            let error = ScenarioError::new(Code::StepFailed, span, message, "this process");
            Box::new(error.help("give the machine more frames"))
        })?;
        self.setup(&world)?;
        Ok(world)
    }

    /// The end of an execution whose lanes have all returned.
    fn finish(&mut self, world: &World) -> (String, Vec<Finding>) {
        let scenario = Arc::clone(&self.plan.scenario);
        self.claims.clear();
        world.meter.end(&world.memory);
        if let Some(message) = world.state.borrow().failed.first() {
            return (
                FAILED.to_owned(),
                vec![Finding { oracle: Oracle::Step, what: message.clone() }],
            );
        }
        for step in &scenario.after {
            if let Err(message) = world.alone(step) {
                world.state.borrow_mut().failed.push(step.to_string());
                let failed = Finding { oracle: Oracle::Step, what: message };
                return (FAILED.to_owned(), vec![failed]);
            }
        }
        world.machine().record().note(None, || What::Judging);
        let mut seen = world.examine();
        let sound = seen.is_empty();
        let ends = Ends::of(world, &scenario);
        let label = ends.outcome();
        seen.extend(self.claims(world, &ends));
        self.keep_costs(world);
        self.keep_journal(&mut world.machine().record());
        if sound {
            // The claims' own loads may have faulted: the counts must add up after them, too.
            seen.extend(world.examine());
        }
        // What a stale translation does to the scenario's own claims says more than that it is
        // there.
        seen.sort_by_key(|seen| seen.finding.oracle == Oracle::Stale);
        // The first finding that is about something is the one to explain.
        let first = seen.iter().find(|seen| !seen.about.is_empty());
        self.kept.about = first.map(|seen| seen.about.clone()).unwrap_or_default();
        let mut findings: Vec<Finding> = seen.into_iter().map(|seen| seen.finding).collect();
        if findings.iter().all(|finding| finding.oracle == Oracle::Claim) {
            world.take_down();
            findings.extend(world.examine_ruins());
        }
        (label, findings)
    }

    /// The first claim that is broken.
    fn claims(&mut self, world: &World, ends: &Ends<'_>) -> Option<Seen> {
        let mut broken = None;
        for (index, (claim, kept, found)) in ends.claims().enumerate() {
            if !kept {
                self.claims.push(index);
            }
            let found = || {
                let found = found.iter().map(|found| world.tell_found(*found));
                found.collect::<Vec<_>>().join(", ")
            };
            if self.keeps == Keep::Everything {
                self.kept.ends.push(EndLine {
                    what: claim.to_string(),
                    value: found(),
                    expect: None,
                    ok: kept,
                });
            }
            if !kept && broken.is_none() {
                let what = format!("{claim}; found {}", found());
                let faults = ends.faults(claim);
                let about = faults.filter_map(|(fact, found)| world.about(fact, found)).collect();
                broken = Some(Seen { finding: Finding { oracle: Oracle::Claim, what }, about });
            }
        }
        broken
    }

    fn keep_journal(&mut self, record: &mut Record) {
        if let Some(journal) = record.close() {
            self.kept.journal = journal;
        }
    }

    fn keep_costs(&mut self, world: &World) {
        if self.keeps == Keep::Everything {
            let stats = world.memory.stats().iter().filter(|(_, value)| *value > 0);
            self.kept.costs =
                stats.map(|(name, value)| Cost { name: name.to_owned(), value }).collect();
        }
    }
}

impl World {
    /// Carries out a step of `setup` or `after`.
    fn alone(&self, step: &Step) -> Result<(), String> {
        let process = step.process.as_ref().map(|name| name.value.as_str());
        let cpu = process.and_then(|name| Some(self.state.borrow().processes.get(name)?.cpu));
        if let Some(cpu) = cpu {
            self.machine().alone_on(cpu);
        }
        self.step(step, process).map(drop).map_err(|fault| format!("{step}: {}", fault.message))
    }
}

/// What a lane does.
fn run(world: &Rc<World>, scenario: &Arc<Scenario>, index: usize) -> impl FnOnce() + 'static {
    let (world, scenario) = (Rc::clone(world), Arc::clone(scenario));
    move || {
        let lane = &scenario.lanes[index];
        if let Some(other) = &lane.after {
            world.waits.until(&Awaited::End(other.value.clone()));
        }
        for step in &lane.steps {
            let born = || bear(step, &world, &scenario);
            if let Err(fault) = world.step_with(step, lane.process(), born) {
                // INV-ENDS-1.
                if world.machine().record().goes_on() {
                    world.state.borrow_mut().failed.push(step.to_string());
                    break;
                }
                world.machine().broken(Oracle::Step, format!("{step}: {}", fault.message));
            }
        }
        world.waits.happen(&Awaited::End(lane.name.value.clone()));
    }
}

/// Starts the lanes of the process that a step has made, if it makes one; by vfork, waits until it
/// has left its parent's address space.
fn bear(step: &Step, world: &Rc<World>, scenario: &Arc<Scenario>) {
    let Some(child) = step.action.makes_process().filter(|child| world.has(child)) else { return };
    start_lanes_of(child, world, scenario);
    if let Action::Vfork { .. } = step.action {
        world.waits.until(&Awaited::Left(child.value.clone()));
    }
}

/// Starts the lanes of a process that is forked while lanes run.
fn start_lanes_of(process: &str, world: &Rc<World>, scenario: &Arc<Scenario>) {
    for (index, lane) in scenario.lanes.iter().enumerate() {
        if lane.process() == Some(process) {
            world.machine().lane_starts(index);
            hook::spawn(lane.name.value.clone(), run(world, scenario, index));
        }
    }
}

/// The oracle for what the explorer itself saw. A judgement, or a failure that a lane declares,
/// comes with the findings of the oracle that made it; what is left is an execution that did not
/// end.
pub(crate) fn oracle_of(kind: FailureKind) -> Oracle {
    match kind {
        FailureKind::DataRace => Oracle::DataRace,
        FailureKind::Deadlock => Oracle::Deadlock,
        FailureKind::Panicked => Oracle::Panic,
        FailureKind::Nondeterministic => Oracle::Nondeterminism,
        FailureKind::Unsupported => Oracle::Unsupported,
        FailureKind::Judged | FailureKind::Failed => Oracle::Progress,
    }
}

impl Subject for Trial {
    type World = Rc<World>;

    fn build(&mut self, lanes: &mut Lanes<'_>) -> Self::World {
        self.keeps = if hook::is_recorded() { Keep::Everything } else { self.keep };
        self.kept = Kept::default();
        self.findings.clear();
        // INV-PREPARED-1.
        let world = self.prepare().unwrap_or_else(|error| panic!("{}", error.message));
        let world = Rc::new(world);
        world.waits.label();
        world.exit_locks.label();
        world.file_locks.label();
        let machine = world.machine();
        machine.record().lanes_begin(|table, entry| machine.word(table, entry).peek());
        let scenario = &self.plan.scenario;
        for (index, lane) in scenario.lanes.iter().enumerate() {
            let exists = lane.process().is_none_or(|process| world.has(process));
            if exists && !scenario.starts_late(lane) {
                world.machine().lane_starts(index);
                lanes.lane(lane.name.value.clone(), run(&world, scenario, index));
            }
        }
        let weak = Rc::downgrade(&world);
        hook::observe(move |ran| {
            if let Some(world) = weak.upgrade() {
                let lane = ran.and_then(|ran| world.machine().scenario_lane(ran));
                world.machine().record().look(lane);
            }
        });
        world
    }

    fn judge(&mut self, world: Self::World, ending: Ending<'_>) -> Judgement {
        let (outcome, findings) = match ending {
            Ending::Finished => self.finish(&world),
            Ending::Failed { kind, lane, message } => {
                self.kept.cause =
                    world.machine().scenario_lane(lane).map(|lane| Cause { kind, lane });
                let mut findings = world.machine().record().broken.clone();
                if findings.is_empty() || kind != FailureKind::Failed {
                    let seen = Finding { oracle: oracle_of(kind), what: message.to_owned() };
                    findings.insert(0, seen);
                }
                ("failed".to_owned(), findings)
            }
        };
        let mut record = world.machine().record();
        self.keep_journal(&mut record);
        if self.kept.about.is_empty() {
            self.kept.about.extend(record.about.take());
        }
        drop(record);
        if let (Some(going), Ending::Finished) = (&mut self.going, ending) {
            let mut failed = std::mem::take(&mut world.state.borrow_mut().failed);
            failed.sort();
            let broken = std::mem::take(&mut self.claims);
            let met =
                going.ends.entry(Ended { outcome: outcome.clone(), broken, failed }).or_default();
            met.executions += 1;
            met.found += u64::from(!findings.is_empty());
            let told = |finding: &Finding| matches!(finding.oracle, Oracle::Claim | Oracle::Step);
            for finding in findings.into_iter().filter(|finding| !told(finding)) {
                going.findings.note(finding);
            }
            return Judgement::Pass { outcome };
        }
        match findings.first() {
            None => Judgement::Pass { outcome },
            Some(first) => {
                let message = first.what.clone();
                self.first.get_or_insert_with(|| findings.clone());
                self.findings = findings;
                Judgement::Fail { outcome, message }
            }
        }
    }
}
