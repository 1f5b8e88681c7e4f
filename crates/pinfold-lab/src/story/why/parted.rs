//! Two sides that name different frames: how a page left the frame that the other side has.

use pinfold::rules::pin::rechecks_entry;
use pinfold::rules::{Switch, Why};
use pinfold::{EventKind, Pfn};

use super::Teller;
use crate::about::Page;
use crate::scenario::{Action, Advice};

impl<'a> Teller<'a> {
    /// A handle and the page that it was taken of name different frames.
    pub(in crate::story) fn parted(&mut self, handle: &str, frame: Pfn, page: Page) {
        let Some((made, held)) = self.ledger.made(handle) else { return };
        let taken = self.ledger.taken(made, frame);
        let mine = (held.space, held.pages.first_page().0);
        let own = held.space == page.0 && held.pages.iter().any(|one| one.0 == page.1);
        if !own {
            let name = self.ledger.name(page, made);
            let other = self.ledger.name(mine, made);
            let sentence = format!("{handle} was taken of {other}, not of {name}");
            self.say(made, format!("{}: {sentence}.", self.at(made)));
            return;
        }
        if self.ledger.view(page, taken).frame() != Some(frame) {
            self.taken_too_late(handle, frame, page, taken);
            return;
        }
        let Some(left) = self.leaves(page, frame, taken) else { return };
        self.cite_step(taken);
        self.copied_because(page, frame, left, Some((handle, taken)));
        self.left(page, frame, left);
        self.parted_now(handle, frame, page);
    }

    /// Where the two sides lead in the end.
    pub(in crate::story) fn parted_now(&mut self, handle: &str, frame: Pfn, page: Page) {
        let view = self.ledger.view(page, self.ledger.lines().len());
        let name = self.ledger.name(page, self.ledger.lines().len());
        let zero = if view.is_zero_page() { "the zero page " } else { "" };
        let has =
            view.frame().map_or_else(|| "nothing".to_owned(), |frame| format!("{zero}{frame}"));
        self.said.push((usize::MAX, format!("So {handle} leads to {frame} and {name} to {has}.")));
    }

    /// The line at which a page that has `frame` at line `from` leaves it.
    pub(in crate::story) fn leaves(&self, page: Page, frame: Pfn, from: usize) -> Option<usize> {
        let mut later = self.ledger.changes(page).filter(|(at, _)| *at > from);
        later.find(|(_, view)| view.frame() != Some(frame)).map(|(at, _)| at)
    }

    /// Whether the page was taken by a walk without locks that looked at the entry once more before
    /// it told of it. What the entry has become between the two is not its fault.
    pub(in crate::story) fn looked_twice(&self, taken: usize) -> bool {
        let fast = matches!(self.ledger.event(taken), Some(EventKind::FastTaken(_)));
        fast && rechecks_entry(self.rules.fast_recheck)
    }

    /// A walk without locks took a frame that the page had left.
    pub(in crate::story) fn taken_too_late(
        &mut self,
        handle: &str,
        frame: Pfn,
        page: Page,
        taken: usize,
    ) {
        let before = self.ledger.changes(page).filter(|(at, _)| *at <= taken);
        let mut last = None;
        let mut had = false;
        for (at, view) in before {
            if had && view.frame() != Some(frame) {
                last = Some(at);
            }
            had = view.frame() == Some(frame);
        }
        let Some(left) = last else { return };
        self.left(page, frame, left);
        let mut sentence = format!("{} took {frame} for {handle} only after that", self.at(taken));
        if let Some(EventKind::FastTaken(_)) = self.ledger.event(taken) {
            let tag = self.tag(Switch::FastRecheck);
            let table = self.collapse_begins(left).is_some();
            sentence += &if table && rechecks_entry(self.rules.fast_recheck) {
                let sync = self.tag(Switch::CollapseSync);
                format!(
                    ", as it looked at its entry again, and not at the one above ({tag}), and the \
                     collapse did not wait for it ({sync})"
                )
            } else {
                format!(" and did not see that the entry had changed ({tag})")
            };
        }
        self.say(taken, format!("{sentence}."));
    }

    /// The folio of a collapse that took the table of a page out at this line.
    fn collapse_begins(&self, left: usize) -> Option<Pfn> {
        self.ledger.events_near(left).into_iter().find_map(|(_, event)| match event {
            EventKind::CollapseBegins(head) => Some(head),
            _ => None,
        })
    }

    /// How a page left a frame.
    pub(in crate::story) fn left(&mut self, page: Page, frame: Pfn, left: usize) {
        let name = self.ledger.name(page, left.saturating_sub(1));
        let cite = self.at(left);
        let to = self.ledger.view(page, left).frame();
        if let Some(head) = self.collapse_begins(left) {
            let text = format!(
                "{cite} took out the table that maps {frame} in {name}, for its pages to become \
                 the folio at {head}."
            );
            return self.say(left, text);
        }
        for (at, event) in self.ledger.events_near(left) {
            match event {
                EventKind::CowCopy { pfn, why } if pfn == frame => {
                    let reason = self.because(why, Switch::PteCow);
                    let sum = self.sum(why, frame, at);
                    let to = to.map(|to| format!(" to {to}")).unwrap_or_default();
                    self.cited.insert(at);
                    self.split_for_write(frame, left);
                    self.say(left, format!("{cite} copied {frame}{to} for {name}, {reason}{sum}."));
                    return;
                }
                EventKind::Migrated { from, to } if from == frame => {
                    self.say(left, format!("{cite} moved {frame} of {name} to {to}."));
                    return;
                }
                _ => {}
            }
        }
        if self.dropped_lazily(frame, left, &name) {
            return self.mapped_anew(page, left);
        }
        let Some(step) = self.ledger.step(left) else { return };
        let drops = match &*step.action {
            Action::Unmap { .. } | Action::Exit => true,
            Action::Advise { advice, .. } => advice.value == Advice::DontNeed,
            _ => false,
        };
        let sentence = match to {
            Some(to) if !drops => format!("{cite} replaced {frame} by {to} in {name}."),
            _ => format!(
                "{cite} dropped {frame} from {name}{}.",
                self.held_all_the_same(frame, left)
            ),
        };
        self.say(left, sentence);
        self.mapped_anew(page, left);
    }

    /// Who held a frame when its page was dropped at a line: no release keeps the page at its
    /// address for that.
    fn held_all_the_same(&self, frame: Pfn, left: usize) -> String {
        let holders = self.ledger.holders(frame, left);
        let pins = holders.pins.iter();
        let names: Vec<_> = pins.chain(holders.gets.iter().map(|(name, _)| name)).collect();
        match &names[..] {
            [] => String::new(),
            [one] => format!("; {one} keeps the frame from reuse, not the page at its address"),
            [first, rest @ ..] => {
                let rest = rest.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
                format!("; {first}, {rest} keep the frame from reuse, not the page at its address")
            }
        }
    }

    /// What a page that was dropped maps now.
    pub(in crate::story) fn mapped_anew(&mut self, page: Page, left: usize) {
        if self.ledger.view(page, left).frame().is_some() {
            return;
        }
        let mut later = self.ledger.changes(page).filter(|(at, _)| *at > left);
        let Some((at, view)) = later.find(|(_, view)| view.frame().is_some()) else { return };
        let name = self.ledger.name(page, at);
        let Some(frame) = view.frame() else { return };
        let what = if view.is_zero_page() { "the zero page " } else { "" };
        if at < self.ledger.judging() {
            let how = self.read_past_the_cache(frame, left, at);
            self.say(at, format!("{} mapped {what}{frame} in {name}{how}.", self.at(at)));
        }
    }

    /// The holders behind a count that decided.
    pub(in crate::story) fn sum(&self, why: Why, frame: Pfn, line: usize) -> String {
        let sum = self.ledger.of_count(why, frame, line);
        sum.map(|sum| format!("; {sum}")).unwrap_or_default()
    }

    /// Two pages lead to different frames.
    pub(in crate::story) fn pages(&mut self, one: Page, other: Page) {
        let end = self.ledger.lines().len();
        for page in [one, other] {
            let Some((at, view)) = self.ledger.changes(page).last() else { continue };
            let Some(frame) = view.frame() else { continue };
            let first = self.ledger.changes(page).filter(|(_, view)| view.frame() == Some(frame));
            let at = first.map(|(at, _)| at).min().unwrap_or(at);
            let name = self.ledger.name(page, end);
            self.say(at, format!("{} mapped {frame} in {name}.", self.at(at)));
        }
    }
}
