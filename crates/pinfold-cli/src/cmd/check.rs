//! `pinfold check`: one search, or several one after another.

use super::campaign::{self, Searched};
use super::{Answer, doubts, kernel, load, warn_of_fewer, worst};
use crate::args::{CheckArgs, TestFormat};
use crate::console::Console;
use crate::failure::{EXIT, Failure};
use crate::find::{Loaded, Ready};
use crate::progress::{Meter, Rate, searched, stop_flag};
use crate::render::doubts::{Doubted, Doubts};
use crate::render::kernel::outcomes;
use crate::render::ktap::{self, Outcome, Test};
use crate::render::summary::{self, Columns};
use crate::render::{Detail, json, report};
use crate::rulesets::{self, RuleSet};
use crate::saved::{self, Place};
use crate::show;
use pinfold_lab::Progress;
use pinfold_lab::report::{Report, Verdict};
use pinfold_lab::saved::ReplayFile;
use std::sync::atomic::Ordering;

/// Checks each scenario under each rule set. A single report is drawn in full; several take a line
/// each, as they come, unless everything was requested. A failing execution of a single check is
/// saved.
///
/// # Errors
/// When a scenario or rule set cannot be found or read, or the result cannot be written.
pub(crate) fn check(args: &CheckArgs, console: &mut Console) -> Answer {
    if let Some(on) = &args.kernel.on {
        return kernel::check(args, on, console);
    }
    let sets = match args.rules.as_slice() {
        [] => vec![rulesets::one(rulesets::DEFAULT)?],
        given => rulesets::several(given)?,
    };
    let scenarios = load(&args.files, console)?;
    if let (Some(file), true) = (args.division.file(), scenarios.len() * sets.len() > 1) {
        return Err(Failure::OneSearch(show::path(file)));
    }
    let mut options = args.search.options(args.search.model.unwrap_or_default())?;
    let mut prepared = prepare(&scenarios, &sets, console)?.into_iter();
    let mut files = campaign::files(&args.division)?;
    let stop = stop_flag()?;
    options.config.stop = Some(stop.clone());

    let names = scenarios.iter().map(|loaded| loaded.scenario.name.as_str());
    let shown: Vec<String> = sets.iter().map(|set| set.rules.to_string()).collect();
    let columns = Columns::new(names, shown.iter().map(String::as_str), console.look());
    let several = scenarios.len() * sets.len() > 1;
    let mut reports: Vec<Report> = Vec::new();
    let mut unknown: Vec<Option<Doubts>> = Vec::new();
    let mut lost: Option<Failure> = None;
    let mut document = ktap::Document::default();
    if args.format == TestFormat::Ktap {
        console.print(&document.head(scenarios.len()))?;
    }
    for (row, loaded) in scenarios.iter().enumerate() {
        for set in &sets {
            // After an interrupt, the current search reports what it has; later ones are not
            // started.
            if !reports.is_empty() && stop.load(Ordering::Relaxed) {
                continue;
            }
            let Some(prepared) = prepared.next() else { continue };
            let mut meter = Meter::new();
            let name = loaded.scenario.name.as_str();
            let mut rate = Rate::default();
            let mut fewer = None;
            let mut tell = |progress: &Progress| {
                let now = progress.jobs.and_then(|jobs| jobs.fewer);
                if let (Some((started, wanted)), None) = (now, fewer) {
                    warn_of_fewer(console, started, wanted);
                }
                fewer = now;
                let rate = rate.now(progress.search.elapsed, progress.search.executions);
                meter.show(|| searched(name, &set.name, progress, rate));
            };
            let Searched { report: mut found, rest, unkept } = match &prepared {
                Ok(prepared) if args.division.divides() => {
                    let files = std::mem::take(&mut files);
                    campaign::search(prepared, &options, &args.division, files, &mut tell)?
                }
                Ok(prepared) => Searched::of(prepared.check(&options, &mut tell)),
                Err(_) => Searched::of(pinfold_lab::check(
                    &loaded.scenario,
                    &loaded.path,
                    &set.rules,
                    &options,
                    &mut tell,
                )),
            };
            lost = lost.or(unkept);
            let wanted = args.all_outcomes && found.verdict == Verdict::Fail;
            let ends = (prepared.as_ref().ok().filter(|_| wanted))
                .map(|prepared| prepared.ends(&options))
                .inspect(|ends| found.take_outcomes(ends));
            let about = (&loaded.scenario, loaded.path.as_str());
            let doubts =
                doubts::doubts(set, about, &found, (&options.config, &stop), &mut |one, other| {
                    meter.show(|| format!("{name} under {}, {one}={other}", set.name));
                });
            drop(meter);
            if let Some(file) = rest {
                let argument = show::quoted(&file);
                console.note(&format!("{file} holds the rest: --resume {argument} goes on"));
            }
            let single = !several && !args.no_save;
            let place = single.then(|| keep(args, loaded, set, &found, console)).flatten();
            if args.format == TestFormat::Human {
                let look = console.look();
                let doubted = |doubts: &Option<Doubts>| {
                    doubts.as_ref().map_or_else(Vec::new, |doubts| doubts.section(look))
                };
                let text = match (several, look.detail) {
                    (true, Detail::Screen) => {
                        let doubt = doubts.as_ref().map(|doubts| doubts.draw(look));
                        columns.line(&found, look) + &doubt.unwrap_or_default()
                    }
                    (true, Detail::All) => {
                        report::draw_doubted(&found, None, doubted(&doubts), look) + "\n"
                    }
                    (false, _) => {
                        report::draw_doubted(&found, place.as_ref(), doubted(&doubts), look)
                    }
                };
                let all = ends.map_or_else(String::new, |ends| outcomes(&ends, look));
                console.print(&(text + &all))?;
            }
            reports.push(found);
            unknown.push(doubts);
        }
        if args.format == TestFormat::Ktap {
            let begun = reports.get(row * sets.len()..).unwrap_or_default();
            let test = test(loaded, &sets, begun, args.allow_partial);
            console.print(&document.test(&test))?;
        }
    }
    let asked = scenarios.len() * sets.len();
    match args.format {
        TestFormat::Json => {
            let pairs = reports.iter().zip(&unknown);
            let doubted: Vec<Doubted<'_>> =
                pairs.map(|(report, doubts)| Doubted::new(report, doubts.as_ref())).collect();
            console.print(&json::reports(&doubted, asked)?)?;
        }
        TestFormat::Human if several => {
            console.print(&summary::total(&reports, asked, console.look()))?;
        }
        TestFormat::Human => {}
        TestFormat::Ktap => console.print(&document.totals())?,
    }
    // What was found is told all the same.
    if let Some(failure) = lost {
        console.complain(&failure);
        return Ok(if args.format == TestFormat::Ktap { ktap::BAILED_OUT } else { EXIT });
    }
    if args.format == TestFormat::Ktap {
        return Ok(document.exit_code());
    }
    // What cannot be asked under some of the rules is no answer about the others.
    let asked_about = reports.iter().filter(|report| !report.is_absent());
    let mut verdict = match reports.iter().all(Report::is_absent) {
        true => worst(reports.iter().map(|report| report.verdict)),
        false => worst(asked_about.map(|report| report.verdict)),
    };
    if reports.len() < asked {
        verdict = worst([verdict, Verdict::Partial].into_iter());
    }
    let allowed = args.allow_partial && verdict == Verdict::Partial;
    Ok(if allowed { Verdict::Pass } else { verdict }.exit_code())
}

/// A scenario as a test, of which each rule set is a part if there are several; what was not begun
/// is no pass.
fn test(loaded: &Loaded, sets: &[RuleSet], begun: &[Report], allow_partial: bool) -> Test {
    let name = loaded.scenario.name.as_str();
    let one = |name: &str, report: Option<&Report>| match report {
        Some(report) => Test::of_report(name, report, allow_partial),
        None => Test::new(name, Outcome::Stopped("interrupted before it began".into()), vec![]),
    };
    match sets {
        [_] => one(name, begun.first()),
        sets => {
            let part = |(at, set): (usize, &RuleSet)| one(&set.rules.to_string(), begun.get(at));
            Test::of_parts(name, sets.iter().enumerate().map(part).collect())
        }
    }
}

/// Makes every search ready before the first begins, so that a mistake in the last one is reported
/// at once: each scenario under each rule set, in order.
fn prepare(
    scenarios: &[Loaded],
    sets: &[RuleSet],
    console: &Console,
) -> Result<Vec<Ready>, Failure> {
    let pairs = scenarios.iter().flat_map(|loaded| sets.iter().map(move |set| (loaded, set)));
    let style = console.error_style();
    pairs.map(|(loaded, set)| loaded.prepare_or_absent(&set.rules, style)).collect()
}

/// Saves the failing execution, if there is one. If it cannot be saved, the result of the search is
/// unaffected.
fn keep(
    args: &CheckArgs,
    loaded: &Loaded,
    set: &RuleSet,
    found: &Report,
    console: &Console,
) -> Option<Place> {
    let file = ReplayFile::record(&loaded.scenario, &set.rules, found)?;
    match saved::write(&file, &args.save) {
        Ok(place) => Some(place),
        Err(failure) => {
            console.warn(&failure.to_string());
            None
        }
    }
}
