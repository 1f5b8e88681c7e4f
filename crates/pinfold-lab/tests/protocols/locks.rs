//! The count of locked entries (facts 6.6), which everything that takes an entry out or puts one in
//! must keep. There is no twin but of the unmap: the count changes under the table's lock, with the
//! entry.

use super::Protocol;
use super::common::MODELS;

const RULES: [&str; 4] = ["pinfold", "6.1", "5.17", "6.2,zap-munlock=with-entry"];

fn holds(protocol: &Protocol) {
    protocol.holds_across(&RULES, &MODELS);
}

/// Migration meets entries and no areas: the migration entry remembers what the page no longer
/// counts, and munlock takes it out of there.
#[test]
fn a_locked_page_that_moves_while_it_is_unlocked_or_unmapped() {
    for (step, reach) in [
        ("munlock A\n  mlock A", "munlock during migrate\nreach migration-entry during mlock"),
        ("munlock A\n  unmap A", "munlock during migrate\nreach zapped during migrate"),
        ("write A \"v2\"\n  unmap A", "write during migrate\nreach zapped during migrate"),
    ] {
        holds(&Protocol::new(
            "locked-move",
            &format!(
                r#"
setup
  process P on cpu0
  P: map A 1 private rw
  P: write A "v1"
  P: mlock A
lane mover: P on cpu1
  migrate A to node 1
lane other: P on cpu0
  {step}
after
  P: map B 1 private rw
  P: write B "v2"
always
  P:B sees "v2"
outcome done otherwise
reach {reach}
"#
            ),
        ));
    }
}

/// The other way round, of a page that two processes share: one of them locks it while it moves.
#[test]
fn a_page_that_is_locked_by_one_of_two_while_it_moves() {
    holds(&Protocol::new(
        "lock-moving",
        r#"
setup
  process P on cpu0
  P: map A 1 private ro
  P: protect A rw
  P: write A "v1"
  P: protect A ro
  P: fork C
lane mover: C on cpu1
  migrate A to node 1
lane locker: P on cpu0
  mlock A
always
  P:A sees "v1"
  C:A sees "v1"
outcome done otherwise
reach page-locked during migrate
reach migration-entry during mlock
"#,
    ));
}

/// A page comes into the area while that is being locked: by one of the two it is counted.
#[test]
fn a_page_that_is_touched_while_its_area_is_locked_and_unlocked() {
    holds(&Protocol::new(
        "lock-touch",
        r#"
setup
  process P on cpu0
  P: map A 2 private rw
lane toucher: P on cpu1
  write A[1] "v1"
  pin A[1] write longterm as h0
lane locker: P on cpu0
  mlock A
  munlock A[1]
always
  h0 is P:A[1]
outcome done otherwise
reach page-locked during write
reach first-touch during mlock
"#,
    ));
}

/// A copy takes the old page's place in a locked area, and the child has nothing locked.
#[test]
fn a_locked_page_that_is_copied_while_its_owner_unlocks_it() {
    holds(&Protocol::new(
        "lock-copy",
        r#"
setup
  process P on cpu0
  P: map A 1 private rw
  P: write A "v1"
  P: mlock A
  P: fork C
lane writer: P on cpu1
  write A "v2"
lane locker: P on cpu0
  munlock A
lane child: C on cpu0
  unmap A
always
  P:A sees "v2"
outcome done otherwise
reach page-unlocked during write
"#,
    ));
}
