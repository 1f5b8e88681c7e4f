//! The fuzz target: changes texts at random until something has no answer.
//!
//! ```console
//! $ cd crates/pinfold-lab/fuzz
//! $ cargo run --release               # without end
//! $ cargo run --release 500 10000     # from 500 to 9999
//! ```
//!
//! It prints the seed that it is at. A seed that panics does so again when it is given alone: `500`
//! and `501`. The changes and the questions are those of the test `mutants`.

#[path = "../../tests/mutants/driver.rs"]
mod driver;

use driver::Seeds;
use std::env::args;

/// The first seed that the test does not try.
const FIRST: u64 = 2_000;
/// How many seeds there are between two lines.
const LINE: u64 = 1_000;

fn main() {
    let number = |at: usize| args().nth(at).map(|word| word.parse().expect("a number"));
    let (first, last) = (number(1).unwrap_or(FIRST), number(2).unwrap_or(u64::MAX));
    let seeds = Seeds::new();
    for seed in first..last {
        if seed % LINE == 0 {
            println!("seed {seed}");
        }
        let tried = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| seeds.answer(seed)));
        if tried.is_err() {
            eprintln!("seed {seed} has no answer");
            std::process::exit(1);
        }
    }
}
