//! Random sequences on machines that have large folios, beside small pages: some 100,000 operations
//! in all.

use crate::model::{Checks, Folios};
use crate::testing::Marks;
use crate::{IN_STEP, ISOLATED, sequences};
use pinfold::{Aarch64, PmdMapping, Rules, Small, SmallAarch64, SmallRiscv64, Sv39, X86_64};

/// Folios of four pages: all that a table of the small format maps.
const FOUR: u32 = 1 << 2;
/// Of four, eight and sixteen pages.
const MANY: u32 = FOUR | 1 << 3 | 1 << 4;

/// By one entry where they fill a table.
const ADVISED: Folios = Folios { always: 0, advised: FOUR, by: PmdMapping::On };
const ALWAYS: Folios = Folios { always: FOUR, advised: MANY, by: PmdMapping::On };
/// By an entry for each page.
const ENTRIES: Folios = Folios { by: PmdMapping::Off, ..ALWAYS };

fn rules(text: &str) -> Rules {
    Rules::parse(text).unwrap()
}

#[test]
fn today_pins_stay_with_their_owner_where_pages_are_parts_of_folios() {
    for folios in [ADVISED, ALWAYS, ENTRIES] {
        let checks = Checks { folios, ..IN_STEP };
        sequences::<Small>(Rules::default(), &[96, 48], 0, checks, (540, 60));
        sequences::<X86_64>(Rules::default(), &[96, 48], 504, checks, (60, 50));
    }
}

#[test]
fn the_same_holds_whatever_a_folio_counts_of_its_mappings() {
    for variant in ["each-page", "each-page-and-owner", "owner"] {
        for cow in ["as-small", "never", "by-owner"] {
            let rules = rules(&format!("pinfold,large-maps={variant},large-cow={cow}"));
            for folios in [ALWAYS, ENTRIES] {
                let checks = Checks { folios, ..IN_STEP };
                sequences::<Small>(rules, &[96, 48], 0, checks, (40, 50));
            }
        }
    }
}

#[test]
fn today_pins_stay_with_their_owner_when_runs_of_frames_run_out() {
    let checks = Checks { folios: ALWAYS, ..IN_STEP };
    for nodes in [[18, 6], [28, 4], [40, 12]] {
        sequences::<Small>(Rules::default(), &nodes, 0, checks, (100, 60));
        let checks = Checks { folios: ENTRIES, ..IN_STEP };
        sequences::<Small>(Rules::default(), &nodes, 0, checks, (60, 60));
    }
}

#[test]
fn folios_isolate_processes_under_the_rules_of_each_era_and_marks_of_the_manager() {
    for text in ["4.4", "4.5", "5.8", "5.9", "5.10", "5.18", "5.19", "6.1", "6.8", "6.15", "latest"]
    {
        for folios in [ADVISED, ALWAYS, ENTRIES] {
            let checks = Checks { folios, ..ISOLATED };
            sequences::<Small>(rules(text), &[96, 48], 0, checks, (40, 40));
        }
        let checks = Checks { folios: ALWAYS, marks: Marks::Manager, ..ISOLATED };
        sequences::<Aarch64>(rules(text), &[96, 48], 504, checks, (8, 40));
        sequences::<SmallAarch64>(rules(text), &[96, 48], 0, checks, (8, 40));
        sequences::<SmallRiscv64>(rules(text), &[96, 48], 0, checks, (8, 40));
        sequences::<Sv39>(rules(text), &[40, 12], 504, checks, (8, 40));
    }
}
