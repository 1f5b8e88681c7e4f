//! No store after soft-dirty marks were cleared goes untold, and none is lost, whatever else
//! happens to the page (facts 7.6; INV-SOFT-1 and INV-SOFT-2). Beside a swap-out: `tests/swap.rs`.

use super::Protocol;
use pinfold_lab::Model;

const MODELS: [Model; 3] = [Model::Sc, Model::Tso, Model::Weak];

fn on_three_cpus(name: &'static str, body: &str) -> Protocol {
    let machine = "machine\nnodes 2\nwords 2\nframes 12\nmigrate-passes 1\nswap 4\ncpu cpu0 node 0\n\
                   cpu cpu1 node 0\ncpu cpu2 node 1";
    Protocol { name, text: format!("scenario {name}\n{machine}\n{body}\n") }
}

/// Some releases under weak, today's rules under each model.
fn holds_everywhere(protocol: &Protocol, presets: &[&str]) {
    protocol.holds_across(presets, &[Model::Weak]);
    protocol.holds_across(&["pinfold"], &MODELS);
}

/// A CPU that has a writable translation of the page from before stores to it when the marks have
/// been cleared.
fn told_of_a_store(map: &str, other: &str) -> Protocol {
    on_three_cpus(
        "told",
        &format!(
            r#"
setup
  process P on cpu0
  P: map A 1 {map} rw
  P: write A "old"
lane program: P on cpu0
  await cleared
  write A "new"
lane tracer: P on cpu1
  clear-refs
  signal cleared
lane other: P on cpu2
  {other}
always
  P:A is soft-dirty
  P:A sees "new"
reach write
"#
        ),
    )
}

/// Another thread moves the page meanwhile, hides it, or takes it for a device.
#[test]
fn no_store_goes_untold_whatever_else_happens_to_the_page() {
    for other in [
        "read A",
        "migrate A to node 1",
        "numa-scan A",
        "pin A write fast-only as h0 may fail busy",
    ] {
        holds_everywhere(&told_of_a_store("private", other), &["5.8", "5.10", "5.11", "6.5"]);
    }
    for other in ["read A", "write A.1 \"more\""] {
        holds_everywhere(&told_of_a_store("shared", other), &["5.10", "6.5"]);
    }
}

/// Two threads store to a page while the marks are cleared, the second time so that nothing of the
/// areas changes. A reference of somebody else's makes the rules of 5.9 and 5.10 copy the page.
fn both_stores_stay() -> Protocol {
    on_three_cpus(
        "stays",
        r#"
setup
  process P on cpu0
  P: map A 1 private rw
  P: clear-refs
  P: write A "old"
  P: get A read as g0
lane first: P on cpu0
  write A "one"
lane tracer: P on cpu1
  clear-refs
lane second: P on cpu2
  write A.1 "more"
  write A.1 "two"
always
  P:A sees "one"
  P:A.1 sees "two"
reach soft-dirty-cleared during write
"#,
    )
}

#[test]
fn no_store_is_lost_where_a_fault_cannot_copy_before_the_flush() {
    let stays = both_stores_stay();
    holds_everywhere(&stays, &["5.8", "5.11", "6.5", "5.10,clear-refs-pinned=spared"]);
    for rules in ["5.9", "5.10"] {
        stays.breaks(rules, "claim");
    }
}

/// The twin of the incident: the pin is not there yet when the marks are cleared, and lands before
/// write permission goes.
#[test]
fn a_lock_free_pin_may_land_between_the_look_and_the_loss_until_5_18() {
    let pin = on_three_cpus(
        "lands",
        r#"
setup
  process P on cpu0
  P: map A 1 private rw
  P: write A "v1"
lane owner: P on cpu0
  pin A write longterm fast-only as h0 may fail busy
lane tracer: P on cpu1
  clear-refs
after
  P: write A "v2"
always
  h0 sees "v2"
  h0 is P:A
reach soft-dirty-cleared during pin
"#,
    );
    // A handful of executions: the lock-free walk is short.
    for rules in ["5.8", "5.19", "6.5", "pinfold"] {
        for model in MODELS {
            super::common::holds(pin.name, &pin.text, rules, model);
        }
    }
    for rules in ["5.10", "5.11", "5.18"] {
        pin.breaks(rules, "pin-coherence");
    }
}

/// Parent and child: each has its own marks, and the words that it had.
#[test]
fn a_fork_meanwhile_gives_the_child_what_the_parent_had() {
    let fork = on_three_cpus(
        "forks",
        r#"
setup
  process P on cpu0
  P: map A 1 private rw
  P: write A "old"
lane parent: P on cpu0
  fork C
lane tracer: P on cpu1
  clear-refs
after
  P: write A "new"
always
  C:A sees "old"
  P:A is soft-dirty
reach soft-dirty-cleared
"#,
    );
    for rules in ["5.8", "5.10", "5.11", "6.5", "pinfold"] {
        let report = super::common::holds(fork.name, &fork.text, rules, Model::Weak);
        assert!(!report.reached.is_empty(), "{rules}");
    }
}

#[test]
fn the_incident_is_ok_where_pins_are_spared_or_do_not_decide() {
    let incident = Protocol::shipped("soft-dirty-pin").reaching(&["write"]);
    for model in MODELS {
        for rules in ["5.8", "5.11", "5.18", "5.19", "pinfold", "5.10,clear-refs-pinned=spared"] {
            super::common::holds(incident.name, &incident.text, rules, model);
        }
        for rules in ["5.9", "5.10", "5.11,clear-refs-pinned=protected"] {
            incident.breaks_in(rules, model, "pin-coherence");
        }
    }
}
