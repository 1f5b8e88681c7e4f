//! What a soak has come to: what was found first and why, one table of operations, and the
//! accounts below it.

use super::pressure::{headed, labelled, left, marked, table};
use super::text::{counted, thousands};
use super::{Look, Tone};
use pinfold_lab::soak::{Apart, Corruption, Held, Mapped, Moves, SoakReport, Told};

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
        "{} of {} each, {threads}, and {} on {} with {} frames",
        counted(u64::from(report.processes), "process", "processes"),
        counted(u64::from(report.threads), "thread", "threads"),
        counted(u64::from(report.devices), "device", "devices"),
        counted(u64::from(report.nodes), "node", "nodes"),
        thousands(report.frames.all)
    );
    labelled("machine", &machine, look, lines);
    if !report.without.is_empty() {
        labelled("without", &report.without.join(", "), look, lines);
    }
    let mut label = "apart";
    for Apart { load, harm, rule, scenario } in &report.apart {
        let shown = scenario.map_or_else(String::new, |name| format!("; scenario {name}"));
        let said = format!("{load}: {harm} (rule {rule}{shown})");
        labelled(label, &said, look, lines);
        label = "";
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
    marked(("WHERE", Tone::Head), &whereabouts(first), look, lines);
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

/// Which frame the device has, and since when, and which the process.
fn whereabouts(first: &Corruption) -> String {
    let Corruption { device, process, at, .. } = first;
    let named = |frame: &Option<u64>| frame.map_or_else(|| "no frame".into(), |f| format!("f{f}"));
    let mut said = format!("device {device} has {}", named(&first.device_frame));
    if let Some(Held { node, at_ms, by }) = &first.pinned {
        said += &format!(" of node {node}, pinned at {at_ms:.3} ms by {by}");
    }
    said += &format!("; process {process} has {} at {at}", named(&first.owner_frame));
    if let Some(Mapped { node, writable }) = first.mapped {
        let entry = if writable { "writable" } else { "read-only" };
        said += &format!(", of node {node} and {entry}");
    }
    said
}

/// The counters of NUMA balancing and of migration, as /proc/vmstat names them.
fn vmstat(moves: &Moves) -> String {
    let named = [
        ("numa_pte_updates", moves.numa_pte_updates),
        ("numa_huge_pte_updates", moves.numa_huge_pte_updates),
        ("numa_hint_faults", moves.numa_hint_faults),
        ("numa_hint_faults_local", moves.numa_hint_faults_local),
        ("numa_pages_migrated", moves.numa_pages_migrated),
        ("pgmigrate_success", moves.pgmigrate_success),
        ("pgmigrate_fail", moves.pgmigrate_fail),
    ];
    let each = named.map(|(name, count)| format!("{name} {}", thousands(count)));
    format!("{} (no pgpromote_*: all memory is of one tier)", each.join(", "))
}

fn accounts(report: &SoakReport, look: &Look, lines: &mut Vec<String>) {
    let moves = &report.counted;
    let each = |rate: f64| thousands(rate.round() as u64);
    let checked = format!(
        "{} read by devices; {} held against what was written, {} wrong",
        thousands(report.buffers_checked),
        counted(report.pages_checked, "page", "pages"),
        thousands(report.corruptions)
    );
    labelled("buffers", &checked, look, lines);
    let balanced = format!(
        "{} migrations and {} hint faults a second",
        each(report.migrations_each_second),
        each(report.hint_faults_each_second)
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
    labelled("vmstat", &vmstat(moves), look, lines);
    left((&report.frames, report.slots_at_end), look, lines);
}
