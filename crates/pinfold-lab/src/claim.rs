//! What a scenario states about the end of an execution: claims and outcomes.

use crate::cpu::Operation;
use crate::scenario::{Atom, Claim, ClaimMode, Fact, Outcome, Polarity, View};
use crate::world::World;

/// A fact, looked at.
pub(crate) struct Looked {
    /// Whether it is so.
    pub(crate) holds: bool,
    /// What was found in place of it or as it says.
    pub(crate) found: String,
}

impl World {
    /// Whether a claim is kept, and what each of its facts found.
    pub(crate) fn claim(&self, claim: &Claim) -> (bool, Vec<Looked>) {
        let looked: Vec<Looked> = claim.facts.iter().map(|fact| self.look(fact)).collect();
        let all = looked.iter().all(|fact| fact.holds);
        let kept = match claim.mode {
            ClaimMode::Holds => all,
            ClaimMode::Never => !all,
        };
        // What a step failed to make, as it might, has nothing to answer for.
        let unmade = claim.facts.iter().any(|fact| !self.is_made(fact));
        (kept || unmade, looked)
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
            View::Handle(place) => state.handles.contains_key(&place.name.value),
            View::Process { .. } => true,
        };
        match &fact.atom {
            Atom::Sees { view: seen, .. } => view(seen),
            Atom::Is { left, right } => view(left) && view(right),
            Atom::Register { register, .. } => state.registers.contains_key(&register.value),
        }
    }

    pub(crate) fn look(&self, fact: &Fact) -> Looked {
        let (holds, found) = match &fact.atom {
            Atom::Sees { view, word } => {
                let seen = self.content(view);
                (
                    seen.as_deref() == Some(word.value.as_str()),
                    seen.map_or_else(|| "nothing".to_owned(), |seen| format!("\"{seen}\"")),
                )
            }
            Atom::Is { left, right } => {
                let (left, right) = (self.frame(left), self.frame(right));
                let name = |frame: Option<pinfold::Pfn>| {
                    frame.map_or_else(|| "none".to_owned(), |frame| frame.to_string())
                };
                (left.is_some() && left == right, format!("{} and {}", name(left), name(right)))
            }
            Atom::Register { register, word } => {
                let value = self.state.borrow().registers.get(&register.value).copied();
                let seen = value.map(|value| self.words.text(value));
                (
                    seen.as_deref() == Some(word.value.as_str()),
                    seen.map_or_else(|| "unset".to_owned(), |seen| format!("\"{seen}\"")),
                )
            }
        };
        let holds = match fact.polarity {
            _ if !self.is_made(fact) => false,
            Polarity::Affirmed => holds,
            Polarity::Denied => !holds,
        };
        Looked { holds, found }
    }

    /// The word that a view finds: through the handle's frame, or by a load of the process.
    fn content(&self, view: &View) -> Option<String> {
        let value = match view {
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
        };
        Some(self.words.text(value))
    }

    /// The frame that a view leads to, without touching anything.
    fn frame(&self, view: &View) -> Option<pinfold::Pfn> {
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
