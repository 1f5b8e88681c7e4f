//! All frames of a machine, by number.

use alloc::vec::Vec;
use core::fmt;
use core::sync::atomic::Ordering;

use super::counts::{Counts, MAP};
use super::flags::{Flags, HOME_MASK, node_of, order_of, zone_of};
use super::last::LastFaults;
use super::lru::Lru;
use super::meta::{Frame, Metadata};
use super::pool::Pool;
use super::queue::Queue;
use super::source::FrameSource;
use super::span::NodeSpan;
use super::stock::Stocks;
use super::store::Store;
use super::views::{Folio, Page, Table};
use super::zones::{MOVABLE, Wanted};
use crate::addr::{NodeId, Pfn, Vpn};
use crate::charge::{Charges, Counted, GroupId, Tally};
use crate::error::NoMemory;
use crate::rmap::Home;
use crate::sync::{AtomicU32, Class, SpinLock};

/// All frames of a machine.
pub struct Frames {
    pub(super) store: Store,
    pub(super) first_node: NodeId,
    /// Who owns the free frames, if not the lists in `store`.
    pub(super) outside: Option<&'static dyn FrameSource>,
    /// The CPUs' stocks of free frames, if there are any.
    pub(super) stocks: Option<Stocks>,
    /// Who is charged for the frames.
    pub(super) charges: Charges,
    /// Large folios that are mapped in part.
    pub(super) queue: Queue,
    /// Huge pages that were set aside.
    pub(super) pool: Pool,
    /// The lists that reclaim chooses from, if there are any.
    pub(super) lru: Option<Lru>,
    /// Who took the last hinting fault on each page, if anybody wants to know.
    pub(super) last_faults: Option<LastFaults>,
    /// Whether there is either, so that something is forgotten where a frame's life ends.
    pub(super) forgets: bool,
    /// Whether memory is set apart for what can move.
    pub(super) movable: bool,
    /// The part of it that contiguous requests take back.
    pub(super) cma: Vec<NodeSpan>,
    /// What all nodes are to keep free.
    pub(super) wanted: Wanted,
    /// Whether that is anything.
    pub(super) is_bounded: bool,
    /// Whether somebody is taking memory out: see `offline`.
    pub(super) leaving: SpinLock<bool>,
}

/// Takes no lock: the numbers that the table covers, holes included.
impl fmt::Debug for Frames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let base = self.metadata().base();
        let all = Pfn(base)..Pfn(base + self.metadata().all().len() as u64);
        f.debug_struct("Frames").field("all", &all).finish_non_exhaustive()
    }
}

impl Frames {
    /// Whether the table has such a frame.
    #[inline]
    pub fn contains(&self, pfn: Pfn) -> bool {
        self.metadata().contains(pfn)
    }

    /// All frame numbers of the table, holes included.
    pub fn all(&self) -> impl Iterator<Item = Pfn> {
        let metadata = self.metadata();
        (metadata.base()..metadata.base() + metadata.all().len() as u64).map(Pfn)
    }

    #[inline]
    pub(super) fn metadata(&self) -> &Metadata {
        self.store.metadata()
    }

    /// The metadata of `pfn`; panics as [`Metadata::frame`].
    #[inline]
    pub(super) fn frame(&self, pfn: Pfn) -> &Frame {
        self.metadata().frame(pfn)
    }

    /// What an entry maps: a page of its own, or any frame of a large folio.
    #[inline]
    pub(crate) fn page(&self, pfn: Pfn) -> Page<'_> {
        Page::of(self.frame(pfn))
    }

    /// A page table.
    #[inline]
    pub(crate) fn table(&self, pfn: Pfn) -> Table<'_> {
        Table::of(self.frame(pfn))
    }

    /// The folio that `pfn` belongs to.
    #[inline]
    pub(crate) fn folio(&self, pfn: Pfn) -> Folio<'_> {
        let frame = self.frame(pfn);
        match frame.head() {
            None => Folio::of(pfn, frame),
            Some(head) => Folio::of(head, self.frame(head)),
        }
    }

    /// The current counts of a frame. Of a tail: its own, which hold nothing but the exclusive
    /// mark.
    #[inline]
    pub fn counts(&self, pfn: Pfn) -> Counts {
        Counts(self.frame(pfn).counts.read_once())
    }

    /// As [`Frames::counts`], for who compares them with those that he knows of, and finds no
    /// other: what everybody did who had one comes before what the caller does next.
    #[inline]
    pub(crate) fn counts_acquire(&self, pfn: Pfn) -> Counts {
        Counts(self.frame(pfn).counts.load_acquire())
    }

    /// As [`Frames::counts`]; the caller learns what `look` makes of them.
    #[inline]
    pub(crate) fn counts_as<C: Class>(&self, pfn: Pfn, look: impl Fn(Counts) -> C) -> C {
        self.frame(pfn).counts.read_once_as(|bits| look(Counts(bits)))
    }

    /// As [`Frames::counts`], while nothing else runs: not a step of an exploration.
    pub(crate) fn peek_counts(&self, pfn: Pfn) -> Counts {
        let frame = self.frame(pfn);
        let counts = frame.counts.peek();
        // The rest of a table's word is no count (`deposit`).
        let table = frame.flags.peek() & Flags::TABLE.bits() != 0;
        Counts(if table { counts % MAP } else { counts })
    }

    /// The current flags of a frame.
    #[inline]
    pub fn flags(&self, pfn: Pfn) -> Flags {
        Flags::from_bits_truncate(self.frame(pfn).flags.read_once())
    }

    /// The word that counts the locked entries of a page's folio.
    #[inline]
    pub(crate) fn locks(&self, pfn: Pfn) -> &AtomicU32 {
        let frame = self.frame(pfn);
        if frame.is_large() { self.large_of(self.head_of(pfn)).locks() } else { &frame.spare }
    }

    /// How many locked entries map a page's folio, while nothing else runs: not a step of an
    /// exploration. Of a page table, or a large folio of the embedder's own, whose words have
    /// another use, none.
    pub(crate) fn peek_locks(&self, pfn: Pfn) -> u32 {
        let flags = self.peek_flags(pfn);
        if flags.contains(Flags::TABLE) {
            0
        } else if flags.intersects(Flags::LARGE) {
            if flags.contains(Flags::ANON) { self.locks(pfn).peek() } else { 0 }
        } else {
            self.frame(pfn).spare.peek()
        }
    }

    /// Whether a folio that nobody holds any more counts no locked entries and is in no queue.
    #[inline]
    pub(crate) fn is_settled(&self, pfn: Pfn) -> bool {
        let frame = self.frame(pfn);
        frame.spare.peek() == 0 && frame.flags.peek() & Flags::HEAD.bits() == 0
    }

    /// As [`Frames::peek_locks`], of a folio that nobody holds any more; from now on there is none.
    pub(crate) fn take_locks(&self, pfn: Pfn) -> u32 {
        let locks = self.peek_locks(pfn);
        if locks != 0 {
            self.locks(pfn).init(0);
        }
        locks
    }

    /// Whether a frame is part of a large folio. The caller has a reference.
    #[inline]
    pub(crate) fn is_large(&self, pfn: Pfn) -> bool {
        self.frame(pfn).is_large()
    }

    /// The head of the large folio that a page is part of, if it is. An entry maps the page whose
    /// table is locked, so this does not change (INV-LARGE-3): not a step of an exploration.
    #[inline]
    pub(crate) fn mapped_head(&self, pfn: Pfn) -> Option<Pfn> {
        let large = self.frame(pfn).flags.fixed(Flags::LARGE.bits()) != 0;
        large.then(|| self.head_of(pfn))
    }

    /// As [`Frames::flags`], while nothing else runs: not a step of an exploration.
    pub(crate) fn peek_flags(&self, pfn: Pfn) -> Flags {
        Flags::from_bits_truncate(self.frame(pfn).flags.peek())
    }

    /// The node on which a frame lies.
    #[inline]
    pub fn node(&self, pfn: Pfn) -> NodeId {
        node_of(self.frame(pfn).flags.fixed(HOME_MASK))
    }

    /// Whether memory is set apart for what can move ([`crate::FrameSetup::movable`],
    /// [`crate::FrameSetup::cma`]).
    #[inline]
    pub fn has_movable(&self) -> bool {
        self.movable
    }

    /// Whether a frame is of that memory.
    pub fn is_movable(&self, pfn: Pfn) -> bool {
        zone_of(self.frame(pfn).flags.fixed(HOME_MASK)) == MOVABLE
    }

    /// Whether a frame is of memory that contiguous requests take back
    /// ([`crate::FrameSetup::cma`]): such a frame is of the memory for what can move, too. One that
    /// was taken out for good and is there again by [`Frames::add`] is not.
    pub fn is_cma(&self, pfn: Pfn) -> bool {
        self.meets_cma(pfn, 1)
    }

    /// Whether one of some frames that follow each other is of that memory.
    pub(crate) fn meets_cma(&self, first: Pfn, frames: u64) -> bool {
        let meets = |span: &NodeSpan| first.0 < span.end() && span.first.0 < first.0 + frames;
        self.cma.iter().any(meets) && self.is_movable(first)
    }

    /// From the first frame of the table to the last, holes included, as if all were of the first
    /// span's node.
    pub(crate) fn extent(&self) -> NodeSpan {
        let (first, frames) = (Pfn(self.metadata().base()), self.metadata().all().len() as u64);
        NodeSpan { node: self.first_node, first, frames }
    }

    /// The node of the first span.
    pub(crate) fn first_node(&self) -> NodeId {
        self.first_node
    }

    /// Whether the free frames belong to an outside owner.
    pub(crate) fn has_outside_owner(&self) -> bool {
        self.outside.is_some()
    }

    /// The frame whose lock is that of a page which nothing keeps alive: its folio's head, as far
    /// as can be told. A page that is no tail any more was locked by itself before it ceased to be
    /// one.
    pub(crate) fn locked_by(&self, pfn: Pfn) -> Pfn {
        self.tail_of(pfn).map_or(pfn, |(head, _)| head)
    }

    /// From where those who may map the page are found, and the number that it has in all their
    /// address spaces. The caller has a reference.
    #[inline]
    pub(crate) fn place(&self, pfn: Pfn) -> (Home, Vpn) {
        let head = self.folio(pfn).head();
        let page = self.page(head);
        // The numbers of a family may wrap within a folio: its memory may have moved upwards since.
        (page.home(), Vpn(page.index().0.wrapping_add(pfn.0 - head.0)))
    }

    /// The head of the folio that `pfn` belongs to: itself for a small one.
    #[inline]
    pub(crate) fn head_of(&self, pfn: Pfn) -> Pfn {
        self.folio(pfn).head()
    }

    /// log2 of the number of frames in the folio whose head is `head`.
    pub fn order(&self, head: Pfn) -> u32 {
        order_of(self.frame(head).flags.read_once())
    }

    /// Sets the dirty mark; the flags before. Full ordering. [`Memory::mark_dirty`] is for users.
    ///
    /// [`Memory::mark_dirty`]: crate::Memory::mark_dirty
    #[inline]
    pub(crate) fn mark_dirty(&self, pfn: Pfn) -> Flags {
        Flags::from_bits_truncate(self.frame(pfn).flags.fetch_or(Flags::DIRTY.bits()))
    }

    /// The contents of an anonymous page, which is in no swap cache, are not needed: they may go,
    /// unless the page is stored to from now on. The caller has its lock.
    pub(crate) fn free_lazily(&self, pfn: Pfn) {
        self.frame(pfn).flags.fetch_and(!Flags::DIRTY.bits());
        self.frame(pfn).flags.fetch_or(Flags::LAZY_FREE.bits());
    }

    /// They are needed again. The caller has the page's lock.
    pub(crate) fn keep_contents(&self, pfn: Pfn) {
        self.frame(pfn).flags.fetch_and(!Flags::LAZY_FREE.bits());
    }

    /// Says that the contents of an object's page are there. Full ordering: who sees it
    /// ([`Frames::is_uptodate`]) sees the contents.
    pub(crate) fn mark_uptodate(&self, pfn: Pfn) {
        self.frame(pfn).flags.fetch_or(Flags::UPTODATE.bits());
    }

    /// Has nobody map an object's page from now on, whose lock the caller has, and whose list for
    /// writing.
    pub(crate) fn hide(&self, pfn: Pfn) {
        self.frame(pfn).flags.fetch_and(!Flags::UPTODATE.bits());
    }

    /// Whether an object's page may be mapped: its contents are there, and are not on their way to
    /// a swap device.
    #[inline]
    pub(crate) fn is_uptodate(&self, pfn: Pfn) -> bool {
        self.frame(pfn).flags.load_acquire() & Flags::UPTODATE.bits() != 0
    }

    /// Says which object, by the word that names it, has a page as which of its pages: before the
    /// page is in its list.
    pub(crate) fn set_owner(&self, pfn: Pfn, (object, index): (u64, u64)) {
        let frame = self.frame(pfn);
        // An exploration does not see the word, which is an address: the flag, which it sees, is
        // set afterwards and is looked at before.
        frame.mapping.native().store(object, Ordering::Relaxed);
        frame.index.init(index);
    }

    /// What [`Frames::set_owner`] was told: of a page whose lock the caller holds and that has the
    /// flag `CACHED`, which was set afterwards.
    pub(crate) fn owner(&self, pfn: Pfn) -> (u64, u64) {
        let frame = self.frame(pfn);
        (frame.mapping.native().load(Ordering::Relaxed), frame.index.peek())
    }

    /// The page is in the list of its object from now on. Full ordering.
    pub(crate) fn cache(&self, pfn: Pfn) {
        self.frame(pfn).flags.fetch_or(Flags::CACHED.bits());
    }

    /// One page of an object takes the place of another, with what that is marked as, but for its
    /// charge: the locks of both and the object's list are held. Full ordering.
    pub(crate) fn replace_cached(&self, from: Pfn, to: Pfn) {
        self.set_owner(to, self.owner(from));
        let was = self.uncache(from);
        let kept = Flags::DIRTY | Flags::FILE | Flags::UPTODATE | Flags::CACHED;
        self.frame(to).flags.fetch_or((was & kept).bits());
    }

    /// Whether it is a page of a file that is newer than its store.
    pub(crate) fn is_dirty_file(&self, pfn: Pfn) -> bool {
        self.flags(pfn).contains(Flags::FILE | Flags::DIRTY)
    }

    /// The page leaves its object; the flags before.
    pub(crate) fn uncache(&self, pfn: Pfn) -> Flags {
        let frame = self.frame(pfn);
        let was = Flags::from_bits_truncate(frame.flags.fetch_and(!Flags::CACHED.bits()));
        frame.mapping.native().store(0, Ordering::Relaxed);
        was
    }

    /// A page of a file is being written to its store and not dirty any more, in one step; the
    /// flags before. The caller holds its lock and has seen the mark, which nobody else takes off.
    /// Full ordering.
    pub(crate) fn begin_writeback(&self, pfn: Pfn) -> Flags {
        let turned = Flags::WRITEBACK.bits() - Flags::DIRTY.bits();
        let was = Flags::from_bits_truncate(self.frame(pfn).flags.fetch_add(turned));
        debug_assert!(was.contains(Flags::DIRTY) && !was.contains(Flags::WRITEBACK));
        was
    }

    /// That is over, and the page is clean, or dirty again. Full ordering.
    pub(crate) fn end_writeback(&self, pfn: Pfn) {
        self.frame(pfn).flags.fetch_and(!Flags::WRITEBACK.bits());
    }

    /// The page is in the swap cache from now on, and has these flags, too. Full ordering.
    pub(crate) fn enter_swap_cache(&self, pfn: Pfn, with: Flags) {
        self.frame(pfn).flags.fetch_or(Flags::SWAP_CACHE.union(with).bits());
    }

    /// The page is not there any more. Full ordering.
    pub(crate) fn leave_swap_cache(&self, pfn: Pfn) {
        self.frame(pfn).flags.fetch_and(!Flags::SWAP_CACHE.bits());
    }

    /// A group is charged for the page from now on.
    pub(crate) fn mark_charged(&self, pfn: Pfn) {
        self.frame(pfn).flags.fetch_or(Flags::CHARGED.bits());
    }

    /// A page that is not part of a large folio.
    #[inline]
    pub(crate) fn small(&self, pfn: Pfn) -> Option<Folio<'_>> {
        let frame = self.frame(pfn);
        (!frame.is_large()).then(|| Folio::of(pfn, frame))
    }

    /// A small page, unless a group is charged for it or it is in the swap cache.
    #[inline]
    pub(crate) fn plain_folio(&self, pfn: Pfn) -> Option<Folio<'_>> {
        let (frame, other) = (self.frame(pfn), Flags::LARGE_OR_SWAPPED.union(Flags::CHARGED));
        let plain = frame.flags.read_once() & other.bits() == 0;
        plain.then(|| Folio::of(pfn, frame))
    }

    /// Who is charged for the frames.
    #[inline(always)]
    pub(crate) fn charges(&self) -> &Charges {
        &self.charges
    }

    /// A group of at most `limit` pages.
    ///
    /// # Errors
    /// When the heap is exhausted.
    pub(crate) fn found_group(&self, limit: u64) -> Result<GroupId, NoMemory> {
        let metadata = self.metadata();
        self.charges.found((metadata.base(), metadata.all().len()), limit)
    }

    /// What a group counts of a page that is not part of a large folio. The caller has a reference.
    pub(crate) fn tally(&self, pfn: Pfn) -> Tally {
        let page = self.page(pfn);
        let (flags, locked) = (page.flags(), self.locks(pfn).read_once() != 0);
        tally(flags, page.counts_as(|counts| counts.maps() != 0), locked)
    }

    /// As [`Frames::tally`], while nothing else runs: not a step of an exploration.
    pub(crate) fn peek_tally(&self, pfn: Pfn) -> Tally {
        let (flags, locked) = (self.peek_flags(pfn), self.peek_locks(pfn) != 0);
        // All pages of a large folio count as mapped, or as locked, while one is.
        let counts = self.peek_large(pfn).map_or(pfn, |folio| folio.head);
        tally(flags, self.peek_counts(counts).maps() != 0, locked)
    }
}

/// What a group counts of a page.
fn tally(flags: Flags, mapped: bool, locked: bool) -> Tally {
    let counted = Counted {
        mapped,
        anon: flags.contains(Flags::ANON),
        cached: flags.contains(Flags::CACHED) && !flags.contains(Flags::ANON),
        file: flags.contains(Flags::FILE),
        dirty: flags.contains(Flags::DIRTY),
        locked,
    };
    counted.tally()
}
