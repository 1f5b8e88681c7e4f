//! May an entry become writable without a write fault? (facts 7.5, 4.3)
//!
//! Two ask: a change of protection that adds write permission, and, under
//! [`NumaWrite::Recomputed`](super::NumaWrite::Recomputed), a hinting fault that restores its
//! entry. Both ask [`wants_upgrade`] once for the area and [`can_change_writable`] for each entry,
//! as it will be after the change.
//!
//! Protocol: under the page-table lock, which keeps the exclusive mark as it is.

use super::Answer;
use super::{AreaState, Dirty, EntryState, Exclusive, Mapping, PageKind, PageState, Permission};
use super::{Protnone, Tracking, Why, WriteUpgrade};

/// Whether somebody keeps track of which pages of a shared mapping are written.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum WriteNotify {
    /// The first write to each clean page is reported, so entries start without write permission.
    Needed,
    /// Nobody asks: the area's own protection already gives write permission where it is due.
    Unneeded,
}

/// Whether the entries of the area lack write permission that the area itself grants, so that each
/// must be looked at.
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

/// Whether an entry may become writable at once. In a shared mapping a dirty entry may, for its
/// write was already reported.
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
