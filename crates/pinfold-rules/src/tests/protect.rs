//! Write permission without a write fault, against facts 7.5 and 4.3.

use super::super::protect::{WriteNotify, can_change_writable, wants_upgrade};
use super::super::{
    AreaState, Dirty, EntryState, Exclusive, Mapping, PageKind, PageState, Permission, Protnone,
    Tracking, Why, WriteUpgrade,
};
use super::{KINDS, MARKED};

const DIRTY: EntryState =
    EntryState { dirty: Dirty::Dirty, protnone: Protnone::No, tracking: Tracking::Off };
const CLEAN: EntryState = EntryState { dirty: Dirty::Clean, ..DIRTY };
const PRIVATE: AreaState = AreaState { mapping: Mapping::Cow, permission: Permission::Write };
const SHARED: AreaState = AreaState { mapping: Mapping::Shared, ..PRIVATE };

/// Whether each rule, in historic order, grants write permission.
fn table(area: AreaState, entry: EntryState, page: PageState, expected: [bool; 3]) {
    for (&rule, expected) in WriteUpgrade::ALL.iter().zip(expected) {
        let answer = can_change_writable(rule, area, entry, &page);
        assert_eq!(answer.is_yes(), expected, "{rule} {area:?} {entry:?} {page:?}: {answer:?}");
    }
}

#[test]
fn exclusive_private_pages_are_upgraded_dirty_since_6_0_and_clean_since_6_2() {
    table(PRIVATE, DIRTY, MARKED, [false, true, true]);
    table(PRIVATE, CLEAN, MARKED, [false, false, true]);
}

#[test]
fn other_private_pages_never_are() {
    for kind in KINDS.into_iter().filter(|&kind| kind != PageKind::Anon(Exclusive::Marked)) {
        for entry in [CLEAN, DIRTY] {
            table(PRIVATE, entry, PageState { kind, ..MARKED }, [false; 3]);
        }
    }
}

#[test]
fn counts_do_not_matter() {
    table(PRIVATE, DIRTY, PageState { refs: 1025, ..MARKED }, [false, true, true]);
}

#[test]
fn in_shared_mappings_the_dirty_bit_decides() {
    for kind in KINDS {
        let page = PageState { kind, ..MARKED };
        table(SHARED, DIRTY, page, [true; 3]);
        table(SHARED, CLEAN, page, [false; 3]);
    }
}

#[test]
fn what_forbids_it_forbids_it_to_every_rule() {
    for area in [PRIVATE, SHARED] {
        table(area, EntryState { protnone: Protnone::Yes, ..DIRTY }, MARKED, [false; 3]);
        table(area, EntryState { tracking: Tracking::WantsFault, ..DIRTY }, MARKED, [false; 3]);
        table(AreaState { permission: Permission::ReadOnly, ..area }, DIRTY, MARKED, [false; 3]);
    }
}

#[test]
fn shared_areas_are_looked_at_only_if_somebody_tracks_writes() {
    let asks = |area, notify| wants_upgrade(area, notify).is_yes();
    assert!(asks(PRIVATE, WriteNotify::Unneeded));
    assert!(asks(PRIVATE, WriteNotify::Needed));
    assert!(asks(SHARED, WriteNotify::Needed));
    assert!(!asks(SHARED, WriteNotify::Unneeded));
    for mapping in [Mapping::Cow, Mapping::Shared] {
        let area = AreaState { mapping, permission: Permission::ReadOnly };
        assert_eq!(wants_upgrade(area, WriteNotify::Needed).why(), Why::AreaReadOnly);
        assert!(!asks(area, WriteNotify::Needed));
    }
}
