//! Huge entries: what a write fault and a fork decided about them, and so about the pages that they
//! map with the one in question.

use pinfold::rules::{Switch, Why};
use pinfold::{EventKind, Pfn};

use super::Teller;

/// A decision of a write fault, of the first page of what it is about, and why.
type Pick = fn(EventKind) -> Option<(Pfn, Why)>;

/// The rules by which a write fault keeps all pages of a huge entry.
const KEPT: [(Switch, Pick); 2] = [
    (Switch::PmdCow, |event| match event {
        EventKind::HugeKept { head, why } => Some((head, why)),
        _ => None,
    }),
    (Switch::HugetlbCow, |event| match event {
        EventKind::HugetlbKept { head, why } => Some((head, why)),
        _ => None,
    }),
];

impl<'a> Teller<'a> {
    /// The event near a line in which a write fault decided about the huge entry that maps `frame`,
    /// if `pick` takes it: where, the first page of its folio, and why.
    fn decided_whole(
        &self,
        frame: Pfn,
        line: usize,
        pick: impl Fn(EventKind) -> Option<(Pfn, Why)>,
    ) -> Option<(usize, Pfn, Why)> {
        let events = self.ledger.events_near(line);
        let mut decided = events.into_iter().filter_map(|(at, event)| {
            let (head, why) = pick(event)?;
            Some((at, head, why))
        });
        decided.find(|(at, head, _)| self.ledger.unit(frame, *at).contains(*head))
    }

    /// Who had pages of the folio, if a count of it decided.
    fn held_whole(&self, why: Why, head: Pfn, line: usize) -> String {
        let sum = self.ledger.of_whole(why, head, line);
        sum.map(|sum| format!("; {sum}")).unwrap_or_default()
    }

    /// A store that kept all pages of a huge entry though others had one of them.
    pub(in crate::story) fn kept_huge(&mut self, frame: Pfn, stored: usize) {
        let kept = KEPT.iter().find_map(|(rule, pick)| {
            self.decided_whole(frame, stored, pick).map(|decided| (*rule, decided))
        });
        let Some((rule, (at, head, why))) = kept else { return };
        let (cite, reason) = (self.at(stored), self.because(why, rule));
        let sum = self.held_whole(why, head, at);
        let what = "for its store with all that its huge entry maps";
        self.say(at, format!("{cite} kept {frame} {what}, {reason}{sum}."));
    }

    /// A write fault that split the huge entry of `frame` before it judged the page by itself.
    pub(in crate::story) fn split_for_write(&mut self, frame: Pfn, line: usize) {
        let split = self.decided_whole(frame, line, |event| match event {
            EventKind::HugeShared { head, why } => Some((head, why)),
            _ => None,
        });
        let Some((at, head, why)) = split else { return };
        let (cite, reason) = (self.at(line), self.because(why, Switch::PmdCow));
        let sum = self.held_whole(why, head, at);
        self.say(at, format!("{cite} split the huge entry of {frame}, {reason}{sum}."));
    }
}
