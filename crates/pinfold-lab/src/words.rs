//! The words of a scenario as numbers, which is what memory holds: `0` is unset memory.
//!
//! All of them are numbered before the first execution, in the order of the scenario's text, so a
//! word has the same number in all executions and on all threads.

use crate::scenario::{Action, Peek, Poke, Scenario, Status, Step};

/// The words that a scenario's steps store, expect or may find.
#[derive(Debug)]
pub(crate) struct Words {
    texts: Vec<String>,
}

impl Words {
    /// The words of a scenario.
    pub(crate) fn of(scenario: &Scenario) -> Self {
        Self::number(scenario.steps().flat_map(words))
    }

    /// These words, numbered in order.
    pub(crate) fn number<'a>(words: impl IntoIterator<Item = &'a str>) -> Self {
        let mut texts: Vec<String> = Vec::new();
        for word in words {
            if word != "0" && !texts.iter().any(|known| known == word) {
                texts.push(word.to_owned());
            }
        }
        Self { texts }
    }

    /// The number of a word.
    ///
    /// # Panics
    /// When no step of the scenario has the word.
    pub(crate) fn value(&self, text: &str) -> u64 {
        self.find(text).expect("a word of the scenario")
    }

    /// The number of a word, if a step of the scenario has it.
    pub(crate) fn find(&self, text: &str) -> Option<u64> {
        if text == "0" {
            return Some(0);
        }
        let at = self.texts.iter().position(|known| known == text)?;
        Some(at as u64 + 1)
    }

    /// How many words there are, with `0`.
    pub(crate) fn count(&self) -> u64 {
        self.texts.len() as u64 + 1
    }

    /// Whether a number belongs to a word.
    pub(crate) fn is(&self, value: u64, text: &str) -> bool {
        match value.checked_sub(1) {
            None => text == "0",
            Some(at) => match self.texts.get(at as usize) {
                Some(known) => known == text,
                None => self.text(value) == text,
            },
        }
    }

    /// The word with this number.
    pub(crate) fn text(&self, value: u64) -> String {
        match value.checked_sub(1) {
            None => "0".to_owned(),
            Some(at) => {
                let known = self.texts.get(at as usize).cloned();
                known.unwrap_or_else(|| format!("{value:#x}"))
            }
        }
    }
}

/// The words that a step stores, expects, or may find.
fn words(step: &Step) -> impl Iterator<Item = &str> {
    let statuses = match &step.action {
        Action::MovePages { register: Some(_), .. } => Status::ALL,
        _ => &[],
    };
    word(step).into_iter().chain(statuses.iter().map(|status| status.as_str()))
}

/// The word that a step stores or expects.
fn word(step: &Step) -> Option<&str> {
    let word = match &step.action {
        Action::Write { word, .. }
        | Action::DeviceWrite { word, .. }
        | Action::FileWrite { word, .. }
        | Action::UffdCopy { word, .. }
        | Action::VmWrite { poke: Poke { word, .. } }
        | Action::PtraceWrite { poke: Poke { word, .. } } => Some(word),
        Action::Read { expect, .. }
        | Action::DeviceRead { expect, .. }
        | Action::FileRead { expect, .. }
        | Action::VmRead { peek: Peek { expect, .. } }
        | Action::PtraceRead { peek: Peek { expect, .. } } => expect.as_ref(),
        _ => None,
    };
    word.map(|word| word.value.as_str())
}
