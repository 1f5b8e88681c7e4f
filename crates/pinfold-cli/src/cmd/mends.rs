//! What a later release's variant of a rule that decided does alone: searches of their own.

use crate::render::mended::{Apart, Mend, Order};
use pinfold::Rules;
use pinfold_lab::report::{Oracle, Report, Verdict};
use pinfold_lab::{Answers, CheckOptions, Config, Contrast, Detail, LockForm, Model};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// How such a search is done: of all executions, up to so many.
pub(super) fn options(
    model: Model,
    locks: LockForm,
    most: u64,
    stop: &Arc<AtomicBool>,
) -> CheckOptions {
    let mut options = CheckOptions::of(Config { model, locks, ..Config::default() });
    options.config.max_executions = Some(most);
    options.config.stop = Some(Arc::clone(stop));
    options.detail = Detail::Verdict;
    options
}

/// Which later variants of the switches that WHY names save the scenario, each alone; `tell` hears
/// of the switch and the variant whenever a search under them has something to tell.
pub(super) fn mends(
    rules: &Rules,
    found: &Report,
    answers: &Answers<'_>,
    tell: &mut dyn FnMut(&str, &str),
) -> Vec<Mend> {
    let mut mends = Vec::new();
    for (switch, variant) in found.deciding() {
        let after = switch.variants.iter().skip_while(|other| other.name != variant.name).skip(1);
        for later in after {
            let mut rules = *rules;
            // Every variant that is listed can be set.
            if rules.set(switch.name, later.name).is_err() {
                continue;
            }
            let report = answers.under(&rules, &mut |_| tell(switch.name, later.name));
            let along = schedule(found).and_then(|order| answers.along(&rules, &order));
            // What the search did not come to may be what was found before.
            let ended = report.verdict == Verdict::Partial;
            let breaks = along.as_ref().filter(|along| ended && along.broken.is_some());
            let told = breaks.unwrap_or(&report);
            let verdict = if breaks.is_some() { Verdict::Fail } else { report.verdict };
            let oracle = told.broken.as_ref().map(|broken| broken.oracle);
            mends.push(Mend {
                switch: switch.name,
                variant: later,
                saves: verdict == Verdict::Pass,
                verdict,
                vacuous: oracle == Some(Oracle::Vacuous),
                executions: report.search.executions,
                otherwise: otherwise(found, told),
                contrast: along.map(|along| {
                    contrast(switch.name, (found, &report), along, &|order| {
                        answers.along(&rules, order)
                    })
                }),
            });
        }
    }
    mends
}

/// The order in which a failure was found, if it was in one execution.
fn schedule(report: &Report) -> Option<String> {
    let broken = report.broken.as_ref().filter(|broken| !broken.schedule.is_empty());
    broken.map(|broken| broken.schedule.clone())
}

/// What an execution under such rules decides in another way: `along`, which goes as `found` does
/// for as long as it can, or, where that breaks nothing and the search found one that does, that
/// one, which `execute` makes.
fn contrast(
    switch: &str,
    (found, searched): (&Report, &Report),
    along: Report,
    execute: &dyn Fn(&str) -> Option<Report>,
) -> Apart {
    let breaks = schedule(searched).filter(|_| searched.verdict == Verdict::Fail);
    let other = breaks.filter(|_| along.broken.is_none());
    let (order, other) = match other.and_then(|schedule| execute(&schedule)) {
        Some(other) => (Order::Another, other),
        None => (Order::Same, along),
    };
    Apart { order, contrast: Contrast::between(switch, found, &other) }
}

/// What broke in a search, if another oracle noticed it than what was found before.
fn otherwise(found: &Report, searched: &Report) -> Option<String> {
    let (before, now) = (found.broken.as_ref()?, searched.broken.as_ref()?);
    let what = now.what.first().filter(|_| now.oracle != before.oracle)?;
    Some(format!("{}: {what}", now.title()))
}
