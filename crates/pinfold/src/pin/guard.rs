//! What a caller holds: guards that give back on drop.

use alloc::vec::Vec;

use super::Hold;
use crate::addr::Pfn;
use crate::error::{NoMemory, NotPinned, PinError};
use crate::event::EventKind;
use crate::frame::Flags;
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

    #[cold]
    pub(super) fn release_last(&mut self) {
        let mem = self.space.mem();
        if let Some(pfn) = self.pages.pop()
            && Some(pfn) != mem.uncounted(self.hold)
        {
            mem.ungrab(pfn, self.hold);
        }
    }

    pub(super) fn release_all(&mut self) {
        let (mem, hold) = (self.space.mem(), self.hold);
        let uncounted = mem.uncounted(hold);
        for pfn in self.pages.drain(..) {
            if Some(pfn) != uncounted {
                mem.ungrab(pfn, hold);
            }
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
    /// The page of which holds of this kind are not counted, if the rules have one: the zero page for pins.
    fn uncounted(&self, hold: Hold) -> Option<Pfn> {
        let free = hold == Hold::Pin && self.rules().zero_pin == ZeroPin::Free;
        free.then(|| self.zero_page())
    }

    /// Gives one counted hold back.
    #[inline]
    fn ungrab(&self, pfn: Pfn, hold: Hold) {
        self.tell_frame(EventKind::Unpinned(pfn));
        let (head, put) = self.frames().ungrab(pfn, hold, 1);
        self.after_put(head, put);
    }

    /// Gives back one pin of a page that [`Pins::into_pages`] handed out.
    ///
    /// # Errors
    /// When the page does not have a pin to give back: it was never pinned, or unpinned before. Nothing has changed then.
    pub fn unpin_page(&self, pfn: Pfn) -> Result<(), NotPinned> {
        if !self.frames().contains(pfn) {
            return Err(NotPinned(pfn));
        }
        if Some(pfn) != self.uncounted(Hold::Pin) {
            let (head, put) = self.frames().unpin(pfn).ok_or(NotPinned(pfn))?;
            self.tell_frame(EventKind::Unpinned(pfn));
            self.after_put(head, put);
        }
        self.stats().nr_foll_pin_released.add(1);
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
