use super::*;
use core::sync::atomic::{AtomicU32, Ordering};
use std::sync::Arc;
use std::thread;
use std::vec::Vec;

/// Counts how often it is dropped.
struct Told(Arc<AtomicU32>);

impl Drop for Told {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn leasable() -> (Shared<Told>, impl Fn() -> u32) {
    let told = Arc::new(AtomicU32::new(0));
    let shared = Shared::try_leasable(Told(told.clone()), 2).expect("the heap has room");
    (shared, move || told.load(Ordering::SeqCst))
}

#[test]
fn the_last_owner_or_lease_ends_the_value_whichever_it_is() {
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let (owner, ended) = leasable();
        let mut leases = [Some(owner.lease(0)), Some(owner.lease(1))];
        let mut owner = Some(owner);
        for (step, what) in order.into_iter().enumerate() {
            assert_eq!(ended(), 0, "{order:?}, before step {step}");
            match what {
                0 => drop(owner.take()),
                lease => drop(leases[lease - 1].take()),
            }
        }
        assert_eq!(ended(), 1, "{order:?}");
    }
}

#[test]
fn a_lease_of_a_value_without_owners_can_be_cloned() {
    let (owner, ended) = leasable();
    let first = owner.lease(1);
    let second = owner.clone().lease(0);
    drop(owner);
    let third = first.clone();
    drop((first, second));
    assert_eq!((ended(), third.cpu()), (0, 1));
    drop(third.clone());
    assert_eq!(ended(), 0);
    drop(third);
    assert_eq!(ended(), 1);
}

#[test]
fn leases_are_given_back_while_the_last_owner_goes() {
    for _ in 0..300 {
        let (owner, ended) = leasable();
        let leases: Vec<_> = (0..4).map(|cpu| owner.lease(cpu)).collect();
        thread::scope(|scope| {
            for lease in leases {
                scope.spawn(move || drop((lease.clone(), lease)));
            }
            scope.spawn(move || drop(owner));
        });
        assert_eq!(ended(), 1);
    }
}
