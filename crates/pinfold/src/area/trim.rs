//! The end of an area that is unmapped: the area becomes shorter where it is. Nothing is taken out
//! of the tree or put into it, and the family, in which the area stays, hears nothing.
//!
//! Protocol: that of the map. It needs neither heap nor room in the limit on areas, so it cannot
//! fail (INV-AREA-3).

use core::ops::Range;

use crate::addr::{VirtRange, Vpn};
use crate::area::{Area, AreaMap, Grows, Locked};
use crate::platform::Platform;

/// What an unmap needs to know of the end that was cut off.
pub(crate) struct Trimmed {
    /// Which CPUs may have copies of the area: those of the pages that are gone are still to be
    /// recalled.
    pub(crate) delegates: u64,
    /// The pages around it that no area holds any more, as [`AreaMap::remove_first_in`] gives them.
    pub(crate) hole: Range<Vpn>,
}

impl<P: Platform> AreaMap<P> {
    /// Cuts `range` off if it is one end of an area of which nothing else changes with its range:
    /// one that shows no object, is not locked and does not grow. `all` ends a hole behind which no
    /// area lies.
    pub(crate) fn trim(&mut self, range: VirtRange, all: Vpn) -> Option<Trimmed> {
        let area = self.find(range.first_page()).filter(|area| is_plain(area))?;
        let (first, end) = (area.range.first_page(), area.range.end_page());
        let delegates = area.delegates.get();
        let left = match (first < range.first_page(), range.end_page() < end) {
            (true, false) if range.end_page() == end => first..range.first_page(),
            (false, true) => range.end_page()..end,
            _ => return None,
        };
        let kept = VirtRange::of_pages(left.start, left.end);
        self.tree.resize(first.0, |area| area.range = kept);
        self.pages -= range.pages();
        let hole = if kept.first_page() == first {
            let above = self.next_from(kept.end_page());
            kept.end_page()..above.map_or(all, |area| area.range.first_page())
        } else {
            let below = self.before(kept.first_page());
            below.map_or(Vpn(0), |area| area.range.end_page())..kept.first_page()
        };
        Some(Trimmed { delegates, hole })
    }
}

fn is_plain<P: Platform>(area: &Area<P>) -> bool {
    area.backing.view().is_none() && area.locked == Locked::No && area.grows == Grows::No
}
