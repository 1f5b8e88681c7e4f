//! Huge entries: what a write fault and a fork decided about them, and so about the pages that they
//! map with the one in question.

use std::collections::BTreeMap;

use pinfold::rules::{Counter, Switch, Why};
use pinfold::{EventKind, Pfn, SpaceId};

use super::{Teller, tell_holders};
use crate::hardware::Level;
use crate::story::ledger::Holders;

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

    /// Who had pages of the folio, if a count of it decided. A huge entry counts as one, where that
    /// gives the sum.
    fn held_whole(&self, why: Why, head: Pfn, line: usize) -> String {
        let Why::Count { counter, value, .. } = why else { return String::new() };
        let all = self.ledger.holders(head, line);
        let huge = self.huge_entries(head, line);
        let mut rest = all.clone();
        rest.mappings.retain(|name| !huge.iter().any(|pages| pages.contains(name)));
        let own = huge.iter().map(|pages| pages.len() as u32).sum();
        rest.refs = rest.refs.saturating_sub(own);
        let entries = huge.len() as u32;
        let others = value.checked_sub(entries).filter(|others| match counter {
            Counter::Maps | Counter::MapsAndSwaps | Counter::FolioMaps => {
                rest =
                    Holders { mappings: std::mem::take(&mut rest.mappings), ..Holders::default() };
                rest.refs = rest.mappings.len() as u32;
                *others == rest.refs
            }
            Counter::Refs => *others >= rest.refs,
            Counter::Pins => false,
        });
        let Some(others) = others else {
            return format!("; held by {}", tell_holders(&all, all.refs));
        };
        let mut parts: Vec<String> = huge.iter().map(|pages| one_entry(pages)).collect();
        parts.extend((others > 0).then(|| tell_holders(&rest, others)));
        format!("; {value} = {}", parts.join(" + "))
    }

    /// The pages that each huge entry of the folio maps at a line, by name.
    fn huge_entries(&self, head: Pfn, line: usize) -> Vec<Vec<String>> {
        let (ledger, run) = (self.ledger, self.ledger.unit(head, line));
        let mut entries: BTreeMap<SpaceId, Vec<String>> = BTreeMap::new();
        for watched in &ledger.journal.watched {
            let page = (watched.space, watched.page);
            let view = ledger.view(page, line);
            let (huge, name) = (view.level != Level::Last, ledger.name(page, line));
            if huge && view.mapped().is_some_and(|pfn| run.contains(pfn)) {
                let pages = entries.entry(watched.space).or_default();
                if !pages.contains(&name) {
                    pages.push(name);
                }
            }
        }
        entries.into_values().collect()
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

/// A huge entry with the pages that it maps.
fn one_entry(pages: &[String]) -> String {
    match pages {
        [one] => format!("1 huge entry ({one})"),
        [first, .., last] => format!("1 huge entry ({first} to {last})"),
        [] => "1 huge entry".to_owned(),
    }
}
