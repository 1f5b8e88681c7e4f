//! WHY against the machine: the rule that later releases changed, and that alone removes a failure,
//! is one that the explanation names.
//!
//! What removes it is found by searches of their own, one for each later variant of each switch
//! that the failing search asked for; an explanation knows nothing of them.

mod common;

use std::collections::BTreeSet;

use pinfold::Rules;
use pinfold::rules::Status;
use pinfold_lab::history::cures;
use pinfold_lab::report::{Report, Verdict};
use pinfold_lab::scenario::{self, Scenario};
use pinfold_lab::{Answers, CheckOptions, Config, Detail, Model, Shipped, VERDICTS};
use std::ops::ControlFlow;

/// The executions after which a variant is not known to remove a failure: hardly any takes more.
const MOST: u64 = 4_000;

/// The switches that an explanation names.
fn named(report: &Report) -> BTreeSet<&str> {
    let sentences = report.broken.iter().flat_map(|broken| &broken.why);
    let rules = sentences.flat_map(|sentence| sentence.split("rule ").skip(1));
    rules.filter_map(|rest| rest.split_once('=')).map(|(switch, _)| switch).collect()
}

fn options(model: Model) -> CheckOptions {
    CheckOptions::of(Config { model, max_executions: Some(MOST), ..Config::default() })
}

/// The switches of which a later variant alone, of some release, removes the failure.
fn removing(scenario: &Scenario, rules: &Rules, model: Model) -> BTreeSet<&'static str> {
    let options = CheckOptions { detail: Detail::Verdict, ..options(model) };
    let answers = Answers::new(scenario, "test.pf", &options);
    let found = cures(&answers, rules, 1, |_, _| ControlFlow::Continue(())).found;
    let changes = found.iter().flat_map(|cure| &cure.changes);
    let later = changes.filter(|change| {
        let at = |name| change.switch.variants.iter().position(|one| one.name == name);
        change.right.status == Status::Released && at(change.left.name) < at(change.right.name)
    });
    later.map(|change| change.switch.name).collect()
}

/// What an explanation leaves out; none, if nothing was found within [`MOST`].
fn left_out(text: &str, rules: &str, model: Model) -> Option<String> {
    let scenario = scenario::parse(text).expect("a scenario");
    let parsed = Rules::parse(rules).expect("the rules exist");
    let report = common::searched("test.pf", text, rules, &options(model));
    if report.verdict != Verdict::Fail {
        return None;
    }
    let removing = removing(&scenario, &parsed, model);
    let left: Vec<_> = removing.difference(&named(&report)).copied().collect();
    let name = &scenario.name.value;
    let why = report.broken.as_ref().map(|broken| broken.why.join("\n")).unwrap_or_default();
    (!left.is_empty()).then(|| format!("{name} under {rules}: not {}\n{why}", left.join(", ")))
}

/// Where each incident that is shipped breaks, by the table.
fn broken_cells() -> Vec<(String, String)> {
    let verdicts = Shipped::find(VERDICTS, "verdicts").expect("it is shipped").text;
    let mut lines = verdicts.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let head = lines.find_map(|line| line.strip_prefix("scenario ")).expect("a head");
    let columns: Vec<&str> = head.split_whitespace().collect();
    let mut cells = Vec::new();
    for line in lines {
        let mut words = line.split_whitespace();
        let name = words.next().unwrap_or_default();
        let bad = columns.iter().zip(words).filter(|(_, word)| *word == "BAD");
        cells.extend(bad.map(|(rules, _)| (name.to_owned(), (*rules).to_owned())));
    }
    cells
}

/// A page that two threads pin beside a fork: that it was shared is fork's rule, and that nobody
/// noticed the other's.
#[test]
fn a_pin_that_lands_beside_a_fork_names_what_kept_neither_from_the_other() {
    let machine = "machine\ncpu cpu0 node 0\ncpu cpu1 node 0";
    let text = format!("scenario two-pins\n{machine}\n{}", common::TWO_PINS);
    let report = common::searched("two-pins", &text, "5.10", &options(Model::Tso));
    assert!(named(&report).contains("fork-race"), "{:?}", report.broken);
}

/// The explanation of an incident that breaks.
fn why(name: &str, rules: &str) -> String {
    let report = common::searched(name, &common::shipped(name), rules, &options(Model::Tso));
    report.broken.map(|broken| broken.why.join("\n")).unwrap_or_default()
}

/// What no later release removes has its rule, or its step, all the same.
#[test]
fn what_no_later_release_removes_is_explained() {
    for (name, rules, says) in [
        ("memcg-move-elsewhere", "latest", "(rule memcg-lock="),
        ("dontfork-late", "4.8", "(advise A dontfork) came only after that fork."),
        ("unregister-too-early", "latest", "(put region) gave region back."),
        ("lazyfree-direct-io", "5.10", "P:A to the zero page f0."),
    ] {
        let told = why(name, rules);
        assert!(told.contains(says), "{name} under {rules}: {told}");
    }
    // The fork was over when the page was pinned: nothing raced.
    let told = why("read-pin-then-write", "5.9");
    assert!(told.contains("only after that.") && !told.contains("fork-race"), "{told}");
}

/// One of each kind of chain; all of them are searched by the test below.
#[test]
fn what_alone_removes_a_failure_is_named() {
    for (name, rules) in [
        ("bug-215616-move-pages", "5.10"),
        ("dirty-cow", "4.5"),
        ("fast-pin-races-split", "5.13"),
        ("fork-races-fast-pin", "5.10"),
        ("ksm-pin", "5.8"),
        ("longterm-meets-isolation", "5.11"),
        ("longterm-meets-isolation", "6.14"),
        ("mprotect-flip", "5.18"),
        ("offline-pin", "5.11"),
        ("o-direct-child", "6.1"),
        ("rdma-fork", "5.8"),
        ("read-pin-zero-page", "5.19"),
        ("thp-tail-get", "3.1"),
        ("uffd-minor", "5.13"),
        ("uffd-wp-pin", "5.18"),
        ("uffd-wp-unpopulated", "6.1"),
        ("vmsplice-leak", "5.7"),
        ("vmsplice-leak-thp", "4.8"),
        ("wrprotect-restore-loses-dirty", "5.9"),
        ("zap-before-flush", "6.1"),
    ] {
        assert_eq!(left_out(&common::shipped(name), rules, Model::Tso), None);
    }
}

#[test]
#[ignore = "minutes of a release build; run before a change of a rule or of WHY"]
fn what_alone_removes_a_failure_is_named_wherever_one_is() {
    let cells = broken_cells();
    assert!(cells.len() > 300, "{} cells", cells.len());
    let left = cells
        .iter()
        .filter_map(|(name, rules)| left_out(&common::shipped(name), rules, Model::Tso));
    let left: Vec<String> = left.collect();
    assert!(left.is_empty(), "{} of {}:\n{}", left.len(), cells.len(), left.join("\n\n"));
}
