//! Where a search is between two executions, as text from which another process can resume it.
//!
//! A position consists of the name of a search, what it still has to do and, at the end, after a
//! `#`, a hash of everything before it. For the two depth-first searches that is the stack: for
//! each step the alternatives that were tried, those that sleep and those that are still to be
//! tried. For the random ones it is the number of the next run.
//!
//! INV-POSITION-1: resuming from a position does what the search would have done without the
//! interruption: the pieces together count each execution once, and miss none.
//! INV-POSITION-2: text that was changed is refused. With the stack of another subject, the steps
//! do not repeat as recorded, or do not offer the alternatives recorded there; both end the search
//! as [`crate::FailureKind::Nondeterministic`]. The number of a run, and a search that is about to
//! begin or to make another first step, record nothing of the subject: a caller that keeps
//! positions must know what they belong to.

use crate::{
    lane::{LaneSet, MAX_LANES},
    search::Touch,
    stable::StableHasher,
};
use std::{
    fmt,
    hash::{Hash, Hasher},
    str::{FromStr, SplitAsciiWhitespace},
};

/// Where a search is. Meaningful only for the same search, of the same job, of the same version of
/// the same subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position(pub(crate) Stand);

/// What each strategy needs in order to resume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stand {
    Reduced { trail: u64, branches: Vec<Branch> },
    Bounded(Bounded),
    Random { seed: u64, run: u64 },
    Pct { depth: u32, seed: u64, run: u64, length: Option<usize> },
}

/// One step of the reduced search; the fields are those of its node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Branch {
    pub(crate) lane: usize,
    pub(crate) enabled: LaneSet,
    pub(crate) source: LaneSet,
    pub(crate) tried: LaneSet,
    pub(crate) sleep: LaneSet,
    pub(crate) asleep: Vec<(usize, Touch)>,
    pub(crate) options: Vec<u32>,
    pub(crate) option: usize,
    pub(crate) touches: Vec<Touch>,
}

/// A search under a bound on preemptions; the fields are those of the search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bounded {
    pub(crate) trail: u64,
    pub(crate) bound: u32,
    /// How many choices the bound has left out.
    pub(crate) cut: u64,
    pub(crate) forks: Vec<Fork>,
}

/// One choice of the bounded search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fork {
    Lane { lane: usize, enabled: LaneSet, rest: LaneSet },
    Option { options: Vec<u32>, at: usize },
}

/// The hashes that positions are checked against.
pub(crate) struct Trail;

impl Trail {
    /// The hash of steps: for instance which lanes made them and what they touched.
    pub(crate) fn of(steps: impl Iterator<Item = impl Hash>) -> u64 {
        let mut trail = StableHasher::default();
        steps.for_each(|step| step.hash(&mut trail));
        trail.finish()
    }

    fn of_text(text: &str) -> u64 {
        let mut trail = StableHasher::default();
        trail.write(text.as_bytes());
        trail.finish()
    }
}

/// Entries separated by commas.
struct Listed<'a, T>(&'a [T]);

impl<T: fmt::Display> fmt::Display for Listed<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, entry) in self.0.iter().enumerate() {
            write!(f, "{}{entry}", if index == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl fmt::Display for Branch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { lane, options, option, .. } = self;
        let sets = [self.enabled, self.source, self.tried, self.sleep].map(LaneSet::bits);
        let [enabled, source, tried, sleep] = sets;
        let asleep = |&(lane, touch): &(usize, Touch)| format!("{}+{touch}", lane + 1);
        let asleep: Vec<String> = self.asleep.iter().map(asleep).collect();
        write!(
            f,
            "{}:{enabled:x}:{source:x}:{tried:x}:{sleep:x}:{}:{}:{option}:{}",
            lane + 1,
            Listed(&asleep),
            Listed(options),
            Listed(&self.touches),
        )
    }
}

impl fmt::Display for Fork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lane { lane, enabled, rest } => {
                write!(f, "{}:{:x}:{:x}", lane + 1, enabled.bits(), rest.bits())
            }
            Self::Option { options, at } => write!(f, "{}:{at}", Listed(options)),
        }
    }
}

impl Stand {
    fn text(&self) -> String {
        let all = |entries: &[&dyn fmt::Display]| {
            entries.iter().map(|entry| format!(" {entry}")).collect::<String>()
        };
        match self {
            Self::Reduced { trail, branches } => {
                let branches: Vec<_> = branches.iter().map(|branch| branch as _).collect();
                format!("exhaustive {trail:x}{}", all(&branches))
            }
            Self::Bounded(Bounded { trail, bound, cut, forks }) => {
                let forks: Vec<_> = forks.iter().map(|fork| fork as _).collect();
                format!("preemptions {trail:x} {bound} {cut}{}", all(&forks))
            }
            Self::Random { seed, run } => format!("random {seed} {run}"),
            Self::Pct { depth, seed, run, length } => {
                let length = length.map(|length| format!(" {length}")).unwrap_or_default();
                format!("pct {depth} {seed} {run}{length}")
            }
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.text();
        write!(f, "{text} #{:x}", Trail::of_text(&text))
    }
}

/// The error for text that is not a position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParsePositionError {
    /// The hash at the end is missing, or does not match the rest.
    Damaged,
    /// There is no search of this name.
    Search(String),
    /// An entry that its search cannot use, or that is missing.
    Entry {
        /// Which entry, counted from 1 after the name of the search.
        entry: usize,
        /// The entry as given; empty if it is missing.
        text: String,
    },
}

impl fmt::Display for ParsePositionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged => f.write_str(
                "the position is damaged: its hash is missing or wrong; start the search over",
            ),
            Self::Search(name) => write!(
                f,
                "the position names a search `{name}`; the searches are exhaustive, preemptions, \
                 random and pct; start the search over"
            ),
            Self::Entry { entry, text } => write!(
                f,
                "entry {entry} of the position is `{text}`, which is not valid there; start the \
                 search over"
            ),
        }
    }
}

impl std::error::Error for ParsePositionError {}

/// Reads the entries of a position, one after another.
struct Entries<'a> {
    texts: SplitAsciiWhitespace<'a>,
    entry: usize,
}

impl<'a> Entries<'a> {
    /// Reads the next entry, which must be there.
    fn next<T>(&mut self, read: impl Fn(&'a str) -> Option<T>) -> Result<T, ParsePositionError> {
        self.entry += 1;
        let text = self.texts.next().unwrap_or_default();
        let wrong = || ParsePositionError::Entry { entry: self.entry, text: text.to_owned() };
        read(text).ok_or_else(wrong)
    }

    /// Reads all the remaining entries.
    fn rest<T>(
        &mut self,
        read: impl Fn(&'a str) -> Option<T>,
    ) -> Result<Vec<T>, ParsePositionError> {
        let mut all = Vec::new();
        while self.texts.clone().next().is_some() {
            all.push(self.next(&read)?);
        }
        Ok(all)
    }
}

fn number<T: FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

fn hash(text: &str) -> Option<u64> {
    u64::from_str_radix(text, 16).ok()
}

fn lane(text: &str) -> Option<usize> {
    number::<usize>(text)?.checked_sub(1).filter(|&lane| lane < MAX_LANES)
}

fn lanes(text: &str) -> Option<LaneSet> {
    u32::from_str_radix(text, 16).ok().map(LaneSet::from_bits)
}

fn list<T>(text: &str, read: impl Fn(&str) -> Option<T>) -> Option<Vec<T>> {
    text.split(',').filter(|entry| !entry.is_empty()).map(read).collect()
}

fn branch(text: &str) -> Option<Branch> {
    let fields: Vec<&str> = text.split(':').collect();
    let [first, enabled, source, tried, sleep, asleep, options, option, touches] = fields[..]
    else {
        return None;
    };
    let sleeper = |text: &str| {
        let (who, touch) = text.split_once('+')?;
        Some((lane(who)?, touch.parse().ok()?))
    };
    let branch = Branch {
        lane: lane(first)?,
        enabled: lanes(enabled)?,
        source: lanes(source)?,
        tried: lanes(tried)?,
        sleep: lanes(sleep)?,
        asleep: list(asleep, sleeper)?,
        options: list(options, number)?,
        option: number(option)?,
        touches: list(touches, number)?,
    };
    let chosen = branch.option < branch.options.len().max(1);
    (chosen && branch.enabled.contains(branch.lane)).then_some(branch)
}

fn fork(text: &str) -> Option<Fork> {
    let fields: Vec<&str> = text.split(':').collect();
    match fields[..] {
        [first, enabled, rest] => {
            let (lane, enabled) = (lane(first)?, lanes(enabled)?);
            enabled.contains(lane).then_some(Fork::Lane { lane, enabled, rest: lanes(rest)? })
        }
        [options, at] => {
            let (options, at) = (list(options, number)?, number(at)?);
            (at < options.len()).then_some(Fork::Option { options, at })
        }
        _ => None,
    }
}

impl FromStr for Position {
    type Err = ParsePositionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (text, seal) = text.trim().rsplit_once(" #").ok_or(ParsePositionError::Damaged)?;
        if hash(seal) != Some(Trail::of_text(text)) {
            return Err(ParsePositionError::Damaged);
        }
        let mut entries = Entries { texts: text.split_ascii_whitespace(), entry: 0 };
        let stand = match entries.texts.next().unwrap_or_default() {
            "exhaustive" => {
                Stand::Reduced { trail: entries.next(hash)?, branches: entries.rest(branch)? }
            }
            "preemptions" => Stand::Bounded(Bounded {
                trail: entries.next(hash)?,
                bound: entries.next(number)?,
                cut: entries.next(|text| text.parse().ok())?,
                forks: entries.rest(fork)?,
            }),
            "random" => Stand::Random { seed: entries.next(number)?, run: entries.next(number)? },
            "pct" => Stand::Pct {
                depth: entries.next(number)?,
                seed: entries.next(number)?,
                run: entries.next(number)?,
                length: match entries.texts.clone().next() {
                    None => None,
                    Some(_) => Some(entries.next(|text| number(text).filter(|&steps| steps > 0))?),
                },
            },
            name => return Err(ParsePositionError::Search(name.to_owned())),
        };
        match entries.rest(|_| None::<()>) {
            Ok(_) => Ok(Self(stand)),
            Err(more) => Err(more),
        }
    }
}

#[cfg(test)]
mod tests;
