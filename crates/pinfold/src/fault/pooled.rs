//! Faults in an area of huge pages of the pool (facts 1.3, 1.5, 9.24; the kernel's
//! `hugetlb_fault`).
//!
//! Protocol: as [`crate::hugetlb`] says: one such fault at a time for each upper table, by the page
//! lock of its frame; entries change under the table's own lock. A first touch takes the page that
//! was promised to the area, or one that is promised to nobody; a read maps it without write
//! permission. A copy is always of one that is promised to nobody.

use super::request::{Fault, Request, Want};
use crate::addr::Pfn;
use crate::error::{FaultError, OutOfFrames};
use crate::event::EventKind;
use crate::frame::{NewFolio, Promise};
use crate::platform::{Invalidate, Platform};
use crate::pte::{Format, Pte};
use crate::rules::hugetlb::{HugetlbVerdict, hugetlb_cow};
use crate::space::Space;
use crate::table::Huge;

impl<P: Platform> Space<P> {
    /// Resolves a fault in an area of huge pages of the pool.
    #[cold]
    pub(super) fn fault_pooled(&self, request: &Request<'_, P>) -> Result<Fault, FaultError> {
        let mem = self.mem();
        let place = || self.tables().above_or_make(request.page);
        // INV-FAULT-4: another CPU may have made the table with the last frame.
        let upper = place().or_else(|OutOfFrames| place())?.upper;
        let _one_at_a_time = mem.lock_page(upper);
        let huge = place()?;
        let fault = match huge.pte() {
            None => self.first_touch_pooled(request, &huge)?,
            Some(pte) if !pte.is_mapped() => return Err(FaultError::NoHugePage),
            Some(pte) if request.want == Want::Read || pte.is_writable() => {
                self.present_huge(request, &huge, pte).unwrap_or(Fault::Spurious)
            }
            Some(pte) => self.write_protected_pooled(request, &huge, pte)?,
        };
        mem.counters().pgfault.add(1);
        Ok(fault)
    }

    /// A page for the area; none if all that are free are promised to others.
    fn new_pooled(&self, promise: Promise) -> Option<NewFolio<'_>> {
        let mem = self.mem();
        mem.frames().take_pooled(promise, P::Format::INDEX_BITS, (self.id(), mem.large_maps()))
    }

    fn first_touch_pooled(
        &self,
        request: &Request<'_, P>,
        huge: &Huge<'_, P>,
    ) -> Result<Fault, FaultError> {
        let (mem, area) = (self.mem(), request.area);
        let promises = area.size.promised_to(self.id());
        let promise = match promises.is_some_and(|promises| promises.take(request.page)) {
            true => Promise::Kept,
            false => Promise::None,
        };
        let folio = self.new_pooled(promise).ok_or(FaultError::NoHugePage)?;
        mem.zero_folio(&folio);
        let first = huge.pages().start;
        area.settle(&folio, first);
        let head = folio.keep();
        let cursor = huge.lock();
        cursor.make_pooled(match request.want {
            Want::Write => area.written(head),
            Want::Read | Want::Unshare => Pte::mapping(head, area.prot.reach()),
        });
        drop(cursor);
        let pages = P::Format::ENTRIES as u64;
        mem.tell(self.id(), first, EventKind::HugeMapped { head, pages });
        Ok(Fault::FirstTouch)
    }

    fn write_protected_pooled(
        &self,
        request: &Request<'_, P>,
        huge: &Huge<'_, P>,
        orig: Pte<P::Format>,
    ) -> Result<Fault, FaultError> {
        let (mem, head) = (self.mem(), orig.pfn());
        let mut promised = request.area.size.promised_to(self.id()).is_some();
        loop {
            let cursor = huge.lock();
            if cursor.get() != Some(orig) {
                return Ok(Fault::Spurious);
            }
            let why = match hugetlb_cow(mem.rule(), &mem.huge_state(head)) {
                HugetlbVerdict::Reuse(why) => {
                    let kept = EventKind::HugetlbKept { head, why };
                    return Ok(self.reuse_huge(request, huge, cursor, (orig, kept)));
                }
                HugetlbVerdict::Copy(why) => why,
            };
            mem.get(head, 1);
            drop(cursor);
            let copied = self.new_pooled(Promise::None).map(|fresh| {
                mem.tell(self.id(), request.page, EventKind::HugetlbCopy { head, why });
                self.copy_over_pooled(request, huge, orig, fresh)
            });
            if copied.is_none() && promised {
                mem.take_from_others(head, self.id());
            }
            mem.put(head, 1);
            match copied {
                Some(fault) => return Ok(fault),
                // Nobody but this address space maps the page now.
                None if promised => promised = false,
                None => return Err(FaultError::NoHugePage),
            }
        }
    }

    /// Maps a copy in place of a page, which the caller holds (INV-FAULT-2).
    fn copy_over_pooled(
        &self,
        request: &Request<'_, P>,
        huge: &Huge<'_, P>,
        orig: Pte<P::Format>,
        fresh: NewFolio<'_>,
    ) -> Fault {
        let (mem, area, old, to) = (self.mem(), request.area, orig.pfn(), fresh.head());
        let pages = fresh.pages();
        mem.copy_frames(old, to, pages);
        let _changing = mem.changing(self.id(), huge.range(), Invalidate::Clear);
        let cursor = huge.lock();
        let folio = mem.frames().large(old).filter(|_| cursor.get() == Some(orig));
        let Some(folio) = folio else { return Fault::Spurious };
        area.settle(&fresh, huge.pages().start);
        let _kept = fresh.keep();
        let pte = match request.want {
            Want::Unshare => Pte::mapping(to, area.prot.reach()),
            Want::Read | Want::Write => area.written(to),
        };
        self.publish_huge(huge, &cursor, (orig, pte));
        mem.drop_maps(folio, (old, pages as u32), self.id());
        drop(cursor);
        mem.counters().cow_copy.add(1);
        let copied = |from: Pfn| EventKind::Copied { from, to: Pfn(to.0 + (from.0 - old.0)) };
        mem.tell_each(self.id(), (huge.pages().start, old), copied);
        mem.put_run(old, pages as u32);
        Fault::Copied
    }
}
