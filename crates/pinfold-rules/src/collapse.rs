//! Collapse: small pages become one large folio that one entry maps (facts 7.4).
//!
//! Protocol: asked once the table that maps the pages is unlinked and flushed, before the
//! references of the first of them are counted.

use super::CollapseSync;

/// Whether a collapse waits, after its flush, until the lock-free walkers have ended that may have
/// found the table before.
#[inline]
pub const fn waits_for_walkers(rule: CollapseSync) -> bool {
    match rule {
        CollapseSync::Flush => false,
        CollapseSync::Interrupt => true,
    }
}
