//! `pinfold matrix`: scenarios against rule sets, several cells at a time.
//!
//! The searches run on threads of their own, which take one cell after another from a shared
//! counter and send their results to the main thread; only the main thread writes.

use super::expect::{Expected, agrees};
use super::{Answer, doubts, load, mends, warn_of_fewer};
use crate::args::{CELL_EXECUTIONS, LocksArg, MatrixArgs, ModelArg, TestFormat};
use crate::console::Console;
use crate::failure::Failure;
use crate::files::Output;
use crate::find::{self, Loaded};
use crate::progress::{Meter, stop_flag};
use crate::render::doubts::Doubts;
use crate::render::html::history::{History, Run, history};
use crate::render::json;
use crate::render::ktap::{self, Outcome, Test};
use crate::render::matrix::{Cell, CellBounds, EndedBy, Matrix, Row, Skipped, draw};
use crate::render::text::{counted, seconds};
use crate::rulesets::{self, RuleSet};
use crate::show;
use pinfold_lab::campaign::CampaignError;
use pinfold_lab::report::{FORMAT, Report, Search, Verdict};
use pinfold_lab::saved::ReplayFile;
use pinfold_lab::scenario::{Atom, Scenario};
use pinfold_lab::workers::{Heard, Worker, share};
use pinfold_lab::{Answers, CheckOptions, Config, Detail, Strategy};
use serde::Serialize;
use std::io;
use std::num::NonZero;
use std::ops::ControlFlow;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

/// After how many executions a search ends of which nothing is expected.
const BRIEF_EXECUTIONS: u64 = 1_000;

#[cfg(test)]
mod tests;

/// The executions after which a cell of a page does not ask any longer whether a later rule alone
/// saves it: a page has hundreds of them.
const MEND_EXECUTIONS: u64 = 2_000;
/// How often the progress line is redrawn while no cell ends.
const BEAT: Duration = Duration::from_millis(200);
/// Fills and prints the table. A table compares nothing by itself, so only cells in error count
/// against it, or, if expectations are given, cells that are not as expected. A table that was
/// interrupted is partial.
///
/// # Errors
/// When a scenario, a rule set or the expectations cannot be found or read, or the result cannot be
/// written.
pub(crate) fn matrix(args: &MatrixArgs, console: &mut Console) -> Answer {
    let started = Instant::now();
    let page = args.html.as_deref().map(Output::open).transpose()?;
    let sets = rulesets::several(&args.rules)?;
    let scenarios = if args.files.is_empty() {
        find::load_all(console.error_style())?
    } else {
        load(&args.files, console)?
    };
    let expected = match &args.expect {
        Some(path) => Some((Expected::read(path, args.search.model)?, path)),
        None => None,
    };
    let meant = expected.as_ref().and_then(|(table, _)| table.model());
    // The bug reports on which the scenarios are based come from x86.
    let model = args.search.model.or(meant).unwrap_or(ModelArg::Tso);
    let mut options = args.search.options(model)?;
    let bounds = bound(&mut options.config);
    let stop = stop_flag()?;
    options.config.stop = Some(stop.clone());
    options.detail = Detail::Verdict;
    let telling = match page {
        Some(_) => {
            let Config { model, locks, .. } = options.config;
            let options = mends::options(model, locks, MEND_EXECUTIONS, &stop);
            Telling::Executions(Box::new(options))
        }
        None => Telling::Verdicts,
    };
    let wanted = expected.as_ref().map(|(table, _)| table);
    let found = search(&scenarios, &sets, (&options, &telling, wanted), jobs(args), console)?;
    let mended: Duration = found.iter().map(|cell| cell.mended).sum();
    let doubted: Vec<bool> = found.iter().map(|cell| cell.doubted).collect();
    let (reports, runs): (Vec<Report>, Vec<Option<Run>>) =
        found.into_iter().map(|cell| (cell.report, cell.run)).unzip();

    let mut rows: Vec<Row> = Vec::new();
    let mut compared = 0;
    let answered = reports.chunks(sets.len()).zip(doubted.chunks(sets.len()));
    for (loaded, (reports, doubted)) in scenarios.iter().zip(answered) {
        let name = loaded.scenario.name.value.clone();
        let mut cells = Vec::new();
        for ((report, doubted), set) in reports.iter().zip(doubted).zip(&sets) {
            let mut cell = cell(&loaded.scenario, report, bounds);
            cell.doubted = *doubted;
            let wanted = expected.as_ref().and_then(|(table, _)| table.cell(&name, &set.rules));
            compared += usize::from(wanted.is_some());
            cell.expected = wanted.is_some();
            cell.wanted = wanted.filter(|wanted| !agrees(&cell, wanted)).map(str::to_owned);
            cells.push(cell);
        }
        rows.push(Row { name, cells });
    }
    if let (Some((_, path)), 0) = (&expected, compared) {
        return Err(Failure::NothingExpected(show::path(path)));
    }
    let table = Matrix {
        rules: sets.iter().map(|set| set.name.clone()).collect(),
        rows,
        model: model.name(),
        locks: match args.search.locks.unwrap_or_default() {
            LocksArg::Object => "",
            LocksArg::Code => ", locks as code",
        },
        bounds,
        seconds: started.elapsed().as_secs_f64(),
        compared: expected.is_some(),
    };
    if let Some(page) = page {
        put(page, &table, (&runs, mended), console)?;
    }
    let text = match args.format {
        TestFormat::Human => draw(&table, console.look()) + &doubts::note(&sets, console.look()),
        TestFormat::Json => json::document(&document(&table, &reports, &sets))?,
        TestFormat::Ktap => {
            let (text, code) = tested(&table, &reports);
            console.print(&text)?;
            return Ok(code);
        }
    };
    console.print(&text)?;
    let cells = || table.rows.iter().flat_map(|row| &row.cells);
    let verdict = if cells().any(|cell| cell.verdict == Verdict::Error) {
        Verdict::Error
    } else if cells().any(|cell| cell.wanted.is_some()) {
        Verdict::Fail
    } else if stop.load(Ordering::Relaxed) {
        Verdict::Partial
    } else {
        Verdict::Pass
    };
    Ok(verdict.exit_code())
}

/// Bounds the search of each cell, unless the request does.
fn bound(config: &mut Config) -> CellBounds {
    let exhaustive = config.search == Strategy::Exhaustive { preemptions: None };
    if exhaustive && config.deadline.is_none() {
        config.max_executions.get_or_insert(CELL_EXECUTIONS);
    }
    CellBounds {
        executions: config.max_executions,
        seconds: config.deadline.map(|time| time.as_secs_f64()),
    }
}

fn jobs(args: &MatrixArgs) -> usize {
    let cores = || thread::available_parallelism().map_or(1, NonZero::get);
    args.jobs.map_or_else(cores, usize::from)
}

/// Writes the page, and says how large it is, and what it took to learn which rules save its cells.
fn put(
    page: Output,
    table: &Matrix,
    (runs, mended): (&[Option<Run>], Duration),
    console: &Console,
) -> Result<(), Failure> {
    let History { page: text, shown, left_out } = history(table, runs)?;
    page.put(&text)?;
    let size = format!("{:.1} MiB", text.len() as f64 / f64::from(1 << 20));
    let left = match left_out {
        0 => String::new(),
        number => format!("; {number} more are left out, and named with their commands"),
    };
    let shown = counted(shown as u64, "execution", "executions");
    console.note(&format!("the page has {shown} in {size}{left}"));
    let took = seconds(mended.as_secs_f64());
    console.note(&format!("which later rule alone saves them took {took} of searches"));
    Ok(())
}

/// What is wanted of cells that break.
enum Telling {
    /// Only that they do.
    Verdicts,
    /// An execution of each, too, and which later rule alone saves it, as such searches tell.
    Executions(Box<CheckOptions>),
}

/// The answer of a cell.
struct Found {
    report: Report,
    /// What it opens, if that is wanted and it breaks.
    run: Option<Run>,
    /// The time of the searches for what saves it.
    mended: Duration,
    /// Whether its verdict depends on something that is not known of its kernel.
    doubted: bool,
}

/// The execution that a cell shows: the same search with its story, told as `explain` tells it.
fn execution(loaded: &Loaded, set: &RuleSet, options: &CheckOptions) -> Option<Report> {
    let options = CheckOptions { detail: Detail::Story, ..options.clone() };
    let Loaded { scenario, path, .. } = loaded;
    let report = pinfold_lab::check(scenario, path, &set.rules, &options, &mut |_| {});
    if report.verdict != Verdict::Fail {
        return None;
    }
    let mut told = match ReplayFile::record(scenario, &set.rules, &report) {
        Some(saved) => saved.replay().ok()?,
        // A search that proves nothing has no execution, and says so.
        None => report,
    };
    told.accesses.clear();
    Some(told)
}

/// How cells are searched of which nothing is expected, where others are compared with a table.
fn briefly(options: &CheckOptions) -> CheckOptions {
    let mut brief = options.clone();
    let most = &mut brief.config.max_executions;
    *most = Some(most.map_or(BRIEF_EXECUTIONS, |most| most.min(BRIEF_EXECUTIONS)));
    brief
}

/// The answers of each scenario, none of which is asked for yet.
fn asked<'a>(scenarios: &'a [Loaded], options: &'a CheckOptions) -> Vec<Answers<'a>> {
    scenarios.iter().map(|one| Answers::new(&one.scenario, &one.path, options)).collect()
}

/// Searches every cell, or shares the answer of one in its row: the reports of the first scenario
/// under each rule set, then of the next, each with its execution if that is wanted.
fn search(
    scenarios: &[Loaded],
    sets: &[RuleSet],
    (options, telling, expected): (&CheckOptions, &Telling, Option<&Expected>),
    jobs: usize,
    console: &Console,
) -> Result<Vec<Found>, Failure> {
    let total = scenarios.len() * sets.len();
    let mut reports: Vec<(usize, Found)> = Vec::with_capacity(total);
    let mut meter = Meter::new();
    let answers = asked(scenarios, options);
    let brief = briefly(options);
    let unexpected = asked(scenarios, &brief);
    let saving = match telling {
        Telling::Verdicts => Vec::new(),
        Telling::Executions(options) => asked(scenarios, options),
    };
    // Column by column: when a scenario's next cell begins, what it may share is mostly there.
    let work = |worker: &Worker<(usize, Found)>, task: usize| {
        let (row, column) = (task % scenarios.len(), task / scenarios.len());
        let rules = &sets[column].rules;
        let name = &scenarios[row].scenario.name.value;
        let compared = expected.is_none_or(|table| table.cell(name, rules).is_some());
        let answers = if compared { &answers } else { &unexpected };
        let report = answers[row].under(rules, &mut |_| {});
        let doubted = doubts::depends(&sets[column], &report, &answers[row]);
        let saving = saving.get(row).filter(|_| report.verdict == Verdict::Fail);
        let run = saving.and_then(|_| execution(&scenarios[row], &sets[column], options));
        let begun = Instant::now();
        let run = run.zip(saving).map(|(report, answers)| {
            let mends = mends::mends(rules, &report, answers, &mut |_, _| {});
            Run { report, mends }
        });
        let found = Found { report, run, mended: begun.elapsed(), doubted };
        worker.tell((row * sets.len() + column, found));
        ControlFlow::Continue(())
    };
    let shared = share(jobs, total, BEAT, work, |heard| {
        match heard {
            Heard::News(found) => reports.push(found),
            Heard::Fewer { started, wanted } => warn_of_fewer(console, started, wanted),
            Heard::Silence => {}
        }
        meter.show(|| {
            let newest = reports.last().map_or("", |(_, found)| &found.report.scenario.name);
            format!("{} of {total} cells, at {newest}", reports.len())
        });
    });
    drop(meter);
    let none = |why: io::Error| CampaignError::NoThread(why.to_string());
    shared.map_err(|why| Failure::Campaign { path: None, why: none(why) })?;
    reports.sort_by_key(|(cell, _)| *cell);
    Ok(reports.into_iter().map(|(_, found)| found).collect())
}

fn cell(scenario: &Scenario, report: &Report, bounds: CellBounds) -> Cell {
    let mut seen = report.outcomes.iter().filter(|outcome| outcome.count > 0);
    let outcome = match (seen.next(), seen.next()) {
        (Some(only), None) if tells_more(scenario) => Some(only.label.clone()),
        _ => None,
    };
    let ended = (report.verdict == Verdict::Partial).then(|| ended_by(&report.search, bounds));
    let skipped = (report.verdict == Verdict::Skip).then(|| match report.is_absent() {
        true => Skipped::Absent,
        false => Skipped::Unexplorable,
    });
    Cell {
        verdict: report.verdict,
        outcome,
        ended,
        skipped,
        wanted: None,
        expected: false,
        doubted: false,
    }
}

/// What ended a search that was not done.
fn ended_by(search: &Search, bounds: CellBounds) -> EndedBy {
    let made = search.begun();
    if bounds.executions.is_some_and(|most| made >= most) {
        EndedBy::Executions
    } else if bounds.seconds.is_some_and(|most| search.seconds >= most) {
        EndedBy::Time
    } else {
        EndedBy::Other
    }
}

/// Whether the outcomes of a scenario depend on something that its claims do not: only then does an
/// outcome say more than the verdict.
fn tells_more(scenario: &Scenario) -> bool {
    let claimed = |atom: &Atom| {
        scenario.always.iter().flat_map(|claim| &claim.facts).any(|fact| fact.atom == *atom)
    };
    scenario.outcomes.iter().flat_map(|outcome| &outcome.when).any(|fact| !claimed(&fact.atom))
}

/// The table as tests, a scenario each with a part for each rule set, and the exit status. A cell
/// that breaks has failed, unless it was expected to.
fn tested(table: &Matrix, reports: &[Report]) -> (String, u8) {
    let mut document = ktap::Document::default();
    let mut text = document.head(table.rows.len());
    for (row, reports) in table.rows.iter().zip(reports.chunks(table.rules.len().max(1))) {
        let cells = row.cells.iter().zip(reports).zip(&table.rules);
        let part = |((cell, report), rules): ((&Cell, &Report), &String)| match &cell.wanted {
            Some(wanted) => {
                let note = format!("{}, expected {wanted}", cell.word());
                Test::new(rules, Outcome::Failed, vec![note])
            }
            None if cell.expected && report.verdict != Verdict::Skip => {
                let outcome = match report.verdict {
                    Verdict::Pass => Outcome::Passed,
                    _ => Outcome::Expected(format!("{} is expected", cell.word())),
                };
                Test::new(rules, outcome, Vec::new())
            }
            None => Test::of_report(rules, report, false),
        };
        text += &document.test(&Test::of_parts(&row.name, cells.map(part).collect()));
    }
    (text + &document.totals(), document.exit_code())
}

#[derive(Serialize)]
struct Document<'a> {
    pinfold: u32,
    model: &'a str,
    rules: &'a [String],
    seconds: f64,
    cells: Vec<DocumentCell<'a>>,
    /// How much is not known of the kernels among the rule sets.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    kernels: Vec<Doubts>,
}

#[derive(Serialize)]
struct DocumentCell<'a> {
    word: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_by: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<&'a str>,
    /// Whether the verdict depends on something that is not known of the kernel.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    doubted: bool,
    report: &'a Report,
}

fn document<'a>(table: &'a Matrix, reports: &'a [Report], sets: &[RuleSet]) -> Document<'a> {
    let cells = table.rows.iter().flat_map(|row| &row.cells).zip(reports);
    let cells = cells
        .map(|(cell, report)| DocumentCell {
            word: cell.word(),
            ended_by: cell.ended.map(EndedBy::name),
            expected: cell.wanted.as_deref(),
            doubted: cell.doubted,
            report,
        })
        .collect();
    let Matrix { rules, model, seconds, .. } = table;
    Document { pinfold: FORMAT, model, rules, seconds: *seconds, cells, kernels: doubts::of(sets) }
}
