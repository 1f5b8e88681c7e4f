//! Every end that a scenario can have, those that break a claim included.
//!
//! An ordinary search stops at the first failure, so a failing scenario shows only the outcomes
//! that came before it. This one goes on: it is what the executions of another machine are
//! compared with, and what `check --all-outcomes` prints.
//!
//! INV-ENDS-1: a step that fails ends its lane, not the execution: the other lanes go on, so that
//! the search still tries every order. `after` is left out then, and the end counts as failed.
//!
//! INV-ENDS-2: what an oracle finds while an execution runs does not end it: the manager reports a
//! broken invariant and goes on, as it does in a kernel that warns. It is noted when it is found,
//! since an execution that reaches a known state is not judged.

use pinfold_explore::{Completeness, Config, Search, explore};

use super::ends::Ends;
use super::options::CheckOptions;
use super::prepared::Prepared;
use super::trial::{Keep, Trial};
use crate::counted::counted;
use crate::report::{Outcome, Report};

impl Report {
    /// Takes over the outcomes of a search that went on after failures.
    pub fn take_outcomes(&mut self, ends: &Ends) {
        let outcomes = ends.outcomes().into_iter();
        let told =
            outcomes.map(|(label, met)| Outcome { label: label.to_owned(), count: met.executions });
        self.outcomes = told.collect();
    }
}

impl Prepared {
    /// Searches for every end, and does not stop at a failure. What the explorer itself finds, such
    /// as a deadlock or a data race, ends the search, which is incomplete then.
    pub fn ends(&self, options: &CheckOptions) -> Ends {
        let mut trial = Trial::new(&self.plan, Keep::Verdict).going_on();
        let config = Config {
            job: None,
            resume: None,
            budget: None,
            pause: None,
            shrink_runs: 0,
            ..options.config.clone()
        };
        let found = explore(&mut trial, &config, &mut |_| {});
        let incomplete = match (found.failure, found.complete, found.truncated) {
            (Some(failure), ..) => Some(format!("the search ended at: {}", failure.message)),
            (None, Completeness::Bounded { why }, _) => Some(why),
            (None, Completeness::Exhausted, 0) => None,
            (None, Completeness::Exhausted, cut) => {
                let cut = counted(cut, "execution was", "executions were");
                Some(format!("{cut} cut off by the bound on steps"))
            }
        };
        // A search at random or within a bound of preemptions does not claim to have seen all.
        let bounded = (options.config.search != Search::Exhaustive { preemptions: None })
            .then(|| "the search was not exhaustive".to_owned());
        let incomplete = incomplete.or(bounded);
        let (met, findings) = trial.into_ends();
        Ends { met, findings, executions: found.executions, incomplete }
    }
}
