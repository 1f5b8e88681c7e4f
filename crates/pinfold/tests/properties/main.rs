//! Random operation sequences against a simple model, and threads against each other.
//!
//! The model knows nothing of pages that are shared until written: each process has its own value
//! for each page, copied at fork. What must hold is in `model.rs`; every step ends with the
//! conservation oracle.

mod files;
mod folios;
mod listed;
mod model;
mod monitors;
mod ops;
mod process;
mod sequence;
mod stress;
mod stress_folios;
#[path = "../../src/testing.rs"]
#[allow(dead_code, reason = "the unit tests use the rest")]
mod testing;

use model::{Checks, Folios};
use ops::{Op, op, op_on_folios};
use pinfold::rules::PRESETS;
use pinfold::rules::zap::{Munlock, munlock};
use pinfold::{Aarch64, PmdMapping, Rules, Small, Sv39, Sv48, X86_64, X86_64La57};
use proptest::collection::vec;
use proptest::strategy::Strategy;
use proptest::test_runner::{Config, TestRunner};
use sequence::sequence;
use std::cell::Cell;
use testing::{Hardware, Marks};

const NO_FOLIOS: Folios = Folios { always: 0, advised: 0, by: PmdMapping::On };
const ISOLATED: Checks =
    Checks { pins_in_step: false, marks: Marks::Hardware, folios: NO_FOLIOS, listed: 0 };
const IN_STEP: Checks = Checks { pins_in_step: true, ..ISOLATED };
const BY_MANAGER: Checks = Checks { marks: Marks::Manager, ..IN_STEP };

/// How many times longer than usual to search:
/// `PINFOLD_SOAK=50 cargo test --release --test properties`.
fn soak() -> u32 {
    std::env::var("PINFOLD_SOAK").ok().and_then(|times| times.parse().ok()).unwrap_or(1)
}

/// Runs `cases` random sequences of up to `steps` operations, half as many on average: some 100,000
/// in all that this file asks for. `nodes` are the frames of each node,
/// `base` the page before the first one used.
fn sequences<F: Hardware>(
    rules: Rules,
    nodes: &[u64],
    base: u64,
    checks: Checks,
    (cases, steps): (u32, usize),
) {
    let cases = cases * soak();
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let plan = if checks.folios.advised == 0 {
        vec(op().boxed(), 1..steps)
    } else {
        vec(op_on_folios().boxed(), 1..steps)
    };
    let (folios, splits, huge) = (Cell::new(0), Cell::new(0), Cell::new(0));
    let (out, back, ahead) = (Cell::new(0), Cell::new(0), Cell::new(0));
    let (reclaimed, culled, filed) = (Cell::new(0), Cell::new(0), Cell::new(0));
    let run = TestRunner::new(config).run(&plan, |ops: Vec<Op>| {
        let stats = sequence::<F>(&ops, rules, nodes, base, checks);
        folios.set(folios.get() + stats.thp_fault_alloc);
        splits.set(splits.get() + stats.thp_split_page);
        huge.set(huge.get() + stats.thp_split_pmd);
        out.set(out.get() + stats.pgsteal_anon);
        back.set(back.get() + stats.pswpin);
        ahead.set(ahead.get() + stats.swap_ra_hit);
        reclaimed.set(reclaimed.get() + stats.pgsteal_direct + stats.pgsteal_kswapd);
        culled.set(culled.get() + stats.unevictable_pgs_culled);
        filed.set(filed.get() + stats.pgsteal_file);
        Ok(())
    });
    if let Err(failure) = run {
        panic!("{rules}: {failure}");
    }
    // Of few sequences, few or none may happen to do so.
    let (out, back, many) = (out.get(), back.get(), cases >= 200);
    assert!(!many || out > u64::from(cases) / 8, "{out} pages went to swap");
    assert!(!many || back > u64::from(cases) / 16, "{back} came back");
    if checks.listed > 0 && cases >= 80 {
        let (reclaimed, culled, filed) = (reclaimed.get(), culled.get(), filed.get());
        println!(
            "{rules}: {cases} sequences, {reclaimed} pages reclaimed, {filed} of files, {culled} \
             locked ones"
        );
        assert!(reclaimed > u64::from(cases) / 16, "{reclaimed} of {cases} sequences");
        assert!(culled > 0, "no page was locked");
        assert!(!many || filed > 0, "no page of a file was reclaimed");
    }
    let asked_for = ahead.get();
    assert!(!many || checks.folios.advised != 0 || asked_for > 0, "of none read ahead");
    if checks.folios.advised != 0 {
        let (folios, splits) = (folios.get(), splits.get());
        let huge = huge.get();
        println!("{rules}: {cases} sequences, {folios} folios, {splits} splits, {huge} of entries");
        assert!(cases < 40 || folios > u64::from(cases), "{folios} folios of {cases} sequences");
        assert!(cases < 40 || splits > 0, "no folio is ever split");
        let fits = F::ENTRIES <= 16 && checks.folios.by == PmdMapping::On;
        assert!(cases < 40 || fits == (huge > 0), "huge entries: {huge} were split");
    }
}

#[test]
fn today_pins_stay_with_their_owner_whatever_happens() {
    let checks = IN_STEP;
    sequences::<Small>(Rules::default(), &[96, 48], 0, checks, (800, 60));
}

#[test]
fn today_pins_stay_with_their_owner_across_two_tables_of_x86_64() {
    let checks = IN_STEP;
    sequences::<X86_64>(Rules::default(), &[96, 48], 504, checks, (120, 40));
}

#[test]
fn today_pins_stay_with_their_owner_across_two_tables_of_every_other_format() {
    sequences::<X86_64La57>(Rules::default(), &[96, 48], 504, IN_STEP, (60, 40));
    sequences::<Aarch64>(Rules::default(), &[96, 48], 504, IN_STEP, (60, 40));
    sequences::<Sv39>(Rules::default(), &[96, 48], 504, IN_STEP, (60, 40));
    sequences::<Sv48>(Rules::default(), &[96, 48], 504, IN_STEP, (60, 40));
}

#[test]
fn the_same_holds_where_the_hardware_leaves_accessed_and_dirty_to_the_manager() {
    sequences::<Small>(Rules::default(), &[96, 48], 0, BY_MANAGER, (200, 60));
    sequences::<Aarch64>(Rules::default(), &[96, 48], 504, BY_MANAGER, (24, 40));
    sequences::<Sv39>(Rules::default(), &[96, 48], 504, BY_MANAGER, (24, 40));
    sequences::<Sv48>(Rules::default(), &[96, 48], 504, BY_MANAGER, (24, 40));
}

#[test]
fn processes_are_isolated_under_older_rules_and_marks_of_the_manager() {
    for text in PRESETS {
        let (rules, checks) =
            (Rules::linux(text).unwrap(), Checks { marks: Marks::Manager, ..ISOLATED });
        sequences::<Small>(rules, &[40, 12], 0, checks, (8, 40));
        sequences::<Aarch64>(rules, &[40, 12], 504, checks, (8, 40));
        sequences::<Sv39>(rules, &[40, 12], 504, checks, (8, 40));
    }
}

#[test]
fn today_pins_stay_with_their_owner_when_frames_run_out() {
    let checks = IN_STEP;
    for nodes in [[14, 4], [20, 2]] {
        sequences::<Small>(Rules::default(), &nodes, 0, checks, (400, 60));
    }
}

#[test]
fn processes_are_isolated_under_the_rules_of_every_release() {
    for text in PRESETS {
        let rules = Rules::linux(text).unwrap();
        let checks = ISOLATED;
        sequences::<Small>(rules, &[96, 48], 0, checks, (40, 50));
        sequences::<Small>(rules, &[16, 4], 0, checks, (30, 50));
    }
}

/// Today's rules with each variant of each switch in turn.
fn single_changes() -> impl Iterator<Item = Rules> {
    let variants =
        Rules::switches().flat_map(|switch| switch.variants.iter().map(move |it| (switch, it)));
    let changed = variants.map(|(switch, variant)| {
        let mut rules = Rules::default();
        rules.set(switch.name, variant.name).unwrap();
        rules
    });
    // The one hazard that needs no second thread: counts are left behind.
    changed.filter(|rules| munlock(rules.zap_munlock) != Munlock::Forgotten)
}

#[test]
fn processes_are_isolated_under_any_single_change_of_todays_rules() {
    for rules in single_changes() {
        let checks = ISOLATED;
        sequences::<Small>(rules, &[40, 12], 0, checks, (6, 40));
        let checks = Checks { marks: Marks::Manager, ..checks };
        sequences::<Aarch64>(rules, &[40, 12], 504, checks, (4, 40));
    }
}
