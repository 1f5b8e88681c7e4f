//! What the kernel's own copy-on-write tests ask, as generated scenarios: operation by kind of
//! region, for private memory in small pages, and in large folios that entries map or one huge
//! entry.
//!
//! The cells and their names (O1 to O14, R1 to R8, R10) are those of the kernel's `cow` self-test.
//! Under today's rules every cell holds; under a release that had the fault it breaks, so that no
//! cell is one that cannot fail. Not here: regions of hugetlb; and R9, half of whose folio is
//! moved, as the language moves whole areas: the manager's tests of splits have those.

mod common;

use pinfold::Rules;
use pinfold_lab::Model;

/// How a region is made, and its pages.
struct Region {
    name: &'static str,
    setup: &'static str,
    pages: std::ops::Range<u32>,
    folio: Folio,
}

/// What a region is made of, and how that is mapped at first.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Folio {
    None,
    Entries,
    Pmd,
}

const SPLIT: &str = "P: protect A[1] ro\nP: protect A[1] rw";
const PARTLY: &str = "P: advise A[1..4] dontneed";
const FORKED: &str = "P: advise A[1..4] dontfork\nP: fork K\nK: exit\nP: advise A[1..4] dofork";

impl Region {
    /// Whether it is swapped out.
    fn is_out(&self) -> bool {
        self.setup.ends_with(OUT)
    }
}

const fn region(
    name: &'static str,
    setup: &'static str,
    pages: std::ops::Range<u32>,
    folio: Folio,
) -> Region {
    Region { name, setup, pages, folio }
}

const OUT: &str = "P: pageout A";
const SPLIT_OUT: &str = "P: protect A[1] ro\nP: protect A[1] rw\nP: pageout A";
const PARTLY_OUT: &str = "P: advise A[1..4] dontneed\nP: pageout A";

const REGIONS: [Region; 13] = [
    region("r1", "", 0..4, Folio::None),
    region("folio", "", 0..4, Folio::Entries),
    region("r5", SPLIT, 0..4, Folio::Entries),
    region("r7", PARTLY, 0..1, Folio::Entries),
    region("r10", FORKED, 0..4, Folio::Entries),
    region("r3", "", 0..4, Folio::Pmd),
    region("r5-pmd", SPLIT, 0..4, Folio::Pmd),
    region("r7-pmd", PARTLY, 0..1, Folio::Pmd),
    region("r10-pmd", FORKED, 0..4, Folio::Pmd),
    region("r2", OUT, 0..4, Folio::None),
    region("r4", OUT, 0..4, Folio::Pmd),
    region("r6", SPLIT_OUT, 0..4, Folio::Entries),
    region("r8", PARTLY_OUT, 0..1, Folio::Entries),
];

/// How many cells an operation has: the first and the last page of each region.
const CELLS: usize = 23;

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
    let advice = if region.folio == Folio::None { "" } else { "P: advise A hugepage\n" };
    let thp = if region.folio == Folio::Pmd { "thp pmd\n" } else { "" };
    let swap = if region.is_out() { "swap 16\n" } else { "" };
    let fill: String = (0..4).map(|page| format!("P: write A[{page}] \"old\"\n")).collect();
    let before = operation.before.replace("FLIP", FLIP).replace('@', &format!("[{page}]"));
    let holds = operation.holds.replace('@', &format!("[{page}]"));
    let writes: String =
        region.pages.clone().map(|page| format!("  write A[{page}] \"new\"\n")).collect();
    let text = format!(
        "scenario {name}\nmachine\nframes 32\n{thp}{swap}setup\nprocess P\nP: map A 4 private rw\n{advice}{fill}\
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
        let holds = match (region.folio, region.setup) {
            _ if region.is_out() => "P:A@ sees \"old\"",
            (Folio::None, _) => "P:A@ is not large\nP:A@ is not huge",
            // The child's write splits its own entry.
            (Folio::Pmd, "") => "P:A@ is large\nP:A@ is huge\nC:A@ is not huge",
            (Folio::Entries | Folio::Pmd, _) => "P:A@ is large\nP:A@ is not huge",
        };
        let nothing =
            Operation { name: "is", before: "P: fork C", writes: "C", holds, broken: None };
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
        assert_eq!(cells, 14 * CELLS, "{rules}");
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
    assert_eq!(broken, 12 * CELLS);
}

/// What a reference of a process that has left decides, where one entry maps the page: by mappings
/// to 5.17, ten releases longer than where entries map single pages.
#[test]
fn a_huge_entry_went_by_mappings_to_5_17() {
    let mut cells = 0;
    each_cell(|operation, region, name, text| {
        if region.folio == Folio::Pmd
            && !region.is_out()
            && matches!(operation.name, "o3" | "o4" | "o5" | "o6")
        {
            if region.name == "r3" {
                common::breaks(name, text, "5.17", Model::Tso, "isolation");
            } else {
                common::holds(name, text, "5.17", Model::Tso);
            }
            common::holds(name, text, "5.18", Model::Tso);
            cells += 1;
        }
    });
    assert_eq!(cells, 4 * 7);
}

/// The same of a page that comes back from swap for the write.
#[test]
fn what_comes_back_from_swap_went_by_mappings_to_5_17() {
    let mut cells = 0;
    each_cell(|operation, region, name, text| {
        // O5 brings the page back before the fork: the write finds it mapped.
        if region.is_out() && matches!(operation.name, "o3" | "o4" | "o6") {
            common::breaks(name, text, "5.17", Model::Tso, "isolation");
            common::holds(name, text, "5.18", Model::Tso);
            cells += 1;
        }
    });
    assert_eq!(cells, 3 * 7);
}
