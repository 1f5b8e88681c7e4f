//! An execution in lanes: one column for each lane, one for what changes, with time running
//! downwards.
//!
//! Cells fold inside their column. Where the columns would become too narrow to read, the same rows
//! are listed one below another, with the lane's name in front.

use super::text::{beside, clean, fold, pad, pad_left, width};
use super::{Look, Tone};
use pinfold_lab::report::{LaneHead, Row, RowKind, Trace};

/// Columns before the first lane: the step's number and its margin.
pub(super) const MARGIN: usize = 7;
/// Columns between two lanes.
pub(super) const GAP: usize = 3;
/// Columns of a number.
const NUMBER: usize = 5;
/// With a lane narrower than this, the table becomes a list.
const NARROWEST: usize = 14;
/// Below this width it is always a list.
const TABLE_FROM: usize = 80;
/// The head of the state column.
pub(super) const STATE: &str = "state";
/// How far notes are indented inside their column, and how far folded text is.
const INDENT: usize = 2;

/// A drawn trace: its head, and the lines of each row.
#[derive(Debug, Default)]
pub(super) struct Drawn {
    /// Lines above the rows.
    pub(super) head: Vec<String>,
    /// The rows in order.
    pub(super) rows: Vec<DrawnRow>,
}

/// The lines of one row.
#[derive(Debug)]
pub(super) struct DrawnRow {
    /// Its lines, painted.
    pub(super) lines: Vec<String>,
    /// What it is, for what may be left out.
    pub(super) rank: Rank,
}

/// What may be left out of a picture that is too tall, and in which order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// It stands between rows of two lanes and goes with them.
    Switch,
    /// What ran before the lanes.
    Setup,
    /// What a step brought about.
    Note,
    /// A step.
    Step,
    /// The explanation is about it.
    Cited,
}

/// The rank of each row.
fn ranks(trace: &Trace) -> impl Iterator<Item = Rank> {
    let alone = trace.lanes.len().saturating_sub(1);
    let runs = |row: &&Row| row.lane.is_some_and(|lane| lane < alone);
    let lanes_begin = trace.rows.iter().position(|row| runs(&row)).unwrap_or(0);
    trace.rows.iter().enumerate().map(move |(at, row)| match row.kind {
        RowKind::Switch => Rank::Switch,
        _ if row.cited => Rank::Cited,
        _ if at < lanes_begin => Rank::Setup,
        RowKind::Note => Rank::Note,
        RowKind::Step | RowKind::Claims => Rank::Step,
    })
}

/// Draws a trace.
pub(super) fn draw(trace: &Trace, look: &Look) -> Drawn {
    let table = Table::new(trace, look);
    match table.fit() {
        Some(widths) => table.draw(&widths),
        None => list(trace, look),
    }
}

/// The lane of a row, if it has one that exists.
fn lane_of<'a>(trace: &'a Trace, row: &Row) -> Option<&'a LaneHead> {
    row.lane.and_then(|lane| trace.lanes.get(lane))
}

/// The text of the row's own cell, unfolded, one item for each line of it.
fn own_text(row: &Row, look: &Look) -> Vec<String> {
    row.text.lines().map(|line| clean(line, look)).collect()
}

/// The text of the row's state cell.
fn state_text(row: &Row, look: &Look) -> Vec<String> {
    row.state.iter().flat_map(|state| state.lines()).map(|line| clean(line, look)).collect()
}

fn indent_of(row: &Row) -> usize {
    match row.kind {
        RowKind::Note => INDENT,
        RowKind::Step | RowKind::Switch | RowKind::Claims => 0,
    }
}

fn number(row: &Row) -> String {
    let step = row.step.map(|step| step.to_string()).unwrap_or_default();
    pad_left(&step, NUMBER)
}

/// What a line across all columns says: another lane goes on, or the claims look.
fn across_text(row: &Row, look: &Look) -> String {
    let text = clean(row.text.trim_matches(['~', ' ']), look);
    if text.is_empty() { "switch".to_owned() } else { text }
}

fn across(text: &str, look: &Look) -> Vec<String> {
    let lines = fold(&format!("~ {text} ~"), look.width - MARGIN, INDENT);
    lines.iter().map(|line| format!("{:MARGIN$}{}", "", look.paint(Tone::Faint, line))).collect()
}

fn folded(texts: &[String], columns: usize, indent: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for text in texts {
        let indented = format!("{:indent$}{text}", "");
        lines.extend(fold(&indented, columns, indent + INDENT));
    }
    lines
}

/// A trace set in columns: the lanes in which something happens, then the state.
pub(super) struct Table<'a> {
    trace: &'a Trace,
    look: &'a Look,
    /// Indices of the lanes that have rows.
    pub(super) lanes: Vec<usize>,
    with_state: bool,
}

/// What a row fills, folded.
pub(super) enum Cells {
    /// One line across all columns, and no number.
    Across(String),
    /// A cell for each column.
    Columns(Vec<Vec<String>>),
    /// A cell across the lanes, of this width, and one for the state if there is one.
    Spanning(usize, Vec<Vec<String>>),
}

impl<'a> Table<'a> {
    pub(super) fn new(trace: &'a Trace, look: &'a Look) -> Self {
        let busy = |lane: &usize| trace.rows.iter().any(|row| row.lane == Some(*lane));
        Self {
            trace,
            look,
            lanes: (0..trace.lanes.len()).filter(busy).collect(),
            with_state: trace.rows.iter().any(|row| row.state.is_some()),
        }
    }

    /// The least width of a drawing in which every lane finds room, whatever it wants.
    pub(super) fn least(&self) -> usize {
        let columns = self.lanes.len() + usize::from(self.with_state);
        TABLE_FROM.max(MARGIN + columns * (NARROWEST + GAP))
    }

    /// The width of each column, or nothing if a table would be unreadable.
    pub(super) fn fit(&self) -> Option<Vec<usize>> {
        let columns = self.lanes.len() + usize::from(self.with_state);
        if self.look.width < TABLE_FROM || self.lanes.is_empty() {
            return None;
        }
        let lines = MARGIN + (columns - 1) * GAP;
        let mut room = self.look.width.checked_sub(lines)?;
        let wanted = self.wanted();
        // From the narrowest up, each column takes what it wants or its share of what is left.
        let mut order: Vec<usize> = (0..columns).collect();
        order.sort_by_key(|&column| wanted[column]);
        let mut widths = vec![0; columns];
        for (taken, &column) in order.iter().enumerate() {
            let share = room / (columns - taken);
            widths[column] = wanted[column].min(share);
            if widths[column] < wanted[column] && share < NARROWEST {
                return None;
            }
            room -= widths[column];
        }
        Some(widths)
    }

    /// The width that each column would take unfolded.
    fn wanted(&self) -> Vec<usize> {
        let widest = |texts: Vec<String>| texts.iter().map(|text| width(text)).max().unwrap_or(0);
        let mut wanted: Vec<usize> = Vec::new();
        for &lane in &self.lanes {
            let rows = self.trace.rows.iter().filter(|row| row.lane == Some(lane));
            let cells = rows.map(|row| indent_of(row) + widest(own_text(row, self.look)));
            let head = &self.trace.lanes[lane];
            let head = format!("{}  {}", head.name, head.place);
            wanted.push(cells.max().unwrap_or(0).max(width(&clean(&head, self.look))));
        }
        if self.with_state {
            let cells = self.trace.rows.iter().map(|row| widest(state_text(row, self.look)));
            wanted.push(cells.max().unwrap_or(0).max(width(STATE)));
        }
        wanted
    }

    fn draw(&self, widths: &[usize]) -> Drawn {
        let mut drawn = Drawn { head: self.head(widths), rows: Vec::new() };
        for (row, rank) in self.trace.rows.iter().zip(ranks(self.trace)) {
            drawn.rows.push(DrawnRow { lines: self.row(row, widths), rank });
        }
        drawn
    }

    fn head(&self, widths: &[usize]) -> Vec<String> {
        let mut cells: Vec<Vec<String>> = Vec::new();
        for (&lane, &columns) in self.lanes.iter().zip(widths) {
            let head = &self.trace.lanes[lane];
            let name = clean(&head.name, self.look);
            let place = clean(&head.place, self.look);
            if width(&name) + 2 + width(&place) <= columns {
                cells.push(vec![format!("{name}{}", pad_left(&place, columns - width(&name)))]);
            } else {
                let mut lines = fold(&name, columns, INDENT);
                lines.extend(fold(&place, columns, INDENT));
                cells.push(lines);
            }
        }
        if self.with_state {
            cells.push(vec![STATE.to_owned()]);
        }
        let mut lines = self.beside(pad_left("step", NUMBER), &cells, widths);
        for line in &mut lines {
            *line = self.look.paint(Tone::Head, line);
        }
        lines.push(self.rule(widths));
        lines
    }

    /// The line under the head.
    fn rule(&self, widths: &[usize]) -> String {
        let dash = self.look.horizontal();
        let joint = format!("{dash}{}{dash}", self.look.crossing());
        let columns: Vec<String> = widths.iter().map(|&columns| dash.repeat(columns)).collect();
        format!(" {}  {}", dash.repeat(NUMBER - 1), columns.join(&joint))
    }

    fn row(&self, row: &Row, widths: &[usize]) -> Vec<String> {
        match self.cells(row, widths) {
            Cells::Across(text) => across(&text, self.look),
            Cells::Columns(cells) => self.beside(number(row), &cells, widths),
            Cells::Spanning(across, cells) => {
                let mut joined = vec![across];
                joined.extend(widths.last().filter(|_| self.with_state));
                self.beside(number(row), &cells, &joined)
            }
        }
    }

    /// What a row fills in columns of these widths.
    pub(super) fn cells(&self, row: &Row, widths: &[usize]) -> Cells {
        if matches!(row.kind, RowKind::Switch | RowKind::Claims) {
            return Cells::Across(across_text(row, self.look));
        }
        let own = own_text(row, self.look);
        let state = state_text(row, self.look);
        let place = row.lane.and_then(|lane| self.lanes.iter().position(|&known| known == lane));
        if place.is_none() {
            return self.spanning(row, &own, &state, widths);
        }
        let cells = widths.iter().enumerate().map(|(column, &columns)| {
            if Some(column) == place {
                folded(&own, columns, indent_of(row))
            } else if self.with_state && column + 1 == widths.len() {
                folded(&state, columns, 0)
            } else {
                Vec::new()
            }
        });
        Cells::Columns(cells.collect())
    }

    /// A row about the whole machine: its text runs across the lanes.
    fn spanning(&self, row: &Row, own: &[String], state: &[String], widths: &[usize]) -> Cells {
        let lanes = &widths[..self.lanes.len()];
        let across = lanes.iter().sum::<usize>() + (lanes.len() - 1) * GAP;
        let mut cells = vec![folded(own, across, indent_of(row))];
        if self.with_state {
            cells.push(folded(state, widths[widths.len() - 1], 0));
        }
        Cells::Spanning(across, cells)
    }

    /// Cells next to each other, with the margin in front of the first line.
    fn beside(&self, margin: String, cells: &[Vec<String>], widths: &[usize]) -> Vec<String> {
        let mut margin = margin;
        beside(cells, widths, &format!(" {} ", self.look.vertical()))
            .iter()
            .map(|line| format!("{}{line}", pad(&std::mem::take(&mut margin), MARGIN)))
            .map(|line| line.trim_end().to_owned())
            .collect()
    }
}

/// The same rows one below another.
fn list(trace: &Trace, look: &Look) -> Drawn {
    let mut drawn = Drawn::default();
    let columns = look.width - MARGIN;
    for lane in &trace.lanes {
        let line = clean(&format!("{}  {}", lane.name, lane.place), look);
        let lines = fold(&line, columns, INDENT);
        drawn.head.extend(lines.iter().map(|line| format!("{:MARGIN$}{}", "", line.trim_end())));
    }
    for (row, rank) in trace.rows.iter().zip(ranks(trace)) {
        drawn.rows.push(DrawnRow { lines: listed(trace, row, look), rank });
    }
    drawn
}

fn listed(trace: &Trace, row: &Row, look: &Look) -> Vec<String> {
    if matches!(row.kind, RowKind::Switch | RowKind::Claims) {
        return across(&across_text(row, look), look);
    }
    let columns = look.width - MARGIN;
    let mut own = own_text(row, look);
    if let (RowKind::Step, Some(lane)) = (row.kind, lane_of(trace, row)) {
        let name = clean(&lane.name, look);
        match own.first_mut() {
            Some(first) => *first = format!("{name}: {first}"),
            None => own.push(name),
        }
    }
    let state: Vec<String> = state_text(row, look).iter().map(|line| format!("= {line}")).collect();
    let mut lines = folded(&own, columns, indent_of(row));
    lines.extend(folded(&state, columns, INDENT * 2));
    let mut margin = number(row);
    lines
        .iter()
        .map(|line| format!("{}{line}", pad(&std::mem::take(&mut margin), MARGIN)))
        .collect()
}
