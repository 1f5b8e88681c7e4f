//! Programs about one area that is advised to be a large folio, and what splits one.
//!
//! A step may fail in one way alone. So the last page of the area is never given up, and it is the
//! page by which a folio is split: the split finds a folio or a small page there, or is refused as
//! `busy`.

use super::super::steps::{Act, PLACE, Page, Shows, Step};
use super::{Area, Maker};
use crate::generate::{Extent, Files};
use crate::scenario::Thp;

/// The pages of the area: one folio of the machine.
const PAGES: u32 = 4;
/// The page that is never given up.
const KEPT: Page = Page { area: "A", page: PAGES - 1 };

impl Maker {
    /// The area with its folio, all of which is there, and the frames of some of its pages noted.
    pub(super) fn area_of_folio(&mut self) -> Vec<Step> {
        let area = Area { name: "A", pages: PAGES, shows: Shows::Private, rights: "rw" };
        self.words += 1;
        let first = Act::Write(KEPT, self.words);
        let mut steps = vec![self.area(area, Some(PLACE))];
        steps.push(self.step("P", Act::AdviseAll(area.name, "hugepage")));
        steps.push(self.step("P", first));
        for _ in 0..self.between(1, 2) {
            let page = self.page();
            self.noted += 1;
            steps.push(self.step("P", Act::Note(page, self.noted - 1)));
        }
        steps
    }

    /// How the folio of a program about one is mapped: of every two, one by a huge entry. Drawn
    /// last, so that nothing else of a program depends on it.
    pub(in super::super) fn thp(&mut self) -> Thp {
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
            12..=14 => {
                let noted = self.below(self.noted as usize) as u32;
                let handle = self.handles;
                self.handles += 1;
                self.refused(process, Act::TryGet(noted, handle))
            }
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

    /// A step that may be refused since somebody refers to what it is about.
    fn refused(&self, process: &'static str, act: Act) -> Step {
        Step { process, act, may_fail: Some("busy") }
    }

    fn page_given_up(&mut self) -> Page {
        Page { page: self.below(KEPT.page as usize) as u32, ..KEPT }
    }
}
