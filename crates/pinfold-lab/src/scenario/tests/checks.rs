//! Errors that need the whole scenario.

use super::super::*;
use super::{accepted, around, codes, each_is_reported, rejected, report};
use snapbox::{assert_data_eq, str};

#[test]
fn names_and_bounds_of_steps() {
    each_is_reported(
        &[
            (Code::UnknownArea, "write B \"v\"", "B"),
            (Code::UnknownHandle, "unpin h1", "h1"),
            (Code::UnknownHandle, "read h1", "h1"),
            (Code::UnknownNode, "migrate A to node 2", "2"),
            (Code::DuplicateName, "map A 1 private rw", "A"),
            (Code::DuplicateName, "fork P", "P"),
            (Code::DuplicateName, "pin A write as h0", "h0"),
            (Code::DuplicateName, "pin A write as A", "A"),
            (Code::DuplicateName, "read A[0] as r0", "r0"),
            (Code::EmptyRange, "map B 0 private rw", "0"),
            (Code::EmptyRange, "unmap A[1..1]", "1..1"),
            (Code::EmptyRange, "unmap A[2..1]", "2..1"),
            (Code::OutsideArea, "unmap A[2]", "2"),
            (Code::OutsideArea, "unmap A[0..3]", "3"),
            (Code::OutsideArea, "read h0[1]", "1"),
            (Code::OutsidePage, "read A[0].2", "2"),
            (Code::AmbiguousPage, "read A", "A"),
            (Code::AmbiguousPage, "move-pages A to node 1 as s", "s"),
            (Code::AmbiguousPage, "move-pages A[0] to node 1 expect busy there", "busy there"),
            (Code::UnknownNode, "move-pages A[0] to node 2", "2"),
            (Code::UnknownNode, "mbind A to node 2", "2"),
            (Code::UnknownNode, "offline node 2", "2"),
            (Code::Missing, "offline node 1 movable", "1"),
            (Code::Missing, "offline node 1 cma", "1"),
            (Code::DuplicateName, "move-pages A[0] to node 1 as r0", "r0"),
            (Code::Unaligned, "map B 1 private rw at 0x1800", "0x1800"),
            (Code::BadNumber, "map B 1 private rw at 0", "0"),
            (Code::BadNumber, "map B 2 private rw at 0x7fff_ffff_f000", "0x7fff_ffff_f000"),
            (Code::BadNumber, "map B 513 private rw", "513"),
            (Code::BadNumber, "get A read times 0 as h1", "0"),
            (Code::BadNumber, "get A read times 2147483648 as h1", "2147483648"),
            (Code::BadNumber, "pin A read times 0 as h1", "0"),
            (Code::BadNumber, "map S 2 stack rw up to 1", "1"),
            (Code::BadNumber, "map S 1 stack rw up to 16", "16"),
            (Code::BadNumber, "map S 1 stack rw up to 8 at 0x9000", "0x9000"),
            (Code::BadNumber, "map U 3 hugetlb rw", "3"),
            (Code::BadNumber, "map U 4 hugetlb rw at 0x5000", "0x5000"),
            (Code::BadNumber, "break H 16", "16"),
            (Code::EmptyRange, "break H 0", "0"),
            (Code::DuplicateName, "break A 1", "A"),
            (Code::WrongRelease, "put h0", "h0"),
        ],
        |step| around("  P: pin A[0] write as h0\n  P: read A[0] as r0", step),
    );
}

#[test]
fn names_and_bounds_of_claims() {
    each_is_reported(
        &[
            (Code::UnknownProcess, "Q:A sees \"v\"", "Q"),
            (Code::UnknownArea, "P:B sees \"v\"", "B"),
            (Code::UnknownHandle, "h1 sees \"v\"", "h1"),
            (Code::UnknownRegister, "r1 \"v\"", "r1"),
            (Code::UnknownRegister, "h0 \"v\"", "h0"),
            (Code::AmbiguousPage, "h0 is P:A", "A"),
            (Code::Unexpected, "s0 \"bsy\"", "\"bsy\""),
            (Code::Unexpected, "h0 is P:A[0].1", "1"),
            (Code::OutsideArea, "h0[1] sees \"v\"", "1"),
        ],
        |claim| {
            let setup = "  P: pin A[0] write as h0\n  P: move-pages A[0] to node 1 as s0";
            format!("{}{claim}\n", around(setup, ""))
        },
    );
}

#[test]
fn a_range_outside_the_area() {
    assert_data_eq!(
        report(&around("  P: pin A[0..3] write as h0", "")),
        str![[r#"
error[PF0131]: a range up to 3 lies outside the area `A`
 --> test.pf:8:15
  |
8 |   P: pin A[0..3] write as h0
  |               ^ `A` has 2 pages
  |
  = help: pages are counted from 0
"#]]
    );
}

#[test]
fn a_zero_length_map() {
    assert_data_eq!(
        report(&around("  P: map B 0 private rw", "")),
        str![[r#"
error[PF0130]: the area `B` would have no pages
 --> test.pf:8:12
  |
8 |   P: map B 0 private rw
  |            ^ zero pages
  |
  = help: an area has at least one page
"#]]
    );
}

#[test]
fn a_double_unpin() {
    assert_data_eq!(
        report(&around("  P: pin A write as h0", "  unpin h0\n  unpin h0")),
        str![[r#"
error[PF0140]: the handle `h0` is released twice
  --> test.pf:11:9
   |
10 |   unpin h0
   |         -- released first
11 |   unpin h0
   |         ^^ released again
   |
   = help: remove one of the two, or pin twice under two names
"#]]
    );
}

#[test]
fn a_double_unpin_by_two_lanes_is_one_too_many_in_any_order() {
    let source = around("  P: pin A write as h0", "  unpin h0\nlane two: P\n  unpin h0");
    let errors = rejected(&source);
    assert_eq!(errors.iter().map(|error| error.code).collect::<Vec<_>>(), [Code::ReleasedTwice]);
}

#[test]
fn an_unpin_that_must_fail_releases_nothing() {
    accepted(&around("  P: pin A write as h0", "  unpin h0\n  unpin h0 fails invalid"));
}

#[test]
fn the_wrong_release() {
    assert_data_eq!(
        report(&around("  P: get A read as h0", "  unpin h0")),
        str![[r#"
error[PF0141]: `h0` was taken by `get`
  --> test.pf:10:9
   |
 8 |   P: get A read as h0
   |                    -- taken here
 9 | lane one: P
10 |   unpin h0
   |         ^^ not a handle for `unpin`
   |
   = help: write `put h0`
"#]]
    );
}

#[test]
fn a_handle_ends_with_its_release() {
    let source = around("  P: pin A[0] write as h0\n  unpin h0", "  read h0");
    assert_data_eq!(
        report(&source),
        str![[r#"
error[PF0142]: the handle `h0` is used after its end
  --> test.pf:11:8
   |
 9 |   unpin h0
   |         -- released here
10 | lane one: P
11 |   read h0
   |        ^^ no longer a handle
"#]]
    );
}

#[test]
fn a_handle_of_another_lane_may_be_waited_for() {
    accepted(&around(
        "",
        "  pin A[0] write as h0\nlane gaudi: device\n  read h0\n  write h0 \"v\"",
    ));
}

#[test]
fn a_handle_is_not_used_before_it_is_made() {
    assert_data_eq!(
        report(&around("", "  read h0\n  pin A[0] write as h0")),
        str![[r#"
error[PF0122]: there is no handle `h0` here
  --> test.pf:10:8
   |
10 |   read h0
   |        ^^ unknown handle
11 |   pin A[0] write as h0
   |                     -- made only here
"#]]
    );
}

#[test]
fn what_must_fail_makes_no_name() {
    let source = around("", "  pin A[0] write as h0 fails busy\n  unpin h0");
    assert_eq!(rejected(&source)[0].code, Code::UnknownHandle);
    let source = around("  P: fork C fails out-of-frames\n  C: read A[0]", "");
    assert_eq!(rejected(&source)[0].code, Code::UnknownProcess);
}

#[test]
fn a_child_has_the_areas_that_its_parent_had_at_the_fork() {
    accepted(&around("  P: fork C\n  C: fork D\n  D: write A[0] \"v\"", ""));
    let source = around("  P: fork C\n  P: map B 1 private rw\n  C: write B \"v\"", "");
    assert_data_eq!(
        report(&source),
        str![[r#"
error[PF0120]: `C` has no area `B` here
  --> test.pf:10:12
   |
 9 |   P: map B 1 private rw
   |          - an area of this name is mapped here
10 |   C: write B "v"
   |            ^ unknown area
   |
   = help: `C` has it only if it maps it, or inherits it by fork, before this point
"#]]
    );
}

#[test]
fn lanes_belong_to_processes_that_exist_when_they_start() {
    accepted(&around("  P: fork C", "\nlane two: C\n  read A[0]"));
    let late = accepted(&around("", "  fork C\nlane two: C\n  fork D\nlane three: D\n  read A[0]"));
    let starts: Vec<bool> = late.lanes.iter().map(|lane| late.starts_late(lane)).collect();
    assert_eq!(starts, [false, true, true]);
    assert_data_eq!(
        report(&around("", "\nlane two: C\n  read A[0]\nafter\n  P: fork C")),
        str![[r#"
error[PF0112]: `C` does not exist yet while the lanes run
  --> test.pf:11:11
   |
11 | lane two: C
   |           ^ forked too late for a lane
...
14 |   P: fork C
   |           - forked here
   |
   = help: fork it in `setup`, or in another lane
"#]]
    );
}

#[test]
fn a_lane_cannot_wait_for_itself() {
    let source = around("", "\nlane two: C\n  fork D\nlane three: D\n  fork C");
    assert_eq!(codes(&source), [Code::Misplaced, Code::Misplaced]);
    assert_data_eq!(
        report(&around("", "\nlane two: C\n  fork C")),
        str![[r#"
error[PF0112]: this lane never starts: it waits for the fork of `C`
  --> test.pf:11:11
   |
11 | lane two: C
   |           ^ waits for itself
12 |   fork C
   |        - forked here, in a lane that waits for this one
   |
   = help: fork it in `setup`, or in a lane that can start before
"#]]
    );
}

#[test]
fn what_may_not_exist_is_for_claims_alone() {
    let pin = "  pin A[0] write as h0 may fail no-access";
    accepted(&format!("{}  h0 sees \"v\"\n", around("", pin)));
    // Steps are left out where the handle was not made, and nobody waits for it then.
    let lanes = format!("{pin}\n  unpin h0\nlane dma: device\n  read h0\n  signal go");
    accepted(&around("", &format!("{lanes}\nlane last: P\n  await go\n  read A[0]")));
    let late = "lane first: P\n  read h0\n  signal go\nlane second: P\n  await go";
    let stuck = format!("{late}\n{pin}");
    assert_eq!(codes(&around("", &stuck)), [Code::EndlessWait, Code::EndlessWait]);
    assert_data_eq!(
        report(&around("", "  map B 1 private rw may fail occupied")),
        str![[r#"
error[PF0112]: `map` cannot leave open whether it works
  --> test.pf:10:22
   |
10 |   map B 1 private rw may fail occupied
   |                      ^^^^^^^^ what it makes is used elsewhere
   |
   = help: say `fails NAME`, or give it what it needs to work
"#]]
    );
}

#[test]
fn what_a_child_that_may_not_exist_makes_may_not_exist() {
    let fork = "  fork C may fail out-of-frames";
    let child = "lane child: C\n  fork D\nlane grandchild: D\n  pin A[0] write as h0\n  signal go";
    let whole = |rest: &str| around("", &format!("{fork}\n{child}\n{rest}"));
    accepted(&(whole("") + "  D:A[0] sees \"0\"\n  h0 sees \"0\"\n"));
    for (rest, code) in [
        ("lane dma: device\n  read h0", Code::UnknownHandle),
        ("lane dma: device\n  await go", Code::EndlessWait),
        ("lane late: P after grandchild\n  read A[0]", Code::EndlessWait),
        ("after\n  C: read A[0]", Code::UnknownProcess),
        ("after\n  D: read A[0]", Code::UnknownProcess),
        ("after\n  unpin h0", Code::UnknownHandle),
    ] {
        assert_eq!(codes(&whole(rest)), [code], "{rest}");
    }
    // Whether the lane of the child comes before or after that of its parent in the text.
    let first = format!("  read A[0]\n{child}\nlane last: P\n{fork}\nlane dma: device\n  read h0");
    assert!(codes(&around("", &first)).contains(&Code::UnknownHandle));
    assert_data_eq!(
        report(&around("  P: fork C may fail out-of-frames\n  C: read A[0]", "")),
        str![[r#"
error[PF0121]: there may be no process `C` here
 --> test.pf:9:3
  |
8 |   P: fork C may fail out-of-frames
  |                      ------------- may fail, and then it is not made
9 |   C: read A[0]
  |   ^ needs a process that there is for sure
  |
  = help: give `C` a lane: it starts if the fork works
"#]]
    );
}

#[test]
fn waits_have_an_end() {
    let device = |lane: &str, rest: &str| around("", &format!("{lane}\nlane dma: device\n{rest}"));
    accepted(&device("  signal go", "  await go"));
    accepted(&device("  await back\n  signal go", "  signal back\n  await go"));
    for (lane, rest) in [
        ("  await back\n  signal go", "  await go\n  signal back"),
        ("  await go\n  signal go", ""),
        ("  await go\n  pin A[0] write as h0", "  read h0\n  signal go"),
        ("  read A[0]\nlane two: P after two", ""),
        ("  read A[0]\nlane two: P after three\nlane three: P after two", ""),
        ("  await go\nlane two: P after one\n  signal go", ""),
    ] {
        let found = codes(&device(lane, rest));
        assert!(
            !found.is_empty() && found.iter().all(|code| *code == Code::EndlessWait),
            "{found:?}"
        );
    }
    assert_data_eq!(
        report(&device("  await back\n  signal go", "  await go\n  signal back")),
        str![[r#"
error[PF0144]: nothing is sure to end the wait for the signal `back`
  --> test.pf:10:9
   |
10 |   await back
   |         ^^^^ may wait for ever
   |
   = help: what ends it stands behind this, or in a lane that waits itself or may not start

error[PF0144]: nothing is sure to end the wait for the signal `go`
  --> test.pf:13:9
   |
13 |   await go
   |         ^^ may wait for ever
   |
   = help: what ends it stands behind this, or in a lane that waits itself or may not start
"#]]
    );
}

#[test]
fn what_is_awaited_exists() {
    assert_data_eq!(
        report(&around("", "  signal done\nlane two: P after own\n  await dne\n  await other")),
        str![[r#"
error[PF0129]: there is no lane `own`
  --> test.pf:11:19
   |
11 | lane two: P after own
   |                   ^^^ unknown lane
   |
   = help: lanes: `one`, `two`

error[PF0128]: no lane gives the signal `dne`
  --> test.pf:12:9
   |
12 |   await dne
   |         ^^^ would wait for ever
   |
   = help: did you mean `done`?

error[PF0128]: no lane gives the signal `other`
  --> test.pf:13:9
   |
13 |   await other
   |         ^^^^^ would wait for ever
   |
   = help: signals: `done`
"#]]
    );
}

#[test]
fn signals_and_waits_belong_to_lanes_and_do_not_fail() {
    each_is_reported(
        &[(Code::Misplaced, "  P: signal go", "signal"), (Code::Misplaced, "  await go", "await")],
        |step| around(step, "  signal go"),
    );
    each_is_reported(
        &[
            (Code::Misplaced, "  signal go fails busy", "fails"),
            (Code::Misplaced, "  await go may fail exited", "may fail"),
            (Code::ReservedName, "  signal when", "when"),
            (Code::Incomplete, "  signal", ""),
        ],
        |step| around("", &format!("{step}\nlane two: P\n  signal go")),
    );
}

#[test]
fn a_thousand_lanes_that_wait_for_each_other_are_no_burden() {
    let mut lanes = String::new();
    for lane in 0..2_000 {
        lanes += &format!(
            "lane l{lane}: P after l{}\n  await s{}\n  signal s{lane}\n",
            lane + 1,
            lane + 1
        );
    }
    let source = around("", &format!("{lanes}lane l2000: P\n  signal s2000"));
    accepted(&source);
    let stuck = source.replace("lane l2000: P\n", "lane l2000: P after l0\n");
    assert!(codes(&stuck).iter().all(|code| *code == Code::EndlessWait));
}

#[test]
fn lanes_cpus_and_nodes() {
    let source = "scenario s
machine
  cpu cpu0 node 1
  cpu cpu0 node 0
setup
  process P on cpu1
lane one: P
lane one: Q on cpu2
outcome o otherwise
outcome p otherwise
";
    assert_data_eq!(
        report(source),
        str![[r#"
error[PF0125]: there is no node 1
 --> test.pf:3:17
  |
3 |   cpu cpu0 node 1
  |                 ^ the last node is 0
  |
  = help: without `nodes N` in `machine` there is only node 0

error[PF0127]: the name `cpu0` is taken
 --> test.pf:4:7
  |
3 |   cpu cpu0 node 1
  |       ---- taken here
4 |   cpu cpu0 node 0
  |       ^^^^ a second CPU of this name
  |
  = help: choose another name

error[PF0123]: there is no CPU `cpu1`
 --> test.pf:6:16
  |
6 |   process P on cpu1
  |                ^^^^ unknown CPU
  |
  = help: did you mean `cpu0`?

error[PF0127]: the name `one` is taken
 --> test.pf:8:6
  |
7 | lane one: P
  |      --- taken here
8 | lane one: Q on cpu2
  |      ^^^ a second lane of this name
  |
  = help: choose another name

error[PF0121]: there is no process `Q` here
 --> test.pf:8:11
  |
8 | lane one: Q on cpu2
  |           ^ unknown process
  |
  = help: processes: `P`

error[PF0123]: there is no CPU `cpu2`
 --> test.pf:8:16
  |
8 | lane one: Q on cpu2
  |                ^^^^ unknown CPU
  |
  = help: did you mean `cpu0`?

error[PF0143]: the outcome `p` is never chosen
  --> test.pf:10:9
   |
 9 | outcome o otherwise
   |         - takes every execution that gets here
10 | outcome p otherwise
   |         ^ comes too late
   |
   = help: put `otherwise` last
"#]]
    );
}

#[test]
fn the_machine_has_bounds() {
    each_is_reported(
        &[
            (Code::BadNumber, "nodes 0", "0"),
            (Code::BadNumber, "frames 5000", "5000"),
            (Code::BadNumber, "words 9", "9"),
            (Code::BadNumber, "migrate-passes 0", "0"),
            (Code::BadNumber, "areas 0", "0"),
            (Code::BadNumber, "stack 16", "16"),
            (Code::BadNumber, "hugetlb 0", "0"),
            (Code::BadNumber, "movable 65", "65"),
            (Code::BadNumber, "cma 65", "65"),
            (Code::Repeated, "movable 2\nmovable 3", "movable"),
            (Code::BadNumber, "hugetlb 65", "65"),
            (Code::Repeated, "hugetlb 2\nhugetlb 3", "hugetlb"),
            (Code::Repeated, "areas 2\nareas 3", "areas"),
            (Code::Missing, "swap-device synchronous", "synchronous"),
            (Code::Missing, "swap-writes stable", "stable"),
            (Code::Missing, "swap-write-fails 1", "1"),
            (Code::Missing, "swap-read-fails 1", "1"),
            (Code::BadNumber, "swap 2\nswap-write-fails 0", "0"),
            (Code::BadNumber, "swap 2\nswap-read-fails 65", "65"),
            (Code::Repeated, "swap 2\nswap-writes any\nswap-writes any", "swap-writes"),
            (Code::Repeated, "swap 2\nswap-read-fails 1\nswap-read-fails 2", "swap-read-fails"),
            (Code::Missing, "thp pmd\nmax-ptes-swap 1", "1"),
            (Code::Missing, "swap 2\nmax-ptes-swap 1", "1"),
        ],
        |property| {
            format!(
                "scenario s\nmachine\n{property}\nsetup\nprocess P\nlane l: P\noutcome o otherwise\n"
            )
        },
    );
}

#[test]
fn events_are_checked_against_those_of_the_machine() {
    let source = format!("{}reach frok during pin\n", around("", ""));
    let errors = check_events(&accepted(&source), &["fork", "numa-scan"]);
    assert_data_eq!(
        render(&errors, &source, "test.pf", Style::Plain),
        str![[r#"
error[PF0126]: `frok` is not an event of the machine
  --> test.pf:13:7
   |
13 | reach frok during pin
   |       ^^^^ unknown event
   |
   = help: did you mean `fork`?
"#]]
    );
    assert!(check_events(&accepted(&source), &["frok"]).is_empty());
}

#[test]
fn an_error_of_an_execution_points_at_its_step() {
    let source = around("", "  fork C");
    let step = &accepted(&source).lanes[0].steps[0];
    let error = ScenarioError::new(
        Code::StepFailed,
        step.span.0,
        "this fork ran out of frames",
        "no free frame on node 0",
    )
    .help("raise `frames` in `machine`, or say `fails out-of-frames`");
    assert_data_eq!(
        render(&[error], &source, "test.pf", Style::Plain),
        str![[r#"
error[PF0201]: this fork ran out of frames
  --> test.pf:10:3
   |
10 |   fork C
   |   ^^^^^^ no free frame on node 0
   |
   = help: raise `frames` in `machine`, or say `fails out-of-frames`
"#]]
    );
}

#[test]
fn a_long_line_of_descent_is_no_burden() {
    let mut setup = String::new();
    let mut parent = "P".to_owned();
    for generation in 0..5_000 {
        let child = format!("C{generation}");
        setup += &format!("{parent}: fork {child}\n");
        parent = child;
    }
    accepted(&around(&format!("{setup}{parent}: read A[0]"), ""));
}
