//! Names and values of cells on traces made by hand; a real one is in the command's tests.

use pinfold::Pfn;
use pinfold_explore::hook::{Mode, Order};

use super::*;

const ROOT: Pfn = Pfn(1);
const LEAF: Pfn = Pfn(2);

/// Process P with a root, a table under its entry 3, and one page in that, called A.
fn places() -> Places {
    let mut places = Places::new(true);
    places.page("P:A", ROOT, 15);
    places.survey(|_, entry| if entry == 3 { Pte::<Tables>::table(LEAF).bits() } else { 0 });
    places
}

fn access(kind: AccessKind, label: &str, old: u64, new: u64) -> Access {
    Access { step: 0, lane: 0, kind, label: label.to_owned(), old, new, behind: 0 }
}

/// The accesses as `cell: before -> after`.
fn told(trace: &[Access]) -> Vec<String> {
    let words = Words::number(["v1"]);
    let rows = places().list(trace, &["lane"], &words);
    let tell = |row: &AccessRow| {
        let before = row.before.iter().map(|value| format!(": {value}"));
        let after = row.after.iter().map(|value| format!(" -> {value}"));
        [row.cell.clone()].into_iter().chain(before).chain(after).collect()
    };
    rows.iter().map(tell).collect()
}

fn mapping(pfn: u64) -> Pte<Tables> {
    Pte::mapping(Pfn(pfn), pinfold::Reach::Data { exec: false }).old()
}

const LOAD: AccessKind = AccessKind::Load(Order::Acquire);
const STORE: AccessKind = AccessKind::Store(Order::Release);
const UPDATE: AccessKind = AccessKind::Rmw(Order::Full);

#[test]
fn an_entry_of_a_named_page_is_told_by_that_name() {
    let (rw, ro) = (mapping(7).writable(), mapping(7));
    let write = access(STORE, "table 2 entry 3", rw.bits(), ro.bits());
    assert_eq!(told(&[write]), ["pte P:A: rw f7 -> ro f7"]);
}

#[test]
fn an_accessed_bit_that_alone_changes_shows() {
    let (old, young) = (mapping(7), mapping(7).young());
    let walk = access(UPDATE, "table 2 entry 3", old.bits(), young.bits());
    assert_eq!(told(&[walk]), ["pte P:A: ro f7 -> ro f7 young"]);
}

#[test]
fn an_entry_without_a_name_is_told_by_its_page() {
    assert_eq!(told(&[access(LOAD, "table 2 entry 1", 0, 0)]), ["pte P page 13: none"]);
}

#[test]
fn tables_are_followed_as_the_trace_links_and_cuts_them() {
    let link = Pte::<Tables>::table(Pfn(9)).bits();
    let trace = [
        access(LOAD, "table 9 entry 0", 0, 0),
        access(STORE, "table 1 entry 2", 0, link),
        access(LOAD, "table 9 entry 0", 0, 0),
        access(UPDATE, "table 1 entry 2", link, 0),
        access(LOAD, "table 9 entry 0", 0, 0),
    ];
    let expected = [
        "table f9 entry 0: none",
        "root P entry 2: none -> table f9",
        "pte P page 8: none",
        "root P entry 2: table f9 -> none",
        "table f9 entry 0: none",
    ];
    assert_eq!(told(&trace), expected);
}

#[test]
fn metadata_and_data_are_decoded() {
    let counts = 1025 | 1 << 32 | 1 << 63;
    let trace = [
        access(LOAD, "frame 7 counts", counts, counts),
        access(LOAD, "frame 7 flags", 1 << 4 | 1 << 24, 0),
        access(LOAD, "frame 7 mapping", 0x7fff_1234, 0),
        access(STORE, "f7 word 0", 0, 1),
    ];
    let expected = [
        "f7 counts: ref 1025 map 1 excl",
        "f7 flags: anon",
        "f7 mapping: some",
        "f7 word 0: \"0\" -> \"v1\"",
    ];
    assert_eq!(told(&trace), expected);
}

#[test]
fn locks_have_no_values_and_are_told_apart_by_their_word() {
    let lock = AccessKind::Lock(Mode::Exclusive);
    let trace = [
        access(lock, "frame 2 pins", 0, 0),
        access(lock, "frame 1 pins", 0, 0),
        access(AccessKind::TryLock(Mode::Exclusive), "frame 7 flags", 0, 0),
        access(AccessKind::Fence(Order::SeqCst), "", 0, 0),
    ];
    assert_eq!(told(&trace), ["lock of table P 3", "lock of root P", "page lock of f7", ""]);
}

#[test]
fn labels_of_nobody_known_stay_as_they_are() {
    let trace = [
        access(LOAD, "lock #3", 5, 5),
        access(LOAD, "table x entry 1", 5, 5),
        access(LOAD, "frame 3 colour", 5, 5),
    ];
    assert_eq!(told(&trace), ["lock #3: 5", "table x entry 1: 5", "frame 3 colour: 5"]);
}
