//! First touches that take a large folio (facts 5; Linux: `alloc_anon_folio`).
//!
//! Protocol: as for a small page, for all pages of the folio at once. What is aligned to the
//! folio's size around the page must lie in the area and be untouched; that is looked at without
//! the table's lock, and again under it before the first entry is set: so either all pages of the
//! folio are mapped, or none is.

use super::request::{Fault, Request};
use crate::addr::{Vpn, each_page};
use crate::area::{Advised, Area};
use crate::error::FaultError;
use crate::event::EventKind;
use crate::frame::{MAX_ORDER, MIN_ORDER, Marks, NewFolio};
use crate::memory::PmdMapping;
use crate::platform::Platform;
use crate::pte::Format;
use crate::space::Space;
use crate::table::Leaf;

/// The orders of the folios that entries of a table may map.
const fn usable<F: Format>() -> u32 {
    let (most, last) = (F::ENTRIES.ilog2(), MAX_ORDER);
    let last = if most < last { most } else { last };
    ((1 << (last + 1)) - 1) & !((1 << MIN_ORDER) - 1)
}

impl<P: Platform> Space<P> {
    /// The orders of the folios that a first touch in the area may take, as bits.
    #[inline]
    pub(crate) fn folio_orders(&self, area: &Area<P>) -> u32 {
        let tuning = self.mem().tuning();
        let orders = tuning.folios_always | tuning.folios_advised;
        if orders == 0 { 0 } else { self.orders_of(area) }
    }

    /// The orders of the folios that it may get by a request, as bits.
    pub(crate) fn orders_on_request(&self, area: &Area<P>) -> u32 {
        if area.advised.contains(Advised::SMALL) { 0 } else { usable::<P::Format>() }
    }

    #[cold]
    fn orders_of(&self, area: &Area<P>) -> u32 {
        let tuning = self.mem().tuning();
        let orders = if area.advised.contains(Advised::SMALL) || !area.uffd.is_none() {
            0
        } else if area.advised.contains(Advised::LARGE) {
            tuning.folios_always | tuning.folios_advised
        } else {
            tuning.folios_always
        };
        orders & usable::<P::Format>()
    }

    /// Whether untouched pages of the area are small ones of its own, and nobody is told of a
    /// touch.
    pub(crate) fn touches_small(&self, area: &Area<P>) -> bool {
        let small = area.is_anon() && area.uffd.is_none() && !area.is_pooled();
        small && self.folio_orders(area) == 0
    }

    /// A first touch that takes the largest folio that fits and can be had, or a small page.
    #[inline(never)]
    pub(super) fn first_touch_large(
        &self,
        request: &Request<'_, P>,
        leaf: Leaf<'_, P>,
    ) -> Result<Fault, FaultError> {
        let Request { area, page, .. } = *request;
        let orders = match self.mem().tuning().pmd_mapping {
            // Of that size there are only those that one entry maps.
            PmdMapping::On => self.folio_orders(area) & !(1 << P::Format::INDEX_BITS),
            PmdMapping::Off => self.folio_orders(area),
        };
        for order in (MIN_ORDER..=MAX_ORDER).rev().filter(|order| orders >> order & 1 != 0) {
            let first = Vpn(page.0 & !((1 << order) - 1));
            let end = first + (1 << order);
            let inside = area.range.first_page() <= first && end <= area.range.end_page();
            if !inside || !each_page(first..end).all(|page| leaf.read(page).is_none()) {
                continue;
            }
            if let Ok(fresh) = self.mem().alloc_folio(self.payer(), (order, Marks::Each), self.id())
            {
                return Ok(self.map_folio(request, leaf, first, fresh));
            }
        }
        self.mem().counters().thp_fault_fallback.add(1);
        self.first_touch(request, leaf)
    }

    /// Maps a new folio from `first` on, unless somebody has touched a page there.
    fn map_folio(
        &self,
        request: &Request<'_, P>,
        leaf: Leaf<'_, P>,
        first: Vpn,
        fresh: NewFolio<'_>,
    ) -> Fault {
        let (mem, area) = (self.mem(), request.area);
        mem.zero_folio(&fresh);
        area.settle(&fresh, first);
        let pfns = fresh.pfns();
        let end = first + fresh.pages();
        let cursor = leaf.lock();
        if !each_page(first..end).all(|page| cursor.get(page).is_none()) {
            return Fault::Spurious;
        }
        let head = fresh.keep();
        mem.lru_add(head);
        for (page, pfn) in each_page(first..end).zip(pfns) {
            cursor.set(page, self.written_page(area, pfn));
        }
        drop(cursor);
        mem.counters().thp_fault_alloc.add(1);
        mem.tell(self.id(), first, EventKind::FolioMapped { head, pages: end.0 - first.0 });
        Fault::FirstTouch
    }
}
