//! Areas that change their size without a mapping: stacks, which grow down on a fault, and the
//! memory below the program break.
//!
//! Protocol: both hold the address space's lock for writing. A fault that finds nothing mapped
//! looks for a stack above while it holds the lock for reading; then it lets go, takes the lock for
//! writing, looks again, and grows the area. The fault itself starts over.
//!
//! Invariants:
//! - INV-STACK-1: a stack has at most [`crate::Limits::stack`] pages, and grows only while
//!   [`crate::Limits::stack_gap`] pages stay free between it and an area below that can be accessed
//!   and is no stack.
//! - INV-STACK-2: the system places nothing closer than that below a stack. Who names an address
//!   may.
//! - INV-BREAK-1: the break moves only over free pages and leaves one free above it; a move that
//!   fails leaves it where it was.

use crate::addr::{VirtAddr, VirtRange, Vpn};
use crate::area::{AreaMap, Grows, Heap, Prot};
use crate::error::{FaultError, SpaceError};
use crate::platform::Platform;
use crate::rules::zap::needs_mapping;
use crate::space::{Place, Sharing, Source, Space};
use crate::sync::SpreadGuard;

impl<P: Platform> Space<P> {
    /// The areas once the stack above `page`, where nothing is mapped, has grown over it: if there
    /// is one, `may` allows it and the limits do. The lock is released meanwhile.
    ///
    /// # Errors
    /// When nothing is mapped there still.
    pub(crate) fn grown<'a>(
        &'a self,
        map: SpreadGuard<'a, AreaMap<P>, P>,
        page: Vpn,
        may: impl FnOnce() -> bool,
    ) -> Result<SpreadGuard<'a, AreaMap<P>, P>, FaultError> {
        let below_stack = self.below_stack(&map, page);
        drop(map);
        if below_stack && may() && self.grow_stack(page) {
            Ok(self.read_map())
        } else {
            Err(FaultError::NotMapped(page.start()))
        }
    }

    /// Whether `page`, where nothing is mapped, lies below a stack.
    fn below_stack(&self, map: &AreaMap<P>, page: Vpn) -> bool {
        map.next_from(page).is_some_and(|area| area.grows == Grows::Down)
    }

    /// Grows the stack above `page` over it. Returns whether the page is mapped now.
    fn grow_stack(&self, page: Vpn) -> bool {
        let mut map = self.write_map();
        if map.find(page).is_some() {
            return true;
        }
        let Some(more) = self.stack_over(&map, page) else { return false };
        map.lower(more);
        if let Some(area) = map.find(page) {
            // The area is prepared for pages of its own, whatever comes (facts 2.1).
            area.held_anon.set();
        }
        true
    }

    /// What a stack that grows over `page` takes: INV-STACK-1.
    fn stack_over(&self, map: &AreaMap<P>, page: Vpn) -> Option<VirtRange> {
        let area = map.next_from(page).filter(|area| area.grows == Grows::Down)?;
        let (stack, locked) = (area.range, area.locked);
        let limits = self.limits();
        let more = VirtRange::of_pages(page, stack.first_page());
        let (pages, allowed) = (stack.end_page() - page, self.allowed(more).is_ok());
        if pages > limits.stack || !allowed || self.may_grow(map, locked, more.pages()).is_err() {
            return None;
        }
        let guarded = |prot: Prot, grows| !prot.is_empty() && grows == Grows::No;
        let below = map.before(page).filter(|area| guarded(area.prot, area.grows));
        let close = below.is_some_and(|area| page - area.range.end_page() < limits.stack_gap);
        (!close).then_some(more)
    }

    /// Where the program break is.
    pub(crate) fn program_break(&self) -> Option<VirtAddr> {
        self.read_map().heap.map(|heap| heap.end)
    }

    /// Says where the break starts.
    pub(crate) fn place_break(&self, start: VirtAddr) -> Result<(), SpaceError> {
        let mut map = self.write_map();
        let first = start.checked_align_up().map_or(Vpn(u64::MAX >> 12), VirtAddr::page);
        self.allowed(VirtRange::of_pages(first, first + 1))?;
        map.heap = Some(Heap { start, end: start });
        Ok(())
    }

    /// Moves the break.
    pub(crate) fn move_break(&self, to: VirtAddr) -> Result<(), SpaceError> {
        let mut map = self.write_map();
        let heap = map.heap.ok_or(SpaceError::NotMapped(to))?;
        let (Some(now), Some(new)) = (heap.end.checked_align_up(), to.checked_align_up()) else {
            return Err(SpaceError::OutsideLimits(to.page().alone()));
        };
        if to < heap.start {
            return Err(SpaceError::OutsideLimits(to.page().alone()));
        }
        if new < now {
            let less = VirtRange::of_pages(new.page(), now.page());
            if map.first_in(less).is_none() && needs_mapping(self.mem().rule()) {
                return Err(SpaceError::NotMapped(new));
            }
            self.unmap_locked(&mut map, less)?;
        } else if now < new {
            let more = VirtRange::of_pages(now.page(), new.page());
            self.allowed(more)?;
            self.room_above(&map, more)?;
            let place = Place::At(more.start());
            let source = Source::New(Sharing::Private);
            self.map_locked(&mut map, place, more.pages(), Prot::READ_WRITE, &source)?;
        }
        map.heap = Some(Heap { end: to, ..heap });
        Ok(())
    }

    /// Whether a page stays free above `more`, and a stack's distance: INV-BREAK-1.
    fn room_above(&self, map: &AreaMap<P>, more: VirtRange) -> Result<(), SpaceError> {
        let Some(above) = map.next_from(more.first_page()) else { return Ok(()) };
        let distance = match above.grows {
            Grows::No => 1,
            Grows::Down => self.limits().stack_gap.max(1),
        };
        let free = above.range.first_page().0.saturating_sub(distance);
        if more.end_page().0 > free { Err(SpaceError::Occupied(above.range)) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests;
