//! `pinfold check --on linux`: scenarios on a real kernel, compared with the model.

use super::{Answer, load};
use crate::args::{AgentArgs, CheckArgs, Format, ModelArg, OrdersArg, Where};
use crate::console::Console;
use crate::failure::Failure;
use crate::files::Output;
use crate::find::Loaded;
use crate::progress::{Meter, stop_flag};
use crate::render::{Detail, json, kernel as render};
use crate::rulesets::{self, RuleSet};
use crate::show;
use pinfold::Rules;
use pinfold_lab::report::id;
use pinfold_lab::resolved::Resolved;
use pinfold_lab::{CheckOptions, Ends, Prepared};
use pinfold_linux::job::{Ask, Features, Say, is_amplifier};
use pinfold_linux::{
    Agent, AgentError, Kernel, KernelReport, Machine, MachineError, Options, Process, Program,
    Question, Settings, Verdict, compare, rules_of, skipped,
};
use serde::Serialize;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// The name of the file that holds a trial which the model forbids.
const FILE: &str = "kernel.json";

/// Why there are no scans.
const NO_SCANS: &str = "a scan of NUMA balancing changes settings of the whole machine, which \
                        --i-own-this-machine allows";
/// The longest that the agent may take to start, and to answer: longer than its own patience with a
/// step, as it tells more of what hangs.
const START: Duration = Duration::from_secs(30);
const ANSWER: Duration = Duration::from_secs(60);

/// The reports of a command, as one document.
#[derive(Serialize)]
struct Document<'a> {
    pinfold: u32,
    on: &'static str,
    verdict: Verdict,
    reports: &'a [KernelReport],
}

/// What `check --on linux` starts: carries out what its input asks for.
///
/// # Errors
/// When input or output cannot be used.
pub(crate) fn agent(args: &AgentArgs) -> Answer {
    let scans = match args.scans {
        true => Ok(()),
        false => Err(NO_SCANS.to_owned()),
    };
    let patience = Duration::from_secs(u64::from(args.patience));
    let served = pinfold_linux::serve(io::stdin().lock(), io::stdout().lock(), scans, patience);
    served.map_err(Failure::Output)?;
    Ok(0)
}

/// What the first process of a virtual machine does.
///
/// # Errors
/// When this is not one, or its serial line cannot be used.
pub(crate) fn guest() -> Answer {
    pinfold_linux::serve_guest().map_err(Failure::Output)?;
    Ok(0)
}

/// Carries each scenario out on the kernel and compares.
///
/// # Errors
/// When a scenario or rule set cannot be found or read, or the result cannot be written.
pub(crate) fn check(args: &CheckArgs, on: &Where, console: &mut Console) -> Answer {
    let given = match rulesets::several(&args.rules)?.as_slice() {
        [] => None,
        [set] => Some(set.clone()),
        _ => return Err(Failure::Usage("--on compares with one rule set".to_owned())),
    };
    let scenarios = load(&args.files, console)?;
    let model = args.search.model.unwrap_or(ModelArg::Tso);
    let mut search = args.search.options(model)?;
    let stop = stop_flag()?;
    search.config.stop = Some(stop.clone());
    let mut place = Stage::open(on, given, args.kernel.i_own_this_machine)?;
    let options = Options {
        orders: if args.kernel.orders == OrdersArg::Free { 0 } else { Options::default().orders },
        free: if args.kernel.orders == OrdersArg::Whole { 0 } else { args.kernel.trials },
        amplified: match args.kernel.orders {
            OrdersArg::Whole => 0,
            // Each takes many times as long as a free run.
            OrdersArg::All | OrdersArg::Free => args.kernel.trials.div_ceil(5),
        },
        seed: args.search.seed,
        ..Options::default()
    };

    let mut reports = Vec::new();
    for loaded in &scenarios {
        if !reports.is_empty() && stop.load(Ordering::Relaxed) {
            break;
        }
        let mut meter = Meter::new();
        meter.show(|| format!("{} on the kernel", loaded.scenario.name.value));
        let report = place.compare(loaded, &search, &options, console)?;
        drop(meter);
        let saved = if args.no_save { None } else { keep(&report, &args.save, console) };
        if args.format == Format::Human {
            let look = console.look();
            let text = match (scenarios.len() > 1, look.detail) {
                (true, Detail::Screen) if report.beyond.is_none() => render::line(&report, look),
                _ => render::draw(&report, saved.as_deref(), look),
            };
            console.print(&text)?;
        }
        reports.push(report);
    }
    let verdict = Verdict::worst(reports.iter().map(|report| report.verdict));
    if args.format == Format::Json {
        let pinfold = pinfold_linux::FORMAT;
        let document = Document { pinfold, on: "linux", verdict, reports: &reports };
        console.print(&json::document(&document)?)?;
    } else if scenarios.len() > 1 {
        console.print(&render::total(&reports, console.look()))?;
    }
    Ok(verdict.exit_code())
}

/// Who carries scenarios out, and with what it is compared.
struct Stage {
    kernel: Kernel,
    /// The rules, as far as they are known.
    rules: Result<Rules, String>,
    agent: Box<dyn Agent>,
    /// Why the agent cannot be asked, if so, and what that amounts to.
    unable: Option<(Verdict, String)>,
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
    fn open(on: &Where, given: Option<RuleSet>, owned: bool) -> Result<Self, Failure> {
        let program = std::env::current_exe();
        let program = program.map_err(|why| Failure::Usage(format!("this program: {why}")))?;
        let mut settings = None;
        let started: Result<Box<dyn Agent>, (Verdict, String)> = match on {
            Where::Here => {
                if owned {
                    let changed = Settings::change();
                    let refused = |why| Failure::Usage(format!("--i-own-this-machine: {why}"));
                    settings = Some(changed.map_err(refused)?);
                }
                let started = start(program, settings.is_some());
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

    fn compare(
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
        let prepared = loaded.prepare(rules, console.error_style())?;
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
fn start(path: PathBuf, scans: bool) -> Result<Process, AgentError> {
    let mut arguments = vec!["linux-agent".into()];
    if scans {
        arguments.push("--scans".into());
    }
    Process::start(Program { path, arguments, start: START, answer: ANSWER, alone: false })
}

/// Saves the first trial that the model forbids, if there is one; where it is, as shown to people.
fn keep(report: &KernelReport, directory: &Path, console: &Console) -> Option<String> {
    let beyond = report.beyond.as_ref()?;
    let written = || -> Result<String, Failure> {
        let text = serde_json::to_string_pretty(beyond).map_err(Failure::Json)? + "\n";
        let directory = directory.join(id(&[&text]));
        let file = directory.join(FILE);
        let unsaved = |why| Failure::Unsaved { path: show::path(&directory), why };
        std::fs::create_dir_all(&directory).map_err(unsaved)?;
        Output::open(&file)?.put(&text)?;
        Ok(show::path(file))
    };
    match written() {
        Ok(file) => Some(file),
        Err(failure) => {
            console.warn(&failure.to_string());
            None
        }
    }
}
