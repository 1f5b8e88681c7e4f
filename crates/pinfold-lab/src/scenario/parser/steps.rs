//! The lines of `setup`, lanes and `after`.

use super::super::ast::{
    Action, Batches, Dirty, Duration, Force, Grab, Occupied, Path, Peek, Place, Poke, Runner,
    Shown, Step, Sure, UffdWp,
};
use super::super::error::{Code, Parsed, ScenarioError};
use super::super::span::{Name, Span, Spanned, Text};
use super::super::suggest::did_you_mean;
use super::super::words::{SECTIONS, Sharing, UffdWord, Verb, Vocabulary};
use super::cursor::{Cursor, ENDINGS};
use super::known::Known;
use super::moves;

/// Where a step is written.
#[derive(Clone, Copy)]
pub(super) enum Home<'a> {
    /// In `setup` or `after`: steps name their process.
    Alone,
    /// In a lane: the lane names it.
    Lane(&'a Runner),
    /// In a lane whose first line was not understood.
    BrokenLane,
}

/// `[PROCESS:] ACTION [fails FAILURE | may fail FAILURE]`
pub(super) fn step(cursor: &mut Cursor<'_>, home: Home<'_>, known: &Known) -> Parsed<Step> {
    let start = cursor.here();
    let process = if cursor.at_prefix() {
        let name = cursor.name("a process")?;
        cursor.colon()?;
        Some(name)
    } else {
        None
    };
    let verb_at = cursor.here();
    let action = action(cursor, home, known)?;
    let (mut fails, mut may_fail) = (None, None);
    if let Some(fail) = cursor.accept("fails") {
        if action.must_be_sure() == Some(Sure::CannotFail) {
            return Err(Box::new(unsure(&action, Sure::CannotFail, fail)));
        }
        fails = Some(cursor.one_of("a kind of failure")?);
    } else if let Some(may) = cursor.accept("may") {
        let fail = cursor.keyword("fail")?;
        if let Some(sure) = action.must_be_sure() {
            return Err(Box::new(unsure(&action, sure, may.to(fail))));
        }
        may_fail = Some(cursor.one_of("a kind of failure")?);
    }
    cursor.end()?;
    let span = cursor.since(start);
    match (home, &process) {
        (Home::Alone, _) if action.signal().is_some() => {
            return Err(Box::new(nothing_to_wait_for(&action, verb_at)));
        }
        (Home::Alone, None) if action.needs_process() => {
            return Err(Box::new(
                ScenarioError::new(
                    Code::Misplaced,
                    verb_at,
                    format!("it is not said which process runs `{}`", action.verb()),
                    "no process before this step",
                )
                .help("outside lanes a step names its process: `P: write A \"v1\"`"),
            ));
        }
        (Home::Lane(_) | Home::BrokenLane, Some(name)) => {
            return Err(Box::new(
                ScenarioError::new(
                    Code::Misplaced,
                    name.span,
                    "a step of a lane names no process",
                    "the first line of the lane says who runs it",
                )
                .help(format!("remove `{name}:`, or give `{name}` a lane of its own")),
            ));
        }
        _ => {}
    }
    if let Home::Lane(Runner::Device) = home
        && !action.suits_device()
    {
        return Err(Box::new(
            ScenarioError::new(
                Code::Misplaced,
                verb_at,
                format!("a device cannot `{}`", action.verb()),
                "not a step of a device",
            )
            .help(
                "a device does `read HANDLE` and `write HANDLE \"word\"`, and signals and awaits",
            ),
        ));
    }
    Ok(Step { process, action, fails, may_fail, span })
}

/// The error for a step that says it may fail, or must, where it cannot.
fn unsure(action: &Action, sure: Sure, at: Span) -> ScenarioError {
    let verb = action.verb();
    let (message, label, help) = match sure {
        Sure::UsedElsewhere => (
            format!("`{verb}` cannot leave open whether it works"),
            "what it makes is used elsewhere",
            "say `fails NAME`, or give it what it needs to work",
        ),
        Sure::CannotFail => {
            (format!("a `{verb}` cannot fail"), "nothing to expect", "leave this out")
        }
    };
    ScenarioError::new(Code::Misplaced, at, message, label).help(help)
}

/// The error for a wait, or what ends it, where nothing else runs.
fn nothing_to_wait_for(action: &Action, at: Span) -> ScenarioError {
    ScenarioError::new(
        Code::Misplaced,
        at,
        format!("`{}` has no meaning here", action.verb()),
        "runs alone",
    )
    .help("only lanes signal and wait: what `setup` does is done before they start")
}

fn action(cursor: &mut Cursor<'_>, home: Home<'_>, known: &Known) -> Parsed<Action> {
    Ok(match verb(cursor)? {
        Verb::Map => map(cursor)?,
        Verb::Unmap => Action::Unmap { pages: cursor.pages()? },
        Verb::Remap => {
            let area = cursor.name("an area")?;
            cursor.keyword("at")?;
            Action::Remap { area, at: cursor.wide_number("an address")? }
        }
        Verb::Break => {
            let area = cursor.new_name("a name for the area")?;
            Action::Break { area, pages: cursor.number("a number of pages")? }
        }
        Verb::Protect => {
            Action::Protect { pages: cursor.pages()?, protection: cursor.one_of("a protection")? }
        }
        Verb::Advise => {
            Action::Advise { pages: cursor.pages()?, advice: cursor.one_of("a piece of advice")? }
        }
        Verb::Write => write(cursor, home, known)?,
        Verb::Read => read(cursor, home, known)?,
        Verb::Pin => pin(cursor)?,
        Verb::Get => get(cursor)?,
        Verb::Unpin => {
            let handle = cursor.name("a handle")?;
            let dirty = match cursor.accept("dirty") {
                Some(_) => Dirty::Mark,
                None => Dirty::Leave,
            };
            Action::Unpin { handle, dirty }
        }
        Verb::Put => Action::Put { handle: cursor.name("a handle")? },
        Verb::Follow => {
            let pages = cursor.pages()?;
            cursor.keyword("as")?;
            Action::Follow { pages, handle: cursor.new_name("a name for the handle")? }
        }
        Verb::Unfollow => Action::Unfollow { handle: cursor.name("a handle")? },
        Verb::Fork => Action::Fork { child: cursor.new_name("a name for the child")? },
        Verb::Exit => Action::Exit,
        Verb::NumaScan => match cursor.peek_word() {
            None => Action::NumaScan { pages: None },
            Some(word) if ENDINGS.contains(&word) => Action::NumaScan { pages: None },
            Some(_) => Action::NumaScan { pages: Some(cursor.pages()?) },
        },
        Verb::NumaTick => {
            let now = cursor.number("a time in milliseconds")?;
            let expect = match cursor.accept("expect") {
                Some(_) => Some(cursor.one_of("`scan` or `rest`")?),
                None => None,
            };
            Action::NumaTick { now, expect }
        }
        Verb::Migrate => moves::migrate(cursor)?,
        Verb::Compact => moves::compact(cursor)?,
        Verb::MovePages => moves::move_pages(cursor)?,
        Verb::Mbind => moves::mbind(cursor)?,
        Verb::Offline => {
            let (node, what) = moves::memory(cursor)?;
            Action::Offline { node, what }
        }
        Verb::Online => {
            let (node, what) = moves::memory(cursor)?;
            Action::Online { node, what }
        }
        Verb::ClearRefs => Action::ClearRefs,
        Verb::Pageout => Action::Pageout { pages: cursor.pages()? },
        Verb::Swapoff => Action::Swapoff,
        Verb::Reclaim => {
            cursor.keyword("node")?;
            let node = cursor.number("a node number")?;
            cursor.keyword("goal")?;
            Action::Reclaim { node, goal: cursor.number("a number of pages")? }
        }
        Verb::LruDrain => Action::LruDrain {
            of: match cursor.accept("all") {
                Some(_) => Batches::All,
                None => Batches::Here,
            },
        },
        Verb::Ksm => {
            let ends = cursor.peek_word().is_some_and(|word| ENDINGS.contains(&word));
            let all = ends || cursor.peek().is_none();
            let pages = if all { None } else { Some(cursor.number("a number of pages")?) };
            Action::Ksm { pages }
        }
        Verb::Writeback => Action::Writeback { pages: cursor.pages()? },
        Verb::Signal => Action::Signal { signal: cursor.new_name("a name for the signal")? },
        Verb::Await => Action::Await { signal: cursor.name("a signal")? },
        Verb::Populate => {
            Action::Populate { pages: cursor.pages()?, access: cursor.one_of("`read` or `write`")? }
        }
        Verb::Clone => Action::Clone { child: cursor.new_name("a name for the child")? },
        Verb::Vfork => Action::Vfork { child: cursor.new_name("a name for the child")? },
        Verb::Exec => Action::Exec,
        Verb::Mlock => Action::Mlock { pages: cursor.pages()? },
        Verb::Munlock => Action::Munlock { pages: cursor.pages()? },
        Verb::Truncate => {
            let file = cursor.name("a file")?;
            let pages = cursor.number("a number of pages")?;
            let words = match cursor.accept("words") {
                Some(_) => Some(cursor.number("a number of words")?),
                None => None,
            };
            Action::Truncate { file, pages, words }
        }
        Verb::Punch => Action::Punch { pages: cursor.pages_of("a file")? },
        Verb::Sync => Action::Sync { file: cursor.name("a file")? },
        Verb::Join => Action::Join { group: cursor.name("a group")? },
        Verb::MoveCharge => {
            let pages = cursor.pages()?;
            cursor.keyword("from")?;
            let from = cursor.name("a group")?;
            cursor.keyword("to")?;
            Action::MoveCharge { pages, from, to: cursor.name("a group")? }
        }
        Verb::DirectRead => {
            let to = cursor.part("an area")?;
            cursor.keyword("from")?;
            Action::DirectRead { to, from: cursor.part("a file")? }
        }
        Verb::DirectWrite => {
            let from = cursor.part("an area")?;
            cursor.keyword("to")?;
            Action::DirectWrite { from, to: cursor.part("a file")? }
        }
        Verb::VmRead => Action::VmRead { peek: peek(cursor)? },
        Verb::VmWrite => Action::VmWrite { poke: poke(cursor)? },
        Verb::PtraceRead => Action::PtraceRead { peek: peek(cursor)? },
        Verb::PtraceWrite => Action::PtraceWrite { poke: poke(cursor)? },
        Verb::UffdRegister => {
            let pages = cursor.pages()?;
            Action::UffdRegister { pages, modes: modes(cursor)? }
        }
        Verb::UffdUnregister => Action::UffdUnregister { pages: cursor.pages()? },
        Verb::UffdCopy => {
            let to = cursor.place("a page")?;
            let word = cursor.text("the word that the page holds")?;
            Action::UffdCopy { to, word, wp: wp(cursor) }
        }
        Verb::UffdZero => Action::UffdZero { at: cursor.place("a page")? },
        Verb::UffdContinue => {
            let at = cursor.place("a page")?;
            Action::UffdContinue { at, wp: wp(cursor) }
        }
        Verb::SplitFolio => Action::SplitFolio { at: cursor.place("a page")? },
        Verb::SplitDeferred => Action::SplitDeferred,
        Verb::Collapse => Action::Collapse { at: cursor.place("a page")? },
        Verb::Note => {
            let pages = cursor.pages()?;
            cursor.keyword("as")?;
            Action::Note { pages, handle: cursor.new_name("a name for the handle")? }
        }
        Verb::TryGet => {
            let frame = cursor.place("a handle of `note`")?;
            cursor.keyword("as")?;
            Action::TryGet { frame, handle: cursor.new_name("a name for the handle")? }
        }
        Verb::GetPage => {
            let held = cursor.place("a handle of `get`")?;
            cursor.keyword("as")?;
            Action::GetPage { held, handle: cursor.new_name("a name for the handle")? }
        }
        Verb::UffdProtect => Action::UffdProtect { pages: cursor.pages()? },
        Verb::UffdUnprotect => Action::UffdUnprotect { pages: cursor.pages()? },
        Verb::UffdWait => {
            let at = cursor.place("a page")?;
            Action::UffdWait { at, reason: cursor.one_of("`missing`, `wp` or `minor`")? }
        }
    })
}

/// `missing|wp|minor|unpopulated|event-fork|event-remap ...`, each once.
fn modes(cursor: &mut Cursor<'_>) -> Parsed<Vec<Spanned<UffdWord>>> {
    let wanted = "what the monitor is told of";
    let mut modes: Vec<Spanned<UffdWord>> = vec![cursor.one_of(wanted)?];
    while cursor.peek_word().is_some_and(|word| !ENDINGS.contains(&word)) {
        let mode: Spanned<UffdWord> = cursor.one_of(wanted)?;
        if let Some(first) = modes.iter().find(|other| other.value == mode.value) {
            return Err(Box::new(
                ScenarioError::new(
                    Code::Repeated,
                    mode.span,
                    "this is said twice",
                    "said before on this line",
                )
                .related(first.span, "here"),
            ));
        }
        modes.push(mode);
    }
    Ok(modes)
}

/// `[wp]`
fn wp(cursor: &mut Cursor<'_>) -> UffdWp {
    match cursor.accept("wp") {
        Some(_) => UffdWp::On,
        None => UffdWp::Off,
    }
}

fn verb(cursor: &mut Cursor<'_>) -> Parsed<Verb> {
    let at = cursor.here();
    let Some(word) = cursor.peek_word() else {
        return Err(cursor.unexpected("a step"));
    };
    let Some(verb) = Verb::from_word(word) else {
        let mut known = Verb::spellings();
        known.push("process");
        known.extend(SECTIONS);
        return Err(Box::new(
            ScenarioError::new(
                Code::UnknownStep,
                at,
                format!("`{word}` is not a step"),
                "unknown step",
            )
            .maybe_help(
                did_you_mean(word, "", known)
                    .filter(|help| help.starts_with("did"))
                    .or_else(|| did_you_mean("", "steps", Verb::spellings())),
            ),
        ));
    };
    cursor.name("a step")?;
    Ok(verb)
}

fn map(cursor: &mut Cursor<'_>) -> Parsed<Action> {
    let area = cursor.new_name("a name for the area")?;
    let pages = cursor.number("a number of pages")?;
    let sharing = cursor.one_of("`private`, `shared`, `file`, `stack` or `hugetlb`")?;
    let protection = cursor.one_of("a protection")?;
    let of = shown(cursor, sharing)?;
    let mut up_to = None;
    if let Some(up) = cursor.accept("up") {
        let to = cursor.keyword("to")?;
        if sharing.value != Sharing::Stack {
            return Err(Box::new(only_stacks_grow(up.to(to))));
        }
        up_to = Some(cursor.number("a number of pages")?);
    }
    let (mut at, mut occupied) = (None, Occupied::Refuse);
    if cursor.accept("at").is_some() {
        at = Some(cursor.wide_number("an address")?);
        if cursor.accept("replace").is_some() {
            occupied = Occupied::Replace;
        }
    }
    Ok(Action::Map { area, pages, sharing, protection, of, up_to, at, occupied })
}

/// `[of FILE [from K]]`
fn shown(cursor: &mut Cursor<'_>, sharing: Spanned<Sharing>) -> Parsed<Option<Shown>> {
    let Some(of) = cursor.accept("of") else { return Ok(None) };
    match sharing.value {
        Sharing::Private | Sharing::Shared => {}
        Sharing::File | Sharing::Stack | Sharing::Hugetlb => {
            return Err(Box::new(shows_no_file(sharing, of)));
        }
    }
    let file = cursor.name("a file")?;
    let from = match cursor.accept("from") {
        Some(_) => Some(cursor.number("a page of the file")?),
        None => None,
    };
    Ok(Some(Shown { file, from }))
}

/// The error for an area that cannot show a file of the machine.
fn shows_no_file(sharing: Spanned<Sharing>, of: Span) -> ScenarioError {
    let what = match sharing.value {
        Sharing::File => "has a file of its own behind it",
        _ => "is memory that shows no file",
    };
    ScenarioError::new(Code::Misplaced, of, format!("a `{sharing}` {what}"), "of another file")
        .related(sharing.span, "the kind of the area")
        .help("write `private` or `shared` for the kind of the area")
}

/// The error for an area that cannot grow and is said to.
fn only_stacks_grow(at: Span) -> ScenarioError {
    ScenarioError::new(Code::Misplaced, at, "only a `stack` grows", "not for this kind of area")
        .help("write `stack` for the kind of the area, or leave this out")
}

/// By which way an access goes.
enum Way {
    /// The page tables of the process.
    Process,
    /// A handle, past all page tables.
    Handle,
    /// A file, by a system call.
    File,
}

/// By a file if the name is one; through a handle if it is one, and always else in a device's lane.
fn way(place: &Place, home: Home<'_>, known: &Known) -> Way {
    let name = &place.name.value;
    match (known.is_file(name), home) {
        (true, _) => Way::File,
        (false, Home::Lane(Runner::Device)) => Way::Handle,
        (false, _) if known.is_handle(name) => Way::Handle,
        (false, _) => Way::Process,
    }
}

fn write(cursor: &mut Cursor<'_>, home: Home<'_>, known: &Known) -> Parsed<Action> {
    let to = cursor.place("a page, a handle or a file")?;
    let word = cursor.text("the word to write")?;
    Ok(match way(&to, home, known) {
        Way::Process => Action::Write { to, word },
        Way::Handle => Action::DeviceWrite { to, word },
        Way::File => Action::FileWrite { to, word },
    })
}

fn read(cursor: &mut Cursor<'_>, home: Home<'_>, known: &Known) -> Parsed<Action> {
    let from = cursor.place("a page, a handle or a file")?;
    let (expect, register) = found(cursor)?;
    Ok(match way(&from, home, known) {
        Way::Process => Action::Read { from, expect, register },
        Way::Handle => Action::DeviceRead { from, expect, register },
        Way::File => Action::FileRead { from, expect, register },
    })
}

/// `[expect "word"] [as REGISTER]`
fn found(cursor: &mut Cursor<'_>) -> Parsed<(Option<Text>, Option<Name>)> {
    let expect = match cursor.accept("expect") {
        Some(_) => Some(cursor.text("the expected word")?),
        None => None,
    };
    let register = match cursor.accept("as") {
        Some(_) => Some(cursor.new_name("a name for the register")?),
        None => None,
    };
    Ok((expect, register))
}

/// `PROCESS:`, whose memory a step of another process reads or writes.
fn accessed(cursor: &mut Cursor<'_>) -> Parsed<Name> {
    let process = cursor.name("the process whose memory it is")?;
    cursor.colon()?;
    Ok(process)
}

fn peek(cursor: &mut Cursor<'_>) -> Parsed<Peek> {
    let process = accessed(cursor)?;
    let from = cursor.place("a page of that process")?;
    let (expect, register) = found(cursor)?;
    Ok(Peek { process, from, expect, register })
}

fn poke(cursor: &mut Cursor<'_>) -> Parsed<Poke> {
    let process = accessed(cursor)?;
    let to = cursor.part("an area of that process")?;
    Ok(Poke { process, to, word: cursor.text("the word to write")? })
}

/// A word between the access and `as` that has been seen, so that it is refused a second time.
fn once<T>(slot: &mut Option<T>, value: T, cursor: &mut Cursor<'_>) -> Parsed<()> {
    if slot.is_some() {
        return Err(Box::new(ScenarioError::new(
            Code::Repeated,
            cursor.here(),
            "this is said twice",
            "said before on this line",
        )));
    }
    *slot = Some(value);
    cursor.name("an option").map(drop)
}

/// What may stand between the access and `as`, where it is a `pin` and where it is a `get`.
const PIN_OPTIONS: &str = "`force`, `longterm`, `fast-only`, `slow-only`, `times N` or `as HANDLE`";
const GET_OPTIONS: &str = "`force`, `fast-only`, `slow-only`, `times N` or `as HANDLE`";

fn pin(cursor: &mut Cursor<'_>) -> Parsed<Action> {
    let (grab, duration, times) = grab(cursor, Verb::Pin)?;
    Ok(Action::Pin { grab, duration, times })
}

fn get(cursor: &mut Cursor<'_>) -> Parsed<Action> {
    let (grab, _, times) = grab(cursor, Verb::Get)?;
    Ok(Action::Get { grab, times })
}

/// `PAGES read|write [OPTIONS] as HANDLE`
fn grab(cursor: &mut Cursor<'_>, verb: Verb) -> Parsed<(Grab, Duration, Option<Spanned<u32>>)> {
    let pages = cursor.pages()?;
    let access = cursor.one_of("`read` or `write`")?;
    let options = if verb == Verb::Pin { PIN_OPTIONS } else { GET_OPTIONS };
    let (mut force, mut duration, mut path, mut times) = (None, None, None, None);
    loop {
        match cursor.peek_word() {
            Some("force") => once(&mut force, Force::Override, cursor)?,
            Some("longterm") if verb == Verb::Pin => {
                once(&mut duration, Duration::LongTerm, cursor)?
            }
            Some("longterm") => {
                let error = cursor.unexpected(options);
                return Err(Box::new(error.help("only a `pin` can be `longterm`")));
            }
            Some("fast-only") => once(&mut path, Path::FastOnly, cursor)?,
            Some("slow-only") => once(&mut path, Path::SlowOnly, cursor)?,
            Some("times") => {
                once(&mut times, None, cursor)?;
                times = Some(Some(cursor.number("a number of pins or references")?));
            }
            Some("as") => break,
            _ => return Err(cursor.unexpected(options)),
        }
    }
    cursor.keyword("as")?;
    let grab = Grab {
        pages,
        access,
        force: force.unwrap_or_default(),
        path: path.unwrap_or_default(),
        handle: cursor.new_name("a name for the handle")?,
    };
    Ok((grab, duration.unwrap_or_default(), times.flatten()))
}
