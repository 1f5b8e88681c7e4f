//! A life on a machine with memory that is set apart for what can move, denied heap and frames in
//! the same ways: long-term pins move their pages out, and the memory goes and comes back.

use super::plan::{CHILD_EXITS, GIVE_BACK, Plan};
use super::testing::{load, store};
use super::{RW, Step, TUNING, Why, at};
use pinfold::{Access, Memory, MoveScope, NodeId, NodeSpan, OfflineError, Pfn, Sharing, VirtAddr};

/// Behind the frames of both nodes.
const APART: NodeSpan = NodeSpan { node: NodeId(0), first: Pfn(64), frames: 12 };

/// All that a life does, in order.
const STEPS: [(&str, Step); 13] = [
    ("map", |l| l.parent.map(at(1), 8, RW, Sharing::Private).map_err(Why::from).map(drop)),
    ("store", |l| {
        (1..7).try_for_each(|page| store(&l.parent, page, page).map(drop)).map_err(Why::from)
    }),
    ("fork", |l| l.parent.fork().map_err(Why::from).map(|child| l.child = Some(child))),
    ("child stores", |l| store(l.child()?, 2, 2).map_err(Why::from).map(drop)),
    ("pin", |l| l.pin(1, Access::Write, false)),
    ("pin for reading", |l| l.pin(4, Access::Read, false)),
    ("pin what nobody has touched", |l| l.pin(7, Access::Write, false)),
    ("move each", |l| {
        let each = [1, 2, 3, 5].map(|page| (VirtAddr::of_page(page), NodeId(1)));
        l.parent.move_pages(&each, MoveScope::All, |_| ());
        Ok(())
    }),
    ("take memory out", |l| {
        match Memory::offline(&l.mem, &APART, |_, _| ()) {
            // SAFETY: nobody has used it meanwhile.
            Ok(()) => unsafe { l.mem.online(&APART) }.expect("it is out"),
            // Up to 5.12 pins keep what they have there; or there is no room elsewhere.
            Err(OfflineError::Stays(_)) => {}
            Err(other) => panic!("{other}"),
        }
        Ok(())
    }),
    ("store again", |l| {
        (1..7).try_for_each(|page| store(&l.parent, page, page).map(drop)).map_err(Why::from)
    }),
    ("child loads", |l| load(l.child()?, 3).map_err(Why::from).map(drop)),
    CHILD_EXITS,
    GIVE_BACK,
];

const PLAN: Plan = Plan {
    steps: &STEPS,
    gives_back: &["child exits", "give back"],
    tuning: TUNING,
    movable: &[APART],
};

#[test]
fn with_movable_memory_nothing_is_lost_whichever_heap_or_frames_are_denied() {
    let tally = PLAN.by_every_preset(|plan, rules, tally| {
        plan.goes_well(rules);
        plan.deny_all(rules, tally);
    });
    tally.refused_enough("with memory that is set apart for what can move");
}
