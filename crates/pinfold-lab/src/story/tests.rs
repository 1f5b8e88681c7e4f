//! The story is true: a row stands where what it says takes effect, in every order of the lanes.

use std::collections::BTreeMap;
use std::sync::Arc;

use pinfold::EventKind;
use pinfold::rules::Rules;
use pinfold_explore::{Config, Model, Search, explore};

use super::ledger::Ledger;
use crate::check::{Keep, Prepared, Trial};
use crate::journal::{Journal, What};
use crate::report::{RowKind, Trace};
use crate::scenario::{Scenario, parse};
use crate::shipped::SCENARIOS;

const SEEDS: u64 = 40;

/// One random execution under sequential consistency, with everything kept.
fn journal(scenario: &Scenario, rules: &Rules, seed: u64) -> (Arc<Prepared>, Journal) {
    let prepared = Arc::new(Prepared::new(scenario, "test.pf", rules).expect("it fits"));
    let mut trial = Trial::new(&prepared.plan, Keep::Everything);
    let search = Search::Random { seed, runs: 1 };
    let config = Config { model: Model::Sc, search, shrink_runs: 0, ..Config::default() };
    explore(&mut trial, &config, &mut |_| {});
    (prepared, std::mem::take(&mut trial.kept.journal))
}

/// Two stores that a load meets anywhere.
const STORES_AND_LOADS: &str = "
scenario stores-and-loads
machine
  cpu cpu0 node 0
  cpu cpu1 node 0
setup
  process P on cpu0
  P: map A 1 private rw
  P: write A \"before\"
lane writer: P on cpu0
  write A \"one\"
  write A \"two\"
lane reader: P on cpu1
  read A
  read A
always
  P:A sees \"two\"
";

fn shipped() -> impl Iterator<Item = Scenario> {
    let texts = SCENARIOS.iter().map(|shipped| shipped.text).chain([STORES_AND_LOADS]);
    texts.map(|text| parse(text).expect("they parse"))
}

/// A load finds what the nearest row above it stored in that word: nothing is told before it has
/// taken effect, or after.
#[test]
fn inv_journal_1_a_load_finds_the_store_above_it() {
    let mut compared = 0;
    for scenario in shipped() {
        for seed in 0..SEEDS {
            let rules = Rules::parse(if seed % 2 == 0 { "5.9" } else { "pinfold" }).expect("rules");
            let (_, journal) = journal(&scenario, &rules, seed);
            let mut words: BTreeMap<(u64, usize), u64> = BTreeMap::new();
            for line in &journal.lines {
                match &line.what {
                    What::Stores(touch) => {
                        words.insert((touch.frame.0, touch.word), touch.value);
                    }
                    What::Loads(touch) => {
                        if let Some(known) = words.get(&(touch.frame.0, touch.word)) {
                            compared += 1;
                            let name = &scenario.name.value;
                            let lines = &journal.lines;
                            assert_eq!(touch.value, *known, "{name}, seed {seed}: {lines:#?}");
                        }
                    }
                    // What a frame is filled with from here on is not in a row of its own.
                    What::Event(event) => {
                        let filled = match event.kind {
                            EventKind::Copied { to, .. }
                            | EventKind::Migrated { to, .. }
                            | EventKind::ForkCopied { to, .. }
                            | EventKind::FirstTouch(to)
                            | EventKind::CowCopy { pfn: to, .. }
                            | EventKind::Freed(to) => Some(to),
                            _ => None,
                        };
                        if let Some(frame) = filled {
                            words.retain(|(known, _), _| *known != frame.0);
                        }
                    }
                    _ => {}
                }
            }
        }
    }
    assert!(compared > 400, "{compared} loads had a store above them");
}

#[test]
fn inv_journal_2_lines_and_accesses_have_one_order() {
    for scenario in shipped() {
        let rules = Rules::default();
        for seed in 0..SEEDS {
            let (_, journal) = journal(&scenario, &rules, seed);
            assert!(journal.lines.is_sorted_by_key(|line| line.after));
        }
    }
}

/// The rows of an execution.
fn drawn(prepared: &Prepared, journal: &Journal) -> Trace {
    let telling = super::Telling {
        scenario: prepared.scenario(),
        rules: prepared.rules(),
        words: &prepared.plan.words,
        journal,
        about: &[],
        broke: false,
        accesses: &[],
        lanes: &[],
    };
    telling.tell().trace
}

/// A step that another lane interrupts is called unfinished there, and goes on later: nothing that
/// it does is told in the meantime.
#[test]
fn an_interrupted_step_is_marked_and_goes_on() {
    let mut interrupted = 0;
    for scenario in shipped() {
        for seed in 0..SEEDS {
            let (prepared, journal) = journal(&scenario, &Rules::default(), seed);
            let ledger = Ledger::new(&journal);
            let trace = drawn(&prepared, &journal);
            let says = |number: u32, what: &str| {
                trace.rows.iter().any(|row| {
                    row.kind == RowKind::Switch
                        && row.text.contains(&format!("step {number} {what}"))
                })
            };
            for step in ledger.steps.iter().filter(|step| step.lane.is_some() && !step.whole) {
                interrupted += 1;
                let name = &scenario.name.value;
                assert!(says(step.number, "is not finished"), "{name}, seed {seed}: {trace:#?}");
                assert!(says(step.number, "goes on"), "{name}, seed {seed}: {trace:#?}");
            }
            // No mark is drawn that the rules do not know.
            let (prepared, journal) = self::journal(&scenario, &rules("5.9"), seed);
            let states = drawn(&prepared, &journal).rows;
            assert!(states.iter().all(|row| !row.state.iter().any(|state| state.contains("excl"))));
        }
    }
    assert!(interrupted > 500, "{interrupted} steps were interrupted");
}

fn rules(text: &str) -> Rules {
    Rules::parse(text).expect("rules")
}

/// What claims read is set apart: their faults belong to no lane.
#[test]
fn what_claims_read_is_apart_from_the_lanes() {
    let text = "
scenario untouched
setup
  process P
  P: map A 1 private rw
lane owner: P
  read A
  advise A dontneed
always
  P:A sees \"0\"
";
    let scenario = parse(text).expect("a scenario");
    let (prepared, journal) = journal(&scenario, &Rules::default(), 0);
    let rows = drawn(&prepared, &journal).rows;
    let claims = rows.iter().position(|row| row.kind == RowKind::Claims).expect("they read");
    assert!(rows[claims + 1..].iter().all(|row| row.lane.is_none()), "{rows:#?}");
    assert!(rows[claims + 1].text.contains("zero page"), "{rows:#?}");
    assert!(rows[..claims].iter().all(|row| row.lane.is_some()), "{rows:#?}");
}
