//! What may go, what keeps it, and what each rule asks.

use crate::testing::{
    Audit, Disk, Hardware, Mem, Space, device_write, load, machine, map, map_shared, pages, rules,
    space, store,
};
use crate::{
    Access, Advice, NodeId, Prot, Reclaimed, Reclaimer, Small, SmallAarch64, SmallRiscv64,
    SpaceError, SwapWrites, Term, Tuning, VirtAddr,
};
use std::boxed::Box;

const RW: Prot = Prot::READ_WRITE;
const GONE: Reclaimed = Reclaimed { freed: 1, kept: 0 };
const KEPT: Reclaimed = Reclaimed { freed: 0, kept: 1 };

fn world<F: Hardware>(text: &str) -> (Mem<F>, Space<F>) {
    let mem = machine(rules(text), &[32, 16], Tuning::default());
    let space = space(&mem);
    map(&space, 4, 4, RW);
    store(&space, 4, 7).unwrap();
    (mem, space)
}

fn free<F: Hardware>(space: &Space<F>, page: u64) {
    space.advise(pages(page, 1), Advice::Free).unwrap();
}

fn out<F: Hardware>(space: &Space<F>, page: u64) -> Reclaimed {
    space.page_out(pages(page, 1), Reclaimer::Pressure)
}

fn goes_unless_stored_to<F: Hardware>() {
    for text in crate::rules::PRESETS {
        let (mem, space) = world::<F>(text);
        let frames = mem.frames().total_free();
        free(&space, 4);
        assert_eq!(load(&space, 4), Ok(7), "{text}: until it goes");
        assert_eq!(out(&space, 4), GONE, "{text}: without a swap device");
        assert!(space.entry(VirtAddr::of_page(4)).is_none(), "{text}");
        assert_eq!(mem.frames().total_free(), frames + 1, "{text}");
        Audit::of(&mem).space(&space).check();
        assert_eq!(load(&space, 4), Ok(0), "{text}");
        store(&space, 4, 8).unwrap();
        free(&space, 4);
        store(&space, 4, 9).unwrap();
        assert_eq!(out(&space, 4), KEPT, "{text}: it was stored to");
        assert_eq!(load(&space, 4), Ok(9), "{text}");
        Audit::of(&mem).space(&space).check();
        // It is an ordinary page again, which wants a device.
        assert_eq!(out(&space, 4), KEPT, "{text}");
        mem.swap_on(Box::new(Disk::default()), 4, SwapWrites::Any).unwrap();
        assert_eq!(out(&space, 4), GONE, "{text}");
        assert_eq!(load(&space, 4), Ok(9), "{text}");
        // One on the device goes at once, and one with a slot gives that up.
        assert_eq!(out(&space, 4), GONE, "{text}");
        free(&space, 4);
        assert!(space.entry(VirtAddr::of_page(4)).is_none(), "{text}");
        assert_eq!(load(&space, 4), Ok(0), "{text}");
        Audit::of(&mem).space(&space).check();
        store(&space, 4, 9).unwrap();
        assert_eq!((out(&space, 4), load(&space, 4)), (GONE, Ok(9)), "{text}");
        free(&space, 4);
        assert_eq!((out(&space, 4), load(&space, 4)), (GONE, Ok(0)), "{text}");
        Audit::of(&mem).space(&space).check();
    }
}

#[test]
fn contents_go_unless_the_page_is_stored_to_in_every_format() {
    goes_unless_stored_to::<Small>();
    goes_unless_stored_to::<SmallAarch64>();
    goes_unless_stored_to::<SmallRiscv64>();
}

/// The fix of 5.18.
#[test]
fn a_reference_keeps_the_entry_by_rule() {
    for (text, kept) in [
        ("4.5", false),
        ("5.10", false),
        ("5.17", false),
        ("5.18", true),
        ("latest", true),
        ("pinfold", true),
        ("pinfold,lazy-free=dirty", false),
    ] {
        let (mem, space) = world::<Small>(text);
        free(&space, 4);
        let held = space.get(pages(4, 1), Access::Write).unwrap();
        assert_eq!(out(&space, 4), KEPT, "{text}");
        device_write(&mem, held.pages()[0], 9);
        assert_eq!(load(&space, 4), Ok(if kept { 9 } else { 0 }), "{text}");
        Audit::of(&mem).space(&space).gets(held.pages()).check();
        drop(held);
        assert_eq!(load(&space, 4), Ok(if kept { 9 } else { 0 }), "{text}");
    }
}

#[test]
fn a_pin_that_marks_what_it_wrote_keeps_the_page() {
    let (mem, space) = world::<Small>("pinfold");
    free(&space, 4);
    let pins = space.pin(pages(4, 1), Access::Write, Term::Long).unwrap();
    assert_eq!(out(&space, 4), KEPT);
    device_write(&mem, pins.pages()[0], 9);
    pins.unpin_dirty();
    assert_eq!(out(&space, 4), KEPT, "dirty");
    assert_eq!(load(&space, 4), Ok(9));
    Audit::of(&mem).space(&space).check();
}

#[test]
fn a_child_loses_nothing_that_it_or_its_parent_has_stored() {
    for text in crate::rules::PRESETS {
        let (mem, parent) = world::<Small>(text);
        free(&parent, 4);
        store(&parent, 4, 8).unwrap();
        let child = parent.fork().unwrap();
        drop(parent);
        assert_eq!((out(&child, 4), load(&child, 4)), (KEPT, Ok(8)), "{text}");
        Audit::of(&mem).space(&child).check();
        // Both map it: the advice is about pages of one.
        let other = child.fork().unwrap();
        free(&child, 4);
        assert_eq!(load(&child, 4), Ok(8), "{text}");
        drop(other);
        free(&child, 4);
        let other = child.fork().unwrap();
        assert_eq!(out(&child, 4), GONE, "{text}: it goes from both");
        assert_eq!((load(&child, 4), load(&other, 4)), (Ok(0), Ok(0)), "{text}");
        Audit::of(&mem).space(&child).space(&other).check();
    }
}

#[test]
fn a_page_that_moves_keeps_its_contents() {
    let (mem, space) = world::<Small>("pinfold");
    free(&space, 4);
    assert_eq!(space.migrate(pages(4, 1), NodeId(1)).moved, 1);
    assert_eq!((out(&space, 4), load(&space, 4)), (KEPT, Ok(7)));
    Audit::of(&mem).space(&space).check();
}

#[test]
fn a_migration_that_fails_loses_no_store() {
    for text in crate::rules::PRESETS {
        let (mem, space) = world::<Small>(text);
        free(&space, 4);
        store(&space, 4, 9).unwrap();
        let held = space.get(pages(4, 1), Access::Read).unwrap();
        assert_eq!(space.migrate(pages(4, 1), NodeId(1)).moved, 0, "{text}: it is referred to");
        drop(held);
        assert_eq!((out(&space, 4), load(&space, 4)), (KEPT, Ok(9)), "{text}");
        Audit::of(&mem).space(&space).check();
    }
}

#[test]
fn what_the_advice_does_not_suit_refuses_it() {
    let (_mem, space) = world::<Small>("pinfold");
    map_shared(&space, 8, 1);
    let advise = |first, count| space.advise(pages(first, count), Advice::Free);
    let at = VirtAddr::of_page;
    assert_eq!(advise(8, 1), Err(SpaceError::WrongKind(at(8))));
    assert_eq!(advise(4, 6), Err(SpaceError::WrongKind(at(8))));
    space.unmap(pages(8, 1)).unwrap();
    assert_eq!(advise(4, 6), Err(SpaceError::NotMapped(at(8))), "taken about the rest");
    assert_eq!((out(&space, 4), load(&space, 4)), (GONE, Ok(0)));
    space.mlock(pages(5, 1)).unwrap();
    assert_eq!(advise(4, 2), Err(SpaceError::Locked(at(5))));
}
