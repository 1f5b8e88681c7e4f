//! What a verdict about a kernel by name depends on that is not known of that kernel: each switch
//! of which it is not known is decided the other way, too, by a search of its own.
//!
//! Of a failure only the switches that WHY names are asked, where it is told; of everything else
//! all of them, which costs a search only for those that the scenario asks for (INV-ANSWERS-1).

use super::mends;
use crate::render::Look;
use crate::render::doubts::{Doubts, Turn};
use crate::rulesets::RuleSet;
use pinfold::Rules;
use pinfold::rules::{Doubt, Unknown};
use pinfold_lab::report::{Report, Verdict};
use pinfold_lab::scenario::Scenario;
use pinfold_lab::{Answers, Config};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The executions after which such a search says no more than that nothing broke.
const EXECUTIONS: u64 = 2_000;

/// What the verdict of the search `found` depends on, if its rule set is that of a kernel of which
/// something is not known; `tell` hears of the switch and the variant before each search.
pub(super) fn doubts(
    set: &RuleSet,
    (scenario, path): (&Scenario, &str),
    found: &Report,
    (config, stop): (&Config, &Arc<AtomicBool>),
    tell: &mut dyn FnMut(&str, &str),
) -> Option<Doubts> {
    let options = mends::options(config.model, config.locks, EXECUTIONS, stop);
    let answers = Answers::new(scenario, path, &options);
    // What is asked for under its own rules: a switch that is not needs no search.
    let mut begun = false;
    let mut ask = |rules: &Rules, doubt: &Doubt| {
        if !std::mem::replace(&mut begun, true) {
            answers.under(&set.rules, &mut |_| {});
        }
        tell(doubt.switch.name, doubt.other.name);
        answers.under(rules, &mut |_| {})
    };
    decided(set, found, stop, &mut ask)
}

/// What the verdict of the one execution `found` depends on: `ask` makes it under other rules.
pub(super) fn of_run(
    set: &RuleSet,
    found: &Report,
    ask: &mut dyn FnMut(&Rules) -> Report,
) -> Option<Doubts> {
    let told = decided(set, found, &AtomicBool::new(false), &mut |rules, _| ask(rules));
    told.map(Doubts::of_one_order)
}

/// Whether the verdict of `found`, one of `answers`, depends on something that is not known of its
/// kernel.
pub(super) fn depends(set: &RuleSet, found: &Report, answers: &Answers<'_>) -> bool {
    let unknown = set.kernel().into_iter().flat_map(|kernel| kernel.doubts().collect::<Vec<_>>());
    unknown.filter(|doubt| !set.overrides(doubt.switch.name)).any(|doubt| {
        let mut rules = set.rules;
        rules.set(doubt.switch.name, doubt.other.name).is_ok()
            && turns(found, &answers.under(&rules, &mut |_| {}))
    })
}

/// Whether a verdict is another one, now that a switch is decided the other way: what is not
/// searched to the end says nothing.
fn turns(found: &Report, now: &Report) -> bool {
    match (found.verdict, now.verdict) {
        (Verdict::Skip, _) => found.is_absent() && !now.is_absent(),
        (_, Verdict::Partial) => false,
        (Verdict::Fail, now) => now == Verdict::Pass,
        (_, now) => now == Verdict::Fail,
    }
}

/// Decides each switch that matters to `found` the other way, as `ask` does it.
fn decided(
    set: &RuleSet,
    found: &Report,
    stop: &AtomicBool,
    ask: &mut dyn FnMut(&Rules, &Doubt) -> Report,
) -> Option<Doubts> {
    let kernel = set.kernel()?;
    let asked = |doubt: &Doubt| !set.overrides(doubt.switch.name);
    let all: Vec<Doubt> = kernel.doubts().filter(asked).collect();
    let answered =
        found.verdict != Verdict::Error && (found.verdict != Verdict::Skip || found.is_absent());
    if all.is_empty() || !answered {
        return None;
    }
    let mut told = Doubts::new(&set.name, found.verdict, &all);
    let blamed = found.deciding();
    let matters = |doubt: &&Doubt| match found.verdict {
        Verdict::Fail if !blamed.is_empty() => {
            blamed.iter().any(|(switch, _)| switch.name == doubt.switch.name)
        }
        Verdict::Skip => doubt.switch.name == "interfaces",
        _ => true,
    };
    // What a search decided: the switch and its variant.
    let mut decided: Vec<(&str, &str)> = Vec::new();
    for doubt in all.iter().filter(matters) {
        if told.turns.iter().any(|turn| turn.switch == doubt.switch.name) {
            continue;
        }
        if stop.load(Ordering::Relaxed) {
            told.interrupted = true;
            break;
        }
        let mut rules = set.rules;
        if rules.set(doubt.switch.name, doubt.other.name).is_err() {
            continue;
        }
        let report = ask(&rules, doubt);
        if report.verdict == Verdict::Partial && stop.load(Ordering::Relaxed) {
            told.interrupted = true;
            break;
        }
        told.tried += 1;
        if !matches!(report.verdict, Verdict::Partial | Verdict::Error) {
            decided.push((doubt.switch.name, doubt.other.name));
        }
        // Not to the end, as the search under its own rules was not, says nothing.
        let open = report.verdict == Verdict::Partial && found.verdict != Verdict::Skip;
        if open && found.verdict != Verdict::Partial {
            told.undecided += 1;
            told.unended.push(format!("{}={}", doubt.switch.name, doubt.other.name));
        }
        if turns(found, &report) {
            told.turns.push(turn(doubt, report.verdict));
        }
    }
    let said = |name: &str| told.turns.iter().any(|turn| turn.switch == name);
    // Of what was not decided nobody knows whether it turns anything.
    let open = |name: &str| {
        let left = |doubt: &Doubt| !decided.contains(&(doubt.switch.name, doubt.other.name));
        all.iter().any(|doubt| doubt.switch.name == name && left(doubt))
    };
    let mut kept: Vec<&'static str> = Vec::new();
    for doubt in all.iter().filter(|doubt| !blamed.is_empty() && matters(doubt)) {
        if !said(doubt.switch.name)
            && !open(doubt.switch.name)
            && !kept.contains(&doubt.switch.name)
        {
            kept.push(doubt.switch.name);
        }
    }
    told.kept = kept;
    Some(told)
}

/// What is not known of the kernels among rule sets, before anything is decided.
pub(super) fn of(sets: &[RuleSet]) -> Vec<Doubts> {
    let known = |set: &RuleSet| {
        let kernel = set.kernel()?;
        let all: Vec<Doubt> =
            kernel.doubts().filter(|doubt| !set.overrides(doubt.switch.name)).collect();
        (!all.is_empty()).then(|| Doubts::new(&set.name, Verdict::Pass, &all))
    };
    sets.iter().filter_map(known).collect()
}

/// The lines below a table that say so.
pub(super) fn note(sets: &[RuleSet], look: &Look) -> String {
    of(sets).iter().map(|doubts| doubts.note(look)).collect()
}

fn turn(doubt: &Doubt, verdict: Verdict) -> Turn {
    let (standing, from, believed) = match doubt.why {
        Unknown::Guess { since, believed } => ("guess", since.to_string(), believed),
        Unknown::Open(finding) => ("open", finding.from.to_string(), false),
    };
    Turn {
        switch: doubt.switch.name,
        held: doubt.held.name,
        other: doubt.other.name,
        standing,
        from,
        commit: doubt.commit(),
        believed,
        verdict,
    }
}
