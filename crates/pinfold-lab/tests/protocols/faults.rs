//! Write faults against each other and against fork (facts 1.7, 2).

use pinfold_lab::Model;

use super::{Protocol, outcomes};

#[test]
fn two_write_faults_on_one_shared_page() {
    let protocol = Protocol::new(
        "two-writes",
        r#"
setup
  process P on cpu0
  P: map A 1 private rw
  P: write A "old"
  P: fork C
lane one: P on cpu0
  write A "one"
lane two: P on cpu1
  write A "two"
always
  C:A sees "old"
  P:A never sees "old"
outcome one when P:A sees "one"
outcome two when P:A sees "two"
outcome lost otherwise
reach copied during write
reach spurious
"#,
    );
    for rules in ["pinfold", "5.19", "5.16", "5.8"] {
        assert_eq!(outcomes(&protocol.holds(rules)), ["one", "two"], "{rules}");
    }
}

/// Two write faults on one page, one of which finds the other's copy, and a reader whose CPU may
/// still know the old page.
#[test]
fn a_write_fault_that_finds_anothers_copy() {
    let protocol = Protocol::shipped("cow-published-early")
        .reaching(&["cow-copy during write", "spurious during read"]);
    for rules in ["5.8", "pinfold"] {
        protocol.holds(rules);
        let early = format!("{rules},cow-publish=before-flush");
        let report = protocol.breaks_in(&early, Model::Sc, "claim");
        assert!(outcomes(&report).contains(&"stale"));
    }
}

#[test]
fn a_write_fault_of_the_parent_against_one_of_the_child() {
    let protocol = Protocol::new(
        "both-write",
        r#"
setup
  process P on cpu0
  P: map A 1 private rw
  P: write A "old"
  P: fork C
lane parent: P on cpu0
  write A "parent"
lane child: C on cpu1
  write A "child"
always
  P:A sees "parent"
  C:A sees "child"
  P:A is not C:A
reach copied during write
reach cow-reuse
"#,
    );
    for rules in ["pinfold", "5.19", "5.18", "5.16", "5.8"] {
        protocol.holds(rules);
    }
}

/// Two writers, one on a CPU without translations, which must walk the tables that fork works on.
const WRITERS_AND_FORK: &str = r#"
lane one: P on cpu1
  write A[0] "one"
  write A[1] "one"
lane two: P on cpu0
  write A[0] "two"
lane forker: P on cpu0
  fork C
always
  P:A[0] never sees "old"
  P:A[1] sees "one"
outcome torn when C:A[0] sees "old" and C:A[1] sees "one"
outcome old when C:A[0] sees "old"
outcome new otherwise
"#;

const TWO_PAGES: &str = r#"
setup
  process P on cpu0
  P: map A 2 private rw
  P: write A[0] "old"
  P: write A[1] "old"
"#;

/// Without a pin no switch breaks it: fork holds the address space's lock for writing and a fault
/// holds it for reading, so they meet only where the hardware walks the tables and uses
/// translations that are stale until fork's flush, and writes through those are allowed under every
/// rule.
#[test]
fn a_write_fault_against_fork() {
    let protocol = Protocol::new("write-fork", &format!("{TWO_PAGES}{WRITERS_AND_FORK}"))
        .reaching(&["fork-shared during write", "cow-copy during write"]);
    for rules in ["pinfold", "5.19", "5.16", "5.9", "5.8"] {
        assert_eq!(outcomes(&protocol.holds(rules)), ["new", "old"], "{rules}");
    }
}

/// The child's early copy of the pinned page may be older than what it shares: the hole of facts
/// 2.7, which every release since 5.9 has.
#[test]
fn a_write_fault_against_fork_of_a_pinned_page() {
    let pinned = format!(
        "{TWO_PAGES}P: pin A[0] write longterm as h0\n{}",
        WRITERS_AND_FORK.replace("always\n", "always\n  h0 is P:A[0]\n")
    );
    let protocol = Protocol::new("write-fork-pinned", &pinned)
        .reaching(&["fork-shared during write", "cow-copy during write"]);
    for rules in ["pinfold", "5.19", "5.16", "5.10", "5.9"] {
        let report = protocol.reaching(&["fork-copied during write"]).holds(rules);
        assert_eq!(outcomes(&report), ["new", "old", "torn"], "{rules}");
    }
    for rules in ["5.8", "pinfold,fork-pin=share", "5.16,fork-pin=share"] {
        protocol.breaks(rules, "pin-coherence");
    }
}

/// As with pages that are there already: the address space's lock keeps them apart.
#[test]
fn a_first_touch_against_fork() {
    let untouched = "setup\n  process P on cpu0\n  P: map A 2 private rw\n";
    let lanes = WRITERS_AND_FORK.replace("\"old\"", "\"0\"");
    let protocol = Protocol::new("touch-fork", &format!("{untouched}{lanes}"))
        .reaching(&["first-touch during write", "fork-shared during write"]);
    for rules in ["pinfold", "5.8"] {
        assert_eq!(outcomes(&protocol.holds(rules)), ["new", "old"], "{rules}");
    }
}
