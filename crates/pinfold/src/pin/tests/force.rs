//! FOLL_FORCE: breakpoints in read-only code, Dirty COW, and permissions that were never granted.

use super::{Access, Ask, RW, Term, world};
use crate::testing::{
    Audit, device_read, device_write, load, machine, map, map_shared, pages, rules, space, store,
};
use crate::{Advice, EventKind, FaultError, PinError, Prot, Rules, Tuning, VirtAddr, X86_64};

const FORCED: Ask = Ask::new(Access::Write, Term::Short).forced();

#[test]
fn a_breakpoint_breaks_copy_on_write_and_leaves_the_text_read_only() {
    for text in crate::rules::PRESETS {
        let (mem, parent) = world(text);
        store(&parent, 16, 1).unwrap();
        parent.protect(pages(16, 1), Prot::READ | Prot::EXEC).unwrap();
        let child = parent.fork().unwrap();
        let pins = child.pin_with(pages(16, 1), FORCED).unwrap();
        device_write(&mem, pins.pages()[0], 0xcc);
        assert_eq!((load(&parent, 16), load(&child, 16)), (Ok(1), Ok(0xcc)), "{text}");
        assert!(!child.entry(VirtAddr::of_page(16)).is_writable(), "{text}");
        let denied = FaultError::Denied(VirtAddr::of_page(16));
        assert_eq!(store(&child, 16, 2), Err(denied), "{text}");
        Audit::of(&mem).space(&parent).space(&child).pins(pins.pages()).check();
    }
}

#[test]
fn a_forced_write_to_what_was_never_touched_makes_a_private_page() {
    for text in crate::rules::PRESETS {
        let (mem, space) = world(text);
        map(&space, 40, 2, Prot::READ);
        load(&space, 41).unwrap();
        let pins = space.pin_with(pages(40, 2), FORCED).unwrap();
        pins.pages().iter().for_each(|pfn| device_write(&mem, *pfn, 9));
        assert_eq!((load(&space, 40), load(&space, 41)), (Ok(9), Ok(9)), "{text}");
        assert_eq!(device_read(&mem, mem.zero_page()), 0, "{text}");
        Audit::of(&mem).space(&space).pins(pins.pages()).check();
    }
}

#[test]
fn a_forced_write_to_a_page_that_is_alone_again_ends() {
    // Independent switches: the mark is asked for by one rule and must be set under every other.
    for text in ["5.8", "5.9", "5.18", "pinfold"] {
        for force in ["dirty-cow", "exclusive"] {
            let (mem, space) = world(&std::format!("{text},force-write={force}"));
            let pfn = store(&space, 16, 1).unwrap();
            drop(space.fork().unwrap());
            space.protect(pages(16, 1), Prot::READ).unwrap();
            let pins = space.pin_with(pages(16, 1), FORCED).unwrap();
            assert_eq!(pins.pages(), [pfn], "{text} {force}");
            Audit::of(&mem).space(&space).pins(pins.pages()).check();
        }
    }
}

#[test]
fn a_read_pin_that_must_unshare_ends_under_every_reuse_rule() {
    for reuse in ["map-count", "ref-count", "ref-count-precise", "exclusive", "exclusive-tight"] {
        for gup in ["as-is", "force-write", "unshare-anon", "unshare-all"] {
            let (mem, space) = world(&std::format!("pte-cow={reuse},read-gup={gup}"));
            store(&space, 16, 1).unwrap();
            drop(space.fork().unwrap());
            let pins = space.pin(pages(16, 1), Access::Read, Term::Long).unwrap();
            Audit::of(&mem).space(&space).pins(pins.pages()).check();
        }
    }
}

#[test]
fn an_inaccessible_area_can_be_read_and_written_by_force_alone() {
    for text in crate::rules::PRESETS {
        let (mem, parent) = world(text);
        store(&parent, 16, 1).unwrap();
        let child = parent.fork().unwrap();
        child.protect(pages(16, 2), Prot::empty()).unwrap();
        let gets = child.get_with(pages(16, 2), Ask::new(Access::Read, Term::Short).forced());
        assert_eq!(device_read(&mem, gets.unwrap().pages()[0]), 1, "{text}");
        let pins = child.pin_with(pages(16, 2), FORCED).unwrap();
        device_write(&mem, pins.pages()[0], 7);
        assert!(load(&child, 16).is_err(), "{text}");
        assert_eq!(mem.stats().numa_hint_faults, 0, "{text}: PROT_NONE is no hint");
        child.protect(pages(16, 2), RW).unwrap();
        assert_eq!((load(&parent, 16), load(&child, 16)), (Ok(1), Ok(7)), "{text}");
        Audit::of(&mem).space(&parent).space(&child).pins(pins.pages()).check();
    }
}

#[test]
fn force_does_not_open_shared_memory() {
    let mem = machine::<X86_64>(Rules::default(), &[32], Tuning::default());
    let space = space(&mem);
    map_shared(&space, 16, 1);
    space.protect(pages(16, 1), Prot::READ).unwrap();
    let denied = PinError::Fault(FaultError::Denied(VirtAddr::of_page(16)));
    assert_eq!(space.pin_with(pages(16, 1), FORCED).err(), Some(denied));
}

#[test]
fn dirty_cow_dontneed_between_fault_and_follow_exposes_what_all_share_up_to_4_8() {
    for text in crate::rules::PRESETS {
        let (mem, parent) = world(text);
        let secret = store(&parent, 16, 1).unwrap();
        parent.protect(pages(16, 1), Prot::READ).unwrap();
        let child = std::sync::Arc::new(parent.fork().unwrap());
        let racer = child.clone();
        let mut rounds = 3;
        let pins = mem.platform().interrupt(
            move |event| {
                if matches!(event, EventKind::Copied { .. } | EventKind::FirstTouch(_))
                    && rounds > 0
                {
                    rounds -= 1;
                    racer.advise(pages(16, 1), Advice::DontNeed).unwrap();
                }
            },
            || child.pin_with(pages(16, 1), FORCED).unwrap(),
        );
        assert_ne!(pins.pages()[0], secret, "{text}");
        device_write(&mem, pins.pages()[0], 666);
        let dropped = ["3.1", "3.2", "4.4", "4.5", "4.8"].contains(text);
        let zero = if dropped { 666 } else { 0 };
        let seen = (load(&parent, 16), device_read(&mem, mem.zero_page()));
        assert_eq!(seen, (Ok(1), zero), "{text}");
        Audit::of(&mem).space(&parent).space(&child).pins(pins.pages()).check();
    }
}

#[test]
fn dirty_cow_writes_the_page_that_everybody_reads_before_4_9() {
    let (mem, space) = world("pinfold,force-write=drop-write");
    map(&space, 40, 1, Prot::READ);
    let space = std::sync::Arc::new(space);
    let racer = space.clone();
    let pins = mem.platform().interrupt(
        move |event| {
            if matches!(event, EventKind::FirstTouch(_)) {
                racer.advise(pages(40, 1), Advice::DontNeed).unwrap();
            }
        },
        || space.pin_with(pages(40, 1), FORCED).unwrap(),
    );
    assert_eq!(pins.pages(), [mem.zero_page()]);
}

#[test]
fn before_4_9_a_fault_that_made_no_copy_still_did_not_count_as_one() {
    // A hinting fault resolves without a copy; taking the page then would write the parent's.
    let mem = machine::<X86_64>(
        rules("5.8,force-write=drop-write,numa-skip=never"),
        &[64, 8],
        Tuning::default(),
    );
    let parent = space(&mem);
    map(&parent, 16, 1, RW);
    let shared = store(&parent, 16, 1).unwrap();
    parent.protect(pages(16, 1), Prot::READ).unwrap();
    let child = parent.fork().unwrap();
    assert_eq!(child.numa_scan(pages(16, 1)), 1);
    let pins = child.pin_with(pages(16, 1), FORCED).unwrap();
    assert_ne!(pins.pages()[0], shared);
    Audit::of(&mem).space(&parent).space(&child).pins(pins.pages()).check();
}

#[test]
fn facts_3_8_a_forced_read_takes_no_hinting_fault() {
    for text in crate::rules::PRESETS {
        let (mem, space) = world(text);
        let pfn = store(&space, 16, 1).unwrap();
        assert_eq!(space.numa_scan(pages(16, 1)), 1, "{text}");
        let gets = space.get_with(pages(16, 1), Ask::new(Access::Read, Term::Short).forced());
        assert_eq!(gets.unwrap().pages(), [pfn], "{text}");
        assert_eq!(mem.stats().numa_hint_faults, 0, "{text}");
        assert!(space.entry(VirtAddr::of_page(16)).is_hint(), "{text}");
        Audit::of(&mem).space(&space).check();
    }
}
