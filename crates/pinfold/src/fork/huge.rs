//! fork over a huge entry: the child gets one like it, or, if the folio may be pinned, the parent's
//! is split and each page of it is asked about by itself (facts 2.3, 2.6). A migration entry in its
//! place is copied as that of a page.
//!
//! Protocol: the tables that hold the entries are locked, the child's first, as last-level tables
//! are. The table that goes with the child's entry is allocated before.

use core::ops::Range;

use super::{Copying, shared_migration};
use crate::addr::Vpn;
use crate::error::NoPage;
use crate::event::EventKind;
use crate::platform::Platform;
use crate::pte::{Entry, Pte};
use crate::rules::fork::{ForkVerdict, fork_page};
use crate::rules::{ForkPin, Why};
use crate::table::{Huge, HugeCursor, Next};

impl<P: Platform> Copying<'_, P> {
    /// Copies a huge entry of which `pages` are in the area.
    pub(super) fn copy_huge(
        &mut self,
        huge: &Huge<'_, P>,
        pages: &Range<Vpn>,
    ) -> Result<Next, NoPage> {
        let (parent, child, mem) = (self.parent, self.child, self.parent.mem());
        if *pages != huge.pages() {
            return Ok(mem.split_or_pass(parent.mm(), huge));
        }
        let table = mem.new_deposit()?;
        let place = child.tables().above_or_make(pages.start)?;
        let to = place.lock();
        let from = huge.lock();
        let Some(pte) = from.get() else { return Ok(Next::Again) };
        if let Entry::Migration(entry) = pte.decode() {
            let shared = Pte::migration(shared_migration(entry));
            from.set(shared);
            to.make(shared, table.keep());
            return Ok(Next::On);
        }
        if pte.is_special() {
            to.make(pte, table.keep());
            return Ok(Next::On);
        }
        let head = pte.pfn();
        mem.tell(parent.id(), pages.start, EventKind::ForkCheck(head));
        let rule: ForkPin = mem.rule();
        match fork_page(rule, self.history(), &mem.page_state(head)) {
            ForkVerdict::Share(why) => {
                self.share_huge(&from, pages.start, (pte, why));
                to.make(pte.read_only().old(), table.keep());
                Ok(Next::On)
            }
            ForkVerdict::CopyForChild(why) => {
                drop((from, to));
                mem.tell(parent.id(), pages.start, EventKind::HugePinned { head, why });
                mem.split_huge(parent.mm(), huge);
                Ok(Next::Again)
            }
        }
    }

    /// Counts the child's mappings of the folio, and takes the parent's mark and write permission.
    pub(super) fn share_huge(
        &mut self,
        from: &HugeCursor<'_, '_, P>,
        first: Vpn,
        (pte, why): (Pte<P::Format>, Why),
    ) {
        let (mem, head, id) = (self.parent.mem(), pte.pfn(), self.parent.id());
        let Some(folio) = mem.frames().large(head) else { return };
        let run = (head, folio.pages() as u32);
        mem.get_maps(folio, run, folio.mark(head), self.child.id());
        mem.tell_each(id, (first, head), |pfn| EventKind::ForkShared { pfn, why });
        if pte.is_writable() {
            self.protected = true;
            from.revoke_write();
            mem.tell_each(id, (first, head), EventKind::ForkProtected);
        }
    }
}
