//! A page that a long-term pin had to move first, and that did not move: why it had to, and whose
//! references kept it.

use pinfold::rules::Switch;
use pinfold::rules::pin::leaves_movable;
use pinfold::{EventKind, Pfn};

use super::Teller;
use crate::journal::What;
use crate::scenario::{Action, Duration, Verb};
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
        let takers = self.takers_under_way(step, pfn, at);
        for (taken, cite) in &takers {
            self.say(*taken, format!("{cite} had taken {pfn}, and was still at it."));
        }
        let nobody = self.ledger.holders(pfn, at);
        if takers.is_empty() && nobody.pins.is_empty() && nobody.gets.is_empty() {
            for (begins, cite) in self.about_to_take(step, at) {
                let how = "a reference counts before it is told";
                self.say(begins, format!("{cite} was taking {pfn} at that moment: {how}."));
            }
        }
    }

    /// The steps of other lanes that take pages and were not over at a line, each with the line at
    /// which it began: who has counted a reference and not told of it yet is among them.
    fn about_to_take(&self, own: &Step, at: usize) -> Vec<(usize, String)> {
        let takes = |step: &&Step| {
            let verb = step.verb();
            let pages = matches!(verb, Verb::Pin | Verb::Get | Verb::TryGet | Verb::GetPage);
            let moves = matches!(verb, Verb::DirectRead | Verb::DirectWrite);
            pages || moves || matches!(verb, Verb::VmRead | Verb::VmWrite)
        };
        let open = self.open_beside(own, at).filter(takes);
        open.map(|step| (step.begins, step.cite())).collect()
    }

    /// The steps of other lanes that had begun before a line and were not over then.
    fn open_beside(&self, own: &Step, at: usize) -> impl Iterator<Item = &Step> {
        let (ledger, lane) = (self.ledger, own.lane);
        // A step that the execution's end cut off has no end of its own.
        let over =
            move |step: &Step| step.ends < at && ledger.lines()[step.ends].what == What::Ends;
        let others = ledger.steps.iter().filter(move |step| step.lane != lane);
        others.filter(move |step| step.begins < at && !over(step))
    }

    /// The steps of other lanes that had taken a frame before a line and were not over then, each
    /// with the line at which it took the frame last.
    fn takers_under_way(&self, own: &Step, pfn: Pfn, at: usize) -> Vec<(usize, String)> {
        let ledger = self.ledger;
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
        self.open_beside(own, at).filter_map(taker).collect()
    }
}
