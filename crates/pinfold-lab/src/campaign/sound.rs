//! Whether what a part says of itself fits together.
//!
//! The hash in its file tells whether a part is the one that was written. What is asked here holds
//! for a part with any hash: a verdict must follow from the content, and the content must be one
//! that a search can leave behind. Who makes up counts that fit each other is not found out.
//!
//! INV-SOUND-1: a part that [`super::Campaign::run`] left behind is sound.
//! INV-SOUND-2: a sound part that says that something broke has a verdict that says so, too.

use pinfold_explore::Job;

use super::partial::{CampaignError, Partial};
use crate::report::{Chosen, FORMAT, Mode, Report, Search, Verdict, Way};

/// The most jobs that a campaign is divided into, and more.
const MOST_JOBS: usize = 1_000_000;

impl Partial {
    /// # Errors
    /// When the statements of the part contradict each other, or it is of another format.
    pub(super) fn validate(&self) -> Result<(), CampaignError> {
        // Later questions rely on the numbers that earlier ones bound.
        let asked: [fn(&Self) -> Option<String>; 5] = [
            Self::wrong_form,
            Self::wrong_jobs,
            Self::wrong_question,
            Self::wrong_counts,
            Self::wrong_verdict,
        ];
        refuse(asked.into_iter().find_map(|wrong| wrong(self)))
    }

    /// # Errors
    /// When the part cannot come from these jobs: a finished job of a random search has made all of
    /// its runs.
    pub(super) fn comes_from(&self, jobs: &[Job]) -> Result<(), CampaignError> {
        let wrong = self.finished.iter().find_map(|(&job, &begun)| {
            let runs = jobs.get(job).and_then(Job::executions)?;
            (runs != begun).then(|| format!("job {job} has {runs} runs, and it counts {begun}"))
        });
        refuse(wrong)
    }

    fn wrong_form(&self) -> Option<String> {
        if self.pinfold != FORMAT || self.report.pinfold != FORMAT {
            return Some(format!("it has format {}, not {FORMAT}", self.pinfold));
        }
        let known = self.shard.is_none_or(super::Shard::is_valid);
        (!known).then(|| "there is no such shard".to_owned())
    }

    fn wrong_jobs(&self) -> Option<String> {
        if self.question.jobs > MOST_JOBS {
            return Some(format!("no search has {} jobs", self.question.jobs));
        }
        let mine = |job: usize| self.has(job) && job < self.question.jobs;
        if let Some(job) = self.begun().find(|&job| !mine(job)) {
            return Some(format!("job {job} is not one of its jobs"));
        }
        let both = self.unfinished.keys().find(|job| self.finished.contains_key(job));
        both.map(|job| format!("job {job} is finished and not finished"))
    }

    /// The reports in it answer its question.
    fn wrong_question(&self) -> Option<String> {
        let question = &self.question;
        let differs = |report: &Report| {
            let Search { model, locks, strategy, .. } = report.search;
            report.mode != Mode::Check
                || report.rules != question.rules
                || (model, locks, strategy) != (question.model, question.locks, question.strategy)
                || report.search.steps_max > u64::from(question.max_steps)
        };
        let random = match question.strategy {
            Chosen::Search(Way::Random { .. } | Way::Pct { .. }) => true,
            Chosen::Search(Way::Exhaustive | Way::Preemptions(_)) => false,
            Chosen::AsWritten | Chosen::Then(..) | Chosen::Replay(_) => {
                return Some(format!("no search in jobs goes by `{}`", question.strategy));
            }
        };
        let exhaustive = question.strategy == Chosen::Search(Way::Exhaustive);
        let left_out = self.leaves_out.is_some();
        if self.reports().any(differs) {
            Some("its report answers another question".to_owned())
        } else if (random && left_out == self.finished.is_empty()) || (exhaustive && left_out) {
            Some("it does not leave out what such a search does".to_owned())
        } else {
            None
        }
    }

    fn wrong_counts(&self) -> Option<String> {
        if let Some(why) = self.reports().find_map(miscounted) {
            return Some(why);
        }
        let names = |report: &Report| {
            report.reached.iter().map(|goal| goal.what.clone()).collect::<Vec<String>>()
        };
        let known = names(&self.report);
        if self.reports().any(|report| names(report) != known) {
            return Some("its jobs count different windows".to_owned());
        }
        let interrupted = self.unfinished.values().map(|job| job.counted.search.begun());
        if self.finished.values().copied().chain(interrupted).any(|begun| begun == 0) {
            return Some("a job was finished or interrupted before it was begun".to_owned());
        }
        let jobs = self.finished.values().fold(0, |sum: u64, begun| sum.saturating_add(*begun));
        let all = self.report.search.begun();
        // The job that failed is counted, but not finished.
        let adds_up = jobs == all || (self.has_failed() && jobs < all);
        (!adds_up).then(|| format!("its jobs made {jobs} executions, and it counts {all}"))
    }

    /// The verdict is the one that follows from the rest.
    fn wrong_verdict(&self) -> Option<String> {
        let report = &self.report;
        let broken = |report: &Report| report.broken.is_some();
        let mut jobs = self.unfinished.values().map(|job| &job.counted);
        if jobs.any(|counted| counted.verdict != Verdict::Partial || broken(counted)) {
            return Some("a job that was interrupted has a verdict of its own".to_owned());
        }
        let says = match (report.verdict, broken(report)) {
            // Either an execution broke something, or none reached a window.
            (Verdict::Fail, true) => true,
            (Verdict::Skip, false) => report.search.incomplete.is_some(),
            (Verdict::Pass | Verdict::Partial, false) => {
                let mut settled = self.clone();
                settled.settle(None);
                settled.report.verdict == report.verdict
                    && settled.report.search.incomplete.is_some()
                        == report.search.incomplete.is_some()
                    && report.trace.is_none()
            }
            _ => false,
        };
        (!says).then(|| "its verdict does not follow from its content".to_owned())
    }

    /// All reports in it.
    fn reports(&self) -> impl Iterator<Item = &Report> {
        let jobs = self.unfinished.values().map(|job| &job.counted);
        std::iter::once(&self.report).chain(jobs)
    }
}

fn refuse(why: Option<String>) -> Result<(), CampaignError> {
    why.map_or(Ok(()), |why| Err(CampaignError::Damaged(why)))
}

/// Why the counts of a report cannot be those of a search, if they cannot: every execution that
/// ended has one outcome, and outcomes are sorted by their labels.
fn miscounted(report: &Report) -> Option<String> {
    let total = report.outcomes.iter().fold(0, |sum: u64, one| sum.saturating_add(one.count));
    let executions = report.search.executions;
    if total != executions {
        return Some(format!("it has {total} outcomes of {executions} executions"));
    }
    let sorted = report.outcomes.is_sorted_by(|one, next| one.label < next.label);
    (!sorted).then(|| "its outcomes are not in order".to_owned())
}
