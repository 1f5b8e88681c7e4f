//! The story of one execution: its lanes as rows, and why it broke.
//!
//! The journal says what happened in the order in which it took effect; the explorer's accesses, if
//! the execution was repeated for them, say which reads were old. From both:
//!
//! 1. `ledger` gives each line its step, and says what a page mapped and who held a frame at it;
//! 2. `stale` finds the accesses that were not up to date;
//! 3. `why` follows the chain that parted the two sides of a finding;
//! 4. `rows` draws the lanes, and marks what the explanation cites;
//! 5. `scenes` shows the machine at each row;
//! 6. `sums` says what the counts of a row are made of.

use std::collections::BTreeSet;

use pinfold::rules::{Rules, Switch};
use pinfold_explore::Access;

use crate::about::{About, Cause};
use crate::journal::{Journal, What};
use crate::report::{Decision, Explained, Trace};
use crate::scenario::Scenario;
use crate::words::Words;

use ledger::Ledger;
use rows::Rows;
use scenes::Scenes;
use why::Teller;
pub(crate) use why::in_force;

mod ledger;
mod rows;
mod scenes;
mod stale;
mod sums;
#[cfg(test)]
mod tests;
mod why;

/// An execution to be told.
pub(crate) struct Telling<'a> {
    pub(crate) scenario: &'a Scenario,
    pub(crate) rules: &'a Rules,
    pub(crate) words: &'a Words,
    pub(crate) journal: &'a Journal,
    /// What its first finding is about; empty if nothing broke, or if that is not known.
    pub(crate) about: &'a [About],
    /// What ended it before its lanes had returned, if something did.
    pub(crate) cause: Option<Cause>,
    /// Whether something broke.
    pub(crate) broke: bool,
    /// Its shared accesses, if they were recorded, and the names of the explorer's lanes.
    pub(crate) accesses: &'a [Access],
    pub(crate) lanes: &'a [String],
}

/// An execution as a report has it.
pub(crate) struct Told {
    pub(crate) trace: Trace,
    /// What there is to say of each row.
    pub(crate) explained: Vec<Explained>,
    pub(crate) decisions: Vec<Decision>,
    pub(crate) why: Vec<String>,
}

impl Telling<'_> {
    /// Tells the execution.
    pub(crate) fn tell(&self) -> Told {
        let ledger = Ledger::new(self.journal);
        let stale = stale::find(
            self.scenario,
            (self.accesses, self.lanes),
            &self.journal.places,
            self.words,
        );
        let why::Explained { sentences, cited, blamed } = if self.broke {
            let mut teller = Teller::new(&ledger, self.rules, self.words, (&stale, self.cause));
            self.about.iter().for_each(|about| teller.explain(about));
            if self.about.is_empty() {
                teller.last_step();
            }
            teller.finish()
        } else {
            why::Explained::default()
        };
        let marks = self.rules.knows_exclusive_mark();
        let rows = Rows {
            scenario: self.scenario,
            ledger: &ledger,
            words: self.words,
            marks,
            stale: &stale,
            cut_off: self.cause.is_some(),
            cited: &cited,
        };
        let (trace, spans) = rows.draw();
        let mut explained = Scenes::new(self.journal, self.words, self.rules).explain(&spans);
        for (told, span) in explained.iter_mut().zip(&spans) {
            told.sum = span.told.and_then(|line| ledger.sums(line, self.rules));
        }
        let decisions = decisions(self.journal, self.rules, &blamed);
        Told { trace, explained, decisions, why: sentences }
    }
}

/// The decisions of rules, in order, without repeating one; `blamed` are the rules of the
/// explanation.
fn decisions(journal: &Journal, rules: &Rules, blamed: &BTreeSet<Switch>) -> Vec<Decision> {
    let mut decisions: Vec<Decision> = Vec::new();
    for line in &journal.lines {
        let What::Event(event) = &line.what else { continue };
        let Some(decision) = event.kind.decision() else { continue };
        let next = Decision {
            rule: decision.rule.name().to_owned(),
            text: decision.to_string(),
            in_force: in_force(rules, decision.rule),
            told: blamed.contains(&decision.rule),
        };
        if decisions.last() != Some(&next) {
            decisions.push(next);
        }
    }
    decisions
}
