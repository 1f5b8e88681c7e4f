//! The line and the rate.

use super::*;
use pinfold_lab::{JobProgress, SearchProgress};

const AT: SearchProgress = SearchProgress {
    executions: 1_204_332,
    blocked: 0,
    pruned: 0,
    truncated: 0,
    bound: None,
    ahead: None,
    elapsed: Duration::from_millis(41_000),
};

fn line(search: SearchProgress, jobs: Option<JobProgress>, rate: Option<f64>) -> String {
    searched("fork-races-fast-pin", "latest", &Progress { search, jobs }, rate)
}

#[test]
fn the_line_says_what_the_search_knows() {
    assert_eq!(
        line(AT, None, None),
        "fork-races-fast-pin under latest: 1,204,332 executions, 41.0 s"
    );
    let ahead = Some(Ahead::Alternatives { open: 37, from: 4, depth: 35 });
    let jobs = Some(JobProgress { done: 12, of: 256, fewer: None });
    assert_eq!(
        line(SearchProgress { ahead, executions: 900, ..AT }, jobs, Some(31.4)),
        "fork-races-fast-pin under latest: 900 executions, 31/s, 37 open from step 4, \
         12 of 256 jobs, 41.0 s"
    );
    let one = Some(JobProgress { done: 0, of: 1, fewer: None });
    assert_eq!(
        line(SearchProgress { bound: Some(2), executions: 900, ..AT }, one, Some(31.6)),
        "fork-races-fast-pin under latest: 900 executions, 32/s, preemptions <= 1 done, \
         at 2, 41.0 s"
    );
    let first = line(SearchProgress { bound: Some(0), ..AT }, None, None);
    assert!(first.contains(", preemptions: at 0,"), "{first}");
    let ahead = Some(Ahead::Runs { done: 300_000, of: 1_000_000 });
    assert_eq!(
        line(SearchProgress { ahead, ..AT }, None, Some(31_204.0)),
        "fork-races-fast-pin under latest: 300,000 of 1,000,000 runs, 31,204/s, 41.0 s"
    );
}

#[test]
fn the_line_fits_whatever_it_says() {
    let ahead = Some(Ahead::Alternatives { open: 1_234, from: 1_000, depth: 9_999 });
    let jobs = Some(JobProgress { done: 12, of: 256, fewer: None });
    let search = SearchProgress { ahead, blocked: 1_022, ..AT };
    let crowded = Progress { search, jobs };
    let line = searched("fork-races-fast-pin", "5.17,numa-skip=ref-count", &crowded, Some(9e4));
    assert!(width(&line) <= WIDTH && !line.contains("blocked"), "{line}");
    assert!(line.starts_with("fork-races") && line.ends_with(", 41.0 s"), "{line}");
    let search =
        SearchProgress { executions: u64::MAX, blocked: u64::MAX, bound: Some(9), ..search };
    let huge = Progress { search, jobs };
    assert!(width(&searched("s", "latest", &huge, Some(9e9))) <= WIDTH);
}

#[test]
fn the_rate_is_that_of_the_recent_past() {
    let mut rate = Rate::default();
    assert_eq!(rate.now(Duration::ZERO, 1_000_000), None, "a resumed search begins with many");
    assert_eq!(rate.now(Duration::from_millis(50), 1_000_100), None);
    let fast = (1..=100)
        .map(|tenth| rate.now(Duration::from_millis(tenth * 100), 1_000_000 + tenth * 100));
    assert_eq!(fast.last().flatten().map(f64::round), Some(1_000.0));
    let slow = (101..=200)
        .map(|tenth| rate.now(Duration::from_millis(tenth * 100), 1_010_000 + (tenth - 100)));
    assert_eq!(slow.last().flatten().map(f64::round), Some(10.0));
    assert!(rate.seen.len() < 25, "{}", rate.seen.len());
}
