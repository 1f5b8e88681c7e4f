//! `pinfold explain`: every decision of an execution, step by step, as text or as a page.

use super::Answer;
use super::replay::{Saved, from_file};
use crate::args::{CELL_EXECUTIONS, ExplainArgs, Format};
use crate::console::Console;
use crate::failure::Failure;
use crate::files::Output;
use crate::progress::{Meter, stop_flag};
use crate::render::{explain, html, json};
use crate::{find, rulesets};
use pinfold_lab::report::{Report, Verdict};
use pinfold_lab::saved::ReplayFile;
use pinfold_lab::{CheckOptions, Config, Order};
use std::path::Path;

/// Explains an execution. The exit status is that of its verdict, as `replay` has it.
///
/// # Errors
/// When the execution, or the scenario and its rules, cannot be found or read, or the result cannot
/// be written.
pub(crate) fn explain(args: &ExplainArgs, console: &mut Console) -> Answer {
    let page = args.html.as_deref().map(Output::open).transpose()?;
    let mut found = match (&args.what, &args.rules) {
        (Some(scenario), Some(rules)) => searched(scenario, rules, console)?,
        (what, _) => {
            let saved = Saved { directory: &args.saved, any_version: args.any_version };
            from_file(what.as_deref(), saved, console)?
        }
    };
    found.accesses.clear();
    if let Some(page) = page {
        page.put(&html::page(&found)?)?;
    }
    let text = match args.format {
        Format::Human => explain::draw(&found, console.look()),
        Format::Json => json::reports(std::slice::from_ref(&found), 1)?,
    };
    console.print(&text)?;
    Ok(found.exit_code())
}

/// The execution to explain of a scenario under some rules: one that breaks, or the order as
/// written.
fn searched(file: &Path, rules: &str, console: &Console) -> Result<Report, Failure> {
    let set = rulesets::one(rules)?;
    let loaded = find::load(file, console.error_style())?;
    let Ok(prepared) = loaded.prepare_or_absent(&set.rules, console.error_style())? else {
        let (scenario, order) = (&loaded.scenario, Order::AsWritten);
        return Ok(pinfold_lab::run(scenario, &loaded.path, &set.rules, order));
    };
    let mut options = CheckOptions::of(Config::default());
    options.config.max_executions = Some(CELL_EXECUTIONS);
    options.config.stop = Some(stop_flag()?);
    let name = loaded.scenario.name.as_str();
    let mut meter = Meter::new();
    let report = prepared.check(&options, &mut |progress| {
        meter.show(|| format!("{name}: {} executions", progress.search.executions));
    });
    drop(meter);
    match ReplayFile::record(&loaded.scenario, &set.rules, &report) {
        Some(saved) => {
            let wrong = |why| Failure::Replay { path: loaded.path.clone(), why };
            saved.replay().map_err(wrong)
        }
        // What cannot be searched cannot be run either, and says why.
        None if matches!(report.verdict, Verdict::Skip | Verdict::Error) => Ok(report),
        None => {
            let seen = report.search.begun();
            console.note(&match report.verdict {
                Verdict::Pass => format!("nothing breaks in any of {seen} executions"),
                _ => format!("nothing was found in {seen} executions, which are not all"),
            });
            Ok(prepared.run(Order::AsWritten))
        }
    }
}
