//! Objects whose pages several address spaces share: anonymous shared memory, and files. The pages
//! are kept by the object, as a page cache keeps those of a file, so they outlive any mapping.
//!
//! Protocol: the page tree is under a sleeping lock; each page in it carries one reference of the
//! object (facts 0.2). A file also lists who maps it, for [`crate::writeback`].

mod mappers;
mod pages;

use crate::addr::Pfn;
use crate::error::{FaultError, NoMemory};
use crate::frame::{Flags, Start};
use crate::memory::Memory;
use crate::platform::Platform;
use crate::sync::{RwSem, Shared};

pub(crate) use mappers::Mappers;
use pages::Pages;

/// What an object is for.
pub(crate) enum Kind {
    /// Shared anonymous memory: nothing is behind it, so its pages always count as dirty.
    Anonymous,
    /// A file, whose pages a store is behind, and who maps it.
    File(Mappers),
}

/// Memory that is shared by all who map it.
pub(crate) struct SharedObject<P: Platform> {
    mem: Shared<Memory<P>>,
    pages: RwSem<Pages>,
    kind: Kind,
}

impl<P: Platform> SharedObject<P> {
    /// An object of `count` pages, none of which exists yet. Costs the same for any number.
    pub(crate) fn new(
        mem: Shared<Memory<P>>,
        count: u64,
        kind: Kind,
    ) -> Result<Shared<Self>, NoMemory> {
        Shared::try_new(Self { mem, pages: RwSem::new(Pages::new(count)), kind })
    }

    /// Who maps it, if it is a file.
    pub(crate) fn mappers(&self) -> Option<&Mappers> {
        match &self.kind {
            Kind::Anonymous => None,
            Kind::File(mappers) => Some(mappers),
        }
    }

    /// The flags of a new page.
    fn page_flags(&self) -> Flags {
        match self.kind {
            Kind::Anonymous => Flags::DIRTY,
            Kind::File(_) => Flags::FILE,
        }
    }

    /// Page `index` of the object with a reference for the caller, allocated if it does not exist
    /// yet.
    pub(crate) fn page(&self, index: u64) -> Result<Pfn, FaultError> {
        let mut pages = self.pages.write(self.mem.platform());
        let slot = pages.slot(index)?;
        let pfn = match *slot {
            Some(pfn) => pfn,
            None => {
                let fresh = self.mem.alloc_local(self.page_flags(), Start::Held)?;
                self.mem.platform().zero_frame(fresh.pfn());
                *slot.insert(fresh.keep())
            }
        };
        self.mem.frames().get(pfn, 1);
        Ok(pfn)
    }

    /// Page `index` of the object with a reference for the caller, if it exists.
    pub(crate) fn existing(&self, index: u64) -> Option<Pfn> {
        let pages = self.pages.read(self.mem.platform());
        let pfn = pages.get(index)?;
        self.mem.frames().get(pfn, 1);
        Some(pfn)
    }

    /// Page `index` of the object, if it exists; see [`crate::lab::shared_page`].
    pub(crate) fn find(&self, index: u64) -> Option<Pfn> {
        self.pages.read(self.mem.platform()).get(index)
    }

    /// Drops the tree without touching the frames; see [`crate::lab::abandon`].
    pub(crate) fn abandon(&self) {
        self.pages.write(self.mem.platform()).clear();
    }

    /// Calls `visit` for each page that the object holds.
    pub(crate) fn each_page(&self, mut visit: impl FnMut(Pfn)) {
        self.pages.read(self.mem.platform()).each(&mut visit);
    }
}

impl<P: Platform> Drop for SharedObject<P> {
    fn drop(&mut self) {
        let mem = &self.mem;
        self.pages.get_mut().each(&mut |pfn| mem.put(pfn, 1));
    }
}
