//! Every two operations of the memory manager against each other, on a machine that is exactly as
//! weak as its contract, under the weak memory model: each pair searched to exhaustion where that
//! does not take too long, and every count audited at the end of every execution.
//!
//! Entries are those of x86-64 here; `pairs_aarch64.rs` and `pairs_riscv64.rs` run the same on
//! theirs.
//!
//! `cargo test -p pinfold-lab --release --test pairs -- --nocapture` prints a line for each rule
//! set; with `--ignored`, all releases, longer searches and three lanes.

mod audit;
mod files;
#[path = "../common/futex.rs"]
mod futex;
#[path = "../../../pinfold/src/testing/mmu.rs"]
mod mmu;
mod operations;
mod platform;
mod protocols;
mod search;
mod seen;

use mmu::Marks;
use operations::{Act, Setup};
use pinfold::Small;
use pinfold::rules::PRESETS;
use search::{Tally, acts, all_pairs, fit, pairs};

/// The entries of x86-64, in small tables.
type Tables = Small;
/// The processors set both marks, whatever the manager does meanwhile.
const MARKS: Marks = Marks::Hardware;

#[test]
fn every_two_operations_by_the_rules_of_today() {
    all_pairs("pinfold", MARKS, 3_000);
}

/// What these rules made of a page on the move, before migration kept it locked, shows only after
/// 2,000 executions.
#[test]
fn every_two_operations_by_the_rules_of_5_8() {
    all_pairs("5.8", MARKS, 3_000);
}

#[test]
fn every_two_operations_by_the_rules_of_each_era() {
    for rules in ["3.1", "5.9", "5.11", "5.19", "6.1"] {
        all_pairs(rules, MARKS, 300);
    }
}

#[test]
#[ignore = "half an hour; run before a change of a protocol"]
fn every_two_operations_by_the_rules_of_every_release() {
    PRESETS.iter().for_each(|rules| all_pairs(rules, MARKS, 100_000));
}

#[test]
#[ignore = "some minutes; run before a change of a protocol"]
fn three_operations_at_a_time() {
    /// Of all triples one in so many is searched: a prime, so that all operations have their turn.
    const STRIDE: usize = 7;
    for rules in ["pinfold", "5.9"] {
        for setup in Setup::ALL {
            let acts = acts(setup);
            let with = |pair: &Vec<Act>| {
                let pair = pair.clone();
                let fits = |third: &&Act| pair.iter().all(|act| fit(*act, **third));
                let thirds = acts.iter().skip_while(|act| **act != pair[1]).filter(fits);
                thirds.map(|third| [&pair[..], &[*third]].concat()).collect::<Vec<_>>()
            };
            let triples = pairs(&acts).iter().flat_map(with).collect::<Vec<_>>();
            let mut tally = Tally::default();
            for triple in triples.iter().step_by(STRIDE) {
                tally.search(setup, triple, rules, MARKS, 3_000);
            }
            tally.done(&format!("triples, {rules:<7} {setup:?}"));
        }
    }
}

#[test]
fn a_store_beside_syncs_is_not_lost() {
    protocols::a_store_beside_syncs_is_not_lost();
}

#[test]
fn hint_store_and_scan_hold_by_the_rules_of_5_8() {
    protocols::hint_store_and_scan_hold_by_the_rules_of_5_8();
}

#[test]
fn memory_that_is_taken_out_is_nobodys_under_every_model() {
    protocols::memory_that_is_taken_out_is_nobodys(&["5.8", "pinfold"]);
}

#[test]
fn a_flush_keeps_an_emulated_cpu_from_freed_tables_under_every_model() {
    protocols::a_flush_keeps_an_emulated_cpu_from_freed_tables(PRESETS);
}
