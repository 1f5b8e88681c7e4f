//! Paired measurement: the library and its limit take turns in one run, each on the thread's CPU
//! time, and the median of the ratios counts.
//!
//! Neighbours, frequency and cache luck then hit both alike; what is left is a property of the
//! code.

use std::time::Duration;

/// CPU time that the calling thread has used.
#[cfg(unix)]
fn thread_time() -> Duration {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is a valid place for the result.
    let failed = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut now) };
    assert_eq!(failed, 0, "this system has no thread CPU clock");
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

/// The wall clock: this system is not asked for a thread's CPU time.
#[cfg(not(unix))]
fn thread_time() -> Duration {
    static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    START.get_or_init(std::time::Instant::now).elapsed()
}

/// What `work` gave, and the CPU time that it took.
pub(crate) fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = thread_time();
    let result = work();
    (result, thread_time() - start)
}

/// A goal as a ratio.
#[derive(Clone, Copy)]
pub(crate) struct Goal {
    pub(crate) must: f64,
    pub(crate) stretch: f64,
}

impl Goal {
    /// How `value` stands against it; smaller is better.
    pub(crate) fn verdict(self, value: f64) -> String {
        let judge = |bound: f64| if value <= bound { "met" } else { "MISSED" };
        let Self { must, stretch } = self;
        format!("must {must:.2} {}, stretch {stretch:.2} {}", judge(must), judge(stretch))
    }
}

/// Times of one operation, in pairs.
pub(crate) struct Pairs {
    name: &'static str,
    pages: u64,
    goal: Option<Goal>,
    taken: Vec<(Duration, Duration)>,
}

impl Pairs {
    pub(crate) fn new(name: &'static str, pages: u64, goal: Goal) -> Self {
        Self { name, pages, goal: Some(goal), taken: Vec::new() }
    }

    /// Of an operation for which the project has no goal.
    pub(crate) fn without_goal(name: &'static str, pages: u64) -> Self {
        Self { name, pages, goal: None, taken: Vec::new() }
    }

    /// Takes one pair.
    pub(crate) fn add(&mut self, ours: Duration, limit: Duration) {
        self.taken.push((ours, limit));
    }

    /// Prints the medians, without the first pair, which has warmed the caches up.
    pub(crate) fn report(&self) {
        let pairs = &self.taken[1..];
        let per_page = |time: Duration| time.as_secs_f64() * 1e9 / self.pages as f64;
        let ours = median(pairs.iter().map(|pair| per_page(pair.0)));
        let limit = median(pairs.iter().map(|pair| per_page(pair.1)));
        let ratio = median(pairs.iter().map(|(a, b)| a.as_secs_f64() / b.as_secs_f64()));
        let verdict = self.goal.map_or(String::new(), |goal| goal.verdict(ratio));
        let name = self.name;
        println!("{name:<42} {ours:7.1} ns  limit {limit:7.1} ns  ratio {ratio:5.2}  {verdict}");
    }
}

/// The middle one of some values.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
