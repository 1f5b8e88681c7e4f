use super::*;

/// A ledger of two lanes at the start, with a cell at 8 in a region of 16 bytes.
fn begun() -> Ledger {
    let mut ledger = Ledger::default();
    ledger.begin();
    ledger.declare(None, 0, 16);
    ledger.lanes(2);
    ledger
}

/// The key after both lanes added to the cell, which they meet in this order.
fn after(order: [usize; 2], look: impl Fn(&mut Ledger, usize, u64)) -> Option<Digest> {
    let mut ledger = begun();
    ledger.meets(order[0], 0, Kind::Cell, 8);
    ledger.holds(0, 5);
    for (old, lane) in (5..).zip(order) {
        ledger.announces(lane, 2, Some(0));
        ledger.makes(lane);
        look(&mut ledger, lane, old);
        ledger.holds(0, old + 1);
    }
    ledger.key()
}

#[test]
fn additions_that_nobody_looks_at_lead_to_one_state() {
    let unseen = |order| after(order, |_, _, _| {});
    assert_eq!(unseen([0, 1]), unseen([1, 0]));
    let seen = |order| after(order, Ledger::observes);
    assert_ne!(seen([0, 1]), seen([1, 0]));
}

#[test]
fn a_cell_that_holds_what_it_held_at_first_is_as_if_nobody_had_met_it() {
    let start = begun().key();
    let mut ledger = begun();
    ledger.meets(0, 0, Kind::Cell, 8);
    ledger.holds(0, 5);
    assert_eq!(ledger.key(), start);
    ledger.holds(0, 6);
    assert_ne!(ledger.key(), start);
    ledger.holds(0, 5);
    assert_eq!(ledger.key(), start);
}

/// The key after both lanes wrote plain memory under a lock in this order.
fn written(order: [usize; 2], says: Option<u64>) -> Option<Digest> {
    let mut ledger = begun();
    ledger.meets(0, 0, Kind::Lock, 0);
    for lane in order {
        ledger.takes(lane, 0);
        ledger.touches_plain(lane, 8, Plain::Write);
        says.into_iter().for_each(|value| ledger.settles(lane, 8, value));
        ledger.gives_back(lane, 0);
    }
    ledger.key()
}

#[test]
fn who_wrote_plain_memory_last_makes_a_difference() {
    assert_ne!(written([0, 1], None), written([1, 0], None));
}

#[test]
fn a_write_finds_what_another_lane_left_there() {
    // Both left the same; but the second to write saw it, and the first saw what was there before.
    assert_ne!(written([0, 1], Some(7)), written([1, 0], Some(7)));
    let once = |lane: usize| {
        let mut ledger = begun();
        ledger.meets(0, 0, Kind::Lock, 0);
        ledger.takes(lane, 0);
        ledger.touches_plain(lane, 8, Plain::Write);
        ledger.settles(lane, 8, 7);
        ledger.gives_back(lane, 0);
        ledger.contents
    };
    assert_eq!(once(0), once(1));
}

#[test]
fn a_lane_that_takes_the_place_of_another_has_no_key() {
    let mut ledger = begun();
    ledger.spawn(0, 2, 2);
    assert!(ledger.key().is_some());
    ledger.spawn(0, 1, 3);
    assert!(ledger.key().is_none());
}
