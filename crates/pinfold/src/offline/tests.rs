//! Taking memory out while it is in use: what moves, what stays, and that all is undone.

use super::{Obstacle, OfflineError};
use crate::testing::{
    Audit, Marks, Mem, Space, load, machine, machine_of, map_shared, pages, rules, set_apart,
    space, store,
};
use crate::{
    Access, EventKind, FrameSetup, Memory, MemoryMapError, NodeId, NodeSpan, Pfn, Tuning, VirtAddr,
    X86_64,
};
use std::sync::{Arc, Mutex};
use std::vec::Vec;

const fn span(node: u8, first: u64, frames: u64) -> NodeSpan {
    NodeSpan { node: NodeId(node), first: Pfn(first), frames }
}

/// What can move lies in these frames first.
const APART: NodeSpan = span(0, 48, 16);

fn world_with(text: &str, tuning: Tuning) -> (Mem<X86_64>, Space<X86_64>) {
    set_apart((APART.first.0, APART.frames), text, tuning)
}

fn world(text: &str) -> (Mem<X86_64>, Space<X86_64>) {
    world_with(text, Tuning::default())
}

/// What stays, and the answer.
fn offline(mem: &Mem<X86_64>, span: &NodeSpan) -> (Result<(), OfflineError>, Vec<(Pfn, Obstacle)>) {
    let mut stays = Vec::new();
    let result = Memory::offline(mem, span, |pfn, why| stays.push((pfn, why)));
    (result, stays)
}

fn frame(space: &Space<X86_64>, page: u64) -> Pfn {
    space.entry(VirtAddr::of_page(page)).pfn()
}

#[test]
fn memory_goes_with_its_pages_moved_and_comes_back() {
    for text in crate::rules::PRESETS {
        let (mem, parent) = world(text);
        (16..26).for_each(|page| assert!(store(&parent, page, page).unwrap() >= APART.first));
        let child = parent.fork().unwrap();
        store(&child, 17, 99).unwrap();
        let free = mem.frames().total_free();
        assert_eq!(offline(&mem, &APART), (Ok(()), Vec::new()), "{text}");
        assert!((16..26).all(|page| frame(&parent, page) < APART.first), "{text}");
        assert!((16..26).all(|page| load(&parent, page) == Ok(page)), "{text}");
        assert_eq!((load(&child, 16), load(&child, 17)), (Ok(16), Ok(99)), "{text}");
        assert_eq!(mem.frames().total_free(), free - APART.frames, "{text}");
        assert!(store(&parent, 30, 1).unwrap() < APART.first, "{text}: it is not handed out");
        Audit::of(&mem).space(&parent).space(&child).check();
        let again = Err(OfflineError::Span(MemoryMapError::Out(APART.first)));
        assert_eq!(offline(&mem, &APART).0, again, "{text}: it is out already");
        // SAFETY: nobody has used it meanwhile.
        unsafe { mem.online(&APART) }.unwrap();
        // SAFETY: it changes nothing.
        let twice = unsafe { mem.online(&APART) };
        assert_eq!(twice, Err(MemoryMapError::NotReserved(APART.first)), "{text}");
        assert!(store(&parent, 31, 1).unwrap() >= APART.first, "{text}: as before");
        Audit::of(&mem).space(&parent).space(&child).check();
    }
}

#[test]
fn what_stays_is_told_with_its_reason_and_nothing_is_out() {
    let (mem, space) = world("pinfold");
    (16..20).for_each(|page| assert!(store(&space, page, page).unwrap() >= APART.first));
    let gets = space.get(pages(17, 1), Access::Write).unwrap();
    let held = mem.isolate(frame(&space, 18), crate::frame::Sizes::Any).unwrap();
    let (got, isolated) = (frame(&space, 17), frame(&space, 18));
    let free = mem.frames().total_free();
    let (result, mut stays) = offline(&mem, &APART);
    stays.sort_by_key(|(pfn, _)| *pfn);
    let mut busy = [(got, Obstacle::Busy), (isolated, Obstacle::Busy)];
    busy.sort_by_key(|(pfn, _)| *pfn);
    assert_eq!((result, stays), (Err(OfflineError::Stays(2)), busy.to_vec()));
    assert_eq!(mem.frames().total_free(), free);
    drop(held);
    Audit::of(&mem).space(&space).gets(gets.pages()).check();
    drop(gets);
    assert_eq!(offline(&mem, &APART), (Ok(()), Vec::new()));
    assert!((16..20).all(|page| load(&space, page) == Ok(page)));
    Audit::of(&mem).space(&space).check();
}

#[test]
fn tables_stay_and_shared_pages_go() {
    let mem = machine::<X86_64>(rules("pinfold"), &[48, 16], Tuning::default());
    let space = space(&mem);
    map_shared(&space, 40, 1);
    let shared = store(&space, 40, 1).unwrap();
    let (result, stays) = offline(&mem, &span(0, 0, 48));
    assert!(matches!(result, Err(OfflineError::Stays(2..))));
    assert!(stays.iter().all(|(_, why)| *why == Obstacle::Fixed), "{stays:?}");
    let told: Vec<Pfn> = stays.iter().map(|(pfn, _)| *pfn).collect();
    assert!(!told.contains(&shared) && told.contains(&space.root()));
    assert!(told.contains(&mem.zero_page()));
    assert_eq!((mem.frames().node(frame(&space, 40)), load(&space, 40)), (NodeId(1), Ok(1)));
    Audit::of(&mem).space(&space).check();
}

/// `tell` comes while what has left is out: of that nobody else may say that it is his.
#[test]
fn one_takes_memory_out_at_a_time() {
    let (mem, space) = world("pinfold");
    let pfn = store(&space, 16, 1).unwrap();
    let held = space.get(pages(16, 1), Access::Write).unwrap();
    let (mut stays, first) = (0, APART.first);
    let result = Memory::offline(&mem, &APART, |_, _| {
        stays += 1;
        let error = MemoryMapError::Leaving(first);
        assert_eq!(offline(&mem, &APART).0, Err(OfflineError::Span(error)));
        assert_eq!(mem.frames().reserve(first, 1), Err(error));
    });
    assert_eq!((result, stays), (Err(OfflineError::Stays(1)), 1));
    assert!((APART.first.0..APART.end()).contains(&pfn.0));
    drop(held);
    assert_eq!(offline(&mem, &APART).0, Ok(()), "the right was given back");
    Audit::of(&mem).space(&space).check();
}

#[test]
fn without_room_elsewhere_it_stays() {
    let (mem, space) = world("pinfold");
    (16..18).for_each(|page| assert!(store(&space, page, page).unwrap() >= APART.first));
    let mut taken = Vec::new();
    let any = (crate::Placement::Only(NodeId(0)), crate::Zone::Any);
    while let Ok(run) = mem.frames().take_run(0, any.0, any.1) {
        taken.push(run);
    }
    let (result, stays) = offline(&mem, &APART);
    assert_eq!(result, Err(OfflineError::Stays(2)));
    assert!(stays.iter().all(|(_, why)| *why == Obstacle::NoFrame), "{stays:?}");
    drop(taken);
    assert_eq!(offline(&mem, &APART).0, Ok(()));
    Audit::of(&mem).space(&space).check();
}

#[test]
fn a_large_folio_goes_whole_or_in_parts() {
    let tuning = Tuning { folios_always: 1 << 2, ..Tuning::default() };
    for text in ["4.4", "4.5", "5.18", "pinfold"] {
        let (mem, space) = world_with(text, tuning);
        (16..20).for_each(|page| assert!(store(&space, page, page).unwrap() >= APART.first));
        // A part of it is enough.
        let first = frame(&space, 16);
        assert_eq!(offline(&mem, &span(0, first.0 + 1, 2)), (Ok(()), Vec::new()), "{text}");
        assert!((16..20).all(|page| load(&space, page) == Ok(page)), "{text}");
        Audit::of(&mem).space(&space).check();
    }
}

#[test]
fn a_span_must_be_of_one_node_and_one_zone() {
    let (mem, space) = world("pinfold");
    let refused = |span| match offline(&mem, &span) {
        (Err(OfflineError::Span(error)), _) => error,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(span(0, 60, 5)), MemoryMapError::Outside(Pfn(64)));
    assert_eq!(refused(span(0, 40, 16)), MemoryMapError::Elsewhere(Pfn(48)));
    assert_eq!(refused(span(1, 48, 1)), MemoryMapError::Elsewhere(Pfn(48)));
    assert_eq!(refused(span(0, u64::MAX, 2)), MemoryMapError::Outside(Pfn(u64::MAX)));
    assert_eq!(offline(&mem, &span(9, 48, 0)), (Ok(()), Vec::new()), "nothing is nowhere");
    Audit::of(&mem).space(&space).check();
}

#[test]
fn what_was_never_here_is_not_brought_back_and_nothing_can_be_anywhere() {
    let spans = [span(0, 0, 32), span(0, 40, 24)];
    let setup = FrameSetup::new(&spans);
    let mem: Mem<X86_64> = machine_of(Marks::Hardware, setup, rules("pinfold"), Tuning::default());
    let hole = MemoryMapError::NeverAdded(Pfn(32));
    // SAFETY: refused, or nothing.
    unsafe {
        assert_eq!(mem.online(&span(0, 32, 8)), Err(hole));
        assert_eq!(mem.online(&span(9, 0, 0)), Ok(()));
    }
    assert_eq!(offline(&mem, &span(0, 32, 8)).0, Err(OfflineError::Span(hole)));
    // What was reserved before it was used goes to where it was.
    let free = mem.frames().total_free();
    mem.frames().reserve(Pfn(40), 24).unwrap();
    assert_eq!(
        offline(&mem, &span(0, 40, 24)).0,
        Err(OfflineError::Span(MemoryMapError::Out(Pfn(40))))
    );
    // SAFETY: nobody has used it.
    unsafe { mem.online(&span(0, 40, 24)) }.unwrap();
    assert_eq!(mem.frames().total_free(), free);
    Audit::of(&mem).check();
}

#[test]
fn a_page_whose_folio_is_split_meanwhile_waits_for_the_next_round() {
    let tuning = Tuning { folios_always: 1 << 2, ..Tuning::default() };
    let (mem, space) = world_with("pinfold", tuning);
    let head = store(&space, 16, 5).unwrap();
    let tail = Pfn(head.0 + 2);
    assert!(Memory::isolate_of(&mem, head, tail).is_some());
    space.split_folio(VirtAddr::of_page(16)).unwrap();
    assert!(Memory::isolate_of(&mem, head, tail).is_none());
    assert!(Memory::isolate_of(&mem, tail, tail).is_some());
    Audit::of(&mem).space(&space).check();
}

#[test]
fn only_what_stays_in_the_end_is_told() {
    let (mem, space) = world_with("pinfold", Tuning { migrate_passes: 1, ..Tuning::default() });
    (16..18).for_each(|page| assert!(store(&space, page, page).unwrap() >= APART.first));
    let space = Arc::new(space);
    let mut two = [16, 17].map(|page| (frame(&space, page), page));
    two.sort();
    let [first, second] = two.map(|(_, page)| space.get(pages(page, 1), Access::Write).unwrap());
    let (owner, mut tries, held) = (space.clone(), 0, Arc::new(Mutex::new(Some(first))));
    // Each round tries both. In the second the first one is given up when it has been tried.
    let gets = held.clone();
    let give_up = move |event| {
        tries += u32::from(matches!(event, EventKind::MigrationBusy { .. }));
        if tries == 4 && gets.lock().unwrap().take().is_some() {
            owner.unmap(pages(two[0].1, 1)).unwrap();
        }
    };
    let (result, stays) = mem.platform().interrupt(give_up, || offline(&mem, &APART));
    assert_eq!(result, Err(OfflineError::Stays(stays.len() as u64)));
    drop((held, second));
    Audit::of(&mem).space(&space).check();
}
