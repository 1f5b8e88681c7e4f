//! An execution explained: who takes part, what the words mean, every step with its decisions and
//! what it changes, and the rules that decided.
//!
//! It is a text to be read from the beginning, so it takes as many lines as it needs.

mod facts;
mod terms;

use super::legend;
use super::mended::{Mend, Saved, decided_by, none_saves};
use super::report::{head, section, what, why};
use super::rules::finish;
use super::text::{clean, fold, pad, width};
use super::{Look, Tone};
use facts::{Counts, Known};
use pinfold_lab::report::{
    Broken, Decision, Explained, HandleKind, Oracle, Report, Row, RowKind, Trace,
};

/// How far what belongs to a step is indented.
const INDENT: usize = 6;
/// The lane of what runs before and after the others.
const ALONE: &str = "alone";

/// Draws the explanation, with what is not known of its kernel; the text ends with a line break.
pub(crate) fn draw(report: &Report, mends: &[Mend], doubt: Vec<String>, look: &Look) -> String {
    let mut sections = vec![head(report, look), doubt];
    sections.extend(report.broken.as_ref().map(|broken| what(broken, look)));
    sections.push(why(report, look));
    let about = report.about.iter().flat_map(|text| fold(&clean(text, look), room(look), 0));
    sections.push(section("ABOUT", &about.collect::<Vec<_>>(), look));
    if let Some(trace) = &report.trace {
        sections.push(section("WHO", &who(report, trace, look), look));
        sections.push(section("WORDS", &words(report, trace, mends, look), look));
        sections.push(signs(trace, look));
        sections.extend(steps(report, trace, look));
    }
    sections.push(section("RULES", &rules(report, mends, look), look));
    sections.push(section("NEXT", &next(report, look), look));
    sections.retain(|lines| !lines.is_empty());
    finish(&sections.join(&String::new()))
}

/// The columns of a section's text.
fn room(look: &Look) -> usize {
    look.width - INDENT
}

/// Names with what they are, in two columns.
fn listed(entries: &[(String, String)], look: &Look) -> Vec<String> {
    let widest = entries.iter().map(|(name, _)| width(name)).max().unwrap_or(0);
    let hang = widest + 2;
    let text = |(name, text): &(String, String)| {
        fold(&clean(&format!("{}{text}", pad(name, hang)), look), room(look), hang)
    };
    entries.iter().flat_map(text).collect()
}

/// The lanes, and the handles that steps make. What runs alone is named in no text, nor here.
fn who(report: &Report, trace: &Trace, look: &Look) -> Vec<String> {
    let lane = |place: &str| match (place, place.split_once(' ')) {
        ("device", _) => "a device".to_owned(),
        (_, Some((process, cpu))) => format!("a thread of process {process}, on {cpu}"),
        (place, None) => format!("a thread of process {place}"),
    };
    let lanes = trace.lanes.iter().filter(|head| head.name != ALONE);
    let mut all: Vec<(String, String)> =
        lanes.map(|head| (head.name.clone(), lane(&head.place))).collect();
    for (row, told) in trace.rows.iter().zip(&report.explained) {
        let Some(made) = &told.makes else { continue };
        if all.iter().any(|(name, _)| *name == made.name) {
            continue;
        }
        let mut text = match made.kind {
            HandleKind::Pin => "a pin: through it a device reaches frames, without page tables",
            HandleKind::Reference => {
                "a plain reference: through it a device reaches frames, without page tables"
            }
            HandleKind::Follower => {
                "a device that follows page tables, and is told when they change; no reference"
            }
            HandleKind::Note => "what somebody remembers of which frame it was; no reference",
        }
        .to_owned();
        let mut scenes = report.explained.iter().map(|told| &told.scene);
        let held = scenes.any(|scene| scene.handles.iter().any(|one| one.name == made.name));
        if let Some(step) = row.step.filter(|_| !held) {
            text += &format!("; step {step} asks for it, and has not got it by the end");
        }
        all.push((made.name.clone(), text));
    }
    listed(&all, look)
}

/// The words of the field that the explanation uses.
fn words(report: &Report, trace: &Trace, mends: &[Mend], look: &Look) -> Vec<String> {
    let rows = trace.rows.iter().flat_map(|row| [Some(&row.text), row.state.as_ref()]).flatten();
    let told = report.explained.iter().map(|row| &row.meaning);
    let broken = report.broken.iter().flat_map(|broken| broken.what.iter().chain(&broken.why));
    let text = rows.chain(told).chain(broken).cloned();
    let shown = report.about.iter().cloned().chain(rules(report, mends, look));
    let who = who(report, trace, look).into_iter().chain(signs(trace, look));
    let sums = report.explained.iter().filter_map(|row| row.sum.clone());
    let text: Vec<String> =
        text.chain(shown).chain(who).chain(sums).chain(head(report, look)).collect();
    let mut found = terms::used(&text.join("\n"));
    found.extend(report.broken.iter().flat_map(oracles));
    listed(&found, look)
}

/// Who noticed what broke, with what each demands.
fn oracles(broken: &Broken) -> Vec<(String, String)> {
    let mut all = vec![broken.oracle];
    for finding in &broken.also {
        if !all.contains(&finding.oracle) {
            all.push(finding.oracle);
        }
    }
    let told = |oracle: Oracle| format!("a check. {}", oracle.doc().trim_end_matches('.'));
    all.into_iter().map(|oracle| (oracle.name().to_owned(), told(oracle))).collect()
}

/// The signs of the steps below.
fn signs(trace: &Trace, look: &Look) -> Vec<String> {
    let text = "Below, * marks what WHY is about, and what led to a frame or handle that it names. \
                `now` is what has changed by the moment at which its line was told; what frames \
                hold and count stands where the step ends, or where another lane interrupts it.";
    let mut text = text.to_owned();
    let is_alone = |row: &Row| {
        let lane = row.lane.and_then(|lane| trace.lanes.get(lane));
        row.kind == RowKind::Step && lane.is_some_and(|lane| lane.name == ALONE)
    };
    if trace.rows.iter().any(is_alone) {
        text += " A step that names no lane has the machine for itself, before the lanes start or \
                 after they have ended, on the CPU of its process.";
    }
    let mut lines = section("SIGNS", &fold(&text, room(look), 0), look);
    lines.extend(legend::draw(trace.rows.iter(), legend::Beside::Sentences, look));
    lines
}

/// One section for each step, and for each place where another lane goes on.
fn steps(report: &Report, trace: &Trace, look: &Look) -> Vec<Vec<String>> {
    let mut known = Known::default();
    let mut sections: Vec<Vec<String>> = Vec::new();
    let nothing = Explained::default();
    for (at, row) in trace.rows.iter().enumerate() {
        let told = report.explained.get(at).unwrap_or(&nothing);
        let lines = match row.kind {
            RowKind::Switch => switched(trace, at, look),
            _ => self::row(row, told, trace, look),
        };
        match sections.last_mut() {
            Some(section) if row.kind == RowKind::Note => section.extend(lines),
            _ => sections.push(lines),
        }
        let ends = trace.rows.get(at + 1).is_none_or(|next| next.kind != RowKind::Note);
        let changes = known.changes(&told.scene, if ends { Counts::Told } else { Counts::Wait });
        if let Some(section) = sections.last_mut() {
            section.extend(now(&changes, look));
        }
    }
    let judged = trace.rows.iter().any(|row| row.kind == RowKind::Claims);
    let end = match (&report.broken, trace.cut_off) {
        (Some(_), true) => {
            "The end: what broke is recorded, and the run ends there; a kernel would go on."
        }
        (Some(_), false) if !judged => THE_CLAIMS_LOOK,
        _ => return sections,
    };
    sections.push(painted(end, Tone::Head, look.width, look));
    sections
}

/// What is done once all steps are over.
const THE_CLAIMS_LOOK: &str = "The end: all steps are over. Only now the scenario's claims (its \
                               `always`) are compared with pages and frames, and what must hold \
                               in every run is looked at; WHAT says what was found.";

/// What a row says.
fn row(row: &Row, told: &Explained, trace: &Trace, look: &Look) -> Vec<String> {
    let lane = row.lane.and_then(|lane| trace.lanes.get(lane)).map(|lane| lane.name.as_str());
    match (row.kind, row.step) {
        (RowKind::Step, Some(number)) => {
            let mark = if row.cited { "* " } else { "" };
            let title = match lane {
                None | Some(ALONE) => format!("STEP {number}  {mark}{}", row.text),
                Some(lane) => format!("STEP {number}  {mark}{lane}: {}", row.text),
            };
            let mut lines = painted(&title, Tone::Head, look.width, look);
            lines.extend(indented(&told.meaning, look));
            lines
        }
        (RowKind::Claims, _) => painted(THE_CLAIMS_LOOK, Tone::Head, look.width, look),
        _ => note(row, told, lane, look),
    }
}

/// Where another lane goes on: which step interrupts which, and where that goes on itself.
fn switched(trace: &Trace, at: usize, look: &Look) -> Vec<String> {
    let name = |row: Option<&Row>| {
        let lane = row.and_then(|row| row.lane).and_then(|lane| trace.lanes.get(lane));
        lane.map_or("another lane", |lane| lane.name.as_str())
    };
    let row = &trace.rows[at];
    let (own, other) = (name(Some(row)), name(trace.rows.get(at + 1)));
    let resumes = row.text.contains("goes on");
    let left = step_of(trace, at).filter(|_| row.text.contains("is not finished"));
    let text = match (left, step_of(trace, at + 1)) {
        (Some(left), Some(now)) => {
            let resumed = if resumes { ", which goes on" } else { "" };
            let back = goes_on(trace, at).map(|row| format!("; it goes on after `{}`", row.text));
            let back =
                back.unwrap_or_else(|| "; it does not go on, as the run ends before".to_owned());
            let begun = trace.rows[..at].last();
            let begun = begun.filter(|row| row.kind == RowKind::Step && row.step == Some(left));
            let begun = begun.map_or("", |_| ", which has only begun,");
            format!(
                "step {left} of {own}{begun} is interrupted by step {now} of {other}{resumed}{back}"
            )
        }
        (None, Some(now)) if resumes => format!("step {now} of {other} goes on"),
        _ => format!("{other} goes on"),
    };
    let lines = fold(&clean(&format!("~ {text}"), look), look.width, 2);
    lines.iter().map(|line| look.paint(Tone::Doubt, line)).collect()
}

/// The step that a row's lane is in.
fn step_of(trace: &Trace, at: usize) -> Option<u32> {
    let lane = trace.rows.get(at)?.lane;
    let own = trace.rows[..=at].iter().rev().filter(|row| row.lane == lane);
    own.filter(|row| row.kind == RowKind::Step).find_map(|row| row.step)
}

/// The last row that is told before the lane that a switch leaves goes on, if it does.
fn goes_on(trace: &Trace, switch: usize) -> Option<&Row> {
    let lane = trace.rows[switch].lane;
    let (_, after) = trace.rows.split_at(switch + 1);
    let back = after.iter().position(|row| row.lane == lane && row.kind != RowKind::Switch)?;
    let told = |row: &&Row| row.kind != RowKind::Switch && !row.text.is_empty();
    after[..back].iter().rev().find(told)
}

/// Something that a step brought about.
fn note(row: &Row, told: &Explained, lane: Option<&str>, look: &Look) -> Vec<String> {
    if row.text.is_empty() {
        return Vec::new();
    }
    let mark = if row.cited { "*" } else { "-" };
    let lane = lane.filter(|lane| *lane != ALONE).map(|lane| format!("{lane}: "));
    let text = format!("{mark} {}{}", lane.unwrap_or_default(), row.text);
    let tone = if row.cited { Tone::Head } else { Tone::Faint };
    let mut lines: Vec<String> = painted(&text, tone, room(look) + 2, look)
        .into_iter()
        .map(|line| format!("{:1$}{line}", "", INDENT - 2))
        .collect();
    lines.extend(indented(&told.meaning, look));
    lines.extend(indented(&decided(told), look));
    lines
}

/// What a rule decided, and what the counts of a row are made of.
fn decided(told: &Explained) -> String {
    match (&told.decision, &told.sum) {
        (Some(Decision { text, in_force, .. }), None) => format!("Rule {in_force}: {text}."),
        (Some(Decision { text, in_force, .. }), Some(sum)) => {
            format!("Rule {in_force}: {text}; {sum}.")
        }
        (None, Some(sum)) => format!("{sum}."),
        (None, None) => String::new(),
    }
}

/// What is different now.
fn now(changes: &[String], look: &Look) -> Vec<String> {
    let mut lines = Vec::new();
    for (position, change) in changes.iter().enumerate() {
        let front = if position == 0 { "now   " } else { "      " };
        let folded = fold(&clean(change, look), room(look) - front.len(), 2);
        for (at, line) in folded.iter().enumerate() {
            let front = if at == 0 { front } else { "      " };
            lines.push(format!("{:INDENT$}{front}{line}", ""));
        }
    }
    lines
}

fn painted(text: &str, tone: Tone, columns: usize, look: &Look) -> Vec<String> {
    let lines = fold(&clean(text, look), columns, 2);
    lines.iter().map(|line| look.paint(tone, line)).collect()
}

fn indented(text: &str, look: &Look) -> Vec<String> {
    if text.is_empty() {
        return Vec::new();
    }
    let lines = fold(&clean(text, look), room(look), 0);
    lines.iter().map(|line| format!("{:INDENT$}{line}", "")).collect()
}

/// The switches that decided, each with its variant in force, and what those that came after it do
/// alone.
fn rules(report: &Report, mends: &[Mend], look: &Look) -> Vec<String> {
    let mut lines = Vec::new();
    for decided in decided_by(report, mends) {
        if !lines.is_empty() {
            lines.push(String::new());
        }
        lines.push(look.paint(Tone::Head, decided.switch.name));
        lines.extend(fold(decided.switch.doc, room(look), 0));
        lines.extend(fold(&format!("In force: {}", decided.in_force), room(look), 2));
        if let Some(Saved { by, then }) = &decided.saved {
            lines.extend(fold(&clean(&format!("Saved by {by}"), look), room(look), 2));
            for text in then {
                lines.extend(fold(&clean(&format!("  {text}"), look), room(look), 2));
            }
        }
        if !decided.others.is_empty() {
            lines.push("Each alone:".to_owned());
            for text in &decided.others {
                lines.extend(fold(&clean(&format!("  {text}"), look), room(look), 4));
            }
        }
    }
    if none_saves(mends) {
        let text = "None of these alone saves it: `pinfold cure`, below, looks for sets.";
        lines.push(String::new());
        lines.extend(fold(text, room(look), 0));
    }
    lines
}

/// Commands to go on with.
fn next(report: &Report, look: &Look) -> Vec<String> {
    let scenario = crate::find::argument(&report.scenario.name, &report.scenario.path);
    let mut commands = Vec::new();
    if report.broken.is_some() {
        let rules = &report.rules;
        let cure = format!("pinfold cure {scenario} --rules {rules}");
        commands.push((cure, "which switches would have saved it".to_owned()));
        let when = format!("pinfold when {scenario}");
        commands.push((when, "which releases break it, and what mended it".to_owned()));
    }
    listed(&commands, look)
}
