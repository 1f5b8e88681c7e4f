//! fork: what each rule shares and copies, the advice, and running out of frames at every point.

use crate::testing::{
    Audit, Mem, Space, load, machine, map, map_shared, pages, reach, rules, space, store, translate,
};
use crate::{
    Access, Advice, Cause, EventKind, NewFrame, NodeId, Pfn, Pins, Placement, Prot, Rules,
    SpaceError, Term, Tuning, VirtAddr, X86_64,
};
use std::vec::Vec;

const RW: Prot = Prot::READ_WRITE;

fn world(text: &str) -> (Mem<X86_64>, Space<X86_64>) {
    let mem = machine(rules(text), &[80], Tuning::default());
    let space = space(&mem);
    map(&space, 16, 8, RW);
    (mem, space)
}

#[test]
fn a_pinned_page_stays_with_its_owner_since_5_9() {
    for (text, copies) in
        [("5.8", 0), ("5.9", 1), ("5.10", 1), ("5.11", 1), ("5.19", 1), ("pinfold", 1)]
    {
        let (mem, parent) = world(text);
        let pfn = store(&parent, 16, 1).unwrap();
        store(&parent, 17, 2).unwrap();
        let pins = parent.pin(pages(16, 1), Access::Write, Term::Short).unwrap();
        let child = parent.fork().unwrap();
        assert_eq!(mem.stats().fork_copy, copies, "{text}");
        assert_eq!(parent.entry(VirtAddr::of_page(16)).is_writable(), copies == 1, "{text}");
        assert!(!parent.entry(VirtAddr::of_page(17)).is_writable(), "{text}");
        let kept = store(&parent, 16, 3).unwrap() == pfn;
        assert_eq!(kept, copies == 1, "{text}");
        assert_eq!((load(&child, 16), load(&child, 17)), (Ok(1), Ok(2)), "{text}");
        Audit::of(&mem).space(&parent).space(&child).pins(pins.pages()).check();
    }
}

/// From the copy on, no thread of the parent writes, not even by what its CPU had cached, and the
/// owner stays in step with its device: with small pages, and with those of a folio.
#[test]
fn a_snapshot_is_protected_before_it_is_copied() {
    for (text, strict) in [
        ("pinfold", false),
        ("pinfold,fork-snapshot=protected", true),
        ("5.19,fork-snapshot=protected", true),
        ("5.9,pte-cow=exclusive,fork-snapshot=protected", true),
    ] {
        for folios_always in [0, 1 << 2] {
            let tuning = Tuning { folios_always, ..Tuning::default() };
            let mem = machine::<X86_64>(rules(text), &[80], tuning);
            let parent = std::sync::Arc::new(space(&mem));
            map(&parent, 16, 4, RW);
            let pfn = store(&parent, 17, 1).unwrap();
            let pins = parent.pin(pages(17, 1), Access::Write, Term::Long).unwrap();
            let (seen, told) = std::sync::mpsc::channel();
            let thread = parent.clone();
            let look = move |event| {
                if let EventKind::ForkCopied { from, .. } = event
                    && from == pfn
                {
                    let _ = seen.send(translate(&thread, 17, Cause::Store).is_some());
                }
            };
            let child = mem.platform().interrupt(look, || parent.fork().unwrap());
            assert_eq!(told.iter().collect::<Vec<_>>(), [!strict], "{text}");
            assert_eq!(parent.entry(VirtAddr::of_page(17)).is_writable(), !strict, "{text}");
            assert_eq!(store(&parent, 17, 2), Ok(pfn), "{text}");
            assert_eq!(load(&child, 17), Ok(1), "{text}");
            Audit::of(&mem).space(&parent).space(&child).pins(pins.pages()).check();
        }
    }
}

#[test]
fn a_child_does_not_inherit_that_its_parent_pinned() {
    let (mem, parent) = world("pinfold");
    store(&parent, 16, 1).unwrap();
    drop(parent.pin(pages(16, 1), Access::Write, Term::Short).unwrap());
    let child = parent.fork().unwrap();
    // 1024 references on a page of the child's own look like a pin; only its history says
    // otherwise.
    let pfn = store(&child, 17, 2).unwrap();
    mem.get(pfn, 1024);
    let grandchild = child.fork().unwrap();
    assert_eq!(mem.stats().fork_copy, 0);
    assert!(!child.entry(VirtAddr::of_page(17)).is_writable());
    mem.put(pfn, 1024);
    Audit::of(&mem).space(&parent).space(&child).space(&grandchild).check();
}

#[test]
fn t13_1024_references_pass_for_a_pin_once_the_space_has_pinned() {
    for (text, copies) in [("5.8", 0), ("5.9", 1), ("5.18", 1), ("5.19", 1), ("pinfold", 1)] {
        let (mem, parent) = world(text);
        let pfn = store(&parent, 16, 1).unwrap();
        store(&parent, 17, 1).unwrap();
        drop(parent.pin(pages(17, 1), Access::Write, Term::Short).unwrap());
        mem.get(pfn, 1024);
        let child = parent.fork().unwrap();
        assert_eq!(mem.stats().fork_copy, copies, "{text}");
        mem.put(pfn, 1024);
        Audit::of(&mem).space(&parent).space(&child).check();
    }
}

#[test]
fn since_5_19_a_page_that_is_shared_already_is_shared_again_whatever_its_references() {
    for (text, copies) in [("5.18", 1), ("5.19", 0), ("pinfold", 0)] {
        let (mem, parent) = world(text);
        let pfn = store(&parent, 16, 1).unwrap();
        let first = parent.fork().unwrap();
        drop(parent.pin(pages(17, 1), Access::Write, Term::Short).unwrap());
        mem.get(pfn, 1024);
        let second = parent.fork().unwrap();
        assert_eq!(mem.stats().fork_copy, copies, "{text}");
        mem.put(pfn, 1024);
        Audit::of(&mem).space(&parent).space(&first).space(&second).check();
    }
}

#[test]
fn the_early_write_protection_of_5_9_is_undone_for_a_pinned_page() {
    let (mem, parent) = world("5.9");
    store(&parent, 16, 1).unwrap();
    let pins = parent.pin(pages(16, 1), Access::Write, Term::Short).unwrap();
    let before = parent.entry(VirtAddr::of_page(16));
    let child = parent.fork().unwrap();
    assert_eq!(parent.entry(VirtAddr::of_page(16)), before);
    assert!(child.entry(VirtAddr::of_page(16)).is_writable());
    Audit::of(&mem).space(&parent).space(&child).pins(pins.pages()).check();
}

#[test]
fn the_zero_page_and_shared_memory_are_never_copied() {
    for text in crate::rules::PRESETS {
        let (mem, parent) = world(text);
        load(&parent, 16).unwrap();
        map_shared(&parent, 40, 2);
        store(&parent, 40, 5).unwrap();
        let zero = parent.pin(pages(16, 1), Access::Read, Term::Short).unwrap();
        let pins = parent.pin(pages(40, 2), Access::Write, Term::Short).unwrap();
        let copies = mem.stats().fork_copy;
        let child = parent.fork().unwrap();
        let zero_pages = u64::from(*text == "5.8");
        assert!(mem.stats().fork_copy - copies <= zero_pages, "{text}");
        assert_eq!(load(&child, 40), Ok(5), "{text}");
        assert_eq!(reach(&child, 40, Cause::Store), Ok(pins.pages()[0]), "{text}");
        Audit::of(&mem).space(&parent).space(&child).pins(zero.pages()).pins(pins.pages()).check();
    }
}

#[test]
fn dontfork_leaves_the_range_out_and_the_parent_writable() {
    let (mem, parent) = world("5.8");
    store(&parent, 16, 1).unwrap();
    store(&parent, 18, 2).unwrap();
    parent.advise(pages(16, 2), Advice::DontFork).unwrap();
    assert_eq!(parent.areas(), 2);
    let child = parent.fork().unwrap();
    assert!(!child.is_mapped(VirtAddr::of_page(16)) && child.is_mapped(VirtAddr::of_page(18)));
    assert!(parent.entry(VirtAddr::of_page(16)).is_writable());
    assert_eq!(load(&child, 18), Ok(2));
    parent.advise(pages(16, 2), Advice::DoFork).unwrap();
    assert_eq!(parent.areas(), 1, "alike again, so one again");
    assert!(parent.fork().unwrap().is_mapped(VirtAddr::of_page(16)));
    Audit::of(&mem).space(&parent).space(&child).check();
}

#[test]
fn an_area_that_never_held_an_anonymous_page_is_left_to_the_childs_faults() {
    let untouched = |space: &Space<X86_64>, page| space.entry(VirtAddr::of_page(page)).is_none();
    let (mem, parent) = world("latest");
    // A read maps the zero page, which is no anonymous one.
    load(&parent, 16).unwrap();
    let first = parent.fork().unwrap();
    assert!(untouched(&first, 16));
    // What is cut off before the first anonymous page stays without, what is cut off later does
    // not; and a page that is gone has been there.
    parent.protect(pages(22, 2), Prot::READ).unwrap();
    load(&parent, 22).unwrap();
    store(&parent, 17, 1).unwrap();
    parent.protect(pages(18, 2), Prot::READ).unwrap();
    load(&parent, 18).unwrap();
    parent.advise(pages(17, 1), Advice::DontNeed).unwrap();
    let second = parent.fork().unwrap();
    assert_eq!([16, 18, 22].map(|page| untouched(&second, page)), [false, false, true]);
    // The child's own child is treated likewise, and merging keeps what either part held.
    parent.protect(pages(18, 6), Prot::READ_WRITE).unwrap();
    let third = parent.fork().unwrap();
    assert!(!untouched(&third, 22));
    let fourth = second.fork().unwrap();
    assert_eq!([16, 22].map(|page| untouched(&fourth, page)), [false, true]);
    let audit = Audit::of(&mem).space(&parent).space(&first).space(&second);
    audit.space(&third).space(&fourth).check();
}

#[test]
fn wipeonfork_gives_the_child_zeros_and_keeponfork_takes_it_back() {
    let (mem, parent) = world("pinfold");
    let pfn = store(&parent, 16, 1).unwrap();
    parent.advise(pages(16, 1), Advice::WipeOnFork).unwrap();
    let child = parent.fork().unwrap();
    assert_eq!((load(&parent, 16), load(&child, 16)), (Ok(1), Ok(0)));
    assert_eq!(store(&parent, 16, 2), Ok(pfn), "the parent's entry was not touched");
    store(&child, 16, 3).unwrap();
    let grandchild = child.fork().unwrap();
    assert_eq!(load(&grandchild, 16), Ok(0), "the mark is inherited");
    parent.advise(pages(16, 1), Advice::KeepOnFork).unwrap();
    let kept = parent.fork().unwrap();
    assert_eq!(load(&kept, 16), Ok(2));
    Audit::of(&mem).space(&parent).space(&child).space(&grandchild).space(&kept).check();
}

#[test]
fn wipeonfork_is_refused_for_shared_memory_and_changes_nothing() {
    let (_mem, parent) = world("pinfold");
    map_shared(&parent, 24, 2);
    let areas = parent.areas();
    let refused = parent.advise(pages(22, 3), Advice::WipeOnFork);
    assert_eq!(refused, Err(SpaceError::WrongKind(VirtAddr::of_page(24))));
    assert_eq!(parent.areas(), areas);
}

#[test]
fn advice_over_a_hole_is_taken_about_the_rest() {
    let (mem, parent) = world("pinfold");
    map(&parent, 28, 2, RW);
    for page in [22, 23, 28, 29] {
        store(&parent, page, page).unwrap();
    }
    let hole = Err(SpaceError::NotMapped(VirtAddr::of_page(24)));
    assert_eq!(parent.advise(pages(23, 6), Advice::WipeOnFork), hole);
    let child = parent.fork().unwrap();
    let seen = [22, 23, 28, 29].map(|page| load(&child, page));
    assert_eq!(seen, [Ok(22), Ok(0), Ok(0), Ok(29)]);
    assert_eq!(parent.advise(pages(23, 6), Advice::DontNeed), hole);
    let seen = [22, 23, 28, 29].map(|page| load(&parent, page));
    assert_eq!(seen, [Ok(22), Ok(0), Ok(0), Ok(29)]);
    // What is locked ends it, wherever the hole is.
    parent.mlock(pages(29, 1)).unwrap();
    let locked = Err(SpaceError::Locked(VirtAddr::of_page(29)));
    assert_eq!(parent.advise(pages(22, 8), Advice::DontNeed), locked);
    assert_eq!((load(&parent, 22), load(&parent, 29)), (Ok(0), Ok(29)));
    Audit::of(&mem).space(&parent).space(&child).check();
}

#[test]
fn rights_over_a_hole_change_before_it() {
    let (mem, parent) = world("pinfold");
    map(&parent, 28, 2, RW);
    store(&parent, 23, 1).unwrap();
    let hole = Err(SpaceError::NotMapped(VirtAddr::of_page(24)));
    assert_eq!(parent.protect(pages(23, 6), Prot::READ), hole);
    assert!(store(&parent, 23, 2).is_err());
    store(&parent, 28, 2).unwrap();
    let beyond = Err(SpaceError::NotMapped(VirtAddr::of_page(25)));
    assert_eq!(parent.protect(pages(25, 4), Prot::READ), beyond);
    store(&parent, 28, 3).unwrap();
    Audit::of(&mem).space(&parent).check();
}

#[test]
fn fork_reports_one_check_and_one_verdict_for_each_page() {
    let (mem, parent) = world("pinfold");
    let shared = store(&parent, 16, 1).unwrap();
    let pinned = store(&parent, 17, 1).unwrap();
    let _pins = parent.pin(pages(17, 1), Access::Write, Term::Short).unwrap();
    let (_child, events) = mem.platform().record(|| parent.fork().unwrap());
    let of = |pfn: Pfn| {
        let about = |event: &&EventKind| match event {
            EventKind::ForkShared { pfn: of, .. } | EventKind::ForkCopied { from: of, .. } => {
                *of == pfn
            }
            _ => false,
        };
        events.iter().filter(about).map(EventKind::name).collect::<Vec<_>>()
    };
    assert_eq!((of(shared), of(pinned)), (std::vec!["fork-shared"], std::vec!["fork-copied"]));
}

/// A parent with pages under two tables, two of them pinned, and a wiped area.
fn rich_parent(text: &str) -> (Mem<X86_64>, Space<X86_64>, Vec<Pins<crate::testing::Rig<X86_64>>>) {
    let mem = machine::<X86_64>(rules(text), &[80], Tuning::default());
    let parent = space(&mem);
    map(&parent, 508, 8, RW);
    map(&parent, 600, 2, RW);
    parent.advise(pages(600, 2), Advice::WipeOnFork).unwrap();
    map_shared(&parent, 700, 2);
    for page in [508, 510, 511, 512, 514, 600, 700] {
        store(&parent, page, page).unwrap();
    }
    load(&parent, 509).unwrap();
    let pins = [510, 512]
        .map(|page| parent.pin(pages(page, 1), Access::Write, Term::Long).unwrap())
        .into_iter()
        .collect();
    (mem, parent, pins)
}

fn hoard_all_but(mem: &Mem<X86_64>, left: u64) -> Vec<NewFrame<'_>> {
    let take = mem.frames().total_free() - left;
    let one = |_| mem.frames().take(Placement::Only(NodeId(0)));
    (0..take).map(|n| one(n).unwrap()).collect()
}

#[test]
fn fork_without_frames_loses_nothing_wherever_it_stops() {
    for text in ["5.8", "5.9", "5.10", "5.11", "5.18", "5.19", "pinfold"] {
        for left in 0.. {
            let (mem, parent, pins) = rich_parent(text);
            let free = mem.frames().total_free();
            let hoard = hoard_all_but(&mem, left);
            let hoarded: Vec<_> = hoard.iter().map(NewFrame::pfn).collect();
            let pinned: Vec<_> = pins.iter().flat_map(|pins| pins.pages()).copied().collect();
            let forked = parent.fork();
            let audit = Audit::of(&mem).space(&parent).gets(&hoarded).pins(&pinned);
            match &forked {
                Ok(child) => audit.space(child).check(),
                Err(error) => {
                    assert_eq!(*error, SpaceError::OutOfFrames, "{text} {left}");
                    audit.check();
                }
            }
            drop(hoard);
            let done = forked.is_ok();
            drop(forked);
            assert_eq!(mem.frames().total_free(), free, "{text} {left}");
            for page in [508, 510, 511, 512, 514, 600, 700] {
                assert_eq!(load(&parent, page), Ok(page), "{text} {left}");
            }
            // Rules of an age copy a pinned page for the child, so the owner keeps it even in a
            // failed fork.
            if text != "5.8" {
                let kept = [510, 512].map(|page| store(&parent, page, 1).unwrap());
                assert_eq!(kept[..], pinned[..], "{text} {left}");
            }
            drop((parent, pins));
            Audit::of(&mem).check();
            if done {
                break;
            }
            assert!(left < 40, "{text}: fork never succeeds");
        }
    }
}

#[test]
fn a_fork_that_could_not_be_is_gone_with_its_families() {
    let (mem, parent, pins) = rich_parent("pinfold");
    for left in 0..6 {
        let hoard = hoard_all_but(&mem, left);
        assert!(parent.fork().is_err());
        drop(hoard);
    }
    drop(pins);
    let life = std::sync::Arc::downgrade(&mem.platform().life());
    drop((parent, mem));
    assert!(life.upgrade().is_none(), "something still holds the machine");
}

#[test]
fn a_page_that_is_allocated_ahead_and_not_needed_goes_back() {
    let rules = Rules::default();
    let mem = machine::<X86_64>(rules, &[80], Tuning::default());
    let parent = std::sync::Arc::new(space(&mem));
    map(&parent, 16, 4, RW);
    store(&parent, 16, 1).unwrap();
    store(&parent, 17, 1).unwrap();
    let pins = parent.pin(pages(16, 1), Access::Write, Term::Short).unwrap();
    // The pin goes away between the first look at the page and the second.
    let mut release = Some(pins);
    let checks = std::cell::Cell::new(0);
    let child = mem.platform().interrupt(
        move |event| {
            if matches!(event, EventKind::ForkCheck(_)) {
                checks.set(checks.get() + 1);
                if checks.get() == 2 {
                    release.take();
                }
            }
        },
        || parent.fork().unwrap(),
    );
    assert_eq!(mem.stats().fork_copy, 0);
    Audit::of(&mem).space(&parent).space(&child).check();
}

#[test]
fn no_cpu_writes_through_what_fork_has_made_read_only() {
    for text in crate::rules::PRESETS {
        let (mem, parent) = world(text);
        store(&parent, 16, 1).unwrap();
        let child = parent.fork().unwrap();
        // By what the CPU had cached before the fork, if it was never flushed.
        store(&parent, 16, 2).unwrap();
        assert_eq!((load(&parent, 16), load(&child, 16)), (Ok(2), Ok(1)), "{text}");
        Audit::of(&mem).space(&parent).space(&child).check();
    }
}

#[test]
fn a_childs_entries_are_old() {
    for text in crate::rules::PRESETS {
        let (_mem, parent) = world(text);
        store(&parent, 16, 1).unwrap();
        let child = parent.fork().unwrap();
        let at = VirtAddr::of_page(16);
        assert!(parent.entry(at).is_accessed() && !child.entry(at).is_accessed(), "{text}");
    }
}

#[test]
fn a_page_that_was_taken_ahead_for_one_address_serves_no_other() {
    let mem = machine::<X86_64>(Rules::default(), &[64, 8], Tuning::default());
    let parent = space(&mem);
    map(&parent, 16, 2, RW);
    let pin = |page| parent.pin(pages(page, 1), Access::Write, Term::Long).unwrap();
    let (first, second) = (pin(16), pin(17));
    // Both are pinned when fork looks; the first no longer is when it comes back with a page for
    // it.
    let (mut let_go, platform) = (Some(first), mem.clone());
    let (child, events) = mem.platform().record(|| {
        mem.platform().interrupt(
            move |event| {
                if let (EventKind::ForkCheck(_), Some(pins)) = (event, let_go.take()) {
                    platform.platform().before_alloc(move || drop(pins));
                }
            },
            || parent.fork().unwrap(),
        )
    });
    let checks = events.iter().filter(|event| matches!(event, EventKind::ForkCheck(_)));
    assert_eq!(checks.count(), 4, "each page twice: without a page for the child, and with one");
    // A page that is filed under another page's number is not found by its entries.
    let moved = child.migrate(pages(17, 1), NodeId(1));
    assert_eq!((moved.moved, moved.failed), (1, 0));
    Audit::of(&mem).space(&parent).space(&child).pins(second.pages()).check();
}
