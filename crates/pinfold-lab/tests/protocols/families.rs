//! The life of a reverse map (facts 6.5): a walker against those who unmap the page, leave its
//! family, and use its memory again.
//!
//! The walker is migration: before it takes the entries out it takes a reference on the page's
//! family, and the family's lock by trying; to put them back it has the reference alone.

use super::Protocol;
use pinfold_lab::Model;

const MODELS: [Model; 2] = [Model::Tso, Model::Weak];
const ERAS: [&str; 3] = ["pinfold", "7.3", "5.8"];

/// The owner of a page unmaps it, which ends the page's family, and founds another, while the page
/// migrates.
fn owner() -> Protocol {
    Protocol::new(
        "family-reuse",
        r#"
setup
  process P on cpu0
  P: map A 1 private rw
  P: write A "old"
lane mover: P on cpu1
  migrate A to node 1
lane owner: P on cpu0
  unmap A
  map B 1 private rw
  write B "new"
always
  P:B sees "new"
reach zapped during migrate
reach migration-entry
reach migrated
"#,
    )
}

/// The same for a page that a child has alone: its slot goes, and is used again, while the family
/// stays.
fn child() -> Protocol {
    Protocol::new(
        "family-child",
        r#"
setup
  process P on cpu0
  P: map A 1 private rw
  P: write A "old"
  P: fork C
  C: write A "child"
lane mover: C on cpu1
  migrate A to node 1
lane owner: C on cpu0
  unmap A
  map B 1 private rw
  write B "new"
always
  C:B sees "new"
  P:A sees "old"
reach zapped during migrate
reach migration-entry
reach migrated
"#,
    )
}

/// A relative joins the family and leaves it: the walker finds its lock taken, and sleeps for it.
fn relatives() -> Protocol {
    Protocol::new(
        "family-relatives",
        r#"
setup
  process P on cpu0
  P: map A 1 private rw
  P: write A "old"
  P: fork C
lane mover: C on cpu1
  migrate A to node 1
lane relative: P on cpu0
  fork D
  unmap A
after
  C: write A "new"
always
  C:A sees "new"
  D:A sees "old"
reach zapped during migrate
reach migration-entry during fork
reach migrated
"#,
    )
}

/// The member that touched the page first exits, while the page moves for its heir.
fn orphan() -> Protocol {
    Protocol::new(
        "family-orphan",
        r#"
setup
  process P on cpu0
  P: map A 1 private rw
  P: write A "old"
  P: fork C
lane mover: C on cpu1
  migrate A to node 1
lane parent: P on cpu0
  exit
after
  C: write A "mine"
always
  C:A sees "mine"
reach zapped during migrate
reach migration-entry during exit
reach migrated
"#,
    )
}

#[test]
fn a_walker_that_asks_again_never_meets_another_family_in_the_memory_of_its_own() {
    for protocol in [owner(), child()] {
        protocol.holds_across(&ERAS, &MODELS);
    }
}

#[test]
fn a_walker_sleeps_for_a_family_that_a_relative_joins_and_loses_no_entry() {
    for rules in ERAS {
        relatives().holds(rules);
    }
}

#[test]
fn a_page_whose_home_exits_is_found_through_what_is_left_of_it() {
    for rules in ERAS {
        orphan().holds(rules);
    }
}

#[test]
fn a_walker_that_trusts_what_it_saw_before_meets_memory_that_is_free_or_anothers() {
    for rules in ERAS {
        let twin = format!("{rules},rmap-check=before-lock");
        for model in MODELS {
            for (protocol, memory) in [(owner(), "freed memory"), (child(), "another family")] {
                let report = protocol.breaks_in(&twin, model, "invariant");
                let broken = report.broken.expect("a failure says what broke");
                let told = broken.what.concat();
                assert!(told.contains(memory), "{twin}: {broken:?}");
                let [unmapped, trusted] = broken.why.as_slice() else { panic!("{broken:?}") };
                assert!(unmapped.contains("(unmap A) unmapped f"), "{unmapped}");
                assert!(trusted.contains("(migrate A to node 1) had found f"), "{trusted}");
                assert!(trusted.ends_with("(rule rmap-check=before-lock, never released)."));
            }
        }
    }
}
