//! Pages of shared memory that reclaim takes to swap, against who pins, shows, stores to, takes
//! out, moves and brings them back (facts 7.2). INV-SHARED-1 to INV-SHARED-4.
//!
//! As for pages of files no switch takes away what these rest on: there are no twins. Left out by
//! hand: the flush is missed by twelve of them, the step that takes the references away by the
//! lock-free pin and the fault, the look whether the place still names the slot by the hole,
//! swapoff and the second reader, and the list that the writeback begins with, like the wait for
//! its end, by the device that wants its pages unchanged. What a device stores is looked for twice,
//! in the references before the write and in the mark behind it: one of the two left out is missed
//! by nobody here, the mark by a test of the library.

use super::Protocol;
use pinfold_lab::Model;

const MODELS: [Model; 2] = [Model::Tso, Model::Weak];

/// A page of shared memory that has "old"; `before` is what follows in the setup, and `rest` the
/// lanes and what must hold.
fn shared(name: &'static str, before: &str, rest: &str) -> Protocol {
    let text = format!(
        r#"scenario {name}
machine
nodes 2
frames 12
swap 2
migrate-passes 1
cpu cpu0 node 0
cpu cpu1 node 0
setup
  process P on cpu0
  P: map A 1 shared rw
  P: write A "old"
  {before}
{rest}"#
    );
    Protocol { name, text }
}

/// The page leaves beside another lane.
fn leaving(name: &'static str, before: &str, lane: &str, rest: &str) -> Protocol {
    let rest = format!("lane reclaim: P on cpu1\n  pageout A\nlane {lane}\n{rest}");
    shared(name, before, &rest)
}

/// Today's rules under both models, and those that flush each entry and ask otherwise for pins
/// under the weaker one, whose executions are those of the other, too.
fn holds(protocol: &Protocol) {
    protocol.holds_across(&["pinfold"], &MODELS);
    for rules in ["5.8", "6.1"] {
        protocol.holds(rules);
    }
}

/// As [`holds`], where there are more executions: those under the weaker model alone.
fn weakly(protocol: &Protocol) {
    for rules in ["pinfold", "5.8"] {
        protocol.holds(rules);
    }
}

#[test]
fn a_lock_free_pin_has_the_page_or_none() {
    holds(&leaving(
        "shared-pin",
        "",
        "pinner: P on cpu0",
        r#"  pin A write fast-only as h0 may fail busy
after
  P: write A "new"
always
  h0 is P:A
  h0 sees "new"
reach swap-freed
"#,
    ));
}

#[test]
fn a_pin_that_may_wait_has_the_page_that_the_processes_have() {
    let pin = |name, term| {
        let rest = format!(
            r#"  pin A write {term}as h0
after
  P: write A "new"
always
  h0 is P:A
  h0 sees "new"
reach swap-freed
reach swapped-in
"#
        );
        leaving(name, "", "pinner: P on cpu0", &rest)
    };
    pin("shared-slow-pin", "slow-only ").holds_across(&["pinfold", "5.8"], &MODELS);
}

#[test]
fn a_fault_shows_the_page_to_another_process() {
    weakly(&leaving(
        "shared-fault",
        "P: fork C",
        "toucher: C on cpu0",
        r#"  read A as r0
after
  P: write A "new"
always
  r0 "old"
  C:A sees "new"
reach swap-freed
reach swap-busy
"#,
    ));
}

#[test]
fn what_another_process_stores_is_not_lost() {
    weakly(&leaving(
        "shared-store",
        "P: fork C",
        "writer: C on cpu0",
        r#"  write A "new"
always
  P:A sees "new"
  C:A sees "new"
reach swap-freed
reach swapped-in
"#,
    ));
}

/// INV-SHARED-3: a device that wants its pages unchanged while it writes them has that.
#[test]
fn nobody_stores_to_a_page_that_is_being_written() {
    let rest = r#"  write A "new"
always
  P:A sees "new"
reach swap-freed
"#;
    let mut stable = leaving("shared-stable", "P: fork C", "writer: C on cpu0", rest);
    stable.text = stable.text.replace("swap 2\n", "swap 2\nswap-writes stable\n");
    stable.holds("pinfold");
}

/// One that reads past the swap cache may claim a slot that was its entry's before.
#[test]
fn a_slot_changes_hands_on_a_synchronous_device() {
    let rest = r#"lane one: P on cpu0
  read B as r0
lane other: P on cpu1
  read B as r1
  pageout A
  read A as r2
always
  r0 "b"
  r1 "b"
  r2 "old"
reach swap-cache-skipped
reach swap-freed
reach swapped-in
"#;
    let before = "P: map B 1 private rw\n  P: write B \"b\"\n  P: pageout B";
    let mut past = shared("shared-past", before, rest);
    past.text = past.text.replace("swap 2\n", "swap 2\nswap-device synchronous\n");
    past.holds("6.12");
}

/// INV-SHARED-4: the device stores, marks and lets go, and reclaim asks in the other order.
#[test]
fn what_a_device_has_written_is_not_lost() {
    for (name, rules, kept) in
        [("shared-device", "pinfold", "swap-pinned"), ("shared-pinned", "5.8", "swap-busy")]
    {
        let rest = format!(
            r#"  write h0 "dev"
  unpin h0 dirty
always
  P:A sees "dev"
reach {kept}
reach swap-freed
"#
        );
        let device = leaving(name, "P: pin A write as h0", "owner: P on cpu0", &rest);
        device.holds_across(&[rules], &MODELS);
    }
}

#[test]
fn two_who_want_it_back_get_one_page() {
    let rest = r#"lane one: P on cpu0
  read A as r0
lane other: C on cpu1
  write A "new"
always
  P:A sees "new"
  C:A sees "new"
reach swapped-in
"#;
    holds(&shared("shared-back", "P: fork C\n  P: pageout A", rest));
}

#[test]
fn it_leaves_again_while_it_comes_back() {
    let rest = r#"  write A "new"
always
  P:A sees "new"
reach swap-freed
reach swapped-in
"#;
    holds(&leaving("shared-again", "P: pageout A\n  P: read A", "writer: P on cpu0", rest));
}

#[test]
fn swapoff_brings_it_back_or_finds_it() {
    let rest = r#"  swapoff may fail busy
always
  P:A sees "old"
reach swap-freed
reach swapped-in
"#;
    holds(&leaving("shared-off", "", "admin: P on cpu0", rest));
    let rest = r#"lane one: P on cpu0
  write A "new"
lane admin: P on cpu1
  swapoff
always
  P:A sees "new"
reach swapped-in
"#;
    holds(&shared("shared-off-back", "P: pageout A", rest));
}

#[test]
fn what_is_unmapped_by_one_is_the_others() {
    let rest = r#"  unmap A
always
  C:A sees "old"
reach swap-freed
"#;
    holds(&leaving("shared-unmap", "P: fork C\n  C: read A", "leaver: C on cpu0", &{
        rest.replace("C:A", "P:A")
    }));
}

#[test]
fn a_page_that_moves_leaves_before_or_after_or_not() {
    let rest = r#"  migrate A to node 1
after
  P: write A "new"
always
  P:A sees "new"
reach swap-freed
reach migrated
"#;
    holds(&leaving("shared-move", "", "mover: P on cpu0", rest));
}

/// Memory with a name, of which a hole or a shorter end takes the page.
fn named(name: &'static str, before: &str, rest: &str) -> Protocol {
    let mut named = shared(name, before, rest);
    named.text = named.text.replace("setup\n", "file F 1 memory\nsetup\n");
    named.text = named.text.replace("map A 1 shared rw", "map A 1 shared rw of F");
    named
}

#[test]
fn a_hole_and_an_end_take_the_page_or_its_slot() {
    for (name, step, back) in [
        ("shared-hole", "punch F", ""),
        ("shared-end", "truncate F 0", "after\n  P: truncate F 1\n"),
    ] {
        let rest = format!(
            r#"lane reclaim: P on cpu1
  pageout A
lane cutter: P on cpu0
  {step}
{back}always
  P:A sees "0"
  F sees "0"
reach swap-freed
reach cache-removed
"#
        );
        holds(&named(name, "", &rest));
    }
    let rest = r#"lane reader: P on cpu1
  read A as r0
lane cutter: P on cpu0
  punch F
always
  P:A sees "0"
reach swapped-in
reach cache-removed
"#;
    holds(&named("shared-hole-back", "P: pageout A", rest));
}

#[test]
fn who_reads_and_writes_it_by_its_name_has_its_page() {
    let rest = r#"lane reclaim: P on cpu1
  pageout A
lane writer: P on cpu0
  write F "new"
  read F as r0
always
  r0 "new"
  P:A sees "new"
reach swap-freed
reach swapped-in
"#;
    holds(&named("shared-named", "", rest));
}

/// From its list, where a batch may have had a reference, a page that two processes map.
#[test]
fn a_page_on_its_list_leaves_for_all_who_map_it() {
    let rest = r#"lane reclaim: P on cpu1
  reclaim node 0 goal 1
lane other: C on cpu0
  advise A dontneed
always
  P:A sees "old"
  C:A sees "old"
reach swap-freed
reach cache-unmapped during advise
"#;
    let mut listed = shared("shared-list", "P: fork C\n  C: read A\n  P: advise A cold", rest);
    listed.text = listed.text.replace("migrate-passes 1\n", "migrate-passes 1\nlru 1\n");
    listed.holds_across(&["pinfold"], &MODELS);
}
