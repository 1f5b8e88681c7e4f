//! One entry of a last-level table, for whoever goes through a run of them under the table's lock.

use core::marker::PhantomData;

use crate::pte::{BitChange, Format, Pte};
use crate::sync::AtomicU64;

/// One entry of a table, for whoever holds its lock.
pub(crate) struct Slot<'c, F: Format> {
    entry: &'c AtomicU64,
    format: PhantomData<F>,
}

impl<'c, F: Format> Slot<'c, F> {
    #[inline]
    pub(super) fn of(entry: &'c AtomicU64) -> Self {
        Self { entry, format: PhantomData }
    }

    /// As `Cursor::get`.
    #[inline]
    pub(crate) fn get(&self) -> Pte<F> {
        Pte::from_bits(self.entry.load_acquire())
    }

    /// As `Cursor::set`.
    #[inline]
    pub(crate) fn set(&self, pte: Pte<F>) {
        self.entry.store_release(pte.bits());
    }

    /// As `Cursor::revoke_write`.
    #[inline]
    pub(crate) fn revoke_write(&self) -> Pte<F> {
        Pte::from_bits(match F::REVOKE_WRITE {
            BitChange::Set(mask) => self.entry.fetch_or_relaxed(mask),
            BitChange::Clear(mask) => self.entry.fetch_and_relaxed(!mask),
        })
    }

    /// As [`Slot::revoke_write`], of a mapped entry that the caller has read as `seen` under the
    /// lock. Where that is marked as used and as stored through, the hardware changes nothing any
    /// more, and a store loses nothing: by release, so that who reads it still sees what was
    /// written before the entry was set.
    #[inline]
    pub(crate) fn revoke_write_seen(&self, seen: Pte<F>) {
        if seen.is_accessed() && seen.is_dirty() {
            self.set(seen.read_only());
        } else {
            self.revoke_write();
        }
    }
}
