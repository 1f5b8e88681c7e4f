//! Faults on pages of an object: a file, or shared memory (facts 7.8).
//!
//! Protocol: the object's page list is held for reading from the look-up until the entry is there,
//! so that who takes pages out either finds the entry or has been before. A write to a page whose
//! writes are tracked holds the page's lock while it asks the store for room, marks the page and
//! makes the entry dirty: writeback, which holds it too, is done with the page then (INV-BACK-1).
//! Where that lock is taken, the fault lets go of everything, waits for it, and is repeated.
//!
//! A fault that reads shows neighbours that are there already, too (fault-around).

use core::ops::Range;

use super::request::{Fault, Request, Want};
use crate::addr::{Pfn, VirtAddr, Vpn, each_page};
use crate::area::{Area, Prot, View};
use crate::error::FaultError;
use crate::event::EventKind;
use crate::frame::Flags;
use crate::object::{PageError, Shown};
use crate::platform::Platform;
use crate::pte::{Format, Pte};
use crate::space::Space;
use crate::table::{Cursor, Leaf, table_end};
use crate::uffd::{UffdMode, UffdReason};

impl PageError {
    /// The error of the access at that address.
    pub(crate) fn at(self, at: VirtAddr) -> FaultError {
        match self {
            Self::PastEnd => FaultError::PastEnd(at),
            Self::Store(error) => FaultError::Store(at, error),
            Self::OutOfFrames => FaultError::OutOfFrames,
            Self::OverLimit(error) => error.into(),
            Self::NoMemory => FaultError::NoMemory,
        }
    }
}

impl<P: Platform> Space<P> {
    /// No entry yet, in an area that shows an object.
    pub(super) fn missing_shown(
        &self,
        request: &Request<'_, P>,
        view: &View<P>,
        leaf: Leaf<'_, P>,
    ) -> Result<Fault, FaultError> {
        let at = request.page.start();
        if !request.area.uffd.is_none() {
            self.told_shown(request, view)?;
        }
        let shown = view.object.show::<true>(view.index(request.page), self.payer());
        let shown = shown.map_err(|error| error.at(at))?;
        match request.want {
            Want::Write if request.area.is_cow() => self.copy_shown(request, leaf, &shown),
            Want::Write if view.object.is_tracked() => {
                self.show_tracked(request, view, leaf, shown)
            }
            Want::Write => {
                let pte = request.area.written(shown.pfn);
                Ok(self.put_in(request, leaf, shown.pfn, pte))
            }
            Want::Read | Want::Unshare => {
                let pte = self.entry_of(request.area, shown.pfn);
                let fault = self.put_in(request, leaf, shown.pfn, pte);
                self.show_around(request, view, leaf, &shown);
                Ok(fault)
            }
        }
    }

    /// Whether a monitor is told of an access to a page of the object that is not mapped: of one
    /// that is not there as missing, of one that is as minor.
    #[cold]
    fn told_shown(&self, request: &Request<'_, P>, view: &View<P>) -> Result<(), FaultError> {
        let watched = match view.object.has(view.index(request.page)) {
            true => (UffdMode::MINOR, UffdReason::Minor),
            false => (UffdMode::MISSING, UffdReason::Missing),
        };
        if request.area.uffd.has(watched.0) { Err(request.told(watched.1)) } else { Ok(()) }
    }

    /// The entry of a page of the object: writable only where the first write need not be noticed.
    fn entry_of(&self, area: &Area<P>, pfn: Pfn) -> Pte<P::Format> {
        let pte = Pte::mapping(pfn, area.prot.reach());
        let unnoticed = !area.is_cow() && !area.is_tracked() && !area.awaits_store(pte);
        if unnoticed && area.prot.contains(Prot::WRITE) { pte.writable() } else { pte }
    }

    /// A first write to a page of a file that is not mapped here yet.
    fn show_tracked(
        &self,
        request: &Request<'_, P>,
        view: &View<P>,
        leaf: Leaf<'_, P>,
        shown: Shown<'_, P>,
    ) -> Result<Fault, FaultError> {
        let (mem, pfn) = (self.mem(), shown.pfn);
        let Some(_locked) = mem.try_lock_page(pfn) else {
            mem.wait_page_without(pfn, shown);
            return Ok(Fault::Waited);
        };
        self.mark_for_write(request.page, view, pfn)?;
        Ok(self.put_in(request, leaf, pfn, request.area.written(pfn)))
    }

    /// A write to a page of a file whose entry has no write permission: page_mkwrite. The entry was
    /// `orig` under the cursor.
    pub(super) fn write_tracked(
        &self,
        request: &Request<'_, P>,
        view: &View<P>,
        (leaf, cursor): (Leaf<'_, P>, Cursor<'_, P>),
        (orig, pfn): (Pte<P::Format>, Pfn),
    ) -> Result<Fault, FaultError> {
        let mem = self.mem();
        mem.get(pfn, 1);
        drop(cursor);
        let done = match mem.try_lock_page(pfn) {
            Some(_locked) => self.mark_for_write(request.page, view, pfn).map(|()| {
                let cursor = leaf.lock();
                if cursor.get(request.page) == orig {
                    self.write_shared(request, cursor, orig)
                } else {
                    Fault::Spurious
                }
            }),
            None => {
                mem.wait_page(pfn);
                Ok(Fault::Waited)
            }
        };
        mem.put(pfn, 1);
        done
    }

    /// Asks for room and marks the page, whose lock is held: INV-BACK-3. One that was taken out of
    /// the object has no entry any more, as the caller is going to find.
    fn mark_for_write(&self, page: Vpn, view: &View<P>, pfn: Pfn) -> Result<(), FaultError> {
        let frames = self.mem().frames();
        if !frames.flags(pfn).contains(Flags::CACHED) {
            return Ok(());
        }
        if let Some(store) = view.object.store() {
            let room = store.reserve(self.mem().platform(), view.index(page));
            room.map_err(|error| FaultError::Store(page.start(), error))?;
        }
        self.mem().mark_dirty(pfn);
        Ok(())
    }

    /// A first write to a page that a private mapping would show: it gets a copy.
    fn copy_shown(
        &self,
        request: &Request<'_, P>,
        leaf: Leaf<'_, P>,
        shown: &Shown<'_, P>,
    ) -> Result<Fault, FaultError> {
        let (mem, from) = (self.mem(), shown.pfn);
        let fresh = self.new_private(request.area, request.page)?;
        let to = fresh.pfn();
        mem.platform().copy_frame(from, to);
        let cursor = leaf.lock();
        let vacant = cursor.get(request.page);
        if !vacant.is_vacant() {
            return Ok(Fault::Spurious);
        }
        cursor.set(request.page, self.written(request.area, fresh).over(vacant));
        drop(cursor);
        mem.counters().cow_copy.add(1);
        mem.tell(self.id(), request.page, EventKind::Copied { from, to });
        Ok(Fault::Copied)
    }

    /// Puts the entry of a page of the object in, if there is still none.
    fn put_in(
        &self,
        request: &Request<'_, P>,
        leaf: Leaf<'_, P>,
        pfn: Pfn,
        pte: Pte<P::Format>,
    ) -> Fault {
        let cursor = leaf.lock();
        let vacant = cursor.get(request.page);
        if !vacant.is_vacant() {
            return Fault::Spurious;
        }
        self.put_one(request.area, &cursor, request.page, pfn, pte.over(vacant));
        Fault::SharedPage
    }

    pub(crate) fn put_one(
        &self,
        area: &Area<P>,
        cursor: &Cursor<'_, P>,
        page: Vpn,
        pfn: Pfn,
        pte: Pte<P::Format>,
    ) {
        self.mem().get_small_map(pfn);
        cursor.set(page, self.in_area(area, pte));
        self.mem().tell(self.id(), page, EventKind::SharedMapped(pfn));
    }

    /// Shows what is there already of the pages around one that was read.
    fn show_around(
        &self,
        request: &Request<'_, P>,
        view: &View<P>,
        leaf: Leaf<'_, P>,
        shown: &Shown<'_, P>,
    ) {
        // What is protected or minor is told page by page.
        if !request.area.uffd.is_none() {
            return;
        }
        let around = self.around(request);
        if around.end.0 - around.start.0 < 2 {
            return;
        }
        let cursor = leaf.lock();
        for page in each_page(around) {
            if !cursor.get(page).is_none() {
                continue;
            }
            if let Some(pfn) = shown.neighbour(self.mem(), view.index(page)) {
                let pte = self.entry_of(request.area, pfn).old();
                self.put_one(request.area, &cursor, page, pfn, pte);
            }
        }
    }

    /// The pages of the area and the table that are shown with one that is read.
    fn around(&self, request: &Request<'_, P>) -> Range<Vpn> {
        let (page, area) = (request.page, request.area.range);
        let window = self.mem().tuning().fault_around.max(1);
        let first = Vpn(page.0 - page.0 % window).max(area.first_page());
        let end = Vpn((page.0 - page.0 % window).saturating_add(window)).min(area.end_page());
        // A window may reach over the ends of the table that has been found.
        let table = table_end::<P::Format>(page);
        let start = first.max(Vpn(table.0 - P::Format::ENTRIES as u64));
        start..end.min(table)
    }
}
