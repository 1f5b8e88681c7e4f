//! The pages that reclaim may choose from: of each node a list of those in use lately and one of
//! the others, both for private pages and for those of files, and for each CPU a batch of pages
//! that are to go there (facts 0.2, 1.4).
//!
//! Protocol: a new page goes into the batch of a CPU, which has one reference of it, so that CPUs
//! do not meet at their nodes' lists for each page. A full batch is drained: its pages go to the
//! heads of their nodes' lists, those in use if they were so before or came back as such
//! ([`crate::workingset`]), and its references are dropped. Anybody may drain any batch. A
//! large folio goes to its node's list at once, and drains the batch of its CPU. A batch has a spin
//! lock, and so have a node's lists; none is held while the other is taken, and both lie below the
//! locks of page tables.
//!
//! A page that counts locked entries ([`crate::mlock`]) may not leave, and so is on no list:
//! it is *apart*, where nobody looks for pages. It has the mark [`LOCKED`] then, which whoever
//! counts the first locked entry, or the last one off, sets right under the lock of the node's
//! lists, and with it the page's place; if somebody else has the page just then, he does when it
//! goes back. So it is as in Linux since 5.18, whose list of unevictable pages has no order either
//! (facts 6.6); before, it had one, which nobody asked for.
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
//! - INV-LRU-1: a page with the mark is on the list of its node that its marks [`FILE`] and
//!   [`ACTIVE`] say, which change only while it is on none and nobody is to take it off; or apart
//!   if its mark [`APART`] says that, from the moment that the lock is free; one without the mark
//!   is on none, unless who has isolated it is still to take it off.
//! - INV-LRU-2: a batch has one reference of each page in it. No page is in two batches, and none
//!   with the mark is in one.
//! - INV-LRU-3: a free frame has no marks.
//! - INV-LRU-4: when nothing runs, the pages that are apart are those with the mark that count
//!   locked entries.
//! - INV-LRU-5: when nothing runs, a page with the mark [`FILE`] is one of a file, or a private one
//!   whose contents may go.

use alloc::vec::Vec;

use super::queue::Links;
use crate::addr::{NodeId, Pfn};
use crate::error::NoMemory;
use crate::sync::{
    self, AtomicU32, AtomicU64, CellName, Inside, Masks, Park, PerCpu, RwSem, SpinLock, SpinLocked,
    WriteGuard,
};

/// The most pages that a batch may have. Linux: 31, and 15 before 6.9.
pub const MOST_BATCHED: u32 = 31;

/// How many lists a node has.
const LISTS: usize = 4;

/// The page is on a list.
pub(super) const ON: u32 = 1 << 0;
/// Of its two lists, it is on that of the pages in use.
pub(super) const ACTIVE: u32 = 1 << 1;
/// It was found in use once since it came to the list of the others.
pub(super) const REFERENCED: u32 = 1 << 2;
/// It was on the list of those in use, and came from there to that of the others, in this life or,
/// if it came back as in use, in one before. Linux: PG_workingset.
pub(super) const USED: u32 = 1 << 3;
/// It counts locked entries: as the last one found it who has changed whether it does. Changes
/// under the lock of the node's lists.
pub(super) const LOCKED: u32 = 1 << 4;
/// It is apart, or was before it was isolated. Linux: PG_unevictable. Changes under that lock, or
/// before the page is known.
pub(super) const APART: u32 = 1 << 5;

/// It is of a file, or a private page whose contents may go ([`crate::lazyfree`]).
pub(super) const FILE: u32 = 1 << 6;

/// What reclaim costs the pages of a kind.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Kind {
    /// Private pages: they go to a swap device.
    Anon,
    /// Pages of files, which can be read again, and private ones that nobody needs any more.
    File,
}

impl Kind {
    /// Both, in the order of their places.
    pub(crate) const ALL: [Self; 2] = [Self::Anon, Self::File];

    pub(super) const fn of(marks: u32) -> Self {
        if marks & FILE == 0 { Self::Anon } else { Self::File }
    }
}

/// One of a node's two lists of a kind.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum List {
    /// Pages that reclaim takes next.
    Inactive,
    /// Pages in use.
    Active,
}

impl List {
    /// Both lists of a kind.
    pub(super) fn each_of(kind: Kind) -> [(Kind, Self); 2] {
        [(kind, Self::Inactive), (kind, Self::Active)]
    }

    const fn mark(self) -> u32 {
        match self {
            Self::Inactive => 0,
            Self::Active => ACTIVE,
        }
    }

    pub(super) const fn of(marks: u32) -> Self {
        if marks & ACTIVE == 0 { Self::Inactive } else { Self::Active }
    }
}

/// What putting a page in its place has changed for one that is, or was, locked in memory.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Entered {
    /// Nothing.
    Plain,
    /// It is apart, and was not.
    Culled,
    /// It is on a list, and was apart.
    Rescued,
}

/// What a page has come to that counts its first locked entry, or has counted its last one off.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Settled {
    /// It is where it should be, or will be: whoever has it, or its batch, puts it there.
    Right(Entered),
    /// It is not locked any more and is to leave the others that are apart, but somebody has it.
    Stranded,
}

/// Whether a page was on the list of those in use before it went to that of the others.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Used {
    /// It was.
    Before,
    /// Not since it came to memory.
    Never,
}

impl Used {
    pub(super) const fn mark(self) -> u32 {
        match self {
            Self::Before => USED,
            Self::Never => 0,
        }
    }

    pub(super) const fn of(marks: u32) -> Self {
        if marks & USED == 0 { Self::Never } else { Self::Before }
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
pub(super) struct Lens {
    /// Of each kind, by [`List`].
    pub(super) on: [[u64; 2]; 2],
    pub(super) apart: u64,
}

/// Pages that are to go to a list.
#[derive(Hash, Debug, Default)]
pub(super) struct Batch {
    pub(super) pages: [u64; MOST_BATCHED as usize],
    pub(super) used: usize,
}

/// A batch with its lock. Taken with interrupts off if the kernel wants that, as the node's: a
/// handler may release the last hold of a page (INV-MASK-3).
#[derive(Debug)]
pub(super) struct BatchLock(SpinLock<Batch>);

impl BatchLock {
    /// Without the section of [`Lru::batch`]: while nothing else runs.
    pub(super) fn alone(&self) -> SpinLocked<'_, Batch> {
        self.0.lock()
    }
}

impl Default for BatchLock {
    fn default() -> Self {
        Self(SpinLock::hashed(Batch::default()))
    }
}

/// A node's lists, locked.
pub(super) type Locked<'a> = Inside<SpinLocked<'a, Lens>>;

/// The lists of all nodes, and the batches of all CPUs.
#[derive(Debug)]
pub(super) struct Lru {
    base: u64,
    frames: usize,
    /// The neighbours of each frame, then of each list's own place.
    links: Vec<AtomicU64>,
    marks: Vec<AtomicU32>,
    pub(super) nodes: Vec<SpinLock<Lens>>,
    /// How old each node has become ([`crate::workingset`]).
    pub(super) ages: Vec<AtomicU64>,
    /// Of each kind.
    pub(super) refaults: Vec<[Refaults; 2]>,
    pub(super) batches: PerCpu<BatchLock>,
    /// How many pages make a batch full.
    pub(super) full: usize,
    pub(super) turns: Turns,
}

/// How many pages of a node and a kind have come back as in use.
#[derive(Debug, Default)]
pub(super) struct Refaults {
    pub(super) activated: AtomicU64,
    /// As many as there were when reclaim of the node ended last.
    pub(super) seen: AtomicU64,
    /// What reclaim of the kind has cost lately ([`crate::pressure`]).
    pub(super) cost: AtomicU64,
}

/// Who is short of frames and reclaims, one after the other.
#[derive(Debug)]
pub(crate) struct Turns {
    turn: RwSem<()>,
    /// How many turns have freed something.
    ended: AtomicU64,
}

impl Turns {
    const fn new() -> Self {
        Self { turn: RwSem::new(()), ended: AtomicU64::new(0) }
    }

    /// Waits for one's turn.
    pub(crate) fn take<'a, P: Park>(&'a self, park: &'a P) -> WriteGuard<'a, (), P> {
        self.turn.write(park)
    }

    /// How many turns have freed something until now.
    pub(crate) fn ended(&self) -> u64 {
        self.ended.read_once()
    }

    /// This one has, before it ends.
    pub(crate) fn end(&self) {
        self.ended.fetch_add(1);
    }
}

/// Pages that a batch had, whose references are the caller's now.
#[must_use]
pub(crate) struct Drained {
    batch: Batch,
    /// How many of them are apart now that were not.
    pub(crate) culled: u64,
    /// How many have come back from there.
    pub(crate) rescued: u64,
}

impl Drained {
    pub(super) const fn of(batch: Batch) -> Self {
        Self { batch, culled: 0, rescued: 0 }
    }

    pub(crate) fn pages(&self) -> impl Iterator<Item = Pfn> + '_ {
        self.batch.pages[..self.batch.used].iter().map(|pfn| Pfn(*pfn))
    }

    pub(super) const fn len(&self) -> usize {
        self.batch.used
    }

    pub(super) const fn page(&self, at: usize) -> Pfn {
        Pfn(self.batch.pages[at])
    }

    pub(super) fn note(&mut self, entered: Entered) {
        match entered {
            Entered::Plain => {}
            Entered::Culled => self.culled += 1,
            Entered::Rescued => self.rescued += 1,
        }
    }
}

impl Lru {
    /// Empty lists for `nodes` nodes, with room for `frames` frames from number `base` on.
    ///
    /// # Errors
    /// When the heap is exhausted, or there are more frames than links can name.
    pub(super) fn new(
        (base, frames): (u64, usize),
        nodes: usize,
        cpus: usize,
        batch: u32,
    ) -> Result<Self, NoMemory> {
        let places = frames.checked_add(LISTS * nodes).ok_or(NoMemory)?;
        if u32::try_from(places).is_err() {
            return Err(NoMemory);
        }
        let (mut links, mut marks) = (Vec::new(), Vec::new());
        let (mut locks, mut ages) = (Vec::new(), Vec::new());
        links.try_reserve_exact(places).map_err(|_| NoMemory)?;
        links.resize_with(places, || AtomicU64::new(0));
        marks.try_reserve_exact(frames).map_err(|_| NoMemory)?;
        marks.resize_with(frames, || AtomicU32::new(0));
        locks.try_reserve_exact(nodes).map_err(|_| NoMemory)?;
        locks.resize_with(nodes, || SpinLock::hashed(Lens::default()));
        ages.try_reserve_exact(nodes).map_err(|_| NoMemory)?;
        ages.resize_with(nodes, || AtomicU64::new(0));
        let mut refaults = Vec::new();
        refaults.try_reserve_exact(nodes).map_err(|_| NoMemory)?;
        refaults.resize_with(nodes, Default::default);
        for (own, links) in (0..).zip(&links).skip(frames) {
            links.init(Links { before: own, after: own }.bits());
        }
        Ok(Self {
            base,
            frames,
            links,
            marks,
            nodes: locks,
            ages,
            refaults,
            batches: PerCpu::new(cpus)?,
            full: batch.clamp(1, MOST_BATCHED) as usize,
            turns: Turns::new(),
        })
    }

    /// Names the words for a trace.
    pub(super) fn label(&self) {
        let (base, frames) = (self.base, self.frames);
        sync::label(self.links.as_ptr(), size_of_val(&*self.links), move |offset| {
            match offset / size_of::<AtomicU64>() {
                at if at < frames => CellName::Object {
                    object: "frame",
                    index: base + at as u64,
                    cell: "neighbours",
                },
                at => {
                    let index = ((at - frames) / LISTS) as u64;
                    CellName::Object { object: "node", index, cell: "ends of a list" }
                }
            }
        });
        sync::label(self.marks.as_ptr(), size_of_val(&*self.marks), move |offset| {
            let index = base + (offset / size_of::<AtomicU32>()) as u64;
            CellName::Object { object: "frame", index, cell: "list marks" }
        });
        sync::label(self.ages.as_ptr(), size_of_val(&*self.ages), |offset| {
            let index = (offset / size_of::<AtomicU64>()) as u64;
            CellName::Object { object: "node", index, cell: "age" }
        });
        let refaults = &self.refaults;
        sync::label(refaults.as_ptr(), size_of_val(&**refaults), |offset| {
            let index = (offset / size_of::<[Refaults; 2]>()) as u64;
            CellName::Object { object: "node", index, cell: "refaults" }
        });
        let turns = &self.turns;
        sync::label(&raw const *turns, size_of_val(turns), |offset| {
            let cell = RwSem::<()>::name(offset, "turn", "turns");
            CellName::Object { object: "reclaim", index: 0, cell }
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

    pub(super) fn lock(&self, node: NodeId) -> Locked<'_> {
        Inside::lock(Masks::Interrupts, || self.nodes[usize::from(node.0)].lock())
    }

    pub(super) fn batch(&self, cpu: usize) -> Inside<SpinLocked<'_, Batch>> {
        Inside::lock(Masks::Interrupts, || self.batches.of(cpu).0.lock())
    }

    fn place(&self, pfn: Pfn) -> u32 {
        (pfn.0 - self.base) as u32
    }

    pub(super) fn pfn(&self, place: u32) -> Pfn {
        Pfn(self.base + u64::from(place))
    }

    pub(super) fn marks(&self, pfn: Pfn) -> &AtomicU32 {
        &self.marks[(pfn.0 - self.base) as usize]
    }

    /// The own place of a list.
    pub(super) fn own(&self, node: NodeId, (kind, list): (Kind, List)) -> u32 {
        (self.frames + LISTS * usize::from(node.0) + 2 * kind as usize + list as usize) as u32
    }

    /// The neighbours of a place in a list whose lock the caller holds.
    pub(super) fn links(&self, place: u32) -> Links {
        Links::of_bits(self.links[place as usize].peek())
    }

    fn set_links(&self, place: u32, links: Links) {
        self.links[place as usize].write_once(links.bits());
    }

    /// Puts a place, which is in no list, after another of a list: after the list's own, before all
    /// others.
    pub(super) fn push(&self, at: u32, place: u32) {
        let links = self.links(at);
        self.set_links(place, Links { before: at, after: links.after });
        // A list without places has itself for neighbours.
        self.set_links(at, Links { after: place, ..links });
        let next = self.links(links.after);
        self.set_links(links.after, Links { before: place, ..next });
    }

    pub(super) fn cut(&self, place: u32) {
        let Links { before, after } = self.links(place);
        let of_before = self.links(before);
        self.set_links(before, Links { after, ..of_before });
        let of_after = self.links(after);
        self.set_links(after, Links { before, ..of_after });
    }

    /// Puts a page, which has no mark [`ON`], before all others of a list; or apart.
    pub(super) fn enter(&self, lens: &mut Lens, (node, list): (NodeId, List), pfn: Pfn) -> Entered {
        let kind = Kind::of(self.marks(pfn).peek());
        self.enter_after(self.own(node, (kind, list)), lens, (kind, list), pfn)
    }

    /// The same, of the list that its mark [`ACTIVE`] says.
    pub(super) fn enter_marked(&self, lens: &mut Lens, node: NodeId, pfn: Pfn) -> Entered {
        let marks = self.marks(pfn).read_once();
        let (kind, list) = (Kind::of(marks), List::of(marks));
        let own = self.own(node, (kind, list));
        if marks & (LOCKED | APART) != 0 {
            return self.enter_locked(own, lens, (kind, list), pfn);
        }
        lens.on[kind as usize][list as usize] += 1;
        self.push(own, self.place(pfn));
        self.marks(pfn).fetch_or(ON);
        Entered::Plain
    }

    /// As [`Lru::enter`], behind all others.
    pub(super) fn enter_last(
        &self,
        lens: &mut Lens,
        (node, list): (NodeId, List),
        pfn: Pfn,
    ) -> Entered {
        let kind = Kind::of(self.marks(pfn).peek());
        let last = self.links(self.own(node, (kind, list))).before;
        self.enter_after(last, lens, (kind, list), pfn)
    }

    fn enter_after(
        &self,
        at: u32,
        lens: &mut Lens,
        (kind, list): (Kind, List),
        pfn: Pfn,
    ) -> Entered {
        let marks = self.marks(pfn);
        // The lock keeps both as they are.
        if marks.peek() & (LOCKED | APART) != 0 {
            return self.enter_locked(at, lens, (kind, list), pfn);
        }
        lens.on[kind as usize][list as usize] += 1;
        self.push(at, self.place(pfn));
        if list == List::Inactive {
            marks.fetch_and(!ACTIVE);
        }
        marks.fetch_or(ON | list.mark());
        Entered::Plain
    }

    /// The same, of a page that is locked in memory, or has been so.
    #[cold]
    #[inline(never)]
    fn enter_locked(&self, at: u32, lens: &mut Lens, list: (Kind, List), pfn: Pfn) -> Entered {
        let marks = self.marks(pfn);
        let had = marks.peek();
        if had & LOCKED == 0 {
            marks.fetch_and(!APART);
            let _ = self.enter_after(at, lens, list, pfn);
            return Entered::Rescued;
        }
        lens.apart += 1;
        marks.fetch_and(!ACTIVE);
        marks.fetch_or(ON | APART);
        if had & APART == 0 { Entered::Culled } else { Entered::Plain }
    }

    /// Takes a page off its list, or from those that are apart, whose mark [`ON`] was taken off.
    pub(super) fn leave(&self, lens: &mut Lens, pfn: Pfn) {
        let marks = self.marks(pfn).read_once();
        if marks & APART != 0 {
            lens.apart -= 1;
            return;
        }
        lens.on[Kind::of(marks) as usize][List::of(marks) as usize] -= 1;
        self.cut(self.place(pfn));
    }

    /// Has the marks of a page say whether it counts locked entries, and puts it where they say, if
    /// it is on a list or apart.
    pub(super) fn settle(&self, node: NodeId, pfn: Pfn, locked: impl FnOnce() -> bool) -> Settled {
        let mut lens = self.lock(node);
        let marks = self.marks(pfn);
        // Under the lock: of those who have changed that, the last one to look sees what all did.
        let locked = locked();
        let had = if locked { marks.fetch_or(LOCKED) } else { marks.fetch_and(!LOCKED) };
        if locked == (had & APART != 0) {
            return Settled::Right(Entered::Plain);
        }
        if marks.fetch_and(!ON) & ON != 0 {
            self.leave(&mut lens, pfn);
            return Settled::Right(self.enter(&mut lens, (node, List::Inactive), pfn));
        }
        if locked { Settled::Right(Entered::Plain) } else { Settled::Stranded }
    }

    /// A page is of the kind [`Kind::File`] from now on, and not in use, if it is on a list.
    pub(super) fn turn_to_file(&self, node: NodeId, pfn: Pfn) {
        let mut lens = self.lock(node);
        let marks = self.marks(pfn);
        if marks.fetch_and(!ON) & ON == 0 {
            return;
        }
        self.leave(&mut lens, pfn);
        marks.fetch_or(FILE);
        marks.fetch_and(!REFERENCED);
        // One that is apart stays so.
        let _ = self.enter(&mut lens, (node, List::Inactive), pfn);
    }

    /// Ends what is known of a frame whose last reference is gone.
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
