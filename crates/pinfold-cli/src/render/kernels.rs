//! What a kernel's name is taken for, and what is known of its rules: one screen.

use super::rules::{LABEL, finish, labelled};
use super::text::{counted, flow, fold, pad, width};
use super::{Detail, Look, Tone};
use pinfold::rules::{Distribution, Evidence, Finding, Kernel, Point, Standing, SwitchInfo};

/// One kernel: what it is taken for, what it has taken up, what is known and what is guessed.
pub(crate) fn kernel(name: &str, kernel: &Kernel, look: &Look) -> String {
    let told = Told::of(kernel);
    let mut lines = head(name, kernel, look);
    lines.push(String::new());
    lines.extend(differences(kernel, &told, look));
    let may = "what its series took up at a point that it may have reached or not";
    lines.extend(later(kernel, may, &told.open, look));
    lines.extend(later(kernel, "what its series took up after it", &told.later, look));
    lines.extend(kept(kernel, &told, look));
    lines.extend(guesses(kernel, &told, look));
    lines.push(String::new());
    lines.extend(legend(look));
    finish(&lines)
}

/// The switches of a kernel, by what is known of them.
#[derive(Default)]
struct Told {
    taken: Vec<&'static Finding>,
    kept: Vec<&'static Finding>,
    later: Vec<&'static Finding>,
    open: Vec<&'static Finding>,
    /// The switch, and what is known of another one that it would have moved with.
    without: Vec<(&'static SwitchInfo, &'static Finding)>,
    unchanged: usize,
    /// The switch, and what mainline has had since when.
    guesses: Vec<(&'static SwitchInfo, String)>,
}

impl Told {
    fn of(kernel: &Kernel) -> Self {
        let mut told = Self::default();
        for (switch, standing) in kernel.standings() {
            match standing {
                Standing::Taken(finding) => told.taken.push(finding),
                Standing::Kept(finding) => told.kept.push(finding),
                Standing::Later(finding) => told.later.push(finding),
                Standing::Open(finding) => told.open.push(finding),
                Standing::Without(finding) => told.without.push((switch, finding)),
                Standing::Unchanged => told.unchanged += 1,
                Standing::Guess { changed, to } => {
                    told.guesses.push((switch, format!("{} {changed}", to.name)));
                }
            }
        }
        told
    }
}

/// What the name is taken for, the base, and the rule set.
fn head(name: &str, kernel: &Kernel, look: &Look) -> Vec<String> {
    let columns = look.width - LABEL;
    let mut lines = labelled("kernel", &fold(name, columns, 0), look);
    lines.extend(labelled("taken for", &fold(&taken_for(kernel), columns, 0), look));
    let base = format!("Linux {0}; `pinfold rules {0}` shows its rules", kernel.base);
    lines.extend(labelled("base", &fold(&base, columns, 0), look));
    lines.extend(labelled("rules", &set(kernel, columns), look));
    if let Some(newest) = kernel.newer_than() {
        let warning = match newest {
            0 => "nothing of its series was read: what it took up is not known".to_owned(),
            _ => format!(
                "newer than {}, the last of its series that anything here rests on: what it took \
                 up since is not known",
                point(kernel, newest)
            ),
        };
        lines.extend(labelled("note", &fold(&warning, columns, 0), look));
    }
    lines
}

/// The rule set, so that it can be copied: a line ends behind a comma.
fn set(kernel: &Kernel, columns: usize) -> Vec<String> {
    let rules = kernel.rules().to_string();
    let items: Vec<String> = rules.split_inclusive(',').map(str::to_owned).collect();
    flow(&items, "", columns)
}

/// The kernel in words.
fn taken_for(kernel: &Kernel) -> String {
    let base = kernel.base;
    let of = kernel.distribution.map_or(String::new(), |known| format!(" of {}", title(known)));
    let vendor = kernel.series.filter(|series| !series.name.ends_with(".y"));
    match (kernel.point, vendor) {
        (Point::Newest, Some(series)) => format!("the newest kernel of {}", series.name),
        (_, Some(series)) => {
            let Point::Exact(build) = kernel.point else { return series.name.to_owned() };
            format!("build {build} of {}, which keeps the number {base}", series.name)
        }
        (Point::Newest, None) => match kernel.series.map(|series| series.newest()) {
            None | Some(0) => format!("the newest of {base}.y{of}"),
            Some(newest) => {
                format!(
                    "the newest of {base}.y{of}; the last that anything here rests on is \
                     {base}.{newest}"
                )
            }
        },
        (Point::Exact(point), None) => format!("{base}.{point}, a stable release{of}"),
        (Point::AtLeast(point, _), None) if kernel.vendor.is_some() => format!(
            "a kernel of {}, which keeps the number {base}.{point}: a vendor's kernel, not looked at",
            kernel.vendor.unwrap_or_default()
        ),
        (Point::Between { from, below, evidence }, None) => format!(
            "a package{of} that holds {base}.{from} or later and less than {base}.{below}: which is \
             not known ({evidence})"
        ),
        (Point::AtLeast(point, evidence), None) => {
            format!("a package{of} that holds {base}.{point} or a later point release ({evidence})")
        }
        (Point::Unknown, None) => {
            format!("a kernel{of} from {base} whose name does not tell its point release")
        }
    }
}

fn title(known: &Distribution) -> String {
    format!("{} ({})", known.title, known.name)
}

/// What it has taken up.
fn differences(kernel: &Kernel, told: &Told, look: &Look) -> Vec<String> {
    let base = kernel.base;
    if told.taken.is_empty() {
        let text = format!("nothing is known that it took up beyond Linux {base}");
        return vec![look.paint(Tone::Head, &text)];
    }
    let count = told.taken.len();
    let head = format!("what it took up beyond Linux {base}: {count}, with the mark and source");
    let mut lines = vec![look.paint(Tone::Head, &head)];
    lines.extend(table(kernel, &told.taken, look));
    lines
}

/// What came to the series later, or perhaps later.
fn later(kernel: &Kernel, head: &str, of: &[&'static Finding], look: &Look) -> Vec<String> {
    if of.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![String::new(), look.paint(Tone::Head, head)];
    lines.extend(table(kernel, of, look));
    lines
}

/// Findings, one a line.
fn table(kernel: &Kernel, findings: &[&'static Finding], look: &Look) -> Vec<String> {
    let name = findings.iter().map(|one| width(one.switch.name())).max().unwrap_or(0);
    let variant = findings.iter().map(|one| width(one.variant().name)).max().unwrap_or(0);
    let since = findings.iter().map(|one| width(&point(kernel, one.from))).max().unwrap_or(0);
    let mut lines = Vec::new();
    for one in findings {
        let front =
            format!("  {}  {}  ", pad(one.switch.name(), name), pad(one.variant().name, variant));
        let since = pad(&point(kernel, one.from), since);
        let text = format!("{front}from {since}  {}  {}", one.evidence, one.source);
        lines.extend(fold(&text, look.width, width(&front)));
        if look.detail == Detail::All {
            let doc = fold(one.variant().doc, look.width - 6, 0);
            lines.extend(doc.iter().map(|line| format!("      {line}")));
        }
    }
    lines
}

/// A point of the kernel's series, as people write it.
fn point(kernel: &Kernel, from: u16) -> String {
    match kernel.series {
        Some(series) if !series.name.ends_with(".y") => format!("build {from}"),
        _ => format!("{}.{from}", kernel.base),
    }
}

/// What it is known to have as its base has it.
fn kept(kernel: &Kernel, told: &Told, look: &Look) -> Vec<String> {
    let base = kernel.base;
    let mut lines =
        vec![String::new(), look.paint(Tone::Head, &format!("known to be as in {base}"))];
    for evidence in [Evidence::Read, Evidence::Found, Evidence::Memory] {
        let of = told.kept.iter().filter(|finding| finding.evidence == evidence);
        let names: Vec<String> =
            of.map(|one| format!("{}={}", one.switch, one.variant().name)).collect();
        if !names.is_empty() {
            let flowed = flow(&names, ", ", look.width - 5);
            let mut front = format!("  {evidence}  ");
            for line in flowed {
                lines.push(format!("{}{line}", std::mem::replace(&mut front, " ".repeat(5))));
            }
        }
    }
    lines.extend(without(told, look));
    let more = if told.kept.is_empty() { "" } else { " more" };
    lines.push(format!(
        "  {}{more} switches, which mainline has not changed since: there is nothing to take up",
        told.unchanged
    ));
    lines
}

/// What it has as its base has it because of another switch, a line for each such.
fn without(told: &Told, look: &Look) -> Vec<String> {
    let mut causes: Vec<(&Finding, Vec<&str>)> = Vec::new();
    for (switch, finding) in &told.without {
        match causes.iter_mut().find(|(known, _)| known.switch == finding.switch) {
            Some((_, names)) => names.push(switch.name),
            None => causes.push((finding, vec![switch.name])),
        }
    }
    let told = |(finding, names): (&Finding, Vec<&str>)| {
        let front = format!("  {}  ", finding.evidence);
        let cause = format!("{}={}", finding.switch, finding.variant().name);
        let text = format!("{front}and so, by {cause}: {}", names.join(", "));
        fold(&text, look.width, width(&front))
    };
    causes.into_iter().flat_map(told).collect()
}

/// What nobody looked at.
fn guesses(kernel: &Kernel, told: &Told, look: &Look) -> Vec<String> {
    let mut lines = vec![String::new()];
    if told.guesses.is_empty() {
        lines.push(look.paint(Tone::Head, "nothing is a guess"));
        return lines;
    }
    let head = format!(
        "guesses: {} as in {}, though mainline changed that later",
        counted(told.guesses.len() as u64, "switch", "switches"),
        kernel.base
    );
    lines.push(look.paint(Tone::Head, &head));
    let items: Vec<String> =
        told.guesses.iter().map(|(switch, to)| format!("{} ({to})", switch.name)).collect();
    let flowed = flow(&items, ", ", look.width - 2);
    lines.extend(flowed.iter().map(|line| format!("  {line}")));
    lines
}

/// What the marks mean.
fn legend(look: &Look) -> Vec<String> {
    let text = "S read in the source, W found in a published record, M from memory and not verified \
                (facts 0.1, 0.4). An override turns a guess: NAME,switch=variant";
    fold(text, look.width, 0).iter().map(|line| look.paint(Tone::Faint, line)).collect()
}
