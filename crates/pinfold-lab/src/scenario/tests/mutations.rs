//! Whatever the text, there is an answer: a scenario that keeps the module's promises, or errors
//! that can be drawn.

use super::super::*;
use crate::SCENARIOS;
use proptest::prelude::*;

/// Words that a mutation may put somewhere.
const PIECES: [&str; 40] = [
    "lane",
    "setup",
    "always",
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
    "as",
    "after",
    "signal",
    "await",
    "times",
    "slow-only",
    "fork",
    "exited",
    "thp",
    "numa",
    "filter",
    "pmd",
    "huge",
    "hugetlb",
    "exit",
    "0",
    "4294967296",
    "0x",
    "\n",
    "\r",
    "\u{e9}",
    "\u{1f600}",
];

/// One change at a place given as a fraction of the text.
#[derive(Clone, Debug)]
enum Change {
    Insert(u16, usize),
    Delete(u16, u8),
    Swap(u16, u16),
    Duplicate(u16, u16),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        (any::<u16>(), 0..PIECES.len()).prop_map(|(at, piece)| Change::Insert(at, piece)),
        (any::<u16>(), 1..20u8).prop_map(|(at, length)| Change::Delete(at, length)),
        (any::<u16>(), any::<u16>()).prop_map(|(a, b)| Change::Swap(a, b)),
        (any::<u16>(), any::<u16>()).prop_map(|(from, to)| Change::Duplicate(from, to)),
    ]
}

/// An index below `length`, or 0.
fn scaled(fraction: u16, length: usize) -> usize {
    usize::from(fraction) * length / (usize::from(u16::MAX) + 1)
}

fn apply(text: &mut String, change: &Change) {
    let position = |text: &str, at: u16| text.floor_char_boundary(scaled(at, text.len()));
    match change {
        Change::Insert(at, piece) => text.insert_str(position(text, *at), PIECES[*piece]),
        Change::Delete(at, length) => {
            let start = position(text, *at);
            let end = text.ceil_char_boundary((start + usize::from(*length)).min(text.len()));
            text.replace_range(start..end, "");
        }
        Change::Swap(a, b) => {
            let mut lines: Vec<&str> = text.lines().collect();
            let (a, b) = (scaled(*a, lines.len()), scaled(*b, lines.len()));
            if !lines.is_empty() {
                lines.swap(a, b);
            }
            *text = lines.join("\n");
        }
        Change::Duplicate(from, to) => {
            let mut lines: Vec<&str> = text.lines().collect();
            let (from, to) = (scaled(*from, lines.len()), scaled(*to, lines.len()));
            if let Some(line) = lines.get(from).copied() {
                lines.insert(to, line);
            }
            *text = lines.join("\n");
        }
    }
}

fn answer(text: &str) -> Result<(), TestCaseError> {
    match parse(text) {
        Ok(scenario) => {
            let canonical = format(&scenario);
            let again = parse(&canonical);
            prop_assert_eq!(again.as_ref(), Ok(&scenario), "{}", canonical);
            prop_assert_eq!(format(&scenario), canonical);
            let document = json::write(&scenario).expect("a document");
            let (read, _) = json::read(&document).expect("the same scenario");
            prop_assert_eq!(read, scenario);
        }
        Err(errors) => {
            prop_assert!(!errors.is_empty());
            for error in &errors {
                prop_assert!(text.get(error.span.range()).is_some(), "{:?}", error);
            }
            prop_assert!(!render(&errors, text, "test.pf", Style::Plain).is_empty());
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn changed_files_have_an_answer(
        file in any::<prop::sample::Index>(),
        changes in prop::collection::vec(change(), 1..6),
    ) {
        let mut text = file.get(SCENARIOS).text.to_owned();
        changes.iter().for_each(|change| apply(&mut text, change));
        answer(&text)?;
    }

    #[test]
    fn any_text_has_an_answer(text in any::<String>()) {
        answer(&text)?;
    }
}

#[test]
fn errors_can_be_drawn_on_the_wrong_text() {
    let errors = parse("scenario s\nsetup\n  process P\n  P: teleport\n").expect_err("an error");
    for text in ["", "\u{e9}", "short"] {
        assert!(!render(&errors, text, "test.pf", Style::Plain).is_empty());
    }
}
