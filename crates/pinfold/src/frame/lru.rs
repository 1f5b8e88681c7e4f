//! The pages that reclaim may choose from: of each node a list of those in use lately and one of
//! the others, and for each CPU a batch of pages that are to go there (facts 0.2, 1.4).
//!
//! Protocol: a new page goes into the batch of a CPU, which has one reference of it, so that CPUs
//! do not meet at their nodes' lists for each page. A full batch is drained: its pages go to the
//! heads of their nodes' lists, and its references are dropped. Anybody may drain any batch. A
//! large folio goes to its node's list at once, and drains the batch of its CPU. A batch has a spin
//! lock, and so have a node's lists; none is held while the other is taken, and both lie below the
//! locks of page tables.
//!
//! Who wants a page for himself *isolates* it: he has a reference, and takes its mark [`ON`] off in
//! one step; then, under the lock, the page leaves its list. A page without the mark is in a batch,
//! or somebody's who has isolated it, and nobody else can isolate it. Whoever drops a page's last
//! reference takes it off its list before the frame's life ends.
//!
//! A frame has no word to spare for two neighbours. So they lie in an array beside the frames, 12
//! bytes for each, made where the machine is set up to have lists; where it is not, nothing is.
//! (Frames of 40 bytes would cost every machine 8, and straddle cache lines.) The array's last
//! places are the lists' own: a list is a ring.
//!
//! Invariants:
//! - INV-LRU-1: a page with the mark is on the list of its node that its mark [`ACTIVE`] says, from
//!   the moment that the lock is free; one without the mark is on none, unless who has isolated it
//!   is still to take it off.
//! - INV-LRU-2: a batch has one reference of each page in it. No page is in two batches, and none
//!   with the mark is in one.
//! - INV-LRU-3: a free frame has no marks.

use alloc::vec::Vec;

use super::buddy::serves;
use super::flags::{HOME_MASK, node_of, zone_of};
use super::frames::Frames;
use super::queue::Links;
use super::source::Zone;
use crate::addr::{NodeId, Pfn};
use crate::error::NoMemory;
use crate::sync::{
    self, AtomicU32, AtomicU64, CellName, Inside, Masks, PerCpu, SpinLock, SpinLocked,
};

/// The most pages that a batch may have. Linux: 31, and 15 before 6.9.
pub const MOST_BATCHED: u32 = 31;

/// The page is on a list.
const ON: u32 = 1 << 0;
/// Of its two lists, it is on that of the pages in use.
const ACTIVE: u32 = 1 << 1;
/// It was found in use once since it came to the list of the others.
const REFERENCED: u32 = 1 << 2;

/// One of a node's two lists.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum List {
    /// Pages that reclaim takes next.
    Inactive,
    /// Pages in use.
    Active,
}

impl List {
    const fn mark(self) -> u32 {
        match self {
            Self::Inactive => 0,
            Self::Active => ACTIVE,
        }
    }

    const fn of(marks: u32) -> Self {
        if marks & ACTIVE == 0 { Self::Inactive } else { Self::Active }
    }
}

/// What became of a page that was to go into a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Batched {
    /// It waits there.
    Waits,
    /// It does, and the batch is full now: whoever sees that drains it.
    Last,
    /// It does not: another has filled the batch and is yet to drain it.
    Full,
}

/// How many pages a node's lists have; protected by the lock around it, as their links are.
#[derive(Hash, Debug, Default)]
struct Lens([u64; 2]);

/// Pages that are to go to a list.
#[derive(Hash, Debug, Default)]
struct Batch {
    pages: [u64; MOST_BATCHED as usize],
    used: usize,
}

/// A batch with its lock. Taken with interrupts off if the kernel wants that, as the node's: a
/// handler may release the last hold of a page (INV-MASK-3).
#[derive(Debug)]
struct BatchLock(SpinLock<Batch>);

impl Default for BatchLock {
    fn default() -> Self {
        Self(SpinLock::hashed(Batch::default()))
    }
}

/// A node's lists, locked.
type Locked<'a> = Inside<SpinLocked<'a, Lens>>;

/// The lists of all nodes, and the batches of all CPUs.
#[derive(Debug)]
pub(super) struct Lru {
    base: u64,
    frames: usize,
    /// The neighbours of each frame, then of each list's own place.
    links: Vec<AtomicU64>,
    marks: Vec<AtomicU32>,
    nodes: Vec<SpinLock<Lens>>,
    batches: PerCpu<BatchLock>,
    batch: usize,
}

/// Pages that a batch had, whose references are the caller's now.
#[must_use]
pub(crate) struct Drained(Batch);

impl Drained {
    pub(crate) fn pages(&self) -> impl Iterator<Item = Pfn> + '_ {
        self.0.pages[..self.0.used].iter().map(|pfn| Pfn(*pfn))
    }
}

impl Lru {
    /// Empty lists for `nodes` nodes, with room for `frames` frames from number `base` on.
    fn new(
        (base, frames): (u64, usize),
        nodes: usize,
        cpus: usize,
        batch: u32,
    ) -> Result<Self, NoMemory> {
        let places = frames.checked_add(2 * nodes).ok_or(NoMemory)?;
        let (mut links, mut marks, mut locks) = (Vec::new(), Vec::new(), Vec::new());
        links.try_reserve_exact(places).map_err(|_| NoMemory)?;
        links.resize_with(places, || AtomicU64::new(0));
        marks.try_reserve_exact(frames).map_err(|_| NoMemory)?;
        marks.resize_with(frames, || AtomicU32::new(0));
        locks.try_reserve_exact(nodes).map_err(|_| NoMemory)?;
        locks.resize_with(nodes, || SpinLock::hashed(Lens::default()));
        for own in frames..places {
            links[own].init(Links { before: own as u32, after: own as u32 }.bits());
        }
        let batch = batch.clamp(1, MOST_BATCHED) as usize;
        let lru =
            Self { base, frames, links, marks, nodes: locks, batches: PerCpu::new(cpus)?, batch };
        lru.label();
        Ok(lru)
    }

    /// Names the words for a trace.
    fn label(&self) {
        let (base, frames) = (self.base, self.frames);
        sync::label(self.links.as_ptr(), size_of_val(&*self.links), move |offset| {
            match offset / size_of::<AtomicU64>() {
                at if at < frames => CellName::Object {
                    object: "frame",
                    index: base + at as u64,
                    cell: "neighbours",
                },
                at => {
                    let index = (at - frames) as u64 / 2;
                    CellName::Object { object: "node", index, cell: "ends of a list" }
                }
            }
        });
        sync::label(self.marks.as_ptr(), size_of_val(&*self.marks), move |offset| {
            let index = base + (offset / size_of::<AtomicU32>()) as u64;
            CellName::Object { object: "frame", index, cell: "list marks" }
        });
        for (index, node) in (0..).zip(&self.nodes) {
            sync::label(&raw const *node, size_of_val(node), move |_| CellName::Object {
                object: "node",
                index,
                cell: "lists",
            });
        }
        for (index, batch) in (0..).zip(self.batches.iter()) {
            sync::label(&raw const *batch, size_of_val(batch), move |_| CellName::Object {
                object: "CPU",
                index,
                cell: "batch",
            });
        }
    }

    fn lock(&self, node: NodeId) -> Locked<'_> {
        Inside::lock(Masks::Interrupts, || self.nodes[usize::from(node.0)].lock())
    }

    fn batch(&self, cpu: usize) -> Inside<SpinLocked<'_, Batch>> {
        Inside::lock(Masks::Interrupts, || self.batches.of(cpu).0.lock())
    }

    fn place(&self, pfn: Pfn) -> u32 {
        (pfn.0 - self.base) as u32
    }

    fn pfn(&self, place: u32) -> Pfn {
        Pfn(self.base + u64::from(place))
    }

    fn marks(&self, pfn: Pfn) -> &AtomicU32 {
        &self.marks[(pfn.0 - self.base) as usize]
    }

    /// The own place of a list.
    fn own(&self, node: NodeId, list: List) -> u32 {
        (self.frames + 2 * usize::from(node.0) + list as usize) as u32
    }

    /// The neighbours of a place in a list whose lock the caller holds.
    fn links(&self, place: u32) -> Links {
        Links::of_bits(self.links[place as usize].peek())
    }

    fn set_links(&self, place: u32, links: Links) {
        self.links[place as usize].write_once(links.bits());
    }

    /// Puts a place, which is in no list, before all others of a list.
    fn push(&self, own: u32, place: u32) {
        let ends = self.links(own);
        self.set_links(place, Links { before: own, after: ends.after });
        // A list without places has itself for neighbours.
        self.set_links(own, Links { after: place, ..ends });
        let next = self.links(ends.after);
        self.set_links(ends.after, Links { before: place, ..next });
    }

    fn cut(&self, place: u32) {
        let Links { before, after } = self.links(place);
        let of_before = self.links(before);
        self.set_links(before, Links { after, ..of_before });
        let of_after = self.links(after);
        self.set_links(after, Links { before, ..of_after });
    }

    /// Puts a page, which has no mark [`ON`], before all others of a list.
    fn enter(&self, lens: &mut Lens, (node, list): (NodeId, List), pfn: Pfn) {
        lens.0[list as usize] += 1;
        self.push(self.own(node, list), self.place(pfn));
        let marks = self.marks(pfn);
        if list == List::Inactive {
            marks.fetch_and(!ACTIVE);
        }
        marks.fetch_or(ON | list.mark());
    }

    /// Takes a page off its list, whose mark [`ON`] was taken off.
    fn leave(&self, lens: &mut Lens, pfn: Pfn) -> List {
        let list = List::of(self.marks(pfn).read_once());
        lens.0[list as usize] -= 1;
        self.cut(self.place(pfn));
        list
    }

    /// Ends what is known of a frame whose last reference is gone.
    #[cold]
    #[inline(never)]
    pub(super) fn forget(&self, pfn: Pfn, node: NodeId) {
        let marks = self.marks(pfn);
        let had = marks.read_once();
        if had & ON != 0 {
            // Nobody else takes the mark off: that takes a reference.
            let mut lens = self.lock(node);
            self.leave(&mut lens, pfn);
        }
        if had != 0 {
            marks.write_once(0);
        }
    }
}

/// Lists.
impl Frames {
    /// Has lists of pages, with batches of so many for `cpus` CPUs; none, if that is zero.
    ///
    /// # Errors
    /// When the heap is exhausted, or the machine has more frames than links can name.
    pub(crate) fn list_up(&mut self, cpus: usize, batch: u32) -> Result<(), NoMemory> {
        let (base, frames) = (self.metadata().base(), self.metadata().all().len());
        let nodes = self.store.nodes().len();
        if u32::try_from(frames + 2 * nodes).is_err() {
            return Err(NoMemory);
        }
        self.lru = match batch {
            0 => None,
            1.. => Some(Lru::new((base, frames), nodes, cpus, batch)?),
        };
        Ok(())
    }

    /// Whether there are lists.
    #[inline]
    pub(crate) fn has_lists(&self) -> bool {
        self.lru.is_some()
    }

    /// The lists, for one who has found that there are some.
    fn lists(&self) -> &Lru {
        match &self.lru {
            Some(lru) => lru,
            None => unreachable!("the caller has found that there are lists"),
        }
    }

    /// Whether a page is on a list, of which the caller knows that there are some.
    pub(crate) fn is_listed(&self, head: Pfn) -> bool {
        self.lists().marks(head).read_once() & ON != 0
    }

    /// Puts a page into the batch of a CPU, which has the caller's reference then.
    pub(crate) fn add_to_batch(&self, cpu: usize, pfn: Pfn) -> Batched {
        let lru = self.lists();
        let mut batch = lru.batch(cpu);
        let used = batch.used;
        if used == lru.batch {
            return Batched::Full;
        }
        batch.pages[used] = pfn.0;
        batch.used = used + 1;
        if used + 1 == lru.batch { Batched::Last } else { Batched::Waits }
    }

    /// Puts the pages of a CPU's batch on their lists. Their references are the caller's.
    pub(crate) fn drain_batch(&self, cpu: usize) -> Drained {
        let lru = self.lists();
        let drained = Drained(core::mem::take(&mut *lru.batch(cpu)));
        for node in (0..lru.nodes.len()).map(|node| NodeId(node as u8)) {
            let mut pages = drained.pages().filter(|pfn| self.node(*pfn) == node).peekable();
            if pages.peek().is_some() {
                let mut lens = lru.lock(node);
                pages.for_each(|pfn| lru.enter(&mut lens, (node, List::Inactive), pfn));
            }
        }
        drained
    }

    /// How many CPUs have batches.
    pub(crate) fn batches(&self) -> usize {
        self.lru.as_ref().map_or(0, |lru| lru.batches.iter().count())
    }

    /// Puts a page, which the caller has and is on no list, on one.
    pub(crate) fn list(&self, head: Pfn, list: List) {
        let (lru, node) = (self.lists(), self.node(head));
        lru.enter(&mut lru.lock(node), (node, list), head);
    }

    /// Isolates a page, of which the caller has a reference: from which list.
    pub(crate) fn unlist(&self, head: Pfn) -> Option<List> {
        let lru = self.lists();
        if lru.marks(head).fetch_and(!ON) & ON == 0 {
            return None;
        }
        Some(lru.leave(&mut lru.lock(self.node(head)), head))
    }

    /// Isolates pages from the end of a list, at most as many as there is room for, after a look at
    /// no more than `most`: each gets a reference, which is the caller's, as the page is. Those
    /// whose frames do not serve `zone` go to the list's other end. How many were looked at.
    pub(crate) fn isolate_last(
        &self,
        (node, list): (NodeId, List),
        (zone, most, mut room): (Zone, u64, usize),
        mut take: impl FnMut(Pfn),
    ) -> u64 {
        let lru = self.lists();
        let mut lens = lru.lock(node);
        let own = lru.own(node, list);
        let most = most.min(lens.0[list as usize]);
        let mut looked_at = 0;
        while looked_at < most && room > 0 {
            looked_at += 1;
            let place = lru.links(own).before;
            let pfn = lru.pfn(place);
            let helps = serves(zone, zone_of(self.frame(pfn).flags.fixed(HOME_MASK)));
            if !helps || self.frame(pfn).try_gain(1, i32::MAX as u32).is_err() {
                // Another zone's, or about to be freed.
                lru.cut(place);
                lru.push(own, place);
            } else if lru.marks(pfn).fetch_and(!ON) & ON == 0 {
                // Who has isolated it waits for the lock, so this is not its last reference.
                let _ = self.frame(pfn).put(1);
                lru.cut(place);
                lru.push(own, place);
            } else {
                lru.leave(&mut lens, pfn);
                room -= 1;
                take(pfn);
            }
        }
        looked_at
    }

    /// The nodes that have lists.
    pub(crate) fn listed_nodes(&self) -> impl Iterator<Item = NodeId> + use<> {
        let nodes = self.lru.as_ref().map_or(0, |lru| lru.nodes.len());
        (0..nodes).map(|node| NodeId(node as u8))
    }

    /// How many pages a list of a node has; none, if there are no lists.
    pub(crate) fn listed(&self, node: NodeId, list: List) -> u64 {
        match &self.lru {
            Some(lru) if usize::from(node.0) < lru.nodes.len() => lru.lock(node).0[list as usize],
            _ => 0,
        }
    }

    /// Marks a page as in use; whether it was marked.
    pub(crate) fn mark_referenced(&self, head: Pfn) -> bool {
        self.lists().marks(head).fetch_or(REFERENCED) & REFERENCED != 0
    }

    /// Takes that mark off.
    pub(crate) fn clear_referenced(&self, head: Pfn) {
        self.lists().marks(head).fetch_and(!REFERENCED);
    }

    /// Calls `visit` for every page in a batch, which has a reference of it, while nothing else
    /// runs: not a step of an exploration, but for the locks.
    pub(crate) fn each_batched(&self, mut visit: impl FnMut(Pfn)) {
        let Some(lru) = &self.lru else { return };
        for batch in lru.batches.iter() {
            let batch = batch.0.lock();
            batch.pages[..batch.used].iter().for_each(|pfn| visit(Pfn(*pfn)));
        }
    }

    /// What is wrong with the lists while nothing else runs, if anything is: INV-LRU-1, INV-LRU-3.
    pub(crate) fn wrong_with_lists(&self) -> Option<(Pfn, &'static str)> {
        let lru = self.lru.as_ref()?;
        let mut on = 0;
        for (node, lens) in (0..).map(NodeId).zip(&lru.nodes) {
            let lens = lens.lock();
            for list in [List::Inactive, List::Active] {
                let own = lru.own(node, list);
                let (mut at, mut len) = (own, 0);
                loop {
                    let next = lru.links(at).after;
                    if lru.links(next).before != at {
                        return Some((
                            lru.pfn(next),
                            "has another neighbour than its neighbour says",
                        ));
                    }
                    if next == own {
                        break;
                    }
                    let (pfn, marks) = (lru.pfn(next), lru.marks(lru.pfn(next)).peek());
                    let home = node_of(self.frame(pfn).flags.peek());
                    if marks & ON == 0 || List::of(marks) != list || home != node {
                        return Some((pfn, "is on a list that is not its own"));
                    }
                    (at, len) = (next, len + 1);
                    if len > lens.0[list as usize] {
                        return Some((pfn, "is on a list that has more pages than it counts"));
                    }
                }
                if len != lens.0[list as usize] {
                    return Some((lru.pfn(0), "is of a node one of whose lists counts wrongly"));
                }
                on += len;
            }
        }
        let marked = || self.all().filter(|pfn| lru.marks(*pfn).peek() & ON != 0);
        if marked().count() as u64 != on {
            return marked()
                .last()
                .map(|pfn| (pfn, "may be marked as on a list that it is not on"));
        }
        let freed = |pfn: &Pfn| self.peek_counts(*pfn).refs() == 0;
        let mut kept = self.all().filter(|pfn| lru.marks(*pfn).peek() != 0);
        kept.find(freed).map(|pfn| (pfn, "is free and has marks of a page"))
    }
}
