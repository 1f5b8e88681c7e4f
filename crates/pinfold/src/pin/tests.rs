//! Pins and gets: what they may take, what they hold, and how they are given back.

mod catalogue;
mod folios;
mod force;
mod remote;
mod settle;

use super::{Access, Ask, Hold, Path, Term};
use crate::event::FastStop;
use crate::frame::{Grab, Holds};
use crate::rules::HeadRecheck;
use crate::testing::{
    Audit, Mem, Space, device_read, device_write, load, machine, map, map_shared, pages, rules,
    space, store,
};
use crate::{
    AddressSpace, Cause, EventKind, FaultError, Limits, PIN_BIAS, PinError, Prot, Rules, Tuning,
    VirtAddr, X86_64,
};
use core::num::NonZero;
use std::vec::Vec;

const RW: Prot = Prot::READ_WRITE;

fn world(text: &str) -> (Mem<X86_64>, Space<X86_64>) {
    let mem = machine(rules(text), &[64], Tuning::default());
    let space = space(&mem);
    map(&space, 16, 8, RW);
    (mem, space)
}

fn stops(events: &[EventKind]) -> Vec<FastStop> {
    events
        .iter()
        .filter_map(|event| match event {
            EventKind::FastStop(why) => Some(*why),
            _ => None,
        })
        .collect()
}

#[test]
fn a_pin_faults_in_what_is_missing_and_goes_with_its_guard() {
    for path in [Path::Any, Path::SlowOnly] {
        let (mem, space) = world("pinfold");
        store(&space, 17, 5).unwrap();
        let ask = Ask::new(Access::Write, Term::Short).path(path);
        let pins = space.pin_with(pages(16, 4), ask).unwrap();
        assert_eq!((pins.pages().len(), pins.shortfall()), (4, None));
        assert_eq!(device_read(&mem, pins.pages()[1]), 5);
        for (page, pfn) in (16..).zip(pins.pages()) {
            assert_eq!(space.entry(VirtAddr::of_page(page)).pfn(), *pfn);
            assert_eq!(mem.frames().counts(*pfn).refs(), 1 + PIN_BIAS);
        }
        Audit::of(&mem).space(&space).pins(pins.pages()).check();
        drop(pins);
        Audit::of(&mem).space(&space).check();
    }
}

#[test]
fn the_lock_free_path_alone_takes_what_is_ready_and_never_faults() {
    let (mem, space) = world("pinfold");
    let fast = |access| Ask::new(access, Term::Short).path(Path::FastOnly);
    let at = VirtAddr::of_page(16);
    let nothing = space.pin_with(pages(16, 2), fast(Access::Write));
    assert_eq!(nothing.err(), Some(PinError::WouldBlock(at)));
    assert_eq!(space.entry(at), crate::Pte::NONE);
    store(&space, 16, 1).unwrap();
    let faults = mem.stats().pgfault;
    let pins = space.pin_with(pages(16, 2), fast(Access::Write)).unwrap();
    assert_eq!(pins.shortfall(), Some(PinError::WouldBlock(VirtAddr::of_page(17))));
    assert_eq!((pins.pages().len(), mem.stats().pgfault), (1, faults));
    Audit::of(&mem).space(&space).pins(pins.pages()).check();
}

#[test]
fn the_lock_free_path_says_why_it_stops() {
    let (mem, space) = world("pinfold");
    for page in [16, 17, 18] {
        store(&space, page, 1).unwrap();
    }
    space.protect(pages(17, 1), Prot::READ).unwrap();
    assert_eq!(space.numa_scan(pages(18, 1)), 1);
    load(&space, 19).unwrap();
    let child = space.fork().unwrap();
    let try_pin = |page, access| {
        let ask = Ask::new(access, Term::Short).path(Path::FastOnly);
        stops(&mem.platform().record(|| drop(space.pin_with(pages(page, 1), ask))).1)
    };
    assert_eq!(try_pin(16, Access::Write), [FastStop::ReadOnly]);
    assert_eq!(try_pin(16, Access::Read), [FastStop::MustUnshare]);
    assert_eq!(try_pin(18, Access::Read), [FastStop::ProtNone]);
    assert_eq!(try_pin(19, Access::Read), [FastStop::Special]);
    assert_eq!(try_pin(20, Access::Read), [FastStop::Absent]);
    assert_eq!(try_pin(5000, Access::Read), [FastStop::Absent]);
    Audit::of(&mem).space(&space).space(&child).check();
}

#[test]
fn fewer_pages_than_asked_for_are_a_success_that_says_so() {
    let (mem, space) = world("pinfold");
    let pins = space.pin(pages(22, 4), Access::Write, Term::Long).unwrap();
    let end = VirtAddr::of_page(24);
    assert_eq!(pins.pages().len(), 2);
    assert_eq!(pins.shortfall(), Some(PinError::Fault(FaultError::NotMapped(end))));
    assert_eq!(space.locked_pages(), 2, "only what is held is charged");
    let none = space.pin(pages(24, 4), Access::Write, Term::Long);
    assert_eq!(none.err(), Some(PinError::Fault(FaultError::NotMapped(end))));
    assert_eq!(space.locked_pages(), 2);
    Audit::of(&mem).space(&space).pins(pins.pages()).check();
    drop(pins);
    assert_eq!(space.locked_pages(), 0);
}

#[test]
fn a_pin_that_runs_out_of_frames_keeps_what_it_has() {
    let mem = machine::<X86_64>(Rules::default(), &[8], Tuning::default());
    let space = space(&mem);
    map(&space, 16, 8, RW);
    let pins = space.pin(pages(16, 8), Access::Write, Term::Long).unwrap();
    assert_eq!(pins.pages().len(), 8 - 5, "root, three tables and the zero page are taken");
    assert_eq!(pins.shortfall(), Some(PinError::Fault(FaultError::OutOfFrames)));
    Audit::of(&mem).space(&space).pins(pins.pages()).check();
    drop((pins, space));
    Audit::of(&mem).check();
}

#[test]
fn rights_limit_what_may_be_taken() {
    let (mem, space) = world("pinfold");
    space.protect(pages(16, 1), Prot::READ).unwrap();
    space.protect(pages(17, 1), Prot::empty()).unwrap();
    let denied = |page| Some(PinError::Fault(FaultError::Denied(VirtAddr::of_page(page))));
    assert_eq!(space.pin(pages(16, 1), Access::Write, Term::Short).err(), denied(16));
    assert_eq!(space.pin(pages(17, 1), Access::Read, Term::Short).err(), denied(17));
    assert_eq!(space.get(pages(17, 1), Access::Read).err(), denied(17));
    assert!(space.get(pages(16, 1), Access::Read).is_ok());
    let nowhere = space.pin(pages(1 << 40, 2), Access::Read, Term::Short);
    let start = VirtAddr::of_page(1 << 40);
    assert_eq!(nowhere.err(), Some(PinError::Fault(FaultError::NotMapped(start))));
    let huge = space.get(pages(16, (1 << 35) - 17), Access::Read).unwrap();
    let denied = FaultError::Denied(VirtAddr::of_page(17));
    assert_eq!(huge.shortfall(), Some(PinError::Fault(denied)));
    assert_eq!(huge.pages().len(), 1, "what is asked for in vain costs nothing");
    drop(huge);
    Audit::of(&mem).space(&space).check();
}

#[test]
fn long_pins_are_charged_and_limited_and_short_ones_are_not() {
    let mem = machine::<X86_64>(Rules::default(), &[64], Tuning::default());
    let limits = Limits { locked: 3, ..Limits::of_format::<X86_64>() };
    let space = AddressSpace::new(&mem, limits).unwrap();
    map(&space, 16, 8, RW);
    let long = |first, count| space.pin(pages(first, count), Access::Write, Term::Long);
    let first = long(16, 2).unwrap();
    assert_eq!(long(18, 2).err(), Some(PinError::TooManyLocked { limit: 3 }));
    let short = space.pin(pages(16, 8), Access::Write, Term::Short).unwrap();
    assert_eq!(space.locked_pages(), 2);
    let parted = long(18, 1).unwrap().into_pages().next().unwrap();
    assert_eq!(space.locked_pages(), 3, "a page that is handed on is charged until it is unpinned");
    Audit::of(&mem)
        .space(&space)
        .pins(first.pages())
        .pins(short.pages())
        .pins(&[parted.pfn()])
        .check();
    drop(first);
    assert_eq!(space.locked_pages(), 1);
    drop(parted);
    assert_eq!(space.locked_pages(), 0);
}

#[test]
fn a_pin_of_many_pages_can_be_given_back_page_by_page() {
    let (mem, space) = world("pinfold");
    let pins = space.pin(pages(16, 4), Access::Write, Term::Long).unwrap();
    let frames = pins.pages().to_vec();
    let mut parted = pins.into_pages();
    assert_eq!(parted.len(), 4);
    let (first, second) = (parted.next().unwrap(), parted.next().unwrap());
    assert_eq!([first.pfn(), second.pfn()], frames[..2]);
    drop(parted);
    assert_eq!(space.locked_pages(), 2, "the others are unpinned");
    Audit::of(&mem).space(&space).pins(&frames[..2]).check();
    drop(space);
    first.unpin_dirty();
    Audit::of(&mem).pins(&frames[1..2]).check();
    drop(second);
    Audit::of(&mem).check();
}

#[test]
fn acquired_and_released_pins_balance() {
    for text in crate::rules::PRESETS {
        let (mem, space) = world(text);
        store(&space, 16, 1).unwrap();
        load(&space, 17).unwrap();
        let live = || mem.stats().nr_foll_pin_acquired - mem.stats().nr_foll_pin_released;
        let pins = space.pin(pages(16, 3), Access::Read, Term::Short).unwrap();
        assert_eq!(live(), 3, "{text}");
        pins.unpin_dirty();
        assert_eq!(live(), 0, "{text}");
        let gets = space.get(pages(16, 2), Access::Read).unwrap();
        assert_eq!(live(), 0, "{text}: a get is no pin");
        drop(gets);
        let mut parted = space.pin(pages(16, 3), Access::Read, Term::Short).unwrap().into_pages();
        assert_eq!(live(), 3, "{text}");
        drop(parted.next());
        assert_eq!(live(), 2, "{text}");
        drop(parted);
        assert_eq!(live(), 0, "{text}");
        assert!(space.pin(pages(24, 1), Access::Read, Term::Short).is_err());
        assert_eq!(live(), 0, "{text}");
        Audit::of(&mem).space(&space).check();
    }
}

#[test]
fn t24_the_zero_page_is_counted_until_6_5_and_then_free() {
    for (text, counted) in [("5.9", true), ("6.2", true), ("6.5", false), ("pinfold", false)] {
        let (mem, space) = world(text);
        load(&space, 16).unwrap();
        let zero = mem.zero_page();
        let pins = space.pin(pages(16, 1), Access::Read, Term::Short).unwrap();
        let refs = if counted { 1 + PIN_BIAS } else { 1 };
        assert_eq!((pins.pages(), mem.frames().counts(zero).refs()), (&[zero][..], refs), "{text}");
        let gets = space.get(pages(16, 1), Access::Read).unwrap();
        assert_eq!(mem.frames().counts(zero).refs(), refs + 1, "{text}: a get counts");
        Audit::of(&mem).space(&space).pins(pins.pages()).gets(gets.pages()).check();
        drop((pins, gets));
        mem.get(zero, i32::MAX as u32);
        let full = space.pin(pages(16, 1), Access::Read, Term::Short);
        assert_eq!(full.is_err(), counted, "{text}");
        if counted {
            assert_eq!(full.err(), Some(PinError::Overflow(zero)), "{text}");
        }
        mem.put(zero, i32::MAX as u32);
        Audit::of(&mem).space(&space).check();
    }
}

#[test]
fn several_pins_of_a_page_are_counted_charged_and_released_together() {
    let (mem, space) = world("pinfold");
    let pfns = [store(&space, 16, 1).unwrap(), store(&space, 17, 1).unwrap()];
    let refs = || pfns.map(|pfn| mem.frames().counts(pfn).refs());
    let stats = || (mem.stats().nr_foll_pin_acquired, mem.stats().nr_foll_pin_released);
    let times = NonZero::new(5).unwrap();
    for path in [Path::FastOnly, Path::SlowOnly] {
        let ask = Ask::new(Access::Write, Term::Long).path(path).times(times);
        let (before, _) = stats();
        let pins = space.pin_with(pages(16, 2), ask).unwrap();
        assert_eq!((pins.pages(), pins.times()), (&pfns[..], 5), "{path:?}");
        assert_eq!(refs(), [1 + 5 * PIN_BIAS; 2], "{path:?}");
        assert_eq!((space.locked_pages(), stats().0), (10, before + 10), "{path:?}");
        let mut each = pins.into_pages();
        let first = each.next().unwrap();
        drop(each);
        assert_eq!(refs(), [1 + 5 * PIN_BIAS, 1], "{path:?}");
        assert_eq!(space.locked_pages(), 5, "{path:?}");
        drop(first);
        assert_eq!((refs(), space.locked_pages()), ([1; 2], 0), "{path:?}");
        assert_eq!(stats().0, stats().1, "{path:?}");
    }
    let got = space.get_with(pages(16, 1), Ask::new(Access::Read, Term::Short).times(times));
    assert_eq!(refs(), [6, 1]);
    drop(got);
    Audit::of(&mem).space(&space).check();
}

#[test]
fn several_pins_of_which_the_last_would_overflow_leave_the_page_alone() {
    let (mem, space) = world("pinfold");
    let first = store(&space, 16, 1).unwrap();
    let full = store(&space, 17, 1).unwrap();
    mem.get(full, i32::MAX as u32 - 2 * PIN_BIAS);
    let before = mem.frames().counts(full);
    for path in [Path::Any, Path::SlowOnly] {
        let four = Ask::new(Access::Write, Term::Long).path(path).times(NonZero::new(4).unwrap());
        let pins = space.pin_with(pages(16, 2), four).unwrap();
        assert_eq!(
            (pins.pages(), pins.shortfall()),
            (&[first][..], Some(PinError::Overflow(full)))
        );
        assert_eq!(mem.frames().counts(full), before, "{path:?}");
        assert_eq!(space.locked_pages(), 4, "{path:?}: only what is held is charged");
    }
    mem.put(full, i32::MAX as u32 - 2 * PIN_BIAS);
    assert_eq!(space.locked_pages(), 0);
    Audit::of(&mem).space(&space).check();
}

#[test]
fn a_frame_near_overflow_is_refused_on_both_paths_and_its_neighbours_are_kept() {
    let (mem, space) = world("pinfold");
    store(&space, 16, 1).unwrap();
    let pfn = store(&space, 17, 1).unwrap();
    mem.get(pfn, i32::MAX as u32);
    for path in [Path::Any, Path::SlowOnly] {
        let ask = Ask::new(Access::Write, Term::Short).path(path);
        let pins = space.pin_with(pages(16, 2), ask).unwrap();
        assert_eq!((pins.pages().len(), pins.shortfall()), (1, Some(PinError::Overflow(pfn))));
    }
    assert_eq!(
        mem.frames().try_grab(pfn, Holds::of(Hold::Get, 1), || HeadRecheck::Again),
        Grab::Overflow
    );
    mem.put(pfn, i32::MAX as u32);
    Audit::of(&mem).space(&space).check();
}

#[test]
fn a_read_pin_of_the_zero_page_is_unshared_for_long_terms_since_6_2() {
    for (text, unshared) in
        [("5.18", false), ("5.19", false), ("6.1", false), ("6.2", true), ("pinfold", true)]
    {
        let (mem, space) = world(text);
        load(&space, 16).unwrap();
        let short = space.pin(pages(16, 1), Access::Read, Term::Short).unwrap();
        assert_eq!(short.pages(), [mem.zero_page()], "{text}");
        let long = space.pin(pages(16, 1), Access::Read, Term::Long).unwrap();
        assert_eq!(long.pages()[0] != mem.zero_page(), unshared, "{text}");
        if unshared {
            assert!(!space.entry(VirtAddr::of_page(16)).is_writable(), "{text}");
        }
        store(&space, 16, 7).unwrap();
        assert_eq!(device_read(&mem, long.pages()[0]) == 7, unshared, "{text}");
        Audit::of(&mem).space(&space).pins(short.pages()).pins(long.pages()).check();
    }
}

#[test]
fn a_read_pin_in_a_read_only_area_gets_an_exclusive_page_that_stays_read_only() {
    let (mem, space) = world("pinfold");
    let pfn = store(&space, 16, 3).unwrap();
    let child = space.fork().unwrap();
    space.protect(pages(16, 1), Prot::READ).unwrap();
    let pins = space.pin(pages(16, 1), Access::Read, Term::Short).unwrap();
    let entry = space.entry(VirtAddr::of_page(16));
    assert!(pins.pages()[0] != pfn && !entry.is_writable() && !entry.is_dirty());
    assert!(mem.frames().counts(pins.pages()[0]).is_exclusive());
    assert_eq!((load(&space, 16), load(&child, 16)), (Ok(3), Ok(3)));
    // The other side is alone now: unsharing finds that and copies nothing.
    let copies = mem.stats().cow_copy;
    let theirs = child.pin(pages(16, 1), Access::Read, Term::Short).unwrap();
    assert_eq!((theirs.pages(), mem.stats().cow_copy), (&[pfn][..], copies));
    Audit::of(&mem).space(&space).space(&child).pins(pins.pages()).pins(theirs.pages()).check();
}

#[test]
fn a_get_never_unshares_and_a_pin_of_shared_memory_takes_the_objects_page() {
    let (mem, space) = world("pinfold");
    let pfn = store(&space, 16, 3).unwrap();
    let child = space.fork().unwrap();
    let gets = child.get(pages(16, 1), Access::Read).unwrap();
    assert_eq!(gets.pages(), [pfn]);
    map_shared(&space, 40, 1);
    let pins = space.pin(pages(40, 1), Access::Write, Term::Long).unwrap();
    store(&space, 40, 9).unwrap();
    assert_eq!(device_read(&mem, pins.pages()[0]), 9);
    Audit::of(&mem).space(&space).space(&child).pins(pins.pages()).gets(gets.pages()).check();
}

#[test]
fn gup_and_a_hinting_entry_follow_the_rule() {
    for (text, faulted) in [("6.2", true), ("6.5", false), ("pinfold", false)] {
        let (mem, space) = world(text);
        let pfn = store(&space, 16, 1).unwrap();
        assert_eq!(space.numa_scan(pages(16, 1)), 1);
        let before = mem.stats().numa_hint_faults;
        let gets = space.get(pages(16, 1), Access::Read).unwrap();
        assert_eq!(mem.stats().numa_hint_faults - before, u64::from(faulted), "{text}");
        assert_eq!((gets.pages(), load(&space, 16)), (&[pfn][..], Ok(1)), "{text}");
        space.numa_scan(pages(16, 1));
        let write = space.pin(pages(16, 1), Access::Write, Term::Short).unwrap();
        store(&space, 16, 2).unwrap();
        assert_eq!(device_read(&mem, write.pages()[0]), 2, "{text}");
        Audit::of(&mem).space(&space).pins(write.pages()).gets(gets.pages()).check();
    }
}

#[test]
fn unpin_dirty_marks_pages_and_spares_the_zero_page() {
    let (mem, space) = world("pinfold");
    load(&space, 16).unwrap();
    let pfn = store(&space, 17, 1).unwrap();
    space.pin(pages(16, 2), Access::Read, Term::Short).unwrap().unpin_dirty();
    assert!(mem.frames().flags(pfn).contains(crate::Flags::DIRTY));
    assert!(!mem.frames().flags(mem.zero_page()).contains(crate::Flags::DIRTY));
    Audit::of(&mem).space(&space).check();
    assert_eq!(space.fault(VirtAddr::of_page(16), Cause::Load), Ok(crate::Fault::Spurious));
}

#[test]
fn a_walk_that_overlaps_fork_gives_everything_back_and_takes_the_slow_way() {
    let (mem, space) = world("pinfold");
    store(&space, 16, 1).unwrap();
    store(&space, 17, 1).unwrap();
    let space = std::sync::Arc::new(space);
    let forker = space.clone();
    let mut child = None;
    let life = std::sync::Arc::new(std::sync::Mutex::new(None));
    let keep = life.clone();
    // Forks in the middle of the lock-free walk, after its first page.
    let pins = mem.platform().interrupt(
        move |event| {
            if matches!(event, EventKind::FastTaken(_)) && child.is_none() {
                child = Some(());
                *keep.lock().unwrap() = Some(forker.fork().unwrap());
            }
        },
        || space.pin(pages(16, 2), Access::Write, Term::Short).unwrap(),
    );
    let child = life.lock().unwrap().take().unwrap();
    store(&space, 16, 5).unwrap();
    store(&space, 17, 6).unwrap();
    let seen: Vec<_> = pins.pages().iter().map(|pfn| device_read(&mem, *pfn)).collect();
    assert_eq!(seen, [5, 6]);
    assert_eq!((load(&child, 16), load(&child, 17)), (Ok(1), Ok(1)));
    Audit::of(&mem).space(&space).space(&child).pins(pins.pages()).check();
}

#[test]
fn a_pin_of_more_pages_than_room_is_made_for_at_a_time_takes_them_all() {
    let mem = machine::<X86_64>(Rules::default(), &[5200], Tuning::default());
    let space = space(&mem);
    map(&space, 100, 5000, RW);
    // Some by the lock-free walk, some by the other; the second time all by the first.
    for page in 200..900 {
        store(&space, page, 1).unwrap();
    }
    for _ in 0..2 {
        let pins = space.pin(pages(100, 5000), Access::Write, Term::Long).unwrap();
        let entries: Vec<_> =
            (100..5100).map(|page| space.entry(VirtAddr::of_page(page)).pfn()).collect();
        assert_eq!((pins.pages(), pins.shortfall()), (&entries[..], None));
        assert_eq!(space.locked_pages(), 5000);
        Audit::of(&mem).space(&space).pins(pins.pages()).check();
    }
    assert_eq!(space.locked_pages(), 0);
}

/// Sixteen at a time, as by populating; another area's pages are not touched before their turn.
#[test]
fn untouched_pages_are_touched_in_runs_and_taken_one_by_one() {
    let mem = machine::<X86_64>(Rules::default(), &[64], Tuning::default());
    let space = space(&mem);
    map(&space, 16, 18, RW);
    map(&space, 34, 2, Prot::READ);
    let pin = || space.pin(pages(16, 20), Access::Write, Term::Short).unwrap();
    let (pins, events) = mem.platform().record(pin);
    let runs: Vec<bool> = events
        .iter()
        .filter_map(|event| match event {
            EventKind::FirstTouch(_) => Some(true),
            EventKind::SlowTaken(_) => Some(false),
            _ => None,
        })
        .collect();
    let lengths: Vec<_> = runs.chunk_by(|a, b| a == b).map(|run| (run[0], run.len())).collect();
    assert_eq!(lengths, [(true, 16), (false, 16), (true, 2), (false, 2)]);
    assert_eq!(pins.shortfall(), Some(FaultError::Denied(VirtAddr::of_page(34)).into()));
    Audit::of(&mem).space(&space).pins(pins.pages()).check();
}

#[test]
fn a_pin_takes_as_many_untouched_pages_as_there_are_frames() {
    for frames in 8..30 {
        let mem = machine::<X86_64>(Rules::default(), &[frames], Tuning::default());
        let space = space(&mem);
        map(&space, 16, 40, RW);
        let pins = space.pin(pages(16, 40), Access::Write, Term::Short).unwrap();
        assert_eq!(pins.shortfall(), Some(FaultError::OutOfFrames.into()));
        assert_eq!(mem.frames().total_free(), 0, "{frames} frames, {} taken", pins.pages().len());
        Audit::of(&mem).space(&space).pins(pins.pages()).check();
    }
}

/// T2 and facts 12.9: since 6.5 a fork leaves the page with the parent, for which the device fills
/// it.
#[test]
fn facts_12_9_a_fork_meets_direct_io() {
    for (text, reaches) in [("5.8", false), ("5.19", false), ("6.4", false), ("6.5", true)] {
        let (mem, space) = world(text);
        store(&space, 16, 1).unwrap();
        let transfer = space.direct_io(pages(16, 1), Access::Write).unwrap();
        let child = space.fork().unwrap();
        store(&space, 16, 2).unwrap();
        device_write(&mem, transfer.pages()[0], 3);
        assert_eq!(transfer.shortfall(), None);
        transfer.end_dirty();
        let seen = load(&space, 16).unwrap();
        assert_eq!(seen, if reaches { 3 } else { 2 }, "{text}");
        Audit::of(&mem).space(&space).space(&child).check();
    }
}
