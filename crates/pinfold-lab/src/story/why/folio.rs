//! Counts of large folios that went to the wrong place.

use pinfold::rules::{HeadRecheck, LargeMaps, Switch};
use pinfold::{EventKind, Pfn};

use super::Teller;
use crate::scenario::Verb;

impl Teller<'_> {
    /// A walk that trusted its first look at the head of a folio, which was split before the walk
    /// had counted its reference there.
    pub(super) fn counted_on_head(&mut self, frame: Pfn) {
        let trusted = match self.rules.head_recheck {
            HeadRecheck::Trusted => true,
            HeadRecheck::Again => false,
        };
        if !trusted {
            return;
        }
        let ledger = self.ledger;
        for (at, head) in ledger.splits() {
            // The folio as it was when its split began.
            let run = ledger.unit(head, at);
            if !run.contains(frame) {
                continue;
            }
            let looked = |line: &usize| match ledger.event(*line) {
                Some(EventKind::FastLook(pfn)) => run.contains(pfn),
                _ => false,
            };
            let split = ledger.step(at).map(|step| step.number);
            for look in (0..at).rev().filter(looked) {
                let Some(step) = ledger.step(look) else { continue };
                let grabs = matches!(step.verb(), Verb::Pin | Verb::Get);
                if !grabs || step.ends < at || Some(step.number) == split {
                    continue;
                }
                let Some(EventKind::FastLook(page)) = ledger.event(look) else { continue };
                let (cite, by) = (step.cite(), self.at(at));
                let tag = self.tag(Switch::HeadRecheck);
                self.say(
                    look,
                    format!(
                        "{cite} found {page} in the folio at {head}, which {by} split before the \
                         reference was counted, and did not look again ({tag}): it is counted on \
                         what the walk took for the head."
                    ),
                );
                return;
            }
        }
    }

    /// An unmap that counted mappings off pages of a folio, and not off the folio.
    pub(super) fn folio_forgotten(&mut self, frame: Pfn) {
        let forgets = match self.rules.large_maps {
            LargeMaps::Forgotten => true,
            LargeMaps::EachPage | LargeMaps::EachPageAndOwner | LargeMaps::Owner => false,
        };
        if !forgets {
            return;
        }
        let end = self.ledger.lines().len();
        let zaps = |event| match event {
            EventKind::Zapped(pfn) => Some(pfn),
            _ => None,
        };
        if let Some((at, pfn)) = self.ledger.last_event(end, zaps)
            && self.ledger.unit(pfn, at.saturating_sub(1)).contains(frame)
        {
            let (cite, tag) = (self.at(at), self.tag(Switch::LargeMaps));
            self.say(
                at,
                format!(
                    "{cite} counted its mappings off the pages of the folio at {frame} and not off \
                     the folio ({tag})."
                ),
            );
        }
    }
}
