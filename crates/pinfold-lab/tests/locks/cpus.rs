//! The set of CPUs that a flush has to reach (INV-CPUSET-1 and 2 of `pinfold::CpuSet`): CPUs enter
//! and leave an address space while a page is unmapped, flushed and freed there.

use std::rc::Rc;

use pinfold::CpuSet;
use pinfold::lab::locks::SpinLock;
use pinfold::sync::{AtomicU64, smp_mb};
use pinfold_explore::{
    Completeness, Config, Ending, FailureKind, Judgement, Lanes, Model, Report, Subject, explore,
    hook,
};

use super::{MODELS, lanes_that_act};

const CPUS: usize = 2;
/// What the entry says while the page is mapped.
const MAPPED: u64 = 1;

/// A set, right or wrong.
trait Set: 'static {
    fn new() -> Self;
    fn enter(&self, cpu: usize);
    fn leave(&self, cpu: usize);
    fn to_flush(&self) -> Vec<usize>;
}

impl Set for CpuSet {
    fn new() -> Self {
        CpuSet::new(CPUS).expect("the heap has room")
    }

    fn enter(&self, cpu: usize) {
        CpuSet::enter(self, cpu);
    }

    fn leave(&self, cpu: usize) {
        CpuSet::leave(self, cpu);
    }

    fn to_flush(&self) -> Vec<usize> {
        CpuSet::to_flush(self).collect()
    }
}

/// What a wrong set leaves out.
const ENTRY_BARRIER: u32 = 0;
const FLUSH_BARRIER: u32 = 1;
const RELEASE: u32 = 2;

/// A set of its own without one of its barriers.
struct Without<const WHICH: u32>(AtomicU64);

impl<const WHICH: u32> Set for Without<WHICH> {
    fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    fn enter(&self, cpu: usize) {
        self.0.fetch_or_relaxed(1 << cpu);
        if WHICH != ENTRY_BARRIER {
            smp_mb();
        }
    }

    fn leave(&self, cpu: usize) {
        if WHICH != RELEASE {
            smp_mb();
        }
        self.0.fetch_and_relaxed(!(1 << cpu));
    }

    fn to_flush(&self) -> Vec<usize> {
        if WHICH != FLUSH_BARRIER {
            smp_mb();
        }
        let word = self.0.load_acquire();
        (0..CPUS).filter(|cpu| word >> cpu & 1 != 0).collect()
    }
}

/// What a lane does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Act {
    /// This CPU switches to the address space.
    Enter(usize),
    /// It uses the page, if it is mapped as far as it knows.
    Use(usize),
    /// It switches away, drops its translations, and says so.
    Leave(usize),
    /// The same in the wrong order.
    LeaveEarly(usize),
    /// The page is unmapped, flushed and freed.
    Unmap,
}

use Act::{Enter, Leave, LeaveEarly, Unmap, Use};

struct World<S> {
    entry: AtomicU64,
    set: S,
    /// Whether a CPU has cached the translation; its lock is held while an instruction runs, and is
    /// what an interrupt waits for.
    caches: [SpinLock<bool>; CPUS],
    /// Stands for the page's contents: in use by who has a translation, until it is freed.
    page: u64,
}

impl<S: Set> World<S> {
    fn act(&self, act: Act) {
        match act {
            Enter(cpu) => self.set.enter(cpu),
            Use(cpu) => {
                let mut cached = self.caches[cpu].lock();
                *cached |= self.entry.read_once() == MAPPED;
                if *cached {
                    hook::read_plain(&raw const self.page as usize);
                }
            }
            Leave(cpu) => {
                *self.caches[cpu].lock() = false;
                self.set.leave(cpu);
            }
            LeaveEarly(cpu) => {
                self.set.leave(cpu);
                *self.caches[cpu].lock() = false;
            }
            Unmap => {
                self.entry.write_once(0);
                for cpu in self.set.to_flush() {
                    *self.caches[cpu].lock() = false;
                }
                hook::write_plain(&raw const self.page as usize);
            }
        }
    }
}

/// Lanes that do something in turn.
struct Shape<'a, S> {
    lanes: &'a [&'a [Act]],
    set: std::marker::PhantomData<S>,
}

impl<S: Set> Subject for Shape<'_, S> {
    type World = Rc<World<S>>;

    fn build(&mut self, lanes: &mut Lanes<'_>) -> Self::World {
        let caches = [const { SpinLock::new(false) }; CPUS];
        let entry = AtomicU64::new(MAPPED);
        let world = Rc::new(World { entry, set: S::new(), caches, page: 0 });
        lanes_that_act(lanes, &world, self.lanes, |world, _, act| world.act(act));
        world
    }

    fn judge(&mut self, _: Self::World, _: Ending<'_>) -> Judgement {
        Judgement::Pass { outcome: "done".to_owned() }
    }
}

fn explored<S: Set>(lanes: &[&[Act]], model: Model) -> Report {
    let config = Config { model, shrink_runs: 0, ..Config::default() };
    explore(&mut Shape::<S> { lanes, set: std::marker::PhantomData }, &config, &mut |_| {})
}

const ENTERS: &[&[Act]] = &[&[Enter(0), Use(0)], &[Unmap]];
const LEAVES: &[&[Act]] = &[&[Enter(0), Use(0), Leave(0)], &[Unmap]];
const RETURNS: &[&[Act]] = &[&[Enter(0), Use(0), Leave(0), Enter(0), Use(0)], &[Unmap]];
const TWO: &[&[Act]] = &[&[Enter(0), Use(0), Leave(0)], &[Enter(1), Use(1)], &[Unmap]];

#[test]
fn inv_cpuset_a_flush_finds_every_cpu_that_may_use_the_page() {
    for lanes in [ENTERS, LEAVES, RETURNS, TWO] {
        let executions = MODELS.map(|model| {
            let report = explored::<CpuSet>(lanes, model);
            assert_eq!(report.failure, None, "{lanes:?} under {model:?}");
            assert_eq!(report.complete, Completeness::Exhausted);
            report.executions
        });
        println!("{lanes:?}: {executions:?} executions");
    }
}

/// Searches with a wrong set, or in a wrong order, under each model: whether the page is used by
/// one lane while another frees it.
fn misses<S: Set>(lanes: &[&[Act]]) -> [bool; 3] {
    MODELS.map(|model| {
        let report = explored::<S>(lanes, model);
        let kind = report.failure.map(|failure| failure.kind);
        assert!(matches!(kind, None | Some(FailureKind::DataRace)), "{kind:?}");
        kind.is_some()
    })
}

#[test]
fn each_barrier_of_the_set_is_needed() {
    // On x86 an atomic operation is a full barrier of itself.
    assert_eq!(misses::<Without<ENTRY_BARRIER>>(ENTERS), [false, false, true]);
    assert_eq!(misses::<Without<FLUSH_BARRIER>>(ENTERS), [false, true, true]);
    assert_eq!(misses::<Without<RELEASE>>(LEAVES), [false, false, true]);
    assert_eq!(misses::<Without<{ u32::MAX }>>(RETURNS), [false; 3]);
}

#[test]
fn a_cpu_that_leaves_before_it_forgets_is_missed() {
    let early: &[&[Act]] = &[&[Enter(0), Use(0), LeaveEarly(0)], &[Unmap]];
    let used_after: &[&[Act]] = &[&[Enter(0), Use(0), LeaveEarly(0), Use(0)], &[Unmap]];
    assert_eq!(misses::<CpuSet>(early), [false; 3], "nothing is used between the two");
    assert_eq!(misses::<CpuSet>(used_after), [true; 3], "nor may it go on without entering");
}
