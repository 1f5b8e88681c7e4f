//! `pinfold fuzz`: random programs, held against the oracles or against a real kernel.

use super::stage::Stage;
use super::{Answer, worst};
use crate::args::{FuzzArgs, Where};
use crate::console::Console;
use crate::failure::Failure;
use crate::files::Output;
use crate::find::{self, Loaded, Source};
use crate::progress::{Meter, stop_flag};
use crate::render::report;
use crate::render::text::thousands;
use crate::rulesets::{self, RuleSet};
use crate::show;
use pinfold_lab::generate::{Aim, Extent, Files, Program, Scans, Shape, Swaps};
use pinfold_lab::report::{Oracle, Report, Verdict, id};
use pinfold_lab::{CheckOptions, Config, Model};
use pinfold_linux::{KernelReport, Options, Verdict as Word};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The file of a program that was found.
const FILE: &str = "program.pf";
/// The most steps of a lane, and of a program without lanes.
const LANE_STEPS: usize = 3;
const ALONE_STEPS: usize = 9;
/// The most frames on each node where they are short, and the least.
const SHORT: (u32, u32) = (4, 7);
/// The most orders of whole steps on a kernel, and the trials of each.
const ORDERS: usize = 30;
const REPETITIONS: u32 = 2;

/// Makes programs and tells what was found.
///
/// # Errors
/// When a rule set is not understood, or the result cannot be written.
pub(crate) fn fuzz(args: &FuzzArgs, console: &mut Console) -> Answer {
    match &args.on {
        Some(on) => on_kernel(args, on, console),
        None => by_oracles(args, console),
    }
}

/// How many lanes the program at this place has.
fn lanes(args: &FuzzArgs, otherwise: &[u8], at: u32) -> usize {
    let all = if args.lanes.is_empty() { otherwise } else { &args.lanes };
    all.get(at as usize % all.len().max(1)).map_or(0, |lanes| usize::from(*lanes))
}

fn steps(args: &FuzzArgs, lanes: usize) -> usize {
    let most = if lanes == 0 { ALONE_STEPS } else { LANE_STEPS };
    args.steps.map_or(most, usize::from)
}

fn seed(args: &FuzzArgs, at: u32) -> u64 {
    args.seed.wrapping_add(u64::from(at))
}

/// A program as what a file holds; none if the language refuses it.
pub(super) fn loaded(program: &Program, name: &str, console: &Console) -> Option<Loaded> {
    let source = Source { text: program.text(name), path: name.to_owned() };
    find::parse(source, console.error_style()).ok()
}

/// A program with as few steps as still show something: every step is tried, and again as long as
/// one could be left out.
pub(super) fn smallest(program: Program, mut shows: impl FnMut(&Program) -> bool) -> Program {
    let mut least = program;
    while let Some(less) = least.smaller().into_iter().find(|less| shows(less)) {
        least = less;
    }
    least
}

/// Saves a program; where it is, as shown to people.
fn keep(program: &Program, name: &str, directory: &Path, console: &Console) -> Option<String> {
    let text = program.text(name);
    let directory = directory.join(id(&[&text]));
    let file = directory.join(FILE);
    let unsaved = |why| Failure::Unsaved { path: show::path(&directory), why };
    let written = fs::create_dir_all(&directory)
        .map_err(unsaved)
        .and_then(|()| Output::open(&file)?.put(&text));
    match written {
        Ok(()) => Some(show::path(file)),
        Err(failure) => {
            console.warn(&failure.to_string());
            None
        }
    }
}

/// What is shown of a program that was found: a heading, its text, and where it is.
fn tell(head: &str, program: &Program, name: &str, saved: Option<String>) -> String {
    let text = program.text(name);
    let body = text.lines().filter(|line| !line.is_empty()).map(|line| format!("    {line}\n"));
    let saved = saved.map_or_else(String::new, |file| format!("saved  {file}\n"));
    format!("{head}\n{}{saved}\n", body.collect::<String>())
}

/// Programs under each rule set against the machine's own oracles.
fn by_oracles(args: &FuzzArgs, console: &mut Console) -> Answer {
    let sets = match args.rules.as_slice() {
        [] => vec![rulesets::one("latest")?],
        given => rulesets::several(given)?,
    };
    let stop = stop_flag()?;
    let mut verdicts = Vec::new();
    for set in &sets {
        verdicts.push(under(args, set, &stop, console)?);
        if stop.load(Ordering::Relaxed) {
            break;
        }
    }
    let verdict = worst(verdicts.into_iter());
    let allowed = args.allow_partial && verdict == Verdict::Partial;
    Ok(if allowed { Verdict::Pass } else { verdict }.exit_code())
}

/// What came of the programs under one rule set.
#[derive(Default)]
struct Tally {
    programs: u64,
    executions: u64,
    exhausted: u64,
    unfit: u64,
    found: BTreeMap<Oracle, u64>,
}

fn under(
    args: &FuzzArgs,
    set: &RuleSet,
    stop: &Arc<AtomicBool>,
    console: &mut Console,
) -> Result<Verdict, Failure> {
    let options = search(args.max_executions, args.model.model(), stop);
    let mut tally = Tally::default();
    for at in 0..args.programs {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let (seed, lanes) = (seed(args, at), lanes(args, &[2, 3, 4], at));
        // Every second program is short of frames.
        let frames = (at % 2 == 1).then(|| SHORT.0 + at / 2 % (SHORT.1 - SHORT.0));
        let shape = Shape {
            aim: Aim::Oracles,
            lanes,
            steps: steps(args, lanes),
            nodes: 2,
            scans: Scans::Made,
            extent: Extent::of(seed),
            files: Files::of(seed),
            swaps: Swaps::Made,
            frames,
        };
        let name = format!("random-{seed}");
        let program = Program::random(seed, &shape);
        let mut meter = Meter::new();
        meter.show(|| format!("{name} under {}, {} programs", set.name, tally.programs));
        let Some(report) = checked(&program, &name, set, &options, console) else {
            tally.unfit += 1;
            continue;
        };
        drop(meter);
        tally.programs += 1;
        tally.executions += report.search.executions;
        let oracle = match (&report.broken, report.verdict) {
            (Some(broken), _) => broken.oracle,
            (None, verdict) => {
                tally.exhausted += u64::from(verdict == Verdict::Pass);
                continue;
            }
        };
        // A step that fails where the program does not foresee it is the program's own fault.
        if matches!(oracle, Oracle::Step | Oracle::Scenario) {
            tally.unfit += 1;
            continue;
        }
        *tally.found.entry(oracle).or_default() += 1;
        let shows = |less: &Program| {
            let report = checked(less, &name, set, &options, console);
            report.and_then(|report| report.broken).is_some_and(|it| it.oracle == oracle)
        };
        let least = smallest(program.clone(), shows);
        let saved = if args.no_save { None } else { keep(&least, &name, &args.save, console) };
        let head = format!(
            "FAIL   {name} under {} and {}: {oracle}, cut from {} steps to {}",
            set.name,
            args.model.name(),
            program.steps(),
            least.steps()
        );
        console.print(&tell(&head, &least, &name, saved))?;
    }
    let verdict = match () {
        () if !tally.found.is_empty() => Verdict::Fail,
        () if tally.programs > tally.exhausted || tally.programs == 0 => Verdict::Partial,
        () => Verdict::Pass,
    };
    console.print(&summed(&tally, set, args, verdict))?;
    Ok(verdict)
}

fn summed(tally: &Tally, set: &RuleSet, args: &FuzzArgs, verdict: Verdict) -> String {
    let found = tally.found.iter().map(|(oracle, count)| format!("{oracle} {count}"));
    let found = found.collect::<Vec<_>>().join(", ");
    let found = if found.is_empty() { "nothing found".to_owned() } else { found };
    format!(
        "{:<7}{}  {} programs from seed {} | model {} | {} executions, at most {} each | {} \
         exhausted | {} not fit | {found}\n",
        report::word(verdict).0,
        set.rules,
        thousands(tally.programs),
        args.seed,
        args.model.name(),
        thousands(tally.executions),
        thousands(args.max_executions),
        thousands(tally.exhausted),
        thousands(tally.unfit),
    )
}

pub(super) fn search(most: u64, model: Model, stop: &Arc<AtomicBool>) -> CheckOptions {
    let stop = Some(stop.clone());
    CheckOptions::of(Config { model, max_executions: Some(most), stop, ..Config::default() })
}

/// What a check of the program says; none if there is none.
fn checked(
    program: &Program,
    name: &str,
    set: &RuleSet,
    options: &CheckOptions,
    console: &Console,
) -> Option<Report> {
    let loaded = loaded(program, name, console)?;
    let prepared = loaded.prepare(&set.rules, console.error_style()).ok()?;
    Some(prepared.check(options, &mut |_| {}))
}

/// Programs on a kernel, compared with the model.
fn on_kernel(args: &FuzzArgs, on: &Where, console: &mut Console) -> Answer {
    let given = match rulesets::several(&args.rules)?.as_slice() {
        [] => None,
        [set] => Some(set.clone()),
        _ => return Err(Failure::Usage("--on compares with one rule set".to_owned())),
    };
    let stop = stop_flag()?;
    let mut stage = Stage::open(on, given, args.i_own_this_machine)?;
    let search = search(args.max_executions.max(20_000), Model::Tso, &stop);
    let options = Options {
        orders: ORDERS,
        repetitions: REPETITIONS,
        free: args.trials,
        amplified: args.trials.div_ceil(5),
        seed: args.seed,
    };
    if let Some((verdict, why)) = &stage.unable {
        console.print(&format!("{verdict}   {why}\n"))?;
        return Ok(verdict.exit_code());
    }
    let (nodes, scans, swaps) = {
        let features = stage.agent.features();
        let scans = if features.no_scans.is_none() { Scans::Made } else { Scans::Left };
        let swaps = if features.no_swap.is_none() { Swaps::Made } else { Swaps::Left };
        (features.nodes.clamp(1, 2), scans, swaps)
    };
    let mut words: BTreeMap<&str, u64> = BTreeMap::new();
    let mut whys: BTreeMap<String, u64> = BTreeMap::new();
    let mut worst = Vec::new();
    let mut trials = 0;
    for at in 0..args.programs {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let (seed, lanes) = (seed(args, at), lanes(args, &[0, 2], at));
        let shape = Shape {
            aim: Aim::Compare,
            lanes,
            steps: steps(args, lanes),
            nodes,
            scans,
            extent: Extent::Areas,
            files: Files::of(seed),
            swaps,
            frames: None,
        };
        let name = format!("random-{seed}");
        let program = Program::random(seed, &shape);
        let mut meter = Meter::new();
        meter.show(|| format!("{name} on the kernel, {at} of {}", args.programs));
        let mut ask = |program: &Program| -> Option<KernelReport> {
            let loaded = loaded(program, &name, console)?;
            stage.compare(&loaded, &search, &options, console).ok()
        };
        let Some(report) = ask(&program) else { continue };
        trials += report.trials();
        *words.entry(report.verdict.as_str()).or_default() += 1;
        worst.push(report.verdict);
        if report.verdict == Word::Beyond {
            let shows =
                |less: &Program| ask(less).is_some_and(|report| report.verdict == Word::Beyond);
            let least = smallest(program.clone(), shows);
            drop(meter);
            let seen = ask(&least).and_then(|report| report.beyond);
            let seen = seen.map_or_else(String::new, |beyond| beyond.outcome.told(&beyond.plan));
            let saved = if args.no_save { None } else { keep(&least, &name, &args.save, console) };
            let (from, to) = (program.steps(), least.steps());
            let head = format!("BEYOND {name}, cut from {from} steps to {to}; {seen}");
            console.print(&tell(&head, &least, &name, saved))?;
        } else if matches!(report.verdict, Word::Skip | Word::Error) {
            let why = report.missing.first().map_or_else(String::new, |it| it.why.clone());
            *whys.entry(format!("{}: {why}", report.verdict)).or_default() += 1;
        }
    }
    for (why, count) in &whys {
        console.print(&format!("{count} {why}\n"))?;
    }
    let words: Vec<String> = words.iter().map(|(word, count)| format!("{count} {word}")).collect();
    let verdict = Word::worst(worst.into_iter());
    console.print(&format!(
        "{} programs from seed {}: {} | {} trials | kernel {}, compared with {}\n",
        args.programs,
        args.seed,
        words.join(", "),
        thousands(trials),
        stage.kernel.release,
        stage.kernel.rules
    ))?;
    // Programs that cannot be carried out here are left out, which is no answer about the others.
    Ok(if verdict == Word::Skip { Word::Within } else { verdict }.exit_code())
}
