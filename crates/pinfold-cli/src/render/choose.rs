//! Which rows of a picture are shown where there is no room for all of them.

use super::lanes::{DrawnRow, Rank};

/// Lines that a row which the explanation cites may take in any case.
const TALLEST: usize = 8;
/// What stands for rows that are not shown.
const GAP: &str = "       ...";

/// The rows that were chosen.
#[derive(Debug)]
pub(super) struct Chosen {
    /// Their lines, with dots at the gaps.
    pub(super) lines: Vec<String>,
    /// How many lines are not shown.
    pub(super) hidden: usize,
    /// Which rows are shown.
    pub(super) shown: Vec<bool>,
}

/// Chooses rows that fit in `room`. Rows that the explanation cites are always shown; of the others
/// the set-up goes first, then notes, then steps, each from the top: the end of an execution says
/// most.
pub(super) fn choose(mut rows: Vec<DrawnRow>, room: usize) -> Chosen {
    let total: usize = rows.iter().map(|row| row.lines.len()).sum();
    if total > room {
        // No row alone may take the whole picture.
        for row in &mut rows {
            let least = if row.rank == Rank::Cited { TALLEST } else { 1 };
            row.lines.truncate((room / 2).max(least));
        }
    }
    let mut shown = vec![true; rows.len()];
    let mut order: Vec<usize> = (0..rows.len()).filter(|&row| may_go(&rows, row)).collect();
    order.sort_by_key(|&row| (rows[row].rank, row));
    for row in order {
        if height(&rows, &shown) <= room {
            break;
        }
        shown[row] = false;
        drop_idle_switches(&rows, &mut shown);
    }
    let mut lines = Vec::new();
    let mut kept = 0;
    let mut gap = false;
    for (row, shown) in rows.into_iter().zip(&shown) {
        if !*shown {
            gap = true;
            continue;
        }
        // Another lane goes on: that says by itself that something lies between.
        if std::mem::take(&mut gap) && row.rank != Rank::Switch {
            lines.push(GAP.to_owned());
        }
        kept += row.lines.len();
        lines.extend(row.lines);
    }
    Chosen { lines, hidden: total - kept, shown }
}

/// Whether a row can be left out by itself. The last row is shown in any case: it is the end.
fn may_go(rows: &[DrawnRow], row: usize) -> bool {
    !matches!(rows[row].rank, Rank::Cited | Rank::Switch) && row + 1 < rows.len()
}

/// The lines that the shown rows take, and the gaps between them.
fn height(rows: &[DrawnRow], shown: &[bool]) -> usize {
    let mut lines = 0;
    let mut gap = false;
    for (row, shown) in rows.iter().zip(shown) {
        if *shown {
            lines += row.lines.len() + usize::from(gap && row.rank != Rank::Switch);
        }
        gap = !shown;
    }
    lines
}

/// Leaves out switches between which nothing is shown any more: the last of them says all.
fn drop_idle_switches(rows: &[DrawnRow], shown: &mut [bool]) {
    let mut last: Option<usize> = None;
    let mut content = false;
    for row in 0..rows.len() {
        if !shown[row] {
            continue;
        }
        if rows[row].rank != Rank::Switch {
            (last, content) = (None, true);
            continue;
        }
        match last {
            Some(before) => shown[before] = false,
            None if !content => shown[row] = false,
            None => {}
        }
        last = shown[row].then_some(row);
    }
}

#[cfg(test)]
mod tests {
    use super::{Chosen, DrawnRow, Rank, choose};

    fn rows(ranks: &[(Rank, &str)]) -> Vec<DrawnRow> {
        let row = |&(rank, text): &(Rank, &str)| DrawnRow { lines: vec![text.to_owned()], rank };
        ranks.iter().map(row).collect()
    }

    #[test]
    fn what_is_cited_stays_and_the_set_up_goes_first() {
        let all = [
            (Rank::Setup, "map"),
            (Rank::Cited, "pin"),
            (Rank::Note, "taken"),
            (Rank::Step, "read"),
            (Rank::Switch, "~"),
            (Rank::Cited, "write"),
            (Rank::Note, "copied"),
        ];
        let Chosen { lines, hidden, .. } = choose(rows(&all), 10);
        assert_eq!((lines.len(), hidden), (7, 0));
        let Chosen { lines, hidden, .. } = choose(rows(&all), 7);
        assert_eq!((lines.len(), hidden), (7, 0));
        let Chosen { lines, hidden, .. } = choose(rows(&all), 6);
        assert_eq!(lines, ["       ...", "pin", "~", "write", "copied"]);
        assert_eq!(hidden, 3);
        let Chosen { lines, hidden, .. } = choose(rows(&all), 0);
        assert_eq!(lines, ["       ...", "pin", "~", "write", "copied"]);
        assert_eq!(hidden, 3);
    }

    #[test]
    fn switches_with_nothing_between_them_are_one() {
        let all = [
            (Rank::Cited, "a"),
            (Rank::Switch, "~ 1 ~"),
            (Rank::Note, "b"),
            (Rank::Switch, "~ 2 ~"),
            (Rank::Cited, "c"),
        ];
        let Chosen { lines, .. } = choose(rows(&all), 1);
        assert_eq!(lines, ["a", "~ 2 ~", "c"]);
    }
}
