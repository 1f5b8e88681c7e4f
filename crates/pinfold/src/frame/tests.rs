use super::*;
use crate::addr::{NodeId, Pfn};
use crate::rules::pin::Hold;
use crate::rules::{HeadRecheck, TailRefs};
use std::vec::Vec;

fn two_nodes(frames: u64) -> Frames {
    let span = |node, first| NodeSpan { node: NodeId(node), first: Pfn(first), frames };
    Frames::new(&[span(0, 16), span(1, 64)]).expect("heap")
}

/// The rule of today for references on large folios.
fn frozen() -> TailRefs {
    TailRefs::HeadFrozen
}

/// Drops holds, and says what is left on which frame.
fn ungrab(frames: &Frames, pfn: Pfn, grip: Grip) -> (Pfn, Put) {
    match frames.ungrab_small(pfn, grip) {
        Some(put) => (pfn, put),
        None => frames.ungrab_large(pfn, grip.holds, frozen()).of,
    }
}

#[test]
fn a_node_runs_dry_and_only_preference_falls_back() {
    let frames = two_nodes(2);
    let alloc = |placement| frames.alloc(placement, Flags::ANON, Start::Held).map(NewFrame::keep);
    let here: Vec<_> = (0..2).map(|_| alloc(Placement::Only(NodeId(0))).unwrap()).collect();
    assert!(here.iter().all(|pfn| frames.node(*pfn) == NodeId(0)));
    assert!(alloc(Placement::Only(NodeId(0))).is_err());
    let there = alloc(Placement::Prefer(NodeId(0))).unwrap();
    assert_eq!(frames.node(there), NodeId(1));
    alloc(Placement::Prefer(NodeId(0))).unwrap();
    assert!(alloc(Placement::Prefer(NodeId(0))).is_err());
}

#[test]
fn a_dropped_new_frame_is_free_again() {
    let frames = two_nodes(1);
    drop(frames.alloc(Placement::Only(NodeId(1)), Flags::ANON, Start::Held).unwrap());
    assert_eq!(frames.free_frames(NodeId(1)), 1);
    let pfn = frames.alloc(Placement::Only(NodeId(1)), Flags::ANON, Start::Held).unwrap();
    assert_eq!(frames.counts(pfn.pfn()).refs(), 1);
}

#[test]
fn holes_between_spans_are_reserved() {
    let frames = two_nodes(2);
    assert_eq!(frames.peek_flags(Pfn(20)), Flags::RESERVED);
    assert!(!frames.contains(Pfn(15)) && frames.contains(Pfn(20)) && !frames.contains(Pfn(66)));
}

#[test]
fn a_free_frame_cannot_be_grabbed() {
    let frames = two_nodes(1);
    assert_eq!(
        frames.try_grab(Pfn(16), Holds::of(Hold::Pin, 1), || HeadRecheck::Again),
        Grab::Gone
    );
    assert_eq!(frames.counts(Pfn(16)).refs(), 0);
}

#[test]
fn a_pin_of_a_small_folio_is_1024_references() {
    let frames = two_nodes(1);
    let pfn = frames.alloc(Placement::Only(NodeId(0)), Flags::ANON, Start::Held).unwrap().keep();
    assert_eq!(
        frames.try_grab(pfn, Holds::of(Hold::Get, 1023), || HeadRecheck::Again),
        Grab::Taken(pfn)
    );
    assert!(frames.maybe_dma_pinned(pfn), "1024 ordinary references look like a pin");
    assert_eq!(frames.frame(pfn).put(1023), Put::Held);
    assert!(!frames.maybe_dma_pinned(pfn));
    assert_eq!(frames.grab(pfn, &Holds::of(Hold::Pin, 1), frozen), Grab::Taken(pfn));
    assert_eq!(frames.counts(pfn).refs(), 1 + PIN_BIAS);
    assert!(frames.maybe_dma_pinned(pfn));
}

#[test]
fn a_count_near_overflow_refuses_both_paths() {
    let frames = two_nodes(1);
    let pfn = frames.alloc(Placement::Only(NodeId(0)), Flags::ANON, Start::Held).unwrap().keep();
    frames.get(pfn, i32::MAX as u32, frozen);
    assert_eq!(
        frames.try_grab(pfn, Holds::of(Hold::Pin, 1), || HeadRecheck::Again),
        Grab::Overflow
    );
    assert_eq!(frames.grab(pfn, &Holds::of(Hold::Get, 1), frozen), Grab::Overflow);
    assert!(frames.maybe_dma_pinned(pfn), "the unsigned view survives the overflow");
}

#[test]
fn several_holds_are_taken_in_one_step_or_not_at_all() {
    let most = i32::MAX as u32;
    let frames = two_nodes(1);
    let pfn = frames.alloc(Placement::Only(NodeId(0)), Flags::ANON, Start::Held).unwrap().keep();
    // The last of so many finds the highest count that is no overflow yet.
    let [gets, pins] =
        [Holds::of(Hold::Get, most), Holds::of(Hold::Pin, (most - 1) / PIN_BIAS + 1)];
    for holds in [gets, pins] {
        assert_eq!(frames.try_grab(pfn, holds, || HeadRecheck::Again), Grab::Taken(pfn));
        assert_eq!(
            frames.try_grab(pfn, Holds::of(Hold::Get, 1), || HeadRecheck::Again),
            Grab::Overflow
        );
        assert_eq!(ungrab(&frames, pfn, holds.grip()), (pfn, Put::Held));
        assert_eq!(frames.grab(pfn, &holds, frozen), Grab::Taken(pfn));
        assert_eq!(ungrab(&frames, pfn, holds.grip()), (pfn, Put::Held));
        assert_eq!(frames.counts(pfn).refs(), 1);
        let one_more = Holds::of(holds.kind(), holds.times() + 1);
        assert_eq!(frames.try_grab(pfn, one_more, || HeadRecheck::Again), Grab::Overflow);
        assert_eq!(frames.grab(pfn, &one_more, frozen), Grab::Overflow);
        assert_eq!(frames.counts(pfn).refs(), 1, "nothing is left of what was refused");
    }
    let beyond = Holds::of(Hold::Pin, u32::MAX);
    assert_eq!(frames.try_grab(pfn, beyond, || HeadRecheck::Again), Grab::Overflow);
    assert_eq!(frames.grab(pfn, &beyond, frozen), Grab::Overflow);
    assert_eq!(frames.counts(pfn).maps(), 0);
}

#[test]
fn a_large_folio_counts_each_of_several_pins_as_one() {
    let frames = two_nodes(4);
    let run = frames.take_run(2, Placement::Only(NodeId(0)), Zone::Any).unwrap();
    let head = run.keep();
    let most = Holds::of(Hold::Pin, i32::MAX as u32);
    assert_eq!(frames.try_grab(head, most, || HeadRecheck::Again), Grab::Taken(head));
    assert_eq!(frames.pincount(head), Some(i32::MAX as u32));
    assert_eq!(ungrab(&frames, head, most.grip()), (head, Put::Held));
    let one_more = Holds::of(Hold::Pin, i32::MAX as u32 + 1);
    assert_eq!(frames.try_grab(head, one_more, || HeadRecheck::Again), Grab::Overflow);
    assert_eq!(frames.grab(head, &one_more, frozen), Grab::Overflow);
    assert_eq!((frames.pincount(head), frames.counts(head).refs()), (Some(0), 1));
}

#[test]
fn a_large_folio_counts_on_its_head_and_pins_exactly() {
    let frames = two_nodes(4);
    let run = frames.take_run(2, Placement::Only(NodeId(0)), Zone::Any).unwrap();
    let pfns: Vec<_> = run.pfns().collect();
    let head = run.keep();
    assert_eq!((head, pfns.len(), frames.order(head)), (pfns[0], 4, 2));
    assert_eq!(frames.counts(pfns[2]).refs(), 0, "a tail counts nothing");
    assert_eq!(frames.head_of(pfns[3]), head);
    assert_eq!(
        frames.try_grab(pfns[3], Holds::of(Hold::Pin, 2), || HeadRecheck::Again),
        Grab::Taken(head)
    );
    assert_eq!(frames.pincount(head), Some(2));
    assert_eq!(frames.counts(head).refs(), 3);
    frames.get(pfns[2], 2000, frozen);
    assert_eq!(ungrab(&frames, pfns[3], Holds::of(Hold::Pin, 2).grip()), (head, Put::Held));
    assert!(!frames.maybe_dma_pinned(pfns[1]), "references alone never look pinned here");
    assert_eq!(frames.frame(head).put(2001), Put::Last);
    frames.release(head);
    assert_eq!(frames.free_frames(NodeId(0)), 4);
    assert_eq!(frames.head_of(pfns[3]), pfns[3]);
}

#[test]
fn a_walker_with_the_tail_of_an_earlier_life_finds_nothing_to_hold() {
    let frames = two_nodes(4);
    let run = frames.take_run(2, Placement::Only(NodeId(0)), Zone::Any).unwrap();
    let tail = frames.frame(run.pfns().last().unwrap());
    let head = run.first();
    // The walker sees the tail's flag, and the number is that of another life: the end of a list, a
    // page number, a live frame.
    for number in [(1 << 52) - 1, u64::MAX, 3, head.0 + 1, 64] {
        tail.index.write_once(number);
        assert_eq!(
            frames.try_grab(Pfn(head.0 + 3), Holds::of(Hold::Pin, 1), || HeadRecheck::Again),
            Grab::Gone,
            "{number}"
        );
    }
    assert_eq!(frames.counts(head).refs(), 1);
    tail.index.write_once(head.0);
    drop(run);
    assert_eq!(
        frames.try_grab(Pfn(head.0 + 3), Holds::of(Hold::Pin, 1), || HeadRecheck::Again),
        Grab::Gone
    );
}

#[test]
fn dropping_more_references_than_there_are_changes_nothing() {
    let frames = two_nodes(1);
    let pfn = frames.alloc(Placement::Only(NodeId(0)), Flags::ANON, Start::Held).unwrap().keep();
    assert_eq!(frames.frame(pfn).put(2), Put::Underflow);
    assert_eq!(frames.counts(pfn).refs(), 1);
}

#[test]
fn the_exclusive_mark_shares_the_word_and_disturbs_no_count() {
    let frames = two_nodes(1);
    let pfn = frames.alloc(Placement::Only(NodeId(0)), Flags::ANON, Start::Held).unwrap().keep();
    frames.page(pfn).mark_exclusive();
    let _ = frames.page(pfn).get_map_first();
    assert_eq!((frames.counts(pfn).refs(), frames.counts(pfn).maps()), (2, 1));
    assert!(frames.counts(pfn).is_exclusive());
    frames.page(pfn).clear_exclusive();
    assert_eq!((frames.counts(pfn).refs(), frames.counts(pfn).maps()), (2, 1));
}

#[test]
fn spans_that_overlap_or_run_past_the_end_are_refused() {
    let span = |node, first, frames| NodeSpan { node: NodeId(node), first: Pfn(first), frames };
    let refused = |spans: &[NodeSpan]| Frames::new(spans).err();
    let (a, b) = (span(0, 0, 8), span(1, 7, 8));
    assert_eq!(refused(&[a, b]), Some(SpanError::Overlap(a, b)));
    let far = span(0, u64::MAX, 2);
    assert_eq!(refused(&[far]), Some(SpanError::PastTheEnd(far)));
    assert!(Frames::new(&[]).is_ok_and(|none| none.total_free() == 0));
}

mod owners;
