//! `pinfold run`: one execution, shown in full.

use super::{Answer, doubts};
use crate::args::{RunArgs, TestFormat};
use crate::console::Console;
use crate::failure::Failure;
use crate::files::Output;
use crate::render::doubts::{Doubted, Doubts};
use crate::render::ktap::{self, Test};
use crate::render::{json, perfetto, report};
use crate::{find, rulesets};
use pinfold_lab::Order;
use pinfold_lab::report::Report;

/// Runs a scenario once.
///
/// # Errors
/// When the scenario or the rules cannot be found or read, or the result cannot be written.
pub(crate) fn run(args: &RunArgs, console: &mut Console) -> Answer {
    let perfetto = args.perfetto.as_deref().map(Output::open).transpose()?;
    let rules = rulesets::one(&args.rules)?;
    let loaded = find::load(&args.file, console.error_style())?;
    let order = args.seed.map_or(Order::AsWritten, Order::Seed);
    let found = match loaded.prepare_or_absent(&rules.rules, console.error_style())? {
        Ok(prepared) => prepared.run(order),
        Err(_) => pinfold_lab::run(&loaded.scenario, &loaded.path, &rules.rules, order),
    };
    put_trace(perfetto, &found, console)?;
    let unknown = doubts::of_run(&rules, &found, &mut |rules| {
        pinfold_lab::run(&loaded.scenario, &loaded.path, rules, order)
    });
    show(found, unknown.as_ref(), args.format, console)
}

/// Writes the execution of a report for Perfetto, if that was asked for.
///
/// # Errors
/// When the file cannot be written.
pub(super) fn put_trace(
    file: Option<Output>,
    found: &Report,
    console: &Console,
) -> Result<(), Failure> {
    match (file, perfetto::trace(found)) {
        (None, _) => Ok(()),
        (Some(file), Some(trace)) => file.put(&trace),
        (Some(_), None) => {
            console.warn("no trace for Perfetto was written, as there is no execution");
            Ok(())
        }
    }
}

/// Prints the report of one execution, without what `pinfold explain` says, and what is not known
/// of its kernel, if it has one.
///
/// # Errors
/// When the result cannot be written.
pub(super) fn show(
    mut found: Report,
    unknown: Option<&Doubts>,
    format: TestFormat,
    console: &mut Console,
) -> Answer {
    found.explained.clear();
    found.about.clear();
    let mut code = found.exit_code();
    let text = match format {
        TestFormat::Human => {
            let look = console.look();
            let doubt = unknown.map_or_else(Vec::new, |unknown| unknown.section(look));
            report::draw_doubted(&found, None, doubt, look)
        }
        TestFormat::Json => json::reports(&[Doubted::new(&found, unknown)], 1)?,
        TestFormat::Ktap => {
            let mut document = ktap::Document::default();
            let test = Test::of_report(&found.scenario.name, &found, false);
            let text = document.head(1) + &document.test(&test) + &document.totals();
            code = document.exit_code();
            text
        }
    };
    console.print(&text)?;
    Ok(code)
}
