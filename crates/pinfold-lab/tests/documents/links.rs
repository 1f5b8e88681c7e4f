//! Links and names of files in Markdown.

use super::files::{in_repository, prose, read};
use std::path::Path;

/// The targets of all links outside code blocks that stay within the repository.
pub(crate) fn targets(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let tables = text.lines().filter(|line| line.trim_start().starts_with('|'));
    for line in prose(text).map(|(_, line)| line).chain(tables) {
        let mut rest = line;
        while let Some(at) = rest.find("](") {
            rest = &rest[at + 2..];
            let Some(end) = rest.find(')') else { break };
            let target = &rest[..end];
            if !target.contains("://") && !target.starts_with("mailto:") {
                found.push(target.to_owned());
            }
        }
    }
    found
}

/// Whether `target`, in the document `from`, names a file and, after `#`, one of its headings.
pub(crate) fn resolve(from: &str, target: &str) -> Result<(), String> {
    let (path, anchor) = match target.split_once('#') {
        Some((path, anchor)) => (path, Some(anchor)),
        None => (target, None),
    };
    let name = if path.is_empty() {
        from.to_owned()
    } else {
        let directory = Path::new(from).parent().unwrap_or(Path::new(""));
        directory.join(path).to_str().expect("a path in UTF-8").to_owned()
    };
    if !in_repository(&name).exists() {
        return Err(format!("no file {name}"));
    }
    match anchor {
        Some(anchor) if !anchors(&read(&name)).iter().any(|heading| heading == anchor) => {
            Err(format!("no heading {anchor} in {name}"))
        }
        _ => Ok(()),
    }
}

/// The anchors of a document's headings, as GitHub and rustdoc form them.
fn anchors(text: &str) -> Vec<String> {
    let headings = prose(text).map(|(_, line)| line).filter(|line| line.starts_with('#'));
    let mut anchors: Vec<String> = Vec::new();
    for heading in headings {
        let title = heading.trim_start_matches('#').trim().to_lowercase();
        let base: String = title
            .chars()
            .filter(|&c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
            .map(|c| if c == ' ' { '-' } else { c })
            .collect();
        let again = anchors.iter().filter(|&anchor| *anchor == base).count();
        anchors.push(if again == 0 { base } else { format!("{base}-{again}") });
    }
    anchors
}

/// What stands between backquotes outside code blocks.
pub(crate) fn code_spans(text: &str) -> impl Iterator<Item = &str> {
    let tables = text.lines().filter(|line| line.trim_start().starts_with('|'));
    let lines = prose(text).map(|(_, line)| line).chain(tables);
    lines.flat_map(|line| line.split('`').skip(1).step_by(2))
}

/// The documents of `docs/`, and those of the root in capitals, that a text names by path.
pub(crate) fn documents_named(text: &str) -> Vec<String> {
    let path = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_' | '.');
    let words = text.split(|c| !path(c)).map(|word| word.trim_matches('.'));
    let named = words.filter_map(|word| {
        let name = word.trim_start_matches("../");
        let document = name.strip_suffix(".md")?;
        let capitals = document.chars().all(|c| c.is_ascii_uppercase());
        (name.starts_with("docs/") || capitals && !document.is_empty()).then(|| name.to_owned())
    });
    named.collect()
}
