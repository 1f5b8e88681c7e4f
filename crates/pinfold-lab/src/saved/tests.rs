//! What a file holds comes back; what was changed in it is noticed.

use super::*;
use crate::check::{CheckOptions, check};

const LATE_WRITER: &str = "
scenario late-writer
machine
  cpu cpu0 node 0
  cpu cpu1 node 0
setup
  process P
  P: map A 1 private rw
lane one: P on cpu0
  write A \"1\"
lane two: P on cpu1
  write A \"2\"
always
  P:A sees \"2\"
";

fn saved() -> ReplayFile {
    let scenario = scenario::parse(LATE_WRITER).expect("scenario");
    let rules = Rules::parse("5.9,numa-skip=ref-count").expect("rules");
    let found = check(&scenario, "s.pf", &rules, &CheckOptions::default(), &mut |_| {});
    ReplayFile::record(&scenario, &rules, &found).expect("a failure")
}

fn read(text: &str, engines: Engines) -> Result<ReplayFile, ReplayFileError> {
    ReplayFile::parse(text, engines)
}

fn text(file: &ReplayFile) -> String {
    serde_json::to_string(file).expect("JSON")
}

/// What a replay of the file says is different.
fn divergence(file: &ReplayFile) -> Vec<String> {
    let report = file.replay().expect("a report");
    assert_eq!(report.verdict, Verdict::Error);
    let broken = report.broken.expect("a reason");
    assert_eq!(broken.oracle, Oracle::Divergence);
    broken.what
}

#[test]
fn what_is_saved_is_read_back_and_runs_as_recorded() {
    let file = saved();
    let again = read(&text(&file), Engines::Same).expect("the same file");
    assert_eq!(again, file);
    let report = again.replay().expect("a report");
    assert_eq!(report.verdict, Verdict::Fail);
    assert_eq!(report.id, file.id);
    assert_eq!(report.broken.expect("a failure").oracle, file.oracle);
    assert_eq!(report.rules, "linux-5.9,numa-skip=ref-count");
    assert!(!report.accesses.is_empty());
}

#[test]
fn the_rules_are_saved_in_full() {
    let file = saved();
    let named = |name: &str| file.rules.contains(&format!(",{name}="));
    assert!(Rules::switches().all(|switch| named(switch.name)), "{}", file.rules);
}

#[test]
fn a_pass_is_not_saved() {
    let text = LATE_WRITER.replace("sees \"2\"", "never sees \"0\"");
    let scenario = scenario::parse(&text).expect("scenario");
    let rules = Rules::default();
    let found = check(&scenario, "s.pf", &rules, &CheckOptions::default(), &mut |_| {});
    assert_eq!(ReplayFile::record(&scenario, &rules, &found), None);
}

#[test]
fn a_changed_event_is_named_with_both_sides() {
    let mut file = saved();
    let at = file.events.iter().position(|event| event.lane == "two").expect("lane two");
    "write A \"3\"".clone_into(&mut file.events[at].text);
    let what = divergence(&file);
    assert!(what[0].starts_with(&format!("event {} of {}", at + 1, file.events.len())), "{what:?}");
    assert!(what[0].contains("in step "), "{what:?}");
    assert_eq!(what[1], "recorded  two: write A \"3\"");
    assert_eq!(what[2], "now       two: write A \"2\"");
}

#[test]
fn missing_and_additional_events_are_noticed() {
    let mut file = saved();
    let last = file.events.pop().expect("an event");
    assert_eq!(divergence(&file)[1], "recorded  nothing: it had ended");
    file.events.extend([last.clone(), last]);
    assert_eq!(divergence(&file)[2], "now       nothing: it had ended");
}

#[test]
fn another_end_of_the_same_events_is_noticed() {
    let mut file = saved();
    file.oracle = Oracle::Leak;
    let what = divergence(&file);
    assert!(what[1].starts_with("recorded  leak: ") && what[2].starts_with("now       claim: "));
}

#[test]
fn another_schedule_is_noticed() {
    let mut file = saved();
    file.schedule = file.schedule.replace('2', "9");
    divergence(&file);
    file.schedule += ",1,2.4";
    divergence(&file);
    file.schedule.clear();
    divergence(&file);
}

#[test]
fn another_engine_is_refused_unless_it_is_wanted() {
    let mut file = saved();
    "0.0.7".clone_into(&mut file.engine);
    let refused = read(&text(&file), Engines::Same);
    assert!(matches!(refused, Err(ReplayFileError::Engine(found)) if found == "0.0.7"));
    let report = read(&text(&file), Engines::Any).expect("the file").replay().expect("a report");
    assert_eq!(report.verdict, Verdict::Fail);
}

#[test]
fn another_form_is_refused_before_its_fields_are_looked_at() {
    let refused = read("{\"pinfold\": 4, \"engine\": \"9\", \"new\": []}", Engines::Any);
    assert!(matches!(refused, Err(ReplayFileError::Format(4))));
}

#[test]
fn a_text_cut_anywhere_is_refused() {
    let whole = text(&saved());
    for cut in (0..whole.len()).filter(|cut| whole.is_char_boundary(*cut)) {
        let refused = read(&whole[..cut], Engines::Same);
        assert!(matches!(refused, Err(ReplayFileError::Json(_))), "cut at {cut}");
    }
}

#[test]
fn a_changed_scenario_is_refused() {
    let mut file = saved();
    file.scenario.text = file.scenario.text.replace("sees \"2\"", "sees \"1\"");
    assert!(matches!(read(&text(&file), Engines::Same), Err(ReplayFileError::Changed)));
}

#[test]
fn parts_that_are_not_understood_are_named() {
    let with = |change: fn(&mut ReplayFile)| {
        let mut file = saved();
        change(&mut file);
        file.replay().expect_err("refused").to_string()
    };
    assert!(with(|file| file.rules.push_str(",nonsense=1")).starts_with("in rules: "));
    assert!(with(|file| file.model.push('x')).contains("`weakx`"));
    assert!(with(|file| file.schedule.push_str(",x")).starts_with("in schedule: "));
    assert!(with(|file| file.scenario.text.push_str("\nnonsense\n")).contains("scenario.text"));
}
