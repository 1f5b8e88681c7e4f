//! Campaigns against the same search in one piece, and the ways in which parts do not fit.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use pinfold::rules::Rules;
use pinfold_explore::{LockForm, Model};

mod tampered;

use super::*;
use crate::check::check;
use crate::counted::counted;
use crate::report::{Chosen, Oracle};
use crate::scenario::{Scenario, parse};

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

fn ours() -> Rules {
    Rules::parse("pinfold").expect("rules")
}

fn scenario(text: &str) -> Scenario {
    parse(text).expect("scenario")
}

/// A scenario made ready, for as long as the tests run.
fn prepared(scenario: &Scenario, rules: &Rules) -> &'static Prepared {
    Box::leak(Box::new(Prepared::new(scenario, "test.pf", rules).expect("ready")))
}

fn campaign(scenario: &Scenario, rules: &Rules, options: &CheckOptions) -> Campaign<'static> {
    Campaign::new(prepared(scenario, rules), options).expect("divided")
}

/// One with jobs of many executions.
fn of_few_jobs(scenario: &Scenario, rules: &Rules, options: &CheckOptions) -> Campaign<'static> {
    Campaign::divided(prepared(scenario, rules), options, 4).expect("divided")
}

fn labels(report: &Report) -> Vec<&str> {
    report.outcomes.iter().map(|outcome| outcome.label.as_str()).collect()
}

/// The results of the shards, done in their own processes, so to say.
fn shards(text: &str, of: usize, options: &CheckOptions) -> Vec<(String, Partial)> {
    let (scenario, rules) = (scenario(text), ours());
    let shard = |index| {
        let campaign = campaign(&scenario, &rules, options);
        let mut partial = campaign.begin(Some(Shard { index, of }));
        campaign.run(&mut partial, 1, &mut |_| {}).expect("threads");
        let text = serde_json::to_string(&partial).expect("json");
        (format!("{index}.json"), serde_json::from_str(&text).expect("a partial result"))
    };
    (1..=of).map(shard).collect()
}

#[test]
fn threads_and_shards_find_what_one_search_finds() {
    let (scenario, rules, options) = (scenario(TWO_WRITERS), ours(), CheckOptions::default());
    let plain = check(&scenario, "test.pf", &rules, &options, &mut |_| {});
    assert_eq!(plain.verdict, Verdict::Pass, "{:?}", plain.broken);
    let campaign = campaign(&scenario, &rules, &options);
    let mut whole = campaign.begin(None);
    let threads = campaign.run(&mut whole, 3, &mut |_| {}).expect("threads");
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
    let (scenario, rules, options) = (scenario(&text), ours(), CheckOptions::default());
    let campaign = campaign(&scenario, &rules, &options);
    let mut whole = campaign.begin(None);
    let threads = campaign.run(&mut whole, 2, &mut |_| {}).expect("threads");
    let merged = merge(&shards(&text, 4, &options)).expect("they fit");
    for report in [threads, merged] {
        assert_eq!(report.verdict, Verdict::Fail);
        assert!(report.trace.is_some());
        assert_eq!(report.broken.expect("broken").oracle, Oracle::Claim);
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
    let change: [(&str, Change); 7] = [
        ("version", |question| question.version.push('x')),
        ("scenario", |question| question.scenario.push('x')),
        ("rules", |question| question.rules.push('x')),
        ("model", |question| question.model = Model::Sc),
        ("locks", |question| question.locks = LockForm::Code),
        ("strategy", |question| question.strategy = Chosen::Replay(None)),
        ("division", |question| question.division.push('x')),
    ];
    let (scenario, rules, options) = (scenario(TWO_WRITERS), ours(), CheckOptions::default());
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
    foreign.finished.insert(1, 1);
    assert!(matches!(campaign.accepts(&foreign), Err(CampaignError::Damaged(_))));
    assert_eq!(merge(&[]), Err(CampaignError::Nothing));
}

/// The searches that there are, each of some hundred executions.
const STRATEGIES: [Strategy; 4] = [
    Strategy::Exhaustive { preemptions: None },
    Strategy::Exhaustive { preemptions: Some(2) },
    Strategy::Random { seed: 5, runs: 300 },
    Strategy::Pct { depth: 3, seed: 5, runs: 300 },
];

/// A report but for the time that it took.
fn timeless(mut report: Report) -> Report {
    report.search.seconds = 0.0;
    report
}

/// What another process reads of what this one wrote.
fn through_a_file(partial: &Partial) -> Partial {
    let text = serde_json::to_string(partial).expect("json");
    serde_json::from_str(&text).expect("a partial result")
}

fn executions(report: &Report) -> u64 {
    report.search.executions + report.search.blocked + report.search.truncated
}

#[test]
fn an_interrupted_campaign_goes_on_to_the_same_end() {
    let (scenario, rules) = (scenario(TWO_WRITERS), ours());
    for strategy in STRATEGIES {
        let options = CheckOptions::of(Config { search: strategy, ..Config::default() });
        let all = of_few_jobs(&scenario, &rules, &options);
        let expected = timeless(all.run(&mut all.begin(None), 1, &mut |_| {}).expect("threads"));
        for (most, threads) in [(1, 1), (7, 1), (7, 3), (100, 2)] {
            let mut bounded = options.clone();
            bounded.config.max_executions = Some(most);
            let campaign = of_few_jobs(&scenario, &rules, &bounded);
            let mut kept = campaign.begin(None);
            let mut pieces = 0;
            let report = loop {
                campaign.accepts(&kept).expect("the same campaign");
                let before = kept.done();
                let report = campaign.run(&mut kept, threads, &mut |_| {}).expect("threads");
                kept = through_a_file(&kept);
                pieces += 1;
                if kept.done() == kept.share() {
                    break report;
                }
                assert_eq!(report.verdict, Verdict::Partial);
                assert!(kept.done() >= before && kept.unfinished.len() <= threads);
                let why = report.search.incomplete.expect("a reason");
                let made = counted(most, "execution", "executions");
                assert!(why.contains(&format!("stopped after {made}")), "{why}");
                // A search by bounds makes some again, and counts them once.
                if strategy != STRATEGIES[1] {
                    assert_eq!(executions(&kept.shown()), pieces * most, "{strategy:?}");
                }
            };
            assert!(pieces > 1);
            assert_eq!(timeless(report), expected, "{strategy:?}, {most} at once");
        }
    }
}

#[test]
fn a_failure_is_found_however_often_the_search_is_interrupted() {
    let text = TWO_WRITERS.replace("P:A[0] never sees \"0\"", "P:A[0] sees \"2\"");
    let (scenario, rules) = (scenario(&text), ours());
    for strategy in STRATEGIES {
        let options = CheckOptions::of(Config { search: strategy, ..Config::default() });
        let all = of_few_jobs(&scenario, &rules, &options);
        let expected = all.run(&mut all.begin(None), 1, &mut |_| {}).expect("threads");
        assert_eq!(expected.verdict, Verdict::Fail);
        let mut bounded = options;
        bounded.config.max_executions = Some(1);
        let campaign = of_few_jobs(&scenario, &rules, &bounded);
        let mut kept = campaign.begin(None);
        let report = loop {
            let report = campaign.run(&mut kept, 1, &mut |_| {}).expect("threads");
            kept = through_a_file(&kept);
            if report.verdict != Verdict::Partial {
                break report;
            }
        };
        assert_eq!(timeless(report), timeless(expected), "{strategy:?}");
        assert!(kept.has_failed());
    }
}

#[test]
fn threads_share_what_is_long_and_leave_what_is_short_in_one_piece() {
    let odp = crate::Shipped::find(crate::SCENARIOS, "odp-notifier").expect("shipped").text;
    for (text, long) in [(TWO_WRITERS, false), (odp, true)] {
        let (scenario, rules, options) = (scenario(text), ours(), CheckOptions::default());
        let prepared = prepared(&scenario, &rules);
        let mut divided = false;
        let together = share_out(prepared, &options, 2, &mut |at| divided |= at.jobs.is_some());
        let (alone, together) = (prepared.check(&options, &mut |_| {}), together.expect("threads"));
        assert_eq!(divided, long);
        assert_eq!(together.verdict, alone.verdict);
        assert_eq!(labels(&together), labels(&alone));
        assert_eq!(alone.search.begun() > SHORT, long, "{}", alone.search.begun());
    }
}

/// What came before the division is not counted, and the limit is.
#[test]
fn a_shared_search_makes_no_more_executions_than_the_limit() {
    let odp = crate::Shipped::find(crate::SCENARIOS, "odp-notifier").expect("shipped").text;
    let (scenario, rules) = (scenario(odp), ours());
    for most in [1, SHORT, SHORT + 1] {
        let config = Config { max_executions: Some(most), ..Config::default() };
        let options = CheckOptions::of(config);
        let report = share_out(prepared(&scenario, &rules), &options, 2, &mut |_| {});
        let report = report.expect("threads");
        assert_eq!((report.verdict, report.search.begun()), (Verdict::Partial, most));
    }
}

#[test]
fn random_shards_do_the_runs_of_one_search() {
    let (scenario, rules) = (scenario(TWO_WRITERS), ours());
    for strategy in [Strategy::Random { seed: 5, runs: 300 }, STRATEGIES[3]] {
        for model in [Model::Sc, Model::Weak] {
            let options = CheckOptions::of(Config { model, search: strategy, ..Config::default() });
            let plain = timeless(check(&scenario, "test.pf", &rules, &options, &mut |_| {}));
            assert_eq!(plain.verdict, Verdict::Partial);
            let parts = shards(TWO_WRITERS, 3, &options);
            let merged = timeless(merge(&parts).expect("they fit"));
            let campaign = campaign(&scenario, &rules, &options);
            let threads = campaign.run(&mut campaign.begin(None), 3, &mut |_| {}).expect("threads");
            assert_eq!(timeless(threads), plain, "{strategy:?}");
            assert_eq!(merged, plain, "{strategy:?}");
            let missing = merge(&parts[1..]).expect("they fit").search.incomplete;
            assert!(missing.expect("a reason").contains("missing shards 1/3"));
        }
    }
}

#[test]
fn a_bounded_search_is_one_job_that_is_not_shared_out() {
    let (scenario, rules) = (scenario(TWO_WRITERS), ours());
    // `check` searches without a bound beside one that takes longer; a campaign does not.
    let search = Strategy::Exhaustive { preemptions: Some(0) };
    let options = CheckOptions::of(Config { search, ..Config::default() });
    let plain = check(&scenario, "test.pf", &rules, &options, &mut |_| {});
    let campaign = campaign(&scenario, &rules, &options);
    assert_eq!(can_be_shared_out(&options), Err(CampaignError::Indivisible));
    let mut whole = campaign.begin(None);
    assert_eq!(whole.share(), 1);
    let report = campaign.run(&mut whole, 1, &mut |_| {}).expect("threads");
    assert_eq!(timeless(report), timeless(plain));
}

#[test]
fn an_unfinished_job_that_makes_no_sense_is_refused() {
    let (scenario, rules) = (scenario(TWO_WRITERS), ours());
    let options = CheckOptions::of(Config { max_executions: Some(3), ..Config::default() });
    let campaign = of_few_jobs(&scenario, &rules, &options);
    let mut kept = campaign.begin(None);
    campaign.run(&mut kept, 1, &mut |_| {}).expect("threads");
    let job = *kept.unfinished.keys().next().expect("interrupted");
    let twice = [("a.json".to_owned(), kept.clone()), ("b.json".to_owned(), kept.clone())];
    let error = merge(&twice).expect_err("the same job");
    assert!(error.to_string().contains(&format!("job {job} is in an earlier file")), "{error}");
    let mut both = kept.clone();
    both.finished.insert(job, 1);
    assert!(matches!(campaign.accepts(&both), Err(CampaignError::Damaged(_))));
    let mut foreign = kept.clone();
    foreign.finished.clear();
    foreign.shard = Some(Shard { index: job % 2 + 1, of: 2 });
    assert_eq!(campaign.accepts(&foreign), Ok(()));
    foreign.shard = Some(Shard { index: (job + 1) % 2 + 1, of: 2 });
    assert!(matches!(campaign.accepts(&foreign), Err(CampaignError::Damaged(_))));
    let text = serde_json::to_string(&kept).expect("json");
    let position = kept.unfinished[&job].position.to_string();
    let changed = text.replace(&position, &position.replacen(':', ";", 1));
    let error = serde_json::from_str::<Partial>(&changed).expect_err("changed");
    assert!(error.to_string().contains("its hash is missing or wrong"), "{error}");
}

#[test]
fn the_position_of_another_job_never_passes() {
    let (scenario, rules) = (scenario(TWO_WRITERS), ours());
    let options = CheckOptions::of(Config { max_executions: Some(3), ..Config::default() });
    let bounded = of_few_jobs(&scenario, &rules, &options);
    let mut kept = bounded.begin(None);
    bounded.run(&mut kept, 1, &mut |_| {}).expect("threads");
    let (job, unfinished) = kept.unfinished.pop_first().expect("interrupted");
    kept.unfinished.insert(job + 1, unfinished);
    let all = of_few_jobs(&scenario, &rules, &CheckOptions::default());
    let report = all.run(&mut kept, 1, &mut |_| {}).expect("threads");
    assert_eq!(report.verdict, Verdict::Fail);
    let broken = report.broken.expect("broken");
    assert!(broken.what[0].contains("belongs to another search"), "{broken:?}");
}

#[test]
fn how_much_escapes_a_random_search_is_told_where_it_is_known() {
    let scenario = scenario(TWO_WRITERS);
    let told = |model, runs| {
        let strategy = Strategy::Pct { depth: 2, seed: 0, runs };
        let options = CheckOptions::of(Config { model, search: strategy, ..Config::default() });
        let report = check(&scenario, "test.pf", &ours(), &options, &mut |_| {});
        report.search.incomplete.expect("never complete")
    };
    assert!(told(Model::Sc, 1).contains("p < 1.00 that"), "{}", told(Model::Sc, 1));
    assert!(told(Model::Sc, 2_000).contains("p < 1e-"));
    assert!(told(Model::Weak, 10).contains("known under --model sc only"));
}

#[test]
fn a_campaign_that_is_stopped_at_once_is_partial() {
    let (scenario, rules) = (scenario(TWO_WRITERS), ours());
    let stop = Some(Arc::new(AtomicBool::new(true)));
    let stopped = CheckOptions::of(Config { stop, ..Config::default() });
    let late = Some(Duration::ZERO);
    let late = CheckOptions::of(Config { deadline: late, ..Config::default() });
    for (options, why) in [(stopped, "stopped on request"), (late, "stopped after 0.0 s")] {
        let report = Campaign::new(prepared(&scenario, &rules), &options).err().expect("stopped");
        let told = report.search.incomplete.as_deref().expect("why");
        assert!(told.starts_with(why) && told.ends_with("before it was divided into jobs"));
        assert_eq!((report.verdict, report.search.executions), (Verdict::Partial, 0));
    }
    let options = CheckOptions::of(Config { max_steps: 5, ..Config::default() });
    let campaign = campaign(&scenario, &rules, &options);
    let mut partial = campaign.begin(None);
    let report = campaign.run(&mut partial, 1, &mut |_| {}).expect("threads");
    assert!(report.search.truncated > 0);
    assert_eq!(report.verdict, Verdict::Partial);
}

#[test]
fn what_cannot_be_searched_says_so() {
    let rules = ours();
    let vague = scenario(&format!("{TWO_WRITERS}\nreach numa-protect\n"));
    let broken = scenario(&TWO_WRITERS.replace("machine\n", "machine\n  frames 1\n"));
    for text in [vague, broken] {
        assert!(Prepared::new(&text, "test.pf", &rules).is_err());
        let report = check(&text, "test.pf", &rules, &CheckOptions::default(), &mut |_| {});
        assert_eq!(report.verdict, Verdict::Error);
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
