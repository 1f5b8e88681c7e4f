//! Campaigns against the same search in one piece, and the ways in which parts do not fit.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use pinfold::rules::Rules;

use super::*;
use crate::check::check;
use crate::report::Verdict;
use crate::scenario::parse;

const TWO_WRITERS: &str = "
scenario two-writers
machine
  cpu cpu0 node 0
  cpu cpu1 node 0
setup
  process P
  P: map A 2 private rw
lane one: P on cpu0
  write A[0] \"1\"
lane two: P on cpu1
  write A[0] \"2\"
always
  P:A[0] never sees \"0\"
outcome one when P:A[0] sees \"1\"
outcome two when P:A[0] sees \"2\"
";

fn latest() -> Rules {
    Rules::parse("latest").expect("rules")
}

fn scenario(text: &str) -> Scenario {
    parse(text).expect("scenario")
}

fn campaign<'a>(scenario: &'a Scenario, rules: &'a Rules, options: &CheckOptions) -> Campaign<'a> {
    Campaign::new(scenario, "test.pf", rules, options).expect("a campaign")
}

fn labels(report: &Report) -> Vec<&str> {
    report.outcomes.iter().map(|outcome| outcome.label.as_str()).collect()
}

/// The results of the shards, done in their own processes, so to say.
fn shards(text: &str, of: usize, options: &CheckOptions) -> Vec<(String, Partial)> {
    let (scenario, rules) = (scenario(text), latest());
    let shard = |index| {
        let campaign = campaign(&scenario, &rules, options);
        let mut partial = campaign.begin(Some(Shard { index, of }));
        campaign.run(&mut partial, 1, &mut |_| {});
        let text = serde_json::to_string(&partial).expect("json");
        (format!("{index}.json"), serde_json::from_str(&text).expect("a partial result"))
    };
    (1..=of).map(shard).collect()
}

#[test]
fn threads_and_shards_find_what_one_search_finds() {
    let (scenario, rules, options) = (scenario(TWO_WRITERS), latest(), CheckOptions::default());
    let plain = check(&scenario, "test.pf", &rules, &options, &mut |_| {});
    assert_eq!(plain.verdict, Verdict::Pass, "{:?}", plain.broken);
    let campaign = campaign(&scenario, &rules, &options);
    let mut whole = campaign.begin(None);
    let threads = campaign.run(&mut whole, 3, &mut |_| {});
    let merged = merge(&shards(TWO_WRITERS, 3, &options)).expect("they fit");
    for report in [&threads, &merged] {
        assert_eq!(report.verdict, Verdict::Pass, "{:?}", report.search);
        assert_eq!(report.id, plain.id);
        assert_eq!(labels(report), labels(&plain));
        assert_eq!(report.search.executions, threads.search.executions);
        assert!(report.search.executions >= plain.search.executions);
    }
}

#[test]
fn a_failure_of_one_part_is_the_verdict_of_all_and_the_only_one_shown() {
    let text = TWO_WRITERS.replace("P:A[0] never sees \"0\"", "P:A[0] sees \"2\"");
    let (scenario, rules, options) = (scenario(&text), latest(), CheckOptions::default());
    let campaign = campaign(&scenario, &rules, &options);
    let mut whole = campaign.begin(None);
    let threads = campaign.run(&mut whole, 2, &mut |_| {});
    let merged = merge(&shards(&text, 4, &options)).expect("they fit");
    for report in [threads, merged] {
        assert_eq!(report.verdict, Verdict::Fail);
        assert!(report.trace.is_some());
        assert_eq!(report.broken.expect("broken").oracle, "claim");
    }
}

#[test]
fn what_is_missing_is_named_and_never_passes() {
    let mut parts = shards(TWO_WRITERS, 3, &CheckOptions::default());
    parts.remove(1);
    let report = merge(&parts).expect("they fit");
    assert_eq!(report.verdict, Verdict::Partial);
    let why = report.search.incomplete.expect("a reason");
    assert!(why.contains("missing shards 2/3"), "{why}");
    assert_eq!(merge(&parts[..1]).expect("one").verdict, Verdict::Partial);
}

#[test]
fn a_part_twice_or_of_another_campaign_is_refused() {
    let parts = shards(TWO_WRITERS, 2, &CheckOptions::default());
    let twice = [parts[0].clone(), parts[0].clone()];
    let error = merge(&twice).expect_err("a duplicate").to_string();
    assert!(error.contains("in an earlier file"), "{error}");
    type Change = fn(&mut Question);
    let change: [(&str, Change); 5] = [
        ("version", |question| question.version.push('x')),
        ("scenario", |question| question.scenario.push('x')),
        ("rules", |question| question.rules.push('x')),
        ("model", |question| question.model = "sc".to_owned()),
        ("division", |question| question.division.push('x')),
    ];
    let (scenario, rules, options) = (scenario(TWO_WRITERS), latest(), CheckOptions::default());
    let campaign = campaign(&scenario, &rules, &options);
    for (what, change) in change {
        let mut parts = parts.clone();
        change(&mut parts[1].1.question);
        let error = merge(&parts).expect_err(what).to_string();
        assert!(error.contains(&format!("2.json: its {what} is")), "{error}");
        let error = campaign.accepts(&parts[1].1).expect_err(what);
        assert!(matches!(error, CampaignError::Mixed { what: differs, .. } if differs == what));
    }
    let mut foreign = parts[0].1.clone();
    foreign.finished.insert(1);
    assert!(matches!(campaign.accepts(&foreign), Err(CampaignError::Damaged(_))));
    assert_eq!(merge(&[]), Err(CampaignError::Nothing));
}

#[test]
fn an_interrupted_campaign_goes_on_to_the_same_end() {
    let (scenario, rules) = (scenario(TWO_WRITERS), latest());
    let all = campaign(&scenario, &rules, &CheckOptions::default());
    let mut whole = all.begin(None);
    let expected = all.run(&mut whole, 1, &mut |_| {});
    let mut kept = all.begin(None);
    for most in [1, 5, 20, 60] {
        let bounded = CheckOptions { max_executions: Some(most), ..CheckOptions::default() };
        let campaign = campaign(&scenario, &rules, &bounded);
        campaign.accepts(&kept).expect("the same campaign");
        let report = campaign.run(&mut kept, 2, &mut |_| {});
        assert_ne!(report.verdict, Verdict::Fail);
        assert_eq!(report.verdict == Verdict::Pass, kept.done() == kept.share());
    }
    let report = all.run(&mut kept, 2, &mut |_| {});
    assert_eq!(report.verdict, Verdict::Pass);
    assert_eq!(report.search.executions, expected.search.executions);
    assert_eq!(report.outcomes, expected.outcomes);
}

#[test]
fn a_campaign_that_is_stopped_at_once_is_partial() {
    let (scenario, rules) = (scenario(TWO_WRITERS), latest());
    let stop = Some(Arc::new(AtomicBool::new(true)));
    let steps = CheckOptions { max_steps: 5, ..CheckOptions::default() };
    for options in [CheckOptions { stop, ..CheckOptions::default() }, steps] {
        let campaign = campaign(&scenario, &rules, &options);
        let mut partial = campaign.begin(None);
        let report = campaign.run(&mut partial, 1, &mut |_| {});
        if partial.done() < partial.share() || report.search.truncated > 0 {
            assert_eq!(report.verdict, Verdict::Partial, "{options:?}");
        }
    }
}

#[test]
fn what_cannot_be_searched_or_divided_says_so() {
    let rules = latest();
    let random =
        CheckOptions { strategy: Strategy::Random { seed: 0, runs: 1 }, ..CheckOptions::default() };
    let fine = scenario(TWO_WRITERS);
    let refused = |text: &Scenario, options: &CheckOptions| {
        Campaign::new(text, "test.pf", &rules, options).err().expect("refused")
    };
    assert_eq!(refused(&fine, &random), CampaignError::Indivisible);
    let vague = scenario(&format!("{TWO_WRITERS}\nreach numa-protect\n"));
    let broken = scenario(&TWO_WRITERS.replace("machine\n", "machine\n  frames 1\n"));
    for text in [vague, broken] {
        let error = refused(&text, &CheckOptions::default());
        assert!(
            matches!(error, CampaignError::Refused(report) if report.verdict == Verdict::Error)
        );
    }
}

#[test]
fn shards_are_read_as_they_are_written() {
    assert_eq!("2/4".parse(), Ok(Shard { index: 2, of: 4 }));
    assert_eq!(Shard { index: 2, of: 4 }.to_string(), "2/4");
    for text in ["0/4", "5/4", "1", "a/b", "1/0", "-1/2"] {
        assert!(text.parse::<Shard>().is_err(), "{text}");
    }
}
