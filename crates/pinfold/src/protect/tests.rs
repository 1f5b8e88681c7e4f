//! mprotect: when an entry becomes writable without a fault, and what a change of protection never
//! does.

use crate::rules::pin::{Unshares, unshares};
use crate::testing::{
    Audit, Mem, Space, load, machine, map, map_shared, pages, rules, space, store,
};
use crate::{
    Access, Cause, Fault, FaultError, Prot, Small, SpaceError, Term, Tuning, VirtAddr, X86_64,
};

const RW: Prot = Prot::READ_WRITE;
const AT: VirtAddr = VirtAddr::of_page(16);

fn world(text: &str) -> (Mem<X86_64>, Space<X86_64>) {
    let mem = machine(rules(text), &[48], Tuning::default());
    let space = space(&mem);
    map(&space, 16, 8, RW);
    (mem, space)
}

#[test]
fn an_exclusive_page_becomes_writable_at_once_by_rule() {
    for (text, dirty, clean) in [
        ("5.8", false, false),
        ("5.19", false, false),
        ("6.0", true, false),
        ("6.1", true, false),
        ("6.2", true, true),
        ("pinfold", true, true),
    ] {
        let (mem, space) = world(text);
        store(&space, 16, 1).unwrap();
        // Unsharing makes an exclusive page that is clean.
        store(&space, 17, 1).unwrap();
        let child = space.fork().unwrap();
        drop(space.pin(pages(17, 1), Access::Read, Term::Long).unwrap());
        drop(child);
        store(&space, 16, 2).unwrap();
        space.protect(pages(16, 2), Prot::READ).unwrap();
        space.protect(pages(16, 2), RW).unwrap();
        assert_eq!(space.entry(AT).is_writable(), dirty, "{text}");
        let second = space.entry(VirtAddr::of_page(17));
        if !second.is_dirty() && unshares(rules(text).read_gup) != Unshares::Nothing {
            assert_eq!(second.is_writable(), clean, "{text}");
        }
        Audit::of(&mem).space(&space).check();
    }
}

#[test]
fn a_page_shared_by_fork_never_becomes_writable_by_mprotect() {
    for text in crate::rules::PRESETS {
        for upgrade in ["never", "exclusive-dirty", "exclusive"] {
            let (mem, parent) = world(&std::format!("{text},write-upgrade={upgrade}"));
            store(&parent, 16, 1).unwrap();
            load(&parent, 17).unwrap();
            let child = parent.fork().unwrap();
            for prot in [Prot::READ, RW, Prot::empty(), RW] {
                parent.protect(pages(16, 2), prot).unwrap();
                child.protect(pages(16, 2), prot).unwrap();
            }
            assert!(!parent.entry(AT).is_writable() && !child.entry(AT).is_writable(), "{text}");
            store(&parent, 16, 2).unwrap();
            store(&child, 17, 3).unwrap();
            let read = |space| (load(space, 16).unwrap(), load(space, 17).unwrap());
            assert_eq!((read(&parent), read(&child)), ((2, 0), (1, 3)), "{text} {upgrade}");
            Audit::of(&mem).space(&parent).space(&child).check();
        }
    }
}

#[test]
fn rights_that_are_taken_are_gone_and_contents_survive() {
    let (mem, space) = world("pinfold");
    store(&space, 16, 1).unwrap();
    let denied = Err(FaultError::Denied(AT));
    space.protect(pages(16, 1), Prot::READ).unwrap();
    assert_eq!((store(&space, 16, 2).map(drop), load(&space, 16)), (denied, Ok(1)));
    space.protect(pages(16, 1), Prot::empty()).unwrap();
    assert_eq!(space.fault(AT, Cause::Load).map(drop), denied);
    space.protect(pages(16, 1), Prot::READ | Prot::EXEC).unwrap();
    assert_eq!((load(&space, 16), space.fault(AT, Cause::Fetch)), (Ok(1), Ok(Fault::Spurious)));
    Audit::of(&mem).space(&space).check();
}

#[test]
fn a_hole_ends_the_change_and_what_lies_before_has_changed() {
    let (_mem, space) = world("pinfold");
    store(&space, 23, 1).unwrap();
    let hole = SpaceError::NotMapped(VirtAddr::of_page(24));
    assert_eq!(space.protect(pages(20, 8), Prot::READ), Err(hole));
    assert_eq!(space.areas(), 2);
    assert!(!space.entry(VirtAddr::of_page(23)).is_writable());
    assert_eq!(space.protect(pages(24, 2), Prot::READ_WRITE), Err(hole));
    assert_eq!(space.areas(), 2, "nothing lies before");
}

#[test]
fn one_flush_serves_a_change_over_several_areas_and_tables() {
    let mem = machine::<Small>(rules("pinfold"), &[48], Tuning::default());
    let space = space(&mem);
    map(&space, 1, 15, RW);
    for page in 1..16 {
        store(&space, page, page).unwrap();
    }
    space.protect(pages(3, 2), Prot::READ).unwrap();
    let flushes = mem.platform().host.flushes();
    space.protect(pages(1, 15), Prot::READ | Prot::EXEC).unwrap();
    assert_eq!((mem.platform().host.flushes() - flushes, space.areas()), (1, 1));
    assert!((1..16).all(|page| load(&space, page) == Ok(page)));
    Audit::of(&mem).space(&space).check();
}

#[test]
fn a_change_between_two_writable_protections_keeps_the_right_to_write_since_6_0() {
    let rwx = RW | Prot::EXEC;
    for text in crate::rules::PRESETS {
        let (mem, space) = world(text);
        store(&space, 16, 1).unwrap();
        let pins = space.pin(pages(16, 1), Access::Write, Term::Long).unwrap();
        let faults = mem.stats().pgfault;
        space.protect(pages(16, 1), rwx).unwrap();
        let kept = rules(text).write_upgrade.name() != "never";
        assert_eq!(space.entry(AT).is_writable(), kept, "{text}");
        let written = store(&space, 16, 2).unwrap();
        assert_eq!(mem.stats().pgfault - faults, u64::from(!kept), "{text}");
        // The rule that counts references takes the pin for another user: facts 1.3, H-C.
        let parts = ["5.9", "5.10", "5.11", "5.13", "5.14", "5.17", "5.18"].contains(text);
        assert_eq!(written != pins.pages()[0], parts, "{text}");
        Audit::of(&mem).space(&space).pins(pins.pages()).check();
    }
}

#[test]
fn the_protection_that_an_area_has_already_changes_nothing() {
    for text in crate::rules::PRESETS {
        let (mem, space) = world(text);
        store(&space, 16, 1).unwrap();
        space.numa_scan(pages(16, 1));
        let (before, flushes) = (space.entry(AT), mem.platform().host.flushes());
        space.protect(pages(16, 2), RW).unwrap();
        assert_eq!((space.entry(AT), space.areas()), (before, 1), "{text}");
        assert_eq!(mem.platform().host.flushes(), flushes, "{text}");
    }
}

#[test]
fn a_shared_page_gets_the_right_to_write_with_its_area() {
    let (mem, space) = world("pinfold");
    map_shared(&space, 40, 2);
    load(&space, 40).unwrap();
    for prot in [Prot::READ, RW] {
        space.protect(pages(40, 2), prot).unwrap();
    }
    let at = VirtAddr::of_page(40);
    assert!(space.entry(at).is_writable(), "the first write is not tracked");
    space.numa_scan(pages(40, 1));
    load(&space, 40).unwrap();
    assert!(space.entry(at).is_writable());
    Audit::of(&mem).space(&space).check();
}
