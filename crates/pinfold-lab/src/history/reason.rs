//! Why a scenario breaks under some rules, so that the failures of two releases can be compared.
//!
//! INV-REASON-1: two failures have the same reason if the same oracle noticed them, the same
//! switches decided, and each decision had the same grounds. Neither numbers nor how two of them
//! compare are grounds, but what was counted is: that a page was copied for its references is
//! another reason than that it was for its mappings.

use std::collections::BTreeSet;

use crate::report::{Oracle, Report};

/// Why a scenario breaks.
#[derive(Clone, Debug)]
pub struct Reason {
    /// What noticed it.
    pub oracle: Oracle,
    /// The rules that WHY names: those that decided in an event first, in order.
    pub rules: Vec<Decided>,
}

/// What a rule decided.
#[derive(Clone, Debug)]
pub struct Decided {
    /// The switch.
    pub switch: &'static str,
    /// Its variant in force.
    pub variant: &'static str,
    /// The decision and its grounds; nothing where it was not in an event.
    pub text: Option<String>,
}

impl Reason {
    /// The reason of a failure that is told with all that there is to say of its rows.
    pub(super) fn of(report: &Report) -> Option<Self> {
        let oracle = report.broken.as_ref()?.oracle;
        let deciding = report.deciding();
        let variant = |rule: &str| deciding.iter().find(|(switch, _)| switch.name == rule);
        let rows = report.trace.iter().flat_map(|trace| &trace.rows).zip(&report.explained);
        let mut rules: Vec<Decided> = Vec::new();
        for (_, told) in rows.filter(|(row, _)| row.cited) {
            let Some(decision) = &told.decision else { continue };
            let Some((switch, variant)) = variant(&decision.rule) else { continue };
            let next = Decided {
                switch: switch.name,
                variant: variant.name,
                text: Some(decision.text.clone()),
            };
            if rules.iter().all(|known| known.grounds() != next.grounds()) {
                rules.push(next);
            }
        }
        for (switch, variant) in deciding {
            if rules.iter().all(|known| known.switch != switch.name) {
                rules.push(Decided { switch: switch.name, variant: variant.name, text: None });
            }
        }
        Some(Self { oracle, rules })
    }

    /// INV-REASON-1.
    pub fn is_like(&self, other: &Self) -> bool {
        let grounds =
            |reason: &Self| -> BTreeSet<_> { reason.rules.iter().map(Decided::grounds).collect() };
        self.oracle == other.oracle && grounds(self) == grounds(other)
    }
}

impl Decided {
    /// The switch, and its decision without numbers and relations.
    fn grounds(&self) -> (&'static str, Option<String>) {
        let word = |word: &&str| {
            let number = word.chars().all(|sign| sign.is_ascii_digit() || sign == ',');
            !number && !["==", "!=", "<", "<=", ">=", ">"].contains(word)
        };
        let plain = |word: &str| word.replace(|sign: char| sign.is_ascii_digit(), "");
        let text = self.text.as_ref().map(|text| {
            let words = text.split(' ').filter(word).map(plain);
            words.collect::<Vec<_>>().join(" ")
        });
        (self.switch, text)
    }
}
