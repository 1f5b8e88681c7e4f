//! What the lock-free path takes of a folio of 16 pages: as many as entries map one after another,
//! wherever that ends.

use crate::event::FastStop;
use crate::pin::{Access, Ask, Path, Term};
use crate::testing::{Audit, Mem, Space, machine, map, pages, rules, space, store};
use crate::{Advice, Pfn, Prot, Tuning, VirtAddr, X86_64, lab};

use super::stops;

/// A space in which pages 16 to 31 are one folio, and its first frame.
fn world() -> (Mem<X86_64>, Space<X86_64>, Pfn) {
    let tuning = Tuning { folios_always: 1 << 4, ..Tuning::default() };
    let mem = machine(rules("pinfold"), &[200], tuning);
    let space = space(&mem);
    map(&space, 16, 16, Prot::READ_WRITE);
    for page in 16..32 {
        store(&space, page, page).unwrap();
    }
    let head = space.entry(VirtAddr::of_page(16)).pfn();
    (mem, space, head)
}

/// Pins all 16 pages without faults; as many are taken, and why no more.
fn takes(
    (mem, space, head): &(Mem<X86_64>, Space<X86_64>, Pfn),
    access: Access,
) -> (u64, Option<FastStop>) {
    let ask = Ask::new(access, Term::Short).path(Path::FastOnly);
    let (pins, events) = mem.platform().record(|| space.pin_with(pages(16, 16), ask));
    let stopped = stops(&events).first().copied();
    let Ok(pins) = pins else { return (0, stopped) };
    let taken = pins.pages().len() as u64;
    assert!((head.0..).zip(pins.pages()).all(|(pfn, taken)| taken.0 == pfn));
    let folio = lab::large_folio(mem.frames(), *head).unwrap();
    assert_eq!(u64::from(folio.pins), taken);
    Audit::of(mem).space(space).pins(pins.pages()).check();
    (taken, stopped)
}

#[test]
fn a_folio_is_taken_up_to_the_first_entry_that_is_another() {
    for good in 1..16 {
        let world = world();
        let (mem, space, _) = &world;
        assert_eq!(takes(&world, Access::Write), (16, None));
        space.protect(pages(16 + good, 1), Prot::READ).unwrap();
        assert_eq!(takes(&world, Access::Write), (good, Some(FastStop::ReadOnly)));
        assert_eq!(takes(&world, Access::Read), (16, None));
        space.advise(pages(16 + good, 1), Advice::DontNeed).unwrap();
        for access in [Access::Read, Access::Write] {
            assert_eq!(takes(&world, access), (good, Some(FastStop::Absent)));
        }
        space.protect(pages(16 + good, 1), Prot::READ_WRITE).unwrap();
        store(space, 16 + good, 1).unwrap();
        // Another page, and the rest of the folio behind it.
        let pins = space.pin(pages(16, 16), Access::Write, Term::Short).unwrap();
        let mapped = (16..32).map(|page| space.entry(VirtAddr::of_page(page)).pfn());
        assert!(mapped.eq(pins.pages().iter().copied()));
        Audit::of(mem).space(space).pins(pins.pages()).check();
    }
}

#[test]
fn a_folio_is_taken_for_reading_up_to_the_first_page_that_is_to_be_unshared() {
    for good in 1..16 {
        let world = world();
        let (mem, space, head) = &world;
        drop(space.fork().unwrap());
        assert_eq!(takes(&world, Access::Read), (0, Some(FastStop::MustUnshare)));
        for page in 16..16 + good {
            assert_eq!(store(space, page, page), Ok(Pfn(head.0 + page - 16)));
        }
        assert_eq!(takes(&world, Access::Read), (good, Some(FastStop::MustUnshare)));
        assert_eq!(takes(&world, Access::Write), (good, Some(FastStop::ReadOnly)));
        Audit::of(mem).space(space).check();
    }
}
