//! A CPU's loads and stores: translation cache, page walk, accessed and dirty bits, faults; and
//! those of a device that follows an address space, by the translations that it has filed.
//!
//! The cache keeps a translation until it is flushed, even if the tables change. A translation that
//! is writable and dirty keeps working; a clean one rechecks its entry before the first store
//! (INV-MACHINE-2). What an entry above the last level maps is cached for all of its pages at once,
//! and each of these is kept until it is flushed: no CPU is assumed to know that they are one.
//!
//! The programs of a scenario are assumed to be well synchronised: their loads acquire and their
//! stores release, under every memory model. What a weak model may reorder is the memory manager's
//! own accesses.

use std::ops::Range;

use pinfold::sync::AtomicU64;
use pinfold::{AddressSpace, Cause, FaultError, Format, Memory, PAGE_SIZE, Pfn, Pte, VirtAddr};

use crate::about::About;
use crate::folios;
use crate::hardware::{Level, Tables};
use crate::journal::{Sight, Touch, What};
use crate::machine::Machine;
use crate::report::Oracle;
use crate::tlb::Translation;

/// What an instruction does to a word.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Operation {
    Load,
    Store(u64),
}

impl Operation {
    fn cause(self) -> Cause {
        match self {
            Self::Load => Cause::Load,
            Self::Store(_) => Cause::Store,
        }
    }
}

/// A word in an address space.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    pub(crate) page: u64,
    pub(crate) word: usize,
}

/// How many times an instruction may fault before this counts as a bug: each fault makes progress
/// or meets another lane's change.
const MOST_FAULTS: u32 = 64;

impl Machine {
    /// Runs one instruction of the calling CPU, including the faults that it takes. The value is
    /// what a load found.
    pub(crate) fn access(
        &self,
        space: &AddressSpace<Self>,
        target: Target,
        operation: Operation,
    ) -> Result<u64, FaultError> {
        let cause = operation.cause();
        for _ in 0..MOST_FAULTS {
            if let Some(value) = self.instruction(space, target, operation) {
                return Ok(value);
            }
            space.fault(VirtAddr(target.page * PAGE_SIZE), cause)?;
        }
        self.broken(Oracle::Progress, format!("an access faulted {MOST_FAULTS} times in a row"));
        Ok(0)
    }

    /// An access of the device that follows `space`, with the faults that it takes. Returns the
    /// frame that it reached and the word that is there now.
    pub(crate) fn follow(
        &self,
        space: &AddressSpace<Self>,
        target: Target,
        operation: Operation,
    ) -> Result<(Pfn, u64), FaultError> {
        let at = VirtAddr::of_page(target.page);
        let cause = operation.cause();
        let Some(mirror) = self.followers().and_then(|followers| followers.of(space.id())) else {
            return Err(FaultError::NotMapped(at));
        };
        for _ in 0..MOST_FAULTS {
            let done = mirror.with(|table| {
                let entry = table.find(target.page);
                let entry = entry.filter(|entry| cause == Cause::Load || entry.writable)?;
                self.must_live(space.memory(), entry.frame);
                let cell = self.word(entry.frame, target.word);
                let value = match operation {
                    Operation::Load => cell.load_acquire(),
                    Operation::Store(value) => {
                        cell.store_release(value);
                        value
                    }
                };
                Some((entry.frame, value))
            });
            if let Some(done) = done {
                return Ok(done);
            }
            mirror.establish(space, at, cause)?;
        }
        self.broken(Oracle::Progress, format!("a device faulted {MOST_FAULTS} times in a row"));
        Ok((Pfn(0), 0))
    }

    /// One attempt; `None` is a fault.
    fn instruction(
        &self,
        space: &AddressSpace<Self>,
        target: Target,
        operation: Operation,
    ) -> Option<u64> {
        let cache = self.tlbs.of(self.cpu(), space.id());
        let mut tlb = cache.lock();
        let store = matches!(operation, Operation::Store(_));
        let cached = tlb.find(target.page);
        let usable = cached.filter(|entry| !store || (entry.writable && entry.dirty));
        let frame = match usable {
            Some(entry) => entry.frame,
            None if cached.is_some_and(|entry| store && !entry.writable) => return None,
            None => {
                let (pte, pages) = self.walk(space.root(), target.page, store)?;
                let frame = |page: u64| Pfn(pte.pfn().0 + (page - pages.start));
                for page in pages.clone() {
                    let translation = Translation {
                        page,
                        frame: frame(page),
                        writable: pte.is_writable(),
                        dirty: pte.is_dirty(),
                    };
                    tlb.remember(translation);
                    let (cpu, space) = (self.cpu(), space.id());
                    self.record().sees(|| Sight::Remembers { cpu, space, translation });
                }
                frame(target.page)
            }
        };
        self.must_live(space.memory(), frame);
        let cell = self.word(frame, target.word);
        let (value, what): (u64, fn(Touch) -> What) = match operation {
            Operation::Load => (cell.load_acquire(), What::Loads),
            Operation::Store(value) => {
                cell.store_release(value);
                (value, What::Stores)
            }
        };
        self.touched(Touch { frame, word: target.word, value, handle: None }, what);
        Some(value)
    }

    /// The page walk. The address of each table depends on the entry that was read before, which
    /// orders the accesses after that entry, so the walk acquires. It finds the entry and sets the
    /// accessed bit and, for a store, the dirty bit in one step with the check: the entry of the
    /// first of the pages that come with it, all of which it maps.
    fn walk(&self, root: Pfn, page: u64, store: bool) -> Option<(Pte<Tables>, Range<u64>)> {
        let (slot, seen) = self.slot(root, page, AtomicU64::load_acquire)?;
        let fits = |raw: u64| {
            let pte = slot.level.read(raw)?;
            let used = if store { pte.young().dirty() } else { pte.young() };
            (pte.is_present() && (!store || pte.is_writable())).then_some(used)
        };
        let found = |used: Pte<Tables>| (used, slot.pages());
        let wanted = fits(seen)?;
        if slot.level.bits(wanted) == seen {
            return Some(found(wanted));
        }
        let change = |raw| fits(raw).map(|used| slot.level.bits(used));
        let old = slot.cell.try_update(change).ok()?;
        fits(old).map(found)
    }

    /// Where the entry that maps a page lies, and its bits, reading all levels by `read`.
    fn slot(
        &self,
        root: Pfn,
        page: u64,
        read: impl Fn(&AtomicU64) -> u64,
    ) -> Option<(Slot<'_>, u64)> {
        let mut table = root;
        for above in (1..Tables::LEVELS).rev() {
            let cell = self.word(table, index(page, above));
            let raw = read(cell);
            if raw == 0 {
                return None;
            }
            let pte = Pte::<Tables>::from_bits(raw);
            if !pte.is_table() {
                // Nothing above this level maps pages.
                return (above == 1).then_some((Slot { cell, page, level: Level::Above }, raw));
            }
            table = pte.pfn();
        }
        let cell = self.word(table, index(page, 0));
        Some((Slot { cell, page, level: Level::Last }, read(cell)))
    }

    /// What maps a page now, and on which level; the empty entry where there is no table. No step
    /// of an exploration.
    pub(crate) fn look(&self, root: Pfn, page: u64) -> (Pte<Tables>, Level) {
        let Some((slot, raw)) = self.slot(root, page, AtomicU64::peek) else {
            return (Pte::NONE, Level::Last);
        };
        let first = slot.level.read(raw).unwrap_or(Pte::NONE);
        let further = page - slot.pages().start;
        (if further == 0 { first } else { first.further(further) }, slot.level)
    }

    /// Reports a use of a frame that is free. The zero pages never are.
    pub(crate) fn must_live(&self, memory: &Memory<Machine>, frame: Pfn) {
        let counts = || folios::counts(memory.frames(), frame);
        if !memory.is_huge_zero(frame) && counts().refs() == 0 {
            self.record().about.get_or_insert(About::Frame(frame));
            self.broken(Oracle::UseAfterFree, format!("{frame} is used after it was freed"));
        }
    }
}

/// The place of the entry that maps a page.
struct Slot<'m> {
    cell: &'m AtomicU64,
    page: u64,
    level: Level,
}

impl Slot<'_> {
    /// The pages that an entry there maps.
    fn pages(&self) -> Range<u64> {
        match self.level {
            Level::Last => self.page..self.page + 1,
            Level::Above => {
                let first = self.page & !(Tables::ENTRIES as u64 - 1);
                first..first + Tables::ENTRIES as u64
            }
        }
    }
}

/// The index of `page` in its table `level` levels above the last.
fn index(page: u64, level: u32) -> usize {
    (page >> (level * Tables::INDEX_BITS)) as usize & (Tables::ENTRIES - 1)
}
