//! `pinfold check --on linux`: scenarios on a real kernel, compared with the model.

use super::stage::Stage;
use super::{Answer, load};
use crate::args::{AgentArgs, CELL_EXECUTIONS, CheckArgs, ModelArg, OrdersArg, TestFormat, Where};
use crate::console::Console;
use crate::failure::Failure;
use crate::files::Output;
use crate::progress::{Meter, stop_flag};
use crate::render::ktap::{self, Outcome, Test};
use crate::render::{Detail, json, kernel as render};
use crate::rulesets;
use crate::show;
use pinfold_lab::Strategy;
use pinfold_lab::report::id;
use pinfold_linux::{Given, KernelReport, Options, Verdict};
use serde::Serialize;
use std::io;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// The name of the file that holds a trial which the model forbids.
const FILE: &str = "kernel.json";

/// Why there are no scans.
const NO_SCANS: &str = "a scan of NUMA balancing changes settings of the whole machine, which \
                        --i-own-this-machine allows";
/// Why there is no pool of huge pages.
const NO_POOL: &str = "the pool of huge pages is a setting of the whole machine, which \
                       --i-own-this-machine changes where nobody uses it";
/// Why there are no passes of same-page merging.
const NO_MERGING: &str = "same-page merging is of the whole machine: --i-own-this-machine has it \
                          done where nobody uses it";
/// Why there is no swap device.
const NO_SWAP: &str = "a swap device is of the whole machine: --i-own-this-machine makes one";

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
    let given = |given: bool, why: &str| if given { Ok(()) } else { Err(why.to_owned()) };
    let given = Given {
        scans: given(args.scans, NO_SCANS),
        pool: given(args.pool, NO_POOL),
        swap: given(args.swap, NO_SWAP),
        merging: given(args.merging, NO_MERGING),
    };
    let patience = Duration::from_secs(u64::from(args.patience));
    let served = pinfold_linux::serve(io::stdin().lock(), io::stdout().lock(), given, patience);
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
    let exhaustive = search.config.search == Strategy::Exhaustive { preemptions: None };
    if exhaustive && search.config.deadline.is_none() {
        search.config.max_executions.get_or_insert(CELL_EXECUTIONS);
    }
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
    let mut tests = ktap::Document::default();
    if args.format == TestFormat::Ktap {
        console.print(&tests.head(scenarios.len()))?;
    }
    for loaded in &scenarios {
        if !reports.is_empty() && stop.load(Ordering::Relaxed) {
            break;
        }
        let mut meter = Meter::new();
        meter.show(|| format!("{} on the kernel", loaded.scenario.name.value));
        let report = place.compare(loaded, &search, &options, console)?;
        drop(meter);
        let saved = if args.no_save { None } else { keep(&report, &args.save, console) };
        if args.format == TestFormat::Ktap {
            console.print(&tests.test(&test(&report, saved.as_deref())))?;
        }
        if args.format == TestFormat::Human {
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
    match args.format {
        TestFormat::Json => {
            let pinfold = pinfold_linux::FORMAT;
            let document = Document { pinfold, on: "linux", verdict, reports: &reports };
            console.print(&json::document(&document)?)?;
        }
        TestFormat::Human if scenarios.len() > 1 => {
            console.print(&render::total(&reports, console.look()))?;
        }
        TestFormat::Human => {}
        TestFormat::Ktap => {
            for loaded in scenarios.iter().skip(reports.len()) {
                let never = Outcome::Stopped("interrupted before it began".to_owned());
                let never = Test::new(&loaded.scenario.name.value, never, Vec::new());
                console.print(&tests.test(&never))?;
            }
            console.print(&tests.totals())?;
            return Ok(tests.exit_code());
        }
    }
    Ok(verdict.exit_code())
}

/// A report as a test: what the model allows passes, seen in full or not. `saved` is where the
/// trial is that the model forbids.
fn test(report: &KernelReport, saved: Option<&str>) -> Test {
    let KernelReport { scenario, verdict, kernel, .. } = report;
    let compared = match kernel.rules.as_str() {
        "" => String::new(),
        rules => format!(", compared with {rules}"),
    };
    let mut notes = vec![format!("kernel {}{compared}: {verdict}", kernel.release)];
    notes.extend(Some(render::seen(report)).filter(|seen| !seen.is_empty()));
    notes.extend(render::forbidden(report));
    notes.extend(saved.map(|saved| format!("saved {saved}")));
    let why = || render::missing(report);
    let outcome = match verdict {
        Verdict::Agree | Verdict::Within => Outcome::Passed,
        Verdict::Beyond => Outcome::Failed,
        Verdict::Skip => Outcome::Skipped(why()),
        Verdict::Error => Outcome::Wrong(why()),
    };
    Test::new(scenario, outcome, notes)
}

/// Saves the first trial that the model forbids, if there is one; where it is, as shown to people.
pub(super) fn keep(report: &KernelReport, directory: &Path, console: &Console) -> Option<String> {
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
