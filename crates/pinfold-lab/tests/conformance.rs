//! What the kernel's own copy-on-write tests ask, as generated scenarios: operation by kind of
//! region, for private memory in small pages and in large folios that entries map.
//!
//! The cells and their names (O1 to O14, R1, R5, R7, R10) are those of the kernel's `cow`
//! self-test. Under today's rules every cell holds; under a release that had the fault it breaks,
//! so that no cell is one that cannot fail. Not here: regions that are swapped out, that one entry
//! of an upper table maps, or that are of hugetlb; and R9, half of whose folio is moved, as the
//! language moves whole areas: the manager's tests of splits have those.

mod common;

use pinfold::Rules;
use pinfold_lab::Model;

/// How a region is made, and its pages.
struct Region {
    name: &'static str,
    setup: &'static str,
    pages: std::ops::Range<u32>,
    large: bool,
}

const REGIONS: [Region; 5] = [
    Region { name: "r1", setup: "", pages: 0..4, large: false },
    Region { name: "folio", setup: "", pages: 0..4, large: true },
    Region {
        name: "r5",
        setup: "P: protect A[1] ro\nP: protect A[1] rw",
        pages: 0..4,
        large: true,
    },
    Region { name: "r7", setup: "P: advise A[1..4] dontneed", pages: 0..1, large: true },
    Region {
        name: "r10",
        setup: "P: advise A[1..4] dontfork\nP: fork K\nK: exit\nP: advise A[1..4] dofork",
        pages: 0..4,
        large: true,
    },
];

/// An operation on a page `@`: what comes before the write, who writes, what must hold of it then,
/// and a release under which it does not, with the oracle that says so.
struct Operation {
    name: &'static str,
    before: &'static str,
    writes: &'static str,
    holds: &'static str,
    broken: Option<(&'static str, &'static str)>,
}

const FLIP: &str = "P: protect A ro\nP: protect A rw\n";

const fn op(
    name: &'static str,
    before: &'static str,
    writes: &'static str,
    holds: &'static str,
    broken: Option<(&'static str, &'static str)>,
) -> Operation {
    Operation { name, before, writes, holds, broken }
}

const CHILD_KEEPS: &str = "C:A@ sees \"old\"";
const HELD_KEEPS: &str = "h0 never sees \"new\"";
const IN_STEP: &str = "h0 sees \"new\"\nh0 is P:A@";

const OPERATIONS: [Operation; 14] = [
    op("o1", "P: fork C", "P", CHILD_KEEPS, None),
    op("o2", "P: fork C\nFLIP", "P", CHILD_KEEPS, None),
    op(
        "o3",
        "P: fork C\nC: get A@ read as h0\nC: unmap A",
        "P",
        HELD_KEEPS,
        Some(("5.7", "isolation")),
    ),
    op(
        "o4",
        "P: fork C\nC: get A@ read as h0\nC: unmap A\nFLIP",
        "P",
        HELD_KEEPS,
        Some(("5.7", "isolation")),
    ),
    op(
        "o5",
        "P: get A@ read as h0\nP: fork C\nP: unmap A",
        "C",
        HELD_KEEPS,
        Some(("5.7", "isolation")),
    ),
    op(
        "o6",
        "P: fork C\nP: get A@ read as h0\nP: unmap A",
        "C",
        HELD_KEEPS,
        Some(("5.7", "isolation")),
    ),
    op("o7", "P: pin A@ write longterm as h0\nFLIP", "P", IN_STEP, Some(("5.18", "pin-coherence"))),
    op(
        "o8",
        "P: pin A@ write longterm as h0\nP: fork C",
        "P",
        IN_STEP,
        Some(("5.8", "pin-coherence")),
    ),
    op(
        "o9",
        "P: fork C\nP: pin A@ read longterm slow-only as h0",
        "P",
        IN_STEP,
        Some(("5.18", "pin-coherence")),
    ),
    op(
        "o10",
        "P: fork C\nP: pin A@ read longterm as h0",
        "P",
        IN_STEP,
        Some(("5.18", "pin-coherence")),
    ),
    op(
        "o11",
        "P: fork C\nC: exit\nP: pin A@ read longterm slow-only as h0",
        "P",
        IN_STEP,
        Some(("5.18", "pin-coherence")),
    ),
    op(
        "o12",
        "P: fork C\nC: exit\nP: pin A@ read longterm as h0",
        "P",
        IN_STEP,
        Some(("5.18", "pin-coherence")),
    ),
    op(
        "o13",
        "FLIPP: pin A@ read longterm slow-only as h0",
        "P",
        IN_STEP,
        Some(("5.18", "pin-coherence")),
    ),
    op("o14", "FLIPP: pin A@ read longterm as h0", "P", IN_STEP, Some(("5.18", "pin-coherence"))),
];

/// The scenario of a cell, for one page of the region.
fn cell(operation: &Operation, region: &Region, page: u32) -> (String, String) {
    let name = format!("{}-{}-{page}", operation.name, region.name);
    let advice = if region.large { "P: advise A hugepage\n" } else { "" };
    let fill: String = (0..4).map(|page| format!("P: write A[{page}] \"old\"\n")).collect();
    let before = operation.before.replace("FLIP", FLIP).replace('@', &format!("[{page}]"));
    let holds = operation.holds.replace('@', &format!("[{page}]"));
    let writes: String =
        region.pages.clone().map(|page| format!("  write A[{page}] \"new\"\n")).collect();
    let text = format!(
        "scenario {name}\nmachine\nframes 32\nsetup\nprocess P\nP: map A 4 private rw\n{advice}{fill}\
         {}\n{before}\nlane writer: {}\n{writes}always\n{holds}\n",
        region.setup, operation.writes
    );
    (name, text)
}

fn each_cell(mut visit: impl FnMut(&Operation, &Region, &str, &str)) -> usize {
    let mut cells = 0;
    for operation in &OPERATIONS {
        for region in &REGIONS {
            let ends = [region.pages.start, region.pages.end - 1];
            for page in ends.into_iter().take(region.pages.len().min(2)) {
                let (name, text) = cell(operation, region, page);
                visit(operation, region, &name, &text);
                cells += 1;
            }
        }
    }
    cells
}

#[test]
fn each_region_is_what_it_says() {
    for region in &REGIONS {
        let nothing = Operation {
            name: "is",
            before: "P: fork C",
            writes: "C",
            holds: if region.large { "P:A@ is large" } else { "P:A@ is not large" },
            broken: None,
        };
        for page in region.pages.clone() {
            let (name, text) = cell(&nothing, region, page);
            common::holds(&name, &text, "pinfold", Model::Tso);
        }
    }
}

#[test]
fn every_cell_holds_under_todays_rules_and_since_5_19() {
    for rules in ["5.19", "6.5", "6.12", "latest", "pinfold"] {
        let cells = each_cell(|_, _, name, text| {
            common::holds(name, text, rules, Model::Tso);
        });
        assert_eq!(cells, 14 * 9, "{rules}");
    }
}

#[test]
fn each_operation_breaks_under_a_release_that_had_its_fault() {
    let mut broken = 0;
    each_cell(|operation, _, name, text| {
        if let Some((rules, oracle)) = operation.broken {
            assert!(Rules::parse(rules).is_ok());
            common::breaks(name, text, rules, Model::Tso, oracle);
            broken += 1;
        }
    });
    assert_eq!(broken, 12 * 9);
}
