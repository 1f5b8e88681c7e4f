//! The scenario language: text in the manner of litmus tests.
//!
//! A scenario says which processes, areas, pins and devices there are (`setup`), what happens
//! concurrently (`lane`), and what must hold at the end of every execution (`always`). It names no
//! rule set: the same file runs under all of them. `docs/scenario-language.md` is its manual.
//!
//! * [`parse`] turns text into a [`Scenario`] or into every error it can find, each with a span.
//! * [`render`] draws errors with the line and a caret; the machine uses it for run-time errors.
//! * [`format`](format()) writes the canonical text, comments included.
//! * [`json`] is the versioned JSON form.
//!
//! Invariants of a scenario that [`parse`] returned:
//!
//! 1. Every area, process, handle, register, CPU and node that is named exists, and an area or
//!    handle that a straight line of steps needs was made before.
//! 2. Page and word indexes are in bounds, and no range is empty.
//! 3. A handle is released at most once, in the way it was taken, and not used afterwards.
//! 4. Spans lie on character boundaries of the text that was parsed.

mod ast;
mod check;
mod error;
mod format;
pub mod json;
mod lexer;
mod needs;
mod parser;
mod render;
mod span;
mod suggest;
#[cfg(test)]
mod tests;
mod words;

pub use ast::*;
pub use error::{Code, ScenarioError};
pub use format::format;
pub(crate) use needs::{absent_interfaces, check_interfaces};
pub use render::{MOST_DRAWN, Style, render};
pub use span::{Position, Span, Spanned};
pub use words::RESERVED;
pub use words::{
    Access, Activity, Advice, Failure, Numa, Protection, Sharing, Spent, Status, SwapChanges,
    SwapKind, Thp, Ticked, UffdReason, UffdWord, Verb, Waits,
};

/// Reads a scenario.
///
/// # Errors
///
/// Every error that can be distinguished, in the order of the text.
pub fn parse(source: &str) -> Result<Scenario, Vec<ScenarioError>> {
    let scenario = parser::read(source)?;
    let errors = check::check(&scenario);
    if errors.is_empty() { Ok(scenario) } else { Err(errors) }
}

/// Errors for the `reach` lines that name none of the events that the machine knows.
pub fn check_events(scenario: &Scenario, known: &[&str]) -> Vec<ScenarioError> {
    check::check_events(scenario, known)
}
