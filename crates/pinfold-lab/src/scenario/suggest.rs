//! "Did you mean".

/// Columns of a list of candidates: with the frame around it, a line stays within 100.
const LIST_WIDTH: usize = 80;

/// The candidate nearest to `word`, if it is near enough to be what was meant.
pub(super) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let limit = (word.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, candidate)| {
            // A short candidate is "near" every short word, so some of it must actually match.
            *distance <= limit && *distance < candidate.chars().count()
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// `did you mean ...`, or else the list of possible words, if there are any.
pub(super) fn did_you_mean<'a>(
    word: &str,
    what: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    let candidates: Vec<&str> = candidates.into_iter().collect();
    if let Some(near) = nearest(word, candidates.iter().copied()) {
        return Some(format!("did you mean `{near}`?"));
    }
    if candidates.is_empty() {
        return None;
    }
    let mut list = format!("{what}:");
    let mut column = list.len();
    for (index, word) in candidates.iter().enumerate() {
        let comma = if index + 1 < candidates.len() { "," } else { "" };
        let piece = format!(" `{word}`{comma}");
        if column + piece.len() > LIST_WIDTH {
            list.push('\n');
            column = 0;
        }
        column += piece.len();
        list += &piece;
    }
    Some(list)
}

/// The number of insertions, deletions, substitutions and swaps of neighbours that lead from `a` to
/// `b`, ignoring case.
fn distance(a: &str, b: &str) -> usize {
    strsim::osa_distance(&a.to_ascii_lowercase(), &b.to_ascii_lowercase())
}
