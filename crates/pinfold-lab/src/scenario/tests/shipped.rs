//! The shipped files and the manual.

use super::super::*;
use super::{accepted, shipped};
use std::fs;

/// The incidents that this release ships.
const NAMES: [&str; 20] = [
    "breakpoint",
    "bug-215616",
    "bug-215616-compaction",
    "cow-published-early",
    "dirty-cow",
    "fast-pin-reused-frame",
    "fork-meets-migration",
    "fork-races-fast-pin",
    "many-references",
    "move-races-cow",
    "mprotect-flip",
    "mprotect-pin-fork",
    "rdma-dontfork",
    "rdma-fork",
    "rdma-fork-get",
    "read-pin-then-write",
    "read-pin-zero-page",
    "unmap-races-pin",
    "vmsplice-leak",
    "wrprotect-restore-loses-dirty",
];

#[test]
fn every_incident_is_there_and_named_after_its_file() {
    let files = shipped();
    for name in NAMES {
        assert!(files.iter().any(|(file, _)| file == name), "{name}");
    }
    for (file, text) in files {
        let scenario = accepted(&text);
        assert_eq!(scenario.name.value, file);
        assert!(scenario.title.is_some() && !scenario.about.is_empty(), "{file}");
    }
}

#[test]
fn the_files_are_in_canonical_form() {
    for (name, text) in shipped() {
        assert_eq!(format(&accepted(&text)), text, "{name}");
    }
}

#[test]
fn no_file_names_a_rule_set() {
    for (name, text) in shipped() {
        assert!(!text.contains("linux-"), "{name}");
    }
}

fn manual() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/scenario-language.md");
    fs::read_to_string(path).expect("the manual of the language")
}

#[test]
fn the_manual_has_every_code_and_every_word() {
    let manual = manual();
    for code in Code::ALL {
        assert!(manual.contains(&format!("| {code} |")), "{code}");
    }
    let verbs = Verb::ALL.iter().map(|word| word.as_str());
    let failures = Failure::ALL.iter().map(|word| word.as_str());
    let advice = Advice::ALL.iter().map(|word| word.as_str());
    for word in verbs.chain(failures).chain(advice) {
        assert!(manual.contains(&format!("`{word}")), "{word}");
    }
}

#[test]
fn the_examples_of_the_manual_are_scenarios() {
    let manual = manual();
    let examples: Vec<&str> = manual
        .split("```")
        .skip(1)
        .step_by(2)
        .filter_map(|block| block.strip_prefix("pinfold\n"))
        .collect();
    assert!(!examples.is_empty());
    for example in examples {
        accepted(example);
    }
}
