//! A journal in lanes, as rows for people to read.

use std::collections::BTreeSet;

use pinfold::Weight;

use super::ledger::{Ledger, Step};
use super::stale::Stale;
use crate::journal::{Change, Line, Touch, What};
use crate::report::{LaneHead, Row, RowKind, Trace};
use crate::scenario::{Runner, Scenario};
use crate::words::Words;

/// What rows are made from.
pub(super) struct Rows<'a> {
    pub(super) scenario: &'a Scenario,
    pub(super) ledger: &'a Ledger<'a>,
    pub(super) words: &'a Words,
    /// Whether the exclusive mark is one that the rules know.
    pub(super) marks: bool,
    pub(super) stale: &'a [Stale],
    /// Lines that an explanation cites.
    pub(super) cited: &'a BTreeSet<usize>,
}

/// Rows under construction.
#[derive(Default)]
struct Drawn {
    rows: Vec<Row>,
    /// What the state column last showed of each page.
    shown: Vec<String>,
    /// The lane of the last row.
    last: Option<usize>,
    /// The lines of each lane's step since another lane ran: none have been drawn yet if this is
    /// the step.
    silent: Option<u32>,
}

fn heads(scenario: &Scenario) -> Vec<LaneHead> {
    let cpus = scenario.cpus();
    let lanes = scenario.lanes.iter().map(|lane| LaneHead {
        name: lane.name.value.clone(),
        place: match &lane.runner {
            Runner::Device => "device".to_owned(),
            Runner::Process { name, cpu } => {
                let (cpu, node) = cpus[scenario.cpu_index(cpu.as_ref()).unwrap_or(0)];
                format!("{} {cpu} node{node}", name.value)
            }
        },
    });
    let alone = LaneHead { name: "alone".to_owned(), place: "setup, after".to_owned() };
    lanes.chain([alone]).collect()
}

impl Rows<'_> {
    /// The rows. What ran alone has a lane of its own; what claims did has none.
    pub(super) fn draw(&self) -> Trace {
        let lanes = heads(self.scenario);
        let alone = lanes.len() - 1;
        let mut drawn = Drawn {
            shown: vec![String::new(); self.ledger.journal.watched.len()],
            ..Drawn::default()
        };
        let mut stale = self.stale.iter().peekable();
        let judging = self.ledger.judging();
        for (at, line) in self.ledger.lines().iter().enumerate() {
            while let Some(late) = stale.next_if(|late| late.after < line.after) {
                self.stale(&mut drawn, late);
            }
            let lane = if at >= judging { None } else { Some(line.lane.unwrap_or(alone)) };
            self.switch(&mut drawn, at, lane, alone);
            self.line(&mut drawn, at, line, lane);
        }
        Trace { lanes, rows: drawn.rows }
    }

    /// A row where another lane goes on: it says which step is left unfinished and which goes on.
    fn switch(&self, drawn: &mut Drawn, at: usize, lane: Option<usize>, alone: usize) {
        let before = std::mem::replace(&mut drawn.last, lane);
        let (Some(before), Some(now)) = (before, lane) else { return };
        if before == now || before == alone || now == alone {
            return;
        }
        let left = self.last_step(before, at).filter(|step| step.ends > at);
        let resumed = self.ledger.step(at).filter(|step| step.begins < at);
        let mut parts = vec!["switch".to_owned()];
        parts.extend(left.map(|step| format!("step {} is not finished", step.number)));
        parts.extend(resumed.map(|step| format!("step {} goes on", step.number)));
        let text = match parts.as_slice() {
            [one] => format!("~ {one} ~"),
            [one, rest @ ..] => format!("~ {one}: {} ~", rest.join(", ")),
            [] => return,
        };
        drawn.silent = resumed.map(|step| step.number);
        drawn.rows.push(Row {
            step: None,
            lane: Some(before),
            kind: RowKind::Switch,
            text,
            state: None,
            cited: false,
        });
    }

    /// The step that a lane was in before a line.
    fn last_step(&self, lane: usize, line: usize) -> Option<&Step> {
        let steps = self.ledger.steps.iter().rev();
        steps.filter(|step| step.begins < line).find(|step| step.lane == Some(lane))
    }

    fn line(&self, drawn: &mut Drawn, at: usize, line: &Line, lane: Option<usize>) {
        let step = self.ledger.step(at);
        let whole = step.is_none_or(|step| step.whole);
        let kind = match line.what {
            What::Step { .. } => RowKind::Step,
            _ => RowKind::Note,
        };
        let text = match &line.what {
            What::Step { text, .. } | What::Result(text) => Some(text.clone()),
            What::Event(event) if event.kind.weight() == Weight::Line => {
                Some(event.kind.to_string())
            }
            What::Holds(held) => {
                let frames: Vec<String> = held.frames.iter().map(ToString::to_string).collect();
                Some(format!("{} -> {}", held.name, frames.join(" ")))
            }
            // A step that nobody interrupts takes effect where it stands.
            What::Stores(touch) if !whole => Some(format!("stores {}", self.word(touch))),
            What::Loads(touch) if !whole => Some(format!("finds {}", self.word(touch))),
            // The lane went on only to end its step: without this row, it would seem not to have.
            What::Ends if drawn.silent.is_some() && drawn.silent == step.map(|one| one.number) => {
                Some("is done".to_owned())
            }
            What::Event(_) | What::Stores(_) | What::Loads(_) | What::Ends => None,
            What::Releases(_) | What::Judging => None,
        };
        let state = self.state(drawn, &line.changes);
        let Some(text) = text else {
            merge(drawn, lane, state);
            return;
        };
        if lane.is_none() && drawn.rows.last().is_some_and(|row| row.lane.is_some()) {
            drawn.rows.push(claims());
        }
        drawn.silent = None;
        let text = if line.times > 1 { format!("{text} ({} times)", line.times) } else { text };
        drawn.rows.push(Row {
            step: step.filter(|_| kind == RowKind::Step).map(|step| step.number),
            lane,
            kind,
            text,
            state,
            cited: self.cited.contains(&at),
        });
    }

    fn word(&self, touch: &Touch) -> String {
        format!("\"{}\" in {}", self.words.text(touch.value), touch.frame)
    }

    /// What the state column shows of changes: only what looks different.
    fn state(&self, drawn: &mut Drawn, changes: &[Change]) -> Option<String> {
        let mut texts = Vec::new();
        for change in changes {
            let text = change.view.text(self.marks);
            if drawn.shown[change.page] != text {
                texts.push(format!("{} {text}", self.ledger.journal.watched[change.page].name));
                drawn.shown[change.page] = text;
            }
        }
        (!texts.is_empty()).then(|| texts.join("; "))
    }

    /// A row for an access that was not up to date; an explanation always cites it.
    fn stale(&self, drawn: &mut Drawn, late: &Stale) {
        drawn.silent = None;
        drawn.rows.push(Row {
            step: None,
            lane: Some(late.lane),
            kind: RowKind::Note,
            text: late.tell(),
            state: None,
            cited: true,
        });
    }
}

/// The row above what claims read.
fn claims() -> Row {
    Row {
        step: None,
        lane: None,
        kind: RowKind::Claims,
        text: "the claims look".to_owned(),
        state: None,
        cited: false,
    }
}

/// Adds a state to the last row, if it is of the same lane, or a row for it.
fn merge(drawn: &mut Drawn, lane: Option<usize>, state: Option<String>) {
    let Some(state) = state else { return };
    match drawn.rows.last_mut() {
        Some(last) if last.lane == lane && last.kind != RowKind::Switch => {
            last.state = Some(match last.state.take() {
                Some(before) => format!("{before}; {state}"),
                None => state,
            });
        }
        _ => drawn.rows.push(Row {
            step: None,
            lane,
            kind: RowKind::Note,
            text: String::new(),
            state: Some(state),
            cited: false,
        }),
    }
}
