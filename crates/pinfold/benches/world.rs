//! The machine that is measured: the mock's frames under four-level tables, with contents or
//! without.

use std::cell::Cell;
use std::hint::black_box;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64 as AtomicWord, Ordering, fence};

use pinfold::mock::Host;
use pinfold::platform::{FlushScope, Park};
use pinfold::sync::{AtomicU64, Shared};
use pinfold::{
    AddressSpace, Cause, Counts, Fault, Format, Limits, Memory, NodeId, NodeSpan, Pfn, Place,
    Placement, Platform, PmdMapping, Prot, Rules, Sharing, SpaceId, Tuning, VirtAddr, VirtRange,
    X86_64,
};

/// Steps of the wait that stands for the interrupt of a flush of all CPUs: each is three dependent
/// shifts and exclusive ors, so that all take about 18 us at 3 GHz, as long as a remote flush of
/// the kernel on a small machine.
const FLUSH_STEPS: u32 = 9_000;

/// Whether flushes cost nothing.
static FREE_FLUSHES: AtomicBool = AtomicBool::new(false);

/// What a flush of all CPUs costs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flush {
    Free,
    /// As long as interrupts to the other CPUs take.
    Interrupt,
}

/// What flushes cost from now on.
pub(crate) fn flushes_are(flush: Flush) {
    FREE_FLUSHES.store(flush == Flush::Free, Ordering::Relaxed);
}

/// What a flush of all CPUs costs its caller.
#[inline(never)]
fn interrupt_every_cpu() {
    if FREE_FLUSHES.load(Ordering::Relaxed) {
        return;
    }
    black_box((0..FLUSH_STEPS).fold(1_u64, |state, _| mixed(state)));
}

/// The next state of a generator of pseudo-random numbers (xorshift).
fn mixed(mut state: u64) -> u64 {
    state ^= state << 13;
    state ^= state >> 7;
    state ^ (state << 17)
}

/// Whether frames are filled.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Contents {
    /// Clearing and copying do nothing, so that a fault is its bookkeeping.
    Skipped,
    /// They are done as fast as the machine can.
    Real,
}

/// In which order pages get their frames.
#[derive(Clone, Copy)]
pub(crate) enum Order {
    /// Neighbours in the address space are neighbours in the frame table.
    Ascending,
    /// Frames lie anywhere.
    Scattered,
}

/// How many CPUs the machine has.
pub(crate) const CPUS: usize = 4;

thread_local! {
    /// The CPU that the thread stands for.
    static CPU: Cell<usize> = const { Cell::new(0) };
}

/// The calling thread stands for this CPU from now on, outside walk sections.
pub(crate) fn run_on(cpu: usize) {
    CPU.set(cpu % CPUS);
}

/// What one CPU counts, on cache lines of its own.
#[derive(Default)]
#[repr(align(128))]
struct Cpu {
    /// Its open sections.
    walkers: AtomicU32,
    flushes: AtomicWord,
}

/// The mock with a choice of contents, and with several CPUs.
pub(crate) struct Machine {
    host: Host<X86_64>,
    contents: Contents,
    cpus: [Cpu; CPUS],
}

impl Machine {
    /// The number of flushes of all CPUs so far.
    pub(crate) fn flushes(&self) -> u64 {
        self.cpus.iter().map(|cpu| cpu.flushes.load(Ordering::Relaxed)).sum()
    }

    /// The CPU that the calling thread stands for.
    #[inline]
    fn here(&self) -> &Cpu {
        &self.cpus[CPU.get()]
    }

    /// Fills the caches with frames that nobody needs.
    pub(crate) fn evict(&self, frames: &[Pfn]) {
        frames.iter().for_each(|frame| self.zero_frame(*frame));
    }

    /// The first word of a frame.
    pub(crate) fn word(&self, frame: Pfn) -> &AtomicWord {
        self.host.word(frame, 0)
    }
}

impl Park for Machine {
    fn park(&self, word: &AtomicU32, seen: u32) {
        self.host.park(word, seen);
    }

    fn unpark(&self, word: &AtomicU32) {
        self.host.unpark(word);
    }
}

// SAFETY: all that soundness rests on is the mock's, but for the sections: each CPU counts its own,
// a full barrier follows the increment, and the wait looks at all. Only one thread uses a machine
// with contents, so plain copies race with nobody.
unsafe impl Platform for Machine {
    type Format = X86_64;

    fn table(&self, frame: Pfn) -> NonNull<AtomicU64> {
        self.host.table(frame)
    }

    fn zero_frame(&self, frame: Pfn) {
        if self.contents == Contents::Real {
            // SAFETY: a frame is as large as a table, and nobody else reaches it.
            unsafe { self.host.table(frame).write_bytes(0, X86_64::ENTRIES) };
        }
    }

    fn copy_frame(&self, from: Pfn, to: Pfn) {
        if self.contents == Contents::Real {
            let (from, to) = (self.host.table(from), self.host.table(to));
            // SAFETY: two frames do not overlap, and nobody else reaches them.
            unsafe { from.copy_to_nonoverlapping(to, X86_64::ENTRIES) };
        }
    }

    fn flush(&self, _: SpaceId, _: FlushScope) {
        self.here().flushes.fetch_add(1, Ordering::SeqCst);
        interrupt_every_cpu();
    }

    fn flush_local(&self, space: SpaceId, page: VirtRange) {
        self.host.flush_local(space, page);
    }

    #[inline]
    fn cpu(&self) -> usize {
        CPU.get()
    }

    fn cpus(&self) -> usize {
        CPUS
    }

    #[inline]
    fn walk_begin(&self) {
        self.here().walkers.fetch_add(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    #[inline]
    fn walk_end(&self) {
        self.here().walkers.fetch_sub(1, Ordering::Release);
    }

    fn wait_for_walkers(&self) {
        for cpu in &self.cpus {
            while cpu.walkers.load(Ordering::Acquire) != 0 {
                std::hint::spin_loop();
            }
        }
    }
}

/// A process of that machine with one private mapping.
pub(crate) struct World {
    pub(crate) memory: Shared<Memory<Machine>>,
    pub(crate) space: AddressSpace<Machine>,
    pub(crate) range: VirtRange,
}

/// Frames for page tables and the zero page.
const OVERHEAD: u64 = 512;

impl World {
    /// A mapping of `pages` pages, none touched, on a machine with `frames` frames for them.
    pub(crate) fn new(pages: u64, frames: u64, contents: Contents) -> Self {
        Self::under(Rules::default(), pages, frames, contents)
    }

    /// As [`World::new`], under these rules.
    pub(crate) fn under(rules: Rules, pages: u64, frames: u64, contents: Contents) -> Self {
        Self::made(rules, Tuning::default(), pages, &[frames + OVERHEAD], contents)
    }

    /// As [`World::new`], on a machine whose node `n` has `nodes[n]` frames.
    pub(crate) fn on_nodes(pages: u64, nodes: &[u64], contents: Contents) -> Self {
        Self::made(Rules::default(), Tuning::default(), pages, nodes, contents)
    }

    /// As [`World::new`], on a machine that has lists of its pages.
    pub(crate) fn listed(pages: u64, frames: u64, contents: Contents) -> Self {
        let tuning = Tuning { lru_batch: 31, ..Tuning::default() };
        Self::made(Rules::default(), tuning, pages, &[frames + OVERHEAD], contents)
    }

    /// A mapping of `pages` pages, all written once, in folios of 2^`order` pages that are mapped
    /// so.
    pub(crate) fn of_folios(pages: u64, order: u32, pmd_mapping: PmdMapping) -> Self {
        let tuning = Tuning { folios_always: 1 << order, pmd_mapping, ..Tuning::default() };
        let frames = [pages + OVERHEAD];
        let world = Self::made(Rules::default(), tuning, pages, &frames, Contents::Skipped);
        for offset in world.offsets().step_by(1 << order) {
            let fault = world.space.fault(world.address(offset), Cause::Store);
            assert_eq!(fault, Ok(Fault::FirstTouch));
        }
        assert_eq!(world.memory.stats().thp_fault_alloc, pages >> order);
        world
    }

    fn made(rules: Rules, tuning: Tuning, pages: u64, nodes: &[u64], contents: Contents) -> Self {
        let host = Host::new(nodes.iter().sum::<u64>() as usize);
        let mut first = 0;
        let spans: Vec<NodeSpan> = (0..)
            .zip(nodes)
            .map(|(node, frames)| {
                let span = NodeSpan { node: NodeId(node), first: Pfn(first), frames: *frames };
                first += frames;
                span
            })
            .collect();
        let machine = Machine { host, contents, cpus: Default::default() };
        // SAFETY: the spans are the machine's own frames, and it was made for this world.
        let memory = unsafe { Memory::new(machine, &spans, rules, tuning) }
            .expect("the heap holds the frame table");
        Self::process(memory, pages)
    }

    /// Another process of the same machine, with a mapping of its own as large as this one's.
    pub(crate) fn beside(&self) -> Self {
        Self::process(self.memory.clone(), self.range.pages())
    }

    fn process(memory: Shared<Memory<Machine>>, pages: u64) -> Self {
        let space = AddressSpace::new(&memory, Limits::of_format::<X86_64>())
            .expect("there is a frame for the root");
        let at = Place::At(VirtAddr(1 << 40));
        let range = space.map(at, pages, Prot::READ_WRITE, Sharing::Private).expect("a free place");
        Self { memory, space, range }
    }

    /// As [`World::new`], all pages written once.
    pub(crate) fn touched(pages: u64, frames: u64, contents: Contents, order: Order) -> Self {
        let world = Self::new(pages, frames, contents);
        world.touch(order);
        world
    }

    /// Writes every page once.
    pub(crate) fn touch(&self, order: Order) {
        let mut offsets: Vec<u64> = self.offsets().collect();
        if let Order::Scattered = order {
            shuffle(&mut offsets);
        }
        for offset in offsets {
            let fault = self.space.fault(self.address(offset), Cause::Store);
            assert_eq!(fault, Ok(Fault::FirstTouch));
        }
    }

    pub(crate) fn address(&self, offset: u64) -> VirtAddr {
        (self.range.first_page() + offset).start()
    }

    pub(crate) fn offsets(&self) -> impl Iterator<Item = u64> {
        0..self.range.pages()
    }

    /// The frames that are mapped.
    pub(crate) fn frames(&self) -> Vec<Pfn> {
        self.offsets().map(|offset| self.space.entry(self.address(offset)).pfn()).collect()
    }

    /// Frames that belong to nobody else, for good.
    pub(crate) fn spare(&self, frames: u64) -> Vec<Pfn> {
        let anywhere = Placement::Prefer(NodeId(0));
        let alloc = || self.memory.frames().take(anywhere);
        (0..frames).map(|_| alloc().expect("the machine has spare frames").keep()).collect()
    }

    /// Writes to every page that fork has left read-only, after the child has gone.
    pub(crate) fn make_writable(&self) {
        for offset in self.offsets() {
            let at = self.address(offset);
            // One fault is enough for all that one entry maps.
            if !self.space.walk(at).is_writable() {
                assert_eq!(self.space.fault(at, Cause::Store), Ok(Fault::Reused));
            }
        }
    }

    /// Panics unless each of `frames` is counted like that: a benchmark that did not do the work is
    /// no benchmark.
    pub(crate) fn check_counts(&self, frames: &[Pfn], good: impl Fn(Counts) -> bool) {
        for pfn in frames {
            let counts = self.memory.frames().counts(*pfn);
            assert!(good(counts), "{pfn} has {counts}");
        }
    }
}

/// The same order in every run.
fn shuffle(values: &mut [u64]) {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for i in (1..values.len()).rev() {
        state = mixed(state);
        values.swap(i, (state % (i as u64 + 1)) as usize);
    }
}
