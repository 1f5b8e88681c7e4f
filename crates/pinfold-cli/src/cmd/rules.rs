//! `pinfold rules`: lists the rule sets and switches, shows one of them, or compares two. Of a
//! kernel with backports it shows what that is taken for, and what is known of it.

mod document;

use super::Answer;
use crate::args::{Format, RulesArgs};
use crate::console::Console;
use crate::failure::Failure;
use crate::render::{Look, kernels as of_kernel, rules as render};
use crate::rulesets;
use document::{document, set, switch};
use pinfold::rules::Kernel;
use pinfold_lab::report::Verdict;

/// Lists, shows or compares.
///
/// # Errors
/// When a name is neither a rule set nor, if it is the only one, a switch; or the result cannot be
/// written.
pub(crate) fn rules(args: &RulesArgs, console: &mut Console) -> Answer {
    if args.format == Format::Json {
        console.print(&document(&args.sets)?)?;
        return Ok(Verdict::Pass.exit_code());
    }
    let look = console.look();
    let text = match args.sets.as_slice() {
        [left, right] => render::difference(&set(left)?, &set(right)?, look),
        [name, ..] => match switch(name) {
            Some(switch) => render::switch(switch, look),
            None => whole(name, look)?,
        },
        [] => render::overview(look),
    };
    console.print(&text)?;
    Ok(Verdict::Pass.exit_code())
}

/// One rule set, or a kernel that is more than a mainline release.
fn whole(name: &str, look: &Look) -> Result<String, Failure> {
    let set = rulesets::one(name)?;
    // With overrides it is a rule set and no longer a kernel.
    if name.contains(',') {
        return Ok(render::set(&set, look));
    }
    Ok(match Kernel::parse(name.trim()) {
        Ok(kernel) if !kernel.is_mainline() => of_kernel::kernel(&set.name, &kernel, look),
        _ => render::set(&set, look),
    })
}
