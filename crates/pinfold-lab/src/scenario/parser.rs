//! From lines to a tree.
//!
//! Each line is read on its own: an error costs one line, and the next is read as if nothing had
//! happened. A text with any such error yields no scenario, so the checks that follow never see
//! half a tree and never blame a line for an error in another.

mod claims;
mod cursor;
mod known;
mod moves;
mod steps;

use super::ast::{
    Behind, Claim, Cpu, File, Group, Lane, Machine, Name, Outcome, Process, Reach, Runner,
    Scenario, Setup, Step, Text,
};
use super::error::{Code, Parsed, ScenarioError};
use super::format;
use super::lexer::{Line, LineState, lex};
use super::span::Span;
use super::suggest::{did_you_mean, nearest};
use super::words::SECTIONS;
use cursor::Cursor;
use known::Known;
use steps::Home;

/// Which statements are expected.
enum Section {
    Top,
    Machine,
    Setup,
    Lane,
    /// A lane whose first line was not understood: its steps are read and dropped.
    BrokenLane,
    After,
    Always,
}

/// What has been read so far.
struct Parser<'a> {
    source: &'a str,
    known: Known,
    section: Section,
    name: Option<Name>,
    title: Option<Text>,
    about: Vec<Text>,
    facts: Option<Text>,
    references: Vec<Text>,
    machine: Machine,
    process: Option<Process>,
    setup: Vec<Step>,
    lanes: Vec<Lane>,
    after: Vec<Step>,
    always: Vec<Claim>,
    outcomes: Vec<Outcome>,
    reach: Vec<Reach>,
    /// Sections that may appear once and already have.
    seen: Vec<(&'static str, Span)>,
}

/// Reads a text, without the checks that need the whole tree.
pub(super) fn read(source: &str) -> Result<Scenario, Vec<ScenarioError>> {
    let mut errors = Vec::new();
    let lines = lex(source, &mut errors);
    let mut parser = Parser {
        source,
        known: Known::of(&lines),
        section: Section::Top,
        name: None,
        title: None,
        about: Vec::new(),
        facts: None,
        references: Vec::new(),
        machine: Machine::default(),
        process: None,
        setup: Vec::new(),
        lanes: Vec::new(),
        after: Vec::new(),
        always: Vec::new(),
        outcomes: Vec::new(),
        reach: Vec::new(),
        seen: Vec::new(),
    };
    for line in lines.iter().filter(|line| !line.tokens.is_empty()) {
        if line.state == LineState::Cut {
            parser.recover(line);
        } else if let Err(error) = parser.line(line) {
            if matches!(error.code, Code::UnknownStatement | Code::UnknownStep) {
                parser.recover(line);
            }
            errors.push(*error);
        }
    }
    let mut scenario = parser.finish(errors)?;
    scenario.comments = format::attach(&scenario, &lines);
    Ok(scenario)
}

impl Parser<'_> {
    /// Follows a line that was not understood into the section that it seems to open, so that the
    /// lines of that section are not all reported as being in the section before.
    fn recover(&mut self, line: &Line) {
        const OPENERS: [&str; 5] = ["machine", "setup", "lane", "after", "always"];
        let opener = line.first_word().and_then(|word| nearest(word, OPENERS));
        self.section = match opener {
            Some("machine") => Section::Machine,
            Some("setup") => Section::Setup,
            Some("lane") => Section::BrokenLane,
            Some("after") => Section::After,
            Some("always") => Section::Always,
            _ => return,
        };
    }

    fn line(&mut self, line: &Line) -> Parsed<()> {
        let mut cursor = Cursor::new(self.source, line);
        let section = line.first_word().filter(|_| !cursor.at_prefix());
        if let Some(word) = section.and_then(|word| SECTIONS.into_iter().find(|s| *s == word)) {
            let start = cursor.keyword(word)?;
            return self.opening(word, start, &mut cursor);
        }
        match self.section {
            Section::Top => Err(unknown(&cursor, "a section", &SECTIONS)),
            Section::Machine => self.machine(&mut cursor),
            Section::Setup => self.setup(&mut cursor),
            Section::Lane => {
                let Some(lane) = self.lanes.last_mut() else { return Ok(()) };
                let step = steps::step(&mut cursor, Home::Lane(&lane.runner), &self.known)?;
                lane.steps.push(step);
                Ok(())
            }
            Section::BrokenLane => {
                steps::step(&mut cursor, Home::BrokenLane, &self.known).map(drop)
            }
            Section::After => {
                self.after.push(steps::step(&mut cursor, Home::Alone, &self.known)?);
                Ok(())
            }
            Section::Always => {
                self.always.push(claims::claim(&mut cursor, &self.known)?);
                Ok(())
            }
        }
    }

    /// A line that starts with a word of [`SECTIONS`], after that word.
    fn opening(&mut self, word: &'static str, start: Span, cursor: &mut Cursor<'_>) -> Parsed<()> {
        match word {
            "machine" => self.section = Section::Machine,
            "setup" => self.section = Section::Setup,
            "after" => self.section = Section::After,
            "always" => self.section = Section::Always,
            // Until its first line is understood.
            "lane" => self.section = Section::BrokenLane,
            _ => {}
        }
        if !matches!(word, "about" | "source" | "lane" | "outcome" | "reach") {
            self.once(word, start)?;
        }
        match word {
            "scenario" => self.name = Some(cursor.name("the name of the scenario")?),
            "title" => self.title = Some(cursor.text("the title")?),
            "about" => self.about.push(cursor.text("the description")?),
            "facts" => self.facts = Some(cursor.text("the reference")?),
            "source" => self.references.push(cursor.text("the source")?),
            "lane" => {
                let lane = lane(cursor)?;
                self.lanes.push(lane);
                self.section = Section::Lane;
            }
            "outcome" => self.outcomes.push(claims::outcome(cursor, &self.known)?),
            "reach" => self.reach.push(claims::reach(cursor)?),
            _ => {}
        }
        cursor.end()
    }

    fn once(&mut self, word: &'static str, start: Span) -> Parsed<()> {
        if let Some((_, first)) = self.seen.iter().find(|(seen, _)| *seen == word) {
            return Err(repeated(word, start, *first));
        }
        self.seen.push((word, start));
        Ok(())
    }

    fn machine(&mut self, cursor: &mut Cursor<'_>) -> Parsed<()> {
        const KNOWN: [&str; 22] = [
            "nodes",
            "frames",
            "words",
            "cpu",
            "migrate-passes",
            "areas",
            "stack",
            "hugetlb",
            "swap",
            "swap-device",
            "swap-writes",
            "swap-write-fails",
            "swap-read-fails",
            "readahead",
            "max-ptes-swap",
            "lru",
            "movable",
            "cma",
            "thp",
            "numa",
            "file",
            "group",
        ];
        let start = cursor.here();
        let machine = &mut self.machine;
        let slot = match cursor.peek_word() {
            Some("cpu") => {
                cursor.keyword("cpu")?;
                let name = cursor.new_name("a name for the CPU")?;
                cursor.keyword("node")?;
                let node = cursor.number("a node number")?;
                machine.cpus.push(Cpu { name, node });
                return cursor.end();
            }
            Some("file") => {
                cursor.keyword("file")?;
                let name = cursor.new_name("a name for the file")?;
                let pages = cursor.number("a number of pages")?;
                let behind = match cursor.accept("memory") {
                    Some(_) => Behind::Memory,
                    None => Behind::Store,
                };
                machine.files.push(File { name, pages, behind });
                return cursor.end();
            }
            Some("group") => {
                cursor.keyword("group")?;
                let name = cursor.new_name("a name for the group")?;
                cursor.keyword("limit")?;
                let limit = cursor.number("a number of pages")?;
                machine.groups.push(Group { name, limit });
                return cursor.end();
            }
            Some("thp") => {
                let word = cursor.keyword("thp")?;
                if let Some(first) = machine.thp {
                    return Err(repeated("thp", word, first.span));
                }
                machine.thp = Some(cursor.one_of("a way to map large folios")?);
                return cursor.end();
            }
            Some("swap-device") => {
                let word = cursor.keyword("swap-device")?;
                if let Some(first) = machine.swap_device {
                    return Err(repeated("swap-device", word, first.span));
                }
                machine.swap_device = Some(cursor.one_of("what the swap device is like")?);
                return cursor.end();
            }
            Some("swap-writes") => {
                let word = cursor.keyword("swap-writes")?;
                if let Some(first) = machine.swap_writes {
                    return Err(repeated("swap-writes", word, first.span));
                }
                machine.swap_writes =
                    Some(cursor.one_of("what the swap device bears while it writes")?);
                return cursor.end();
            }
            Some("numa") => {
                let word = cursor.keyword("numa")?;
                if let Some(first) = machine.numa {
                    return Err(repeated("numa", word, first.span));
                }
                machine.numa = Some(cursor.one_of("what a hinting fault does with a page")?);
                return cursor.end();
            }
            Some("nodes") => &mut machine.nodes,
            Some("frames") => &mut machine.frames,
            Some("words") => &mut machine.words,
            Some("migrate-passes") => &mut machine.migrate_passes,
            Some("areas") => &mut machine.areas,
            Some("stack") => &mut machine.stack,
            Some("hugetlb") => &mut machine.hugetlb,
            Some("swap") => &mut machine.swap,
            Some("swap-write-fails") => &mut machine.swap_write_fails,
            Some("swap-read-fails") => &mut machine.swap_read_fails,
            Some("readahead") => &mut machine.readahead,
            Some("max-ptes-swap") => &mut machine.max_ptes_swap,
            Some("lru") => &mut machine.lru,
            Some("movable") => &mut machine.movable,
            Some("cma") => &mut machine.cma,
            _ => return Err(unknown(cursor, "a property of the machine", &KNOWN)),
        };
        let word = cursor.name("a property")?;
        if let Some(first) = slot {
            return Err(repeated(&word, start, first.span));
        }
        *slot = Some(cursor.number("a number")?);
        cursor.end()
    }

    fn setup(&mut self, cursor: &mut Cursor<'_>) -> Parsed<()> {
        if cursor.at_prefix() || cursor.accept("process").is_none() {
            self.setup.push(steps::step(cursor, Home::Alone, &self.known)?);
            return Ok(());
        }
        let name = cursor.new_name("a name for the process")?;
        let cpu = cpu(cursor)?;
        cursor.end()?;
        if let Some(first) = &self.process {
            return Err(Box::new(
                ScenarioError::new(
                    Code::Repeated,
                    name.span,
                    "a scenario starts with one process",
                    "a second process",
                )
                .related(first.name.span, "the first")
                .help(format!("more processes come by fork: `{}: fork {name}`", first.name)),
            ));
        }
        if let Some(step) = self.setup.first() {
            return Err(Box::new(
                ScenarioError::new(
                    Code::Misplaced,
                    name.span,
                    "the process is declared after steps that need it",
                    "declared too late",
                )
                .related(step.span.0, "this step comes first")
                .help("make `process` the first line of `setup`"),
            ));
        }
        self.process = Some(Process { name, cpu });
        Ok(())
    }

    /// Puts the parts together and reports missing ones.
    fn finish(self, mut errors: Vec<ScenarioError>) -> Result<Scenario, Vec<ScenarioError>> {
        let start = Span::default();
        let end = Span::new(self.source.trim_end().len(), self.source.trim_end().len());
        // A missing part may have been written but not understood: then that is already reported.
        if errors.is_empty() {
            let mut missing = |part: &str, at: Span, help: &str| {
                errors.push(
                    ScenarioError::new(
                        Code::Missing,
                        at,
                        format!("the scenario has no {part}"),
                        format!("{part} is missing"),
                    )
                    .help(help),
                );
            };
            if self.name.is_none() {
                missing("name", start, "start the file with `scenario NAME`");
            }
            if self.process.is_none() {
                let setup = self.seen.iter().find(|(word, _)| *word == "setup");
                match setup {
                    None => missing("`setup`", end, "add `setup` and in it `process P`"),
                    Some((_, at)) => missing("process", *at, "start `setup` with `process P`"),
                }
            }
            if self.lanes.is_empty() {
                missing("`lane`", end, "add `lane NAME: P` and its steps");
            }
            if self.always.is_empty() && self.outcomes.is_empty() {
                missing("`always`", end, "say in `always` what must hold, or name an `outcome`");
            }
        }
        match (self.name, self.process) {
            (Some(name), Some(process)) if errors.is_empty() => Ok(Scenario {
                name,
                title: self.title,
                about: self.about,
                facts: self.facts,
                source: self.references,
                machine: self.machine,
                setup: Setup { process, steps: self.setup },
                lanes: self.lanes,
                after: self.after,
                always: self.always,
                outcomes: self.outcomes,
                reach: self.reach,
                comments: Vec::new(),
            }),
            _ => {
                errors.sort_by_key(|error| (error.span, error.code));
                Err(errors)
            }
        }
    }
}

/// `NAME: PROCESS [on CPU] [after LANE]` or `NAME: device [after LANE]`
fn lane(cursor: &mut Cursor<'_>) -> Parsed<Lane> {
    let name = cursor.new_name("a name for the lane")?;
    cursor.colon()?;
    let runner = if cursor.accept("device").is_some() {
        Runner::Device
    } else {
        Runner::Process { name: cursor.name("a process or `device`")?, cpu: cpu(cursor)? }
    };
    let after = match cursor.accept("after") {
        Some(_) => Some(cursor.name("a lane")?),
        None => None,
    };
    cursor.end()?;
    Ok(Lane { name, runner, after, steps: Vec::new() })
}

/// `[on CPU]`
fn cpu(cursor: &mut Cursor<'_>) -> Parsed<Option<Name>> {
    match cursor.accept("on") {
        Some(_) => cursor.name("a CPU").map(Some),
        None => Ok(None),
    }
}

fn unknown(cursor: &Cursor<'_>, wanted: &str, known: &[&str]) -> Box<ScenarioError> {
    let Some(word) = cursor.peek_word() else {
        return cursor.unexpected(wanted);
    };
    Box::new(
        ScenarioError::new(
            Code::UnknownStatement,
            cursor.here(),
            format!("`{word}` is not {wanted}"),
            format!("expected {wanted}"),
        )
        .maybe_help(did_you_mean(word, "known here", known.iter().copied())),
    )
}

fn repeated(word: &str, again: Span, first: Span) -> Box<ScenarioError> {
    Box::new(
        ScenarioError::new(
            Code::Repeated,
            again,
            format!("`{word}` stands here a second time"),
            "said again",
        )
        .related(first, "said first")
        .help("remove one of the two"),
    )
}
