//! Pages that this kernel merges. What makes passes is ignored, since it is for who owns the
//! machine, and nobody else merges there: `cargo test -p pinfold-cli --test on_linux merging --
//! --ignored`, as root.

use std::fs;

use super::swap::lines;
use super::whole_machine;

/// Advice, steps, each with its only outcome: a pass is one, so the first merges nothing.
const STEPS: &[(&str, &str, &str)] = &[
    ("merge", "ksm", "P:A[0] is not P:A[1]"),
    ("merge", "ksm\n  ksm", "P:A[0] is P:A[1]"),
    ("merge", "ksm\n  ksm", "P:A[0] is merged and P:A[1] is on node 0"),
    ("merge", "ksm", "P:A[0] is not merged and P:A[1] is on node 0"),
    ("merge", "ksm\n  write A[1] \"w\"\n  ksm", "P:A[0] is not P:A[1]"),
    ("merge", "ksm\n  ksm\n  write A[1] \"w\"", "P:A[0] sees \"v\" and P:A[1] sees \"w\""),
    ("merge", "ksm\n  ksm\n  advise A unmerge", "P:A[0] is not P:A[1]"),
    (
        "merge",
        "ksm\n  ksm\n  pin A[1] write longterm as h0",
        "h0 is P:A[1] and P:A[0] is not P:A[1]",
    ),
    // Nobody has asked for it, so there is nothing to pass over.
    ("unmerge", "ksm\n  ksm", "P:A[0] is not P:A[1]"),
];

#[test]
#[ignore = "has the kernel merge: see above"]
fn merging_does_what_the_language_says() {
    let _machine = whole_machine();
    let settings = || {
        ["run", "sleep_millisecs", "pages_to_scan"]
            .map(|name| fs::read_to_string(format!("/sys/kernel/mm/ksm/{name}")).unwrap())
    };
    let before = settings();
    let scenario = |(at, (advice, steps, outcome)): (usize, &(&str, &str, &str))| {
        let name = format!("merging-{at}");
        let text = format!(
            "scenario {name}\nsetup\n  process P\n  P: map A 2 private rw\n  \
             P: write A[0] \"v\"\n  P: write A[1] \"v\"\n  P: advise A {advice}\n\
             lane l: P\n  {steps}\noutcome as-said when {outcome}\noutcome other otherwise\n"
        );
        (name, text)
    };
    let mut scenarios: Vec<_> = STEPS.iter().enumerate().map(scenario).collect();
    // Two lanes that merge do not take each other's passes.
    let both = scenarios[1].1.replace("scenario merging-1", "scenario merging-both");
    let both = both.replace("outcome as-said", "lane other: P\n  ksm\n  ksm\noutcome as-said");
    scenarios.push(("merging-both".to_owned(), both));
    let told = lines(&scenarios, "20");
    for line in told {
        assert!(line.starts_with("AGREE") && line.contains("as-said"), "{line}");
    }
    assert_eq!(settings(), before, "what was found is put back");
}
