//! Copies that CPUs keep of what a lock protects (INV-COPY-1 to 4 of `pinfold::sync`), as faults
//! use areas: who finds a copy uses it without the lock, who does not takes the lock for reading
//! and leaves a copy, and who changes the original recalls the copies.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32 as NativeU32, Ordering};

use pinfold::lab::locks::{Delegated, RwSem, Word};
use pinfold::sync::AtomicU32;
use pinfold_explore::hook::{self, Order};
use pinfold_explore::{
    Completeness, Config, Ending, FailureKind, Judgement, Lanes, LockForm, Model, Report, Subject,
    explore,
};

use super::{ASLEEP, Bed, MODELS, Sleep, WEAKEST, lanes_that_act};

/// What a lane does, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    /// Uses the value on this CPU.
    Use(usize),
    /// Changes the value.
    Change,
    /// Changes something else under the lock.
    Beside,
    /// A broken twin: changes the value and recalls no copy.
    Forget,
}

use Act::{Beside, Change, Forget, Use};

struct World<W> {
    bed: Bed,
    lock: RwSem<()>,
    original: Cell<u64>,
    slots: [Delegated<u64, W>; 2],
    /// Whether somebody has the lock for writing and changes something else.
    beside: AtomicU32,
    log: RefCell<Vec<Vec<u64>>>,
}

/// Added to a value that was used while another had the lock alone.
const DURING: u64 = 100;

impl<W: Word> World<W> {
    fn act(&self, lane: usize, act: Act) {
        match act {
            Use(cpu) => {
                let value = self.used(cpu);
                self.log.borrow_mut()[lane].push(value);
            }
            Beside => {
                let guard = self.lock.write(&self.bed);
                self.beside.write_once(1);
                self.beside.write_once(0);
                drop(guard);
            }
            Change | Forget => {
                let guard = self.lock.write(&self.bed);
                if act == Change {
                    self.slots.iter().for_each(|slot| slot.recall(|_| true, &self.bed));
                }
                hook::write_plain(self.original.as_ptr() as usize);
                self.original.set(self.original.get() + 1);
                drop(guard);
            }
        }
    }

    fn used(&self, cpu: usize) -> u64 {
        if let Some(copy) = self.slots[cpu].enter(&self.bed) {
            let original = self.original();
            if *copy != original {
                hook::fail(format!("the copy is {}, and the original {original}", *copy));
            }
            return *copy + self.during();
        }
        let guard = self.lock.read(&self.bed);
        let original = self.original();
        self.slots[cpu].give(|| original);
        let value = original + self.during();
        drop(guard);
        value
    }

    fn during(&self) -> u64 {
        DURING * u64::from(self.beside.load_acquire())
    }

    fn original(&self) -> u64 {
        hook::read_plain(self.original.as_ptr() as usize);
        self.original.get()
    }
}

struct Shape<'a, W> {
    lanes: &'a [&'a [Act]],
    sleep: Sleep,
    word: PhantomData<W>,
}

impl<W: Word + 'static> Subject for Shape<'_, W> {
    type World = Rc<World<W>>;

    /// CPU 0 has a copy at first.
    fn build(&mut self, lanes: &mut Lanes<'_>) -> Self::World {
        let world = Rc::new(World::<W> {
            bed: Bed::new(self.sleep),
            lock: RwSem::new(()),
            original: Cell::new(1),
            slots: [Delegated::default(), Delegated::default()],
            beside: AtomicU32::new(0),
            log: RefCell::new(vec![Vec::new(); self.lanes.len()]),
        });
        world.slots[0].give(|| 1);
        lanes_that_act(lanes, &world, self.lanes, World::act);
        world
    }

    fn judge(&mut self, world: Self::World, _: Ending<'_>) -> Judgement {
        Judgement::Pass { outcome: format!("{:?}", world.log.borrow()) }
    }
}

fn explored<W: Word + 'static>(
    lanes: &[&[Act]],
    sleep: Sleep,
    model: Model,
    locks: LockForm,
) -> Report {
    let config = Config { model, locks, shrink_runs: 0, ..Config::default() };
    explore(&mut Shape::<W> { lanes, sleep, word: PhantomData }, &config, &mut |_| {})
}

/// The code is exhausted without a failure, and does nothing that the objects do not do. Returns
/// what the code does.
#[track_caller]
fn holds(lanes: &[&[Act]], sleeps: &[Sleep]) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    let mut executions = Vec::new();
    for model in MODELS {
        let object = explored::<AtomicU32>(lanes, Sleep::Word, model, LockForm::Object);
        assert_eq!(object.failure, None, "objects: {lanes:?} under {model:?}");
        assert_eq!(object.complete, Completeness::Exhausted);
        executions.push(object.executions);
        for &sleep in sleeps {
            let code = explored::<AtomicU32>(lanes, sleep, model, LockForm::Code);
            assert_eq!(code.failure, None, "{lanes:?}, {sleep:?} under {model:?}");
            assert_eq!(code.complete, Completeness::Exhausted);
            executions.push(code.executions);
            for outcome in code.outcomes.into_keys() {
                assert!(object.outcomes.contains_key(&outcome), "only the code: {outcome}");
                seen.insert(outcome);
            }
        }
    }
    println!("{lanes:?}: {executions:?} executions");
    seen
}

fn set(outcomes: &[&str]) -> BTreeSet<String> {
    outcomes.iter().map(|outcome| (*outcome).to_owned()).collect()
}

#[test]
fn who_uses_a_copy_finds_the_original_unchanged() {
    let before_or_after = set(&["[[1], []]", "[[2], []]"]);
    assert_eq!(holds(&[&[Use(0)], &[Change]], &ASLEEP), before_or_after);
    assert_eq!(holds(&[&[Use(1)], &[Change]], &ASLEEP), before_or_after);
    assert_eq!(holds(&[&[Use(0)], &[Change]], &WEAKEST), before_or_after);
    // What a lane leaves for another, and what it finds again.
    holds(&[&[Use(1)], &[Use(1), Change]], &[Sleep::Word]);
    holds(&[&[Use(0), Use(0)], &[Change]], &[Sleep::Word]);
}

#[test]
#[ignore = "minutes; run before a change of that protocol"]
fn who_uses_a_copy_finds_the_original_unchanged_with_more_lanes_and_changes() {
    holds(&[&[Use(0)], &[Use(0)], &[Change]], &[Sleep::Word]);
    // A recall that finds what was given since the last one.
    holds(&[&[Use(0)], &[Change, Change]], &[Sleep::Word]);
}

/// Who has a copy does not wait for who has the lock; who has none does.
#[test]
fn who_has_a_copy_does_not_wait_for_changes_of_something_else() {
    let during = set(&["[[1], []]", "[[101], []]"]);
    assert_eq!(holds(&[&[Use(0)], &[Beside]], &[Sleep::Word]), during);
    assert_eq!(holds(&[&[Use(1)], &[Beside]], &[Sleep::Word]), set(&["[[1], []]"]));
}

/// A word without the ordering, or without the step, that its number says.
#[derive(Default)]
struct Without<const WHAT: u8>(AtomicU32);

const ACQUIRE_OF_ENTERING: u8 = 0;
const RELEASE_OF_LEAVING: u8 = 1;
const ACQUIRE_OF_TAKING: u8 = 2;
const RELEASE_OF_OPENING: u8 = 3;
const CLOSING: u8 = 4;
const WAITING: u8 = 5;
const LOOKING: u8 = 6;

/// The bits in which a word counts readers, and the one that says that the slot is open.
const READERS: u32 = (1 << 29) - 1;
const OPEN: u32 = 1 << 31;

impl<const WHAT: u8> Without<WHAT> {
    /// Changes the word without ordering; the old value.
    fn relaxed(&self, mut change: impl FnMut(u32) -> Option<u32>) -> u32 {
        let native = self.0.native();
        let now = native.load(Ordering::Relaxed);
        if !hook::active() {
            native.store(change(now).unwrap_or(now), Ordering::Relaxed);
            return now;
        }
        let at = std::ptr::from_ref(native) as usize;
        let (order, mut new) = (Order::Relaxed, |old| change(old as u32).map(u64::from));
        let done = hook::rmw(at, u64::from(now), order, order, &mut new);
        native.store(done.latest as u32, Ordering::Relaxed);
        done.old as u32
    }
}

impl<const WHAT: u8> Word for Without<WHAT> {
    fn enter(&self) -> u32 {
        if WHAT == ACQUIRE_OF_ENTERING {
            return self.relaxed(|old| Some(old + 1));
        }
        let old = Word::enter(&self.0);
        if WHAT == LOOKING { old | OPEN } else { old }
    }

    fn leave(&self) -> u32 {
        if WHAT == RELEASE_OF_LEAVING {
            return self.relaxed(|old| Some(old - 1)) - 1;
        }
        Word::leave(&self.0)
    }

    fn seen(&self) -> u32 {
        let seen = Word::seen(&self.0);
        if WHAT == WAITING { seen & !READERS } else { seen }
    }

    fn close(&self, bits: u32) {
        if WHAT != CLOSING {
            Word::close(&self.0, bits);
        }
    }

    fn take(&self, old: u32, new: u32) -> bool {
        if WHAT == ACQUIRE_OF_TAKING {
            return self.relaxed(|seen| (seen == old).then_some(new)) == old;
        }
        if WHAT == WAITING {
            let take = |seen: u32| (seen & !READERS == old).then_some(new | seen & READERS);
            return self.relaxed(take) & !READERS == old;
        }
        Word::take(&self.0, old, new)
    }

    fn open(&self, more: u32) {
        if WHAT == RELEASE_OF_OPENING {
            self.relaxed(|old| Some(old.wrapping_add(more)));
            return;
        }
        Word::open(&self.0, more);
    }

    fn mark(&self, old: u32, new: u32) -> bool {
        Word::mark(&self.0, old, new)
    }

    fn native(&self) -> &NativeU32 {
        self.0.native()
    }
}

/// What the search finds where something is left out, and with which words it finds nothing.
#[track_caller]
fn breaks<const WHAT: u8>(lanes: &[&[Act]], models: &[Model]) {
    for model in MODELS {
        let report = explored::<Without<WHAT>>(lanes, Sleep::Word, model, LockForm::Code);
        let failed = report.failure.is_some();
        assert_eq!(failed, models.contains(&model), "{WHAT} {model:?}: {:?}", report.failure);
    }
}

#[test]
fn each_step_and_each_ordering_is_needed() {
    breaks::<CLOSING>(&[&[Use(0)], &[Change]], &MODELS);
    breaks::<WAITING>(&[&[Use(0)], &[Change]], &MODELS);
    breaks::<LOOKING>(&[&[Use(0)], &[Change]], &MODELS);
    // A reader leaves, and the original changes before what he read of it.
    breaks::<RELEASE_OF_LEAVING>(&[&[Use(0)], &[Change]], &[Model::Weak]);
    breaks::<ACQUIRE_OF_TAKING>(&[&[Use(0)], &[Change]], &[Model::Weak]);
    // A reader uses a copy that another gave.
    breaks::<RELEASE_OF_OPENING>(&[&[Use(1)], &[Use(1)]], &[Model::Weak]);
    breaks::<ACQUIRE_OF_ENTERING>(&[&[Use(1)], &[Use(1)]], &[Model::Weak]);
}

#[test]
fn a_change_that_recalls_nothing_is_found() {
    for (model, form) in
        MODELS.into_iter().flat_map(|model| [(model, LockForm::Object), (model, LockForm::Code)])
    {
        let report = explored::<AtomicU32>(&[&[Use(0)], &[Forget]], Sleep::Word, model, form);
        assert!(report.failure.is_some(), "{model:?} {form:?}");
    }
}

/// Whoever recalls sleeps until he is woken: a control.
#[test]
fn a_reader_that_does_not_wake_who_waits_for_him_lets_him_hang() {
    for model in MODELS {
        let lanes: [&[Act]; 2] = [&[Use(0)], &[Change]];
        let report = explored::<AtomicU32>(&lanes, Sleep::Forgotten, model, LockForm::Code);
        let kind = report.failure.map(|failure| failure.kind);
        assert_eq!(kind, Some(FailureKind::Deadlock), "{model:?}");
    }
}
