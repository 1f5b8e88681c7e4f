//! `pinfold check --on linux`: scenarios on this machine's kernel, compared with the model.

use super::{Answer, load};
use crate::args::{CheckArgs, Format, ModelArg, OrdersArg, Where};
use crate::console::Console;
use crate::failure::Failure;
use crate::files::Output;
use crate::find::Loaded;
use crate::progress::{Meter, stop_flag};
use crate::render::{Detail, json, kernel as render};
use crate::rulesets::{self, RuleSet};
use crate::show;
use pinfold::Rules;
use pinfold_lab::CheckOptions;
use pinfold_lab::report::id;
use pinfold_lab::resolved::Resolved;
use pinfold_linux::{
    Agent, Kernel, KernelReport, Options, Process, Question, Verdict, compare, release, rules_of,
    skipped,
};
use serde::Serialize;
use std::io;
use std::path::Path;
use std::sync::atomic::Ordering;

/// The name of the file that holds a trial which the model forbids.
const FILE: &str = "kernel.json";

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
pub(crate) fn agent() -> Answer {
    pinfold_linux::serve(io::stdin().lock(), io::stdout().lock()).map_err(Failure::Output)?;
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
    let mut place = Stage::open(on, given);
    let options = Options {
        orders: if args.kernel.orders == OrdersArg::Free { 0 } else { Options::default().orders },
        free: if args.kernel.orders == OrdersArg::Whole { 0 } else { args.kernel.trials },
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

/// The kernel that is asked, or why none can be.
struct Stage {
    kernel: Kernel,
    /// The rules, as far as they are known.
    rules: Result<Rules, String>,
    agent: Result<Process, String>,
}

impl Stage {
    fn open(on: &Where, given: Option<RuleSet>) -> Self {
        let found = release().ok_or_else(|| "this is not Linux, or /proc is not there".to_owned());
        let agent = match (on, &found) {
            (Where::Image(image), _) => Err(format!(
                "kernel images ({}) are not started by this version: it has no virtual machine",
                show::path(image)
            )),
            (Where::Here, Err(why)) => Err(why.clone()),
            (Where::Here, Ok(_)) => start(),
        };
        let chosen = match (given, &found) {
            (Some(set), _) => Ok((set.rules, "as given".to_owned())),
            (None, Ok(release)) => rules_of(release),
            (None, Err(why)) => Err(why.clone()),
        };
        let (rules, chosen) = match chosen {
            Ok((rules, chosen)) => (Ok(rules), chosen),
            Err(why) => (Err(why), "none".to_owned()),
        };
        let kernel = Kernel {
            release: found.unwrap_or_else(|_| "unknown".to_owned()),
            rules: rules.as_ref().map(ToString::to_string).unwrap_or_default(),
            chosen,
        };
        Self { kernel, rules, agent }
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
        let (agent, rules) = match (&mut self.agent, &self.rules) {
            (Ok(agent), Ok(rules)) => (agent, rules),
            (Err(why), _) => return Ok(refused(Verdict::Skip, why)),
            (_, Err(why)) => return Ok(refused(Verdict::Skip, why)),
        };
        let plan = match Resolved::of(&loaded.scenario) {
            Ok(plan) => plan,
            Err(why) => return Ok(refused(Verdict::Error, &why.to_string())),
        };
        // What cannot be carried out needs no search.
        if let Some(report) = skipped(&plan, &loaded.path, &self.kernel, agent as &dyn Agent) {
            return Ok(report);
        }
        let prepared = loaded.prepare(rules, console.error_style())?;
        let ends = prepared.ends(search);
        let kernel = &self.kernel;
        let question = Question { plan: &plan, path: &loaded.path, ends: &ends, kernel };
        Ok(compare(&question, options, agent))
    }
}

/// The agent is this program, started once more.
fn start() -> Result<Process, String> {
    let program = std::env::current_exe().map_err(|why| why.to_string())?;
    Process::start(program, vec!["linux-agent".into()]).map_err(|why| why.to_string())
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
