//! A fork that shared a page: by which rule, and why it saw no pin.

use std::ops::Range;

use pinfold::rules::fork::{SeqCountUse, WriteProtect, race_guard};
use pinfold::rules::{ForkSnapshot, Switch, Why};
use pinfold::{EventKind, Pfn};

use super::Teller;
use crate::about::Page;
use crate::scenario::{Action, Advice, Pages, Verb};
use crate::story::stale::Stale;

impl<'a> Teller<'a> {
    /// fork shared `frame` at a line: by which rule, and why it saw no pin.
    pub(in crate::story) fn fork_shared(
        &mut self,
        frame: Pfn,
        line: usize,
        hold: Option<(&str, usize)>,
    ) -> Option<String> {
        let events = self.ledger.events_near(line);
        let (shared, why) = events.into_iter().find_map(|(at, event)| match event {
            EventKind::ForkShared { pfn, why } if pfn == frame => Some((at, why)),
            _ => None,
        })?;
        let step = self.ledger.step(shared)?;
        let child = match &*step.action {
            Action::Fork { child } => child.value.clone(),
            _ => return None,
        };
        let (cite, begins) = (step.cite(), step.begins);
        let reason = self.because(why, Switch::ForkPin);
        let mut sentence = format!("{cite} shared {frame} with {child}, {reason}");
        self.cited.insert(shared);
        if let Some(clause) =
            hold.and_then(|(handle, taken)| self.unseen((handle, taken), shared, begins, why))
        {
            sentence += &format!(": {clause}");
        }
        self.kept_out_late(frame, shared);
        Some(format!("{sentence}."))
    }

    /// Advice that would have kept a frame out of the child that a fork shared it with at a line,
    /// had it come before.
    fn kept_out_late(&mut self, frame: Pfn, shared: usize) {
        let ledger = self.ledger;
        let Some(process) = ledger.step(shared).and_then(|step| step.process.as_deref()) else {
            return;
        };
        let has = |pages: &Pages| {
            let place = (process, pages.area.as_str(), pages.extent.resolve(u32::MAX));
            ledger.leads(place, shared, |pfn| pfn == frame)
        };
        let late = ledger.steps.iter().find(|step| match &*step.action {
            Action::Advise { pages, advice } => {
                advice.value == Advice::DontFork
                    && step.ends > shared
                    && step.process.as_deref() == Some(process)
                    && has(pages)
            }
            _ => false,
        });
        if let Some(step) = late {
            self.say(step.ends, format!("{} came only after that fork.", step.cite()));
        }
    }

    /// The frame of a page of a child, which fork copied from another one, and whether that was
    /// written to meanwhile.
    pub(in crate::story) fn copied_by_fork(&mut self, from: Pfn, to: Pfn) {
        let copied = self.ledger.last_event(self.ledger.judging(), |event| match event {
            EventKind::ForkCopied { from: source, to: copy, why } => {
                ((source, copy) == (from, to)).then_some(why)
            }
            _ => None,
        });
        let Some((at, why)) = copied else { return };
        let reason = self.because(why, Switch::ForkPin);
        let sum = self.sum(why, from, at);
        let pinned = format!("{from} looks pinned, so the child gets a copy");
        let mut sentence =
            format!("{} copied {from} to {to}, {reason}{sum}: {pinned}", self.at(at));
        let begins = self.ledger.step(at).map_or(at, |step| step.begins);
        let mut stores = self.ledger.stores().map(|(line, touch)| (line, touch.frame));
        let meanwhile = stores.any(|(line, frame)| frame == from && (begins..at).contains(&line));
        let torn = match self.rules.fork_snapshot {
            ForkSnapshot::Torn => meanwhile,
            ForkSnapshot::Protected => false,
        };
        if torn {
            let tag = self.tag(Switch::ForkSnapshot);
            sentence += &format!(". {from} could be written to meanwhile ({tag})");
            sentence += &self.torn_words((from, to), begins..at);
            sentence += ". Without a pin it would be shared instead, and read-only for both as long \
                         as it is: nobody could write to it";
        }
        self.say(at, format!("{sentence}."));
    }

    /// Of the words that were stored to while fork copied their page: which the copy has as they
    /// were before, and which as they were after. Empty unless it has both.
    fn torn_words(&mut self, (from, to): (Pfn, Pfn), copying: Range<usize>) -> String {
        let (mut before, mut after) = (Vec::new(), Vec::new());
        let ledger = self.ledger;
        let judged = ledger.loads().filter(|(at, touch)| *at > copying.end && touch.frame == to);
        for (_, touch) in judged {
            let word = touch.word;
            let mut stores = ledger.stores().filter(|(at, store)| {
                copying.contains(at) && (store.frame, store.word) == (from, word)
            });
            let Some(first) = stores.next() else { continue };
            let last = stores.next_back().unwrap_or(first);
            let cite = self.at(last.0);
            self.cite_step(last.0);
            let (side, said) = if last.1.value == touch.value {
                (&mut after, format!("word {word} after {cite}"))
            } else {
                (&mut before, format!("word {word} before {cite}"))
            };
            // Several claims may look at one word.
            if !side.contains(&said) {
                side.push(said);
            }
        }
        if before.is_empty() || after.is_empty() {
            String::new()
        } else {
            before.append(&mut after);
            format!(": {}", before.join(", "))
        }
    }

    /// Why a fork did not see a hold.
    pub(in crate::story) fn unseen(
        &mut self,
        (handle, taken): (&str, usize),
        shared: usize,
        begins: usize,
        why: Why,
    ) -> Option<String> {
        let (made, held) = self.ledger.made(handle)?;
        if !held.pin {
            let step = self.ledger.step(made);
            let by = match step.map(|step| step.action.verb()) {
                Some(Verb::DirectRead | Verb::DirectWrite) => Some(Switch::DirectIo),
                Some(Verb::VmRead | Verb::VmWrite) => Some(Switch::ProcessVm),
                _ => None,
            };
            let by = by.map(|switch| format!(" ({})", self.tag(switch))).unwrap_or_default();
            return Some(format!("{handle} is a plain reference, not a pin{by}"));
        }
        if why == Why::Rule {
            return None;
        }
        let stale = self.stale.iter().find(|late| {
            let step = self.ledger.step_at(late.lane, late.after);
            !late.stores && step.is_some_and(|step| step.begins == begins)
        });
        if let Some(late) = stale {
            let told = self.tell_stale(late);
            self.told.push(late.after);
            if let Some(step) = self.ledger.step_at(late.missed.0, late.missed.1) {
                self.cited.insert(step.begins);
            }
            return Some(format!("it {told}{}", self.unguarded(taken)));
        }
        if taken > shared {
            self.cited.insert(taken);
            let over = self.ledger.step(shared).map_or(shared, |step| step.ends);
            let beside = self.ledger.step(taken).is_some_and(|step| step.begins < over);
            let guard = if beside { self.unguarded(taken) } else { String::new() };
            let cite = self.at(made);
            return Some(format!("{cite} took it for {handle} only after that{guard}"));
        }
        let looked = self.looked_before(handle, taken, begins)?;
        Some(looked + &self.unguarded(taken))
    }

    /// The rule that let a walk without locks take a page at a line, at the same time as a fork
    /// that shared it.
    fn unguarded(&mut self, taken: usize) -> String {
        let fast = matches!(self.ledger.event(taken), Some(EventKind::FastTaken(_)));
        if !fast {
            return String::new();
        }
        let guard = race_guard(self.rules.fork_race);
        let how = match (guard.seqcount, guard.protect) {
            (SeqCountUse::Unused, WriteProtect::AfterCheck) => {
                "and nothing told its walk of the fork"
            }
            (SeqCountUse::Unused, WriteProtect::BeforeCheck) => {
                "and neither side has a full barrier"
            }
            (SeqCountUse::WriteBarrier, _) => {
                "and the write barrier after fork's increment of the sequence count does not \
                 keep fork's look for pins behind it"
            }
            (SeqCountUse::FullBarrier, _) => return String::new(),
        };
        format!(", {how} ({})", self.tag(Switch::ForkRace))
    }

    /// A fork that had looked for pins before the pin was there.
    pub(in crate::story) fn looked_before(
        &mut self,
        handle: &str,
        taken: usize,
        begins: usize,
    ) -> Option<String> {
        (begins < taken).then(|| {
            self.cited.insert(taken);
            format!("it had looked before {} took {handle}", self.at(taken))
        })
    }

    /// What an old access did, and what it missed.
    pub(in crate::story) fn tell_stale(&self, late: &Stale) -> String {
        let missed = self.ledger.step_at(late.missed.0, late.missed.1);
        let by = missed.map(|step| format!("step {}'s ", step.number)).unwrap_or_default();
        let Stale { cell, value, newest, .. } = late;
        if late.stores {
            format!(
                "stored {cell} so late that it lies before {by}{newest}; nothing orders the two"
            )
        } else {
            format!(
                "read {cell} as it was {} ({value}, without {by}{newest}); nothing orders that \
                 store before the read",
                late.ago()
            )
        }
    }

    /// A page that came to map `frame` at `line` because a fork shared it.
    pub(in crate::story) fn share_of(
        &mut self,
        page: Page,
        frame: Pfn,
        line: usize,
        hold: Option<(&str, usize)>,
    ) -> Option<String> {
        let step = self.ledger.step(line)?;
        let forked = match &*step.action {
            Action::Fork { child } => Some(child.value.as_str()) == self.ledger.process(page),
            _ => false,
        };
        if forked { self.fork_shared(frame, line, hold) } else { None }
    }

    /// A page whose frame a child of its process has too.
    pub(in crate::story) fn child_of(
        &mut self,
        page: Page,
        frame: Pfn,
        hold: Option<(&str, usize)>,
    ) {
        let shared = (0..self.ledger.lines().len()).find(|at| {
            matches!(self.ledger.event(*at), Some(EventKind::ForkShared { pfn, .. }) if pfn == frame)
        });
        let Some(shared) = shared else { return };
        if self.ledger.changes(page).any(|(at, _)| at >= shared)
            && let Some(sentence) = self.fork_shared(frame, shared, hold)
        {
            self.say(shared, sentence);
        }
    }
}
