//! Random programs with files and groups: they find what is known to be wrong, and nothing under
//! the default rules.
//!
//! `PINFOLD_PROGRAMS=20000 cargo test --release -p pinfold-lab --test random_files -- --nocapture`
//! is the long run.

use std::ops::Range;

use pinfold::Rules;
use pinfold_lab::generate::{Aim, Extent, Files, Program, Scans, Shape, Swaps};
use pinfold_lab::report::Oracle;
use pinfold_lab::{CheckOptions, Config, Detail, Model, Prepared, Strategy, scenario};

/// Executions of each program: few of many programs find more than many of few.
const RUNS: u64 = 100;

/// The program of a seed: with two lanes or three.
fn program(seed: u64, frames: Option<u32>) -> Program {
    let shape = Shape {
        aim: Aim::Oracles,
        lanes: 2 + (seed % 2) as usize,
        steps: 3,
        nodes: 2,
        scans: Scans::Made,
        extent: Extent::Areas,
        files: Files::Made,
        swaps: Swaps::Made,
        frames,
    };
    Program::random(seed, &shape)
}

/// What is found in a program: the oracle, and what it says. None if the language refuses the
/// program, or its setup fails.
fn search(program: &Program, seed: u64, rules: &Rules) -> Option<Option<(Oracle, String)>> {
    let text = program.text("random");
    let read = scenario::parse(&text).ok()?;
    let prepared = Prepared::new(&read, "random", rules).ok()?;
    let search = Strategy::Pct { depth: 3, seed, runs: RUNS };
    let config = Config { model: Model::Tso, search, ..Config::default() };
    let options = CheckOptions { detail: Detail::Verdict, ..CheckOptions::of(config) };
    let broken = prepared.check(&options, &mut |_| {}).broken;
    Some(broken.map(|broken| (broken.oracle, format!("{:?}\n{text}", broken.what))))
}

/// The first of the programs that breaks this oracle.
fn first(seeds: Range<u64>, rules: &Rules, oracle: Oracle) -> Option<u64> {
    let breaks = |seed: &u64| {
        let found = search(&program(*seed, None), *seed, rules).flatten();
        found.is_some_and(|(found, _)| found == oracle)
    };
    seeds.into_iter().find(breaks)
}

/// Each within forty programs, so that the test is short; a search from the first one on meets them
/// as well.
#[test]
fn what_is_known_to_be_wrong_with_files_is_found() {
    for (rules, oracle, from) in [
        // A write through a stale translation, after the writeback.
        ("pinfold,zap-rmap=with-entry", Oracle::LostWrite, 960),
        ("6.1", Oracle::LostWrite, 960),
        // A read-only pin of a file's page, and a copy for its owner.
        ("6.1", Oracle::PinCoherence, 20),
        // Dirty COW: a debugger's word in the file.
        ("pinfold,force-write=drop-write", Oracle::Isolation, 840),
        // A mapping that is counted off the wrong group.
        ("pinfold,memcg-lock=none", Oracle::Charges, 140),
        // Translations that outlive their entries, and what is written through them.
        ("pinfold,flush-reach=this-cpu", Oracle::Stale, 0),
        ("pinfold,flush-reach=this-cpu", Oracle::LostWrite, 80),
    ] {
        let set = Rules::parse(rules).expect("the rules exist");
        let found = first(from..from + 40, &set, oracle);
        println!("{rules}: {oracle} in program {found:?}");
        assert!(found.is_some(), "{rules}: {oracle}");
    }
}

#[test]
fn nothing_is_found_under_the_default_rules() {
    let asked = std::env::var("PINFOLD_PROGRAMS").ok().and_then(|text| text.parse().ok());
    let programs = asked.unwrap_or(300);
    let (mut searched, mut unfit) = (0, 0);
    for seed in 0..programs {
        // Every third program is short of frames.
        let short = seed % 3 == 2;
        let program = program(seed, short.then_some(5 + seed as u32 / 3 % 3));
        match search(&program, seed, &Rules::default()) {
            Some(Some((Oracle::Step, what))) if !short => panic!("{seed}: {what}"),
            // A setup, or a step that cannot say so, that no frame was left for.
            Some(Some((Oracle::Step, _))) | None if short => unfit += 1,
            Some(None) => searched += 1,
            found => panic!("{seed}: {found:?}"),
        }
    }
    println!("{searched} programs, {RUNS} executions each, {unfit} not fit");
    assert!(unfit * 5 < programs, "{unfit} of {programs}");
}

/// The search of a program that was found can be cut to what shows it, and every cut is a program.
#[test]
fn what_is_found_is_cut_to_a_few_steps() {
    let rules = Rules::parse("pinfold,force-write=drop-write").expect("the rules exist");
    let seed = first(840..880, &rules, Oracle::Isolation).expect("it is found");
    let shows = |less: &Program| {
        search(less, seed, &rules).flatten().is_some_and(|(found, _)| found == Oracle::Isolation)
    };
    let mut least = program(seed, None);
    let whole = least.steps();
    while let Some(less) = least.smaller().into_iter().find(shows) {
        least = less;
    }
    let text = least.text("least");
    println!("{whole} steps cut to {}:\n{text}", least.steps());
    assert!(least.steps() <= 4 && least.steps() < whole, "{text}");
    for word in ["private ro of ", "write force", "dontneed"] {
        assert!(text.contains(word), "{word}\n{text}");
    }
}
