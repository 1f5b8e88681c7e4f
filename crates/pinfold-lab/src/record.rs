//! What happened in an execution: enough for oracles and coverage always, and everything for a trace when asked.

use std::collections::BTreeMap;
use std::sync::Arc;

use pinfold::sync::{AtomicU64, Shared};
use pinfold::{Event, EventKind, Memory, Pfn, Pte, SpaceId, Weight};

use crate::access::Places;
use crate::machine::{Machine, Tables};
use crate::report::{Finding, Oracle};
use crate::scenario::{Activity, Verb};

/// An event that a scenario wants reached: a kind of event or a kind of step, perhaps while another lane does something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Goal {
    pub(crate) event: String,
    pub(crate) during: Option<Activity>,
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
    /// How often in a row.
    pub(crate) times: u32,
    /// What changed by then in the watched pages.
    pub(crate) state: Option<String>,
}

/// What a line tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// A step of the scenario began.
    Step(String),
    /// The memory manager told something.
    Event(EventKind),
    /// What a step came to.
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

/// The full record of one execution.
#[derive(Default)]
struct Journal {
    lines: Vec<Line>,
    watched: Vec<Watched>,
    places: Places,
    memory: Option<Shared<Memory<Machine>>>,
}

/// What happened.
#[derive(Default)]
pub(crate) struct Record {
    goals: Arc<[Goal]>,
    /// Which goals this execution reached.
    pub(crate) reached: Vec<bool>,
    doing: Vec<Doing>,
    /// Entries that were zapped, so that their owner gave the page up, each with the number of its last zap.
    pub(crate) zapped: BTreeMap<(SpaceId, u64), u64>,
    /// Counts zaps.
    pub(crate) zaps: u64,
    /// The oracles that broke while the execution ran, each with its first finding.
    pub(crate) broken: Vec<Finding>,
    journal: Option<Journal>,
}

impl Record {
    /// A record for `lanes` lanes.
    pub(crate) fn new(goals: Arc<[Goal]>, lanes: usize) -> Self {
        Self {
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

    /// Whether everything is kept: if not, nobody reads what is told.
    pub(crate) fn keeps_journal(&self) -> bool {
        self.journal.is_some()
    }

    /// Lets the journal look into `memory`. [`Record::close`] undoes it.
    pub(crate) fn open(&mut self, memory: &Shared<Memory<Machine>>) {
        if let Some(journal) = &mut self.journal {
            journal.memory = Some(memory.clone());
        }
    }

    /// The lanes are about to start: notes where the tables are.
    pub(crate) fn lanes_begin(&mut self) {
        if let Some(Journal { places, memory: Some(memory), .. }) = &mut self.journal {
            places.survey(|table, entry| memory.platform().word(table, entry).peek());
        }
    }

    /// Gives the lines out and what the pages are called, and lets go of the memory.
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
        }
        self.reach(lane, event.kind.name());
        if event.kind.weight() == Weight::Line {
            self.push(lane, || What::Event(event.kind));
        }
    }

    fn reach(&mut self, lane: Option<usize>, name: &str) {
        // What runs alone meets nobody: a window that only it opens proves nothing.
        let Some(lane) = lane else { return };
        for (goal, reached) in self.goals.iter().zip(&mut self.reached) {
            if *reached || goal.event != name {
                continue;
            }
            let mut others = self.doing.iter().enumerate().filter(|(other, _)| *other != lane);
            *reached =
                goal.during.is_none_or(|activity| others.any(|(_, doing)| doing.is(activity)));
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
        let Some(Journal { lines, watched, memory: Some(memory), .. }) = &mut self.journal else {
            return;
        };
        let Some(line) = lines.last_mut() else { return };
        let mut changes: Vec<String> = line.state.take().into_iter().collect();
        for page in watched {
            let now = describe(memory, page.root, page.page);
            if now != page.shown {
                changes.push(format!("{} {now}", page.name));
                page.shown = now;
            }
        }
        line.state = (!changes.is_empty()).then(|| changes.join("; "));
    }
}

/// The entry of a page and the counts of its frame.
fn describe(memory: &Shared<Memory<Machine>>, root: Pfn, page: u64) -> String {
    let Some(slot) = memory.platform().entry(root, page, AtomicU64::peek) else {
        return "--".to_owned();
    };
    let pte = Pte::<Tables>::from_bits(slot.peek());
    if pte.is_none() {
        return "--".to_owned();
    }
    if !pte.is_mapped() {
        return pte.to_string();
    }
    let pte = pte.old().clean();
    if pte.is_special() {
        return format!("{pte} zero page");
    }
    let counts = pinfold::lab::counts(memory.frames(), pte.pfn());
    let mark = if counts.is_exclusive() { " excl" } else { "" };
    format!("{pte} ref {} map {}{mark}", counts.refs(), counts.maps())
}
