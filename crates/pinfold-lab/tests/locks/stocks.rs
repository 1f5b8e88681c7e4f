//! The CPUs' stocks of free frames (INV-STOCK-1 and 2 of `pinfold::frame`): who takes from one,
//! frees into one, and gives a batch back, beside a request that finds the node's lists empty.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use pinfold::lab::stocks;
use pinfold::{Frames, NewFrame, NodeId, NodeSpan, Pfn, Placement};
use pinfold_explore::{
    Completeness, Config, Ending, Judgement, Lanes, LockForm, Model, Report, Subject, explore,
};

use super::{MODELS, lanes_that_act};

/// What a lane does, one after the other. It has a frame at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    /// Takes a frame as this CPU.
    Take(usize),
    /// Takes a frame of the node as an embedder does, from no stock.
    TakeOutside,
    /// Frees the frame that it has had longest, as this CPU.
    Free(usize),
}

use Act::{Free, Take, TakeOutside};

const NODE: NodeId = NodeId(0);
const BATCH: u32 = 2;
/// What two CPUs' stocks hold at most, and a batch: so many are plenty for a node.
const PLENTY: u64 = 5 * BATCH as u64;

/// A node, all of whose free frames are in the stock of CPU 0, and who has the others.
struct World {
    frames: Frames,
    lanes: RefCell<Vec<Vec<Pfn>>>,
    refused: RefCell<Vec<usize>>,
}

impl World {
    fn new(free: usize, lanes: usize) -> Self {
        let all = PLENTY + 4;
        let span = NodeSpan { node: NODE, first: Pfn(0), frames: all };
        let frames = Frames::new(&[span]).expect("the heap has room");
        let frames = stocks::with(frames, 2, BATCH).expect("the heap has room");
        let near = || stocks::take(&frames, (0, NODE)).expect("frames are free").keep();
        let stocked: Vec<Pfn> = (0..free).map(|_| near()).collect();
        let outside = || frames.take(Placement::Only(NODE)).expect("frames are free").keep();
        let others: Vec<Pfn> = (free as u64..all).map(|_| outside()).collect();
        for pfn in stocked {
            give(&frames, 0, pfn);
        }
        assert_eq!(frames.total_free(), free as u64);
        let lanes = others.into_iter().take(lanes).map(|pfn| vec![pfn]).collect();
        Self { frames, lanes: RefCell::new(lanes), refused: RefCell::default() }
    }

    fn act(&self, lane: usize, act: Act) {
        let taken = match act {
            Take(cpu) => stocks::take(&self.frames, (cpu, NODE)),
            TakeOutside => self.frames.take(Placement::Only(NODE)),
            Free(cpu) => {
                let pfn = self.lanes.borrow_mut()[lane].remove(0);
                return give(&self.frames, cpu, pfn);
            }
        };
        match taken.map(NewFrame::keep) {
            Ok(pfn) => self.lanes.borrow_mut()[lane].push(pfn),
            Err(_) => self.refused.borrow_mut().push(lane),
        }
    }
}

fn give(frames: &Frames, cpu: usize, pfn: Pfn) {
    // SAFETY: whoever calls has it from `take` and forgets it.
    stocks::free(frames, cpu, unsafe { NewFrame::kept(frames, pfn) });
}

struct Shape<'a> {
    /// How many frames are free at first: two batches at most fit the stock.
    free: usize,
    lanes: &'a [&'a [Act]],
}

impl Subject for Shape<'_> {
    type World = Rc<World>;

    fn build(&mut self, lanes: &mut Lanes<'_>) -> Rc<World> {
        let world = Rc::new(World::new(self.free, self.lanes.len()));
        lanes_that_act(lanes, &world, self.lanes, World::act);
        world
    }

    /// The outcome is who was refused.
    fn judge(&mut self, world: Rc<World>, _: Ending<'_>) -> Judgement {
        let taken: Vec<Pfn> = world.lanes.borrow().concat();
        let apart: BTreeSet<Pfn> = taken.iter().copied().collect();
        let all = self.free + self.lanes.len();
        let sum = world.frames.total_free() as usize + taken.len();
        if apart.len() != taken.len() || sum != all {
            let message = format!("{taken:?} are taken, and {sum} of {all} frames are left");
            return Judgement::Fail { outcome: "frames".to_owned(), message };
        }
        Judgement::Pass { outcome: format!("{:?}", world.refused.borrow()) }
    }
}

fn explored(shape: &mut Shape<'_>, model: Model, locks: LockForm) -> Report {
    let config = Config { model, locks, shrink_runs: 0, ..Config::default() };
    explore(shape, &config, &mut |_| {})
}

/// In every execution of the shape those are refused, and nobody else; each set occurs.
#[track_caller]
fn refuses(free: usize, lanes: &[&[Act]], expected: &[&str]) {
    let mut executions = Vec::new();
    for (model, form) in
        MODELS.into_iter().flat_map(|model| [(model, LockForm::Object), (model, LockForm::Code)])
    {
        let report = explored(&mut Shape { free, lanes }, model, form);
        assert_eq!(report.failure, None, "{lanes:?} under {model:?}");
        assert_eq!(report.complete, Completeness::Exhausted);
        let outcomes: Vec<&str> = report.outcomes.keys().map(String::as_str).collect();
        assert_eq!(outcomes, expected, "{lanes:?} under {model:?}, {form:?}");
        executions.push(report.executions);
    }
    println!("{free} free, {lanes:?}: {executions:?} executions");
}

/// INV-STOCK-2: as many are free as are asked for.
#[test]
fn nobody_is_refused_a_frame_that_is_in_another_cpus_stock() {
    refuses(1, &[&[TakeOutside], &[Free(0)]], &["[]"]);
    refuses(2, &[&[Take(0)], &[TakeOutside]], &["[]"]);
    refuses(2, &[&[Take(0)], &[Take(1)]], &["[]"]);
    refuses(2, &[&[Free(1)], &[Take(1)]], &["[]"]);
}

/// INV-STOCK-1: while a full stock gives a batch back, its frames are found.
#[test]
fn nobody_is_refused_a_frame_that_passes_from_a_stock_to_the_node() {
    refuses(4, &[&[Free(0)], &[TakeOutside]], &["[]"]);
    refuses(4, &[&[Free(0)], &[TakeOutside; 4]], &["[]"]);
    refuses(4, &[&[Free(0)], &[Take(1); 4]], &["[]"]);
}

#[test]
fn who_asks_while_another_has_the_last_frame_is_refused() {
    refuses(1, &[&[Take(0)], &[TakeOutside]], &["[0]", "[1]"]);
    refuses(1, &[&[Take(0), Free(0)], &[TakeOutside]], &["[0]", "[1]", "[]"]);
}
