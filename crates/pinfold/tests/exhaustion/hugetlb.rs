//! Huge pages of the pool: the same denials in a life of their own, the pool run dry among them.

use super::testing::{
    Audit, Marks, Outside, load, machine, machine_of, pages, space, spans, store,
};
use super::{Deny, Life, NODES, RW, Step, TUNING, Why, at, frames_but, live_by, with_heap};
use pinfold::rules::PRESETS;
use pinfold::{Access, Advice, FaultError, FrameSetup, Place, Prot, Rules, Small, Term, VirtAddr};

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

fn life(preset: &str) -> Life {
    Life::of(machine(Rules::linux(preset).unwrap(), &NODES, TUNING))
}

fn live(life: Life, make: impl FnMut(usize, &mut Life, Step) -> Result<(), Why>) -> u64 {
    live_by((&STEPS, &GIVES_BACK), life, make)
}

#[test]
fn no_huge_page_is_lost_whichever_request_for_heap_or_frames_is_denied() {
    let (mut lives, mut refused) = (0_u64, 0);
    for preset in PRESETS {
        assert_eq!(live(life(preset), |_, life, step| step(life)), 0, "{preset}: all goes well");
        for target in 0..STEPS.len() {
            for granted in 0.. {
                let mut met = 0;
                refused += live(life(preset), |index, life, step| {
                    if index != target {
                        return step(life);
                    }
                    let (made, denied) = with_heap(Deny::After(granted), || step(life));
                    met = denied;
                    made
                });
                lives += 1;
                if met == 0 {
                    break;
                }
            }
            for left in 0..8 {
                refused += live(life(preset), |index, life, step| {
                    if index != target {
                        return step(life);
                    }
                    let mem = life.mem.clone();
                    let _taken = frames_but(&mem, left);
                    step(life)
                });
                lives += 1;
            }
        }
    }
    println!("{lives} lives with huge pages, {refused} steps refused");
    assert!(refused > 100);
}

#[test]
fn no_huge_page_is_lost_whichever_step_finds_the_pool_without_a_spare_one() {
    let (mut lives, mut refused) = (0_u64, 0);
    for preset in PRESETS {
        for target in 1..STEPS.len() {
            refused += live(life(preset), |index, life, step| {
                if index == target {
                    life.mem.hugetlb_pool(0);
                }
                step(life)
            });
            lives += 1;
        }
    }
    println!("{lives} lives with a dry pool, {refused} steps refused");
    assert!(refused > 100);
}

#[test]
fn no_huge_page_is_lost_whichever_request_to_an_outside_owner_is_refused() {
    let (mut lives, mut refused) = (0_u64, 0);
    for preset in PRESETS {
        for granted in 0.. {
            let outside = Outside::of(&spans(&NODES));
            let spans = spans(&NODES);
            let setup = FrameSetup::new(&spans).source(outside);
            let rules = Rules::linux(preset).unwrap();
            let life = Life::of(machine_of(Marks::Hardware, setup, rules, TUNING));
            outside.books().refuse_after = Some(granted);
            refused += live(life, |_, life, step| step(life));
            assert!(outside.has_all(), "{preset}: everything went back, the zero page as well");
            lives += 1;
            if outside.books().refuse_after.is_some() {
                break;
            }
        }
    }
    println!("{lives} lives with huge pages, {refused} steps refused by the owner of the frames");
    assert!(refused > 100);
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
