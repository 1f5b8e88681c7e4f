//! Why two sides that must agree do not: the chain of steps that parted them, from typed events and
//! from what the watched pages mapped.
//!
//! An explanation starts at what a finding is about and goes back in time. A side that leads to
//! another frame than it should left that frame at some line; the step of that line says how, and
//! where a rule decided, which. Where the step copied the page because its entry had no write bit,
//! the line that took the bit comes first.
//!
//! - INV-STORY-1: a rule is named only for what it decided: an event of the page in question, in a
//!   step of the chain.
//! - INV-STORY-2: each sentence cites the lines that it is about, and a drawing keeps them.

use std::collections::BTreeSet;

use pinfold::rules::{Notify, RemapFlush, Rules, Switch, TableFree, Why};
use pinfold::{EventKind, FastStop, Pfn};
use pinfold_explore::FailureKind;

use super::ledger::{Holders, Ledger, Step};
use super::stale::Stale;
use crate::about::{About, Cause};
use crate::counted::counted;
use crate::scenario::{Action, Name, Verb};
use crate::words::Words;

mod between;
mod family;
mod folio;
mod forked;
mod huge;
mod parted;
mod refused;
mod swapped;
#[cfg(test)]
mod tests;
mod unmoved;
mod word;
mod write_bit;

/// How often an explanation follows a word from a copy to what it was copied from.
const DEPTH: u32 = 3;

/// An explanation under construction.
pub(super) struct Teller<'a> {
    pub(super) ledger: &'a Ledger<'a>,
    pub(super) rules: &'a Rules,
    pub(super) words: &'a Words,
    pub(super) stale: &'a [Stale],
    /// What ended the execution before its lanes had returned, if something did.
    cause: Option<Cause>,
    /// The sentences, each with the line at which what it says happened.
    said: Vec<(usize, String)>,
    /// Lines that the sentences are about.
    cited: BTreeSet<usize>,
    /// The rules that they name.
    blamed: BTreeSet<Switch>,
    /// Old accesses that a sentence has told already.
    told: Vec<u64>,
}

/// A finished explanation.
#[derive(Default)]
pub(super) struct Explained {
    pub(super) sentences: Vec<String>,
    pub(super) cited: BTreeSet<usize>,
    pub(super) blamed: BTreeSet<Switch>,
}

impl<'a> Teller<'a> {
    pub(super) fn new(
        ledger: &'a Ledger<'a>,
        rules: &'a Rules,
        words: &'a Words,
        (stale, cause): (&'a [Stale], Option<Cause>),
    ) -> Self {
        Self {
            ledger,
            rules,
            words,
            stale,
            cause,
            said: Vec::new(),
            cited: BTreeSet::new(),
            blamed: BTreeSet::new(),
            told: Vec::new(),
        }
    }

    /// Explains what a finding is about.
    pub(super) fn explain(&mut self, about: &About) {
        match about {
            About::Parted { handle, frame, page } => self.parted(handle, *frame, *page),
            About::Pages(one, other) => self.pages(*one, *other),
            About::Word { spot, word, wanted, found } => self.word(spot, *word, *wanted, *found),
            About::Register { name, .. } => self.register(name),
            About::Clean(page) => self.clean(*page),
            About::Frame(frame) => self.frame(*frame),
            About::Family { frame, lane } => self.family(*frame, *lane),
            About::Unstable(frame) => self.unstable(*frame),
            About::Locked(frame) => self.locked(*frame),
            About::Group => self.counted_elsewhere(),
        }
    }

    /// The sentences in the order in which things happened, each once.
    pub(super) fn finish(mut self) -> Explained {
        for late in self.stale {
            if !self.told.contains(&late.after) {
                let step = self.ledger.step_at(late.lane, late.after);
                let who = step.map_or_else(|| "a lane".to_owned(), Step::cite);
                let sentence = format!("{who} {}.", self.tell_stale(late));
                self.said.push((self.line_after(late.after), sentence));
            }
        }
        self.said.sort_by_key(|(line, _)| *line);
        if self.blamed.is_empty() && self.stale.is_empty() && !self.said.is_empty() {
            self.said.push((usize::MAX, "No rule decided any of this.".to_owned()));
        }
        let mut sentences: Vec<String> = Vec::new();
        for (_, sentence) in self.said {
            if !sentences.contains(&sentence) {
                sentences.push(sentence);
            }
        }
        Explained { sentences, cited: self.cited, blamed: self.blamed }
    }

    pub(in crate::story) fn say(&mut self, line: usize, sentence: String) {
        self.cite_step(line);
        self.said.push((line, sentence));
    }

    /// Marks a line and the beginning of its step.
    pub(in crate::story) fn cite_step(&mut self, line: usize) {
        self.cited.insert(line);
        if let Some(step) = self.ledger.step(line) {
            self.cited.insert(step.begins);
        }
    }

    /// The step of a line in a sentence.
    pub(in crate::story) fn at(&self, line: usize) -> String {
        self.ledger.step(line).map_or_else(|| "the setup".to_owned(), Step::cite)
    }

    /// Which variant of a switch is in force, and since when.
    pub(in crate::story) fn tag(&mut self, switch: Switch) -> String {
        self.blamed.insert(switch);
        format!("rule {}", in_force(self.rules, switch))
    }

    /// What a rule answered, with the rule. A rule that is the same for every page has no other
    /// reason.
    pub(in crate::story) fn because(&mut self, why: Why, switch: Switch) -> String {
        let tag = self.tag(switch);
        match why {
            Why::Rule => format!("for every page alike ({tag})"),
            why => format!("as {why} ({tag})"),
        }
    }

    /// The first line whose place is at or after so many accesses.
    pub(in crate::story) fn line_after(&self, accesses: u64) -> usize {
        let lines = self.ledger.lines();
        lines.iter().position(|line| line.after > accesses).unwrap_or(lines.len())
    }

    /// A frame whose counts are wrong, or that is used though it is free.
    pub(in crate::story) fn frame(&mut self, frame: Pfn) {
        let end = self.ledger.judging().saturating_sub(1);
        let frees =
            |event| matches!(event, EventKind::Freed(pfn) if pfn == frame).then_some("freed");
        let takes = |event| {
            let taken = matches!(event,
                EventKind::FastTaken(pfn) | EventKind::SlowTaken(pfn) if pfn == frame);
            taken.then_some("took")
        };
        let found =
            [self.ledger.last_event(end + 1, frees), self.ledger.last_event(end + 1, takes)];
        for (at, did) in found.into_iter().flatten() {
            self.say(at, format!("{} {did} {frame}.", self.at(at)));
        }
        let holders = self.ledger.holders(frame, end);
        if holders != Holders::default() {
            self.say(end, format!("Holders of {frame} at the end: {}.", holders.told()));
        }
        self.told_afterwards();
        self.left_unflushed(frame);
        self.counted_on_head(frame);
        self.counted_on_tail(frame);
        self.counted_in_two_steps(frame);
        self.locked_what_was_freed(frame);
        self.behind_comparison(frame);
        self.folio_forgotten(frame);
    }

    /// A remap that took the page from its address before CPUs had forgotten that.
    fn left_unflushed(&mut self, frame: Pfn) {
        let end = self.ledger.lines().len();
        let moved = |event| match event {
            EventKind::Remapped { pfn, from } if pfn == frame => Some(from),
            _ => None,
        };
        let late = match self.rules.remap_flush {
            RemapFlush::UnderLock => None,
            RemapFlush::AfterLocks => self.ledger.last_event(end, moved),
        };
        if let Some((at, from)) = late {
            let (cite, tag) = (self.at(at), self.tag(Switch::RemapFlush));
            let what =
                format!("moved {frame} away from {from} and flushed that address only later");
            self.say(at, format!("{cite} {what} ({tag})."));
        }
    }

    /// The step in which the execution ended: of the lane that failed, if one did.
    fn ending(&self) -> Option<&'a Step> {
        let ledger = self.ledger;
        let failed = self.cause.and_then(|cause| ledger.step_at(cause.lane, u64::MAX));
        failed.or_else(|| ledger.step(ledger.lines().len().checked_sub(1)?))
    }

    /// A device that follows an address space, and used what it had filed while that changed.
    fn told_afterwards(&mut self) {
        let ledger = self.ledger;
        let Some(step) = self.ending() else { return };
        let made_by_follow = |name: &Name| {
            let made = ledger.steps.iter().map(|step| &*step.action);
            made.into_iter().any(|action| match action {
                Action::Follow { handle, .. } => handle == name,
                _ => false,
            })
        };
        let follows = match &*step.action {
            Action::DeviceRead { from: place, .. } | Action::DeviceWrite { to: place, .. } => {
                made_by_follow(&place.name)
            }
            _ => false,
        };
        let late = match self.rules.notify {
            Notify::Around => false,
            Notify::Afterwards => follows,
        };
        if late {
            let (cite, tag) = (step.cite(), self.tag(Switch::Notify));
            let what = "used a translation that its device had filed before the change, of which";
            let sentence = format!("{cite} {what} it is told only when it is over ({tag}).");
            self.cite_step(step.ends);
            // That ended the execution, whatever others did since the step's last line.
            self.said.push((usize::MAX, sentence));
        }
    }

    /// Tables that were freed while a walker may have been in them: what a race is about, whichever
    /// of the two comes second.
    fn tables_freed_at_once(&mut self) {
        let raced = self.cause.is_some_and(|cause| cause.kind == FailureKind::DataRace);
        let at_once = match self.rules.table_free {
            TableFree::AtOnce => raced,
            TableFree::AfterWalkers => false,
        };
        let frees =
            |step: &&Step| step.lane.is_some() && matches!(step.verb(), Verb::Unmap | Verb::Exit);
        let steps = self.ledger.steps.iter().rev();
        if let Some(step) = steps.filter(|_| at_once).find(frees) {
            let (cite, tag) = (step.cite(), self.tag(Switch::TableFree));
            let sentence = format!("{cite} frees tables without waiting for walkers ({tag}).");
            self.say(step.ends, sentence);
        }
    }

    /// A step that failed, or that did not return: what it met last.
    pub(super) fn last_step(&mut self) {
        self.tables_freed_at_once();
        let Some(step) = self.ending() else { return };
        self.unwatched(step);
        self.given_back(step);
        let (cite, ends) = (step.cite(), step.ends);
        for (at, event) in self.ledger.events_near(ends) {
            let sentence = match event {
                EventKind::MigrationBusy { pfn, refs, expected } => {
                    let sum = self.ledger.found_by_move((pfn, at), (refs, expected));
                    let sum = sum.map(|sum| format!("; {sum}")).unwrap_or_default();
                    self.kept_from_moving(step, pfn, at);
                    format!(
                        "{cite} found {} to {pfn} where it expected {expected}{sum}.",
                        counted(refs, "reference", "references")
                    )
                }
                EventKind::MigrationPinned(pfn) => {
                    self.kept_from_moving(step, pfn, at);
                    let tag = self.tag(Switch::MigrationKind);
                    format!("{cite} did not move {pfn}, as it is pinned ({tag}).")
                }
                EventKind::FastStop(FastStop::Movable) => {
                    let tag = self.tag(Switch::LongtermZone);
                    format!("The walk without locks of {cite} stopped: Movable ({tag}).")
                }
                EventKind::FastStop(stop) if stop != FastStop::Absent => {
                    format!("The walk without locks of {cite} stopped: {stop:?}.")
                }
                _ => continue,
            };
            self.say(at, sentence);
            return;
        }
    }
}

/// A switch's variant in force, and since when it is: `pte-cow=ref-count, since 5.9`.
pub(crate) fn in_force(rules: &Rules, switch: Switch) -> String {
    let variant = rules.get(switch.name()).unwrap_or_default();
    let info = Rules::switches().find(|info| info.name == switch.name());
    let known = info.and_then(|info| info.variants.iter().find(|known| known.name == variant));
    let era = info.zip(known).map(|(info, known)| info.era(known).concat());
    let since = era.unwrap_or_else(|| "never released".to_owned());
    format!("{switch}={variant}, {since}")
}
