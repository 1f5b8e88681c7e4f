//! `pinfold explain`: every decision of an execution, step by step, as text, a page or a picture.

use super::replay::{Saved, from_file};
use super::run::put_trace;
use super::{Answer, doubts, mends};
use crate::args::{CELL_EXECUTIONS, ExplainArgs, Format};
use crate::console::Console;
use crate::failure::Failure;
use crate::files::Output;
use crate::find;
use crate::progress::{Meter, stop_flag};
use crate::render::doubts::Doubts;
use crate::render::mended::Mend;
use crate::render::text::counted;
use crate::render::{explain, html, json, svg};
use crate::rulesets::{self, RuleSet};
use pinfold::Rules;
use pinfold_lab::report::{Report, Verdict};
use pinfold_lab::saved::ReplayFile;
use pinfold_lab::scenario::Scenario;
use pinfold_lab::{Answers, CheckOptions, Config, Order};
use serde::Serialize;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// The executions after which it is not asked any longer whether a later rule alone saves a
/// scenario.
const MEND_EXECUTIONS: u64 = 20_000;

/// Explains an execution. The exit status is that of its verdict, as `replay` has it.
///
/// # Errors
/// When the execution, or the scenario and its rules, cannot be found or read, or the result cannot
/// be written.
pub(crate) fn explain(args: &ExplainArgs, console: &mut Console) -> Answer {
    let page = args.html.as_deref().map(Output::open).transpose()?;
    let picture = args.svg.as_deref().map(Output::open).transpose()?;
    let perfetto = args.perfetto.as_deref().map(Output::open).transpose()?;
    let stop = stop_flag()?;
    // The rule set as it was named; an execution that was saved has none.
    let mut named = None;
    let (subject, mut found) = match (&args.what, &args.rules) {
        (Some(scenario), Some(rules)) => {
            let set = named.insert(rulesets::one(rules)?);
            searched(scenario, set, &stop, console)?
        }
        (what, _) => {
            let saved = Saved { directory: &args.saved, any_version: args.any_version };
            let (file, found) = from_file(what.as_deref(), saved, console)?;
            let wrong = |why| Failure::Replay { path: file.scenario.path.clone(), why };
            (file.subject().map_err(wrong)?, found)
        }
    };
    put_trace(perfetto, &found, console)?;
    found.accesses.clear();
    if let Some(picture) = picture {
        picture.put(&svg::picture(&found))?;
    }
    let mends = mends(&subject, &found, &stop);
    let config = Config { locks: found.search.locks, ..Config::default() };
    let unknown = named.and_then(|set| {
        let about = (&subject.0, found.scenario.path.as_str());
        doubts::doubts(&set, about, &found, (&config, &stop), &mut |_, _| {})
    });
    if let Some(page) = page {
        page.put(&html::page(&found, &mends)?)?;
    }
    let text = match args.format {
        Format::Human => {
            let look = console.look();
            let doubt = unknown.map_or_else(Vec::new, |unknown| unknown.section(look));
            explain::draw(&found, &mends, doubt, look)
        }
        Format::Json => {
            json::document(&Told { report: &found, mends: &mends, kernel: unknown.as_ref() })?
        }
    };
    console.print(&text)?;
    Ok(found.exit_code())
}

/// An explanation as a document: the report, and what a later variant of each rule that decided
/// does alone.
#[derive(Serialize)]
struct Told<'a> {
    #[serde(flatten)]
    report: &'a Report,
    mends: &'a [Mend],
    /// What is not known of the kernel, if one was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    kernel: Option<&'a Doubts>,
}

/// The scenario of an execution, and the rules that it was under.
type Subject = (Scenario, Rules);

/// Which later variants of the switches that WHY names save the scenario, each alone.
fn mends((scenario, rules): &Subject, found: &Report, stop: &Arc<AtomicBool>) -> Vec<Mend> {
    let options = mends::options(found.search.model, found.search.locks, MEND_EXECUTIONS, stop);
    let answers = Answers::new(scenario, &found.scenario.path, &options);
    let mut meter = Meter::new();
    let name = &found.scenario.name;
    mends::mends(rules, found, &answers, &mut |switch, variant| {
        meter.show(|| format!("{name} with {switch}={variant}"));
    })
}

/// The execution to explain of a scenario under some rules: one that breaks, or the order as
/// written.
fn searched(
    file: &Path,
    set: &RuleSet,
    stop: &Arc<AtomicBool>,
    console: &Console,
) -> Result<(Subject, Report), Failure> {
    let loaded = find::load(file, console.error_style())?;
    let Ok(prepared) = loaded.prepare_or_absent(&set.rules, console.error_style())? else {
        let (scenario, order) = (&loaded.scenario, Order::AsWritten);
        let absent = pinfold_lab::run(scenario, &loaded.path, &set.rules, order);
        return Ok(((loaded.scenario, set.rules), absent));
    };
    let mut options = CheckOptions::of(Config::default());
    options.config.max_executions = Some(CELL_EXECUTIONS);
    options.config.stop = Some(Arc::clone(stop));
    let name = loaded.scenario.name.as_str();
    let mut meter = Meter::new();
    let report = prepared.check(&options, &mut |progress| {
        meter.show(|| {
            let tried = counted(progress.search.executions, "execution", "executions");
            format!("{name}: {tried}")
        });
    });
    drop(meter);
    let found = match ReplayFile::record(&loaded.scenario, &set.rules, &report) {
        Some(saved) => {
            let wrong = |why| Failure::Replay { path: loaded.path.clone(), why };
            saved.replay().map_err(wrong)?
        }
        // What cannot be searched cannot be run either, and says why; and a search that proves
        // nothing has no execution to show for it.
        None if matches!(report.verdict, Verdict::Skip | Verdict::Error | Verdict::Fail) => report,
        None => {
            let seen = report.search.begun();
            let seen = counted(seen, "execution", "executions");
            console.note(&match report.verdict {
                Verdict::Pass => format!("nothing breaks in any of {seen}"),
                _ => format!("nothing was found in {seen}, which are not all"),
            });
            let mut found = prepared.run(Order::AsWritten);
            // One order is no answer where the search has none.
            if found.verdict == Verdict::Pass {
                found.verdict = report.verdict;
            }
            found
        }
    };
    Ok(((loaded.scenario, set.rules), found))
}
