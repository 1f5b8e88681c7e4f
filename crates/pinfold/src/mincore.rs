//! Which pages are in memory (mincore; facts 7.6).
//!
//! Protocol: the address space's lock is held for reading, and each entry read under its table's
//! lock, as others withdraw entries for a while. What is told may be out of date when it is told.

use crate::addr::{VirtRange, Vpn, each_page};
use crate::area::Area;
use crate::error::SpaceError;
use crate::platform::Platform;
use crate::pte::Entry;
use crate::space::Space;

impl<P: Platform> Space<P> {
    /// Tells of each page of a range, up to the first that is not mapped, whether an access would
    /// find it in memory.
    pub(crate) fn resident(
        &self,
        range: VirtRange,
        mut tell: impl FnMut(bool),
    ) -> Result<(), SpaceError> {
        let range = self.allowed(range)?;
        let map = self.read_map();
        let (mapped, whole) = map.before_hole(range);
        for area in mapped.iter().flat_map(|mapped| map.overlapping(*mapped)) {
            if let Some(part) = area.range.intersection(range) {
                each_page(part.numbers()).for_each(|page| tell(self.is_resident(area, page)));
            }
        }
        whole
    }

    fn is_resident(&self, area: &Area<P>, page: Vpn) -> bool {
        let pte = self.tables().read_settled(page);
        match pte.decode() {
            Entry::Mapped(_) | Entry::Migration(_) => true,
            Entry::Swap(entry) => match self.mem().cached_page(entry) {
                Some(pfn) => {
                    self.mem().put(pfn, 1);
                    true
                }
                None => false,
            },
            Entry::None | Entry::Marker => {
                let shown = area.backing.view();
                shown.is_some_and(|view| view.object.find(view.index(page)).is_some())
            }
        }
    }
}

#[cfg(test)]
mod tests;
