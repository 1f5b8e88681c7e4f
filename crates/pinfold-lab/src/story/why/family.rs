//! What an unmap left behind: a reverse map that led a walker astray (facts 6.5), a page that still
//! counts as locked (facts 6.6).

use pinfold::rules::Switch;
use pinfold::rules::rmap::asks_again;
use pinfold::rules::zap::{Munlock, Removal, Zapped, munlock, removal};
use pinfold::{EventKind, Pfn};

use super::Teller;
use crate::story::ledger::Step;

impl Teller<'_> {
    /// The rule by which an anonymous page counts as mapped when its entry is long gone.
    fn stays_mapped(&mut self) -> Option<String> {
        match removal(self.rules.zap_rmap, Zapped::Other) {
            Removal::WithEntry | Removal::UnderLock => None,
            Removal::WhenFreed => Some(self.tag(Switch::ZapRmap)),
        }
    }

    /// A page that was freed while it counted as locked: who took its entry out, and forgot the
    /// count.
    pub(super) fn locked(&mut self, frame: Pfn) {
        let zaps = |event| matches!(event, EventKind::Zapped(pfn) if pfn == frame).then_some(());
        let last = self.ledger.judging();
        let Some((at, ())) = self.ledger.last_event(last, zaps) else { return };
        let cite = self.at(at);
        let forgets = munlock(self.rules.zap_munlock) == Munlock::Forgotten;
        let rule = if forgets { Some(self.tag(Switch::ZapMunlock)) } else { None };
        let rule = rule.map(|tag| format!(" ({tag})")).unwrap_or_default();
        let left = format!("{cite} unmapped {frame} from a locked area and left it counted{rule}.");
        self.say(at, left);
    }

    /// A walk that did not find the family of `frame` where it looked: who had unmapped the page
    /// last, and why the walker did not notice.
    pub(super) fn family(&mut self, frame: Pfn, walker: Option<usize>) {
        let zaps = |event| matches!(event, EventKind::Zapped(pfn) if pfn == frame).then_some(());
        let last = self.ledger.judging();
        if let Some((at, ())) = self.ledger.last_event(last, zaps) {
            let cite = self.at(at);
            self.say(at, format!("{cite} unmapped {frame}, and left its family."));
            if let Some(tag) = self.stays_mapped() {
                self.say(at, format!("{frame} still counts as mapped after that ({tag})."));
            }
        }
        let walks = walker.and_then(|lane| self.ledger.step_at(lane, u64::MAX));
        let Some((cite, ends)) = walks.map(|step| (Step::cite(step), step.ends)) else { return };
        if !asks_again(self.rules.rmap_check) {
            let tag = self.tag(Switch::RmapCheck);
            let sentence = format!(
                "{cite} had found {frame} mapped before that, and did not ask again when it looked \
                 its family up ({tag})."
            );
            self.cite_step(ends);
            self.said.push((last, sentence));
        }
    }
}
