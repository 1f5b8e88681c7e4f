//! One report, for people: verdict, what broke, why, the execution in lanes, how to continue.

use super::accesses;
use super::choose::choose;
use super::evidence;
use super::lanes;
use super::legend::{self, Beside};
use super::text::{clean, counted, flow, fold, pad, pad_left, seconds, thousands, width};
use super::{Detail, Look, Tone};
use crate::find;
use crate::saved::{FILE, Place};
use pinfold::Rules;
use pinfold_lab::report::{
    Broken, Chosen, Decision, Elsewhere, Mode, Report, Search, Trace, Verdict, Way,
};
use pinfold_lab::{LockForm, Model};

/// Columns of the word in front of a section.
const WORD: usize = 6;
/// How far evidence is indented inside its section.
const EVIDENCE: usize = 8;
/// Lines of a trace that are shown however long the rest is.
const TRACE_LEAST: usize = 6;
/// Lines of an explanation that are shown however long the rest is.
const WHY_LEAST: usize = 4;

/// Lines that a section may take on a screen. The explanation takes what these and
/// [`TRACE_LEAST`] leave of it, but at least [`WHY_LEAST`]; the picture what is left then.
mod cap {
    pub(super) const HEAD: usize = 4;
    pub(super) const DOUBT: usize = 6;
    pub(super) const WHAT: usize = 6;
    pub(super) const ENDS: usize = 6;
    pub(super) const COST: usize = 1;
    /// What a search saw, when that is the whole answer.
    pub(super) const EVIDENCE: usize = 20;
    /// The same next to a failure.
    pub(super) const REACHED: usize = 3;
}

/// Draws a report; the text ends with a line break.
pub(crate) fn draw(report: &Report, look: &Look) -> String {
    draw_saved(report, None, look)
}

/// Draws a report whose execution may have been saved.
pub(crate) fn draw_saved(report: &Report, place: Option<&Place>, look: &Look) -> String {
    draw_doubted(report, place, Vec::new(), look)
}

/// Draws a report about a kernel of which something may not be known: `doubts` says what.
pub(crate) fn draw_doubted(
    report: &Report,
    place: Option<&Place>,
    doubts: Vec<String>,
    look: &Look,
) -> String {
    drawn(report, doubts, next(report, place, look), look)
}

/// Draws a report of a scenario that was made of a recording with these `calls`, for one release:
/// under another one it would not be the same scenario.
pub(crate) fn draw_imported(
    report: &Report,
    place: Option<&Place>,
    doubts: Vec<String>,
    calls: &[&str],
    look: &Look,
) -> String {
    drawn(report, doubts, next_of(report, place, Some(calls), look), look)
}

/// Draws a report of a scenario that is in no file, so that no command goes on from there.
pub(crate) fn draw_alone(report: &Report, doubts: Vec<String>, look: &Look) -> String {
    drawn(report, doubts, Vec::new(), look)
}

/// Draws a report with doubts, and with commands to continue with.
fn drawn(report: &Report, doubts: Vec<String>, next: Vec<String>, look: &Look) -> String {
    let goes_on = usize::from(!next.is_empty());
    let mut page = Page { look, sections: Vec::new(), hidden: 0 };
    page.add(cap::HEAD, head(report, look));
    page.add(cap::DOUBT, doubts);
    page.add(cap::WHAT, report.broken.as_ref().map_or_else(Vec::new, |broken| what(broken, look)));
    let story_at = page.sections.len();
    page.add(cap::ENDS, evidence::ends(report, look));
    page.add(cap::COST, evidence::costs(report, look));
    let cap = if report.broken.is_some() { cap::REACHED } else { cap::EVIDENCE };
    page.add(cap, evidence::evidence(report, look));
    page.add(usize::MAX, next);
    let room = page.room().saturating_sub(TRACE_LEAST + 1).max(WHY_LEAST);
    page.insert(story_at, room, why(report, look));
    let trace = report.trace.as_ref().filter(|_| shows_trace(report, look));
    let trace = trace.map(|trace| page.trace(trace)).unwrap_or_default();
    let trace_at = story_at + usize::from(page.sections.len() > story_at && has_why(report));
    page.insert(trace_at, usize::MAX, trace);
    let rules = section("RULES", &decisions(report, look), look);
    if look.detail == Detail::All || rules.len() < page.room() {
        let rules_at = trace_at + usize::from(shows_trace(report, look) && report.trace.is_some());
        page.insert(rules_at, usize::MAX, rules);
    }
    // They were requested, so nothing is left out in their place.
    page.insert(page.sections.len() - goes_on, usize::MAX, accesses::section(report, look));
    page.finish()
}

fn has_why(report: &Report) -> bool {
    report.broken.as_ref().is_some_and(|broken| !broken.why.is_empty())
}

/// The execution is shown if it is the answer: a run, or an execution that failed.
fn shows_trace(report: &Report, look: &Look) -> bool {
    look.detail == Detail::All || report.mode == Mode::Run || report.broken.is_some()
}

/// Sections as they are put together on a screen.
struct Page<'a> {
    look: &'a Look,
    sections: Vec<Vec<String>>,
    /// Lines left out so far.
    hidden: usize,
}

impl Page<'_> {
    /// Adds a section unless it is empty, cut to `cap` lines if it is to fit on a screen.
    fn add(&mut self, cap: usize, mut lines: Vec<String>) {
        if self.look.detail == Detail::Screen && lines.len() > cap {
            self.hidden += lines.len() - cap;
            lines.truncate(cap);
        }
        if !lines.is_empty() {
            self.sections.push(lines);
        }
    }

    /// Adds a section before the one at `at`, as [`Page::add`] does.
    fn insert(&mut self, at: usize, cap: usize, lines: Vec<String>) {
        let before = self.sections.len();
        self.add(cap, lines);
        if self.sections.len() > before {
            self.sections[at..].rotate_right(1);
        }
    }

    /// The lines that are left on the screen, one for the note of what is hidden aside.
    fn room(&self) -> usize {
        let taken: usize = self.sections.iter().map(|section| section.len() + 1).sum();
        self.look.height.saturating_sub(taken + 1)
    }

    /// The lines of a trace, as many as the other sections leave room for.
    fn trace(&mut self, trace: &Trace) -> Vec<String> {
        let mut drawn = lanes::draw(trace, self.look);
        let mut lines = std::mem::take(&mut drawn.head);
        if self.look.detail == Detail::All {
            lines.extend(drawn.rows.into_iter().flat_map(|row| row.lines));
            lines.extend(legend::draw(trace.rows.iter(), Beside::States, self.look));
            return lines;
        }
        let room = self.room().max(TRACE_LEAST).saturating_sub(lines.len());
        let chosen = choose(drawn.rows, room);
        self.hidden += chosen.hidden;
        let left = room.saturating_sub(chosen.lines.len());
        lines.extend(chosen.lines);
        let rows = trace.rows.iter().zip(&chosen.shown).filter(|(_, shown)| **shown);
        let key = legend::draw(rows.map(|(row, _)| row), Beside::States, self.look);
        if key.len() <= left {
            lines.extend(key);
        }
        lines
    }

    fn finish(self) -> String {
        let mut out = String::new();
        for (position, section) in self.sections.iter().enumerate() {
            if position > 0 {
                out.push('\n');
            }
            for line in section {
                out.push_str(line.trim_end());
                out.push('\n');
            }
        }
        if self.hidden > 0 {
            let note =
                format!("{} hidden: -v shows all", counted(self.hidden as u64, "line", "lines"));
            out += &format!("{:WORD$}{}\n", "", self.look.paint(Tone::Faint, &note));
        }
        out
    }
}

/// The verdict as printed.
pub(crate) fn word(verdict: Verdict) -> (&'static str, Tone) {
    match verdict {
        Verdict::Pass => ("PASS", Tone::Good),
        Verdict::Partial => ("PART", Tone::Doubt),
        Verdict::Fail => ("FAIL", Tone::Bad),
        Verdict::Skip => ("SKIP", Tone::Doubt),
        Verdict::Error => ("ERROR", Tone::Bad),
    }
}

pub(super) fn head(report: &Report, look: &Look) -> Vec<String> {
    let (verdict, tone) = match (report.mode, report.verdict) {
        // One order that went well does not amount to a pass.
        (Mode::Run, Verdict::Pass) => ("run", Tone::Head),
        (_, verdict) => word(verdict),
    };
    let name = clean(&report.scenario.name, look);
    let title = report.scenario.title.as_deref().unwrap_or_default();
    let subject = clean(format!("{name}  {title}").trim_end(), look);
    let path = clean(&report.scenario.path, look);
    let room = look.width - WORD;
    let mut lines = Vec::new();
    let mut facts = facts(report);
    if width(&subject) + 2 + width(&path) <= room {
        let path = pad_left(&path, room - width(&subject));
        lines.push(format!("{subject}{}", look.paint(Tone::Faint, &path)));
    } else {
        lines.extend(fold(&subject, room, name.chars().count() + 2));
        facts.push(path);
    }
    let facts: Vec<String> = facts.iter().map(|fact| clean(fact, look)).collect();
    lines.extend(flow(&facts, " | ", room));
    if let Some(stopped) = report.search.incomplete.as_ref().filter(|_| report.broken.is_none()) {
        let label = match report.verdict {
            Verdict::Skip | Verdict::Error => "because",
            _ => "incomplete",
        };
        lines.extend(fold(&clean(&format!("{label}: {stopped}"), look), room, 2));
    }
    section_painted(verdict, tone, &lines, look)
}

/// What ended the cutting of a failure before it was done, if something did: the explorer says so
/// after why it stopped.
fn unfinished_cutting(search: &Search) -> Option<String> {
    let (_, how) = search.incomplete.as_deref()?.split_once("; cutting it down was ")?;
    Some(format!("cutting {how}"))
}

/// What is said about the question and the work it took, in short pieces.
fn facts(report: &Report) -> Vec<String> {
    let search = &report.search;
    let mut facts = Vec::new();
    if report.mode == Mode::Run {
        facts.push("one execution".to_owned());
    }
    facts.push(format!("rules {}", report.rules));
    if report.mode == Mode::Check {
        facts.push(format!("model {}{}", search.model, elsewhere(search)));
        if search.locks != LockForm::Object {
            facts.push(format!("locks as {}", search.locks));
        }
    }
    facts.push(search.strategy.to_string());
    match (report.mode, &report.broken) {
        (Mode::Run, _) if search.executions == 0 => {}
        (Mode::Run, _) => facts.push(counted(search.steps_max, "access", "accesses")),
        (Mode::Check, Some(broken)) if !broken.schedule.is_empty() => {
            facts.push(format!("found in execution {}", thousands(search.executions)));
            let switches = |number| counted(number, "switch", "switches");
            facts.push(match (broken.from_steps, broken.from_switches) {
                (Some(long), Some(often)) => format!(
                    "{} with {} cut to {} with {}",
                    steps(long),
                    switches(often),
                    broken.steps,
                    broken.switches
                ),
                _ => format!("{}, {}", steps(broken.steps), switches(broken.switches)),
            });
            facts.extend(unfinished_cutting(search));
        }
        (Mode::Check, _) => facts.extend(work(search)),
    }
    if report.mode == Mode::Check && search.executions > 0 {
        facts.push(seconds(search.seconds));
    }
    if report.verdict == Verdict::Partial {
        facts.push("nothing found".to_owned());
    }
    if !report.id.is_empty() && (report.mode == Mode::Run || report.broken.is_some()) {
        facts.push(format!("id {}", report.id));
    }
    facts
}

/// What a stronger machine does, after the model's name.
fn elsewhere(search: &Search) -> String {
    let tried = |executions| counted(executions, "execution", "executions");
    match search.elsewhere {
        None => String::new(),
        Some(Elsewhere::Everywhere) if search.model == Model::Sc => String::new(),
        Some(Elsewhere::Everywhere) => " (every machine has it)".to_owned(),
        Some(Elsewhere::TsoToo { .. }) => " (x86 has it, too)".to_owned(),
        Some(Elsewhere::NotTso { executions }) => {
            format!(" only: not on x86 (tso exhausted, {})", tried(executions))
        }
        Some(Elsewhere::NotFoundUnderTso { executions }) => {
            format!(": under tso (x86) not found in {}", tried(executions))
        }
    }
}

fn steps(number: u64) -> String {
    counted(number, "step", "steps")
}

/// How much was searched.
fn work(search: &Search) -> Vec<String> {
    if search.executions == 0 {
        return Vec::new();
    }
    let mut work = vec![counted(search.executions, "execution", "executions")];
    if search.blocked > 0 {
        work.push(format!("{} blocked", thousands(search.blocked)));
    }
    if search.pruned > 0 {
        work.push(format!("{} pruned", thousands(search.pruned)));
    }
    if search.truncated > 0 {
        work.push(format!("{} cut off", thousands(search.truncated)));
    }
    work.push(format!("depth {}", thousands(search.steps_max)));
    work
}

/// Lines with a word in front of the first.
pub(super) fn section(word: &str, lines: &[String], look: &Look) -> Vec<String> {
    section_painted(word, Tone::Head, lines, look)
}

pub(super) fn section_painted(
    word: &str,
    tone: Tone,
    lines: &[String],
    look: &Look,
) -> Vec<String> {
    let blanks = WORD.saturating_sub(width(word));
    let word = format!("{}{:blanks$}", look.paint(tone, word), "");
    let front = |position: usize| if position == 0 { word.clone() } else { " ".repeat(WORD) };
    lines.iter().enumerate().map(|(at, line)| format!("{}{line}", front(at))).collect()
}

pub(super) fn what(broken: &Broken, look: &Look) -> Vec<String> {
    let statement = broken.what.first().map(String::as_str).unwrap_or_default();
    let text = clean(&format!("{}: {statement}", broken.title()), look);
    let mut lines = section("WHAT", &fold(&text, look.width - WORD, 2), look);
    for evidence in broken.what.iter().skip(1) {
        let folded = fold(&clean(evidence, look), look.width - EVIDENCE, 2);
        lines.extend(folded.iter().map(|line| format!("{:EVIDENCE$}{line}", "")));
    }
    for other in &broken.also {
        let text = clean(&format!("also {}: {}", other.oracle, other.what), look);
        let folded = fold(&text, look.width - WORD, 2);
        lines.extend(folded.iter().map(|line| format!("{:WORD$}{line}", "")));
    }
    lines
}

pub(super) fn why(report: &Report, look: &Look) -> Vec<String> {
    let sentences = report.broken.iter().flat_map(|broken| &broken.why);
    let lines: Vec<String> =
        sentences.flat_map(|sentence| fold(&clean(sentence, look), look.width - WORD, 2)).collect();
    if lines.is_empty() {
        return Vec::new();
    }
    section("WHY", &lines, look)
}

/// What rules decided beyond what the explanation says; all of it if everything was requested.
fn decisions(report: &Report, look: &Look) -> Vec<String> {
    let shown: Vec<&Decision> = report
        .decisions
        .iter()
        .filter(|decision| look.detail == Detail::All || !decision.told)
        .collect();
    let widest = shown.iter().map(|decision| width(&decision.rule)).max().unwrap_or(0);
    let hang = widest + 2;
    let mut lines = Vec::new();
    for decision in shown {
        let Decision { rule, text, in_force, .. } = decision;
        let in_force = in_force.strip_prefix(rule.as_str()).unwrap_or(in_force);
        let in_force = in_force.trim_start_matches('=');
        let text = format!("{}{text} ({in_force})", pad(rule, hang));
        lines.extend(fold(&clean(&text, look), look.width - WORD, hang));
    }
    lines
}

/// Commands to continue with.
fn next(report: &Report, place: Option<&Place>, look: &Look) -> Vec<String> {
    next_of(report, place, None, look)
}

/// The same; of what was made of a recording its calls.
fn next_of(
    report: &Report,
    place: Option<&Place>,
    calls: Option<&[&str]>,
    look: &Look,
) -> Vec<String> {
    let scenario = find::argument(&report.scenario.name, &report.scenario.path);
    let rules = &report.rules;
    let mut model = format!(" --model {}", report.search.model);
    if report.search.locks != LockForm::Object {
        model += &format!(" --locks {}", report.search.locks);
    }
    let mut commands: Vec<(String, &str)> = Vec::new();
    match (report.mode, report.verdict) {
        (Mode::Run, Verdict::Fail) => commands.push((
            format!("pinfold check {scenario} --rules {rules}"),
            "this order breaks it: is that the only one?",
        )),
        (Mode::Run, Verdict::Pass) => commands.push((
            format!("pinfold check {scenario} --rules {rules}"),
            "one order proves nothing: what of the others?",
        )),
        (Mode::Check, Verdict::Fail) => {
            commands.extend(place.map(|place| {
                let explain = format!("pinfold explain {}", place.argument());
                (explain, "every decision, step by step (--html FILE: a picture)")
            }));
            commands.extend(place.map(|place| {
                let replay = format!("pinfold replay {}", place.argument());
                (replay, "the same execution (--accesses: in detail)")
            }));
            commands.push((
                format!("pinfold run {scenario} --rules {rules}"),
                "the order as written, with its end state",
            ));
            match calls {
                None => commands.push((
                    format!("pinfold check {scenario} --rules all{model}"),
                    "which releases break it too",
                )),
                Some(calls) => {
                    let calls = calls.iter().map(|call| format!("pinfold calls {call}"));
                    commands
                        .extend(calls.map(|call| (call, "what makes this call safe with fork")));
                    let cure = format!("pinfold cure {scenario} --rules {rules}{model}");
                    let cure = format!("{cure} --switches 1");
                    commands.push((cure, "which rule of another release would mend it"));
                }
            }
            if let Some(switch) = decided_by(report) {
                commands.push((
                    format!("pinfold rules {switch}"),
                    "what that rule has been, and since when",
                ));
            }
        }
        (Mode::Check, Verdict::Partial)
            if report.search.strategy == Chosen::Search(Way::Exhaustive) =>
        {
            commands.extend(to_go_on(report, &format!("{scenario} --rules {rules}{model}")));
        }
        (Mode::Check, Verdict::Partial) => commands.push((
            format!("pinfold check {scenario} --rules {rules}{model}"),
            "the whole search, without these bounds",
        )),
        _ => {}
    }
    let mut lines = aligned(&commands, look.width - WORD);
    let unsaved = report.broken.as_ref().filter(|_| place.is_none());
    if let Some(broken) = unsaved.filter(|broken| !broken.schedule.is_empty()) {
        let schedule = &broken.schedule;
        let replay =
            format!("pinfold replay {scenario} --rules {rules}{model} --schedule {schedule}");
        // A command that is broken into lines cannot be copied, so a long one is shown only with
        // `-v`.
        if report.mode == Mode::Check
            && (look.detail == Detail::All || width(&replay) <= look.width - WORD)
        {
            lines.push(replay);
        }
    }
    let mut lines = section("NEXT", &lines, look);
    lines.extend(place.map(|place| {
        look.paint(Tone::Faint, &clean(&format!("saved {}/  {FILE}", place.shown()), look))
    }));
    lines
}

/// What helps a search on that did not end.
fn to_go_on(report: &Report, question: &str) -> Vec<(String, &'static str)> {
    let check = |more: &str| format!("pinfold check {question} {more}");
    let mut commands = Vec::new();
    if report.search.truncated > 0 {
        let more = report.search.steps_max.saturating_mul(2);
        let purpose = "executions were cut off at the bound on steps";
        commands.push((check(&format!("--max-steps {more}")), purpose));
    }
    commands.push((
        check("--jobs $(nproc) --checkpoint rest.json"),
        "on every core, and to be continued: --resume rest.json",
    ));
    commands
        .push((check("--preemptions 2"), "fewest switches first: what breaks easily shows soon"));
    commands
}

/// Commands with their purposes next to them, or below if there is no space.
fn aligned(commands: &[(String, &str)], room: usize) -> Vec<String> {
    let fits = |(command, purpose): &&(String, &str)| width(command) + 2 + width(purpose) <= room;
    let column = commands.iter().filter(fits).map(|(command, _)| width(command)).max().unwrap_or(0);
    let mut lines = Vec::new();
    for (command, purpose) in commands {
        let beside = format!("{}  {purpose}", pad(command, column));
        if width(&beside) <= room {
            lines.push(beside);
        } else if width(command) + 2 + width(purpose) <= room {
            lines.push(format!("{command}  {purpose}"));
        } else {
            lines.push(command.clone());
            lines.extend(fold(&format!("  {purpose}"), room, 2));
        }
    }
    lines
}

/// The last decision that names a switch.
fn decided_by(report: &Report) -> Option<&str> {
    let mut rules = report.decisions.iter().map(|decision| decision.rule.as_str());
    rules.rfind(|rule| Rules::switches().any(|switch| switch.name == *rule))
}
