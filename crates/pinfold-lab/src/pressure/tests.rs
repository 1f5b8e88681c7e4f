use super::board::{Board, Space};
use super::drive::{Drive, Medium};
use super::stamp::{By, Lane};
use super::*;
use crate::report::Verdict;
use pinfold::stores::MemoryStore;
use pinfold::{
    Cause, FaultError, Limits, Memory, NodeId, NodeSpan, Pfn, Place, Prot, Rules, Sharing, Store,
    StoreError, Tuning, VirtAddr, X86_64,
};
use std::fs::{self, OpenOptions};
use std::path::Path;
use std::sync::atomic::Ordering;

fn plan(rules: &str) -> Plan {
    Plan {
        rules: Rules::parse(rules).unwrap(),
        time: Duration::from_secs(1),
        threads: 2,
        processes: 3,
        frames: 512,
        low: 0,
        seed: 1,
        fail_every: None,
        medium: SwapMedium::Memory,
        patience: Duration::from_secs(120),
    }
}

fn pressed(plan: Plan) -> PressureReport {
    run(plan, |_| ControlFlow::Continue(())).unwrap()
}

/// What holds however much was done.
fn accounted(report: &PressureReport) {
    assert_eq!(report.hung, []);
    assert_eq!(report.frames.free_at_end, Some(report.frames.free_at_start), "{report:#?}");
    assert_eq!(report.swap.in_use_at_end, Some(0), "{report:#?}");
}

#[test]
fn every_word_is_what_its_writer_wrote() {
    let report = pressed(plan("pinfold"));
    assert_eq!(report.verdict, Verdict::Pass, "{report:#?}");
    accounted(&report);
    let counted = report.counted;
    assert!(counted.pswpout > 512 && counted.pswpin > 512, "{counted:?}");
    let (ahead, wanted) = (counted.swap_ra, counted.swap_ra_hit);
    assert!(ahead > 128 && wanted > 0 && wanted <= ahead, "{counted:?}");
    // Whoever was read left by reclaim, and one was soon back.
    let (refaults, back) = (counted.workingset_refault_anon, counted.workingset_activate_anon);
    // A page of zeros comes back unread.
    let most = counted.pswpin + counted.swpin_zero;
    assert!(refaults > 512 && refaults <= most && back > 0, "{counted:?}");
    assert!(counted.pgmigrate_success > 0 && counted.cow_copy > 0, "{counted:?}");
    let (gone, read_again) = (counted.pgsteal_file, counted.workingset_refault_file);
    assert!(gone > 128 && read_again > 0 && read_again <= gone, "{counted:?}");
    let done = |name| report.operations.iter().any(|row| row.operation == name && row.done > 0);
    let often = [Kind::Load, Kind::Fork, Kind::ShortPin, Kind::LongPin, Kind::Unpin];
    let shared = [Kind::SharedLoad, Kind::SharedStore, Kind::SharedWrite, Kind::SharedPin];
    let seldom = [Kind::ChildExit, Kind::Migrate, Kind::Scan];
    for kind in often.into_iter().chain(seldom).chain(shared) {
        assert!(done(kind.name()), "{}: {:#?}", kind.name(), report.operations);
    }
}

#[cfg(unix)]
#[test]
fn a_swap_file_whose_device_fails_now_and_then_loses_nothing() {
    let place = std::env::temp_dir().join(format!("pinfold-pressure-{}", std::process::id()));
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(&place).unwrap();
    fs::remove_file(&place).unwrap();
    let medium = SwapMedium::File(file);
    let report = pressed(Plan { fail_every: Some(20), medium, ..plan("pinfold") });
    assert_eq!(report.verdict, Verdict::Pass, "{report:#?}");
    accounted(&report);
    let Transfers { reads_failed, writes_failed, broke, .. } = report.swap.transfers;
    assert!(reads_failed > 0 && writes_failed > 0 && broke == 0, "{report:#?}");
    // The threads met them as errors.
    assert!(report.operations.iter().any(|row| row.failed > 0), "{report:#?}");
    assert!(!Path::new(&place).exists());
}

#[test]
fn devices_get_low_memory_and_every_zone_gets_its_frames_back() {
    let report = pressed(Plan { low: 128, frames: 768, ..plan("pinfold") });
    assert_eq!(report.verdict, Verdict::Pass, "{report:#?}");
    accounted(&report);
    let zones: Vec<_> = report.zones.iter().map(|row| (row.node, row.zone, row.managed)).collect();
    assert_eq!(zones, [(0, "DMA32", 128), (0, "Normal", 256), (1, "Normal", 384)]);
    for row in &report.zones {
        assert_eq!(row.free_at_end, Some(row.free_at_start), "{row:?}");
    }
    assert_eq!(report.zones[0].reserve_movable, 16);
    let taken = report.operations.iter().find(|row| row.operation == Kind::TakeLow.name());
    assert!(taken.is_some_and(|row| row.done > 20), "{:#?}", report.operations);
    assert!(report.counted.allocstall_dma32 > 0 && report.counted.pgskip_normal > 0);
}

/// fork shares a pinned page, and the owner's next write parts it from the device (facts 2.2).
#[test]
fn what_the_rules_of_5_8_lose_is_found() {
    let report = pressed(plan("5.8"));
    assert_eq!(report.verdict, Verdict::Fail);
    let wrong = report.wrong.iter().find(|wrong| wrong.writer.starts_with("device"));
    assert!(report.wrongs > 0 && wrong.is_some(), "{report:#?}");
    accounted(&report);
}

#[test]
fn who_ends_it_early_is_told_so() {
    let report = run(plan("pinfold"), |_| ControlFlow::Break(())).unwrap();
    assert_eq!(report.verdict, Verdict::Partial);
    assert!(report.reasons[0].contains("before its time"), "{:?}", report.reasons);
    accounted(&report);
}

#[test]
fn a_plan_that_cannot_be_is_refused_with_the_remedy() {
    let refused = |plan: Plan, said: &str| {
        let why = plan.check().unwrap_err().to_string();
        assert!(why.contains(said), "{why}");
        assert!(run(plan, |_| ControlFlow::Continue(())).is_err());
    };
    refused(Plan { frames: 100, ..plan("pinfold") }, "256 to 1048576 frames");
    refused(Plan { low: 8, ..plan("pinfold") }, "64 to 128 may lie below 4 GiB");
    refused(Plan { low: 129, ..plan("pinfold") }, "64 to 128 may lie below 4 GiB");
    refused(Plan { threads: 33, ..plan("pinfold") }, "1 to 32 threads");
    refused(Plan { processes: 0, ..plan("pinfold") }, "1 to 256 processes");
    refused(Plan { fail_every: Some(1), ..plan("pinfold") }, "each second one fail");
    refused(Plan { time: Duration::ZERO, ..plan("pinfold") }, "seconds");
    let many = Plan { processes: 100, ..plan("pinfold") };
    refused(many, "take 4096 frames, or fewer processes");
    assert!(Plan { processes: 100, frames: 4096, ..plan("pinfold") }.check().is_ok());
}

#[test]
fn a_thread_that_hangs_is_named_with_what_it_does() {
    let mut crew = Crew::default();
    let desk = Arc::new(Desk::new("thread 7".to_owned(), Instant::now()));
    let (go_on, wait) = mpsc::channel::<()>();
    let own = desk.clone();
    let run = move || drop(own.carry_out(Kind::Fork, || wait.recv().map_err(|_| Trouble::Frames)));
    crew.start(desk, run).unwrap();
    let Watched::Hung(hung) = crew.watch(Duration::from_millis(50), || {}) else {
        panic!("it waits")
    };
    assert_eq!((hung[0].thread.as_str(), hung[0].operation), ("thread 7", "fork"));
    assert!(hung[0].seconds >= 0.05);
    go_on.send(()).unwrap();
    assert!(matches!(crew.watch(Duration::from_secs(60), || {}), Watched::Ended));
    assert_eq!((crew.tally().row(Kind::Fork).done, crew.join().len()), (1, 0));
}

#[test]
fn a_thread_that_panics_is_told() {
    let mut crew = Crew::default();
    let desk = Arc::new(Desk::new("thread 3".to_owned(), Instant::now()));
    crew.start(desk, || panic!("on purpose")).unwrap();
    assert!(matches!(crew.watch(Duration::from_secs(60), || {}), Watched::Ended));
    assert_eq!(crew.join(), ["thread 3 panicked: on purpose"]);
}

#[test]
fn who_panics_inside_an_operation_has_not_hung_and_is_told_beside_who_does() {
    let mut crew = Crew::default();
    let desk = |name: &str| Arc::new(Desk::new(name.to_owned(), Instant::now()));
    let (panics, waits) = (desk("thread 0"), desk("thread 1"));
    let (go_on, wait) = mpsc::channel::<()>();
    let (one, other) = (panics.clone(), waits.clone());
    let panic = move || drop(one.carry_out::<()>(Kind::Migrate, || panic!("on purpose")));
    crew.start(panics, panic).unwrap();
    let hang =
        move || drop(other.carry_out(Kind::Load, || wait.recv().map_err(|_| Trouble::Nothing)));
    crew.start(waits, hang).unwrap();
    let Watched::Hung(hung) = crew.watch(Duration::from_millis(200), || {}) else {
        panic!("it waits")
    };
    let named: Vec<_> = hung.iter().map(|hung| (hung.thread.as_str(), hung.operation)).collect();
    assert_eq!(named, [("thread 1", "load")]);
    assert_eq!(crew.join(), ["thread 0 panicked: on purpose"]);
    drop(go_on);
}

#[test]
fn a_panic_of_one_thread_stops_all() {
    let mut plan = plan("pinfold");
    let store = World::medium(&mut plan).unwrap();
    let world = World::new(&plan, store, Gauge::default()).unwrap();
    drop(world.stop.stops_all());
    assert!(!world.stop.is_over(), "nothing has panicked");
    let panicked = thread::scope(|scope| {
        let run = || {
            let _stops = world.stop.stops_all();
            panic!("on purpose")
        };
        scope.spawn(run).join().is_err()
    });
    assert!(panicked && world.stop.is_over());
}

/// An operation that found nothing to do is not counted, and one that did something is.
#[test]
fn what_did_nothing_is_not_done() {
    let desk = Desk::new("thread 0".to_owned(), Instant::now());
    let nothing = desk.carry_out::<()>(Kind::Unpin, || Err(Trouble::Nothing));
    assert_eq!((nothing, desk.tally().ended()), (Err(Trouble::Nothing), 0));
    assert_eq!(desk.carry_out(Kind::Unpin, || Ok(())), Ok(()));
    assert_eq!((desk.tally().row(Kind::Unpin).done, desk.tally().ended()), (1, 1));
}

/// A device that refuses a page of a child must not have the child go unchecked.
#[test]
fn a_child_whose_pages_the_device_refuses_stays() {
    let mut plan = Plan { threads: 1, ..plan("pinfold") };
    let store = World::medium(&mut plan).unwrap();
    let world = Arc::new(World::new(&plan, store, Gauge::default()).unwrap());
    sit_at(0);
    let seats = world.settle(1).unwrap();
    let desk = Arc::new(Desk::new("thread 0".to_owned(), Instant::now()));
    let mut worker = Worker::new((world.clone(), seats), desk, 0, 1);
    assert_eq!(worker.step(Kind::ChildExit), Err(Trouble::Nothing), "there is none");
    assert_eq!(worker.step(Kind::ChildLoad), Err(Trouble::Nothing));
    worker.step(Kind::Fork).unwrap();
    // As a device that fails: nothing of the child can be read any more.
    let child = &worker.children[0];
    child.space.unmap(child.area).unwrap();
    assert!(matches!(worker.step(Kind::ChildExit), Err(Trouble::Other(_))));
    assert_eq!(worker.children.len(), 1);
}

/// A machine of one CPU with a process of two pages.
fn small_machine() -> (Space, VirtAddr) {
    sit_at(0);
    let span = NodeSpan { node: NodeId(0), first: Pfn(0), frames: 64 };
    let (board, rules) = (Board::new(64, 1, NODES), Rules::default());
    // SAFETY: the board was made with these frames, and nobody else uses it.
    let memory = unsafe { Memory::new(board, &[span], rules, Tuning::default()) }.unwrap();
    let space = Space::new(&memory, Limits::of_format::<X86_64>()).unwrap();
    let area = space.map(Place::Anywhere, 2, Prot::READ_WRITE, Sharing::Private).unwrap();
    (space, area.start())
}

/// A translation that a CPU has cached is used until it is flushed, and not afterwards: otherwise a
/// flush that the manager leaves out would not be noticed.
#[test]
fn translations_are_cached_and_flushed() {
    let (space, at) = small_machine();
    let board = space.memory().platform();
    let frame = |cause| board.access(&space, (at, cause), |frame| frame);
    let first = frame(Cause::Store).unwrap();
    // Behind the manager's back: the entry is gone, and the CPU does not know.
    let table = |frame, level: u32| {
        let index = (at.0 >> (12 + 9 * level)) as usize % 512;
        board.word(frame, index)
    };
    let next = |word: u64| Pfn((word & 0x000f_ffff_ffff_f000) >> 12);
    let last = [3, 2, 1]
        .into_iter()
        .fold(space.root(), |frame, level| next(table(frame, level).load(Ordering::Relaxed)));
    let entry = table(last, 0).swap(0, Ordering::Relaxed);
    assert_eq!(frame(Cause::Store), Ok(first));
    table(last, 0).store(entry, Ordering::Relaxed);
    let area = pinfold::VirtRange::new(at, 1).unwrap();
    space.protect(area, Prot::READ).unwrap();
    assert_eq!(frame(Cause::Store), Err(FaultError::Denied(at)));
    space.unmap(area).unwrap();
    assert_eq!(frame(Cause::Load), Err(FaultError::NotMapped(at)));
}

#[test]
fn a_page_of_two_times_is_wrong_and_stamps_name_their_place() {
    let (space, at) = small_machine();
    let board = space.memory().platform();
    let lane = Lane { thread: 1, by: By::Device };
    let (old, new) = (lane.stamp(5, 1), lane.stamp(5, 2));
    let write = |stamp| move |frame| lane.write(board, frame, stamp);
    board.access(&space, (at, Cause::Store), write(old)).unwrap();
    let frame = board.access(&space, (at, Cause::Load), |frame| frame).unwrap();
    assert_eq!(lane.read(board, frame), [old, old]);
    // As a copy that was made while it was written.
    let places = (0..512).filter(|word| board.word(frame, *word).load(Ordering::Relaxed) == old);
    let last = places.max().unwrap();
    assert!(last >= 256, "the two words lie in different halves");
    board.word(frame, last).store(new, Ordering::Relaxed);
    assert_eq!(lane.read(board, frame), [old, new]);
    assert!(lane.may_hold(5, old) && lane.may_hold(5, 0));
    let other = Lane { thread: 2, ..lane };
    let by_cpu = Lane { by: By::Cpu, ..lane };
    assert!(!lane.may_hold(6, old) && !other.may_hold(5, old) && !by_cpu.may_hold(5, old));
}

#[test]
fn each_nth_transfer_fails_and_is_counted() {
    let (space, _) = small_machine();
    let board = space.memory().platform();
    let gauge = Gauge::default();
    let medium = Medium::Memory(MemoryStore::new(2).unwrap());
    let drive = Drive::new(medium, Some(3), gauge.clone());
    let write = || drive.write(board, 0, space.root());
    assert_eq!([write(), write(), write()], [Ok(()), Ok(()), Err(StoreError::Io)]);
    let read = |index| drive.read(board, index, space.root());
    assert_eq!([read(0), read(1), read(0)], [Ok(()), Ok(()), Err(StoreError::Io)]);
    assert_eq!(drive.write(board, 1, space.root()), Ok(()));
    assert_eq!(drive.write(board, 2, space.root()), Err(StoreError::NoSpace), "there are two");
    let all = Transfers { read: 2, written: 3, reads_failed: 1, writes_failed: 1, broke: 1 };
    assert_eq!(gauge.transfers(), all);
}
