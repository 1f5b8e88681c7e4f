//! May an entry become writable without a write fault? (facts 7.5, 4.3)
//!
//! There are two callers: a change of protection that adds write permission, and, under
//! [`NumaWrite::Recomputed`](super::NumaWrite::Recomputed), a hinting fault that restores its
//! entry. Both ask [`wants_upgrade`] once for the area and [`can_change_writable`] for each entry,
//! as it will be after the change.
//!
//! Protocol: under the page-table lock, which keeps the exclusive mark stable.

use super::Answer;
use super::{AreaState, Dirty, EntryState, Exclusive, Mapping, PageKind, PageState, Permission};
use super::{ClearRefsPinned, Protnone, Tracking, Why, WriteUpgrade};

/// Whether writes to the pages of a shared mapping are tracked.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum WriteNotify {
    /// The first write to each clean page is reported, so entries start without write permission.
    Needed,
    /// Writes are not tracked: the area's own protection already gives write permission where it is
    /// due.
    Unneeded,
}

/// Whether entries of the area may be without write permission although the area itself grants it,
/// so that each must be checked.
#[inline]
pub fn wants_upgrade(area: AreaState, notify: WriteNotify) -> Answer {
    match (area.permission, area.mapping, notify) {
        (Permission::ReadOnly, _, _) => Answer::No(Why::AreaReadOnly),
        (Permission::Write, Mapping::Cow, _) => Answer::Yes(Why::AreaWritable),
        (Permission::Write, Mapping::Shared, WriteNotify::Needed) => Answer::Yes(Why::AreaWritable),
        (Permission::Write, Mapping::Shared, WriteNotify::Unneeded) => {
            Answer::No(Why::SharedMapping)
        }
    }
}

/// Whether an entry may become writable at once. In a shared mapping a dirty entry may, because its
/// write has already been reported.
#[inline]
pub fn can_change_writable(
    rule: WriteUpgrade,
    area: AreaState,
    entry: EntryState,
    page: &PageState,
) -> Answer {
    if area.permission == Permission::ReadOnly {
        return Answer::No(Why::AreaReadOnly);
    }
    if entry.protnone == Protnone::Yes {
        return Answer::No(Why::EntryProtnone);
    }
    if entry.tracking == Tracking::WantsFault {
        return Answer::No(Why::Tracked);
    }
    match (area.mapping, entry.dirty, rule) {
        (Mapping::Shared, Dirty::Dirty, _) => Answer::Yes(Why::EntryDirty),
        (Mapping::Shared, Dirty::Clean, _) => Answer::No(Why::EntryClean),
        (Mapping::Cow, _, WriteUpgrade::Never) => Answer::No(Why::Rule),
        (Mapping::Cow, Dirty::Clean, WriteUpgrade::ExclusiveDirty) => Answer::No(Why::EntryClean),
        (Mapping::Cow, _, WriteUpgrade::ExclusiveDirty | WriteUpgrade::Exclusive) => {
            match page.kind {
                PageKind::Anon(Exclusive::Marked) => Answer::Yes(Why::Page(page.kind)),
                _ => Answer::No(Why::Page(page.kind)),
            }
        }
    }
}

/// With which hold on the address space's lock the entries lose their soft-dirty mark.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ClearsUnder {
    /// For reading: faults go on meanwhile.
    ReadLock,
    /// For writing.
    WriteLock,
}

/// With which hold on the address space's lock soft-dirty marks are cleared (facts 7.6).
#[inline]
pub const fn clears_under(rule: ClearRefsPinned) -> ClearsUnder {
    match rule {
        ClearRefsPinned::Protected => ClearsUnder::ReadLock,
        ClearRefsPinned::Spared => ClearsUnder::WriteLock,
    }
}

/// Whether an entry that is writable keeps that, and the soft-dirty mark, where its page may be
/// pinned, its area is private, and its address space has pinned (facts 7.6).
#[inline]
pub const fn spares_pinned(rule: ClearRefsPinned) -> bool {
    match rule {
        ClearRefsPinned::Protected => false,
        ClearRefsPinned::Spared => true,
    }
}
