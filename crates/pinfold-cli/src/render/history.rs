//! The history of a scenario by release, and the sets of switches that would have saved it.

use super::matrix::other_model;
use super::report::word;
use super::summary::story;
use super::text::{clean, counted, fold, pad, pad_left, seconds, thousands, width};
use super::{Detail, Look, Tone};
use crate::find;
use pinfold::rules::{Difference, Release, Rules};
use pinfold_lab::Model;
use pinfold_lab::history::{Cure, Cures, Decided, Era, Reason};
use pinfold_lab::report::{Report, Verdict};

/// Columns of the word in front of the head.
const WORD: usize = 6;
/// Columns of the releases of an era.
const ERA: usize = 15;
/// Columns of a verdict.
const VERDICT: usize = 6;
/// How far what a rule says is indented.
const INDENT: usize = 6;

/// What was asked.
pub(crate) struct Asked<'a> {
    pub(crate) name: &'a str,
    pub(crate) title: &'a str,
    pub(crate) path: &'a str,
    pub(crate) model: Model,
    pub(crate) seconds: f64,
    /// The report under the rules that are to be changed, if some are.
    pub(crate) base: Option<&'a Report>,
    /// Whether an interrupt ended the work.
    pub(crate) ended: bool,
}

impl Asked<'_> {
    /// What other machines may do.
    fn other_machines(&self, look: &Look) -> Vec<String> {
        let text = other_model(self.model.name()).map(|told| format!("{}: {told}", self.model));
        text.map_or_else(Vec::new, |text| fold(&text, look.width, 2))
    }

    fn head(&self, what: &str, facts: &[String], look: &Look) -> Vec<String> {
        let subject = clean(format!("{}  {}", self.name, self.title).trim_end(), look);
        let path = clean(self.path, look);
        let room = look.width.saturating_sub(WORD);
        let mut lines = match width(&subject) + 2 + width(&path) <= room {
            true => vec![format!("{subject}{}", pad_left(&path, room - width(&subject)))],
            false => [fold(&subject, room, 2), fold(&path, room, 2)].concat(),
        };
        let mut facts = facts.to_vec();
        facts.insert(0, format!("model {}", self.model));
        facts.push(seconds(self.seconds));
        lines.extend(fold(&facts.join(" | "), room, 0));
        let mut front = look.paint(Tone::Head, &pad(what, WORD));
        let mut headed = Vec::new();
        for line in lines {
            headed.push(format!("{}{line}", std::mem::replace(&mut front, " ".repeat(WORD))));
        }
        headed
    }
}

/// The verdict of an era.
fn verdict(report: &Report) -> (&'static str, Tone) {
    match report.verdict {
        Verdict::Pass => ("ok", Tone::Good),
        Verdict::Fail => ("BAD", Tone::Bad),
        Verdict::Skip if report.is_absent() => ("n/a", Tone::Faint),
        other => word(other),
    }
}

/// Draws a history.
pub(crate) fn history(asked: &Asked<'_>, eras: &[Era], look: &Look) -> String {
    let releases = match (eras.first(), eras.last()) {
        (Some(first), Some(last)) => format!("every release from {} to {}", first.first, last.last),
        _ => "no release".to_owned(),
    };
    let mut lines = asked.head("WHEN", &[releases], look);
    for era in eras {
        lines.push(String::new());
        lines.extend(self::era(era, look));
    }
    lines.push(String::new());
    if asked.ended {
        doubt("interrupted: later releases were not searched", look, &mut lines);
    }
    lines.extend(next(asked, eras, look));
    lines.extend(asked.other_machines(look));
    finish(&lines)
}

fn era(era: &Era, look: &Look) -> Vec<String> {
    let span = match era.first == era.last {
        true => era.first.to_string(),
        false => format!("{} to {}", era.first, era.last),
    };
    let (word, tone) = verdict(&era.report);
    let head = format!("{}{}", pad(&span, ERA), look.paint(tone, &pad(word, VERDICT)));
    // What a search took says nothing, but why it is none or not a whole one does.
    let plain = era.report.broken.is_none() && era.report.verdict == Verdict::Pass;
    let told = if plain { String::new() } else { clean(&story(&era.report), look) };
    let left = ERA + VERDICT;
    let mut lines: Vec<String> = Vec::new();
    let mut front = head;
    for line in fold(&told, look.width.saturating_sub(left), 2) {
        lines.push(format!("{}{line}", std::mem::replace(&mut front, " ".repeat(left))));
    }
    if let Some(text) = era.reason.as_ref().and_then(|reason| because(reason, era)) {
        let room = look.width.saturating_sub(2);
        lines.extend(fold(&clean(&text, look), room, 4).iter().map(|line| format!("  {line}")));
    }
    for interface in &era.came {
        let text = format!("from {} on there is {interface}", interface.variant().since);
        lines.extend(
            fold(&text, look.width.saturating_sub(2), INDENT)
                .iter()
                .map(|line| format!("  {line}")),
        );
    }
    for change in &era.turn {
        lines.extend(changed(change, look, Detail::All));
    }
    lines
}

/// The rules that decided a failure, each with its decision; nothing if none did. A variant that
/// only the first release of the era has is told as that one's.
fn because(reason: &Reason, era: &Era) -> Option<String> {
    let inner = Release::all().filter(|release| (era.first..=era.last).contains(release));
    let inner: Vec<Rules> =
        inner.filter_map(|release| Rules::linux(&release.to_string()).ok()).collect();
    let told = |decided: &Decided| {
        let held = |rules: &Rules| rules.get(decided.switch) == Ok(decided.variant);
        let when = match inner.iter().all(held) {
            true => String::new(),
            false => format!(" in {}", era.first),
        };
        let rule = format!("{}={}{when}", decided.switch, decided.variant);
        match &decided.text {
            Some(text) => format!("{text} ({rule})"),
            None => rule,
        }
    };
    let rules: Vec<String> = reason.rules.iter().map(told).collect();
    (!rules.is_empty()).then(|| format!("because {}", rules.join("; ")))
}

/// What goes on from here.
fn next(asked: &Asked<'_>, eras: &[Era], look: &Look) -> Vec<String> {
    let name = find::argument(asked.name, asked.path);
    let holds = |era: &Era| era.report.verdict == Verdict::Pass || era.report.is_absent();
    let bad = eras.iter().rev().find(|era| era.report.verdict == Verdict::Fail);
    let text = match bad {
        Some(era) => format!(
            "`pinfold check {name} --rules {}` shows it; `pinfold cure {name} --rules {}` finds what \
             else would have saved it; a stable or distribution kernel is its mainline release and \
             what was taken over into it: `--rules {},switch=variant`",
            era.first, era.first, era.first
        ),
        None if asked.ended || eras.is_empty() => return Vec::new(),
        None if eras.iter().all(holds) => "no release breaks it".to_owned(),
        None => "nothing broke, but not every release was searched to the end".to_owned(),
    };
    fold(&clean(&text, look), look.width, 0)
}

/// Draws what was found.
pub(crate) fn cured(asked: &Asked<'_>, cures: &Cures, look: &Look) -> String {
    let rules = asked.base.map_or("", |base| base.rules.as_str());
    let size = counted(cures.size as u64, "switch", "switches");
    let mut facts = vec![format!("rules {rules}")];
    let broken = asked.base.is_some_and(|base| base.verdict == Verdict::Fail);
    if broken {
        facts.push(format!("{} sets looked at, of up to {size}", thousands(cures.tried)));
    }
    let mut lines = asked.head("CURE", &facts, look);
    lines.push(String::new());
    if !broken {
        let word = asked.base.map_or("ok", |base| verdict(base).0);
        let text = match asked.base {
            Some(base) if base.verdict != Verdict::Pass => {
                format!("{word} under {rules}: {}", story(base))
            }
            _ => format!("{word} under {rules}: there is nothing to cure"),
        };
        lines.extend(fold(&clean(&text, look), look.width, 0));
        lines.extend(asked.other_machines(look));
        return finish(&lines);
    }
    let (released, never): (Vec<&Cure>, Vec<&Cure>) =
        cures.found.iter().partition(|cure| cure.is_released());
    let base = rules.parse::<Rules>().ok();
    let base = base.as_ref();
    lines.extend(group("what releases have had", (base, &released), look));
    lines.extend(group("what no release has had", (base, &never), look));
    let undecided: Vec<&Cure> = cures.undecided.iter().collect();
    let title = "nothing broke before a bound ended the search";
    lines.extend(group(title, (base, &undecided), look));
    if cures.found.is_empty() && cures.size > 0 {
        let what = match cures.undecided.is_empty() {
            true => format!("no set of up to {size} saves it"),
            false => format!("no set of up to {size} is known to save it"),
        };
        doubt(&what, look, &mut lines);
        lines.push(String::new());
    }
    if cures.ended {
        doubt("interrupted: not all sets were looked at", look, &mut lines);
        lines.push(String::new());
    }
    if !cures.found.is_empty() {
        let smaller = match cures.undecided.is_empty() {
            true => ", and nothing smaller is",
            false => "",
        };
        let text = format!(
            "any one of them is enough{smaller}; every execution was searched under each; -v says \
             what each rule is"
        );
        lines.extend(fold(&text, look.width, 0));
    }
    lines.extend(asked.other_machines(look));
    finish(&lines)
}

/// A line of doubt, or as many as it takes.
fn doubt(text: &str, look: &Look, lines: &mut Vec<String>) {
    lines.extend(fold(text, look.width, 0).iter().map(|line| look.paint(Tone::Doubt, line)));
}

/// What is below the name of a cure that a kernel cannot take up alone.
const MARKED: &str =
    "needs the exclusive mark of pages (6c287605fd56, 5.19), which these rules lack";

/// Whether a cure asks for the exclusive mark of pages under rules that know none, and does not
/// bring what sets it.
fn needs_mark(base: Option<&Rules>, cure: &Cure) -> bool {
    let Some(base) = base.filter(|base| !base.knows_exclusive_mark()) else { return false };
    let mut rules = *base;
    for change in &cure.changes {
        if rules.set(change.switch.name, change.right.name).is_err() {
            return false;
        }
    }
    let brings = |change: &Difference| change.switch.name == "pte-cow";
    rules.knows_exclusive_mark() && !cure.changes.iter().any(brings)
}

fn group(title: &str, (base, cures): (Option<&Rules>, &[&Cure]), look: &Look) -> Vec<String> {
    if cures.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![look.paint(Tone::Head, title)];
    for cure in cures {
        let mut front = "  ";
        for change in &cure.changes {
            for line in changed(change, look, look.detail) {
                let line = line.strip_prefix("  ").unwrap_or(&line);
                lines.push(format!("{}{line}", std::mem::replace(&mut front, "  ")));
            }
            front = "+ ";
        }
        if needs_mark(base, cure) {
            let told = fold(MARKED, look.width.saturating_sub(INDENT), 0);
            lines.extend(told.iter().map(|line| format!("{:INDENT$}{line}", "")));
        }
    }
    lines.push(String::new());
    lines
}

/// A change, and what its rule says.
fn changed(change: &Difference, look: &Look, detail: Detail) -> Vec<String> {
    let since = match change.right.since {
        "never" => "never released".to_owned(),
        since => format!("since {since}"),
    };
    let (switch, to, from) = (change.switch.name, change.right.name, change.left.name);
    let head = format!("{switch}={to}  {since}, in place of {from}");
    let mut lines: Vec<String> = fold(&head, look.width.saturating_sub(2), INDENT)
        .into_iter()
        .map(|line| format!("  {line}"))
        .collect();
    if detail == Detail::All {
        let doc = fold(change.right.doc, look.width.saturating_sub(INDENT), 0);
        lines.extend(doc.iter().map(|line| format!("{:INDENT$}{line}", "")));
    }
    lines
}

fn finish(lines: &[String]) -> String {
    lines.iter().flat_map(|line| [line.trim_end(), "\n"]).collect()
}
