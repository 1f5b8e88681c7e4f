//! The limit: the smallest loops of loads and locked operations that do the counting and the entry
//! updates of an operation, and nothing else.
//!
//! They know no folios, locks, rules, areas, walks or events, and refuse nothing that could happen
//! on a machine with a second CPU. What they share with the library is what the protocol demands of
//! any implementation: the layout of 32 bytes a frame with references and mappings in one word,
//! full ordering of each change, and the order of the steps. So the ratio to them is the price of
//! everything else.

use std::sync::atomic::{AtomicU64, Ordering};

use pinfold::{Format, PIN_BIAS, Pfn, X86_64};

const MAP: u64 = 1 << 32;
const EXCLUSIVE: u64 = 1 << 63;
const FRAME_SHIFT: u32 = 12;
const TABLE: usize = X86_64::ENTRIES;
const WRITABLE: u64 = X86_64::WRITABLE.set;
const WRITE: u64 = WRITABLE & !X86_64::READABLE.set;

/// A frame's count word, as far from the next as the library's.
#[repr(C, align(32))]
struct Frame {
    counts: AtomicU64,
}

/// Entries and frames without anything around them.
pub(crate) struct Bare {
    entries: Vec<AtomicU64>,
    child: Vec<AtomicU64>,
    frames: Vec<Frame>,
    taken: Vec<u64>,
}

const fn frame_of(entry: u64) -> u64 {
    (entry & X86_64::FRAME) >> FRAME_SHIFT
}

impl Bare {
    /// Writable entries for these frames, each mapped once and exclusive.
    pub(crate) fn mirror(pages: &[Pfn]) -> Self {
        let frames = pages.iter().map(|pfn| pfn.0 + 1).max().unwrap_or(0);
        let bare = Self {
            entries: pages
                .iter()
                .map(|pfn| AtomicU64::new((pfn.0 << FRAME_SHIFT) | WRITABLE))
                .collect(),
            child: pages.iter().map(|_| AtomicU64::new(0)).collect(),
            frames: (0..frames).map(|_| Frame { counts: AtomicU64::new(0) }).collect(),
            taken: Vec::with_capacity(pages.len()),
        };
        bare.restore();
        bare
    }

    fn frame(&self, entry: u64) -> &AtomicU64 {
        &self.frames[frame_of(entry) as usize].counts
    }

    /// Sets entries and counts as [`Bare::mirror`] does.
    pub(crate) fn restore(&self) {
        for entry in &self.entries {
            let bits = entry.load(Ordering::Relaxed) | WRITE;
            entry.store(bits, Ordering::Relaxed);
            self.frame(bits).store(1 | MAP | EXCLUSIVE, Ordering::Relaxed);
        }
    }

    /// Whether every frame's references and mappings are these.
    pub(crate) fn has(&self, refs: u64, maps: u64) -> bool {
        self.entries.iter().all(|entry| {
            let counts = self.frame(entry.load(Ordering::Relaxed)).load(Ordering::Relaxed);
            counts & !EXCLUSIVE == refs + maps * MAP
        })
    }

    /// Pin: read the entry, add to the count unless the frame is free, read the entry again, write
    /// the frame down.
    #[inline(never)]
    pub(crate) fn pin(&mut self) {
        self.taken.clear();
        for entry in &self.entries {
            let bits = entry.load(Ordering::Acquire);
            if bits & WRITABLE != WRITABLE {
                return;
            }
            let counts = &self.frames[frame_of(bits) as usize].counts;
            let seen = counts.load(Ordering::Relaxed);
            let more = seen + u64::from(PIN_BIAS);
            let (full, none) = (Ordering::SeqCst, Ordering::Relaxed);
            let taken = counts.compare_exchange(seen, more, full, none).is_ok();
            if seen as u32 == 0 || !taken || entry.load(Ordering::Relaxed) != bits {
                return;
            }
            self.taken.push(frame_of(bits));
        }
    }

    /// Unpin: one streaming locked addition a page.
    #[inline(never)]
    pub(crate) fn unpin(&mut self) {
        for frame in &self.taken {
            let counts = &self.frames[*frame as usize].counts;
            counts.fetch_sub(u64::from(PIN_BIAS), Ordering::SeqCst);
        }
    }

    /// Fork: read the entry, change the counts and the mark at once, take the write right off the
    /// entry, write the child's.
    #[inline(never)]
    pub(crate) fn fork(&self) {
        for (entry, child) in self.entries.iter().zip(&self.child) {
            let bits = entry.load(Ordering::Acquire);
            let counts = self.frame(bits);
            let mark = counts.load(Ordering::Relaxed) & EXCLUSIVE;
            counts.fetch_add((1 + MAP).wrapping_sub(mark), Ordering::SeqCst);
            entry.fetch_and(!WRITE, Ordering::SeqCst);
            child.store(bits & !WRITE, Ordering::Release);
        }
    }

    /// Zap of the child's entries: exchange the entry, take the mapping off; after each table,
    /// where the flush would stand, the references.
    #[inline(never)]
    pub(crate) fn zap(&mut self) {
        for table in self.child.chunks(TABLE) {
            self.taken.clear();
            for entry in table {
                // The address of the count must not wait for the exchange.
                let counts = self.frame(entry.load(Ordering::Relaxed));
                let bits = entry.swap(0, Ordering::SeqCst);
                counts.fetch_sub(MAP, Ordering::SeqCst);
                self.taken.push(frame_of(bits));
            }
            for frame in &self.taken {
                self.frames[*frame as usize].counts.fetch_sub(1, Ordering::SeqCst);
            }
        }
    }
}
