//! Pages that reclaim took out: what held them then, as whose they came back, and what went with
//! its contents.

use pinfold::rules::Switch;
use pinfold::rules::swap::{heeds_stable, takes_slot};
use pinfold::{EventKind, Pfn};

use super::Teller;
use crate::about::Page;

impl Teller<'_> {
    /// Reclaim put a swap entry in place of one that leads to `frame`, at a line: what held the
    /// page then, and did not keep the entry.
    pub(in crate::story) fn swapped_out(&mut self, frame: Pfn, at: usize, name: &str) -> String {
        let mut sentence = format!("{} put a swap entry for {frame} in {name}", self.at(at));
        self.cached_though_pinned(frame, at);
        let pins = self.ledger.holders(frame, at).pins;
        if !pins.is_empty() {
            // Later rules put the entry of a pinned page back.
            let tag = self.tag(Switch::SwapInReuse);
            sentence += &format!(", a page that {} pins ({tag})", pins.join(", "));
        }
        format!("{sentence}.")
    }

    /// A page that was put into the swap cache before a line, though it was pinned then.
    fn cached_though_pinned(&mut self, frame: Pfn, before: usize) {
        let entered = self.ledger.last_event(before, |event| {
            matches!(event, EventKind::SwapCacheEntered(pfn) if pfn == frame).then_some(())
        });
        let Some((at, ())) = entered else { return };
        let pins = self.ledger.holders(frame, at).pins;
        if !pins.is_empty() {
            let (cite, tag) = (self.at(at), self.tag(Switch::SwapPinned));
            let held = pins.join(", ");
            self.say(
                at,
                format!("{cite} put {frame}, which {held} pins, into the swap cache ({tag})."),
            );
        }
    }

    /// The fault between two lines that brought `frame` back without the write bit, as it may have
    /// been somebody else's, too.
    pub(in crate::story) fn back_as_shared(
        &mut self,
        page: Page,
        frame: Pfn,
        (out, left): (usize, usize),
    ) {
        let back = self.ledger.last_event(left, |event| match event {
            EventKind::SwapShared { pfn, why } if pfn == frame => Some(why),
            _ => None,
        });
        let Some((at, why)) = back.filter(|(at, _)| *at > out) else { return };
        let (cite, name) = (self.at(at), self.ledger.name(page, at));
        let (reason, sum) = (self.because(why, Switch::SwapInReuse), self.sum(why, frame, at));
        let sentence = format!("{cite} brought {frame} back to {name} read-only, {reason}{sum}.");
        self.say(at, sentence);
    }

    /// A frame was stored to while a swap device wrote it that needs it unchanged: the fault that
    /// had brought it back.
    pub(in crate::story) fn unstable(&mut self, frame: Pfn) {
        let last = |wanted: &dyn Fn(EventKind) -> bool| {
            let at = self.ledger.last_event(usize::MAX, |event| wanted(event).then_some(()));
            at.map(|(at, ())| at)
        };
        let out = last(&|event| matches!(event, EventKind::SwapEntry { pfn, .. } if pfn == frame));
        let back = last(&|event| matches!(event, EventKind::SwapOwned { pfn, .. } if pfn == frame));
        // Who stored by another way than the entry has nothing to do with how that came back.
        let Some(at) = back.filter(|back| out.is_some_and(|out| *back > out)) else { return };
        let cite = self.at(at);
        let rule = match heeds_stable(self.rules.swap_stable) {
            true => String::new(),
            false => format!(" ({})", self.tag(Switch::SwapStable)),
        };
        let sentence = format!(
            "{cite} brought {frame} back, to be stored to, while the swap device was writing \
             it{rule}."
        );
        self.say(at, sentence);
    }

    /// Of a frame that was mapped at a line: whether the fault had read it past the swap cache, by
    /// the rule that keeps nothing of the slot, before the page that was there went, at another
    /// line.
    pub(in crate::story) fn read_past_the_cache(
        &mut self,
        frame: Pfn,
        left: usize,
        mapped: usize,
    ) -> String {
        let read = self.ledger.last_event(mapped, |event| {
            matches!(event, EventKind::SwapCacheSkipped(pfn) if pfn == frame).then_some(())
        });
        let begins = |line| self.ledger.step(line).map(|step| step.begins);
        let own = |at: usize| at < left && begins(at) == begins(mapped);
        match read.filter(|(at, ())| own(*at) && !takes_slot(self.rules.swap_in_cache)) {
            None => String::new(),
            Some(_) => format!(
                ", which it had read past the swap cache before that, and nothing kept the slot \
                 from being used again meanwhile ({})",
                self.tag(Switch::SwapInCache)
            ),
        }
    }

    /// Whether reclaim dropped `frame` with its contents at a line, as nobody needed them; it is
    /// told then.
    pub(in crate::story) fn dropped_lazily(&mut self, frame: Pfn, left: usize, name: &str) -> bool {
        let events = self.ledger.events_near(left);
        let dropped = events
            .into_iter()
            .find(|(_, event)| matches!(event, EventKind::LazyDropped(pfn) if *pfn == frame));
        let Some((at, _)) = dropped else { return false };
        self.freed_lazily(frame, at, name);
        let (cite, tag) = (self.at(at), self.tag(Switch::LazyFree));
        let holders = self.ledger.holders(frame, at.saturating_sub(1));
        let held: Vec<String> = holders
            .pins
            .into_iter()
            .chain(holders.gets.into_iter().map(|(name, _)| name))
            .collect();
        let held = match held.is_empty() {
            true => String::new(),
            false => format!(", to which {} referred", held.join(", ")),
        };
        self.say(
            left,
            format!("{cite} dropped {frame}{held}, with its contents from {name} ({tag})."),
        );
        true
    }

    /// Who said before a line that the contents may go.
    fn freed_lazily(&mut self, frame: Pfn, before: usize, name: &str) {
        let freed = self.ledger.last_event(before, |event| {
            matches!(event, EventKind::LazyFreed(pfn) if pfn == frame).then_some(())
        });
        if let Some((at, ())) = freed {
            let cite = self.at(at);
            self.say(at, format!("{cite} said that the contents of {frame} of {name} may go."));
        }
    }
}
