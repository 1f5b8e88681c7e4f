//! One search for several rule sets: an answer is shared among those that agree in every switch
//! that the search asked for.
//!
//! - INV-ANSWERS-1: a search is decided by the scenario, the options and the rules that it asks
//!   for; the setup and the judging belong to it. A rule set that agrees with an answered one in
//!   all of these would have the same executions, so it has the same report, under its own name.
//!   It must have the interfaces that the steps need, which is asked before there is a search.
//! - INV-ANSWERS-2: an answer is shared only if nothing but these decided it: not one that time or
//!   a request ended, and not one with a story, which names rules that nobody asked for. Of a
//!   failure that is told only the schedule is shared, by which it is executed again.

use std::sync::{Mutex, PoisonError};

use pinfold::rules::{Interface, Rules, Switch};

use crate::asked::agree;
use crate::check::{CheckOptions, Detail, Prepared, Progress, check, identify, replay_schedule};
use crate::report::{Report, Verdict};
use crate::scenario::{Scenario, absent_interfaces, check_interfaces};

#[cfg(test)]
mod tests;

/// The answers to one question about one scenario, under several rule sets. Threads may share it.
pub struct Answers<'a> {
    scenario: &'a Scenario,
    path: &'a str,
    options: &'a CheckOptions,
    known: Mutex<Vec<Known>>,
}

/// An answer, and what it depends on.
struct Known {
    rules: Rules,
    asked: Vec<Switch>,
    report: Report,
    /// The schedule by which its failure is easy to follow, once that was asked for.
    plain: Option<String>,
}

impl<'a> Answers<'a> {
    /// The question what searches of `scenario`, which was found at `path`, find. None is answered
    /// yet.
    pub fn new(scenario: &'a Scenario, path: &'a str, options: &'a CheckOptions) -> Self {
        Self { scenario, path, options, known: Mutex::default() }
    }

    /// The report of a search under `rules`, as [`check()`] gives it, or one that is the same
    /// but for the time that it took: none.
    pub fn under(&self, rules: &Rules, progress: &mut dyn FnMut(&Progress)) -> Report {
        if let Some(report) = self.shared(rules) {
            return report;
        }
        let Ok(prepared) = Prepared::new(self.scenario, self.path, rules) else {
            return check(self.scenario, self.path, rules, self.options, progress);
        };
        let report = prepared.check(self.options, progress);
        if self.can_be_shared(&report) {
            let asked = prepared.plan.asked.switches();
            let known = Known { rules: *rules, asked, report: report.clone(), plain: None };
            self.known.lock().unwrap_or_else(PoisonError::into_inner).push(known);
        }
        report
    }

    /// The execution under `rules` that goes as `schedule` says for as long as it can, with all
    /// that there is to say of it; none if nothing was executed. It breaks what it breaks whatever
    /// its verdict is: [`Verdict::Error`] says only that it could not be followed to the end.
    pub fn along(&self, rules: &Rules, schedule: &str) -> Option<Report> {
        let semantics = (self.options.config.model, self.options.config.locks);
        let made = replay_schedule(self.scenario, self.path, rules, semantics, schedule).ok()?;
        made.trace.is_some().then_some(made)
    }

    /// The failure that `found` reports under `rules`, as an execution that is easy to follow, with
    /// all that there is to say of it; none if nothing broke in one. It takes a search of its own,
    /// whose schedule is shared as the verdict is.
    pub fn told(&self, rules: &Rules, found: &Report) -> Option<Report> {
        let broken = found.broken.as_ref().filter(|_| found.verdict == Verdict::Fail)?;
        if broken.schedule.is_empty() {
            return None;
        }
        let lock = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let known = lock().iter().position(|known| agree(&known.rules, rules, &known.asked));
        let shared = known.and_then(|at| lock()[at].plain.clone());
        // What made it easy to follow may have asked for more than the search did.
        let breaks = |made: &Report| made.broken.is_some();
        if let Some(made) = shared.and_then(|plain| self.along(rules, &plain)).filter(breaks) {
            return Some(made);
        }
        let options = CheckOptions { detail: Detail::Story, ..self.options.clone() };
        let prepared = Prepared::new(self.scenario, self.path, rules).ok()?;
        let report = prepared.check(&options, &mut |_| {});
        let plain = report.broken.filter(|plain| !plain.schedule.is_empty());
        let plain = plain.map_or_else(|| broken.schedule.clone(), |plain| plain.schedule);
        if let Some(at) = known {
            lock()[at].plain = Some(plain.clone());
        }
        self.along(rules, &plain).filter(breaks)
    }

    /// The interfaces that the scenario needs and that `rules` do not have.
    pub(crate) fn absent(&self, rules: &Rules) -> Vec<Interface> {
        absent_interfaces(self.scenario, rules)
    }

    /// The switches that the search under `rules` asked for, if its answer can be shared.
    pub(crate) fn asked(&self, rules: &Rules) -> Option<Vec<Switch>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = known.iter().find(|known| agree(&known.rules, rules, &known.asked))?;
        Some(answer.asked.clone())
    }

    /// An answer that holds for `rules`, too.
    fn shared(&self, rules: &Rules) -> Option<Report> {
        if check_interfaces(self.scenario, rules).is_some() {
            return None;
        }
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = known.iter().find(|known| agree(&known.rules, rules, &known.asked))?;
        let mut report = Report { rules: rules.to_string(), ..answer.report.clone() };
        report.search.seconds = 0.0;
        report.id = identify(self.scenario, rules, &report);
        Some(report)
    }

    /// INV-ANSWERS-2.
    fn can_be_shared(&self, report: &Report) -> bool {
        let most = self.options.config.max_executions;
        let decided = match report.verdict {
            Verdict::Pass | Verdict::Fail => true,
            Verdict::Partial => most.is_some_and(|most| report.search.begun() >= most),
            Verdict::Error | Verdict::Skip => false,
        };
        decided && self.options.detail == Detail::Verdict
    }
}
