//! Checks that need the whole tree.
//!
//! Two walks in the order of execution (`setup`, the lanes, `after`, the claims): the first
//! collects what each step declares into [`Names`], the second checks every use. A step marked
//! `fails` declares nothing.

mod claims;
mod files;
mod handles;
mod limits;
mod moves;
mod names;
mod waits;

use super::ast::{Action, Extent, Lane, Name, Pages, Place, Runner, Scenario, Step};
use super::error::{Code, ScenarioError};
use super::span::{Span, Spanned};
use super::suggest::{did_you_mean, nearest};
use crate::counted::counted;
use names::{Kind, Names, Point};

/// Every error of a scenario that was read without errors.
pub(super) fn check(scenario: &Scenario) -> Vec<ScenarioError> {
    let mut errors = Vec::new();
    limits::check(scenario, &mut errors);
    let names = Names::collect(scenario, &mut errors);
    let mut checker = Checker { scenario, names: &names, errors };
    checker.machine();
    checker.lanes();
    for (point, process, step) in names::steps(scenario) {
        checker.step(point, process, step);
    }
    checker.claims();
    let mut errors = checker.errors;
    waits::check(scenario, &names, &mut errors);
    errors.sort_by_key(|error| (error.span, error.code));
    errors
}

/// The second walk.
struct Checker<'a> {
    scenario: &'a Scenario,
    names: &'a Names<'a>,
    errors: Vec<ScenarioError>,
}

impl<'a> Checker<'a> {
    fn machine(&mut self) {
        for cpu in &self.scenario.machine.cpus {
            self.node(cpu.node);
        }
        self.cpu(self.scenario.setup.process.cpu.as_ref());
    }

    fn node(&mut self, node: Spanned<u32>) {
        let nodes = self.scenario.machine.nodes();
        if node.value >= nodes {
            let last = nodes.saturating_sub(1);
            let mut error = ScenarioError::new(
                Code::UnknownNode,
                node.span,
                format!("there is no node {node}"),
                format!("the last node is {last}"),
            );
            error = match self.scenario.machine.nodes {
                Some(written) => error.related(written.span, "number of nodes"),
                None => error.help("without `nodes N` in `machine` there is only node 0"),
            };
            self.errors.push(error);
        }
    }

    fn cpu(&mut self, cpu: Option<&Name>) {
        let Some(name) = cpu else { return };
        let known = self.scenario.cpus();
        if known.iter().all(|(cpu, _)| *cpu != name.as_str()) {
            self.errors.push(
                ScenarioError::new(
                    Code::UnknownCpu,
                    name.span,
                    format!("there is no CPU `{name}`"),
                    "unknown CPU",
                )
                .maybe_help(did_you_mean(
                    name,
                    "CPUs",
                    known.iter().map(|(cpu, _)| *cpu),
                )),
            );
        }
    }

    fn lanes(&mut self) {
        for (index, lane) in self.scenario.lanes.iter().enumerate() {
            let before = &self.scenario.lanes[..index];
            if let Some(first) = before.iter().find(|other| other.name == lane.name) {
                self.errors.push(names::duplicate("lane", &lane.name, first.name.span));
            }
            if let Runner::Process { name, cpu } = &lane.runner {
                self.cpu(cpu.as_ref());
                self.lane_process(name, index);
            }
        }
    }

    fn lane_process(&mut self, name: &'a Name, lane: usize) {
        match self.names.process(name) {
            Some(process) if process.made.in_after() => self.errors.push(
                ScenarioError::new(
                    Code::Misplaced,
                    name.span,
                    format!("`{name}` does not exist yet while the lanes run"),
                    "forked too late for a lane",
                )
                .related(process.span, "forked here")
                .help("fork it in `setup`, or in another lane"),
            ),
            Some(process) if !self.names.starts(self.scenario, lane) => self.errors.push(
                ScenarioError::new(
                    Code::Misplaced,
                    name.span,
                    format!("this lane never starts: it waits for the fork of `{name}`"),
                    "waits for itself",
                )
                .related(process.span, "forked here, in a lane that waits for this one")
                .help("fork it in `setup`, or in a lane that can start before"),
            ),
            Some(_) => {}
            None => self.unknown_process(name, Point::lane(lane)),
        }
    }

    fn unknown_process(&mut self, name: &Name, at: Point) {
        self.errors.push(
            ScenarioError::new(
                Code::UnknownProcess,
                name.span,
                format!("there is no process `{name}` here"),
                "unknown process",
            )
            .maybe_help(did_you_mean(name, "processes", self.names.processes(at))),
        );
    }

    fn step(&mut self, at: Point, runner: Option<&'a Name>, step: &'a Step) {
        if let Some(name) = &step.process
            && !self.names.process(name).is_some_and(|process| process.made.precedes(at))
        {
            // Any other error on the line would only repeat that the process is unknown.
            return self.unknown_process(name, at);
        }
        if let Some(name) = &step.process {
            self.sure_process(name);
        }
        let process = runner.filter(|name| self.names.process(name).is_some());
        match &step.action {
            Action::Map { of, .. } => {
                if let Some(shown) = of {
                    self.file(&shown.file);
                }
            }
            Action::FileWrite { to: place, .. } | Action::FileRead { from: place, .. } => {
                self.file_place(place, Some(step));
            }
            Action::Truncate { file, words, .. } => self.truncate(file, *words),
            Action::Punch { pages } => self.punch(pages),
            Action::Sync { file } => {
                self.file(file);
            }
            Action::Join { group } => self.group(group),
            Action::MoveCharge { pages, from, to } => {
                self.pages(at, process, pages);
                [from, to].into_iter().for_each(|group| self.group(group));
            }
            Action::DirectRead { to: memory, from: file }
            | Action::DirectWrite { from: memory, to: file } => {
                self.direct(at, process, (memory, file));
            }
            Action::VmRead { peek } | Action::PtraceRead { peek } => {
                if let Some(of) = self.accessed(at, &peek.process) {
                    self.area_place(at, Some(of), &peek.from);
                }
            }
            Action::VmWrite { poke } | Action::PtraceWrite { poke } => {
                if let Some(of) = self.accessed(at, &poke.process) {
                    self.part(at, Some(of), &poke.to);
                }
            }
            Action::Break { .. } | Action::Fork { .. } | Action::Clone { .. } | Action::Exit => {}
            Action::Vfork { child } if !at.in_lanes() => self.vfork_alone(child),
            Action::Vfork { .. } => {}
            Action::Exec => self.exec(at, process, step),
            Action::Unmap { pages }
            | Action::Writeback { pages }
            | Action::Protect { pages, .. }
            | Action::Advise { pages, .. }
            | Action::Populate { pages, .. }
            | Action::Pageout { pages }
            | Action::Mlock { pages }
            | Action::Munlock { pages }
            | Action::UffdRegister { pages, .. }
            | Action::UffdUnregister { pages }
            | Action::UffdProtect { pages }
            | Action::UffdUnprotect { pages } => self.pages(at, process, pages),
            Action::UffdWait { at: place, .. } => {
                self.access(at, process, place);
                if !at.in_lanes() {
                    self.wait_alone(step);
                }
            }
            Action::Remap { area, at: to } => {
                let length = self.area(at, process, area);
                self.errors.extend(length.and_then(|pages| limits::address(*to, pages)));
            }
            Action::SplitFolio { at: place } => {
                self.access(at, process, place);
                self.whole_page(place, "`split-folio`");
            }
            Action::Collapse { at: place } => {
                self.access(at, process, place);
                self.whole_page(place, "`collapse`");
            }
            Action::SplitDeferred
            | Action::Swapoff
            | Action::ClearRefs
            | Action::NumaTick { .. }
            | Action::LruDrain { .. }
            | Action::Ksm { .. } => {}
            Action::Reclaim { node, .. } => self.node(*node),
            Action::Offline { node, what } | Action::Online { node, what } => {
                self.node(*node);
                self.has_memory(*node, *what);
            }
            Action::Note { pages, .. } => self.pages(at, process, pages),
            Action::TryGet { frame, .. } => self.noted(at, frame),
            Action::GetPage { held, .. } => self.referred_to(at, held),
            Action::NumaScan { pages } => {
                if let Some(pages) = pages {
                    self.pages(at, process, pages);
                }
            }
            Action::Migrate { pages, node, .. }
            | Action::Compact { pages, node, .. }
            | Action::Mbind { pages, node, .. } => {
                self.pages(at, process, pages);
                self.node(*node);
            }
            Action::MovePages { pages, node, expect, register, .. } => {
                self.pages(at, process, pages);
                self.node(*node);
                self.statuses((at, process), pages, (expect, register.as_ref()));
            }
            Action::Pin { grab, .. } | Action::Get { grab, .. } => {
                self.pages(at, process, &grab.pages);
            }
            Action::Write { to: place, .. }
            | Action::Read { from: place, .. }
            | Action::UffdCopy { to: place, .. }
            | Action::UffdZero { at: place }
            | Action::UffdContinue { at: place, .. } => {
                self.access(at, process, place);
            }
            Action::DeviceWrite { to: place, .. } | Action::DeviceRead { from: place, .. } => {
                self.handle_place(at, place);
                self.holds_pages(place);
            }
            Action::Unpin { handle, .. } => self.release(at, step, handle, Kind::Pin),
            Action::Put { handle } => self.release(at, step, handle, Kind::Get),
            Action::Follow { pages, .. } => self.pages(at, process, pages),
            Action::Unfollow { handle } => self.release(at, step, handle, Kind::Follow),
            // `waits` checks these.
            Action::Signal { .. } | Action::Await { .. } => {}
        }
    }

    /// The process whose memory a step of another one reads or writes, which must be sure to be
    /// made by then.
    fn accessed(&mut self, at: Point, name: &'a Name) -> Option<&'a Name> {
        if !self.names.process(name).is_some_and(|process| process.made.precedes(at)) {
            self.unknown_process(name, at);
            return None;
        }
        self.sure_process(name);
        Some(name)
    }

    /// `vfork` where nothing else runs: nobody could let its parent go on.
    fn vfork_alone(&mut self, child: &Name) {
        let what = "its process sleeps until the child has executed or ended";
        self.errors.push(
            ScenarioError::new(Code::Misplaced, child.span, "`vfork` has no meaning here", what)
                .help("only lanes wait: write it in one, and give the child another"),
        );
    }

    /// `uffd-wait` where nothing else runs: no access could come.
    fn wait_alone(&mut self, step: &Step) {
        let (span, what) = (step.span.0, "nothing else runs, so no access comes");
        self.errors.push(
            ScenarioError::new(Code::Misplaced, span, "`uffd-wait` has no meaning here", what)
                .help("only lanes wait: write it in the lane of the monitor"),
        );
    }

    /// `exec` ends the other threads of its process, which could be anywhere.
    fn exec(&mut self, at: Point, process: Option<&'a Name>, step: &'a Step) {
        let of = |lane: &&Lane| process.is_some_and(|name| lane.process() == Some(name.as_str()));
        let mut lanes = self.scenario.lanes.iter().filter(of);
        if !at.in_lanes() {
            return;
        }
        if let (Some(first), Some(second)) = (lanes.next(), lanes.next()) {
            let own = [first, second].into_iter().find(|lane| !lane.steps.contains(step));
            self.errors.push(
                ScenarioError::new(
                    Code::Misplaced,
                    step.span.0,
                    "`exec` would end another lane of its process",
                    "not the only lane",
                )
                .related(own.unwrap_or(first).name.span, "another lane of it")
                .help(
                    "a process that executes has one lane; `clone` makes a process for the other",
                ),
            );
        }
    }

    /// A step outside lanes cannot be that of a process that may not exist. Its lanes can: they
    /// start only if it does.
    fn sure_process(&mut self, name: &Name) {
        if let Some(unsure) = self.names.unsure_process(name) {
            self.errors.push(
                ScenarioError::new(
                    Code::UnknownProcess,
                    name.span,
                    format!("there may be no process `{name}` here"),
                    "needs a process that there is for sure",
                )
                .related(unsure, "may fail, and then it is not made")
                .help(format!("give `{name}` a lane: it starts if the fork works")),
            );
        }
    }

    /// The length of an area, or an error.
    fn area(&mut self, at: Point, process: Option<&'a Name>, area: &'a Name) -> Option<u32> {
        let process = process?;
        if let Some(found) = self.names.area(process, area, at) {
            return Some(found.pages);
        }
        let mut error = ScenarioError::new(
            Code::UnknownArea,
            area.span,
            format!("`{process}` has no area `{area}` here"),
            "unknown area",
        );
        if let Some(elsewhere) = self.names.area_anywhere(process, area) {
            error = error.related(elsewhere.span, "an area of this name is mapped here");
            error.help = Some(format!(
                "`{process}` has it only if it maps it, or inherits it by fork, before this point"
            ));
        } else if self.names.file(area).is_some() {
            error.help = Some(format!(
                "`{area}` is a file; an area shows it: `{process}: map A 1 shared rw of {area}`"
            ));
        } else if self.names.handle(area).is_some() {
            error.help = Some(format!("`{area}` is a handle, and this needs an area"));
        } else {
            error.help = did_you_mean(area, "areas here", self.names.areas(process, at))
                .or_else(|| Some(format!("map it: `{process}: map {area} 1 private rw`")));
        }
        self.errors.push(error);
        None
    }

    fn pages(&mut self, at: Point, process: Option<&'a Name>, pages: &'a Pages) {
        if let Extent::Range { start, end } = pages.extent
            && start.value >= end.value
        {
            self.errors.push(empty_range(start.span.to(end.span)));
            return;
        }
        let Some(length) = self.area(at, process, &pages.area) else { return };
        match pages.extent {
            Extent::Range { end, .. } if end.value > length => {
                let what = format!("a range up to {end}");
                self.outside(&pages.area, end.span, &what, length, "area");
            }
            Extent::One(page) if page.value >= length => {
                self.outside(&pages.area, page.span, &format!("page {page}"), length, "area");
            }
            _ => {}
        }
    }

    /// `read` or `write` of a name that is not a handle: an area, or a misspelt handle.
    fn access(&mut self, at: Point, process: Option<&'a Name>, place: &'a Place) {
        let handles = self.names.handles(at);
        let area = process.and_then(|process| self.names.area(process, &place.name, at));
        match nearest(&place.name, handles.iter().copied()) {
            Some(near) if process.is_some() && area.is_none() => self.errors.push(
                ScenarioError::new(
                    Code::UnknownHandle,
                    place.name.span,
                    format!("`{}` is neither an area nor a handle here", place.name),
                    "unknown name",
                )
                .help(format!("did you mean the handle `{near}`?")),
            ),
            _ => self.area_place(at, process, place),
        }
    }

    fn area_place(&mut self, at: Point, process: Option<&'a Name>, place: &'a Place) {
        if let Some(length) = self.area(at, process, &place.name) {
            self.one_page(place, length, "area");
        }
    }

    /// A page, and no word of it.
    fn whole_page(&mut self, place: &Place, what: &str) {
        if let Some(word) = place.word {
            self.errors.push(
                ScenarioError::new(
                    Code::Unexpected,
                    word.span,
                    format!("{what} is about pages, not words"),
                    "a word of a page",
                )
                .help("leave the word number out"),
            );
        }
    }

    /// `what` has `length` pages and `place` must mean one of them.
    fn one_page(&mut self, place: &Place, length: u32, what: &str) {
        match place.page {
            Some(page) if page.value >= length => {
                self.outside(&place.name, page.span, &format!("page {page}"), length, what);
            }
            None if length > 1 => self.errors.push(
                ScenarioError::new(
                    Code::AmbiguousPage,
                    place.span.0,
                    format!("the {what} `{}` has {}", place.name, counted(length, "page", "pages")),
                    "which of them?",
                )
                .help(format!("name the page, as in `{}[0]`", place.name)),
            ),
            _ => {}
        }
        let words = self.scenario.machine.words();
        if let Some(word) = place.word
            && word.value >= words
        {
            self.errors.push(
                ScenarioError::new(
                    Code::OutsidePage,
                    word.span,
                    format!("a page has no word {word}"),
                    format!("the last word is {}", words.saturating_sub(1)),
                )
                .help("`words N` in `machine` says how many words a page has"),
            );
        }
    }

    fn outside(&mut self, name: &Name, span: Span, reference: &str, length: u32, what: &str) {
        let pages = counted(length, "page", "pages");
        self.errors.push(
            ScenarioError::new(
                Code::OutsideArea,
                span,
                format!("{reference} lies outside the {what} `{name}`"),
                format!("`{name}` has {pages}"),
            )
            .help("pages are counted from 0"),
        );
    }
}

fn empty_range(at: Span) -> ScenarioError {
    ScenarioError::new(Code::EmptyRange, at, "the range has no pages", "empty")
        .help("`A[0..2]` is page 0 and page 1: the end is not part of the range")
}

/// Errors for `reach` lines that name no event known to the machine.
pub(super) fn check_events(scenario: &Scenario, known: &[&str]) -> Vec<ScenarioError> {
    let unknown = scenario.reach.iter().filter(|reach| !known.contains(&reach.event.as_str()));
    unknown
        .map(|reach| {
            ScenarioError::new(
                Code::UnknownEvent,
                reach.event.span,
                format!("`{}` is not an event of the machine", reach.event),
                "unknown event",
            )
            .maybe_help(did_you_mean(&reach.event, "events", known.iter().copied()))
        })
        .collect()
}
