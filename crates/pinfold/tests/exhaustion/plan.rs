//! The steps of a life, and the denials that it is lived under: of heap, of frames, by an outside
//! owner of the frames.

use super::heap::{Deny, with_heap};
use super::testing::{Marks, Mem, Outside, machine_of, spans};
use super::{Life, NODES, Step, Why};
use pinfold::rules::PRESETS;
use pinfold::{FrameSetup, NewFrame, NodeId, NodeSpan, Placement, Rules, Small, Tuning};

pub(super) struct Plan {
    pub(super) steps: &'static [(&'static str, Step)],
    /// The steps that give memory back and split nothing: no heap is needed for them.
    pub(super) gives_back: &'static [&'static str],
    pub(super) tuning: Tuning,
    /// Memory that is set apart for what can move, beside the nodes' other memory.
    pub(super) movable: &'static [NodeSpan],
}

/// The last steps of a life that has no more than a child and pins.
pub(super) const CHILD_EXITS: (&str, Step) = ("child exits", |l| {
    l.child = None;
    Ok(())
});
pub(super) const GIVE_BACK: (&str, Step) = ("give back", |l| {
    l.pins.clear();
    Ok(())
});

/// What the lives under some denial came to.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) lives: u64,
    /// Steps that were refused for want of something.
    pub(super) refused: u64,
    /// Runs of more than one frame that the outside owner was asked for.
    pub(super) runs: usize,
}

impl Tally {
    /// Tells of it; so many steps were refused that it means something.
    pub(super) fn refused_enough(&self, what: &str) {
        println!("{} lives {what}, {} steps refused", self.lives, self.refused);
        assert!(self.refused > 100);
    }
}

impl Plan {
    fn life(&self, rules: Rules) -> Life {
        let spans = spans(&NODES);
        let setup = FrameSetup::new(&spans).movable(self.movable);
        Life::of(machine_of(Marks::Hardware, setup, rules, self.tuning))
    }

    /// The same over frames of an outside owner.
    fn life_over(&self, outside: &'static Outside, rules: Rules) -> Life {
        let spans = spans(&NODES);
        let setup = FrameSetup::new(&spans).source(outside);
        Life::of(machine_of(Marks::Hardware, setup, rules, self.tuning))
    }

    /// Lives `life` to its end; `make` runs a step, in the way of one denial. How many steps were
    /// refused.
    fn live(
        &self,
        mut life: Life,
        mut make: impl FnMut(usize, &mut Life, Step) -> Result<(), Why>,
    ) -> u64 {
        let rules = *life.mem.rules();
        let free = life.mem.frames().total_free();
        let mut refused = 0;
        for (index, (name, step)) in self.steps.iter().enumerate() {
            let made = make(index, &mut life, *step);
            refused += u64::from(made == Err(Why::Want));
            assert!(
                made != Err(Why::Want) || !self.gives_back.contains(name),
                "{rules}: {name} gives memory back"
            );
            life.audit();
        }
        let mem = life.mem.clone();
        drop(life);
        mem.lru_add_drain_all();
        assert_eq!(mem.frames().total_free(), free + 1, "{rules}: all but the zero page is free");
        refused
    }

    /// A life of which one step is made in this way.
    pub(super) fn but(
        &self,
        target: usize,
        rules: Rules,
        tally: &mut Tally,
        mut make: impl FnMut(&mut Life, Step) -> Result<(), Why>,
    ) {
        tally.refused += self.live(self.life(rules), |index, life, step| {
            if index == target { make(life, step) } else { step(life) }
        });
        tally.lives += 1;
    }

    /// Denied nothing, no step is refused.
    pub(super) fn goes_well(&self, rules: Rules) {
        let refused = self.live(self.life(rules), |_, life, step| step(life));
        assert_eq!(refused, 0, "{rules}: all goes well");
    }

    /// The same, where no step of the plan is there to fail: each does what it is for.
    pub(super) fn goes_as_meant(&self, rules: Rules) {
        self.live(self.life(rules), |index, life, step| {
            let made = step(life);
            assert_eq!(made, Ok(()), "{rules}: {}", self.steps[index].0);
            made
        });
    }

    /// What denials come to under all presets together.
    pub(super) fn by_every_preset(&self, deny: impl Fn(&Self, Rules, &mut Tally)) -> Tally {
        let mut tally = Tally::default();
        for preset in PRESETS {
            deny(self, Rules::linux(preset).unwrap(), &mut tally);
        }
        tally
    }

    /// Denies each request for heap of each step.
    pub(super) fn deny_heap(&self, rules: Rules, deny: fn(u64) -> Deny, tally: &mut Tally) {
        for target in 0..self.steps.len() {
            for granted in 0.. {
                let mut met = 0;
                self.but(target, rules, tally, |life, step| {
                    let (made, denied) = with_heap(deny(granted), || step(life));
                    met = denied;
                    made
                });
                if met == 0 {
                    break;
                }
            }
        }
    }

    /// Denies requests for heap, one or all from there on, and frames.
    pub(super) fn deny_all(&self, rules: Rules, tally: &mut Tally) {
        self.deny_heap(rules, Deny::After, tally);
        self.deny_heap(rules, Deny::From, tally);
        self.deny_frames(rules, tally);
    }

    /// Leaves each step none of the frames of a node, or one, or some more.
    pub(super) fn deny_frames(&self, rules: Rules, tally: &mut Tally) {
        for target in 0..self.steps.len() {
            for left in 0..8 {
                self.but(target, rules, tally, |life, step| {
                    let mem = life.mem.clone();
                    let _taken = frames_but(&mem, left);
                    step(life)
                });
            }
        }
    }

    /// Has the outside owner refuse each request that a life makes.
    pub(super) fn deny_outside(&self, rules: Rules, tally: &mut Tally) {
        for granted in 0.. {
            let outside = Outside::of(&spans(&NODES));
            let life = self.life_over(outside, rules);
            outside.books().refuse_after = Some(granted);
            tally.refused += self.live(life, |_, life, step| step(life));
            assert!(outside.has_all(), "{rules}: everything went back, the zero page as well");
            tally.lives += 1;
            tally.runs += outside.books().requests.iter().filter(|of| of.order > 0).count();
            if outside.books().refuse_after.is_some() {
                break;
            }
        }
    }
}

/// All frames but `left` of each node.
fn frames_but(mem: &Mem<Small>, left: u64) -> Vec<NewFrame<'_>> {
    let take = |node| {
        let place = Placement::Only(node);
        let mut taken: Vec<_> = std::iter::from_fn(|| mem.frames().take(place).ok()).collect();
        taken.truncate(taken.len().saturating_sub(left as usize));
        taken
    };
    [NodeId(0), NodeId(1)].into_iter().flat_map(take).collect()
}
