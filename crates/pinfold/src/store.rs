//! What keeps pages when memory does not, of a file or of swap: the embedder's part.

use core::ops::Range;

use crate::addr::Pfn;
use crate::error::StoreError;
use crate::platform::Platform;
use crate::rules::swap::SwapDevice;

/// Keeps the pages of one file, or of a swap device ([`crate::Memory::swap_on`]).
///
/// # Where calls come from
/// `read`, `write` and `reserve` are called with the page's lock held, but for the `write` of a
/// swap device, and at times with the lock of an address space for reading; `discard` of a file
/// with the file's page list locked, too. No spin lock is held, so all may sleep. None may call the
/// manager, which would wait for itself.
///
/// For a page one call runs at a time, but for [`Store::device`]'s exception.
pub trait Store<P: Platform>: Send + Sync {
    /// Fills a frame, which nobody uses yet, with page `index`: zeros where nothing was written.
    ///
    /// # Errors
    /// The access that needed the page fails with this error, and the next one asks again.
    fn read(&self, platform: &P, index: u64, frame: Pfn) -> Result<(), StoreError>;

    /// Writes page `index` from a frame. Devices that hold pins may write the frame during the
    /// call, which may then be torn; processes may not, but for one that has its page back from a
    /// swap device that lets it.
    ///
    /// # Errors
    /// The page stays dirty, so that nothing is lost: the next writeback asks again.
    fn write(&self, platform: &P, index: u64, frame: Pfn) -> Result<(), StoreError>;

    /// Page `index` is about to become dirty, or, of a swap device, to be written for the first
    /// time: the place to make room for it, so that writing it cannot fail for want of room (the
    /// kernel's page_mkwrite).
    ///
    /// # Errors
    /// The write fails with this error, and the page is as it was.
    fn reserve(&self, platform: &P, index: u64) -> Result<(), StoreError> {
        let _ = (platform, index);
        Ok(())
    }

    /// What a swap device is like, which says how faults read its pages (facts 7.2): asked once, by
    /// [`crate::Memory::swap_on`]. Of one that answers at once by the rule `swap-in-cache` of 4.15
    /// to 6.7 reads of a page may overlap with another call for it, also one after the device was
    /// taken out of use and another has its number, with a page that this one does not have: what
    /// they then bring is thrown away unless that release would map it.
    fn device(&self) -> SwapDevice {
        SwapDevice::Solid
    }

    /// These pages are gone, by a truncation or as a hole, or with the swap device: they read as
    /// zeros from now on.
    fn discard(&self, platform: &P, pages: Range<u64>);
}
