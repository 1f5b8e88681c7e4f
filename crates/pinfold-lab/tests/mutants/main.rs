//! Whatever is read, there is an answer: a fixed number of changed scenarios, JSON scenarios,
//! parts, checkpoints, saved executions and words. The fuzz target (`fuzz`) goes on where this
//! ends.

mod driver;

use driver::Seeds;

#[test]
fn changed_texts_have_an_answer() {
    let seeds = Seeds::new();
    (0..2_000).for_each(|seed| seeds.answer(seed));
}
