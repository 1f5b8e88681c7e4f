//! mmap: a new area, in a gap or in place of what is there.
//!
//! Protocol: the address space's lock is held for writing from the choice of the place until the
//! area is in it. A mapping that replaces others (MAP_FIXED) first does all that can fail: the
//! limits, the place in a family or the object, the heap for the areas. Then it unmaps what is
//! there, entries flushed and frames freed as by any unmap, and puts the area there. A private area
//! that touches one of its kind becomes part of it (INV-AREA-2).
//!
//! Invariants:
//! - INV-MAP-1: a mapping that fails has changed nothing; one that replaces keeps what was there.
//! - INV-MAP-2: nobody who holds the lock finds the range of a replacement free, and no CPU uses a
//!   translation of the old mapping when the new one can be accessed.

use crate::addr::{PageCount, VirtRange, Vpn};
use crate::area::pages::PageSize;
use crate::area::soft_dirty::SoftDirty;
use crate::area::{Advised, Area, AreaMap, Backing, Grows, Locked, Prot, Side, View};
use crate::error::{NoMemory, SpaceError};
use crate::object::{Behind, Object};
use crate::platform::Platform;
use crate::rmap::Seat;
use crate::space::{FileSharing, Place, Sharing, Source, Space};
use crate::sync::{Latch, Marks, Shared};
use crate::uffd::Registration;

impl<P: Platform> Space<P> {
    pub(crate) fn map_area(
        &self,
        place: Place,
        pages: u64,
        prot: Prot,
        source: &Source<P>,
    ) -> Result<VirtRange, SpaceError> {
        self.map_locked(&mut self.write_map(), place, pages, prot, source)
    }

    /// As [`Space::map_area`], for a caller that holds the lock.
    pub(crate) fn map_locked(
        &self,
        map: &mut AreaMap<P>,
        place: Place,
        pages: u64,
        prot: Prot,
        source: &Source<P>,
    ) -> Result<VirtRange, SpaceError> {
        let pooled = matches!(source, Source::Pool);
        let range = if pooled {
            self.place_pooled(map, place, pages)?
        } else {
            self.place(map, place, pages)?
        };
        let plain = matches!(source, Source::New(Sharing::Private));
        let side = if plain { map.fits_beside(range, prot) } else { None };
        self.may_hold(map, Some(range), if side.is_some() { 0 } else { 1 })?;
        let replaces = matches!(place, Place::Replace(_)) && map.first_in(range).is_some();
        if let Some(side) = side {
            if replaces {
                self.unmap_locked(map, range)?;
            }
            self.grow_neighbour(map, range, side);
            return Ok(range);
        }
        // For itself, and for the parts of two areas that are cut.
        map.reserve(if replaces { 3 } else { 1 })?;
        let backing = self.backing(range, source)?;
        let size = match if pooled { self.promised(range) } else { Ok(PageSize::Base) } {
            Ok(size) => size,
            Err(error) => {
                self.leave_backing(&backing, range);
                return Err(error);
            }
        };
        if replaces && let Err(error) = self.unmap_locked(map, range) {
            self.leave_backing(&backing, range);
            self.break_promises(&size, range);
            return Err(error);
        }
        let (advised, held_anon) = (Advised::empty(), Latch::default());
        let stack = matches!(source, Source::New(Sharing::Stack));
        let grows = if stack { Grows::Down } else { Grows::No };
        let (locked, delegates, uffd) = (Locked::No, Marks::default(), Registration::default());
        let soft_dirty = SoftDirty::Whole;
        map.insert(Area {
            range,
            prot,
            advised,
            grows,
            locked,
            uffd,
            soft_dirty,
            backing,
            size,
            held_anon,
            delegates,
        })?;
        // One that continues what is shared beside it is one with that: INV-AREA-2. A private one
        // has a family of its own.
        if matches!(source, Source::Object { .. }) {
            for page in [range.first_page(), range.end_page()] {
                self.merge(map, page);
            }
        }
        Ok(range)
    }

    /// Where a mapping goes, if the limit on mapped pages allows it. Only for [`Place::Replace`]
    /// something may be there.
    #[inline]
    pub(crate) fn place(
        &self,
        map: &AreaMap<P>,
        place: Place,
        pages: u64,
    ) -> Result<VirtRange, SpaceError> {
        let start = match place {
            Place::At(start) | Place::Replace(start) => start,
            Place::Anywhere | Place::Lowest => {
                self.may_map(map, pages)?;
                return self.gap(map, place, PageCount::new(pages)?.get());
            }
        };
        let range = self.allowed(VirtRange::new(start, pages)?)?;
        self.may_map(map, pages - self.replaced(map, place, range))?;
        match (place, map.first_in(range)) {
            (Place::At(_), Some(area)) => Err(SpaceError::Occupied(area.range)),
            _ => Ok(range),
        }
    }

    /// A gap of so many pages, the lowest or the highest one, that keeps its distance from an area
    /// above it that grows down: INV-STACK-2.
    #[inline]
    pub(crate) fn gap(
        &self,
        map: &AreaMap<P>,
        place: Place,
        pages: u64,
    ) -> Result<VirtRange, SpaceError> {
        let mut within = self.limits().first_page..self.end_page();
        loop {
            let first = match place {
                Place::Lowest => map.lowest_gap(pages, within.clone()),
                _ => map.highest_gap(pages, within.clone()),
            };
            let first = first.ok_or(SpaceError::NoGap { pages })?;
            let (end, found) = (first + pages, VirtRange::of_pages(first, first + pages));
            let above = map.next_from(end).filter(|area| area.grows == Grows::Down);
            let Some(stack) = above.map(|area| area.range) else { return Ok(found) };
            let free = stack.first_page().0.saturating_sub(self.limits().stack_gap);
            if end.0 <= free {
                return Ok(found);
            }
            match place {
                Place::Lowest => within.start = stack.end_page(),
                _ => within.end = Vpn(free),
            }
            if within.start >= within.end {
                return Err(SpaceError::NoGap { pages });
            }
        }
    }

    /// How many mapped pages the mapping replaces.
    fn replaced(&self, map: &AreaMap<P>, place: Place, range: VirtRange) -> u64 {
        match place {
            Place::Replace(_) => map.pages_in(range),
            Place::At(_) | Place::Anywhere | Place::Lowest => 0,
        }
    }

    /// What a new area of `range` maps, which does not grow out of another one. The area is counted
    /// there already.
    fn backing(&self, range: VirtRange, source: &Source<P>) -> Result<Backing<P>, SpaceError> {
        match source {
            Source::New(Sharing::Private | Sharing::Stack) | Source::Pool => {
                Ok(Backing::anon(self.home()?))
            }
            Source::New(Sharing::Shared) => {
                let mem = self.shared_mem().clone();
                let object = Object::new(mem, range.pages(), Behind::Nothing)?;
                self.shared_backing(range, View::new(object, range.first_page().0)?)
            }
            Source::Object { object, first, sharing } => {
                let view = View::new(object.clone(), range.first_page().0.wrapping_sub(*first))?;
                match sharing {
                    FileSharing::Shared => self.shared_backing(range, view),
                    FileSharing::Private => {
                        let home = self.home()?;
                        if let Err(error) = self.join_view(&view, range) {
                            self.leave_backing(&Backing::anon(home), range);
                            return Err(error.into());
                        }
                        Ok(Backing::copied(home, view))
                    }
                }
            }
        }
    }

    /// What a new area of `range` maps that shares what `view` shows.
    fn shared_backing(
        &self,
        range: VirtRange,
        view: Shared<View<P>>,
    ) -> Result<Backing<P>, SpaceError> {
        self.join_view(&view, range)?;
        Ok(Backing::shared(view))
    }

    /// A family of its own for a new area.
    fn home(&self) -> Result<Seat, NoMemory> {
        let platform = self.mem().platform();
        self.mem().anon().found(self.mm(), platform, platform.cpu())
    }

    /// Grows the area on that side of the free `range` over it, and merges areas that then touch:
    /// INV-AREA-2.
    fn grow_neighbour(&self, map: &mut AreaMap<P>, range: VirtRange, side: Side) {
        match side {
            Side::Before => {
                map.lengthen(range.first_page() - 1, range);
                self.merge(map, range.end_page());
            }
            Side::Behind => map.lower(range),
        }
    }
}

#[cfg(test)]
mod tests;
