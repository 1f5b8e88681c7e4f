//! `pinfold calls`: which system call takes what on a process's pages, and the words for it.

use super::Answer;
use crate::args::{CallsArgs, Format};
use crate::calls::Call;
use crate::console::Console;
use crate::failure::Failure;
use crate::render::{calls as render, json};
use pinfold_lab::report::{FORMAT, Verdict};
use serde::Serialize;

/// Lists them, or shows one.
///
/// # Errors
/// When there is no such call, or the result cannot be written.
pub(crate) fn calls(args: &CallsArgs, console: &mut Console) -> Answer {
    let look = console.look();
    let known = match &args.name {
        Some(name) => Some(Call::named(name).ok_or_else(|| Failure::NoCall(name.clone()))?),
        None => None,
    };
    let text = match (args.format, known) {
        (Format::Human, Some(known)) => render::one(known, look),
        (Format::Human, None) => render::list(look),
        (Format::Json, Some(known)) => json::document(&Document::of(std::slice::from_ref(known)))?,
        (Format::Json, None) => json::document(&Document::of(Call::ALL))?,
    };
    console.print(&text)?;
    Ok(Verdict::Pass.exit_code())
}

#[derive(Serialize)]
struct Document {
    pinfold: u32,
    calls: Vec<One>,
}

#[derive(Serialize)]
struct One {
    name: &'static str,
    title: &'static str,
    also: &'static [&'static str],
    takes: Vec<Taken>,
    words: &'static [&'static str],
    fork: &'static str,
    scenarios: &'static [&'static str],
    facts: &'static str,
}

#[derive(Serialize)]
struct Taken {
    /// The first release with it.
    from: &'static str,
    /// `get`, `pin`, `notifier` or `nothing`.
    hold: &'static str,
    how: &'static str,
    evidence: &'static str,
}

impl Document {
    fn of(calls: &'static [Call]) -> Self {
        let one = |call: &Call| One {
            name: call.name,
            title: call.title,
            also: call.also,
            takes: call
                .eras
                .iter()
                .map(|era| Taken {
                    from: era.from,
                    hold: era.hold.name(),
                    how: era.how,
                    evidence: era.mark,
                })
                .collect(),
            words: call.words,
            fork: call.fork,
            scenarios: call.scenarios,
            facts: call.facts,
        };
        Self { pinfold: FORMAT, calls: calls.iter().map(one).collect() }
    }
}
