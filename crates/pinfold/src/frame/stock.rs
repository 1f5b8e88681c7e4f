//! A stock of free frames for each CPU, so that CPUs that take and free single frames at the same
//! time do not meet at their node's lists. (Linux: per-CPU page lists. Two batches that change
//! places: the magazines of Bonwick and Adams, USENIX ATC 2001.)
//!
//! Protocol: a stock holds frames of one node and one zone, its *home*, and is attached to that
//! node. A CPU takes frames from its stock and frees those of the home into it, under the stock's
//! lock alone. An empty stock gets a batch from the node's lists, a full one gives a batch back:
//! under the node's lock, and the stock's inside. Which zone serves a request is decided when the
//! batch is taken, so a stock that serves a request goes on doing so until it is empty.
//!
//! A node gives a batch only while that leaves it more frames than all stocks can hold. Otherwise
//! it hands out single frames; when it has none that serves a request, it *recalls* all stocks that
//! are attached to it: their frames go back into its lists, they are detached, and what is freed
//! from then on goes into the lists, too. So a small node has no stocks, and an exhausted one looks
//! at them once.
//!
//! Invariants:
//! - INV-STOCK-1: a free frame passes between a stock and the node's lists, in either direction,
//!   only under the node's lock. Under it a frame that stays free stays where it is found.
//! - INV-STOCK-2: exhaustion is exact: a request fails only if no frame that would serve it was
//!   free from its beginning to its end. It recalls the stocks and looks again under one hold of
//!   the node's lock.
//! - INV-STOCK-3: a stock has frames only while it is attached; all are of its home. The node
//!   counts the stocks that are attached to it.
//! - INV-STOCK-4: the sum of free frames is exact when nothing runs: what the lists hold, and what
//!   the attached stocks hold.

use super::buddy::Node;
use super::chain::{Chain, kind};
use super::flags::{HOME_MASK, node_of, zone_of};
use super::meta::{Frame, Metadata};
use super::source::Zone;
use crate::addr::{NodeId, Pfn};
use crate::error::NoMemory;
use crate::sync::{self, CellName, Inside, Masks, PerCpu, SpinLock, SpinLocked};

/// The home of a detached stock: no zone has this number.
pub(super) const NOWHERE: u32 = HOME_MASK;

/// The free frames of a CPU; protected by the lock around it.
#[derive(Hash, Debug)]
pub(super) struct Stock {
    /// Taken from and freed to.
    pub(super) loaded: Chain,
    /// A batch, or empty.
    pub(super) full: Chain,
    /// Node and zone of its frames, as in their flag words; or [`NOWHERE`].
    pub(super) home: u32,
    /// The requests that it serves: bits of [`kind`].
    pub(super) serves: u32,
}

/// A stock with its lock. Taken with interrupts off if the kernel wants that: INV-MASK-3.
#[derive(Debug)]
pub(super) struct StockLock(SpinLock<Stock>);

impl Default for StockLock {
    fn default() -> Self {
        let (loaded, full) = (Chain::default(), Chain::default());
        Self(SpinLock::hashed(Stock { loaded, full, home: NOWHERE, serves: 0 }))
    }
}

impl StockLock {
    #[inline]
    pub(super) fn lock(&self) -> Inside<SpinLocked<'_, Stock>> {
        Inside::lock(Masks::Interrupts, || self.0.lock())
    }
}

impl Stock {
    /// The newest frame, if the stock serves such requests.
    #[inline]
    pub(super) fn pop(&mut self, frames: &Metadata, node: NodeId, zone: Zone) -> Option<Pfn> {
        if node_of(self.home) != node || self.serves & kind(zone) == 0 {
            return None;
        }
        if self.loaded.len == 0 {
            if self.full.len == 0 {
                return None;
            }
            core::mem::swap(&mut self.loaded, &mut self.full);
        }
        Some(self.loaded.pop(frames))
    }

    /// Takes a freed frame if it is of the home and there is room in batches of this size.
    #[inline]
    pub(super) fn push(&mut self, frame: &Frame, pfn: Pfn, home: u32, batch: u64) -> Push {
        if self.home != home {
            return Push::Foreign;
        }
        if self.loaded.len >= batch {
            if self.full.len != 0 {
                return Push::Full;
            }
            core::mem::swap(&mut self.loaded, &mut self.full);
        }
        self.loaded.push(frame, pfn);
        Push::Taken
    }

    pub(super) fn len(&self) -> u64 {
        self.loaded.len + self.full.len
    }

    /// Whether it gets a batch of `node` for such a request: when it is empty, or when it has what
    /// only serves others and the request is for anonymous pages, as nearly all are.
    pub(super) fn can_change(&self, node: NodeId, zone: Zone) -> bool {
        let unsuited = self.serves & kind(zone) == 0;
        match self.len() {
            0 => self.home == NOWHERE || self.is_at(node),
            _ => self.is_at(node) && unsuited && zone == Zone::Movable,
        }
    }

    pub(super) fn is_at(&self, node: NodeId) -> bool {
        self.home != NOWHERE && node_of(self.home) == node
    }

    /// Puts all frames into the node's lists and is attached to none. The caller holds the lock of
    /// the home's node: INV-STOCK-1.
    pub(super) fn detach(&mut self, node: &mut Node, frames: &Metadata) {
        for chain in [&mut self.full, &mut self.loaded] {
            node.splice(frames, core::mem::take(chain), zone_of(self.home));
        }
        (self.home, self.serves) = (NOWHERE, 0);
        node.attached -= 1;
    }
}

/// What became of a freed frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Push {
    Taken,
    /// It belongs elsewhere.
    Foreign,
    /// There are two batches.
    Full,
}

/// The stocks of all CPUs.
#[derive(Debug)]
pub(super) struct Stocks {
    pub(super) of: PerCpu<StockLock>,
    /// The most frames that pass at a time.
    pub(super) batch: u64,
    /// As many frames as all stocks hold at most.
    pub(super) plenty: u64,
}

impl Stocks {
    pub(super) fn new(cpus: usize, batch: u32) -> Result<Self, NoMemory> {
        let of = PerCpu::<StockLock>::new(cpus)?;
        let batch = u64::from(batch);
        let plenty = 2 * batch * of.iter().count() as u64;
        for (index, stock) in (0..).zip(of.iter()) {
            sync::label(stock, size_of_val(stock), move |_| CellName::Object {
                object: "CPU",
                index,
                cell: "free frames",
            });
        }
        Ok(Self { of, batch, plenty })
    }

    /// Puts the frames of all stocks that are attached to `node` into its lists: none is attached
    /// afterwards. Whether there were any.
    pub(super) fn recall(&self, node: &mut Node, id: NodeId, frames: &Metadata) -> bool {
        let any = node.attached != 0;
        let mut stocks = self.of.iter();
        while node.attached != 0
            && let Some(stock) = stocks.next()
        {
            let mut stock = stock.lock();
            if stock.is_at(id) {
                stock.detach(node, frames);
            }
        }
        any
    }

    /// The frames in stocks of a zone of a node, whose lock the caller holds.
    pub(super) fn held(&self, node: &Node, id: NodeId, zone: u32) -> u64 {
        if node.attached == 0 {
            return 0;
        }
        self.of
            .iter()
            .map(|stock| stock.lock())
            .filter(|stock| stock.is_at(id) && zone_of(stock.home) == zone)
            .map(|stock| stock.len())
            .sum()
    }
}
