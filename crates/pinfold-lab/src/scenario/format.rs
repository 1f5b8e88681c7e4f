//! The canonical text of a scenario.
//!
//! [`layout`] is the one place that knows the order of statements. The parser uses it too, to tie
//! each comment to a statement by that statement's place in this order; so a comment follows its
//! statement when the formatter moves a section.

use super::ast::{
    Action, Atom, Batches, Behind, Claim, ClaimMode, Comment, Dirty, Duration, Extent, Fact, Force,
    Grab, Machine, Memory, Name, Occupied, Pages, Part, Place, Placement, Polarity, Runner,
    Scenario, Step, Strictness, Text, UffdWp, View, Whose,
};
use super::lexer::Line;
use super::span::Spanned;
use std::collections::{BTreeMap, HashMap};
use std::fmt::{self, Display, Formatter, Write};

/// The canonical text: sections in the order of the manual, steps indented by two blanks, one blank
/// line between sections, comments kept. Formatting it again changes nothing.
pub fn format(scenario: &Scenario) -> String {
    let lines = layout(scenario);
    let mut above: HashMap<usize, Vec<&str>> = HashMap::new();
    let mut beside: HashMap<usize, &str> = HashMap::new();
    for comment in &scenario.comments {
        match comment.placement {
            Placement::Beside if comment.statement < lines.len() => {
                beside.insert(comment.statement, &comment.text);
            }
            _ => above.entry(comment.statement.min(lines.len())).or_default().push(&comment.text),
        }
    }
    let mut out = String::new();
    for (index, line) in lines.iter().enumerate() {
        if line.gap == Gap::Blank {
            out.push('\n');
        }
        for comment in above.get(&index).into_iter().flatten() {
            push_line(&mut out, line.indent, "", Some(comment));
        }
        push_line(&mut out, line.indent, &line.text, beside.get(&index).copied());
    }
    if let Some(last) = above.get(&lines.len()) {
        out.push('\n');
        last.iter().for_each(|comment| push_line(&mut out, Indent::None, "", Some(comment)));
    }
    out
}

fn push_line(out: &mut String, indent: Indent, text: &str, comment: Option<&str>) {
    let start = out.len();
    if indent == Indent::Step {
        out.push_str("  ");
    }
    out.push_str(text);
    if let Some(comment) = comment {
        out.push_str(if text.is_empty() { "# " } else { "  # " });
        out.push_str(comment);
    }
    out.truncate(start + out[start..].trim_end().len());
    out.push('\n');
}

/// Ties the comments of a text to the statements of the scenario that was read from it.
pub(super) fn attach(scenario: &Scenario, source: &[Line]) -> Vec<Comment> {
    let lines = layout(scenario);
    let mut headers = HashMap::new();
    let mut offsets = BTreeMap::new();
    for (index, statement) in lines.iter().enumerate() {
        match statement.key {
            Key::Header(word) => headers.insert(word, index),
            Key::At(offset) => offsets.insert(offset, index),
        };
    }
    let mut comments = Vec::new();
    let mut waiting: Vec<String> = Vec::new();
    for line in source {
        let header = line.first_word().and_then(|word| headers.get(word));
        let inside = || offsets.range(line.span.range()).next().map(|(_, index)| index);
        match header.or_else(inside) {
            Some(&statement) => {
                comments.extend(waiting.drain(..).map(|text| Comment {
                    statement,
                    placement: Placement::Above,
                    text,
                }));
                comments.extend(line.comment.clone().map(|text| Comment {
                    statement,
                    placement: Placement::Beside,
                    text,
                }));
            }
            // A comment line, or the head of an empty section.
            _ => waiting.extend(line.comment.clone()),
        }
    }
    let end = lines.len();
    comments.extend(waiting.into_iter().map(|text| Comment {
        statement: end,
        placement: Placement::Above,
        text,
    }));
    comments.sort_by_key(|comment| comment.statement);
    comments
}

/// One statement of the canonical text.
struct Statement {
    key: Key,
    gap: Gap,
    indent: Indent,
    text: String,
}

/// How to find the source line from which a statement was read.
enum Key {
    /// It is the line that starts with this word.
    Header(&'static str),
    /// It is the line with this offset in it.
    At(usize),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Gap {
    None,
    Blank,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Indent {
    None,
    Step,
}

/// The statements in canonical order.
#[derive(Default)]
struct Layout {
    lines: Vec<Statement>,
}

impl Layout {
    fn push(&mut self, key: Key, gap: Gap, indent: Indent, text: String) {
        self.lines.push(Statement { key, gap, indent, text });
    }

    fn top<T>(&mut self, gap: Gap, at: &Spanned<T>, text: String) {
        self.push(Key::At(at.span.start), gap, Indent::None, text);
    }

    fn header(&mut self, word: &'static str) {
        self.push(Key::Header(word), Gap::Blank, Indent::None, word.to_owned());
    }

    fn item<T>(&mut self, at: &Spanned<T>, text: String) {
        self.push(Key::At(at.span.start), Gap::None, Indent::Step, text);
    }

    fn steps(&mut self, steps: &[Step]) {
        for step in steps {
            let key = Key::At(step.span.0.start);
            self.push(key, Gap::None, Indent::Step, step.to_string());
        }
    }

    fn machine(&mut self, machine: &Machine) {
        let properties = [
            ("nodes", machine.nodes),
            ("frames", machine.frames),
            ("words", machine.words),
            ("migrate-passes", machine.migrate_passes),
            ("areas", machine.areas),
            ("stack", machine.stack),
            ("hugetlb", machine.hugetlb),
            ("swap", machine.swap),
            ("swap-write-fails", machine.swap_write_fails),
            ("swap-read-fails", machine.swap_read_fails),
            ("readahead", machine.readahead),
            ("max-ptes-swap", machine.max_ptes_swap),
            ("lru", machine.lru),
            ("movable", machine.movable),
            ("cma", machine.cma),
        ];
        let numbers = properties.iter().any(|(_, value)| value.is_some());
        let swap = machine.swap_device.is_some() || machine.swap_writes.is_some();
        let words = machine.thp.is_some() || machine.numa.is_some();
        let plain = !numbers && !swap && !words;
        if plain && machine.cpus.is_empty() && machine.files.is_empty() && machine.groups.is_empty()
        {
            return;
        }
        self.header("machine");
        for (word, value) in properties {
            if let Some(value) = value {
                self.item(&value, format!("{word} {value}"));
            }
        }
        if let Some(device) = machine.swap_device {
            self.item(&device, format!("swap-device {device}"));
        }
        if let Some(writes) = machine.swap_writes {
            self.item(&writes, format!("swap-writes {writes}"));
        }
        if let Some(thp) = machine.thp {
            self.item(&thp, format!("thp {thp}"));
        }
        if let Some(numa) = machine.numa {
            self.item(&numa, format!("numa {numa}"));
        }
        for cpu in &machine.cpus {
            self.item(&cpu.name, format!("cpu {} node {}", cpu.name, cpu.node));
        }
        for file in &machine.files {
            let behind = match file.behind {
                Behind::Store => "",
                Behind::Memory => " memory",
            };
            self.item(&file.name, format!("file {} {}{behind}", file.name, file.pages));
        }
        for group in &machine.groups {
            self.item(&group.name, format!("group {} limit {}", group.name, group.limit));
        }
    }
}

fn layout(scenario: &Scenario) -> Vec<Statement> {
    let mut out = Layout::default();
    out.top(Gap::None, &scenario.name, format!("scenario {}", scenario.name));
    let single = |word: &str, text: &Spanned<String>| format!("{word} {}", Quoted(text));
    for (word, texts) in [
        ("title", scenario.title.as_slice()),
        ("about", scenario.about.as_slice()),
        ("facts", scenario.facts.as_slice()),
        ("source", scenario.source.as_slice()),
    ] {
        texts.iter().for_each(|text| out.top(Gap::None, text, single(word, text)));
    }
    out.machine(&scenario.machine);
    out.header("setup");
    let process = &scenario.setup.process;
    out.item(&process.name, format!("process {}{}", process.name, On(process.cpu.as_ref())));
    out.steps(&scenario.setup.steps);
    for lane in &scenario.lanes {
        let runner = match &lane.runner {
            Runner::Process { name, cpu } => format!("{name}{}", On(cpu.as_ref())),
            Runner::Device => "device".to_owned(),
        };
        let after = lane.after.as_ref().map(|lane| format!(" after {lane}")).unwrap_or_default();
        out.top(Gap::Blank, &lane.name, format!("lane {}: {runner}{after}", lane.name));
        out.steps(&lane.steps);
    }
    if !scenario.after.is_empty() {
        out.header("after");
        out.steps(&scenario.after);
    }
    if !scenario.always.is_empty() {
        out.header("always");
        for claim in &scenario.always {
            let key = Key::At(claim.span.0.start);
            out.push(key, Gap::None, Indent::Step, claim.to_string());
        }
    }
    let gap = |index: usize| if index == 0 { Gap::Blank } else { Gap::None };
    for (index, outcome) in scenario.outcomes.iter().enumerate() {
        let text = if outcome.when.is_empty() {
            format!("outcome {} otherwise", outcome.name)
        } else {
            format!("outcome {} when {}", outcome.name, Facts(&outcome.when))
        };
        out.top(gap(index), &outcome.name, text);
    }
    for (index, reach) in scenario.reach.iter().enumerate() {
        let mut text = format!("reach {}", reach.event);
        if let Some(during) = reach.during {
            text += &format!(" during {}", during.value.as_str());
        }
        out.top(gap(index), &reach.event, text);
    }
    out.lines
}

/// A text in quotes, escaped.
struct Quoted<'a>(&'a str);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for c in self.0.chars() {
            if matches!(c, '"' | '\\') {
                f.write_char('\\')?;
            }
            f.write_char(c)?;
        }
        f.write_char('"')
    }
}

/// ` on CPU`, or nothing.
struct On<'a>(Option<&'a Spanned<String>>);

impl Display for On<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |cpu| write!(f, " on {cpu}"))
    }
}

struct Facts<'a>(&'a [Fact]);

impl Display for Facts<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (index, fact) in self.0.iter().enumerate() {
            f.write_str(if index == 0 { "" } else { " and " })?;
            fact.fmt(f)?;
        }
        Ok(())
    }
}

impl Display for Step {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some(process) = &self.process {
            write!(f, "{process}: ")?;
        }
        self.action.fmt(f)?;
        self.fails.map_or(Ok(()), |failure| write!(f, " fails {failure}"))?;
        self.may_fail.map_or(Ok(()), |failure| write!(f, " may fail {failure}"))
    }
}

/// What a read must find, and where that is kept.
fn found(f: &mut Formatter<'_>, expect: Option<&Text>, register: Option<&Name>) -> fmt::Result {
    if let Some(word) = expect {
        write!(f, " expect {}", Quoted(word))?;
    }
    register.map_or(Ok(()), |register| write!(f, " as {register}"))
}

/// ` wp`, or nothing.
fn of_all(whose: Whose) -> &'static str {
    if whose == Whose::All { " all" } else { "" }
}

fn ending(wp: UffdWp) -> &'static str {
    match wp {
        UffdWp::Off => "",
        UffdWp::On => " wp",
    }
}

impl Display for Action {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.verb().as_str())?;
        match self {
            Self::Map { area, pages, sharing, protection, of, up_to, at, occupied } => {
                write!(f, " {area} {pages} {sharing} {protection}")?;
                if let Some(shown) = of {
                    write!(f, " of {}", shown.file)?;
                    shown.from.map_or(Ok(()), |page| write!(f, " from {page}"))?;
                }
                up_to.map_or(Ok(()), |most| write!(f, " up to {most}"))?;
                at.map_or(Ok(()), |at| write!(f, " at {:#x}", at.value))?;
                match occupied {
                    Occupied::Refuse => Ok(()),
                    Occupied::Replace => f.write_str(" replace"),
                }
            }
            Self::Populate { pages, access } => write!(f, " {pages} {access}"),
            Self::Remap { area, at } => write!(f, " {area} at {:#x}", at.value),
            Self::Break { area, pages } => write!(f, " {area} {pages}"),
            Self::Unmap { pages }
            | Self::Writeback { pages }
            | Self::Pageout { pages }
            | Self::Mlock { pages }
            | Self::Munlock { pages }
            | Self::Punch { pages } => write!(f, " {pages}"),
            Self::Join { group } => write!(f, " {group}"),
            Self::MoveCharge { pages, from, to } => write!(f, " {pages} from {from} to {to}"),
            Self::VmRead { peek } | Self::PtraceRead { peek } => {
                write!(f, " {}:{}", peek.process, peek.from)?;
                found(f, peek.expect.as_ref(), peek.register.as_ref())
            }
            Self::VmWrite { poke } | Self::PtraceWrite { poke } => {
                write!(f, " {}:{} {}", poke.process, poke.to, Quoted(&poke.word))
            }
            Self::DirectRead { to, from } => write!(f, " {to} from {from}"),
            Self::DirectWrite { from, to } => write!(f, " {from} to {to}"),
            Self::Protect { pages, protection } => write!(f, " {pages} {protection}"),
            Self::Advise { pages, advice } => write!(f, " {pages} {advice}"),
            Self::Write { to, word }
            | Self::DeviceWrite { to, word }
            | Self::FileWrite { to, word } => write!(f, " {to} {}", Quoted(word)),
            Self::Read { from, expect, register }
            | Self::DeviceRead { from, expect, register }
            | Self::FileRead { from, expect, register } => {
                write!(f, " {from}")?;
                found(f, expect.as_ref(), register.as_ref())
            }
            Self::Pin { grab, duration, times } => {
                grab.start(f)?;
                if *duration == Duration::LongTerm {
                    f.write_str(" longterm")?;
                }
                grab.end(f, *times)
            }
            Self::Get { grab, times } => {
                grab.start(f)?;
                grab.end(f, *times)
            }
            Self::Unpin { handle, dirty } => {
                let dirty = if *dirty == Dirty::Mark { " dirty" } else { "" };
                write!(f, " {handle}{dirty}")
            }
            Self::Put { handle } | Self::Unfollow { handle } => write!(f, " {handle}"),
            Self::Follow { pages, handle } | Self::Note { pages, handle } => {
                write!(f, " {pages} as {handle}")
            }
            Self::TryGet { frame: of, handle } | Self::GetPage { held: of, handle } => {
                write!(f, " {of} as {handle}")
            }
            Self::Fork { child } | Self::Clone { child } | Self::Vfork { child } => {
                write!(f, " {child}")
            }
            Self::Exit
            | Self::Exec
            | Self::SplitDeferred
            | Self::Swapoff
            | Self::ClearRefs
            | Self::NumaScan { pages: None } => Ok(()),
            Self::NumaScan { pages: Some(pages) } => write!(f, " {pages}"),
            Self::NumaTick { now, expect } => {
                write!(f, " {now}")?;
                expect.map_or(Ok(()), |expect| write!(f, " expect {expect}"))
            }
            Self::Migrate { pages, node, waits } | Self::Compact { pages, node, waits } => {
                write!(f, " {pages} to node {node}")?;
                waits.map_or(Ok(()), |waits| write!(f, " {waits}"))
            }
            Self::MovePages { pages, node, whose, expect, register } => {
                write!(f, " {pages} to node {node}{}", of_all(*whose))?;
                f.write_str(if expect.is_empty() { "" } else { " expect" })?;
                expect.iter().try_for_each(|status| write!(f, " {status}"))?;
                register.as_ref().map_or(Ok(()), |register| write!(f, " as {register}"))
            }
            Self::Mbind { pages, node, whose, strict } => {
                let strict = if *strict == Strictness::Strict { " strict" } else { "" };
                write!(f, " {pages} to node {node}{}{strict}", of_all(*whose))
            }
            Self::Offline { node, what } | Self::Online { node, what } => {
                let what = match what {
                    Memory::All => "",
                    Memory::Movable => " movable",
                    Memory::Cma => " cma",
                };
                write!(f, " node {node}{what}")
            }
            Self::Reclaim { node, goal } => write!(f, " node {node} goal {goal}"),
            Self::LruDrain { of: Batches::Here } | Self::Ksm { pages: None } => Ok(()),
            Self::Ksm { pages: Some(pages) } => write!(f, " {pages}"),
            Self::LruDrain { of: Batches::All } => f.write_str(" all"),
            Self::Signal { signal } | Self::Await { signal } => write!(f, " {signal}"),
            Self::Truncate { file, pages, words } => {
                write!(f, " {file} {pages}")?;
                words.map_or(Ok(()), |words| write!(f, " words {words}"))
            }
            Self::Sync { file } => write!(f, " {file}"),
            Self::UffdRegister { pages, modes } => {
                write!(f, " {pages}")?;
                modes.iter().try_for_each(|mode| write!(f, " {mode}"))
            }
            Self::UffdUnregister { pages }
            | Self::UffdProtect { pages }
            | Self::UffdUnprotect { pages } => write!(f, " {pages}"),
            Self::UffdCopy { to, word, wp } => {
                write!(f, " {to} {}{}", Quoted(word), ending(*wp))
            }
            Self::UffdZero { at } | Self::SplitFolio { at } | Self::Collapse { at } => {
                write!(f, " {at}")
            }
            Self::UffdContinue { at, wp } => write!(f, " {at}{}", ending(*wp)),
            Self::UffdWait { at, reason } => write!(f, " {at} {reason}"),
        }
    }
}

impl Grab {
    /// What comes before the words that only one of `pin` and `get` has.
    fn start(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, " {} {}", self.pages, self.access)?;
        f.write_str(if self.force == Force::Override { " force" } else { "" })
    }

    /// What comes after them.
    fn end(&self, f: &mut Formatter<'_>, times: Option<Spanned<u32>>) -> fmt::Result {
        if let Some(path) = self.path.as_str() {
            write!(f, " {path}")?;
        }
        if let Some(times) = times {
            write!(f, " times {times}")?;
        }
        write!(f, " as {}", self.handle)
    }
}

impl Display for Pages {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.area.fmt(f)?;
        match self.extent {
            Extent::All => Ok(()),
            Extent::One(page) => write!(f, "[{page}]"),
            Extent::Range { start, end } => write!(f, "[{start}..{end}]"),
        }
    }
}

impl Display for Part {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pages(pages) => pages.fmt(f),
            Self::Word(place) => place.fmt(f),
        }
    }
}

impl Display for Place {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.name.fmt(f)?;
        if let Some(page) = self.page {
            write!(f, "[{page}]")?;
        }
        self.word.map_or(Ok(()), |word| write!(f, ".{word}"))
    }
}

impl Display for Claim {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self.mode {
            ClaimMode::Holds => "",
            ClaimMode::Never => "never ",
        })?;
        Facts(&self.facts).fmt(f)
    }
}

impl Display for Fact {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let denied = self.polarity == Polarity::Denied;
        match &self.atom {
            Atom::Sees { view, word } => {
                let verb = if denied { "never sees" } else { "sees" };
                write!(f, "{view} {verb} {}", Quoted(word))
            }
            Atom::Stores { place, word } => {
                let verb = if denied { "never stores" } else { "stores" };
                write!(f, "{place} {verb} {}", Quoted(word))
            }
            Atom::Is { left, right } => {
                write!(f, "{left} {} {right}", if denied { "is not" } else { "is" })
            }
            Atom::Dirty { view } => {
                write!(f, "{view} {} dirty", if denied { "is not" } else { "is" })
            }
            Atom::Large { view } => {
                write!(f, "{view} {} large", if denied { "is not" } else { "is" })
            }
            Atom::Merged { view } => {
                write!(f, "{view} {} merged", if denied { "is not" } else { "is" })
            }
            Atom::OnNode { view, node } => {
                write!(f, "{view} {} on node {node}", if denied { "is not" } else { "is" })
            }
            Atom::NodeHolds { node, pages } => {
                write!(f, "node {node} {} {pages}", if denied { "never holds" } else { "holds" })
            }
            Atom::Cost { bound, count, of } => {
                let of = of.value.after(u64::from(count.value));
                write!(f, "cost {}{count} {of}", bound.before())
            }
            Atom::Huge { process, place } => {
                write!(f, "{process}:{place} {} huge", if denied { "is not" } else { "is" })
            }
            Atom::SoftDirty { process, place } => {
                write!(f, "{process}:{place} {} soft-dirty", if denied { "is not" } else { "is" })
            }
            Atom::Resident { process, place } => {
                write!(f, "{process}:{place} {} resident", if denied { "is not" } else { "is" })
            }
            Atom::Holds { group, pages } => {
                write!(f, "{group} {} {pages}", if denied { "never holds" } else { "holds" })
            }
            Atom::Register { register, word } => write!(f, "{register} {}", Quoted(word)),
        }
    }
}

impl Display for View {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Handle(place) | Self::File(place) => place.fmt(f),
            Self::Process { process, place } => write!(f, "{process}:{place}"),
        }
    }
}
