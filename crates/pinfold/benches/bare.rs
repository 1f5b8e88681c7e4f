//! The limit: the smallest loops of loads and locked operations that do the counting and the entry
//! updates of an operation, and nothing else.
//!
//! They know no folios, locks, rules, areas, walks or events, and refuse nothing that could happen
//! on a machine with a second CPU. What they share with the library is what the protocol demands of
//! any implementation: the layout of 32 bytes a frame with references and mappings in one word,
//! full ordering of each change, and the order of the steps. So the ratio to them is the price of
//! everything else.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use pinfold::{Format, PIN_BIAS, Pfn, X86_64};

const MAP: u64 = 1 << 32;
const EXCLUSIVE: u64 = 1 << 63;
const FRAME_SHIFT: u32 = 12;
const TABLE: usize = X86_64::ENTRIES;
const WRITABLE: u64 = X86_64::WRITABLE.set;
const WRITE: u64 = WRITABLE & !X86_64::READABLE.set;

/// A bit of a frame's flags.
const LOCKED: u32 = 1;
/// What takes an entry's place while its folio is split.
const MIGRATION: u64 = 1 << 1;

/// Another one.
const WRITEBACK: u32 = 2;

/// Pages that leave together, as in the kernel and the library.
const CLUSTER: usize = 32;

/// What pages are that are swapped out.
#[derive(Clone, Copy)]
pub(crate) enum Swapped {
    /// They have to be written.
    Dirty,
    /// They are in the swap cache, as their slots have them.
    Clean,
}

/// A frame's words, as far from the next frame's as the library's.
#[derive(Default)]
#[repr(C, align(32))]
struct Frame {
    counts: AtomicU64,
    flags: AtomicU32,
    home: AtomicU64,
    index: AtomicU64,
}

/// Entries and frames without anything around them.
pub(crate) struct Bare {
    entries: Vec<AtomicU64>,
    child: Vec<AtomicU64>,
    /// The entries above: one for each run of as many pages as a table has entries.
    upper: Vec<AtomicU64>,
    frames: Vec<Frame>,
    taken: Vec<u64>,
    /// The frame of each page's slot of a swap device.
    slots: Vec<AtomicU64>,
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
            upper: pages.chunks(TABLE).map(|_| AtomicU64::new(0)).collect(),
            frames: (0..frames).map(|_| Frame::default()).collect(),
            taken: Vec::with_capacity(pages.len()),
            slots: pages.iter().map(|_| AtomicU64::new(0)).collect(),
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

    /// Gives the child the same entries as those that stay, and each frame one reference and one
    /// mapping, or the first frame of each run of `pages` those of all.
    pub(crate) fn fill(&self, pages: usize) {
        for (entry, child) in self.entries.iter().zip(&self.child) {
            child.store(entry.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        for run in self.entries.chunks(pages) {
            for entry in run {
                self.frame(entry.load(Ordering::Relaxed)).store(0, Ordering::Relaxed);
            }
            let all = ((1 + MAP) * pages as u64) | EXCLUSIVE;
            self.frame(run[0].load(Ordering::Relaxed)).store(all, Ordering::Relaxed);
        }
    }

    /// Whether the child has no entry, or as many as there are pages.
    pub(crate) fn child_is(&self, empty: bool) -> bool {
        self.child.iter().all(|entry| (entry.load(Ordering::Relaxed) == 0) == empty)
    }

    /// Collapse of the child's tables: lock each page, and compare its references with its
    /// mappings; copy all; unlock them; take each entry out, and its mapping and reference off; one
    /// entry for all of them. `copy` is told the number of the page.
    #[inline(never)]
    pub(crate) fn collapse(&self, copy: impl Fn(usize)) {
        let (full, relaxed) = (Ordering::SeqCst, Ordering::Relaxed);
        for ((table, upper), number) in self.child.chunks(TABLE).zip(&self.upper).zip(0..) {
            for entry in table {
                let frame = &self.frames[frame_of(entry.load(Ordering::Acquire)) as usize];
                frame.flags.fetch_or(LOCKED, full);
                let counts = frame.counts.load(relaxed);
                if counts as u32 != ((counts & !EXCLUSIVE) / MAP) as u32 {
                    return;
                }
            }
            // Without a locked operation between two of them: each waits for the copy's stores.
            (0..table.len()).for_each(|place| copy(number * TABLE + place));
            for entry in table {
                // The address of the words must not wait for the exchange.
                let frame = &self.frames[frame_of(entry.load(relaxed)) as usize];
                frame.flags.fetch_and(!LOCKED, full);
                entry.swap(0, full);
                frame.counts.fetch_sub(1 + MAP, full);
            }
            upper.store(WRITABLE, Ordering::Release);
        }
    }

    /// Split of one entry a table: take it out, write an entry for each page, and its mark; name
    /// the table.
    #[inline(never)]
    pub(crate) fn split_entries(&self) {
        for ((table, own), upper) in
            self.child.chunks(TABLE).zip(self.entries.chunks(TABLE)).zip(&self.upper)
        {
            upper.swap(MIGRATION, Ordering::SeqCst);
            let first = own[0].load(Ordering::Relaxed);
            for (entry, place) in table.iter().zip(0..) {
                entry.store(first + (place << FRAME_SHIFT), Ordering::Relaxed);
            }
            for place in 1..table.len() as u64 {
                self.frame(first + (place << FRAME_SHIFT)).store(EXCLUSIVE, Ordering::Relaxed);
            }
            upper.store(WRITABLE, Ordering::Release);
        }
    }

    /// Split of the child's folios of so many pages: exchange each entry, and take all mappings and
    /// references off at once; take the last one away; make a page of each frame, with its lock;
    /// put each entry back, with a mapping and a reference; unlock each page, and drop the split's
    /// own reference.
    #[inline(never)]
    pub(crate) fn split_folios(&self, pages: usize) {
        for (run, own) in self.child.chunks(pages).zip(self.entries.chunks(pages)) {
            let (full, relaxed) = (Ordering::SeqCst, Ordering::Relaxed);
            for entry in run {
                entry.swap(MIGRATION, full);
            }
            let head = own[0].load(relaxed);
            let counts = self.frame(head);
            let left = counts.fetch_sub((1 + MAP) * (pages as u64 - 1), full);
            let last = left - (1 + MAP) * (pages as u64 - 1);
            if counts.compare_exchange(last, 0, full, relaxed).is_err() {
                return;
            }
            let frames =
                own.iter().map(|entry| &self.frames[frame_of(entry.load(relaxed)) as usize]);
            for (frame, place) in frames.clone().zip(0..) {
                frame.flags.store(LOCKED, relaxed);
                frame.home.store(head, relaxed);
                frame.index.store(place, relaxed);
                frame.counts.store(1, Ordering::Release);
            }
            for ((entry, own), frame) in run.iter().zip(own).zip(frames.clone()) {
                frame.counts.fetch_add((1 + MAP) | EXCLUSIVE, full);
                entry.store(own.load(relaxed), Ordering::Release);
            }
            for frame in frames {
                frame.flags.fetch_and(!LOCKED, full);
                frame.counts.fetch_sub(1, full);
            }
        }
    }

    /// Swap-out, in batches: lock the page, and hold it for the swap cache and for the operation;
    /// exchange the entry, and take its mapping and reference off; after the batch, where the flush
    /// would stand, write it, if it is dirty; take the last references if they are the last; unlock
    /// it. Slots are words that nobody else looks at.
    #[inline(never)]
    pub(crate) fn swap_out(&self, pages: Swapped) {
        let (full, relaxed) = (Ordering::SeqCst, Ordering::Relaxed);
        // One that was swapped in is in the swap cache already.
        let more = match pages {
            Swapped::Dirty => 2,
            Swapped::Clean => 1,
        };
        for (batch, slots) in self.entries.chunks(CLUSTER).zip(self.slots.chunks(CLUSTER)) {
            for (entry, slot) in batch.iter().zip(slots) {
                let bits = entry.load(Ordering::Acquire);
                let frame = &self.frames[frame_of(bits) as usize];
                frame.flags.fetch_or(LOCKED, full);
                frame.counts.fetch_add(more, full);
                slot.store(frame_of(bits), relaxed);
            }
            for entry in batch {
                let bits = entry.load(relaxed);
                let counts = self.frame(bits);
                let mark = counts.load(relaxed) & EXCLUSIVE;
                entry.swap(bits & X86_64::FRAME | MIGRATION, full);
                counts.fetch_sub(mark + MAP + 1, full);
            }
            for entry in batch {
                let frame = &self.frames[frame_of(entry.load(relaxed)) as usize];
                if let Swapped::Dirty = pages {
                    frame.flags.fetch_or(WRITEBACK, full);
                    frame.flags.fetch_and(!WRITEBACK, full);
                }
                if frame.counts.compare_exchange(2, 0, full, relaxed).is_err() {
                    return;
                }
                frame.flags.fetch_and(!LOCKED, full);
            }
        }
    }

    /// Swap-in, page by page: a locked frame that nobody knows goes into the swap cache; the entry,
    /// its mapping and its reference; unlock the page, and drop the operation's own reference.
    #[inline(never)]
    pub(crate) fn swap_in(&self) {
        let full = Ordering::SeqCst;
        for (entry, slot) in self.entries.iter().zip(&self.slots) {
            let bits = entry.load(Ordering::Acquire);
            let frame = &self.frames[frame_of(bits) as usize];
            frame.flags.store(LOCKED, Ordering::Relaxed);
            frame.counts.store(2, Ordering::Relaxed);
            slot.store(frame_of(bits), Ordering::Release);
            frame.counts.fetch_add(1 + MAP, full);
            entry.store(bits & X86_64::FRAME | WRITABLE & !WRITE, Ordering::Release);
            frame.flags.fetch_and(!LOCKED, full);
            frame.counts.fetch_sub(1, full);
        }
    }
}
