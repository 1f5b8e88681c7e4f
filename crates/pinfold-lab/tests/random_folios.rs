//! Random programs about a large folio, or a huge page of the pool: they find what is known to be
//! wrong, and nothing under the rules of today.
//!
//! `PINFOLD_PROGRAMS=20000 cargo test --release -p pinfold-lab --test random_folios -- --nocapture`
//! is the long run.

use std::ops::Range;

use pinfold::Rules;
use pinfold_lab::generate::{Aim, Extent, Files, Program, Scans, Shape, Swaps};
use pinfold_lab::report::Oracle;
use pinfold_lab::{CheckOptions, Config, Detail, Model, Prepared, Strategy, scenario};

/// Executions of each program.
const RUNS: u64 = 100;

/// The program of a seed: with two lanes or three.
fn program(extent: Extent, seed: u64, frames: Option<u32>) -> Program {
    let shape = Shape {
        aim: Aim::Oracles,
        lanes: 2 + (seed % 2) as usize,
        steps: 3,
        nodes: 2,
        scans: Scans::Made,
        extent,
        files: Files::Left,
        swaps: Swaps::Made,
        frames,
    };
    Program::random(seed, &shape)
}

/// What is found in a program: the oracle, and what it says. None if its setup fails.
fn search(program: &Program, seed: u64, rules: &Rules) -> Option<Option<(Oracle, String)>> {
    let text = program.text("random");
    let read = scenario::parse(&text).unwrap_or_else(|errors| panic!("{errors:?}\n{text}"));
    let prepared = Prepared::new(&read, "random", rules).ok()?;
    let search = Strategy::Pct { depth: 3, seed, runs: RUNS };
    let config = Config { model: Model::Tso, search, ..Config::default() };
    let options = CheckOptions { detail: Detail::Verdict, ..CheckOptions::of(config) };
    let broken = prepared.check(&options, &mut |_| {}).broken;
    Some(broken.map(|broken| (broken.oracle, format!("{:?}\n{text}", broken.what))))
}

/// The first of the programs in which one of these oracles finds anything.
fn first(extent: Extent, seeds: Range<u64>, rules: &Rules, oracles: &[Oracle]) -> Option<u64> {
    let breaks = |seed: &u64| {
        let found = search(&program(extent, *seed, None), *seed, rules).flatten();
        found.is_some_and(|(found, _)| oracles.contains(&found))
    };
    seeds.into_iter().find(breaks)
}

#[test]
fn what_is_known_to_be_wrong_with_folios_is_found() {
    let counted = [Oracle::Counts, Oracle::Invariant].as_slice();
    let parted = [Oracle::PinCoherence].as_slice();
    for (extent, rules, oracles) in [
        (Extent::Folio, "pinfold,head-recheck=trusted", counted),
        (Extent::Folio, "pinfold,large-maps=forgotten", counted),
        (Extent::Folio, "pinfold,collapse-sync=flush,fast-recheck=entry", parted),
        (Extent::Pool, "pinfold,hugetlb-fork=share", parted),
    ] {
        let set = Rules::parse(rules).expect("the rules exist");
        let found = first(extent, 0..400, &set, oracles);
        println!("{rules}: in program {found:?}");
        assert!(found.is_some(), "{rules}");
    }
}

#[test]
fn nothing_is_found_under_the_rules_of_today() {
    let asked = std::env::var("PINFOLD_PROGRAMS").ok().and_then(|text| text.parse().ok());
    let programs = asked.unwrap_or(300);
    for name in ["pinfold", "latest"] {
        let rules = Rules::parse(name).expect("a preset");
        nothing_is_found(Extent::Folio, programs, name, &rules);
        nothing_is_found(Extent::Pool, programs / 3, name, &rules);
    }
}

fn nothing_is_found(extent: Extent, programs: u64, name: &str, rules: &Rules) {
    let (mut searched, mut unfit) = (0, 0);
    for seed in 0..programs {
        // Every third program is short of frames.
        let short = seed % 3 == 2;
        let program = program(extent, seed, short.then_some(6 + seed as u32 / 3 % 4));
        match search(&program, seed, rules) {
            Some(Some((Oracle::Step, what))) if !short => panic!("{name}, {seed}: {what}"),
            // A setup, or a step that cannot say so, that no frame was left for.
            Some(Some((Oracle::Step, _))) | None if short => unfit += 1,
            Some(None) => searched += 1,
            found => panic!("{name}, {seed}: {found:?}"),
        }
    }
    println!("{name}, {extent:?}: {searched} programs, {RUNS} executions each, {unfit} not fit");
    assert!(unfit * 5 < programs, "{unfit} of {programs}");
}
