//! What the counts that an event tells are made of: entries that map the page, pins and plain
//! references by name, what the swap cache or a file has, and what operations hold themselves.
//!
//! - INV-SUM-1: a sum is told only if its parts give the number. What nobody known holds is put
//!   down to steps of other lanes that were taking the page at that moment, and to one of them only
//!   where no other step was under way.

use pinfold::rules::large::{Tally, tally};
use pinfold::rules::{Counter, Rules, Why};
use pinfold::{EventKind, Pfn};

use super::ledger::{Holders, Ledger, Step};
use crate::counted::counted;
use crate::folios::Run;
use crate::hardware::Level;
use crate::journal::What;
use crate::scenario::Verb;

/// References that an operation holds for itself, and whose they are.
type Own = (u32, &'static str);

const CALLER: Own = (1, "of the split's caller");
const SPLIT: Own = (1, "of the split itself");
const MOVE: Own = (1, "of the move itself");
const RECLAIM: Own = (1, "of reclaim itself");
const CACHE: Own = (1, "of the page cache");

impl Ledger<'_> {
    /// The sums behind the counts that a line's event tells, if it tells any and they add up.
    pub(super) fn sums(&self, line: usize, rules: &Rules) -> Option<String> {
        match self.event(line)? {
            EventKind::SplitBusy { head, refs, expected } => {
                self.compared((head, line), (refs, expected), &[CALLER])
            }
            EventKind::MigrationBusy { pfn, refs, expected } => {
                let own = self.of_move((pfn, line), expected);
                self.compared((pfn, line), (refs, expected), own)
            }
            EventKind::SwapBusy { pfn, refs, expected } => {
                self.compared((pfn, line), (refs, expected), &[RECLAIM])
            }
            EventKind::CacheBusy { pfn, refs, expected } => {
                self.compared((pfn, line), (refs, expected), &[CACHE, RECLAIM])
            }
            EventKind::TailParted { tail, refs } => {
                let sum = self.of_tail((tail, line), refs)?;
                Some(format!("{sum}; with 1 of the split itself it has {}", refs + 1))
            }
            EventKind::HeadParted { head, refs, had } => {
                let taken = self.of_tails(line, refs);
                let sum = self.of_head((head, line), had, rules);
                let sum = sum.map(|sum| format!("{head} had, with its entries out, {sum}"));
                let both: Vec<String> = taken.into_iter().chain(sum).collect();
                (!both.is_empty()).then(|| both.join("; "))
            }
            EventKind::CowReuse { pfn, why }
            | EventKind::CowCopy { pfn, why }
            | EventKind::NumaSkipped { pfn, why }
            | EventKind::ForkShared { pfn, why }
            | EventKind::HugePinned { head: pfn, why }
            | EventKind::ForkCopied { from: pfn, why, .. } => self.of_count(why, pfn, line),
            EventKind::HugeKept { head, why }
            | EventKind::HugeShared { head, why }
            | EventKind::HugetlbKept { head, why }
            | EventKind::HugetlbCopy { head, why } => self.of_whole(why, head, line),
            _ => None,
        }
    }

    /// The references that a migration found at a line where it expected so many.
    pub(super) fn found_by_move(
        &self,
        (pfn, line): (Pfn, usize),
        (refs, expected): (u32, u32),
    ) -> Option<String> {
        let run = self.folio_of_step(pfn, line);
        let own = self.of_move((pfn, line), expected);
        self.sum(refs, &self.holders_of(run, line), own, (run, line))
    }

    /// The references that a migration knows of beside mappings and the swap cache.
    fn of_move(&self, (pfn, line): (Pfn, usize), expected: u32) -> &'static [Own] {
        let cached = self.holders_of(self.folio_of_step(pfn, line), line).swap_cache;
        let listed = !cached && expected == MOVE.0 + CACHE.0;
        if listed { &[CACHE, MOVE] } else { &[MOVE] }
    }

    /// The references that an operation found, and those that it expected, which are the mappings',
    /// the swap cache's and its own.
    fn compared(
        &self,
        (pfn, line): (Pfn, usize),
        (refs, expected): (u32, u32),
        own: &[Own],
    ) -> Option<String> {
        let run = self.folio_of_step(pfn, line);
        let holders = self.holders_of(run, line);
        let found = self.sum(refs, &holders, own, (run, line))?;
        let mut known = Vec::new();
        let mappings = holders.mappings.len() as u32;
        known.extend((mappings > 0).then(|| counted(mappings, "mapping", "mappings")));
        known.extend(holders.swap_cache.then(|| "the swap cache".to_owned()));
        known.extend(own.iter().map(told));
        let all = mappings + u32::from(holders.swap_cache) + total(own);
        if all != expected {
            return Some(found);
        }
        Some(match known.as_slice() {
            [one] => format!("{found}; expected: {one}"),
            parts => format!("{found}; expected {expected} = {}", parts.join(" + ")),
        })
    }

    /// The references that a tail takes along in a split.
    pub(super) fn of_tail(&self, (tail, line): (Pfn, usize), refs: u32) -> Option<String> {
        let run = Run::alone(tail);
        self.sum(refs, &self.holders_of(run, line), self.own_of_tail(tail, line), (run, line))
    }

    fn own_of_tail(&self, tail: Pfn, line: usize) -> &'static [Own] {
        if self.is_callers(tail, line) { &[CALLER] } else { &[] }
    }

    /// How many references a tail takes along in a split that handles and the split's caller have.
    pub(super) fn known_of_tail(&self, tail: Pfn, line: usize) -> u32 {
        let holders = self.holders_of(Run::alone(tail), line);
        holders.refs.saturating_add(total(self.own_of_tail(tail, line)))
    }

    /// The tails that a split takes references for, off the head.
    fn of_tails(&self, line: usize, refs: u32) -> Option<String> {
        let tails = self.parted_before(line);
        let sum: u32 = tails.iter().map(|(_, refs)| refs).sum();
        let parts: Vec<String> =
            tails.iter().map(|(tail, refs)| format!("{refs} of {tail}")).collect();
        (sum == refs && parts.len() > 1).then(|| format!("{refs} = {}", parts.join(" + ")))
    }

    /// The references that a head had when a split took those of tails off it.
    pub(super) fn of_head(
        &self,
        (head, line): (Pfn, usize),
        had: u32,
        rules: &Rules,
    ) -> Option<String> {
        let run = match tally(rules.tail_refs) {
            Tally::Head => return None,
            // Tails leave one by one, the last one first.
            Tally::HeadAndTail => {
                let (tail, _) = *self.parted_before(line).last()?;
                Run { head, pages: tail.0 - head.0 + 1 }
            }
            Tally::HeadAndMapcount => self.folio_of_step(head, line),
        };
        // Whoever asked by no page of the folio has his on the head.
        let asked = self.step(line).is_some_and(|step| step.verb() == Verb::SplitFolio);
        let is_here =
            (run.head.0..run.head.0 + run.pages).any(|pfn| self.is_callers(Pfn(pfn), line));
        let own: &[Own] = if is_here || !asked { &[CALLER, SPLIT] } else { &[SPLIT] };
        let counts = |name: &str| !self.counted_on_tail_alone(name);
        let holders = self.holders_where(run, line, |held| counts(&held.name));
        let less = self.taken_off_uncounted(run, line);
        if less.is_empty() {
            return self.sum(had, &holders, own, (run, line));
        }
        let off = less.len() as u32;
        let sum = self.sum(had + off, &holders, own, (run, line))?;
        let (_, parts) = sum.split_once(" = ")?;
        Some(format!("{had} = {parts} - {off} taken off with {}", less.join(", ")))
    }

    /// The handles that were given back before a line, and counted on a tail of these alone: that
    /// took one off the head, too.
    fn taken_off_uncounted(&self, run: Run, line: usize) -> Vec<&str> {
        let lines = self.lines()[..line].iter();
        let released = lines.filter_map(|line| match &line.what {
            What::Releases(name) => Some(name.as_str()),
            _ => None,
        });
        let of_run = |name: &&str| {
            let made = self.made(name);
            made.is_some_and(|(_, held)| held.frames.iter().any(|pfn| run.contains(*pfn)))
        };
        released.filter(of_run).filter(|name| self.counted_on_tail_alone(name)).collect()
    }

    /// The tails that have left a folio since its head had references taken off before a line.
    fn parted_before(&self, line: usize) -> Vec<(Pfn, u32)> {
        let Some(step) = self.step(line) else { return Vec::new() };
        let own = (step.begins..line).rev().filter(|at| self.lines()[*at].lane == step.lane);
        let mut tails = Vec::new();
        for at in own {
            match self.event(at) {
                Some(EventKind::TailParted { tail, refs }) => tails.push((tail, refs)),
                Some(EventKind::HeadParted { .. } | EventKind::SplitBegins(_)) => break,
                _ => {}
            }
        }
        tails.reverse();
        tails
    }

    /// Whether the step of a line was asked to split a folio by this page of it.
    fn is_callers(&self, page: Pfn, line: usize) -> bool {
        self.step(line).is_some_and(|step| self.split_by(step, page, line))
    }

    /// Who has made up a count that decided about a page at a line.
    pub(super) fn of_count(&self, why: Why, frame: Pfn, line: usize) -> Option<String> {
        let (counter, value) = why.count()?;
        let run = self.unit(frame, line);
        let holders = self.holders_of(run, line);
        match counter {
            Counter::Refs => self.sum(value, &holders, &[], (run, line)),
            Counter::Maps | Counter::MapsAndSwaps | Counter::FolioMaps => {
                let names = &holders.mappings;
                (!names.is_empty()).then(|| format!("mapped by {}", listed(names)))
            }
            Counter::Pins => {
                let names = &holders.pins;
                (!names.is_empty()).then(|| format!("pinned by {}", listed(names)))
            }
        }
    }

    /// Who had pages of a folio, if a count of it decided about a huge entry, which counts as one.
    /// Others that are mapped by one entry count as many times as they have pages.
    pub(super) fn of_whole(&self, why: Why, head: Pfn, line: usize) -> Option<String> {
        let (counter, value) = why.count()?;
        let pages = self.huge_entry(head, line);
        if pages.is_empty() {
            return self.of_count(why, head, line);
        }
        let run = self.unit(head, line);
        let mut others = self.holders_of(run, line);
        others.mappings.retain(|name| !pages.contains(name));
        others.refs = others.refs.saturating_sub(pages.len() as u32);
        match counter {
            Counter::Maps | Counter::MapsAndSwaps | Counter::FolioMaps => {
                let mappings = std::mem::take(&mut others.mappings);
                let refs = mappings.len() as u32;
                others = Holders { mappings, refs, ..Holders::default() };
            }
            Counter::Refs => {}
            Counter::Pins => return self.of_count(why, head, line),
        }
        let rest = value.checked_sub(1 + others.refs)?;
        let mut parts = vec![one_entry(&pages)];
        parts.extend(others.parts());
        parts.extend(self.others(rest, (run, line)));
        Some(format!("{value} = {}", joined(&parts)))
    }

    /// The pages that the huge entry maps which the event of a line is about, by name; none if it
    /// is about no such entry.
    fn huge_entry(&self, head: Pfn, line: usize) -> Vec<String> {
        let What::Event(event) = &self.lines()[line].what else { return Vec::new() };
        let run = self.unit(head, line);
        let mut pages: Vec<String> = Vec::new();
        for watched in self.journal.watched.iter().filter(|one| one.space == event.space) {
            let page = (watched.space, watched.page);
            let (view, name) = (self.view(page, line), self.name(page, line));
            let huge = view.level != Level::Last;
            let maps = huge && view.mapped().is_some_and(|pfn| run.contains(pfn));
            if maps && !pages.contains(&name) {
                pages.push(name);
            }
        }
        pages
    }

    /// The frames that count together with `frame` in the step of a line: while entries are out
    /// nothing shows them.
    fn folio_of_step(&self, frame: Pfn, line: usize) -> Run {
        let begins = self.step(line).map_or(line, |step| step.begins);
        let now = self.unit(frame, line);
        if now.pages > 1 { now } else { self.unit(frame, begins) }
    }

    /// A number as a sum, unless those that are known have more.
    fn sum(
        &self,
        value: u32,
        holders: &Holders,
        own: &[Own],
        place: (Run, usize),
    ) -> Option<String> {
        let rest = value.checked_sub(holders.refs.checked_add(total(own))?)?;
        let mut parts = holders.parts();
        parts.extend(self.others(rest, place));
        parts.extend(own.iter().map(told));
        (!parts.is_empty()).then(|| format!("{value} = {}", joined(&parts)))
    }

    /// Those of a count that nobody known holds, if there are any.
    fn others(&self, rest: u32, (run, line): (Run, usize)) -> Vec<String> {
        if rest == 0 {
            return Vec::new();
        }
        let Some(own) = self.step(line) else { return vec![format!("{rest} of nobody told here")] };
        let open: Vec<&Step> = self.open_beside(own, line).collect();
        let taking: Vec<&Step> = self.about_to_take(own, run, line).collect();
        match taking.as_slice() {
            _ if self.journal.batches => {
                vec![format!("{rest} of batches for the LRU lists and steps under way")]
            }
            [one] if open.len() == 1 => vec![format!("{rest} of step {}", one.number)],
            all if open.len() == all.len() && all.len() as u32 == rest => {
                all.iter().map(|step| format!("1 of step {}", step.number)).collect()
            }
            _ => vec![format!("{rest} by steps under way")],
        }
    }
}

impl Holders {
    /// The holders, one after another: `1 mapping (P:A) + 1 pin (h0), which counts 1024`.
    pub(super) fn told(&self) -> String {
        let parts = self.parts();
        if parts.is_empty() { "nobody known".to_owned() } else { joined(&parts) }
    }

    /// Each of them; where a comma must stand before what follows, with it.
    fn parts(&self) -> Vec<String> {
        let mut parts = Vec::new();
        let named = |names: &[String], one: &str, many: &str| {
            format!("{} ({})", counted(names.len(), one, many), listed(names))
        };
        if !self.mappings.is_empty() {
            parts.push(named(&self.mappings, "mapping", "mappings"));
        }
        if !self.pins.is_empty() {
            let pins = named(&self.pins, "pin", "pins");
            parts.push(match (self.pin_counts, self.pins.len()) {
                (1, _) => pins,
                (counts, 1) => format!("{pins}, which counts {counts},"),
                (counts, _) => format!("{pins}, of which each counts {counts},"),
            });
        }
        for (name, times) in &self.gets {
            parts.push(format!("{} ({name})", counted(*times, "reference", "references")));
        }
        parts.extend(self.swap_cache.then(|| "the swap cache".to_owned()));
        parts
    }
}

fn joined(parts: &[String]) -> String {
    let sum = parts.join(" + ");
    sum.strip_suffix(',').map(str::to_owned).unwrap_or(sum)
}

fn told((refs, whose): &Own) -> String {
    format!("{refs} {whose}")
}

fn total(own: &[Own]) -> u32 {
    own.iter().map(|(refs, _)| refs).sum()
}

/// A huge entry with the pages that it maps.
fn one_entry(pages: &[String]) -> String {
    match pages {
        [one] => format!("1 huge entry ({one})"),
        [first, .., last] => format!("1 huge entry ({first} to {last})"),
        [] => "1 huge entry".to_owned(),
    }
}

/// Names one after another; of pages in a row the first and the last.
fn listed(names: &[String]) -> String {
    let mut told: Vec<String> = Vec::new();
    let mut from = 0;
    while from < names.len() {
        let follows = |at: &usize| match (place(&names[*at - 1]), place(&names[*at])) {
            (Some((area, page)), Some((next, number))) => area == next && number == page + 1,
            _ => false,
        };
        let until = (from + 1..names.len()).take_while(follows).last().unwrap_or(from);
        match until - from {
            0 => told.push(names[from].clone()),
            1 => told.extend([names[from].clone(), names[until].clone()]),
            _ => told.push(format!("{} to {}", names[from], names[until])),
        }
        from = until + 1;
    }
    told.join(", ")
}

/// The area of a page's name, and which page it is.
fn place(name: &str) -> Option<(&str, u32)> {
    let (area, page) = name.strip_suffix(']')?.split_once('[')?;
    Some((area, page.parse().ok()?))
}

#[cfg(test)]
mod tests;
