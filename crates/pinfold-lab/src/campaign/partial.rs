//! The part of a campaign that one process has done, as a file, and how such parts are joined.
//!
//! INV-PARTIAL-1: the counts of [`Partial::report`] are those of the jobs in [`Partial::finished`]
//! and of the job that failed, if one did. A job in [`Partial::unfinished`] has its own counts:
//! those of the executions before its position. No job is in both.
//! INV-PARTIAL-2: only parts that answer the same [`Question`] are joined, and no job is joined
//! twice, whether finished or not.
//! INV-PARTIAL-3: a file carries the hash of its content and is read only if the two agree; beyond
//! that, what a part says of itself must fit together (`sound`).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use pinfold_explore::{LockForm, Model, Position};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::check::judge_search;
use crate::counted::counted;
use crate::report::{Chosen, FORMAT, Report, Search, Verdict, by_name, content_hash};

/// What a campaign asks: parts with different questions are unrelated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Question {
    /// The version of Pinfold: another version may divide or explore differently.
    pub version: String,
    /// A hash of the scenario's canonical text.
    pub scenario: String,
    /// The rules in force.
    pub rules: String,
    /// The memory model.
    #[serde(with = "by_name")]
    pub model: Model,
    /// What form the locks take.
    #[serde(with = "by_name")]
    pub locks: LockForm,
    /// How the executions are searched, with the seed of a random search.
    pub strategy: Chosen,
    /// The number of steps after which an execution is cut off.
    pub max_steps: u32,
    /// How many jobs there are.
    pub jobs: usize,
    /// A hash of the jobs.
    pub division: String,
}

impl Question {
    /// # Errors
    /// When the two differ: the first field in which they do.
    pub(super) fn must_be(&self, wanted: &Self) -> Result<(), CampaignError> {
        let sides = |question: &Self| {
            [
                ("version", question.version.clone()),
                ("scenario", question.scenario.clone()),
                ("rules", question.rules.clone()),
                ("model", question.model.to_string()),
                ("locks", question.locks.to_string()),
                ("strategy", question.strategy.to_string()),
                ("max-steps", question.max_steps.to_string()),
                ("jobs", question.jobs.to_string()),
                ("division", question.division.clone()),
            ]
        };
        let pairs = sides(self).into_iter().zip(sides(wanted));
        match pairs.into_iter().find(|((_, has), (_, wants))| has != wants) {
            None => Ok(()),
            Some(((what, has), (_, wants))) => Err(CampaignError::Mixed { what, has, wants }),
        }
    }
}

/// The most shards that a campaign may have: far more than the jobs that any is divided into.
const MOST_SHARDS: usize = 100_000;
/// The most missing shards that are named.
const NAMED: usize = 12;

/// One of several equal parts of a campaign; `2/4` as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Shard {
    /// Its number, counted from 1.
    pub index: usize,
    /// The number of shards.
    pub of: usize,
}

impl Shard {
    /// Whether the job belongs to the shard.
    fn has(self, job: usize) -> bool {
        job % self.of == self.index - 1
    }

    pub(super) fn is_valid(self) -> bool {
        self.of <= MOST_SHARDS && (1..=self.of).contains(&self.index)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.of)
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let numbers = text.split_once('/').and_then(|(index, of)| {
            Some(Self { index: index.parse().ok()?, of: of.parse().ok()? })
        });
        numbers.filter(|shard| shard.is_valid()).ok_or_else(|| {
            format!(
                "a shard and how many there are is needed, such as 1/4, 2/4, 3/4 and 4/4, and at \
                 most {MOST_SHARDS}"
            )
        })
    }
}

/// What one process has done of a campaign: the result of a shard, or a checkpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Partial {
    /// The version of this form, as in [`Report::pinfold`].
    pub pinfold: u32,
    /// The question it answers.
    pub question: Question,
    /// The shard, if the process does only that.
    pub shard: Option<Shard>,
    /// The jobs that ran to their end, in ascending order, each with the number of executions that
    /// were begun for it: those that [`Partial::report`] counts in one way or another.
    pub finished: BTreeMap<usize, u64>,
    /// The jobs that were started and interrupted.
    pub unfinished: BTreeMap<usize, Unfinished>,
    /// What a completed search leaves out, in words: the rest of a random search, or of one with a
    /// bound. Known once a job is finished.
    pub leaves_out: Option<String>,
    /// The result of the finished jobs, or the failure at which everything stopped.
    pub report: Report,
}

/// A job that was interrupted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Unfinished {
    /// Where it continues.
    #[serde(with = "by_name")]
    pub position: Position,
    /// What was counted up to there. A window that a search by bounds reaches repeatedly counts
    /// each time here.
    pub counted: Report,
}

/// A part as it stands in a file, with the hash of the text of `part`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed<'a> {
    pinfold: u32,
    hash: String,
    #[serde(borrow)]
    part: &'a RawValue,
}

impl Partial {
    /// The text of a file that holds this: a JSON document with the number of the form in
    /// `pinfold`, the part in `part`, and in `hash` the [`content_hash`] of the text of `part` as
    /// it stands in the file, from its first brace to its last.
    ///
    /// # Errors
    /// When the serializer refuses.
    pub fn write(&self) -> Result<String, serde_json::Error> {
        let part = serde_json::to_string_pretty(self)?;
        let hash = content_hash(&part);
        Ok(format!("{{\n\"pinfold\": {FORMAT},\n\"hash\": \"{hash}\",\n\"part\": {part}\n}}\n"))
    }

    /// Reads what [`Partial::write`] wrote.
    ///
    /// # Errors
    /// When it is something else, its content is not the one that was written, or it contradicts
    /// itself.
    pub fn read(text: &str) -> Result<Self, CampaignError> {
        let foreign = |why: serde_json::Error| CampaignError::Foreign(why.to_string());
        let sealed: Sealed<'_> = serde_json::from_str(text).map_err(foreign)?;
        if sealed.pinfold != FORMAT {
            let found = sealed.pinfold;
            return Err(CampaignError::Damaged(format!("it has form {found}, not {FORMAT}")));
        }
        if content_hash(sealed.part.get()) != sealed.hash {
            let why = "its content does not fit its hash, so it was changed after it was written";
            return Err(CampaignError::Damaged(why.to_owned()));
        }
        let partial: Self = serde_json::from_str(sealed.part.get()).map_err(foreign)?;
        partial.validate()?;
        Ok(partial)
    }

    pub(super) fn new(question: Question, shard: Option<Shard>, report: Report) -> Self {
        let mut partial = Self {
            pinfold: FORMAT,
            question,
            shard,
            finished: BTreeMap::new(),
            unfinished: BTreeMap::new(),
            leaves_out: None,
            report,
        };
        partial.settle(None);
        partial
    }

    pub(super) fn has(&self, job: usize) -> bool {
        self.shard.is_none_or(|shard| shard.has(job))
    }

    /// The jobs that are done here or were started.
    pub(super) fn begun(&self) -> impl Iterator<Item = usize> {
        self.finished.keys().chain(self.unfinished.keys()).copied()
    }

    /// The jobs that are still to be done here, and where they continue; interrupted jobs come
    /// first, so that they do not pile up.
    pub(super) fn todo(&self) -> Vec<(usize, Option<Position>)> {
        let goes_on =
            |(&job, unfinished): (&usize, &Unfinished)| (job, Some(unfinished.position.clone()));
        let begun: BTreeSet<usize> = self.begun().collect();
        let fresh = (0..self.question.jobs).filter(|job| self.has(*job) && !begun.contains(job));
        self.unfinished.iter().map(goes_on).chain(fresh.map(|job| (job, None))).collect()
    }

    /// How many jobs are done here.
    pub fn done(&self) -> usize {
        self.finished.len()
    }

    /// How many jobs are to be done here altogether.
    pub fn share(&self) -> usize {
        (0..self.question.jobs).filter(|&job| self.has(job)).count()
    }

    /// Whether a failure has ended the campaign.
    pub(super) fn has_failed(&self) -> bool {
        self.report.broken.is_some()
            || matches!(self.report.verdict, Verdict::Fail | Verdict::Skip | Verdict::Error)
    }

    /// A job ran to its end; `counted` is what it counted since it was started or resumed.
    pub(super) fn finish(&mut self, job: usize, counted: &Report) {
        let begun = self.count(job, counted);
        self.finished.insert(job, begun);
    }

    /// Counts a job that will not be resumed; returns how many executions were begun for it.
    pub(super) fn count(&mut self, job: usize, counted: &Report) -> u64 {
        let mut total = counted.clone();
        if let Some(before) = self.unfinished.remove(&job) {
            total.absorb(&before.counted);
        }
        total.cap_reached();
        self.report.absorb(&total);
        total.search.begun()
    }

    /// A job was interrupted; `counted` is what it counted since it was started or resumed. A job
    /// in which nothing has happened remains to be started.
    pub(super) fn interrupt(&mut self, job: usize, position: &Position, counted: Report) {
        if counted.search.begun() == 0 && !self.unfinished.contains_key(&job) {
            return;
        }
        let position = position.clone();
        match self.unfinished.get_mut(&job) {
            Some(before) => {
                before.position = position;
                before.counted.absorb(&counted);
            }
            None => {
                self.unfinished.insert(job, Unfinished { position, counted });
            }
        }
    }

    /// How much was searched, including unfinished jobs.
    pub(super) fn counted(&self) -> Search {
        let mut search = self.report.search.clone();
        self.unfinished.values().for_each(|job| search.absorb(&job.counted.search));
        search
    }

    /// The report to show, including what unfinished jobs have counted so far.
    pub(super) fn shown(&self) -> Report {
        let mut report = self.report.clone();
        for unfinished in self.unfinished.values() {
            let mut counted = unfinished.counted.clone();
            counted.cap_reached();
            report.absorb(&counted);
        }
        report
    }

    /// Updates the verdict; `why` says what ended the search early, if anything did.
    pub(super) fn settle(&mut self, why: Option<&str>) {
        let (done, share, jobs) = (self.done(), self.share(), self.question.jobs);
        let truncated = self.report.search.truncated;
        self.report.search.incomplete = if done < share {
            let why = why.map(|why| format!("{why}, ")).unwrap_or_default();
            Some(format!("{why}{done} of {} done", counted(share, "job", "jobs")))
        } else if let Some(shard) = self.shard.filter(|shard| shard.of > 1) {
            Some(format!("shard {shard} alone: {done} of {}", counted(jobs, "job", "jobs")))
        } else if self.leaves_out.is_some() {
            self.leaves_out.clone()
        } else if truncated > 0 {
            Some(format!(
                "{} reached {}",
                counted(truncated, "execution", "executions"),
                counted(self.question.max_steps, "step", "steps")
            ))
        } else {
            None
        };
        judge_search(&mut self.report);
    }
}

/// Joins parts of one campaign, each with the name of its file: one report on all of them.
///
/// A failure in any of them is the verdict. Otherwise, as long as jobs are missing, the verdict is
/// [`Verdict::Partial`], and the report says which shards are missing.
///
/// # Errors
/// When there are no parts, a part is inconsistent, or two parts answer different questions or have
/// a job in common.
pub fn merge(parts: &[(String, Partial)]) -> Result<Report, CampaignError> {
    let in_file = |file: &str| {
        let file = file.to_owned();
        move |error| CampaignError::InFile { file, error: Box::new(error) }
    };
    let Some(((_, first), others)) = parts.split_first() else {
        return Err(CampaignError::Nothing);
    };
    for (name, part) in parts {
        part.question.must_be(&first.question).map_err(in_file(name))?;
        part.validate().map_err(in_file(name))?;
    }
    let mut whole = Partial { shard: None, ..first.clone() };
    for (name, part) in others {
        let known: BTreeSet<usize> = whole.begun().collect();
        if let Some(job) = part.begun().find(|job| known.contains(job)) {
            return Err(in_file(name)(CampaignError::Duplicate { job }));
        }
        whole.finished.extend(part.finished.clone());
        whole.unfinished.extend(part.unfinished.clone());
        whole.leaves_out = whole.leaves_out.or_else(|| part.leaves_out.clone());
        whole.report.absorb(&part.report);
    }
    let failed = parts.iter().map(|(_, part)| part).find(|part| part.has_failed());
    match failed {
        Some(part) => whole.report.adopt_failure(&part.report),
        None => {
            let missing = missing(&whole, parts);
            whole.settle(missing.as_deref());
        }
    }
    Ok(whole.shown())
}

/// Which shards are missing or unfinished, if the parts are shards of the same division.
fn missing(whole: &Partial, parts: &[(String, Partial)]) -> Option<String> {
    let shards: Option<BTreeSet<Shard>> = parts.iter().map(|(_, part)| part.shard).collect();
    let shards = shards?;
    let of = shards.first()?.of;
    if shards.iter().any(|shard| shard.of != of) {
        return None;
    }
    let done = |shard: Shard| {
        (0..whole.question.jobs).all(|job| !shard.has(job) || whole.finished.contains_key(&job))
    };
    let missing = (1..=of).map(|index| Shard { index, of }).filter(|&shard| !done(shard));
    let missing: Vec<Shard> = missing.collect();
    let mut named: Vec<String> = missing
        .iter()
        .take(NAMED)
        .map(|shard| match shards.contains(shard) {
            true => format!("{shard} (not done)"),
            false => format!("{shard}"),
        })
        .collect();
    if missing.len() > NAMED {
        named.push(format!("and {} more", missing.len() - NAMED));
    }
    (!named.is_empty()).then(|| format!("missing shards {}", named.join(", ")))
}

/// Why a campaign cannot be started, resumed, or joined.
#[derive(Clone, Debug, PartialEq)]
pub enum CampaignError {
    /// A search with a bound on preemptions cannot be divided.
    Indivisible,
    /// Two parts answer different questions.
    Mixed {
        /// The field in which they differ.
        what: &'static str,
        /// What this part has.
        has: String,
        /// What it should have.
        wants: String,
    },
    /// A text that is no part at all; what the parser says.
    Foreign(String),
    /// A part that was changed after it was written, or contradicts itself.
    Damaged(String),
    /// A job is in two parts.
    Duplicate {
        /// The job.
        job: usize,
    },
    /// There is nothing to join.
    Nothing,
    /// The system does not allow a single thread; what it says.
    NoThread(String),
    /// Something is wrong with one of several parts.
    InFile {
        /// The name of its file.
        file: String,
        /// What is wrong with it.
        error: Box<CampaignError>,
    },
}

impl fmt::Display for CampaignError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Indivisible => f.write_str(
                "a search with --preemptions is one job, since a bound is searched only once the \
                 one before is exhausted: leave out --preemptions, or --shard and --jobs",
            ),
            Self::Mixed { what, has, wants } => write!(
                f,
                "its {what} is {has}, not {wants}: parts of different campaigns do not add up; \
                 search it again as part of this one"
            ),
            Self::Foreign(why) => write!(
                f,
                "it is no result of a divided search: {why}; `pinfold check --shard K/N --out FILE` \
                 and `--checkpoint FILE` write them"
            ),
            Self::Damaged(why) => {
                write!(f, "it is no result that Pinfold wrote: {why}; search this part again")
            }
            Self::Duplicate { job } => {
                write!(f, "job {job} is in an earlier file, too: name each shard's result once")
            }
            Self::Nothing => f.write_str("there is nothing to join: name the results of shards"),
            Self::NoThread(why) => write!(
                f,
                "the system does not allow a single thread: {why}; raise its limit on processes, \
                 or end others"
            ),
            Self::InFile { file, error } => write!(f, "{file}: {error}"),
        }
    }
}

impl std::error::Error for CampaignError {}
