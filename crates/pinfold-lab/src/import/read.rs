//! Lines become calls: those that were interrupted by others are put together, and threads are
//! known by their numbers.
//!
//! INV-READ-1: no more of a line is kept than [`MOST_LINE`] bytes, and no more of a call that is
//! not over; of what waits for its thread to be known, no more than [`MOST_WAITING`] lines.
//! INV-READ-2: a call that is carried out and cannot be read is an error with its line; any other
//! line is at worst counted.

use super::answer::ImportError;
use super::gap::Gap;
use super::line::{Body, DAY, Line, line, result, unfinished};
use super::log::Log;
use super::track::{Call, Tracker};
use super::value::arguments;
use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, Read};

/// The most bytes of a line.
const MOST_LINE: u64 = 1 << 18;
/// The most lines of threads that are not known yet.
const MOST_WAITING: usize = 4096;
/// The thread of lines without a number.
const NAMELESS: u32 = 0;

/// A recording to be read: its name, the thread of all its lines if it is one of `-ff`, and the
/// text.
pub struct Source<'a> {
    /// As shown to people.
    pub name: String,
    /// The thread, for a file that `-ff` made.
    pub pid: Option<u32>,
    /// The text.
    pub text: Box<dyn BufRead + 'a>,
}

/// One line with where it stands.
struct Placed {
    source: usize,
    number: u64,
    /// Where it stands among all lines; of one file the same.
    order: u64,
    text: String,
}

struct Reader {
    tracker: Tracker,
    names: Vec<String>,
    /// Calls that are not over: their name and arguments so far.
    open: BTreeMap<u32, (String, String)>,
    /// Lines of threads of which it is not known yet who made them.
    waiting: VecDeque<(u32, Placed)>,
    /// The number of the thread whose lines had none at first.
    first: Option<u32>,
    lines: u64,
    understood: u64,
}

/// Reads recordings, several of `-ff` in the order of their times.
///
/// # Errors
/// When a file cannot be read, a call cannot be understood, or nothing is a recording.
pub(super) fn read(mut sources: Vec<Source<'_>>) -> Result<Log, ImportError> {
    let mut reader = Reader {
        tracker: Tracker::default(),
        names: sources.iter().map(|source| source.name.clone()).collect(),
        open: BTreeMap::new(),
        waiting: VecDeque::new(),
        first: None,
        lines: 0,
        understood: 0,
    };
    let several = sources.len() > 1;
    let mut heads: Vec<Option<Head>> = Vec::new();
    for at in 0..sources.len() {
        heads.push(Head::next(&mut sources, at, 0, 0, several)?);
    }
    // A file that begins on the next day: of two times of day the one half a day before is later.
    let latest = heads.iter().flatten().map(|head| head.time).max().unwrap_or(0);
    for head in heads.iter_mut().flatten().filter(|_| latest < DAY) {
        if head.time > 0 && head.time + DAY / 2 < latest {
            head.time += DAY;
        }
    }
    loop {
        let earliest =
            heads.iter().enumerate().filter_map(|(at, head)| Some((head.as_ref()?.time, at)));
        let Some((time, at)) = earliest.min() else { break };
        let Some(head) = heads[at].take() else { break };
        heads[at] = Head::next(&mut sources, at, head.placed.number, time, several)?;
        reader.line(head.placed, sources[at].pid)?;
    }
    reader.finish()
}

/// The next line of a file, and when it was.
struct Head {
    time: u64,
    placed: Placed,
}

impl Head {
    fn next(
        sources: &mut [Source<'_>],
        at: usize,
        number: u64,
        before: u64,
        several: bool,
    ) -> Result<Option<Self>, ImportError> {
        let source = &mut sources[at];
        let mut bytes = Vec::new();
        let unreadable = |why| ImportError::Unreadable { name: source.name.clone(), why };
        let read = source.text.by_ref().take(MOST_LINE).read_until(b'\n', &mut bytes);
        if read.map_err(unreadable)? == 0 {
            return Ok(None);
        }
        if bytes.len() as u64 >= MOST_LINE && bytes.last() != Some(&b'\n') {
            let unreadable = |why| ImportError::Unreadable { name: source.name.clone(), why };
            pass_over(&mut *source.text).map_err(unreadable)?;
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let found = line(&text);
        let timed = found.time;
        let number = number + 1;
        if several && timed.is_none() && !matches!(found.body, Body::Unknown | Body::Aside) {
            return Err(ImportError::Untimed { name: source.name.clone(), line: number });
        }
        let time = timed.map_or(before, |time| following(time, before));
        let time = if several { time } else { 0 };
        Ok(Some(Self { time, placed: Placed { source: at, number, order: 0, text } }))
    }
}

/// The time behind `before`. A day may end: times of day begin again.
fn following(time: u64, before: u64) -> u64 {
    if time >= DAY {
        return time.max(before);
    }
    let today = before / DAY * DAY + time;
    let time = if today + DAY / 2 < before { today + DAY } else { today };
    time.max(before)
}

/// Reads up to the end of a line that is longer than any.
fn pass_over(text: &mut dyn BufRead) -> std::io::Result<()> {
    loop {
        let there = text.fill_buf()?;
        if there.is_empty() {
            return Ok(());
        }
        let end = there.iter().position(|byte| *byte == b'\n');
        let used = end.map_or(there.len(), |end| end + 1);
        text.consume(used);
        if end.is_some() {
            return Ok(());
        }
    }
}

impl Reader {
    fn line(&mut self, mut placed: Placed, of_file: Option<u32>) -> Result<(), ImportError> {
        self.lines += 1;
        placed.order = self.lines;
        let found = line(&placed.text);
        match found.body {
            Body::Aside => return Ok(()),
            Body::Unknown => {
                let why = format!(
                    "lines that are none of strace, the first in {}:{}",
                    self.names[placed.source], placed.number
                );
                let known = self.tracker.log.left.starting("lines that").map(str::to_owned);
                self.tracker.leave(&known.unwrap_or(why), Gap::Untold);
                return Ok(());
            }
            _ => self.understood += 1,
        }
        let pid = self.who(&found, of_file);
        if self.is_waited_for(pid) {
            if self.waiting.len() >= MOST_WAITING {
                self.adopt()?;
            }
            if !self.tracker.knows(pid) {
                self.waiting.push_back((pid, placed));
                return Ok(());
            }
        }
        if !self.tracker.knows(pid) && self.tracker.begin(pid).is_none() {
            return Ok(());
        }
        self.body(pid, found.body, &placed)
    }

    /// Whose line it is. Before the first fork there may be no numbers.
    fn who(&mut self, found: &Line<'_>, of_file: Option<u32>) -> u32 {
        let pid = found.pid.or(of_file).unwrap_or(NAMELESS);
        if self.first == Some(pid) {
            return NAMELESS;
        }
        let resumes = match (&found.body, self.open.get(&NAMELESS)) {
            (Body::Resumed(name, _), Some((open, _))) => name == open,
            _ => false,
        };
        let stranger = pid != NAMELESS && !self.tracker.knows(pid);
        if stranger
            && self.first.is_none()
            && self.tracker.knows(NAMELESS)
            && (resumes || !self.any_fork_open())
        {
            self.first = Some(pid);
            return NAMELESS;
        }
        pid
    }

    fn any_fork_open(&self) -> bool {
        self.open.values().any(|(name, _)| makes(name))
    }

    /// Whether a line is of a thread that a call makes which is not over.
    fn is_waited_for(&self, pid: u32) -> bool {
        !self.tracker.knows(pid) && self.any_fork_open()
    }

    fn body(&mut self, pid: u32, body: Body<'_>, placed: &Placed) -> Result<(), ImportError> {
        match body {
            Body::Gone => {
                self.open.remove(&pid);
                self.tracker.gone(pid, placed.order);
                Ok(())
            }
            Body::Call(name, rest) => {
                if let Some(given) = unfinished(rest) {
                    let kept = if Tracker::concerns(name) { given } else { "" };
                    self.open.insert(pid, (name.to_owned(), kept.to_owned()));
                    return Ok(());
                }
                self.open.remove(&pid);
                self.over(pid, name, rest, placed)
            }
            Body::Resumed(name, rest) => match self.open.remove(&pid) {
                Some((open, given)) if open == name => {
                    let text = format!("{given}{rest}");
                    self.over(pid, name, &text, placed)
                }
                _ => {
                    if Tracker::concerns(name) {
                        let why = "ends of calls that were not seen to begin";
                        self.tracker.leave(why, Gap::Dropped);
                    }
                    Ok(())
                }
            },
            Body::Aside | Body::Unknown => Ok(()),
        }
    }

    fn over(
        &mut self,
        pid: u32,
        name: &str,
        rest: &str,
        placed: &Placed,
    ) -> Result<(), ImportError> {
        if !Tracker::concerns(name) {
            return Ok(());
        }
        let wrong = |why: &str| ImportError::Line {
            name: self.names[placed.source].clone(),
            line: placed.number,
            call: name.to_owned(),
            why: why.to_owned(),
        };
        let (args, behind) = arguments(rest).map_err(wrong)?;
        if let Some(result) = result(behind).map_err(wrong)? {
            let call = Call { line: placed.order, name, args: &args, result };
            self.tracker.call(pid, &call);
        }
        // One that failed made no thread, so that no line waits for it, either.
        if makes(name) { self.adopt() } else { Ok(()) }
    }

    /// Goes on with the lines of threads that are known by now; if no call is left that could make
    /// the others, they were there before.
    fn adopt(&mut self) -> Result<(), ImportError> {
        let full = self.waiting.len() >= MOST_WAITING;
        let mut rest = std::mem::take(&mut self.waiting);
        while let Some((pid, placed)) = rest.pop_front() {
            let ready = self.tracker.knows(pid) || !self.any_fork_open() || full;
            if !ready {
                self.waiting.push_back((pid, placed));
                continue;
            }
            if !self.tracker.knows(pid) && self.tracker.begin(pid).is_none() {
                continue;
            }
            let found = line(&placed.text);
            self.body(pid, found.body, &placed)?;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Log, ImportError> {
        self.open.retain(|_, (name, _)| !makes(name));
        self.adopt()?;
        if self.understood == 0 {
            let name = self.names.first().cloned().unwrap_or_default();
            return Err(ImportError::NoRecording { name });
        }
        let mut log = self.tracker.log;
        log.lines = self.lines;
        // What was advised before a buffer was known stands where it was advised.
        log.ops.sort_by_key(|op| op.line);
        Ok(log)
    }
}

fn makes(name: &str) -> bool {
    matches!(name, "fork" | "vfork" | "clone" | "clone3")
}
