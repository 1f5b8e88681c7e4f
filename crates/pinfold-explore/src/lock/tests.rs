//! Which holders exclude which.

use super::*;

#[test]
fn modes_exclude_as_they_should() {
    let mut locks = Locks::default();
    locks.take(0, 1, Mode::Shared);
    assert!(locks.is_free(0, Mode::Shared) && !locks.is_free(0, Mode::Exclusive));
    locks.take(0, 2, Mode::Shared);
    locks.release(0, 1, Mode::Shared);
    assert!(!locks.is_free(0, Mode::Exclusive));
    locks.release(0, 2, Mode::Shared);
    assert!(locks.is_free(0, Mode::Exclusive));
    locks.take(0, 1, Mode::Exclusive);
    assert!(!locks.is_free(0, Mode::Shared) && locks.is_free(1, Mode::Exclusive));
}

#[test]
fn only_the_holder_gives_back() {
    let mut locks = Locks::default();
    locks.take(0, 1, Mode::Exclusive);
    locks.release(0, 2, Mode::Exclusive);
    locks.release(0, 1, Mode::Shared);
    assert!(locks.is_held_by(0, 1) && !locks.is_free(0, Mode::Shared));
    locks.take(1, 1, Mode::Shared);
    locks.take(1, 1, Mode::Shared);
    locks.release(1, 1, Mode::Shared);
    assert!(locks.is_held_by(1, 1), "taken twice, released once");
}
