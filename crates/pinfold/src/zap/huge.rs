//! The withdrawal of a huge entry: all of it, or it is split first and its pages go one by one
//! (facts 6.4).

use core::ops::Range;

use super::entries::{Which, Zap};
use crate::addr::Vpn;
use crate::event::EventKind;
use crate::platform::Platform;
use crate::rules::large::unmap_counts_folio;
use crate::table::{Huge, Next};
use crate::tlb::{Gather, Room};

impl<P: Platform> Zap<'_, P> {
    /// Withdraws a huge entry of which `pages` are in the range.
    pub(crate) fn huge(
        &self,
        huge: &Huge<'_, P>,
        pages: &Range<Vpn>,
        gather: &mut Gather<'_, P>,
    ) -> Next {
        if self.which == Which::Cached {
            // It maps private memory.
            return Next::On;
        }
        if *pages != huge.pages() {
            return self.mem.split_or_pass(self.mm, huge);
        }
        let cursor = huge.lock();
        let Some(pte) = cursor.get() else { return Next::Again };
        let (old, table) = if self.mem.maps_pooled(pte) {
            (cursor.withdraw_pooled(), None)
        } else {
            cursor.withdraw()
        };
        let mapped = pte.is_mapped();
        let counted = mapped && !pte.is_special();
        if !pte.is_lost() {
            self.mem.tell_each(self.mm.id, (pages.start, pte.pfn()), EventKind::Zapped);
        }
        let room = match counted.then(|| self.mem.frames().large(pte.pfn())).flatten() {
            // A migration entry: what it had counted is counted off, and flushed.
            None if !mapped => Room::Left,
            Some(folio) => {
                let run = (folio.head(), folio.pages() as u32);
                if unmap_counts_folio(self.mem.rule()) {
                    self.mem.drop_maps(folio, run, self.mm.id);
                } else {
                    self.mem.drop_page_maps(folio, run);
                }
                gather.add_huge(&old, run)
            }
            None => gather.note_huge(&old),
        };
        drop(cursor);
        // Nobody else has ever found it.
        table.into_iter().for_each(|table| self.mem.put_table(table));
        if room == Room::Full {
            gather.flush_and_free();
        }
        Next::On
    }
}
