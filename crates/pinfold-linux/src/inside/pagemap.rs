//! What `pagemap` says of a page.

use std::sync::atomic::{AtomicU64, Ordering};

use super::sys;

/// The frame of a page of this process; 0 if there is none or it cannot be seen.
pub(super) fn frame_of(address: u64) -> u64 {
    sys::own_page(address).map_or(0, |entry| Entry(entry).frame().unwrap_or(0))
}

/// Whether it says which pages were stored to: of a page of this process that was made and stored
/// to just now it does, if the kernel has that.
pub(super) fn tells_soft_dirty() -> Result<bool, sys::Errno> {
    let stored = Box::new(AtomicU64::new(0));
    stored.store(1, Ordering::Relaxed);
    sys::own_page(std::ptr::from_ref(&*stored).addr() as u64)
        .map(|entry| Entry(entry).is_soft_dirty())
}

/// An entry of `pagemap`.
#[derive(Clone, Copy)]
pub(super) struct Entry(pub(super) u64);

impl Entry {
    /// Whether a page is mapped there.
    pub(super) fn is_present(self) -> bool {
        self.0 >> 63 & 1 == 1
    }

    /// Whether a page is in swap, or on its way to another frame.
    pub(super) fn is_away(self) -> bool {
        self.0 >> 62 & 1 == 1
    }

    /// Whether the page may have been stored to since that was last forgotten; never where the
    /// kernel was built without that.
    pub(super) fn is_soft_dirty(self) -> bool {
        self.0 >> 55 & 1 == 1
    }

    /// The frame, if the page is mapped and who asks may see it.
    pub(super) fn frame(self) -> Option<u64> {
        let frame = self.0 & ((1 << 55) - 1);
        (self.is_present() && frame != 0).then_some(frame)
    }
}
