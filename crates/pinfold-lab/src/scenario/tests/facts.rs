//! Facts about nodes, merged pages and costs.

use super::super::*;
use super::{accepted, each_is_reported};

const ALL: &str = "scenario test

machine
  nodes 2

setup
  process P
  P: map A 1 private rw

lane one: P
  pin A write as node
  read A as cost

always
  P:A is on node 1 and node is not on node 0
  P:A is merged and node is not merged
  node 0 holds 3 and node 1 never holds 0
  cost 1 copy and cost 2 copies and cost at most 0 faults and cost at least 1 flush
  cost 1 move and cost 1 swap-in and cost 2 swap-outs
  node sees \"0\" and cost \"0\"  # a handle and a register of these names
";

#[test]
fn every_fact_is_read_and_written_back() {
    let scenario = accepted(ALL);
    assert_eq!(format(&scenario), ALL);
    let document = json::write(&scenario).expect("JSON");
    let (again, written) = json::read(&document).expect("the same scenario");
    assert_eq!((again, written.as_str()), (scenario, ALL));
}

#[test]
fn one_and_several_are_written_as_they_are_spoken() {
    let scenario = accepted(
        &ALL.replace("cost 1 copy ", "cost 1 copies ").replace("cost 2 copies", "cost 2 copy"),
    );
    assert_eq!(format(&scenario), ALL);
}

#[test]
fn what_is_no_such_fact_is_refused() {
    for (code, fact, word) in [
        (Code::UnknownNode, "P:A is on node 2", "2"),
        (Code::UnknownNode, "node 2 holds 1", "2"),
        (Code::Unexpected, "P:A is on 1", "1"),
        (Code::Unexpected, "node 1 has 1", "has"),
        (Code::Unexpected, "cost 2 pages", "pages"),
        (Code::Unexpected, "cost at 2 copies", "2"),
        (Code::Unexpected, "cost at most many copies", "many"),
        (Code::Incomplete, "cost 2", ""),
    ] {
        let around = |fact: &str| ALL.replace("P:A is merged and node is not merged", fact);
        each_is_reported(&[(code, fact, word)], around);
    }
}
