//! Rule sets as text: `linux-5.9,numa-skip=ref-count`.
//!
//! - INV-RULES-1: what [`Rules`] displays, [`Rules::parse`] reads back as the same value.

use alloc::vec::Vec;
use core::fmt;
use core::mem::swap;

use super::define::Entry;
use super::switches::TABLE;
use super::{Base, RuleError, Rules};

/// Switches whose subject is not modelled yet, and what they come with.
pub(super) const NOT_YET: &[(&str, &str)] = &[
    ("swap-in-reuse", "swap"),
    ("pmd-cow", "huge pages"),
    ("hugetlb-cow", "hugetlb pages"),
    ("tail-refs", "huge pages"),
    ("large-cow-reuse", "huge pages"),
    ("numa-skip-pmd", "huge pages"),
    ("zap-rmap", "batched unmapping"),
    ("longterm-file", "file mappings"),
    ("soft-dirty-pin", "soft-dirty tracking"),
    ("swap-pinned", "reclaim"),
    ("strict-snapshot", "coherent fork snapshots"),
    ("lru-batch", "reclaim"),
];

/// The longest name for which a suggestion is looked for.
const LONGEST: usize = 64;

/// The switch of that name.
pub(super) fn find(switch: &str) -> Result<&'static Entry, RuleError> {
    TABLE
        .iter()
        .find(|entry| entry.info.name == switch)
        .ok_or_else(|| RuleError::unknown_switch(switch))
}

/// Puts one variant in force.
pub(super) fn set(
    rules: &mut Rules,
    entry: &'static Entry,
    variant: &str,
) -> Result<(), RuleError> {
    let index = entry.info.variants.iter().position(|known| known.name == variant);
    let index = index.ok_or_else(|| RuleError::unknown_variant(&entry.info, variant))?;
    (entry.set)(rules, index);
    Ok(())
}

/// Reads a base, if any, and overrides.
pub(super) fn parse(text: &str) -> Result<Rules, RuleError> {
    let mut rules = Rules::default();
    let mut seen = Vec::new();
    for (position, item) in text.split(',').map(str::trim).enumerate() {
        if item.is_empty() {
            return Err(RuleError::Empty);
        }
        let Some((switch, variant)) = item.split_once('=') else {
            match find(item) {
                Ok(entry) => return Err(RuleError::NoVariant(&entry.info)),
                Err(later @ RuleError::NotYet { .. }) => return Err(later),
                Err(_) => {}
            }
            if position > 0 {
                return Err(RuleError::BaseNotFirst(item.into()));
            }
            rules = Rules::linux(item)?;
            continue;
        };
        let entry = find(switch.trim_end())?;
        if seen.contains(&entry.info.name) {
            return Err(RuleError::Twice(&entry.info));
        }
        seen.push(entry.info.name);
        set(&mut rules, entry, variant.trim_start())?;
    }
    Ok(rules)
}

impl fmt::Display for Rules {
    /// The base, then each switch that differs from it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let base = match self.base {
            Base::Latest => Self::default(),
            Base::Linux(release) => Self::at(release),
        };
        write!(f, "{}", self.base)?;
        for difference in base.diff(self) {
            write!(f, ",{}={}", difference.switch.name, difference.right.name)?;
        }
        Ok(())
    }
}

/// The name that looks most like `given`, if one is close enough to have been meant.
pub(super) fn nearest(
    given: &str,
    names: impl Iterator<Item = &'static str>,
) -> Option<&'static str> {
    if given.len() > LONGEST {
        return None;
    }
    let limit = 1 + given.len() / 4;
    names
        .map(|name| (distance(given, name), name))
        .filter(|&(distance, _)| distance <= limit)
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, name)| name)
}

/// How many letters must be added, removed or changed to make `right` of `left`.
fn distance(left: &str, right: &str) -> usize {
    let mut above: Vec<usize> = (0..=right.chars().count()).collect();
    let mut row = Vec::with_capacity(above.len());
    for (line, letter) in left.chars().enumerate() {
        let mut before = line + 1;
        row.clear();
        row.push(before);
        for (column, other) in right.chars().enumerate() {
            let changed = above[column] + usize::from(letter != other);
            before = changed.min(before + 1).min(above[column + 1] + 1);
            row.push(before);
        }
        swap(&mut above, &mut row);
    }
    above[above.len() - 1]
}
