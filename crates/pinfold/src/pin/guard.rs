//! What a caller holds: guards that give back on drop.

use alloc::vec::Vec;

use super::Hold;
use crate::addr::Pfn;
use crate::error::{NoMemory, NotPinned, PinError};
use crate::event::EventKind;
use crate::frame::{Counts, Flags, PIN_BIAS, REF};
use crate::memory::Memory;
use crate::platform::Platform;
use crate::rules::ZeroPin;
use crate::space::Space;
use crate::sync::Shared;

/// Pages with their references; given back on drop.
pub(crate) struct Held<P: Platform> {
    space: Shared<Space<P>>,
    hold: Hold,
    pages: Vec<Pfn>,
    /// Pages charged to the space's limit.
    charged: u64,
    shortfall: Option<PinError>,
}

impl<P: Platform> Held<P> {
    pub(super) fn new(space: &Shared<Space<P>>, hold: Hold, charged: u64) -> Self {
        Self { space: space.clone(), hold, pages: Vec::new(), charged, shortfall: None }
    }

    pub(super) fn hold(&self) -> Hold {
        self.hold
    }

    pub(super) fn pages(&self) -> &[Pfn] {
        &self.pages
    }

    pub(super) fn reserve(&mut self, pages: u64) -> Result<(), NoMemory> {
        let pages = usize::try_from(pages).map_err(|_| NoMemory)?;
        self.pages.try_reserve_exact(pages).map_err(|_| NoMemory)
    }

    /// Takes over a reference; room was reserved.
    #[inline]
    pub(super) fn push(&mut self, pfn: Pfn) {
        debug_assert!(self.pages.len() < self.pages.capacity());
        self.pages.push(pfn);
    }

    /// Remembers why the walk stopped, and gives back the charge for what it did not take.
    pub(super) fn fall_short(&mut self, why: PinError, asked: u64) {
        self.shortfall = Some(why);
        let excess = self.charged.min(asked - self.pages.len() as u64);
        self.charged -= excess;
        self.space.locked.sub(excess);
    }

    #[inline]
    pub(super) fn release_last(&mut self) {
        if let Some(pfn) = self.pages.pop() {
            self.space.mem().ungrab(pfn, self.hold);
        }
    }

    pub(super) fn release_all(&mut self) {
        let mem = self.space.mem();
        for pfn in self.pages.drain(..) {
            mem.ungrab(pfn, self.hold);
        }
    }

    fn mark_dirty(&self) {
        let mem = self.space.mem();
        for pfn in &self.pages {
            if *pfn != mem.zero_page() {
                mem.frames().set_flags(mem.frames().head_of(*pfn), Flags::DIRTY);
            }
        }
    }
}

impl<P: Platform> Drop for Held<P> {
    fn drop(&mut self) {
        if self.hold == Hold::Pin {
            self.space.mem().stats().nr_foll_pin_released.add(self.pages.len() as u64);
        }
        self.release_all();
        self.space.locked.sub(self.charged);
    }
}

impl<P: Platform> Memory<P> {
    /// Gives one hold back.
    #[inline]
    fn ungrab(&self, pfn: Pfn, hold: Hold) {
        if hold == Hold::Pin && pfn == self.zero_page() && self.rules().zero_pin == ZeroPin::Free {
            return;
        }
        let head = self.frames().head_of(pfn);
        let refs = self.frames().ungrab_refs(head, hold, 1);
        self.tell(crate::memory::SpaceId(0), 0, EventKind::Unpinned(pfn));
        self.put(head, refs);
    }

    /// Gives back one pin of a page that [`Pins::into_pages`] handed out.
    ///
    /// # Errors
    /// When the page does not have a pin to give back: it was never pinned, or unpinned before. Nothing has changed then.
    pub fn unpin_page(&self, pfn: Pfn) -> Result<(), NotPinned> {
        if !self.frames().contains(pfn) {
            return Err(NotPinned(pfn));
        }
        if pfn == self.zero_page() && self.rules().zero_pin == ZeroPin::Free {
            return Ok(());
        }
        let head = self.frames().head_of(pfn);
        let frame = self.frames().frame(head);
        let large = self.frames().pincount(head).is_some();
        let (word_has, refs) = if large {
            let took = frame.spare.try_update(|pins| pins.checked_sub(1)).is_ok();
            (took, 1)
        } else {
            // Mappings and at least one pin: fewer references cannot contain a pin (INV-FRAME-1).
            let counts = Counts(frame.counts.read_once());
            (counts.refs() >= counts.maps().saturating_add(PIN_BIAS), PIN_BIAS)
        };
        if !word_has {
            return Err(NotPinned(pfn));
        }
        debug_assert_eq!(REF, 1);
        self.stats().nr_foll_pin_released.add(1);
        self.put(head, refs);
        Ok(())
    }
}

macro_rules! face {
    ($name:ident) => {
        impl<P: Platform> $name<P> {
            pub(super) fn of(held: Held<P>) -> Self {
                Self { held }
            }

            /// The frames, in the order of the range.
            pub fn pages(&self) -> &[Pfn] {
                self.held.pages()
            }

            /// What stopped the walk, when fewer pages are held than were asked for.
            pub fn shortfall(&self) -> Option<PinError> {
                self.held.shortfall
            }
        }
    };
}

/// Pinned pages, released on drop.
///
/// The contract, under today's rules, while the pin lives:
///
/// | what happens | the pinned page |
/// | --- | --- |
/// | the owner writes | the write goes to the pinned frame |
/// | fork | stays with this address space; the child gets a copy |
/// | mprotect | rights change, the page stays |
/// | NUMA balancing, migration, compaction | does not move |
/// | munmap, DONTNEED, exit | the frame lives on until the unpin, but the address names another page afterwards: the owner asked for that |
/// | a second pin | the same frame, while the address is mapped as it was |
///
/// Under older rules each of the first four lines has failed in some release; the scenarios show which.
///
/// A pin counts against the limit on locked pages if its term was [`super::Term::Long`].
#[must_use = "dropping the guard unpins the pages"]
pub struct Pins<P: Platform> {
    held: Held<P>,
}
face!(Pins);

impl<P: Platform> Pins<P> {
    /// Releases the pins after the device has written: the pages are marked dirty first.
    pub fn unpin_dirty(self) {
        self.held.mark_dirty();
    }

    /// Hands the pins to the caller, who gives each back by [`Memory::unpin_page`]. They no longer count against the limit.
    pub fn into_pages(mut self) -> Vec<Pfn> {
        core::mem::take(&mut self.held.pages)
    }
}

/// Referenced pages, released on drop.
///
/// A reference keeps the frame from being reused, and promises nothing about the address: after fork, or any write fault that finds the page
/// read-only, the owner may go on with another frame. For memory that a device or another task reads or writes while its owner lives on, take
/// [`Pins`].
#[must_use = "dropping the guard gives the references back"]
pub struct Refs<P: Platform> {
    held: Held<P>,
}
face!(Refs);
