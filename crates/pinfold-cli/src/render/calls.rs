//! What system calls take on pages: a list, or one of them in full.

use super::rules::finish;
use super::text::{fold, pad, width};
use super::{Look, Tone};
use crate::calls::{Call, Era};
use pinfold::rules::Release;

/// Columns of the word in front of a part.
const LABEL: usize = 11;

/// Every call: what it takes today, and the words for it.
pub(crate) fn list(look: &Look) -> String {
    let mut lines = vec![look.paint(Tone::Head, "what takes references on a process's pages")];
    let name = Call::ALL.iter().map(|call| width(call.name)).max().unwrap_or(0);
    for call in Call::ALL {
        let front = format!("  {}  ", pad(call.name, name));
        let text = format!("{front}{}", call.title);
        lines.extend(fold(&text, look.width, width(&front)));
        let hold = call.eras.iter().map(brief).collect::<Vec<_>>().join(", ");
        let text = format!("{:1$}{hold}", "", width(&front));
        lines.extend(fold(&text, look.width, width(&front)));
    }
    lines.push(String::new());
    let more = "`pinfold calls NAME` has the history of one, its words, and what is safe with fork";
    lines.extend(fold(more, look.width, 0));
    finish(&lines)
}

/// What an era has, in a word and its release.
fn brief(era: &Era) -> String {
    match era.from.parse::<Release>() {
        Ok(Release::OLDEST) => era.hold.name().to_owned(),
        _ => format!("{} from {}", era.hold.name(), era.from),
    }
}

/// One call.
pub(crate) fn one(call: &Call, look: &Look) -> String {
    let mut lines = vec![look.paint(Tone::Head, call.title), String::new()];
    for (at, era) in call.eras.iter().enumerate() {
        let label = if at == 0 { "takes" } else { "" };
        let text =
            format!("{}: {}, {} ({})", releases(call.eras, at), era.hold.name(), era.how, era.mark);
        part(&mut lines, label, &text, look);
    }
    for (at, words) in call.words.iter().enumerate() {
        part(&mut lines, if at == 0 { "words" } else { "" }, words, look);
    }
    part(&mut lines, "with fork", call.fork, look);
    for (at, name) in call.scenarios.iter().enumerate() {
        let label = if at == 0 { "shown by" } else { "" };
        part(&mut lines, label, &format!("pinfold matrix {name}"), look);
    }
    part(&mut lines, "facts", call.facts, look);
    finish(&lines)
}

/// The releases of one era: `3.1 to 6.4`, `6.5 on`.
pub(crate) fn releases(eras: &[Era], at: usize) -> String {
    let from = eras[at].from;
    let Some(next) = eras.get(at + 1) else { return format!("{from} on") };
    let next = next.from.parse::<Release>().ok();
    let last = Release::all().take_while(|release| Some(*release) < next).last();
    last.map_or_else(|| format!("{from} on"), |last| format!("{from} to {last}"))
}

/// A part with its label in front.
fn part(lines: &mut Vec<String>, label: &str, text: &str, look: &Look) {
    let mut front = pad(label, LABEL);
    if !label.is_empty() {
        front = front.replacen(label, &look.paint(Tone::Head, label), 1);
    }
    for line in fold(text, look.width - LABEL, 0) {
        lines.push(format!("{}{line}", std::mem::replace(&mut front, " ".repeat(LABEL))));
    }
}
