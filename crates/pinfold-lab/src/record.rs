//! What happened in an execution: always enough for oracles and coverage, and everything for a
//! trace if requested.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use pinfold::{Event, EventKind, Pfn, SpaceId, Weight};
use pinfold_explore::hook;

use crate::access::Places;
use crate::report::{Finding, Oracle};
use crate::scenario::{Activity, Verb};

/// An event that a scenario wants reached: a kind of event or a kind of step, perhaps while another
/// lane does something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Goal {
    pub(crate) event: String,
    pub(crate) during: Option<Activity>,
}

/// How many executions reached each goal.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally(Arc<[AtomicU64]>);

impl Tally {
    /// None of so many goals was reached.
    pub(crate) fn new(goals: usize) -> Self {
        Self((0..goals).map(|_| AtomicU64::new(0)).collect())
    }

    /// The counts.
    pub(crate) fn counts(&self) -> Vec<u64> {
        self.0.iter().map(|count| count.load(Ordering::Relaxed)).collect()
    }
}

/// What a lane is doing.
#[derive(Clone, Copy, Debug, Default)]
struct Doing {
    verb: Option<Verb>,
    fast: bool,
}

impl Doing {
    fn is(self, activity: Activity) -> bool {
        match activity {
            Activity::Step(verb) => self.verb == Some(verb),
            Activity::FastPin => self.fast && self.verb == Some(Verb::Pin),
            Activity::FastGet => self.fast && self.verb == Some(Verb::Get),
        }
    }
}

/// One line of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// The lane; none for what runs alone.
    pub(crate) lane: Option<usize>,
    /// What happened.
    pub(crate) what: What,
    /// How many times in a row.
    pub(crate) times: u32,
    /// What had changed by then in the watched pages.
    pub(crate) state: Option<String>,
}

/// What a line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// A step of the scenario began.
    Step(String),
    /// The memory manager reported an event.
    Event(EventKind),
    /// The result of a step.
    Result(String),
}

/// A page whose entry and frame a trace shows.
#[derive(Clone, Debug)]
struct Watched {
    name: String,
    root: Pfn,
    page: u64,
    shown: String,
}

/// Describes the current entry and frame of a page, given the root of its tables and its number.
pub(crate) type Describe = dyn Fn(Pfn, u64) -> String + Send + Sync;

/// The full record of one execution.
#[derive(Default)]
struct Journal {
    lines: Vec<Line>,
    watched: Vec<Watched>,
    places: Places,
    /// Belongs to the world, which owns the memory that it inspects.
    describe: Option<Weak<Describe>>,
}

/// What happened.
#[derive(Default)]
pub(crate) struct Record {
    goals: Arc<[Goal]>,
    /// Which goals this execution reached.
    reached: Vec<bool>,
    /// How many executions reached each goal. Noted when it is reached: an execution that the
    /// explorer abandons is never judged.
    tally: Tally,
    doing: Vec<Doing>,
    /// Entries that were zapped because their owner gave the page up, each with the number of its
    /// last zap.
    pub(crate) zapped: BTreeMap<(SpaceId, u64), u64>,
    /// Counts zaps.
    pub(crate) zaps: u64,
    /// The oracles that broke while the execution ran, each with its first finding.
    pub(crate) broken: Vec<Finding>,
    journal: Option<Journal>,
}

impl Record {
    /// A record for `lanes` lanes.
    pub(crate) fn new(goals: Arc<[Goal]>, lanes: usize, tally: Tally) -> Self {
        Self {
            tally,
            reached: vec![false; goals.len()],
            goals,
            doing: vec![Doing::default(); lanes],
            ..Self::default()
        }
    }

    /// Keeps everything from now on.
    pub(crate) fn journal(mut self) -> Self {
        self.journal = Some(Journal::default());
        self
    }

    /// Whether everything is kept: if not, nobody reads the lines.
    pub(crate) fn keeps_journal(&self) -> bool {
        self.journal.is_some()
    }

    /// Lets the journal describe pages for as long as `describe` exists.
    pub(crate) fn open(&mut self, describe: &Arc<Describe>) {
        if let Some(journal) = &mut self.journal {
            journal.describe = Some(Arc::downgrade(describe));
        }
    }

    /// The lanes are about to start: notes where the tables are; `read` reads an entry of a table.
    pub(crate) fn lanes_begin(&mut self, read: impl Fn(Pfn, usize) -> u64) {
        if let Some(Journal { places, .. }) = &mut self.journal {
            places.survey(read);
        }
    }

    /// Ends the journal: its lines, and what the pages are called.
    pub(crate) fn close(&mut self) -> (Vec<Line>, Places) {
        self.journal.take().map(|journal| (journal.lines, journal.places)).unwrap_or_default()
    }

    /// Shows a page in the state column from now on.
    pub(crate) fn watch(&mut self, name: String, root: Pfn, page: u64) {
        if let Some(journal) = &mut self.journal {
            journal.places.page(&name, root, page);
            journal.watched.push(Watched { name, root, page, shown: String::new() });
        }
    }

    pub(crate) fn broke(&mut self, oracle: Oracle, what: String) {
        if self.broken.iter().all(|known| known.oracle != oracle) {
            self.broken.push(Finding { oracle, what });
        }
    }

    pub(crate) fn step_begins(
        &mut self,
        lane: Option<usize>,
        verb: Verb,
        text: impl FnOnce() -> String,
    ) {
        if let Some(lane) = lane {
            self.doing[lane].verb = Some(verb);
        }
        self.reach(lane, verb.as_str());
        self.push(lane, || What::Step(text()));
    }

    pub(crate) fn step_ends(
        &mut self,
        lane: Option<usize>,
        result: impl FnOnce() -> Option<String>,
    ) {
        if let Some(lane) = lane {
            self.doing[lane].verb = None;
        }
        if self.journal.is_some() {
            if let Some(text) = result() {
                self.push(lane, || What::Result(text));
            }
            self.look();
        }
    }

    pub(crate) fn fast_begins(&mut self, lane: usize) {
        self.doing[lane].fast = true;
    }

    pub(crate) fn fast_ends(&mut self, lane: usize) {
        self.doing[lane].fast = false;
    }

    pub(crate) fn event(&mut self, lane: Option<usize>, event: Event) {
        if let EventKind::Zapped(_) = event.kind {
            self.zaps += 1;
            self.zapped.insert((event.space, event.at.page().0), self.zaps);
            hook::saw(self.zaps);
        }
        self.reach(lane, event.kind.name());
        if event.kind.weight() == Weight::Line {
            self.push(lane, || What::Event(event.kind));
        }
    }

    fn reach(&mut self, lane: Option<usize>, name: &str) {
        // What runs alone cannot meet another lane: a window that only it opens proves nothing.
        let Some(lane) = lane else { return };
        let goals = self.goals.iter().zip(&mut self.reached).zip(self.tally.0.iter());
        for ((goal, reached), count) in goals {
            if *reached || goal.event != name {
                continue;
            }
            let mut others = self.doing.iter().enumerate().filter(|(other, _)| *other != lane);
            *reached =
                goal.during.is_none_or(|activity| others.any(|(_, doing)| doing.is(activity)));
            count.fetch_add(u64::from(*reached), Ordering::Relaxed);
        }
    }

    fn push(&mut self, lane: Option<usize>, what: impl FnOnce() -> What) {
        let Some(Journal { lines, .. }) = &mut self.journal else { return };
        let what = what();
        match lines.last_mut() {
            Some(last) if last.lane == lane && last.what == what => {
                last.times += 1;
                last.state = None;
            }
            _ => lines.push(Line { lane, what, times: 1, state: None }),
        }
    }

    /// Notes in the last line what has changed in the watched pages.
    pub(crate) fn look(&mut self) {
        let Some(Journal { lines, watched, describe, .. }) = &mut self.journal else { return };
        let Some(describe) = describe.as_ref().and_then(Weak::upgrade) else { return };
        let Some(line) = lines.last_mut() else { return };
        let mut changes: Vec<String> = line.state.take().into_iter().collect();
        for page in watched {
            let now = describe(page.root, page.page);
            if now != page.shown {
                changes.push(format!("{} {now}", page.name));
                page.shown = now;
            }
        }
        line.state = (!changes.is_empty()).then(|| changes.join("; "));
    }
}
