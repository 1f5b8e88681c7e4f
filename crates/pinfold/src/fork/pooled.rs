//! fork over an area of huge pages of the pool: the child shares each, or, of one that may be
//! pinned, gets a copy (rule `hugetlb-fork`, facts 2.5, 2.6).
//!
//! Protocol: as for other huge entries, without a table to deposit. For a copy the locks of both
//! tables are dropped, a page is taken that is promised to nobody, and the parent's is copied. A
//! reference keeps that meanwhile: the process that the page was promised to may take it from the
//! parent. Then both are looked at again.

use super::Copying;
use crate::addr::Pfn;
use crate::area::Area;
use crate::error::NoPage;
use crate::event::EventKind;
use crate::frame::{NewFolio, Promise};
use crate::platform::{FlushScope, Platform};
use crate::pte::Format;
use crate::rules::fork::{ForkVerdict, protects_snapshot};
use crate::rules::hugetlb::fork_hugetlb;
use crate::table::{Huge, Next};

impl<P: Platform> Copying<'_, P> {
    /// Copies the entry for a page of the pool.
    pub(super) fn copy_pooled(
        &mut self,
        huge: &Huge<'_, P>,
        copy: &Area<P>,
    ) -> Result<Next, NoPage> {
        let (parent, child, mem) = (self.parent, self.child, self.parent.mem());
        let first = huge.pages().start;
        let place = child.tables().above_or_make(first)?;
        let mut ready: Option<(Pfn, NewFolio<'_>)> = None;
        loop {
            let to = place.lock();
            let from = huge.lock();
            let Some(pte) = from.get() else { return Ok(Next::Again) };
            if !pte.is_mapped() {
                // What the parent has lost, the child does not find either.
                to.make_pooled(pte);
                return Ok(Next::On);
            }
            let head = pte.pfn();
            mem.tell(parent.id(), first, EventKind::ForkCheck(head));
            let verdict =
                fork_hugetlb(mem.rule(), mem.rule(), self.history(), &mem.page_state(head));
            let why = match verdict {
                ForkVerdict::Share(why) => {
                    self.share_huge(&from, first, (pte, why));
                    to.make_pooled(pte.read_only().old());
                    return Ok(Next::On);
                }
                ForkVerdict::CopyForChild(why) => why,
            };
            if let Some((_, fresh)) = ready.take_if(|(of, _)| *of == head) {
                let new = fresh.head();
                copy.settle(&fresh, first);
                to.make_pooled(copy.written(fresh.keep()));
                mem.counters().fork_copy.add(1);
                let copied = |from: Pfn| {
                    let to = Pfn(new.0 + (from.0 - head.0));
                    EventKind::ForkCopied { from, to, why }
                };
                mem.tell_each(parent.id(), (first, head), copied);
                return Ok(Next::On);
            }
            mem.get(head, 1);
            if pte.is_writable() && protects_snapshot(mem.rule()) {
                from.revoke_write();
                mem.flush(parent.id(), FlushScope::Range(huge.range()));
                mem.tell_each(parent.id(), (first, head), EventKind::ForkProtected);
            }
            drop((from, to));
            let fresh = mem.frames().take_pooled(
                Promise::None,
                P::Format::INDEX_BITS,
                (child.id(), mem.large_maps()),
            );
            ready = fresh.map(|fresh| {
                mem.copy_frames(head, fresh.head(), fresh.pages());
                (head, fresh)
            });
            mem.put(head, 1);
            if ready.is_none() {
                return Err(NoPage::NoHugePage);
            }
        }
    }
}
