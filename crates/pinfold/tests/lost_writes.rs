//! No write to a file is lost: threads write through shared mappings, pins, forks and the file
//! itself, beside writeback, truncation, holes, invalidation, unmapping, remapping and DONTNEED,
//! over a store that fails at times.
//!
//! Each thread has a word of its own in each page, so it knows what it must find there: the value
//! that it wrote last, unless the page was cut off or punched since then. What a sync has reported
//! as written is in the store. At the end the store has what memory has.
//!
//! `PINFOLD_WRITES=1000000 cargo test --release -p pinfold --test lost_writes -- --nocapture` is
//! the long run.

use std::cell::Cell;
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64 as Word, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use pinfold::mock::Host;
use pinfold::platform::{FlushScope, Park};
use pinfold::sync::{AtomicU64, Shared};
use pinfold::{
    Access, AddressSpace, Advice, Cause, FaultError, File, FileError, FileSharing, Limits, Memory,
    NodeId, NodeSpan, Pfn, PinError, Place, Platform, Prot, Remap, Rules, SpaceId, Store,
    StoreError, Term, Tuning, VirtAddr, VirtRange, X86_64,
};

const THREADS: usize = 4;
const PAGES: u64 = 12;
const FRAMES: u64 = 512;
/// In every value that goes to a private mapping.
const PRIVATE: u64 = 1 << 63;

thread_local! {
    /// The CPU that runs the thread.
    static CPU: Cell<usize> = const { Cell::new(0) };
}

/// The host, with emulated CPUs that look every address up.
struct Board {
    host: Host<X86_64>,
    /// Each is held during an instruction of that CPU.
    cpus: [Mutex<()>; THREADS],
}

impl Board {
    fn instruction(&self, cpu: usize) -> MutexGuard<'_, ()> {
        self.cpus[cpu].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn word(&self, frame: Pfn, thread: usize) -> &Word {
        self.host.word(frame, thread)
    }

    /// A load, or a store of `value`, of the thread's word.
    fn access(
        &self,
        space: &AddressSpace<Self>,
        at: VirtAddr,
        thread: usize,
        value: Option<u64>,
    ) -> Result<u64, FaultError> {
        let cause = if value.is_some() { Cause::Store } else { Cause::Load };
        loop {
            let instruction = self.instruction(thread);
            let entry = space.walk(at);
            if cause.is_allowed_by(entry) {
                let word = self.word(entry.pfn(), thread);
                let Some(value) = value else { return Ok(word.load(Ordering::Relaxed)) };
                word.store(value, Ordering::Relaxed);
                return Ok(value);
            }
            drop(instruction);
            space.fault(at, cause)?;
        }
    }
}

impl Park for Board {
    fn park(&self, word: &AtomicU32, seen: u32) {
        while word.load(Ordering::Acquire) == seen {
            thread::yield_now();
        }
    }

    fn unpark(&self, _: &AtomicU32) {}
}

// SAFETY: the host keeps all of the contract but for the flush, as it has no CPU. A CPU here uses a
// translation only while it holds its lock, and looks it up under the same: taking the lock once
// waits for all that are older than the flush.
unsafe impl Platform for Board {
    type Format = X86_64;

    fn table(&self, frame: Pfn) -> NonNull<AtomicU64> {
        self.host.table(frame)
    }

    fn zero_frame(&self, frame: Pfn) {
        self.host.zero_frame(frame);
    }

    fn copy_frame(&self, from: Pfn, to: Pfn) {
        self.host.copy_frame(from, to);
    }

    fn cpu(&self) -> usize {
        CPU.get()
    }

    fn cpus(&self) -> usize {
        THREADS
    }

    fn flush(&self, _: SpaceId, _: FlushScope) {
        (0..THREADS).for_each(|cpu| drop(self.instruction(cpu)));
    }

    fn walk_begin(&self) {
        self.host.walk_begin();
    }

    fn walk_end(&self) {
        self.host.walk_end();
    }

    fn wait_for_walkers(&self) {
        self.host.wait_for_walkers();
    }
}

type Space = AddressSpace<Board>;

/// A store that can be told to fail now and then.
struct Disk {
    pages: Vec<[Word; THREADS]>,
    fails: AtomicBool,
    asked: Word,
}

impl Disk {
    fn new() -> Arc<Self> {
        let pages = (0..PAGES).map(|_| Default::default()).collect();
        Arc::new(Self { pages, fails: AtomicBool::new(true), asked: Word::new(0) })
    }

    fn has(&self, page: u64, thread: usize) -> u64 {
        self.pages[page as usize][thread].load(Ordering::Relaxed)
    }

    /// One request in seven fails.
    fn answer(&self) -> Result<(), StoreError> {
        let number = self.asked.fetch_add(1, Ordering::Relaxed);
        let fails = self.fails.load(Ordering::Relaxed) && number.is_multiple_of(7);
        if fails { Err(StoreError::Io) } else { Ok(()) }
    }
}

/// The store's face: the manager owns it.
struct Face(Arc<Disk>);

impl Store<Board> for Face {
    fn read(&self, board: &Board, index: u64, frame: Pfn) -> Result<(), StoreError> {
        self.0.answer()?;
        board.zero_frame(frame);
        for thread in 0..THREADS {
            board.word(frame, thread).store(self.0.has(index, thread), Ordering::Relaxed);
        }
        Ok(())
    }

    fn write(&self, board: &Board, index: u64, frame: Pfn) -> Result<(), StoreError> {
        self.0.answer()?;
        for (thread, word) in self.0.pages[index as usize].iter().enumerate() {
            word.store(board.word(frame, thread).load(Ordering::Relaxed), Ordering::Relaxed);
        }
        Ok(())
    }

    fn reserve(&self, _: &Board, _: u64) -> Result<(), StoreError> {
        self.0.answer()
    }

    fn discard(&self, _: &Board, pages: Range<u64>) {
        let known = pages.start as usize..(pages.end.min(PAGES)) as usize;
        for page in self.0.pages.get(known).unwrap_or_default() {
            page.iter().for_each(|word| word.store(0, Ordering::Relaxed));
        }
    }
}

/// What all threads share.
struct World {
    memory: Shared<Memory<Board>>,
    file: File<Board>,
    disk: Arc<Disk>,
    /// For each page, how often somebody began or ended to take it away: odd while one does.
    epochs: Vec<Word>,
    /// Held by who takes pages away.
    destroying: Mutex<()>,
    written: Word,
    kept: Word,
}

impl World {
    fn epoch(&self, page: u64) -> u64 {
        self.epochs[page as usize].load(Ordering::SeqCst)
    }

    /// Takes pages away, so that all who look at the epochs know.
    fn destroy(&self, pages: Range<u64>, by: impl FnOnce()) {
        let _alone = self.destroying.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = || {
            for page in pages.clone() {
                self.epochs[page as usize].fetch_add(1, Ordering::SeqCst);
            }
        };
        turn();
        by();
        turn();
    }
}

/// A small generator.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) % sides
    }
}

/// One thread.
struct Writer<'w> {
    world: &'w World,
    space: &'w Space,
    thread: usize,
    dice: Dice,
    /// Where it shows the file, and where it shows a private view of it.
    shared: VirtRange,
    private: VirtRange,
    /// For each page what it wrote last, and in which epoch.
    last: Vec<(u64, u64)>,
    count: u64,
}

fn at(range: VirtRange, page: u64) -> VirtAddr {
    (range.first_page() + page).start()
}

impl<'w> Writer<'w> {
    fn new(world: &'w World, space: &'w Space, thread: usize) -> Self {
        let window = |number: u64| Place::At(VirtAddr::of_page(0x1000 * number + 3));
        let run = || world.file.run(0..PAGES);
        let number = 2 * thread as u64 + 1;
        let map = |number, sharing| {
            space.map_file(window(number), Prot::READ_WRITE, run(), sharing).unwrap()
        };
        Self {
            world,
            space,
            thread,
            dice: Dice(thread as u64 + 11),
            shared: map(number, FileSharing::Shared),
            private: map(number + 1, FileSharing::Private),
            last: vec![(0, 0); PAGES as usize],
            count: 0,
        }
    }

    fn board(&self) -> &'w Board {
        self.world.memory.platform()
    }

    /// Writes a new value by `how`, which may fail as faults do.
    fn write(&mut self, page: u64, how: impl FnOnce(&Self, u64) -> Result<(), Failed>) {
        self.count += 1;
        let (epoch, value) = (self.world.epoch(page), self.count << 8 | self.thread as u64);
        if how(self, value).is_ok() {
            self.last[page as usize] = (value, epoch);
            self.world.written.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Holds what was found, in memory or in the store, against what was written.
    fn check(&self, page: u64, found: u64, place: &str) {
        let (value, epoch) = self.last[page as usize];
        let untouched = epoch.is_multiple_of(2) && self.world.epoch(page) == epoch;
        if untouched {
            self.world.kept.fetch_add(1, Ordering::Relaxed);
        }
        assert!(
            found == value || !untouched && found == 0,
            "page {page}, thread {}: {place} has {found:#x}, written was {value:#x} ({untouched})",
            self.thread
        );
    }

    /// The page is gone since it was written: from now on it is as it is found.
    fn settle(&mut self, page: u64) {
        let (_, epoch) = self.last[page as usize];
        if self.world.epoch(page) != epoch || !epoch.is_multiple_of(2) {
            self.write(page, Self::by_mapping(page));
        }
    }

    fn by_mapping(page: u64) -> impl FnOnce(&Self, u64) -> Result<(), Failed> {
        move |this, value| {
            let place = at(this.shared, page);
            this.board().access(this.space, place, this.thread, Some(value))?;
            Ok(())
        }
    }

    fn by_pin(page: u64) -> impl FnOnce(&Self, u64) -> Result<(), Failed> {
        move |this, value| {
            let one = VirtRange::new(at(this.shared, page), 1).unwrap();
            let pins = this.space.pin(one, Access::Write, Term::Short)?;
            this.board().word(pins.pages()[0], this.thread).store(value, Ordering::Relaxed);
            pins.unpin_dirty();
            Ok(())
        }
    }

    fn by_file(page: u64) -> impl FnOnce(&Self, u64) -> Result<(), Failed> {
        move |this, value| {
            let store = |frame| {
                this.board().word(frame, this.thread).store(value, Ordering::Relaxed);
            };
            Ok(this.world.file.write(page, store)?)
        }
    }

    fn by_child(page: u64) -> impl FnOnce(&Self, u64) -> Result<(), Failed> {
        move |this, value| {
            let child = this.space.fork().unwrap();
            this.board().access(&child, at(this.shared, page), this.thread, Some(value))?;
            Ok(())
        }
    }

    fn look(&self, page: u64) {
        let place = at(self.shared, page);
        if let Ok(found) = self.board().access(self.space, place, self.thread, None) {
            self.check(page, found, "the mapping");
        }
        let read = |frame| self.board().word(frame, self.thread).load(Ordering::Relaxed);
        if let Ok(found) = self.world.file.read(page, read) {
            self.check(page, found, "the file");
        }
    }

    /// What is reported as written is in the store.
    fn sync(&self, page: u64) {
        let through = VirtRange::new(at(self.shared, page), 1).unwrap();
        let done = if self.count.is_multiple_of(2) {
            self.world.file.sync_pages(page..page + 1).is_ok()
        } else {
            self.space.sync(through).is_ok()
        };
        if done {
            self.check(page, self.world.disk.has(page, self.thread), "the store");
        }
    }

    /// A private mapping shows the file until it is written; what is written there stays there.
    fn write_privately(&self, page: u64) {
        let place = at(self.private, page);
        let value = PRIVATE | self.count;
        if self.board().access(self.space, place, self.thread, Some(value)).is_ok() {
            let found = self.board().access(self.space, place, self.thread, None);
            // Only a truncation takes a copy.
            assert!(
                found.is_err() || found == Ok(value) || found.is_ok_and(|it| it & PRIVATE == 0)
            );
        }
    }

    fn step(&mut self) {
        let (page, world) = (self.dice.roll(PAGES), self.world);
        self.settle(page);
        match self.dice.roll(40) {
            0..=7 => self.write(page, Self::by_mapping(page)),
            8..=11 => self.write(page, Self::by_pin(page)),
            12..=15 => self.write(page, Self::by_file(page)),
            16 => self.write(page, Self::by_child(page)),
            17..=22 => self.look(page),
            23..=27 => self.sync(page),
            28 => drop(world.file.invalidate(0..PAGES)),
            29 => world.destroy(page..page + 1, || world.file.punch(page..page + 1)),
            30 => world.destroy(page..PAGES, || {
                world.file.truncate(page).unwrap();
                world.file.truncate(PAGES).unwrap();
            }),
            31 => self.space.advise(self.shared, Advice::DontNeed).unwrap(),
            32 => self.space.advise(self.private, Advice::DontNeed).unwrap(),
            33 => {
                let cut = VirtRange::new(at(self.shared, page), 1).unwrap();
                self.space.protect(cut, Prot::READ).unwrap();
                self.space.protect(cut, Prot::READ_WRITE).unwrap();
            }
            34 => self.remap(),
            35 => self.map_again(page),
            _ => self.write_privately(page),
        }
    }

    /// There and back.
    fn remap(&mut self) {
        let away = VirtAddr::of_page(0x100_000 + 0x1000 * self.thread as u64);
        self.shared = self.space.remap(self.shared, PAGES, Remap::To(away)).unwrap();
        let back = VirtAddr::of_page(0x1000 * (2 * self.thread as u64 + 1) + 3);
        self.shared = self.space.remap(self.shared, PAGES, Remap::To(back)).unwrap();
    }

    /// Unmaps a part, and maps it again.
    fn map_again(&mut self, page: u64) {
        let part = VirtRange::new(at(self.shared, page), PAGES - page).unwrap();
        self.space.unmap(part).unwrap();
        let run = self.world.file.run(page..PAGES);
        let place = Place::At(part.start());
        self.space.map_file(place, Prot::READ_WRITE, run, FileSharing::Shared).unwrap();
    }
}

/// The store failed, or the page was cut off: nothing was written.
struct Failed;

impl From<FaultError> for Failed {
    fn from(error: FaultError) -> Self {
        assert!(matches!(error, FaultError::Store(..) | FaultError::PastEnd(_)), "{error}");
        Self
    }
}

impl From<PinError> for Failed {
    fn from(error: PinError) -> Self {
        match error {
            PinError::Fault(error) => error.into(),
            other => panic!("{other}"),
        }
    }
}

impl From<FileError> for Failed {
    fn from(error: FileError) -> Self {
        assert!(matches!(error, FileError::Store { .. } | FileError::PastEnd { .. }), "{error}");
        Self
    }
}

fn run(rules: &str, operations: u64) {
    let board = Board { host: Host::new(FRAMES as usize), cpus: Default::default() };
    let span = NodeSpan { node: NodeId(0), first: Pfn(0), frames: FRAMES };
    let rules = Rules::parse(rules).unwrap();
    // SAFETY: the board has these frames, and nobody else uses it.
    let memory = unsafe { Memory::new(board, &[span], rules, Tuning::default()).unwrap() };
    let disk = Disk::new();
    let file = File::new(&memory, PAGES, Box::new(Face(disk.clone()))).unwrap();
    let epochs = (0..PAGES).map(|_| Word::new(0)).collect();
    let (destroying, written, kept) = (Mutex::new(()), Word::new(0), Word::new(0));
    let world = World { memory, file, disk, epochs, destroying, written, kept };
    // Two threads in each.
    let space = || AddressSpace::new(&world.memory, Limits::of_format::<X86_64>()).unwrap();
    let spaces = [space(), space()];
    let made = Word::new(0);
    thread::scope(|threads| {
        for thread in 0..THREADS {
            let (world, space, made) = (&world, &spaces[thread / 2], &made);
            threads.spawn(move || {
                CPU.set(thread);
                let mut writer = Writer::new(world, space, thread);
                while made.fetch_add(1, Ordering::Relaxed) < operations {
                    writer.step();
                }
                (0..PAGES).for_each(|page| writer.look(page));
            });
        }
    });
    world.disk.fails.store(false, Ordering::Relaxed);
    world.file.sync().unwrap();
    for (page, thread) in (0..PAGES).flat_map(|page| (0..THREADS).map(move |it| (page, it))) {
        let read = |frame| world.memory.platform().word(frame, thread).load(Ordering::Relaxed);
        let found = world.file.read(page, read).unwrap();
        assert_eq!(world.disk.has(page, thread), found, "page {page} in the store");
        assert_eq!(found & PRIVATE, 0, "a private write reached the file");
    }
    let count = |word: &Word| word.load(Ordering::Relaxed);
    let (written, kept) = (count(&world.written), count(&world.kept));
    println!("{rules}: {operations} operations, {written} writes, {kept} found as they were");
    assert!(kept > operations / 10, "{kept}");
    drop(spaces);
    let World { memory, file, .. } = world;
    drop(file);
    assert_eq!(memory.frames().total_free(), FRAMES - 1, "all but the zero page");
}

#[test]
fn what_was_written_is_found_and_what_was_synced_is_in_the_store() {
    let asked = std::env::var("PINFOLD_WRITES").ok().and_then(|text| text.parse().ok());
    let operations = asked.unwrap_or(100_000);
    // By today's rules, and by the first ones that take no mapping off a dirty page of a file
    // before the flush.
    for rules in ["pinfold", "6.2"] {
        run(rules, operations / 2);
    }
}
