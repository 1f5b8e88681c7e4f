//! Get and pin, against facts 3.

use super::super::pin::{
    Access, Force, Hold, PIN_BIAS, Request, Term, Walk, WriteFault, can_follow_write, entry_access,
    maybe_dma_pinned, must_unshare,
};
use super::super::{
    AreaState, Dirty, EntryState, Exclusive, ForceWrite, Mapping, PageKind, PageState, Permission,
    Protnone, ReadGup, Tracking, Why,
};
use super::{KINDS, MARKED, UNMARKED, pinned};

const READ_PIN: Request = Request { hold: Hold::Pin, access: Access::Read, term: Term::Short };
const LONG_READ_PIN: Request = Request { term: Term::Long, ..READ_PIN };
const WALKS: [Walk; 4] =
    [Walk::Slow(Mapping::Cow), Walk::Slow(Mapping::Shared), Walk::Fast, Walk::FastOnly];

#[test]
fn a_small_page_may_be_pinned_from_1024_references_on() {
    assert_eq!(PIN_BIAS, 1024);
    for (refs, expected) in
        [(1, false), (1023, false), (1024, true), (1025, true), (1 << 31, true), (u32::MAX, true)]
    {
        let page = PageState { refs, ..MARKED };
        assert_eq!(maybe_dma_pinned(&page).is_yes(), expected, "{refs}");
    }
}

#[test]
fn a_folio_with_a_pin_count_is_exact() {
    let page = |refs, pins| PageState { refs, large: pinned(pins), ..MARKED };
    assert!(!maybe_dma_pinned(&page(5000, 0)).is_yes());
    assert!(maybe_dma_pinned(&page(2, 1)).is_yes());
}

#[test]
fn only_5_8_turns_reads_into_writes() {
    for &rule in ReadGup::ALL {
        for walk in WALKS {
            let forced = rule == ReadGup::ForceWrite
                && matches!(walk, Walk::Slow(Mapping::Cow) | Walk::Fast);
            let expected = if forced { Access::Write } else { Access::Read };
            assert_eq!(entry_access(rule, Access::Read, walk), expected, "{rule} {walk:?}");
            assert_eq!(entry_access(rule, Access::Write, walk), Access::Write);
        }
    }
}

#[test]
fn references_and_writes_never_unshare() {
    for &rule in ReadGup::ALL {
        for walk in WALKS {
            for kind in KINDS {
                let page = PageState { kind, ..MARKED };
                for term in [Term::Short, Term::Long] {
                    let get = Request { hold: Hold::Get, access: Access::Read, term };
                    let write = Request { hold: Hold::Pin, access: Access::Write, term };
                    assert!(!must_unshare(rule, get, walk, &page).is_yes());
                    assert!(!must_unshare(rule, write, walk, &page).is_yes());
                }
            }
        }
    }
}

#[test]
fn read_pins_unshare_what_facts_3_6_says() {
    for &rule in ReadGup::ALL {
        for request in [READ_PIN, LONG_READ_PIN] {
            for walk in WALKS {
                for kind in KINDS {
                    let page = PageState { kind, ..MARKED };
                    let shared_anon =
                        matches!(kind, PageKind::Anon(Exclusive::Unmarked) | PageKind::Ksm);
                    let unowned = matches!(kind, PageKind::File | PageKind::Zero)
                        && request.term == Term::Long
                        && walk != Walk::Slow(Mapping::Shared);
                    let expected = match rule {
                        ReadGup::AsIs | ReadGup::ForceWrite => false,
                        ReadGup::UnshareAnon => shared_anon,
                        ReadGup::UnshareAll => shared_anon || unowned,
                    };
                    assert_eq!(
                        must_unshare(rule, request, walk, &page).is_yes(),
                        expected,
                        "{rule} {request:?} {walk:?} {kind}"
                    );
                }
            }
        }
    }
}

const ENTRY: EntryState =
    EntryState { dirty: Dirty::Clean, protnone: Protnone::No, tracking: Tracking::Off };
const DIRTY: EntryState = EntryState { dirty: Dirty::Dirty, ..ENTRY };
const READ_ONLY: AreaState = AreaState { mapping: Mapping::Cow, permission: Permission::ReadOnly };

/// Whether each rule, in historic order, lets a forced write follow the entry.
fn table(
    fault: WriteFault,
    area: AreaState,
    entry: EntryState,
    page: PageState,
    expected: [bool; 3],
) {
    for (&rule, expected) in ForceWrite::ALL.iter().zip(expected) {
        let answer = can_follow_write(rule, Force::Forced, fault, area, entry, &page);
        assert_eq!(answer.is_yes(), expected, "{rule} {entry:?} {page:?}: {answer:?}");
    }
}

#[test]
fn a_forced_write_follows_its_own_copy() {
    table(WriteFault::Taken, READ_ONLY, DIRTY, MARKED, [true, true, true]);
}

#[test]
fn without_a_fault_only_the_mark_proves_the_copy() {
    table(WriteFault::NotTaken, READ_ONLY, DIRTY, MARKED, [false, false, true]);
}

#[test]
fn dirty_cow_a_clean_page_cache_page_is_followed_before_4_9() {
    let file = PageState { kind: PageKind::File, ..MARKED };
    table(WriteFault::Taken, READ_ONLY, ENTRY, file, [true, false, false]);
}

#[test]
fn a_dirty_shared_page_is_followed_before_6_0() {
    let file = PageState { kind: PageKind::File, ..MARKED };
    table(WriteFault::Taken, READ_ONLY, DIRTY, file, [true, true, false]);
    table(WriteFault::Taken, READ_ONLY, DIRTY, UNMARKED, [true, true, false]);
}

#[test]
fn since_6_0_tracking_and_shared_mappings_forbid_it() {
    let tracked = EntryState { tracking: Tracking::WantsFault, ..DIRTY };
    table(WriteFault::Taken, READ_ONLY, tracked, MARKED, [true, true, false]);
    let shared = AreaState { mapping: Mapping::Shared, ..READ_ONLY };
    table(WriteFault::Taken, shared, DIRTY, MARKED, [true, true, false]);
}

#[test]
fn a_writable_area_and_an_ordinary_request_take_the_fault() {
    let writable = AreaState { permission: Permission::Write, ..READ_ONLY };
    table(WriteFault::Taken, writable, DIRTY, MARKED, [false; 3]);
    for &rule in ForceWrite::ALL {
        let fault = WriteFault::Taken;
        let answer = can_follow_write(rule, Force::Ordinary, fault, READ_ONLY, DIRTY, &MARKED);
        assert_eq!(answer.why(), Why::NotForced);
        assert!(!answer.is_yes());
    }
}
