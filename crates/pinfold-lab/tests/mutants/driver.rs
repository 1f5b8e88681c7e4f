//! Changes texts at random, and asks everything that reads texts for an answer. The test beside it
//! runs a fixed number of changes; the fuzz target of this crate (`fuzz`) runs them without end.
//!
//! INV-MUTANTS-1: what is done depends on the seed alone, so that a seed that fails can be given to
//! the fuzz target, and fails again.

use pinfold_lab::campaign::{Campaign, Partial, Shard, merge};
use pinfold_lab::import::{ImportError, Recording, Source, Takes, Way};
use pinfold_lab::report::{Oracle, Verdict};
use pinfold_lab::saved::{Engines, ReplayFile};
use pinfold_lab::scenario::{self, MOST_DRAWN, Style};
use pinfold_lab::{CheckOptions, Config, Detail, Model, Prepared, SCENARIOS, Strategy};

/// Words that a change may put somewhere.
const PIECES: [&str; 55] = [
    "lane",
    "setup",
    "always",
    "outcome",
    "reach",
    "P:",
    "A",
    "h0",
    "[",
    "]",
    "..",
    ".",
    ":",
    "\"",
    "\\",
    "#",
    "fails",
    "may",
    "fail",
    "pin",
    "get",
    "get-page",
    "collapse",
    "times",
    "fork",
    "numa-scan",
    "follow",
    "compact",
    "remap",
    "unfollow",
    "migrate",
    "as",
    "0",
    "1024",
    "4294967296",
    "18446744073709551615",
    "0x",
    "\n",
    "\r",
    "\t",
    "\u{1b}[2J",
    "\u{e9}",
    "\u{1f600}",
    "null",
    "{}",
    "-1",
    "clone",
    "vfork",
    "mlock",
    "exec",
    "direct-read",
    "from",
    "uffd-register",
    "missing",
    "wp",
];
/// A recording with a bit of everything.
const RECORDED: &str = include_str!("recorded.strace");
/// The rule sets of which one is in force.
const RULES: [&str; 4] = ["5.8", "5.9", "5.19", "latest"];

/// A small generator (splitmix64).
pub(crate) struct Dice(u64);

impl Dice {
    /// One that gives the same numbers for the same seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `sides`, or 0.
    pub(crate) fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let sides = sides.max(1) as u64;
        usize::try_from((bits ^ (bits >> 31)) % sides).unwrap_or(0)
    }
}

/// The text with one change.
fn changed(text: &str, dice: &mut Dice) -> String {
    let mut place = || text.floor_char_boundary(dice.roll(text.len() + 1));
    let (one, other) = (place(), place());
    let (from, to) = (one.min(other), one.max(other));
    let near = text.ceil_char_boundary((from + 1 + dice.roll(12)).min(text.len()));
    let piece = PIECES[dice.roll(PIECES.len())];
    match dice.roll(6) {
        // A bit that flips.
        0 => {
            let mut bytes = text.as_bytes().to_vec();
            if let Some(byte) = bytes.get_mut(from) {
                *byte ^= 1 << dice.roll(8);
            }
            String::from_utf8_lossy(&bytes).into_owned()
        }
        1 => format!("{}{piece}{}", &text[..from], &text[from..]),
        2 => format!("{}{}", &text[..from], &text[near..]),
        3 => format!("{}{piece}{}", &text[..from], &text[near..]),
        // A stretch of lines, twice or elsewhere.
        4 => {
            let mut lines: Vec<&str> = text.lines().collect();
            let (from, to) = (dice.roll(lines.len()), dice.roll(lines.len()));
            if let Some(line) = lines.get(from).copied() {
                lines.insert(to, line);
            }
            lines.join("\n")
        }
        _ => {
            let mut lines: Vec<&str> = text.lines().collect();
            if !lines.is_empty() {
                let (from, to) = (dice.roll(lines.len()), dice.roll(lines.len()));
                lines.swap(from, to);
            }
            // A file that was cut off, now and then.
            let most = if dice.roll(8) == 0 { to } else { usize::MAX };
            let text = lines.join("\n");
            text[..text.floor_char_boundary(most.min(text.len()))].to_owned()
        }
    }
}

/// The text with one to five changes.
fn mutant(text: &str, dice: &mut Dice) -> String {
    (0..1 + dice.roll(5)).fold(text.to_owned(), |text, _| changed(&text, dice))
}

/// What the mutants are made of.
pub(crate) struct Seeds {
    parts: Vec<String>,
    documents: Vec<String>,
    replays: Vec<String>,
}

impl Seeds {
    /// Makes a part, a checkpoint, a saved failure and a JSON scenario to change.
    pub(crate) fn new() -> Self {
        let scenarios =
            || SCENARIOS.iter().map(|file| scenario::parse(file.text).expect("shipped"));
        let rdma = SCENARIOS.iter().find(|file| file.name == "rdma-fork").expect("shipped");
        let rdma = scenario::parse(rdma.text).expect("shipped");
        let prepared = |rules: &str| {
            let rules = pinfold::Rules::parse(rules).expect("rules");
            Prepared::new(&rdma, "rdma-fork.pf", &rules).expect("ready")
        };
        let (now, then) = (prepared("latest"), prepared("5.8"));
        let part = |shard: Option<Shard>, most| {
            let config = Config { max_executions: most, ..Config::default() };
            let campaign = Campaign::new(&now, &CheckOptions::of(config)).expect("divided");
            let mut partial = campaign.begin(shard);
            campaign.run(&mut partial, 1, &mut |_| {}).expect("a thread");
            partial.write().expect("json")
        };
        let report = then.check(&CheckOptions::default(), &mut |_| {});
        let saved = ReplayFile::record(&rdma, then.rules(), &report).expect("it fails");
        Self {
            parts: vec![part(Some(Shard { index: 1, of: 2 }), None), part(None, Some(3))],
            documents: scenarios()
                .take(4)
                .map(|one| scenario::json::write(&one).expect("json"))
                .collect(),
            replays: vec![serde_json::to_string_pretty(&saved).expect("json")],
        }
    }

    /// Makes one mutant of everything from `seed`, and wants an answer to each.
    pub(crate) fn answer(&self, seed: u64) {
        let mut dice = Dice::new(seed);
        let file = &SCENARIOS[dice.roll(SCENARIOS.len())];
        let text = mutant(file.text, &mut dice);
        scenario_text(&text, &mut dice);
        document(&mutant(&self.documents[dice.roll(self.documents.len())], &mut dice));
        let original = &self.parts[dice.roll(self.parts.len())];
        part(original, &mutant(original, &mut dice));
        replay(&mutant(&self.replays[0], &mut dice));
        words(&text, &mut dice);
        recording(&mutant(RECORDED, &mut dice));
    }
}

/// A recording is one of which a scenario can be made, or is refused.
fn recording(text: &str) {
    let source = Source { name: "mutant".to_owned(), pid: None, text: Box::new(text.as_bytes()) };
    let made = Recording::read(vec![source])
        .and_then(|it| it.scenario("m", &|_| Takes::Get(Way::FastFirst)));
    match made {
        Ok(made) => assert!(scenario::parse(&made.text).is_ok(), "{text}"),
        Err(why @ ImportError::Unwritable { .. }) => panic!("{why}\n{text}"),
        Err(_) => {}
    }
}

/// A text is a scenario that is written as it is read and can be searched, or has errors that are
/// drawn in a bounded space and without control characters.
fn scenario_text(text: &str, dice: &mut Dice) {
    match scenario::parse(text) {
        Ok(read) => {
            let canonical = scenario::format(&read);
            assert_eq!(scenario::parse(&canonical).as_ref(), Ok(&read), "{canonical}");
            assert_eq!(scenario::format(&read), canonical);
            search(&read, dice);
        }
        Err(errors) => {
            let drawn = scenario::render(&errors, text, "mutant.pf", Style::Plain);
            assert!(!errors.is_empty() && drawn.len() < 4_000 * MOST_DRAWN, "{}", drawn.len());
            let control = |c: char| c.is_control() && c != '\n';
            assert!(!drawn.contains(control), "{}", drawn.escape_debug());
            for error in &errors {
                assert!(text.get(error.span.range()).is_some(), "{error:?}");
            }
        }
    }
}

/// A few executions under some rules give a report, and nothing in them panics.
fn search(read: &scenario::Scenario, dice: &mut Dice) {
    let rules = pinfold::Rules::parse(RULES[dice.roll(RULES.len())]).expect("rules");
    let Ok(prepared) = Prepared::new(read, "mutant.pf", &rules) else { return };
    let search = match dice.roll(3) {
        0 => Strategy::Exhaustive { preemptions: None },
        1 => Strategy::Random { seed: 1, runs: 4 },
        _ => Strategy::Pct { depth: u32::MAX, seed: 1, runs: 4 },
    };
    let config = Config {
        model: [Model::Sc, Model::Tso, Model::Weak][dice.roll(3)],
        search,
        max_executions: Some(4),
        max_steps: 2_000,
        ..Config::default()
    };
    let options = CheckOptions { detail: Detail::Verdict, ..CheckOptions::of(config) };
    let report = prepared.check(&options, &mut |_| {});
    let oracle = report.broken.map(|broken| (broken.oracle, broken.what));
    let panicked = matches!(oracle, Some((Oracle::Panic | Oracle::Nondeterminism, _)));
    assert!(!panicked, "{oracle:?}");
}

fn document(text: &str) {
    if let Ok((read, _)) = scenario::json::read(text) {
        assert!(scenario::parse(&scenario::format(&read)).is_ok(), "{text}");
    }
}

/// A part is the one that was written, or it is refused; it never passes with less.
fn part(original: &str, text: &str) {
    if let Ok(read) = Partial::read(text) {
        assert_eq!(Ok(&read), Partial::read(original).as_ref(), "{text}");
        assert_eq!(merge(&[("mutant.json".to_owned(), read)]).map(drop), Ok(()));
    }
}

/// A saved execution is repeated as it was recorded, is another one, or is refused.
fn replay(text: &str) {
    if let Ok(file) = ReplayFile::parse(text, Engines::Any)
        && let Ok(report) = file.replay()
    {
        assert!(matches!(report.verdict, Verdict::Fail | Verdict::Error), "{report:?}");
    }
}

/// What stands on command lines is read or refused.
fn words(text: &str, dice: &mut Dice) {
    let word: String = text.split_whitespace().skip(dice.roll(40)).take(2).collect();
    for word in [word.as_str(), &format!("5.9,{word}"), &format!("{word}/4")] {
        let _ = pinfold::Rules::parse(word);
        let _ = word.parse::<Shard>();
        let _ = word.parse::<Model>();
    }
}
