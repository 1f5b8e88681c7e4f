//! Collapse: small pages become one large folio that one entry maps (facts 7.4).
//!
//! Protocol: [`brings_back`] before anything is taken. [`waits_for_walkers`] is asked once the
//! table that maps the pages is unlinked and flushed, before the references of the first of them
//! are counted.

use super::{CollapseSwapped, CollapseSync};

/// Whether a collapse brings pages back that are on a swap device; otherwise one of them ends it.
#[inline]
pub const fn brings_back(rule: CollapseSwapped) -> bool {
    match rule {
        CollapseSwapped::Refused => false,
        CollapseSwapped::BroughtBack => true,
    }
}

/// Whether a collapse waits, after its flush, until the lock-free walkers have ended that may have
/// found the table before.
#[inline]
pub const fn waits_for_walkers(rule: CollapseSync) -> bool {
    match rule {
        CollapseSync::Flush => false,
        CollapseSync::Interrupt => true,
    }
}
