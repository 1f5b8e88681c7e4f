//! Files: what is read, and what is said of the rest.

use super::super::ast::{Action, Atom, Behind, View};
use super::super::*;
use super::{accepted, codes, each_is_reported, report};
use snapbox::{assert_data_eq, str};

/// A whole scenario with a file of two pages and one that is only in memory.
fn around(setup: &str, lane: &str, claims: &str) -> String {
    format!(
        "scenario test\nmachine\n  words 2\n  file F 2\n  file M 1 memory\nsetup\n  process P\n\
         {setup}\nlane one: P\n{lane}\nalways\n  P:A[0] sees \"0\"\n{claims}\n"
    )
}

const AREA: &str = "  P: map A 2 private rw of F";

#[test]
fn every_step_and_fact_about_files_is_read_and_written_back() {
    let text = "scenario test

machine
  words 2
  file F 2  # a file
  file M 1 memory

setup
  process P
  P: map A 2 private rw of F
  P: map B 1 shared ro of F from 1 at 0x5000 replace
  P: map C 3 shared rw of M
  P: write F[1].1 \"v\"
  P: pin A[0] read longterm as h0 may fail no-access

lane one: P
  write F[0] \"w\"
  read F[0] expect \"w\" as r0
  read F[4] fails past-end
  write F[3] \"x\" may fail past-end
  read C[2] fails past-end
  truncate F 1
  truncate F 1 words 1
  truncate F 3
  punch F
  punch F[1]
  punch F[0..2]
  sync F
  sync M
  direct-read A from F[1..3]
  direct-read A[1] from F[0] may fail past-end
  direct-write A[0..2] to F[0..2]
  direct-write A[1].1 to F[2].0 fails exited

always
  F[0] sees \"w\" and F[2].1 never sees \"w\"
  F[0] stores \"w\"
  never F[1].0 stores \"w\" and F[1] never stores \"0\"
  h0 is F[0]
  P:B is not F[1] and F[0] is dirty and M is not h0
";
    let scenario = accepted(text);
    assert_eq!(format(&scenario), text);
    let document = json::write(&scenario).expect("JSON");
    let (again, written) = json::read(&document).expect("the same scenario");
    assert_eq!((again, written.as_str()), (scenario.clone(), text));
    let files: Vec<_> = scenario.machine.files.iter().map(|file| file.behind).collect();
    assert_eq!(files, [Behind::Store, Behind::Memory]);
    assert_eq!((scenario.file_pages("F"), scenario.file_pages("M")), (3, 1));
    let steps = &scenario.lanes[0].steps;
    assert!(matches!(steps[0].action, Action::FileWrite { .. }));
    assert!(matches!(steps[1].action, Action::FileRead { .. }));
    assert!(matches!(steps[4].action, Action::Read { .. }), "an area of a file is memory");
    let Atom::Is { right: View::File(place), .. } = &scenario.always[3].facts[0].atom else {
        panic!("{:?}", scenario.always[3])
    };
    assert_eq!(place.page(), 0);
}

#[test]
fn a_file_is_known_wherever_the_machine_is_written() {
    let text = "scenario late\nsetup\n  process P\n  P: write F \"v\"\nlane one: P\n  read F\n\
                always\n  F sees \"v\"\nmachine\n  file F 1\n";
    let scenario = accepted(text);
    assert!(matches!(scenario.setup.steps[0].action, Action::FileWrite { .. }));
    assert_eq!(codes(&text.replace("  file F 1\n", "  nodes 1\n")).len(), 3);
}

#[test]
fn what_a_file_has_not_is_refused() {
    for (code, step, word) in [
        (Code::UnknownFile, "sync G", "G"),
        (Code::UnknownFile, "truncate A 1", "A"),
        (Code::UnknownFile, "punch G[0]", "G"),
        (Code::UnknownFile, "direct-read A from G", "G"),
        (Code::UnknownFile, "direct-write A[0].1 to A[0].1", "A"),
        (Code::UnknownArea, "direct-read F from F", "F"),
        (Code::OutsideArea, "direct-read A[2] from F[0]", "2"),
        (Code::OutsideArea, "direct-read A[0] from F[2]", "2"),
        (Code::OutsideArea, "direct-write A to F[1..3]", "3"),
        (Code::OutsideArea, "direct-write A[0].1 to F[2].1", "2"),
        (Code::EmptyRange, "direct-read A from F[1..1]", "1..1"),
        (Code::OutsidePage, "direct-read A[0].2 from F[0].0", "2"),
        (Code::OutsidePage, "direct-write A[0].1 to F[0].2", "2"),
        (Code::AmbiguousPage, "direct-read A.1 from F[0].1", "A.1"),
        (Code::AmbiguousPage, "direct-write A[0].1 to F.1", "F.1"),
        (Code::AmbiguousPage, "direct-write A[0..2].1 to F[0].1", "0..2"),
        (Code::UnequalParts, "direct-read A from F[0]", "F[0]"),
        (Code::UnequalParts, "direct-write A[0] to F[0].1", "F[0].1"),
        (Code::NothingBehind, "direct-read A[0] from M", "M"),
        (Code::NothingBehind, "direct-write A[0].0 to M.1", "M"),
        (Code::Unexpected, "direct-read A to F", "to"),
        (Code::Incomplete, "direct-write A to", ""),
        (Code::UnknownFile, "map B 1 private rw of G", "G"),
        (Code::OutsideArea, "read F[2]", "2"),
        (Code::OutsideArea, "write F[2] \"v\" fails exited", "2"),
        (Code::OutsideArea, "punch F[1..3]", "3"),
        (Code::OutsideArea, "punch F[2]", "2"),
        (Code::EmptyRange, "punch F[1..1]", "1..1"),
        (Code::AmbiguousPage, "read F", "F"),
        (Code::OutsidePage, "read F[0].2", "2"),
        (Code::BadNumber, "truncate F 16", "16"),
        (Code::BadNumber, "truncate F 15 words 1", "15"),
        (Code::BadNumber, "truncate F 1 words 2", "2"),
        (Code::BadNumber, "truncate F 1 words 0", "0"),
        (Code::BadNumber, "map B 1 shared ro of F from 16", "16"),
        (Code::Misplaced, "map B 1 file rw of F", "of"),
        (Code::Misplaced, "map B 1 stack rw of F", "of"),
        (Code::Misplaced, "map B 4 hugetlb rw of F", "of"),
        (Code::Unexpected, "punch F[0].1", "."),
        (Code::UnknownArea, "advise F dontneed", "F"),
        (Code::UnknownHandle, "unpin F", "F"),
    ] {
        each_is_reported(&[(code, step, word)], |step| around(AREA, &format!("  {step}"), ""));
    }
    for (code, fact, word) in [
        (Code::UnknownFile, "P:A[0] stores \"v\"", "A"),
        (Code::UnknownFile, "h9 stores \"v\"", "h9"),
        (Code::NothingBehind, "M stores \"v\"", "M"),
        (Code::OutsideArea, "F[2] sees \"v\"", "2"),
        (Code::OutsideArea, "F[5] stores \"v\"", "5"),
        (Code::Unexpected, "P:A[0] is F[0].1", "1"),
        (Code::AmbiguousPage, "F sees \"v\"", "F"),
    ] {
        each_is_reported(&[(code, fact, word)], |fact| {
            around(AREA, "  exit", &format!("  {fact}"))
        });
    }
}

#[test]
fn a_file_shares_its_name_with_nothing() {
    for (setup, lane) in [
        ("  P: map A 2 private rw\n  P: map F 1 private rw", "  exit"),
        (AREA, "  pin A[0] read as F"),
        (AREA, "  read A[0] as F"),
    ] {
        assert!(codes(&around(setup, lane, "")).contains(&Code::DuplicateName), "{lane}");
    }
    let twice = around(AREA, "  exit", "").replace("  file M 1", "  file F 1");
    assert_eq!(codes(&twice), [Code::DuplicateName]);
    for (code, line, word) in [
        (Code::ReservedName, "file stores 1", "stores"),
        (Code::BadNumber, "file G 16", "16"),
        (Code::Incomplete, "file G", ""),
        (Code::Trailing, "file G 1 memroy", "memroy"),
    ] {
        each_is_reported(&[(code, line, word)], |line| {
            around(AREA, "  exit", "").replace("  words 2\n", &format!("  words 2\n  {line}\n"))
        });
    }
}

#[test]
fn a_device_does_not_read_files() {
    let lane = "  exit\nlane dma: device\n  read F[0]";
    assert_eq!(codes(&around(AREA, lane, "")), [Code::Misplaced]);
    let alone = around("  write F[0] \"v\"\n  P: map A 2 private rw", "  exit", "");
    assert_eq!(codes(&alone), [Code::Misplaced], "outside lanes it names its process");
}

#[test]
fn errors_about_files_name_the_remedy() {
    assert_data_eq!(
        report(&around(AREA, "  read F[2]\n  sync G", "  M stores \"v\"")),
        str![[r#"
error[PF0131]: page 2 lies past the end of the file `F`
  --> test.pf:10:10
   |
10 |   read F[2]
   |          ^ `F` never has more than 2 pages
   |
   = help: pages are counted from 0; `truncate` makes a file longer, and an access past its end `fails past-end`

error[PF0135]: the machine has no file `G`
  --> test.pf:11:8
   |
11 |   sync G
   |        ^ unknown file
   |
   = help: files: `F`, `M`

error[PF0136]: nothing is behind the file `M`
  --> test.pf:14:3
   |
14 |   M stores "v"
   |   ^ only in memory
   |
   = help: leave `memory` out where the file is made, or write `sees`
"#]]
    );
    assert_data_eq!(
        report(&around(AREA, "  truncate F 1 words 2\n  map B 1 file rw of F", "")),
        str![[r#"
error[PF0112]: a `file` has a file of its own behind it
  --> test.pf:11:19
   |
11 |   map B 1 file rw of F
   |           ----    ^^ of another file
   |           |
   |           the kind of the area
   |
   = help: write `private` or `shared` for the kind of the area
"#]]
    );
    assert_data_eq!(
        report(&around(AREA, "  direct-read A from F[0]\n  direct-write A[1].1 to M.0", "")),
        str![[r#"
error[PF0138]: `A` is 2 pages, and `F[0]` is 1 page
  --> test.pf:10:22
   |
10 |   direct-read A from F[0]
   |               -      ^^^^ another size
   |               |
   |               the memory
   |
   = help: say what is meant, as in `A[0..2]` and `F[1..3]`, or `A.1` and `F[0].1`

error[PF0136]: nothing is behind the file `M`
  --> test.pf:11:26
   |
11 |   direct-write A[1].1 to M.0
   |                          ^ only in memory
   |
   = help: direct I/O goes past memory to what is behind a file: leave `memory` out where the file is made
"#]]
    );
    assert_data_eq!(
        report(&around(AREA, "  truncate F 1 words 2", "")),
        str![[r#"
error[PF0104]: 2 is no part of a page, which has 2 words
  --> test.pf:10:22
   |
10 |   truncate F 1 words 2
   |                      ^ must be 1 to 1
   |
   = help: leave `words` out for whole pages; `words N` in `machine` gives pages more
"#]]
    );
}
