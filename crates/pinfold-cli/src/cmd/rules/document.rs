//! What `pinfold rules` says, as a document: the list, a switch, one set, or two and what differs.

use crate::failure::Failure;
use crate::render::json;
use crate::rulesets::{self, RuleSet};
use pinfold::Rules;
use pinfold::rules::{
    Distribution, Finding, PRESETS, Point, Series, Standing, Status, SwitchInfo, VariantInfo,
};
use pinfold_lab::report::FORMAT;
use serde::Serialize;

#[derive(Serialize)]
struct Document {
    pinfold: u32,
    #[serde(flatten)]
    said: Said,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Said {
    List {
        presets: &'static [&'static str],
        kernels: Vec<&'static str>,
        switches: Vec<OfSwitch>,
    },
    Switch {
        switch: OfSwitch,
    },
    Set {
        name: String,
        rules: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        kernel: Option<OfKernel>,
        variants: Vec<InForce>,
    },
    Two {
        from: String,
        to: String,
        differences: Vec<Differs>,
    },
}

#[derive(Serialize)]
struct OfSwitch {
    name: &'static str,
    doc: &'static str,
    variants: Vec<OfVariant>,
}

#[derive(Serialize)]
struct OfVariant {
    name: &'static str,
    since: &'static str,
    released: bool,
    doc: &'static str,
}

#[derive(Serialize)]
struct InForce {
    switch: &'static str,
    variant: &'static str,
    since: &'static str,
    /// Of a kernel: what is known of it.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    known: Option<Known>,
}

/// What a kernel is taken for.
#[derive(Serialize)]
struct OfKernel {
    base: String,
    series: Option<&'static str>,
    distribution: Option<&'static str>,
    vendor: Option<&'static str>,
    /// What is known of the point: `newest`, `exact`, `at-least`, `between` or `unknown`.
    known: &'static str,
    /// The least and, if one is known, the first point that it has not reached.
    point: Option<u16>,
    below: Option<u16>,
}

/// What is known of a switch of a kernel.
#[derive(Serialize)]
struct Known {
    /// `taken`, `kept`, `later`, `open`, `without`, `unchanged` or `guess`.
    standing: &'static str,
    /// What it may have, or the series has later.
    #[serde(skip_serializing_if = "Option::is_none")]
    other: Option<&'static str>,
    /// The point, or of a guess mainline's release, that has that first.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    evidence: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'static str>,
}

#[derive(Serialize)]
struct Differs {
    switch: &'static str,
    from: &'static str,
    to: &'static str,
}

/// The answer to a question of `pinfold rules`.
///
/// # Errors
/// When a name is neither a rule set nor, if it is the only one, a switch.
pub(super) fn document(names: &[String]) -> Result<String, Failure> {
    let said = match names {
        [left, right] => two(&set(left)?, &set(right)?),
        [name, ..] => match switch(name) {
            Some(known) => Said::Switch { switch: of_switch(known) },
            None => one(&set(name)?),
        },
        [] => Said::List {
            presets: PRESETS,
            kernels: kernels(),
            switches: Rules::switches().map(of_switch).collect(),
        },
    };
    json::document(&Document { pinfold: FORMAT, said })
}

/// The switch of that name.
pub(super) fn switch(name: &str) -> Option<&'static SwitchInfo> {
    Rules::switches().find(|switch| switch.name == name)
}

/// The rule set of that name.
///
/// # Errors
/// When it is that of a switch, or of nothing.
pub(super) fn set(name: &str) -> Result<RuleSet, Failure> {
    match switch(name) {
        Some(_) => Err(Failure::SwitchForSet(name.to_owned())),
        None => rulesets::one(name),
    }
}

fn kernels() -> Vec<&'static str> {
    let series = Series::ALL.iter().map(|series| series.name);
    series.chain(Distribution::ALL.iter().map(|known| known.name)).collect()
}

fn of_switch(switch: &'static SwitchInfo) -> OfSwitch {
    let variant = |variant: &VariantInfo| OfVariant {
        name: variant.name,
        since: variant.since,
        released: variant.status == Status::Released,
        doc: variant.doc,
    };
    let variants = switch.variants.iter().map(variant).collect();
    OfSwitch { name: switch.name, doc: switch.doc, variants }
}

fn one(set: &RuleSet) -> Said {
    let kernel = set.kernel();
    let standing = |name: &str| {
        let kernel = kernel.filter(|_| !set.overrides(name))?;
        let known = kernel.standings().find(|(switch, _)| switch.name == name);
        known.map(|(_, standing)| of_standing(standing))
    };
    let in_force = |switch: &'static SwitchInfo| {
        let name = set.rules.get(switch.name).ok()?;
        let variant = switch.variants.iter().find(|variant| variant.name == name)?;
        let known = standing(switch.name);
        Some(InForce { switch: switch.name, variant: name, since: variant.since, known })
    };
    let of_kernel = |kernel: pinfold::rules::Kernel| {
        let (known, point, below) = match kernel.point {
            Point::Newest => ("newest", None, None),
            Point::Exact(point) => ("exact", Some(point), None),
            Point::AtLeast(point, _) => ("at-least", Some(point), None),
            Point::Between { from, below, .. } => ("between", Some(from), Some(below)),
            Point::Unknown => ("unknown", None, None),
        };
        OfKernel {
            base: kernel.base.to_string(),
            series: kernel.series.map(|series| series.name),
            distribution: kernel.distribution.map(|known| known.name),
            vendor: kernel.vendor,
            known,
            point,
            below,
        }
    };
    Said::Set {
        name: set.name.clone(),
        rules: set.rules.to_string(),
        kernel: kernel.map(of_kernel),
        variants: Rules::switches().filter_map(in_force).collect(),
    }
}

fn of_standing(standing: Standing) -> Known {
    let found = |standing, finding: &'static Finding| Known {
        standing,
        other: matches!(standing, "later" | "open").then_some(finding.variant().name),
        from: Some(finding.from.to_string()),
        evidence: Some(finding.evidence.mark()),
        source: Some(finding.source),
    };
    let plain =
        |standing, other, from| Known { standing, other, from, evidence: None, source: None };
    match standing {
        Standing::Taken(finding) => found("taken", finding),
        Standing::Kept(finding) => found("kept", finding),
        Standing::Later(finding) => found("later", finding),
        Standing::Open(finding) => found("open", finding),
        Standing::Without(finding) => found("without", finding),
        Standing::Unchanged => plain("unchanged", None, None),
        Standing::Guess { changed, to } => plain("guess", Some(to.name), Some(changed.to_string())),
    }
}

fn two(left: &RuleSet, right: &RuleSet) -> Said {
    let differs = |one: pinfold::rules::Difference| Differs {
        switch: one.switch.name,
        from: one.left.name,
        to: one.right.name,
    };
    Said::Two {
        from: left.rules.to_string(),
        to: right.rules.to_string(),
        differences: left.rules.diff(&right.rules).map(differs).collect(),
    }
}
