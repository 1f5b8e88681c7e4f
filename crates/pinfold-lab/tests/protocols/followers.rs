//! Devices that follow an address space in place of pinning, against what takes pages away (facts
//! 7.10). Every protocol runs under a rule set of each kind of copy-on-write, and breaks where the
//! device hears of a change only afterwards.

use super::Protocol;
use super::common::MODELS;

/// The device has filed a writable translation; `change` takes its page away.
fn against(name: &'static str, change: &str, always: &str, reach: &str) -> Protocol {
    let mut protocol = Protocol::new(
        name,
        &format!(
            r#"
setup
  process P
  P: map A 1 private rw
  P: write A "v1"
  P: follow A as m0
  write m0.1 "d1"
lane owner: P
{change}
lane dev: device
  write m0.1 "d2" may fail no-access
  read m0 as r0 may fail no-access
always
{always}
{reach}
"#
        ),
    );
    protocol.text = protocol.text.replacen("machine\n", "machine\nwords 2\n", 1);
    protocol
}

const RULES: [&str; 4] = ["pinfold", "5.8", "5.17", "7.3"];

/// The page is on its way to another frame: what the device writes is in the copy or comes after.
#[test]
fn a_device_that_follows_against_migration() {
    let always = "  m0 sees \"v1\"\n  m0.1 sees \"d2\"\n  P:A.1 sees \"d2\"\n  m0 is P:A";
    let change = "  migrate A to node 1";
    let moved = against("follow-migrate", change, always, "reach migrated");
    for rules in RULES {
        moved.holds(rules);
    }
}

/// Another process shares the page: a store copies it, for the device as for the owner.
#[test]
fn a_device_that_follows_against_fork_and_copy() {
    let always = "  m0 sees \"v2\"\n  m0.1 sees \"d2\"\n  P:A.1 sees \"d2\"\n  C:A sees \"v1\"";
    let change = "  fork C\n  write A \"v2\"";
    let forked = against("follow-fork", change, always, "reach fork-protected");
    for rules in RULES {
        forked.holds(rules);
    }
}

/// The frame is freed while the device has it filed.
#[test]
fn a_device_that_follows_against_unmap_and_reuse() {
    let always = "  P:B sees \"b\"\n  P:B.1 sees \"0\"\n  r0 \"v1\"";
    let change = "  unmap A\n  map B 1 private rw at 0x1000\n  write B \"b\"";
    let gone = against("follow-unmap", change, always, "reach zapped");
    for rules in RULES {
        gone.holds(rules);
        for model in MODELS {
            gone.breaks_in(&format!("{rules},notify=afterwards"), model, "use-after-free");
        }
    }
}

/// Entries lose rights and get them back.
#[test]
fn a_device_that_follows_against_protection_and_scans() {
    let always = "  m0 sees \"v1\"\n  m0 is P:A";
    let protect = "  protect A ro\n  protect A rw";
    for (change, reach) in
        [(protect, "reach protected"), ("  numa-scan A\n  write A \"v1\"", "reach numa-look")]
    {
        let changed = against("follow-protect", change, always, reach);
        for rules in RULES {
            changed.holds(rules);
        }
    }
}
