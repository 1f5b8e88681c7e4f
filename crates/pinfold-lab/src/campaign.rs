//! A search divided among threads, processes and machines, and in time.
//!
//! The search of a scenario is divided into jobs ([`pinfold_explore::jobs`]): beginnings of
//! executions, or runs of a random search. Which thread does which job does not affect what they
//! find together.
//!
//! INV-CAMPAIGN-1: a job is done by one thread at a time, which builds its own worlds; threads
//! share the scenario (which is never modified), the number of the next job, the remaining budget
//! of executions, and a flag that stops them.
//! INV-CAMPAIGN-2: an interrupted job continues from where it was interrupted. A [`Partial`] holds
//! the position together with what was counted up to there and no further, so each execution counts
//! once, however often the search is interrupted.
//! INV-CAMPAIGN-3: a partial result can pass only if it has every job, each run to its end; and it
//! cannot pass if the jobs together leave something out.
//! INV-CAMPAIGN-4: the limit on executions is never exceeded, however many threads there are.
//! INV-CAMPAIGN-5: a search that is not kept is divided only if it is long, as a division costs
//! some hundred executions. What was made before is not counted; its time is.

mod partial;
mod sound;
mod standing;
#[cfg(test)]
mod tests;

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pinfold_explore::{
    Budget, Completeness, Config, Job, Position, Search as Strategy, States, explore, jobs,
};

use crate::check::{
    CheckOptions, Found, Keep, Prepared, Progress, Trial, count, identify, leaves_out, question,
    reached, unless_vacuous,
};
use crate::report::{Report, Verdict, id};
use crate::workers::{Heard, Worker, share};

pub use partial::{CampaignError, Partial, Question, Shard, Unfinished, merge};
use standing::Standing;

/// How many jobs a search is divided into, at least, where that is possible: enough to keep some
/// dozens of threads busy to the end even though jobs differ in size. All shards must agree on it.
const JOBS: usize = 256;
/// A search of no more executions than this is done sooner in one piece.
const SHORT: u64 = 2_000;
/// How often the threads are checked while they send nothing.
const BEAT: Duration = Duration::from_millis(20);

/// A divided search, ready to run.
pub struct Campaign<'a> {
    prepared: &'a Prepared,
    options: CheckOptions,
    jobs: Vec<Job>,
    question: Question,
    /// The report of a search that has found nothing yet.
    blank: Report,
    /// How long the division took, and what was tried before: it counts towards the time limit.
    divided: Duration,
}

/// What a thread reports.
enum News {
    /// How far its job has come since it was started or resumed.
    At { thread: usize, at: pinfold_explore::Progress },
    /// The result of its job.
    Done { thread: usize, done: Box<Done> },
}

/// The result of a job since it was started or resumed.
struct Done {
    job: usize,
    /// What was explored, without the failure, if there was one.
    report: pinfold_explore::Report,
    /// How often each goal was reached.
    reached: Vec<u64>,
    found: Option<Found>,
}

/// What the threads share.
struct Work<'a> {
    /// The jobs to do; interrupted jobs come first.
    todo: Vec<(usize, Option<Position>)>,
    /// The other threads have finished.
    halt: &'a Arc<AtomicBool>,
    budget: Option<Budget>,
    until: Option<Duration>,
    /// What one job has explored, another need not.
    states: Option<States>,
}

/// What stopped the threads before their work was done.
#[derive(Default)]
struct Ended {
    /// The bound or the user's request that stopped them, in words.
    why: Option<String>,
    /// The same, if it is the time limit or the user's request.
    asked: Option<String>,
    /// The failure with the lowest job number among those found.
    failed: Option<Box<Done>>,
}

impl<'a> Campaign<'a> {
    /// Divides the search of the executions into jobs.
    ///
    /// # Errors
    /// When the time limit or the user's request ended that: the report of a search that has made
    /// no execution.
    pub fn new(prepared: &'a Prepared, options: &CheckOptions) -> Result<Self, Box<Report>> {
        Self::divided(prepared, options, JOBS)
    }

    /// The same with a different minimum number of jobs.
    fn divided(
        prepared: &'a Prepared,
        options: &CheckOptions,
        at_least: usize,
    ) -> Result<Self, Box<Report>> {
        let (time, config) = (&options.config.time, options.explored());
        let started = time.now();
        let (scenario, rules, plan) = (prepared.scenario(), prepared.rules(), &prepared.plan);
        let mut blank = question(scenario, &prepared.path, rules, options);
        blank.reached = reached(plan, &vec![0; plan.goals.len()]);
        blank.id = identify(scenario, rules, &blank);
        let mut trial = Trial::new(plan, Keep::Verdict);
        let Some(jobs) = jobs(&mut trial, &config, at_least) else {
            blank.search.seconds = time.since(started).as_secs_f64();
            let why = interruption(&config, time.since(started)).unwrap_or_default();
            blank.search.incomplete = Some(format!("{why} before it was divided into jobs"));
            blank.verdict = Verdict::Partial;
            return Err(Box::new(blank));
        };
        let texts: Vec<String> = jobs.iter().map(Job::to_string).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let question = Question {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            scenario: id(&[&crate::scenario::format(scenario)]),
            rules: rules.to_string(),
            model: blank.search.model,
            locks: blank.search.locks,
            strategy: blank.search.strategy,
            max_steps: options.config.max_steps,
            jobs: jobs.len(),
            division: id(&texts),
        };
        let divided = time.since(started);
        Ok(Self { prepared, options: options.clone(), jobs, question, blank, divided })
    }

    /// A result without any jobs, of the whole campaign or of one shard.
    pub fn begin(&self, shard: Option<Shard>) -> Partial {
        Partial::new(self.question.clone(), shard, self.blank.clone())
    }

    /// Checks that a partial result belongs to this campaign.
    ///
    /// # Errors
    /// When it does not, or is inconsistent.
    pub fn accepts(&self, partial: &Partial) -> Result<(), CampaignError> {
        partial.question.must_be(&self.question)?;
        partial.validate()?;
        partial.comes_from(&self.jobs)?;
        let known = identify(self.prepared.scenario(), self.prepared.rules(), &partial.report);
        if known != partial.report.id {
            let why = format!("its report has the id {}, not {known}", partial.report.id);
            return Err(CampaignError::Damaged(why));
        }
        Ok(())
    }

    /// Does the jobs that are still missing from `partial`, on `threads` threads, until one fails
    /// or something ends the search. The limits on executions and time in the options apply to this
    /// call. Returns the report on what `partial` contains afterwards.
    ///
    /// # Errors
    /// When the system allows no thread at all; `partial` is unchanged then.
    pub fn run(
        &self,
        partial: &mut Partial,
        threads: usize,
        progress: &mut dyn FnMut(&Progress),
    ) -> Result<Report, CampaignError> {
        if partial.has_failed() {
            return Ok(partial.shown());
        }
        let time = &self.options.config.time;
        let started = time.now().saturating_sub(self.divided);
        let halt = Arc::new(AtomicBool::new(false));
        let work = Work {
            todo: partial.todo(),
            halt: &halt,
            budget: self.options.config.max_executions.map(Budget::new),
            until: self.options.config.deadline.map(|limit| started.saturating_add(limit)),
            states: self.options.explored().states,
        };
        let mut ended = Ended::default();
        let mut standing = Standing::new(&self.jobs, partial);
        let work_on = |worker: &Worker<News>, task| self.work(&work, worker, task);
        let shared = share(threads, work.todo.len(), BEAT, work_on, |heard| {
            match heard {
                Heard::News(News::At { thread, at }) => standing.is_at(thread, at),
                Heard::News(News::Done { thread, done }) => {
                    standing.is_idle(thread);
                    self.keep(partial, &mut ended, done);
                }
                Heard::Fewer { started, wanted } => standing.is_short(started, wanted),
                Heard::Silence => {}
            }
            let elapsed = time.since(started);
            progress(&standing.progress(partial, elapsed));
            // A thread that reached the time limit first reports its own time.
            if ended.asked.is_none() {
                ended.asked = interruption(&self.options.config, elapsed);
                ended.why = ended.asked.clone().or(ended.why.take());
            }
            if ended.why.is_some() || ended.failed.is_some() {
                halt.store(true, Ordering::Relaxed);
            }
        });
        shared.map_err(|why| CampaignError::NoThread(why.to_string()))?;
        partial.report.search.seconds += time.since(started).as_secs_f64();
        Ok(self.conclude(partial, ended))
    }

    /// Does one job, unless the other threads have finished. A job that is interrupted or fails
    /// ends its thread.
    fn work(&self, work: &Work<'_>, worker: &Worker<News>, task: usize) -> ControlFlow<()> {
        if work.halt.load(Ordering::Relaxed) {
            return ControlFlow::Break(());
        }
        let (job, position) = &work.todo[task];
        let thread = worker.number();
        let mut trial = Trial::new(&self.prepared.plan, Keep::Verdict);
        let config = Config {
            job: Some(self.jobs[*job].clone()),
            resume: position.clone(),
            states: work.states.clone(),
            max_executions: None,
            budget: work.budget.clone(),
            deadline: work.until.map(|until| until.saturating_sub(self.options.config.time.now())),
            pause: Some(Arc::clone(work.halt)),
            ..self.options.explored()
        };
        let mut report =
            explore(&mut trial, &config, &mut |&at| worker.tell(News::At { thread, at }));
        let reached = trial.reached.counts();
        let found = report.failure.take().map(|failure| trial.found(failure));
        let goes_on = report.position.is_none() && found.is_none();
        let done = Box::new(Done { job: *job, report, reached, found });
        worker.tell(News::Done { thread, done });
        if goes_on { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }

    /// Adds the result of a job to the result it belongs to.
    fn keep(&self, partial: &mut Partial, ended: &mut Ended, done: Box<Done>) {
        if done.found.is_some() {
            if ended.failed.as_ref().is_none_or(|known| done.job < known.job) {
                ended.failed = Some(done);
            }
            return;
        }
        let counted = self.counted(&done);
        match (&done.report.position, &done.report.complete) {
            (Some(position), complete) => {
                partial.interrupt(done.job, position, counted);
                if let (None, Completeness::Bounded { why }) = (&ended.why, complete) {
                    ended.why = Some(why.clone());
                }
            }
            (None, _) => {
                let scenario = self.prepared.scenario();
                partial.leaves_out = leaves_out(scenario, &self.options, &done.report);
                partial.finish(done.job, &counted);
            }
        }
    }

    /// What a job counted since it was started or resumed.
    fn counted(&self, done: &Done) -> Report {
        let mut counted = self.blank.clone();
        count(&mut counted, &done.report, reached(&self.prepared.plan, &done.reached));
        // Both the time and the verdict are those of all threads together.
        counted.search.seconds = 0.0;
        counted.verdict = Verdict::Partial;
        counted
    }

    /// Updates the verdict of `partial` and returns the report to show.
    fn conclude(&self, partial: &mut Partial, ended: Ended) -> Report {
        partial.settle(ended.why.as_deref());
        let (scenario, rules) = (self.prepared.scenario(), self.prepared.rules());
        if let Some(mut done) = ended.failed {
            partial.count(done.job, &self.counted(&done));
            let mut report = partial.shown();
            if let Some(found) = done.found.take() {
                if let Completeness::Bounded { why } = &done.report.complete {
                    report.search.incomplete = Some(why.clone());
                }
                self.prepared.judge_failure(&mut report, &self.options, found);
            }
            report.id = identify(scenario, rules, &report);
            partial.report.adopt_failure(&report);
            return report;
        }
        partial.report.id = identify(scenario, rules, &partial.report);
        partial.shown()
    }
}

/// Searches on several threads what one thread cannot search soon, and keeps nothing for later.
///
/// # Errors
/// When the search cannot be divided, or the system allows no thread at all.
pub fn share_out(
    prepared: &Prepared,
    options: &CheckOptions,
    threads: usize,
    progress: &mut dyn FnMut(&Progress),
) -> Result<Report, CampaignError> {
    can_be_shared_out(options)?;
    let time = &options.config.time;
    let started = time.now();
    if let Some(report) = in_one_piece(prepared, options, progress) {
        return Ok(report);
    }
    let spent = time.since(started);
    let mut campaign = match Campaign::new(prepared, options) {
        Ok(campaign) => campaign,
        Err(report) => return Ok(*report),
    };
    campaign.divided += spent;
    let report = campaign.run(&mut campaign.begin(None), threads, progress)?;
    unless_vacuous(options, report, |options| share_out(prepared, options, threads, progress))
}

/// The report of a search that is short, or ends soon for another reason (INV-CAMPAIGN-5). The runs
/// of a random search cost nothing to divide, so none of them is short.
fn in_one_piece(
    prepared: &Prepared,
    options: &CheckOptions,
    progress: &mut dyn FnMut(&Progress),
) -> Option<Report> {
    match options.config.search {
        Strategy::Exhaustive { .. } => {}
        Strategy::Random { .. } | Strategy::Pct { .. } => return None,
    }
    let most = options.config.max_executions;
    let config =
        Config { max_executions: Some(most.unwrap_or(SHORT).min(SHORT)), ..options.config.clone() };
    let report = prepared.check(&CheckOptions { config, ..options.clone() }, progress);
    let long = report.verdict == Verdict::Partial
        && report.search.begun() >= SHORT
        && most.is_none_or(|most| most > SHORT);
    (!long).then_some(report)
}

/// Checks that a search can be divided among several threads or shards.
///
/// # Errors
/// When it has a bound on preemptions: such a search is a single job.
pub fn can_be_shared_out(options: &CheckOptions) -> Result<(), CampaignError> {
    match options.config.search {
        Strategy::Exhaustive { preemptions: Some(_) } => Err(CampaignError::Indivisible),
        Strategy::Exhaustive { preemptions: None }
        | Strategy::Random { .. }
        | Strategy::Pct { .. } => Ok(()),
    }
}

/// Why the search must stop here, if it must. The limit on executions stops the threads by itself.
fn interruption(config: &Config, elapsed: Duration) -> Option<String> {
    let Config { deadline, stop, .. } = config;
    if deadline.is_some_and(|deadline| elapsed >= deadline) {
        return Some(format!("stopped after {:.1} s", elapsed.as_secs_f64()));
    }
    let stopped = stop.as_ref().is_some_and(|stop| stop.load(Ordering::Relaxed));
    stopped.then(|| "stopped on request".to_owned())
}
