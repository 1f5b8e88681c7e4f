//! Large folios: the same denials in a life of their own, and what makes no sense.

use super::testing::{Audit, Space, machine, map, map_shared, pages, rules, space, store};
use super::{Blank, Deny, Life, NODES, Plan, RW, Step, TUNING, Why, at};
use pinfold::{
    Access, Advice, CollapseError, File, FileSharing, Memory, NodeId, Pfn, Placement, Remap,
    Sharing, Small, SplitError, Term, Tuning, VirtAddr, X86_64, Zone, lab,
};

/// Folios of four pages fill a table of the small format.
const WITH_FOLIOS: Tuning = Tuning { folios_advised: 1 << 2, ..TUNING };

/// A split needs nothing that could be denied.
fn split(life: &Life, page: u64) -> Result<(), Why> {
    match life.parent.split_folio(VirtAddr::of_page(page)) {
        Ok(()) => Ok(()),
        Err(SplitError::NotLarge) => Err(Why::Missing),
        Err(error) => panic!("{error}"),
    }
}

/// A collapse that is denied memory has touched nothing; what is in use stays as it is.
fn collapse(space: Option<&Space<Small>>, first: u64) -> Result<(), Why> {
    let Some(space) = space else { return Err(Why::Missing) };
    let entries = || [0, 1, 2, 3].map(|page| space.entry(page_at(first + page)));
    let before = entries();
    match space.collapse(pages(first, 4)) {
        Ok(_) => Ok(()),
        Err(error) => {
            assert_eq!(entries(), before, "{error}");
            match error {
                CollapseError::OutOfFrames => Err(Why::Want),
                CollapseError::NotMapped(_)
                | CollapseError::Unsuitable(_)
                | CollapseError::Pinned { .. } => Err(Why::Missing),
                error => panic!("{error}"),
            }
        }
    }
}

fn page_at(page: u64) -> VirtAddr {
    VirtAddr::of_page(page)
}

const STEPS: [(&str, Step); 22] = [
    ("map", |l| l.parent.map(at(4), 8, RW, Sharing::Private).map_err(Why::from).map(drop)),
    ("advise", |l| Ok(l.parent.advise(pages(4, 8), Advice::HugePage)?)),
    ("touch", |l| store(&l.parent, 5, 1).map_err(Why::from).map(drop)),
    ("fork", |l| l.parent.fork().map_err(Why::from).map(|child| l.child = Some(child))),
    ("copy", |l| store(&l.parent, 6, 2).map_err(Why::from).map(drop)),
    ("touch in the child", |l| store(l.child()?, 9, 3).map_err(Why::from).map(drop)),
    ("collapse what the child shares", |l| collapse(Some(&l.parent), 4)),
    ("collapse in the child", |l| collapse(l.child.as_ref(), 8)),
    ("split for both", |l| split(l, 4)),
    ("collapse what was split", |l| collapse(l.child.as_ref(), 4)),
    ("touch more", |l| store(&l.parent, 8, 1).map_err(Why::from).map(drop)),
    ("lock", |l| Ok(l.parent.mlock(pages(8, 2))?)),
    ("pin", |l| {
        let pins = l.parent.pin(pages(9, 1), Access::Write, Term::Short)?;
        l.pins.push(pins);
        Ok(())
    }),
    ("collapse what is pinned", |l| collapse(Some(&l.parent), 8)),
    ("fork again", |l| l.parent.fork().map_err(Why::from).map(|child| l.grandchild = Some(child))),
    ("unpin", |l| {
        l.pins.clear();
        Ok(())
    }),
    ("unlock", |l| Ok(l.parent.munlock(pages(8, 2))?)),
    ("move a half", |l| {
        let to = Remap::To(VirtAddr::of_page(12));
        Ok(l.parent.remap(pages(10, 2), 2, to).map(drop)?)
    }),
    ("unmap a part", |l| Ok(l.parent.unmap(pages(8, 1))?)),
    ("split what waits", |l| {
        let waits = l.mem.partly_mapped();
        assert_eq!(l.mem.split_partly_mapped(9).split, waits);
        Ok(())
    }),
    ("unmap all", |l| Ok(l.parent.unmap(pages(1, 15))?)),
    ("give back", |l| {
        (l.child, l.grandchild) = (None, None);
        Ok(())
    }),
];

/// What gives memory back.
const GIVES_BACK: [&str; 6] =
    ["split for both", "unpin", "split what waits", "unmap all", "give back", "unlock"];

const PLAN: Plan =
    Plan { steps: &STEPS, gives_back: &GIVES_BACK, tuning: WITH_FOLIOS, movable: &[] };

#[test]
fn no_folio_is_lost_whichever_request_for_heap_or_frames_is_denied() {
    let tally = PLAN.by_every_preset(|plan, rules, tally| {
        plan.goes_well(rules);
        plan.deny_heap(rules, Deny::After, tally);
        plan.deny_frames(rules, tally);
    });
    tally.refused_enough("with folios");
}

#[test]
fn no_folio_is_lost_whichever_request_to_an_outside_owner_is_refused() {
    let tally = PLAN.by_every_preset(Plan::deny_outside);
    println!("{} lives with folios, {} runs asked for", tally.lives, tally.runs);
    assert!(tally.runs > 100);
}

/// Order 0 and 1 mean nothing, nor what no table maps.
#[test]
fn orders_that_make_no_sense_are_passed_over() {
    for orders in [0, 1, 1 << 1, 1 << 31, 1 << 11, 0b11, u32::MAX] {
        let tuning = Tuning { folios_always: orders, folios_advised: orders, ..Tuning::default() };
        let small = machine::<Small>(rules("pinfold"), &NODES, tuning);
        let parent = space(&small);
        map(&parent, 1, 15, RW);
        for page in 1..16 {
            store(&parent, page, page).unwrap();
        }
        let folios = small.stats().thp_fault_alloc;
        assert_eq!(folios, if orders == u32::MAX { 3 } else { 0 }, "{orders:#b}");
        Audit::of(&small).space(&parent).check();
        let large = machine::<X86_64>(rules("pinfold"), &[2048], tuning);
        let parent = space(&large);
        map(&parent, 512, 512, RW);
        let pfn = store(&parent, 600, 1).unwrap();
        let pages = lab::large_folio(large.frames(), pfn).map_or(1, |folio| folio.pages);
        assert_eq!(pages, if orders == u32::MAX { 512 } else { 1 }, "{orders:#b}");
        Audit::of(&large).space(&parent).check();
    }
}

#[test]
fn what_is_no_folio_is_not_split_and_what_is_not_private_gives_no_reference() {
    let mem = machine::<Small>(rules("pinfold"), &NODES, WITH_FOLIOS);
    let parent = space(&mem);
    map(&parent, 1, 2, RW);
    map_shared(&parent, 4, 1);
    let small = store(&parent, 1, 1).unwrap();
    let shared = store(&parent, 4, 1).unwrap();
    super::load(&parent, 2).unwrap();
    let file = File::new(&mem, 3, Box::new(Blank)).unwrap();
    parent.map_file(at(8), RW, file.run(0..2), FileSharing::Shared).unwrap();
    let of_file = store(&parent, 8, 1).unwrap();
    parent.map_file(at(12), RW, file.run(0..2), FileSharing::Private).unwrap();
    super::load(&parent, 12).unwrap();
    for page in [0, 1, 2, 4, 8, 12, 15, u64::MAX >> 12] {
        let done = parent.split_folio(VirtAddr::of_page(page));
        assert_eq!(done, Err(SplitError::NotLarge), "page {page}");
    }
    let runs: Vec<_> = (0..=3)
        .map(|order| {
            let run = mem.frames().take_run(order, Placement::Only(NodeId(0)), Zone::Any);
            run.unwrap()
        })
        .collect();
    let mut given = Vec::new();
    for pfn in mem.frames().all() {
        if let Some(reference) = Memory::try_reference(&mem, pfn) {
            given.push(reference);
        }
    }
    let of: Vec<Pfn> = given.iter().map(|reference| reference.pfn()).collect();
    assert_eq!(of, [small], "neither {shared} nor {of_file}, nor a table, nor a free frame");
    drop(runs);
    Audit::of(&mem).space(&parent).file(&file).gets(&of).check();
}
