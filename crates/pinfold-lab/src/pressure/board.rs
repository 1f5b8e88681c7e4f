//! The machine: frames of the host, and CPUs whose translation caches are real, each with a thread.
//!
//! Protocol: a CPU holds the lock of its own cache during each access, from the look-up to the last
//! word. A flush takes the lock of every CPU in turn, and discards there what it is about. Threads
//! that wait sleep, and are woken.
//!
//! Invariants:
//! - INV-BOARD-1: what a CPU has cached was looked up under its lock; whoever has had that lock
//!   after a change knows that no access uses what was there before it.

use pinfold::mock::Host;
use pinfold::platform::{FlushScope, PageBytes, Park, Words};
use pinfold::sync::AtomicU64;
use pinfold::{
    AddressSpace, Bug, Cause, Contents, Event, FaultError, NodeId, Pfn, Platform, SpaceId,
    VirtAddr, VirtRange, Vpn, X86_64,
};
use std::cell::Cell;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64 as Word, Ordering, fence};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;

/// A process's memory.
pub(crate) type Space = AddressSpace<Board>;

/// The nodes of a machine that is short of memory.
pub(crate) const NODES: u8 = 2;

/// One past the last frame below 4 GiB.
pub(crate) const LOW_END: u64 = 1 << 20;

/// Words of a frame.
const WORDS: usize = 512;

/// Who is told what happens, and on which node.
pub(crate) type Ear = Box<dyn Fn(NodeId, Event) + Send + Sync>;

/// Translations that a CPU caches: by the page's number and the address space.
const CACHED: usize = 256;

/// Places where threads sleep; several words share one.
const BEDS: usize = 64;

/// Broken invariants that are kept to be shown.
const BUGS: usize = 16;

/// Threads that were asked for their number.
static TASKS: AtomicU32 = AtomicU32::new(0);

thread_local! {
    /// The CPU that the thread is.
    static CPU: Cell<usize> = const { Cell::new(0) };
    /// The thread's number, on whatever CPU.
    static TASK: u32 = TASKS.fetch_add(1, Ordering::Relaxed);
}

/// The calling thread is this CPU from now on.
pub(crate) fn sit_at(cpu: usize) {
    CPU.set(cpu);
}

/// Even if a thread has panicked: then that is told, and the others go on.
pub(crate) fn locked<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a CPU knows of a page.
#[derive(Clone, Copy)]
struct Translation {
    space: SpaceId,
    page: Vpn,
    frame: Pfn,
    /// Whether stores need no second look.
    stores: bool,
}

/// One CPU, on cache lines of its own.
#[repr(align(128))]
struct Cpu {
    cached: Mutex<Box<[Option<Translation>]>>,
    /// Its open walk sections.
    walkers: AtomicU32,
}

impl Cpu {
    fn new() -> Self {
        let cached = Mutex::new(vec![None; CACHED].into_boxed_slice());
        Self { cached, walkers: AtomicU32::new(0) }
    }
}

/// A place where threads sleep.
#[derive(Default)]
struct Bed {
    asleep: Mutex<()>,
    woken: Condvar,
}

/// See the module.
pub(crate) struct Board {
    host: Host<X86_64>,
    nodes: u8,
    cpus: Box<[Cpu]>,
    beds: Box<[Bed]>,
    bugs: Mutex<Vec<Bug>>,
    ear: OnceLock<Ear>,
}

impl Board {
    /// A machine with so many frames, and CPUs that take turns on so many nodes.
    pub(crate) fn new(frames: usize, cpus: usize, nodes: u8) -> Self {
        Self::starting_at(Pfn(0), frames, cpus, nodes)
    }

    /// The same, with frames from this one on.
    pub(crate) fn starting_at(first: Pfn, frames: usize, cpus: usize, nodes: u8) -> Self {
        Self {
            host: Host::starting_at(first, frames),
            nodes,
            cpus: (0..cpus).map(|_| Cpu::new()).collect(),
            beds: (0..BEDS).map(|_| Bed::default()).collect(),
            bugs: Mutex::default(),
            ear: OnceLock::new(),
        }
    }

    /// Has `ear` told every event from now on, by the thread that it happens to, which may hold
    /// spinning locks of the manager. The first one stays.
    pub(crate) fn listen(&self, ear: Ear) {
        let _ = self.ear.set(ear);
    }

    /// The node of a CPU.
    pub(crate) fn node_of(&self, cpu: usize) -> NodeId {
        NodeId((cpu % usize::from(self.nodes)) as u8)
    }

    /// Word `word` of a frame, as a device or a CPU sees it.
    pub(crate) fn word(&self, frame: Pfn, word: usize) -> &Word {
        self.host.word(frame, word)
    }

    /// A device writes a word of a frame.
    pub(crate) fn store_word(&self, frame: Pfn, word: usize, value: u64) {
        self.word(frame, word).store(value, Ordering::Relaxed);
    }

    /// A device reads one.
    pub(crate) fn load_word(&self, frame: Pfn, word: usize) -> u64 {
        self.word(frame, word).load(Ordering::Relaxed)
    }

    /// One instruction of the calling thread's CPU on the page at `at`, with the faults that it
    /// takes. `act` is done with the frame, and may be done only once.
    pub(crate) fn access<T>(
        &self,
        space: &Space,
        (at, cause): (VirtAddr, Cause),
        act: impl Fn(Pfn) -> T,
    ) -> Result<T, FaultError> {
        loop {
            if let Some(done) = self.attempt(space, (at, cause), &act) {
                return Ok(done);
            }
            space.fault(at, cause)?;
        }
    }

    /// The same; none, if it faults.
    fn attempt<T>(
        &self,
        space: &Space,
        (at, cause): (VirtAddr, Cause),
        act: &impl Fn(Pfn) -> T,
    ) -> Option<T> {
        let (id, page) = (space.id(), at.page());
        let mut cached = locked(&self.here().cached);
        let place = &mut cached[(page.0 ^ id.0.wrapping_mul(31)) as usize % CACHED];
        let suits = |known: &Translation| {
            (known.space, known.page) == (id, page) && (known.stores || cause != Cause::Store)
        };
        if let Some(known) = place.filter(suits) {
            return Some(act(known.frame));
        }
        let entry = space.walk(at);
        if !cause.is_allowed_by(entry) {
            return None;
        }
        let stores = Cause::Store.is_allowed_by(entry);
        *place = Some(Translation { space: id, page, frame: entry.pfn(), stores });
        Some(act(entry.pfn()))
    }

    /// The broken invariants that were reported, those that come first.
    pub(crate) fn bugs(&self) -> Vec<Bug> {
        locked(&self.bugs).clone()
    }

    fn here(&self) -> &Cpu {
        &self.cpus[CPU.get()]
    }

    fn bed(&self, word: &AtomicU32) -> &Bed {
        let address = std::ptr::from_ref(word).addr();
        &self.beds[(address >> 2) % BEDS]
    }

    fn forget(&self, space: SpaceId, pages: impl Fn(Vpn) -> bool) {
        for cpu in &self.cpus {
            for place in &mut *locked(&cpu.cached) {
                if place.is_some_and(|known| known.space == space && pages(known.page)) {
                    *place = None;
                }
            }
        }
    }
}

impl Park for Board {
    /// Really asleep, so that a wake-up that is lost is a hang. The look is under the lock that
    /// every `unpark` takes.
    fn park(&self, word: &AtomicU32, seen: u32) {
        let bed = self.bed(word);
        let asleep = locked(&bed.asleep);
        if word.load(Ordering::Acquire) == seen {
            drop(bed.woken.wait(asleep).unwrap_or_else(PoisonError::into_inner));
        }
    }

    fn unpark(&self, word: &AtomicU32) {
        let bed = self.bed(word);
        drop(locked(&bed.asleep));
        bed.woken.notify_all();
    }
}

// SAFETY: tables are the host's. No CPU uses a translation without its lock, and what is looked up
// under it is used or cached under it (INV-BOARD-1): a flush that has had every lock has discarded
// all that was looked up before, and who looks up later sees what was done before the flush. Each
// CPU counts its open walk sections, a full barrier follows the increment, and the wait looks at
// all of them.
unsafe impl Platform for Board {
    type Format = X86_64;

    fn table(&self, frame: Pfn) -> NonNull<AtomicU64> {
        self.host.table(frame)
    }

    fn zero_frame(&self, frame: Pfn) {
        self.host.zero_frame(frame);
    }

    fn is_zero_frame(&self, frame: Pfn) -> bool {
        self.host.is_zero_frame(frame)
    }

    fn copy_frame(&self, from: Pfn, to: Pfn) {
        self.host.copy_frame(from, to);
    }

    fn node(&self) -> NodeId {
        self.node_of(CPU.get())
    }

    fn cpu(&self) -> usize {
        CPU.get()
    }

    fn cpus(&self) -> usize {
        self.cpus.len()
    }

    fn task(&self) -> u32 {
        TASK.with(|task| *task)
    }

    fn flush(&self, space: SpaceId, scope: FlushScope) {
        match scope {
            FlushScope::All => self.forget(space, |_| true),
            FlushScope::Range(range) => self.forget(space, |page| range.contains(page.start())),
        }
    }

    fn flush_local(&self, space: SpaceId, pages: VirtRange) {
        for place in &mut *locked(&self.here().cached) {
            let of =
                |known: &Translation| known.space == space && pages.contains(known.page.start());
            if place.as_ref().is_some_and(of) {
                *place = None;
            }
        }
    }

    fn walk_begin(&self) {
        self.here().walkers.fetch_add(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    fn walk_end(&self) {
        self.here().walkers.fetch_sub(1, Ordering::Release);
    }

    fn wait_for_walkers(&self) {
        for cpu in &self.cpus {
            while cpu.walkers.load(Ordering::Acquire) != 0 {
                thread::yield_now();
            }
        }
    }

    fn event(&self, event: Event) {
        if let Some(ear) = self.ear.get() {
            ear(self.node(), event);
        }
    }

    fn bug(&self, bug: Bug) {
        let mut bugs = locked(&self.bugs);
        if bugs.len() < BUGS {
            bugs.push(bug);
        }
    }
}

impl Words for Board {
    fn words(&self) -> usize {
        WORDS
    }

    fn word(&self, frame: Pfn, at: usize) -> u64 {
        self.word(frame, at).load(Ordering::Relaxed)
    }
}

impl Contents for Board {
    fn copy_out(&self, frame: Pfn, to: &mut PageBytes) {
        self.host.copy_out(frame, to);
    }

    fn fill(&self, frame: Pfn, from: &PageBytes) {
        self.host.fill(frame, from);
    }
}
