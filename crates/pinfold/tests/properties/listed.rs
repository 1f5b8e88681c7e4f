//! Random sequences on machines that have lists of pages: batches keep references, locked pages lie
//! apart, and reclaim takes pages of all processes in the middle of everything.

use crate::model::{Checks, Folios};
use crate::testing::Marks;
use crate::{IN_STEP, ISOLATED, sequences, single_changes};
use pinfold::rules::PRESETS;
use pinfold::{Aarch64, PmdMapping, Rules, Small, Sv39, X86_64};

/// Each page goes to its list at once.
const AT_ONCE: Checks = Checks { listed: 1, ..IN_STEP };
/// Pages wait in a batch, for longer than many sequences last.
const BATCHED: Checks = Checks { listed: 4, ..IN_STEP };

#[test]
fn today_pins_stay_with_their_owner_while_pages_of_all_are_reclaimed() {
    for checks in [AT_ONCE, BATCHED] {
        sequences::<Small>(Rules::default(), &[96, 48], 0, checks, (200, 60));
        sequences::<X86_64>(Rules::default(), &[96, 48], 504, checks, (40, 40));
        sequences::<Aarch64>(Rules::default(), &[96, 48], 504, checks, (20, 40));
        sequences::<Sv39>(Rules::default(), &[96, 48], 504, checks, (20, 40));
    }
}

#[test]
fn today_pins_stay_with_their_owner_while_every_page_is_fought_for() {
    for checks in [AT_ONCE, BATCHED] {
        for nodes in [[14, 4], [20, 2]] {
            sequences::<Small>(Rules::default(), &nodes, 0, checks, (150, 60));
        }
    }
}

#[test]
fn listed_pages_of_folios_stay_with_their_owner() {
    let folios = Folios { always: 1 << 2, advised: 1 << 2 | 1 << 3, by: PmdMapping::On };
    for checks in [AT_ONCE, BATCHED] {
        let checks = Checks { folios, ..checks };
        sequences::<Small>(Rules::default(), &[96, 48], 0, checks, (80, 50));
        sequences::<Small>(Rules::default(), &[28, 4], 0, checks, (80, 50));
    }
}

#[test]
fn listed_pages_isolate_processes_under_the_rules_of_every_release() {
    for text in PRESETS {
        let rules = Rules::linux(text).unwrap();
        for listed in [1, 4] {
            let checks = Checks { listed, ..ISOLATED };
            sequences::<Small>(rules, &[96, 48], 0, checks, (10, 50));
            sequences::<Small>(rules, &[16, 4], 0, checks, (10, 50));
            let checks = Checks { marks: Marks::Manager, ..checks };
            sequences::<Aarch64>(rules, &[40, 12], 504, checks, (3, 40));
        }
    }
}

#[test]
fn listed_pages_isolate_processes_under_any_single_change_of_todays_rules() {
    for rules in single_changes() {
        let checks = Checks { listed: 2, ..ISOLATED };
        sequences::<Small>(rules, &[24, 8], 0, checks, (4, 40));
    }
}
