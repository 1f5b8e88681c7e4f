//! Threads against each other on a few address spaces whose pages are parts of large folios, which
//! some of them split.

use std::thread;

use crate::stress::{Dice, pin_and_compare, together};
use crate::testing::{Audit, Hardware, machine, map, pages, rules, space};
use pinfold::{
    Aarch64, Access, Advice, Cause, Memory, NodeId, Pfn, Place, PmdMapping, Prot, Sharing, Small,
    SmallAarch64, Term, Tuning, VirtAddr, X86_64,
};

const RW: Prot = Prot::READ_WRITE;
/// The rounds of all threads of one machine together.
const ROUNDS: u64 = 60_000;
/// The pages that threads work on: the last two folios of four pages of the small format.
const PAGES: u64 = 8;

fn churn<F: Hardware>(text: &str, first: u64, by: PmdMapping, (in_step, seed): (bool, u64)) {
    let few = Tuning { gather_pages: 2, stock_batch: 4, ..Tuning::default() };
    let mem = machine::<F>(
        rules(text),
        &[256, 64],
        Tuning { folios_always: 1 << 2, folios_advised: 1 << 2 | 1 << 3, pmd_mapping: by, ..few },
    );
    mem.platform().cache_nothing();
    let root = space(&mem);
    map(&root, first, PAGES, RW);
    let mut workers: Vec<Box<dyn FnMut() + Send + '_>> = Vec::new();
    // The pages of the two lie in one folio.
    for thread in 0..2 {
        let (root, mut dice, own) = (&root, Dice(seed + thread), first + 2 * thread);
        workers.push(Box::new(move || {
            let value = dice.roll(1 << 40);
            if in_step {
                pin_and_compare(root, own, value);
            } else {
                root.fault(VirtAddr::of_page(own), Cause::Store).unwrap();
                drop(root.pin(pages(first, PAGES), Access::Read, Term::Short).unwrap());
            }
            if dice.roll(3) == 0 {
                root.advise(pages(own, 1 + dice.roll(2)), Advice::DontNeed).unwrap();
            }
        }));
    }
    let (forked, mut dice) = (&root, Dice(seed + 2));
    workers.push(Box::new(move || {
        let child = forked.fork().unwrap();
        let grandchild = (dice.roll(4) == 0).then(|| child.fork().unwrap());
        for _ in 0..dice.roll(5) {
            let at = VirtAddr::of_page(first + dice.roll(PAGES));
            match dice.roll(5) {
                0 => drop(child.split_folio(at)),
                1 => child.unmap(pages(at.page().0, 1)).unwrap(),
                2 => drop(child.get(pages(first, 3), Access::Read)),
                _ if child.is_mapped(at) => drop(child.fault(at, Cause::Store).unwrap()),
                _ => {}
            }
        }
        // One of the two ends first.
        if dice.roll(2) == 0 {
            drop(child);
        }
        drop(grandchild);
    }));
    let (changed, mut dice) = (&root, Dice(seed + 3));
    workers.push(Box::new(move || {
        let (node, all) = (NodeId(dice.roll(2) as u8), pages(first, PAGES));
        match dice.roll(8) {
            0 => drop(changed.numa_scan(all)),
            1 => drop(changed.migrate(all, node)),
            2 => changed.protect(all, RW).unwrap(),
            3 => drop(changed.memory().split_partly_mapped(dice.roll(3))),
            // Whole folios come again, and where a table was, huge entries.
            4 if by == PmdMapping::On => {
                let at = Place::Replace(VirtAddr::of_page(first + 4));
                let _ = changed.map(at, 4, RW, Sharing::Private).unwrap();
            }
            4 => changed.advise(pages(first + 4, 4), Advice::DontNeed).unwrap(),
            5 => {
                let at = VirtAddr::of_page(first + dice.roll(PAGES));
                let _ = changed.fault(at, Cause::Store).unwrap();
            }
            _ => drop(changed.split_folio(VirtAddr::of_page(first + dice.roll(PAGES)))),
        }
    }));
    let (machine, mut dice) = (&mem, Dice(seed + 4));
    workers.push(Box::new(move || {
        let referred = Memory::try_reference(machine, Pfn(dice.roll(256)));
        thread::yield_now();
        drop(referred);
    }));
    together(ROUNDS * u64::from(crate::soak()), workers);
    Audit::of(&mem).space(&root).check();
    let stats = mem.stats();
    assert!(stats.thp_fault_alloc > 0 && stats.thp_split_page > 0, "{text}: {stats:?}");
    let fits = F::ENTRIES <= 16 && by == PmdMapping::On;
    assert_eq!(stats.thp_split_pmd > 0, fits, "{text}: {stats:?}");
    drop(root);
    assert_eq!(mem.partly_mapped(), 0);
    Audit::of(&mem).check();
}

/// `PINFOLD_SEED` gives others than usual.
fn seed() -> u64 {
    std::env::var("PINFOLD_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(11)
}

#[test]
fn threads_keep_every_count_of_folios_and_every_pinned_page_under_todays_rules() {
    for by in [PmdMapping::Off, PmdMapping::On] {
        churn::<Small>("pinfold", 8, by, (true, seed()));
    }
    churn::<X86_64>("pinfold", 512, PmdMapping::On, (true, seed()));
    let owners = "pinfold,large-maps=each-page-and-owner";
    churn::<Aarch64>(owners, 512, PmdMapping::On, (true, seed()));
    churn::<SmallAarch64>(owners, 8, PmdMapping::On, (true, seed()));
}

#[test]
fn threads_keep_every_count_of_folios_under_older_rules() {
    for text in ["5.8,head-recheck=again", "5.10,head-recheck=again", "5.19", "6.8", "latest"] {
        for by in [PmdMapping::Off, PmdMapping::On] {
            churn::<Small>(text, 8, by, (false, seed()));
        }
    }
}
