//! What the short words of a picture's state column mean, for those that it shows.

use super::text::{clean, fold};
use super::{Look, Tone};
use pinfold_lab::report::Row;

/// Columns of the word in front.
const WORD: usize = 7;
/// What migration entries remember, each with its word.
const MOVES: [(&str, &str); 3] = [
    ("migration-w", "write"),
    ("migration-r", "read"),
    ("migration-rx", "read of an exclusive page"),
];
/// References that a pin counts.
const PIN: u64 = 1024;

/// Beside what a key stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Beside {
    /// The state column.
    States,
    /// Sentences, which say "exclusive".
    Sentences,
}

/// The lines under a picture of these rows; none if they show no such word.
pub(super) fn draw<'a>(
    rows: impl Iterator<Item = &'a Row>,
    beside: Beside,
    look: &Look,
) -> Vec<String> {
    let rows: Vec<&Row> = rows.collect();
    let states: Vec<&str> = rows.iter().filter_map(|row| row.state.as_deref()).collect();
    let mut meanings: Vec<String> = Vec::new();
    // As many ordinary references are no pin.
    let pins = rows.iter().any(|row| row.text.split(' ').any(|word| word == "pin"));
    let many = states.iter().flat_map(|state| refs(state)).find(|refs| *refs >= PIN);
    if let Some(refs) = many.filter(|_| pins) {
        meanings.push(format!("ref {refs}: a pin counts {PIN} references"));
    }
    let shows =
        |word: &str| states.iter().any(|state| state.split([' ', ';']).any(|part| part == word));
    if beside == Beside::States && shows("excl") {
        meanings.push("excl: the page is its owner's alone (PageAnonExclusive)".to_owned());
    }
    if shows("hint") || shows("hint+w") {
        meanings.push(
            "hint: PROT_NONE for NUMA balancing, until the next access; +w: it keeps the write bit"
                .to_owned(),
        );
    }
    let moves = MOVES.iter().filter(|(word, _)| shows(word));
    let (words, kinds): (Vec<&str>, Vec<&str>) = moves.copied().unzip();
    if !words.is_empty() {
        let (words, kinds) = (words.join(", "), kinds.join(", or "));
        meanings.push(format!("{words}: the page is on the move, and its entry remembers {kinds}"));
    }
    if shows("protnone") {
        meanings.push("protnone: mapped, without access for anybody".to_owned());
    }
    let text = clean(&meanings.join("; "), look);
    if text.is_empty() {
        return Vec::new();
    }
    let lines = fold(&text, look.width - WORD, 0);
    let front = |at: usize| if at == 0 { "   key " } else { "       " };
    let painted = lines.iter().enumerate();
    painted.map(|(at, line)| format!("{}{}", front(at), look.paint(Tone::Faint, line))).collect()
}

/// The reference counts that a state shows.
fn refs(state: &str) -> impl Iterator<Item = u64> {
    let words: Vec<&str> = state.split(' ').collect();
    let counts = words.windows(2).filter(|pair| pair[0] == "ref");
    let counts: Vec<u64> = counts.filter_map(|pair| pair[1].parse().ok()).collect();
    counts.into_iter()
}
