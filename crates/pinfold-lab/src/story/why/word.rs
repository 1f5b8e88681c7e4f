//! A word that is not where it was looked for: which store went where, and who had the page.

use std::collections::BTreeSet;

use pinfold::rules::migrate::carries_accessed_dirty;
use pinfold::rules::{CowPublish, Switch, Why};
use pinfold::{EventKind, Pfn};

use super::{DEPTH, Teller};
use crate::about::{Page, Spot};
use crate::journal::{PageView, Touch};
use crate::scenario::{Access, Action, Duration, Force, Made, Verb};
use crate::story::ledger::Step;

impl<'a> Teller<'a> {
    /// A word is not where it was looked for, or is where it must not be.
    pub(in crate::story) fn word(
        &mut self,
        spot: &Spot,
        word: usize,
        wanted: Option<u64>,
        found: Option<u64>,
    ) {
        let Some(frame) = spot.frame() else { return };
        let judging = self.ledger.judging();
        let stored = wanted.and_then(|wanted| self.last_store(wanted, word, None, judging));
        match stored {
            Some((line, touch)) if touch.frame != frame => {
                let (to, text) = (touch.frame, self.words.text(touch.value));
                let by = self.at(line);
                self.say(line, format!("{by} stored \"{text}\" in {to}."));
                self.elsewhere(spot, frame, to, line);
            }
            _ => {
                let over = stored.map(|(line, touch)| (line, touch.value));
                self.overwritten(spot, (frame, word), found, over);
            }
        }
    }

    /// The last store of a value before a line, into one frame or any.
    pub(in crate::story) fn last_store(
        &self,
        value: u64,
        word: usize,
        frame: Option<Pfn>,
        before: usize,
    ) -> Option<(usize, &'a Touch)> {
        let stores = self.ledger.stores().rev().filter(|(at, _)| *at < before);
        let mut fitting = stores.filter(|(_, touch)| touch.value == value && touch.word == word);
        fitting.find(|(_, touch)| frame.is_none_or(|frame| touch.frame == frame))
    }

    /// The wanted word went to `to`, and the spot leads to `frame`.
    pub(in crate::story) fn elsewhere(&mut self, spot: &Spot, frame: Pfn, to: Pfn, stored: usize) {
        match spot {
            // Nothing leads there but the file.
            Spot::File(_) => {}
            Spot::Handle(handle, _) => {
                let Some((_, held)) = self.ledger.made(handle) else { return };
                let at = held.frames.iter().position(|pfn| *pfn == frame).unwrap_or(0) as u64;
                let page = (held.space, held.pages.first_page().0 + at);
                self.parted(handle, frame, page);
            }
            Spot::Page(page, _) => {
                let had = self.ledger.view(*page, stored).frame() == Some(to);
                let before =
                    self.ledger.changes(*page).filter(|(_, view)| view.frame() == Some(to));
                let Some(first) = before.map(|(at, _)| at).next() else {
                    self.copied_by_fork(to, frame);
                    return;
                };
                let from = if had { stored } else { first };
                let Some(left) = self.leaves(*page, to, from) else { return };
                let through = self.ledger.stores().find(|(at, _)| *at == stored);
                let handle = through.and_then(|(_, touch)| touch.handle.clone());
                let taken = handle.as_deref().and_then(|handle| {
                    let (made, _) = self.ledger.made(handle)?;
                    Some((handle, self.ledger.taken(made, to)))
                });
                self.copied_because(*page, to, left, taken);
                self.left(*page, to, left);
                if let Some((handle, taken)) = taken {
                    self.cite_step(taken);
                    self.parted_now(handle, to, *page);
                }
            }
        }
    }

    /// Something else was stored where the word was looked for, or nothing was.
    pub(in crate::story) fn overwritten(
        &mut self,
        spot: &Spot,
        (frame, word): (Pfn, usize),
        found: Option<u64>,
        over: Option<(usize, u64)>,
    ) {
        let Some(found) = found else { return };
        let end = self.ledger.judging();
        let Some((line, place)) = self.origin(found, word, frame, end) else {
            self.fresh(spot, frame);
            return;
        };
        let text = self.words.text(found);
        let mut sentence = format!("{} stored \"{text}\" in {place}", self.at(line));
        let through = self.ledger.stores().find(|(at, _)| *at == line);
        let through = through.and_then(|(_, touch)| touch.handle.clone());
        if let Some(handle) = &through {
            sentence += &format!(" through {handle}");
        }
        if let Some((_, value)) = over.filter(|(before, _)| *before < line) {
            sentence += &format!(", over \"{}\"", self.words.text(value));
        }
        self.say(line, format!("{sentence}."));
        if let Some(handle) = &through {
            self.taken_by_force(handle, place);
        }
        self.cleaned_before(place, line);
        if let (Spot::File(_), Some(handle)) = (spot, &through) {
            self.taken_from_file(handle, place, line);
        }
        self.reaches(spot, place, line, through.as_deref());
    }

    /// A forced write took a page that is not its owner's alone.
    fn taken_by_force(&mut self, handle: &str, frame: Pfn) {
        let Some((made, held)) = self.ledger.made(handle) else { return };
        let Some(step) = self.ledger.step(made) else { return };
        let forced = match &*step.action {
            Action::Pin { grab, .. } | Action::Get { grab, .. } => {
                grab.force == Force::Override && grab.access.value == Access::Write
            }
            Action::PtraceWrite { .. } => true,
            _ => false,
        };
        let at = held.frames.iter().position(|pfn| *pfn == frame).unwrap_or(0) as u64;
        let page = (held.space, held.pages.first_page().0 + at);
        let taken = self.ledger.taken(made, frame);
        let view = self.ledger.view(page, taken);
        if !forced || view.has_write_bit() {
            return;
        }
        let (cite, name) = (step.cite(), self.ledger.name(page, taken));
        let what = if view.is_zero_page() { "the zero page " } else { "" };
        let tag = self.tag(Switch::ForceWrite);
        let sentence = format!("{cite} took {what}{frame} of {name} for writing by force ({tag}).");
        self.say(taken, sentence);
    }

    /// A device that pinned a page of a file for long wrote to it, past all records of writes.
    fn taken_from_file(&mut self, handle: &str, frame: Pfn, stored: usize) {
        let Some((made, _)) = self.ledger.made(handle) else { return };
        let Some(step) = self.ledger.step(made) else { return };
        let Action::Pin { grab, duration: Duration::LongTerm, .. } = &*step.action else { return };
        if grab.access.value != Access::Write {
            return;
        }
        let (cite, tag) = (step.cite(), self.tag(Switch::FilePin));
        let taken = self.ledger.taken(made, frame);
        let what = format!("pinned {frame}, a page of a file, for writing and for long ({tag})");
        self.say(taken, format!("{cite} {what}."));
        let written = self.ledger.last_event(stored, |event| match event {
            EventKind::WrittenBack(pfn) if pfn == frame => Some(()),
            _ => None,
        });
        if let Some((at, ())) = written {
            let by = self.at(at);
            self.say(at, format!("{by} wrote {frame} back; a pin stops no store after that."));
        }
    }

    /// The store that a word in a frame comes from, and the frame that it went to: copies hand
    /// words on.
    pub(in crate::story) fn origin(
        &mut self,
        value: u64,
        word: usize,
        frame: Pfn,
        end: usize,
    ) -> Option<(usize, Pfn)> {
        let (mut frame, mut end) = (frame, end);
        for _ in 0..DEPTH {
            if let Some((line, _)) = self.last_store(value, word, Some(frame), end) {
                return Some((line, frame));
            }
            let (at, from) = self.ledger.last_event(end, |event| match event {
                EventKind::Copied { from, to }
                | EventKind::Migrated { from, to }
                | EventKind::ForkCopied { from, to, .. }
                    if to == frame =>
                {
                    Some(from)
                }
                _ => None,
            })?;
            self.say(at, format!("{} copied {from} to {frame}.", self.at(at)));
            (frame, end) = (from, at);
        }
        None
    }

    /// How a store by somebody else reached the spot: who shared the frame with it.
    pub(in crate::story) fn reaches(
        &mut self,
        spot: &Spot,
        frame: Pfn,
        stored: usize,
        through: Option<&str>,
    ) {
        let hold = through.and_then(|handle| {
            let (made, _) = self.ledger.made(handle)?;
            Some((handle, self.ledger.taken(made, frame)))
        });
        match spot {
            Spot::File(_) => {}
            Spot::Page(page, _) => {
                let mut had =
                    self.ledger.changes(*page).filter(|(_, view)| view.frame() == Some(frame));
                let Some(mapped) = had.next().map(|(at, _)| at) else { return };
                if let Some(share) = self.share_of(*page, frame, mapped, hold) {
                    self.say(mapped, share);
                } else {
                    self.child_of(*page, frame, hold);
                }
            }
            Spot::Handle(handle, _) => {
                let Some((made, held)) = self.ledger.made(handle) else { return };
                let page = (held.space, held.pages.first_page().0);
                let taken = self.ledger.taken(made, frame);
                let led_there = self.ledger.view(page, taken).frame() == Some(frame);
                if !led_there && !self.looked_twice(taken) {
                    self.taken_too_late(handle, frame, page, taken);
                    return;
                }
                let name = self.ledger.name(page, made);
                if !self.ledger.view(page, taken).has_write_bit() {
                    self.pinned_as_it_was(handle, (page, frame), taken, &name);
                }
                let holders = self.ledger.holders(frame, stored);
                let others: Vec<&String> =
                    holders.mappings.iter().filter(|known| **known != name).collect();
                let kind = if held.pin { "pin" } else { "plain reference" };
                let who = if holders.mappings.contains(&name) {
                    format!(
                        "{name} still led to {frame} then: a {kind} stops no store of its owner"
                    )
                } else {
                    let others = others.iter().map(|one| one.as_str()).collect::<Vec<_>>();
                    format!("{} led to {frame} then", others.join(", "))
                };
                self.say(
                    stored,
                    format!("{handle} had taken {frame} in {}; {who}.", self.at(made)),
                );
            }
        }
        self.reused(frame, stored);
    }

    /// A store that kept the page though others had it.
    pub(in crate::story) fn reused(&mut self, frame: Pfn, stored: usize) {
        let Some(step) = self.ledger.step(stored) else { return };
        let cite = step.cite();
        let reuse =
            self.ledger.events_near(stored).into_iter().find_map(|(at, event)| match event {
                EventKind::CowReuse { pfn, why } if pfn == frame => Some((at, why)),
                _ => None,
            });
        if let Some((at, why)) = reuse {
            let reason = self.because(why, Switch::PteCow);
            self.say(at, format!("{cite} kept {frame} for its store, {reason}."));
            self.let_go(frame, at, why);
        }
        self.kept_huge(frame, stored);
    }

    /// Pages that had mapped a frame and were gone when a count decided about it at a line.
    fn let_go(&mut self, frame: Pfn, at: usize, why: Why) {
        let Why::Count { .. } = why else { return };
        let ledger = self.ledger;
        let watched = ledger.journal.watched.iter();
        let pages: BTreeSet<Page> = watched.map(|one| (one.space, one.page)).collect();
        for page in pages {
            let had = |line: usize| ledger.view(page, line).frame() == Some(frame);
            let changes = ledger.changes(page).filter(|(line, _)| *line < at);
            let mut gone = changes.map(|(line, _)| line).filter(|line| *line > 0 && !had(*line));
            let left = gone.rfind(|line| had(line - 1));
            if let Some(left) = left.filter(|_| !had(at)) {
                self.left(page, frame, left);
            }
        }
    }

    /// Nothing was stored in the frame: the page was replaced, or was never filled.
    pub(in crate::story) fn fresh(&mut self, spot: &Spot, frame: Pfn) {
        let Spot::Page(page, _) = spot else { return };
        let mut had: Option<Pfn> = None;
        let mut last = None;
        for (at, view) in self.ledger.changes(*page) {
            if let Some(before) = had.filter(|before| view.frame() != Some(*before)) {
                last = Some((at, before));
            }
            had = view.frame();
        }
        if let Some((left, before)) = last {
            self.copied_because(*page, before, left, None);
            self.left(*page, before, left);
        } else {
            let name = self.ledger.name(*page, self.ledger.lines().len());
            let end = self.ledger.judging().saturating_sub(1);
            self.say(end, format!("Nothing was stored in {frame}, which {name} leads to."));
        }
    }

    /// What a register holds, and which stores came before and after the read.
    pub(in crate::story) fn register(&mut self, name: &str) {
        let reads = |step: &&Step| match step.action.makes() {
            Some(Made::Register(register)) => register.value == name,
            Some(Made::Area(_) | Made::Process(_) | Made::Handle(_)) | None => false,
        };
        let Some(step) = self.ledger.steps.iter().rev().find(reads) else { return };
        let (cite, from) = (step.cite(), page_read(step));
        let Some((line, touch)) = self.ledger.load_of(step) else { return };
        let page = from.and_then(|name| self.ledger.page_named(&name));
        if let Some(page) = page {
            self.read_elsewhere(page, touch.frame, line);
        }
        let text = self.words.text(touch.value);
        let mut sentence = format!("{cite} found \"{text}\" in {}", touch.frame);
        let source = self.origin(touch.value, touch.word, touch.frame, line);
        match source {
            Some((stored, _)) => {
                sentence += &format!(", stored by {}", self.at(stored));
                self.cited.insert(stored);
                if let Some(page) = page {
                    self.stored_by_another(page, touch.frame, stored);
                }
                if let Some((handle, made)) = self.held_before(step, touch.frame, stored) {
                    self.held_as_it_was(handle, made, touch.frame);
                    // Who reads through a handle may be another one than whose page it was.
                    self.reused(touch.frame, stored);
                }
            }
            None => sentence += ", where nothing had been stored",
        }
        let later = self.ledger.stores().find(|(at, other)| {
            *at > line && other.frame == touch.frame && other.word == touch.word
        });
        if let Some((at, other)) = later.filter(|(at, _)| *at < self.ledger.judging()) {
            let (by, later) = (self.at(at), self.words.text(other.value));
            sentence += &format!("; {by} stored \"{later}\" only after that");
            self.cited.insert(at);
        }
        self.say(line, format!("{sentence}."));
    }

    /// A word of a page whose frame a fork had shared before somebody else stored it there.
    fn stored_by_another(&mut self, page: Page, frame: Pfn, stored: usize) {
        let by = self.ledger.step(stored).and_then(|step| step.process.as_deref());
        let shares = |event| match event {
            EventKind::ForkShared { pfn, .. } if pfn == frame => Some(()),
            _ => None,
        };
        let before = self.ledger.last_event(stored, shares).is_some();
        if before && by != self.ledger.process(page) {
            let through = self.ledger.stores().find(|(at, _)| *at == stored);
            let handle = through.and_then(|(_, touch)| touch.handle.as_deref());
            let hold = handle.and_then(|handle| {
                let (made, _) = self.ledger.made(handle)?;
                Some((handle, self.ledger.taken(made, frame)))
            });
            self.child_of(page, frame, hold);
        }
    }

    /// The handle that a step reads through, and where it was made, if it had taken a frame before
    /// a line.
    fn held_before<'s>(&self, step: &'s Step, frame: Pfn, line: usize) -> Option<(&'s str, usize)> {
        let Action::DeviceRead { from, .. } = &*step.action else { return None };
        let (made, _) = self.ledger.made(&from.name.value)?;
        (self.ledger.taken(made, frame) < line).then_some((from.name.as_str(), made))
    }

    /// A handle that took a page which others shared, without a copy first.
    fn held_as_it_was(&mut self, handle: &str, made: usize, frame: Pfn) {
        let Some((_, held)) = self.ledger.made(handle) else { return };
        let page = (held.space, held.pages.first_page().0);
        let taken = self.ledger.taken(made, frame);
        if !self.ledger.view(page, taken).has_write_bit() {
            let name = self.ledger.name(page, made);
            self.pinned_as_it_was(handle, (page, frame), taken, &name);
        }
    }

    /// A read that went to a frame which its page had left: by an entry or a translation of before.
    fn read_elsewhere(&mut self, page: Page, frame: Pfn, line: usize) {
        let now = self.ledger.view(page, line).frame();
        let Some(now) = now.filter(|now| *now != frame) else { return };
        let before = self.ledger.changes(page).filter(|(at, _)| *at <= line);
        let since = before.filter(|(_, view)| view.frame() == Some(now)).map(|(at, _)| at).min();
        let Some(since) = since else { return };
        let name = self.ledger.name(page, line);
        let by = self.at(since);
        let copied = self
            .ledger
            .events_near(since)
            .into_iter()
            .any(|(_, event)| matches!(event, EventKind::CowCopy { pfn, .. } if pfn == frame));
        let early = match self.rules.cow_publish {
            CowPublish::BeforeFlush => copied,
            CowPublish::AfterFlush => false,
        };
        let mut sentence = format!("{by} had mapped {now} in place of {frame} in {name}");
        if early {
            let tag = self.tag(Switch::CowPublish);
            sentence += &format!(", and flushed only after that ({tag})");
        }
        self.say(since, format!("{sentence}."));
    }

    /// A page has no write on record.
    pub(in crate::story) fn clean(&mut self, page: Page) {
        let name = self.ledger.name(page, self.ledger.lines().len());
        let mut before = PageView::default();
        let (mut set, mut lost) = (None, None);
        for (at, view) in self.ledger.changes(page) {
            let dirty = |view: PageView| view.pte.is_mapped() && view.pte.is_dirty();
            match (dirty(before), dirty(view)) {
                (false, true) => set = Some(at),
                (true, _) if !view.pte.is_dirty() => lost = Some((at, set, before.frame())),
                _ => {}
            }
            before = view;
        }
        let Some((lost, set, frame)) = lost else {
            let end = self.ledger.judging().saturating_sub(1);
            self.say(end, format!("No store set the dirty bit of {name}."));
            return;
        };
        self.moved_clean(page, lost, &name);
        let frame = frame.map_or_else(|| "its page".to_owned(), |frame| frame.to_string());
        let store = self
            .ledger
            .stores()
            .rev()
            .find(|(at, touch)| *at <= lost && touch.frame.to_string() == frame);
        let missed = match (store, set) {
            (Some((at, touch)), _) => {
                let text = self.words.text(touch.value);
                self.say(at, format!("{} stored \"{text}\" in {frame}.", self.at(at)));
                "that store".to_owned()
            }
            // The dirty bit comes before what is stored.
            (None, Some(at)) => format!("{} set that bit", self.at(at)),
            (None, None) => "that".to_owned(),
        };
        let mut sentence =
            format!("{} wrote the entry of {name} without the dirty bit", self.at(lost));
        let fork = self.ledger.step(lost).is_some_and(|step| step.verb() == Verb::Fork);
        if fork {
            let tag = self.tag(Switch::ForkRace);
            sentence += &format!(", as it had read it before {missed} ({tag})");
        }
        self.say(lost, format!("{sentence}."));
    }
}

impl Teller<'_> {
    /// A move before a line that put a page back without the dirty bit that its entry had.
    fn moved_clean(&mut self, page: Page, before: usize, name: &str) {
        let (mut mapped, mut moved) = (PageView::default(), None);
        for (at, view) in self.ledger.changes(page).take_while(|(at, _)| *at < before) {
            let restores = |event| matches!(event, EventKind::MigrationRestored { .. });
            let restored = self.ledger.event(at).is_some_and(restores);
            let lost = mapped.pte.is_dirty() && !view.pte.is_dirty();
            match (view.mapped(), restored) {
                (Some(pfn), true) if lost => moved = Some((at, pfn)),
                // Another page, which no move put there.
                (Some(pfn), false) if mapped.mapped() != Some(pfn) => moved = None,
                _ => {}
            }
            if view.pte.is_mapped() {
                mapped = view;
            }
        }
        let lost = moved.filter(|_| !carries_accessed_dirty(self.rules.migration_ad));
        if let Some((at, frame)) = lost {
            let (cite, tag) = (self.at(at), self.tag(Switch::MigrationAd));
            self.say(at, format!("{cite} mapped {frame} in {name} without the dirty bit ({tag})."));
        }
    }
}

/// The page that a step reads, by the name under which it is watched.
fn page_read(step: &Step) -> Option<String> {
    let (process, from) = match &*step.action {
        Action::Read { from, .. } => (step.process.as_deref()?, from),
        Action::VmRead { peek } | Action::PtraceRead { peek } => {
            (peek.process.as_str(), &peek.from)
        }
        _ => return None,
    };
    Some(format!("{process}:{}", from.name.value))
}
