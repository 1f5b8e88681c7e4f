//! Steps that take pages to the swap device and back.

use pinfold_lab::resolved::Pages;

use super::Cast;
use crate::inside::pagemap::Entry;
use crate::inside::sys::swap as calls;
use crate::inside::sys::{self, Errno, PAGE, Range};
use crate::job::Did;

/// How often pages are asked to go that do not: a page may be in another CPU's batch again, or
/// locked for a moment.
const TRIES: u32 = 3;

impl Cast {
    /// `pageout`: what does not go stays, which is no failure.
    pub(super) fn page_out(&self, process: usize, pages: Pages) -> Result<Did, Errno> {
        let range = self.range(process, pages)?;
        let every = || range.start()..range.start() + u64::from(pages.count) * PAGE;
        for _ in 0..TRIES {
            // What is in a batch is not on a list from which it could be taken.
            sys::nodes::drain();
            match calls::page_out(range) {
                // A hole is passed over.
                Ok(()) | Err(libc::ENOMEM) => {}
                // An area that is locked in memory, at which the call ends.
                Err(libc::EINVAL) => {
                    for page in every().step_by(PAGE as usize) {
                        match calls::page_out(Range::new(page, 1)?) {
                            Ok(()) | Err(libc::ENOMEM | libc::EINVAL) => {}
                            Err(number) => return Err(number),
                        }
                    }
                }
                Err(number) => return Err(number),
            }
            let here = |page| sys::own_page(page).is_ok_and(|entry| Entry(entry).is_present());
            if self.swap.is_none() || !every().step_by(PAGE as usize).any(here) {
                break;
            }
        }
        Ok(Did::Worked(0))
    }

    /// `swapoff`: every page comes back, whosever it is.
    pub(super) fn swap_off(&self) -> Result<Did, Errno> {
        let device = self.swap.as_ref().ok_or(libc::ENODEV)?;
        calls::off(device.path()).map(|()| Did::Worked(0))
    }
}
