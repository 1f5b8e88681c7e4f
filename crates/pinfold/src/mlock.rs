//! Locked memory: mlock and munlock, and the count of the locked entries that a page has
//! (facts 6.6).
//!
//! Protocol: an area is marked as locked under the address space's lock, held for writing, and its
//! entries are gone through, each under its table's lock. mlock then populates the range under the
//! lock for reading, as any populating does. From then on who maps a page in the area counts it
//! there, and marks the entry; who takes the mapping off looks for the mark in the entry. So a walk
//! of the reverse map, which meets entries and no areas, counts right, too: a migration entry keeps
//! the mark while the page does not count it.
//!
//! An unmap takes the count off when the rule `zap-munlock` says: before the first entry goes, with
//! the mapping, or with the entry. fork's child has nothing locked. The zero page is not counted,
//! as its mappings are not. Of a large folio all pages are counted together.
//!
//! On a machine that reclaims, a page that counts is on no list that reclaim looks at: whoever
//! counts its first entry, or its last one off, sees to that (INV-LRU-4). The counters of all that
//! are those of Linux ([`crate::Stats`], `unevictable_pgs_*`).
//!
//! Invariants:
//! - INV-MLOCK-1: a page's count is the number of marked entries that map it, whoever holds their
//!   tables' locks; each of them lies in a locked area, and each entry of a locked area that maps
//!   a page with counts is marked. Unmapping alone may be behind with the count.
//! - INV-MLOCK-2: a page that is freed counts none.

use core::convert::Infallible;
use core::fmt;

use crate::addr::{VirtRange, Vpn, each_page};
use crate::area::{Area, AreaMap, Locked, Prot};
use crate::error::SpaceError;
use crate::fault::Unpopulated;
use crate::platform::Platform;
use crate::pte::{BitChange, Entry, Format, Migration, Pte};
use crate::rules::pin::Access;
use crate::space::Space;
use crate::table::Cursor;

/// Why a range is not locked, or not wholly in memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LockError {
    /// It is not locked; for [`SpaceError::NotMapped`], what lies before that address is.
    Refused(SpaceError),
    /// It is locked, but not all of it could be populated.
    Unpopulated(Unpopulated),
}

impl fmt::Display for LockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => error.fmt(f),
            Self::Unpopulated(error) => write!(f, "locked, but only {error}"),
        }
    }
}

impl core::error::Error for LockError {}

impl From<SpaceError> for LockError {
    fn from(error: SpaceError) -> Self {
        Self::Refused(error)
    }
}

impl<P: Platform> Space<P> {
    /// Locks a range in memory.
    pub(crate) fn mlock(&self, range: VirtRange) -> Result<(), LockError> {
        self.set_lock(range, Locked::Yes)?;
        self.populate_by(range, populating).map_err(LockError::Unpopulated)
    }

    /// Undoes that.
    pub(crate) fn munlock(&self, range: VirtRange) -> Result<(), SpaceError> {
        self.set_lock(range, Locked::No)
    }

    /// Populates what was added to a locked area, as far as that is possible.
    pub(crate) fn populate_locked(&self, range: VirtRange) {
        let _ = self.populate_by(range, populating);
    }

    fn set_lock(&self, range: VirtRange, locked: Locked) -> Result<(), SpaceError> {
        let range = self.allowed(range)?;
        let mut map = self.write_map();
        if locked == Locked::Yes {
            let already = map.locked_in(range);
            self.may_lock(&map, range.pages() - already)?;
        }
        let (mapped, whole) = map.before_hole(range);
        if let Some(mapped) = mapped {
            self.set_mapped(&mut map, mapped, locked)?;
        }
        whole
    }

    /// The same for a range that is mapped.
    fn set_mapped(
        &self,
        map: &mut AreaMap<P>,
        range: VirtRange,
        locked: Locked,
    ) -> Result<(), SpaceError> {
        // Huge pages of the pool stay in memory anyway.
        let changes = |area: &Area<P>| area.locked != locked && !area.is_pooled();
        self.isolate_where(map, range, changes)?;
        self.recall(map, range);
        let mut page = range.first_page();
        while page < range.end_page() {
            let Some(area) = map.find(page) else { break };
            page = area.range.end_page();
            if changes(area) {
                let whole = area.range;
                map.set_locked(whole.first_page(), locked);
                self.mark_entries(whole, locked);
            }
        }
        self.merge_within(map, range);
        Ok(())
    }

    /// Whether the limits let an area of this kind grow by `more` pages.
    pub(crate) fn may_grow(
        &self,
        map: &AreaMap<P>,
        locked: Locked,
        more: u64,
    ) -> Result<(), SpaceError> {
        self.may_map(map, more)?;
        match locked {
            Locked::No => Ok(()),
            Locked::Yes => self.may_lock(map, more),
        }
    }

    /// Whether the limit on locked pages leaves room for `more`.
    fn may_lock(&self, map: &AreaMap<P>, more: u64) -> Result<(), SpaceError> {
        let limit = self.limits().locked;
        let all = map.locked().saturating_add(more);
        if all > limit { Err(SpaceError::TooManyLocked { limit }) } else { Ok(()) }
    }

    /// Marks and counts every entry of a range, or undoes that.
    pub(crate) fn mark_entries(&self, range: VirtRange, locked: Locked) {
        let done: Result<(), Infallible> =
            self.tables().for_each_leaf(range.numbers(), |leaf, pages| {
                let cursor = leaf.lock();
                for page in each_page(pages) {
                    self.mark_entry(&cursor, page, locked);
                }
                Ok(())
            });
        let Ok(()) = done;
    }

    fn mark_entry(&self, cursor: &Cursor<'_, P>, page: Vpn, locked: Locked) {
        let pte = cursor.get(page);
        if pte.is_none() || pte.is_locked() == (locked == Locked::Yes) {
            return;
        }
        match (pte.decode(), locked) {
            (Entry::Mapped(pfn), Locked::Yes) if self.counts_locks(pte) => {
                self.mem().mlock(pfn);
                cursor.mark(page, BitChange::Set(P::Format::LOCKED));
            }
            (Entry::Mapped(pfn), Locked::No) => {
                cursor.mark(page, BitChange::Clear(P::Format::LOCKED));
                self.mem().munlock(pfn);
            }
            (Entry::Migration(entry), _) => {
                let locked = locked == Locked::Yes;
                cursor.set(page, Pte::migration(Migration { locked, ..entry }));
            }
            (Entry::None | Entry::Marker | Entry::Mapped(_) | Entry::Swap(_), _) => {}
        }
    }

    /// Whether the page of a mapping counts locked entries.
    fn counts_locks(&self, pte: Pte<P::Format>) -> bool {
        !pte.is_special()
    }

    /// The mapping as it is to be set in an area: marked and counted if that is locked.
    #[inline]
    pub(crate) fn in_area(&self, area: &Area<P>, pte: Pte<P::Format>) -> Pte<P::Format> {
        match area.locked {
            Locked::No => pte,
            Locked::Yes if !self.counts_locks(pte) => pte,
            Locked::Yes => {
                self.mem().mlock(pte.pfn());
                pte.locked()
            }
        }
    }
}

/// For which access mlock populates an area: private memory that may be written gets pages of its
/// own at once.
fn populating<P: Platform>(area: &Area<P>) -> Access {
    let writes = area.prot.contains(Prot::WRITE) && area.is_cow();
    if writes { Access::Write } else { Access::Read }
}

#[cfg(test)]
mod tests;
