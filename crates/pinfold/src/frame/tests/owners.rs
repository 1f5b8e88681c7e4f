//! Frames from outside and back, metadata in given memory, memory that is added, and which frames
//! may come from movable memory.

use core::mem::MaybeUninit;
use std::boxed::Box;
use std::vec::Vec;

use crate::addr::{NodeId, Pfn};
use crate::frame::*;
use crate::testing::{
    Audit, Marks, Mem, Outside, load, machine_of, map, map_shared, pages, space, spans, store,
};
use crate::{AddressSpace, Format, OutOfFrames, Prot, Rules, Tuning, X86_64};

const ANYWHERE: Placement = Placement::Prefer(NodeId(0));

const fn span(node: u8, first: u64, frames: u64) -> NodeSpan {
    NodeSpan { node: NodeId(node), first: Pfn(first), frames }
}

fn over(outside: &'static Outside, nodes: &[u64]) -> Mem<X86_64> {
    let spans = spans(nodes);
    let setup = FrameSetup::new(&spans).source(outside);
    machine_of(Marks::Hardware, setup, Rules::default(), Tuning::default())
}

/// Touches, forks, copies, shares, pins and moves.
fn live(mem: &Mem<X86_64>) {
    let parent = space(mem);
    map(&parent, 16, 8, Prot::READ_WRITE);
    map_shared(&parent, 40, 2);
    for page in 16..24 {
        store(&parent, page, page).unwrap();
    }
    store(&parent, 41, 1).unwrap();
    let pins = parent.pin(pages(16, 2), crate::Access::Write, crate::Term::Long).unwrap();
    let child = parent.fork().unwrap();
    store(&parent, 20, 7).unwrap();
    assert_eq!((load(&child, 20), load(&child, 41)), (Ok(20), Ok(1)));
    assert!(child.migrate(pages(16, 8), NodeId(1)).moved > 0);
    Audit::of(mem).space(&parent).space(&child).pins(pins.pages()).check();
    drop(parent);
    Audit::of(mem).space(&child).pins(pins.pages()).check();
}

#[test]
fn a_life_over_an_outside_owner_takes_only_what_it_hands_out_and_gives_all_back() {
    let nodes = [64, 32];
    let outside = Outside::of(&spans(&nodes));
    let mem = over(outside, &nodes);
    assert_eq!(mem.zero_page(), Pfn(63), "the owner's choice");
    live(&mem);
    Audit::of(&mem).check();
    let here = mem.frames().free_frames(NodeId(0));
    assert_eq!((here, mem.frames().total_free()), (63, 95));
    drop(mem);
    assert!(outside.has_all());
    let requests = core::mem::take(&mut outside.books().requests);
    let movable = requests.iter().filter(|request| request.zone == Zone::Movable).count();
    assert!(
        movable > 16 && requests.len() - movable > 8,
        "pages move; tables and shared pages stay"
    );
    assert!(requests.iter().all(|request| request.order == 0));
}

#[test]
fn runs_of_an_outside_owner_keep_their_order_to_the_end() {
    let outside = Outside::of(&spans(&[64]));
    let mem = over(outside, &[64]);
    let run = mem.frames().take_run(4, ANYWHERE, Zone::Low32).unwrap();
    assert_eq!(
        outside.books().requests.last().map(|last| (last.order, last.zone)),
        Some((4, Zone::Low32))
    );
    let tail = run.pfns().last().unwrap();
    assert_eq!(mem.frames().head_of(tail), run.first());
    drop(run);
    assert_eq!(mem.frames().total_free(), 63);
    assert!(mem.frames().take_run(6, ANYWHERE, Zone::Any).is_err(), "the zero page is in the way");
}

#[test]
fn an_owner_that_refuses_makes_an_ordinary_error() {
    let outside = Outside::of(&spans(&[64]));
    let mem = over(outside, &[64]);
    outside.books().refuse_after = Some(0);
    let refused = AddressSpace::new(&mem, crate::Limits::of_format::<X86_64>()).err();
    assert_eq!(refused, Some(crate::SpaceError::OutOfFrames));
    outside.books().refuse_after = Some(0);
    assert_eq!(mem.frames().take(ANYWHERE).err(), Some(OutOfFrames));
    Audit::of(&mem).check();
}

/// Hands out the same frame for ever.
struct Careless(Pfn);

// SAFETY: unsound on purpose; used only to check that it is caught.
unsafe impl FrameSource for Careless {
    fn alloc(&self, _: Request) -> Result<Pfn, OutOfFrames> {
        Ok(self.0)
    }

    unsafe fn free(&self, _: Pfn, _: u32) {}

    fn free_frames(&self, _: NodeId) -> u64 {
        0
    }

    fn total_free(&self) -> u64 {
        0
    }
}

#[test]
#[should_panic = "no such free run"]
fn an_owner_that_hands_a_frame_out_twice_is_stopped() {
    static CARELESS: Careless = Careless(Pfn(3));
    let frames = FrameSetup::new(&[span(0, 0, 8)]).source(&CARELESS).build().unwrap();
    let _held = frames.take(ANYWHERE).unwrap();
    drop(frames.take(ANYWHERE));
}

#[test]
#[should_panic = "no such free run"]
fn an_owner_that_hands_out_a_frame_of_a_hole_is_stopped() {
    static CARELESS: Careless = Careless(Pfn(9));
    let spans = [span(0, 0, 8), span(0, 16, 8)];
    let frames = FrameSetup::new(&spans).source(&CARELESS).build().unwrap();
    drop(frames.take(ANYWHERE));
}

#[test]
fn pages_come_from_movable_memory_and_tables_do_not() {
    let (fixed, movable) = ([span(0, 0, 24)], [span(0, 24, 40), span(1, 64, 32)]);
    let setup = FrameSetup::new(&fixed).movable(&movable);
    let mem: Mem<X86_64> = machine_of(Marks::Hardware, setup, Rules::default(), Tuning::default());
    let is_movable = |pfn: Pfn| pfn.0 >= 24;
    assert!(!is_movable(mem.zero_page()));
    let space = space(&mem);
    assert!(!is_movable(space.root()));
    map(&space, 16, 8, Prot::READ_WRITE);
    map_shared(&space, 40, 2);
    let page = store(&space, 16, 1).unwrap();
    let shared = store(&space, 40, 1).unwrap();
    assert!(is_movable(page) && is_movable(shared));
    crate::lab::account(&space, |pfn, holder| {
        assert!(holder != crate::lab::Holder::Table || !is_movable(pfn), "{pfn} is a table");
    });
    let child = space.fork().unwrap();
    assert!(is_movable(store(&child, 16, 2).unwrap()), "a copy");
    assert_eq!(child.migrate(pages(16, 1), NodeId(1)).moved, 1, "to a node of movable memory only");
    drop((space, child));
    Audit::of(&mem).check();
}

#[test]
fn when_movable_memory_is_full_pages_take_the_rest() {
    let (fixed, movable) = ([span(0, 0, 24)], [span(0, 24, 2)]);
    let setup = FrameSetup::new(&fixed).movable(&movable);
    let mem: Mem<X86_64> = machine_of(Marks::Hardware, setup, Rules::default(), Tuning::default());
    let space = space(&mem);
    map(&space, 16, 8, Prot::READ_WRITE);
    let taken: Vec<_> = (16..20).map(|page| store(&space, page, 1).unwrap().0 >= 24).collect();
    assert_eq!(taken, [true, true, false, false]);
}

#[test]
fn a_table_past_what_entries_can_name_is_refused_however_it_was_made() {
    let frames = FrameSetup::new(&[span(0, crate::Sv39::MAX_PFN - 1, 3)]).build().unwrap();
    let host = crate::mock::Host::<crate::Sv39>::new(0);
    // SAFETY: refused before a frame is touched.
    let refused = unsafe { crate::Memory::over(host, frames, Rules::default(), Tuning::default()) };
    assert!(matches!(refused.err(), Some(crate::MemoryError::PastFormat { .. })));
}

fn region(len: usize) -> &'static mut [MaybeUninit<FrameMeta>] {
    Box::leak(Box::<[FrameMeta]>::new_uninit_slice(len))
}

#[test]
fn metadata_in_given_memory_serves_like_that_of_the_heap() {
    let spans = spans(&[64, 32]);
    let len = FrameSetup::new(&spans).metadata_len().unwrap();
    assert!((96..96 + 64).contains(&len), "{len} elements of 32 bytes");
    let given = region(len);
    let bytes = given.as_ptr_range();
    let setup = FrameSetup::new(&spans).metadata(given);
    let mem: Mem<X86_64> = machine_of(Marks::Hardware, setup, Rules::default(), Tuning::default());
    for pfn in [Pfn(0), Pfn(95)] {
        let at = core::ptr::from_ref(mem.frames().frame(pfn)).cast();
        assert!(bytes.contains(&at), "the metadata of {pfn} lies in the region");
    }
    live(&mem);
    Audit::of(&mem).check();
    assert_eq!(mem.frames().total_free(), 95);
}

#[test]
fn a_region_that_is_too_small_is_refused_with_what_it_needs() {
    let spans = spans(&[64]);
    let needed = FrameSetup::new(&spans).metadata_len().unwrap();
    let given = needed - 1;
    let refused = FrameSetup::new(&spans).metadata(region(given)).build().err();
    assert_eq!(refused, Some(SpanError::RegionTooSmall { given, needed }));
}

#[test]
fn memory_that_is_added_later_joins_its_neighbours() {
    let frames = Frames::new(&[span(0, 0, 16), span(0, 24, 8)]).unwrap();
    let whole = || frames.take_run(5, ANYWHERE, Zone::Any).is_ok();
    assert!(!whole());
    // SAFETY: no frame is ever touched here.
    let add = |span| unsafe { frames.add(&span) };
    assert_eq!(add(span(0, 16, 9)), Err(MemoryMapError::NotReserved(Pfn(24))));
    assert_eq!(add(span(1, 16, 8)), Err(MemoryMapError::Outside(Pfn(16))));
    assert_eq!(add(span(0, 30, 8)), Err(MemoryMapError::NotReserved(Pfn(30))));
    assert_eq!(frames.total_free(), 24, "nothing has changed");
    assert_eq!(add(span(0, 16, 8)), Ok(()));
    assert_eq!(add(span(0, 16, 8)), Err(MemoryMapError::NotReserved(Pfn(16))));
    assert!(frames.total_free() == 32 && whole());
}

#[test]
fn what_is_reserved_keeps_its_zone() {
    const FIRST: u64 = 1 << 20;
    let above = span(0, FIRST, 16);
    let frames = Frames::new(&[span(0, FIRST - 16, 16), above]).unwrap();
    frames.reserve(Pfn(FIRST), 16).unwrap();
    assert_eq!(frames.check_span(&above, Wanted::Out), Ok(()));
    assert_eq!(frames.bring_back(&above), 16);
    let low = core::iter::from_fn(|| frames.take_run(0, ANYWHERE, Zone::Low32).ok());
    let low: Vec<_> = low.map(|run| run.keep()).collect();
    assert!(low.len() == 16 && low.iter().all(|pfn| pfn.0 < FIRST), "{low:?}");
}
