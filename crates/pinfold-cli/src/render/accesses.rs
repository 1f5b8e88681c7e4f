//! The shared accesses of an execution: one line each, in the order in which they took effect.

use super::text::{clean, fold, pad, pad_left, width};
use super::{Look, Tone};
use pinfold_lab::report::{AccessRow, Report};

/// Draws the accesses that a report lists, whatever space they take: they were requested.
pub(super) fn section(report: &Report, look: &Look) -> Vec<String> {
    let rows = &report.accesses;
    let widest = |text: fn(&AccessRow) -> &str| rows.iter().map(|row| width(text(row))).max();
    let (Some(lane), Some(kind)) = (widest(|row| &row.lane), widest(|row| &row.kind)) else {
        return Vec::new();
    };
    let step = width(&rows.len().to_string());
    let front = step + lane + kind + 6;
    let mut lines = vec![look.paint(Tone::Head, "accesses")];
    for row in rows {
        let number = pad_left(&row.step.to_string(), step);
        let (lane, kind) = (pad(&row.lane, lane), pad(&row.kind, kind));
        let text = format!("  {number}  {lane}  {kind}  {}", what(row));
        lines.extend(fold(&clean(&text, look), look.width, front + 2));
    }
    lines
}

/// The cell and what happened to it.
fn what(row: &AccessRow) -> String {
    let mut text = row.cell.clone();
    if let Some(before) = &row.before {
        text += if text.is_empty() { "" } else { ": " };
        text += before;
    }
    if let Some(after) = &row.after {
        text += &format!(" -> {after}");
    }
    if row.behind > 0 {
        text += &format!("  ({} behind the latest)", row.behind);
    }
    text
}
