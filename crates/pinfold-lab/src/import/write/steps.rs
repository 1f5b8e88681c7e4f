//! The calls of a plan as steps, and the stores that are assumed around them.

use super::super::log::{Op, What, makes};
use super::super::space::{Range, writable};
use super::Writer;
use std::collections::{BTreeMap, BTreeSet};

/// Where areas go that are moved: as far apart as the longest is.
const TARGETS: [&str; 2] = ["0x1000", "0x5000"];

impl Writer<'_> {
    /// A store that nobody recorded: at the call that is written, or at any time.
    fn store(&mut self, (thread, timed): (usize, bool), prefix: &str, page: &str, word: usize) {
        let process = self.process(thread);
        let gone = self.gone.get(&(process.clone(), page.to_owned())).cloned();
        if gone == Some(None) {
            return;
        }
        let page = gone.flatten().unwrap_or_else(|| page.to_owned());
        self.ensure(thread, &[(page.clone(), false)], prefix);
        let said = self.word();
        let hazard = self.hazard(thread, &process, &[(page.clone(), false)]);
        self.line(&format!("{prefix}write {page}.{word} \"{said}\"{hazard}"));
        let key = (process, format!("{page}.{word}"));
        self.settle(key, said, (thread, timed), !hazard.is_empty());
    }

    /// Stores that nobody recorded, where the process may store: each once.
    fn assume(
        &mut self,
        (thread, timed): (usize, bool),
        prefix: &str,
        why: &str,
        stores: Vec<(String, usize)>,
    ) {
        let mut fresh = BTreeSet::new();
        let may = |store: &(String, usize)| {
            let barred = self.barred.get(&self.now).is_some_and(|pages| pages.contains(&store.0));
            !barred && fresh.insert(store.clone())
        };
        let stores: Vec<(String, usize)> = stores.into_iter().filter(may).collect();
        if stores.is_empty() {
            return;
        }
        self.comment(&format!("assumed: {why}"));
        for (page, word) in stores {
            self.store((thread, timed), prefix, &page, word);
        }
    }

    /// The stores that follow a call after which a store may do something else than before it: the
    /// program may store at any time, and one store after each such call finds what many would.
    /// They go to pages of `range`, or to all.
    ///
    /// What something holds is written. What direct I/O uses is not, but what lies beside it in its
    /// page. What is sent is left as it is. What this lane takes only later has nothing to fear
    /// yet; what the child `made` by the call takes is taken after these stores.
    fn go_on(
        &mut self,
        thread: usize,
        line: u64,
        range: Option<&Range>,
        made: Option<usize>,
        prefix: &str,
    ) {
        let (log, plan) = (self.log, self.plan);
        let mut stored = BTreeSet::new();
        for number in &plan.seeds {
            let seed = &log.seeds[*number];
            let own = self.process(thread) == self.owner(seed);
            let (stays, taker) = (seed.taker.stays(), self.taker(*number));
            let later = taker == thread && seed.line > line;
            let idle = match (stays, seed.submitted) {
                (true, _) => self.over.contains(number) || seed.taker.sends() && own || later,
                (_, true) => self.over.contains(number) || later,
                // Between two calls of its own a thread has no direct I/O under way.
                _ => made == Some(taker) || made.is_none() && taker == thread,
            };
            if idle {
                continue;
            }
            let mut pages = self.seed_pages(seed);
            pages.retain(|(page, _)| self.has(thread, page, line));
            if let Some(range) = range {
                let changed = self.pages(range);
                pages.retain(|page| changed.contains(page));
            }
            let stores: Vec<(String, usize)> = match stays {
                true => pages.into_iter().map(|(page, _)| (page, 0)).collect(),
                false => {
                    pages.into_iter().filter(|(_, part)| *part).map(|(page, _)| (page, 1)).collect()
                }
            };
            let fresh = stores.into_iter().filter(|store| stored.insert(store.clone())).collect();
            let why = match (stays, own) {
                (false, _) => "what lies beside the buffer in its page is written",
                (true, true) => "the owner goes on writing the buffer",
                (true, false) => "the process goes on writing what its child passed on",
            };
            self.assume((thread, true), prefix, why, fresh);
        }
    }

    /// The word of a page that only those store to who do so in the middle of calls: behind that of
    /// a use, and that of what lies beside it.
    pub(super) fn own_word(&self) -> usize {
        let mut pages = self.plan.areas.iter().flat_map(|area| &area.pages);
        1 + usize::from(pages.any(|page| page.partial))
    }

    /// Finds who stores in the middle of which calls, to which pages: each once, where it may be
    /// written afterwards, too.
    pub(super) fn meet(&mut self) {
        let (log, plan) = (self.log, self.plan);
        let other = plan.beside.other.iter().map(|(thread, calls)| (thread, calls));
        for (thread, calls) in plan.beside.lanes.iter().chain(other) {
            let mut stored = BTreeSet::new();
            for at in calls {
                let op = &log.ops[*at];
                let range = match &op.what {
                    What::Protect(range, _) | What::Advise(range, _) | What::Pageout(range) => {
                        Some(range)
                    }
                    _ => None,
                };
                let mut pages = self.stored_by(*thread, op.line, range);
                pages.retain(|page| {
                    let barred = self.barred.get(at).is_some_and(|pages| pages.contains(page));
                    !barred && stored.insert(page.clone())
                });
                if !pages.is_empty() {
                    self.between.entry(*thread).or_default().push((*at, pages));
                }
            }
        }
    }

    /// The stores of a thread that may come in the middle of calls of another one. Returns whether
    /// there are any.
    pub(super) fn beside(&mut self, thread: usize) -> bool {
        let (log, word) = (self.log, self.own_word());
        let Some(calls) = self.between.get(&thread).cloned() else { return false };
        for (at, pages) in calls {
            let (pid, line) = (log.threads[thread].pid, log.ops[at].line);
            let why = format!("thread {pid} may store while line {line} is under way");
            self.now = at;
            let stores = pages.iter().map(|page| (page.clone(), word)).collect();
            self.assume((thread, false), "", &why, stores);
            for page in pages {
                let dropped = self.is_dropped(&page);
                let key = (self.process(thread), format!("{page}.{word}"));
                self.last.entry(key).and_modify(|last| last.several |= dropped);
            }
        }
        true
    }

    /// Whether a call drops what was stored to a page: then there is nothing to claim of it.
    fn is_dropped(&self, page: &str) -> bool {
        let drops = |at: &usize| match &self.log.ops[*at].what {
            What::Advise(range, "dontneed" | "free") => {
                self.pages(range).iter().any(|(own, _)| own == page)
            }
            _ => false,
        };
        self.plan.lanes.values().flatten().any(drops)
    }

    /// Whether a call takes a page elsewhere: who stores to its old place has an error of his own.
    fn is_moved(&self, page: &str) -> bool {
        let moves = |at: &usize| match &self.log.ops[*at].what {
            What::Move(range) => self.pages(range).iter().any(|(own, _)| own == page),
            _ => false,
        };
        self.plan.lanes.values().flatten().any(moves)
    }

    /// The pages of `range`, or all, to which a thread may store at a call of another one: what is
    /// held, but for what it sends or takes only later, and what has a part that direct I/O of
    /// others uses.
    fn stored_by(&self, thread: usize, line: u64, range: Option<&Range>) -> Vec<String> {
        let log = self.log;
        let mut found = Vec::new();
        for number in &self.plan.seeds {
            let seed = &log.seeds[*number];
            let (own, taker) = (self.process(thread) == self.owner(seed), self.taker(*number));
            let held = own && seed.taker.stays() && !seed.taker.sends();
            let later = taker == thread && seed.line > line;
            let beside =
                own && !seed.taker.stays() && (taker != thread || seed.submitted && !later);
            let changed = range.map(|range| self.pages(range));
            for page in self.seed_pages(seed) {
                let meets = changed.as_ref().is_none_or(|changed| changed.contains(&page));
                let stored = held && !later || beside && page.1;
                let there = self.has(thread, &page.0, line) && self.has_at_once(thread, &page.0);
                if meets && stored && there && !self.is_moved(&page.0) {
                    found.push(page.0);
                }
            }
        }
        found
    }

    /// Finds which pages a lane's process may not write after each of its calls: by the last word
    /// on a page of the lane itself, of who made it, before that, and of whom it waited for.
    pub(super) fn bar(&mut self) {
        let (log, plan) = (self.log, self.plan);
        let mut words: BTreeMap<usize, BTreeMap<String, (usize, bool)>> = BTreeMap::new();
        let all: BTreeSet<usize> = plan.lanes.values().flatten().copied().collect();
        let forked = |child| {
            let fork = |op: &Op| matches!(op.what, What::Fork(made) if made == child);
            log.ops.iter().any(fork)
        };
        for at in all {
            let op = &log.ops[at];
            match &op.what {
                What::Protect(range, to) => {
                    let said = (at, !writable(to));
                    let own = words.entry(op.thread).or_default();
                    own.extend(self.pages(range).into_iter().map(|(page, _)| (page, said)));
                }
                // What a process with memory of its own does is nothing to who waits for it.
                What::Wait(child) if !forked(*child) => {
                    let theirs = words.get(child).cloned().unwrap_or_default();
                    let own = words.entry(op.thread).or_default();
                    for (page, said) in theirs {
                        let known = own.entry(page).or_insert(said);
                        *known = said.max(*known);
                    }
                }
                _ => {
                    let own = words.get(&op.thread).cloned().unwrap_or_default();
                    words.extend(makes(op).map(|child| (child, own)));
                }
            }
            let own = words.get(&op.thread).into_iter().flatten();
            let barred = own.filter(|(_, (_, barred))| *barred).map(|(page, _)| page.clone());
            self.barred.insert(at, barred.collect());
        }
    }

    /// A call as a step, with what is assumed around it.
    pub(super) fn step(&mut self, thread: usize, op: &Op, prefix: &str) {
        let (log, at) = (self.log, op.line);
        match &op.what {
            What::Take(seed) => {
                self.ensure(thread, &self.seed_pages(&log.seeds[*seed]), prefix);
                self.take(thread, *seed, prefix);
            }
            What::Release(seed) => self.release(*seed, prefix),
            What::Again(seed) => {
                let why = format!("line {at} uses the buffer again, so it was filled again");
                let pages = self.seed_pages(&log.seeds[*seed]);
                let stores = pages.into_iter().map(|(page, _)| (page, 0)).collect();
                self.assume((thread, true), prefix, &why, stores);
            }
            What::Store(range) => {
                self.comment(&format!("line {at} stores into the buffer"));
                for (page, _) in self.pages(range) {
                    self.store((thread, true), prefix, &page, 0);
                }
            }
            What::Fork(child) => self.forked(thread, op, *child, "fork", prefix),
            What::Vfork(child) => self.forked(thread, op, *child, "vfork", prefix),
            What::Share(child) => self.forked(thread, op, *child, "clone", prefix),
            What::Thread(child) => {
                let maker = log.ops.iter().position(|other| makes(other) == Some(*child));
                if maker.is_some_and(|at| self.signals(at)) {
                    let name = self.lanes.get(child).cloned().unwrap_or_default();
                    self.line(&format!("{prefix}signal start-{name}"));
                }
            }
            What::Wait(child) => {
                let name = self.lanes.get(child).cloned().unwrap_or_default();
                self.comment(&format!("line {at} waits for thread {}", log.threads[*child].pid));
                self.line(&format!("{prefix}await end-{name}"));
            }
            What::Exec => self.line(&format!("{prefix}exec")),
            What::Exit => self.line(&format!("{prefix}exit")),
            What::Unmap(range) => {
                self.comment(&format!("line {at}"));
                for page in self.runs(&self.pages(range)) {
                    self.line(&format!("{prefix}unmap {page}"));
                }
                self.lose(thread, range);
            }
            What::Reuse(old, new) => self.reuse(thread, op, old, new, prefix),
            What::Protect(range, to) => {
                self.comment(&format!("line {at}"));
                for page in self.runs(&self.pages(range)) {
                    self.line(&format!("{prefix}protect {page} {to}"));
                }
                self.go_on(thread, at, Some(range), None, prefix);
            }
            What::Advise(range, advice) => self.advise(thread, op, range, advice, prefix),
            What::Pageout(range) => {
                self.comment(&format!("line {at}"));
                for page in self.runs(&self.pages(range)) {
                    self.line(&format!("{prefix}pageout {page}"));
                }
                self.look(thread, range, prefix);
                self.go_on(thread, at, Some(range), None, prefix);
            }
            What::ClearRefs => {
                self.comment(&format!("line {at} writes to clear_refs"));
                self.line(&format!("{prefix}clear-refs"));
                self.go_on(thread, at, None, None, prefix);
            }
            What::Move(range) => self.moved(thread, op, range, prefix),
        }
    }

    /// A load of what left memory, before the store that follows: it brings the page back as one
    /// that is written only later, which is where a store finds it least its own (facts 1.8).
    fn look(&mut self, thread: usize, range: &Range, prefix: &str) {
        let held = |page: &String| {
            let seeds = self.plan.seeds.iter().map(|number| (number, &self.log.seeds[*number]));
            seeds
                .filter(|(number, seed)| seed.goes_on() && !self.over.contains(number))
                .any(|(_, seed)| self.seed_pages(seed).iter().any(|(own, _)| own == page))
        };
        let pages = self.pages(range).into_iter().map(|(page, _)| page);
        let barred = self.barred.get(&self.now);
        let may = |page: &String| !barred.is_some_and(|barred| barred.contains(page));
        let pages: Vec<String> = pages.filter(|page| held(page) && may(page)).collect();
        if pages.is_empty() {
            return;
        }
        self.comment("assumed: the program reads there first");
        for page in pages {
            let process = self.process(thread);
            let hazard = self.hazard(thread, &process, &[(page.clone(), false)]);
            self.line(&format!("{prefix}read {page}.0{hazard}"));
        }
    }

    fn forked(&mut self, thread: usize, op: &Op, child: usize, verb: &str, prefix: &str) {
        let (log, plan) = (self.log, self.plan);
        let name = self.process(child);
        let silent = !plan.lanes.contains_key(&child);
        let lives = if silent { "; it does nothing here, and lives on" } else { "" };
        let pid = log.threads[child].pid;
        self.comment(&format!("line {} makes process {pid}{lives}", op.line));
        self.line(&format!("{prefix}{verb} {name}"));
        self.inherit(thread, &name, verb);
        self.go_on(thread, op.line, None, Some(child), prefix);
    }

    /// The thread that took a seed.
    pub(super) fn taker(&self, seed: usize) -> usize {
        let taken = self.log.ops.iter().find(|op| matches!(op.what, What::Take(it) if it == seed));
        taken.map_or(usize::MAX, |op| op.thread)
    }

    fn lose(&mut self, thread: usize, range: &Range) {
        for (page, _) in self.pages(range) {
            self.gone.insert((self.process(thread), page), None);
        }
    }

    fn reuse(&mut self, thread: usize, op: &Op, old: &Range, new: &Range, prefix: &str) {
        let Some(area) = self.plan.areas.iter().find(|area| area.mapping == new.mapping) else {
            return;
        };
        let (name, count) = (self.area_name(area), area.pages.len());
        self.comment(&format!("line {}: new memory at the place of the buffer", op.line));
        self.line(&format!("{prefix}map {name} {count} private rw"));
        self.comment("assumed: it is written, and used through what was registered there");
        for (at, (page, _)) in self.pages(old).into_iter().enumerate() {
            let own = (self.process(thread), page.clone());
            self.gone.insert(own, Some(format!("{name}[{at}]")));
            self.store((thread, true), prefix, &page, 0);
        }
    }

    fn advise(&mut self, thread: usize, op: &Op, range: &Range, advice: &str, prefix: &str) {
        self.comment(&format!("line {}", op.line));
        let pages = self.pages(range);
        for page in self.runs(&pages) {
            self.line(&format!("{prefix}advise {page} {advice}"));
        }
        if matches!(advice, "dontneed" | "free") {
            self.drop_words(thread, &pages, advice);
        }
        for (page, _) in pages {
            let key = (self.process(thread), page);
            match advice {
                "wipeonfork" => self.wiped.insert(key),
                "keeponfork" => self.wiped.remove(&key),
                _ => false,
            };
        }
        if matches!(advice, "dontneed" | "free" | "cold") {
            self.go_on(thread, op.line, Some(range), None, prefix);
        }
    }

    fn moved(&mut self, thread: usize, op: &Op, range: &Range, prefix: &str) {
        let area = self.plan.areas.iter().find(|area| area.mapping == range.mapping);
        let (Some(area), Some(target)) = (area, TARGETS.get(self.moves)) else { return };
        self.moves += 1;
        self.comment(&format!("line {}: to another place, all of it", op.line));
        let name = self.area_name(area);
        self.line(&format!("{prefix}remap {name} at {target}"));
        self.go_on(thread, op.line, Some(range), None, prefix);
    }

    /// Pages that follow each other, as ranges.
    fn runs(&self, pages: &[(String, bool)]) -> Vec<String> {
        self.runs_of(pages).into_iter().map(|(text, _)| text).collect()
    }

    /// Pages that follow each other, as ranges and how many pages each has.
    pub(super) fn runs_of(&self, pages: &[(String, bool)]) -> Vec<(String, usize)> {
        let mut runs: Vec<(String, usize, usize)> = Vec::new();
        for (page, _) in pages {
            let Some((area, at)) = page.trim_end_matches(']').split_once('[') else { continue };
            let at: usize = at.parse().unwrap_or(0);
            match runs.last_mut() {
                Some((name, _, last)) if name == area && *last + 1 == at => *last = at,
                _ => runs.push((area.to_owned(), at, at)),
            }
        }
        let text = |(area, from, to): (String, usize, usize)| match from == to {
            true => (format!("{area}[{from}]"), 1),
            false => (format!("{area}[{from}..{}]", to + 1), to + 1 - from),
        };
        runs.into_iter().map(text).collect()
    }
}
