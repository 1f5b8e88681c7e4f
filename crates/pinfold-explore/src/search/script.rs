//! Follows a given schedule, and continues in the ordinary way where it ends or cannot be followed.

use super::{Advance, Moment, Pick, Strategy};
use crate::schedule::Choice;

/// See the module.
pub(crate) struct Script {
    steps: Vec<Choice>,
    at: usize,
}

impl Script {
    pub(crate) fn new(steps: Vec<Choice>) -> Self {
        Self { steps, at: 0 }
    }
}

impl Strategy for Script {
    fn begin(&mut self, _lanes: usize) {
        self.at = 0;
    }

    fn pick(&mut self, moment: &Moment<'_>) -> Pick {
        let scripted = self.steps.get(self.at).map(|step| step.lane);
        self.at += 1;
        let possible =
            |lane: &usize| *lane < moment.pending.len() && moment.enabled.contains(*lane);
        scripted
            .filter(possible)
            .or(moment.last.filter(possible))
            .or(moment.enabled.first())
            .map_or(Pick::Redundant, Pick::Lane)
    }

    fn option(&mut self, options: &[u32]) -> u32 {
        let scripted = self.at.checked_sub(1).and_then(|at| self.steps.get(at));
        scripted
            .map(|step| step.choice)
            .filter(|choice| options.contains(choice))
            .unwrap_or(options[0])
    }

    fn advance(&mut self) -> Advance {
        Advance::Bounded("one schedule was followed".to_owned())
    }
}
