//! Files: what steps on them do, and what the oracles see of them.

use super::*;

/// A scenario whose setup does these steps, and in which nothing else happens.
fn sequence(steps: &str) -> String {
    format!(
        "
scenario sequence
machine
  words 2
  frames 24
  file F 2
  file M 1 memory
setup
  process P
{steps}
lane rest: P
  sync F
outcome done otherwise
"
    )
}

#[track_caller]
fn runs(steps: &str) {
    // MADV_POPULATE came later, and does what it does by any rules.
    for set in ["5.8,interfaces=populate", "latest", "pinfold"] {
        let report = checked(&sequence(steps), set);
        assert_eq!(report.verdict, Verdict::Pass, "{set}: {:?}", report.broken);
    }
}

#[test]
fn a_file_is_one_by_whatever_way_it_is_reached() {
    runs(
        "  P: map A 2 shared rw of F
  P: map B 1 private rw of F from 1
  P: write F[1] \"v\"
  P: read A[1] expect \"v\"
  P: read B expect \"v\"
  P: write A[1] \"w\"
  P: read F[1] expect \"w\"
  P: read B expect \"w\"
  P: write B \"own\"
  P: write F[1] \"x\"
  P: read B expect \"own\"
  P: advise B dontneed
  P: read B expect \"x\"
  P: unmap A
  P: unmap B
  P: read F[1] expect \"x\"
  P: write M \"m\"
  P: fork C
  C: map N 1 shared rw of M
  C: read N expect \"m\"",
    );
}

#[test]
fn nothing_is_found_past_the_end_by_any_way() {
    runs(
        "  P: map A 3 shared rw of F
  P: map B 3 private rw of F
  P: read A[2] fails past-end
  P: write B[2] \"x\" fails past-end
  P: read F[2] fails past-end
  P: write F[2] \"x\" fails past-end
  P: populate A read fails past-end
  P: populate B write fails past-end
  P: mlock A fails past-end
  P: munlock A
  P: pin A write as h0 fails past-end
  P: get B read as h1 fails past-end
  P: pin A write as h2 may fail past-end
  P: truncate F 0
  P: read A[0] fails past-end
  P: read B[0] fails past-end
  P: truncate F 3
  P: read A[2] expect \"0\"
  P: read B[0] expect \"0\"",
    );
}

#[test]
fn a_file_may_end_inside_a_page_and_has_zeros_where_it_grows() {
    runs(
        "  P: map A 2 shared rw of F
  P: write F[1].0 \"kept\"
  P: write F[1].1 \"cut\"
  P: sync F
  P: truncate F 1 words 1
  P: read F[1].0 expect \"kept\"
  P: read F[1].1 fails past-end
  P: write F[1].1 \"x\" fails past-end
  P: read A[1].1 expect \"0\"
  P: write A[1].1 \"past\"
  P: sync F
  P: truncate F 2
  P: read F[1].1 expect \"0\"
  P: read F[1].0 expect \"kept\"
  P: write F[1].1 \"again\"
  P: truncate F 1 words 1
  P: unmap A
  P: truncate F 4
  P: read F[1].0 expect \"kept\"
  P: read F[1].1 expect \"0\"",
    );
}

#[test]
fn a_hole_is_zeros_for_all_but_private_copies() {
    runs(
        "  P: map A 2 shared rw of F
  P: map B 2 private rw of F
  P: write A[0] \"v\"
  P: read B[0] expect \"v\"
  P: write B[1] \"own\"
  P: sync F
  P: punch F
  P: read A[0] expect \"0\"
  P: read B[0] expect \"0\"
  P: read B[1] expect \"own\"
  P: read F[0] expect \"0\"",
    );
}

/// A device writes after writeback to a page that no process maps any more.
#[test]
fn a_write_is_lost_to_a_file_that_nobody_maps() {
    let steps = "  P: map A 1 shared rw of F
  P: pin A write longterm as h0
  P: unmap A";
    let text = sequence(steps).replace("outcome", "lane dma: device\n  write h0 \"dev\"\noutcome");
    let broken = checked(&text, "6.1").broken.expect("the file is written back first");
    assert_eq!(broken.oracle, Oracle::LostWrite, "{broken:?}");
    assert!(broken.what[0].contains("of F is clean and holds \"dev\", \"0\" is stored"));
    // Who writes before that is written back.
    let before = text.replace("lane rest: P", "lane rest: P after dma");
    assert_eq!(checked(&before, "6.1").verdict, Verdict::Pass);
}

#[test]
fn what_is_stored_is_what_was_written_back() {
    let text = "
scenario stored
machine
  words 2
  file F 2
setup
  process P
  P: map A 2 shared rw of F
lane writer: P
  write A[0] \"a\"
  write F[1].1 \"b\"
lane cleaner: P
  sync F
always
  F[0] sees \"a\" and F[1].1 sees \"b\"
  F[0].1 stores \"0\" and F[1] never stores \"b\"
outcome both when F[0] stores \"a\" and F[1].1 stores \"b\"
outcome first when F[0] stores \"a\" and F[1].1 stores \"0\"
outcome neither when F[0] stores \"0\" and F[1].1 stores \"0\"
outcome second when F[0] stores \"0\" and F[1].1 stores \"b\"
";
    let report = checked(text, "pinfold");
    assert_eq!(report.verdict, Verdict::Pass, "{:?}", report.broken);
    assert_eq!(labels(&report), ["both", "first", "neither", "second"]);
}

#[test]
fn a_write_and_a_truncation_leave_the_word_or_nothing() {
    let text = "
scenario cut
machine
  words 2
  file F 1
setup
  process P
lane writer: P
  write F.1 \"v\" may fail past-end
lane cutter: P
  truncate F 0 words 1
after
  P: truncate F 1
always
  F.1 sees \"0\"
  F sees \"0\"
";
    for model in [Model::Tso, Model::Weak] {
        assert_eq!(seen_by_both(text, "pinfold", model), ["done"]);
    }
}

/// What is mapped over a file without a name is not compared with that file's disk.
#[test]
fn a_file_that_another_one_was_mapped_over_is_not_asked_for() {
    runs(
        "  P: map A 1 file rw at 0x3000
  P: write A \"a\"
  P: map B 1 file rw at 0x3000 replace
  P: write B \"b\"
  P: writeback B
  P: map C 1 shared rw of F at 0x3000 replace
  P: write C \"c\"",
    );
}

/// The same word, stored by a child in its own page and in the file, reaches the parent by the
/// file. Stored in its own page alone it must not be there.
#[test]
fn a_word_that_was_stored_openly_may_be_found_elsewhere() {
    let text = "
scenario openly
machine
  file F 1
  file G 1
setup
  process P
  P: map A 1 private rw of F
  P: map B 1 shared rw of G
  P: fork C
lane child: C
  write A \"w\"
  write F \"w\"
  write B \"v\"
lane parent: P after child
  read A
  pin B write as h0
always
  P:A sees \"w\" and C:A sees \"w\" and h0 sees \"v\"
  C:A is not F[0]
";
    let report = checked(text, "pinfold");
    assert_eq!(report.verdict, Verdict::Pass, "{:?}", report.broken);
    let private = text.replace("  write F \"w\"\n", "").replace("P:A sees \"w\" and ", "");
    assert_eq!(checked(&private, "pinfold").verdict, Verdict::Pass);
}
