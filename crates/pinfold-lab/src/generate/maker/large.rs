//! Programs about one area that is advised to be a large folio, and what splits one or makes one
//! of its pages.
//!
//! A step may fail in one way alone. So the last page of the area is never given up, and it is the
//! page by which a folio is split: the split finds a folio or a small page there, or is refused as
//! `busy`. A collapse is refused as `busy`, too: where there are collapses nothing is unmapped, and
//! where frames are short, nothing is held either, so that frames are all that it can lack.

use super::super::steps::{Act, PLACE, Page, Shows, Step};
use super::{Area, Maker};
use crate::generate::{Extent, Files, Scans};
use crate::scenario::Thp;

/// The pages of the area: one folio of the machine.
const PAGES: u32 = 4;
/// The page that is never given up.
const KEPT: Page = Page { area: "A", page: PAGES - 1 };

impl Maker {
    /// The area with its folio, all of which is there, or with small pages that may become one; and
    /// the frames of some of its pages noted.
    pub(super) fn area_of_folio(&mut self) -> Vec<Step> {
        let area = Area { name: "A", pages: PAGES, shows: Shows::Private, rights: "rw" };
        self.words += 1;
        let first = Act::Write(KEPT, self.words);
        let mut steps = vec![self.area(area, Some(PLACE))];
        let small = self.collapses && self.below(2) == 0;
        if small {
            steps.push(self.step("P", first.clone()));
            steps.push(self.write("P"));
        }
        let act = Act::AdviseAll(area.name, "hugepage");
        steps.push(Step { process: "P", act, may_fail: None });
        if !small {
            steps.push(self.step("P", first));
        }
        for _ in 0..self.between(1, 2) {
            // A small page that nobody has touched has no frame.
            let page = if small { KEPT } else { self.page() };
            self.noted += 1;
            steps.push(self.step("P", Act::Note(page, self.noted - 1)));
        }
        steps
    }

    /// How the folio of a program about one is mapped: of every two, one by a huge entry. Drawn
    /// last, so that nothing else of a program depends on it. What a collapse makes is huge.
    pub(in super::super) fn thp(&mut self) -> Thp {
        if self.collapses {
            return Thp::Pmd;
        }
        match (self.shape.files, self.shape.extent) {
            (Files::Left, Extent::Folio) if self.below(2) == 0 => Thp::Pmd,
            _ => Thp::Entries,
        }
    }

    /// A step that decides who keeps pages of the folio, or whether it stays one.
    pub(super) fn step_on_folio(&mut self, process: &'static str) -> Step {
        match self.below(20) {
            0..=3 => self.write(process),
            4 => {
                let page = self.page();
                self.step(process, Act::Read(page))
            }
            5..=7 => self.take(process),
            8 => self.fork(process),
            9..=11 => self.refused(process, Act::Split(KEPT)),
            12..=14 => self.try_get(process),
            15 => {
                let page = self.page_given_up();
                self.step(process, Act::Advise(page, "dontneed"))
            }
            16 if self.shape.frames.is_none() => {
                let page = self.page_given_up();
                self.step(process, Act::Unmap(page))
            }
            16 | 17 => self.step(process, Act::SplitDeferred),
            _ => {
                let (page, first) = (self.page(), self.handles);
                self.handles += 2;
                self.step(process, Act::Again { page, first, second: first + 1 })
            }
        }
    }

    /// A step of a program that collapses the pages, too.
    pub(super) fn step_with_collapses(&mut self, process: &'static str) -> Step {
        let short = self.shape.frames.is_some();
        match self.below(20) {
            0..=3 => self.write(process),
            4 => {
                let page = self.page();
                self.step(process, Act::Read(page))
            }
            5..=7 if !short => self.take(process),
            8 => self.fork(process),
            9..=12 => self.step(process, Act::Collapse(KEPT)),
            13 | 14 => self.refused(process, Act::Split(KEPT)),
            15 if !short => self.try_get(process),
            16 => {
                let page = self.page_given_up();
                self.step(process, Act::Advise(page, "dontneed"))
            }
            17 if self.shape.nodes > 1 => {
                let node = self.below(2) as u32;
                self.step(process, Act::Migrate(KEPT, node))
            }
            18 if self.shape.scans == Scans::Made => self.step(process, Act::Scan),
            19 => self.step(process, Act::SplitDeferred),
            _ => self.write(process),
        }
    }

    /// A reference by a number that was noted.
    pub(super) fn try_get(&mut self, process: &'static str) -> Step {
        let noted = self.below(self.noted as usize) as u32;
        let handle = self.handles;
        self.handles += 1;
        self.refused(process, Act::TryGet(noted, handle))
    }

    /// A step that may be refused since somebody refers to what it is about.
    fn refused(&self, process: &'static str, act: Act) -> Step {
        Step { process, act, may_fail: Some("busy") }
    }

    fn page_given_up(&mut self) -> Page {
        Page { page: self.below(KEPT.page as usize) as u32, ..KEPT }
    }
}
