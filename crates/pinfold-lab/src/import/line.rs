//! One line of a recording: who, and what.

use super::value::number;

/// What stands on a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Body<'t> {
    /// A call, from behind its opening parenthesis; it may not be over.
    Call(&'t str, &'t str),
    /// The rest of a call that was begun on another line.
    Resumed(&'t str, &'t str),
    /// The thread is gone.
    Gone,
    /// A signal, a word of strace about itself, or nothing.
    Aside,
    /// Something else.
    Unknown,
}

/// A line, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line<'t> {
    /// The number of the thread, where the line has it.
    pub(super) pid: Option<u32>,
    /// The time of `-tt` and `-ttt`, in microseconds.
    pub(super) time: Option<u64>,
    /// What happened.
    pub(super) body: Body<'t>,
}

/// The least seconds of an epoch: what is less is the difference of `-r`.
const FIRST_EPOCH: u64 = 1_000_000_000;
/// A day in microseconds: what is less is a time of day.
pub(super) const DAY: u64 = 86_400_000_000;

/// What a call that is not over ends with.
const UNFINISHED: &str = "<unfinished ...>";

/// Takes a line apart. Every text is some line.
pub(super) fn line(text: &str) -> Line<'_> {
    let mut rest = text.trim();
    let mut pid = None;
    if let Some((number, after)) = bracketed(rest) {
        (pid, rest) = (Some(number), after);
    } else if let Some((word, after)) = rest.split_once(' ')
        && !word.is_empty()
        && word.bytes().all(|byte| byte.is_ascii_digit())
    {
        (pid, rest) = (word.parse().ok(), after.trim_start());
    }
    let mut time = None;
    while let Some((word, after)) = rest.split_once(' ')
        && word.starts_with(|first: char| first.is_ascii_digit())
    {
        time = time.or_else(|| moment(word));
        rest = after.trim_start();
    }
    // With `-r` and a time of day the difference stands in parentheses, and with `-i` an address.
    for (open, close) in [("(+", ')'), ("[", ']')] {
        if rest.starts_with(open)
            && let Some((_, after)) = rest.split_once(close)
        {
            rest = after.trim_start();
        }
    }
    Line { pid, time, body: body(rest) }
}

/// The number in `[pid 12]`.
fn bracketed(text: &str) -> Option<(u32, &str)> {
    let (number, rest) = text.strip_prefix("[pid")?.split_once(']')?;
    Some((number.trim().parse().ok()?, rest.trim_start()))
}

/// A time of day or an epoch with its fraction, in microseconds. What has no fraction orders
/// nothing, and a difference is none.
fn moment(word: &str) -> Option<u64> {
    let (whole, fraction) = word.split_once('.')?;
    let of_day = whole.contains(':');
    let micros: u64 = format!("{fraction:0<6}").get(..6)?.parse().ok()?;
    let mut seconds = 0_u64;
    for part in whole.split(':') {
        seconds = seconds.checked_mul(60)?.checked_add(part.parse().ok()?)?;
    }
    if !of_day && seconds < FIRST_EPOCH {
        return None;
    }
    seconds.checked_mul(1_000_000)?.checked_add(micros)
}

fn body(text: &str) -> Body<'_> {
    if text.is_empty() || text.starts_with("--- ") || text.starts_with("strace: ") {
        return Body::Aside;
    }
    if text.starts_with("+++ ") {
        return if text.contains("superseded") { Body::Aside } else { Body::Gone };
    }
    if let Some(rest) = text.strip_prefix("<... ") {
        return match rest.split_once(" resumed>") {
            Some((name, rest)) if is_name(name) => Body::Resumed(name, rest),
            _ => Body::Unknown,
        };
    }
    match text.split_once('(') {
        Some((name, rest)) if is_name(name) => Body::Call(name, rest),
        _ => Body::Unknown,
    }
}

fn is_name(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// What a call that is not over was given, if it is none.
pub(super) fn unfinished(rest: &str) -> Option<&str> {
    rest.trim_end().strip_suffix(UNFINISHED).map(str::trim_end)
}

/// What a call returned: the number, `None` for an error, and `Some(0)` where nothing is known, as
/// of an exit.
///
/// # Errors
/// What is expected and missing.
pub(super) fn result(text: &str) -> Result<Option<u64>, &'static str> {
    let text = text.trim();
    let Some(text) = text.strip_prefix('=') else { return Err("`= RESULT` is missing") };
    let word = text.split_whitespace().next().unwrap_or("");
    let word = word.split('<').next().unwrap_or("");
    match word {
        "?" if text.contains("ERESTART") => Ok(None),
        "?" => Ok(Some(0)),
        failed if failed.starts_with('-') => Ok(None),
        given => number(given).map(Some).ok_or("the result is no number"),
    }
}
