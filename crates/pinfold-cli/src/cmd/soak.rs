//! `pinfold soak`: the demo of bug 215616 on real threads.

use super::Answer;
use crate::args::{Format, SoakArgs};
use crate::console::Console;
use crate::failure::Failure;
use crate::progress::{Meter, stop_flag};
use crate::render::text::{seconds, thousands};
use crate::render::{json, soak as drawing};
use crate::rulesets;
use pinfold_lab::soak::{self, Affinity, OtherHarms, SoakBeat, SoakPlan};
use std::ops::ControlFlow;
use std::sync::atomic::Ordering;

/// Has processes and devices work.
///
/// # Errors
/// When the machine cannot be made as asked for, or the result cannot be written.
pub(crate) fn soak(args: &SoakArgs, console: &mut Console) -> Answer {
    let enough = SoakPlan::enough(args.processes, args.nodes);
    let plan = SoakPlan {
        rules: rulesets::one(&args.rules)?.rules,
        time: args.time(),
        seed: args.seed,
        processes: args.processes,
        devices: args.devices.unwrap_or(args.processes),
        nodes: args.nodes,
        frames: args.frames.unwrap_or(enough),
        affinity: if args.affinity { Affinity::Bound } else { Affinity::Roams },
        without: args.without(),
        others: if args.other_harms { OtherHarms::Strike } else { OtherHarms::KeptApart },
        patience: args.patience,
    };
    plan.check().map_err(Failure::Soak)?;
    let (stop, mut meter) = (stop_flag()?, Meter::new());
    let report = soak::run(&plan, |beat| {
        meter.show(|| progress(beat, plan.time.as_secs_f64()));
        match stop.load(Ordering::Relaxed) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    });
    drop(meter);
    let report = report.map_err(Failure::Soak)?;
    let text = match args.format {
        Format::Human => drawing::draw(&report, console.look()),
        Format::Json => json::soak(&report)?,
    };
    console.print(&text)?;
    Ok(report.verdict.exit_code())
}

/// How far it has come, in a line.
fn progress(beat: &SoakBeat, of: f64) -> String {
    let each = |count: u64| {
        thousands((count as f64 / beat.elapsed.as_secs_f64().max(1e-3)).round() as u64)
    };
    format!(
        "soak: {} of {}, {} buffers checked, {} migrations and {} hint faults a second",
        seconds(beat.elapsed.as_secs_f64()),
        seconds(of),
        thousands(beat.buffers),
        each(beat.migrations),
        each(beat.hint_faults),
    )
}
