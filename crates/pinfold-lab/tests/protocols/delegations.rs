//! Faults in areas that are delegated to their CPU (INV-DELEG-1 to 4 of `pinfold::delegate`),
//! against everything that changes an area. The setup's faults have left a copy of the area A with
//! cpu0, on which the lane faults again.
//!
//! No switch leaves the recall out: `tests/locks/delegations.rs` does that, with the same code
//! around a value.

use super::common::{self, MODELS};
use super::{Protocol, outcomes};

const RULES: [&str; 3] = ["pinfold", "6.4", "6.1,fault-lock=area"];

/// A fault in A on the CPU that has the copy, beside a lane of another CPU.
fn beside(name: &'static str, fault: &str, steps: &str, rest: &str) -> Protocol {
    Protocol::new(
        name,
        &format!(
            r#"
setup
  process P on cpu0
  P: map A 2 private rw at 0x4000
  P: map B 1 private rw at 0x8000
  P: write A[0] "old"
  P: write B "b"
lane faults: P on cpu0
  {fault}
lane changes: P on cpu1
  {steps}
{rest}
"#
        ),
    )
}

/// Every end of these is found, and no other.
#[track_caller]
fn holds(protocol: &Protocol, ends: &[&str]) {
    for rules in RULES {
        for model in MODELS {
            let report = common::holds(protocol.name, &protocol.text, rules, model);
            println!(
                "{} {rules} {model:?}: {} executions",
                protocol.name, report.search.executions
            );
            assert_eq!(outcomes(&report), ends, "{rules} {model:?}");
            assert!(report.search.executions > 1, "they do not meet");
        }
    }
}

/// The fault comes before the area is gone, or finds nothing.
#[test]
fn a_fault_against_an_unmap_of_its_area() {
    let protocol = beside(
        "fault-unmap",
        "write A[1] \"new\" may fail no-access",
        "unmap A",
        "outcome done otherwise\nreach first-touch\nreach zapped",
    );
    holds(&protocol, &["done"]);
}

/// The area is cut: the copy is of both parts.
#[test]
fn a_fault_against_a_change_that_splits_its_area() {
    let unmap = beside(
        "fault-split",
        "write A[1] \"new\"",
        "unmap A[0]",
        "always\n  P:A[1] sees \"new\"\noutcome done otherwise\nreach first-touch\nreach zapped",
    );
    holds(&unmap, &["done"]);
    let protect = beside(
        "fault-protect",
        "write A[0] \"new\" may fail no-access",
        "protect A[0] ro",
        "always\n  P:A[0] never sees \"0\"\noutcome new when P:A[0] sees \"new\"\n\
         outcome old otherwise\nreach write\nreach protected",
    );
    holds(&protect, &["new", "old"]);
}

/// What was cut is merged again, and the other half, which is delegated, too, stays as it is.
#[test]
fn a_fault_against_a_merge_of_its_area() {
    let protocol = beside(
        "fault-merge",
        "write A[1] \"new\"",
        "protect A[0] ro\n  protect A[0] rw\n  write A[0] \"two\"",
        "always\n  P:A[1] sees \"new\"\n  P:A[0] sees \"two\"\noutcome done otherwise\n\
         reach first-touch\nreach protected",
    );
    holds(&protocol, &["done"]);
}

/// The child has the page or a zero page, and no page that the parent writes afterwards.
#[test]
fn a_fault_against_fork() {
    let protocol = beside(
        "fault-fork",
        "write A[1] \"one\"\n  write A[1] \"two\"",
        "fork C",
        "always\n  P:A[1] sees \"two\"\n  C:A[0] sees \"old\"\n\
         outcome none when C:A[1] sees \"0\"\noutcome one when C:A[1] sees \"one\"\n\
         outcome two otherwise\nreach first-touch\nreach fork-shared",
    );
    holds(&protocol, &["none", "one", "two"]);
}

/// The entry goes with the area, whenever it came.
#[test]
fn a_fault_against_a_remap_of_its_area() {
    let protocol = beside(
        "fault-remap",
        "write A[1] \"new\" may fail no-access",
        "remap A at 0xa000",
        "always\n  P:A[0] sees \"old\"\noutcome new when P:A[1] sees \"new\"\n\
         outcome lost otherwise\nreach first-touch\nreach remapped",
    );
    holds(&protocol, &["lost", "new"]);
}

/// The table under the delegated area goes, or the fault's page keeps it.
#[test]
fn a_fault_against_the_reclaim_of_its_table() {
    for rules in ["pinfold", "6.14", "6.1,fault-lock=area,table-reclaim=dont-need"] {
        for model in MODELS {
            let protocol = Protocol::new(
                "fault-reclaim",
                r#"
setup
  process P on cpu0
  P: map A 4 private rw at 0x4000
  P: write A[0] "old"
lane faults: P on cpu0
  write A[2] "new"
lane drops: P on cpu1
  advise A dontneed
always
  P:A[0] sees "0"
outcome before when P:A[2] sees "0"
outcome behind when P:A[2] sees "new"
reach first-touch during advise
"#,
            );
            assert_eq!(outcomes(&protocol.holds_in(rules, model)), ["before", "behind"], "{rules}");
        }
    }
}

/// Pages of an area that is locked are counted, by whomever they are mapped.
#[test]
fn a_fault_against_mlock_of_its_area() {
    let protocol = beside(
        "fault-mlock",
        "write A[1] \"new\"",
        "mlock A",
        "always\n  P:A[1] sees \"new\"\noutcome done otherwise\nreach first-touch",
    );
    holds(&protocol, &["done"]);
}

/// The process ends beside the fault.
#[test]
fn a_fault_against_exit() {
    let protocol = beside(
        "fault-exit",
        "write A[1] \"new\" may fail exited",
        "exit",
        "outcome done otherwise\nreach first-touch",
    );
    holds(&protocol, &["done"]);
}
