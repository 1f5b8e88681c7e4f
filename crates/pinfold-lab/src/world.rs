//! The world of one execution: a machine, its processes, what they hold, and what was observed.
//!
//! A fresh world is built for every execution by running the scenario's setup. Its tables are in a
//! `RefCell` that is never borrowed across a hook: a step copies out what it needs, acts, and
//! writes back what it made.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use pinfold::rules::Users;
use pinfold::sync::Shared;
use pinfold::{
    AddressSpace, Entry, File, FileError, Format, FrameSetup, Group, HintFilter, HugeZero, Limits,
    Memory, Merger, NoMemory, NodeId, NodeSpan, PIN_BIAS, Pfn, Pins, PmdMapping, RangeError,
    Reference, Refs, Rules, SpaceError, SpaceId, SwapId, Tuning, VirtRange,
};

use crate::asked::Asked;
use crate::carried::Carried;
use crate::drive;
use crate::exits;
use crate::files::{self, Disk, NamedFile};
use crate::folios::{self, Counted, Run};
use crate::hardware::{Hardware, Level, Tables};
use crate::journal::{Describe, FrameView, PageView};
use crate::locks::Locks;
use crate::machine::Machine;
use crate::meter::Meter;
use crate::named::Named;
use crate::record::{Goal, Record};
use crate::scenario::{self, Access, Behind, Numa, Runner, Scenario, Step, Thp, Verb};
use crate::spaces::{Home, Inhabited, Ticks};
use crate::waits::{self, Awaited, Waits};
use crate::words::Words;

/// A process.
#[derive(Clone)]
pub(crate) struct Process {
    /// Its address space; none after exit.
    pub(crate) space: Option<Rc<Inhabited>>,
    /// The number of the address space in which it is or, after exit, was.
    pub(crate) home: SpaceId,
    /// The CPU of its steps outside lanes.
    pub(crate) cpu: usize,
}

/// What a handle holds: one frame for each page, and as often as it was asked for; or nothing, if
/// its device follows the address space.
pub(crate) enum Hold {
    Pins(Pins<Machine>),
    Refs(Rc<Refs<Machine>>),
    /// One more reference on a page of such a handle.
    Again(Rc<Reference<Machine>>, [Pfn; 1]),
    /// A reference that was taken by the frame's number, or one more through it.
    Number(Rc<Reference<Machine>>, [Pfn; 1]),
    Follows,
}

impl Hold {
    /// The frames, page by page.
    pub(crate) fn pages(&self) -> &[Pfn] {
        match self {
            Self::Pins(pins) => pins.pages(),
            Self::Refs(refs) => refs.pages(),
            Self::Again(_, pfn) | Self::Number(_, pfn) => pfn,
            Self::Follows => &[],
        }
    }

    /// The references that each page carries for it.
    pub(crate) fn refs(&self) -> u32 {
        match self {
            Self::Pins(_) => PIN_BIAS.saturating_mul(self.times()),
            Self::Refs(_) | Self::Again(..) | Self::Number(..) | Self::Follows => self.times(),
        }
    }

    /// How many pins or references each page carries for it.
    pub(crate) fn times(&self) -> u32 {
        match self {
            Self::Pins(pins) => pins.times(),
            Self::Refs(refs) => refs.times(),
            Self::Again(..) | Self::Number(..) => 1,
            Self::Follows => 0,
        }
    }
}

/// Pages held by a device.
pub(crate) struct Handle {
    /// What it holds, until it is released.
    pub(crate) hold: Option<Hold>,
    /// The frames that it had when it was made; none if its device follows.
    pub(crate) frames: Vec<Pfn>,
    /// The process whose pages they are.
    pub(crate) process: String,
    pub(crate) space: SpaceId,
    pub(crate) pages: VirtRange,
    /// What it was asked for.
    pub(crate) access: Access,
    /// For a long-term pin, whose owner and device must keep naming one frame: how many zaps there
    /// were before the pin was requested.
    pub(crate) coherent: Option<u64>,
}

impl Handle {
    /// Whether its device follows the address space and holds no frame.
    pub(crate) fn follows(&self) -> bool {
        self.frames.is_empty()
    }

    /// Whether it shows its process's memory: it holds something, and not by number, which may have
    /// come to be anybody's.
    pub(crate) fn shows(&self) -> bool {
        match &self.hold {
            Some(Hold::Pins(_) | Hold::Refs(_) | Hold::Again(..) | Hold::Follows) => true,
            Some(Hold::Number(..)) | None => false,
        }
    }

    /// The number of the page that `page` of the handle means.
    pub(crate) fn page(&self, page: u32) -> u64 {
        self.pages.first_page().0 + u64::from(page)
    }
}

/// A store of a process to private memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Store {
    /// The address space of the process.
    pub(crate) space: SpaceId,
    pub(crate) value: u64,
    /// How many forks had ended.
    pub(crate) at: u64,
}

/// The groups of memory that a scenario names.
type Groups = Rc<[(String, Group<Machine>)]>;

/// What changes while an execution runs.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) processes: Named<Process>,
    /// Every address space that ever was.
    pub(crate) homes: BTreeMap<SpaceId, Home>,
    pub(crate) handles: Named<Handle>,
    pub(crate) registers: Named<u64>,
    /// How often each register was written.
    pub(crate) register_writes: Named<u64>,
    /// What merges pages, once a step asked for that.
    pub(crate) merger: Option<Rc<Merger<Machine>>>,
    pub(crate) stores: Vec<Store>,
    /// The words that processes have stored in memory that is not private, or in files.
    pub(crate) open: BTreeSet<u64>,
    /// What direct I/O has carried.
    pub(crate) carried: Carried,
    /// What was stored in private memory, by processes and through what they asked to write, and at
    /// which page.
    pub(crate) kept: BTreeSet<(SpaceId, u64, u64)>,
    /// Counts forks: the order of stores among themselves makes no difference.
    pub(crate) clock: u64,
    /// The steps that failed while the execution went on.
    pub(crate) failed: Vec<String>,
    /// The files that the scenario names.
    pub(crate) files: Rc<[NamedFile]>,
    /// The groups of memory.
    pub(crate) groups: Groups,
}

/// Everything of one execution.
pub(crate) struct World {
    pub(crate) memory: Shared<Memory<Machine>>,
    pub(crate) state: RefCell<State>,
    /// What the journal, if there is one, asks about pages.
    _describe: Option<Arc<dyn Describe>>,
    pub(crate) words: Arc<Words>,
    /// What lanes wait for.
    pub(crate) waits: Waits,
    /// The processes that have several lanes.
    threaded: Arc<[String]>,
    /// The handles that a step makes which may fail.
    doubtful: Arc<[String]>,
    /// Locks of the processes that a lane may end while others run.
    pub(crate) exit_locks: Locks,
    /// Locks of the files on which a step does direct I/O: see `step/direct.rs`.
    pub(crate) file_locks: Locks,
    /// The swap device, if the machine has one.
    pub(crate) swap: Option<SwapId>,
    /// Frames that were free before the first process.
    pub(crate) free_at_start: u64,
    /// What the lanes cost.
    pub(crate) meter: Meter,
    /// What each address space may use.
    limits: Limits,
    /// How many pages below a program break have names: [`Scenario::break_pages`].
    break_pages: u32,
    /// Whether address spaces have balancers.
    ticks: Ticks,
}

/// What an address space may use on the scenario's machine.
fn limits(machine: &scenario::Machine) -> Limits {
    let usual = Limits::of_format::<Tables>();
    Limits {
        areas: machine.areas.map_or(usual.areas, |areas| areas.value as usize),
        stack: machine.stack.map_or(usual.stack, |pages| u64::from(pages.value)),
        ..usual
    }
}

/// The memory that a journal describes.
struct Described(Shared<Memory<Machine>>);

impl Describe for Described {
    fn page(&self, root: Pfn, page: u64) -> PageView {
        page_view(&self.0, root, page)
    }

    fn frame(&self, frame: Pfn) -> FrameView {
        let memory = &self.0;
        let machine = memory.platform();
        FrameView {
            node: memory.frames().node(frame),
            counts: folios::counted(memory.frames(), frame, memory.rules().tail_refs),
            words: (0..machine.words()).map(|word| machine.word(frame, word).peek()).collect(),
        }
    }
}

/// The entry of a page and the counts of its frame.
fn page_view(memory: &Memory<Machine>, root: Pfn, page: u64) -> PageView {
    let (pte, level) = memory.platform().look(root, page);
    if !pte.is_mapped() {
        let cached = match pte.decode() {
            Entry::Swap(entry) => pinfold::lab::swap_cached(memory, entry),
            _ => None,
        };
        return PageView { pte, level, counts: None, cached };
    }
    let rule = memory.rules().tail_refs;
    let counts = (!pte.is_special()).then(|| folios::counted(memory.frames(), pte.pfn(), rule));
    // The mark of a folio that one entry maps is on its first page, for all of them.
    let marked = |run: Run| pinfold::lab::counts(memory.frames(), run.head).is_exclusive();
    let counts = counts.map(|counts| match (level, counts.folio) {
        (Level::Above, Some(run)) => Counted { exclusive: marked(run), ..counts },
        (Level::Above | Level::Last, _) => counts,
    });
    PageView { pte: pte.old(), level, counts, cached: None }
}

/// The handles that a step may fail to make, or that are made of such a handle.
fn doubtful(scenario: &Scenario) -> Arc<[String]> {
    let mut doubtful: Vec<String> = Vec::new();
    loop {
        let unsure = |step: &Step, doubtful: &[String]| {
            let of = step.action.uses_handle();
            step.may_fail.is_some() || of.is_some_and(|of| doubtful.contains(&of.value))
        };
        let made = scenario.steps().filter(|step| unsure(step, &doubtful));
        let made = made.filter_map(|step| step.action.makes_handle());
        let more: Vec<String> = made
            .map(|handle| handle.value.clone())
            .filter(|name| !doubtful.contains(name))
            .collect();
        if more.is_empty() {
            return doubtful.into();
        }
        doubtful.extend(more);
    }
}

/// log2 of the pages of a large folio: as many as a table of the machine maps.
pub(crate) const FOLIO_ORDER: u32 = Tables::INDEX_BITS;

/// The files on which a step does direct I/O, in order, each once.
fn direct(scenario: &Scenario) -> Vec<String> {
    let file = |step: &Step| step.action.direct_file().map(|file| file.value.clone());
    scenario.steps().filter_map(file).collect::<BTreeSet<_>>().into_iter().collect()
}

/// The files of a machine.
fn files(
    machine: &scenario::Machine,
    memory: &Shared<Memory<Machine>>,
) -> Result<Rc<[NamedFile]>, FileError> {
    let words = machine.words() as usize;
    let make = |made: &scenario::File| {
        let (name, pages) = (made.name.as_str(), made.pages.value);
        let disk = match made.behind {
            Behind::Store => Some(Disk::new(name, words)),
            Behind::Memory => None,
        };
        let file = match &disk {
            Some(disk) => File::new(memory, u64::from(pages), files::store(disk))?,
            None => File::in_memory(memory, u64::from(pages))?,
        };
        let file = NamedFile::new(name, (file, pages), words, disk);
        file.label();
        Ok(file)
    };
    machine.files.iter().map(make).collect()
}

/// The groups of a machine.
fn groups(
    machine: &scenario::Machine,
    memory: &Shared<Memory<Machine>>,
) -> Result<Groups, NoMemory> {
    let make = |made: &scenario::Group| {
        let group = Group::new(memory, u64::from(made.limit.value))?;
        Ok((made.name.value.clone(), group))
    };
    machine.groups.iter().map(make).collect()
}

/// A scenario and rules, ready to be executed.
pub(crate) struct Plan {
    pub(crate) scenario: Arc<Scenario>,
    pub(crate) rules: Rules,
    pub(crate) hardware: Hardware,
    spans: Vec<NodeSpan>,
    /// Those of memory that is set apart for what can move, and for contiguous requests.
    movable: Vec<NodeSpan>,
    cma: Vec<NodeSpan>,
    tuning: Tuning,
    pub(crate) goals: Arc<[Goal]>,
    /// The CPU of each lane.
    pub(crate) lane_cpus: Vec<usize>,
    /// The CPU of the first process.
    first_cpu: usize,
    pub(crate) words: Arc<Words>,
    awaited: Arc<[Awaited]>,
    /// The processes that a lane ends while other lanes of theirs may run.
    contested: Arc<[String]>,
    /// The files on which a step does direct I/O.
    direct: Arc<[String]>,
    /// The rules that executions have asked for.
    pub(crate) asked: Arc<Asked>,
    /// The processes that have several lanes.
    threaded: Arc<[String]>,
    /// The handles that a step makes which may fail.
    doubtful: Arc<[String]>,
}

impl Plan {
    pub(crate) fn new(scenario: &Scenario, rules: &Rules) -> Self {
        let machine = &scenario.machine;
        let nodes = machine.nodes().max(1) as u8;
        // The huge zero page is beside the frames that the scenario counts.
        let zeros = match machine.thp() {
            Thp::Entries => 0,
            Thp::Pmd => 1 << FOLIO_ORDER,
        };
        let (frames, movable) = (u64::from(machine.frames()), u64::from(machine.movable()));
        let cma = u64::from(machine.cma());
        let span = |node: u8| NodeSpan {
            node: NodeId(node),
            first: Pfn(
                u64::from(node) * (frames + movable + cma) + if node == 0 { 0 } else { zeros }
            ),
            frames: frames + if node == 0 { zeros } else { 0 },
        };
        let set_apart = |node: u8| {
            let NodeSpan { first, frames, .. } = span(node);
            NodeSpan { node: NodeId(node), first: Pfn(first.0 + frames), frames: movable }
        };
        let taken_back = |node: u8| NodeSpan {
            first: Pfn(set_apart(node).first.0 + movable),
            frames: cma,
            ..set_apart(node)
        };
        let lane_cpu = |runner: &Runner| match runner {
            Runner::Process { cpu, .. } => scenario.cpu_index(cpu.as_ref()).unwrap_or(0),
            Runner::Device => 0,
        };
        let lanes_of = |process: &&str| {
            scenario.lanes.iter().filter(|lane| lane.process() == Some(*process)).count()
        };
        let of_lanes: BTreeSet<&str> =
            scenario.lanes.iter().filter_map(|lane| lane.process()).collect();
        let threaded = of_lanes.into_iter().filter(|process| lanes_of(process) > 1);
        let goal = |reach: &crate::scenario::Reach| Goal {
            event: reach.event.value.clone(),
            during: reach.during.map(|during| during.value),
        };
        Self {
            rules: *rules,
            hardware: Hardware {
                cpus: scenario.cpus().iter().map(|(_, node)| NodeId(*node as u8)).collect(),
                frames: usize::from(nodes) * (frames + movable + cma) as usize + zeros as usize,
                words: machine.words() as usize,
                followers: scenario.steps().any(|step| step.action.follows().is_some()),
            },
            spans: (0..nodes).map(span).collect(),
            movable: (0..nodes).map(set_apart).filter(|span| span.frames > 0).collect(),
            cma: (0..nodes).map(taken_back).filter(|span| span.frames > 0).collect(),
            tuning: Tuning {
                migrate_passes: machine.migrate_passes(),
                hint_passes: machine.migrate_passes(),
                // A freed frame goes to whichever CPU asks next: what uses it too long is seen.
                stock_batch: 0,
                lru_batch: machine.lru(),
                swap_readahead: machine.readahead(),
                max_ptes_swap: machine.max_ptes_swap().map_or(u64::MAX, u64::from),
                // What finds no frame takes no more out of memory than it has to.
                reclaim_batch: 1,
                folios_advised: 1 << FOLIO_ORDER,
                pmd_mapping: match machine.thp() {
                    Thp::Entries => PmdMapping::Off,
                    Thp::Pmd => PmdMapping::On,
                },
                huge_zero: match machine.thp() {
                    Thp::Entries => HugeZero::Off,
                    Thp::Pmd => HugeZero::On,
                },
                hint_filter: match machine.numa() {
                    Numa::AtOnce => HintFilter::Off,
                    Numa::Filter => HintFilter::On,
                },
                ..Tuning::default()
            },
            goals: scenario.reach.iter().map(goal).collect(),
            lane_cpus: scenario.lanes.iter().map(|lane| lane_cpu(&lane.runner)).collect(),
            first_cpu: scenario.cpu_index(scenario.setup.process.cpu.as_ref()).unwrap_or(0),
            words: Arc::new(Words::of(scenario)),
            awaited: waits::awaited(scenario).into(),
            contested: exits::contested(scenario).into(),
            direct: direct(scenario).into(),
            threaded: threaded.map(str::to_owned).collect(),
            doubtful: doubtful(scenario),
            scenario: Arc::new(scenario.clone()),
            asked: Arc::default(),
        }
    }

    /// The swap device of a new machine, if the scenario has one.
    fn swap_on(&self, memory: &Memory<Machine>) -> Result<Option<SwapId>, String> {
        let slots = self.scenario.machine.swap();
        if slots == 0 {
            return Ok(None);
        }
        let (store, writes) = drive::new(&self.scenario.machine, self.hardware.words);
        let device = memory.swap_on(store, u64::from(slots), writes);
        device.map(Some).map_err(|error| error.to_string())
    }

    /// A world with its first process, before the setup.
    ///
    /// # Errors
    /// When the machine has too few frames for a process.
    pub(crate) fn world(&self, record: Record) -> Result<World, String> {
        let keeps_journal = record.keeps_journal();
        let machine =
            Machine::new(&self.hardware, self.lane_cpus.clone(), (record, Arc::clone(&self.asked)));
        let frames = FrameSetup::new(&self.spans).movable(&self.movable).cma(&self.cma).build();
        let frames = frames.map_err(|error| error.to_string())?;
        // SAFETY: the spans are the machine's own frames, and it was made for this world.
        let memory = unsafe { Memory::over(machine, frames, self.rules, self.tuning) }
            .map_err(|error| error.to_string())?;
        let wanted = self.scenario.machine.hugetlb();
        let had = memory.hugetlb_pool(u64::from(wanted));
        if had < u64::from(wanted) {
            return Err(format!(
                "the machine has frames for {had} huge pages of {} frames, and not for {wanted}",
                1 << FOLIO_ORDER
            ));
        }
        let swap = self.swap_on(&memory)?;
        let free_at_start = memory.frames().total_free();
        let describe = keeps_journal.then(|| {
            let describe: Arc<dyn Describe> = Arc::new(Described(memory.clone()));
            describe
        });
        if let Some(describe) = &describe {
            memory.platform().record().open(describe, self.scenario.machine.lru());
        }
        memory.platform().alone_on(self.first_cpu);
        let files = files(&self.scenario.machine, &memory).map_err(|error| error.to_string())?;
        let groups = groups(&self.scenario.machine, &memory).map_err(|error| error.to_string())?;
        let world = World {
            memory,
            state: RefCell::new(State { files, groups, ..State::default() }),
            _describe: describe,
            words: Arc::clone(&self.words),
            waits: Waits::new(&self.awaited),
            threaded: Arc::clone(&self.threaded),
            doubtful: Arc::clone(&self.doubtful),
            exit_locks: Locks::new("exit lock", &self.contested),
            file_locks: Locks::new("lock", &self.direct),
            swap,
            free_at_start,
            meter: Meter::new(&self.scenario),
            limits: limits(&self.scenario.machine),
            break_pages: self.scenario.break_pages(),
            ticks: if self.has(Verb::NumaTick) { Ticks::Told } else { Ticks::Untold },
        };
        let space = world.new_space().map_err(|error| error.to_string())?;
        let home = space.id();
        let space = world.inhabited(space).map_err(|error| error.to_string())?;
        let process = Process { home, space: Some(space), cpu: self.first_cpu };
        let first = self.scenario.setup.process.name.as_str();
        {
            let mut state = world.state.borrow_mut();
            state.homes.insert(process.home, Home::empty(first));
            state.processes.insert(first, process);
        }
        if self.has(Verb::Ksm) {
            world.merger();
        }
        Ok(world)
    }

    /// Whether the scenario has such a step.
    fn has(&self, verb: Verb) -> bool {
        self.scenario.steps().any(|step| step.action.verb() == verb)
    }
}

impl State {
    /// The address space of this number, if it still exists.
    pub(crate) fn space(&self, id: SpaceId) -> Option<&Rc<Inhabited>> {
        let mut spaces = self.processes.values().filter_map(|process| process.space.as_ref());
        spaces.find(|space| space.id() == id)
    }

    /// Every address space that ever was, each once; those that still exist with themselves.
    pub(crate) fn homes(&self) -> impl Iterator<Item = (SpaceId, &Home, Option<&Rc<Inhabited>>)> {
        self.homes.iter().map(|(id, home)| (*id, home, self.space(*id)))
    }
}

impl World {
    pub(crate) fn machine(&self) -> &Machine {
        self.memory.platform()
    }

    /// An address space with nothing in it. Its program break, where the scenario has one, is at
    /// the lowest address.
    pub(crate) fn new_space(&self) -> Result<AddressSpace<Machine>, SpaceError> {
        let space = AddressSpace::new(&self.memory, self.limits)?;
        if self.break_pages > 0 {
            space.place_break(self.limits.first_page.start())?;
        }
        Ok(space)
    }

    /// An address space with one process in it.
    pub(crate) fn inhabited(
        &self,
        space: AddressSpace<Machine>,
    ) -> Result<Rc<Inhabited>, SpaceError> {
        Ok(Inhabited::new(space, self.ticks)?)
    }

    /// Where the memory below the program break lies: all of it that has a name.
    pub(crate) fn below_break(&self) -> Result<VirtRange, RangeError> {
        VirtRange::new(self.limits.first_page.start(), u64::from(self.break_pages))
    }

    /// The files that the scenario names.
    pub(crate) fn files(&self) -> Rc<[NamedFile]> {
        Rc::clone(&self.state.borrow().files)
    }

    /// Runs `act` with the file of this name.
    pub(crate) fn with_file<R>(&self, name: &str, act: impl FnOnce(&NamedFile) -> R) -> Option<R> {
        let files = self.files();
        files.iter().find(|file| file.name == name).map(act)
    }

    /// Runs `act` with the group of this name.
    pub(crate) fn with_group<R>(
        &self,
        name: &str,
        act: impl FnOnce(&Group<Machine>) -> R,
    ) -> Option<R> {
        let groups = Rc::clone(&self.state.borrow().groups);
        groups.iter().find(|(known, _)| known == name).map(|(_, group)| act(group))
    }

    /// Whether a process of this name was made, whether it still lives or not.
    pub(crate) fn has(&self, process: &str) -> bool {
        self.state.borrow().processes.get(process).is_some()
    }

    /// Whether a step makes this handle that may fail.
    pub(crate) fn is_doubtful(&self, handle: &str) -> bool {
        self.doubtful.iter().any(|name| name == handle)
    }

    /// Whether several threads use the address space of a process: it has as many as lanes, and one
    /// where it has none, and other processes in the address space count, too. Threads are there
    /// all the time: they wait during `setup`, and live on until the process ends.
    pub(crate) fn users(&self, process: &str) -> Users {
        let threaded = self.threaded.iter().any(|name| name == process);
        let beside = || {
            let state = self.state.borrow();
            let home = state.processes.get(process).map(|process| process.home);
            let same = |other: &&Process| other.space.is_some() && Some(other.home) == home;
            state.processes.values().filter(same).count() > 1
        };
        if threaded || beside() { Users::Several } else { Users::One }
    }

    /// Lets the processes exit and the handles go, in order: whatever is left afterwards has
    /// leaked.
    pub(crate) fn take_down(&self) {
        let state = self.state.take();
        drop(state.merger);
        drop(state.handles);
        drop(state.processes);
        drop(state.files);
    }
}

impl Drop for World {
    /// Throws the machine away, whatever its state. Nothing is left to do after
    /// [`World::take_down`].
    fn drop(&mut self) {
        let state = self.state.take();
        drop(state.merger);
        drop(state.handles);
        for space in state.processes.into_values().filter_map(|process| process.space) {
            if let Some(space) = space.into_sole() {
                // SAFETY: the whole machine is thrown away here; the handles were dropped just
                // before.
                unsafe { pinfold::lab::abandon(space) };
            }
        }
        for named in &*state.files {
            // SAFETY: as above.
            unsafe { pinfold::lab::abandon_file(named.file.clone()) };
        }
    }
}
