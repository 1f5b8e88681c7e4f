//! A plan as the text of a scenario.
//!
//! INV-WRITE-1: the text is canonical and a scenario, or there is an error: it is read again before
//! it is given away.
//! INV-WRITE-2: a claim is made only of what one lane alone decides.

mod areas;
mod steps;
mod uses;
mod words;

use super::answer::{ImportError, Imported, Takes};
use super::log::{Log, Op, Seed, Taker, What, makes};
use super::plan::{Area, Plan};
use super::space::{Kind, PAGE, Range};
use crate::scenario;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// The names of areas.
const AREAS: [&str; 3] = ["A", "B", "D"];

/// What was stored last to a word of a page.
#[derive(Clone, Debug)]
struct Stored {
    word: String,
    /// The thread; none where it is what was there at first, or what a parent had.
    by: Option<usize>,
    /// The call that it belongs to; none for a store at any time.
    at: Option<usize>,
    /// Which store is the last is not certain.
    several: bool,
    /// It is no store: what was stored is gone, or may go. Nothing is claimed of that.
    dropped: bool,
}

/// What was stored last, by process and the word of a page.
type Last = BTreeMap<(String, String), Stored>;

struct Writer<'a> {
    log: &'a Log,
    plan: &'a Plan,
    takes: &'a dyn Fn(Taker) -> Takes,
    /// The names of processes by threads.
    processes: BTreeMap<usize, String>,
    lanes: BTreeMap<usize, String>,
    text: String,
    /// What is claimed of the end.
    claims: Vec<String>,
    /// That what direct I/O and other processes brought is there, as claims.
    arrived: Vec<String>,
    last: Last,
    /// What a handle's page is a page of: the seed, the handle's page, the area's.
    held: BTreeMap<usize, Vec<(String, String)>>,
    /// Seeds that are over before the end.
    over: BTreeSet<usize>,
    /// Pages of a process that are gone, or that others took the place of.
    gone: BTreeMap<(String, String), Option<String>>,
    /// Pages that a lane's process may not write after a call, as far as the lane knows.
    barred: BTreeMap<usize, BTreeSet<String>>,
    /// Who stores in the middle of which calls, to which pages.
    between: BTreeMap<usize, Vec<(usize, Vec<String>)>>,
    /// The call that is written.
    now: usize,
    /// Pages of a process that its children find zeroed.
    wiped: BTreeSet<(String, String)>,
    words: usize,
    handles: usize,
    registers: usize,
    /// The register that what a handle sent is read into.
    told: BTreeMap<String, usize>,
    moves: usize,
    /// Lanes that have waited until an area is mapped.
    awaited: BTreeSet<(usize, &'static str)>,
    files: Vec<usize>,
    absent: Vec<Taker>,
}

/// Writes it.
///
/// # Errors
/// When what is written is no scenario.
pub(super) fn write(
    log: &Log,
    plan: &Plan,
    name: &str,
    takes: &dyn Fn(Taker) -> Takes,
) -> Result<Imported, ImportError> {
    let mut writer = Writer {
        log,
        plan,
        takes,
        processes: BTreeMap::new(),
        lanes: BTreeMap::new(),
        text: String::new(),
        claims: Vec::new(),
        arrived: Vec::new(),
        last: Last::new(),
        held: BTreeMap::new(),
        over: BTreeSet::new(),
        gone: BTreeMap::new(),
        barred: BTreeMap::new(),
        between: BTreeMap::new(),
        now: 0,
        wiped: BTreeSet::new(),
        words: 0,
        handles: 0,
        registers: 0,
        told: BTreeMap::new(),
        moves: 0,
        awaited: BTreeSet::new(),
        files: Vec::new(),
        absent: Vec::new(),
    };
    writer.name();
    writer.bar();
    writer.meet();
    writer.whole(name);
    let advice = writer.advice();
    let seeds = || plan.seeds.iter().map(|seed| log.seeds[*seed].taker);
    let holds = plan.seeds.iter().map(|seed| &log.seeds[*seed]).any(|seed| {
        let private = seed.kind != Kind::Shared;
        private && seed.taker.stays() && !seed.taker.sends() && takes(seed.taker) != Takes::Follow
    });
    let takers: BTreeSet<Taker> = seeds().collect();
    let Writer { text, absent, .. } = writer;
    let parsed = scenario::parse(&text).map_err(|errors| ImportError::Unwritable {
        why: errors.first().map_or_else(String::new, |error| error.message.clone()),
    })?;
    Ok(Imported {
        text: scenario::format(&parsed),
        left: plan.left.told(),
        gap: plan.left.gap(),
        absent,
        advice,
        takers: takers.into_iter().collect(),
        holds,
    })
}

/// A name that the language takes.
fn identifier(name: &str) -> String {
    let word = |byte: char| if byte.is_ascii_alphanumeric() || byte == '-' { byte } else { '-' };
    let name: String = name.chars().map(word).take(60).collect();
    let starts = name.starts_with(|first: char| first.is_ascii_alphabetic());
    if starts && !scenario::RESERVED.contains(&name.as_str()) { name } else { format!("r-{name}") }
}

impl Writer<'_> {
    /// The advice of the scenario that some release lacks, and whose word the language has for all.
    fn advice(&self) -> Vec<&'static str> {
        let all = || self.plan.lanes.values().flatten().map(|at| &self.log.ops[*at].what);
        let cold = all().any(|what| matches!(what, What::Advise(_, "cold")));
        let pageout = all().any(|what| matches!(what, What::Pageout(_)));
        let names = [("MADV_COLD", cold), ("MADV_PAGEOUT", pageout)];
        names.into_iter().filter(|(_, there)| *there).map(|(name, _)| name).collect()
    }

    /// Gives processes and lanes their names.
    fn name(&mut self) {
        self.processes.insert(self.plan.first, "P".to_owned());
        let mut children = 0;
        for at in self.plan.lanes.values().flatten() {
            let op = &self.log.ops[*at];
            if let (Some(child), false) = (makes(op), matches!(op.what, What::Thread(_))) {
                children += 1;
                let name = if children == 1 { "C".to_owned() } else { format!("C{children}") };
                self.processes.insert(child, name);
            }
        }
        for (number, thread) in self.plan.outside.iter().enumerate() {
            self.processes.insert(*thread, format!("Q{}", number + 1));
        }
        for (number, thread) in self.plan.lanes.keys().enumerate() {
            let name = match *thread == self.plan.first {
                true => "main".to_owned(),
                false => format!("lane-{number}"),
            };
            self.lanes.insert(*thread, name);
        }
    }

    /// The process of a thread.
    fn process(&self, thread: usize) -> String {
        let of = self.log.threads[thread].process;
        let known = self.processes.get(&thread).or_else(|| self.processes.get(&of));
        known.cloned().unwrap_or_else(|| "P".to_owned())
    }

    /// The process that has the memory of a seed.
    fn owner(&self, seed: &Seed) -> String {
        self.process(seed.owner)
    }

    fn line(&mut self, text: &str) {
        self.text.push_str(text);
        self.text.push('\n');
    }

    fn comment(&mut self, text: &str) {
        let mut rest = text;
        while !rest.is_empty() {
            let end = match rest.char_indices().nth(90) {
                Some((far, _)) => rest[..far].rfind(' ').unwrap_or(far),
                None => rest.len(),
            };
            let _ = writeln!(self.text, "# {}", rest[..end].trim());
            rest = rest[end..].trim_start();
        }
    }

    fn area_name(&self, area: &Area) -> &'static str {
        let at = self.plan.areas.iter().position(|other| other.mapping == area.mapping);
        AREAS[at.unwrap_or(0).min(AREAS.len() - 1)]
    }

    /// The pages of the scenario that are in this range: as `A[1]`, and whether partly used.
    fn pages(&self, range: &Range) -> Vec<(String, bool)> {
        let Some(area) = self.plan.areas.iter().find(|area| area.mapping == range.mapping) else {
            return Vec::new();
        };
        let name = self.area_name(area);
        let pages = area.pages.iter().enumerate().filter(|(_, page)| page.range.meets(range));
        pages.map(|(at, page)| (format!("{name}[{at}]"), page.partial)).collect()
    }

    fn seed_pages(&self, seed: &Seed) -> Vec<(String, bool)> {
        seed.ranges.iter().flat_map(|range| self.pages(range)).collect()
    }

    fn word(&mut self) -> String {
        self.words += 1;
        format!("w{}", self.words)
    }

    fn whole(&mut self, name: &str) {
        let log = self.log;
        let plan = self.plan;
        self.comment(
            "Made by `pinfold import strace`. Stores are not in a recording: each that is here is \
             assumed, and says so. What a comment does not call ordered races.",
        );
        self.line(&format!("scenario {}", identifier(name)));
        let what: BTreeSet<_> = plan.seeds.iter().map(|seed| log.seeds[*seed].taker).collect();
        let what: Vec<&str> = what.into_iter().map(Taker::title).collect();
        self.line(&format!("title \"{}, as recorded\"", what.join(", and ")));
        self.machine();
        self.setup();
        // What a handle is of stands before what others do with it.
        let mut lanes: Vec<(usize, Vec<usize>)> = plan.lanes.clone().into_iter().collect();
        lanes.sort_by_key(|(thread, steps)| {
            let foreign = |at: &&usize| match log.ops[**at].what {
                What::Release(seed) => self.taker(seed) != *thread,
                _ => false,
            };
            steps.iter().filter(foreign).count()
        });
        for (thread, steps) in lanes {
            self.lane(thread, &steps);
        }
        if let Some(thread) = self.other() {
            self.lane_beside(thread);
        }
        self.devices();
        self.claims();
        self.end();
    }

    fn machine(&mut self) {
        let log = self.log;
        let direct = |seed: &&usize| {
            let seed = &log.seeds[**seed];
            matches!(seed.taker, Taker::DirectRead | Taker::DirectWrite) && !seed.submitted
        };
        self.files = self.plan.seeds.iter().filter(direct).copied().collect();
        self.line("machine");
        match self.own_word() + usize::from(!self.between.is_empty()) {
            1 => {}
            words => self.line(&format!("words {words}")),
        }
        let pages = self.plan.areas.iter().map(|area| area.pages.len()).sum::<usize>();
        if pages > 2 {
            self.line("frames 32");
        }
        let calls = || self.plan.lanes.values().flatten().map(|at| &log.ops[*at].what);
        if calls().any(|what| matches!(what, What::Pageout(_))) {
            self.line(&format!("swap {pages}"));
        }
        let lanes = self.plan.lanes.len() + usize::from(self.other().is_some());
        for cpu in 0..lanes.max(2) {
            self.line(&format!("cpu cpu{cpu} node 0"));
        }
        if !self.files.is_empty() {
            let count = self.files.len();
            self.line(&format!("file F {count}"));
        }
    }

    fn setup(&mut self) {
        let plan = self.plan;
        self.line("setup");
        self.line("process P on cpu0");
        for thread in &plan.outside {
            let name = self.process(*thread);
            self.comment("another program, which shares nothing with this one");
            self.line(&format!("P: fork {name}"));
        }
        for page in 0..self.files.len() {
            self.line(&format!("P: write F[{page}].0 \"disk{page}\""));
        }
        if !self.files.is_empty() {
            self.line("P: sync F");
        }
        for area in plan.areas.iter().filter(|area| !area.later) {
            match self.home(area) {
                None => self.map(area, "P", "P: "),
                Some(lane) => {
                    let (process, name) = (self.process(lane), self.area_name(area));
                    for at in 0..area.pages.len() {
                        self.found(&process, &format!("{name}[{at}]"), "v1");
                    }
                }
            }
        }
        let (first, count) = self.prefix();
        for at in first.iter().take(count) {
            self.now = *at;
            self.step(plan.first, &log_op(self.log, *at), "P: ");
        }
    }

    /// The calls of the first thread, and how many of them come before there is anything else.
    fn prefix(&self) -> (Vec<usize>, usize) {
        let steps = self.plan.lanes.get(&self.plan.first).cloned().unwrap_or_default();
        // Nobody is beside what runs before the lanes.
        let met: BTreeSet<usize> = self.between.values().flatten().map(|(at, _)| *at).collect();
        // A device writes while what follows its request is done.
        let requests = |at: &usize| match self.log.ops[*at].what {
            What::Take(seed) => self.log.seeds[seed].submitted,
            _ => false,
        };
        let begun = steps.iter().position(requests).unwrap_or(steps.len());
        let starts = |(place, at): (usize, &usize)| {
            makes(&self.log.ops[*at]).is_some()
                || met.contains(at)
                || place > begun && !requests(at)
        };
        // Lanes of other programs are there from the start.
        let alone = self.plan.outside.is_empty();
        let count = steps.iter().enumerate().position(starts).filter(|_| alone).unwrap_or(0);
        (steps, count)
    }

    fn lane(&mut self, thread: usize, steps: &[usize]) {
        let log = self.log;
        let mut steps = steps.to_vec();
        if thread == self.plan.first {
            steps.drain(..self.prefix().1);
            // The call that made the first lane orders nothing that setup has not.
        }
        let number = self.plan.lanes.keys().position(|other| *other == thread).unwrap_or(0);
        let (name, process) = (self.lanes[&thread].clone(), self.process(thread));
        self.comment(&format!("thread {}", log.threads[thread].pid));
        self.line(&format!("lane {name}: {process} on cpu{number}"));
        let maker = log.ops.iter().position(|op| makes(op) == Some(thread));
        let by_thread = maker.is_some_and(|at| matches!(log.ops[at].what, What::Thread(_)));
        if by_thread && maker.is_some_and(|at| self.signals(at)) {
            self.line(&format!("await start-{name}"));
        }
        let mut empty = true;
        let mut areas = self.own_areas(thread);
        // Stores of other calls' time come once who makes those is there, and the memory.
        let starts = self.starts(thread, &steps, &areas);
        for (place, at) in steps.iter().enumerate() {
            let op = log_op(log, *at);
            self.due(thread, &mut areas, op.line);
            if place == starts {
                self.beside(thread);
            }
            let ends = matches!(op.what, What::Exit | What::Exec);
            if ends && self.is_waited_for(thread) {
                self.line(&format!("signal end-{name}"));
            }
            empty = false;
            self.now = *at;
            self.step(thread, &op, "");
        }
        self.due(thread, &mut areas, u64::MAX);
        if starts >= steps.len() {
            empty &= !self.beside(thread);
        }
        let ended =
            steps.last().is_some_and(|at| matches!(log.ops[*at].what, What::Exit | What::Exec));
        if self.is_waited_for(thread) && !ended {
            self.line(&format!("signal end-{name}"));
        } else if empty
            && let Some(area) = self.plan.areas.iter().find(|area| self.home(area).is_none())
        {
            // A lane has a step.
            let page = self.area_name(area);
            self.line(&format!("read {page}[0]"));
        }
    }

    /// Before which of its steps a lane stores in the middle of other lanes' calls: behind those
    /// that make the callers, and with all that it maps itself.
    fn starts(&self, thread: usize, steps: &[usize], areas: &[(u64, Area)]) -> usize {
        let calls = self.between.get(&thread).cloned().unwrap_or_default();
        let calls: Vec<usize> = calls.iter().map(|(call, _)| self.log.ops[*call].thread).collect();
        let behind = |at: &usize| {
            let op = &self.log.ops[*at];
            makes(op).is_some_and(|made| calls.contains(&made))
                || areas.iter().any(|(line, _)| op.line <= *line)
        };
        steps.iter().rposition(behind).map_or(0, |place| place + 1)
    }

    /// The thread without a lane that stores while others change the memory.
    fn other(&self) -> Option<usize> {
        let (thread, _) = self.plan.beside.other.as_ref()?;
        self.between.contains_key(thread).then_some(*thread)
    }

    /// A lane for what threads do that have none: they store while others change the memory.
    fn lane_beside(&mut self, thread: usize) {
        let (pid, process) = (self.log.threads[thread].pid, self.process(thread));
        let number = self.plan.lanes.len();
        self.comment(&format!("thread {pid}, which does nothing else here"));
        self.line(&format!("lane beside: {process} on cpu{number}"));
        self.beside(thread);
    }

    /// Whether the call that made a thread is a step of a lane, so that it has to say so.
    fn signals(&self, at: usize) -> bool {
        let thread = self.log.ops[at].thread;
        let Some(steps) = self.plan.lanes.get(&thread) else { return false };
        let before = if thread == self.plan.first { self.prefix().1 } else { 0 };
        // What is first in its lane comes after nothing.
        steps
            .iter()
            .position(|step| *step == at)
            .is_some_and(|place| place > before || thread != self.plan.first)
    }

    fn is_waited_for(&self, thread: usize) -> bool {
        let waits = |at: &usize| matches!(self.log.ops[*at].what, What::Wait(it) if it == thread);
        self.plan.lanes.values().flatten().any(waits)
    }

    /// Whether another lane takes pages away that this one uses.
    fn hazard(&self, thread: usize, owner: &str, pages: &[(String, bool)]) -> &'static str {
        let meets = |range: &Range| {
            self.pages(range).iter().any(|(page, _)| pages.iter().any(|(own, _)| own == page))
        };
        let taken = |other: usize| other != thread && self.process(other) == owner;
        let danger = |(other, at): (&usize, &usize)| match &self.log.ops[*at].what {
            What::Unmap(range) | What::Reuse(range, _) => taken(*other) && meets(range),
            What::Protect(range, to) => taken(*other) && !to.starts_with("rw") && meets(range),
            What::Advise(range, "dontfork") => owner != self.process(*other) && meets(range),
            _ => false,
        };
        let all =
            self.plan.lanes.iter().flat_map(|(lane, steps)| steps.iter().map(move |at| (lane, at)));
        if all.into_iter().any(danger) { " may fail no-access" } else { "" }
    }

    fn end(&mut self) {
        let claims = self.claims.clone();
        if claims.is_empty() {
            self.comment("nothing is claimed but what holds for all programs");
            self.line("outcome over otherwise");
        } else {
            self.line("always");
            claims.iter().for_each(|claim| self.line(claim));
        }
        if let Some(fact) = self.arrived.iter().find(|fact| claims.contains(*fact)) {
            self.line(&format!("outcome arrived when {fact}"));
            self.line("outcome lost otherwise");
        } else if let Some(fact) = claims.iter().find(|claim| claim.contains(" is ")) {
            self.line(&format!("outcome in-step when {fact}"));
            self.line("outcome parted otherwise");
        }
        for why in self.plan.left.told() {
            self.comment(&format!("left out: {why}"));
        }
        if self
            .plan
            .areas
            .iter()
            .any(|area| area.pages.iter().any(|page| page.range.to - page.range.from > 1))
        {
            let bytes = PAGE;
            self.comment(&format!(
                "scaled: pages of {bytes} bytes that all calls treat alike are one page; large \
                 folios are not asked about"
            ));
        }
    }
}

/// A call, apart from the log.
fn log_op(log: &Log, at: usize) -> Op {
    log.ops[at].clone()
}
