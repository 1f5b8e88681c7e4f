//! Large folios: what is read, and what is said of the rest.

use super::super::*;
use super::{Code, accepted, each_is_reported, report};

/// A whole scenario with a note, a reference and a pin.
fn around(lane: &str, claims: &str) -> String {
    format!(
        "scenario test\nmachine\n  words 2\nsetup\n  process P\n  P: map A 4 private rw\n  \
         P: advise A hugepage\n  P: write A[0] \"a\"\n  P: note A as n0\n  \
         P: pin A[0] write as h0\nlane one: P\n{lane}\nalways\n  P:A[0] sees \"a\"\n{claims}\n"
    )
}

#[test]
fn every_step_and_fact_about_folios_is_read_and_written_back() {
    let text = "scenario test

machine
  thp pmd

setup
  process P
  P: map A 4 private rw
  P: advise A hugepage
  P: advise A[1] nohugepage
  P: write A[0] \"a\"
  P: note A[1..3] as n0
  P: split-folio A[2]

lane one: P
  try-get n0[1] as h0 may fail busy
  try-get n0[0] as h1
  get-page h1 as h2 may fail too-many-references
  put h1
  put h2
  split-folio A[2] may fail busy
  split-deferred

always
  P:A[0] is large and n0[0] is not large
  never n0[1] is P:A[2] and h0 is large
  P:A[0] is not huge
  never P:A[1] is huge and P:A[2] is huge
";
    let scenario = accepted(text);
    assert_eq!(format(&scenario), text);
    let document = json::write(&scenario).expect("JSON");
    let (again, written) = json::read(&document).expect("the same scenario");
    assert_eq!((again, written.as_str()), (scenario, text));
}

#[test]
fn what_is_wrong_with_a_step_about_folios_is_said_at_the_word() {
    each_is_reported(
        &[
            (Code::AmbiguousPage, "split-folio A", "A"),
            (Code::OutsideArea, "split-folio A[4]", "4"),
            (Code::Unexpected, "split-folio A[1].1", "1"),
            (Code::UnknownArea, "split-folio B[1]", "B"),
            (Code::UnknownHandle, "try-get n1[0] as h1", "n1"),
            (Code::UnknownHandle, "try-get h0 as h1", "h0"),
            (Code::OutsideArea, "try-get n0[4] as h1", "4"),
            (Code::AmbiguousPage, "try-get n0 as h1", "n0"),
            (Code::Unexpected, "try-get n0[0].1 as h1", "1"),
            (Code::DuplicateName, "try-get n0[0] as h0", "h0"),
            (Code::UnknownHandle, "get-page n0[0] as h1", "n0"),
            (Code::UnknownHandle, "get-page h0 as h1", "h0"),
            (Code::UnknownHandle, "get-page h9 as h1", "h9"),
            (Code::UnknownHandle, "follow A[1] as f0\n  get-page f0 as h1", "f0"),
            (Code::OutsideArea, "get A[0..2] read as g0\n  get-page g0[2] as h1", "2"),
            (Code::AmbiguousPage, "get A[0..2] read as g0\n  get-page g0 as h1", "g0"),
            (Code::Unexpected, "get A[0] read as g0\n  get-page g0.1 as h1", "1"),
            (Code::DuplicateName, "get A[0] read as g0\n  get-page g0 as h0", "h0"),
            (Code::WrongRelease, "get A[0] read as g0\n  get-page g0 as h1\n  unpin h1", "h1"),
            (Code::UsedAfterRelease, "get A[0] read as g0\n  put g0\n  get-page g0 as h1", "g0"),
            (Code::DuplicateName, "note A[0] as h0", "h0"),
            (Code::Incomplete, "note A[0]", ""),
            (Code::WrongRelease, "put n0", "n0"),
            (Code::UnknownHandle, "read n0[0]", "n0"),
            (Code::UnknownHandle, "write n0[0] \"x\"", "n0"),
            (Code::Trailing, "split-deferred A", "A"),
            (Code::Unexpected, "advise A huge-page", "huge-page"),
        ],
        |step| around(&format!("  {step}"), ""),
    );
    each_is_reported(
        &[
            (Code::UnknownHandle, "n0[0] sees \"a\"", "n0"),
            (Code::Unexpected, "P:A[0].1 is large", "1"),
            (Code::AmbiguousPage, "n0 is large", "n0"),
            (Code::Unexpected, "n0[0] is huge", "n0[0]"),
            (Code::Unexpected, "P:A[0].1 is huge", "1"),
            (Code::AmbiguousPage, "P:A is huge", "A"),
            (Code::UnknownProcess, "Q:A[0] is huge", "Q"),
            (Code::OutsideArea, "P:A[4] is not huge", "4"),
            (Code::Trailing, "P:A[0] is huge n0", "n0"),
        ],
        |claim| around("  read A[0]", &format!("  {claim}")),
    );
}

#[test]
fn a_note_is_told_from_what_holds_something() {
    snapbox::assert_data_eq!(
        report(&around("  read n0[0]", "")),
        snapbox::str![[r#"
error[PF0122]: `n0` remembers frames and holds none of them
  --> test.pf:12:8
   |
 9 |   P: note A as n0
   |                -- made by `note`
...
12 |   read n0[0]
   |        ^^ what is in them may be anybody's
   |
   = help: take a reference first: `try-get n0 as h0`
"#]]
    );
    snapbox::assert_data_eq!(
        report(&around("  put n0", "")),
        snapbox::str![[r#"
error[PF0141]: `n0` was taken by `note`
  --> test.pf:12:7
   |
 9 |   P: note A as n0
   |                -- taken here
...
12 |   put n0
   |       ^^ not a handle for `put`
   |
   = help: it holds nothing that could be released: leave this out
"#]]
    );
}

#[test]
fn how_folios_are_mapped_is_said_once_and_in_words_that_are_known() {
    let thp = |lines: &str| around("  read A[0]", "").replace("  words 2\n", lines);
    assert_eq!(accepted(&thp("")).machine.thp(), Thp::Entries);
    assert_eq!(accepted(&thp("  thp entries\n")).machine.thp(), Thp::Entries);
    assert_eq!(accepted(&thp("  thp pmd\n")).machine.thp(), Thp::Pmd);
    snapbox::assert_data_eq!(
        report(&thp("  thp pdm\n  thp entries\n  thp pmd\n  tph pmd\n")),
        snapbox::str![[r#"
error[PF0107]: expected a way to map large folios, found `pdm`
 --> test.pf:3:7
  |
3 |   thp pdm
  |       ^^^ expected a way to map large folios
  |
  = help: did you mean `pmd`?

error[PF0111]: `thp` stands here a second time
 --> test.pf:5:3
  |
4 |   thp entries
  |       ------- said first
5 |   thp pmd
  |   ^^^ said again
  |
  = help: remove one of the two

error[PF0105]: `tph` is not a property of the machine
 --> test.pf:6:3
  |
6 |   tph pmd
  |   ^^^ expected a property of the machine
  |
  = help: did you mean `thp`?
"#]]
    );
    snapbox::assert_data_eq!(
        report(&around("  read A[0]", "  n0[1] is huge")),
        snapbox::str![[r#"
error[PF0107]: only what maps a page for a process is huge
  --> test.pf:15:3
   |
15 |   n0[1] is huge
   |   ^^^^^    ---- said here
   |   |
   |   no page of a process
   |
   = help: name the page as `PROCESS:PAGE`; whether its folio has several pages is `large`
"#]]
    );
}

#[test]
fn a_pin_is_nothing_to_take_one_more_reference_through() {
    snapbox::assert_data_eq!(
        report(&around("  get-page h0 as h1", "")),
        snapbox::str![[r#"
error[PF0122]: `h0` was taken by `pin`: there is no reference to go through
  --> test.pf:12:12
   |
10 |   P: pin A[0] write as h0
   |                        -- taken here
11 | lane one: P
12 |   get-page h0 as h1
   |            ^^ a pin is counted apart, and more of it is another `pin`
   |
   = help: take an ordinary reference first: `get PAGES read as h0`
"#]]
    );
    let chain = "  get A[0..2] read as g0\n  get-page g0[1] as h1\n  get-page h1 as h2\n  \
                 try-get n0[0] as t0\n  get-page t0 as h3\n  read h2\n  put g0\n  put h2";
    accepted(&around(chain, "  h3 is P:A[0] and h1 is P:A[1]"));
}
