//! A walk over all that map a page: when it may trust that it has found the page's family
//! (facts 6.5).
//!
//! Protocol: the walker holds a reference on the page, and no lock but the page's.

use super::RmapCheck;

/// Whether the walker asks again if the page is mapped, each time after it has taken the lock of
/// the family that it has looked up, or a reference on it.
#[inline]
pub const fn asks_again(rule: RmapCheck) -> bool {
    match rule {
        RmapCheck::AfterLock => true,
        RmapCheck::BeforeLock => false,
    }
}
