//! A scenario that is ready to be executed: its plan is made, the events that it asks for and the
//! interfaces that its steps need exist, and its setup has worked once.
//!
//! - INV-PREPARED-1: a setup that worked once works in every execution: it runs alone, and a plan
//!   never changes.

use std::sync::Arc;

use pinfold::EventKind;
use pinfold::rules::Rules;

use super::trial::{Keep, Trial};
use crate::scenario::{Scenario, ScenarioError, Verb, check_events, check_interfaces};
use crate::world::Plan;

/// A scenario under a rule set, ready to be executed. It can be shared among threads.
pub struct Prepared {
    pub(crate) plan: Arc<Plan>,
    /// Where the scenario was found, as reports show it.
    pub(crate) path: String,
}

/// The names that a scenario's `reach` lines can use.
fn known_events() -> Vec<&'static str> {
    let verbs = Verb::ALL.iter().map(|verb| verb.as_str());
    EventKind::NAMES.iter().copied().chain(verbs).collect()
}

impl Prepared {
    /// Makes `scenario`, which was found at `path`, ready to be executed under `rules`.
    ///
    /// # Errors
    /// When it cannot be executed because of an unknown event, a step that needs what there is not
    /// under these rules ([`Code::Absent`](crate::scenario::Code::Absent)), or a setup that fails.
    /// The error points into the scenario's text.
    pub fn new(scenario: &Scenario, path: &str, rules: &Rules) -> Result<Self, Box<ScenarioError>> {
        if let Some(error) = check_events(scenario, &known_events()).into_iter().next() {
            return Err(Box::new(error));
        }
        if let Some(error) = check_interfaces(scenario, rules) {
            return Err(Box::new(error));
        }
        let plan = Arc::new(Plan::new(scenario, rules));
        Trial::new(&plan, Keep::Verdict).prepare()?;
        Ok(Self { plan, path: path.to_owned() })
    }

    /// The scenario.
    pub fn scenario(&self) -> &Scenario {
        &self.plan.scenario
    }

    /// The rules in force.
    pub fn rules(&self) -> &Rules {
        &self.plan.rules
    }
}
