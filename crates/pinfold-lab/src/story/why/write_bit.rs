//! Why a store had to copy a page: what had taken the write bit of its entry.

use pinfold::rules::{NumaSkip, ReadGup, Switch};
use pinfold::{EventKind, Pfn};

use super::Teller;
use crate::about::Page;
use crate::counted::counted;
use crate::folios::Run;
use crate::hardware::Level;
use crate::journal::PageView;
use crate::scenario::{Action, Protection, Verb};
use crate::story::ledger::Step;

impl<'a> Teller<'a> {
    /// Why a store had to copy a page: what had taken the write bit of its entry.
    pub(in crate::story) fn copied_because(
        &mut self,
        page: Page,
        frame: Pfn,
        left: usize,
        hold: Option<(&str, usize)>,
    ) {
        let copies = |(_, event): &(usize, EventKind)| matches!(event, EventKind::CowCopy { pfn, .. } if *pfn == frame);
        if !self.ledger.events_near(left).iter().any(copies) {
            return;
        }
        let Some((lost, before, after)) = self.write_bit_lost(page, frame, left) else {
            self.never_writable(page, frame, left, hold);
            return;
        };
        let name = self.ledger.name(page, lost);
        if let Some(sentence) = self.bit_taken((page, frame), lost, (before, after), hold) {
            self.say(lost, sentence);
        }
        self.put_back(frame, (lost, left), &name);
        self.back_as_shared(page, frame, (lost, left));
        self.shared_since(page, frame, lost, left, hold);
        self.left_read_only(page, frame, lost, left, &name);
        if let Some((handle, taken)) = hold.filter(|(_, taken)| lost < *taken) {
            self.pinned_as_it_was(handle, (page, frame), taken, &name);
        }
    }

    /// The step of another lane inside which a line stands.
    fn inside(&self, line: usize) -> String {
        let lane = self.ledger.lines()[line].lane;
        let around = |step: &&Step| {
            step.lane != lane && step.lane.is_some() && step.begins < line && line < step.ends
        };
        let around = self.ledger.steps.iter().find(around);
        around.map(|step| format!(", in the middle of step {},", step.number)).unwrap_or_default()
    }

    /// Who made the entry of `frame` present again after it had lost the write bit at a line: a
    /// migration that put it back, or a hinting fault.
    fn put_back(&mut self, frame: Pfn, (lost, left): (usize, usize), name: &str) {
        let back = self.ledger.last_event(left, |event| match event {
            EventKind::MigrationRestored { pfn, writable: false } if pfn == frame => {
                Some("went by the migration entry, which had lost the write bit")
            }
            EventKind::HintRestored { pfn, writable: false } if pfn == frame => {
                Some("made it present again as the entry said by then")
            }
            _ => None,
        });
        if let Some((at, how)) = back.filter(|(at, _)| *at > lost) {
            let cite = self.at(at);
            self.say(at, format!("{cite} left {frame} in {name} read-only: it {how}."));
        }
    }

    /// Forks that shared the frame after its entry had lost the write bit: what they added to the
    /// counts is part of why it was copied.
    pub(in crate::story) fn shared_since(
        &mut self,
        page: Page,
        frame: Pfn,
        lost: usize,
        left: usize,
        hold: Option<(&str, usize)>,
    ) {
        let parent = |step: &Step| step.process.as_deref() == self.ledger.process(page);
        let forks: Vec<usize> = self
            .ledger
            .steps
            .iter()
            .filter(|step| step.verb() == Verb::Fork && parent(step))
            .filter(|step| step.begins > lost && step.begins < left)
            .map(|step| step.ends)
            .collect();
        for fork in forks {
            if let Some(sentence) = self.fork_shared(frame, fork, hold) {
                self.say(fork, sentence);
            }
        }
    }

    /// The last line before `left` at which the entry that leads to `frame` lost its write bit.
    pub(in crate::story) fn write_bit_lost(
        &self,
        page: Page,
        frame: Pfn,
        left: usize,
    ) -> Option<(usize, PageView, PageView)> {
        let mut lost = None;
        let mut before = PageView::default();
        for (at, view) in self.ledger.changes(page).take_while(|(at, _)| *at < left) {
            let same = before.frame() == Some(frame) && view.frame() == Some(frame);
            if same && before.has_write_bit() && !view.has_write_bit() {
                lost = Some((at, before, view));
            }
            before = view;
        }
        lost
    }

    /// A page that was mapped without the write bit from the beginning.
    pub(in crate::story) fn never_writable(
        &mut self,
        page: Page,
        frame: Pfn,
        left: usize,
        hold: Option<(&str, usize)>,
    ) {
        let before = self.ledger.changes(page).take_while(|(at, _)| *at < left);
        let mut mapped = None;
        let mut had = None;
        for (at, view) in before {
            if view.frame() == Some(frame) && had != Some(frame) {
                mapped = Some(at);
            }
            had = view.frame();
        }
        let Some(mapped) = mapped else { return };
        let name = self.ledger.name(page, mapped);
        let what = if self.ledger.view(page, mapped).is_zero_page() {
            format!("the zero page {frame}")
        } else {
            format!("{frame} read-only")
        };
        if let Some(share) = self.share_of(page, frame, mapped, hold) {
            self.say(mapped, share);
        } else {
            self.say(mapped, format!("{} mapped {what} in {name}.", self.at(mapped)));
        }
        self.left_read_only(page, frame, mapped, left, &name);
        if let Some((handle, taken)) = hold {
            self.pinned_as_it_was(handle, (page, frame), taken, &name);
        }
    }

    /// A read pin of a page that the next store replaces took it as it was.
    pub(in crate::story) fn pinned_as_it_was(
        &mut self,
        handle: &str,
        (page, frame): (Page, Pfn),
        taken: usize,
        name: &str,
    ) {
        let Some(step) = self.ledger.step(taken) else { return };
        let reads = match &*step.action {
            Action::Pin { grab, .. } | Action::Get { grab, .. } => {
                grab.access.value == crate::scenario::Access::Read
            }
            _ => false,
        };
        let cite = step.cite();
        let as_it_is = match self.rules.read_gup {
            ReadGup::AsIs | ReadGup::UnshareAnon | ReadGup::UnshareAll => true,
            // It is replaced, wherever the area allows a write fault and the walk makes one.
            ReadGup::ForceWrite => !self.ledger.view(page, taken).has_write_bit(),
        };
        if reads && as_it_is {
            let tag = self.tag(Switch::ReadGup);
            // What has no copy for a pin has none for an ordinary reference either.
            let replaced = match self.rules.read_gup {
                ReadGup::UnshareAnon | ReadGup::UnshareAll => ": only a pin has it replaced first",
                ReadGup::AsIs | ReadGup::ForceWrite => "",
            };
            let is_get = matches!(&*step.action, Action::Get { .. });
            let only = if is_get { replaced } else { "" };
            let took = format!("{cite} took {frame} of {name} for {handle} as it was");
            self.say(taken, format!("{took}{only} ({tag})."));
        }
    }

    /// Who took the write bit at line `lost`, and by which rule.
    pub(in crate::story) fn bit_taken(
        &mut self,
        (page, frame): (Page, Pfn),
        lost: usize,
        (before, after): (PageView, PageView),
        hold: Option<(&str, usize)>,
    ) -> Option<String> {
        let name = self.ledger.name(page, lost);
        let step = self.ledger.step(lost)?;
        let (cite, verb) = (step.cite(), step.verb());
        let events = self.ledger.events_near(lost);
        let moving = !before.pte.is_mapped() && !after.pte.is_mapped();
        if verb == Verb::Fork && !moving {
            return self.fork_shared(frame, lost, hold);
        }
        let moved = if moving { self.on_the_move(frame, lost, &name) } else { Run::alone(frame) };
        // A huge entry is one event, of the first page.
        let huge = before.level != Level::Last;
        for (at, event) in events {
            match event {
                EventKind::MigrationDowngraded { pfn, .. }
                    if moving && (pfn == frame || huge && moved.contains(pfn)) =>
                {
                    self.cited.insert(at);
                    let tag = self.tag(Switch::MigrationKind);
                    let inside = self.inside(lost);
                    return Some(format!(
                        "{cite}{inside} took the write bit from the migration entry of {frame} in \
                         {name}, as every scan and change of protection does ({tag})."
                    ));
                }
                EventKind::HintRestored { pfn, writable: false } if pfn == frame => {
                    self.cited.insert(at);
                    let tag = self.tag(Switch::NumaWrite);
                    return Some(format!(
                        "{cite} made {frame} present in {name} without the write bit ({tag})."
                    ));
                }
                EventKind::NumaProtected(pfn) if pfn == frame => {
                    self.cited.insert(at);
                    let tag = self.tag(Switch::NumaWrite);
                    return Some(format!(
                        "{cite} made {frame} PROT_NONE in {name} and dropped the write bit ({tag})."
                    ));
                }
                EventKind::SoftDirtyCleared(pfn) if pfn == frame => {
                    self.cited.insert(at);
                    let tag = self.tag(Switch::ClearRefsPinned);
                    return Some(format!(
                        "{cite} took the write bit from {frame} in {name}, to see the next store \
                         ({tag})."
                    ));
                }
                EventKind::SwapEntry { pfn, .. } if pfn == frame => {
                    self.cited.insert(at);
                    return Some(self.swapped_out(frame, at, &name));
                }
                EventKind::MigrationRestored { pfn, writable: false } if pfn == frame => {
                    self.cited.insert(at);
                    let tag = self.tag(Switch::MigrationKind);
                    return Some(format!(
                        "{cite} put {frame} back in {name} without the write bit ({tag})."
                    ));
                }
                _ => {}
            }
        }
        Some(if moving {
            format!("{cite} took the write bit from the migration entry of {frame} in {name}.")
        } else {
            format!("{cite} took the write bit from {frame} in {name}.")
        })
    }

    /// Who put the migration entry of `frame` in place that was there at a line, and what became of
    /// the migration. Returns what moved with it.
    pub(in crate::story) fn on_the_move(&mut self, frame: Pfn, line: usize, name: &str) -> Run {
        let entry = self.ledger.last_event(line, |event| {
            matches!(event, EventKind::MigrationEntry { pfn, .. } if pfn == frame).then_some(())
        });
        let Some((entry, ())) = entry else { return Run::alone(frame) };
        // While it moves nothing maps it that would show its counts.
        let span = self.ledger.step(entry).map_or((entry, entry), |step| (step.begins, step.ends));
        let moved = self.ledger.unit(frame, span.0);
        let hint = self.ledger.last_event(entry, |event| {
            matches!(event, EventKind::NumaProtected(pfn) if pfn == frame).then_some(())
        });
        let asked = [Verb::Migrate, Verb::MovePages, Verb::Mbind];
        let hinted = self.ledger.step(entry).is_some_and(|step| !asked.contains(&step.verb()));
        if let Some((hint, ())) = hint.filter(|_| hinted) {
            let tag = self.tag(Switch::NumaSkip);
            let cite = self.at(hint);
            let mapped = self.ledger.holders(frame, hint).mappings.len();
            let looked = match self.rules.numa_skip {
                NumaSkip::MapCount | NumaSkip::MapCountAnywhere => match mapped {
                    1 => ", as its mapcount is 1",
                    _ => "",
                },
                NumaSkip::Never
                | NumaSkip::RefCount
                | NumaSkip::PinnedOrLikelyShared
                | NumaSkip::PinnedOrMaybeShared
                | NumaSkip::PinnedAnywhere => "",
            };
            let what = format!("made {frame} PROT_NONE and did not skip it{looked}");
            self.say(hint, format!("{cite} {what} ({tag})."));
        }
        let mut sentence = format!(
            "{} put a migration entry for {frame} in {name}, to move the page",
            self.at(entry)
        );
        let pins = self.ledger.holders_of(moved, entry).pins;
        if !pins.is_empty() {
            // Later rules put the entry of a pinned page back.
            let tag = self.tag(Switch::MigrationKind);
            sentence += &format!(" that {} pins ({tag})", pins.join(", "));
        }
        let busy = self.ledger.find_event(entry..=span.1, |event| match event {
            EventKind::MigrationBusy { pfn, refs, expected } if moved.contains(pfn) => {
                Some((refs, expected))
            }
            _ => None,
        });
        if let Some((at, (refs, expected))) = busy {
            let found = counted(refs, "reference", "references");
            sentence += &format!(
                "; it found {found} where {expected} may be when no entry maps the page, and gave \
                 up"
            );
            if let Some(sum) = self.ledger.found_by_move((frame, at), (refs, expected)) {
                sentence += &format!("; {sum}");
            }
            self.cited.insert(at);
        }
        self.say(entry, format!("{sentence}."));
        moved
    }

    /// Steps that allowed writing to the page again, but did not give the entry its bit back.
    pub(in crate::story) fn left_read_only(
        &mut self,
        page: Page,
        frame: Pfn,
        lost: usize,
        left: usize,
        name: &str,
    ) {
        let allows = |step: &&Step| {
            let writable = match &*step.action {
                Action::Protect { protection, .. } => {
                    matches!(protection.value, Protection::ReadWrite | Protection::ReadWriteExecute)
                }
                Action::UffdUnprotect { .. } => true,
                _ => false,
            };
            writable && step.begins > lost && step.ends < left
        };
        let process = self.ledger.process(page).map(str::to_owned);
        let steps: Vec<(String, usize)> = self
            .ledger
            .steps
            .iter()
            .filter(allows)
            .filter(|step| step.process == process)
            .map(|step| (step.cite(), step.ends))
            .collect();
        for (cite, ends) in steps {
            let view = self.ledger.view(page, ends);
            if view.frame() == Some(frame) && !view.has_write_bit() {
                let tag = self.tag(Switch::WriteUpgrade);
                self.say(
                    ends,
                    format!("{cite} left {frame} in {name} without the write bit ({tag})."),
                );
            }
        }
    }
}
