//! Which steps can be swapped, pair by pair.

use super::*;
use Mode::{Exclusive, Shared};
use Relation::{Enables, Independent, Race};

#[test]
fn cells() {
    let [read, write, wait] = [
        Touch::Cell(0, CellTouch::Read),
        Touch::Cell(0, CellTouch::Write),
        Touch::Cell(0, CellTouch::Wait),
    ];
    for (earlier, later, relation) in [
        (read, read, Independent),
        (read, wait, Independent),
        (read, write, Race),
        (wait, write, Race),
        (write, read, Race),
        (write, wait, Race),
        (write, write, Race),
        (write, Touch::Cell(1, CellTouch::Write), Independent),
        (Touch::Local, write, Independent),
        (Touch::Join(0), Touch::Join(0), Independent),
    ] {
        assert_eq!(earlier.before(later), relation, "{earlier:?} {later:?}");
    }
}

/// Two lanes that share a lock are independent of each other, whatever they do with it.
#[test]
fn sharing() {
    let all = [
        Touch::Lock(0, LockTouch::Take(Shared)),
        Touch::Lock(0, LockTouch::Took(Shared)),
        Touch::Lock(0, LockTouch::Failed(Shared)),
        Touch::Lock(0, LockTouch::GiveBack(Shared)),
    ];
    for (earlier, later) in all.iter().flat_map(|a| all.iter().map(move |b| (*a, *b))) {
        assert_eq!(earlier.before(later), Independent, "{earlier:?} {later:?}");
    }
}

#[test]
fn locks() {
    let pairs = [(Exclusive, Exclusive), (Exclusive, Shared), (Shared, Exclusive)];
    for (mode, other) in pairs {
        let [lock, took, failed, unlock] =
            [LockTouch::Take, LockTouch::Took, LockTouch::Failed, LockTouch::GiveBack]
                .map(|touch| Touch::Lock(0, touch(mode)));
        let [lock2, took2, failed2, unlock2] =
            [LockTouch::Take, LockTouch::Took, LockTouch::Failed, LockTouch::GiveBack]
                .map(|touch| Touch::Lock(0, touch(other)));
        for (earlier, later, relation) in [
            (lock, lock2, Race),
            (took, lock2, Race),
            (lock, failed2, Race),
            (failed, lock2, Race),
            (failed, took2, Race),
            (failed, failed2, Independent),
            (failed, unlock2, Race),
            (unlock, failed2, Race),
            (unlock, took2, Race),
            (unlock, lock2, Enables),
            (unlock, unlock2, Independent),
        ] {
            assert_eq!(earlier.before(later), relation, "{earlier:?} {later:?}");
        }
    }
}

#[test]
fn who_only_looks_depends_on_who_has_the_lock_alone() {
    let see = Touch::Lock(0, LockTouch::SeeUnlocked);
    for (earlier, later, relation) in [
        (Touch::Lock(0, LockTouch::Take(Exclusive)), see, Race),
        (Touch::Lock(0, LockTouch::Took(Shared)), see, Independent),
        (see, Touch::Lock(0, LockTouch::Take(Exclusive)), Race),
        (see, Touch::Lock(0, LockTouch::Failed(Exclusive)), Race),
        (Touch::Lock(0, LockTouch::Failed(Exclusive)), see, Race),
        (see, Touch::Lock(0, LockTouch::Failed(Shared)), Independent),
        (Touch::Lock(0, LockTouch::GiveBack(Exclusive)), see, Race),
        (Touch::Lock(0, LockTouch::GiveBack(Shared)), see, Independent),
        (see, see, Independent),
    ] {
        assert_eq!(earlier.before(later), relation, "{earlier:?} {later:?}");
    }
}
