//! Threads against each other on a few address spaces. Nothing is stored through entries here,
//! since the mock's flush does not stop a CPU that has just walked; devices write through their
//! pins, which is the point.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crate::testing::{
    Audit, Disk, Hardware, Space, device_read, device_write, follow, machine, map, map_shared,
    pages, space,
};
use pinfold::{
    Aarch64, Access, Advice, Cause, Format, NodeId, Place, Prot, Reclaimer, Rules, Sharing, Small,
    Sv39, SwapWrites, Term, Tuning, VirtAddr, X86_64,
};

const RW: Prot = Prot::READ_WRITE;
/// The rounds of all threads of one test together.
const ROUNDS: u64 = 200_000;

/// A small generator: what each thread does differs by run only as much as the scheduler does.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) % sides
    }
}

/// Runs every worker on its own thread until all of them together have made so many rounds, and
/// each a part of them.
pub(crate) fn together(rounds: u64, workers: Vec<Box<dyn FnMut() + Send + '_>>) {
    let made = AtomicU64::new(0);
    // Whom the scheduler forgets until the others have made all rounds has his part all the same.
    let least = rounds / (10 * workers.len() as u64);
    thread::scope(|threads| {
        for mut worker in workers {
            let made = &made;
            threads.spawn(move || {
                let mut own = 0;
                while made.fetch_add(1, Ordering::Relaxed) < rounds || own < least {
                    worker();
                    own += 1;
                }
            });
        }
    });
}

/// Pins the owner's page and writes through the pin; the owner must find both under its address,
/// whatever the others do.
pub(crate) fn pin_and_compare<F: Format>(space: &Space<F>, page: u64, value: u64) {
    let at = VirtAddr::of_page(page);
    space.fault(at, Cause::Store).unwrap();
    let pins = space.pin(pages(page, 1), Access::Write, Term::Long).unwrap();
    let pfn = pins.pages()[0];
    device_write(space.memory(), pfn, value);
    for cause in [Cause::Load, Cause::Store, Cause::Store] {
        space.fault(at, cause).unwrap();
        // A page on the move has no frame in its entry to compare; its own pin forbids that it
        // arrives anywhere else.
        let entry = space.entry(at);
        assert!(!entry.is_mapped() || entry.pfn() == pfn, "the owner left its pinned page");
        assert_eq!(device_read(space.memory(), pfn), value);
    }
}

fn churn<F: Hardware>(rules: Rules, page: fn(u64) -> u64, in_step: bool) {
    churn_on::<F>(rules, page, in_step, Tuning::default());
}

/// The same on a machine with this tuning, beside what all have; where there are lists, another
/// thread reclaims all the while.
fn churn_on<F: Hardware>(rules: Rules, page: fn(u64) -> u64, in_step: bool, tuning: Tuning) {
    let tuning = Tuning { gather_pages: 2, stock_batch: 4, ..tuning };
    let mem = machine::<F>(rules, &[160, 64], tuning);
    mem.swap_on(Box::new(Disk::default()), 64, SwapWrites::Any).unwrap();
    mem.platform().cache_nothing();
    mem.platform().devices.plug_in();
    let root = space(&mem);
    map(&root, page(1), 6, RW);
    map_shared(&root, page(7), 2);
    let own = |thread: u64| page(1) + 2 * thread;
    let mut workers: Vec<Box<dyn FnMut() + Send + '_>> = Vec::new();
    for thread in 0..2 {
        let (root, mut dice) = (&root, Dice(thread + 7));
        workers.push(Box::new(move || {
            let value = dice.roll(1 << 40);
            if in_step {
                pin_and_compare(root, own(thread), value);
            } else {
                root.fault(VirtAddr::of_page(own(thread)), Cause::Store).unwrap();
                drop(root.pin(pages(page(1), 8), Access::Read, Term::Short).unwrap());
            }
            if dice.roll(4) == 0 {
                root.advise(pages(own(thread), 2), Advice::DontNeed).unwrap();
            }
        }));
    }
    let (followed, mut value) = (&root, 0);
    workers.push(Box::new(move || {
        // No pin: the device hears of every change, and finds its word wherever the page is now.
        assert_eq!(follow(followed, page(5), None), Ok(value), "a device's word is lost");
        value += 1;
        follow(followed, page(5), Some(value)).unwrap();
    }));
    let (forked, mut dice) = (&root, Dice(3));
    workers.push(Box::new(move || {
        let child = forked.fork().unwrap();
        for _ in 0..dice.roll(4) {
            let at = VirtAddr::of_page(page(1) + dice.roll(8));
            if child.is_mapped(at) {
                child.fault(at, Cause::Store).unwrap();
            }
            drop(child.get(pages(page(1), 3), Access::Read));
            child.unmap(pages(page(1) + dice.roll(6), 1)).unwrap();
        }
    }));
    let (changed, mut dice) = (&root, Dice(5));
    workers.push(Box::new(move || {
        let node = NodeId(dice.roll(2) as u8);
        changed.memory().platform().host.run_on(node);
        match dice.roll(4) {
            0 => drop(changed.numa_scan(pages(page(1), 8))),
            1 => drop(changed.migrate(pages(page(1), 8), node)),
            2 => {
                // Around the others' pages, under the same tables.
                let place = Place::At(VirtAddr::of_page(page(9)));
                let range = changed.map(place, 4, RW, Sharing::Private).unwrap();
                let _ = changed.fault(range.start(), Cause::Store).unwrap();
                changed.unmap(range).unwrap();
            }
            _ => changed.protect(pages(page(1), 6), RW).unwrap(),
        }
    }));
    let (short, mut dice) = (&root, Dice(9));
    let mut rounds = ROUNDS;
    if tuning.lru_batch > 0 {
        rounds /= 4;
        workers.push(Box::new(move || {
            let (mem, node) = (short.memory(), NodeId(dice.roll(2) as u8));
            match dice.roll(4) {
                0 => drop(short.page_out(pages(page(1), 8), Reclaimer::Pressure)),
                1 => mem.lru_add_drain_all(),
                2 => drop(mem.balance(node)),
                _ => drop(mem.reclaim(node, 2)),
            }
        }));
    }
    together(rounds * u64::from(crate::soak()), workers);
    let stats = mem.stats();
    assert_eq!(tuning.lru_batch > 0, stats.pgscan_direct > 0, "{stats:?}");
    Audit::of(&mem).space(&root).check();
    drop(root);
    mem.lru_add_drain_all();
    Audit::of(&mem).check();
}

#[test]
fn threads_keep_every_count_and_every_pinned_page_under_todays_rules() {
    churn::<Small>(Rules::default(), |page| page, true);
    churn::<X86_64>(Rules::default(), |page| page + 504, true);
    churn::<Aarch64>(Rules::default(), |page| page + 504, true);
    churn::<Sv39>(Rules::default(), |page| page + 504, true);
}

#[test]
fn threads_keep_every_count_under_older_rules() {
    for text in ["5.8", "5.10", "5.17", "6.1"] {
        churn::<Small>(Rules::linux(text).unwrap(), |page| page, false);
    }
}

#[test]
fn threads_keep_every_count_and_every_pinned_page_while_one_reclaims() {
    for lru_batch in [1, 6] {
        let tuning = Tuning { lru_batch, ..Tuning::default() };
        churn_on::<Small>(Rules::default(), |page| page, true, tuning);
        churn_on::<X86_64>(Rules::default(), |page| page + 504, true, tuning);
        churn_on::<Small>(Rules::linux("5.10").unwrap(), |page| page, false, tuning);
    }
}
