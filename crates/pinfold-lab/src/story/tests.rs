//! The story is true: a row stands where what it says takes effect, in every order of the lanes.

use std::collections::BTreeMap;
use std::sync::Arc;

use pinfold::rules::Rules;
use pinfold::{EventKind, Format as _};
use pinfold_explore::{
    AccessKind, Config, Ending, Failure, Judgement, Lanes, LockForm, Model, Replay, Search,
    Subject, explore, replay,
};

use super::ledger::Ledger;
use crate::check::{Keep, Prepared, Trial};
use crate::hardware::{Level, Tables};
use crate::journal::{Journal, PageView, What};
use crate::report::{RowKind, Trace};
use crate::scenario::{Scenario, parse};
use crate::shipped::{SCENARIOS, Shipped};

const SEEDS: u64 = 40;
/// Rules that copy much, with all that a shipped scenario needs.
const OLD: &str = "5.9,interfaces=populate";

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
            let rules = Rules::parse(if seed % 2 == 0 { OLD } else { "pinfold" }).expect("rules");
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
        cause: None,
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
            let (prepared, journal) = self::journal(&scenario, &rules(OLD), seed);
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

/// A plan that lets some failing executions pass before one counts.
struct Later {
    trial: Trial,
    skip: u64,
}

impl Subject for Later {
    type World = <Trial as Subject>::World;

    fn build(&mut self, lanes: &mut Lanes<'_>) -> Self::World {
        self.trial.build(lanes)
    }

    fn judge(&mut self, world: Self::World, ending: Ending<'_>) -> Judgement {
        let judged = self.trial.judge(world, ending);
        if matches!(judged, Judgement::Fail { .. }) && self.skip > 0 {
            self.skip -= 1;
            return Judgement::Pass { outcome: String::new() };
        }
        judged
    }
}

/// Failing executions of a plan, found in different ways and not cut.
fn failures(prepared: &Prepared, model: Model) -> Vec<Failure> {
    let ways = (0..6).flat_map(|seed| {
        [
            (Search::Random { seed: seed * 1_000, runs: 100 }, 0),
            (Search::Pct { depth: 3, seed: seed * 1_000, runs: 500 }, 0),
            (Search::Exhaustive { preemptions: None }, (1 << (2 * seed)) - 1),
        ]
    });
    let found = ways.filter_map(|(search, skip)| {
        let max_executions = Some(2_000);
        let config = Config { model, search, max_executions, shrink_runs: 0, ..Config::default() };
        let mut plan = Later { trial: Trial::new(&prepared.plan, Keep::Verdict), skip };
        explore(&mut plan, &config, &mut |_| {}).failure
    });
    found.collect()
}

/// Incidents, rules that they break under, and the switches that are to blame: each explanation
/// names one of them.
const BLAMED: &[(&str, &str, &[&str])] = &[
    ("bug-215616", "5.9", &["pte-cow"]),
    ("bug-215616-move-pages", "5.17", &["pte-cow"]),
    ("bug-215616-thp", "5.17", &["pte-cow"]),
    ("bug-215616-thp-pmd", "5.18", &["pmd-cow"]),
    ("cow-published-early", "pinfold,cow-publish=before-flush", &["cow-publish"]),
    ("delay-all-rmap", "pinfold,zap-rmap=when-freed", &["zap-rmap"]),
    ("delay-all-rmap-reuse", "pinfold,zap-rmap=when-freed", &["zap-rmap"]),
    ("dirty-cow", "pinfold,force-write=drop-write", &["force-write"]),
    ("dirty-cow-file", "pinfold,force-write=drop-write", &["force-write"]),
    ("dirty-cow-shmem", "5.19", &["force-write"]),
    ("fast-pin-reused-frame", "pinfold,fast-recheck=off", &["fast-recheck"]),
    ("file-pin", "6.2", &["file-pin"]),
    ("fork-meets-migration", "5.9", &["pte-cow"]),
    ("fork-races-fast-pin", "5.9", &["fork-pin"]),
    ("fork-races-fast-pin", "5.10", &["fork-pin"]),
    ("lazyfree-direct-io", "5.8", &["lazy-free"]),
    ("mprotect-flip", "5.9", &["pte-cow"]),
    ("mprotect-pin-fork", "5.9", &["pte-cow"]),
    ("munlock-delayed", "pinfold,zap-munlock=forgotten", &["zap-munlock"]),
    ("o-direct-fork", "6.4", &["direct-io"]),
    ("o-direct-write-fork", "5.8,read-gup=as-is", &["pte-cow"]),
    ("o-direct-swap", "5.9", &["swap-in-reuse"]),
    ("o-direct-swap", "5.18", &["swap-in-reuse"]),
    ("odp-notifier", "pinfold,notify=afterwards", &["notify"]),
    ("process-vm-fork", "5.5", &["fork-pin", "process-vm"]),
    ("rdma-fork", "5.8", &["fork-pin"]),
    ("rdma-fork-get", "pinfold", &["fork-pin"]),
    ("read-pin-file-page", "6.1", &["read-gup"]),
    ("read-pin-then-write", "5.9", &["pte-cow"]),
    ("read-pin-zero-page", "5.9", &["pte-cow"]),
    ("remap-stale-translation", "pinfold,remap-flush=after-locks", &["remap-flush"]),
    ("soft-dirty-pin", "5.9", &["clear-refs-pinned"]),
    ("swap-out-races-pin", "5.9", &["swap-in-reuse"]),
    ("swap-out-races-pin", "5.18", &["swap-in-reuse"]),
    ("swap-stable-writes", "3.1", &["swap-stable"]),
    ("swap-stable-writes", "4.9", &["swap-stable"]),
    ("unmap-races-pin", "pinfold,table-free=at-once", &["table-free"]),
    ("vmsplice-leak", "5.8,read-gup=as-is", &["pte-cow"]),
    ("wrprotect-restore-loses-dirty", "5.9", &["fork-race"]),
];

/// Whatever execution shows a failure, it is explained, by a rule that is to blame.
#[test]
fn every_failing_execution_is_explained() {
    for &(name, rules, blamed) in BLAMED {
        let text = Shipped::find(SCENARIOS, name).expect("it ships").text;
        let scenario = parse(text).expect("it parses");
        let prepared = Prepared::new(&scenario, "test.pf", &self::rules(rules)).ok();
        let prepared = prepared.expect("it fits");
        let mut explained = 0;
        for model in Model::ALL {
            for failure in failures(&prepared, model) {
                let semantics = (model, LockForm::default());
                let broken = prepared.replay(semantics, &failure.schedule).broken;
                let why = broken.expect("it breaks again").why.join("\n");
                let tags = blamed.iter().map(|switch| format!("(rule {switch}="));
                let named = tags.into_iter().any(|tag| why.contains(&tag));
                assert!(named, "{name} under {rules}, {model}, {}: {why}", failure.schedule);
                explained += 1;
            }
        }
        assert!(explained > 5, "{name} under {rules}: {explained} executions fail");
    }
}

/// A change of an entry belongs to a line of a lane that has stored to that entry since
/// another lane had a line.
#[test]
fn inv_journal_4_a_change_belongs_to_the_lane_that_made_it() {
    let mut compared = 0;
    for (name, rules, _) in BLAMED {
        let text = Shipped::find(SCENARIOS, name).expect("it ships").text;
        let scenario = parse(text).expect("it parses");
        let prepared = Prepared::new(&scenario, "test.pf", &self::rules(rules)).ok();
        let prepared = prepared.expect("it fits");
        for failure in failures(&prepared, Model::Tso) {
            let mut trial = Trial::new(&prepared.plan, Keep::Everything);
            let again = replay(&mut trial, Model::Tso, LockForm::Object, &failure.schedule);
            let journal = std::mem::take(&mut trial.kept.journal);
            for (at, cell) in changed_entries(&journal) {
                let stores = stores_to(&cell, (&again, &journal), &prepared);
                let (before, lane) = (&journal.lines[..at], journal.lines[at].lane);
                let other = before.iter().rev().find(|line| line.lane != lane);
                let from = other.map_or(0, |line| line.after);
                let to = journal.lines.get(at + 1).map_or(u64::MAX, |next| next.after);
                let stored = |&(step, by)| by == lane && (from..to).contains(&step);
                let told = || format!("{name}, {}, line {at}: {cell}", failure.schedule);
                assert!(stores.iter().any(stored), "{}: {:#?}", told(), journal.lines);
                compared += 1;
            }
        }
    }
    assert!(compared > 300, "{compared} changes");
}

/// The lines of lanes at which an entry changed, with its name: that of a table's root where one
/// entry maps the page with others, or did.
fn changed_entries(journal: &Journal) -> Vec<(usize, String)> {
    let mut changed = Vec::new();
    let mut known: BTreeMap<usize, PageView> = BTreeMap::new();
    for (at, line) in journal.lines.iter().enumerate() {
        for change in &line.changes {
            // A page may be there for longer than it has been watched.
            let Some(before) = known.insert(change.page, change.view) else { continue };
            if before.pte == change.view.pte || line.lane.is_none() {
                continue;
            }
            let watched = &journal.watched[change.page];
            let name = match (before.level, change.view.level) {
                (Level::Last, Level::Last) => format!("pte {}", watched.name),
                _ => {
                    let entry = watched.page / Tables::ENTRIES as u64;
                    format!("root {} entry {entry}", watched.process)
                }
            };
            changed.push((at, name));
        }
    }
    changed
}

/// The stores to a cell: after how many accesses, and by which lane.
fn stores_to(
    cell: &str,
    (again, journal): (&Replay, &Journal),
    prepared: &Prepared,
) -> Vec<(u64, Option<usize>)> {
    let lanes: Vec<&str> = again.lanes.iter().map(String::as_str).collect();
    let rows = journal.places.clone().list(&again.trace, &lanes, &prepared.plan.words);
    let known =
        |lane: &str| prepared.scenario().lanes.iter().position(|known| known.name.value == lane);
    let stores = again.trace.iter().zip(&rows).filter(|(access, row)| {
        row.cell == cell && matches!(access.kind, AccessKind::Store(_) | AccessKind::Rmw(_))
    });
    stores.map(|(access, _)| (access.step, known(lanes[access.lane]))).collect()
}
