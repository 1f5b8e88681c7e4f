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

/// Shared anonymous memory.
pub(crate) struct SharedObject<P: Platform> {
    mem: Shared<Memory<P>>,
    pages: RwSem<Vec<Option<Pfn>>>,
}

impl<P: Platform> SharedObject<P> {
    /// An object of `pages` pages, none of them there yet.
    pub(crate) fn new(mem: Shared<Memory<P>>, pages: u64) -> Result<Shared<Self>, NoMemory> {
        let count = usize::try_from(pages).map_err(|_| NoMemory)?;
        let mut list = Vec::new();
        list.try_reserve_exact(count).map_err(|_| NoMemory)?;
        list.resize(count, None);
        Shared::try_new(Self { mem, pages: RwSem::new(list) })
    }

    /// Page `index` of the object with a reference for the caller, made if it is not there.
    pub(crate) fn page(&self, index: u64) -> Result<Pfn, FaultError> {
        let mut pages = self.pages.write(self.mem.platform());
        let slot = &mut pages[index as usize];
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
}

impl<P: Platform> SharedObject<P> {
    /// Drops the list without touching the frames; see [`crate::AddressSpace::abandon`].
    pub(crate) fn abandon(&self) {
        self.pages.write(self.mem.platform()).clear();
    }

    /// Calls `visit` for each page that the object holds.
    pub(crate) fn each_page(&self, mut visit: impl FnMut(Pfn)) {
        self.pages.read(self.mem.platform()).iter().flatten().for_each(|pfn| visit(*pfn));
    }
}

impl<P: Platform> Drop for SharedObject<P> {
    fn drop(&mut self) {
        for pfn in core::mem::take(self.pages.get_mut()).into_iter().flatten() {
            self.mem.put(pfn, 1);
        }
    }
}
