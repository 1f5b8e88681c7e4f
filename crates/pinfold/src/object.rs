//! Objects whose pages several address spaces share: anonymous shared memory. Its pages are kept by the object, as a page cache keeps
//! those of a file, so they outlive any mapping.
//!
//! Protocol: the page list is under a sleeping lock; each listed page carries one reference of the object (facts 0.2).

use alloc::vec::Vec;

use crate::addr::Pfn;
use crate::error::{FaultError, NoMemory};
use crate::frame::{Flags, Start};
use crate::memory::Memory;
use crate::platform::Platform;
use crate::sync::{RwSem, Shared};

/// Pages of one run of the list; runs are allocated when their first page is.
const RUN: usize = 512;

type Run = Vec<Option<Pfn>>;

/// Shared anonymous memory.
pub(crate) struct SharedObject<P: Platform> {
    mem: Shared<Memory<P>>,
    /// The runs of the page list; an empty one has no page yet.
    runs: RwSem<Vec<Run>>,
}

impl<P: Platform> SharedObject<P> {
    /// An object of `pages` pages, none of them there yet.
    pub(crate) fn new(mem: Shared<Memory<P>>, pages: u64) -> Result<Shared<Self>, NoMemory> {
        let count = usize::try_from(pages.div_ceil(RUN as u64)).map_err(|_| NoMemory)?;
        let mut runs = Vec::new();
        runs.try_reserve_exact(count).map_err(|_| NoMemory)?;
        runs.resize_with(count, Run::new);
        Shared::try_new(Self { mem, runs: RwSem::new(runs) })
    }

    /// Page `index` of the object with a reference for the caller, made if it is not there.
    pub(crate) fn page(&self, index: u64) -> Result<Pfn, FaultError> {
        let mut runs = self.runs.write(self.mem.platform());
        let run = &mut runs[index as usize / RUN];
        if run.is_empty() {
            run.try_reserve_exact(RUN).map_err(|_| NoMemory)?;
            run.resize(RUN, None);
        }
        let slot = &mut run[index as usize % RUN];
        let pfn = match *slot {
            Some(pfn) => pfn,
            None => {
                let fresh = self.mem.alloc_local(Flags::DIRTY, Start::Held)?;
                self.mem.platform().zero_frame(fresh.pfn());
                *slot.insert(fresh.keep())
            }
        };
        self.mem.frames().get(pfn, 1);
        Ok(pfn)
    }

    /// Drops the list without touching the frames; see [`crate::lab::abandon`].
    pub(crate) fn abandon(&self) {
        self.runs.write(self.mem.platform()).clear();
    }

    /// Calls `visit` for each page that the object holds.
    pub(crate) fn each_page(&self, mut visit: impl FnMut(Pfn)) {
        let runs = self.runs.read(self.mem.platform());
        runs.iter().flatten().flatten().for_each(|pfn| visit(*pfn));
    }
}

impl<P: Platform> Drop for SharedObject<P> {
    fn drop(&mut self) {
        for pfn in core::mem::take(self.runs.get_mut()).into_iter().flatten().flatten() {
            self.mem.put(pfn, 1);
        }
    }
}
