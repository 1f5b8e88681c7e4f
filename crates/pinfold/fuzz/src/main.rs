//! The fuzz target: the random sequences of the test `properties` on small pages and large folios,
//! until one differs from the model.
//!
//! ```console
//! $ cd crates/pinfold/fuzz
//! $ cargo run --release              # without end
//! $ cargo run --release 500 1000     # from 500 to 999
//! ```
//!
//! It prints the seed that it is at. A seed that fails does so again when it is given alone: `500`
//! and `501`; what it prints is the shortest sequence that was found to fail. Each seed has rules,
//! a format and a machine of its own.

#[path = "../../tests/properties/files.rs"]
mod files;
#[path = "../../tests/properties/model.rs"]
mod model;
#[path = "../../tests/properties/ops.rs"]
mod ops;
#[path = "../../tests/properties/process.rs"]
mod process;
#[path = "../../tests/properties/sequence.rs"]
mod sequence;
#[path = "../../src/testing.rs"]
#[allow(dead_code, unused_imports, reason = "the unit tests use the rest")]
mod testing;

use std::env::args;

use model::{Checks, Folios};
use ops::{Op, op_on_folios};
use pinfold::rules::PRESETS;
use pinfold::{Aarch64, Rules, Small, Sv39, X86_64};
use proptest::collection::vec;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use sequence::sequence;
use testing::{Hardware, Marks};

/// Sequences of one seed.
const CASES: u32 = 40;
/// Their longest.
const STEPS: usize = 80;
/// How many seeds there are between two lines.
const LINE: u64 = 100;
/// The orders of folios that first touches take.
const FOLIOS: [Folios; 3] = [
    Folios { always: 0, advised: 1 << 2 },
    Folios { always: 1 << 2, advised: 1 << 2 },
    Folios { always: 1 << 2, advised: 1 << 2 | 1 << 3 | 1 << 4 },
];
/// The frames of each node: enough, and too few.
const NODES: [[u64; 2]; 3] = [[96, 48], [40, 12], [18, 6]];

/// Makes the sequences of a seed; why one failed.
fn run<F: Hardware>(seed: u64, rules: Rules, base: u64, checks: Checks) -> Result<(), String> {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
    let nodes = NODES[(seed / 7 % 3) as usize];
    let plan = vec(op_on_folios(), 1..STEPS);
    let done = TestRunner::new_with_rng(config, rng).run(&plan, |ops: Vec<Op>| {
        sequence::<F>(&ops, rules, &nodes, base, checks);
        Ok(())
    });
    done.map_err(|failure| format!("{rules}: {failure}"))
}

fn one(seed: u64) -> Result<(), String> {
    let release = PRESETS[(seed / 2 % PRESETS.len() as u64) as usize];
    let today = seed.is_multiple_of(2);
    let rules = if today { Ok(Rules::default()) } else { Rules::linux(release) };
    let rules = rules.map_err(|error| error.to_string())?;
    let folios = FOLIOS[(seed / 3 % 3) as usize];
    let marks = if seed.is_multiple_of(5) { Marks::Manager } else { Marks::Hardware };
    let checks = Checks { pins_in_step: today, marks, folios };
    match seed / 11 % 8 {
        0 => run::<X86_64>(seed, rules, 504, checks),
        1 => run::<Aarch64>(seed, rules, 504, checks),
        2 => run::<Sv39>(seed, rules, 504, checks),
        _ => run::<Small>(seed, rules, 0, Checks { marks: Marks::Hardware, ..checks }),
    }
}

fn main() {
    let number = |at: usize| args().nth(at).map(|word| word.parse().expect("a number"));
    let (first, last) = (number(1).unwrap_or(0), number(2).unwrap_or(u64::MAX));
    for seed in first..last {
        if seed.is_multiple_of(LINE) {
            println!("seed {seed}");
        }
        if let Err(failure) = one(seed) {
            eprintln!("seed {seed}: {failure}");
            std::process::exit(1);
        }
    }
}
