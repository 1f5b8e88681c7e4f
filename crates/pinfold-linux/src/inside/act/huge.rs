//! Steps on huge pages.

use pinfold_lab::resolved::Spot;
use pinfold_lab::scenario::Failure;

use super::Cast;
use crate::inside::pagemap::Entry;
use crate::inside::sys::huge::{around, collapse};
use crate::inside::sys::{self, Errno, PAGE, Range};
use crate::job::Did;

impl Cast {
    /// `collapse`, of what the table of a page maps.
    pub(super) fn collapse(&self, process: usize, spot: Spot) -> Result<Did, Errno> {
        let address = self.address(process, Spot { word: 0, ..spot })?;
        let range = around(address)?;
        Ok(match collapse(range) {
            Ok(()) => Did::Worked(0),
            Err(libc::EAGAIN | libc::EBUSY) => Did::Failed(Failure::Busy),
            // The same number for a hole and for a shortage.
            Err(libc::ENOMEM) if sys::is_mapped(range) => Did::Error(libc::ENOMEM),
            // The same numbers for what may not be huge, and where nothing is.
            Err(libc::ENOMEM | libc::EINVAL) => Did::Failed(match self.has_table(address, range) {
                true => Failure::Invalid,
                false => Failure::NoAccess,
            }),
            Err(number) => Did::Error(number),
        })
    }

    /// Whether there is a page table: one of the pages that it would map has been touched.
    fn has_table(&self, address: u64, range: Range) -> bool {
        let touched = |at: u64| {
            sys::own_page(at).is_ok_and(|entry| {
                let entry = Entry(entry);
                entry.is_present() || entry.is_away()
            })
        };
        let is_mapped = Range::new(address, 1).is_ok_and(sys::is_mapped);
        let pages = (0..sys::huge::PAGES).step_by(self.scale.pages() as usize);
        is_mapped && pages.into_iter().any(|page| touched(range.start() + page * PAGE))
    }
}
