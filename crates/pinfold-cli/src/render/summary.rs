//! Several reports, one line for each.

use super::report::word;
use super::text::{beside, clean, counted, fold, seconds, width};
use super::{Look, Tone};
use pinfold_lab::report::{Report, Verdict};

/// Columns of the verdict.
const WORD: usize = 6;
/// The minimum width that is left for what happened.
const STORY: usize = 24;

/// The columns of a list of reports, known before the first report.
#[derive(Debug)]
pub(crate) struct Columns {
    name: usize,
    rules: usize,
}

impl Columns {
    /// Columns for these names of scenarios and rule sets.
    pub(crate) fn new<'a>(
        names: impl Iterator<Item = &'a str>,
        rules: impl Iterator<Item = &'a str>,
        look: &Look,
    ) -> Self {
        let room = look.width.saturating_sub(WORD + STORY + 4) / 2;
        let name = names.map(width).max().unwrap_or(0).min(room);
        Self { name, rules: rules.map(width).max().unwrap_or(0).min(room) }
    }

    /// The line of a report.
    pub(crate) fn line(&self, report: &Report, look: &Look) -> String {
        let (verdict, tone) = word(report.verdict);
        let taken = WORD + self.name + self.rules + 4;
        let widths = [self.name, self.rules, look.width.saturating_sub(taken)];
        let texts = [report.scenario.name.clone(), report.rules.clone(), story(report)];
        // What a column cannot hold goes on below: a name or a reason that is cut says nothing.
        let cells: Vec<Vec<String>> = texts
            .iter()
            .zip(widths)
            .map(|(text, width)| fold(&clean(text, look), width, 2))
            .collect();
        let mut out = String::new();
        for (at, line) in beside(&cells, &widths, "  ").iter().enumerate() {
            let verdict = if at == 0 { verdict } else { "" };
            let blanks = WORD - width(verdict);
            let line = format!("{}{:blanks$}{line}", look.paint(tone, verdict), "");
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out
    }
}

/// What happened, in one line.
pub(super) fn story(report: &Report) -> String {
    let search = &report.search;
    if let Some(broken) = &report.broken {
        let statement = broken.what.first().map(String::as_str).unwrap_or_default();
        return format!("{}: {statement}", broken.title());
    }
    let done = counted(search.executions, "execution", "executions");
    let time = seconds(search.seconds);
    match &search.incomplete {
        Some(stopped) => format!("{stopped}; {done}, {time}"),
        None => format!("{done}, {time}"),
    }
}

/// The last line: how many there are of each verdict, and how many of those requested were not
/// started.
pub(crate) fn total(reports: &[Report], asked: usize, look: &Look) -> String {
    const ALL: [(Verdict, &str); 5] = [
        (Verdict::Error, "in error"),
        (Verdict::Fail, "failed"),
        (Verdict::Partial, "partial"),
        (Verdict::Skip, "skipped"),
        (Verdict::Pass, "passed"),
    ];
    let count = |verdict| reports.iter().filter(|report| report.verdict == verdict).count();
    let mut parts: Vec<String> = ALL
        .iter()
        .map(|&(verdict, what)| (count(verdict), what))
        .filter(|&(count, _)| count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    if asked > reports.len() {
        parts.push(format!("{} not begun", asked - reports.len()));
    }
    let checks = counted(asked as u64, "check", "checks");
    let note = look.paint(Tone::Faint, "(-v shows each in full)");
    format!("\n{checks}: {}  {note}\n", parts.join(", "))
}
