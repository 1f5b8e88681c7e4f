//! Makes the steps of random programs: what the language checks is known here, so that a program is
//! a scenario.
//!
//! A program with files has one way in which its steps may fail ([`Trouble`]), as a step can name
//! one: rights that go, files that end, or a group that is full. Steps that would fail otherwise
//! are not made there.

mod filed;
mod large;
mod pooled;
mod reclaimed;
mod remote;

use super::shape::{Aim, Extent, Files, Scans, Shape, Swaps};
use super::steps::{Act, HEAP, MOVED, PLACE, Page, STACK, Shows, Step};

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
    areas: Vec<Area>,
    /// Where an area of private memory lies that pages may be replaced in, and its pages.
    placed: Option<(u64, u32)>,
    /// Names of areas to come.
    names: Vec<&'static str>,
    processes: Vec<&'static str>,
    children: Vec<&'static str>,
    held: Vec<Held>,
    words: u32,
    handles: u32,
    /// How many notes of frames there are.
    noted: u32,
    in_lanes: bool,
    low: Low,
    /// Whether pages are collapsed.
    collapses: bool,
    /// How the steps of a program with files may fail.
    trouble: Option<Trouble>,
    /// Whether such a program locks pages in memory; others drop them.
    locks: bool,
    /// Whether it takes pages to a swap device.
    swaps: bool,
    /// Whether that may be taken out of use yet: once, and where programs are compared, one step
    /// after another.
    swaps_off: bool,
    /// Whether it asks which pages were stored to.
    clears: bool,
    /// Areas that were not moved yet.
    unmoved: Vec<(&'static str, u64)>,
}

/// An area that steps may be about.
#[derive(Clone, Copy)]
struct Area {
    name: &'static str,
    pages: u32,
    shows: Shows,
    rights: &'static str,
}

impl Area {
    const fn private((name, pages): (&'static str, u32)) -> Self {
        Self { name, pages, shows: Shows::Private, rights: "rw" }
    }
}

/// How pages of an area are taken.
struct Fitted {
    options: &'static str,
    /// Whether a device may write there for as long as it has them.
    writes: bool,
}

/// In which way the steps of a program may fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    /// Pages are unmapped and protected.
    Rights,
    /// Files become shorter.
    Cut,
    /// A group may be charged for a few pages only.
    Limit,
    /// Frames run out.
    Frames,
}

impl Trouble {
    fn of(seed: u64, shape: &Shape) -> Option<Self> {
        Some(match (shape.files, shape.frames, seed / 3 % 3, shape.aim) {
            (Files::Left, ..) => return None,
            (Files::Made, Some(_), ..) => Self::Frames,
            (Files::Made, None, 0, _) => Self::Rights,
            (Files::Made, None, 2, Aim::Oracles) => Self::Limit,
            (Files::Made, None, ..) => Self::Cut,
        })
    }

    /// The failure that is to be expected of a step.
    fn of_step(self, act: &Act) -> Option<&'static str> {
        let (access, range, call) = match act {
            Act::Write(..) | Act::Read(_) | Act::Take { .. } | Act::Transfer { .. } => {
                (true, false, false)
            }
            Act::Populate(..) | Act::Mlock(_) => (true, true, false),
            Act::FileWrite(..) | Act::FileRead(_) => (false, false, true),
            Act::Munlock(_) | Act::Advise(..) | Act::Writeback(_) => (false, true, false),
            Act::Fork(_) | Act::Protect(..) | Act::Unmap(_) | Act::Remap(..) => {
                let ranged = matches!(act, Act::Protect(..) | Act::Remap(..));
                let tables = self == Self::Frames;
                let copies = self == Self::Limit && matches!(act, Act::Fork(_));
                (tables || copies, ranged, false)
            }
            Act::MoveCharge(..) => (self == Self::Limit, true, false),
            _ => (false, false, false),
        };
        match self {
            Self::Rights if range => Some("not-mapped"),
            Self::Rights if access => Some("no-access"),
            Self::Cut if access || call => Some("past-end"),
            Self::Limit if access => Some("over-limit"),
            Self::Frames if access || call => Some("out-of-frames"),
            _ => None,
        }
    }
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
        if shape.files == Files::Made {
            return Self::Nothing;
        }
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
            noted: 0,
            in_lanes: false,
            collapses: shape.collapses(seed),
            trouble: Trouble::of(seed, shape),
            locks: (seed / 9).is_multiple_of(2),
            swaps: Self::swaps(seed, shape),
            swaps_off: (shape.aim, shape.lanes) == (Aim::Compare, 0),
            clears: Self::swaps(seed, shape) && seed % 8 == 7,
            unmoved: MOVED.to_vec(),
        }
    }

    /// Whether pages go to a swap device: not where frames run out, as they are wanted again then,
    /// and no part of a folio, which goes as a whole.
    fn swaps(seed: u64, shape: &Shape) -> bool {
        let plain = (shape.swaps, shape.files, shape.frames) == (Swaps::Made, Files::Left, None);
        plain && shape.extent != Extent::Folio && seed % 4 == 3
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
        let mut steps = match (self.shape.files, self.shape.extent) {
            (Files::Left, Extent::Folio) => self.area_of_folio(),
            (Files::Left, Extent::Pool) => self.area_of_pool(),
            (Files::Left, Extent::Areas | Extent::Page) => self.areas_of_memory(),
            (Files::Made, _) => self.areas_of_files(),
        };
        let low = match self.low {
            Low::Nothing => None,
            Low::Stack => Some((Act::Stack(STACK.1), STACK)),
            Low::Heap => Some((Act::Break(HEAP.1), HEAP)),
        };
        let area = low.map(|(act, area)| {
            steps.push(Step { process: "P", act, may_fail: None });
            Area::private(area)
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

    /// One or two areas of private or shared memory.
    fn areas_of_memory(&mut self) -> Vec<Step> {
        let mut steps = Vec::new();
        let most = match self.shape.extent {
            Extent::Areas | Extent::Folio | Extent::Pool => 2,
            Extent::Page => 1,
        };
        for area in ["A", "B"].into_iter().take(self.between(1, most)) {
            let pages = self.between(1, most) as u32;
            let shared = self.shape.extent == Extent::Areas && self.below(6) == 0;
            let shows = if shared { Shows::Shared } else { Shows::Private };
            let here = self.shape.extent == Extent::Areas && !shared && area == "A";
            let at = (here && self.below(2) == 0).then_some(PLACE);
            steps.push(self.area(Area { name: area, pages, shows, rights: "rw" }, at));
        }
        steps
    }

    /// The step that makes an area, which later ones may be about.
    fn area(&mut self, area: Area, at: Option<u64>) -> Step {
        let Area { name, pages, shows, rights } = area;
        self.areas.push(area);
        self.placed = self.placed.or(at.map(|at| (at, pages)));
        let act = Act::Map { area: name, pages, shows, rights, at };
        Step { process: "P", act, may_fail: None }
    }

    /// A step of `setup`: a store or a reference.
    fn plain(&mut self, process: &'static str) -> Step {
        match self.below(3) {
            _ if self.areas.iter().any(|area| area.rights == "ro") => self.write_file(process),
            0 if self.shape.files == Files::Made => self.write_file(process),
            // What is held from the beginning is never split.
            _ if self.shape.extent == Extent::Folio => self.write(process),
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
        if self.swaps && self.below(5) == 0 {
            if self.swaps_off && self.below(6) == 0 {
                self.swaps_off = false;
                return self.step(process, Act::Swapoff);
            }
            let page = self.page();
            return self.step(process, Act::Pageout(page));
        }
        if self.clears && self.below(6) == 0 {
            return self.step(process, Act::ClearRefs);
        }
        match (self.shape.files, self.shape.extent) {
            (Files::Made, _) => self.step_with_files(process),
            (Files::Left, Extent::Areas) => self.any_step(process),
            (Files::Left, Extent::Page) => self.step_on_page(process),
            (Files::Left, Extent::Folio) if self.collapses => self.step_with_collapses(process),
            (Files::Left, Extent::Folio) => self.step_on_folio(process),
            (Files::Left, Extent::Pool) => self.step_on_pool(process),
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
        let executes = self.below(2) == 0 && self.trouble != Some(Trouble::Frames);
        let ends = if executes { Act::Exec } else { Act::Exit };
        steps.push(self.step(child, ends));
        Some((self.step("P", Act::Vfork(child)), child, steps))
    }

    /// The step, with the failure that is to be expected of it.
    fn step(&self, process: &'static str, act: Act) -> Step {
        if let Some(trouble) = self.trouble {
            return Step { process, may_fail: trouble.of_step(&act), act };
        }
        let short = match self.shape.extent {
            Extent::Pool => "no-huge-page",
            Extent::Areas | Extent::Page | Extent::Folio => "out-of-frames",
        };
        let may_fail = match (&act, self.shape.frames) {
            (
                Act::Fork(_) | Act::Write(..) | Act::Read(_) | Act::Take { .. } | Act::Again { .. },
                Some(_),
            ) => Some(short),
            (Act::Populate(..) | Act::Mlock(_) | Act::Collapse(_), Some(_)) => Some(short),
            (Act::Protect(..) | Act::Unmap(_), Some(_)) => Some(short),
            (Act::Populate(..) | Act::Mlock(_) | Act::Munlock(_), None) => Some("not-mapped"),
            (Act::Write(..) | Act::Read(_) | Act::Again { .. }, None) => Some("no-access"),
            (Act::Protect(..) | Act::ProtectAll(..), None) => Some("not-mapped"),
            (Act::Advise(..) | Act::AdviseAll(..), None) => Some("not-mapped"),
            // A page that somebody refers to.
            (Act::Collapse(_), None) => Some("busy"),
            (Act::Break(_), _) => Some("not-mapped"),
            _ => None,
        };
        Step { process, act, may_fail }
    }

    fn page(&mut self) -> Page {
        let at = self.below(self.areas.len());
        let area = self.areas.get(at).copied().unwrap_or(Area::private(("A", 1)));
        Page { area: area.name, page: self.below(area.pages as usize) as u32 }
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
                let step = self.step(process, make(child));
                // Within lanes a child has no lane of its own, and outside it must be there.
                if !self.in_lanes && (self.shape.lanes > 0 || step.may_fail.is_none()) {
                    self.processes.push(child);
                }
                step
            }
            None => self.write(process),
        }
    }

    fn take(&mut self, process: &'static str) -> Step {
        let pin = ("pin", "unpin", true);
        let get = ("get", "put", false);
        let ((verb, drops, writes), options) = match self.shape.aim {
            _ if self.shape.extent == Extent::Pool => (pin, self.pooled_options()),
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
        let shows = self.areas.iter().find(|area| area.name == page.area).map(|area| area.shows);
        let fitted = match shows.filter(|_| self.shape.files == Files::Made) {
            Some(shows) => self.fitted(shows, options),
            None => Fitted { options, writes },
        };
        let Fitted { options, writes } = fitted;
        self.handles += 1;
        let mut step = self.step(process, Act::Take { verb, page, options, handle: number });
        // What may not exist cannot be used by another step.
        match (self.in_lanes, self.shape.frames) {
            (true, None) if self.trouble.is_none() => step.may_fail = Some("no-access"),
            (true, _) => {}
            (false, _) if self.shape.lanes == 0 && self.trouble.is_some() => {}
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
