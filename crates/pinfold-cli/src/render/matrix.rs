//! Scenarios against rule sets, as a table.
//!
//! Cells are short words. Outcomes, which may have long names, are letters with a legend; so are
//! rule sets with many overrides. A table wider than the line shows neighbours with the same cells
//! as one column, and if that is not enough it continues below itself.

use super::text::{clean, counted, cut, flow, fold, pad, seconds, thousands, width};
use super::{Look, Tone};
use pinfold::Rules;
use pinfold_lab::report::Verdict;
use std::ops::Range;

/// A rule set with a longer name is explained in the legend.
const LONG_NAME: usize = 10;
/// Blanks between columns; one is left where that keeps the table in one piece.
const GAP: usize = 2;
/// The least blanks between columns.
const TIGHT: usize = 1;
/// The head of the column of names.
const TITLE: &str = "scenario";
/// Between the first and the last of the rule sets that share a column.
const TO: &str = "..";
/// What marks a cell that is not as expected.
const UNEXPECTED: &str = "!";
/// What marks a cell whose verdict depends on something that is not known of its kernel.
const DOUBTED: &str = "?";

/// What ended the search of a cell before it was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EndedBy {
    /// The most executions that a cell may take.
    Executions,
    /// The most time that a cell may take.
    Time,
    /// Something else: a bound on preemptions, on random executions or on steps, or an interrupt.
    Other,
}

impl EndedBy {
    const ALL: [Self; 3] = [Self::Executions, Self::Time, Self::Other];

    /// What marks the cell.
    pub(crate) fn mark(self) -> &'static str {
        match self {
            Self::Executions => "#",
            Self::Time => "@",
            Self::Other => "",
        }
    }

    /// The name in a document.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Executions => "executions",
            Self::Time => "time",
            Self::Other => "other",
        }
    }
}

/// How much a cell may take.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CellBounds {
    /// The most executions.
    pub(crate) executions: Option<u64>,
    /// The most time, in seconds.
    pub(crate) seconds: Option<f64>,
}

impl CellBounds {
    /// The bounds in words, or nothing.
    fn told(self) -> String {
        let executions = self.executions.map(executions);
        let time = self.seconds.map(seconds);
        let most: Vec<String> = executions.into_iter().chain(time).collect();
        if most.is_empty() {
            return String::new();
        }
        format!(" | at most {} a cell", most.join(" and "))
    }
}

fn executions(number: u64) -> String {
    let noun = if number == 1 { "execution" } else { "executions" };
    format!("{} {noun}", thousands(number))
}

/// A finished comparison.
#[derive(Debug)]
pub(crate) struct Matrix {
    /// The rule sets, a column each.
    pub(crate) rules: Vec<String>,
    /// The scenarios, a row each.
    pub(crate) rows: Vec<Row>,
    /// The memory model.
    pub(crate) model: &'static str,
    /// What to say about locks.
    pub(crate) locks: &'static str,
    /// How much each cell was allowed to take.
    pub(crate) bounds: CellBounds,
    /// The time that the whole comparison took.
    pub(crate) seconds: f64,
    /// Whether it was compared with a table of expected cells.
    pub(crate) compared: bool,
}

/// One scenario under every rule set.
#[derive(Debug)]
pub(crate) struct Row {
    /// Its name.
    pub(crate) name: String,
    /// A cell for each rule set.
    pub(crate) cells: Vec<Cell>,
}

/// Why there is nothing to search under a rule set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Skipped {
    /// A step needs what the release does not have.
    Absent,
    /// The explorer cannot explore it.
    Unexplorable,
}

/// One scenario under one rule set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cell {
    /// The answer.
    pub(crate) verdict: Verdict,
    /// The outcome, where it says more than the verdict.
    pub(crate) outcome: Option<String>,
    /// What ended the search, if it was not done.
    pub(crate) ended: Option<EndedBy>,
    /// Why it was not searched, if so.
    pub(crate) skipped: Option<Skipped>,
    /// What was expected instead, if something else was.
    pub(crate) wanted: Option<String>,
    /// Whether something was expected at all.
    pub(crate) expected: bool,
    /// Whether the verdict depends on something that is not known of the kernel.
    pub(crate) doubted: bool,
}

impl Cell {
    /// The cell as a table of expected cells writes it.
    pub(crate) fn word(&self) -> &str {
        match (&self.outcome, self.verdict) {
            (Some(outcome), Verdict::Pass) => outcome,
            (_, verdict) => self.verdict_word(verdict),
        }
    }

    fn is_absent(&self) -> bool {
        self.skipped == Some(Skipped::Absent)
    }

    fn verdict_word(&self, verdict: Verdict) -> &'static str {
        match self.skipped {
            Some(Skipped::Absent) => ABSENT,
            Some(Skipped::Unexplorable) | None => word(verdict),
        }
    }
}

/// What is said of a scenario that breaks in each of several columns.
const BAD_EVERYWHERE: &str = "BAD under every rule set here";
/// The same where some of the rule sets lack what it needs.
const BAD_WHERE_ASKED: &str = "BAD wherever there is what it needs";
/// What follows from that if the newest rules are among them.
const WHOSE_FAULT: &str = ": the program's own fault, or what no release has mended yet";

/// The word for a question that a release does not have. No outcome can be called so.
const ABSENT: &str = "n/a";

/// The word for a verdict in a cell.
fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "ok",
        Verdict::Partial => "part",
        Verdict::Fail => "BAD",
        Verdict::Skip => "skip",
        Verdict::Error => "ERROR",
    }
}

fn tone(verdict: Verdict) -> Tone {
    match verdict {
        Verdict::Pass => Tone::Good,
        Verdict::Fail | Verdict::Error => Tone::Bad,
        Verdict::Partial | Verdict::Skip => Tone::Doubt,
    }
}

/// Draws the table, its legend, and the cells that are not as expected.
pub(crate) fn draw(matrix: &Matrix, look: &Look) -> String {
    let drawing = Drawing::new(matrix, look);
    let mut lines = drawing.tables();
    lines.push(String::new());
    lines.extend(fold(&totals(matrix), look.width, 2));
    lines.extend(drawing.legend());
    lines.extend(differences(matrix, look));
    let mut out = String::new();
    for line in lines {
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

struct Drawing<'a> {
    matrix: &'a Matrix,
    look: &'a Look,
    /// Distinct outcomes in order of appearance; their positions determine their letters.
    outcomes: Vec<&'a str>,
    /// The heads of the rule sets.
    heads: Vec<String>,
    /// The rule sets of each column: one, or neighbours whose cells are all the same.
    columns: Vec<Range<usize>>,
}

impl<'a> Drawing<'a> {
    fn new(matrix: &'a Matrix, look: &'a Look) -> Self {
        let mut outcomes: Vec<&str> = Vec::new();
        for cell in matrix.rows.iter().flat_map(|row| &row.cells) {
            if let (Some(outcome), Verdict::Pass) = (&cell.outcome, cell.verdict)
                && !outcomes.contains(&outcome.as_str())
            {
                outcomes.push(outcome);
            }
        }
        let head = |(column, name): (usize, &String)| {
            if width(name) > LONG_NAME { format!("set {}", column + 1) } else { name.clone() }
        };
        let heads = matrix.rules.iter().enumerate().map(head).collect();
        let columns = (0..matrix.rules.len()).map(|set| set..set + 1).collect();
        let mut drawing = Self { matrix, look, outcomes, heads, columns };
        if drawing.room() < drawing.width(TIGHT) {
            drawing.columns = folded(matrix);
        }
        drawing
    }

    /// Columns of the text that the names take.
    fn name_width(&self) -> usize {
        let names = self.matrix.rows.iter().map(|row| width(&clean(&row.name, self.look)));
        names.max().unwrap_or(0).max(TITLE.len()).min(self.look.width / 2)
    }

    /// Columns of the text that the cells may take.
    fn room(&self) -> usize {
        self.look.width.saturating_sub(self.name_width())
    }

    /// Columns of the text that all cells would take in one piece.
    fn width(&self, gap: usize) -> usize {
        self.columns.iter().map(|column| self.column_width(column) + gap).sum()
    }

    /// What stands above a column.
    fn head(&self, column: &Range<usize>) -> String {
        let last = column.end - 1;
        match column.start == last {
            true => self.heads[last].clone(),
            false => format!("{}{TO}{}", self.heads[column.start], self.heads[last]),
        }
    }

    fn word(&self, cell: &Cell) -> String {
        let outcome = cell.outcome.as_ref().filter(|_| cell.verdict == Verdict::Pass);
        let place = outcome.and_then(|this| self.outcomes.iter().position(|known| known == this));
        let word = place.map_or_else(|| cell.verdict_word(cell.verdict).to_owned(), letter);
        let ended = cell.ended.map_or("", EndedBy::mark);
        let mark = if cell.wanted.is_some() { UNEXPECTED } else { "" };
        let doubt = if cell.doubted { DOUBTED } else { "" };
        format!("{word}{ended}{doubt}{mark}")
    }

    /// The table, in as many pieces as the width requires.
    fn tables(&self) -> Vec<String> {
        let name_width = self.name_width();
        let widths: Vec<usize> =
            self.columns.iter().map(|column| self.column_width(column)).collect();
        let mut lines = Vec::new();
        let room = self.room();
        let gap = if self.width(GAP) > room && self.width(TIGHT) <= room { TIGHT } else { GAP };
        for piece in pieces(&widths, gap, room) {
            if !lines.is_empty() {
                lines.push(String::new());
            }
            let mut head = pad(TITLE, name_width);
            for column in piece.clone() {
                head += &format!(
                    "{:gap$}{}",
                    "",
                    pad(&self.head(&self.columns[column]), widths[column])
                );
            }
            lines.push(self.look.paint(Tone::Head, head.trim_end()));
            for row in &self.matrix.rows {
                let name = clean(&row.name, self.look);
                let mut line = pad(&cut(&name, name_width), name_width);
                for column in piece.clone() {
                    line += &self.cell(&row.cells[self.columns[column].start], gap, widths[column]);
                }
                lines.push(line);
            }
        }
        lines
    }

    fn cell(&self, cell: &Cell, gap: usize, columns: usize) -> String {
        let word = self.word(cell);
        let tone = if cell.wanted.is_some() { Tone::Bad } else { tone(cell.verdict) };
        let blanks = columns.saturating_sub(width(&word));
        format!("{:gap$}{}{:blanks$}", "", self.look.paint(tone, &word), "")
    }

    fn column_width(&self, column: &Range<usize>) -> usize {
        let cells = self.matrix.rows.iter().map(|row| width(&self.word(&row.cells[column.start])));
        cells.max().unwrap_or(0).max(width(&self.head(column)))
    }

    /// The words that occur, and what they mean.
    fn legend(&self) -> Vec<String> {
        const WORDS: [(Verdict, &str); 4] = [
            (Verdict::Pass, "no execution within the bounds breaks a claim"),
            (
                Verdict::Fail,
                "some execution breaks a claim: `pinfold check NAME --rules SET` shows it",
            ),
            (Verdict::Skip, "cannot be asked here"),
            (Verdict::Error, "the scenario or the tool is at fault"),
        ];
        let cells = || self.matrix.rows.iter().flat_map(|row| &row.cells);
        let mut items: Vec<(String, String)> = Vec::new();
        for (verdict, meaning) in WORDS {
            if cells().any(|cell| cell.word() == word(verdict)) {
                items.push((word(verdict).to_owned(), meaning.to_owned()));
            }
        }
        if cells().any(Cell::is_absent) {
            let meaning = "a step needs what there is not under these rules: `pinfold check NAME \
                           --rules SET` says what";
            items.push((ABSENT.to_owned(), meaning.to_owned()));
        }
        for ended in EndedBy::ALL {
            if cells().any(|cell| cell.ended == Some(ended)) {
                let cell = format!("{}{}", word(Verdict::Partial), ended.mark());
                items.push((cell, self.meaning(ended)));
            }
        }
        for (place, outcome) in self.outcomes.iter().enumerate() {
            let meaning = format!("no claim broken, every execution ends as `{outcome}`");
            items.push((letter(place), clean(&meaning, self.look)));
        }
        if cells().any(|cell| cell.wanted.is_some()) {
            items.push((UNEXPECTED.to_owned(), "not as expected".to_owned()));
        }
        if cells().any(|cell| cell.doubted) {
            let meaning = format!(
                "with a commit of which it is not known whether this kernel has it, it would be \
                 another one: `pinfold check NAME --rules SET --model {}` names it",
                self.matrix.model
            );
            items.push((DOUBTED.to_owned(), meaning));
        }
        for row in self.broken_everywhere() {
            let absent = row.cells.iter().any(Cell::is_absent);
            let mut meaning = if absent { BAD_WHERE_ASKED } else { BAD_EVERYWHERE }.to_owned();
            if self.newest_breaks(row) {
                meaning.push_str(WHOSE_FAULT);
            }
            items.push((clean(&row.name, self.look), meaning));
        }
        if let Some(other) = other_model(self.matrix.model) {
            items.push((self.matrix.model.to_owned(), other.to_owned()));
        }
        if let Some(several) = self.columns.iter().find(|column| column.len() > 1) {
            let meaning = "these rule sets and all between them, whose cells are the same";
            items.push((self.head(several), meaning.to_owned()));
        }
        for (head, name) in self.heads.iter().zip(&self.matrix.rules) {
            if head != name {
                items.push((head.clone(), format!("rules {name}")));
            }
        }
        let widest = items.iter().map(|(word, _)| width(word)).max().unwrap_or(0);
        let hang = widest + GAP;
        let line = |(word, meaning): &(String, String)| format!("{}{meaning}", pad(word, hang));
        items.iter().flat_map(|item| fold(&line(item), self.look.width, hang)).collect()
    }
}

/// What the machines of the other models may do beside this one.
pub(super) fn other_model(model: &str) -> Option<&'static str> {
    match model {
        "tso" => Some("the model of x86; a weakly ordered machine may break more: `--model weak`"),
        "weak" => Some("a weakly ordered machine; x86 may break less: `--model tso`"),
        "sc" => Some("no access is late; every machine may break more: `--model tso` or `weak`"),
        _ => None,
    }
}

impl Drawing<'_> {
    /// The scenarios that break in each of several columns.
    fn broken_everywhere(&self) -> impl Iterator<Item = &Row> {
        let everywhere = |row: &&Row| {
            let asked = || row.cells.iter().filter(|cell| !cell.is_absent());
            asked().count() > 1 && asked().all(|cell| cell.verdict == Verdict::Fail)
        };
        self.matrix.rows.iter().filter(everywhere)
    }

    /// Whether a scenario breaks under the rules of the newest release, or those that would follow.
    fn newest_breaks(&self, row: &Row) -> bool {
        let newest = [Rules::linux("latest").ok(), Some(Rules::default())];
        let is_newest = |name: &String| newest.contains(&Rules::parse(name).ok());
        let mut columns = self.matrix.rules.iter().zip(&row.cells);
        columns.any(|(name, cell)| cell.verdict == Verdict::Fail && is_newest(name))
    }

    /// What a cell that is not done says.
    fn meaning(&self, ended: EndedBy) -> String {
        let CellBounds { executions: most, seconds: time } = self.matrix.bounds;
        let end = match ended {
            EndedBy::Executions => {
                format!("{} were made (--max-executions)", executions(most.unwrap_or_default()))
            }
            EndedBy::Time => {
                format!("{} were over (--time)", seconds(time.unwrap_or_default()))
            }
            EndedBy::Other => "another bound or an interrupt ended the search".to_owned(),
        };
        format!("{end}, nothing found so far")
    }
}

/// The letter of an outcome: `a` to `z`, then `a2` and so on.
fn letter(place: usize) -> String {
    let letter = char::from(b'a' + (place % 26) as u8);
    let round = place / 26;
    if round == 0 { letter.to_string() } else { format!("{letter}{}", round + 1) }
}

/// The rule sets, in runs of neighbours with the same cells.
fn folded(matrix: &Matrix) -> Vec<Range<usize>> {
    let same =
        |one: usize, other: usize| matrix.rows.iter().all(|row| row.cells[one] == row.cells[other]);
    let mut columns: Vec<Range<usize>> = Vec::new();
    for set in 0..matrix.rules.len() {
        match columns.last_mut() {
            Some(column) if same(column.start, set) => column.end = set + 1,
            _ => columns.push(set..set + 1),
        }
    }
    columns
}

/// The columns, in runs that fit in `room`; each run has at least one.
fn pieces(widths: &[usize], gap: usize, room: usize) -> Vec<Range<usize>> {
    let mut pieces = Vec::new();
    let mut start = 0;
    let mut taken = 0;
    for (column, columns) in widths.iter().map(|columns| columns + gap).enumerate() {
        if column > start && taken + columns > room {
            pieces.push(start..column);
            (start, taken) = (column, 0);
        }
        taken += columns;
    }
    pieces.push(start..widths.len());
    pieces
}

/// How many cells there are of each kind, in a line.
pub(super) fn totals(matrix: &Matrix) -> String {
    let cells = || matrix.rows.iter().flat_map(|row| &row.cells);
    let order = [Verdict::Error, Verdict::Fail, Verdict::Partial, Verdict::Skip, Verdict::Pass];
    let mut parts: Vec<String> = Vec::new();
    for verdict in order {
        let number = cells().filter(|cell| cell.verdict == verdict && !cell.is_absent()).count();
        if number > 0 {
            parts.push(format!("{number} {}", word(verdict)));
        }
    }
    let number = cells().filter(|cell| cell.is_absent()).count();
    if number > 0 {
        parts.push(format!("{number} {ABSENT}"));
    }
    let number = counted(cells().count() as u64, "cell", "cells");
    let time = seconds(matrix.seconds);
    let compared = match cells().filter(|cell| cell.wanted.is_some()).count() {
        _ if !matrix.compared => String::new(),
        0 => " | all as expected".to_owned(),
        number => format!(" | {number} not as expected"),
    };
    let Matrix { model, locks, bounds, .. } = matrix;
    let bounds = bounds.told();
    format!("{number}: {} | model {model}{locks}{bounds} | {time}{compared}", parts.join(", "))
}

/// The cells that are not as expected, in words.
fn differences(matrix: &Matrix, look: &Look) -> Vec<String> {
    let mut lines = Vec::new();
    for row in &matrix.rows {
        for (cell, rules) in row.cells.iter().zip(&matrix.rules) {
            let Some(wanted) = &cell.wanted else { continue };
            let text = format!("{} under {rules}: {}, expected {wanted}", row.name, cell.word());
            lines.extend(flow(&[clean(&text, look)], "", look.width));
        }
    }
    if !lines.is_empty() {
        lines.insert(0, String::new());
    }
    lines
}
