//! What a scenario states about the end of an execution: claims and outcomes.
//!
//! - INV-CLAIM-1: looking changes no answer. What only looks is looked at first: frames, registers,
//!   marks, and words through handles. What reads as a process does, and may fault, comes after it.
//!   Each fact is looked at once, however many claims and outcomes state it.

use std::rc::Rc;

use pinfold::{
    AddressSpace, Flags, Group, NodeId, Pfn, SpaceError, SpaceId, VirtAddr, VirtRange, lab,
};

use crate::about::{About, Spot};
use crate::counted::counted;
use crate::cpu::{Operation, Target};
use crate::files::NamedFile;
use crate::folios;
use crate::hardware::Level;
use crate::machine::Machine;
use crate::scenario::{
    Atom, Claim, ClaimMode, Fact, Name, Place, Polarity, Scenario, Spent, Text, View,
};
use crate::spaces::Inhabited;
use crate::world::{FOLIO_ORDER, Handle, World};

/// What was found instead of the fact, or in agreement with it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Found {
    Word(Option<u64>),
    Register(Option<u64>),
    Frames(Option<Pfn>, Option<Pfn>),
    /// Whether a write is on record, if there is a page.
    Dirty(Option<bool>),
    /// How many pages the page's folio has, if there is a page.
    FolioOf(Option<u64>),
    /// Which entry maps the page, if one does.
    Mapped(Option<Level>),
    /// Whether the page may have been stored to, if it is mapped.
    SoftDirty(Option<bool>),
    /// Whether the page is in memory, if it is mapped.
    Resident(Option<bool>),
    /// Whether it is a merged page, if there is a page.
    Merged(Option<bool>),
    /// The node of the page, if there is one.
    Node(Option<NodeId>),
    /// How many pages are charged, or lie on a node.
    Pages(u64),
    /// How many the lanes cost.
    Spent(Spent, u64),
}

/// What there was at the end of an execution, for each thing that a claim or an outcome states.
pub(crate) struct Ends<'a> {
    scenario: &'a Scenario,
    seen: Vec<Seen<'a>>,
}

/// What was found where an atom looks.
struct Seen<'a> {
    atom: &'a Atom,
    /// Whether everything that it is about was made: a step that may fail may have failed to.
    made: bool,
    /// Whether the atom is true.
    is: bool,
    found: Found,
}

impl<'a> Ends<'a> {
    /// Looks at the end of an execution: INV-CLAIM-1.
    pub(crate) fn of(world: &World, scenario: &'a Scenario) -> Self {
        let mut atoms: Vec<&Atom> = Vec::new();
        for fact in scenario.facts() {
            if !atoms.contains(&&fact.atom) {
                atoms.push(&fact.atom);
            }
        }
        let (reads, looks): (Vec<_>, Vec<_>) =
            atoms.into_iter().partition(|atom| world.reads(atom));
        let seen = looks.into_iter().chain(reads).map(|atom| world.look(atom)).collect();
        Self { scenario, seen }
    }

    /// Each claim, whether it is kept, and what each of its facts found.
    pub(crate) fn claims(&self) -> impl Iterator<Item = (&'a Claim, bool, Vec<Found>)> {
        self.scenario.always.iter().map(|claim| {
            let kept = match claim.mode {
                // A fact about something that a step was allowed to fail to make, and did not make,
                // counts as holding; the other facts must hold.
                ClaimMode::Holds => {
                    claim.facts.iter().all(|fact| !self.seen(fact).made || self.holds(fact))
                }
                // A fact about what was not made does not hold, so such a claim is kept.
                ClaimMode::Never => !claim.facts.iter().all(|fact| self.holds(fact)),
            };
            (claim, kept, claim.facts.iter().map(|fact| self.seen(fact).found).collect())
        })
    }

    /// The facts for which a claim is not kept, and what they found.
    pub(crate) fn faults(&self, claim: &'a Claim) -> impl Iterator<Item = (&'a Fact, Found)> {
        let at_fault = move |fact: &&Fact| match claim.mode {
            ClaimMode::Holds => self.seen(fact).made && !self.holds(fact),
            ClaimMode::Never => self.holds(fact),
        };
        let facts = claim.facts.iter().filter(at_fault);
        facts.map(|fact| (fact, self.seen(fact).found))
    }

    /// The label of the execution: the first outcome whose facts all hold.
    pub(crate) fn outcome(&self) -> String {
        let mut outcomes = self.scenario.outcomes.iter();
        let met = outcomes.find(|outcome| outcome.when.iter().all(|fact| self.holds(fact)));
        met.map_or_else(|| "done".to_owned(), |outcome| outcome.name.value.clone())
    }

    fn holds(&self, fact: &Fact) -> bool {
        let Seen { made, is, .. } = *self.seen(fact);
        made && match fact.polarity {
            Polarity::Affirmed => is,
            Polarity::Denied => !is,
        }
    }

    fn seen(&self, fact: &Fact) -> &Seen<'a> {
        let seen = self.seen.iter().find(|seen| *seen.atom == fact.atom);
        seen.expect("every fact of the scenario was looked at")
    }
}

impl World {
    /// Whether looking at an atom is an access that may fault: by a process, or by a device that
    /// follows one.
    fn reads(&self, atom: &Atom) -> bool {
        match atom {
            Atom::Sees { view: View::Process { .. }, .. } => true,
            Atom::Sees { view: View::Handle(place), .. } => {
                let state = self.state.borrow();
                state.handles.get(&place.name.value).is_some_and(Handle::follows)
            }
            Atom::Sees { view: View::File(_), .. }
            | Atom::Stores { .. }
            | Atom::Holds { .. }
            | Atom::Is { .. }
            | Atom::Dirty { .. }
            | Atom::Large { .. }
            | Atom::Merged { .. }
            | Atom::OnNode { .. }
            | Atom::NodeHolds { .. }
            | Atom::Cost { .. }
            | Atom::Huge { .. }
            | Atom::SoftDirty { .. }
            | Atom::Resident { .. }
            | Atom::Register { .. } => false,
        }
    }

    /// Whether what the atom is about was made.
    fn is_made(&self, atom: &Atom) -> bool {
        let state = self.state.borrow();
        let process = |process: &Name| state.processes.get(&process.value).is_some();
        let view = |view: &View| match view {
            View::Handle(place) => state.handles.get(&place.name.value).is_some(),
            View::Process { process: name, .. } => process(name),
            View::File(_) => true,
        };
        match atom {
            Atom::Sees { view: seen, .. }
            | Atom::Dirty { view: seen }
            | Atom::Large { view: seen }
            | Atom::Merged { view: seen }
            | Atom::OnNode { view: seen, .. } => view(seen),
            Atom::Huge { process: name, .. }
            | Atom::SoftDirty { process: name, .. }
            | Atom::Resident { process: name, .. } => process(name),
            Atom::Stores { .. }
            | Atom::Holds { .. }
            | Atom::NodeHolds { .. }
            | Atom::Cost { .. } => true,
            Atom::Is { left, right } => view(left) && view(right),
            Atom::Register { register, .. } => state.registers.get(&register.value).is_some(),
        }
    }

    fn look<'a>(&self, atom: &'a Atom) -> Seen<'a> {
        let says = |seen: Option<u64>, word: &Text| {
            seen.is_some_and(|value| self.words.is(value, &word.value))
        };
        let (is, found) = match atom {
            Atom::Sees { view, word } => {
                let seen = self.content(view);
                (says(seen, word), Found::Word(seen))
            }
            Atom::Stores { place, word } => {
                let stored = self.in_file(place, |file, at| file.stored(at));
                (says(stored, word), Found::Word(stored))
            }
            Atom::Holds { group, pages } => {
                let charged = self.with_group(group, Group::charged).unwrap_or_default();
                (charged == u64::from(pages.value), Found::Pages(charged))
            }
            Atom::Is { left, right } => {
                let (left, right) = (self.frame(left), self.frame(right));
                (left.is_some() && left == right, Found::Frames(left, right))
            }
            Atom::Dirty { view } => {
                let dirty = self.dirty(view);
                (dirty == Some(true), Found::Dirty(dirty))
            }
            Atom::Large { view } => {
                let pages = self.frame(view).map(|frame| self.folio_pages(frame));
                (pages.is_some_and(|pages| pages > 1), Found::FolioOf(pages))
            }
            Atom::Merged { view } => {
                let merged = self
                    .frame(view)
                    .map(|frame| lab::is_merged(lab::flags(self.memory.frames(), frame)));
                (merged == Some(true), Found::Merged(merged))
            }
            Atom::OnNode { view, node } => {
                let on = self.frame(view).map(|frame| self.memory.frames().node(frame));
                (on == Some(NodeId(node.value as u8)), Found::Node(on))
            }
            Atom::NodeHolds { node, pages } => {
                let held = self.held_on(NodeId(node.value as u8));
                (held == u64::from(pages.value), Found::Pages(held))
            }
            Atom::Cost { bound, count, of } => {
                let spent = self.meter.spent(of.value);
                (bound.admits(spent, count.value), Found::Spent(of.value, spent))
            }
            Atom::Huge { process, place } => {
                let level = self.level(&process.value, place);
                (level == Some(Level::Above), Found::Mapped(level))
            }
            Atom::SoftDirty { process, place } => {
                let soft_dirty =
                    self.page_told(process, place, |space, at| space.is_soft_dirty(at));
                (soft_dirty == Some(true), Found::SoftDirty(soft_dirty))
            }
            Atom::Resident { process, place } => {
                let resident = self.page_told(process, place, |space, at| {
                    let mut is = false;
                    space.resident(VirtRange::new(at, 1)?, |told| is = told).map(|()| is)
                });
                (resident == Some(true), Found::Resident(resident))
            }
            Atom::Register { register, word } => {
                let seen = self.state.borrow().registers.get(&register.value).copied();
                (says(seen, word), Found::Register(seen))
            }
        };
        Seen { atom, made: self.is_made(atom), is, found }
    }

    /// What a fact that does not hold is about.
    pub(crate) fn about(&self, fact: &Fact, found: Found) -> Option<About> {
        let page = |view: &View| match view {
            View::Handle(_) | View::File(_) => None,
            View::Process { process, place } => {
                let (space, target, _) = self.target(&process.value, place).ok()?;
                Some((space.id(), target.page))
            }
        };
        match (&fact.atom, found) {
            (Atom::Sees { view, word }, Found::Word(found)) => {
                let spot = match view {
                    View::Handle(place) => {
                        Spot::Handle(place.name.value.clone(), self.frame(view)?)
                    }
                    View::Process { .. } => Spot::Page(page(view)?, self.frame(view)),
                    View::File(_) => Spot::File(self.frame(view)?),
                };
                let (View::Handle(place) | View::Process { place, .. } | View::File(place)) = view;
                let wanted = match fact.polarity {
                    Polarity::Affirmed => self.words.find(&word.value),
                    Polarity::Denied => None,
                };
                Some(About::Word { spot, word: place.word() as usize, wanted, found })
            }
            (Atom::Is { left, right }, _) => match (left, right) {
                (View::Handle(place), owner) | (owner, View::Handle(place)) => {
                    let handle = place.name.value.clone();
                    let frame = self.frame(&View::Handle(place.clone()))?;
                    Some(About::Parted { handle, frame, page: page(owner)? })
                }
                (one, other) => Some(About::Pages(page(one)?, page(other)?)),
            },
            (Atom::Dirty { view }, _) => page(view).map(About::Clean),
            (Atom::Large { view } | Atom::Merged { view } | Atom::OnNode { view, .. }, _) => {
                self.frame(view).map(About::Frame)
            }
            (
                Atom::Huge { process, place }
                | Atom::SoftDirty { process, place }
                | Atom::Resident { process, place },
                _,
            ) => {
                let (space, target, _) = self.target(&process.value, place).ok()?;
                self.page_of(&space, target.page).map(About::Frame)
            }
            (Atom::Register { register, .. }, Found::Register(found)) => {
                Some(About::Register { name: register.value.clone(), found })
            }
            _ => None,
        }
    }

    /// What was found, in words.
    pub(crate) fn tell_found(&self, found: Found) -> String {
        let word = |value: Option<u64>, none: &str| {
            value.map_or_else(|| none.to_owned(), |value| format!("\"{}\"", self.words.text(value)))
        };
        let frame =
            |frame: Option<Pfn>| frame.map_or_else(|| "none".to_owned(), |frame| frame.to_string());
        match found {
            Found::Word(value) => word(value, "nothing"),
            Found::Register(value) => word(value, "unset"),
            Found::Frames(left, right) => format!("{} and {}", frame(left), frame(right)),
            Found::Pages(pages) => counted(pages, "page", "pages"),
            Found::FolioOf(None) => "none".to_owned(),
            Found::FolioOf(Some(pages)) => {
                format!("a folio of {}", counted(pages, "page", "pages"))
            }
            Found::Spent(of, count) => format!("{count} {}", of.after(count)),
            Found::Merged(Some(is)) => if is { "merged" } else { "not merged" }.to_owned(),
            Found::Node(Some(node)) => node.to_string(),
            Found::Merged(None) | Found::Node(None) | Found::Mapped(None) => "none".to_owned(),
            Found::Mapped(Some(Level::Last)) => "an entry of its own".to_owned(),
            Found::Mapped(Some(Level::Above)) => "one entry for all of them".to_owned(),
            Found::Dirty(None) | Found::SoftDirty(None) | Found::Resident(None) => {
                "none".to_owned()
            }
            Found::SoftDirty(Some(is)) => if is { "soft-dirty" } else { "not" }.to_owned(),
            Found::Resident(Some(is)) => if is { "in memory" } else { "not" }.to_owned(),
            Found::Dirty(Some(dirty)) => if dirty { "dirty" } else { "clean" }.to_owned(),
        }
    }

    /// The word that a view finds: through the handle's frame, by a load by the process, or in the
    /// file.
    fn content(&self, view: &View) -> Option<u64> {
        Some(match view {
            View::Handle(place) => match self.followed(place) {
                Some((space, page)) => {
                    let space = self.space(space)?;
                    let target = Target { page, word: place.word() as usize };
                    self.machine().follow(&space, target, Operation::Load).ok()?.1
                }
                None => {
                    let frame = self.frame(view)?;
                    self.machine().word(frame, place.word() as usize).peek()
                }
            },
            View::Process { process, place } => {
                let cpu = self.state.borrow().processes.get(&process.value)?.cpu;
                self.machine().alone_on(cpu);
                let (space, target, _) = self.target(&process.value, place).ok()?;
                self.machine().access(&space, target, Operation::Load).ok()?
            }
            View::File(place) => self.in_file(place, |file, at| file.word(self.machine(), at))?,
        })
    }

    /// Whether a write to the page is on record, without touching anything. Through a handle and of
    /// a file, only the page itself is checked.
    fn dirty(&self, view: &View) -> Option<bool> {
        let frame = self.frame(view)?;
        let page = lab::flags(self.memory.frames(), frame).contains(Flags::DIRTY);
        let entry = match view {
            View::Handle(_) | View::File(_) => false,
            View::Process { process, place } => {
                let (space, target, _) = self.target(&process.value, place).ok()?;
                space.entry(VirtAddr::of_page(target.page)).is_dirty()
            }
        };
        Some(page || entry)
    }

    /// How many frames of a node hold something that is no page table, and not the zero page.
    fn held_on(&self, node: NodeId) -> u64 {
        let frames = self.memory.frames();
        let holds = |pfn: &Pfn| {
            let other = Flags::RESERVED | Flags::TABLE | Flags::ZERO;
            frames.node(*pfn) == node
                && !lab::flags(frames, *pfn).intersects(other)
                && (lab::large_folio(frames, *pfn).is_some()
                    || lab::counts(frames, *pfn).refs() > 0)
        };
        frames.all().filter(holds).count() as u64
    }

    /// Which entry maps a page of a process, without touching anything.
    fn level(&self, process: &str, place: &Place) -> Option<Level> {
        let (space, target, _) = self.target(process, place).ok()?;
        let (pte, level) = self.machine().look(space.root(), target.page);
        pte.is_mapped().then_some(level)
    }

    /// What the manager tells of a page of a process, if that is mapped, without touching anything.
    fn page_told(
        &self,
        process: &Name,
        place: &Place,
        ask: impl FnOnce(&AddressSpace<Machine>, VirtAddr) -> Result<bool, SpaceError>,
    ) -> Option<bool> {
        let (space, target, _) = self.target(&process.value, place).ok()?;
        ask(&space, VirtAddr::of_page(target.page)).ok()
    }

    /// How many pages the folio of a frame has, without touching anything.
    fn folio_pages(&self, frame: Pfn) -> u64 {
        match self.memory.is_huge_zero(frame) {
            true => 1 << FOLIO_ORDER,
            false => folios::large(self.memory.frames(), frame).map_or(1, |run| run.pages),
        }
    }

    /// The frame that a view leads to, without touching anything.
    fn frame(&self, view: &View) -> Option<Pfn> {
        match view {
            View::Handle(place) => match self.followed(place) {
                Some((space, page)) => {
                    // A device that has not filed the page would ask for the process's own.
                    let space = self.space(space)?;
                    let filed = self.machine().followers()?.filed(space.id(), page);
                    filed.or_else(|| self.page_of(&space, page))
                }
                None => {
                    let state = self.state.borrow();
                    state.handles.get(&place.name.value)?.frames.get(place.page() as usize).copied()
                }
            },
            View::Process { process, place } => {
                let (space, target, _) = self.target(&process.value, place).ok()?;
                self.page_of(&space, target.page)
            }
            View::File(place) => self.in_file(place, |file, (page, _)| file.frame(page)),
        }
    }

    /// What there is at a place of a file.
    fn in_file<R>(
        &self,
        place: &Place,
        look: impl FnOnce(&NamedFile, (u64, usize)) -> Option<R>,
    ) -> Option<R> {
        let at = (u64::from(place.page()), place.word() as usize);
        self.with_file(&place.name, |file| look(file, at)).flatten()
    }

    /// The frame of a page. Shared memory has its page whether this process has touched it yet or
    /// not.
    fn page_of(&self, space: &AddressSpace<Machine>, page: u64) -> Option<Pfn> {
        self.mapped(space.root(), page).or_else(|| lab::shared_page(space, VirtAddr::of_page(page)))
    }

    /// The address space and the page that a handle means, if its device follows.
    fn followed(&self, place: &Place) -> Option<(SpaceId, u64)> {
        let state = self.state.borrow();
        let handle = state.handles.get(&place.name.value).filter(|handle| handle.follows())?;
        Some((handle.space, handle.page(place.page())))
    }

    fn space(&self, id: SpaceId) -> Option<Rc<Inhabited>> {
        self.state.borrow().space(id).cloned()
    }
}
