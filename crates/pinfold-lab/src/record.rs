//! What happened in an execution: always enough for oracles and coverage, and everything in a
//! [`Journal`] if requested.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use pinfold::{Event, EventKind, Format as _, Pfn, SpaceId, VirtRange};
use pinfold_explore::hook;

use crate::about::About;
use crate::access::Places;
use crate::folios::Run;
use crate::hardware::Tables;
use crate::journal::{Describe, Journal, Sight, What};
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

/// What oracles found in the executions of a search that goes on after it. Noted when it is found:
/// an execution that the explorer abandons is never judged.
#[derive(Clone, Debug, Default)]
pub(crate) struct Findings(Arc<Mutex<BTreeSet<Finding>>>);

impl Findings {
    pub(crate) fn note(&self, finding: Finding) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(finding);
    }

    /// All that was noted so far.
    pub(crate) fn all(&self) -> BTreeSet<Finding> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
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
    /// Entries that were zapped because their owner gave the page up, each with its last zap; a
    /// page that a remap moves takes its own along.
    zapped: BTreeMap<(SpaceId, u64), Zap>,
    /// Counts zaps.
    pub(crate) zaps: u64,
    /// Of what was zapped, frames that were freed since, folios by their first one, each with the
    /// number of zaps by then.
    freed: BTreeMap<Pfn, u64>,
    /// The oracles that broke while the execution ran, each with its first finding.
    pub(crate) broken: Vec<Finding>,
    /// What the first of them is about, if that is known.
    pub(crate) about: Option<About>,
    journal: Option<Journal>,
    /// Where findings are noted if they do not end the execution.
    findings: Option<Findings>,
}

/// A zap of an entry.
#[derive(Clone, Copy)]
struct Zap {
    number: u64,
    frame: Pfn,
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

    /// Keeps everything from now on; `marks` says whether the rules know the exclusive mark.
    pub(crate) fn journal(mut self, marks: bool) -> Self {
        self.journal = Some(Journal { places: Places::new(marks), ..Journal::default() });
        self
    }

    /// Findings do not end the execution, and are noted in `findings` if there is such a place.
    pub(crate) fn going_on(self, findings: Option<Findings>) -> Self {
        Self { findings, ..self }
    }

    /// Whether the execution goes on after a finding, and after a step that fails.
    pub(crate) fn goes_on(&self) -> bool {
        self.findings.is_some()
    }

    /// Whether everything is kept: if not, nobody reads the lines.
    pub(crate) fn keeps_journal(&self) -> bool {
        self.journal.is_some()
    }

    /// Lets the journal describe pages for as long as `describe` exists; a CPU's batch for the LRU
    /// lists has so many pages, and there are none if that is zero.
    pub(crate) fn open(&mut self, describe: &Arc<dyn Describe>, lru: u32) {
        if let Some(journal) = &mut self.journal {
            journal.batches = lru > 0;
            journal.describe = Some(Arc::downgrade(describe));
        }
    }

    /// The lanes are about to start: notes where the tables are; `read` reads an entry of a table.
    pub(crate) fn lanes_begin(&mut self, read: impl Fn(Pfn, usize) -> u64) {
        if let Some(journal) = &mut self.journal {
            journal.places.survey(read);
        }
    }

    /// Ends the journal.
    pub(crate) fn close(&mut self) -> Option<Journal> {
        self.journal.take()
    }

    /// Shows a page in the state column from now on.
    pub(crate) fn watch(&mut self, process: &str, name: String, tables: (SpaceId, Pfn), page: u64) {
        if let Some(journal) = &mut self.journal {
            journal.watch(process, name, tables, page);
        }
    }

    /// Shows the pages of `space` in `pages`, or all of them, no longer: `lane` has unmapped them.
    pub(crate) fn unwatch(
        &mut self,
        lane: Option<usize>,
        space: SpaceId,
        pages: Option<VirtRange>,
    ) {
        if let Some(journal) = &mut self.journal {
            journal.unwatch(lane, space, pages, hook::step());
        }
    }

    pub(crate) fn broke(&mut self, oracle: Oracle, what: String) {
        if let Some(findings) = &self.findings {
            findings.note(Finding { oracle, what: what.clone() });
        }
        if self.broken.iter().all(|known| known.oracle != oracle) {
            self.broken.push(Finding { oracle, what });
        }
    }

    /// A step begins; `told` is what a journal says of it.
    pub(crate) fn step_begins(
        &mut self,
        lane: Option<usize>,
        verb: Verb,
        told: impl FnOnce() -> What,
    ) {
        if let Some(lane) = lane {
            self.doing[lane].verb = Some(verb);
        }
        self.reach(lane, verb.as_str());
        self.note(lane, told);
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
                self.note(lane, || What::Result(text));
            }
            self.note(lane, || What::Ends);
            self.look(lane);
        }
    }

    pub(crate) fn fast_begins(&mut self, lane: usize) {
        self.doing[lane].fast = true;
    }

    pub(crate) fn fast_ends(&mut self, lane: usize) {
        self.doing[lane].fast = false;
    }

    pub(crate) fn event(&mut self, lane: Option<usize>, event: Event) {
        let here = (event.space, event.at.page().0);
        match event.kind {
            EventKind::Zapped(frame) => {
                self.zaps += 1;
                self.zapped.insert(here, Zap { number: self.zaps, frame });
                hook::saw(self.zaps);
            }
            EventKind::Freed(head) => {
                let folio = Run { head, pages: Tables::ENTRIES as u64 };
                if self.zapped.values().any(|zap| folio.contains(zap.frame)) {
                    self.freed.insert(head, self.zaps);
                    hook::saw(self.zaps);
                }
            }
            EventKind::Remapped { from, .. } => {
                // What lay here before has been zapped, which says nothing of this page.
                match self.zapped.get(&(event.space, from.page().0)) {
                    Some(&zap) => self.zapped.insert(here, zap),
                    None => self.zapped.remove(&here),
                };
            }
            _ => {}
        }
        self.reach(lane, event.kind.name());
        self.note(lane, || What::Event(event));
    }

    /// A remap has moved pages. Those with an entry took their last zap along with it; one without
    /// has been given up, and whoever looks for it now looks here.
    pub(crate) fn moved(&mut self, space: SpaceId, from: VirtRange, to: VirtRange) {
        for (from, to) in from.iter().zip(to.iter()) {
            if let Some(&zap) = self.zapped.get(&(space, from.0)) {
                let here = self.zapped.entry((space, to.0)).or_insert(zap);
                if zap.number > here.number {
                    *here = zap;
                }
            }
        }
    }

    /// Whether the owner of a page gave it up after the first `since` zaps.
    pub(crate) fn gave_up(&self, page: (SpaceId, u64), since: u64) -> bool {
        self.zapped.get(&page).is_some_and(|zap| zap.number > since)
    }

    /// Whether the owner of a page last gave it up when it was `frame`, of the folio at `head`, and
    /// the frame has not been free since, so that it cannot be there again. A pin without a lock
    /// that began later may have read the entry as it was before, if nothing orders the two.
    pub(crate) fn gave_up_frame(&self, page: (SpaceId, u64), frame: Pfn, head: Pfn) -> bool {
        let last = self.zapped.get(&page).filter(|zap| zap.frame == frame);
        last.is_some_and(|zap| self.freed.get(&head).is_none_or(|zaps| *zaps < zap.number))
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

    /// Adds a line to the journal, if there is one.
    pub(crate) fn note(&mut self, lane: Option<usize>, what: impl FnOnce() -> What) {
        if let Some(journal) = &mut self.journal {
            journal.push(lane, what(), hook::step());
        }
    }

    /// Notes for a picture what a CPU remembers, or has forgotten.
    pub(crate) fn sees(&mut self, sight: impl FnOnce() -> Sight) {
        if let Some(journal) = &mut self.journal {
            journal.sees(sight());
        }
    }

    /// Notes what `lane` has changed in the watched pages since the last look.
    pub(crate) fn look(&mut self, lane: Option<usize>) {
        if let Some(journal) = &mut self.journal {
            journal.look(lane, hook::step());
        }
    }
}
