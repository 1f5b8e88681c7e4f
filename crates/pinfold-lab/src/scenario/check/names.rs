//! What a scenario declares, and from which point on.

use super::super::ast::{Action, Behind, Name, Pages, Peek, Runner, Scenario, Step};
use super::super::error::{Code, ScenarioError};
use super::super::span::Span;
use std::collections::{HashMap, HashSet};

mod machine;

/// A point of every execution: which part, and which step of that part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Point {
    part: Part,
    step: usize,
}

/// The parts of an execution in order; lanes are not ordered among themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Setup,
    Lane(usize),
    After,
    End,
}

impl Part {
    fn phase(self) -> u8 {
        match self {
            Self::Setup => 0,
            Self::Lane(_) => 1,
            Self::After => 2,
            Self::End => 3,
        }
    }
}

impl Point {
    /// Before `setup`.
    const START: Self = Self { part: Part::Setup, step: 0 };
    /// After everything.
    pub(super) const END: Self = Self { part: Part::End, step: 0 };

    /// The start of a lane.
    pub(super) fn lane(index: usize) -> Self {
        Self { part: Part::Lane(index), step: 0 }
    }

    pub(super) fn in_after(self) -> bool {
        self.part == Part::After
    }

    /// Whether other lanes may run at the same time.
    pub(super) fn in_lanes(self) -> bool {
        self.in_lane().is_some()
    }

    fn in_lane(self) -> Option<usize> {
        match self.part {
            Part::Lane(lane) => Some(lane),
            _ => None,
        }
    }

    /// Whether this comes before `other` in every execution.
    pub(super) fn precedes(self, other: Self) -> bool {
        if self.part == other.part {
            return self.step < other.step;
        }
        self.part.phase() < other.part.phase()
    }

    /// Whether this comes before `other` in some execution.
    pub(super) fn may_precede(self, other: Self) -> bool {
        let concurrent = self.part != other.part && self.part.phase() == other.part.phase();
        concurrent || self.precedes(other)
    }
}

/// Every step with its point and the process that runs it, in the order of the text.
pub(super) fn steps(scenario: &Scenario) -> impl Iterator<Item = (Point, Option<&Name>, &Step)> {
    let lanes = scenario.lanes.iter().enumerate().flat_map(|(index, lane)| {
        let runner = match &lane.runner {
            Runner::Process { name, .. } => Some(name),
            Runner::Device => None,
        };
        part(Part::Lane(index), runner, &lane.steps)
    });
    part(Part::Setup, None, &scenario.setup.steps).chain(lanes).chain(part(
        Part::After,
        None,
        &scenario.after,
    ))
}

fn part<'a>(
    part: Part,
    runner: Option<&'a Name>,
    steps: &'a [Step],
) -> impl Iterator<Item = (Point, Option<&'a Name>, &'a Step)> {
    steps.iter().enumerate().map(move |(index, step)| {
        // Step 0 of a part is what exists before its first step.
        (Point { part, step: index + 1 }, step.process.as_ref().or(runner), step)
    })
}

/// How a handle was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Pin,
    Get,
    Follow,
    /// Remembers frames, and holds nothing that could be released.
    Note,
}

impl Kind {
    pub(super) fn taken_by(self) -> &'static str {
        match self {
            Self::Pin => "pin",
            Self::Get => "get",
            Self::Follow => "follow",
            Self::Note => "note",
        }
    }

    /// The step that releases such a handle, if one does.
    pub(super) fn released_by(self) -> Option<&'static str> {
        match self {
            Self::Pin => Some("unpin"),
            Self::Get => Some("put"),
            Self::Follow => Some("unfollow"),
            Self::Note => None,
        }
    }
}

pub(super) struct Process<'a> {
    pub(super) made: Point,
    pub(super) span: Span,
    parent: Option<&'a str>,
    /// Whether it begins in its parent's address space, and not in a copy.
    shares: bool,
    /// The process whose step forks it, wherever that one is made.
    maker: Option<&'a str>,
    /// Where the text says that it may not come to exist: at its fork, or at that of an ancestor.
    unsure: Option<Span>,
}

pub(super) struct Area<'a> {
    process: &'a str,
    name: &'a str,
    made: Point,
    pub(super) span: Span,
    pub(super) pages: u32,
    kind: AreaKind,
}

/// What an area is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AreaKind {
    /// A mapping.
    Mapped,
    /// The memory below the program break.
    Heap,
}

pub(super) struct Handle<'a> {
    pub(super) made: Point,
    pub(super) span: Span,
    pub(super) kind: Kind,
    /// Unknown when the area is unknown: that is a separate error.
    pub(super) pages: Option<u32>,
    pub(super) released: Option<(Point, Span)>,
    /// The process that makes it.
    maker: Option<&'a str>,
}

pub(super) struct File {
    span: Span,
    /// See [`Scenario::file_pages`].
    pub(super) pages: u32,
    pub(super) behind: Behind,
}

/// The declarations of a scenario. If two have the same name, the first counts.
pub(super) struct Names<'a> {
    processes: HashMap<&'a str, Process<'a>>,
    areas: Vec<Area<'a>>,
    /// Where processes leave their address spaces for empty ones.
    execs: Vec<(&'a str, Point)>,
    handles: HashMap<&'a str, Handle<'a>>,
    registers: HashMap<&'a str, Span>,
    files: HashMap<&'a str, File>,
    groups: HashMap<&'a str, Span>,
    /// See [`Scenario::break_pages`].
    break_pages: u32,
}

/// Which areas are meant.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lives {
    /// Those of the program that the process executes.
    Current,
    /// Those of all that it has executed.
    All,
}

/// The error for a second declaration.
pub(super) fn duplicate(what: &str, name: &Name, first: Span) -> ScenarioError {
    ScenarioError::new(
        Code::DuplicateName,
        name.span,
        format!("the name `{name}` is taken"),
        format!("a second {what} of this name"),
    )
    .related(first, "taken here")
    .help("choose another name")
}

/// The error for a name of the memory below the break, which has one.
fn second_break(name: &Name, first: &Area<'_>) -> ScenarioError {
    ScenarioError::new(
        Code::DuplicateName,
        name.span,
        format!("the memory below the program break is called `{}`", first.name),
        "a second name for it",
    )
    .related(first.span, "named here")
    .help(format!("write `break {}`: a process has one break", first.name))
}

impl<'a> Names<'a> {
    /// The first walk.
    pub(super) fn collect(scenario: &'a Scenario, errors: &mut Vec<ScenarioError>) -> Self {
        let mut cpus: HashMap<&str, Span> = HashMap::new();
        for cpu in &scenario.machine.cpus {
            if let Some(first) = cpus.get(cpu.name.as_str()) {
                errors.push(duplicate("CPU", &cpu.name, *first));
            }
            cpus.entry(&cpu.name).or_insert(cpu.name.span);
        }
        let first = &scenario.setup.process.name;
        let root = Process {
            made: Point::START,
            span: first.span,
            parent: None,
            shares: false,
            maker: None,
            unsure: None,
        };
        let mut names = Self {
            processes: HashMap::from([(first.as_str(), root)]),
            areas: Vec::new(),
            execs: Vec::new(),
            handles: HashMap::new(),
            registers: HashMap::new(),
            files: HashMap::new(),
            groups: HashMap::new(),
            break_pages: scenario.break_pages(),
        };
        for (at, process, step) in steps(scenario) {
            // A release that must fail releases nothing, and so on.
            if step.fails.is_none() {
                names.declare(at, process, step, errors);
            }
        }
        names.pass_on_doubt();
        names.declare_files(scenario, errors);
        names.declare_groups(scenario, errors);
        for (name, handle) in &names.handles {
            // `read X` must have a single meaning.
            if let Some(area) = names.areas.iter().find(|area| area.name == *name) {
                let name = Name::new((*name).to_owned(), handle.span);
                errors.push(duplicate("thing to read and write", &name, area.span));
            }
        }
        names
    }

    fn declare(
        &mut self,
        at: Point,
        process: Option<&'a Name>,
        step: &'a Step,
        errors: &mut Vec<ScenarioError>,
    ) {
        match &step.action {
            Action::Map { area, pages, up_to, .. } => {
                let Some(process) = process else { return };
                // Of an earlier life, too: a name means one area.
                if let Some(first) = self.find_area(process, area, at, Lives::All) {
                    return errors.push(duplicate("area", area, first.span));
                }
                let pages = up_to.unwrap_or(*pages).value;
                self.add_area(process, area, at, pages, AreaKind::Mapped);
            }
            Action::Break { area, .. } => {
                let Some(process) = process else { return };
                match self.find_area(process, area, at, Lives::All) {
                    // Each step after the first is about the same memory.
                    Some(Area { kind: AreaKind::Heap, .. }) => {}
                    Some(first) => errors.push(duplicate("area", area, first.span)),
                    None => match self.heap_anywhere(process, at) {
                        Some(first) => errors.push(second_break(area, first)),
                        None => self.add_area(process, area, at, self.break_pages, AreaKind::Heap),
                    },
                }
            }
            Action::Fork { child } | Action::Clone { child } | Action::Vfork { child } => {
                if let Some(first) = self.processes.get(child.as_str()) {
                    return errors.push(duplicate("process", child, first.span));
                }
                // A parent that is not known yet is an error elsewhere; leaving it out here keeps
                // the family a tree.
                let maker = process.map(|name| name.as_str());
                let parent = maker.filter(|name| self.processes.contains_key(name));
                let unsure = step.may_fail.map(|failure| failure.span);
                let shares = step.action.shares_space_with().is_some();
                let span = child.span;
                let process = Process { made: at, span, parent, shares, maker, unsure };
                self.processes.insert(child, process);
            }
            Action::Exec => self.execs.extend(process.map(|process| (process.as_str(), at))),
            Action::Pin { grab, .. } => {
                let taken = (&grab.pages, &grab.handle);
                self.declare_handle(Kind::Pin, at, process, taken, errors)
            }
            Action::Get { grab, .. } => {
                let taken = (&grab.pages, &grab.handle);
                self.declare_handle(Kind::Get, at, process, taken, errors)
            }
            Action::Follow { pages, handle } => {
                self.declare_handle(Kind::Follow, at, process, (pages, handle), errors)
            }
            Action::Note { pages, handle } => {
                self.declare_handle(Kind::Note, at, process, (pages, handle), errors)
            }
            Action::TryGet { handle, .. } | Action::GetPage { handle, .. } => {
                self.add_handle(Kind::Get, at, (process, handle), Some(1), errors)
            }
            Action::Unpin { handle, .. } | Action::Put { handle } | Action::Unfollow { handle } => {
                if let Some(known) = self.handles.get_mut(handle.as_str()) {
                    known.released.get_or_insert((at, handle.span));
                }
            }
            Action::Read { register, .. }
            | Action::DeviceRead { register, .. }
            | Action::FileRead { register, .. }
            | Action::MovePages { register, .. }
            | Action::VmRead { peek: Peek { register, .. } }
            | Action::PtraceRead { peek: Peek { register, .. } } => {
                let Some(register) = register else { return };
                if let Some(first) = self.registers.get(register.as_str()) {
                    return errors.push(duplicate("register", register, *first));
                }
                self.registers.insert(register, register.span);
            }
            Action::Unmap { .. }
            | Action::Remap { .. }
            | Action::Protect { .. }
            | Action::Advise { .. }
            | Action::Write { .. }
            | Action::DeviceWrite { .. }
            | Action::Exit
            | Action::NumaScan { .. }
            | Action::NumaTick { .. }
            | Action::Migrate { .. }
            | Action::Mbind { .. }
            | Action::Offline { .. }
            | Action::Online { .. }
            | Action::Compact { .. }
            | Action::ClearRefs
            | Action::Pageout { .. }
            | Action::Swapoff
            | Action::Reclaim { .. }
            | Action::LruDrain { .. }
            | Action::Ksm { .. }
            | Action::Writeback { .. }
            | Action::Signal { .. }
            | Action::Await { .. }
            | Action::Populate { .. }
            | Action::Mlock { .. }
            | Action::Munlock { .. }
            | Action::FileWrite { .. }
            | Action::Truncate { .. }
            | Action::Punch { .. }
            | Action::Sync { .. }
            | Action::Join { .. }
            | Action::UffdRegister { .. }
            | Action::UffdUnregister { .. }
            | Action::UffdCopy { .. }
            | Action::UffdZero { .. }
            | Action::UffdContinue { .. }
            | Action::UffdProtect { .. }
            | Action::UffdUnprotect { .. }
            | Action::UffdWait { .. }
            | Action::SplitFolio { .. }
            | Action::SplitDeferred
            | Action::Collapse { .. }
            | Action::MoveCharge { .. }
            | Action::DirectRead { .. }
            | Action::DirectWrite { .. }
            | Action::VmWrite { .. }
            | Action::PtraceWrite { .. } => {}
        }
    }

    fn add_area(
        &mut self,
        process: &'a Name,
        name: &'a Name,
        made: Point,
        pages: u32,
        kind: AreaKind,
    ) {
        let span = name.span;
        self.areas.push(Area { process, name, made, span, pages, kind });
    }

    /// The memory below the program break that a process may have at a point, under any name.
    fn heap_anywhere(&self, process: &str, at: Point) -> Option<&Area<'a>> {
        let heaps = self.areas.iter().filter(|area| area.kind == AreaKind::Heap);
        heaps.into_iter().find(|heap| self.area(process, heap.name, at).is_some())
    }

    fn declare_handle(
        &mut self,
        kind: Kind,
        at: Point,
        process: Option<&'a Name>,
        (taken, name): (&'a Pages, &'a Name),
        errors: &mut Vec<ScenarioError>,
    ) {
        let length = process.and_then(|process| self.area(process, &taken.area, at));
        let pages = length.map(|area| taken.extent.resolve(area.pages).1);
        self.add_handle(kind, at, (process, name), pages, errors);
    }

    fn add_handle(
        &mut self,
        kind: Kind,
        at: Point,
        (process, name): (Option<&'a Name>, &'a Name),
        pages: Option<u32>,
        errors: &mut Vec<ScenarioError>,
    ) {
        if let Some(first) = self.handles.get(name.as_str()) {
            return errors.push(duplicate("handle", name, first.span));
        }
        let span = name.span;
        let maker = process.map(|name| name.as_str());
        let handle = Handle { made: at, span, kind, pages, released: None, maker };
        self.handles.insert(name, handle);
    }

    /// Lets every process know of an ancestor that may not come to exist.
    fn pass_on_doubt(&mut self) {
        let children: Vec<&str> = self.processes.keys().copied().collect();
        let mut settled: HashSet<&str> = HashSet::new();
        for child in children {
            // The ancestors up to one that is settled, or, if the text has no first one, to the
            // first again.
            let mut line = Vec::new();
            let mut next = Some(child);
            while let Some(name) = next.filter(|name| settled.insert(name)) {
                line.push(name);
                next = self.processes.get(name).and_then(|process| process.maker);
            }
            let mut doubt = next.and_then(|name| self.unsure_process(name));
            for name in line.into_iter().rev() {
                if let Some(process) = self.processes.get_mut(name) {
                    doubt = process.unsure.or(doubt);
                    process.unsure = doubt;
                }
            }
        }
    }

    /// Where the text says that a process may not come to exist.
    pub(super) fn unsure_process(&self, name: &str) -> Option<Span> {
        self.processes.get(name)?.unsure
    }

    /// Where the text says that the process that makes a handle may not come to exist.
    pub(super) fn unsure_maker(&self, handle: &str) -> Option<Span> {
        self.unsure_process(self.handles.get(handle)?.maker?)
    }

    pub(super) fn process(&self, name: &str) -> Option<&Process<'a>> {
        self.processes.get(name)
    }

    /// Whether a lane starts, either at once or when other lanes have forked its process and that
    /// process's ancestors.
    pub(super) fn starts(&self, scenario: &Scenario, lane: usize) -> bool {
        let forked_in = |lane: usize| {
            let process = scenario.lanes[lane].process()?;
            self.processes.get(process)?.made.in_lane()
        };
        let mut awaited = Some(lane);
        for _ in &scenario.lanes {
            awaited = awaited.and_then(forked_in);
        }
        awaited.is_none()
    }

    /// The processes that may exist at a point.
    pub(super) fn processes(&self, at: Point) -> Vec<&'a str> {
        sorted(self.processes.iter().filter(|(_, p)| p.made.may_precede(at)).map(|(name, _)| *name))
    }

    /// The area that a process may have by this name at a point: its own, one of another process
    /// in its address space, or an inherited one.
    pub(super) fn area(&self, process: &str, name: &str, at: Point) -> Option<&Area<'a>> {
        self.find_area(process, name, at, Lives::Current)
    }

    fn find_area(&self, process: &str, name: &str, at: Point, lives: Lives) -> Option<&Area<'a>> {
        let (mut process, mut at) = (process, at);
        loop {
            let (home, made, life) = self.home(process, at, lives);
            let own = self.areas.iter().find(|area| {
                let of = self.home(area.process, area.made, lives);
                let same = (of.0, of.2) == (home, life);
                same && area.name == name && area.made.may_precede(at)
            });
            if own.is_some() || life > 0 {
                return own;
            }
            (process, at) = (self.processes.get(home)?.parent?, made);
        }
    }

    /// The address space of a process at a point: the process that made it or began in it, where
    /// that one was made, and how many programs that one had executed before.
    fn home<'n>(&'n self, process: &'n str, at: Point, lives: Lives) -> (&'n str, Point, usize) {
        let (mut process, mut at) = (process, at);
        loop {
            let left = |(who, exec): &&(&str, Point)| *who == process && exec.precedes(at);
            let life = match lives {
                Lives::Current => self.execs.iter().filter(left).count(),
                Lives::All => 0,
            };
            match self.processes.get(process) {
                Some(Process { shares: true, parent: Some(parent), made, .. }) if life == 0 => {
                    (process, at) = (parent, *made);
                }
                Some(found) => return (process, found.made, life),
                None => return (process, at, life),
            }
        }
    }

    /// An area of this name: of this process at another point, or else of another process.
    pub(super) fn area_anywhere(&self, process: &str, name: &str) -> Option<&Area<'a>> {
        let named = || self.areas.iter().filter(|area| area.name == name);
        named().find(|area| area.process == process).or_else(|| named().next())
    }

    /// Whether some process has an area of this name at some point.
    pub(super) fn is_area(&self, name: &str) -> bool {
        self.areas.iter().any(|area| area.name == name)
    }

    /// The areas that a process may have at a point.
    pub(super) fn areas(&self, process: &str, at: Point) -> Vec<&'a str> {
        sorted(
            self.areas
                .iter()
                .map(|area| area.name)
                .filter(|name| self.area(process, name, at).is_some()),
        )
    }

    pub(super) fn handle(&self, name: &str) -> Option<&Handle<'a>> {
        self.handles.get(name)
    }

    /// The handles that may exist at a point.
    pub(super) fn handles(&self, at: Point) -> Vec<&'a str> {
        sorted(self.handles.iter().filter(|(_, h)| h.made.may_precede(at)).map(|(name, _)| *name))
    }

    pub(super) fn has_register(&self, name: &str) -> bool {
        self.registers.contains_key(name)
    }

    pub(super) fn registers(&self) -> Vec<&'a str> {
        sorted(self.registers.keys().copied())
    }
}

/// Messages must not depend on the order of a hash map.
fn sorted<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    names.dedup();
    names
}
