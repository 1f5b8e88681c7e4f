//! `pinfold identify`: which rules a real kernel keeps, as far as programs of one step after
//! another tell.
//!
//! Half of the programs are of any kind: they find what no rule set allows. The other half is about
//! one page, and drawn until the model says that the rule sets do not all end alike: they tell rule
//! sets apart. What neither the model nor a kernel can tell apart in one step after another stays
//! together.

use super::Answer;
use super::fuzz::{loaded, search, smallest};
use super::stage::Stage;
use crate::args::IdentifyArgs;
use crate::console::Console;
use crate::failure::Failure;
use crate::find::Loaded;
use crate::progress::{Meter, stop_flag};
use crate::rulesets::{self, RuleSet};
use pinfold_lab::generate::{Aim, Extent, Files, Program, Scans, Shape, Swaps};
use pinfold_lab::resolved::Resolved;
use pinfold_lab::{CheckOptions, Ended, Ends, Model};
use pinfold_linux::{Agent, Outcome, Verdict, observe};
use std::sync::atomic::Ordering;

/// The most steps of a program.
const STEPS: usize = 9;
/// The most executions of the model; a program of one step after another has one.
const EXECUTIONS: u64 = 100;
/// How many programs are drawn until one tells rule sets apart.
const DRAWS: u64 = 500;
/// The most programs that are shown for each neighbour.
const SHOWN: usize = 1;

/// What one program showed on the kernel, and under which rule sets that may happen.
struct Tried {
    program: Program,
    allowed: Vec<bool>,
}

/// Names the nearest rule set.
///
/// # Errors
/// When a rule set is not understood, the kernel cannot be asked, or the result cannot be written.
pub(crate) fn identify(args: &IdentifyArgs, console: &mut Console) -> Answer {
    let sets = rulesets::several(&args.rules)?;
    if sets.is_empty() {
        return Err(Failure::Usage("--rules: a rule set is needed".to_owned()));
    }
    let stop = stop_flag()?;
    let mut stage = Stage::open(&args.on, None, false)?;
    if let Some((verdict, why)) = &stage.unable {
        console.print(&format!("{verdict}   {why}\n"))?;
        return Ok(verdict.exit_code());
    }
    let nodes = stage.agent.features().nodes.clamp(1, 2);
    let steps = STEPS;
    let shape = Shape {
        aim: Aim::Compare,
        lanes: 0,
        steps,
        nodes,
        scans: Scans::Left,
        extent: Extent::Areas,
        files: Files::Left,
        swaps: Swaps::Left,
        frames: None,
    };
    let options = search(EXECUTIONS, Model::Sc, &stop);
    let mut tried = Vec::new();
    let mut left = 0;
    for at in 0..args.programs {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let seed = args.seed.wrapping_add(u64::from(at));
        let mut meter = Meter::new();
        meter.show(|| format!("program {at} of {}", args.programs));
        let program = match at % 2 {
            0 => Program::random(seed, &shape),
            _ => telling(seed, &shape, &sets, &options, console),
        };
        match allowed(&program, &sets, &options, &mut *stage.agent, console) {
            Some(allowed) => tried.push(Tried { program, allowed }),
            None => left += 1,
        }
    }
    let differ: Vec<usize> = (0..sets.len())
        .map(|set| tried.iter().filter(|tried| !tried.allowed[set]).count())
        .collect();
    console.print(&format!(
        "kernel {}: {} programs from seed {} carried out, {left} not\n\n",
        stage.kernel.release,
        tried.len(),
        args.seed
    ))?;
    if tried.is_empty() {
        console.print("SKIP   no program could be carried out\n")?;
        return Ok(Verdict::Skip.exit_code());
    }
    let least = differ.iter().copied().min().unwrap_or(0);
    console.print("rules           differ\n")?;
    for (set, differ) in sets.iter().zip(&differ) {
        let mark = if *differ == least { "  nearest" } else { "" };
        let line = format!("{:<15} {differ:>6}{mark}", set.rules.to_string());
        console.print(&format!("{line}\n"))?;
    }
    let near = differ.iter().position(|differ| *differ == least).unwrap_or(0);
    let last = differ.iter().rposition(|differ| *differ == least).unwrap_or(near);
    let neighbours = [(near, near.checked_sub(1)), (last, Some(last + 1))];
    for (of, neighbour) in neighbours {
        let Some(neighbour) = neighbour.filter(|at| *at < sets.len()) else { continue };
        let tells = |allowed: &[bool]| allowed[of] && !allowed[neighbour];
        for tried in tried.iter().filter(|tried| tells(&tried.allowed)).take(SHOWN) {
            let shows = |less: &Program| {
                allowed(less, &sets, &options, &mut *stage.agent, console)
                    .is_some_and(|allowed| tells(&allowed))
            };
            let least = smallest(tried.program.clone(), shows);
            let (of, other) = (&sets[of].rules, &sets[neighbour].rules);
            let head = format!("\nas under {of}, and not as under {other}:\n");
            let text = least.text("tells-apart");
            let body = text.lines().filter(|line| !line.is_empty());
            let body: String = body.map(|line| format!("    {line}\n")).collect();
            console.print(&(head + &body))?;
        }
    }
    Ok(0)
}

/// A program about one page that, by the model, does not end alike under all rule sets; one that
/// does if none is found in time.
fn telling(
    seed: u64,
    shape: &Shape,
    sets: &[RuleSet],
    options: &CheckOptions,
    console: &Console,
) -> Program {
    let shape = Shape { extent: Extent::Page, ..*shape };
    let draw = |draw: u64| Program::random(seed ^ draw << 32, &shape);
    let tells = |program: &Program| {
        let Some(loaded) = loaded(program, "random", console) else { return false };
        // A rule set that lacks what a step needs is told apart by that step alone.
        let ends = |set: &RuleSet| -> Option<Vec<Ended>> {
            let prepared = loaded.prepare(&set.rules, console.error_style()).ok()?;
            Some(prepared.ends(options).met.into_keys().collect())
        };
        let mut ends = sets.iter().filter_map(ends);
        let Some(first) = ends.next() else { return false };
        ends.any(|other| other != first)
    };
    (0..DRAWS).map(draw).find(tells).unwrap_or_else(|| draw(0))
}

/// Carries a program out, and says under which rule sets what was seen may happen; none if it could
/// not be carried out or nothing was seen.
fn allowed(
    program: &Program,
    sets: &[RuleSet],
    options: &CheckOptions,
    agent: &mut dyn Agent,
    console: &Console,
) -> Option<Vec<bool>> {
    let loaded = loaded(program, "random", console)?;
    let plan = Resolved::of(&loaded.scenario).ok()?;
    let seen = observe(&plan, agent).ok()?;
    sets.iter().map(|set| may_be(&loaded, set, options, &seen, console)).collect()
}

fn may_be(
    loaded: &Loaded,
    set: &RuleSet,
    options: &CheckOptions,
    seen: &Outcome,
    console: &Console,
) -> Option<bool> {
    // What was carried out needed what this rule set lacks.
    let Ok(prepared) = loaded.prepare_or_absent(&set.rules, console.error_style()).ok()? else {
        return Some(false);
    };
    let Ends { met, incomplete, .. } = prepared.ends(options);
    incomplete.is_none().then(|| met.keys().any(|ended| seen.agrees(ended)))
}
