//! userfaultfd: what is read, and what is said of the rest.

use super::super::*;
use super::{accepted, each_is_reported};

/// A whole scenario with an area that could be watched.
fn around(setup: &str, lane: &str) -> String {
    format!(
        "scenario test\nmachine\n  file F 1 memory\nsetup\n  process P\n  P: map A 2 private rw\n\
         {setup}\nlane one: P\n{lane}\nalways\n  P:A[0] sees \"0\"\n"
    )
}

#[test]
fn every_step_of_a_monitor_is_read_and_written_back() {
    let text = "scenario test

machine
  words 2

setup
  process P
  P: map A 2 private rw
  P: uffd-register A missing wp unpopulated event-fork event-remap  # all of it
  P: uffd-register A[1] minor fails invalid
  P: uffd-protect A may fail invalid

lane one: P
  uffd-wait A[0] missing
  uffd-copy A[0].1 \"v\" may fail occupied
  uffd-copy A[1] \"w\" wp
  uffd-zero A[1] fails occupied
  uffd-continue A[1] fails invalid
  uffd-continue A[1] wp fails invalid
  uffd-wait A[1] wp
  uffd-unprotect A[0..2]
  uffd-unregister A

always
  P:A[0] sees \"0\"
";
    let scenario = accepted(text);
    assert_eq!(format(&scenario), text);
    let document = json::write(&scenario).expect("JSON");
    let (again, written) = json::read(&document).expect("the same scenario");
    assert_eq!((again, written.as_str()), (scenario, text));
}

#[test]
fn what_no_monitor_can_do_is_refused() {
    for (code, step, word) in [
        (Code::UnknownArea, "uffd-register B wp", "B"),
        (Code::OutsideArea, "uffd-protect A[2]", "2"),
        (Code::AmbiguousPage, "uffd-copy A \"v\"", "A"),
        (Code::AmbiguousPage, "uffd-wait A missing", "A"),
        (Code::UnknownArea, "uffd-continue F", "F"),
        (Code::Unexpected, "uffd-register A missing often", "often"),
        (Code::Unexpected, "uffd-wait A[0] unpopulated", "unpopulated"),
        (Code::Repeated, "uffd-register A wp missing wp", "wp"),
    ] {
        each_is_reported(&[(code, step, word)], |step| around("", &format!("  {step}")));
    }
    let alone = |step: &str| around(&format!("  P: {step}"), "  exit");
    each_is_reported(
        &[(Code::Misplaced, "uffd-wait A[0] missing", "P: uffd-wait A[0] missing")],
        alone,
    );
}
