//! The free frames of a node, by zone and by order: the manager's own source.
//!
//! Each zone has a stack of single frames and, for every order, a list of free blocks. All links
//! lie in the free frames' own metadata, so that a free list needs no memory; the node's spin lock
//! protects them.
//!
//! Single frames, nearly all of the traffic, never look at a neighbour: a freed one goes on the
//! stack, and the newest, whose contents are warmest, is handed out first. An empty stack is
//! refilled with some frames of the lowest of the blocks at the heads of the lists. Frames on the
//! stack are merged only when no list has a block that is wanted: as many of them as it takes,
//! newest first, at most [`BATCH`] under one hold of the lock. So a request of a high order costs
//! at most a walk over the node's stacked frames, each frame is merged at most once for each time
//! it was freed, and single frames pay nothing for it. (Linux keeps its per-CPU lists of single
//! frames to the same end.)
//!
//! Invariants:
//! - INV-BUDDY-1: the first frame of a block in a list has the block's mark in its mapping word:
//!   bit 63, the order, and the block before it in the list. No other frame has bit 63 there: ids
//!   of reverse maps stay below it.
//! - INV-BUDDY-2: a block of order `n` starts at a multiple of `1 << n`, and all its frames are of
//!   one node and one zone.
//! - INV-BUDDY-3: no two blocks in the lists are buddies of the same order below [`MAX_ORDER`]:
//!   they would be one block.
//! - INV-BUDDY-4: every free frame that is in no CPU's stock (`stock`) is on exactly one stack or
//!   in exactly one block, and its zone's `free` counts it.
//! - INV-BUDDY-5: a stacked frame with bit 62 in its mapping word is the first of a batch that came
//!   from a stock: the word says how many of the frames from there on it has, and which is the
//!   last. So a batch is taken from the stack without looking at its frames.

use super::chain::{Batch, Chain, kind};
use super::flags::{HOME_MASK, zone_of};
use super::meta::{Frame, Metadata};
use super::source::Zone;
use super::zones::{MOVABLE, Share, Wanted, Wmark, ZONES, shares, zones_for};

use crate::addr::Pfn;
use crate::sync::{Inside, Masks, SpinLock, SpinLocked};

/// The highest order of a run of frames: 1,024 of them, 4 MiB, as in Linux. Covers a huge page of 2
/// MiB (order 9).
pub const MAX_ORDER: u32 = 10;

/// The most stacked frames that are merged under one hold of a node's lock: some tens of
/// microseconds.
const BATCH: u64 = 1024;

/// log2 of the most frames that an empty stack gets from a block, so that single frames seldom
/// touch the lists.
const REFILL: u32 = 5;

/// No frame: the last number, which no span reaches.
const NONE: u64 = (1 << 52) - 1;
/// The mark of a block's first frame, in its mapping word.
const BLOCK: u64 = 1 << 63;
const ORDER_SHIFT: u32 = 52;
/// The mark of a batch's first frame, in its mapping word.
const BATCHED: u64 = 1 << 62;
const LEN_SHIFT: u32 = 52;
/// Longer ones are not marked.
const MOST_BATCHED: u64 = (1 << 10) - 1;

/// The places of these zones, the one to use first before the others.
fn places(mut zones: u32) -> impl Iterator<Item = u32> {
    core::iter::from_fn(move || {
        let at = zones.checked_ilog2()?;
        zones &= !(1 << at);
        Some(at)
    })
}

/// The free frames of one zone.
#[derive(Hash, Debug)]
struct Lists {
    /// The newest single frame.
    top: u64,
    /// The first block of each order.
    first: [u64; MAX_ORDER as usize + 1],
    /// Bit `n`: there is a block of order `n`.
    filled: u32,
    /// The frames on the stack and in the blocks.
    free: u64,
    /// The frames of the zone: INV-ZONE-2.
    managed: u64,
    /// What of the node's marks and reserves is the zone's.
    share: Share,
}

/// The free frames of a node; protected by the lock around it.
#[derive(Hash, Debug)]
pub(super) struct Node {
    zones: [Lists; ZONES],
    /// Bit `n`: zone `n` may have frames; if clear, it has none.
    stocked: u32,
    /// How many stocks are attached (`stock`).
    pub(super) attached: u32,
}

/// The lock around a node's free frames. Taken with interrupts off if the kernel wants that, as a
/// handler may release a hold: INV-MASK-3.
pub(super) struct NodeLock(SpinLock<Node>);

/// A node's free frames, locked.
pub(super) type LockedNode<'a> = Inside<SpinLocked<'a, Node>>;

impl NodeLock {
    pub(super) const fn new() -> Self {
        Self(SpinLock::hashed(Node::new()))
    }

    #[inline]
    pub(super) fn lock(&self) -> LockedNode<'_> {
        Inside::lock(Masks::Interrupts, || self.0.lock())
    }
}

impl Node {
    const fn new() -> Self {
        Self { zones: [const { Lists::new() }; ZONES], stocked: 0, attached: 0 }
    }

    pub(super) fn free(&self) -> u64 {
        self.zones.iter().map(|lists| lists.free).sum()
    }

    /// Of the zone at a place: its frames, those that are free in its lists, and its share.
    pub(super) fn zone(&self, at: u32) -> (u64, u64, Share) {
        let lists = &self.zones[at as usize];
        (lists.managed, lists.free, lists.share)
    }

    /// So many frames of a zone are the node's from now on.
    pub(super) fn gain(&mut self, zone: u32, frames: u64) {
        self.zones[zone as usize].managed += frames;
    }

    /// So many frames of a zone are out.
    pub(super) fn lose(&mut self, zone: u32, frames: u64) {
        self.zones[zone as usize].managed -= frames;
    }

    /// Gives each zone its share of what the node is to have.
    pub(super) fn share_out(&mut self, wanted: &Wanted) {
        let sizes = core::array::from_fn(|at| self.zones[at].managed);
        for (lists, share) in self.zones.iter_mut().zip(shares(sizes, wanted)) {
            lists.share = share;
        }
    }

    /// The zones from which a request may take so that a mark and their reserves stay.
    pub(super) fn within(&self, (order, zone): (u32, Zone), mark: Wmark) -> u32 {
        let gives = |at: &u32| {
            let lists = &self.zones[*at as usize];
            lists.free >= lists.share.floor(zone, mark).saturating_add(1 << order)
        };
        places(zones_for(zone)).filter(gives).fold(0, |zones, at| zones | 1 << at)
    }

    /// The zone to use first for a single frame, with at least one on its stack.
    #[inline]
    fn stacked_zone(&mut self, frames: &Metadata, usable: u32) -> Option<u32> {
        // The zone to use first has the highest number.
        while let Some(at) = (self.stocked & usable).checked_ilog2() {
            let lists = &mut self.zones[at as usize];
            if lists.top == NONE {
                lists.refill(frames);
            }
            if lists.top != NONE {
                return Some(at);
            }
            self.stocked &= !(1 << at);
        }
        None
    }

    #[inline]
    fn pop(&mut self, frames: &Metadata, usable: u32) -> Option<Pfn> {
        let at = self.stacked_zone(frames, usable)?;
        let lists = &mut self.zones[at as usize];
        lists.free -= 1;
        lists.unstack(frames)
    }

    /// A single frame of the zones that may be used. `recall` brings more, if it can.
    #[inline]
    pub(super) fn single(
        &mut self,
        frames: &Metadata,
        usable: impl Fn(&Self) -> u32,
        recall: impl FnOnce(&mut Self) -> bool,
    ) -> Option<Pfn> {
        let zones = usable(self);
        match self.pop(frames, zones) {
            None if recall(self) => {
                let zones = usable(self);
                self.pop(frames, zones)
            }
            popped => popped,
        }
    }

    /// The newest single frames for such requests, all of one zone, at most `most`, which is not
    /// zero.
    pub(super) fn batch(&mut self, frames: &Metadata, zone: Zone, most: u64) -> Option<Batch> {
        let gives = |at: &u32| {
            let lists = &self.zones[*at as usize];
            lists.share.gives(zone, lists.free, most)
        };
        let usable = places(zones_for(zone)).filter(gives).fold(0, |zones, at| zones | 1 << at);
        let at = self.stacked_zone(frames, usable)?;
        let lists = &mut self.zones[at as usize];
        let chain = lists.unstack_chain(frames, most);
        lists.free -= chain.len;
        let share = lists.share;
        let first = self.stocked >> (at + 1) == 0 || zone == Zone::Movable;
        let serves = |zone, fits| if fits && share.reserve(zone) == 0 { kind(zone) } else { 0 };
        let any = serves(Zone::Any, at != MOVABLE);
        Some(Batch { chain, serves: any | serves(Zone::Movable, first) })
    }

    /// Takes back single free frames of one zone.
    pub(super) fn splice(&mut self, frames: &Metadata, chain: Chain, zone: u32) {
        if chain.len == 0 {
            return;
        }
        let lists = &mut self.zones[zone as usize];
        frames.frame(Pfn(chain.last)).index.write_once(lists.top);
        lists.top = chain.first;
        if chain.len <= MOST_BATCHED {
            let mark = BATCHED | chain.len << LEN_SHIFT | chain.last;
            frames.frame(Pfn(chain.first)).mapping.init(mark);
        }
        lists.free += chain.len;
        self.stocked |= 1 << zone;
    }

    fn take(&mut self, frames: &Metadata, order: u32, usable: u32) -> Option<Pfn> {
        places(usable).find_map(|at| {
            let lists = &mut self.zones[at as usize];
            let pfn = lists.take(frames, order)?;
            lists.free -= 1 << order;
            Some(pfn)
        })
    }

    /// Merges stacked frames that may serve a request of `order`, until there is a block for it.
    /// Returns how many frames were merged.
    fn merge(&mut self, frames: &Metadata, order: u32, usable: u32) -> u64 {
        let mut merged = 0;
        for at in places(usable) {
            let lists = &mut self.zones[at as usize];
            while merged < BATCH {
                let Some(pfn) = lists.unstack(frames) else { break };
                merged += 1;
                if lists.insert_merged(frames, pfn, 0) >= order {
                    return merged;
                }
            }
        }
        merged
    }

    /// Takes back a free frame, whose metadata is `frame`.
    #[inline]
    pub(super) fn push(&mut self, frame: &Frame, pfn: Pfn, zone: u32) {
        let lists = &mut self.zones[zone as usize];
        frame.index.write_once(lists.top);
        lists.top = pfn.0;
        lists.free += 1;
        self.stocked |= 1 << zone;
    }

    /// Takes back a free run.
    pub(super) fn give(&mut self, frames: &Metadata, first: Pfn, order: u32, zone: u32) {
        let lists = &mut self.zones[zone as usize];
        lists.insert_merged(frames, first, order);
        lists.free += 1 << order;
        self.stocked |= 1 << zone;
    }

    /// Puts `first..end`, which is free and of one zone, into the lists as the largest blocks that
    /// it makes, the lowest first.
    pub(super) fn fill(&mut self, frames: &Metadata, first: u64, mut end: u64) {
        while end > first {
            let order = end.trailing_zeros().min((end - first).ilog2()).min(MAX_ORDER);
            end -= 1 << order;
            let zone = zone_of(frames.frame(Pfn(end)).flags.fixed(HOME_MASK));
            self.give(frames, Pfn(end), order, zone);
        }
    }

    /// Takes `first..end` out of the lists, or says which of them is not free in the zone of the
    /// first.
    pub(super) fn cut(&mut self, frames: &Metadata, first: u64, end: u64) -> Result<(), Pfn> {
        let zone = zone_of(frames.frame(Pfn(first)).flags.fixed(HOME_MASK)) as usize;
        let lists = &mut self.zones[zone];
        while let Some(pfn) = lists.unstack(frames) {
            lists.insert_merged(frames, pfn, 0);
        }
        let mut pfn = first;
        while pfn < end {
            pfn = block_of(frames, pfn, first)?.1;
        }
        pfn = first;
        while pfn < end {
            let (start, next, order) = block_of(frames, pfn, first)?;
            self.zones[zone].remove(frames, Pfn(start), order);
            self.zones[zone].free -= 1 << order;
            self.fill(frames, start, pfn);
            self.fill(frames, end.min(next), next);
            pfn = next;
        }
        Ok(())
    }

    /// Takes what is free of `first..end`, which is of one zone, out of the lists, and shows it
    /// frame by frame; how many frames that are.
    pub(super) fn cut_free(
        &mut self,
        frames: &Metadata,
        (first, end): (u64, u64),
        mut taken: impl FnMut(Pfn),
    ) -> u64 {
        let zone = zone_of(frames.frame(Pfn(first)).flags.fixed(HOME_MASK)) as usize;
        let lists = &mut self.zones[zone];
        while let Some(pfn) = lists.unstack(frames) {
            lists.insert_merged(frames, pfn, 0);
        }
        let (mut pfn, mut count) = (first, 0);
        while pfn < end {
            let Ok((start, next, order)) = block_of(frames, pfn, first) else {
                pfn += 1;
                continue;
            };
            self.zones[zone].remove(frames, Pfn(start), order);
            self.zones[zone].free -= 1 << order;
            self.fill(frames, start, pfn);
            self.fill(frames, end.min(next), next);
            (pfn..end.min(next)).map(Pfn).for_each(&mut taken);
            count += end.min(next) - pfn;
            pfn = next;
        }
        count
    }
}

/// The free block of `of`'s zone that holds `pfn`: its first frame, the one past its end, its
/// order. Otherwise the frame itself, as an error.
fn block_of(frames: &Metadata, pfn: u64, of: u64) -> Result<(u64, u64, u32), Pfn> {
    let start = |order: u32| pfn >> order << order;
    // The words of a large folio's tails may look like a block's mark: INV-FRAME-2.
    let bare = |pfn| frames.frame(pfn).flags.read_once() & !HOME_MASK == 0;
    let holds = |order: &u32| {
        let first = Pfn(start(*order));
        frames.contains(first) && bare(first) && is_block(frames, first, *order, Pfn(of))
    };
    let order = (0..=MAX_ORDER).find(holds).ok_or(Pfn(pfn))?;
    Ok((start(order), start(order) + (1 << order), order))
}

/// Takes a run from those zones of `node` that may be used as it is. `recall` brings more free
/// frames, if it can, into the lists of the locked node.
#[inline]
pub(super) fn take(
    node: &NodeLock,
    frames: &Metadata,
    (order, usable): (u32, impl Fn(&Node) -> u32),
    recall: impl Fn(&mut Node) -> bool,
) -> Option<Pfn> {
    if order > 0 {
        return take_block(node, frames, (order, &usable), &recall);
    }
    node.lock().single(frames, usable, recall)
}

#[inline(never)]
fn take_block(
    node: &NodeLock,
    frames: &Metadata,
    (order, usable): (u32, &dyn Fn(&Node) -> u32),
    recall: &dyn Fn(&mut Node) -> bool,
) -> Option<Pfn> {
    if order > MAX_ORDER {
        return None;
    }
    // What others free in the meantime does not prolong the search.
    let mut left = u64::MAX;
    loop {
        let mut node = node.lock();
        let zones = usable(&node);
        if let Some(first) = node.take(frames, order, zones) {
            return Some(first);
        }
        left = left.min(node.free());
        let merged = node.merge(frames, order, zones);
        if merged == 0 || left == 0 {
            if !recall(&mut node) {
                return None;
            }
            left = u64::MAX;
            continue;
        }
        left = left.saturating_sub(merged);
    }
}

impl Lists {
    const fn new() -> Self {
        let first = [NONE; MAX_ORDER as usize + 1];
        Self { top: NONE, first, filled: 0, free: 0, managed: 0, share: Share::NONE }
    }

    /// Stacks the first frames of the lowest block among the lists' heads, at most as many as
    /// [`REFILL`] says. Blocks are used up from below, so memory that was never used is handed out
    /// in the order of its addresses.
    #[inline(never)]
    fn refill(&mut self, frames: &Metadata) {
        let filled = (0..=MAX_ORDER).filter(|order| self.filled >> order & 1 != 0);
        let Some(order) = filled.min_by_key(|order| self.first[*order as usize]) else { return };
        let part = order.min(REFILL);
        let first = self.split(frames, order, part).0;
        for pfn in (first..first + (1 << part)).rev() {
            frames.frame(Pfn(pfn)).index.write_once(self.top);
            self.top = pfn;
        }
    }

    /// A block of `order`, from the smallest that holds one.
    fn take(&mut self, frames: &Metadata, order: u32) -> Option<Pfn> {
        let fitting = self.filled >> order << order;
        (fitting != 0).then(|| self.split(frames, fitting.trailing_zeros(), order))
    }

    #[inline]
    fn unstack(&mut self, frames: &Metadata) -> Option<Pfn> {
        (self.top != NONE).then(|| {
            let pfn = Pfn(self.top);
            let frame = frames.frame(pfn);
            self.top = frame.index.peek();
            if frame.mapping.peek() != 0 {
                frame.mapping.init(0);
            }
            pfn
        })
    }

    /// The newest frames of the stack, which is not empty, at most `most`: a batch if there is one
    /// on top.
    fn unstack_chain(&mut self, frames: &Metadata, most: u64) -> Chain {
        let first = self.top;
        let mark = frames.frame(Pfn(first)).mapping.peek();
        let whole = Chain { first, last: mark & NONE, len: (mark & !BATCHED) >> LEN_SHIFT };
        if mark != 0 && whole.len <= most {
            frames.frame(Pfn(first)).mapping.init(0);
            self.top = frames.frame(Pfn(whole.last)).index.peek();
            return whole;
        }
        let (mut last, mut len) = (first, 0);
        while len < most
            && let Some(pfn) = self.unstack(frames)
        {
            (last, len) = (pfn.0, len + 1);
        }
        Chain { first, last, len }
    }

    /// Takes out the first block of order `from` and puts back all but its first `1 << to` frames.
    fn split(&mut self, frames: &Metadata, from: u32, to: u32) -> Pfn {
        let first = Pfn(self.first[from as usize]);
        self.remove(frames, first, from);
        for order in (to..from).rev() {
            self.insert(frames, Pfn(first.0 + (1 << order)), order);
        }
        first
    }

    /// Puts a block in, merged with its buddy as often as that is free. Returns the resulting
    /// order.
    fn insert_merged(&mut self, frames: &Metadata, mut first: Pfn, mut order: u32) -> u32 {
        while order < MAX_ORDER {
            let buddy = Pfn(first.0 ^ 1 << order);
            if !is_block(frames, buddy, order, first) {
                break;
            }
            self.remove(frames, buddy, order);
            first = first.min(buddy);
            order += 1;
        }
        self.insert(frames, first, order);
        order
    }

    fn insert(&mut self, frames: &Metadata, first: Pfn, order: u32) {
        let head = &mut self.first[order as usize];
        let frame = frames.frame(first);
        frame.index.write_once(*head);
        frame.mapping.init(mark(order, NONE));
        if *head != NONE {
            frames.frame(Pfn(*head)).mapping.init(mark(order, first.0));
        }
        *head = first.0;
        self.filled |= 1 << order;
    }

    fn remove(&mut self, frames: &Metadata, first: Pfn, order: u32) {
        let frame = frames.frame(first);
        let (before, next) = (frame.mapping.peek() & NONE, frame.index.peek());
        frame.mapping.init(0);
        if next != NONE {
            frames.frame(Pfn(next)).mapping.init(mark(order, before));
        }
        if before != NONE {
            frames.frame(Pfn(before)).index.write_once(next);
            return;
        }
        self.first[order as usize] = next;
        if next == NONE {
            self.filled &= !(1 << order);
        }
    }
}

/// The mapping word of the first frame of a block of `order` that follows the block at `before`.
const fn mark(order: u32, before: u64) -> u64 {
    BLOCK | (order as u64) << ORDER_SHIFT | before
}

/// Whether a free block of `order` starts at `first`, in the lists of `of`'s zone. The home is
/// checked first: the lock that the caller holds keeps only such a frame's mark stable.
fn is_block(frames: &Metadata, first: Pfn, order: u32, of: Pfn) -> bool {
    let home = |pfn| frames.frame(pfn).flags.fixed(HOME_MASK);
    frames.contains(first)
        && home(first) == home(of)
        && frames.frame(first).mapping.peek() & !NONE == mark(order, 0)
}

#[cfg(test)]
mod tests;
