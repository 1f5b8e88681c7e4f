//! A bound on preemptions: never much dearer than no bound, and what it leaves out is told.

use super::*;

fn within(preemptions: Option<u32>) -> Report {
    let search = Strategy::Exhaustive { preemptions };
    let options = CheckOptions::of(Config { model: Model::Sc, search, ..Config::default() });
    let scenario = parse(TWO_WRITERS).expect("scenario");
    check(&scenario, "test.pf", &rules("pinfold"), &options, &mut |_| {})
}

#[test]
fn a_bound_that_is_dearer_than_the_full_search_gives_way_to_it() {
    let (all, generous) = (within(None), within(Some(1_000)));
    assert_eq!(generous.search.strategy.to_string(), "preemptions <= 1000, then exhaustive");
    assert_eq!((generous.verdict, &generous.search.incomplete), (Verdict::Pass, &None));
    assert_eq!(generous.outcomes, all.outcomes);
    let counts = |report: &Report| (report.search.executions, report.search.pruned);
    assert_eq!(counts(&generous), counts(&all));
    assert!(generous.bounds.contains(&"preemptions unlimited".to_owned()), "{generous:?}");
}

#[test]
fn what_a_bound_leaves_out_is_counted() {
    let tight = within(Some(0));
    assert_eq!(tight.search.strategy.to_string(), "preemptions <= 0");
    assert_eq!(tight.verdict, Verdict::Partial);
    let told = tight.search.incomplete.as_deref().unwrap_or_default();
    let beyond = told.strip_prefix("at most 0 preemptions were tried, and ");
    let beyond = beyond.and_then(|told| told.strip_suffix(" switches beyond them were not"));
    let beyond: u64 = beyond.and_then(|number| number.parse().ok()).expect("a number");
    // At most one after each step: there are two lanes.
    assert!((1..=tight.search.executions * tight.search.steps_max).contains(&beyond), "{told}");
}
