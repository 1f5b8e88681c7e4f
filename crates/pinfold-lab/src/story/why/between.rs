//! What came between the parts of an unmap: a writeback that found no mapping while a CPU still
//! stored through an old translation (facts 6.2), and a move of the charge (facts 6.6).

use pinfold::rules::Switch;
use pinfold::rules::charge::{Counting, counting};
use pinfold::rules::zap::{Removal, Zapped, removal};
use pinfold::{EventKind, Pfn};

use super::Teller;

impl Teller<'_> {
    /// A store to a page of a file that a step had unmapped and not flushed yet: what let somebody
    /// clean the page before the store.
    pub(super) fn cleaned_before(&mut self, frame: Pfn, stored: usize) {
        let cleaned = self.ledger.last_event(stored, |event| {
            matches!(event, EventKind::WrittenBack(pfn) if pfn == frame).then_some(())
        });
        let Some((cleaned, ())) = cleaned else { return };
        let zapped = self.ledger.last_event(cleaned, |event| {
            matches!(event, EventKind::Zapped(pfn) if pfn == frame).then_some(())
        });
        let Some((zapped, ())) = zapped else { return };
        let under_way = self.ledger.step(zapped).is_some_and(|step| step.ends > stored);
        let early = match removal(self.rules.zap_rmap, Zapped::DirtyFile) {
            Removal::WithEntry => true,
            Removal::UnderLock | Removal::WhenFreed => false,
        };
        if !under_way || !early {
            return;
        }
        let (cite, tag) = (self.at(zapped), self.tag(Switch::ZapRmap));
        let what = "took the mapping off with the entry, before any CPU had forgotten that";
        self.say(zapped, format!("{cite} unmapped {frame} and {what} ({tag})."));
        let cite = self.at(cleaned);
        let found = match self.ledger.holders(frame, cleaned).mappings.is_empty() {
            true => "no mapping",
            false => "only other mappings",
        };
        self.say(cleaned, format!("{cite} found {found} of {frame} and wrote it as clean."));
    }

    /// A group that counts what its pages are not: a charge that moved while a step of another lane
    /// had taken the mapping off and not counted it yet.
    pub(super) fn counted_elsewhere(&mut self) {
        match counting(self.rules.memcg_lock) {
            Counting::Throughout => return,
            Counting::AroundCounts | Counting::Unlocked => {}
        }
        let ledger = self.ledger;
        let moves = (0..ledger.lines().len()).filter_map(|at| match ledger.event(at) {
            Some(EventKind::ChargeMoved(pfn)) => Some((at, pfn)),
            _ => None,
        });
        for (at, frame) in moves {
            let between = |step: &&super::Step| {
                let zaps = |event| matches!(event, EventKind::Zapped(pfn) if pfn == frame);
                step.lane != ledger.lines()[at].lane
                    && (step.begins..step.ends).contains(&at)
                    && ledger.events_near(step.begins).into_iter().any(|(_, event)| zaps(event))
            };
            let Some(step) = ledger.steps.iter().find(between) else { continue };
            let (cite, mover, begins) = (step.cite(), self.at(at), step.begins);
            let tag = self.tag(Switch::MemcgLock);
            self.cite_step(begins);
            self.say(
                at,
                format!(
                    "{mover} moved {frame} to the other group between what {cite} does to its \
                     mapping and to the group's counts, with no lock that both take ({tag})."
                ),
            );
            return;
        }
    }
}
