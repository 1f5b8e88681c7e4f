//! Taking frames and giving them back: what happens to a frame's metadata between two lives.
//!
//! The frames come from the manager's own free lists (`buddy`) or from an outside owner (`source`).
//! Either can run out, and says so.

use core::fmt;

use super::buddy::{self, MAX_ORDER, Node, NodeLock};
use super::counts::{EXCLUSIVE, MAP, REF};
use super::flags::{Flags, HOME_MASK, LAST_ORDER, node_of, order_bits, order_of, zone_of};
use super::frames::Frames;
use super::meta::Frame;
use super::source::{FrameSource, Placement, Request, Zone};
use super::views::Page;
use super::zones::{Wmark, zones_for};
use crate::addr::{NodeId, Pfn};
use crate::charge::{Change, Stat};
use crate::error::OutOfFrames;

const _: () = assert!(MAX_ORDER <= LAST_ORDER);

/// What of a flag word outlives a folio.
const LASTING: u32 = HOME_MASK | Flags::HUGETLB.bits();

/// The counts that a new frame starts with. They are set in one store: from then on a lock-free
/// walker with a stale entry may add to them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Start {
    /// One reference.
    Held,
    /// One reference, one mapping, exclusive: a private page that an entry is going to map.
    Mapped,
}

impl Start {
    const fn counts(self) -> u64 {
        match self {
            Self::Held => REF,
            Self::Mapped => REF | MAP | EXCLUSIVE,
        }
    }
}

/// Where a frame with these flags may lie.
fn zone_for(flags: Flags) -> Zone {
    if flags.intersects(Flags::MOVES) { Zone::Movable } else { Zone::Any }
}

/// A frame with one reference that nobody else knows of yet; goes back to its node on drop.
#[must_use]
pub struct NewFrame<'a> {
    frames: &'a Frames,
    pfn: Pfn,
    start: Start,
}

impl fmt::Debug for NewFrame<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("NewFrame").field(&self.pfn).finish()
    }
}

impl NewFrame<'_> {
    /// Its number.
    #[inline]
    pub fn pfn(&self) -> Pfn {
        self.pfn
    }

    /// The page that it will become.
    #[inline]
    pub(crate) fn page(&self) -> Page<'_> {
        self.frames.page(self.pfn)
    }

    /// Hands the one reference to the caller.
    #[inline]
    pub fn keep(self) -> Pfn {
        let pfn = self.pfn;
        core::mem::forget(self);
        pfn
    }
}

impl<'a> NewFrame<'a> {
    /// The frame that [`NewFrame::keep`] handed out, to be given back.
    ///
    /// # Panics
    /// When `frames` has no such frame.
    ///
    /// # Safety
    /// The frame came from [`Frames::take`] of the same `frames`, was kept, and is given back once.
    pub unsafe fn kept(frames: &'a Frames, pfn: Pfn) -> Self {
        assert!(frames.contains(pfn), "{pfn} is not one of these frames");
        Self { frames, pfn, start: Start::Held }
    }
}

impl Drop for NewFrame<'_> {
    fn drop(&mut self) {
        if self.start == Start::Mapped {
            self.frames.frame(self.pfn).counts.fetch_sub(MAP);
            self.frames.uncount_mapped(self.pfn);
        }
        self.frames.drop_unused(self.pfn, 1);
    }
}

/// A run of contiguous frames with one reference that nobody else knows of yet; goes back whole on
/// drop.
///
/// More than one frame is a large folio: references and pins of any of them are counted on the
/// first.
#[must_use]
pub struct NewFrames<'a> {
    frames: &'a Frames,
    first: Pfn,
}

impl fmt::Debug for NewFrames<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, order) = (self.first, self.order());
        f.debug_struct("NewFrames").field("first", &first).field("order", &order).finish()
    }
}

impl NewFrames<'_> {
    /// The first frame: a multiple of their number.
    #[inline]
    pub fn first(&self) -> Pfn {
        self.first
    }

    /// log2 of the number of frames.
    #[inline]
    pub fn order(&self) -> u32 {
        self.frames.order(self.first)
    }

    /// All of them.
    pub fn pfns(&self) -> impl Iterator<Item = Pfn> + use<> {
        (self.first.0..self.first.0 + (1 << self.order())).map(Pfn)
    }

    /// Hands the one reference to the caller: the first frame.
    #[inline]
    pub fn keep(self) -> Pfn {
        let first = self.first;
        core::mem::forget(self);
        first
    }
}

impl<'a> NewFrames<'a> {
    /// The run that [`NewFrames::keep`] handed out, to be given back. The frame table knows how
    /// long it is.
    ///
    /// # Panics
    /// When `frames` has no such frame.
    ///
    /// # Safety
    /// The run came from [`Frames::take_run`] of the same `frames`, was kept, and is given back
    /// once.
    pub unsafe fn kept(frames: &'a Frames, first: Pfn) -> Self {
        assert!(frames.contains(first), "{first} is not one of these frames");
        Self { frames, first }
    }
}

impl Drop for NewFrames<'_> {
    fn drop(&mut self) {
        self.frames.drop_unused(self.first, 1);
    }
}

impl Frames {
    /// Takes a free frame for the embedder's own use: a kernel's table, a buffer. Its contents are
    /// unspecified.
    ///
    /// # Errors
    /// When the placement leaves no free frame.
    pub fn take(&self, placement: Placement) -> Result<NewFrame<'_>, OutOfFrames> {
        self.alloc(placement, Flags::empty(), Start::Held)
    }

    /// Takes `1 << order` contiguous free frames, the first one at a multiple of their number, for
    /// the embedder's own use: a device's rings, a huge page. Their contents are unspecified.
    ///
    /// Without an outside owner this may walk over the single free frames of a node to merge them,
    /// a bounded number under one hold of the node's lock.
    ///
    /// # Errors
    /// When the placement leaves no such run in the zone, or when `order` exceeds [`MAX_ORDER`].
    pub fn take_run(
        &self,
        order: u32,
        placement: Placement,
        zone: Zone,
    ) -> Result<NewFrames<'_>, OutOfFrames> {
        self.obtain(Request { order, placement, zone }).map(|first| self.begin_run(first, order))
    }

    /// As [`Frames::take_run`], for one who can reclaim: what is below `min` stays.
    ///
    /// # Errors
    /// The same; also when there is such a run, but it is not to be taken.
    pub(crate) fn take_run_above_min(
        &self,
        order: u32,
        placement: Placement,
        zone: Zone,
    ) -> Result<NewFrames<'_>, OutOfFrames> {
        let request = Request { order, placement, zone };
        self.obtain_within(request, Wmark::Min).map(|first| self.begin_run(first, order))
    }

    fn begin_run(&self, first: Pfn, order: u32) -> NewFrames<'_> {
        if order > 0 {
            self.form_folio(first, order);
        }
        self.begin(first, Flags::empty(), order, Start::Held);
        NewFrames { frames: self, first }
    }

    /// Takes a free frame, with `flags` set and the counts of `start`. Pages that can move may come
    /// from memory that is set apart for such.
    ///
    /// # Errors
    /// When the placement leaves no free frame.
    pub(crate) fn alloc(
        &self,
        placement: Placement,
        flags: Flags,
        start: Start,
    ) -> Result<NewFrame<'_>, OutOfFrames> {
        let zone = zone_for(flags);
        self.alloc_from(placement, zone, flags, start)
    }

    /// As [`Frames::alloc`], from the zone that the caller says.
    ///
    /// # Errors
    /// When the placement leaves no free frame there.
    pub(crate) fn alloc_from(
        &self,
        placement: Placement,
        zone: Zone,
        flags: Flags,
        start: Start,
    ) -> Result<NewFrame<'_>, OutOfFrames> {
        let pfn = self.obtain(Request { order: 0, placement, zone })?;
        self.begin(pfn, flags, 0, start);
        Ok(NewFrame { frames: self, pfn, start })
    }

    /// Begins a frame's life. The counts come last: they let lock-free walkers in.
    #[inline]
    fn begin(&self, pfn: Pfn, flags: Flags, order: u32, start: Start) {
        let frame = self.frame(pfn);
        let large = if order > 0 { Flags::HEAD.bits() | order_bits(order) } else { 0 };
        frame.flags.write_once(flags.bits() | large | frame.flags.fixed(HOME_MASK));
        frame.spare.init(0);
        frame.counts.write_once(start.counts());
    }

    /// Makes all but the first of `1 << order` free frames tails. A walker that sees the flag sees
    /// the head's number, too.
    fn form_folio(&self, head: Pfn, order: u32) {
        for pfn in (head.0 + 1..head.0 + (1 << order)).map(Pfn) {
            let frame = self.frame(pfn);
            frame.index.write_once(head.0);
            let home = frame.flags.fixed(HOME_MASK);
            frame.flags.store_release(Flags::TAIL.bits() | home);
        }
    }

    /// A free run, from the owner of the frames.
    #[inline]
    pub(super) fn obtain(&self, request: Request) -> Result<Pfn, OutOfFrames> {
        let Request { order, placement, zone } = request;
        if let Some(source) = self.outside {
            return self.obtain_outside(source, request);
        }
        if self.is_bounded {
            return self.obtain_within(request, Wmark::None);
        }
        let (Placement::Only(node) | Placement::Prefer(node)) = placement;
        let near = self.store.nodes().get(usize::from(node.0));
        if let Some(first) = near.and_then(|near| self.take_of(near, node, (order, zone))) {
            return Ok(first);
        }
        match placement {
            Placement::Only(_) => Err(OutOfFrames),
            Placement::Prefer(_) => self.obtain_elsewhere(node, order, zone).ok_or(OutOfFrames),
        }
    }

    /// A free run of the node with this lock and number.
    #[inline]
    fn take_of(&self, lock: &NodeLock, id: NodeId, what: (u32, Zone)) -> Option<Pfn> {
        let (order, zone) = what;
        let usable = |_: &Node| zones_for(zone);
        buddy::take(lock, self.metadata(), (order, usable), |node| self.recall(node, id))
    }

    /// A free run where marks and reserves are kept, no deeper than this mark: see `zones`. Stocks
    /// are recalled where the request can go no deeper.
    #[inline(never)]
    pub(super) fn obtain_within(
        &self,
        request: Request,
        deepest: Wmark,
    ) -> Result<Pfn, OutOfFrames> {
        let Request { order, placement, zone } = request;
        if let Some(source) = self.outside {
            return self.obtain_outside(source, request);
        }
        let (Placement::Only(near) | Placement::Prefer(near)) = placement;
        let nodes = self.store.nodes();
        let near = usize::from(near.0);
        let (reach, wrap) = match placement {
            Placement::Only(_) => (1, usize::MAX),
            Placement::Prefer(_) => (nodes.len(), nodes.len().max(1)),
        };
        for mark in deepest.down_to() {
            for at in (0..reach).map(|step| (near + step) % wrap) {
                let Some(lock) = nodes.get(at) else { continue };
                let usable = |node: &Node| node.within((order, zone), mark);
                let recall =
                    |node: &mut Node| mark == deepest && self.recall(node, NodeId(at as u8));
                let taken = buddy::take(lock, self.metadata(), (order, usable), recall);
                if let Some(first) = taken {
                    return Ok(first);
                }
            }
        }
        Err(OutOfFrames)
    }

    /// A free run of another node than `node`, the next one first.
    #[cold]
    fn obtain_elsewhere(&self, node: NodeId, order: u32, zone: Zone) -> Option<Pfn> {
        let nodes = self.store.nodes();
        let others = (1..=nodes.len()).map(|step| (usize::from(node.0) + step) % nodes.len());
        others
            .filter(|other| *other != usize::from(node.0))
            .find_map(|other| self.take_of(&nodes[other], NodeId(other as u8), (order, zone)))
    }

    /// # Panics
    /// When the run is not one that the owner may hand out: continuing would share memory that is
    /// in use.
    #[inline(never)]
    fn obtain_outside(
        &self,
        source: &dyn FrameSource,
        request: Request,
    ) -> Result<Pfn, OutOfFrames> {
        if request.order > MAX_ORDER {
            return Err(OutOfFrames);
        }
        let first = source.alloc(request)?;
        let len = 1 << request.order;
        let taken = Flags::RESERVED | Flags::LARGE | Flags::HUGETLB;
        let free = |pfn| {
            self.contains(pfn)
                && self.frame(pfn).counts.peek() == 0
                && !self.peek_flags(pfn).intersects(taken)
        };
        let fits = first.0.is_multiple_of(len) && (first.0..first.0 + len).map(Pfn).all(free);
        assert!(
            fits,
            "the owner of the frames gave {first} for {request:?}, which is no such free run"
        );
        Ok(first)
    }

    /// Whether there is a node with this number: one that is not above the highest of the spans.
    pub fn has_node(&self, node: NodeId) -> bool {
        usize::from(node.0) < self.store.nodes().len()
    }

    /// The number of free frames of `node`.
    pub fn free_frames(&self, node: NodeId) -> u64 {
        match self.outside {
            Some(source) => source.free_frames(node),
            None => {
                let lock = self.store.nodes().get(usize::from(node.0));
                lock.map_or(0, |lock| self.free_of(lock, node))
            }
        }
    }

    /// The number of free frames of all nodes.
    pub fn total_free(&self) -> u64 {
        match self.outside {
            Some(source) => source.total_free(),
            None => {
                let nodes = (0..).map(NodeId).zip(self.store.nodes());
                nodes.map(|(node, lock)| self.free_of(lock, node)).sum()
            }
        }
    }

    /// As [`Frames::alloc`], from the stock of the CPU with number `cpu` if it has one: near `node`
    /// if possible, else anywhere.
    #[inline]
    pub(crate) fn alloc_near(
        &self,
        (cpu, node): (usize, NodeId),
        flags: Flags,
        start: Start,
    ) -> Result<NewFrame<'_>, OutOfFrames> {
        let zone = zone_for(flags);
        let pfn = match self.take_stocked(cpu, node, zone) {
            Some(pfn) => pfn,
            None => self.obtain(Request { order: 0, placement: Placement::Prefer(node), zone })?,
        };
        self.begin(pfn, flags, 0, start);
        Ok(NewFrame { frames: self, pfn, start })
    }

    /// Ends the life of a frame without references and of all frames of its folio, and gives them
    /// back whole: a single one to the stock of the CPU with number `cpu`, if that is its place.
    #[inline]
    pub(crate) fn release_at(&self, cpu: usize, head: Pfn) {
        let frame = self.frame(head);
        let (order, home) = self.end(frame, head);
        if order > 0 || !self.keep_stocked(cpu, frame, head, home) {
            self.give_back(frame, head, (order, home));
        }
    }

    /// As [`Frames::release_at`], to the node.
    pub(crate) fn release(&self, head: Pfn) {
        let frame = self.frame(head);
        let ended = self.end(frame, head);
        self.give_back(frame, head, ended);
    }

    /// Ends the life of all frames of a folio; its order and its home.
    #[inline]
    fn end(&self, frame: &Frame, head: Pfn) -> (u32, u32) {
        let word = frame.flags.read_once();
        // With the flag of the pool, if it is of that: INV-POOL-3.
        let (order, home) = (order_of(word), word & LASTING);
        if order > 0 {
            self.end_tails(head, word);
        }
        if self.forgets {
            self.forget(head, word);
        }
        frame.end(home);
        if word & Flags::CHARGED.bits() != 0 {
            self.uncharge(head, order);
        }
        (order, home)
    }

    /// Ends what is known of a frame beside its metadata.
    #[cold]
    #[inline(never)]
    fn forget(&self, head: Pfn, word: u32) {
        if let Some(lru) = &self.lru {
            lru.forget(head, node_of(word));
        }
        if let Some(last) = &self.last_faults {
            last.forget(head);
        }
    }

    /// Ends the life of a folio's tails. It waits for no split any more.
    #[cold]
    #[inline(never)]
    fn end_tails(&self, head: Pfn, word: u32) {
        if word & Flags::ANON.bits() != 0 {
            self.unqueue(self.large_of(head));
        }
        for tail in (head.0 + 1..head.0 + (1 << order_of(word))).rev().map(Pfn) {
            self.frame(tail).end(word & LASTING);
        }
    }

    /// The group of a page that was not used does not count it as mapped any more.
    #[cold]
    fn uncount_mapped(&self, pfn: Pfn) {
        if let Some(charges) = self.charges().table() {
            charges.count(pfn, Stat::AnonPages, Change::Less);
        }
    }

    /// As for a page: the same for a large folio of so many.
    #[cold]
    pub(super) fn uncount_folio(&self, head: Pfn, pages: u64) {
        if let Some(charges) = self.charges().table() {
            charges.count_pages(head, Stat::AnonPages, Change::Less, pages);
        }
    }

    /// Nobody is charged any more for frames whose life has ended.
    #[inline(never)]
    fn uncharge(&self, head: Pfn, order: u32) {
        if let Some(charges) = self.charges().table() {
            (head.0..head.0 + (1 << order)).for_each(|pfn| charges.end(Pfn(pfn)));
        }
    }

    pub(super) fn give_back(&self, frame: &Frame, head: Pfn, (order, home): (u32, u32)) {
        if order > 0 && home & Flags::HUGETLB.bits() != 0 {
            return self.return_pooled(head);
        }
        if let Some(source) = self.outside {
            // SAFETY: the last reference is gone, which happens once for each frame. The folio has
            // had this order since the owner gave it, or is single: what it gave, or what a split
            // has made of that.
            unsafe { source.free(head, order) };
            return;
        }
        let mut node = self.store.nodes()[usize::from(node_of(home).0)].lock();
        if order == 0 {
            node.push(frame, head, zone_of(home));
        } else {
            node.give(self.metadata(), head, order, zone_of(home));
        }
    }
}
