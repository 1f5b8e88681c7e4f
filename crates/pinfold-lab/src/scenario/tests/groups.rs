//! Groups of memory: what is read, and what is said of the rest.

use super::super::*;
use super::{accepted, each_is_reported};

/// A whole scenario with two groups.
fn around(lane: &str, claims: &str) -> String {
    format!(
        "scenario test\nmachine\n  file F 1\n  group G limit 2\n  group H limit 4\nsetup\n  \
         process P\n  P: map A 2 private rw\nlane one: P\n{lane}\nalways\n  P:A[0] sees \"0\"\n\
         {claims}\n"
    )
}

#[test]
fn every_step_and_fact_about_groups_is_read_and_written_back() {
    let text = "scenario test

machine
  group G limit 2  # small
  group H limit 4096

setup
  process P
  P: join G
  P: map A 2 private rw

lane one: P
  write A[0] \"v\" may fail over-limit
  move-charge A from G to H
  move-charge A[0..1] from H to G fails over-limit

always
  G holds 1 and H never holds 3
  never G holds 2
";
    let scenario = accepted(text);
    assert_eq!(format(&scenario), text);
    let document = json::write(&scenario).expect("JSON");
    let (again, written) = json::read(&document).expect("the same scenario");
    assert_eq!((again, written.as_str()), (scenario, text));
}

#[test]
fn what_is_no_group_is_refused() {
    for (code, step, word) in [
        (Code::UnknownGroup, "join F", "F"),
        (Code::UnknownGroup, "move-charge A from G to K", "K"),
        (Code::UnknownGroup, "move-charge A from P to H", "P"),
        (Code::UnknownArea, "move-charge G from G to H", "G"),
        (Code::OutsideArea, "move-charge A[2] from G to H", "2"),
    ] {
        each_is_reported(&[(code, step, word)], |step| around(&format!("  {step}"), ""));
    }
    for (code, fact, word) in [
        (Code::UnknownGroup, "K holds 1", "K"),
        (Code::UnknownGroup, "F holds 1", "F"),
        (Code::UnknownGroup, "P:A[0] holds 1", "A"),
        (Code::UnknownGroup, "G[0] never holds 1", "G"),
    ] {
        each_is_reported(&[(code, fact, word)], |fact| around("  exit", &format!("  {fact}")));
    }
    for (code, line, word) in [
        (Code::DuplicateName, "group G limit 1", "G"),
        (Code::DuplicateName, "group F limit 1", "F"),
        (Code::BadNumber, "group K limit 0", "0"),
        (Code::BadNumber, "group K limit 5000", "5000"),
    ] {
        each_is_reported(&[(code, line, word)], |line| {
            around("  exit", "").replace("limit 4\n", &format!("limit 4\n  {line}\n"))
        });
    }
}
