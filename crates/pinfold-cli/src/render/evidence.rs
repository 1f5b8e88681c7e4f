//! What an answer is based on: the end state of a run, and what a search saw and did not see.

use super::text::{beside, clean, cut, flow, fold, pad, pad_left, thousands, width};
use super::{Detail, Look, Tone};
use pinfold_lab::report::{EndLine, Mode, Outcome, Report, Verdict};

/// Columns of the words in front of evidence.
const LABEL: usize = 10;
/// Columns of a count of executions.
const COUNT: usize = 12;
/// Columns of the mark at the end of a line of the end state.
const MARK: usize = 2;
/// Blanks before, between and after the columns of the end state.
const EDGE: usize = 8;

/// The end of an execution compared with what is expected.
pub(super) fn ends(report: &Report, look: &Look) -> Vec<String> {
    if report.ends.is_empty() || !shows_end(report, look) {
        return Vec::new();
    }
    let cells = |end: &EndLine| {
        let expect = end.expect.as_deref().unwrap_or_default();
        [&end.what, &end.value, expect].map(|text| clean(text, look))
    };
    let rows: Vec<[String; 3]> = report.ends.iter().map(cells).collect();
    let titles = if report.ends.iter().any(|end| end.expect.is_some()) {
        ["end state", "", "expect"]
    } else {
        ["end state", "", ""]
    };
    // Each column takes what it needs, up to its share of the line.
    let room = look.width - EDGE - MARK;
    let widest = |column: usize, share: usize| {
        let widths = rows.iter().map(|row| width(&row[column]));
        widths.max().unwrap_or(0).max(width(titles[column])).min(share)
    };
    let expect = widest(2, room / 4);
    let what = widest(0, room / 2);
    let widths = [what, widest(1, room - what - expect), expect];

    let title = format!("{}  {}  {}", pad(titles[0], what + 2), pad("", widths[1]), titles[2]);
    let mut lines = vec![look.paint(Tone::Head, title.trim_end())];
    for (row, end) in rows.iter().zip(&report.ends) {
        let mark = if end.ok { look.paint(Tone::Good, "ok") } else { look.paint(Tone::Bad, "NO") };
        let cells: Vec<Vec<String>> =
            row.iter().zip(widths).map(|(cell, columns)| fold(cell, columns, 2)).collect();
        for (position, line) in beside(&cells, &widths, "  ").iter().enumerate() {
            let mark = if position == 0 { mark.as_str() } else { "" };
            lines.push(format!("  {line}  {mark}"));
        }
    }
    lines
}

/// A run is about its end state; for a search it is shown only if everything was requested.
fn shows_end(report: &Report, look: &Look) -> bool {
    report.mode == Mode::Run || look.detail == Detail::All
}

/// What a run cost.
pub(super) fn costs(report: &Report, look: &Look) -> Vec<String> {
    if !shows_end(report, look) {
        return Vec::new();
    }
    let counted = report.costs.iter().filter(|cost| cost.value > 0 || look.detail == Detail::All);
    let items: Vec<String> = counted
        .map(|cost| clean(&format!("{} {}", cost.name, thousands(cost.value)), look))
        .collect();
    labelled("cost", &flow(&items, " | ", look.width - LABEL), look)
}

/// What a search saw: outcomes, windows reached, bounds, and what it did not cover. Next to a
/// failure, only a window that was never reached matters.
pub(super) fn evidence(report: &Report, look: &Look) -> Vec<String> {
    let all = look.detail == Detail::All;
    if report.mode == Mode::Run && !all {
        return Vec::new();
    }
    let full = all || report.broken.is_none();
    let mut lines = Vec::new();
    if full {
        lines.extend(outcomes(report, look));
    }
    if full || is_vacuous(report) {
        lines.extend(reached(report, look));
    }
    if full {
        lines.extend(joined("bounds", &report.bounds, look));
        lines.extend(joined("not here", &report.not_covered, look));
    }
    lines
}

/// Whether a window that the scenario is about was never reached.
fn is_vacuous(report: &Report) -> bool {
    report.reached.iter().any(|reached| reached.count == 0)
}

fn outcomes(report: &Report, look: &Look) -> Vec<String> {
    if report.outcomes.is_empty() {
        return Vec::new();
    }
    let total: u64 = report.outcomes.iter().map(|outcome| outcome.count).sum();
    let often = |outcome: &Outcome| match outcome.count {
        // What an unfinished search has not seen may still occur.
        _ if report.verdict != Verdict::Pass => "",
        0 => "never",
        count if count == total => "always",
        _ => "sometimes",
    };
    let labels: Vec<String> =
        report.outcomes.iter().map(|outcome| clean(&outcome.label, look)).collect();
    let widest = labels.iter().map(|label| width(label)).max().unwrap_or(0);
    let columns = widest.max(16).min(look.width - COUNT - 16);
    let title = format!("{}{}", pad("outcome", columns + 2), pad_left("executions", COUNT));
    let mut lines = vec![look.paint(Tone::Head, &title)];
    for (outcome, label) in report.outcomes.iter().zip(&labels) {
        let label = pad(&cut(label, columns), columns);
        let count = pad_left(&thousands(outcome.count), COUNT);
        lines.push(format!("  {label}{count}   {}", often(outcome)));
    }
    lines
}

fn reached(report: &Report, look: &Look) -> Vec<String> {
    if report.reached.is_empty() {
        return Vec::new();
    }
    let mut items: Vec<String> = report
        .reached
        .iter()
        .map(|reached| clean(&format!("{} {}", reached.what, thousands(reached.count)), look))
        .collect();
    let note = match (is_vacuous(report), report.verdict) {
        (false, _) => "(not vacuous)",
        (true, Verdict::Partial) => "(not reached so far)",
        // The search ended where it found the failure.
        (true, Verdict::Fail) if found(report) => "(not reached so far)",
        (true, _) => "(VACUOUS: never reached)",
    };
    items.push(note.to_owned());
    labelled("reached", &flow(&items, "   ", look.width - LABEL), look)
}

/// Whether an execution broke something.
fn found(report: &Report) -> bool {
    report.broken.as_ref().is_some_and(|broken| !broken.schedule.is_empty())
}

fn joined(label: &str, items: &[String], look: &Look) -> Vec<String> {
    if items.is_empty() {
        return Vec::new();
    }
    labelled(label, &fold(&clean(&items.join(", "), look), look.width - LABEL, 0), look)
}

/// Lines with a label in front of the first.
fn labelled(label: &str, lines: &[String], look: &Look) -> Vec<String> {
    let mut front = format!("{}{:2$}", look.paint(Tone::Head, label), "", LABEL - width(label));
    let mut line = |line: &String| {
        let front = std::mem::replace(&mut front, " ".repeat(LABEL));
        format!("{front}{line}")
    };
    lines.iter().map(&mut line).collect()
}
