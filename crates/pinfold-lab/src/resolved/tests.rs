use super::{Act, Look, Resolved, Seen, Spot};
use crate::SCENARIOS;
use crate::scenario::parse;

fn resolved(text: &str) -> Resolved {
    Resolved::of(&parse(text).expect("a scenario")).expect("names that mean something")
}

#[test]
fn every_incident_is_resolved_and_its_json_form_read_back() {
    for shipped in SCENARIOS {
        let plan = resolved(shipped.text);
        let text = serde_json::to_string(&plan).expect("a JSON form");
        let again: Resolved = serde_json::from_str(&text).expect("the same form");
        assert_eq!(again, plan, "{}", shipped.name);
    }
}

/// The text with one outcome only, which states all of these.
fn stating(text: &str, facts: &[String]) -> String {
    let is_end = |line: &&str| ["always", "outcome", "reach"].iter().any(|it| line.starts_with(it));
    let body: Vec<&str> = text.lines().take_while(|line| !is_end(line)).collect();
    format!(
        "{}\noutcome all when {}\noutcome other otherwise\n",
        body.join("\n"),
        facts.join(" and ")
    )
}

#[test]
fn facts_are_told_as_the_language_writes_them() {
    for shipped in SCENARIOS {
        let plan = resolved(shipped.text);
        let told: Vec<String> = plan.facts.iter().map(|look| plan.told(look)).collect();
        if told.is_empty() {
            continue;
        }
        let again = resolved(&stating(shipped.text, &told));
        let same: Vec<String> = again.facts.iter().map(|look| again.told(look)).collect();
        assert_eq!(same, told, "{}", shipped.name);
    }
}

#[test]
fn facts_about_the_machine_are_told_so_too() {
    let facts = [
        "P:A[0] is merged",
        "h0 is on node 1",
        "node 0 holds 2",
        "cost 1 copy",
        "cost at most 2 swap-ins",
        "cost at least 0 flushes",
    ];
    let text = format!(
        "scenario s\nmachine\nnodes 2\nsetup\nprocess P\nP: map A 1 private rw\nlane l: P\n\
         pin A write as h0\nalways\n{}\n",
        facts.join("\n")
    );
    let plan = resolved(&text);
    let told: Vec<String> = plan.facts.iter().map(|look| plan.told(look)).collect();
    assert_eq!(told, facts);
}

#[test]
fn identities_stand_before_reads_and_each_fact_once() {
    let plan = resolved(
        "scenario s\nsetup\n  process P\n  P: map A 1 private rw\n  P: fork C\n\
         lane l: P\n  write A \"v\"\n\
         always\n  P:A sees \"v\"\n  P:A is not C:A\n\
         outcome o when P:A sees \"v\" and P:A is C:A\n",
    );
    let spot = Spot { of: 0, page: 0, word: 0 };
    let (parent, child) = (Seen::Process(0, spot), Seen::Process(1, spot));
    assert_eq!(plan.facts, [Look::Is(parent, child), Look::Sees(parent, 1)]);
    let at: Vec<usize> = plan.outcomes[0].when.iter().map(|stated| stated.fact).collect();
    assert_eq!(at, [1, 0]);
}

#[test]
fn processes_in_one_address_space_know_the_areas_of_each_other() {
    let plan = resolved(
        "scenario s\nsetup\n  process P\n  P: clone C\n  P: fork D\n\
         lane l: C\n  map B 2 shared rw\n  signal go\nlane m: P\n  await go\n  unmap B\n\
         outcome o otherwise\n",
    );
    let shares: Vec<bool> = plan.processes.iter().map(|process| process.shares).collect();
    assert_eq!(shares, [false, true, false]);
    assert_eq!([0, 1, 2].map(|process| plan.home(process)), [0, 0, 2]);
    assert_eq!(
        plan.lanes[1].steps[1].act,
        Act::Unmap(super::Pages { area: 0, first: 0, count: 2 })
    );
}

#[test]
fn a_child_knows_the_areas_of_its_parent_and_its_own() {
    let plan = resolved(
        "scenario s\nsetup\n  process P\n  P: map A 3 private rw\n  P: fork C\n\
         lane l: C\n  map B 2 shared rw\n  write A[2] \"v\"\n  unmap B\n\
         outcome o otherwise\n",
    );
    assert_eq!(plan.areas, ["A", "B"]);
    assert_eq!(plan.processes[1].parent, Some(0));
    let acts: Vec<Act> = plan.lanes[0].steps.iter().map(|step| step.act).collect();
    assert_eq!(acts[1], Act::Store(Spot { of: 0, page: 2, word: 0 }, 1));
    assert_eq!(acts[2], Act::Unmap(super::Pages { area: 1, first: 0, count: 2 }));
}

#[test]
fn a_handle_may_be_made_from_one_that_is_written_below() {
    let plan = resolved(
        "scenario s\nsetup\n  process P\n  P: map A 2 private rw\n  P: get A read as h0\n\
         lane a: P\n  get-page h1 as h2\n  put h2\n\
         lane b: P\n  get-page h0[1] as h1\noutcome o otherwise\n",
    );
    let handles: Vec<(&str, u32)> =
        plan.handles.iter().map(|handle| (handle.name.as_str(), handle.pages)).collect();
    assert_eq!(handles, [("h0", 2), ("h1", 1), ("h2", 1)]);
    let made: Vec<Option<usize>> = plan.steps().map(|step| step.act.makes_handle()).collect();
    assert_eq!(made, [None, Some(0), Some(2), None, Some(1)]);
    let first = plan.lanes[0].steps[0].act;
    assert_eq!(first, Act::GetPage(Spot { of: 1, page: 0, word: 0 }, 2));
    assert_eq!((first.uses_handle(), first.needs_process()), (Some(1), false));
}
