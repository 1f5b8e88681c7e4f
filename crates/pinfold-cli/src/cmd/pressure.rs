//! `pinfold pressure`: real threads on a machine that is short of memory.

use super::Answer;
use crate::args::{Format, PressureArgs};
use crate::console::Console;
use crate::failure::Failure;
use crate::progress::{Meter, stop_flag};
use crate::render::text::{seconds, thousands};
use crate::render::{json, pressure as drawing};
use crate::{files, rulesets};
use pinfold_lab::pressure::{self, Beat, Plan, SwapMedium};
use std::ops::ControlFlow;
use std::sync::atomic::Ordering;
use std::thread;

/// Puts a machine under pressure.
///
/// # Errors
/// When the machine cannot be made as asked for, or the result cannot be written.
pub(crate) fn pressure(args: &PressureArgs, console: &mut Console) -> Answer {
    let rules = rulesets::one(&args.rules)?.rules;
    let cores = || thread::available_parallelism().map_or(1, |cores| cores.get().min(32) as u32);
    let mut plan = Plan {
        rules,
        time: args.time(),
        threads: args.threads.unwrap_or_else(cores),
        processes: args.processes,
        frames: args.frames,
        low: args.low,
        seed: args.seed,
        fail_every: args.fail_every,
        medium: SwapMedium::Memory,
        patience: args.patience,
    };
    // Before there is a file.
    plan.check().map_err(Failure::Pressure)?;
    if let Some(path) = &args.swap_file {
        plan.medium = SwapMedium::File(files::scratch(path)?);
    }
    let (stop, time, mut meter) = (stop_flag()?, plan.time, Meter::new());
    let report = pressure::run(plan, |beat| {
        meter.show(|| progress(beat, time.as_secs_f64()));
        match stop.load(Ordering::Relaxed) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    });
    drop(meter);
    let report = report.map_err(Failure::Pressure)?;
    let text = match args.format {
        Format::Human => drawing::draw(&report, console.look()),
        Format::Json => json::pressure(&report)?,
    };
    console.print(&text)?;
    Ok(report.verdict.exit_code())
}

/// How far it has come, in a line.
fn progress(beat: &Beat, of: f64) -> String {
    format!(
        "pressure: {} of {}, {} operations, {} pages out and {} in",
        seconds(beat.elapsed.as_secs_f64()),
        seconds(of),
        thousands(beat.operations),
        thousands(beat.transfers.written),
        thousands(beat.transfers.read),
    )
}
