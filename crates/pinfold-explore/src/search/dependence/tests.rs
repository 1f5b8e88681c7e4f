//! Which pairs of steps are races, and who could go first.

use super::*;

const X: Object = 0;
const Y: Object = 1;
const LOCK: Object = 2;

/// Pushes steps of lanes and returns the races as (first step, later lane, possible lanes).
fn races(steps: &[(usize, Touch, &[Effect])]) -> Vec<(Step, usize, Vec<usize>)> {
    let mut order = Dependence::default();
    order.begin(3);
    let mut found = Vec::new();
    for &(lane, touch, effects) in steps {
        order.push(lane, touch, effects, Watch::Races);
        found.extend(
            order.races().map(|race| (race.first, race.lane, race.initials.iter().collect())),
        );
    }
    found
}

#[test]
fn reads_do_not_race_and_writes_do() {
    assert_eq!(races(&[(0, Touch::Read(X), &[]), (1, Touch::Read(X), &[])]), []);
    assert_eq!(races(&[(0, Touch::Write(X), &[]), (1, Touch::Read(X), &[])]), [(0, 1, vec![1])]);
    assert_eq!(races(&[(0, Touch::Write(X), &[]), (1, Touch::Write(Y), &[])]), []);
}

#[test]
fn a_write_races_with_every_read_since_the_last_write() {
    let steps: [(usize, Touch, &[Effect]); 4] = [
        (2, Touch::Write(X), &[]),
        (0, Touch::Read(X), &[]),
        (1, Touch::Read(X), &[]),
        (2, Touch::Write(X), &[]),
    ];
    assert_eq!(races(&steps), [(0, 0, vec![0]), (0, 1, vec![1]), (2, 2, vec![2]), (1, 2, vec![1])]);
}

#[test]
fn what_is_ordered_through_another_object_is_no_race() {
    let steps: [(usize, Touch, &[Effect]); 4] = [
        (0, Touch::Write(X), &[]),
        (0, Touch::Write(Y), &[]),
        (1, Touch::Read(Y), &[]),
        (1, Touch::Read(X), &[]),
    ];
    assert_eq!(races(&steps), [(1, 1, vec![1])]);
}

#[test]
fn takings_of_a_lock_race_and_what_it_protects_does_not() {
    let lock = Touch::Lock(LOCK, Mode::Exclusive);
    let unlock = [Effect::Unlock(LOCK, Mode::Exclusive)];
    let steps: [(usize, Touch, &[Effect]); 4] = [
        (0, lock, &[]),
        (0, Touch::Write(X), &unlock),
        (1, lock, &[]),
        (1, Touch::Write(X), &unlock),
    ];
    assert_eq!(races(&steps), [(0, 1, vec![1])]);
}

#[test]
fn shared_holders_are_independent() {
    let lock = Touch::Lock(LOCK, Mode::Shared);
    let unlock = [Effect::Unlock(LOCK, Mode::Shared)];
    let steps: [(usize, Touch, &[Effect]); 4] =
        [(0, lock, &[]), (0, Touch::Write(X), &unlock), (1, lock, &[]), (1, Touch::Read(X), &[])];
    assert_eq!(races(&steps), [(1, 1, vec![1])]);
}

#[test]
fn an_attempt_races_with_the_step_that_gives_the_lock_back() {
    let attempt = Touch::TryLock(LOCK, Mode::Exclusive);
    let unlock = [Effect::Unlock(LOCK, Mode::Exclusive)];
    let lock = Touch::Lock(LOCK, Mode::Exclusive);
    assert_eq!(
        races(&[(0, lock, &[]), (0, Touch::Write(X), &unlock), (1, attempt, &[])]),
        [(1, 1, vec![1])]
    );
    assert_eq!(
        races(&[(0, lock, &[]), (1, attempt, &[]), (0, Touch::Write(X), &unlock)]),
        [(0, 1, vec![1]), (1, 0, vec![0])]
    );
}

#[test]
fn a_change_is_settled_for_lanes_that_are_ordered_after_it() {
    let mut order = Dependence::default();
    order.begin(3);
    order.push(0, Touch::Write(X), &[], Watch::Nothing);
    order.push(0, Touch::Write(Y), &[], Watch::Nothing);
    order.push(1, Touch::Read(Y), &[], Watch::Nothing);
    assert!(order.is_settled(0, X) && order.is_settled(1, X) && !order.is_settled(2, X));
    assert!(order.is_settled(2, LOCK), "nothing was changed there");
    assert!(!order.just_changed(Y));
}

#[test]
fn a_waiting_lane_races_with_the_change_before_it() {
    let mut order = Dependence::default();
    order.begin(3);
    order.push(0, Touch::Write(X), &[], Watch::Races);
    assert!(order.just_changed(X));
    order.wait(1, X);
    let found: Vec<_> = order.races().map(|race| (race.first, race.lane)).collect();
    assert_eq!(found, [(0, 1)]);
}
