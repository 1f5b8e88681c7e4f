//! Lanes that wait for each other.

use super::*;

/// A device and a process that write the same page, with `first` before the device's lane and
/// `last` at the end of the process's.
fn handed_on(head: &str, first: &str, last: &str) -> String {
    format!(
        "scenario handed-on\nmachine\n  cpu cpu0 node 0\n  cpu cpu1 node 0\n\
         setup\n  process P on cpu0\n  P: map A 1 private rw\n  P: write A \"v1\"\n  \
         P: pin A write as h0\n\
         lane owner: P on cpu0\n  write A \"cpu\"\n{last}\
         lane dma: device{head}\n{first}  write h0 \"dma\"\n\
         always\n  h0 is P:A\noutcome dma when P:A sees \"dma\"\noutcome cpu otherwise\n"
    )
}

#[test]
fn what_a_lane_did_before_its_end_or_its_signal_comes_before_what_waits_for_it() {
    for model in [Model::Sc, Model::Tso, Model::Weak] {
        for (head, first, last) in
            [(" after owner", "", ""), ("", "  await done\n", "  signal done\n")]
        {
            let text = handed_on(head, first, last);
            assert_eq!(seen_by_both(&text, "latest", model), ["dma"], "{text}");
        }
        assert_eq!(seen_by_both(&handed_on("", "", ""), "latest", model), ["cpu", "dma"]);
    }
}

#[test]
fn a_signal_that_was_given_before_anybody_awaited_it_still_counts() {
    let text = handed_on("", "  await done\n", "  signal done\n  signal done\n");
    assert_eq!(checked(&text, "latest").verdict, Verdict::Pass);
    let twice = text.replace("  await done\n", "  await done\n  await done\n");
    assert_eq!(checked(&twice, "latest").verdict, Verdict::Pass);
}

#[test]
fn plain_memory_is_not_raced_for_across_a_wait() {
    // The page table that the reader walks is freed at once, but not before the signal.
    let text = "
scenario ordered
setup
  process P
  P: map A 1 private rw
  P: write A \"v\"
lane pinner: P
  pin A write as h0
  signal pinned
lane other: P
  await pinned
  unmap A
always
  h0 sees \"v\"
";
    let set = "latest,table-free=at-once";
    assert_eq!(checked(text, set).verdict, Verdict::Pass);
    let loose = text.replace("  await pinned\n", "").replace(" as h0", " as h0 may fail no-access");
    assert_eq!(
        checked(&loose, set).broken.expect("nothing orders the two").oracle,
        Oracle::DataRace
    );
}

#[test]
fn a_lane_after_another_begins_when_that_one_has_ended_wherever_it_starts() {
    let text = "
scenario chain
setup
  process P
  P: map A 1 private rw
  P: write A \"0v\"
lane third: P after second
  read A as r0
lane second: C after first
  write A \"2\"
lane first: P
  fork C
  write A \"1\"
always
  r0 \"1\"
  C:A sees \"2\"
";
    let report = checked(text, "latest");
    assert_eq!(report.verdict, Verdict::Pass, "{:?}", report.broken);
}

#[test]
fn a_failing_run_with_waits_replays() {
    let text =
        handed_on("", "  await done\n", "  signal done\n").replace("h0 is P:A", "P:A sees \"cpu\"");
    let broken = checked(&text, "latest").broken.expect("the device wrote last");
    let scenario = parse(&text).expect("scenario");
    let semantics = (Model::Weak, LockForm::Object);
    let again =
        replay_schedule(&scenario, "test.pf", &rules("latest"), semantics, &broken.schedule);
    let again = again.expect("schedule");
    assert_eq!(again.broken.expect("again").what, broken.what);
    let names: Vec<&str> = again.accesses.iter().map(|access| access.cell.as_str()).collect();
    assert!(names.iter().any(|name| name.contains("signal done")), "{names:?}");
}
