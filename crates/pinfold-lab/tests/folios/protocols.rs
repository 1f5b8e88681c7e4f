//! The protocols of large folios, each searched to exhaustion under each memory model, and broken
//! twins, which must be found.

use pinfold::{Pfn, PmdMapping, Rules, lab};
use pinfold_explore::{Completeness, FailureKind, LockForm, Model};

use super::operations::What::{
    Collapse, DontNeed, Exit, Fork, Get, GiveFrame, Load, Migrate, Move, PinFast, PinWrite,
    ReadOnly, Reference, ReferenceHead, Scan, Split, SplitQueued, Store, StoreBeside, StoreHead,
    Unmap, Writable,
};
use super::operations::Who::{Child, Owner};
use super::operations::{Act, Part, Setup};
use super::search::Case;
use super::world::World;

/// More executions than any search here takes.
const MOST: u64 = 1_000_000;
const MODELS: [Model; 3] = [Model::Sc, Model::Tso, Model::Weak];

type Protocol = (&'static str, Setup, &'static [&'static [Act]]);

const SPLIT: &[Act] = &[(Owner, Split)];
const PIN_SPLIT: Protocol = ("fast pin, split", Setup::Whole, &[&[(Owner, PinFast)], SPLIT]);
const REFERENCE_SPLIT: Protocol =
    ("reference, split", Setup::Whole, &[&[(Owner, Reference)], SPLIT]);
const REUSE_LEFT: Protocol = (
    "reuse, get and exit of the sharer",
    Setup::Forked,
    &[&[(Owner, Store)], &[(Child, Get), (Child, Exit)]],
);

/// The frames of three small pages become those of a folio, with one beside them.
const ANEW: &[Act] = &[(Owner, DontNeed(Part::Tails)), (Owner, GiveFrame), (Owner, StoreBeside)];
/// What was a small page becomes the head of a folio.
const PIN_REUSE: Protocol =
    ("fast pin, reuse of the frames", Setup::Reused, &[&[(Owner, PinFast)], ANEW]);
const TWO_UNMAPS: Protocol = (
    "two unmaps of a half",
    Setup::Forked,
    &[&[(Owner, Unmap(Part::Upper))], &[(Child, Unmap(Part::Upper))]],
);
const PIN_FORK: Protocol =
    ("fast pin, fork", Setup::Whole, &[&[(Owner, PinFast)], &[(Owner, Fork)]]);
const PIN_COLLAPSE: Protocol =
    ("fast pin, collapse", Setup::Small, &[&[(Owner, PinFast)], &[(Owner, Collapse)]]);
const REFERENCE_TABLE: Protocol = (
    "reference, a table in its place",
    Setup::Reused,
    &[&[(Owner, Reference)], &[(Owner, DontNeed(Part::Tails)), (Owner, Fork)]],
);

const PROTOCOLS: &[Protocol] = &[
    PIN_SPLIT,
    REFERENCE_SPLIT,
    REUSE_LEFT,
    ("reference to the head, split", Setup::Whole, &[&[(Owner, ReferenceHead)], SPLIT]),
    ("load, split", Setup::Whole, &[&[(Owner, Load)], SPLIT]),
    ("store, split", Setup::Whole, &[&[(Owner, Store), (Owner, Load)], SPLIT]),
    ("fork, split", Setup::Whole, &[&[(Owner, Fork)], SPLIT]),
    ("unmap, split", Setup::Whole, &[&[(Owner, Unmap(Part::All))], SPLIT]),
    ("unmap of a half, split", Setup::Whole, &[&[(Owner, Unmap(Part::Lower))], SPLIT]),
    ("drop of a half, split", Setup::Partly, &[&[(Owner, DontNeed(Part::Lower))], SPLIT]),
    ("exit of the sharer, split", Setup::Halves, &[&[(Child, Exit)], SPLIT]),
    ("exit of the owner, split", Setup::Halves, &[&[(Owner, Exit)], &[(Child, Split)]]),
    ("two splits", Setup::Halves, &[SPLIT, &[(Child, Split)]]),
    ("move of a half, split", Setup::Whole, &[&[(Owner, Move)], SPLIT]),
    ("read-only, split", Setup::Whole, &[&[(Owner, ReadOnly), (Owner, Writable)], SPLIT]),
    ("fork, exit of the sharer", Setup::Forked, &[&[(Owner, Fork)], &[(Child, Exit)]]),
    (
        "reuse, last unmap of the sharer",
        Setup::Forked,
        &[&[(Owner, Store), (Owner, StoreHead)], &[(Child, Unmap(Part::All))]],
    ),
    ("reuse, fast pin", Setup::Alone, &[&[(Owner, Store)], &[(Owner, PinFast)]]),
    ("reuse, reference", Setup::Alone, &[&[(Owner, Store)], &[(Owner, Reference)]]),
    TWO_UNMAPS,
    PIN_FORK,
    (
        "unmap of a half, queued split",
        Setup::Partly,
        &[&[(Owner, Unmap(Part::Lower))], &[(Owner, SplitQueued)]],
    ),
    ("last exit, queued split", Setup::Partly, &[&[(Owner, Exit)], &[(Owner, SplitQueued)]]),
    ("two queued splits", Setup::Partly, &[&[(Owner, SplitQueued)], &[(Owner, SplitQueued)]]),
    PIN_REUSE,
    ("reference, reuse of the frames", Setup::Reused, &[&[(Owner, Reference)], ANEW]),
    REFERENCE_TABLE,
    ("two first touches", Setup::Untouched, &[&[(Owner, Store)], &[(Owner, StoreHead)]]),
    (
        "first touch, reference",
        Setup::Untouched,
        &[&[(Owner, Store), (Owner, Unmap(Part::All))], &[(Owner, Reference)]],
    ),
];

/// Those of a huge entry that is made, split or taken out under another's look at it.
const OF_HUGE: &[Protocol] = &[
    ("fast pin, split of the entry", Setup::Whole, &[&[(Owner, PinFast)], &[(Owner, ReadOnly)]]),
    (
        "fast pin, drop and first touch",
        Setup::Whole,
        &[&[(Owner, PinFast)], &[(Owner, DontNeed(Part::All)), (Owner, Store)]],
    ),
    (
        "first touch, drop of all",
        Setup::Untouched,
        &[&[(Owner, Store), (Owner, StoreHead)], &[(Owner, DontNeed(Part::All))]],
    ),
    (
        "first touch, drop of a half",
        Setup::Untouched,
        &[&[(Owner, Store)], &[(Owner, DontNeed(Part::Upper))]],
    ),
    (
        "store through the entry, split of it",
        Setup::Whole,
        &[&[(Owner, Store), (Owner, Load)], &[(Owner, DontNeed(Part::Upper))]],
    ),
    ("two splits of one entry", Setup::Whole, &[&[(Owner, DontNeed(Part::Upper))], SPLIT]),
    ("write fault, fork of the sharer", Setup::Forked, &[&[(Owner, Store)], &[(Child, Fork)]]),
];

const MOVE: &[Act] = &[(Owner, Migrate)];
const PIN_MOVE: Protocol = ("fast pin, migration", Setup::Whole, &[&[(Owner, PinFast)], MOVE]);
/// The owner of what is pinned stores after the lanes.
const SCAN_MOVE: Protocol = ("scan, failing migration", Setup::Pinned, &[MOVE, &[(Owner, Scan)]]);
const SCAN_HINT: Protocol = (
    "scan, failing hinting fault",
    Setup::Pinned,
    &[&[(Owner, Scan), (Owner, Load)], &[(Owner, Scan)]],
);

/// Those of a folio that moves as a whole, by entries and by a huge entry.
const MOVES: &[Protocol] = &[
    PIN_MOVE,
    ("reference, migration", Setup::Whole, &[&[(Owner, Reference)], MOVE]),
    ("store, migration", Setup::Whole, &[&[(Owner, Store), (Owner, Load)], MOVE]),
    ("fork, migration", Setup::Whole, &[&[(Owner, Fork)], MOVE]),
    ("unmap of a half, migration", Setup::Whole, &[&[(Owner, Unmap(Part::Upper))], MOVE]),
    ("drop of all, migration", Setup::Whole, &[&[(Owner, DontNeed(Part::All))], MOVE]),
    ("read-only, migration", Setup::Whole, &[&[(Owner, ReadOnly), (Owner, Writable)], MOVE]),
    ("scan and fault, migration", Setup::Whole, &[&[(Owner, Scan), (Owner, Load)], MOVE]),
    ("hint, fast pin", Setup::Hinted, &[&[(Owner, Load)], &[(Owner, PinFast)]]),
    ("hint, reference", Setup::Hinted, &[&[(Owner, Load)], &[(Owner, Reference)]]),
    ("hint, fork", Setup::Hinted, &[&[(Owner, Load)], &[(Owner, Fork)]]),
    ("hint, drop of a half", Setup::Hinted, &[&[(Owner, Load)], &[(Owner, DontNeed(Part::Upper))]]),
];

/// The same, with more executions.
const LONG_MOVES: &[Protocol] = &[
    ("hint, store through the folio", Setup::Hinted, &[&[(Owner, Load)], &[(Owner, StoreHead)]]),
    ("split, migration", Setup::Whole, &[SPLIT, MOVE]),
    ("slow pin, migration", Setup::Whole, &[&[(Owner, PinWrite)], MOVE]),
    ("write fault, migration", Setup::Forked, &[&[(Owner, Store)], MOVE]),
    ("write fault of the sharer, migration", Setup::Forked, &[&[(Child, Store)], MOVE]),
    ("exit of the sharer, migration", Setup::Forked, &[&[(Child, Exit)], MOVE]),
    ("two migrations", Setup::Forked, &[MOVE, MOVE]),
];

const TWO_WRITERS: Protocol = (
    "write fault, write fault of the sharer",
    Setup::Forked,
    &[&[(Owner, Store)], &[(Child, Store)]],
);

/// A move against a split of the same folio, by a hinting fault: the longest searches.
const HINTS: &[Protocol] = &[
    ("hint, split", Setup::Hinted, &[&[(Owner, Load)], SPLIT]),
    ("scan, split", Setup::Whole, &[&[(Owner, Scan), (Owner, Store)], SPLIT]),
];

/// Others whose searches take long.
const LONG: &[Protocol] = &[
    ("slow pin, split", Setup::Whole, &[&[(Owner, PinWrite)], SPLIT]),
    ("get, split", Setup::Whole, &[&[(Owner, Get)], SPLIT]),
    ("copy, split", Setup::Halves, &[&[(Owner, Store)], SPLIT]),
];

fn case(protocol: Protocol, rules: &str) -> Case {
    case_by(protocol, PmdMapping::Off, rules)
}

fn case_by((_, setup, lanes): Protocol, by: PmdMapping, rules: &str) -> Case {
    Case::new((setup, by), lanes, rules)
}

/// Searches to exhaustion without a failure; how many executions it took, and how many ends there
/// are.
fn holds(mut case: Case, model: Model, locks: LockForm) -> Result<(u64, usize), String> {
    let report = case.search(model, locks, MOST);
    let told = (case.setup, case.by, &case.lanes, model);
    if let Some(failure) = report.failure {
        return Err(format!("{told:?}: {failure}"));
    }
    if report.complete != Completeness::Exhausted {
        return Err(format!("{told:?}: {} executions are too few", report.executions));
    }
    Ok((report.executions, report.outcomes.len()))
}

/// What a search finds, if it finds anything.
fn found(mut case: Case, model: Model) -> Option<FailureKind> {
    case.search(model, LockForm::Object, MOST).failure.map(|failure| failure.kind)
}

/// Under weak, which has the executions of the others; those that take longest under sc.
#[test]
fn each_protocol_holds_on_a_machine_as_weak_as_the_contract() {
    PROTOCOLS
        .iter()
        .for_each(|protocol| holds_by(*protocol, PmdMapping::Off, "pinfold", Model::Weak));
    LONG.iter().for_each(|protocol| holds_by(*protocol, PmdMapping::Off, "pinfold", Model::Sc));
}

#[test]
#[ignore = "some minutes; run before a change of a protocol of large folios"]
fn each_protocol_holds_in_every_model() {
    for protocol in PROTOCOLS.iter().chain(LONG).chain(HINTS) {
        MODELS.into_iter().for_each(|model| holds_by(*protocol, PmdMapping::Off, "pinfold", model));
    }
    LONG.iter().for_each(|protocol| holds_huge(*protocol, "pinfold", Model::Weak));
    MODELS.into_iter().for_each(|model| holds_huge(TWO_WRITERS, "pinfold", model));
}

/// The same where one entry maps the folio, under weak, which has the executions of the others.
#[test]
fn each_protocol_holds_where_one_entry_maps_the_folio() {
    let began_huge = PROTOCOLS.iter().filter(|(_, setup, _)| setup.may_be_huge());
    for protocol in began_huge.chain(OF_HUGE) {
        holds_huge(*protocol, "pinfold", Model::Weak);
    }
    for rules in ["5.18,head-recheck=again", "latest"] {
        OF_HUGE.iter().for_each(|protocol| holds_huge(*protocol, rules, Model::Tso));
    }
}

/// Searches to exhaustion without a failure, and prints a line.
fn holds_by(protocol: Protocol, by: PmdMapping, rules: &str, model: Model) {
    let case = case_by(protocol, by, rules);
    let (executions, ends) = holds(case, model, LockForm::Object).unwrap();
    let name = protocol.0;
    println!("{name:<38} {rules} {by:?} {model:?}: {executions:>6} executions; {ends} ends");
}

fn holds_huge(protocol: Protocol, rules: &str, model: Model) {
    holds_by(protocol, PmdMapping::On, rules, model);
}

/// By entries and by a huge entry.
fn holds_both(protocol: Protocol, rules: &str, model: Model) {
    for by in [PmdMapping::Off, PmdMapping::On] {
        holds_by(protocol, by, rules, model);
    }
}

#[test]
fn each_protocol_of_moves_holds_by_entries_and_by_a_huge_entry() {
    MOVES.iter().for_each(|protocol| holds_both(*protocol, "pinfold", Model::Weak));
}

#[test]
fn each_protocol_of_moves_holds_by_the_rules_of_each_era() {
    for rules in ["5.9", "5.14", "latest"] {
        let rules = format!("{rules},head-recheck=again");
        MOVES.iter().for_each(|protocol| holds_both(*protocol, &rules, Model::Sc));
    }
}

#[test]
#[ignore = "some minutes; run before a change of migration"]
fn each_long_protocol_of_moves_holds_by_entries_and_by_a_huge_entry() {
    LONG_MOVES.iter().for_each(|protocol| holds_both(*protocol, "pinfold", Model::Weak));
}

/// The order of bug 215616 (facts 4.6) on a folio: a migration that fails for the pin, and a scan
/// that takes the write bit out of the migration entry meanwhile. By entries from 5.9 until the
/// mark outlives the scan in 5.19; where one entry maps the folio, not before the write fault on
/// such an entry looks at references, too, in 5.18 (facts 1.4).
#[test]
fn a_scan_amid_a_failing_migration_loses_the_owner_as_the_release_did() {
    let lost = |protocol, by, rules: &str| {
        let mut case = case_by(protocol, by, rules);
        // The owner has to keep what it has pinned.
        case.today = true;
        found(case, Model::Sc).is_some()
    };
    for (rules, by_entries, huge) in [
        ("5.8", false, false),
        ("5.9", true, false),
        ("5.14", true, false),
        ("5.18", true, true),
        ("5.19", false, false),
        ("6.10", false, false),
        ("latest", false, false),
        ("pinfold", false, false),
    ] {
        let move_pages = [PmdMapping::Off, PmdMapping::On].map(|by| lost(SCAN_MOVE, by, rules));
        assert_eq!(move_pages, [by_entries, huge], "{rules}");
    }
    // By hinting faults: up to 5.13 a pinned folio is never out, and what entries map stays until
    // 6.10, when a scan passes over it. From 5.14 on a scan and a fault lose what one entry maps.
    for (rules, huge) in
        [("5.9", false), ("5.13,pmd-cow=ref-count", false), ("5.14,pmd-cow=ref-count", true)]
            .into_iter()
            .chain([("5.17", false), ("5.18", true), ("5.19", false), ("6.10", false)])
    {
        let hinted = [PmdMapping::Off, PmdMapping::On].map(|by| lost(SCAN_HINT, by, rules));
        assert_eq!(hinted, [false, huge], "{rules}");
    }
}

#[test]
fn protocols_hold_with_the_code_of_the_locks() {
    for protocol in [REFERENCE_SPLIT, PIN_REUSE, TWO_UNMAPS] {
        for model in MODELS {
            let (executions, ends) =
                holds(case(protocol, "pinfold"), model, LockForm::Code).unwrap();
            println!("{:<42} {model:?}, locks as code: {executions}; {ends} ends", protocol.0);
        }
    }
}

/// Where nobody asks again which folio a page is part of, a reference lands on another (facts 3.3);
/// what forgets the folio's own count leaves it mapped by nobody.
#[test]
fn broken_twins_are_found() {
    for model in MODELS {
        let twin = |protocol, rules| found(case(protocol, rules), model);
        // A reference by number asks again in any case (facts 5.4).
        let trusted = "pinfold,head-recheck=trusted";
        assert!(twin(PIN_SPLIT, trusted).is_some(), "{model:?}");
        assert_eq!(twin(REFERENCE_SPLIT, trusted), None, "{model:?}");
        let forgotten = twin(TWO_UNMAPS, "pinfold,large-maps=forgotten,large-cow=never");
        assert!(forgotten.is_some(), "{model:?}");
        assert!(twin(PIN_FORK, "pinfold,fork-race=open").is_some(), "{model:?}");
        // What nobody waits for, and nobody looks at again, is copied behind the pin (facts 7.4).
        let collapsed = |rules| found(case_by(PIN_COLLAPSE, PmdMapping::On, rules), model);
        assert!(collapsed("pinfold,collapse-sync=flush,fast-recheck=entry").is_some(), "{model:?}");
        assert_eq!(collapsed("pinfold"), None, "{model:?}");
        let merged = twin(PIN_FORK, "pinfold,fork-race=seq-count");
        assert_eq!(merged.is_some(), model == Model::Weak, "{model:?}");
    }
}

/// What the protocols of reused frames rest on: the second small page's frame is the head.
#[test]
fn the_frames_of_small_pages_become_a_folio() {
    let world = World::new((Setup::Reused, PmdMapping::Off), &[ANEW.to_vec()], Rules::default());
    world.run(0);
    let head = Pfn(world.head.0 + 1);
    let folio = lab::large_folio(world.memory.frames(), head).expect("they are reused");
    assert_eq!(folio.head, head);
}
