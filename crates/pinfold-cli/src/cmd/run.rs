//! `pinfold run` and `pinfold replay`: one execution, shown whole.

use super::Answer;
use crate::args::{Format, ReplayArgs, RunArgs};
use crate::console::Console;
use crate::failure::Failure;
use crate::render::{json, report};
use crate::{find, rulesets};
use pinfold_lab::Order;
use pinfold_lab::report::Report;

/// Runs a scenario once.
///
/// # Errors
/// When the scenario or the rules cannot be had, or the result cannot be written.
pub(crate) fn run(args: &RunArgs, console: &mut Console) -> Answer {
    let rules = rulesets::one(&args.rules)?;
    let loaded = find::load(&args.file, console.error_style())?;
    let order = args.seed.map_or(Order::AsWritten, Order::Seed);
    let found = pinfold_lab::run(&loaded.scenario, &loaded.path, &rules.rules, order);
    show(&found, args.format, console)
}

/// Repeats an execution from its schedule.
///
/// # Errors
/// When the scenario or the rules cannot be had, the schedule is none, or the result cannot be
/// written.
pub(crate) fn replay(args: &ReplayArgs, console: &mut Console) -> Answer {
    let rules = rulesets::one(&args.rules)?;
    let loaded = find::load(&args.file, console.error_style())?;
    let found = pinfold_lab::replay_schedule(
        &loaded.scenario,
        &loaded.path,
        &rules.rules,
        args.model.model(),
        &args.schedule,
    )
    .map_err(Failure::Schedule)?;
    show(&found, args.format, console)
}

fn show(found: &Report, format: Format, console: &mut Console) -> Answer {
    let text = match format {
        Format::Human => report::draw(found, console.look()),
        Format::Json => json::reports(std::slice::from_ref(found))?,
    };
    console.print(&text)?;
    Ok(found.exit_code())
}
