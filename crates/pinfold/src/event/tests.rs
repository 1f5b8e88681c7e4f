extern crate std;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::string::{String, ToString};
use std::vec;

use super::*;

const PAGE: Pfn = Pfn(3);

#[test]
fn no_two_events_have_one_name() {
    let distinct: BTreeSet<_> = EventKind::NAMES.iter().collect();
    assert_eq!(distinct.len(), EventKind::NAMES.len());
}

#[test]
fn an_event_is_shown_with_its_fields_and_its_rule() {
    let restored = EventKind::HintRestored { pfn: PAGE, writable: false };
    assert_eq!(restored.name(), "hint-restored");
    assert_eq!(restored.to_string(), "hint fault: f3 ro");
    let decision = restored.decision().expect("a rule decides on the write bit");
    assert_eq!(decision.rule, Switch::NumaWrite);
    assert_eq!(decision.to_string(), "f3 came back without the write bit");
    assert_eq!(EventKind::Freed(PAGE).decision(), None);
    assert_eq!(EventKind::Spurious.weight(), Weight::Passing);
}

/// The crate's sources outside this module and the tests.
fn sources() -> String {
    let mut text = String::new();
    let mut directories = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(directory) = directories.pop() {
        for path in fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
            let skipped = ["event", "event.rs", "tests", "tests.rs", "testing", "testing.rs"];
            if path.file_name().is_some_and(|name| skipped.iter().any(|skip| name == *skip)) {
                continue;
            }
            if path.is_dir() {
                directories.push(path);
            } else {
                text += &fs::read_to_string(path).unwrap();
            }
        }
    }
    text
}

/// An event that nothing emits would be offered to `reach` and never occur.
#[test]
fn every_event_is_emitted_somewhere() {
    let text = sources();
    for name in EventKind::NAMES {
        let capital = |word: &str| word[..1].to_uppercase() + &word[1..];
        let variant: String = name.split('-').map(capital).collect();
        let told = text.match_indices("EventKind::").any(|(at, mark)| {
            let rest = &text[at + mark.len()..];
            rest.starts_with(&variant)
                && !rest[variant.len()..].starts_with(|c: char| c.is_alphanumeric())
        });
        assert!(told, "nothing emits EventKind::{variant}");
    }
}
