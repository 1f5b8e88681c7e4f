//! The locks of `pinfold::sync` as they ship, word for word, with two and three lanes in every
//! role, under each memory model and with three ways to sleep; and the explorer's objects that
//! stand for them elsewhere.
//!
//! Held against each other: what the code can do, the objects can do (INV-SYNC-1 of
//! `pinfold::sync`). `cargo test -p pinfold-lab --release --test locks -- --nocapture` prints a
//! line for each lock and model; with `--ignored`, three lanes that sleep as weakly as the contract
//! of [`Park`] allows.

#[path = "locks/cpus.rs"]
mod cpus;
#[path = "locks/delegations.rs"]
mod delegations;
#[path = "locks/families.rs"]
mod families;
#[path = "common/futex.rs"]
mod futex;
#[path = "locks/leases.rs"]
mod leases;
#[path = "locks/stocks.rs"]
mod stocks;

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32 as NativeU32, Ordering};

use pinfold::lab::locks::{BitLock, RwSem, SpinLock, Spread};
use pinfold::platform::Park;
use pinfold::sync::AtomicU32;
use pinfold_explore::hook::{self, Mode, Order};
use pinfold_explore::{
    Completeness, Config, Ending, FailureKind, Judgement, Lanes, LockForm, Model, Report, Search,
    Subject, explore,
};

use futex::Futex;

const MODELS: [Model; 3] = [Model::Sc, Model::Tso, Model::Weak];
const LOCKED: u32 = 1;
const WAITERS: u32 = 2;

/// How lanes sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sleep {
    /// Until the word has another value.
    Word,
    /// In a queue, which a lock protects, as a futex does; whoever wakes looks there.
    Queue,
    /// As weakly as the contract allows: whoever wakes looks for sleepers without a lock.
    Counted,
    /// As before, but who goes to sleep brings no barrier, which is less than the contract asks: a
    /// control.
    Unfenced,
    /// As in the queue, but nobody is ever woken: a control.
    Forgotten,
}

/// The waiting lanes: on which word, and a cell that is set when the lane is woken.
struct Bed {
    sleep: Sleep,
    /// All cells on which somebody slept: none is freed while lanes run.
    used: RefCell<Vec<Rc<Cell<u64>>>>,
    queue: RefCell<Vec<(usize, Rc<Cell<u64>>)>>,
    futex: Futex,
}

impl Bed {
    fn new(sleep: Sleep) -> Self {
        let futex = Futex::new(sleep == Sleep::Counted);
        Self { sleep, used: RefCell::default(), queue: RefCell::default(), futex }
    }

    fn lock(&self) -> usize {
        self.queue.as_ptr() as usize
    }
}

impl Park for Bed {
    fn park(&self, word: &NativeU32, seen: u32) {
        if !hook::active() {
            return;
        }
        let at = &raw const *word as usize;
        let now = || u64::from(word.load(Ordering::Relaxed));
        match self.sleep {
            Sleep::Word => {
                hook::wait_until(at, now(), Order::Relaxed, &mut |value| value != u64::from(seen));
                return;
            }
            Sleep::Counted | Sleep::Unfenced => return self.futex.park(word, seen),
            Sleep::Queue | Sleep::Forgotten => {}
        }
        hook::lock(self.lock(), Mode::Exclusive);
        if hook::load(at, now(), Order::Relaxed) != u64::from(seen) {
            return hook::unlock(self.lock(), Mode::Exclusive);
        }
        let woken = Rc::new(Cell::new(0));
        self.used.borrow_mut().push(woken.clone());
        self.queue.borrow_mut().push((at, woken.clone()));
        hook::unlock(self.lock(), Mode::Exclusive);
        hook::wait_until(woken.as_ptr() as usize, woken.get(), Order::Relaxed, &mut |set| set == 1);
    }

    fn unpark(&self, word: &NativeU32) {
        if !hook::active() {
            return;
        }
        match self.sleep {
            Sleep::Queue => {}
            Sleep::Counted | Sleep::Unfenced => return self.futex.unpark(),
            Sleep::Word | Sleep::Forgotten => return,
        }
        let at = &raw const *word as usize;
        hook::lock(self.lock(), Mode::Exclusive);
        let mut woken = Vec::new();
        self.queue.borrow_mut().retain(|(on, cell)| {
            let wakes = *on == at;
            woken.extend(wakes.then(|| cell.clone()));
            !wakes
        });
        hook::unlock(self.lock(), Mode::Exclusive);
        for cell in woken {
            let latest = hook::store(cell.as_ptr() as usize, cell.get(), 1, Order::Relaxed);
            cell.set(latest);
        }
    }
}

/// What a lane does, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    /// Shares the sleeping lock and looks at its value.
    Read,
    /// Shares the sleeping lock if no writer has it or waits for it.
    TryRead,
    /// Takes the sleeping lock alone and adds one.
    Write,
    /// Shares the sleeping lock, and while it does shares it again.
    ReadTwice,
    /// As [`Read`], with the lock whose readers do not meet, on this CPU.
    Share(usize),
    /// As [`Write`], with that lock.
    Alone,
    /// Takes the spin lock and adds one.
    Spin,
    /// Takes the bit if it is free.
    Try,
    /// Waits until the bit is free.
    Wait,
    /// Takes the bit, waiting as often as need be.
    Insist,
}

use Act::{Alone, Insist, Read, ReadTwice, Share, Spin, Try, TryRead, Wait, Write};

/// The locks, what they protect, and who is there.
struct World {
    bed: Bed,
    sem: RwSem<u64>,
    spread: Spread<u64>,
    spin: SpinLock<u64>,
    word: AtomicU32,
    readers: Cell<u32>,
    alone: Cell<u32>,
    log: RefCell<Vec<Vec<u64>>>,
}

/// The lock with places for two CPUs, its bias set: each reader that takes the lock below sets it
/// again.
fn biased() -> Spread<u64> {
    let lock = Spread::new(0, 2, 1).expect("the heap has room");
    drop(lock.read(&Bed::new(Sleep::Word), 0));
    lock
}

impl World {
    fn new(lanes: usize, sleep: Sleep) -> Rc<Self> {
        Rc::new(Self {
            bed: Bed::new(sleep),
            sem: RwSem::new(0),
            spread: biased(),
            spin: SpinLock::new(0),
            word: AtomicU32::new(0),
            readers: Cell::new(0),
            alone: Cell::new(0),
            log: RefCell::new(vec![Vec::new(); lanes]),
        })
    }

    fn note(&self, lane: usize, value: u64) {
        self.log.borrow_mut()[lane].push(value);
    }

    fn enter_alone(&self) {
        self.alone.set(self.alone.get() + 1);
        if self.alone.get() + self.readers.get() > 1 {
            hook::fail("somebody is not alone".to_owned());
        }
    }

    fn act(&self, lane: usize, act: Act) {
        let bit = BitLock::new(&self.word, LOCKED, WAITERS);
        match act {
            Read | ReadTwice => {
                let guard = self.sem.read(&self.bed);
                self.readers.set(self.readers.get() + 1);
                if self.alone.get() > 0 {
                    hook::fail("a reader beside a writer".to_owned());
                }
                self.note(lane, *guard);
                if act == ReadTwice {
                    drop(self.sem.read(&self.bed));
                }
                self.readers.set(self.readers.get() - 1);
            }
            TryRead => match self.sem.try_read(&self.bed) {
                Some(guard) => {
                    if self.alone.get() > 0 {
                        hook::fail("a reader beside a writer".to_owned());
                    }
                    self.note(lane, *guard);
                }
                None => self.note(lane, u64::MAX),
            },
            Write => {
                let mut guard = self.sem.write(&self.bed);
                self.enter_alone();
                self.note(lane, *guard);
                *guard += 1;
                self.alone.set(self.alone.get() - 1);
            }
            Share(cpu) => {
                let guard = self.spread.read(&self.bed, cpu);
                self.readers.set(self.readers.get() + 1);
                if self.alone.get() > 0 {
                    hook::fail("a reader beside a writer".to_owned());
                }
                self.note(lane, *guard);
                self.readers.set(self.readers.get() - 1);
            }
            Alone => {
                let mut guard = self.spread.write(&self.bed);
                self.enter_alone();
                self.note(lane, *guard);
                *guard += 1;
                self.alone.set(self.alone.get() - 1);
            }
            Spin => {
                let mut guard = self.spin.lock();
                self.enter_alone();
                self.note(lane, *guard);
                *guard += 1;
                self.alone.set(self.alone.get() - 1);
            }
            Try => {
                let guard = bit.try_lock(&self.bed);
                self.note(lane, u64::from(guard.is_some()));
                if guard.is_some() {
                    self.enter_alone();
                    self.alone.set(self.alone.get() - 1);
                }
            }
            Wait => bit.wait(&self.bed),
            Insist => loop {
                if let Some(guard) = bit.try_lock(&self.bed) {
                    self.enter_alone();
                    self.alone.set(self.alone.get() - 1);
                    drop(guard);
                    return;
                }
                bit.wait(&self.bed);
            },
        }
    }
}

/// What each lane does.
struct Shape<'a> {
    lanes: &'a [&'a [Act]],
    sleep: Sleep,
}

impl Subject for Shape<'_> {
    type World = Rc<World>;

    fn build(&mut self, lanes: &mut Lanes<'_>) -> Rc<World> {
        let world = World::new(self.lanes.len(), self.sleep);
        lanes_that_act(lanes, &world, self.lanes, World::act);
        world
    }

    fn judge(&mut self, world: Rc<World>, _: Ending<'_>) -> Judgement {
        Judgement::Pass { outcome: format!("{:?}", world.log.borrow()) }
    }
}

/// A lane for each list of acts, which it does one after the other; `act` is told which lane it is.
fn lanes_that_act<W: 'static, A: Copy + 'static>(
    lanes: &mut Lanes<'_>,
    world: &Rc<W>,
    all: &[&[A]],
    act: fn(&W, usize, A),
) {
    for (lane, acts) in all.iter().enumerate() {
        let (world, acts) = (world.clone(), acts.to_vec());
        lanes.lane(format!("lane {lane}"), move || {
            acts.into_iter().for_each(|it| act(&world, lane, it));
        });
    }
}

fn explored(lanes: &[&[Act]], sleep: Sleep, model: Model, locks: LockForm) -> Report {
    let config = Config { model, locks, shrink_runs: 0, ..Config::default() };
    explore(&mut Shape { lanes, sleep }, &config, &mut |_| {})
}

/// Every way to give each of so many lanes one of the roles, up to the order of lanes.
fn shapes<'a>(roles: &'a [&'a [Act]], lanes: usize) -> Vec<Vec<&'a [Act]>> {
    if lanes == 0 {
        return vec![Vec::new()];
    }
    let with_first = |first: usize| {
        let rest = shapes(&roles[first..], lanes - 1);
        rest.into_iter().map(move |rest| [vec![roles[first]], rest].concat())
    };
    (0..roles.len()).flat_map(with_first).collect()
}

/// The shapes of these roles hold.
fn hold(what: &str, roles: &[&[Act]], lanes: usize, sleeps: &[Sleep]) {
    hold_in(what, &shapes(roles, lanes), sleeps);
}

/// The code is exhausted without a failure in every shape, and does nothing that the objects do not
/// do.
fn hold_in(what: &str, shapes: &[Vec<&[Act]>], sleeps: &[Sleep]) {
    hold_under(&MODELS, what, shapes, sleeps);
}

/// The same under these models.
fn hold_under(models: &[Model], what: &str, shapes: &[Vec<&[Act]>], sleeps: &[Sleep]) {
    for &model in models {
        let (mut count, mut executions, mut objects) = (0, 0, 0);
        for shape in shapes {
            let object = explored(shape, Sleep::Word, model, LockForm::Object);
            assert_eq!(object.failure, None, "objects: {shape:?} under {model:?}");
            assert_eq!(object.complete, Completeness::Exhausted);
            objects += object.executions;
            let known: BTreeSet<_> = object.outcomes.into_keys().collect();
            for &sleep in sleeps {
                let code = explored(shape, sleep, model, LockForm::Code);
                assert_eq!(code.failure, None, "{shape:?}, {sleep:?} under {model:?}");
                assert_eq!(code.complete, Completeness::Exhausted);
                let more: Vec<_> =
                    code.outcomes.keys().filter(|outcome| !known.contains(*outcome)).collect();
                assert!(more.is_empty(), "only the code: {more:?}; {shape:?} under {model:?}");
                count += 1;
                executions += code.executions;
            }
        }
        println!(
            "{what}, {} lanes, {model:?}: {count} searches of the code, {executions} executions; of the \
             objects {objects}",
            shapes[0].len()
        );
    }
}

const ASLEEP: [Sleep; 2] = [Sleep::Word, Sleep::Queue];
const WEAKEST: [Sleep; 1] = [Sleep::Counted];

#[test]
fn the_sleeping_lock_with_two_lanes() {
    let roles: [&[Act]; 5] = [&[Read], &[Write], &[Read, Write], &[Write, Read], &[Write, Write]];
    hold("sleeping lock", &roles, 2, &ASLEEP);
}

/// Under weak alone, which has every execution of the other models.
#[test]
fn the_sleeping_lock_with_three_lanes() {
    let shapes = shapes(&[&[Read], &[Write]], 3);
    hold_under(&[Model::Weak], "sleeping lock", &shapes, &ASLEEP);
}

#[test]
#[ignore = "two million executions, all of which weak has; run before a change of that lock"]
fn the_sleeping_lock_with_three_lanes_under_the_stronger_models() {
    let shapes = shapes(&[&[Read], &[Write]], 3);
    hold_under(&[Model::Sc, Model::Tso], "sleeping lock", &shapes, &ASLEEP);
}

#[test]
fn the_lock_whose_readers_do_not_meet_with_two_lanes() {
    let roles: [&[Act]; 3] = [&[Share(0)], &[Alone], &[Share(1)]];
    hold("spread lock", &roles, 2, &ASLEEP);
    // Whoever reads after a writer sets the bias again, and the next writer takes it off.
    let again: [&[Act]; 2] = [&[Share(0), Share(1)], &[Alone, Alone]];
    // Who has looked at the bias once may find it set anew at his second look.
    let anew: [&[Act]; 2] = [&[Share(0)], &[Alone, Share(1)]];
    hold_in("spread lock", &[again.to_vec(), anew.to_vec()], &[Sleep::Word]);
}

#[test]
#[ignore = "nearly a million executions; run before a change of that lock"]
fn the_lock_whose_readers_do_not_meet_with_three_lanes() {
    hold_in("spread lock", &[vec![&[Share(0)], &[Share(1)], &[Alone]]], &[Sleep::Word]);
}

#[test]
fn a_reader_that_only_tries() {
    let roles: [&[Act]; 4] = [&[TryRead], &[Write], &[TryRead, TryRead], &[Write, TryRead]];
    hold("sleeping lock, trying", &roles, 2, &ASLEEP);
    // Of three lanes one may find that nobody has the lock, and that somebody still sleeps for it.
    for third in [Read, Write] {
        let shape = vec![&[TryRead][..], &[Write], core::slice::from_ref(&third)];
        hold_in("sleeping lock, trying", &[shape], &ASLEEP);
    }
}

#[test]
fn the_spin_lock() {
    hold("spin lock", &[&[Spin], &[Spin, Spin]], 2, &[Sleep::Word]);
    hold("spin lock", &[&[Spin]], 3, &[Sleep::Word]);
}

#[test]
fn the_bit_lock_with_two_lanes() {
    let roles: [&[Act]; 6] = [&[Try], &[Wait], &[Insist], &[Try, Try], &[Wait, Try], &[Try, Wait]];
    hold("bit lock", &roles, 2, &ASLEEP);
}

#[test]
fn the_bit_lock_with_three_lanes() {
    hold("bit lock", &[&[Try], &[Wait], &[Insist]], 3, &ASLEEP);
}

#[test]
fn locks_of_two_lanes_that_sleep_as_weakly_as_the_contract_allows() {
    let roles: [&[Act]; 5] = [&[Read], &[Write], &[Read, Write], &[Write, Read], &[Write, Write]];
    hold("sleeping lock, weakest sleep", &roles, 2, &WEAKEST);
    let roles: [&[Act]; 6] = [&[Try], &[Wait], &[Insist], &[Try, Try], &[Wait, Try], &[Try, Wait]];
    hold("bit lock, weakest sleep", &roles, 2, &WEAKEST);
    hold("bit lock, weakest sleep", &[&[Try], &[Wait]], 3, &WEAKEST);
}

#[test]
#[ignore = "ten million executions; run before a change of a lock or of what sleeping promises"]
fn locks_of_three_lanes_that_sleep_as_weakly_as_the_contract_allows() {
    hold("bit lock, weakest sleep", &[&[Try], &[Wait], &[Insist]], 3, &WEAKEST);
    hold("sleeping lock, weakest sleep", &[&[Read], &[Write]], 3, &WEAKEST);
}

/// Whether the shape hangs.
fn hangs(lanes: &[&[Act]], sleep: Sleep, model: Model, locks: LockForm) -> bool {
    let report = explored(lanes, sleep, model, locks);
    let kind = report.failure.map(|failure| failure.kind);
    assert!(matches!(kind, None | Some(FailureKind::Deadlock)), "{lanes:?}: {kind:?}");
    assert!(kind.is_some() || report.complete == Completeness::Exhausted);
    kind.is_some()
}

/// New readers wait for a writer that waits, so one who shares the lock twice may wait for himself.
/// The objects say so, too, and neither says it where there is no writer.
#[test]
fn who_shares_the_lock_twice_beside_a_writer_hangs() {
    for model in MODELS {
        for (form, sleep) in [
            (LockForm::Object, Sleep::Word),
            (LockForm::Code, Sleep::Word),
            (LockForm::Code, Sleep::Queue),
        ] {
            assert!(hangs(&[&[ReadTwice], &[Write]], sleep, model, form), "{form:?} {model:?}");
            assert!(!hangs(&[&[ReadTwice], &[Read]], sleep, model, form), "{form:?} {model:?}");
        }
    }
}

/// The control: a lock promises a barrier between its change of the word and the look for sleepers,
/// and asks for one between a sleeper's registration and its look at the word. Locked instructions
/// are both on x86.
#[test]
fn a_sleeper_who_looks_at_the_word_without_a_barrier_misses_his_wake_up_under_weak() {
    for lanes in [[&[Write][..], &[Write]], [&[Read], &[Write]], [&[Insist], &[Insist]]] {
        for model in MODELS {
            let hung = hangs(&lanes, Sleep::Unfenced, model, LockForm::Code);
            assert_eq!(hung, model == Model::Weak, "{lanes:?} {model:?}");
            assert!(!hangs(&lanes, Sleep::Counted, model, LockForm::Code), "{lanes:?} {model:?}");
        }
    }
}

/// The control: without waking anybody each lock in which somebody may sleep hangs.
#[test]
fn a_forgotten_wake_up_is_a_hang() {
    for model in MODELS {
        for lanes in [
            [&[Write][..], &[Write]],
            [&[Read], &[Write]],
            [&[Insist], &[Insist]],
            [&[Try], &[Wait]],
        ] {
            assert!(hangs(&lanes, Sleep::Forgotten, model, LockForm::Code), "{lanes:?} {model:?}");
        }
        assert!(!hangs(&[&[Read], &[Read]], Sleep::Forgotten, model, LockForm::Code));
        assert!(!hangs(&[&[Try], &[Try]], Sleep::Forgotten, model, LockForm::Code));
    }
}

/// A lane whose destructor takes both locks, beside one that is in the section of one of them.
struct Abandoned {
    holds: Act,
}

/// Takes the locks when it goes.
struct TakesAtTheEnd(Rc<World>);

impl Drop for TakesAtTheEnd {
    fn drop(&mut self) {
        *self.0.spin.lock() += 1;
        *self.0.sem.write(&self.0.bed) += 1;
    }
}

impl Subject for Abandoned {
    type World = Rc<World>;

    fn build(&mut self, lanes: &mut Lanes<'_>) -> Self::World {
        let world = World::new(2, Sleep::Word);
        let last = TakesAtTheEnd(world.clone());
        // What an execution abandons unwinds in the order of the lanes.
        lanes.lane("takes at the end", move || {
            last.0.word.read_once();
            drop(last);
        });
        let (held, holds) = (world.clone(), self.holds);
        lanes.lane("holds", move || {
            let spin = (holds == Spin).then(|| held.spin.lock());
            let sem = (holds == Write).then(|| held.sem.write(&held.bed));
            held.word.read_once();
            drop((spin, sem));
        });
        world
    }

    fn judge(&mut self, world: Self::World, _: Ending<'_>) -> Judgement {
        Judgement::Pass { outcome: world.spin.lock().to_string() }
    }
}

/// Nobody waits for a lane that is abandoned in its section: the execution would never end.
#[test]
fn an_execution_is_abandoned_wherever_its_lanes_are() {
    for (locks, holds) in [LockForm::Object, LockForm::Code]
        .into_iter()
        .flat_map(|form| [(form, Spin), (form, Write)])
    {
        for max_steps in 1..8 {
            let search = Search::Random { seed: 0, runs: 100 };
            let config = Config { locks, max_steps, search, shrink_runs: 0, ..Config::default() };
            let report = explore(&mut Abandoned { holds }, &config, &mut |_| {});
            assert!(report.failure.is_none(), "{locks:?}, {max_steps} steps: {:?}", report.failure);
            assert!(report.executions + report.truncated > 0);
        }
    }
}
