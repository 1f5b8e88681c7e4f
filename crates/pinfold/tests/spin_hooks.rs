//! The hooks of a kernel around the manager's spin locks, and a hold that an interrupt handler
//! releases.
//!
//! A program has one set of hooks, so this is one of its own.

#[path = "../src/testing.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod testing;

use std::cell::RefCell;

use pinfold::sync::mask::{Masks, SpinHooks, install};
use pinfold::{Access, EventKind, Rules, Small, Term, Tuning};
use testing::{Audit, load, machine, map, pages, space, store};

thread_local! {
    /// The sections that are open, and how many there were of each kind.
    static OPEN: RefCell<Vec<Masks>> = const { RefCell::new(Vec::new()) };
    static BEGUN: RefCell<[u64; 2]> = const { RefCell::new([0; 2]) };
}

fn enter(masks: Masks) -> usize {
    BEGUN.with_borrow_mut(|begun| begun[masks as usize] += 1);
    OPEN.with_borrow_mut(|open| {
        assert!(
            masks == Masks::Interrupts || !open.contains(&Masks::Interrupts),
            "nothing that may wait for a flush is taken with interrupts off"
        );
        open.push(masks);
        open.len()
    })
}

fn exit(masks: Masks, state: usize) {
    OPEN.with_borrow_mut(|open| {
        assert_eq!((open.len(), open.pop()), (state, Some(masks)), "sections nest");
    });
}

static HOOKS: SpinHooks = SpinHooks { enter, exit };

#[test]
fn every_spin_lock_is_taken_inside_a_section_and_a_handler_may_release_a_pin() {
    install(&HOOKS);
    let mem = machine::<Small>(Rules::default(), &[48, 16], Tuning::default());
    let parent = space(&mem);
    map(&parent, 4, 4, pinfold::Prot::READ_WRITE);
    store(&parent, 4, 1).unwrap();
    store(&parent, 5, 2).unwrap();
    // The last reference to its frame: releasing it takes the frame allocator's lock.
    let pins = parent.pin(pages(5, 1), Access::Write, Term::Short).unwrap();
    parent.unmap(pages(5, 1)).unwrap();
    let mut handler = pins.into_pages().next();
    let (sender, receiver) = std::sync::mpsc::channel();
    let child = mem.platform().interrupt(
        move |event| {
            // Told under both tables' locks: what an interrupt would find.
            if matches!(event, EventKind::ForkCheck(_)) {
                drop(handler.take());
                sender.send(OPEN.with_borrow(Vec::len)).unwrap();
            }
        },
        || parent.fork().unwrap(),
    );
    assert_eq!(receiver.recv(), Ok(2), "two tables were locked");
    store(&child, 4, 3).unwrap();
    assert_eq!((load(&parent, 4), load(&child, 4)), (Ok(1), Ok(3)));
    Audit::of(&mem).space(&parent).space(&child).check();
    drop((parent, child));
    assert!(OPEN.with_borrow(Vec::is_empty));
    let [preemption, interrupts] = BEGUN.with_borrow(|begun| *begun);
    assert!(preemption > 5 && interrupts > 5, "{preemption} and {interrupts}");
}
