//! Pages that one entry maps with as many others as a table has (facts 3.2, 3.3, 3.5): taken in one
//! step, however many of them are asked for.

use core::ops::Range;

use super::fast::{Wish, allows, unfit};
use crate::addr::{Pfn, Vpn};
use crate::event::{EventKind, FastStop};
use crate::frame::Miss;
use crate::platform::Platform;
use crate::space::Space;
use crate::table::Missing;

impl<P: Platform> Space<P> {
    /// Takes holds of the first of `pages`, where no last-level table was found, and of those after
    /// it that the same entry does, in one step, and gives them back if the entry has changed
    /// meanwhile (INV-PIN-1): the first page, and how many.
    #[cold]
    #[inline(never)]
    pub(super) fn take_huge(&self, pages: Range<Vpn>, wish: &Wish) -> Result<(Pfn, u64), FastStop> {
        let (mem, page) = (self.mem(), pages.start);
        let huge = match self.tables().leaf(page) {
            Err(Missing::Huge(huge)) => huge,
            Err(Missing::Nothing) => return Err(FastStop::Absent),
            Ok(_) => return Err(FastStop::EntryChanged),
        };
        let pte = huge.pte().ok_or(FastStop::Absent)?;
        if !pte.fits(wish.fits) {
            return Err(unfit(pte, wish.entry));
        }
        let head = pte.present_pfn();
        let pfn = Pfn(head.0 + (page - huge.pages().start));
        let taken = pages.end.min(huge.pages().end) - page;
        let (run, holds) = ((pfn, taken as u32), wish.grip.holds);
        mem.tell(self.id(), page, EventKind::FastLook(pfn));
        if let Err(miss) = mem.frames().try_grab_run(run, holds, mem.rule(), mem.rule()) {
            return Err(match miss {
                Miss::Gone | Miss::Large => FastStop::FrameGone,
                Miss::Overflow => FastStop::Overflow,
            });
        }
        let good = if wish.rechecks && !huge.is_still() {
            Err(FastStop::EntryChanged)
        } else {
            // The mark is the first page's: INV-HUGE-3.
            allows(mem, pte, head, wish)
        };
        if let Err(why) = good {
            mem.give_back_run(run, 0, holds);
            return Err(why);
        }
        for next in 0..taken {
            mem.tell(self.id(), page + next, EventKind::FastTaken(Pfn(pfn.0 + next)));
        }
        Ok((pfn, taken))
    }
}
