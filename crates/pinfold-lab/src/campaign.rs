//! A search divided among threads, processes and machines.
//!
//! The exhaustive search of a scenario is divided into jobs ([`pinfold_explore::jobs`]); who does
//! which of them changes nothing about what they find together.
//!
//! INV-CAMPAIGN-1: a job is done by one thread, which builds its own worlds; threads share the
//! scenario, which nobody changes, the number of the next job, and a flag that ends them.
//! INV-CAMPAIGN-2: a [`Partial`] counts only jobs that came to their end. What an interrupted job
//! saw is shown and then forgotten, so that doing it again counts nothing twice.
//! INV-CAMPAIGN-3: only a partial result that has every job can pass.

mod partial;
#[cfg(test)]
mod tests;

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use pinfold::rules::Rules;
use pinfold_explore::{Completeness, Config, Job, explore, jobs};

use crate::check::{
    CheckOptions, JobProgress, Keep, Progress, Strategy, Trial, count, identify, judge_failure,
    question, reached, refuse,
};
use crate::report::{Report, id};
use crate::scenario::{Scenario, ScenarioError};
use crate::world::Plan;

pub use partial::{CampaignError, Partial, Question, Shard, merge};

/// How many jobs a search is divided into, at least: enough that some dozens of threads stay busy
/// to the end though jobs differ in size. Shards have to agree on it.
const JOBS: usize = 256;
/// How often the threads are looked after while they send nothing.
const BEAT: Duration = Duration::from_millis(20);

/// A divided search, ready to be done.
pub struct Campaign<'a> {
    scenario: &'a Scenario,
    rules: &'a Rules,
    options: CheckOptions,
    jobs: Vec<Job>,
    question: Question,
    /// The report of a search that found nothing yet.
    blank: Report,
}

/// What a thread has to tell.
enum News {
    /// How far its job is.
    At { thread: usize, executions: u64, blocked: u64 },
    /// What its job came to.
    Found { thread: usize, found: Box<Found> },
}

/// What a job came to.
struct Found {
    job: usize,
    report: pinfold_explore::Report,
    /// How often each goal was reached.
    reached: Vec<u64>,
    oracle: Option<&'static str>,
    setup_error: Option<ScenarioError>,
    end: JobEnd,
}

/// How a job ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum JobEnd {
    /// By itself. Executions that reached the step limit count against the verdict.
    Done,
    /// Perhaps because it had to.
    Halted,
}

/// What ended the threads before their work was done.
#[derive(Default)]
struct Ended {
    /// A bound, or the one who asked, in words.
    why: Option<String>,
    /// The failure with the lowest job of those that were found.
    failed: Option<Box<Found>>,
    /// What jobs counted that did not come to their end.
    unfinished: Vec<Report>,
}

impl<'a> Campaign<'a> {
    /// Divides the search of `scenario`'s executions under `rules`.
    ///
    /// # Errors
    /// When there is nothing to search: the report that says why. When the strategy is not an
    /// exhaustive one without a bound, which alone can be divided.
    pub fn new(
        scenario: &'a Scenario,
        path: &str,
        rules: &'a Rules,
        options: &CheckOptions,
    ) -> Result<Self, CampaignError> {
        if options.strategy != (Strategy::Exhaustive { preemptions: None }) {
            return Err(CampaignError::Indivisible);
        }
        let mut blank = question(scenario, path, rules, options).map_err(CampaignError::Refused)?;
        let plan = Rc::new(Plan::new(scenario, rules));
        blank.reached = reached(&plan, &vec![0; plan.goals.len()], 0);
        blank.id = identify(scenario, rules, &blank);
        let mut trial = Trial::new(&plan, Keep::Verdict);
        let jobs = jobs(&mut trial, &options.config(), JOBS);
        if let Some(error) = trial.setup_error.borrow_mut().take() {
            return Err(CampaignError::Refused(Box::new(refuse(blank, &error))));
        }
        let texts: Vec<String> = jobs.iter().map(Job::to_string).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let question = Question {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            scenario: id(&[&crate::scenario::format(scenario)]),
            rules: rules.to_string(),
            model: blank.search.model.clone(),
            max_steps: options.max_steps,
            jobs: jobs.len(),
            division: id(&texts),
        };
        Ok(Self { scenario, rules, options: options.clone(), jobs, question, blank })
    }

    /// A result without any job, of the whole campaign or of one shard.
    pub fn begin(&self, shard: Option<Shard>) -> Partial {
        Partial::new(self.question.clone(), shard, self.blank.clone())
    }

    /// Makes sure that a partial result is one of this campaign.
    ///
    /// # Errors
    /// When it is not, or makes no sense.
    pub fn accepts(&self, partial: &Partial) -> Result<(), CampaignError> {
        partial.validate()?;
        partial.question.must_be(&self.question)
    }

    /// Does the jobs that `partial` still lacks, on `threads` threads, until one fails or something
    /// ends the search. Returns the report on what `partial` then has, together with what
    /// interrupted jobs saw.
    pub fn run(
        &self,
        partial: &mut Partial,
        threads: usize,
        progress: &mut dyn FnMut(&Progress),
    ) -> Report {
        if partial.has_failed() {
            return partial.report.clone();
        }
        let started = Instant::now();
        let todo: Vec<usize> = partial.lacks().collect();
        let halt = Arc::new(AtomicBool::new(false));
        let next = AtomicUsize::new(0);
        let ended = thread::scope(|scope| {
            let (send, receive) = mpsc::channel();
            for thread in 0..threads.clamp(1, todo.len().max(1)) {
                let (send, halt, next, todo) = (send.clone(), &halt, &next, &todo);
                scope.spawn(move || self.work(thread, todo, next, halt, &send));
            }
            // The threads hold the other ends; when the last of them is gone, so is the channel.
            drop(send);
            self.supervise(partial, &receive, &halt, started, progress)
        });
        partial.report.search.seconds += started.elapsed().as_secs_f64();
        self.conclude(partial, ended)
    }

    /// One thread: does one job after the other.
    fn work(
        &self,
        thread: usize,
        todo: &[usize],
        next: &AtomicUsize,
        halt: &Arc<AtomicBool>,
        send: &Sender<News>,
    ) {
        let plan = Rc::new(Plan::new(self.scenario, self.rules));
        while !halt.load(Ordering::Relaxed)
            && let Some(&job) = todo.get(next.fetch_add(1, Ordering::Relaxed))
        {
            let mut trial = Trial::new(&plan, Keep::Verdict);
            let config = Config {
                job: Some(self.jobs[job].clone()),
                max_executions: None,
                deadline: None,
                stop: Some(Arc::clone(halt)),
                ..self.options.config()
            };
            let report = explore(&mut trial, &config, &mut |at| {
                let (executions, blocked) = (at.executions, at.blocked);
                // Whoever does not listen any more has ended everything.
                let _ = send.send(News::At { thread, executions, blocked });
            });
            let setup_error = trial.setup_error.borrow_mut().take();
            let Trial { reached, oracle, .. } = trial;
            let end = match report.complete {
                Completeness::Bounded { .. } if halt.load(Ordering::Relaxed) => JobEnd::Halted,
                _ => JobEnd::Done,
            };
            let found = Box::new(Found { job, report, reached, oracle, setup_error, end });
            if send.send(News::Found { thread, found }).is_err() {
                return;
            }
        }
    }

    /// Gathers what the threads find, and ends them when there is a reason to.
    fn supervise(
        &self,
        partial: &mut Partial,
        receive: &Receiver<News>,
        halt: &AtomicBool,
        started: Instant,
        progress: &mut dyn FnMut(&Progress),
    ) -> Ended {
        let mut ended = Ended::default();
        let mut running: Vec<(u64, u64)> = Vec::new();
        loop {
            match receive.recv_timeout(BEAT) {
                Ok(News::At { thread, executions, blocked }) => {
                    *slot(&mut running, thread) = (executions, blocked);
                }
                Ok(News::Found { thread, found }) => {
                    *slot(&mut running, thread) = (0, 0);
                    self.keep(partial, &mut ended, found);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return ended,
            }
            let search = &partial.report.search;
            let at = Progress {
                executions: search.executions + running.iter().map(|at| at.0).sum::<u64>(),
                blocked: search.blocked + running.iter().map(|at| at.1).sum::<u64>(),
                bound: None,
                jobs: Some(JobProgress { done: partial.done(), of: partial.share() }),
                elapsed: started.elapsed(),
            };
            progress(&at);
            if ended.why.is_none() {
                ended.why = self.stop_reason(&at);
            }
            if ended.why.is_some() || ended.failed.is_some() {
                halt.store(true, Ordering::Relaxed);
            }
        }
    }

    /// Why the search must stop here, if it must.
    fn stop_reason(&self, at: &Progress) -> Option<String> {
        let CheckOptions { max_executions, deadline, stop, .. } = &self.options;
        if max_executions.is_some_and(|most| at.executions + at.blocked >= most) {
            return Some(format!("stopped after {} executions", at.executions + at.blocked));
        }
        if deadline.is_some_and(|deadline| at.elapsed >= deadline) {
            return Some(format!("stopped after {:.1} s", at.elapsed.as_secs_f64()));
        }
        let stopped = stop.as_ref().is_some_and(|stop| stop.load(Ordering::Relaxed));
        stopped.then(|| "stopped on request".to_owned())
    }

    /// Adds what a job came to, to what it belongs to.
    fn keep(&self, partial: &mut Partial, ended: &mut Ended, found: Box<Found>) {
        if found.report.failure.is_some() || found.setup_error.is_some() {
            if ended.failed.as_ref().is_none_or(|known| found.job < known.job) {
                ended.failed = Some(found);
            }
            return;
        }
        let counted = self.counted(&found);
        match found.end {
            JobEnd::Done => partial.add(found.job, &counted),
            JobEnd::Halted => ended.unfinished.push(counted),
        }
    }

    /// What a job counted, as a report.
    fn counted(&self, found: &Found) -> Report {
        let mut counted = self.blank.clone();
        let plan = Plan::new(self.scenario, self.rules);
        let goals = reached(&plan, &found.reached, found.report.executions);
        count(&mut counted, &found.report, goals);
        // Time is measured for all threads together.
        counted.search.seconds = 0.0;
        counted
    }

    /// Brings the verdict of `partial` up to date, and says what is to be shown.
    fn conclude(&self, partial: &mut Partial, ended: Ended) -> Report {
        partial.settle(ended.why.as_deref());
        if let Some(found) = ended.failed {
            let counted = self.counted(&found);
            let mut report = partial.report.clone();
            report.absorb(&counted);
            if let Some(error) = &found.setup_error {
                return refuse(report, error);
            }
            if let Some(failure) = &found.report.failure {
                let plan = Rc::new(Plan::new(self.scenario, self.rules));
                report.search.incomplete = Some("stopped at the first failure".to_owned());
                judge_failure(&mut report, &plan, &self.options, failure, found.oracle);
            }
            report.id = identify(self.scenario, self.rules, &report);
            partial.report = report.clone();
            return report;
        }
        let mut report = partial.report.clone();
        ended.unfinished.iter().for_each(|counted| report.absorb(counted));
        report.id = identify(self.scenario, self.rules, &report);
        report
    }
}

/// The place of a thread in a list that grows with them.
fn slot(running: &mut Vec<(u64, u64)>, thread: usize) -> &mut (u64, u64) {
    if running.len() <= thread {
        running.resize(thread + 1, (0, 0));
    }
    &mut running[thread]
}
