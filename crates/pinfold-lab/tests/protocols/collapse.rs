//! A collapse against who may be in the table that it takes out, or maps its pages elsewhere
//! (facts 7.4).

use pinfold_lab::Model;

use super::common::MODELS;
use super::{Protocol, outcomes};

const ERAS: [&str; 4] = ["5.8", "5.19", "6.1", "pinfold"];

/// Four pages that are a table's, of which two were written, and a collapse of them.
fn against(name: &'static str, rest: &str) -> Protocol {
    let text = format!(
        r#"scenario {name}
machine
  nodes 2
  frames 12
  cpu cpu0 node 0
  cpu cpu1 node 1
  migrate-passes 1
  thp pmd
setup
  process P on cpu0
  P: map A 4 private rw at 0x4000
  P: write A[0] "a0"
  P: write A[1] "a1"
{rest}"#
    );
    Protocol { name, text }
}

/// The shipped race with a second walker's step behind the first.
fn against_pins() -> Protocol {
    against(
        "collapse-pins",
        r#"
lane daemon: P on cpu0
  collapse A[0] may fail busy
lane driver: P on cpu1
  get A[1] write fast-only as h0 may fail busy
  get A[0] write fast-only as h1 may fail busy
after
  P: write A[1] "v2"
always
  P:A[0] sees "a0"
  P:A[1] sees "v2"
  h0 is P:A[1]
  h0 sees "v2"
  h1 is P:A[0]
outcome busy when P:A[1] is not huge
outcome collapsed otherwise
reach collapse-begins during get
reach fast-taken
reach fast-stop
"#,
    )
}

#[test]
fn a_lock_free_walker_is_waited_for_or_sees_that_its_table_has_gone() {
    for rules in [
        "6.1",
        "latest",
        "pinfold",
        // Each of the two remedies alone.
        "5.19,collapse-sync=interrupt",
        "6.0",
        "3.1,fast-recheck=on",
    ] {
        for model in MODELS {
            let report = against_pins().holds_in(rules, model);
            assert_eq!(outcomes(&report).len(), 2, "{rules}: {report:?}");
        }
    }
    for rules in ["3.1", "5.8", "5.19", "6.1,fast-recheck=entry,collapse-sync=flush"] {
        for model in MODELS {
            against_pins().breaks_in(rules, model, "claim");
        }
    }
}

#[test]
fn an_explanation_follows_the_page_through_the_table_that_is_out() {
    for rules in ["3.1", "5.8", "5.19"] {
        let report = Protocol::shipped("collapse-races-pin").breaks(rules, "claim");
        let why = report.broken.expect("it is broken").why.join(" ");
        let told = [
            "took out the table that maps f11 in P:A[1], for its pages to become the folio at f12",
            "took f11 for h0 only after that, as it looked at its entry again, and not at the one \
             above (rule fast-recheck=entry",
            "the collapse did not wait for it (rule collapse-sync=flush",
        ];
        assert!(told.iter().all(|part| why.contains(part)), "{rules}: {why}");
    }
}

/// The old table is freed: who does not wait for walkers finds one in it, unless the collapse has
/// waited before.
#[test]
fn a_table_that_was_replaced_is_freed_behind_its_walkers() {
    for model in MODELS {
        let once = "6.0,table-free=at-once";
        against_pins().breaks_in(once, model, "data-race");
        against_pins().holds_in("pinfold,table-free=at-once", model);
    }
}

#[test]
fn a_pin_by_the_slow_path_finds_the_pages_before_or_the_folio() {
    let protocol = against(
        "collapse-slow-pin",
        r#"
lane daemon: P on cpu0
  collapse A[0] may fail busy
lane driver: P on cpu1
  write A[2] "a2"
  get A[1] write slow-only as h0
  read A[0] as r0
after
  P: write A[1] "v2"
always
  P:A[0] sees "a0"
  P:A[2] sees "a2"
  r0 "a0"
  h0 is P:A[1]
  h0 sees "v2"
outcome busy when P:A[1] is not huge
outcome collapsed otherwise
reach collapse-busy
reach collapsed
"#,
    );
    protocol.holds_across(&ERAS, &MODELS);
}

#[test]
fn an_access_meets_the_pages_or_the_folio_and_none_is_lost() {
    let protocol = against(
        "collapse-fault",
        r#"
lane daemon: P on cpu0
  collapse A[0]
lane writer: P on cpu1
  write A[1] "v2"
  write A[2] "v3"
  read A[0] as r0
always
  P:A[0] sees "a0"
  P:A[1] sees "v2"
  P:A[2] sees "v3"
  P:A[1] is huge
  r0 "a0"
reach collapse-begins during write
reach write during collapse
reach first-touch
"#,
    );
    protocol.holds_across(&ERAS, &[Model::Tso, Model::Weak]);
}

#[test]
fn what_is_dropped_meanwhile_is_zeros_in_either_order() {
    let protocol = against(
        "collapse-dontneed",
        r#"
lane daemon: P on cpu0
  collapse A[0] may fail no-access
lane dropper: P on cpu1
  advise A dontneed
  write A[1] "v2"
  write A[2] "v3"
always
  P:A[2] sees "v3"
  P:A[0] sees "0"
  P:A[1] sees "v2"
reach zapped
reach collapsed
"#,
    );
    protocol.holds_across(&ERAS, &MODELS);
}

#[test]
fn a_child_has_what_there_was_when_it_was_forked() {
    let protocol = against(
        "collapse-fork",
        r#"
lane daemon: P on cpu0
  collapse A[0]
lane forker: P on cpu1
  fork C
  write A[0] "v2"
  write A[2] "v3"
always
  P:A[2] sees "v3"
  P:A[0] sees "v2"
  P:A[1] sees "a1"
  C:A[0] sees "a0"
  C:A[1] sees "a1"
reach fork-shared
reach collapsed
"#,
    );
    protocol.holds_across(&ERAS, &MODELS);
}

/// The child maps the pages, too: it copies one, or reuses it, while its parent collapses.
#[test]
fn a_child_writes_what_it_shares_while_its_parent_collapses() {
    let protocol = against(
        "collapse-copy",
        r#"
  P: fork C
lane daemon: P on cpu0
  collapse A[0] may fail busy
lane child: C on cpu1
  write A[0] "c0"
  read A[1] as r0
after
  P: write A[1] "v2"
always
  P:A[0] sees "a0"
  P:A[1] sees "v2"
  C:A[0] sees "c0"
  C:A[1] sees "a1"
  r0 "a1"
reach cow-copy
reach collapsed
"#,
    );
    protocol.holds_across(&ERAS, &[Model::Tso, Model::Weak]);
}

#[test]
fn a_child_leaves_while_its_parent_collapses() {
    let protocol = against(
        "collapse-exit",
        r#"
  P: fork C
lane daemon: P on cpu0
  collapse A[0] may fail busy
lane child: C on cpu1
  exit
after
  P: write A[1] "v2"
always
  P:A[0] sees "a0"
  P:A[1] sees "v2"
reach zapped during collapse
reach collapsed
"#,
    );
    protocol.holds_across(&ERAS, &MODELS);
}

/// A page on the move has its migration entry in the table, or its lock taken, or is moved before
/// or behind; a walk finds no table that is out.
#[test]
fn a_page_that_a_relative_moves_is_collapsed_before_or_after_or_not() {
    let protocol = against(
        "collapse-migrate",
        r#"
  P: fork C
lane daemon: P on cpu0
  collapse A[0] may fail busy
lane mover: C on cpu1
  migrate A[0] to node 1
after
  P: write A[1] "v2"
always
  P:A[0] sees "a0"
  P:A[1] sees "v2"
  C:A[0] sees "a0"
  C:A[1] sees "a1"
reach migration-entry during collapse
reach collapse-busy
reach collapsed
"#,
    );
    protocol.holds_across(&ERAS, &[Model::Tso, Model::Weak]);
}

/// The device's store comes before the unpin, and the copy behind the look at the counts that no
/// longer finds the pin.
#[test]
fn what_a_device_has_written_is_in_the_folio() {
    let protocol = against(
        "collapse-device",
        r#"  P: pin A[1] write as h0
lane daemon: P on cpu0
  collapse A[0] may fail busy
lane driver: P on cpu1
  write h0 "dev"
  unpin h0 dirty
always
  P:A[0] sees "a0"
  P:A[1] sees "dev"
outcome busy when P:A[1] is not huge
outcome collapsed otherwise
reach collapse-begins
reach collapse-busy
"#,
    );
    for rules in ERAS {
        protocol.holds(rules);
    }
}
