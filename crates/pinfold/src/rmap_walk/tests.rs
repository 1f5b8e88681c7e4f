//! Whom a walk asks, from the first touch to the last owner.

use crate::lab;
use crate::testing::{Audit, Mem, Space, load, machine, map, pages, rules, space, store};
use crate::{
    Access, AddressSpace, Advice, Format, Limits, NewFrame, NodeId, Pfn, Placement, Prot, Pte,
    Remap, Small, SpaceId, Term, Tuning, VirtAddr, Vpn, X86_64,
};
use core::sync::atomic::Ordering;
use std::vec::Vec;

fn world(text: &str) -> (Mem<X86_64>, Space<X86_64>) {
    let mem = machine(rules(text), &[80, 8], Tuning::default());
    let space = space(&mem);
    map(&space, 16, 8, Prot::READ_WRITE);
    (mem, space)
}

fn asked(mem: &Mem<X86_64>, pfn: Pfn) -> Vec<SpaceId> {
    let mut asked = Vec::new();
    lab::may_map(mem, pfn, |space| asked.push(space));
    asked
}

fn frame(space: &Space<X86_64>, page: u64) -> Pfn {
    space.entry(VirtAddr::of_page(page)).pfn()
}

#[test]
fn only_those_are_asked_who_were_forked_since_the_page_was_touched() {
    let (mem, parent) = world("pinfold");
    let old = store(&parent, 16, 1).unwrap();
    let child = parent.fork().unwrap();
    let new = store(&parent, 17, 2).unwrap();
    let own = store(&child, 18, 3).unwrap();
    let copy = store(&child, 16, 4).unwrap();
    assert_eq!(asked(&mem, old), [parent.id(), child.id()]);
    assert_eq!(asked(&mem, new), [parent.id()]);
    assert_eq!((asked(&mem, own), asked(&mem, copy)), (vec([&child]), vec([&child])));
    let second = parent.fork().unwrap();
    assert_eq!(asked(&mem, new), vec([&parent, &second]));
    assert_eq!(asked(&mem, copy), vec([&child]));
    Audit::of(&mem).space(&parent).space(&child).space(&second).check();
}

fn vec<const N: usize>(spaces: [&Space<X86_64>; N]) -> Vec<SpaceId> {
    spaces.map(Space::id).to_vec()
}

#[test]
fn who_reuses_a_page_makes_it_his_own_and_a_page_that_moves_stays_so() {
    for text in crate::rules::PRESETS {
        let (mem, parent) = world(text);
        let pfn = store(&parent, 16, 1).unwrap();
        let child = parent.fork().unwrap();
        let other = child.fork().unwrap();
        parent.advise(pages(16, 1), Advice::DontNeed).unwrap();
        other.advise(pages(16, 1), Advice::DontNeed).unwrap();
        assert_eq!(asked(&mem, pfn), vec([&parent, &child, &other]), "{text}");
        assert_eq!(store(&child, 16, 2), Ok(pfn), "{text}: nobody else has it");
        assert_eq!(asked(&mem, pfn), vec([&child]), "{text}");
        child.migrate(pages(16, 1), NodeId(1));
        assert_ne!(frame(&child, 16), pfn, "{text}");
        assert_eq!(asked(&mem, frame(&child, 16)), vec([&child]), "{text}");
        assert_eq!(load(&child, 16), Ok(2), "{text}");
        Audit::of(&mem).space(&parent).space(&child).space(&other).check();
    }
}

#[test]
fn the_copy_of_a_pinned_page_is_the_childs_from_the_start() {
    let (mem, parent) = world("pinfold");
    let pinned = store(&parent, 16, 1).unwrap();
    let pins = parent.pin(pages(16, 1), Access::Write, Term::Short).unwrap();
    let child = parent.fork().unwrap();
    assert_ne!(frame(&child, 16), pinned);
    assert_eq!(asked(&mem, frame(&child, 16)), vec([&child]));
    Audit::of(&mem).space(&parent).space(&child).pins(pins.pages()).check();
}

#[test]
fn an_area_that_is_wiped_in_the_child_or_not_its_own_is_no_relative() {
    let (mem, parent) = world("pinfold");
    parent.advise(pages(16, 1), Advice::WipeOnFork).unwrap();
    parent.advise(pages(17, 1), Advice::DontFork).unwrap();
    for page in 16..19 {
        store(&parent, page, 1).unwrap();
    }
    let child = parent.fork().unwrap();
    let wiped = store(&child, 16, 2).unwrap();
    assert_eq!(asked(&mem, wiped), vec([&child]));
    // Asked, as another area of both is of one family, and found to have nothing there.
    assert_eq!(asked(&mem, frame(&parent, 18)), vec([&parent, &child]));
    parent.advise(pages(17, 1), Advice::DoFork).unwrap();
    let third = parent.fork().unwrap();
    assert!(asked(&mem, frame(&parent, 17)).contains(&third.id()));
    Audit::of(&mem).space(&parent).space(&child).space(&third).check();
}

#[test]
fn the_zero_page_and_shared_memory_have_no_family() {
    let (mem, space) = world("pinfold");
    load(&space, 16).unwrap();
    assert_eq!(asked(&mem, mem.zero_page()), []);
    crate::testing::map_shared(&space, 32, 1);
    let shared = store(&space, 32, 1).unwrap();
    assert_eq!(asked(&mem, shared), []);
}

/// Maps `mapped` in a table of a kernel that is linked into the last slot of the root of `space`,
/// and into its own last slot: at `slot` of the last table, whatever the number of levels. Gives
/// the table's frame, and that word.
fn kernel_half<'m, F: Format>(
    mem: &'m Mem<F>,
    space: &Space<F>,
    (slot, mapped): (usize, Pfn),
) -> (NewFrame<'m>, impl Fn() -> bool) {
    let kernel = mem.frames().take(Placement::Prefer(NodeId(0))).unwrap();
    let at = kernel.pfn();
    let link = Pte::<F>::table(at).bits();
    mem.platform().host.word(at, F::ENTRIES - 1).store(link, Ordering::Relaxed);
    mem.platform().host.word(space.root(), F::ENTRIES - 1).store(link, Ordering::Relaxed);
    let direct = Pte::<F>::mapping(mapped, Prot::READ_WRITE.reach()).bits();
    mem.platform().host.word(at, slot).store(direct, Ordering::Relaxed);
    let same = move || mem.platform().host.word(at, slot).load(Ordering::Relaxed) == direct;
    (kernel, same)
}

/// The walk asks in both places of a member that has moved a part of its area. What lies below the
/// part has no number in the other place: it would be another's, a kernel's that maps all frames.
#[test]
fn inv_rmap_5_a_page_is_not_looked_for_below_the_lowest_address() {
    let (mem, space) = world("pinfold");
    space.remap(pages(23, 1), 1, Remap::To(VirtAddr::of_page(1))).unwrap();
    let pfn = store(&space, 16, 1).unwrap();
    assert_eq!(asked(&mem, pfn), vec([&space, &space]), "page 16 would be at -6");
    let (kernel, same) = kernel_half(&mem, &space, (512 - 6, pfn));
    assert_eq!(space.migrate(pages(16, 1), NodeId(1)).moved, 1);
    assert!(frame(&space, 16) != pfn && same());
    mem.platform().host.word(space.root(), 511).store(0, Ordering::Relaxed);
    drop(kernel);
    Audit::of(&mem).space(&space).check();
}

#[test]
fn inv_rmap_5_a_page_is_not_looked_for_past_the_end() {
    let mem = machine::<Small>(rules("pinfold"), &[32, 8], Tuning::default());
    let limits = Limits { end_page: Vpn(12), ..Limits::of_format::<Small>() };
    let space = AddressSpace::new(&mem, limits).unwrap();
    map(&space, 2, 8, Prot::READ_WRITE);
    space.remap(pages(2, 1), 1, Remap::To(VirtAddr::of_page(11))).unwrap();
    let pfn = store(&space, 4, 1).unwrap();
    let (kernel, same) = kernel_half(&mem, &space, (13 % 4, pfn));
    assert_eq!(space.migrate(pages(4, 1), NodeId(1)).moved, 1, "page 4 would be at 13");
    assert!(space.entry(VirtAddr::of_page(4)).pfn() != pfn && same());
    mem.platform().host.word(space.root(), 3).store(0, Ordering::Relaxed);
    drop(kernel);
    Audit::of(&mem).space(&space).check();
}
