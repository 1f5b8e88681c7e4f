//! A store in the memory of the heap.
//!
//! Protocol: a sleeping lock protects the pages that are kept and how many there are. Calls for
//! different pages may come at a time.
//!
//! Invariants:
//! - INV-KEPT-1: there are never more pages than the capacity; a page that [`Store::reserve`]
//!   agreed to is there, so that writing it cannot fail.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;
use core::sync::atomic::{AtomicU64, Ordering};

use crate::addr::{PAGE_SIZE, Pfn};
use crate::error::{NoMemory, StoreError};
use crate::object::Pages;
use crate::platform::{Contents, PageBytes};
use crate::store::Store;
use crate::sync::{RwSem, Shared};

/// The pages that were written, and room for those that are going to be.
struct Kept {
    pages: Pages<Box<PageBytes>>,
    count: u64,
}

struct Inner {
    kept: RwSem<Kept>,
    capacity: u64,
    /// As `kept` says, for those who have no platform to sleep by.
    pages: AtomicU64,
}

/// Keeps pages on the heap, of a file or of a swap device: what was never written takes no memory
/// and reads as zeros. A clone is another handle of the same store.
///
/// Room for a page is made when it is about to become dirty, so a write that was let pass can be
/// written back. Where the capacity or the heap is exhausted it is refused with
/// [`StoreError::NoSpace`].
#[derive(Clone)]
pub struct MemoryStore(Shared<Inner>);

impl MemoryStore {
    /// An empty store with room for `capacity` pages. Costs the same for any capacity.
    ///
    /// # Errors
    /// When the heap is exhausted.
    pub fn new(capacity: u64) -> Result<Self, NoMemory> {
        let kept = RwSem::new(Kept { pages: Pages::new(), count: 0 });
        Ok(Self(Shared::try_new(Inner { kept, capacity, pages: AtomicU64::new(0) })?))
    }

    /// How many pages it has, with those that room was made for: exact when nothing runs.
    pub fn pages(&self) -> u64 {
        self.0.pages.load(Ordering::Relaxed)
    }

    /// How many pages it can have.
    pub fn capacity(&self) -> u64 {
        self.0.capacity
    }

    fn count(&self, kept: &Kept) {
        self.0.pages.store(kept.count, Ordering::Relaxed);
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("capacity", &self.0.capacity).finish_non_exhaustive()
    }
}

/// Zeros, unless the heap is exhausted.
fn empty_page() -> Result<Box<PageBytes>, StoreError> {
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(PAGE_SIZE as usize).map_err(|_| StoreError::NoSpace)?;
    bytes.resize(PAGE_SIZE as usize, 0);
    bytes.into_boxed_slice().try_into().map_err(|_| StoreError::NoSpace)
}

impl Kept {
    /// The page, made if it is not there.
    fn page(&mut self, index: u64, capacity: u64) -> Result<&mut PageBytes, StoreError> {
        let slot = self.pages.slot(index).map_err(|NoMemory| StoreError::NoSpace)?;
        match slot {
            Some(page) => Ok(page),
            None if self.count < capacity => {
                let page = slot.insert(empty_page()?);
                self.count += 1;
                Ok(page)
            }
            None => Err(StoreError::NoSpace),
        }
    }
}

impl<P: Contents> Store<P> for MemoryStore {
    fn read(&self, platform: &P, index: u64, frame: Pfn) -> Result<(), StoreError> {
        match self.0.kept.read(platform).pages.get(index) {
            Some(page) => platform.fill(frame, page),
            None => platform.zero_frame(frame),
        }
        Ok(())
    }

    fn write(&self, platform: &P, index: u64, frame: Pfn) -> Result<(), StoreError> {
        let mut kept = self.0.kept.write(platform);
        platform.copy_out(frame, kept.page(index, self.0.capacity)?);
        self.count(&kept);
        Ok(())
    }

    fn reserve(&self, platform: &P, index: u64) -> Result<(), StoreError> {
        let mut kept = self.0.kept.write(platform);
        kept.page(index, self.0.capacity)?;
        self.count(&kept);
        Ok(())
    }

    fn discard(&self, platform: &P, pages: Range<u64>) {
        let mut kept = self.0.kept.write(platform);
        let mut gone = 0;
        kept.pages.take_in(pages, &mut |_, page| {
            drop(page);
            gone += 1;
        });
        kept.count -= gone;
        self.count(&kept);
    }
}
