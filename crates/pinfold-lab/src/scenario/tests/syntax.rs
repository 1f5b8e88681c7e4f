//! Errors of single lines.

use super::super::*;
use super::{around, codes, each_is_reported, rejected, report};
use snapbox::{assert_data_eq, str};

#[test]
fn steps_that_are_none() {
    each_is_reported(
        &[
            (Code::StrayCharacter, "P: write A[0] \"v\" @", "@"),
            (Code::BadText, "P: write A[0] \"v", "\"v"),
            (Code::BadText, "P: write A[0] \"\\n\"", "\\n"),
            (Code::BadText, "P: write A[0] \"a\tb\"", "\t"),
            (Code::UnquotedValue, "P: write A[0] v1", "v1"),
            (Code::UnquotedValue, "P: write A[0] 1", "1"),
            (Code::BadNumber, "P: map B 1x private rw", "1x"),
            (Code::BadNumber, "P: map B 0x private rw", "0x"),
            (Code::BadNumber, "P: map B 5000000000 private rw", "5000000000"),
            (Code::UnknownStep, "P: wriet A[0] \"v\"", "wriet"),
            (Code::UnknownStep, "pocess Q", "pocess"),
            (Code::Unexpected, "P: map B 1 privat rw", "privat"),
            (Code::Unexpected, "P: map B private rw", "private"),
            (Code::Unexpected, "P: map S 1 stack rw up 4", "4"),
            (Code::Misplaced, "P: map B 1 private rw up to 4", "up to"),
            (Code::Incomplete, "P: break H", ""),
            (Code::ReservedName, "P: break always 1", "always"),
            (Code::Unexpected, "P: advise A donteed", "donteed"),
            (Code::Unexpected, "P: migrate A node 1", "node"),
            (Code::Unexpected, "P: get A read longterm as h", "longterm"),
            (Code::Unexpected, "P: protect A[0].1 ro", "."),
            (Code::Unexpected, "P: fork C fails badly", "badly"),
            (Code::Unexpected, "P: \"write\"", "\"write\""),
            (Code::Incomplete, "P: pin A write", ""),
            (Code::Incomplete, "P:", ""),
            (Code::Incomplete, "P: protect A[0", ""),
            (Code::Trailing, "P: exit now", "now"),
            (Code::Repeated, "P: pin A write force force as h", "force"),
            (Code::Repeated, "process Q", "Q"),
            (Code::Misplaced, "write A[0] \"v\"", "write"),
            (Code::ReservedName, "P: fork always", "always"),
            (Code::AmbiguousPage, "P: write A[0..1] \"v\"", ".."),
        ],
        |statement| around(statement, ""),
    );
}

#[test]
fn an_unknown_step_is_answered_with_the_nearest_one() {
    assert_data_eq!(
        report(&around("  P: wriet A[0] \"v1\"", "")),
        str![[r#"
error[PF0106]: `wriet` is not a step
 --> test.pf:8:6
  |
8 |   P: wriet A[0] "v1"
  |      ^^^^^ unknown step
  |
  = help: did you mean `write`?
"#]]
    );
}

#[test]
fn a_step_that_resembles_none_is_answered_with_the_list() {
    assert_data_eq!(
        report(&around("", "  teleport A")),
        str![[r#"
error[PF0106]: `teleport` is not a step
  --> test.pf:10:3
   |
10 |   teleport A
   |   ^^^^^^^^ unknown step
   |
   = help: steps: `map`, `unmap`, `remap`, `break`, `protect`, `advise`, `write`, `read`,
            `pin`, `get`, `unpin`, `put`, `follow`, `unfollow`, `fork`, `exit`,
            `numa-scan`, `numa-tick`, `migrate`, `move-pages`, `mbind`, `compact`,
            `offline`, `online`, `clear-refs`, `pageout`, `swapoff`, `reclaim`,
            `lru-drain`, `ksm`, `writeback`, `signal`, `await`, `populate`, `clone`,
            `vfork`, `exec`, `mlock`, `munlock`, `truncate`, `punch`, `sync`, `join`,
            `move-charge`, `direct-read`, `direct-write`, `vm-read`, `vm-write`,
            `ptrace-read`, `ptrace-write`, `uffd-register`, `uffd-unregister`, `uffd-copy`,
            `uffd-zero`, `uffd-continue`, `uffd-protect`, `uffd-unprotect`, `uffd-wait`,
            `split-folio`, `split-deferred`, `collapse`, `note`, `try-get`, `get-page`
"#]]
    );
}

#[test]
fn the_memory_of_another_process_is_named_by_that_process() {
    for (code, step) in [
        (Code::UnknownProcess, "vm-read Z:A[0]"),
        (Code::UnknownProcess, "ptrace-write Z:A[0] \"w\""),
        (Code::UnknownArea, "vm-write P:Z \"w\""),
        (Code::OutsideArea, "vm-write P:A[2] \"w\""),
        (Code::OutsideArea, "vm-write P:A[1..3] \"w\""),
        (Code::OutsidePage, "ptrace-write P:A[0].8 \"w\""),
        (Code::AmbiguousPage, "vm-read P:A"),
        (Code::Unexpected, "vm-read A[0]"),
        (Code::Incomplete, "vm-write P:A"),
    ] {
        assert_eq!(codes(&around("", &format!("  {step}")))[0], code, "{step}");
    }
}

#[test]
fn a_value_without_quotes() {
    assert_data_eq!(
        report(&around("", "  write A[0] v1")),
        str![[r#"
error[PF0103]: the word to write stands in quotes
  --> test.pf:10:14
   |
10 |   write A[0] v1
   |              ^^ not quoted
   |
   = help: write `"v1"`
"#]]
    );
}

#[test]
fn words_after_the_end_may_be_misspelt_links() {
    assert_data_eq!(
        report(&around("", "  fork C fail out-of-frames")),
        str![[r#"
error[PF0109]: `fail out-of-frames` is too much on this line
  --> test.pf:10:10
   |
10 |   fork C fail out-of-frames
   |          ^^^^^^^^^^^^^^^^^^ the statement has ended before this
   |
   = help: did you mean `fails`?
"#]]
    );
}

#[test]
fn a_device_has_no_process() {
    let source = "scenario s
setup
  process P
  P: map A 1 private rw
lane gaudi: device
  fork C
always
  P:A sees \"0\"
";
    assert_data_eq!(
        report(source),
        str![[r#"
error[PF0112]: a device cannot `fork`
 --> test.pf:6:3
  |
6 |   fork C
  |   ^^^^ not a step of a device
  |
  = help: a device does `read HANDLE` and `write HANDLE "word"`, and signals and awaits
"#]]
    );
}

#[test]
fn a_lane_is_run_by_the_one_that_its_first_line_names() {
    assert_data_eq!(
        report(&around("", "  P: exit")),
        str![[r#"
error[PF0112]: a step of a lane names no process
  --> test.pf:10:3
   |
10 |   P: exit
   |   ^ the first line of the lane says who runs it
   |
   = help: remove `P:`, or give `P` a lane of its own
"#]]
    );
}

#[test]
fn an_empty_text_lacks_everything() {
    assert_data_eq!(
        report(""),
        str![[r#"
error[PF0110]: the scenario has no name
 --> test.pf:1:1
  |
1 |
  | ^ name is missing
  |
  = help: start the file with `scenario NAME`

error[PF0110]: the scenario has no `setup`
 --> test.pf:1:1
  |
1 |
  | ^ `setup` is missing
  |
  = help: add `setup` and in it `process P`

error[PF0110]: the scenario has no `lane`
 --> test.pf:1:1
  |
1 |
  | ^ `lane` is missing
  |
  = help: add `lane NAME: P` and its steps

error[PF0110]: the scenario has no `always`
 --> test.pf:1:1
  |
1 |
  | ^ `always` is missing
  |
  = help: say in `always` what must hold, or name an `outcome`
"#]]
    );
}

#[test]
fn missing_sections_are_missed() {
    assert_data_eq!(
        report("scenario s\nsetup\nlane one: device\n"),
        str![[r#"
error[PF0110]: the scenario has no process
 --> test.pf:2:1
  |
2 | setup
  | ^^^^^ process is missing
  |
  = help: start `setup` with `process P`

error[PF0110]: the scenario has no `always`
 --> test.pf:3:17
  |
3 | lane one: device
  |                 ^ `always` is missing
  |
  = help: say in `always` what must hold, or name an `outcome`
"#]]
    );
}

#[test]
fn sections_and_properties_stand_once() {
    let source = "scenario s
machine
  nodes 2
  nodes 3
  node 4
setup
  process P
setup
lane one: P
always
title a
";
    assert_data_eq!(
        report(source),
        str![[r#"
error[PF0111]: `nodes` stands here a second time
 --> test.pf:4:3
  |
3 |   nodes 2
  |         - said first
4 |   nodes 3
  |   ^^^^^ said again
  |
  = help: remove one of the two

error[PF0105]: `node` is not a property of the machine
 --> test.pf:5:3
  |
5 |   node 4
  |   ^^^^ expected a property of the machine
  |
  = help: did you mean `nodes`?

error[PF0111]: `setup` stands here a second time
 --> test.pf:8:1
  |
6 | setup
  | ----- said first
7 |   process P
8 | setup
  | ^^^^^ said again
  |
  = help: remove one of the two

error[PF0103]: the title stands in quotes
  --> test.pf:11:7
   |
11 | title a
   |       ^ not quoted
   |
   = help: write `"a"`
"#]]
    );
}

#[test]
fn a_header_that_was_not_understood_does_not_blame_its_steps() {
    for header in ["lnae two: P", "lane two P", "lane two: P $"] {
        let source = around("", &format!("{header}\n  exit\n"));
        assert_eq!(rejected(&source).len(), 1, "{header}: {:#?}", rejected(&source));
    }
    let source = around("", "").replace("always", "alwais");
    assert_eq!(rejected(&source).len(), 1);
}

#[test]
fn claims_that_are_none() {
    each_is_reported(
        &[
            (Code::Unexpected, "h0 see \"v\"", "see"),
            (Code::Unexpected, "h0[1] \"v\"", "h0[1]"),
            (Code::Unexpected, "P:A \"v\"", "A"),
            (Code::Unexpected, "h0 never is P:A", "is"),
            (Code::Incomplete, "h0 is not", ""),
            (Code::Incomplete, "never", ""),
            (Code::Incomplete, "h0 sees \"v\" and", ""),
            (Code::UnquotedValue, "h0 sees v2", "v2"),
            (Code::Trailing, "h0 is P:A adn h1 is P:A", "adn h1 is P:A"),
            (Code::Incomplete, "outcome o", ""),
            (Code::Unexpected, "outcome o if h0 is P:A", "if"),
            (Code::Unexpected, "reach fork during fats-pin", "fats-pin"),
            (Code::ReservedName, "outcome never otherwise", "never"),
        ],
        |claim| format!("{}{claim}\n", around("", "")),
    );
}
