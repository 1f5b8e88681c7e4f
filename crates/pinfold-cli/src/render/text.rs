//! Text in columns: measuring, folding, padding, and numbers as people write them.

use super::{Charset, Look};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Columns that a text takes on a terminal.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// The text padded with blanks to a width.
pub(crate) fn pad(text: &str, columns: usize) -> String {
    let blanks = columns.saturating_sub(width(text));
    format!("{text}{:blanks$}", "")
}

/// The text padded with leading blanks to a width.
pub(crate) fn pad_left(text: &str, columns: usize) -> String {
    let blanks = columns.saturating_sub(width(text));
    format!("{:blanks$}{text}", "")
}

/// The text without anything that would disturb columns: control characters and characters without
/// a width of their own are shown by their numbers, as are all characters beyond ASCII where only
/// ASCII is wanted.
pub(crate) fn clean(text: &str, look: &Look) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let shown = match c {
            ' '..='~' => true,
            '\t' => {
                out.push(' ');
                continue;
            }
            _ if look.charset == Charset::Ascii => false,
            _ => c.width().is_some_and(|columns| columns > 0),
        };
        if shown { out.push(c) } else { out.extend(c.escape_unicode()) }
    }
    out
}

/// The text in lines of at most `columns`, broken at blanks where possible; every line but the
/// first starts with `hang` blanks. There is always at least one line.
pub(crate) fn fold(text: &str, columns: usize, hang: usize) -> Vec<String> {
    let columns = columns.max(2);
    let hang = hang.min(columns / 2);
    let text = text.trim_end();
    if width(text) <= columns {
        return vec![text.to_owned()];
    }
    let mut lines = Vec::new();
    let mut line = String::new();
    // Blanks between words are kept, since evidence may be set in columns; those at a break are
    // dropped.
    for word in text.split_inclusive(' ') {
        if width(&line) + width(word.trim_end()) > columns && !line.trim().is_empty() {
            lines.push(line.trim_end().to_owned());
            line = " ".repeat(hang);
        }
        for c in word.chars() {
            let taken = width(&line);
            if c == ' ' && (taken >= columns || (!lines.is_empty() && line.trim().is_empty())) {
                continue;
            }
            if taken + c.width().unwrap_or(0) > columns {
                lines.push(std::mem::replace(&mut line, " ".repeat(hang)));
            }
            line.push(c);
        }
    }
    if !line.trim().is_empty() || lines.is_empty() {
        lines.push(line.trim_end().to_owned());
    }
    lines
}

/// The items in one or more lines of at most `columns`, with `separator` between them; an item is
/// broken only if it is too long for a line by itself.
pub(crate) fn flow(items: &[String], separator: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for item in items {
        match lines.last_mut() {
            Some(line) if width(line) + width(separator) + width(item) <= columns => {
                line.push_str(separator);
                line.push_str(item);
            }
            _ => lines.extend(fold(item, columns, 2)),
        }
    }
    lines
}

/// The text cut to a width, with dots where something is missing.
pub(crate) fn cut(text: &str, columns: usize) -> String {
    const DOTS: &str = "...";
    if width(text) <= columns {
        return text.to_owned();
    }
    let room = columns.saturating_sub(DOTS.len());
    let mut out = String::new();
    for c in text.chars() {
        if width(&out) + c.width().unwrap_or(0) > room {
            break;
        }
        out.push(c);
    }
    out.truncate(out.trim_end().len());
    out + DOTS
}

/// A number with commas between thousands.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A time in its shortest form.
pub(crate) fn seconds(seconds: f64) -> String {
    match seconds {
        ..0.001 => "<1 ms".to_owned(),
        ..0.1 => format!("{:.0} ms", seconds * 1e3),
        _ => format!("{seconds:.1} s"),
    }
}

/// A number with its noun.
pub(crate) fn counted(number: u64, singular: &str, plural: &str) -> String {
    format!("{} {}", thousands(number), if number == 1 { singular } else { plural })
}

/// Cells next to each other, in as many lines as the tallest of them has, with `joint` between
/// them. Each cell is a list of lines no wider than its column.
pub(crate) fn beside(cells: &[Vec<String>], widths: &[usize], joint: &str) -> Vec<String> {
    let height = cells.iter().map(Vec::len).max().unwrap_or(0).max(1);
    let line = |line: usize| {
        let cells = cells.iter().map(|cell| cell.get(line).map_or("", String::as_str));
        let padded: Vec<String> = cells.zip(widths).map(|(cell, &at)| pad(cell, at)).collect();
        padded.join(joint)
    };
    (0..height).map(line).collect()
}
