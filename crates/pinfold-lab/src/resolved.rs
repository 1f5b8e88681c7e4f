//! A scenario with every name resolved to a number: what another machine needs to carry it out.
//!
//! The laboratory executes scenarios itself; this is for those who execute them elsewhere, such as
//! on a real kernel. Processes, areas, handles, registers, CPUs and words are numbered in the order
//! of the text, and every list here is indexed by these numbers. Words are numbered as memory holds
//! them: 0 is memory that was never written.
//!
//! INV-RESOLVED-1: every index lies within its list, and every range of pages is one of the area or
//! handle that it names, as the checks of [`parse`](crate::scenario::parse()) promise for names.
//! INV-RESOLVED-2: each thing that a claim or an outcome states stands once in
//! [`Resolved::facts`]; those that read as a process does, and may fault, stand after those that
//! only look (see INV-CLAIM-1).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::scenario::{
    self, Access, Action, Advice, Atom, Batches, Behind, Bound, ClaimMode, Dirty, Duration,
    Failure, Occupied, Polarity, Protection, Runner, Scenario, Sharing, Spent, Step, Strictness,
    SwapChanges, SwapKind, Thp, View, Waits, Whose,
};
use crate::words::Words;

pub(crate) use parts::uffd_mode;
pub use parts::{Pages, Part, Remote, Shown, Spot, Statuses, Take, UffdAct};

mod listed;
mod parts;
mod resolve;
#[cfg(test)]
mod tests;
mod told;

fn entries() -> Thp {
    Thp::Entries
}

fn solid() -> SwapKind {
    SwapKind::Solid
}

fn any_changes() -> SwapChanges {
    SwapChanges::Any
}

/// A scenario in numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Resolved {
    /// The scenario's name.
    pub scenario: String,
    /// Memory nodes of its machine.
    pub nodes: u32,
    /// The most areas of a process, if the scenario says.
    #[serde(default)]
    pub most_areas: Option<u32>,
    /// The most pages of a stack, if the scenario says.
    #[serde(default)]
    pub stack: Option<u32>,
    /// How many huge pages are set aside.
    #[serde(default)]
    pub hugetlb: u32,
    /// How many slots the swap device has.
    #[serde(default)]
    pub swap: u32,
    /// What that is like.
    #[serde(default = "solid")]
    pub swap_device: SwapKind,
    /// What it bears of a page while it writes it.
    #[serde(default = "any_changes")]
    pub swap_writes: SwapChanges,
    /// Which of its writes fails, if one does, counted from 1.
    #[serde(default)]
    pub swap_write_fails: Option<u32>,
    /// Which of its reads fails, if one does, counted from 1.
    #[serde(default)]
    pub swap_read_fails: Option<u32>,
    /// Of how many pages those beside a fault's are read from there with it, as a power of two;
    /// zero, if none are.
    #[serde(default)]
    pub readahead: u32,
    /// How many pages a collapse brings back from there, if that has a limit.
    #[serde(default)]
    pub max_ptes_swap: Option<u32>,
    /// How many pages a CPU's batch for the LRU lists has; zero, if there are no lists.
    #[serde(default)]
    pub lru: u32,
    /// How many more frames each node has that are set apart for what can move.
    #[serde(default)]
    pub movable: u32,
    /// How many more frames each node has that contiguous requests take back.
    #[serde(default)]
    pub cma: u32,
    /// How folios as large as a page table are mapped.
    #[serde(default = "entries")]
    pub thp: Thp,
    /// The node of each CPU.
    pub cpus: Vec<u32>,
    /// The text of each word; `"0"` is the first.
    pub words: Vec<String>,
    /// The processes: first the one of `setup`, then those that are forked.
    pub processes: Vec<ResolvedProcess>,
    /// The names of the areas. Two processes may each have mapped one of the same name.
    pub areas: Vec<String>,
    /// The handles.
    pub handles: Vec<ResolvedHandle>,
    /// The files.
    #[serde(default)]
    pub files: Vec<ResolvedFile>,
    /// The names of the groups of memory.
    #[serde(default)]
    pub groups: Vec<String>,
    /// The names of the signals.
    pub signals: Vec<String>,
    /// The names of the registers.
    pub registers: Vec<String>,
    /// What runs alone before the lanes.
    pub setup: Vec<ResolvedStep>,
    /// What runs at the same time.
    pub lanes: Vec<ResolvedLane>,
    /// What runs alone after the lanes.
    pub after: Vec<ResolvedStep>,
    /// What claims and outcomes state, in the order in which it is to be looked at.
    pub facts: Vec<Look>,
    /// The lines of `always`.
    pub always: Vec<ResolvedClaim>,
    /// The outcomes, of which the first that holds is the execution's.
    pub outcomes: Vec<ResolvedOutcome>,
    /// The lines of `reach`, as text.
    pub reach: Vec<String>,
}

/// A process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ResolvedProcess {
    /// Its name.
    pub name: String,
    /// The process that forks it; none for the first.
    pub parent: Option<usize>,
    /// The CPU of its steps outside lanes.
    pub cpu: usize,
    /// Whether it begins in its parent's address space, and not in a copy.
    #[serde(default)]
    pub shares: bool,
}

/// Pages that a device holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ResolvedHandle {
    /// Its name.
    pub name: String,
    /// The process whose pages it holds.
    pub process: usize,
    /// How many pages it holds.
    pub pages: u32,
}

/// A file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ResolvedFile {
    /// Its name.
    pub name: String,
    /// How many pages it has at first.
    pub pages: u32,
    /// What is behind it.
    pub behind: Behind,
}

/// A lane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ResolvedLane {
    /// Its name.
    pub name: String,
    /// The process that it is a thread of; a device has none.
    pub process: Option<usize>,
    /// The CPU on which it runs; of no meaning for a device.
    pub cpu: usize,
    /// The lane that must have ended before this one begins.
    pub after: Option<usize>,
    /// Whether it starts only when another lane has forked its process.
    pub late: bool,
    /// Its steps in order.
    pub steps: Vec<ResolvedStep>,
}

/// A step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ResolvedStep {
    /// The step as it is written.
    pub text: String,
    /// The process that carries it out; steps of devices and on handles may have none.
    pub process: Option<usize>,
    /// What is done.
    pub act: Act,
    /// How it must fail.
    pub fails: Option<Failure>,
    /// How it may fail.
    pub may_fail: Option<Failure>,
}

/// What a step does; see [`Action`] for the meaning of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Act {
    /// `map`
    Map {
        /// The area.
        area: usize,
        /// Its pages; of a stack, those that are mapped from the beginning.
        pages: u32,
        /// The pages that it has names for: of a stack those that it may come to have, of which the
        /// last are mapped.
        room: u32,
        /// Whether writes stay with the process.
        sharing: Sharing,
        /// What the process may do.
        protection: Protection,
        /// What it shows of a file of the machine.
        #[serde(default)]
        of: Option<Shown>,
        /// The address, in the address space of the language's machine.
        at: Option<u64>,
        /// What becomes of pages that are mapped there.
        occupied: Occupied,
    },
    /// `unmap`
    Unmap(Pages),
    /// `remap`: all pages of an area, and where they go, in the address space of the language's
    /// machine.
    Remap(Pages, u64),
    /// `break`: all pages that the area may have, and how many it has from then on.
    Break(Pages, u32),
    /// `protect`
    Protect(Pages, Protection),
    /// `advise`
    Advise(Pages, Advice),
    /// `write` by a process: the word at the spot.
    Store(Spot, u64),
    /// `read` by a process.
    Load {
        /// Where.
        from: Spot,
        /// The word that must be found.
        expect: Option<u64>,
        /// The register that keeps what was found.
        register: Option<usize>,
    },
    /// `write` through a handle.
    DeviceStore(Spot, u64),
    /// `read` through a handle.
    DeviceLoad {
        /// Where.
        from: Spot,
        /// The word that must be found.
        expect: Option<u64>,
        /// The register that keeps what was found.
        register: Option<usize>,
    },
    /// `pin`
    Pin(Take, Duration),
    /// `get`
    Get(Take),
    /// `unpin`
    Unpin(usize, Dirty),
    /// `put`
    Put(usize),
    /// `writeback`
    Writeback(Pages),
    /// `follow`: the pages and the handle.
    Follow(Pages, usize),
    /// `unfollow`
    Unfollow(usize),
    /// `fork`: the new process.
    Fork(usize),
    /// `exit`
    Exit,
    /// `numa-scan`: all areas of the process unless pages are written.
    NumaScan(Option<Pages>),
    /// `numa-tick`
    NumaTick,
    /// `migrate`: the pages, the node, and how long that waits.
    Migrate(Pages, u32, Waits),
    /// `move-pages`
    MovePages {
        /// Which pages.
        pages: Pages,
        /// Where to.
        node: u32,
        /// Whose pages move.
        whose: Whose,
        /// What must become of each: [`Statuses`].
        expect: Option<Statuses>,
        /// The register that keeps the status of the one page.
        register: Option<usize>,
    },
    /// `mbind`: the pages, the node, whose pages move, and whether one that stays is a failure.
    Mbind(Pages, u32, Whose, Strictness),
    /// `offline` and `online`: the node.
    Plug(u32),
    /// `compact`: the pages and the node.
    Compact(Pages, u32),
    /// `signal`: its number.
    Signal(usize),
    /// `await`: the signal's number.
    Await(usize),
    /// `populate`
    Populate(Pages, Access),
    /// `mlock`
    Mlock(Pages),
    /// `munlock`
    Munlock(Pages),
    /// `clone`: the new process.
    Clone(usize),
    /// `vfork`: the new process.
    Vfork(usize),
    /// `exec`
    Exec,
    /// `write` to a file: the word at the spot.
    FileStore(Spot, u64),
    /// `read` of a file.
    FileLoad {
        /// Where.
        from: Spot,
        /// The word that must be found.
        expect: Option<u64>,
        /// The register that keeps what was found.
        register: Option<usize>,
    },
    /// `truncate`
    Truncate {
        /// The file.
        file: usize,
        /// Its whole pages from then on.
        pages: u32,
        /// How many words of the page after those it has, too.
        words: u32,
    },
    /// `punch`: pages of a file.
    Punch(Pages),
    /// `sync`: the file.
    Sync(usize),
    /// `join`: the group.
    Join(usize),
    /// `move-charge`: between two groups.
    MoveCharge {
        /// Whose charges.
        pages: Pages,
        /// The group that has them.
        from: usize,
        /// The group that gets them.
        to: usize,
    },
    /// `direct-read`: the memory, and as much of a file.
    DirectRead(Part, Part),
    /// `direct-write`: the same.
    DirectWrite(Part, Part),
    /// `vm-read` and `ptrace-read`: the process whose memory it is, and where.
    RemoteLoad {
        /// By which call.
        by: Remote,
        /// Whose memory.
        process: usize,
        /// Where.
        from: Spot,
        /// The word that must be found.
        expect: Option<u64>,
        /// The register that keeps what was found.
        register: Option<usize>,
    },
    /// `vm-write` and `ptrace-write`: the process whose memory it is, where, and the word.
    RemoteStore(Remote, usize, Part, u64),
    /// `uffd-register` and its kin.
    Uffd(UffdAct),
    /// `clear-refs`
    ClearRefs,
    /// `pageout`: the pages.
    Pageout(Pages),
    /// `swapoff`
    Swapoff,
    /// `reclaim`: the node, and how many pages are to leave.
    Reclaim(u32, u32),
    /// `lru-drain`
    LruDrain(Batches),
    /// `ksm`: how many pages, to the end of a pass unless written.
    Ksm(Option<u32>),
    /// `split-folio`: the page.
    SplitFolio(Spot),
    /// `split-deferred`
    SplitDeferred,
    /// `collapse`: the page.
    Collapse(Spot),
    /// `note`: the pages and the handle.
    Note(Pages, usize),
    /// `try-get`: a page of a handle of `note`, and the handle.
    TryGet(Spot, usize),
    /// `get-page`: a page of a handle that has references, and the handle.
    GetPage(Spot, usize),
}

/// A way to look at a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Seen {
    /// Through a handle.
    Handle(Spot),
    /// As a process.
    Process(usize, Spot),
    /// In a file, as read(2) finds it.
    File(Spot),
}

/// What a claim or an outcome states, without its polarity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Look {
    /// The word is found there.
    Sees(Seen, u64),
    /// The word is stored behind the file.
    Stores(Spot, u64),
    /// So many pages are charged to the group.
    Holds(usize, u32),
    /// Both lead to one frame.
    Is(Seen, Seen),
    /// A write to the page is on record.
    Dirty(Seen),
    /// The page is part of a large folio.
    Large(Seen),
    /// Same-page merging has made the page of several.
    Merged(Seen),
    /// The page lies on the node.
    OnNode(Seen, u32),
    /// So many frames of the node hold something other than page tables.
    NodeHolds(u32, u32),
    /// What the lanes did came to so many.
    Cost(Bound, u32, Spent),
    /// One entry maps the page of the process with others.
    Huge(usize, Spot),
    /// The page of the process may have been stored to.
    SoftDirty(usize, Spot),
    /// It is in memory.
    Resident(usize, Spot),
    /// The register holds the word.
    Register(usize, u64),
}

/// A fact by its place in [`Resolved::facts`], affirmed or denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Stated {
    /// Its index.
    pub fact: usize,
    /// Whether it is affirmed.
    pub polarity: Polarity,
}

/// A line of `always`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ResolvedClaim {
    /// The line as it is written.
    pub text: String,
    /// How it uses its facts.
    pub mode: ClaimMode,
    /// Its facts.
    pub facts: Vec<Stated>,
}

/// An outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ResolvedOutcome {
    /// Its label.
    pub name: String,
    /// The facts that must all hold; none for `otherwise`.
    pub when: Vec<Stated>,
}

impl Resolved {
    /// Every step, in the order of the text.
    pub fn steps(&self) -> impl Iterator<Item = &ResolvedStep> {
        let lanes = self.lanes.iter().flat_map(|lane| &lane.steps);
        self.setup.iter().chain(lanes).chain(&self.after)
    }

    /// The process in whose address space this one begins, which is itself or an ancestor. Its
    /// areas are known under that one's number.
    pub fn home(&self, process: usize) -> usize {
        let mut at = process;
        while let Some(ResolvedProcess { shares: true, parent: Some(parent), .. }) =
            self.processes.get(at)
        {
            at = *parent;
        }
        at
    }

    /// What an area of a process shows of a file, and how: the step that maps it, of the process
    /// itself or of the ancestor from which it inherits the area. None if no such area shows one.
    pub fn shown(&self, process: usize, area: usize) -> Option<(Shown, Sharing)> {
        match self.map_of(process, area)?.act {
            Act::Map { of, sharing, .. } => Some((of?, sharing)),
            _ => None,
        }
    }

    /// The step that maps an area of a process; none if it is no mapping.
    pub fn map_of(&self, process: usize, area: usize) -> Option<&ResolvedStep> {
        let mut owner = Some(process);
        while let Some(at) = owner.map(|process| self.home(process)) {
            let maps = |step: &&ResolvedStep| match step.act {
                Act::Map { area: mapped, .. } => {
                    mapped == area && step.process.map(|by| self.home(by)) == Some(at)
                }
                _ => false,
            };
            if let Some(step) = self.steps().find(maps) {
                return Some(step);
            }
            owner = self.processes.get(at)?.parent;
        }
        None
    }

    /// The text of a word; a number that no step writes is shown as a number.
    pub fn word(&self, number: u64) -> String {
        let known = usize::try_from(number).ok().and_then(|number| self.words.get(number));
        known.cloned().unwrap_or_else(|| format!("{number:#x}"))
    }
}

impl Act {
    /// The handle that the step needs, which an earlier one must have made.
    pub fn uses_handle(&self) -> Option<usize> {
        match *self {
            Self::DeviceStore(spot, _) | Self::DeviceLoad { from: spot, .. } => Some(spot.of),
            Self::Unpin(handle, _) | Self::Put(handle) | Self::Unfollow(handle) => Some(handle),
            Self::TryGet(spot, _) | Self::GetPage(spot, _) => Some(spot.of),
            Self::Map { .. }
            | Self::Unmap(_)
            | Self::Remap(..)
            | Self::Break(..)
            | Self::Writeback(_)
            | Self::Follow(..)
            | Self::Protect(..)
            | Self::Advise(..)
            | Self::Store(..)
            | Self::Load { .. }
            | Self::Pin(..)
            | Self::Get(_)
            | Self::Fork(_)
            | Self::Exit
            | Self::NumaScan(_)
            | Self::NumaTick
            | Self::Migrate(..)
            | Self::MovePages { .. }
            | Self::Mbind(..)
            | Self::Plug(_)
            | Self::Compact(..)
            | Self::Signal(_)
            | Self::Await(_)
            | Self::Populate(..)
            | Self::Mlock(_)
            | Self::Munlock(_)
            | Self::Clone(_)
            | Self::Vfork(_)
            | Self::Exec
            | Self::FileStore(..)
            | Self::FileLoad { .. }
            | Self::Truncate { .. }
            | Self::Punch(_)
            | Self::Sync(_)
            | Self::Join(_)
            | Self::MoveCharge { .. }
            | Self::DirectRead(..)
            | Self::DirectWrite(..)
            | Self::RemoteLoad { .. }
            | Self::RemoteStore(..)
            | Self::Uffd(_)
            | Self::ClearRefs
            | Self::Pageout(_)
            | Self::Swapoff
            | Self::Reclaim(..)
            | Self::LruDrain(_)
            | Self::Ksm(_)
            | Self::SplitFolio(_)
            | Self::SplitDeferred
            | Self::Collapse(_)
            | Self::Note(..) => None,
        }
    }

    /// Whether the step is meaningless without a process. Steps on handles and signals need none.
    pub fn needs_process(&self) -> bool {
        self.uses_handle().is_none() && !matches!(self, Self::Signal(_) | Self::Await(_))
    }

    /// The process that the step makes.
    pub fn makes_process(&self) -> Option<usize> {
        match *self {
            Self::Fork(child) | Self::Clone(child) | Self::Vfork(child) => Some(child),
            _ => None,
        }
    }

    /// The handle that the step makes.
    pub fn makes_handle(&self) -> Option<usize> {
        match self {
            Self::Pin(take, _) | Self::Get(take) => Some(take.handle),
            Self::Follow(_, handle)
            | Self::Note(_, handle)
            | Self::TryGet(_, handle)
            | Self::GetPage(_, handle) => Some(*handle),
            _ => None,
        }
    }
}

/// A name that means nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unresolved {
    /// What it should name.
    pub kind: &'static str,
    /// The name.
    pub name: String,
}

impl fmt::Display for Unresolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there is no {} called {}", self.kind, self.name)
    }
}

impl std::error::Error for Unresolved {}
