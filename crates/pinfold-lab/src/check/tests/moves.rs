//! What a request to move pages says of each, and what waits for what is in its way.

use super::*;

/// Four pages of two processes on a machine of two nodes: one of its own, one pinned, one shared,
/// one never touched.
fn four(lane: &str, claims: &str) -> String {
    format!(
        "
scenario moves
machine
  nodes 2
  frames 12
  cpu cpu0 node 0
setup
  process P on cpu0
  P: map A 4 private rw
  P: write A[0] \"a\"
  P: write A[1] \"b\"
  P: write A[2] \"c\"
  P: fork C
  P: write A[0] \"a2\"
  P: write A[1] \"b2\"
  P: pin A[1] write longterm as h0
lane mover: P on cpu0
  {lane}
always
  P:A[0] sees \"a2\" and h0 sees \"b2\" and C:A[2] sees \"c\"
{claims}
"
    )
}

#[test]
fn each_page_of_a_request_has_its_status() {
    for rules in ["5.9", "5.13", "latest"] {
        let own = "move-pages A to node 1 expect there busy shared absent";
        let where_ = "  P:A[0] is on node 1 and h0 is on node 0 and C:A[2] is on node 0";
        assert_eq!(checked(&four(own, where_), rules).verdict, Verdict::Pass, "{rules}");
        let all = "move-pages A to node 1 all expect there busy there absent";
        let where_ = "  P:A[2] is on node 1 and C:A[2] is on node 1";
        assert_eq!(checked(&four(all, where_), rules).verdict, Verdict::Pass, "{rules}");
        let one =
            "move-pages A[1..2] to node 1 expect busy\n  move-pages A[1] to node 0 expect there";
        assert_eq!(checked(&four(one, ""), rules).verdict, Verdict::Pass, "{rules}");
        let other = "move-pages A to node 1 expect there there shared absent";
        let broken = checked(&four(other, ""), rules).broken.expect("one is pinned");
        assert_eq!(broken.oracle, Oracle::Step);
        assert!(broken.what.concat().contains("there busy shared absent"), "{:?}", broken.what);
    }
}

#[test]
fn a_status_is_kept_and_tells_outcomes() {
    let text = four("move-pages A[1] to node 1 as s", "  s \"busy\"");
    assert_eq!(checked(&text, "latest").verdict, Verdict::Pass);
    let text =
        text.replace("  s \"busy\"", "outcome moved when s \"there\"\noutcome left otherwise");
    let report = checked(&text, "latest");
    let labels: Vec<&str> = report.outcomes.iter().map(|one| one.label.as_str()).collect();
    assert_eq!(labels, ["left"]);
}

#[test]
fn what_is_bound_moves_and_a_strict_request_fails_for_what_stays() {
    for rules in ["5.9", "latest"] {
        let loose = "mbind A to node 1";
        let where_ = "  P:A[0] is on node 1 and h0 is on node 0 and C:A[2] is on node 0";
        assert_eq!(checked(&four(loose, where_), rules).verdict, Verdict::Pass, "{rules}");
        let strict = "mbind A to node 1 strict fails busy\n  mbind A[0] to node 1 strict";
        assert_eq!(checked(&four(strict, where_), rules).verdict, Verdict::Pass, "{rules}");
        let hole = "unmap A[3]\n  mbind A to node 1 fails not-mapped";
        let where_ = "  P:A[0] is on node 0";
        assert_eq!(checked(&four(hole, where_), rules).verdict, Verdict::Pass, "{rules}");
        let shared = "mbind A[2] to node 1 strict";
        let where_ = "  P:A[2] is on node 0 and C:A[2] is on node 0";
        assert_eq!(checked(&four(shared, where_), rules).verdict, Verdict::Pass, "{rules}");
        let all = "mbind A[2] to node 1 all strict";
        let where_ = "  P:A[2] is on node 1 and C:A[2] is on node 1";
        assert_eq!(checked(&four(all, where_), rules).verdict, Verdict::Pass, "{rules}");
    }
}

/// move_pages(2) and mbind(2) go by entries: one that names a swap slot says that no page is there,
/// though it still lies in memory.
#[test]
fn a_request_does_not_find_what_was_swapped_out() {
    let text = |step: &str, node: u32| {
        format!(
            "scenario swapped\nmachine\n  nodes 2\n  swap 2\n  cpu cpu0 node 0\nsetup\n  \
             process P on cpu0\n  P: map A 1 private rw\n  P: write A \"a\"\n  \
             P: get A read as h0\n  \
             P: pageout A\nlane one: P on cpu0\n  {step}\nalways\n  P:A sees \"a\"\n  \
             h0 is on node {node}\n"
        )
    };
    for step in ["move-pages A to node 1 expect absent", "mbind A to node 1 strict"] {
        assert_eq!(checked(&text(step, 0), "latest").verdict, Verdict::Pass, "{step}");
    }
}

/// Memory of two nodes, of which the second is set apart for what can move in part.
fn plugged(steps: &str, claims: &str) -> String {
    format!(
        "scenario plugged\nmachine\n  nodes 2\n  frames 8\n  movable 2\n  cpu cpu0 node 0\n  \
         cpu cpu1 node 1\nsetup\n  process P on cpu0\n  P: map A 2 private rw\n  \
         P: write A[0] \"a\"\n  P: write A[1] \"b\"\n  P: migrate A to node 1\n\
         lane one: P on cpu0\n  \
         {steps}\nalways\n  P:A[0] sees \"a\" and P:A[1] sees \"b\"\n  {claims}\n"
    )
}

#[test]
fn a_node_goes_with_its_pages_moved_and_comes_back() {
    for rules in ["5.9", "latest"] {
        let text = plugged(
            "offline node 1\n  offline node 1 fails invalid\n  online node 1\n  \
             online node 1 fails invalid\n  migrate A[1] to node 1",
            "P:A[0] is on node 0 and P:A[1] is on node 1",
        );
        assert_eq!(checked(&text, rules).verdict, Verdict::Pass, "{rules}");
        let left_out = plugged("offline node 1", "node 1 holds 0");
        assert_eq!(checked(&left_out, rules).verdict, Verdict::Pass, "{rules}");
    }
}

#[test]
fn what_is_referred_to_keeps_its_node_and_nothing_is_lost() {
    for rules in ["5.9", "latest"] {
        let text = plugged(
            "get A[0] read as h0\n  offline node 1 fails busy\n  put h0\n  offline node 1",
            "node 1 holds 0",
        );
        assert_eq!(checked(&text, rules).verdict, Verdict::Pass, "{rules}");
        let short = "offline node 1\n  offline node 0 movable fails out-of-frames";
        let full = plugged(short, "P:A[0] is on node 0").replace("frames 8", "frames 3");
        assert_eq!(checked(&full, rules).verdict, Verdict::Pass, "{rules}");
        let fixed = plugged("offline node 0 fails busy", "P:A[0] is on node 1");
        assert_eq!(checked(&fixed, rules).verdict, Verdict::Pass, "{rules}: page tables");
    }
}
