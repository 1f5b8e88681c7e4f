//! The documents hold together: what cites them finds what it cites, links lead somewhere, and
//! prose keeps to one width.

mod files;
mod links;
mod sheet;

use files::{files, in_repository, prose};
use pinfold::rules::Rules;
use sheet::{Sheet, citations};
use std::collections::BTreeSet;

/// Fewer than this mean that the test no longer finds them.
const CITATIONS: usize = 200;
/// The same for links.
const LINKS: usize = 60;
/// The width of prose, in characters.
const WIDTH: usize = 100;

#[test]
fn every_citation_of_the_fact_sheet_is_a_place_in_it() {
    let sheet = Sheet::read();
    let mut seen = 0;
    let mut lost = Vec::new();
    for file in files(&["rs", "pf", "txt", "md", "toml", "sh", "snap"]) {
        for cited in citations(&file.text) {
            seen += 1;
            if !sheet.has(&cited) {
                lost.push(format!("{}: {cited}", file.name));
            }
        }
    }
    assert!(lost.is_empty(), "not in docs/facts-linux.md:\n{}", lost.join("\n"));
    assert!(seen >= CITATIONS, "only {seen} citations were found");
}

#[test]
fn every_printed_rule_cites_a_place_in_the_fact_sheet() {
    let sheet = Sheet::read();
    for switch in Rules::switches() {
        let variants = switch.variants.iter().map(|variant| (variant.name, variant.doc));
        for (name, doc) in [("", switch.doc)].into_iter().chain(variants) {
            let cited = citations(doc);
            assert!(!cited.is_empty(), "{} {name}: no citation", switch.name);
            for cited in cited {
                assert!(sheet.has(&cited), "{} {name}: {cited}", switch.name);
            }
        }
    }
}

#[test]
fn every_section_of_the_fact_sheet_stands_once_and_in_order() {
    let numbers = Sheet::read().numbers();
    let sorted = numbers.is_sorted_by(|a, b| a < b);
    assert!(sorted, "{numbers:?}");
}

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    let mut seen = 0;
    let mut broken = Vec::new();
    for file in files(&["md"]) {
        for target in links::targets(&file.text) {
            seen += 1;
            if let Err(why) = links::resolve(&file.name, &target) {
                broken.push(format!("{}: {target}: {why}", file.name));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    assert!(seen >= LINKS, "only {seen} links were found");
}

#[test]
fn every_document_that_code_names_is_there() {
    for file in files(&["rs", "pf", "txt", "toml", "sh"]) {
        for name in links::documents_named(&file.text) {
            assert!(in_repository(&name).is_file(), "{} names {name}", file.name);
        }
    }
}

#[test]
fn the_map_and_the_glossary_name_files_and_invariants_that_exist() {
    let code: String =
        files(&["rs"]).into_iter().filter(|file| !file.is_test()).map(|file| file.text).collect();
    let mut lost = BTreeSet::new();
    for document in ["ARCHITECTURE.md", "GLOSSARY.md"] {
        let text = files::read(document);
        for span in links::code_spans(&text).filter(|span| span.ends_with(".rs")) {
            if !files::is_source(span) {
                lost.insert(format!("{document}: {span}"));
            }
        }
        for word in words(&text).filter(|word| word.starts_with("INV-")) {
            let numbered = word.ends_with(|c: char| c.is_ascii_digit());
            let first = if numbered { word.to_owned() } else { format!("{word}-1") };
            if !code.contains(&first) {
                lost.insert(format!("{document}: {word}"));
            }
        }
    }
    assert!(lost.is_empty(), "named and not there: {lost:#?}");
}

#[test]
fn the_map_has_every_invariant() {
    let map = files::read("ARCHITECTURE.md");
    let mapped: BTreeSet<&str> = words(&map).collect();
    let mut lost = BTreeSet::new();
    for file in files(&["rs"]).into_iter().filter(|file| !file.is_test()) {
        for word in words(&file.text) {
            let prefix = word.strip_suffix("-1").filter(|prefix| prefix.starts_with("INV-"));
            if prefix.is_some_and(|prefix| !mapped.contains(prefix)) {
                lost.insert(format!("{}: {word}", file.name));
            }
        }
    }
    assert!(lost.is_empty(), "not in ARCHITECTURE.md: {lost:#?}");
}

/// The words of a text, with their hyphens.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'))
}

/// The incidents behind the cookbook are retold, and each says from where.
#[test]
fn every_incident_of_the_cookbook_names_a_source() {
    let all = files(&["md", "pf"]);
    let text =
        |name: &str| all.iter().find(|file| file.name.ends_with(name)).map(|file| &file.text);
    let page = text("docs/cookbook.md").expect("the cookbook");
    let mut seen = BTreeSet::new();
    for line in page.lines().filter(|line| line.starts_with("pinfold ")) {
        let mut words = line.split_whitespace().skip(1);
        let asks = words.next().is_some_and(|word| ["check", "when", "cure"].contains(&word));
        let Some(name) = words.next().filter(|_| asks) else { continue };
        let incident = text(&format!("pinfold-lab/scenarios/{name}.pf"))
            .unwrap_or_else(|| panic!("no {name}"));
        let has = incident.lines().any(|line| line.starts_with("source "));
        assert!(has, "{name} has no source");
        seen.insert(name);
    }
    assert!(seen.len() >= 20, "{seen:?}");
}

#[test]
fn prose_is_at_most_100_columns_wide() {
    let mut wide = Vec::new();
    for file in files(&["md"]) {
        for (number, line) in prose(&file.text) {
            let fits = line.chars().count() <= WIDTH || line.contains("](");
            if !fits {
                wide.push(format!("{}:{number}", file.name));
            }
        }
    }
    assert!(wide.is_empty(), "wider than {WIDTH}:\n{}", wide.join("\n"));
}

/// The formatter holds the code to the same width, and leaves comments alone.
#[test]
fn comments_are_at_most_100_columns_wide() {
    let mut wide = Vec::new();
    for file in files(&["rs"]) {
        for (line, number) in file.text.lines().zip(1..) {
            let is_comment = line.trim_start().starts_with("//");
            let text = line.trim_start().trim_start_matches(['/', '!']).trim_start();
            let exempt = text.starts_with('|') || text.contains("://");
            if is_comment && !exempt && line.chars().count() > WIDTH {
                wide.push(format!("{}:{number}", file.name));
            }
        }
    }
    assert!(wide.is_empty(), "comments wider than {WIDTH}:\n{}", wide.join("\n"));
}
