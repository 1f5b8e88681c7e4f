//! The explorer on the real code: a lock-free pin against fork, `scenarios/fork-races-fast-pin.pf`,
//! under the rules of `pinfold` and the weak model, on one core. Goals: P11.
//!
//! `cargo bench -p pinfold-lab`. Each figure stands beside what it must and what it should reach.
//! Where a search without reduction does not end within its limit, its executions and the ratio are
//! bounds, and say so.

use std::io::{Write, stderr};
use std::time::{Duration, Instant};

use pinfold::Rules;
use pinfold_explore::{Config, Search as Strategy};
use pinfold_lab::report::{Report, Verdict};
use pinfold_lab::scenario::{self, Scenario};
use pinfold_lab::{CheckOptions, SCENARIOS, Shipped, check};

/// How long a search with reduction may take, and one without.
const LIMITS: [Duration; 2] = [Duration::from_secs(600), Duration::from_secs(60)];
/// For how many seconds executions are counted for a rate.
const SAMPLE: f64 = 3.0;

const MUST_RATE: u64 = 50_000;
const STRETCH_RATE: u64 = 150_000;
const MUST_RATIO: u64 = 1_000;
const STRETCH_RATIO: u64 = 20_000;

const REDUCED: Strategy = Strategy::Exhaustive { preemptions: None };
const EVERY_SEQUENCE: Strategy = Strategy::Exhaustive { preemptions: Some(u32::MAX) };

fn parsed(text: &str) -> Scenario {
    scenario::parse(text).unwrap_or_else(|errors| panic!("{errors:?}"))
}

fn shipped() -> &'static str {
    Shipped::find(SCENARIOS, "fork-races-fast-pin").expect("the scenario is shipped").text
}

/// The same with a second thread that pins.
fn with_two_pinners(text: &str) -> String {
    let second = "lane second: P on cpu1\n  pin A write longterm as h1\n\nafter";
    text.replace("\nafter", &format!("\n{second}")).replace("always\n", "always\n  h1 is P:A\n")
}

fn searched(scenario: &Scenario, strategy: Strategy) -> Report {
    let deadline = Some(LIMITS[usize::from(strategy == EVERY_SEQUENCE)]);
    let options = CheckOptions::of(Config { search: strategy, deadline, ..Config::default() });
    let rules = Rules::parse("pinfold").expect("the rules exist");
    let report = check(scenario, "fork-races-fast-pin.pf", &rules, &options, &mut |at| {
        let seconds = at.search.elapsed.as_secs_f64();
        let _ = write!(
            stderr(),
            "\r{strategy:?}: {} executions, {seconds:.0} s ",
            at.search.executions
        );
    });
    let _ = write!(stderr(), "\r{:80}\r", "");
    assert!(matches!(report.verdict, Verdict::Pass | Verdict::Partial), "{:?}", report.broken);
    report
}

fn grade(reached: u64, must: u64, stretch: u64) -> &'static str {
    match reached {
        _ if reached >= stretch => "met, stretch too",
        _ if reached >= must => "met",
        _ => "MISSED",
    }
}

/// The time that this thread has had a core: wall time would count the neighbours, too. Where the
/// system does not tell, wall time.
fn seconds(start: Instant) -> f64 {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat");
    let nanoseconds = told.ok().and_then(|told| told.split(' ').next()?.parse::<f64>().ok());
    nanoseconds.map_or_else(|| start.elapsed().as_secs_f64(), |told| told / 1e9)
}

/// Executions a second, of searches that are begun anew until the sample is full. Blocked ones are
/// not counted, though they take time.
fn rate(name: &str, scenario: &Scenario, strategy: impl Fn(u64) -> Strategy) {
    let (mut executions, mut steps, mut searches) = (0, 0, 0);
    let start = Instant::now();
    let began = seconds(start);
    while seconds(start) - began < SAMPLE {
        let search = searched(scenario, strategy(executions)).search;
        executions += search.executions;
        steps = search.steps_max.max(steps);
        searches += 1;
    }
    let rate = (executions as f64 / (seconds(start) - began)) as u64;
    println!(
        "{name:<24} {executions:>9} executions in {searches:>5} searches, up to {steps} steps: {rate:>7}/s  {}",
        grade(rate, MUST_RATE, STRETCH_RATE)
    );
}

/// Executions to exhaust the scenario, with reduction and without.
fn ratio(name: &str, scenario: &Scenario) {
    let reduced = searched(scenario, REDUCED).search;
    let every = searched(scenario, EVERY_SEQUENCE).search;
    println!(
        "{name:<24} {:>9} executions and {} blocked, {} in {:.3} s",
        reduced.executions,
        reduced.blocked,
        if reduced.incomplete.is_none() { "exhausted" } else { "NOT exhausted" },
        reduced.seconds
    );
    let ratio = every.executions / (reduced.executions + reduced.blocked);
    let verdict = match (&reduced.incomplete, &every.incomplete) {
        (None, None) => format!("1/{ratio}  {}", grade(ratio, MUST_RATIO, STRETCH_RATIO)),
        (None, Some(_)) if ratio >= MUST_RATIO => {
            format!("1/{ratio} or less  {}", grade(ratio, MUST_RATIO, STRETCH_RATIO))
        }
        // What was cut off too early to bound the ratio says nothing.
        _ => "no ratio".to_owned(),
    };
    let at_least = if every.incomplete.is_none() { "" } else { "more than " };
    println!("{:<24} every sequence: {at_least}{}; {verdict}", "", every.executions);
}

/// The machine that the figures are of.
fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{}, {cores} cores, one used", model.unwrap_or("unknown processor"))
}

fn main() {
    println!("{}", machine());
    println!(
        "P11: executions a second must {MUST_RATE}, stretch {STRETCH_RATE}; ratio must 1/{MUST_RATIO}, stretch 1/{STRETCH_RATIO}"
    );
    let one = parsed(shipped());
    let two = parsed(&with_two_pinners(shipped()));
    rate("one pins, exhausted", &one, |_| REDUCED);
    rate("one pins, at random", &one, |seed| Strategy::Random { seed, runs: 20_000 });
    rate("two pin, at random", &two, |seed| Strategy::Random { seed, runs: 20_000 });
    ratio("one pins", &one);
    ratio("two pin", &two);
}
