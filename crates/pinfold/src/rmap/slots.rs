//! The type-stable memory of all families: which slots are free.
//!
//! Protocol: free slots are in one list. If there are several CPUs, each has a stock of them, too,
//! so that those who map and unmap at the same time do not meet: for the roots of families, which
//! is what mapping takes and unmapping gives back. An empty stock gets a batch from the list, or
//! new ones; a full one gives a batch back. The list's lock is taken inside a stock's. Fork, which
//! needs a slot for each area, has a reserve of its own ([`Reserve`]), which takes no lock at all.

use crate::error::NoMemory;
use crate::sync::{self, CellName, Inside, Masks, PerCpu, SpinLock, SpinLocked, Stable};

use super::home::NONE;
use super::node::Node;

/// All slots of a machine.
pub(super) struct Slots {
    /// The slot with number `n` is at `n - 1`: number 0 is none.
    nodes: Stable<Node>,
    list: SpinLock<List>,
    /// The CPUs' stocks, if there are any.
    stocks: Option<PerCpu<SpinLock<Stock>>>,
}

/// Slots that pass at a time between a stock and the list; a stock has two such batches at most.
const BATCH: u32 = 8;

/// Free slots of a CPU.
struct Stock {
    /// The first one; each names the next.
    free: u32,
    len: u32,
}

impl Default for Stock {
    fn default() -> Self {
        Self { free: NONE, len: 0 }
    }
}

/// The slots that are part of no family.
struct List {
    /// The first free one; each names the next.
    free: u32,
    /// How many slots have been in use, ever.
    made: u32,
}

impl Slots {
    pub(super) fn new() -> Self {
        let list = SpinLock::new(List { free: NONE, made: 0 });
        Self { nodes: Stable::new(), list, stocks: None }
    }

    /// Gives each of `cpus` CPUs a stock.
    ///
    /// # Errors
    /// When the heap is exhausted.
    pub(super) fn stock_up(&mut self, cpus: usize) -> Result<(), NoMemory> {
        self.stocks = Some(PerCpu::new(cpus)?);
        Ok(())
    }

    /// Names the lock for a trace, once it is in its final place.
    pub(super) fn label(&self) {
        let list = &self.list;
        sync::label(list, size_of_val(list), |_| CellName::Object {
            object: "families",
            index: 0,
            cell: "",
        });
        for (index, stock) in (0..).zip(self.stocks.iter().flat_map(PerCpu::iter)) {
            sync::label(stock, size_of_val(stock), move |_| CellName::Object {
                object: "CPU",
                index,
                cell: "free families",
            });
        }
    }

    /// A slot that was taken once.
    #[inline]
    pub(super) fn node(&self, slot: u32) -> &Node {
        self.nodes.at(slot.wrapping_sub(1))
    }

    fn lock(&self) -> Inside<SpinLocked<'_, List>> {
        Inside::lock(Masks::Preemption, || self.list.lock())
    }

    /// A slot that is part of no family.
    ///
    /// # Errors
    /// When the heap is exhausted.
    pub(super) fn take(&self) -> Result<u32, NoMemory> {
        self.take_from(&mut self.lock())
    }

    #[inline]
    fn take_from(&self, list: &mut List) -> Result<u32, NoMemory> {
        let free = list.free;
        if free != NONE {
            // SAFETY: a free slot's links are under the lock that is held.
            list.free = unsafe { self.node(free).links.read() }.younger;
            return Ok(free);
        }
        let made = list.made;
        self.nodes.grow(made, Node::vacant)?;
        list.made = made + 1;
        self.label_slot(list.made);
        Ok(list.made)
    }

    /// As [`Slots::take`], from the stock of the CPU with number `cpu` if there is one.
    ///
    /// # Errors
    /// When the heap is exhausted.
    pub(super) fn take_on(&self, cpu: usize) -> Result<u32, NoMemory> {
        let Some(stocks) = &self.stocks else { return self.take() };
        let mut stock = Inside::lock(Masks::Preemption, || stocks.of(cpu).lock());
        if stock.len == 0 {
            self.fill(&mut stock)?;
        }
        Ok(self.unlink(&mut stock))
    }

    /// Takes a slot out of a stock, which is not empty. The caller has the stock's lock.
    fn unlink(&self, stock: &mut Stock) -> u32 {
        let slot = stock.free;
        // SAFETY: the links of a slot in a stock are under the stock's lock, which is held.
        stock.free = unsafe { self.node(slot).links.read() }.younger;
        stock.len -= 1;
        slot
    }

    /// Moves a batch into an empty stock; at least one.
    #[cold]
    fn fill(&self, stock: &mut Stock) -> Result<(), NoMemory> {
        let mut list = self.lock();
        while stock.len < BATCH {
            match self.take_from(&mut list) {
                Ok(slot) => self.link(slot, stock),
                Err(NoMemory) if stock.len > 0 => break,
                Err(NoMemory) => return Err(NoMemory),
            }
        }
        Ok(())
    }

    /// Puts a slot into a stock. The caller has the stock's lock, and the slot.
    fn link(&self, slot: u32, stock: &mut Stock) {
        // SAFETY: the slot is part of no family and in no list, so it is the caller's alone.
        unsafe { self.node(slot).links.write() }.younger = stock.free;
        stock.free = slot;
        stock.len += 1;
    }

    fn label_slot(&self, slot: u32) {
        let node = self.node(slot);
        sync::label(node, size_of_val(node), move |offset| CellName::Object {
            object: "family",
            index: u64::from(slot - 1),
            cell: Node::cell(offset),
        });
    }

    /// Ends the life of a slot in a family, whose lock the caller has for writing, and frees it.
    pub(super) fn retire(&self, slot: u32) {
        self.node(slot).leave_family();
        self.give(slot);
    }

    /// A slot that has left its family is free from now on. One whose count of forks has come to
    /// its end is not used again: its next life could not be told from this one.
    pub(super) fn give(&self, slot: u32) {
        self.give_to(slot, &mut self.lock());
    }

    fn give_to(&self, slot: u32, list: &mut List) {
        // SAFETY: the slot is part of no family, and nobody else frees it: its links are under the
        // lock that is held.
        let links = unsafe { self.node(slot).links.write() };
        if links.forks == u32::MAX {
            return;
        }
        links.younger = list.free;
        list.free = slot;
    }

    /// As [`Slots::give`], to the stock of the CPU with number `cpu` if there is one.
    #[inline]
    pub(super) fn give_on(&self, slot: u32, cpu: usize) {
        let Some(stocks) = &self.stocks else { return self.give(slot) };
        let mut stock = Inside::lock(Masks::Preemption, || stocks.of(cpu).lock());
        // SAFETY: as in `give_to`; from now on the links are under the stock's lock.
        if unsafe { self.node(slot).links.read() }.forks == u32::MAX {
            return;
        }
        self.link(slot, &mut stock);
        if stock.len == 2 * BATCH {
            self.unload(&mut stock);
        }
    }

    /// Gives a batch back to the list.
    #[cold]
    fn unload(&self, stock: &mut Stock) {
        let mut list = self.lock();
        while stock.len > BATCH {
            let slot = self.unlink(stock);
            self.give_to(slot, &mut list);
        }
    }

    /// How many slots have been in use, ever.
    #[cfg(test)]
    pub(super) fn made(&self) -> u32 {
        self.lock().made
    }
}

/// Free slots of one who is going to need several: they are his alone, as those of a stock are
/// under its lock. What he has not taken in the end goes back.
pub(crate) struct Reserve<'a> {
    slots: &'a Slots,
    /// The first `len` are free slots.
    free: [u32; BATCH as usize],
    len: usize,
    /// How many more he may need.
    wanted: usize,
}

impl<'a> Reserve<'a> {
    /// Nothing yet; about `wanted` slots will be taken.
    pub(super) fn new(slots: &'a Slots, wanted: usize) -> Self {
        Self { slots, free: [NONE; BATCH as usize], len: 0, wanted }
    }

    /// As [`Slots::take`].
    ///
    /// # Errors
    /// When the heap is exhausted.
    #[inline]
    pub(super) fn take(&mut self) -> Result<u32, NoMemory> {
        if self.len == 0 {
            self.fill()?;
        }
        self.len -= 1;
        Ok(self.free[self.len])
    }

    /// Takes as many as are wanted, in batches; at least one.
    #[inline(never)]
    fn fill(&mut self) -> Result<(), NoMemory> {
        let most = self.wanted.clamp(1, self.free.len());
        let mut list = self.slots.lock();
        for place in &mut self.free[..most] {
            match self.slots.take_from(&mut list) {
                Ok(slot) => *place = slot,
                Err(NoMemory) if self.len > 0 => break,
                Err(NoMemory) => return Err(NoMemory),
            }
            self.len += 1;
        }
        self.wanted = self.wanted.saturating_sub(self.len);
        Ok(())
    }
}

impl Drop for Reserve<'_> {
    fn drop(&mut self) {
        if self.len > 0 {
            let mut list = self.slots.lock();
            self.free[..self.len].iter().for_each(|slot| self.slots.give_to(*slot, &mut list));
        }
    }
}
