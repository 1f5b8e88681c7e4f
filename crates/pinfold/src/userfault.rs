//! userfaultfd: a monitor resolves the faults of ranges that were registered with it (facts 7.14).
//!
//! Protocol: an area is registered under the address space's lock, held for writing, with no copy
//! delegated. A fault in it that the mode names fails, and holds nothing then: the embedder tells
//! its monitor and has the thread wait for the count of resolutions to change. The monitor resolves
//! with the lock held for reading, as faults do, each entry under its table's lock, and then
//! advances the count.
//!
//! Protection from writes is a mark in the entry. Where nothing is mapped it is a marker in the
//! entry's place, of which the fault that maps a page there makes a mark. One flush comes at the
//! end, with no table locked: until then a CPU may store through its old translation, while the
//! faults of others find the mark, have it taken back, and even copy the page. So whoever protects
//! counts himself before the first entry changes and until the flush is over, and a copy looks at
//! the count (rule `uffd-wp-flush`).
//!
//! Invariants:
//! - INV-UFFD-1: an entry with the mark, and a marker, lie in an area that is registered for
//!   [`UffdMode::WP`]; an entry with the mark has no write permission.
//! - INV-UFFD-2: whoever reads the count of resolutions, takes a fault and then waits for the count
//!   to change misses no resolution: it is advanced after the entry is there.
//! - INV-UFFD-3: under today's rule a page is copied only when no CPU can store to it by a
//!   translation that protection has taken away.
//! - INV-UFFD-4: a resolution that fails has changed nothing.
//! - INV-UFFD-5: when protection returns, no CPU stores to what it covers: not by a translation
//!   that it has changed itself, nor by one of an entry that it found without write permission, as
//!   another thread's protection, scan or DONTNEED has not flushed yet. Who migrates notes that in
//!   the root ([`Space::flush_deferred`]); all others hold the address space's lock for writing, or
//!   flush under the table's.

use core::convert::Infallible;
use core::fmt;
use core::ops::Range;

use crate::addr::{Pfn, VirtAddr, VirtRange, Vpn, each_page};
use crate::area::{Area, AreaMap, Prot, View};
use crate::error::{FaultError, Shortage, SpaceError};
use crate::event::EventKind;
use crate::fault::{Request, Want};
use crate::object::PageError;
use crate::platform::{Invalidate, Platform};
use crate::pressure::Tries;
use crate::pte::{BitChange, Entry, Format, Migration, Pte, Swap};
use crate::rules::Uffd;
use crate::rules::uffd::{continues_dirty, protects_shared, protects_unpopulated, watches_minor};
use crate::space::Space;
use crate::table::{Cursor, Leaf, table_end};
use crate::tlb::FlushBatch;
use crate::uffd::{Registration, UffdId, UffdMode};

/// Why a monitor's page could not be put in: nothing has changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum UffdError {
    /// Nothing there is registered for this.
    NotRegistered(VirtAddr),
    /// A page is there already (EEXIST).
    Exists(VirtAddr),
    /// There is no page to go on with (EFAULT).
    Absent(VirtAddr),
    /// The page cannot be had.
    Fault(FaultError),
}

impl Shortage for UffdError {
    fn is_of_frames(&self) -> bool {
        matches!(self, Self::Fault(error) if error.is_of_frames())
    }
}

impl fmt::Display for UffdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRegistered(at) => SpaceError::NotRegistered(*at).fmt(f),
            Self::Exists(at) => {
                write!(f, "a page is there at {at} already: have the access repeated")
            }
            Self::Absent(at) => {
                write!(f, "there is no page at {at} to go on with: give it one first")
            }
            Self::Fault(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for UffdError {}

impl<E: Into<FaultError>> From<E> for UffdError {
    fn from(error: E) -> Self {
        Self::Fault(error.into())
    }
}

/// What happens to the protection of a range.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Protection {
    /// It is put on; where nothing is mapped, too.
    Everywhere,
    /// It is put on where something is mapped.
    Mapped,
    /// It is taken back.
    Off,
}

impl<P: Platform> Space<P> {
    pub(crate) fn uffd_register(
        &self,
        range: VirtRange,
        id: UffdId,
        mode: UffdMode,
    ) -> Result<(), SpaceError> {
        let range = self.allowed(range)?;
        if !mode.intersects(UffdMode::WATCHES) {
            return Err(SpaceError::NoUffd(range.start()));
        }
        let mut map = self.write_map();
        map.first_in(range).ok_or(SpaceError::NotMapped(range.start()))?;
        for area in map.overlapping(range) {
            let at = area.range.start().max(range.start());
            if !area.uffd.is_none() && area.uffd.id != id {
                return Err(SpaceError::OtherUffd(at));
            }
            if !self.can_watch(area, mode) {
                return Err(SpaceError::NoUffd(at));
            }
        }
        self.set_registration(&mut map, range, Registration { id, mode })
    }

    pub(crate) fn uffd_unregister(&self, range: VirtRange) -> Result<(), SpaceError> {
        let range = self.allowed(range)?;
        let mut map = self.write_map();
        map.first_in(range).ok_or(SpaceError::NotMapped(range.start()))?;
        self.set_registration(&mut map, range, Registration::default())?;
        drop(map);
        self.uffd_resolved.advance(self.mem().platform());
        Ok(())
    }

    /// Whether the rules and the formats let an area be registered so.
    fn can_watch(&self, area: &Area<P>, mode: UffdMode) -> bool {
        let rule: Uffd = self.mem().rule();
        let anon = area.is_anon();
        if area.is_pooled() || area.backing.view().is_some_and(|view| view.object.is_tracked()) {
            return false;
        }
        let minor = !mode.contains(UffdMode::MINOR) || (!anon && watches_minor(rule));
        let has_bit = P::Format::UFFD_WP != 0;
        let wp = !mode.contains(UffdMode::WP) || (has_bit && (anon || protects_shared(rule)));
        let unpopulated = !mode.contains(UffdMode::WP_UNPOPULATED) || protects_unpopulated(rule);
        minor && wp && unpopulated
    }

    /// Registers what `range` maps in this way, passing over holes, and takes protection back where
    /// writes are not watched any more (INV-UFFD-1).
    fn set_registration(
        &self,
        map: &mut AreaMap<P>,
        range: VirtRange,
        new: Registration,
    ) -> Result<(), SpaceError> {
        self.isolate_where(map, range, |area| area.uffd != new)?;
        map.each_in(range, |area| {
            if area.uffd == new {
                return;
            }
            let area = self.recalled(area);
            let was = core::mem::replace(&mut area.uffd, new);
            if was.has(UffdMode::WP) && !new.has(UffdMode::WP) {
                self.clear_protection(area.range);
            }
        });
        let mut left = Some(range);
        while let Some(within) = left
            && let Some(first) = map.first_in(within).map(|area| area.range.first_page())
        {
            let run = VirtRange::of_pages(first.max(range.first_page()), range.end_page());
            let hole = map.first_hole(run);
            self.merge_within(map, VirtRange::of_pages(run.first_page(), hole));
            left = (hole < range.end_page()).then(|| VirtRange::of_pages(hole, range.end_page()));
        }
        Ok(())
    }

    /// Takes all marks off the entries of a range. Nothing is flushed: no entry gains or loses
    /// permissions.
    pub(crate) fn clear_protection(&self, range: VirtRange) {
        let done: Result<(), Infallible> =
            self.tables().for_each_leaf(range.numbers(), |leaf, pages| {
                let cursor = leaf.lock();
                for page in each_page(pages) {
                    clear_mark(&cursor, page);
                }
                Ok(())
            });
        let Ok(()) = done;
    }

    pub(crate) fn uffd_write_protect(
        &self,
        range: VirtRange,
        protect: bool,
    ) -> Result<(), SpaceError> {
        let range = self.allowed(range)?;
        let map = self.read_map();
        map.all_mapped(range)?;
        if let Some(area) = map.overlapping(range).find(|area| !area.uffd.has(UffdMode::WP)) {
            return Err(SpaceError::NotRegistered(area.range.start().max(range.start())));
        }
        let done = if protect {
            self.protect_for_monitor(&map, range)
        } else {
            self.each_area(&map, range, |area, part| {
                self.change_range(area, part, Protection::Off, &mut FlushBatch::default())
            })
        };
        drop(map);
        if !protect {
            self.uffd_resolved.advance(self.mem().platform());
        }
        done
    }

    fn each_area(
        &self,
        map: &AreaMap<P>,
        range: VirtRange,
        mut visit: impl FnMut(&Area<P>, VirtRange) -> Result<(), SpaceError>,
    ) -> Result<(), SpaceError> {
        map.overlapping(range)
            .filter_map(|area| Some((area, area.range.intersection(range)?)))
            .try_for_each(|(area, part)| visit(area, part))
    }

    /// Protects all of a range that can be, and flushes it.
    fn protect_for_monitor(&self, map: &AreaMap<P>, range: VirtRange) -> Result<(), SpaceError> {
        let _changing = self.mem().changing(self.id(), range, Invalidate::ProtectRange);
        // INV-UFFD-3.
        self.uffd_late.fetch_add(1);
        let mut batch = FlushBatch::default();
        let done = self.each_area(map, range, |area, part| {
            let everywhere = !area.is_anon() || area.uffd.has(UffdMode::WP_UNPOPULATED);
            let how = if everywhere { Protection::Everywhere } else { Protection::Mapped };
            self.change_range(area, part, how, &mut batch)
        });
        // INV-UFFD-5: what others have taken from entries that were found none or marked.
        if self.uffd_late.read_once() > 1 || self.zapping.read_once() > 0 {
            batch.note(range.first_page());
            batch.note(range.end_page() - 1);
        }
        batch.finish(self.mem(), self.id());
        self.uffd_late.fetch_sub(1);
        done
    }

    fn change_range(
        &self,
        area: &Area<P>,
        range: VirtRange,
        how: Protection,
        batch: &mut FlushBatch,
    ) -> Result<(), SpaceError> {
        let mut page = range.first_page();
        while page < range.end_page() {
            let end = table_end::<P::Format>(page).min(range.end_page());
            match self.tables().leaf_if_any(page) {
                Some(leaf) => self.change_table(area, leaf, page..end, how, batch),
                None if how == Protection::Everywhere => {
                    let leaf = self.tables().leaf_or_make(page)?;
                    self.change_table(area, leaf, page..end, how, batch);
                }
                None if how == Protection::Mapped => {
                    self.mem().tell(self.id(), page, EventKind::UffdPassedOver);
                }
                None => {}
            }
            page = end;
        }
        Ok(())
    }

    fn change_table(
        &self,
        area: &Area<P>,
        leaf: Leaf<'_, P>,
        pages: Range<Vpn>,
        how: Protection,
        batch: &mut FlushBatch,
    ) {
        let cursor = leaf.lock();
        self.flush_deferred(&cursor);
        for page in each_page(pages) {
            match how {
                Protection::Off => self.release_entry(area, &cursor, page),
                Protection::Everywhere | Protection::Mapped => {
                    self.protect_entry_for_monitor(&cursor, page, how, batch);
                }
            }
        }
    }

    fn protect_entry_for_monitor(
        &self,
        cursor: &Cursor<'_, P>,
        page: Vpn,
        how: Protection,
        batch: &mut FlushBatch,
    ) {
        let pte = cursor.get(page);
        let kind = match pte.decode() {
            Entry::None if how == Protection::Everywhere => {
                cursor.set(page, Pte::marker());
                EventKind::UffdProtected
            }
            Entry::None => EventKind::UffdPassedOver,
            Entry::Swap(entry) => {
                cursor.set(page, Pte::swap(Swap { uffd_wp: true, ..entry }));
                EventKind::UffdProtected
            }
            Entry::Marker => return,
            Entry::Migration(entry) => {
                let kind = self.downgraded(entry);
                cursor.set(page, Pte::migration(Migration { kind, uffd_wp: true, ..entry }));
                EventKind::UffdProtected
            }
            Entry::Mapped(_) if pte.is_uffd_wp() => return,
            Entry::Mapped(_) => {
                // A scan may have taken write permission before, and not flushed yet.
                cursor.revoke_write(page);
                batch.note(page);
                cursor.mark(page, BitChange::Set(P::Format::UFFD_WP));
                EventKind::UffdProtected
            }
        };
        self.mem().tell(self.id(), page, kind);
    }

    /// Takes the protection off an entry, which is writable at once where mprotect would make it
    /// so (facts 7.5).
    fn release_entry(&self, area: &Area<P>, cursor: &Cursor<'_, P>, page: Vpn) {
        let pte = cursor.get(page);
        if !pte.is_uffd_wp() {
            return;
        }
        clear_mark(cursor, page);
        if let Entry::Mapped(_) = pte.decode() {
            let free = pte.without_uffd_wp();
            if self.may_become_writable(area, free) {
                cursor.grant(page, free, free.writable());
            }
        }
        self.mem().tell(self.id(), page, EventKind::UffdResolved);
    }

    /// What finds no frame before there is one to fill reclaims, and is tried again.
    pub(crate) fn uffd_copy(
        &self,
        page: Vpn,
        protect: bool,
        fill: impl FnOnce(Pfn),
    ) -> Result<(), UffdError> {
        let (mut fill, mut tries) = (Some(fill), Tries::default());
        loop {
            let once = |frame| fill.take().into_iter().for_each(|fill| fill(frame));
            match self.try_uffd_copy(page, protect, once) {
                Err(error)
                    if error.is_of_frames() && fill.is_some() && tries.relieve(self.mem()) => {}
                result => return result,
            }
        }
    }

    fn try_uffd_copy(
        &self,
        page: Vpn,
        protect: bool,
        fill: impl FnOnce(Pfn),
    ) -> Result<(), UffdError> {
        self.resolve_for_monitor(page, protect, |request, leaf| {
            let area = request.area;
            if let Some(view) = area.backing.shares() {
                return self.put_shared(request, view, leaf, (protect, fill));
            }
            let fresh = self.new_private(area, page).map_err(FaultError::from)?;
            fill(fresh.pfn());
            let cursor = leaf.lock();
            if !cursor.get(page).is_vacant() {
                return Err(UffdError::Exists(page.start()));
            }
            cursor.set(page, marked(self.written(area, fresh), protect));
            Ok(())
        })
    }

    pub(crate) fn uffd_zero(&self, page: Vpn) -> Result<(), UffdError> {
        self.resolve_for_monitor(page, false, |request, leaf| {
            let area = request.area;
            if let Some(view) = area.backing.shares() {
                let zero = |pfn| self.mem().platform().zero_frame(pfn);
                return self.put_shared(request, view, leaf, (false, zero));
            }
            let pte = Pte::mapping(self.mem().zero_page(), area.prot.reach()).special();
            let cursor = leaf.lock();
            if !cursor.get(page).is_vacant() {
                return Err(UffdError::Exists(page.start()));
            }
            cursor.set(page, pte);
            Ok(())
        })
    }

    pub(crate) fn uffd_continue(&self, page: Vpn, protect: bool) -> Result<(), UffdError> {
        let at = page.start();
        self.resolve_for_monitor(page, protect, |request, leaf| {
            let view = request.area.backing.view().ok_or(UffdError::NotRegistered(at))?;
            let index = view.index(page);
            if !view.object.has(index) {
                return Err(UffdError::Absent(at));
            }
            let shown = view.object.show::<false>(index, self.payer());
            let shown = shown.map_err(|error| UffdError::Fault(error.at(at)))?;
            self.put_monitors(request, leaf, shown.pfn, protect)
        })
    }

    /// Finds what a monitor resolves, and has those who wait look again.
    fn resolve_for_monitor(
        &self,
        page: Vpn,
        protect: bool,
        put: impl FnOnce(&Request<'_, P>, Leaf<'_, P>) -> Result<(), UffdError>,
    ) -> Result<(), UffdError> {
        let map = self.read_map();
        let registered = map
            .find(page)
            .filter(|area| !area.uffd.is_none() && (!protect || area.uffd.has(UffdMode::WP)));
        let area = registered.ok_or(UffdError::NotRegistered(page.start()))?;
        let leaf = self.tables().leaf_or_make(page)?;
        put(&Request { area, page, want: Want::Write }, leaf)?;
        self.mem().tell(self.id(), page, EventKind::UffdResolved);
        drop(map);
        self.uffd_resolved.advance(self.mem().platform());
        Ok(())
    }

    /// Puts a new page into shared memory and maps it.
    fn put_shared(
        &self,
        request: &Request<'_, P>,
        view: &View<P>,
        leaf: Leaf<'_, P>,
        (protect, fill): (bool, impl FnOnce(Pfn)),
    ) -> Result<(), UffdError> {
        let (at, index) = (request.page.start(), view.index(request.page));
        let failed = |error: PageError| UffdError::Fault(error.at(at));
        // Of a page that is mapped the object has one.
        if !leaf.read(request.page).is_vacant() || view.object.has(index) {
            return Err(UffdError::Exists(at));
        }
        if !view.object.add_as(index, self.payer(), fill).map_err(failed)? {
            return Err(UffdError::Exists(at));
        }
        let shown = view.object.show::<false>(index, self.payer()).map_err(failed)?;
        match self.put_monitors(request, leaf, shown.pfn, protect) {
            // A fault of another thread has mapped what was put in.
            Err(UffdError::Exists(_)) | Ok(()) => Ok(()),
            failed => failed,
        }
    }

    /// Maps a page of an object for the monitor, in a shared mapping dirty and writable where the
    /// area is, in a private one as the rule `uffd-continue` says.
    fn put_monitors(
        &self,
        request: &Request<'_, P>,
        leaf: Leaf<'_, P>,
        pfn: Pfn,
        protect: bool,
    ) -> Result<(), UffdError> {
        let area = request.area;
        let mut pte = Pte::mapping(pfn, area.prot.reach());
        if !area.is_cow() || continues_dirty(self.mem().rule()) {
            pte = pte.stored();
        }
        if !area.is_cow() && area.prot.contains(Prot::WRITE) {
            pte = pte.writable();
        }
        let cursor = leaf.lock();
        if !cursor.get(request.page).is_vacant() {
            return Err(UffdError::Exists(request.page.start()));
        }
        self.put_one(area, &cursor, request.page, pfn, marked(pte, protect));
        Ok(())
    }
}

/// The entry, protected from writes if that is asked for.
fn marked<F: Format>(pte: Pte<F>, protect: bool) -> Pte<F> {
    if protect { pte.uffd_wp() } else { pte }
}

/// Takes a mark off an entry; a marker goes.
fn clear_mark<P: Platform>(cursor: &Cursor<'_, P>, page: Vpn) {
    let pte = cursor.get(page);
    if !pte.is_uffd_wp() {
        return;
    }
    match pte.decode() {
        Entry::Mapped(_) => cursor.mark(page, BitChange::Clear(P::Format::UFFD_WP)),
        Entry::None | Entry::Marker | Entry::Migration(_) | Entry::Swap(_) => {
            cursor.set(page, pte.without_uffd_wp());
        }
    }
}

#[cfg(test)]
mod tests;
