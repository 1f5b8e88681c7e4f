//! Pins in the form that drivers and hypervisors use: by address and length in bytes, all pages or
//! none, into the caller's slice, released by a token; and a handle that names an address space
//! without owning it.
//!
//! Protocol: a handle may outlive the owner, and with it the page tables. So it takes the slow path
//! only, under the address space's lock, under which nothing is mapped any more after exit.

use core::fmt;

use super::ask::{Ask, Path};
use super::guard::Pins;
use super::hold::pin_with;
use crate::addr::{Pfn, SpaceId, VirtAddr, VirtRange};
use crate::error::PinError;
use crate::platform::Platform;
use crate::rules::pin::{Access, Term};
use crate::space::Space;
use crate::sync::Shared;

/// Pinned bytes: the token that keeps them pinned, released on drop.
#[must_use = "dropping the token unpins the pages"]
pub struct PinnedBytes<P: Platform> {
    pins: Pins<P>,
    offset: u64,
    bytes: u64,
}

impl<P: Platform> fmt::Debug for PinnedBytes<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut pinned = f.debug_struct("PinnedBytes");
        pinned.field("frames", &self.frames()).field("offset", &self.offset);
        pinned.field("bytes", &self.bytes).finish()
    }
}

impl<P: Platform> PinnedBytes<P> {
    /// The offset of the bytes in the first frame.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The number of pinned bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The frames, in the order of the addresses.
    pub fn frames(&self) -> &[Pfn] {
        self.pins.pages()
    }

    /// Releases the pins after the device has written: the pages are marked dirty first.
    pub fn unpin_dirty(self) {
        self.pins.unpin_dirty();
    }
}

/// Pins all pages of the bytes, or none.
pub(crate) fn pin_bytes<P: Platform>(
    space: &Shared<Space<P>>,
    (at, bytes): (VirtAddr, u64),
    ask: Ask,
    frames: &mut [Pfn],
) -> Result<PinnedBytes<P>, PinError> {
    let range = VirtRange::covering(at, bytes)?;
    let slots = usize::try_from(range.pages()).ok().and_then(|pages| frames.get_mut(..pages));
    let slots = slots.ok_or(PinError::TooFewSlots { needed: range.pages() })?;
    let pins = pin_with(space, range, ask)?;
    if let Some(shortfall) = pins.shortfall() {
        return Err(shortfall);
    }
    slots.copy_from_slice(pins.pages());
    Ok(PinnedBytes { pins, offset: at.page_offset(), bytes })
}

/// Names an address space without owning it, as a device's registration does: it does not keep the
/// owner from exiting. Afterwards nothing is mapped.
pub struct SpaceHandle<P: Platform> {
    space: Shared<Space<P>>,
}

impl<P: Platform> SpaceHandle<P> {
    pub(crate) fn of(space: Shared<Space<P>>) -> Self {
        Self { space }
    }
}

impl<P: Platform> fmt::Debug for SpaceHandle<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SpaceHandle").field(&self.id()).finish()
    }
}

impl<P: Platform> Clone for SpaceHandle<P> {
    fn clone(&self) -> Self {
        Self { space: self.space.clone() }
    }
}

impl<P: Platform> SpaceHandle<P> {
    /// The name that the platform knows the address space by.
    pub fn id(&self) -> SpaceId {
        self.space.id()
    }

    /// As [`crate::AddressSpace::pin_bytes`], under the address space's lock throughout.
    ///
    /// # Errors
    /// As [`crate::AddressSpace::pin_bytes`]; after the owner's exit, that nothing is mapped.
    pub fn pin_bytes(
        &self,
        at: VirtAddr,
        bytes: u64,
        access: Access,
        term: Term,
        frames: &mut [Pfn],
    ) -> Result<PinnedBytes<P>, PinError> {
        let ask = Ask::new(access, term).path(Path::SlowOnly);
        pin_bytes(&self.space, (at, bytes), ask, frames)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::addr::{PAGE_SIZE, RangeError};
    use crate::error::FaultError;
    use crate::testing::{Audit, device_write, load, machine, map, space, store};
    use crate::{Prot, Rules, Tuning, X86_64};

    const NONE: Pfn = Pfn(u64::MAX);

    #[test]
    fn bytes_are_pinned_with_every_page_that_they_touch() {
        let mem = machine::<X86_64>(Rules::default(), &[64], Tuning::default());
        let space = space(&mem);
        map(&space, 16, 4, Prot::READ_WRITE);
        store(&space, 16, 1).unwrap();
        for by_handle in [false, true] {
            let mut frames = [NONE; 4];
            let (at, bytes) = (VirtAddr(16 * PAGE_SIZE + 100), 2 * PAGE_SIZE);
            let pinned = if by_handle {
                space.handle().pin_bytes(at, bytes, Access::Write, Term::Long, &mut frames)
            } else {
                space.pin_bytes(at, bytes, Access::Write, Term::Long, &mut frames)
            };
            let pinned = pinned.unwrap();
            assert_eq!((pinned.offset(), pinned.bytes()), (100, 2 * PAGE_SIZE));
            assert_eq!((&frames[..3], frames[3]), (pinned.frames(), NONE));
            assert_eq!(space.locked_pages(), 3);
            device_write(&mem, frames[0], 7);
            pinned.unpin_dirty();
            assert_eq!((load(&space, 16), space.locked_pages()), (Ok(7), 0));
            Audit::of(&mem).space(&space).check();
        }
    }

    #[test]
    fn all_pages_are_pinned_or_none() {
        let mem = machine::<X86_64>(Rules::default(), &[64], Tuning::default());
        let space = space(&mem);
        map(&space, 16, 2, Prot::READ_WRITE);
        let mut frames = [NONE; 3];
        let mut pin = |at: u64, bytes: u64, slots: usize| {
            let slots = &mut frames[..slots];
            space.pin_bytes(VirtAddr(at), bytes, Access::Write, Term::Long, slots).err()
        };
        let hole = FaultError::NotMapped(VirtAddr::of_page(18));
        assert_eq!(pin(16 * PAGE_SIZE, 2 * PAGE_SIZE + 1, 3), Some(hole.into()));
        let short = PinError::TooFewSlots { needed: 2 };
        assert_eq!(pin(16 * PAGE_SIZE + 1, PAGE_SIZE, 1), Some(short));
        let empty = RangeError::Empty(VirtAddr(5));
        assert_eq!(pin(5, 0, 3), Some(empty.into()));
        let wraps = RangeError::Wraps(VirtAddr(5));
        assert_eq!(pin(5, u64::MAX, 3), Some(wraps.into()));
        assert_eq!((frames, space.locked_pages()), ([NONE; 3], 0));
        Audit::of(&mem).space(&space).check();
    }

    #[test]
    fn a_handle_outlives_the_owner_and_finds_nothing() {
        let mem = machine::<X86_64>(Rules::default(), &[64], Tuning::default());
        let free = mem.frames().total_free();
        let space = space(&mem);
        map(&space, 16, 1, Prot::READ_WRITE);
        let (handle, mut frames) = (space.handle().clone(), [NONE]);
        assert_eq!(handle.id(), space.id());
        let at = VirtAddr::of_page(16);
        let kept = handle.pin_bytes(at, 8, Access::Write, Term::Short, &mut frames).unwrap();
        drop(space);
        let gone = handle.pin_bytes(at, 8, Access::Write, Term::Short, &mut frames);
        assert_eq!(gone.err(), Some(FaultError::NotMapped(at).into()));
        assert_eq!(kept.frames(), frames);
        drop(kept);
        assert_eq!(mem.frames().total_free(), free);
    }
}
