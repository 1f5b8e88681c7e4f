//! `pinfold import strace`: a recording of a program as a scenario, and whether the program is
//! safe.

use super::{Answer, doubts};
use crate::args::{CELL_EXECUTIONS, Format, ImportArgs, ModelArg, Recorder, StraceArgs};
use crate::calls::{Call, Hold};
use crate::console::Console;
use crate::failure::Failure;
use crate::files::{self, Output};
use crate::find::{self, Loaded, Source};
use crate::progress::{Meter, stop_flag};
use crate::render::doubts::Doubts;
use crate::render::text::counted;
use crate::render::{json, report};
use crate::rulesets::{self, RuleSet};
use crate::saved::{self, Place};
use crate::show;
use pinfold::Rules;
use pinfold::rules::{Kernel, Release};
use pinfold_lab::import::{self, Gap, Imported, Recording, Taker, Takes, Way};
use pinfold_lab::report::{Report, Verdict};
use pinfold_lab::saved::ReplayFile;
use pinfold_lab::scenario::Scenario;
use pinfold_lab::{Answers, CheckOptions, Detail, Strategy};
use serde::Serialize;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// Where the running kernel says its name, and the most bytes of that.
const OSRELEASE: &str = "/proc/sys/kernel/osrelease";
const MOST_NAME: u64 = 256;

/// The release in which MADV_COLD and MADV_PAGEOUT came (facts 7.15).
const COLD: &str = "5.4";

/// Reads the recording, writes its scenario, and asks about it. The exit status of `--check` is
/// that of the verdict under the rules of the kernel; PARTIAL if nothing was found, and a call that
/// matters was dropped.
///
/// # Errors
/// When a file cannot be read or written, the recording is none, or nothing in it takes pages.
pub(crate) fn import(args: &ImportArgs, console: &mut Console) -> Answer {
    let Recorder::Strace(args) = &args.recorder;
    let out = args.out.as_deref().map(Output::open).transpose()?;
    let recording = recording(&args.files)?;
    let (set, whence) = rules(args, &recording)?;
    let release = release(&set.name);
    let name = name(&args.files);
    let made = scenario(&recording, &name, release)?;
    tell(&recording, &set, &whence, &made, console);
    let text = made.text.clone();
    match out {
        Some(out) => out.put(&text)?,
        None if !args.check => console.print(&text)?,
        None => {}
    }
    if !args.check {
        return Ok(Verdict::Pass.exit_code());
    }
    ask(args, &recording, &set, &made, console)
}

/// The files as one recording.
fn recording(files: &[PathBuf]) -> Result<Recording, Failure> {
    let several = files.len() > 1;
    let source = |path: &PathBuf| {
        // The files of -ff end with the number of their thread.
        let end = path.extension().and_then(|end| end.to_str()?.parse().ok());
        let text = Box::new(files::stream(path)?);
        Ok(import::Source { name: show::path(path), pid: end.filter(|_| several), text })
    };
    let sources: Result<Vec<_>, Failure> = files.iter().map(source).collect();
    Recording::read(sources?).map_err(Failure::Import)
}

/// The scenario's name: that of the file.
fn name(files: &[PathBuf]) -> String {
    let stem = files.first().and_then(|file| file.file_stem());
    stem.map_or_else(|| "recording".to_owned(), |stem| stem.to_string_lossy().into_owned())
}

/// The rules to ask under, and where they come from.
fn rules(args: &StraceArgs, recording: &Recording) -> Result<(RuleSet, String), Failure> {
    if let Some(given) = &args.rules {
        return Ok((rulesets::one(given)?, "as given".to_owned()));
    }
    if let Some(kernel) = recording.kernel() {
        let shown = show::word(kernel).to_string();
        return match rules_of(kernel) {
            Ok((set, taken)) => Ok((set, format!("the recording says {shown}{taken}"))),
            Err(why) => Err(Failure::Unmodelled { kernel: shown, why: Box::new(why) }),
        };
    }
    let running = files::read(Path::new(OSRELEASE), MOST_NAME);
    let running = running.as_deref().map(str::trim).unwrap_or("of no name");
    let shown = show::word(running);
    match rules_of(running) {
        Ok((set, taken)) => {
            let why = format!("the running kernel is {shown}{taken}; the recording does not say");
            Ok((set, why))
        }
        Err(_) => {
            let why = format!(
                "the recording does not say, and the running kernel {shown} is not modelled"
            );
            Ok((rulesets::one(rulesets::DEFAULT)?, why))
        }
    }
}

/// The rules of a kernel by its name, and what they are of in its place: a name of no distribution
/// stands for the release in front of it.
///
/// # Errors
/// When there are none.
fn rules_of(kernel: &str) -> Result<(RuleSet, String), Failure> {
    if let Ok(set) = rulesets::one(kernel) {
        return Ok((set, String::new()));
    }
    let numbers: Vec<&str> = kernel.split(|other: char| !other.is_ascii_digit()).take(2).collect();
    let release = numbers.join(".");
    let set = rulesets::one(&release)?;
    let candidate = if kernel.contains("-rc") { ", from which a candidate may differ" } else { "" };
    Ok((set, format!(", taken as {release}{candidate}")))
}

/// The release that rules start from: the newest, where they are not of one.
fn release(rules: &str) -> Release {
    let base = rules.split(',').next().unwrap_or(rules);
    Kernel::parse(base).map_or(Release::NEWEST, |kernel| kernel.base)
}

/// What a call takes in a release, by the table of system calls.
fn takes(taker: Taker, release: Release) -> Takes {
    let eras = Call::named(taker.call()).map_or(&[][..], |call| call.eras);
    let begun = |from: &str| Kernel::parse(from).is_ok_and(|kernel| kernel.base <= release);
    let Some(era) = eras.iter().rev().find(|era| begun(era.from)) else { return Takes::Absent };
    let way = if era.is_slow() { Way::Slow } else { Way::FastFirst };
    match era.hold {
        Hold::Get => Takes::Get(way),
        Hold::Pin => Takes::Pin(way),
        Hold::Follow | Hold::Borrow => Takes::Follow,
    }
}

/// The calls of a scenario that a release does not have, by name.
fn lacking(made: &Imported, release: Release) -> Vec<&'static str> {
    let early = COLD.parse().is_ok_and(|since| release < since);
    let advice = made.advice.iter().copied().filter(|_| early);
    made.absent.iter().map(|taker| taker.call()).chain(advice).collect()
}

fn scenario(recording: &Recording, name: &str, release: Release) -> Result<Imported, Failure> {
    recording.scenario(name, &|taker| takes(taker, release)).map_err(Failure::Import)
}

/// Says what was made of the recording, and what was not.
fn tell(recording: &Recording, set: &RuleSet, whence: &str, made: &Imported, console: &Console) {
    let lines = recording.lines();
    let assumed = made.text.matches("assumed: ").count() as u64;
    console.note(&format!(
        "{}; rules of {} ({whence}); {}, marked `assumed:`",
        counted(lines, "line", "lines"),
        show::word(&set.name),
        counted(assumed, "assumption", "assumptions"),
    ));
    for why in &made.left {
        console.note(&format!("left out: {why}"));
    }
    for call in lacking(made, release(&set.name)) {
        console.warn(&format!("this release has no {call}"));
    }
}

/// Searches the scenario under the kernel's rules, and under those of every release.
fn ask(
    args: &StraceArgs,
    recording: &Recording,
    set: &RuleSet,
    made: &Imported,
    console: &mut Console,
) -> Answer {
    // As for `when`: most recordings come from x86.
    let mut options = args.search.options(args.search.model.unwrap_or(ModelArg::Tso))?;
    let exhaustive = options.config.search == Strategy::Exhaustive { preemptions: None };
    if exhaustive && options.config.deadline.is_none() {
        options.config.max_executions.get_or_insert(CELL_EXECUTIONS);
    }
    let stop = stop_flag()?;
    options.config.stop = Some(stop.clone());
    let mut meter = Meter::new();
    let path = args.out.as_deref().or(args.files.first().map(PathBuf::as_path));
    let path = path.map(show::path).unwrap_or_default();
    let source = Source { text: made.text.clone(), path: path.clone() };
    let loaded = find::parse(source, console.error_style())?;
    meter.show(|| format!("{} under {}", loaded.scenario.name.as_str(), set.name));
    let mut found = pinfold_lab::check(&loaded.scenario, &path, &set.rules, &options, &mut |_| {});
    let absent = lacking(made, release(&set.name));
    let unknown = if !absent.is_empty() {
        // The scenario lacks what was not asked: no doubt is about that.
        skip(&mut found, &absent);
        None
    } else {
        let about = (&loaded.scenario, path.as_str());
        doubts::doubts(set, about, &found, (&options.config, &stop), &mut |one, other| {
            meter.show(|| {
                format!("{} under {}, {one}={other}", loaded.scenario.name.as_str(), set.name)
            });
        })
    };
    options.detail = Detail::Verdict;
    let name = name(&args.files);
    let eras = history(recording, &name, &options, &stop, &mut meter)?;
    drop(meter);
    let verdict = answer(found.verdict, made.gap);
    let kept = keep(args, &loaded, set, &mut found, console);
    match args.format {
        Format::Json => {
            let (left_out, releases) = (made.left.as_slice(), eras.as_slice());
            let kernel = unknown.as_ref();
            let document = Document { report: &found, answer: verdict, left_out, releases, kernel };
            console.print(&json::document(&document)?)?;
        }
        Format::Human => {
            let look = console.look();
            let doubts = unknown.as_ref().map_or_else(Vec::new, |unknown| unknown.section(look));
            let drawn = match &kept {
                Kept::No => report::draw_alone(&found, doubts, look),
                Kept::Scenario(place) => {
                    let calls: Vec<&str> = made.takers.iter().map(|taker| taker.call()).collect();
                    report::draw_imported(&found, place.as_ref(), doubts, &calls, look)
                }
            };
            let summary = summary(set, &found, !absent.is_empty(), &eras, made);
            console.print(&format!("{drawn}\n{summary}"))?;
        }
    }
    Ok(verdict.exit_code())
}

/// Nothing was asked: what was searched is the rest of the recording.
fn skip(found: &mut Report, absent: &[&str]) {
    found.verdict = Verdict::Skip;
    found.search.incomplete = Some(format!("these rules have no {}", absent.join(", no ")));
    found.search.executions = 0;
    (found.broken, found.trace) = (None, None);
    found.decisions.clear();
    found.outcomes.clear();
    found.reached.clear();
    found.ends.clear();
    found.costs.clear();
    found.bounds.clear();
    found.not_covered.clear();
}

/// What is in files, for the commands that go on.
enum Kept {
    No,
    /// The scenario, and the failing execution if there is one.
    Scenario(Option<Place>),
}

/// Saves the scenario where the search found something or did not end, unless it is in a file
/// already, and the failing execution. If they cannot be saved, the result is unaffected.
fn keep(
    args: &StraceArgs,
    loaded: &Loaded,
    set: &RuleSet,
    found: &mut Report,
    console: &Console,
) -> Kept {
    if !matches!(found.verdict, Verdict::Fail | Verdict::Partial) {
        return Kept::Scenario(None);
    }
    let file = match args.out.as_ref().filter(|out| out.is_file()) {
        Some(out) => out.clone(),
        None if args.no_save => return Kept::No,
        None => {
            let (file, others) = free(&args.save, loaded);
            // What is wrong with the directory, the file says.
            let _ = fs::create_dir_all(&args.save);
            let put = Output::open(&file).and_then(|output| output.put(&loaded.text));
            if let Err(failure) = put {
                console.warn(&failure.to_string());
                return Kept::No;
            }
            let beside = if others { ": its name is another one's already" } else { "" };
            console.note(&format!("the scenario is in {}{beside}", show::path(&file)));
            file
        }
    };
    found.scenario.path = show::path(&file);
    if args.no_save {
        return Kept::Scenario(None);
    }
    let execution = ReplayFile::record(&loaded.scenario, &set.rules, found);
    let place = execution.map(|execution| saved::write(&execution, &args.save)).transpose();
    Kept::Scenario(place.unwrap_or_else(|failure| {
        console.warn(&failure.to_string());
        None
    }))
}

/// The first file of the scenario's name, numbered from the second on, that is not there or has
/// this text already; whether one of that name has another.
fn free(directory: &Path, loaded: &Loaded) -> (PathBuf, bool) {
    let name = loaded.scenario.name.as_str();
    let is_taken = |file: &Path| {
        let known = fs::metadata(file);
        let same = |len: u64| len == loaded.text.len() as u64;
        match known {
            Ok(found) if found.is_file() && same(found.len()) => {
                fs::read(file).is_ok_and(|text| text != loaded.text.as_bytes())
            }
            Ok(_) => true,
            Err(_) => false,
        }
    };
    let mut file = directory.join(format!("{name}.pf"));
    let mut number = 1;
    while is_taken(&file) {
        number += 1;
        file = directory.join(format!("{name}-{number}.pf"));
    }
    (file, number > 1)
}

/// Releases that follow each other with one answer.
#[derive(Serialize)]
struct Era {
    #[serde(rename = "from", serialize_with = "named")]
    first: Release,
    #[serde(rename = "to", serialize_with = "named")]
    last: Release,
    /// None where there is no such call.
    answer: Option<Verdict>,
}

fn named<S: serde::Serializer>(release: &Release, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(release)
}

/// All answers as one document: the report of the search under the kernel's rules, and beside it
/// what it comes to, as the exit status says it.
#[derive(Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    report: &'a Report,
    answer: Verdict,
    left_out: &'a [String],
    releases: &'a [Era],
    /// What is not known of the kernel, if one was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    kernel: Option<&'a Doubts>,
}

/// What a verdict about a scenario says of the program: nothing found in a part of it is PARTIAL.
fn answer(verdict: Verdict, gap: Gap) -> Verdict {
    match (verdict, gap) {
        (Verdict::Pass, Gap::Dropped) => Verdict::Partial,
        _ => verdict,
    }
}

/// The word for a search that found nothing.
fn safe(gap: Gap) -> &'static str {
    match gap {
        Gap::None => "safe",
        Gap::Untold | Gap::Dropped => "safe, as far as the recording shows",
    }
}

/// The answer under each release, with what calls take there.
fn history(
    recording: &Recording,
    name: &str,
    options: &CheckOptions,
    stop: &AtomicBool,
    meter: &mut Meter,
) -> Result<Vec<Era>, Failure> {
    let mut texts: Vec<(String, Scenario)> = Vec::new();
    let mut of: Vec<(Release, Option<usize>)> = Vec::new();
    for release in Release::all() {
        let made = scenario(recording, name, release)?;
        if !lacking(&made, release).is_empty() {
            of.push((release, None));
            continue;
        }
        let at = match texts.iter().position(|(text, _)| *text == made.text) {
            Some(at) => at,
            None => {
                let source = Source { text: made.text.clone(), path: name.to_owned() };
                let style = pinfold_lab::scenario::Style::Plain;
                texts.push((made.text, find::parse(source, style)?.scenario));
                texts.len() - 1
            }
        };
        of.push((release, Some(at)));
    }
    let answers: Vec<Answers<'_>> =
        texts.iter().map(|(_, scenario)| Answers::new(scenario, name, options)).collect();
    let mut eras: Vec<Era> = Vec::new();
    for (release, at) in of {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        meter.show(|| format!("{name} at {release}"));
        let rules = Rules::linux(&release.to_string());
        let verdict = match (at, rules) {
            (Some(at), Ok(rules)) => {
                let report = answers[at].under(&rules, &mut |_| {});
                (!report.is_absent()).then_some(report.verdict)
            }
            _ => None,
        };
        match eras.last_mut() {
            Some(era) if era.answer == verdict => era.last = release,
            _ => eras.push(Era { first: release, last: release, answer: verdict }),
        }
    }
    Ok(eras)
}

/// What it comes to, in words.
fn summary(set: &RuleSet, found: &Report, absent: bool, eras: &[Era], made: &Imported) -> String {
    let safe = safe(made.gap);
    let mut text = String::new();
    for era in eras {
        let word = match era.answer {
            None => "n/a: there is no such call",
            Some(Verdict::Pass) => safe,
            Some(Verdict::Fail) => "NOT safe",
            Some(Verdict::Partial) => "nothing found before a bound ended the search",
            Some(Verdict::Skip | Verdict::Error) => "no answer",
        };
        text.push_str(&format!("{:<14}{word}\n", span(era)));
    }
    let rules = show::word(&set.name);
    let here = match (found.verdict, absent) {
        (_, true) => format!("{rules} does not have the calls of the recording"),
        (Verdict::Pass, _) if made.gap == Gap::None => format!("safe under {rules}"),
        (Verdict::Pass, _) => format!("{safe}, under {rules}"),
        (Verdict::Fail, _) => format!("NOT safe under {rules}"),
        (Verdict::Partial, _) => format!("nothing found under {rules} before a bound ended it"),
        (Verdict::Skip | Verdict::Error, _) => format!("no answer under {rules}"),
    };
    let since = since(found, eras, release(&set.name));
    let mut text = format!("{text}{here}{since}\n");
    if found.verdict == Verdict::Pass && made.gap != Gap::None {
        made.left.iter().for_each(|why| text.push_str(&format!("left out: {why}\n")));
    }
    if made.holds && eras.iter().any(|era| era.answer == Some(Verdict::Pass)) {
        text.push_str(UNASKED);
    }
    text
}

/// What no scenario of a recording has, where something holds pages for long.
const UNASKED: &str = "\
not asked: what the kernel does by itself to pages that are held (NUMA balancing, reclaim,
compaction); look at `pinfold matrix bug-215616 bug-215616-compaction swap-out-races-pin`
";

/// Releases that follow each other: one by its name alone.
fn span(Era { first, last, .. }: &Era) -> String {
    match *last {
        Release::NEWEST => format!("{first} on"),
        _ if first == last => first.to_string(),
        _ => format!("{first} to {last}"),
    }
}

/// What the releases beside the one that was asked about have to say, behind its own answer.
fn since(found: &Report, eras: &[Era], asked: Release) -> String {
    let [.., last] = eras else { return String::new() };
    if last.last != Release::NEWEST {
        return format!("; the releases after {} were not asked", last.last);
    }
    // Who is safe and upgrades meets these.
    let worse = |era: &&Era| era.first > asked && era.answer == Some(Verdict::Fail);
    let worse: Vec<String> = eras.iter().filter(worse).map(span).collect();
    match (found.verdict, last.answer) {
        (Verdict::Pass, _) if !worse.is_empty() => {
            format!(", NOT safe from {}", worse.join(", from "))
        }
        (Verdict::Pass, answer) if answer != Some(Verdict::Pass) => {
            ", but not under the newest".to_owned()
        }
        (_, answer) if answer != Some(Verdict::Pass) => ", and under no newer release".to_owned(),
        _ => match eras {
            [_] => ", and under every release".to_owned(),
            [.., before, last] if before.answer.is_none() => {
                format!(", and under every release that has the calls ({} on)", last.first)
            }
            _ => format!(", safe since {}", last.first),
        },
    }
}
