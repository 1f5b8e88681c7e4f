//! Long-term pins and memory that is set apart for what can move (facts 3.10).

use crate::event::FastStop;
use crate::frame::Sizes;
use crate::pin::{Access, Ask, Path, Term};
use crate::rules::pin::{leaves_cma, leaves_movable};
use crate::testing::{
    Audit, Marks, Mem, Space, device_write, load, machine_of, map, map_shared, pages, rules,
    set_apart, space, store,
};
use crate::{
    Advice, FaultError, FrameSetup, Memory, MemoryMapError, NodeId, NodeSpan, OfflineError, Pfn,
    PinError, Prot, Small, Tuning, VirtAddr, X86_64,
};

use super::stops;

const FIXED: u64 = 40;

/// A space of 32 pages from number 16 on; what can move lies in frames from [`FIXED`] on first.
fn world_with(text: &str, tuning: Tuning) -> (Mem<X86_64>, Space<X86_64>) {
    set_apart((FIXED, 24), text, tuning)
}

fn world(text: &str) -> (Mem<X86_64>, Space<X86_64>) {
    world_with(text, Tuning::default())
}

fn strays(pages: &[Pfn]) -> usize {
    pages.iter().filter(|pfn| pfn.0 >= FIXED).count()
}

#[test]
fn since_5_13_a_long_term_pin_moves_its_page_out_and_nothing_else_does() {
    for text in crate::rules::PRESETS {
        let (mem, space) = world(text);
        (16..20).for_each(|page| assert!(store(&space, page, page).unwrap().0 >= FIXED));
        let leaves = leaves_movable(rules(text).longterm_zone);
        let before = mem.stats();
        for path in [Path::Any, Path::SlowOnly] {
            let first = if path == Path::Any { 16 } else { 18 };
            let short = space.pin(pages(first, 2), Access::Write, Term::Short).unwrap();
            let gets = space.get(pages(first, 2), Access::Write).unwrap();
            assert_eq!((strays(short.pages()), strays(gets.pages())), (2, 2), "{text}");
            drop((short, gets));
            let ask = Ask::new(Access::Write, Term::Long).path(path);
            let pins = space.pin_with(pages(first, 2), ask).unwrap();
            assert_eq!(strays(pins.pages()), if leaves { 0 } else { 2 }, "{text}");
            assert_eq!(space.locked_pages(), 2, "{text}");
            device_write(&mem, pins.pages()[1], 9);
            assert_eq!((load(&space, first), load(&space, first + 1)), (Ok(first), Ok(9)));
            Audit::of(&mem).space(&space).pins(pins.pages()).check();
        }
        let after = mem.stats();
        let moved = after.pgmigrate_success - before.pgmigrate_success;
        assert_eq!(moved, if leaves { 4 } else { 0 }, "{text}");
        assert_eq!(after.nr_foll_pin_acquired, after.nr_foll_pin_released, "{text}");
        assert_eq!(space.locked_pages(), 0, "{text}");
    }
}

/// The same machine, but that contiguous requests take the memory apart back.
fn world_of_cma(text: &str) -> (Mem<X86_64>, Space<X86_64>) {
    let span = |first, frames| NodeSpan { node: NodeId(0), first: Pfn(first), frames };
    let (fixed, cma) = ([span(0, FIXED)], [span(FIXED, 24)]);
    let setup = FrameSetup::new(&fixed).cma(&cma);
    let mem = machine_of(Marks::Hardware, setup, rules(text), Tuning::default());
    let space = space(&mem);
    map(&space, 16, 32, Prot::READ_WRITE);
    (mem, space)
}

#[test]
fn since_5_1_a_long_term_pin_leaves_what_contiguous_requests_take() {
    let region = NodeSpan { node: NodeId(0), first: Pfn(FIXED), frames: 24 };
    let take = |mem: &Mem<X86_64>| Memory::take_contiguous(mem, &region, |_, _| {});
    for text in crate::rules::PRESETS.iter().copied().chain(["5.1", "5.12"]) {
        let leaves = leaves_cma(rules(text).longterm_zone);
        for path in [Path::Any, Path::SlowOnly] {
            let (mem, space) = world_of_cma(text);
            (16..20).for_each(|page| assert!(store(&space, page, page).unwrap().0 >= FIXED));
            let ask = Ask::new(Access::Write, Term::Long).path(path);
            let pins = space.pin_with(pages(16, 2), ask).unwrap();
            assert_eq!(strays(pins.pages()), if leaves { 0 } else { 2 }, "{text}");
            assert_eq!(take(&mem).is_ok(), leaves, "{text}");
            assert!((16..20).all(|page| load(&space, page) == Ok(page)), "{text}");
            Audit::of(&mem).space(&space).pins(pins.pages()).check();
            let outside = NodeSpan { first: Pfn(FIXED - 1), ..region };
            let refused = Memory::take_contiguous(&mem, &outside, |_, _| {});
            let not = OfflineError::Span(MemoryMapError::NotCma(Pfn(FIXED - 1)));
            assert_eq!(refused, Err(not), "{text}");
        }
    }
}

/// A request takes from one region: what lies behind it is another, or none.
#[test]
fn a_contiguous_request_keeps_to_one_region() {
    let span = |first, frames| NodeSpan { node: NodeId(0), first: Pfn(first), frames };
    let (fixed, movable) = ([span(0, 16)], [span(32, 8)]);
    let cma = [span(16, 8), span(24, 8)];
    let setup = FrameSetup::new(&fixed).movable(&movable);
    let mem =
        machine_of::<X86_64>(Marks::Hardware, setup.cma(&cma), rules("pinfold"), Tuning::default());
    let take = |first, frames| Memory::take_contiguous(&mem, &span(first, frames), |_, _| {});
    let not = |pfn| Err(OfflineError::Span(MemoryMapError::NotCma(Pfn(pfn))));
    assert_eq!(take(20, 8), not(27));
    assert_eq!(take(28, 8), not(35));
    assert_eq!(take(15, 2), not(15));
    assert!(take(20, 4).is_ok() && take(24, 8).is_ok());
}

/// Memory that is there again by `add` is no region any more: a pin stays in it, and no request
/// takes it in one piece.
#[test]
fn memory_that_was_added_again_is_no_region() {
    let (mem, space) = world_of_cma("5.12");
    let region = NodeSpan { node: NodeId(0), first: Pfn(FIXED), frames: 24 };
    Memory::take_contiguous(&mem, &region, |_, _| {}).unwrap();
    // SAFETY: nobody uses the frames, which were taken out just now.
    unsafe { mem.frames().add(&region) }.unwrap();
    let taken = Memory::take_contiguous(&mem, &region, |_, _| {});
    assert_eq!(taken, Err(OfflineError::Span(MemoryMapError::NotCma(Pfn(FIXED)))));
    map(&space, 48, 16, Prot::READ_WRITE);
    (16..64).for_each(|page| _ = store(&space, page, page).unwrap());
    let pins = space.pin(pages(16, 48), Access::Write, Term::Long).unwrap();
    assert!(strays(pins.pages()) > 0, "the rest does not hold as many");
    Audit::of(&mem).space(&space).pins(pins.pages()).check();
}

/// A folio that reaches into a region leaves it whole, whichever of its pages is pinned.
#[test]
fn a_folio_that_reaches_into_a_region_leaves_it() {
    let span = |first, frames| NodeSpan { node: NodeId(0), first: Pfn(first), frames };
    let (movable, cma) = ([span(32, 2)], [span(34, 2)]);
    let fixed = [span(0, 32)];
    let setup = FrameSetup::new(&fixed).movable(&movable).cma(&cma);
    let tuning = Tuning { folios_advised: 1 << 2, ..Tuning::default() };
    let mem = machine_of::<Small>(Marks::Hardware, setup, rules("5.12"), tuning);
    let space = space(&mem);
    space.advise(map(&space, 4, 4, Prot::READ_WRITE), Advice::HugePage).unwrap();
    let first = store(&space, 4, 4).unwrap();
    assert_eq!(first, Pfn(32), "the folio takes all that can move");
    let pins = space.pin(pages(4, 1), Access::Write, Term::Long).unwrap();
    assert!(!(32..36).contains(&pins.pages()[0].0));
    assert!(Memory::take_contiguous(&mem, &cma[0], |_, _| {}).is_ok());
    Audit::of(&mem).space(&space).pins(pins.pages()).check();
}

/// Up to 5.12 a page that does not move is pinned where it lies; since 5.13 the request fails.
#[test]
fn what_does_not_move_out_of_there_is_kept_up_to_5_12() {
    for (text, keeps) in [("5.1", true), ("5.12", true), ("5.13", false), ("latest", false)] {
        let (mem, space) = world_of_cma(text);
        let page = store(&space, 16, 1).unwrap();
        let held = space.get(pages(16, 1), Access::Read).unwrap();
        let pins = space.pin(pages(16, 1), Access::Write, Term::Long);
        match &pins {
            Ok(pins) => assert_eq!((keeps, pins.pages()), (true, &[page][..]), "{text}"),
            Err(error) => assert_eq!((keeps, *error), (false, PinError::Unmoved(page)), "{text}"),
        }
        drop((held, pins));
        Audit::of(&mem).space(&space).check();
    }
}

#[test]
fn a_page_that_was_never_touched_does_not_stay_there_either() {
    let (mem, space) = world("pinfold");
    let pins = space.pin(pages(16, 3), Access::Write, Term::Long).unwrap();
    assert_eq!(strays(pins.pages()), 0);
    // A second request finds them settled.
    let moved = mem.stats().pgmigrate_success;
    let again = space.pin(pages(16, 3), Access::Read, Term::Long).unwrap();
    assert_eq!((again.pages(), mem.stats().pgmigrate_success), (pins.pages(), moved));
    let all = [pins.pages(), again.pages()].concat();
    Audit::of(&mem).space(&space).pins(&all).check();
}

#[test]
fn shared_memory_moves_out_for_all_who_map_it() {
    for text in crate::rules::PRESETS {
        let leaves = leaves_movable(rules(text).longterm_zone);
        for path in [Path::Any, Path::SlowOnly] {
            let (mem, space) = world(text);
            map_shared(&space, 50, 2);
            (50..52).for_each(|page| assert!(store(&space, page, page).unwrap().0 >= FIXED));
            let child = space.fork().unwrap();
            assert_eq!(load(&child, 50), Ok(50), "{text}");
            let ask = Ask::new(Access::Write, Term::Long).path(path);
            let pins = space.pin_with(pages(50, 2), ask).unwrap();
            assert_eq!(strays(pins.pages()), if leaves { 0 } else { 2 }, "{text}");
            assert_eq!(mem.stats().pgmigrate_success, if leaves { 2 } else { 0 }, "{text}");
            for (page, pinned) in (50..52).zip(pins.pages()) {
                device_write(&mem, *pinned, page + 9);
                for space in [&space, &child] {
                    assert_eq!(load(space, page), Ok(page + 9), "{text}");
                    assert_eq!(space.entry(VirtAddr::of_page(page)).pfn(), *pinned, "{text}");
                }
            }
            Audit::of(&mem).space(&space).space(&child).pins(pins.pages()).check();
        }
    }
}

#[test]
fn a_page_that_others_refer_to_refuses_the_request_and_nothing_is_held() {
    for text in ["5.13", "6.14", "latest", "pinfold"] {
        let (mem, space) = world(text);
        let pfn = store(&space, 16, 5).unwrap();
        store(&space, 17, 6).unwrap();
        let gets = space.get(pages(16, 1), Access::Write).unwrap();
        let error = space.pin(pages(16, 2), Access::Write, Term::Long).err();
        assert_eq!(error, Some(PinError::Unmoved(pfn)), "{text}");
        assert_eq!(space.locked_pages(), 0, "{text}");
        Audit::of(&mem).space(&space).gets(gets.pages()).check();
        drop(gets);
        let pins = space.pin(pages(16, 2), Access::Write, Term::Long).unwrap();
        assert_eq!((strays(pins.pages()), load(&space, 16)), (0, Ok(5)), "{text}");
        Audit::of(&mem).space(&space).pins(pins.pages()).check();
    }
}

#[test]
fn a_page_that_another_has_isolated_is_waited_for_with_nothing_held() {
    let (mem, space) = world("pinfold");
    let pfn = store(&space, 16, 5).unwrap();
    let isolated = mem.isolate(pfn, Sizes::Any).unwrap();
    std::thread::scope(|scope| {
        let pinner = scope.spawn(|| space.pin(pages(16, 1), Access::Write, Term::Long));
        while mem.stats().nr_foll_pin_released == 0 {
            std::thread::yield_now();
        }
        drop(isolated);
        let pins = pinner.join().unwrap().unwrap();
        assert_eq!((strays(pins.pages()), load(&space, 16)), (0, Ok(5)));
        Audit::of(&mem).space(&space).pins(pins.pages()).check();
    });
}

#[test]
fn in_6_14_a_page_that_cannot_be_isolated_stays_pinned_where_it_is() {
    let (mem, space) = world("6.14");
    let pfn = store(&space, 16, 5).unwrap();
    let isolated = mem.isolate(pfn, Sizes::Any).unwrap();
    let pins = space.pin(pages(16, 1), Access::Write, Term::Long).unwrap();
    assert_eq!(pins.pages(), [pfn]);
    drop(isolated);
    Audit::of(&mem).space(&space).pins(pins.pages()).check();
}

#[test]
fn the_lock_free_walk_leaves_such_pages_to_the_slow_path() {
    let (mem, space) = world("pinfold");
    store(&space, 16, 5).unwrap();
    let ask = Ask::new(Access::Write, Term::Long).path(Path::FastOnly);
    let (error, events) = mem.platform().record(|| space.pin_with(pages(16, 1), ask).err());
    assert_eq!(error, Some(PinError::WouldBlock(VirtAddr::of_page(16))));
    assert_eq!(stops(&events), [FastStop::Movable]);
    let (taken, _) = mem
        .platform()
        .record(|| space.pin_with(pages(16, 1), Ask { term: Term::Short, ..ask }).is_ok());
    assert!(taken);
    Audit::of(&mem).space(&space).check();
}

#[test]
fn a_large_folio_moves_out_once_and_whole() {
    let tuning = Tuning { folios_always: 1 << 2, ..Tuning::default() };
    let (mem, space) = world_with("pinfold", tuning);
    store(&space, 16, 5).unwrap();
    let moved = mem.stats().thp_migration_success;
    let pins = space.pin(pages(16, 4), Access::Write, Term::Long).unwrap();
    assert_eq!((strays(pins.pages()), mem.stats().thp_migration_success), (0, moved + 1));
    Audit::of(&mem).space(&space).pins(pins.pages()).check();
}

#[test]
fn without_a_frame_elsewhere_the_request_fails_and_changes_nothing() {
    let (mem, space) = world("pinfold");
    (16..18).for_each(|page| assert!(store(&space, page, page).unwrap().0 >= FIXED));
    let mut taken = std::vec::Vec::new();
    while let Ok(frame) =
        mem.frames().take_run(0, crate::Placement::Only(NodeId(0)), crate::Zone::Any)
    {
        taken.push(frame);
    }
    let error = space.pin(pages(16, 2), Access::Write, Term::Long).err();
    assert_eq!(error, Some(FaultError::OutOfFrames.into()));
    assert_eq!(space.locked_pages(), 0);
    taken.truncate(taken.len() - 1);
    let error = space.pin(pages(16, 2), Access::Write, Term::Long).err();
    assert_eq!(error, Some(FaultError::OutOfFrames.into()), "room for one of two");
    drop(taken);
    assert!((16..18).all(|page| load(&space, page) == Ok(page)));
    Audit::of(&mem).space(&space).check();
}

/// Who has seen the mark meanwhile may wait for its end.
#[test]
fn an_isolation_that_a_batch_refuses_has_ended_for_those_who_wait() {
    let (mem, space) = world_with("pinfold", Tuning { lru_batch: 15, ..Tuning::default() });
    let pfn = store(&space, 16, 5).unwrap();
    let seen = mem.isolations().seen();
    assert!(mem.isolate(pfn, Sizes::Any).is_none(), "it waits in a batch");
    assert_ne!(mem.isolations().seen(), seen);
    mem.lru_add_drain_all();
    Audit::of(&mem).space(&space).check();
}
