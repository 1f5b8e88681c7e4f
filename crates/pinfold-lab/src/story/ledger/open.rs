//! Steps of other lanes that are not over at a line, and the pages that they are taking.

use pinfold::{EventKind, Pfn};

use super::{Ledger, Step};
use crate::folios::Run;
use crate::journal::What;
use crate::scenario::{Action, Name, Part};

impl<'a> Ledger<'a> {
    /// The steps of other lanes that had begun before a line and were not over then.
    pub(in crate::story) fn open_beside(
        &'a self,
        own: &Step,
        at: usize,
    ) -> impl Iterator<Item = &'a Step> + use<'a> {
        let lane = own.lane;
        let others = self.steps.iter().filter(move |step| step.lane != lane);
        others.filter(move |step| step.begins < at && !self.is_over(step, at))
    }

    /// Whether a step was over at a line. One that the execution's end cut off has no end of its
    /// own.
    fn is_over(&self, step: &Step, at: usize) -> bool {
        step.ends < at && self.lines()[step.ends].what == What::Ends
    }

    /// Of those the steps that take pages, one of these among them: who has counted a reference and
    /// not told of it yet is among them.
    pub(in crate::story) fn about_to_take(
        &'a self,
        own: &Step,
        run: Run,
        at: usize,
    ) -> impl Iterator<Item = &'a Step> + use<'a> {
        self.open_beside(own, at).filter(move |step| self.takes(step, run, at))
    }

    /// Whether a step takes pages, one of these among them.
    fn takes(&self, step: &Step, run: Run, at: usize) -> bool {
        let of = |process: &str, area: &Name, pages| {
            self.leads((process, area.as_str(), pages), at, |pfn| run.contains(pfn))
        };
        let part = |process: &str, part: &Part| of(process, part.name(), part.resolve(u32::MAX));
        let process = step.process.as_deref().unwrap_or_default();
        match &*step.action {
            Action::Pin { grab, .. } | Action::Get { grab, .. } => {
                of(process, &grab.pages.area, grab.pages.extent.resolve(u32::MAX))
            }
            Action::DirectRead { to: memory, .. } | Action::DirectWrite { from: memory, .. } => {
                part(process, memory)
            }
            Action::VmRead { peek } => {
                of(peek.process.as_str(), &peek.from.name, (peek.from.page(), 1))
            }
            Action::VmWrite { poke } => part(poke.process.as_str(), &poke.to),
            Action::TryGet { frame: place, .. } | Action::GetPage { held: place, .. } => {
                let made = self.made(place.name.as_str());
                made.is_none_or(|(_, held)| held.frames.iter().any(|pfn| run.contains(*pfn)))
            }
            _ => false,
        }
    }

    /// Whether a step that splits a folio was asked to by this page, as it was mapped at a line.
    pub(in crate::story) fn split_by(&self, step: &Step, page: Pfn, at: usize) -> bool {
        let (Action::SplitFolio { at: place }, Some(process)) = (&*step.action, &step.process)
        else {
            return false;
        };
        self.leads((process, place.name.as_str(), (place.page(), 1)), at, |pfn| pfn == page)
    }

    /// Whether the reference of a handle was counted on a tail of a large folio alone.
    pub(in crate::story) fn counted_on_tail_alone(&self, handle: &str) -> bool {
        let Some((made, _)) = self.made(handle) else { return false };
        let Some(step) = self.step(made) else { return false };
        let own = |at: &usize| self.lines()[*at].lane == step.lane;
        let taken = |at: usize| matches!(self.event(at), Some(EventKind::TailTaken(_)));
        (step.begins..=made).filter(own).any(taken)
    }
}
