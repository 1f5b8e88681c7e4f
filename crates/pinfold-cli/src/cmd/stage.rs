//! Who carries scenarios out: an agent on this machine, or in a virtual one.

use crate::args::Where;
use crate::console::Console;
use crate::failure::Failure;
use crate::find::Loaded;
use crate::rulesets::RuleSet;
use crate::show;
use pinfold::Rules;
use pinfold_lab::resolved::Resolved;
use pinfold_lab::{CheckOptions, Ends, Prepared};
use pinfold_linux::job::{Ask, Features, Say, is_amplifier};
use pinfold_linux::{
    Agent, AgentError, Kernel, KernelReport, Machine, MachineError, Options, Process, Program,
    Question, Settings, Verdict, compare, rules_of, skipped,
};
use std::path::PathBuf;
use std::time::Duration;

/// The longest that the agent may take to start, and to answer: longer than its own patience with a
/// step, as it tells more of what hangs.
const START: Duration = Duration::from_secs(30);
const ANSWER: Duration = Duration::from_secs(60);

/// Who carries scenarios out, and with what it is compared.
pub(super) struct Stage {
    /// The kernel.
    pub(super) kernel: Kernel,
    /// The rules, as far as they are known.
    pub(super) rules: Result<Rules, String>,
    pub(super) agent: Box<dyn Agent>,
    /// Why the agent cannot be asked, if so, and what that amounts to.
    pub(super) unable: Option<(Verdict, String)>,
    /// Puts the settings of this machine back at the end.
    _settings: Option<Settings>,
}

/// Nobody, in place of an agent that could not be started.
struct Nobody(Features);

impl Agent for Nobody {
    fn features(&self) -> &Features {
        &self.0
    }

    fn ask(&mut self, _: &Ask) -> Result<Say, AgentError> {
        Err(AgentError::Start("there is none".to_owned()))
    }
}

impl Stage {
    /// Starts the agent.
    ///
    /// # Errors
    /// When a kernel image is none, or the settings of this machine are to be changed and cannot
    /// be.
    pub(super) fn open(on: &Where, given: Option<RuleSet>, owned: bool) -> Result<Self, Failure> {
        let program = std::env::current_exe();
        let program = program.map_err(|why| Failure::Usage(format!("this program: {why}")))?;
        let mut settings = None;
        let started: Result<Box<dyn Agent>, (Verdict, String)> = match on {
            Where::Here => {
                // With one node nothing is scanned, and the scenario says so: nothing is changed.
                let scans = owned && pinfold_linux::nodes() > 1;
                let (mut pool, mut merging) = (false, false);
                if owned {
                    let changed = if scans { Settings::change() } else { Ok(Settings::default()) };
                    let changed = changed.and_then(Settings::give_folios);
                    let changed = changed.and_then(Settings::give_huge);
                    let refused = |why| Failure::Usage(format!("--i-own-this-machine: {why}"));
                    let mut changed = changed.map_err(refused)?;
                    // A pool that others use stays theirs; scenarios that need one say so.
                    pool = changed.give_pool().is_ok();
                    merging = changed.give_merging().is_ok();
                    settings = Some(changed);
                }
                let given = [
                    ("--scans", scans),
                    ("--pool", pool),
                    ("--swap", owned),
                    ("--merging", merging),
                ];
                let started = start(program, given);
                started.map(|agent| Box::new(agent) as Box<dyn Agent>).map_err(|why| match why {
                    AgentError::Start(_) => (Verdict::Skip, why.to_string()),
                    _ => (Verdict::Error, why.to_string()),
                })
            }
            Where::Image(image) => match Machine::boot(image, &program, "linux-guest") {
                Ok(machine) => Ok(Box::new(machine)),
                Err(MachineError::Image(why)) => {
                    return Err(Failure::Usage(format!("{}: {why}", show::path(image))));
                }
                Err(MachineError::Unavailable(why)) => Err((Verdict::Skip, why)),
                Err(MachineError::Agent(why)) => {
                    Err((Verdict::Error, MachineError::Agent(why).to_string()))
                }
            },
        };
        let (agent, unable) = match started {
            Ok(agent) => (agent, None),
            Err(why) => (Box::new(Nobody(Features::default())) as Box<dyn Agent>, Some(why)),
        };
        let release = match agent.features().release.as_str() {
            "" => "unknown".to_owned(),
            release => release.to_owned(),
        };
        let chosen = match given {
            Some(set) => Ok((set.rules, "as given".to_owned())),
            None => rules_of(&release),
        };
        let (rules, chosen) = match chosen {
            Ok((rules, chosen)) => (Ok(rules), chosen),
            Err(why) => (Err(why), "none".to_owned()),
        };
        let kernel = Kernel {
            release,
            rules: rules.as_ref().map(ToString::to_string).unwrap_or_default(),
            chosen,
        };
        Ok(Self { kernel, rules, agent, unable, _settings: settings })
    }

    /// Carries a scenario out and compares.
    ///
    /// # Errors
    /// When the scenario cannot be executed by the model.
    pub(super) fn compare(
        &mut self,
        loaded: &Loaded,
        search: &CheckOptions,
        options: &Options,
        console: &Console,
    ) -> Result<KernelReport, Failure> {
        let name = loaded.scenario.name.value.as_str();
        let refused = |verdict, why: &str| {
            KernelReport::refused(name, &loaded.path, self.kernel.clone(), verdict, why)
        };
        if let Some((verdict, why)) = &self.unable {
            return Ok(refused(*verdict, why));
        }
        let rules = match &self.rules {
            Ok(rules) => rules,
            Err(why) => return Ok(refused(Verdict::Skip, why)),
        };
        let plan = match Resolved::of(&loaded.scenario) {
            Ok(plan) => plan,
            Err(why) => return Ok(refused(Verdict::Error, &why.to_string())),
        };
        // What cannot be carried out needs no search.
        if let Some(report) = skipped(&plan, &loaded.path, &self.kernel, &*self.agent) {
            return Ok(report);
        }
        let prepared = match loaded.prepare_or_absent(rules, console.error_style())? {
            Ok(prepared) => prepared,
            Err(absent) => return Ok(refused(Verdict::Skip, &absent.message)),
        };
        let ends = prepared.ends(search);
        let repeated = || repeated(loaded, rules, search);
        let question = Question {
            plan: &plan,
            path: &loaded.path,
            ends: &ends,
            repeated: &repeated,
            kernel: &self.kernel,
        };
        Ok(compare(&question, options, &mut *self.agent))
    }
}

/// What the model allows when the lanes that only move pages or scan do so twice.
fn repeated(loaded: &Loaded, rules: &Rules, search: &CheckOptions) -> Ends {
    let mut scenario = loaded.scenario.clone();
    let plan = Resolved::of(&scenario);
    let lanes = plan.iter().flat_map(|plan| &plan.lanes);
    for (lane, resolved) in scenario.lanes.iter_mut().zip(lanes) {
        if is_amplifier(resolved) {
            lane.steps.extend(lane.steps.clone());
        }
    }
    match Prepared::new(&scenario, &loaded.path, rules) {
        Ok(prepared) => prepared.ends(search),
        Err(why) => Ends { incomplete: Some(why.to_string()), ..Ends::default() },
    }
}

/// The agent is this program, started once more.
fn start(path: PathBuf, given: [(&str, bool); 4]) -> Result<Process, AgentError> {
    let mut arguments = vec!["linux-agent".into()];
    arguments.extend(given.into_iter().filter(|(_, given)| *given).map(|(name, _)| name.into()));
    Process::start(Program { path, arguments, start: START, answer: ANSWER, alone: false })
}
