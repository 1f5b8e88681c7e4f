//! Who reads past the swap cache, whose the page is then, and what becomes of a slot.

use std::boxed::Box;
use std::ops::Range;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread::spawn;
use std::time::Duration;
use std::vec::Vec;

use crate::rules::PRESETS;
use crate::rules::swap::{SwapDevice, remembers_mark, skips_cache};
use crate::testing::{
    Audit, Disk, Mem, Rig, Space, load, machine, map, pages, rules, space, store,
};
use crate::{
    Advice, FaultError, Pfn, Prot, Reclaimed, Reclaimer, Store, StoreError, SwapId, SwapUsage,
    SwapWrites, Tuning, VirtAddr, X86_64,
};

type Format = X86_64;

/// What happens while a page is read, once.
type Meanwhile = Box<dyn FnOnce() + Send>;

/// A device that answers at once.
#[derive(Clone, Default)]
struct Ram {
    disk: Disk,
    meanwhile: Arc<Mutex<Option<Meanwhile>>>,
}

impl Ram {
    /// Runs this when the next page has been read.
    fn while_reading(&self, run: impl FnOnce() + Send + 'static) {
        *self.meanwhile.lock().unwrap() = Some(Box::new(run));
    }
}

impl Store<Rig<Format>> for Ram {
    fn read(&self, rig: &Rig<Format>, index: u64, frame: Pfn) -> Result<(), StoreError> {
        let read = self.disk.read(rig, index, frame);
        let meanwhile = self.meanwhile.lock().unwrap().take();
        if let Some(run) = meanwhile {
            run();
        }
        read
    }

    fn write(&self, rig: &Rig<Format>, index: u64, frame: Pfn) -> Result<(), StoreError> {
        self.disk.write(rig, index, frame)
    }

    fn device(&self) -> SwapDevice {
        SwapDevice::Synchronous
    }

    fn discard(&self, rig: &Rig<Format>, pages: Range<u64>) {
        self.disk.discard(rig, pages);
    }
}

/// A machine with such a device, and an address space whose pages 16 to 19 are there, each with its
/// number.
fn world(text: &str) -> (Mem<Format>, Space<Format>, Ram, SwapId) {
    let tuning = Tuning { swap_readahead: 2, ..Tuning::default() };
    let mem = machine(rules(text), &[32], tuning);
    let ram = Ram::default();
    let id = mem.swap_on(Box::new(ram.clone()), 8, SwapWrites::Any).unwrap();
    let space = space(&mem);
    map(&space, 16, 4, Prot::READ_WRITE);
    (16..20).for_each(|page| _ = store(&space, page, page).unwrap());
    let all = Reclaimed { freed: 4, kept: 0 };
    assert_eq!(space.page_out(pages(16, 4), Reclaimer::Pressure), all);
    (mem, space, ram, id)
}

fn usage(mem: &Mem<Format>, id: SwapId) -> (u64, u64) {
    let SwapUsage { free, cached, .. } = mem.swap_usage(id).unwrap();
    (free, cached)
}

#[test]
fn a_page_that_one_entry_names_comes_back_alone_and_gives_its_slot_up() {
    for text in PRESETS {
        let (mem, space, _, id) = world(text);
        let skips = skips_cache(rules(text).swap_in_cache);
        assert_eq!(load(&space, 16), Ok(16), "{text}");
        let stats = mem.stats();
        // Otherwise it is in the swap cache, and alone as well: nothing is read ahead here.
        let expected = if skips { (1, 0, (5, 0)) } else { (1, 0, (4, 1)) };
        assert_eq!((stats.pgmajfault, stats.swap_ra, usage(&mem, id)), expected, "{text}");
        Audit::of(&mem).space(&space).check();
        store(&space, 17, 5).unwrap();
        assert_eq!((load(&space, 17), load(&space, 18)), (Ok(5), Ok(18)), "{text}");
        Audit::of(&mem).space(&space).check();
        // What has no slot any more goes out to a new one.
        let all = Reclaimed { freed: 4, kept: 0 };
        (16..20).for_each(|page| _ = load(&space, page).unwrap());
        assert_eq!(space.page_out(pages(16, 4), Reclaimer::Pressure), all, "{text}");
        let back: Vec<_> = (16..20).map(|page| load(&space, page)).collect();
        assert_eq!(back, [Ok(16), Ok(5), Ok(18), Ok(19)], "{text}");
    }
}

#[test]
fn it_is_its_owners_for_a_write_and_since_5_19_for_a_read() {
    for text in ["4.15", "5.17", "5.18", "5.19", "6.7", "6.8", "6.12", "7.2"] {
        let (mem, space, _, _) = world(text);
        let marked = |page| {
            let pfn = space.entry(VirtAddr::of_page(page)).pfn();
            crate::lab::counts(mem.frames(), pfn).is_exclusive()
        };
        load(&space, 16).unwrap();
        assert_eq!(marked(16), remembers_mark(rules(text).swap_in_reuse), "{text}");
        store(&space, 17, 1).unwrap();
        assert!(marked(17), "{text}");
        let page = space.entry(VirtAddr::of_page(16)).pfn();
        store(&space, 16, 2).unwrap();
        let same = space.entry(VirtAddr::of_page(16)).pfn() == page;
        assert!(same, "{text}: nobody shares it");
    }
}

#[test]
fn a_page_that_two_entries_name_comes_by_way_of_the_cache_and_the_last_one_does_not() {
    for text in ["5.7", "6.12"] {
        let (mem, space, _, id) = world(text);
        let child = space.fork().unwrap();
        assert_eq!((load(&space, 16), mem.stats().swap_ra), (Ok(16), 0), "{text}");
        child.advise(pages(16, 4), Advice::DontNeed).unwrap();
        let cached = usage(&mem, id).1;
        let out = space.page_out(pages(16, 1), Reclaimer::Pressure);
        assert_eq!((out, cached), (Reclaimed { freed: 1, kept: 0 }, 1), "{text}");
        assert_eq!((load(&space, 16), mem.stats().swap_ra), (Ok(16), 0), "{text}");
        Audit::of(&mem).space(&space).space(&child).check();
    }
}

/// The hazard of 4.15 to 6.7, in one order: the second thread is inside the first one's read.
#[test]
fn a_slot_that_was_reused_is_not_noticed_by_the_rule_that_claims_nothing() {
    let (_, space, ram, _) = world("6.7");
    let space = Arc::new(space);
    let other = Arc::clone(&space);
    ram.while_reading(move || {
        store(&other, 16, 7).unwrap();
        let out = other.page_out(pages(16, 1), Reclaimer::Pressure);
        assert_eq!(out, Reclaimed { freed: 1, kept: 0 });
    });
    assert_eq!(load(&space, 16), Ok(16), "7 is lost");
}

/// The same order by the rule since 6.8.
#[test]
fn by_the_rule_that_claims_another_waits_until_the_page_is_mapped() {
    let (mem, space, ram, id) = world("6.8");
    mem.platform().cache_nothing();
    let space = Arc::new(space);
    let (other, (tell, told), (hand, handed)) = (Arc::clone(&space), channel(), channel());
    ram.while_reading(move || {
        let waits = spawn(move || tell.send(load(&other, 16)).unwrap());
        let early = told.recv_timeout(Duration::from_millis(50)).is_ok();
        hand.send((waits, told, early)).unwrap();
    });
    assert_eq!(load(&space, 16), Ok(16));
    let (waits, told, early) = handed.recv().unwrap();
    assert!(!early, "the page is not there yet");
    assert_eq!(told.recv_timeout(Duration::from_secs(20)), Ok(Ok(16)), "it sleeps for ever");
    waits.join().unwrap();
    assert_eq!((mem.stats().pgmajfault, usage(&mem, id)), (1, (5, 0)), "one read, one slot free");
    Audit::of(&mem).space(&space).check();
}

#[test]
fn what_was_dropped_meanwhile_is_not_mapped_and_its_slot_is_free() {
    for text in ["6.7", "6.8"] {
        let (mem, space, ram, id) = world(text);
        let space = Arc::new(space);
        let other = Arc::clone(&space);
        ram.while_reading(move || other.advise(pages(16, 1), Advice::DontNeed).unwrap());
        assert_eq!(load(&space, 16), Ok(0), "{text}");
        assert_eq!(usage(&mem, id), (5, 0), "{text}");
        Audit::of(&mem).space(&space).check();
    }
}

#[test]
fn a_device_that_fails_keeps_the_page_and_a_claim_ends() {
    for text in ["6.7", "6.8", "7.3"] {
        let (mem, space, ram, id) = world(text);
        let free = mem.frames().total_free();
        ram.disk.fail(Some(StoreError::Io));
        let failed = FaultError::Store(VirtAddr::of_page(16), StoreError::Io);
        for _ in 0..2 {
            assert_eq!(load(&space, 16), Err(failed), "{text}");
        }
        assert_eq!((mem.frames().total_free(), usage(&mem, id).0), (free, 4), "{text}");
        ram.disk.fail(None);
        assert_eq!(load(&space, 16), Ok(16), "{text}");
        assert_eq!((space.swap_in(id), mem.swap_off(id)), (Ok(3), Ok(())), "{text}");
        Audit::of(&mem).space(&space).check();
    }
}
