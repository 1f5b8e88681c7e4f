//! A scenario as a tree.
//!
//! Names are kept as written. A scenario that [`parse`](super::parse()) returned has passed the
//! static checks: every name in it is declared, every page index lies inside its area or handle,
//! and no handle is released twice. What only an execution can show (whether the area is still
//! mapped, whether there are frames) is for the machine to find, using the spans kept here to point
//! at.
//!
//! The derived serde forms are the body of the JSON form; see [`json`](super::json).

mod claim;
mod parts;
mod step;
mod traits;

pub use claim::{Atom, Bound, Claim, ClaimMode, Fact, Outcome, Polarity, Reach, View};
pub use parts::{
    Batches, Behind, Dirty, Duration, Extent, File, Force, Grab, Group, Memory, Occupied, Pages,
    Part, Path, Peek, Place, Poke, Shown, Strictness, UffdWp, Whose,
};
pub use step::{Action, Step};
pub use traits::{Made, Sure};

pub use super::span::{Name, Text};

use super::span::Spanned;
use super::words::{Numa, SwapChanges, SwapKind, Thp};
use serde::{Deserialize, Serialize};

/// One scenario file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Its name, by convention the file's name without `.pf`.
    pub name: Name,
    /// One line for headings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<Text>,
    /// What happens, in sentences.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub about: Vec<Text>,
    /// Where the rules that it exercises are described.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facts: Option<Text>,
    /// Reports and discussions that it is based on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub source: Vec<Text>,
    /// The hardware that it asks for.
    #[serde(default)]
    pub machine: Machine,
    /// What runs alone before the lanes.
    pub setup: Setup,
    /// What runs concurrently.
    pub lanes: Vec<Lane>,
    /// What runs alone when every lane has ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<Step>,
    /// What must hold at the end of every execution.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub always: Vec<Claim>,
    /// Labels of executions; the first whose condition holds is the execution's outcome.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outcomes: Vec<Outcome>,
    /// Events that must be reached for the search to prove anything.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reach: Vec<Reach>,
    /// The comments of the text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub comments: Vec<Comment>,
}

impl Scenario {
    /// The CPUs: those written, or else a single `cpu0` on node 0.
    pub fn cpus(&self) -> Vec<(&str, u32)> {
        if self.machine.cpus.is_empty() {
            return vec![(DEFAULT_CPU, 0)];
        }
        self.machine.cpus.iter().map(|cpu| (cpu.name.as_str(), cpu.node.value)).collect()
    }

    /// The index in [`cpus`](Self::cpus) of a written CPU, or of the first for one left out.
    /// `None` only for a scenario that did not pass the checks.
    pub fn cpu_index(&self, cpu: Option<&Name>) -> Option<usize> {
        match cpu {
            None => Some(0),
            Some(name) => self.cpus().iter().position(|(known, _)| *known == name.as_str()),
        }
    }

    /// All steps: of the setup, the lanes, and what runs after them.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        let lanes = self.lanes.iter().flat_map(|lane| &lane.steps);
        self.setup.steps.iter().chain(lanes).chain(&self.after)
    }

    /// All facts that claims and outcomes state, as often as they do.
    pub fn facts(&self) -> impl Iterator<Item = &Fact> {
        let told = self.outcomes.iter().flat_map(|outcome| &outcome.when);
        self.always.iter().flat_map(|claim| &claim.facts).chain(told)
    }

    /// How many pages of the memory below a program break have names: as many as the highest break
    /// gives; 0 if nothing moves one.
    pub fn break_pages(&self) -> u32 {
        let pages = |step: &Step| match &step.action {
            Action::Break { pages, .. } if step.fails.is_none() => Some(pages.value),
            _ => None,
        };
        self.steps().filter_map(pages).max().unwrap_or(0)
    }

    /// How many pages of a file have names: as many as it ever has; 0 if there is no such file.
    pub fn file_pages(&self, file: &str) -> u32 {
        let made = self.machine.files.iter().filter(|made| made.name.as_str() == file);
        let set = self.steps().filter_map(|step| match &step.action {
            Action::Truncate { file: of, pages, words } if of.as_str() == file => {
                let part = words.is_some_and(|words| words.value > 0);
                Some(pages.value.saturating_add(u32::from(part)))
            }
            _ => None,
        });
        made.map(|made| made.pages.value).chain(set).max().unwrap_or(0)
    }

    /// Whether the lane starts only when another lane has forked its process.
    pub fn starts_late(&self, lane: &Lane) -> bool {
        let forks = |step: &Step| {
            let made = step.action.makes_process().map(|child| child.as_str());
            made.is_some() && made == lane.process()
        };
        self.lanes.iter().flat_map(|lane| &lane.steps).any(forks)
    }
}

impl Lane {
    /// The process that it is a thread of; devices have none.
    pub fn process(&self) -> Option<&str> {
        match &self.runner {
            Runner::Process { name, .. } => Some(name.as_str()),
            Runner::Device => None,
        }
    }
}

/// The name of the CPU of a machine that lists none.
pub const DEFAULT_CPU: &str = "cpu0";

/// The hardware; anything not written has a default, given by the method of the same name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// Memory nodes as written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodes: Option<Spanned<u32>>,
    /// Frames of each node as written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frames: Option<Spanned<u32>>,
    /// Words of each page as written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<Spanned<u32>>,
    /// Passes of a migration attempt as written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub migrate_passes: Option<Spanned<u32>>,
    /// The most areas of a process as written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub areas: Option<Spanned<u32>>,
    /// The most pages of a stack as written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack: Option<Spanned<u32>>,
    /// How many huge pages are set aside, as written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hugetlb: Option<Spanned<u32>>,
    /// How many slots the swap device has, as written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swap: Option<Spanned<u32>>,
    /// What the swap device is like, as written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swap_device: Option<Spanned<SwapKind>>,
    /// What the swap device bears of a page while it writes it, as written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swap_writes: Option<Spanned<SwapChanges>>,
    /// Which of its writes fails, counted from 1, as written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swap_write_fails: Option<Spanned<u32>>,
    /// Which of its reads fails, counted from 1, as written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swap_read_fails: Option<Spanned<u32>>,
    /// Of how many pages those beside a fault's are read from the swap device with it, as a power
    /// of two, as written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub readahead: Option<Spanned<u32>>,
    /// How many pages a collapse brings back from the swap device, as written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_ptes_swap: Option<Spanned<u32>>,
    /// How many pages a CPU's batch for the LRU lists has, as written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lru: Option<Spanned<u32>>,
    /// How many more frames each node has that are set apart for what can move, as written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub movable: Option<Spanned<u32>>,
    /// How many more frames each node has that contiguous requests take back, as written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cma: Option<Spanned<u32>>,
    /// How folios as large as a page table are mapped, as written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thp: Option<Spanned<Thp>>,
    /// What hinting faults do with pages of other nodes, as written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub numa: Option<Spanned<Numa>>,
    /// CPUs as written; see [`Scenario::cpus`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cpus: Vec<Cpu>,
    /// Files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<File>,
    /// Groups of memory.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<Group>,
}

impl Machine {
    /// Number of memory nodes; 1 unless written.
    pub fn nodes(&self) -> u32 {
        self.nodes.map_or(1, |nodes| nodes.value)
    }

    /// Frames of each node; 12 unless written.
    pub fn frames(&self) -> u32 {
        self.frames.map_or(12, |frames| frames.value)
    }

    /// Words of data that each page has; 1 unless written.
    pub fn words(&self) -> u32 {
        self.words.map_or(1, |words| words.value)
    }

    /// How often one migration attempt is repeated; 10 unless written, as in Linux.
    pub fn migrate_passes(&self) -> u32 {
        self.migrate_passes.map_or(10, |passes| passes.value)
    }

    /// How many huge pages are set aside; none unless written.
    pub fn hugetlb(&self) -> u32 {
        self.hugetlb.map_or(0, |pages| pages.value)
    }

    /// How many slots the swap device has; there is none unless written.
    pub fn swap(&self) -> u32 {
        self.swap.map_or(0, |slots| slots.value)
    }

    /// What the swap device is like; it finds any page as fast as any other unless written.
    pub fn swap_device(&self) -> SwapKind {
        self.swap_device.map_or(SwapKind::Solid, |device| device.value)
    }

    /// What the swap device bears of a page while it writes it: changes, unless written.
    pub fn swap_writes(&self) -> SwapChanges {
        self.swap_writes.map_or(SwapChanges::Any, |writes| writes.value)
    }

    /// Which of the swap device's writes fails, counted from 1; none unless written.
    pub fn swap_write_fails(&self) -> Option<u32> {
        self.swap_write_fails.map(|nth| nth.value)
    }

    /// Which of the swap device's reads fails, counted from 1; none unless written.
    pub fn swap_read_fails(&self) -> Option<u32> {
        self.swap_read_fails.map(|nth| nth.value)
    }

    /// Of how many pages those beside a fault's are read from the swap device with it, as a power
    /// of two; it comes alone unless written.
    pub fn readahead(&self) -> u32 {
        self.readahead.map_or(0, |order| order.value)
    }

    /// How many pages a collapse brings back from the swap device, if that has a limit.
    pub fn max_ptes_swap(&self) -> Option<u32> {
        self.max_ptes_swap.map(|pages| pages.value)
    }

    /// How many pages a CPU's batch for the LRU lists has; there are no lists unless written.
    pub fn lru(&self) -> u32 {
        self.lru.map_or(0, |pages| pages.value)
    }

    /// How many more frames each node has that are set apart for what can move; none unless
    /// written.
    pub fn movable(&self) -> u32 {
        self.movable.map_or(0, |frames| frames.value)
    }

    /// How many more frames each node has that contiguous requests take back; none unless written.
    pub fn cma(&self) -> u32 {
        self.cma.map_or(0, |frames| frames.value)
    }

    /// How folios as large as a page table are mapped; by an entry for each page unless written.
    pub fn thp(&self) -> Thp {
        self.thp.map_or(Thp::Entries, |thp| thp.value)
    }

    /// What hinting faults do with pages of other nodes; they move them at once unless written.
    pub fn numa(&self) -> Numa {
        self.numa.map_or(Numa::AtOnce, |numa| numa.value)
    }
}

/// `cpu NAME node N`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cpu {
    /// Its name.
    pub name: Name,
    /// The node whose memory is local to it.
    pub node: Spanned<u32>,
}

/// The `setup` section.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setup {
    /// The process that all others descend from.
    pub process: Process,
    /// Steps in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Step>,
}

/// `process NAME [on CPU]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Process {
    /// Its name.
    pub name: Name,
    /// Where its steps of `setup` and `after` run, and those of its children; the first CPU unless
    /// written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Name>,
}

/// One lane: steps in order, at any moment relative to the other lanes unless it waits for them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lane {
    /// Its name.
    pub name: Name,
    /// On whose behalf it runs.
    pub runner: Runner,
    /// The lane that must have ended before this one begins; none unless written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Name>,
    /// Steps in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Step>,
}

/// On whose behalf a lane runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Runner {
    /// A thread of a process.
    Process {
        /// The process: the first one, or one that `setup` or another lane forks.
        name: Name,
        /// The CPU it stays on; the first unless written.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cpu: Option<Name>,
    },
    /// A device; it reads and writes through handles only.
    Device,
}

/// A comment, kept for the formatter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Comment {
    /// The statement it belongs to, counted in the order of the canonical text. One past the last
    /// statement: the comment ends the file.
    pub statement: usize,
    /// Its position.
    pub placement: Placement,
    /// Its text without `#` and outer blanks.
    pub text: String,
}

/// Where a comment is placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Placement {
    /// On its own line before the statement.
    Above,
    /// At the end of the statement's line.
    Beside,
}
