//! One report, for people: verdict, what broke, why, the execution in lanes, how to continue.

use super::accesses;
use super::evidence;
use super::lanes::{self, DrawnRow};
use super::text::{clean, counted, flow, fold, pad, pad_left, seconds, thousands, width};
use super::{Detail, Look, SCREEN, Tone};
use crate::find;
use crate::saved::{FILE, Place};
use pinfold::Rules;
use pinfold_lab::LockForm;
use pinfold_lab::report::{Broken, Chosen, Mode, Report, Search, Trace, Verdict, Way};

/// Columns of the word in front of a section.
const WORD: usize = 6;
/// How far evidence is indented inside its section.
const EVIDENCE: usize = 8;
/// Lines of a trace that are shown however long the rest is.
const TRACE_LEAST: usize = 6;

/// Lines that a section may take on a screen; together with [`TRACE_LEAST`] and the blank lines
/// between sections they stay within [`SCREEN`].
mod cap {
    pub(super) const HEAD: usize = 4;
    pub(super) const WHAT: usize = 6;
    pub(super) const WHY: usize = 4;
    pub(super) const DECISIONS: usize = 3;
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
    let mut page = Page { look, sections: Vec::new(), hidden: 0 };
    page.add(cap::HEAD, head(report, look));
    if let Some(broken) = &report.broken {
        page.add(cap::WHAT, what(broken, look));
        page.add(cap::WHY, why(report, look));
    }
    let trace_at = page.sections.len();
    page.add_tail("RULES", cap::DECISIONS, decisions(report, look));
    page.add(cap::ENDS, evidence::ends(report, look));
    page.add(cap::COST, evidence::costs(report, look));
    let cap = if report.broken.is_some() { cap::REACHED } else { cap::EVIDENCE };
    page.add(cap, evidence::evidence(report, look));
    let next_at = page.sections.len();
    page.add(usize::MAX, next(report, place, look));
    let trace_lines = report.trace.as_ref().filter(|_| shows_trace(report, look));
    let trace_lines = trace_lines.map(|trace| page.trace(trace));
    // They were requested, so nothing is left out in their place.
    let accesses = accesses::section(report, look);
    if !accesses.is_empty() {
        page.sections.insert(next_at, accesses);
    }
    if let Some(lines) = trace_lines {
        page.sections.insert(trace_at, lines);
    }
    page.finish()
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

    /// Adds a section after `word`. If it is to fit on a screen, only its last `cap` lines are
    /// kept.
    fn add_tail(&mut self, word: &str, cap: usize, mut lines: Vec<String>) {
        if self.look.detail == Detail::Screen {
            let over = lines.len().saturating_sub(cap);
            self.hidden += over;
            lines.drain(..over);
        }
        self.add(usize::MAX, section(word, &lines, self.look));
    }

    /// The lines of a trace, as many as the other sections leave room for.
    fn trace(&mut self, trace: &Trace) -> Vec<String> {
        let mut drawn = lanes::draw(trace, self.look);
        let mut lines = std::mem::take(&mut drawn.head);
        if self.look.detail == Detail::All {
            lines.extend(drawn.rows.into_iter().flat_map(|row| row.lines));
            return lines;
        }
        let others: usize = self.sections.iter().map(|section| section.len() + 1).sum();
        // One line for the note of what is hidden.
        let room = SCREEN.saturating_sub(others + 1).max(TRACE_LEAST).saturating_sub(lines.len());
        let (rows, hidden) = choose(drawn.rows, room);
        self.hidden += hidden;
        lines.extend(rows);
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

/// The lines of those rows that fit in `room`, with dots at the gaps, and how many lines this
/// hides. The end of an execution is the most informative, and the decisive row is shown in any
/// case.
fn choose(mut rows: Vec<DrawnRow>, room: usize) -> (Vec<String>, usize) {
    const GAP: &str = "       ...";
    let total: usize = rows.iter().map(|row| row.lines.len()).sum();
    if total <= room {
        return (rows.into_iter().flat_map(|row| row.lines).collect(), 0);
    }
    let decisive = rows.iter().position(|row| row.decisive);
    // Both rows that are always shown must leave room for each other and for two gaps.
    let most = (room.saturating_sub(2) / 2).max(1);
    for row in [decisive, rows.len().checked_sub(1)].into_iter().flatten() {
        rows[row].lines.truncate(most);
    }
    let height = |row: usize| rows[row].lines.len();
    // The decisive row costs its lines and the gap after it; before the first shown row there is a
    // gap.
    let mut used = 1 + decisive.map_or(0, |row| height(row) + 1);
    let mut first = rows.len();
    while first > 0 {
        let cost = if decisive == Some(first - 1) { 0 } else { height(first - 1) };
        if used + cost > room && first < rows.len() {
            break;
        }
        used += cost;
        first -= 1;
    }
    let mut lines = Vec::new();
    let mut shown = 0;
    let mut gap = false;
    for (position, row) in rows.into_iter().enumerate() {
        if position >= first || decisive == Some(position) {
            if std::mem::take(&mut gap) {
                lines.push(GAP.to_owned());
            }
            shown += row.lines.len();
            lines.extend(row.lines);
        } else {
            gap = true;
        }
    }
    (lines, total - shown)
}

/// The verdict as printed.
pub(super) fn word(verdict: Verdict) -> (&'static str, Tone) {
    match verdict {
        Verdict::Pass => ("PASS", Tone::Good),
        Verdict::Partial => ("PART", Tone::Doubt),
        Verdict::Fail => ("FAIL", Tone::Bad),
        Verdict::Skip => ("SKIP", Tone::Doubt),
        Verdict::Error => ("ERROR", Tone::Bad),
    }
}

fn head(report: &Report, look: &Look) -> Vec<String> {
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

/// What is said about the question and the work it took, in short pieces.
fn facts(report: &Report) -> Vec<String> {
    let search = &report.search;
    let mut facts = Vec::new();
    if report.mode == Mode::Run {
        facts.push("one execution".to_owned());
    }
    facts.push(format!("rules {}", report.rules));
    if report.mode == Mode::Check {
        facts.push(format!("model {}", search.model));
        if search.locks != LockForm::Object {
            facts.push(format!("locks as {}", search.locks));
        }
    }
    facts.push(search.strategy.to_string());
    match (report.mode, &report.broken) {
        (Mode::Run, _) if search.executions == 0 => {}
        (Mode::Run, _) => facts.push(steps(search.steps_max)),
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
fn section(word: &str, lines: &[String], look: &Look) -> Vec<String> {
    section_painted(word, Tone::Head, lines, look)
}

fn section_painted(word: &str, tone: Tone, lines: &[String], look: &Look) -> Vec<String> {
    let blanks = WORD.saturating_sub(width(word));
    let word = format!("{}{:blanks$}", look.paint(tone, word), "");
    let front = |position: usize| if position == 0 { word.clone() } else { " ".repeat(WORD) };
    lines.iter().enumerate().map(|(at, line)| format!("{}{line}", front(at))).collect()
}

fn what(broken: &Broken, look: &Look) -> Vec<String> {
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

fn why(report: &Report, look: &Look) -> Vec<String> {
    let mut sentences: Vec<String> = report.broken.iter().flat_map(|b| b.why.clone()).collect();
    let rows = report.trace.iter().flat_map(|trace| &trace.rows);
    if let Some(step) = rows.filter(|row| row.decisive).find_map(|row| row.step) {
        sentences.push(format!("The last step that could still go either way is {step} (*)."));
    }
    let text = clean(&sentences.join(" "), look);
    if text.is_empty() {
        return Vec::new();
    }
    section("WHY", &fold(&text, look.width - WORD, 0), look)
}

fn decisions(report: &Report, look: &Look) -> Vec<String> {
    let widest = report.decisions.iter().map(|decision| width(&decision.rule)).max().unwrap_or(0);
    let hang = widest + 2;
    let mut lines = Vec::new();
    for decision in &report.decisions {
        let text = format!("{}{}", pad(&decision.rule, hang), decision.text);
        lines.extend(fold(&clean(&text, look), look.width - WORD, hang));
    }
    lines
}

/// Commands to continue with.
fn next(report: &Report, place: Option<&Place>, look: &Look) -> Vec<String> {
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
                let replay = format!("pinfold replay {}", place.argument());
                (replay, "the same execution (--accesses: in detail)")
            }));
            commands.push((
                format!("pinfold run {scenario} --rules {rules}"),
                "the order as written, with its end state",
            ));
            commands.push((
                format!("pinfold check {scenario} --rules all{model}"),
                "which releases break it too",
            ));
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
            commands.push((
                format!("pinfold check {scenario} --rules {rules}{model} --preemptions 2"),
                "fewest switches first: what breaks easily shows soon",
            ));
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
