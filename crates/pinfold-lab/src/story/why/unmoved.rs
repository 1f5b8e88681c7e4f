//! A page that a long-term pin had to move first, and that did not move: why it had to, and whose
//! references kept it.

use pinfold::rules::Switch;
use pinfold::rules::pin::leaves_movable;
use pinfold::{EventKind, Pfn};

use super::Teller;
use crate::journal::What;
use crate::scenario::{Action, Duration};
use crate::story::ledger::Step;

impl Teller<'_> {
    /// The page that a step could not move at a line: why the step was to move it, and which steps
    /// under way, of other lanes, had taken it.
    pub(in crate::story) fn kept_from_moving(&mut self, step: &Step, pfn: Pfn, at: usize) {
        let settles = match &*step.action {
            Action::Pin { duration, .. } => *duration == Duration::LongTerm,
            _ => false,
        };
        if settles && leaves_movable(self.rules.longterm_zone) {
            let tag = self.tag(Switch::LongtermZone);
            let cite = step.cite();
            let why = "where nothing may be pinned for long: it was to be moved out first";
            self.say(step.begins, format!("{cite} found {pfn} {why} ({tag})."));
        }
        for (taken, cite) in self.takers_under_way(step, pfn, at) {
            self.say(taken, format!("{cite} had taken {pfn}, and was still at it."));
        }
    }

    /// The steps of other lanes that had taken a frame before a line and were not over then, each
    /// with the line at which it took the frame last.
    fn takers_under_way(&self, own: &Step, pfn: Pfn, at: usize) -> Vec<(usize, String)> {
        let ledger = self.ledger;
        let others = ledger.steps.iter().filter(|step| step.lane != own.lane);
        // A step that the execution's end cut off has no end of its own.
        let over = |step: &Step| step.ends < at && ledger.lines()[step.ends].what == What::Ends;
        let open = others.filter(|step| step.begins < at && !over(step));
        let taker = |step: &Step| {
            let takes = |line: &usize| match ledger.event(*line) {
                Some(EventKind::FastTaken(taken) | EventKind::SlowTaken(taken)) => {
                    taken == pfn && ledger.lines()[*line].lane == step.lane
                }
                _ => false,
            };
            let taken = (step.begins..at).rev().find(takes)?;
            Some((taken, step.cite()))
        };
        open.filter_map(taker).collect()
    }
}
