//! A folio of four pages, some of them held, what lanes do to it, and what must hold at the end:
//! every reference and mapping is counted, on the page that it is of, and when all are given back
//! every frame is free.

use std::cell::RefCell;
use std::rc::Rc;

use pinfold::lab::{self, Holder};
use pinfold::pin::{Ask, Path};
use pinfold::rules::large::{Tally, tally};
use pinfold::sync::Shared;
use pinfold::{
    Access, AddressSpace, Advice, Flags, Limits, Memory, NodeId, NodeSpan, PIN_BIAS, Pfn, Place,
    PmdMapping, Prot, Reference, Refs, Rules, Sharing, Term, Tuning, VirtAddr, VirtRange,
};
use pinfold_explore::{
    Config, Ending, Judgement, Lanes, LockForm, Model, Report, Subject, explore,
};

use super::Tables;
use super::mmu::Marks;
use super::platform::{Bare, FRAMES, Form, Lookup, Walkers};

/// Pages of the folio, which lies at these numbers.
const FIRST: u64 = 4;
const PAGES: u64 = 4;
/// The page on the head, and one on a tail.
pub(crate) const HEAD: u64 = 0;
pub(crate) const TAIL: u64 = 1;

/// What a lane does with a page of the folio.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Act {
    /// Takes a reference by the frame's number, and keeps it.
    Walk(u64),
    /// Takes one more reference through the first that is held, and keeps it.
    Again,
    /// Takes a reference through the entry, without a lock or not at all, and keeps it.
    Fast(u64),
    /// The same under the lock of the table.
    Slow(u64),
    /// Gives back the first reference that the lane has taken.
    Drop,
    /// Gives back what was held before the lanes.
    Put,
    /// Takes the entry out.
    DontNeed(u64),
    Fork,
    Split,
}

/// Some lanes on a folio, of which some pages were got before.
pub(crate) struct Case {
    held: Vec<u64>,
    unmapped: Option<u64>,
    walkers: Walkers,
    lanes: Vec<Vec<Act>>,
    pub(crate) rules: Rules,
}

impl Case {
    pub(crate) fn new(held: &[u64], lanes: &[&[Act]], rules: &str) -> Self {
        Self {
            held: held.to_vec(),
            unmapped: None,
            walkers: Walkers::Each,
            lanes: lanes.iter().map(|lane| lane.to_vec()).collect(),
            rules: Rules::parse(rules).expect("the rules exist"),
        }
    }

    /// The entry of a page was taken out before the lanes.
    pub(crate) fn without(mut self, page: u64) -> Self {
        self.unmapped = Some(page);
        self
    }

    /// On a machine whose sections open without a barrier, which is less than its contract: a
    /// control.
    pub(crate) fn unfenced(mut self) -> Self {
        self.walkers = Walkers::Unfenced;
        self
    }

    pub(crate) fn search(&mut self, model: Model, most: u64) -> Report {
        let config = Config {
            model,
            locks: LockForm::Object,
            max_executions: Some(most),
            shrink_runs: 0,
            ..Config::default()
        };
        explore(self, &config, &mut |_| {})
    }
}

impl Subject for Case {
    type World = Rc<World>;

    fn build(&mut self, lanes: &mut Lanes<'_>) -> Rc<World> {
        let world = Rc::new(World::new(self));
        for (lane, acts) in self.lanes.iter().enumerate() {
            let (world, acts) = (Rc::clone(&world), acts.clone());
            lanes.lane(format!("lane {lane}"), move || {
                acts.iter().for_each(|act| world.act(lane, *act));
            });
        }
        world
    }

    fn judge(&mut self, world: Rc<World>, ending: Ending<'_>) -> Judgement {
        if ending != Ending::Finished {
            return Judgement::Pass { outcome: String::new() };
        }
        match world.judge() {
            Ok(outcome) => Judgement::Pass { outcome },
            Err(message) => Judgement::Fail { outcome: String::new(), message },
        }
    }
}

/// A reference that a lane has taken, which is never empty.
enum Taken {
    One(Reference<Bare>),
    Page(Refs<Bare>),
}

impl Taken {
    fn pfn(&self) -> Pfn {
        match self {
            Self::One(one) => one.pfn(),
            Self::Page(refs) => refs.pages()[0],
        }
    }
}

/// Everything of one execution.
pub(crate) struct World {
    memory: Shared<Memory<Bare>>,
    owner: AddressSpace<Bare>,
    children: RefCell<Vec<AddressSpace<Bare>>>,
    head: Pfn,
    held: RefCell<Option<Refs<Bare>>>,
    taken: Vec<RefCell<Vec<Taken>>>,
    free: u64,
}

fn page(index: u64) -> VirtRange {
    VirtRange::new(VirtAddr::of_page(FIRST + index), 1).expect("a page")
}

impl World {
    fn new(case: &Case) -> Self {
        let span = |node: u8| NodeSpan {
            node: NodeId(node),
            first: Pfn(u64::from(node) * FRAMES),
            frames: FRAMES,
        };
        let form = Form { walkers: case.walkers, marks: Marks::Hardware, lookup: Lookup::Hardware };
        let machine = Bare::new(case.lanes.len(), std::iter::empty(), form);
        let tuning = Tuning {
            folios_advised: 1 << PAGES.ilog2(),
            pmd_mapping: PmdMapping::Off,
            ..Tuning::default()
        };
        // SAFETY: the machine was made for this world and has these frames.
        let memory =
            unsafe { Memory::new(machine, &[span(0), span(1)], case.rules, tuning) }.expect("room");
        let free = memory.frames().total_free();
        let owner = AddressSpace::new(&memory, Limits::of_format::<Tables>()).expect("a root");
        let at = Place::At(VirtAddr::of_page(FIRST));
        let all = owner.map(at, PAGES, Prot::READ_WRITE, Sharing::Private).expect("room");
        owner.advise(all, Advice::HugePage).expect("mapped");
        owner.populate(all, Access::Write).expect("frames");
        let head = owner.entry(all.start()).pfn();
        assert!(lab::large_folio(memory.frames(), head).is_some_and(|folio| folio.head == head));
        // One guard for all, through which more are taken.
        let held = case.held.first().map(|first| {
            let range = VirtRange::new(page(*first).start(), case.held.len() as u64);
            owner.get(range.expect("a run"), Access::Read).expect("mapped")
        });
        if let Some(unmapped) = case.unmapped {
            owner.advise(page(unmapped), Advice::DontNeed).expect("mapped");
        }
        Self {
            owner,
            children: RefCell::default(),
            head,
            held: RefCell::new(held),
            taken: case.lanes.iter().map(|_| RefCell::default()).collect(),
            free,
            memory,
        }
    }

    fn keep(&self, lane: usize, taken: Option<Taken>) {
        self.taken[lane].borrow_mut().extend(taken);
    }

    fn get(&self, lane: usize, index: u64, path: Path) {
        let ask = Ask::new(Access::Read, Term::Short).path(path);
        let got = self.owner.get_with(page(index), ask);
        self.keep(lane, got.ok().map(Taken::Page));
    }

    fn act(&self, lane: usize, act: Act) {
        match act {
            Act::Walk(index) => {
                let pfn = Pfn(self.head.0 + index);
                self.keep(lane, Memory::try_reference(&self.memory, pfn).map(Taken::One));
            }
            Act::Again => {
                let held = self.held.borrow();
                let more = held.as_ref().and_then(|held| Reference::through(held, 0));
                drop(held);
                self.keep(lane, more.map(Taken::One));
            }
            Act::Fast(index) => self.get(lane, index, Path::FastOnly),
            Act::Slow(index) => self.get(lane, index, Path::SlowOnly),
            Act::Drop => {
                let mut taken = self.taken[lane].borrow_mut();
                let first = (!taken.is_empty()).then(|| taken.remove(0));
                drop(taken);
                drop(first);
            }
            Act::Put => {
                let held = self.held.borrow_mut().take();
                drop(held);
            }
            Act::DontNeed(index) => {
                self.owner.advise(page(index), Advice::DontNeed).expect("mapped");
            }
            Act::Fork => {
                let child = self.owner.fork().expect("frames");
                self.children.borrow_mut().push(child);
            }
            Act::Split => {
                let at = VirtAddr::of_page(FIRST + PAGES - 1);
                let _may_fail = self.owner.split_folio(at);
            }
        }
    }

    /// What happened, if all counts add up, and every frame is free when everything has gone.
    fn judge(&self) -> Result<String, String> {
        let held = self.held.borrow().as_ref().map_or(Vec::new(), |held| held.pages().to_vec());
        let taken = self.taken.iter().map(|of| of.borrow().len()).collect::<Vec<_>>();
        let mine =
            |of: &RefCell<Vec<Taken>>| of.borrow().iter().map(Taken::pfn).collect::<Vec<_>>();
        let all = self.taken.iter().flat_map(mine).chain(held).collect::<Vec<_>>();
        self.audit(&all)?;
        let whole = lab::large_folio(self.memory.frames(), self.head).is_some();
        let outcome = format!("{taken:?}, {}", if whole { "whole" } else { "split" });
        self.taken.iter().for_each(|of| of.borrow_mut().clear());
        *self.held.borrow_mut() = None;
        self.children.borrow_mut().clear();
        let gone = self.owner.unmap(VirtRange::new(page(0).start(), PAGES).expect("a run"));
        gone.expect("mapped");
        if let Some(bug) = self.memory.platform().bugs().first() {
            return Err(format!("at the end {bug}"));
        }
        let free = self.memory.frames().total_free();
        // The owner's tables are left.
        let mut tables = 0;
        lab::account(&self.owner, |_, _| tables += 1);
        if free + tables != self.free {
            return Err(format!("{free} frames and {tables} tables of {} are left", self.free));
        }
        Ok(outcome)
    }

    /// Adds up what entries and holders have, by page, and compares it with what frames say.
    fn audit(&self, held: &[Pfn]) -> Result<(), String> {
        let frames = self.memory.frames();
        let mut due = vec![(0, 0); frames.all().count()];
        let children = self.children.borrow();
        for space in children.iter().chain([&self.owner]) {
            lab::account(space, |pfn, holder| {
                let (refs, maps) = &mut due[pfn.0 as usize];
                *refs += 1;
                *maps += u32::from(holder == Holder::Mapping);
            });
        }
        due[self.memory.zero_page().0 as usize].0 += 1;
        let mut taken = vec![0; due.len()];
        for pfn in held {
            due[pfn.0 as usize].0 += 1;
            taken[pfn.0 as usize] += 1;
        }
        let tally = tally(self.memory.rule());
        for pfn in frames.all() {
            let counts = lab::counts(frames, pfn);
            let (mut refs, mut maps) = due[pfn.0 as usize];
            if let Some(folio) = lab::large_folio(frames, pfn) {
                let all = (folio.head.0..folio.head.0 + folio.pages).map(|of| due[of as usize]);
                if pfn == folio.head {
                    (refs, maps) = all.fold((0, 0), |sum, of| (sum.0 + of.0, sum.1 + of.1));
                } else {
                    (refs, maps) = match tally {
                        Tally::Head => (0, counts.maps()),
                        Tally::HeadAndTail => (taken[pfn.0 as usize], counts.maps()),
                        Tally::HeadAndMapcount => (0, taken[pfn.0 as usize]),
                    };
                }
                if folio.owners_locked || folio.tails_locked || folio.pins / PIN_BIAS != 0 {
                    return Err(format!("{folio:?}"));
                }
            }
            if (counts.refs(), counts.maps()) != (refs, maps) {
                return Err(format!("{pfn} has {counts}; {refs} and {maps} are accounted for"));
            }
            let flags = lab::flags(frames, pfn);
            let free = refs == 0 && !flags.contains(Flags::TAIL);
            if flags.intersects(Flags::LOCKED | Flags::WAITERS) || free && counts.is_exclusive() {
                return Err(format!("{pfn} is left with {flags:?}, {counts}"));
            }
        }
        Ok(())
    }
}
