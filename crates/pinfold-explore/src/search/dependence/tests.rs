//! Which pairs of steps are races, and which lanes could go first.

use super::*;
use crate::{
    object::Object,
    order::Mode,
    search::touch::{CellTouch, LockTouch},
};

const X: Object = 0;
const Y: Object = 1;
const LOCK: Object = 2;

fn read(cell: Object) -> Touch {
    Touch::Cell(cell, CellTouch::Read)
}

fn write(cell: Object) -> Touch {
    Touch::Cell(cell, CellTouch::Write)
}

fn wait(cell: Object) -> Touch {
    Touch::Cell(cell, CellTouch::Wait)
}

/// Pushes steps of lanes and returns the races as (first step, later lane, possible lanes).
fn races(steps: &[(usize, Touch)]) -> Vec<(Step, usize, Vec<usize>)> {
    let mut order = Dependence::default();
    order.begin(3, 0);
    let mut found = Vec::new();
    for &(lane, touch) in steps {
        order.push(lane, touch, &[], Watch::Races);
        found.extend(
            order.races().map(|race| (race.first, race.lane, race.initials.iter().collect())),
        );
    }
    found
}

#[test]
fn reads_do_not_race_and_writes_do() {
    assert_eq!(races(&[(0, read(X)), (1, read(X))]), []);
    assert_eq!(races(&[(0, write(X)), (1, read(X))]), [(0, 1, vec![1])]);
    assert_eq!(races(&[(0, write(X)), (1, write(Y))]), []);
}

#[test]
fn a_write_races_with_every_read_since_the_last_write() {
    let steps: [(usize, Touch); 4] = [(2, write(X)), (0, read(X)), (1, read(X)), (2, write(X))];
    assert_eq!(races(&steps), [(0, 0, vec![0]), (0, 1, vec![1]), (2, 2, vec![2]), (1, 2, vec![1])]);
}

#[test]
fn what_is_ordered_through_another_object_is_no_race() {
    let steps: [(usize, Touch); 4] = [(0, write(X)), (0, write(Y)), (1, read(Y)), (1, read(X))];
    assert_eq!(races(&steps), [(1, 1, vec![1])]);
}

#[test]
fn takings_of_a_lock_race_and_what_it_protects_does_not() {
    let lock = Touch::Lock(LOCK, LockTouch::Take(Mode::Exclusive));
    let unlock = Touch::Lock(LOCK, LockTouch::GiveBack(Mode::Exclusive));
    let section = |lane| [(lane, lock), (lane, write(X)), (lane, unlock)];
    assert_eq!(races(&[section(0), section(1)].concat()), [(0, 1, vec![1])]);
}

#[test]
fn shared_holders_are_independent() {
    let lock = Touch::Lock(LOCK, LockTouch::Take(Mode::Shared));
    let unlock = Touch::Lock(LOCK, LockTouch::GiveBack(Mode::Shared));
    let steps = [(0, lock), (0, write(X)), (0, unlock), (1, lock), (1, read(X)), (1, unlock)];
    assert_eq!(races(&steps), [(1, 1, vec![1])]);
}

#[test]
fn an_attempt_races_with_the_giving_back() {
    let (lock, unlock) = (
        Touch::Lock(LOCK, LockTouch::Take(Mode::Exclusive)),
        Touch::Lock(LOCK, LockTouch::GiveBack(Mode::Exclusive)),
    );
    let took = Touch::Lock(LOCK, LockTouch::Took(Mode::Exclusive));
    let failed = Touch::Lock(LOCK, LockTouch::Failed(Mode::Exclusive));
    assert_eq!(races(&[(0, lock), (0, unlock), (1, took)]), [(1, 1, vec![1])]);
    assert_eq!(races(&[(0, lock), (1, failed), (0, unlock)]), [(0, 1, vec![1]), (1, 0, vec![0])]);
}

/// Between the two readers the lock was never free, so the writer cannot come before the second
/// unless it comes before the first.
#[test]
fn a_writer_looks_at_every_reader() {
    let [lock, unlock] =
        [LockTouch::Take, LockTouch::GiveBack].map(|touch| Touch::Lock(LOCK, touch(Mode::Shared)));
    let alone = Touch::Lock(LOCK, LockTouch::Take(Mode::Exclusive));
    let steps = [
        (0, lock),
        (0, write(X)),
        (1, read(X)),
        (1, lock),
        (1, unlock),
        (1, write(X)),
        (0, read(X)),
        (0, unlock),
        (2, alone),
    ];
    let found = races(&steps);
    assert!(found.contains(&(3, 2, vec![2])) && found.contains(&(0, 2, vec![2])), "{found:?}");
}

#[test]
fn who_is_locked_out_races_with_the_holder() {
    let mut order = Dependence::default();
    order.begin(3, 0);
    let lock = Touch::Lock(LOCK, LockTouch::Take(Mode::Exclusive));
    order.push(0, lock, &[], Watch::Races);
    order.push(1, Touch::Lock(LOCK, LockTouch::Failed(Mode::Exclusive)), &[], Watch::Nothing);
    order.blocked(2, lock);
    let found: Vec<_> = order.races().map(|race| (race.first, race.lane)).collect();
    assert_eq!(found, [(0, 2)], "the attempt excludes nothing");
}

#[test]
fn a_change_is_settled_for_lanes_that_are_ordered_after_it() {
    let mut order = Dependence::default();
    order.begin(3, 0);
    order.push(0, write(X), &[], Watch::Nothing);
    order.push(0, write(Y), &[], Watch::Nothing);
    order.push(1, read(Y), &[], Watch::Nothing);
    let read = read(X);
    assert!(order.is_settled(0, read) && order.is_settled(1, read) && !order.is_settled(2, read));
    assert!(
        order.is_settled(2, Touch::Lock(LOCK, LockTouch::Try(Mode::Shared))),
        "nothing was changed there"
    );
    assert!(!order.just_changed(wait(Y)));
}

#[test]
fn a_waiting_lane_races_with_the_change_before_it() {
    let mut order = Dependence::default();
    order.begin(3, 0);
    order.push(0, write(X), &[], Watch::Races);
    assert!(order.just_changed(wait(X)));
    order.blocked(1, wait(X));
    let found: Vec<_> = order.races().map(|race| (race.first, race.lane)).collect();
    assert_eq!(found, [(0, 1)]);
}

/// The second lane at a place comes after the first one there, for every observer; a lane that
/// waits for the first does not wait for anything that the second does.
#[test]
fn a_place_may_be_that_of_one_lane_after_another() {
    let mut order = Dependence::default();
    order.begin(2, 0);
    order.spawned(2, 2);
    order.push(0, Touch::Local, &[2], Watch::Races);
    order.push(2, write(X), &[], Watch::Races);
    order.push(0, Touch::Join(2), &[], Watch::Races);
    order.spawned(2, 3);
    order.push(0, Touch::Local, &[2], Watch::Races);
    order.push(2, write(X), &[], Watch::Races);
    assert_eq!(order.races().count(), 0);
    order.push(1, Touch::Join(2), &[], Watch::Races);
    order.push(1, read(X), &[], Watch::Races);
    let found: Vec<_> = order.races().map(|race| (race.first, race.lane)).collect();
    assert_eq!(found, [(4, 1)], "the write of the second");
}
