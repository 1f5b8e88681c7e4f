//! What is told of stores since the last time, what keeps their marks, and what becomes of pins.

use crate::pin::Ask;
use crate::testing::{
    Audit, Disk, Hardware, Mem, Space, load, machine, map, map_shared, pages, rules, space, store,
};
use crate::{
    Access, Advice, Format, NodeId, Prot, Reclaimer, Remap, Small, SmallAarch64, SmallRiscv64,
    SmallRiscv64Rsw, SpaceError, SwapWrites, Term, Tuning, VirtAddr,
};
use std::boxed::Box;
use std::string::ToString;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread::{sleep, spawn};
use std::time::Duration;

const RW: Prot = Prot::READ_WRITE;
const AT: VirtAddr = VirtAddr::of_page(4);

fn world<F: Hardware>(text: &str) -> (Mem<F>, Space<F>) {
    let tuning = Tuning { folios_advised: 1 << F::INDEX_BITS, ..Tuning::default() };
    let mem = machine(rules(text), &[48, 24], tuning);
    let space = space(&mem);
    map(&space, 4, 4, RW);
    (mem, space)
}

fn dirty<F: Format>(space: &Space<F>, page: u64) -> bool {
    space.is_soft_dirty(VirtAddr::of_page(page)).unwrap()
}

fn stores_are_told<F: Hardware>() {
    for text in crate::rules::PRESETS {
        let (mem, space) = world::<F>(text);
        store(&space, 4, 1).unwrap();
        assert!((4..8).all(|page| dirty(&space, page)), "{text}: nobody has asked yet");
        space.clear_soft_dirty().unwrap();
        assert!((4..8).all(|page| !dirty(&space, page)), "{text}");
        load(&space, 4).unwrap();
        load(&space, 5).unwrap();
        assert!(!dirty(&space, 4) && !dirty(&space, 5), "{text}: a load is no store");
        assert!(!space.entry(AT).is_writable(), "{text}");
        Audit::of(&mem).space(&space).check();
        let old = space.entry(AT).pfn();
        assert_eq!(store(&space, 4, 2), Ok(old), "{text}: nobody else has the page");
        for page in [5, 6] {
            store(&space, page, 3).unwrap();
        }
        assert!((4..7).all(|page| dirty(&space, page)) && !dirty(&space, 7), "{text}");
        Audit::of(&mem).space(&space).check();
        space.clear_soft_dirty().unwrap();
        assert!((4..8).all(|page| !dirty(&space, page)), "{text}: once more");
        let words = [4, 5, 6, 7].map(|page| load(&space, page).unwrap());
        assert_eq!(words, [2, 3, 3, 0], "{text}");
        assert_eq!(space.is_soft_dirty(VirtAddr::of_page(9)).ok(), None);
        Audit::of(&mem).space(&space).check();
    }
}

#[test]
fn stores_are_told_and_loads_are_not_in_every_format_with_a_bit() {
    stores_are_told::<Small>();
    stores_are_told::<SmallAarch64>();
    stores_are_told::<SmallRiscv64Rsw>();
}

#[test]
fn a_format_without_a_bit_refuses() {
    let (_mem, space) = world::<SmallRiscv64>("pinfold");
    store(&space, 4, 1).unwrap();
    let refused = space.clear_soft_dirty();
    assert_eq!(refused, Err(SpaceError::NoSoftDirty));
    assert_eq!(
        SpaceError::NoSoftDirty.to_string(),
        "entries of this format have no bit for pages that were stored to: choose a format with one"
    );
    assert!(dirty(&space, 4) && space.entry(AT).is_writable());
}

#[test]
fn what_is_mapped_or_moved_later_counts_as_a_whole_and_stays_apart_until_the_next_time() {
    let (mem, space) = world::<Small>("pinfold");
    space.clear_soft_dirty().unwrap();
    map(&space, 8, 2, RW);
    assert_eq!(space.areas(), 2, "the new one does not become part of the old");
    assert!(dirty(&space, 8) && dirty(&space, 9) && !dirty(&space, 7));
    store(&space, 4, 1).unwrap();
    space.clear_soft_dirty().unwrap();
    assert!(!dirty(&space, 8));
    let to = VirtAddr::of_page(12);
    space.remap(pages(4, 2), 2, Remap::To(to)).unwrap();
    assert!(dirty(&space, 12) && dirty(&space, 13) && !dirty(&space, 6));
    assert_eq!(load(&space, 12), Ok(1));
    store(&space, 12, 2).unwrap();
    Audit::of(&mem).space(&space).check();
    space.unmap(pages(6, 8)).unwrap();
    map(&space, 4, 4, RW);
    map(&space, 8, 4, RW);
    assert_eq!(space.areas(), 1, "both are new");
}

/// Nobody has stored there before, and nothing else was mapped there.
#[test]
fn what_an_area_grows_by_in_its_place_counts_as_the_area_does() {
    let (mem, space) = world::<Small>("pinfold");
    space.remap(pages(4, 4), 5, Remap::InPlace).unwrap();
    assert!((4..9).all(|page| dirty(&space, page)), "nobody has asked yet");
    space.clear_soft_dirty().unwrap();
    space.remap(pages(4, 5), 7, Remap::InPlace).unwrap();
    assert_eq!((space.areas(), load(&space, 9)), (1, Ok(0)));
    assert!((4..11).all(|page| !dirty(&space, page)));
    store(&space, 9, 1).unwrap();
    store(&space, 10, 1).unwrap();
    assert!(dirty(&space, 9) && dirty(&space, 10) && !dirty(&space, 8));
    Audit::of(&mem).space(&space).check();
}

#[test]
fn no_way_around_the_fault_gives_write_permission_back() {
    for text in ["6.0", "6.1", "6.2", "6.12", "latest", "pinfold"] {
        let (mem, space) = world::<Small>(text);
        store(&space, 4, 1).unwrap();
        store(&space, 5, 1).unwrap();
        space.clear_soft_dirty().unwrap();
        // mprotect (facts 7.5).
        for prot in [Prot::READ, RW, Prot::empty(), RW] {
            space.protect(pages(4, 4), prot).unwrap();
        }
        assert!(!space.entry(AT).is_writable(), "{text}");
        // A hinting fault (facts 4.3), at home and from the other node.
        space.numa_scan(pages(4, 1));
        load(&space, 4).unwrap();
        assert!(!space.entry(AT).is_writable() && !dirty(&space, 4), "{text}");
        space.migrate(pages(4, 2), NodeId(1));
        assert!(!space.entry(AT).is_writable() && !dirty(&space, 4), "{text}");
        assert_eq!(mem.frames().node(space.entry(AT).pfn()), NodeId(1), "{text}: it has moved");
        store(&space, 4, 2).unwrap();
        space.migrate(pages(4, 1), NodeId(0));
        assert!(dirty(&space, 4) && !dirty(&space, 5), "{text}: the mark moves along");
        Audit::of(&mem).space(&space).check();
    }
}

#[test]
fn a_page_that_is_swapped_out_takes_its_mark_along() {
    for text in crate::rules::PRESETS {
        let (mem, space) = world::<Small>(text);
        mem.swap_on(Box::new(Disk::default()), 8, SwapWrites::Any).unwrap();
        let out = |page| space.page_out(pages(page, 1), Reclaimer::Pressure);
        for page in [4, 5, 6] {
            store(&space, page, page).unwrap();
        }
        out(6);
        space.clear_soft_dirty().unwrap();
        assert!(!dirty(&space, 6), "{text}: one that is out is forgotten, too");
        store(&space, 5, 9).unwrap();
        assert_eq!((out(4).freed, out(5).freed), (1, 1), "{text}");
        assert!(!dirty(&space, 4) && dirty(&space, 5), "{text}");
        for page in [4, 5, 6] {
            load(&space, page).unwrap();
        }
        assert_eq!([4, 5, 6].map(|page| dirty(&space, page)), [false, true, false], "{text}");
        // Since 6.12 a read may give write permission, but for what waits for a store (facts 1.8).
        assert!(!space.entry(AT).is_writable(), "{text}");
        Audit::of(&mem).space(&space).check();
        store(&space, 4, 1).unwrap();
        assert!(dirty(&space, 4), "{text}");
        out(6);
        store(&space, 6, 2).unwrap();
        assert!(dirty(&space, 6), "{text}: a store that brings the page back");
        Audit::of(&mem).space(&space).check();
    }
}

#[test]
fn a_child_has_its_parents_marks_and_each_its_own_from_then_on() {
    for text in crate::rules::PRESETS {
        let (mem, parent) = world::<Small>(text);
        store(&parent, 4, 1).unwrap();
        store(&parent, 5, 1).unwrap();
        parent.clear_soft_dirty().unwrap();
        store(&parent, 5, 2).unwrap();
        let child = parent.fork().unwrap();
        assert_eq!((dirty(&child, 4), dirty(&child, 5)), (false, true), "{text}");
        store(&child, 4, 3).unwrap();
        assert!(dirty(&child, 4) && !dirty(&parent, 4), "{text}");
        parent.clear_soft_dirty().unwrap();
        assert!(!dirty(&parent, 5) && dirty(&child, 5), "{text}");
        assert_eq!((load(&parent, 4), load(&child, 4)), (Ok(1), Ok(3)), "{text}");
        Audit::of(&mem).space(&parent).space(&child).check();
    }
}

#[test]
fn shared_memory_is_told_of_too() {
    let (mem, space) = world::<Small>("pinfold");
    map_shared(&space, 8, 2);
    store(&space, 8, 1).unwrap();
    load(&space, 9).unwrap();
    assert!(space.entry(VirtAddr::of_page(9)).is_writable(), "nobody waits for a store");
    space.clear_soft_dirty().unwrap();
    space.advise(pages(8, 2), Advice::DontNeed).unwrap();
    load(&space, 8).unwrap();
    load(&space, 9).unwrap();
    assert!(!dirty(&space, 8) && !dirty(&space, 9));
    store(&space, 9, 2).unwrap();
    assert!(!dirty(&space, 8) && dirty(&space, 9));
    space.protect(pages(8, 2), Prot::READ).unwrap();
    space.protect(pages(8, 2), RW).unwrap();
    store(&space, 8, 3).unwrap();
    assert!(dirty(&space, 8));
    Audit::of(&mem).space(&space).check();
}

#[test]
fn a_huge_entry_is_forgotten_as_one_and_its_parts_have_its_mark() {
    for text in ["5.8", "5.10", "5.19", "pinfold"] {
        let (mem, space) = world::<Small>(text);
        map(&space, 8, 4, RW);
        space.advise(pages(8, 4), Advice::HugePage).unwrap();
        store(&space, 8, 1).unwrap();
        assert_eq!(mem.stats().thp_fault_alloc, 1, "{text}");
        space.clear_soft_dirty().unwrap();
        assert!((8..12).all(|page| !dirty(&space, page)), "{text}");
        Audit::of(&mem).space(&space).check();
        store(&space, 9, 2).unwrap();
        assert!((8..12).all(|page| dirty(&space, page)), "{text}: one entry, one mark");
        space.clear_soft_dirty().unwrap();
        space.protect(pages(8, 1), Prot::READ).unwrap();
        assert_eq!(mem.stats().thp_split_pmd, 1, "{text}");
        assert!((8..12).all(|page| !dirty(&space, page)), "{text}");
        store(&space, 10, 2).unwrap();
        assert!(dirty(&space, 10) && !dirty(&space, 11), "{text}");
        Audit::of(&mem).space(&space).check();
    }
}

#[test]
fn huge_pages_of_the_pool_count_as_stored_to() {
    let (mem, space) = world::<Small>("pinfold");
    assert_eq!(mem.hugetlb_pool(1), 1);
    let at = VirtAddr::of_page(8);
    space.map_hugetlb(crate::Place::At(at), 4, RW).unwrap();
    store(&space, 8, 1).unwrap();
    space.clear_soft_dirty().unwrap();
    assert!(dirty(&space, 8) && space.entry(at).is_writable());
    Audit::of(&mem).space(&space).check();
}

/// T9 of the fact sheet.
#[test]
fn a_pinned_page_stays_its_owners_by_rule() {
    for (text, spared, same) in [
        ("5.8", false, true),
        ("5.9", false, false),
        ("5.10", false, false),
        ("5.11", true, true),
        ("5.18", true, true),
        ("5.19", true, true),
        ("latest", true, true),
        ("5.19,clear-refs-pinned=protected", false, true),
        ("5.10,clear-refs-pinned=spared", true, true),
    ] {
        let (mem, space) = world::<Small>(text);
        store(&space, 4, 1).unwrap();
        store(&space, 5, 1).unwrap();
        let pins = space.pin(pages(4, 1), Access::Write, Term::Long).unwrap();
        space.clear_soft_dirty().unwrap();
        assert_eq!((dirty(&space, 4), dirty(&space, 5)), (spared, false), "{text}");
        assert_eq!(space.entry(AT).is_writable(), spared, "{text}");
        let old = pins.pages()[0];
        assert_eq!(store(&space, 4, 2) == Ok(old), same, "{text}");
        Audit::of(&mem).space(&space).pins(pins.pages()).check();
        drop(pins);
        space.clear_soft_dirty().unwrap();
        assert!(!dirty(&space, 4), "{text}: nobody has it pinned any more");
    }
}

/// INV-SOFT-1: the entry became writable, without the mark, while its area counted as a whole.
#[test]
fn an_entry_that_is_spared_has_the_mark_afterwards() {
    for (first, huge) in [(4, false), (8, true)] {
        let (mem, space) = world::<Small>("latest");
        if huge {
            map(&space, 8, 4, RW);
            space.advise(pages(8, 4), Advice::HugePage).unwrap();
        }
        store(&space, first, 1).unwrap();
        space.clear_soft_dirty().unwrap();
        let to = VirtAddr::of_page(12);
        space.remap(pages(first, 4), 4, Remap::To(to)).unwrap();
        space.protect(pages(12, 4), Prot::READ).unwrap();
        space.protect(pages(12, 4), RW).unwrap();
        let entry = space.entry(to);
        assert!(entry.is_writable() && !entry.is_soft_dirty(), "{first}: the case in question");
        let pins = space.pin(pages(12, 1), Access::Write, Term::Long).unwrap();
        space.clear_soft_dirty().unwrap();
        assert!(space.entry(to).is_writable() && dirty(&space, 12), "{first}");
        Audit::of(&mem).space(&space).pins(pins.pages()).check();
    }
}

/// Runs `ask` in another thread while the entry of page 4, which is soft-dirty and in memory, is
/// out of its table and about to come back.
fn asked_while_withdrawn(ask: fn(&Space<Small>) -> bool) -> bool {
    let (mem, space) = world::<Small>("pinfold");
    space.clear_soft_dirty().unwrap();
    store(&space, 4, 1).unwrap();
    space.advise(pages(4, 1), Advice::Free).unwrap();
    let held = space.get(pages(4, 1), Access::Write).unwrap();
    let space = Arc::new(space);
    let (other, (done, answer)) = (space.clone(), channel());
    mem.platform().before_flush(move || {
        let (begun, begins) = channel();
        let _ = spawn(move || {
            begun.send(()).unwrap();
            done.send(ask(&other)).unwrap();
        });
        begins.recv().unwrap();
        // Time to answer, for one that does not wait for the table's lock.
        sleep(Duration::from_millis(50));
    });
    assert_eq!(space.page_out(pages(4, 1), Reclaimer::Pressure).kept, 1, "it is referred to");
    drop(held);
    answer.recv_timeout(Duration::from_secs(20)).expect("the flush was waited for")
}

#[test]
fn an_entry_that_is_out_for_a_while_is_not_taken_for_none() {
    assert!(asked_while_withdrawn(|space| dirty(space, 4)));
    assert!(asked_while_withdrawn(|space| {
        let mut is = false;
        space.resident(pages(4, 1), |resident| is = resident).unwrap();
        is
    }));
}

#[test]
fn a_forced_write_is_a_store() {
    for text in ["5.8", "5.10", "5.19", "6.0", "latest", "pinfold"] {
        let (mem, space) = world::<Small>(text);
        store(&space, 4, 1).unwrap();
        space.protect(pages(4, 1), Prot::READ).unwrap();
        space.clear_soft_dirty().unwrap();
        let ask = Ask::new(Access::Write, Term::Short).forced();
        let refs = space.get_with(pages(4, 1), ask).unwrap();
        assert!(dirty(&space, 4), "{text}");
        Audit::of(&mem).space(&space).gets(refs.pages()).check();
    }
}
