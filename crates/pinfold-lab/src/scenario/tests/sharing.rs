//! Processes in one address space, and programs that are executed.

use super::{accepted, around, codes};
use crate::scenario::Code;

/// Lanes of `P` and of the child that its first step makes.
fn lanes(makes: &str, rest: &str, child: &str) -> String {
    around("", &format!("{makes}\n{rest}\nlane child: C\n{child}"))
}

#[test]
fn an_area_belongs_to_all_processes_of_an_address_space() {
    accepted(&around("  P: clone C\n  C: map B 1 private rw\n  P: write B \"v\"", "  read B"));
    // A copy is a copy: what the child maps is its own.
    let copy = around("  P: fork C\n  C: map B 1 private rw\n  P: write B \"v\"", "  read A[0]");
    assert_eq!(codes(&copy), [Code::UnknownArea]);
    // Two processes cannot give one name to two areas of one address space.
    let twice =
        around("  P: clone C\n  C: map B 1 private rw\n  P: map B 1 private rw", "  read B");
    assert_eq!(codes(&twice), [Code::DuplicateName]);
}

#[test]
fn who_executes_has_nothing_of_what_it_had() {
    let after = |step: &str| around(&format!("  P: clone C\n  C: exec\n  {step}"), "  read A[0]");
    accepted(&after("C: map B 1 private rw\n  C: write B \"v\""));
    // The others keep it.
    accepted(&after("P: write A[1] \"v\""));
    assert_eq!(codes(&after("C: write A[1] \"v\"")), [Code::UnknownArea]);
    assert_eq!(codes(&after("C: map A 1 private rw")), [Code::DuplicateName]);
    assert_eq!(codes(&after("C: map B 1 private rw\n  P: write B \"v\"")), [Code::UnknownArea]);
    // What it had is inherited by those that it forks, as far as it has it.
    assert_eq!(codes(&after("C: fork D\n  D: write A[1] \"v\"")), [Code::UnknownArea]);
    accepted(&after("C: map B 1 private rw\n  C: fork D\n  D: write B \"v\""));
}

#[test]
fn a_process_with_two_lanes_does_not_execute() {
    accepted(&lanes("  fork C", "", "  exec"));
    let two = lanes("  fork C", "", "  exec\nlane other: C\n  read A[0]");
    assert_eq!(codes(&two), [Code::Misplaced]);
    // Nor does it leave open whether it does.
    assert_eq!(codes(&lanes("  fork C", "", "  exec may fail out-of-frames")), [Code::Misplaced]);
    accepted(&lanes("  fork C", "", "  exec fails out-of-frames\n  read A[0]"));
}

#[test]
fn a_vfork_ends_with_the_child_or_its_exec() {
    for leaves in ["  exec", "  exit", "  read A[0]\n  exec\n  map B 1 private rw"] {
        accepted(&lanes("  vfork C", "  read A[1]", leaves));
    }
    accepted(&lanes("  vfork C may fail exited", "  read A[1]", "  exec"));
    for stays in ["  read A[0]", "  await go\n  exec"] {
        let text = lanes("  vfork C", "  signal go", stays);
        let found = codes(&text);
        assert!(!found.is_empty(), "{stays}");
        assert!(found.iter().all(|code| *code == Code::EndlessWait), "{stays}: {found:?}");
    }
    assert_eq!(codes(&around("", "  vfork C")), [Code::EndlessWait]);
    assert_eq!(codes(&around("  P: vfork C", "  read A[0]")), [Code::Misplaced]);
}

#[test]
fn the_memory_below_the_break_has_one_name_and_as_many_pages_as_the_highest_break() {
    let scenario = accepted(
        "scenario s
         setup
           process P
           P: break H 1
           P: fork C
           P: break H 3
         lane one: C
           write H[2] \"v\" fails no-access
           break H 0
         always
           P:H[2] sees \"0\"",
    );
    assert_eq!(scenario.break_pages(), 3);
    let second = |lane: &str| around("  P: break H 2", &format!("  break G 1{lane}"));
    assert_eq!(codes(&second("")), [Code::DuplicateName]);
    accepted(&second(" fails occupied"));
    assert_eq!(codes(&around("  P: break H 2", "  write H[2] \"v\"")), [Code::OutsideArea]);
}
