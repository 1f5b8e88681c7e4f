//! What a scenario states about the end of an execution: claims and outcomes.

use pinfold::{Flags, Pfn, VirtAddr, lab};

use crate::about::{About, Spot};
use crate::cpu::Operation;
use crate::scenario::{Atom, Claim, ClaimMode, Fact, Outcome, Polarity, Text, View};
use crate::world::World;

/// A fact that was looked at.
pub(crate) struct Looked {
    /// Whether it holds.
    pub(crate) holds: bool,
    pub(crate) found: Found,
}

/// What was found instead of the fact, or in agreement with it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Found {
    Word(Option<u64>),
    Register(Option<u64>),
    Frames(Option<Pfn>, Option<Pfn>),
    /// Whether a write is on record, if there is a page.
    Dirty(Option<bool>),
}

impl World {
    /// Whether a claim is kept, and what each of its facts found.
    pub(crate) fn claim(&self, claim: &Claim) -> (bool, Vec<Looked>) {
        let looked: Vec<Looked> = claim.facts.iter().map(|fact| self.look(fact)).collect();
        let kept = match claim.mode {
            // A fact about something that a step was allowed to fail to make, and did not make,
            // counts as holding; the other facts must hold.
            ClaimMode::Holds => {
                let mut facts = claim.facts.iter().zip(&looked);
                facts.all(|(fact, looked)| looked.holds || !self.is_made(fact))
            }
            // A fact about what was not made does not hold, so such a claim is kept.
            ClaimMode::Never => !looked.iter().all(|fact| fact.holds),
        };
        (kept, looked)
    }

    /// The label of the execution: the first outcome whose facts all hold.
    pub(crate) fn outcome(&self, outcomes: &[Outcome]) -> String {
        let met =
            outcomes.iter().find(|outcome| outcome.when.iter().all(|fact| self.look(fact).holds));
        met.map_or_else(|| "done".to_owned(), |outcome| outcome.name.value.clone())
    }

    /// Whether what the fact is about was made: a step that may fail may have failed to.
    fn is_made(&self, fact: &Fact) -> bool {
        let state = self.state.borrow();
        let view = |view: &View| match view {
            View::Handle(place) => state.handles.get(&place.name.value).is_some(),
            View::Process { .. } => true,
        };
        match &fact.atom {
            Atom::Sees { view: seen, .. } | Atom::Dirty { view: seen } => view(seen),
            Atom::Is { left, right } => view(left) && view(right),
            Atom::Register { register, .. } => state.registers.get(&register.value).is_some(),
        }
    }

    pub(crate) fn look(&self, fact: &Fact) -> Looked {
        let is = |seen: Option<u64>, word: &Text| {
            seen.is_some_and(|value| self.words.is(value, &word.value))
        };
        let (holds, found) = match &fact.atom {
            Atom::Sees { view, word } => {
                let seen = self.content(view);
                (is(seen, word), Found::Word(seen))
            }
            Atom::Is { left, right } => {
                let (left, right) = (self.frame(left), self.frame(right));
                (left.is_some() && left == right, Found::Frames(left, right))
            }
            Atom::Dirty { view } => {
                let dirty = self.dirty(view);
                (dirty == Some(true), Found::Dirty(dirty))
            }
            Atom::Register { register, word } => {
                let seen = self.state.borrow().registers.get(&register.value).copied();
                (is(seen, word), Found::Register(seen))
            }
        };
        let holds = match fact.polarity {
            _ if !self.is_made(fact) => false,
            Polarity::Affirmed => holds,
            Polarity::Denied => !holds,
        };
        Looked { holds, found }
    }

    /// What a fact that does not hold is about.
    pub(crate) fn about(&self, fact: &Fact, looked: &Looked) -> Option<About> {
        let page = |view: &View| match view {
            View::Handle(_) => None,
            View::Process { process, place } => {
                let (space, target, _) = self.target(&process.value, place).ok()?;
                Some((space.id(), target.page))
            }
        };
        match (&fact.atom, looked.found) {
            (Atom::Sees { view, word }, Found::Word(found)) => {
                let spot = match view {
                    View::Handle(place) => {
                        Spot::Handle(place.name.value.clone(), self.frame(view)?)
                    }
                    View::Process { .. } => Spot::Page(page(view)?, self.frame(view)),
                };
                let place = match view {
                    View::Handle(place) | View::Process { place, .. } => place,
                };
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
            Found::Dirty(None) => "none".to_owned(),
            Found::Dirty(Some(dirty)) => if dirty { "dirty" } else { "clean" }.to_owned(),
        }
    }

    /// The word that a view finds: through the handle's frame, or by a load by the process.
    fn content(&self, view: &View) -> Option<u64> {
        Some(match view {
            View::Handle(place) => {
                let frame = self.frame(view)?;
                self.machine().word(frame, place.word() as usize).peek()
            }
            View::Process { process, place } => {
                let cpu = self.state.borrow().processes.get(&process.value)?.cpu;
                self.machine().alone_on(cpu);
                let (space, target, _) = self.target(&process.value, place).ok()?;
                self.machine().access(&space, target, Operation::Load).ok()?
            }
        })
    }

    /// Whether a write to the page is on record, without touching anything. Through a handle, only
    /// the page itself is checked.
    fn dirty(&self, view: &View) -> Option<bool> {
        let frame = self.frame(view)?;
        let page = lab::flags(self.memory.frames(), frame).contains(Flags::DIRTY);
        let entry = match view {
            View::Handle(_) => false,
            View::Process { process, place } => {
                let (space, target, _) = self.target(&process.value, place).ok()?;
                space.entry(VirtAddr::of_page(target.page)).is_dirty()
            }
        };
        Some(page || entry)
    }

    /// The frame that a view leads to, without touching anything.
    fn frame(&self, view: &View) -> Option<Pfn> {
        match view {
            View::Handle(place) => {
                let state = self.state.borrow();
                state.handles.get(&place.name.value)?.frames.get(place.page() as usize).copied()
            }
            View::Process { process, place } => {
                let (space, target, _) = self.target(&process.value, place).ok()?;
                self.mapped(space.root(), target.page)
            }
        }
    }
}
