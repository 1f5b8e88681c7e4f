//! `pinfold rules`: lists the rule sets and switches, shows one of them, or compares two.

use super::Answer;
use crate::args::RulesArgs;
use crate::console::Console;
use crate::failure::Failure;
use crate::render::rules as render;
use crate::rulesets;
use pinfold::Rules;
use pinfold::rules::SwitchInfo;
use pinfold_lab::report::Verdict;

/// Lists, shows or compares.
///
/// # Errors
/// When a name is neither a rule set nor, if it is the only one, a switch; or the result cannot be
/// written.
pub(crate) fn rules(args: &RulesArgs, console: &mut Console) -> Answer {
    let look = console.look();
    let text = match args.sets.as_slice() {
        [left, right] => render::difference(&set(left)?, &set(right)?, look),
        [name, ..] => match switch(name) {
            Some(switch) => render::switch(switch, look),
            None => render::set(&rulesets::one(name)?, look),
        },
        [] => render::overview(look),
    };
    console.print(&text)?;
    Ok(Verdict::Pass.exit_code())
}

fn switch(name: &str) -> Option<&'static SwitchInfo> {
    Rules::switches().find(|switch| switch.name == name)
}

fn set(name: &str) -> Result<rulesets::RuleSet, Failure> {
    match switch(name) {
        Some(_) => Err(Failure::SwitchForSet(name.to_owned())),
        None => rulesets::one(name),
    }
}
