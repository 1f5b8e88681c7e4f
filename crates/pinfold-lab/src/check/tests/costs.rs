//! What a scenario says of nodes, merged pages and of what its lanes cost.

use super::*;

/// A page of a machine of two nodes, and what happens to it.
fn on_two_nodes(lanes: &str, claims: &str) -> String {
    format!(
        "
scenario nodes
machine
  nodes 2
  frames 8
  cpu cpu0 node 0
  cpu cpu1 node 1
setup
  process P on cpu0
  P: map A 1 private rw
  P: map B 1 private rw
  P: write A \"v1\"
{lanes}
{claims}"
    )
}

#[test]
fn a_page_is_where_it_was_moved_and_the_move_is_counted() {
    let there = on_two_nodes(
        "lane mover: P on cpu0\n  migrate A to node 1",
        "always\n  P:A is on node 1 and P:B is not on node 0\n  cost 1 move and cost 0 faults\n  \
         node 0 holds 0 and node 1 holds 1\n",
    );
    for rules in ["3.8", "5.9", "latest"] {
        assert_eq!(checked(&there, rules).verdict, Verdict::Pass, "{rules}");
    }
    let back = there.replace("node 1\nalways", "node 1\n  migrate A to node 0\nalways");
    let broken = checked(&back, "latest").broken.expect("it is back");
    assert_eq!(broken.oracle, Oracle::Claim);
    assert!(broken.what.concat().contains("found node 0"), "{:?}", broken.what);
    let back = back.replace("is on node 1", "is on node 0").replace("cost 1 move", "cost 2 moves");
    let back = back.replace("node 0 holds 0 and node 1 holds 1", "node 0 holds 1");
    assert_eq!(checked(&back, "latest").verdict, Verdict::Pass);
}

#[test]
fn what_a_count_does_not_say_is_broken_and_told_with_what_was_counted() {
    let text = on_two_nodes("lane mover: P on cpu0\n  migrate A to node 1", "");
    for (claim, found) in [
        ("cost at least 2 moves", "found 1 move"),
        ("cost at most 0 moves", "found 1 move"),
        ("cost 1 copy", "found 0 copies"),
        ("cost 3 faults", "found 0 faults"),
        ("cost 0 flushes", "found 1 flush"),
        ("cost at least 2 flushes", "found 1 flush"),
        ("cost at least 1 swap-in", "found 0 swap-ins"),
        ("cost 1 swap-out", "found 0 swap-outs"),
        ("node 1 never holds 1", "found 1 page"),
        ("node 0 holds 1", "found 0 pages"),
        ("P:B is on node 0", "found none"),
        ("P:A is not on node 1", "found node 1"),
        ("P:A is merged", "found not merged"),
        ("never cost 1 move", "found 1 move"),
    ] {
        let broken = checked(&format!("{text}always\n  {claim}\n"), "latest").broken;
        let what = broken.expect(claim).what.concat();
        assert!(what.contains(found), "{claim}: {what}");
    }
}

#[test]
fn setup_and_after_cost_nothing() {
    let text = on_two_nodes(
        "lane one: P on cpu0\n  read A\nafter\n  P: migrate A to node 1\n  P: write B \"v\"",
        "always\n  cost 0 moves and cost 0 copies and cost 0 faults and cost 0 flushes\n",
    );
    assert_eq!(checked(&text, "latest").verdict, Verdict::Pass);
}

#[test]
fn a_fork_of_a_pinned_page_costs_one_copy_and_a_later_write_another_as_the_rules_have_it() {
    let text = on_two_nodes(
        "lane owner: P on cpu0\n  pin A write longterm as h0\n  fork C\n  write A \"v2\"",
        "outcome none when cost 0 copies\noutcome one when cost 1 copy\n\
         outcome more when cost at least 2 copies\n",
    );
    for rules in ["5.9", "latest"] {
        assert_eq!(seen_by_both(&text, rules, Model::Tso), ["one"], "{rules}");
    }
    let unpinned = text.replace("pin A write longterm as h0\n  fork C", "fork C");
    assert_eq!(seen_by_both(&unpinned, "latest", Model::Tso), ["one"]);
    let quiet = text.replace("  write A \"v2\"", "");
    assert_eq!(seen_by_both(&quiet, "5.8", Model::Tso), ["none"]);
    assert_eq!(seen_by_both(&quiet, "latest", Model::Tso), ["one"]);
}

#[test]
fn searches_with_and_without_memory_count_the_same() {
    let text = on_two_nodes(
        "lane owner: P on cpu0\n  write A \"v2\"\n  write B \"v2\"\n\
         lane mover: P on cpu1\n  migrate A to node 1\n  fork C",
        "outcome f0 when cost 0 faults\noutcome f1 when cost 1 fault\n\
         outcome f2 when cost 2 faults\noutcome f3 when cost 3 faults\noutcome f4 otherwise\n",
    );
    for model in [Model::Sc, Model::Tso, Model::Weak] {
        let seen = |bytes| {
            let mut config = Config { model, ..Config::default() };
            config.states = bytes;
            let scenario = parse(&text).expect("scenario");
            let options = CheckOptions::of(config);
            let report = check(&scenario, "test.pf", &rules("latest"), &options, &mut |_| {});
            assert_eq!(report.verdict, Verdict::Pass, "{:?} {:?}", report.broken, report.search);
            labels(&report).into_iter().map(str::to_owned).collect::<Vec<_>>()
        };
        let without = seen(None);
        assert!(without.len() > 1, "{without:?}");
        assert_eq!(seen(Some(pinfold_explore::States::new(64 << 20))), without, "{model:?}");
    }
}

#[test]
fn merged_pages_are_told_and_take_one_frame() {
    let text = "
scenario merged
machine
  frames 12
setup
  process P
  P: map A 2 private rw
  P: write A[0] \"v\"
  P: write A[1] \"v\"
  P: advise A merge
  P: ksm
lane ksmd: P
  ksm
always
  P:A[0] is merged and P:A[1] is merged and node 0 holds 1
";
    assert_eq!(checked(text, "latest").verdict, Verdict::Pass);
    let parted = text.replace("  ksm\nalways", "  ksm\n  write A[1] \"w\"\nalways");
    let parted = parted.replace(
        "P:A[1] is merged and node 0 holds 1",
        "P:A[1] is not merged \
                                 and node 0 holds 2 and cost 1 copy",
    );
    assert_eq!(checked(&parted, "latest").verdict, Verdict::Pass);
}
