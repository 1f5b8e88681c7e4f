//! The machine that is measured: the mock's frames under four-level tables, with contents or
//! without.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64 as AtomicWord};

use pinfold::mock::Host;
use pinfold::platform::{FlushScope, Park};
use pinfold::sync::{AtomicU64, Shared};
use pinfold::{
    AddressSpace, Cause, Counts, Fault, Format, Limits, Memory, NodeId, NodeSpan, Pfn, Place,
    Placement, Platform, Prot, Rules, Sharing, SpaceId, Tuning, VirtAddr, VirtRange, X86_64,
};

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

/// The mock with a choice of contents.
pub(crate) struct Machine {
    host: Host<X86_64>,
    contents: Contents,
}

impl Machine {
    pub(crate) fn flushes(&self) -> u64 {
        self.host.flushes()
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

// SAFETY: all that soundness rests on is the mock's; one thread uses the machine, so plain copies
// race with nobody.
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

    fn flush(&self, space: SpaceId, scope: FlushScope) {
        self.host.flush(space, scope);
    }

    fn flush_local(&self, space: SpaceId, page: VirtRange) {
        self.host.flush_local(space, page);
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
        let frames = frames + OVERHEAD;
        let host = Host::new(frames as usize);
        let span = NodeSpan { node: NodeId(0), first: Pfn(0), frames };
        let machine = Machine { host, contents };
        // SAFETY: the span is the machine's own frames, and it was made for this world.
        let memory = unsafe { Memory::new(machine, &[span], Rules::default(), Tuning::default()) }
            .expect("the heap holds the frame table");
        let space = AddressSpace::new(&memory, Limits::of_format::<X86_64>())
            .expect("there is a frame for the root");
        let at = Place::At(VirtAddr(1 << 40));
        let range = space.map(at, pages, Prot::READ_WRITE, Sharing::Private).expect("a free place");
        Self { memory, space, range }
    }

    /// As [`World::new`], all pages written once.
    pub(crate) fn touched(pages: u64, frames: u64, contents: Contents, order: Order) -> Self {
        let world = Self::new(pages, frames, contents);
        let mut offsets: Vec<u64> = (0..pages).collect();
        if let Order::Scattered = order {
            shuffle(&mut offsets);
        }
        for offset in offsets {
            let fault = world.space.fault(world.address(offset), Cause::Store);
            assert_eq!(fault, Ok(Fault::FirstTouch));
        }
        world
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
            let fault = self.space.fault(self.address(offset), Cause::Store);
            assert_eq!(fault, Ok(Fault::Reused));
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
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        values.swap(i, (state % (i as u64 + 1)) as usize);
    }
}
