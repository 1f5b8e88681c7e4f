//! Swap: pages go to a device and come back. No process sees of any of this but what it stored.

use std::boxed::Box;

use super::{World, is_misfortune};
use crate::ops::{Run, SwapOp};
use crate::testing::{Disk, Mem, store};
use pinfold::{
    Format, NodeId, Prot, Reclaimed, Reclaimer, Sharing, StoreError, SwapError, SwapId, SwapWrites,
    VirtAddr, Watermarks, Zone,
};

/// Slots of the device: fewer than there are pages.
const SLOTS: u64 = 12;

/// A little is kept free where there are lists to take it from.
pub(super) fn marks(listed: u32) -> Watermarks {
    match listed {
        0 => Watermarks::default(),
        _ => Watermarks { min: 2, low: 4, high: 6 },
    }
}

/// The swap device of a machine, with its store.
pub(crate) struct Swap {
    disk: Disk,
    id: SwapId,
}

impl Swap {
    pub(super) fn new<F: Format>(mem: &Mem<F>) -> Self {
        let disk = Disk::default();
        let id = mem.swap_on(Box::new(disk.clone()), SLOTS, SwapWrites::Any).unwrap();
        Self { disk, id }
    }

    /// Whether reads and writes fail from now on.
    pub(super) fn fail(&self, with: Option<StoreError>) {
        self.disk.fail(with);
    }
}

impl<F: Format> World<F> {
    pub(super) fn on_swap(&mut self, op: &SwapOp) {
        match *op {
            SwapOp::PageOut { who, run, by } => self.page_out(who, run, by),
            SwapOp::Fill { who, run } => {
                self.replace(who, run, Prot::READ_WRITE, Sharing::Private);
                for page in run.first..run.first + run.pages {
                    self.store(who, page, |space, at, new| store(space, at, new).map(drop));
                }
                self.page_out(who, run, Reclaimer::Advice);
            }
            SwapOp::Off => self.swap_off(),
            SwapOp::Reclaim { node, goal, zone } => self.reclaim(NodeId(node), goal, zone),
            SwapOp::Balance { node } => {
                self.mem.balance(NodeId(node));
            }
        }
    }

    fn page_out(&mut self, who: usize, run: Run, by: Reclaimer) {
        let range = self.range(run);
        let Some(process) = self.pick(who) else { return };
        let Reclaimed { freed, kept } = process.space.page_out(range, by);
        // A folio that reaches beyond the run goes as a whole.
        assert!(self.checks.folios.advised != 0 || freed + kept <= run.pages);
    }

    /// Takes pages of all processes, but none that is locked in memory; those that devices have are
    /// looked at after each step.
    fn reclaim(&mut self, node: NodeId, goal: u64, zone: Zone) {
        let locked = |world: &Self| -> Vec<_> {
            let in_step = world.processes.iter().filter(|_| world.checks.pins_in_step);
            let slots =
                in_step.flat_map(|process| process.slots.iter().map(move |at| (process, at)));
            let entries = slots.filter(|(_, (_, slot))| slot.locked).map(|(process, (page, _))| {
                let entry = process.space.entry(VirtAddr::of_page(world.base + page));
                entry.is_mapped().then(|| entry.pfn())
            });
            entries.collect()
        };
        let before = locked(self);
        let done = self.mem.reclaim_zone(node, zone, goal);
        assert!(self.checks.listed > 0 || done == Reclaimed::default());
        for (was, is) in before.into_iter().zip(locked(self)) {
            assert!(was.is_none() || was == is, "a locked page has left: {was:?}");
        }
    }

    /// What cannot come back has a slot.
    fn assert_used(&self, id: SwapId) {
        let used = self.mem.swap_usage(id).map(|usage| usage.slots - usage.free);
        assert!(used > Some(0), "what cannot come back has a slot");
    }

    /// Brings all pages back, if there are frames for them and the device works, and takes the
    /// device out of use; a new one takes its place.
    fn swap_off(&mut self) {
        let id = self.swap.id;
        for process in &self.processes {
            if let Err(error) = process.space.swap_in(id) {
                assert!(is_misfortune(error), "{error}");
                return self.assert_used(id);
            }
        }
        for modelled in &self.files {
            if let Err(error) = modelled.file.swap_in(id) {
                assert!(self.is_excused(error), "{error}");
                return self.assert_used(id);
            }
        }
        match self.mem.swap_off(id) {
            // For frames to bring pages back others had to go.
            Err(SwapError::InUse { .. }) if self.checks.listed > 0 => {
                return self.mem.swap_again(id);
            }
            ended => assert_eq!(ended, Ok(())),
        }
        assert_eq!(self.mem.swap_off(id), Err(SwapError::Off));
        self.swap = Swap::new(&self.mem);
        self.swap.fail(self.fails.then_some(StoreError::Io));
    }
}
