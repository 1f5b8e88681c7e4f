//! fork of a folio of 16 pages: what becomes of each entry, and what is told of it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::vec::Vec;

use crate::platform::FlushScope;
use crate::testing::{
    Audit, Mem, Space, hardware_entry, load, machine, map, pages, reach, rules, space, store,
};
use crate::{
    Access, Advice, Cause, EventKind, Format, Pfn, Platform, Prot, Pte, Term, Tuning, VirtAddr,
    X86_64,
};

const RULES: [&str; 8] = ["5.8", "5.9", "5.10", "5.18", "5.19", "6.8", "latest", "pinfold"];
const FOLIO: std::ops::Range<u64> = 16..32;

/// A space in which pages 16 to 31 are one folio, each with its number.
fn world(text: &str) -> (Mem<X86_64>, Space<X86_64>) {
    let tuning = Tuning { folios_always: 1 << 4, ..Tuning::default() };
    let mem = machine(rules(text), &[200], tuning);
    let space = space(&mem);
    map(&space, 16, 16, Prot::READ_WRITE);
    for page in FOLIO {
        store(&space, page, page).unwrap();
    }
    assert_eq!(mem.stats().thp_fault_alloc, 1, "{text}");
    (mem, space)
}

fn entry(space: &Space<X86_64>, page: u64) -> Pte<X86_64> {
    space.entry(VirtAddr::of_page(page))
}

#[test]
fn what_the_hardware_sets_while_fork_takes_write_permission_stays() {
    const MARKS: u64 = X86_64::ACCESSED | X86_64::DIRTY;
    for text in RULES {
        let (mem, parent) = world(text);
        let parent = Arc::new(parent);
        let head = entry(&parent, 16).pfn();
        // Each of the four forms of an entry, four times.
        for page in FOLIO {
            let cleared = [0, X86_64::ACCESSED, X86_64::DIRTY, MARKS][page as usize % 4];
            hardware_entry(&parent, page).unwrap().fetch_and(!cleared, Ordering::Relaxed);
        }
        mem.platform().flush(parent.id(), FlushScope::All);
        let cpu = parent.clone();
        // fork has read the entry, and has not changed it yet, but under 5.9, which has taken write
        // permission before it looked: a store would fault.
        let cause = if text == "5.9" { Cause::Load } else { Cause::Store };
        let use_meanwhile = move |event| {
            if let EventKind::ForkShared { pfn, .. } = event {
                assert_eq!(reach(&cpu, 16 + pfn.0 - head.0, cause), Ok(pfn));
            }
        };
        let child = mem.platform().interrupt(use_meanwhile, || parent.fork().unwrap());
        for page in FOLIO {
            let (pte, childs) = (entry(&parent, page), entry(&child, page));
            assert!(!pte.is_writable() && !childs.is_writable(), "{text} {page}");
            assert!(pte.is_accessed() && !childs.is_accessed(), "{text} {page}");
            assert!(pte.is_dirty() || cause == Cause::Load && page % 4 > 1, "{text} {page}");
        }
        Audit::of(&mem).space(&parent).space(&child).check();
    }
}

#[test]
fn the_childs_entries_are_like_the_parents_whatever_lies_between() {
    for text in RULES {
        let (mem, parent) = world(text);
        let head = entry(&parent, 16).pfn();
        let first = parent.fork().unwrap();
        let copied = store(&parent, 29, 290).unwrap();
        assert_ne!(copied, Pfn(head.0 + 13), "{text}");
        drop(first);
        // Whoever may take a page over now does.
        for page in [17, 18, 24, 31] {
            store(&parent, page, page).unwrap();
        }
        parent.advise(pages(20, 1), Advice::DontNeed).unwrap();
        parent.protect(pages(22, 2), Prot::READ).unwrap();
        parent.protect(pages(25, 2), Prot::empty()).unwrap();
        let before: Vec<_> = FOLIO.map(|page| entry(&parent, page)).collect();
        let child = parent.fork().unwrap();
        for (page, old) in FOLIO.zip(before) {
            let (pte, childs) = (entry(&parent, page), entry(&child, page));
            assert_eq!(old.is_none(), page == 20, "{text} {page}");
            if old.is_none() {
                assert!(pte.is_none() && childs.is_none(), "{text} {page}");
                continue;
            }
            assert_eq!(pte, old.read_only(), "{text} {page}");
            assert_eq!(childs, old.read_only().old(), "{text} {page}");
        }
        assert_eq!(load(&child, 24), Ok(24), "{text}");
        assert_eq!(load(&child, 29), Ok(290), "{text}");
        Audit::of(&mem).space(&parent).space(&child).check();
    }
}

#[test]
fn of_a_pinned_folio_pages_without_the_mark_are_shared_in_runs() {
    let (mem, parent) = world("pinfold");
    let head = entry(&parent, 16).pfn();
    drop(parent.fork().unwrap());
    // The marks are gone; these pages get theirs again.
    let marked = [16, 19, 20, 27];
    for page in marked {
        assert_eq!(store(&parent, page, page), Ok(Pfn(head.0 + page - 16)));
    }
    let pins = parent.pin(pages(19, 1), Access::Write, Term::Short).unwrap();
    let (child, events) = mem.platform().record(|| parent.fork().unwrap());
    assert_eq!(mem.stats().fork_copy, 4);
    for page in FOLIO {
        let (ours, theirs) = (entry(&parent, page), entry(&child, page));
        assert_eq!(ours.pfn(), Pfn(head.0 + page - 16), "{page}");
        let alone = marked.contains(&page);
        assert_eq!((ours.is_writable(), ours.pfn() != theirs.pfn()), (alone, alone), "{page}");
        assert_eq!(load(&child, page), Ok(page));
    }
    // One look for each run, and two for each copy: without a page for the child, and with one.
    let looks = events.iter().filter(|event| matches!(event, EventKind::ForkCheck(_)));
    assert_eq!(looks.count(), 3 + 2 * marked.len());
    Audit::of(&mem).space(&parent).space(&child).pins(pins.pages()).check();
}

#[test]
fn a_run_is_looked_at_once_and_each_of_its_pages_is_told_of() {
    for (text, looks) in [("5.8", 1), ("5.9", 16), ("latest", 1), ("pinfold", 1)] {
        let (mem, parent) = world(text);
        let head = entry(&parent, 16).pfn();
        let (_child, events) = mem.platform().record(|| parent.fork().unwrap());
        let told = |event: &EventKind| match *event {
            EventKind::ForkCheck(pfn) => Some(("check", pfn)),
            EventKind::ForkShared { pfn, .. } => Some(("shared", pfn)),
            EventKind::ForkProtected(pfn) => Some(("protected", pfn)),
            _ => None,
        };
        let expected = (0..16).flat_map(|page| {
            let pfn = Pfn(head.0 + page);
            let check = (page < looks).then_some(("check", pfn));
            check.into_iter().chain([("shared", pfn), ("protected", pfn)])
        });
        let told: Vec<_> = events.iter().filter_map(told).collect();
        assert_eq!(told, expected.collect::<Vec<_>>(), "{text}");
    }
}
