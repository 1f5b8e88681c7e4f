//! Fork of huge pages, copies of them, and what becomes of owners and children when none is left.

use std::sync::Arc;
use std::vec::Vec;

use super::{RW, at, frame, pool, spare, world};
use crate::pin::{Ask, Path};
use crate::rules::PRESETS;
use crate::testing::{Audit, device_read, entry_at_flush, load, pages, rules, store, translate};
use crate::{
    Access, Advice, Cause, Entry, EventKind, FaultError, PinError, Prot, Small, SpaceError, Term,
};

#[test]
fn a_child_is_promised_nothing() {
    for text in PRESETS {
        let (mem, parent) = world::<Small>(text, 3);
        let child = parent.fork().unwrap();
        assert_eq!(pool(&mem), (3, 3, 2), "{text}");
        store(&child, 4, 40).unwrap();
        assert_eq!(store(&child, 8, 80), Err(FaultError::NoHugePage), "{text}");
        assert_eq!(load(&child, 8), Err(FaultError::NoHugePage), "{text}");
        let held = child.get(pages(8, 1), Access::Read).map(drop);
        assert_eq!(held, Err(PinError::Fault(FaultError::NoHugePage)), "{text}");
        store(&parent, 4, 4).unwrap();
        store(&parent, 8, 8).unwrap();
        assert_eq!((load(&child, 4), load(&parent, 4), pool(&mem)), (Ok(40), Ok(4), (3, 0, 0)));
        Audit::of(&mem).space(&parent).space(&child).check();
        drop(parent);
        assert_eq!((load(&child, 8), pool(&mem)), (Ok(0), (3, 1, 0)), "{text}");
        Audit::of(&mem).space(&child).check();
    }
}

#[test]
fn who_writes_a_shared_page_gets_a_copy_and_the_last_one_keeps_it() {
    for text in PRESETS {
        let (mem, parent) = world::<Small>(text, 4);
        store(&parent, 5, 5).unwrap();
        let head = frame(&parent, 4);
        let child = parent.fork().unwrap();
        assert_eq!((frame(&child, 4), load(&child, 5)), (head, Ok(5)), "{text}");
        assert!(!parent.entry(at(5)).is_writable() && !child.entry(at(5)).is_writable());
        store(&parent, 6, 6).unwrap();
        assert_ne!(frame(&parent, 4), head, "{text}");
        assert_eq!((load(&parent, 5), load(&child, 5), load(&child, 6)), (Ok(5), Ok(5), Ok(0)));
        assert_eq!(pool(&mem), (4, 2, 1), "the copy is not of what was promised");
        store(&child, 6, 60).unwrap();
        assert_eq!((frame(&child, 4), mem.stats().cow_copy), (head, 1), "{text}");
        Audit::of(&mem).space(&parent).space(&child).check();
    }
}

#[test]
fn the_owner_takes_its_page_from_its_descendants_when_none_is_left() {
    for text in PRESETS {
        let (mem, parent) = world::<Small>(text, 2);
        for page in 4..12 {
            store(&parent, page, page).unwrap();
        }
        let head = frame(&parent, 4);
        let child = parent.fork().unwrap();
        let grandchild = child.fork().unwrap();
        // Not theirs: they cannot take it from anybody.
        assert_eq!(store(&child, 4, 40), Err(FaultError::NoHugePage), "{text}");
        assert_eq!(load(&child, 4), Ok(4), "{text}");
        Audit::of(&mem).space(&parent).space(&child).space(&grandchild).check();
        store(&parent, 4, 44).unwrap();
        assert_eq!((frame(&parent, 4), load(&parent, 5)), (head, Ok(5)), "{text}");
        let lost = Err(FaultError::NoHugePage);
        for poor in [&child, &grandchild] {
            assert_eq!((load(poor, 4), load(poor, 7)), (lost, lost), "{text}");
            assert!(matches!(poor.entry(at(6)).decode(), Entry::Swap(_)));
            assert_eq!(load(poor, 8), Ok(8), "only that page: {text}");
        }
        let fast = child.pin(pages(5, 1), Access::Read, Term::Short).map(drop);
        assert_eq!(fast, Err(PinError::Fault(FaultError::NoHugePage)), "{text}");
        // It stays lost, for who is born later, too, and whatever the pool has by then.
        mem.hugetlb_pool(4);
        let late = child.fork().unwrap();
        assert_eq!((load(&late, 4), load(&child, 4)), (lost, lost), "{text}");
        late.protect(pages(4, 4), Prot::READ).unwrap();
        late.protect(pages(4, 4), RW).unwrap();
        assert_eq!((load(&late, 4), late.numa_scan(pages(4, 4))), (lost, 0), "{text}");
        Audit::of(&mem).space(&parent).space(&child).space(&grandchild).space(&late).check();
        // Who has given it up finds another.
        late.advise(pages(4, 4), Advice::DontNeed).unwrap();
        assert_eq!((load(&late, 4), pool(&mem)), (Ok(0), (4, 1, 0)), "{text}");
        child.unmap(pages(4, 4)).unwrap();
        let all = Audit::of(&mem).space(&parent).space(&child).space(&grandchild).space(&late);
        all.check();
        drop((parent, child, grandchild, late));
        assert_eq!(pool(&mem), (4, 4, 0));
        Audit::of(&mem).check();
    }
}

/// Its entry is in the form of a swap entry, and names no device: with none, and beside one.
#[test]
fn a_child_does_not_see_the_owners_write_through_an_old_translation() {
    let (mem, parent) = world::<Small>("latest", 2);
    store(&parent, 4, 4).unwrap();
    store(&parent, 8, 8).unwrap();
    let child = parent.fork().unwrap();
    assert_eq!(load(&child, 4), Ok(4), "cached");
    store(&parent, 4, 44).unwrap();
    assert_eq!(load(&child, 4), Err(FaultError::NoHugePage));
    Audit::of(&mem).space(&parent).space(&child).check();
}

#[test]
fn fork_of_a_pinned_page_needs_a_page_of_the_pool_since_5_12() {
    for text in PRESETS {
        let (mem, parent) = world::<Small>(text, 3);
        for page in 4..12 {
            store(&parent, page, page).unwrap();
        }
        let pins = parent.pin(pages(9, 2), Access::Write, Term::Long).unwrap();
        let copies = rules(text).hugetlb_fork.name() != "share";
        let (head, before) = (frame(&parent, 8), mem.frames().total_free());
        spare(&mem, 0);
        let failed = parent.fork().map(drop);
        assert_eq!(failed, if copies { Err(SpaceError::NoHugePage) } else { Ok(()) }, "{text}");
        Audit::of(&mem).space(&parent).pins(pins.pages()).check();
        mem.hugetlb_pool(3);
        assert_eq!(mem.frames().total_free(), before, "{text}: nothing has leaked");
        let child = parent.fork().unwrap();
        assert_eq!((frame(&child, 4), frame(&parent, 8)), (frame(&parent, 4), head), "{text}");
        assert_eq!(frame(&child, 8) == head, !copies, "{text}");
        assert_eq!(load(&child, 10), Ok(10), "{text}");
        // The device and its owner have the same page where fork copied.
        store(&parent, 9, 90).unwrap();
        assert_eq!(device_read(&mem, pins.pages()[0]) == 90, copies, "{text}");
        assert_eq!(load(&child, 9), Ok(9), "{text}");
        Audit::of(&mem).space(&parent).space(&child).pins(pins.pages()).check();
    }
}

/// As with other pages, by `fork-snapshot=protected`.
#[test]
fn the_copy_of_a_pinned_page_is_of_one_that_no_thread_writes() {
    for (text, strict) in [("latest", false), ("latest,fork-snapshot=protected", true)] {
        let (mem, parent) = world::<Small>(text, 3);
        let parent = std::sync::Arc::new(parent);
        let pfn = store(&parent, 5, 5).unwrap();
        let pins = parent.pin(pages(4, 4), Access::Write, Term::Long).unwrap();
        let thread = parent.clone();
        let (seen, told) = std::sync::mpsc::channel();
        let look = move |event| {
            if let EventKind::ForkCopied { from, .. } = event
                && from == pfn
            {
                let _ = seen.send(translate(&thread, 5, Cause::Store).is_some());
            }
        };
        let child = mem.platform().interrupt(look, || parent.fork().unwrap());
        assert_eq!(told.iter().collect::<Vec<_>>(), [!strict], "{text}");
        assert_eq!(store(&parent, 5, 55), Ok(pfn), "{text}: in step with the device");
        assert_eq!(load(&child, 5), Ok(5), "{text}");
        Audit::of(&mem).space(&parent).space(&child).pins(pins.pages()).check();
    }
}

/// A lock-free pin that arrives when fork has looked for pins, and not taken write permission yet:
/// the sequence count keeps it out (facts 2.5).
#[test]
fn fork_counts_these_areas_for_lock_free_pins_since_5_19() {
    for text in ["5.11", "5.12", "5.18", "5.19", "latest", "pinfold"] {
        let (mem, parent) = world::<Small>(text, 4);
        let parent = std::sync::Arc::new(parent);
        store(&parent, 4, 4).unwrap();
        // Fork knows that there may be pins.
        drop(parent.pin(pages(4, 1), Access::Write, Term::Short).unwrap());
        let (pinned, told) = std::sync::mpsc::channel();
        let mut pinner = Some(parent.clone());
        let hook = move |kind| {
            if let EventKind::ForkShared { .. } = kind
                && let Some(pinner) = pinner.take()
            {
                let ask = Ask::new(Access::Write, Term::Long).path(Path::FastOnly);
                let _ = pinned.send(pinner.pin_with(pages(4, 1), ask));
            }
        };
        let child = mem.platform().interrupt(hook, || parent.fork().unwrap());
        let pins: Vec<_> = told.iter().collect();
        let taken = pins.iter().filter(|pins| pins.is_ok()).count();
        let late = ["5.19", "latest", "pinfold"].contains(&text);
        assert_eq!((pins.len(), taken), (1, usize::from(!late)), "{text}");
        // Its page is shared, so the owner's write leaves it behind.
        store(&parent, 4, 44).unwrap();
        let left = pins.iter().flatten().filter(|pins| pins.pages()[0] != frame(&parent, 4));
        assert_eq!(left.count(), taken, "{text}");
        drop(child);
    }
}

#[test]
fn a_page_that_fork_took_for_a_copy_and_does_not_need_goes_back_to_the_pool() {
    let (mem, parent) = world::<Small>("latest", 3);
    store(&parent, 4, 4).unwrap();
    let mut pins = Some(parent.pin(pages(4, 1), Access::Write, Term::Short).unwrap());
    let mut checks = 0;
    let hook = move |kind| {
        if let EventKind::ForkCheck(_) = kind {
            checks += 1;
            if checks == 2 {
                pins.take();
            }
        }
    };
    let child = mem.platform().interrupt(hook, || parent.fork().unwrap());
    assert_eq!((mem.stats().fork_copy, pool(&mem)), (0, (3, 2, 1)));
    assert_eq!(frame(&parent, 4), frame(&child, 4));
    Audit::of(&mem).space(&parent).space(&child).check();
}

/// O3 to O6 of the operations that a kernel's own test of copy-on-write tries (facts 9.24, T3): the
/// rule does not look at references, so who holds one sees the next write of the last who maps the
/// page.
#[test]
fn a_reference_sees_what_the_last_owner_writes_under_every_rule() {
    for text in PRESETS {
        // O3 and O4: the child holds a reference and unmaps; the parent writes.
        for protects in [false, true] {
            let (mem, parent) = world::<Small>(text, 3);
            store(&parent, 4, 4).unwrap();
            let child = parent.fork().unwrap();
            let refs = child.get(pages(4, 1), Access::Read).unwrap();
            child.unmap(pages(4, 4)).unwrap();
            if protects {
                parent.protect(pages(4, 8), Prot::READ).unwrap();
                parent.protect(pages(4, 8), RW).unwrap();
            }
            store(&parent, 4, 44).unwrap();
            let forced = refs.pages()[0] != frame(&parent, 4);
            // 5.8 breaks the sharing for the reference: the one exception.
            assert_eq!(forced, rules(text).read_gup.name() == "force-write", "{text}");
            assert_eq!(device_read(&mem, refs.pages()[0]) == 44, !forced, "{text}");
            Audit::of(&mem).space(&parent).space(&child).gets(refs.pages()).check();
        }
        // O5 and O6: the parent holds one, before or after fork, and unmaps; the child writes.
        for early in [true, false] {
            let (mem, parent) = world::<Small>(text, 3);
            store(&parent, 4, 4).unwrap();
            let get = || parent.get(pages(4, 1), Access::Read).unwrap();
            let before = early.then(get);
            let child = parent.fork().unwrap();
            let refs = before.unwrap_or_else(get);
            parent.unmap(pages(4, 4)).unwrap();
            store(&child, 4, 44).unwrap();
            let forced = refs.pages()[0] != frame(&child, 4);
            let breaks = rules(text).read_gup.name() == "force-write" && !early;
            assert_eq!(forced, breaks, "{text}");
            assert_eq!(device_read(&mem, refs.pages()[0]) == 44, !forced, "{text}");
            Audit::of(&mem).space(&parent).space(&child).gets(refs.pages()).check();
        }
    }
}

#[test]
fn a_copy_is_published_after_the_flush_or_before_it() {
    for (text, early) in [("pinfold", false), ("pinfold,cow-publish=before-flush", true)] {
        let (mem, parent) = world::<Small>(text, 3);
        let parent = Arc::new(parent);
        store(&parent, 4, 4).unwrap();
        let child = parent.fork().unwrap();
        let write = || _ = store(&parent, 5, 50).unwrap();
        assert_eq!(entry_at_flush(&parent, 6, write).is_writable(), early, "{text}");
        assert_eq!((load(&child, 4), load(&parent, 5)), (Ok(4), Ok(50)), "{text}");
        Audit::of(&mem).space(&parent).space(&child).check();
    }
}
