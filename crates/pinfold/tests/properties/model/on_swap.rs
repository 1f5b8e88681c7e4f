//! Swap: pages go to a device and come back. No process sees of any of this but what it stored.

use std::boxed::Box;

use super::{World, is_misfortune};
use crate::ops::{Run, SwapOp};
use crate::testing::{Disk, Mem, store};
use pinfold::{
    Format, Prot, Reclaimed, Reclaimer, Sharing, StoreError, SwapError, SwapId, SwapWrites,
};

/// Slots of the device: fewer than there are pages.
const SLOTS: u64 = 12;

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
        }
    }

    fn page_out(&mut self, who: usize, run: Run, by: Reclaimer) {
        let range = self.range(run);
        let Some(process) = self.pick(who) else { return };
        let Reclaimed { freed, kept } = process.space.page_out(range, by);
        // A folio that reaches beyond the run goes as a whole.
        assert!(self.checks.folios.advised != 0 || freed + kept <= run.pages);
    }

    /// Brings all pages back, if there are frames for them and the device works, and takes the
    /// device out of use; a new one takes its place.
    fn swap_off(&mut self) {
        let id = self.swap.id;
        for process in &self.processes {
            if let Err(error) = process.space.swap_in(id) {
                assert!(is_misfortune(error), "{error}");
                let used = self.mem.swap_usage(id).map(|usage| usage.slots - usage.free);
                assert!(used > Some(0), "what cannot come back has a slot");
                return;
            }
        }
        assert_eq!(self.mem.swap_off(id), Ok(()));
        assert_eq!(self.mem.swap_off(id), Err(SwapError::Off));
        self.swap = Swap::new(&self.mem);
        self.swap.fail(self.fails.then_some(StoreError::Io));
    }
}
