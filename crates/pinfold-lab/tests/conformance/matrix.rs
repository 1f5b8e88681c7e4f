//! Every cell under every preset, as a table: `verdicts.txt`, which is written anew with
//! `SNAPSHOTS=overwrite`; and what a region comes to that is swapped out beside the same in memory.

use std::collections::BTreeMap;
use std::fmt::Write;

use pinfold::rules::PRESETS;
use pinfold_lab::Model;
use pinfold_lab::report::{Report, Verdict};
use snapbox::{assert_data_eq, file};

use super::cells::{CELLS, OPERATIONS, TWINS, each_cell};
use super::common;

const HEAD: &str = "\
# What each cell comes to under every preset: \"ok\", the oracle that breaks, or \"n/a\" with what the
# release has not. Regions of an operation that agree share a line. Written by matrix.rs.
";

/// What a cell came to.
fn word(report: &Report) -> String {
    let broken = report.broken.as_ref();
    match report.verdict {
        Verdict::Pass => "ok".to_owned(),
        Verdict::Fail => broken.expect("what broke").oracle.name().to_owned(),
        Verdict::Skip => format!("n/a ({})", lacks(&broken.expect("a reason").what[0])),
        Verdict::Partial | Verdict::Error => panic!("{report:?}"),
    }
}

/// What a refusal says that there is not: `pin: pin_user_pages exists since ...`.
fn lacks(message: &str) -> &str {
    let interface = message.split_once(": ").and_then(|(_, rest)| rest.split_once(" exist"));
    interface.expect("a refusal names an interface").0
}

/// What each operation comes to in each region, preset by preset.
type Matrix = BTreeMap<(&'static str, &'static str), Vec<String>>;

fn matrix() -> Matrix {
    let mut matrix = Matrix::new();
    let mut cells = 0;
    each_cell(|operation, region, name, text| {
        let of = |preset| word(&common::answered(name, text, preset, Model::Tso));
        let row: Vec<String> = PRESETS.iter().copied().map(of).collect();
        // The first and the last page of a region come to the same.
        let known = matrix.entry((operation.name, region.name)).or_insert_with(|| row.clone());
        assert_eq!(*known, row, "{name}");
        cells += 1;
    });
    assert_eq!(cells, OPERATIONS.len() * CELLS);
    matrix
}

/// The runs of presets that agree: `ok 5.19 to pinfold`.
fn runs(row: &[String]) -> String {
    let mut text = String::new();
    let mut at = 0;
    for run in row.chunk_by(|one, next| one == next) {
        let (first, last) = (PRESETS[at], PRESETS[at + run.len() - 1]);
        let comma = if at > 0 { ", " } else { "" };
        let to = if run.len() > 1 { format!(" to {last}") } else { String::new() };
        write!(text, "{comma}{} {first}{to}", run[0]).expect("a string");
        at += run.len();
    }
    text
}

#[test]
fn every_cell_comes_to_what_the_table_says_under_every_preset() {
    let matrix = matrix();
    let mut table = HEAD.to_owned();
    for operation in &OPERATIONS {
        let mut lines: Vec<(Vec<&str>, &Vec<String>)> = Vec::new();
        for ((_, region), row) in matrix.iter().filter(|((name, _), _)| *name == operation.name) {
            match lines.iter_mut().find(|(_, known)| *known == row) {
                Some((regions, _)) => regions.push(region),
                None => lines.push((vec![region], row)),
            }
        }
        write!(table, "\n{}\n", operation.name).expect("a string");
        for (regions, row) in lines {
            write!(table, "  {}\n    {}\n", regions.join(" "), runs(row)).expect("a string");
        }
    }
    assert_data_eq!(table, file!["verdicts.txt"].raw());
}

/// The releases whose write faults went by references while what came back from swap, and what one
/// entry maps, still went by mappings (facts 1.1, 1.3, 1.8).
const PARTED: [&str; 6] = ["5.9", "5.10", "5.11", "5.13", "5.14", "5.17"];

/// Where an operation on a region that is swapped out comes to something else than on its twin.
/// The page comes back for the write, and is reused by mappings, which the twin of small pages is
/// not. A twin that one entry maps is, but swapping has split that: who brought the page back
/// before, by a get or a pin, finds it mapped by an entry of its own.
fn parted(operation: &str, twin: &str) -> &'static [&'static str] {
    let differs = match operation {
        "o3" | "o4" | "o6" => twin != "r3",
        "o5" | "o7" | "o11" | "o12" | "o13" | "o14" => twin == "r3",
        _ => false,
    };
    if differs { &PARTED } else { &[] }
}

#[test]
fn a_region_that_is_swapped_out_differs_from_its_twin_as_named() {
    let matrix = matrix();
    for operation in &OPERATIONS {
        for (out, twin) in TWINS {
            let [gone, within] = [out, twin].map(|region| &matrix[&(operation.name, region)]);
            let rows = PRESETS.iter().zip(gone.iter().zip(within));
            let differ =
                rows.filter_map(|(preset, (one, other))| (one != other).then_some(*preset));
            let differ: Vec<&str> = differ.collect();
            assert_eq!(differ, parted(operation.name, twin), "{} {out}", operation.name);
        }
    }
}
