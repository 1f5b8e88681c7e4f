//! A journal in lanes, as rows for people to read.

use std::collections::{BTreeMap, BTreeSet};

use pinfold::{Pfn, Weight};

use super::ledger::{Ledger, Step};
use super::scenes::Span;
use super::stale::Stale;
use crate::journal::{Change, FolioCounts, Line, Touch, What};
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
    /// Whether something ended the execution before its lanes had returned.
    pub(super) cut_off: bool,
    /// Lines that an explanation cites.
    pub(super) cited: &'a BTreeSet<usize>,
}

/// Rows under construction.
#[derive(Default)]
struct Drawn {
    rows: Vec<Row>,
    /// The lines of each row.
    spans: Vec<Span>,
    /// What the state column shows in each row: the pages, each once, with their state.
    states: Vec<Vec<(usize, String)>>,
    /// What the state column last showed of each page, without what a large folio counts.
    shown: Vec<String>,
    /// What it last showed of what large folios count, references and mappings, by their heads.
    folios: BTreeMap<Pfn, (u32, u32)>,
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
    /// The rows, and the lines of each. What ran alone has a lane of its own; what claims did has
    /// none.
    pub(super) fn draw(&self) -> (Trace, Vec<Span>) {
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
            if lane.is_some() {
                drawn.settle(None, at);
            }
            self.line(&mut drawn, at, line, lane);
            // What claims do by themselves is not shown as something that a lane brought about.
            if lane.is_some() || drawn.rows.last().is_none_or(|row| row.lane.is_none()) {
                drawn.settle(Some(at), at + 1);
            }
        }
        let mut rows = drawn.rows;
        for (row, states) in rows.iter_mut().zip(&drawn.states) {
            row.state = (!states.is_empty()).then(|| self.tell_states(states));
        }
        (Trace { lanes, rows, cut_off: self.cut_off }, drawn.spans)
    }

    fn tell_states(&self, states: &[(usize, String)]) -> String {
        let name = |page: usize| &self.ledger.journal.watched[page].name;
        let texts = states.iter().map(|(page, text)| format!("{} {text}", name(*page)));
        texts.collect::<Vec<_>>().join("; ")
    }

    /// A row where another lane goes on: it says which step is left unfinished and which goes on.
    fn switch(&self, drawn: &mut Drawn, at: usize, lane: Option<usize>, alone: usize) {
        let before = std::mem::replace(&mut drawn.last, lane);
        let (Some(before), Some(now)) = (before, lane) else { return };
        if before == now || before == alone || now == alone {
            return;
        }
        let left = self.last_step(before, at).filter(|step| step.ends > at || !self.is_done(step));
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
        drawn.push(Row { lane: Some(before), kind: RowKind::Switch, ..note(text) }, Vec::new());
    }

    /// Whether a step came to its end: one that another lane's failure cut off did not.
    fn is_done(&self, step: &Step) -> bool {
        self.ledger.lines()[step.ends].what == What::Ends
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
            What::Releases(_) | What::Judging | What::GoesOn => None,
        };
        let states = self.states(drawn, &line.changes);
        let Some(text) = text else {
            drawn.merge(lane, states);
            return;
        };
        if lane.is_none() && drawn.rows.last().is_some_and(|row| row.lane.is_some()) {
            let claims = Row { kind: RowKind::Claims, ..note("the claims look".to_owned()) };
            drawn.push(claims, Vec::new());
        }
        drawn.silent = None;
        let text = if line.times > 1 { format!("{text} ({} times)", line.times) } else { text };
        let row = Row {
            step: step.filter(|_| kind == RowKind::Step).map(|step| step.number),
            lane,
            kind,
            cited: self.cited.contains(&at),
            ..note(text)
        };
        drawn.push(row, states);
    }

    fn word(&self, touch: &Touch) -> String {
        format!("\"{}\" in {}", self.words.text(touch.value), touch.frame)
    }

    /// What the state column shows of changes: only what looks different, and what a large folio
    /// counts once.
    fn states(&self, drawn: &mut Drawn, changes: &[Change]) -> Vec<(usize, String)> {
        let mut states = Vec::new();
        for change in changes {
            let folio = change
                .view
                .counts
                .and_then(|counts| counts.folio.map(|run| (run.head, (counts.refs, counts.maps))));
            let recounted = folio.is_some_and(|(head, counts)| {
                drawn.folios.insert(head, counts).is_none_or(|shown| shown != counts)
            });
            let text = change.view.text(self.marks, FolioCounts::Left);
            if drawn.shown[change.page] != text || recounted {
                let counted = if recounted { FolioCounts::Shown } else { FolioCounts::Left };
                states.push((change.page, change.view.text(self.marks, counted)));
                drawn.shown[change.page] = text;
            }
        }
        states
    }

    /// A row for an access that was not up to date; an explanation always cites it.
    fn stale(&self, drawn: &mut Drawn, late: &Stale) {
        drawn.silent = None;
        let text = late.tell();
        // A walk looks at an entry more than once, and finds the same each time.
        let again = |row: &Row| row.lane == Some(late.lane) && row.text == text;
        if drawn.rows.last().is_some_and(again) {
            return;
        }
        let row = Row { lane: Some(late.lane), cited: true, ..note(text) };
        drawn.push(row, Vec::new());
    }
}

/// A row that says something, of no lane yet.
fn note(text: String) -> Row {
    Row { step: None, lane: None, kind: RowKind::Note, text, state: None, cited: false }
}

impl Drawn {
    fn push(&mut self, row: Row, states: Vec<(usize, String)>) {
        self.rows.push(row);
        self.states.push(states);
    }

    /// The rows until here have happened once there are so many lines; those that are new tell the
    /// line `told`.
    fn settle(&mut self, told: Option<usize>, until: usize) {
        self.spans.resize(self.rows.len(), Span { told, until });
        if let Some(last) = self.spans.last_mut() {
            last.until = until;
        }
    }

    /// Adds states to the last row, if it is of the same lane, or a row for them.
    fn merge(&mut self, lane: Option<usize>, states: Vec<(usize, String)>) {
        if states.is_empty() {
            return;
        }
        match (self.rows.last(), self.states.last_mut()) {
            (Some(last), Some(known)) if last.lane == lane && last.kind != RowKind::Switch => {
                for (page, text) in states {
                    known.retain(|(other, _)| *other != page);
                    known.push((page, text));
                }
            }
            _ => self.push(Row { lane, ..note(String::new()) }, states),
        }
    }
}
