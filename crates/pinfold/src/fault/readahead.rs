//! Swap readahead: a fault that had to read its page from a swap device reads those beside it that
//! are on one, too (facts 7.2), where [`Tuning::swap_readahead`] says so.
//!
//! Protocol: it begins when the fault's own page is mapped, with what the fault holds all along,
//! the address space's lock for reading or its area, and no lock of a page. The pages are those of
//! a window about the fault's, as far as the area and the last-level table have it. Each is read as
//! a fault would do so, one after the other: under a hold on its slot, with its own lock and no
//! other. It comes to the swap cache and is not mapped; whoever wants it finds it there, and waits
//! for its lock while it is read, as if a fault were reading it.
//!
//! The window of an area opens and closes by how many of the pages that were read ahead in it were
//! asked for (`window.rs`). An address space remembers that in a few words, of which an area has
//! the one that its first page leads to: areas that share one mix what they learned, and what is
//! cut off an area begins anew. The words are read and written as they are, so that of two faults
//! at a time one may be forgotten: nothing but the window depends on them.
//!
//! It does not begin for a device that answers at once, of which a page alone comes as fast as one
//! beside others (facts 7.2), nor for a group that is nearer to its limit than twice the window:
//! what nobody may want would be charged to it, and the faults that come next would find no room.
//! (Linux takes memory from the group instead.)
//!
//! Whatever comes in its way ends it: a frame or a charge that is not to be had, a device that
//! fails. Nothing is split, reclaimed or waited for to get a frame. A slot that nobody names any
//! more when its page has been read is freed with the page, by whoever has the last share of it.
//!
//! Invariants:
//! - INV-AHEAD-1: readahead changes no entry and fails no fault.
//! - INV-AHEAD-2: it takes a page only for a slot that it holds while an entry of the area names
//!   it: so the page is the area's, and gets its place in the reverse map.
//!
//! [`Tuning::swap_readahead`]: crate::Tuning::swap_readahead

use core::ops::Range;

mod window;

use super::request::{Request, Want};
use super::swap::{Effort, Filled};
use crate::addr::{Vpn, each_page};
use crate::area::Area;
use crate::event::EventKind;
use crate::platform::Platform;
use crate::pte::{Entry, Swap};
use crate::space::{Space, WINDOWS};
use crate::swap::Asked;
use crate::sync::AtomicU64;
use crate::table::{Leaf, table_end, table_start};

use window::Last;

/// Something is in the way of further pages.
struct Ends;

impl<P: Platform> Space<P> {
    /// Reads the pages beside one that a fault had to read.
    #[cold]
    #[inline(never)]
    pub(super) fn read_ahead(&self, fault: &Request<'_, P>, leaf: Leaf<'_, P>) {
        let window = self.window(fault);
        if !self.mem().has_room(self.payer(), 2 * (window.end.0 - window.start.0)) {
            return;
        }
        for page in each_page(window).filter(|page| *page != fault.page) {
            let request = Request { page, want: Want::Read, ..*fault };
            if self.read_one_ahead(&request, leaf).is_err() {
                break;
            }
        }
    }

    /// A page that was read ahead in an area is asked for.
    #[cold]
    pub(super) fn asked_ahead(&self, area: &Area<P>, page: Vpn) {
        let word = self.last_window(area);
        word.write_once(Last::from_bits(word.read_once()).hit(page).bits());
    }

    /// What is remembered of an area's last window.
    fn last_window(&self, area: &Area<P>) -> &AtomicU64 {
        // Areas that lie beside each other have words of their own, and so do most others.
        let first = area.range.first_page().0;
        &self.windows[(first ^ first >> 9 ^ first >> 18) as usize % WINDOWS]
    }

    /// The window of a fault, as far as its area and its table have it.
    fn window(&self, fault: &Request<'_, P>) -> Range<Vpn> {
        let (area, page) = (fault.area.range, fault.page);
        let table = table_start::<P::Format>(page)..table_end::<P::Format>(page);
        let word = self.last_window(fault.area);
        let last = Last::from_bits(word.read_once());
        let (window, last) = last.next(page, self.mem().tuning().swap_readahead);
        word.write_once(last.bits());
        let first = window.start.max(area.first_page()).max(table.start);
        first..window.end.min(area.end_page()).min(table.end)
    }

    /// Reads one page, if it is on a device: INV-AHEAD-2.
    fn read_one_ahead(&self, request: &Request<'_, P>, leaf: Leaf<'_, P>) -> Result<(), Ends> {
        let (mem, page) = (self.mem(), request.page);
        let orig = leaf.read(page);
        let Entry::Swap(entry) = orig.decode() else { return Ok(()) };
        if !mem.hold_unread(entry) {
            return Ok(());
        }
        let is_named = leaf.read(page) == orig;
        let read = if is_named { self.take_ahead(request, entry) } else { Ok(()) };
        mem.drop_entry_hold(entry);
        read
    }

    fn take_ahead(&self, request: &Request<'_, P>, entry: Swap) -> Result<(), Ends> {
        let mem = self.mem();
        let fresh = self.new_swapped(request, Effort::Free).map_err(|_| Ends)?;
        match self.fill(fresh, request.page, entry, Asked::Ahead) {
            Filled::Read(pfn, locked) => {
                mem.counters().swap_ra.add(1);
                mem.tell(self.id(), request.page, EventKind::SwapReadAhead(pfn));
                drop(locked);
                mem.put(pfn, 1);
            }
            // Somebody else wants it, and has had it read.
            Filled::Other(pfn) => mem.put(pfn, 1),
            Filled::Failed(_) => return Err(Ends),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
