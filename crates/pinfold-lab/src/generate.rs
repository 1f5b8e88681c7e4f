//! Random programs of the scenario language: what nobody thought of writing.
//!
//! INV-GENERATE-1: a program follows from its seed and shape alone.
//! INV-GENERATE-2: a program without one of its steps is a program again, or is refused by
//! [`parse`](crate::scenario::parse()): claims follow from the steps that are left.

use std::fmt::Write as _;

mod claims;
mod maker;
mod shape;
mod steps;
#[cfg(test)]
mod tests;

use crate::scenario::Thp;
use maker::Maker;
pub use shape::{Aim, Extent, Files, Scans, Shape, Swaps};
pub use steps::Step;
use steps::{FILES, GROUPS};

/// Frames on each node that no program uses up, with every process and its page tables: a real
/// machine does not run out of them either.
const ENOUGH: u32 = 128;

/// Slots of a swap device: fewer than all pages of a program may need.
const SLOTS: u32 = 3;
/// Pages that gather in a CPU's batch, where there are batches.
const BATCH: u32 = 2;

/// A program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    shape: Shape,
    /// How many pages each group of memory may be charged for.
    limit: u32,
    /// How a large folio is mapped.
    thp: Thp,
    /// How many huge pages there are, if any.
    pool: Option<u32>,
    setup: Vec<Step>,
    lanes: Vec<Lane>,
    after: Vec<Step>,
}

/// A lane of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Lane {
    process: &'static str,
    cpu: u32,
    steps: Vec<Step>,
}

impl Program {
    /// The program of a seed.
    pub fn random(seed: u64, shape: &Shape) -> Self {
        let mut maker = Maker::new(seed, shape);
        let setup = maker.setup();
        let mut lanes = Vec::new();
        let mut after = Vec::new();
        if shape.lanes == 0 {
            // The language wants a lane.
            lanes.push(Lane { process: "P", cpu: 0, steps: vec![maker.touch()] });
            let count = maker.between(2, shape.steps);
            after.extend((0..count).map(|_| maker.alone()));
        } else {
            for lane in 0..shape.lanes {
                let process = maker.process_of_lane(lane);
                let count = maker.between(1, shape.steps);
                let steps = (0..count).map(|_| maker.step_of(process)).collect();
                let cpu = lane as u32 % 2;
                lanes.push(Lane { process, cpu, steps });
            }
            if let (Some((step, process, steps)), Some(first)) = (maker.vfork(), lanes.first_mut())
            {
                first.steps.push(step);
                lanes.push(Lane { process, cpu: shape.lanes as u32 % 2, steps });
            }
        }
        let (limit, thp, pool) = (maker.limit(), maker.thp(), maker.pool());
        if maker.reaches_across(seed) {
            let lane = maker.between(1, shape.lanes.max(1)) - 1;
            match lanes.get_mut(lane).filter(|_| shape.lanes > 0) {
                Some(lane) => lane.steps.extend(maker.remote(lane.process)),
                None => after.extend(maker.remote_of_any()),
            }
        }
        let mut program = Self { shape: *shape, limit, thp, pool, setup, lanes, after };
        if maker.reclaims(seed) {
            program.reclaim(&mut maker);
        }
        program
    }

    /// Appends steps of reclaim to one of the lanes, or to what runs after them.
    fn reclaim(&mut self, maker: &mut Maker) {
        // Advice about what is locked would fail in one way more.
        let locks = self.every().any(Step::locks);
        // Not one of a child that ends, which comes last.
        let lane = maker.between(1, self.shape.lanes.max(1)) - 1;
        match self.lanes.get_mut(lane).filter(|_| self.shape.lanes > 0) {
            Some(lane) => lane.steps.extend(maker.reclaiming(Some(lane.process), locks)),
            None => self.after.extend(maker.reclaiming(None, locks)),
        }
    }

    /// Whether the machine has the lists that reclaim chooses from: not for a kernel to be compared
    /// with, unless a step needs them.
    fn has_lists(&self) -> bool {
        let compared = self.shape.aim == Aim::Compare;
        self.every().any(|step| step.needs_lists() || step.orders_lists() && !compared)
    }

    /// How many steps it has.
    pub fn steps(&self) -> usize {
        self.every().count()
    }

    fn every(&self) -> impl Iterator<Item = &Step> {
        let lanes = self.lanes.iter().flat_map(|lane| &lane.steps);
        self.setup.iter().chain(lanes).chain(&self.after)
    }

    /// Every program that lacks one step of this one, or a lane without steps.
    pub fn smaller(&self) -> Vec<Self> {
        let lists = self.setup.len() + self.lanes.len() + self.after.len();
        let mut all = Vec::with_capacity(lists);
        for at in (0..self.after.len()).rev() {
            let mut less = self.clone();
            less.after.remove(at);
            all.push(less);
        }
        for lane in (0..self.lanes.len()).rev() {
            if self.lanes[lane].steps.len() <= 1 && self.lanes.len() > 1 {
                let mut less = self.clone();
                less.lanes.remove(lane);
                all.push(less);
                continue;
            }
            for at in (0..self.lanes[lane].steps.len()).rev() {
                let mut less = self.clone();
                less.lanes[lane].steps.remove(at);
                all.push(less);
            }
        }
        for at in (0..self.setup.len()).rev() {
            let mut less = self.clone();
            less.setup.remove(at);
            all.push(less);
        }
        all
    }

    /// The program as text of the language.
    pub fn text(&self, name: &str) -> String {
        let mut text = format!("scenario {name}\n");
        let _ = writeln!(text, "\nmachine\n  nodes {}", self.shape.nodes.max(1));
        let frames = self.shape.frames.filter(|_| self.pool.is_none());
        let _ = writeln!(text, "  frames {}", frames.unwrap_or(ENOUGH));
        let last = self.shape.nodes.max(1) - 1;
        let _ = writeln!(text, "  migrate-passes 1\n  cpu cpu0 node 0\n  cpu cpu1 node {last}");
        match self.thp {
            Thp::Entries => {}
            Thp::Pmd => text += "  thp pmd\n",
        }
        if self.every().any(Step::swaps) {
            let _ = writeln!(text, "  swap {SLOTS}");
        }
        if self.has_lists() {
            let _ = writeln!(text, "  lru {BATCH}");
        }
        if let Some(pages) = self.pool {
            let _ = writeln!(text, "  hugetlb {pages}");
        }
        for file in
            FILES.iter().filter(|file| self.every().any(|step| step.file() == Some(file.name)))
        {
            let behind = if file.stored { "" } else { " memory" };
            let _ = writeln!(text, "  file {} {}{behind}", file.name, file.pages);
        }
        for group in GROUPS.iter().filter(|group| self.every().any(|step| step.names_group(group)))
        {
            let _ = writeln!(text, "  group {group} limit {}", self.limit);
        }
        text += "\nsetup\n  process P on cpu0\n";
        for step in &self.setup {
            let _ = writeln!(text, "  {}", step.alone());
        }
        for (at, lane) in self.lanes.iter().enumerate() {
            let _ = writeln!(text, "\nlane l{at}: {} on cpu{}", lane.process, lane.cpu);
            for step in &lane.steps {
                let _ = writeln!(text, "  {step}");
            }
        }
        if !self.after.is_empty() {
            text += "\nafter\n";
            for step in &self.after {
                let _ = writeln!(text, "  {}", step.alone());
            }
        }
        let claims = match self.shape.aim {
            Aim::Compare => claims::claims(&self.every().collect::<Vec<_>>()),
            Aim::Oracles => Vec::new(),
        };
        match claims.is_empty() {
            true => text += "\noutcome done otherwise\n",
            false => text += "\nalways\n",
        }
        for claim in claims {
            let _ = writeln!(text, "  {claim}");
        }
        text
    }
}
