//! The incidents of the book (`docs/incidents.md` and the pages behind it): what their pages take
//! from a run is what a run says today. `SNAPSHOTS=overwrite` writes it anew: pictures, and what
//! stands between `<!-- incident NAME RULES -->`, or `<!-- table -->`, and `<!-- end -->`.
//!
//! `NAME RULES` is an execution that a search finds to break, as `explain --rules --svg` draws it;
//! with `few-switches` behind it one with two switches that were not forced, where the search would
//! take long to cut another down; with `as-written` the steps in the order in which they stand.

use super::*;
use crate::args::CELL_EXECUTIONS;
use pinfold::Rules;
use pinfold_lab::saved::ReplayFile;
use pinfold_lab::scenario::parse;
use pinfold_lab::{CheckOptions, Config, Order, SCENARIOS, Shipped, Strategy, check, run};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

mod spans;

use spans::{runs, spans};

const INCIDENT: &str = "<!-- incident ";
const TABLE: &str = "<!-- table -->";
const END: &str = "<!-- end -->";
/// The width of prose.
const WIDE: usize = 100;

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs")
}

/// What an incident's page shows of it.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Shown {
    name: String,
    rules: String,
    order: Wanted,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Wanted {
    Broken,
    FewSwitches,
    AsWritten,
}

impl Shown {
    /// Reads the line above what is made.
    fn of(line: &str) -> Option<Self> {
        let words = line.strip_prefix(INCIDENT)?.strip_suffix("-->")?;
        let words: Vec<&str> = words.split_whitespace().collect();
        let (name, rules, order) = match words[..] {
            [name, rules] => (name, rules, Wanted::Broken),
            [name, rules, "few-switches"] => (name, rules, Wanted::FewSwitches),
            [name, rules, "as-written"] => (name, rules, Wanted::AsWritten),
            _ => panic!("NAME RULES, and few-switches or as-written: {line}"),
        };
        Some(Self { name: name.to_owned(), rules: rules.to_owned(), order })
    }

    fn report(&self) -> Report {
        let Self { name, rules, order } = self;
        let shipped = Shipped::find(SCENARIOS, name).unwrap_or_else(|| panic!("no {name}"));
        let scenario = parse(shipped.text).expect("shipped scenarios parse");
        let rules = Rules::parse(rules).unwrap_or_else(|why| panic!("{name}: {why}"));
        let path = format!("scenarios/{name}.pf");
        if *order == Wanted::AsWritten {
            return run(&scenario, &path, &rules, Order::AsWritten);
        }
        let mut options = CheckOptions::of(Config::default());
        options.config.max_executions = Some(CELL_EXECUTIONS);
        if *order == Wanted::FewSwitches {
            options.config.search = Strategy::Exhaustive { preemptions: Some(2) };
        }
        let report = check(&scenario, &path, &rules, &options, &mut |_| {});
        assert_eq!(report.verdict, Verdict::Fail, "{name} under {rules}: {:?}", report.broken);
        let saved = ReplayFile::record(&scenario, &rules, &report);
        saved.map_or(report, |saved| saved.replay().expect("it was found just now"))
    }

    /// The lines that are made, and the picture beside them.
    fn made(&self) -> (String, String) {
        let report = self.report();
        let name = &self.name;
        let title = report.scenario.title.as_deref().unwrap_or_default();
        let mut text = fold(&format!("*{title}*"), WIDE, 0).join("\n");
        text += &format!("\n\n{}\n", verdicts(name));
        let order = match self.order {
            Wanted::Broken | Wanted::FewSwitches => "an execution that breaks it",
            Wanted::AsWritten => "the order as written",
        };
        let ground = &self.rules;
        text += &format!("\n[Scenario](../../scenarios/{name}.pf); {order}, under {ground}:\n");
        text += &format!("\n![{name} under {ground}]({name}.svg)\n");
        if let Some(broken) = &report.broken {
            let first = broken.what.first().map_or("", String::as_str);
            let what = format!("WHAT  {}: {first}", broken.title());
            text += "\n```text\n";
            let whys = broken.why.iter().enumerate().map(|(at, why)| match at {
                0 => format!("WHY   {why}"),
                _ => format!("      {why}"),
            });
            for line in [what].into_iter().chain(whys).flat_map(|line| fold(&line, WIDE, 8)) {
                text += &format!("{line}\n");
            }
            text += "```\n";
        }
        (text, svg::picture(&report))
    }
}

/// What the tables expect of an incident under each release.
fn verdicts(name: &str) -> String {
    let bold = |(word, releases): (String, String)| match word.as_str() {
        "BAD" => format!("**BAD** {releases}"),
        _ => format!("{word} {releases}"),
    };
    let line = |table: &str, model: Model, before: &str| {
        let parts = spans(table, model, name)?.into_iter().map(bold);
        Some(format!("{before}{}.", parts.collect::<Vec<_>>().join(", ")))
    };
    let strong = line("verdicts", Model::Tso, "");
    let strong = strong.unwrap_or_else(|| panic!("{name} has no verdicts"));
    let weak = line("verdicts-weak", Model::Weak, "On a weakly ordered machine: ");
    let both = [Some(strong), weak].into_iter().flatten().collect::<Vec<_>>().join(" ");
    fold(&both, WIDE, 0).join("\n")
}

/// The table of the chapter: each incident with its page, and where it is bad.
fn table(pages: &BTreeMap<String, Vec<Shown>>) -> String {
    let mut text = String::from("| incident | what | BAD under |\n| --- | --- | --- |\n");
    for Shipped { name, text: scenario } in SCENARIOS {
        let (page, _) = pages
            .iter()
            .find(|(_, all)| all.iter().any(|one| one.name == *name))
            .unwrap_or_else(|| panic!("{name} has no place in docs/incidents"));
        let title = parse(scenario).expect("it parses").title.map(|title| title.value);
        let spans = spans("verdicts", Model::Tso, name).expect("it has verdicts");
        let bad = spans.into_iter().filter(|(word, _)| word == "BAD");
        let bad = bad.map(|(_, releases)| releases).collect::<Vec<_>>().join(", ");
        let title = title.unwrap_or_default();
        text += &format!("| [{name}](incidents/{page}#{name}) | {title} | {bad} |\n");
    }
    text
}

/// The page with what is made put in: `made` says it of each line that opens such a place.
fn filled(page: &str, made: impl Fn(&str) -> Option<String>) -> String {
    let mut text = String::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        text += &format!("{line}\n");
        let Some(inner) = made(line) else { continue };
        assert!(lines.any(|line| line == END), "no {END} after {line}");
        text += &format!("{inner}{END}\n");
    }
    text
}

/// The pages behind the chapter: their names, and what they say.
fn pages() -> BTreeMap<String, String> {
    let files = fs::read_dir(docs().join("incidents")).expect("the pages");
    let paths = files.map(|file| file.expect("a file").path());
    let pages = paths.filter(|path| path.extension().is_some_and(|kind| kind == "md"));
    let named = |path: &Path| path.file_name().expect("a name").to_string_lossy().into_owned();
    pages.map(|path| (named(&path), fs::read_to_string(&path).expect("a page"))).collect()
}

fn hold(made: &str, path: &Path) {
    assert_data_eq!(made, snapbox::Data::read_from(path, None).raw());
}

/// What is made for each incident, on as many threads as there are CPUs.
fn all_made(all: &[Shown]) -> Vec<(String, String)> {
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let part = |worker: usize| {
            let own = all.iter().enumerate().skip(worker).step_by(workers);
            scope.spawn(move || own.map(|(at, one)| (at, one.made())).collect::<Vec<_>>())
        };
        let parts: Vec<_> = (0..workers).map(part).collect();
        let done = parts.into_iter().map(|part| part.join().expect("no panic"));
        let by_place: BTreeMap<usize, (String, String)> = done.flatten().collect();
        by_place.into_values().collect()
    })
}

#[test]
fn the_incidents_of_the_book_are_as_a_run_says() {
    let pages = pages();
    let shown: BTreeMap<String, Vec<Shown>> = pages
        .iter()
        .map(|(name, page)| (name.clone(), page.lines().filter_map(Shown::of).collect()))
        .collect();
    let all: Vec<Shown> = shown.values().flatten().cloned().collect();
    assert_eq!(all.len(), SCENARIOS.len(), "each incident has one place");
    let made = all_made(&all);
    for (name, page) in &pages {
        let text = filled(page, |line| {
            let one = Shown::of(line)?;
            let at = all.iter().position(|known| *known == one)?;
            Some(made[at].0.clone())
        });
        hold(&text, &docs().join("incidents").join(name));
    }
    for (one, (_, picture)) in all.iter().zip(&made) {
        hold(picture, &docs().join("incidents").join(format!("{}.svg", one.name)));
    }
    let chapter = docs().join("incidents.md");
    let text = fs::read_to_string(&chapter).expect("the chapter");
    hold(&filled(&text, |line| (line == TABLE).then(|| table(&shown))), &chapter);
}

/// A story is of people: what is made is no substitute for it.
#[test]
fn every_incident_has_a_story_and_every_picture_an_incident() {
    let mut pictures: Vec<String> = Vec::new();
    for (name, page) in pages() {
        for section in page.split("\n## ").skip(1) {
            let (heading, rest) = section.split_once('\n').expect("more than a heading");
            let (story, made) = rest.split_once(INCIDENT).expect("an incident below a heading");
            assert!(made.starts_with(&format!("{heading} ")), "{name}: {heading}");
            let words = story.split_whitespace().count();
            assert!(words >= 20, "{name}: the story of {heading} has {words} words");
            pictures.push(format!("{heading}.svg"));
        }
    }
    pictures.sort();
    let files = fs::read_dir(docs().join("incidents")).expect("the pages");
    let names = files.map(|file| file.expect("a file").file_name().into_string().expect("text"));
    let mut drawn: Vec<String> = names.filter(|name| name.ends_with(".svg")).collect();
    drawn.sort();
    assert_eq!(drawn, pictures);
}

/// What the test above must be able to refuse.
#[test]
fn what_is_made_takes_the_place_of_what_was_there() {
    let page = "# A\n\n## x\n\nstory\n\n<!-- incident x 5.8 -->\nold\nold\n<!-- end -->\n\nmore\n";
    let made = |line: &str| Shown::of(line).map(|one| format!("{} {}\n", one.name, one.rules));
    let new = filled(page, made);
    assert_eq!(new, page.replace("old\nold\n", "x 5.8\n"));
    assert_eq!(filled(&new, made), new);
    let columns = [("5.8", "ok"), ("5.9", "BAD"), ("latest", "BAD"), ("pinfold", "BAD")];
    let row = columns.map(|(column, cell)| (column.to_owned(), cell.to_owned()));
    let told: Vec<String> =
        runs(&row).into_iter().map(|(word, of)| format!("{word} {of}")).collect();
    assert_eq!(told, ["ok 5.8", "BAD 5.9 to latest", "BAD pinfold"]);
}
