//! The counts of owners and leases (INV-LEASE-1 to 3 of `pinfold::sync`), whose code is that of the
//! machine that pins keep alive: exactly one of those who give up is told to be the last, whoever
//! it is, and finds what all others did behind him.

use std::cell::Cell;
use std::rc::Rc;

use pinfold::lab::leases::{Count, Counts};
use pinfold::sync::AtomicU64;
use pinfold_explore::{
    Completeness, Config, Ending, FailureKind, Judgement, Lanes, Model, Report, Subject, explore,
    hook,
};

use super::{MODELS, lanes_that_act};

/// What a lane does, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    /// Takes a lease as this CPU; the lane is an owner, or has one of that CPU.
    Lease(usize),
    /// Gives one back.
    GiveBack(usize),
    /// An owner goes.
    Disown,
}

use Act::{Disown, GiveBack, Lease};

/// A word without the fence of INV-LEASE-3.
#[derive(Default)]
struct Unfenced(AtomicU64);

impl Count for Unfenced {
    fn add(&self, more: usize) -> usize {
        self.0.add(more)
    }

    fn sub_release(&self, less: usize) -> usize {
        self.0.sub_release(less)
    }

    fn set(&self, value: usize) {
        self.0.set(value);
    }

    fn exchange(&self, value: usize) -> usize {
        self.0.exchange(value)
    }

    fn acquire_fence() {}
}

struct World<W> {
    counts: Counts<W>,
    /// Stands for the value: read by who has a right to it, ended by the last.
    value: u64,
    ended: Cell<u32>,
}

impl<W: Count> World<W> {
    fn act(&self, act: Act) {
        hook::read_plain(&raw const self.value as usize);
        let last = match act {
            Lease(cpu) => {
                self.counts.lease(cpu);
                false
            }
            GiveBack(cpu) => self.counts.give_back(cpu),
            Disown => self.counts.disown(),
        };
        if last {
            hook::write_plain(&raw const self.value as usize);
            self.ended.set(self.ended.get() + 1);
        }
    }
}

/// Lanes that are owners, or have the leases that they give back before they take any.
struct Shape<'a, W> {
    lanes: &'a [&'a [Act]],
    word: std::marker::PhantomData<W>,
}

impl<W: Count + 'static> Subject for Shape<'_, W> {
    type World = Rc<World<W>>;

    fn build(&mut self, lanes: &mut Lanes<'_>) -> Self::World {
        let counts = Counts::leasable(2).expect("the heap has room");
        for acts in self.lanes {
            match acts.iter().find_map(|act| match act {
                GiveBack(cpu) => Some(*cpu),
                Lease(_) | Disown => None,
            }) {
                Some(cpu) if !acts.contains(&Disown) => counts.lease(cpu),
                _ => _ = counts.own(),
            }
        }
        // The one that the counts began with.
        counts.disown();
        let world = Rc::new(World { counts, value: 0, ended: Cell::new(0) });
        lanes_that_act(lanes, &world, self.lanes, |world, _, act| world.act(act));
        world
    }

    fn judge(&mut self, world: Self::World, _: Ending<'_>) -> Judgement {
        let outcome = "ended".to_owned();
        match world.ended.get() {
            1 => Judgement::Pass { outcome },
            times => Judgement::Fail { outcome, message: format!("the value ended {times} times") },
        }
    }
}

fn explored<W: Count + 'static>(lanes: &[&[Act]], model: Model) -> Report {
    let config = Config { model, shrink_runs: 0, ..Config::default() };
    explore(&mut Shape::<W> { lanes, word: std::marker::PhantomData }, &config, &mut |_| {})
}

/// The value ends once in every execution of the shape, after all that was done with it.
#[track_caller]
fn ends_once(lanes: &[&[Act]]) {
    let executions = MODELS.map(|model| {
        let report = explored::<AtomicU64>(lanes, model);
        assert_eq!(report.failure, None, "{lanes:?} under {model:?}");
        assert_eq!(report.complete, Completeness::Exhausted);
        report.executions
    });
    println!("{lanes:?}: {executions:?} executions");
}

#[test]
fn the_last_owner_or_lease_ends_the_value() {
    ends_once(&[&[Disown], &[Disown]]);
    ends_once(&[&[Disown], &[GiveBack(0)]]);
    ends_once(&[&[Lease(0), Disown, GiveBack(0)], &[GiveBack(0)]]);
    ends_once(&[&[Disown], &[Lease(1), GiveBack(1), Disown]]);
    ends_once(&[&[Disown], &[GiveBack(0)], &[GiveBack(1)]]);
}

#[test]
fn a_lease_is_taken_through_another_while_the_last_owner_goes() {
    ends_once(&[&[Disown], &[Lease(0), GiveBack(0), GiveBack(0)]]);
    ends_once(&[&[Disown], &[Lease(0), GiveBack(0), GiveBack(0)], &[GiveBack(1)]]);
}

/// Without the fences the value ends while another still reads it, and the bias overwrites what a
/// lane did that met its closed place.
#[test]
fn who_finds_a_place_closed_needs_the_fence() {
    let found = explored::<Unfenced>(&[&[Disown], &[GiveBack(0)]], Model::Weak).failure;
    assert_eq!(found.map(|failure| failure.kind), Some(FailureKind::DataRace));
}
