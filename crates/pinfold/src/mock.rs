//! A platform over ordinary heap memory: for tests, benches and first steps.
//!
//! ```
//! use pinfold::{AddressSpace, Cause, Limits, Memory, NodeId, NodeSpan, Pfn, Place, Prot, Rules};
//! use pinfold::{Sharing, Tuning, X86_64, mock::Host};
//!
//! let span = NodeSpan { node: NodeId(0), first: Pfn(0), frames: 64 };
//! // SAFETY: the host has these frames, and nobody else uses it.
//! let memory = unsafe {
//!     Memory::new(Host::<X86_64>::new(64), &[span], Rules::default(), Tuning::default())?
//! };
//! let space = AddressSpace::new(&memory, Limits::of_format::<X86_64>())?;
//! let range = space.map(Place::Anywhere, 4, Prot::READ_WRITE, Sharing::Private)?;
//! space.fault(range.start(), Cause::Store)?;
//! assert!(space.entry(range.start()).is_writable());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU8, AtomicU32, AtomicU64 as NativeU64, Ordering, fence};

use crate::addr::SpaceId;
use crate::addr::{NodeId, PAGE_SIZE, Pfn, VirtRange};
use crate::platform::{Contents, FlushScope, PageBytes, Park, Platform, Words};
use crate::pte::Format;
use crate::sync::AtomicU64;

const WORDS: usize = PAGE_SIZE as usize / size_of::<u64>();

/// The contents of a frame.
#[repr(C, align(4096))]
struct Page([NativeU64; WORDS]);

/// A machine whose frames are heap pages and whose CPUs cache nothing. Threads that wait spin.
pub struct Host<F: Format> {
    first: u64,
    pages: Box<[Page]>,
    node: AtomicU8,
    task: AtomicU32,
    walkers: AtomicU32,
    flushes: NativeU64,
    format: PhantomData<F>,
}

impl<F: Format> Host<F> {
    /// A machine with the frames 0 up to `frames`.
    pub fn new(frames: usize) -> Self {
        Self::starting_at(Pfn(0), frames)
    }

    /// A machine with so many frames from this one on: across 4 GiB, for instance.
    pub fn starting_at(first: Pfn, frames: usize) -> Self {
        let page = || Page([const { NativeU64::new(0) }; WORDS]);
        Self {
            first: first.0,
            pages: (0..frames).map(|_| page()).collect::<Vec<_>>().into_boxed_slice(),
            node: AtomicU8::new(0),
            task: AtomicU32::new(0),
            walkers: AtomicU32::new(0),
            flushes: NativeU64::new(0),
            format: PhantomData,
        }
    }

    /// Lets the calling threads run on `node` from now on.
    pub fn run_on(&self, node: NodeId) {
        self.node.store(node.0, Ordering::Relaxed);
    }

    /// Lets the calling threads run for task `task` from now on.
    pub fn run_for(&self, task: u32) {
        self.task.store(task, Ordering::Relaxed);
    }

    /// The number of flushes of all CPUs so far.
    pub fn flushes(&self) -> u64 {
        self.flushes.load(Ordering::Relaxed)
    }

    /// Word `word` of a frame, as a CPU or device sees it.
    ///
    /// # Panics
    /// When there is no such frame or word.
    pub fn word(&self, frame: Pfn, word: usize) -> &NativeU64 {
        &self.page(frame).0[word]
    }

    fn page(&self, frame: Pfn) -> &Page {
        &self.pages[(frame.0 - self.first) as usize]
    }
}

impl<F: Format> fmt::Debug for Host<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").field("frames", &self.pages.len()).finish_non_exhaustive()
    }
}

impl<F: Format> Park for Host<F> {
    fn park(&self, word: &AtomicU32, seen: u32) {
        while word.load(Ordering::Acquire) == seen {
            core::hint::spin_loop();
        }
    }

    fn unpark(&self, _word: &AtomicU32) {}
}

// SAFETY: pages never move while the host lives and hold 512 words, at least `ENTRIES`; no CPU
// caches a translation, so every flush is complete at once; `wait_for_walkers` waits until the
// count of open sections has been zero, and a full barrier follows the increment of the count.
unsafe impl<F: Format> Platform for Host<F> {
    type Format = F;

    fn table(&self, frame: Pfn) -> NonNull<AtomicU64> {
        NonNull::from(self.page(frame)).cast()
    }

    fn zero_frame(&self, frame: Pfn) {
        for word in &self.page(frame).0 {
            word.store(0, Ordering::Relaxed);
        }
    }

    fn is_zero_frame(&self, frame: Pfn) -> bool {
        self.page(frame).0.iter().all(|word| word.load(Ordering::Relaxed) == 0)
    }

    fn copy_frame(&self, from: Pfn, to: Pfn) {
        let (from, to) = (&self.page(from).0, &self.page(to).0);
        for (from, to) in from.iter().zip(to) {
            to.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }

    fn node(&self) -> NodeId {
        NodeId(self.node.load(Ordering::Relaxed))
    }

    fn task(&self) -> u32 {
        self.task.load(Ordering::Relaxed)
    }

    fn flush(&self, _space: SpaceId, _scope: FlushScope) {
        self.flushes.fetch_add(1, Ordering::SeqCst);
    }

    fn flush_local(&self, _space: SpaceId, _page: VirtRange) {}

    fn walk_begin(&self) {
        self.walkers.fetch_add(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    fn walk_end(&self) {
        self.walkers.fetch_sub(1, Ordering::Release);
    }

    fn wait_for_walkers(&self) {
        while self.walkers.load(Ordering::Acquire) != 0 {
            core::hint::spin_loop();
        }
    }
}

impl<F: Format> Words for Host<F> {
    fn words(&self) -> usize {
        WORDS
    }

    fn word(&self, frame: Pfn, at: usize) -> u64 {
        self.page(frame).0[at].load(Ordering::Relaxed)
    }
}

impl<F: Format> Contents for Host<F> {
    fn copy_out(&self, frame: Pfn, to: &mut PageBytes) {
        let words = self.page(frame).0.iter();
        for (bytes, word) in to.chunks_exact_mut(size_of::<u64>()).zip(words) {
            bytes.copy_from_slice(&word.load(Ordering::Relaxed).to_ne_bytes());
        }
    }

    fn fill(&self, frame: Pfn, from: &PageBytes) {
        let (bytes, _) = from.as_chunks();
        for (word, bytes) in self.page(frame).0.iter().zip(bytes) {
            word.store(u64::from_ne_bytes(*bytes), Ordering::Relaxed);
        }
    }
}
