//! Populating a range: MADV_POPULATE_READ and MADV_POPULATE_WRITE, and what MAP_POPULATE does after
//! the mapping.
//!
//! Protocol: as for a fault, the address space's lock is held for reading. Each area is looked up
//! once, each last-level table found or made once. Where private memory has no entries yet, a
//! bundle of frames is made ready, and one hold of the table's lock puts them in; whatever else is
//! there, an entry at a time, goes the way of a fault. A pin that finds untouched pages has them
//! filled in the same way.
//!
//! INV-FAULT-6: populating ends at the first page that cannot be accessed; what comes before it is
//! in place, and nothing from there on has changed.

use core::fmt;
use core::ops::Range;

use super::{Cause, Request, Want};
use crate::addr::{VirtAddr, VirtRange, Vpn, each_page};
use crate::area::{Area, Prot};
use crate::error::{FaultError, Shortage};
use crate::event::EventKind;
use crate::frame::NewFrame;
use crate::platform::Platform;
use crate::pressure::Tries;
use crate::pte::Pte;
use crate::rules::pin::Access;
use crate::space::Space;
use crate::table::{Leaf, Missing, table_end};

/// Frames that are made ready before a table is locked.
const BUNDLE: usize = 16;

/// Where and why populating ended early. What lies before is populated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unpopulated {
    /// The first page that is not populated.
    pub at: VirtAddr,
    /// Why not.
    pub error: FaultError,
}

impl fmt::Display for Unpopulated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "populated up to {}: {}", self.at, self.error)
    }
}

impl core::error::Error for Unpopulated {}

/// What is done to each page.
struct Wish<'a, P: Platform> {
    area: &'a Area<P>,
    cause: Cause,
    want: Want,
}

impl<P: Platform> Space<P> {
    /// Makes every page of `range` accessible, as if each were accessed in turn.
    pub(crate) fn populate(&self, range: VirtRange, access: Access) -> Result<(), Unpopulated> {
        self.populate_by(range, |_| access)
    }

    /// As [`Space::populate`]; each area says for which access.
    pub(crate) fn populate_by(
        &self,
        range: VirtRange,
        access: impl Fn(&Area<P>) -> Access,
    ) -> Result<(), Unpopulated> {
        let (mut page, end, mut tries) = (range.first_page(), range.end_page(), Tries::default());
        loop {
            match self.populate_some(page..end, &access) {
                Err(short) if short.error.is_of_frames() => {
                    if short.at.page() > page {
                        (page, tries) = (short.at.page(), Tries::default());
                    }
                    if !tries.relieve(self.mem()) {
                        return Err(short);
                    }
                }
                result => return result,
            }
        }
    }

    fn populate_some(
        &self,
        pages: Range<Vpn>,
        access: impl Fn(&Area<P>) -> Access,
    ) -> Result<(), Unpopulated> {
        let map = self.read_map();
        let mut page = pages.start;
        while page < pages.end {
            let at = page.start();
            let area = map.find(page).ok_or(FaultError::NotMapped(at));
            let wish = area.and_then(|area| {
                let (cause, want, needed) = match access(area) {
                    Access::Read => (Cause::Load, Want::Read, Prot::READ),
                    Access::Write => (Cause::Store, Want::Write, Prot::WRITE),
                };
                let allowed = area.prot.contains(needed);
                if allowed { Ok(Wish { area, cause, want }) } else { Err(FaultError::Denied(at)) }
            });
            let wish = wish.map_err(|error| Unpopulated { at, error })?;
            let end = wish.area.range.end_page().min(pages.end);
            self.populate_area(&wish, page..end)?;
            page = end;
        }
        Ok(())
    }

    /// Puts new pages where `pages`, which are of a private area and may be written, have no
    /// entries yet: the first one, and those after it that one hold of its table's lock reaches.
    ///
    /// # Errors
    /// Why the first one got none.
    pub(crate) fn touch_run(&self, area: &Area<P>, pages: Range<Vpn>) -> Result<(), FaultError> {
        let leaf = self.tables().leaf_or_make(pages.start)?;
        let stop = table_end::<P::Format>(pages.start).min(pages.end);
        let wish = Wish { area, cause: Cause::Store, want: Want::Write };
        match self.populate_empty(&wish, leaf, pages.start..stop) {
            Err(short) if short.at == pages.start.start() => Err(short.error),
            _ => Ok(()),
        }
    }

    fn populate_area(&self, wish: &Wish<'_, P>, mut pages: Range<Vpn>) -> Result<(), Unpopulated> {
        if wish.area.is_pooled() {
            return self.populate_pooled(wish, pages);
        }
        while pages.start < pages.end {
            let stop = table_end::<P::Format>(pages.start).min(pages.end);
            if !self.populate_huge(wish, pages.start) {
                let leaf = self.tables().leaf_or_make(pages.start);
                let leaf = leaf.map_err(|error| failed(pages.start, error.into()))?;
                self.populate_run(wish, leaf, pages.start..stop)?;
            }
            pages.start = stop;
        }
        Ok(())
    }

    /// Whether a huge entry allows the access to `page`, which may have to be made for that, and so
    /// to all that it maps.
    fn populate_huge(&self, wish: &Wish<'_, P>, page: Vpn) -> bool {
        let request = Request { area: wish.area, page, want: wish.want };
        while let Err(missing) = self.tables().leaf(page) {
            let huge = match &missing {
                Missing::Nothing => None,
                Missing::Huge(huge) => huge.pte(),
            };
            if huge.is_some_and(|pte| wish.cause.is_allowed_by(pte)) {
                return true;
            }
            if self.above(&request, &missing).is_none() {
                return false;
            }
        }
        false
    }

    /// Pages of an area of huge pages of the pool.
    fn populate_pooled(
        &self,
        wish: &Wish<'_, P>,
        mut pages: Range<Vpn>,
    ) -> Result<(), Unpopulated> {
        while pages.start < pages.end {
            let page = pages.start;
            if wish.cause.is_allowed_by(self.tables().read(page)) {
                pages.start = table_end::<P::Format>(page);
            } else {
                let request = Request { area: wish.area, page, want: wish.want };
                let _ = self.fault_pooled(&request).map_err(|error| failed(page, error))?;
            }
        }
        Ok(())
    }

    /// Pages of one table.
    fn populate_run(
        &self,
        wish: &Wish<'_, P>,
        leaf: Leaf<'_, P>,
        mut pages: Range<Vpn>,
    ) -> Result<(), Unpopulated> {
        while pages.start < pages.end {
            let page = pages.start;
            let pte = leaf.read(page);
            if wish.cause.is_allowed_by(pte) {
                pages.start = page + 1;
            } else if pte.is_none() && self.touches_small(wish.area) {
                pages.start = self.populate_empty(wish, leaf, pages.clone())?;
            } else {
                let request = Request { area: wish.area, page, want: wish.want };
                // The access is tried again, as after any fault.
                let _ = self.resolve_now(&request, leaf).map_err(|error| failed(page, error))?;
            }
        }
        Ok(())
    }

    /// Fills a run of private memory that begins with an empty entry, up to a bundle's size or the
    /// first entry that is not empty. Returns the first page that is left.
    fn populate_empty(
        &self,
        wish: &Wish<'_, P>,
        leaf: Leaf<'_, P>,
        pages: Range<Vpn>,
    ) -> Result<Vpn, Unpopulated> {
        let most = pages.end.min(pages.start + BUNDLE as u64);
        let empty = each_page(pages.start..most).take_while(|page| leaf.read(*page).is_none());
        let run = pages.start..pages.start + empty.count().max(1) as u64;
        if wish.want == Want::Write {
            return self.fill_private(wish.area, leaf, run);
        }
        let zero = self.mem().zero_page();
        let pte = Pte::mapping(zero, wish.area.prot.reach()).special();
        let cursor = leaf.lock();
        for page in each_page(run.clone()) {
            if cursor.get(page).is_none() {
                cursor.set(page, pte);
                self.populated(page, EventKind::ZeroMapped(zero));
            }
        }
        Ok(run.end)
    }

    /// Puts new frames in where the entries of a run are still empty. The run has at most
    /// [`BUNDLE`] pages.
    fn fill_private(
        &self,
        area: &Area<P>,
        leaf: Leaf<'_, P>,
        run: Range<Vpn>,
    ) -> Result<Vpn, Unpopulated> {
        let mut fresh = [const { None::<NewFrame<'_>> }; BUNDLE];
        let mut short = None;
        for (slot, page) in fresh.iter_mut().zip(each_page(run.clone())) {
            match self.new_private(area, page) {
                Ok(frame) => {
                    self.mem().platform().zero_frame(frame.pfn());
                    *slot = Some(frame);
                }
                Err(error) => {
                    short = Some((page, error));
                    break;
                }
            }
        }
        let cursor = leaf.lock();
        for (slot, page) in fresh.iter_mut().zip(each_page(run.clone())) {
            if !cursor.get(page).is_none() {
                continue;
            }
            let Some(frame) = slot.take() else { break };
            let pfn = frame.pfn();
            cursor.set(page, self.written(area, frame));
            self.populated(page, EventKind::FirstTouch(pfn));
        }
        drop(cursor);
        match short {
            None => Ok(run.end),
            // INV-FAULT-4: what another CPU has put there in the meantime will do.
            Some((page, _)) if !leaf.read(page).is_none() => Ok(page),
            Some((page, error)) => Err(failed(page, error.into())),
        }
    }

    fn populated(&self, page: Vpn, kind: EventKind) {
        self.mem().counters().pgfault.add(1);
        self.mem().tell(self.id(), page, kind);
    }
}

fn failed(page: Vpn, error: FaultError) -> Unpopulated {
    Unpopulated { at: page.start(), error }
}

#[cfg(test)]
mod tests;
