//! The list in `docs/on-linux.md` of what cannot be carried out on a real kernel, against what the
//! controller refuses. It needs no kernel: machines are what an agent would tell of them.
//!
//! The list is written from the answers: an incident or a step that is added, or a reason that
//! changes, makes this test fail until the list is what it prints.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use pinfold_lab::SCENARIOS;
use pinfold_lab::resolved::Resolved;
use pinfold_lab::scenario::parse;
use pinfold_linux::job::Features;
use pinfold_linux::missing;

/// Around the list in the page.
const MARKS: (&str, &str) = ("<!-- what cannot run -->\n", "<!-- what cannot run, end -->\n");

/// A machine of two nodes that is given to the command, and whose kernel has everything.
fn everything() -> Features {
    Features { frames_visible: true, pipe_pages: 256, nodes: 2, cpus: 2, ..Features::default() }
}

/// The incidents that cannot be carried out on a machine, by reason.
fn refused(features: &Features) -> BTreeMap<String, BTreeSet<&'static str>> {
    let mut refused: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for shipped in SCENARIOS {
        let scenario = parse(shipped.text).expect("it parses");
        let plan = Resolved::of(&scenario).expect("a plan");
        for one in missing(&plan, features) {
            refused.entry(one.why).or_default().insert(shipped.name);
        }
    }
    refused
}

/// Those that one machine refuses and a better one does not, by the reasons of the first alone.
fn beside(
    machine: &BTreeMap<String, BTreeSet<&'static str>>,
    better: &BTreeMap<String, BTreeSet<&'static str>>,
) -> BTreeSet<&'static str> {
    let all = |refused: &BTreeMap<String, BTreeSet<&'static str>>| {
        refused.values().flatten().copied().collect::<BTreeSet<_>>()
    };
    all(machine).difference(&all(better)).copied().collect()
}

fn names(of: &BTreeSet<&str>) -> String {
    assert!(!of.is_empty(), "a line without an incident");
    of.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// The list.
fn list() -> String {
    let best = refused(&everything());
    let none = || Some("none".to_owned());
    let lone = refused(&Features { nodes: 1, no_scans: none(), ..everything() });
    let lent = refused(&Features {
        no_merging: none(),
        no_pool: none(),
        no_swap: none(),
        no_scans: none(),
        ..everything()
    });
    let untold = refused(&Features { no_soft_dirty: none(), ..everything() });
    let mut told = "| never, since | incidents |\n| --- | --- |\n".to_owned();
    for (why, incidents) in &best {
        told += &format!("| {why} | {} |\n", names(incidents));
    }
    told += "\n| only with | incidents |\n| --- | --- |\n";
    let lines = [
        ("two memory nodes", beside(&lone, &best)),
        ("`--i-own-this-machine`, or in a virtual machine", beside(&lent, &best)),
        ("a kernel with `CONFIG_MEM_SOFT_DIRTY`", beside(&untold, &best)),
    ];
    for (what, incidents) in &lines {
        told += &format!("| {what} | {} |\n", names(incidents));
    }
    told
}

#[test]
fn the_page_lists_what_cannot_run_and_why() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/on-linux.md");
    let page = std::fs::read_to_string(&path).expect("the page");
    let (_, rest) = page.split_once(MARKS.0).expect("where the list begins");
    let (shown, _) = rest.split_once(MARKS.1).expect("where the list ends");
    let list = list();
    assert!(shown == list, "docs/on-linux.md must have between its marks:\n{list}");
}

/// What an ordinary machine with one node can carry out is most of the incidents of one node.
#[test]
fn most_incidents_are_in_no_line() {
    let listed: BTreeSet<&str> = refused(&everything()).into_values().flatten().collect();
    let all = SCENARIOS.len();
    assert!(listed.len() * 2 < all, "{} of {all}: {listed:?}", listed.len());
}
