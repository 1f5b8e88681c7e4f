//! P7: two threads against one, on disjoint work in one address space and in one each.
//!
//! A figure is how many times the work of one thread two of them do. Each thread's time is its CPU
//! time, in which it waits by spinning: contention shows in it, and neighbours on the machine do
//! not. But threads that do not run at the same time do not meet either, so samples in which one
//! was kept from running, or began late, are thrown away; and the same work on two machines, which
//! share nothing, is the control.

use std::hint::{self, black_box};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use pinfold::{Access, Advice, Cause, Place, Prot, Rules, Sharing, Term, VirtAddr, VirtRange, Vpn};

use crate::pairs::{median, timed};
use crate::world::{Contents, World, run_on};

/// Pages of each thread: whole tables of the lowest level.
const PAGES: u64 = 8192;
const PINNED: u64 = 512;
const UNTOUCHED: u64 = 1 << 15;
const ROUNDS: usize = 300;
/// A sample counts if a thread's wall time is at most this many times its CPU time.
const UNDISTURBED: f64 = 1.2;
/// And if the threads ran side by side for this part of the time.
const TOGETHER: f64 = 0.8;
/// With fewer samples there is no figure.
const ENOUGH: usize = 7;
/// With so many, no more are taken.
const PLENTY: usize = 25;
/// A machine on which two threads that share nothing do less cannot tell.
const QUIET: f64 = 1.8;

/// One operation, repeated on the pages of a thread.
struct Work {
    name: &'static str,
    /// What two threads in one space must reach, and what they should (P7), where it says so.
    goal: Option<(f64, f64)>,
    /// Brings the pages into the state from which `run` starts; not measured.
    prepare: fn(&World, VirtRange),
    run: fn(&World, VirtRange),
}

const ALL: [Work; 7] = [
    Work { name: "first-touch faults", goal: Some((1.8, 1.9)), prepare: forget, run: touch },
    Work { name: "pin+unpin of 1 page", goal: Some((1.6, 1.9)), prepare: touch, run: pin_each },
    Work { name: "pin+unpin of 512 pages", goal: Some((1.8, 1.9)), prepare: touch, run: pin_all },
    Work { name: "lookup of an area", goal: Some((1.8, 1.9)), prepare: nothing, run: look_up },
    Work { name: "map+unmap of 128M", goal: Some((0.9, 1.6)), prepare: nothing, run: map_unmap },
    Work { name: "protect of one page", goal: None, prepare: touch, run: protect },
    Work { name: "touch+DONTNEED of one page", goal: None, prepare: forget, run: touch_forget },
];

fn pages(first: Vpn, count: u64) -> VirtRange {
    VirtRange::new(first.start(), count).expect("the range lies in a mapping")
}

fn nothing(_: &World, _: VirtRange) {}

fn forget(world: &World, part: VirtRange) {
    world.space.advise(part, Advice::DontNeed).expect("the range is mapped");
}

fn touch(world: &World, part: VirtRange) {
    for page in part.iter() {
        black_box(world.space.fault(page.start(), Cause::Store)).expect("there are frames");
    }
}

fn pin(world: &World, range: VirtRange) {
    let pins = world.space.pin(range, Access::Write, Term::Short);
    drop(black_box(pins.expect("the pages are mapped writable")));
}

fn pin_each(world: &World, part: VirtRange) {
    part.iter().for_each(|page| pin(world, pages(page, 1)));
}

fn pin_all(world: &World, part: VirtRange) {
    let first = part.first_page();
    (0..512).for_each(|_| pin(world, pages(first, PINNED)));
}

fn look_up(world: &World, part: VirtRange) {
    for _ in 0..8 {
        part.iter().for_each(|page| assert!(black_box(world.space.is_mapped(page.start()))));
    }
}

fn map_unmap(world: &World, _: VirtRange) {
    for _ in 0..10_000 {
        let range = world.space.map(Place::Anywhere, UNTOUCHED, Prot::READ, Sharing::Private);
        world.space.unmap(range.expect("there is a gap")).expect("the range is within the limits");
    }
}

fn protect(world: &World, part: VirtRange) {
    for page in part.iter().take(300) {
        let one = pages(page, 1);
        world.space.protect(one, Prot::READ).expect("the page is mapped");
        world.space.protect(one, Prot::READ_WRITE).expect("the page is mapped");
    }
}

fn touch_forget(world: &World, part: VirtRange) {
    for page in part.iter().take(300) {
        let one = pages(page, 1);
        touch(world, one);
        forget(world, one);
    }
}

/// The pages of thread `n`.
fn part(world: &World, n: u64) -> VirtRange {
    let first = world.range.first_page() + n * PAGES;
    pages(first, PAGES)
}

pub(crate) fn run() {
    println!("two threads over one, CPU time; control: two machines");
    for work in &ALL {
        println!("P7 {:<28} {}", work.name, row(work));
    }
    println!("a first-touch fault beside a thread that changes other areas, over one alone");
    for (what, change) in
        [("maps and unmaps", map_unmap_once as fn(&World, _)), ("protects", protect_once)]
    {
        for rules in ["fault-lock=space", "fault-lock=area"] {
            println!("P7 {what:<16} {rules:<17} {}", beside(rules, change));
        }
    }
}

fn map_unmap_once(world: &World, _: VirtRange) {
    let range = world.space.map(Place::Anywhere, UNTOUCHED, Prot::READ, Sharing::Private);
    world.space.unmap(range.expect("there is a gap")).expect("the range is within the limits");
}

/// Of the last page of a touched area, which is cut and merged again.
fn protect_once(world: &World, part: VirtRange) {
    for prot in [Prot::READ, Prot::READ_WRITE] {
        world.space.protect(part, prot).expect("the page is mapped");
    }
}

/// How many times as long faults take while another thread changes other areas of their space all
/// the time.
fn beside(rules: &str, change: fn(&World, VirtRange)) -> String {
    let rules = Rules::parse(&format!("pinfold,{rules}")).expect("the rules exist");
    let world = World::under(rules, PAGES, 4 * PAGES, Contents::Skipped);
    let other = Place::At(VirtAddr(1 << 41));
    let other = world.space.map(other, PAGES, Prot::READ_WRITE, Sharing::Private).expect("a gap");
    touch(&world, pages(other.first_page(), 1));
    let mut ratios = Vec::new();
    for _ in 0..ROUNDS {
        if ratios.len() >= PLENTY {
            break;
        }
        let alone = undisturbed(|| touch(&world, world.range));
        forget(&world, world.range);
        let (started, done) = (AtomicBool::new(false), AtomicBool::new(false));
        let beside = thread::scope(|scope| {
            scope.spawn(|| {
                run_on(1);
                while !done.load(Ordering::Relaxed) {
                    change(&world, pages(other.first_page(), 1));
                    started.store(true, Ordering::Relaxed);
                }
            });
            while !started.load(Ordering::Relaxed) {
                hint::spin_loop();
            }
            let taken = undisturbed(|| touch(&world, world.range));
            done.store(true, Ordering::Relaxed);
            taken
        });
        forget(&world, world.range);
        if let (Some(alone), Some(beside)) = (alone, beside) {
            ratios.push(beside.as_secs_f64() / alone.as_secs_f64());
        }
    }
    if ratios.len() < ENOUGH {
        return format!("this machine is too busy to tell: {} samples count", ratios.len());
    }
    spread(&ratios)
}

/// The CPU time of some work, unless the thread was kept from it.
fn undisturbed(work: impl FnOnce()) -> Option<Duration> {
    let began = Instant::now();
    let ((), used) = timed(work);
    (began.elapsed().as_secs_f64() <= UNDISTURBED * used.as_secs_f64()).then_some(used)
}

fn row(work: &Work) -> String {
    let world = || World::new(2 * PAGES, 4 * PAGES, Contents::Skipped);
    let (one, other) = (world(), world());
    let beside = one.beside();
    let alone = [(&one, part(&one, 0))];
    let same = [alone[0], (&one, part(&one, 1))];
    let spaces = [alone[0], (&beside, part(&beside, 0))];
    let machines = [alone[0], (&other, part(&other, 0))];
    let mut taken: [Vec<f64>; 3] = Default::default();
    let mut nanos = Vec::new();
    for _ in 0..ROUNDS {
        if taken.iter().all(|taken| taken.len() >= PLENTY) {
            break;
        }
        for (pair, taken) in [same, spaces, machines].iter().zip(&mut taken) {
            let (Some(single), Some(both)) = (sample(work, &alone), sample(work, pair)) else {
                continue;
            };
            nanos.push(single.as_secs_f64() * 1e9);
            taken.push(2.0 * single.as_secs_f64() / both.as_secs_f64());
        }
    }
    if taken.iter().any(|taken| taken.len() < ENOUGH) {
        let counts = taken.each_ref().map(Vec::len);
        return format!("this machine is too busy to tell: {counts:?} of {ROUNDS} samples count");
    }
    let told = taken.each_ref().map(|taken| spread(taken));
    let [same, _, control] = taken.map(|taken| median(taken.into_iter()));
    let line = format!(
        "one space {}  two spaces {}  control {}  one thread {:.1} us",
        told[0],
        told[1],
        told[2],
        median(nanos.into_iter()) / 1e3,
    );
    if control < QUIET {
        return format!("{line}  this machine is too noisy to tell");
    }
    let judge = |bound: f64| if same >= bound { "met" } else { "MISSED" };
    let goal = work.goal.map_or_else(String::new, |(must, stretch)| {
        format!("  must {must:.2} {}, stretch {stretch:.2} {}", judge(must), judge(stretch))
    });
    format!("{line}{goal}")
}

/// The median, and the quarters on both sides of it.
fn spread(taken: &[f64]) -> String {
    let mut taken = taken.to_vec();
    taken.sort_by(f64::total_cmp);
    let at = |quarter: usize| taken[(taken.len() - 1) * quarter / 4];
    format!("{:.2} ({:.2}-{:.2})", at(2), at(1), at(3))
}

/// What one thread took: CPU time, and when it began and ended.
struct Taken {
    used: Duration,
    began: Instant,
    ended: Instant,
}

/// The mean CPU time of threads that do the work at the same time, unless one was kept from it.
fn sample(work: &Work, threads: &[(&World, VirtRange)]) -> Option<Duration> {
    threads.iter().for_each(|(world, part)| (work.prepare)(world, *part));
    let missing = AtomicUsize::new(threads.len());
    let run = |cpu: usize| {
        let (world, part) = threads[cpu];
        run_on(cpu);
        missing.fetch_sub(1, Ordering::SeqCst);
        // A sleeper would begin later than the one that wakes it.
        while missing.load(Ordering::SeqCst) != 0 {
            hint::spin_loop();
        }
        let began = Instant::now();
        let ((), used) = timed(|| (work.run)(world, part));
        Taken { used, began, ended: Instant::now() }
    };
    let times: Vec<Taken> = thread::scope(|scope| {
        let run = &run;
        let running: Vec<_> = (0..threads.len()).map(|cpu| scope.spawn(move || run(cpu))).collect();
        running.into_iter().map(|thread| thread.join().expect("no thread panics")).collect()
    });
    let began = times.iter().map(|taken| taken.began);
    let ended = times.iter().map(|taken| taken.ended);
    let (first, last) = (began.clone().min()?, ended.clone().max()?);
    let together = ended.min()?.saturating_duration_since(began.max()?);
    let used: Duration = times.iter().map(|taken| taken.used).sum();
    let met = together.as_secs_f64() >= TOGETHER * (last - first).as_secs_f64();
    let ran = times.iter().all(|taken| {
        (taken.ended - taken.began).as_secs_f64() <= UNDISTURBED * taken.used.as_secs_f64()
    });
    (met && ran).then(|| used / times.len() as u32)
}
