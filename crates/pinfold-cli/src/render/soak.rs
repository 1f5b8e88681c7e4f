//! What a soak has come to: what was found first and why, one table of operations, and the
//! accounts below it.

use super::pressure::{headed, labelled, left, marked, table};
use super::text::{counted, thousands};
use super::{Look, Tone};
use pinfold_lab::soak::{Corruption, SoakReport, Told};

/// The report as text.
pub(crate) fn draw(report: &SoakReport, look: &Look) -> String {
    let mut lines = Vec::new();
    head(report, look, &mut lines);
    if let Some(first) = &report.first {
        lines.push(String::new());
        story(first, look, &mut lines);
    }
    lines.push(String::new());
    table(&report.operations, look, &mut lines);
    lines.push(String::new());
    accounts(report, look, &mut lines);
    lines.join("\n") + "\n"
}

fn head(report: &SoakReport, look: &Look, lines: &mut Vec<String>) {
    let SoakReport { rules, seed, seconds, .. } = report;
    let said = format!("soak under {rules}, seed {seed}: {seconds:.1} s");
    headed(report.verdict, &said, look, lines);
    let threads = match report.affinity {
        true => "bound to a node",
        false => "roaming",
    };
    let machine = format!(
        "{} of {} threads each, {threads}, and {} on {} with {} frames",
        counted(u64::from(report.processes), "process", "processes"),
        report.threads,
        counted(u64::from(report.devices), "device", "devices"),
        counted(u64::from(report.nodes), "node", "nodes"),
        thousands(report.frames.all)
    );
    labelled("machine", &machine, look, lines);
    if !report.without.is_empty() {
        labelled("without", &report.without.join(", "), look, lines);
    }
    report.reasons.iter().for_each(|reason| labelled("but", reason, look, lines));
}

/// The first corruption.
fn story(first: &Corruption, look: &Look, lines: &mut Vec<String>) {
    let Corruption { found_by, process, buffer, page, write, found, wanted, .. } = first;
    let what = format!(
        "{found_by}: process {process}, buffer {buffer}, page {page}, after write {write}: found \
         {found}; wanted {wanted}"
    );
    marked(("WHAT", Tone::Head), &what, look, lines);
    let mut head = "WHY";
    for Told { at_ms, thread, node, what, rule } in &first.events {
        let rule = rule.as_ref().map_or_else(String::new, |rule| format!(" (rule {rule})"));
        let told = format!("{at_ms:.3} ms, {thread} on node {node}: {what}{rule}");
        marked((head, Tone::Head), &told, look, lines);
        head = "";
    }
    if let Some(outcome) = &first.outcome {
        marked((head, Tone::Head), outcome, look, lines);
    }
}

fn accounts(report: &SoakReport, look: &Look, lines: &mut Vec<String>) {
    let moves = &report.counted;
    let each = |rate: f64| thousands(rate.round() as u64);
    let checked = format!(
        "{} read by devices; {} pages held against what was written, {} wrong",
        thousands(report.buffers_checked),
        thousands(report.pages_checked),
        thousands(report.corruptions)
    );
    labelled("buffers", &checked, look, lines);
    let balanced = format!(
        "{} migrations a second ({} in all, {} failed); {} hint faults a second ({} in all, {} \
         local), which moved {}",
        each(report.migrations_each_second),
        thousands(moves.pgmigrate_success),
        thousands(moves.pgmigrate_fail),
        each(report.hint_faults_each_second),
        thousands(moves.numa_hint_faults),
        thousands(moves.numa_hint_faults_local),
        thousands(moves.numa_pages_migrated)
    );
    labelled("pages", &balanced, look, lines);
    let others = format!(
        "{} out and {} in; {} merged; {} copied by forks and {} by writes; {} faults",
        thousands(moves.pswpout),
        thousands(moves.pswpin),
        thousands(moves.merged),
        thousands(moves.fork_copy),
        thousands(moves.cow_copy),
        thousands(moves.pgfault)
    );
    labelled("", &others, look, lines);
    left((&report.frames, report.slots_at_end), look, lines);
}
