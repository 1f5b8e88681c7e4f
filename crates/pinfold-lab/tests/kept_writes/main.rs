//! No write to a file is lost, in random programs of a few lanes on a machine that is exactly as
//! weak as its contract: writers through mappings, pins, forks and the file itself, beside syncs,
//! truncation, holes, invalidation, unmapping, remapping and DONTNEED, over stores that fail now
//! and then, that are full, and that find out late that they are.
//!
//! Each of the first two pages has a lane that writes it, with higher and higher numbers, so its
//! lane knows what must be found there: the last number, or zero if the page was taken away since
//! the write began. Whoever syncs a page without an error finds in the store at least what was
//! written when the sync began. In the end the store, healthy again, has what memory has.
//!
//! `PINFOLD_KEPT=5000 cargo test --release -p pinfold-lab --test kept_writes -- --nocapture` is the
//! long run.

mod disk;
#[path = "../common/futex.rs"]
mod futex;
#[path = "../../../pinfold/src/testing/mmu.rs"]
#[allow(dead_code, reason = "others leave the marks to the manager")]
mod mmu;
#[path = "../pairs/platform.rs"]
#[allow(dead_code, reason = "the pairs use more of the machine")]
mod platform;

use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64 as Count, Ordering};

use disk::{Disk, Face, Failing};
use mmu::Marks;
use pinfold::sync::{AtomicU64, Shared};
use pinfold::{
    Access, AddressSpace, Advice, FaultError, File, FileError, FileSharing, Limits, Memory, NodeId,
    NodeSpan, Pfn, PinError, Place, Prot, Remap, Rules, Small, SpaceError, SyncError, Term, Tuning,
    VirtAddr, VirtRange,
};
use pinfold_explore::hook;
use pinfold_explore::{Config, Ending, Judgement, Lanes, Model, Search, Subject, explore};
use platform::{Bare, FRAMES, Form, Lookup, Walkers};

type Tables = Small;

const LANES: usize = 3;
const STEPS: usize = 4;
/// Pages of the file; as many lanes write.
const PAGES: u64 = 2;
const RUNS: u64 = 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Store,
    Pin,
    Write,
    Child,
    Load,
    Sync,
    Msync,
    Punch(u64),
    Truncate(u64),
    Invalidate,
    DontNeed,
    Remap,
    Unmap,
    Protect,
}

/// A small generator (splitmix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (bits ^ (bits >> 31)) % sides
    }

    fn step(&mut self) -> Step {
        match self.roll(26) {
            0..=4 => Step::Store,
            5 | 6 => Step::Pin,
            7 | 8 => Step::Write,
            9 => Step::Child,
            10 | 11 => Step::Load,
            12..=15 => Step::Sync,
            16 | 17 => Step::Msync,
            18 => Step::Punch(self.roll(PAGES)),
            19 => Step::Truncate(self.roll(PAGES)),
            20 => Step::Invalidate,
            21 => Step::DontNeed,
            22 => Step::Remap,
            23 | 24 => Step::Unmap,
            _ => Step::Protect,
        }
    }

    fn failing(&mut self) -> Failing {
        match self.roll(5) {
            0 | 1 => Failing::Nothing,
            2 => Failing::Device(2 + self.roll(3)),
            3 => Failing::Full,
            _ => Failing::FullLate,
        }
    }
}

/// What happened to a page, in the order of the execution.
#[derive(Clone, Copy, Default, Debug)]
struct Known {
    /// The number that was written last.
    written: u64,
    /// Whether that may not be there: somebody took the page away since that write began, or is
    /// about to.
    taken: bool,
    /// How many are taking it away, and how often somebody began to.
    taking: u32,
    takes: u32,
}

/// What the executions of all programs came to.
#[derive(Default)]
struct Tally {
    writes: Count,
    synced: Count,
    refused: Count,
    failed: Count,
}

/// A lane's view of the file.
struct Window {
    space: Rc<AddressSpace<Bare>>,
    range: Cell<VirtRange>,
    home: VirtAddr,
    away: VirtAddr,
}

/// One execution.
struct World {
    lanes: Vec<Vec<Step>>,
    memory: Shared<Memory<Bare>>,
    file: Option<File<Bare>>,
    disk: Arc<Disk>,
    windows: Vec<Window>,
    known: RefCell<[Known; PAGES as usize]>,
    /// The number that was written last, as a lane learns of it from the one that wrote: nothing
    /// else orders the two.
    told: [AtomicU64; PAGES as usize],
    tally: Rc<Tally>,
    free: u64,
}

/// Why a step did not do what it does: what the store, the end of the file or the shortage of
/// frames made of it is nothing wrong.
enum Refused {
    Rightly,
    Store,
    Wrongly(String),
}

impl From<FaultError> for Refused {
    fn from(error: FaultError) -> Self {
        match error {
            FaultError::Store(..) => Self::Store,
            FaultError::PastEnd(_) | FaultError::OutOfFrames => Self::Rightly,
            error => Self::Wrongly(error.to_string()),
        }
    }
}

impl From<PinError> for Refused {
    fn from(error: PinError) -> Self {
        match error {
            PinError::Fault(error) => error.into(),
            error => Self::Wrongly(error.to_string()),
        }
    }
}

impl From<FileError> for Refused {
    fn from(error: FileError) -> Self {
        match error {
            FileError::Store { .. } => Self::Store,
            FileError::PastEnd { .. } | FileError::OutOfFrames => Self::Rightly,
            error => Self::Wrongly(error.to_string()),
        }
    }
}

impl From<SpaceError> for Refused {
    fn from(error: SpaceError) -> Self {
        match error {
            SpaceError::OutOfFrames => Self::Rightly,
            error => Self::Wrongly(error.to_string()),
        }
    }
}

impl World {
    fn new(program: &Program) -> Self {
        let span = |node: u8| NodeSpan {
            node: NodeId(node),
            first: Pfn(u64::from(node) * FRAMES),
            frames: FRAMES,
        };
        let form =
            Form { walkers: Walkers::Each, marks: Marks::Hardware, lookup: Lookup::Hardware };
        let machine = Bare::new(LANES, 0..LANES, form);
        let nodes = [span(0), span(1)];
        // SAFETY: the machine was made for this world and has these frames.
        let memory = unsafe { Memory::new(machine, &nodes, program.rules, Tuning::default()) };
        let memory = memory.expect("frames");
        let free = memory.frames().total_free();
        let disk = Disk::new(program.failing);
        let file = File::new(&memory, PAGES, Box::new(Face(disk.clone()))).expect("heap");
        let new = || AddressSpace::new(&memory, Limits::of_format::<Tables>()).expect("a root");
        // Two lanes in one, and one in the other.
        let spaces = [Rc::new(new()), Rc::new(new())];
        let window = |lane: usize| {
            let (space, first) = (spaces[lane / 2].clone(), 1 + 3 * (lane as u64 % 2));
            let (home, away) = (VirtAddr::of_page(first), VirtAddr::of_page(first + 8));
            let run = file.run(0..PAGES);
            let range = space.map_file(Place::At(home), Prot::READ_WRITE, run, FileSharing::Shared);
            Window { space, range: Cell::new(range.expect("room")), home, away }
        };
        let windows = (0..LANES).map(window).collect();
        let (lanes, tally) = (program.lanes.clone(), program.tally.clone());
        let (file, known) = (Some(file), RefCell::default());
        let told = Default::default();
        Self { lanes, memory, file, disk, windows, known, told, tally, free }
    }

    fn file(&self) -> &File<Bare> {
        self.file.as_ref().expect("it is dropped last")
    }

    fn known(&self, page: u64) -> Known {
        self.known.borrow()[page as usize]
    }

    fn change(&self, page: u64, change: impl FnOnce(&mut Known)) {
        change(&mut self.known.borrow_mut()[page as usize]);
    }

    fn at(&self, lane: usize, page: u64) -> VirtAddr {
        (self.windows[lane].range.get().first_page() + page).start()
    }

    fn run(&self, lane: usize) {
        for step in &self.lanes[lane] {
            match self.step(lane, *step) {
                Ok(()) => {}
                Err(Refused::Rightly) => {}
                Err(Refused::Store) => drop(self.tally.refused.fetch_add(1, Ordering::Relaxed)),
                Err(Refused::Wrongly(why)) => hook::fail(format!("lane {lane}, {step:?}: {why}")),
            }
        }
    }

    fn step(&self, lane: usize, step: Step) -> Result<(), Refused> {
        let window = &self.windows[lane];
        let (space, range, machine) = (&window.space, window.range.get(), self.memory.platform());
        // A lane without a page of its own has nothing to write or to look for.
        let own = Some(lane as u64).filter(|page| *page < PAGES);
        let first = |page: u64| self.at(lane, page).page().0;
        match (step, own) {
            (Step::Store, Some(page)) => self.write(page, |value| {
                machine.access(space, first(page), Some(value))?;
                Ok(())
            }),
            (Step::Pin, Some(page)) => self.write(page, |value| {
                let one = VirtRange::new(self.at(lane, page), 1).expect("a page");
                let pins = space.pin(one, Access::Write, Term::Short)?;
                machine.data(pins.pages()[0]).write_once(value);
                pins.unpin_dirty();
                Ok(())
            }),
            (Step::Write, Some(page)) => self.write(page, |value| {
                Ok(self.file().write(page, |frame| machine.data(frame).write_once(value))?)
            }),
            (Step::Child, Some(page)) => self.write(page, |value| {
                let child = space.fork()?;
                machine.access(&child, first(page), Some(value))?;
                Ok(())
            }),
            (Step::Load, Some(page)) => {
                let seen = machine.access(space, first(page), None)?;
                self.must_be(page, seen, "the mapping")?;
                let seen = self.file().read(page, |frame| machine.data(frame).read_once())?;
                self.must_be(page, seen, "the file")
            }
            (Step::Store | Step::Pin | Step::Write | Step::Child | Step::Load, None)
            | (Step::Sync, _) => self.synced(|| self.file().sync().map(drop).map_err(drop)),
            (Step::Msync, _) => self.synced(|| match space.sync(range) {
                Ok(_) => Ok(()),
                Err(SyncError::Store(_)) => Err(()),
                Err(error) => hook::fail(error.to_string()),
            }),
            (Step::Punch(page), _) => self.taken(page..page + 1, || {
                self.file().punch(page..page + 1);
                Ok(())
            }),
            (Step::Truncate(pages), _) => self.taken(pages..PAGES, || {
                self.file().truncate(pages)?;
                Ok(self.file().truncate(PAGES)?)
            }),
            (Step::Invalidate, _) => {
                // A page that is in use stays, which is no failure.
                let _ = self.file().invalidate(0..PAGES);
                Ok(())
            }
            (Step::DontNeed, _) => Ok(space.advise(range, Advice::DontNeed)?),
            (Step::Remap, _) => {
                for to in [window.away, window.home] {
                    let moved = space.remap(window.range.get(), PAGES, Remap::To(to))?;
                    window.range.set(moved);
                }
                Ok(())
            }
            (Step::Unmap, _) => {
                space.unmap(range)?;
                let run = self.file().run(0..PAGES);
                let place = Place::At(range.start());
                let again = space.map_file(place, Prot::READ_WRITE, run, FileSharing::Shared)?;
                window.range.set(again);
                Ok(())
            }
            (Step::Protect, _) => {
                space.protect(range, Prot::READ)?;
                Ok(space.protect(range, Prot::READ_WRITE)?)
            }
        }
    }

    fn write(
        &self,
        page: u64,
        how: impl FnOnce(u64) -> Result<(), Refused>,
    ) -> Result<(), Refused> {
        let before = self.known(page);
        let value = before.written + 1;
        // What was refused has written nothing.
        how(value)?;
        self.change(page, |it| {
            it.written = value;
            it.taken = before.taking > 0 || it.takes != before.takes;
        });
        self.told[page as usize].store_release(value);
        self.tally.writes.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// The owner of a page looks at it.
    fn must_be(&self, page: u64, seen: u64, place: &str) -> Result<(), Refused> {
        let known = self.known(page);
        if known.taken || seen == known.written {
            return Ok(());
        }
        Err(Refused::Wrongly(format!("{place} has {seen} as page {page}: {known:?}")))
    }

    /// What a sync without an error has written.
    fn synced(&self, sync: impl FnOnce() -> Result<(), ()>) -> Result<(), Refused> {
        let told = self.told.each_ref().map(AtomicU64::load_acquire);
        let before = *self.known.borrow();
        if sync().is_err() {
            self.tally.failed.fetch_add(1, Ordering::Relaxed);
            return Ok(());
        }
        for (page, (before, told)) in (0..).zip(before.into_iter().zip(told)) {
            let (takes, stored) = (self.known(page).takes, self.disk.has(page));
            // Who has not heard of the last write knows nothing of what came before it.
            if before.taken || takes != before.takes || told != before.written {
                continue;
            }
            self.tally.synced.fetch_add(1, Ordering::Relaxed);
            if stored < before.written {
                let why = format!("page {page} has {stored} in the store: {before:?}");
                return Err(Refused::Wrongly(why));
            }
        }
        Ok(())
    }

    /// Takes pages away.
    fn taken(
        &self,
        pages: Range<u64>,
        by: impl FnOnce() -> Result<(), Refused>,
    ) -> Result<(), Refused> {
        let each =
            |change: fn(&mut Known)| pages.clone().for_each(|page| self.change(page, change));
        each(|it| {
            it.taken = true;
            it.taking += 1;
            it.takes += 1;
        });
        let done = by();
        each(|it| it.taking -= 1);
        done
    }

    /// When nothing runs any more, and nothing fails.
    fn judge(mut self) -> Result<(), String> {
        self.disk.failing.set(Failing::Nothing);
        self.file().sync().map_err(|error| error.to_string())?;
        for page in 0..PAGES {
            let (known, stored) = (self.known(page), self.disk.has(page));
            let data = |frame| self.memory.platform().data(frame).peek();
            let held = self.file().read(page, data).map_err(|error| error.to_string())?;
            if held != stored || !known.taken && held != known.written {
                let why = format!("page {page} is {held}, stored {stored}: {known:?}");
                return Err(why);
            }
        }
        self.windows.clear();
        self.file = None;
        match self.memory.frames().total_free() {
            free if free == self.free => Ok(()),
            free => Err(format!("{free} of {} frames are free", self.free)),
        }
    }
}

/// A program, and what is done with it.
struct Program {
    lanes: Vec<Vec<Step>>,
    failing: Failing,
    rules: Rules,
    tally: Rc<Tally>,
}

impl Program {
    fn random(seed: u64, rules: &str, tally: &Rc<Tally>) -> Self {
        let mut dice = Dice(seed);
        let failing = dice.failing();
        let lanes = (0..LANES).map(|_| (0..STEPS).map(|_| dice.step()).collect()).collect();
        let rules = Rules::parse(rules).expect("the rules exist");
        Self { lanes, failing, rules, tally: tally.clone() }
    }

    fn search(&mut self, model: Model, seed: u64) -> Option<String> {
        let search = Search::Pct { depth: 4, seed, runs: RUNS };
        let config = Config { model, search, shrink_runs: 0, ..Config::default() };
        let failure = explore(self, &config, &mut |_| {}).failure;
        failure.map(|failure| format!("{:?}, {:?}: {failure}", self.lanes, self.failing))
    }
}

impl Subject for Program {
    type World = Rc<World>;

    fn build(&mut self, lanes: &mut Lanes<'_>) -> Rc<World> {
        let world = Rc::new(World::new(self));
        for lane in 0..LANES {
            let world = Rc::clone(&world);
            lanes.lane(format!("lane {lane}"), move || world.run(lane));
        }
        world
    }

    fn judge(&mut self, world: Rc<World>, ending: Ending<'_>) -> Judgement {
        let outcome = String::new();
        if ending != Ending::Finished {
            return Judgement::Pass { outcome };
        }
        let world = Rc::into_inner(world).expect("the lanes are over");
        match world.judge() {
            Ok(()) => Judgement::Pass { outcome },
            Err(message) => Judgement::Fail { outcome, message },
        }
    }
}

/// The first of the programs in which something is wrong that `counts`.
fn wrong(
    (rules, model): (&str, Model),
    seeds: Range<u64>,
    tally: &Rc<Tally>,
    counts: impl Fn(&str) -> bool,
) -> Option<(u64, String)> {
    let search = |seed: u64| {
        let found = Program::random(seed, rules, tally).search(model, seed);
        found.filter(|found| counts(found)).map(|found| (seed, found))
    };
    seeds.into_iter().find_map(search)
}

/// Two programs of these were the first to show what no other test had: 20, a sync that returns
/// while another is still writing, and fails (INV-BACK-4); 60, a page that an invalidation takes
/// out while a device's owner marks it (INV-TRUNC-4).
#[test]
fn nothing_that_was_written_is_lost() {
    let asked = std::env::var("PINFOLD_KEPT").ok().and_then(|text| text.parse().ok());
    let programs = asked.unwrap_or(150);
    for (rules, model) in [("pinfold", Model::Weak), ("pinfold", Model::Tso), ("6.2", Model::Tso)] {
        let tally = Rc::new(Tally::default());
        let found = wrong((rules, model), 0..programs, &tally, |_| true);
        assert!(found.is_none(), "{rules}, {model:?}: {found:?}");
        let [writes, synced, refused, failed] =
            [&tally.writes, &tally.synced, &tally.refused, &tally.failed]
                .map(|count| count.load(Ordering::Relaxed));
        println!(
            "{rules}, {model:?}: {programs} programs, {RUNS} executions each, {writes} writes, \
             {synced} pages looked for after syncs, {refused} steps refused and {failed} syncs \
             failed by the store"
        );
        let least = programs * RUNS;
        assert!(writes > least && synced > least && refused * 20 > least && failed * 20 > least);
    }
}

/// The same programs find what is lost where other CPUs go on with an entry that was cleaned.
#[test]
fn what_is_lost_is_found() {
    let rules = "pinfold,flush-reach=this-cpu";
    let lost = |found: &str| found.contains("in the store");
    let found = wrong((rules, Model::Tso), 0..100, &Rc::default(), lost);
    println!("{rules}: {found:?}");
    assert!(found.is_some(), "{rules}");
}
