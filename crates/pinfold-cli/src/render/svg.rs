//! An execution as a picture that stands alone: an SVG without a script, for a page of a forge.
//!
//! Above are the lanes over time, in the columns of the text form ([`Table`]): a bar for who runs,
//! steps in boxes, and in red what the explanation is about. Below is the machine at two moments
//! ([`scene`]): before the lanes start, and at the end of what they do. The colours are those of
//! the page (`picture.css`), on a ground of its own, so that it is read on a light page and on a
//! dark one.

use super::html::text;
use super::lanes::{self, Cells, Table};
use super::text::{clean, fold, width};
use super::{Charset, Colour, Detail, Look, SCREEN};
use grid::{LINE, across};
use pinfold_lab::report::{Broken, LaneHead, Report, Row, RowKind, Trace, Verdict};
use scene::Moment;
use std::fmt::Write as _;

mod grid;
mod scene;
#[cfg(test)]
mod tests;

const STYLE: &str = include_str!("picture.css");
/// What the picture has beside what a page has. Letters are of one width, so that what fits its
/// column in one font does in all.
const OWN_STYLE: &str = include_str!("svg/own.css");

/// The columns of the lanes, unless there are so many that they need more.
const COLUMNS: usize = 124;
/// Around everything.
const EDGE: usize = 14;

/// The picture of a report.
pub(crate) fn picture(report: &Report) -> String {
    let mut canvas = Canvas::new();
    if let Some(trace) = report.trace.as_ref().filter(|trace| !trace.rows.is_empty()) {
        canvas.head(report);
        canvas.lanes(trace);
        canvas.moments(report, trace);
    } else {
        canvas.head(report);
    }
    canvas.finish(report)
}

/// What is drawn so far.
struct Canvas {
    out: String,
    /// The least height that is free.
    y: usize,
    /// The width of what is drawn, without edges.
    width: usize,
    look: Look,
}

impl Canvas {
    fn new() -> Self {
        let look = Look {
            width: COLUMNS,
            height: SCREEN,
            charset: Charset::Unicode,
            colour: Colour::Off,
            detail: Detail::All,
        };
        Self { out: String::new(), y: EDGE, width: across(COLUMNS), look }
    }

    /// A line of text whose line box begins at `y`.
    fn line(&mut self, (x, y): (usize, usize), class: &str, words: &str) {
        let words = text(&clean(words, &self.look));
        let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
        // A string takes whatever is written to it, here and below.
        let _ = writeln!(self.out, "<text x=\"{x}\" y=\"{}\"{class}>{words}</text>", y + 12);
    }

    /// What it is, its verdict, and what broke.
    fn head(&mut self, report: &Report) {
        let (word, _) = super::report::word(report.verdict);
        let class = match report.verdict {
            Verdict::Pass => "good",
            Verdict::Fail | Verdict::Error => "bad",
            Verdict::Partial | Verdict::Skip => "faint",
        };
        let verdict = format!("head {class}");
        self.line((EDGE, self.y), &verdict, word);
        let name = format!("{} under {}", report.scenario.name, report.rules);
        self.line((EDGE + across(width(word) + 2), self.y), "head", &name);
        self.y += LINE + 4;
        let title = report.scenario.title.iter().map(|title| (title.clone(), ""));
        let what = |broken: &Broken| {
            let first = broken.what.first().map_or("", String::as_str);
            (format!("{}: {first}", broken.title()), class)
        };
        for (words, class) in title.chain(report.broken.iter().map(what)) {
            for line in fold(&clean(&words, &self.look), COLUMNS, 2) {
                self.line((EDGE, self.y), class, &line);
                self.y += LINE;
            }
        }
        self.y += 8;
    }

    fn lanes(&mut self, trace: &Trace) {
        let look = self.look.clone();
        let table = Table::new(trace, &look);
        let look = Look { width: look.width.max(table.least()), ..look };
        let table = Table::new(trace, &look);
        // Where nothing has a lane there are no columns.
        let Some(widths) = table.fit() else { return };
        let mut columns: Vec<usize> = Vec::with_capacity(widths.len());
        let mut column = lanes::MARGIN;
        for wide in &widths {
            columns.push(EDGE + across(column));
            column += wide + lanes::GAP;
        }
        self.width = self.width.max(across(column - lanes::GAP));
        self.heads(trace, &table.lanes, &columns, &widths);
        let (top, below) = (self.y, self.out.len());
        for (at, row) in trace.rows.iter().enumerate() {
            let own = row.lane.and_then(|lane| table.lanes.iter().position(|&one| one == lane));
            let more = trace.rows.get(at + 1).is_some_and(|next| next.kind == RowKind::Note);
            self.row(row, table.cells(row, &widths), &columns, own, more);
        }
        // The line of a lane is below the bars on it.
        let line = |x: &usize| {
            let (x, bottom) = (x - 9, self.y);
            format!("<path class=\"lane\" d=\"M{x} {top}V{bottom}\"/>\n")
        };
        let lines: String = columns.iter().take(table.lanes.len()).map(line).collect();
        self.out.insert_str(below, &lines);
        self.y += 10;
    }

    /// The names of the lanes, with the places below them.
    fn heads(&mut self, trace: &Trace, lanes: &[usize], columns: &[usize], widths: &[usize]) {
        let mut tallest = 0;
        for ((lane, x), columns) in lanes.iter().zip(columns).zip(widths) {
            let LaneHead { name, place } = &trace.lanes[*lane];
            let names = fold(&clean(name, &self.look), *columns, 2);
            let places = fold(&clean(place, &self.look), *columns, 2);
            tallest = tallest.max(names.len() + places.len());
            let classes = names.iter().map(|_| "head").chain(places.iter().map(|_| "faint"));
            for (at, (line, class)) in names.iter().chain(&places).zip(classes).enumerate() {
                self.line((*x, self.y + at * LINE), class, line);
            }
        }
        if let Some(x) = columns.get(lanes.len()) {
            self.line((*x, self.y), "faint", lanes::STATE);
        }
        self.y += tallest * LINE + 6;
    }

    /// A row: `own` is the column of its lane, and `more` whether the step goes on below.
    fn row(&mut self, row: &Row, cells: Cells, columns: &[usize], own: Option<usize>, more: bool) {
        let (cells, places): (Vec<Vec<String>>, Vec<usize>) = match cells {
            Cells::Across(words) => return self.switch(&words, columns),
            Cells::Columns(cells) => (cells, columns.to_vec()),
            Cells::Spanning(_, cells) => {
                (cells, columns.first().into_iter().chain(columns.last()).copied().collect())
            }
        };
        let tallest = cells.iter().map(Vec::len).max().unwrap_or(0);
        let height = tallest * LINE;
        let cited = if row.cited { " cited" } else { "" };
        if let Some((own, lines)) = own.and_then(|own| Some((own, cells.get(own)?))) {
            let x = columns[own];
            let _ = writeln!(
                self.out,
                "<rect class=\"runs{cited}\" x=\"{}\" y=\"{}\" width=\"4\" height=\"{}\"/>",
                x - 11,
                self.y,
                height + if more { 4 } else { 0 },
            );
            if row.kind == RowKind::Step {
                let widest = lines.iter().map(|line| width(line)).max().unwrap_or(0);
                let _ = writeln!(
                    self.out,
                    "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"3\"/>",
                    x - 4,
                    self.y,
                    across(widest) + 8,
                    lines.len() * LINE + 2,
                );
            }
        }
        if let Some(step) = row.step {
            self.line((EDGE, self.y), "faint", &step.to_string());
        }
        let last = cells.len() - 1;
        for (at, (lines, x)) in cells.iter().zip(places).enumerate() {
            let class = match row.kind {
                _ if at == last && own != Some(at) => "faint",
                _ if row.cited => "bad",
                RowKind::Step => "step",
                _ => "",
            };
            for (line, words) in lines.iter().enumerate() {
                self.line((x, self.y + line * LINE), class, words);
            }
        }
        self.y += height + 4;
    }

    /// Another lane goes on, or the claims look.
    fn switch(&mut self, words: &str, columns: &[usize]) {
        let x = columns.first().copied().unwrap_or(EDGE);
        let lines = fold(words, self.look.width - lanes::MARGIN, 2);
        for line in &lines {
            self.line((x, self.y), "switch", line);
            self.y += LINE;
        }
        let (y, end) = (self.y + 1, EDGE + self.width);
        let _ = writeln!(self.out, "<path class=\"switch\" d=\"M{x} {y}H{end}\"/>");
        self.y += 6;
    }

    /// The machine before the lanes start, and at the end of what they do.
    fn moments(&mut self, report: &Report, trace: &Trace) {
        let alone = trace.lanes.len().saturating_sub(1);
        let runs = |row: &Row| row.lane.is_some_and(|lane| lane < alone);
        let end = trace.rows.iter().position(|row| row.kind == RowKind::Claims);
        let Some(end) = end.unwrap_or(trace.rows.len()).checked_sub(1) else { return };
        let begin = trace.rows.iter().position(runs).and_then(|first| first.checked_sub(1));
        let scene = |at: usize| report.explained.get(at).map(|told| &told.scene);
        let before = begin.filter(|begin| *begin < end).and_then(scene);
        let both = [
            before.map(|scene| ("before the lanes start", Moment { scene, before: None })),
            scene(end).map(|scene| ("at the end", Moment { scene, before })),
        ];
        for (said, moment) in both.into_iter().flatten() {
            if moment.is_empty() {
                continue;
            }
            self.line((EDGE, self.y), "head", &format!("The machine {said}"));
            self.y += LINE + 6;
            self.y = scene::draw(&moment, (EDGE, self.y), &self.look, &mut self.out) + 12;
        }
    }

    fn finish(self, report: &Report) -> String {
        let (width, height) = (self.width + 2 * EDGE, self.y + EDGE / 2);
        let name = text(&format!("{} under {}", report.scenario.name, report.rules));
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
             width=\"{width}\" height=\"{height}\" role=\"img\" xml:space=\"preserve\">\n\
             <title>{name}</title>\n<style>\n{STYLE}{OWN_STYLE}</style>\n\
             <rect class=\"ground\" width=\"{width}\" height=\"{height}\"/>\n{}</svg>\n",
            self.out,
        )
    }
}
