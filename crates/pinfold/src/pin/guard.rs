//! What a caller holds: guards that release on drop.

use core::fmt;

use super::pages::Pages;
use crate::addr::Pfn;
use crate::error::{NoMemory, PinError};
use crate::event::EventKind;
use crate::frame::{Grip, Holds};
use crate::memory::Memory;
use crate::platform::Platform;
use crate::rules::large::{Tally, tally};
use crate::rules::pin::{Hold, counts_zero_page};
use crate::space::Space;
use crate::stat::Counters;
use crate::sync::{Lease, Shared};

/// Pins charged to a space's limit on locked pages; given back on drop. Short-term pins have none,
/// and do not know their address space.
struct Charge<P: Platform> {
    space: Option<Shared<Space<P>>>,
    pins: u64,
}

impl<P: Platform> Charge<P> {
    /// The charge of so many pins, which the caller has made.
    #[inline]
    fn of(space: &Shared<Space<P>>, pins: u64) -> Self {
        Self { space: (pins > 0).then(|| space.clone()), pins }
    }

    /// Splits off as many of so many pins as there are.
    fn split(&mut self, pins: u64) -> Self {
        let pins = pins.min(self.pins);
        self.pins -= pins;
        Self { space: self.space.as_ref().filter(|_| pins > 0).cloned(), pins }
    }
}

impl<P: Platform> Drop for Charge<P> {
    #[inline]
    fn drop(&mut self) {
        if let Some(space) = &self.space {
            space.locked.sub(self.pins);
        }
    }
}

/// Pages with their references; given back on drop.
pub(crate) struct Held<P: Platform> {
    mem: Lease<Memory<P>>,
    /// What is held of each page.
    holds: Holds,
    pages: Pages,
    /// Whether pages of a large folio were taken together: they are dropped together.
    folios: bool,
    charge: Charge<P>,
    shortfall: Option<PinError>,
}

impl<P: Platform> Held<P> {
    /// The first page, if the caller has taken one, and more to come.
    #[inline]
    pub(super) fn new(
        space: &Shared<Space<P>>,
        holds: Holds,
        charged: u64,
        first: Option<Pfn>,
    ) -> Self {
        let mem = space.shared_mem().lease(space.mem().platform().cpu());
        let charge = Charge::of(space, charged);
        Self { mem, holds, pages: Pages::of(first), folios: false, charge, shortfall: None }
    }

    /// The counters of the CPU that took the pages.
    #[inline]
    pub(super) fn counters(&self) -> &Counters {
        self.mem.counters_of(self.mem.cpu())
    }

    pub(super) fn holds(&self) -> Holds {
        self.holds
    }

    /// How many pins or references these are.
    pub(super) fn count(&self) -> u64 {
        self.pages().len() as u64 * u64::from(self.holds.times())
    }

    pub(super) fn pages(&self) -> &[Pfn] {
        self.pages.as_slice()
    }

    /// Makes room for `pages` more, or, where there is none yet, for `ahead`, if the heap allows
    /// it.
    #[inline]
    pub(super) fn reserve(&mut self, pages: u64, ahead: u64) -> Result<(), NoMemory> {
        self.pages.reserve(pages, ahead)
    }

    /// Takes over a reference; room was reserved.
    #[inline]
    pub(super) fn push(&mut self, pfn: Pfn) {
        self.pages.push(pfn);
    }

    /// Takes over references of a run of a large folio's pages; room was reserved.
    pub(super) fn push_run(&mut self, (first, pages): (Pfn, u64)) {
        self.folios |= pages > 1;
        self.pages.push_run((first, pages));
    }

    /// Remembers why the walk stopped, and gives back the charge for what it did not take.
    pub(super) fn fall_short(&mut self, why: PinError, asked: u64) {
        self.shortfall = Some(why);
        let missing = (asked - self.pages().len() as u64) * u64::from(self.holds.times());
        drop(self.charge.split(missing));
    }

    /// Gives back all but the first `kept` pages.
    pub(super) fn release_from(&mut self, kept: usize) {
        let (mem, grip) = (&*self.mem, self.holds.grip());
        let uncounted = mem.uncounted(self.holds);
        self.pages.drain_from(kept, |pfn| {
            if Some(pfn) != uncounted {
                mem.ungrab(pfn, grip);
            }
        });
    }

    fn mark_dirty(&self) {
        self.pages().iter().for_each(|pfn| self.mem.mark_written(*pfn));
    }
}

impl<P: Platform> Drop for Held<P> {
    #[inline]
    fn drop(&mut self) {
        let (mem, pages) = (&*self.mem, self.pages.as_slice());
        if self.holds.kind() == Hold::Pin {
            let pins = pages.len() as u64 * u64::from(self.holds.times());
            mem.counters_of(self.mem.cpu()).nr_foll_pin_released.add(pins);
        }
        let uncounted = mem.uncounted(self.holds);
        if self.folios {
            return mem.ungrab_runs(pages, self.holds);
        }
        let grip = self.holds.grip();
        for pfn in pages {
            if Some(*pfn) != uncounted {
                mem.ungrab(*pfn, grip);
            }
        }
    }
}

impl<P: Platform> Memory<P> {
    /// The page of which holds of this kind are not counted, if the rules have one: the zero page
    /// for pins.
    fn uncounted(&self, holds: Holds) -> Option<Pfn> {
        let free = holds.kind() == Hold::Pin && !counts_zero_page(self.rule());
        free.then(|| self.zero_page())
    }

    /// Notes that a device has written to a page.
    fn mark_written(&self, pfn: Pfn) {
        if pfn != self.zero_page() {
            self.mark_page_dirty(pfn);
        }
    }

    /// Drops the holds of a page that the walk cannot keep.
    #[cold]
    pub(super) fn give_back(&self, pfn: Pfn, holds: Holds) {
        if Some(pfn) != self.uncounted(holds) {
            self.ungrab(pfn, holds.grip());
        }
    }

    /// Drops the holds of each page of a run of a large folio, but so many first ones, that the
    /// walk cannot keep.
    #[cold]
    pub(super) fn give_back_run(&self, (first, pages): (Pfn, u32), kept: u32, holds: Holds) {
        match tally(self.rule()) {
            Tally::Head => {
                let (head, put) =
                    self.frames().ungrab_run((first, pages - kept), holds, self.rule());
                self.after_put(head, put);
            }
            Tally::HeadAndTail | Tally::HeadAndMapcount => {
                let rest = first.0 + u64::from(kept)..first.0 + u64::from(pages);
                rest.for_each(|pfn| self.ungrab_one(Pfn(pfn), holds.grip()));
            }
        }
    }

    /// Drops the holds of pages of which some are of large folios: of one folio's together.
    #[cold]
    #[inline(never)]
    fn ungrab_runs(&self, mut pages: &[Pfn], holds: Holds) {
        let uncounted = self.uncounted(holds);
        while let Some(first) = pages.first() {
            let run = match tally(self.rule()) {
                Tally::Head => self.frames().run_of_folio(pages),
                Tally::HeadAndTail | Tally::HeadAndMapcount => 1,
            };
            let (these, rest) = pages.split_at(run);
            pages = rest;
            if Some(*first) == uncounted {
                continue;
            }
            these.iter().for_each(|pfn| self.tell_frame(EventKind::Unpinned(*pfn)));
            if run == 1 {
                self.ungrab_one(*first, holds.grip());
            } else {
                let (head, put) =
                    self.frames().ungrab_run((*first, run as u32), holds, self.rule());
                self.after_put(head, put);
            }
        }
    }

    /// Drops counted holds.
    #[inline]
    fn ungrab(&self, pfn: Pfn, grip: Grip) {
        self.tell_frame(EventKind::Unpinned(pfn));
        self.ungrab_one(pfn, grip);
    }

    #[inline]
    fn ungrab_one(&self, pfn: Pfn, grip: Grip) {
        match self.frames().ungrab_small(pfn, grip) {
            Some(put) => self.after_put(pfn, put),
            None => self.after_drop(self.frames().ungrab_large(pfn, grip.holds, self.rule())),
        }
    }
}

macro_rules! face {
    ($name:ident) => {
        impl<P: Platform> fmt::Debug for $name<P> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut held = f.debug_struct(stringify!($name));
                held.field("pages", &self.pages()).field("shortfall", &self.shortfall()).finish()
            }
        }

        impl<P: Platform> $name<P> {
            pub(super) fn of(held: Held<P>) -> Self {
                Self { held }
            }

            /// The frames, in the order of the range.
            pub fn pages(&self) -> &[Pfn] {
                self.held.pages()
            }

            /// How many times each of them is held: [`crate::pin::Ask::times`].
            pub fn times(&self) -> u32 {
                self.held.holds.times()
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
/// | mprotect | permissions change, the page stays |
/// | NUMA balancing, migration, compaction | does not move |
/// | munmap, DONTNEED, exit | the frame lives on until the unpin, but the address names another page afterwards: the owner asked for that |
/// | a second pin | the same frame, while the address is mapped as it was |
///
/// Each of the first four lines has failed in some release; the scenarios show which.
///
/// A pin counts against the limit on locked pages if its term was [`crate::pin::Term::Long`].
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

    /// Splits the guard into one for each page, in the order of the range, without allocating.
    /// Pages that are not taken are unpinned with the iterator.
    pub fn into_pages(self) -> PinnedPages<P> {
        PinnedPages { held: self.held, next: 0 }
    }
}

/// The pages of a [`Pins`], one by one.
#[must_use = "dropping the iterator unpins the pages that are left"]
pub struct PinnedPages<P: Platform> {
    held: Held<P>,
    /// How many have been handed out; their places in `held` are not given back.
    next: usize,
}

impl<P: Platform> fmt::Debug for PinnedPages<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let left = self.held.pages().get(self.next..).unwrap_or_default();
        f.debug_struct("PinnedPages").field("left", &left).finish()
    }
}

impl<P: Platform> Iterator for PinnedPages<P> {
    type Item = PinnedPage<P>;

    fn next(&mut self) -> Option<PinnedPage<P>> {
        let pfn = *self.held.pages().get(self.next)?;
        self.next += 1;
        let holds = self.held.holds;
        let charge = self.held.charge.split(u64::from(holds.times()));
        Some(PinnedPage { mem: self.held.mem.clone(), holds, pfn, _charge: charge })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.held.pages().len() - self.next;
        (left, Some(left))
    }
}

impl<P: Platform> ExactSizeIterator for PinnedPages<P> {}

impl<P: Platform> Drop for PinnedPages<P> {
    fn drop(&mut self) {
        self.held.pages.forget_first(self.next);
    }
}

/// One pinned page, unpinned on drop. The page of a long-term pin stays charged until then.
#[must_use = "dropping the guard unpins the page"]
pub struct PinnedPage<P: Platform> {
    mem: Lease<Memory<P>>,
    holds: Holds,
    pfn: Pfn,
    /// All of its pins or none.
    _charge: Charge<P>,
}

impl<P: Platform> fmt::Debug for PinnedPage<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PinnedPage").field(&self.pfn).finish()
    }
}

impl<P: Platform> PinnedPage<P> {
    /// The frame.
    pub fn pfn(&self) -> Pfn {
        self.pfn
    }

    /// Releases the pin after the device has written: the page is marked dirty first.
    pub fn unpin_dirty(self) {
        self.mem.mark_written(self.pfn);
    }
}

impl<P: Platform> Drop for PinnedPage<P> {
    fn drop(&mut self) {
        let mem = &self.mem;
        mem.counters_of(mem.cpu()).nr_foll_pin_released.add(u64::from(self.holds.times()));
        if Some(self.pfn) != mem.uncounted(self.holds) {
            mem.ungrab(self.pfn, self.holds.grip());
        }
    }
}

/// Referenced pages, released on drop.
///
/// A reference keeps the frame from being reused, and promises nothing about the address: after
/// fork, or any write fault that finds the page read-only, the owner may continue with another
/// frame. For memory that a device or another task reads or writes while its owner is running, take
/// [`Pins`].
#[must_use = "dropping the guard gives the references back"]
pub struct Refs<P: Platform> {
    held: Held<P>,
}
face!(Refs);

impl<P: Platform> Refs<P> {
    /// The machine that they are on.
    pub(crate) fn memory(&self) -> &Lease<Memory<P>> {
        &self.held.mem
    }

    /// Gives the references back after somebody has written through them: the pages are marked
    /// dirty first.
    pub fn put_dirty(self) {
        self.held.mark_dirty();
    }
}
