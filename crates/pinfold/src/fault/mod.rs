//! Faults: what happens when an access finds no entry that permits it.
//!
//! Protocol: the area is held, by the address space's lock for reading or as one that is delegated
//! to the CPU ([`crate::delegate`]). The entry is read without its table's
//! lock and what the fault needs is prepared; then the table is locked and the entry compared with
//! the snapshot. If they differ, another CPU won the race: the fault returns without a change, and
//! the access is retried.
//!
//! Invariants:
//! - INV-FAULT-1: a fault that fails leaves the entry unchanged.
//! - INV-FAULT-2: a copy is published only after every CPU has forgotten the page that it replaces,
//!   and the page loses its mapping only after that (facts 1.7).
//! - INV-FAULT-3: a new private page is exclusive from the moment it is mapped.
//! - INV-FAULT-4: a fault fails for lack of frames or heap only if the entry is still as it was
//!   found: another CPU may have resolved the fault with the last frame.
//! - INV-FAULT-5: a fault that finds the permission it wants leaves the entry accessed, and for a
//!   store dirty: the access does not fault on it again. Where a monitor has the page protected,
//!   the entry comes without write permission, and the access faults on it to be told.

mod file;
mod hint;
mod huge;
mod large;
mod past;
mod pooled;
mod populate;
mod readahead;
mod request;
mod swap;
mod wp;

pub use populate::Unpopulated;
pub use request::{Cause, Fault, Hinted};
pub(crate) use request::{Request, Rights, Want};

use crate::addr::{Pfn, VirtAddr, Vpn};
use crate::area::{Area, AreaMap, Prot};
use crate::charge::GroupId;
use crate::error::{FaultError, NoPage, OutOfFrames};
use crate::event::EventKind;
use crate::frame::{Flags, NewFolio, NewFrame, Start};
use crate::platform::Platform;
use crate::pte::{Entry, Pte};
use crate::space::Space;
use crate::sync::SpreadGuard;
use crate::table::{Leaf, Missing};
use crate::uffd::{UffdMode, UffdReason};

impl<P: Platform> Area<P> {
    /// The entry of a page or folio that is being written: writable if the area allows it.
    #[inline]
    pub(crate) fn written(&self, pfn: Pfn) -> Pte<P::Format> {
        let stored = Pte::mapping(pfn, self.prot.reach()).stored();
        if self.prot.contains(Prot::WRITE) { stored.writable() } else { stored }
    }

    /// Gives a new folio that is to be mapped from `first` on its place in the reverse map.
    pub(crate) fn settle(&self, folio: &NewFolio<'_>, first: Vpn) {
        if let Some(seat) = self.backing.seat() {
            folio.set_rmap(seat.home, seat.index(first));
            self.held_anon.set();
        }
    }
}

impl<P: Platform> Space<P> {
    /// Resolves the fault of an access.
    pub(crate) fn fault(&self, at: VirtAddr, cause: Cause) -> Result<Fault, FaultError> {
        match self.delegated(at.page()) {
            Some(area) => self.fault_of(&area, at, cause),
            None => self.fault_locked(at, cause),
        }
    }

    /// As [`Space::fault`], where the area is not delegated to this CPU.
    fn fault_locked(&self, at: VirtAddr, cause: Cause) -> Result<Fault, FaultError> {
        let map = self.read_map();
        let Some(area) = map.find(at.page()) else { return self.fault_outside(map, at, cause) };
        let fault = self.fault_of(area, at, cause);
        self.delegate(area, at.page());
        fault
    }

    /// As [`Space::fault`], where nothing is mapped: below a stack, which grows, or nowhere.
    #[cold]
    fn fault_outside(
        &self,
        map: SpreadGuard<'_, AreaMap<P>, P>,
        at: VirtAddr,
        cause: Cause,
    ) -> Result<Fault, FaultError> {
        let map = self.grown(map, at.page(), || true).map_err(|_| FaultError::NotMapped(at))?;
        let area = map.find(at.page()).ok_or(FaultError::NotMapped(at))?;
        self.fault_of(area, at, cause)
    }

    /// As [`Space::fault`], in the area that holds the page.
    #[inline]
    fn fault_of(&self, area: &Area<P>, at: VirtAddr, cause: Cause) -> Result<Fault, FaultError> {
        let (allowed, want) = match cause {
            // Every format makes readable whatever it maps, so memory for writing or executing
            // alone is readable, too. The slow path of a pin checks the permission itself.
            Cause::Load => (!area.prot.is_empty(), Want::Read),
            Cause::Store => (area.prot.contains(Prot::WRITE), Want::Write),
            Cause::Fetch => (area.prot.contains(Prot::EXEC), Want::Read),
        };
        if !allowed {
            return Err(FaultError::Denied(at));
        }
        self.fault_in(&Request { area, page: at.page(), want })
    }

    /// As [`Space::fault`], for callers that hold the lock and have checked the permissions.
    pub(crate) fn fault_at(
        &self,
        map: &AreaMap<P>,
        page: Vpn,
        want: Want,
        rights: Rights,
    ) -> Result<Fault, FaultError> {
        let at = page.start();
        let area = map.find(page).ok_or(FaultError::NotMapped(at))?;
        let allowed = match (rights, want) {
            (Rights::Forced, Want::Write) => area.is_cow() || area.prot.contains(Prot::WRITE),
            (Rights::Forced, _) => true,
            (Rights::Area, Want::Write) => area.prot.contains(Prot::WRITE),
            (Rights::Area, _) => area.prot.contains(Prot::READ),
        };
        if !allowed {
            return Err(FaultError::Denied(at));
        }
        self.fault_in(&Request { area, page, want })
    }

    fn fault_in(&self, request: &Request<'_, P>) -> Result<Fault, FaultError> {
        match self.tables().leaf(request.page) {
            Ok(leaf) => self.resolve_now(request, leaf),
            Err(missing) => self.fault_above(request, missing),
        }
    }

    /// As [`Space::fault_in`], where there is no last-level table.
    #[cold]
    #[inline(never)]
    fn fault_above(
        &self,
        request: &Request<'_, P>,
        missing: Missing<'_, P>,
    ) -> Result<Fault, FaultError> {
        let page = request.page;
        if request.area.is_pooled() {
            return self.fault_pooled(request);
        }
        if let Some(fault) = self.above(request, &missing) {
            return Ok(fault);
        }
        match self.tables().leaf_or_make(page) {
            Ok(leaf) => self.resolve_now(request, leaf),
            // INV-FAULT-4: another CPU may have made the table with the last frame.
            Err(_) if self.tables().leaf(page).is_ok() => Ok(Fault::Spurious),
            Err(error) => Err(error.into()),
        }
    }

    /// What a huge entry can do for the fault, or one that may be made; nothing, if a last-level
    /// table is needed.
    fn above(&self, request: &Request<'_, P>, missing: &Missing<'_, P>) -> Option<Fault> {
        let fault = match missing {
            Missing::Nothing => self.touch_huge(request),
            Missing::Huge(huge) => self.fault_huge(request, huge),
        }?;
        self.mem().counters().pgfault.add(1);
        Some(fault)
    }

    /// Does what the entry asks for, as it is now.
    fn resolve_now(
        &self,
        request: &Request<'_, P>,
        leaf: Leaf<'_, P>,
    ) -> Result<Fault, FaultError> {
        let pte = leaf.read(request.page);
        match self.resolve(request, leaf, pte) {
            Err(error) if leaf.read(request.page) == pte => Err(self.failed(request, error)),
            // INV-FAULT-4: what failed was no longer wanted.
            Err(_) => Ok(Fault::Spurious),
            resolved => resolved,
        }
    }

    /// The error of a fault that could not be resolved, which may be for a monitor.
    #[cold]
    #[inline(never)]
    fn failed(&self, request: &Request<'_, P>, error: FaultError) -> FaultError {
        if let FaultError::Userfault { uffd, reason, .. } = error {
            self.mem().tell(self.id(), request.page, EventKind::UffdTold { uffd, reason });
        }
        error
    }

    /// Does what the entry, as it was read, asks for.
    fn resolve(
        &self,
        request: &Request<'_, P>,
        leaf: Leaf<'_, P>,
        pte: Pte<P::Format>,
    ) -> Result<Fault, FaultError> {
        let page = request.page;
        let fault = match pte.decode() {
            Entry::None | Entry::Marker => self.missing(request, leaf)?,
            Entry::Migration(entry) => {
                self.mem().tell(self.id(), page, EventKind::WaitMigration(entry.pfn));
                self.mem().wait_folio(entry.pfn);
                Fault::Waited
            }
            // Only forced accesses meet an inaccessible area's own PROT_NONE; there is nothing to
            // repair.
            Entry::Mapped(_) if pte.is_hint() => self.hint_fault(request, leaf, pte),
            Entry::Mapped(_) => self.present(request, leaf, pte)?,
            Entry::Swap(entry) => self.swapped(request, leaf, (pte, entry))?,
        };
        self.mem().counters().pgfault.add(1);
        Ok(fault)
    }

    /// A present entry that the access could not use, or that was stale in a CPU's cache. Hardware
    /// that leaves the accessed and dirty bits to the manager faults until they are set:
    /// INV-FAULT-5.
    fn present(
        &self,
        request: &Request<'_, P>,
        leaf: Leaf<'_, P>,
        pte: Pte<P::Format>,
    ) -> Result<Fault, FaultError> {
        if request.want != Want::Read && !pte.is_writable() {
            if pte.is_uffd_wp() && request.want == Want::Write {
                return Err(request.told(UffdReason::Wp));
            }
            return self.write_protected(request, leaf, pte);
        }
        let page = request.page;
        let used = if request.want == Want::Write { pte.young().stored() } else { pte.young() };
        let cursor = leaf.lock();
        if cursor.get(page) == pte && used != pte {
            cursor.grant(page, pte, used);
        }
        drop(cursor);
        self.mem().platform().flush_local(self.id(), page.alone());
        self.mem().tell(self.id(), page, EventKind::Spurious);
        Ok(Fault::Spurious)
    }

    /// Nothing is mapped yet.
    fn missing(&self, request: &Request<'_, P>, leaf: Leaf<'_, P>) -> Result<Fault, FaultError> {
        let told = request.area.uffd.has(UffdMode::MISSING) && request.area.is_anon();
        if told {
            return Err(request.told(UffdReason::Missing));
        }
        match (request.area.backing.view(), request.want) {
            (None, Want::Write) if self.folio_orders(request.area) == 0 => {
                self.first_touch(request, leaf)
            }
            (None, Want::Write) => self.first_touch_large(request, leaf),
            (None, Want::Read | Want::Unshare) => Ok(self.map_zero(request, leaf)),
            (Some(view), _) => self.missing_shown(request, view, leaf),
        }
    }

    fn map_zero(&self, request: &Request<'_, P>, leaf: Leaf<'_, P>) -> Fault {
        let zero = self.mem().zero_page();
        let pte = Pte::mapping(zero, request.area.prot.reach()).special();
        let cursor = leaf.lock();
        let vacant = cursor.get(request.page);
        if !vacant.is_vacant() {
            return Fault::Spurious;
        }
        cursor.set(request.page, pte.over(vacant));
        drop(cursor);
        self.mem().tell(self.id(), request.page, EventKind::ZeroMapped(zero));
        Fault::ZeroPage
    }

    #[inline(always)]
    pub(super) fn first_touch(
        &self,
        request: &Request<'_, P>,
        leaf: Leaf<'_, P>,
    ) -> Result<Fault, FaultError> {
        let fresh = self.new_private(request.area, request.page)?;
        let pfn = fresh.pfn();
        self.mem().platform().zero_frame(pfn);
        let cursor = leaf.lock();
        let vacant = cursor.get(request.page);
        if !vacant.is_vacant() {
            return Ok(Fault::Spurious);
        }
        cursor.set(request.page, self.written(request.area, fresh).over(vacant));
        drop(cursor);
        self.mem().tell(self.id(), request.page, EventKind::FirstTouch(pfn));
        Ok(Fault::FirstTouch)
    }

    /// A page for a private area, counted as mapped once and exclusive, not yet filled.
    #[inline]
    pub(crate) fn new_private(&self, area: &Area<P>, page: Vpn) -> Result<NewFrame<'_>, NoPage> {
        // What a page of nobody's takes stays a short way.
        let paid = self.mem().charges().is_some().then(|| self.payer()).flatten();
        if let Some(payer) = paid {
            return self.new_charged(area, page, payer);
        }
        let fresh = match self.mem().alloc_local(Flags::ANON, Start::Mapped) {
            Ok(fresh) => fresh,
            Err(OutOfFrames) => self.mem().alloc_of_splits(Flags::ANON, Start::Mapped)?,
        };
        self.settle_new(area, page, &fresh);
        Ok(fresh)
    }

    /// As [`Space::new_private`], where a group is charged for the page.
    #[cold]
    #[inline(never)]
    fn new_charged(
        &self,
        area: &Area<P>,
        page: Vpn,
        payer: GroupId,
    ) -> Result<NewFrame<'_>, NoPage> {
        let fresh = self.mem().alloc_charged(payer)?;
        self.settle_new(area, page, &fresh);
        Ok(fresh)
    }

    /// Gives a new private page its place in the reverse map.
    #[inline]
    fn settle_new(&self, area: &Area<P>, page: Vpn, fresh: &NewFrame<'_>) {
        if let Some(seat) = area.backing.seat() {
            fresh.page().set_rmap(seat.home, seat.index(page));
            area.held_anon.set();
        }
    }

    /// The entry of a new private page that is being written: writable if the area allows it. The
    /// page is about to be mapped, and comes to its list.
    pub(crate) fn written(&self, area: &Area<P>, fresh: NewFrame<'_>) -> Pte<P::Format> {
        let pfn = fresh.keep();
        self.mem().lru_add(pfn);
        self.written_page(area, pfn)
    }

    /// As [`Space::written`], of a page whose reference and mapping are the entry's.
    #[inline]
    fn written_page(&self, area: &Area<P>, pfn: Pfn) -> Pte<P::Format> {
        self.in_area(area, area.written(pfn))
    }
}

#[cfg(test)]
mod tests;
