//! The fact sheet by number, and the citations that lead into it.

use super::files::read;
use std::collections::BTreeMap;
use std::fmt;

/// A place in the fact sheet, as it is cited.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Cited {
    /// A section or numbered item: `4.2`, `12.7c`.
    Section(String),
    /// A mark in the section named before: `step 3`, `(b)`, `I1`, `A3`.
    Mark { section: String, mark: String },
    /// A hazard of the whole sheet, `H-C`, or a row of its catalogue, `T4`.
    Anywhere(String),
}

impl fmt::Display for Cited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Section(section) => f.write_str(section),
            Self::Mark { section, mark } => write!(f, "{section} {mark}"),
            Self::Anywhere(mark) => f.write_str(mark),
        }
    }
}

/// The fact sheet.
pub(crate) struct Sheet {
    text: String,
    /// The text under each heading and of each numbered item, in the order of the sheet.
    sections: Vec<(String, String)>,
}

impl Sheet {
    #[track_caller]
    pub(crate) fn read() -> Self {
        let text = read("docs/facts-linux.md");
        let mut sections: Vec<(String, String)> = Vec::new();
        for line in text.lines() {
            let heading = line.trim_start_matches('#');
            let number = if heading.len() < line.len() {
                Some(section(heading.trim_start()))
            } else {
                line.strip_prefix("- **").map(section)
            };
            match number {
                Some((number, _)) if !number.is_empty() => {
                    sections.push((number.to_owned(), String::new()));
                }
                _ => {}
            }
            if let Some((_, body)) = sections.last_mut() {
                body.push_str(line);
                body.push('\n');
            }
        }
        Self { text, sections }
    }

    /// All numbers in the order of the sheet, in a form that sorts.
    pub(crate) fn numbers(&self) -> Vec<(u32, u32, String)> {
        let numbers = self.sections.iter().map(|(number, _)| {
            let (major, minor) = number.split_once('.').unwrap_or((number, "0"));
            let letter = minor.trim_start_matches(|c: char| c.is_ascii_digit());
            let minor = &minor[..minor.len() - letter.len()];
            let number = |text: &str| text.parse().expect("a number of a section");
            (number(major), number(minor), letter.to_owned())
        });
        numbers.collect()
    }

    /// Whether the sheet has this place.
    pub(crate) fn has(&self, cited: &Cited) -> bool {
        let by_number: BTreeMap<&str, &str> =
            self.sections.iter().map(|(number, body)| (number.as_str(), body.as_str())).collect();
        match cited {
            Cited::Section(section) => by_number.contains_key(section.as_str()),
            Cited::Mark { section, mark } => by_number.get(section.as_str()).is_some_and(|body| {
                match mark.strip_prefix("step ") {
                    Some(step) => body.contains(&format!("\n{step}. ")),
                    None if mark.starts_with('(') => body.contains(mark.as_str()),
                    None => {
                        body.contains(&format!("**{mark}**")) || body.contains(&format!("({mark})"))
                    }
                }
            }),
            Cited::Anywhere(mark) if mark.starts_with("H-") => {
                self.text.contains(&format!("**Hazard {mark}"))
            }
            Cited::Anywhere(mark) => self.text.contains(&format!("\n| {mark} | ")),
        }
    }
}

/// The places that `text` cites: what follows the word `facts`, in prose and comments, or in a
/// scenario's `facts "..."`.
pub(crate) fn citations(text: &str) -> Vec<Cited> {
    // A citation may be broken over lines of a comment.
    let lines = text.lines().map(|line| line.trim_start().trim_start_matches(['/', '!', '#']));
    let text = lines.map(str::trim).collect::<Vec<_>>().join(" ");
    let mut found = Vec::new();
    for (at, word) in text.match_indices("facts ") {
        if !text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            let rest = &text[at + word.len()..];
            cited_at(rest.strip_prefix('"').unwrap_or(rest), &mut found);
        }
    }
    found
}

/// Reads a list such as `1.1 H-B, 2.2 to 2.6 and T1` from the beginning of `text`.
fn cited_at(mut text: &str, found: &mut Vec<Cited>) {
    let mut current: Option<String> = None;
    loop {
        let (number, rest) = section(text);
        if !number.is_empty() {
            found.push(Cited::Section(number.to_owned()));
            current = Some(number.to_owned());
            text = rest;
        } else if let Some((mark, rest)) = mark(text) {
            let anywhere = mark.starts_with(['H', 'T']);
            match &current {
                _ if anywhere => found.push(Cited::Anywhere(mark.to_owned())),
                Some(section) => {
                    found.push(Cited::Mark { section: section.clone(), mark: mark.to_owned() });
                }
                None => return,
            }
            text = rest;
        } else {
            return;
        }
        let separators = [", ", " to ", " and ", "-", " "];
        let Some(rest) = separators.iter().find_map(|separator| text.strip_prefix(separator))
        else {
            return;
        };
        text = rest;
    }
}

/// The number of a section at the beginning of `text`, which may be empty, and the rest.
fn section(text: &str) -> (&str, &str) {
    let major = digits(text);
    let minor = text[major..].strip_prefix('.').map_or(0, digits);
    let mut end = major;
    if major > 0 && minor > 0 {
        end += 1 + minor;
        let letter = text[end..].starts_with(|c: char| c.is_ascii_lowercase());
        let word = text[end..].chars().nth(1).is_some_and(char::is_alphanumeric);
        end += usize::from(letter && !word);
    }
    text.split_at(end)
}

/// A mark at the beginning of `text`, and the rest.
fn mark(text: &str) -> Option<(&str, &str)> {
    let length = if let Some(step) = text.strip_prefix("step ") {
        Some("step ".len() + digits(step)).filter(|&length| length > "step ".len())
    } else if let Some(letter) = text.strip_prefix('(') {
        let one = letter.starts_with(|c: char| c.is_ascii_lowercase());
        (one && letter[1..].starts_with(')')).then_some(3)
    } else if let Some(hazard) = text.strip_prefix("H-") {
        hazard.starts_with(|c: char| c.is_ascii_uppercase()).then_some(3)
    } else if text.starts_with(['A', 'B', 'I', 'T']) {
        Some(1 + digits(&text[1..])).filter(|&length| length > 1)
    } else {
        None
    };
    length.map(|length| text.split_at(length))
}

/// How many digits `text` begins with.
fn digits(text: &str) -> usize {
    text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len()
}
