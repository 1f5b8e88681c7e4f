use super::*;

fn key(number: u64) -> Digest {
    let mut ledger = crate::ledger::Ledger::default();
    ledger.lanes(number as usize + 1);
    ledger.key().expect("no lane has the place of another")
}

fn add(states: &States, number: u64, asleep: LaneSet) {
    let zero = Bound::default();
    states.table().add(
        key(number),
        asleep,
        &Future::default(),
        [&zero, &zero],
        (None, Marks::default()),
    );
}

#[test]
fn a_state_is_found_if_no_lane_that_is_awake_slept_there() {
    let states = States::new(1 << 20);
    add(&states, 1, LaneSet::one(0));
    let found = |asleep| states.table().find(key(1), asleep, None, |_, _| true).is_some();
    assert!(found(LaneSet::one(0)) && found(LaneSet::one(0) | LaneSet::one(1)));
    assert!(!found(LaneSet::default()) && !found(LaneSet::one(1)));
    add(&states, 1, LaneSet::default());
    assert!(found(LaneSet::default()));
}

#[test]
fn the_older_half_is_forgotten_when_there_is_no_more_room() {
    const STATES: u64 = 100;
    let states = States::new(4_096);
    (0..STATES).for_each(|number| add(&states, number, LaneSet::default()));
    let found =
        |number| states.table().find(key(number), LaneSet::default(), None, |_, _| true).is_some();
    assert!(found(STATES - 1) && !found(0));
    assert_eq!(states.count(), STATES);
    assert!(states.forgotten() > 0 && states.forgotten() < STATES);
}
