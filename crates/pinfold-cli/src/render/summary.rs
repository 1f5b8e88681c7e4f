//! Several reports, one line for each.

use super::report::word;
use super::text::{clean, counted, cut, pad, seconds, width};
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
        let name = cut(&clean(&report.scenario.name, look), self.name);
        let rules = cut(&clean(&report.rules, look), self.rules);
        let taken = WORD + self.name + self.rules + 4;
        let story = cut(&clean(&story(report), look), look.width.saturating_sub(taken));
        format!(
            "{}{:blanks$}{}  {}  {story}\n",
            look.paint(tone, verdict),
            "",
            pad(&name, self.name),
            pad(&rules, self.rules),
            blanks = WORD - width(verdict),
        )
    }
}

/// What happened, in one line.
fn story(report: &Report) -> String {
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
