//! Forks that may fail.

use super::*;

/// The child needs two tables and its parent may take one frame first.
fn short(frames: u32, rest: &str) -> String {
    format!(
        "scenario short\nmachine\n  frames {frames}\n  cpu cpu0 node 0\n  cpu cpu1 node 0\n\
         setup\n  process P on cpu0\n  P: map A 2 private rw\n  P: write A[0] \"a\"\n\
         lane parent: P on cpu0\n  fork C may fail out-of-frames\n\
         lane other: P on cpu1\n  write A[1] \"b\" may fail out-of-frames\n{rest}"
    )
}

const CLAIMS: &str = "always\n  P:A[0] sees \"a\"\n  C:A[0] sees \"a\"\n\
                      outcome forked when C:A[0] sees \"a\"\noutcome alone otherwise\n";

#[test]
fn a_fork_that_may_fail_makes_a_child_or_leaves_no_trace() {
    // Frames: the zero page, the root, a table, a page. Two are left for the child's tables.
    assert_eq!(labels(&checked(&short(6, CLAIMS), "latest")), ["alone", "forked"]);
    for (frames, label) in [(12, "forked"), (5, "alone")] {
        let report = checked(&short(frames, CLAIMS), "latest");
        assert_eq!(report.verdict, Verdict::Pass, "{:?}", report.broken);
        assert_eq!(labels(&report), [label], "{frames}");
    }
    for model in [Model::Sc, Model::Weak] {
        assert_eq!(seen_by_both(&short(6, CLAIMS), "latest", model), ["alone", "forked"]);
    }
}

#[test]
fn a_claim_about_the_child_counts_where_there_is_one() {
    let wrong = CLAIMS.replace("  C:A[0] sees \"a\"", "  C:A[0] sees \"b\"");
    let broken = checked(&short(6, &wrong), "latest").broken.expect("where it was forked");
    assert_eq!(broken.oracle, Oracle::Claim);
    assert_eq!(checked(&short(5, &wrong), "latest").verdict, Verdict::Pass);
}

#[test]
fn the_lanes_of_a_child_that_was_not_made_do_not_start() {
    let child = "lane child: C on cpu1\n  read A[0] expect \"a\"\n  exit\n";
    let report = checked(
        &short(6, &format!("{child}{}", CLAIMS.replace("  C:A[0] sees \"a\"\n", ""))),
        "latest",
    );
    assert_eq!(report.verdict, Verdict::Pass, "{:?}", report.broken);
}

#[test]
fn a_fork_of_the_setup_that_fails_starts_no_lane() {
    let text = "
scenario early
machine
  frames 5
setup
  process P
  P: map A 1 private rw
  P: write A \"a\"
  P: fork C may fail out-of-frames
lane parent: P
  write A \"b\"
lane child: C
  read A expect \"a\"
always
  P:A sees \"b\"
  C:A sees \"a\"
";
    for frames in [5, 12] {
        let report = checked(&text.replace("frames 5", &format!("frames {frames}")), "latest");
        assert_eq!(report.verdict, Verdict::Pass, "{frames}: {:?}", report.broken);
    }
}

#[test]
fn a_fork_that_fails_in_another_way_is_a_failure() {
    let text = short(5, CLAIMS).replace("fork C may fail out-of-frames", "fork C may fail exited");
    assert_eq!(checked(&text, "latest").broken.expect("no frames").oracle, Oracle::Step);
}
