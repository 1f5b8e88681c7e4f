//! How names become numbers.

mod remote;

use super::listed::{alone, file, lengths_of_files, reached, reads, steps, taken};
use super::{
    Act, Action, Atom, Look, Pages, Part, Remote, Resolved, ResolvedClaim, ResolvedFile,
    ResolvedHandle, ResolvedLane, ResolvedOutcome, ResolvedProcess, ResolvedStep, Runner, Scenario,
    Seen, Shown, Spot, Stated, Statuses, Step, Take, UffdAct, Unresolved, View, Waits, Words,
    scenario,
};
use crate::scenario::{Fact, Grab, Made, Name, Spanned, Status};

/// The names of a scenario, each at its number.
struct Names {
    processes: Vec<ResolvedProcess>,
    areas: Vec<String>,
    /// The process and the area of each `map`, and how many pages it has.
    lengths: Vec<(usize, usize, u32)>,
    handles: Vec<ResolvedHandle>,
    files: Vec<ResolvedFile>,
    groups: Vec<String>,
    signals: Vec<String>,
    registers: Vec<String>,
    words: Words,
    /// See [`Scenario::file_pages`].
    lengths_of_files: Vec<u32>,
    /// See [`Scenario::break_pages`].
    break_pages: u32,
    /// What claims and outcomes state, in the order of the text.
    atoms: Vec<Atom>,
}

/// The place of a name in a list of them; it is added if it is new.
fn number(names: &mut Vec<String>, name: &Name) -> usize {
    names.iter().position(|known| *known == name.value).unwrap_or_else(|| {
        names.push(name.value.clone());
        names.len() - 1
    })
}

fn nothing<T>(kind: &'static str, name: &str) -> Result<T, Unresolved> {
    Err(Unresolved { kind, name: name.to_owned() })
}

impl Resolved {
    /// Resolves the names of a scenario that [`parse`](crate::scenario::parse()) returned.
    ///
    /// # Errors
    /// When a name means nothing, which a scenario from elsewhere may contain.
    pub fn of(scenario: &Scenario) -> Result<Self, Unresolved> {
        Names::of(scenario).resolve(scenario)
    }
}

impl Names {
    /// Collects them.
    fn of(scenario: &Scenario) -> Self {
        let first = ResolvedProcess {
            name: scenario.setup.process.name.value.clone(),
            parent: None,
            cpu: scenario.cpu_index(scenario.setup.process.cpu.as_ref()).unwrap_or(0),
            shares: false,
        };
        let mut names = Self {
            processes: vec![first],
            areas: Vec::new(),
            lengths: Vec::new(),
            handles: Vec::new(),
            files: scenario.machine.files.iter().map(file).collect(),
            groups: scenario.machine.groups.iter().map(|made| made.name.value.clone()).collect(),
            signals: Vec::new(),
            registers: Vec::new(),
            words: Words::of(scenario),
            lengths_of_files: lengths_of_files(scenario),
            break_pages: scenario.break_pages(),
            atoms: Vec::new(),
        };
        // A lane of a child may be written above the lane that forks it.
        names.add_processes(scenario);
        for (process, step) in steps(scenario) {
            names.add(process, step);
        }
        names.add_taken(scenario);
        names.add_atoms(scenario);
        names
    }

    fn add_processes(&mut self, scenario: &Scenario) {
        let made = |(process, step): (Option<&'_ str>, &'_ Step)| {
            let shares = step.action.shares_space_with().is_some();
            Some((process?.to_owned(), step.action.makes_process()?.value.clone(), shares))
        };
        let mut left: Vec<(String, String, bool)> = steps(scenario).filter_map(made).collect();
        while !left.is_empty() {
            let before = left.len();
            left.retain(|(parent, child, shares)| match self.process(parent) {
                Ok(parent) => {
                    let cpu = self.processes[parent].cpu;
                    let (name, shares) = (child.clone(), *shares);
                    let parent = Some(parent);
                    self.processes.push(ResolvedProcess { name, parent, cpu, shares });
                    false
                }
                Err(_) => true,
            });
            if left.len() == before {
                return;
            }
        }
    }

    fn add(&mut self, process: Option<&str>, step: &Step) {
        match (&step.action, step.action.makes()) {
            (Action::Map { area, pages, up_to, .. }, _) => {
                self.add_area(process, area, up_to.unwrap_or(*pages).value);
            }
            (Action::Break { area, .. }, _) => self.add_area(process, area, self.break_pages),
            (Action::Pin { grab, .. } | Action::Get { grab, .. }, _) => {
                self.add_handle(process, &grab.pages, &grab.handle);
            }
            (Action::Follow { pages, handle } | Action::Note { pages, handle }, _) => {
                self.add_handle(process, pages, handle);
            }
            (Action::Signal { signal }, _) => {
                number(&mut self.signals, signal);
            }
            (_, Some(Made::Register(register))) => {
                number(&mut self.registers, register);
            }
            _ => {}
        }
    }

    fn add_area(&mut self, process: Option<&str>, name: &Name, pages: u32) {
        let area = number(&mut self.areas, name);
        if let Some(Ok(process)) = process.map(|name| self.process(name)) {
            self.lengths.push((self.home(process), area, pages));
        }
    }

    /// The handles of one page that are made from others, each behind the one it is made from: a
    /// lane may make that one that is written below.
    fn add_taken(&mut self, scenario: &Scenario) {
        let mut left: Vec<(&Name, &Name)> = steps(scenario).filter_map(taken).collect();
        while !left.is_empty() {
            let before = left.len();
            left.retain(|(of, name)| match self.handle(of) {
                Ok(of) => {
                    let process = self.handles[of].process;
                    self.handles.push(ResolvedHandle {
                        name: name.value.clone(),
                        process,
                        pages: 1,
                    });
                    false
                }
                Err(_) => true,
            });
            if left.len() == before {
                return;
            }
        }
    }

    fn add_handle(&mut self, process: Option<&str>, pages: &scenario::Pages, name: &Name) {
        if let Some(Ok(process)) = process.map(|name| self.process(name)) {
            let pages = self.pages(process, pages).map_or(0, |pages| pages.count);
            self.handles.push(ResolvedHandle { name: name.value.clone(), process, pages });
        }
    }

    /// INV-RESOLVED-2.
    fn add_atoms(&mut self, scenario: &Scenario) {
        for fact in scenario.facts() {
            if !self.atoms.contains(&fact.atom) {
                self.atoms.push(fact.atom.clone());
            }
        }
        self.atoms.sort_by_key(reads);
    }

    fn process(&self, name: &str) -> Result<usize, Unresolved> {
        let found = self.processes.iter().position(|process| process.name == name);
        found.map_or_else(|| nothing("process", name), Ok)
    }

    fn handle(&self, name: &Name) -> Result<usize, Unresolved> {
        let found = self.handles.iter().position(|handle| handle.name == name.value);
        found.map_or_else(|| nothing("handle", &name.value), Ok)
    }

    fn file(&self, name: &Name) -> Result<usize, Unresolved> {
        let found = self.files.iter().position(|file| file.name == name.value);
        found.map_or_else(|| nothing("file", &name.value), Ok)
    }

    fn group(&self, name: &Name) -> Result<usize, Unresolved> {
        let found = self.groups.iter().position(|group| *group == name.value);
        found.map_or_else(|| nothing("group", &name.value), Ok)
    }

    /// A spot of a file, which may lie past its end.
    fn in_file(&self, place: &scenario::Place) -> Result<Spot, Unresolved> {
        let of = self.file(&place.name)?;
        Ok(Spot { of, page: place.page(), word: place.word() })
    }

    fn signal(&self, name: &Name) -> Result<usize, Unresolved> {
        let found = self.signals.iter().position(|signal| *signal == name.value);
        found.map_or_else(|| nothing("signal", &name.value), Ok)
    }

    fn register(&self, name: &Name) -> Result<usize, Unresolved> {
        let found = self.registers.iter().position(|register| *register == name.value);
        found.map_or_else(|| nothing("register", &name.value), Ok)
    }

    /// The process in whose address space this one begins.
    fn home(&self, process: usize) -> usize {
        let process_at = &self.processes[process];
        match (process_at.shares, process_at.parent) {
            (true, Some(parent)) => self.home(parent),
            _ => process,
        }
    }

    /// An area that the process or an ancestor maps, and its pages.
    fn area(&self, process: usize, name: &str) -> Result<(usize, u32), Unresolved> {
        let area = self.areas.iter().position(|area| area == name);
        let Some(area) = area else { return nothing("area", name) };
        let mut owner = Some(process);
        while let Some(at) = owner.map(|process| self.home(process)) {
            let of = |length: &&(usize, usize, u32)| (length.0, length.1) == (at, area);
            if let Some(&(.., pages)) = self.lengths.iter().find(of) {
                return Ok((area, pages));
            }
            owner = self.processes[at].parent;
        }
        nothing("area", name)
    }

    fn pages(&self, process: usize, pages: &scenario::Pages) -> Result<Pages, Unresolved> {
        let (area, length) = self.area(process, &pages.area.value)?;
        let (first, count) = pages.extent.resolve(length);
        let inside = first.checked_add(count).is_some_and(|end| end <= length);
        match inside {
            true => Ok(Pages { area, first, count }),
            false => nothing("page", &pages.area.value),
        }
    }

    /// Pages of a file that it may come to have.
    fn file_pages(&self, pages: &scenario::Pages) -> Result<Pages, Unresolved> {
        let area = self.file(&pages.area)?;
        let (first, count) = pages.extent.resolve(self.lengths_of_files[area]);
        Ok(Pages { area, first, count })
    }

    /// Memory that direct I/O moves.
    fn in_memory(&self, process: usize, part: &scenario::Part) -> Result<Part, Unresolved> {
        let pages = match part {
            scenario::Part::Pages(pages) => self.pages(process, pages)?,
            scenario::Part::Word(place) => {
                let Spot { of: area, page: first, .. } = self.spot(process, place)?;
                Pages { area, first, count: 1 }
            }
        };
        Ok(Part { pages, word: part.word() })
    }

    /// What direct I/O moves of a file.
    fn part_of_file(&self, part: &scenario::Part) -> Result<Part, Unresolved> {
        let area = self.file(part.name())?;
        let (first, count) = part.resolve(self.lengths_of_files[area]);
        Ok(Part { pages: Pages { area, first, count }, word: part.word() })
    }

    fn spot(&self, process: usize, place: &scenario::Place) -> Result<Spot, Unresolved> {
        let (of, length) = self.area(process, &place.name.value)?;
        match place.page() < length {
            true => Ok(Spot { of, page: place.page(), word: place.word() }),
            false => nothing("page", &place.name.value),
        }
    }

    fn held(&self, place: &scenario::Place) -> Result<Spot, Unresolved> {
        let of = self.handle(&place.name)?;
        match place.page() < self.handles[of].pages {
            true => Ok(Spot { of, page: place.page(), word: place.word() }),
            false => nothing("page", &place.name.value),
        }
    }

    fn word(&self, text: &str) -> Result<u64, Unresolved> {
        self.words.find(text).map_or_else(|| nothing("word", text), Ok)
    }

    fn take(
        &self,
        process: usize,
        grab: &Grab,
        times: Option<Spanned<u32>>,
    ) -> Result<Take, Unresolved> {
        Ok(Take {
            pages: self.pages(process, &grab.pages)?,
            access: grab.access.value,
            force: grab.force,
            path: grab.path,
            times: times.map_or(1, |times| times.value),
            handle: self.handle(&grab.handle)?,
        })
    }

    /// What a step does; `process` is meant for those that need one.
    fn act(&self, process: Option<usize>, action: &Action) -> Result<Act, Unresolved> {
        let own = || process.map_or_else(|| nothing("process", action.verb().as_str()), Ok);
        let expect = |word: &Option<scenario::Text>| {
            word.as_ref().map(|word| self.word(&word.value)).transpose()
        };
        let kept =
            |register: &Option<Name>| register.as_ref().map(|name| self.register(name)).transpose();
        Ok(match action {
            Action::Map { area, pages, sharing, protection, of, up_to, at, occupied } => Act::Map {
                area: self.area(own()?, &area.value)?.0,
                pages: pages.value,
                room: up_to.unwrap_or(*pages).value,
                sharing: sharing.value,
                protection: protection.value,
                of: match of {
                    Some(shown) => {
                        Some(Shown { file: self.file(&shown.file)?, from: shown.from() })
                    }
                    None => None,
                },
                at: at.map(|at| at.value),
                occupied: *occupied,
            },
            Action::Remap { area, at } => {
                let (area, count) = self.area(own()?, &area.value)?;
                Act::Remap(super::Pages { area, first: 0, count }, at.value)
            }
            Action::Break { area, pages } => {
                let (area, count) = self.area(own()?, &area.value)?;
                Act::Break(super::Pages { area, first: 0, count }, pages.value)
            }
            Action::Writeback { pages } => Act::Writeback(self.pages(own()?, pages)?),
            Action::Follow { pages, handle } => {
                Act::Follow(self.pages(own()?, pages)?, self.handle(handle)?)
            }
            Action::Unfollow { handle } => Act::Unfollow(self.handle(handle)?),
            Action::Unmap { pages } => Act::Unmap(self.pages(own()?, pages)?),
            Action::Protect { pages, protection } => {
                Act::Protect(self.pages(own()?, pages)?, protection.value)
            }
            Action::Advise { pages, advice } => {
                Act::Advise(self.pages(own()?, pages)?, advice.value)
            }
            Action::Write { to, word } => {
                Act::Store(self.spot(own()?, to)?, self.word(&word.value)?)
            }
            Action::Read { from, expect: word, register } => Act::Load {
                from: self.spot(own()?, from)?,
                expect: expect(word)?,
                register: kept(register)?,
            },
            Action::DeviceWrite { to, word } => {
                Act::DeviceStore(self.held(to)?, self.word(&word.value)?)
            }
            Action::DeviceRead { from, expect: word, register } => Act::DeviceLoad {
                from: self.held(from)?,
                expect: expect(word)?,
                register: kept(register)?,
            },
            Action::Pin { grab, duration, times } => {
                Act::Pin(self.take(own()?, grab, *times)?, *duration)
            }
            Action::Get { grab, times } => Act::Get(self.take(own()?, grab, *times)?),
            Action::Unpin { handle, dirty } => Act::Unpin(self.handle(handle)?, *dirty),
            Action::Put { handle } => Act::Put(self.handle(handle)?),
            Action::Fork { child } => Act::Fork(self.process(&child.value)?),
            Action::Exit => Act::Exit,
            Action::NumaScan { pages } => Act::NumaScan(match pages {
                Some(pages) => Some(self.pages(own()?, pages)?),
                None => None,
            }),
            Action::NumaTick { .. } => Act::NumaTick,
            Action::Migrate { pages, node, waits } => {
                let waits = waits.map_or(Waits::Sync, |waits| waits.value);
                Act::Migrate(self.pages(own()?, pages)?, node.value, waits)
            }
            Action::MovePages { pages, node, whose, expect, register } => {
                let pages = self.pages(own()?, pages)?;
                let each: Vec<Status> = expect.iter().map(|one| one.value).collect();
                let expect = Statuses::expected(&each, pages.count);
                let register = kept(register)?;
                Act::MovePages { pages, node: node.value, whose: *whose, expect, register }
            }
            Action::Mbind { pages, node, whose, strict } => {
                Act::Mbind(self.pages(own()?, pages)?, node.value, *whose, *strict)
            }
            Action::Offline { node, .. } | Action::Online { node, .. } => Act::Plug(node.value),
            Action::Compact { pages, node, .. } => {
                Act::Compact(self.pages(own()?, pages)?, node.value)
            }
            Action::Signal { signal } => Act::Signal(self.signal(signal)?),
            Action::Await { signal } => Act::Await(self.signal(signal)?),
            Action::Populate { pages, access } => {
                Act::Populate(self.pages(own()?, pages)?, access.value)
            }
            Action::Clone { child } => Act::Clone(self.process(&child.value)?),
            Action::Vfork { child } => Act::Vfork(self.process(&child.value)?),
            Action::Exec => Act::Exec,
            Action::Mlock { pages } => Act::Mlock(self.pages(own()?, pages)?),
            Action::Munlock { pages } => Act::Munlock(self.pages(own()?, pages)?),
            Action::FileWrite { to, word } => {
                Act::FileStore(self.in_file(to)?, self.word(&word.value)?)
            }
            Action::FileRead { from, expect: word, register } => Act::FileLoad {
                from: self.in_file(from)?,
                expect: expect(word)?,
                register: kept(register)?,
            },
            Action::Truncate { file, pages, words } => Act::Truncate {
                file: self.file(file)?,
                pages: pages.value,
                words: words.map_or(0, |words| words.value),
            },
            Action::Punch { pages } => Act::Punch(self.file_pages(pages)?),
            Action::Sync { file } => Act::Sync(self.file(file)?),
            Action::Join { group } => Act::Join(self.group(group)?),
            Action::MoveCharge { pages, from, to } => Act::MoveCharge {
                pages: self.pages(own()?, pages)?,
                from: self.group(from)?,
                to: self.group(to)?,
            },
            Action::VmRead { peek } => self.remote_load(Remote::ProcessVm, peek)?,
            Action::VmWrite { poke } => self.remote_store(Remote::ProcessVm, poke)?,
            Action::PtraceRead { peek } => self.remote_load(Remote::Ptrace, peek)?,
            Action::PtraceWrite { poke } => self.remote_store(Remote::Ptrace, poke)?,
            Action::DirectRead { to, from } => {
                Act::DirectRead(self.in_memory(own()?, to)?, self.part_of_file(from)?)
            }
            Action::DirectWrite { from, to } => {
                Act::DirectWrite(self.in_memory(own()?, from)?, self.part_of_file(to)?)
            }
            Action::UffdRegister { pages, modes } => {
                let bits = super::uffd_mode(modes.iter().map(|mode| mode.value)).bits();
                Act::Uffd(UffdAct::Register(self.pages(own()?, pages)?, bits))
            }
            Action::UffdUnregister { pages } => {
                Act::Uffd(UffdAct::Unregister(self.pages(own()?, pages)?))
            }
            Action::UffdCopy { to, word, wp } => {
                let spot = self.spot(own()?, to)?;
                Act::Uffd(UffdAct::Copy(spot, self.word(&word.value)?, *wp))
            }
            Action::UffdZero { at } => Act::Uffd(UffdAct::Zero(self.spot(own()?, at)?)),
            Action::UffdContinue { at, wp } => {
                Act::Uffd(UffdAct::Continue(self.spot(own()?, at)?, *wp))
            }
            Action::UffdProtect { pages } => {
                Act::Uffd(UffdAct::Protect(self.pages(own()?, pages)?))
            }
            Action::UffdUnprotect { pages } => {
                Act::Uffd(UffdAct::Unprotect(self.pages(own()?, pages)?))
            }
            Action::SplitFolio { at } => Act::SplitFolio(self.spot(own()?, at)?),
            Action::ClearRefs => Act::ClearRefs,
            Action::Pageout { pages } => Act::Pageout(self.pages(own()?, pages)?),
            Action::Swapoff => Act::Swapoff,
            Action::Reclaim { node, goal } => Act::Reclaim(node.value, goal.value),
            Action::LruDrain { of } => Act::LruDrain(*of),
            Action::Ksm { pages } => Act::Ksm(pages.map(|pages| pages.value)),
            Action::SplitDeferred => Act::SplitDeferred,
            Action::Collapse { at } => Act::Collapse(self.spot(own()?, at)?),
            Action::Note { pages, handle } => {
                Act::Note(self.pages(own()?, pages)?, self.handle(handle)?)
            }
            Action::TryGet { frame, handle } => {
                Act::TryGet(self.held(frame)?, self.handle(handle)?)
            }
            Action::GetPage { held, handle } => {
                Act::GetPage(self.held(held)?, self.handle(handle)?)
            }
            Action::UffdWait { at, reason } => {
                Act::Uffd(UffdAct::Wait(self.spot(own()?, at)?, reason.value))
            }
        })
    }

    fn step(&self, process: Option<&str>, step: &Step) -> Result<ResolvedStep, Unresolved> {
        let process = process.map(|name| self.process(name)).transpose()?;
        Ok(ResolvedStep {
            text: step.to_string(),
            process,
            act: self.act(process, &step.action)?,
            fails: step.fails.map(|failure| failure.value),
            may_fail: step.may_fail.map(|failure| failure.value),
        })
    }

    fn alone(&self, steps: &[Step]) -> Result<Vec<ResolvedStep>, Unresolved> {
        let steps = steps.iter().map(alone);
        steps.map(|(process, step)| self.step(process, step)).collect()
    }

    fn lane(&self, scenario: &Scenario, lane: &scenario::Lane) -> Result<ResolvedLane, Unresolved> {
        let cpu = match &lane.runner {
            Runner::Process { cpu, .. } => scenario.cpu_index(cpu.as_ref()).unwrap_or(0),
            Runner::Device => 0,
        };
        let steps = lane.steps.iter().map(|step| self.step(lane.process(), step));
        Ok(ResolvedLane {
            name: lane.name.value.clone(),
            process: lane.process().map(|name| self.process(name)).transpose()?,
            cpu,
            after: match &lane.after {
                None => None,
                Some(other) => {
                    let mut lanes = scenario.lanes.iter();
                    let found = lanes.position(|lane| lane.name.value == other.value);
                    Some(found.map_or_else(|| nothing("lane", &other.value), Ok)?)
                }
            },
            late: scenario.starts_late(lane),
            steps: steps.collect::<Result<_, _>>()?,
        })
    }

    fn seen(&self, view: &View) -> Result<Seen, Unresolved> {
        Ok(match view {
            View::Handle(place) => Seen::Handle(self.held(place)?),
            View::Process { process, place } => {
                let process = self.process(&process.value)?;
                Seen::Process(process, self.spot(process, place)?)
            }
            View::File(place) => Seen::File(self.in_file(place)?),
        })
    }

    fn look(&self, atom: &Atom) -> Result<Look, Unresolved> {
        Ok(match atom {
            Atom::Sees { view, word } => {
                // A word that no step writes is found nowhere.
                let word = self.words.find(&word.value).unwrap_or(u64::MAX);
                Look::Sees(self.seen(view)?, word)
            }
            Atom::Stores { place, word } => {
                let word = self.words.find(&word.value).unwrap_or(u64::MAX);
                Look::Stores(self.in_file(place)?, word)
            }
            Atom::Holds { group, pages } => Look::Holds(self.group(group)?, pages.value),
            Atom::Is { left, right } => Look::Is(self.seen(left)?, self.seen(right)?),
            Atom::Dirty { view } => Look::Dirty(self.seen(view)?),
            Atom::Large { view } => Look::Large(self.seen(view)?),
            Atom::Merged { view } => Look::Merged(self.seen(view)?),
            Atom::OnNode { view, node } => Look::OnNode(self.seen(view)?, node.value),
            Atom::NodeHolds { node, pages } => Look::NodeHolds(node.value, pages.value),
            Atom::Cost { bound, count, of } => Look::Cost(*bound, count.value, of.value),
            Atom::Huge { process, place } => {
                let process = self.process(&process.value)?;
                Look::Huge(process, self.spot(process, place)?)
            }
            Atom::SoftDirty { process, place } => {
                let process = self.process(&process.value)?;
                Look::SoftDirty(process, self.spot(process, place)?)
            }
            Atom::Resident { process, place } => {
                let process = self.process(&process.value)?;
                Look::Resident(process, self.spot(process, place)?)
            }
            Atom::Register { register, word } => {
                let word = self.words.find(&word.value).unwrap_or(u64::MAX);
                Look::Register(self.register(register)?, word)
            }
        })
    }

    fn stated(&self, facts: &[Fact]) -> Vec<Stated> {
        let at = |fact: &Fact| self.atoms.iter().position(|atom| *atom == fact.atom);
        let stated = |fact: &Fact| Some(Stated { fact: at(fact)?, polarity: fact.polarity });
        facts.iter().filter_map(stated).collect()
    }

    /// The whole scenario in numbers.
    fn resolve(self, scenario: &Scenario) -> Result<Resolved, Unresolved> {
        let machine = &scenario.machine;
        let always = scenario.always.iter().map(|claim| ResolvedClaim {
            text: claim.to_string(),
            mode: claim.mode,
            facts: self.stated(&claim.facts),
        });
        let outcomes = scenario.outcomes.iter().map(|outcome| ResolvedOutcome {
            name: outcome.name.value.clone(),
            when: self.stated(&outcome.when),
        });
        let lanes = scenario.lanes.iter().map(|lane| self.lane(scenario, lane));
        Ok(Resolved {
            scenario: scenario.name.value.clone(),
            nodes: machine.nodes(),
            most_areas: machine.areas.map(|areas| areas.value),
            stack: machine.stack.map(|pages| pages.value),
            hugetlb: machine.hugetlb(),
            swap: machine.swap(),
            swap_device: machine.swap_device(),
            swap_writes: machine.swap_writes(),
            swap_write_fails: machine.swap_write_fails(),
            swap_read_fails: machine.swap_read_fails(),
            readahead: machine.readahead(),
            max_ptes_swap: machine.max_ptes_swap(),
            lru: machine.lru(),
            movable: machine.movable(),
            cma: machine.cma(),
            thp: machine.thp(),
            cpus: scenario.cpus().iter().map(|(_, node)| *node).collect(),
            words: (0..self.words.count()).map(|number| self.words.text(number)).collect(),
            setup: self.alone(&scenario.setup.steps)?,
            lanes: lanes.collect::<Result<_, _>>()?,
            after: self.alone(&scenario.after)?,
            facts: self.atoms.iter().map(|atom| self.look(atom)).collect::<Result<_, _>>()?,
            always: always.collect(),
            outcomes: outcomes.collect(),
            reach: scenario.reach.iter().map(reached).collect(),
            processes: self.processes,
            areas: self.areas,
            handles: self.handles,
            files: self.files,
            groups: self.groups,
            signals: self.signals,
            registers: self.registers,
        })
    }
}
