//! Which steps can be exchanged, pair by pair.

use super::*;
use Mode::{Exclusive, Shared};
use Relation::{Enables, Independent, Race};

#[test]
fn cells() {
    let [read, write, wait] = [Touch::Read(0), Touch::Write(0), Touch::Wait(0)];
    for (earlier, later, relation) in [
        (read, read, Independent),
        (read, wait, Independent),
        (read, write, Race),
        (wait, write, Race),
        (write, read, Race),
        (write, wait, Race),
        (write, write, Race),
        (write, Touch::Write(1), Independent),
        (Touch::Local, write, Independent),
        (Touch::Join(0), Touch::Join(0), Independent),
    ] {
        assert_eq!(earlier.before(later), relation, "{earlier:?} {later:?}");
    }
}

/// Two who share a lock mean nothing to each other, whatever they do with it.
#[test]
fn sharing() {
    let all = [
        Touch::Lock(0, Shared),
        Touch::Took(0, Shared),
        Touch::Failed(0, Shared),
        Touch::Unlock(0, Shared),
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
            [Touch::Lock, Touch::Took, Touch::Failed, Touch::Unlock].map(|touch| touch(0, mode));
        let [lock2, took2, failed2, unlock2] =
            [Touch::Lock, Touch::Took, Touch::Failed, Touch::Unlock].map(|touch| touch(0, other));
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
    let see = Touch::SeeUnlocked(0);
    for (earlier, later, relation) in [
        (Touch::Lock(0, Exclusive), see, Race),
        (Touch::Took(0, Shared), see, Independent),
        (see, Touch::Lock(0, Exclusive), Race),
        (see, Touch::Failed(0, Exclusive), Race),
        (Touch::Failed(0, Exclusive), see, Race),
        (see, Touch::Failed(0, Shared), Independent),
        (Touch::Unlock(0, Exclusive), see, Race),
        (Touch::Unlock(0, Shared), see, Independent),
        (see, see, Independent),
    ] {
        assert_eq!(earlier.before(later), relation, "{earlier:?} {later:?}");
    }
}
