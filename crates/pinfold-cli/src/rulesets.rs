//! Rule sets as the command line names them: several, separated by commas, where each may contain
//! commas itself.

use crate::failure::Failure;
use pinfold::Rules;
use pinfold::rules::{Kernel, PRESETS};

#[cfg(test)]
mod tests;

/// The rule set that is meant where none is given.
pub(crate) const DEFAULT: &str = "pinfold";
/// The word for all presets.
const ALL: &str = "all";

/// A rule set and the name it was given by.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RuleSet {
    /// As it was given.
    pub(crate) name: String,
    /// What it means.
    pub(crate) rules: Rules,
}

impl RuleSet {
    /// The kernel that it was named by, unless that is a mainline release or a preset of another
    /// kind.
    pub(crate) fn kernel(&self) -> Option<Kernel> {
        let base = self.name.split(',').next().unwrap_or(&self.name).trim();
        Kernel::parse(base).ok().filter(|kernel| !kernel.is_mainline())
    }

    /// Whether it was given a variant of this switch.
    pub(crate) fn overrides(&self, switch: &str) -> bool {
        let mut given = self.name.split(',').filter_map(|item| item.split_once('='));
        given.any(|(name, _)| name.trim() == switch)
    }
}

/// Reads one rule set.
///
/// # Errors
/// When it is not understood.
pub(crate) fn one(text: &str) -> Result<RuleSet, Failure> {
    match Rules::parse(text) {
        Ok(rules) => Ok(RuleSet { name: text.to_owned(), rules }),
        Err(why) => Err(Failure::Rules { text: text.to_owned(), why }),
    }
}

/// Reads lists of rule sets, in order and without repetitions. An item with `=` belongs to the rule
/// set before it: `5.9,5.10,numa-skip=never` are the two sets `5.9` and `5.10,numa-skip=never`.
/// After `all` it belongs to every preset.
///
/// # Errors
/// When one of the sets is not understood.
pub(crate) fn several(lists: &[String]) -> Result<Vec<RuleSet>, Failure> {
    let mut sets: Vec<RuleSet> = Vec::new();
    for list in lists {
        for text in split(list) {
            let set = one(&text)?;
            if !sets.contains(&set) {
                sets.push(set);
            }
        }
    }
    Ok(sets)
}

fn split(list: &str) -> Vec<String> {
    let mut texts: Vec<String> = Vec::new();
    // Where the sets of the last item begin: `all` gives several.
    let mut last = 0;
    for item in list.split(',').map(str::trim) {
        if item.contains('=') && !texts.is_empty() {
            texts[last..].iter_mut().for_each(|set| set.extend([",", item]));
            continue;
        }
        last = texts.len();
        match item {
            ALL => texts.extend(PRESETS.iter().map(|&preset| preset.to_owned())),
            _ => texts.push(item.to_owned()),
        }
    }
    texts
}
