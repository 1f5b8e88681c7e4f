//! Page tables that MADV_DONTNEED frees (facts 7.9), against what may be in them.

use super::Protocol;
use super::common::MODELS;

const SINCE: [&str; 4] = ["pinfold", "7.3", "6.14", "5.19,table-reclaim=dont-need"];

/// A pin without a lock walks into the table that goes. The twin does not wait for walkers; that it
/// is found, and is not where the table stays, shows that this table is what the walker is in.
#[test]
fn a_reclaimed_table_against_a_lock_free_pin() {
    let protocol = Protocol::new(
        "reclaim-pin",
        r#"
setup
  process P on cpu0
  P: map A 4 private rw at 0x4000
  P: write A[0] "v1"
lane dropper: P on cpu0
  advise A dontneed
lane pinner: P on cpu1
  pin A[0] write longterm as h0
after
  P: write A[1] "v2"
always
  P:A[1] sees "v2"
  P:A[2] sees "0"
  h0 never sees "v2"
outcome fresh when h0 is P:A[0] and h0 sees "0"
outcome lost otherwise
reach zapped during fast-pin
reach fast-taken
reach fast-stop
"#,
    );
    for rules in SINCE {
        for model in MODELS {
            protocol.holds_in(rules, model);
            protocol.breaks_in(&format!("{rules},table-free=at-once"), model, "data-race");
        }
    }
    for rules in ["6.11", "latest,table-reclaim=unmap"] {
        for model in MODELS {
            protocol.holds_in(&format!("{rules},table-free=at-once"), model);
        }
    }
}

/// Migration finds the table through the reverse map and has a reference on it.
#[test]
fn a_reclaimed_table_against_migration() {
    let protocol = Protocol::new(
        "reclaim-migration",
        r#"
setup
  process P on cpu0
  P: map A 4 private rw at 0x4000
  P: write A[0] "v1"
lane dropper: P on cpu0
  advise A dontneed
lane migrator: P on cpu1
  migrate A[0] to node 1
after
  P: write A[1] "v2"
always
  P:A[0] sees "0"
  P:A[1] sees "v2"
reach migration-entry during advise
reach zapped during migrate
"#,
    );
    protocol.holds_across(&SINCE, &MODELS);
}

/// A fault that comes between finds the old table or makes a new one, and its page is kept.
#[test]
fn a_reclaimed_table_against_a_fault() {
    let protocol = Protocol::new(
        "reclaim-fault",
        r#"
setup
  process P on cpu0
  P: map A 4 private rw at 0x4000
  P: write A[0] "v1"
lane dropper: P on cpu0
  advise A dontneed
lane writer: P on cpu1
  populate A[2] write
  read A[0] as r0
always
  P:A[0] sees "0"
  P:A[2] sees "0"
outcome before when r0 "v1"
outcome behind when r0 "0"
reach first-touch during advise
"#,
    );
    protocol.holds_across(&SINCE, &MODELS);
}
