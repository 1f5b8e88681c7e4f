//! The table of `pinfold matrix` as a page: every cell that breaks opens its execution, as
//! `pinfold explain` tells it.
//!
//! The table is there without a script. Executions are kept as the lines of their page and the
//! report for the picture, in a [`Pool`]; what is beyond [`MOST`] is left out, and its cell says by
//! which command it is shown.

use super::pool::Pool;
use super::{STYLE, body, embedded, text};
use crate::failure::Failure;
use crate::render::matrix::{Cell, Matrix, Row, totals};
use crate::render::mended::Mend;
use pinfold_lab::report::{Report, Verdict};
use serde_json::{Value, json};
use std::fmt::Write as _;

const OWN_STYLE: &str = include_str!("history.css");
const PICTURE_SCRIPT: &str = include_str!("page.js");
const SCRIPT: &str = include_str!("history.js");
const FRAME: &str = include_str!("history.html");

/// The most bytes that executions may take in a page: a browser reads them all before it shows one.
const MOST: usize = 16 << 20;

/// What a cell that breaks opens.
pub(crate) struct Run {
    /// Its execution.
    pub(crate) report: Report,
    /// What later variants of the rules that decided do alone.
    pub(crate) mends: Vec<Mend>,
}

/// A page, and what is in it.
pub(crate) struct History {
    /// The page.
    pub(crate) page: String,
    /// The cells whose executions are in it.
    pub(crate) shown: usize,
    /// The cells that break and whose executions were too much.
    pub(crate) left_out: usize,
}

/// The page of a table; `runs` are the executions of its cells, row by row, where there are any.
///
/// # Errors
/// When the serializer refuses.
pub(crate) fn history(matrix: &Matrix, runs: &[Option<Run>]) -> Result<History, Failure> {
    history_within(matrix, runs, MOST)
}

fn history_within(matrix: &Matrix, runs: &[Option<Run>], most: usize) -> Result<History, Failure> {
    let mut pool = Pool::default();
    let mut kept: Vec<Option<usize>> = Vec::with_capacity(runs.len());
    let mut entries: Vec<usize> = Vec::new();
    for run in runs {
        let run = run.as_ref().filter(|_| pool.bytes() < most);
        kept.push(run.map(|_| entries.len()));
        if let Some(run) = run {
            entries.push(pool.put(&self::run(run)?));
        }
    }
    let rows: Vec<String> = (matrix.rows.iter().zip(kept.chunks(matrix.rules.len().max(1))))
        .map(|(row, runs)| self::row(row, runs, matrix))
        .collect();
    let heads = matrix.rules.iter().map(|name| format!("<th scope=\"col\">{}</th>", text(name)));
    let filled = FRAME
        .replace("{totals}", &text(&totals(matrix)))
        .replace("{heads}", &heads.collect::<String>())
        .replace("{rows}", &rows.concat());
    let data = embedded(&pool.json(&json!(entries)));
    let page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>Which rules break what</title>\n<style>\n{STYLE}{OWN_STYLE}</style>\n</head>\n\
         <body>\n{filled}\
         <script type=\"application/json\" id=\"runs\">{data}</script>\n\
         <script>\n{PICTURE_SCRIPT}{SCRIPT}</script>\n</body>\n</html>\n"
    );
    let breaks = |cell: &&Cell| cell.verdict == Verdict::Fail;
    let broken = matrix.rows.iter().flat_map(|row| &row.cells).filter(breaks).count();
    Ok(History { page, shown: entries.len(), left_out: broken.saturating_sub(entries.len()) })
}

/// An execution: the lines of its page, and what the picture needs of its report.
fn run(Run { report, mends }: &Run) -> Result<Value, Failure> {
    let lines: Vec<String> = body(report, mends).lines().map(|line| format!("{line}\n")).collect();
    let whole = serde_json::to_value(report).map_err(Failure::Json)?;
    Ok(json!({
        "lines": lines,
        "report": {
            "trace": whole["trace"],
            "explained": whole["explained"],
            "broken": report.broken.is_some(),
        },
    }))
}

fn row(row: &Row, runs: &[Option<usize>], matrix: &Matrix) -> String {
    let mut out = format!("<tr><th scope=\"row\">{}</th>", text(&row.name));
    for ((cell, run), rules) in row.cells.iter().zip(runs).zip(&matrix.rules) {
        out += &self::cell(cell, *run, &row.name, rules);
    }
    out + "</tr>\n"
}

fn cell(cell: &Cell, run: Option<usize>, name: &str, rules: &str) -> String {
    let kind = match cell.verdict {
        Verdict::Pass => "good",
        Verdict::Fail | Verdict::Error => "bad",
        Verdict::Partial => "open",
        Verdict::Skip => "none",
    };
    let (name, rules) = (text(name), text(rules));
    let word = match &cell.outcome {
        Some(outcome) if cell.verdict == Verdict::Pass => {
            format!("ok <span class=\"faint\">{}</span>", text(outcome))
        }
        _ => text(cell.word()),
    };
    let mark = cell.ended.map_or("", |ended| ended.mark());
    let wanted = cell.wanted.as_deref().map(|wanted| {
        format!(" <span class=\"unexpected\">not {}, as expected</span>", text(wanted))
    });
    let word = format!("{word}{mark}{}", wanted.unwrap_or_default());
    let inner = match (run, cell.verdict) {
        (Some(run), _) => format!(
            "<button type=\"button\" data-run=\"{run}\" data-cell=\"{name}/{rules}\" \
             aria-label=\"{}: {name} under {rules}, open its execution\">{word}</button>",
            text(cell.word()),
        ),
        (None, Verdict::Fail) => {
            format!("<span title=\"pinfold explain {name} --rules {rules}\">{word}</span>")
        }
        (None, _) => word,
    };
    let mut out = String::new();
    // A string takes whatever is written to it.
    let _ = write!(out, "<td class=\"{kind}\">{inner}</td>");
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::matrix::CellBounds;
    use pinfold::Rules;
    use pinfold_lab::{Order, SCENARIOS, run, scenario};

    fn executed(name: &str) -> Run {
        let shipped = SCENARIOS.iter().find(|one| one.name == name).expect("it ships");
        let scenario = scenario::parse(shipped.text).expect("it is right");
        let report = run(&scenario, name, &Rules::default(), Order::AsWritten);
        Run { report, mends: Vec::new() }
    }

    fn table(names: &[&str]) -> (Matrix, Vec<Option<Run>>) {
        let cell = |verdict| Cell {
            verdict,
            outcome: None,
            ended: None,
            skipped: None,
            wanted: None,
            expected: false,
            doubted: false,
        };
        let row = |name: &&str| Row {
            name: (*name).to_owned(),
            cells: vec![cell(Verdict::Fail), cell(Verdict::Pass)],
        };
        let matrix = Matrix {
            rules: vec!["5.8".to_owned(), "5.9,pte-cow=<i>".to_owned()],
            rows: names.iter().map(row).collect(),
            model: "tso",
            locks: "",
            bounds: CellBounds::default(),
            seconds: 1.0,
            compared: false,
        };
        (matrix, names.iter().flat_map(|name| [Some(executed(name)), None]).collect())
    }

    #[test]
    fn what_is_too_much_is_left_out_and_its_cell_names_the_command() {
        let (matrix, runs) = table(&["rdma-fork", "torn-fork"]);
        let all = history(&matrix, &runs).expect("a page");
        assert_eq!((all.shown, all.left_out), (2, 0));
        assert_eq!(all.page.matches("data-run=").count(), 2);
        let short = history_within(&matrix, &runs, 1).expect("a page");
        assert_eq!((short.shown, short.left_out), (1, 1));
        assert!(short.page.contains("title=\"pinfold explain torn-fork --rules 5.8\""));
        assert!(short.page.len() < all.page.len());
    }

    #[test]
    fn what_runs_share_is_written_once() {
        let (matrix, runs) = table(&["torn-fork", "torn-fork", "torn-fork"]);
        let three = history(&matrix, &runs).expect("a page").page.len();
        let (matrix, runs) = table(&["torn-fork"]);
        let one = history(&matrix, &runs).expect("a page").page.len();
        assert!(three - one < 2_000, "{one} and {three}");
    }

    #[test]
    fn a_cell_says_which_later_rule_saves_it() {
        let (matrix, mut runs) = table(&["rdma-fork-get"]);
        assert!(!history(&matrix, &runs).expect("a page").page.contains("Saved by"));
        let one = runs[0].as_mut().expect("it was run");
        let (switch, _) = one.report.deciding()[0];
        one.mends.push(Mend {
            switch: switch.name,
            variant: &switch.variants[0],
            saves: true,
            verdict: Verdict::Pass,
            vacuous: false,
            executions: 1,
            otherwise: None,
            contrast: None,
        });
        let page = history(&matrix, &runs).expect("a page").page;
        let saved = format!("Saved by {} (", switch.variants[0].name);
        assert!(page.contains(&saved), "{saved}");
    }

    #[test]
    fn names_are_text_and_heads_are_heads() {
        let (matrix, runs) = table(&["rdma-fork"]);
        let page = history(&matrix, &runs).expect("a page").page;
        assert!(!page.contains("<i>") && page.contains("pte-cow=&lt;i&gt;"));
        assert!(page.contains("<th scope=\"col\">5.8</th>"));
        assert!(page.contains("<th scope=\"row\">rdma-fork</th>"));
        assert!(page.contains("<td class=\"good\">ok</td>"));
    }
}
