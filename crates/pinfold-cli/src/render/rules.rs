//! Rule sets and switches, in words.

use super::text::{flow, fold, pad, width};
use super::{Detail, Look, Tone};
use crate::rulesets::RuleSet;
use pinfold::Rules;
use pinfold::rules::{Distribution, PRESETS, Release, Series, Status, SwitchInfo, VariantInfo};

/// How far texts are indented under what they explain.
const INDENT: usize = 4;

/// All rule sets and switches, briefly.
pub(crate) fn overview(look: &Look) -> String {
    let presets: Vec<String> = PRESETS.iter().map(|&preset| preset.to_owned()).collect();
    let mut lines = labelled("presets", &flow(&presets, " ", look.width - LABEL), look);
    let range = format!(
        "and every other mainline release from {} to {}; `,switch=variant` overrides",
        Release::OLDEST,
        Release::NEWEST
    );
    lines.extend(labelled("", &fold(&range, look.width - LABEL, 0), look));
    let series = Series::ALL.iter().map(|series| series.name.to_owned());
    let kernels: Vec<String> =
        series.chain(Distribution::ALL.iter().map(|known| known.name.to_owned())).collect();
    lines.extend(labelled("kernels", &flow(&kernels, " ", look.width - LABEL), look));
    let more = "and every point release, and what `uname -r` prints: 5.15.133, 6.1.0-18-amd64";
    lines.extend(labelled("", &fold(more, look.width - LABEL, 0), look));
    lines.push(String::new());
    lines.push(look.paint(Tone::Head, "switches, their variants, and since when"));
    let widest = Rules::switches().map(|switch| width(switch.name)).max().unwrap_or(0);
    for switch in Rules::switches() {
        let variants: Vec<String> = switch.variants.iter().map(brief).collect();
        let hang = widest + 2;
        let lines_of = flow(&variants, " | ", look.width - hang);
        for (position, line) in lines_of.iter().enumerate() {
            let name = if position == 0 { switch.name } else { "" };
            lines.push(format!("{}{line}", pad(name, hang)));
        }
        if look.detail == Detail::All {
            lines.extend(indented(switch.doc, look));
        }
    }
    lines.push(String::new());
    lines.extend(fold(
        "`pinfold rules SWITCH` explains one, `pinfold rules SET` shows a set, `pinfold rules SET \
         SET` compares two",
        look.width,
        0,
    ));
    finish(&lines)
}

/// One switch and all its variants.
pub(crate) fn switch(switch: &SwitchInfo, look: &Look) -> String {
    let mut lines = vec![look.paint(Tone::Head, switch.name)];
    lines.extend(indented(switch.doc, look));
    for variant in switch.variants {
        lines.push(String::new());
        lines.push(titled(switch, variant, look));
        lines.extend(indented(variant.doc, look));
    }
    finish(&lines)
}

/// One rule set: the variant in force of each switch.
pub(crate) fn set(set: &RuleSet, look: &Look) -> String {
    let mut lines = vec![format!("{} {}", look.paint(Tone::Head, "rules"), set.rules)];
    let rows: Vec<(&SwitchInfo, &VariantInfo)> = Rules::switches()
        .filter_map(|switch| Some((switch, in_force(switch, &set.rules)?)))
        .collect();
    let name = rows.iter().map(|(switch, _)| width(switch.name)).max().unwrap_or(0);
    let variant = rows.iter().map(|(_, variant)| width(variant.name)).max().unwrap_or(0);
    for (switch, chosen) in rows {
        let since = since(chosen);
        lines.push(format!("  {}  {}  {since}", pad(switch.name, name), pad(chosen.name, variant)));
        if look.detail == Detail::All {
            lines.extend(indented(chosen.doc, look));
        }
    }
    if look.detail == Detail::Screen {
        lines
            .push(look.paint(Tone::Faint, "-v explains each; `pinfold rules SWITCH` explains one"));
    }
    finish(&lines)
}

/// What differs between two rule sets.
pub(crate) fn difference(left: &RuleSet, right: &RuleSet, look: &Look) -> String {
    let differences: Vec<_> = left.rules.diff(&right.rules).collect();
    let (from, to) = (left.rules.to_string(), right.rules.to_string());
    if differences.is_empty() {
        return format!("{from} and {to} do not differ\n");
    }
    let mut lines = vec![look.paint(Tone::Head, &format!("from {from} to {to}"))];
    let name = differences.iter().map(|one| width(one.switch.name)).max().unwrap_or(0);
    let before = differences.iter().map(|one| width(one.left.name)).max().unwrap_or(0);
    for one in &differences {
        let switch = pad(one.switch.name, name);
        lines.push(format!("  {switch}  {} -> {}", pad(one.left.name, before), one.right.name));
        if look.detail == Detail::All {
            for variant in [one.left, one.right] {
                lines.push(String::new());
                lines.push(format!("{:INDENT$}{}", "", titled(one.switch, variant, look)));
                lines.extend(indented(variant.doc, look));
            }
            lines.push(String::new());
        }
    }
    if look.detail == Detail::Screen {
        lines
            .push(look.paint(Tone::Faint, "-v explains each; `pinfold rules SWITCH` explains one"));
    }
    finish(&lines)
}

fn in_force(switch: &'static SwitchInfo, rules: &Rules) -> Option<&'static VariantInfo> {
    // Every switch that is listed can be asked for.
    let name = rules.get(switch.name).ok()?;
    switch.variants.iter().find(|variant| variant.name == name)
}

/// A variant and its first release.
fn brief(variant: &VariantInfo) -> String {
    match (variant.status, variant.since) {
        (Status::NeverReleased, _) => format!("{} (never)", variant.name),
        (Status::Released, "the beginning") => variant.name.to_owned(),
        (Status::Released, since) => {
            let since = since.strip_prefix("the beginning and ").unwrap_or(since);
            format!("{} {since}", variant.name)
        }
    }
}

pub(super) fn since(variant: &VariantInfo) -> String {
    match variant.status {
        Status::Released => format!("since {}", variant.since),
        Status::NeverReleased => "never released".to_owned(),
    }
}

fn titled(switch: &SwitchInfo, variant: &VariantInfo, look: &Look) -> String {
    let title = look.paint(Tone::Head, &format!("{}={}", switch.name, variant.name));
    format!("{title}  {}", since(variant))
}

fn indented(text: &str, look: &Look) -> Vec<String> {
    let lines = fold(text, look.width - INDENT, 0);
    lines.iter().map(|line| format!("{:INDENT$}{line}", "")).collect()
}

/// Columns of the word in front of the presets.
pub(super) const LABEL: usize = 10;

/// Lines behind a word.
pub(super) fn labelled(label: &str, lines: &[String], look: &Look) -> Vec<String> {
    let mut front = format!("{}{:2$}", look.paint(Tone::Head, label), "", LABEL - width(label));
    let mut lines_of = Vec::new();
    for line in lines {
        lines_of.push(format!("{}{line}", std::mem::replace(&mut front, " ".repeat(LABEL))));
    }
    lines_of
}

/// The lines as one text.
pub(super) fn finish(lines: &[String]) -> String {
    lines.iter().flat_map(|line| [line.trim_end(), "\n"]).collect()
}
