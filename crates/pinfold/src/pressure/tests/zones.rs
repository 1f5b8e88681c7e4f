//! Memory that is short of one kind: who reclaims takes pages of that kind, and no others.

use super::*;
use crate::{LowmemReserve, NewFrames, NoRun, NoRunReason, Placement, ZoneInfo, ZoneKind};
use std::string::ToString;

/// The first frame above 4 GiB.
const BORDER: u64 = 1 << 20;
const HERE: Placement = Placement::Only(NODE);

/// A machine of one node that has so many frames below 4 GiB and above, with lists and a swap
/// device; and a space with pages from 16 on.
fn across((low, high): (u64, u64), tuning: Tuning, slots: u64) -> (Mem<X86_64>, Space<X86_64>) {
    let spans = [NodeSpan { node: NODE, first: Pfn(BORDER - low), frames: low + high }];
    let setup = FrameSetup::new(&spans);
    let mem = machine_of::<X86_64>(Marks::Hardware, setup, rules("pinfold"), tuning);
    if slots > 0 {
        mem.swap_on(Box::new(Disk::default()), slots, SwapWrites::Any).unwrap();
    }
    let space = space(&mem);
    map(&space, 16, 400, RW);
    (mem, space)
}

/// Stores to as many pages as there are frames; how many.
fn fill(mem: &Mem<X86_64>, space: &Space<X86_64>) -> u64 {
    let full = (16..416).find(|page| {
        store(space, *page, *page).unwrap();
        mem.frames().total_free() == 0
    });
    let pages = full.expect("the space has more pages than the machine frames") - 15;
    mem.lru_add_drain_all();
    pages
}

/// How many pages lie below 4 GiB, and how many above.
fn lie(space: &Space<X86_64>, count: u64) -> (usize, usize) {
    let frames = (16..16 + count).filter_map(|page| space.entry(VirtAddr::of_page(page)).counted());
    let (low, high): (Vec<_>, Vec<_>) = frames.partition(|pfn| pfn.0 < BORDER);
    (low.len(), high.len())
}

fn is_low(space: &Space<X86_64>, page: u64) -> bool {
    let pfn = space.entry(VirtAddr::of_page(page)).counted();
    pfn.is_some_and(|pfn| pfn.0 < BORDER)
}

fn zone(mem: &Mem<X86_64>, kind: ZoneKind) -> ZoneInfo {
    mem.frames().zone_info(NODE, kind).expect("the machine has both")
}

#[test]
fn who_needs_low_memory_takes_low_pages_and_no_others() {
    let (mem, space) = across((48, 64), listing(1), 256);
    let count = fill(&mem, &space);
    forget_use(&space, 16, count);
    let (low, high) = lie(&space, count);
    assert!(low > 20 && high > 40, "{low} and {high}");
    // Those that lie high would leave first.
    for page in (16..16 + count).filter(|page| !is_low(&space, *page)) {
        forget_use(&space, page, 1);
    }
    let run = mem.take_run(0, HERE, Zone::Low32).expect("pages can leave");
    assert!(run.first().0 < BORDER);
    let (low_now, high_now) = lie(&space, count);
    assert!(low_now < low && high_now == high, "{low_now} of {low}, {high_now} of {high}");
    let stats = mem.stats();
    assert_eq!((stats.allocstall, stats.allocstall_dma32), (1, 1));
    assert!(stats.pgskip_normal > 0 && stats.pgskip_dma32 == 0, "{stats:?}");
    drop(run);
    Audit::of(&mem).space(&space).check();
    for page in 16..16 + count {
        assert_eq!(load(&space, page), Ok(page));
    }
    Audit::of(&mem).space(&space).check();
}

#[test]
fn a_page_that_is_passed_over_stays_on_its_list() {
    let (mem, space) = across((48, 64), listing(1), 256);
    let count = fill(&mem, &space);
    forget_use(&space, 16, count);
    let ListSizes { active, inactive, .. } = mem.list_sizes(NODE);
    let freed = mem.reclaim_zone(NODE, Zone::Low32, 400).freed;
    let (low, high) = lie(&space, count);
    assert_eq!(low, 0, "all that lie low");
    let after = mem.list_sizes(NODE);
    assert_eq!(active + inactive - freed, after.active + after.inactive);
    assert_eq!(mem.reclaim(NODE, 400).freed, high as u64, "and the others can still leave");
    Audit::of(&mem).space(&space).check();
}

#[test]
fn low_pages_in_use_leave_when_none_of_the_others_lies_low() {
    let (mem, space) = across((48, 64), listing(1), 256);
    let count = fill(&mem, &space);
    forget_use(&space, 16, count);
    let child = space.fork().unwrap();
    let low: Vec<_> = (16..16 + count).filter(|page| is_low(&space, *page)).collect();
    // All but one are looked at before that one, and in use by two entries.
    for page in &low {
        forget_use(&space, *page, 1);
    }
    for page in &low[1..] {
        assert_eq!([load(&space, *page), load(&child, *page)], [Ok(*page); 2]);
    }
    assert_eq!(mem.reclaim_zone(NODE, Zone::Low32, 1).freed, 1);
    let ListSizes { active, inactive, .. } = mem.list_sizes(NODE);
    assert!(active > 0 && inactive > active, "{active} and {inactive}");
    let (still, high) = lie(&space, count);
    assert!(still > 0);
    let freed = mem.reclaim_zone(NODE, Zone::Low32, still as u64).freed;
    assert_eq!((freed, lie(&space, count)), (still as u64, (0, high)));
    Audit::of(&mem).space(&space).space(&child).check();
}

#[test]
fn an_exhausted_zone_is_an_ordinary_error_that_names_it() {
    for (slots, lists) in [(0, 1), (256, 0)] {
        let (mem, space) = across((32, 32), listing(lists), slots);
        let all: Vec<_> = core::iter::from_fn(|| mem.take_run(0, HERE, Zone::Low32).ok()).collect();
        assert!(all.iter().all(|run| run.first().0 < BORDER));
        let error = mem.take_run(0, HERE, Zone::Low32).unwrap_err();
        let reason = NoRunReason::NothingLeaves;
        assert_eq!(error, NoRun { order: 0, placement: HERE, zone: Zone::Low32, reason });
        let text = error.to_string();
        assert!(text.contains("below 4 GiB") && text.contains("node 0"), "{text}");
        let huge = mem.take_run(99, HERE, Zone::Any).unwrap_err().to_string();
        assert!(huge.contains("at most 2^10"), "{huge}");
        store(&space, 16, 1).expect("there is other memory");
        let node = mem.take_run(0, Placement::Only(NodeId(9)), Zone::Any);
        assert!(node.is_err(), "there is no such node");
        drop(all);
        assert!(mem.take_run(4, HERE, Zone::Low32).is_ok(), "they came back");
        Audit::of(&mem).space(&space).check();
    }
}

#[test]
fn who_can_wait_never_goes_below_min_and_waits_for_it() {
    let marks = Watermarks { min: 32, low: 40, high: 48 };
    let tuning = Tuning { watermarks: marks, ..listing(1) };
    let (mem, space) = across((64, 64), tuning, 400);
    for page in 16..216 {
        store(&space, page, page).unwrap();
    }
    let mut held = Vec::new();
    while let Ok(run) = mem.take_run(0, HERE, Zone::Low32) {
        held.push(run);
        let low = zone(&mem, ZoneKind::Dma32);
        assert!(low.free >= low.min, "{low:?}");
    }
    assert!(held.len() > 40, "all pages there left: {}", held.len());
    assert!(lie(&space, 200).1 > 0, "and not those above");
    drop(held);
    Audit::of(&mem).space(&space).check();
}

#[test]
fn the_background_brings_each_zone_up_and_no_other() {
    let marks = Watermarks { min: 8, low: 24, high: 48 };
    let tuning = Tuning { watermarks: marks, ..listing(1) };
    let (mem, space) = across((64, 128), tuning, 400);
    let low = zone(&mem, ZoneKind::Dma32);
    let normal = zone(&mem, ZoneKind::Normal);
    assert_eq!([low.low, normal.low, low.high, normal.high], [8, 16, 16, 32]);
    while !mem.is_low(NODE) {
        let page = 16 + mem.list_sizes(NODE).inactive;
        store(&space, page, page).unwrap();
    }
    forget_use(&space, 16, 300);
    assert!(zone(&mem, ZoneKind::Dma32).free >= 8, "requests leave `low` where they can");
    mem.balance(NODE);
    // A device has of the low memory what is above `min`.
    let mut device: Vec<NewFrames<'_>> = Vec::new();
    while zone(&mem, ZoneKind::Dma32).free > 4 {
        device.push(mem.take_run(0, HERE, Zone::Low32).unwrap());
    }
    let free = zone(&mem, ZoneKind::Normal).free;
    assert!(mem.is_low(NODE) && free >= normal.high);
    mem.balance(NODE);
    let low = zone(&mem, ZoneKind::Dma32);
    assert!(low.free >= low.high, "{low:?}");
    assert_eq!(zone(&mem, ZoneKind::Normal).free, free, "nothing above had to leave");
    assert_eq!(mem.balance(NODE), Reclaimed::default());
    drop(device);
    Audit::of(&mem).space(&space).check();
}

#[test]
fn a_reserve_keeps_low_memory_from_processes() {
    let reserve = LowmemReserve { dma32: 4, normal: 4 };
    let tuning = Tuning { lowmem_reserve: reserve, ..listing(1) };
    let (mem, space) = across((64, 128), tuning, 400);
    for page in 16..316 {
        store(&space, page, page).unwrap();
        assert!(zone(&mem, ZoneKind::Dma32).free >= 32);
    }
    assert!(mem.stats().allocstall > 0);
    let runs: Vec<_> = (0..32).map(|_| mem.frames().take_run(0, HERE, Zone::Low32)).collect();
    assert!(runs.iter().all(Result::is_ok), "without reclaim");
    drop(runs);
    Audit::of(&mem).space(&space).check();
}

/// A machine whose memory above 4 GiB has 20 pages that are not in use and below it 4 that two
/// entries used, with free frames of both kinds.
fn few_in_use() -> (Mem<X86_64>, Space<X86_64>, Space<X86_64>) {
    let (mem, space) = across((48, 64), listing(1), 256);
    let count = fill(&mem, &space);
    forget_use(&space, 16, count);
    let of = |low| (16..16 + count).filter(|page| is_low(&space, *page) == low).collect::<Vec<_>>();
    let (low, high) = (of(true), of(false));
    for page in low[4..].iter().chain(&high[20..]) {
        space.advise(pages(*page, 1), Advice::DontNeed).unwrap();
    }
    let child = space.fork().unwrap();
    for page in &low[..4] {
        assert_eq!([load(&space, *page), load(&child, *page)], [Ok(*page); 2]);
    }
    mem.lru_add_drain_all();
    assert_eq!(mem.list_sizes(NODE), sizes(0, 24));
    (mem, space, child)
}

#[test]
fn low_pages_in_use_leave_where_the_lists_are_short() {
    let (mem, space, child) = few_in_use();
    assert_eq!(mem.reclaim_zone(NODE, Zone::Low32, 4).freed, 4);
    assert_eq!(mem.list_sizes(NODE), sizes(0, 20));
    assert_eq!(mem.reclaim_zone(NODE, Zone::Low32, 4).freed, 0);
    Audit::of(&mem).space(&space).space(&child).check();
}

/// Those that are looked at first are all of another zone, and all of a long list are.
#[test]
fn low_pages_in_use_leave_where_the_list_of_the_others_is_long() {
    let (mem, space) = across((16, 330), listing(1), 512);
    let count = fill(&mem, &space);
    forget_use(&space, 16, count);
    let child = space.fork().unwrap_or_else(|_| unreachable!("reclaim makes room"));
    let low: Vec<_> = (16..16 + count).filter(|page| is_low(&space, *page)).collect();
    for page in &low {
        forget_use(&space, *page, 1);
        assert_eq!([load(&space, *page), load(&child, *page)], [Ok(*page); 2]);
    }
    mem.lru_add_drain_all();
    let low = lie(&space, count).0 as u64;
    assert!(low > 4, "{low}");
    assert_eq!(mem.reclaim_zone(NODE, Zone::Low32, low).freed, low);
    Audit::of(&mem).space(&space).space(&child).check();
}

#[test]
fn a_round_passes_over_a_page_once() {
    let (mem, space) = across((48, 64), listing(1), 256);
    (16..21).for_each(|page| _ = store(&space, page, page).unwrap());
    assert_eq!((lie(&space, 5), mem.list_sizes(NODE)), ((0, 5), sizes(0, 5)));
    assert_eq!(mem.reclaim_zone(NODE, Zone::Low32, 1), Reclaimed::default());
    assert_eq!(mem.stats().pgskip_normal, 5);
    for page in 16..21 {
        space.advise(pages(page, 1), Advice::DontNeed).unwrap();
    }
    Audit::of(&mem).space(&space).check();
}

#[test]
fn a_stall_counts_for_the_highest_zone_that_is_wanted() {
    let (mem, space) = across((48, 64), listing(1), 256);
    let count = fill(&mem, &space);
    forget_use(&space, 16, count);
    assert!(mem.make_room(1));
    let stats = mem.stats();
    let by_zone = [stats.allocstall_dma32, stats.allocstall_normal, stats.allocstall_movable];
    assert_eq!((stats.allocstall, by_zone), (1, [0, 0, 1]));
    Audit::of(&mem).space(&space).check();
}

/// A share of `min` that is rounded to nothing is not kept by a zone that has nothing.
#[test]
fn an_empty_zone_with_no_share_does_not_stand_for_the_node() {
    let marks = Watermarks { min: 8, low: 0, high: 0 };
    let tuning = Tuning { watermarks: marks, ..listing(1) };
    let (mem, space) = across((4, 124), tuning, 256);
    assert_eq!(zone(&mem, ZoneKind::Dma32).min, 0);
    let low: Vec<_> =
        core::iter::from_fn(|| mem.frames().take_run(0, HERE, Zone::Low32).ok()).collect();
    assert_eq!(low.len(), 4);
    for page in 16..216 {
        store(&space, page, page).unwrap();
    }
    let free = zone(&mem, ZoneKind::Normal).free;
    assert!(free + 4 >= 8, "each store reclaims below `min`, and takes few: {free}");
    drop(low);
    Audit::of(&mem).space(&space).check();
}

/// A machine whose low memory has free frames and pages that can leave, but every 16th frame is
/// somebody's for good.
fn in_pieces() -> (Mem<X86_64>, Space<X86_64>, Disk, Vec<Pfn>) {
    let (mem, space) = across((64, 64), listing(1), 0);
    let disk = Disk::default();
    mem.swap_on(Box::new(disk.clone()), 256, SwapWrites::Any).unwrap();
    let take = || mem.frames().take_run(0, HERE, Zone::Low32).ok();
    let (kept, rest): (Vec<_>, Vec<_>) =
        core::iter::from_fn(take).partition(|run| run.first().0.is_multiple_of(16));
    let kept = kept.into_iter().map(NewFrames::keep).collect();
    drop(rest);
    let count = fill(&mem, &space);
    forget_use(&space, 16, count);
    (mem, space, disk, kept)
}

fn give_back(mem: &Mem<X86_64>, kept: &[Pfn]) {
    // SAFETY: `in_pieces` kept them, and nobody else has them.
    kept.iter().for_each(|pfn| drop(unsafe { NewFrames::kept(mem.frames(), *pfn) }));
}

#[test]
fn what_has_left_and_does_not_lie_together_is_not_said_to_stay() {
    let (mem, space, _, kept) = in_pieces();
    let error = mem.take_run(5, HERE, Zone::Low32).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("does not lie together") && !text.contains("can leave"), "{text}");
    assert!(mem.stats().pgsteal_direct >= 32);
    assert!(mem.take_run(3, HERE, Zone::Low32).is_ok(), "smaller ones there are");
    let error = mem.take_run(0, Placement::Only(NodeId(9)), Zone::Any).unwrap_err();
    assert!(error.to_string().contains("no node 9"), "{error}");
    give_back(&mem, &kept);
    Audit::of(&mem).space(&space).check();
}

#[test]
fn who_asks_for_a_large_run_has_a_turn_of_his_own() {
    let (mem, space, disk, kept) = in_pieces();
    let (machine, (tell, told)) = (mem.clone(), channel());
    disk.while_writing(move || {
        let waits = spawn(move || machine.take_run(5, HERE, Zone::Low32).is_err());
        std::thread::sleep(Duration::from_millis(50));
        tell.send(waits).unwrap();
    });
    assert!(mem.take_run(5, HERE, Zone::Low32).is_err());
    assert!(told.recv().unwrap().join().unwrap());
    assert_eq!(mem.stats().allocstall, 2);
    give_back(&mem, &kept);
    Audit::of(&mem).space(&space).check();
}
