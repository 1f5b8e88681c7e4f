//! An execution explained: who takes part, what the words mean, every step with its decisions and
//! what it changes, and the rules that decided.
//!
//! It is a text to be read from the beginning, so it takes as many lines as it needs.

mod facts;
mod terms;

use super::legend;
use super::report::{head, section, what, why};
use super::rules::{finish, since};
use super::text::{clean, counted, fold, pad, width};
use super::{Look, Tone};
use facts::{Counts, Known};
use pinfold::rules::{Status, SwitchInfo, VariantInfo};
use pinfold_lab::report::{Decision, Explained, Report, Row, RowKind, Trace, Verdict};
use pinfold_lab::{Contrast, Parting};
use serde::{Serialize, Serializer};

/// How far what belongs to a step is indented.
const INDENT: usize = 6;
/// The lane of what runs before and after the others.
const ALONE: &str = "alone";

/// What becomes of the scenario if one switch alone is as in a later release.
#[derive(Serialize)]
pub(crate) struct Mend {
    /// The switch.
    pub(crate) switch: &'static str,
    /// Its variant.
    #[serde(serialize_with = "named")]
    pub(crate) variant: &'static VariantInfo,
    /// Whether it saves the scenario: every execution was tried, and none breaks.
    pub(crate) saves: bool,
    /// What a search found.
    pub(crate) verdict: Verdict,
    /// Whether it failed only as it never met what a `reach` of the scenario names.
    pub(crate) vacuous: bool,
    /// The executions that it took.
    pub(crate) executions: u64,
    /// What broke, if it was found by another oracle than what is explained.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) otherwise: Option<String>,
    /// What an execution with it decides in another way, if one was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) contrast: Option<Apart>,
}

/// What an execution under other rules does that the one that is explained does not.
#[derive(Serialize)]
pub(crate) struct Apart {
    /// In which order it goes.
    pub(crate) order: Order,
    /// Where they part; nothing if nothing is decided in another way.
    pub(crate) contrast: Option<Contrast>,
}

/// The order of an execution under other rules.
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Order {
    /// That of the execution that is explained, for as long as it can be followed.
    Same,
    /// That in which it breaks.
    Another,
}

/// A variant by its name, as `--rules` takes it.
fn named<S: Serializer>(variant: &&'static VariantInfo, out: S) -> Result<S::Ok, S::Error> {
    out.serialize_str(variant.name)
}

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

/// The lanes, and the handles that they make.
fn who(report: &Report, trace: &Trace, look: &Look) -> Vec<String> {
    let lane = |(name, place): (&String, &String)| match (name.as_str(), place.as_str()) {
        (ALONE, _) => {
            let when = "what comes before the lanes start, and after they have ended";
            format!("{when}; each step on the CPU of its process")
        }
        (_, "device") => "a device".to_owned(),
        (_, place) => match place.split_once(' ') {
            Some((process, cpu)) => format!("a thread of process {process}, on {cpu}"),
            None => format!("a thread of process {place}"),
        },
    };
    let lanes = trace.lanes.iter().map(|head| (&head.name, &head.place));
    let mut all: Vec<(String, String)> = lanes.map(|both| (both.0.clone(), lane(both))).collect();
    for handle in report.explained.iter().flat_map(|row| &row.scene.handles) {
        if all.iter().any(|(name, _)| *name == handle.name) {
            continue;
        }
        let kind = if handle.pin { "a pin" } else { "a plain reference" };
        let text = format!("{kind}: through it a device reaches frames, without page tables");
        all.push((handle.name.clone(), text));
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
    let who = who(report, trace, look);
    let text: Vec<String> = text.chain(shown).chain(who).collect();
    let found = terms::used(&text.join("\n"));
    listed(&found, look)
}

/// The signs of the steps below.
fn signs(trace: &Trace, look: &Look) -> Vec<String> {
    let text = "Below, * marks what WHY is about. `now` is what has changed by the moment at which \
                its line was told; what frames hold and count stands where the step ends, or where \
                another lane interrupts it.";
    let mut lines = section("SIGNS", &fold(text, room(look), 0), look);
    lines.extend(legend::draw(trace.rows.iter(), look));
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
    sections
}

/// What a row says.
fn row(row: &Row, told: &Explained, trace: &Trace, look: &Look) -> Vec<String> {
    let lane = row.lane.and_then(|lane| trace.lanes.get(lane)).map(|lane| lane.name.as_str());
    match (row.kind, row.step) {
        (RowKind::Step, Some(number)) => {
            let title = match lane {
                None | Some(ALONE) => format!("STEP {number}  {}", row.text),
                Some(lane) => format!("STEP {number}  {lane}: {}", row.text),
            };
            let mut lines = painted(&title, Tone::Head, look.width, look);
            lines.extend(indented(&told.meaning, look));
            lines
        }
        (RowKind::Claims, _) => painted("The end: the claims look", Tone::Head, look.width, look),
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
            let back = back.unwrap_or_else(|| "; it does not go on before the run ends".to_owned());
            format!("step {left} of {own} is interrupted by step {now} of {other}{resumed}{back}")
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
    if let Some(Decision { text, in_force, .. }) = &told.decision {
        lines.extend(indented(&format!("Rule {in_force}: {text}."), look));
    }
    lines
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
/// alone: the first that saves the scenario in full, of those that some release has had if there
/// are such.
fn rules(report: &Report, mends: &[Mend], look: &Look) -> Vec<String> {
    let mut lines = Vec::new();
    for (switch, variant) in report.deciding() {
        if !lines.is_empty() {
            lines.push(String::new());
        }
        lines.push(look.paint(Tone::Head, switch.name));
        lines.extend(fold(switch.doc, room(look), 0));
        lines.extend(fold(&format!("In force: {}", told(switch, variant)), room(look), 2));
        let own = || mends.iter().filter(|mend| mend.switch == switch.name);
        let saves = |mend: &&Mend| mend.verdict == Verdict::Pass;
        let released = |mend: &&Mend| mend.variant.status == Status::Released;
        // What a kernel can have comes before what none has.
        let first = own().filter(saves).find(released).or_else(|| own().find(saves));
        let first = first.map(|mend| mend.variant.name);
        let mut others = Vec::new();
        for mend in own() {
            match first.filter(|first| mend.verdict == Verdict::Pass && *first == mend.variant.name)
            {
                Some(_) => lines.extend(saved_by(switch, mend, look)),
                // What came later still is for who asks `pinfold rules`.
                None => others.push(mend),
            }
        }
        if !others.is_empty() {
            lines.push("Each alone:".to_owned());
            for mend in others {
                let text = format!("  {} {}", brief(mend.variant), apart(mend));
                lines.extend(fold(&clean(&text, look), room(look), 4));
            }
        }
    }
    if !mends.is_empty() && mends.iter().all(|mend| mend.verdict == Verdict::Fail) {
        let text = "None of these alone saves it: `pinfold cure`, below, looks for sets.";
        lines.push(String::new());
        lines.extend(fold(text, room(look), 0));
    }
    lines
}

/// The variant that saves the scenario, what it is, and what it decides in another way.
fn saved_by(switch: &SwitchInfo, mend: &Mend, look: &Look) -> Vec<String> {
    let later = mend.variant;
    let mut lines = fold(&format!("Saved by {}", told(switch, later)), room(look), 2);
    if let Some(same) = same_as(switch, later) {
        let text = format!("  The same as {}", told(switch, same));
        lines.extend(fold(&text, room(look), 2));
    }
    let searched = counted(mend.executions, "execution", "executions");
    lines.push(format!("  With it alone nothing breaks: the search ends after {searched}."));
    if let Some(Apart { contrast, .. }) = &mend.contrast {
        let text = match contrast {
            None => format!("  {NO_DECISION}."),
            Some(Contrast { first, last }) => {
                let then = last.iter().map(|last| format!(" Then, {}.", both(last)));
                format!("  In the same order, {}.{}", both(first), then.collect::<String>())
            }
        };
        lines.extend(fold(&clean(&text, look), room(look), 2));
    }
    lines
}

/// What is said where two executions have the same to tell.
const NO_DECISION: &str = "In the same order no decision differs: the rule changes what runs \
                           between them";

/// What becomes of the scenario with a variant alone, and what that decides in another way.
fn apart(mend: &Mend) -> String {
    let searched = counted(mend.executions, "execution", "executions");
    let what = match (mend.verdict, &mend.otherwise) {
        (Verdict::Pass, _) => "saves it, too".to_owned(),
        (Verdict::Fail, _) if mend.vacuous => "has no such window".to_owned(),
        (Verdict::Fail, None) => "breaks".to_owned(),
        (Verdict::Fail, Some(what)) => format!("breaks in another way ({what})"),
        (Verdict::Partial, _) => format!("was not searched to the end ({searched})"),
        (Verdict::Skip | Verdict::Error, _) => return "was not searched".to_owned(),
    };
    let Some(Apart { order, contrast }) = &mend.contrast else { return what };
    match (contrast, order) {
        (None, Order::Same) => format!("{what}: in the same order no decision differs"),
        (None, Order::Another) => format!("{what}, in another order, where no decision differs"),
        (Some(Contrast { first, .. }), Order::Same) => format!("{what}: {}", there(first)),
        (Some(Contrast { first, .. }), Order::Another) => {
            format!("{what}, in another order: {}", there(first))
        }
    }
}

/// What the other execution does in a step.
fn there(parting: &Parting) -> String {
    let text = parting.there.as_deref().unwrap_or("nothing of the kind");
    format!("step {} ({}): {text}", parting.step, parting.text)
}

/// The same, and what the execution that is explained does.
fn both(parting: &Parting) -> String {
    format!(
        "{}; here: {}",
        there(parting),
        parting.here.as_deref().unwrap_or("nothing of the kind")
    )
}

/// The variant of which the text of another one says only what is different: the one before it.
fn same_as(switch: &SwitchInfo, variant: &VariantInfo) -> Option<&'static VariantInfo> {
    let at = switch.variants.iter().position(|one| one.name == variant.name)?;
    let before = switch.variants.get(at.checked_sub(1)?)?;
    variant.doc.starts_with("The same").then_some(before)
}

fn brief(variant: &VariantInfo) -> String {
    format!("{} ({})", variant.name, since(variant))
}

fn told(switch: &SwitchInfo, variant: &VariantInfo) -> String {
    format!("{} ({}). {}", variant.name, switch.era(variant).concat(), variant.doc)
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
