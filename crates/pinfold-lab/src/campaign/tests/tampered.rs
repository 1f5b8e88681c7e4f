//! Parts and checkpoints that are not as they were written: bits that flipped, and edits by hand.

use serde_json::{Value, json};

use super::*;
use crate::report::{FORMAT, content_hash};

/// What a test changes, and why that must be noticed.
type Edit = (&'static str, fn(&mut Value));

/// Two parts that pass together.
fn passing() -> [Partial; 2] {
    let (scenario, rules) = (scenario(TWO_WRITERS), ours());
    let campaign = of_few_jobs(&scenario, &rules, &CheckOptions::default());
    [1, 2].map(|index| {
        let mut partial = campaign.begin(Some(Shard { index, of: 2 }));
        campaign.run(&mut partial, 1, &mut |_| {}).expect("threads");
        partial
    })
}

/// The smallest checkpoint of a search that has jobs that are finished, begun and to be done.
fn checkpoint(search: Strategy) -> (Campaign<'static>, Partial) {
    let (scenario, rules) = (scenario(TWO_WRITERS), ours());
    let interrupted = |most| {
        let config = Config { search, max_executions: Some(most), ..Config::default() };
        let campaign = of_few_jobs(&scenario, &rules, &CheckOptions::of(config));
        let mut partial = campaign.begin(None);
        campaign.run(&mut partial, 1, &mut |_| {}).expect("threads");
        (partial.done() > 0 && !partial.unfinished.is_empty()).then_some((campaign, partial))
    };
    (1..1_000).find_map(interrupted).expect("a job ends, and another is begun")
}

/// Every text that differs from `text` in one bit and is a text.
fn flipped(text: &str) -> impl Iterator<Item = String> {
    (0..text.len() * 8).filter_map(|bit| {
        let mut bytes = text.as_bytes().to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        String::from_utf8(bytes).ok()
    })
}

/// The file with its content changed, and its hash made to fit.
fn resealed(partial: &Partial, edit: impl Fn(&mut Value)) -> String {
    let mut part = serde_json::to_value(partial).expect("json");
    edit(&mut part);
    let part = part.to_string();
    json!({ "pinfold": FORMAT, "hash": content_hash(&part) })
        .to_string()
        .replace('}', &format!(",\"part\":{part}}}"))
}

fn joined(parts: [Partial; 2]) -> Result<Report, CampaignError> {
    merge(&parts.map(|part| ("a part".to_owned(), part)))
}

#[test]
fn what_is_written_is_read_back() {
    for partial in passing() {
        assert_eq!(Partial::read(&partial.write().expect("json")), Ok(partial));
    }
    for search in [
        Strategy::Exhaustive { preemptions: None },
        Strategy::Random { seed: 3, runs: 40 },
        Strategy::Pct { depth: 3, seed: 3, runs: 40 },
    ] {
        let (campaign, partial) = checkpoint(search);
        let read = Partial::read(&partial.write().expect("json")).expect("as it was written");
        assert_eq!(read, partial);
        assert_eq!(campaign.accepts(&read), Ok(()), "{search:?}");
    }
}

#[test]
fn no_flipped_bit_of_a_part_merges_into_a_pass() {
    let [first, second] = passing();
    let whole = joined([first.clone(), second.clone()]).expect("they fit");
    assert_eq!(whole.verdict, Verdict::Pass);
    let (mut refused, text) = (0, first.write().expect("json"));
    for changed in flipped(&text) {
        match Partial::read(&changed) {
            Ok(read) => assert_eq!(read, first, "{changed}"),
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 5 * text.len(), "{refused} of {} bits", 8 * text.len());
}

#[test]
fn no_flipped_bit_of_a_checkpoint_is_resumed() {
    let (_, kept) = checkpoint(Strategy::Exhaustive { preemptions: None });
    for changed in flipped(&kept.write().expect("json")) {
        if let Ok(read) = Partial::read(&changed) {
            assert_eq!(read, kept, "{changed}");
        }
    }
}

#[test]
fn a_cut_or_foreign_file_is_refused_with_the_remedy() {
    let text = passing()[0].write().expect("json");
    for most in (0..text.len() - 1).step_by(97) {
        let why = Partial::read(&text[..most]).expect_err("cut off").to_string();
        assert!(why.contains("--checkpoint FILE"), "{why}");
    }
    let (here, next) = (format!("\"pinfold\": {FORMAT}"), FORMAT + 1);
    let other = text.replacen(&here, &format!("\"pinfold\": {next}"), 1);
    let why = Partial::read(&other).expect_err("another form").to_string();
    let told = format!("it has form {next}, not {FORMAT}");
    assert!(why.contains(&told) && why.contains("search this part again"), "{why}");
    let edited = text.replacen("\"executions\": ", "\"executions\": 1", 1);
    let why = Partial::read(&edited).expect_err("edited").to_string();
    assert!(why.contains("does not fit its hash"), "{why}");
}

/// Edits by somebody who makes the hash fit, each of a part that passes with another one.
const OF_A_PART: [Edit; 9] = [
    ("nothing was counted", |part| {
        for count in ["executions", "blocked", "truncated"] {
            part["report"]["search"][count] = 0.into();
        }
        part["report"]["outcomes"] = json!([]);
    }),
    ("an outcome is missing", |part| drop(part["report"]["outcomes"][0].take())),
    ("outcomes do not add up", |part| part["report"]["outcomes"][0]["count"] = 1.into()),
    ("it says that it passes", |part| part["report"]["verdict"] = "pass".into()),
    ("it says that it failed", |part| part["report"]["verdict"] = "fail".into()),
    ("another model was searched", |part| part["report"]["search"]["model"] = "sc".into()),
    ("another rule set was searched", |part| part["report"]["rules"] = "linux-5.8".into()),
    ("a job is not its own", |part| part["finished"] = json!({ "0": 1, "1": 1 })),
    ("something is left out", |part| part["leaves-out"] = "a lot".into()),
];

#[test]
fn a_part_that_contradicts_itself_is_refused_whatever_its_hash() {
    let [first, _] = passing();
    assert_eq!(Partial::read(&resealed(&first, |_| {})), Ok(first.clone()));
    for (what, edit) in OF_A_PART {
        assert!(Partial::read(&resealed(&first, edit)).is_err(), "{what}");
    }
}

#[test]
fn a_part_that_says_broken_never_merges_into_a_pass() {
    let (scenario, rules) =
        (scenario(&TWO_WRITERS.replace("never sees \"0\"", "sees \"1\"")), ours());
    let campaign = of_few_jobs(&scenario, &rules, &CheckOptions::default());
    let mut failed = campaign.begin(None);
    let report = campaign.run(&mut failed, 1, &mut |_| {}).expect("threads");
    assert_eq!(report.verdict, Verdict::Fail);
    for verdict in ["pass", "partial", "skip", "error"] {
        let text = resealed(&failed, |part| part["report"]["verdict"] = verdict.into());
        let why = Partial::read(&text).expect_err(verdict).to_string();
        assert!(why.contains("its verdict does not follow"), "{why}");
    }
    // Not even when it was not read from a file.
    failed.report.verdict = Verdict::Partial;
    assert!(merge(&[("a.json".to_owned(), failed)]).is_err());
}

/// The same of a checkpoint.
const OF_A_CHECKPOINT: [Edit; 5] = [
    ("all jobs are said to be finished", |part| {
        let jobs = part["question"]["jobs"].as_u64().expect("a number");
        for job in 0..jobs {
            let counted = &mut part["finished"][job.to_string()];
            *counted = counted.as_u64().unwrap_or(1).into();
        }
        part["unfinished"] = json!({});
        part["report"]["verdict"] = "pass".into();
        part["report"]["search"]["incomplete"] = Value::Null;
    }),
    ("no number of jobs is that large", |part| part["question"]["jobs"] = u64::MAX.into()),
    ("an interrupted job says that something broke", |part| {
        let jobs = part["unfinished"].as_object_mut().expect("jobs");
        jobs.values_mut().for_each(|job| job["counted"]["verdict"] = "fail".into());
    }),
    ("an interrupted job counts nothing", |part| {
        let jobs = part["unfinished"].as_object_mut().expect("jobs");
        jobs.values_mut().for_each(|job| job["counted"]["search"]["executions"] = 0.into());
    }),
    ("another window is counted", |part| {
        part["report"]["reached"] = json!([{ "what": "fork", "count": 1 }]);
    }),
];

#[test]
fn a_checkpoint_that_contradicts_itself_is_refused_whatever_its_hash() {
    let (campaign, kept) = checkpoint(Strategy::Exhaustive { preemptions: None });
    for (what, edit) in OF_A_CHECKPOINT {
        assert!(Partial::read(&resealed(&kept, edit)).is_err(), "{what}");
    }
    let mut renamed = kept;
    renamed.report.id = "0000000".to_owned();
    assert!(campaign.accepts(&renamed).is_err());
}

#[test]
fn a_random_search_counts_every_run_of_its_jobs() {
    let search = Strategy::Random { seed: 3, runs: 40 };
    let (campaign, kept) = checkpoint(search);
    let text = resealed(&kept, |part| part["leaves-out"] = Value::Null);
    assert!(Partial::read(&text).is_err(), "a random search leaves something out");
    let mut more = kept;
    more.report.search.blocked += 1;
    assert!(more.validate().is_err(), "its jobs made one less");
    *more.finished.values_mut().next().expect("a job") += 1;
    assert_eq!(more.validate(), Ok(()));
    let why = campaign.accepts(&more).expect_err("a run too many").to_string();
    assert!(why.contains("runs, and it counts"), "{why}");
}
