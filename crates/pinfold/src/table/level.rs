//! The geometry of tables: which entry of which level a page has, and which pages an entry covers.

use crate::addr::{Pfn, Vpn};
use crate::pte::{Format, Pte};

pub(super) const fn shift<F: Format>(level: u32) -> u32 {
    (F::LEVELS - 1 - level) * F::INDEX_BITS
}

pub(super) const fn index<F: Format>(page: Vpn, level: u32) -> usize {
    (page.0 >> shift::<F>(level)) as usize & (F::ENTRIES - 1)
}

/// The number of pages that an entry of a table on `level` covers.
pub(super) const fn slot_pages<F: Format>(level: u32) -> u64 {
    1 << shift::<F>(level)
}

/// One past the last page that the entry for `page` in a table on `level` covers.
pub(super) const fn slot_end<F: Format>(page: Vpn, level: u32) -> Vpn {
    Vpn((page.0 | (slot_pages::<F>(level) - 1)) + 1)
}

/// The level of the tables that map pages. The root is never one, so every such table has a parent.
pub(super) const fn last_level<F: Format>() -> u32 {
    const { assert!(F::LEVELS >= 2, "a format has at least two levels of tables") };
    F::LEVELS - 1
}

/// Whether an entry of a table on `level`, not the last one, names a table: only the level above
/// the last has others beside none.
#[inline]
pub(super) fn is_table<F: Format>(bits: u64, level: u32) -> bool {
    if level + 1 < last_level::<F>() { bits != 0 } else { Pte::<F>::from_bits(bits).is_table() }
}

/// The table that an upper entry names.
#[inline]
pub(super) fn table_of<F: Format>(bits: u64) -> Pfn {
    Pte::<F>::from_bits(bits).present_pfn()
}

/// The first page of the last-level table that maps `page`.
pub(crate) fn table_start<F: Format>(page: Vpn) -> Vpn {
    Vpn(page.0 & !(F::ENTRIES as u64 - 1))
}

/// One past the last page of the last-level table that maps `page`.
pub(crate) fn table_end<F: Format>(page: Vpn) -> Vpn {
    Vpn((page.0 | (F::ENTRIES as u64 - 1)) + 1)
}
