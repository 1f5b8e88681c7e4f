//! Swap, as an embedder asks for it.

use crate::addr::VirtRange;
use crate::address_space::AddressSpace;
use crate::error::FaultError;
use crate::platform::Platform;
use crate::reclaim::{Reclaimed, Reclaimer};
use crate::swap::SwapId;

impl<P: Platform> AddressSpace<P> {
    /// Takes the pages of `range` that are mapped to the swap devices
    /// ([`crate::Memory::swap_on`]), private ones and those of shared memory, and those of files
    /// that are clean out of memory: MADV_PAGEOUT, or what a system does that is short of memory.
    /// Holes are passed over, and so are, for [`Reclaimer::Advice`], pages that others may map.
    /// Waits for the devices; the address space's lock is not held meanwhile.
    ///
    /// A page that is pinned or locked in memory stays, and so does one that others hold a
    /// reference on, or that there is no slot for. One of a file that is dirty loses its entries,
    /// and stays in its file until that is written back ([`crate::File::sync`]). Under the rules of
    /// up to 5.18 the entries of a page may become swap entries although a device has it pinned:
    /// see the rules `swap-pinned` and `swap-in-reuse`.
    pub fn page_out(&self, range: VirtRange, who: Reclaimer) -> Reclaimed {
        self.inner.page_out(range, who)
    }

    /// Brings the pages back that are on a swap device, as far as there are frames for them: what
    /// swapoff does with each process before [`crate::Memory::swap_off`]. Of shared memory that is
    /// mapped here all pages come, also those that no area shows; of memory with a name that is
    /// not mapped, by [`crate::File::swap_in`]. The group of this address space is charged, whoever
    /// was before. How many came back.
    ///
    /// # Errors
    /// When frames are exhausted, the payer is at its limit, or the device fails. What came back
    /// before stays in memory.
    pub fn swap_in(&self, device: SwapId) -> Result<u64, FaultError> {
        self.inner.swap_in_all(device)
    }
}
