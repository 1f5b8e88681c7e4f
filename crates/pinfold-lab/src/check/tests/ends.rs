//! Looking at the end of an execution changes no answer.

use super::*;

/// `P:A` has no page at the end: a read would map the zero page, which is also where `P:B` is.
fn untouched(rest: &str) -> String {
    format!(
        "scenario untouched\nsetup\n  process P\n  P: map A 1 private rw\n  P: map B 1 private rw\n\
         lane one: P\n  read B\n{rest}"
    )
}

fn outcome(text: &str) -> String {
    let report = checked(text, "pinfold");
    assert_eq!(report.verdict, Verdict::Pass, "{:?}", report.broken);
    assert_eq!(report.outcomes.len(), 1, "{:?}", report.outcomes);
    report.outcomes[0].label.clone()
}

#[test]
fn a_read_in_one_outcome_does_not_decide_what_the_next_one_finds() {
    let read = "outcome read when P:A sees \"w\"\n";
    let same = "outcome same when P:A is P:B\n";
    let parted = "outcome parted otherwise\n";
    for order in [[read, same, parted], [same, read, parted]] {
        assert_eq!(outcome(&untouched(&order.concat())), "parted", "{order:?}");
    }
}

#[test]
fn a_read_in_a_claim_does_not_decide_what_the_next_one_finds() {
    for claims in ["  P:A sees \"0\"\n  P:A is not P:B\n", "  P:A is not P:B\n  P:A sees \"0\"\n"] {
        assert_eq!(outcome(&untouched(&format!("always\n{claims}"))), "done", "{claims}");
    }
}

#[test]
fn a_read_in_a_claim_does_not_decide_an_outcome() {
    let text = untouched(
        "always\n  P:A sees \"0\"\noutcome same when P:A is P:B\noutcome parted otherwise\n",
    );
    assert_eq!(outcome(&text), "parted");
}

#[test]
fn a_fact_that_is_stated_twice_is_looked_at_once() {
    let fact = "P:A sees \"0\"";
    let once = checked(&untouched(&format!("always\n  {fact}\n")), "pinfold");
    let twice =
        untouched(&format!("always\n  {fact}\n  {fact} and {fact}\noutcome zero when {fact}\n"));
    let scenario = parse(&twice).expect("scenario");
    let twice = run(&scenario, "test.pf", &rules("pinfold"), Order::AsWritten);
    assert_eq!(once.verdict, Verdict::Pass);
    assert_eq!(twice.outcomes[0].label, "zero");
    let faults = twice.costs.iter().find(|cost| cost.name == "pgfault").map(|cost| cost.value);
    assert_eq!(faults, Some(2), "one fault of the lane, one of the fact: {:?}", twice.costs);
}

#[test]
fn shared_memory_is_one_page_for_a_process_that_has_not_touched_it() {
    let text = |claims: &str| {
        format!(
            "scenario shared\nsetup\n  process P\n  P: map S 2 shared rw\n  P: write S[0] \"v\"\n  \
             P: get S[0] write as h0\nlane parent: P\n  fork C\nalways\n{claims}"
        )
    };
    let one = "  h0 is C:S[0]\n  P:S[0] is C:S[0]\n  C:S[0] is not C:S[1]\n  C:S[0] sees \"v\"\n";
    assert_eq!(checked(&text(one), "pinfold").verdict, Verdict::Pass);
    let untouched = checked(&text("  P:S[1] is C:S[1]\n"), "pinfold");
    assert_eq!(untouched.broken.expect("there is no page").oracle, Oracle::Claim);
}
