use super::buffer::{Place, Wrong, shown};
use super::cpus::{Cpus, Seated};
use super::harm::Harm;
use super::log::Noted;
use super::*;
use crate::pressure::board::Board;
use crate::pressure::dice::Dice;
use crate::report::Verdict;
use pinfold::{Cause, Event, EventKind, MigrationKind, NodeId, Pfn, Platform, Rules, SpaceId};
use pinfold::{VirtAddr, Vpn};
use std::sync::atomic::Ordering;

fn plan(rules: &str) -> SoakPlan {
    SoakPlan {
        rules: Rules::parse(rules).unwrap(),
        time: Duration::from_secs(1),
        seed: 1,
        processes: 4,
        devices: 2,
        nodes: 2,
        frames: SoakPlan::enough(4, 2),
        affinity: Affinity::Roams,
        without: Vec::new(),
        others: OtherHarms::KeptApart,
        patience: Duration::from_secs(120),
    }
}

fn soaked(plan: &SoakPlan) -> SoakReport {
    run(plan, |_| ControlFlow::Continue(())).unwrap()
}

/// What holds however much was done.
fn accounted(report: &SoakReport) {
    assert_eq!(report.hung, []);
    assert_eq!(report.frames.free_at_end, Some(report.frames.free_at_start), "{report:#?}");
    assert_eq!(report.slots_at_end, Some(0), "{report:#?}");
}

#[test]
fn under_todays_rules_a_device_reads_what_was_written() {
    let report = soaked(&plan("pinfold"));
    assert_eq!(report.verdict, Verdict::Pass, "{report:#?}");
    accounted(&report);
    let counted = report.counted;
    assert!(report.buffers_checked > 0 && report.pages_checked >= report.buffers_checked);
    assert!(counted.numa_hint_faults > 0 && counted.pgmigrate_success > 0, "{counted:?}");
    let done = |kind: Kind| {
        report.operations.iter().any(|row| row.operation == kind.name() && row.done > 0)
    };
    for kind in [Kind::LongPin, Kind::Commands, Kind::DeviceRead, Kind::ScanAll, Kind::Data] {
        assert!(done(kind), "{}: {:#?}", kind.name(), report.operations);
    }
    assert_eq!(report.apart, [], "everything comes to the very buffers that are pinned");
    assert!(counted.merged > 0 && counted.fork_copy > 0 && counted.pgmigrate_fail > 0);
}

/// Each harm is found by the rules alone, in just the releases in which its scenario breaks.
#[test]
fn harms_are_those_of_the_verdicts() {
    let verdicts = include_str!("../../scenarios/verdicts.txt");
    let rows = verdicts.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let rows: Vec<_> = rows.filter(|row| row.len() > 1 && row[0] != "#").collect();
    let row = |name: &str| rows.iter().find(|row| row[0] == name).unwrap();
    let releases = &row("scenario")[1..];
    for scenario in Harm::ALL.into_iter().filter_map(Harm::scenario) {
        let cells = &row(scenario)[1..];
        for (release, cell) in releases.iter().zip(cells).filter(|(_, cell)| **cell != "n/a") {
            let harms = Harm::all(&plan(release));
            // A fork that shares pinned pages does so whatever else goes on, and a scan that does
            // not look for pins is bug 215616 itself.
            let more = match scenario {
                "fork-races-fast-pin" => &[Harm::Fork][..],
                "fork-meets-migration" => &[Harm::Fork, Harm::Move],
                "numa-scan-races-pin" => &[Harm::ForkMeetsMigration],
                _ => &[],
            };
            let one = |harm: &Harm| harm.scenario() == Some(scenario) || more.contains(harm);
            assert_eq!(harms.iter().any(one), *cell == "BAD", "{scenario} under {release}");
        }
    }
}

/// The revert that the report tells of: writes go by mappings, and are misled by what shares a
/// page or makes it a merged one.
#[test]
fn harms_of_mixed_rules_are_found_too() {
    let told = |rules: &str| Harm::all(&plan(rules));
    let reverted = told("5.9,pte-cow=map-count");
    assert_eq!(reverted, [Harm::ForkMeetsMigration, Harm::ForkMeetsSwap, Harm::Merge]);
    assert_eq!(told("5.8"), [Harm::Fork, Harm::Merge]);
    assert_eq!(told("5.17"), [Harm::PageOutBesidePin, Harm::Move, Harm::ScanBesidePin]);
    assert_eq!(told("5.19"), []);
    let mixed = told("pinfold,migration-kind=read-write");
    assert_eq!(mixed, [Harm::Move, Harm::ScanBesidePin], "the mark is lost");
}

/// What is kept apart would strike, and is explained as what it is: of all harms the two that no
/// moment beside a pin is needed for.
#[test]
fn what_is_kept_apart_strikes_where_it_is_let_in() {
    let only = |load: Activity| Activity::ALL.into_iter().filter(|each| *each != load).collect();
    for (rules, load, blamed) in [
        ("5.8", Activity::Forks, "pte-cow=map-count"),
        ("5.9", Activity::Swap, "pte-cow=ref-count"),
    ] {
        let time = Duration::from_secs(60);
        let harmless = SoakPlan { without: only(load), ..plan(rules) };
        let report = soaked(&harmless);
        assert_eq!(report.verdict, Verdict::Pass, "{report:#?}");
        assert_eq!(report.apart.len(), 1, "{report:#?}");
        let report = soaked(&SoakPlan { others: OtherHarms::Strike, time, ..harmless });
        assert_eq!(report.verdict, Verdict::Fail, "{report:#?}");
        accounted(&report);
        let first = report.first.unwrap();
        assert_ne!(first.device_frame, first.owner_frame, "{first:#?}");
        let said = |event: &Told| event.rule.as_ref().is_some_and(|rule| rule.contains(blamed));
        assert!(first.events.iter().any(said), "{first:#?}");
        assert!(first.pinned.is_some() && first.mapped.is_some_and(|it| it.writable), "{first:#?}");
    }
}

/// No child of a fork has what its parents keep from it, and the parents' pages stay as they are.
#[test]
fn children_get_buffers_where_forks_may_have_them() {
    for (rules, leaves) in [("5.8", false), ("5.9", false), ("5.17", true), ("pinfold", true)] {
        let world = World::new(&plan(rules)).unwrap();
        assert_eq!(world.leaves_buffers(), leaves, "{rules}");
    }
    let strike = SoakPlan { others: OtherHarms::Strike, ..plan("5.8") };
    assert!(World::new(&strike).unwrap().leaves_buffers());
}

#[test]
fn the_corruption_of_5_9_is_found_and_explained() {
    let report = soaked(&SoakPlan { time: Duration::from_secs(60), ..plan("5.9") });
    assert_eq!((report.verdict, report.corruptions > 0), (Verdict::Fail, true), "{report:#?}");
    accounted(&report);
    let first = report.first.unwrap();
    assert!(first.found_by.starts_with("device"), "{first:#?}");
    assert!(first.device_frame != first.owner_frame, "{first:#?}");
    let rules: Vec<_> = first.events.iter().filter_map(|event| event.rule.as_deref()).collect();
    assert!(rules.contains(&"pte-cow=ref-count, since 5.9"), "{first:#?}");
    let downgraded = "migration-kind=read-write, in every release before 5.19";
    assert!(rules.contains(&downgraded), "{first:#?}");
}

/// Fewer frames than all need at once: what finds none is refused, and nothing is lost or left.
#[test]
fn a_machine_without_frames_refuses_and_goes_on() {
    let few = plan("pinfold").frames * 2 / 7;
    let report = soaked(&SoakPlan { frames: few, ..plan("pinfold") });
    assert!(matches!(report.verdict, Verdict::Pass | Verdict::Partial), "{report:#?}");
    accounted(&report);
}

#[test]
fn one_node_and_nothing_beside_the_demo() {
    let plan = SoakPlan {
        nodes: 1,
        frames: SoakPlan::enough(4, 1),
        without: Activity::ALL.to_vec(),
        ..plan("5.9")
    };
    let report = soaked(&plan);
    assert_eq!(report.verdict, Verdict::Pass, "{report:#?}");
    accounted(&report);
    assert_eq!(report.without, ["balancing", "swap", "merging", "compaction", "forks"]);
    let counted = report.counted;
    assert_eq!((counted.numa_hint_faults, counted.pgmigrate_success), (0, 0), "{counted:?}");
    assert_eq!((counted.pswpout, counted.merged, counted.fork_copy), (0, 0, 0), "{counted:?}");
}

#[test]
fn what_a_kernel_has_not_got_does_not_go_on() {
    assert_eq!(plan("3.1").left_out(), ["balancing"]);
    assert_eq!(plan("5.9").left_out(), [""; 0]);
    let without = vec![Activity::Forks, Activity::Swap];
    assert_eq!(SoakPlan { without, ..plan("5.9") }.left_out(), ["swap", "forks"]);
}

#[test]
fn who_ends_it_early_is_told_so() {
    let report = run(&plan("pinfold"), |_| ControlFlow::Break(())).unwrap();
    assert_eq!(report.verdict, Verdict::Partial);
    assert!(report.reasons[0].contains("before its time"), "{:?}", report.reasons);
    accounted(&report);
}

#[test]
fn who_takes_longer_than_the_patience_is_named() {
    let report = soaked(&SoakPlan { patience: Duration::from_nanos(1), ..plan("pinfold") });
    assert_eq!(report.verdict, Verdict::Fail);
    assert!(!report.hung.is_empty(), "{report:#?}");
    assert!(report.reasons[0].contains(" is in one operation for "), "{:?}", report.reasons);
    assert_eq!((report.frames.free_at_end, report.slots_at_end), (None, None));
}

#[test]
fn a_plan_that_cannot_be_is_refused_with_the_remedy() {
    let refused = |plan: SoakPlan, said: &str| {
        let why = plan.check().unwrap_err().to_string();
        assert!(why.contains(said), "{why}");
        assert!(run(&plan, |_| ControlFlow::Continue(())).is_err());
    };
    refused(SoakPlan { processes: 0, ..plan("pinfold") }, "1 to 64 processes");
    refused(SoakPlan { devices: 5, ..plan("pinfold") }, "1 to 4 devices, no more than processes");
    refused(SoakPlan { nodes: 9, ..plan("pinfold") }, "1 to 8 nodes");
    refused(SoakPlan { frames: 100, ..plan("pinfold") }, "take fewer processes");
    refused(SoakPlan { time: Duration::ZERO, ..plan("pinfold") }, "seconds");
    // Who is short of frames would take pinned buffers out.
    let enough = plan("5.10").frames;
    let short = SoakPlan { frames: enough - 1, ..plan("5.10") };
    assert!(matches!(run(&short, |_| ControlFlow::Break(())), Err(SoakError::Frames { .. })));
}

#[test]
fn a_panic_of_one_thread_stops_all() {
    let world = Arc::new(World::new(&plan("pinfold")).unwrap());
    let (processes, logs) = world.settle().unwrap();
    let stage = Stage { world, processes, logs, clock: Instant::now() };
    let patience = Duration::from_secs(60);
    for (run, panics) in [(drop as fn(Shared), 0), (|_| panic!("on purpose"), 1)] {
        assert!(!stage.world.stop.is_over(), "nothing has panicked");
        let mut crew = Crew::default();
        enter(&mut crew, stage.shared("one".to_owned()), run).unwrap();
        assert!(matches!(crew.watch(patience, || ()), Watched::Ended));
        assert_eq!(crew.join().len(), panics);
    }
    assert!(stage.world.stop.is_over());
}

#[test]
fn no_two_threads_run_on_a_cpu_and_who_is_bound_stays_on_the_node() {
    let bound = SoakPlan { affinity: Affinity::Bound, ..plan("pinfold") };
    let cpus = Cpus::new(&bound);
    let board = Board::new(1, cpus.count(), bound.nodes);
    let mut dice = Dice::new(1);
    let mut seated: Vec<_> = (0..bound.processes as usize * THREADS as usize)
        .map(|thread| {
            let home = cpus.home(thread / THREADS as usize);
            (home, Seated::first(&cpus, bound.affinity, home, &mut dice))
        })
        .collect();
    for _ in 0..100 {
        for (home, seated) in &mut seated {
            seated.roam(&mut dice);
            assert_eq!(board.node(), *home);
        }
        let mut taken: Vec<_> = seated.iter().map(|(_, seated)| seated.cpu()).collect();
        taken.sort_unstable();
        taken.dedup();
        assert_eq!(taken.len(), seated.len());
    }
}

#[test]
fn commands_say_whose_they_are_and_how_often_they_were_written() {
    let board = Board::new(4, 1, 1);
    let place = Place { process: 3, buffer: 2, page: 1 };
    assert_eq!(place.check(&board, Pfn(1), 0), Ok(()));
    place.write(&board, Pfn(1), 7);
    assert_eq!(place.check(&board, Pfn(1), 7), Ok(()));
    assert_eq!(place.check_place(&board, Pfn(1)), Ok(()), "whenever it was written");
    let late = place.check(&board, Pfn(1), 8).unwrap_err();
    assert_eq!(shown(late.found), "write 7 of process 3, buffer 2, page 1, word 0");
    assert!(Place { page: 2, ..place }.check(&board, Pfn(1), 7).is_err());
    // A page of two times.
    let word = (0..512).rev().find(|word| board.word(Pfn(1), *word).load(Ordering::Relaxed) != 0);
    board.word(Pfn(1), word.unwrap()).store(late.found, Ordering::Relaxed);
    assert!(matches!(place.check(&board, Pfn(1), 7), Err(Wrong { .. })));
    assert_eq!(shown(0), "nothing");
    // What all have alike, and what a child writes for itself.
    place.write(&board, Pfn(2), 16);
    Place { page: 2, ..place }.write(&board, Pfn(3), 32);
    assert_eq!(board.load_word(Pfn(2), 0), board.load_word(Pfn(3), 0));
    assert_eq!(place.check_place(&board, Pfn(3)), Ok(()));
    place.scribble(&board, Pfn(3));
    assert_eq!(place.check_scribbled(&board, Pfn(3)), Ok(()));
    let spoiled = place.check(&board, Pfn(3), 7).unwrap_err();
    assert!(place.check_place(&board, Pfn(3)).is_err());
    let by = "what a child wrote for process 3, buffer 2, page 1, word 0";
    assert_eq!(shown(spoiled.found), by);
}

/// A hinting fault that brings an entry back as it was is not what took the write permission.
#[test]
fn the_story_goes_back_to_the_fork() {
    let (f, space) = (Pfn(3), (SpaceId(7), Vpn(16)));
    let logs = Logs::new(Box::new([space]), 1, 8);
    let file = |kind| logs.file(NodeId(0), &Event { space: space.0, at: Vpn(16).start(), kind });
    file(EventKind::FastTaken(f));
    logs.pins((0, 0), f);
    assert!(logs.pinner((0, 0)).is_some());
    file(EventKind::ForkProtected(f));
    file(EventKind::NumaProtected(f));
    file(EventKind::HintFault(f));
    file(EventKind::HintRestored { pfn: f, writable: false });
    file(EventKind::CowCopy { pfn: f, why: pinfold::rules::Why::Rule });
    file(EventKind::Copied { from: f, to: Pfn(4) });
    let story = logs.story((0, 0));
    let told: Vec<_> = story::chain(&story).into_iter().map(|noted| noted.kind).collect();
    assert_eq!(told.iter().filter(|k| **k == EventKind::ForkProtected(f)).count(), 1, "{told:?}");
}

/// The chain is the way by which the write bit went, whatever else is in the log.
#[test]
fn the_story_is_the_chain_that_led_to_the_copy() {
    let (f, g) = (Pfn(3), Pfn(4));
    let space = (SpaceId(7), Vpn(16));
    let logs = Logs::new(Box::new([space]), 2, 8);
    let file = |page: u64, kind| {
        logs.file(NodeId(1), &Event { space: space.0, at: Vpn(16 + page).start(), kind });
    };
    let entry = EventKind::MigrationEntry { pfn: f, kind: MigrationKind::Write };
    let busy = EventKind::MigrationBusy { pfn: f, refs: 1025, expected: 1 };
    let restored = |writable| EventKind::MigrationRestored { pfn: f, writable };
    file(1, EventKind::FastTaken(f));
    logs.pins((0, 1), f);
    file(1, EventKind::NumaProtected(f));
    // Of another page, and what is told of no entry.
    file(0, EventKind::NumaProtected(g));
    file(1, EventKind::HintFault(f));
    file(1, entry);
    logs.file(NodeId(0), &Event { space: SpaceId(0), at: VirtAddr(0), kind: busy });
    file(1, restored(true));
    file(1, entry);
    // The scan may come before the count of references or after it.
    logs.file(NodeId(0), &Event { space: SpaceId(0), at: VirtAddr(0), kind: busy });
    file(1, EventKind::MigrationDowngraded { pfn: f, to: MigrationKind::Read });
    file(1, restored(false));
    file(1, EventKind::CowCopy { pfn: f, why: pinfold::rules::Why::Rule });
    file(1, EventKind::Copied { from: f, to: g });
    // Later events do not push that out.
    for _ in 0..1000 {
        file(1, EventKind::NumaProtected(g));
    }
    let story = logs.story((0, 1));
    let kinds: Vec<_> = story::chain(&story).iter().map(|noted: &&Noted| noted.kind).collect();
    assert_eq!(kinds.len(), 9, "{kinds:?}");
    assert!(matches!(kinds[0], EventKind::FastTaken(_)), "{kinds:?}");
    assert_eq!([kinds[3], kinds[4], kinds[6]], [entry, busy, restored(false)], "{kinds:?}");
    assert!(matches!(kinds[8], EventKind::Copied { .. }), "{kinds:?}");
    assert!(logs.story((0, 0)).len() == 1);
    logs.unpins((0, 1), f);
    assert!(logs.story((0, 1)).is_empty());
}

/// A device that reads a frame which the process has left finds it, and both are named.
#[test]
fn a_device_that_has_another_frame_is_told_of_with_both() {
    let world = Arc::new(World::new(&plan("pinfold")).unwrap());
    let (processes, logs) = world.settle().unwrap();
    let process = &processes[0];
    let place = Place { process: 0, buffer: 1, page: 2 };
    let at = (process.at(place), Cause::Store);
    let write = |frame| place.write(world.board(), frame, 5);
    world.access(&process.space, at, write).unwrap();
    let frame = Pfn(world.plan.frames - 1);
    let wrong = place.check(world.board(), frame, 5).unwrap_err();
    // By whoever is the first to see it.
    world.corrupted((process, &logs), ("process 0", place, 5), Some(frame), wrong);
    assert!(world.stop.is_over());
    let (count, first, _) = world.findings();
    let first = first.unwrap();
    assert_eq!((count, first.device_frame), (1, Some(frame.0)));
    assert!(first.owner_frame.is_some() && first.owner_frame != first.device_frame);
    assert!(first.outcome.unwrap().starts_with("So device 0 leads to "));
}
