//! Checks of what is said about executions: claims and outcomes.

use super::super::ast::{Atom, Fact, Name, Place, View};
use super::super::error::{Code, ScenarioError};
use super::super::suggest::did_you_mean;
use super::Checker;
use super::names::Point;

impl<'a> Checker<'a> {
    pub(super) fn claims(&mut self) {
        let scenario = self.scenario;
        for fact in scenario.always.iter().flat_map(|claim| &claim.facts) {
            self.fact(fact);
        }
        let mut last: Option<&Name> = None;
        for outcome in &scenario.outcomes {
            if let Some(otherwise) = last {
                self.errors.push(
                    ScenarioError::new(
                        Code::DeadOutcome,
                        outcome.name.span,
                        format!("the outcome `{}` is never chosen", outcome.name),
                        "comes too late",
                    )
                    .related(otherwise.span, "takes every execution that gets here")
                    .help("put `otherwise` last"),
                );
            }
            if outcome.when.is_empty() {
                last = last.or(Some(&outcome.name));
            }
            outcome.when.iter().for_each(|fact| self.fact(fact));
        }
    }

    /// A view for which the page matters, not a word of it.
    fn page(&mut self, view: &'a View) {
        self.view(view);
        let (View::Handle(place) | View::Process { place, .. } | View::File(place)) = view;
        self.whole_page(place, "`is`");
    }

    fn fact(&mut self, fact: &'a Fact) {
        match &fact.atom {
            Atom::Sees { view, .. } => {
                self.view(view);
                if let View::Handle(place) = view {
                    self.holds_pages(place);
                }
            }
            Atom::Stores { place, .. } => self.stores(place),
            Atom::Holds { group, .. } => self.group(group),
            Atom::Is { left, right } => [left, right].into_iter().for_each(|view| self.page(view)),
            Atom::Dirty { view } | Atom::Large { view } | Atom::Merged { view } => self.page(view),
            Atom::OnNode { view, node } => {
                self.page(view);
                self.node(*node);
            }
            Atom::NodeHolds { node, .. } => self.node(*node),
            Atom::Cost { .. } => {}
            Atom::Huge { process, place }
            | Atom::SoftDirty { process, place }
            | Atom::Resident { process, place } => {
                self.owned(process, place);
                self.whole_page(place, "`is`");
            }
            Atom::Register { register, word } => {
                self.status_word(register, word);
                if !self.names.has_register(register) {
                    let help = if self.names.handle(register).is_some() {
                        Some(format!("`{register}` is a handle: write `{register} sees \"...\"`"))
                    } else {
                        did_you_mean(register, "registers", self.names.registers())
                            .or_else(|| Some(format!("fill it by a read: `read A as {register}`")))
                    };
                    self.errors.push(
                        ScenarioError::new(
                            Code::UnknownRegister,
                            register.span,
                            format!("no read fills the register `{register}`"),
                            "unknown register",
                        )
                        .maybe_help(help),
                    );
                }
            }
        }
    }

    fn view(&mut self, view: &'a View) {
        match view {
            View::Handle(place) => self.handle_place(Point::END, place),
            View::File(place) => self.file_place(place, None),
            View::Process { process, place } => self.owned(process, place),
        }
    }

    /// A page of a process.
    fn owned(&mut self, process: &'a Name, place: &'a Place) {
        if self.names.process(process).is_some() {
            self.area_place(Point::END, Some(process), place);
        } else {
            self.unknown_process(process, Point::END);
        }
    }
}
