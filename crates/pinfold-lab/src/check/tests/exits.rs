//! Processes that exit while lanes of theirs run.

use super::*;

fn ended(worker: &str, rest: &str) -> String {
    format!(
        "scenario ended\nmachine\n  cpu cpu0 node 0\n  cpu cpu1 node 0\n\
         setup\n  process P on cpu0\n  P: map A 1 private rw\n  P: write A \"v1\"\n  P: fork C\n\
         lane ender: P on cpu0\n  exit\n\
         lane worker: P on cpu1\n{worker}\
         always\n  C:A sees \"v1\"\n{rest}"
    )
}

#[test]
fn a_step_is_carried_out_or_finds_the_process_gone() {
    let outcomes = "outcome both when r0 \"v1\" and h0 sees \"v1\"\noutcome read when r0 \"v1\"\n\
                    outcome none otherwise\n";
    let text =
        ended("  read A as r0 may fail exited\n  get A read as h0 may fail exited\n", outcomes);
    for model in [Model::Sc, Model::Tso, Model::Weak] {
        assert_eq!(seen_by_both(&text, "latest", model), ["both", "none", "read"]);
    }
}

#[test]
fn a_step_that_does_not_expect_the_exit_is_a_failure() {
    let broken =
        checked(&ended("  read A\n", ""), "latest").broken.expect("the exit may come first");
    assert_eq!(broken.oracle, Oracle::Step);
    assert!(broken.what[0].contains("process P has exited"), "{:?}", broken.what);
    let other = checked(&ended("  read A may fail no-access\n", ""), "latest");
    assert_eq!(other.broken.expect("another failure").oracle, Oracle::Step);
}

#[test]
fn every_kind_of_step_may_find_the_process_gone() {
    for step in [
        "unmap A",
        "protect A ro",
        "advise A dontneed",
        "write A \"w\"",
        "read A",
        "pin A write longterm as h1",
        "get A write as h1",
        "fork D",
        "numa-scan",
        "numa-scan A",
        "migrate A to node 0",
    ] {
        let text = ended(&format!("  {step} may fail exited\n"), "");
        for set in ["5.8", "5.9", "latest"] {
            let report = checked(&text, set);
            assert_eq!(report.verdict, Verdict::Pass, "{step} {set}: {:?}", report.broken);
        }
        let text = ended(&format!("  await gone\n  {step} fails exited\n"), "")
            .replace("  exit\n", "  exit\n  signal gone\n");
        let report = checked(&text, "latest");
        assert_eq!(report.verdict, Verdict::Pass, "{step}: {:?}", report.broken);
    }
    let map = ended("  await gone\n  map B 1 private rw fails exited\n", "")
        .replace("  exit\n", "  exit\n  signal gone\n");
    assert_eq!(checked(&map, "latest").verdict, Verdict::Pass);
}

#[test]
fn of_two_lanes_that_end_their_process_one_finds_it_gone() {
    let text = ended("  exit may fail exited\n", "")
        .replace("on cpu0\n  exit\n", "on cpu0\n  exit may fail exited\n");
    assert_eq!(checked(&text, "latest").verdict, Verdict::Pass);
    let unexpected = ended("  exit may fail exited\n", "");
    assert_eq!(checked(&unexpected, "latest").broken.expect("it may").oracle, Oracle::Step);
}

#[test]
fn what_a_device_holds_of_a_process_that_exits_stays_its_own() {
    let text = "
scenario outlived
machine
  cpu cpu0 node 0
  cpu cpu1 node 0
setup
  process P on cpu0
  P: map A 1 private rw
  P: write A \"v1\"
lane ender: P on cpu0
  exit
lane pinner: P on cpu1
  pin A write longterm as h0 may fail exited
always
  h0 sees \"v1\"
outcome pinned when h0 sees \"v1\"
outcome gone otherwise
";
    for set in ["5.8", "5.9", "5.16", "latest"] {
        let report = checked(text, set);
        assert_eq!(report.verdict, Verdict::Pass, "{set}: {:?}", report.broken);
        assert_eq!(labels(&report), ["gone", "pinned"], "{set}");
    }
}

#[test]
fn the_exit_takes_the_space_down_beside_another_process() {
    // Without a flush before the page is freed, the child would find a stranger's word.
    let text = ended("  write A \"v2\" may fail exited\n", "reach zapped during write\n")
        .replace("always", "lane child: C on cpu1\n  write A \"c\"\nalways")
        .replace("C:A sees \"v1\"", "C:A sees \"c\"");
    let report = checked(&text, "latest");
    assert_eq!(report.verdict, Verdict::Pass, "{:?} {:?}", report.broken, report.reached);
}

#[test]
fn a_lane_that_waits_does_not_keep_its_process_from_exiting() {
    let text = ended("  await gone\n  read A fails exited\n", "")
        .replace("  exit\n", "  exit\n  signal gone\n");
    assert_eq!(checked(&text, "latest").verdict, Verdict::Pass);
    let after = ended("  read A fails exited\n", "")
        .replace("worker: P on cpu1", "worker: P on cpu1 after ender");
    assert_eq!(checked(&after, "latest").verdict, Verdict::Pass);
}
