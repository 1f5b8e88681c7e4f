//! The machine's memory as one value: frames, rules, counters, the zero page, and the registry of
//! reverse maps. Address spaces share it.

use core::sync::atomic::{AtomicU64 as NativeU64, Ordering};

use crate::addr::{Pfn, SpaceId, Vpn};
use crate::error::{NoMemory, OutOfFrames};
use crate::event::{Bug, Event, EventKind};
use crate::frame::{Dropped, Put};
use crate::frame::{
    Flags, Frames, LowmemReserve, NewFolio, NewFrame, NewFrames, NodeSpan, Placement, SpanError,
    Start, Watermarks, Zone,
};
use crate::platform::Platform;
use crate::pte::{Format, Pte};
use crate::rmap::AnonRegistry;
use crate::rules::large::{Tally, counted_maps, tally};
use crate::rules::{LargeMaps, Ruled, Rules, Switch};
use crate::stat::{AllCounters, Counters, Stats};
use crate::swap::Swaps;
use crate::sync::{self, CellName, EventCount, Shared};

/// How hard the machine tries; numbers, not rules.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tuning {
    /// Passes of one migration attempt over a page that is busy. Linux: 10.
    pub migrate_passes: u32,
    /// The same for an attempt that must not wait, such as a hinting fault's: each pass costs its
    /// flushes. Linux: 3 today, 10 before (facts 4.5).
    pub hint_passes: u32,
    /// Pages that an unmap gathers before it flushes and frees, if the heap has room for their
    /// numbers; at least one. Linux: some 10,000, in batches of about 510 (facts 6.1).
    pub gather_pages: usize,
    /// Frames that pass at a time between a CPU's stock of free frames and its node's lists. A
    /// stock holds two such batches at most, and is used only while the node has more free frames
    /// than all stocks can hold. Zero: no stocks, of the memory of reverse maps neither. Linux: 63,
    /// and a power of two times that for a CPU that goes on taking.
    pub stock_batch: u32,
    /// Pages that a fault which reads a page of a file or of shared memory shows at a time, as far
    /// as they are in memory: the aligned run of so many that holds the page. Linux: 16
    /// (`fault_around_bytes`).
    pub fault_around: u64,
    /// The sizes of the large folios that a first touch of private memory may take, where the area
    /// and its neighbours have room for one: bit n for those of 2^n pages. The largest that fits
    /// and can be had is taken, or a small page. Those of less than 4 pages, of more than a page
    /// table maps, or of more than 2^[`MAX_ORDER`] are left out. Linux: `enabled` set to `always`
    /// for a size.
    ///
    /// [`MAX_ORDER`]: crate::MAX_ORDER
    pub folios_always: u32,
    /// The same for areas with [`crate::Advice::HugePage`], beside those. Linux: `madvise`.
    pub folios_advised: u32,
    /// How a folio is mapped that has as many pages as a last-level table.
    pub pmd_mapping: PmdMapping,
    /// What a read maps where a write would take such a folio.
    pub huge_zero: HugeZero,
    /// Whether reclaim may choose among all private pages and all of files, and how many of them
    /// gather in a CPU's batch before they go to the lists that it chooses from: at most
    /// [`MOST_BATCHED`]. Zero: there are no lists, and memory is taken only from those who offer
    /// it. For at most 2^32 frames. Linux: 15, and 31 since 6.9.
    ///
    /// [`MOST_BATCHED`]: crate::MOST_BATCHED
    pub lru_batch: u32,
    /// Of how many pages at most those lie about one that a fault reads from a swap device and are
    /// read with it, if they are on one: 2^n, as far as those that were read so before were asked
    /// for, and no more than 512; zero: none is. They come to memory and are not mapped. Where
    /// there are no lists, only those who want them or offer their range have them leave again, and
    /// a group that is nearer to its limit than twice as many is charged for none. Of a device that
    /// answers at once ([`crate::Store::device`]) none is read. Linux: 3 (`page-cluster`).
    pub swap_readahead: u32,
    /// How many pages of a span a collapse brings back from swap devices; a span that has more is
    /// left alone. Linux: an eighth of the span's pages for khugepaged, and any number for
    /// MADV_COLLAPSE.
    pub max_ptes_swap: u64,
    /// Whether pages remember their last hinting fault, and move by what that was.
    pub hint_filter: HintFilter,
    /// What becomes of pages of zeros that are merged ([`crate::Merger`]).
    pub use_zero_pages: ZeroPages,
    /// When memory is taken from those lists before there is none left. Of no effect where the
    /// frames have an outside owner, but for what reclaim does.
    pub watermarks: Watermarks,
    /// What zones keep from requests that others could serve as well; nothing, by default.
    pub lowmem_reserve: LowmemReserve,
    /// Pages that somebody who finds no frame takes out of memory, if there are so many: zero is
    /// taken as one. Linux: 32.
    pub reclaim_batch: u32,
    /// How readily private pages leave in place of those of files, where both could: from 0, only
    /// when nothing else can, over 100, as readily, to 200. Linux: 60 (`swappiness`).
    pub swappiness: u32,
}

/// Whether there is a huge zero page (Linux: `use_zero_page`). It is taken as the machine is made,
/// and stays.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HugeZero {
    /// A read maps the zero page, and with it a table, which keeps a write from taking a folio that
    /// one entry maps.
    Off,
    /// A read maps as many zeros as a last-level table has pages, by one entry.
    On,
}

/// Whether a hinting fault moves a page at once to the node that has used it, or by what the fault
/// before it was (rule `numa-filter`; facts 4.8).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HintFilter {
    /// At once: for an embedder that chooses itself what it scans, and when.
    Off,
    /// As in Linux, so that a page which two nodes use does not go to and fro between them. Costs 4
    /// bytes for each frame, and tells private faults from shared ones.
    On,
}

/// Whether the zero page takes the place of pages that hold nothing but zeros, where those may be
/// merged (Linux: `use_zero_pages`). It stays when merging is undone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ZeroPages {
    /// They are merged as any others.
    Off,
    /// It does.
    On,
}

/// Whether one entry of the table above may map as many pages as a last-level table does (a PMD
/// leaf; facts 1.6, 5.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PmdMapping {
    /// A folio of that size gets one entry, and exists only so: a first touch takes it where there
    /// is no table yet. As in Linux.
    On,
    /// Entries map its pages, as those of smaller folios.
    Off,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            migrate_passes: 10,
            hint_passes: 3,
            gather_pages: 10_000,
            stock_batch: 128,
            fault_around: 16,
            folios_always: 0,
            folios_advised: 0,
            pmd_mapping: PmdMapping::On,
            huge_zero: HugeZero::Off,
            lru_batch: 0,
            swap_readahead: 0,
            max_ptes_swap: u64::MAX,
            hint_filter: HintFilter::Off,
            use_zero_pages: ZeroPages::Off,
            watermarks: Watermarks::default(),
            lowmem_reserve: LowmemReserve::default(),
            reclaim_batch: 32,
            swappiness: 60,
        }
    }
}

/// All memory of a machine.
pub struct Memory<P: Platform> {
    platform: P,
    frames: Frames,
    rules: Rules,
    tuning: Tuning,
    counters: AllCounters,
    zero: Pfn,
    huge_zero: Option<Pfn>,
    anon: AnonRegistry,
    swaps: Swaps<P>,
    /// How often an isolation has ended, where somebody may wait for that.
    isolations: EventCount,
    next_space: NativeU64,
    next_object: NativeU64,
}

/// Takes no lock.
impl<P: Platform> core::fmt::Debug for Memory<P> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let mut memory = f.debug_struct("Memory");
        memory.field("frames", &self.frames).field("rules", &format_args!("{}", self.rules));
        memory.field("tuning", &self.tuning).finish_non_exhaustive()
    }
}

/// Why a [`Memory`] could not be made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MemoryError {
    /// The spans do not make a frame table, or the heap cannot hold it.
    Spans(SpanError),
    /// The heap is exhausted.
    NoMemory,
    /// The span has frames whose numbers do not fit the entries of the platform's page tables.
    PastFormat {
        /// The span.
        span: NodeSpan,
        /// The last frame that an entry can name: [`Format::MAX_PFN`].
        last: Pfn,
    },
    /// No frame was left for the zero page, or no run of frames for the huge one.
    OutOfFrames,
}

impl core::fmt::Display for MemoryError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Spans(error) => error.fmt(f),
            Self::NoMemory => NoMemory.fmt(f),
            Self::PastFormat { span, last } => write!(
                f,
                "{span} run past {last}, the last one that a page-table entry can name: \
                 leave out those past it"
            ),
            Self::OutOfFrames => {
                f.write_str("no frames are left for the zero pages: add frames to a node")
            }
        }
    }
}

impl core::error::Error for MemoryError {}

impl From<SpanError> for MemoryError {
    fn from(error: SpanError) -> Self {
        Self::Spans(error)
    }
}

impl From<NoMemory> for MemoryError {
    fn from(NoMemory: NoMemory) -> Self {
        Self::NoMemory
    }
}

impl From<OutOfFrames> for MemoryError {
    fn from(OutOfFrames: OutOfFrames) -> Self {
        Self::OutOfFrames
    }
}

/// Refuses frames whose numbers the format would truncate.
fn fits<F: Format>(span: &NodeSpan) -> Result<(), MemoryError> {
    let last = F::MAX_PFN;
    if span.first.0.saturating_add(span.frames) > last + 1 {
        return Err(MemoryError::PastFormat { span: *span, last: Pfn(last) });
    }
    Ok(())
}

impl<P: Platform> Drop for Memory<P> {
    fn drop(&mut self) {
        // All other frames are back already: everything that holds any shares ownership of the
        // machine.
        if self.frames.has_outside_owner() {
            self.lru_add_drain_all();
            self.frames.resize_pool(0, P::Format::INDEX_BITS, self.frames.first_node());
            self.put(self.zero, 1);
            if let Some(first) = self.huge_zero {
                // SAFETY: `over` has taken and kept it.
                drop(unsafe { NewFrames::kept(&self.frames, first) });
            }
        }
    }
}

impl<P: Platform> Memory<P> {
    /// A machine with the frames of `spans`, under `rules`. One frame becomes the zero page.
    ///
    /// # Errors
    /// When a span does not fit the platform's format or the frame table, and when the heap is
    /// exhausted or no frame is left.
    ///
    /// # Safety
    /// The frames are the caller's to give, for as long as the machine lives: the platform reaches
    /// every one of them, and nobody else, another `Memory` included, reads or writes them, except
    /// devices that hold pins.
    pub unsafe fn new(
        platform: P,
        spans: &[NodeSpan],
        rules: Rules,
        tuning: Tuning,
    ) -> Result<Shared<Self>, MemoryError> {
        spans.iter().try_for_each(fits::<P::Format>)?;
        let frames = Frames::new(spans)?;
        // SAFETY: the caller's promise.
        unsafe { Self::over(platform, frames, rules, tuning) }
    }

    /// A machine with these `frames`, under `rules`. One of them becomes the zero page. The table
    /// may already have been used: an embedder that has no heap yet makes it in memory of its own
    /// ([`crate::FrameSetup`]) and takes the heap's frames from it.
    ///
    /// # Errors
    /// When the table extends past what the platform's format can name, and when the heap is
    /// exhausted or no frame is left.
    ///
    /// # Safety
    /// The free frames are the caller's to give, for as long as the machine lives, as for
    /// [`Memory::new`]; of an outside owner's frames, only those that it hands out, until it gets
    /// them back.
    pub unsafe fn over(
        platform: P,
        mut frames: Frames,
        rules: Rules,
        tuning: Tuning,
    ) -> Result<Shared<Self>, MemoryError> {
        fits::<P::Format>(&frames.extent())?;
        let cpus = platform.cpus();
        let counters = AllCounters::new(cpus)?;
        frames.stock_up(cpus, tuning.stock_batch)?;
        frames.list_up(cpus, tuning.lru_batch)?;
        frames.keep_free(tuning.watermarks, tuning.lowmem_reserve);
        match tuning.hint_filter {
            HintFilter::Off => {}
            HintFilter::On => frames.remember_faults()?,
        }
        let mut anon = AnonRegistry::new();
        if cpus > 1 && tuning.stock_batch > 0 {
            anon.stock_up(cpus)?;
        }
        let near = Placement::Prefer(frames.first_node());
        let zero = frames.alloc(near, Flags::ZERO, Start::Held)?.keep();
        platform.zero_frame(zero);
        let huge_zero = match tuning.huge_zero {
            HugeZero::Off => None,
            HugeZero::On => {
                let run = frames.take_run(P::Format::INDEX_BITS, near, Zone::Any)?;
                run.pfns().for_each(|pfn| platform.zero_frame(pfn));
                Some(run.keep())
            }
        };
        let this = Self {
            platform,
            frames,
            rules,
            tuning,
            counters,
            zero,
            huge_zero,
            anon,
            swaps: Swaps::new(),
            isolations: EventCount::new(),
            next_space: NativeU64::new(1),
            next_object: NativeU64::new(1),
        };
        let this = Shared::try_leasable(this, cpus)?;
        this.anon.label();
        let isolations = this.isolations.word();
        sync::label(&raw const *isolations, size_of_val(isolations), |_| CellName::Object {
            object: "machine",
            index: 0,
            cell: "isolations",
        });
        this.frames.label_lists();
        Ok(this)
    }

    /// The platform below it.
    #[inline]
    pub fn platform(&self) -> &P {
        &self.platform
    }

    /// The frame table.
    #[inline]
    pub fn frames(&self) -> &Frames {
        &self.frames
    }

    /// The rules in force. Tells the platform that each of them was asked for
    /// ([`Platform::asked`]): who needs one asks for [`Memory::rule`].
    #[inline]
    pub fn rules(&self) -> &Rules {
        Switch::ALL.iter().for_each(|&switch| self.platform.asked(switch));
        &self.rules
    }

    /// The rule in force of one type.
    #[inline]
    pub fn rule<R: Ruled>(&self) -> R {
        self.platform.asked(R::SWITCH);
        R::of(&self.rules)
    }

    /// The tuning in force.
    #[inline]
    pub fn tuning(&self) -> &Tuning {
        &self.tuning
    }

    /// What all CPUs have counted until now: exact when nothing runs.
    pub fn stats(&self) -> Stats {
        self.counters.total()
    }

    /// The counters of the calling CPU.
    #[inline]
    pub(crate) fn counters(&self) -> &Counters {
        self.counters_of(self.platform.cpu())
    }

    /// The counters of the CPU with this number.
    #[inline]
    pub(crate) fn counters_of(&self, cpu: usize) -> &Counters {
        self.counters.of(cpu)
    }

    /// The zero page.
    #[inline]
    pub fn zero_page(&self) -> Pfn {
        self.zero
    }

    /// The first frame of the huge zero page, if there is one: as many as a table has entries.
    #[inline]
    pub fn huge_zero_page(&self) -> Option<Pfn> {
        self.huge_zero
    }

    /// Whether a frame is part of the huge zero page.
    pub fn is_huge_zero(&self, pfn: Pfn) -> bool {
        let pages = P::Format::ENTRIES as u64;
        self.huge_zero.is_some_and(|first| (first.0..first.0 + pages).contains(&pfn.0))
    }

    /// Copies so many frames, one after the other, from the first of these on to the second's.
    pub(crate) fn copy_frames(&self, from: Pfn, to: Pfn, frames: u64) {
        for further in 0..frames {
            self.platform.copy_frame(Pfn(from.0 + further), Pfn(to.0 + further));
        }
    }

    /// Zeroes a new folio.
    pub(crate) fn zero_folio(&self, folio: &NewFolio<'_>) {
        folio.pfns().for_each(|pfn| self.platform.zero_frame(pfn));
    }

    pub(crate) fn anon(&self) -> &AnonRegistry {
        &self.anon
    }

    /// The swap devices.
    #[inline]
    pub(crate) fn swaps(&self) -> &Swaps<P> {
        &self.swaps
    }

    /// Who waits for a folio that another has isolated looks again. Nobody does where no memory is
    /// set apart for what can move.
    #[inline]
    pub(crate) fn isolation_ended(&self) {
        if self.frames.has_movable() {
            self.isolations.advance(&self.platform);
        }
    }

    /// How often an isolation has ended.
    pub(crate) fn isolations(&self) -> &EventCount {
        &self.isolations
    }

    pub(crate) fn next_space(&self) -> SpaceId {
        let id = self.next_space.fetch_add(1, Ordering::Relaxed);
        sync::saw(id);
        SpaceId(id)
    }

    /// The number of a new object, in traces.
    pub(crate) fn next_object(&self) -> u64 {
        let number = self.next_object.fetch_add(1, Ordering::Relaxed);
        sync::saw(number);
        number
    }

    #[inline]
    pub(crate) fn tell(&self, space: SpaceId, page: Vpn, kind: EventKind) {
        self.platform.event(Event { space, at: page.start(), kind });
    }

    /// As [`Memory::tell`], for each page that a huge entry maps, of which these are the first.
    pub(crate) fn tell_each(
        &self,
        space: SpaceId,
        (page, head): (Vpn, Pfn),
        kind: impl Fn(Pfn) -> EventKind,
    ) {
        for further in 0..P::Format::ENTRIES as u64 {
            self.tell(space, page + further, kind(Pfn(head.0 + further)));
        }
    }

    /// As [`Memory::tell`], for what happens to a frame regardless of its mappings: space 0 at
    /// address 0.
    #[inline]
    pub(crate) fn tell_frame(&self, kind: EventKind) {
        self.tell(SpaceId(0), Vpn(0), kind);
    }

    /// A new frame near the calling CPU.
    #[inline]
    pub(crate) fn alloc_local(
        &self,
        flags: Flags,
        start: Start,
    ) -> Result<NewFrame<'_>, OutOfFrames> {
        let at = (self.platform.cpu(), self.platform.node());
        self.frames.alloc_near(at, flags, start)
    }

    /// Adds references to a page that an entry maps whose table is locked, or that is not part of
    /// a large folio.
    #[inline]
    pub(crate) fn get(&self, pfn: Pfn, refs: u32) {
        self.frames.get(pfn, refs, || self.rule());
    }

    /// Drops references on a page; the last one frees its folio.
    #[inline]
    pub(crate) fn put(&self, pfn: Pfn, refs: u32) {
        let Some(page) = self.frames.small(pfn) else { return self.put_large(pfn, refs) };
        self.after_put(pfn, page.put(refs));
    }

    #[inline(never)]
    fn put_large(&self, pfn: Pfn, refs: u32) {
        self.after_drop(self.frames.put_large(pfn, refs, self.rule()));
    }

    /// Drops the caller's reference of a small page that nothing maps, if it is the only one, and
    /// with it the page's life; whether it is.
    pub(crate) fn put_alone(&self, pfn: Pfn) -> bool {
        let alone = self.frames.page(pfn).put_alone();
        if alone {
            self.free(pfn);
        }
        alone
    }

    /// Drops references that this frame counts by itself: those of entries, which a head counts.
    pub(crate) fn put_own(&self, pfn: Pfn, refs: u32) {
        self.after_put(pfn, self.frames.folio(pfn).put(refs));
    }

    /// Drops a reference on each page of a run of a large folio's.
    #[inline(never)]
    pub(crate) fn put_run(&self, first: Pfn, pages: u32) {
        match tally(self.rule()) {
            Tally::Head => self.put(first, pages),
            Tally::HeadAndTail | Tally::HeadAndMapcount => {
                (first.0..first.0 + u64::from(pages)).for_each(|pfn| self.put(Pfn(pfn), 1));
            }
        }
    }

    /// As [`Memory::after_put`], of a page that is part of a large folio, or was.
    pub(crate) fn after_drop(&self, dropped: Dropped) {
        if let Some((pfn, put)) = dropped.meanwhile {
            self.after_put(pfn, put);
        }
        let (pfn, put) = dropped.of;
        self.after_put(pfn, put);
    }

    /// What a large folio counts of the entries that map its pages.
    #[inline]
    pub(crate) fn large_maps(&self) -> LargeMaps {
        counted_maps(self.rule(), self.rule())
    }

    /// Does what is left to do after references of a folio were dropped.
    #[inline]
    pub(crate) fn after_put(&self, head: Pfn, put: Put) {
        match put {
            Put::Held => {}
            Put::Last => self.free(head),
            Put::Underflow => self.platform.bug(Bug::RefUnderflow(head)),
        }
    }

    #[inline(never)]
    fn free(&self, head: Pfn) {
        if self.frames.counts_as(head, |counts| counts.maps() != 0) {
            self.platform.bug(Bug::FreedWhileMapped(head));
        }
        if !self.frames.is_settled(head) {
            self.settle(head);
        }
        let cpu = self.platform.cpu();
        self.counters.of(cpu).pgfree.add(1);
        self.tell_frame(EventKind::Freed(head));
        self.frames.release_at(cpu, head);
    }

    /// Whether a folio that is to be freed has left locks in memory, or references on its tails,
    /// which is a bug.
    #[cold]
    fn settle(&self, head: Pfn) {
        if self.frames.take_locks(head) != 0 {
            self.freed_while_locked(head);
        }
        let left = self.frames.large(head).and_then(|folio| folio.left_on_tail(self.rule()));
        if let Some(tail) = left {
            self.platform.bug(Bug::FreedWhileReferenced(tail));
        }
    }

    /// A mapping of `space` that was taken out no longer maps its page, and is no longer counted
    /// there as one of a locked area.
    #[inline]
    pub(crate) fn drop_mapping(&self, old: Pte<P::Format>, space: SpaceId) {
        self.drop_map(old.pfn(), space);
        if old.is_locked() {
            self.munlock(old.pfn());
        }
    }
}
