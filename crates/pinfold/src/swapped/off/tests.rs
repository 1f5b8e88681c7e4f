//! Devices that are taken away while others use them.

use crate::sync::Shared;
use crate::testing::{Audit, Disk, Mem, Space, load, machine, map, pages, rules, space, store};
use crate::{FaultError, Prot, Reclaimer, SwapError, SwapId, SwapWrites, Tuning, X86_64};
use std::boxed::Box;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::string::ToString;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;
use std::vec::Vec;

/// Pages of the space: 16 and on.
const PAGES: u64 = 40;

fn world(frames: u64, slots: &[u64]) -> (Mem<X86_64>, Arc<Space<X86_64>>, Vec<SwapId>, Disk) {
    let tuning = Tuning { lru_batch: 4, ..Tuning::default() };
    let mem = machine(rules("pinfold"), &[frames], tuning);
    mem.platform().cache_nothing();
    let disk = Disk::default();
    let on = |slots: &u64| mem.swap_on(Box::new(Disk::default()), *slots, SwapWrites::Any);
    let mut ids: Vec<_> = slots.iter().skip(1).map(|slots| on(slots).unwrap()).collect();
    ids.insert(0, mem.swap_on(Box::new(disk.clone()), slots[0], SwapWrites::Any).unwrap());
    let space = space(&mem);
    map(&space, 16, PAGES, Prot::READ_WRITE);
    (mem, Arc::new(space), ids, disk)
}

fn all_out(space: &Space<X86_64>) {
    space.page_out(pages(16, PAGES), Reclaimer::Pressure);
}

/// What swapoff does, until it has an answer that another round does not change.
fn take_away(mem: &Mem<X86_64>, space: &Space<X86_64>, id: SwapId) -> Result<(), SwapError> {
    loop {
        space.swap_in(id).expect("there are frames for all");
        match mem.swap_off(id) {
            Err(SwapError::InUse { .. }) => {}
            ended => return ended,
        }
    }
}

/// Loads and stores all pages, and has them leave, until it is told to stop.
fn use_all(space: &Space<X86_64>, stop: &AtomicBool) {
    let mut round = 1;
    while !stop.load(Ordering::Relaxed) {
        for page in 16..16 + PAGES {
            let had = load(space, page).expect("there are frames for all");
            assert!(had == page + 1000 * (round - 1), "{page} has {had} in round {round}");
            store(space, page, page + 1000 * round).expect("there are frames for all");
        }
        all_out(space);
        round += 1;
    }
}

fn begin(space: &Space<X86_64>) {
    (16..16 + PAGES).for_each(|page| _ = store(space, page, page).unwrap());
    all_out(space);
}

#[test]
fn two_devices_are_taken_away_at_once_while_processes_fault() {
    for round in 0..20_u64 {
        // The devices lie in the order in which they are used.
        let (mem, space, ids, _) = world(128, &[16, 24 + round % 3, 64]);
        begin(&space);
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let user = scope.spawn(|| use_all(&space, &stop));
            let away: Vec<_> =
                ids[..2].iter().map(|id| scope.spawn(|| take_away(&mem, &space, *id))).collect();
            for ended in away {
                assert_eq!(ended.join().unwrap(), Ok(()));
            }
            stop.store(true, Ordering::Relaxed);
            user.join().unwrap();
        });
        assert_eq!([mem.swap_usage(ids[0]), mem.swap_usage(ids[1])], [None; 2]);
        assert!(mem.swap_usage(ids[2]).is_some(), "nobody took that one");
        Audit::of(&mem).space(&space).check();
    }
}

#[test]
fn one_device_is_taken_away_once_by_two_who_want_to() {
    let mut others = [0; 2];
    for _ in 0..20 {
        let (mem, space, ids, _) = world(128, &[64, 64]);
        begin(&space);
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let user = scope.spawn(|| use_all(&space, &stop));
            let away: Vec<_> =
                (0..2).map(|_| scope.spawn(|| take_away(&mem, &space, ids[0]))).collect();
            let ended: Vec<_> = away.into_iter().map(|thread| thread.join().unwrap()).collect();
            assert_eq!(ended.iter().filter(|ended| ended.is_ok()).count(), 1, "{ended:?}");
            for error in ended.into_iter().filter_map(Result::err) {
                match error {
                    SwapError::Off => others[0] += 1,
                    SwapError::Leaving => others[1] += 1,
                    other => panic!("{other}"),
                }
            }
            stop.store(true, Ordering::Relaxed);
            user.join().unwrap();
        });
        assert_eq!(mem.swap_usage(ids[0]), None);
        Audit::of(&mem).space(&space).check();
    }
    assert_eq!(others.iter().sum::<u32>(), 20);
}

/// While a page is written to a device, and its entry is gone already, nothing but that write
/// needs the slot.
fn while_held(then: impl FnOnce(&Mem<X86_64>, SwapId) + Send + 'static) {
    let (mem, space, ids, disk) = world(128, &[64]);
    store(&space, 16, 7).unwrap();
    mem.lru_add_drain_all();
    let (machine, other, id): (Shared<_>, _, _) = (mem.clone(), space.clone(), ids[0]);
    disk.while_writing(move || {
        other.unmap(pages(16, 1)).unwrap();
        then(&machine, id);
    });
    space.page_out(pages(16, 1), Reclaimer::Pressure);
    Audit::of(&mem).space(&space).check();
}

#[test]
fn who_waits_for_operations_stops_when_he_is_told_to() {
    let asked = Arc::new(AtomicU32::new(0));
    let seen = asked.clone();
    while_held(move |mem, id| {
        let at_once = mem.swap_off_unless(id, || true);
        assert_eq!(at_once, Err(SwapError::Interrupted { slots: 1 }));
        assert!(at_once.unwrap_err().to_string().contains("needed 1 slot:"));
        // One that sleeps already.
        let (signal, (tell, told)) = (Arc::new(AtomicBool::new(false)), channel());
        let (pending, asked, machine) = (signal.clone(), seen.clone(), mem.clone());
        let waits = thread::spawn(move || {
            let ended = machine.swap_off_unless(id, || {
                asked.fetch_add(1, Ordering::Relaxed);
                pending.load(Ordering::Relaxed)
            });
            tell.send(ended).unwrap();
        });
        assert!(told.recv_timeout(Duration::from_millis(50)).is_err(), "it has no bound");
        let another = mem.swap_off(id);
        assert_eq!(another, Err(SwapError::Leaving));
        mem.swap_again(id);
        signal.store(true, Ordering::Relaxed);
        mem.interrupt_swap_off();
        let ended = told.recv_timeout(Duration::from_secs(20)).expect("it sleeps for ever");
        assert_eq!(ended, Err(SwapError::Interrupted { slots: 1 }));
        waits.join().unwrap();
        assert!(mem.swap_usage(id).is_some_and(|usage| usage.free == usage.slots - 1));
    });
    assert!(asked.load(Ordering::Relaxed) >= 2);
}

#[test]
fn who_waits_for_operations_goes_on_when_they_have_ended() {
    let (tell, told) = channel();
    while_held(move |mem, id| {
        let machine = mem.clone();
        let waits = thread::spawn(move || machine.swap_off(id));
        thread::sleep(Duration::from_millis(20));
        tell.send(waits).unwrap();
    });
    assert_eq!(told.recv().unwrap().join().unwrap(), Ok(()));
}

#[test]
fn a_device_that_leaves_is_not_opened_by_others() {
    let (mem, space, ids, _) = world(128, &[64]);
    store(&space, 16, 7).unwrap();
    assert_eq!(mem.swap_off(ids[0]), Ok(()));
    mem.swap_again(ids[0]);
    all_out(&space);
    assert_eq!(load(&space, 16), Ok::<u64, FaultError>(7), "there is no device");
    Audit::of(&mem).space(&space).check();
}

#[test]
fn who_says_once_that_it_is_to_stop_is_heard() {
    while_held(|mem, id| {
        let (machine, (tell, told)) = (mem.clone(), channel());
        let waits = thread::spawn(move || {
            let mut asked = 0;
            let ended = machine.swap_off_unless(id, || {
                asked += 1;
                asked == 2
            });
            tell.send(ended).unwrap();
        });
        let ended = (0..100).find_map(|_| {
            mem.interrupt_swap_off();
            told.recv_timeout(Duration::from_millis(100)).ok()
        });
        assert_eq!(ended, Some(Err(SwapError::Interrupted { slots: 1 })));
        waits.join().unwrap();
    });
}

#[test]
fn who_is_asked_may_unwind_and_keeps_nobody_from_the_slots() {
    while_held(|mem, id| {
        let (machine, (tell, told)) = (mem.clone(), channel());
        let looks = Arc::new(AtomicBool::new(false));
        let looked = looks.clone();
        let unwound = catch_unwind(AssertUnwindSafe(|| {
            mem.swap_off_unless(id, || {
                let (machine, tell) = (machine.clone(), tell.clone());
                thread::spawn(move || tell.send(machine.swap_usage(id).is_some()));
                let usage = told.recv_timeout(Duration::from_secs(5));
                looked.store(usage == Ok(true), Ordering::Relaxed);
                resume_unwind(Box::new(()))
            })
        }));
        assert!(unwound.is_err() && looks.load(Ordering::Relaxed), "the slots are locked");
        let again = mem.swap_off_unless(id, || true);
        assert_eq!(again, Err(SwapError::Interrupted { slots: 1 }));
    });
}
