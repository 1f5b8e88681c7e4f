//! A page that a long-term pin had to move first, and that did not move: why it had to, and whose
//! references kept it.

use pinfold::rules::Switch;
use pinfold::rules::pin::{keeps_unisolated, leaves_cma};
use pinfold::{EventKind, Pfn};

use super::Teller;
use crate::scenario::{Action, Duration, Memory, Name};
use crate::story::ledger::Step;

impl Teller<'_> {
    /// The page that a step could not move at a line: why the step was to move it, and which steps
    /// under way, of other lanes, had taken it.
    pub(in crate::story) fn kept_from_moving(&mut self, step: &Step, pfn: Pfn, at: usize) {
        let settles = match &*step.action {
            Action::Pin { duration, .. } => *duration == Duration::LongTerm,
            _ => false,
        };
        if settles && leaves_cma(self.rules.longterm_zone) {
            let tag = self.tag(Switch::LongtermZone);
            let cite = step.cite();
            let why = "where nothing may be pinned for long: it was to be moved out first";
            self.say(step.begins, format!("{cite} found {pfn} {why} ({tag})."));
        }
        // Of all memory of a node the page may lie in what no pin has to leave.
        if let Action::Offline { what: Memory::Movable | Memory::Cma, .. } = &*step.action {
            self.left_where_it_lay(pfn, at);
        }
        let takers = self.takers_under_way(step, pfn, at);
        for (taken, cite) in &takers {
            self.say(*taken, format!("{cite} had taken {pfn}, and was still at it."));
        }
        let nobody = self.ledger.holders(pfn, at);
        if takers.is_empty() && nobody.pins.is_empty() && nobody.gets.is_empty() {
            let (ledger, run) = (self.ledger, self.ledger.unit(pfn, at));
            for taker in ledger.about_to_take(step, run, at) {
                let (begins, cite) = (taker.begins, taker.cite());
                let how = "a reference counts before it is told";
                self.say(begins, format!("{cite} was taking {pfn} at that moment: {how}."));
            }
        }
    }

    /// The long-term pin that left a page in memory that is to be taken out, if a rule let it.
    fn left_where_it_lay(&mut self, pfn: Pfn, at: usize) {
        if !keeps_unisolated(self.rules.longterm_zone) {
            return;
        }
        let pins = self.ledger.holders(pfn, at).pins;
        let of = |handle: &Name| {
            pins.iter().any(|pin| pin.split('[').next() == Some(handle.value.as_str()))
        };
        let long = |step: &&Step| match &*step.action {
            Action::Pin { grab, duration: Duration::LongTerm, .. } => of(&grab.handle),
            _ => false,
        };
        if let Some(step) = self.ledger.steps.iter().find(long) {
            let (ends, cite) = (step.ends, step.cite());
            let tag = self.tag(Switch::LongtermZone);
            let sentence =
                format!("{cite} left {pfn} in memory that is set apart for what can move ({tag}).");
            self.say(ends, sentence);
        }
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
        ledger.open_beside(own, at).filter_map(taker).collect()
    }
}
