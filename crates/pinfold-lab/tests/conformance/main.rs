//! What the kernel's own copy-on-write tests ask, as generated scenarios: operation by kind of
//! region, for private memory in small pages, in large folios that entries map or one huge entry,
//! and in huge pages of the pool; what a collapse leaves to those who share the pages; and what
//! becomes of a dirty page where nobody may write (`mkdirty`), and of one that moves (`migration`).
//!
//! The cells and their names (O1 to O14, R1 to R11) are those of the kernel's `cow` self-test.
//! Under today's rules every cell holds, but for the four that huge pages of the pool leak in to
//! this day; under a release that had the fault it breaks, so that no cell is one that cannot fail.
//! What each cell comes to under every preset is a table (`verdicts.txt`, `matrix.rs`), and where a
//! region that is swapped out comes to something else than the same region in memory is named.

mod cells;
#[path = "../common/mod.rs"]
mod common;
mod matrix;

use pinfold::Rules;
use pinfold::rules::PRESETS;
use pinfold_lab::Model;

use cells::{
    AREA, CELLS, Folio, HALVES, MOVED, Operation, REGIONS, Region, SWAPPED, cell, each_cell, region,
};

#[test]
fn each_region_is_what_it_says() {
    for region in &REGIONS {
        let holds = match region.folio {
            Folio::None => "P:A@ is not large\nP:A@ is not huge",
            Folio::Pool => "P:A@ is large\nP:A@ is huge\nC:A@ is huge\nC:A@ is not P:A@",
            // The child's write splits its own entry.
            _ if region.is_huge() => "P:A@ is large\nP:A@ is huge\nC:A@ is not huge",
            _ if region.maps == HALVES => "P:A@ is large\nP:A@ is not huge\nP:B@ is large",
            Folio::Entries | Folio::Pmd => "P:A@ is large\nP:A@ is not huge",
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
fn each_region_that_is_swapped_out_has_no_page_in_memory() {
    for region in &SWAPPED {
        for page in region.pages.clone() {
            let name = format!("out-{}-{page}", region.name);
            let lane = "lane l: P\nfork C\nalways\nP:A@ is not resident\nC:A@ is not resident\n";
            let text = region.made(&name) + &lane.replace('@', &format!("[{page}]"));
            for rules in PRESETS {
                common::holds(&name, &text, rules, Model::Tso);
            }
        }
    }
}

#[test]
fn every_cell_holds_under_todays_rules_and_since_5_19_but_where_the_pool_leaks() {
    for rules in ["5.19", "6.5", "6.12", "latest", "pinfold"] {
        let mut leaks = 0;
        let cells = each_cell(|operation, region, name, text| {
            if region.folio == Folio::Pool && operation.leaves_a_reader() {
                common::breaks(name, text, rules, Model::Tso, "isolation");
                leaks += 1;
            } else {
                common::holds(name, text, rules, Model::Tso);
            }
        });
        assert_eq!((cells, leaks), (14 * CELLS, 4 * 2), "{rules}");
    }
}

#[test]
fn each_operation_breaks_under_a_release_that_had_its_fault() {
    let mut broken = 0;
    each_cell(|operation, region, name, text| {
        if let Some((rules, oracle)) = operation.broken_in(region) {
            assert!(Rules::parse(rules).is_ok());
            common::breaks(name, text, rules, Model::Tso, oracle);
            broken += 1;
        }
    });
    assert_eq!(broken, 12 * CELLS - 5 * 2 - 4 * 4);
}

/// The five that nothing breaks there, and the fork that copies what is pinned, since it does.
#[test]
fn huge_pages_of_the_pool_keep_their_pins_as_long_as_nobody_shares_them() {
    let mut cells = 0;
    each_cell(|operation, region, name, text| {
        let releases: &[&str] = match (region.folio, operation.name) {
            (Folio::Pool, "o7" | "o11" | "o12" | "o13" | "o14") => &["5.8", "5.9", "5.18"],
            (Folio::Pool, "o8") => &["5.12", "5.18"],
            _ => return,
        };
        for rules in releases {
            common::holds(name, text, rules, Model::Tso);
        }
        cells += 1;
    });
    assert_eq!(cells, 6 * 2);
}

/// Who leaves a region has left the folio only if he has no other half of it.
#[test]
fn the_half_that_was_moved_away_kept_a_sharer_as_long_as_mappings_were_counted() {
    let mut cells = 0;
    each_cell(|operation, region, name, text| {
        if region.setup == MOVED && operation.leaves_a_reader() {
            common::holds(name, text, "5.7", Model::Tso);
            let leaves = |text: String, who| {
                let [one, other] = ["A", "B"].map(|area| format!("{who}: unmap {area}\n"));
                text.replace(&one, &format!("{one}{other}"))
            };
            let text = ["C", "P"].into_iter().fold(text.to_owned(), leaves);
            common::breaks(name, &text, "5.7", Model::Tso, "isolation");
            for rules in ["5.9", "latest", "pinfold"] {
                common::holds(&format!("{name}-all"), &text, rules, Model::Tso);
            }
            cells += 1;
        }
    });
    assert_eq!(cells, 4 * 4);
}

/// What a reference of a process that has left decides, where one entry maps the page: by mappings
/// to 5.17, ten releases longer than where entries map single pages.
#[test]
fn a_huge_entry_went_by_mappings_to_5_17() {
    let mut cells = 0;
    each_cell(|operation, region, name, text| {
        if region.folio == Folio::Pmd && !region.is_out() && operation.leaves_a_reader() {
            if region.is_huge() {
                common::breaks(name, text, "5.17", Model::Tso, "isolation");
            } else {
                common::holds(name, text, "5.17", Model::Tso);
            }
            common::holds(name, text, "5.18", Model::Tso);
            cells += 1;
        }
    });
    assert_eq!(cells, 4 * 11);
}

/// When the pages of a region are collapsed, and which of them a child has of it.
struct Collapse {
    name: &'static str,
    before: &'static str,
    after: &'static str,
    shared: std::ops::Range<u32>,
}

/// Parts of a region stay the process's own.
const LOWER_SHARED: &str = "P: advise A[2..4] dontfork\nP: fork C\nP: advise A[2..4] dofork";
const UPPER_SHARED: &str = "P: advise A[0..2] dontfork\nP: fork C\nP: advise A[0..2] dofork";

const COLLAPSES: [Collapse; 4] = [
    Collapse { name: "before", before: "", after: "P: fork C", shared: 0..4 },
    Collapse { name: "all", before: "P: fork C", after: "", shared: 0..4 },
    Collapse { name: "lower", before: LOWER_SHARED, after: "", shared: 0..2 },
    Collapse { name: "upper", before: UPPER_SHARED, after: "", shared: 2..4 },
];

impl Collapse {
    /// What must hold when all has been written: the child has its part as it was, the process what
    /// it wrote.
    fn kept(&self) -> String {
        let child = self.shared.clone().map(|page| format!("C:A[{page}] sees \"old\"\n"));
        let own = (0..4).map(|page| format!("P:A[{page}] sees \"new\"\n"));
        child.chain(own).collect()
    }
}

/// Each case with what is collapsed: small pages, and folios of a machine with huge entries that
/// entries map now.
fn collapsed_regions() -> impl Iterator<Item = (&'static Collapse, Region)> {
    let regions = || {
        let small = region("small", (AREA, 4), "P: advise A hugepage", 0..4, Folio::Pmd);
        let split = |region: &Region| matches!(region.name, "r5-pmd" | "r10-pmd");
        [small].into_iter().chain(REGIONS.into_iter().filter(split))
    };
    COLLAPSES.iter().flat_map(move |case| regions().map(move |region| (case, region)))
}

#[test]
fn a_child_keeps_its_part_of_what_is_collapsed_under_every_preset() {
    let mut cells = 0;
    for (case, region) in collapsed_regions() {
        let name = format!("collapse-{}-{}", case.name, region.name);
        // One entry maps it from the collapse on: what is its own no write splits.
        let huge = if case.after.is_empty() { "" } else { "not " };
        let text = format!(
            "{}{}\nP: collapse A[0]\n{}\nlane writer: P\n{}always\n{}P:A[0] is {huge}huge\n",
            region.made(&name),
            case.before,
            case.after,
            region.written(),
            case.kept(),
        );
        for rules in PRESETS {
            common::holds(&name, &text, rules, Model::Tso);
        }
        cells += 1;
    }
    assert_eq!(cells, 4 * 3);
}

/// The same while the process writes and the child reads. A collapse that leaves translations of
/// its table behind is found in each.
#[test]
fn a_child_keeps_its_part_of_what_is_collapsed_while_it_is_read_and_written() {
    let mut cells = 0;
    for (case, region) in collapsed_regions().filter(|(case, _)| case.after.is_empty()) {
        let name = format!("collapse-beside-{}-{}", case.name, region.name);
        let text = format!(
            "{}{}\nlane khugepaged: P on cpu1\n  collapse A[0]\nlane writer: P on cpu0\n{}\
             lane child: C on cpu1\n  read A[{}] expect \"old\"\nalways\n{}P:A[0] is huge\n\
             reach collapse-begins during write\n",
            region.made(&name),
            case.before,
            region.written(),
            case.shared.start,
            case.kept(),
        );
        for (rules, model) in
            [("5.18", Model::Tso), ("latest", Model::Tso), ("pinfold", Model::Weak)]
        {
            common::holds(&name, &text, rules, model);
        }
        let local = "pinfold,flush-reach=this-cpu";
        common::breaks(&name, &text, local, Model::Tso, "data-race");
        cells += 1;
    }
    assert_eq!(cells, 3 * 3);
}

/// What makes entries of dirty pages anew, in an area that may not be written to.
const REMADE: [&str; 3] =
    ["P: migrate A to node 1", "P: split-folio A[0]", "P: advise A hugepage\nP: collapse A[0]"];

#[test]
fn a_dirty_page_whose_entry_is_made_anew_is_no_writable_one() {
    let mut cells = 0;
    for (how, region) in REMADE.iter().flat_map(|how| REGIONS.into_iter().map(move |of| (how, of)))
    {
        let whole = region.filled == 4 && region.pages.end == 4;
        let collapses = region.folio == Folio::Pmd && whole;
        let can = region.folio != Folio::Pool && (collapses || !how.contains("collapse"));
        if !can {
            continue;
        }
        let name = format!("mkdirty-{cells}-{}", region.name);
        let setup = format!("{}P: protect A ro\n{how}\n", region.made(&name));
        let written = region.written();
        let refused = written.replace("\"new\"", "\"new\" fails no-access");
        let text = |rights: &str, writes: &str, word: &str| {
            format!("{setup}{rights}lane writer: P\n{writes}always\nP:A[0] sees \"{word}\"\n")
        };
        for rules in PRESETS {
            common::holds(&name, &text("", &refused, "old"), rules, Model::Tso);
            common::holds(&name, &text("P: protect A rw\n", &written, "new"), rules, Model::Tso);
        }
        cells += 1;
    }
    assert_eq!(cells, 12 + 12 + 4);
}

/// The kernel's test of migration asks that each move is done and compares nothing. Here who reads
/// beside it must find what was there. Pages of the pool stay where they are.
#[test]
fn what_bounces_between_two_nodes_is_read_as_it_was() {
    for region in REGIONS.iter().filter(|region| region.folio != Folio::Pool) {
        let name = format!("bounces-{}", region.name);
        let text = format!(
            "{}lane mover: P on cpu0\n  migrate A[0] to node 1\n\
             lane reader: P on cpu1\n  read A[0] expect \"old\"\nafter\nP: migrate A[0] to node 0\n\
             always\nP:A[0] sees \"old\"\nreach migrated during read\n",
            region.made(&name),
        );
        for rules in ["5.9", "5.18", "latest", "pinfold"] {
            common::holds(&name, &text, rules, Model::Tso);
        }
        if matches!(region.name, "folio" | "r3") {
            let local = "latest,flush-reach=this-cpu";
            common::breaks(&name, &text, local, Model::Tso, "stale");
        }
    }
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
    assert_eq!(cells, 3 * 10);
}
/// The zero pages, each mapped twice, and how a machine maps them.
const ZEROS: [(&str, &str, &str); 2] =
    [("zero", "", "P:A@ is not huge"), ("huge-zero", "thp pmd\n", "P:A@ is huge")];

/// N1 to N3 of the kernel's `cow` self-test: a write to memory that shows the zero page changes
/// nobody else's, and a long-term pin for reading that was there before it sees what is written.
#[test]
fn a_write_in_place_of_a_zero_page_is_its_writers_and_a_pins_since_6_2() {
    let cells = ZEROS.into_iter().flat_map(|zeros| [0, 3].map(|page| (zeros, page)));
    for ((kind, machine, mapped), page) in cells {
        let text = |before: &str, step: &str, holds: &str| {
            format!(
                "scenario zero\nmachine\nframes 40\n{machine}setup\nprocess P\n\
                 P: map A 4 private rw\nP: advise A hugepage\nP: map S 4 private ro\n\
                 P: advise S hugepage\nP: read A@\nP: read S@\n{before}lane l: P\n{step}\n\
                 always\n{holds}\n"
            )
            .replace('@', &format!("[{page}]"))
        };
        let named = |name: &str| format!("{name}-{kind}-{page}");
        let is = text("", "read A@", &format!("{mapped}\nP:A@ sees \"0\""));
        common::holds(&named("is"), &is, "pinfold", Model::Tso);
        let write = "write A@ \"new\"";
        let apart = "P:S@ sees \"0\"\nP:A@ sees \"new\"\nP:S@ is not P:A@";
        for rules in PRESETS {
            common::holds(&named("n1"), &text("", write, apart), rules, Model::Tso);
        }
        for (name, path) in [("n2", "slow-only "), ("n3", "")] {
            let pin = format!("P: pin A@ read longterm {path}as h0\n");
            let pinned = text(&pin, write, "P:S@ sees \"0\"\nh0 sees \"new\"");
            for rules in ["6.2", "6.5", "6.12", "latest", "pinfold"] {
                common::holds(&named(name), &pinned, rules, Model::Tso);
            }
            common::breaks(&named(name), &pinned, "6.1", Model::Tso, "pin-coherence");
        }
    }
}
