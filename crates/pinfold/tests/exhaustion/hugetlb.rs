//! Huge pages of the pool: the same denials in a life of their own, the pool run dry among them.

use super::testing::{Audit, load, machine, pages, space, store};
use super::{Deny, Life, NODES, Plan, RW, Step, TUNING, Why, at, with_heap};
use pinfold::{Access, Advice, FaultError, Place, Prot, Rules, Small, Term, VirtAddr};

/// Lets the pool have so many pages.
fn pool(life: &Life, pages: u64) -> Result<(), Why> {
    if life.mem.hugetlb_pool(pages) < pages { Err(Why::Want) } else { Ok(()) }
}

const STEPS: [(&str, Step); 22] = [
    ("pool", |l| pool(l, 4)),
    ("map", |l| l.parent.map_hugetlb(at(4), 8, RW).map_err(Why::from).map(drop)),
    ("touch", |l| store(&l.parent, 5, 1).map_err(Why::from).map(drop)),
    ("read", |l| load(&l.parent, 9).map_err(Why::from).map(drop)),
    ("pin", |l| {
        let pins = l.parent.pin(pages(6, 2), Access::Write, Term::Long)?;
        l.pins.push(pins);
        Ok(())
    }),
    ("fork", |l| l.parent.fork().map_err(Why::from).map(|child| l.child = Some(child))),
    ("copy", |l| store(&l.parent, 10, 2).map_err(Why::from).map(drop)),
    ("keep", |l| store(l.child()?, 10, 3).map_err(Why::from).map(drop)),
    ("unpin", |l| {
        l.pins.clear();
        Ok(())
    }),
    ("fork again", |l| {
        let child = l.child()?.fork();
        child.map_err(Why::from).map(|child| l.grandchild = Some(child))
    }),
    ("larger pool", |l| pool(l, 5)),
    ("copy in the child", |l| store(l.child()?, 4, 2).map_err(Why::from).map(drop)),
    // From now on nothing is left for a copy.
    ("no spare page", |l| {
        l.mem.hugetlb_pool(0);
        Ok(())
    }),
    ("fork for the third time", |l| {
        l.grandchild = None;
        l.parent.fork().map_err(Why::from).map(|child| l.grandchild = Some(child))
    }),
    ("take back", |l| store(&l.parent, 4, 4).map_err(Why::from).map(drop)),
    ("protect a part", |l| Ok(l.parent.protect(pages(8, 4), Prot::READ)?)),
    ("do not need", |l| Ok(l.parent.advise(pages(4, 4), Advice::DontNeed)?)),
    ("replace a part", |l| {
        let place = Place::Replace(VirtAddr::of_page(8));
        l.parent.map_hugetlb(place, 4, RW).map_err(Why::from).map(drop)
    }),
    ("unmap a part", |l| Ok(l.parent.unmap(pages(4, 4))?)),
    ("unmap all", |l| Ok(l.parent.unmap(pages(1, 15))?)),
    ("give back", |l| {
        (l.child, l.grandchild) = (None, None);
        Ok(())
    }),
    ("no pool", |l| {
        assert_eq!(l.mem.hugetlb_pool(0), 0);
        Ok(())
    }),
];

/// What gives memory back and cuts no area.
const GIVES_BACK: [&str; 6] =
    ["unpin", "no spare page", "do not need", "unmap all", "give back", "no pool"];

const PLAN: Plan = Plan { steps: &STEPS, gives_back: &GIVES_BACK, tuning: TUNING, movable: &[] };

#[test]
fn no_huge_page_is_lost_whichever_request_for_heap_or_frames_is_denied() {
    let tally = PLAN.by_every_preset(|plan, rules, tally| {
        plan.goes_well(rules);
        plan.deny_heap(rules, Deny::After, tally);
        plan.deny_frames(rules, tally);
    });
    tally.refused_enough("with huge pages");
}

#[test]
fn no_huge_page_is_lost_whichever_step_finds_the_pool_without_a_spare_one() {
    let tally = PLAN.by_every_preset(|plan, rules, tally| {
        for target in 1..STEPS.len() {
            plan.but(target, rules, tally, |life, step| {
                life.mem.hugetlb_pool(0);
                step(life)
            });
        }
    });
    tally.refused_enough("with a dry pool");
}

#[test]
fn no_huge_page_is_lost_whichever_request_to_an_outside_owner_is_refused() {
    let tally = PLAN.by_every_preset(Plan::deny_outside);
    tally.refused_enough("with huge pages over frames of an outside owner");
}

/// A shortage of heap or frames is one, and that of the pool another.
#[test]
fn each_shortage_has_its_error() {
    let mem = machine::<Small>(Rules::default(), &NODES, TUNING);
    mem.platform().cache_nothing();
    assert_eq!(mem.hugetlb_pool(1), 1);
    let parent = space(&mem);
    for granted in 0.. {
        let deny = Deny::From(granted);
        let (made, denied) = with_heap(deny, || parent.map_hugetlb(at(4), 4, RW));
        if denied == 0 {
            break;
        }
        assert_eq!((made, mem.hugetlb().reserved), (Err(pinfold::SpaceError::NoMemory), 0));
    }
    assert_eq!(mem.hugetlb().reserved, 1);
    store(&parent, 4, 4).unwrap();
    let child = parent.fork().unwrap();
    assert_eq!(store(&child, 4, 5), Err(FaultError::NoHugePage));
    assert_eq!(load(&child, 4), Ok(4));
    Audit::of(&mem).space(&parent).space(&child).check();
}
