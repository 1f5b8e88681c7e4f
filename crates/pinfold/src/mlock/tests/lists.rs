//! Where locked pages are on a machine that reclaims: on no list (INV-LRU-4).

use std::boxed::Box;

use crate::frame::{List, Sizes};
use crate::testing::{Audit, Disk, Mem, Space, machine, map, pages, rules, space, store};
use crate::{
    ListSizes, NodeId, Prot, Reclaimer, SwapWrites, Tuning, VirtAddr, X86_64, rules::Rules,
};

const RW: Prot = Prot::READ_WRITE;
const NODE: NodeId = NodeId(0);

/// Culled, rescued, locked, unlocked, stranded.
type Counted = (u64, u64, u64, u64, u64);

/// A machine of two nodes whose batches have one page, and a space with stored pages from 16 on.
fn world(len: u64) -> (Mem<X86_64>, Space<X86_64>) {
    let tuning = Tuning { lru_batch: 4, ..Tuning::default() };
    let mem = machine::<X86_64>(Rules::default(), &[64, 64], tuning);
    mem.swap_on(Box::new(Disk::default()), 16, SwapWrites::Any).unwrap();
    let space = space(&mem);
    map(&space, 16, len, RW);
    (16..16 + len).for_each(|page| _ = store(&space, page, page).unwrap());
    (mem, space)
}

fn sizes(mem: &Mem<X86_64>, node: NodeId) -> (u64, u64, u64) {
    let ListSizes { active, inactive, unevictable, .. } = mem.list_sizes(node);
    (active, inactive, unevictable)
}

fn counted(mem: &Mem<X86_64>) -> Counted {
    let stats = mem.stats();
    assert_eq!(stats.unevictable_pgs_cleared, 0);
    (
        stats.unevictable_pgs_culled,
        stats.unevictable_pgs_rescued,
        stats.unevictable_pgs_mlocked,
        stats.unevictable_pgs_munlocked,
        stats.unevictable_pgs_stranded,
    )
}

#[test]
fn a_locked_page_is_on_no_list_and_comes_back_when_it_is_unlocked() {
    let (mem, space) = world(4);
    assert_eq!(sizes(&mem, NODE), (0, 4, 0));
    space.mlock(pages(16, 3)).unwrap();
    assert_eq!((sizes(&mem, NODE), counted(&mem)), ((0, 1, 3), (3, 0, 3, 0, 0)));
    assert_eq!(mem.stats().nr_mlock(), 3);
    Audit::of(&mem).space(&space).check();
    // Reclaim does not come across them.
    let scanned = mem.stats().pgscan_direct;
    mem.reclaim(NODE, 8);
    mem.reclaim(NODE, 8);
    let stats = mem.stats();
    let found = (stats.pgscan_direct - scanned, stats.pgsteal_direct, stats.pgscan_anon);
    assert_eq!((found, sizes(&mem, NODE)), ((2, 1, 1), (0, 0, 3)));
    space.munlock(pages(17, 2)).unwrap();
    assert_eq!((sizes(&mem, NODE), counted(&mem)), ((0, 2, 1), (3, 2, 3, 2, 0)));
    Audit::of(&mem).space(&space).check();
    space.unmap(pages(16, 4)).unwrap();
    mem.lru_add_drain_all();
    assert_eq!((sizes(&mem, NODE), counted(&mem)), ((0, 0, 0), (3, 3, 3, 3, 0)));
    assert_eq!(mem.stats().nr_mlock(), 0);
    Audit::of(&mem).space(&space).check();
}

#[test]
fn a_page_that_waits_in_a_batch_is_put_apart_when_that_is_drained() {
    let (mem, space) = world(6);
    assert_eq!(sizes(&mem, NODE), (0, 4, 0));
    space.mlock(pages(20, 2)).unwrap();
    assert_eq!((sizes(&mem, NODE), counted(&mem)), ((0, 4, 0), (0, 0, 2, 0, 0)));
    // One that is unlocked in time was never apart.
    space.munlock(pages(21, 1)).unwrap();
    mem.lru_add_drain();
    assert_eq!((sizes(&mem, NODE), counted(&mem)), ((0, 5, 1), (1, 0, 2, 1, 0)));
    Audit::of(&mem).space(&space).check();
}

#[test]
fn a_page_in_use_is_put_apart_and_comes_back_as_not_in_use() {
    let (mem, space) = world(4);
    for page in 16..20 {
        let pfn = space.entry(VirtAddr::of_page(page)).counted().unwrap();
        mem.isolate(pfn, Sizes::Small).unwrap().put_back_to(List::Active);
    }
    assert_eq!(sizes(&mem, NODE), (4, 0, 0));
    space.mlock(pages(16, 2)).unwrap();
    assert_eq!(sizes(&mem, NODE), (2, 0, 2));
    space.munlock(pages(16, 2)).unwrap();
    assert_eq!(sizes(&mem, NODE), (2, 2, 0));
    Audit::of(&mem).space(&space).check();
}

#[test]
fn what_several_have_locked_is_apart_until_the_last_one_unlocks_it() {
    let (mem, space) = world(4);
    let child = space.fork().unwrap();
    for process in [&space, &child] {
        // For reading: the pages stay shared.
        process.protect(pages(16, 4), Prot::READ).unwrap();
        process.mlock(pages(16, 4)).unwrap();
        assert_eq!((sizes(&mem, NODE), mem.stats().nr_mlock()), ((0, 0, 4), 4));
    }
    space.munlock(pages(16, 4)).unwrap();
    assert_eq!((sizes(&mem, NODE), counted(&mem)), ((0, 0, 4), (4, 0, 4, 0, 0)));
    Audit::of(&mem).space(&space).space(&child).check();
    drop(child);
    assert_eq!((sizes(&mem, NODE), counted(&mem)), ((0, 4, 0), (4, 4, 4, 4, 0)));
    Audit::of(&mem).space(&space).check();
}

/// While it moves nothing maps the page, and it counts no locked entry, but whoever moves it has
/// it: it is stranded for that long.
#[test]
fn a_locked_page_that_moves_is_apart_on_its_new_node() {
    let (mem, space) = world(4);
    space.mlock(pages(16, 4)).unwrap();
    let moved = space.migrate(pages(16, 3), NodeId(1));
    assert_eq!((moved.moved, moved.failed), (3, 0));
    mem.lru_add_drain_all();
    assert_eq!((sizes(&mem, NODE), sizes(&mem, NodeId(1))), ((0, 0, 1), (0, 0, 3)));
    assert_eq!((counted(&mem), mem.stats().nr_mlock()), ((4, 0, 7, 0, 3), 4));
    // And so is one that stays.
    let reference = space.get(pages(19, 1), crate::Access::Read).unwrap();
    assert_eq!(space.migrate(pages(19, 1), NodeId(1)).failed, 1);
    drop(reference);
    mem.lru_add_drain_all();
    assert_eq!(sizes(&mem, NODE), (0, 0, 1));
    Audit::of(&mem).space(&space).check();
}

#[test]
fn a_folio_is_apart_as_a_whole_and_its_parts_once_it_is_split() {
    let tuning = Tuning { lru_batch: 4, folios_always: 1 << 2, ..Tuning::default() };
    let mem = machine::<X86_64>(rules("pinfold"), &[64], tuning);
    let space = space(&mem);
    map(&space, 16, 4, RW);
    store(&space, 16, 1).unwrap();
    assert_eq!(sizes(&mem, NODE), (0, 1, 0));
    space.mlock(pages(16, 2)).unwrap();
    assert_eq!((sizes(&mem, NODE), counted(&mem)), ((0, 0, 1), (4, 0, 4, 0, 0)));
    Audit::of(&mem).space(&space).check();
    space.split_folio(VirtAddr::of_page(16)).unwrap();
    mem.lru_add_drain_all();
    assert_eq!((sizes(&mem, NODE), mem.stats().nr_mlock()), ((0, 2, 2), 2));
    Audit::of(&mem).space(&space).check();
}

#[test]
fn advice_finds_locked_pages_and_leaves_them_where_they_are() {
    let (mem, space) = world(4);
    space.mlock(pages(16, 4)).unwrap();
    space.page_out(pages(16, 4), Reclaimer::Pressure);
    mem.lru_add_drain_all();
    assert_eq!((sizes(&mem, NODE), counted(&mem)), ((0, 0, 4), (4, 0, 4, 0, 0)));
    Audit::of(&mem).space(&space).check();
}
