//! A thread: what it has at hand for everything that it does.

use super::board::{Board, Space};
use super::desk::{Desk, Kind};
use super::dice::Dice;
use super::stamp::{By, Known, Lane};
use super::world::{Seat, World};
use pinfold::{Pfn, Pins, VirtRange};
use std::sync::Arc;

/// A process that is this thread's alone, and what it must find there.
pub(super) struct Child {
    pub(super) space: Space,
    pub(super) area: VirtRange,
    pub(super) known: Known,
}

/// Pages that a device has for long.
pub(super) struct Held {
    pub(super) seat: usize,
    /// That of the process whose pages they are.
    pub(super) generation: u64,
    /// The first page.
    pub(super) first: u64,
    /// What the device wrote last into each.
    pub(super) written: Vec<u64>,
    pub(super) pins: Pins<Board>,
}

/// A run of frames that a device has for itself.
pub(super) struct LowRun {
    pub(super) first: Pfn,
    pub(super) frames: u64,
    /// What the device has written there.
    pub(super) stamp: u64,
}

/// One thread.
pub(super) struct Worker {
    pub(super) world: Arc<World>,
    pub(super) seats: Arc<[Seat]>,
    pub(super) desk: Arc<Desk>,
    pub(super) number: usize,
    pub(super) dice: Dice,
    pub(super) held: Vec<Held>,
    pub(super) children: Vec<Child>,
    /// Runs of frames that its device has.
    pub(super) low: Vec<LowRun>,
    /// How many it has had.
    pub(super) taken: u64,
    stamps: u32,
}

impl Worker {
    pub(super) fn new(
        (world, seats): (Arc<World>, Arc<[Seat]>),
        desk: Arc<Desk>,
        number: usize,
        seed: u64,
    ) -> Self {
        let dice = Dice::new(seed ^ (number as u64) << 32);
        let (held, children, low) = (Vec::new(), Vec::new(), Vec::new());
        Self { world, seats, desk, number, dice, held, children, low, taken: 0, stamps: 0 }
    }

    pub(super) fn seat(&mut self) -> usize {
        self.dice.roll(self.seats.len() as u64) as usize
    }

    /// A page: half of the time one of the few that are used often.
    pub(super) fn page(&mut self) -> u64 {
        let pages = self.world.pages;
        let most = if self.dice.roll(2) == 0 { pages.div_ceil(8) } else { pages };
        self.dice.roll(most)
    }

    pub(super) fn lane(&self, by: By) -> Lane {
        Lane { thread: self.number, by }
    }

    pub(super) fn next_stamp(&mut self, by: By, page: u64) -> u64 {
        self.stamps = self.stamps.wrapping_add(1).max(1);
        self.lane(by).stamp(page, self.stamps)
    }

    /// Holds what stands in one of the own lanes against what is known.
    pub(super) fn compare(&self, (kind, page): (Kind, u64), by: By, found: [u64; 2], wanted: u64) {
        self.world.compare((&self.desk, kind), (self.lane(by), page), found, wanted);
    }
}
