//! A run shows the execution that was made, and no other.

use super::*;

/// A claim that many orders break.
const BROKEN: &str = "
scenario broken
machine
  cpu cpu0 node 0
  cpu cpu1 node 0
setup
  process P on cpu0
  P: map A 1 private rw
  P: write A \"0v\"
lane w: P on cpu0
  write A \"one\"
  write A \"two\"
lane r: P on cpu1
  read A as r0
always
  never r0 \"one\"
";

/// The schedule of the execution that seed `seed` makes, if it breaks the claim.
fn made_by(seed: u64) -> Option<String> {
    let options = CheckOptions {
        detail: Detail::Verdict,
        remember: 0,
        remember_long: 0,
        config: Config {
            model: Model::Sc,
            search: Strategy::Random { seed, runs: 1 },
            ..Config::default()
        },
    };
    let scenario = parse(BROKEN).expect("scenario");
    let report = check(&scenario, "test.pf", &rules("pinfold"), &options, &mut |_| {});
    report.broken.map(|broken| broken.schedule)
}

#[test]
fn a_run_that_breaks_a_claim_is_shown_as_it_was_made() {
    let scenario = parse(BROKEN).expect("scenario");
    let mut schedules = Vec::new();
    for seed in 0..40 {
        let report = run(&scenario, "test.pf", &rules("pinfold"), Order::Seed(seed));
        assert_eq!(report.ends.len(), 1, "seed {seed}: one claim, one row");
        let broken = report.broken.as_ref();
        assert_eq!(broken.map(|broken| broken.schedule.clone()), made_by(seed), "seed {seed}");
        if let Some(broken) = broken {
            assert_eq!((broken.from_steps, broken.from_switches), (None, None), "seed {seed}");
            assert_eq!(broken.steps, report.search.steps_max, "seed {seed}");
            schedules.push(broken.schedule.clone());
        }
    }
    schedules.sort();
    schedules.dedup();
    assert!(schedules.len() > 1, "every seed showed the same execution");
}

#[test]
fn a_run_as_written_that_breaks_a_claim_has_the_lanes_in_their_order() {
    let text = BROKEN.replace("never r0 \"one\"", "r0 \"one\"");
    let scenario = parse(&text).expect("scenario");
    let report = run(&scenario, "test.pf", &rules("pinfold"), Order::AsWritten);
    let broken = report.broken.expect("the writer is done before the reader begins");
    assert_eq!((broken.switches, broken.from_steps), (1, None));
    assert_eq!(report.ends.len(), 1);
    assert_eq!(report.ends[0].value, "\"two\"");
}
