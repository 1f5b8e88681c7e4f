//! Every two operations of the memory manager against each other, and its protocols, as `pairs` has
//! them, on entries of AArch64.
//!
//! `cargo test -p pinfold-lab --release --test pairs_aarch64 -- --nocapture` prints a line for each
//! setup.

#[path = "pairs/audit.rs"]
mod audit;
#[path = "pairs/files.rs"]
mod files;
#[path = "common/futex.rs"]
mod futex;
#[path = "../../pinfold/src/testing/mmu.rs"]
mod mmu;
#[path = "pairs/operations.rs"]
mod operations;
#[path = "pairs/platform.rs"]
mod platform;
#[path = "pairs/protocols.rs"]
mod protocols;
#[path = "pairs/search.rs"]
mod search;
#[path = "pairs/seen.rs"]
mod seen;

use mmu::Marks;
use pinfold::SmallAarch64;
use search::all_pairs;

/// The entries of AArch64, in small tables.
type Tables = SmallAarch64;
/// The processors set neither mark (without FEAT_HAFDBS): accesses fault where one is missing, and
/// the manager sets it.
const MARKS: Marks = Marks::Manager;

#[test]
fn every_two_operations_by_the_rules_of_today_and_of_old() {
    for rules in ["pinfold", "5.8", "5.9"] {
        all_pairs(rules, MARKS, 300);
    }
}

#[test]
fn every_two_operations_where_the_hardware_marks_as_far_as_it_can() {
    all_pairs("pinfold", Marks::Hardware, 300);
}

#[test]
#[ignore = "half a million executions; with the entries of x86-64 it always runs"]
fn hint_store_and_scan_hold_by_the_rules_of_5_8() {
    protocols::hint_store_and_scan_hold_by_the_rules_of_5_8();
}

#[test]
#[ignore = "a quarter of a million executions; with the entries of x86-64 it always runs"]
fn a_store_beside_syncs_is_not_lost() {
    protocols::a_store_beside_syncs_is_not_lost();
}

// With the entries of x86-64 by more rules.
#[test]
fn memory_that_is_taken_out_is_nobodys_under_every_model() {
    protocols::memory_that_is_taken_out_is_nobodys(&["pinfold"]);
}

#[test]
fn a_flush_keeps_an_emulated_cpu_from_freed_tables_under_every_model() {
    protocols::a_flush_keeps_an_emulated_cpu_from_freed_tables(&["5.8", "pinfold"]);
}
