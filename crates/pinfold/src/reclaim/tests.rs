//! Swap-out and swap-in: what leaves, what comes back as whose, and what an error leaves.

use crate::frame::Sizes;
use crate::testing::Disk;
use crate::testing::{
    Audit, Mem, Space, device_read, device_write, load, machine, map, pages, rules, space, store,
};
use crate::{
    Access, Advice, Cause, Entry, EventKind, Fault, FaultError, Pfn, Prot, Reclaimed, Reclaimer,
    Small, StoreError, Swap, SwapError, SwapId, SwapUsage, SwapWrites, Term, Tuning, VirtAddr,
    X86_64,
};
use std::boxed::Box;
use std::string::ToString;
use std::sync::Arc;
use std::vec::Vec;

const RW: Prot = Prot::READ_WRITE;
const ALL: Reclaimed = Reclaimed { freed: 1, kept: 0 };
const NONE: Reclaimed = Reclaimed { freed: 0, kept: 1 };

/// A machine with a swap device of so many slots, and an address space with pages 16 to 23.
fn world_of(
    text: &str,
    slots: u64,
    writes: SwapWrites,
) -> (Mem<X86_64>, Space<X86_64>, Disk, SwapId) {
    let mem = machine(rules(text), &[48], Tuning::default());
    let disk = Disk::default();
    let id = mem.swap_on(Box::new(disk.clone()), slots, writes).unwrap();
    let space = space(&mem);
    map(&space, 16, 8, RW);
    (mem, space, disk, id)
}

fn world(text: &str) -> (Mem<X86_64>, Space<X86_64>, Disk, SwapId) {
    world_of(text, 16, SwapWrites::Any)
}

fn out(space: &Space<X86_64>, page: u64) -> Reclaimed {
    space.page_out(pages(page, 1), Reclaimer::Pressure)
}

fn swap_entry(space: &Space<X86_64>, page: u64) -> Option<Swap> {
    match space.entry(VirtAddr::of_page(page)).decode() {
        Entry::Swap(entry) => Some(entry),
        _ => None,
    }
}

fn mapped(space: &Space<X86_64>, page: u64) -> Option<Pfn> {
    space.entry(VirtAddr::of_page(page)).counted()
}

#[test]
fn a_page_goes_and_comes_back_with_its_contents_under_every_rule() {
    for text in crate::rules::PRESETS {
        let (mem, space, disk, id) = world(text);
        let old = store(&space, 16, 5).unwrap();
        let free = mem.frames().total_free();
        assert_eq!(out(&space, 16), ALL, "{text}");
        let entry = swap_entry(&space, 16).unwrap();
        let remembers = crate::rules::swap::remembers_mark(rules(text).swap_in_reuse);
        assert_eq!((entry.exclusive, disk.page(entry.slot)), (remembers, 5), "{text}");
        assert_eq!(mem.frames().total_free(), free + 1, "{text}");
        assert_eq!(mem.frames().counts(old).refs(), 0, "{text}");
        let usage = SwapUsage { slots: 16, free: 15, cached: 0 };
        assert_eq!(mem.swap_usage(id), Some(usage), "{text}");
        Audit::of(&mem).space(&space).check();
        let fault = space.fault(VirtAddr::of_page(16), Cause::Load);
        assert_eq!((fault, load(&space, 16)), (Ok(Fault::SwappedIn), Ok(5)), "{text}");
        Audit::of(&mem).space(&space).check();
        store(&space, 16, 6).unwrap();
        assert_eq!(load(&space, 16), Ok(6), "{text}");
        Audit::of(&mem).space(&space).check();
        let stats = mem.stats();
        assert_eq!((stats.pswpout, stats.pswpin, stats.pgmajfault), (1, 1, 1), "{text}");
        assert_eq!((stats.pgscan_anon, stats.pgsteal_anon), (1, 1), "{text}");
        drop(space);
        assert_eq!(mem.swap_usage(id).unwrap().free, 16, "{text}");
        assert_eq!(mem.swap_off(id), Ok(()), "{text}");
        Audit::of(&mem).check();
    }
}

#[test]
fn a_clean_page_goes_again_without_being_written() {
    let (mem, space, disk, _) = world("pinfold");
    store(&space, 16, 5).unwrap();
    assert_eq!(out(&space, 16), ALL);
    assert_eq!(load(&space, 16), Ok(5));
    assert_eq!(disk.written().len(), 1);
    assert_eq!(out(&space, 16), ALL);
    assert_eq!(disk.written(), Vec::new(), "it is as the slot has it");
    store(&space, 16, 6).unwrap();
    assert_eq!(out(&space, 16), ALL);
    assert_eq!((disk.written().len(), load(&space, 16)), (1, Ok(6)));
    Audit::of(&mem).space(&space).check();
}

#[test]
fn a_page_of_zeros_is_neither_written_nor_read_since_6_12() {
    for (text, zeros) in [("6.11", 0), ("6.12", 1), ("7.3", 1), ("pinfold", 1)] {
        let (mem, space, disk, id) = world(text);
        store(&space, 16, 0).unwrap();
        assert_eq!((out(&space, 16), swap_entry(&space, 16).is_some()), (ALL, true), "{text}");
        assert_eq!(disk.written().len() as u64, 1 - zeros, "{text}");
        assert_eq!(mem.swap_usage(id).unwrap().free, 15, "{text}: it has a slot all the same");
        Audit::of(&mem).space(&space).check();
        assert_eq!(load(&space, 16), Ok(0), "{text}");
        let stats = mem.stats();
        assert_eq!((stats.swpout_zero, stats.swpin_zero), (zeros, zeros), "{text}");
        assert_eq!((stats.pswpout, stats.pswpin), (1 - zeros, 1 - zeros), "{text}");
        assert_eq!((stats.pgsteal_anon, stats.pgmajfault), (1, 1), "{text}");
        // It is clean, and has its slot: it goes again as it is.
        assert_eq!((out(&space, 16), mem.stats().swpout_zero), (ALL, zeros), "{text}");
        assert_eq!((load(&space, 16), mem.stats().swpin_zero), (Ok(0), 2 * zeros), "{text}");
        Audit::of(&mem).space(&space).check();
    }
}

#[test]
fn what_a_slot_is_marked_for_is_what_its_page_was_last() {
    let (mem, space, disk, _) = world_of("pinfold", 1, SwapWrites::Any);
    // One page, one slot: each value has to come back, whatever the device has from before.
    for value in [5, 0, 0, 6, 0, 7, 8, 0] {
        store(&space, 16, value).unwrap();
        assert_eq!(out(&space, 16), ALL);
        assert_eq!(load(&space, 16), Ok(value));
        Audit::of(&mem).space(&space).check();
    }
    assert_eq!((disk.written().len(), mem.stats().swpout_zero), (4, 4));
    // The next page that has the slot.
    assert_eq!(out(&space, 16), ALL);
    space.advise(pages(16, 1), Advice::DontNeed).unwrap();
    store(&space, 17, 9).unwrap();
    assert_eq!((out(&space, 17), load(&space, 17)), (ALL, Ok(9)));
    Audit::of(&mem).space(&space).check();
}

/// INV-RECLAIM-1: a CPU may store through an entry that is out until it has flushed.
#[test]
fn zeros_are_looked_for_after_the_flush() {
    for text in ["6.12", "pinfold"] {
        let (mem, space, disk, _) = world(text);
        let pfn = store(&space, 16, 0).unwrap();
        let other = mem.clone();
        mem.platform().before_flush(move || device_write(&other, pfn, 7));
        assert_eq!((out(&space, 16), disk.written().len()), (ALL, 1), "{text}");
        assert_eq!((load(&space, 16), mem.stats().swpout_zero), (Ok(7), 0), "{text}");
        Audit::of(&mem).space(&space).check();
    }
}

#[test]
fn a_device_that_fails_does_not_fail_zeros() {
    let (mem, space, disk, id) = world("pinfold");
    store(&space, 16, 0).unwrap();
    store(&space, 17, 5).unwrap();
    disk.fail(Some(StoreError::Io));
    assert_eq!((out(&space, 16), out(&space, 17)), (ALL, NONE));
    assert_eq!((load(&space, 16), load(&space, 17)), (Ok(0), Ok(5)));
    // A slot that had zeros, whose page could not be written since.
    assert_eq!(out(&space, 16), ALL);
    store(&space, 16, 6).unwrap();
    assert_eq!((out(&space, 16), load(&space, 16)), (NONE, Ok(6)));
    disk.fail(None);
    assert_eq!((out(&space, 16), load(&space, 16)), (ALL, Ok(6)));
    // Of zeros that several name, and that swapoff brings back.
    store(&space, 18, 0).unwrap();
    let child = space.fork().unwrap();
    assert_eq!(out(&space, 18), ALL);
    assert_eq!((space.swap_in(id), child.swap_in(id)), (Ok(1), Ok(1)));
    assert_eq!((load(&space, 18), load(&child, 18)), (Ok(0), Ok(0)));
    assert_eq!(mem.swap_off(id), Ok(()));
    Audit::of(&mem).space(&space).space(&child).check();
}

/// INV-LAZY-2.
#[test]
fn a_page_that_was_freed_lazily_after_it_was_chosen_does_not_enter_the_swap_cache() {
    let (mem, space, disk, _) = world("pinfold");
    let pfn = store(&space, 16, 5).unwrap();
    let chosen = mem.isolate(pfn, Sizes::Small).unwrap();
    space.advise(pages(16, 1), Advice::Free).unwrap();
    assert!(mem.prepare(chosen).is_none());
    assert_eq!((out(&space, 16), mem.stats().pgsteal_anon), (ALL, 1));
    assert_eq!((disk.written(), load(&space, 16)), (Vec::new(), Ok(0)), "discarded");
    Audit::of(&mem).space(&space).check();
    // The other way round: one that is there is on its way to a device.
    store(&space, 17, 6).unwrap();
    let held = space.get(pages(17, 1), Access::Write).unwrap();
    assert_eq!(out(&space, 17), NONE);
    assert_eq!(load(&space, 17), Ok(6));
    let pfn = mapped(&space, 17).unwrap();
    mem.frames().free_lazily(pfn);
    assert!(!mem.discard(mem.isolate(pfn, Sizes::Small).unwrap()));
    mem.frames().keep_contents(pfn);
    assert_eq!(load(&space, 17), Ok(6));
    drop(held);
}

#[test]
fn a_read_may_be_written_through_since_6_12() {
    for (text, exclusive, writable) in
        [("5.18", false, false), ("6.1", true, false), ("6.12", true, true), ("7.3", true, true)]
    {
        let (mem, space, _, _) = world(text);
        store(&space, 16, 5).unwrap();
        out(&space, 16);
        load(&space, 16).unwrap();
        let entry = space.entry(VirtAddr::of_page(16));
        assert_eq!(entry.is_writable(), writable, "{text}");
        let counts = mem.frames().counts(entry.pfn());
        assert_eq!(counts.is_exclusive(), exclusive, "{text}");
        space.protect(pages(16, 1), Prot::READ).unwrap();
        out(&space, 16);
        load(&space, 16).unwrap();
        assert!(!space.entry(VirtAddr::of_page(16)).is_writable(), "{text}: the area forbids it");
        Audit::of(&mem).space(&space).check();
    }
}

/// T7 and T8 of the fact sheet, after the race: the page is in the swap cache, and held.
#[test]
fn who_holds_a_page_that_was_swapped_out_and_back() {
    for (text, pinned, got) in [
        ("5.8", true, true),
        ("5.9", false, false),
        ("5.10", false, false),
        ("5.18", true, false),
        ("5.19", true, true),
        ("7.3", true, true),
        ("pinfold", true, true),
    ] {
        let (mem, space, _, _) = world(text);
        store(&space, 16, 5).unwrap();
        let gets = space.get(pages(16, 1), Access::Write).unwrap();
        assert_eq!(out(&space, 16), NONE, "{text}: the reference keeps it");
        assert!(swap_entry(&space, 16).is_some(), "{text}");
        Audit::of(&mem).space(&space).gets(gets.pages()).check();
        assert_eq!(load(&space, 16), Ok(5), "{text}");
        device_write(&mem, gets.pages()[0], 7);
        store(&space, 17, 1).unwrap();
        assert_eq!(mapped(&space, 16), Some(gets.pages()[0]), "{text}");
        let written = store(&space, 16, 6).unwrap();
        assert_eq!(written == gets.pages()[0], got, "{text}: a reference");
        Audit::of(&mem).space(&space).gets(gets.pages()).check();
        drop(gets);
        let pins = space.pin(pages(16, 1), Access::Write, Term::Long).unwrap();
        let gone = swap_entry(&space, 16).is_some();
        assert!(!gone);
        assert_eq!(out(&space, 16), NONE, "{text}: the pin keeps it");
        load(&space, 16).unwrap();
        store(&space, 16, 8).unwrap();
        assert_eq!(device_read(&mem, pins.pages()[0]) == 8, pinned, "{text}: a pin");
        Audit::of(&mem).space(&space).pins(pins.pages()).check();
    }
}

#[test]
fn a_pinned_page_keeps_its_entry_since_5_19() {
    for (text, refused) in [("5.10", false), ("5.19", true), ("pinfold", true)] {
        let (mem, space, _, _) = world(&(text.to_string() + ",swap-pinned=taken"));
        store(&space, 16, 5).unwrap();
        let pins = space.pin(pages(16, 1), Access::Write, Term::Long).unwrap();
        let (done, events) = mem.platform().record(|| out(&space, 16));
        assert_eq!(done, NONE, "{text}");
        assert_eq!(events.contains(&EventKind::SwapRefused(pins.pages()[0])), refused, "{text}");
        assert_eq!(swap_entry(&space, 16).is_none(), refused, "{text}");
        Audit::of(&mem).space(&space).pins(pins.pages()).check();
        drop(pins);
        load(&space, 16).unwrap();
        assert_eq!((out(&space, 16), load(&space, 16)), (ALL, Ok(5)), "{text}");
        Audit::of(&mem).space(&space).check();
    }
}

#[test]
fn fork_shares_what_is_swapped_out() {
    for text in crate::rules::PRESETS {
        let (mem, parent, _, id) = world(text);
        store(&parent, 16, 5).unwrap();
        out(&parent, 16);
        let child = parent.fork().unwrap();
        let both = [&parent, &child].map(|space| swap_entry(space, 16).unwrap());
        assert!(both.iter().all(|entry| !entry.exclusive), "{text}");
        Audit::of(&mem).space(&parent).space(&child).check();
        assert_eq!(load(&parent, 16), Ok(5), "{text}");
        Audit::of(&mem).space(&parent).space(&child).check();
        store(&parent, 16, 6).unwrap();
        assert_eq!(load(&child, 16), Ok(5), "{text}");
        Audit::of(&mem).space(&parent).space(&child).check();
        store(&child, 16, 7).unwrap();
        assert_eq!((load(&parent, 16), load(&child, 16)), (Ok(6), Ok(7)), "{text}");
        Audit::of(&mem).space(&parent).space(&child).check();
        drop((parent, child));
        assert_eq!(mem.swap_usage(id).unwrap().free, 16, "{text}");
        Audit::of(&mem).check();
    }
}

#[test]
fn a_shared_page_goes_for_all_who_map_it_unless_a_program_asks() {
    for text in crate::rules::PRESETS {
        let (mem, parent, _, _) = world(text);
        store(&parent, 16, 5).unwrap();
        let child = parent.fork().unwrap();
        let advised = parent.page_out(pages(16, 1), Reclaimer::Advice);
        assert_eq!(advised, Reclaimed::default(), "{text}: it is passed over");
        assert_eq!(out(&parent, 16), ALL, "{text}");
        assert_eq!(swap_entry(&parent, 16), swap_entry(&child, 16), "{text}");
        // Both come back to one page, wherever the first one to come was forked.
        assert_eq!((load(&child, 16), load(&parent, 16)), (Ok(5), Ok(5)), "{text}");
        assert_eq!(mapped(&parent, 16), mapped(&child, 16), "{text}");
        Audit::of(&mem).space(&parent).space(&child).check();
        store(&child, 16, 6).unwrap();
        assert_eq!((load(&child, 16), load(&parent, 16)), (Ok(6), Ok(5)), "{text}");
        Audit::of(&mem).space(&parent).space(&child).check();
    }
}

#[test]
fn what_comes_back_for_a_grandchild_can_be_found_for_everybody() {
    let (mem, parent, _, _) = world("pinfold");
    store(&parent, 16, 5).unwrap();
    let child = parent.fork().unwrap();
    assert_eq!(out(&parent, 16), ALL);
    let grandchild = child.fork().unwrap();
    assert_eq!(load(&grandchild, 16), Ok(5));
    assert_eq!((load(&child, 16), load(&parent, 16)), (Ok(5), Ok(5)));
    assert_eq!(out(&grandchild, 16), ALL, "from every one of the three");
    let audit = Audit::of(&mem).space(&parent).space(&child);
    audit.space(&grandchild).check();
    for (space, value) in [(&grandchild, 1), (&child, 2), (&parent, 3)] {
        store(space, 16, value).unwrap();
    }
    assert_eq!([&grandchild, &child, &parent].map(|space| load(space, 16)), [Ok(1), Ok(2), Ok(3)]);
}

#[test]
fn unmapping_dontneed_remap_and_exit_give_slots_back() {
    let (mem, space, _, id) = world("pinfold");
    for page in 16..22 {
        store(&space, page, page).unwrap();
    }
    let done = space.page_out(pages(16, 8), Reclaimer::Advice);
    assert_eq!(done, Reclaimed { freed: 6, kept: 0 });
    let free = || mem.swap_usage(id).unwrap().free;
    assert_eq!(free(), 10);
    space.unmap(pages(16, 1)).unwrap();
    assert_eq!(free(), 11);
    space.advise(pages(17, 1), Advice::DontNeed).unwrap();
    assert_eq!((free(), load(&space, 17)), (12, Ok(0)));
    space.remap(pages(18, 1), 1, crate::Remap::To(VirtAddr::of_page(100))).unwrap();
    assert_eq!((free(), load(&space, 100)), (12, Ok(18)));
    space.protect(pages(19, 1), Prot::empty()).unwrap();
    assert!(load(&space, 19).is_err());
    space.protect(pages(19, 1), RW).unwrap();
    assert_eq!(load(&space, 19), Ok(19));
    Audit::of(&mem).space(&space).check();
    drop(space);
    assert_eq!(free(), 16);
    Audit::of(&mem).check();
}

#[test]
fn a_full_or_failing_device_keeps_pages_in_memory() {
    let (mem, space, disk, id) = world_of("pinfold", 2, SwapWrites::Any);
    for page in 16..20 {
        store(&space, page, page).unwrap();
    }
    let all = || space.page_out(pages(16, 8), Reclaimer::Pressure);
    assert_eq!(all(), Reclaimed { freed: 2, kept: 2 }, "there are two slots");
    Audit::of(&mem).space(&space).check();
    space.unmap(pages(16, 2)).unwrap();
    disk.fail(Some(StoreError::Io));
    assert_eq!(all(), Reclaimed { freed: 0, kept: 2 }, "what is not written stays");
    Audit::of(&mem).space(&space).check();
    assert_eq!((load(&space, 18), load(&space, 19)), (Ok(18), Ok(19)), "in the swap cache");
    disk.fail(None);
    assert_eq!(all(), Reclaimed { freed: 2, kept: 0 });
    disk.fail(Some(StoreError::Io));
    let at = VirtAddr::of_page(18);
    let failed = Err(FaultError::Store(at, StoreError::Io));
    assert_eq!(space.fault(at, Cause::Load), failed);
    assert_eq!(space.swap_in(id), Err(FaultError::Store(at, StoreError::Io)));
    Audit::of(&mem).space(&space).check();
    disk.fail(None);
    assert_eq!(space.fault(at, Cause::Load), Ok(Fault::SwappedIn), "the next one asks again");
    assert_eq!((load(&space, 18), load(&space, 19)), (Ok(18), Ok(19)));
    Audit::of(&mem).space(&space).check();
}

#[test]
fn a_device_without_room_for_a_slot_takes_no_page() {
    let (mem, space, disk, id) = world("pinfold");
    disk.limit(1);
    store(&space, 16, 1).unwrap();
    store(&space, 17, 2).unwrap();
    let done = space.page_out(pages(16, 2), Reclaimer::Pressure);
    assert_eq!(done, Reclaimed { freed: 1, kept: 1 });
    assert_eq!(mem.swap_usage(id).unwrap().free, 15);
    Audit::of(&mem).space(&space).check();
}

#[test]
fn without_a_device_and_without_frames_nothing_changes() {
    let mem = machine::<Small>(rules("pinfold"), &[9], Tuning::default());
    let space = space(&mem);
    map(&space, 1, 3, RW);
    store(&space, 1, 1).unwrap();
    let none = space.page_out(pages(1, 3), Reclaimer::Pressure);
    assert_eq!(none, Reclaimed { freed: 0, kept: 1 }, "there is no device");
    let disk = Disk::default();
    mem.swap_on(Box::new(disk), 4, SwapWrites::Any).unwrap();
    assert_eq!(space.page_out(pages(1, 3), Reclaimer::Pressure).freed, 1);
    let mut taken = Vec::new();
    let anywhere = crate::Placement::Prefer(crate::NodeId(0));
    while let Ok(frame) = mem.frames().take(anywhere) {
        taken.push(frame.keep());
    }
    assert_eq!(load(&space, 1), Err(FaultError::OutOfFrames));
    Audit::of(&mem).space(&space).gets(&taken).check();
    mem.put(taken.pop().unwrap(), 1);
    assert_eq!(load(&space, 1), Ok(1));
    Audit::of(&mem).space(&space).gets(&taken).check();
    taken.into_iter().for_each(|pfn| mem.put(pfn, 1));
}

#[test]
fn devices_come_and_go() {
    let (mem, space, disk, id) = world("pinfold");
    for page in 16..20 {
        store(&space, page, page).unwrap();
    }
    space.page_out(pages(16, 4), Reclaimer::Pressure);
    assert_eq!(load(&space, 16), Ok(16), "one of them is back, and in the swap cache");
    assert_eq!(mem.swap_off(id), Err(SwapError::InUse { slots: 3 }));
    assert_eq!(out(&space, 16), NONE, "no page goes to a device that is to be taken away");
    mem.swap_again(id);
    assert_eq!(out(&space, 16), ALL);
    assert_eq!(mem.swap_off(id), Err(SwapError::InUse { slots: 4 }));
    assert_eq!(space.swap_in(id), Ok(4));
    Audit::of(&mem).space(&space).check();
    assert_eq!(mem.swap_off(id), Ok(()));
    assert_eq!((mem.swap_off(id), mem.swap_usage(id)), (Err(SwapError::Off), None));
    assert!((16..20).all(|page| load(&space, page) == Ok(page)));
    assert_eq!(disk.page(0), 0, "what it had is discarded");
    Audit::of(&mem).space(&space).check();
    let most = <X86_64 as crate::Format>::MAX_PFN;
    let none = mem.swap_on(Box::new(disk.clone()), 0, SwapWrites::Any);
    assert_eq!(none, Err(SwapError::Slots { most }));
    let ids: Vec<_> = (0..31)
        .map(|_| mem.swap_on(Box::new(disk.clone()), 1, SwapWrites::Any).unwrap().number())
        .collect();
    assert_eq!(ids, (0..31).collect::<Vec<u8>>());
    let full = mem.swap_on(Box::new(disk), 1, SwapWrites::Any);
    assert_eq!(full, Err(SwapError::TooMany { most: 31 }));
}

#[test]
fn locked_pages_and_the_zero_page_stay() {
    let (mem, space, _, _) = world("pinfold");
    store(&space, 16, 1).unwrap();
    space.mlock(pages(16, 1)).unwrap();
    load(&space, 17).unwrap();
    assert_eq!(space.page_out(pages(16, 30), Reclaimer::Pressure), NONE, "the locked one is tried");
    Audit::of(&mem).space(&space).check();
    space.munlock(pages(16, 1)).unwrap();
    assert_eq!(out(&space, 16), ALL);
    space.mlock(pages(16, 1)).unwrap();
    assert_eq!(mapped(&space, 16).map(|_| out(&space, 16)), Some(NONE), "mlock brought it back");
    Audit::of(&mem).space(&space).check();
}

/// Runs `meanwhile` while the page is written.
fn amid_a_write(
    text: &str,
    writes: SwapWrites,
    meanwhile: impl Fn(&Space<X86_64>) + Send + 'static,
) -> (Mem<X86_64>, Arc<Space<X86_64>>, Reclaimed) {
    let (mem, space, disk, _) = world_of(text, 16, writes);
    store(&space, 16, 5).unwrap();
    let space = Arc::new(space);
    let other = space.clone();
    disk.while_writing(move || meanwhile(&other));
    let done = out(&space, 16);
    (mem, space, done)
}

#[test]
fn a_page_that_comes_back_while_it_is_written_is_kept_or_copied() {
    for (text, writes, copied) in [
        ("5.8", SwapWrites::Any, false),
        ("5.8", SwapWrites::Stable, true),
        ("5.18", SwapWrites::Any, true),
        ("6.1", SwapWrites::Any, false),
        ("6.1", SwapWrites::Stable, true),
        ("7.3", SwapWrites::Any, false),
        ("7.3", SwapWrites::Stable, true),
    ] {
        let (mem, space, done) = amid_a_write(text, writes, |space| {
            store(space, 16, 6).unwrap();
        });
        assert_eq!(done, NONE, "{text}: it was wanted meanwhile");
        let copies = mem.stats().cow_copy;
        assert_eq!(copies == 1, copied, "{text} {writes:?}");
        assert_eq!(load(&space, 16), Ok(6), "{text} {writes:?}");
        Audit::of(&mem).space(&space).check();
        assert_eq!((out(&space, 16), load(&space, 16)), (ALL, Ok(6)), "{text} {writes:?}");
        Audit::of(&mem).space(&space).check();
    }
}

#[test]
fn a_slot_outlives_its_entry_until_the_write_is_over() {
    let (mem, space, done) = amid_a_write("pinfold", SwapWrites::Any, |space| {
        space.advise(pages(16, 1), Advice::DontNeed).unwrap();
    });
    assert_eq!(done, ALL, "nobody wants it any more");
    assert_eq!(load(&space, 16), Ok(0));
    Audit::of(&mem).space(&space).check();
}

#[test]
fn a_device_that_changes_the_page_before_it_lets_go_is_not_lost() {
    let (mem, space, disk, _) = world("5.10");
    store(&space, 16, 5).unwrap();
    let refs = space.get(pages(16, 1), Access::Write).unwrap();
    // It is kept, unmapped, for the reference.
    assert_eq!(out(&space, 16), NONE);
    device_write(&mem, refs.pages()[0], 9);
    refs.put_dirty();
    assert_eq!((out(&space, 16), load(&space, 16)), (ALL, Ok(9)));
    assert_eq!(disk.written().len(), 1);
    Audit::of(&mem).space(&space).check();
}

#[test]
fn the_flushes_of_a_batch_are_one_since_4_3() {
    for (text, expected) in [("4.2", 8), ("4.3", 1), ("pinfold", 1)] {
        let (mem, space, _, _) = world(text);
        for page in 16..24 {
            store(&space, page, page).unwrap();
        }
        let before = mem.stats().nr_tlb_remote_flush;
        assert_eq!(space.page_out(pages(16, 8), Reclaimer::Advice).freed, 8, "{text}");
        assert_eq!(mem.stats().nr_tlb_remote_flush - before, expected, "{text}");
        assert!((16..24).all(|page| load(&space, page) == Ok(page)), "{text}");
        Audit::of(&mem).space(&space).check();
    }
}
