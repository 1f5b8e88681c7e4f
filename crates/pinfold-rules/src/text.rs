//! Rule sets as text: `linux-5.9,numa-skip=ref-count`.
//!
//! - INV-RULES-1: what [`Rules`] displays, [`Rules::parse`] reads back as the same value.

use core::array;
use core::fmt;

use super::define::Entry;
use super::switches::TABLE;
use super::{Base, Given, RuleError, Rules};

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

/// The longest name for which a suggestion is looked for: one that no slip makes of a known name.
const LONGEST: usize = Given::KEPT;

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
        if names_switch(text, position, entry.info.name) {
            return Err(RuleError::Twice(&entry.info));
        }
        set(&mut rules, entry, variant.trim_start())?;
    }
    Ok(rules)
}

/// Whether one of the first `items` items of `text` sets `switch`.
fn names_switch(text: &str, items: usize, switch: &str) -> bool {
    let mut items = text.split(',').take(items);
    items.any(|item| item.split_once('=').is_some_and(|(name, _)| name.trim() == switch))
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

/// How many letters must be added, removed or changed to make `given` of `name`. `given` is no
/// longer than [`LONGEST`].
fn distance(given: &str, name: &str) -> usize {
    // How far the letters of `name` so far are from each start of `given`.
    let mut row: [usize; LONGEST + 1] = array::from_fn(|column| column);
    for (line, letter) in name.chars().enumerate() {
        let mut above_left = row[0];
        row[0] = line + 1;
        for (column, other) in given.chars().enumerate() {
            let changed = above_left + usize::from(letter != other);
            above_left = row[column + 1];
            row[column + 1] = changed.min(row[column] + 1).min(above_left + 1);
        }
    }
    row[given.chars().count()]
}
