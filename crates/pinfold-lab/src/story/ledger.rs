//! A journal as an account: which step a line belongs to, what a page mapped at a line, who held a
//! frame there.

use std::collections::BTreeMap;

use pinfold::{EventKind, PIN_BIAS, Pfn};

use crate::about::Page;
use crate::folios::Run;
use crate::journal::{Held, Journal, Line, PageView, Touch, What};
use crate::scenario::{Action, Verb};

mod open;

/// A step of the scenario in a journal.
#[derive(Clone, Debug)]
pub(super) struct Step {
    /// As the picture numbers it, from 1.
    pub(super) number: u32,
    pub(super) lane: Option<usize>,
    pub(super) action: Box<Action>,
    pub(super) text: String,
    pub(super) process: Option<String>,
    /// Its first line.
    pub(super) begins: usize,
    /// Its last line, or the last of the journal if the execution ended inside it.
    pub(super) ends: usize,
    /// Whether no other lane had a line in between.
    pub(super) whole: bool,
}

/// Who holds a frame.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Holders {
    /// The pages that map it, by name.
    pub(super) mappings: Vec<String>,
    /// The pins, by the names of their handles.
    pub(super) pins: Vec<String>,
    /// The references that one of the pins counts.
    pub(super) pin_counts: u32,
    /// The plain references, by the names of their handles, with their number.
    pub(super) gets: Vec<(String, u32)>,
    /// Whether the swap cache has it.
    pub(super) swap_cache: bool,
    /// The references of all of them together.
    pub(super) refs: u32,
}

/// A journal with its steps.
pub(super) struct Ledger<'a> {
    pub(super) journal: &'a Journal,
    pub(super) steps: Vec<Step>,
    /// The step of each line, as an index of `steps`.
    owner: Vec<Option<usize>>,
    /// The changes of each page, each with its line.
    changes: BTreeMap<Page, Vec<(usize, PageView)>>,
}

impl<'a> Ledger<'a> {
    pub(super) fn new(journal: &'a Journal) -> Self {
        let mut steps: Vec<Step> = Vec::new();
        let mut owner = Vec::with_capacity(journal.lines.len());
        // The step that each lane is in: what runs alone comes first.
        let mut open: Vec<Option<usize>> = Vec::new();
        for (at, line) in journal.lines.iter().enumerate() {
            let seat = line.lane.map_or(0, |lane| lane + 1);
            if open.len() <= seat {
                open.resize(seat + 1, None);
            }
            match &line.what {
                What::Step { action, text, process } => {
                    open[seat] = Some(steps.len());
                    steps.push(Step {
                        number: steps.len() as u32 + 1,
                        lane: line.lane,
                        action: action.clone(),
                        text: text.clone(),
                        process: process.clone(),
                        begins: at,
                        ends: at,
                        whole: true,
                    });
                }
                What::Judging => open[seat] = None,
                _ => {}
            }
            owner.push(open[seat]);
            if let Some(step) = open[seat] {
                steps[step].ends = at;
            }
            if line.what == What::Ends {
                open[seat] = None;
            }
        }
        for step in &mut steps {
            let between = &journal.lines[step.begins..=step.ends];
            step.whole = between.iter().all(|line| line.lane == step.lane);
        }
        let changes = changes(journal, &owner);
        Self { journal, steps, owner, changes }
    }

    pub(super) fn lines(&self) -> &'a [Line] {
        &self.journal.lines
    }

    /// The step that a line belongs to.
    pub(super) fn step(&self, line: usize) -> Option<&Step> {
        self.owner.get(line).copied().flatten().map(|step| &self.steps[step])
    }

    /// The step in which a lane was when the execution had made `accesses` accesses.
    pub(super) fn step_at(&self, lane: usize, accesses: u64) -> Option<&Step> {
        let steps = self.steps.iter().rev().filter(|step| step.lane == Some(lane));
        let mut begun = steps.filter(|step| self.lines()[step.begins].after <= accesses);
        begun.next()
    }

    /// Whether a watched page is this one.
    fn is(&self, watched: usize, page: Page) -> bool {
        let watched = &self.journal.watched[watched];
        (watched.space, watched.page) == page
    }

    /// The changes of a page, each with its line. A step that takes an entry out of its table and
    /// puts the same page back has only changed it.
    pub(super) fn changes(&self, page: Page) -> impl DoubleEndedIterator<Item = (usize, PageView)> {
        self.changes.get(&page).into_iter().flatten().copied()
    }

    /// How a page looked when a line was pushed, with the changes that belong to the line.
    pub(super) fn view(&self, page: Page, line: usize) -> PageView {
        let before = self.changes(page).take_while(|(at, _)| *at <= line);
        before.last().map(|(_, view)| view).unwrap_or_default()
    }

    /// Whether any of so many pages of an area of a process, from the first on, leads to one of the
    /// wanted frames at a line.
    pub(super) fn leads(
        &self,
        (process, area, (first, pages)): (&str, &str, (u32, u32)),
        line: usize,
        wanted: impl Fn(Pfn) -> bool,
    ) -> bool {
        let own = |name: &str| {
            let place = name.strip_prefix(process)?.strip_prefix(':')?;
            let (named, page) = match place.split_once('[') {
                Some((named, rest)) => (named, rest.strip_suffix(']')?.parse().ok()?),
                None => (place, 0),
            };
            (named == area && (first..first.saturating_add(pages)).contains(&page)).then_some(())
        };
        let mut watched = self.journal.watched.iter().filter(|one| own(&one.name).is_some());
        watched.any(|one| self.view((one.space, one.page), line).frame().is_some_and(&wanted))
    }

    /// The name of a page at a line: an address can be mapped under several names in turn.
    pub(super) fn name(&self, page: Page, line: usize) -> String {
        let lines = self.lines()[..=line.min(self.lines().len().saturating_sub(1))].iter().rev();
        let mut changed = lines.flat_map(|line| line.changes.iter().rev().map(|one| one.page));
        let all = 0..self.journal.watched.len();
        let found = changed
            .find(|&at| self.is(at, page))
            .or_else(|| all.into_iter().find(|&at| self.is(at, page)));
        found.map_or_else(|| "the page".to_owned(), |at| self.journal.watched[at].name.clone())
    }

    /// The page that is watched under this name: of a longer area, its first.
    pub(super) fn page_named(&self, name: &str) -> Option<Page> {
        let watched = self.journal.watched.iter();
        let mut fitting = watched.filter(|one| {
            one.name == name || one.name.strip_suffix("[0]").is_some_and(|area| area == name)
        });
        fitting.next().map(|one| (one.space, one.page))
    }

    /// The process of a page.
    pub(super) fn process(&self, page: Page) -> Option<&str> {
        let found = self.journal.watched.iter().find(|one| (one.space, one.page) == page);
        found.map(|watched| watched.process.as_str())
    }

    /// The line in which a handle was made last.
    pub(super) fn made(&self, handle: &str) -> Option<(usize, &'a Held)> {
        let lines = self.lines().iter().enumerate().rev();
        lines
            .filter_map(|(at, line)| match &line.what {
                What::Holds(held) => Some((at, held)),
                _ => None,
            })
            .find(|(_, held)| held.name == handle)
    }

    /// Where, in the step that made a handle, the reference to `frame` was taken.
    pub(super) fn taken(&self, made: usize, frame: Pfn) -> usize {
        let Some(step) = self.step(made) else { return made };
        let takes = |at: &usize| {
            matches!(self.event(*at), Some(EventKind::FastTaken(pfn) | EventKind::SlowTaken(pfn))
                if pfn == frame && self.lines()[*at].lane == step.lane)
        };
        (step.begins..=made).rev().find(takes).unwrap_or(made)
    }

    /// The event of a line.
    pub(super) fn event(&self, line: usize) -> Option<EventKind> {
        match &self.lines().get(line)?.what {
            What::Event(event) => Some(event.kind),
            _ => None,
        }
    }

    /// The last event before a line from which `pick` takes something, and what.
    pub(super) fn last_event<T>(
        &self,
        before: usize,
        pick: impl Fn(EventKind) -> Option<T>,
    ) -> Option<(usize, T)> {
        self.find_event((0..before.min(self.lines().len())).rev(), pick)
    }

    /// The event of the first of these lines from which `pick` takes something, and what.
    pub(super) fn find_event<T>(
        &self,
        mut lines: impl Iterator<Item = usize>,
        pick: impl Fn(EventKind) -> Option<T>,
    ) -> Option<(usize, T)> {
        lines.find_map(|at| Some((at, pick(self.event(at)?)?)))
    }

    /// The events of the step of `line`, those before the line first, nearest first.
    pub(super) fn events_near(&self, line: usize) -> Vec<(usize, EventKind)> {
        let Some(step) = self.step(line) else { return Vec::new() };
        let own = |at: &usize| self.lines()[*at].lane == step.lane;
        let before = (step.begins..=line.min(step.ends)).rev();
        let after = line + 1..step.ends + 1;
        let all = before.chain(after).filter(own);
        all.filter_map(|at| Some((at, self.event(at)?))).collect()
    }

    /// The stores, each with its line, up to the judging.
    pub(super) fn stores(&self) -> impl DoubleEndedIterator<Item = (usize, &'a Touch)> {
        let lines = self.lines().iter().enumerate();
        lines.filter_map(|(at, line)| match &line.what {
            What::Stores(touch) => Some((at, touch)),
            _ => None,
        })
    }

    /// Every load, with its line.
    pub(super) fn loads(&self) -> impl Iterator<Item = (usize, &'a Touch)> {
        let lines = self.lines().iter().enumerate();
        lines.filter_map(|(at, line)| match &line.what {
            What::Loads(touch) => Some((at, touch)),
            _ => None,
        })
    }

    /// The word that a step loaded, and where.
    pub(super) fn load_of(&self, step: &Step) -> Option<(usize, &'a Touch)> {
        let lines = self.lines()[step.begins..=step.ends].iter().enumerate().rev();
        let own = lines.filter(|(_, line)| line.lane == step.lane);
        let mut loads = own.filter_map(|(at, line)| match &line.what {
            What::Loads(touch) => Some((step.begins + at, touch)),
            _ => None,
        });
        loads.next()
    }

    /// The splits of folios, each with its line and the head.
    pub(super) fn splits(&self) -> impl Iterator<Item = (usize, Pfn)> {
        (0..self.lines().len()).filter_map(|at| match self.event(at) {
            Some(EventKind::SplitBegins(head)) => Some((at, head)),
            _ => None,
        })
    }

    /// The frames that count together with `frame` at a line: those of its large folio, as far as a
    /// watched page shows it.
    pub(super) fn unit(&self, frame: Pfn, line: usize) -> Run {
        let views = self.journal.watched.iter();
        let mut runs = views.filter_map(|page| {
            self.view((page.space, page.page), line).counts.and_then(|counts| counts.folio)
        });
        runs.find(|run| run.contains(frame)).unwrap_or(Run::alone(frame))
    }

    /// Who holds `frame`, or any page of its large folio, at a line.
    pub(super) fn holders(&self, frame: Pfn, line: usize) -> Holders {
        self.holders_of(self.unit(frame, line), line)
    }

    /// Who holds any of these frames, which count together, at a line.
    pub(super) fn holders_of(&self, run: Run, line: usize) -> Holders {
        self.holders_where(run, line, |_| true)
    }

    /// The same, of handles only those that `counts` takes.
    pub(super) fn holders_where(
        &self,
        run: Run,
        line: usize,
        counts: impl Fn(&Held) -> bool,
    ) -> Holders {
        let mut holders = Holders::default();
        let mut seen: Vec<Page> = Vec::new();
        for watched in &self.journal.watched {
            let page = (watched.space, watched.page);
            if !seen.contains(&page)
                && self.view(page, line).mapped().is_some_and(|pfn| run.contains(pfn))
            {
                seen.push(page);
                holders.mappings.push(self.name(page, line));
                holders.refs += 1;
            }
        }
        holders.swap_cache = self.is_swap_cached(run.head, line);
        holders.refs += u32::from(holders.swap_cache);
        for held in self.held(line).into_iter().filter(|held| counts(held)) {
            let times = held.frames.iter().filter(|pfn| run.contains(**pfn)).count() as u32;
            if times == 0 {
                continue;
            }
            // A large folio counts a pin as one reference, and beside its references.
            let each = if held.pin && run.pages > 1 { held.refs / PIN_BIAS } else { held.refs };
            holders.refs = holders.refs.saturating_add(each.saturating_mul(times));
            if held.pin {
                let pins = if run.pages > 1 { 1 } else { PIN_BIAS };
                holders.pin_counts = pins;
                holders.pins.push(held.name.clone());
            } else {
                holders.gets.push((held.name.clone(), held.refs * times));
            }
        }
        holders
    }

    /// Whether a frame is in the swap cache at a line.
    fn is_swap_cached(&self, frame: Pfn, line: usize) -> bool {
        let last = (0..=line).rev().find_map(|at| match self.event(at)? {
            EventKind::SwapCacheEntered(pfn) | EventKind::SwappedIn(pfn) if pfn == frame => {
                Some(true)
            }
            // A read past the cache tells that it has read, too.
            EventKind::SwapCacheSkipped(pfn) if pfn == frame => Some(false),
            EventKind::SwapCacheLeft(pfn) | EventKind::SwapFreed(pfn) if pfn == frame => {
                Some(false)
            }
            EventKind::Migrated { from, .. } if from == frame => Some(false),
            // A page that moves takes its slot along.
            EventKind::Migrated { from, to } if to == frame => {
                Some(at > 0 && self.is_swap_cached(from, at - 1))
            }
            _ => None,
        });
        last.unwrap_or(false)
    }

    /// The handles that are held at a line.
    fn held(&self, line: usize) -> Vec<&'a Held> {
        let mut held: Vec<&Held> = Vec::new();
        for line in self.lines().iter().take(line + 1) {
            match &line.what {
                What::Holds(one) => held.push(one),
                What::Releases(name) => held.retain(|one| one.name != *name),
                _ => {}
            }
        }
        held
    }

    /// The first line of the judging, or the number of lines if there is none.
    pub(super) fn judging(&self) -> usize {
        let lines = self.lines();
        lines.iter().position(|line| line.what == What::Judging).unwrap_or(lines.len())
    }
}

/// See [`Ledger::changes`]; `owner` is the step of each line.
fn changes(journal: &Journal, owner: &[Option<usize>]) -> BTreeMap<Page, Vec<(usize, PageView)>> {
    let mut all: BTreeMap<Page, Vec<(usize, PageView)>> = BTreeMap::new();
    for (at, line) in journal.lines.iter().enumerate() {
        for change in &line.changes {
            let watched = &journal.watched[change.page];
            let known = all.entry((watched.space, watched.page)).or_default();
            if let [.., (_, before), (out, none)] = known[..]
                && none.frame().is_none()
                && before.frame() == change.view.frame()
                && owner[out].is_some()
                && owner[out] == owner[at]
            {
                known.pop();
            }
            known.push((at, change.view));
        }
    }
    all
}

impl Step {
    pub(super) fn verb(&self) -> Verb {
        self.action.verb()
    }

    /// The step in a sentence.
    pub(super) fn cite(&self) -> String {
        format!("step {} ({})", self.number, self.text)
    }
}
