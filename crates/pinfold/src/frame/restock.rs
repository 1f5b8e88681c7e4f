//! Frames between the CPUs' stocks and the nodes' lists: the protocol of `stock`.

use super::buddy::{Node, NodeLock};
use super::chain::{Batch, Chain};
use super::flags::{HOME_MASK, node_of, zone_of};
use super::frames::Frames;
use super::meta::Frame;
use super::source::Zone;
use super::stock::{NOWHERE, Push, Stock, StockLock, Stocks};
use super::zones::{ZONES, zones_for};
use crate::addr::{NodeId, Pfn};
use crate::error::NoMemory;

impl Frames {
    /// Gives each of `cpus` CPUs a stock whose frames come and go in batches of so many; none if
    /// that is zero, if there is one CPU, or if the free frames have an outside owner.
    pub(crate) fn stock_up(&mut self, cpus: usize, batch: u32) -> Result<(), NoMemory> {
        self.stocks = match batch {
            1.. if cpus > 1 && self.outside.is_none() => Some(Stocks::new(cpus, batch)?),
            _ => None,
        };
        Ok(())
    }

    /// A free frame near `node` for the CPU with number `cpu`, if there are stocks and the node has
    /// plenty.
    #[inline]
    pub(super) fn take_stocked(&self, cpu: usize, node: NodeId, zone: Zone) -> Option<Pfn> {
        let stocks = self.stocks.as_ref()?;
        let stock = stocks.of.of(cpu);
        let popped = stock.lock().pop(self.metadata(), node, zone);
        popped.or_else(|| self.restock(stocks, stock, node, zone))
    }

    /// A frame for a CPU whose stock has nothing for such a request: from a new batch, or a single
    /// one if that is all that the node gives.
    #[inline(never)]
    fn restock(&self, stocks: &Stocks, stock: &StockLock, id: NodeId, zone: Zone) -> Option<Pfn> {
        let lock = self.store.nodes().get(usize::from(id.0))?;
        self.leave_other_node(stock, id);
        let mut node = lock.lock();
        if node.free() >= stocks.plenty + stocks.batch {
            let mut stock = stock.lock();
            if stock.can_change(id, zone) {
                self.fill(&mut stock, &mut node, zone, stocks.batch);
            }
            if let Some(pfn) = stock.pop(self.metadata(), id, zone) {
                return Some(pfn);
            }
        }
        if self.is_bounded {
            // Whose marks are to be looked at: as any request.
            return None;
        }
        let recall = |node: &mut Node| stocks.recall(node, id, self.metadata());
        node.single(self.metadata(), |_| zones_for(zone), recall)
    }

    /// Gives a stock another batch in place of what it has.
    fn fill(&self, stock: &mut Stock, node: &mut Node, zone: Zone, most: u64) {
        if stock.home != NOWHERE {
            stock.detach(node, self.metadata());
        }
        if let Some(Batch { chain, serves }) = node.batch(self.metadata(), zone, most) {
            let home = self.frame(Pfn(chain.first)).flags.fixed(HOME_MASK);
            *stock = Stock { loaded: chain, full: Chain::default(), home, serves };
            node.attached += 1;
        }
    }

    /// Detaches a stock from a node other than `id`: its CPU has moved there.
    fn leave_other_node(&self, stock: &StockLock, id: NodeId) {
        let home = stock.lock().home;
        if home == NOWHERE || node_of(home) == id {
            return;
        }
        let mut node = self.store.nodes()[usize::from(node_of(home).0)].lock();
        let mut stock = stock.lock();
        if stock.is_at(node_of(home)) {
            stock.detach(&mut node, self.metadata());
        }
    }

    /// Puts a frame that has ended its life into the stock of the CPU with number `cpu`; whether
    /// that was its place.
    #[inline]
    pub(super) fn keep_stocked(&self, cpu: usize, frame: &Frame, pfn: Pfn, home: u32) -> bool {
        let Some(stocks) = &self.stocks else { return false };
        let stock = stocks.of.of(cpu);
        let pushed = stock.lock().push(frame, pfn, home, stocks.batch);
        match pushed {
            Push::Taken => true,
            Push::Foreign => false,
            Push::Full => self.unload(stock, (frame, pfn, home), stocks.batch),
        }
    }

    /// Gives a batch back to the node to make room for a frame; whether that is in the stock now.
    #[inline(never)]
    fn unload(&self, stock: &StockLock, freed: (&Frame, Pfn, u32), batch: u64) -> bool {
        let (frame, pfn, home) = freed;
        let mut node = self.store.nodes()[usize::from(node_of(home).0)].lock();
        let mut stock = stock.lock();
        if stock.home == home {
            let full = core::mem::take(&mut stock.full);
            node.splice(self.metadata(), full, zone_of(home));
        }
        stock.push(frame, pfn, home, batch) == Push::Taken
    }

    /// Puts the frames of all stocks of a node, whose lock the caller holds, into its lists;
    /// whether there were stocks.
    pub(super) fn recall(&self, node: &mut Node, id: NodeId) -> bool {
        self.stocks.as_ref().is_some_and(|stocks| stocks.recall(node, id, self.metadata()))
    }

    /// The free frames of a node, those of stocks included.
    pub(super) fn free_of(&self, lock: &NodeLock, id: NodeId) -> u64 {
        let node = lock.lock();
        let held = |zone| self.stocks.as_ref().map_or(0, |stocks| stocks.held(&node, id, zone));
        node.free() + (0..ZONES as u32).map(held).sum::<u64>()
    }
}

#[cfg(test)]
mod tests;
