//! A life with a swap device, denied heap and frames in the same ways.

use super::heap::Deny;
use super::plan::{CHILD_EXITS, GIVE_BACK, Plan};
use super::testing::{Space, load, pages, store};
use super::{Blank, Life, RW, Step, TUNING, Why, at};
use pinfold::rules::swap::marks_zeros;
use pinfold::{
    Access, Advice, Moved, NodeId, Reclaimer, Sharing, Small, SwapError, SwapId, SwapWrites, Tuning,
};

impl From<SwapError> for Why {
    fn from(error: SwapError) -> Self {
        match error {
            SwapError::NoMemory => Self::Want,
            SwapError::InUse { .. } | SwapError::Off => Self::Missing,
            other => panic!("{other}"),
        }
    }
}

fn device(l: &Life) -> Result<SwapId, Why> {
    l.swap.ok_or(Why::Missing)
}

fn out(l: &Life) -> Result<(), Why> {
    l.parent.page_out(pages(1, 6), Reclaimer::Pressure);
    Ok(())
}

/// Moves pages, of which some lie elsewhere.
fn moves(space: &Space<Small>, to: NodeId) -> Result<(), Why> {
    match space.migrate(pages(1, 6), to) {
        Moved { moved: 0, failed: 0 } => Err(Why::Missing),
        Moved { moved: 0, failed: _ } => Err(Why::Want),
        Moved { .. } => Ok(()),
    }
}

/// Has zeros come back, which were not written if the rules mark slots for them.
fn zeros_back(l: &Life) -> Result<(), Why> {
    let before = l.mem.stats().swpin_zero;
    load(&l.parent, 3)?;
    let marked = marks_zeros(l.mem.rules().swap_zero);
    if (l.mem.stats().swpin_zero > before) == marked { Ok(()) } else { Err(Why::Missing) }
}

/// All that a life does, in order.
const STEPS: [(&str, Step); 28] = [
    ("swap on", |l| {
        l.swap = Some(l.mem.swap_on(Box::new(Blank), 8, SwapWrites::Any)?);
        Ok(())
    }),
    ("map", |l| l.parent.map(at(1), 6, RW, Sharing::Private).map_err(Why::from).map(drop)),
    ("store", |l| store(&l.parent, 1, 1).map_err(Why::from).map(drop)),
    ("store more", |l| store(&l.parent, 2, 1).map_err(Why::from).map(drop)),
    ("store in another table", |l| store(&l.parent, 5, 1).map_err(Why::from).map(drop)),
    ("store zeros", |l| store(&l.parent, 3, 0).map_err(Why::from).map(drop)),
    ("page out", |l| out(l)),
    ("forget stores", |l| Ok(l.parent.clear_soft_dirty()?)),
    ("zeros back", |l| zeros_back(l)),
    ("load back", |l| load(&l.parent, 1).map_err(Why::from).map(drop)),
    ("store back", |l| store(&l.parent, 5, 2).map_err(Why::from).map(drop)),
    ("fork", |l| l.parent.fork().map_err(Why::from).map(|child| l.child = Some(child))),
    ("child loads back", |l| load(l.child()?, 2).map_err(Why::from).map(drop)),
    ("move what is in the swap cache", |l| moves(&l.parent, NodeId(1))),
    ("child stores", |l| store(l.child()?, 2, 2).map_err(Why::from).map(drop)),
    ("page out again", |l| out(l)),
    ("forget the child's stores", |l| Ok(l.child()?.clear_soft_dirty()?)),
    ("pin back", |l| l.pin(1, Access::Write, false)),
    ("page out what is pinned", |l| out(l)),
    ("move the child's", |l| moves(l.child()?, NodeId(1))),
    ("lock a part", |l| Ok(l.parent.mlock(pages(4, 3))?)),
    ("do not need", |l| match l.child()?.advise(pages(5, 1), Advice::DontNeed) {
        Ok(()) => Ok(()),
        Err(error) => Err(error.into()),
    }),
    ("need no more", |l| Ok(l.parent.advise(pages(2, 1), Advice::Free)?)),
    ("bring back", |l| Ok(l.parent.swap_in(device(l)?).map(drop)?)),
    ("bring the child's back", |l| Ok(l.child()?.swap_in(device(l)?).map(drop)?)),
    ("swap off", |l| {
        let off = l.mem.swap_off(device(l)?);
        if off.is_err() {
            l.mem.swap_again(device(l)?);
        }
        Ok(off?)
    }),
    CHILD_EXITS,
    GIVE_BACK,
];

const PLAN: Plan = Plan {
    steps: &STEPS,
    gives_back: &["page out", "child exits", "give back"],
    tuning: TUNING,
    movable: &[],
};

/// The same with pages that are read ahead.
const AHEAD: Plan = Plan { tuning: Tuning { swap_readahead: 2, ..TUNING }, ..PLAN };

#[test]
fn with_swap_nothing_is_lost_whichever_heap_or_frames_are_denied() {
    let tally = PLAN.by_every_preset(|plan, rules, tally| {
        plan.goes_as_meant(rules);
        plan.deny_all(rules, tally);
    });
    tally.refused_enough("with swap");
}

#[test]
fn with_readahead_neither() {
    let tally = AHEAD.by_every_preset(|plan, rules, tally| {
        plan.goes_as_meant(rules);
        plan.deny_heap(rules, Deny::From, tally);
        plan.deny_frames(rules, tally);
    });
    tally.refused_enough("with pages read ahead");
}
