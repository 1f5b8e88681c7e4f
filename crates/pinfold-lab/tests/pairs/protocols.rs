//! The protocols of the manager on the weak machine: each searched to exhaustion under each memory
//! model; their broken twins, which must be found; and the machine made weaker than the contract,
//! which must be found, too.

use pinfold_explore::{Completeness, FailureKind, LockForm, Model};

use super::mmu::Marks;
use super::operations::What::{
    DontNeed, Exit, FileRead, Fork, Get, Load, Migrate, Offline, PinFast, PinRead, PinWrite,
    ReadOnly, Scan, Store, Sync, Unmap, UnmapPart, Unpin, Walk, Writable,
};
use super::operations::Who::{Child, Owner};
use super::operations::{Act, Setup};
use super::platform::{Lookup, Walkers};
use super::search::Case;
use pinfold::rules::PRESETS;

/// More executions than any search here takes.
const MOST: u64 = 1_000_000;
const MODELS: [Model; 3] = [Model::Sc, Model::Tso, Model::Weak];

type Protocol = (&'static str, Setup, &'static [&'static [Act]]);

const PIN_FORK: Protocol =
    ("fast pin, fork", Setup::Touched, &[&[(Owner, PinFast)], &[(Owner, Fork)]]);
const PIN_UNMAP: Protocol =
    ("fast pin, unmap", Setup::Touched, &[&[(Owner, PinFast)], &[(Owner, Unmap)]]);
const PIN_MOVE: Protocol =
    ("fast pin, move", Setup::Touched, &[&[(Owner, PinFast)], &[(Owner, Migrate)]]);
const PIN_REUSE: Protocol = (
    "fast pin, reuse of the frame",
    Setup::Touched,
    &[&[(Owner, PinFast)], &[(Owner, DontNeed), (Owner, Store)]],
);

const WALK_UNMAP: Protocol =
    ("walk, unmap", Setup::Touched, &[&[(Owner, Walk)], &[(Owner, Unmap)]]);

/// The walk without a lock against all that takes a table or an entry away from under it. A fork
/// after the unmap takes the frames of its tables again.
const WALKS: [Protocol; 8] = [
    WALK_UNMAP,
    (
        "walk, unmap, new tables",
        Setup::Touched,
        &[&[(Owner, Walk)], &[(Owner, Unmap), (Owner, Fork)]],
    ),
    ("walk, unmap of a part", Setup::Wide, &[&[(Owner, Walk)], &[(Owner, UnmapPart)]]),
    ("two walks, unmap", Setup::Touched, &[&[(Owner, Walk), (Owner, Walk)], &[(Owner, Unmap)]]),
    (
        "walk, drop, store",
        Setup::Touched,
        &[&[(Owner, Walk)], &[(Owner, DontNeed), (Owner, Store)]],
    ),
    ("walk, fork", Setup::Touched, &[&[(Owner, Walk)], &[(Owner, Fork), (Owner, Store)]]),
    ("walk, exit of the child", Setup::Forked, &[&[(Owner, Walk)], &[(Child, Exit)]]),
    ("walk, move", Setup::Touched, &[&[(Owner, Walk)], &[(Owner, Migrate)]]),
];

const GET_UNMAP: Protocol =
    ("get, unmap of what was read", Setup::Read, &[&[(Owner, Get)], &[(Owner, Unmap)]]);
const STORE_FORK: Protocol =
    ("store, fork", Setup::Touched, &[&[(Owner, Store), (Owner, Load)], &[(Owner, Fork)]]);
/// By far the longest by the rules of 5.8, so that this search is a test of its own.
const HINT_STORE_SCAN: Protocol =
    ("hint, store, scan", Setup::Hinted, &[&[(Owner, Store)], &[(Owner, Scan), (Owner, Load)]]);

/// The second sync finds the entry clean, and the store is about to make it dirty: what the page's
/// lock is for (INV-BACK-3). A quarter of a million executions.
const SYNCS_STORE: Protocol =
    ("two syncs, store", Setup::File, &[&[(Owner, Sync), (Owner, Sync)], &[(Owner, Store)]]);

const PROTOCOLS: [Protocol; 17] = [
    PIN_FORK,
    PIN_UNMAP,
    PIN_MOVE,
    PIN_REUSE,
    GET_UNMAP,
    STORE_FORK,
    ("store, move", Setup::Touched, &[&[(Owner, Load), (Owner, Store)], &[(Owner, Migrate)]]),
    ("fork, move", Setup::Touched, &[&[(Owner, Fork)], &[(Owner, Migrate)]]),
    ("hint, scan", Setup::Hinted, &[&[(Owner, Load)], &[(Owner, Scan)]]),
    HINT_STORE_SCAN,
    (
        "two drops",
        Setup::Touched,
        &[&[(Owner, DontNeed), (Owner, Load)], &[(Owner, DontNeed), (Owner, Load)]],
    ),
    ("drop, store", Setup::Touched, &[&[(Owner, DontNeed)], &[(Owner, Load), (Owner, Store)]]),
    (
        "pin, exit of the sharer",
        Setup::Forked,
        &[&[(Owner, PinWrite), (Owner, Store)], &[(Child, Exit)]],
    ),
    (
        "read pin, read-only fork",
        Setup::Touched,
        &[&[(Owner, PinRead)], &[(Owner, ReadOnly), (Owner, Fork), (Owner, Writable)]],
    ),
    ("unpin, fork", Setup::Pinned, &[&[(Owner, Unpin)], &[(Owner, Fork), (Owner, Store)]]),
    ("move, unmap of a part", Setup::Wide, &[&[(Owner, Migrate)], &[(Owner, UnmapPart)]]),
    (
        "sync, first store of a sharer",
        Setup::File,
        &[&[(Owner, Sync), (Owner, FileRead)], &[(Child, Store), (Child, Load)]],
    ),
];

/// Taking the page's frame out of the machine against all that may have it, or get it.
const OFFLINE: [Protocol; 5] = [
    ("store, offline", Setup::Touched, &[&[(Owner, Load), (Owner, Store)], &[(Owner, Offline)]]),
    ("fast pin, offline", Setup::Touched, &[&[(Owner, PinFast)], &[(Owner, Offline)]]),
    ("fork, offline", Setup::Touched, &[&[(Owner, Fork)], &[(Owner, Offline)]]),
    (
        "drop, new page, offline",
        Setup::Touched,
        &[&[(Owner, DontNeed), (Owner, Store)], &[(Owner, Offline)]],
    ),
    ("exit of the sharer, offline", Setup::Forked, &[&[(Child, Exit)], &[(Owner, Offline)]]),
];

/// Those in which a lane meets an old page, or a clean one that it may write.
const MARKED: [Protocol; 6] = [
    ("old, load, store", Setup::Forked, &[&[(Child, Load), (Child, Load)], &[(Child, Store)]]),
    ("old, move", Setup::Forked, &[&[(Child, Load)], &[(Child, Migrate)]]),
    ("old, fork", Setup::Forked, &[&[(Child, Load), (Child, Load)], &[(Child, Fork)]]),
    ("clean, two stores", Setup::Object, &[&[(Child, Load), (Child, Store)], &[(Child, Store)]]),
    (
        "clean, read-only",
        Setup::Object,
        &[&[(Child, Load), (Child, Store)], &[(Child, ReadOnly), (Child, Writable)]],
    ),
    ("clean, drop", Setup::Object, &[&[(Child, Load), (Child, Store)], &[(Child, DontNeed)]]),
];

fn case((_, setup, lanes): Protocol, rules: &str) -> Case {
    Case::new(setup, lanes, rules)
}

/// Searches to exhaustion without a failure; how many executions it took, and how many ends there
/// are.
#[track_caller]
fn holds(mut case: Case, model: Model, locks: LockForm) -> (u64, usize) {
    let report = case.search(model, locks, MOST);
    let told = (case.setup, &case.lanes, model, locks);
    assert_eq!(report.failure, None, "{told:?}");
    assert_eq!(report.complete, Completeness::Exhausted, "{told:?}");
    (report.executions, report.outcomes.len())
}

/// What a search finds, if it finds anything.
fn found(mut case: Case, model: Model) -> Option<FailureKind> {
    case.search(model, LockForm::Object, MOST).failure.map(|failure| failure.kind)
}

#[test]
fn each_protocol_holds_on_a_machine_as_weak_as_the_contract() {
    for protocol in PROTOCOLS {
        let [sc, tso, weak] =
            MODELS.map(|model| holds(case(protocol, "pinfold"), model, LockForm::Object));
        println!(
            "{:<28} sc {:>5}, tso {:>5}, weak {:>5} executions; {} ends",
            protocol.0, sc.0, tso.0, weak.0, weak.1
        );
        assert!(weak.0 > 1, "{} is no race", protocol.0);
    }
}

pub(crate) fn memory_that_is_taken_out_is_nobodys(presets: &[&str]) {
    for protocol in OFFLINE {
        for rules in presets {
            let counts = MODELS.map(|model| holds(case(protocol, rules), model, LockForm::Object));
            println!(
                "{:<28} {rules:<8} sc {:>5}, tso {:>5}, weak {:>5} executions; {} ends",
                protocol.0, counts[0].0, counts[1].0, counts[2].0, counts[2].1
            );
            assert!(counts[2].0 > 1, "{} is no race", protocol.0);
        }
    }
}

#[test]
fn each_protocol_but_one_holds_by_the_rules_of_5_8() {
    for protocol in PROTOCOLS.into_iter().filter(|protocol| *protocol != HINT_STORE_SCAN) {
        let (executions, ends) = holds(case(protocol, "5.8"), Model::Weak, LockForm::Object);
        println!("{:<28} 5.8, weak {executions:>5} executions; {ends} ends", protocol.0);
    }
}

/// The one that is left.
pub(crate) fn hint_store_and_scan_hold_by_the_rules_of_5_8() {
    let (executions, ends) = holds(case(HINT_STORE_SCAN, "5.8"), Model::Weak, LockForm::Object);
    println!("{:<28} 5.8, weak {executions:>5} executions; {ends} ends", HINT_STORE_SCAN.0);
}

/// On one machine only, as it takes longer than all others.
pub(crate) fn a_store_beside_syncs_is_not_lost() {
    let (executions, ends) = holds(case(SYNCS_STORE, "pinfold"), Model::Weak, LockForm::Object);
    println!("{:<28} weak {executions:>5} executions; {ends} ends", SYNCS_STORE.0);
}

#[test]
fn each_protocol_holds_whoever_sets_accessed_and_dirty() {
    for protocol in PROTOCOLS.into_iter().chain(MARKED) {
        let [hardware, manager] = [Marks::Hardware, Marks::Manager].map(|marks| {
            let mut case = case(protocol, "pinfold");
            case.form.marks = marks;
            holds(case, Model::Weak, LockForm::Object).0
        });
        println!("{:<28} {hardware:>5} executions, by the manager {manager:>5}", protocol.0);
    }
}

#[test]
fn the_walk_without_a_lock_holds_under_every_preset_and_model() {
    for protocol in WALKS {
        let mut executions = [0; MODELS.len()];
        for rules in PRESETS {
            for (sum, model) in executions.iter_mut().zip(MODELS) {
                *sum += holds(case(protocol, rules), model, LockForm::Object).0;
            }
        }
        println!("{:<28} sc, tso, weak {executions:?} executions of all presets", protocol.0);
        assert!(executions.iter().all(|sum| *sum > PRESETS.len() as u64), "{protocol:?}");
    }
}

/// Where tables are freed at once, every walk that may meet a freed table is found doing so.
#[test]
fn a_walk_into_freed_tables_is_found_under_every_preset_and_model() {
    for protocol in WALKS.into_iter().filter(|(_, _, lanes)| lanes[1][0].1 == Unmap) {
        for rules in PRESETS {
            for model in MODELS {
                let at_once = case(protocol, &format!("{rules},table-free=at-once"));
                let found = found(at_once, model);
                assert_eq!(found, Some(FailureKind::DataRace), "{} {rules} {model:?}", protocol.0);
            }
        }
    }
}

/// An emulated CPU that looks addresses up by the walk, under a lock that the flush takes, is as
/// good as hardware: no freed frame is used, no store is lost.
#[test]
fn each_protocol_holds_where_an_emulator_fills_its_translations_by_the_walk() {
    let accesses = |lanes: &[&[Act]]| {
        lanes.iter().flat_map(|lane| *lane).any(|(_, what)| matches!(what, Load | Store))
    };
    let all = PROTOCOLS.into_iter().chain(MARKED).chain(WALKS);
    for protocol in all.filter(|(_, _, lanes)| accesses(lanes)) {
        let counts =
            MODELS.map(|model| holds(emulated(protocol, "pinfold"), model, LockForm::Object).0);
        println!("{:<28} sc, tso, weak {counts:?} executions, emulated", protocol.0);
    }
}

/// For such a CPU the flush is what the section is for a debugger: it waits for the walk, so that
/// tables freed behind it are freed behind the walk. Without the lock a page is found that has been
/// freed and taken again.
pub(crate) fn a_flush_keeps_an_emulated_cpu_from_freed_tables(presets: &[&str]) {
    const LOAD_UNMAP: Protocol =
        ("load, unmap", Setup::Touched, &[&[(Owner, Load)], &[(Owner, Unmap)]]);
    for rules in presets {
        for model in MODELS {
            holds(emulated(LOAD_UNMAP, rules), model, LockForm::Object);
            let at_once = emulated(LOAD_UNMAP, &format!("{rules},table-free=at-once"));
            holds(at_once, model, LockForm::Object);
        }
    }
    const LOAD_REUSE: Protocol = (
        "load, reuse of the frame",
        Setup::Untouched,
        &[&[(Owner, Load)], &[(Owner, Store), (Owner, DontNeed), (Owner, Store)]],
    );
    holds(emulated(LOAD_REUSE, "pinfold"), Model::Weak, LockForm::Object);
    for model in MODELS {
        let mut careless = emulated(LOAD_REUSE, "pinfold");
        careless.form.lookup = Lookup::Careless;
        assert_eq!(found(careless, model), Some(FailureKind::DataRace), "{model:?}");
    }
}

/// The case with CPUs that an emulator runs.
fn emulated(protocol: Protocol, rules: &str) -> Case {
    let mut case = case(protocol, rules);
    (case.form.lookup, case.form.marks) = (Lookup::Public, Marks::Manager);
    case
}

#[test]
fn protocols_hold_with_the_code_of_the_locks() {
    for protocol in [PIN_UNMAP, WALK_UNMAP, GET_UNMAP, STORE_FORK] {
        for model in MODELS {
            let (executions, ends) = holds(case(protocol, "pinfold"), model, LockForm::Code);
            println!("{:<28} {model:?}, locks as code: {executions}; {ends} ends", protocol.0);
        }
    }
}

#[test]
fn broken_twins_are_found_on_it() {
    for model in MODELS {
        let twin = |protocol, rules: &str| found(case(protocol, rules), model);
        let judged = Some(FailureKind::Judged);
        assert_eq!(twin(PIN_FORK, "pinfold,fork-race=open"), judged, "{model:?}");
        let merged = twin(PIN_FORK, "pinfold,fork-race=seq-count");
        assert_eq!(merged, judged.filter(|_| model == Model::Weak), "{model:?}");
        let at_once = twin(PIN_UNMAP, "pinfold,table-free=at-once");
        assert_eq!(at_once, Some(FailureKind::DataRace), "{model:?}");
        assert_eq!(twin(PIN_MOVE, "pinfold,fast-recheck=off"), judged, "{model:?}");
    }
}

/// The rules of 5.8 count mappings, and an unmapped page has lost its mapping before the flush: an
/// instruction that is under way in another thread of the one who unmaps may still read, and finds
/// what the page's last owner has stored meanwhile. Since 5.9 references count, which the unmapping
/// thread gives back after the flush.
#[test]
fn a_load_under_way_beside_its_unmap_sees_a_foreign_store_by_the_rules_of_5_8_alone() {
    const LEAK: Protocol = (
        "load, unmap, store of the child",
        Setup::Forked,
        &[&[(Owner, Load)], &[(Owner, Unmap)], &[(Child, Store)]],
    );
    for model in MODELS {
        assert_eq!(found(case(LEAK, "5.8"), model), Some(FailureKind::Judged), "{model:?}");
        for rules in ["5.9", "pinfold"] {
            holds(case(LEAK, rules), model, LockForm::Object);
        }
    }
}

/// How walkers are told apart does not matter; the barrier behind the opening of a section does.
#[test]
fn a_walk_section_without_its_barrier_meets_a_freed_table_under_weak() {
    let with = |protocol, walkers| {
        let mut case = case(protocol, "pinfold");
        case.form.walkers = walkers;
        case
    };
    for model in MODELS {
        for walkers in [Walkers::Each, Walkers::Counted] {
            for protocol in [PIN_UNMAP, WALK_UNMAP] {
                holds(with(protocol, walkers), model, LockForm::Object);
            }
        }
        for protocol in [PIN_UNMAP, WALK_UNMAP] {
            let race = Some(FailureKind::DataRace).filter(|_| model == Model::Weak);
            assert_eq!(found(with(protocol, Walkers::Unfenced), model), race, "{model:?}");
        }
    }
}
