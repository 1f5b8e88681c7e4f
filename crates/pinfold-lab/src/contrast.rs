//! Where two executions of a scenario part: what one of them decides, and the other does not.
//!
//! Both are taken step by step, as each lane makes its steps in the order in which they are
//! written. Of a step counts what the memory manager reports of it, a rule's decision by what it
//! tested and found, so neither what a lane loads and stores nor when another interrupts it.
//!
//! - INV-CONTRAST-1: nothing is told that is not in one of the two, and nothing that is in both;
//!   nor of a step that one of them does not come to.
//! - INV-CONTRAST-2: of the steps that differ the one comes first whose difference the switch in
//!   question has decided, and of several the one that comes first in the execution explained.

use serde::Serialize;

use crate::report::{Report, Row, RowKind};

/// Where an execution parts from the one that is explained.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Contrast {
    /// The first difference.
    pub first: Parting,
    /// The difference in the last step that WHY is about, if that is another one, or, within that
    /// step, in the last thing that WHY is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<Parting>,
    /// Whether both come to the first difference in the same order: the same steps have begun, one
    /// after the other, and those that were interrupted are the same.
    pub same_order: bool,
}

/// A difference within a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Parting {
    /// The step's number in the execution that is explained.
    pub step: u32,
    /// The step, as a trace shows it.
    pub text: String,
    /// What the execution that is explained does there; nothing if it has nothing more to tell.
    pub here: Option<Deed>,
    /// What the other one does.
    pub there: Option<Deed>,
}

/// What an execution does in a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Deed {
    /// In words: a rule's decision, or what was reported.
    pub text: String,
    /// What the counts in it are made of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sum: Option<String>,
}

/// A step, with what was reported of it.
struct Step<'a> {
    lane: Option<usize>,
    /// Its place among the steps of its lane.
    place: usize,
    row: &'a Row,
    /// The index of that row.
    at: usize,
    /// What was reported, each with the index of its row.
    told: Vec<Told<'a>>,
    /// Whether WHY is about something that was reported of it.
    cited: bool,
}

/// Something that was reported.
struct Told<'a> {
    at: usize,
    text: &'a str,
    rule: Option<&'a str>,
    sum: Option<&'a str>,
    /// Whether WHY is about it.
    cited: bool,
}

impl Told<'_> {
    fn deed(&self) -> Deed {
        Deed { text: self.text.to_owned(), sum: self.sum.map(str::to_owned) }
    }
}

/// A step that differs.
struct Differing {
    /// Another switch has decided the first difference, or none.
    undecided: bool,
    /// The row of that difference, and the one of the other execution.
    at: usize,
    there: usize,
    /// Whether WHY is about the step.
    cited: bool,
    parting: Parting,
    /// The difference in the last thing in it that WHY is about, if that comes later.
    end: Option<Parting>,
}

impl Contrast {
    /// Where `there` parts from `here`, which is explained, if what was reported differs. Both are
    /// of one scenario, and have what there is to say of each row; `switch` is what their rules
    /// differ in.
    pub fn between(switch: &str, here: &Report, there: &Report) -> Option<Self> {
        let (own, other) = (steps(here), steps(there));
        let mut differing: Vec<Differing> = Vec::new();
        for step in &own {
            let same = |one: &&Step<'_>| (one.lane, one.place) == (step.lane, step.place);
            // What was never come to there, as it broke before, decides nothing in another way.
            let Some(other) = other.iter().find(same) else { continue };
            let known = &other.told;
            let both = step.told.iter().zip(known);
            let common = both.take_while(|(one, other)| one.text == other.text).count();
            let (one, counterpart) = (step.told.get(common), known.get(common));
            if one.is_none() && counterpart.is_none() {
                continue;
            }
            let decided = [one, counterpart].iter().flatten().any(|told| told.rule == Some(switch));
            let step_text = &step.row.text;
            let parting = |one: Option<&Told<'_>>, other: Option<&Told<'_>>| {
                let (here, there) = (one.map(Told::deed), other.map(Told::deed));
                let step = step.row.step.unwrap_or_default();
                Parting { step, text: step_text.clone(), here, there }
            };
            // The same thing with other numbers.
            let end = step.told.iter().skip(common + 1).rfind(|told| told.cited).and_then(|end| {
                let alike = |told: &&Told<'_>| plain(told.text) == plain(end.text);
                let there = known.iter().skip(common).rfind(alike);
                let there = there.filter(|there| there.text != end.text)?;
                Some(parting(Some(end), Some(there)))
            });
            differing.push(Differing {
                undecided: !decided,
                at: one.or(step.told.last()).map_or(step.at, |told| told.at),
                there: counterpart.or(known.last()).map_or(other.at, |told| told.at),
                cited: step.cited,
                parting: parting(one, counterpart),
                end,
            });
        }
        let first = differing.iter().min_by_key(|one| (one.undecided, one.at))?;
        let later = |one: &&Differing| one.cited && one.parting.step > first.parting.step;
        let last = differing.iter().filter(later).max_by_key(|one| one.parting.step);
        let last = last.map(|one| one.parting.clone()).or_else(|| first.end.clone());
        let same_order = order(here, first.at) == order(there, first.there);
        Some(Self { first: first.parting.clone(), last, same_order })
    }
}

/// The order in which lanes have run before a row and in it: a lane's next step, or what it goes on
/// with, and, where another lane goes on, whether the step was left unfinished.
fn order(report: &Report, until: usize) -> Vec<(Option<usize>, Turn)> {
    let mut turns: Vec<(Option<usize>, Turn)> = Vec::new();
    let rows = report.trace.iter().flat_map(|trace| trace.rows.iter().take(until + 1));
    for row in rows.filter(|row| row.lane.is_some()) {
        let turn = match row.kind {
            RowKind::Step => Turn::Begins,
            RowKind::Switch if row.text.contains("is not finished") => Turn::Interrupted,
            RowKind::Switch => Turn::Over,
            RowKind::Note | RowKind::Claims => continue,
        };
        turns.push((row.lane, turn));
    }
    turns
}

/// What becomes of a lane.
#[derive(PartialEq, Eq)]
enum Turn {
    /// It begins a step.
    Begins,
    /// Another one goes on, in the middle of its step.
    Interrupted,
    /// Another one goes on, and its step is over.
    Over,
}

/// A text without its numbers.
fn plain(text: &str) -> String {
    text.chars().filter(|sign| !sign.is_ascii_digit()).collect()
}

/// The steps of an execution, in order, without what its claims look at.
fn steps(report: &Report) -> Vec<Step<'_>> {
    let mut steps: Vec<Step<'_>> = Vec::new();
    let rows = report.trace.iter().flat_map(|trace| &trace.rows).enumerate();
    for (at, row) in rows.filter(|(_, row)| row.lane.is_some()) {
        let of_lane = |step: &&mut Step<'_>| step.lane == row.lane;
        match row.kind {
            RowKind::Step => {
                let place = steps.iter().filter(|step| step.lane == row.lane).count();
                let told = Vec::new();
                steps.push(Step { lane: row.lane, place, row, at, told, cited: row.cited });
            }
            RowKind::Note => {
                let Some(step) = steps.iter_mut().rev().find(of_lane) else { continue };
                step.cited |= row.cited;
                // What a lane loads and stores, and what it says in the end, has no meaning to look
                // up.
                let told = report.explained.get(at).filter(|told| !told.meaning.is_empty());
                if let Some(told) = told {
                    let decision = told.decision.as_ref();
                    let text = decision.map_or(row.text.as_str(), |decision| &decision.text);
                    let rule = decision.map(|decision| decision.rule.as_str());
                    let sum = told.sum.as_deref();
                    step.told.push(Told { at, text, rule, sum, cited: row.cited });
                }
            }
            RowKind::Switch | RowKind::Claims => {}
        }
    }
    steps
}
