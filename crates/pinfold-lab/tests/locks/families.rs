//! The CPUs' stocks of the memory of families (`pinfold::rmap`), and the reserve of a fork: who
//! founds a family, forks into one and leaves one, beside a heap that is exhausted. A slot is never
//! of two families, none is lost, and who is refused one found neither his stock nor the list with
//! any.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;

use pinfold::lab::families::{Families, Member};
use pinfold_explore::{
    Completeness, Config, Ending, Judgement, Lanes, LockForm, Model, Report, Subject, explore,
};

use super::{Bed, MODELS, Sleep, lanes_that_act};

/// What a lane does, one after the other. It has a family at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    /// Founds a family as this CPU.
    Found(usize),
    /// Forks the family that it has had longest, with a reserve for so many areas.
    Fork(usize),
    /// Leaves the family that it has had longest, as this CPU.
    Leave(usize),
}

use Act::{Fork, Found, Leave};

/// Memory of families is all that is asked for with this alignment, or a stricter one.
const SLOT: usize = 128;
/// The first slots that the heap gives, and all with those that it gives next, and after that.
const FEW: usize = 8;
const MORE: usize = 24;
const MANY: usize = 56;
/// What a stock holds before it gives a batch of eight back.
const FULL: usize = 15;

thread_local! {
    static EXHAUSTED: Cell<bool> = const { Cell::new(false) };
}

/// The system's heap, which has no more slots when a thread says so.
struct Heap;

// SAFETY: all memory is the system's; null is an answer that an allocator may give.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() >= SLOT && EXHAUSTED.get() {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller's promise is the system's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as above; all memory that goes back came from the system.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static HEAP: Heap = Heap;

/// Families of two CPUs, and who has which.
struct World {
    families: Families,
    bed: Bed,
    /// Slots that the heap has given.
    made: usize,
    lanes: RefCell<Vec<Vec<Member>>>,
    refused: RefCell<Vec<usize>>,
}

impl World {
    /// Each lane has a family; `stock` slots are free in the stock of CPU 0 and `list` in the list.
    /// The heap has no more.
    fn new(Shape { made, stock, list, lanes }: &Shape<'_>) -> Self {
        EXHAUSTED.set(false);
        let (families, bed) = (Families::new(2).expect("the heap has room"), Bed::new(Sleep::Word));
        let found = |id| families.found(id as u64, &bed, 0).expect("the heap has room");
        let mut all: Vec<Member> = (0..*made).map(found).collect();
        EXHAUSTED.set(true);
        assert!(families.found(0, &bed, 0).is_err(), "the heap gave more than {made} slots");
        let mut leave = |cpu| families.leave(all.pop().expect("there is one"), &bed, cpu);
        // A stock that is full gives half of what it has to the list: here that of CPU 1, whose
        // other half CPU 1 then keeps.
        if *list > 0 {
            assert_eq!(*list, 8, "a batch");
            (0..=FULL).for_each(|_| leave(1));
        }
        (0..*stock).for_each(|_| leave(0));
        let kept = if *list > 0 { 8 } else { 0 };
        let mut lanes: Vec<Vec<Member>> = lanes.iter().map(|_| vec![all.remove(0)]).collect();
        let taken = |n| families.found(n, &bed, 1).expect("CPU 1 has some in its stock");
        lanes.push(all.into_iter().chain((0..kept).map(taken)).collect());
        let lanes = RefCell::new(lanes);
        Self { families, bed, made: *made, lanes, refused: RefCell::default() }
    }

    fn act(&self, lane: usize, act: Act) {
        let id = 100 + lane as u64;
        let made = match act {
            Found(cpu) => self.families.found(id, &self.bed, cpu),
            Fork(areas) => {
                let parent = self.lanes.borrow()[lane][0];
                self.families.fork(parent, id, &self.bed, areas)
            }
            Leave(cpu) => {
                let member = self.lanes.borrow_mut()[lane].remove(0);
                return self.families.leave(member, &self.bed, cpu);
            }
        };
        match made {
            Ok(member) => self.lanes.borrow_mut()[lane].push(member),
            Err(_) => self.refused.borrow_mut().push(lane),
        }
    }
}

struct Shape<'a> {
    /// Slots that there are.
    made: usize,
    /// How many of them are free in the stock of CPU 0.
    stock: usize,
    /// How many are free in the list: eight or none.
    list: usize,
    lanes: &'a [&'a [Act]],
}

impl Subject for Shape<'_> {
    type World = Rc<World>;

    fn build(&mut self, lanes: &mut Lanes<'_>) -> Rc<World> {
        let world = Rc::new(World::new(self));
        lanes_that_act(lanes, &world, self.lanes, World::act);
        world
    }

    /// The outcome is who was refused.
    fn judge(&mut self, world: Rc<World>, _: Ending<'_>) -> Judgement {
        let mut all: Vec<u32> = world.lanes.borrow().concat().iter().map(|it| it.slot()).collect();
        for cpu in [0, 1] {
            let rest = || world.families.found(0, &world.bed, cpu).ok();
            all.extend(std::iter::from_fn(rest).map(Member::slot));
        }
        EXHAUSTED.set(false);
        let apart: BTreeSet<u32> = all.iter().copied().collect();
        let refused = format!("{:?}", world.refused.borrow());
        if apart.len() != all.len() || all.len() != world.made {
            let message = format!("{all:?} are taken in the end, of {} slots", world.made);
            return Judgement::Fail { outcome: "slots".to_owned(), message };
        }
        Judgement::Pass { outcome: refused }
    }
}

fn explored(shape: &mut Shape<'_>, model: Model, locks: LockForm) -> Report {
    let config = Config { model, locks, shrink_runs: 0, ..Config::default() };
    explore(shape, &config, &mut |_| {})
}

/// In every execution of the shape those are refused, and nobody else; each set occurs.
#[track_caller]
fn refuses((made, stock, list): (usize, usize, usize), lanes: &[&[Act]], expected: &[&str]) {
    let mut executions = Vec::new();
    for (model, form) in
        MODELS.into_iter().flat_map(|model| [(model, LockForm::Object), (model, LockForm::Code)])
    {
        let report = explored(&mut Shape { made, stock, list, lanes }, model, form);
        assert_eq!(report.failure, None, "{lanes:?} under {model:?}");
        assert_eq!(report.complete, Completeness::Exhausted);
        let outcomes: Vec<&str> = report.outcomes.keys().map(String::as_str).collect();
        assert_eq!(outcomes, expected, "{lanes:?} under {model:?}, {form:?}");
        executions.push(report.executions);
    }
    println!("{stock} in a stock, {list} in the list, {lanes:?}: {executions:?} executions");
}

#[test]
fn the_last_slot_of_a_stock_is_of_one_family() {
    refuses((FEW, 1, 0), &[&[Found(0)], &[Found(0)]], &["[0]", "[1]"]);
    refuses((FEW, 2, 0), &[&[Found(0)], &[Found(0)]], &["[]"]);
    refuses((FEW, 1, 0), &[&[Found(0)], &[Leave(0)]], &["[]"]);
    refuses((FEW, 0, 0), &[&[Found(0)], &[Leave(0)]], &["[0]", "[]"]);
    refuses((FEW, 1, 0), &[&[Leave(0), Found(0)], &[Found(0), Leave(0)]], &["[]"]);
}

/// A CPU that finds its stock and the list empty is refused, whatever another CPU's stock holds: at
/// most two batches.
#[test]
fn what_is_in_another_cpus_stock_is_not_found() {
    refuses((FEW, 1, 0), &[&[Found(1)], &[Found(0)]], &["[0]"]);
    refuses((FEW, 0, 0), &[&[Found(1)], &[Leave(0)]], &["[0]"]);
    refuses((FEW, 0, 0), &[&[Found(1)], &[Leave(1)]], &["[0]", "[]"]);
}

/// A full stock gives a batch to the list, and an empty one gets it.
#[test]
fn a_batch_passes_from_one_stock_to_another() {
    refuses((MORE, FULL, 0), &[&[Leave(0)], &[Found(1)]], &["[1]", "[]"]);
    refuses(
        (MORE, FULL, 0),
        &[&[Leave(0), Found(0)], &[Found(1), Found(1)]],
        &["[1, 1]", "[1]", "[]"],
    );
    refuses((MORE, FULL, 0), &[&[Leave(0)], &[Found(1)], &[Found(0)]], &["[1]", "[]"]);
    refuses((MANY, FULL, 8), &[&[Leave(0)], &[Fork(1)]], &["[]"]);
    refuses((MANY, FULL, 8), &[&[Leave(0)], &[Found(1)], &[Fork(1)]], &["[2]", "[]"]);
}

#[test]
fn a_fork_gives_back_what_it_has_reserved_in_vain() {
    refuses((MORE, 0, 8), &[&[Fork(8)], &[Found(1)]], &["[0]", "[1]", "[]"]);
    refuses((MORE, 0, 8), &[&[Fork(2)], &[Found(1)]], &["[0]", "[]"]);
    refuses((MORE, 0, 8), &[&[Fork(2)], &[Fork(2)]], &["[]"]);
    refuses((MORE, FULL, 0), &[&[Fork(2)], &[Leave(0)]], &["[0]", "[]"]);
}
