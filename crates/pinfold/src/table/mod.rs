//! Page tables: the walk to an entry, and the right to change it.
//!
//! Protocol:
//! - The entries of a last-level table change only under that table's lock ([`Cursor`]); the
//!   hardware sets accessed and dirty bits without it. Hence an entry that the hardware may use is
//!   changed by an atomic exchange or by one atomic change of bits, never by a store of an older
//!   snapshot (facts 9.3), unless that has both bits: then the hardware has none left to set
//!   ([`Slot::revoke_write_seen`]). [`crate::pte`] says what each bit means.
//! - An upper entry goes from none to a table, or on the level above the last to a huge entry and
//!   from that to a table or back to none, under the lock of the table that holds it (`huge`); from
//!   a table back to none only while the address space's lock is held for writing and no area whose
//!   pages it covers is delegated. So a holder of that lock for reading, or of a delegated area,
//!   may use a table that it has found. A table with entries goes only for a collapse, which links
//!   it again or puts a huge entry in its place ([`Unlinked`]). It closes the family to walks until
//!   it has done the one, or has the locks of all pages and is going to do the other.
//! - A lock-free walker reads entries between `walk_begin` and `walk_end`; a table that was
//!   unlinked from its parent is freed after `wait_for_walkers` and once nobody has a reference to
//!   it (INV-TABLE-2).
//!
//! Invariants:
//! - INV-TABLE-1: every table entry is set with release and read with acquire, so a walker never
//!   sees a table before its zeroing.
//! - INV-TABLE-2: a freed table was unlinked, flushed, and waited for, in this order (facts 7.9).
//! - INV-TABLE-3: an entry whose first page lies at or past the address space's limit is neither
//!   followed nor changed: a kernel's half.

mod frame;
mod huge;
mod leaf;
mod level;
mod slot;
mod split;
mod unlinked;
mod walk;

#[cfg(test)]
mod tests;

pub(crate) use huge::{Huge, HugeCursor, WithdrawnHuge};
pub(crate) use leaf::{Cursor, Flushed, Leaf, Withdrawn};
pub(crate) use level::{table_end, table_start};
pub(crate) use slot::Slot;
pub(crate) use unlinked::Unlinked;
pub(crate) use walk::{Missing, Next, Part, Tables};
