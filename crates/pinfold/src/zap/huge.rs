//! The withdrawal of a huge entry: all of it, or it is split first and its pages go one by one
//! (facts 6.4).

use core::ops::Range;

use super::entries::{Which, Zap};
use crate::addr::Vpn;
use crate::event::EventKind;
use crate::platform::Platform;
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
        let (old, table) = cursor.withdraw(pte);
        if !pte.is_lost() {
            self.mem.tell_each(self.mm.id, (pages.start, pte.pfn()), EventKind::Zapped);
        }
        let room = match pte.counted().and_then(|head| self.mem.frames().large(head)) {
            Some(folio) => {
                let run = (folio.head(), folio.pages() as u32);
                self.count_off(folio, run);
                gather.add_huge(&old, run)
            }
            None if pte.is_mapped() => gather.note_huge(&old),
            // A migration entry: what it had counted is counted off, and flushed.
            None => Room::Left,
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
