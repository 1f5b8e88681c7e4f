//! A life on a machine that reclaims, denied heap and frames in the same ways: what finds no frame
//! has others leave, as long as they can.

use super::plan::{CHILD_EXITS, GIVE_BACK, Plan};
use super::testing::{load, pages, store};
use super::{Blank, RW, Step, TUNING, Why, at};
use pinfold::{Access, Advice, NodeId, Sharing, SwapWrites, Tuning};

const NODE: NodeId = NodeId(0);
const LISTING: Tuning = Tuning { lru_batch: 3, reclaim_batch: 2, ..TUNING };

/// All that a life does, in order.
const STEPS: [(&str, Step); 20] = [
    ("swap on", |l| {
        l.swap = Some(l.mem.swap_on(Box::new(Blank), 12, SwapWrites::Any)?);
        Ok(())
    }),
    ("map", |l| l.parent.map(at(1), 8, RW, Sharing::Private).map_err(Why::from).map(drop)),
    ("store", |l| store(&l.parent, 1, 1).map_err(Why::from).map(drop)),
    ("store more", |l| store(&l.parent, 2, 1).map_err(Why::from).map(drop)),
    ("store in another table", |l| store(&l.parent, 5, 1).map_err(Why::from).map(drop)),
    ("cool", |l| Ok(l.parent.advise(pages(1, 2), Advice::Cold)?)),
    ("reclaim", |l| {
        l.mem.reclaim(NODE, 2);
        Ok(())
    }),
    ("load back", |l| load(&l.parent, 1).map_err(Why::from).map(drop)),
    ("fork", |l| l.parent.fork().map_err(Why::from).map(|child| l.child = Some(child))),
    ("child stores", |l| store(l.child()?, 2, 2).map_err(Why::from).map(drop)),
    ("reclaim what is shared", |l| {
        l.mem.reclaim(NODE, 8);
        Ok(())
    }),
    ("pin", |l| l.pin(1, Access::Write, false)),
    ("reclaim what is pinned", |l| {
        l.mem.reclaim(NODE, 8);
        Ok(())
    }),
    ("populate", |l| {
        let done = l.parent.populate(pages(1, 8), Access::Write);
        done.map_err(|stopped| stopped.error.into())
    }),
    ("lock a part", |l| Ok(l.parent.mlock(pages(5, 3))?)),
    ("drain", |l| {
        l.mem.lru_add_drain_all();
        Ok(())
    }),
    ("move", |l| {
        l.parent.migrate(pages(1, 8), NodeId(1));
        Ok(())
    }),
    ("child loads back", |l| load(l.child()?, 5).map_err(Why::from).map(drop)),
    CHILD_EXITS,
    GIVE_BACK,
];

const PLAN: Plan = Plan {
    steps: &STEPS,
    gives_back: &["reclaim", "reclaim what is shared", "child exits", "give back"],
    tuning: LISTING,
    movable: &[],
};

#[test]
fn with_lists_nothing_is_lost_whichever_heap_or_frames_are_denied() {
    let tally = PLAN.by_every_preset(|plan, rules, tally| {
        plan.goes_well(rules);
        plan.deny_all(rules, tally);
    });
    tally.refused_enough("on a machine that reclaims");
}
