//! A switch is read by exhaustive matches alone, so that a new variant does not compile until each
//! reader has decided.
//!
//! The enums of the switches cannot be compared, which the compiler holds; what is left are
//! patterns that answer "no" for every variant they do not name: `matches!`, `if let`,
//! `let ... else`, and a wildcard arm beside arms that name variants. This test reads the sources
//! for them.

use std::fs;
use std::path::{Path, PathBuf};

use pinfold_rules::Rules;

/// The enums' names: `pte-cow` is `PteCow`.
fn enums() -> Vec<String> {
    let capital = |word: &str| word[..1].to_uppercase() + &word[1..];
    Rules::switches().map(|switch| switch.name.split('-').map(capital).collect()).collect()
}

/// The sources of every crate beside this one, without tests.
fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
        let name = entry.file_name().unwrap().to_str().unwrap();
        if entry.is_dir() && name != "tests" {
            sources(&entry, found);
        } else if name.ends_with(".rs") && !["tests.rs", "testing.rs"].contains(&name) {
            found.push(entry);
        }
    }
}

/// The code without comments, by line.
fn code(text: &str) -> Vec<&str> {
    text.lines().map(|line| line.find("//").map_or(line, |at| &line[..at])).collect()
}

/// Whether a word of the line names a variant of `name`.
fn names_variant(line: &str, name: &str) -> bool {
    let mark = format!("{name}::");
    line.match_indices(&mark).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + mark.len()..].chars().next();
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_')
            && after.is_some_and(char::is_uppercase)
            && !line[at + mark.len()..].starts_with("ALL")
            && !line[at + mark.len()..].starts_with("VARIANTS")
    })
}

/// The lines on which a partial pattern names a variant of `name`.
fn partial(lines: &[&str], name: &str) -> Vec<usize> {
    let mut bad = Vec::new();
    for (number, line) in lines.iter().enumerate().filter(|(_, line)| names_variant(line, name)) {
        let near = lines[number.saturating_sub(3)..=number].concat();
        let statement = near.rsplit(';').next().unwrap_or(&near);
        if ["matches!(", "if let ", "let Some("].iter().any(|word| statement.contains(word)) {
            bad.push(number + 1);
        }
        if line.contains("=>") && falls_through(&lines[number..], indent(line)) {
            bad.push(number + 1);
        }
    }
    bad
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// Whether a later arm of the match whose arms stand at `depth` is a wildcard.
fn falls_through(rest: &[&str], depth: usize) -> bool {
    let arms = rest.iter().filter(|line| !line.trim().is_empty());
    arms.take_while(|line| indent(line) >= depth)
        .any(|line| indent(line) == depth && line.trim_start().starts_with("_ "))
}

#[test]
fn every_reader_of_a_switch_names_every_variant() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut files = Vec::new();
    for entry in fs::read_dir(crates).unwrap().map(|entry| entry.unwrap().path().join("src")) {
        if entry.is_dir() {
            sources(&entry, &mut files);
        }
    }
    let enums = enums();
    assert_eq!(enums.len(), 61, "switches: {enums:?}");
    let (mut bad, mut readers) = (Vec::new(), 0);
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let lines = code(&text);
        for name in enums.iter().filter(|name| *name != "MigrationKind" || !owns_a_kind(&text)) {
            readers += lines.iter().filter(|line| names_variant(line, name)).count();
            for line in partial(&lines, name) {
                bad.push(format!("{}:{line}: {name}", file.display()));
            }
        }
    }
    assert!(readers > 40, "the sources name variants of switches, {readers} times found");
    assert!(bad.is_empty(), "partial patterns on switches:\n{}", bad.join("\n"));
}

/// Whether the file speaks of the entry's `MigrationKind`, which only shares the rule's name.
fn owns_a_kind(text: &str) -> bool {
    !text.contains("rules::MigrationKind") && !text.contains("use super::{MigrationAd")
}

#[test]
fn the_check_sees_what_it_is_for() {
    let seen = |text: &str| partial(&code(text), "ZeroPin");
    assert_eq!(seen("if matches!(rule, ZeroPin::Free) {"), [1]);
    assert_eq!(seen("if let\n    ZeroPin::Free = rule {"), [2]);
    assert_eq!(seen("match rule {\n    ZeroPin::Free => 1,\n    _ => 2,\n}"), [2]);
    let exhaustive = "match rule {\n    ZeroPin::Free => 1,\n    ZeroPin::Counted => 2,\n}";
    assert_eq!(seen(exhaustive), []);
    assert_eq!(seen("let rule = ZeroPin::Free;"), []);
}
