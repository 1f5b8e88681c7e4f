//! Checks of the step that says what became of pages that were to move.

use super::super::ast::{Action, Memory, Name, Pages, Text};
use super::super::error::{Code, ScenarioError};
use super::super::span::Spanned;
use super::super::suggest::did_you_mean;
use super::super::words::{Status, Vocabulary};
use super::names::Point;
use super::{Checker, counted};

impl<'a> Checker<'a> {
    /// There is a status for each page or one for all, and a register keeps that of one page.
    pub(super) fn statuses(
        &mut self,
        (at, process): (Point, Option<&'a Name>),
        pages: &'a Pages,
        (expect, register): (&'a [Spanned<Status>], Option<&'a Name>),
    ) {
        let area = process.and_then(|process| self.names.area(process, &pages.area, at));
        let Some(area) = area else { return };
        let count = pages.extent.resolve(area.pages).1;
        let have = counted(count, "page", "pages");
        if let [first, .., last] = expect
            && expect.len() != count as usize
        {
            self.errors.push(
                ScenarioError::new(
                    Code::AmbiguousPage,
                    first.span.to(last.span),
                    format!("{} for {have}", counted(expect.len() as u32, "status", "statuses")),
                    "which of them?",
                )
                .help("write one for each page, or one that all are to have"),
            );
        }
        if let Some(register) = register.filter(|_| count > 1) {
            self.errors.push(
                ScenarioError::new(
                    Code::AmbiguousPage,
                    register.span,
                    format!("`{register}` keeps one status, and there are {have}"),
                    "of which of them?",
                )
                .help(format!("ask for one page, as in `move-pages {}[0]`", pages.area)),
            );
        }
    }

    /// There is memory set apart for what can move, if a step is about that.
    pub(super) fn has_memory(&mut self, node: Spanned<u32>, what: Memory) {
        let machine = &self.scenario.machine;
        let (there, word, none) = match what {
            Memory::All => return,
            Memory::Movable => {
                (machine.movable, "movable", "no memory is set apart for what can move")
            }
            Memory::Cma => (machine.cma, "cma", "no memory is there for contiguous requests"),
        };
        if there.is_none() {
            self.errors.push(
                ScenarioError::new(Code::Missing, node.span, none, "has none")
                    .help(format!("write `{word} N` in `machine`, or leave `{word}` out here")),
            );
        }
    }

    /// What a register holds that keeps a status is the word for one.
    pub(super) fn status_word(&mut self, register: &Name, word: &Text) {
        let keeps = |action: &Action| match action {
            Action::MovePages { register: Some(name), .. } => name == register,
            _ => false,
        };
        let is_status = self.scenario.steps().any(|step| keeps(&step.action));
        if is_status && Status::from_word(&word.value).is_none() {
            self.errors.push(
                ScenarioError::new(
                    Code::Unexpected,
                    word.span,
                    format!("\"{}\" is no status of a page", word.value),
                    format!("`{register}` is filled by `move-pages`"),
                )
                .maybe_help(did_you_mean(
                    &word.value,
                    "statuses",
                    Status::spellings(),
                )),
            );
        }
    }
}
