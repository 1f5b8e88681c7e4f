//! Goal P11 on the memory manager itself: executions a second of fork against a lock-free pin, and executions to exhaust it, against the
//! depth-first search without reduction.
//!
//! `cargo bench -p pinfold-lab`. An execution builds a machine, runs the setup, explores the lanes and judges the end.

use std::path::Path;
use std::time::Duration;

use pinfold::Rules;
use pinfold_lab::report::{Report, Verdict};
use pinfold_lab::scenario::{self, Scenario};
use pinfold_lab::{CheckOptions, Model, Strategy, check};

/// Executions that the search without reduction may make.
const MOST: u64 = 2_000_000;
/// Executions of a random search.
const RUNS: u64 = 200_000;
/// How often a long search says how far it is.
const EVERY: Duration = Duration::from_secs(5);

/// What is measured: scenarios that hold under the rules, so that all of their executions are made.
const ROWS: [(&str, &str); 3] = [
    ("fork-races-fast-pin", "latest"),
    ("unmap-races-pin", "latest"),
    ("fast-pin-reused-frame", "latest"),
];

fn shipped(name: &str) -> Scenario {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../scenarios/{name}.pf"));
    let text = std::fs::read_to_string(path).expect("the scenario is shipped");
    scenario::parse(&text).expect("shipped scenarios are scenarios")
}

fn checked(scenario: &Scenario, rules: &str, strategy: Strategy) -> Report {
    let rules = Rules::parse(rules).expect("the rules exist");
    let max_executions = Some(MOST);
    let options =
        CheckOptions { model: Model::Weak, strategy, max_executions, ..CheckOptions::default() };
    let mut said = EVERY;
    check(scenario, "bench.pf", &rules, &options, &mut |at| {
        if at.elapsed >= said {
            said += EVERY;
            eprintln!("{} executions, {:.0} s", at.executions, at.elapsed.as_secs_f64());
        }
    })
}

/// What the figures were taken on.
fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find(|line| line.starts_with("model name"));
    let model =
        model.and_then(|line| line.split_once(": ")).map_or("unknown CPU", |(_, name)| name);
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{model}, {cpus} CPUs, of which one is used")
}

fn main() {
    println!("{}\n", machine());
    println!(
        "P11, weak model: must 50,000 executions/s and 1/1,000 of the executions of a depth-first search\n     \
         without reduction; stretch 150,000/s and 1/20,000"
    );
    println!(
        "{:<20} {:>12} {:>10} {:>8} {:>9} {:>13} {:>12}",
        "scenario", "per second", "to exhaust", "blocked", "seconds", "not reduced", "ratio"
    );
    for (name, rules) in ROWS {
        let scenario = shipped(name);
        let random = checked(&scenario, rules, Strategy::Random { seed: 1, runs: RUNS });
        let reduced = checked(&scenario, rules, Strategy::Exhaustive { preemptions: None });
        assert_eq!(reduced.verdict, Verdict::Pass, "{name}: {:?}", reduced.broken);
        let all = checked(&scenario, rules, Strategy::Exhaustive { preemptions: Some(u32::MAX) });
        let (more, less) = match all.verdict {
            Verdict::Pass => ("", ""),
            _ => ("> ", "< "),
        };
        println!(
            "{name:<20} {:>12.0} {:>10} {:>8} {:>9.3} {:>13} {:>12}",
            random.search.executions as f64 / random.search.seconds,
            reduced.search.executions,
            reduced.search.blocked,
            reduced.search.seconds,
            format!("{more}{}", all.search.executions),
            format!("{less}1/{}", all.search.executions / reduced.search.executions.max(1)),
        );
    }
}
