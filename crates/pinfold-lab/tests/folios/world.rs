//! Everything of one execution, and how its lanes run.

use std::cell::RefCell;
use std::rc::Rc;

use pinfold::lab;
use pinfold::pin::{Ask, Path};
use pinfold::sync::Shared;
use pinfold::{
    Access, AddressSpace, Advice, Limits, Memory, NewFrames, NodeId, NodeSpan, Pfn, Pins, Place,
    Placement, PmdMapping, Prot, Reference, Refs, Remap, Rules, Sharing, Term, Tuning, VirtAddr,
    VirtRange, Zone,
};

use super::Tables;
use super::mmu::Marks;
use super::operations::{ASIDE, Act, BESIDE, FIRST, PAGES, Part, Seen, Setup, TAIL, What, Who};
use super::platform::{Bare, FRAMES, Form, Lookup, Walkers};

/// What is stored to a page before the lanes.
pub(crate) fn old(page: u64) -> u64 {
    page
}

/// The value that a store of step `step` of a lane brings.
pub(crate) fn stamp(who: Who, lane: usize, step: usize) -> u64 {
    100 * (who as u64 + 1) + 10 * lane as u64 + step as u64
}

/// What keeps a folio from being split until it is let go.
pub(crate) enum Held {
    Pins(Pins<Bare>),
    Refs(Refs<Bare>),
}

impl Held {
    pub(crate) fn pages(&self) -> &[Pfn] {
        match self {
            Self::Pins(pins) => pins.pages(),
            Self::Refs(refs) => refs.pages(),
        }
    }
}

/// Everything of one execution.
pub(crate) struct World {
    pub(super) setup: Setup,
    pub(super) lanes: Vec<Vec<Act>>,
    pub(super) memory: Shared<Memory<Bare>>,
    /// The owner's space and the child's, until they exit.
    pub(super) spaces: RefCell<[Option<Rc<AddressSpace<Bare>>>; 2]>,
    pub(super) forked: RefCell<Vec<(Who, AddressSpace<Bare>)>>,
    /// The first frame of the folio, or that it had.
    pub(super) head: Pfn,
    pub(super) before: RefCell<Option<Pins<Bare>>>,
    pub(super) held: RefCell<Vec<(Who, Held)>>,
    pub(super) references: RefCell<Vec<Reference<Bare>>>,
    pub(super) log: RefCell<Vec<Vec<Seen>>>,
    /// Free frames at the end, with those that are kept.
    pub(super) free: u64,
    /// Runs of frames that the embedder has, and a single one.
    pub(super) kept: RefCell<Vec<Pfn>>,
}

pub(crate) fn range(first: u64, pages: u64) -> VirtRange {
    VirtRange::new(VirtAddr::of_page(first), pages).expect("pages of the small format")
}

fn part(part: Part) -> VirtRange {
    match part {
        Part::All => range(FIRST, PAGES),
        Part::Lower => range(FIRST, PAGES / 2),
        Part::Upper => range(FIRST + PAGES / 2, PAGES / 2),
        Part::Tails => range(FIRST + 1, PAGES - 1),
    }
}

/// What a result is to the judge; `keep` looks after what was obtained.
fn seen<T, E: Into<Seen>>(result: Result<T, E>, keep: impl FnOnce(T) -> Seen) -> Seen {
    result.map_or_else(Into::into, keep)
}

impl World {
    /// The world before the lanes.
    pub(crate) fn new(
        (setup, pmd_mapping): (Setup, PmdMapping),
        lanes: &[Vec<Act>],
        rules: Rules,
    ) -> Self {
        let runs = |lane: &&Vec<Act>| {
            let accesses = |what| {
                matches!(what, What::Load | What::Store | What::StoreHead | What::StoreBeside)
            };
            lane.iter().any(|(_, what)| accesses(*what))
        };
        let cpus = (0..).zip(lanes).filter(|(_, lane)| runs(lane)).map(|(lane, _)| lane);
        let span = |node: u8| NodeSpan {
            node: NodeId(node),
            first: Pfn(u64::from(node) * FRAMES),
            frames: FRAMES,
        };
        let form =
            Form { walkers: Walkers::Each, marks: Marks::Hardware, lookup: Lookup::Hardware };
        let machine = Bare::new(lanes.len(), cpus, form);
        let tuning = Tuning {
            migrate_passes: 1,
            hint_passes: 1,
            folios_advised: 1 << PAGES.ilog2(),
            pmd_mapping,
            ..Tuning::default()
        };
        // SAFETY: the machine was made for this world and has these frames.
        let memory =
            unsafe { Memory::new(machine, &[span(0), span(1)], rules, tuning) }.expect("frames");
        let free = memory.frames().total_free();
        let owner = AddressSpace::new(&memory, Limits::of_format::<Tables>()).expect("a root");
        let machine = memory.platform();
        let all = part(Part::All);
        let at = Place::At(all.start());
        owner.map(at, PAGES, Prot::READ_WRITE, Sharing::Private).expect("room");
        if !setup.is_small() {
            owner.advise(all, Advice::HugePage).expect("mapped");
        }
        if setup.is_written() {
            for page in FIRST..FIRST + PAGES {
                machine.access(&owner, page, Some(old(page))).expect("mapped");
            }
        }
        owner.advise(all, Advice::HugePage).expect("mapped");
        let kept = if setup == Setup::Reused {
            let beside = range(BESIDE, PAGES);
            let place = Place::At(beside.start());
            owner.map(place, PAGES, Prot::READ_WRITE, Sharing::Private).expect("room");
            owner.advise(beside, Advice::HugePage).expect("mapped");
            all_runs(&memory)
        } else {
            Vec::new()
        };
        let head =
            if setup.is_written() { owner.entry(all.start()).pfn() } else { Pfn(FRAMES + PAGES) };
        let large = !setup.is_small() && setup != Setup::Untouched;
        assert_eq!(lab::large_folio(memory.frames(), head).is_some(), large, "{setup:?}");
        let (mut child, mut before) = (None, None);
        match setup {
            Setup::Untouched | Setup::Whole | Setup::Small | Setup::Reused => {}
            Setup::Forked | Setup::SmallForked => {
                child = Some(Rc::new(owner.fork().expect("frames")))
            }
            Setup::Alone => drop(owner.fork().expect("frames")),
            Setup::Partly => owner.advise(part(Part::Upper), Advice::DontNeed).expect("mapped"),
            Setup::Halves => {
                let space = owner.fork().expect("frames");
                owner.unmap(part(Part::Upper)).expect("mapped");
                space.unmap(part(Part::Lower)).expect("mapped");
                child = Some(Rc::new(space));
            }
            Setup::Moved => move_half(&owner).expect("room"),
            Setup::Hinted => {
                owner.numa_scan(all);
            }
            Setup::Pinned | Setup::SmallPinned => {
                let one = range(TAIL, 1);
                before = Some(owner.pin(one, Access::Write, Term::Long).expect("mapped"));
            }
        }
        Self {
            setup,
            lanes: lanes.to_vec(),
            spaces: RefCell::new([Some(Rc::new(owner)), child]),
            forked: RefCell::default(),
            head,
            before: RefCell::new(before),
            held: RefCell::default(),
            references: RefCell::default(),
            log: RefCell::new(vec![Vec::new(); lanes.len()]),
            free,
            kept: RefCell::new(kept),
            memory,
        }
    }

    pub(super) fn machine(&self) -> &Bare {
        self.memory.platform()
    }

    fn space(&self, who: Who) -> Rc<AddressSpace<Bare>> {
        self.spaces.borrow()[who as usize].clone().expect("nobody uses what exits")
    }

    /// Runs one lane.
    pub(crate) fn run(&self, lane: usize) {
        for (step, act) in self.lanes[lane].iter().enumerate() {
            let seen = self.act(*act, stamp(act.0, lane, step));
            self.log.borrow_mut()[lane].push(seen);
        }
    }

    /// What is done to the machine, or with a space that nobody else uses.
    fn act_beside(&self, (who, what): Act) -> Option<Seen> {
        match what {
            What::LetGo => {
                let before = self.before.borrow_mut().take();
                drop(before);
            }
            What::Exit => {
                let space = self.spaces.borrow_mut()[who as usize].take();
                drop(space);
            }
            What::Reference | What::ReferenceHead => {
                // Of small pages the third one's frame, which becomes a tail or a table.
                let tail = if self.setup == Setup::Reused { 2 } else { 1 };
                let pfn = Pfn(self.head.0 + if what == What::Reference { tail } else { 0 });
                let Some(taken) = Memory::try_reference(&self.memory, pfn) else {
                    return Some(Seen::WouldBlock);
                };
                self.references.borrow_mut().push(taken);
            }
            What::GiveFrame => {
                let frame = self.kept.borrow_mut().pop().expect("it has one");
                // SAFETY: it was taken in `all_runs` and is no longer in the list.
                drop(unsafe { NewFrames::kept(self.memory.frames(), frame) });
            }
            What::SplitQueued => {
                let splits = self.memory.split_partly_mapped(1);
                return Some(Seen::Splits(splits.split, splits.failed));
            }
            _ => return None,
        }
        Some(Seen::Done)
    }

    fn act(&self, act: Act, value: u64) -> Seen {
        if let Some(seen) = self.act_beside(act) {
            return seen;
        }
        let ((who, what), machine) = (act, self.machine());
        let (space, all) = (self.space(who), part(Part::All));
        let hold = |held: Held| {
            self.held.borrow_mut().push((who, held));
            Seen::Done
        };
        let pin =
            |ask: Ask| seen(space.pin_with(range(TAIL, 1), ask), |pins| hold(Held::Pins(pins)));
        let done = |()| Seen::Done;
        match what {
            What::Load => seen(machine.access(&space, TAIL, None), Seen::Value),
            What::Store => seen(machine.access(&space, TAIL, Some(value)), Seen::Value),
            What::StoreBeside => seen(machine.access(&space, BESIDE, Some(value)), Seen::Value),
            What::StoreHead => seen(machine.access(&space, FIRST, Some(value)), Seen::Value),
            What::PinWrite => pin(Ask::new(Access::Write, Term::Long)),
            What::PinRead => pin(Ask::new(Access::Read, Term::Long)),
            What::PinFast => pin(Ask::new(Access::Write, Term::Short).path(Path::FastOnly)),
            What::Get => {
                seen(space.get(range(TAIL, 1), Access::Read), |refs| hold(Held::Refs(refs)))
            }
            What::Split => {
                let there = (FIRST..FIRST + PAGES).map(VirtAddr::of_page);
                let at = there.into_iter().find(|at| space.entry(*at).is_mapped());
                seen(space.split_folio(at.unwrap_or(all.start())), done)
            }
            What::Collapse => seen(space.collapse(all), |_| Seen::Done),
            What::Unmap(pages) => seen(space.unmap(part(pages)), done),
            What::DontNeed(pages) => seen(space.advise(part(pages), Advice::DontNeed), done),
            What::Move => seen(move_half(&space), done),
            What::ReadOnly => seen(space.protect(part(Part::Lower), Prot::READ), done),
            What::Writable => seen(space.protect(part(Part::Lower), Prot::READ_WRITE), done),
            What::Lock => seen(space.mlock(part(Part::Lower)), done),
            What::Unlock => seen(space.munlock(part(Part::Lower)), done),
            What::Fork => seen(space.fork(), |child| {
                self.forked.borrow_mut().push((who, child));
                Seen::Done
            }),
            What::Scan => {
                space.numa_scan(all);
                Seen::Done
            }
            What::Migrate => {
                space.migrate(all, NodeId(1));
                Seen::Done
            }
            What::LetGo
            | What::Exit
            | What::GiveFrame
            | What::Reference
            | What::ReferenceHead
            | What::SplitQueued => unreachable!("done beside"),
        }
    }

    pub(super) fn let_go(&self) {
        drop(self.held.take());
        drop(self.before.take());
        drop(self.references.take());
    }
}

/// Takes all frames that a folio could be made of; single ones are left, the one beside those of
/// small pages at last.
fn all_runs(memory: &Memory<Bare>) -> Vec<Pfn> {
    let frames = memory.frames();
    let first = Placement::Only(NodeId(0));
    let [beside, kept, last] = [(); 3].map(|()| frames.take(first).expect("it is not full"));
    drop(beside);
    drop(last);
    let near = Placement::Prefer(NodeId(1));
    let take = || frames.take_run(PAGES.ilog2(), near, Zone::Movable).ok();
    let runs = core::iter::from_fn(take).map(NewFrames::keep);
    runs.chain([kept.keep()]).collect()
}

/// Moves the upper half of the folio's memory.
fn move_half(space: &AddressSpace<Bare>) -> Result<(), pinfold::SpaceError> {
    let to = Remap::To(VirtAddr::of_page(ASIDE));
    space.remap(part(Part::Upper), PAGES / 2, to).map(drop)
}

impl Drop for World {
    /// Throws the machine away in whatever state it is. Nothing is left to do after a judgement
    /// that ended well.
    fn drop(&mut self) {
        self.let_go();
        let forked = self.forked.take().into_iter().map(|(_, space)| space);
        let spaces = self.spaces.take().into_iter().flatten().filter_map(Rc::into_inner);
        // SAFETY: all of the machine is thrown away here; the holds went just before.
        forked.chain(spaces).for_each(|space| unsafe { lab::abandon(space) });
    }
}
