//! Random operation sequences against a simple model, and threads against each other.
//!
//! The model knows nothing of pages that are shared until written: each process has its own value for each page, copied at fork. What must
//! hold is in `model.rs`; every step ends with the conservation oracle.

mod model;
mod ops;
mod stress;
#[path = "../../src/testing.rs"]
#[allow(dead_code, reason = "the unit tests use the rest")]
mod testing;

use model::{Checks, World};
use ops::{Op, op};
use pinfold::rules::PRESETS;
use pinfold::{Format, Rules, Small, X86_64};
use proptest::collection::vec;
use proptest::test_runner::{Config, TestRunner};
use testing::Outside;

/// How many times longer than usual to search: `PINFOLD_SOAK=50 cargo test --release --test properties`.
fn soak() -> u32 {
    std::env::var("PINFOLD_SOAK").ok().and_then(|times| times.parse().ok()).unwrap_or(1)
}

/// Runs `cases` random sequences of up to `steps` operations. `nodes` are the frames of each node, `base` the page before the first one used.
fn sequences<F: Format>(
    rules: Rules,
    nodes: &[u64],
    base: u64,
    checks: Checks,
    (cases, steps): (u32, usize),
) {
    let cases = cases * soak();
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let plan = vec(op(), 1..steps);
    let run = TestRunner::new(config).run(&plan, |ops: Vec<Op>| {
        // Every other case, by what it is, has its frames from an outside owner.
        let outside = ops.len().is_multiple_of(2).then(|| Outside::of(&testing::spans(nodes)));
        let mut world = World::<F>::new(rules, nodes, outside, base, checks);
        ops.iter().for_each(|op| world.step(op));
        world.finish();
        assert!(outside.is_none_or(Outside::has_all), "the zero page is back as well");
        Ok(())
    });
    if let Err(failure) = run {
        panic!("{rules}: {failure}");
    }
}

#[test]
fn today_pins_stay_with_their_owner_whatever_happens() {
    let checks = Checks { pins_in_step: true };
    sequences::<Small>(Rules::default(), &[96, 48], 0, checks, (160, 60));
}

#[test]
fn today_pins_stay_with_their_owner_across_two_tables_of_x86_64() {
    let checks = Checks { pins_in_step: true };
    sequences::<X86_64>(Rules::default(), &[96, 48], 504, checks, (24, 40));
}

#[test]
fn today_pins_stay_with_their_owner_when_frames_run_out() {
    let checks = Checks { pins_in_step: true };
    for nodes in [[14, 4], [20, 2]] {
        sequences::<Small>(Rules::default(), &nodes, 0, checks, (100, 60));
    }
}

#[test]
fn processes_are_isolated_under_the_rules_of_every_release() {
    for text in PRESETS {
        let rules = Rules::linux(text).unwrap();
        let checks = Checks { pins_in_step: false };
        sequences::<Small>(rules, &[96, 48], 0, checks, (20, 50));
        sequences::<Small>(rules, &[16, 4], 0, checks, (12, 50));
    }
}

#[test]
fn processes_are_isolated_under_any_single_change_of_todays_rules() {
    for switch in Rules::switches() {
        for variant in switch.variants {
            let mut rules = Rules::default();
            rules.set(switch.name, variant.name).unwrap();
            let checks = Checks { pins_in_step: false };
            sequences::<Small>(rules, &[40, 12], 0, checks, (6, 40));
        }
    }
}
