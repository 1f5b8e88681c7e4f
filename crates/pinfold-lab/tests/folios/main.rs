//! What may be done to a large folio that entries map, or one huge entry, every two operations
//! against each other and written-out protocols, on a machine that is exactly as weak as its
//! contract: in tables of four entries, where a folio of four pages fills one.
//!
//! `cargo test -p pinfold-lab --release --test folios -- --nocapture` prints a line for each
//! protocol and setup; with `--ignored`, more releases and longer searches.

mod audit;
#[path = "../common/futex.rs"]
mod futex;
mod judge;
#[path = "../../../pinfold/src/testing/mmu.rs"]
#[allow(dead_code, reason = "`pairs` has processors that leave the marks to the manager")]
mod mmu;
mod operations;
#[path = "../pairs/platform.rs"]
#[allow(dead_code, reason = "`pairs` has other forms of the machine")]
mod platform;
mod protocols;
mod search;
mod world;

use pinfold::{PmdMapping, Small};
use pinfold_explore::Model;
use search::all_pairs;

/// The entries of x86-64, in small tables.
type Tables = Small;

#[test]
fn every_two_operations_by_the_rules_of_today() {
    all_pairs("pinfold", PmdMapping::Off, Model::Weak, 40);
    all_pairs("pinfold", PmdMapping::On, Model::Weak, 40);
}

#[test]
fn every_two_operations_by_the_rules_of_each_era() {
    for rules in ["5.8,head-recheck=again", "5.9,head-recheck=again", "5.19", "6.8"] {
        all_pairs(rules, PmdMapping::Off, Model::Weak, 15);
        all_pairs(rules, PmdMapping::On, Model::Weak, 15);
    }
    // Under weak these have the hole that is left between a pin and a fork (facts 2.7).
    all_pairs("latest", PmdMapping::Off, Model::Tso, 15);
    all_pairs("latest", PmdMapping::On, Model::Tso, 15);
}

#[test]
#[ignore = "an hour; run before a change of a protocol of large folios"]
fn every_two_operations_for_longer() {
    for rules in
        ["pinfold", "latest", "pinfold,large-maps=each-page", "5.8", "5.9", "5.18", "5.19", "6.8"]
    {
        all_pairs(rules, PmdMapping::Off, Model::Weak, 10_000);
        all_pairs(rules, PmdMapping::On, Model::Weak, 10_000);
    }
}
