//! The orders of whole steps: every one that the scenario allows, or a sample if there are many.
//!
//! INV-ORDER-1: a step stands behind the earlier steps of its lane, behind the step that makes the
//! handle that it uses or gives the signal that it awaits, and a lane behind the fork of its
//! process and the lane that it is to follow; what comes after a `vfork` stands behind the step
//! with which the child leaves its parent's address space. Nothing else is in order: when a monitor
//! is told of something, and who sleeps for it, shows in the trial (INV-WHOLE-2).

use std::collections::BTreeSet;

use pinfold_lab::resolved::{Act, Resolved, ResolvedStep};

/// Numbers that follow from a seed (splitmix64).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The numbers of a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// A number below `most`; 0 if there is none.
    pub fn below(&mut self, most: u64) -> u64 {
        self.number().checked_rem(most).unwrap_or(0)
    }
}

/// The orders to be tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Orders {
    /// Each as a list of lanes whose next step is taken.
    pub orders: Vec<Vec<usize>>,
    /// Whether there are more.
    pub sampled: bool,
}

/// All orders of the lanes' steps if there are at most `most`, else `most` of them that follow from
/// the seed.
pub fn orders(plan: &Resolved, most: usize, seed: u64) -> Orders {
    let mut all = Vec::new();
    extend(plan, &mut Taken::none(plan), most.saturating_add(1), &mut all);
    if all.len() <= most {
        return Orders { orders: all, sampled: false };
    }
    let mut random = Random::new(seed);
    let mut some = BTreeSet::new();
    // Equal ones are drawn again, but not for ever.
    for _ in 0..most.saturating_mul(4) {
        if some.len() == most {
            break;
        }
        let mut taken = Taken::none(plan);
        loop {
            let ready = taken.ready(plan);
            let at = random.below(ready.len() as u64) as usize;
            let Some(&lane) = ready.get(at) else { break };
            taken.take(lane);
        }
        some.insert(taken.order);
    }
    Orders { orders: some.into_iter().collect(), sampled: true }
}

/// Adds every order that begins like `taken`, until there are `enough`.
fn extend(plan: &Resolved, taken: &mut Taken, enough: usize, all: &mut Vec<Vec<usize>>) {
    let ready = taken.ready(plan);
    if ready.is_empty() {
        all.push(taken.order.clone());
        return;
    }
    for lane in ready {
        if all.len() >= enough {
            return;
        }
        taken.take(lane);
        extend(plan, taken, enough, all);
        taken.untake();
    }
}

/// The beginning of an order.
struct Taken {
    next: Vec<usize>,
    order: Vec<usize>,
}

impl Taken {
    fn none(plan: &Resolved) -> Self {
        Self { next: vec![0; plan.lanes.len()], order: Vec::new() }
    }

    fn take(&mut self, lane: usize) {
        self.next[lane] += 1;
        self.order.push(lane);
    }

    fn untake(&mut self) {
        if let Some(lane) = self.order.pop() {
            self.next[lane] -= 1;
        }
    }

    /// The lanes whose next step may be taken: INV-ORDER-1.
    fn ready(&self, plan: &Resolved) -> Vec<usize> {
        (0..plan.lanes.len()).filter(|lane| self.is_ready(plan, *lane)).collect()
    }

    fn is_ready(&self, plan: &Resolved, lane: usize) -> bool {
        let Some(step) = plan.lanes[lane].steps.get(self.next[lane]) else { return false };
        let born = !plan.lanes[lane].late
            || self.is_done(plan, |act| {
                let made = act.makes_process();
                made.is_some() && made == plan.lanes[lane].process
            });
        let held = step.act.uses_handle().is_none_or(|handle| {
            let makes = |act: &Act| act.makes_handle() == Some(handle);
            plan.setup.iter().any(|step| makes(&step.act)) || self.is_done(plan, makes)
        });
        let given = match step.act {
            Act::Await(signal) => {
                let gives = |act: &Act| *act == Act::Signal(signal);
                plan.setup.iter().any(|step| gives(&step.act)) || self.is_done(plan, gives)
            }
            _ => true,
        };
        let follows = plan.lanes[lane].after.is_none_or(|other| {
            plan.lanes.get(other).is_none_or(|before| self.next[other] == before.steps.len())
        });
        born && held && given && follows && !self.sleeps(plan, lane)
    }

    /// Whether a lane has made a child by vfork that is still in its address space.
    fn sleeps(&self, plan: &Resolved, lane: usize) -> bool {
        let last = self.next[lane].checked_sub(1).and_then(|last| plan.lanes[lane].steps.get(last));
        let Some(ResolvedStep { act: Act::Vfork(child), fails: None, .. }) = last else {
            return false;
        };
        let leaves = |step: &ResolvedStep| {
            step.process == Some(*child) && matches!(step.act, Act::Exit | Act::Exec)
        };
        let taken = plan.lanes.iter().zip(&self.next);
        !taken.flat_map(|(lane, next)| &lane.steps[..*next]).any(leaves)
    }

    /// Whether such a step of a lane has been taken.
    fn is_done(&self, plan: &Resolved, which: impl Fn(&Act) -> bool) -> bool {
        let taken = plan.lanes.iter().zip(&self.next);
        taken.flat_map(|(lane, next)| &lane.steps[..*next]).any(|step| which(&step.act))
    }
}
