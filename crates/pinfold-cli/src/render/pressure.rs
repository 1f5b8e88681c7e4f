//! What pressure has come to: one table of operations, and the accounts below it.

use super::text::{clean, counted, fold, pad, pad_left, thousands};
use super::{Look, Tone};
use pinfold_lab::pressure::{FrameRow, OperationRow, PressureReport, Wrong};
use pinfold_lab::report::Verdict;

/// Columns of the words in front of a line.
const LABEL: usize = 12;
/// Columns of an operation's name, and of a figure behind it.
const NAME: usize = 30;
const FIGURE: usize = 13;

/// The report as text.
pub(crate) fn draw(report: &PressureReport, look: &Look) -> String {
    let mut lines = Vec::new();
    head(report, look, &mut lines);
    lines.push(String::new());
    table(&report.operations, look, &mut lines);
    lines.push(String::new());
    accounts(report, look, &mut lines);
    lines.join("\n") + "\n"
}

fn head(report: &PressureReport, look: &Look, lines: &mut Vec<String>) {
    let said = format!(
        "pressure under {}, seed {}: {:.1} s, {}",
        report.rules,
        report.seed,
        report.seconds,
        counted(u64::from(report.threads), "thread", "threads")
    );
    headed(report.verdict, &said, look, lines);
    let frames = report.frames.all;
    let machine = format!(
        "{} of {} pages each on {} frames",
        counted(u64::from(report.processes), "process", "processes"),
        thousands(report.pages),
        thousands(frames)
    );
    labelled("machine", &machine, look, lines);
    let fails = report
        .swap
        .fail_every
        .map_or_else(String::new, |every| format!("; of {} transfers one fails", thousands(every)));
    let swap = format!(
        "{} slots in {}, at most {} in use{fails}",
        thousands(report.swap.slots),
        report.swap.medium,
        thousands(report.swap.most_in_use)
    );
    labelled("swap", &swap, look, lines);
    report.reasons.iter().for_each(|reason| labelled("but", reason, look, lines));
    report.wrong.iter().for_each(|wrong| labelled("wrong", &told(wrong), look, lines));
}

/// The first line of a report.
pub(super) fn headed(verdict: Verdict, said: &str, look: &Look, lines: &mut Vec<String>) {
    let (tone, word) = match verdict {
        Verdict::Pass => (Tone::Good, "PASS"),
        Verdict::Fail => (Tone::Bad, "FAIL"),
        Verdict::Partial => (Tone::Doubt, "PARTIAL"),
        Verdict::Skip => (Tone::Doubt, "SKIP"),
        Verdict::Error => (Tone::Bad, "ERROR"),
    };
    marked((word, tone), said, look, lines);
}

fn told(wrong: &Wrong) -> String {
    let Wrong { writer, operation, page, found: [first, last], wanted } = wrong;
    format!("page {page}, {operation}: {first} and {last}, and the {writer} wrote {wanted}")
}

/// What each operation came to.
pub(super) fn table(rows: &[OperationRow], look: &Look, lines: &mut Vec<String>) {
    let cells = |name: &str, figures: [String; 5]| {
        let figures = figures.map(|figure| pad_left(&figure, FIGURE));
        format!("{}{}", pad(name, NAME), figures.concat())
    };
    let titles = ["done", "each second", "refused", "failed", "longest"].map(str::to_owned);
    lines.push(look.paint(Tone::Head, &cells("operation", titles)));
    for row in rows {
        let figures = [
            thousands(row.done),
            thousands(row.each_second.round() as u64),
            thousands(row.refused),
            thousands(row.failed),
            format!("{:.1} ms", row.longest_ms),
        ];
        lines.push(cells(row.operation, figures));
    }
}

fn accounts(report: &PressureReport, look: &Look, lines: &mut Vec<String>) {
    let (counted, swap) = (&report.counted, &report.swap);
    let each = |rate: f64| thousands(rate.round() as u64);
    let checked = format!(
        "{} words held against what their writer wrote, {} wrong",
        thousands(report.checked),
        thousands(report.wrongs)
    );
    labelled("words", &checked, look, lines);
    let moved = format!(
        "{} out ({} a second), {} in ({}); {} looked at and {} freed",
        thousands(counted.pswpout),
        each(swap.written_each_second),
        thousands(counted.pswpin),
        each(swap.read_each_second),
        thousands(counted.pgscan_anon),
        thousands(counted.pgsteal_anon)
    );
    labelled("pages", &moved, look, lines);
    let filed = format!(
        "of files: {} looked at and {} freed, {} of which were read again ({} so soon that they are \
         in use, {} were so before); {} were to be written back first",
        thousands(counted.pgscan_file),
        thousands(counted.pgsteal_file),
        thousands(counted.workingset_refault_file),
        thousands(counted.workingset_activate_file),
        thousands(counted.workingset_restore_file),
        thousands(counted.nr_vmscan_immediate_reclaim)
    );
    labelled("", &filed, look, lines);
    let zeros = format!(
        "{} of zeros went out without being written, {} came back without being read",
        thousands(counted.swpout_zero),
        thousands(counted.swpin_zero)
    );
    labelled("", &zeros, look, lines);
    let ahead = format!(
        "{} read beside others, {} of them wanted since",
        thousands(counted.swap_ra),
        thousands(counted.swap_ra_hit)
    );
    labelled("", &ahead, look, lines);
    let reclaimed = format!(
        "{} freed by {} operations that found no frame, {} in the background; {} found in use",
        thousands(counted.pgsteal_direct),
        thousands(counted.allocstall),
        thousands(counted.pgsteal_kswapd),
        thousands(counted.pgactivate)
    );
    labelled("", &reclaimed, look, lines);
    let refaulted = format!(
        "{} came back after reclaim, {} of them so soon that they are in use ({} were so before)",
        thousands(counted.workingset_refault_anon),
        thousands(counted.workingset_activate_anon),
        thousands(counted.workingset_restore_anon)
    );
    labelled("", &refaulted, look, lines);
    let copied = format!(
        "{} migrated and {} not; {} copied by forks and {} by writes; {} faults",
        thousands(counted.pgmigrate_success),
        thousands(counted.pgmigrate_fail),
        thousands(counted.fork_copy),
        thousands(counted.cow_copy),
        thousands(counted.pgfault)
    );
    labelled("", &copied, look, lines);
    let transfers = &swap.transfers;
    let device = format!(
        "{} reads and {} writes failed on purpose, {} by themselves",
        thousands(transfers.reads_failed),
        thousands(transfers.writes_failed),
        thousands(transfers.broke)
    );
    labelled("device", &device, look, lines);
    left((&report.frames, swap.in_use_at_end), look, lines);
    zones(report, look, lines);
}

/// Each zone, and what was passed over for another.
fn zones(report: &PressureReport, look: &Look, lines: &mut Vec<String>) {
    for (at, zone) in report.zones.iter().enumerate() {
        let label = if at == 0 { "zones" } else { "" };
        let told = format!(
            "node {} {}: {} frames, marks {}, {} and {}, keeps {} and {}; {} free at the start, \
             {} at the end",
            zone.node,
            zone.zone,
            thousands(zone.managed),
            thousands(zone.min),
            thousands(zone.low),
            thousands(zone.high),
            thousands(zone.reserve_any),
            thousands(zone.reserve_movable),
            thousands(zone.free_at_start),
            at_end(zone.free_at_end)
        );
        labelled(label, &told, look, lines);
    }
    let counted = &report.counted;
    if counted.allocstall_dma32 > 0 {
        let told = format!(
            "{} operations reclaimed below 4 GiB; {} pages above were passed over",
            thousands(counted.allocstall_dma32),
            thousands(counted.pgskip_normal)
        );
        labelled("", &told, look, lines);
    }
}

/// What there was at the start, and what is left at the end.
pub(super) fn left(
    (frames, slots): (&FrameRow, Option<u64>),
    look: &Look,
    lines: &mut Vec<String>,
) {
    let told = format!(
        "{} free at the start, {} at the end; slots in use at the end: {}",
        thousands(frames.free_at_start),
        at_end(frames.free_at_end),
        at_end(slots)
    );
    labelled("frames", &told, look, lines);
}

/// What is left at the end, if that was reached.
fn at_end(end: Option<u64>) -> String {
    end.map_or_else(|| "not reached".to_owned(), thousands)
}

pub(super) fn labelled(label: &str, text: &str, look: &Look, lines: &mut Vec<String>) {
    marked((label, Tone::Faint), text, look, lines);
}

/// A text behind a word, in as many lines as it takes.
pub(super) fn marked((word, tone): (&str, Tone), text: &str, look: &Look, lines: &mut Vec<String>) {
    let room = look.width.saturating_sub(LABEL).max(20);
    for (at, line) in fold(&clean(text, look), room, 0).iter().enumerate() {
        let word = if at == 0 { word } else { "" };
        let line = format!("{}{line}", look.paint(tone, &pad(word, LABEL)));
        lines.push(line.trim_end().to_owned());
    }
}
