//! Counts of large folios that went to the wrong place.

use std::ops::Range;

use pinfold::rules::large::{Again, Parting, Tally, again, parting, tally};
use pinfold::rules::{HeadRecheck, LargeMaps, Switch};
use pinfold::{EventKind, Pfn};

use super::{Step, Teller};
use crate::counted::counted;
use crate::journal::What;
use crate::scenario::Verb;

impl<'a> Teller<'a> {
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

    /// References that a tail counts and its head does not, by the rule of up to 3.1: a put of one
    /// and a split take it off both. And what a split takes that is not there.
    pub(super) fn counted_on_tail(&mut self, frame: Pfn) {
        if tally(self.rules.tail_refs) != Tally::HeadAndTail {
            return;
        }
        let ledger = self.ledger;
        let mut folio = None;
        for at in 0..ledger.lines().len() {
            match ledger.event(at) {
                Some(EventKind::TailTaken(tail)) if ledger.unit(tail, at).contains(frame) => {
                    let head = ledger.unit(tail, at).head;
                    folio = Some(head);
                    let (cite, tag) = (self.at(at), self.tag(Switch::TailRefs));
                    let what = format!(
                        "took a reference that {tail} counts, and {head}, its head, does not"
                    );
                    self.say(at, format!("{cite} {what} ({tag})."));
                    self.dropped_from_both(at, (tail, head));
                }
                Some(EventKind::HeadParted { head, refs, had })
                    if folio == Some(head) || (head == frame && had <= refs) =>
                {
                    let tail = ledger.events_near(at).into_iter().find_map(|(line, event)| {
                        let EventKind::TailParted { tail, .. } = event else { return None };
                        (line < at).then_some(tail)
                    });
                    let (cite, of) = (self.at(at), tail.unwrap_or(head));
                    let many = counted(refs, "reference", "references");
                    let took = if refs < had { "took" } else { "was to take" };
                    let mut sentence = format!("{cite} {took} the {many} of {of} off {head}");
                    if let Some(sum) = self.ledger.of_tail((of, at), refs) {
                        sentence += &format!(": {sum}");
                    }
                    sentence += &match self.ledger.of_head((head, at), had, self.rules) {
                        Some(sum) => format!(". {head} had, with its entries out, {sum}"),
                        None => format!(". {head} had {had}"),
                    };
                    // INV-TAIL-1: the split's own stays.
                    if let Some(missing) = (refs + 1).checked_sub(had).filter(|few| *few > 0) {
                        let missing = counted(missing, "is", "are");
                        sentence += &format!(
                            ", and must keep that of the split itself: {refs} + 1 = {} needed, \
                             {missing} missing. {head} would count nothing while it is used, and a \
                             frame that counts nothing is handed out again. Linux looks for that \
                             and stops, with a BUG (facts 5.1); here the split leaves {head} its \
                             {had}, and reports it",
                            refs + 1
                        );
                    }
                    self.say(at, format!("{sentence}."));
                }
                _ => {}
            }
        }
    }

    /// The put of a reference that was taken at a line, while its page was still a tail.
    fn dropped_from_both(&mut self, at: usize, (tail, head): (Pfn, Pfn)) {
        let ledger = self.ledger;
        let Some(handle) = ledger.step(at).and_then(|step| step.action.makes_handle()) else {
            return;
        };
        let released = |line: &usize| matches!(&ledger.lines()[*line].what, What::Releases(name) if *name == handle.value);
        let parts = |event| match event {
            EventKind::TailParted { tail: one, .. } if one == tail => Some(()),
            _ => None,
        };
        if let Some(put) = (at..ledger.lines().len()).find(released)
            && ledger.find_event(at..put, parts).is_none()
        {
            let cite = self.at(put);
            self.say(put, format!("{cite} took it off {tail}, and one off {head}, too."));
        }
    }

    /// One more reference through one that is held, by the rule of up to 3.1: counted on the tail
    /// first, which a split took for one that its head counts, too.
    pub(super) fn counted_in_two_steps(&mut self, frame: Pfn) {
        if again(self.rules.tail_refs) != Again::InTwoSteps {
            return;
        }
        let (ledger, lines) = (self.ledger, self.ledger.lines());
        for (step, span) in self.gets_of_pages() {
            let run = ledger.unit(frame, step.begins);
            let parted = span.filter(|at| lines[*at].lane != step.lane).find_map(|at| {
                let EventKind::TailParted { tail, refs } = ledger.event(at)? else { return None };
                let known = ledger.known_of_tail(tail, at);
                (run.contains(tail) && refs > known).then_some((at, tail))
            });
            if let Some((at, tail)) = parted {
                let (cite, split, tag) = (step.cite(), self.at(at), self.tag(Switch::TailRefs));
                let what = format!(
                    "adds its reference to {tail} and after that to its head, {head}, and {split} \
                     came between, when {head} did not count it yet",
                    head = run.head
                );
                self.say(step.begins, format!("{cite} {what} ({tag})."));
            }
        }
    }

    /// One more reference through one that is held, by the first posting of 3.2's rule: under the
    /// lock of what was the folio's head, which a split has made a page that somebody has freed.
    pub(super) fn locked_what_was_freed(&mut self, frame: Pfn) {
        if again(self.rules.tail_refs) != Again::UnderLock {
            return;
        }
        let ledger = self.ledger;
        let frees = |event| matches!(event, EventKind::Freed(pfn) if pfn == frame).then_some(());
        for (step, span) in self.gets_of_pages() {
            let run = ledger.unit(frame, step.begins);
            if let Some((at, ())) = ledger.find_event(span, frees)
                && run.head == frame
                && run.pages > 1
            {
                let (cite, by, tag) = (step.cite(), self.at(at), self.tag(Switch::TailRefs));
                let what = format!(
                    "had looked up {frame} as the head of the folio, and took its lock without a \
                     reference on it when {by} had freed it"
                );
                self.say(at, format!("{cite} {what} ({tag})."));
            }
        }
    }

    /// The steps that take one more reference on a page, each with the lines from its beginning to
    /// its end.
    fn gets_of_pages(&self) -> impl Iterator<Item = (&'a Step, Range<usize>)> + use<'a> {
        let (ledger, lines) = (self.ledger, self.ledger.lines());
        let steps = ledger.steps.iter().filter(|step| step.verb() == Verb::GetPage);
        steps.map(|step| {
            let ended = lines[step.ends].what == What::Ends;
            (step, step.begins..if ended { step.ends } else { lines.len() })
        })
    }

    /// A reference that was counted on the head behind a split's comparison, where that freezes
    /// nothing: it stays on the head, whatever its page becomes.
    pub(super) fn behind_comparison(&mut self, frame: Pfn) {
        if parting(self.rules.tail_refs) != Parting::Compared {
            return;
        }
        let ledger = self.ledger;
        for (begins, head) in ledger.splits() {
            let run = ledger.unit(head, begins);
            let over = |event| matches!(event, EventKind::Split(one) if one == head).then_some(());
            let ends = ledger.find_event(begins..ledger.lines().len(), over);
            let Some((ends, ())) = ends.filter(|_| run.contains(frame)) else { continue };
            let taken = ledger.find_event(begins..ends, |event| match event {
                EventKind::FastTaken(page) if run.contains(page) && page != head => Some(page),
                _ => None,
            });
            if let Some((at, page)) = taken {
                let (cite, split, tag) = (self.at(at), self.at(ends), self.tag(Switch::TailRefs));
                let what = format!(
                    "took a reference on {page}, which {head} counts, behind the comparison of \
                     {split}, which freezes nothing ({tag}): it stays on {head} as {page} becomes \
                     a page of its own."
                );
                self.say(at, format!("{cite} {what}"));
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
