//! Pinning without a lock against what may happen to the page meanwhile (facts 2.3 to 2.5, 3.5).

use pinfold::rules::{Interface, PRESETS};
use pinfold_lab::Model;

use super::common::{self, MODELS, presets_with};
use super::{Protocol, outcomes};

/// The shipped race, with both ways it can end: the walk gives up, or fork sees the pin.
fn pin_against_fork() -> Protocol {
    Protocol::shipped("fork-races-fast-pin").reaching(&["fast-stop", "fast-taken", "fork-shared"])
}

#[test]
fn a_lock_free_pin_against_fork() {
    for rules in ["pinfold", "5.11,fork-race=seq-count-full", "5.19,fork-race=seq-count-full"] {
        pin_against_fork().reaching(&["fork-copied"]).holds(rules);
    }
    pin_against_fork().breaks("5.8", "pin-coherence");
    for model in MODELS {
        pin_against_fork().breaks_in("5.10", model, "pin-coherence");
    }
}

#[test]
fn the_write_protect_trick_needs_strong_ordering() {
    for model in [Model::Sc, Model::Tso] {
        pin_against_fork().reaching(&["fork-copied"]).holds_in("5.9", model);
    }
    pin_against_fork().breaks("5.9", "pin-coherence");
}

#[test]
fn the_sequence_count_as_merged_holds_on_x86_and_with_a_full_barrier_everywhere() {
    for rules in ["5.11", "5.19", "6.12", "7.3"] {
        pin_against_fork().reaching(&["fork-copied"]).holds_in(rules, Model::Tso);
        pin_against_fork().breaks(rules, "pin-coherence");
        pin_against_fork().holds(&format!("{rules},fork-race=seq-count-full"));
    }
}

#[test]
#[ignore = "five million executions; run before touching the sequence count (`states.rs` has the \
            same with a memory of states)"]
fn two_lock_free_pins_against_fork() {
    let protocol = Protocol::new("two-pins-fork", common::TWO_PINS);
    protocol.holds("pinfold");
}

/// The entry is read-only before and after, so the walk's second look shows nothing: only the
/// sequence count, around the clearing of the mark, tells that fork was there.
#[test]
fn a_lock_free_read_pin_against_the_clearing_of_the_mark_by_fork() {
    let protocol = Protocol::new(
        "read-pin-fork",
        r#"
setup
  process P on cpu0
  P: map A 1 private rw
  P: write A "v1"
  P: protect A ro
lane forker: P on cpu0
  fork C
lane pinner: P on cpu1
  pin A read longterm as h0
after
  P: protect A rw
  P: write A "v2"
always
  h0 is P:A
  h0 sees "v2"
  C:A sees "v1"
reach fork-shared during fast-pin
reach fast-stop
"#,
    );
    for rules in ["pinfold", "5.19,fork-race=seq-count-full", "6.1,fork-race=seq-count-full"] {
        protocol.reaching(&["fork-copied"]).holds(rules);
    }
    for (race, model) in [
        ("open", Model::Sc),
        // The trick protects against writers alone: nothing is left to protect here.
        ("write-protect-first", Model::Sc),
        ("seq-count", Model::Weak),
    ] {
        protocol.breaks_in(&format!("pinfold,fork-race={race}"), model, "pin-coherence");
    }
}

/// The table goes with the page: it must wait for the walker.
#[test]
fn a_lock_free_pin_against_unmap() {
    let protocol = Protocol::shipped("unmap-races-pin").reaching(&["fast-stop", "fast-taken"]);
    for rules in presets_with(Interface::PinUserPages) {
        assert_eq!(outcomes(&protocol.holds(rules)), ["pinned", "unmapped"], "{rules}");
        for model in MODELS {
            protocol.breaks_in(&format!("{rules},table-free=at-once"), model, "data-race");
        }
    }
}

/// The frame is freed and used again between the walker's look and its reference: the second look
/// saves it. The area stays, so that a late pin finds a page, too.
#[test]
fn a_lock_free_pin_against_reuse_of_the_frame() {
    let protocol = Protocol::shipped("fast-pin-reused-frame").reaching(&[
        "first-touch during fast-pin",
        "fast-stop",
        "fast-taken",
    ]);
    for rules in presets_with(Interface::PinUserPages) {
        protocol.holds(rules);
        protocol.breaks(&format!("{rules},fast-recheck=off"), "claim");
    }
}

/// The same with a folio that one entry maps.
#[test]
fn a_lock_free_pin_of_a_huge_entry_against_reuse_of_its_folio() {
    let text = r#"scenario huge-pin-reused
machine
  frames 24
  cpu cpu0 node 0
  cpu cpu1 node 0
  thp pmd
setup
  process P on cpu0
  P: map A 4 private rw at 0x4000
  P: advise A hugepage
  P: map B 4 private rw at 0x8000
  P: advise B hugepage
  P: write A[1] "a"
lane pinner: P on cpu0
  pin A[1] write as h0
lane other: P on cpu1
  advise A dontneed
  write B[1] "b"
always
  h0 never sees "b"
  h0 is not P:B[1]
  P:B[1] sees "b"
reach zapped during fast-pin
reach huge-mapped during fast-pin
reach fast-stop
reach fast-taken
"#;
    let protocol = Protocol { name: "huge-pin-reused", text: text.to_owned() };
    for rules in ["pinfold", "5.19", "5.8"] {
        protocol.holds(rules);
        protocol.breaks(&format!("{rules},fast-recheck=off"), "claim");
    }
}

#[test]
fn a_lock_free_pin_against_migration() {
    let protocol = Protocol::new(
        "pin-migration",
        r#"
setup
  process P on cpu0
  P: map A 1 private rw
  P: write A "v1"
lane pinner: P on cpu0
  pin A write longterm as h0
lane mover: P on cpu1
  migrate A to node 1
after
  P: write A "v2"
always
  h0 is P:A
  h0 sees "v2"
reach migration-entry during fast-pin
reach migrated
reach fast-taken
reach fast-stop
"#,
    );
    for rules in ["pinfold", "6.1", "5.19"] {
        protocol.reaching(&["migration-pinned"]).holds(rules);
    }
    for rules in ["5.16", "5.9"] {
        protocol.reaching(&["migration-busy"]).holds(rules);
    }
    for rules in ["pinfold", "5.16"] {
        protocol.breaks(&format!("{rules},fast-recheck=off"), "pin-coherence");
    }
}

/// Both forms hold here, the one of 5.19 too: the barriers that it lacks come with the full
/// exchange that takes the entry out, which no switch makes weaker. The walk has two looks after
/// its reference, at the entry and at the mark, and either is enough against migration, which
/// leaves the old page without the mark; so the twins lose both, or the mark on the way.
#[test]
fn a_lock_free_read_pin_against_the_clearing_of_the_mark() {
    let protocol = Protocol::new(
        "read-pin-mark",
        r#"
setup
  process P on cpu0
  P: map A 1 private rw
  P: write A "v1"
  P: protect A ro
lane pinner: P on cpu0
  pin A read longterm as h0
lane mover: P on cpu1
  migrate A to node 1
after
  P: protect A rw
  P: write A "v2"
always
  h0 is P:A
  h0 sees "v2"
reach migration-entry during fast-pin
reach fast-taken
reach fast-stop
"#,
    );
    for rules in ["pinfold", "6.1", "5.19"] {
        for order in ["barriers", "flush"] {
            let rules = format!("{rules},share-order={order}");
            protocol.reaching(&["migration-pinned", "migrated"]).holds(&rules);
            protocol.holds(&format!("{rules},fast-recheck=off"));
            protocol.holds(&format!("{rules},read-gup=as-is"));
            let blind = format!("{rules},fast-recheck=off,read-gup=as-is");
            protocol.breaks(&blind, "pin-coherence");
            protocol.breaks(&format!("{rules},migration-kind=read-write"), "pin-coherence");
        }
    }
    protocol.breaks("5.16", "pin-coherence");
}

#[test]
fn a_pin_against_the_exit_of_the_only_sharer() {
    let protocol = Protocol::new(
        "pin-exit",
        r#"
setup
  process P on cpu0
  P: map A 1 private rw
  P: write A "v1"
  P: fork C
lane pinner: P on cpu0
  pin A write longterm as h0
  write A "v2"
lane child: C on cpu1
  exit
always
  h0 is P:A
  h0 sees "v2"
reach zapped during pin
reach cow-copy
reach cow-reuse
"#,
    );
    for rules in ["pinfold", "6.1", "5.19", "5.9"] {
        protocol.holds(rules);
    }
}

/// The copy that a forced write made may be dropped before it is taken. Who then goes on as a
/// reader takes what everybody reads.
fn a_dropped_copy_is_written_by_readers_alone(name: &'static str, oracle: &str) {
    let protocol = Protocol::shipped(name);
    for rules in PRESETS {
        // Five executions: each pair of steps under one lock has two orders, and that is all there
        // is.
        if ["3.1", "3.2", "4.4", "4.5", "4.8"].contains(rules) {
            for model in MODELS {
                protocol.breaks_in(rules, model, oracle);
            }
            let cured = format!("{rules},force-write=dirty-cow");
            common::holds(protocol.name, &protocol.text, &cured, Model::Weak);
            continue;
        }
        let report = common::holds(protocol.name, &protocol.text, rules, Model::Weak);
        assert_eq!(outcomes(&report), ["dropped", "kept"], "{rules}");
        for model in MODELS {
            let dropped = format!("{rules},force-write=drop-write");
            protocol.breaks_in(&dropped, model, oracle);
        }
    }
}

#[test]
fn a_forced_write_against_the_dropping_of_its_copy() {
    a_dropped_copy_is_written_by_readers_alone("dirty-cow", "claim");
}

/// The same of a file: the reader's page is the one in the cache, and the file is written.
#[test]
fn a_forced_write_against_the_dropping_of_its_copy_of_a_file() {
    a_dropped_copy_is_written_by_readers_alone("dirty-cow-file", "isolation");
}

/// Who knows a tail's number alone reads the head's from a word that the free lists, and what the
/// frame becomes next, write meanwhile. No rule takes his second look away, so there is no twin.
#[test]
fn a_reference_by_number_against_the_freeing_and_reuse_of_a_tail() {
    for thp in ["entries", "pmd"] {
        let setup = format!(
            "machine\n  frames 12\n  cpu cpu0 node 0\n  cpu cpu1 node 0\n  thp {thp}\n\
             setup\n  process P on cpu0\n  P: map A 4 private rw at 0x4000\n  \
             P: advise A hugepage\n  P: write A[3] \"old\"\n  P: note A[1] as n\n"
        );
        let lanes = "lane owner: P on cpu0
  split-folio A[3] may fail busy
  advise A[1] dontneed
  write A[1] \"new\"
lane guesser: P on cpu1
  try-get n as h may fail busy
always
  P:A[1] sees \"new\"
  P:A[3] sees \"old\"
reach split during try-get
reach zapped during try-get
reach first-touch during try-get
";
        let text = format!("scenario number-read-late\n{setup}{lanes}");
        let protocol = Protocol { name: "number-read-late", text };
        let models = [Model::Sc, Model::Tso, Model::Weak];
        protocol.holds_across(&["pinfold", "latest", "5.8", "4.4", "3.1"], &models);
    }
}
