//! The steps of random programs, and what can be looked at after them.

use std::fmt;

use super::shape::{Aim, Extent, Scans, Shape};

/// A step, and the process that does it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    process: &'static str,
    act: Act,
    may_fail: Option<&'static str>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Act {
    Map {
        area: &'static str,
        pages: u32,
        sharing: &'static str,
        at: Option<u64>,
    },
    /// One page at this address, in place of what is there.
    Replace {
        area: &'static str,
        at: u64,
    },
    /// A stack of one page that may come to have so many.
    Stack(u32),
    /// The program break, so that so many pages lie below it.
    Break(u32),
    Populate(Page, &'static str),
    Mlock(Page),
    Munlock(Page),
    Clone(&'static str),
    Vfork(&'static str),
    Exec,
    Unmap(Page),
    Protect(Page, &'static str),
    Advise(Page, &'static str),
    Write(Page, u32),
    Read(Page),
    Take {
        verb: &'static str,
        page: Page,
        options: &'static str,
        handle: u32,
    },
    Drop {
        verb: &'static str,
        handle: u32,
    },
    DeviceWrite(u32, u32),
    Fork(&'static str),
    Exit,
    Scan,
    Migrate(Page, u32),
}

/// Where an area lies that is placed.
const PLACE: u64 = 0x4000;
/// The area that is a stack, and what lies below the program break: the lowest pages, below
/// [`PLACE`].
const STACK: (&str, u32) = ("S", 3);
const HEAP: (&str, u32) = ("H", 2);

/// A page of an area.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Page {
    area: &'static str,
    page: u32,
}

impl fmt::Display for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]", self.area, self.page)
    }
}

impl Step {
    /// The step as it is written outside lanes.
    pub(super) fn alone(&self) -> String {
        match self.act {
            Act::Drop { .. } | Act::DeviceWrite(..) => self.to_string(),
            _ => format!("{}: {self}", self.process),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.act {
            Act::Map { area, pages, sharing, at } => {
                write!(f, "map {area} {pages} {sharing} rw")?;
                at.map_or(Ok(()), |at| write!(f, " at {at:#x}"))
            }
            Act::Replace { area, at } => write!(f, "map {area} 1 private rw at {at:#x} replace"),
            Act::Stack(most) => write!(f, "map {} 1 stack rw up to {most}", STACK.0),
            Act::Break(pages) => write!(f, "break {} {pages}", HEAP.0),
            Act::Populate(page, access) => write!(f, "populate {page} {access}"),
            Act::Mlock(page) => write!(f, "mlock {page}"),
            Act::Munlock(page) => write!(f, "munlock {page}"),
            Act::Clone(child) => write!(f, "clone {child}"),
            Act::Vfork(child) => write!(f, "vfork {child}"),
            Act::Exec => f.write_str("exec"),
            Act::Unmap(page) => write!(f, "unmap {page}"),
            Act::Protect(page, rights) => write!(f, "protect {page} {rights}"),
            Act::Advise(page, advice) => write!(f, "advise {page} {advice}"),
            Act::Write(page, word) => write!(f, "write {page} \"w{word}\""),
            Act::Read(page) => write!(f, "read {page}"),
            Act::Take { verb, page, options, handle } => {
                write!(f, "{verb} {page} {options} as h{handle}")
            }
            Act::Drop { verb, handle } => write!(f, "{verb} h{handle}"),
            Act::DeviceWrite(handle, word) => write!(f, "write h{handle} \"w{word}\""),
            Act::Fork(child) => write!(f, "fork {child}"),
            Act::Exit => f.write_str("exit"),
            Act::Scan => f.write_str("numa-scan"),
            Act::Migrate(page, node) => write!(f, "migrate {page} to node {node}"),
        }?;
        self.may_fail.map_or(Ok(()), |how| write!(f, " may fail {how}"))
    }
}

/// A handle that steps may use.
#[derive(Clone, Copy)]
struct Held {
    number: u32,
    takes: &'static str,
    drops: &'static str,
    writes: bool,
}

/// Makes the steps of one program, and knows as much of it as the language checks.
pub(super) struct Maker {
    random: u64,
    shape: Shape,
    areas: Vec<(&'static str, u32)>,
    /// Where an area of private memory lies that pages may be replaced in, and its pages.
    placed: Option<(u64, u32)>,
    /// Names of areas to come.
    names: Vec<&'static str>,
    processes: Vec<&'static str>,
    children: Vec<&'static str>,
    held: Vec<Held>,
    words: u32,
    handles: u32,
    in_lanes: bool,
    low: Low,
}

/// What lies at the lowest addresses.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Low {
    Nothing,
    Stack,
    Heap,
}

impl Low {
    /// What a program has there: where frames run out, steps are expected to fail in one way only,
    /// which is not that nothing is mapped.
    fn of(seed: u64, shape: &Shape) -> Self {
        match (shape.extent, shape.frames, seed % 5) {
            (Extent::Areas, None, 2) => Self::Stack,
            (Extent::Areas, None, 4) => Self::Heap,
            _ => Self::Nothing,
        }
    }
}

impl Maker {
    pub(super) fn new(seed: u64, shape: &Shape) -> Self {
        Self {
            low: Low::of(seed, shape),
            random: seed,
            shape: *shape,
            areas: Vec::new(),
            placed: None,
            names: vec!["F", "E"],
            processes: vec!["P"],
            children: vec!["D", "C"],
            held: Vec::new(),
            words: 0,
            handles: 0,
            in_lanes: false,
        }
    }

    /// The next number (splitmix64).
    fn number(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.random ^ self.random >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, most: usize) -> usize {
        (self.number() % most.max(1) as u64) as usize
    }

    pub(super) fn between(&mut self, least: usize, most: usize) -> usize {
        least + self.below(most.saturating_sub(least) + 1)
    }

    fn one_of(&mut self, from: &[&'static str]) -> &'static str {
        let at = self.below(from.len());
        from.get(at).copied().unwrap_or("read")
    }

    /// What runs before the lanes: one or two areas, some of their pages, and sometimes a child.
    pub(super) fn setup(&mut self) -> Vec<Step> {
        let mut steps = Vec::new();
        let most = match self.shape.extent {
            Extent::Areas => 2,
            Extent::Page => 1,
        };
        for area in ["A", "B"].into_iter().take(self.between(1, most)) {
            let pages = self.between(1, most) as u32;
            let shared = self.shape.extent == Extent::Areas && self.below(6) == 0;
            let sharing = if shared { "shared" } else { "private" };
            self.areas.push((area, pages));
            let here = self.shape.extent == Extent::Areas && !shared && area == "A";
            let at = (here && self.below(2) == 0).then_some(PLACE);
            self.placed = self.placed.or(at.map(|at| (at, pages)));
            steps.push(Step {
                process: "P",
                act: Act::Map { area, pages, sharing, at },
                may_fail: None,
            });
        }
        let low = match self.low {
            Low::Nothing => None,
            Low::Stack => Some((Act::Stack(STACK.1), STACK)),
            Low::Heap => Some((Act::Break(HEAP.1), HEAP)),
        };
        let area = low.map(|(act, area)| {
            steps.push(Step { process: "P", act, may_fail: None });
            area
        });
        if self.shape.lanes == 0 {
            self.areas.extend(area);
            return steps;
        }
        for _ in 0..self.below(4) {
            steps.push(self.plain("P"));
        }
        // Not all of its pages are there: what comes now may meet that.
        self.areas.extend(area);
        if self.below(3) == 0 {
            steps.push(self.fork("P"));
        }
        // Scenarios whose setup fails say nothing.
        for step in &mut steps {
            step.may_fail = None;
        }
        self.in_lanes = true;
        steps
    }

    /// A step of `setup`: a store or a reference.
    fn plain(&mut self, process: &'static str) -> Step {
        match self.below(3) {
            0 | 1 => self.write(process),
            _ => self.take(process),
        }
    }

    /// The process of a lane.
    pub(super) fn process_of_lane(&mut self, lane: usize) -> &'static str {
        match lane {
            0 => "P",
            _ => {
                let processes = self.processes.clone();
                self.one_of(&processes)
            }
        }
    }

    /// A step that changes nothing that matters.
    pub(super) fn touch(&mut self) -> Step {
        let page = self.page();
        Step { process: "P", act: Act::Read(page), may_fail: None }
    }

    /// A step of any process.
    pub(super) fn alone(&mut self) -> Step {
        let processes = self.processes.clone();
        let process = self.one_of(&processes);
        self.step_of(process)
    }

    /// A step of this process.
    pub(super) fn step_of(&mut self, process: &'static str) -> Step {
        if self.low == Low::Heap && self.below(6) == 0 {
            let pages = self.below(HEAP.1 as usize + 1) as u32;
            return self.step(process, Act::Break(pages));
        }
        match self.shape.extent {
            Extent::Areas => self.any_step(process),
            Extent::Page => self.step_on_page(process),
        }
    }

    /// A step that decides who keeps a page.
    fn step_on_page(&mut self, process: &'static str) -> Step {
        match self.below(12) {
            0..=2 => self.write(process),
            3 => {
                let page = self.page();
                self.step(process, Act::Read(page))
            }
            4..=5 => self.take(process),
            6 => self.drop_or_write(process),
            7 => self.fork(process),
            8 if process != "P" && !self.in_lanes => {
                self.processes.retain(|other| *other != process);
                self.step(process, Act::Exit)
            }
            _ => {
                let (page, rights) = (self.page(), self.one_of(&["ro", "rw"]));
                self.step(process, Act::Protect(page, rights))
            }
        }
    }

    fn any_step(&mut self, process: &'static str) -> Step {
        match self.below(27) {
            20..=25 => self.later_step(process),
            0..=5 => self.write(process),
            6..=7 => {
                let page = self.page();
                self.step(process, Act::Read(page))
            }
            8..=10 => self.take(process),
            11 => self.drop_or_write(process),
            12..=13 => self.fork(process),
            14 => {
                let (page, rights) = (self.page(), self.one_of(&["ro", "rw", "rw", "none"]));
                self.step(process, Act::Protect(page, rights))
            }
            15 => {
                let page = self.page();
                let advice =
                    self.one_of(&["dontneed", "dontneed", "dontfork", "dofork", "wipeonfork"]);
                self.step(process, Act::Advise(page, advice))
            }
            16 => {
                let page = self.page();
                self.step(process, Act::Unmap(page))
            }
            17 if process != "P" && !self.in_lanes => {
                self.processes.retain(|other| *other != process);
                self.step(process, Act::Exit)
            }
            18 if self.shape.nodes > 1 => {
                let (page, node) = (self.page(), self.below(2) as u32);
                self.step(process, Act::Migrate(page, node))
            }
            19 if self.shape.scans == Scans::Made => self.step(process, Act::Scan),
            _ => self.write(process),
        }
    }

    /// A step that the language got later.
    fn later_step(&mut self, process: &'static str) -> Step {
        let page = self.page();
        match self.below(7) {
            0 | 1 => {
                let access = self.one_of(&["read", "write"]);
                self.step(process, Act::Populate(page, access))
            }
            2 => self.step(process, Act::Mlock(page)),
            3 => self.step(process, Act::Munlock(page)),
            4 => self.replace(process),
            5 => self.child_of(process, Act::Clone),
            _ if process != "P" && !self.in_lanes => {
                self.processes.retain(|other| *other != process);
                self.step(process, Act::Exec)
            }
            _ => self.step(process, Act::Mlock(page)),
        }
    }

    /// A mapping in place of a page of the area that is placed.
    fn replace(&mut self, process: &'static str) -> Step {
        let Some((first, pages)) = self.placed.filter(|_| process == "P") else {
            return self.write(process);
        };
        let Some(area) = self.names.pop() else { return self.write(process) };
        let at = first + 0x1000 * self.below(pages as usize) as u64;
        self.step(process, Act::Replace { area, at })
    }

    /// Sometimes a child in the address space of the first lane's process, with a lane of its own,
    /// for which that lane waits.
    pub(super) fn vfork(&mut self) -> Option<(Step, &'static str, Vec<Step>)> {
        if self.shape.extent != Extent::Areas || self.below(5) != 0 {
            return None;
        }
        let child = "V";
        let mut steps = Vec::new();
        if self.below(2) == 0 {
            steps.push(self.write(child));
        }
        let ends = if self.below(2) == 0 { Act::Exec } else { Act::Exit };
        steps.push(self.step(child, ends));
        Some((self.step("P", Act::Vfork(child)), child, steps))
    }

    /// The step, with the failure that is to be expected of it.
    fn step(&self, process: &'static str, act: Act) -> Step {
        let may_fail = match (&act, self.shape.frames) {
            (Act::Fork(_) | Act::Write(..) | Act::Read(_) | Act::Take { .. }, Some(_)) => {
                Some("out-of-frames")
            }
            (Act::Populate(..) | Act::Mlock(_), Some(_)) => Some("out-of-frames"),
            (Act::Protect(..) | Act::Unmap(_), Some(_)) => Some("out-of-frames"),
            (Act::Populate(..) | Act::Mlock(_) | Act::Munlock(_), None) => Some("not-mapped"),
            (Act::Write(..) | Act::Read(_), None) => Some("no-access"),
            (Act::Protect(..) | Act::Advise(..), None) => Some("not-mapped"),
            (Act::Break(_), _) => Some("not-mapped"),
            _ => None,
        };
        Step { process, act, may_fail }
    }

    fn page(&mut self) -> Page {
        let at = self.below(self.areas.len());
        let (area, pages) = self.areas.get(at).copied().unwrap_or(("A", 1));
        Page { area, page: self.below(pages as usize) as u32 }
    }

    fn write(&mut self, process: &'static str) -> Step {
        let page = self.page();
        self.words += 1;
        self.step(process, Act::Write(page, self.words))
    }

    fn fork(&mut self, process: &'static str) -> Step {
        self.child_of(process, Act::Fork)
    }

    /// Makes a child, if there is a name for it; a store otherwise.
    fn child_of(&mut self, process: &'static str, make: fn(&'static str) -> Act) -> Step {
        match self.children.pop() {
            Some(child) => {
                // Within lanes a child has no lane of its own.
                if !self.in_lanes {
                    self.processes.push(child);
                }
                self.step(process, make(child))
            }
            None => self.write(process),
        }
    }

    fn take(&mut self, process: &'static str) -> Step {
        let pin = ("pin", "unpin", true);
        let get = ("get", "put", false);
        let ((verb, drops, writes), options) = match self.shape.aim {
            Aim::Compare => match self.below(4) {
                0 | 1 => (pin, "write longterm"),
                2 => (get, "read"),
                _ if self.in_lanes => (get, "read"),
                _ => (get, "write"),
            },
            Aim::Oracles => match self.below(8) {
                0 | 1 => (pin, "write longterm"),
                2 => (pin, "read longterm"),
                3 => (pin, "write"),
                4 => (pin, "read"),
                5 => (pin, "write longterm slow-only"),
                6 => (get, "read"),
                _ => (get, "write"),
            },
        };
        let (page, number) = (self.page(), self.handles);
        // The store that stands for writing elsewhere would make it grow.
        let compared = self.shape.aim == Aim::Compare && verb == "get" && page.area == STACK.0;
        let options = if compared { "read" } else { options };
        self.handles += 1;
        let mut step = self.step(process, Act::Take { verb, page, options, handle: number });
        // What may not exist cannot be used by another step.
        match (self.in_lanes, self.shape.frames) {
            (true, None) => step.may_fail = Some("no-access"),
            (true, Some(_)) => {}
            (false, _) => {
                step.may_fail = None;
                self.held.push(Held { number, takes: verb, drops, writes });
            }
        }
        step
    }

    /// A step on a handle; a store of the process if there is none.
    fn drop_or_write(&mut self, process: &'static str) -> Step {
        if self.held.is_empty() {
            return self.write(process);
        }
        let at = self.below(self.held.len());
        let held = self.held[at];
        // A lane cannot know whether another has let go of it.
        if held.writes && (self.in_lanes || self.below(2) == 0) {
            self.words += 1;
            return self.step(process, Act::DeviceWrite(held.number, self.words));
        }
        if self.in_lanes && held.takes == "get" {
            return self.write(process);
        }
        self.held.remove(at);
        self.step(process, Act::Drop { verb: held.drops, handle: held.number })
    }
}

/// Every line that can be stated after these steps and is of interest: each word that a process or
/// a handle may find, and who leads to one frame with whom.
pub(super) fn claims(steps: &[&Step]) -> Vec<String> {
    let mut words = vec!["0".to_owned()];
    let mut processes = vec!["P"];
    let mut pages = Vec::new();
    let mut handles = Vec::new();
    let mut dropped = Vec::new();
    // The most pages below the program break.
    let mut highest = 0;
    // These have none of the areas any more.
    let mut executed = Vec::new();
    for step in steps {
        match &step.act {
            Act::Map { area, pages: count, .. } => {
                pages.extend((0..*count).map(|page| Page { area, page }));
            }
            Act::Stack(most) => pages.extend((0..*most).map(|page| Page { area: STACK.0, page })),
            Act::Break(count) => highest = highest.max(*count),
            Act::Write(_, word) | Act::DeviceWrite(_, word) => words.push(format!("w{word}")),
            Act::Fork(child) | Act::Clone(child) => processes.push(child),
            Act::Exec => executed.push(step.process),
            Act::Take { page, handle, .. } => handles.push((*handle, *page, step.process)),
            Act::Drop { handle, .. } => dropped.push(*handle),
            Act::Unmap(_)
            | Act::Protect(..)
            | Act::Advise(..)
            | Act::Read(_)
            | Act::Exit
            | Act::Scan
            | Act::Replace { .. }
            | Act::Populate(..)
            | Act::Mlock(_)
            | Act::Munlock(_)
            | Act::Vfork(_)
            | Act::Migrate(..) => {}
        }
    }
    pages.extend((0..highest).map(|page| Page { area: HEAP.0, page }));
    processes.retain(|process| !executed.contains(process));
    handles.retain(|(.., process)| !executed.contains(process));
    handles.retain(|(handle, ..)| !dropped.contains(handle));
    let mut claims = Vec::new();
    for (handle, page, process) in &handles {
        claims.push(format!("h{handle} is {process}:{page}"));
    }
    for page in &pages {
        for pair in processes.windows(2) {
            claims.push(format!("{}:{page} is {}:{page}", pair[0], pair[1]));
        }
    }
    for word in &words {
        claims.extend(handles.iter().map(|(handle, ..)| format!("h{handle} sees \"{word}\"")));
    }
    for page in &pages {
        for process in &processes {
            claims.extend(words.iter().map(|word| format!("{process}:{page} sees \"{word}\"")));
        }
    }
    claims
}
