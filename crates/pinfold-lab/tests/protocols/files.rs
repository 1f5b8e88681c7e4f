//! Who takes pages out of a file, against those who show, write, pin and write them back (facts
//! 6.2, 7.8).
//!
//! What these rest on, the closed list of pages and the page's lock, no switch takes away: there
//! are no twins. Left out by hand, the question whether a page is still its file's is missed here,
//! by the orphan; the page's lock at a write fault and the mark of contents by `pairs`. That
//! entries go before pages is not: the list is closed all the while, so nobody sees which went
//! first.

use super::{Protocol, outcomes};
use pinfold_lab::Model;

fn on_file(name: &'static str, body: &str) -> Protocol {
    let machine = "machine\nframes 12\ncpu cpu0 node 0\ncpu cpu1 node 0\ncpu cpu2 node 0\nfile F 1";
    Protocol { name, text: format!("scenario {name}\n{machine}\n{body}\n") }
}

/// Searches of more executions are made under weak only, which has the executions of the other
/// models, too.
const LONG: u64 = 50_000;

/// Every preset under weak, today's rules under each model unless that is long.
fn holds_everywhere(protocol: &Protocol) -> Vec<String> {
    for rules in ["5.8", "5.19", "6.2", "7.3"] {
        protocol.holds(rules);
    }
    let weak = protocol.holds("pinfold");
    if weak.search.executions < LONG {
        protocol.holds_in("pinfold", Model::Sc);
        protocol.holds_in("pinfold", Model::Tso);
    }
    outcomes(&weak).into_iter().map(str::to_owned).collect()
}

/// INV-TRUNC-1: who has seen the zeros of a hole, and writes then, writes to the page that all
/// others see.
#[test]
fn a_write_after_the_zeros_of_a_hole_is_not_lost() {
    let protocol = on_file(
        "hole-write",
        r#"
setup
  process P on cpu0
  P: map A 1 shared rw of F
  P: write A "old"
  P: fork C
lane puncher: P on cpu0
  punch F
lane writer: C on cpu1
  read F as r0
  write A "new"
lane other: P on cpu2
  read A as r2
always
  never r0 "0" and F sees "0"
  never F sees "old"
outcome early when r0 "old" and F sees "0"
outcome late when r0 "old"
outcome done otherwise
reach cache-removed during write
"#,
    );
    assert_eq!(holds_everywhere(&protocol), ["done", "early", "late"]);
}

/// The same through the entry of another process, which is there before the hole.
#[test]
fn an_entry_of_the_old_page_does_not_outlive_the_look_at_the_new_one() {
    let protocol = on_file(
        "hole-entry",
        r#"
setup
  process P on cpu0
  P: map A 1 shared rw of F
  P: write A "old"
  P: fork C
  C: write A "old"
lane puncher: P on cpu0
  punch F
lane writer: C on cpu1
  read F as r0
  write A "new"
  read F as r1
lane other: P on cpu2
  read A as r2
always
  never r0 "0" and r1 "0"
  never r0 "0" and F sees "0"
outcome early when F sees "0"
outcome done otherwise
reach zapped during write
"#,
    );
    assert_eq!(holds_everywhere(&protocol), ["done", "early"]);
}

/// INV-TRUNC-2: a page that was taken out is an orphan, whatever a device does to it.
fn orphan() -> Protocol {
    on_file(
        "orphan-store",
        r#"
setup
  process P on cpu0
  P: map A 1 shared rw of F
  P: write A "old"
  P: pin A write as h0
lane puncher: P on cpu0
  punch F
lane cleaner: P on cpu1
  sync F
lane writer: P on cpu2
  write h0 "dev"
  unpin h0 dirty
always
  F sees "0"
  F stores "0"
outcome punched otherwise
reach cache-removed during sync
"#,
    )
}

#[test]
fn an_orphan_does_not_reach_the_store() {
    assert_eq!(outcomes(&orphan().holds("pinfold")), ["punched"]);
}

#[test]
#[ignore = "half a million executions more; run before a change of truncation or writeback"]
fn an_orphan_does_not_reach_the_store_under_older_rules() {
    assert_eq!(holds_everywhere(&orphan()), ["punched"]);
}

/// A page that is cut off is gone from everywhere when the truncation returns.
#[test]
fn a_fault_beside_a_truncation_shows_the_page_before_or_fails() {
    let protocol = on_file(
        "cut-fault",
        r#"
setup
  process P on cpu0
  P: map A 1 shared rw of F
  P: map B 1 private rw of F
  P: write A "old"
lane cutter: P on cpu0
  truncate F 0
  read A fails past-end
  read B fails past-end
lane toucher: P on cpu1
  write B "own" may fail past-end
  write A "new" may fail past-end
lane other: P on cpu2
  read A as r0 may fail past-end
after
  P: truncate F 1
always
  P:A sees "0"
  P:B sees "0"
outcome gone otherwise
reach cache-removed during write
"#,
    );
    assert_eq!(holds_everywhere(&protocol), ["gone"]);
}

/// INV-OBJECT-3: the first access reads the store, and others wait for that.
#[test]
fn two_first_accesses_find_what_the_store_has() {
    let protocol = on_file(
        "first-access",
        r#"
setup
  process P on cpu0
  P: map A 1 shared rw of F
lane one: P on cpu0
  read A as r0
lane two: P on cpu1
  write A "new"
  read A as r1
always
  r1 "new"
  F sees "new"
outcome early when r0 "0"
outcome late otherwise
reach shared-mapped during write
"#,
    );
    assert_eq!(holds_everywhere(&protocol), ["early", "late"]);
}
