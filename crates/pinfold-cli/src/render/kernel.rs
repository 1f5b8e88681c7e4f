//! What a real kernel did, beside what the model allows.

use super::text::{clean, counted, fold, pad, pad_left, thousands, width};
use super::{Look, Tone};
use pinfold_lab::Ends;
use pinfold_linux::{Allowed, Kernel, KernelReport, Verdict};

/// Columns of the words in front of evidence.
const LABEL: usize = 14;
/// Columns of a verdict, with the blanks behind it.
const WORD: usize = 8;
/// Columns of a scenario's name in a list.
const NAME: usize = 31;

fn tone(verdict: Verdict) -> Tone {
    match verdict {
        Verdict::Agree => Tone::Good,
        Verdict::Beyond => Tone::Bad,
        Verdict::Within | Verdict::Skip | Verdict::Error => Tone::Doubt,
    }
}

/// The verdict in its column.
fn word(report: &KernelReport, look: &Look) -> String {
    look.paint(tone(report.verdict), &pad(report.verdict.as_str(), WORD))
}

/// One report of several, in a line; what a scenario lacks takes more.
pub(crate) fn line(report: &KernelReport, look: &Look) -> String {
    let name = pad(&clean(&report.scenario, look), NAME);
    let told = match report.verdict {
        Verdict::Skip | Verdict::Error => missing(report),
        Verdict::Agree | Verdict::Within | Verdict::Beyond => seen(report),
    };
    let head = WORD + width(&name);
    let lines = fold(&clean(&told, look), look.width.saturating_sub(head).max(20), 2);
    let mut text = format!("{}{name}", word(report, look));
    for (at, line) in lines.iter().enumerate() {
        if at > 0 {
            text += &format!("\n{}", pad("", head));
        }
        text += line;
    }
    text.trim_end().to_owned() + "\n"
}

/// How often each outcome was seen.
pub(crate) fn seen(report: &KernelReport) -> String {
    let seen = report.rows.iter().map(|row| {
        let seen: u64 = row.seen.iter().sum();
        format!("{} {}", row.outcome, thousands(seen))
    });
    seen.collect::<Vec<_>>().join(" | ")
}

/// The first trial that the model forbids: how it was done, and what it came to.
pub(crate) fn forbidden(report: &KernelReport) -> Vec<String> {
    let Some(beyond) = &report.beyond else { return Vec::new() };
    let mut what = vec![format!("{}", beyond.conduct)];
    what.extend(beyond.failed.iter().cloned());
    let facts = beyond.plan.facts.iter().zip(&beyond.facts);
    what.extend(facts.map(|(look, found)| format!("{}: {}", beyond.plan.told(look), found.what)));
    what
}

/// Why a scenario was not carried out, or the first reason of several.
pub(crate) fn missing(report: &KernelReport) -> String {
    report.missing.first().map_or_else(String::new, reason)
}

fn reason(missing: &pinfold_linux::Missing) -> String {
    match missing.step.as_str() {
        "" => missing.why.clone(),
        step => format!("{step}: {}", missing.why),
    }
}

/// A report in full; `saved` is where the trial is that the model forbids.
pub(crate) fn draw(report: &KernelReport, saved: Option<&str>, look: &Look) -> String {
    let head = format!("{}  {}", report.scenario, report.path);
    let mut lines = vec![format!("{}{}", word(report, look), clean(&head, look).trim_end())];
    lines.push(format!("{}{}", pad("", WORD), report.verdict.meaning()));
    lines.push(String::new());
    lines.extend(table(report, look));
    for missing in &report.missing {
        lines.extend(labelled("", &reason(missing), look));
    }
    for (at, what) in forbidden(report).iter().enumerate() {
        lines.extend(labelled(if at == 0 { "first" } else { "" }, what, look));
    }
    let Kernel { release, rules, chosen } = &report.kernel;
    let features = &report.features;
    let sees = if features.frames_visible { "frames visible" } else { "frames not visible" };
    let kernel = format!(
        "{release} | {}, {}, {sees} | compared with {rules}, {chosen}",
        counted(features.cpus as u64, "CPU", "CPUs"),
        counted(features.nodes as u64, "node", "nodes")
    );
    lines.extend(labelled("kernel", &kernel, look));
    if report.executions > 0 {
        let model =
            format!("{} of the model", counted(report.executions, "execution", "executions"));
        lines.extend(labelled("model", &model, look));
    }
    for what in &report.not_compared {
        lines.extend(labelled("not compared", what, look));
    }
    let evidence = report.evidence.iter().map(|(name, grown)| format!("{name} +{grown}"));
    let evidence = evidence.collect::<Vec<_>>().join(", ");
    if !evidence.is_empty() {
        lines.extend(labelled("evidence", &format!("{evidence} (of the whole system)"), look));
    }
    if let Some(saved) = saved {
        lines.extend(labelled("saved", saved, look));
    }
    lines.join("\n") + "\n"
}

fn labelled(label: &str, text: &str, look: &Look) -> Vec<String> {
    let room = look.width.saturating_sub(LABEL).max(20);
    let lines = fold(&clean(text, look), room, 0);
    let head = |at: usize| {
        let label = if at == 0 { label } else { "" };
        look.paint(Tone::Faint, &pad(label, LABEL))
    };
    lines.iter().enumerate().map(|(at, line)| format!("{}{line}", head(at))).collect()
}

/// The outcomes, each with what the model says and how often it was seen.
fn table(report: &KernelReport, look: &Look) -> Vec<String> {
    const MODEL: usize = 11;
    if report.rows.is_empty() {
        return Vec::new();
    }
    let seen: Vec<usize> = report.layers.iter().map(|layer| width(&layer.name).max(13)).collect();
    let taken: usize = MODEL + seen.iter().map(|columns| columns + 2).sum::<usize>();
    let room = look.width.saturating_sub(taken + 2).max(16);
    let widest = report.rows.iter().map(|row| width(&clean(&row.outcome, look))).max().unwrap_or(0);
    let column = widest.clamp(7, room);
    let mut heads = vec![pad("outcome", column + 2), pad("model", MODEL)];
    heads.extend(
        report
            .layers
            .iter()
            .zip(&seen)
            .map(|(layer, columns)| format!("  {}", pad_left(&layer.name, *columns))),
    );
    let mut lines = vec![look.paint(Tone::Head, heads.concat().trim_end())];
    for row in &report.rows {
        let model = row.model.map_or("", Allowed::as_str);
        let counts =
            row.seen.iter().zip(&report.layers).zip(&seen).map(|((seen, layer), columns)| {
                let count = format!("{}/{}", thousands(*seen), thousands(layer.trials));
                format!("  {}", pad_left(&count, *columns))
            });
        let counts = counts.collect::<String>();
        for (at, part) in fold(&clean(&row.outcome, look), column, 2).iter().enumerate() {
            lines.push(match at {
                0 => format!("{}{}{counts}", pad(part, column + 2), pad(model, MODEL)),
                _ => part.clone(),
            });
        }
    }
    lines.push(String::new());
    lines
}

/// How many of each verdict.
pub(crate) fn total(reports: &[KernelReport], look: &Look) -> String {
    let all = [Verdict::Agree, Verdict::Within, Verdict::Beyond, Verdict::Skip, Verdict::Error];
    let counts = all.iter().filter_map(|verdict| {
        let count = reports.iter().filter(|report| report.verdict == *verdict).count();
        (count > 0).then(|| format!("{count} {verdict}"))
    });
    let counts = counts.collect::<Vec<_>>().join(", ");
    let trials: u64 = reports.iter().map(KernelReport::trials).sum();
    let kernel = reports.first().map(|report| {
        format!("kernel {}, compared with {}", report.kernel.release, report.kernel.rules)
    });
    let kernel = clean(&kernel.unwrap_or_default(), look);
    let scenarios = counted(reports.len() as u64, "scenario", "scenarios");
    let trials = counted(trials, "trial", "trials");
    format!("\n{scenarios}: {counts} | {trials} | {kernel}\n")
}

/// Every outcome of the model, for a check that went on after a failure.
pub(crate) fn outcomes(ends: &Ends, look: &Look) -> String {
    let found = ends.outcomes();
    let column = found.keys().map(|label| width(&clean(label, look))).max().unwrap_or(0).max(11);
    let head = format!("{}  {}  {}", pad("all outcomes", column), "executions", "broke something");
    let mut text = format!("\n{}\n", look.paint(Tone::Head, &head));
    for (label, met) in found {
        let label = pad(&clean(label, look), column + 1);
        let (all, broke) = (thousands(met.executions), thousands(met.found));
        text += &format!("{label} {}  {}\n", pad_left(&all, 11), pad_left(&broke, 15));
    }
    for finding in &ends.findings {
        let told = format!("found {}: {}", finding.oracle, finding.what);
        text += &format!("{}\n", clean(&told, look));
    }
    if let Some(why) = &ends.incomplete {
        text += &format!("not all of them: {}\n", clean(why, look));
    }
    text
}
