//! Executions under other rules, and where they part from the one that broke.

use pinfold::rules::Rules;

use super::Answers;
use crate::contrast::{Contrast, Deed, Parting};
use crate::report::{Report, Verdict};
use crate::scenario::parse;
use crate::shipped::{SCENARIOS, Shipped};
use crate::{CheckOptions, Config, Detail, Model};

/// Asks about a shipped scenario.
fn asked<R>(name: &str, ask: impl FnOnce(&Answers<'_>) -> R) -> R {
    let shipped = Shipped::find(SCENARIOS, name).expect("it is shipped");
    let scenario = parse(shipped.text).expect("it can be read");
    let config = Config { model: Model::Tso, max_executions: Some(20_000), ..Config::default() };
    let options = CheckOptions { detail: Detail::Verdict, ..CheckOptions::of(config) };
    ask(&Answers::new(&scenario, name, &options))
}

/// Where the failure under `rules` and the same order with `switch` as `variant` part.
fn parted(name: &str, rules: &str, (switch, variant): (&str, &str)) -> (Report, Option<Contrast>) {
    asked(name, |answers| {
        let rules = Rules::parse(rules).expect("the rules exist");
        let found = answers.under(&rules, &mut |_| {});
        let here = answers.told(&rules, &found).expect("it breaks");
        let mut other = rules;
        other.set(switch, variant).expect("the variant exists");
        let schedule = here.broken.as_ref().expect("it breaks").schedule.clone();
        let there = answers.along(&other, &schedule).expect("it is executed");
        let contrast = Contrast::between(switch, &here, &there);
        (there, contrast)
    })
}

fn told(parting: &Parting) -> (u32, Option<&str>, Option<&str>) {
    fn text(deed: &Option<Deed>) -> Option<&str> {
        deed.as_ref().map(|deed| deed.text.as_str())
    }
    (parting.step, text(&parting.here), text(&parting.there))
}

#[test]
fn a_rule_that_saves_is_told_by_what_it_decides_there() {
    let (there, contrast) = parted("bug-215616", "5.16", ("numa-skip", "ref-count"));
    assert!(there.broken.is_none(), "it saves the scenario, so in this order, too");
    let contrast = contrast.expect("a decision differs");
    let skipped = (4, Some("f3 was not skipped"), Some("f3 was skipped, as refcount 1025 != 1"));
    assert_eq!(told(&contrast.first), skipped);
    let last = contrast.last.expect("nothing is copied any more");
    assert_eq!(told(&last), (7, Some("f3 was copied, as refcount 1025 != 1"), None));
}

/// Of what differs first that comes which the switch in question has decided.
#[test]
fn what_follows_of_a_decision_is_told_after_it() {
    let (_, contrast) = parted("bug-215616", "5.16", ("migration-kind", "exclusive"));
    let first = contrast.expect("a decision differs").first;
    let refused = Some("f3 is pinned, so its entry was put back");
    assert_eq!(told(&first), (6, Some("migration entry for f3: Write"), refused));
}

/// Where a step is over in one that is interrupted in the other, the order is another one.
#[test]
fn an_order_is_the_same_only_if_the_same_steps_are_interrupted() {
    let (_, contrast) = parted("thp-tail-get", "3.1", ("tail-refs", "tail-mapcount-first"));
    assert!(!contrast.expect("counts differ").same_order);
}

/// Within one step the last thing that WHY is about is told beside the first that differs.
#[test]
fn the_end_of_a_step_is_told_beside_its_first_difference() {
    let (_, contrast) = parted("thp-tail-get", "3.1", ("tail-refs", "tail-mapcount"));
    let Contrast { first, last, same_order } = contrast.expect("counts differ");
    assert!(same_order, "step 5 is not finished in either");
    let parts = ["split: f9 leaves with refs 3", "split: f9 leaves with refs 2"];
    assert_eq!(told(&first), (6, Some(parts[0]), Some(parts[1])));
    let last = last.expect("the head differs, too");
    let went = "split: refs 3 go off f8, which had 3 and must keep 1";
    let gone = "split: refs 2 go off f8, which had 4 and must keep 1";
    assert_eq!(told(&last), (6, Some(went), Some(gone)), "one less");
    let sum = |deed: Option<Deed>| deed.and_then(|deed| deed.sum);
    let caller = "1 of the split's caller + 1 of the split itself";
    let (here, there) = (sum(last.here).expect("it adds up"), sum(last.there).expect("so does it"));
    assert!(here.ends_with(&format!("3 = 1 reference (h0) + {caller}")), "{here}");
    assert!(there.ends_with(&format!("4 = 1 reference (h0) + 1 of step 5 + {caller}")), "{there}");
}

#[test]
fn a_rule_that_decides_the_same_has_no_contrast() {
    let (there, contrast) = parted("torn-fork", "5.9", ("fork-pin", "copy-if-exclusive"));
    assert!(there.broken.is_some(), "it breaks in the same way");
    assert_eq!(contrast, None);
    // The same rules, of course.
    assert_eq!(parted("rdma-fork", "5.8", ("fork-pin", "share")).1, None);
}

/// What agrees in all that was asked for shares the schedule, and names its own rules.
#[test]
fn a_failure_is_told_under_the_rules_that_it_is_asked_under() {
    asked("torn-fork", |answers| {
        let under = |release: &str| {
            let rules = Rules::linux(release).expect("a release");
            let report = answers.under(&rules, &mut |_| {});
            assert_eq!(report.verdict, Verdict::Fail, "{release}");
            answers.told(&rules, &report).expect("it breaks")
        };
        let [old, new] = ["5.10", "5.11"].map(under);
        let what = |report: &Report| report.broken.as_ref().map(|broken| broken.what.clone());
        assert_eq!(what(&old), what(&new));
        assert_eq!((old.rules.as_str(), new.rules.as_str()), ("linux-5.10", "linux-5.11"));
    });
}
