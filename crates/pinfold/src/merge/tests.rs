//! One page: what keeps it from being merged, and what becomes of a merged one.

use std::boxed::Box;
use std::vec::Vec;

use crate::merger::Merger;
use crate::rules::cow::sets_exclusive;
use crate::testing::{
    Audit, Disk, Mem, Rig, Space, device_read, device_write, load, machine, map, pages, rules,
    space, store,
};
use crate::{
    Access, Advice, EventKind, Moved, NodeId, Pfn, Prot, Reclaimed, Reclaimer, Small, SwapWrites,
    Term, Tuning, VirtAddr,
};

/// Two pages of one value at pages 4 and 5, which may be merged, and a merger that has seen them.
fn world(text: &str) -> (Mem<Small>, Space<Small>, Merger<Rig<Small>>) {
    let mem = machine(rules(text), &[40, 8], Tuning { lru_batch: 4, ..Tuning::default() });
    let space = space(&mem);
    let range = map(&space, 4, 2, Prot::READ_WRITE);
    for page in 4..6 {
        store(&space, page, 7).unwrap();
    }
    space.advise(range, Advice::Merge).unwrap();
    let merger = Merger::new(&mem);
    merger.add(&space).unwrap();
    merger.scan(10).unwrap();
    (mem, space, merger)
}

fn merged(text: &str) -> (Mem<Small>, Space<Small>, Merger<Rig<Small>>) {
    let (mem, space, merger) = world(text);
    assert_eq!(merger.scan(10).unwrap().merged, 1, "{text}");
    assert_eq!(frame(&space, 4), frame(&space, 5), "{text}");
    (mem, space, merger)
}

fn frame(space: &Space<Small>, page: u64) -> Pfn {
    space.entry(VirtAddr::of_page(page)).pfn()
}

#[test]
fn a_page_that_a_device_may_write_is_not_merged() {
    for text in crate::rules::PRESETS {
        let (mem, space, merger) = world(text);
        let pins = space.pin(pages(5, 1), Access::Write, Term::Long).unwrap();
        let (_, events) = mem.platform().record(|| merger.scan(10).unwrap());
        let kept = |event: &EventKind| matches!(event, EventKind::KsmKept(_));
        assert!(events.iter().any(kept), "{text}: {events:?}");
        assert_eq!(merger.stats().pages_shared, 0, "{text}: nothing stands for itself alone");
        assert_eq!(pins.pages()[0], frame(&space, 5), "{text}");
        device_write(&mem, pins.pages()[0], 9);
        assert_eq!((load(&space, 5), load(&space, 4)), (Ok(9), Ok(7)), "{text}");
        Audit::of(&mem).space(&space).pins(pins.pages()).check();
        drop(pins);
        // Now it has changed, so that two passes go by.
        store(&space, 5, 7).unwrap();
        let done: u64 = (0..2).map(|_| merger.scan(10).unwrap().merged).sum();
        assert_eq!(done, 1, "{text}");
    }
}

/// T22 without a race: the entry is read-only and clean, and the mark alone says that the page is
/// its owner's.
#[test]
fn a_marked_page_that_is_pinned_for_reading_is_not_merged() {
    for text in crate::rules::PRESETS {
        let (mem, space, merger) = world(text);
        if !sets_exclusive(mem.rule()) {
            continue;
        }
        space.protect(pages(4, 2), Prot::READ).unwrap();
        let pins = space.pin(pages(5, 1), Access::Read, Term::Long).unwrap();
        merger.scan(10).unwrap();
        assert_eq!(pins.pages()[0], frame(&space, 5), "{text}");
        assert!(mem.frames().counts(pins.pages()[0]).is_exclusive(), "{text}");
        Audit::of(&mem).space(&space).pins(pins.pages()).check();
    }
}

#[test]
fn a_pin_for_reading_has_the_page_that_the_owner_goes_on_with() {
    for text in crate::rules::PRESETS {
        let (mem, space, _merger) = merged(text);
        let pins = space.pin(pages(5, 1), Access::Read, Term::Long).unwrap();
        store(&space, 5, 8).unwrap();
        let same = pins.pages()[0] == frame(&space, 5);
        // 5.8 breaks copy-on-write for reads; up to 5.7 and from 5.9 to 5.18 the write does.
        let read_breaks = *text == "5.8";
        assert_eq!(same, sets_exclusive(mem.rule()) || read_breaks, "{text}");
        let seen = device_read(&mem, pins.pages()[0]);
        assert_eq!(seen, if same { 8 } else { 7 }, "{text}");
        assert_eq!(load(&space, 4), Ok(7), "{text}");
        Audit::of(&mem).space(&space).pins(pins.pages()).check();
    }
}

#[test]
fn a_merged_page_stays_where_it_is() {
    for text in crate::rules::PRESETS {
        let (mem, space, merger) = merged(text);
        mem.swap_on(Box::new(Disk::default()), 8, SwapWrites::Any).unwrap();
        let (both, pfn) = (pages(4, 2), frame(&space, 4));
        assert_eq!(space.migrate(both, NodeId(1)), Moved { moved: 0, failed: 2 }, "{text}");
        assert_eq!(space.compact(both, NodeId(1)).moved, 0, "{text}");
        let out = space.page_out(both, Reclaimer::Pressure);
        assert_eq!(out, Reclaimed { freed: 0, kept: 2 }, "{text}");
        space.advise(both, Advice::Cold).unwrap();
        space.advise(both, Advice::Free).unwrap();
        assert_eq!(space.page_out(both, Reclaimer::Pressure).freed, 0, "{text}");
        assert_eq!(space.numa_scan(both), 0, "{text}: a scan passes it over");
        assert_eq!((frame(&space, 4), frame(&space, 5)), (pfn, pfn), "{text}");
        assert_eq!(load(&space, 5), Ok(7), "{text}");
        Audit::of(&mem).space(&space).check();
        // As does one that a single entry maps.
        space.advise(pages(5, 1), Advice::DontNeed).unwrap();
        space.advise(pages(4, 1), Advice::Free).unwrap();
        assert_eq!(space.page_out(pages(4, 1), Reclaimer::Pressure).freed, 0, "{text}");
        assert_eq!((load(&space, 4), merger.stats().pages_shared), (Ok(7), 1), "{text}");
        Audit::of(&mem).space(&space).check();
    }
}

#[test]
fn what_was_merged_parts_in_every_way() {
    type Part = fn(&Space<Small>);
    let ways: [(&str, Part); 6] = [
        ("advice", |s| s.advise(pages(4, 2), Advice::Unmerge).unwrap()),
        ("advice where nothing may be accessed", |s| {
            s.protect(pages(4, 2), Prot::empty()).unwrap();
            s.advise(pages(4, 2), Advice::Unmerge).unwrap();
            s.protect(pages(4, 2), Prot::READ_WRITE).unwrap();
        }),
        ("discard", |s| s.advise(pages(4, 1), Advice::DontNeed).unwrap()),
        ("unmap", |s| s.unmap(pages(4, 1)).unwrap()),
        ("write", |s| _ = store(s, 4, 1).unwrap()),
        ("pin for writing", |s| {
            drop(s.pin(pages(4, 1), Access::Write, Term::Short).unwrap());
        }),
    ];
    for text in crate::rules::PRESETS {
        for (name, part) in ways {
            let (mem, space, merger) = merged(text);
            part(&space);
            let now = [4, 5].map(|page| space.entry(VirtAddr::of_page(page)));
            assert!(!now[0].is_mapped() || now[0].pfn() != now[1].pfn(), "{text}: {name}");
            assert_eq!(merger.stats().pages_sharing, 0, "{text}: {name}");
            assert_eq!(load(&space, 5), Ok(7), "{text}: {name}");
            Audit::of(&mem).space(&space).check();
        }
    }
}

#[test]
fn a_child_shares_what_was_merged() {
    for text in crate::rules::PRESETS {
        let (mem, space, merger) = merged(text);
        let child = space.fork().unwrap();
        assert_eq!(merger.stats().pages_sharing, 3, "{text}");
        store(&child, 4, 1).unwrap();
        store(&space, 5, 2).unwrap();
        let all = [load(&child, 4), load(&child, 5), load(&space, 4), load(&space, 5)];
        assert_eq!(all, [Ok(1), Ok(7), Ok(7), Ok(2)], "{text}");
        Audit::of(&mem).space(&space).space(&child).check();
        child.advise(pages(4, 2), Advice::Unmerge).unwrap();
        assert_eq!(merger.stats().pages_sharing, 0, "{text}");
        Audit::of(&mem).space(&space).space(&child).check();
    }
}

/// Facts 1.1: from 5.1 to 5.8 its last user may keep a merged page.
#[test]
fn the_last_user_writes_to_a_page_of_his_own() {
    for text in ["5.0", "5.1"].into_iter().chain(crate::rules::PRESETS.iter().copied()) {
        let (mem, space, merger) = merged(text);
        let pfn = frame(&space, 4);
        store(&space, 5, 1).unwrap();
        store(&space, 4, 2).unwrap();
        let kept = frame(&space, 4) == pfn;
        let by_maps = matches!(mem.rule(), crate::rules::PteCow::MapCount);
        assert_eq!(kept, by_maps, "{text}");
        assert_eq!(mem.stats().cow_ksm, if kept { 1 } else { 2 }, "{text}");
        assert_eq!(merger.stats().pages_shared, 0, "{text}");
        // It is an ordinary page again.
        assert_eq!(space.migrate(pages(4, 1), NodeId(1)).moved, 1, "{text}");
        assert_eq!(load(&space, 4), Ok(2), "{text}");
        Audit::of(&mem).space(&space).check();
    }
}

#[test]
fn a_locked_page_is_merged_and_counted() {
    let (mem, space, merger) = world("linux-7.3");
    space.mlock(pages(4, 1)).unwrap();
    assert_eq!(merger.scan(10).unwrap().merged, 1);
    Audit::of(&mem).space(&space).check();
    space.advise(pages(4, 2), Advice::Unmerge).unwrap();
    Audit::of(&mem).space(&space).check();
}

/// MADV_FREE by one who maps a merged page says nothing for those who map it, or come to.
#[test]
fn a_merged_page_is_not_freed_lazily() {
    for text in crate::rules::PRESETS {
        let (mem, space, merger) = merged(text);
        space.advise(pages(5, 1), Advice::DontNeed).unwrap();
        if space.advise(pages(4, 1), Advice::Free).is_err() {
            continue;
        }
        // Another page joins, and the one who did not want its contents goes.
        let more = map(&space, 6, 1, Prot::READ_WRITE);
        store(&space, 6, 7).unwrap();
        space.advise(more, Advice::Merge).unwrap();
        for _ in 0..2 {
            merger.scan(10).unwrap();
        }
        assert_eq!(frame(&space, 4), frame(&space, 6), "{text}");
        space.advise(pages(4, 1), Advice::DontNeed).unwrap();
        space.advise(more, Advice::Unmerge).unwrap();
        space.page_out(more, Reclaimer::Pressure);
        assert_eq!(load(&space, 6), Ok(7), "{text}: nobody gave it up");
        Audit::of(&mem).space(&space).check();
    }
}

#[test]
fn a_page_whose_slot_others_need_is_not_merged() {
    let (mem, space, merger) = world("linux-7.3");
    mem.swap_on(Box::new(Disk::default()), 8, SwapWrites::Any).unwrap();
    let child = space.fork().unwrap();
    let out = space.page_out(pages(5, 1), Reclaimer::Pressure);
    assert_eq!(out, Reclaimed { freed: 1, kept: 0 });
    // The child's entry names the slot, so the page that is read keeps it.
    load(&space, 5).unwrap();
    for _ in 0..3 {
        merger.scan(10).unwrap();
    }
    assert_ne!(frame(&space, 4), frame(&space, 5));
    load(&child, 5).unwrap();
    for _ in 0..3 {
        merger.scan(10).unwrap();
    }
    assert_eq!(frame(&space, 4), frame(&space, 5));
    assert_eq!((load(&space, 4), load(&space, 5), load(&child, 5)), (Ok(7), Ok(7), Ok(7)));
    Audit::of(&mem).space(&space).space(&child).check();
}

#[test]
fn a_page_that_is_held_over_a_swap_out_is_not_merged() {
    let (mem, space, merger) = world("linux-7.3");
    mem.swap_on(Box::new(Disk::default()), 8, SwapWrites::Any).unwrap();
    let refs = space.get_with(pages(5, 1), crate::pin::Ask::new(Access::Write, Term::Short));
    assert_eq!(space.page_out(pages(5, 1), Reclaimer::Pressure), Reclaimed { freed: 0, kept: 1 });
    load(&space, 5).unwrap();
    assert_eq!(merger.scan(10).unwrap().merged, 0);
    drop(refs);
    let done: Vec<u64> = (0..2).map(|_| merger.scan(10).unwrap().merged).collect();
    assert_eq!(done.iter().sum::<u64>(), 1);
    assert_eq!((load(&space, 4), load(&space, 5)), (Ok(7), Ok(7)));
    Audit::of(&mem).space(&space).check();
}

/// INV-LRU-1: it was among the pages of files, as its contents could have gone.
#[test]
fn a_page_that_was_freed_lazily_and_merged_is_private_again() {
    for text in crate::rules::PRESETS {
        let tuning = Tuning { lru_batch: 1, ..Tuning::default() };
        let mem: Mem<Small> = machine(rules(text), &[40], tuning);
        let space = space(&mem);
        let range = map(&space, 4, 2, Prot::READ_WRITE);
        for page in 4..6 {
            store(&space, page, 7).unwrap();
        }
        space.advise(range, Advice::Merge).unwrap();
        for page in 4..6 {
            space.advise(pages(page, 1), Advice::Free).unwrap();
        }
        assert_eq!(mem.list_sizes(NodeId(0)).inactive_file, 2, "{text}");
        let merger = Merger::new(&mem);
        merger.add(&space).unwrap();
        let merged: u64 = (0..3).map(|_| merger.scan(10).unwrap().merged).sum();
        assert_eq!(merged, 1, "{text}");
        Audit::of(&mem).space(&space).check();
        space.advise(pages(5, 1), Advice::DontNeed).unwrap();
        store(&space, 4, 9).unwrap();
        mem.lru_add_drain();
        assert_eq!(mem.list_sizes(NodeId(0)).inactive_file, 0, "{text}");
        Audit::of(&mem).space(&space).check();
    }
}
