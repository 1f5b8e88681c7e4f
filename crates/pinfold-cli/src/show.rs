//! Names and texts of others, made safe to show: no control character of a file's name or of a
//! word on the command line reaches the terminal, and nothing is longer than a few lines.

use std::ffi::OsStr;
use std::fmt::Write;

/// The most characters of a word that are shown.
const MOST: usize = 200;
/// The most bytes of a path that can lead to a file anywhere; a longer one is shown like a word.
const MOST_PATH: usize = 4_096;
/// How a word begins that is written as a shell reads escapes.
const ESCAPED: &str = "$'";

/// A path as shown to people: as it is, or, where it has control characters or is not UTF-8, as a
/// word that a shell reads back: `$'a\xff.pf'`.
pub(crate) fn path(path: impl AsRef<OsStr>) -> String {
    let path = path.as_ref();
    if path.len() > MOST_PATH {
        return word(&path.to_string_lossy());
    }
    match path.to_str() {
        Some(plain) if !plain.contains(is_unsafe) && !plain.starts_with(ESCAPED) => {
            plain.to_owned()
        }
        _ => escaped(path.as_encoded_bytes()),
    }
}

/// A shown path quoted so that a shell reads it back.
pub(crate) fn quoted(shown: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:=,@%".contains(c);
    if shown.starts_with(ESCAPED) || (!shown.is_empty() && shown.chars().all(plain)) {
        shown.to_owned()
    } else {
        format!("'{}'", shown.replace('\'', r"'\''"))
    }
}

/// A word of the command line in a sentence: control characters escaped, and cut where it is long.
pub(crate) fn word(word: &str) -> String {
    let mut shown = String::new();
    for c in word.chars().take(MOST) {
        if is_unsafe(c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    if word.chars().nth(MOST).is_some() {
        shown.push_str("...");
    }
    shown
}

/// Whether a character moves something on a terminal: control characters, and those that change
/// the direction of what follows.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn escaped(bytes: &[u8]) -> String {
    let mut word = ESCAPED.to_owned();
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\\' | '\'' => word.extend(['\\', c]),
                c if is_unsafe(c) => {
                    let mut units = [0; 4];
                    c.encode_utf8(&mut units).bytes().for_each(|byte| hexadecimal(&mut word, byte));
                }
                c => word.push(c),
            }
        }
        chunk.invalid().iter().for_each(|&byte| hexadecimal(&mut word, byte));
    }
    word.push('\'');
    word
}

fn hexadecimal(word: &mut String, byte: u8) {
    // A string takes whatever is written to it.
    let _ = write!(word, "\\x{byte:02x}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_escaped() {
        assert_eq!(path("scenarios/a b.pf"), "scenarios/a b.pf");
        assert_eq!(path("caf\u{e9}.pf"), "caf\u{e9}.pf");
        assert_eq!(path("a\x1b[2J\n.pf"), r"$'a\x1b[2J\x0a.pf'");
        assert_eq!(path("it's\x07"), r"$'it\'s\x07'");
        assert_eq!(path("$'x'"), r"$'$\'x\''");
        assert_eq!(path("a\u{202e}b"), r"$'a\xe2\x80\xaeb'");
        assert_eq!(word("a\x1b[0m"), r"a\u{1b}[0m");
        assert_eq!(word(&"a".repeat(100_000)).len(), MOST + 3);
        assert_eq!(path("a".repeat(100_000)).len(), MOST + 3);
        assert_eq!(path("a".repeat(MOST_PATH)).len(), MOST_PATH);
    }

    #[cfg(unix)]
    #[test]
    fn what_is_no_text_is_shown_and_quoted() {
        use std::os::unix::ffi::OsStrExt;
        let shown = path(OsStr::from_bytes(b"a\xff\xfe.pf"));
        assert_eq!(shown, r"$'a\xff\xfe.pf'");
        assert_eq!(quoted(&shown), shown);
    }

    #[test]
    fn quoted_words_survive_a_shell() {
        assert_eq!(quoted("elsewhere/a.pf"), "elsewhere/a.pf");
        assert_eq!(quoted("my files/it's.pf"), r"'my files/it'\''s.pf'");
        assert_eq!(quoted(""), "''");
    }
}
