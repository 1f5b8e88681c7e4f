//! A mapping that moves, against what uses it meanwhile (facts 7.12).

use super::Protocol;
use super::common::MODELS;

const RULES: [&str; 4] = ["pinfold", "5.8", "5.17", "7.3"];

/// Another CPU writes by the old address while the page goes to another frame: the shipped race.
#[test]
fn a_remap_against_a_stale_translation_and_migration() {
    let protocol = Protocol::shipped("remap-stale-translation");
    for rules in RULES {
        protocol.holds(rules);
        for model in MODELS {
            protocol.breaks_in(
                &format!("{rules},remap-flush=after-locks"),
                model,
                "use-after-free",
            );
        }
    }
    for model in MODELS {
        for rules in ["3.1", "4.4", "4.8", "4.18"] {
            protocol.breaks_in(rules, model, "use-after-free");
        }
        protocol.holds_in("4.19", model);
        protocol.holds_in("4.8,remap-flush=under-lock", model);
    }
}

/// A pin without a lock finds the page in one of the two places, or nowhere, while the page that
/// was in the new place goes, and fork comes.
#[test]
fn a_remap_against_a_lock_free_pin() {
    let protocol = Protocol::new(
        "remap-pin",
        r#"
setup
  process P on cpu0
  P: map A 1 private rw at 0x1000
  P: write A "v1"
  P: map B 1 private rw at 0x2000
  P: write B "b"
lane mover: P on cpu0
  remap A at 0x2000
  fork C
lane pinner: P on cpu1
  pin A write longterm as h0 may fail no-access
after
  P: write A "v2"
always
  h0 is P:A
  h0 sees "v2"
reach remapped during fast-pin
reach fast-taken
reach fast-stop
"#,
    );
    for rules in ["pinfold", "5.19,fork-race=seq-count-full", "7.3,fork-race=seq-count-full"] {
        protocol.holds(rules);
    }
}

/// Two processes share the page, one moves its mapping: migration finds both entries.
#[test]
fn a_remap_against_migration_of_a_shared_page() {
    let protocol = Protocol::new(
        "remap-shared",
        r#"
setup
  process P on cpu0
  P: map A 1 private rw at 0x1000
  P: write A "v1"
  P: fork C
lane mover: P on cpu0
  remap A at 0x2000
lane migrator: C on cpu1
  migrate A to node 1
always
  P:A sees "v1"
  C:A sees "v1"
  P:A is C:A
reach remapped
reach migrated
"#,
    );
    for rules in RULES {
        protocol.holds(rules);
    }
}
