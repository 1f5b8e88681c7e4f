//! What a later release's variant of a rule that decided does alone: searches of their own.

use crate::render::explain::{Apart, Mend, Order};
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
            let contrast = contrast(switch.name, (found, &report), &rules, answers);
            mends.push(Mend {
                switch: switch.name,
                variant: later,
                saves: report.verdict == Verdict::Pass,
                verdict: report.verdict,
                vacuous: report
                    .broken
                    .as_ref()
                    .is_some_and(|broken| broken.oracle == Oracle::Vacuous),
                executions: report.search.executions,
                otherwise: otherwise(found, &report),
                contrast,
            });
        }
    }
    mends
}

/// What an execution under such rules decides in another way: the one that goes as `found` does for
/// as long as it can, or, where that breaks nothing and the search found one that does, that one.
fn contrast(
    switch: &str,
    (found, searched): (&Report, &Report),
    rules: &Rules,
    answers: &Answers<'_>,
) -> Option<Apart> {
    let schedule = |report: &Report| {
        let broken = report.broken.as_ref().filter(|broken| !broken.schedule.is_empty());
        broken.map(|broken| broken.schedule.clone())
    };
    let along = answers.along(rules, &schedule(found)?)?;
    let breaks = schedule(searched).filter(|_| searched.verdict == Verdict::Fail);
    let other = breaks.filter(|_| along.broken.is_none());
    let (order, other) = match other.and_then(|schedule| answers.along(rules, &schedule)) {
        Some(other) => (Order::Another, other),
        None => (Order::Same, along),
    };
    let contrast = Contrast::between(switch, found, &other);
    Some(Apart { order, contrast })
}

/// What broke in a search, if another oracle noticed it than what was found before.
fn otherwise(found: &Report, searched: &Report) -> Option<String> {
    let (before, now) = (found.broken.as_ref()?, searched.broken.as_ref()?);
    let what = now.what.first().filter(|_| now.oracle != before.oracle)?;
    Some(format!("{}: {what}", now.title()))
}
