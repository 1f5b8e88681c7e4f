//! Huge pages of the pool: what steps on them do, how they fail, and that none is left behind.

use super::*;

/// A scenario whose setup does these steps on a machine with so many huge pages.
fn sequence(pool: u32, steps: &str) -> String {
    format!(
        "
scenario sequence
machine
  words 2
  frames 32
  hugetlb {pool}
setup
  process P
{steps}
lane rest: P
  read A[0]
outcome done otherwise
"
    )
}

#[track_caller]
fn runs(pool: u32, sets: &[&str], steps: &str) {
    for set in sets {
        let report = checked(&sequence(pool, steps), set);
        assert_eq!(report.verdict, Verdict::Pass, "{set}: {:?}", report.broken);
    }
}

const ALL: [&str; 4] = ["3.1", "5.9", "latest", "pinfold"];

#[test]
fn a_mapping_is_promised_its_pages_and_a_child_is_not() {
    runs(
        2,
        &ALL,
        "  P: map A 4 hugetlb rw
  P: map B 8 hugetlb rw fails no-huge-page
  P: map B 4 hugetlb rw
  P: write A[3] \"v\"
  P: read A[2] expect \"0\"
  P: fork C
  C: read A[3] expect \"v\"
  C: write A[3] \"w\" fails no-huge-page
  C: write B[0] \"w\" fails no-huge-page
  P: write A[0] \"x\"
  C: read A[3] fails no-huge-page
  C: get A[3] read as h0 fails no-huge-page
  P: read A[3] expect \"v\"
  P: write B[1] \"y\"
  P: unmap B
  P: map D 4 hugetlb ro",
    );
}

#[test]
fn no_part_of_a_huge_page_is_changed_alone() {
    runs(
        1,
        &ALL,
        "  P: map A 4 hugetlb rw
  P: write A[1] \"v\"
  P: unmap A[1] fails invalid
  P: protect A[0..2] ro fails invalid
  P: advise A[3] dontneed fails invalid
  P: remap A at 0x4000 fails invalid
  P: mlock A[1]
  P: split-folio A[1]
  P: protect A ro
  P: write A[1] \"w\" fails no-access
  P: protect A rw
  P: write A[2] \"w\"
  P: read A[1] expect \"v\"",
    );
}

#[test]
fn a_pinned_page_is_copied_for_the_child_or_fork_fails() {
    let steps = "  P: map A 4 hugetlb rw
  P: write A[1] \"v\"
  P: pin A[1] write longterm as h0
";
    runs(1, &["5.18", "latest"], &format!("{steps}  P: fork C fails no-huge-page"));
    let copies = format!("{steps}  P: fork C\n  P: write A[1] \"w\"\n  C: read A[1] expect \"v\"");
    runs(2, &["5.18", "latest"], &copies);
}

/// A machine on which two lanes do this after this setup, in every order and under every model.
#[track_caller]
fn races(pool: u32, setup: &str, lanes: [&str; 2], rest: &str) {
    let [one, two] = lanes;
    let text = format!(
        "
scenario race
machine
  words 2
  frames 32
  hugetlb {pool}
  cpu cpu0 node 0
  cpu cpu1 node 0
setup
  process P on cpu0
  P: map A 4 hugetlb rw
{setup}
lane one: {one}
lane two: {two}
{rest}
outcome done otherwise
"
    );
    let scenario = parse(&text).expect("scenario");
    // Earlier rules count references on tails one by one: far more orders, and nothing else.
    for set in ["5.9", "5.18", "latest", "pinfold"] {
        for model in [Model::Tso, Model::Weak] {
            let options = CheckOptions::of(Config { model, ..Config::default() });
            let report = check(&scenario, "test.pf", &rules(set), &options, &mut |_| {});
            assert_eq!(report.verdict, Verdict::Pass, "{set}, {model:?}: {:?}", report.broken);
        }
    }
}

const SHARED: &str = "  P: write A[1] \"old\"\n  P: fork C";

/// Two want the last page of the pool, for the same place: none fails.
#[test]
fn of_two_that_touch_or_copy_a_page_both_find_it() {
    let lanes = ["P on cpu0\n  write A[1] \"one\"", "P on cpu1\n  write A[2] \"two\""];
    races(1, "", lanes, "always\n  P:A[1] sees \"one\"\n  P:A[2] sees \"two\"");
    let lanes = ["C on cpu0\n  write A[1] \"one\"", "C on cpu1\n  write A[2] \"two\""];
    races(2, SHARED, lanes, "always\n  P:A[1] sees \"old\"\n  C:A[1] sees \"one\"");
}

/// The owner's write never fails, whatever its child does meanwhile: fork, drop the page, end.
#[test]
fn an_owner_finds_its_page_whatever_becomes_of_it_elsewhere() {
    let owner = "P on cpu0\n  write A[1] \"new\"";
    let sees = "always\n  P:A[1] sees \"new\"";
    races(1, SHARED, ["C on cpu1\n  unmap A", owner], sees);
    races(1, SHARED, ["C on cpu1\n  exit", owner], sees);
    let dropped = "C on cpu1\n  advise A dontneed\n  read A[1] may fail no-huge-page";
    races(1, SHARED, [dropped, owner], sees);
    let lost = "after\n  C: read A[1] fails no-huge-page\n  D: read A[1] fails no-huge-page";
    races(1, SHARED, ["C on cpu1\n  fork D", owner], &format!("{lost}\n{sees}"));
}

/// A copy is not published over what DONTNEED has dropped.
#[test]
fn a_copy_does_not_bring_back_what_was_dropped() {
    let lanes = ["P on cpu1\n  advise A dontneed", "P on cpu0\n  write A[2] \"new\""];
    races(3, SHARED, lanes, "always\n  C:A[1] sees \"old\"");
}

/// A pin without a lock refers to the page before it has looked at its mark. In between the owner
/// may take the page back, which marks it as the owner's: the child's pin reads what the owner
/// writes, as any reference does (facts 1.5, 9.24).
#[test]
fn a_pin_of_a_child_that_has_looked_at_the_entry_alone_is_a_reference() {
    let text = |how: &str| {
        format!(
            "scenario in-flight\nmachine\n  frames 32\n  hugetlb 1\n  cpu cpu0 node 0\n  \
             cpu cpu1 node 0\nsetup\n  process P on cpu0\n  P: map A 4 hugetlb rw\n  \
             P: write A[0] \"old\"\n  P: fork C\nlane owner: P on cpu0\n  write A[0] \"new\"\n\
             lane child: C on cpu1\n  pin A[0] read {how} as h0 may fail no-huge-page\n\
             outcome done otherwise\nreach hugetlb-taken during pin\n"
        )
    };
    for set in ["5.19", "latest", "pinfold"] {
        let fast = checked(&text(""), set).broken.map(|broken| broken.oracle);
        assert_eq!(fast, Some(Oracle::Isolation), "{set}");
        let slow = checked(&text("slow-only"), set);
        assert_eq!(slow.verdict, Verdict::Pass, "{set}: {:?}", slow.broken);
    }
}
